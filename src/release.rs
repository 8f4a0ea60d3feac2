//! What a dead daemon left running is stopped: by the guardian's program after the third death within
//! a minute, or by a service manager's call after the end of both.
//!
//! Released is every group in haresources, and every group of which the daemon wrote down that it
//! may run: a group may have been taken out of the file while it ran. Of such a one only the key is
//! known, which is its first resource. Whoever reads "all resources are released" may rely on it.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::actors::resource_group::{GroupContext, GroupRun};
use crate::cli::options;
use crate::config::Config;
use crate::config::group_lines::{self, GroupLine};
use crate::config::settings::Settings;
use crate::guardian::{EXIT_GENERIC, Why, read_held, take_lock};
use crate::ha_log::host_name;
use crate::notice::Severity;
use crate::own_addresses;
use crate::paths::Paths;
use crate::protocol::event::GroupOutcome;
use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::protocol::name::NodeName;

/// Stands for the owner of a group that is not in haresources, and of one with no name of a node.
const NO_OWNER: &str = "unknown";

/// The guardian's lock, if what a daemon held is left to nobody: neither a daemon nor a guardian
/// lives, and no orderly end has taken the file of what is held away.
#[must_use]
pub fn take_orphans(paths: &Paths) -> Option<File> {
    if !paths.held().exists() {
        return None;
    }
    let guardian = take_lock(&paths.guardian_lock()).ok().flatten()?;
    // A daemon that has just lost its guardian and has not yet started another.
    let _daemon = take_lock(&paths.daemon_lock()).ok().flatten()?;
    paths.held().exists().then_some(guardian)
}

/// One release of everything.
pub struct Release<'a> {
    /// Where everything lies.
    pub paths: &'a Paths,
    /// What the files say; `None`: they cannot be used, and our own settings count alone.
    pub config: Option<&'a Config>,
    /// Why; `None`: a guardian of an earlier version called.
    pub why: Option<Why>,
    /// More of why, or empty.
    pub detail: &'a str,
    /// Writes a line into the log.
    pub say: &'a dyn Fn(Severity, String),
    /// Restarts the machine; comes back with the reason when that is refused.
    pub restart: &'a dyn Fn() -> Result<(), String>,
}

impl Release<'_> {
    /// Releases, unless a daemon runs. Never a success: the node is down. The file of what is held
    /// goes only when nothing can run any more.
    ///
    /// A resource that does not stop restarts the machine, as in the daemon: nobody beats here, so
    /// the other node takes it and it would run twice. Spec: resources, section 9.4.
    #[must_use]
    pub fn run(&self) -> u8 {
        let _lock = match take_lock(&self.paths.daemon_lock()) {
            Ok(Some(lock)) => Some(lock),
            Ok(None) => {
                let text = "guardian: a daemon runs: its resources are not touched";
                self.say(Severity::Warn, text);
                return EXIT_GENERIC;
            }
            // The guardian's lock keeps other daemons away as well.
            Err(error) => {
                let lock = self.paths.daemon_lock();
                self.say(
                    Severity::Warn,
                    format!("guardian: {}: {error}", lock.display()),
                );
                None
            }
        };
        let why = self.why.map_or("the daemon is gone", Why::text);
        let detail = match self.detail {
            "" => String::new(),
            detail => format!(" ({detail})"),
        };
        let text = format!("guardian: {why}{detail}: releasing all resources, this node is down");
        self.say(Severity::Crit, text);
        let context = Arc::new(self.context());
        let lines = self.haresources();
        let mut left = BTreeSet::new();
        if lines.is_none() {
            left.insert(format!("what {} names", self.paths.haresources().display()));
        }
        let lines = lines.unwrap_or_default();
        let known: BTreeSet<&str> = lines.iter().filter_map(GroupLine::key).collect();
        let tried = Cell::new(false);
        for line in &lines {
            if let Some(key) = line.key()
                && !self.group(&context, key, &line.owner, &line.resources, &tried)
            {
                left.insert(key.to_owned());
            }
        }
        for key in self
            .held()
            .difference(&known.iter().map(|key| (*key).to_owned()).collect())
        {
            let text = format!(
                "guardian: {key} may run and is not in haresources any more: of its group only this \
                 resource is known"
            );
            self.say(Severity::Crit, text);
            if self.group(&context, key, NO_OWNER, std::slice::from_ref(key), &tried) {
                left.insert(format!("the rest of {key}"));
            } else {
                left.insert(key.clone());
            }
        }
        if left.is_empty() {
            let _ = fs::remove_file(self.paths.held());
            self.say(Severity::Crit, "guardian: all resources are released");
        } else {
            let left: Vec<String> = left.into_iter().collect();
            let text = format!(
                "guardian: not released, and may still run here: {}. Stop it by hand",
                left.join(", ")
            );
            self.say(Severity::Crit, text);
        }
        EXIT_GENERIC
    }

    fn say(&self, severity: Severity, text: impl Into<String>) {
        (self.say)(severity, text.into());
    }

    /// What scripts run with: as in the daemon, as far as the files can be read.
    fn context(&self) -> GroupContext {
        if let Some(config) = self.config {
            let addresses = Arc::new(own_addresses::manager(self.paths, &config.media));
            return GroupContext::of(config, self.paths, config.log.debug, addresses);
        }
        let settings = Settings::load(&self.paths.settings).unwrap_or_else(|error| {
            self.say(
                Severity::Error,
                format!("guardian: {error}: the default settings count"),
            );
            Settings::default()
        });
        let text =
            "guardian: ha.cf or a file beside it cannot be used: scripts run without its env";
        self.say(Severity::Error, text);
        let path = std::env::var("PATH").unwrap_or_default();
        let output = std::env::var_os("HA_DEBUGLOG").map(PathBuf::from);
        let host = host_name().to_ascii_lowercase();
        GroupContext::without_config(&settings, self.paths, &host, &path, output)
    }

    /// `None`: it cannot be read.
    fn haresources(&self) -> Option<Vec<GroupLine>> {
        let path = self.paths.haresources();
        group_lines::load(&path)
            .inspect_err(|error| {
                let text = format!(
                    "guardian: {}: {error}: only what the daemon wrote down can be released",
                    path.display()
                );
                self.say(Severity::Crit, text);
            })
            .ok()
    }

    /// Keys of the groups that may run, as the daemon wrote them down.
    fn held(&self) -> BTreeSet<String> {
        let path = self.paths.held();
        let unreadable = |error: &dyn std::fmt::Display| {
            let text = format!(
                "guardian: {}: {error}: a group that is not in haresources any more is not found",
                path.display()
            );
            self.say(Severity::Warn, text);
        };
        let words = match read_held(&path) {
            Ok(words) => words,
            // Nothing was held, or it could not be written down; that was in the log then.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return BTreeSet::new(),
            Err(error) => {
                unreadable(&error);
                return BTreeSet::new();
            }
        };
        let words = words.iter().map(|word| word.to_string_lossy().into_owned());
        match options::parse("heartbeat", words) {
            Ok(options) => options
                .running
                .into_iter()
                .chain(options.unfinished)
                .collect(),
            Err(error) => {
                unreadable(&error);
                BTreeSet::new()
            }
        }
    }

    /// Stops one group. `true`: nothing of these `words` runs any more. `tried`: the machine was to
    /// be restarted before.
    fn group(
        &self,
        context: &Arc<GroupContext>,
        key: &str,
        owner: &str,
        words: &[String],
        tried: &Cell<bool>,
    ) -> bool {
        self.say(Severity::Info, format!("guardian: releasing {key}"));
        let Ok(owner) = NodeName::new(owner).or_else(|_| NodeName::new(NO_OWNER)) else {
            return false;
        };
        let run = GroupRun {
            context: Arc::clone(context),
            group: ResourceGroup {
                key: GroupKey::new(key),
                owner,
                resources: words.to_vec(),
            },
            turn: Arc::new(Mutex::new(())),
        };
        // A fault of ours, or no thread to be had, must not keep the other groups running.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            actix::System::new().block_on(async {
                let mut outcome = None;
                run.stop(|done, _| outcome = Some(done)).await;
                outcome
            })
        }));
        if let Ok(Some(GroupOutcome::Stopped)) = outcome {
            return true;
        }
        let text = format!("guardian: {key} could not be released: it may still run here");
        self.say(Severity::Crit, text);
        if let Ok(Some(GroupOutcome::StopFailed { resource })) = outcome
            && !tried.replace(true)
        {
            self.restart_machine(&resource);
        }
        false
    }

    /// Comes back: what still can be stopped is stopped meanwhile.
    fn restart_machine(&self, resource: &str) {
        let text = format!("Rebooting the machine: {resource} cannot be stopped.");
        self.say(Severity::Emerg, text);
        if let Err(why) = (self.restart)() {
            let text =
                format!("The machine cannot be rebooted: stop the resource by hand. ({why})");
            self.say(Severity::Crit, text);
        }
    }
}

#[cfg(test)]
mod tests;
