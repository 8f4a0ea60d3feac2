use super::*;
use crate::net::address::parse_word;

fn at(interface: &str, address: &str, prefix: u8) -> HostAddress {
    let (interface, label) = match interface.split_once(':') {
        Some((name, _)) => (name, Some(interface.to_owned())),
        None => (interface, None),
    };
    HostAddress {
        interface: interface.into(),
        label,
        address: address.parse().unwrap(),
        prefix,
        answers: interface != "lo",
    }
}

fn bcast(interface: &str) -> MediumConfig {
    MediumConfig::Bcast {
        interface: interface.into(),
        port: 694,
    }
}

/// The addresses of a node of a usual pair: its own and two service addresses in the same network,
/// three others alone in their networks.
fn host() -> Vec<HostAddress> {
    vec![
        at("lo", "127.0.0.1", 8),
        at("eth0", "10.77.0.1", 24),
        at("eth0", "10.99.0.1", 24),
        at("eth0:1", "10.98.0.1", 24),
        at("eth0:vip", "10.97.0.1", 24),
        at("eth0:0", "10.77.0.100", 24),
        at("eth0", "10.77.0.101", 24),
        at("eth1", "10.88.0.1", 24),
        at("eth0", "fd77::64", 64),
        at("eth0", "fd77::1", 64),
        at("eth1", "fd88::1", 64),
        at("eth0", "fe80::1", 64),
    ]
}

fn standing(word: &str, mark: Option<Mark>, came: Came) -> String {
    let own = OwnAddresses::new(host(), &[bcast("eth0")]);
    let resource = parse_word(word).unwrap().unwrap();
    match own.standing(&resource, mark, came) {
        Standing::Absent => "absent".into(),
        Standing::Service => "service".into(),
        Standing::Own(it, Why::Source(medium)) => format!("own {it}, {medium}"),
        Standing::Own(it, Why::First) => format!("own {it}"),
        Standing::Doubt(it) => format!("doubt {it}"),
    }
}

const CAME: [Came; 4] = [Came::Before, Came::AfterCrash, Came::OfRunning, Came::Since];

#[test]
fn the_source_of_a_medium_is_the_hosts_own_after_any_earlier_run() {
    for came in CAME {
        for word in [
            "10.77.0.1",
            "IPaddr2::10.77.0.1/24/eth0",
            "IPaddr::10.77.0.1/25",
        ] {
            let own = "own 10.77.0.1/24 on eth0, bcast eth0";
            assert_eq!(standing(word, None, came), own);
            assert_eq!(standing(word, Some(Mark::Unknown), came), own);
        }
        assert_eq!(standing("10.77.0.1", Some(Mark::Ours), came), "service");
    }
}

#[test]
fn the_only_address_of_a_network_is_the_hosts_own_unless_a_run_may_have_put_it_there() {
    for (word, place) in [
        ("10.88.0.1", "10.88.0.1/24 on eth1"),
        ("IPaddr2::10.99.0.1/24/eth0", "10.99.0.1/24 on eth0"),
        ("IPv6addr::fd88::1/64/eth1", "fd88::1/64 on eth1"),
    ] {
        let doubt = format!("doubt {place}");
        assert_eq!(standing(word, None, Came::Before), format!("own {place}"));
        assert_eq!(standing(word, None, Came::AfterCrash), doubt);
        assert_eq!(standing(word, None, Came::Since), doubt);
        assert_eq!(standing(word, None, Came::OfRunning), "service");
        assert_eq!(standing(word, Some(Mark::Ours), Came::Before), "service");
        assert_eq!(standing(word, Some(Mark::Unknown), Came::Before), doubt);
    }
}

#[test]
fn another_one_of_a_network_is_never_refused() {
    for word in ["IPaddr2::10.77.0.101/24/eth0", "IPv6addr::fd77::64/64"] {
        assert!(standing(word, None, Came::Before).starts_with("doubt"));
        for came in [Came::AfterCrash, Came::OfRunning, Came::Since] {
            assert_eq!(standing(word, None, came), "service");
        }
    }
}

#[test]
fn the_label_of_its_script_shows_what_put_an_address_there() {
    for came in CAME {
        assert_eq!(standing("10.77.0.100", None, came), "service");
        assert_eq!(standing("IPaddr::10.98.0.1", None, came), "service");
        let word = "IPaddr2::10.97.0.1/24/eth0:vip";
        assert_eq!(standing(word, None, came), "service");
    }
    // Another script's label, and one of the administrator's.
    assert_eq!(
        standing("IPaddr2::10.98.0.1", None, Came::Before),
        "own 10.98.0.1/24 on eth0"
    );
    assert_eq!(
        standing("10.97.0.1", None, Came::Before),
        "own 10.97.0.1/24 on eth0"
    );
}

#[test]
fn a_labelled_source_is_in_doubt() {
    let host = vec![at("eth0:0", "10.77.0.100", 24)];
    let own = OwnAddresses::new(host, &[bcast("eth0")]);
    let resource = parse_word("10.77.0.100").unwrap().unwrap();
    let standing = own.standing(&resource, None, Came::Before);
    assert!(matches!(standing, Standing::Doubt(_)), "{standing:?}");
}

#[test]
fn an_address_not_here_or_on_an_ignored_interface_is_absent() {
    assert_eq!(standing("10.77.0.9", None, Came::Before), "absent");
    assert_eq!(standing("127.0.0.1", None, Came::Before), "absent");
    assert_eq!(
        standing("IPaddr2::127.0.0.1/8/lo", None, Came::Before),
        "own 127.0.0.1/8 on lo"
    );
}

#[test]
fn the_kernels_choice_of_a_source_is_followed() {
    let host = vec![
        at("eth0", "10.77.0.1", 24),
        at("eth0", "10.88.0.1", 24),
        at("eth0", "10.88.0.2", 24),
        at("eth0", "fd77::1", 64),
        at("eth1", "fd88::1", 64),
        at("eth1", "fd88::2", 64),
        at("eth1", "fe80::1", 64),
    ];
    let address = |medium: MediumConfig| {
        source(&host, &medium).map_or_else(String::new, |it| it.address.to_string())
    };
    let ucast = |peer: &str| MediumConfig::Ucast {
        interface: "eth0".into(),
        peer: peer.parse().unwrap(),
        port: 694,
    };
    let ucast6 = |interface: &str| MediumConfig::Ucast6 {
        interface: interface.into(),
        peer: "fd77::2".parse().unwrap(),
        port: 694,
    };
    assert_eq!(address(bcast("eth0")), "10.77.0.1");
    assert_eq!(address(ucast("10.88.0.9")), "10.88.0.1");
    assert_eq!(address(ucast("192.0.2.1")), "10.77.0.1");
    assert_eq!(address(ucast6("eth0")), "fd77::1");
    assert_eq!(address(ucast6("eth1")), "", "either may be chosen");
    assert_eq!(address(bcast("eth7")), "");
    let mcast6 = MediumConfig::Mcast6 {
        interface: "eth1".into(),
        group: "ff02::1:1".parse().unwrap(),
        port: 694,
        hops: 1,
        loopback: false,
    };
    assert_eq!(address(mcast6), "fe80::1");
}
