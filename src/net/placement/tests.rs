use super::*;
use crate::net::address::parse_word;

fn resource(word: &str) -> AddressResource {
    parse_word(word).unwrap().unwrap()
}

fn interface(index: u32, name: &str) -> Interface {
    Interface {
        index,
        name: name.into(),
        up: true,
        carrier: true,
        loopback: name == "lo",
        no_arp: name.starts_with("dummy"),
        mac: Some([2, 0, 0, 0, 0, index as u8]),
    }
}

fn interfaces() -> Vec<Interface> {
    vec![
        interface(1, "lo"),
        interface(2, "eth0"),
        interface(3, "eth1"),
        interface(4, "dummy0"),
    ]
}

fn route(destination: &str, prefix: u8, index: u32) -> Route {
    Route {
        destination: destination.parse().unwrap(),
        prefix,
        index,
        metric: 0,
        dead: false,
    }
}

fn assigned(index: u32, address: &str, prefix: u8, label: &str) -> Assigned {
    Assigned {
        index,
        address: address.parse().unwrap(),
        prefix,
        label: Some(label.into()),
        secondary: false,
        unusable: false,
        message: AddressMessage::default(),
    }
}

fn placed(word: &str, routes: &[Route]) -> Result<(String, u8), PlaceError> {
    let interfaces = interfaces();
    place(&resource(word), &interfaces, routes)
        .map(|place| (place.interface.name.clone(), place.prefix))
}

#[test]
fn the_most_specific_route_decides() {
    let routes = [
        route("0.0.0.0", 0, 3),
        route("10.0.0.0", 8, 3),
        route("10.77.0.0", 24, 2),
        route("10.78.0.0", 16, 2),
    ];
    assert_eq!(placed("10.77.0.100", &routes), Ok(("eth0".into(), 24)));
    assert_eq!(placed("10.78.0.100", &routes), Ok(("eth0".into(), 16)));
    assert_eq!(placed("10.9.9.9", &routes), Ok(("eth1".into(), 8)));
    // A given prefix stays; the route gives the interface.
    assert_eq!(placed("10.77.0.100/25", &routes), Ok(("eth0".into(), 25)));
    assert_eq!(placed("10.77.0.100//eth1", &routes), Ok(("eth1".into(), 8)));
}

#[test]
fn the_default_route_gives_an_interface_but_no_prefix() {
    let routes = [route("0.0.0.0", 0, 2)];
    assert_eq!(placed("192.168.5.5/24", &routes), Ok(("eth0".into(), 24)));
    assert_eq!(placed("192.168.5.5", &routes), Err(PlaceError::NoPrefix));
    assert_eq!(placed("192.168.5.5", &[]), Err(PlaceError::NoRoute));
    assert_eq!(placed("192.168.5.5/24", &[]), Err(PlaceError::NoRoute));
    assert_eq!(placed("192.168.5.5//eth0", &[]), Err(PlaceError::NoPrefix));
}

#[test]
fn a_named_interface_and_prefix_need_no_route() {
    assert_eq!(placed("192.168.5.5/24/eth1", &[]), Ok(("eth1".into(), 24)));
    assert_eq!(
        placed("192.168.5.5/24/eth7", &[]),
        Err(PlaceError::NoInterface {
            interface: "eth7".into()
        })
    );
    assert!(!needs_routes(&resource("192.168.5.5/24/eth1")));
    assert!(needs_routes(&resource("192.168.5.5/24")));
}

#[test]
fn among_equal_routes_the_living_and_the_cheaper_wins() {
    let dead = Route {
        dead: true,
        ..route("10.77.0.0", 24, 2)
    };
    let dear = Route {
        metric: 100,
        ..route("10.77.0.0", 24, 2)
    };
    let other = Route {
        metric: 50,
        ..route("10.77.0.0", 24, 3)
    };
    assert_eq!(
        placed("10.77.0.9", &[dead.clone(), other.clone()]),
        Ok(("eth1".into(), 24))
    );
    assert_eq!(placed("10.77.0.9", &[dear, other]), Ok(("eth1".into(), 24)));
    assert_eq!(placed("10.77.0.9", &[dead]), Ok(("eth0".into(), 24)));
}

#[test]
fn ipv6_places() {
    let routes = [
        route("::", 0, 2),
        route("fd77::", 64, 2),
        route("fe80::", 64, 2),
    ];
    assert_eq!(
        placed("IPv6addr::fd77::100", &routes),
        Ok(("eth0".into(), 64))
    );
    assert_eq!(
        placed("IPv6addr::fd78::100", &routes),
        Err(PlaceError::NoPrefix)
    );
    assert_eq!(
        placed("IPv6addr::fd78::100/64", &routes),
        Ok(("eth0".into(), 64))
    );
    assert_eq!(
        placed("IPv6addr::fe80::7/64", &routes),
        Err(PlaceError::LinkLocal)
    );
    assert_eq!(
        placed("IPv6addr::fe80::7/64/eth1", &routes),
        Ok(("eth1".into(), 64))
    );
}

#[test]
fn labels_as_the_legacy_agents_choose_them() {
    let there = [
        assigned(2, "10.77.0.1", 24, "eth0"),
        assigned(2, "10.77.0.2", 24, "eth0:0"),
        assigned(2, "10.77.0.3", 24, "eth0:2"),
    ];
    let of = |word: &str, interface: &str| label(&resource(word), interface, &there);
    assert_eq!(of("10.77.0.9", "eth0").as_deref(), Some("eth0:1"));
    assert_eq!(
        of("IPaddr::10.77.0.9/24/eth0:7", "eth0").as_deref(),
        Some("eth0:1")
    );
    assert_eq!(of("10.77.0.9", "eth1").as_deref(), Some("eth1:0"));
    assert_eq!(of("IPaddr2::10.77.0.9/24/eth0", "eth0"), None);
    assert_eq!(
        of("IPaddr2::10.77.0.9/24/eth0:www", "eth0").as_deref(),
        Some("eth0:www")
    );
    assert_eq!(of("IPv6addr::fd77::1", "eth0"), None);
    assert_eq!(
        of("10.77.0.9", "abcdefghijklmno"),
        None,
        "no room for a number"
    );
}

#[test]
fn broadcasts_as_the_legacy_agents_choose_them() {
    let of = |word: &str, prefix| {
        let resource = resource(word);
        let IpAddr::V4(address) = resource.address else {
            panic!("IPv4 only")
        };
        broadcast(&resource, address, prefix).map(|it| it.to_string())
    };
    assert_eq!(of("10.77.0.100", 24).as_deref(), Some("10.77.0.255"));
    assert_eq!(of("10.77.0.100", 25).as_deref(), Some("10.77.0.127"));
    assert_eq!(of("10.77.0.100", 32).as_deref(), Some("10.77.0.100"));
    assert_eq!(
        of("10.77.0.100/24/eth0/10.77.0.200", 24).as_deref(),
        Some("10.77.0.200")
    );
    assert_eq!(
        of("IPaddr2::10.77.0.100", 24).as_deref(),
        Some("10.77.0.255")
    );
    assert_eq!(of("IPaddr2::10.77.0.100", 32), None);
}

#[test]
fn carried_means_where_the_word_wants_it() {
    let interfaces = interfaces();
    let on = |index, prefix| vec![assigned(index, "10.77.0.100", prefix, "x")];
    let is =
        |word: &str, there: &[Assigned]| carried(&resource(word), &interfaces, there).is_some();
    assert!(is("10.77.0.100", &on(2, 24)));
    assert!(is("10.77.0.100", &on(3, 32)));
    assert!(is("10.77.0.100/24/eth0", &on(2, 24)));
    assert!(!is("10.77.0.100/24/eth0", &on(2, 32)));
    assert!(!is("10.77.0.100/24/eth0", &on(3, 24)));
    assert!(!is("10.77.0.100", &on(1, 32)), "parked on lo");
    assert!(!is("10.77.0.100", &on(4, 32)), "parked on dummy0");
    assert!(
        is("IPaddr2::10.77.0.100/32/dummy0", &on(4, 32)),
        "asked for there"
    );
    assert!(!is("10.77.0.101", &on(2, 24)));
    let failed = [Assigned {
        unusable: true,
        ..assigned(2, "fd77::1", 64, "eth0")
    }];
    assert!(!is("IPv6addr::fd77::1", &failed));
    // An interface has an IPv6 address once: with another prefix it answers, and no second one can be added.
    let other = [assigned(2, "fd77::1", 64, "eth0")];
    assert!(is("IPv6addr::fd77::1/128/eth0", &other));
    assert!(!is("IPv6addr::fd77::1/128/eth1", &other));
}

#[test]
fn stopping_takes_every_copy_that_answers() {
    let interfaces = interfaces();
    let there = [
        assigned(1, "10.77.0.100", 32, "lo"),
        assigned(2, "10.77.0.100", 24, "eth0:9"),
        assigned(2, "10.77.0.100", 32, "eth0"),
        assigned(3, "10.77.0.100", 24, "eth1"),
        assigned(4, "10.77.0.100", 32, "dummy0"),
        assigned(2, "10.77.0.101", 24, "eth0"),
    ];
    let taken = |word: &str| -> Vec<String> {
        copies(&resource(word), &interfaces, &there)
            .iter()
            .filter_map(|it| it.label.clone())
            .collect()
    };
    assert_eq!(taken("10.77.0.100/24/eth0"), ["eth0:9", "eth0", "eth1"]);
    assert_eq!(
        taken("IPaddr2::10.77.0.100/32/lo"),
        ["lo", "eth0:9", "eth0", "eth1"]
    );
    assert!(taken("10.77.0.102").is_empty());
}

/// A route that leads to a tunnel or dummy interface puts the address there: it must be found and
/// removed there.
#[test]
fn where_the_routes_put_an_address_it_is_found_again() {
    let interfaces = interfaces();
    let there = [assigned(4, "10.79.0.100", 24, "dummy0:0")];
    let word = resource("10.79.0.100");
    let to_dummy = [route("10.79.0.0", 24, 4)];
    assert_eq!(placed("10.79.0.100", &to_dummy), Ok(("dummy0".into(), 24)));
    let settled = |routes: &[Route]| settled(&word, &interfaces, routes);
    assert!(carried(&settled(&to_dummy), &interfaces, &there).is_some());
    assert_eq!(copies(&settled(&to_dummy), &interfaces, &there).len(), 1);
    // Parked there by an administrator: the routes lead to the interface where it is served.
    let both = [route("10.79.0.0", 24, 4), route("10.79.0.0", 24, 2)];
    assert_eq!(placed("10.79.0.100", &both), Ok(("eth0".into(), 24)));
    assert_eq!(settled(&both), word);
    assert!(copies(&settled(&both), &interfaces, &there).is_empty());
}

#[test]
fn requests_carry_what_they_must() {
    let interfaces = interfaces();
    let there = [assigned(2, "10.77.0.1", 24, "eth0")];
    let v4 = resource("10.77.0.100/24/eth0");
    let message = addition(&v4, place(&v4, &interfaces, &[]).unwrap(), &there);
    assert_eq!((message.header.index, message.header.prefix_len), (2, 24));
    assert_eq!(message.header.family, AddressFamily::Inet);
    assert!(
        message
            .attributes
            .contains(&AddressAttribute::Label("eth0:0".into()))
    );
    let broadcast = AddressAttribute::Broadcast(Ipv4Addr::new(10, 77, 0, 255));
    assert!(message.attributes.contains(&broadcast));
    assert!(
        message
            .attributes
            .contains(&AddressAttribute::Local(v4.address))
    );

    let v6 = resource("IPv6addr::fd77::100/64/eth0");
    let message = addition(&v6, place(&v6, &interfaces, &[]).unwrap(), &[]);
    assert_eq!(message.header.family, AddressFamily::Inet6);
    assert_eq!(message.header.flags, AddressHeaderFlags::Nodad);
    assert!(
        message
            .attributes
            .contains(&AddressAttribute::Flags(AddressFlags::Nodad))
    );
    let forever = |it: &AddressAttribute| !matches!(it, AddressAttribute::CacheInfo(_));
    assert!(
        message.attributes.iter().all(forever),
        "lifetimes left out mean for ever"
    );
}

#[test]
fn removal_names_the_address_alone_and_restoration_all_but_the_rank() {
    let mut there = assigned(2, "10.77.0.100", 24, "eth0:3");
    there.message.header.index = 2;
    there.message.header.prefix_len = 24;
    there.message.header.flags = AddressHeaderFlags::Permanent | AddressHeaderFlags::Secondary;
    let local = AddressAttribute::Local(there.address);
    let label = AddressAttribute::Label("eth0:3".into());
    let flags = AddressAttribute::Flags(AddressFlags::Permanent | AddressFlags::Secondary);
    there.message.attributes = vec![local.clone(), label.clone(), flags];
    assert_eq!(removal(&there).attributes, std::slice::from_ref(&local));
    assert_eq!(removal(&there).header, there.message.header);
    let back = restoration(&there);
    assert_eq!(back.header.flags, AddressHeaderFlags::Permanent);
    let flags = AddressAttribute::Flags(AddressFlags::Permanent);
    assert_eq!(back.attributes, [local, label, flags]);
}

#[test]
fn dependents_are_the_secondaries_of_the_same_network() {
    let secondary = |it: Assigned| Assigned {
        secondary: true,
        ..it
    };
    let first = assigned(2, "10.77.0.1", 24, "eth0");
    let there = [
        first.clone(),
        secondary(assigned(2, "10.77.0.2", 24, "eth0:0")),
        assigned(2, "10.77.0.3", 25, "eth0"),
        secondary(assigned(2, "10.78.0.2", 24, "eth0:1")),
        secondary(assigned(3, "10.77.0.4", 24, "eth1:0")),
        secondary(assigned(2, "10.77.0.5", 24, "eth0:2")),
    ];
    let labels: Vec<_> = dependents(&first, &there)
        .iter()
        .filter_map(|it| it.label.clone())
        .collect();
    assert_eq!(labels, ["eth0:0", "eth0:2"]);
    assert!(
        dependents(&there[1], &there).is_empty(),
        "a secondary takes nothing with it"
    );
}
