//! Commands that only speak to a running daemon: status (`-s`), stop (`-k`), and the signal of a
//! reload (`-r`). Spec: tools, section 1.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::paths::Paths;
use crate::pid_file::{self, PidFile};

/// How often `-k` looks whether the daemon has ended.
const POLL: Duration = Duration::from_millis(100);

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
    fn out(text: String, code: u8) -> Self {
        Self {
            stdout: text,
            stderr: String::new(),
            code,
        }
    }

    fn err(text: String, code: u8) -> Self {
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
            let node = local_node_name(&paths.ha_dir, &host);
            Answer::out(
                format!("heartbeat OK [pid {pid} et al] is running on {host} [{node}]...\n"),
                0,
            )
        }
        PidFile::Stale(_) => Answer::out("heartbeat is stopped. No process\n".to_owned(), 1),
        PidFile::Absent => Answer::out("heartbeat is stopped. No process\n".to_owned(), 3),
    }
}

/// First line of `nodeinfo`, if it ends with a newline, else the host name; in lower case.
/// Spec: configuration, section 2.5.
fn local_node_name(ha_dir: &Path, host: &str) -> String {
    let nodeinfo = fs::read(ha_dir.join("nodeinfo")).unwrap_or_default();
    let text = String::from_utf8_lossy(&nodeinfo);
    let name = text.split_once('\n').map(|(first, _)| first.trim_end());
    name.filter(|name| !name.is_empty())
        .unwrap_or(host)
        .to_ascii_lowercase()
}

/// `-k`: asks the daemon to stop and waits until it is gone, without limit.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this process only waits for the daemon; it is not the daemon"
)]
pub fn stop(paths: &Paths) -> Answer {
    let PidFile::Running(pid) = pid_file::look(&paths.pid_file) else {
        return Answer::err("INFO: Heartbeat already stopped.\n".to_owned(), 0);
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
    while pid_file::is_running(pid) {
        std::thread::sleep(POLL);
    }
    Answer::out(String::new(), 0)
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

    #[test]
    fn node_name_comes_from_nodeinfo_only_with_its_newline() {
        let (_root, paths) = paths(None);
        assert_eq!(local_node_name(&paths.ha_dir, "Host"), "host");
        fs::write(paths.ha_dir.join("nodeinfo"), "Other\n").unwrap();
        assert_eq!(local_node_name(&paths.ha_dir, "host"), "other");
        fs::write(paths.ha_dir.join("nodeinfo"), "Other").unwrap();
        assert_eq!(local_node_name(&paths.ha_dir, "host"), "host");
    }
}
