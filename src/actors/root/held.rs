//! What this node holds, in the file for a successor. Written before a group is ordered to start
//! and after it has stopped, so that a group that may run is always named. The file is in memory
//! (`/run`) and root's thread writes it: the heartbeat path never waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::actors::messages::{GroupCommand, GroupDone};
use crate::node::resume::{Duty, Resume};
use crate::process::handover::{Called, NodeState, StateFile};
use crate::protocol::event::{GroupOrder, GroupOutcome, OrderId};
use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::protocol::name::NodeName;
use crate::resources::holding::HoldingSet;
use crate::resources::owners::Whose;

/// The file, and the orders that were handed on.
#[derive(Debug)]
pub(super) struct HeldFile {
    file: StateFile,
    /// The duty that root received last, so that nothing is written that is known.
    duty: Duty,
    /// Orders in hand, and their groups: a successor has to find out their results.
    in_hand: BTreeMap<OrderId, GroupKey>,
    /// Groups that a predecessor left unfinished and that have had no order since.
    left_unfinished: BTreeSet<GroupKey>,
    /// Groups whose addresses were removed and that have had no order since: a successor has to put
    /// the addresses back, or to stop the group.
    bare: BTreeSet<GroupKey>,
}

impl HeldFile {
    /// Writes the file for a node that begins, or goes on with `resume`.
    pub(super) fn new(
        path: Option<PathBuf>,
        called: Called,
        local: &NodeName,
        groups: &[ResourceGroup],
        resume: Option<&Resume>,
    ) -> Self {
        let state = NodeState::begin(called, local, groups, resume);
        Self {
            left_unfinished: state.unfinished().cloned().collect(),
            file: StateFile::begin(path, state),
            duty: resume.map(Duty::from).unwrap_or_default(),
            in_hand: BTreeMap::new(),
            bare: BTreeSet::new(),
        }
    }

    /// Call before the order is handed on.
    pub(super) fn ordered(&mut self, command: &GroupCommand) {
        let GroupCommand {
            order, group, what, ..
        } = command;
        self.left_unfinished.remove(group);
        self.bare.remove(group);
        self.in_hand.insert(*order, group.clone());
        let starts = *what == GroupOrder::Start;
        self.write(|state| {
            let noted = state.group(group);
            noted.may_run |= starts;
            noted.whose = match noted.whose {
                Some(Whose::Left) => Some(Whose::Other),
                Some(Whose::Came) if starts => Some(Whose::Own),
                as_it_is => as_it_is,
            };
        });
    }

    /// Call before the outcome is handed on.
    pub(super) fn done(&mut self, done: &GroupDone) {
        self.in_hand.remove(&done.order);
        let may_run = match done.outcome {
            GroupOutcome::Started | GroupOutcome::StopFailed { .. } => true,
            GroupOutcome::Stopped
            | GroupOutcome::StartFailed { .. }
            | GroupOutcome::AddressTaken { .. } => false,
        };
        self.write(|state| state.group(&done.group).may_run = may_run);
    }

    /// Call before addresses are removed, or put back, beside the orders.
    pub(super) fn addresses(&mut self, groups: &[GroupKey], withdraw: bool) {
        if withdraw {
            self.bare.extend(groups.iter().cloned());
        } else {
            self.bare.retain(|key| !groups.contains(key));
        }
        self.write(|_| {});
    }

    /// Records what the node now reports about itself.
    pub(super) fn duty(&mut self, duty: Duty) {
        if self.duty != duty {
            self.duty = duty.clone();
            self.write(|state| state.set_duty(duty));
        }
    }

    /// Everything is settled, and the process is about to replace itself: what membership reports
    /// about the groups counts.
    pub(super) fn settled(
        &mut self,
        duty: &Duty,
        left: &BTreeSet<GroupKey>,
        came: &BTreeSet<GroupKey>,
    ) {
        self.duty = duty.clone();
        self.write(|state| {
            state.set_duty(duty.clone());
            state.set_moved(left, came);
            state.replaces_itself = Some(std::process::id());
        });
    }

    /// Another node runs everything by now: a successor holds nothing and stops what may still run.
    pub(super) fn give_all_up(&mut self) {
        self.duty.holding = HoldingSet::NONE;
        self.duty.standby = None;
        self.duty.releases = true;
        self.all_are_unfinished();
    }

    /// A successor has to find out for every group that may run whether it does.
    pub(super) fn all_are_unfinished(&mut self) {
        self.left_unfinished
            .extend(self.file.state().may_run().cloned());
        let duty = self.duty.clone();
        self.write(|state| state.set_duty(duty));
    }

    /// Writes what could not be written before.
    pub(super) fn try_again(&mut self) {
        self.file.try_again();
    }

    /// What is held by duty.
    pub(super) const fn holding(&self) -> HoldingSet {
        self.duty.holding
    }

    /// The words with which the process replaces itself.
    pub(super) fn successor_words(&self) -> Vec<String> {
        self.file.successor_words()
    }

    /// Applies `change` to the state and writes it.
    fn write(&mut self, change: impl FnOnce(&mut NodeState)) {
        let (in_hand, left_unfinished, bare) = (&self.in_hand, &self.left_unfinished, &self.bare);
        self.file.change(|state| {
            state.replaces_itself = Some(0);
            change(state);
            let runs = |key: &&GroupKey| state.groups.get(*key).is_some_and(|group| group.may_run);
            let bare = bare.iter().filter(runs);
            let unfinished = in_hand
                .values()
                .chain(left_unfinished)
                .chain(bare)
                .collect();
            state.set_unfinished(&unfinished);
        });
    }
}

#[cfg(test)]
mod tests;
