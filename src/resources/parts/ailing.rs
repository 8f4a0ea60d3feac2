//! Groups of which a monitored resource fails: what their monitors want, and which were moved for that.
//!
//! | | |
//! |---|---|
//! | a restart is wanted | ordered once, as soon as it may begin; the monitors ask again if it is of no use |
//! | restarts do not help, `then = "move"` | the half of the group is offered to the other node, at most once in the group's window |
//! | the other node gave it to us because restarts did not help there | that counts as such a move: it does not go back in the window, and is not given back to its owner |
//! | restarts do not help, `then = "stop"` | the group is stopped once, and stays down |
//! | a person clears it, or it is given to us by a Systole node where it did not fail | nothing of that counts |

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::clock::Monotonic;
use crate::protocol::group::GroupKey;
use crate::protocol::monitor::{Ailment, Then};
use crate::resources::parts::trouble::{LONGEST_PAUSE, MOVE_AFTER};

/// What the monitors want, and what came of it.
#[derive(Debug)]
pub(in crate::resources) struct Ailing {
    /// How long a move counts, of each group with a monitor.
    windows: BTreeMap<GroupKey, Duration>,
    wants: BTreeMap<GroupKey, Ailment>,
    /// When a group was given away, or came here, because a resource failed.
    moved: BTreeMap<GroupKey, Monotonic>,
    came: BTreeMap<GroupKey, Monotonic>,
    /// Groups that are being stopped for good.
    stopping: BTreeSet<GroupKey>,
    /// Groups that were last given away for this.
    given: BTreeSet<GroupKey>,
    /// Nothing is offered before that.
    not_before: Monotonic,
    pause: Duration,
}

impl Ailing {
    /// Nothing fails. `windows`: how long a move counts, of each group with a monitor.
    pub(in crate::resources) const fn new(windows: BTreeMap<GroupKey, Duration>) -> Self {
        Self {
            windows,
            wants: BTreeMap::new(),
            moved: BTreeMap::new(),
            came: BTreeMap::new(),
            stopping: BTreeSet::new(),
            given: BTreeSet::new(),
            not_before: Monotonic::ZERO,
            pause: MOVE_AFTER,
        }
    }

    /// What the monitors of a group want now.
    pub(in crate::resources) fn says(&mut self, key: GroupKey, wants: Option<Ailment>) {
        match wants {
            Some(wants) => drop(self.wants.insert(key, wants)),
            None => drop(self.wants.remove(&key)),
        }
        if self.wants.is_empty() {
            self.not_before = Monotonic::ZERO;
            self.pause = MOVE_AFTER;
        }
    }

    /// Whether no monitor wants anything.
    pub(in crate::resources) fn is_none(&self) -> bool {
        self.wants.is_empty()
    }

    /// Groups of which a resource is to be restarted, and which.
    pub(in crate::resources) fn to_restart(&self) -> Vec<(GroupKey, String)> {
        self.those(|wants| wants.restart)
    }

    /// Groups of which restarts do not help a resource, and which.
    pub(in crate::resources) fn given_up(&self, then: Then) -> Vec<(GroupKey, String)> {
        self.those(|wants| wants.gives_up == Some(then))
    }

    fn those(&self, which: impl Fn(&Ailment) -> bool) -> Vec<(GroupKey, String)> {
        let wants = self.wants.iter().filter(|(_, wants)| which(wants));
        let named = wants.map(|(key, wants)| (key.clone(), wants.resource.clone()));
        named.collect()
    }

    /// The restart is ordered.
    pub(in crate::resources) fn restarts(&mut self, key: &GroupKey) {
        if let Some(wants) = self.wants.get_mut(key) {
            wants.restart = false;
        }
    }

    /// The stop is ordered.
    pub(in crate::resources) fn stops(&mut self, key: &GroupKey) {
        self.wants.remove(key);
        self.stopping.insert(key.clone());
    }

    /// That stop has ended. Whether it stays down: no person has cleared it meanwhile.
    pub(in crate::resources) fn stays_down(&mut self, key: &GroupKey) -> bool {
        self.stopping.remove(key)
    }

    /// Whether nothing was offered for this a moment ago.
    pub(in crate::resources) fn may_offer(&self, now: Monotonic) -> bool {
        self.not_before <= now
    }

    /// A half is being offered for this. `true`: for the first time.
    pub(in crate::resources) fn offers(&mut self, now: Monotonic) -> bool {
        let first = self.not_before == Monotonic::ZERO;
        self.not_before = now + self.pause;
        self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
        first
    }

    /// The group is given to the other node. `true`: because restarts did not help.
    pub(in crate::resources) fn given(&mut self, key: &GroupKey, now: Monotonic) -> bool {
        self.came.remove(key);
        let wants = self.wants.remove(key);
        let failed = wants.is_some_and(|wants| wants.gives_up == Some(Then::Move));
        if failed {
            self.moved.insert(key.clone(), now);
            self.given.insert(key.clone());
        } else {
            self.given.remove(key);
        }
        failed
    }

    /// Whether it was given to the other node for this, when it was given away last.
    pub(in crate::resources) fn was_given(&self, key: &GroupKey) -> bool {
        self.given.contains(key)
    }

    /// The other node gave it to us because restarts did not help there.
    pub(in crate::resources) fn came(&mut self, key: &GroupKey, now: Monotonic) {
        if self.windows.contains_key(key) {
            self.came.insert(key.clone(), now);
        }
    }

    /// The other node ran it well, or a person has repaired it.
    pub(in crate::resources) fn is_well(&mut self, key: &GroupKey) {
        self.moved.remove(key);
        self.came.remove(key);
        self.stopping.remove(key);
    }

    /// Whether it was moved for this within its window, by either node.
    pub(in crate::resources) fn moved_lately(&self, key: &GroupKey, now: Monotonic) -> bool {
        let moved = self.moved.get(key);
        self.counts_until(key, moved)
            .is_some_and(|until| now < until)
            || self.failed_there(key, now)
    }

    /// Whether it came here within its window because restarts did not help there.
    pub(in crate::resources) fn failed_there(&self, key: &GroupKey, now: Monotonic) -> bool {
        let came = self.came.get(key);
        self.counts_until(key, came)
            .is_some_and(|until| now < until)
    }

    fn counts_until(&self, key: &GroupKey, at: Option<&Monotonic>) -> Option<Monotonic> {
        Some(*at? + *self.windows.get(key)?)
    }

    /// When what is wanted may begin: always after `now`.
    pub(in crate::resources) fn deadline(&self, now: Monotonic) -> Option<Monotonic> {
        let wants = self.wants.iter();
        let moves = wants.filter(|(_, wants)| wants.gives_up == Some(Then::Move));
        let counts = moves.flat_map(|(key, _)| {
            let both = [self.moved.get(key), self.came.get(key)];
            both.map(|at| self.counts_until(key, at))
        });
        let offer = (!self.wants.is_empty()).then_some(self.not_before);
        let all = counts.chain([offer]).flatten();
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

    fn moves() -> Option<Ailment> {
        Some(Ailment {
            resource: "nginx".to_owned(),
            restart: true,
            gives_up: Some(Then::Move),
        })
    }

    fn ailing() -> Ailing {
        let mut ailing = Ailing::new(BTreeMap::from([(key(), Duration::from_secs(100))]));
        ailing.says(key(), moves());
        ailing
    }

    #[test]
    fn one_move_in_the_window_and_one_restart_for_each_wish() {
        let mut ailing = ailing();
        assert_eq!(ailing.to_restart().len(), 1);
        ailing.restarts(&key());
        assert_eq!(ailing.to_restart(), []);
        assert!(ailing.may_offer(at(1)) && ailing.offers(at(1)));
        assert!(!ailing.may_offer(at(30)) && ailing.may_offer(at(31)));
        assert!(!ailing.offers(at(31)), "once more");
        assert_eq!(ailing.deadline(at(31)), Some(at(91)));
        assert!(ailing.given(&key(), at(50)));
        assert!(ailing.is_none() && ailing.was_given(&key()));
        assert!(ailing.moved_lately(&key(), at(149)) && !ailing.moved_lately(&key(), at(150)));
        ailing.says(key(), moves());
        assert_eq!(ailing.deadline(at(60)), Some(at(91)));
        assert_eq!(ailing.deadline(at(91)), Some(at(150)));
        ailing.is_well(&key());
        assert!(!ailing.moved_lately(&key(), at(60)));
    }

    #[test]
    fn what_failed_there_does_not_go_back_before_its_window_is_over() {
        let mut ailing = ailing();
        ailing.came(&key(), at(10));
        assert!(ailing.failed_there(&key(), at(109)) && ailing.moved_lately(&key(), at(109)));
        assert!(!ailing.failed_there(&key(), at(110)));
        let other = GroupKey::new("without a monitor");
        ailing.came(&other, at(10));
        assert!(!ailing.failed_there(&other, at(11)));
        ailing.says(key(), None);
        assert!(!ailing.given(&key(), at(20)), "given for another reason");
        assert!(!ailing.was_given(&key()));
        assert!(!ailing.failed_there(&key(), at(20)));
    }
}
