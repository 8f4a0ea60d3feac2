//! Commands that only talk to a running daemon: status (`-s`), stop (`-k`), and the signal of a
//! reload (`-r`). Spec: docs/protocol/tools.md, 1.

use std::fs;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::config::environment::Machine;
use crate::config::load;
use crate::os::paths::Paths;
use crate::process::locks;
use crate::process::pid_file::{self, PidFile};

/// How often `-k` checks whether the daemon has ended.
const POLL: Duration = Duration::from_millis(20);
/// After so many checks the daemon is asked to stop once more.
const TERM_AGAIN: u32 = 50;

/// What a command prints and returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// For standard output.
    pub stdout: String,
    /// For standard error.
    pub stderr: String,
    /// Exit code.
    pub code: u8,
}

impl Answer {
    pub(super) fn out(text: String, code: u8) -> Self {
        Self {
            stdout: text,
            stderr: String::new(),
            code,
        }
    }

    pub(super) fn err(text: String, code: u8) -> Self {
        Self {
            stdout: String::new(),
            stderr: text,
            code,
        }
    }
}

/// `-s`: 0 running; 3 no pid file or nothing readable in it; 1 a pid file without its daemon.
#[must_use]
pub fn status(paths: &Paths) -> Answer {
    match pid_file::look(&paths.pid_file) {
        PidFile::Running(pid) => {
            let host = crate::ha_log::host_name();
            let node = load::local_name(paths, &Machine).to_ascii_lowercase();
            Answer::out(
                format!("heartbeat OK [pid {pid} et al] is running on {host} [{node}]...\n"),
                0,
            )
        }
        PidFile::Stale(_) => Answer::out("heartbeat is stopped. No process\n".to_owned(), 1),
        PidFile::Absent => Answer::out("heartbeat is stopped. No process\n".to_owned(), 3),
    }
}

/// `-k`: asks the daemon to stop and waits until it has ended, without limit.
///
/// If a daemon dies meanwhile, the stop goes on: its guardian starts another, which goes on
/// stopping, or becomes the program that releases everything. Both are waited for. Code 1: they
/// have ended and something may still run.
#[must_use]
pub fn stop(paths: &Paths) -> Answer {
    let mut waited = false;
    let (pid, guarded) = loop {
        let guarded = locks::is_taken(&paths.guardian_lock());
        match pid_file::look(&paths.pid_file) {
            PidFile::Running(pid) => break (pid, guarded),
            PidFile::Stale(_) | PidFile::Absent if guarded => {
                waited = true;
                pause();
            }
            PidFile::Stale(_) | PidFile::Absent if waited => return end_of(paths, None),
            PidFile::Stale(_) | PidFile::Absent => {
                return Answer::err("INFO: Heartbeat already stopped.\n".to_owned(), 0);
            }
        }
    };
    match kill(Pid::from_raw(pid), Signal::SIGTERM) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => {
            return Answer::err(
                format!("ERROR: Could not kill pid {pid} : {}\n", error.desc()),
                4,
            );
        }
    }
    wait_for_end(paths, pid, guarded)
}

/// Waits for the daemon `pid` and for every successor.
fn wait_for_end(paths: &Paths, mut pid: i32, guarded: bool) -> Answer {
    loop {
        let mut polls = 0_u32;
        while pid_file::is_running(pid) {
            pause();
            polls = polls.saturating_add(1);
            // A restart in place can lose the signal; a second one changes nothing.
            if polls.is_multiple_of(TERM_AGAIN)
                && pid_file::look(&paths.pid_file) == PidFile::Running(pid)
            {
                let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
        }
        // Asked before the file is read: a guardian that has ended starts no daemon after that.
        let guarded_now = locks::is_taken(&paths.guardian_lock());
        match pid_file::look(&paths.pid_file) {
            // Its guardian tells it to stop as well, if the guardian was told; the daemon before
            // may have died before it told the guardian.
            PidFile::Running(next) if is_successor(next) => {
                let _ = kill(Pid::from_raw(next), Signal::SIGTERM);
                pid = next;
            }
            // Another process has started the node again.
            PidFile::Running(_) => return Answer::out(String::new(), 0),
            PidFile::Stale(_) | PidFile::Absent if guarded_now => pause(),
            PidFile::Stale(_) | PidFile::Absent => {
                return end_of(paths, (!guarded).then_some(pid));
            }
        }
    }
}

/// The answer when no process is left. `unguarded`: the last daemon, if it had no guardian.
fn end_of(paths: &Paths, unguarded: Option<i32>) -> Answer {
    // An orderly end and a complete release remove the file of what is held; only an orderly end
    // removes the pid file.
    let died = unguarded.is_some_and(|pid| pid_file::names(&paths.pid_file, pid));
    if paths.is_anything_left() || died {
        let text = "ERROR: Heartbeat died while it stopped, and what it held may still run: see \
                    the log.\n";
        return Answer::err(text.to_owned(), 1);
    }
    Answer::out(String::new(), 0)
}

/// Whether a guardian has started this daemon.
fn is_successor(pid: i32) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    words.split(|byte| *byte == 0).nth(1) == Some(b"-R")
}

#[expect(
    clippy::disallowed_methods,
    reason = "this process only waits for the daemon; it is not the daemon"
)]
fn pause() {
    std::thread::sleep(POLL);
}

/// Sends the reload signal.
///
/// # Errors
/// Why the daemon cannot be signalled.
pub fn signal_reload(pid: i32) -> Result<(), Errno> {
    kill(Pid::from_raw(pid), Signal::SIGHUP)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn paths(pid_file: Option<&str>) -> (tempfile::TempDir, Paths) {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        fs::create_dir_all(paths.pid_file.parent().unwrap()).unwrap();
        fs::create_dir_all(&paths.ha_dir).unwrap();
        if let Some(text) = pid_file {
            fs::write(&paths.pid_file, text).unwrap();
        }
        (root, paths)
    }

    #[test]
    fn status_tells_no_file_from_a_stale_one() {
        for (text, code) in [(None, 3), (Some("xyz\n"), 3), (Some("2147483647\n"), 1)] {
            let (_root, paths) = paths(text);
            let answer = status(&paths);
            assert_eq!(answer.code, code, "{text:?}");
            assert_eq!(answer.stdout, "heartbeat is stopped. No process\n");
        }
    }

    #[test]
    fn status_does_not_take_another_program_for_the_daemon() {
        let (_root, paths) = paths(Some(&format!("{:>10}\n", std::process::id())));
        assert_eq!(status(&paths).code, 1);
    }

    #[test]
    fn stop_is_content_when_nothing_runs() {
        let (_root, paths) = paths(None);
        let answer = stop(&paths);
        assert_eq!((answer.code, answer.stdout.as_str()), (0, ""));
        assert_eq!(answer.stderr, "INFO: Heartbeat already stopped.\n");
    }

    /// A process that a pid file may name: `program` under the name of the daemon.
    fn daemon(paths: &Paths, program: &str, words: &[&str]) -> std::process::Child {
        let copy = paths.run_dir.join(program).join("heartbeat");
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(Path::new("/bin").join(program), &copy).unwrap();
        loop {
            #[expect(clippy::disallowed_methods, reason = "stands for the daemon")]
            let child = std::process::Command::new(&copy)
                .args(words)
                .stdin(std::process::Stdio::piped())
                .spawn();
            // A process that another test has just forked may have the copy open for a moment.
            match child {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    std::thread::yield_now();
                }
                child => return child.unwrap(),
            }
        }
    }

    /// Writes its process id to the pid file.
    fn name(paths: &Paths, child: &std::process::Child) {
        fs::write(&paths.pid_file, format!("{:>10}\n", child.id())).unwrap();
    }

    fn answer(code: u8) -> impl Fn(Answer) {
        move |answer| {
            assert_eq!(answer.code, code, "{answer:?}");
            let word = answer.stderr.split(':').next().unwrap_or_default();
            assert_eq!(word, if code == 0 { "" } else { "ERROR" });
        }
    }

    #[test]
    fn stop_waits_for_the_successor_of_a_daemon_that_dies_meanwhile() {
        let (_root, paths) = paths(None);
        let guardian = locks::take_lock(&paths.guardian_lock()).unwrap().unwrap();
        let mut first = daemon(&paths, "sleep", &["60"]);
        name(&paths, &first);
        fs::write(paths.held(), "held").unwrap();
        std::thread::scope(|scope| {
            let stopping = scope.spawn(|| stop(&paths));
            assert!(!first.wait().unwrap().success(), "it was signalled");
            // Waits for the end of its standard input, unless it is stopped.
            let mut second = daemon(&paths, "grep", &["-R", "x", "-"]);
            name(&paths, &second);
            assert!(!second.wait().unwrap().success(), "it was signalled too");
            // A process that ignores the signal.
            let deaf = "trap '' TERM; exec \"$0\" -R x -";
            let copy = paths.run_dir.join("grep/heartbeat");
            let mut third = daemon(&paths, "sh", &["-c", deaf, &copy.to_string_lossy()]);
            while !is_successor(i32::try_from(third.id()).unwrap()) {
                pause();
            }
            name(&paths, &third);
            (0..25).for_each(|_| pause());
            assert!(!stopping.is_finished(), "the successor still stops");
            fs::remove_file(paths.held()).unwrap();
            fs::remove_file(&paths.pid_file).unwrap();
            drop(third.stdin.take());
            third.wait().unwrap();
            drop(guardian);
            answer(0)(stopping.join().unwrap());
        });
    }

    /// A daemon that replaces itself at that moment, before its first handlers are set.
    #[test]
    fn a_stop_whose_first_signal_is_lost_stops() {
        let (root, paths) = paths(None);
        let script = format!(
            "cd {}; trap 'test -e lost && rm run/heartbeat.pid && exit; touch lost' TERM; touch ready; \
             while :; do sleep 0.02; done",
            root.path().display()
        );
        let mut only = daemon(&paths, "sh", &["-c", &script]);
        while !root.path().join("ready").exists() {
            pause();
        }
        name(&paths, &only);
        std::thread::scope(|scope| {
            let stopping = scope.spawn(|| stop(&paths));
            for _ in 0..3000 {
                if stopping.is_finished() {
                    break;
                }
                pause();
            }
            let in_time = stopping.is_finished();
            only.kill().unwrap();
            only.wait().unwrap();
            let told = stopping.join().unwrap();
            assert!(root.path().join("lost").exists(), "one was lost");
            assert!(in_time, "it is asked only once");
            answer(0)(told);
        });
    }

    #[test]
    fn stop_waits_for_a_release_and_tells_how_it_ended() {
        for (released, code) in [(true, 0), (false, 1)] {
            let (_root, paths) = paths(Some("2147483647\n"));
            let guardian = locks::take_lock(&paths.guardian_lock()).unwrap().unwrap();
            fs::write(paths.held(), "held").unwrap();
            std::thread::scope(|scope| {
                let stopping = scope.spawn(|| stop(&paths));
                (0..25).for_each(|_| pause());
                assert!(!stopping.is_finished(), "the release goes on");
                if released {
                    fs::remove_file(paths.held()).unwrap();
                }
                drop(guardian);
                answer(code)(stopping.join().unwrap());
            });
        }
    }

    #[test]
    fn stop_tells_an_orderly_end_from_a_death_without_a_guardian() {
        for (at_its_end, code) in [("rm run/heartbeat.pid", 0), ("true", 1)] {
            let (root, paths) = paths(None);
            let script = format!(
                "cd {}; trap '{at_its_end}; exit' TERM; touch ready; while :; do sleep 0.02; done",
                root.path().display()
            );
            let mut only = daemon(&paths, "sh", &["-c", &script]);
            while !root.path().join("ready").exists() {
                pause();
            }
            name(&paths, &only);
            answer(code)(stop(&paths));
            only.wait().unwrap();
        }
    }

    #[test]
    fn a_node_that_somebody_has_started_again_is_not_waited_for() {
        let (_root, paths) = paths(None);
        let mut other = daemon(&paths, "sleep", &["60"]);
        name(&paths, &other);
        let _its_guardian = locks::take_lock(&paths.guardian_lock()).unwrap().unwrap();
        fs::write(paths.held(), "held").unwrap();
        answer(0)(wait_for_end(&paths, i32::MAX, true));
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
