//! What every rule asks: the model, whether a stop was requested, and how times are counted.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Whether a stop was requested.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.stop.requested()
    }

    /// Whether holding reports, standby and takeover are in force.
    pub(in crate::resources) const fn nice(&self) -> bool {
        self.setup.model().is_nice()
    }

    /// `delay` from now.
    pub(in crate::resources) fn after(&self, delay: Duration) -> Monotonic {
        self.now + delay
    }
}
