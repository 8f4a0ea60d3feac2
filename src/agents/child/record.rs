//! Records which resource script runs. A daemon that is killed leaves its scripts running, and its
//! successor must not run another script of the same group beside them.
//!
//! There is one file per group in memory (`/run`) while a script of the group is being started or
//! stopped. It contains the number of the script's process and the time when that began, because
//! the number alone may belong to another process later. It also contains what the script does, and
//! at its end its exit code. The process beside the script writes it before the script begins
//! ([`super::shim`]); where there is none, the daemon writes it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::signal;

/// How often an earlier script is checked.
const POLL: Duration = Duration::from_millis(50);

/// Longest name of a file, of 255 that the kernel allows.
const MAX_NAME_BYTES: usize = 200;

/// Path of a group's record in `directory`. Of very long keys only the beginning counts: such
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

/// The records of which the key begins with `start`. Empty where the directory cannot be read.
#[must_use]
pub fn of_kind(directory: &Path, start: &str) -> Vec<PathBuf> {
    let start = place(Path::new(""), start);
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        // What stands beside a record has a dot.
        name.starts_with(start.as_os_str().as_encoded_bytes()) && !name.contains(&b'.')
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(is_one).collect()
}

/// What is recorded of a running script.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The file, see [`place`].
    pub place: PathBuf,
    /// What it does.
    pub operation: String,
    /// The resource word for which it runs.
    pub word: String,
    /// The program that records its exit code; `None`: the code is not recorded.
    pub shim: Option<PathBuf>,
}

/// The result of a script that an earlier daemon left running.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Earlier {
    operation: String,
    word: String,
    code: i32,
    /// When it ended.
    at: Option<SystemTime>,
}

impl Earlier {
    /// Its exit code, if it did this operation.
    #[must_use]
    pub fn code(&self, operation: &str) -> Option<i32> {
        (self.operation == operation).then_some(self.code)
    }

    /// How long ago it ended, by the wall clock; very long ago, if that is not known.
    #[must_use]
    pub fn age(&self) -> Duration {
        let age = self.at.and_then(|at| at.elapsed().ok());
        age.unwrap_or(Duration::MAX)
    }

    /// Its exit code, if it did this operation for that resource word.
    #[must_use]
    pub fn code_of(&self, operation: &str, word: &str) -> Option<i32> {
        (self.operation == operation && self.word == word).then_some(self.code)
    }
}

fn beside(place: &Path, what: &str) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(what);
    PathBuf::from(name)
}

/// Path of the file with the exit code. No key has a dot in its file name.
pub(super) fn code_place(place: &Path) -> PathBuf {
    beside(place, ".code")
}

/// Path of the file by which the process beside a script says that it is not the script itself.
fn beside_place(place: &Path) -> PathBuf {
    beside(place, ".beside")
}

/// Notes that the process with this number stands beside its script. Otherwise a successor would
/// conclude that the script has ended when that process is killed.
pub(super) fn note_beside(place: &Path, pid: u32) {
    let _ = fs::write(beside_place(place), format!("{pid}\n"));
}

fn what_place(place: &Path) -> PathBuf {
    beside(place, ".what")
}

/// Removes the exit code of an earlier script.
pub(super) fn forget_code(place: &Path) {
    let _ = directory_of(place);
    let _ = fs::remove_file(code_place(place));
}

fn forget(place: &Path) {
    for file in [
        place.to_owned(),
        what_place(place),
        code_place(place),
        beside_place(place),
    ] {
        let _ = fs::remove_file(file);
    }
}

/// The record of a running script; removed when dropped.
#[derive(Debug)]
pub(super) struct Record(PathBuf);

impl Record {
    /// The record of a script that another process has written.
    pub(super) fn of(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Whether the end of the script is recorded.
    pub(super) fn knows_the_end(&self) -> bool {
        ended(&self.0).is_some()
    }

    /// Leaves the record in place.
    pub(super) fn keep(self) {
        std::mem::forget(self);
    }

    /// Records the process with that number. `None`: it could not be written.
    pub(super) fn write(what: &Recorded, pid: u32) -> Option<Self> {
        let path = &what.place;
        let begun = begin_of(pid)?;
        let does = format!("{pid} {} {}\n", what.operation, what.word);
        // An earlier version reads this format.
        let text = format!("{pid} {begun}\n");
        let new = beside(path, ".new");
        let written = directory_of(path)
            .and_then(|()| fs::write(what_place(path), does))
            .and_then(|()| fs::write(&new, text))
            .and_then(|()| fs::rename(&new, path));
        match written {
            Ok(()) => Some(Self::of(path)),
            Err(error) => {
                debug!(path = %path.display(), %error, "a running script is not on disk");
                None
            }
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        forget(&self.0);
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

/// When a process began, in ticks since the start of the machine; `None`: it does not exist any
/// more.
fn begin_of(pid: u32) -> Option<u64> {
    begin_in(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The same from the text of `/proc/PID/stat`. The name in it may contain any character.
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

/// The process of the record, and when it began.
fn recorded(path: &Path) -> Option<(u32, u64)> {
    let text = fs::read_to_string(path).ok()?;
    let (pid, begun) = text.trim().split_once(' ')?;
    Some((pid.parse().ok()?, begun.parse().ok()?))
}

/// The process of the record, if it still runs.
fn running(path: &Path) -> Option<u32> {
    let (pid, begun) = recorded(path)?;
    (begin_of(pid) == Some(begun)).then_some(pid)
}

/// How the script of the record ended, if that was recorded.
fn ended(path: &Path) -> Option<Earlier> {
    let (pid, _) = recorded(path)?;
    let of_pid = |text: String| {
        let (number, rest) = text.trim().split_once(' ')?;
        (number.parse() == Ok(pid)).then(|| rest.to_owned())
    };
    let read = |path: PathBuf| of_pid(fs::read_to_string(path).ok()?);
    let does = read(what_place(path))?;
    let (operation, word) = does.split_once(' ')?;
    Some(Earlier {
        operation: operation.to_owned(),
        word: word.to_owned(),
        code: read(code_place(path))?.parse().ok()?,
        at: fs::metadata(code_place(path))
            .and_then(|data| data.modified())
            .ok(),
    })
}

/// Waits for the end of a script that an earlier daemon left running; after `limit` it gets TERM,
/// and `kill_after` later KILL. Returns its result; `None`: there was no script, or its end is not
/// known.
pub async fn wait_for_earlier(
    path: &Path,
    limit: Duration,
    kill_after: Duration,
) -> Option<Earlier> {
    if let Some(pid) = running(path) {
        wait_for(path, pid, limit, kill_after).await;
    }
    let ended = ended(path);
    if ended.is_none()
        && let Some(group) = script_without_its_shim(path)
    {
        warn!(
            pid = group.as_raw(),
            "the process beside a script of an earlier daemon was killed: waiting for the script"
        );
        if timeout(limit, super::group_gone(group)).await.is_err() {
            super::end_group(group, kill_after).await;
        }
    }
    forget(path);
    ended
}

/// The process group of a script whose process beside it has ended without recording the end. While
/// a process is in the group, its number belongs to no other process; if a process with that number
/// began later, the group is another one.
fn script_without_its_shim(path: &Path) -> Option<Pid> {
    let (pid, _) = recorded(path)?;
    let noted = fs::read_to_string(beside_place(path)).ok()?;
    let noted = noted.trim().parse() == Ok(pid);
    (noted && begin_of(pid).is_none()).then(|| super::group_left_by(pid))?
}

async fn wait_for(path: &Path, pid: u32, limit: Duration, kill_after: Duration) {
    if limit.is_zero() {
        warn!(pid, "a program of an earlier daemon still runs: ending it");
    } else {
        info!(
            pid,
            "a script of an earlier daemon still runs: waiting for its end"
        );
    }
    let end = || async {
        while running(path).is_some() {
            sleep(POLL).await;
        }
    };
    let group = Pid::from_raw(i32::try_from(pid).unwrap_or(0));
    if timeout(limit, end()).await.is_err() && group.as_raw() > 0 {
        if !limit.is_zero() {
            warn!(
                pid,
                "a script of an earlier daemon runs too long: terminating it"
            );
        }
        signal(group, Signal::SIGTERM);
        let mut groups = super::groups_of_children(group).await;
        groups.iter().for_each(|it| signal(*it, Signal::SIGTERM));
        groups.push(group);
        let all = |number| groups.iter().for_each(|group| signal(*group, number));
        // Processes that it started may ignore the signal although it has ended.
        let gone = join_all(groups.iter().map(|group| super::group_gone(*group)));
        if timeout(kill_after, gone).await.is_err() {
            all(Signal::SIGKILL);
            let _ = timeout(super::KILL_PATIENCE, end()).await;
        }
    }
}

/// Starts a program as a daemon does that is killed then: it runs on, and so does its record.
#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "stands for another daemon"
)]
pub(crate) fn leave_running(what: &Recorded, program: &Path) -> u32 {
    use std::os::unix::process::CommandExt as _;
    let mut child = std::process::Command::new(program);
    let mut child = child.process_group(0).spawn().unwrap();
    let pid = child.id();
    Record::write(what, pid).unwrap().keep();
    std::thread::spawn(move || child.wait());
    pid
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

    fn start_at(path: &Path) -> Recorded {
        Recorded {
            place: path.to_owned(),
            operation: "start".to_owned(),
            word: "db::a b".to_owned(),
            shim: None,
        }
    }

    #[actix::test]
    async fn the_end_of_an_earlier_script_is_known_by_its_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let long = Duration::from_secs(60);
        for (of, expected) in [(0, Some(3)), (1, None)] {
            // The process ends with its input, so not before it is recorded.
            let mut child = tokio::process::Command::new("cat")
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let pid = child.id().unwrap();
            let record = Record::write(&start_at(&path), pid);
            // Left by an earlier daemon: not removed.
            record.unwrap().keep();
            drop(child.stdin.take());
            child.wait().await.unwrap();
            fs::write(code_place(&path), format!("{} 3\n", pid + of)).unwrap();
            let ended = wait_for_earlier(&path, long, long).await;
            let code = ended.as_ref().and_then(|it| it.code_of("start", "db::a b"));
            assert_eq!(code, expected);
            for other in [("stop", "db::a b"), ("start", "db::a")] {
                let code = ended.as_ref().and_then(|it| it.code_of(other.0, other.1));
                assert_eq!(code, None);
            }
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn only_the_very_process_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/a");
        assert_eq!(running(&path), None);
        let own = std::process::id();
        let record = Record::write(&start_at(&path), own).unwrap();
        assert_eq!(running(&path), Some(own));
        fs::write(&path, format!("{own} 1\n")).unwrap();
        assert_eq!(running(&path), None);
        drop(record);
        assert!(!path.exists());
        assert!(Record::write(&start_at(&path), u32::MAX).is_none());
        let left = fs::read_dir(path.parent().unwrap()).unwrap();
        assert_eq!(left.count(), 0);
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
            let record = Record::write(&start_at(&path), child.id().unwrap()).unwrap();
            // Left by an earlier daemon: not removed.
            record.keep();
            assert_eq!(wait_for_earlier(&path, limit, short).await, None);
            assert!(child.try_wait().unwrap().is_some() || running(&path).is_none());
            assert!(!path.exists());
            child.wait().await.unwrap();
        }
    }

    /// The process beside a script was killed, and a daemon too: the successor waits for the
    /// script, but not for other processes in its group that the script left running.
    #[actix::test]
    async fn a_script_whose_process_beside_it_is_gone_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let short = Duration::from_millis(100);
        for beside in [true, false] {
            let mut leader = tokio::process::Command::new("sh")
                .args(["-c", "sleep 600 & read line"])
                .stdin(std::process::Stdio::piped())
                .process_group(0)
                .spawn()
                .unwrap();
            let pid = leader.id().unwrap();
            if beside {
                note_beside(&path, pid);
            }
            Record::write(&start_at(&path), pid).unwrap().keep();
            drop(leader.stdin.take());
            leader.wait().await.unwrap();
            assert_eq!(wait_for_earlier(&path, short, short).await, None);
            let left = super::super::group_left_by(pid);
            assert_eq!(left.is_none(), beside);
            if let Some(group) = left {
                signal(group, Signal::SIGKILL);
            }
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        }
    }
}
