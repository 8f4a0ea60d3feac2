//! What time it is. The only place that asks.
//!
//! The core never reads a clock: every call into it carries a [`Now`].

use std::ops::{Add, Sub};
use std::time::Duration;

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

/// The machine's clocks. `tokio` time underneath, so that a paused test clock moves every actor.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: tokio::time::Instant,
}

impl Clock {
    /// A clock that starts now. Call inside a `tokio` runtime when test time is paused.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that asks")]
    pub fn start() -> Self {
        Self {
            start: tokio::time::Instant::now(),
        }
    }

    /// Both clocks, read now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that asks")]
    pub fn now(&self) -> Now {
        let instant = Monotonic(tokio::time::Instant::now().saturating_duration_since(self.start));
        Now {
            instant,
            unix_s: wall_unix_s(),
        }
    }

    /// The `tokio` instant of `at`, for arming a timer.
    #[must_use]
    pub fn deadline(&self, at: Monotonic) -> tokio::time::Instant {
        self.start + at.since_start()
    }
}

/// The wall clock in whole seconds since 1970, for log lines and files.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place that asks")]
pub fn wall_unix_s() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since_epoch| since_epoch.as_secs())
}
