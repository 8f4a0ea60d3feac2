//! Two nodes that may both run the groups: how long the other one has to yield, and the takeovers
//! that wait meanwhile.

use crate::protocol::name::NodeName;
use crate::resources::parts::contest::{KEEPALIVES_TO_YIELD, LEAST_TO_YIELD};
use crate::resources::parts::timers::Timer;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Waits for the other node to yield, but no longer than that takes: it may not receive us. A
    /// node that is being stopped cannot begin a new run: it leaves when its scripts have ended.
    pub(in crate::resources) fn expect_yield(&mut self) {
        if !self.timers.is_set(Timer::OtherYields) && !self.other.leaves() {
            let wait = self
                .setup
                .keepalive()
                .saturating_mul(KEEPALIVES_TO_YIELD)
                .max(LEAST_TO_YIELD);
            self.timers.set(Timer::OtherYields, self.after(wait));
        }
        self.other.moves();
    }

    /// Whether a takeover waits.
    pub(in crate::resources) fn takeover_held(&self) -> bool {
        self.timers.is_set(Timer::HeldTakeover)
    }

    pub(in crate::resources) fn go_on_with_takeovers(&mut self) {
        self.timers.clear(Timer::HeldTakeover);
        self.groups.go_on();
    }

    /// The other node begins a new run or is gone: nothing is contested any more.
    pub(in crate::resources) fn contest_is_over(&mut self, node: &NodeName) {
        self.timers.clear(Timer::OtherYields);
        if let Some(peer) = self.other.peer_mut(node) {
            peer.has_yielded();
        }
    }

    /// The verdicts of the run that ends do not count in the next.
    pub(in crate::resources) fn forget_verdicts(&mut self) {
        self.contest.forget();
        self.other.forget_verdicts();
    }
}
