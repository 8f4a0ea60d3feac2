//! Which groups run, as far as their actors have reported, and the jobs that start and stop them.

use crate::protocol::event::{GroupOrder, GroupOutcome, OrderId};
use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::work::{Order, Purpose};

use super::GroupTable;

impl GroupTable {
    /// Whether the group runs as far as its actor has reported, or a start or stop of it is in
    /// flight.
    pub(in crate::resources) fn runs(&self, key: &GroupKey) -> bool {
        self.rows.get(key).is_some_and(|row| row.runs) || self.work.is_busy_with(key)
    }

    /// Whether the group runs, its start is in flight, or its start is still to come.
    pub(in crate::resources) fn takes(&self, key: &GroupKey) -> bool {
        self.runs(key) || self.work.is_to_start(key)
    }

    /// Whether nothing of the group runs here, and no order for it is in flight or still to come.
    pub(in crate::resources) fn is_done_with(&self, key: &GroupKey) -> bool {
        !self.runs(key) && !self.work.concerns(key)
    }

    /// Whether the group runs, and no order for it is in flight or still to come.
    pub(in crate::resources) fn runs_untouched(&self, key: &GroupKey) -> bool {
        self.rows.get(key).is_some_and(|row| row.runs)
            && !self.work.is_busy_with(key)
            && !self.work.concerns(key)
    }

    /// The groups that run, work in flight and starts to come included, by their keys.
    pub(in crate::resources) fn taken(&self) -> impl Iterator<Item = &GroupKey> {
        self.rows.keys().filter(|key| self.takes(key))
    }

    /// The groups that run by the last report of their actors, by their keys.
    pub(in crate::resources) fn that_run(&self) -> impl Iterator<Item = &GroupKey> {
        let run = self.rows.iter().filter(|(_, row)| row.runs);
        run.map(|(key, _)| key)
    }

    /// The groups that run, those with an order in flight included, in the order of the file.
    pub(in crate::resources) fn that_may_run(&self) -> impl Iterator<Item = &GroupKey> {
        self.order.iter().filter(|key| self.runs(key))
    }

    /// The number of groups that may run.
    pub(in crate::resources) fn number_running(&self) -> u32 {
        u32::try_from(self.that_may_run().count()).unwrap_or(u32::MAX)
    }

    /// The halves of which a group runs here, or may run.
    pub(in crate::resources) fn running_halves(&self) -> HoldingSet {
        let run = self.sides().filter(|(key, _)| self.runs(key));
        run.fold(HoldingSet::NONE, |sum, (_, side)| sum.with(side))
    }

    /// The group runs already.
    pub(in crate::resources) fn note_running(&mut self, key: &GroupKey) {
        if let Some(row) = self.rows.get_mut(key) {
            row.runs = true;
        }
    }

    /// Begins a job, see [`Work::begin`](crate::resources::parts::work::Work::begin).
    pub(in crate::resources) fn begin(
        &mut self,
        purpose: Purpose,
        groups: impl IntoIterator<Item = GroupKey>,
        what: GroupOrder,
    ) {
        self.work.begin(purpose, groups, what);
    }

    /// Whether any work is unfinished.
    pub(in crate::resources) fn at_work(&self) -> bool {
        self.work.has_job(|_| true)
    }

    /// Whether a job that `which` names is unfinished.
    pub(in crate::resources) fn has_job(&self, which: impl Fn(&Purpose) -> bool) -> bool {
        self.work.has_job(which)
    }

    /// Whether another hand-over may be queued, and this one is not queued yet.
    pub(in crate::resources) fn admits_hand_over(&self, to: &NodeName, key: &GroupKey) -> bool {
        self.work.admits_hand_over(to, key)
    }

    /// Drops the jobs that `which` names, see [`Work::cancel`](crate::resources::parts::work::Work::cancel).
    pub(in crate::resources) fn cancel(&mut self, which: impl Fn(&Purpose) -> bool) {
        self.work.cancel(which);
    }

    /// Begins no further step of the jobs that `which` names. `false`: none of them has a step
    /// left.
    pub(in crate::resources) fn hold(&mut self, which: impl Fn(&Purpose) -> bool) -> bool {
        self.work.hold(which)
    }

    /// Goes on with what is held.
    pub(in crate::resources) fn go_on(&mut self) {
        self.work.go_on();
    }

    /// Drops the starts of a group that are not yet begun: another node may start it.
    pub(in crate::resources) fn withdraw_starts(&mut self, key: &GroupKey) {
        self.work.withdraw_starts(key);
    }

    /// A group that is tried again and to be started for another reason is started once, for that reason.
    pub(in crate::resources) fn start_once(&mut self) {
        self.work.start_once();
    }

    /// Drops the steps not yet begun of the jobs that `which` names: each job ends with its step in
    /// flight. `false`: there are none.
    pub(in crate::resources) fn withdraw_steps(
        &mut self,
        which: impl Fn(&Purpose) -> bool,
    ) -> bool {
        self.work.withdraw_steps(which)
    }

    /// Jobs that begin from now on wait with their starts: a dead node is not fenced yet.
    pub(in crate::resources) const fn starts_wait(&mut self) {
        self.work.starts_wait();
    }

    /// What is held waits for the same, and not for a report any more.
    pub(in crate::resources) fn held_starts_wait(&mut self) {
        self.work.held_starts_wait();
    }

    /// They wait no longer.
    pub(in crate::resources) fn starts_go_on(&mut self) {
        self.work.starts_go_on();
    }

    /// Begins no start from now on.
    pub(in crate::resources) fn refuse_starts(&mut self) {
        self.work.refuse_starts();
    }

    /// Whether an order in flight is still wanted.
    pub(in crate::resources) fn stands(&self, order: OrderId) -> bool {
        let purpose = self.work.purpose_of(order);
        purpose.is_some_and(|purpose| *purpose != Purpose::Cancelled)
    }

    /// Why an order in flight was given.
    pub(in crate::resources) fn purpose_of(&self, order: OrderId) -> Option<&Purpose> {
        self.work.purpose_of(order)
    }

    /// The next order that can be given now.
    pub(in crate::resources) fn next_order(&mut self) -> Option<Order> {
        self.work.next_order()
    }

    /// Takes a finished job off the list.
    pub(in crate::resources) fn next_finished(&mut self) -> Option<Purpose> {
        self.work.next_finished()
    }

    /// Whether [`next_finished`](Self::next_finished) has something to give.
    pub(in crate::resources) fn any_finished(&self) -> bool {
        self.work.any_finished()
    }

    /// An order has ended. `false`: there is no such order, and the outcome is ignored.
    pub(in crate::resources) fn ended(
        &mut self,
        order: OrderId,
        key: &GroupKey,
        outcome: &GroupOutcome,
    ) -> bool {
        let runs = match outcome {
            GroupOutcome::Started | GroupOutcome::StopFailed { .. } => true,
            GroupOutcome::StartFailed { .. }
            | GroupOutcome::AddressTaken { .. }
            | GroupOutcome::Stopped => false,
        };
        let stuck = matches!(outcome, GroupOutcome::StopFailed { .. });
        let known = self.work.ended(order, key, stuck);
        if let Some(row) = self.rows.get_mut(key).filter(|_| known) {
            row.runs = runs;
        }
        known
    }
}
