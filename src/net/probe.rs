//! Asks the neighbours whether one of them has an address: ARP probes for IPv4, neighbour
//! solicitations for IPv6. Neither tells another host something new about the address.
//!
//! | Sent | From | To |
//! |---|---|---|
//! | ARP request | sender address 0.0.0.0, our hardware address | all hosts |
//! | neighbour solicitation | our link-local address, or `::` without one | the solicited-node group of the address |
//!
//! A solicitation from `::` is part of duplicate address detection: a host that has just put the address up, and is in
//! its own detection, gives it up then. The legacy `IPv6addr` does such a detection at each start.
//!
//! An answer counts when it names a hardware address that is not one of ours: a host with two
//! interfaces in one network answers itself. Building and reading frames is pure; [`Prober`] owns the
//! sockets. Spec: docs/protocol/resources.md, 15, [D].

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use pnet_packet::Packet;
use pnet_packet::arp::{ArpHardwareTypes, ArpOperations, ArpPacket};
use pnet_packet::ethernet::{EtherTypes, EthernetPacket};
use pnet_packet::icmpv6::Icmpv6Types;
use pnet_packet::icmpv6::ndp::{
    Icmpv6Codes, MutableNeighborSolicitPacket, NdpOption, NdpOptionTypes, NeighborAdvertPacket,
};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

use crate::net::announce::Announcer;
use crate::net::frames::{self, Mac};

/// A neighbour solicitation without options.
const SOLICITATION_BYTES: usize = 24;

/// The same with our hardware address: a host that does not know it yet does not answer otherwise.
const SOLICITATION_WITH_SOURCE_BYTES: usize = 32;

/// How long a question takes.
#[derive(Debug, Clone, Copy)]
struct Haste {
    /// How often each question is sent: one may be lost, and a switch port may be slow.
    rounds: u32,
    /// Pause between two rounds.
    pause: Duration,
    /// How long to wait for answers in total.
    window: Duration,
}

const USUAL: Haste = Haste {
    rounds: 7,
    pause: Duration::from_millis(100),
    window: Duration::from_millis(800),
};

/// For a check that is made again and again: what is lost now is asked for the next time.
const CALM: Haste = Haste {
    rounds: 3,
    pause: Duration::from_millis(200),
    window: Duration::from_millis(600),
};

/// For an address that has answered here until a moment ago.
const QUICK: Haste = Haste {
    rounds: 2,
    pause: Duration::from_millis(15),
    window: Duration::from_millis(50),
};

/// Largest answer that is read.
const ANSWER_BYTES: usize = 1600;

/// The question which host has `address`, asked from one of our interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The address.
    pub address: IpAddr,
    /// Number of the interface.
    pub index: u32,
    /// Its hardware address.
    pub mac: Mac,
    /// Its link-local address, for questions about IPv6; `::` if it has none.
    pub source: Ipv6Addr,
    /// The link has a carrier.
    pub carrier: bool,
}

/// The frame that asks.
#[must_use]
pub fn question_frame(question: &Question) -> Vec<u8> {
    let (mac, source) = (question.mac, question.source);
    let built = match question.address {
        IpAddr::V4(address) => arp_probe(mac, address),
        IpAddr::V6(address) => solicitation(mac, source, address),
    };
    // `None` never happens: the buffers have the size of the packets.
    built.unwrap_or_default()
}

fn arp_probe(mac: Mac, address: Ipv4Addr) -> Option<Vec<u8>> {
    let nobody = Ipv4Addr::UNSPECIFIED;
    frames::arp(ArpOperations::Request, (mac, nobody), ([0; 6], address))
}

fn solicitation(mac: Mac, source: Ipv6Addr, address: Ipv6Addr) -> Option<Vec<u8>> {
    let [.., a, b, c] = address.octets();
    let group = Ipv6Addr::from([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff, a, b, c]);
    let to = ([0x33, 0x33, 0xff, a, b, c], group);
    let bytes = if source.is_unspecified() {
        SOLICITATION_BYTES
    } else {
        SOLICITATION_WITH_SOURCE_BYTES
    };
    frames::neighbour_discovery((mac, source), to, bytes, |body| {
        let mut solicit = MutableNeighborSolicitPacket::new(body)?;
        solicit.set_icmpv6_type(Icmpv6Types::NeighborSolicit);
        solicit.set_icmpv6_code(Icmpv6Codes::NoCode);
        solicit.set_target_addr(address);
        if !source.is_unspecified() {
            solicit.set_options(&[NdpOption {
                option_type: NdpOptionTypes::SourceLLAddr,
                // In units of eight bytes.
                length: 1,
                data: mac.to_vec(),
            }]);
        }
        Some(())
    })
}

/// The address and its hardware address in an Ethernet frame with an ARP packet: a request contains
/// them as well as a reply.
#[must_use]
pub fn read_arp(frame: &[u8]) -> Option<(IpAddr, Mac)> {
    let ethernet = EthernetPacket::new(frame)?;
    if ethernet.get_ethertype() != EtherTypes::Arp {
        return None;
    }
    let arp = ArpPacket::new(ethernet.payload())?;
    let usual = arp.get_hardware_type() == ArpHardwareTypes::Ethernet
        && arp.get_protocol_type() == EtherTypes::Ipv4
        && arp.get_hw_addr_len() == 6
        && arp.get_proto_addr_len() == 4;
    let sender = arp.get_sender_proto_addr();
    (usual && !sender.is_unspecified())
        .then(|| (IpAddr::V4(sender), arp.get_sender_hw_addr().octets()))
}

/// The address and its hardware address in an ICMPv6 message: a neighbour advertisement that names
/// a hardware address.
#[must_use]
pub fn read_advertisement(message: &[u8]) -> Option<(IpAddr, Mac)> {
    let advertisement = NeighborAdvertPacket::new(message)?;
    if advertisement.get_icmpv6_type() != Icmpv6Types::NeighborAdvert {
        return None;
    }
    let options = advertisement.get_options();
    let option = options
        .iter()
        .find(|option| option.option_type == NdpOptionTypes::TargetLLAddr)?;
    let mac = Mac::try_from(option.data.get(..6)?).ok()?;
    Some((IpAddr::V6(advertisement.get_target_addr()), mac))
}

/// Asks, and receives the answers.
struct Prober {
    speaker: Announcer,
    /// ARP frames of all interfaces; only if IPv4 addresses are asked for.
    arp: Option<UdpSocket>,
    /// ICMPv6 messages to this host.
    icmp: Option<UdpSocket>,
}

impl Prober {
    fn open(questions: &[Question]) -> io::Result<Self> {
        let wants = |v4: bool| questions.iter().any(|it| it.address.is_ipv4() == v4);
        let listen = |domain, kind, protocol| -> io::Result<_> {
            let socket = Socket::new(domain, kind, Some(protocol))?;
            socket.set_nonblocking(true)?;
            // Any datagram socket works: it is only read from.
            UdpSocket::from_std(socket.into())
        };
        let ethertype = i32::from(EtherTypes::Arp.0.to_be());
        Ok(Self {
            speaker: Announcer::open()?,
            arp: wants(true)
                .then(|| listen(Domain::PACKET, Type::RAW, Protocol::from(ethertype)))
                .transpose()?,
            icmp: wants(false).then(hear_neighbours).transpose()?,
        })
    }

    /// The next answer of a host.
    async fn hear(&self) -> io::Result<Option<(IpAddr, Mac)>> {
        tokio::select! {
            frame = receive(self.arp.as_ref()) => Ok(read_arp(&frame?)),
            message = receive(self.icmp.as_ref()) => Ok(read_advertisement(&message?)),
        }
    }
}

/// A socket that hears the neighbour advertisements of this link. A router lowers the hop limit of what it forwards, so one
/// that comes from elsewhere is forged. The kernel checks that itself, but a raw socket gets the message before.
fn hear_neighbours() -> io::Result<UdpSocket> {
    // Classic BPF: opcodes of linux/bpf_common.h. The offset leads into the IPv6 header.
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const IPV6_HEADER: u32 = 0xfff0_0000;
    const HOP_LIMIT: u32 = IPV6_HEADER + 7;
    let step = |code, k| SockFilter::new(code, 0, 0, k);
    let filter = [
        step(LOAD_BYTE, 0),
        SockFilter::new(
            JUMP_IF_EQUAL,
            0,
            5,
            u32::from(Icmpv6Types::NeighborAdvert.0),
        ),
        step(LOAD_BYTE, 1),
        SockFilter::new(JUMP_IF_EQUAL, 0, 3, 0),
        step(LOAD_BYTE, HOP_LIMIT),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, u32::from(frames::HOP_LIMIT)),
        step(RETURN, u32::MAX),
        step(RETURN, 0),
    ];
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    socket.set_nonblocking(true)?;
    socket.attach_filter(&filter)?;
    let socket: std::net::UdpSocket = socket.into();
    // What came before the filter.
    while socket.recv(&mut [0; 1]).is_ok() {}
    UdpSocket::from_std(socket)
}

/// One datagram; without a socket never returns.
async fn receive(socket: Option<&UdpSocket>) -> io::Result<Vec<u8>> {
    let Some(socket) = socket else {
        return std::future::pending().await;
    };
    let mut buffer = [0; ANSWER_BYTES];
    let count = socket.recv(&mut buffer).await?;
    Ok(buffer.get(..count).unwrap_or_default().to_vec())
}

/// How thoroughly the network is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Something depends on the answer: seven questions in 0.8 s.
    Full,
    /// A check that is made again and again: three questions in 0.6 s.
    Routine,
}

/// Asks for all addresses and returns those that another host has, with its hardware address. Takes as long as the effort
/// says, less when all are answered.
///
/// # Errors
/// No packet socket, or none of the interfaces can send: then nothing is known.
pub async fn ask(
    questions: &[Question],
    own: &[Mac],
    effort: Effort,
) -> io::Result<BTreeMap<IpAddr, Mac>> {
    let haste = match effort {
        Effort::Full => USUAL,
        Effort::Routine => CALM,
    };
    ask_for(questions, own, haste).await
}

/// The same with two questions in a twentieth of a second.
///
/// # Errors
/// As [`ask`].
pub async fn ask_quickly(questions: &[Question], own: &[Mac]) -> io::Result<BTreeMap<IpAddr, Mac>> {
    ask_for(questions, own, QUICK).await
}

async fn ask_for(
    questions: &[Question],
    own: &[Mac],
    haste: Haste,
) -> io::Result<BTreeMap<IpAddr, Mac>> {
    let mut claims = BTreeMap::new();
    if questions.is_empty() {
        return Ok(claims);
    }
    let prober = Prober::open(questions)?;
    let frames: Vec<(u32, Vec<u8>)> = questions
        .iter()
        .map(|it| (it.index, question_frame(it)))
        .collect();
    let (mut sent, mut failed) = (0_usize, None);
    let speak = async {
        for _ in 0..haste.rounds {
            for (index, frame) in &frames {
                match prober.speaker.send(*index, frame) {
                    Ok(()) => sent = sent.saturating_add(1),
                    Err(error) => failed = Some(error),
                }
            }
            sleep(haste.pause).await;
        }
        std::future::pending::<()>().await;
    };
    let listen = async {
        while claims.len() < questions.len() {
            // A socket that fails receives nothing more; the window ends all the same.
            let Ok(heard) = prober.hear().await else {
                return std::future::pending().await;
            };
            if let Some((address, mac)) = heard
                && questions.iter().any(|it| it.address == address)
                && !own.contains(&mac)
            {
                claims.insert(address, mac);
            }
        }
    };
    let both = async {
        tokio::select! {
            () = speak => {}
            () = listen => {}
        }
    };
    let _ = timeout(haste.window, both).await;
    match failed {
        Some(error) if sent == 0 => Err(error),
        _ => Ok(claims),
    }
}

/// `mac` in the usual notation.
#[must_use]
pub fn written(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::announce::{Kind, frame};
    use crate::net::frames::{ARP_BYTES, ETHERNET_BYTES, IPV6_BYTES};

    const MAC: Mac = [2, 0, 0, 0, 0, 1];
    const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100));
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0x12, 0x3456));

    const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7);

    fn question(address: IpAddr, source: Ipv6Addr) -> Question {
        Question {
            address,
            index: 2,
            mac: MAC,
            source,
            carrier: true,
        }
    }

    #[test]
    fn an_arp_probe_names_no_sender() {
        let frame = question_frame(&question(V4, LINK_LOCAL));
        assert_eq!(frame.len(), ETHERNET_BYTES + ARP_BYTES);
        assert_eq!(frame[..6], [0xff; 6]);
        let arp = ArpPacket::new(&frame[ETHERNET_BYTES..]).unwrap();
        assert_eq!(arp.get_operation(), ArpOperations::Request);
        assert_eq!(arp.get_sender_proto_addr(), Ipv4Addr::UNSPECIFIED);
        assert_eq!(IpAddr::V4(arp.get_target_proto_addr()), V4);
        // Another node's probe is no claim.
        assert_eq!(read_arp(&frame), None);
    }

    /// From `::` it would end the duplicate address detection of a host that has just put the address up.
    #[test]
    fn a_solicitation_comes_from_the_link_local_address_and_asks_the_group_of_the_address() {
        let frame = question_frame(&question(V6, LINK_LOCAL));
        assert_eq!(
            frame.len(),
            ETHERNET_BYTES + IPV6_BYTES + SOLICITATION_WITH_SOURCE_BYTES
        );
        assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
        let (source, rest) = frame[ETHERNET_BYTES + 8..].split_at(16);
        assert_eq!(source, LINK_LOCAL.octets());
        let group: Ipv6Addr = "ff02::1:ff12:3456".parse().unwrap();
        assert_eq!(rest[..16], group.octets());
        let message = &frame[ETHERNET_BYTES + IPV6_BYTES..];
        assert_eq!(message[0], 135);
        assert_eq!(message[SOLICITATION_BYTES..][..2], [1, 1]);
        assert_eq!(message[SOLICITATION_BYTES + 2..], MAC);
        assert_eq!(read_advertisement(message), None);
        let without = question_frame(&question(V6, Ipv6Addr::UNSPECIFIED));
        assert_eq!(
            without.len(),
            ETHERNET_BYTES + IPV6_BYTES + SOLICITATION_BYTES
        );
    }

    #[test]
    fn announcements_of_hosts_are_claims() {
        for kind in [Kind::ArpRequest, Kind::ArpReply] {
            assert_eq!(read_arp(&frame(kind, MAC, V4, false)), Some((V4, MAC)));
        }
        let frame = frame(Kind::NeighbourAdvertisement, MAC, V6, false);
        let message = &frame[ETHERNET_BYTES + IPV6_BYTES..];
        assert_eq!(read_advertisement(message), Some((V6, MAC)));
    }

    #[test]
    fn truncated_or_other_packets_are_no_claims() {
        let arp = frame(Kind::ArpReply, MAC, V4, false);
        for length in 0..arp.len() {
            assert_eq!(read_arp(&arp[..length]), None, "{length}");
        }
        let mut other = arp;
        other[12] = 8; // IPv4
        other[13] = 0;
        assert_eq!(read_arp(&other), None);
        let advertisement = frame(Kind::NeighbourAdvertisement, MAC, V6, false);
        let message = &advertisement[ETHERNET_BYTES + IPV6_BYTES..];
        for length in 0..message.len() {
            assert_eq!(read_advertisement(&message[..length]), None, "{length}");
        }
        // An option of length zero must not cause an endless loop.
        let mut endless = message.to_vec();
        endless[25] = 0;
        assert_eq!(read_advertisement(&endless), None);
    }

    /// Somebody behind a router could keep an address from being put up.
    #[tokio::test]
    #[ignore = "needs root: run by scripts/test"]
    async fn an_advertisement_from_off_the_link_is_not_heard() {
        let heard = hear_neighbours().expect("a raw socket");
        let speaker =
            Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6)).expect("another");
        let to = std::net::SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 0).into();
        let frame = frame(Kind::NeighbourAdvertisement, MAC, V6, false);
        let message = &frame[ETHERNET_BYTES + IPV6_BYTES..];
        let say = |hops, mark: u8| {
            let mut message = message.to_vec();
            // The end of the hardware address tells them apart.
            *message.last_mut().expect("not empty") = mark;
            speaker.set_unicast_hops_v6(hops).expect("an option");
            speaker.send_to(&message, &to).expect("sent");
        };
        say(64, 1);
        say(254, 2);
        say(255, 3);
        let message = timeout(Duration::from_secs(5), receive(Some(&heard))).await;
        let message = message.expect("in time").expect("no error");
        let (address, mac) = read_advertisement(&message).expect("an advertisement");
        assert_eq!((address, mac[5]), (V6, 3));
    }

    #[test]
    fn a_hardware_address_is_written_as_usual() {
        assert_eq!(written([0, 1, 0xab, 3, 4, 5]), "00:01:ab:03:04:05");
    }
}
