//! The command lines of `heartbeat`, `cl_status` and `systole`: option letters, what is asked of a
//! running daemon, and what is printed.
//! Spec: docs/protocol/tools.md, 1; docs/protocol/client-api.md, 14.

use std::io::Write as _;

pub mod check;
pub mod cl_status;
pub mod control_commands;
pub mod doctor;
pub mod export;
pub mod fence;
pub mod getopt;
pub mod heartbeat;
pub mod metrics;
pub mod monitor;
pub mod options;
pub mod plan;
pub mod reload;
pub mod screen;
pub mod status;
pub mod systole;
pub mod top;
pub mod tune;
pub mod view;
pub mod watch;
pub mod web;

pub use options::{Command, OptionError, Options, Restarted};

/// The words of this program's command line after its name. Bytes that are not UTF-8 are replaced:
/// no option contains such bytes.
#[must_use]
pub fn words() -> Vec<String> {
    std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

/// Writes to standard output. A reader that closes its end early must not cause a panic.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
