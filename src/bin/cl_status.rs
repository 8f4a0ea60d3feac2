//! `cl_status`: asks the node on this machine, with the options that scripts know; `--json` prints
//! one object instead. Everything but the process itself is in `systole::cli::cl_status`.
//! Spec: docs/protocol/client-api.md, 14.

use std::process::ExitCode;
use std::time::Duration;

use systole::cli::cl_status::{EXIT_TIMEOUT, run};
use systole::ha_log::line::{self, FileKind, FileStyle, Record};
use systole::notice::Severity;
use systole::os::sys;
use systole::{cli, clock, ha_log};

/// After this time the program ends with [`EXIT_TIMEOUT`].
const ALARM: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let mut words = cli::words();
    let before = words.len();
    words.retain(|word| word != "--json");
    let as_json = words.len() < before;
    std::thread::spawn(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "the alarm of a short-lived program"
        )]
        std::thread::sleep(ALARM);
        std::process::exit(i32::from(EXIT_TIMEOUT));
    });
    let outcome = run(&words);
    if as_json {
        cli::print(&format!("{}\n", outcome.json));
    } else {
        cli::print(&outcome.text);
    }
    for text in outcome.errors {
        eprintln!("{text}");
    }
    for text in outcome.logged {
        eprint!("{}", log_line(text));
    }
    ExitCode::from(outcome.code)
}

/// A line in the form in which the legacy program logs to standard error.
fn log_line(text: String) -> String {
    let record = Record {
        unix_s: clock::wall_unix_s(),
        severity: Severity::Error,
        tag: None,
        entity: Some("cl_status".to_owned()),
        pid: std::process::id(),
        text,
    };
    let time = sys::local_time(record.unix_s);
    let host = ha_log::host_name();
    line::file_line(&record, time, &host, FileStyle::Syslog, FileKind::Log)
}
