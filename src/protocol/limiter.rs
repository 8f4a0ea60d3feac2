//! Limits log lines that a peer can cause at will.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::notice::Notice;

/// Lines of one kind that pass within one period.
const BURST: u32 = 10;
/// The period.
const PERIOD: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Count {
    since: Monotonic,
    passed: u32,
    suppressed: u64,
}

/// Counts lines per kind. The kinds are names in our source, so the table is bounded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limiter {
    counts: BTreeMap<&'static str, Count>,
}

impl Limiter {
    /// Whether a line of `kind` may pass now; counts it if not.
    pub fn pass(&mut self, kind: &'static str, now: Monotonic) -> bool {
        let count = self.counts.entry(kind).or_insert(Count {
            since: now,
            passed: 0,
            suppressed: 0,
        });
        if count.suppressed == 0 && now.since(count.since) >= PERIOD {
            count.since = now;
            count.passed = 0;
        }
        if count.passed < BURST {
            count.passed = count.passed.saturating_add(1);
            true
        } else {
            count.suppressed = count.suppressed.saturating_add(1);
            false
        }
    }

    /// Lines about what was suppressed in the periods that have ended.
    pub fn report(&mut self, now: Monotonic) -> Vec<Notice> {
        let mut lines = Vec::new();
        for (kind, count) in &mut self.counts {
            if count.suppressed > 0 && now.since(count.since) >= PERIOD {
                lines.push(Notice::OtherWarn {
                    text: format!("{} more lines suppressed: {kind}", count.suppressed),
                });
                *count = Count {
                    since: now,
                    passed: 0,
                    suppressed: 0,
                };
            }
        }
        lines
    }

    /// When the next report is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.counts
            .values()
            .filter(|count| count.suppressed > 0)
            .map(|count| count.since + PERIOD)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_becomes_ten_lines_and_a_count() {
        let mut limiter = Limiter::default();
        let passed = (0..1000)
            .filter(|ms| limiter.pass("replay", Monotonic::from_millis(*ms)))
            .count();
        assert_eq!(passed, 10);
        assert!(limiter.pass("bad node", Monotonic::from_millis(1000)));
        assert_eq!(
            limiter.next_deadline(),
            Some(Monotonic::from_millis(10_000))
        );
        assert!(limiter.report(Monotonic::from_millis(9_999)).is_empty());
        let lines = limiter.report(Monotonic::from_millis(10_000));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].to_string(), "990 more lines suppressed: replay");
        assert!(limiter.pass("replay", Monotonic::from_millis(10_001)));
        assert_eq!(limiter.next_deadline(), None);
    }
}
