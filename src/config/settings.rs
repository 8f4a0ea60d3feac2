//! Our own settings: one optional TOML file, read with the `config` crate. Unknown keys are
//! refused; ha.cf always works without it. `docs/reference/settings.md` contains the table of
//! [`SETTINGS`].

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use ::config::{ConfigError, File, FileFormat};
use serde::Deserialize;

use super::monitors::{self, MonitorSettings};
use crate::protocol::lease::AddressLease;
use crate::protocol::settings::UnservedMove;

/// Whether the daemon or a script handles `IPaddr`, `IPaddr2`, `IPv6addr` and bare addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NativeAddresses {
    /// In the process when the script is absent, ours, or a distributed wrapper.
    #[default]
    Auto,
    /// Always in the process.
    Always,
    /// Always the script.
    Never,
}

/// What happens to a service address that is here although the node does not hold its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StrayAddresses {
    /// It is removed.
    #[default]
    Remove,
    /// It is reported once.
    Report,
    /// It is ignored.
    Ignore,
}

/// What happens when somebody removes a service address of a group that runs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressGuard {
    /// It is put back. A group whose addresses nobody reaches here goes to a Systole node that can serve it.
    #[default]
    On,
    /// The same, also to a node that tells nothing of its interfaces.
    Move,
    /// It is reported.
    Report,
    /// Nobody looks.
    Off,
}

impl AddressGuard {
    /// Whether it puts an address back.
    #[must_use]
    pub const fn puts_back(self) -> bool {
        match self {
            Self::On | Self::Move => true,
            Self::Report | Self::Off => false,
        }
    }

    /// Where a group goes whose addresses nobody reaches here.
    #[must_use]
    pub const fn moves(self) -> UnservedMove {
        match self {
            Self::On => UnservedMove::ToOneThatTells,
            Self::Move => UnservedMove::Always,
            Self::Report | Self::Off => UnservedMove::Never,
        }
    }
}

/// Which media of ha.cf must open for a node to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaRequired {
    /// One of them. The others are opened when they can.
    Any,
    /// Each, as in legacy.
    All,
}

/// A legacy feature that an earlier version did not support: it refused an ha.cf that names it,
/// unless this word stood in the file. Today no word has an effect, and each is accepted, because a
/// key that was released is never refused later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Fencing by `stonith` and `stonith_host`.
    Stonith,
    /// Heartbeats over serial lines.
    Serial,
}

impl Loss {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Stonith, Self::Serial];

    /// The word in the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stonith => "stonith",
            Self::Serial => "serial",
        }
    }
}

/// Settings for which ha.cf has no directive. Where the default differs from the legacy behaviour,
/// [`SETTINGS`] says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether the daemon or a script handles addresses.
    pub native_addresses: NativeAddresses,
    /// Longest run of one call of a resource script; then TERM, and KILL `script_kill_after` later.
    pub script_time_limit: Duration,
    /// Pause between TERM and KILL.
    pub script_kill_after: Duration,
    /// Whether a second process starts a killed daemon again.
    pub guardian: bool,
    /// Whether the daemon runs the built-in `ipfail`.
    pub ipfail: bool,
    /// Whether the network is asked for addresses before a lone start, and while they are held.
    pub address_probe: bool,
    /// What happens to service addresses whose group is not held.
    pub stray_addresses: StrayAddresses,
    /// What happens when somebody removes a service address of a group that runs here.
    pub address_guard: AddressGuard,
    /// Which lifetime service addresses get, that only a node whose heartbeats leave renews.
    pub address_lease: AddressLease,
    /// Whether a node that receives neither its peer nor a ping node releases its resources.
    pub isolation_release: bool,
    /// How much longer the node waits that serves nothing, before it fences; `None`: as long as the
    /// devices take.
    pub fence_delay: Option<Duration>,
    /// How long after its verdict a dead node was reset by its own watchdog; `None`: nobody says so.
    pub fence_by_watchdog: Option<Duration>,
    /// Longest run of one call of a fencing device.
    pub fence_time_limit: Duration,
    /// Which media must open at a start.
    pub media_required: MediaRequired,
    /// Whether a start is refused when the watchdog of ha.cf cannot be opened.
    pub watchdog_required: bool,
    /// Words without effect; each causes one INFO line.
    pub accept_without: Vec<Loss>,
    /// The resources that are checked.
    pub monitors: Vec<MonitorSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            native_addresses: NativeAddresses::Auto,
            script_time_limit: Duration::from_secs(3600),
            script_kill_after: Duration::from_secs(10),
            guardian: true,
            ipfail: false,
            address_probe: true,
            stray_addresses: StrayAddresses::Remove,
            address_guard: AddressGuard::On,
            address_lease: AddressLease::Off,
            isolation_release: false,
            fence_delay: None,
            fence_by_watchdog: None,
            fence_time_limit: Duration::from_secs(60),
            media_required: MediaRequired::Any,
            watchdog_required: false,
            accept_without: Vec::new(),
            monitors: Vec::new(),
        }
    }
}

/// One row of the table in `docs/reference/settings.md`.
#[derive(Debug, Clone, Copy)]
pub struct SettingDoc {
    /// Key in the file.
    pub key: &'static str,
    /// Allowed values, with their unit.
    pub values: &'static str,
    /// Default, spelt as in the file.
    pub default: &'static str,
    /// Its effect.
    pub about: &'static str,
    /// Its effect on the safety of the service.
    pub safety: &'static str,
}

/// Every setting, in the order of the table.
pub const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        key: "native_addresses",
        values: "`\"auto\"`, `\"always\"`, `\"never\"`",
        default: "\"auto\"",
        about: "Who handles bare addresses, `IPaddr`, `IPaddr2` and `IPv6addr`: `auto` in the \
                daemon when the script is absent, ours or a distributed wrapper, else the script; \
                `always` in the daemon; `never`: the script",
        safety: "`always` ignores a script that the administrator may have changed for a reason",
    },
    SettingDoc {
        key: "script_time_limit_s",
        values: "seconds, 1 to 86400",
        default: "3600",
        about: "Longest run of one call of a resource script; after that it gets TERM and counts \
                as failed",
        safety: "If it is shorter than a slow but healthy start, that start counts as failed. \
                 Legacy has no limit: a script that hangs keeps its group down for ever",
    },
    SettingDoc {
        key: "script_kill_after_s",
        values: "seconds, 1 to 3600",
        default: "10",
        about: "Pause between TERM and KILL for such a script",
        safety: "Too short cuts off a script that cleans up after itself",
    },
    SettingDoc {
        key: "guardian",
        values: "`\"on\"`, `\"off\"`",
        default: "\"on\"",
        about: "A second, small process starts the daemon again at once, with the groups that it \
                held, when the daemon is killed or crashes. At the third time within a minute it \
                releases all resources instead, and heartbeats go on until that is done. Legacy \
                has no such process",
        safety: "`off`: when the daemon is killed, its addresses and scripts run on while the \
                 other node takes them over after its dead time: two owners",
    },
    SettingDoc {
        key: "ipfail",
        values: "`\"on\"`, `\"off\"`",
        default: "\"off\"",
        about: "The daemon does the work of `ipfail` itself: all groups go to the node that \
                reaches more ping nodes. No effect beside a `respawn` line of a program named \
                `ipfail`; signs off when such a program signs on. See `docs/ipfail.md`",
        safety: "The peer must run an `ipfail` too, of any kind. Two nodes only",
    },
    SettingDoc {
        key: "address_probe",
        values: "`\"on\"`, `\"off\"`",
        default: "\"on\"",
        about: "Before a node starts a group alone (it has received no other node yet), or starts \
                a group that no node claims beside a legacy node, it asks the network for the \
                addresses of the group. If another host answers, the group is not started, and is \
                tried again every 10 s. Addresses that are held, here or by a legacy node, are \
                asked for every 20 s. Legacy never asks",
        safety: "`off`: a node that receives no other node because of a firewall or a wrong key \
                 takes addresses that another host serves. `on` behind a router that answers for \
                 every address (proxy ARP): nothing is started alone",
    },
    SettingDoc {
        key: "stray_addresses",
        values: "`\"remove\"`, `\"report\"`, `\"ignore\"`",
        default: "\"remove\"",
        about: "What happens to a service address that is on an interface although the node is \
                settled and does not hold its group: `remove` removes it within 5 s, `report` logs \
                it once. Legacy never looks. With `ignore` a start is also accepted if a service \
                address is the first of its network on this host, see `docs/addresses.md`",
        safety: "`report` and `ignore`: an address left behind by a crash or added by hand answers \
                 beside the owner",
    },
    SettingDoc {
        key: "address_guard",
        values: "`\"on\"`, `\"move\"`, `\"report\"`, `\"off\"`",
        default: "\"on\"",
        about: "What happens when a person or a program removes a service address of a group that runs \
                here: `on` puts it back within a tenth of a second, announces it and logs who removed \
                it. When an interface stays down for longer than `deadtime`, or an address is removed \
                more than 30 times in a minute, the group goes to the other node: with `on` when that \
                node tells that its own interfaces are up, with `move` also when it tells nothing (a \
                legacy node). `report` logs it only. An address that another host has by then is not put back. \
                Legacy never looks. See `docs/addresses.md`",
        safety: "`move`: a legacy node does not tell whether its interface is up, so a group may go \
                 where nobody reaches it either. `report` and `off`: nobody serves the address until a person puts it back. To remove a \
                 held address for a while with `on`: `systole freeze` first",
    },
    SettingDoc {
        key: "address_lease",
        values: "`\"off\"`, `\"auto\"`, seconds, 1 to 3600",
        default: "\"off\"",
        about: "Service addresses that the daemon handles get a lifetime, which only a node whose heartbeats leave \
                renews: when the daemon is stopped or hangs, the kernel removes its addresses before the other \
                node takes them. `auto` (recommended): the longest lifetime that fits `keepalive` and `deadtime` \
                with room for a lost heartbeat, at most 8 s. Seconds: this one, if it is at least two `keepalive` \
                and half a second, and at most `deadtime` less half a second; else a WARN line says what fits, \
                and addresses get none. Needs `address_guard` `on` or `move`. Legacy gives none. See \
                `docs/addresses.md`",
        safety: "`off`: a daemon that is stopped or hangs keeps its addresses while the other node takes them: two \
                 owners. On: a node that sends no heartbeat for the lifetime loses its addresses, also when no other \
                 node is there; it puts them back when it runs again and no other host has them",
    },
    SettingDoc {
        key: "isolation_release",
        values: "`\"on\"`, `\"off\"`",
        default: "\"off\"",
        about: "A node that loses its peer and all ping nodes at about the same time removes its \
                service addresses just before the dead time is over. Then it stops its groups \
                instead of taking those of the peer, and takes everything again when a ping node \
                answers and the peer is still dead. Recommended on both nodes of a pair whose ping \
                node is reached as clients reach the service. See `docs/ipfail.md`",
        safety: "Prevents two owners where one side is cut off. If a ping node fails together with \
                 the peer, no node serves until the ping node answers again",
    },
    SettingDoc {
        key: "fence_delay",
        values: "seconds, 0 to 3600",
        default: "0",
        about: "How long a node waits before it resets the other, when two nodes lose each other. \
                The node that serves groups does not wait, so it survives. If both serve, the node \
                that comes second in the `node` lines waits; of nodes that serve nothing the second \
                waits one delay and the first two. Beside a legacy node that serves, which never waits, a \
                Systole node always does. `0`: 2 s more than the longest answer of a device so far, \
                at least 5 s. Legacy does not wait, and both are reset",
        safety: "Shorter than a reset takes: both nodes may reset each other",
    },
    SettingDoc {
        key: "fence_by_watchdog",
        values: "seconds, 0 to 86400",
        default: "0",
        about: "A node that is declared dead and may run groups counts as reset so long after that: \
                its own watchdog has restarted it by then. Where a device is configured too, \
                whichever comes first. For pairs without a fencing device, with `watchdog` and \
                `isolation_release` on both nodes. At least two `deadtime`, three `keepalive` and \
                2 s; less causes a WARN line. `0`: off. See `docs/watchdog.md`",
        safety: "Nothing of a dead node is taken over before. If the other node has no watchdog, or \
                 the time is shorter than its watchdog takes, both nodes may run the groups",
    },
    SettingDoc {
        key: "fence_time_limit_s",
        values: "seconds, 1 to 3600",
        default: "60",
        about: "Longest run of one call of a fencing device (a reset, its status, its list of \
                hosts); after that its processes get TERM, 5 s later KILL, and the next device is \
                tried. Legacy has no limit. See `docs/howto/fence.md`",
        safety: "A device that needs longer than this never completes a reset, so nothing is taken \
                 over. A device that hangs delays the next one by this time",
    },
    SettingDoc {
        key: "media_required",
        values: "`\"any\"`, `\"all\"`",
        default: "\"any\"",
        about: "Which media of ha.cf must open for a start: `any`: one, on another interface than the loop-back one; the others are opened as \
                soon as they can be, and an ERROR line names each. `all`: each, as in legacy; else \
                the start fails",
        safety: "A node that starts without any medium would declare its peer dead, so such a start \
                 is always refused. With `any` a node starts with fewer media than the file names",
    },
    SettingDoc {
        key: "watchdog_required",
        values: "`true`, `false`",
        default: "false",
        about: "`true`: a start is refused when the `watchdog` device of ha.cf cannot be opened. \
                With `false` an ERROR line says so, as in legacy, and it is tried again every 10 s. \
                A daemon that continues the work of another (after a death, `-r` or an upgrade) is never \
                refused for this. No effect without a `watchdog` line. See `docs/watchdog.md`",
        safety: "`false`: a node whose device is missing runs, and nothing restarts its machine when \
                 it hangs; `systole status` says so",
    },
    SettingDoc {
        key: "accept_without",
        values: "list of `\"stonith\"`, `\"serial\"`",
        default: "[]",
        about: "Accepted an ha.cf that named what this program did not support yet: fencing \
                (`stonith`, `stonith_host` lines) and serial lines. Both are supported: neither \
                word has an effect, and each causes one INFO line",
        safety: "None",
    },
    SettingDoc {
        key: "monitor",
        values: "blocks, see [monitors](#monitors)",
        default: "[]",
        about: "Resources that are checked while they run here: one that does not run is restarted, and the group \
                is moved when that does not help. Legacy never looks. See `docs/howto/monitor-services.md`",
        safety: "A check that is wrong restarts a healthy service. One that was never good since the start of its \
                 group acts on nothing. A group moves with all groups of its owner",
    },
];

/// The file as parsed. Each field's name is a key of [`SETTINGS`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    native_addresses: Option<String>,
    script_time_limit_s: Option<u64>,
    script_kill_after_s: Option<u64>,
    guardian: Option<String>,
    ipfail: Option<String>,
    address_probe: Option<String>,
    stray_addresses: Option<String>,
    address_guard: Option<String>,
    address_lease: Option<WordOrNumber>,
    isolation_release: Option<String>,
    fence_delay: Option<u64>,
    fence_by_watchdog: Option<u64>,
    fence_time_limit_s: Option<u64>,
    media_required: Option<String>,
    watchdog_required: Option<String>,
    accept_without: Option<Vec<String>>,
    monitor: Option<Vec<::config::Map<String, ::config::Value>>>,
}

/// A setting that takes a word or a number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum WordOrNumber {
    Number(u32),
    Word(String),
}

impl Raw {
    fn parse(file: &Path, text: &[u8]) -> Result<Self, SettingsError> {
        let text = std::str::from_utf8(text).map_err(|_| SettingsError::NotUtf8 {
            file: file.to_owned(),
        })?;
        ::config::Config::builder()
            .add_source(File::from_str(text, FileFormat::Toml))
            .build()
            .and_then(::config::Config::try_deserialize)
            .map_err(|source| SettingsError::Malformed {
                file: file.to_owned(),
                source,
            })
    }
}

/// Why the settings file is refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not text.
    #[error("{file}: not UTF-8")]
    NotUtf8 {
        /// The file.
        file: PathBuf,
    },
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("{file}: {source}")]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The error of the parser; it names the key.
        source: ConfigError,
    },
    /// A value outside its range.
    #[error("{file}: {key} = {value}: must be {expected}")]
    Value {
        /// The file.
        file: PathBuf,
        /// The key.
        key: &'static str,
        /// The value in the file.
        value: String,
        /// The allowed values.
        expected: String,
    },
    /// A block for a monitor.
    #[error("{file}:{line}: {text}")]
    Monitor {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
        /// What is wrong, and what helps.
        text: String,
    },
}

impl Settings {
    /// The settings in the file at `path`; the defaults when there is none.
    ///
    /// # Errors
    /// It cannot be read, or has a setting that is not allowed.
    pub fn load(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(text) => Self::read(path, &text).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Reads the text of the settings file. `file` is named in errors.
    ///
    /// # Errors
    /// [`SettingsError`] with file and key.
    pub fn read(file: &Path, text: &[u8]) -> Result<Self, SettingsError> {
        let raw = Raw::parse(file, text)?;
        let mut settings = Self::default();
        let keys = Keys { file };
        keys.word(
            ("native_addresses", raw.native_addresses),
            &mut settings.native_addresses,
            &[
                ("auto", NativeAddresses::Auto),
                ("always", NativeAddresses::Always),
                ("never", NativeAddresses::Never),
            ],
        )?;
        keys.seconds(
            ("script_time_limit_s", raw.script_time_limit_s, 1..=86_400),
            &mut settings.script_time_limit,
        )?;
        keys.seconds(
            ("script_kill_after_s", raw.script_kill_after_s, 1..=3600),
            &mut settings.script_kill_after,
        )?;
        for (key, given, switch) in [
            ("guardian", raw.guardian, &mut settings.guardian),
            ("ipfail", raw.ipfail, &mut settings.ipfail),
            (
                "address_probe",
                raw.address_probe,
                &mut settings.address_probe,
            ),
            (
                "isolation_release",
                raw.isolation_release,
                &mut settings.isolation_release,
            ),
        ] {
            keys.word((key, given), switch, &[("on", true), ("off", false)])?;
        }
        keys.word(
            ("stray_addresses", raw.stray_addresses),
            &mut settings.stray_addresses,
            &[
                ("remove", StrayAddresses::Remove),
                ("report", StrayAddresses::Report),
                ("ignore", StrayAddresses::Ignore),
            ],
        )?;
        keys.word(
            ("address_guard", raw.address_guard),
            &mut settings.address_guard,
            &[
                ("on", AddressGuard::On),
                ("move", AddressGuard::Move),
                ("report", AddressGuard::Report),
                ("off", AddressGuard::Off),
            ],
        )?;
        keys.lease(raw.address_lease, &mut settings.address_lease)?;
        let mut delay = Duration::ZERO;
        keys.seconds(("fence_delay", raw.fence_delay, 0..=3600), &mut delay)?;
        settings.fence_delay = Some(delay).filter(|delay| !delay.is_zero());
        let mut time = Duration::ZERO;
        let by_watchdog = ("fence_by_watchdog", raw.fence_by_watchdog, 0..=86_400);
        keys.seconds(by_watchdog, &mut time)?;
        settings.fence_by_watchdog = Some(time).filter(|time| !time.is_zero());
        keys.seconds(
            ("fence_time_limit_s", raw.fence_time_limit_s, 1..=3600),
            &mut settings.fence_time_limit,
        )?;
        keys.word(
            ("media_required", raw.media_required),
            &mut settings.media_required,
            &[("any", MediaRequired::Any), ("all", MediaRequired::All)],
        )?;
        keys.word(
            ("watchdog_required", raw.watchdog_required),
            &mut settings.watchdog_required,
            &[
                ("true", true),
                ("false", false),
                ("on", true),
                ("off", false),
            ],
        )?;
        let losses = Loss::ALL.map(|loss| (loss.word(), loss));
        for word in raw.accept_without.unwrap_or_default() {
            let mut loss = Loss::Stonith;
            keys.word(("accept_without", Some(word)), &mut loss, &losses)?;
            if !settings.accept_without.contains(&loss) {
                settings.accept_without.push(loss);
            }
        }
        let blocks = raw.monitor.unwrap_or_default();
        let text = String::from_utf8_lossy(text);
        settings.monitors = monitors::read(blocks, &text).map_err(|refused| {
            let monitors::Refused { line, text } = refused;
            let file = file.to_owned();
            SettingsError::Monitor { file, line, text }
        })?;
        Ok(settings)
    }
}

/// Puts what the file gives for one key where it belongs; a key that is not given changes nothing.
struct Keys<'a> {
    file: &'a Path,
}

impl Keys<'_> {
    /// One of `words`.
    fn word<T: Copy>(
        &self,
        (key, given): (&'static str, Option<String>),
        place: &mut T,
        words: &[(&str, T)],
    ) -> Result<(), SettingsError> {
        let Some(given) = given else {
            return Ok(());
        };
        let Some((_, value)) = words.iter().find(|(word, _)| *word == given) else {
            let all: Vec<String> = words
                .iter()
                .map(|(word, _)| format!("\"{word}\""))
                .collect();
            let expected = match all.as_slice() {
                [before @ .., last] if !before.is_empty() => {
                    format!("{} or {last}", before.join(", "))
                }
                all => all.concat(),
            };
            return Err(self.refused(key, given, expected));
        };
        *place = *value;
        Ok(())
    }

    /// The lease of addresses.
    fn lease(
        &self,
        given: Option<WordOrNumber>,
        place: &mut AddressLease,
    ) -> Result<(), SettingsError> {
        let key = "address_lease";
        let expected = "\"off\", \"auto\", or between 1 and 3600 seconds";
        match given {
            None => Ok(()),
            Some(WordOrNumber::Word(word)) => match word.as_str() {
                "off" => {
                    *place = AddressLease::Off;
                    Ok(())
                }
                "auto" => {
                    *place = AddressLease::Auto;
                    Ok(())
                }
                _ => Err(self.refused(key, word, expected.to_owned())),
            },
            Some(WordOrNumber::Number(seconds)) if (1..=3600).contains(&seconds) => {
                *place = AddressLease::Seconds(seconds);
                Ok(())
            }
            Some(WordOrNumber::Number(seconds)) => {
                Err(self.refused(key, seconds.to_string(), expected.to_owned()))
            }
        }
    }

    /// Seconds within `range`.
    fn seconds(
        &self,
        (key, given, range): (&'static str, Option<u64>, RangeInclusive<u64>),
        place: &mut Duration,
    ) -> Result<(), SettingsError> {
        let Some(given) = given else {
            return Ok(());
        };
        if !range.contains(&given) {
            let expected = format!("between {} and {} seconds", range.start(), range.end());
            return Err(self.refused(key, given.to_string(), expected));
        }
        *place = Duration::from_secs(given);
        Ok(())
    }

    fn refused(&self, key: &'static str, value: String, expected: String) -> SettingsError {
        SettingsError::Value {
            file: self.file.to_owned(),
            key,
            value,
            expected,
        }
    }
}

/// The table of `docs/reference/settings.md`.
#[must_use]
pub fn table() -> String {
    let mut out =
        String::from("| Key | Values | Default | Does | Safety |\n|---|---|---|---|---|\n");
    for row in SETTINGS {
        let _ = writeln!(
            out,
            "| `{}` | {} | `{}` | {} | {} |",
            row.key, row.values, row.default, row.about, row.safety
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        Settings::read(Path::new("systole.toml"), text.as_bytes()).map_err(|e| e.to_string())
    }

    #[test]
    fn the_documented_table_is_the_code() {
        let page = include_str!("../../docs/reference/settings.md");
        assert!(
            page.contains(&table()),
            "docs/reference/settings.md must hold:\n{}",
            table()
        );
    }

    #[test]
    fn every_documented_default_is_the_default_and_every_key_is_documented() {
        let mut text = String::new();
        for row in SETTINGS {
            let _ = writeln!(text, "{} = {}", row.key, row.default);
        }
        assert_eq!(read(&text), Ok(Settings::default()));
        let error = read("nosuchkey = 1").expect_err("an unknown key");
        for row in SETTINGS {
            assert!(error.contains(row.key), "{error}");
        }
        assert_eq!(
            error.matches('`').count(),
            2 * (SETTINGS.len() + 1),
            "{error}"
        );
    }

    #[test]
    fn errors_name_file_and_key() {
        assert_eq!(read(""), Ok(Settings::default()));
        for (text, key) in [
            ("nosuchkey = 1", "nosuchkey"),
            ("script_time_limit_s = 0", "script_time_limit_s"),
            ("script_kill_after_s = 99999", "script_kill_after_s"),
            ("script_kill_after_s = \"soon\"", "script_kill_after_s"),
            ("native_addresses = \"maybe\"", "native_addresses"),
            ("guardian = \"maybe\"", "guardian"),
            ("ipfail = true", "ipfail"),
            ("address_probe = 1", "address_probe"),
            ("address_probe = \"maybe\"", "address_probe"),
            ("stray_addresses = \"maybe\"", "stray_addresses"),
            ("address_guard = \"moves\"", "address_guard"),
            ("address_lease = \"on\"", "address_lease"),
            ("address_lease = 0", "address_lease"),
            ("address_lease = 3601", "address_lease"),
            ("address_lease = -1", "address_lease"),
            ("address_lease = 1.5", "address_lease"),
            ("media_required = \"most\"", "media_required"),
            ("watchdog_required = \"maybe\"", "watchdog_required"),
            ("watchdog_required = 1", "watchdog_required"),
            (
                "accept_without = [\"fencing\"]",
                "must be \"stonith\" or \"serial\"",
            ),
            ("accept_without = \"stonith\"", "accept_without"),
            ("native_addresses = ", "TOML"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.starts_with("systole.toml: "), "{error}");
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn values_are_taken() {
        let settings = read(
            "native_addresses = \"never\"\nscript_time_limit_s = 5\nipfail = \"on\"\naddress_lease = 7\nwatchdog_required = true\naccept_without = [\"serial\", \"stonith\", \"serial\"]\n",
        );
        let expected = Settings {
            native_addresses: NativeAddresses::Never,
            script_time_limit: Duration::from_secs(5),
            ipfail: true,
            address_lease: AddressLease::Seconds(7),
            watchdog_required: true,
            accept_without: vec![Loss::Serial, Loss::Stonith],
            ..Settings::default()
        };
        assert_eq!(settings, Ok(expected));
        for (text, lease) in [("auto", AddressLease::Auto), ("off", AddressLease::Off)] {
            let settings = read(&format!("address_lease = \"{text}\""));
            assert_eq!(settings.map(|it| it.address_lease), Ok(lease));
        }
    }
}
