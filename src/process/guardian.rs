//! The guardian: a second, very small process that outlives the daemon's sudden death.
//!
//! It has one thread, no runtime, and allocates nothing while it waits. The daemon starts it from
//! its own program file, so its memory is small. It sleeps until the daemon's process ends (a
//! process descriptor) or sends a word (a socket, the guardian's standard input). A daemon that
//! ended without a dismissal is started again at once, with the words that it left on disk
//! (`actors/groups/held.rs`). At the third death within a minute it is started only to release
//! everything, and sends heartbeats until that is done: the other node waits for it. When that
//! fails as well, the guardian becomes the program that releases all resources, and hands it the
//! reason ([`Why`]) and how long the other node still waits.
//!
//! | What happens | Which process notices, and how | Then |
//! |---|---|---|
//! | the daemon dies | guardian, process descriptor | a new daemon with what was held; the same guardian |
//! | the guardian dies | daemon, end of the socket | the daemon starts another (`actors/guardian.rs`) |
//! | the daemon dies, third time in a minute | guardian | a daemon that releases everything and meanwhile sends heartbeats |
//! | what was held cannot be read | guardian | the same |
//! | the daemon ends and could not release everything | guardian, by the daemon's word | the same |
//! | that daemon dies or could not release everything; no daemon can be started; a new one sends no heartbeat in time ([`ward`]) and is killed | guardian | it releases everything itself, addresses first; what is not stopped before the other node takes it restarts the machine |
//! | both die at once | none | see docs/death.md |
//!
//! Two locks make sure that there are never two daemons or two guardians: the kernel releases them
//! with the process. While a guardian lives, no daemon but its own begins.

mod beat;
mod link;
mod ward;
mod why;
mod word;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{IntoRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub use beat::Beats;
pub use link::Link;
pub use ward::restart_due;
pub use why::Why;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::unistd::setsid;
use ward::{Deaths, End, Next, Stage, Told, Ward, next};

use crate::clock::Clock;
use crate::os::execute::execute;
use crate::os::paths::Paths;
use crate::process::EXIT_GENERIC;
use crate::process::daemonize;
use crate::process::handover::{self, words};
use crate::process::locks::take_lock;

/// The guardian's first word in process lists; it also tells the program that it is the guardian.
pub const TITLE: &str = "heartbeat: guardian";

/// The first word of the program that releases all resources.
pub const RELEASE_TITLE: &str = "heartbeat: releasing resources";

/// How often a daemon that cannot be started (no memory, a program file being replaced) is tried.
const START_TRIES: u32 = 50;

/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a killed daemon may take to end. A daemon that hangs in the kernel stays.
const KILLED: Duration = Duration::from_millis(200);

/// The end of a guardian.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this exit code.
    Exit(u8),
    /// It is to release everything itself, with these words ([`RELEASE_TITLE`]): no program can be
    /// executed any more. Its lock stays with the process.
    Release(Vec<OsString>),
}

/// Runs as the guardian of process `arguments[0]` until it is dismissed. A successor of a daemon
/// runs the same image as that daemon, whatever is in the file `program` by now. A daemon that only
/// releases, and the program that does so, must know what they are to do: they run the guardian's
/// own image.
#[must_use]
pub fn guard(arguments: &[OsString], program: &Path) -> Outcome {
    let _ = nix::sys::prctl::set_name(c"heartbeat-guard");
    // A signal to the daemon's session or process group is not meant for the guardian.
    let _ = setsid();
    let paths = Paths::default();
    let ward = arguments
        .first()
        .and_then(|word| word.to_str()?.parse().ok())
        .zip(Link::adopt().listener())
        .map(|(pid, socket)| Ward {
            pid,
            socket,
            child: None,
            stage: Stage::Serving,
        });
    let (Some(ward), Ok(Some(lock))) = (ward, take_lock(&paths.guardian_lock())) else {
        return Outcome::Exit(EXIT_GENERIC);
    };
    Link::default().keep();
    let clock = Clock::start();
    let guard = Guard {
        own: Path::new(daemonize::OWN_IMAGE),
        program,
        paths: &paths,
        lock: &lock,
        told: Told::new(clock.now().instant),
        clock,
    };
    let outcome = guard.keep(ward);
    if matches!(outcome, Outcome::Release(_)) {
        // Never closed.
        let _ = lock.into_raw_fd();
    }
    outcome
}

/// A guardian at work.
struct Guard<'a> {
    /// The image that it runs.
    own: &'a Path,
    /// The file of the program; perhaps another program by now.
    program: &'a Path,
    paths: &'a Paths,
    lock: &'a File,
    clock: Clock,
    told: Told,
}

impl Guard<'_> {
    /// Watches one daemon after the other.
    fn keep(mut self, mut ward: Ward) -> Outcome {
        let mut deaths = Deaths::default();
        loop {
            let Ok(end) = ward.watch(&mut self.told, &self.clock) else {
                return Outcome::Exit(EXIT_GENERIC);
            };
            if end == End::Silent {
                ward.end();
            }
            let now = self.clock.now().instant;
            let ago = self.told.last_heartbeat(ward.pid);
            self.told.ended(now, ago);
            if end != End::Dismissed {
                reap(&mut ward, end);
            }
            let often = end == End::Died && deaths.note(now);
            let mut then = next(ward.stage, end, often);
            if then == Next::Revive {
                match self.revive() {
                    Ok(revived) => {
                        ward = revived;
                        continue;
                    }
                    Err(why) => then = Next::ReleaseBeating(why),
                }
            }
            let (why, detail) = match then {
                Next::Go | Next::Revive => return Outcome::Exit(0),
                Next::ReleaseNow(why) => (why, String::new()),
                Next::ReleaseBeating(why) => match self.start_release(why) {
                    Ok(releasing) => {
                        ward = releasing;
                        continue;
                    }
                    Err(error) => (Why::NotStartable, error.to_string()),
                },
            };
            return self.release_now(why, &detail);
        }
    }

    /// Starts the daemon again with what it held.
    ///
    /// # Errors
    /// The state cannot be read, or the daemon cannot be started.
    fn revive(&self) -> Result<Ward, Why> {
        let kept = handover::read(&self.paths.held()).map_err(|_| Why::HeldUnreadable)?;
        self.start(Stage::Serving, &kept.into_words())
            .map_err(|_| Why::NotStartable)
    }

    /// Starts a daemon that only sends heartbeats and releases everything.
    ///
    /// # Errors
    /// It cannot be started.
    fn start_release(&self, why: Why) -> io::Result<Ward> {
        let kept = handover::read(&self.paths.held());
        let mut words = kept.map_or_else(|_| words::of_nothing_known(), handover::Kept::into_words);
        words.push(words::release(why.word()));
        self.start(Stage::Releasing, &words)
    }

    /// Starts a daemon with these words. Fails if it cannot be started before its time is over.
    #[expect(
        clippy::disallowed_methods,
        reason = "this process does nothing else meanwhile"
    )]
    fn start(&self, stage: Stage, words: &[String]) -> io::Result<Ward> {
        let mut tries = START_TRIES;
        loop {
            let late = || {
                let limit = self.told.must_beat_by(stage);
                limit.is_some_and(|limit| limit <= self.clock.now().instant)
            };
            let mut failed = io::Error::from(io::ErrorKind::NotFound);
            for program in self.programs(stage) {
                match start(&program, words, stage) {
                    Ok(ward) => return Ok(ward),
                    Err(error) => failed = error,
                }
            }
            if tries == 0 || late() {
                return Err(failed);
            }
            std::thread::sleep(PAUSE);
            tries -= 1;
        }
    }

    /// The programs that can be started, the better ones first.
    fn programs(&self, stage: Stage) -> Vec<PathBuf> {
        let (own, file) = (self.own.to_owned(), self.program.to_owned());
        match stage {
            Stage::Serving => self.told.image().into_iter().chain([file, own]).collect(),
            Stage::Releasing => vec![own, file],
        }
    }

    /// Becomes the program that releases everything, and keeps the guardian's lock for it, so that
    /// no daemon begins meanwhile. `detail` adds to the reason; may be empty. Returns if no program
    /// can be executed because the disk has failed.
    fn release_now(&self, why: Why, detail: &str) -> Outcome {
        let _ = fcntl(self.lock, FcntlArg::F_SETFD(FdFlag::empty()));
        let left = self.told.left(self.clock.now().instant);
        let left = left.map_or(String::new(), |left| left.as_millis().to_string());
        let words = [why.word(), detail, &left].map(OsString::from);
        for program in self.programs(Stage::Releasing) {
            let _ = execute(&program, RELEASE_TITLE, &words);
        }
        // A background process of a script must not keep the lock.
        let _ = fcntl(self.lock, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
        Outcome::Release(words.to_vec())
    }
}

/// Waits for the end of a daemon. One that we had to kill is waited for only a moment.
#[expect(
    clippy::disallowed_methods,
    reason = "this process does nothing else meanwhile"
)]
fn reap(ward: &mut Ward, end: End) {
    if end != End::Silent {
        if let Some(child) = &mut ward.child {
            let _ = child.wait();
        }
        return;
    }
    let mut waited = Duration::ZERO;
    while ward.lives() && waited < KILLED {
        std::thread::sleep(PAUSE);
        waited = waited.saturating_add(PAUSE);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the daemon itself, neither a script nor a client"
)]
fn start(program: &Path, words: &[String], stage: Stage) -> io::Result<Ward> {
    let (own, theirs) = UnixStream::pair()?;
    let child = Command::new(program)
        .arg0(daemonize::TITLE)
        .args(words)
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(Ward {
        pid: i32::try_from(child.id()).map_err(io::Error::other)?,
        socket: own,
        child: Some(child),
        stage,
    })
}

#[cfg(test)]
mod tests;
