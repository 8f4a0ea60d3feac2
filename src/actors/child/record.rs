//! Which resource script runs, on disk: a daemon that is killed leaves its scripts running, and
//! whoever comes next must not run another of the same group beside them.
//!
//! One file per group in memory (`/run`), there while a script of the group is being started or
//! stopped: the number of its process and when that began. The number alone may belong to somebody
//! else by then.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::signal;

/// How often an earlier script is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Longest name of a file, of 255 that the kernel allows.
const MAX_NAME_BYTES: usize = 200;

/// Place of a group's record in `directory`. Of very long keys only the beginning counts: such
/// groups wait for each other.
#[must_use]
pub fn place(directory: &Path, key: &str) -> PathBuf {
    let mut name = String::new();
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':') {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
        if name.len() >= MAX_NAME_BYTES {
            break;
        }
    }
    directory.join(name)
}

/// The record of a running script; removed when dropped.
#[derive(Debug)]
pub(super) struct Record(PathBuf);

impl Record {
    /// Writes down the process with that number. `None`: it could not be written.
    pub(super) fn write(path: &Path, pid: u32) -> Option<Self> {
        let begun = begin_of(pid)?;
        let text = format!("{pid} {begun}\n");
        let written = directory_of(path).and_then(|()| fs::write(path, text));
        match written {
            Ok(()) => Some(Self(path.to_owned())),
            Err(error) => {
                debug!(path = %path.display(), %error, "a running script is not on disk");
                None
            }
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn directory_of(path: &Path) -> io::Result<()> {
    let Some(directory) = path.parent() else {
        return Ok(());
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

/// When a process began, in ticks since the start of the machine; `None`: it is gone.
fn begin_of(pid: u32) -> Option<u64> {
    begin_in(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The same in the text of `/proc/PID/stat`. The name in it may hold anything.
fn begin_in(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    let state = words.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    // The state is the third field, the begin the 22nd.
    words.nth(18)?.parse().ok()
}

/// The process of the record, if it still runs.
fn running(path: &Path) -> Option<u32> {
    let text = fs::read_to_string(path).ok()?;
    let (pid, begun) = text.trim().split_once(' ')?;
    let (pid, begun): (u32, u64) = (pid.parse().ok()?, begun.parse().ok()?);
    (begin_of(pid) == Some(begun)).then_some(pid)
}

/// Waits for the end of a script that an earlier daemon has left running; after `limit` it gets
/// TERM, and `kill_after` later KILL.
pub async fn wait_for_earlier(path: &Path, limit: Duration, kill_after: Duration) {
    let Some(pid) = running(path) else {
        let _ = fs::remove_file(path);
        return;
    };
    info!(
        pid,
        "a script of an earlier daemon still runs: waiting for its end"
    );
    let end = || async {
        while running(path).is_some() {
            sleep(POLL).await;
        }
    };
    let group = Pid::from_raw(i32::try_from(pid).unwrap_or(0));
    if timeout(limit, end()).await.is_err() && group.as_raw() > 0 {
        warn!(pid, "it runs too long: terminating it");
        signal(group, Signal::SIGTERM);
        if timeout(kill_after, end()).await.is_err() {
            signal(group, Signal::SIGKILL);
            let _ = timeout(super::KILL_PATIENCE, end()).await;
        }
    }
    let _ = fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_file_name() {
        let name = |key| place(Path::new("/d"), key).display().to_string();
        assert_eq!(name("10.0.0.1/24/eth0"), "/d/10%2e0%2e0%2e1%2f24%2feth0");
        assert_eq!(name(".."), "/d/%2e%2e");
        let long = name(&"/".repeat(5000));
        assert!(long.len() < 255, "{long}");
    }

    #[test]
    fn the_begin_is_found_behind_any_name() {
        let rest = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(begin_in(&format!("12 (sh) S {rest}")), Some(4711));
        assert_eq!(begin_in(&format!("12 (a ) b) R {rest}")), Some(4711));
        assert_eq!(begin_in(&format!("12 (sh) Z {rest}")), None);
        assert_eq!(begin_in("12 (sh) S 1"), None);
        assert_eq!(begin_in(""), None);
    }

    #[test]
    fn only_the_very_process_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/a");
        assert_eq!(running(&path), None);
        let own = std::process::id();
        let record = Record::write(&path, own).unwrap();
        assert_eq!(running(&path), Some(own));
        fs::write(&path, format!("{own} 1\n")).unwrap();
        assert_eq!(running(&path), None);
        drop(record);
        assert!(!path.exists());
        assert!(Record::write(&path, u32::MAX).is_none());
    }

    #[actix::test]
    async fn an_earlier_script_is_waited_for_and_ended_when_it_takes_too_long() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let short = Duration::from_millis(100);
        for (seconds, limit) in [("0.3", Duration::from_secs(60)), ("600", short)] {
            let mut child = tokio::process::Command::new("sleep")
                .arg(seconds)
                .process_group(0)
                .spawn()
                .unwrap();
            let record = Record::write(&path, child.id().unwrap()).unwrap();
            // An earlier daemon's: nobody removes it.
            std::mem::forget(record);
            wait_for_earlier(&path, limit, short).await;
            assert!(child.try_wait().unwrap().is_some() || running(&path).is_none());
            assert!(!path.exists());
            child.wait().await.unwrap();
        }
    }
}
