//! The small programs that scripts and administrators call, under their legacy names.
//!
//! While a daemon runs they ask it and never run a resource script beside it, except `status`,
//! which changes nothing. Spec: docs/protocol/resources.md, 9; docs/protocol/tools.md, 4.

mod handover;
mod manager;
mod nodes;
mod outcome;
mod output;
mod respawn;
pub mod verbs;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::actors::resource_group::GroupContext;
use crate::clients::control::{self, ControlError, GroupAnswer, Reply, Request};
use crate::config::environment::Machine;
use crate::config::load::{LoadOptions, load};
use crate::config::settings::Settings;
use crate::ha_log::{HaLog, Targets, host_name, line};
use crate::notice::{self, Severity, Speaker};
use crate::os::paths::Paths;
use crate::process::host_addresses;
use crate::process::locks;
use crate::process::pid_file::{PidFile, look};
use crate::process::startup::core_directory;

/// How long a daemon that runs and does not listen may be one that begins or ends.
const BETWEEN: Duration = Duration::from_secs(3);
const BETWEEN_PAUSE: Duration = Duration::from_millis(100);

/// One call of a helper program: its arguments, environment and output.
pub struct Call<'a> {
    /// As called, for messages.
    pub program: String,
    /// Words after the program's name.
    pub args: Vec<String>,
    /// The places of all files.
    pub paths: Paths,
    /// The environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut dyn Write,
}

/// Runs the program that `name` (a path, or its last part) stands for. Returns its exit code.
pub fn run(name: &str, call: &mut Call<'_>) -> u8 {
    let short = Path::new(name).file_name().and_then(|name| name.to_str());
    match short {
        Some("ResourceManager") => manager::resource_manager(call),
        Some("mach_down") => handover::mach_down(call),
        Some("req_resource") => handover::req_resource(call),
        Some("hb_standby") => handover::hb_standby(call),
        Some("hb_takeover") => handover::hb_takeover(call),
        Some(name @ ("hb_addnode" | "hb_delnode" | "hb_setweight" | "hb_setsite")) => {
            nodes::change(call, name)
        }
        Some("cl_respawn") => respawn::cl_respawn(call),
        Some("script_output") => output::script_output(call),
        _ => {
            call.complain(
                "call this program as ResourceManager, mach_down, req_resource, hb_standby, \
                 hb_takeover, hb_addnode, hb_delnode, hb_setweight, hb_setsite or cl_respawn",
            );
            1
        }
    }
}

impl Call<'_> {
    /// Our own node name: that of the daemon, else that of the machine.
    fn current_host(&self) -> String {
        let name = (self.variable)("HA_CURHOST").filter(|name| !name.is_empty());
        name.unwrap_or_else(host_name).to_ascii_lowercase()
    }

    /// Prints a line for the caller.
    fn complain(&mut self, text: &str) {
        // If this fails, there is no place left for a message.
        let _ = writeln!(self.err, "{text}");
    }

    fn print(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
    }

    /// The log targets, from the variables that the daemon gives its scripts.
    fn log_targets(&self) -> Targets {
        let file = |name| {
            (self.variable)(name)
                .filter(|path| !path.is_empty() && path != "/dev/null")
                .map(PathBuf::from)
        };
        Targets {
            host: host_name(),
            logfile: file("HA_LOGFILE"),
            debugfile: file("HA_DEBUGLOG"),
            facility: (self.variable)("HA_LOGFACILITY")
                .and_then(|name| line::facility_number(&name.to_ascii_lowercase())),
            ..Targets::default()
        }
    }

    /// Runs `work` with the log set up, and waits for its lines.
    fn logged<T>(&self, work: impl FnOnce() -> T) -> T {
        use tracing_subscriber::layer::SubscriberExt;
        let Ok(log) = HaLog::start(&self.log_targets(), 0) else {
            return work();
        };
        let subscriber = tracing_subscriber::registry().with(log.layer());
        let result = tracing::subscriber::with_default(subscriber, work);
        log.flush(Duration::from_secs(5));
        result
    }

    /// Asks the daemon; `Ok(None)`: none runs. Waits at most [`BETWEEN`] for a daemon that does not listen: it does not yet, or
    /// it has said that it is down and is about to end.
    fn ask(&self, request: &Request, patience: Duration) -> Result<Option<Reply>, String> {
        let clock = crate::clock::Clock::start();
        loop {
            match control::ask(&self.paths.control(), request, patience) {
                Ok(reply) => return Ok(Some(reply)),
                Err(ControlError::NoDaemon { .. }) => {}
                Err(error) => return Err(error.to_string()),
            }
            let PidFile::Running(pid) = look(&self.paths.pid_file) else {
                return self.without_daemon();
            };
            if clock.now().instant.since_start() >= BETWEEN {
                return Err(format!(
                    "heartbeat runs (pid {pid}) but does not listen on {}",
                    self.paths.control().display()
                ));
            }
            wait(BETWEEN_PAUSE);
        }
    }

    /// No daemon runs: `Ok(None)`, unless a guardian is about to start one.
    fn without_daemon(&self) -> Result<Option<Reply>, String> {
        if locks::is_taken(&self.paths.guardian_lock()) {
            return Err(
                "heartbeat has died, and its guardian starts it again or releases its \
                 resources: try again when that is done"
                    .to_owned(),
            );
        }
        Ok(None)
    }

    /// The environment of resource scripts when no daemon runs them: the one that the daemon would
    /// give them. Reads the disk, and resolves the names in ha.cf.
    ///
    /// Beside a daemon only `status` is run, perhaps often and by the daemon's own scripts, which
    /// have the environment already: then ha.cf is not read.
    fn group_context(&mut self) -> GroupContext {
        let alone = !matches!(look(&self.paths.pid_file), PidFile::Running(_));
        if alone && let Ok(loaded) = load(&self.paths, &Machine, &LoadOptions::default()) {
            let config = &loaded.config;
            let stray = config.settings.stray_addresses;
            let addresses = Arc::new(host_addresses::manager(&self.paths, &config.media, stray));
            let directory = core_directory(&self.paths, config.core_root.as_deref());
            return GroupContext {
                directory,
                ..GroupContext::of(config, &self.paths, config.log.debug, addresses)
            };
        }
        let settings = Settings::load(&self.paths.settings).unwrap_or_else(|error| {
            self.complain(&format!("{error}: the default settings count"));
            Settings::default()
        });
        let path = (self.variable)("PATH").unwrap_or_default();
        let (host, output) = (self.current_host(), self.log_targets().debugfile);
        GroupContext {
            directory: core_directory(&self.paths, None),
            ..GroupContext::without_config(&settings, &self.paths, &host, &path, output)
        }
    }
}

/// A line in the form of the scripts, under the name of `program`.
fn log(program: &str, severity: Severity, text: &str) {
    let tag = format!("{program}(default)");
    notice::say(Speaker::Script(&tag), severity, &text);
}

/// Waits, in a program that has nothing else to do.
#[expect(
    clippy::disallowed_methods,
    reason = "not the daemon: a program that waits"
)]
fn wait(time: Duration) {
    std::thread::sleep(time);
}

/// Exit code and text for the result of a start or stop of a group.
fn verdict(answer: &GroupAnswer, key: &str) -> (u8, Option<String>) {
    match answer {
        GroupAnswer::Started | GroupAnswer::Stopped => (0, None),
        GroupAnswer::StartFailed { resource, code } => (
            u8::try_from(*code).unwrap_or(1).max(1),
            Some(format!("start of {resource} failed with code {code}")),
        ),
        GroupAnswer::AddressTaken { claim } => (
            1,
            Some(format!("another host has an address of {key}: {claim}")),
        ),
        GroupAnswer::StopFailed { resource } => {
            (1, Some(format!("{resource} could not be stopped")))
        }
        GroupAnswer::NotHeld => (
            1,
            Some(format!(
                "{key} is not started: the cluster has not given this group to this node \
                 (hb_takeover asks for it)"
            )),
        ),
        GroupAnswer::Held => (
            1,
            Some(format!(
                "{key} is not stopped: this node holds this group (hb_standby gives it away)"
            )),
        ),
        GroupAnswer::Busy => (
            1,
            Some(format!("{key}: other work on this group is under way")),
        ),
        GroupAnswer::Unknown => (
            1,
            Some(format!(
                "{key} was not in haresources when the daemon read it"
            )),
        ),
    }
}

#[cfg(test)]
pub(crate) mod tests;
