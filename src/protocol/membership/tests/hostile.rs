//! Any messages of an authentic peer or a local program: no panic, bounded tables, bounded answers,
//! no deadline that stays in the past, and no message sent in our name.

use proptest::collection::vec;
use proptest::prelude::*;

use super::harness::{Alone, at, eth0, name, settings};
use crate::protocol::event::Origin;
use crate::protocol::message::{Message, Value};
use crate::protocol::name::MediumName;
use crate::protocol::node_table::MAX_NODES;
use crate::protocol::output::Output;
use crate::protocol::sequence::MAX_MISSING;

/// Outputs in the longest wait, three seconds: every missing message of both nodes is asked for
/// again four times a second, and some other messages.
const MOST_IN_A_WAIT: usize = 2 * MAX_MISSING * 12 + 1_000;

const KINDS: [&str; 18] = [
    "status",
    "status",
    "status",
    "NS_st",
    "NS_rexmit",
    "NS_nak_rexmit",
    "NS_ackmsg",
    "reqnodes",
    "repnodes",
    "addnode",
    "delnode",
    "setweight",
    "setsite",
    "starting",
    "resource",
    "query-cstatus",
    "zzunknown",
    "",
];
const FIELDS: [&str; 20] = [
    "src",
    "seq",
    "hg",
    "ts",
    "st",
    "dt",
    "protocol",
    "dest",
    "nodelist",
    "delnodelist",
    "firstseq",
    "lastseq",
    "ackseq",
    "node",
    "weight",
    "site",
    "systole",
    "info",
    "destuuid",
    "srcuuid",
];

fn value() -> impl Strategy<Value = Value> {
    let text = |text: String| Value::text(text);
    prop_oneof![
        prop::sample::select(vec![
            "alpha",
            "beta",
            "router",
            "gamma",
            "ALPHA",
            "up",
            "active",
            "init",
            "dead",
            "ping",
            "0",
            "1",
            "ffffffffffffffff",
            "10000000000000000",
            "-1",
            "a b c ",
            " ",
            "",
            "\u{1}\n",
            "x.y",
        ])
        .prop_map(Value::text),
        (0_u64..2_000).prop_map(move |number| text(format!("{number:x}"))),
        any::<u64>().prop_map(move |number| text(number.to_string())),
        vec(any::<u8>(), 0..20).prop_map(Value::text),
        vec(any::<u8>(), 0..20).prop_map(Value::Binary),
        vec(0_u8..3, 16).prop_map(Value::Binary),
        (0_usize..120).prop_map(|count| {
            Value::text((0..count).map(|n| format!("n{n} ")).collect::<String>())
        }),
    ]
}

/// A well-formed message with some random fields.
fn message() -> impl Strategy<Value = Message> {
    (
        prop::sample::select(KINDS.to_vec()),
        prop::sample::select(vec!["beta", "beta", "beta", "alpha", "router", "gamma"]),
        1_u64..600,
        0x0fff_u64..0x1002,
        vec((prop::sample::select(FIELDS.to_vec()), value()), 0..6),
    )
        .prop_map(|(kind, src, seq, generation, extra)| {
            let mut message = Message::new(kind)
                .with("src", src)
                .with("hg", &format!("{generation:x}"))
                .with("ts", "6b00c61e")
                .with("st", "active")
                .with("protocol", "1");
            if !kind.starts_with("NS_") {
                message = message.with("seq", &format!("{seq:x}"));
            }
            for (field, value) in extra {
                message.set(field, value);
            }
            message
        })
}

#[derive(Debug, Clone)]
enum Step {
    Hear(Message),
    HearFrom(&'static str, Message),
    Inject(Origin, Message),
    Wait(u64),
    Tick(u64),
    NewGeneration,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => message().prop_map(Step::Hear),
        1 => (prop::sample::select(vec!["router", "eth9"]), message())
            .prop_map(|(medium, message)| Step::HearFrom(medium, message)),
        1 => (prop::sample::select(vec![Origin::Fifo, Origin::Client]), message())
            .prop_map(|(origin, message)| Step::Inject(origin, message)),
        2 => (0_u64..3_000).prop_map(Step::Wait),
        1 => (0_u64..30_000).prop_map(Step::Tick),
        1 => Just(Step::NewGeneration),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn nothing_breaks(steps in vec(step(), 1..80)) {
        let mut settings = settings("alpha", &["alpha", "beta", "gamma"]);
        settings.ping_nodes = vec![name("router")];
        let mut alone = Alone::started(&settings);
        for step in steps {
            let mut out = Vec::new();
            let now = at(alone.now_ms);
            match step {
                Step::Hear(message) => alone.core.received(&eth0(), message, now, &mut out),
                Step::HearFrom(medium, message) => {
                    alone.core.received(&MediumName::new(medium), message, now, &mut out);
                }
                Step::Inject(origin, message) => alone.core.inject(origin, message, now, &mut out),
                Step::Wait(ms) => {
                    let until = alone.now_ms + ms;
                    prop_assert!(alone.run_to(until).len() < MOST_IN_A_WAIT);
                }
                Step::Tick(late) => {
                    alone.now_ms += late;
                    alone.core.tick(at(alone.now_ms), &mut out);
                    alone.core.tick(at(alone.now_ms), &mut out);
                    prop_assert!(
                        alone.core.next_deadline().unwrap() > at(alone.now_ms).instant,
                        "everything due was applied"
                    );
                }
                Step::NewGeneration => {
                    let next = crate::protocol::name::Generation(alone.core.generation().0 + 1);
                    alone.core.begin_new_generation(next, now, &mut out);
                }
            }
            prop_assert!(out.len() < 1_200, "{} outputs of one call", out.len());
            for output in &out {
                if let Output::Transmit(message) = output {
                    prop_assert_eq!(message.text("src"), Some("alpha"));
                    prop_assert_eq!(message.binary("srcuuid"), Some(&[1_u8; 16][..]));
                }
            }
            prop_assert!(alone.core.nodes().count() <= MAX_NODES);
            prop_assert!(alone.core.deleted_nodes().len() <= MAX_NODES);
            prop_assert!(alone.core.node(&name("alpha")).is_some(), "we are never removed");
            prop_assert!(alone.core.nodes().all(|node| node.missing <= 499));
        }
    }
}
