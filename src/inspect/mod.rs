//! Checks a configuration that was read without errors: would this host run it, and does it say
//! what its author meant? There is one table of checks; each check is a pure function of the files
//! and of the [`HostView`].
//!
//! [`load`] is [`config::load`](crate::config::load::load) followed by this table.
//! `docs/reference/checks.md` contains the table.

mod addresses;
mod clients;
mod fencing;
mod groups;
mod host;
mod lease;
mod media;
mod policy;
mod times;

use std::fmt::Write as _;

pub use addresses::{AddressFacts, of_hosts};
pub use host::{HostView, Network, starts_at_boot};

use crate::config::Config;
use crate::config::load::{self, ConfigFailure, LoadOptions, Loaded, Purpose};
use crate::config::report::{Refusal, Report};
use crate::config::types::{Sources, Written};
use crate::notice::Severity;
use crate::os::paths::Paths;

/// The consequence of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// One INFO line, at every start and in `-t`.
    Informs,
    /// One WARN line of `-t`. The start goes on.
    Warns,
    /// One ERROR line at every start except a restart in place; in `-t` a warning.
    Doubts,
    /// Start, `-r` and `-t` are refused. A restart in place does not check this: it changes nothing
    /// that it finds.
    RefusesStart,
    /// Start, `-r` and `-t` are refused. After a restart in place running groups go on, with an
    /// ERROR line: if it were refused, they would run on unmanaged.
    Refuses,
}

impl Weight {
    const fn word(self) -> &'static str {
        match self {
            Self::Informs => "info",
            Self::Warns => "WARN",
            Self::Doubts => "WARN, and ERROR at a start",
            Self::RefusesStart => "refused; not looked at in a restart in place",
            Self::Refuses => "refused",
        }
    }
}

/// One result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `file:line`, or the file.
    pub place: String,
    /// What is wrong there, and what to do.
    pub text: String,
    /// The command that fixes it, where one is known. `systole doctor` shows it; `-t` does not.
    pub fix: Option<String>,
}

impl Finding {
    fn new(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            text: text.into(),
            fix: None,
        }
    }

    /// Adds the command that fixes it.
    fn fixed_by(mut self, fix: String) -> Self {
        self.fix = Some(fix);
        self
    }
}

/// The input of the checks.
pub struct Subject<'a> {
    /// The content of the files.
    pub config: &'a Config,
    /// The lines that it comes from.
    pub sources: &'a Sources,
    /// The places of all files.
    pub paths: &'a Paths,
    /// The host.
    pub host: &'a dyn HostView,
}

impl Subject<'_> {
    /// The lines of ha.cf with one of these directives, in file order.
    fn lines<'s>(&'s self, directives: &'s [&str]) -> impl Iterator<Item = &'s Written> {
        let lines = self.sources.ha_cf.iter();
        lines.filter(move |line| directives.contains(&line.directive))
    }

    /// Place of the last line of a directive; without one the file.
    fn place_of(&self, directive: &str) -> String {
        let directives = [directive];
        self.lines(&directives).last().map_or_else(
            || self.paths.ha_cf().display().to_string(),
            |line| line.place.clone(),
        )
    }
}

/// One row of the table.
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// What it finds.
    pub finds: &'static str,
    /// The consequence of a finding.
    pub weight: Weight,
    /// The check itself.
    pub look: fn(&Subject<'_>) -> Vec<Finding>,
}

const fn row(
    name: &'static str,
    weight: Weight,
    look: fn(&Subject<'_>) -> Vec<Finding>,
    finds: &'static str,
) -> Check {
    Check {
        name,
        finds,
        weight,
        look,
    }
}

/// Every check, in the order of the files: ha.cf, haresources, our own settings.
#[rustfmt::skip]
pub const CHECKS: &[Check] = &[
    row("no_medium", Weight::Refuses, media::no_medium,
        "no line names a medium between nodes: the other node would never be received"),
    row("only_itself", Weight::Refuses, media::only_itself,
        "every medium reaches this host alone: it is on the loop-back interface, has a ttl of 0, or names an address of this host"),
    row("only_itself_in_a_test", Weight::Warns, media::only_itself_in_a_test,
        "the same in a file whose only `stonith` devices are of the type `null`, which does nothing: only test suites of one host have it"),
    row("slow_serial", Weight::Refuses, media::slow_serial,
        "a serial line that is too slow for a heartbeat in each `keepalive`, and there are only serial lines"),
    row("slow_serial_beside", Weight::Warns, media::slow_serial_beside,
        "a serial line that is too slow for a heartbeat in each `keepalive`, beside another medium"),
    row("more_than_two_nodes", Weight::Refuses, policy::more_than_two_nodes,
        "haresources has groups and ha.cf more than two nodes"),
    row("own_addresses", Weight::RefusesStart, groups::own_addresses,
        "an address of haresources that is a node's own address"),
    row("addresses_in_doubt", Weight::Doubts, groups::addresses_in_doubt,
        "an address of haresources that may be this host's own"),
    row("impossible_node_names", Weight::Warns, media::impossible_node_names,
        "a name in a `node` line that no host can have"),
    row("late_udpport", Weight::Warns, media::late_udpport,
        "a `udpport` line that no medium uses, behind the media for instance"),
    row("ttl_zero", Weight::Warns, media::ttl_zero,
        "a multicast medium with ttl 0"),
    row("interface_down", Weight::Warns, media::interface_down,
        "a medium whose interface is down or not there, or whose device is not there"),
    row("ucast_to_itself", Weight::Warns, media::ucast_to_itself,
        "`ucast` lines that all name this host"),
    row("ping_of_a_node", Weight::Warns, media::ping_of_a_node,
        "a ping node that is this host, the other node or a service address"),
    row("warntime_too_long", Weight::Warns, times::warntime_too_long,
        "a warntime that is not below deadtime"),
    row("failback_legacy", Weight::Warns, times::failback_legacy,
        "`auto_failback` missing or `legacy`"),
    row("watchdog", Weight::Warns, times::watchdog,
        "a watchdog device that is not there"),
    row("unknown_hosts", Weight::Doubts, fencing::unknown_hosts,
        "a `hosts` of a fencing device that names no node of ha.cf"),
    row("not_reached", Weight::Doubts, fencing::not_reached,
        "fencing devices of which none resets the other node: its groups are taken over without a reset"),
    row("watchdog_alone", Weight::Doubts, fencing::watchdog_alone,
        "`fence_by_watchdog` without `watchdog` or `isolation_release`; `watchdog_required` without `watchdog`"),
    row("log_directory", Weight::Warns, times::log_directory,
        "a log file in a directory that does not exist"),
    row("ipfail_without_ping", Weight::Warns, clients::ipfail_without_ping,
        "ipfail or `isolation_release` without a ping node"),
    row("ipfail_with_legacy_failback", Weight::Warns, clients::ipfail_with_legacy_failback,
        "ipfail with `auto_failback legacy`"),
    row("shut_out_by_apiauth", Weight::Warns, clients::shut_out_by_apiauth,
        "a program that `respawn` starts as a user that `apiauth` does not let in"),
    row("no_groups", Weight::Warns, groups::no_groups,
        "haresources without a group"),
    row("owned_by_a_ping_node", Weight::Warns, groups::owned_by_a_ping_node,
        "a line of haresources that begins with a ping node"),
    row("blanks_behind_a_backslash", Weight::Warns, groups::blanks_behind_a_backslash,
        "a line that was meant to continue"),
    row("missing_scripts", Weight::Warns, groups::missing_scripts,
        "a resource whose script is not there or not executable, a word with one colon, a bare IPv6 address, parameters of an [OCF agent](scripts.md#ocf-agents) that are not written `name=value`"),
    row("bad_addresses", Weight::Warns, groups::bad_addresses,
        "an address that is none, has no place on this host, or stands there twice"),
    row("ocf_without_configuration", Weight::Warns, groups::ocf_without_configuration,
        "`OCF::TYPE::INSTANCE` without `/etc/ha.d/conf/OCF/TYPE/INSTANCE`"),
    row("started_at_boot", Weight::Warns, groups::started_at_boot,
        "a resource whose init script or [unit](scripts.md#a-systemd-unit) is started at boot as well"),
    row("monitors", Weight::Refuses, groups::monitors,
        "a `[[monitor]]` of systole.toml for a resource that haresources does not name, names more than once, or that is an address; two for one resource"),
    row("monitor_programs", Weight::Warns, groups::monitor_programs,
        "the program of a `check` of a `[[monitor]]` that is not there or not executable"),
    row("address_lease", Weight::Warns, lease::address_lease,
        "`address_lease` of systole.toml that does not fit the times of ha.cf or `address_guard`; a service address that gets no lease: a script handles it, or the kernel would remove others together with it"),
    row("accepted_in_vain", Weight::Informs, policy::accepted_in_vain,
        "a word in `accept_without` that is not needed"),
];

/// All findings of the table, or of the rows that `wanted` selects, with the row of each.
#[must_use]
pub fn look(
    subject: &Subject<'_>,
    wanted: impl Fn(&Check) -> bool,
) -> Vec<(&'static Check, Finding)> {
    CHECKS
        .iter()
        .filter(|check| wanted(check))
        .flat_map(|check| {
            let found = (check.look)(subject);
            found.into_iter().map(move |finding| (check, finding))
        })
        .collect()
}

/// Reads and checks all files, then applies the rows of the table that `options.purpose` needs.
/// Blocks.
///
/// # Errors
/// [`ConfigFailure`] with every error and the exit code.
pub fn load(
    paths: &Paths,
    host: &dyn HostView,
    options: &LoadOptions,
) -> Result<Loaded, Box<ConfigFailure>> {
    let mut loaded = load::load(paths, host, options)?;
    let checking = options.purpose == Purpose::Check;
    let found = {
        let subject = Subject {
            config: &loaded.config,
            sources: &loaded.sources,
            paths,
            host,
        };
        let resuming = options.purpose == Purpose::Resume;
        look(&subject, |check| match check.weight {
            Weight::Informs | Weight::Refuses => true,
            Weight::Warns => checking,
            Weight::Doubts | Weight::RefusesStart => !resuming,
        })
    };
    let mut report = Report::with(std::mem::take(&mut loaded.config.remarks));
    for (check, Finding { place, text, .. }) in found {
        match check.weight {
            Weight::Informs => report.info(format!("{place}: {text}")),
            Weight::Doubts if !checking => {
                report.say(Severity::Error, format!("{place}: {text}"));
            }
            Weight::Warns | Weight::Doubts => report.warn(format!("{place}: {text}")),
            Weight::Refuses if options.purpose == Purpose::Resume => {
                let text = format!("{place}: {text} (going on with what runs already)");
                report.say(Severity::Error, text);
            }
            Weight::Refuses | Weight::RefusesStart => {
                report.refuse(&place, Refusal::silent(text));
            }
        }
    }
    if report.failed() {
        let log = loaded.config.log;
        return Err(Box::new(ConfigFailure::of(
            report,
            options.purpose,
            false,
            log,
        )));
    }
    loaded.config.remarks = report.into_lines();
    Ok(loaded)
}

/// The table of `docs/reference/checks.md`.
#[must_use]
pub fn table() -> String {
    let mut out = String::from("| Check | Finds | Then |\n|---|---|---|\n");
    for check in CHECKS {
        let _ = writeln!(
            out,
            "| `{}` | {} | {} |",
            check.name,
            check.finds,
            check.weight.word()
        );
    }
    out
}

#[cfg(test)]
mod tests;
