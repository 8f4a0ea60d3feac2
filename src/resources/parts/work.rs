//! Group work: several jobs at a time, one order at a time within a job, one order at a time per
//! group.
//!
//! A job is what legacy runs as one helper process: an ordered list of groups to start or stop.
//! Start and stop of one group can never overlap, because an order for a busy group waits; other
//! groups of the job are stopped meanwhile.
//! Spec: docs/protocol/resources.md, 6 (c) and 9.

use std::collections::{BTreeMap, VecDeque};

use crate::protocol::event::{GroupOrder, GroupOutcome, OrderId};
use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;

/// Most hand-overs that may wait at once: requests come from the network.
pub(in crate::resources) const MAX_HAND_OVERS: usize = 256;

/// Why a job runs, and so what follows when it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::resources) enum Purpose {
    /// Own groups are started.
    AcquireLocal,
    /// A dead or leaving node's groups are started (legacy: `mach_down`).
    TakeOver(NodeName),
    /// Groups that nobody runs any more are started.
    Reclaim,
    /// Standby, giving side.
    Give,
    /// Standby, taking side.
    Take,
    /// Everything is stopped, because the node leaves or starts anew.
    ReleaseAll,
    /// Legacy model: one group is stopped for another node.
    HandOver {
        /// Who asked.
        to: NodeName,
        /// Its key.
        key: GroupKey,
    },
    /// Legacy model: one group is started after the answer of another node.
    Granted,
    /// A group that failed to start is tried again.
    Retry,
    /// What runs here and is another node's to run is stopped.
    LeaveToOwner,
    /// Nothing follows any more.
    Cancelled,
}

#[derive(Debug)]
pub(in crate::resources) struct Job {
    purpose: Purpose,
    steps: VecDeque<(GroupKey, GroupOrder)>,
    in_flight: Option<OrderId>,
    /// No further step is begun for now.
    held: bool,
}

impl Job {
    fn is_finished(&self) -> bool {
        self.in_flight.is_none() && self.steps.is_empty()
    }
}

#[derive(Debug, Default)]
pub(in crate::resources) struct GroupState {
    busy: Option<OrderId>,
    runs: bool,
}

/// An order to hand to a group's actor.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::resources) struct Order {
    pub(in crate::resources) id: OrderId,
    pub(in crate::resources) group: GroupKey,
    pub(in crate::resources) what: GroupOrder,
}

/// All group work of the node.
#[derive(Debug)]
pub(in crate::resources) struct Jobs {
    next_order: u64,
    jobs: Vec<Job>,
    groups: BTreeMap<GroupKey, GroupState>,
    /// No further start is begun.
    starts_refused: bool,
}

impl Jobs {
    /// No work yet, nothing running.
    pub(in crate::resources) fn new(groups: impl Iterator<Item = GroupKey>) -> Self {
        Self {
            next_order: 1,
            jobs: Vec::new(),
            groups: groups.map(|key| (key, GroupState::default())).collect(),
            starts_refused: false,
        }
    }

    /// Adds a job. A job without steps is finished at once; one that would start groups when no
    /// start is begun any more is one.
    pub(in crate::resources) fn add(
        &mut self,
        purpose: Purpose,
        groups: impl IntoIterator<Item = GroupKey>,
        what: GroupOrder,
    ) {
        let refused = self.starts_refused && what == GroupOrder::Start;
        let groups = groups.into_iter().filter(|_| !refused);
        let steps = groups.map(|key| (key, what)).collect();
        self.jobs.push(Job {
            purpose,
            steps,
            in_flight: None,
            held: false,
        });
    }

    /// Whether another hand-over may be queued, and this one is not queued yet.
    pub(in crate::resources) fn admits_hand_over(&self, to: &NodeName, key: &GroupKey) -> bool {
        let mut waiting = 0usize;
        for job in &self.jobs {
            if let Purpose::HandOver { to: t, key: k } = &job.purpose {
                if t == to && k == key {
                    return false;
                }
                waiting = waiting.saturating_add(1);
            }
        }
        waiting < MAX_HAND_OVERS
    }

    /// Drops the steps not yet begun of the jobs that `which` names. Of what is in flight the script
    /// that runs goes on, a start begins no other ([`stands`](Self::stands)), and nothing follows it.
    pub(in crate::resources) fn cancel(&mut self, which: impl Fn(&Purpose) -> bool) {
        for job in self.jobs.iter_mut().filter(|job| which(&job.purpose)) {
            job.purpose = Purpose::Cancelled;
            job.steps.clear();
        }
    }

    /// Begins no further step of the jobs that `which` names. `false`: there are none that have
    /// one left.
    pub(in crate::resources) fn hold(&mut self, which: impl Fn(&Purpose) -> bool) -> bool {
        let mut any = false;
        for job in self.jobs.iter_mut().filter(|job| which(&job.purpose)) {
            job.held |= !job.steps.is_empty();
            any |= job.held;
        }
        any
    }

    /// Goes on with what is held.
    pub(in crate::resources) fn go_on(&mut self) {
        for job in &mut self.jobs {
            job.held = false;
        }
    }

    /// Drops the starts of a group that are not yet begun: another node may start it.
    pub(in crate::resources) fn withdraw_starts(&mut self, key: &GroupKey) {
        for job in &mut self.jobs {
            job.steps
                .retain(|(known, what)| known != key || *what != GroupOrder::Start);
        }
    }

    /// Drops the steps not yet begun of the jobs that `which` names: each ends with what is in flight.
    /// `false`: there are none.
    pub(in crate::resources) fn withdraw_steps(
        &mut self,
        which: impl Fn(&Purpose) -> bool,
    ) -> bool {
        let mut any = false;
        for job in self.jobs.iter_mut().filter(|job| which(&job.purpose)) {
            any |= !job.steps.is_empty();
            job.steps.clear();
        }
        any
    }

    /// Begins no start from now on. A job that loses its steps by that is done, and what follows
    /// it follows: others may wait for its word.
    pub(in crate::resources) fn refuse_starts(&mut self) {
        self.starts_refused = true;
        for job in &mut self.jobs {
            job.steps.retain(|(_, what)| *what != GroupOrder::Start);
        }
    }

    /// Whether an order in flight is still wanted.
    pub(in crate::resources) fn stands(&self, order: OrderId) -> bool {
        let mut jobs = self.jobs.iter();
        jobs.any(|job| job.in_flight == Some(order) && job.purpose != Purpose::Cancelled)
    }

    /// Why an order in flight was given.
    pub(in crate::resources) fn purpose_of(&self, order: OrderId) -> Option<&Purpose> {
        let mut jobs = self.jobs.iter();
        jobs.find(|job| job.in_flight == Some(order))
            .map(|job| &job.purpose)
    }

    /// Whether any work is unfinished.
    pub(in crate::resources) fn running(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Whether a job that `which` names is unfinished.
    pub(in crate::resources) fn any(&self, which: impl Fn(&Purpose) -> bool) -> bool {
        self.jobs.iter().any(|job| which(&job.purpose))
    }

    /// Whether the group runs as far as its actor has told, a start in flight included.
    pub(in crate::resources) fn runs(&self, key: &GroupKey) -> bool {
        self.groups
            .get(key)
            .is_some_and(|group| group.runs || group.busy.is_some())
    }

    /// Keys of the groups that run, work in flight and starts to come included.
    pub(in crate::resources) fn taken(&self) -> impl Iterator<Item = &GroupKey> {
        self.groups.keys().filter(|key| self.takes(key))
    }

    /// How many groups run as far as their actors have told, work in flight included.
    pub(in crate::resources) fn groups_running(&self) -> u32 {
        let count = self
            .groups
            .values()
            .filter(|group| group.runs || group.busy.is_some())
            .count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Whether the group runs, a start in flight included, or its start is still to come.
    pub(in crate::resources) fn takes(&self, key: &GroupKey) -> bool {
        let to_start =
            |(known, what): &(GroupKey, GroupOrder)| known == key && *what == GroupOrder::Start;
        self.runs(key) || self.jobs.iter().any(|job| job.steps.iter().any(to_start))
    }

    /// The group runs already.
    pub(in crate::resources) fn note_running(&mut self, key: &GroupKey) {
        if let Some(group) = self.groups.get_mut(key) {
            group.runs = true;
        }
    }

    /// Keys of the groups that run.
    pub(in crate::resources) fn held(&self) -> impl Iterator<Item = &GroupKey> {
        self.groups
            .iter()
            .filter(|(_, group)| group.runs)
            .map(|(key, _)| key)
    }

    /// The next order that can be given now.
    pub(in crate::resources) fn next_order(&mut self) -> Option<Order> {
        for job in &mut self.jobs {
            if job.in_flight.is_some() || job.held {
                continue;
            }
            let busy = |key: &GroupKey| {
                let group = self.groups.get(key);
                group.is_some_and(|group| group.busy.is_some())
            };
            // What is started may need what stands before it. What is stopped need not wait for a
            // script of another group, which can take an hour: another node may run it by now.
            let may =
                |(key, what): &(GroupKey, GroupOrder)| *what == GroupOrder::Stop && !busy(key);
            let front = job.steps.front().is_some_and(|(key, _)| !busy(key));
            let at = if front {
                Some(0)
            } else {
                job.steps.iter().position(may)
            };
            let Some((key, what)) = at.and_then(|at| job.steps.remove(at)) else {
                continue;
            };
            let group = self.groups.entry(key.clone()).or_default();
            let id = OrderId(self.next_order);
            self.next_order = self.next_order.saturating_add(1);
            group.busy = Some(id);
            job.in_flight = Some(id);
            return Some(Order {
                id,
                group: key,
                what,
            });
        }
        None
    }

    /// Takes a finished job off the list.
    pub(in crate::resources) fn next_finished(&mut self) -> Option<Purpose> {
        let at = self.jobs.iter().position(Job::is_finished)?;
        Some(self.jobs.remove(at).purpose)
    }

    /// Whether [`next_finished`](Self::next_finished) has something to give.
    pub(in crate::resources) fn any_finished(&self) -> bool {
        self.jobs.iter().any(Job::is_finished)
    }

    /// Notes the end of an order. `false`: there is no such order, the outcome counts for nothing.
    ///
    /// After a failed stop the job stays unfinished for ever: nothing may follow it.
    pub(in crate::resources) fn done(
        &mut self,
        order: OrderId,
        key: &GroupKey,
        outcome: &GroupOutcome,
    ) -> bool {
        let Some(group) = self.groups.get_mut(key) else {
            return false;
        };
        if group.busy != Some(order) {
            return false;
        }
        group.busy = None;
        match outcome {
            GroupOutcome::Started => group.runs = true,
            GroupOutcome::StartFailed { .. }
            | GroupOutcome::AddressTaken { .. }
            | GroupOutcome::Stopped => group.runs = false,
            GroupOutcome::StopFailed { .. } => {
                group.runs = true;
                return true;
            }
        }
        for job in &mut self.jobs {
            if job.in_flight == Some(order) {
                job.in_flight = None;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
