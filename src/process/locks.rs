//! Locks that make sure that there is one daemon and one guardian. The kernel releases them with
//! the process.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

/// How long a lock is waited for: its last holder may be about to end.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Takes the lock file at `path`, and waits at most [`LOCK_PATIENCE`]; `None`: another process has
/// it. It is released with the file or the process.
///
/// # Errors
/// The file cannot be made.
#[expect(
    clippy::disallowed_methods,
    reason = "before anything runs in this process"
)]
pub fn take_lock(path: &Path) -> io::Result<Option<File>> {
    let mut waited = Duration::ZERO;
    loop {
        match try_lock(path)? {
            None if waited < LOCK_PATIENCE => std::thread::sleep(PAUSE),
            locked => return Ok(locked),
        }
        waited = waited.saturating_add(PAUSE);
    }
}

/// Takes the lock file at `path` if it is free; `None`: another process has it.
///
/// # Errors
/// The file cannot be made.
pub fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Whether a process has the lock file at `path`. A process that wants the lock at that moment
/// waits for longer than this takes.
#[must_use]
pub fn is_taken(path: &Path) -> bool {
    // Not made: without a file no process has the lock.
    OpenOptions::new()
        .write(true)
        .open(path)
        .is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_had_by_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        assert!(!is_taken(&path) && !path.exists());
        let first = take_lock(&path).unwrap();
        assert!(first.is_some());
        assert!(is_taken(&path));
        assert!(take_lock(&path).unwrap().is_none());
        drop(first);
        assert!(take_lock(&path).unwrap().is_some());
    }
}
