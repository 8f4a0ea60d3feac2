//! A pair in one thread and in virtual time: real cores, and a model of the network and of scripts.
//! The same history gives the same run, bit for bit.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use crate::clock::{Monotonic, Now};
use crate::protocol::event::{Event, GroupOrder, StopReason};
use crate::protocol::fencing::{FenceSettings, Reach};
use crate::protocol::message::Message;
use crate::protocol::name::{MediumName, NodeName};
use crate::protocol::settings::{NodeSettings, Timing, UnservedMove};

use super::act::Act;
use super::chance::{Chance, Noise, Place, stir, within};
use super::host::Host;
use super::ids::{GroupId, HostId, Key, Table};
use super::judge::Judge;
use super::network::{Path, Recording};
use super::observer::{Nobody, Observer};
use super::plan::Plan;
use super::queue::{Happening, Queue};
use super::scenario::Scripted;

/// Microseconds of virtual time.
pub type Micros = u64;
/// One second.
pub const SECOND: Micros = 1_000_000;

/// The pair, the network and the judge.
pub struct World {
    /// What is the same in the whole run.
    pub plan: Plan,
    pub(crate) noise: Noise,
    /// The present moment.
    pub now: Micros,
    queue: Queue,
    /// The machines.
    pub hosts: Table<HostId, Host>,
    /// `paths[from][medium]`: to the other node.
    pub paths: Table<HostId, Table<usize, Path>>,
    /// Watches everything.
    pub judge: Judge,
    /// Scripts and timers are as fast as possible.
    pub calm: bool,
    /// Every order that a core gave.
    pub orders: Vec<(Micros, HostId, GroupId, GroupOrder)>,
    /// The frames that each host has sent, where messages are signed and encoded.
    pub(crate) recordings: Table<HostId, Recording>,
    /// Which host ran what at the last rest.
    pub(crate) rested: Option<Vec<Vec<HostId>>>,
    /// When something last happened that moves groups away from their owner for good: a person, a failure.
    pub(crate) moved_at: Micros,
    /// When the other node last declared this one dead.
    pub(crate) gone_at: Table<HostId, Micros>,
    /// How many marks were sent: messages that both nodes must handle once.
    pub marks: u64,
    digest: u64,
    pub(crate) observer: Rc<dyn Observer>,
    /// Machines that were reset, and when.
    pub resets: Vec<(Micros, HostId)>,
    /// What a test has fixed; `None`: it is left to chance.
    pub(crate) scripted: Option<Scripted>,
}

impl World {
    /// Hosts that are all off; nothing is random until the first act.
    pub fn new(plan: Plan, noise: u64) -> Self {
        let nodes = plan.nodes();
        let mut world = Self {
            judge: Judge::new(&plan),
            paths: Table::filled(nodes, Table::filled(plan.media, Path::well())),
            hosts: Table::new(nodes, |host| Host::off(host, &plan)),
            plan,
            noise: Noise::new(noise),
            now: SECOND,
            queue: Queue::default(),
            calm: true,
            orders: Vec::new(),
            recordings: Table::new(nodes, |_| Recording::default()),
            rested: None,
            moved_at: 0,
            gone_at: Table::filled(nodes, 0),
            marks: 0,
            digest: 0,
            observer: Rc::new(Nobody),
            resets: Vec::new(),
            scripted: None,
        };
        world.at(SECOND, Happening::Look);
        world
    }

    /// An act of a history: with it the random events begin.
    pub(crate) fn plan_act(&mut self, when: Micros, act: Act) {
        self.calm = false;
        self.at(when, Happening::Act(act));
    }

    /// A number that differs when anything in the run differed.
    pub fn fingerprint(&self) -> u64 {
        self.digest
    }

    pub(crate) fn stamp(&mut self, number: u64) {
        self.digest = stir(self.digest ^ stir(self.now)).wrapping_add(number);
    }

    /// From now on this one is told what happens.
    pub fn observe(&mut self, observer: Rc<dyn Observer>) {
        self.observer = observer;
    }

    /// Tells the observer what a person who reads the run wants to know.
    pub(crate) fn note(&self, text: std::fmt::Arguments<'_>) {
        self.observer.note(self.now, text);
    }

    pub(crate) fn at(&mut self, when: Micros, what: Happening) {
        self.queue.push(when.max(self.now), what);
    }

    pub(crate) fn settings(&self, host: HostId) -> NodeSettings {
        let micros = Duration::from_micros;
        let deadtime = micros(self.plan.deadtime(host));
        let timing = Timing {
            keepalive: micros(self.plan.keepalive(host)),
            deadtime,
            warntime: deadtime / 2,
            initdead: Duration::from_millis(self.plan.initdead_ms),
            deadping: deadtime,
            max_rexmit_delay: Duration::from_millis(250),
        };
        NodeSettings {
            ping_nodes: gate_name().filter(|_| self.plan.gate).into_iter().collect(),
            media: (0..self.plan.media).map(medium_name).collect(),
            auto_failback: self.plan.failback,
            groups: self.hosts[host].in_force.clone(),
            with_address: match &self.scripted {
                Some(scripted) => scripted.with_address(&self.plan),
                None => BTreeSet::new(),
            },
            isolation_release: self.plan.gate,
            unserved: match self.plan.features.guard {
                0 => UnservedMove::Never,
                1 => UnservedMove::ToOneThatTells,
                _ => UnservedMove::Always,
            },
            monitors: self.monitor_windows(),
            fencing: FenceSettings {
                reach: match self.plan.features.device {
                    Some(_) => Reach::Everybody,
                    None => Reach::Nobody,
                },
                ..FenceSettings::default()
            },
            ..NodeSettings::new(
                self.hosts[host].name.clone(),
                self.hosts.iter().map(|h| h.name.clone()).collect(),
                timing,
            )
        }
    }

    pub(crate) fn clock(&self, host: HostId) -> Now {
        let wall = 1_700_000_000_i64 + (self.now / SECOND) as i64 + self.hosts[host].wall_offset;
        Now {
            instant: Monotonic::from_duration(Duration::from_micros(self.local(host, self.now))),
            unix_s: wall.max(1) as u64,
        }
    }

    /// The monotonic clock of a host at that moment: it may run a little too fast or too slowly.
    fn local(&self, host: HostId, when: Micros) -> Micros {
        let drift = self
            .plan
            .features
            .drift
            .get(host.number())
            .copied()
            .unwrap_or(0);
        when.saturating_add_signed(when as i64 * drift / 1_000_000)
    }

    /// The first moment at which the clock of a host shows this time.
    pub(crate) fn moment(&self, host: HostId, local: Micros) -> Micros {
        let drift = self
            .plan
            .features
            .drift
            .get(host.number())
            .copied()
            .unwrap_or(0);
        let mut when = (i128::from(local) * 1_000_000 / i128::from(1_000_000 + drift)) as Micros;
        while self.local(host, when) < local {
            when += 1;
        }
        when
    }

    /// A delay between two of our own actors.
    pub(crate) fn internal_delay(&mut self, host: HostId) -> Micros {
        let drawn = self
            .noise
            .draw(Chance::Internal, Place::host(host), self.now);
        within(drawn, 0..self.plan.internal_ms * 1_000 + 1)
    }

    /// Runs until `until`, or until the judge finds a fault.
    pub fn run(&mut self, until: Micros) {
        while !self.judge.failed() {
            let Some((when, what)) = self.queue.pop_until(until) else {
                break;
            };
            self.now = when;
            self.happen(what);
            self.judge.step(self.now);
        }
        self.now = self.now.max(until);
    }

    /// Events that wait for a suspended host.
    fn belongs_to(what: &Happening) -> Option<(HostId, bool)> {
        match what {
            Happening::Timer { host, .. }
            | Happening::Datagram { host, .. }
            | Happening::Done { host, .. }
            | Happening::Order { host, .. }
            | Happening::Asked { host, .. }
            | Happening::MayStart { host, .. }
            | Happening::Begin { host, .. }
            | Happening::Step { host, .. }
            | Happening::Injected { host, .. }
            | Happening::StopAsked { host, .. }
            | Happening::FenceSays { host, .. }
            | Happening::Ipfail { host, .. }
            | Happening::Guard { host, .. }
            | Happening::Monitors { host, .. }
            | Happening::AskReload { host, .. }
            | Happening::Echo { host, .. }
            | Happening::TellAgain { host, .. }
            | Happening::ClientsStopped { host, .. } => Some((*host, false)),
            Happening::Act(Act::Maintenance { host, .. }) => Some((*host, false)),
            Happening::ScriptEnd { host, .. }
            | Happening::Lease { host, .. }
            | Happening::Fences { host, .. } => Some((*host, true)),
            Happening::Thaw { .. }
            | Happening::Revive { .. }
            | Happening::Boot { .. }
            | Happening::Act(_)
            | Happening::Look => None,
        }
    }

    fn happen(&mut self, what: Happening) {
        if let Some((host, of_machine)) = Self::belongs_to(&what) {
            let h = &mut self.hosts[host];
            let stands = h.frozen_until.is_some_and(|until| self.now < until);
            if stands && (!of_machine || h.machine_frozen) {
                // A socket buffer holds this much and no more.
                let datagram = matches!(what, Happening::Datagram { .. });
                if h.deferred.len() < 400 || !datagram {
                    h.deferred.push(what);
                }
                return;
            }
        }
        if self.still_counts(&what) {
            self.carry_out(what);
        }
    }

    /// Whether the run to which an event belongs has not ended: the run of a machine, a process or a core.
    fn still_counts(&self, what: &Happening) -> bool {
        match what {
            Happening::Timer { host, life, arm } => {
                let h = &self.hosts[*host];
                h.life == *life && h.arm == *arm
            }
            Happening::ClientsStopped { host, life }
            | Happening::Echo { host, life }
            | Happening::FenceSays { host, life, .. } => self.hosts[*host].life == *life,
            Happening::TellAgain { host, life } => self.hosts[*host].life.process == life.process,
            Happening::AskReload { host, process, .. }
            | Happening::Injected { host, process, .. }
            | Happening::Guard { host, process, .. }
            | Happening::Monitors { host, process }
            | Happening::StopAsked { host, process } => self.hosts[*host].life.process == *process,
            Happening::ScriptEnd { host, machine, .. } | Happening::Lease { host, machine, .. } => {
                self.hosts[*host].machine == *machine
            }
            Happening::Revive { host, machine } => {
                let h = &self.hosts[*host];
                h.machine == *machine && h.reviving
            }
            Happening::Asked {
                host,
                machine,
                ordered,
                ..
            }
            | Happening::Begin {
                host,
                machine,
                ordered,
                ..
            } => self.waits_to_begin(*host, *machine, ordered),
            _ => true,
        }
    }

    fn carry_out(&mut self, what: Happening) {
        match what {
            Happening::Timer { host, .. } => {
                self.hosts[host].armed_at = None;
                self.feed(host, Event::Tick);
            }
            Happening::Datagram {
                host,
                from,
                medium,
                frame,
            } => self.hear(host, from, medium, frame),
            Happening::Order { host, ordered } => self.order_comes(host, ordered),
            Happening::ScriptEnd { host, group, .. } => self.script_end(host, group),
            Happening::Asked {
                host,
                ordered,
                round,
                claimed,
                ..
            } => self.ask_network(host, ordered, round, claimed),
            Happening::MayStart { host, group } => self.may_start(host, group),
            Happening::Begin {
                host,
                ordered,
                stands,
                ..
            } => self.begin_start(host, ordered.group, stands),
            Happening::Step { host, ordered } => self.step(host, ordered),
            Happening::Done {
                host,
                ordered,
                outcome,
            } => self.done(host, ordered, outcome),
            Happening::ClientsStopped { host, .. } => self.feed(host, Event::ClientsStopped),
            Happening::Thaw { host } => self.thaw(host),
            Happening::Boot { host } => self.start(host),
            Happening::Revive { host, .. } => self.revive(host),
            Happening::AskReload { host, pause, .. } => self.ask_reload(host, pause),
            Happening::TellAgain { host, .. } => self.tell_again(host),
            Happening::Echo { host, .. } => self.echo(host),
            Happening::Injected {
                host,
                origin,
                message,
                ..
            } => self.feed(host, Event::Injected { origin, message }),
            Happening::StopAsked { host, .. } => {
                let reason = StopReason::Requested;
                self.feed(host, Event::StopRequested { reason });
            }
            Happening::Fences {
                host,
                machine,
                program,
            } => self.fences(host, machine, program),
            Happening::FenceSays {
                host,
                order,
                answer,
                ..
            } => self.fence_says(host, order, answer),
            Happening::Ipfail { host, process } => self.ipfail_turn(host, process),
            Happening::Guard { host, turn, .. } => self.guard(host, turn),
            Happening::Lease { host, group, .. } => self.lease(host, group),
            Happening::Monitors { host, .. } => self.monitors(host),
            Happening::Act(act) => self.act(act),
            Happening::Look => {
                self.look();
                self.at(self.now + SECOND, Happening::Look);
            }
        }
    }

    pub(crate) fn echo(&mut self, host: HostId) {
        let time = format!("{:x}", self.clock(host).unix_s);
        let message = Message::new("NS_st")
            .with("st", "ping")
            .with("info", "ping")
            .with("src", GATE)
            .with("ts", &time);
        let medium = MediumName::new(GATE);
        self.feed(host, Event::Received { medium, message });
        self.judge.gate_heard(host, self.now);
    }

    /// Hosts on which a group runs now.
    pub fn owners(&self, group: GroupId) -> Vec<HostId> {
        self.plan
            .hosts()
            .filter(|host| self.hosts[*host].groups[group].runs())
            .collect()
    }

    /// The same of all groups.
    pub fn all_owners(&self) -> Vec<Vec<HostId>> {
        self.plan
            .group_ids()
            .map(|group| self.owners(group))
            .collect()
    }
}

/// The ping node.
const GATE: &str = "gate";

fn gate_name() -> Option<NodeName> {
    NodeName::new(GATE).ok()
}

pub(crate) fn medium_name(index: usize) -> MediumName {
    MediumName::new(&format!("eth{index}"))
}
