//! When the daemon's last heartbeat left, in a small file in memory (`/run`): a daemon that hung before it
//! died has been silent for longer than it is dead, and the others wait from its last heartbeat.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::clock;

/// Bytes in the file: the process number, and the time since the machine began in nanoseconds.
const BYTES: usize = 4 + 8;

/// Notes each heartbeat of this process.
#[derive(Debug, Clone, Default)]
pub struct Beats(Option<Arc<File>>);

impl Beats {
    /// Makes the file, or takes the one of a predecessor. Without one the guardian counts from the
    /// death.
    #[must_use]
    pub fn begin(path: &Path) -> Self {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path);
        Self(file.ok().map(Arc::new))
    }

    /// A heartbeat leaves now. A few bytes into a page that is there: it waits for nothing.
    pub fn note(&self) {
        if let Some(file) = &self.0 {
            let _ = file.write_at(&stamp(std::process::id(), clock::since_boot()), 0);
        }
    }
}

fn stamp(pid: u32, at: Duration) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let at = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
    let all = pid.to_ne_bytes().into_iter().chain(at.to_ne_bytes());
    bytes.iter_mut().zip(all).for_each(|(to, byte)| *to = byte);
    bytes
}

/// How long ago the process `pid` has sent a heartbeat; `None`: nobody knows.
pub(super) fn ago(path: &Path, pid: i32) -> Option<Duration> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .ok()?;
    let mut bytes = [0; BYTES];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let (of, at) = bytes.split_first_chunk::<4>()?;
    let at = u64::from_ne_bytes(*at.first_chunk()?);
    let same = u32::from_ne_bytes(*of) == u32::try_from(pid).ok()?;
    let ago = clock::since_boot().checked_sub(Duration::from_nanos(at));
    ago.filter(|_| same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_heartbeat_of_a_process_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("beat");
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(ago(&path, own), None);
        let beats = Beats::begin(&path);
        assert_eq!(ago(&path, own), None, "none has left");
        beats.note();
        assert!(ago(&path, own).is_some_and(|ago| ago < Duration::from_secs(60)));
        assert_eq!(ago(&path, own + 1), None, "of another process");
        let later = clock::since_boot() + Duration::from_secs(3600);
        std::fs::write(&path, stamp(std::process::id(), later)).unwrap();
        assert_eq!(ago(&path, own), None, "no time that was");
        let earlier = clock::since_boot().saturating_sub(Duration::from_secs(1));
        std::fs::write(&path, stamp(std::process::id(), earlier)).unwrap();
        assert!(ago(&path, own).unwrap() >= Duration::from_secs(1));
        // A successor goes on with the same file; a link is none.
        Beats::begin(&path).note();
        assert!(ago(&path, own).unwrap() < Duration::from_secs(1));
        Beats::default().note();
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(directory.path().join("other"), &path).unwrap();
        Beats::begin(&path).note();
        assert!(!directory.path().join("other").exists());
    }
}
