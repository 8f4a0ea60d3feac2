use std::io::Write as _;

use proptest::prelude::*;

use super::*;

fn parsed(word: &str) -> AddressResource {
    parse_word(word).unwrap().unwrap()
}

fn plain(address: &str, style: AddressStyle) -> AddressResource {
    AddressResource {
        address: address.parse().unwrap(),
        prefix: None,
        interface: None,
        label: None,
        broadcast: None,
        style,
    }
}

#[test]
fn bare_forms() {
    let base = plain("10.0.0.1", AddressStyle::Bare);
    assert_eq!(parsed("10.0.0.1"), base);
    let with_prefix = AddressResource {
        prefix: Some(24),
        ..base.clone()
    };
    assert_eq!(parsed("10.0.0.1/24"), with_prefix);
    let with_interface = AddressResource {
        interface: Some("eth0".into()),
        ..with_prefix.clone()
    };
    assert_eq!(parsed("10.0.0.1/24/eth0"), with_interface);
    let broadcast = Some(Ipv4Addr::new(10, 0, 0, 250));
    assert_eq!(
        parsed("10.0.0.1/24/eth0/10.0.0.250"),
        AddressResource {
            broadcast,
            ..with_interface.clone()
        }
    );
    assert_eq!(
        parsed("10.0.0.1/24/10.0.0.250"),
        AddressResource {
            broadcast,
            ..with_prefix
        }
    );
    // Empty parts count as parts not given.
    assert_eq!(
        parsed("10.0.0.1//eth0"),
        AddressResource {
            interface: Some("eth0".into()),
            ..base
        }
    );
}

#[test]
fn label_is_kept_for_ipaddr2_alone() {
    assert_eq!(
        parsed("IPaddr2::10.0.0.1/24/eth0:web").label.as_deref(),
        Some("eth0:web")
    );
    assert_eq!(
        parsed("IPaddr2::10.0.0.1/24/eth0:web").interface.as_deref(),
        Some("eth0")
    );
    assert_eq!(parsed("IPaddr2::10.0.0.1/24/eth0").label, None);
    for word in ["10.0.0.1/24/eth0:5", "IPaddr::10.0.0.1/24/eth0:5"] {
        assert_eq!(parsed(word).label, None, "{word}");
        assert_eq!(parsed(word).interface.as_deref(), Some("eth0"), "{word}");
    }
}

#[test]
fn dotted_netmasks() {
    for (mask, prefix) in [
        ("255.255.255.0", 24),
        ("255.255.255.128", 25),
        ("255.0.0.0", 8),
        ("255.255.255.255", 32),
    ] {
        assert_eq!(
            parsed(&format!("IPaddr::10.0.0.1/{mask}/eth0")).prefix,
            Some(prefix)
        );
    }
    for mask in ["255.0.255.0", "0.0.0.0", "0.0.0.255", "33", "-1", "x", "0"] {
        let word = format!("IPaddr::10.0.0.1/{mask}");
        assert!(
            matches!(parse_word(&word), Err(AddressWordError::Prefix { .. })),
            "{word}"
        );
    }
}

#[test]
fn ipv6_forms() {
    let expected = AddressResource {
        prefix: Some(64),
        interface: Some("eth0".into()),
        ..plain("fd77::100", AddressStyle::IPv6addr)
    };
    assert_eq!(parsed("IPv6addr::fd77:0:0:0:0:0:0:100/64/eth0"), expected);
    assert_eq!(parsed("IPv6addr::fd77::100/64/eth0"), expected);
    assert_eq!(
        parsed("IPv6addr::fd77::100"),
        plain("fd77::100", AddressStyle::IPv6addr)
    );
    assert_eq!(parsed("IPaddr2::fd77::100").style, AddressStyle::IPaddr2);
    assert!(matches!(
        parse_word("IPv6addr::fd77::100/64/eth0/10.0.0.1"),
        Err(AddressWordError::Trailing { .. })
    ));
    assert!(matches!(
        parse_word("IPv6addr::fd77::100/129"),
        Err(AddressWordError::Prefix { .. })
    ));
}

#[test]
fn words_that_are_no_address() {
    for word in [
        "apache",
        "Filesystem::/dev/sda1::/mnt",
        "IPaddr",
        "IPsrcaddr::10.0.0.1",
        "IPaddr3::1.2.3.4",
        "1.2.3",
        "a.b.c.d",
        "",
    ] {
        assert_eq!(parse_word(word), Ok(None), "{word}");
    }
}

#[test]
fn malformed_addresses_are_named() {
    for word in [
        "10.0.0.256",
        "1.2.3.4.5",
        "10.0.0.1::x",
        "IPaddr::host",
        "IPaddr::",
        "IPaddr::0.0.0.0",
        "IPaddr2::224.0.0.1",
        "IPaddr::10.0.0.1::24",
    ] {
        assert!(
            matches!(parse_word(word), Err(AddressWordError::Address { .. })),
            "{word}"
        );
    }
    assert!(matches!(
        parse_word("IPaddr::fd77::1"),
        Err(AddressWordError::Family { .. })
    ));
    assert!(matches!(
        parse_word("IPv6addr::10.0.0.1"),
        Err(AddressWordError::Family { .. })
    ));
    for word in [
        "10.0.0.1/24/abcdefghijklmnop",
        "10.0.0.1/24/:1",
        "10.0.0.1/24/eth0:",
        "10.0.0.1/24/..",
    ] {
        assert!(
            matches!(parse_word(word), Err(AddressWordError::Interface { .. })),
            "{word}"
        );
    }
    assert!(matches!(
        parse_word("10.0.0.1/24/eth0/all"),
        Err(AddressWordError::Broadcast { .. })
    ));
    for word in [
        "10.0.0.1/24/eth0/10.0.0.255/x",
        "10.0.0.1/24/10.0.0.255/eth0",
    ] {
        assert!(
            matches!(parse_word(word), Err(AddressWordError::Trailing { .. })),
            "{word}"
        );
    }
}

#[test]
fn networks() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    assert!(covers(ip("10.1.0.0"), 16, ip("10.1.255.3")));
    assert!(!covers(ip("10.1.0.0"), 16, ip("10.2.0.3")));
    assert!(covers(ip("0.0.0.0"), 0, ip("10.2.0.3")));
    assert!(covers(ip("10.1.0.5"), 32, ip("10.1.0.5")));
    assert!(covers(ip("fd77::"), 64, ip("fd77::9")));
    assert!(!covers(ip("fd77::"), 64, ip("fd78::9")));
    assert!(covers(ip("::"), 0, ip("fd78::9")));
    assert!(!covers(ip("::"), 0, ip("1.2.3.4")));
    let v4 = Ipv4Addr::new(10, 77, 0, 100);
    assert_eq!(broadcast_of(v4, 24), Ipv4Addr::new(10, 77, 0, 255));
    assert_eq!(broadcast_of(v4, 25), Ipv4Addr::new(10, 77, 0, 127));
    assert_eq!(broadcast_of(v4, 32), v4);
    assert_eq!(broadcast_of(v4, 0), Ipv4Addr::BROADCAST);
    assert!(is_link_local("fe80::1".parse().unwrap()));
    assert!(!is_link_local("fd77::1".parse().unwrap()));
}

#[test]
fn scripts_are_told_apart() {
    assert_eq!(ScriptFile::classify("IPaddr", None), ScriptFile::Absent);
    let ours = format!("#!/bin/sh\n{OUR_WRAPPER_MARK}\nexit 0\n");
    assert_eq!(
        ScriptFile::classify("IPaddr", Some(ours.as_bytes())),
        ScriptFile::Ours
    );
    assert_eq!(
        ScriptFile::classify("IPaddr", Some(b"#!/bin/sh\nip addr add $1\n")),
        ScriptFile::Administrators
    );
    assert_eq!(
        ScriptFile::classify("IPaddr", Some(b"")),
        ScriptFile::Administrators
    );
}

/// If Debian's package is installed, its unchanged wrappers are known and a changed byte is
/// noticed.
#[test]
fn installed_debian_wrappers_are_known() {
    for name in ["IPaddr", "IPaddr2", "IPv6addr"] {
        let path = std::path::Path::new("/etc/ha.d/resource.d").join(name);
        let Ok(mut contents) = std::fs::read(&path) else {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED installed_debian_wrappers_are_known: no {}",
                path.display()
            );
            continue;
        };
        if ScriptFile::classify(name, Some(&contents)) != ScriptFile::Distributed {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED installed_debian_wrappers_are_known: {} is not Debian's",
                path.display()
            );
            continue;
        }
        contents.push(b'\n');
        assert_eq!(
            ScriptFile::classify(name, Some(&contents)),
            ScriptFile::Administrators
        );
        contents.pop();
        // The wrapper of another name is not the distributed wrapper of this one.
        assert_eq!(
            ScriptFile::classify("IPother", Some(&contents)),
            ScriptFile::Administrators
        );
    }
}

#[test]
fn who_handles_an_address() {
    use NativeAddresses::{Always, Auto, Never};
    use ScriptFile::{Absent, Administrators, Distributed, Ours};
    for script in [Absent, Ours, Distributed] {
        assert_eq!(handling(Auto, script), Handling::Native);
        assert_eq!(handling(Always, script), Handling::Native);
        assert_eq!(handling(Never, script), Handling::Script);
    }
    assert_eq!(handling(Auto, Administrators), Handling::Script);
    assert_eq!(handling(Always, Administrators), Handling::Native);
    assert_eq!(handling(Never, Administrators), Handling::Script);
}

proptest! {
    #[test]
    fn no_word_panics(word in "(IPaddr::|IPaddr2::|IPv6addr::)?[0-9a-f:./]{0,40}") {
        let _ = parse_word(&word);
    }

    #[test]
    fn covers_agrees_with_broadcast(bits in any::<u32>(), prefix in 0_u8..=32) {
        let address = Ipv4Addr::from_bits(bits);
        let last = broadcast_of(address, prefix);
        prop_assert!(covers(address.into(), prefix, last.into()));
        if let Some(beyond) = last.to_bits().checked_add(1) {
            prop_assert!(!covers(address.into(), prefix, Ipv4Addr::from_bits(beyond).into()));
        }
    }
}
