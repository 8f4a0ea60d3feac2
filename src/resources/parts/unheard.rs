//! A run of ours that the other node has not heard yet, although we hear it: one direction is cut, and
//! it declared an earlier run of ours dead. It says with each beat what it runs of what it took.
//!
//! | Half of the groups | The other node | We |
//! |---|---|---|
//! | runs here, an earlier process left it | runs it, or is about to start it | let go and begin anew |
//! | does not run here | runs nothing of it for ten seconds | take it again: nobody serves |
//! | a group of it does not start | the same | try it again, ever more rarely |
//! | we took it so | runs it, or is about to start it | let go again |
//!
//! What the other is only about to start counts as well: it may mount the disks that we use. So we let go
//! before it is known whether the start succeeds.

use std::time::Duration;

use crate::protocol::partition::{Half, Weight};
use crate::resources::holding::HoldingSet;

/// How long the other node has to run nothing of a half.
pub(in crate::resources) const UNSERVED: Duration = Duration::from_secs(10);

/// What the other node of a pair serves, from our view.
pub(in crate::resources) fn served_by(theirs: Weight) -> HoldingSet {
    [
        (Half::Ours, HoldingSet::LOCAL),
        (Half::Theirs, HoldingSet::FOREIGN),
    ]
    .into_iter()
    .filter(|(half, _)| theirs.serves(*half))
    .fold(HoldingSet::NONE, |sum, (_, set)| sum.with(set))
}
