//! The process that was called by a person or a service manager.

use std::ffi::OsString;

use super::daemon::Predecessor;
use super::{EXIT_CONFIG, EXIT_PERMISSION, Process, say};
use crate::cli::{Command, control_commands};
use crate::config::load::Purpose;
use crate::config::print;
use crate::ha_log::host_name;
use crate::notice::Severity;
use crate::os::sd_notify;
use crate::process::EXIT_GENERIC;
use crate::process::daemonize;
use crate::process::pid_file::{self, PidFile};
use crate::process::reload::running_needs_stop;

impl Process {
    /// Checks the files, then signals, refuses, starts the daemon or becomes it.
    pub(super) fn foreground(&self, arguments: &[OsString]) -> u8 {
        let own = nix::unistd::getpid().as_raw();
        let running = match pid_file::look(&self.paths.pid_file) {
            PidFile::Running(pid) if pid != own => Some(pid),
            // After a restart in place the file names this process: it is the daemon.
            PidFile::Running(_) | PidFile::Stale(_) | PidFile::Absent => None,
        };
        let purpose = match (&self.options.command, running) {
            (Command::Check, _) => Purpose::Check,
            (Command::Reload, Some(_)) => Purpose::Reload,
            _ => Purpose::Start,
        };
        let (loaded, files) = match self.load(purpose) {
            Ok(read) => read,
            Err(code) => {
                if let (Purpose::Reload, Some(pid)) = (purpose, running) {
                    self.info(format!("Config errors: Heartbeat pid {pid} NOT restarted"));
                }
                return code;
            }
        };
        match (&self.options.command, running) {
            (Command::Check, _) => {
                self.info("Configuration validated.");
                return 0;
            }
            (Command::Reload, Some(pid)) => {
                let options = self.load_options(Purpose::Reload);
                if let Some(why) = running_needs_stop(&loaded, &self.paths, options) {
                    self.log.line(Severity::Error, &why);
                    self.info(format!("Config errors: Heartbeat pid {pid} NOT restarted"));
                    return EXIT_GENERIC;
                }
                return self.signal_reload(pid);
            }
            (Command::Restarted(_), Some(pid)) => {
                eprintln!("ERROR: Heartbeat already running [pid {pid}].");
                return EXIT_GENERIC;
            }
            (Command::Restarted(_), None) => {
                eprintln!("ERROR: heartbeat is not running.");
                return EXIT_CONFIG;
            }
            (_, Some(pid)) => {
                self.info(format!("heartbeat: already running [pid {pid}]."));
                if self.options.called.foreground
                    && let Ok(pid) = u32::try_from(pid)
                {
                    sd_notify::adopt(pid);
                }
                return 0;
            }
            (_, None) => {}
        }
        if self.options.verbose {
            say(&print::effective(&loaded.config, &host_name()));
        }
        if self.options.called.foreground {
            return self.daemon(loaded, files, None, Predecessor::default());
        }
        match daemonize::spawn(arguments) {
            Ok(code) => code,
            Err(error) => self.fail(&format!("cannot start the background process: {error}")),
        }
    }

    fn signal_reload(&self, pid: i32) -> u8 {
        self.info(format!(
            "Signalling heartbeat pid {pid} to reread config files"
        ));
        match control_commands::signal_reload(pid) {
            Ok(()) => 0,
            Err(error) => {
                let text = format!("Could not kill pid {pid} : {}", error.desc());
                self.log.line(Severity::Error, text);
                EXIT_PERMISSION
            }
        }
    }
}
