//! The ledger of orders: what every group was ordered last, which orders have no outcome yet, how the
//! last ones ended, and which groups may run. Whatever else is said about orders follows from it:
//! what a successor has to know, what is ordered again after a fault, what a caller is answered.
//!
//! | Comes | May run | Owed | Addresses | In hand | Outcomes |
//! |---|---|---|---|---|---|
//! | an order to start | yes | no | where the order puts them | + | |
//! | an order to restart a part | yes | no | | + | |
//! | an order to stop | as before | no | where the order puts them | + | |
//! | the same order again, in hand | | | | as given first | |
//! | the same order again, done | | | | | told again |
//! | done: `Started` | yes | | | − | + |
//! | done: `StopFailed` | yes | yes | | − | + |
//! | done: `Stopped`, `StartFailed`, `AddressTaken` | no, unless another order to start is in hand | | | − | + |
//! | done, and not in hand | | | | | nothing: heard before |
//! | addresses withdrawn, or restored | | | noted | | |
//! | the process ends for a successor | | what may run | | | |
//!
//! There are two of these books, because the cluster thread must not wait for the thread that writes
//! files: the one of membership counts for the next core after a panic, the one of the groups is
//! written to the file for the next process.

use std::collections::{BTreeMap, VecDeque};

use crate::protocol::event::{GroupOrder, GroupOutcome, OrderId};
use crate::protocol::group::GroupKey;

/// Outcomes that are kept of each group: more than are ever on their way.
const OUTCOMES: usize = 8;

/// The ledger. A group that is not in haresources has its line as well.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    lines: BTreeMap<GroupKey, Line>,
}

/// What is known of one group.
#[derive(Debug, Clone, Default)]
struct Line {
    may_run: bool,
    /// It ran before this ledger was begun, and no order has ended since.
    ran_before: bool,
    /// A predecessor left it unfinished, or its stop failed in the middle, and it was ordered nothing since.
    owed: bool,
    /// Where its addresses were moved to without an order since.
    moved: Option<Moved>,
    /// The last order.
    wanted: Option<GroupOrder>,
    in_hand: BTreeMap<OrderId, Given>,
    /// The last outcomes, the newest at the end.
    ended: VecDeque<Ended>,
}

/// Where addresses were moved to beside the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    Withdrawn,
    Restored,
}

/// An order as it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// What to do.
    pub what: GroupOrder,
    /// Before a start the network is probed for another host with the group's addresses.
    pub careful: bool,
}

/// How an order ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The order.
    pub order: OrderId,
    /// How.
    pub outcome: GroupOutcome,
    /// The end of the output of a script that failed, and which script: for people.
    pub said: Option<String>,
}

/// What an order is to the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// It is new.
    New,
    /// It has been given before, in this form, and has no outcome yet.
    InHand(Given),
    /// It has been carried out.
    Ended(Ended),
}

impl Ledger {
    /// The ledger of a node that goes on with `running`. `unfinished`: groups with an order in hand at
    /// the end of the one before.
    #[must_use]
    pub fn going_on(running: &[GroupKey], unfinished: &[GroupKey]) -> Self {
        let mut ledger = Self::default();
        for key in running {
            let line = ledger.line(key);
            line.may_run = true;
            line.ran_before = true;
            line.wanted = Some(GroupOrder::Start);
        }
        for key in unfinished {
            ledger.line(key).owed = true;
        }
        ledger
    }

    fn line(&mut self, key: &GroupKey) -> &mut Line {
        self.lines.entry(key.clone()).or_default()
    }

    /// Notes an order, before it is handed on.
    pub fn ordered(&mut self, key: &GroupKey, order: OrderId, given: Given) -> Order {
        let line = self.line(key);
        if let Some(first) = line.in_hand.get(&order) {
            return Order::InHand(*first);
        }
        if let Some(ended) = line.ended_as(order) {
            return Order::Ended(ended.clone());
        }
        line.may_run |= given.what.starts();
        line.owed = false;
        if given.what != GroupOrder::Restart {
            line.moved = None;
        }
        line.wanted = Some(given.what.leaves());
        line.in_hand.insert(order, given);
        Order::New
    }

    /// Notes the outcome of an order that is still in hand of those who have to hear of it. If they
    /// are begun anew meanwhile, they hear it then.
    pub fn ended(&mut self, key: &GroupKey, ended: Ended) {
        let line = self.line(key);
        if line.ended.len() >= OUTCOMES {
            line.ended.pop_front();
        }
        line.ended.push_back(ended);
    }

    /// The order is done with. `false`: that is known, or the order is not.
    pub fn done(&mut self, key: &GroupKey, ended: &Ended) -> bool {
        let line = self.line(key);
        if line.in_hand.remove(&ended.order).is_none() {
            return false;
        }
        line.ran_before = false;
        // A part of it runs, perhaps without its addresses. Until the core has ordered what becomes of it, a successor has
        // to.
        line.owed |= matches!(ended.outcome, GroupOutcome::StopFailed { .. });
        // A core that began anew may have ordered the start while the stop of the one before was in hand.
        let starts = line.in_hand.values().any(|given| given.what.starts());
        line.may_run = match ended.outcome {
            GroupOutcome::Started | GroupOutcome::StopFailed { .. } => true,
            GroupOutcome::Stopped
            | GroupOutcome::StartFailed { .. }
            | GroupOutcome::AddressTaken { .. } => starts,
        };
        if line.ended_as(ended.order).is_none() {
            self.ended(key, ended.clone());
        }
        true
    }

    /// The addresses of these groups are withdrawn, or restored, beside the orders.
    pub fn addresses(&mut self, keys: &[GroupKey], withdraw: bool) {
        let moved = if withdraw {
            Moved::Withdrawn
        } else {
            Moved::Restored
        };
        for key in keys {
            self.line(key).moved = Some(moved);
        }
    }

    /// A successor has to find out for every group that may run whether it does.
    pub fn owe_all(&mut self) {
        for line in self.lines.values_mut() {
            line.owed |= line.may_run;
        }
    }

    fn keys(&self, wanted: impl Fn(&Line) -> bool) -> impl Iterator<Item = &GroupKey> {
        let lines = self.lines.iter();
        lines.filter_map(move |(key, line)| wanted(line).then_some(key))
    }

    /// Groups that were ordered to start, or ran before, and have not been reported as stopped since.
    pub fn may_run(&self) -> impl Iterator<Item = &GroupKey> {
        self.keys(|line| line.may_run)
    }

    /// Groups of which a successor has to find out what runs: those with an order in hand or still
    /// to be given one, those whose stop failed, and those that may run without the addresses that were withdrawn.
    pub fn unfinished(&self) -> impl Iterator<Item = &GroupKey> {
        self.keys(|line| !line.in_hand.is_empty() || line.owed || line.is_bare())
    }

    /// Groups that may run, and whose addresses were withdrawn without an order since.
    pub fn withdrawn(&self) -> impl Iterator<Item = &GroupKey> {
        self.keys(Line::is_bare)
    }

    /// Groups whose addresses were moved without an order since. `true`: they were withdrawn.
    pub fn moved(&self) -> impl Iterator<Item = (&GroupKey, bool)> {
        let lines = self.lines.iter();
        lines.filter_map(|(key, line)| Some((key, line.moved? == Moved::Withdrawn)))
    }

    /// Orders without an outcome, in the order in which they were given.
    #[must_use]
    pub fn in_hand(&self) -> Vec<(OrderId, &GroupKey, Given)> {
        let lines = self.lines.iter();
        let mut orders: Vec<_> = lines
            .flat_map(|(key, line)| {
                let given = line.in_hand.iter();
                given.map(move |(order, given)| (*order, key, *given))
            })
            .collect();
        orders.sort_by_key(|(order, ..)| *order);
        orders
    }

    /// Whether the group has an order without an outcome.
    #[must_use]
    pub fn is_busy(&self, key: &GroupKey) -> bool {
        let line = self.lines.get(key);
        line.is_some_and(|line| !line.in_hand.is_empty())
    }

    /// What the group was ordered last; of one that ran before, to start.
    #[must_use]
    pub fn wanted(&self, key: &GroupKey) -> Option<GroupOrder> {
        self.lines.get(key)?.wanted
    }

    /// How the last order for the group ended.
    #[must_use]
    pub fn last(&self, key: &GroupKey) -> Option<&Ended> {
        self.lines.get(key)?.ended.back()
    }

    /// Whether the group ran before this ledger was begun, and no order has ended since.
    #[must_use]
    pub fn ran_before(&self, key: &GroupKey) -> bool {
        self.lines.get(key).is_some_and(|line| line.ran_before)
    }

    /// How this order ended; `None`: it has not, or that is no longer kept.
    #[must_use]
    pub fn ended_as(&self, key: &GroupKey, order: OrderId) -> Option<&Ended> {
        self.lines.get(key)?.ended_as(order)
    }
}

impl Line {
    fn is_bare(&self) -> bool {
        self.may_run && self.moved == Some(Moved::Withdrawn)
    }

    fn ended_as(&self, order: OrderId) -> Option<&Ended> {
        self.ended.iter().find(|ended| ended.order == order)
    }
}

#[cfg(test)]
mod tests;
