//! What this node holds, in the file for a successor. Written before a group is ordered to start
//! and after it has stopped, so that a group that may run is always named. The file is in memory
//! (`/run`) and the main thread writes it: the heartbeat path never waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::actors::messages::{GroupCommand, GroupDone};
use crate::actors::shared::SharedLedger;
use crate::node::ledger::{Ledger, Order};
use crate::node::resume::{Duty, Resume};
use crate::process::handover::{Called, NodeState, StateFile};
use crate::protocol::event::GroupOrder;
use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::protocol::name::NodeName;
use crate::resources::holding::HoldingSet;
use crate::resources::owners::Whose;

/// The file, and the ledger of orders: what may run and what is unfinished is what the ledger says.
#[derive(Debug)]
pub struct HeldFile {
    file: StateFile,
    /// The duty that was received last, so that nothing is written that is known.
    duty: Duty,
    ledger: SharedLedger,
}

impl HeldFile {
    /// Writes the file for a node that begins, or goes on with `resume`.
    pub fn new(
        path: Option<PathBuf>,
        called: Called,
        local: &NodeName,
        groups: &[ResourceGroup],
        resume: Option<&Resume>,
    ) -> Self {
        let state = NodeState::begin(called, local, groups, resume);
        let ledger = resume.map(|it| Ledger::going_on(&it.running, &it.unfinished));
        Self {
            file: StateFile::begin(path, state),
            duty: resume.map(Duty::from).unwrap_or_default(),
            ledger: SharedLedger::new(ledger.unwrap_or_default()),
        }
    }

    /// The ledger of orders.
    pub fn ledger(&self) -> SharedLedger {
        self.ledger.clone()
    }

    /// The device that this process arms: a successor that does not use it has to stop it.
    pub fn watchdog(&mut self, device: Option<&Path>) {
        if self.file.state().watchdog.as_deref() != device {
            self.write(|state| state.watchdog = device.map(Path::to_owned));
        }
    }

    /// Call before the order is handed on.
    pub fn ordered(&mut self, command: &GroupCommand) -> Order {
        let (group, given) = (&command.group, command.given());
        let order = self
            .ledger
            .with(|ledger| ledger.ordered(group, command.order, given));
        if order != Order::New {
            return order;
        }
        let starts = given.what.starts();
        self.write(|state| {
            if given.what != GroupOrder::Restart {
                // Only what is good since the next start counts then.
                state.proven.remove(group.as_str());
            }
            let noted = state.group(group);
            noted.whose = match noted.whose {
                Some(Whose::Left) => Some(Whose::Other),
                Some(Whose::Came) if starts => Some(Whose::Own),
                as_it_is => as_it_is,
            };
        });
        order
    }

    /// Call before the outcome is handed on. `false`: it is known already.
    pub fn done(&mut self, done: &GroupDone) -> bool {
        let news = self
            .ledger
            .with(|ledger| ledger.done(&done.group, &done.ended()));
        if news {
            self.write(|_| {});
        }
        news
    }

    /// Call before addresses are removed, or put back, beside the orders.
    pub fn addresses(&mut self, groups: &[GroupKey], withdraw: bool) {
        self.ledger
            .with(|ledger| ledger.addresses(groups, withdraw));
        self.write(|_| {});
    }

    /// Records what the node now reports about itself.
    pub fn duty(&mut self, duty: Duty) {
        if self.duty != duty {
            self.duty = duty.clone();
            self.write(|state| state.set_duty(duty));
        }
    }

    /// Records which checks of each group were good since its last start.
    pub fn proven(&mut self, proven: &BTreeMap<GroupKey, Vec<String>>) {
        let known = &self.file.state().proven;
        let same =
            |(key, checks): (&GroupKey, &Vec<String>)| known.get(key.as_str()) == Some(checks);
        if known.len() != proven.len() || !proven.iter().all(same) {
            self.write(|state| state.set_proven(proven));
        }
    }

    /// Everything is settled, and the process is about to replace itself: what membership reports
    /// about the groups counts.
    pub fn settled(&mut self, duty: &Duty, left: &BTreeSet<GroupKey>, came: &BTreeSet<GroupKey>) {
        self.duty = duty.clone();
        self.write(|state| {
            state.set_duty(duty.clone());
            state.set_moved(left, came);
            state.replaces_itself = Some(std::process::id());
        });
    }

    /// Whether nothing has changed since everything was settled.
    pub fn is_settled(&self) -> bool {
        let own = std::process::id();
        self.file.state().goes_on_in_place(own) == Some(true)
    }

    /// Another node runs everything by now: a successor holds nothing and stops what may still run.
    pub fn give_all_up(&mut self) {
        self.duty.holding = HoldingSet::NONE;
        self.duty.standby = None;
        self.duty.releases = true;
        self.all_are_unfinished();
    }

    /// A successor has to find out for every group that may run whether it does.
    pub fn all_are_unfinished(&mut self) {
        self.ledger.with(Ledger::owe_all);
        let duty = self.duty.clone();
        self.write(|state| state.set_duty(duty));
    }

    /// Writes what could not be written before.
    pub fn try_again(&mut self) {
        self.file.try_again();
    }

    /// What is held by duty.
    pub const fn holding(&self) -> HoldingSet {
        self.duty.holding
    }

    /// The words with which the process replaces itself.
    pub fn successor_words(&self) -> Vec<String> {
        self.file.successor_words()
    }

    /// Applies `change` to the state and writes it.
    fn write(&mut self, change: impl FnOnce(&mut NodeState)) {
        let file = &mut self.file;
        self.ledger.with(|ledger| {
            file.change(|state| {
                state.replaces_itself = Some(0);
                change(state);
                state.set_work(&ledger.may_run().collect(), &ledger.unfinished().collect());
            });
        });
    }
}

#[cfg(test)]
mod tests;
