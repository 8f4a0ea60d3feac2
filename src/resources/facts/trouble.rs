//! Groups that do not start: when they are tried again, and who else could run them.

use std::collections::BTreeSet;

use crate::protocol::field;
use crate::protocol::group::GroupKey;
use crate::protocol::haresources_mark::key_mark;
use crate::protocol::message::Message;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::trouble::{
    Failure, LONGEST_LIST, MAY_HAVE_FAILED_THERE, MOVE_AFTER, TRY_SOON,
};
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Whether a foreign group waits until another host lets go of its address, and its owner shall
    /// wait, too. A legacy owner may be that host, with what an earlier run left behind; one of ours
    /// removes that by itself.
    pub(in crate::resources) fn failback_must_wait(&self) -> bool {
        self.peers.values().all(Peer::is_systole)
            && self
                .groups
                .keys_of(HoldingSet::FOREIGN)
                .iter()
                .any(|key| self.failures.get(key).is_some_and(|known| known.taken))
    }

    /// What of our duty another host does: the halves of which every group was refused because its
    /// address is taken, and all of it when nothing else is there to run.
    pub(in crate::resources) fn done_by_others(&self) -> HoldingSet {
        let refused = |key: &GroupKey| self.failures.get(key).is_some_and(|known| known.taken);
        let all_of = |set| {
            let keys = self.groups.keys_of(set);
            !keys.is_empty() && keys.iter().all(refused)
        };
        if all_of(HoldingSet::ALL) {
            return HoldingSet::ALL;
        }
        [HoldingSet::LOCAL, HoldingSet::FOREIGN]
            .into_iter()
            .filter(|half| all_of(*half))
            .fold(HoldingSet::NONE, HoldingSet::with)
    }

    /// The other node is gone, and whatever it had: what was refused for that is tried at once.
    pub(in crate::resources) fn addresses_are_free(&mut self) {
        let now = self.now;
        for failure in self.failures.values_mut().filter(|known| known.taken) {
            failure.at = now;
        }
    }

    /// A group that is held and does not run, nobody knows why: tried here as soon as that may be.
    pub(in crate::resources) fn start_when_settled(&mut self, key: GroupKey) {
        let failure = Failure {
            at: self.now,
            pause: MOVE_AFTER,
            moved: true,
            taken: false,
            returns: false,
        };
        self.failures.insert(key, failure);
    }

    /// What was due and could not be tried here, because the other node had not reported, may be tried.
    pub(in crate::resources) fn the_moment_is_good(&mut self) {
        let (now, soon) = (self.now, self.after(TRY_SOON));
        let waits = |failure: &&mut Failure| failure.moved && failure.at <= soon;
        for failure in self.failures.values_mut().filter(waits) {
            failure.at = now;
        }
    }

    /// The groups of `set` that are given away because they did not start here, for a node that
    /// understands it.
    pub(in crate::resources) fn failed_of(&self, set: HoldingSet) -> Option<String> {
        if !self.peers.values().all(Peer::is_systole) {
            return None;
        }
        let mut list = String::new();
        let keys = self.groups.keys_of(set);
        for key in keys.iter().filter(|key| self.moved.contains_key(*key)) {
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

    /// The giver of a standby is done. What failed there is not given back when it fails here as well;
    /// everything else of `set` ran there, whatever became of it here an earlier time.
    pub(in crate::resources) fn note_failed_there(&mut self, message: &Message, set: HoldingSet) {
        // Whatever fails there, a legacy node gives what it holds of ours for that.
        let legacy = !self.peers.values().all(Peer::is_systole);
        let for_a_failure = legacy && self.sb_set == HoldingSet::FOREIGN;
        let now = self.now;
        for key in self.groups.keys_of(set) {
            self.failures.remove(&key);
            let moved = self.moved.get(&key);
            let unclear =
                for_a_failure && moved.is_some_and(|at| now.since(*at) < MAY_HAVE_FAILED_THERE);
            if !unclear {
                self.moved.remove(&key);
            }
        }
        let list = message.text(field::FAILED).unwrap_or_default();
        let words: BTreeSet<&str> = list.split(' ').collect();
        let listed = |key: &&GroupKey| {
            words.contains(key.as_str()) || words.contains(key_mark(key).as_str())
        };
        let all = self.groups.of(HoldingSet::ALL);
        let failed: Vec<GroupKey> = all.filter(listed).cloned().collect();
        self.moved.extend(failed.into_iter().map(|key| (key, now)));
    }

    /// The other node is settled: what does not start here can be offered to it soon, however
    /// long the pause between our own attempts has grown.
    pub(in crate::resources) fn somebody_can_take(&mut self) {
        let (now, soon) = (self.now, self.after(MOVE_AFTER));
        for failure in self.failures.values_mut().filter(|known| !known.moved) {
            let due = if failure.returns { now } else { soon };
            failure.at = failure.at.min(due);
        }
    }

    /// Whether a group that is held and does not run may be tried again by now.
    pub(in crate::resources) fn is_due(&self, key: &GroupKey) -> bool {
        let failure = self.failures.get(key);
        !self.groups.runs(key) && failure.is_none_or(|failure| failure.at <= self.now)
    }
}
