//! The injection test that found the verdicts of the `made_` vectors, replayed against our
//! membership: the same datagrams in the order of `vectors/wire/README.md`, the same node alpha
//! (keepalive 1 s, deadtime 5 s, warntime 3 s, initdead 8 s).
//! Spec: docs/protocol/wire.md, 12 to 17, 21.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::wire_vectors::{self, Vector};
use systole::clock::{Monotonic, Now};
use systole::notice::Notice;
use systole::protocol::codec::{DecodeError, decode_datagram};
use systole::protocol::membership::{Identity, Membership};
use systole::protocol::message::{Message, Value};
use systole::protocol::name::{Generation, MediumName, NodeName, NodeUuid};
use systole::protocol::output::{Output, ResourceEvent, Treatment};
use systole::protocol::settings::{AutoFailback, NodeSettings, Timing};
use systole::protocol::status::NodeStatus;

/// When the legacy conversation began, as its time stamps say.
const BEGAN_UNIX_S: u64 = 0x6b00_c61e;
const BETA_UUID: [u8; 16] = [
    0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x33, 0x33, 0x44, 0x44, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55,
];

/// Node alpha and the script that plays beta.
struct Conversation {
    vectors: BTreeMap<String, Vector>,
    heard: BTreeSet<String>,
    alpha: Membership,
    now_ms: u64,
    medium: MediumName,
    beta_generation: u64,
    beta_uuid: [u8; 16],
    beta_word: &'static str,
    beta_seq: u64,
    alpha_seq: u64,
}

impl Conversation {
    fn begin() -> Self {
        let mut conversation = Self {
            vectors: wire_vectors::load()
                .into_iter()
                .filter(|vector| vector.file.starts_with("made_"))
                .map(|vector| (vector.file.clone(), vector))
                .collect(),
            heard: BTreeSet::new(),
            alpha: alpha(),
            now_ms: 0,
            medium: MediumName::new("eth0"),
            beta_generation: 0x1000,
            beta_uuid: BETA_UUID,
            beta_word: "active",
            beta_seq: 0,
            alpha_seq: 0,
        };
        conversation.restart_alpha();
        conversation
    }

    fn restart_alpha(&mut self) {
        self.alpha = alpha();
        self.alpha_seq = 0;
        let now = self.now();
        let mut out = Vec::new();
        self.alpha.start(now, &mut out);
        self.alpha.media_opened(now, &mut out);
        self.note_sent(&out);
    }

    fn now(&self) -> Now {
        Now {
            instant: Monotonic::from_millis(self.now_ms),
            unix_s: BEGAN_UNIX_S + self.now_ms / 1000,
        }
    }

    fn note_sent(&mut self, out: &[Output]) {
        for message in sent(out) {
            self.alpha_seq = self.alpha_seq.max(message.hex("seq").unwrap_or(0));
        }
    }

    fn hear(&mut self, message: Message) -> Vec<Output> {
        let mut out = Vec::new();
        self.alpha
            .received(&self.medium, message, self.now(), &mut out);
        self.note_sent(&out);
        out
    }

    /// A message of the script that is not among the vectors.
    fn beta(&mut self, kind: &str, seq: Option<u64>) -> Message {
        let mut message = Message::new(kind)
            .with("src", "beta")
            .with("hg", &format!("{:x}", self.beta_generation))
            .with("ts", &format!("{:x}", self.now().unix_s));
        message.push("srcuuid", Value::Binary(self.beta_uuid.to_vec()));
        if let Some(seq) = seq {
            self.beta_seq = self.beta_seq.max(seq);
            message = message.with("seq", &format!("{seq:x}"));
        }
        message
    }

    fn beta_status(&mut self, seq: u64) -> Vec<Output> {
        let word = self.beta_word;
        let message = self
            .beta("status", Some(seq))
            .with("st", word)
            .with("dt", "1388")
            .with("protocol", "1");
        self.hear(message)
    }

    /// Beta's status messages up to number `seq`, none missing.
    fn beta_to(&mut self, seq: u64) {
        for number in self.beta_seq + 1..=seq {
            let out = self.beta_status(number);
            assert!(requests(&out).is_empty());
        }
    }

    /// Alpha's status messages until its own number is `seq`.
    fn alpha_to(&mut self, seq: u64) {
        while self.alpha_seq < seq {
            let mut out = Vec::new();
            self.alpha.send_status(self.now(), &mut out);
            self.note_sent(&out);
        }
    }

    fn decode(&mut self, file: &str) -> Result<Message, DecodeError> {
        let file = format!("made_{file}.bin");
        let vector = &self.vectors[&file];
        let decoded = decode_datagram(&vector.bytes, &vector.keys(1));
        self.heard.insert(file);
        decoded
    }

    /// One vector from the wire; its number counts as sent by beta.
    fn vector(&mut self, file: &str) -> Vec<Output> {
        let message = self
            .decode(file)
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        if let Some(seq) = message.hex("seq") {
            self.beta_seq = self.beta_seq.max(seq);
        }
        self.hear(message)
    }

    fn refused(&mut self, file: &str) {
        assert!(self.decode(file).is_err(), "{file}");
    }

    fn run_for(&mut self, ms: u64) -> Vec<Output> {
        let until = self.now_ms + ms;
        let mut out = Vec::new();
        while let Some(due) = self.alpha.next_deadline() {
            let due = u64::try_from(due.since_start().as_nanos().div_ceil(1_000_000)).unwrap();
            if due > until {
                break;
            }
            self.now_ms = due.max(self.now_ms);
            let now = self.now();
            self.alpha.tick(now, &mut out);
        }
        self.now_ms = until;
        self.note_sent(&out);
        out
    }

    fn status_of_beta(&self) -> NodeStatus {
        let beta = NodeName::new("beta").unwrap();
        self.alpha.node(&beta).unwrap().status
    }

    fn names(&self) -> Vec<String> {
        self.alpha
            .nodes()
            .map(|node| node.name.to_string())
            .collect()
    }
}

fn alpha() -> Membership {
    let name = |text: &str| NodeName::new(text).unwrap();
    let timing = Timing {
        keepalive: Duration::from_secs(1),
        deadtime: Duration::from_secs(5),
        warntime: Duration::from_secs(3),
        initdead: Duration::from_secs(8),
        deadping: Duration::from_secs(5),
        max_rexmit_delay: Duration::from_millis(250),
    };
    let settings = NodeSettings {
        media: vec![MediumName::new("eth0")],
        auto_failback: AutoFailback::On,
        ..NodeSettings::new(name("alpha"), vec![name("alpha"), name("beta")], timing)
    };
    let identity = Identity {
        generation: Generation(1_795_212_829),
        uuid: NodeUuid([0xaa; 16]),
        capabilities: Vec::new(),
    };
    Membership::new(&settings, identity, 42)
}

fn sent(out: &[Output]) -> impl Iterator<Item = &Message> {
    out.iter().filter_map(|output| match output {
        Output::Transmit(message) => Some(message),
        _ => None,
    })
}

fn sent_of<'a>(out: &'a [Output], kind: &str) -> Vec<&'a Message> {
    sent(out)
        .filter(|message| message.kind() == Some(kind))
        .collect()
}

/// Numbers that were asked for: decimal, as only in `NS_rexmit`.
fn requests(out: &[Output]) -> Vec<u64> {
    sent_of(out, "NS_rexmit")
        .into_iter()
        .map(|message| {
            assert_eq!(message.text("dest"), Some("beta"));
            assert_eq!(message.text("firstseq"), message.text("lastseq"));
            message.dec("firstseq").unwrap()
        })
        .collect()
}

fn notices(out: &[Output]) -> Vec<&Notice> {
    out.iter()
        .filter_map(|output| match output {
            Output::Notice(notice) => Some(notice),
            _ => None,
        })
        .collect()
}

fn treatments(out: &[Output]) -> Vec<Treatment> {
    out.iter()
        .filter_map(|output| match output {
            Output::Deliver { treatment, .. } => Some(*treatment),
            _ => None,
        })
        .collect()
}

/// Accepted as a status that changes nothing: the verdict `accept`.
fn assert_accepted(out: &[Output]) {
    assert_eq!(treatments(out), [Treatment::NoChange]);
    assert!(notices(out).is_empty(), "{:?}", notices(out));
}

#[test]
fn the_injection_conversation() {
    let mut talk = Conversation::begin();
    start(&mut talk);
    keys(&mut talk);
    a_gap_of_three(&mut talk);
    requests_of_beta(&mut talk);
    bad_input(&mut talk);
    restart_and_return(&mut talk);
    long_histories(&mut talk);
    identities_and_lists(&mut talk);
    let unheard: Vec<_> = talk
        .vectors
        .keys()
        .filter(|file| !talk.heard.contains(*file))
        .collect();
    assert!(unheard.is_empty(), "vectors without a step: {unheard:?}");
}

/// Steps 1 and 2.
fn start(talk: &mut Conversation) {
    let out = talk.vector("ns_status_up_first");
    assert_eq!(
        notices(&out),
        [
            &Notice::LinkUp {
                node: "beta".to_owned(),
                medium: "eth0".to_owned()
            },
            &Notice::StatusUpdate {
                node: "beta".to_owned(),
                status: "up".to_owned()
            },
        ]
    );
    assert_eq!(sent_of(&out, "reqnodes")[0].text("dest"), Some("beta"));
    let answer = talk
        .beta("repnodes", Some(2))
        .with("dest", "alpha")
        .with("nodelist", "alpha beta ")
        .with("delnodelist", " ");
    let out = talk.hear(answer);
    assert!(out.contains(&Output::CommUp { first: true }));
    assert_eq!(sent_of(&out, "status")[0].text("st"), Some("active"));
    talk.beta_status(3);
    let question = talk.beta("reqnodes", Some(4)).with("dest", "alpha");
    let out = talk.hear(question);
    let answer = sent_of(&out, "repnodes")[0];
    assert_eq!(answer.text("dest"), Some("beta"));
    assert_eq!(answer.binary("destuuid"), Some(&BETA_UUID[..]));
    assert_eq!(answer.text("nodelist"), Some("alpha beta "));
    assert_eq!(answer.text("delnodelist"), Some(" "));
}

/// Steps 3 and 4: classic form, other keys. Where legacy uses the wrong key, Systole uses the right
/// one.
fn keys(talk: &mut Conversation) {
    for (seq, file) in [
        (0x10, "classic_status_active"),
        (0x13, "ns_status_auth2_md5_nondefault_key"),
        (0x15, "classic_status_auth2_md5"),
        (0x17, "ns_status_auth3_crc"),
    ] {
        talk.beta_to(seq - 1);
        assert_accepted(&talk.vector(file));
    }
    talk.beta_to(0x18);
    talk.refused("ns_status_auth2_md5_with_key_of_auth1");
}

/// Step 5.
fn a_gap_of_three(talk: &mut Conversation) {
    talk.beta_to(0x1a);
    let out = talk.vector("status_after_gap3");
    assert!(notices(&out).is_empty());
    assert!(requests(&talk.run_for(49)).is_empty());
    let out = talk.run_for(201);
    assert_eq!(
        notices(&out),
        [&Notice::LostPackets {
            count: 3,
            node: "beta".to_owned(),
            last: 0x1a,
            seq: 0x1e
        }]
    );
    let mut asked = requests(&out);
    asked.sort_unstable();
    assert_eq!(asked, [0x1b, 0x1c, 0x1d]);
    assert_eq!(requests(&talk.run_for(250)).len(), 3);
    let out = talk.vector("fill_gap_1");
    assert!(notices(&out).is_empty());
    assert!(!requests(&talk.run_for(250)).contains(&0x1b));
    let out = talk.vector("nak_gap_2");
    assert_eq!(
        notices(&out),
        [&Notice::IrretrievablyLost {
            node: "beta".to_owned(),
            seq: 0x1c
        }]
    );
    assert_eq!(requests(&talk.run_for(250)), [0x1d]);
    let out = talk.beta_status(0x1d);
    assert!(notices(&out).contains(&&Notice::NoPacketsMissing {
        node: "beta".to_owned()
    }));
    assert!(requests(&talk.run_for(500)).is_empty());
}

/// Steps 6 and 7.
fn requests_of_beta(talk: &mut Conversation) {
    talk.alpha_to(0x22);
    assert_eq!(talk.alpha_seq, 0x22);
    let numbers = |out: &[Output]| -> Vec<u64> {
        sent(out).filter_map(|message| message.hex("seq")).collect()
    };
    assert_eq!(numbers(&talk.vector("rexmit_request_2")), [29, 30]);
    assert!(numbers(&talk.vector("rexmit_request_2")).is_empty());
    let out = talk.vector("rexmit_request_seq1");
    assert_eq!(numbers(&out), [1]);
    assert_eq!(sent_of(&out, "status")[0].text("st"), Some("init"));
    let out = talk.vector("rexmit_request_future");
    assert_eq!(
        notices(&out),
        [&Notice::RexmitOfFuture {
            node: "beta".to_owned(),
            seq: 531,
            max: 0x22
        }]
    );
    let out = talk.vector("rexmit_request_zero");
    assert_eq!(
        notices(&out),
        [&Notice::InvalidRexmit {
            node: "beta".to_owned(),
            first: "0".to_owned(),
            last: "0".to_owned()
        }]
    );
    assert!(sent(&out).next().is_none());
    let out = talk.vector("ackmsg");
    assert!(notices(&out).is_empty() && treatments(&out).is_empty());
    talk.run_for(240);
    talk.alpha_to(0x23);
    assert!(
        numbers(&talk.vector("rexmit_request_2")).is_empty(),
        "acknowledged"
    );
    let out = talk.vector("ackmsg_future");
    assert_eq!(
        notices(&out),
        [&Notice::CorruptedAck {
            node: "beta".to_owned(),
            seq: 0x40b,
            max: talk.alpha_seq
        }]
    );
}

/// Step 8.
fn bad_input(talk: &mut Conversation) {
    talk.beta_to(0x28);
    assert_accepted(&talk.vector("dup_a"));
    assert_eq!(treatments(&talk.vector("dup_b")), [Treatment::Duplicate]);
    let replay = |generation| Notice::ReplayAttack {
        node: "beta".to_owned(),
        generation,
        current: 0x1000,
    };
    assert_eq!(notices(&talk.vector("lower_generation")), [&replay(0xfff)]);
    assert_eq!(notices(&talk.vector("no_hg")), [&replay(0)]);
    for file in [
        "bad_digest_ns",
        "bad_digest_classic",
        "auth_index_9_unknown",
        "auth_index_9_unknown_classic",
        "no_trailer",
        "garbage",
        "one_byte",
        "truncated",
        "truncated_classic",
    ] {
        talk.refused(file);
    }
    assert_eq!(
        notices(&talk.vector("unknown_node")),
        [
            &Notice::BadNode {
                node: "gamma".to_owned()
            },
            // A line of ours that explains it.
            &Notice::StrangerHeard {
                node: "gamma".to_owned(),
                medium: "eth0".to_owned()
            }
        ]
    );
    for (file, what) in [("no_seq", "seqno"), ("no_ts", "from/ts/type")] {
        assert_eq!(
            notices(&talk.vector(file)),
            [&Notice::MissingField {
                medium: "eth0".to_owned(),
                node: "beta".to_owned(),
                what: what.to_owned()
            }]
        );
    }
    assert!(talk.vector("ts_zero").is_empty(), "ignored silently");
    // None of these numbers was accepted.
    talk.beta_seq = 0x29;
    talk.beta_to(0x2e);
    let out = talk.vector("unknown_type");
    assert_eq!(treatments(&out), [Treatment::Keep]);
    assert!(out.iter().any(|output| matches!(
        output,
        Output::Resource(ResourceEvent::Message { own: false, message, .. })
            if message.text("foo") == Some("bar")
    )));
    assert_eq!(
        treatments(&talk.vector("unknown_type_to_gamma")),
        [Treatment::Drop]
    );
    let out = talk.vector("status_no_st");
    assert_eq!(
        notices(&out),
        [&Notice::StatusWithoutSt {
            node: "beta".to_owned()
        }]
    );
    assert_accepted(&talk.beta_status(0x32));
}

/// Steps 9 and 10.
fn restart_and_return(talk: &mut Conversation) {
    let out = talk.vector("restart_init");
    assert_eq!(
        notices(&out)[0],
        &Notice::HeartbeatRestart {
            node: "beta".to_owned()
        }
    );
    assert_eq!(talk.status_of_beta(), NodeStatus::Init);
    talk.beta_generation = 0x1001;
    talk.beta_seq = 1;
    talk.beta_word = "up";
    talk.beta_to(3);
    talk.beta_word = "active";
    talk.beta_to(6);
    let out = talk.run_for(8_000);
    let lines: Vec<String> = notices(&out).iter().map(ToString::to_string).collect();
    assert!(lines.contains(&"node beta: is dead".to_owned()));
    assert!(lines.contains(&"Link beta:eth0 dead.".to_owned()));
    let out = talk.vector("return_same_gen");
    assert!(notices(&out).contains(&&Notice::ReturningAfterPartition {
        node: "beta".to_owned()
    }));
    assert!(
        !out.iter()
            .any(|output| matches!(output, Output::Resource(ResourceEvent::NodeDead { .. }))),
        "legacy declares it dead a second time"
    );
    assert_eq!(talk.status_of_beta(), NodeStatus::Active);
    assert_eq!(sent_of(&out, "status").len(), 1, "our own status at once");
}

/// A second run: 742 messages without acknowledgement, and large gaps.
fn long_histories(talk: &mut Conversation) {
    talk.restart_alpha();
    talk.beta_generation = 0x1000;
    talk.beta_seq = 0;
    talk.beta_to(1);
    let list = talk.beta("repnodes", Some(2)).with("dest", "alpha");
    talk.hear(list);
    assert!(talk.alpha.comm_up());
    talk.beta_to(39);
    talk.alpha_to(742);
    assert!(talk.alpha.clients_paused());
    let out = talk.vector("rexmit_too_low");
    let refused: Vec<_> = sent_of(&out, "NS_nak_rexmit")
        .into_iter()
        .map(|message| (message.text("firstseq"), message.text("info")))
        .collect();
    assert_eq!(
        refused,
        ["1", "2", "3"].map(|seq| (Some(seq), Some("seqno too low")))
    );
    let out = talk.vector("rexmit_100_range");
    let again: Vec<_> = sent(&out)
        .filter_map(|message| message.hex("seq"))
        .collect();
    assert_eq!(again, (641..=690).collect::<Vec<_>>());
    let out = talk.vector("status_after_gap300");
    assert!(notices(&out).contains(&&Notice::LostALot {
        node: "beta".to_owned()
    }));
    assert!(requests(&talk.run_for(1_000)).is_empty());
    talk.beta_to(342);
    talk.vector("status_after_gap250");
    let asked: BTreeSet<u64> = requests(&talk.run_for(250)).into_iter().collect();
    assert_eq!(asked, (343..=592).collect());
    for seq in 343..=592 {
        talk.beta_status(seq);
    }
}

/// Uuids, node lists, old peers.
fn identities_and_lists(talk: &mut Conversation) {
    talk.beta_to(0x63b);
    let out = talk.vector("status_new_uuid");
    assert!(matches!(notices(&out)[..], [Notice::UuidChanged { .. }]));
    talk.beta_uuid = [
        0xaa, 0xaa, 0xaa, 0xaa, 0x22, 0x22, 0x33, 0x33, 0x44, 0x44, 0x55, 0x55, 0x55, 0x55, 0x55,
        0x55,
    ];
    let out = talk.vector("status_rename_gamma");
    assert!(matches!(notices(&out)[..], [Notice::UuidConflict { .. }]));
    assert_eq!(talk.names(), ["alpha", "beta"], "legacy renames beta");
    talk.beta_seq = 0x63c;
    talk.beta_to(0x63e);
    talk.vector("repnodes_add_delta");
    assert_eq!(talk.names(), ["alpha", "beta", "delta"]);
    talk.vector("repnodes_remove_delta");
    assert_eq!(talk.names(), ["alpha", "beta"]);
    assert_eq!(talk.alpha.deleted_nodes()[0].as_str(), "delta");
    let out = talk.vector("status_no_protocol");
    assert!(notices(&out).contains(&&Notice::FlowControlOff {}));
    let out = talk.vector("nonstatus_higher_gen");
    assert_eq!(treatments(&out), [Treatment::Keep]);
    assert_accepted(&talk.beta_status(0x643));
}
