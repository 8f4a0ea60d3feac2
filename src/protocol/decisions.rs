//! The last decisions of the node with their causes, for people: `systole why`.

use std::collections::VecDeque;

/// Decisions kept: enough for one incident.
pub const MAX_DECISIONS: usize = 50;

/// Longest text of a decision or a cause in bytes: it names groups, and a node may have hundreds.
const MAX_TEXT_BYTES: usize = 1024;

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// When, in seconds since 1970.
    pub unix_s: u64,
    /// What the node does, or does not do.
    pub what: String,
    /// Why.
    pub cause: String,
}

/// The last [`MAX_DECISIONS`], the oldest first.
#[derive(Debug, Default)]
pub struct Decisions {
    kept: VecDeque<Decision>,
}

impl Decisions {
    /// Keeps one decision; the oldest is dropped when there are too many. A repeated decision, as
    /// when a peer repeats its request, replaces the one before it.
    pub fn note(&mut self, decision: Decision) {
        let again = self
            .kept
            .back()
            .is_some_and(|last| (&last.what, &last.cause) == (&decision.what, &decision.cause));
        if again || self.kept.len() >= MAX_DECISIONS {
            let at = if again {
                self.kept.len().saturating_sub(1)
            } else {
                0
            };
            self.kept.remove(at);
        }
        self.kept.push_back(decision);
    }

    /// The newest.
    #[must_use]
    pub fn last(&self) -> Option<&Decision> {
        self.kept.back()
    }

    /// The oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Decision> {
        self.kept.iter()
    }
}

/// `text` cut to the length that a decision keeps: between two characters, with dots for the rest.
pub(crate) fn bounded(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        let mut end = MAX_TEXT_BYTES;
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        text.truncate(end);
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(number: u64) -> Decision {
        Decision {
            unix_s: number,
            what: format!("does {number}"),
            cause: "a reason".to_owned(),
        }
    }

    #[test]
    fn the_last_fifty_are_kept_in_order() {
        let mut decisions = Decisions::default();
        for number in 0..120 {
            decisions.note(decision(number));
        }
        let kept: Vec<u64> = decisions.iter().map(|one| one.unix_s).collect();
        assert_eq!(kept, (70..120).collect::<Vec<_>>());
    }

    #[test]
    fn a_repetition_does_not_push_others_out() {
        let mut decisions = Decisions::default();
        decisions.note(decision(1));
        for unix_s in 2..100 {
            let again = Decision {
                unix_s,
                ..decision(2)
            };
            decisions.note(again);
        }
        let kept: Vec<u64> = decisions.iter().map(|one| one.unix_s).collect();
        assert_eq!(kept, [1, 99]);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(bounded("ä".repeat(600)).len(), MAX_TEXT_BYTES + 3);
        assert_eq!(bounded("ab".repeat(600)).len(), MAX_TEXT_BYTES + 3);
        assert_eq!(
            bounded(format!("a{}", "ä".repeat(600))).len(),
            MAX_TEXT_BYTES - 1 + 3
        );
        assert_eq!(bounded("short".to_owned()), "short");
    }
}
