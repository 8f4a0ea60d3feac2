//! A process between the daemon and a resource script: it outlives a daemon that is killed and writes
//! down with what code the script ended, for a successor. It lives in the script's process group.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, raise};

use super::BUSY_ATTEMPTS;

/// The first word of its command line: it tells the program what to be.
pub const TITLE: &str = "heartbeat: resource script";

/// What asks a process to end. They are for the script.
const FOR_THE_SCRIPT: [Signal; 4] = [
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
];

/// The words behind the title: where the code is to stand, the script and its words.
pub(super) fn words(code: &Path, script: &Path, args: &[String]) -> Vec<OsString> {
    let mut words = vec![code.as_os_str().to_owned(), script.as_os_str().to_owned()];
    words.extend(args.iter().map(OsString::from));
    words
}

/// Runs the script of the `words`, writes down its code and ends as it did.
#[must_use]
pub fn run(words: &[OsString]) -> u8 {
    let _ = nix::sys::prctl::set_name(c"hb-script");
    let [code, script, args @ ..] = words else {
        return 127;
    };
    // A child begins without any of it.
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
            note(Path::new(code), failed);
            return failed;
        }
    };
    let number = ended
        .signal()
        .map_or(0, |signal| signal.saturating_add(128));
    let number = ended.code().unwrap_or(number);
    let number = u8::try_from(number).unwrap_or(u8::MAX);
    note(Path::new(code), number);
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
        match Command::new(script).args(args).status() {
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

/// The process number shows whose code it is.
fn note(path: &Path, code: u8) {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let new = PathBuf::from(name);
    let text = format!("{} {code}\n", std::process::id());
    let _ = fs::write(&new, text).and_then(|()| fs::rename(&new, path));
}
