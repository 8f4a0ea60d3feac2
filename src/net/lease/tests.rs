use super::*;
use netlink_packet_route::AddressFamily as Family;

fn there(address: &str, prefix: u8, flags: AddressFlags) -> Assigned {
    let address: IpAddr = address.parse().expect("an address");
    let mut message = AddressMessage::default();
    message.header.index = 2;
    message.header.prefix_len = prefix;
    message.header.family = match address {
        IpAddr::V4(_) => Family::Inet,
        IpAddr::V6(_) => Family::Inet6,
    };
    message.attributes = vec![
        AddressAttribute::Address(address),
        AddressAttribute::Local(address),
        AddressAttribute::Flags(flags),
        AddressAttribute::RoutePriority(50),
        AddressAttribute::CacheInfo(CacheInfo::default()),
    ];
    if address.is_ipv4() {
        let label = AddressAttribute::Label("eth0:0".to_owned());
        message.attributes.push(label);
    }
    set_lifetime(&mut message, FOREVER);
    assigned(message).expect("an address")
}

fn lifetime(message: &AddressMessage) -> Vec<(u32, u32)> {
    let attributes = message.attributes.iter();
    let found = attributes.filter_map(|it| match it {
        AddressAttribute::CacheInfo(life) => Some((life.ifa_valid, life.ifa_preferred)),
        _ => None,
    });
    found.collect()
}

fn flags(message: &AddressMessage) -> AddressFlags {
    let mut attributes = message.attributes.iter();
    let found = attributes.find_map(|it| match it {
        AddressAttribute::Flags(flags) => Some(*flags),
        _ => None,
    });
    found.expect("flags")
}

#[test]
fn a_renewal_changes_the_lifetime_and_nothing_else() {
    let four = there(
        "10.0.0.9",
        24,
        AddressFlags::Secondary | AddressFlags::Permanent,
    );
    assert!(!ends(&four));
    let message = renewal(&four, Some(2), false);
    assert_eq!(
        lifetime(&message),
        [(2, 2)],
        "no time in which it is deprecated"
    );
    assert_eq!(flags(&message), AddressFlags::empty());
    let kept = [
        AddressAttribute::RoutePriority(50),
        AddressAttribute::Label("eth0:0".to_owned()),
        AddressAttribute::Local([10, 0, 0, 9].into()),
    ];
    for kept in kept {
        assert!(message.attributes.contains(&kept), "{kept:?}");
    }
    assert!(ends(&assigned(message).expect("an address")));
    let endless = renewal(&four, None, true);
    assert_eq!(lifetime(&endless), [(FOREVER, FOREVER)]);
    assert!(!ends(&assigned(endless).expect("an address")));
}

#[test]
fn an_ipv6_address_leaves_the_route_to_one_that_stays() {
    let mine = there("fd00::9", 64, AddressFlags::Nodad);
    let host = there("fd00::2", 64, AddressFlags::Permanent);
    let other = there("fd01::2", 64, AddressFlags::Permanent);
    let place = (2, mine.address, 64);
    let nobody = |_: IpAddr| false;
    let all = [mine.clone(), other.clone(), host.clone()];
    assert!(leaves_route(place, &all, &nobody));
    assert!(!leaves_route(place, &[mine.clone(), other], &nobody));
    let leased = |address: IpAddr| address == host.address;
    assert!(!leaves_route(place, &all, &leased), "they end together");
    assert!(!leaves_route((3, mine.address, 64), &all, &nobody));
    let four = there("10.0.0.9", 24, AddressFlags::empty());
    let second = there("10.0.0.2", 24, AddressFlags::empty());
    assert!(!leaves_route((2, four.address, 24), &[second], &nobody));
    let both = AddressFlags::Nodad | AddressFlags::Noprefixroute;
    let message = renewal(&mine, Some(2), true);
    assert_eq!(flags(&message), both);
    assert_eq!(message.header.flags, AddressHeaderFlags::Nodad);
    // What stays for ever takes part in the route again.
    assert_eq!(flags(&renewal(&mine, None, true)), AddressFlags::Nodad);
    let mut new = AddressMessage::default();
    limit(&mut new, 3, true);
    assert_eq!((lifetime(&new), flags(&new)), (vec![(3, 3)], both));
}

#[test]
fn others_go_along_unless_they_are_promoted() {
    let first = there("10.0.0.9", 24, AddressFlags::empty());
    let second = there("10.0.0.10", 24, AddressFlags::Secondary);
    let all = [first.clone(), second.clone()];
    let read = |of: &'static str, value: &'static str| {
        move |path: &Path| path.ends_with(of).then(|| value.as_bytes().to_vec())
    };
    let all_off = read("all/promote_secondaries", "0\n");
    assert_eq!(takes_along(&first, &all, &all_off), [&second]);
    assert!(takes_along(&second, &all, &all_off).is_empty());
    for of in ["all/promote_secondaries", "eth0/promote_secondaries"] {
        assert!(
            takes_along(&first, &all, &read(of, "1\n")).is_empty(),
            "{of}"
        );
    }
}

#[test]
fn the_kernel_answers_and_refuses() {
    let mut socket = LeaseSocket::open().expect("a socket");
    let all = socket.addresses().expect("an answer");
    assert!(all.iter().all(|it| it.prefix <= 128));
    // An interface that is not there.
    let mut nowhere = there("192.0.2.9", 32, AddressFlags::empty());
    nowhere.message.header.index = 4_000_000;
    let message = renewal(&nowhere, Some(2), false);
    let answers = socket.change(vec![message; 150]).expect("answers");
    assert_eq!(answers.len(), 150);
    assert!(answers.iter().all(Result::is_err));
    let removed = socket.remove(&[nowhere]).expect("answers");
    assert!(matches!(removed.as_slice(), [Err(_)]));
    assert_eq!(socket.addresses().expect("an answer").len(), all.len());
}
