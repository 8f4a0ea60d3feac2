//! The cost of one heartbeat: signing, verifying, decoding, and one step of the core.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use systole::clock::{Monotonic, Now};
use systole::node::{CAPABILITIES, Node};
use systole::protocol::auth::{KeyRing, Method};
use systole::protocol::codec::{decode_datagram, encode_datagram};
use systole::protocol::event::Event;
use systole::protocol::gaps::Gaps;
use systole::protocol::membership::Identity;
use systole::protocol::message::{Message, Value};
use systole::protocol::name::{Generation, MediumName, NodeName, NodeUuid};
use systole::protocol::settings::{NodeSettings, Timing};
use systole::protocol::wire::MessageFormat;

fn heartbeat(sequence: u64) -> Message {
    let mut message = Message::new("status")
        .with("st", "active")
        .with("dt", "2710")
        .with("protocol", "1")
        .with("src", "node2");
    message.push("srcuuid", Value::Binary(vec![2; 16]));
    message
        .with("seq", &format!("{sequence:x}"))
        .with("hg", "6b00c420")
        .with("ts", "6b00c41f")
        .with("ld", "0.34 0.22 0.09 1/133 22")
        .with("ttl", "3")
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("datagram");
    group.throughput(Throughput::Elements(1));
    for (name, method, key) in [
        ("crc", Method::Crc, ""),
        ("md5", Method::Md5, "key"),
        ("sha1", Method::Sha1, "key"),
    ] {
        let keys = KeyRing::new(1, vec![(1, method, key.as_bytes().to_vec())]).expect("a key");
        let message = heartbeat(17);
        group.bench_function(format!("encode {name}"), |b| {
            b.iter(|| encode_datagram(black_box(&message), &keys, MessageFormat::Netstring));
        });
        let bytes = encode_datagram(&message, &keys, MessageFormat::Netstring).expect("encodes");
        group.bench_function(format!("decode {name}"), |b| {
            b.iter(|| decode_datagram(black_box(&bytes), &keys));
        });
    }
    group.finish();
}

fn core(criterion: &mut Criterion) {
    let name = |text| NodeName::new(text).expect("a name");
    let timing = Timing {
        keepalive: Duration::from_secs(1),
        deadtime: Duration::from_secs(10),
        warntime: Duration::from_secs(5),
        initdead: Duration::from_secs(20),
        deadping: Duration::from_secs(10),
        max_rexmit_delay: Duration::from_millis(250),
    };
    let settings = NodeSettings {
        media: vec![MediumName::new("eth0")],
        ..NodeSettings::new(name("node1"), vec![name("node1"), name("node2")], timing)
    };
    let identity = Identity {
        generation: Generation(7),
        uuid: NodeUuid([1; 16]),
        capabilities: CAPABILITIES.iter().map(|word| (*word).to_owned()).collect(),
    };
    let mut node = Node::new(settings, identity, 1);
    let mut out = Vec::new();
    let at = |ms| Now {
        instant: Monotonic::from_millis(ms),
        unix_s: 1_800_000_000,
    };
    node.start(at(0), &mut out);
    node.handle(Event::MediaOpened, at(0), &mut out);
    let medium = MediumName::new("eth0");
    let (mut sequence, mut ms) = (0, 1);
    criterion.bench_function("core: one heartbeat of a peer", |b| {
        b.iter(|| {
            sequence += 1;
            ms += 1;
            out.clear();
            let event = Event::Received {
                medium: medium.clone(),
                message: heartbeat(sequence),
            };
            node.handle(event, at(ms), &mut out);
        });
    });
}

/// What every heartbeat costs beside that: a few numbers in memory.
fn gaps(criterion: &mut Criterion) {
    let (mut gaps, mut ms) = (Gaps::default(), 0);
    criterion.bench_function("core: one gap sampled", |b| {
        b.iter(|| {
            ms += 1_000 + ms % 7;
            gaps.heard(Now {
                instant: Monotonic::from_millis(black_box(ms)),
                unix_s: 1_800_000_000,
            });
        });
    });
}

criterion_group!(benches, codec, core, gaps);
criterion_main!(benches);
