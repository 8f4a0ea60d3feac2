//! Groups that nobody owns: how long that is watched before they are taken.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::resources::holding::HoldingSet;

/// How long nobody may own our local groups: the owner is the first to repair.
pub(in crate::resources) const LOCAL_ORPHANED: Duration = Duration::from_secs(2);

/// How long nobody may own the other side's groups: their owner goes first.
pub(in crate::resources) const FOREIGN_ORPHANED: Duration = Duration::from_secs(15);

/// How much longer the node waits that is not the first by name: two that ask each other in the same
/// moment withdraw both, and would do so again and again.
pub(in crate::resources) const SECOND_LATER: Duration = Duration::from_secs(1);

/// How long the other node may take to answer before it is asked again.
pub(in crate::resources) const ANSWER: Duration = Duration::from_secs(10);

/// The other node was asked whether it runs something.
#[derive(Debug, Clone, Copy)]
pub(in crate::resources) struct OrphansAsked {
    pub(in crate::resources) set: HoldingSet,
    pub(in crate::resources) until: Monotonic,
}
