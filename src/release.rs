//! Stops what a dead daemon left running, where no process can send heartbeats any more. The
//! guardian's program does it when no daemon can be started for it, or a service manager calls it
//! after the end of both.
//!
//! The other node takes over when its dead time has passed, so the time is short: all addresses are
//! removed first, then all groups are stopped at the same time. If a group is not stopped by then,
//! the machine is restarted ([`Deadline`]), except where `HA_STOPRETRYMAX=0` forbids that, or where
//! the time of the takeover is not known.
//!
//! Every group in haresources is released, and every group of which the daemon wrote that it may
//! run: a group may have been removed from the file while it ran. Of such a group only the key is
//! known, which is its first resource. "All resources are released" is reported only if that is
//! true for all of these.

pub mod program;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::sync::Mutex;

use crate::actors::resource_group::{
    Bare, ChecksOfGroup, GroupContext, GroupRun, end_earlier_checks, stops_for_ever,
};
use crate::actors::root::Deadline;
use crate::actors::watchdog::stand_down;
use crate::agents::fence::end_earlier_resets;
use crate::config::Config;
use crate::config::group_lines::{self, GroupLine};
use crate::config::settings::Settings;
use crate::ha_log::host_name;
use crate::notice::Severity;
use crate::os::in_time::in_time;
use crate::os::paths::Paths;
use crate::process::EXIT_GENERIC;
use crate::process::files;
use crate::process::guardian::Why;
use crate::process::handover;
use crate::process::host_addresses;
use crate::process::locks::{take_lock, try_lock};
use crate::protocol::event::GroupOutcome;
use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::protocol::name::NodeName;

/// The owner of a group that is not in haresources, or whose owner has no valid node name.
const NO_OWNER: &str = "unknown";

/// How long a disk may take to show a file.
const READ: Duration = Duration::from_millis(500);

/// How long the driver of the watchdog may take to stop it.
const WATCHDOG: Duration = Duration::from_secs(1);

/// How long the removal of one group's addresses may take before its resources are stopped.
const WITHDRAW: Duration = Duration::from_millis(500);

/// The guardian's lock, if no process is responsible for what a daemon held: neither a daemon nor a
/// guardian lives, and no orderly end has removed the file of what is held.
#[must_use]
pub fn take_orphans(paths: &Paths) -> Option<File> {
    if !paths.is_anything_left() {
        return None;
    }
    let guardian = take_lock(&paths.guardian_lock()).ok().flatten()?;
    // A daemon that has just lost its guardian and has not yet started another.
    let _daemon = take_lock(&paths.daemon_lock()).ok().flatten()?;
    paths.is_anything_left().then_some(guardian)
}

/// Whether anything may run here by the file that the daemon wrote; also if that cannot be read.
#[must_use]
pub fn may_run(paths: &Paths) -> bool {
    written_down(paths).map_or(true, |held| !held.keys.is_empty() || held.unknown)
}

/// The file that the daemon wrote.
#[derive(Default)]
struct Held {
    /// Groups that may run or have an order in hand.
    keys: BTreeSet<GroupKey>,
    /// Unknown groups may run.
    unknown: bool,
    /// What is wrong with the file, if not all of it can be used.
    complaint: Option<String>,
    /// The watchdog device that the daemon has armed.
    watchdog: Option<PathBuf>,
}

/// Reads the file that the daemon wrote.
///
/// # Errors
/// It cannot be read: everything may run.
fn written_down(paths: &Paths) -> io::Result<Held> {
    let kept = handover::read(&paths.held())?;
    let complaint = kept.complaint();
    let state = kept.into_state().map_err(io::Error::other)?;
    let nobody_knew = "what an earlier daemon had written down could not be read".to_owned();
    let complaint = complaint.or_else(|| state.unknown.then_some(nobody_knew));
    let keys = state.may_run().chain(state.unfinished()).cloned();
    Ok(Held {
        keys: keys.collect(),
        unknown: state.unknown,
        complaint,
        watchdog: state.watchdog,
    })
}

/// One release of everything.
pub struct Release<'a> {
    /// The paths of all files.
    pub paths: &'a Paths,
    /// The content of the files; `None`: they cannot be used, and only our own settings count.
    pub config: Option<&'a Config>,
    /// Why; `None`: a guardian of an earlier version called.
    pub why: Option<Why>,
    /// Details of the reason, or empty.
    pub detail: &'a str,
    /// Writes a line into the log.
    pub say: &'a dyn Fn(Severity, String),
    /// Restarts the machine; returns only if that failed, with the reason.
    pub restart: Restart,
    /// Restarts the machine when the other node is about to take over; `None`: that time is not
    /// known.
    pub deadline: Option<&'a Deadline>,
}

/// Restarts the machine; called on a thread of its own.
pub type Restart = Arc<dyn Fn() -> String + Send + Sync>;

/// One group to be stopped.
struct Stopped {
    key: String,
    owner: String,
    words: Vec<String>,
    /// Only the first resource is known.
    part: bool,
}

impl Release<'_> {
    /// Releases everything, unless a daemon runs. Never a success: the node is down. The file of
    /// what is held is removed only when nothing can run any more.
    ///
    /// A resource that does not stop restarts the machine, as in the daemon: no process sends
    /// heartbeats here, so the other node takes the resource and it would run twice. Spec:
    /// docs/protocol/resources.md, 9.4.
    #[must_use]
    pub fn run(&self) -> u8 {
        let Ok(_lock) = self.lock() else {
            let text = "guardian: a daemon runs: its resources are not touched";
            self.say(Severity::Warn, text);
            self.deadline.inspect(|deadline| deadline.call_off());
            return EXIT_GENERIC;
        };
        let why = self.why.map_or("the daemon is gone", Why::text);
        let detail = match self.detail {
            "" => String::new(),
            detail => format!(" ({detail})"),
        };
        let text = format!("guardian: {why}{detail}: releasing all resources, this node is down");
        self.say(Severity::Crit, text);
        // Before anything that may hang.
        if let Some(deadline) = self.deadline
            && stops_for_ever(self.config)
        {
            deadline.forbid();
        }
        let context = Arc::new(self.context());
        let lines = self.haresources();
        let mut left = BTreeSet::new();
        let mut runs = false;
        if lines.is_none() {
            left.insert(format!("what {} names", self.paths.haresources().display()));
        }
        let held = self.held();
        if held.unknown {
            left.insert(format!("what {} named", self.paths.held().display()));
        }
        let watchdog = held.watchdog.clone();
        let watchdog = watchdog.or_else(|| self.config.and_then(|config| config.watchdog.clone()));
        let groups = self.groups(lines.unwrap_or_default(), held);
        for group in groups.iter().filter(|group| group.part) {
            let text = format!(
                "guardian: {} may run and is not in haresources any more: of its group only this \
                 resource is known",
                group.key
            );
            self.say(Severity::Crit, text);
        }
        for (group, stopped) in groups.iter().zip(self.stop_all(&context, &groups)) {
            match (stopped, group.part) {
                (true, true) => drop(left.insert(format!("the rest of {}", group.key))),
                (true, false) => {}
                (false, _) => {
                    runs = true;
                    left.insert(group.key.clone());
                }
            }
        }
        // If nothing runs, or only groups of which just the name is known, no restart is needed.
        // Otherwise the machine restarts in time.
        if !runs {
            self.deadline.inspect(|deadline| deadline.call_off());
            if let Some(watchdog) = watchdog {
                self.stop_watchdog(watchdog);
            }
        }
        if left.is_empty() {
            let files = self.paths.left_behind();
            files.iter().for_each(|file| files::forget(file));
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

    /// Nothing runs any more: the device need not restart the machine. Until here nobody fed it, because
    /// nobody sends heartbeats.
    fn stop_watchdog(&self, path: PathBuf) {
        let device = path.display().to_string();
        let (severity, text) = match in_time(WATCHDOG, move || stand_down(&path)) {
            Some(Ok(())) => (Severity::Info, "is stopped".to_owned()),
            Some(Err(error)) => (
                Severity::Crit,
                format!("cannot be stopped ({error}): it restarts this machine"),
            ),
            None => (
                Severity::Crit,
                "does not answer: it restarts this machine".to_owned(),
            ),
        };
        self.say(
            severity,
            format!("guardian: watchdog device {device} {text}"),
        );
    }

    /// The daemon's lock, if it can be taken.
    ///
    /// # Errors
    /// A daemon runs.
    fn lock(&self) -> Result<Option<File>, DaemonRuns> {
        let path = self.paths.daemon_lock();
        let killed = self.why == Some(Why::Silent);
        let taken = if killed {
            try_lock(&path)
        } else {
            take_lock(&path)
        };
        match taken {
            Ok(Some(lock)) => Ok(Some(lock)),
            // The daemon was killed, and the kernel has not ended it yet: it does nothing any more.
            Ok(None) if killed => Ok(None),
            Ok(None) => Err(DaemonRuns),
            // The guardian's lock prevents other daemons as well.
            Err(error) => {
                let text = format!("guardian: {}: {error}", path.display());
                self.say(Severity::Warn, text);
                Ok(None)
            }
        }
    }

    /// Every group that may run: the groups of haresources, and the other groups that the daemon
    /// wrote to its file. If haresources cannot be read, its content when the daemon began counts.
    fn groups(&self, lines: Vec<GroupLine>, held: Held) -> Vec<Stopped> {
        let mut groups: Vec<Stopped> = lines
            .into_iter()
            .filter_map(|line| {
                Some(Stopped {
                    key: line.key()?.to_owned(),
                    owner: line.owner,
                    words: line.resources,
                    part: false,
                })
            })
            .collect();
        let mut keys = held.keys;
        if held.unknown
            && let Some(config) = self.config
        {
            keys.extend(config.groups.iter().map(|group| group.key.clone()));
        }
        for key in keys {
            if groups.iter().any(|group| group.key == key.as_str()) {
                continue;
            }
            let kept = self.config.and_then(|config| {
                let mut groups = config.groups.iter();
                groups.find(|group| group.key == key)
            });
            groups.push(Stopped {
                owner: kept.map_or(NO_OWNER.to_owned(), |group| group.owner.to_string()),
                words: kept.map_or_else(|| vec![key.to_string()], |group| group.resources.clone()),
                part: kept.is_none(),
                key: key.to_string(),
            });
        }
        groups
    }

    /// Removes all addresses, then stops all groups at the same time. Returns for each whether
    /// nothing of it runs any more.
    fn stop_all(&self, context: &Arc<GroupContext>, groups: &[Stopped]) -> Vec<bool> {
        let runs: Vec<Option<GroupRun>> = groups.iter().map(|it| run_of(context, it)).collect();
        let tried = Cell::new(false);
        let stop = async |group: &Stopped, run: &Option<GroupRun>| {
            self.say(Severity::Info, format!("guardian: releasing {}", group.key));
            let Some(run) = run else {
                return false;
            };
            let mut outcome = None;
            // A fault of ours must not keep the other groups running.
            let stopped = AssertUnwindSafe(run.stop(|done, _| outcome = Some(done)));
            let _ = stopped.catch_unwind().await;
            self.judge(&group.key, outcome, &tried).await
        };
        // No thread is available, or a fault of ours.
        let all = catch_unwind(AssertUnwindSafe(|| {
            actix_rt::System::new().block_on(async {
                let withdrawn = runs.iter().flatten().map(|run| {
                    let all = AssertUnwindSafe(run.withdraw_addresses());
                    tokio::time::timeout(WITHDRAW, all.catch_unwind())
                });
                join_all(withdrawn).await;
                // Who releases everything resets nobody.
                let records = self.paths.scripts();
                let resets = end_earlier_resets(&records, &[]);
                let checks = end_earlier_checks(&records);
                let stops = groups.iter().zip(&runs);
                let stops = join_all(stops.map(|(group, run)| stop(group, run)));
                tokio::join!(stops, resets, checks).0
            })
        }));
        all.unwrap_or_else(|_| vec![false; groups.len()])
    }

    /// Whether a group is stopped. A resource of it that cannot be stopped restarts the machine.
    async fn judge(&self, key: &str, outcome: Option<GroupOutcome>, tried: &Cell<bool>) -> bool {
        if outcome == Some(GroupOutcome::Stopped) {
            return true;
        }
        let text = format!("guardian: {key} could not be released: it may still run here");
        self.say(Severity::Crit, text);
        if let Some(GroupOutcome::StopFailed { resource }) = outcome
            && !tried.replace(true)
        {
            self.restart_machine(&resource).await;
        }
        false
    }

    fn say(&self, severity: Severity, text: impl Into<String>) {
        (self.say)(severity, text.into());
    }

    /// The context of scripts: as in the daemon, as far as the files can be read.
    fn context(&self) -> GroupContext {
        if let Some(config) = self.config {
            let stray = config.settings.stray_addresses;
            let addresses = Arc::new(host_addresses::manager(self.paths, &config.media, stray));
            return GroupContext::of(config, self.paths, config.log.debug, addresses);
        }
        let path = self.paths.settings.clone();
        let read = in_time(READ, move || Settings::load(&path));
        let read = read.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()));
        let settings = read.unwrap_or_else(|error| {
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

    /// The lines of haresources, else those of the time when the daemon began; `None`: not known.
    fn haresources(&self) -> Option<Vec<GroupLine>> {
        let path = self.paths.haresources();
        let file = path.clone();
        let error = match in_time(READ, move || group_lines::load(&file)) {
            Some(Ok(lines)) => return Some(lines),
            Some(Err(error)) => error.to_string(),
            None => "it cannot be read in time".to_owned(),
        };
        let kept = self.config.map(|config| &config.groups);
        if let Some(groups) = kept.filter(|groups| !groups.is_empty()) {
            let text = format!(
                "guardian: {}: {error}: what it said when the daemon began is released",
                path.display()
            );
            self.say(Severity::Warn, text);
            let line = |group: &ResourceGroup| GroupLine {
                owner: group.owner.to_string(),
                resources: group.resources.clone(),
            };
            return Some(groups.iter().map(line).collect());
        }
        let text = format!(
            "guardian: {}: {error}: only what the daemon wrote down can be released",
            path.display()
        );
        self.say(Severity::Crit, text);
        None
    }

    /// The file that the daemon wrote. If it cannot be read, everything may run: an orderly end or
    /// a complete release would have removed it, and then this program would not run.
    fn held(&self) -> Held {
        let path = self.paths.held();
        let held = written_down(self.paths).unwrap_or_else(|error| Held {
            unknown: true,
            complaint: Some(format!(
                "{error}: a group that is in haresources no more is not found"
            )),
            ..Held::default()
        });
        if let Some(complaint) = &held.complaint {
            let text = format!("guardian: {}: {complaint}", path.display());
            self.say(Severity::Warn, text);
        }
        held
    }

    /// Restarts the machine. Groups that can still be stopped are stopped meanwhile.
    async fn restart_machine(&self, resource: &str) {
        let text = format!("Rebooting the machine: {resource} cannot be stopped.");
        self.say(Severity::Emerg, text);
        let restart = Arc::clone(&self.restart);
        let done = tokio::task::spawn_blocking(move || restart()).await;
        let why = done.unwrap_or_else(|error| error.to_string());
        let text = format!("The machine cannot be rebooted: stop the resource by hand. ({why})");
        self.say(Severity::Crit, text);
    }
}

/// A daemon runs.
struct DaemonRuns;

/// `None`: no node can have such a name.
fn run_of(context: &Arc<GroupContext>, group: &Stopped) -> Option<GroupRun> {
    let owner = NodeName::new(&group.owner).or_else(|_| NodeName::new(NO_OWNER));
    Some(GroupRun {
        context: Arc::clone(context),
        group: ResourceGroup {
            key: GroupKey::new(&group.key),
            owner: owner.ok()?,
            resources: group.words.clone(),
        },
        turn: Arc::new(Mutex::new(())),
        checks: ChecksOfGroup::default(),
        bare: Bare::default(),
    })
}

#[cfg(test)]
mod tests;
