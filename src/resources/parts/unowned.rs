//! Groups that no node owns: how long that lasts before they are taken.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::resources::holding::HoldingSet;

/// How long our local groups may be without an owner: their owner repairs that first.
const LOCAL_UNOWNED: Duration = Duration::from_secs(2);

/// How long the other side's groups may be without an owner: their owner may act first.
const FOREIGN_UNOWNED: Duration = Duration::from_secs(15);

/// How much longer the node waits that is not the first by name: two nodes that ask each other in
/// the same moment both withdraw, and would do so again and again.
pub(in crate::resources) const SECOND_LATER: Duration = Duration::from_secs(1);

/// How long the other node may take to answer before it is asked again.
pub(in crate::resources) const ANSWER: Duration = Duration::from_secs(10);

/// Since when a half has no owner, and what the other node was asked about.
#[derive(Debug, Default)]
pub(in crate::resources) struct Unowned {
    local_since: Option<Monotonic>,
    foreign_since: Option<Monotonic>,
    asked: Option<HoldingSet>,
}

impl Unowned {
    /// Records whether the halves have no owner now.
    pub(in crate::resources) fn found(&mut self, local: bool, foreign: bool, now: Monotonic) {
        let since = |known: Option<Monotonic>, found: bool| found.then(|| known.unwrap_or(now));
        self.local_since = since(self.local_since, local);
        self.foreign_since = since(self.foreign_since, foreign);
    }

    /// The observation begins again. A question stays open.
    pub(in crate::resources) const fn forget(&mut self) {
        self.local_since = None;
        self.foreign_since = None;
    }

    /// When the local groups have been without an owner for long enough.
    pub(in crate::resources) fn local_due(&self) -> Option<Monotonic> {
        self.local_since.map(|since| since + LOCAL_UNOWNED)
    }

    /// The same for the foreign groups.
    pub(in crate::resources) fn foreign_due(&self) -> Option<Monotonic> {
        self.foreign_since.map(|since| since + FOREIGN_UNOWNED)
    }

    pub(in crate::resources) const fn ask(&mut self, set: HoldingSet) {
        self.asked = Some(set);
    }

    /// What the other node was asked about, and has not answered yet.
    pub(in crate::resources) const fn asked(&self) -> Option<HoldingSet> {
        self.asked
    }

    /// Closes the question. Returns whether one was open.
    pub(in crate::resources) const fn question_is_over(&mut self) -> bool {
        self.asked.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_counts_from_when_it_was_first_seen() {
        let at = Monotonic::from_millis;
        let mut unowned = Unowned::default();
        unowned.found(true, false, at(1_000));
        unowned.found(true, true, at(2_000));
        assert_eq!(unowned.local_due(), Some(at(3_000)));
        assert_eq!(unowned.foreign_due(), Some(at(17_000)));
        unowned.found(false, true, at(3_000));
        assert_eq!(unowned.local_due(), None);
    }
}
