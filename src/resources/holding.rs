//! What a node holds: the two bits that reports carry. Spec: docs/protocol/resources.md, 1.

use std::fmt;

/// A subset of {local groups, foreign groups}, from the view of the node it describes.
///
/// A belief about duty, not a measurement: a node whose group failed to start still holds it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct HoldingSet(u8);

impl HoldingSet {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// The groups whose owner the node is.
    pub const LOCAL: Self = Self(1);
    /// The groups of every other owner.
    pub const FOREIGN: Self = Self(2);
    /// Both.
    pub const ALL: Self = Self(3);

    /// Reads the word of a `rsc_hold` field.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "none" => Some(Self::NONE),
            "local" => Some(Self::LOCAL),
            "foreign" => Some(Self::FOREIGN),
            "all" => Some(Self::ALL),
            _ => None,
        }
    }

    /// The word for a `rsc_hold` field and for `cl_status rscstatus`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self.0 & 3 {
            0 => "none",
            1 => "local",
            2 => "foreign",
            _ => "all",
        }
    }

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing is held.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The union.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The intersection.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in `self` but not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The same groups from the view of the other node: local and foreign change places.
    #[must_use]
    pub const fn mirror(self) -> Self {
        Self(((self.0 & 1) << 1) | ((self.0 & 2) >> 1))
    }

    /// The new view after a report. A full report replaces the earlier view; an increment adds to
    /// it, and an empty increment clears it. Spec: docs/protocol/resources.md, 4.
    #[must_use]
    pub const fn updated(self, reported: Self, full: bool) -> Self {
        if full || reported.is_none() {
            reported
        } else {
            self.with(reported)
        }
    }
}

impl fmt::Display for HoldingSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Debug for HoldingSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: [HoldingSet; 4] = [
        HoldingSet::NONE,
        HoldingSet::LOCAL,
        HoldingSet::FOREIGN,
        HoldingSet::ALL,
    ];

    #[test]
    fn words_are_read_back() {
        for set in EVERY {
            assert_eq!(HoldingSet::from_word(set.word()), Some(set));
        }
        assert_eq!(HoldingSet::from_word("failback"), None);
        assert_eq!(HoldingSet::from_word("ALL"), None);
    }

    #[test]
    fn mirror_twice_is_the_same_set() {
        assert_eq!(HoldingSet::LOCAL.mirror(), HoldingSet::FOREIGN);
        assert_eq!(HoldingSet::ALL.mirror(), HoldingSet::ALL);
        for set in EVERY {
            assert_eq!(set.mirror().mirror(), set);
        }
    }

    #[test]
    fn update_rule() {
        for old in EVERY {
            for new in EVERY {
                assert_eq!(old.updated(new, true), new);
            }
            assert_eq!(old.updated(HoldingSet::NONE, false), HoldingSet::NONE);
        }
        assert_eq!(
            HoldingSet::LOCAL.updated(HoldingSet::FOREIGN, false),
            HoldingSet::ALL
        );
    }
}
