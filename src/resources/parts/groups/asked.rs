//! `auto_failback legacy`: groups that were asked for by their keys. Spec: docs/protocol/resources.md, 9.7.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;

use super::GroupTable;

/// Pause before an unanswered request is repeated. Legacy asks once and then never again.
const REPEAT: Duration = Duration::from_secs(10);

/// What has come of a request for a group.
#[derive(Debug)]
pub(super) struct Asked {
    /// When it is repeated.
    at: Monotonic,
    /// The newest; `None`: it is on its way out.
    position: Option<Position>,
    /// Who has said that it does not run it.
    declined: BTreeSet<NodeName>,
}

impl GroupTable {
    /// A request for it goes out.
    pub(in crate::resources) fn ask(&mut self, key: &GroupKey, now: Monotonic) {
        if let Some(row) = self.rows.get_mut(key) {
            row.asked = Some(Asked {
                at: now + REPEAT,
                position: None,
                declined: BTreeSet::new(),
            });
        }
    }

    /// It was sent, and stands there.
    pub(in crate::resources) fn request_sent(&mut self, key: &GroupKey, position: Position) {
        if let Some(asked) = self.asked_mut(key) {
            asked.position = Some(position);
        }
    }

    fn asked_mut(&mut self, key: &GroupKey) -> Option<&mut Asked> {
        self.rows.get_mut(key)?.asked.as_mut()
    }

    /// Whether a request for it is open.
    pub(in crate::resources) fn is_asked(&self, key: &GroupKey) -> bool {
        self.rows.get(key).is_some_and(|row| row.asked.is_some())
    }

    /// Whether an answer to what was `heard` of us answers the newest request.
    pub(in crate::resources) fn answers_request(&self, key: &GroupKey, heard: Position) -> bool {
        let asked = self.rows.get(key).and_then(|row| row.asked.as_ref());
        let newest = asked.and_then(|asked| asked.position);
        newest.is_some_and(|newest| heard >= newest)
    }

    /// A node does not run it. Whether `all` whose word counts have said so by now.
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

    /// All are.
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

    /// Those of which the request is to be repeated by now.
    pub(in crate::resources) fn to_be_asked(&self, now: Monotonic) -> Vec<GroupKey> {
        let mut keys = self.all_asked();
        keys.retain(|key| self.asked_at(key).is_some_and(|at| at <= now));
        keys
    }

    fn asked_at(&self, key: &GroupKey) -> Option<Monotonic> {
        Some(self.rows.get(key)?.asked.as_ref()?.at)
    }

    /// When the first is repeated.
    pub(in crate::resources) fn asked_deadline(&self) -> Option<Monotonic> {
        let asked = self.rows.values().filter_map(|row| row.asked.as_ref());
        asked.map(|asked| asked.at).min()
    }
}
