//! The third host of the lab: probes a service address and listens to the heartbeats of its owner.
//!
//! `meter ADDRESS SECONDS [NODE [PORT]]` sends an ICMP echo request every 2 ms and prints one JSON
//! object: every silence longer than 10 ms (`from_s` and `to_s`, seconds since 1970, of the last
//! answer before and the first one after it), and the time of the last heartbeat heard by
//! broadcast from NODE before each silence ended.
#![allow(
    clippy::disallowed_methods,
    reason = "a measuring program, not the daemon"
)]

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use pnet_packet::Packet as _;
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

fn listen_for_beats(node: String, port: u16, beats: Arc<Mutex<Vec<f64>>>) -> std::io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    let socket = UdpSocket::from(socket);
    let source = format!("src={node},");
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok(length) = socket.recv(&mut buffer) {
            let bytes = &buffer[..length];
            let contains = |what: &[u8]| bytes.windows(what.len()).any(|part| part == what);
            if contains(b"t=status,") && contains(source.as_bytes()) {
                beats.lock().expect("no panic holds it").push(unix_s());
            }
        }
    });
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let usage = "usage: meter ADDRESS SECONDS [NODE [PORT]]";
    let address: Ipv4Addr = words.next().ok_or(usage)?.parse()?;
    let seconds: f64 = words.next().ok_or(usage)?.parse()?;
    let beats = Arc::new(Mutex::new(Vec::new()));
    if let Some(node) = words.next() {
        let port = words.next().map_or(Ok(694), |port| port.parse())?;
        listen_for_beats(node, port, Arc::clone(&beats))?;
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
            // An unreachable address is an answer too: silence.
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
    let silences: Vec<serde_json::Value> = answers
        .windows(2)
        .filter(|pair| pair[1] - pair[0] > SILENCE)
        .map(|pair| {
            let last_beat = beats.iter().rev().find(|beat| **beat <= pair[1]);
            serde_json::json!({
                "from_s": pair[0], "to_s": pair[1], "silent_ms": (pair[1] - pair[0]) * 1000.0,
                "last_beat_s": last_beat,
                "after_last_beat_ms": last_beat.map(|beat| (pair[1] - beat) * 1000.0),
            })
        })
        .collect();
    println!(
        "{}",
        serde_json::json!({ "answers": answers.len(), "silences": silences })
    );
    Ok(())
}
