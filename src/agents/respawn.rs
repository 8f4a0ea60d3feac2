//! When a client that ended is started again. Spec: docs/protocol/membership.md, 9.2.

use std::time::Duration;

/// A life shorter than this is short.
pub const SHORT_LIFE: Duration = Duration::from_secs(30);

/// Short lives in a row after which a client is still started again; after one more it is given up.
/// So it is started 11 times in all.
const MAX_SHORT_LIVES: u32 = 10;

/// Pause before the start after a short life.
pub const PAUSE: Duration = Duration::from_secs(1);

/// Exit code of a client that does not want to be started again.
const CODE_NEVER: i32 = 100;

/// How a client ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// With this code.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
}

/// What follows from the end of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Start it again after this pause.
    Start(Duration),
    /// It asked not to be started again.
    Never,
    /// It ended too often: never start it again.
    TooFast,
    /// It was `failfast`: reboot the machine.
    Reboot,
}

/// The recent lives of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lives {
    short: u32,
}

impl Lives {
    /// Judges an end that was not requested, after a life of `lived`.
    #[must_use]
    pub fn ended(&mut self, how: How, lived: Duration, failfast: bool) -> Next {
        match how {
            How::Signaled(_) if failfast => return Next::Reboot,
            How::Exited(code) if failfast && code != 0 => return Next::Reboot,
            How::Exited(CODE_NEVER) => return Next::Never,
            How::Exited(_) | How::Signaled(_) => {}
        }
        if lived >= SHORT_LIFE {
            self.short = 0;
            return Next::Start(Duration::ZERO);
        }
        self.short = self.short.saturating_add(1);
        if self.short > MAX_SHORT_LIVES {
            Next::TooFast
        } else {
            Next::Start(PAUSE)
        }
    }
}

/// The program in a command line, to check that it may be executed.
#[must_use]
pub fn program(command: &str) -> &str {
    command.split_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = SHORT_LIFE;
    const SHORT: Duration = Duration::from_millis(29_999);

    #[test]
    fn the_consequence_of_each_end() {
        let start = |after| Next::Start(after);
        let cases = [
            (How::Exited(0), SHORT, false, start(PAUSE)),
            (How::Exited(1), SHORT, false, start(PAUSE)),
            (How::Signaled(9), SHORT, false, start(PAUSE)),
            (How::Exited(0), LONG, false, start(Duration::ZERO)),
            (How::Signaled(9), LONG, false, start(Duration::ZERO)),
            (How::Exited(100), SHORT, false, Next::Never),
            (How::Exited(100), LONG, false, Next::Never),
            (How::Exited(0), SHORT, true, start(PAUSE)),
            (How::Exited(0), LONG, true, start(Duration::ZERO)),
            (How::Exited(3), LONG, true, Next::Reboot),
            (How::Exited(100), LONG, true, Next::Reboot),
            (How::Signaled(15), LONG, true, Next::Reboot),
        ];
        for (how, lived, failfast, next) in cases {
            let found = Lives::default().ended(how, lived, failfast);
            assert_eq!(found, next, "{how:?} {lived:?} {failfast}");
        }
    }

    #[test]
    fn eleven_short_lives_are_enough() {
        let mut lives = Lives::default();
        for _ in 0..10 {
            assert_eq!(
                lives.ended(How::Exited(1), SHORT, false),
                Next::Start(PAUSE)
            );
        }
        assert_eq!(lives.ended(How::Exited(1), SHORT, false), Next::TooFast);
    }

    #[test]
    fn a_long_life_makes_good_again() {
        let mut lives = Lives::default();
        for _ in 0..10 {
            let _ = lives.ended(How::Signaled(11), SHORT, false);
        }
        let next = lives.ended(How::Signaled(11), LONG, false);
        assert_eq!(next, Next::Start(Duration::ZERO));
        assert_eq!(lives, Lives::default());
    }

    #[test]
    fn the_program_is_the_first_word() {
        assert_eq!(program("/bin/a  b c"), "/bin/a");
        assert_eq!(program(" /bin/a\tb"), "/bin/a");
        assert_eq!(program(""), "");
    }
}
