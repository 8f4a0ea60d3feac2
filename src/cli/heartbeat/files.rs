//! Reading the files, and logging what is to be said about them.

use super::Process;
use crate::cli::Command;
use crate::config::load::{self, ConfigFailure, LoadOptions, Loaded, Purpose};
use crate::config::remembered::{Recorder, Remembered};
use crate::ha_log::Targets;
use crate::inspect;
use crate::notice::{self, Severity};
use crate::os::accounts::Accounts;
use crate::process::files;
use crate::process::handover::Called;
use crate::process::reload::{LastGood, Stamps};

impl Process {
    /// The files that the predecessor used, if it kept them.
    pub(super) fn last_good(&self) -> Option<(Loaded, LastGood)> {
        let files = files::recall::<LastGood>(&self.paths.last_good()).ok()?;
        let options = self.load_options(Purpose::Resume);
        let loaded = load::load(&self.paths, &Remembered(&files.answers), &options).ok()?;
        self.show(&loaded, Purpose::Resume);
        Some((loaded, files))
    }

    pub(super) const fn load_options(&self, purpose: Purpose) -> LoadOptions {
        let Called {
            manage_resources,
            realtime,
            debug,
            ..
        } = self.options.called;
        LoadOptions {
            purpose,
            manage_resources,
            realtime,
            debug,
        }
    }

    /// Reads the files and logs what is to be said about them, to the log that they name.
    pub(super) fn load(&self, purpose: Purpose) -> Result<(Loaded, LastGood), u8> {
        let (loaded, files) = self
            .read(purpose)
            .map_err(|failure| self.refuse(&failure))?;
        self.show(&loaded, purpose);
        Ok((loaded, files))
    }

    /// Reads the files, and keeps what was read.
    pub(super) fn read(&self, purpose: Purpose) -> Result<(Loaded, LastGood), Box<ConfigFailure>> {
        let (stamps, recorder) = (Stamps::take(&self.paths), Recorder::default());
        let options = self.load_options(purpose);
        let loaded = inspect::load(&self.paths, &recorder, &options)?;
        let files = LastGood {
            answers: recorder.into_answers(),
            stamps,
            accounts: Accounts::default(),
        };
        Ok((loaded, files))
    }

    /// Logs what is to be said about the files. A check writes to no log: that may be the log of a
    /// running node.
    fn show(&self, loaded: &Loaded, purpose: Purpose) {
        let checking = purpose == Purpose::Check;
        if !checking {
            self.log.aim(Targets::from_config(&loaded.config.log, true));
            self.log.set_debug(loaded.config.log.debug);
        }
        let all = !checking || self.options.verbose;
        let lines = loaded.config.remarks.iter();
        lines
            .filter(|line| all || line.severity() >= Severity::Warn)
            .for_each(notice::log);
    }

    pub(super) fn refuse(&self, failure: &ConfigFailure) -> u8 {
        if self.options.command != Command::Check {
            self.log.aim(Targets::from_config(&failure.log, true));
        }
        failure.lines.iter().for_each(notice::log);
        failure.exit_code
    }
}
