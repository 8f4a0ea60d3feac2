//! The lines of haresources: whose they are, which of them run, and which are left alone.

use crate::protocol::group::GroupKey;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Groups that are ours by a change of haresources and ran on the other node.
    pub fn came_groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.came.iter()
    }

    /// The group runs, or whoever ran it has begun anew or is gone.
    pub(in crate::resources) fn confirmed(&mut self, key: Option<&GroupKey>) {
        match key {
            Some(key) => {
                self.came.remove(key);
                self.unconfirmed.remove(key);
            }
            None => {
                self.came.clear();
                self.unconfirmed.clear();
            }
        }
    }

    /// Groups that run here and are left to their owner.
    pub fn left_groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.left.iter()
    }

    /// What is held by duty is not left to anybody, nor is what does not run.
    pub(in crate::resources) fn forget_what_is_held(&mut self) {
        if self.left.is_empty() {
            return;
        }
        let held = self.groups.keys_of(self.mine);
        let groups = &self.groups;
        self.left
            .retain(|key| groups.runs(key) && !held.contains(key));
    }

    /// Groups as a decision names them.
    pub(in crate::resources) fn named(keys: &[GroupKey]) -> String {
        let names: Vec<String> = keys.iter().map(ToString::to_string).collect();
        names.join(" ")
    }

    /// It may be started there from now on: not by us, although we hold its half.
    pub(in crate::resources) fn note_given(&mut self, key: &GroupKey) {
        if self.nice() && self.groups.keys_of(self.mine).contains(key) {
            self.given_by_key.insert(key.clone());
        }
    }

    /// Who asked for groups by their keys is gone or begins anew: they are ours to run again, as far as
    /// we hold them. A node that begins anew and does not report asks again; before it reports, nothing is
    /// started beside it.
    pub(in crate::resources) fn take_back_given(&mut self) {
        if !self.given_by_key.is_empty() {
            self.given_by_key.clear();
            self.looked_at = None;
        }
    }

    /// Keys of the groups that run here, as far as their actors have told.
    pub fn held_groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.groups.that_run()
    }

    /// The same, and those that have an order in hand.
    pub fn moving_groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.groups.that_may_run()
    }
}
