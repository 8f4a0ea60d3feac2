//! Which groups another node runs, group by group.
//!
//! Holding sets say `local` and `foreign` by the haresources of whoever says it. While the files of two
//! nodes name different owners, and while a group goes to another owner, these words mean different groups
//! to each. So reports between our nodes name what runs, and by which owners they count.
//!
//! | What is seen | What we do |
//! |---|---|
//! | the other node runs a group that we were about to start | it is left there, and looked at again each second |
//! | we run a group that is no longer ours, both go by the same owners, the other holds its half | it is stopped here; the other starts it when our report no longer names it |
//! | the same, the other is a legacy node | it runs on: a legacy node starts nothing by itself. It goes with the next takeover, failback or standby, and when that node is started anew (`to_owner.rs`) |
//! | lines differ, or owners | no hand-over and no failback of these, unless a person forces it |
//! | both run a group, owners agree | who does not hold its half stops it |
//! | both run a group, owners differ | the first node by name keeps it |
//! | halves overlap by their words, owners differ, no group runs twice | nothing: the words mean different groups |

use std::collections::BTreeSet;

use super::address::parse_word;
use super::holding::HoldingSet;
use super::jobs::Purpose;
use super::peers::Peer;
use super::standby::Standby;
use super::state::{Phase, ResourceState};
use crate::protocol::event::{GroupOrder, OrderId};
use crate::protocol::field;
use crate::protocol::group::GroupKey;
use crate::protocol::haresources_mark::key_mark;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;

/// Groups that a report names at most: more than haresources may have.
const MOST_NAMED: usize = 1024;

fn unconfirmed_text(key: &GroupKey, node: &NodeName) -> String {
    format!(
        "{key} is not started here: node {node} ran it before haresources was changed, and does not say \
         whether it still does. If it does not, hb_takeover local starts it here; so does a stop and \
         start of heartbeat on {node}"
    )
}

/// What a report says that runs at its sender.
fn names_text(keys: &[&GroupKey]) -> Option<String> {
    if keys.len() > MOST_NAMED {
        return None;
    }
    if keys.is_empty() {
        return Some("none".to_owned());
    }
    let marks: Vec<String> = keys.iter().map(|key| key_mark(key)).collect();
    Some(marks.join("."))
}

/// Reads that. `None`: nothing is known.
fn read_names(text: &str) -> Option<BTreeSet<String>> {
    if text == "none" {
        return Some(BTreeSet::new());
    }
    let mut names = BTreeSet::new();
    for word in text.split('.') {
        let good = word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !good || names.len() >= MOST_NAMED {
            return None;
        }
        names.insert(word.to_owned());
    }
    Some(names)
}

impl ResourceState {
    /// Call after [`resume`](Self::resume), before [`finish`](Self::finish): what a change of haresources
    /// made of what runs, see [`super::owners::Now`].
    pub fn note_changed_owners(
        &mut self,
        left: impl IntoIterator<Item = GroupKey>,
        came: impl IntoIterator<Item = GroupKey>,
        to_go_home: bool,
    ) {
        self.left = left.into_iter().collect();
        self.came = came.into_iter().collect();
        self.failback_due |= to_go_home;
        self.goes_home_by_file = to_go_home;
        let named = |keys: &BTreeSet<GroupKey>| {
            let keys: Vec<GroupKey> = keys.iter().cloned().collect();
            Self::named(&keys)
        };
        let mut decided = Vec::new();
        if to_go_home {
            decided.push("holds the foreign resources for their owner".to_owned());
        }
        if !self.left.is_empty() {
            decided.push(format!(
                "runs {} on until its owner can take it",
                named(&self.left)
            ));
        }
        if !self.came.is_empty() {
            decided.push(format!(
                "starts {} only when nobody else runs it",
                named(&self.came)
            ));
        }
        for what in decided {
            self.decide(what, "haresources was changed: another node owns it now");
        }
    }

    /// Groups that are ours by a change of haresources and ran on the other node.
    pub fn came_groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.came.iter()
    }

    /// What people have to know of groups that are not where they belong.
    pub fn remarks(&self) -> Vec<String> {
        let Some((node, _)) = self.other() else {
            return Vec::new();
        };
        let left = self
            .left
            .iter()
            .map(|key| format!("{key} runs here until its owner {node} can take it"));
        let unconfirmed = self
            .unconfirmed
            .iter()
            .map(|key| unconfirmed_text(key, node));
        let held = self.keys_of(self.mine).into_iter();
        let there = held
            .filter(|key| self.other_runs(key) && !self.jobs.runs(key))
            .map(|key| format!("{key} is not started here: {node} runs it"));
        left.chain(unconfirmed).chain(there).collect()
    }

    /// Whether the network is to be asked, before this order is carried out, whether another host has the
    /// addresses of its group: where the other node lives, does not say what it runs, and the group is
    /// started because it seems to run nowhere.
    #[must_use]
    pub fn start_asks_network(&self, order: OrderId) -> bool {
        let silent = self.other().is_some_and(|(_, peer)| peer.names.is_none());
        silent
            && matches!(
                self.jobs.purpose_of(order),
                Some(Purpose::AcquireLocal | Purpose::Reclaim | Purpose::Retry | Purpose::Take)
            )
    }

    /// Whether a group that came to us may still run on the other node, which does not say so and of which
    /// the network cannot be asked either: then a person has to tell.
    pub(super) fn must_be_confirmed(&mut self, key: &GroupKey) -> bool {
        let Some((node, peer)) = self.other() else {
            return false;
        };
        if peer.names.is_some() || !self.came.contains(key) || self.has_address(key) {
            return false;
        }
        let text = unconfirmed_text(key, node);
        if self.unconfirmed.insert(key.clone()) {
            self.warn(text);
            self.decide(
                format!("does not start {key}"),
                "the other node ran it, does not say whether it still does, and it has no address",
            );
        }
        true
    }

    /// The group runs, or whoever ran it has begun anew or is gone.
    pub(super) fn confirmed(&mut self, key: Option<&GroupKey>) {
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

    fn has_address(&self, key: &GroupKey) -> bool {
        let group = self.groups.iter().find(|group| group.key == *key);
        group.is_some_and(|group| {
            let mut words = group.resources.iter();
            words.any(|word| matches!(parse_word(word), Ok(Some(_))))
        })
    }

    /// Groups that run here and are left to their owner.
    pub fn left_groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.left.iter()
    }

    /// Adds to a report what the other node of a pair may want to know group by group.
    pub(super) fn name_groups(&mut self, message: &mut Message) {
        let understood = |peer: &Peer| peer.systole || peer.status.is_none() || peer.is_gone();
        if !self.is_pair() || !self.peers.values().all(understood) {
            return;
        }
        message.set_text(field::HARESOURCES, &self.owners);
        let runs: Vec<&GroupKey> = self.jobs.taken().collect();
        let names = names_text(&runs);
        if let Some(names) = &names {
            message.set_text(field::NAMES, names);
        }
        self.named = names;
    }

    /// While nodes count by group each says what has changed: a group that does not start here may be
    /// started there.
    pub(super) fn tell_changed_names(&mut self) {
        if !self.counts_by_group() || !self.at_peace() {
            return;
        }
        let runs: Vec<&GroupKey> = self.jobs.taken().collect();
        if names_text(&runs) != self.named {
            self.tell_what_runs();
        }
    }

    /// What a message of another node says of that.
    pub(super) fn note_names(&mut self, from: &NodeName, message: &Message) {
        let Some(peer) = self.peers.get_mut(from) else {
            return;
        };
        let position = Position::of(message);
        if position < peer.named_at {
            return;
        }
        if let Some(mark) = message.text(field::HARESOURCES) {
            peer.owners = Some(mark.to_owned());
        }
        let full = message.text(field::RTYPE) == Some("full");
        let names = message.text(field::NAMES);
        if full || names.is_some() {
            peer.named_at = position;
            peer.names = names.and_then(read_names);
        }
    }

    /// The other node of a pair, when it is there.
    pub(super) fn other(&self) -> Option<(&NodeName, &Peer)> {
        let only = self.peers.iter().next().filter(|_| self.is_pair());
        only.filter(|(_, peer)| !peer.is_gone())
    }

    /// Whether the other node says that it runs this group, or is about to.
    pub(super) fn other_runs(&self, key: &GroupKey) -> bool {
        let names = self.other().and_then(|(_, peer)| peer.names.as_ref());
        names.is_some_and(|names| names.contains(&key_mark(key)))
    }

    /// Whether the other node says so of every group of a set.
    pub(super) fn all_run_there(&self, set: HoldingSet) -> bool {
        let keys = self.keys_of(set);
        !keys.is_empty() && keys.iter().all(|key| self.other_runs(key))
    }

    /// Whether the other node is known to go by other owners.
    pub(super) fn owners_differ(&self) -> bool {
        let owners = self.other().and_then(|(_, peer)| peer.owners.as_ref());
        owners.is_some_and(|owners| *owners != self.owners)
    }

    /// Whether words for halves mean different groups to the two nodes, and the groups are known.
    pub(super) fn counts_by_group(&self) -> bool {
        let named = self.other().is_some_and(|(_, peer)| peer.names.is_some());
        named && self.owners_differ()
    }

    /// Whether any group runs on both nodes, as far as is known.
    pub(super) fn some_run_twice(&self) -> bool {
        self.jobs.taken().any(|key| self.other_runs(key))
    }

    /// Our haresources as it is now names these owners.
    pub fn file_on_disk(&mut self, owners: &str) {
        self.owners_pending = owners != self.owners;
    }

    /// Why no group of a set is to be handed over, whoever gives it.
    pub(super) fn hand_over_obstacle(&self, set: HoldingSet) -> Option<String> {
        let (node, peer) = self.other()?;
        if self.owners_differ() {
            return Some(format!("haresources of {node} names other owners"));
        }
        if peer.names.is_none() && self.owners_pending {
            // Its scripts read its file anew.
            return Some("haresources was changed: heartbeat -r takes it up".to_owned());
        }
        match peer.differing.as_ref()? {
            None => Some(format!("haresources of {node} differs")),
            Some(groups) => {
                let keys = self.keys_of(set);
                let mut found = keys.iter().filter(|key| groups.contains(*key));
                let key = found.next()?;
                Some(format!(
                    "the line of {key} in haresources of {node} differs"
                ))
            }
        }
    }

    /// Whether another node's file says something else of a group.
    pub(super) fn line_differs(&self, node: &NodeName, key: &GroupKey) -> bool {
        let peer = self.peers.get(node);
        let differing = peer.and_then(|peer| peer.differing.as_ref());
        differing.is_some_and(|keys| keys.as_ref().is_none_or(|keys| keys.contains(key)))
    }

    /// Leaves those out that the other node runs, or may run as far as can be found out: they are looked
    /// at again until it does not.
    pub(super) fn not_elsewhere(&mut self, keys: Vec<GroupKey>) -> Vec<GroupKey> {
        let there = |key: &GroupKey| self.other_runs(key) && !self.jobs.runs(key);
        let (there, here): (Vec<_>, Vec<_>) = keys.into_iter().partition(there);
        if !there.is_empty() {
            self.decide(
                format!("does not start {}", Self::named(&there)),
                "the other node runs it",
            );
        }
        let (unclear, here): (Vec<_>, Vec<_>) = here
            .into_iter()
            .partition(|key| self.must_be_confirmed(key));
        for key in there.into_iter().chain(unclear) {
            self.start_when_settled(key);
        }
        here
    }

    /// Whether groups can be given up in peace.
    fn at_peace(&self) -> bool {
        self.nice()
            && self.phase == Phase::Stable
            && self.standby == Standby::Not
            && self.other_stable
            && !self.jobs.running()
            && !self.contested()
            && !self.frozen
            && !self.stopping()
    }

    /// Lets go of what another node is to run, when it can. `true`: there is something to stop.
    pub(super) fn let_owners_take(&mut self) -> bool {
        self.forget_what_is_held();
        if !self.at_peace() {
            return false;
        }
        let mut keys = self.left_that_can_go();
        let cause = if keys.is_empty() {
            keys = self.twice_and_not_ours();
            "the other node runs it too, and keeps it"
        } else {
            "haresources gave it to the other node, which holds its resources and can start it"
        };
        if keys.is_empty() {
            return false;
        }
        let named = Self::named(&keys);
        self.info(format!("stopping {named}: {cause}"));
        self.decide(format!("stops {named}"), cause);
        for key in &keys {
            self.left.remove(key);
            let held = |group: &&crate::protocol::group::ResourceGroup| {
                group.key == *key && self.mine.has(self.side_of(group))
            };
            if self.groups.iter().any(|group| held(&group)) {
                // Held by our file: started again when the other node lets go of it.
                self.start_when_settled(key.clone());
            }
        }
        self.jobs.add(Purpose::LeaveToOwner, keys, GroupOrder::Stop);
        true
    }

    /// What is held by duty is not left to anybody, nor is what does not run.
    fn forget_what_is_held(&mut self) {
        if self.left.is_empty() {
            return;
        }
        let held = self.keys_of(self.mine);
        let jobs = &self.jobs;
        self.left
            .retain(|key| jobs.runs(key) && !held.contains(key));
    }

    fn left_that_can_go(&self) -> Vec<GroupKey> {
        let Some((_, peer)) = self.other().filter(|(_, peer)| peer.reported) else {
            return Vec::new();
        };
        let agreed = peer.owners.as_ref() == Some(&self.owners);
        if self.left.is_empty() || !agreed {
            return Vec::new();
        }
        let theirs = self.theirs_at_most().mirror();
        let mut keys = self.keys_of(theirs);
        keys.retain(|key| self.left.contains(key));
        keys
    }

    /// What runs on both nodes and is for the other to keep.
    fn twice_and_not_ours(&self) -> Vec<GroupKey> {
        let Some((name, _)) = self.other() else {
            return Vec::new();
        };
        let by_name = self.owners_differ().then(|| *name < self.local);
        let theirs = self.theirs_at_most().mirror();
        let goes =
            |side: HoldingSet| by_name.unwrap_or_else(|| theirs.has(side) && !self.mine.has(side));
        let groups = self.groups.iter();
        groups
            .filter(|group| self.jobs.runs(&group.key) && self.other_runs(&group.key))
            .filter(|group| goes(self.side_of(group)))
            .map(|group| group.key.clone())
            .collect()
    }

    /// The other node learns what runs here no more, or since now.
    pub(super) fn tell_what_runs(&mut self) {
        let listens = self.other().is_some_and(|(_, peer)| peer.systole);
        if listens && self.nice() && self.phase == Phase::Stable {
            self.answer();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_what_is_no_list_is_no_news() {
        let (a, b) = (GroupKey::new("10.0.0.1"), GroupKey::new("b"));
        let text = names_text(&[&a, &b]).unwrap();
        let names = read_names(&text).unwrap();
        assert!(names.contains(&key_mark(&a)) && names.contains(&key_mark(&b)));
        assert_eq!(names.len(), 2);
        assert_eq!(read_names(&names_text(&[]).unwrap()), Some(BTreeSet::new()));
        for bad in ["", "x", "1234567", "123456789", "0000000g", "00000000."] {
            assert_eq!(read_names(bad), None, "{bad}");
        }
        let many = vec![&a; MOST_NAMED + 1];
        assert_eq!(names_text(&many), None);
        let distinct: Vec<String> = (0..=MOST_NAMED).map(|n| format!("{n:08x}")).collect();
        assert_eq!(read_names(&distinct.join(".")), None);
    }
}
