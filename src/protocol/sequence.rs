//! To which run of a node a message belongs, and whether its number is new. Pure verdicts and the
//! window on which they are based. Spec: docs/protocol/wire.md, 13.

use std::collections::BTreeSet;

use super::name::{Generation, Sequence};

#[cfg(test)]
mod tests;

/// Largest gap that is still asked for; the legacy limit. Spec: docs/protocol/wire.md, 6.
pub const MAX_GAP: u64 = 250;
/// Missing numbers remembered per node; the legacy limit. Spec: docs/protocol/wire.md, 6.
pub const MAX_MISSING: usize = 499;

/// What the generation of a message says about its sender's run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunVerdict {
    /// Of an older run: a replay.
    Replay,
    /// A status of a dead node that is older than its last one.
    Stale,
    /// Of the run we know.
    Same,
    /// A newer status of a node that we had declared dead: a partition healed.
    Returned,
    /// The first status of a newer run; `known`: messages of an older run were received before.
    Restarted {
        /// Whether a generation was known.
        known: bool,
    },
}

/// What is known of a sender when a message of it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownRun {
    /// Its generation; 0: nothing was received yet.
    pub generation: Generation,
    /// Number of its last status.
    pub status_seq: Sequence,
    /// Whether we declared it dead.
    pub dead: bool,
}

/// Judges to which run a sequenced message belongs. Only `status` changes a generation; other types
/// with a higher one count as messages of the known run.
/// Spec: docs/protocol/wire.md, 13.2, steps 1 and 2.
#[must_use]
pub fn judge_run(
    known: KnownRun,
    claimed: Generation,
    is_status: bool,
    seq: Sequence,
) -> RunVerdict {
    if claimed < known.generation {
        return RunVerdict::Replay;
    }
    if !is_status {
        return RunVerdict::Same;
    }
    if claimed > known.generation {
        return RunVerdict::Restarted {
            known: known.generation != Generation(0),
        };
    }
    match (known.dead, seq <= known.status_seq) {
        (false, _) => RunVerdict::Same,
        // Declared dead before anything was received: its first message is no return.
        (true, false) if known.generation == Generation(0) => RunVerdict::Same,
        (true, false) => RunVerdict::Returned,
        (true, true) => RunVerdict::Stale,
    }
}

/// The position of a number relative to the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The next number, or the first that was received.
    InOrder,
    /// The last number again: the copy that came by another medium.
    Duplicate,
    /// Numbers are missing before it: `first..=last`.
    Gap {
        /// First missing number.
        first: Sequence,
        /// Last missing number.
        last: Sequence,
    },
    /// More numbers are missing than can be asked for: the window restarts at this number.
    TooFar {
        /// How many numbers are missing.
        count: u64,
    },
    /// One of the missing numbers.
    Fills,
    /// An old number that is not missing.
    Old,
}

/// The effect of filling a missing number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filled {
    /// It was the lowest missing number.
    pub was_lowest: bool,
    /// Everything up to here is now complete.
    pub complete_to: Sequence,
    /// Nothing is missing any more.
    pub closed: bool,
}

/// The received and the missing numbers of one node's run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Window {
    last: Option<Sequence>,
    missing: BTreeSet<Sequence>,
}

impl Window {
    /// Highest number received.
    #[must_use]
    pub const fn last(&self) -> Option<Sequence> {
        self.last
    }

    /// Lowest missing number.
    #[must_use]
    pub fn first_missing(&self) -> Option<Sequence> {
        self.missing.first().copied()
    }

    /// The missing numbers, ascending.
    pub fn missing(&self) -> impl Iterator<Item = Sequence> {
        self.missing.iter().copied()
    }

    /// How many numbers are missing.
    #[must_use]
    pub fn missing_len(&self) -> usize {
        self.missing.len()
    }

    /// The verdict on `seq`, without noting it.
    #[must_use]
    pub fn judge(&self, seq: Sequence) -> Arrival {
        let Some(last) = self.last else {
            return Arrival::InOrder;
        };
        if seq == last {
            return Arrival::Duplicate;
        }
        if seq < last {
            return if self.missing.contains(&seq) {
                Arrival::Fills
            } else {
                Arrival::Old
            };
        }
        let count = seq.0.saturating_sub(last.0).saturating_sub(1);
        if count == 0 {
            Arrival::InOrder
        } else if count > MAX_GAP {
            Arrival::TooFar { count }
        } else {
            Arrival::Gap {
                first: Sequence(last.0.saturating_add(1)),
                last: Sequence(seq.0.saturating_sub(1)),
            }
        }
    }

    /// Notes that `seq` arrived and judges it. Returns the numbers that a full table has dropped:
    /// they must not be asked for any more.
    pub fn arrive(&mut self, seq: Sequence) -> (Arrival, Vec<Sequence>) {
        let arrival = self.judge(seq);
        let mut given_up = Vec::new();
        match arrival {
            Arrival::InOrder => self.last = Some(seq),
            Arrival::Gap { first, last } => {
                for number in first.0..=last.0 {
                    if self.missing.len() >= MAX_MISSING {
                        given_up.extend(self.missing.pop_first());
                    }
                    self.missing.insert(Sequence(number));
                }
                self.last = Some(seq);
            }
            Arrival::TooFar { .. } => {
                given_up.extend(std::mem::take(&mut self.missing));
                self.last = Some(seq);
            }
            Arrival::Duplicate | Arrival::Fills | Arrival::Old => {}
        }
        (arrival, given_up)
    }

    /// Removes a number from the missing list because it arrived or can never arrive. `None`: it
    /// was not missing.
    pub fn fill(&mut self, seq: Sequence) -> Option<Filled> {
        let was_lowest = self.first_missing() == Some(seq);
        if !self.missing.remove(&seq) {
            return None;
        }
        let complete_to = match self.first_missing() {
            Some(next) => Sequence(next.0.saturating_sub(1)),
            None => self.last.unwrap_or(seq),
        };
        Some(Filled {
            was_lowest,
            complete_to,
            closed: self.missing.is_empty(),
        })
    }

    /// Begins a run at `seq` instead of at the first number that comes.
    pub fn begin_at(&mut self, seq: Sequence) {
        *self = Self {
            last: Some(Sequence(seq.0.saturating_sub(1))),
            missing: BTreeSet::new(),
        };
    }

    /// Forgets everything, as after a restart or death.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}
