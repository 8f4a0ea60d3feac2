//! Groups that are not where haresources says: left to their owner, come from their former owner,
//! or given to a node that asked for single groups.

use std::collections::BTreeSet;

use crate::protocol::group::GroupKey;
use crate::resources::holding::HoldingSet;

use super::{GroupTable, Place};

impl Place {
    pub(super) const fn confirmed(self) -> Self {
        match self {
            Self::Came { .. } | Self::Usual => Self::Usual,
            Self::Left => Self::Left,
        }
    }

    const fn no_longer_left(self) -> Self {
        match self {
            Self::Left | Self::Usual => Self::Usual,
            came @ Self::Came { .. } => came,
        }
    }
}

impl GroupTable {
    /// A change of haresources made another node the owner of groups that run here, and us the
    /// owner of groups that ran there.
    pub(in crate::resources) fn owners_changed(
        &mut self,
        left: &BTreeSet<GroupKey>,
        came: &BTreeSet<GroupKey>,
    ) {
        for (key, row) in &mut self.rows {
            row.place = if left.contains(key) {
                Place::Left
            } else if came.contains(key) {
                Place::Came { said: false }
            } else {
                Place::Usual
            };
        }
    }

    /// The groups that run here and are left to their owner, by their keys.
    pub(in crate::resources) fn left(&self) -> impl Iterator<Item = &GroupKey> {
        let left = |(_, row): &(&GroupKey, &super::Row)| row.place == Place::Left;
        self.rows.iter().filter(left).map(|(key, _)| key)
    }

    /// Whether the group is one of them.
    pub(in crate::resources) fn is_left(&self, key: &GroupKey) -> bool {
        self.rows
            .get(key)
            .is_some_and(|row| row.place == Place::Left)
    }

    /// The group is no longer left to its owner.
    pub(in crate::resources) fn no_longer_left(&mut self, key: &GroupKey) {
        if let Some(row) = self.rows.get_mut(key) {
            row.place = row.place.no_longer_left();
        }
    }

    /// No group is left to its owner any more.
    pub(in crate::resources) fn none_left(&mut self) {
        for row in self.rows.values_mut() {
            row.place = row.place.no_longer_left();
        }
    }

    /// Groups that are held, or do not run, are no longer left to their owner.
    pub(in crate::resources) fn forget_what_is_held(&mut self, mine: HoldingSet) {
        let left: Vec<GroupKey> = self.left().cloned().collect();
        for key in left {
            let held = self.side_of(&key).is_some_and(|side| mine.has(side));
            if held || !self.runs(&key) {
                self.no_longer_left(&key);
            }
        }
    }

    /// The groups that are ours by a change of haresources and ran on the other node, by their keys.
    pub(in crate::resources) fn came(&self) -> impl Iterator<Item = &GroupKey> {
        let came = |(_, row): &(&GroupKey, &super::Row)| matches!(row.place, Place::Came { .. });
        self.rows.iter().filter(came).map(|(key, _)| key)
    }

    /// Whether the group is one of them, and has no address, so that the network cannot tell where
    /// it runs.
    pub(in crate::resources) fn came_without_address(&self, key: &GroupKey) -> bool {
        let row = self.rows.get(key);
        row.is_some_and(|row| matches!(row.place, Place::Came { .. }) && !row.has_address)
    }

    /// Groups of which it was logged that a person has to confirm them, by their keys.
    pub(in crate::resources) fn unconfirmed(&self) -> impl Iterator<Item = &GroupKey> {
        let said = |(_, row): &(&GroupKey, &super::Row)| row.place == Place::Came { said: true };
        self.rows.iter().filter(said).map(|(key, _)| key)
    }

    /// A person has to confirm the group. `false`: that was logged before.
    pub(in crate::resources) fn asks_to_confirm(&mut self, key: &GroupKey) -> bool {
        match self.rows.get_mut(key).map(|row| &mut row.place) {
            Some(Place::Came { said }) => !std::mem::replace(said, true),
            Some(Place::Usual | Place::Left) | None => false,
        }
    }

    /// The group runs here, or the node that ran it has stopped it.
    pub(in crate::resources) fn confirmed(&mut self, key: &GroupKey) {
        if let Some(row) = self.rows.get_mut(key) {
            row.place = row.place.confirmed();
        }
    }

    /// The node that ran them has begun anew or is gone.
    pub(in crate::resources) fn all_confirmed(&mut self) {
        for row in self.rows.values_mut() {
            row.place = row.place.confirmed();
        }
    }

    /// Another node asked for the group by its key and may start it: we do not start it, although
    /// we hold its half.
    pub(in crate::resources) fn give_by_key(&mut self, key: &GroupKey) {
        if let Some(row) = self.rows.get_mut(key) {
            row.given = true;
        }
    }

    /// Whether the group was given so.
    pub(in crate::resources) fn is_given_by_key(&self, key: &GroupKey) -> bool {
        self.rows.get(key).is_some_and(|row| row.given)
    }

    /// Groups that were given so are ours to run again. Returns whether there were any.
    pub(in crate::resources) fn take_back_given(&mut self) -> bool {
        let mut any = false;
        for row in self.rows.values_mut() {
            any |= std::mem::take(&mut row.given);
        }
        any
    }
}
