//! One machine: its daemon, and the state that survives the daemon's death.

use std::collections::{BTreeMap, BTreeSet};

use crate::node::Node;
use crate::notice::Notice;
use crate::protocol::event::{Action, Event, GroupOrder, Origin};
use crate::protocol::field::{self, kind};
use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::protocol::membership::Identity;
use crate::protocol::message::Message;
use crate::protocol::name::{Generation, NodeName, NodeUuid};
use crate::protocol::partition::YIELD;
use crate::protocol::status::NodeStatus;
use crate::resources::holding::HoldingSet;
use crate::resources::left_open::OpenStandby;
use crate::resources::owners::Whose;

use super::chance::{Chance, Place, within};
use super::daemon::Daemon;
use super::disk::Disk;
use super::fencing::FenceProgram;
use super::guard::HostGuard;
use super::ids::{GroupId, HostId, Key, Table};
use super::ipfail::Client;
use super::lease::HostLease;
use super::legacy::LegacyNode;
use super::monitors::HostMonitors;
use super::plan::{Plan, Program};
use super::questions::Asks;
use super::queue::{Happening, Life, Ordered};
use super::root::{End, Root};
use super::scripts::GroupModel;
use super::world::{Micros, SECOND, World};

/// The content of the file about what is held, and what the actors know in addition to the core.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) may_run: BTreeSet<GroupId>,
    pub(crate) in_hand: BTreeMap<GroupId, usize>,
    pub(crate) owed: BTreeSet<GroupId>,
    /// Groups whose addresses were withdrawn without an order since.
    pub(crate) bare: BTreeSet<GroupId>,
    pub(crate) holding: HoldingSet,
    pub(crate) standby: Option<OpenStandby>,
    /// Everything is being released.
    pub(crate) releases: bool,
    pub(crate) frozen: bool,
    pub(crate) failback_due: bool,
    pub(crate) unfenced: Vec<NodeName>,
    /// Whose each group was when the process ended. Empty: the same file is used.
    pub(crate) owners: BTreeMap<GroupKey, Whose>,
}

impl Kept {
    /// What a successor must clarify: orders in hand, and groups that may run without their
    /// addresses.
    pub(crate) fn unfinished(&self) -> BTreeSet<GroupId> {
        let bare = self.bare.intersection(&self.may_run);
        let left = self.in_hand.keys().chain(&self.owed).chain(bare);
        left.copied().collect()
    }
}

/// One machine.
pub struct Host {
    /// The name of its node.
    pub name: NodeName,
    /// The daemon, if it runs.
    pub node: Option<Daemon>,
    /// Events of an older life are dropped.
    pub(crate) life: Life,
    /// Counts power cuts.
    pub(crate) machine: u32,
    pub(crate) kept: Kept,
    /// haresources as the daemon has read it.
    pub(crate) in_force: Vec<ResourceGroup>,
    /// The half of each group by that.
    pub(crate) halves: BTreeMap<GroupId, HoldingSet>,
    /// A guardian is about to start the daemon again.
    pub(crate) reviving: bool,
    /// The core panics in the next call that has something to do.
    pub(crate) panics: bool,
    pub(crate) generation: u64,
    pub(crate) disk: Disk,
    pub(crate) root: Root,
    pub(crate) frozen_until: Option<Micros>,
    /// The whole machine is suspended: scripts do not run either.
    pub(crate) machine_frozen: bool,
    /// Events that wait for a suspended node.
    pub(crate) deferred: Vec<Happening>,
    /// By how many seconds its wall clock was stepped.
    pub wall_offset: i64,
    pub(crate) arm: u64,
    pub(crate) armed_at: Option<Micros>,
    /// What runs of each group.
    pub groups: Table<GroupId, GroupModel>,
    /// Orders of the core without an answer.
    pub(crate) outstanding: BTreeMap<GroupId, GroupOrder>,
    /// Orders of the core to its fencing device.
    pub(crate) fences: Vec<FenceProgram>,
    /// How many programs drove its fencing device so far.
    pub(crate) programs: u32,
    /// Groups whose start fails here.
    pub broken: BTreeSet<GroupId>,
    /// Groups with an address that another machine has.
    pub(crate) taken: BTreeSet<GroupId>,
    pub(crate) asks: Asks,
    pub(crate) guard: HostGuard,
    pub(crate) lease: HostLease,
    pub(crate) monitors: HostMonitors,
    /// When the last order of each group was given.
    pub(crate) ordered_at: BTreeMap<GroupId, Micros>,
    /// When it last lost its power.
    pub(crate) powered_at: Micros,
    pub(crate) thawed_at: Micros,
    /// When the other node's last report on groups came.
    pub(crate) told_at: Option<Micros>,
    pub(crate) client: Option<Client>,
    /// Groups whose stop fails here for good.
    pub(crate) unstoppable: BTreeSet<GroupId>,
    /// How long the next script of a group takes, in milliseconds.
    pub(crate) slow: BTreeMap<GroupId, u64>,
    /// By how much timers come later than requested.
    pub(crate) late: Micros,
    /// When its run began.
    pub(crate) up_since: Micros,
    /// The key that it signs with.
    pub(crate) key: u8,
    pub(crate) stopping: bool,
    /// A person wanted to start it while it was being stopped.
    pub(crate) awaited: bool,
    /// Generation and number of the newest heartbeat sent.
    pub(crate) newest_beat: (u64, u64),
    /// The ping node does not answer it.
    pub(crate) gate_cut: bool,
    same_instant: u32,
    last_run: Micros,
}

impl Host {
    pub(crate) fn off(host: HostId, plan: &Plan) -> Self {
        Self {
            name: host.node_name(),
            node: None,
            life: Life {
                process: 0,
                core: 0,
            },
            machine: 0,
            kept: Kept::default(),
            in_force: Vec::new(),
            halves: BTreeMap::new(),
            reviving: false,
            panics: false,
            generation: 1_000,
            disk: Disk::default(),
            root: Root::default(),
            frozen_until: None,
            machine_frozen: false,
            deferred: Vec::new(),
            wall_offset: 0,
            arm: 0,
            armed_at: None,
            groups: Table::new(plan.groups.len(), |group| GroupModel::of(plan.parts(group))),
            outstanding: BTreeMap::new(),
            fences: Vec::new(),
            programs: 0,
            broken: BTreeSet::new(),
            taken: BTreeSet::new(),
            asks: Asks::default(),
            guard: HostGuard::default(),
            lease: HostLease::default(),
            monitors: HostMonitors::default(),
            ordered_at: BTreeMap::new(),
            powered_at: 0,
            thawed_at: 0,
            told_at: None,
            client: None,
            unstoppable: BTreeSet::new(),
            slow: BTreeMap::new(),
            late: 0,
            up_since: 0,
            key: 1,
            stopping: false,
            awaited: false,
            newest_beat: (0, 0),
            gate_cut: false,
            same_instant: 0,
            last_run: 0,
        }
    }
}

impl World {
    /// Starts the daemon; nothing runs on the host before.
    pub fn start(&mut self, host: HostId) {
        if self.hosts[host].node.is_some() || self.hosts[host].reviving {
            // This has no effect while it stops. In peace people try again.
            self.hosts[host].awaited = self.hosts[host].stopping;
            return;
        }
        if let Some(when) = self.boots_at(host) {
            return self.at(when, Happening::Boot { host });
        }
        self.read_file(host);
        let settings = self.settings(host);
        let seed = self.seed(host);
        self.take_generation(host);
        let h = &mut self.hosts[host];
        h.stopping = false;
        h.awaited = false;
        h.kept = Kept::default();
        h.fences.clear();
        h.asks = Asks::default();
        h.life.process += 1;
        let identity = self.identity(host);
        let node = if self.plan.is_legacy(host) {
            Daemon::Legacy(Box::new(LegacyNode::new(settings, identity, seed)))
        } else {
            Daemon::Ours(Box::new(Node::new(settings, identity, seed)))
        };
        self.note(format_args!("{host} starts"));
        self.begin(host, node);
    }

    pub(crate) fn seed(&mut self, host: HostId) -> u64 {
        self.noise.draw(Chance::Seed, Place::host(host), self.now)
    }

    /// The identity of the next run.
    pub(crate) fn identity(&mut self, host: HostId) -> Identity {
        self.fences_are_left(host);
        let ignorant = self.plan.program(host) == Program::Ignorant;
        let h = &mut self.hosts[host];
        h.life.core += 1;
        h.generation += 1;
        h.outstanding.clear();
        let mut uuid = [0; 16];
        let cloned = self.scripted.as_ref().is_some_and(|it| it.cloned);
        uuid[15] = if cloned { 1 } else { host.number() as u8 + 1 };
        let words = crate::node::CAPABILITIES.iter();
        Identity {
            generation: Generation(h.generation),
            uuid: NodeUuid(uuid),
            capabilities: words
                .filter(|word| **word != YIELD || !ignorant)
                .map(|&word| word.to_owned())
                .collect(),
        }
    }

    pub(crate) fn begin(&mut self, host: HostId, mut node: Daemon) {
        let mut actions = Vec::new();
        let now = self.clock(host);
        node.start(now, &mut actions);
        node.handle(Event::MediaOpened, now, &mut actions);
        self.hosts[host].node = Some(node);
        self.hosts[host].armed_at = None;
        self.hosts[host].up_since = self.now;
        self.judge.started(host, self.now);
        self.ipfail_begins(host);
        // Before its first heartbeat.
        self.lease_begins(host);
        self.perform(host, actions);
        self.measure_device(host);
        self.guard_begins(host);
        self.monitors_begin(host);
    }

    /// A power cut: processes, scripts and resources have ended.
    pub fn crash(&mut self, host: HostId) {
        self.note(format_args!("{host} loses power"));
        self.judge.ended(host, self.now);
        let h = &mut self.hosts[host];
        h.node = None;
        h.life.process += 1;
        h.machine += 1;
        h.fences.clear();
        h.powered_at = self.now;
        h.root.forget();
        h.disk.went_down(self.now);
        h.reviving = false;
        h.panics = false;
        h.kept = Kept::default();
        h.frozen_until = None;
        h.machine_frozen = false;
        h.deferred.clear();
        h.groups.iter_mut().for_each(GroupModel::clear);
        h.outstanding.clear();
        h.unstoppable.clear();
        h.slow.clear();
        self.lease_forgets(host);
    }

    /// The daemon gets no processor until then. Its scripts go on, unless the whole machine is
    /// suspended.
    pub fn freeze(&mut self, host: HostId, until: Micros, machine: bool) {
        let h = &mut self.hosts[host];
        if h.node.is_none() || h.frozen_until.is_some() {
            return;
        }
        h.machine_frozen = machine;
        h.frozen_until = Some(until);
        if machine {
            self.lease_suspended(host, true);
        }
        self.judge.frozen(host, self.now, until);
        self.at(until, Happening::Thaw { host });
    }

    /// A suspension whose end was not known ends now.
    pub(crate) fn thaw_now(&mut self, host: HostId) {
        let now = self.now;
        let h = &mut self.hosts[host];
        if h.frozen_until.is_some() {
            h.frozen_until = Some(now);
            self.judge.thawed(host, now);
            self.thaw(host);
        }
    }

    pub(crate) fn thaw(&mut self, host: HostId) {
        let h = &mut self.hosts[host];
        if h.frozen_until.is_none_or(|until| self.now < until) {
            return;
        }
        h.frozen_until = None;
        h.machine_frozen = false;
        h.thawed_at = self.now;
        let waiting = std::mem::take(&mut h.deferred);
        self.lease_suspended(host, false);
        self.note(format_args!("{host} thaws"));
        // Timers first: the worst order for a node that decides by its timer.
        let timer = |what: &Happening| matches!(what, Happening::Timer { .. });
        let (timers, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(timer);
        for what in timers.into_iter().chain(rest) {
            self.at(self.now, what);
        }
        for group in self.plan.group_ids() {
            self.next_order(host, group);
        }
    }

    /// An event for a node's core.
    pub fn feed(&mut self, host: HostId, event: Event) {
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

    /// A message from the FIFO.
    pub fn inject(&mut self, host: HostId, message: Message) {
        let origin = Origin::Fifo;
        let process = self.hosts[host].life.process;
        let when = self.now + self.internal_delay(host);
        self.at(
            when,
            Happening::Injected {
                host,
                process,
                origin,
                message,
            },
        );
    }

    pub(crate) fn request_stop(&mut self, host: HostId) {
        if self.hosts[host].node.is_none() || self.hosts[host].stopping {
            return;
        }
        self.hosts[host].stopping = true;
        self.stop_asked(host);
    }

    pub(crate) fn stop_asked(&mut self, host: HostId) {
        let process = self.hosts[host].life.process;
        let when = self.now + self.internal_delay(host);
        self.at(when, Happening::StopAsked { host, process });
    }

    pub(crate) fn perform(&mut self, host: HostId, actions: Vec<Action>) {
        if let Some(node) = &self.hosts[host].node {
            let (holding, frozen) = (node.holding(), node.frozen());
            let (standby, releases) = (node.open_standby(), node.releases_everything());
            let failback_due = node.failback_due();
            let unfenced = node.unfenced();
            let kept = &mut self.hosts[host].kept;
            kept.failback_due = failback_due;
            kept.unfenced = unfenced;
            kept.standby = standby;
            kept.releases = releases;
            kept.holding = holding;
            kept.frozen = frozen;
        }
        let process = self.hosts[host].life.process;
        for action in actions {
            self.observer.action(self.now, host, &action);
            self.perform_one(host, action);
            if self.hosts[host].life.process != process {
                return;
            }
        }
        self.tell_yields(host);
        self.rearm(host);
    }

    fn perform_one(&mut self, host: HostId, action: Action) {
        let now = self.now;
        let life = self.hosts[host].life;
        match action {
            Action::Transmit(message) => {
                self.stamp(message.hex("seq").unwrap_or(0));
                let offers = message.kind() == Some(kind::ASK_RESOURCES)
                    && message.text(field::INFO) == Some("me");
                if offers && !self.hosts[host].kept.failback_due {
                    // A hand-over that is no failback: somebody asked for it, or a group cannot run where it is.
                    self.moved_at = now;
                }
                self.transmit(host, &message);
            }
            Action::Group { order, group, what } => {
                let Some(group) = self
                    .plan
                    .group_ids()
                    .find(|g| self.plan.group_key(*g) == group)
                else {
                    return self.judge.fail(now, format!("an order for {group}"));
                };
                let node = self.hosts[host].node.as_ref();
                let careful = node.is_some_and(|node| node.start_asks_network(order));
                self.give_order(
                    host,
                    Ordered {
                        life,
                        order,
                        group,
                        what,
                        careful,
                    },
                );
            }
            Action::Deliver { message, treatment } => self.deliver(host, &message, treatment),
            Action::StopClients => {
                self.hosts[host].client = None;
                self.hosts[host].root.stops_clients();
                if self.root_loses_it(host) {
                    return;
                }
                let when = now + self.internal_delay(host);
                self.at(when, Happening::ClientsStopped { host, life });
            }
            Action::NodeStatusChanged { node, status } => {
                self.status_changed(host, &node, status == NodeStatus::Dead);
            }
            Action::RunHook(message) if message.kind() == Some("labmark") => {
                let mark = message.text("mark").and_then(|mark| mark.parse().ok());
                self.judge.mark_heard(host, mark.unwrap_or(0), now);
            }
            Action::GenerationTaken(generation) => {
                self.keep_generation(host, generation.0);
                let h = &mut self.hosts[host];
                if generation.0 > h.generation {
                    h.generation = generation.0;
                    self.judge.generation_begun(host, now);
                }
            }
            Action::WithdrawAddresses(groups) => self.addresses(host, &groups, false),
            Action::RestoreAddresses(groups) => self.addresses(host, &groups, true),
            Action::Fence { order, node, task } => self.fence(host, order, &node, task),
            Action::CallOffFence { order } => {
                let fences = &mut self.hosts[host].fences;
                fences.retain(|it| it.order != Some(order));
            }
            Action::Exit => {
                self.hosts[host].root.ends(End::Exit);
                if !self.root_loses_it(host) {
                    self.exit(host);
                }
            }
            Action::RebootMachine { .. } => {
                self.hosts[host].root.ends(End::Reboot);
                if !self.root_loses_it(host) {
                    self.crash(host);
                }
            }
            Action::Notice(Notice::LostALot { node }) => {
                let of = self.hosts.find(|h| *h.name.as_str() == node);
                if let Some(of) = of {
                    self.judge.mark_given_up(host, of);
                }
            }
            Action::Notice(Notice::OtherWarn { text }) => {
                if text.starts_with("restarts did not help") {
                    self.monitors_see_offer(host);
                }
            }
            Action::SignWith(_)
            | Action::Notice(_)
            | Action::RunHook(_)
            | Action::CommUp
            | Action::OwnHeartbeat => {}
        }
    }

    fn status_changed(&mut self, host: HostId, node: &NodeName, dead: bool) {
        let of = self.hosts.find(|h| h.name == *node);
        let Some(of) = of.filter(|of| *of != host) else {
            return;
        };
        self.hosts[host].asks.status(dead);
        if dead {
            self.gone_at[of] = self.now;
            self.judge.declared_dead(host, of, self.now);
        }
    }

    pub(crate) fn exit(&mut self, host: HostId) {
        let runs = self.hosts[host].groups.iter().any(|model| model.runs());
        if runs {
            let text = format!("{host} ended and its groups run");
            self.judge.fail(self.now, text);
        }
        self.judge.ended(host, self.now);
        let again = match self.hosts[host].node.take() {
            Some(Daemon::Legacy(node)) => node.wants_restart(),
            _ => false,
        };
        if again || self.calm && self.hosts[host].awaited {
            let pause = self.plan.deadtime(host) + SECOND;
            self.at(self.now + pause, Happening::Boot { host });
        }
        self.hosts[host].life.process += 1;
        self.hosts[host].disk.went_down(self.now);
        self.hosts[host].root.forget();
        self.hosts[host].kept = Kept::default();
    }

    /// One timer per node, as the membership actor has it.
    fn rearm(&mut self, host: HostId) {
        let now = self.now;
        let late = self.hosts[host].late;
        let lag = if self.calm {
            0
        } else {
            within(
                self.noise.draw(Chance::Lag, Place::host(host), now),
                0..501 + late,
            )
        };
        let h = &mut self.hosts[host];
        let Some(node) = h.node.as_ref() else { return };
        let Some(deadline) = node.next_deadline() else {
            self.judge.fail(now, format!("{host} has no deadline"));
            return;
        };
        // A timer never fires early.
        let nanos = deadline.since_start().as_nanos().div_ceil(1_000);
        let when = self.moment(host, u64::try_from(nanos).unwrap_or(u64::MAX / 4));
        let h = &mut self.hosts[host];
        if h.last_run == now && when <= now {
            h.same_instant += 1;
            if h.same_instant > 1_000 {
                h.same_instant = 0;
                self.judge.fail(now, format!("{host} spins"));
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
