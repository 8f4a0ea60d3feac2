//! How long one of two owners may take to yield, and which jobs that concerns.

use std::time::Duration;

use crate::protocol::partition::Weight;
use crate::resources::parts::work::Purpose;

/// Keepalives within which a node that has to yield must show its new generation: one until it
/// receives us, and some that may be lost.
pub(in crate::resources) const KEEPALIVES_TO_YIELD: u32 = 4;

/// The same, as a minimum: delays between actors and nodes do not shrink with the keepalive.
pub(in crate::resources) const LEAST_TO_YIELD: Duration = Duration::from_secs(1);

/// How long a takeover waits for the report of a node that came back meanwhile.
pub(in crate::resources) const REPORT_BEFORE_TAKEOVER: Duration = Duration::from_secs(10);

pub(in crate::resources) fn is_takeover(purpose: &Purpose) -> bool {
    matches!(purpose, Purpose::TakeOver(_) | Purpose::AcquireLocal)
}

/// Whether a job starts what a node that was declared dead may run as well. Groups that this node
/// was to give us are ours since the death, and it may have taken them back.
pub(in crate::resources) const fn may_run_there(purpose: &Purpose) -> bool {
    match purpose {
        Purpose::AcquireLocal
        | Purpose::TakeOver(_)
        | Purpose::Take
        | Purpose::Reclaim
        | Purpose::Retry
        | Purpose::Restart => true,
        Purpose::Give
        | Purpose::ReleaseAll
        | Purpose::HandOver { .. }
        | Purpose::Granted
        | Purpose::LeaveToOwner
        | Purpose::StopFailed
        | Purpose::Cancelled => false,
    }
}

/// The weight of this node in a split brain.
#[derive(Debug, Default)]
pub(in crate::resources) struct Contest {
    ran_before: u32,
    released_foreign: bool,
    sent_weight: Option<Weight>,
}

impl Contest {
    /// Groups that ran here when the other node was last declared dead.
    pub(in crate::resources) const fn ran_before(&self) -> u32 {
        self.ran_before
    }

    /// The other node is declared dead now.
    pub(in crate::resources) const fn declared_dead(&mut self, running: u32) {
        self.ran_before = running;
    }

    /// The verdicts of the run that ends do not count in the next.
    pub(in crate::resources) const fn forget(&mut self) {
        self.ran_before = 0;
    }

    /// Records whether this release gives up the foreign groups for a living legacy node, which
    /// does not resolve a split brain.
    pub(in crate::resources) const fn releases_foreign(&mut self, of_foreign: bool) {
        self.released_foreign = of_foreign;
    }

    /// Whether the last release did that and this node has not settled since. `true` only once.
    pub(in crate::resources) const fn has_released_foreign(&mut self) -> bool {
        std::mem::replace(&mut self.released_foreign, false)
    }

    /// Records the weight for membership. Returns whether it differs from the last one.
    pub(in crate::resources) fn tells(&mut self, weight: Option<Weight>) -> bool {
        std::mem::replace(&mut self.sent_weight, weight) != weight
    }
}
