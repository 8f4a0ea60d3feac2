//! A failback: offered, not answered, or settled. The states are in `parts/failback.rs`.

use crate::resources::parts::standby::Wish;
use crate::resources::parts::timers::Timer;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// The other node did not answer our offer.
    pub(in crate::resources) fn failback_unanswered(&mut self, wish: Wish) {
        if wish != Wish::GoesHome {
            return;
        }
        if let Some(pause) = self.failback.unanswered() {
            self.timers.set(Timer::Failback, self.after(pause));
        }
    }

    /// The foreign groups are being offered to their owner.
    pub(in crate::resources) fn failback_offered(&mut self) {
        self.failback.offered();
        self.timers.clear(Timer::Failback);
    }

    /// It is settled which node has the foreign groups.
    pub(in crate::resources) fn failback_settled(&mut self) {
        self.failback.settled();
        self.timers.clear(Timer::Failback);
    }
}
