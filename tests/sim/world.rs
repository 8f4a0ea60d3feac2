//! A whole cluster in one thread and in virtual time: real cores, a seeded network, modelled
//! scripts. The same seed gives the same run, bit for bit.

use std::cmp::Reverse;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::fmt::Write as _;
use std::hash::{Hash as _, Hasher as _};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use systole::clock::{Monotonic, Now};
use systole::node::Node;
use systole::protocol::event::{
    Action, Event, GroupOrder, GroupOutcome, OrderId, Origin, StopReason,
};
use systole::protocol::group::{GroupKey, ResourceGroup};
use systole::protocol::membership::Identity;
use systole::protocol::message::Message;
use systole::protocol::name::{Generation, MediumName, NodeName, NodeUuid};
use systole::protocol::partition::YIELD;
use systole::protocol::settings::{AutoFailback, NodeSettings, Timing};

use super::invariants::Judge;

/// Microseconds of virtual time.
pub type Micros = u64;
/// One second.
pub const SECOND: Micros = 1_000_000;

/// What a run is made of. Everything else comes from the seed.
#[derive(Debug, Clone)]
pub struct Plan {
    pub keepalive_ms: u64,
    pub deadtime_ms: u64,
    pub initdead_ms: u64,
    pub failback: AutoFailback,
    /// `(owner's index, number of resources)` of each group.
    pub groups: Vec<(usize, usize)>,
    pub nodes: usize,
    pub media: usize,
    /// Longest run of an ordinary script.
    pub script_ms: u64,
    /// Longest run of a slow one.
    pub slow_script_ms: u64,
    /// Longest delay of a message between our own actors.
    pub internal_ms: u64,
    /// There is a ping node, and nodes that are cut off let go.
    pub gate: bool,
    /// Hosts that do not know who yields after a partition, as an old release or a legacy node.
    pub ignorant: Vec<usize>,
}

impl Plan {
    /// A two-node plan drawn from the seed.
    pub fn random(rng: &mut StdRng) -> Self {
        let keepalive_ms = rng.random_range(1..=10) * 100;
        let deadtime_ms = keepalive_ms * rng.random_range(4..=12);
        let mut groups = vec![(0, rng.random_range(1..=3))];
        if rng.random_bool(0.6) {
            groups.push((1, rng.random_range(1..=3)));
        }
        if rng.random_bool(0.3) {
            groups.push((0, 1));
        }
        Self {
            keepalive_ms,
            deadtime_ms,
            initdead_ms: deadtime_ms.max(10_000) + 2_000,
            failback: match rng.random_range(0..10) {
                0..=3 => AutoFailback::On,
                4..=7 => AutoFailback::Off,
                _ => AutoFailback::Legacy,
            },
            groups,
            nodes: 2,
            media: rng.random_range(1..=2),
            script_ms: 60,
            slow_script_ms: 3_000,
            internal_ms: [1, 5, 20][rng.random_range(0..3)],
            gate: false,
            ignorant: match rng.random_range(0..8) {
                0 => vec![0],
                1 => vec![1],
                2 => vec![0, 1],
                _ => Vec::new(),
            },
        }
    }
}

/// One direction of one cable.
#[derive(Debug, Clone, Default)]
pub struct Path {
    pub cut: bool,
    /// Share of datagrams lost, in percent.
    pub loss: u32,
    /// At most this many heartbeats lost in a row; 0: no bound.
    pub longest_run: u32,
    pub lost_in_row: u32,
    pub burst_until: Micros,
    pub duplicate: u32,
    /// Longest delay in microseconds (the least is 200).
    pub delay: Micros,
}

/// Something that will happen.
#[derive(Debug, Clone)]
pub enum Happening {
    Timer {
        host: usize,
        epoch: u32,
        arm: u64,
    },
    Datagram {
        host: usize,
        from: usize,
        medium: usize,
        message: Message,
    },
    Order {
        host: usize,
        epoch: u32,
        order: OrderId,
        group: GroupKey,
        what: GroupOrder,
    },
    ScriptEnd {
        host: usize,
        epoch: u32,
        group: GroupKey,
    },
    Done {
        host: usize,
        epoch: u32,
        order: OrderId,
        group: GroupKey,
        outcome: GroupOutcome,
    },
    ClientsStopped {
        host: usize,
        epoch: u32,
    },
    Thaw {
        host: usize,
    },
    Boot {
        host: usize,
    },
    /// The ping node answers.
    Echo {
        host: usize,
        epoch: u32,
    },
    /// The way to the ping node is cut, or is not.
    Gate {
        host: usize,
        cut: bool,
    },
    /// All cables of a host are pulled, or plugged.
    Cable {
        host: usize,
        cut: bool,
    },
    /// What the FIFO brings.
    Injected {
        host: usize,
        epoch: u32,
        message: Message,
    },
    StopAsked {
        host: usize,
        epoch: u32,
    },
    /// Maintenance begins or ends.
    Maintenance {
        host: usize,
        freeze: bool,
    },
    Fault,
}

#[derive(Debug)]
struct Queued(Reverse<(Micros, u64)>, Happening);
impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

/// What a group's actor is doing.
#[derive(Debug, Default)]
pub struct GroupModel {
    pub runs: bool,
    busy: Option<(OrderId, GroupOrder)>,
    waiting: VecDeque<(OrderId, GroupOrder)>,
}

/// One machine.
pub struct Host {
    pub name: NodeName,
    pub node: Option<Node>,
    /// Counts starts and deaths: what belongs to an older life is dropped.
    pub epoch: u32,
    pub generation: u64,
    pub frozen_until: Option<Micros>,
    /// The whole machine is frozen: scripts do not go on either.
    machine_frozen: bool,
    /// What waits for a frozen node.
    deferred: Vec<Happening>,
    pub wall_offset: i64,
    arm: u64,
    armed_at: Option<Micros>,
    pub groups: BTreeMap<GroupKey, GroupModel>,
    pub outstanding: BTreeSet<GroupKey>,
    /// Groups whose start fails here.
    pub broken: BTreeSet<GroupKey>,
    /// Groups whose stop fails here for good.
    pub unstoppable: BTreeSet<GroupKey>,
    pub stopping: bool,
    /// Generation and number of the newest heartbeat sent.
    newest_beat: (Option<u64>, Option<u64>),
    /// The ping node does not answer it.
    pub gate_cut: bool,
    same_instant: u32,
    last_run: Micros,
}

/// The cluster, the network and the judge.
pub struct World {
    pub plan: Plan,
    pub rng: StdRng,
    pub now: Micros,
    serial: u64,
    queue: BinaryHeap<Queued>,
    pub hosts: Vec<Host>,
    /// `paths[from][to][medium]`.
    pub paths: Vec<Vec<Vec<Path>>>,
    pub judge: Judge,
    pub faults: bool,
    /// Every order that a core gave.
    pub orders: Vec<(Micros, usize, GroupKey, GroupOrder)>,
    pub marks: u64,
    digest: DefaultHasher,
    trace: Option<String>,
}

fn group_key(index: usize) -> GroupKey {
    GroupKey::new(&format!("dummy::g{index}"))
}

impl World {
    /// Hosts that are all off.
    pub fn new(plan: Plan, seed: u64) -> Self {
        let nodes = plan.nodes;
        let path = Path {
            delay: 2_000,
            ..Path::default()
        };
        let hosts = (0..nodes)
            .map(|i| Host {
                name: NodeName::new(&format!("node{}", i + 1)).expect("a name"),
                node: None,
                epoch: 0,
                generation: 1_000,
                frozen_until: None,
                machine_frozen: false,
                deferred: Vec::new(),
                wall_offset: 0,
                gate_cut: false,
                arm: 0,
                armed_at: None,
                groups: (0..plan.groups.len())
                    .map(|g| (group_key(g), GroupModel::default()))
                    .collect(),
                outstanding: BTreeSet::new(),
                broken: BTreeSet::new(),
                unstoppable: BTreeSet::new(),
                stopping: false,
                newest_beat: (None, None),
                same_instant: 0,
                last_run: 0,
            })
            .collect();
        Self {
            judge: Judge::new(&plan),
            paths: vec![vec![vec![path; plan.media]; nodes]; nodes],
            plan,
            rng: StdRng::seed_from_u64(seed),
            now: SECOND,
            serial: 0,
            queue: BinaryHeap::new(),
            hosts,
            faults: false,
            orders: Vec::new(),
            marks: 0,
            digest: DefaultHasher::new(),
            trace: std::env::var_os("SIM_TRACE").map(|_| String::new()),
        }
    }

    /// A number that differs when anything in the run differed.
    pub fn fingerprint(&self) -> u64 {
        self.digest.finish()
    }

    /// Keeps a line for the digest, and for people when `SIM_TRACE` is set.
    pub fn note(&mut self, text: std::fmt::Arguments<'_>) {
        let line = format!("{:>12.6} {text}", self.now as f64 / 1e6);
        line.hash(&mut self.digest);
        if self.trace.is_some() {
            println!("{line}");
        }
    }

    pub fn at(&mut self, when: Micros, what: Happening) {
        self.serial += 1;
        self.queue
            .push(Queued(Reverse((when.max(self.now), self.serial)), what));
    }

    fn settings(&self, host: usize) -> NodeSettings {
        let ms = Duration::from_millis;
        let timing = Timing {
            keepalive: ms(self.plan.keepalive_ms),
            deadtime: ms(self.plan.deadtime_ms),
            warntime: ms(self.plan.deadtime_ms / 2),
            initdead: ms(self.plan.initdead_ms),
            deadping: ms(self.plan.deadtime_ms),
            max_rexmit_delay: ms(250),
        };
        NodeSettings {
            ping_nodes: if self.plan.gate {
                vec![gate_name()]
            } else {
                Vec::new()
            },
            media: (0..self.plan.media).map(medium_name).collect(),
            auto_failback: self.plan.failback,
            groups: self
                .plan
                .groups
                .iter()
                .enumerate()
                .map(|(g, (owner, resources))| ResourceGroup {
                    key: group_key(g),
                    owner: self.hosts[*owner].name.clone(),
                    resources: (0..*resources)
                        .map(|r| format!("dummy::g{g}::{r}"))
                        .collect(),
                })
                .collect(),
            isolation_release: self.plan.gate,
            ..NodeSettings::new(
                self.hosts[host].name.clone(),
                self.hosts.iter().map(|h| h.name.clone()).collect(),
                timing,
            )
        }
    }

    pub fn clock(&self, host: usize) -> Now {
        let wall = 1_700_000_000_i64 + (self.now / SECOND) as i64 + self.hosts[host].wall_offset;
        Now {
            instant: Monotonic::from_duration(Duration::from_micros(self.now)),
            unix_s: wall.max(1) as u64,
        }
    }

    /// Starts the daemon; nothing runs on the host before.
    pub fn start(&mut self, host: usize) {
        if self.hosts[host].node.is_some() {
            return;
        }
        let settings = self.settings(host);
        let seed = self.rng.random();
        let h = &mut self.hosts[host];
        h.epoch += 1;
        h.generation += 1;
        h.stopping = false;
        h.outstanding.clear();
        let mut uuid = [0; 16];
        uuid[15] = host as u8 + 1;
        let identity = Identity {
            generation: Generation(h.generation),
            uuid: NodeUuid(uuid),
            capabilities: systole::node::CAPABILITIES
                .iter()
                .filter(|word| **word != YIELD || !self.plan.ignorant.contains(&host))
                .map(|&w| w.to_owned())
                .collect(),
        };
        let name = h.name.clone();
        let mut node = Node::new(settings, identity, seed);
        let mut actions = Vec::new();
        let now = self.clock(host);
        node.start(now, &mut actions);
        node.handle(Event::MediaOpened, now, &mut actions);
        self.hosts[host].node = Some(node);
        self.note(format_args!("{name} starts"));
        self.judge.started(host, self.now);
        self.perform(host, actions);
    }

    /// A power cut: processes, scripts and what they ran are gone.
    pub fn crash(&mut self, host: usize) {
        let name = self.hosts[host].name.clone();
        self.note(format_args!("{name} loses power"));
        self.judge.ended(host, self.now);
        let h = &mut self.hosts[host];
        h.node = None;
        h.epoch += 1;
        h.frozen_until = None;
        h.machine_frozen = false;
        h.deferred.clear();
        for model in h.groups.values_mut() {
            *model = GroupModel::default();
        }
        h.outstanding.clear();
        h.unstoppable.clear();
    }

    /// The daemon gets no time until then. Its scripts go on, unless the whole machine stands.
    pub fn freeze(&mut self, host: usize, until: Micros, machine: bool) {
        if self.hosts[host].node.is_none() || self.hosts[host].frozen_until.is_some() {
            return;
        }
        let name = self.hosts[host].name.clone();
        self.note(format_args!(
            "{name} frozen for {} ms, machine {machine}",
            (until - self.now) / 1000
        ));
        self.hosts[host].machine_frozen = machine;
        self.hosts[host].frozen_until = Some(until);
        self.judge.frozen(host, self.now, until);
        self.at(until, Happening::Thaw { host });
    }

    /// An event for a node's core.
    pub fn feed(&mut self, host: usize, event: Event) {
        let now = self.clock(host);
        let Some(node) = self.hosts[host].node.as_mut() else {
            return;
        };
        let mut actions = Vec::new();
        let before = node.frozen();
        node.handle(event, now, &mut actions);
        let order = actions
            .iter()
            .find(|action| matches!(action, Action::Group { .. }));
        if let (true, true, Some(order)) = (before, node.frozen(), order) {
            let text = format!("frozen, and yet {order:?}");
            self.judge.fail(self.now, text);
        }
        self.perform(host, actions);
    }

    /// What the FIFO would bring.
    pub fn inject(&mut self, host: usize, message: Message) {
        self.note(format_args!(
            "{} injects {message}",
            self.hosts[host].name.clone()
        ));
        let (when, epoch) = (self.now + self.internal_delay(), self.hosts[host].epoch);
        self.at(
            when,
            Happening::Injected {
                host,
                epoch,
                message,
            },
        );
    }

    pub fn request_stop(&mut self, host: usize) {
        if self.hosts[host].node.is_none() || self.hosts[host].stopping {
            return;
        }
        let name = self.hosts[host].name.clone();
        self.note(format_args!("{name} asked to stop"));
        self.hosts[host].stopping = true;
        let (when, epoch) = (self.now + self.internal_delay(), self.hosts[host].epoch);
        self.at(when, Happening::StopAsked { host, epoch });
    }

    fn perform(&mut self, host: usize, actions: Vec<Action>) {
        let epoch = self.hosts[host].epoch;
        let name = self.hosts[host].name.clone();
        for action in actions {
            let mut line = String::new();
            match &action {
                Action::Transmit(m) => {
                    let _ = write!(line, "{name} -> {}", Brief(m));
                }
                Action::Notice(n) => {
                    let _ = write!(line, "{name} {}: {n}", n.severity().word());
                }
                Action::Deliver { message, .. } => {
                    let _ = write!(line, "{name} for clients: {}", Brief(message));
                }
                Action::RunHook(message) => {
                    let _ = write!(line, "{name} hook: {}", Brief(message));
                }
                other => {
                    let _ = write!(line, "{name} {other:?}");
                }
            }
            self.note(format_args!("{line}"));
            match action {
                Action::Transmit(message) => self.transmit(host, message),
                Action::Group { order, group, what } => {
                    if !self.hosts[host].outstanding.insert(group.clone()) {
                        self.judge
                            .fail(self.now, format!("{name}: second order for {group}"));
                    }
                    self.orders.push((self.now, host, group.clone(), what));
                    if what == GroupOrder::Start {
                        self.judge.ordered(host, &group, self.now);
                    }
                    let when = self.now + self.internal_delay();
                    self.at(
                        when,
                        Happening::Order {
                            host,
                            epoch,
                            order,
                            group,
                            what,
                        },
                    );
                }
                Action::StopClients => {
                    let when = self.now + self.internal_delay();
                    self.at(when, Happening::ClientsStopped { host, epoch });
                }
                Action::NodeStatusChanged { node, status } if status == "dead" => {
                    let from = self.hosts.iter().position(|h| h.name == node);
                    if let Some(from) = from {
                        self.judge.declared_dead(host, from, self.now);
                    }
                }
                Action::RunHook(message) => self.judge.heard_mark(host, &message, self.now),
                Action::GenerationTaken(generation) => {
                    let h = &mut self.hosts[host];
                    h.generation = h.generation.max(generation.0);
                }
                Action::Exit => {
                    let held: Vec<_> = self.hosts[host]
                        .groups
                        .iter()
                        .filter(|(_, m)| m.runs)
                        .collect();
                    if !held.is_empty() {
                        self.judge
                            .fail(self.now, format!("{name} ended holding {held:?}"));
                    }
                    self.judge.ended(host, self.now);
                    self.hosts[host].node = None;
                    self.hosts[host].epoch += 1;
                    return;
                }
                Action::RebootMachine { .. } => {
                    self.crash(host);
                    return;
                }
                Action::NodeStatusChanged { .. }
                | Action::Notice(_)
                | Action::LinkChanged { .. }
                | Action::Deliver { .. }
                | Action::CommUp
                | Action::NodeListChanged
                | Action::WithdrawAddresses(_)
                | Action::RestoreAddresses(_)
                | Action::OwnHeartbeat => {}
            }
        }
        self.rearm(host);
    }

    /// One timer per node, as the membership actor has it.
    fn rearm(&mut self, host: usize) {
        let now = self.now;
        let jitter = self.rng.random_range(0..=500);
        let h = &mut self.hosts[host];
        let Some(node) = h.node.as_ref() else { return };
        let Some(deadline) = node.next_deadline() else {
            self.judge.fail(now, format!("{} has no deadline", h.name));
            return;
        };
        // A timer never fires early.
        let when =
            u64::try_from(deadline.since_start().as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX);
        if h.last_run == now && when <= now {
            h.same_instant += 1;
            if h.same_instant > 1_000 {
                self.judge.fail(now, format!("{} spins", h.name));
                h.same_instant = 0;
                return;
            }
        } else {
            h.same_instant = 0;
        }
        h.last_run = now;
        if h.armed_at == Some(when) {
            return;
        }
        h.armed_at = Some(when);
        h.arm += 1;
        let (epoch, arm) = (h.epoch, h.arm);
        let lag = if self.faults { jitter } else { 0 };
        self.at(when.max(now) + lag, Happening::Timer { host, epoch, arm });
    }

    fn internal_delay(&mut self) -> Micros {
        self.rng.random_range(0..=self.plan.internal_ms * 1000)
    }

    /// From membership to the medium, and from the medium at the other end to membership.
    fn hops(&mut self) -> Micros {
        if self.faults {
            self.internal_delay() + self.internal_delay()
        } else {
            0
        }
    }

    fn transmit(&mut self, host: usize, message: Message) {
        // A status that is sent again is no heartbeat: nobody lives longer by it.
        let number = (message.hex("hg"), message.hex("seq"));
        let beat = message.kind() == Some("status") && number > self.hosts[host].newest_beat;
        if beat {
            self.hosts[host].newest_beat = number;
            self.judge.beat_sent(host, self.now);
            if self.plan.gate && !self.hosts[host].gate_cut {
                let (when, epoch) = (self.now + 400, self.hosts[host].epoch);
                self.at(when, Happening::Echo { host, epoch });
            }
        }
        for to in 0..self.hosts.len() {
            let mut got_through = false;
            for medium in 0..self.plan.media {
                if to == host {
                    // Broadcast: the own packets come back.
                    let when = self.now + 50 + self.hops();
                    let message = message.clone();
                    self.at(
                        when,
                        Happening::Datagram {
                            host,
                            from: host,
                            medium,
                            message,
                        },
                    );
                    continue;
                }
                let now = self.now;
                let roll = self.rng.random_range(0..100);
                let again = self.rng.random_range(0..100);
                let path = &mut self.paths[host][to][medium];
                let mut lost = path.cut || now < path.burst_until || roll < path.loss;
                if beat && path.longest_run > 0 {
                    lost &= path.lost_in_row < path.longest_run;
                    path.lost_in_row = if lost { path.lost_in_row + 1 } else { 0 };
                }
                if lost {
                    continue;
                }
                got_through = true;
                let (copies, delay) = (1 + u32::from(again < path.duplicate), path.delay);
                for _ in 0..copies {
                    let on_wire = if delay <= 200 {
                        delay
                    } else {
                        self.rng.random_range(200..=delay)
                    };
                    let late = on_wire + self.hops();
                    let message = message.clone();
                    self.at(
                        now + late,
                        Happening::Datagram {
                            host: to,
                            from: host,
                            medium,
                            message,
                        },
                    );
                }
            }
            if to != host && !got_through {
                self.judge.lost(self.now);
            }
        }
    }

    /// Runs until `until`.
    pub fn run(&mut self, until: Micros) {
        while let Some(Queued(Reverse((when, _)), _)) = self.queue.peek() {
            if *when > until || self.judge.failed() {
                break;
            }
            let Some(Queued(Reverse((when, _)), what)) = self.queue.pop() else {
                break;
            };
            self.now = when;
            self.happen(what);
            self.judge.step(self.now);
        }
        self.now = self.now.max(until);
    }

    fn happen(&mut self, what: Happening) {
        let host = match &what {
            Happening::Timer { host, .. }
            | Happening::Datagram { host, .. }
            | Happening::Done { host, .. }
            | Happening::Order { host, .. }
            | Happening::Injected { host, .. }
            | Happening::StopAsked { host, .. }
            | Happening::Maintenance { host, .. }
            | Happening::Echo { host, .. }
            | Happening::ClientsStopped { host, .. } => Some(*host),
            Happening::ScriptEnd { host, .. } => self.hosts[*host].machine_frozen.then_some(*host),
            Happening::Thaw { .. }
            | Happening::Boot { .. }
            | Happening::Gate { .. }
            | Happening::Cable { .. }
            | Happening::Fault => None,
        };
        if let Some(host) = host
            && self.hosts[host]
                .frozen_until
                .is_some_and(|until| self.now < until)
        {
            // A socket buffer holds so much and no more.
            if self.hosts[host].deferred.len() < 400 || !matches!(what, Happening::Datagram { .. })
            {
                self.hosts[host].deferred.push(what);
            }
            return;
        }
        match what {
            Happening::Timer { host, epoch, arm } => {
                let h = &mut self.hosts[host];
                if h.epoch == epoch && h.arm == arm {
                    h.armed_at = None;
                    self.feed(host, Event::Tick);
                }
            }
            Happening::Datagram {
                host,
                from,
                medium,
                message,
            } => {
                if self.hosts[host].node.is_some() {
                    let beat = from != host && message.kind() == Some("status");
                    let number = (message.hex("hg"), message.hex("seq"));
                    let medium = medium_name(medium);
                    self.feed(host, Event::Received { medium, message });
                    // After the node: what is overdue by now is applied before the event.
                    if beat {
                        self.judge.beat_heard(host, from, number, self.now);
                    }
                }
            }
            Happening::Order {
                host,
                epoch,
                order,
                group,
                what,
            } => {
                if self.hosts[host].epoch == epoch {
                    if let Some(model) = self.hosts[host].groups.get_mut(&group) {
                        model.waiting.push_back((order, what));
                    }
                    self.next_order(host, &group);
                }
            }
            Happening::ScriptEnd { host, epoch, group } => {
                if self.hosts[host].epoch == epoch {
                    self.script_end(host, group);
                }
            }
            Happening::Done {
                host,
                epoch,
                order,
                group,
                outcome,
            } => {
                if self.hosts[host].epoch == epoch {
                    self.hosts[host].outstanding.remove(&group);
                    self.feed(
                        host,
                        Event::GroupDone {
                            order,
                            group,
                            outcome,
                        },
                    );
                }
            }
            Happening::ClientsStopped { host, epoch } => {
                if self.hosts[host].epoch == epoch {
                    self.feed(host, Event::ClientsStopped);
                }
            }
            Happening::Thaw { host } => {
                if self.hosts[host]
                    .frozen_until
                    .is_some_and(|until| self.now >= until)
                {
                    let name = self.hosts[host].name.clone();
                    self.note(format_args!("{name} thaws"));
                    self.hosts[host].frozen_until = None;
                    let waiting = std::mem::take(&mut self.hosts[host].deferred);
                    self.hosts[host].machine_frozen = false;
                    // Timers first: the worst order for a node that judges by its timer.
                    let (timers, rest): (Vec<_>, Vec<_>) = waiting
                        .into_iter()
                        .partition(|w| matches!(w, Happening::Timer { .. }));
                    for what in timers.into_iter().chain(rest) {
                        let when = self.now;
                        self.at(when, what);
                    }
                    for key in self.keys() {
                        self.next_order(host, &key);
                    }
                }
            }
            Happening::Boot { host } => self.start(host),
            Happening::Injected {
                host,
                epoch,
                message,
            } => {
                if self.hosts[host].epoch == epoch {
                    let origin = Origin::Fifo;
                    self.feed(host, Event::Injected { origin, message });
                }
            }
            Happening::StopAsked { host, epoch } => {
                if self.hosts[host].epoch == epoch {
                    let reason = StopReason::Requested;
                    self.feed(host, Event::StopRequested { reason });
                }
            }
            Happening::Maintenance { host, freeze } => {
                let name = self.hosts[host].name.clone();
                self.note(format_args!("{name} maintenance {freeze}"));
                self.judge.disturbed(self.now);
                let event = if freeze {
                    Event::FreezeRequested
                } else {
                    Event::ThawRequested
                };
                self.feed(host, event);
            }
            Happening::Echo { host, epoch } => {
                if self.hosts[host].epoch == epoch {
                    let time = format!("{:x}", self.clock(host).unix_s);
                    let message = Message::new("NS_st")
                        .with("st", "ping")
                        .with("info", "ping")
                        .with("src", gate_name().as_str())
                        .with("ts", &time);
                    let medium = MediumName::new(gate_name().as_str());
                    self.feed(host, Event::Received { medium, message });
                }
            }
            Happening::Gate { host, cut } => {
                self.note(format_args!("node{} gate cut {cut}", host + 1));
                self.judge.disturbed(self.now);
                self.hosts[host].gate_cut = cut;
            }
            Happening::Cable { host, cut } => {
                self.note(format_args!("node{} cables cut {cut}", host + 1));
                self.judge.disturbed(self.now);
                for other in 0..self.hosts.len() {
                    for medium in 0..self.plan.media {
                        self.paths[host][other][medium].cut = cut;
                        self.paths[other][host][medium].cut = cut;
                    }
                }
            }
            Happening::Fault => super::faults::next(self),
        }
    }

    fn next_order(&mut self, host: usize, group: &GroupKey) {
        let now = self.now;
        let resources = self.resources_of(group);
        let slow = self.rng.random_bool(0.1) && self.faults;
        let longest = if slow {
            self.plan.slow_script_ms
        } else {
            self.plan.script_ms
        };
        let took = self.rng.random_range(1_000..=longest * 1000) * resources;
        // While the daemon is stopped nothing is begun; the thaw comes back to it.
        let stopped = self.hosts[host].frozen_until.is_some();
        let Some(model) = self.hosts[host].groups.get_mut(group) else {
            return;
        };
        if stopped || model.busy.is_some() {
            return;
        }
        let Some((order, what)) = model.waiting.pop_front() else {
            return;
        };
        model.busy = Some((order, what));
        if what == GroupOrder::Start && !model.runs {
            if !self.start_stands(host, order) {
                return self.withdrawn(host, group);
            }
            self.judge.begins(host, group, now);
        }
        let epoch = self.hosts[host].epoch;
        self.at(
            now + took,
            Happening::ScriptEnd {
                host,
                epoch,
                group: group.clone(),
            },
        );
    }

    /// Asks the core before a script of a start begins, as the groups' actors do.
    fn start_stands(&mut self, host: usize, order: OrderId) -> bool {
        self.feed(host, Event::Tick);
        let node = self.hosts[host].node.as_ref();
        node.is_some_and(|node| node.start_stands(Some(order)))
    }

    /// A start that does not stand any more: nothing is begun.
    fn withdrawn(&mut self, host: usize, group: &GroupKey) {
        let Some(model) = self.hosts[host].groups.get_mut(group) else {
            return;
        };
        let Some((order, _)) = model.busy.take() else {
            return;
        };
        let name = self.hosts[host].name.clone();
        self.note(format_args!("{name} {group}: start withdrawn"));
        let when = self.now + self.internal_delay();
        self.at(
            when,
            Happening::Done {
                host,
                epoch: self.hosts[host].epoch,
                order,
                group: group.clone(),
                outcome: GroupOutcome::Stopped,
            },
        );
        self.next_order(host, group);
    }

    fn resources_of(&self, group: &GroupKey) -> u64 {
        (0..self.plan.groups.len())
            .find(|g| group_key(*g) == *group)
            .map_or(1, |g| self.plan.groups[g].1 as u64)
    }

    fn script_end(&mut self, host: usize, group: GroupKey) {
        let now = self.now;
        let broken = self.hosts[host].broken.contains(&group);
        let unstoppable = self.hosts[host].unstoppable.contains(&group);
        let Some(model) = self.hosts[host].groups.get_mut(&group) else {
            return;
        };
        let Some((order, what)) = model.busy.take() else {
            return;
        };
        let outcome = match what {
            GroupOrder::Start if broken && !model.runs => {
                self.judge.ends(host, &group, now);
                GroupOutcome::StartFailed {
                    resource: group.to_string(),
                    code: 1,
                }
            }
            GroupOrder::Start => {
                model.runs = true;
                GroupOutcome::Started
            }
            GroupOrder::Stop if unstoppable && model.runs => GroupOutcome::StopFailed {
                resource: group.to_string(),
            },
            GroupOrder::Stop => {
                model.runs = false;
                self.judge.ends(host, &group, now);
                GroupOutcome::Stopped
            }
        };
        let name = self.hosts[host].name.clone();
        self.note(format_args!("{name} {group}: {outcome:?}"));
        let epoch = self.hosts[host].epoch;
        let when = now + self.internal_delay();
        self.at(
            when,
            Happening::Done {
                host,
                epoch,
                order,
                group: group.clone(),
                outcome,
            },
        );
        self.next_order(host, &group);
    }

    /// Hosts on which a group runs now.
    pub fn owners(&self, group: &GroupKey) -> Vec<usize> {
        (0..self.hosts.len())
            .filter(|h| self.hosts[*h].groups.get(group).is_some_and(|m| m.runs))
            .collect()
    }

    /// All group keys.
    pub fn keys(&self) -> Vec<GroupKey> {
        (0..self.plan.groups.len()).map(group_key).collect()
    }
}

/// The ping node.
fn gate_name() -> NodeName {
    NodeName::new("gate").expect("a name")
}

fn medium_name(index: usize) -> MediumName {
    MediumName::new(&format!("eth{index}"))
}

/// A message without what every message carries.
struct Brief<'a>(&'a Message);
impl std::fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for field in self.0.fields() {
            let name = String::from_utf8_lossy(&field.name);
            if !matches!(
                &*name,
                "src" | "srcuuid" | "destuuid" | "ts" | "ld" | "ttl" | "systole"
            ) && let Some(text) = self.0.text(&name)
            {
                write!(f, "{name}={text} ")?;
            }
        }
        Ok(())
    }
}
