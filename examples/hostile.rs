//! Sends hostile datagrams to a node: `hostile TARGET-IP PORT COUNT SEED [KEY [RATE]]`, RATE of them
//! a second (0: as fast as they go; then ten thousand different ones are made before, and sent again
//! and again). The default is 20000, each made as it goes. Prints how many were sent.
//! Or every file of a folder as it is, in the order of their names:
//! `hostile TARGET-IP PORT FOLDER PREFIX`.
//!
//! Malformed, truncated, mutated, mis-signed and oversized, in turn; with KEY (sha1, index 1) also
//! well signed nonsense. Every one must be refused by the node without further effect.
#![allow(clippy::disallowed_methods, reason = "a test program, not the daemon")]

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use systole::protocol::auth::{KeyRing, Method};
use systole::protocol::codec::encode_datagram;
use systole::protocol::message::Message;
use systole::protocol::wire::MessageFormat;

/// Number of different datagrams when the rate is given.
const POOL: usize = 10_000;

/// Datagrams sent at once: with the default rate, those of ten milliseconds.
const BURST: usize = 200;

fn template(sequence: u64) -> Message {
    Message::new("status")
        .with("st", "active")
        .with("dt", "7d0")
        .with("protocol", "1")
        .with("src", "node1")
        .with("seq", &format!("{sequence:x}"))
        .with("hg", "6b00c420")
        .with("ts", "6b00c41f")
        .with("ttl", "3")
}

fn datagram(kind: usize, rng: &mut StdRng, keys: &KeyRing) -> Vec<u8> {
    let good = encode_datagram(&template(rng.random()), keys, MessageFormat::Classic)
        .map(|bytes| bytes.to_vec())
        .unwrap_or_default();
    match kind {
        // Noise.
        0 => (0..rng.random_range(0..1_500))
            .map(|_| rng.random())
            .collect(),
        // Cut off.
        1 => good[..rng.random_range(0..good.len())].to_vec(),
        // One byte changed.
        2 => {
            let mut bytes = good;
            let place = rng.random_range(0..bytes.len());
            bytes[place] ^= rng.random_range(1..=255_u8);
            bytes
        }
        // Wrong lengths.
        3 => {
            let length: u64 = rng.random();
            format!("###\n{length}:(0)t=status,%%%\n").into_bytes()
        }
        // Types that do not exist, and items without a type.
        4 => b"###\n12:(7)t=status,11:t=status,,%%%\n10:1 29786cc5,".to_vec(),
        // A trailer without end.
        5 => {
            let token = "a".repeat(rng.random_range(100..9_000));
            format!("###\n10:(0)t=stat,%%%\n{}:{token},", token.len()).into_bytes()
        }
        // Some as large as a datagram can be; each of those is forty packets.
        6 => {
            let mut bytes = b"###\n".to_vec();
            let length = if rng.random_ratio(1, 10) {
                65_000
            } else {
                3_000
            };
            bytes.resize(length, b'9');
            bytes
        }
        // Classic text with several errors.
        7 => b">>>\n(0)t=status\n(1)u=AAA\n=\nst\n<<<\n".to_vec(),
        // Nested without end.
        8 => {
            let mut bytes = Vec::new();
            for _ in 0..200 {
                bytes.extend_from_slice(b"###\n99999:(2)a=");
            }
            bytes
        }
        // A wrong digest of the right form.
        _ => {
            let mut bytes = good;
            if let Some(place) = bytes.iter().rposition(|byte| byte.is_ascii_hexdigit()) {
                bytes[place] = if bytes[place] == b'0' { b'1' } else { b'0' };
            }
            bytes
        }
    }
}

/// Sends the files of a folder whose names begin with `prefix`; returns how many.
fn send_files(
    target: &str,
    port: u16,
    folder: &str,
    prefix: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;
    socket.connect((target, port))?;
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            files.push(entry.path());
        }
    }
    files.sort();
    for file in &files {
        socket.send(&std::fs::read(file)?)?;
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("{}", files.len());
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = "usage: hostile TARGET-IP PORT COUNT SEED [KEY [RATE]]";
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [target, port, count, seed, rest @ ..] = words.as_slice() else {
        return Err(usage.into());
    };
    if std::path::Path::new(count).is_dir() {
        return send_files(target, port.parse()?, count, seed);
    }
    let key = rest.first().map_or("not-the-key", String::as_str);
    let rate: f64 = rest.get(1).map_or(Ok(20_000.0), |rate| rate.parse())?;
    let keys = KeyRing::new(1, vec![(1, Method::Sha1, key.as_bytes().to_vec())])?;
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;
    socket.connect((target.as_str(), port.parse()?))?;
    let mut rng = StdRng::seed_from_u64(seed.parse()?);
    let count: usize = count.parse()?;
    let pool = if rest.len() > 1 { POOL } else { 0 };
    let pool: Vec<Vec<u8>> = (0..pool)
        .map(|number| datagram(number % 10, &mut rng, &keys))
        .collect();
    let mut sent = 0_u64;
    let begin = Instant::now();
    for number in 0..count {
        let made;
        let bytes = match pool.get(number % POOL) {
            Some(bytes) => bytes,
            None => {
                made = datagram(number % 10, &mut rng, &keys);
                &made
            }
        };
        // Refused by this host's kernel (too large, buffer full): go on with the next one.
        if socket.send(bytes).is_ok() {
            sent += 1;
        }
        if number % BURST == BURST - 1 && rate > 0.0 {
            let due = begin + Duration::from_secs_f64((number + 1) as f64 / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
    println!("{sent}");
    Ok(())
}
