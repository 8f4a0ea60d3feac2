//! A process between the daemon and a resource script: it outlives a daemon that is killed. For a
//! successor it records that the script runs, before the script begins, and with which exit code it
//! ended. It lives in the script's process group.
//!
//! If the daemon ends before the record is written, its successor may already have looked for the
//! record: then the script is not run.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, raise};

use super::BUSY_ATTEMPTS;
use super::record::{self, Record, Recorded};
use crate::os::{blocked_signals, sys};

/// The first word of its command line, by which the program knows its task.
pub const TITLE: &str = "heartbeat: resource script";

/// Signals that ask a process to end. They are meant for the script.
const FOR_THE_SCRIPT: [Signal; 4] = [
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
];

/// The words after the title: the process that wants the script, what to record, the script and its
/// arguments.
pub(super) fn words(what: &Recorded, script: &Path, args: &[String]) -> Vec<OsString> {
    let asks = std::process::id().to_string();
    let mut words = vec![
        OsString::from(asks),
        what.place.as_os_str().to_owned(),
        OsString::from(&what.operation),
        OsString::from(&what.word),
        script.as_os_str().to_owned(),
    ];
    words.extend(args.iter().map(OsString::from));
    words
}

/// Runs the script of the `words`, records its exit code and ends in the same way.
#[must_use]
pub fn run(words: &[OsString]) -> u8 {
    let _ = nix::sys::prctl::set_name(c"hb-script");
    let [asks, place, operation, word, script, args @ ..] = words else {
        return 127;
    };
    let what = Recorded {
        place: PathBuf::from(place),
        operation: operation.to_string_lossy().into_owned(),
        word: word.to_string_lossy().into_owned(),
        shim: None,
    };
    record::note_beside(&what.place, std::process::id());
    let record = Record::write(&what, std::process::id());
    let asks: Option<u32> = asks.to_str().and_then(|text| text.parse().ok());
    if asks.is_some_and(|asks| asks != std::os::unix::process::parent_id()) {
        // The record is removed with this.
        return 127;
    }
    // The process that wanted the script removes it, or a successor does.
    if let Some(record) = record {
        record.keep();
    }
    let code = record::code_place(&what.place);
    let code = code.as_path();
    let mut held_back = SigSet::empty();
    for signal in FOR_THE_SCRIPT {
        held_back.add(signal);
    }
    let _ = held_back.thread_block();
    let ended = match start(script, args) {
        Ok(ended) => ended,
        Err(error) => {
            eprintln!("{}: {error}", Path::new(script).display());
            let denied = error.kind() == io::ErrorKind::PermissionDenied;
            let failed = if denied { 126 } else { 127 };
            note(code, failed);
            return failed;
        }
    };
    let number = ended
        .signal()
        .map_or(0, |signal| signal.saturating_add(128));
    let number = ended.code().unwrap_or(number);
    let number = u8::try_from(number).unwrap_or(u8::MAX);
    note(code, number);
    if let Some(signal) = ended.signal().and_then(|it| Signal::try_from(it).ok()) {
        let _ = held_back.thread_unblock();
        let _ = raise(signal);
    }
    number
}

#[expect(
    clippy::disallowed_methods,
    reason = "a process of its own that does nothing else"
)]
fn start(script: &OsStr, args: &[OsString]) -> io::Result<ExitStatus> {
    let mut attempt = 0;
    loop {
        let mut command = Command::new(script);
        // Those that this process holds back are meant for the script.
        blocked_signals::begin_without(command.args(args));
        sys::ignore_broken_pipes(&mut command);
        match command.status() {
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy && attempt < BUSY_ATTEMPTS =>
            {
                attempt += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            ended => return ended,
        }
    }
}

/// The process number shows to which run the code belongs.
fn note(path: &Path, code: u8) {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let new = PathBuf::from(name);
    let text = format!("{} {code}\n", std::process::id());
    let _ = fs::write(&new, text).and_then(|()| fs::rename(&new, path));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A script that prints its record, run for the process `asks`.
    fn run_for(asks: u32, directory: &Path) -> (u8, Option<String>) {
        let (place, seen) = (directory.join("group"), directory.join("seen"));
        let what = Recorded {
            place: place.clone(),
            operation: "start".to_owned(),
            word: "db::a b".to_owned(),
            shim: None,
        };
        let script = format!(
            "cat {p} {p}.what >{s}; exit 3",
            p = place.display(),
            s = seen.display()
        );
        let args = ["-c".to_owned(), script];
        let mut words = words(&what, Path::new("/bin/sh"), &args);
        if let Some(first) = words.first_mut() {
            *first = OsString::from(asks.to_string());
        }
        (run(&words), fs::read_to_string(seen).ok())
    }

    #[test]
    fn the_record_stands_before_the_script_begins() {
        let directory = tempfile::tempdir().unwrap();
        let (code, seen) = run_for(std::os::unix::process::parent_id(), directory.path());
        assert_eq!(code, 3);
        let (own, seen) = (std::process::id(), seen.unwrap());
        let lines: Vec<_> = seen.lines().collect();
        assert!(lines[0].starts_with(&format!("{own} ")), "{seen}");
        assert_eq!(lines[1], format!("{own} start db::a b"));
        let code = fs::read_to_string(directory.path().join("group.code")).unwrap();
        assert_eq!(code, format!("{own} 3\n"));
    }

    /// The successor has already looked for the record, and runs the script itself.
    #[test]
    fn a_script_whose_daemon_is_gone_before_it_is_recorded_is_not_run() {
        let directory = tempfile::tempdir().unwrap();
        let gone = std::os::unix::process::parent_id().saturating_add(1);
        assert_eq!(run_for(gone, directory.path()), (127, None));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
