//! Groups that do not start here: what of that concerns the other node.

use std::collections::BTreeSet;

use crate::protocol::field;
use crate::protocol::group::GroupKey;
use crate::protocol::haresources_mark::key_mark;
use crate::protocol::message::Message;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::trouble::LONGEST_LIST;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Whether a foreign group waits until another host lets go of its address, and its owner shall
    /// wait, too. A legacy owner may be that host, with what an earlier run left behind; one of ours
    /// removes that by itself.
    pub(in crate::resources) fn failback_must_wait(&self) -> bool {
        let mut foreign = self.groups.of(HoldingSet::FOREIGN);
        self.other.all_systole() && foreign.any(|key| self.groups.has_address_taken(key))
    }

    /// The groups of `set` that are given away because they did not start here, for a node that
    /// understands it.
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

    /// The giver of a standby is done, and says what of `set` failed there.
    pub(in crate::resources) fn note_failed_there(&mut self, message: &Message, set: HoldingSet) {
        // Whatever fails there, a legacy node gives what it holds of ours for that.
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
