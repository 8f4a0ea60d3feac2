//! Which node owns what: the audit, and groups that no node runs.
//! Spec: docs/protocol/resources.md, 7.4 and 12.
//!
//! A half that seems to have no owner for a while is taken. But the other node may decide the same
//! in the same moment, and its report may be on its way. So it is asked first, and only what it
//! reports after it has received the question counts. A node that answers a question withdraws its
//! own. If two nodes ask each other at once, neither takes anything, and the node with the shorter
//! wait asks first again: the owner, and of two owners the first by name.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::notice::Notice;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::resources::gate::{Act, Obstacle, Outcome};
use crate::resources::holding::HoldingSet;
use crate::resources::obstacles::Scope;
use crate::resources::parts::standby::Wish;
use crate::resources::parts::timers::Timer;
use crate::resources::parts::unowned::{ANSWER, SECOND_LATER};
use crate::resources::state::{Audit, ResourceState};

impl ResourceState {
    /// Checks which node owns what. Logs only, each condition when it begins.
    /// Spec: docs/protocol/resources.md, 12.
    pub(in crate::resources) fn run_audit(&mut self) {
        if !self.nice() || !self.run.comm_up() || self.other.is_many() || self.counts_by_group() {
            return;
        }
        let (local, foreign) = (HoldingSet::LOCAL, HoldingSet::FOREIGN);
        let settled = self.may(Act::Audit);
        let found = Audit {
            both_own_ours: self.duty.holds(local) && self.other.holds().has(foreign),
            both_own_foreign: self.duty.holds(foreign) && self.other.holds().has(local),
            nobody_owns_local: settled
                && !self.duty.holds(local)
                && !self.other.holds().has(foreign),
            nobody_owns_foreign: settled
                && !self.duty.holds(foreign)
                && !self.other.holds().has(local),
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

    /// Records since when a half has no owner. An interrupted hand-over can leave it so, and legacy
    /// never repairs it. Spec: docs/protocol/resources.md, 7.4, [D].
    pub(in crate::resources) fn look_for_unowned(&mut self) {
        let unowned = |half| self.gate(Act::NoticeUnowned, &Scope::of(half)).is_ok();
        let local = unowned(HoldingSet::LOCAL);
        let foreign = unowned(HoldingSet::FOREIGN);
        self.scripts_matter_no_more();
        self.unowned.found(local, foreign, self.now);
        if !local && !foreign {
            self.withdraw_question();
        }
    }

    pub(in crate::resources) fn unowned_overdue(&mut self) {
        if self.unowned.asked().is_some() {
            if self.timers.take_due(Timer::Unowned, self.now) {
                self.withdraw_question();
                self.unowned.forget();
            }
            return;
        }
        let later = self.later_than_the_other();
        let is_due = |at: Option<Monotonic>| at.is_some_and(|at| at + later <= self.now);
        let mut set = HoldingSet::NONE;
        if is_due(self.unowned.local_due()) {
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
            "no node seems to run them",
        );
        self.timers.set(Timer::Unowned, self.after(ANSWER));
        self.unowned.ask(set);
        self.ask();
    }

    /// A full report of the other node of a pair was received.
    pub(in crate::resources) fn unowned_answered(&mut self, from: &NodeName, report: &Message) {
        let Some(asked) = self.unowned.asked() else {
            return;
        };
        if !self.answers_newest(from, report) {
            return;
        }
        if self.gate(Act::TakeUnowned, &Scope::of(asked)).is_err() {
            return self.withdraw_question();
        }
        // What it has taken meanwhile, or moves, is not unowned.
        let set = self.unowned_of(asked);
        self.question_is_over();
        let set = self.without_what_scripts_may_start(from, set);
        if set.is_none() {
            // A node that received our question waits for a report of ours.
            return self.answer();
        }
        self.warn(format!("nobody runs the {set} resources: taking them"));
        self.decide(
            format!("takes the {set} resources"),
            "no node runs them, and their owner does not take them",
        );
        self.unowned.forget();
        self.take_unowned(set);
    }

    pub(in crate::resources) fn scripts_overdue(&mut self) {
        if !self.loose.scripts_mut().is_overdue(self.now) {
            return;
        }
        let Some((node, _)) = self.other.node() else {
            return;
        };
        let keys = self.groups.keys_of(HoldingSet::FOREIGN);
        self.warn(format!(
            "node {node} reports none of its own resources and has not answered our request for them for a \
             minute: a script runs there or hangs, and may start {}. They are not taken here meanwhile. End the \
             script there; where none runs, hb_standby local there brings them here",
            Self::named(&keys)
        ));
    }

    /// Handles groups that a legacy node and we both claim, when no work is under way.
    pub(in crate::resources) fn settle_beside_legacy(&mut self) {
        let legacy = self.other.nodes().find(|(_, peer)| {
            !peer.is_systole()
                && peer.has_reported()
                && !peer.is_leaving()
                && !peer.has_left()
                && peer.is_active()
        });
        let both = self.duty.held().common(self.other.holds().mirror());
        let Some(node) = legacy.map(|(name, _)| name.clone()) else {
            self.loose.forget();
            return;
        };
        if self.offer_back() || self.offer_what_it_started() {
            return;
        }
        if self.may(Act::HearEarlyDone) && self.hear_early_done() {
            return;
        }
        if both.is_none() {
            self.loose.nothing_is_claimed_twice();
        }
        if both.is_none() || !self.may(Act::SettleClaims) {
            return;
        }
        let refused = both.common(self.groups.done_by_others());
        if !refused.is_none() {
            return self.leave_to_legacy(&node, refused);
        }
        if self.loose.asks() {
            self.decide(
                format!("asks {node} what it holds"),
                format!("both claim the {both} resources"),
            );
            self.ask();
        }
    }

    /// Gives foreign groups back to their owner when no work is under way. Spec:
    /// docs/protocol/resources.md, 6.
    pub(in crate::resources) fn try_failback(&mut self) {
        if !self.failback.is_armed() {
            return;
        }
        match self.gate(Act::Failback, &Scope::of(HoldingSet::FOREIGN)) {
            Ok(()) => {
                self.failback_offered();
                let cause = "auto_failback on: their owner is back and settled";
                self.begin_standby(HoldingSet::FOREIGN, Wish::GoesHome, cause);
            }
            Err(refusal) if refusal.obstacle == Obstacle::NotAPair => {
                self.failback.disarm();
                self.warn("no automatic failback with more than two nodes");
            }
            Err(refusal) if refusal.outcome == Outcome::Drop => self.failback.nothing_to_give(),
            Err(_) => {}
        }
    }

    pub(in crate::resources) fn unowned_deadline(&self) -> Option<Monotonic> {
        if self.unowned.asked().is_some() {
            return None;
        }
        let later = self.later_than_the_other();
        let local = self.unowned.local_due();
        let foreign = self.foreign_due();
        let [local, foreign] = [local, foreign].map(|due| due.map(|due| due + later));
        [local, foreign].into_iter().flatten().min()
    }

    pub(in crate::resources) fn foreign_due(&self) -> Option<Monotonic> {
        let due = self.unowned.foreign_due()?;
        Some(
            self.loose
                .scripts()
                .until()
                .map_or(due, |until| due.max(until)),
        )
    }

    pub(in crate::resources) fn later_than_the_other(&self) -> Duration {
        let second = self.other.names().any(|peer| *peer < *self.setup.local());
        if second { SECOND_LATER } else { Duration::ZERO }
    }

    pub(in crate::resources) fn failback_overdue(&mut self) {
        if self.timers.take_due(Timer::Failback, self.now) {
            self.failback.again();
        }
    }

    /// We hold what was asked for: through the standby that followed, or because we took it
    /// ourselves.
    pub(in crate::resources) const fn scripts_matter_no_more(&mut self) {
        if self.duty.holds(HoldingSet::FOREIGN) {
            self.loose.scripts_matter_no_more();
        }
    }
}
