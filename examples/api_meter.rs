//! How fast a daemon serves its clients: `api_meter CL_STATUS NODE COUNT` as root, beside a running
//! daemon, ours or legacy. Prints one JSON object:
//!
//! | Figure | What |
//! |---|---|
//! | `start` | one run of CL_STATUS with `-h`: what it costs to start it and ask nobody |
//! | `process` | one whole run of the program CL_STATUS, `nodestatus NODE` |
//! | `connection` | connect, sign on, ask for the status of NODE, sign off |
//! | `request` | one question on an open connection |
//! | `messages_per_s` | cluster messages of a client named `meter` that came round to it |
//!
//! Times in microseconds: median, 99th percentile, longest, and the share under 5 ms.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a measuring program, not the daemon"
)]

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use serde_json::{Value, json};
use systole::clients::api_client::ApiClient;
use systole::protocol::client::frame;
use systole::protocol::message::Message;
use systole::protocol::wire::MessageFormat;

const SOCKET: &str = "/run/heartbeat/register";

/// Messages on their way at the same time: fewer than the 64 that a daemon queues for a client.
const WINDOW: usize = 32;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [program, node, count] = words.as_slice() else {
        eprintln!("usage: api_meter CL_STATUS NODE COUNT");
        std::process::exit(2);
    };
    let count: usize = count.parse().unwrap();
    let run = |words: &[&str]| {
        let status = Command::new(program)
            .args(words)
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    };
    let start = times(count, || run(&["-h"]));
    let process = times(count, || run(&["nodestatus", node]));
    let connection = times(count, || {
        let mut client = ApiClient::sign_on(Path::new(SOCKET)).unwrap();
        ask(&mut client, node);
        client.sign_off();
    });
    let mut client = ApiClient::sign_on(Path::new(SOCKET)).unwrap();
    let request = times(count * 4, || ask(&mut client, node));
    client.sign_off();
    let rate = messages(count * 20, Duration::from_secs(10));
    println!(
        "{}",
        json!({
            "start": start,
            "process": process,
            "connection": connection,
            "request": request,
            "messages_per_s": rate,
        })
    );
}

fn ask(client: &mut ApiClient, node: &str) {
    let request = client.request("nodestatus").with("node", node);
    assert_eq!(client.ask_one(&request).unwrap().text("st"), Some("active"));
}

fn times(count: usize, mut what: impl FnMut()) -> Value {
    let mut all: Vec<u128> = (0..count)
        .map(|_| {
            let began = Instant::now();
            what();
            began.elapsed().as_micros()
        })
        .collect();
    all.sort_unstable();
    let soon = all.iter().filter(|us| **us < 5_000).count();
    json!({
        "count": count,
        "median_us": u64::try_from(all[count / 2]).unwrap(),
        "p99_us": u64::try_from(all[count * 99 / 100]).unwrap(),
        "longest_us": u64::try_from(all[count - 1]).unwrap(),
        "under_5_ms_percent": (soon * 1000 / count) as f64 / 10.0,
    })
}

/// Sends cluster messages of 100 bytes, a few at a time, until `count` have come back or time is
/// up.
fn messages(count: usize, limit: Duration) -> u64 {
    let mut stream = UnixStream::connect(SOCKET).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut input = BytesMut::new();
    let send = |stream: &mut UnixStream, message: &Message| {
        let frame = frame::encode(message, MessageFormat::Classic).unwrap();
        stream.write_all(&frame).unwrap();
    };
    let mut next = |stream: &mut UnixStream| loop {
        if let Some(body) = frame::take(&mut input, frame::MAX_BODY_BYTES).unwrap() {
            return frame::decode(&body).unwrap();
        }
        let mut part = [0; 65536];
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "closed by the daemon");
        input.extend_from_slice(&part[..read]);
    };
    let sign_on = Message::new("hbapi-req")
        .with("reqtype", "signon")
        .with("pid", &std::process::id().to_string())
        .with("from_id", "meter")
        .with("uid", &nix::unistd::geteuid().to_string())
        .with("gid", &nix::unistd::getegid().to_string());
    send(&mut stream, &sign_on);
    while next(&mut stream).kind() != Some("hbapi-resp") {}
    let message = Message::new("meter").with("text", &"x".repeat(100));
    let began = Instant::now();
    let (mut sent, mut heard) = (0, 0);
    while heard < count && began.elapsed() < limit {
        while sent < count && sent - heard < WINDOW {
            send(&mut stream, &message);
            sent += 1;
        }
        if next(&mut stream).kind() == Some("meter") {
            heard += 1;
        }
    }
    (heard as f64 / began.elapsed().as_secs_f64()) as u64
}
