//! `systole reload`: checks the files, has the daemon read them again, and tells what came of it.

use std::time::Duration;

use super::control_commands::{Answer, signal_reload};
use crate::clients::control::{self, Request};
use crate::clock::Clock;
use crate::config::environment::Machine;
use crate::config::load::{LoadOptions, Purpose};
use crate::inspect;
use crate::notice::Severity;
use crate::os::paths::Paths;
use crate::process::files;
use crate::process::pid_file::{self, PidFile};
use crate::process::reload::{LastGood, Stamps, running_needs_stop};

/// How long `--wait` waits for the daemon: it may have to restart in place.
const PATIENCE: Duration = Duration::from_secs(120);

/// Pause between two looks.
const AGAIN: Duration = Duration::from_millis(200);

/// Longest answer of the daemon.
const ANSWER: Duration = Duration::from_secs(5);

/// 0: done, or without `wait` asked for; 1: refused, or not done in time; 3: no daemon runs.
#[must_use]
pub fn reload(paths: &Paths, wait: bool) -> Answer {
    let PidFile::Running(pid) = pid_file::look(&paths.pid_file) else {
        return Answer::err("systole: no daemon runs\n".to_owned(), 3);
    };
    let options = LoadOptions {
        purpose: Purpose::Reload,
        ..LoadOptions::default()
    };
    match inspect::load(paths, &Machine, &options) {
        Ok(loaded) => {
            if let Some(why) = running_needs_stop(&loaded, paths, options) {
                let text = format!("ERROR: {why}\nsystole: refused, nothing was changed\n");
                return Answer::err(text, 1);
            }
        }
        Err(failure) => {
            let lines = failure.lines.iter();
            let lines = lines.filter(|line| line.severity() >= Severity::Warn);
            let lines: String = lines
                .map(|line| format!("{}: {line}\n", line.severity().word()))
                .collect();
            let text =
                format!("{lines}systole: refused: the files have errors, nothing was changed\n");
            return Answer::err(text, 1);
        }
    }
    if in_force(paths, pid) == Some(true) {
        return Answer::out(
            "nothing has changed since the files were read\n".to_owned(),
            0,
        );
    }
    if let Err(error) = signal_reload(pid) {
        let text = format!("systole: cannot signal process {pid}: {}\n", error.desc());
        return Answer::err(text, 1);
    }
    if !wait {
        let text = "the files are good; the daemon reads them again now\n";
        return Answer::out(text.to_owned(), 0);
    }
    let clock = Clock::start();
    let until = clock.now().instant + PATIENCE;
    while clock.now().instant < until {
        pause();
        if in_force(paths, pid).unwrap_or(true) && is_settled(paths) {
            return Answer::out("done: the daemon works with the files\n".to_owned(), 0);
        }
    }
    let text = "systole: not in force yet: systole why, and the log, say what it waits for\n";
    Answer::err(text.to_owned(), 1)
}

/// Whether the daemon has read the files as they are, and runs the program that is installed; `None`: it does not
/// tell. A restart in place keeps the process.
fn in_force(paths: &Paths, pid: i32) -> Option<bool> {
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let replaced = program.to_string_lossy().ends_with(" (deleted)");
    let good = files::recall::<LastGood>(&paths.last_good()).ok()?;
    Some(!replaced && !good.stamps.changes(&Stamps::take(paths)).any())
}

fn is_settled(paths: &Paths) -> bool {
    let reply = control::ask(&paths.control(), &Request::View, ANSWER);
    let node = reply.ok().and_then(|reply| reply.view().ok()?.node);
    node.is_some_and(|node| {
        node.status == "active" && node.rscstatus.as_deref() != Some("transition")
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "a short-lived program with nothing else to do"
)]
fn pause() {
    std::thread::sleep(AGAIN);
}
