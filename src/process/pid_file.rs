//! `/run/heartbeat.pid`: the process id of the running daemon. Spec: docs/protocol/tools.md, 1.
//!
//! Eleven bytes: the process id in decimal, right-aligned in ten columns, and a newline. The file
//! is made under another name and linked into place, so that no reader sees half of it and of two
//! daemons started at once only one gets it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// File name of the daemon's program: a process that runs another one is not the daemon.
const PROGRAM: &str = "heartbeat";

/// Place of the kernel's flags of a process in `/proc/PID/stat`, counted from its state.
const FLAGS: usize = 6;
/// The process is ending.
const EXITING: u64 = 0x4;
/// Place of the signals that wait for its first thread.
const PENDING: usize = 28;
/// SIGKILL among them.
const KILLED: u64 = 1 << 8;

/// The content of the pid file, and whether it is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PidFile {
    /// No file, or nothing in it that reads as a process id.
    Absent,
    /// A process id that no process has, or that of another program.
    Stale(i32),
    /// The daemon runs.
    Running(i32),
}

/// Why the file cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another daemon has it.
    #[error("heartbeat: already running [pid {0}].")]
    AlreadyRunning(i32),
    /// It cannot be made.
    #[error("cannot make pid file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads the file at `path` and checks the process.
#[must_use]
pub fn look(path: &Path) -> PidFile {
    let Some(pid) = fs::read_to_string(path).ok().and_then(|text| parse(&text)) else {
        return PidFile::Absent;
    };
    if is_running(pid) && is_daemon(pid) {
        PidFile::Running(pid)
    } else {
        PidFile::Stale(pid)
    }
}

fn parse(text: &str) -> Option<i32> {
    let word = text.split_whitespace().next()?;
    word.parse().ok().filter(|pid| *pid > 0)
}

/// Whether a process of this id exists and has not ended. A dead process that waits to be reaped
/// has ended, and so has one that was killed and is still giving its memory back: a start right
/// behind a `kill -9` must not end with "already running". Its locks are waited for.
#[must_use]
pub fn is_running(pid: i32) -> bool {
    match kill(Pid::from_raw(pid), None) {
        Ok(()) | Err(Errno::EPERM) => {
            !fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| has_ended(&stat))
        }
        Err(_) => false,
    }
}

/// Whether this content of `/proc/PID/stat` is that of a process that has ended or is ending.
fn has_ended(stat: &str) -> bool {
    // `pid (name) S ...`; the name may hold anything, so the state follows the last parenthesis.
    let Some((_, rest)) = stat.rsplit_once(") ") else {
        return false;
    };
    let number = |at: usize| {
        rest.split(' ')
            .nth(at)
            .and_then(|word| word.parse::<u64>().ok())
    };
    let has = |at: usize, bit: u64| number(at).is_some_and(|value| value & bit != 0);
    rest.starts_with(['Z', 'X']) || has(FLAGS, EXITING) || has(PENDING, KILLED)
}

/// Whether the process runs a program named `heartbeat`, of Systole or legacy.
///
/// The name of the executable decides. If that cannot be read (another user asks), the process's
/// own name decides. Legacy checks neither, and accepts any process that got the number.
fn is_daemon(pid: i32) -> bool {
    match fs::read_link(format!("/proc/{pid}/exe")) {
        Ok(path) => {
            let name = path.file_name().map(|name| name.to_string_lossy());
            // The kernel adds the word when the file was replaced, as at an upgrade.
            name.is_some_and(|name| name.trim_end_matches(" (deleted)") == PROGRAM)
        }
        Err(_) => match fs::read_to_string(format!("/proc/{pid}/comm")) {
            Ok(name) => name.trim_end() == PROGRAM,
            // No /proc: signal 0 is the only check, as in legacy.
            Err(_) => !Path::new("/proc/self").exists(),
        },
    }
}

/// Writes our own process id to `path`.
///
/// `starter` is the process that started us in the background, if any: after a reboot or in a
/// container a stale file may name it or ourselves, and neither is another daemon.
///
/// # Errors
/// [`ClaimError::AlreadyRunning`] with the process that has the file, or the reason why it cannot
/// be made.
pub fn claim(path: &Path, starter: Option<i32>) -> Result<(), ClaimError> {
    let own = nix::unistd::getpid().as_raw();
    if names(path, own) {
        // Ours since before a restart in place, or left by a process with the same id: it has the
        // right content.
        return Ok(());
    }
    let failed = |source| ClaimError::Io {
        path: path.to_owned(),
        source,
    };
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{own}"));
    let temporary = PathBuf::from(name);
    let _ = fs::remove_file(&temporary);
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&temporary)
        .and_then(|mut file| file.write_all(format!("{own:>10}\n").as_bytes()));
    let linked = made.map_err(failed).and_then(|()| {
        // The second try comes after a stale file was removed; a third would mean that another
        // process was faster.
        match link(&temporary, path, own, starter) {
            Err(ClaimError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                link(&temporary, path, own, starter)
            }
            other => other,
        }
    });
    let _ = fs::remove_file(&temporary);
    linked
}

/// Writes our own process id into the file of a daemon that has ended, without another file: a full
/// disk has no room for one. Call only where no other daemon can have begun meanwhile.
///
/// # Errors
/// It cannot be written.
pub fn take_over(path: &Path) -> io::Result<()> {
    let own = nix::unistd::getpid().as_raw();
    if names(path, own) {
        return Ok(());
    }
    let text = format!("{own:>10}\n");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.set_len(u64::try_from(text.len()).unwrap_or(u64::MAX))
}

fn link(temporary: &Path, path: &Path, own: i32, starter: Option<i32>) -> Result<(), ClaimError> {
    let failed = |source| ClaimError::Io {
        path: path.to_owned(),
        source,
    };
    match fs::hard_link(temporary, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            match look(path) {
                PidFile::Running(pid) if pid != own && Some(pid) != starter => {
                    return Err(ClaimError::AlreadyRunning(pid));
                }
                PidFile::Running(_) | PidFile::Stale(_) | PidFile::Absent => {}
            }
            fs::remove_file(path).map_err(failed)?;
            Err(failed(error))
        }
        Err(error) => Err(failed(error)),
    }
}

/// Removes the file if it still is our own. Legacy leaves it; LSB requires exit code 3 for "not
/// running".
pub fn release(path: &Path) {
    let own = nix::unistd::getpid().as_raw();
    if names(path, own) {
        let _ = fs::remove_file(path);
    }
}

/// Whether the file names this process.
#[must_use]
pub fn names(path: &Path, pid: i32) -> bool {
    fs::read_to_string(path).ok().and_then(|text| parse(&text)) == Some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("heartbeat.pid");
        if !text.is_empty() {
            fs::write(&path, text).unwrap();
        }
        (directory, path)
    }

    #[test]
    fn absent_and_unreadable_files_are_nobody() {
        assert_eq!(look(&file("").1), PidFile::Absent);
        assert_eq!(look(&file("xyz\n").0.path().join("no")), PidFile::Absent);
        let (_directory, path) = file("xyz\n");
        assert_eq!(look(&path), PidFile::Absent);
        let (_directory, path) = file("-1\n");
        assert_eq!(look(&path), PidFile::Absent);
    }

    #[test]
    fn another_program_is_not_the_daemon() {
        // This test's own process lives, but is not named heartbeat.
        let own = std::process::id();
        let (_directory, path) = file(&format!("{own:>10}\n"));
        let own = i32::try_from(own).unwrap();
        assert!(is_running(own));
        assert_eq!(look(&path), PidFile::Stale(own));
    }

    #[test]
    fn claims_in_the_legacy_form_and_replaces_a_stale_file() {
        for before in ["", "garbage\n", "2147483647\n"] {
            let (directory, path) = file(before);
            claim(&path, None).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(text, format!("{:>10}\n", std::process::id()));
            assert_eq!(text.len(), 11);
            let names = fs::read_dir(directory.path()).unwrap().count();
            assert_eq!(names, 1, "no temporary file stays");
        }
    }

    /// On a full disk no other file can be made.
    #[test]
    fn a_successor_writes_into_the_file_that_is_there() {
        use std::os::unix::fs::MetadataExt as _;
        for before in ["2147483647\n", "4194304999\nand more\n", ""] {
            let (directory, path) = file(before);
            let inode = fs::metadata(&path).map(|data| data.ino()).ok();
            take_over(&path).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(text, format!("{:>10}\n", std::process::id()));
            let now = fs::metadata(&path).unwrap().ino();
            assert!(inode.is_none_or(|inode| inode == now));
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        }
        let (directory, path) = file("");
        std::os::unix::fs::symlink(directory.path().join("other"), &path).unwrap();
        assert!(take_over(&path).is_err());
        assert!(!directory.path().join("other").exists());
    }

    #[test]
    fn releases_only_its_own_file() {
        let (_directory, path) = file("2147483647\n");
        release(&path);
        assert!(path.exists());
        claim(&path, None).unwrap();
        release(&path);
        assert!(!path.exists());
    }

    #[test]
    fn a_missing_directory_is_an_error_with_its_path() {
        let (directory, _) = file("");
        let path = directory.path().join("no/heartbeat.pid");
        let error = claim(&path, None).unwrap_err();
        assert!(error.to_string().contains("no/heartbeat.pid"), "{error}");
    }

    #[test]
    fn a_process_that_was_killed_has_ended() {
        let stat = |state: char, flags: u64, pending: u64| {
            let between = "0 ".repeat(PENDING - FLAGS - 1);
            format!("7 (a) Z) {state} 1 7 7 0 -1 {flags} {between}{pending} 0 0")
        };
        assert!(!has_ended(&stat('S', 4_194_560, 0)));
        assert!(!has_ended(&stat('S', 4_194_560, 1 << 14)), "another signal");
        assert!(has_ended(&stat('Z', 4_194_560, 0)));
        assert!(has_ended(&stat('D', 4_194_560 | EXITING, 0)));
        assert!(has_ended(&stat('R', 4_194_560, KILLED)));
        for text in ["", "7 (a)", "7 (a) ", "7 (a) S 1", "7 (a) S x x x x x x x"] {
            assert!(!has_ended(text), "{text:?}");
        }
        let own = fs::read_to_string("/proc/self/stat").unwrap();
        assert!(!has_ended(&own));
    }
}
