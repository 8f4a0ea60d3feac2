//! A few whole nodes on one wire, in virtual time. Nothing is random: the simulator has random
//! faults.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use systole::clock::{Monotonic, Now};
use systole::net::address::names_address;
use systole::node::Node;
use systole::node::resume::Resume;
use systole::notice::Severity;
use systole::protocol::event::{
    Action, Event, GroupOrder, GroupOutcome, OrderId, Origin, StopReason,
};
use systole::protocol::field;
use systole::protocol::group::{GroupKey, ResourceGroup};
use systole::protocol::haresources_mark::FileMarks;
use systole::protocol::membership::Identity;
use systole::protocol::message::Message;
use systole::protocol::name::{Generation, MediumName, NodeName, NodeUuid};
use systole::protocol::settings::{AutoFailback, NodeSettings, Timing};
use systole::resources::owners::{Before, Whose};

/// Delay of a datagram.
const TRAVEL: Duration = Duration::from_millis(1);
/// Run time of a script, unless a test sets another.
const SCRIPT: Duration = Duration::from_millis(20);

pub(crate) fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

/// One host: its disk and its running resources survive the node's process.
struct Host {
    node: Option<Node>,
    generation: u64,
    /// The groups that are in force in the daemon.
    groups: Vec<ResourceGroup>,
    running: BTreeSet<String>,
    fails: BTreeSet<String>,
    /// Types of messages of this host that do not reach the others.
    mute: BTreeSet<String>,
    next_tick: Option<Monotonic>,
    /// The whole machine is suspended: the events that wait for it.
    frozen: Option<Vec<Pending>>,
}

enum Pending {
    Datagram {
        to: usize,
        message: Message,
    },
    ScriptEnd {
        host: usize,
        life: u64,
        order: OrderId,
        group: GroupKey,
        what: GroupOrder,
    },
    ClientsEnd {
        host: usize,
        life: u64,
    },
    /// Another host answers for the address of a group that was to be started.
    Taken {
        host: usize,
        order: OrderId,
        group: GroupKey,
    },
}

/// Whether a datagram is lost: sender, receiver, message.
pub(crate) type Loses = Box<dyn FnMut(&str, &str, &Message) -> bool>;

/// The hosts, the wire and everything that happened.
pub(crate) struct Cluster {
    pub(crate) now: Monotonic,
    names: Vec<String>,
    model: AutoFailback,
    hosts: Vec<Host>,
    pending: BTreeMap<(Monotonic, u64), Pending>,
    count: u64,
    cut: bool,
    /// The same uuid on every host, as on cloned machines.
    pub(crate) cloned: bool,
    /// There is a ping node, and nodes that are cut off release everything.
    pub(crate) gateway: bool,
    /// When addresses were withdrawn, and on which host.
    pub(crate) withdrawn: Vec<(Monotonic, String)>,
    /// Which datagrams are lost: sender, receiver, message.
    pub(crate) lose: Loses,
    /// Hosts whose core panics in the next call that would give an order for a group.
    pub(crate) panics: BTreeSet<String>,
    /// Hosts whose messages lack the fields of the present version: which groups run, under which
    /// owners.
    pub(crate) older: BTreeSet<String>,
    /// Further resources of all groups in the file of a host.
    pub(crate) more: BTreeMap<String, String>,
    /// haresources of a host, if it differs from that of the others: owner and group.
    pub(crate) haresources: BTreeMap<String, Vec<(String, String)>>,
    pub(crate) script_time: BTreeMap<String, Duration>,
    /// `node message`, as [`text_of`] writes it.
    pub(crate) messages: Vec<(String, String)>,
    /// `node start group`.
    pub(crate) scripts: Vec<(String, String)>,
    pub(crate) complaints: Vec<String>,
    pub(crate) reboots: Vec<String>,
    /// When a node's own heartbeat came back: this would feed a watchdog.
    pub(crate) own_beats: Vec<(Monotonic, String)>,
    /// Instants at which a group ran on two hosts.
    pub(crate) doubles: Vec<(Monotonic, String)>,
}

impl Cluster {
    /// Hosts of these names, each the owner of the group that the map gives it.
    pub(crate) fn new(names: &[&str], model: AutoFailback) -> Self {
        let host = || Host {
            node: None,
            generation: 100,
            groups: Vec::new(),
            running: BTreeSet::new(),
            fails: BTreeSet::new(),
            mute: BTreeSet::new(),
            next_tick: None,
            frozen: None,
        };
        Self {
            now: Monotonic::from_millis(1000),
            names: names.iter().map(|n| (*n).to_owned()).collect(),
            model,
            hosts: names.iter().map(|_| host()).collect(),
            pending: BTreeMap::new(),
            count: 0,
            cut: false,
            cloned: false,
            gateway: false,
            withdrawn: Vec::new(),
            lose: Box::new(|_, _, _| false),
            panics: BTreeSet::new(),
            older: BTreeSet::new(),
            more: BTreeMap::new(),
            haresources: BTreeMap::new(),
            script_time: BTreeMap::new(),
            messages: Vec::new(),
            scripts: Vec::new(),
            complaints: Vec::new(),
            reboots: Vec::new(),
            own_beats: Vec::new(),
            doubles: Vec::new(),
        }
    }

    /// Both nodes of a pair, started together and settled.
    pub(crate) fn settled_pair(model: AutoFailback) -> Self {
        let mut cluster = Self::new(&["node1", "node2"], model);
        cluster.boot("node1");
        cluster.boot("node2");
        cluster.run(20_000);
        assert_eq!(cluster.holdings(), ["node1 local: a", "node2 local: b"]);
        cluster.forget();
        cluster
    }

    fn index(&self, host: &str) -> usize {
        self.names.iter().position(|n| n == host).unwrap()
    }

    fn settings(&self, host: usize) -> NodeSettings {
        let timing = Timing {
            keepalive: Duration::from_millis(500),
            deadtime: Duration::from_secs(4),
            warntime: Duration::from_secs(2),
            initdead: Duration::from_secs(12),
            deadping: Duration::from_secs(4),
            max_rexmit_delay: Duration::from_millis(250),
        };
        let groups: Vec<ResourceGroup> = self
            .haresources
            .get(&self.names[host])
            .cloned()
            .unwrap_or_else(|| {
                let groups = ["a", "b", "c"].iter().map(|g| (*g).to_owned());
                self.names.iter().cloned().zip(groups).collect()
            })
            .into_iter()
            .map(|(owner, group)| ResourceGroup {
                key: GroupKey::new(&group),
                owner: name(&owner),
                resources: std::iter::once(group)
                    .chain(self.more.get(&self.names[host]).cloned())
                    .collect(),
            })
            .collect();
        NodeSettings {
            ping_nodes: self.gateway.then(|| name("gw")).into_iter().collect(),
            media: vec![MediumName::new("eth0")],
            auto_failback: self.model,
            with_address: groups
                .iter()
                .filter(|group| group.resources.iter().any(|word| names_address(word)))
                .map(|group| group.key.clone())
                .collect(),
            groups,
            isolation_release: self.gateway,
            ..NodeSettings::new(
                name(&self.names[host]),
                self.names.iter().map(|n| name(n)).collect(),
                timing,
            )
        }
    }

    /// Starts the daemon of a host.
    pub(crate) fn boot(&mut self, host: &str) {
        self.boot_with(host, None);
    }

    /// The daemon alone is killed, and its guardian starts it again with what it held. Scripts that
    /// run meanwhile change nothing: the orders are given again.
    pub(crate) fn revive(&mut self, host: &str) {
        let at = self.index(host);
        let before = self.before(at);
        self.boot_with(host, Some(before));
    }

    /// Removes the running scripts of a host from the list.
    fn unfinished(&mut self, host: usize) -> Vec<GroupKey> {
        let mut groups = Vec::new();
        self.pending.retain(|_, what| match what {
            Pending::ScriptEnd { host: h, group, .. } if *h == host => {
                groups.push(group.clone());
                false
            }
            Pending::ScriptEnd { .. }
            | Pending::Datagram { .. }
            | Pending::Taken { .. }
            | Pending::ClientsEnd { .. } => true,
        });
        groups
    }

    /// The state that the daemon of a host leaves to a successor.
    fn before(&self, at: usize) -> Before {
        let node = self.hosts[at].node.as_ref().unwrap();
        let left: Vec<_> = node.left_groups().collect();
        let came: Vec<_> = node.came_groups().collect();
        let local = name(&self.names[at]);
        let whose = |group: &ResourceGroup| match group.owner == local {
            true if came.contains(&&group.key) => Whose::Came,
            true => Whose::Own,
            false if left.contains(&&group.key) => Whose::Left,
            false => Whose::Other,
        };
        let groups = self.hosts[at].groups.iter();
        Before {
            owners: groups
                .map(|group| (group.key.clone(), whose(group)))
                .collect(),
            holding: node.holding(),
            running: self.hosts[at]
                .running
                .iter()
                .map(|group| GroupKey::new(group))
                .collect(),
            unfinished: BTreeSet::new(),
        }
    }

    fn boot_with(&mut self, host: &str, resume: Option<Before>) {
        let at = self.index(host);
        self.hosts[at].generation += 1;
        let identity = Identity {
            generation: Generation(self.hosts[at].generation),
            uuid: NodeUuid(
                [if self.cloned {
                    1
                } else {
                    u8::try_from(at).unwrap() + 1
                }; 16],
            ),
            capabilities: systole::node::CAPABILITIES
                .iter()
                .map(|word| (*word).to_owned())
                .collect(),
        };
        let mut node = match resume {
            None => Node::new(self.settings(at), identity, 7),
            Some(before) => {
                let settings = self.settings(at);
                let unfinished = self.unfinished(at);
                let last = self.hosts[at].node.as_ref();
                let releases = last.is_some_and(Node::releases_everything);
                let now = before.by(&settings.local, &settings.groups);
                let resume = Resume {
                    holding: now.holding,
                    running: before.running.into_iter().collect(),
                    unfinished,
                    left: now.left.into_iter().collect(),
                    came: now.came.into_iter().collect(),
                    to_go_home: now.to_go_home,
                    releases,
                    ..Resume::default()
                };
                Node::go_on(settings, identity, 7, &resume)
            }
        };
        self.hosts[at].groups = self.settings(at).groups;
        let mut actions = Vec::new();
        node.start(self.clock(), &mut actions);
        self.hosts[at].node = Some(node);
        self.perform(at, actions);
        self.feed(at, Event::MediaOpened);
    }

    /// Power loss: nothing runs any more and nothing was reported.
    pub(crate) fn kill(&mut self, host: &str) {
        let at = self.index(host);
        self.hosts[at].node = None;
        self.hosts[at].next_tick = None;
        self.hosts[at].running.clear();
    }

    /// The machine is suspended, as a paused virtual machine.
    pub(crate) fn freeze(&mut self, host: &str) {
        let at = self.index(host);
        self.hosts[at].frozen = Some(Vec::new());
    }

    /// It goes on: the overdue timer comes first, then the events that waited.
    pub(crate) fn thaw(&mut self, host: &str) {
        let at = self.index(host);
        for what in self.hosts[at].frozen.take().unwrap_or_default() {
            self.later(Duration::from_micros(1), what);
        }
    }

    /// Messages of this type from the host do not reach the others.
    pub(crate) fn mute(&mut self, host: &str, kind: &str) {
        let at = self.index(host);
        self.hosts[at].mute.insert(kind.to_owned());
    }

    /// The node announces a longer dead time.
    pub(crate) fn announce_silence(&mut self, host: &str, extra: Duration) {
        let at = self.index(host);
        let clock = self.clock();
        let mut actions = Vec::new();
        let node = self.hosts[at].node.as_mut().unwrap();
        node.announce_silence(extra, clock, &mut actions);
        self.perform(at, actions);
    }

    /// An orderly stop.
    pub(crate) fn stop(&mut self, host: &str) {
        let at = self.index(host);
        let reason = StopReason::Requested;
        self.feed(at, Event::StopRequested { reason });
    }

    /// `hb_standby SET` on a host.
    pub(crate) fn standby(&mut self, host: &str, set: &str) {
        let message = Message::new("ask_resources")
            .with(field::RSC_HOLD, set)
            .with(field::INFO, "me");
        self.inject(host, message);
    }

    /// `hb_takeover SET` on a host.
    pub(crate) fn takeover(&mut self, host: &str, set: &str) {
        self.inject(host, Message::new("hb_takeover").with(field::RSC_HOLD, set));
    }

    fn inject(&mut self, host: &str, message: Message) {
        let at = self.index(host);
        let origin = Origin::Fifo;
        self.feed(at, Event::Injected { origin, message });
    }

    /// `hb_standby --force SET` or `hb_takeover --force SET` on a host.
    pub(crate) fn force(&mut self, host: &str, kind: &str, set: &str) {
        let message = Message::new(kind)
            .with(field::RSC_HOLD, set)
            .with(field::INFO, "me")
            .with(field::FORCE, "1");
        self.inject(host, message);
    }

    /// Every daemon reads its file, as it does every few seconds.
    pub(crate) fn look_at_haresources(&mut self) {
        for host in 0..self.hosts.len() {
            let marks = FileMarks::of(&self.settings(host).groups);
            if let Some(node) = &mut self.hosts[host].node {
                node.haresources_on_disk(marks);
            }
        }
    }

    /// Cuts the wire between all hosts.
    pub(crate) fn cut(&mut self) {
        self.cut = true;
    }

    /// Connects it again.
    pub(crate) fn heal(&mut self) {
        self.cut = false;
    }

    /// From now on the group does not start on the host.
    pub(crate) fn break_group(&mut self, host: &str, group: &str) {
        let at = self.index(host);
        self.hosts[at].fails.insert(group.to_owned());
    }

    /// From now on it starts there again.
    pub(crate) fn repair_group(&mut self, host: &str, group: &str) {
        let at = self.index(host);
        self.hosts[at].fails.remove(group);
    }

    fn clock(&self) -> Now {
        Now {
            instant: self.now,
            unix_s: 1_700_000_000 + self.now.since_start().as_secs(),
        }
    }

    fn feed(&mut self, host: usize, event: Event) {
        let clock = self.clock();
        let Some(node) = &mut self.hosts[host].node else {
            return;
        };
        let mut actions = Vec::new();
        node.handle(event, clock, &mut actions);
        let orders =
            |action: &Action| matches!(action, Action::Group { .. } | Action::WithdrawAddresses(_));
        let name = &self.names[host];
        if self.panics.contains(name) && actions.iter().any(orders) {
            let name = name.clone();
            self.panics.remove(&name);
            return self.revive(&name);
        }
        let due = node.next_deadline();
        self.hosts[host].next_tick = due;
        self.perform(host, actions);
    }

    fn later(&mut self, delay: Duration, what: Pending) {
        self.count += 1;
        self.pending.insert((self.now + delay, self.count), what);
    }

    fn perform(&mut self, host: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Transmit(message) => {
                    self.record(host, &message);
                    let mute = message
                        .kind()
                        .is_some_and(|kind| self.hosts[host].mute.contains(kind));
                    for to in 0..self.hosts.len() {
                        let (sender, receiver) = (self.names[host].clone(), self.names[to].clone());
                        let lost = to != host && (self.lose)(&sender, &receiver, &message);
                        if !(self.cut || mute || lost) || to == host {
                            let old = [&sender, &receiver]
                                .iter()
                                .any(|it| self.older.contains(*it));
                            let message = if old && to != host {
                                as_heard_by_older(&message)
                            } else {
                                message.clone()
                            };
                            self.later(TRAVEL, Pending::Datagram { to, message });
                        }
                    }
                }
                Action::Group { order, group, what } => {
                    let careful = self.hosts[host]
                        .node
                        .as_ref()
                        .is_some_and(|node| node.start_asks_network(order));
                    if careful && what == GroupOrder::Start && group.as_str().starts_with("10.") {
                        let mut others = self.hosts.iter().enumerate();
                        let taken = others.any(|(at, other)| {
                            at != host && other.running.contains(group.as_str())
                        });
                        if taken {
                            self.later(SCRIPT, Pending::Taken { host, order, group });
                            continue;
                        }
                    }
                    let run = self.hosts[host].running.contains(group.as_str());
                    let word = match what {
                        GroupOrder::Start if run => None,
                        GroupOrder::Start => Some("start"),
                        GroupOrder::Stop => Some("stop"),
                    };
                    if let Some(word) = word {
                        self.scripts
                            .push((self.names[host].clone(), format!("{word} {group}")));
                    }
                    let takes = self
                        .script_time
                        .get(group.as_str())
                        .copied()
                        .unwrap_or(SCRIPT);
                    let life = self.hosts[host].generation;
                    self.later(
                        takes,
                        Pending::ScriptEnd {
                            host,
                            life,
                            order,
                            group,
                            what,
                        },
                    );
                }
                Action::Notice(notice) if notice.severity() >= Severity::Warn => self
                    .complaints
                    .push(format!("{}: {notice}", self.names[host])),
                Action::StopClients => {
                    let life = self.hosts[host].generation;
                    self.later(SCRIPT, Pending::ClientsEnd { host, life });
                }
                Action::GenerationTaken(generation) => {
                    // The process is the same: its scripts still belong to it.
                    if self.hosts[host].generation != generation.0 {
                        let old = self.hosts[host].generation;
                        for pending in self.pending.values_mut() {
                            if let Pending::ScriptEnd { host: h, life, .. } = pending
                                && *h == host
                                && *life == old
                            {
                                *life = generation.0;
                            }
                        }
                    }
                    self.hosts[host].generation = generation.0;
                }
                Action::Exit => {
                    self.hosts[host].node = None;
                    self.hosts[host].next_tick = None;
                }
                Action::OwnHeartbeat => {
                    let beat = (self.now, self.names[host].clone());
                    self.own_beats.push(beat);
                }
                Action::WithdrawAddresses(_) => {
                    let withdrawn = (self.now, self.names[host].clone());
                    self.withdrawn.push(withdrawn);
                }
                Action::RebootMachine { .. } => self.reboots.push(self.names[host].clone()),
                _ => {}
            }
        }
    }

    fn record(&mut self, host: usize, message: &Message) {
        if let Some(text) = text_of(message) {
            self.messages.push((self.names[host].clone(), text));
        }
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        loop {
            let tick = self
                .hosts
                .iter()
                .enumerate()
                .filter(|(_, host)| host.frozen.is_none())
                .filter_map(|(at, host)| Some((host.next_tick?, at)))
                .min();
            let pending = self.pending.keys().next().copied();
            match (pending, tick) {
                (Some((at, _)), tick) if at <= end && tick.is_none_or(|(due, _)| at <= due) => {
                    let (_, what) = self.pending.pop_first().unwrap();
                    self.now = self.now.max(at);
                    self.happen(what);
                }
                (_, Some((due, host))) if due <= end => {
                    self.now = self.now.max(due);
                    self.feed(host, Event::Tick);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn happen(&mut self, what: Pending) {
        let (Pending::Datagram { to: host, .. }
        | Pending::ScriptEnd { host, .. }
        | Pending::Taken { host, .. }
        | Pending::ClientsEnd { host, .. }) = &what;
        if let Some(waiting) = &mut self.hosts[*host].frozen {
            waiting.push(what);
            return;
        }
        match what {
            Pending::Datagram { to, message } => {
                let medium = MediumName::new("eth0");
                self.feed(to, Event::Received { medium, message });
            }
            Pending::ScriptEnd {
                host,
                life,
                order,
                group,
                what,
            } => {
                if self.hosts[host].node.is_none() || self.hosts[host].generation != life {
                    return;
                }
                let outcome = match what {
                    GroupOrder::Start if self.hosts[host].fails.contains(group.as_str()) => {
                        GroupOutcome::StartFailed {
                            resource: group.to_string(),
                            code: 1,
                        }
                    }
                    GroupOrder::Start => {
                        self.hosts[host].running.insert(group.to_string());
                        self.look_for_doubles(&group);
                        GroupOutcome::Started
                    }
                    GroupOrder::Stop => {
                        self.hosts[host].running.remove(group.as_str());
                        GroupOutcome::Stopped
                    }
                };
                let event = Event::GroupDone {
                    order,
                    group,
                    outcome,
                };
                self.feed(host, event);
            }
            Pending::Taken { host, order, group } => {
                let event = Event::GroupDone {
                    order,
                    group,
                    outcome: GroupOutcome::AddressTaken {
                        claim: "another host".to_owned(),
                    },
                };
                self.feed(host, event);
            }
            Pending::ClientsEnd { host, life } => {
                if self.hosts[host].generation == life {
                    self.feed(host, Event::ClientsStopped);
                }
            }
        }
    }

    fn look_for_doubles(&mut self, group: &GroupKey) {
        let on = self
            .hosts
            .iter()
            .filter(|host| host.running.contains(group.as_str()))
            .count();
        if on > 1 {
            self.doubles.push((self.now, group.to_string()));
        }
    }

    /// The gateway answers a host.
    pub(crate) fn answer_ping(&mut self, host: &str) {
        let at = self.index(host);
        let ts = format!("{:x}", self.clock().unix_s);
        let message = Message::new("NS_st")
            .with(field::ST, "ping")
            .with(field::SRC, "gw")
            .with(field::INFO, "ping")
            .with(field::TS, &ts);
        let medium = MediumName::new("gw");
        self.feed(at, Event::Received { medium, message });
    }

    /// Generation of a host's present run.
    pub(crate) fn generation(&self, host: &str) -> u64 {
        self.hosts[self.index(host)].generation
    }

    pub(crate) fn node(&self, host: &str) -> &Node {
        self.hosts[self.index(host)].node.as_ref().unwrap()
    }

    /// The hosts on which a group runs.
    pub(crate) fn owners(&self, group: &str) -> Vec<String> {
        let on = self.names.iter().zip(&self.hosts);
        on.filter(|(_, host)| host.running.contains(group))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// `node rscstatus: running groups`, for every node that runs.
    pub(crate) fn holdings(&self) -> Vec<String> {
        self.names
            .iter()
            .zip(&self.hosts)
            .filter_map(|(name, host)| {
                let node = host.node.as_ref()?;
                let running: Vec<&str> = host.running.iter().map(String::as_str).collect();
                let status = node.rscstatus().unwrap_or("-");
                Some(
                    format!("{name} {status}: {}", running.join(" "))
                        .trim_end()
                        .to_owned(),
                )
            })
            .collect()
    }

    /// Whether the daemon of a host runs.
    pub(crate) fn is_up(&self, host: &str) -> bool {
        self.hosts[self.index(host)].node.is_some()
    }

    /// Forgets what happened so far.
    pub(crate) fn forget(&mut self) {
        self.messages.clear();
        self.scripts.clear();
        self.complaints.clear();
        self.doubles.clear();
    }

    /// The messages of one node.
    pub(crate) fn said_by(&self, host: &str) -> Vec<String> {
        of(&self.messages, host)
    }

    /// The scripts of one node.
    pub(crate) fn run_by(&self, host: &str) -> Vec<String> {
        of(&self.scripts, host)
    }
}

/// The part of a message that two nodes exchange when one of them is of the version before.
fn as_heard_by_older(message: &Message) -> Message {
    let mut message = message.clone();
    for name in [field::NAMES, field::LINES, field::EACH_LINE] {
        message.remove(name);
    }
    if message.kind() != Some("status") {
        message.remove(field::HARESOURCES);
    }
    message
}

/// The entries of one node.
pub(crate) fn of(entries: &[(String, String)], host: &str) -> Vec<String> {
    entries
        .iter()
        .filter(|(name, _)| name == host)
        .map(|(_, text)| text.clone())
        .collect()
}

/// A message of the handshake in the form that tests compare: type and important fields.
pub(crate) fn text_of(message: &Message) -> Option<String> {
    let kind = message.kind()?;
    let kinds = [
        "starting",
        "resource",
        "ask_resources",
        "hb_takeover",
        "shutdone",
        "stonith",
        "ip-request",
        "ip-request-resp",
    ];
    if !kinds.contains(&kind) {
        return None;
    }
    let mut words = vec![kind.to_owned()];
    for field in [
        field::NODE,
        field::RESULT,
        field::RSC_HOLD,
        field::IS_STABLE,
        field::INFO,
    ] {
        words.extend(message.text(field).map(str::to_owned));
    }
    Some(words.join(" "))
}
