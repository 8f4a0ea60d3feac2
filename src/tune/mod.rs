//! What dead time the gaps between heartbeats ask for, for a rate of mistakes. Pure.
//!
//! A mistake is a gap that is longer than the dead time: a living node is declared dead. How often that happens
//! follows from the gaps seen, and beyond the longest of them from a generalised Pareto distribution that is fitted
//! to the longest two hundred. Where both tell something the worse counts. A fit knows nothing of what happens once
//! a month and was not seen yet, so floors stand beside it.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod tail;

use tail::Tail;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// A month, of which the rate of mistakes is meant: 30 days, in milliseconds.
pub const MONTH_MS: u64 = 30 * DAY_MS;

/// No fit is trusted for a time this many times as long as its samples.
const FARTHEST: f64 = 30.0;

/// Fewer gaps have no tail.
const FEWEST_GAPS: u64 = 1_000;

/// The longest dead time that is looked at, in milliseconds.
const LONGEST_MS: u64 = HOUR_MS;

/// The least dead time in a virtual machine, as long as less than a month was seen, in milliseconds: a machine that
/// is moved or saved stands still for seconds.
const MACHINE_MS: u64 = 5_000;

/// The least dead time beside a legacy node, which looks four times a second only, in milliseconds.
const LEGACY_MS: u64 = 1_000;

/// How much longer than its lease a dead time has to be, in milliseconds.
const BEHIND_LEASE_MS: u64 = 500;

/// Gaps of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// The shortest, in milliseconds.
    pub from_ms: u64,
    /// They are all shorter than this.
    pub below_ms: u64,
    /// How many.
    pub count: u64,
}

/// The gaps of one node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Series {
    /// The gaps together, in milliseconds.
    pub covered_ms: u64,
    /// The longest, in milliseconds.
    pub longest_ms: u64,
    /// In rising order.
    pub buckets: Vec<Bucket>,
}

impl Series {
    /// How many gaps.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        let counts = self.buckets.iter().map(|bucket| bucket.count);
        counts.fold(0, u64::saturating_add)
    }

    /// All but one of a thousand gaps are shorter, in milliseconds.
    #[must_use]
    pub fn usual_ms(&self) -> u64 {
        let mut longer = self.gaps().div_ceil(1_000);
        for bucket in self.buckets.iter().rev() {
            if bucket.count >= longer {
                return bucket.below_ms.min(self.longest_ms.saturating_add(1));
            }
            longer = longer.saturating_sub(bucket.count);
        }
        self.longest_ms
    }
}

/// What is asked, and what is in force.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asked {
    /// So many mistakes of the pair in a month.
    pub mistakes: f64,
    /// `keepalive`, in milliseconds.
    pub keepalive_ms: u64,
    /// `deadtime`, in milliseconds.
    pub deadtime_ms: u64,
    /// The lease of service addresses, in milliseconds.
    pub lease_ms: Option<u64>,
    /// This is a virtual machine.
    pub virtual_machine: bool,
    /// Another node runs the legacy program.
    pub legacy: bool,
}

impl Asked {
    /// How long must be sampled, in milliseconds: a day, or a thirtieth of the time in which one mistake is allowed.
    #[must_use]
    pub fn needed_ms(&self) -> u64 {
        let month = millis(MONTH_MS);
        let part = (month / self.mistakes / FARTHEST).ceil();
        whole(part).clamp(DAY_MS, MONTH_MS)
    }
}

/// The samples are too few for any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooFew {
    /// So much was sampled, in milliseconds.
    pub covered_ms: u64,
    /// So much is needed, in milliseconds.
    pub needed_ms: u64,
}

/// What decides a dead time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The mistakes that are expected.
    Estimate,
    /// Four keepalives: three heartbeats in a row may be lost.
    Keepalives,
    /// A heartbeat twice as late as the latest one seen.
    Longest,
    /// The lease of service addresses must end before.
    Lease,
    /// A virtual machine, of which less than a month was seen.
    Machine,
    /// A legacy node.
    Legacy,
}

/// A dead time, and what it brings.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// In milliseconds.
    pub deadtime_ms: u64,
    /// So many mistakes are expected in a month.
    pub mistakes: f64,
    /// What asks for it.
    pub reasons: Vec<Reason>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// In milliseconds.
    pub keepalive_ms: u64,
    /// In milliseconds.
    pub warntime_ms: u64,
    /// In milliseconds.
    pub deadtime_ms: u64,
    /// What decides it.
    pub reason: Reason,
    /// What asks for which dead time, that of ha.cf and the proposed one too, in rising order.
    pub rows: Vec<Row>,
}

/// Proposes times. `heard`: the other nodes; `sent`: this node, as others hear it at best.
///
/// # Errors
/// [`TooFew`]: every node that is heard must have been heard for long enough.
pub fn propose(heard: &[Series], sent: &[Series], asked: &Asked) -> Result<Proposal, TooFew> {
    let needed_ms = asked.needed_ms();
    let covered = heard.iter().map(|series| series.covered_ms);
    let covered_ms = covered.min().unwrap_or(0);
    let few = heard.iter().any(|series| series.gaps() < FEWEST_GAPS);
    if covered_ms < needed_ms || few {
        return Err(TooFew {
            covered_ms,
            needed_ms,
        });
    }
    let all = || heard.iter().chain(sent);
    let tails: Vec<Tail> = all()
        .filter_map(|series| Tail::of(series, asked.keepalive_ms))
        .collect();
    let mistakes = |ms: u64| tails.iter().map(|tail| tail.mistakes(ms)).sum::<f64>();
    let longest = all().map(|series| series.longest_ms).max().unwrap_or(0);
    let mut asks = vec![
        (
            Reason::Estimate,
            shortest_with(|ms| mistakes(ms) <= asked.mistakes),
        ),
        (Reason::Keepalives, asked.keepalive_ms.saturating_mul(4)),
        (Reason::Longest, twice_as_late(longest, asked.keepalive_ms)),
    ];
    if let Some(lease) = asked.lease_ms {
        asks.push((Reason::Lease, lease.saturating_add(BEHIND_LEASE_MS)));
    }
    if asked.virtual_machine && covered_ms < MONTH_MS {
        asks.push((Reason::Machine, MACHINE_MS));
    }
    if asked.legacy {
        asks.push((Reason::Legacy, LEGACY_MS));
    }
    for (_, ms) in &mut asks {
        *ms = rounded(*ms);
    }
    // Of equals the first: the estimate.
    let (reason, deadtime_ms) = asks
        .iter()
        .rev()
        .max_by_key(|(_, ms)| *ms)
        .copied()
        .unwrap_or((Reason::Estimate, LONGEST_MS));
    let usual = all().map(Series::usual_ms).max().unwrap_or(0);
    let mut times: Vec<u64> = asks.iter().map(|(_, ms)| *ms).collect();
    times.push(asked.deadtime_ms);
    times.sort_unstable();
    times.dedup();
    let row = |ms: u64| Row {
        deadtime_ms: ms,
        mistakes: mistakes(ms),
        reasons: asks
            .iter()
            .filter(|(_, at)| *at == ms)
            .map(|(reason, _)| *reason)
            .collect(),
    };
    Ok(Proposal {
        keepalive_ms: asked.keepalive_ms,
        warntime_ms: rounded(usual).min(deadtime_ms / 2),
        deadtime_ms,
        reason,
        rows: times.into_iter().map(row).collect(),
    })
}

/// The gap before a heartbeat that is twice as late as one behind this gap. The interval itself does not grow.
const fn twice_as_late(gap_ms: u64, keepalive_ms: u64) -> u64 {
    let late = gap_ms.saturating_sub(keepalive_ms);
    gap_ms.saturating_add(late)
}

/// The shortest dead time that will do, at most [`LONGEST_MS`]. What a dead time does, a longer one does too.
fn shortest_with(will_do: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, LONGEST_MS);
    while low < high {
        let middle = u64::midpoint(low, high);
        if will_do(middle) {
            high = middle;
        } else {
            low = middle.saturating_add(1);
        }
    }
    high
}

/// Up to the next tenth of a second, from ten seconds on to the next second.
fn rounded(ms: u64) -> u64 {
    let step = if ms <= 10_000 { 100 } else { 1_000 };
    ms.div_ceil(step).saturating_mul(step)
}

/// Milliseconds or a count as a number to calculate with: far below what it holds exactly.
#[expect(
    clippy::cast_precision_loss,
    reason = "a number beyond 2^53 is none of ours"
)]
fn millis(value: u64) -> f64 {
    value as f64
}

/// A number as milliseconds: none below 0, and what is no number is the largest.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "this conversion saturates"
)]
fn whole(value: f64) -> u64 {
    if value.is_nan() {
        u64::MAX
    } else {
        value as u64
    }
}

#[cfg(test)]
mod tests;
