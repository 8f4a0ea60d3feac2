//! Groups that run here and whose addresses nobody reaches here: an interface of theirs is down, or somebody
//! removes an address again and again.
//!
//! | | counts as failed |
//! |---|---|
//! | an interface of its addresses is down, or has no carrier | after the dead time |
//! | an address of it was removed more often than [`TOO_MANY`](crate::policy::address_guard::TOO_MANY) times within a minute | at once |
//!
//! A group that counts as failed goes to the other node with its half, once in [`DAMPER`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::clock::Monotonic;
use crate::protocol::group::GroupKey;
use crate::protocol::links::{Link, OwnLinks};
use crate::protocol::settings::UnservedMove;
use crate::resources::parts::trouble::{LONGEST_PAUSE, MOVE_AFTER};

/// A group that was given away for this is not given away for it again within this time.
pub(in crate::resources) const DAMPER: Duration = LONGEST_PAUSE;

/// When the other node is back, what was between the nodes works again, perhaps the interface itself, and the guard tells that a moment
/// later than a heartbeat that comes over it.
const REST: Duration = Duration::from_secs(2);

/// Why nobody is served by a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Unserved {
    /// An interface is down since then.
    Down(Monotonic),
    /// Somebody removes an address again and again.
    Removed,
}

/// What the guard of the addresses has found, and what came of it.
#[derive(Debug, Default)]
pub(in crate::resources) struct Reach {
    wish: UnservedMove,
    patience: Duration,
    down: BTreeMap<GroupKey, Monotonic>,
    removed: BTreeSet<GroupKey>,
    /// When a group was given away for this.
    moved: BTreeMap<GroupKey, Monotonic>,
    /// Nothing is offered before that.
    not_before: Monotonic,
}

impl Reach {
    /// Nothing is known.
    pub(in crate::resources) const fn new(wish: UnservedMove, patience: Duration) -> Self {
        Self {
            wish,
            patience,
            down: BTreeMap::new(),
            removed: BTreeSet::new(),
            moved: BTreeMap::new(),
            not_before: Monotonic::ZERO,
        }
    }

    /// What the guard has found now.
    pub(in crate::resources) fn found(
        &mut self,
        links: &OwnLinks,
        removed: BTreeSet<GroupKey>,
        now: Monotonic,
    ) {
        let is_down = |key: &GroupKey| links.get(key) == Some(&Link::Down);
        self.down.retain(|key, _| is_down(key));
        for key in links.keys().filter(|key| is_down(key)) {
            self.down.entry(key.clone()).or_insert(now);
        }
        self.removed = removed;
        self.moved.retain(|_, at| now.since(*at) < DAMPER);
    }

    /// Why nobody is served by the group, if that counts by now.
    pub(in crate::resources) fn failed(&self, key: &GroupKey, now: Monotonic) -> Option<Unserved> {
        let long = |at: &&Monotonic| now.since(**at) >= self.patience;
        let down = self
            .down
            .get(key)
            .filter(long)
            .map(|at| Unserved::Down(*at));
        let removed = || self.removed.contains(key).then_some(Unserved::Removed);
        down.or_else(removed)
            .filter(|_| self.wish != UnservedMove::Never)
    }

    /// Groups that count as failed, whether they run here or not.
    pub(in crate::resources) fn all_failed(&self, now: Monotonic) -> Vec<GroupKey> {
        let keys: BTreeSet<&GroupKey> = self.down.keys().chain(&self.removed).collect();
        let failed = keys
            .into_iter()
            .filter(|key| self.failed(key, now).is_some());
        failed.cloned().collect()
    }

    /// Whether the setting lets a group go to a node that does not tell of its interfaces.
    pub(in crate::resources) fn goes_unasked(&self) -> bool {
        self.wish == UnservedMove::Always
    }

    /// Whether it was given away for this a short time ago.
    pub(in crate::resources) fn moved_lately(&self, key: &GroupKey, now: Monotonic) -> bool {
        let lately = |at: &Monotonic| now.since(*at) < DAMPER;
        self.moved.get(key).is_some_and(lately)
    }

    /// Whether nothing was offered for this a moment ago.
    pub(in crate::resources) fn may_offer(&self, now: Monotonic) -> bool {
        self.not_before <= now
    }

    /// The other node is received again: nothing is offered in the next moment.
    pub(in crate::resources) fn other_is_back(&mut self, now: Monotonic) {
        self.not_before = self.not_before.max(now + REST);
    }

    /// A half is being offered for this.
    pub(in crate::resources) fn offers(&mut self, now: Monotonic) {
        self.not_before = now + MOVE_AFTER;
    }

    /// The group is given to the other node. `true`: nobody was served by it here.
    pub(in crate::resources) fn given(&mut self, key: &GroupKey, now: Monotonic) -> bool {
        let failed = self.failed(key, now).is_some();
        if failed {
            self.moved.insert(key.clone(), now);
        }
        failed
    }

    /// When the next group may begin to count as failed, or may move: always after `now`.
    pub(in crate::resources) fn deadline(&self, now: Monotonic) -> Option<Monotonic> {
        if self.wish == UnservedMove::Never || (self.down.is_empty() && self.removed.is_empty()) {
            return None;
        }
        let counts = self.down.values().map(|at| *at + self.patience);
        let damped = self.moved.values().map(|at| *at + DAMPER);
        let all = counts.chain(damped).chain([self.not_before]);
        all.filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_millis(seconds * 1000)
    }

    fn key() -> GroupKey {
        GroupKey::new("a")
    }

    fn links(link: Link) -> OwnLinks {
        OwnLinks::from([(key(), link)])
    }

    #[test]
    fn an_interface_counts_when_it_was_down_for_the_dead_time_without_a_break() {
        let mut reach = Reach::new(UnservedMove::ToOneThatTells, Duration::from_secs(10));
        reach.found(&links(Link::Down), BTreeSet::new(), at(1));
        assert_eq!(reach.deadline(at(1)), Some(at(11)));
        assert_eq!(reach.failed(&key(), at(10)), None);
        reach.found(&links(Link::Unknown), BTreeSet::new(), at(10));
        reach.found(&links(Link::Down), BTreeSet::new(), at(10));
        assert_eq!(reach.failed(&key(), at(11)), None);
        assert_eq!(reach.failed(&key(), at(20)), Some(Unserved::Down(at(10))));
        assert_eq!(reach.all_failed(at(20)), [key()]);
        assert_eq!(reach.deadline(at(20)), None, "nothing is to be waited for");
    }

    #[test]
    fn a_loop_of_removals_counts_at_once_and_the_damper_holds_the_next_move() {
        let mut reach = Reach::new(UnservedMove::Always, Duration::from_secs(10));
        let removed = || BTreeSet::from([key()]);
        reach.found(&links(Link::Up), removed(), at(1));
        assert_eq!(reach.failed(&key(), at(1)), Some(Unserved::Removed));
        assert!(reach.may_offer(at(1)) && !reach.moved_lately(&key(), at(1)));
        reach.offers(at(1));
        assert!(!reach.may_offer(at(30)) && reach.may_offer(at(31)));
        assert!(reach.given(&key(), at(2)));
        assert!(reach.moved_lately(&key(), at(601)) && !reach.moved_lately(&key(), at(602)));
        assert_eq!(reach.deadline(at(31)), Some(at(602)));
        reach.found(&links(Link::Up), BTreeSet::new(), at(3));
        assert!(!reach.given(&key(), at(3)));
        let never = Reach {
            wish: UnservedMove::Never,
            ..reach
        };
        assert_eq!(never.all_failed(at(4)), []);
    }
}
