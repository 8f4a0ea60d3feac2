//! `auto_failback legacy`: groups that were asked for by their keys. Spec: docs/protocol/resources.md, 9.7.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;

use super::GroupTable;

/// Pause before an unanswered request is repeated. Legacy asks only once.
const REPEAT: Duration = Duration::from_secs(10);

/// The state of a request for a group.
#[derive(Debug)]
pub(super) struct Asked {
    /// When the request is repeated.
    at: Monotonic,
    /// Position of the newest request; `None`: it is being sent.
    position: Option<Position>,
    /// Nodes that have answered that they do not run it.
    declined: BTreeSet<NodeName>,
}

impl GroupTable {
    /// A request for the group is sent.
    pub(in crate::resources) fn ask(&mut self, key: &GroupKey, now: Monotonic) {
        if let Some(row) = self.rows.get_mut(key) {
            row.asked = Some(Asked {
                at: now + REPEAT,
                position: None,
                declined: BTreeSet::new(),
            });
        }
    }

    /// The request was sent, and has this position.
    pub(in crate::resources) fn request_sent(&mut self, key: &GroupKey, position: Position) {
        if let Some(asked) = self.asked_mut(key) {
            asked.position = Some(position);
        }
    }

    fn asked_mut(&mut self, key: &GroupKey) -> Option<&mut Asked> {
        self.rows.get_mut(key)?.asked.as_mut()
    }

    /// Whether a request for the group is open.
    pub(in crate::resources) fn is_asked(&self, key: &GroupKey) -> bool {
        self.rows.get(key).is_some_and(|row| row.asked.is_some())
    }

    /// Whether an answer, sent after its sender received our request `heard`, answers the newest
    /// request.
    pub(in crate::resources) fn answers_request(&self, key: &GroupKey, heard: Position) -> bool {
        let asked = self.rows.get(key).and_then(|row| row.asked.as_ref());
        let newest = asked.and_then(|asked| asked.position);
        newest.is_some_and(|newest| heard >= newest)
    }

    /// A node answers that it does not run the group. Returns whether all nodes of `all` have
    /// answered that by now.
    pub(in crate::resources) fn declined<'a>(
        &mut self,
        key: &GroupKey,
        from: &NodeName,
        mut all: impl Iterator<Item = &'a NodeName>,
    ) -> bool {
        self.asked_mut(key).is_some_and(|asked| {
            asked.declined.insert(from.clone());
            all.all(|name| asked.declined.contains(name))
        })
    }

    /// The request is over.
    pub(in crate::resources) fn forget_asked(&mut self, key: &GroupKey) {
        if let Some(row) = self.rows.get_mut(key) {
            row.asked = None;
        }
    }

    /// All requests are over.
    pub(in crate::resources) fn forget_all_asked(&mut self) {
        for row in self.rows.values_mut() {
            row.asked = None;
        }
    }

    /// The groups that were asked for, by their keys.
    pub(in crate::resources) fn all_asked(&self) -> Vec<GroupKey> {
        let asked = self.rows.iter().filter(|(_, row)| row.asked.is_some());
        asked.map(|(key, _)| key.clone()).collect()
    }

    /// Groups whose request is to be repeated by now.
    pub(in crate::resources) fn to_be_asked(&self, now: Monotonic) -> Vec<GroupKey> {
        let mut keys = self.all_asked();
        keys.retain(|key| self.asked_at(key).is_some_and(|at| at <= now));
        keys
    }

    fn asked_at(&self, key: &GroupKey) -> Option<Monotonic> {
        Some(self.rows.get(key)?.asked.as_ref()?.at)
    }

    /// When the first request is repeated.
    pub(in crate::resources) fn asked_deadline(&self) -> Option<Monotonic> {
        let asked = self.rows.values().filter_map(|row| row.asked.as_ref());
        asked.map(|asked| asked.at).min()
    }
}
