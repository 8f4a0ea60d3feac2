//! Whether the other node has to yield, and until when that and a takeover wait.

use crate::resources::parts::contest::{KEEPALIVES_TO_YIELD, LEAST_TO_YIELD};
use crate::resources::parts::timers::Timer;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Waits for the other side to yield; no longer than that takes. It may not hear us. One that
    /// is being stopped cannot begin a new run: its scripts take their time, then it leaves.
    pub(in crate::resources) fn expect_way(&mut self) {
        if !self.timers.is_set(Timer::OtherYields) && !self.other_leaves() {
            let wait = self
                .setup
                .keepalive()
                .saturating_mul(KEEPALIVES_TO_YIELD)
                .max(LEAST_TO_YIELD);
            self.timers.set(Timer::OtherYields, self.after(wait));
        }
        self.other_stable = false;
    }

    /// Whether it is open who keeps.
    pub(in crate::resources) fn contested(&self) -> bool {
        self.timers.is_set(Timer::OtherYields)
    }

    /// Whether a takeover waits.
    pub(in crate::resources) fn takeover_held(&self) -> bool {
        self.timers.is_set(Timer::HeldTakeover)
    }

    pub(in crate::resources) fn go_on_with_takeovers(&mut self) {
        self.timers.clear(Timer::HeldTakeover);
        self.groups.go_on();
    }
}
