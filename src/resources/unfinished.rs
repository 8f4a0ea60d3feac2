//! What runs here and what is held have come apart. A process or a core that began anew finds it so: it
//! goes on where another was in the middle of its work. Each group is brought to where the node's word
//! says that it belongs.
//!
//! | The group's side | The group | Order | Because |
//! |---|---|---|---|
//! | is held | had an order in hand | start | the others count on us, whether it was being started or stopped: the new generation ends every hand-over |
//! | is held | runs | - | nothing is to be done |
//! | is held | does not run | start, when all is settled | it failed before, or is new in haresources; or the work was to come to it next, but may have waited there for the report of a node that is back |
//! | is not held | runs, or had an order in hand | stop | we have said that we give it up; the other node may run it |
//! | was given to us in a standby that is still open | had an order in hand, or does not run | start | the standby goes on, see `left_open.rs` |
//! | is not held | is left to its owner by a change of haresources | -, or stop when everything was being released | nobody has given it up, see `by_group.rs` |
//! | `auto_failback legacy`, everything was being released | runs, or had an order in hand | stop | another node may run it, and no report of ours ever said so |
//! | `auto_failback legacy`, else | runs, and had an order in hand | start | nobody has given it up; who asked for it asks again |
//! | `auto_failback legacy`, else | does not run, and had an order in hand | - | it was being stopped; its owner may run it, or asks |
//!
//! Both orders are safe to give twice: a start asks the scripts first, and a stop of what does not run
//! succeeds. The actors wait for scripts of the earlier daemon first.
//!
//! A release of several groups stops one after the other, and gives its word before the first. So what
//! runs and is not held is the rest of a release that was cut short: its addresses go at once, and it is
//! reported as still being released until it is stopped.

use std::collections::BTreeSet;

use super::holding::HoldingSet;
use super::jobs::Purpose;
use super::standby::Standby;
use super::state::{Phase, ResourceState};
use crate::protocol::event::{Action, GroupOrder};
use crate::protocol::group::GroupKey;

impl ResourceState {
    /// Everything was being released when the process or its core began anew. Call before
    /// [`finish`](Self::finish).
    pub const fn keep_release(&mut self) {
        self.released_before = true;
    }

    /// Call after [`resume`](Self::resume), with the groups that had an order in hand. Keys that are
    /// not ours are left out.
    pub fn finish(&mut self, unfinished: impl IntoIterator<Item = GroupKey>) {
        let unfinished: BTreeSet<GroupKey> = unfinished.into_iter().collect();
        if self.released_before && !self.nice() {
            return self.go_on_releasing(unfinished);
        }
        let (mut starts, mut stops) = (Vec::new(), Vec::new());
        let taken = self.left_to_take(|key| unfinished.contains(key));
        for (key, side) in self.keys_and_sides() {
            let in_hand = unfinished.contains(&key);
            if !self.jobs.runs(&key) && (!in_hand || !self.nice()) {
                // What is being started is named among what runs: this was a stop. Where nobody says what
                // he holds, its owner may run it by now.
                continue;
            }
            self.jobs.note_running(&key);
            let held = !self.nice() || self.mine.has(side);
            if held && in_hand {
                self.failures.remove(&key);
                self.decide(
                    format!("orders group {key} to start"),
                    "an order for it was in hand when the process or its core began anew",
                );
                if !taken.contains(&key) {
                    starts.push(key);
                }
            } else if !held && (self.released_before || !self.left.contains(&key)) {
                self.left.remove(&key);
                stops.push(key);
            }
        }
        if !starts.is_empty() {
            self.jobs.add(Purpose::Retry, starts, GroupOrder::Start);
        }
        self.take_the_rest(taken);
        self.release_rest(stops);
    }

    /// The same at run time, when the node has nothing to do: one look each time that it comes to rest.
    /// `true`: there is something to stop.
    ///
    /// With more than two nodes one bit stands for several owners, and says nothing of one group.
    pub(super) fn bring_together(&mut self) -> bool {
        let at_rest = self.nice()
            && self.peers.len() <= 1
            && self.phase == Phase::Stable
            && self.standby == Standby::Not
            && !self.jobs.running()
            && !self.frozen
            && !self.stopping();
        if !at_rest {
            self.looked_at = None;
            return false;
        }
        if self.looked_at.replace(self.mine) == Some(self.mine) {
            return false;
        }
        let mut stops = Vec::new();
        for (key, side) in self.keys_and_sides() {
            let (held, runs) = (self.mine.has(side), self.jobs.runs(&key));
            if runs && !held && !self.left.contains(&key) {
                stops.push(key);
            } else if held
                && !runs
                && !self.failures.contains_key(&key)
                && !self.given_by_key.contains(&key)
            {
                self.start_when_settled(key);
            }
        }
        let any = !stops.is_empty();
        self.release_rest(stops);
        any
    }

    /// Without reports nothing else tells that we have given it all up.
    fn go_on_releasing(&mut self, unfinished: BTreeSet<GroupKey>) {
        for key in unfinished {
            self.jobs.note_running(&key);
        }
        if self.jobs.held().next().is_none() {
            return;
        }
        let cause = "everything was being released when the process or its core began anew";
        self.warn("stopping everything, the rest of a release");
        self.decide("releases everything", cause);
        self.left.clear();
        self.act(Action::WithdrawAddresses(self.keys_of(HoldingSet::ALL)));
        self.release_all("shutdown");
    }

    fn release_rest(&mut self, keys: Vec<GroupKey>) {
        let named = Self::named(&keys);
        self.release_unheld(
            keys,
            &format!("stopping what runs here and is not held, the rest of a release: {named}"),
            "it runs and is not held: a release of it was cut short, and another node may run it",
        );
    }

    /// Stops what runs and is not held. Whoever asks meanwhile hears that it is not released yet.
    pub(super) fn release_unheld(&mut self, keys: Vec<GroupKey>, text: &str, cause: &str) {
        if keys.is_empty() {
            return;
        }
        self.warn(text);
        self.decide(format!("stops {}", Self::named(&keys)), cause);
        for (key, side) in self.keys_and_sides() {
            if keys.contains(&key) {
                self.failures.remove(&key);
                self.releasing = self.releasing.with(side);
            }
        }
        self.act(Action::WithdrawAddresses(keys.clone()));
        self.jobs.add(Purpose::Give, keys, GroupOrder::Stop);
    }

    /// The halves of which a group runs here, or may run.
    pub(super) fn running_halves(&self) -> HoldingSet {
        self.keys_and_sides()
            .into_iter()
            .filter(|(key, _)| self.jobs.runs(key))
            .fold(HoldingSet::NONE, |sum, (_, side)| sum.with(side))
    }

    fn keys_and_sides(&self) -> Vec<(GroupKey, HoldingSet)> {
        let groups = self.groups.iter();
        groups
            .map(|group| (group.key.clone(), self.side_of(group)))
            .collect()
    }
}
