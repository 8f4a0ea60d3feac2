//! How an order for a group is carried out: its parts are started from the first to the last and stopped
//! from the last to the first. A part is one resource, or all of them where the plan has no steps.
//!
//! | Where an order is | What comes | Then |
//! |---|---|---|
//! | a start | a part that is not up | the core is asked, its script runs |
//! | a start | the script fails, or the order does not stand any more | what is up is stopped, then this is reported |
//! | a stop | a script ends | the next part; a part that cannot be stopped is reported at once |
//! | either | the daemon dies | the script in hand comes to its end, nothing follows it |

use std::collections::VecDeque;

use crate::protocol::event::{Event, GroupOrder, GroupOutcome};

use super::chance::{Chance, Place, within};
use super::ids::{GroupId, HostId, Key};
use super::queue::{Happening, Ordered};
use super::world::World;

/// The state of a group's actor.
#[derive(Debug, Default)]
pub struct GroupModel {
    /// The parts that run, in the order of their starts.
    pub up: Vec<bool>,
    /// Its service addresses are there.
    pub address: bool,
    /// The addresses stay away until the next order to start, or until they are restored.
    pub(crate) bare: bool,
    busy: Option<Ordered>,
    /// A script of it runs: before a start the core is asked.
    begun: bool,
    /// Another machine had its address when the present part was begun.
    taken: bool,
    /// The part in hand.
    at: usize,
    /// What is reported when everything is stopped; `None`: the group is being started.
    ends_as: Option<GroupOutcome>,
    /// The part whose script fails in this order, if one does.
    weak: usize,
    /// The script in hand belongs to a daemon that has died.
    orphan: bool,
    waiting: VecDeque<Ordered>,
    /// The last order that was carried out, and its outcome.
    told: Option<(Ordered, GroupOutcome)>,
}

impl GroupModel {
    pub(crate) fn of(parts: usize) -> Self {
        Self {
            up: vec![false; parts],
            ..Self::default()
        }
    }

    /// Power is lost.
    pub(crate) fn clear(&mut self) {
        *self = Self::of(self.up.len());
    }

    /// Whether one part runs.
    pub(crate) fn is_up(&self, part: usize) -> bool {
        self.up.get(part) == Some(&true)
    }

    pub(crate) fn set(&mut self, part: usize, up: bool) {
        if let Some(was) = self.up.get_mut(part) {
            *was = up;
        }
    }

    /// A part of it runs.
    pub fn runs(&self) -> bool {
        self.up.contains(&true)
    }

    /// All of it runs.
    pub fn whole(&self) -> bool {
        !self.up.contains(&false)
    }

    /// No order is in hand and none waits.
    pub(crate) fn idle(&self) -> bool {
        self.busy.is_none() && self.waiting.is_empty()
    }

    /// The process has died: the script in hand goes on, nothing follows it. A start for which the
    /// core was still being asked ends with the process.
    pub(crate) fn lose_actor(&mut self) {
        self.waiting.clear();
        self.bare = false;
        if !self.begun {
            self.busy = None;
        }
        self.orphan = self.busy.is_some();
    }

    /// Whether this order waits for the answer about its start.
    pub(crate) fn asks(&self, ordered: &Ordered) -> bool {
        !self.begun && self.busy.as_ref() == Some(ordered)
    }

    /// Whether a stop script of it runs, also one of a process before.
    pub(crate) fn is_being_stopped(&self) -> bool {
        matches!(self.in_hand(), Some((GroupOrder::Stop, ..)))
    }

    fn in_hand(&self) -> Option<(GroupOrder, usize, bool)> {
        let ordered = self.busy.as_ref()?;
        Some((ordered.what, self.at, self.orphan))
    }
}

impl World {
    pub(crate) fn order_comes(&mut self, host: HostId, mut ordered: Ordered) {
        if self.hosts[host].life.process != ordered.life.process {
            return;
        }
        ordered.careful = self.asks_first(host, &ordered);
        let model = &mut self.hosts[host].groups[ordered.group];
        // Received again: the order is known, or its outcome is.
        let mut known = model.busy.iter().chain(&model.waiting);
        if known.any(|known| known.is(&ordered)) {
            return;
        }
        if let Some((_, outcome)) = model.told.clone().filter(|(told, _)| told.is(&ordered)) {
            return self.report(host, ordered, outcome);
        }
        model.waiting.push_back(ordered);
        self.next_order(host, ordered.group);
    }

    /// Microseconds that a script takes.
    fn duration(&mut self, host: HostId, group: GroupId) -> u64 {
        if let Some(ms) = self.hosts[host].slow.remove(&group) {
            return ms * 1_000;
        }
        if let Some(scripted) = &self.scripted {
            return scripted.script_time(group);
        }
        let drawn = self
            .noise
            .draw(Chance::Slow, Place::group(host, group), self.now);
        let slow = drawn.is_multiple_of(10);
        let longest = if slow && !self.calm {
            self.plan.slow_script_ms
        } else {
            self.plan.script_ms
        };
        let drawn = self
            .noise
            .draw(Chance::Script, Place::group(host, group), self.now);
        let scripts = self.plan.resources(group) / self.plan.parts(group).max(1);
        within(drawn, 1_000..longest * 1_000 + 1) * scripts as u64
    }

    pub(crate) fn next_order(&mut self, host: HostId, group: GroupId) {
        // A suspended daemon begins nothing; the thaw continues here.
        let stands = self.hosts[host].frozen_until.is_some();
        let parts = self.plan.parts(group);
        let model = &mut self.hosts[host].groups[group];
        if stands || model.busy.is_some() {
            return;
        }
        let Some(ordered) = model.waiting.pop_front() else {
            return;
        };
        model.busy = Some(ordered);
        model.begun = false;
        let runs = model.runs();
        if ordered.what == GroupOrder::Stop || !runs {
            let now = self.now;
            self.observer.script(now, host, group, ordered.what);
        }
        let drawn = self
            .noise
            .draw(Chance::Part, Place::group(host, group), self.now);
        let model = &mut self.hosts[host].groups[group];
        model.weak = within(drawn, 0..parts as u64) as usize;
        match ordered.what {
            GroupOrder::Start => {
                model.ends_as = None;
                if ordered.careful {
                    return self.ask_network(host, ordered, 0, false);
                }
                self.next_start(host, group);
            }
            GroupOrder::Restart => {
                model.ends_as = None;
                self.stop_right_of_dead(host, group);
                self.next_start(host, group);
            }
            GroupOrder::Stop => {
                model.ends_as = Some(GroupOutcome::Stopped);
                self.next_stop(host, group);
            }
        }
    }

    /// What stands right of the first part that is dead is stopped, in no time.
    fn stop_right_of_dead(&mut self, host: HostId, group: GroupId) {
        let address = self.plan.address_part(group);
        let model = &mut self.hosts[host].groups[group];
        let Some(dead) = model.up.iter().position(|up| !up) else {
            return;
        };
        for part in dead..model.up.len() {
            model.set(part, false);
        }
        if address > dead {
            self.address(host, group, false);
        }
    }

    /// The next part that is not up; the core is asked first. If all are up, the order is done.
    pub(crate) fn next_start(&mut self, host: HostId, group: GroupId) {
        let model = &mut self.hosts[host].groups[group];
        let Some(ordered) = model.busy else { return };
        let Some(at) = model.up.iter().position(|up| !up) else {
            model.at = 0;
            return self.begin_script(host, group);
        };
        model.at = at;
        if self.calm {
            let stands = self.start_stands(host, ordered);
            return self.begin_start(host, group, stands);
        }
        let when = self.now + self.internal_delay(host);
        self.at(when, Happening::MayStart { host, group });
    }

    /// Whether an order that has begun no script must still be carried out.
    pub(crate) fn waits_to_begin(&self, host: HostId, machine: u32, ordered: &Ordered) -> bool {
        let h = &self.hosts[host];
        h.machine == machine
            && h.life.process == ordered.life.process
            && h.groups[ordered.group].asks(ordered)
    }

    /// The question reached the core: the answer goes back.
    pub(crate) fn may_start(&mut self, host: HostId, group: GroupId) {
        let Some(ordered) = self.hosts[host].groups[group].busy else {
            return;
        };
        let stands = self.start_stands(host, ordered);
        let machine = self.hosts[host].machine;
        let when = self.now + self.internal_delay(host);
        self.at(
            when,
            Happening::Begin {
                host,
                machine,
                ordered,
                stands,
            },
        );
    }

    /// The answer arrived.
    pub(crate) fn begin_start(&mut self, host: HostId, group: GroupId, stands: bool) {
        if !stands {
            self.note(format_args!("{host} {group}: start withdrawn"));
            return self.undo(host, group, GroupOutcome::Stopped);
        }
        if !self.hosts[host].groups[group].runs() {
            let overlaps = self.judge.overlaps;
            self.judge.begins(host, group, self.now);
            if self.judge.overlaps > overlaps {
                self.observer.overlap(self.now, group);
            }
        }
        self.begin_script(host, group);
    }

    /// An address is up at once when its turn comes. A start restores it if it is gone.
    fn address_comes(&mut self, host: HostId, group: GroupId) {
        let part = self.plan.address_part(group);
        let h = &mut self.hosts[host];
        let model = &mut h.groups[group];
        model.taken = h.taken.contains(&group) && !model.runs();
        let starts = model.ends_as.is_none() && !model.orphan;
        if starts && !model.bare && !model.taken && (model.is_up(part) || model.at == part) {
            self.address(host, group, true);
        }
    }

    fn begin_script(&mut self, host: HostId, group: GroupId) {
        self.hosts[host].groups[group].begun = true;
        self.address_comes(host, group);
        let took = self.duration(host, group);
        let machine = self.hosts[host].machine;
        self.at(
            self.now + took,
            Happening::ScriptEnd {
                host,
                machine,
                group,
            },
        );
    }

    /// Asks the core before a script of a start begins, as the groups' actors do.
    fn start_stands(&mut self, host: HostId, ordered: Ordered) -> bool {
        self.feed(host, Event::Tick);
        let h = &self.hosts[host];
        // Another core does not know the number.
        let order = (h.life == ordered.life).then_some(ordered.order);
        h.node.as_ref().is_some_and(|node| node.start_stands(order))
    }

    /// A start fails: the parts that are up are stopped.
    pub(crate) fn undo(&mut self, host: HostId, group: GroupId, outcome: GroupOutcome) {
        let address = self.plan.address_part(group);
        if !self.hosts[host].groups[group].is_up(address) {
            self.address(host, group, false);
        }
        let model = &mut self.hosts[host].groups[group];
        if !model.runs() {
            return self.finish(host, group, Some(outcome));
        }
        model.ends_as = Some(outcome);
        self.next_stop(host, group);
    }

    /// The last part that is up.
    fn next_stop(&mut self, host: HostId, group: GroupId) {
        let model = &mut self.hosts[host].groups[group];
        model.at = model.up.iter().rposition(|up| *up).unwrap_or(0);
        self.begin_script(host, group);
    }

    /// The order is carried out. Without an outcome it was reported already.
    fn finish(&mut self, host: HostId, group: GroupId, outcome: Option<GroupOutcome>) {
        let model = &mut self.hosts[host].groups[group];
        let Some(ordered) = model.busy.take() else {
            return;
        };
        model.ends_as = None;
        if !model.runs() {
            self.judge.ends(host, group, self.now);
        }
        if let Some(outcome) = outcome {
            self.report(host, ordered, outcome);
        }
        self.next_order(host, group);
    }

    fn report(&mut self, host: HostId, ordered: Ordered, outcome: GroupOutcome) {
        self.note(format_args!("{host} {}: {outcome:?}", ordered.group));
        self.hosts[host].groups[ordered.group].told = Some((ordered, outcome.clone()));
        self.monitors_hear(host, ordered, &outcome);
        let when = self.now + self.internal_delay(host);
        self.at(
            when,
            Happening::Done {
                host,
                ordered,
                outcome,
            },
        );
    }

    pub(crate) fn script_end(&mut self, host: HostId, group: GroupId) {
        let model = &self.hosts[host].groups[group];
        let Some((what, at, orphan)) = model.in_hand() else {
            return;
        };
        let starts = what.starts() && model.ends_as.is_none();
        let done = if starts {
            self.start_script_ends(host, group, at)
        } else {
            self.stop_script_ends(host, group, at, orphan)
        };
        let model = &mut self.hosts[host].groups[group];
        let runs = model.runs();
        self.stamp(group.number() as u64 * 2 + u64::from(runs));
        let model = &mut self.hosts[host].groups[group];
        if std::mem::take(&mut model.orphan) {
            let address = model.is_up(self.plan.address_part(group));
            let up = model.up.clone();
            if !address {
                self.address(host, group, false);
            }
            self.note(format_args!(
                "{host} {group}: a script of a dead daemon has ended, up {up:?}"
            ));
            return self.finish(host, group, None);
        }
        match done {
            Ok(None) => self.next_step(host, group),
            Ok(Some(outcome)) => self.finish(host, group, outcome),
            Err(outcome) => self.undo(host, group, outcome),
        }
    }

    /// `Ok(None)`: there is more to start.
    fn start_script_ends(
        &mut self,
        host: HostId,
        group: GroupId,
        at: usize,
    ) -> Result<Option<Option<GroupOutcome>>, GroupOutcome> {
        let h = &mut self.hosts[host];
        let broken = h.broken.contains(&group);
        let model = &mut h.groups[group];
        let resource = self.plan.group_key(group).to_string();
        if !model.whole() {
            if model.taken {
                let claim = resource;
                return Err(GroupOutcome::AddressTaken { claim });
            }
            let restarts = model.busy.is_some_and(|it| it.what == GroupOrder::Restart);
            if broken && at == model.weak && restarts {
                // The group is held as before, without what did not start.
                if at == self.plan.address_part(group) {
                    self.address(host, group, false);
                }
                return Ok(Some(Some(GroupOutcome::Started)));
            }
            if broken && at == model.weak {
                return Err(GroupOutcome::StartFailed { resource, code: 1 });
            }
            model.set(at, true);
        }
        let whole = self.hosts[host].groups[group].whole();
        Ok(whole.then_some(Some(GroupOutcome::Started)))
    }

    /// As [`start_script_ends`](Self::start_script_ends); nothing comes to nothing.
    fn stop_script_ends(
        &mut self,
        host: HostId,
        group: GroupId,
        at: usize,
        orphan: bool,
    ) -> Result<Option<Option<GroupOutcome>>, GroupOutcome> {
        let resources = self.plan.resources(group);
        let h = &mut self.hosts[host];
        let unstoppable = h.unstoppable.contains(&group);
        let model = &mut h.groups[group];
        // If all resources are one part, a dead daemon's stop ends after the first of them.
        let half_done = orphan && resources > 1 && model.up.len() == 1;
        if half_done && model.runs() {
            return Ok(None);
        }
        if unstoppable && model.is_up(at) && at == model.weak {
            let resource = self.plan.group_key(group).to_string();
            let outcome = GroupOutcome::StopFailed { resource };
            if orphan {
                return Ok(None);
            }
            // The others are stopped after it; the machine is rebooted long before that is done.
            return Ok(Some(Some(outcome)));
        }
        model.set(at, false);
        if at == self.plan.address_part(group) {
            self.address(host, group, false);
        }
        let model = &mut self.hosts[host].groups[group];
        let ends_as = model.ends_as.take_if(|_| !model.up.contains(&true));
        Ok(ends_as.map(Some))
    }

    /// The script of the next part, as soon as the daemon runs.
    fn next_step(&mut self, host: HostId, group: GroupId) {
        let model = &mut self.hosts[host].groups[group];
        model.begun = false;
        let Some(ordered) = model.busy else { return };
        self.at(self.now, Happening::Step { host, ordered });
    }

    /// The daemon runs: the next part.
    pub(crate) fn step(&mut self, host: HostId, ordered: Ordered) {
        let model = &self.hosts[host].groups[ordered.group];
        if !model.asks(&ordered) {
            return;
        }
        if model.ends_as.is_some() {
            self.next_stop(host, ordered.group);
        } else {
            self.next_start(host, ordered.group);
        }
    }
}
