//! The guardian: a second, tiny process that outlives the daemon's sudden death.
//!
//! One thread, no runtime, no allocation while it waits. The daemon starts it from its own program
//! file, so its memory is small. It sleeps until the daemon's process ends (a process descriptor)
//! or says a word (a socket, the guardian's standard input). A daemon that ended without a good-bye
//! is started again at once, with the words that it left on disk (`actors/root/held.rs`). At the
//! third death within a minute, and when it cannot be started, the guardian becomes the program that
//! releases all resources instead, and tells it why ([`Why`]).
//!
//! | Who has died | Who notices, by what | Then |
//! |---|---|---|
//! | daemon | guardian, process descriptor | a new daemon with what was held; the same guardian |
//! | guardian | daemon, end of the socket | the daemon starts another (`actors/guardian.rs`) |
//! | daemon, third time in a minute | guardian | all resources are released, exit code not 0 |
//! | nobody: the daemon ends and could not release everything | guardian, by the daemon's word | the same |
//! | both at once | nobody | see docs/operations.md |
//!
//! Two locks make sure that there are never two daemons nor two guardians: the kernel gives them up
//! with the process. While a guardian lives, no daemon but its own begins.

mod why;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use why::Why;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, dup2_stdin, setsid};

use crate::clock::{Clock, Monotonic};
use crate::daemonize;
use crate::paths::Paths;
use crate::sys;

/// The guardian's first word in process lists; it also tells the program what to be.
pub const TITLE: &str = "heartbeat: guardian";

/// The first word of the program that releases all resources.
pub const RELEASE_TITLE: &str = "heartbeat: releasing resources";

/// Deaths within [`WINDOW`] after which the daemon is not started again.
const DEATHS: usize = 3;

/// See [`DEATHS`].
const WINDOW: Duration = Duration::from_secs(60);

/// How often a daemon that cannot be started (no memory, a program file being replaced) is tried.
const START_TRIES: u32 = 50;

/// How long a lock is waited for: its last holder may be ending this moment.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Pause between two tries of anything.
const PAUSE: Duration = Duration::from_millis(20);

/// Longest file of what is held. The words become a command line, for which the kernel has a quarter
/// of the limit of a stack: 2 MiB as a rule, the environment included. Room for some ten thousand
/// groups. What is longer is not written either: nobody would read it.
pub const MAX_HELD_BYTES: usize = 1024 * 1024;

/// The daemon has begun.
const BEGUN: u8 = b'b';
/// The daemon was told to stop: a successor has to stop as well.
const STOPPING: u8 = b's';
/// The daemon ends, or wants no guardian.
const DISMISSED: u8 = b'd';
/// The daemon ends and groups may still run: they are to be released, and it is not to be started.
const UNRELEASED: u8 = b'u';

/// Exit code of a guardian that could not do its work, and of every release.
pub(crate) const EXIT_GENERIC: u8 = 1;

/// The daemon's end of the way to its guardian; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Link {
    socket: Arc<Mutex<Option<UnixStream>>>,
    stopping: Arc<AtomicBool>,
}

impl Link {
    /// Takes over the guardian of before a restart: a socket as our standard input. Only a daemon
    /// that was started by its predecessor or by its guardian may ask.
    #[must_use]
    pub fn adopt() -> Self {
        let link = Self::default();
        let stdin = io::stdin();
        let is_socket = fs::metadata("/proc/self/fd/0").is_ok_and(|d| d.file_type().is_socket());
        if is_socket && let Ok(copy) = stdin.as_fd().try_clone_to_owned() {
            link.set(UnixStream::from(copy));
        }
        link
    }

    fn lock(&self) -> MutexGuard<'_, Option<UnixStream>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a guardian, as far as we know.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.lock().is_some()
    }

    /// Another descriptor of the same socket, to hear its end by.
    #[must_use]
    pub fn listener(&self) -> Option<UnixStream> {
        self.lock().as_ref()?.try_clone().ok()
    }

    fn set(&self, socket: UnixStream) {
        *self.lock() = Some(socket);
    }

    /// Forgets a guardian that is gone.
    pub fn forget(&self) {
        *self.lock() = None;
    }

    fn say(&self, word: u8) {
        if let Some(socket) = self.lock().as_mut() {
            // Its end is noticed by whoever listens.
            let _ = socket.write_all(&[word]);
        }
    }

    /// The daemon has begun; a stop that its predecessor was told goes on now.
    pub fn begun(&self) {
        self.say(BEGUN);
        if self.stopping.load(Ordering::Relaxed) {
            self.say(STOPPING);
        }
    }

    /// The daemon was told to stop.
    pub fn stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.say(STOPPING);
    }

    /// The daemon ends as it should, or is to have no guardian any more.
    pub fn dismiss(&self) {
        self.say(DISMISSED);
        self.forget();
    }

    /// The daemon ends although groups may still run: when it is gone they are released in its place.
    pub fn unreleased(&self) {
        self.say(UNRELEASED);
    }

    /// Puts the socket where the next image of this process finds it.
    pub fn offer(&self) {
        if let Some(socket) = self.lock().as_ref() {
            let _ = dup2_stdin(socket);
        }
    }

    /// Takes [`offer`](Self::offer) back.
    pub fn keep(&self) {
        if let Ok(null) = File::open("/dev/null") {
            let _ = dup2_stdin(null);
        }
    }

    /// Starts a guardian for this process.
    ///
    /// # Errors
    /// No socket, or the program cannot be started.
    #[expect(
        clippy::disallowed_methods,
        reason = "our own program, neither a script nor a client"
    )]
    pub fn start_guardian(&self, program: &Path) -> io::Result<Child> {
        let (own, theirs) = UnixStream::pair()?;
        let child = Command::new(program)
            .arg0(TITLE)
            .arg(std::process::id().to_string())
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        self.set(own);
        Ok(child)
    }
}

/// Takes the lock file at `path`, waiting [`LOCK_PATIENCE`] at most; `None`: somebody has it. It is
/// given up with the file or the process.
///
/// # Errors
/// The file cannot be made.
#[expect(
    clippy::disallowed_methods,
    reason = "before anything runs in this process"
)]
pub fn take_lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let mut waited = Duration::ZERO;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) if waited >= LOCK_PATIENCE => return Ok(None),
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        waited = waited.saturating_add(PAUSE);
    }
}

/// Whether somebody has the lock file at `path`. Whoever wants it at that moment waits for longer
/// than this takes.
#[must_use]
pub fn is_taken(path: &Path) -> bool {
    // Not made: where there is none, nobody has it.
    OpenOptions::new()
        .write(true)
        .open(path)
        .is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

/// The words in the file of what is held, one a line.
///
/// # Errors
/// No such file, or not one that we can have written.
pub fn read_held(path: &Path) -> io::Result<Vec<OsString>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    let data = file.metadata()?;
    if !data.is_file() || data.uid() != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::other("not a file of ours"));
    }
    let mut text = Vec::new();
    // One more, so that a part never passes for the whole.
    let most = u64::try_from(MAX_HELD_BYTES).unwrap_or(u64::MAX);
    file.take(most.saturating_add(1)).read_to_end(&mut text)?;
    if text.len() > MAX_HELD_BYTES {
        return Err(io::Error::other("too long"));
    }
    let Some(lines) = text.strip_suffix(b"\n") else {
        return Err(io::Error::other("not whole"));
    };
    let words = lines.split(|byte| *byte == b'\n');
    Ok(words
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect())
}

/// When the daemon died.
#[derive(Debug, Default)]
struct Deaths(Vec<Monotonic>);

impl Deaths {
    /// Notes a death; `true`: too many.
    fn note(&mut self, now: Monotonic) -> bool {
        self.0.retain(|death| now.since(*death) < WINDOW);
        self.0.push(now);
        self.0.len() >= DEATHS
    }
}

/// How the watch over one daemon ended.
#[derive(Debug, PartialEq, Eq)]
enum Watch {
    Dismissed,
    Died,
    /// It ended, and asked for a release.
    Unreleased,
}

/// The guardian's own view of one daemon.
struct Ward {
    pid: i32,
    socket: UnixStream,
    /// When we started it: it must be reaped.
    child: Option<Child>,
}

/// Is the guardian of process `arguments[0]` until it is dismissed. Gives its exit code.
#[must_use]
pub fn guard(arguments: &[OsString], program: &Path) -> u8 {
    let _ = nix::sys::prctl::set_name(c"heartbeat-guard");
    // A signal to the daemon's session or process group is none to us.
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
        });
    let (Some(mut ward), Ok(Some(lock))) = (ward, take_lock(&paths.guardian_lock())) else {
        return EXIT_GENERIC;
    };
    Link::default().keep();
    let clock = Clock::start();
    let mut deaths = Deaths::default();
    let mut stopping = false;
    loop {
        let end = match watch(&mut ward, &mut stopping) {
            Ok(Watch::Dismissed) => return 0,
            Ok(end) => end,
            Err(_) => return EXIT_GENERIC,
        };
        if let Some(child) = &mut ward.child {
            let _ = child.wait();
        }
        if end == Watch::Unreleased {
            return release_instead(program, &lock, Why::Unreleased, "");
        }
        if deaths.note(clock.now().instant) {
            return release_instead(program, &lock, Why::DiedOften, "");
        }
        match revive(program, &paths) {
            Ok(next) => ward = next,
            Err((why, error)) => {
                return release_instead(program, &lock, why, &error.to_string());
            }
        }
    }
}

/// Waits for the end of the daemon. Its last words count before its death.
fn watch(ward: &mut Ward, stopping: &mut bool) -> io::Result<Watch> {
    let process = match sys::process_descriptor(ward.pid) {
        Ok(process) => Some(process),
        // Gone already: what it said is still there to be read.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => None,
        Err(error) => return Err(error),
    };
    let mut ended = process.is_none();
    let mut unreleased = false;
    ward.socket.set_nonblocking(true)?;
    let mut open = true;
    sys::shed_file_pages();
    loop {
        let mut word = [0; 1];
        while open {
            match ward.socket.read(&mut word) {
                Ok(0) => open = false,
                Ok(_) => match word[0] {
                    DISMISSED => return Ok(Watch::Dismissed),
                    STOPPING => *stopping = true,
                    UNRELEASED => unreleased = true,
                    BEGUN if *stopping => {
                        let _ = kill(Pid::from_raw(ward.pid), Signal::SIGTERM);
                    }
                    _ => {}
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => open = false,
            }
        }
        if ended {
            return Ok(if unreleased {
                Watch::Unreleased
            } else {
                Watch::Died
            });
        }
        let socket = open.then(|| ward.socket.as_fd());
        let process = process.as_ref().map(|process| process.as_fd());
        (ended, _) = sys::wait_for_either(process, socket)?;
    }
}

/// Starts the daemon again with what it held.
///
/// # Errors
/// Nobody knows what that was, or it cannot be started.
#[expect(
    clippy::disallowed_methods,
    reason = "the daemon itself; this process does nothing else meanwhile"
)]
fn revive(program: &Path, paths: &Paths) -> Result<Ward, (Why, io::Error)> {
    let words = read_held(&paths.held()).map_err(|error| (Why::HeldUnreadable, error))?;
    let mut tries = START_TRIES;
    loop {
        match start(program, &words) {
            Ok(ward) => return Ok(ward),
            Err(error) if tries == 0 => return Err((Why::NotStartable, error)),
            Err(_) => std::thread::sleep(PAUSE),
        }
        tries -= 1;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the daemon itself, neither a script nor a client"
)]
fn start(program: &Path, words: &[OsString]) -> io::Result<Ward> {
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
    })
}

/// Becomes the program that releases everything; keeps the guardian's lock for it, so that no
/// daemon begins meanwhile. `detail` says more of why; may be empty.
#[expect(
    clippy::disallowed_methods,
    reason = "no child: this process goes on as another program"
)]
fn release_instead(program: &Path, lock: &File, why: Why, detail: &str) -> u8 {
    let _ = fcntl(lock, FcntlArg::F_SETFD(FdFlag::empty()));
    let _ = Command::new(program)
        .arg0(RELEASE_TITLE)
        .args([why.word(), detail])
        .exec();
    EXIT_GENERIC
}

#[cfg(test)]
mod tests;
