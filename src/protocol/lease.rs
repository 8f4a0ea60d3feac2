//! The lifetime that a node gives its service addresses, and which lifetimes are safe.
//!
//! An address with a lifetime goes by itself when nobody renews it. It has to be gone before the other node
//! takes over, and it must not go because one heartbeat came late.

use std::time::Duration;

/// From the last heartbeat to the end of the address it may take so much longer than the lifetime: a tenth of a
/// second to the renewal, and a third of a second that the kernel takes its time.
pub const SLACK: Duration = Duration::from_millis(500);

/// Heartbeats that may be missing before the address goes.
const MISSED: u32 = 2;

/// The longest that is chosen without being asked for.
const LONGEST_AUTO: u64 = 8;

/// What the settings ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressLease {
    /// Addresses stay until somebody removes them.
    #[default]
    Off,
    /// The longest lifetime that leaves room for a heartbeat that is lost on its way; at most 8 s.
    Auto,
    /// This lifetime, in whole seconds, as the kernel counts.
    Seconds(u32),
}

impl AddressLease {
    /// The lifetime in seconds for a node with these times; `None`: off.
    ///
    /// # Errors
    /// No lifetime fits, or the one that is asked for does not: which would.
    pub fn seconds(self, keepalive: Duration, deadtime: Duration) -> Result<Option<u32>, Misfit> {
        let least = keepalive.saturating_mul(MISSED).saturating_add(SLACK);
        let most = deadtime.saturating_sub(SLACK);
        let fits = |seconds: u32| {
            let length = Duration::from_secs(seconds.into());
            seconds > 0 && least <= length && length <= most
        };
        let wanted = match self {
            Self::Off => return Ok(None),
            Self::Auto => {
                let spare = most.saturating_sub(keepalive);
                u32::try_from(spare.as_secs().min(LONGEST_AUTO)).unwrap_or_default()
            }
            Self::Seconds(seconds) => seconds,
        };
        if fits(wanted) {
            return Ok(Some(wanted));
        }
        let first = u64::try_from(least.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
        let first = first.max(1);
        Err(Misfit {
            wanted: self,
            keepalive,
            deadtime,
            fitting: (first <= most.as_secs()).then_some((first, most.as_secs())),
        })
    }
}

/// Why there is no lifetime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// What was asked for.
    pub wanted: AddressLease,
    /// `keepalive`.
    pub keepalive: Duration,
    /// `deadtime`.
    pub deadtime: Duration,
    /// The shortest and the longest that fit, in seconds.
    pub fitting: Option<(u64, u64)>,
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (keepalive, deadtime) = (self.keepalive.as_millis(), self.deadtime.as_millis());
        match self.wanted {
            AddressLease::Seconds(seconds) => write!(f, "a lease of {seconds} s")?,
            AddressLease::Auto | AddressLease::Off => f.write_str("no lease")?,
        }
        let (verb, auto) = match self.wanted {
            AddressLease::Seconds(_) => ("does not fit", false),
            AddressLease::Auto | AddressLease::Off => ("fits", true),
        };
        write!(
            f,
            " {verb} keepalive {keepalive} ms and deadtime {deadtime} ms: it has to be two keepalive and half a \
             second at least, half a second less than deadtime at most, and whole seconds"
        )?;
        match self.fitting {
            Some((least, most)) if least == most => write!(f, ": {least} s would fit"),
            Some((least, most)) => write!(f, ": {least} to {most} s would fit"),
            None if auto => f.write_str("; with a longer deadtime one would fit"),
            None => f.write_str("; none fits, with a longer deadtime one would"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn auto(keepalive: u64, deadtime: u64) -> Option<u32> {
        let seconds = AddressLease::Auto.seconds(ms(keepalive), ms(deadtime));
        seconds.ok().flatten()
    }

    #[test]
    fn auto_is_the_longest_with_room_for_a_lost_heartbeat() {
        assert_eq!(auto(200, 2000), Some(1));
        assert_eq!(auto(500, 3000), Some(2));
        assert_eq!(auto(1000, 10_000), Some(8));
        assert_eq!(auto(2000, 30_000), Some(8));
        assert_eq!(auto(2000, 10_000), Some(7));
        assert_eq!(auto(100, 1000), None, "less than a second");
        assert_eq!(auto(2000, 5000), None, "one late heartbeat would end it");
        assert_eq!(AddressLease::Off.seconds(ms(1), ms(1)), Ok(None));
    }

    #[test]
    fn what_is_asked_for_is_given_within_its_bounds() {
        let of = |seconds| AddressLease::Seconds(seconds).seconds(ms(500), ms(3000));
        assert_eq!(of(2), Ok(Some(2)));
        let refused = |seconds| of(seconds).map_err(|it| it.to_string());
        let line = refused(3).expect_err("too long");
        assert_eq!(
            line,
            "a lease of 3 s does not fit keepalive 500 ms and deadtime 3000 ms: it has to be two keepalive and half \
             a second at least, half a second less than deadtime at most, and whole seconds: 2 s would fit"
        );
        let line = refused(1).expect_err("too short");
        assert!(line.ends_with(": 2 s would fit"), "{line}");
        assert!(of(0).is_err());
        let wide = AddressLease::Seconds(30).seconds(ms(1000), ms(10_000));
        let line = wide.expect_err("too long").to_string();
        assert!(line.ends_with(": 3 to 9 s would fit"), "{line}");
        let none = AddressLease::Auto.seconds(ms(100), ms(1000));
        let line = none.expect_err("none").to_string();
        assert!(line.starts_with("no lease fits keepalive 100 ms"), "{line}");
        assert!(
            line.ends_with("with a longer deadtime one would fit"),
            "{line}"
        );
    }

    /// Every lifetime that is said to fit does, and no other.
    #[test]
    fn what_would_fit_fits() {
        for keepalive in [100, 250, 500, 1000, 2000, 3000] {
            for deadtime in [500, 1000, 1500, 2000, 3000, 5000, 10_000, 30_000] {
                let of =
                    |seconds| AddressLease::Seconds(seconds).seconds(ms(keepalive), ms(deadtime));
                let fitting = of(0).expect_err("never").fitting;
                for seconds in 1..40 {
                    let said = fitting
                        .is_some_and(|(least, most)| (least..=most).contains(&u64::from(seconds)));
                    assert_eq!(
                        of(seconds).is_ok(),
                        said,
                        "{seconds} {keepalive} {deadtime}"
                    );
                }
            }
        }
    }
}
