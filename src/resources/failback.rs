//! Automatic failback: what came from a dead node goes back to it.
//! Spec: docs/protocol/resources.md, 6.
//!
//! | an offer of it | then |
//! |---|---|
//! | is answered | it is over, whatever the operators do with the groups later |
//! | is not answered | again after a minute, twice as long and so on, three times; then when the other side next turns stable |
//! | ends with a new run of the other side | again when that is settled |

use std::time::Duration;

use super::holding::HoldingSet;
use super::standby::{Standby, Wish};
use super::state::{Phase, ResourceState};
use crate::protocol::settings::AutoFailback;

/// Pause after an offer that was not answered; doubled each time.
const AGAIN: Duration = Duration::from_secs(60);
/// So often an offer is repeated before the other side has turned stable again.
const TRIES: u8 = 3;

impl ResourceState {
    /// The other side did not answer our offer.
    pub(super) fn failback_unanswered(&mut self, wish: Wish) {
        if wish != Wish::GoesHome {
            return;
        }
        self.failback_due = true;
        if self.failback_tries < TRIES {
            let pause = AGAIN.saturating_mul(2_u32.saturating_pow(u32::from(self.failback_tries)));
            self.failback_tries = self.failback_tries.saturating_add(1);
            self.timers.failback = Some(self.after(pause));
        }
    }

    /// Somebody has settled where the foreign groups are.
    pub(super) fn failback_settled(&mut self) {
        self.failback_due = false;
        self.goes_home_by_file = false;
        self.timers.failback = None;
    }

    pub(super) fn failback_overdue(&mut self) {
        if Self::take_due(&mut self.timers.failback, self.now) {
            self.failback_armed |= self.failback_due;
        }
    }

    /// Gives foreign groups back when everything is quiet. Spec: docs/protocol/resources.md, 6.
    pub(super) fn try_failback(&mut self) {
        if !self.failback_armed || !self.nice() {
            return;
        }
        let due = self.failback_due
            && self.mine.has(HoldingSet::FOREIGN)
            && self.model == AutoFailback::On
            && !self.stopping();
        if !due {
            self.failback_due = false;
            self.failback_armed = false;
            return;
        }
        if !self.is_pair() {
            self.failback_armed = false;
            self.warn("no automatic failback with more than two nodes");
            return;
        }
        // It runs its own already, and is about to say what it gives up: an offer would not be answered.
        // By a changed haresources its own may be other groups than those that are to go home.
        let claimed = self.theirs_at_most().has(HoldingSet::FOREIGN.mirror())
            && !self.counts_by_group()
            && !self.goes_home_by_file;
        let quiet = !self.frozen
            && self.standby == Standby::Not
            && self.other_stable
            && !self.contested()
            && !claimed
            && self.phase == Phase::Stable
            && !self.jobs.running()
            && !self.failback_must_wait()
            && self.all_living_reported()
            && self.hand_over_obstacle(HoldingSet::FOREIGN).is_none()
            && self.peer_active();
        if quiet {
            self.failback_settled();
            self.failback_armed = false;
            let cause = "auto_failback on: their owner is back and settled";
            self.begin_standby(HoldingSet::FOREIGN, Wish::GoesHome, cause);
        }
    }
}
