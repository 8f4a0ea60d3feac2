use std::net::Ipv4Addr;

use netlink_packet_route::address::AddressHeaderFlags;
use netlink_packet_route::route::RouteNextHop;

use super::*;

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 100));

#[test]
fn interfaces_are_translated() {
    let mut message = LinkMessage::default();
    message.header.index = 7;
    message.header.link_layer_type = LinkLayerType::Ether;
    message.header.flags = LinkFlags::Up | LinkFlags::Noarp;
    message
        .attributes
        .push(LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]));
    assert_eq!(
        interface(message.clone()),
        None,
        "without a name it cannot be used"
    );
    message
        .attributes
        .push(LinkAttribute::IfName("eth0".into()));
    let expected = Interface {
        index: 7,
        name: "eth0".into(),
        up: true,
        carrier: false,
        loopback: false,
        no_arp: true,
        mac: Some([2, 0, 0, 0, 0, 1]),
    };
    assert_eq!(interface(message.clone()), Some(expected));
    message.header.link_layer_type = LinkLayerType::Infiniband;
    assert_eq!(
        interface(message).and_then(|it| it.mac),
        None,
        "not an Ethernet address"
    );
}

#[test]
fn addresses_are_translated() {
    let mut message = AddressMessage::default();
    message.header.index = 2;
    message.header.prefix_len = 24;
    message.header.flags = AddressHeaderFlags::Secondary;
    assert_eq!(assigned(message.clone()), None);
    message
        .attributes
        .push(AddressAttribute::Address([10, 77, 0, 1].into()));
    message.attributes.push(AddressAttribute::Local(ADDRESS));
    message
        .attributes
        .push(AddressAttribute::Label("eth0:0".into()));
    let it = assigned(message).unwrap();
    assert_eq!((it.index, it.address, it.prefix), (2, ADDRESS, 24));
    assert_eq!(it.label.as_deref(), Some("eth0:0"));
    assert!(it.secondary && !it.unusable);
}

#[test]
fn an_ipv6_address_in_detection_is_unusable() {
    let with = |flags| {
        let mut message = AddressMessage::default();
        message
            .attributes
            .push(AddressAttribute::Address("fd77::1".parse().unwrap()));
        message.attributes.push(AddressAttribute::Flags(flags));
        assigned(message).unwrap()
    };
    assert!(with(AddressFlags::Tentative).unusable);
    assert!(with(AddressFlags::Dadfailed | AddressFlags::Permanent).unusable);
    assert!(!with(AddressFlags::Tentative | AddressFlags::Optimistic).unusable);
    assert!(!with(AddressFlags::Permanent).unusable);
    // The same bit means secondary for IPv4 and temporary for IPv6.
    assert!(!with(AddressFlags::Secondary).secondary);
}

#[test]
fn only_unicast_routes_of_the_main_table_count() {
    let mut message = RouteMessage::default();
    message.header.destination_prefix_length = 24;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.kind = RouteType::Unicast;
    let network = RouteAddress::Inet(Ipv4Addr::new(10, 77, 0, 0));
    message
        .attributes
        .push(RouteAttribute::Destination(network));
    assert_eq!(route(&message, ADDRESS), None, "leads nowhere");
    message.attributes.push(RouteAttribute::Oif(2));
    message.attributes.push(RouteAttribute::Priority(100));
    let expected = Route {
        destination: [10, 77, 0, 0].into(),
        prefix: 24,
        index: 2,
        metric: 100,
        dead: false,
    };
    assert_eq!(route(&message, ADDRESS), Some(expected));
    message.header.flags = RouteFlags::Linkdown;
    assert!(route(&message, ADDRESS).unwrap().dead);
    message.attributes.push(RouteAttribute::Table(255));
    assert_eq!(
        route(&message, ADDRESS),
        None,
        "the long table number counts"
    );
    message.attributes.pop();
    message.header.kind = RouteType::BlackHole;
    assert_eq!(route(&message, ADDRESS), None);
}

#[test]
fn a_route_of_several_hops_counts_by_its_first() {
    let mut hop = RouteNextHop::default();
    hop.interface_index = 5;
    let mut message = RouteMessage::default();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.kind = RouteType::Unicast;
    message
        .attributes
        .push(RouteAttribute::MultiPath(vec![hop]));
    let default = route(&message, ADDRESS).unwrap();
    assert_eq!((default.index, default.prefix), (5, 0));
    assert_eq!(default.destination, IpAddr::from([0; 4]));
}

#[test]
fn a_refusal_keeps_its_number_and_the_connection() {
    let refused = NetlinkError::Refused(io::Error::from_raw_os_error(libc::EEXIST));
    assert_eq!(refused.errno(), Some(libc::EEXIST));
    assert!(!refused.breaks_connection());
    assert!(NetlinkError::Closed.breaks_connection());
    assert!(NetlinkError::TimedOut.breaks_connection());
    assert_eq!(NetlinkError::Closed.errno(), None);
}
