//! A peer that sends valid messages at a high rate and hears what the others ask for again.
//!
//! `talker BROADCAST PORT NODE KEY RATE SECONDS BURST` joins as NODE (sha1, index 1), sends RATE status
//! messages a second for SECONDS, BURST of them at a time, then a heartbeat every 100 ms for 2 s.
//! Prints one JSON object: `sent`; `asked_again`, how many different ones another node missed;
//! `acknowledged`, the highest number that one has in order; `behind_ms`, how late the latest burst was.
#![allow(
    clippy::disallowed_methods,
    reason = "a measuring program, not the daemon"
)]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use socket2::{Domain, Protocol, Socket, Type};
use systole::protocol::auth::{KeyRing, Method};
use systole::protocol::codec::{decode_datagram, encode_datagram};
use systole::protocol::message::{Message, Value};
use systole::protocol::wire::MessageFormat;

/// Number of slow heartbeats after the fast ones, so that the last of these can be acknowledged.
const SLOW_BEATS: u64 = 20;

/// Requests and acknowledgements of the other nodes for our messages.
#[derive(Default)]
struct Heard {
    asked_again: BTreeSet<u64>,
    acknowledged: u64,
}

fn listen(port: u16, node: String, keys: Arc<KeyRing>) -> std::io::Result<Arc<Mutex<Heard>>> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_recv_buffer_size(8 << 20)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    let socket = UdpSocket::from(socket);
    let heard = Arc::new(Mutex::new(Heard::default()));
    let kept = Arc::clone(&heard);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok(length) = socket.recv(&mut buffer) {
            // Our own broadcast comes back.
            let own = format!("src={node},");
            let bytes = &buffer[..length];
            if bytes.windows(own.len()).any(|part| part == own.as_bytes()) {
                continue;
            }
            let Ok(message) = decode_datagram(bytes, &keys) else {
                continue;
            };
            if message.text("dest") != Some(&node) {
                continue;
            }
            let mut heard = heard.lock().expect("no panic holds it");
            let decimal = |name| message.text(name).and_then(|text| text.parse::<u64>().ok());
            match message.kind() {
                Some("NS_rexmit") => {
                    if let (Some(first), Some(last)) = (decimal("firstseq"), decimal("lastseq")) {
                        heard.asked_again.extend(first..=last);
                    }
                }
                Some("NS_ackmsg") => {
                    let number = message.hex("ackseq").unwrap_or(0);
                    heard.acknowledged = heard.acknowledged.max(number);
                }
                _ => {}
            }
        }
    });
    Ok(kept)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = "usage: talker BROADCAST PORT NODE KEY RATE SECONDS BURST";
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [to, port, node, key, rate, seconds, burst] = words.as_slice() else {
        return Err(usage.into());
    };
    let to = SocketAddr::new(to.parse()?, port.parse()?);
    let (rate, seconds, burst): (u64, u64, u64) = (rate.parse()?, seconds.parse()?, burst.parse()?);
    let keys = KeyRing::new(1, vec![(1, Method::Sha1, key.as_bytes().to_vec())])?;
    let keys = Arc::new(keys);
    let heard = listen(port.parse()?, node.clone(), Arc::clone(&keys))?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_broadcast(true)?;
    socket.connect(to)?;
    let generation = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_secs();
    let mut sequence = 0_u64;
    let mut next = |status: &str| {
        sequence += 1;
        let mut message = Message::new("status")
            .with("st", status)
            .with("dt", "2710")
            .with("protocol", "1")
            .with("src", node);
        message.push("srcuuid", Value::Binary(vec![7; 16]));
        let message = message
            .with("seq", &format!("{sequence:x}"))
            .with("hg", &format!("{generation:x}"))
            .with("ts", &format!("{generation:x}"))
            .with("ld", "0.34 0.22 0.09 1/133 22")
            .with("ttl", "3");
        encode_datagram(&message, &keys, MessageFormat::Netstring)
    };
    for status in ["init", "up", "active"] {
        socket.send(&next(status)?)?;
        sleep(Duration::from_millis(300));
    }
    // Made beforehand: only the sending shall count.
    let bursts = rate * seconds / burst;
    let datagrams: Vec<_> = (0..bursts * burst)
        .map(|_| next("active"))
        .collect::<Result<_, _>>()?;
    let pause = Duration::from_secs_f64(burst as f64 / rate as f64);
    let (begin, mut behind) = (Instant::now(), Duration::ZERO);
    for (number, part) in (0_u32..).zip(datagrams.chunks(usize::try_from(burst)?)) {
        let due = begin + pause * number;
        sleep(due.saturating_duration_since(Instant::now()));
        behind = behind.max(Instant::now().saturating_duration_since(due));
        for datagram in part {
            socket.send(datagram)?;
        }
    }
    for _ in 0..SLOW_BEATS {
        socket.send(&next("active")?)?;
        sleep(Duration::from_millis(100));
    }
    let heard = heard.lock().expect("no panic holds it");
    println!(
        "{}",
        serde_json::json!({
            "sent": datagrams.len(), "asked_again": heard.asked_again.len(),
            "acknowledged": heard.acknowledged, "last": sequence,
            "behind_ms": behind.as_secs_f64() * 1000.0,
        })
    );
    Ok(())
}
