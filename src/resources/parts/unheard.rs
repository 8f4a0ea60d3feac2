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

use crate::clock::Monotonic;
use crate::protocol::partition::{Half, Weight};
use crate::resources::holding::HoldingSet;

/// How long the other node has to run nothing of a half.
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

/// What runs on neither node while we are not heard, and since when.
#[derive(Debug, Default)]
pub(in crate::resources) struct Unheard {
    since: Option<(HoldingSet, Monotonic)>,
}

impl Unheard {
    /// We are heard, or something serves each half, or it is not for us to take any.
    pub(in crate::resources) const fn forget(&mut self) {
        self.since = None;
    }

    /// Just these the other node does not serve. Whether that has been so for long enough: they may be taken.
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
