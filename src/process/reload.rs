//! What a reload (`SIGHUP`, `heartbeat -r`) finds changed, and what of it can be taken over while
//! the node runs. Spec: docs/protocol/config.md, 5.3 and 9; docs/protocol/membership.md, 10.
//!
//! | Changed | Taken over |
//! |---|---|
//! | `authkeys` | in place; a bad file leaves the old keys in use |
//! | `ha.cf`, any change, or only touched | the process replaces itself, its groups run on |
//! | of it log targets, `syslogmsgfmt`, `debug` | at once, and by the new process for scripts and clients |
//! | the program itself, by an upgrade | as `ha.cf` touched: the new program goes on |
//! | `systole.toml` | as `ha.cf` |
//! | the node's name, or whether it manages resources | not at all: refused ([`needs_stop`]) |
//! | `haresources` | as `ha.cf`; in any case a group's own line at its next order |
//!
//! One bad file leaves all of them as they were.
//!
//! Legacy checks nothing before it replaces itself, and it ends without releasing its resources
//! when `authkeys` is bad at that moment. Here a bad file stops nothing.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::config::load::{self, LoadOptions, Loaded, Purpose};
use crate::config::remembered::{Answers, Remembered};
use crate::os::accounts::Accounts;
use crate::os::paths::Paths;
use crate::process::files;

/// Modification times of the files; `None` where a file is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamps {
    ha_cf: Option<SystemTime>,
    authkeys: Option<SystemTime>,
    haresources: Option<SystemTime>,
    /// Of `systole.toml`. An earlier version does not write it.
    #[serde(default)]
    settings: Option<SystemTime>,
}

/// The files that a daemon runs with, for a successor after a sudden death.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LastGood {
    /// What was read, and the answers of the machine about it.
    pub answers: Answers,
    /// When the files were changed last.
    pub stamps: Stamps,
    /// The accounts under which the respawned clients run.
    #[serde(default)]
    pub accounts: Accounts,
}

/// Which files differ from those that were last read. Legacy, too, checks the time and not the
/// content: `touch` is a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changes {
    /// `ha.cf`.
    pub ha_cf: bool,
    /// `authkeys`.
    pub authkeys: bool,
    /// `haresources`.
    pub haresources: bool,
    /// `systole.toml`.
    pub settings: bool,
}

impl Changes {
    /// Whether any file changed.
    #[must_use]
    pub const fn any(self) -> bool {
        self.authkeys || self.haresources || self.configuration()
    }

    /// Whether a file changed that only a new process reads.
    #[must_use]
    pub const fn configuration(self) -> bool {
        self.ha_cf || self.settings
    }
}

impl Stamps {
    /// The files as they are now. Take them before the files are read: a change in between is then
    /// found by the next reload.
    #[must_use]
    pub fn take(paths: &Paths) -> Self {
        let of = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
        Self {
            ha_cf: of(&paths.ha_cf()),
            authkeys: of(&paths.authkeys()),
            haresources: of(&paths.haresources()),
            settings: of(&paths.settings),
        }
    }

    /// Takes only the keys of `newer`.
    pub fn take_keys_of(&mut self, newer: &Self) {
        self.authkeys = newer.authkeys;
    }

    /// Takes only haresources of `newer`.
    pub const fn take_haresources_of(&mut self, newer: &Self) {
        self.haresources = newer.haresources;
    }

    /// What changed from `self` to `now`.
    #[must_use]
    pub fn changes(&self, now: &Self) -> Changes {
        Changes {
            ha_cf: self.ha_cf != now.ha_cf,
            authkeys: self.authkeys != now.authkeys,
            haresources: self.haresources != now.haresources,
            settings: self.settings != now.settings,
        }
    }
}

/// Whether the file at `program` is another one than this process runs, because an upgrade has
/// replaced it. A file that is missing for the moment is no successor.
#[must_use]
pub fn program_replaced(program: &Path) -> bool {
    let id = |path: &Path| fs::metadata(path).map(|data| (data.dev(), data.ino()));
    match (id(Path::new("/proc/self/exe")), id(program)) {
        (Ok(running), Ok(there)) => running != there,
        _ => false,
    }
}

/// Requests for a reload while the files are being read. A request at that time may be for a change
/// that was made after its file was read, so the files are checked once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Requests {
    /// The files are not being read.
    #[default]
    Idle,
    /// The files are being read.
    Reading,
    /// The same, and they are to be read again after that.
    ReadingAndAgain,
}

impl Requests {
    /// Records a request. `true`: begin to read.
    pub fn ask(&mut self) -> bool {
        let idle = *self == Self::Idle;
        *self = if idle {
            Self::Reading
        } else {
            Self::ReadingAndAgain
        };
        idle
    }

    /// The files are read. `true`: another request came meanwhile, so call [`ask`](Self::ask)
    /// again.
    pub fn done(&mut self) -> bool {
        std::mem::take(self) == Self::ReadingAndAgain
    }
}

/// Why a running node cannot take up new files, with the place; `None`: it can.
///
/// | What would change | Why not |
/// |---|---|
/// | its name | it would leave its groups to nobody, and begin as another member |
/// | whether it manages resources | its groups would run on without anybody who stops them |
#[must_use]
pub fn needs_stop(old: &Config, new: &Loaded, paths: &Paths) -> Option<String> {
    let Loaded {
        config, sources, ..
    } = new;
    if old.local != config.local {
        let nodeinfo = paths.ha_dir.join("nodeinfo");
        let (was, is) = (&old.local, &config.local);
        return Some(format!(
            "{} or the host name: the running node is {was} and would be {is}. Stop it first",
            nodeinfo.display()
        ));
    }
    if old.manage_resources != config.manage_resources {
        let mut lines = sources.ha_cf.iter();
        let line = lines.rfind(|line| ["crm", "pacemaker"].contains(&line.directive));
        let file = || paths.ha_cf().display().to_string();
        return Some(format!(
            "{}: a running node cannot begin or end to manage resources. Stop it first",
            line.map_or_else(file, |line| line.place.clone())
        ));
    }
    None
}

/// The same for a command: what the running daemon uses is read from what it keeps. `None` also when it keeps nothing.
#[must_use]
pub fn running_needs_stop(new: &Loaded, paths: &Paths, options: LoadOptions) -> Option<String> {
    let files = files::recall::<LastGood>(&paths.last_good()).ok()?;
    let options = LoadOptions {
        purpose: Purpose::Resume,
        ..options
    };
    let running = load::load(paths, &Remembered(&files.answers), &options).ok()?;
    needs_stop(&running.config, new, paths)
}

/// What differs between two configurations, in words for a log line.
#[must_use]
pub fn changed_parts(old: &Config, new: &Config) -> Vec<&'static str> {
    let changed = [
        ("node", old.local != new.local || old.nodes != new.nodes),
        ("media", old.media != new.media),
        ("ping", old.pings != new.pings),
        ("times", old.timing != new.timing),
        ("hopfudge", old.hopfudge != new.hopfudge),
        ("autojoin", old.autojoin != new.autojoin),
        ("auto_failback", old.auto_failback != new.auto_failback),
        ("haresources", old.groups != new.groups),
        ("msgfmt", old.message_format != new.message_format),
        ("compression", old.compression != new.compression),
        (
            "hbgenmethod",
            old.generation_method != new.generation_method,
        ),
        ("uuidfrom", old.uuid_from != new.uuid_from),
        ("log", old.log != new.log),
        ("log_badpack", old.log_bad_packets != new.log_bad_packets),
        ("respawn", old.respawn != new.respawn),
        ("stonith", old.fence_devices != new.fence_devices),
        ("apiauth", old.api_auth != new.api_auth),
        ("env", old.env != new.env),
        (
            "realtime",
            (old.realtime, old.realtime_priority, old.memreserve_kb)
                != (new.realtime, new.realtime_priority, new.memreserve_kb),
        ),
        ("watchdog", old.watchdog != new.watchdog),
        ("coreroot", old.core_root != new.core_root),
        ("settings", old.settings != new.settings),
    ];
    changed
        .into_iter()
        .filter_map(|(name, changed)| changed.then_some(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn another_file_in_our_place_is_an_upgrade() {
        assert!(!program_replaced(&std::env::current_exe().unwrap()));
        let root = tempfile::tempdir().unwrap();
        let other = root.path().join("heartbeat");
        assert!(!program_replaced(&other), "nothing there yet");
        fs::write(&other, "").unwrap();
        assert!(program_replaced(&other));
    }

    #[test]
    fn requests_while_the_files_are_read_lead_to_one_more_look() {
        let mut requests = Requests::default();
        assert!(requests.ask(), "begins");
        assert!(!requests.ask() && !requests.ask(), "one at a time");
        assert!(requests.done(), "once more for both");
        assert!(requests.ask());
        assert!(!requests.done(), "nobody asked meanwhile");
        assert!(requests.ask());
    }

    #[test]
    fn a_touched_or_vanished_file_is_a_change() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        fs::create_dir_all(&paths.ha_dir).unwrap();
        for path in [paths.ha_cf(), paths.authkeys(), paths.haresources()] {
            fs::write(path, "").unwrap();
        }
        let before = Stamps::take(&paths);
        assert!(!before.changes(&Stamps::take(&paths)).any());
        let file = fs::File::open(paths.authkeys()).unwrap();
        let earlier = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        file.set_modified(earlier).unwrap();
        fs::remove_file(paths.haresources()).unwrap();
        let changes = before.changes(&Stamps::take(&paths));
        assert!(changes.authkeys && changes.haresources && !changes.ha_cf);
        assert!(!changes.configuration());
    }

    #[test]
    fn settings_that_come_change_or_go_are_a_change() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        fs::create_dir_all(&paths.ha_dir).unwrap();
        let none = Stamps::take(&paths);
        assert!(!none.changes(&Stamps::take(&paths)).any());
        fs::write(&paths.settings, "").unwrap();
        let some = Stamps::take(&paths);
        for changes in [none.changes(&some), some.changes(&none)] {
            assert!(changes.settings && changes.configuration() && changes.any());
            assert!(!(changes.ha_cf || changes.authkeys || changes.haresources));
        }
        let file = fs::File::open(&paths.settings).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(some.changes(&Stamps::take(&paths)).settings, "touched");
    }

    #[test]
    fn stamps_of_an_earlier_version_are_read() {
        let stamps: Stamps =
            serde_json::from_str(r#"{"ha_cf":null,"authkeys":null,"haresources":null}"#).unwrap();
        assert_eq!(stamps.settings, None);
    }
}
