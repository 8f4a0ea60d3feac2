//! The third host of the lab: probes a service address and listens to the heartbeats of its owner.
//!
//! `meter ADDRESS SECONDS [NODE [PORT]]` sends an ICMP echo request every 2 ms and prints one JSON
//! object, all times in seconds since 1970:
//! `first_answer_s`; `longest_ms` between two answers; `silences`, each longer than 10 ms, from the last answer before to the first one
//! after it, with the time of the last heartbeat heard by broadcast from NODE before it ended;
//! `beats`, for every node heard, its first and last status message and the longest pause between
//! two (`longest_ms`); `moves`, for every change of hardware address that was announced by ARP, how
//! many addresses moved together, and the first and last of them.
#![allow(
    clippy::disallowed_methods,
    reason = "a measuring program, not the daemon"
)]

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use pnet_packet::Packet as _;
use pnet_packet::arp::ArpPacket;
use pnet_packet::icmp::echo_request::MutableEchoRequestPacket;
use pnet_packet::icmp::{IcmpPacket, IcmpTypes, checksum};
use pnet_packet::ipv4::Ipv4Packet;
use socket2::{Domain, Protocol, Socket, Type};

const PROBE_EVERY: Duration = Duration::from_millis(2);
const SILENCE: f64 = 0.010;

fn unix_s() -> f64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0.0, |d| d.as_secs_f64())
}

fn probe(sequence: u16) -> Vec<u8> {
    let mut bytes = vec![0; MutableEchoRequestPacket::minimum_packet_size()];
    if let Some(mut packet) = MutableEchoRequestPacket::new(&mut bytes) {
        packet.set_icmp_type(IcmpTypes::EchoRequest);
        packet.set_identifier(0x5359);
        packet.set_sequence_number(sequence);
    }
    if let Some(sum) = IcmpPacket::new(&bytes).map(|packet| checksum(&packet))
        && let Some(mut packet) = MutableEchoRequestPacket::new(&mut bytes)
    {
        packet.set_checksum(sum);
    }
    bytes
}

/// Status messages of all nodes: time and node.
type Beats = Arc<Mutex<Vec<(f64, String)>>>;

/// The name after `src=` in a netstring message.
fn source(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let (_, behind) = text.split_once("src=")?;
    behind.split_once(',').map(|(name, _)| name.to_owned())
}

fn listen_for_beats(port: u16, beats: Beats) -> std::io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    let socket = UdpSocket::from(socket);
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok(length) = socket.recv(&mut buffer) {
            let (at, bytes) = (unix_s(), &buffer[..length]);
            if bytes.windows(9).any(|part| part == b"t=status,")
                && let Some(node) = source(bytes)
            {
                beats.lock().expect("no panic holds it").push((at, node));
            }
        }
    });
    Ok(())
}

/// Addresses that were announced at a new hardware address.
struct Move {
    mac: String,
    addresses: usize,
    first_s: f64,
    last_s: f64,
}

fn listen_for_moves(moves: Arc<Mutex<Vec<Move>>>) -> std::io::Result<()> {
    const ETH_P_ARP: u16 = 0x0806;
    let protocol = Protocol::from(i32::from(ETH_P_ARP.to_be()));
    let mut socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
    std::thread::spawn(move || {
        let mut places: HashMap<Ipv4Addr, String> = HashMap::new();
        let mut buffer = [0; 256];
        while let Ok(length) = socket.read(&mut buffer) {
            let at = unix_s();
            let Some(arp) = ArpPacket::new(&buffer[..length]) else {
                continue;
            };
            let (address, mac) = (arp.get_sender_proto_addr(), arp.get_sender_hw_addr());
            let mac = mac.to_string();
            // Announcements only: an address that asks for itself.
            if arp.get_target_proto_addr() != address
                || places.insert(address, mac.clone()).as_ref() == Some(&mac)
            {
                continue;
            }
            let mut moves = moves.lock().expect("no panic holds it");
            match moves.last_mut() {
                Some(last) if last.mac == mac => {
                    last.addresses += 1;
                    last.last_s = at;
                }
                _ => moves.push(Move {
                    mac,
                    addresses: 1,
                    first_s: at,
                    last_s: at,
                }),
            }
        }
    });
    Ok(())
}

/// First, last and the longest pause of every node's heartbeats.
fn summary(beats: &[(f64, String)]) -> serde_json::Value {
    let mut nodes: BTreeMap<&str, (f64, f64, f64, u64)> = BTreeMap::new();
    for (at, node) in beats {
        let entry = nodes.entry(node).or_insert((*at, *at, 0.0, 0));
        entry.2 = entry.2.max(at - entry.1);
        entry.1 = *at;
        entry.3 += 1;
    }
    nodes
        .into_iter()
        .map(|(node, (first, last, longest, count))| {
            let entry = serde_json::json!({
                "first_s": first, "last_s": last, "longest_ms": longest * 1000.0, "count": count,
            });
            (node.to_owned(), entry)
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let usage = "usage: meter ADDRESS SECONDS [NODE [PORT]]";
    let address: Ipv4Addr = words.next().ok_or(usage)?.parse()?;
    let seconds: f64 = words.next().ok_or(usage)?.parse()?;
    let beats = Arc::new(Mutex::new(Vec::new()));
    let moves = Arc::new(Mutex::new(Vec::new()));
    let node = words.next();
    if node.is_some() {
        let port = words.next().map_or(Ok(694), |port| port.parse())?;
        listen_for_beats(port, Arc::clone(&beats))?;
        listen_for_moves(Arc::clone(&moves))?;
    }
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let sender = socket.try_clone()?;
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(seconds);
    std::thread::spawn(move || {
        let target = SocketAddr::new(IpAddr::V4(address), 0).into();
        let mut sequence = 0_u16;
        let mut next = start;
        while Instant::now() < end {
            // An unreachable address is a result too: silence.
            let _ = sender.send_to(&probe(sequence), &target);
            sequence = sequence.wrapping_add(1);
            next += PROBE_EVERY;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    });
    let mut answers: Vec<f64> = Vec::new();
    let mut buffer = [0_u8; 2048];
    while Instant::now() < end {
        let Ok(length) = (&socket).read(&mut buffer) else {
            continue;
        };
        let at = unix_s();
        let Some(packet) = Ipv4Packet::new(&buffer[..length]) else {
            continue;
        };
        let Some(icmp) = IcmpPacket::new(packet.payload()) else {
            continue;
        };
        if packet.get_source() == address && icmp.get_icmp_type() == IcmpTypes::EchoReply {
            answers.push(at);
        }
    }
    let beats = beats.lock().expect("no panic holds it");
    let last_beat_before = |at: f64| {
        beats
            .iter()
            .rev()
            .find(|(beat, from)| *beat <= at && Some(from) == node.as_ref())
            .map(|(beat, _)| *beat)
    };
    let silences: Vec<serde_json::Value> = answers
        .windows(2)
        .filter(|pair| pair[1] - pair[0] > SILENCE)
        .map(|pair| {
            let last_beat = last_beat_before(pair[1]);
            serde_json::json!({
                "from_s": pair[0], "to_s": pair[1], "silent_ms": (pair[1] - pair[0]) * 1000.0,
                "last_beat_s": last_beat,
                "after_last_beat_ms": last_beat.map(|beat| (pair[1] - beat) * 1000.0),
            })
        })
        .collect();
    let moves = moves.lock().expect("no panic holds it");
    let moves: Vec<serde_json::Value> = moves
        .iter()
        .map(|part: &Move| {
            serde_json::json!({
                "mac": part.mac, "addresses": part.addresses,
                "first_s": part.first_s, "last_s": part.last_s,
            })
        })
        .collect();
    println!(
        "{}",
        serde_json::json!({
            "answers": answers.len(), "first_answer_s": answers.first(),
            "longest_ms": answers.windows(2).map(|pair| (pair[1] - pair[0]) * 1000.0)
                .reduce(f64::max),
            "silences": silences,
            "beats": summary(&beats), "moves": moves,
        })
    );
    Ok(())
}
