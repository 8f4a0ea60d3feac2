//! The groups of this node: one row per line of haresources, and the work on them. Nothing else
//! writes a row.
//!
//! A row tells the state of one group, not the duty of this node: a half can be held before a group
//! of it runs, or without having any. Spec: docs/protocol/resources.md, 1 and 3.
//!
//! | file | what |
//! |---|---|
//! | this one | the owner of a group |
//! | `groups/orders.rs` | what runs, and the jobs that start and stop it |
//! | `groups/trouble.rs` | groups whose start failed |
//! | `groups/place.rs` | groups that are not where haresources says |
//! | `groups/asked.rs` | groups that were asked for, `auto_failback legacy` |

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Monotonic;
use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::protocol::name::NodeName;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::ailing::Ailing;
use crate::resources::parts::trouble::Trouble;
use crate::resources::parts::unserved::Reach;
use crate::resources::parts::work::Work;

mod asked;
mod orders;
mod place;
mod trouble;

use asked::Asked;

/// What is known of one group.
#[derive(Debug)]
struct Row {
    owner: NodeName,
    /// Local or foreign.
    side: HoldingSet,
    has_address: bool,
    /// As its actor has reported last.
    runs: bool,
    /// Why it does not run although it is held.
    trouble: Option<Trouble>,
    /// When it was passed on because its start failed.
    passed_on: Option<Monotonic>,
    place: Place,
    /// It is held, and was given to another node that asked for it by its key.
    given: bool,
    /// `auto_failback legacy`: it was asked for.
    asked: Option<Asked>,
    /// It runs, and an address of it is gone.
    absent: bool,
}

/// Where a group runs after the last change of haresources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On the node that holds its half.
    Usual,
    /// It runs here, and is left to its owner.
    Left,
    /// It is ours, and ran on the other node. `said`: it was logged that a person has to confirm
    /// that it no longer runs there.
    Came { said: bool },
}

/// All groups, and the work on them.
#[derive(Debug)]
pub(in crate::resources) struct GroupTable {
    /// In the order of the file: groups are started and stopped in it.
    order: Vec<GroupKey>,
    /// In the order of their keys: reports name them, and retries take them, in it.
    rows: BTreeMap<GroupKey, Row>,
    work: Work,
    reach: Reach,
    ailing: Ailing,
}

impl GroupTable {
    /// A table in which nothing runs and nothing is to be done.
    pub(in crate::resources) fn new(
        local: &NodeName,
        groups: &[ResourceGroup],
        with_address: &BTreeSet<GroupKey>,
    ) -> Self {
        let row = |group: &ResourceGroup| Row {
            owner: group.owner.clone(),
            side: if group.owner == *local {
                HoldingSet::LOCAL
            } else {
                HoldingSet::FOREIGN
            },
            has_address: with_address.contains(&group.key),
            runs: false,
            trouble: None,
            passed_on: None,
            place: Place::Usual,
            given: false,
            asked: None,
            absent: false,
        };
        let rows = groups.iter().map(|group| (group.key.clone(), row(group)));
        Self {
            order: groups.iter().map(|group| group.key.clone()).collect(),
            rows: rows.collect(),
            work: Work::new(),
            reach: Reach::default(),
            ailing: Ailing::new(BTreeMap::new()),
        }
    }

    /// The same, with the rule for groups whose addresses nobody reaches here.
    pub(in crate::resources) fn with_reach(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    /// The same, with the windows of the groups that have monitors.
    pub(in crate::resources) fn with_ailing(self, ailing: Ailing) -> Self {
        Self { ailing, ..self }
    }

    /// Groups of which a monitored resource fails.
    pub(in crate::resources) const fn ailing(&self) -> &Ailing {
        &self.ailing
    }

    /// The same, to change it.
    pub(in crate::resources) const fn ailing_mut(&mut self) -> &mut Ailing {
        &mut self.ailing
    }

    /// Groups whose addresses nobody reaches here.
    pub(in crate::resources) const fn reach(&self) -> &Reach {
        &self.reach
    }

    /// The same, to change it.
    pub(in crate::resources) const fn reach_mut(&mut self) -> &mut Reach {
        &mut self.reach
    }

    /// Every key with its half, in the order of the file.
    pub(in crate::resources) fn sides(&self) -> impl Iterator<Item = (&GroupKey, HoldingSet)> {
        let side = |key| self.rows.get(key).map(|row| (key, row.side));
        self.order.iter().filter_map(side)
    }

    /// The same as a list, for use while rows change.
    pub(in crate::resources) fn keys_and_sides(&self) -> Vec<(GroupKey, HoldingSet)> {
        let sides = self.sides();
        sides.map(|(key, side)| (key.clone(), side)).collect()
    }

    /// The groups of a half or of both, from our own view, in the order of the file.
    pub(in crate::resources) fn of(&self, set: HoldingSet) -> impl Iterator<Item = &GroupKey> {
        let in_set = move |(_, side): &(&GroupKey, HoldingSet)| set.has(*side);
        self.sides().filter(in_set).map(|(key, _)| key)
    }

    /// The same as a list, for a job or for use while rows change.
    pub(in crate::resources) fn keys_of(&self, set: HoldingSet) -> Vec<GroupKey> {
        self.of(set).cloned().collect()
    }

    /// The groups of one owner, in the order of the file.
    pub(in crate::resources) fn keys_owned_by(&self, owner: &NodeName) -> Vec<GroupKey> {
        let own = |key: &&GroupKey| self.rows.get(*key).is_some_and(|row| row.owner == *owner);
        self.order.iter().filter(own).cloned().collect()
    }

    /// The half of a group; `None`: no line of haresources names it.
    pub(in crate::resources) fn side_of(&self, key: &GroupKey) -> Option<HoldingSet> {
        self.rows.get(key).map(|row| row.side)
    }
}

#[cfg(test)]
mod tests;
