use super::*;

const MAC: [u8; 6] = [0xe2, 0x2e, 0xc5, 0x0a, 0xea, 0xb6];

/// The two packets that Debian's `IPaddr` agent sent for 10.77.0.100, captured with tcpdump.
const LEGACY_REQUEST: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xe2, 0x2e, 0xc5, 0x0a, 0xea, 0xb6, 0x08, 0x06, 0x00, 0x01,
    0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0xe2, 0x2e, 0xc5, 0x0a, 0xea, 0xb6, 0x0a, 0x4d, 0x00, 0x64,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x4d, 0x00, 0x64,
];
const LEGACY_REPLY: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xe2, 0x2e, 0xc5, 0x0a, 0xea, 0xb6, 0x08, 0x06, 0x00, 0x01,
    0x08, 0x00, 0x06, 0x04, 0x00, 0x02, 0xe2, 0x2e, 0xc5, 0x0a, 0xea, 0xb6, 0x0a, 0x4d, 0x00, 0x64,
    0xe2, 0x2e, 0xc5, 0x0a, 0xea, 0xb6, 0x0a, 0x4d, 0x00, 0x64,
];

#[test]
fn gratuitous_arp_is_byte_for_byte_as_legacy_sends_it() {
    let address = IpAddr::from([10, 77, 0, 100]);
    assert_eq!(frame(Kind::ArpRequest, MAC, address, false), LEGACY_REQUEST);
    assert_eq!(frame(Kind::ArpReply, MAC, address, false), LEGACY_REPLY);
}

#[test]
fn neighbour_advertisement_bytes() {
    let address: Ipv6Addr = "fd77::100".parse().unwrap();
    let bytes = frame(Kind::NeighbourAdvertisement, MAC, address.into(), false);
    let mut expected = vec![0x33, 0x33, 0, 0, 0, 1];
    expected.extend(MAC);
    expected.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]);
    expected.extend(address.octets());
    expected.extend(ALL_NODES.octets());
    expected.extend([136, 0]);
    let sum = internet_checksum(&bytes);
    expected.extend([bytes[56], bytes[57]]);
    expected.extend([0x20, 0, 0, 0]);
    expected.extend(address.octets());
    expected.extend([2, 1]);
    expected.extend(MAC);
    assert_eq!(bytes, expected);
    assert_eq!(sum, 0xffff, "checksum over pseudo header and message");
    let router = frame(Kind::NeighbourAdvertisement, MAC, address.into(), true);
    assert_eq!(router[58], 0xa0, "router and override");
    assert_eq!(internet_checksum(&router), 0xffff);
}

/// Sum of RFC 4443 section 2.3 over an IPv6 frame, its checksum field included: 0xffff if right.
fn internet_checksum(frame: &[u8]) -> u16 {
    let (addresses, message) = (&frame[22..54], &frame[54..]);
    let pseudo = [0, 0, 0, message.len() as u8, 0, 0, 0, 58];
    let all = [addresses, &pseudo, message].concat();
    let mut sum: u32 = all
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[test]
fn a_kind_of_the_other_family_makes_no_frame() {
    let v4 = IpAddr::from([10, 0, 0, 1]);
    let v6: IpAddr = "fd77::1".parse().unwrap();
    assert!(frame(Kind::NeighbourAdvertisement, MAC, v4, false).is_empty());
    assert!(frame(Kind::ArpRequest, MAC, v6, false).is_empty());
    assert!(frame(Kind::ArpReply, MAC, v6, false).is_empty());
}

#[test]
fn arp_schedule_alternates_as_ipaddr2_does_and_comes_back_twice() {
    let steps: Vec<(u128, Kind)> = schedule(IpAddr::from([10, 0, 0, 1]))
        .map(|step| (step.at.as_millis(), step.kind))
        .collect();
    let mut expected = Vec::new();
    for at in [0, 200, 400, 600, 800, 2000, 10_000] {
        expected.push((at, Kind::ArpRequest));
        expected.push((at + 100, Kind::ArpReply));
    }
    assert_eq!(steps, expected);
    assert!(steps.is_sorted_by_key(|(at, _)| *at));
}

#[test]
fn advertisement_schedule_has_one_frame_a_round() {
    let steps: Vec<(u128, Kind)> = schedule("fd77::1".parse().unwrap())
        .map(|step| (step.at.as_millis(), step.kind))
        .collect();
    let expected =
        [0, 200, 400, 600, 800, 2000, 10_000].map(|at| (at, Kind::NeighbourAdvertisement));
    assert_eq!(steps, expected);
}

#[test]
fn after_a_conflict_the_rounds_become_slow_and_never_end() {
    let address = IpAddr::from([10, 0, 0, 1]);
    let steps = after_conflict(address).filter(|step| step.kind == Kind::ArpRequest);
    let seconds: Vec<u64> = steps.take(10).map(|step| step.at.as_secs()).collect();
    assert_eq!(seconds, [0, 1, 2, 5, 10, 20, 30, 60, 120, 180]);
    assert_eq!(
        after_conflict(address).nth(500).map(|step| step.kind),
        Some(Kind::ArpRequest)
    );
}
