//! The clocks. Only this module reads them.
//!
//! The core never reads a clock: every call into it carries a [`Now`].

use std::cell::Cell;
use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A point on the monotonic clock, as time since an arbitrary start.
///
/// Unlike `std::time::Instant` it can be made from a number, so a simulated cluster is
/// reproducible bit for bit, and all its arithmetic saturates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// The start of the clock.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// A point `since_start` after the start of the clock.
    #[must_use]
    pub const fn from_duration(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// A point `ms` milliseconds after the start of the clock.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// Time since the start of the clock.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs))
    }
}

impl Sub<Duration> for Monotonic {
    type Output = Self;
    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(rhs))
    }
}

/// The time at which the core handles an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time: all timeouts are measured on it.
    pub instant: Monotonic,
    /// Wall clock, whole seconds since 1970: goes on the wire as `ts`, decides nothing.
    pub unix_s: u64,
}

/// Broken-down local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LocalTime {
    /// Such as 2026.
    pub year: i32,
    /// 1..=12.
    pub month: u8,
    /// 1..=31.
    pub day: u8,
    /// 0..=23.
    pub hour: u8,
    /// 0..=59.
    pub minute: u8,
    /// 0..=60.
    pub second: u8,
}

/// The machine's clocks. They use `tokio` time, so that a paused test clock moves every actor.
///
/// The clock of `tokio` stops while the machine is suspended; here that time is added, because the
/// other nodes have waited for us meanwhile.
#[derive(Debug, Clone)]
pub struct Clock {
    start: tokio::time::Instant,
    /// How far the boot clock was ahead of the monotonic clock at the start.
    ahead: Duration,
    /// Time suspended since the start, as far as measured: it never decreases.
    suspended: Cell<Duration>,
}

impl Clock {
    /// A clock that starts now. Call inside a `tokio` runtime when test time is paused.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that asks")]
    pub fn start() -> Self {
        Self {
            start: tokio::time::Instant::now(),
            // The largest of several readings: a pause between two readings would later look like
            // suspension.
            ahead: (0..8).map(|_| boot_ahead()).max().unwrap_or_default(),
            suspended: Cell::new(Duration::ZERO),
        }
    }

    /// Both clocks, read now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that asks")]
    pub fn now(&self) -> Now {
        let awake = tokio::time::Instant::now().saturating_duration_since(self.start);
        Now {
            instant: Monotonic(awake.saturating_add(self.suspended())),
            unix_s: wall_unix_s(),
        }
    }

    /// Readings that explain lateness later. Reads the calling thread's processor time.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        Evidence {
            suspended: self.suspended(),
            busy: read(ClockId::CLOCK_THREAD_CPUTIME_ID),
        }
    }

    fn suspended(&self) -> Duration {
        let seen = boot_ahead().saturating_sub(self.ahead);
        let suspended = self.suspended.get().max(seen);
        self.suspended.set(suspended);
        suspended
    }
}

/// How far the boot clock is ahead of the monotonic clock, never more: a pause between the two
/// readings makes it less.
fn boot_ahead() -> Duration {
    let boot = read(ClockId::CLOCK_BOOTTIME);
    boot.saturating_sub(read(ClockId::CLOCK_MONOTONIC))
}

/// Reads a clock of the kernel; a clock that does not exist reads zero.
fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}

/// Readings between which the thread was late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evidence {
    suspended: Duration,
    busy: Duration,
}

/// Why a thread was late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The machine was suspended.
    Suspended,
    /// The thread itself used the time.
    Busy,
    /// Neither: a signal stopped the process, the machine was stopped from outside, or other
    /// programs had the processors.
    NotRun,
}

impl Evidence {
    /// The cause of most of `late`, a lateness since `self` was read.
    #[must_use]
    pub fn cause(&self, later: &Self, late: Duration) -> Cause {
        let half = late / 2;
        if later.suspended.saturating_sub(self.suspended) > half {
            Cause::Suspended
        } else if later.busy.saturating_sub(self.busy) > half {
            Cause::Busy
        } else {
            Cause::NotRun
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Suspended => "the machine was suspended",
            Self::Busy => "the thread that beats was busy",
            Self::NotRun => "the process was stopped or got no processor",
        })
    }
}

/// Time since the machine began, sleep included: the same for all processes.
#[must_use]
pub fn since_boot() -> Duration {
    read(ClockId::CLOCK_BOOTTIME)
}

/// Until the next whole multiple of `period` since the machine began; never nothing. What is done every so often and has no
/// moment of its own is done together then: an idle daemon wakes once for all of it.
#[must_use]
pub fn until_common(period: Duration) -> Duration {
    let period = period.max(Duration::from_millis(1));
    let over = since_boot().as_nanos() % period.as_nanos();
    period.saturating_sub(Duration::from_nanos(u64::try_from(over).unwrap_or(0)))
}

/// The wall clock in whole seconds since 1970, for log lines and files.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place that asks")]
pub fn wall_unix_s() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since_epoch| since_epoch.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_has_no_moment_of_its_own_is_done_together() {
        let period = Duration::from_secs(86_400);
        let now = since_boot();
        let wait = until_common(period);
        assert!(!wait.is_zero() && wait <= period);
        // A whole number of periods, but for the time between the two readings.
        let over = (now + wait).as_secs_f64() % period.as_secs_f64();
        let early = (period.as_secs_f64() - over) % period.as_secs_f64();
        assert!(early < 60.0 || over < 0.001, "{over} s beyond a multiple");
        assert!(!until_common(Duration::ZERO).is_zero());
    }

    #[test]
    fn the_larger_part_of_a_lateness_is_its_cause() {
        let before = Evidence::default();
        let after = |suspended_ms, busy_ms| Evidence {
            suspended: Duration::from_millis(suspended_ms),
            busy: Duration::from_millis(busy_ms),
        };
        assert_eq!(before.cause(&after(900, 0), SECOND), Cause::Suspended);
        assert_eq!(before.cause(&after(0, 900), SECOND), Cause::Busy);
        assert_eq!(before.cause(&after(100, 100), SECOND), Cause::NotRun);
    }

    #[actix::test]
    async fn suspended_time_counts_and_never_grows_less() {
        let mut clock = Clock::start();
        let before = clock.now().instant;
        // As if the machine had been suspended for ten seconds since.
        clock.suspended.set(10 * SECOND);
        assert!(clock.now().instant.since(before) >= 10 * SECOND);
        // The boot clock alone may neither decrease it nor increase it beyond its own value.
        clock.ahead = boot_ahead();
        assert_eq!(clock.evidence().suspended, 10 * SECOND);
    }
}
