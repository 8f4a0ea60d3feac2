//! Groups that failed to start: moved to the other node once, else tried again.
//! Spec: docs/protocol/resources.md, 9.3, [D].
//!
//! | The group came here | It does not start | Then |
//! |---|---|---|
//! | by a standby of a Systole node, which ran it | first failure | back at once, when both have said that the standby is over |
//! | by a standby of a node that says it failed there, or to which it went for that a short time ago | first failure | it starts on neither node: tried here ever more rarely |
//! | in any other way | first failure | to the other node after 30 s, as legacy does |
//! | in any way | nobody to take it, or a later failure | tried here ever more rarely |
//!
//! A failure counts against a node for what it was given last only: the next hand-over is a new case.

use std::collections::BTreeSet;
use std::time::Duration;

use super::holding::HoldingSet;
use super::jobs::Purpose;
use super::standby::{Standby, Wish};
use super::state::{Phase, ResourceState};
use crate::clock::Monotonic;
use crate::notice::Notice;
use crate::protocol::event::{Action, GroupOrder, GroupOutcome, OrderId};
use crate::protocol::field;
use crate::protocol::group::GroupKey;
use crate::protocol::haresources_mark::key_mark;
use crate::protocol::message::Message;

/// Pause before a failed group is moved. Spec: docs/protocol/membership.md, 2, fixed times.
const MOVE_AFTER: Duration = Duration::from_secs(30);
/// Longest pause between two attempts to start it here.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Pause before an address that another host has is asked for again.
const TAKEN_AGAIN: Duration = Duration::from_secs(10);
/// Longest list of failed groups in a message, in bytes. What does not fit stands behind it by its mark,
/// as in the names of reports: one that is left out would be thrown back at once, and again and again.
const LONGEST_LIST: usize = 512;
/// A legacy giver does not say what failed there, but gives foreign groups for that, and no others. Ours
/// that it gives so soon after they were given to it for a failure here may have failed there; later they
/// have run there.
const MAY_HAVE_FAILED_THERE: Duration = LONGEST_PAUSE;
/// Pause when the moment is not good.
const AGAIN: Duration = Duration::from_secs(1);

/// A group that does not start here.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// When something is done about it.
    at: Monotonic,
    /// Pause after the next failure.
    pause: Duration,
    /// It was given to the other node for this once. It is not thrown back for ever: every node
    /// gives a group away at most once between two successful starts.
    moved: bool,
    /// Another host has its address.
    taken: bool,
    /// The node that gave it to us runs it again as soon as it can take it.
    returns: bool,
}

impl ResourceState {
    /// Whether a foreign group waits until another host lets go of its address, and its owner shall
    /// wait, too. A legacy owner may be that host, with what an earlier run left behind; one of ours
    /// removes that by itself.
    pub(super) fn failback_must_wait(&self) -> bool {
        self.peers.values().all(|peer| peer.systole)
            && self
                .keys_of(HoldingSet::FOREIGN)
                .iter()
                .any(|key| self.failures.get(key).is_some_and(|known| known.taken))
    }

    /// What of our duty another host does: the halves of which every group was refused because its
    /// address is taken, and all of it when nothing else is there to run.
    pub(super) fn done_by_others(&self) -> HoldingSet {
        let refused = |key: &GroupKey| self.failures.get(key).is_some_and(|known| known.taken);
        let all_of = |set| {
            let keys = self.keys_of(set);
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

    /// A group's actor finished an order.
    pub(super) fn group_done(&mut self, order: OrderId, group: &GroupKey, outcome: GroupOutcome) {
        if !self.jobs.done(order, group, &outcome) {
            self.debug(format!("unknown order of group {group} ended"));
            return;
        }
        match outcome {
            GroupOutcome::Started => {
                self.moved.remove(group);
                self.given_by_key.remove(group);
                self.confirmed(Some(group));
                let was_taken = self.failures.remove(group).is_some_and(|known| known.taken);
                if was_taken && self.nice() && self.phase == Phase::Stable {
                    // What we weigh has changed for whoever hears us.
                    self.answer();
                }
            }
            GroupOutcome::Stopped => {
                self.failures.remove(group);
            }
            GroupOutcome::StartFailed { resource, code } => {
                self.decide(
                    format!("stops group {group} again"),
                    format!("{resource} did not start, exit code {code}"),
                );
                if self.failures.contains_key(group) {
                    self.info(format!(
                        "group {group} still does not start: {resource} failed"
                    ));
                } else {
                    self.notice(Notice::GivingUpDueToFailure { resource });
                }
                self.start_failed(group);
            }
            GroupOutcome::AddressTaken { claim } => {
                let text =
                    format!("group {group} is not started: another host has its address: {claim}");
                if self.failures.get(group).is_some_and(|known| known.taken) {
                    // Asked again every ten seconds: said once.
                    self.debug(text);
                } else {
                    self.notice(Notice::OtherCrit { text });
                    self.decide(
                        format!("does not start group {group}"),
                        format!("another host has its address: {claim}"),
                    );
                    self.say_who_may_run_it(group);
                }
                self.address_taken(group);
            }
            GroupOutcome::StopFailed { resource } => {
                self.notice(Notice::StopFailure {
                    resource: resource.clone(),
                });
                self.decide(
                    "reboots the machine",
                    format!("{resource} of group {group} cannot be stopped and must not run twice"),
                );
                self.act(Action::RebootMachine { resource });
            }
        }
    }

    /// The other node is gone, and whatever it had: what was refused for that is tried at once.
    pub(super) fn addresses_are_free(&mut self) {
        let now = self.now;
        for failure in self.failures.values_mut().filter(|known| known.taken) {
            failure.at = now;
        }
    }

    fn start_failed(&mut self, group: &GroupKey) {
        if self.stopping() || self.phase == Phase::Shutdown {
            return;
        }
        let pause = self
            .failures
            .get(group)
            .map_or(MOVE_AFTER, |known| known.pause);
        let moved = self.moved.contains_key(group);
        let returns = !moved && self.is_given_now(group);
        if moved && !self.failures.contains_key(group) {
            self.notice(Notice::OtherCrit {
                text: format!(
                    "group {group} starts on neither node: it stays down (hb_takeover tries at once)"
                ),
            });
        }
        let failure = Failure {
            at: self.after(pause),
            pause: pause.saturating_mul(2).min(LONGEST_PAUSE),
            moved,
            taken: false,
            returns,
        };
        self.failures.insert(group.clone(), failure);
    }

    /// Whether a Systole node is giving us the group: it has just stopped it.
    fn is_given_now(&self, key: &GroupKey) -> bool {
        self.standby == Standby::Taking
            && self.peers.values().all(|peer| peer.systole)
            && self.keys_of(self.sb_set.mirror()).contains(key)
    }

    /// A group that is held and does not run, nobody knows why: tried here as soon as that may be.
    pub(super) fn start_when_settled(&mut self, key: GroupKey) {
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
    pub(super) fn the_moment_is_good(&mut self) {
        let (now, soon) = (self.now, self.after(AGAIN));
        let waits = |failure: &&mut Failure| failure.moved && failure.at <= soon;
        for failure in self.failures.values_mut().filter(waits) {
            failure.at = now;
        }
    }

    /// Looked at again soon; never moved, because the other node would find the same.
    fn address_taken(&mut self, group: &GroupKey) {
        if self.stopping() || self.phase == Phase::Shutdown {
            return;
        }
        let failure = Failure {
            at: self.after(TAKEN_AGAIN),
            pause: MOVE_AFTER,
            moved: true,
            taken: true,
            returns: false,
        };
        self.failures.insert(group.clone(), failure);
    }

    /// The groups of `set` that are given away because they did not start here, for a node that
    /// understands it.
    pub(super) fn failed_of(&self, set: HoldingSet) -> Option<String> {
        if !self.peers.values().all(|peer| peer.systole) {
            return None;
        }
        let mut list = String::new();
        let keys = self.keys_of(set);
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
    pub(super) fn note_failed_there(&mut self, message: &Message, set: HoldingSet) {
        // Whatever fails there, a legacy node gives what it holds of ours for that.
        let legacy = !self.peers.values().all(|peer| peer.systole);
        let for_a_failure = legacy && self.sb_set == HoldingSet::FOREIGN;
        let now = self.now;
        for key in self.keys_of(set) {
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
        let keys = self.groups.iter().map(|group| &group.key);
        let failed: Vec<GroupKey> = keys.filter(listed).cloned().collect();
        self.moved.extend(failed.into_iter().map(|key| (key, now)));
    }

    /// The other node is settled: what does not start here can be offered to it soon, however
    /// long the pause between our own attempts has grown.
    pub(super) fn somebody_can_take(&mut self) {
        let (now, soon) = (self.now, self.after(MOVE_AFTER));
        for failure in self.failures.values_mut().filter(|known| !known.moved) {
            let due = if failure.returns { now } else { soon };
            failure.at = failure.at.min(due);
        }
    }

    pub(super) fn failures_deadline(&self) -> Option<Monotonic> {
        // Nothing is tried before the thaw.
        let due = self.failures.values().map(|failure| failure.at).min();
        due.filter(|_| !self.frozen && !self.unheard_with_groups())
    }

    pub(super) fn failures_overdue(&mut self) {
        // Who is not heard looks at each beat of the other node, see `unheard.rs`.
        if self.frozen || self.unheard_with_groups() {
            return;
        }
        let now = self.now;
        let due: Vec<(GroupKey, bool)> = self
            .failures
            .iter()
            .filter(|(_, failure)| failure.at <= now)
            .map(|(key, failure)| (key.clone(), failure.moved))
            .collect();
        // All of them one after the other, as of a takeover, and not one each second.
        let mut tried = Vec::new();
        for (key, moved) in due {
            if self.mend(&key, moved, !tried.is_empty()) {
                tried.push(key);
            }
        }
        if !tried.is_empty() {
            self.jobs.add(Purpose::Retry, tried, GroupOrder::Start);
        }
    }

    /// Whether a group that is held and does not run may be tried again by now.
    pub(super) fn is_due(&self, key: &GroupKey) -> bool {
        let failure = self.failures.get(key);
        !self.jobs.runs(key) && failure.is_none_or(|failure| failure.at <= self.now)
    }

    /// `true`: the group is to be tried here now. `busy`: so is another.
    fn mend(&mut self, key: &GroupKey, moved: bool, busy: bool) -> bool {
        let Some(side) = self
            .groups
            .iter()
            .find(|group| group.key == *key)
            .map(|group| self.side_of(group))
        else {
            self.failures.remove(key);
            return false;
        };
        if self.jobs.runs(key) || (self.nice() && !self.mine.has(side)) {
            self.failures.remove(key);
            return false;
        }
        // What the other side may still run is not tried here.
        // Of two that claim it, name what they run and run none of it, the owner tries.
        let named = self.other().is_some_and(|(_, peer)| peer.names.is_some());
        let first = named && side == HoldingSet::LOCAL;
        let claimed = self.theirs_at_most().has(side.mirror()) && !self.counts_by_group() && !first;
        let theirs = self.nice()
            && (!self.all_living_reported()
                || self.somebody_is_leaving()
                || self.other_runs(key)
                || self.must_be_confirmed(key)
                || (self.is_pair() && !self.all_peers_gone() && claimed));
        let quiet = !self.jobs.running()
            && self.standby == Standby::Not
            && self.phase == Phase::Stable
            && !self.contested()
            && !theirs;
        if !quiet {
            let at = self.after(AGAIN);
            if let Some(failure) = self.failures.get_mut(key) {
                failure.at = at;
            }
            return false;
        }
        if !self.nice() && self.peer_active() {
            // Without reports only the owner may start it unasked, and it asks first.
            self.failures.remove(key);
            if side == HoldingSet::LOCAL {
                self.ask_for(key);
            }
            return false;
        }
        let movable = self.nice()
            && !moved
            && self.is_pair()
            && self.other_stable
            && self.phase == Phase::Stable
            && self.hand_over_obstacle(side).is_none()
            && self.peer_active();
        if movable {
            // Forgotten when it is given up, not before: the other node may go or refuse.
            let at = self.after(if busy { AGAIN } else { MOVE_AFTER });
            if let Some(failure) = self.failures.get_mut(key) {
                failure.at = at;
            }
            if busy {
                return false;
            }
            let set = if side == HoldingSet::LOCAL {
                "local"
            } else {
                "foreign"
            };
            self.warn(format!(
                "group {key} does not start here: {set} resources move to the other node"
            ));
            let cause = format!("group {key} does not start here");
            self.begin_standby(side, Wish::NotStarted, &cause);
            return false;
        }
        self.info(format!("group {key} failed to start: trying again"));
        self.decide(
            format!("tries to start group {key} again"),
            "it is held and does not run",
        );
        let at = self.after(LONGEST_PAUSE);
        if let Some(failure) = self.failures.get_mut(key) {
            failure.at = at;
        }
        true
    }
}
