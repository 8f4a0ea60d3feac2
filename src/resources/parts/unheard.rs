//! A run of ours that the other node has not received yet, although we receive it: one direction is
//! cut, and it declared an earlier run of ours dead. Each of its heartbeats tells what it runs of
//! the groups that it took.
//!
//! | Half of the groups | The other node | We |
//! |---|---|---|
//! | runs here, an earlier process left it | runs it, or is about to start it | release and begin anew |
//! | does not run here | runs nothing of it for ten seconds | take it again: no node serves |
//! | a group of it does not start | the same | try it again, with growing pauses |
//! | we took it so | runs it, or is about to start it | release again |
//!
//! What the other node is only about to start counts as well: it may mount the disks that we use.
//! So we release before it is known whether the start succeeds.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::protocol::partition::{Half, Weight};
use crate::resources::holding::HoldingSet;

/// How long the other node must have run nothing of a half.
const UNSERVED: Duration = Duration::from_secs(10);

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

/// What runs on neither node while we are not received, and since when.
#[derive(Debug, Default)]
pub(in crate::resources) struct Unheard {
    since: Option<(HoldingSet, Monotonic)>,
}

impl Unheard {
    /// We are received, or each half is served, or we may not take any.
    pub(in crate::resources) const fn forget(&mut self) {
        self.since = None;
    }

    /// The other node serves nothing of this set. Returns whether that has been so for long enough:
    /// then it may be taken.
    pub(in crate::resources) fn unserved(&mut self, set: HoldingSet, now: Monotonic) -> bool {
        let (_, since) = self
            .since
            .filter(|(known, _)| *known == set)
            .unwrap_or((set, now));
        self.since = Some((set, since));
        now.since(since) >= UNSERVED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_set_has_to_be_unserved_for_ten_seconds() {
        let at = |seconds: u64| Monotonic::from_millis(seconds * 1000);
        let mut unheard = Unheard::default();
        assert!(!unheard.unserved(HoldingSet::ALL, at(0)));
        assert!(!unheard.unserved(HoldingSet::LOCAL, at(5)), "another set");
        assert!(!unheard.unserved(HoldingSet::LOCAL, at(14)));
        assert!(unheard.unserved(HoldingSet::LOCAL, at(15)));
        unheard.forget();
        assert!(!unheard.unserved(HoldingSet::LOCAL, at(16)));
    }
}
