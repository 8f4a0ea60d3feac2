//! Who owns what: the audit, and groups that nobody runs.
//! Spec: docs/protocol/resources.md, 7.4 and 12.
//!
//! What nobody seems to own for a while is taken, but the other node may come to the same end in the
//! same moment, and its word be on its way. So it is asked first, and only what it says after it has
//! heard the question counts. Whoever answers a question withdraws its own: of two that ask each
//! other at once neither takes anything, and the one that waits less asks first again: the owner, and
//! of two owners the first by name.

use std::time::Duration;

use super::handshake::report;
use super::holding::HoldingSet;
use super::jobs::Purpose;
use super::state::{Audit, Phase, ResourceState};
use crate::clock::Monotonic;
use crate::notice::Notice;
use crate::protocol::event::GroupOrder;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;

/// How long nobody may own our local groups: the owner is the first to repair.
const LOCAL_ORPHANED: Duration = Duration::from_secs(2);
/// How long nobody may own the other side's groups: their owner goes first.
const FOREIGN_ORPHANED: Duration = Duration::from_secs(15);
/// How much longer the node waits that is not the first by name: two that ask each other in the same
/// moment withdraw both, and would do so again and again.
const SECOND_LATER: Duration = Duration::from_secs(1);
/// How long the other node may take to answer before it is asked again.
const ANSWER: Duration = Duration::from_secs(10);

/// The other node was asked whether it runs something.
#[derive(Debug, Clone, Copy)]
pub(super) struct OrphansAsked {
    set: HoldingSet,
    until: Monotonic,
}

impl ResourceState {
    /// Checks who owns what. Logs only, each condition when it begins.
    /// Spec: docs/protocol/resources.md, 12.
    pub(super) fn run_audit(&mut self) {
        if !self.nice() || !self.comm_up || self.peers.len() > 1 || self.counts_by_group() {
            return;
        }
        let (local, foreign) = (HoldingSet::LOCAL, HoldingSet::FOREIGN);
        let settled =
            self.is_stable() && !self.stopping() && !self.frozen && self.phase == Phase::Stable;
        let found = Audit {
            both_own_ours: self.mine.has(local) && self.theirs.has(foreign),
            both_own_foreign: self.mine.has(foreign) && self.theirs.has(local),
            nobody_owns_local: settled && !self.mine.has(local) && !self.theirs.has(foreign),
            nobody_owns_foreign: settled && !self.mine.has(foreign) && !self.theirs.has(local),
        };
        let known = std::mem::replace(&mut self.audit, found);
        for (now, before, notice) in [
            (
                found.both_own_ours,
                known.both_own_ours,
                Notice::BothOwnOurs {},
            ),
            (
                found.both_own_foreign,
                known.both_own_foreign,
                Notice::BothOwnForeign {},
            ),
            (
                found.nobody_owns_local,
                known.nobody_owns_local,
                Notice::NobodyOwnsLocal {},
            ),
            (
                found.nobody_owns_foreign,
                known.nobody_owns_foreign,
                Notice::NobodyOwnsForeign {},
            ),
        ] {
            if now && !before {
                self.notice(notice);
            }
        }
    }

    /// Notes since when a half is without an owner: an interrupted hand-over leaves it so, and
    /// legacy never repairs it. Spec: docs/protocol/resources.md, 7.4, [D].
    pub(super) fn look_for_orphans(&mut self) {
        let settled = self.nice()
            && self.is_pair()
            && self.is_stable()
            && !self.stopping()
            && !self.frozen
            && self.phase == Phase::Stable
            && self.peer_active();
        let theirs = self.theirs_at_most();
        let orphaned = |half: HoldingSet| {
            let claimed = theirs.has(half.mirror()) || self.all_run_there(half);
            settled && !self.mine.has(half) && !claimed
        };
        let local = orphaned(HoldingSet::LOCAL);
        let foreign = orphaned(HoldingSet::FOREIGN);
        let now = self.now;
        let since = |known: Option<Monotonic>, found: bool| found.then(|| known.unwrap_or(now));
        self.scripts_matter_no_more();
        self.timers.local_orphaned = since(self.timers.local_orphaned, local);
        self.timers.foreign_orphaned = since(self.timers.foreign_orphaned, foreign);
        if !local && !foreign {
            self.withdraw_question();
        }
    }

    /// What was asked does not matter any more. Whoever heard it waits for a word of ours.
    fn withdraw_question(&mut self) {
        if self.timers.orphans_asked.take().is_some() && self.comm_up && !self.stopping() {
            self.answer();
        }
    }

    pub(super) fn orphans_deadline(&self) -> Option<Monotonic> {
        if let Some(asked) = self.timers.orphans_asked {
            return Some(asked.until);
        }
        let later = self.later_than_the_other();
        let local = self.timers.local_orphaned.map(|at| at + LOCAL_ORPHANED);
        let foreign = self.foreign_due();
        let [local, foreign] = [local, foreign].map(|due| due.map(|due| due + later));
        [local, foreign].into_iter().flatten().min()
    }

    fn foreign_due(&self) -> Option<Monotonic> {
        let orphaned = self.timers.foreign_orphaned?;
        let due = orphaned + FOREIGN_ORPHANED;
        Some(self.scripts_until().map_or(due, |until| due.max(until)))
    }

    fn later_than_the_other(&self) -> Duration {
        let second = self.peers.keys().any(|peer| *peer < self.local);
        if second { SECOND_LATER } else { Duration::ZERO }
    }

    pub(super) fn orphans_overdue(&mut self) {
        if let Some(asked) = self.timers.orphans_asked {
            if asked.until <= self.now {
                self.withdraw_question();
                self.timers.local_orphaned = None;
                self.timers.foreign_orphaned = None;
            }
            return;
        }
        let later = self.later_than_the_other();
        let is_due = |at: Option<Monotonic>| at.is_some_and(|at| at + later <= self.now);
        let mut set = HoldingSet::NONE;
        if is_due(self.timers.local_orphaned.map(|at| at + LOCAL_ORPHANED)) {
            set = set.with(HoldingSet::LOCAL);
        }
        if is_due(self.foreign_due()) {
            set = set.with(HoldingSet::FOREIGN);
        }
        if set.is_none() {
            return;
        }
        self.decide(
            format!("asks the other node about the {set} resources"),
            "nobody seems to run them",
        );
        let until = self.after(ANSWER);
        self.timers.orphans_asked = Some(OrphansAsked { set, until });
        self.ask();
    }

    /// A full report of the other node of a pair came.
    pub(super) fn orphans_answered(&mut self, from: &NodeName, report: &Message) {
        let Some(asked) = self.timers.orphans_asked else {
            return;
        };
        if !self.answers_newest(from, report) {
            return;
        }
        // What it has taken meanwhile, or moves, is no orphan.
        let owned = self.mine.with(self.theirs_at_most().mirror());
        let set = asked.set.without(owned);
        let settled = self.is_stable() && self.phase == Phase::Stable && !self.frozen;
        if set.is_none() || !settled {
            return self.withdraw_question();
        }
        self.timers.orphans_asked = None;
        let set = self.without_what_scripts_may_start(from, set);
        if set.is_none() {
            // Whoever heard our question waits for a word of ours.
            return self.answer();
        }
        self.warn(format!("nobody runs the {set} resources: taking them"));
        self.decide(
            format!("takes the {set} resources"),
            "nobody runs them, and the node that should does not take them",
        );
        self.timers.local_orphaned = None;
        self.timers.foreign_orphaned = None;
        self.take_orphans(set);
    }

    /// Starts groups that nobody runs.
    pub(super) fn take_orphans(&mut self, set: HoldingSet) {
        self.mine = self.mine.with(set);
        let keys = self.not_elsewhere(self.keys_of(set));
        self.jobs.add(Purpose::Reclaim, keys, GroupOrder::Start);
        self.send(report(self.mine, false, None));
    }

    /// Orphaned groups are ours now.
    pub(super) fn reclaimed(&mut self) {
        if self.phase == Phase::Stable {
            self.answer();
        }
    }
}
