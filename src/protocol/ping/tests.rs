use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::super::auth::Method;
use super::*;

const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 254));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 99));
const US: Identifier = Identifier(0x1000);
const DEADPING: Duration = Duration::from_secs(3);

fn keys() -> KeyRing {
    KeyRing::new(1, vec![(1, Method::Sha1, b"labkey".to_vec())]).expect("a key ring")
}

fn pinger(medium: &'static str, name: &str, hosts: &[IpAddr]) -> Pinger {
    let name = NodeName::new(name).expect("a name");
    Pinger::new(name, medium, hosts.to_vec(), US, DEADPING)
}

fn router() -> Pinger {
    pinger("ping", "10.77.0.254", &[ROUTER])
}

fn at(ms: u64) -> Monotonic {
    Monotonic::from_millis(ms)
}

/// Asks as the own status does that is sent at `ms`.
fn ask(pinger: &mut Pinger, ms: u64) -> Question {
    let status = Message::new("status").with("ts", "6b00c544");
    pinger
        .ask(&status, &keys(), at(ms))
        .expect("encodes")
        .expect("a status asks")
}

fn reply_to(question: &Question) -> Reply<'_> {
    Reply {
        identifier: US,
        sequence: question.sequence,
        payload: &question.payload,
    }
}

#[test]
fn the_payload_is_what_legacy_sends() {
    let single: &[u8] = include_bytes!("../../../tests/vectors/ping/type_icmp_ping.bin");
    let group: &[u8] = include_bytes!("../../../tests/vectors/ping/type_icmp_ping_group.bin");
    assert_eq!(ask(&mut router(), 0).payload.as_ref(), single);
    let mut pinger = pinger("ping_group", "pg1", &[ROUTER, OTHER]);
    assert_eq!(ask(&mut pinger, 0).payload.as_ref(), group);
    let order: Vec<_> = pinger.hosts().collect();
    assert_eq!(order, [OTHER, ROUTER]);
}

#[test]
fn only_a_status_asks() {
    let mut pinger = router();
    for kind in ["NS_ackmsg", "resource", "starting", "NS_st"] {
        let message = Message::new(kind).with("ts", "6b00c544");
        assert_eq!(pinger.ask(&message, &keys(), at(0)), Ok(None), "{kind}");
    }
    assert_eq!(ask(&mut pinger, 0).sequence, 0);
    assert_eq!(ask(&mut pinger, 1).sequence, 1);
    pinger.next = u16::MAX;
    assert_eq!(ask(&mut pinger, 2).sequence, u16::MAX);
    assert_eq!(ask(&mut pinger, 3).sequence, 0);
}

#[test]
fn an_answer_brings_the_message_home_once() {
    let mut pinger = router();
    let question = ask(&mut pinger, 0);
    let message = pinger
        .answer(&reply_to(&question), Some(ROUTER), at(1))
        .expect("counts");
    assert_eq!(message.kind(), Some("NS_st"));
    assert_eq!(message.text("st"), Some("ping"));
    assert_eq!(message.text("src"), Some("10.77.0.254"));
    assert_eq!(message.text("info"), Some("ping"));
    let again = pinger.answer(&reply_to(&question), Some(ROUTER), at(2));
    assert_eq!(again, None, "a reply counts once");
}

#[test]
fn a_group_lives_by_its_first_answer_and_knows_its_hosts() {
    let mut pinger = pinger("ping_group", "grp", &[ROUTER, OTHER]);
    let question = ask(&mut pinger, 0);
    let stranger = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 7));
    let reply = reply_to(&question);
    assert_eq!(pinger.answer(&reply, Some(stranger), at(1)), None);
    assert_eq!(pinger.answer(&reply, None, at(1)), None);
    assert!(pinger.answer(&reply, Some(ROUTER), at(1)).is_some());
    assert_eq!(pinger.answer(&reply, Some(OTHER), at(1)), None);
}

#[test]
fn replies_to_old_requests_do_not_count() {
    let mut pinger = router();
    let question = ask(&mut pinger, 0);
    let good = reply_to(&question);
    let bent = [question.payload.as_ref(), b"x"].concat();
    let short = &question.payload[..question.payload.len() - 1];
    for reply in [
        Reply {
            identifier: Identifier(1),
            ..good
        },
        Reply {
            sequence: 1,
            ..good
        },
        Reply {
            payload: &bent,
            ..good
        },
        Reply {
            payload: short,
            ..good
        },
        Reply {
            payload: b"",
            ..good
        },
    ] {
        assert_eq!(pinger.answer(&reply, Some(ROUTER), at(1)), None);
    }
    let mut on_time = pinger.clone();
    assert!(on_time.answer(&good, Some(ROUTER), at(3_000)).is_some());
    assert_eq!(pinger.answer(&good, Some(ROUTER), at(3_001)), None);
}

#[test]
fn the_list_of_open_requests_is_bounded() {
    let mut pinger = router();
    let first = ask(&mut pinger, 0);
    for _ in 0..MAX_OUTSTANDING {
        ask(&mut pinger, 1);
    }
    assert_eq!(pinger.sent.len(), MAX_OUTSTANDING);
    let late = pinger.answer(&reply_to(&first), Some(ROUTER), at(2));
    assert_eq!(late, None);
}

#[test]
fn a_request_has_the_captured_header() {
    // ICMP of a legacy node with process id 16: type 8, its checksum, the id byte-swapped.
    let bytes = request(Family::V4, US, 1, b"0123456789").expect("fits");
    assert_eq!(bytes[..2], [8, 0]);
    assert_eq!(bytes[4..8], [0x10, 0x00, 0x00, 0x01]);
    assert_eq!(&bytes[8..], b"0123456789");
    // The sum over the whole, its checksum included, is all ones.
    let sum = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum::<u32>();
    assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    #[cfg(target_endian = "little")]
    assert_eq!(Identifier::of_process(16), Identifier(0x1000));
    #[cfg(target_endian = "little")]
    assert_eq!(Identifier::of_process(0x0001_0203), Identifier(0x0302));
}

#[test]
fn a_request_for_ipv6_leaves_the_checksum_to_the_kernel() {
    let bytes = request(Family::V6, US, 7, b"x").expect("fits");
    assert_eq!(bytes, [128, 0, 0, 0, 0x10, 0, 0, 7, b'x']);
    assert_eq!(request(Family::V6, US, 7, &[0; 65_536]), None);
}

#[test]
fn reads_replies_and_nothing_else() {
    let icmp = |kind: u8| vec![kind, 0, 9, 9, 0x10, 0, 0, 5, b'p', b'q'];
    let with_header = |words: u8, icmp: &[u8]| {
        let mut packet = vec![0_u8; usize::from(words) * 4];
        packet[0] = 0x40 | words;
        packet.resize(packet.len().max(20), 0);
        packet.truncate(usize::from(words).max(5) * 4);
        packet.extend_from_slice(icmp);
        packet
    };
    let expected = Reply {
        identifier: US,
        sequence: 5,
        payload: b"pq",
    };
    for words in [5, 6, 15] {
        let packet = with_header(words, &icmp(0));
        assert_eq!(reply(Family::V4, &packet), Some(expected), "{words} words");
    }
    let six = icmp(129);
    assert_eq!(reply(Family::V6, &six), Some(expected));
    for other in [8, 3, 11, 129] {
        assert_eq!(reply(Family::V4, &with_header(5, &icmp(other))), None);
    }
    for other in [0, 128, 1] {
        assert_eq!(reply(Family::V6, &icmp(other)), None);
    }
    assert_eq!(reply(Family::V4, &with_header(5, &icmp(0))[..27]), None);
    assert_eq!(reply(Family::V6, &six[..7]), None);
    assert_eq!(reply(Family::V4, b""), None);
}

proptest! {
    #[test]
    fn no_received_packet_does_harm(heard in proptest::collection::vec(any::<u8>(), 0..120)) {
        let mut pinger = router();
        ask(&mut pinger, 0);
        for family in [Family::V4, Family::V6] {
            if let Some(reply) = reply(family, &heard) {
                prop_assert_eq!(pinger.answer(&reply, Some(ROUTER), at(1)), None);
            }
        }
    }

    #[test]
    fn the_message_in_a_request_can_be_read_back(payload in proptest::collection::vec(any::<u8>(), 0..300), sequence: u16) {
        let mut bytes = request(Family::V6, US, sequence, &payload).expect("fits");
        bytes[0] = 129;
        let expected = Reply { identifier: US, sequence, payload: &payload };
        prop_assert_eq!(reply(Family::V6, &bytes), Some(expected));
    }
}
