//! A legacy node: our membership without our capabilities, and the resource machine of
//! docs/protocol/resources.md, with its defects. Only `auto_failback on` and `off`. Start and stop
//! of one group never overlap here, which the real program does not guarantee. Not modelled:
//! fencing, restart in place, a master process that dies alone.

mod helpers;
mod reports;
mod standby;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::clock::{Monotonic, Now};
use crate::notice::Notice;
use crate::protocol::event::{Action, Event, GroupOrder, OrderId, Origin};
use crate::protocol::group::GroupKey;
use crate::protocol::membership::{Identity, Membership};
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::output::{Output, ResourceEvent};
use crate::protocol::settings::NodeSettings;
use crate::protocol::status::NodeStatus;
use crate::resources::holding::HoldingSet;

const LOCAL: HoldingSet = HoldingSet::LOCAL;
const FOREIGN: HoldingSet = HoldingSet::FOREIGN;
const ALL: HoldingSet = HoldingSet::ALL;
const NONE: HoldingSet = HoldingSet::NONE;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Phase {
    Init,
    Starting,
    BothStarting,
    Received,
    Stable,
    Shutdown,
}

/// Its state in a standby. Spec: docs/protocol/resources.md, 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standby {
    Not,
    Me,
    Other,
    Done,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Work {
    Give,
    Take,
    GiveUpAll,
    MachDown,
    TakeGroup,
    /// The other node's `hb_takeover`: a script like the others, which offers this set.
    Offer(HoldingSet),
}

#[derive(Debug)]
struct Helper {
    work: Work,
    steps: VecDeque<(GroupKey, GroupOrder)>,
    in_flight: Option<(OrderId, GroupKey)>,
}

/// A node of the legacy program.
pub struct LegacyNode {
    m: Membership,
    settings: NodeSettings,
    peer: NodeName,
    outputs: VecDeque<Output>,
    comm_up: bool,
    rstate: Phase,
    mine: HoldingSet,
    theirs: HoldingSet,
    other_stable: bool,
    /// Answers to `starting` that have not come back yet.
    answers_come_round: u32,
    takeover: bool,
    standby: Standby,
    sb_deadline: Option<Monotonic>,
    sb_set: HoldingSet,
    failback_due: bool,
    t_local: Option<Monotonic>,
    failback_at: Option<Monotonic>,
    failed_at: Option<Monotonic>,
    restart_at: Option<Monotonic>,
    clients_at: Option<Monotonic>,
    exit_at: Option<Monotonic>,
    helpers: Vec<Helper>,
    queue: VecDeque<Helper>,
    /// Groups that a script's `status` would report as running.
    runs: BTreeSet<GroupKey>,
    /// Groups of its own that it starts, or runs, although it has reported them as given: their
    /// starts were queued when it gave them.
    strays: BTreeSet<GroupKey>,
    acquired: bool,
    shutting: bool,
    releasing: bool,
    wants_restart: bool,
    order: u64,
    now: Monotonic,
}

fn word(set: HoldingSet) -> &'static str {
    set.word()
}

impl LegacyNode {
    pub(crate) fn new(settings: NodeSettings, mut identity: Identity, seed: u64) -> Self {
        identity.capabilities.clear();
        let peer = settings
            .nodes
            .iter()
            .find(|name| **name != settings.local)
            .cloned()
            // Alone: there is nobody that it could wait for.
            .unwrap_or_else(|| settings.local.clone());
        Self {
            m: Membership::new(&settings, identity, seed),
            settings,
            peer,
            outputs: VecDeque::new(),
            comm_up: false,
            rstate: Phase::Init,
            mine: NONE,
            theirs: NONE,
            other_stable: false,
            answers_come_round: 0,
            takeover: false,
            standby: Standby::Not,
            sb_deadline: None,
            sb_set: ALL,
            failback_due: false,
            t_local: None,
            failback_at: None,
            failed_at: None,
            restart_at: None,
            clients_at: None,
            exit_at: None,
            helpers: Vec::new(),
            queue: VecDeque::new(),
            runs: BTreeSet::new(),
            strays: BTreeSet::new(),
            acquired: false,
            shutting: false,
            releasing: false,
            wants_restart: false,
            order: 0,
            now: Monotonic::ZERO,
        }
    }

    pub(crate) fn start(&mut self, now: Now, out: &mut Vec<Action>) {
        self.now = now.instant;
        out.push(Action::GenerationTaken(self.m.generation()));
        let mut fresh = Vec::new();
        self.m.start(now, &mut fresh);
        self.outputs.extend(fresh);
        self.work_off(now, out);
    }

    /// Whether it ends in order to start again.
    pub(crate) fn wants_restart(&self) -> bool {
        self.wants_restart
    }

    pub(crate) fn status(&self) -> NodeStatus {
        self.m.status()
    }

    pub(crate) fn membership(&self) -> &Membership {
        &self.m
    }

    pub(crate) fn holding(&self) -> HoldingSet {
        self.mine
    }

    /// Whether it runs a group that it has given, and reports it as held in no message.
    pub(crate) fn strays(&self, key: &GroupKey) -> bool {
        self.strays.contains(key) && !self.mine.has(LOCAL)
    }

    /// Whether a script starts this group for a standby: the node reports the group only when that
    /// is done.
    pub(crate) fn takes(&self, key: &GroupKey) -> bool {
        self.works_on(Work::Take, key)
    }

    /// Whether a script stops this group for a standby: a new run of the other node receives that
    /// the node holds nothing.
    pub(crate) fn gives(&self, key: &GroupKey) -> bool {
        self.works_on(Work::Give, key)
    }

    /// Whether a script has this group in hand, or will as soon as another one lets go of it.
    fn works_on(&self, work: Work, key: &GroupKey) -> bool {
        let in_hand = |it: &Helper| it.in_flight.as_ref().is_some_and(|(_, group)| group == key);
        let waits = |it: &Helper| it.steps.iter().any(|(group, _)| group == key);
        self.helpers
            .iter()
            .filter(|it| it.work == work)
            .any(|it| in_hand(it) || waits(it))
    }

    pub(crate) fn rscstatus(&self) -> Option<&'static str> {
        Some(if self.stable() {
            self.mine.word()
        } else {
            "transition"
        })
    }

    pub(crate) fn next_deadline(&self) -> Option<Monotonic> {
        [
            self.m.next_deadline(),
            self.t_local.filter(|_| self.rstate == Phase::Received),
            self.failback_at,
            self.failed_at,
            self.restart_at,
            self.clients_at,
            self.exit_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn children(&self) -> usize {
        self.helpers.len()
    }

    fn stable(&self) -> bool {
        if self.shutting && self.rstate == Phase::Init {
            return true;
        }
        self.other_stable
            && !self.takeover
            && self.standby == Standby::Not
            && self.sb_deadline.is_none()
            && self.children() == 0
            && matches!(self.rstate, Phase::Init | Phase::Stable | Phase::Shutdown)
    }

    pub(crate) fn handle(&mut self, event: Event, now: Now, out: &mut Vec<Action>) {
        self.now = self.now.max(now.instant);
        let mut fresh = Vec::new();
        self.m.tick(now, &mut fresh);
        self.outputs.append(&mut fresh.into());
        self.work_off(now, out);
        self.due(now, out);
        let mut fresh = Vec::new();
        match event {
            Event::Tick
            | Event::KeysRead(_)
            | Event::AddressesSeen { .. }
            | Event::MonitorsSay { .. }
            | Event::FailuresCleared(_)
            | Event::FreezeRequested
            | Event::ThawRequested
            | Event::FenceAnswered { .. }
            | Event::FenceConfirmed { .. }
            | Event::FenceAnswerTook(_) => {}
            Event::MediaOpened => self.m.media_opened(now, &mut fresh),
            Event::Received { medium, message } => {
                self.m.received(&medium, message, now, &mut fresh)
            }
            Event::Injected { message, .. } => {
                self.m.inject(Origin::Daemon, message, now, &mut fresh);
            }
            Event::GroupDone {
                order,
                group,
                outcome,
            } => self.group_done(order, &group, &outcome, now, out),
            Event::StopRequested { .. } => {
                self.shutting = true;
                self.try_shutdown(now);
            }
            Event::ClientsStopped => self.exit_at = Some(self.now + Duration::from_secs(1)),
        }
        self.outputs.extend(fresh);
        self.work_off(now, out);
    }

    fn due(&mut self, now: Now, out: &mut Vec<Action>) {
        let at = self.now;
        let due = |timer: &mut Option<Monotonic>| {
            let due = timer.is_some_and(|t| t <= at);
            if due {
                *timer = None;
            }
            due
        };
        if self.rstate == Phase::Received && due(&mut self.t_local) {
            self.rstate = Phase::Stable;
            self.acquire_local(false);
            self.report(self.mine, true, None, now);
        }
        if due(&mut self.failback_at) {
            self.try_failback(now);
        }
        if due(&mut self.failed_at) {
            let message = Message::new("ask_resources")
                .with("rsc_hold", "foreign")
                .with("info", "me");
            self.send(message, now);
        }
        if due(&mut self.restart_at) && !self.shutting {
            self.shutting = true;
            self.wants_restart = true;
            let mut fresh = Vec::new();
            self.m
                .raise_dead_time(Duration::from_secs(30), now, &mut fresh);
            self.outputs.extend(fresh);
            self.try_shutdown(now);
        }
        if due(&mut self.clients_at) {
            out.push(Action::StopClients);
        }
        if due(&mut self.exit_at) {
            out.push(Action::Exit);
        }
        self.work_off(now, out);
    }

    fn send(&mut self, message: Message, now: Now) {
        let mut fresh = Vec::new();
        self.m.send(message, now, &mut fresh);
        self.outputs.extend(fresh);
    }

    fn report(&mut self, set: HoldingSet, stable: bool, info: Option<&str>, now: Now) {
        let mut message = Message::new("resource")
            .with("rsc_hold", word(set))
            .with("rtype", "full")
            .with("isstable", if stable { "1" } else { "0" });
        if let Some(info) = info {
            message = message.with("info", info);
        }
        self.send(message, now);
    }

    fn ask(&mut self, set: HoldingSet, info: &str, now: Now) {
        let message = Message::new("ask_resources")
            .with("rsc_hold", word(set))
            .with("info", info);
        self.send(message, now);
    }

    fn work_off(&mut self, now: Now, out: &mut Vec<Action>) {
        loop {
            while let Some(output) = self.outputs.pop_front() {
                self.output(output, now, out);
            }
            if std::mem::take(&mut self.acquired) {
                self.report(self.mine, true, Some("req_our_resources()"), now);
                continue;
            }
            self.next_orders(out);
            self.finished(now);
            if self.outputs.is_empty() && !self.anything_finished() {
                break;
            }
        }
    }

    fn output(&mut self, output: Output, now: Now, out: &mut Vec<Action>) {
        match output {
            Output::Transmit(message) => out.push(Action::Transmit(message)),
            Output::Notice(notice) => {
                let late = match &notice {
                    Notice::VeryLateHeartbeat { node, .. } => *node == self.peer.to_string(),
                    _ => false,
                };
                out.push(Action::Notice(notice));
                if late {
                    // Spec: docs/protocol/membership.md, 2: the whole death handling, although it
                    // lives.
                    self.node_dead(true, now);
                }
            }
            Output::NodeStatusChanged { node, status } => {
                out.push(Action::NodeStatusChanged { node, status });
            }
            Output::CommUp { .. } => {
                self.comm_up = true;
                self.send(Message::new("starting"), now);
                self.rstate = Phase::Starting;
                self.try_shutdown(now);
            }
            Output::Resource(event) => self.event(event, now, out),
            Output::OwnHeartbeat => out.push(Action::OwnHeartbeat),
            Output::SignWith(_) | Output::Deliver { .. } | Output::Decided { .. } => {}
        }
    }

    fn event(&mut self, event: ResourceEvent, now: Now, out: &mut Vec<Action>) {
        match event {
            ResourceEvent::Message { own, message, .. } => {
                if message.kind() == Some("labmark") {
                    out.push(Action::RunHook(message));
                    return;
                }
                self.message(own, &message, now);
            }
            ResourceEvent::NodeDead { heard, ping, .. } => {
                if !ping {
                    self.node_dead(heard, now);
                }
            }
            ResourceEvent::ReturnedAfterPartition { .. } => {
                if self.restart_at.is_none() {
                    self.restart_at = Some(self.now + Duration::from_secs(2));
                }
            }
            // Woken up: to this node the other one is late.
            ResourceEvent::OwnHeartbeatLost { .. } => {
                if self.comm_up {
                    self.node_dead(true, now);
                }
            }
            ResourceEvent::Speaks { .. }
            | ResourceEvent::AnswersItself { .. }
            | ResourceEvent::LinksTold { .. }
            | ResourceEvent::HaresourcesCompared { .. }
            | ResourceEvent::NodeStatusChanged { .. }
            | ResourceEvent::NodeRestarted { .. }
            | ResourceEvent::GivenUp { .. }
            | ResourceEvent::LinkChanged { .. }
            | ResourceEvent::StoodStill { .. }
            | ResourceEvent::WordsLost { .. }
            | ResourceEvent::LastWordsReceived
            | ResourceEvent::Deleted => {}
        }
    }

    fn message(&mut self, own: bool, message: &Message, now: Now) {
        if self.sb_deadline.is_some_and(|at| at <= self.now) {
            self.standby = Standby::Not;
            self.sb_deadline = None;
            self.other_stable = true;
            self.try_shutdown(now);
        }
        match (message.kind().unwrap_or_default(), own) {
            ("shutdone", true) => self.clients_at = Some(self.now + Duration::from_secs(1)),
            ("shutdone", false) => self.other_left(),
            _ if !self.comm_up => {}
            ("starting", false) => self.starting(now),
            ("resource", _) => self.resource(own, message, now),
            ("ask_resources", _) => self.ask_resources(own, message, now),
            ("hb_takeover", false) => {
                let set = match message.text("rsc_hold") {
                    Some("local") => FOREIGN,
                    Some("foreign") => LOCAL,
                    _ => ALL,
                };
                // Observed on the real program: it waits for the scripts that run.
                let script = Self::helper(Work::Offer(set), Vec::new(), GroupOrder::Start);
                self.queue.push_back(script);
            }
            _ => {}
        }
        if self.rstate == Phase::Received && self.t_local.is_none() {
            self.t_local = Some(self.now + Duration::from_secs(10));
        }
        self.try_shutdown(now);
    }
}
