//! Group work: several jobs at a time, one order at a time within a job, one order at a time per
//! group.
//!
//! A job is what legacy runs as one helper process: an ordered list of groups to start or stop.
//! Start and stop of one group can never overlap, because an order for a busy group waits; other
//! groups of the job are stopped meanwhile.
//! Spec: docs/protocol/resources.md, 6 (c) and 9.

use std::collections::VecDeque;

use crate::protocol::event::{GroupOrder, OrderId};
use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;

/// Most hand-overs that may wait at once: requests come from the network.
pub(in crate::resources) const MAX_HAND_OVERS: usize = 256;

/// Why a job runs, and so what follows when it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::resources) enum Purpose {
    /// Own groups are started.
    AcquireLocal,
    /// Groups of a dead or leaving node are started (legacy: `mach_down`).
    TakeOver(NodeName),
    /// Groups that no node runs any more are started.
    Reclaim,
    /// Standby, giving side.
    Give,
    /// Standby, taking side.
    Take,
    /// Everything is stopped, because the node leaves or starts anew.
    ReleaseAll,
    /// Legacy model: one group is stopped for another node.
    HandOver {
        /// The node that asked.
        to: NodeName,
        /// Its key.
        key: GroupKey,
    },
    /// Legacy model: one group is started after the answer of another node.
    Granted,
    /// A group that failed to start is tried again.
    Retry,
    /// Groups that run here and belong to another node are stopped.
    LeaveToOwner,
    /// A resource that its monitor found failed is started again, with what stands right of it.
    Restart,
    /// A group of which restarts did not help a resource is stopped, and stays down.
    StopFailed,
    /// Nothing follows any more.
    Cancelled,
}

#[derive(Debug)]
struct Job {
    purpose: Purpose,
    steps: VecDeque<(GroupKey, GroupOrder)>,
    in_flight: Option<(OrderId, GroupKey)>,
    /// No further step is begun for now.
    held: bool,
    /// It began while a dead node was not fenced: it starts nothing for now.
    waits: bool,
    /// A stop has failed: the job stays unfinished for ever, and nothing may follow it.
    stuck: bool,
}

impl Job {
    fn is_finished(&self) -> bool {
        self.in_flight.is_none() && self.steps.is_empty() && !self.stuck
    }

    fn gave(&self, order: OrderId) -> bool {
        matches!(self.in_flight, Some((known, _)) if known == order)
    }

    fn is_busy_with(&self, key: &GroupKey) -> bool {
        matches!(&self.in_flight, Some((_, known)) if known == key)
    }
}

/// An order to hand to a group's actor.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::resources) struct Order {
    pub(in crate::resources) id: OrderId,
    pub(in crate::resources) group: GroupKey,
    pub(in crate::resources) what: GroupOrder,
}

/// All group work of the node. It knows groups by their keys only.
#[derive(Debug)]
pub(in crate::resources) struct Work {
    next_order: u64,
    jobs: Vec<Job>,
    /// No further start is begun.
    starts_refused: bool,
    /// A dead node is not fenced yet: jobs that begin now wait with their starts.
    starts_wait: bool,
}

impl Work {
    /// No work yet.
    pub(in crate::resources) const fn new() -> Self {
        Self {
            next_order: 1,
            jobs: Vec::new(),
            starts_refused: false,
            starts_wait: false,
        }
    }

    /// Begins a job. A job without steps is finished at once; so is one that would only start
    /// groups while starts are refused.
    pub(in crate::resources) fn begin(
        &mut self,
        purpose: Purpose,
        groups: impl IntoIterator<Item = GroupKey>,
        what: GroupOrder,
    ) {
        let refused = self.starts_refused && what.starts();
        let groups = groups.into_iter().filter(|_| !refused);
        let steps = groups.map(|key| (key, what)).collect();
        self.jobs.push(Job {
            purpose,
            steps,
            in_flight: None,
            held: false,
            waits: self.starts_wait && what.starts(),
            stuck: false,
        });
    }

    /// Jobs that begin from now on wait with their starts.
    pub(in crate::resources) const fn starts_wait(&mut self) {
        self.starts_wait = true;
    }

    /// So do the held ones.
    pub(in crate::resources) fn held_starts_wait(&mut self) {
        for job in self.jobs.iter_mut().filter(|job| job.held) {
            job.waits |= job.steps.iter().any(|(_, what)| what.starts());
        }
    }

    /// They wait no longer.
    pub(in crate::resources) fn starts_go_on(&mut self) {
        self.starts_wait = false;
        for job in &mut self.jobs {
            job.waits = false;
        }
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

    /// Drops the steps not yet begun of the jobs that `which` names. A script in flight runs to its
    /// end, but a start begins no further script (`GroupTable::stands`), and nothing follows the
    /// step in flight.
    pub(in crate::resources) fn cancel(&mut self, which: impl Fn(&Purpose) -> bool) {
        for job in self.jobs.iter_mut().filter(|job| which(&job.purpose)) {
            job.purpose = Purpose::Cancelled;
            job.steps.clear();
        }
    }

    /// Begins no further step of the jobs that `which` names. `false`: none of them has a step
    /// left.
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
                .retain(|(known, what)| known != key || !what.starts());
        }
    }

    /// Drops each retry not yet begun of a group that another job is to start as well.
    pub(in crate::resources) fn start_once(&mut self) {
        let others = self.jobs.iter();
        let others = others.filter(|job| job.purpose != Purpose::Retry);
        let steps = others.flat_map(|job| &job.steps);
        let starts = steps.filter(|(_, what)| what.starts());
        let to_start: Vec<GroupKey> = starts.map(|(key, _)| key.clone()).collect();
        let retries = self.jobs.iter_mut();
        for job in retries.filter(|job| job.purpose == Purpose::Retry) {
            job.steps.retain(|(key, _)| !to_start.contains(key));
        }
    }

    /// Drops the steps not yet begun of the jobs that `which` names: each job ends with its step in
    /// flight. `false`: there are none.
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

    /// Begins no start from now on. A job that loses its steps by that is done, and its follow-up
    /// happens: others may wait for its message.
    pub(in crate::resources) fn refuse_starts(&mut self) {
        self.starts_refused = true;
        for job in &mut self.jobs {
            job.steps.retain(|(_, what)| !what.starts());
        }
    }

    /// Why an order in flight was given.
    pub(in crate::resources) fn purpose_of(&self, order: OrderId) -> Option<&Purpose> {
        let job = self.jobs.iter().find(|job| job.gave(order));
        job.map(|job| &job.purpose)
    }

    /// Whether a job that `which` names is unfinished.
    pub(in crate::resources) fn has_job(&self, which: impl Fn(&Purpose) -> bool) -> bool {
        self.jobs.iter().any(|job| which(&job.purpose))
    }

    /// Whether an order for the group is in flight.
    pub(in crate::resources) fn is_busy_with(&self, key: &GroupKey) -> bool {
        self.jobs.iter().any(|job| job.is_busy_with(key))
    }

    /// Whether an order for the group is in flight or still to come.
    pub(in crate::resources) fn concerns(&self, key: &GroupKey) -> bool {
        let waits = |job: &Job| job.steps.iter().any(|(known, _)| known == key);
        self.jobs
            .iter()
            .any(|job| job.is_busy_with(key) || waits(job))
    }

    /// Whether the start of the group is still to come.
    pub(in crate::resources) fn is_to_start(&self, key: &GroupKey) -> bool {
        let start = |(known, what): &(GroupKey, GroupOrder)| known == key && what.starts();
        self.jobs.iter().any(|job| job.steps.iter().any(start))
    }

    /// The next order that can be given now.
    pub(in crate::resources) fn next_order(&mut self) -> Option<Order> {
        let in_flight = self.jobs.iter().filter_map(|job| job.in_flight.as_ref());
        let in_flight: Vec<GroupKey> = in_flight.map(|(_, key)| key.clone()).collect();
        let busy = |key: &GroupKey| in_flight.contains(key);
        for job in &mut self.jobs {
            if job.in_flight.is_some() || job.held || job.waits || job.stuck {
                continue;
            }
            // A start may need the group before it. A stop must not wait for a script of another
            // group, which can take an hour: another node may run the group by now.
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
            let id = OrderId(self.next_order);
            self.next_order = self.next_order.saturating_add(1);
            job.in_flight = Some((id, key.clone()));
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

    /// An order has ended. `stuck`: it was a stop, and has failed. `false`: there is no such order.
    pub(in crate::resources) fn ended(
        &mut self,
        order: OrderId,
        key: &GroupKey,
        stuck: bool,
    ) -> bool {
        let gave = |job: &&mut Job| job.gave(order) && job.is_busy_with(key);
        let Some(job) = self.jobs.iter_mut().find(gave) else {
            return false;
        };
        job.in_flight = None;
        job.stuck = stuck;
        true
    }
}
