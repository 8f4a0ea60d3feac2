//! How long one of two owners may take to yield, and which jobs that concerns.

use std::time::Duration;

use crate::resources::parts::work::Purpose;

/// Keepalives that a node that has to yield may take to show its new generation: one until it
/// hears us, and some that are lost.
pub(in crate::resources) const KEEPALIVES_TO_YIELD: u32 = 4;

/// The same, at least: delays between actors and nodes do not shrink with the keepalive.
pub(in crate::resources) const LEAST_TO_YIELD: Duration = Duration::from_secs(1);

/// How long a takeover waits for the report of a node that came back meanwhile.
pub(in crate::resources) const REPORT_BEFORE_TAKEOVER: Duration = Duration::from_secs(10);

pub(in crate::resources) fn is_takeover(purpose: &Purpose) -> bool {
    matches!(purpose, Purpose::TakeOver(_) | Purpose::AcquireLocal)
}

/// Whether a job starts what a node that was held for dead may run as well. What it was to be given by
/// that node is ours since the death, and the node may have taken it back.
pub(in crate::resources) const fn may_run_there(purpose: &Purpose) -> bool {
    match purpose {
        Purpose::AcquireLocal
        | Purpose::TakeOver(_)
        | Purpose::Take
        | Purpose::Reclaim
        | Purpose::Retry => true,
        Purpose::Give
        | Purpose::ReleaseAll
        | Purpose::HandOver { .. }
        | Purpose::Granted
        | Purpose::LeaveToOwner
        | Purpose::Cancelled => false,
    }
}
