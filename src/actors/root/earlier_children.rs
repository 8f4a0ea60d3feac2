//! Children from before a restart in place. The process keeps them, but what waited for them has gone
//! with the old image. Some end much later: the output program of a script ends with the service that
//! holds the script's output.

use std::fs;

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

use crate::actors::guardian;

/// Those that have not ended yet.
#[derive(Debug, Default)]
pub(super) struct EarlierChildren(Vec<Pid>);

impl EarlierChildren {
    /// All children of this process except the guardian, for which its actor waits. Call it before
    /// this image starts any.
    pub(super) fn find() -> Self {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let stats = entries.filter_map(|it| fs::read_to_string(it.path().join("stat")).ok());
        Self(stats.filter_map(|stat| child_of(getpid(), &stat)).collect())
    }

    /// Takes those from the process list that have ended.
    pub(super) fn reap(&mut self) {
        self.0.retain(|pid| {
            let state = waitpid(*pid, Some(WaitPidFlag::WNOHANG));
            matches!(state, Ok(WaitStatus::StillAlive))
        });
    }
}

/// The process of `/proc/PID/stat`, if it is a child of `parent` and no guardian.
fn child_of(parent: Pid, stat: &str) -> Option<Pid> {
    let (before, rest) = stat.rsplit_once(") ")?;
    let (pid, name) = before.split_once(" (")?;
    let of = rest.split(' ').nth(1)?.parse().ok()?;
    let is_child = Pid::from_raw(of) == parent && !guardian::is_named(name);
    is_child.then_some(Pid::from_raw(pid.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_guardian_and_the_children_of_others_are_left_alone() {
        let found = |stat: &str| child_of(Pid::from_raw(7), stat).map(Pid::as_raw);
        assert_eq!(found("9 (script_output) S 7 9 9 0"), Some(9));
        assert_eq!(found("9 (a) b) S 7 9 9 0"), Some(9));
        assert_eq!(found("9 (heartbeat-guard) S 7 9 9 0"), None);
        assert_eq!(found("9 (script_output) S 8 9 9 0"), None);
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        clippy::zombie_processes,
        reason = "a child of another kind than those of the daemon"
    )]
    fn an_ended_child_leaves_the_process_list() {
        let child = std::process::Command::new("/bin/true").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        assert!(EarlierChildren::find().0.contains(&pid));
        let mut earlier = EarlierChildren(vec![pid]);
        while !earlier.0.is_empty() {
            earlier.reap();
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
