//! The monitors of a host's groups: the real decisions, with a model of the services and of their checks.
//!
//! A service dies alone, or again after each start; a check lies that it is dead, or has no answer. Only groups that
//! are started part by part have a monitor, of a part that is no address.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::policy::monitor::{Answer, Monitor, Monitors, Standing};
use crate::protocol::event::{Event, GroupOrder, GroupOutcome};
use crate::protocol::group::GroupKey;
use crate::protocol::monitor::{MonitorRules, Then};

use super::daemon::Daemon;
use super::ids::{GroupId, HostId};
use super::queue::{Happening, Life, Ordered};
use super::world::{Micros, SECOND, World};

/// Between two looks at what is due.
const TURN: Micros = SECOND;

/// So long a failure, and a move for it, counts.
pub(crate) const WINDOW: Duration = Duration::from_secs(600);

/// How long a dead part may stay down on a node that is settled: the checks, a restart, and a script that is slow.
const PATIENCE: Micros = 60 * SECOND;

/// How long an offer may take.
const OFFER: Micros = 10 * SECOND;

/// How long the command of a person may wait.
const PEOPLE: Micros = 120 * SECOND;

/// What a check of a group says on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    Bad,
    Nothing,
    /// It is honest, and the service dies soon after each start.
    Dies,
}

/// The monitors of one host.
#[derive(Debug, Default)]
pub(crate) struct HostMonitors {
    /// Of which process they are.
    process: Option<u32>,
    all: BTreeMap<GroupId, Monitors>,
    lies: BTreeMap<GroupId, Lie>,
    /// Since when a part is dead on a node that is settled.
    dead_since: BTreeMap<GroupId, Micros>,
    /// When this host offered groups because of it.
    offered: Option<(Life, Micros)>,
    /// When a person last moved groups.
    people: Option<Micros>,
    /// When this host gave the group away because of it.
    moved: BTreeMap<GroupId, (Life, Micros)>,
}

impl World {
    /// The windows of the groups that have a monitor.
    pub(crate) fn monitor_windows(&self) -> BTreeMap<GroupKey, Duration> {
        let watched = self
            .plan
            .group_ids()
            .filter(|it| self.watched(*it).is_some());
        watched
            .map(|it| (self.plan.group_key(it), WINDOW))
            .collect()
    }

    /// The part of a group that has a monitor.
    fn watched(&self, group: GroupId) -> Option<usize> {
        let parts = self.plan.parts(group);
        let last = (1..parts).rfind(|part| *part != self.plan.address_part(group));
        last.filter(|_| self.plan.features.monitors)
    }

    /// A daemon of ours begins, perhaps with another core.
    pub(crate) fn monitors_begin(&mut self, host: HostId) {
        let process = self.hosts[host].life.process;
        if !self.plan.features.monitors || self.hosts[host].monitors.process == Some(process) {
            return;
        }
        let now = self.clock(host).instant;
        let rules = MonitorRules {
            interval: Duration::from_secs(3),
            failures: 2,
            restarts: 1,
            window: WINDOW,
            then: Then::Move,
        };
        let watched: Vec<GroupId> = self.plan.group_ids().collect();
        let mut all = BTreeMap::new();
        for group in watched {
            let Some(part) = self.watched(group) else {
                continue;
            };
            let list = vec![Monitor::new(part.to_string(), rules)];
            let mut monitors = Monitors::new(group.to_string(), list);
            if self.hosts[host].groups[group].runs() {
                monitors.began(now);
            }
            all.insert(group, monitors);
        }
        let mine = &mut self.hosts[host].monitors;
        mine.process = Some(process);
        mine.all = all;
        mine.dead_since.clear();
        mine.moved.clear();
        self.at(self.now + TURN, Happening::Monitors { host, process });
    }

    /// Whether the checks of a group may run: it is settled, and so is the node.
    fn may_check(&self, host: HostId, group: GroupId) -> bool {
        let h = &self.hosts[host];
        let settled = matches!(&h.node, Some(Daemon::Ours(node)) if node.is_settled());
        let model = &h.groups[group];
        let ours = h.kept.may_run.contains(&group) && !h.kept.in_hand.contains_key(&group);
        settled && ours && model.idle() && model.runs() && !model.bare
    }

    /// Each second.
    pub(crate) fn monitors(&mut self, host: HostId) {
        let process = self.hosts[host].life.process;
        self.at(self.now + TURN, Happening::Monitors { host, process });
        let frozen = self.hosts[host].node.as_ref().is_some_and(Daemon::frozen);
        let groups: Vec<GroupId> = self.hosts[host].monitors.all.keys().copied().collect();
        for group in groups {
            if frozen {
                if let Some(it) = self.hosts[host].monitors.all.get_mut(&group) {
                    it.pauses();
                }
                self.monitors_say(host, group);
            } else if self.may_check(host, group) {
                self.check(host, group);
            }
        }
    }

    fn check(&mut self, host: HostId, group: GroupId) {
        let now = self.clock(host).instant;
        let whole = self.hosts[host].groups[group].whole();
        let mine = &mut self.hosts[host].monitors;
        let lie = mine.lies.get(&group).copied();
        let Some(monitors) = mine.all.get_mut(&group) else {
            return;
        };
        let Some(place) = monitors.begin_check(now) else {
            return;
        };
        let proven = !matches!(
            monitors.list().first().map(Monitor::standing),
            Some(Standing::Unchecked)
        );
        let answer = match lie {
            Some(Lie::Bad) if proven => Answer::Bad("lies".to_owned()),
            Some(Lie::Nothing) => Answer::Unknown("hangs".to_owned()),
            _ if whole => Answer::Good,
            _ => Answer::Bad("dead".to_owned()),
        };
        let good = answer == Answer::Good;
        drop(monitors.answered(place, answer, now));
        self.monitors_say(host, group);
        if lie == Some(Lie::Dies) && good {
            self.service_dies(host, group);
        }
    }

    /// The core hears what a group wants, after a moment.
    fn monitors_say(&mut self, host: HostId, group: GroupId) {
        let monitors = self.hosts[host].monitors.all.get(&group);
        let wants = monitors.and_then(Monitors::ailment);
        let group = self.plan.group_key(group);
        self.feed(host, Event::MonitorsSay { group, wants });
    }

    /// A group has carried out an order.
    pub(crate) fn monitors_hear(&mut self, host: HostId, ordered: Ordered, outcome: &GroupOutcome) {
        let now = self.clock(host).instant;
        let group = ordered.group;
        let whole = self.hosts[host].groups[group].whole();
        let Some(monitors) = self.hosts[host].monitors.all.get_mut(&group) else {
            return;
        };
        match (ordered.what, outcome) {
            (GroupOrder::Restart, GroupOutcome::Started) => {
                drop(monitors.restarted((!whole).then_some("a part"), now));
            }
            (_, GroupOutcome::Started) => monitors.began(now),
            _ => monitors.ended(),
        }
        if self.hosts[host].frozen_until.is_none() {
            self.monitors_say(host, group);
        }
    }

    /// A group is stopped: was it given away because of a failure? Not twice in its window by one core, unless a
    /// person has moved it.
    pub(crate) fn monitors_see_stop(&mut self, host: HostId, group: GroupId) {
        let Some(monitors) = self.hosts[host].monitors.all.get(&group) else {
            return;
        };
        let gives_up = monitors
            .ailment()
            .is_some_and(|it| it.gives_up == Some(Then::Move));
        let now = self.now;
        let mine = &self.hosts[host].monitors;
        let life = self.hosts[host].life;
        let lately = |(by, at): (Life, Micros)| by == life && now < at + OFFER;
        let offered = mine.offered.is_some_and(lately);
        let by_people = mine.people.is_some_and(|at| now < at + PEOPLE);
        if !gives_up || !offered || by_people || self.hosts[host].stopping {
            return;
        }
        let window = Micros::try_from(WINDOW.as_micros()).unwrap_or(Micros::MAX);
        // The clocks of the hosts differ a little.
        let window = window - window / 50;
        let earlier = mine.moved.get(&group);
        let lately = earlier.filter(|(by, at)| *by == life && now < *at + window);
        if let (Some((_, at)), false) = (lately, mine.people.is_some()) {
            let seconds = (now - at) / SECOND;
            let text = format!("{host} gives {group} away for a failure twice within {seconds} s");
            self.judge.fail(now, text);
        }
        self.note(format_args!("{host} gives {group} away for a failure"));
        let mine = &mut self.hosts[host].monitors;
        mine.moved.insert(group, (life, now));
    }

    /// A node offers groups because restarts did not help one.
    pub(crate) fn monitors_see_offer(&mut self, host: HostId) {
        self.hosts[host].monitors.offered = Some((self.hosts[host].life, self.now));
    }

    /// A person moves groups: what failed before may fail again.
    pub(crate) fn monitors_see_people(&mut self) {
        let now = self.now;
        for host in &mut self.hosts {
            host.monitors.people = Some(now);
        }
    }

    /// The monitored part of a group that runs dies alone.
    pub(crate) fn service_dies(&mut self, host: HostId, group: GroupId) {
        let Some(part) = self.watched(group).filter(|_| self.plan.has_group(group)) else {
            return;
        };
        let model = &mut self.hosts[host].groups[group];
        if model.idle() && model.whole() {
            model.set(part, false);
            self.note(format_args!("{host} {group}: part {part} dies"));
        }
    }

    /// How the check of a group is wrong from now on. 0: it is right.
    pub(crate) fn check_lies(&mut self, host: HostId, group: GroupId, how: u64) {
        let lies = &mut self.hosts[host].monitors.lies;
        match how {
            1 => drop(lies.insert(group, Lie::Bad)),
            2 => drop(lies.insert(group, Lie::Nothing)),
            3 => drop(lies.insert(group, Lie::Dies)),
            _ => drop(lies.remove(&group)),
        }
    }

    /// Everything is repaired, by people.
    pub(crate) fn services_repaired(&mut self, host: HostId) {
        self.hosts[host].monitors.lies.clear();
        for group in self.plan.group_ids().collect::<Vec<_>>() {
            let Some(part) = self.watched(group) else {
                continue;
            };
            let model = &mut self.hosts[host].groups[group];
            if model.idle() && model.runs() {
                model.set(part, true);
            }
        }
    }

    /// Whether a part of a group may be dead on a node that is settled: it was not for long, its check does not
    /// say so, or restarts do not help it.
    pub(crate) fn may_be_half(&mut self, host: HostId, group: GroupId) -> bool {
        let now = self.now;
        let mine = &mut self.hosts[host].monitors;
        let Some(monitors) = mine.all.get(&group) else {
            return false;
        };
        let standing = monitors.list().first().map(Monitor::standing);
        let lies = mine.lies.contains_key(&group);
        if self.hosts[host].groups[group].whole() || !self.may_check(host, group) {
            self.hosts[host].monitors.dead_since.remove(&group);
            return true;
        }
        let acts = matches!(standing, Some(Standing::Failing | Standing::Good)) && !lies;
        let since = &mut self.hosts[host].monitors.dead_since;
        if !acts {
            since.insert(group, now);
        }
        now < *since.entry(group).or_insert(now) + PATIENCE
    }
}
