//! `ipfail` at its legacy path: gives the resources to the node that reaches more ping nodes. A
//! client of any heartbeat daemon, Systole or legacy; `respawn hacluster /usr/lib/heartbeat/ipfail`
//! starts it. Arguments are ignored, as in legacy. Spec: docs/protocol/client-api.md, 15.
//!
//! Exit codes: 0 after TERM or INT; 1 when the daemon does not run, refuses the client or ends;
//! 100, with which the daemon does not start it again, when its configuration leaves nothing to do.

use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use systole::clients::api_client::{ApiError, Connection};
use systole::clock::{Clock, Monotonic};
use systole::ha_log::line::{FileStyle, facility_number};
use systole::ha_log::{HaLog, Targets, host_name};
use systole::notice::Severity;
use systole::os::paths::Paths;
use systole::policy::ipfail::{Identity, Ipfail, NAME, Output};
use systole::protocol::message::Message;

/// The daemon does not run, or no longer.
const EXIT_FAILED: u8 = 1;

/// How long the program waits at its end for the last log lines.
const FLUSH: Duration = Duration::from_secs(2);

/// Longest sleep when nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

/// An event that wakes the main thread.
enum Wake {
    Said(Message),
    Lost(ApiError),
    Stop,
}

fn main() -> ExitCode {
    // Before the first other thread: all of them must inherit it.
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    let caught = signals.thread_block().is_ok();
    let (wake, woken) = mpsc::channel();
    if caught {
        listen(signals, wake.clone());
    }
    let log = match HaLog::start(&targets(), 0) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("{NAME}: no log: {error}");
            return ExitCode::from(EXIT_FAILED);
        }
    };
    let code = Program {
        // The daemon that starts us tells whether details are wanted; without a daemon everything
        // is logged.
        verbose: variable("HA_debug").is_none_or(|level| level != "0"),
        log: log.clone(),
        ipfail: Ipfail::new(identity()),
        clock: Clock::start(),
    }
    .run(wake, &woken);
    log.flush(FLUSH);
    ExitCode::from(code)
}

struct Program {
    verbose: bool,
    log: HaLog,
    ipfail: Ipfail,
    clock: Clock,
}

impl Program {
    /// Runs until the program is to end. Returns the exit code.
    fn run(mut self, wake: Sender<Wake>, woken: &mpsc::Receiver<Wake>) -> u8 {
        let opened = Connection::open(&Paths::default().register());
        let both = opened.and_then(|connection| Ok((connection.another()?, connection)));
        let (mut connection, mut reader) = match both {
            Ok(both) => both,
            Err(error) => {
                self.log(Severity::Debug, &format!("PID={}", std::process::id()));
                self.log(Severity::Debug, "Signing in with heartbeat");
                self.log(Severity::Error, "Cannot sign on with heartbeat");
                self.log(Severity::Error, &format!("REASON: {error}"));
                return EXIT_FAILED;
            }
        };
        std::thread::spawn(move || {
            loop {
                let (next, last) = match reader.receive(None) {
                    Ok(message) => (Wake::Said(message), false),
                    Err(error) => (Wake::Lost(error), true),
                };
                if wake.send(next).is_err() || last {
                    return;
                }
            }
        });
        let mut out = Vec::new();
        self.ipfail.connected(self.now(), &mut out);
        loop {
            for output in std::mem::take(&mut out) {
                match output {
                    Output::Log(severity, text) => self.log(severity, &text),
                    Output::Send(message) => {
                        if let Err(error) = connection.send(&message) {
                            return self.lost(&error);
                        }
                    }
                    Output::End(end) => return end.exit_code(),
                }
            }
            let due = self.ipfail.next_deadline();
            let left = due.map_or(IDLE, |due| due.since(self.now()));
            match woken.recv_timeout(left.min(IDLE)) {
                Ok(Wake::Said(message)) => self.ipfail.received(message, self.now(), &mut out),
                Ok(Wake::Lost(error)) => return self.lost(&error),
                Ok(Wake::Stop) => {
                    let _ = connection.send(&self.ipfail.sign_off());
                    return 0;
                }
                Err(RecvTimeoutError::Timeout) => self.ipfail.tick(self.now(), &mut out),
                Err(RecvTimeoutError::Disconnected) => return EXIT_FAILED,
            }
        }
    }

    fn now(&self) -> Monotonic {
        self.clock.now().instant
    }

    fn lost(&self, error: &ApiError) -> u8 {
        self.log(Severity::Error, &error.to_string());
        EXIT_FAILED
    }

    fn log(&self, severity: Severity, text: &str) {
        if self.verbose || severity != Severity::Debug {
            self.log.line_of(NAME, severity, text);
        }
    }
}

/// Turns the signals into messages.
fn listen(signals: SigSet, wake: Sender<Wake>) {
    std::thread::spawn(move || {
        // `Err` can only mean that the set is invalid.
        while signals.wait().is_ok() && wake.send(Wake::Stop).is_ok() {}
    });
}

fn identity() -> Identity {
    Identity {
        host: host_name().to_ascii_lowercase(),
        pid: std::process::id(),
        uid: nix::unistd::geteuid().as_raw(),
        gid: nix::unistd::getegid().as_raw(),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Pause before the logging daemon is tried again.
const CONN_LOGD_TIME: std::time::Duration = std::time::Duration::from_secs(60);

/// The log targets that the daemon gives its clients; standard error when it gives none.
/// Spec: docs/protocol/config.md, 6.
fn targets() -> Targets {
    let file = |name| variable(name).map(std::path::PathBuf::from);
    let (logfile, debugfile) = (file("HA_LOGFILE"), file("HA_DEBUGLOG"));
    let facility = variable("HA_LOGFACILITY").and_then(|name| facility_number(&name));
    let old_form =
        variable("HA_syslogmsgfmt").is_some_and(|word| systole::protocol::boolean::is_false(&word));
    let logd = variable("HA_use_logd")
        .is_some_and(|word| systole::protocol::boolean::boolean(&word) == Some(true));
    Targets {
        host: host_name(),
        stderr: logfile.is_none() && debugfile.is_none() && facility.is_none(),
        logfile,
        debugfile,
        facility,
        logd: logd.then_some(CONN_LOGD_TIME),
        journal: false,
        style: if old_form {
            FileStyle::HaLog
        } else {
            FileStyle::Syslog
        },
        // The files belong to the daemon.
        owner: None,
    }
}
