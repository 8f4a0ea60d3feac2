//! A cluster of membership cores: a clock that jumps from one deadline to the next, and a wire
//! that delivers after one millisecond unless a test cuts it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::{Identity, Membership};
use crate::clock::{Monotonic, Now};
use crate::notice::Notice;
use crate::protocol::field;
use crate::protocol::message::Message;
use crate::protocol::name::{Generation, MediumName, NodeName, NodeUuid};
use crate::protocol::output::{Output, ResourceEvent};
use crate::protocol::settings::{AutoFailback, NodeSettings, Timing};
use crate::protocol::status::NodeStatus;

/// Wall clock at monotonic zero.
pub(super) const EPOCH_S: u64 = 1_795_212_000;

pub(super) fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

pub(super) fn eth0() -> MediumName {
    MediumName::new("eth0")
}

pub(super) fn at(ms: u64) -> Now {
    Now {
        instant: Monotonic::from_millis(ms),
        unix_s: EPOCH_S + ms / 1000,
    }
}

/// Silence after which a node with a dead time of `ms` (500 ms or more) is dead, arrival slack
/// included.
pub(super) const fn silent(ms: u64) -> u64 {
    ms + 10
}

/// keepalive 500 ms, warntime 2 s, deadtime 4 s, initdead 12 s: the recorded timelines.
pub(super) fn settings(local: &str, nodes: &[&str]) -> NodeSettings {
    let timing = Timing {
        keepalive: Duration::from_millis(500),
        deadtime: Duration::from_secs(4),
        warntime: Duration::from_secs(2),
        initdead: Duration::from_secs(12),
        deadping: Duration::from_secs(4),
        max_rexmit_delay: Duration::from_millis(250),
    };
    NodeSettings {
        media: vec![eth0()],
        auto_failback: AutoFailback::On,
        ..NodeSettings::new(
            name(local),
            nodes.iter().map(|node| name(node)).collect(),
            timing,
        )
    }
}

pub(super) fn identity(number: u8, generation: u64) -> Identity {
    Identity {
        generation: Generation(generation),
        uuid: NodeUuid([number; 16]),
        capabilities: Vec::new(),
    }
}

/// One core and its outputs.
pub(super) struct Host {
    pub(super) core: Membership,
    pub(super) running: bool,
    /// Number of the key with which it signs.
    pub(super) key: Option<u8>,
    /// (milliseconds, output)
    pub(super) said: Vec<(u64, Output)>,
}

impl Host {
    pub(super) fn notices(&self) -> Vec<String> {
        self.said
            .iter()
            .filter_map(|(_, output)| match output {
                Output::Notice(notice) => Some(notice.to_string()),
                _ => None,
            })
            .collect()
    }

    pub(super) fn when(&self, wanted: impl Fn(&Output) -> bool) -> Vec<u64> {
        self.said
            .iter()
            .filter(|(_, output)| wanted(output))
            .map(|(ms, _)| *ms)
            .collect()
    }

    pub(super) fn when_notice(&self, wanted: impl Fn(&Notice) -> bool) -> Vec<u64> {
        self.when(|output| matches!(output, Output::Notice(notice) if wanted(notice)))
    }

    /// Transmitted messages as `t` and the fields asked for.
    pub(super) fn sent(&self, fields: &[&str]) -> Vec<String> {
        self.said
            .iter()
            .filter_map(|(_, output)| match output {
                Output::Transmit(message) => Some(brief(message, fields)),
                _ => None,
            })
            .collect()
    }

    pub(super) fn events(&self) -> Vec<&ResourceEvent> {
        self.said
            .iter()
            .filter_map(|(_, output)| match output {
                Output::Resource(event) => Some(event),
                _ => None,
            })
            .collect()
    }

    pub(super) fn status_of(&self, node: &str) -> NodeStatus {
        self.core.node(&name(node)).unwrap().status
    }

    pub(super) fn forget(&mut self) {
        self.said.clear();
    }
}

pub(super) fn brief(message: &Message, fields: &[&str]) -> String {
    let mut words = vec![message.kind().unwrap_or("?").to_owned()];
    for field in fields {
        if let Some(text) = message.text(field) {
            words.push(format!("{field}={text}"));
        }
    }
    words.join(" ")
}

/// Whether the wire carries a message: sender, receiver, message, send time in ms.
type Carries = Box<dyn FnMut(&str, &str, &Message, u64) -> bool>;

pub(super) struct Cluster {
    pub(super) hosts: BTreeMap<String, Host>,
    pub(super) now_ms: u64,
    pub(super) carries: Carries,
    wire: BTreeMap<(u64, u64), (String, Message)>,
    numbered: u64,
    /// Hosts that neither run nor receive, but whose datagrams wait.
    pub(super) frozen: BTreeSet<String>,
    waiting: BTreeMap<String, Vec<Message>>,
}

impl Cluster {
    pub(super) fn new(nodes: &[&str]) -> Self {
        Self::with(nodes, |_| {})
    }

    pub(super) fn with(nodes: &[&str], adjust: impl Fn(&mut NodeSettings)) -> Self {
        let mut cluster = Self {
            hosts: BTreeMap::new(),
            now_ms: 0,
            carries: Box::new(|_, _, _, _| true),
            wire: BTreeMap::new(),
            numbered: 0,
            frozen: BTreeSet::new(),
            waiting: BTreeMap::new(),
        };
        for node in nodes {
            let mut settings = settings(node, nodes);
            adjust(&mut settings);
            cluster.install(node, &settings, 1000);
        }
        cluster
    }

    pub(super) fn install(&mut self, node: &str, settings: &NodeSettings, generation: u64) {
        let number = node.bytes().next().unwrap();
        let core = Membership::new(
            settings,
            identity(number, generation),
            u64::from(number) + generation,
        );
        self.hosts.insert(
            node.to_owned(),
            Host {
                core,
                running: false,
                key: None,
                said: Vec::new(),
            },
        );
    }

    pub(super) fn host(&mut self, node: &str) -> &mut Host {
        self.hosts.get_mut(node).unwrap()
    }

    pub(super) fn now(&self) -> Now {
        at(self.now_ms)
    }

    pub(super) fn start(&mut self, node: &str) {
        self.host(node).running = true;
        self.with_core(node, |core, now, out| {
            core.start(now, out);
            core.media_opened(now, out);
        });
    }

    pub(super) fn start_all(&mut self) {
        for node in self.hosts.keys().cloned().collect::<Vec<_>>() {
            self.start(&node);
        }
    }

    /// Power loss.
    pub(super) fn kill(&mut self, node: &str) {
        self.host(node).running = false;
    }

    pub(super) fn with_core(
        &mut self,
        node: &str,
        call: impl FnOnce(&mut Membership, Now, &mut Vec<Output>),
    ) {
        let (now, now_ms) = (self.now(), self.now_ms);
        let host = self.host(node);
        let mut out = Vec::new();
        call(&mut host.core, now, &mut out);
        assert!(
            host.core
                .next_deadline()
                .is_none_or(|deadline| deadline >= now.instant || !out.is_empty()),
            "a deadline that stays in the past"
        );
        for output in &out {
            match output {
                Output::SignWith(number) => self.host(node).key = Some(*number),
                Output::Transmit(message) => {
                    let key = self.host(node).key;
                    self.transmit(node, &message.clone().verified_with(key));
                }
                _ => {}
            }
        }
        let host = self.host(node);
        host.said
            .extend(out.into_iter().map(|output| (now_ms, output)));
    }

    fn transmit(&mut self, from: &str, message: &Message) {
        let others: Vec<String> = self
            .hosts
            .keys()
            .filter(|other| *other != from)
            .cloned()
            .collect();
        for other in others {
            if (self.carries)(from, &other, message, self.now_ms) {
                self.numbered += 1;
                self.wire
                    .insert((self.now_ms + 1, self.numbered), (other, message.clone()));
            }
        }
    }

    /// Runs until `ms`, everything due then included.
    pub(super) fn run_to(&mut self, ms: u64) {
        let mut rounds = 0;
        loop {
            let deadlines = self.hosts.iter().filter_map(|(node, host)| {
                let deadline = host.core.next_deadline()?;
                let due = deadline.since_start().as_nanos().div_ceil(1_000_000);
                (host.running && !self.frozen.contains(node))
                    .then(|| (u64::try_from(due).unwrap(), node.clone()))
            });
            let due = deadlines.min();
            let arrival = self.wire.keys().next().map(|(at, _)| *at);
            let next = due.iter().map(|(at, _)| *at).chain(arrival).min();
            let Some(next) = next.filter(|next| *next <= ms) else {
                break;
            };
            rounds = if next > self.now_ms { 0 } else { rounds + 1 };
            assert!(rounds < 10_000, "nothing moves at {next} ms: {due:?}");
            self.now_ms = self.now_ms.max(next);
            // Datagrams that are there when the timer fires are read after it.
            if let Some((_, node)) = due.filter(|(at, _)| *at <= next) {
                self.with_core(&node, |core, now, out| core.tick(now, out));
            } else if let Some((_, (to, message))) = self.wire.pop_first() {
                self.deliver(&to, message);
            }
        }
        self.now_ms = ms;
    }

    pub(super) fn run_for(&mut self, ms: u64) {
        self.run_to(self.now_ms + ms);
    }

    fn deliver(&mut self, to: &str, message: Message) {
        if self.frozen.contains(to) {
            self.waiting.entry(to.to_owned()).or_default().push(message);
        } else if self.host(to).running {
            self.with_core(to, |core, now, out| {
                core.received(&eth0(), message, now, out);
            });
        }
    }

    pub(super) fn freeze(&mut self, node: &str) {
        self.frozen.insert(node.to_owned());
    }

    /// The host wakes: its timer fires first, then it reads the datagrams that waited.
    pub(super) fn thaw(&mut self, node: &str) {
        self.frozen.remove(node);
        self.with_core(node, |core, now, out| core.tick(now, out));
        for message in self.waiting.remove(node).unwrap_or_default() {
            self.deliver(node, message);
        }
    }

    pub(super) fn cut(&mut self) {
        self.carries = Box::new(|_, _, _, _| false);
    }

    pub(super) fn heal(&mut self) {
        self.carries = Box::new(|_, _, _, _| true);
    }
}

/// A message of a peer as on the wire.
pub(super) fn from_beta(kind: &str, generation: u64, seq: u64) -> Message {
    let mut message = Message::new(kind).with(field::SRC, "beta");
    if seq > 0 {
        message = message.with(field::SEQ, &format!("{seq:x}"));
    }
    message
        .with(field::HG, &format!("{generation:x}"))
        .with(field::TS, "6b00c61e")
}

/// A status of beta.
pub(super) fn beta_status(word: &str, generation: u64, seq: u64) -> Message {
    from_beta("status", generation, seq)
        .with(field::ST, word)
        .with(field::DT, "fa0")
        .with(field::PROTOCOL, "1")
}

/// One core named alpha, whose peer beta is made by hand.
pub(super) struct Alone {
    pub(super) core: Membership,
    pub(super) now_ms: u64,
}

impl Alone {
    /// Active, with a beta of generation 0x1000 that has sent numbers 1 to 3.
    pub(super) fn active() -> Self {
        let mut alone = Self::started(&settings("alpha", &["alpha", "beta"]));
        alone.hear(beta_status("up", 0x1000, 1));
        alone.hear(
            from_beta("repnodes", 0x1000, 2)
                .with(field::DEST, "alpha")
                .with(field::NODE_LIST, "alpha beta ")
                .with(field::DEL_NODE_LIST, " "),
        );
        alone.hear(beta_status("active", 0x1000, 3));
        assert!(alone.core.comm_up());
        alone
    }

    pub(super) fn started(settings: &NodeSettings) -> Self {
        let mut alone = Self {
            core: Membership::new(settings, identity(1, 7), 99),
            now_ms: 0,
        };
        let mut out = Vec::new();
        alone.core.start(at(0), &mut out);
        alone.core.media_opened(at(0), &mut out);
        alone
    }

    pub(super) fn hear(&mut self, message: Message) -> Vec<Output> {
        let mut out = Vec::new();
        self.core
            .received(&eth0(), message, at(self.now_ms), &mut out);
        out
    }

    /// Goes to `ms` from deadline to deadline.
    pub(super) fn run_to(&mut self, ms: u64) -> Vec<Output> {
        let mut out = Vec::new();
        while let Some(deadline) = self.core.next_deadline() {
            let due = u64::try_from(deadline.since_start().as_nanos().div_ceil(1_000_000)).unwrap();
            if due > ms {
                break;
            }
            self.now_ms = due.max(self.now_ms);
            self.core.tick(at(self.now_ms), &mut out);
        }
        self.now_ms = ms;
        out
    }
}

pub(super) fn notices(out: &[Output]) -> Vec<String> {
    out.iter()
        .filter_map(|output| match output {
            Output::Notice(notice) => Some(notice.to_string()),
            _ => None,
        })
        .collect()
}

pub(super) fn sent(out: &[Output], fields: &[&str]) -> Vec<String> {
    out.iter()
        .filter_map(|output| match output {
            Output::Transmit(message) => Some(brief(message, fields)),
            _ => None,
        })
        .collect()
}
