//! One machine: its daemon, and what of it outlives a death.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use systole::node::Node;
use systole::protocol::event::{Action, Event, GroupOrder};
use systole::protocol::group::GroupKey;
use systole::protocol::membership::Identity;
use systole::protocol::message::Message;
use systole::protocol::name::{Generation, NodeName, NodeUuid};
use systole::protocol::partition::YIELD;
use systole::resources::holding::HoldingSet;

use super::daemon::Daemon;
use super::draws::Chance;
use super::legacy::LegacyNode;
use super::plan::Program;
use super::scripts::GroupModel;
use super::world::{Happening, Life, Micros, Ordered, SECOND, World, group_key};

/// What a restart in place adds to the dead time that the other uses.
const SILENCE: Duration = Duration::from_secs(30);

/// What stands in the file of what is held, and what the actors know beside the core.
#[derive(Debug, Default)]
pub struct Kept {
    pub may_run: BTreeSet<usize>,
    pub in_hand: BTreeMap<usize, usize>,
    pub owed: BTreeSet<usize>,
    holding: HoldingSet,
    frozen: bool,
}

/// One machine.
pub struct Host {
    pub name: NodeName,
    pub node: Option<Daemon>,
    /// What belongs to an older life is dropped.
    pub life: Life,
    /// Counts power cuts.
    pub machine: u32,
    pub kept: Kept,
    /// A guardian is about to start the daemon again.
    pub reviving: bool,
    /// The core panics in the next call that has something to do.
    pub panics: bool,
    generation: u64,
    pub frozen_until: Option<Micros>,
    /// The whole machine stands: scripts do not go on either.
    pub machine_frozen: bool,
    /// What waits for a node that stands still.
    pub deferred: Vec<Happening>,
    pub wall_offset: i64,
    pub arm: u64,
    pub armed_at: Option<Micros>,
    pub groups: Vec<GroupModel>,
    /// Orders of the core that are not answered.
    pub outstanding: BTreeMap<usize, GroupOrder>,
    /// Groups whose start fails here.
    pub broken: BTreeSet<usize>,
    /// Groups whose stop fails here for good.
    pub unstoppable: BTreeSet<usize>,
    pub stopping: bool,
    /// Generation and number of the newest heartbeat sent.
    pub newest_beat: (u64, u64),
    /// The ping node does not answer it.
    pub gate_cut: bool,
    same_instant: u32,
    last_run: Micros,
}

impl Host {
    pub fn off(index: usize, groups: usize) -> Self {
        Self {
            name: NodeName::new(&format!("node{}", index + 1)).expect("a name"),
            node: None,
            life: Life {
                process: 0,
                core: 0,
            },
            machine: 0,
            kept: Kept::default(),
            reviving: false,
            panics: false,
            generation: 1_000,
            frozen_until: None,
            machine_frozen: false,
            deferred: Vec::new(),
            wall_offset: 0,
            arm: 0,
            armed_at: None,
            groups: (0..groups).map(|_| GroupModel::default()).collect(),
            outstanding: BTreeMap::new(),
            broken: BTreeSet::new(),
            unstoppable: BTreeSet::new(),
            stopping: false,
            newest_beat: (0, 0),
            gate_cut: false,
            same_instant: 0,
            last_run: 0,
        }
    }
}

impl World {
    /// Starts the daemon; nothing runs on the host before.
    pub fn start(&mut self, host: usize) {
        if self.hosts[host].node.is_some() || self.hosts[host].reviving {
            return;
        }
        let settings = self.settings(host);
        let seed = self.seed(host);
        let h = &mut self.hosts[host];
        h.stopping = false;
        h.kept = Kept::default();
        h.life.process += 1;
        let identity = self.identity(host);
        let node = if self.plan.is_legacy(host) {
            Daemon::Legacy(Box::new(LegacyNode::new(settings, identity, seed)))
        } else {
            Daemon::Ours(Box::new(Node::new(settings, identity, seed)))
        };
        self.note(format_args!("node{} starts", host + 1));
        self.begin(host, node);
    }

    fn seed(&mut self, host: usize) -> u64 {
        self.noise.draw(Chance::Seed, [host, 0, 0], self.now)
    }

    /// The identity of the next run.
    fn identity(&mut self, host: usize) -> Identity {
        let ignorant = self.plan.programs[host] == Program::Ignorant;
        let h = &mut self.hosts[host];
        h.life.core += 1;
        h.generation += 1;
        h.outstanding.clear();
        let mut uuid = [0; 16];
        uuid[15] = host as u8 + 1;
        let words = systole::node::CAPABILITIES.iter();
        Identity {
            generation: Generation(h.generation),
            uuid: NodeUuid(uuid),
            capabilities: words
                .filter(|word| **word != YIELD || !ignorant)
                .map(|&word| word.to_owned())
                .collect(),
        }
    }

    fn begin(&mut self, host: usize, mut node: Daemon) {
        let mut actions = Vec::new();
        let now = self.clock(host);
        node.start(now, &mut actions);
        node.handle(Event::MediaOpened, now, &mut actions);
        self.hosts[host].node = Some(node);
        self.hosts[host].armed_at = None;
        self.judge.started(host, self.now);
        self.perform(host, actions);
    }

    /// The daemon alone is killed: its scripts go on, and what it runs. Its guardian starts it again
    /// after `pause`. A legacy node has none.
    pub fn kill_daemon(&mut self, host: usize, pause: Micros) {
        let h = &mut self.hosts[host];
        if !matches!(h.node, Some(Daemon::Ours(_))) || h.frozen_until.is_some() {
            return;
        }
        h.node = None;
        h.life.process += 1;
        h.reviving = true;
        for model in &mut h.groups {
            model.lose_actor();
        }
        let machine = h.machine;
        self.note(format_args!(
            "node{}: the daemon is gone, back in {pause} us",
            host + 1
        ));
        self.judge.daemon_died(host, self.now);
        self.at(self.now + pause, Happening::Revive { host, machine });
    }

    /// As the program does it after a death.
    pub fn revive(&mut self, host: usize) {
        let settings = self.settings(host);
        let local = settings.local.clone();
        let h = &mut self.hosts[host];
        h.reviving = false;
        h.life.process += 1;
        let unfinished: BTreeSet<usize> =
            h.kept.in_hand.keys().chain(&h.kept.owed).copied().collect();
        // What is held and does not run is not held any more.
        let mut holding = h.kept.holding;
        for (set, own) in [(HoldingSet::LOCAL, true), (HoldingSet::FOREIGN, false)] {
            let groups = settings.groups.iter().enumerate();
            let mut of = groups.filter(|(_, g)| (g.owner == local) == own).peekable();
            if of.peek().is_some() && !of.any(|(g, _)| h.kept.may_run.contains(&g)) {
                holding = holding.without(set);
            }
        }
        h.kept.in_hand.clear();
        h.kept.owed = unfinished;
        h.kept.holding = holding;
        self.resume(host);
        if self.hosts[host].stopping {
            self.stop_asked(host);
        }
    }

    /// A core that goes on where another one ended, with what is kept.
    fn resume(&mut self, host: usize) {
        let settings = self.settings(host);
        let seed = self.seed(host);
        let identity = self.identity(host);
        let kept = &self.hosts[host].kept;
        let keys =
            |groups: Vec<usize>| -> Vec<GroupKey> { groups.into_iter().map(group_key).collect() };
        let running = keys(kept.may_run.iter().copied().collect());
        let unfinished = keys(kept.in_hand.keys().chain(&kept.owed).copied().collect());
        let (holding, frozen) = (kept.holding, kept.frozen);
        self.note(format_args!(
            "node{} goes on holding {holding}, running {running:?}, unfinished {unfinished:?}",
            host + 1
        ));
        let mut node = Node::resume(settings, identity, seed, holding, running);
        node.finish(unfinished);
        if frozen {
            node.keep_frozen();
        }
        self.begin(host, Daemon::Ours(Box::new(node)));
    }

    /// The core has panicked: what it wanted done in this call is lost, the actors go on.
    fn panic(&mut self, host: usize) {
        let h = &mut self.hosts[host];
        h.panics = false;
        let Some(node) = h.node.take() else { return };
        h.kept.holding = node.holding();
        h.kept.frozen = node.frozen();
        self.note(format_args!("node{}: the core panics", host + 1));
        self.judge.daemon_died(host, self.now);
        self.resume(host);
        if self.hosts[host].stopping {
            self.stop_asked(host);
        }
    }

    /// A restart in place, as soon as the node is ready for it.
    pub fn ask_reload(&mut self, host: usize, pause: Micros) {
        let now = self.clock(host);
        let process = self.hosts[host].life.process;
        let Some(Daemon::Ours(node)) = self.hosts[host].node.as_mut() else {
            return;
        };
        if node.stopping() {
            return;
        }
        let ready = node.status().to_string() == "active" && node.rscstatus() != Some("transition");
        if !ready {
            let again = self.now + SECOND;
            return self.at(
                again,
                Happening::AskReload {
                    host,
                    process,
                    pause,
                },
            );
        }
        let mut actions = Vec::new();
        node.announce_silence(SILENCE, now, &mut actions);
        self.perform(host, actions);
        self.kill_daemon(host, pause);
    }

    /// A power cut: processes, scripts and what they ran are gone.
    pub fn crash(&mut self, host: usize) {
        self.note(format_args!("node{} loses power", host + 1));
        self.judge.ended(host, self.now);
        let h = &mut self.hosts[host];
        h.node = None;
        h.life.process += 1;
        h.machine += 1;
        h.reviving = false;
        h.panics = false;
        h.kept = Kept::default();
        h.frozen_until = None;
        h.machine_frozen = false;
        h.deferred.clear();
        h.groups.fill_with(GroupModel::default);
        h.outstanding.clear();
        h.unstoppable.clear();
    }

    /// The daemon gets no time until then. Its scripts go on, unless the whole machine stands.
    pub fn freeze(&mut self, host: usize, until: Micros, machine: bool) {
        let h = &mut self.hosts[host];
        if h.node.is_none() || h.frozen_until.is_some() {
            return;
        }
        h.machine_frozen = machine;
        h.frozen_until = Some(until);
        self.judge.frozen(host, self.now, until);
        self.at(until, Happening::Thaw { host });
    }

    pub fn thaw(&mut self, host: usize) {
        let h = &mut self.hosts[host];
        if h.frozen_until.is_none_or(|until| self.now < until) {
            return;
        }
        h.frozen_until = None;
        h.machine_frozen = false;
        let waiting = std::mem::take(&mut h.deferred);
        self.note(format_args!("node{} thaws", host + 1));
        // Timers first: the worst order for a node that judges by its timer.
        let timer = |what: &Happening| matches!(what, Happening::Timer { .. });
        let (timers, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(timer);
        for what in timers.into_iter().chain(rest) {
            self.at(self.now, what);
        }
        for group in 0..self.plan.groups.len() {
            self.next_order(host, group);
        }
    }

    /// An event for a node's core.
    pub fn feed(&mut self, host: usize, event: Event) {
        let now = self.clock(host);
        let Some(node) = self.hosts[host].node.as_mut() else {
            return;
        };
        let mut actions = Vec::new();
        let (before, held) = (node.frozen(), node.holding());
        node.handle(event, now, &mut actions);
        let ordered = actions
            .iter()
            .find(|action| matches!(action, Action::Group { .. }));
        if let (true, true, Some(order)) = (before, node.frozen(), ordered) {
            let text = format!("frozen, and yet {order:?}");
            self.judge.fail(self.now, text);
        }
        let acts = ordered.is_some() || node.holding() != held;
        if self.hosts[host].panics && acts && !self.plan.is_legacy(host) {
            return self.panic(host);
        }
        self.perform(host, actions);
    }

    /// What the FIFO would bring.
    pub fn inject(&mut self, host: usize, message: Message) {
        let process = self.hosts[host].life.process;
        let when = self.now + self.internal_delay(host);
        self.at(
            when,
            Happening::Injected {
                host,
                process,
                message,
            },
        );
    }

    pub fn request_stop(&mut self, host: usize) {
        if self.hosts[host].node.is_none() || self.hosts[host].stopping {
            return;
        }
        self.hosts[host].stopping = true;
        self.stop_asked(host);
    }

    fn stop_asked(&mut self, host: usize) {
        let process = self.hosts[host].life.process;
        let when = self.now + self.internal_delay(host);
        self.at(when, Happening::StopAsked { host, process });
    }

    fn perform(&mut self, host: usize, actions: Vec<Action>) {
        if let Some(node) = &self.hosts[host].node {
            let (holding, frozen) = (node.holding(), node.frozen());
            self.hosts[host].kept.holding = holding;
            self.hosts[host].kept.frozen = frozen;
        }
        let process = self.hosts[host].life.process;
        for action in actions {
            if self.trace {
                let line = line_of(&action);
                self.note(format_args!("node{} {line}", host + 1));
            }
            self.perform_one(host, action);
            if self.hosts[host].life.process != process {
                return;
            }
        }
        self.tell_yields(host);
        self.rearm(host);
    }

    fn perform_one(&mut self, host: usize, action: Action) {
        let now = self.now;
        let life = self.hosts[host].life;
        match action {
            Action::Transmit(message) => {
                self.stamp(message.hex("seq").unwrap_or(0));
                self.transmit(host, &message);
            }
            Action::Group { order, group, what } => {
                let Some(group) = (0..self.plan.groups.len()).find(|g| group_key(*g) == group)
                else {
                    return self.judge.fail(now, format!("an order for {group}"));
                };
                self.give_order(
                    host,
                    Ordered {
                        life,
                        order,
                        group,
                        what,
                    },
                );
            }
            Action::StopClients => {
                let when = now + self.internal_delay(host);
                self.at(when, Happening::ClientsStopped { host, life });
            }
            Action::NodeStatusChanged { node, status } if status == "dead" => {
                if let Some(of) = self.hosts.iter().position(|h| h.name == node) {
                    self.judge.declared_dead(host, of, now);
                }
            }
            Action::RunHook(message) if message.kind() == Some("labmark") => {
                let mark = message.text("mark").and_then(|mark| mark.parse().ok());
                self.judge.mark_heard(host, mark.unwrap_or(0), now);
            }
            Action::GenerationTaken(generation) => {
                let h = &mut self.hosts[host];
                if generation.0 > h.generation {
                    h.generation = generation.0;
                    self.judge.generation_begun(host, now);
                }
            }
            Action::Exit => self.exit(host),
            Action::RebootMachine { .. } => self.crash(host),
            Action::NodeStatusChanged { .. }
            | Action::Notice(_)
            | Action::RunHook(_)
            | Action::LinkChanged { .. }
            | Action::Deliver { .. }
            | Action::CommUp
            | Action::NodeListChanged
            | Action::WithdrawAddresses(_)
            | Action::RestoreAddresses(_)
            | Action::OwnHeartbeat => {}
        }
    }

    fn exit(&mut self, host: usize) {
        let runs = self.hosts[host].groups.iter().any(|model| model.runs);
        if runs {
            let text = format!("node{} ended and its groups run", host + 1);
            self.judge.fail(self.now, text);
        }
        self.judge.ended(host, self.now);
        let again = match self.hosts[host].node.take() {
            Some(Daemon::Legacy(node)) => node.wants_restart(),
            _ => false,
        };
        if again {
            let pause = self.plan.deadtime(host) + SECOND;
            self.at(self.now + pause, Happening::Boot { host });
        }
        self.hosts[host].life.process += 1;
        self.hosts[host].kept = Kept::default();
    }

    /// One timer per node, as the membership actor has it.
    fn rearm(&mut self, host: usize) {
        let now = self.now;
        let lag = if self.calm {
            0
        } else {
            self.noise.draw(Chance::Lag, [host, 0, 0], now) % 501
        };
        let h = &mut self.hosts[host];
        let Some(node) = h.node.as_ref() else { return };
        let Some(deadline) = node.next_deadline() else {
            self.judge
                .fail(now, format!("node{} has no deadline", host + 1));
            return;
        };
        // A timer never fires early.
        let nanos = deadline.since_start().as_nanos().div_ceil(1_000);
        let when = u64::try_from(nanos).unwrap_or(u64::MAX);
        if h.last_run == now && when <= now {
            h.same_instant += 1;
            if h.same_instant > 1_000 {
                h.same_instant = 0;
                self.judge.fail(now, format!("node{} spins", host + 1));
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
        let (life, arm) = (h.life, h.arm);
        self.at(when.max(now) + lag, Happening::Timer { host, life, arm });
    }
}

/// An action in a line.
fn line_of(action: &Action) -> String {
    let mut line = String::new();
    let message = match action {
        Action::Transmit(message) => Some(("->", message)),
        Action::Deliver { message, .. } => Some(("for clients:", message)),
        Action::RunHook(message) => Some(("hook:", message)),
        Action::Notice(notice) => return format!("{}: {notice}", notice.severity().word()),
        other => return format!("{other:?}"),
    };
    if let Some((what, message)) = message {
        line.push_str(what);
        for field in message.fields() {
            let name = String::from_utf8_lossy(&field.name);
            let usual = ["src", "srcuuid", "destuuid", "ts", "ld", "ttl", "systole"];
            if let (false, Some(text)) = (usual.contains(&&*name), message.text(&name)) {
                let _ = write!(line, " {name}={text}");
            }
        }
    }
    line
}
