//! How far apart the heartbeats of a node were, over all media: what a dead time has to be longer than.
//!
//! A histogram for each of the last days. Noting a gap changes a few numbers in memory that is there already.

use std::fmt;

use crate::clock::{Monotonic, Now};

/// Days that are kept.
const DAYS: usize = 31;
const DAY_S: u64 = 86_400;

/// Steps in an octave, as a power of two: a gap is known to one part in eight.
const STEP_BITS: u32 = 3;
const STEPS: u32 = 1 << STEP_BITS;

/// Buckets up to [`LONGEST_MS`].
const BUCKETS: usize = 112;

/// A longer silence is no late heartbeat: the way was cut, or the node was away.
const LONGEST_MS: u32 = 65_535;

/// Where a gap is counted.
fn bucket(ms: u32) -> usize {
    let shift = ms.checked_ilog2().unwrap_or(0).saturating_sub(STEP_BITS);
    let index = shift.saturating_mul(STEPS).saturating_add(ms >> shift);
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// The shortest gap that is counted there, in milliseconds.
fn shortest(bucket: usize) -> u32 {
    let index = u32::try_from(bucket).unwrap_or(u32::MAX);
    let shift = (index >> STEP_BITS).saturating_sub(1);
    index
        .saturating_sub(shift.saturating_mul(STEPS))
        .checked_shl(shift)
        .unwrap_or(u32::MAX)
}

/// What was sampled in one day.
#[derive(Clone, Copy)]
struct Day {
    /// The day, counted from the start of the clock.
    number: u64,
    began_unix_s: u64,
    covered_ms: u64,
    longest_ms: u32,
    longest_unix_s: u64,
    counts: [u32; BUCKETS],
}

impl Day {
    const NONE: Self = Self {
        number: 0,
        began_unix_s: 0,
        covered_ms: 0,
        longest_ms: 0,
        longest_unix_s: 0,
        counts: [0; BUCKETS],
    };

    fn is_empty(&self) -> bool {
        self.covered_ms == 0
    }
}

/// The gaps of one node: some 15 KiB.
#[derive(Clone)]
pub struct Gaps {
    last: Option<Monotonic>,
    days: Box<[Day; DAYS]>,
}

/// The days together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampled {
    /// When the oldest that is kept was sampled, in seconds since 1970.
    pub since_unix_s: u64,
    /// The gaps together, in milliseconds.
    pub covered_ms: u64,
    /// The longest one, in milliseconds.
    pub longest_ms: u32,
    /// When that ended, in seconds since 1970.
    pub longest_unix_s: u64,
    /// In rising order: the shortest gap of a bucket and the shortest of the next one, in milliseconds, and how
    /// many are in it.
    pub counts: Vec<(u32, u32, u64)>,
}

impl Default for Gaps {
    fn default() -> Self {
        Self {
            last: None,
            days: Box::new([Day::NONE; DAYS]),
        }
    }
}

impl fmt::Debug for Gaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Gaps");
        shown.field("last", &self.last).finish_non_exhaustive()
    }
}

impl Gaps {
    /// A heartbeat.
    pub fn heard(&mut self, now: Now) {
        let Some(last) = self.last.replace(now.instant) else {
            return;
        };
        let gap = u32::try_from(now.instant.since(last).as_millis()).unwrap_or(u32::MAX);
        if gap > LONGEST_MS {
            return;
        }
        let number = now.instant.since_start().as_secs() / DAY_S;
        let Some(day) = self.days.get_mut(slot(number)) else {
            return;
        };
        if day.number != number || day.is_empty() {
            *day = Day {
                number,
                began_unix_s: now.unix_s,
                ..Day::NONE
            };
        }
        day.covered_ms = day.covered_ms.saturating_add(u64::from(gap));
        if gap > day.longest_ms {
            day.longest_ms = gap;
            day.longest_unix_s = now.unix_s;
        }
        if let Some(count) = day.counts.get_mut(bucket(gap)) {
            *count = count.saturating_add(1);
        }
    }

    /// The gap that is open is none: the node was away, or began anew.
    pub const fn cut(&mut self) {
        self.last = None;
    }

    /// Of the gap that is open we stood still for so long ourselves.
    pub fn excuse(&mut self, late: std::time::Duration) {
        self.last = self.last.map(|last| last + late);
    }

    /// The last days together; `None`: nothing was sampled. Allocates.
    #[must_use]
    pub fn sampled(&self, now: Monotonic) -> Option<Sampled> {
        let today = now.since_start().as_secs() / DAY_S;
        let kept = u64::try_from(DAYS).unwrap_or(u64::MAX);
        let recent = |day: &&Day| !day.is_empty() && today.saturating_sub(day.number) < kept;
        let days = || self.days.iter().filter(recent);
        let longest = days().max_by_key(|day| day.longest_ms)?;
        let counted = (0..BUCKETS).filter_map(|bucket| {
            let counts = days().filter_map(|day| day.counts.get(bucket));
            let count: u64 = counts.map(|count| u64::from(*count)).sum();
            let next = shortest(bucket.saturating_add(1));
            (count > 0).then(|| (shortest(bucket), next, count))
        });
        Some(Sampled {
            since_unix_s: days().map(|day| day.began_unix_s).min()?,
            covered_ms: days().map(|day| day.covered_ms).sum(),
            longest_ms: longest.longest_ms,
            longest_unix_s: longest.longest_unix_s,
            counts: counted.collect(),
        })
    }
}

fn slot(number: u64) -> usize {
    let days = u64::try_from(DAYS).unwrap_or(u64::MAX);
    usize::try_from(number.checked_rem(days).unwrap_or(0)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Now {
        Now {
            instant: Monotonic::from_millis(ms),
            unix_s: 1_000 + ms / 1_000,
        }
    }

    #[test]
    fn every_gap_has_a_bucket_that_is_no_wider_than_an_eighth() {
        let mut last = 0;
        for ms in 0..=LONGEST_MS {
            let bucket = bucket(ms);
            assert!(bucket == last || bucket == last + 1, "{ms}");
            let (from, below) = (shortest(bucket), shortest(bucket + 1));
            assert!(from <= ms && ms < below, "{ms}: {from} to {below}");
            assert!(below - from <= (from / 8).max(1), "{ms}: {from} to {below}");
            last = bucket;
        }
        assert_eq!(last, BUCKETS - 1);
    }

    #[test]
    fn gaps_are_counted_and_what_is_cut_is_not() {
        let mut gaps = Gaps::default();
        assert_eq!(gaps.sampled(Monotonic::ZERO), None);
        for ms in [0, 1_000, 2_001, 9_001] {
            gaps.heard(at(ms));
        }
        gaps.cut();
        gaps.heard(at(30_000));
        gaps.heard(at(31_000));
        // Longer than any late heartbeat.
        gaps.heard(at(131_000));
        // We were late by three seconds.
        gaps.excuse(Duration::from_secs(3));
        gaps.heard(at(135_000));
        let sampled = gaps.sampled(at(135_000).instant);
        let expected = Sampled {
            since_unix_s: 1_001,
            covered_ms: 1_000 + 1_001 + 7_000 + 1_000 + 1_000,
            longest_ms: 7_000,
            longest_unix_s: 1_009,
            counts: vec![(960, 1_024, 4), (6_656, 7_168, 1)],
        };
        assert_eq!(sampled, Some(expected));
    }

    #[test]
    fn a_month_is_kept() {
        let mut gaps = Gaps::default();
        let day = DAY_S * 1_000;
        for number in 0..40 {
            let ms = number * day + 5_000;
            gaps.cut();
            gaps.heard(at(ms));
            gaps.heard(at(ms + 100 + number));
        }
        let of = |number: u64| gaps.sampled(Monotonic::from_millis(number * day));
        let all = of(39).expect("sampled");
        let count = all.counts.iter().map(|(_, _, count)| count).sum::<u64>();
        assert_eq!((count, all.longest_ms), (31, 139));
        assert_eq!(all.since_unix_s, 1_000 + 9 * DAY_S + 5);
        // None was heard since.
        let later = of(60).expect("sampled");
        assert_eq!(later.since_unix_s, 1_000 + 30 * DAY_S + 5);
        assert_eq!(of(70), None);
        assert!(size_of::<[Day; DAYS]>() + size_of::<Gaps>() <= 32 * 1024);
    }
}
