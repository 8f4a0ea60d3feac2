//! A batch of messages has the same result as the same messages one by one.

use super::resume::Resume;
use super::*;
use crate::protocol::message::Value;
use crate::protocol::name::{Generation, NodeUuid};
use crate::protocol::settings::Timing;

const GEN: u64 = 0x1000;

fn at(ms: u64) -> Now {
    Now {
        instant: Monotonic::from_millis(ms),
        unix_s: 1_800_000_000,
    }
}

fn started() -> Node {
    let name = |text| NodeName::new(text).unwrap();
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
        ..NodeSettings::new(name("alpha"), vec![name("alpha"), name("beta")], timing)
    };
    let identity = Identity {
        generation: Generation(7),
        uuid: NodeUuid([1; 16]),
        capabilities: CAPABILITIES.iter().map(|word| (*word).to_owned()).collect(),
    };
    let mut node = Node::new(settings, identity, 1);
    let mut out = Vec::new();
    node.start(at(0), &mut out);
    node.handle(Event::MediaOpened, at(0), &mut out);
    node
}

fn from_beta(kind: &str, generation: u64, seq: u64) -> Message {
    let mut message = Message::new(kind).with("src", "beta");
    message.push("srcuuid", Value::Binary(vec![2; 16]));
    message
        .with("seq", &format!("{seq:x}"))
        .with("hg", &format!("{generation:x}"))
        .with("ts", "6b49d200")
}

fn status(word: &str, generation: u64, seq: u64) -> Message {
    from_beta("status", generation, seq)
        .with("st", word)
        .with("dt", "2710")
        .with("protocol", "1")
}

/// A start, a flood with a gap, a copy, an old one and the missing ones, an unknown type, a restart.
fn conversation() -> Vec<Message> {
    let mut all = vec![
        status("init", GEN, 1),
        status("up", GEN, 2),
        status("active", GEN, 3),
        from_beta("starting", GEN, 4),
    ];
    all.extend((5..=40).map(|seq| status("active", GEN, seq)));
    all.extend((45..=60).map(|seq| status("active", GEN, seq)));
    all.push(status("active", GEN, 60));
    all.push(status("active", GEN, 20));
    all.push(from_beta("T_STOPIT", GEN, 61));
    all.extend((41..=44).map(|seq| status("active", GEN, seq)));
    all.extend((62..=90).map(|seq| status("active", GEN, seq)));
    all.push(status("init", GEN + 1, 1));
    all.extend((2..=30).map(|seq| status("up", GEN + 1, seq)));
    all
}

/// All but the acknowledgements.
fn others(actions: &[Action]) -> Vec<&Action> {
    actions
        .iter()
        .filter(|action| ack(action).is_none())
        .collect()
}

fn ack(action: &Action) -> Option<u64> {
    match action {
        Action::Transmit(message) if message.kind() == Some("NS_ackmsg") => {
            (message.text("dest") == Some("beta")).then(|| message.hex("ackseq"))?
        }
        _ => None,
    }
}

#[test]
fn a_batch_does_what_its_messages_do_one_by_one() {
    let eth0 = MediumName::new("eth0");
    for batch in [1, 2, 7, 64, 1000] {
        let (mut single, mut many) = (started(), started());
        for (number, messages) in conversation().chunks(batch).enumerate() {
            let now = at(1 + number as u64);
            let (mut one_by_one, mut at_once) = (Vec::new(), Vec::new());
            let mut due = None;
            for message in messages.iter().cloned() {
                if message.hex("seq") == Some(1) {
                    // An acknowledgement due in the run before is not sent in this one.
                    due = None;
                }
                let medium = eth0.clone();
                let event = Event::Received { medium, message };
                let begin = one_by_one.len();
                single.handle(event, now, &mut one_by_one);
                due = one_by_one[begin..].iter().find_map(ack).or(due);
            }
            many.hear(&eth0, messages.to_vec(), now, &mut at_once);
            assert_eq!(
                others(&at_once),
                others(&one_by_one),
                "batch {number} of {batch}"
            );
            assert_eq!(many.next_deadline(), single.next_deadline());
            let sent: Vec<u64> = at_once.iter().filter_map(ack).collect();
            assert_eq!(sent, Vec::from_iter(due), "batch {number} of {batch}");
        }
    }
}

/// The node was cut off for almost a dead time and has removed its addresses. Then it receives the
/// other node, which reports that it has taken everything. We release, and put the addresses back
/// in the same call.
#[test]
fn addresses_are_not_restored_while_everything_is_released() {
    use crate::protocol::event::GroupOrder;
    use crate::protocol::group::ResourceGroup;
    let name = |text| NodeName::new(text).unwrap();
    let timing = Timing {
        keepalive: Duration::from_secs(1),
        deadtime: Duration::from_secs(10),
        warntime: Duration::from_secs(5),
        initdead: Duration::from_secs(20),
        deadping: Duration::from_secs(10),
        max_rexmit_delay: Duration::from_millis(250),
    };
    let group = |key: &str| ResourceGroup {
        key: GroupKey::new(key),
        owner: name("alpha"),
        resources: vec![key.to_owned()],
    };
    let settings = NodeSettings {
        media: vec![MediumName::new("eth0")],
        ping_nodes: vec![name("gate")],
        isolation_release: true,
        groups: vec![group("g1"), group("g2")],
        auto_failback: crate::protocol::settings::AutoFailback::Off,
        ..NodeSettings::new(name("alpha"), vec![name("alpha"), name("beta")], timing)
    };
    let identity = Identity {
        generation: Generation(7),
        uuid: NodeUuid([1; 16]),
        capabilities: CAPABILITIES.iter().map(|word| (*word).to_owned()).collect(),
    };
    let keys = [GroupKey::new("g1"), GroupKey::new("g2")];
    let resume = Resume {
        holding: HoldingSet::ALL,
        running: keys.to_vec(),
        ..Resume::default()
    };
    let mut node = Node::go_on(settings, identity, 1, &resume);
    let mut out = Vec::new();
    node.start(at(0), &mut out);
    node.handle(Event::MediaOpened, at(0), &mut out);
    let systole = |message: Message| message.with("systole", "v1.yield.echo");
    let hear = |node: &mut Node, medium: &str, message: Message, ms: u64| {
        let mut out = Vec::new();
        let medium = MediumName::new(medium);
        node.handle(Event::Received { medium, message }, at(ms), &mut out);
        out
    };
    let gate = || {
        Message::new(crate::protocol::field::kind::NS_STATUS)
            .with("src", "gate")
            .with("ts", "6b49d200")
            .with("st", "ping")
    };
    hear(&mut node, "gate", gate(), 10);
    hear(&mut node, "eth0", systole(status("up", GEN, 1)), 20);
    let list = from_beta("repnodes", GEN, 2)
        .with("dest", "alpha")
        .with("nodelist", "alpha beta ")
        .with("delnodelist", " ");
    hear(&mut node, "eth0", list, 30);
    hear(&mut node, "eth0", systole(status("active", GEN, 3)), 40);
    let report = from_beta("resource", GEN, 4)
        .with("rsc_hold", "none")
        .with("rtype", "full")
        .with("isstable", "1")
        .with("systole_heard", "7.ff");
    hear(&mut node, "eth0", report, 50);
    hear(&mut node, "gate", gate(), 60);
    let mut out = Vec::new();
    let mut now = 60;
    while !out
        .iter()
        .any(|action| matches!(action, Action::WithdrawAddresses(_)))
    {
        now += 10;
        assert!(now < 20_000);
        node.handle(Event::Tick, at(now), &mut out);
    }
    // The cable is connected again: beta declared us dead some milliseconds ago and runs one group
    // now.
    let verdict = systole(status("active", GEN, 20)).with("systole_gone", "7.0.1");
    let out = hear(&mut node, "eth0", verdict, now + 20);
    let moves: Vec<String> = out
        .iter()
        .filter_map(|action| match action {
            Action::WithdrawAddresses(keys) => Some(format!("withdraw {keys:?}")),
            Action::RestoreAddresses(keys) => Some(format!("restore {keys:?}")),
            Action::Group {
                group,
                what: GroupOrder::Stop,
                ..
            } => Some(format!("stop {group}")),
            _ => None,
        })
        .collect();
    assert!(
        !moves.iter().any(|line| line.starts_with("restore")),
        "{moves:?}"
    );
}

/// The other node and the ping node are down for maintenance, and the daemon of the node that serves is
/// restarted in place. With `auto_failback legacy` it serves without holding a half.
#[test]
fn a_lone_server_that_goes_on_keeps_its_groups_when_the_ping_node_is_down() {
    use crate::protocol::group::ResourceGroup;
    use crate::protocol::settings::AutoFailback;
    let name = |text| NodeName::new(text).unwrap();
    let timing = Timing {
        keepalive: Duration::from_secs(1),
        deadtime: Duration::from_secs(10),
        warntime: Duration::from_secs(5),
        initdead: Duration::from_secs(20),
        deadping: Duration::from_secs(10),
        max_rexmit_delay: Duration::from_millis(250),
    };
    let withdraws = |auto_failback, resume: &Resume| {
        let settings = NodeSettings {
            media: vec![MediumName::new("eth0")],
            ping_nodes: vec![name("gate")],
            isolation_release: true,
            groups: vec![ResourceGroup {
                key: GroupKey::new("g1"),
                owner: name("alpha"),
                resources: vec!["g1".to_owned()],
            }],
            auto_failback,
            ..NodeSettings::new(
                name("alpha"),
                vec![name("alpha"), name("beta")],
                timing.clone(),
            )
        };
        let identity = Identity {
            generation: Generation(7),
            uuid: NodeUuid([1; 16]),
            capabilities: Vec::new(),
        };
        let mut node = Node::go_on(settings, identity, 1, resume);
        let mut out = Vec::new();
        node.start(at(0), &mut out);
        node.handle(Event::MediaOpened, at(0), &mut out);
        for ms in (10..60_000).step_by(10) {
            node.handle(Event::Tick, at(ms), &mut out);
        }
        out.iter()
            .any(|action| matches!(action, Action::WithdrawAddresses(_)))
    };
    let running = Resume {
        running: vec![GroupKey::new("g1")],
        ..Resume::default()
    };
    assert!(!withdraws(AutoFailback::Legacy, &running));
    let held = Resume {
        holding: HoldingSet::LOCAL,
        ..running
    };
    assert!(!withdraws(AutoFailback::Off, &held));
}

/// A core that panicked: what was due stays due, and for the same reason.
#[test]
fn a_failback_stays_due_for_the_reason_that_it_had() {
    let name = |text| NodeName::new(text).unwrap();
    let timing = Timing {
        keepalive: Duration::from_secs(1),
        deadtime: Duration::from_secs(10),
        warntime: Duration::from_secs(5),
        initdead: Duration::from_secs(20),
        deadping: Duration::from_secs(10),
        max_rexmit_delay: Duration::from_millis(250),
    };
    let names = || vec![name("alpha"), name("beta")];
    let go_on = |resume: Resume| {
        let settings = NodeSettings::new(name("alpha"), names(), timing.clone());
        let identity = Identity {
            generation: Generation(7),
            uuid: NodeUuid([1; 16]),
            capabilities: Vec::new(),
        };
        let node = Node::go_on(settings, identity, 1, &resume);
        let duty = node.duty();
        assert_eq!(
            (duty.failback_due, duty.to_go_home),
            (node.failback_due(), node.goes_home_by_file()),
            "the next successor is told the same"
        );
        (node.failback_due(), node.goes_home_by_file())
    };
    let none = Resume::default();
    assert_eq!(go_on(none.clone()), (false, false));
    let failback_due = true;
    assert_eq!(
        go_on(Resume {
            failback_due,
            ..none.clone()
        }),
        (true, false)
    );
    let to_go_home = true;
    assert_eq!(go_on(Resume { to_go_home, ..none }), (true, true));
}
