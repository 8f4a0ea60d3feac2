//! Which run of a node a message belongs to, and whether its number is new. Pure verdicts and the
//! window they are taken on. Spec: docs/protocol/wire.md, 13.

use std::collections::BTreeSet;

use super::name::{Generation, Sequence};

#[cfg(test)]
mod tests;

/// Largest gap that is still asked for; the legacy limit. Spec: docs/protocol/wire.md, 6.
pub const MAX_GAP: u64 = 250;
/// Missing numbers remembered per node; the legacy limit. Spec: docs/protocol/wire.md, 6.
pub const MAX_MISSING: usize = 499;

/// What a message's generation says about its sender's run.
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
    /// The first status of a newer run; `known`: an older one was heard before.
    Restarted {
        /// Whether a generation was known.
        known: bool,
    },
}

/// What is known of a sender when its run is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownRun {
    /// Its generation; 0: never heard.
    pub generation: Generation,
    /// Number of its last status.
    pub status_seq: Sequence,
    /// Whether we declared it dead.
    pub dead: bool,
}

/// Judges the run a sequenced message belongs to. Only `status` moves a generation; other types
/// with a higher one are taken as of the known run.
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
        // Declared dead before it was ever heard: its first word is no return.
        (true, false) if known.generation == Generation(0) => RunVerdict::Same,
        (true, false) => RunVerdict::Returned,
        (true, true) => RunVerdict::Stale,
    }
}

/// What a number is, seen from the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The next one, or the first heard at all.
    InOrder,
    /// The last one again: the copy that came by another medium.
    Duplicate,
    /// Numbers are missing before it: `first..=last`.
    Gap {
        /// First missing number.
        first: Sequence,
        /// Last missing number.
        last: Sequence,
    },
    /// More are missing than can be asked for: the window starts anew at it.
    TooFar {
        /// Missing numbers.
        count: u64,
    },
    /// One of the missing ones.
    Fills,
    /// An old one that is not missing.
    Old,
}

/// What filling a missing number changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filled {
    /// It was the lowest missing number.
    pub was_lowest: bool,
    /// Everything up to here is now complete.
    pub complete_to: Sequence,
    /// Nothing is missing any more.
    pub closed: bool,
}

/// The numbers of one node's run that were heard and those that are missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Window {
    last: Option<Sequence>,
    missing: BTreeSet<Sequence>,
}

impl Window {
    /// Highest number heard.
    #[must_use]
    pub const fn last(&self) -> Option<Sequence> {
        self.last
    }

    /// Lowest missing number.
    #[must_use]
    pub fn first_missing(&self) -> Option<Sequence> {
        self.missing.first().copied()
    }

    /// How many numbers are missing.
    #[must_use]
    pub fn missing_len(&self) -> usize {
        self.missing.len()
    }

    /// What `seq` would be, without noting it.
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

    /// Notes that `seq` arrived and judges it. Numbers pushed out of a full table are returned:
    /// nobody shall ask for them any more.
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

    /// Takes a number off the missing list because it arrived or can never arrive. `None`: it
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

    /// Begins a run at `seq` instead of at whatever comes first.
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
