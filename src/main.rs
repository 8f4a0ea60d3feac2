//! The `heartbeat` program. By its first word it is the command and the daemon, their guardian, the
//! release of what a dead daemon held, or the process beside a script: see the table in
//! `src/process/mod.rs`.
//!
//! Only here does an error become an exit code.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use systole::agents::child::shim;
use systole::cli::heartbeat;
use systole::os::{blocked_signals, sys};
use systole::process::{daemonize, guardian};
use systole::release::program::release_resources;

fn main() -> ExitCode {
    sys::reset_child_signal();
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_else(|| "heartbeat".into());
    let arguments: Vec<OsString> = words.collect();
    // First of all: its processes are not to be taken for a daemon's.
    if program == shim::TITLE {
        return ExitCode::from(shim::run(&arguments));
    }
    daemonize::set_process_name();
    // Whatever the caller had open is nothing to the daemon and its scripts. Where neither the kernel nor
    // /proc can do this, things stay as they are.
    let _ = sys::close_descriptors_on_exec();
    let program = program.to_string_lossy();
    if matches!(&*program, guardian::TITLE | guardian::RELEASE_TITLE) {
        blocked_signals::let_through();
    }
    ExitCode::from(match &*program {
        guardian::TITLE => match guardian::guard(&arguments, &own_program()) {
            guardian::Outcome::Exit(code) => code,
            guardian::Outcome::Release(words) => release_resources(&words),
        },
        guardian::RELEASE_TITLE => release_resources(&arguments),
        _ => heartbeat::command(&program, &arguments, own_program()),
    })
}

/// The file that this process runs; after an upgrade the one that took its place.
fn own_program() -> PathBuf {
    let path = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
    let text = path.to_string_lossy();
    match text.strip_suffix(" (deleted)") {
        Some(replaced) => PathBuf::from(replaced),
        None => path,
    }
}
