//! How late this node's own heartbeats were: a check that takes too long while they were late says nothing
//! about the service.
//!
//! The cluster thread writes, and the main thread reads when a check has taken too long. Nobody is woken, and
//! nobody waits for a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::clock;

/// Late heartbeats that are remembered.
const MANY: usize = 64;

/// A lateness in milliseconds that is no news: timers and processors are never exact.
const USUAL_MS: u64 = 50;

/// Bits of a lateness in milliseconds; those above are the time of the heartbeat.
const LATE_BITS: u32 = 20;
const LATE_MASK: u64 = (1 << LATE_BITS) - 1;

/// The own heartbeats. Clones share them.
#[derive(Debug, Clone)]
pub struct OwnBeats(Arc<Noted>);

#[derive(Debug)]
struct Noted {
    keepalive_ms: u64,
    /// 0: there was none.
    last_ms: AtomicU64,
    next: AtomicUsize,
    /// When a late one came, and how late: `at << LATE_BITS | late`.
    late: [AtomicU64; MANY],
}

impl OwnBeats {
    /// None yet.
    #[must_use]
    pub fn new(keepalive: Duration) -> Self {
        Self(Arc::new(Noted {
            keepalive_ms: millis(keepalive),
            last_ms: AtomicU64::new(0),
            next: AtomicUsize::new(0),
            late: [const { AtomicU64::new(0) }; MANY],
        }))
    }

    /// One came back. A few stores into memory. Only one thread calls it.
    pub fn beat(&self) {
        self.beat_at(millis(clock::since_boot()));
    }

    fn beat_at(&self, now_ms: u64) {
        let late = self.lateness(now_ms).min(LATE_MASK);
        self.0.last_ms.store(now_ms, Ordering::Relaxed);
        if late < USUAL_MS {
            return;
        }
        let place = self.0.next.fetch_add(1, Ordering::Relaxed) % MANY;
        if let Some(slot) = self.0.late.get(place) {
            slot.store((now_ms << LATE_BITS) | late, Ordering::Relaxed);
        }
    }

    /// How late the next one is by now.
    fn lateness(&self, now_ms: u64) -> u64 {
        let last = self.0.last_ms.load(Ordering::Relaxed);
        let since = if last == 0 {
            0
        } else {
            now_ms.saturating_sub(last)
        };
        since.saturating_sub(self.0.keepalive_ms)
    }

    /// How late the latest of them was within this time, one that has not come yet included.
    #[must_use]
    pub fn latest_within(&self, time: Duration) -> Duration {
        self.latest(millis(clock::since_boot()), time)
    }

    fn latest(&self, now_ms: u64, time: Duration) -> Duration {
        let oldest = now_ms.saturating_sub(millis(time));
        let slots = self.0.late.iter().map(|slot| slot.load(Ordering::Relaxed));
        let recent = slots.filter(|slot| *slot != 0 && slot >> LATE_BITS >= oldest);
        let worst = recent
            .map(|slot| slot & LATE_MASK)
            .max()
            .unwrap_or_default();
        Duration::from_millis(worst.max(self.lateness(now_ms)))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_beat_counts_for_as_long_as_is_asked() {
        let second = Duration::from_secs(1);
        let beats = OwnBeats::new(second);
        assert_eq!(beats.latest(90_000, second), Duration::ZERO, "none yet");
        for ms in [1000, 2000, 6000, 7000] {
            beats.beat_at(ms);
        }
        let ten = Duration::from_secs(10);
        assert_eq!(beats.latest(7500, ten), Duration::from_secs(3));
        assert_eq!(beats.latest(7500, second), Duration::ZERO);
        assert_eq!(
            beats.latest(9500, second),
            Duration::from_millis(1500),
            "not come yet"
        );
    }
}
