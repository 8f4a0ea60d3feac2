//! Groups whose start failed here: what of that concerns the other node.

use std::collections::BTreeSet;

use crate::protocol::field;
use crate::protocol::group::GroupKey;
use crate::protocol::haresources_mark::key_mark;
use crate::protocol::message::Message;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::trouble::LONGEST_LIST;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Whether a foreign group waits until another host releases its address, so that its failback
    /// waits too. Not beside a legacy owner: it may be that host, with an address left by an
    /// earlier run. A Systole owner removes such an address itself.
    pub(in crate::resources) fn failback_must_wait(&self) -> bool {
        let mut foreign = self.groups.of(HoldingSet::FOREIGN);
        self.other.all_systole() && foreign.any(|key| self.groups.has_address_taken(key))
    }

    /// The groups of `set` that are given away because their start failed here. Only for a node
    /// that understands this list.
    pub(in crate::resources) fn failed_of(&self, set: HoldingSet) -> Option<String> {
        if !self.other.all_systole() {
            return None;
        }
        let mut list = String::new();
        let keys = self.groups.of(set);
        for key in keys.filter(|key| self.groups.is_passed_on(key)) {
            let length = list.len().saturating_add(key.as_str().len());
            if length < LONGEST_LIST {
                list.push_str(key.as_str());
            } else {
                list.push_str(&key_mark(key));
            }
            list.push(' ');
        }
        (!list.is_empty()).then(|| list.trim_end().to_owned())
    }

    /// The giver of a standby is done, and reports which groups of `set` failed there.
    pub(in crate::resources) fn note_failed_there(&mut self, message: &Message, set: HoldingSet) {
        // A legacy node gives what it holds of ours because of any failure there.
        let legacy = !self.other.all_systole();
        let for_a_failure = legacy && set == HoldingSet::LOCAL;
        let list = message.text(field::FAILED).unwrap_or_default();
        let words: BTreeSet<&str> = list.split(' ').collect();
        let failed =
            |key: &GroupKey| words.contains(key.as_str()) || words.contains(key_mark(key).as_str());
        self.groups
            .given_to_us(set, failed, for_a_failure, self.now);
    }
}
