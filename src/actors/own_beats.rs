//! How late this node's own heartbeats were, as the main thread saw them: a check that takes too long
//! while they were late says nothing about the service.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::{Clock, Monotonic};

/// Most late heartbeats that are remembered.
const MANY: usize = 64;

/// The own heartbeats.
#[derive(Debug)]
pub struct OwnBeats {
    clock: Clock,
    keepalive: Duration,
    last: Option<Monotonic>,
    late: VecDeque<(Monotonic, Duration)>,
}

impl OwnBeats {
    /// None yet.
    #[must_use]
    pub fn new(keepalive: Duration) -> Self {
        Self {
            clock: Clock::start(),
            keepalive,
            last: None,
            late: VecDeque::new(),
        }
    }

    /// One came back.
    pub fn beat(&mut self) {
        let now = self.clock.now().instant;
        self.beat_at(now);
    }

    fn beat_at(&mut self, now: Monotonic) {
        let late = self.lateness(now);
        self.last = Some(now);
        if !late.is_zero() {
            if self.late.len() >= MANY {
                self.late.pop_front();
            }
            self.late.push_back((now, late));
        }
    }

    /// How late the next one is by now.
    fn lateness(&self, now: Monotonic) -> Duration {
        let since = self.last.map(|last| now.since(last));
        since.unwrap_or_default().saturating_sub(self.keepalive)
    }

    /// How late the latest of them was within this time, one that has not come yet included.
    #[must_use]
    pub fn latest_within(&self, time: Duration) -> Duration {
        self.latest(self.clock.now().instant, time)
    }

    fn latest(&self, now: Monotonic, time: Duration) -> Duration {
        let recent = self.late.iter().filter(|(at, _)| now.since(*at) <= time);
        let worst = recent.map(|(_, late)| *late).max().unwrap_or_default();
        worst.max(self.lateness(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_beat_counts_for_as_long_as_is_asked() {
        let at = Monotonic::from_millis;
        let second = Duration::from_secs(1);
        let mut beats = OwnBeats::new(second);
        assert_eq!(beats.latest(at(90_000), second), Duration::ZERO, "none yet");
        for ms in [1000, 2000, 6000, 7000] {
            beats.beat_at(at(ms));
        }
        let ten = Duration::from_secs(10);
        assert_eq!(beats.latest(at(7500), ten), Duration::from_secs(3));
        assert_eq!(beats.latest(at(7500), second), Duration::ZERO);
        assert_eq!(
            beats.latest(at(9500), second),
            Duration::from_millis(1500),
            "not come yet"
        );
    }
}
