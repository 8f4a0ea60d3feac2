//! Whether the other node has to yield, and until when that and a takeover wait.

use crate::clock::Monotonic;
use crate::resources::parts::contest::{KEEPALIVES_TO_YIELD, LEAST_TO_YIELD};
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Waits for the other side to yield; no longer than that takes. It may not hear us. One that
    /// is being stopped cannot begin a new run: its scripts take their time, then it leaves.
    pub(in crate::resources) fn expect_way(&mut self) {
        if self.timers.other_yields.is_none() && !self.other_leaves() {
            let wait = self
                .keepalive
                .saturating_mul(KEEPALIVES_TO_YIELD)
                .max(LEAST_TO_YIELD);
            self.timers.other_yields = Some(self.after(wait));
        }
        self.other_stable = false;
    }

    /// Whether it is open who keeps.
    pub(in crate::resources) const fn contested(&self) -> bool {
        self.timers.other_yields.is_some()
    }

    pub(in crate::resources) fn partition_deadline(&self) -> Option<Monotonic> {
        [self.timers.other_yields, self.timers.takeover_goes_on]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether a takeover waits.
    pub(in crate::resources) const fn takeover_held(&self) -> bool {
        self.timers.takeover_goes_on.is_some()
    }

    pub(in crate::resources) fn go_on_with_takeovers(&mut self) {
        self.timers.takeover_goes_on = None;
        self.jobs.go_on();
    }
}
