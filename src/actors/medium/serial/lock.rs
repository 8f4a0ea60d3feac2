//! The lock file by which programs agree who uses a serial port: `LCK..ttyS0` with the process id of its user in ten places.
//! Spec: docs/protocol/wire.md, 18.4.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// Tries to put the file there: another program may remove a stale one at the same time.
const TRIES: u32 = 3;

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub(super) enum LockError {
    /// Another process uses the port.
    #[error("{lock} says that process {pid} uses it")]
    Held {
        /// The lock file.
        lock: String,
        /// Its process.
        pid: i32,
    },
    /// The file cannot be made.
    #[error("{lock}: {source}")]
    Io {
        /// The lock file.
        lock: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Removed when it is dropped, unless it was replaced meanwhile: a thread whose driver answers late may give its lock up when
/// the port has been opened again by this process.
#[derive(Debug)]
pub(super) struct PortLock {
    path: PathBuf,
    /// Device and number of the file.
    file: Option<(u64, u64)>,
}

impl PortLock {
    /// Takes the lock for `device` in the directory `place`. A file whose process is gone, or is this one, is no lock.
    pub(super) fn take(place: &Path, device: &Path) -> Result<Self, LockError> {
        let name = device.file_name().unwrap_or_default().to_string_lossy();
        let path = place.join(format!("LCK..{name}"));
        let lock = || path.display().to_string();
        let failed = |source| LockError::Io {
            lock: lock(),
            source,
        };
        let own = std::process::id();
        // Nobody may see it empty.
        let draft = place.join(format!("LTMP..{own}.{name}"));
        let written = fs::File::create(&draft)
            .and_then(|mut file| writeln!(file, "{own:>10}"))
            .map_err(failed);
        // The name that is linked to it is the same file.
        let file = number_of(&draft);
        let mut outcome = written.map(|()| false);
        for _ in 0..TRIES {
            if !matches!(outcome, Ok(false)) {
                break;
            }
            outcome = match fs::hard_link(&draft, &path) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match user(&path) {
                    Some(pid) => Err(LockError::Held { lock: lock(), pid }),
                    None => match fs::remove_file(&path) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
                        _ => Ok(false),
                    },
                },
                Err(error) => Err(failed(error)),
            };
        }
        let _ = fs::remove_file(&draft);
        match outcome {
            Ok(true) => Ok(Self { path, file }),
            Ok(false) => Err(failed(io::Error::from(io::ErrorKind::AlreadyExists))),
            Err(error) => Err(error),
        }
    }
}

impl Drop for PortLock {
    fn drop(&mut self) {
        let ours = self.file.is_some() && number_of(&self.path) == self.file;
        if ours && user_in(&self.path) == i32::try_from(std::process::id()).ok() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Device and number of a file.
fn number_of(path: &Path) -> Option<(u64, u64)> {
    let data = fs::symlink_metadata(path).ok()?;
    Some((data.dev(), data.ino()))
}

/// The process that a lock file names.
fn user_in(path: &Path) -> Option<i32> {
    let text = fs::read_to_string(path).ok()?;
    let pid = text.split_ascii_whitespace().next()?.parse().ok()?;
    (pid > 0).then_some(pid)
}

/// The same, if it is another one and lives.
fn user(path: &Path) -> Option<i32> {
    let pid = user_in(path)?;
    let own = i32::try_from(std::process::id()).ok() == Some(pid);
    let gone = kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH);
    (!own && !gone).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_one_user_that_lives() {
        let place = tempfile::tempdir().expect("a directory");
        let take = || PortLock::take(place.path(), Path::new("/dev/ttyS0"));
        let path = place.path().join("LCK..ttyS0");
        let lock = take().expect("free");
        let text = fs::read_to_string(&path).expect("there");
        assert_eq!(text, format!("{:>10}\n", std::process::id()));
        // After a restart in place the process is the same.
        std::mem::forget(lock);
        let lock = take().expect("our own");
        drop(lock);
        assert!(!path.exists());
        fs::write(&path, "         1\n").expect("written");
        let error = take().expect_err("the first process lives");
        assert!(
            error.to_string().ends_with("says that process 1 uses it"),
            "{error}"
        );
        for stale in ["2147483647\n", "", "garbage\n", "-1\n"] {
            fs::write(&path, stale).expect("written");
            drop(take().expect(stale));
        }
        // A late one of this process does not remove the newer one.
        let (late, newer) = (take().expect("free"), take().expect("our own"));
        drop(late);
        assert!(path.exists(), "the port is in use");
        drop(newer);
        assert!(!path.exists());
        // Another program's file is not removed.
        let lock = take().expect("free");
        fs::write(&path, "         1\n").expect("written");
        drop(lock);
        assert!(path.exists());
        let left = fs::read_dir(place.path()).expect("a directory").count();
        assert_eq!(left, 1, "no draft is left");
        assert!(PortLock::take(&place.path().join("none"), Path::new("/dev/ttyS0")).is_err());
    }
}
