//! The guardian's view of one daemon, and the decision what follows its end.
//!
//! If there is no other node, there is no time limit. Otherwise the other nodes wait for as long as
//! the daemon has told ([`Told::patience`]), counted from the last heartbeat
//! ([`beat`](super::beat)), or from its death if that is not known. Each step that is needed before
//! heartbeats go on has a share of that time:
//!
//! | Until | The daemon |
//! |---|---|
//! | [`REVIVED`] | that was started again has to send a heartbeat |
//! | [`RELEASING`] | that is only to release everything has to send a heartbeat |
//! | a little before the end | everything is stopped, or the machine is restarted |

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::beat;
use super::why::Why;
use super::word::{self, Heard, NumberReader};
use crate::clock::{Clock, Monotonic};
use crate::os::sys;
use crate::os::sys::shared::receive;
use crate::protocol::settings::RESTART_EXTRA;

/// Deaths within [`WINDOW`] after which the daemon is not started again as before.
const DEATHS: usize = 3;

/// See [`DEATHS`].
const WINDOW: Duration = Duration::from_secs(60);

/// Tenths of the time that the others wait in which a daemon that was started again has to send a
/// heartbeat.
const REVIVED: u32 = 6;

/// The same for a daemon that is only to release everything.
const RELEASING: u32 = 8;

/// What a successor has at least, as far as the others still wait. A successor without a fault
/// needs some hundredths of a second; if it fails, the machine may have to be restarted.
const LEAST: Duration = Duration::from_millis(500);

/// How long before the end of the others' wait a restart of the machine takes effect: an eighth of
/// the wait at most.
const RESERVE: Duration = Duration::from_secs(1);

/// When the restart of the machine is due for groups that do not stop, within the time that the
/// others wait.
#[must_use]
pub fn restart_due(patience: Duration) -> Duration {
    patience.saturating_sub(RESERVE.min(patience / 8))
}

/// When the daemon died, recently.
#[derive(Debug, Default)]
pub(super) struct Deaths(Vec<Monotonic>);

impl Deaths {
    /// Records a death; `true`: too many.
    pub(super) fn note(&mut self, now: Monotonic) -> bool {
        self.0.retain(|death| now.since(*death) < WINDOW);
        self.0.push(now);
        self.0.len() >= DEATHS
    }
}

/// The purpose of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It serves.
    Serving,
    /// It sends heartbeats while it releases everything.
    Releasing,
}

/// How the watch over one daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It dismissed the guardian.
    Dismissed,
    /// It ended without a word.
    Died,
    /// It ended, and asked for a release.
    Unreleased,
    /// It lives and sends no heartbeat.
    Silent,
}

/// What the guardian does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: the guardian ends too.
    Go,
    /// A daemon that goes on.
    Revive,
    /// A daemon that sends heartbeats while it releases everything.
    ReleaseBeating(Why),
    /// Heartbeats are not possible any more: the guardian itself releases everything at once.
    ReleaseNow(Why),
}

/// Decides what follows. `often`: this death was one too many.
pub(super) fn next(stage: Stage, end: End, often: bool) -> Next {
    match (stage, end) {
        (_, End::Dismissed) => Next::Go,
        (Stage::Releasing, End::Died) => Next::ReleaseNow(Why::ReleaseDied),
        (Stage::Releasing, End::Unreleased) => Next::ReleaseNow(Why::Unreleased),
        // Another daemon would hang as well, and the time is short.
        (_, End::Silent) => Next::ReleaseNow(Why::Silent),
        (Stage::Serving, End::Unreleased) => Next::ReleaseBeating(Why::Unreleased),
        (Stage::Serving, End::Died) if often => Next::ReleaseBeating(Why::DiedOften),
        (Stage::Serving, End::Died) => Next::Revive,
    }
}

/// What the daemons have sent, and when they can have sent the last heartbeat.
#[derive(Debug)]
pub(super) struct Told {
    /// A daemon was told to stop: its successors have to stop as well.
    pub(super) stopping: bool,
    /// The present daemon sends heartbeats.
    beats: bool,
    /// How long the other nodes wait for a heartbeat; `None`: there is none, or the daemon is of an
    /// earlier version.
    patience: Option<Duration>,
    /// How much longer than usual they wait.
    extra: Duration,
    /// The start of their wait, while no daemon sends heartbeats: the last heartbeat, as far as it
    /// is known.
    silent_since: Monotonic,
    /// Since when a successor can be there.
    gone_since: Monotonic,
    /// The image of the last daemon that sent something.
    image: Option<File>,
    /// Where the last daemon that sent a page records its heartbeats.
    heartbeats: Option<File>,
}

impl Told {
    /// For a daemon that runs.
    pub(super) fn new(now: Monotonic) -> Self {
        Self {
            stopping: false,
            beats: true,
            patience: None,
            extra: Duration::ZERO,
            silent_since: now,
            gone_since: now,
            image: None,
            heartbeats: None,
        }
    }

    /// How long ago the daemon sent its last heartbeat; `None`: not known.
    pub(super) fn last_heartbeat(&self, pid: i32) -> Option<Duration> {
        beat::ago(self.heartbeats.as_ref()?, pid)
    }

    /// A path at which the image of the last daemon can be executed.
    pub(super) fn image(&self) -> Option<PathBuf> {
        let number = self.image.as_ref()?.as_raw_fd();
        Some(PathBuf::from(format!("/proc/self/fd/{number}")))
    }

    /// Opens the image of the daemon: it may have become another program in place.
    fn look_at_image(&mut self, pid: i32) {
        if let Ok(image) = File::open(format!("/proc/{pid}/exe")) {
            self.image = Some(image);
        }
    }

    fn hear(&mut self, heard: &Heard, now: Monotonic) {
        match heard {
            Heard::Word(word::STOPPING) => self.stopping = true,
            Heard::Word(word::BEGUN) => {
                self.beats = true;
                self.extra = Duration::ZERO;
            }
            Heard::Word(word::RESTARTING) => {
                self.ended(now, None);
                self.extra = RESTART_EXTRA;
            }
            Heard::Patience(patience) => self.patience = *patience,
            Heard::Word(_) | Heard::Part => {}
        }
    }

    /// The daemon has ended, or will be silent. `ago`: its last heartbeat, if that is known. If it
    /// was silent for as long as the others wait, they have taken over already: then there is no
    /// hurry any more, and its successor has the usual time.
    pub(super) fn ended(&mut self, now: Monotonic, ago: Option<Duration>) {
        if std::mem::replace(&mut self.beats, false) {
            let counts = |ago: &Duration| self.patience.is_some_and(|patience| *ago < patience);
            self.silent_since = now - ago.filter(counts).unwrap_or_default();
            self.gone_since = now;
        }
    }

    /// Until when a daemon of this stage has to send a heartbeat; `None`: it sends them, or the
    /// time is not known. If its predecessor hung for long before it died, it has the same share of
    /// what is left, or [`LEAST`].
    pub(super) fn must_beat_by(&self, stage: Stage) -> Option<Monotonic> {
        let tenths = match stage {
            Stage::Serving => REVIVED,
            Stage::Releasing => RELEASING,
        };
        let patience = self.patience.filter(|_| !self.beats)?;
        let share = |time: Duration| time.saturating_mul(tenths) / 10;
        let from = self.silent_since + self.extra;
        let left = (from + restart_due(patience)).since(self.gone_since);
        let least = (self.gone_since + LEAST).min(from + patience);
        let usual = from + share(patience);
        Some(usual.max(self.gone_since + share(left)).max(least))
    }

    /// How much time is left before a restart of the machine would come too late; `None`: not
    /// known.
    pub(super) fn left(&self, now: Monotonic) -> Option<Duration> {
        let due = self.silent_since + self.extra + restart_due(self.patience?);
        Some(due.since(now))
    }
}

/// One daemon.
pub(super) struct Ward {
    pub(super) pid: i32,
    pub(super) socket: UnixStream,
    /// If we started it: it must be reaped.
    pub(super) child: Option<Child>,
    pub(super) stage: Stage,
}

impl Ward {
    /// Kills it, so that it does nothing any more. A process that hangs in the kernel is not waited
    /// for.
    pub(super) fn end(&mut self) {
        let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
    }

    /// Whether its process exists. An ended one is reaped.
    pub(super) fn lives(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => kill(Pid::from_raw(self.pid), None).is_ok(),
        }
    }

    /// Waits for its end. Its last words count before its death.
    ///
    /// # Errors
    /// The kernel does not let us watch it.
    pub(super) fn watch(&mut self, told: &mut Told, clock: &Clock) -> io::Result<End> {
        let process = match sys::process_descriptor(self.pid) {
            Ok(process) => Some(process),
            // It has ended already: what it sent can still be read.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => None,
            Err(error) => return Err(error),
        };
        if self.child.is_none() {
            // We did not start it: it runs already.
            told.look_at_image(self.pid);
        }
        let mut ended = process.is_none();
        let mut unreleased = false;
        let mut numbers = NumberReader::default();
        self.socket.set_nonblocking(true)?;
        let mut open = true;
        // Memory that reading a word needs is allocated again after it.
        let mut slim = false;
        loop {
            while open {
                match receive(&self.socket) {
                    Ok(None) => open = false,
                    Ok(Some((byte, page))) => {
                        slim = false;
                        let heard = numbers.take(byte);
                        told.hear(&heard, clock.now().instant);
                        match heard {
                            Heard::Word(word::BEATS) => told.heartbeats = page,
                            Heard::Word(word::DISMISSED) => return Ok(End::Dismissed),
                            Heard::Word(word::UNRELEASED) => unreleased = true,
                            Heard::Word(word::BEGUN) => {
                                told.look_at_image(self.pid);
                                if told.stopping {
                                    let _ = kill(Pid::from_raw(self.pid), Signal::SIGTERM);
                                }
                            }
                            _ => {}
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => open = false,
                }
            }
            if ended {
                return Ok(if unreleased {
                    End::Unreleased
                } else {
                    End::Died
                });
            }
            let limit = match told.must_beat_by(self.stage) {
                None => None,
                Some(limit) => match limit.since(clock.now().instant) {
                    Duration::ZERO => return Ok(End::Silent),
                    left => Some(left),
                },
            };
            // Nothing is due: the guardian may sleep for months.
            if limit.is_none() && !std::mem::replace(&mut slim, true) {
                sys::shed_file_pages();
            }
            let socket = open.then(|| self.socket.as_fd());
            let process = process.as_ref().map(|process| process.as_fd());
            (ended, _) = sys::wait_for_either(process, socket, limit)?;
        }
    }
}

#[cfg(test)]
mod tests;
