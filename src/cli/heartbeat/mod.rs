//! The `heartbeat` command: options, configuration, and the daemon. Spec: docs/protocol/tools.md,
//! 1.
//!
//! | Step | Where |
//! |---|---|
//! | what the options ask for | here |
//! | the process that was called: checks, then signals, refuses, starts the daemon or becomes it | [`start`] |
//! | the daemon: what its predecessor left, locks, the pid file | [`daemon`] |
//! | reading the files, and logging about them | [`files`] |

mod daemon;
mod files;
mod start;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::control_commands;
use super::options::{self, Command, OptionError, Options};
use crate::config::print;
use crate::ha_log::{self, HaLog};
use crate::notice::Severity;
use crate::os::blocked_signals;
use crate::os::paths::Paths;
use crate::process::{EXIT_GENERIC, daemonize};
use crate::version;

/// No permission.
const EXIT_PERMISSION: u8 = 4;
/// The configuration is refused, or `-R` came without a running daemon.
const EXIT_CONFIG: u8 = 6;

/// How long the process waits at its end for its last log lines.
const FLUSH: Duration = Duration::from_secs(5);

/// Does what the command line asks for, and returns the exit code. `file` is the file of the
/// program that runs; on a restart in place the daemon replaces itself by what is there.
#[must_use]
pub fn command(program: &str, arguments: &[OsString], file: PathBuf) -> u8 {
    let words = arguments.iter();
    let words = words.map(|word| word.to_string_lossy().into_owned());
    match options::parse(program, words) {
        Ok(options) => run(program, arguments, options, file),
        Err(OptionError::Usage(complaints)) => {
            for line in complaints {
                eprintln!("{line}");
            }
            eprint!("{}", options::USAGE);
            options::EXIT_USAGE
        }
        Err(error @ OptionError::BadHeld(_)) => {
            eprintln!("ERROR: {error}");
            EXIT_GENERIC
        }
    }
}

fn run(program: &str, arguments: &[OsString], options: Options, file: PathBuf) -> u8 {
    let paths = Paths::default();
    match &options.command {
        Command::Version => return say(&format!("{}\n", version::version())),
        Command::Defaults { wiki: false } => return say(&print::defaults()),
        Command::Defaults { wiki: true } => return say(&print::defaults_as_wiki()),
        Command::Status => return answer(&control_commands::status(&paths)),
        Command::Stop => return answer(&control_commands::stop(&paths)),
        // A process that stops the node may find the daemon before that can receive the signal:
        // the signal must wait and not end it.
        Command::Restarted(_) => blocked_signals::hold_back(),
        Command::Start if daemonize::is_daemon(program) || options.called.foreground => {
            blocked_signals::hold_back();
        }
        Command::Start | Command::Reload | Command::Check => blocked_signals::let_through(),
    }
    let log = match ha_log::begin(options.called.debug) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("ERROR: cannot start the log: {error}");
            return EXIT_GENERIC;
        }
    };
    let process = Process {
        paths,
        options,
        log,
        program: file,
    };
    let code = if daemonize::is_daemon(program) {
        process.background(arguments)
    } else {
        process.foreground(arguments)
    };
    process.log.flush(FLUSH);
    code
}

fn say(text: &str) -> u8 {
    let written = std::io::stdout().write_all(text.as_bytes());
    if written.is_ok() { 0 } else { EXIT_GENERIC }
}

fn answer(answer: &control_commands::Answer) -> u8 {
    let _ = std::io::stdout().write_all(answer.stdout.as_bytes());
    let _ = std::io::stderr().write_all(answer.stderr.as_bytes());
    answer.code
}

/// One run of the program that reads the configuration.
struct Process {
    paths: Paths,
    options: Options,
    log: HaLog,
    /// The file of this program.
    program: PathBuf,
}

impl Process {
    fn info(&self, text: impl Into<String>) {
        self.log.line(Severity::Info, text);
    }

    fn fail(&self, error: &dyn Display) -> u8 {
        self.log.line(Severity::Error, error.to_string());
        EXIT_GENERIC
    }
}
