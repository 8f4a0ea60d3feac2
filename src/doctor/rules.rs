//! The table of rules, and how it is applied. Each rule is pure.

mod files;
mod host;
mod network;
mod pair;
mod services;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::finding::{Finding, Level};
use super::node::Node;
use crate::notice::Severity;

/// What a rule has found.
#[derive(Debug, Clone, Default)]
pub(super) struct Raw {
    file: Option<PathBuf>,
    line: Option<usize>,
    text: String,
    /// `None`: what the row of the rule says.
    fix: Option<String>,
    /// `None`: what the row of the rule says.
    level: Option<Level>,
    /// It is about the other node's file.
    other: bool,
}

impl Raw {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    pub(super) fn at(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    pub(super) fn line(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    pub(super) fn level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    pub(super) fn of_the_other(mut self) -> Self {
        self.other = true;
        self
    }
}

/// Where a rule gets its findings from.
#[derive(Clone, Copy)]
enum Look {
    /// The check of a start with this name (`docs/reference/checks.md`).
    Check(&'static str),
    /// Lines of such a check, or of reading the files, that contain one of these texts.
    Says(&'static [&'static str]),
    /// All other ERROR lines of reading the files.
    OtherErrors,
    /// All other WARN lines of reading the files.
    OtherWarnings,
    /// One node.
    Node(fn(&Node<'_>) -> Vec<Raw>),
    /// Two nodes; the first is this one.
    Pair(fn(&Node<'_>, &Node<'_>) -> Vec<Raw>),
}

/// A row of the table.
pub struct Rule {
    /// `D` and two digits.
    pub id: &'static str,
    /// Of its findings, where they do not say otherwise.
    pub level: Level,
    /// What it finds.
    pub finds: &'static str,
    /// What fixes it, where a finding knows no command.
    pub fix: &'static str,
    looks: &'static [Look],
}

const fn rule(
    id: &'static str,
    level: Level,
    looks: &'static [Look],
    finds: &'static str,
    fix: &'static str,
) -> Rule {
    Rule {
        id,
        level,
        finds,
        fix,
        looks,
    }
}

use Level::{Error, Info, Warn};
use Look::{Check, Says};

/// Every rule.
#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    rule("D01", Error, &[Says(&["Bad permissions on keyfile", "group or others may write it", "neither root nor us"])],
        "authkeys that others than root may read or write", "chmod 600 /etc/ha.d/authkeys"),
    rule("D02", Error, &[Look::Pair(pair::keys_differ)],
        "keys by which one node does not understand the other", "copy authkeys to the other node, then heartbeat -r on both"),
    rule("D03", Warn, &[Look::Node(network::strangers)],
        "another pair on the same port or multicast group, as the running daemon counts", "write another udpport above the media lines, or another mcast group, on both nodes of one pair"),
    rule("D04", Warn, &[Look::Node(files::no_secret)],
        "`auth crc`: whoever reaches the network can speak for a node", "write a sha1 key into authkeys on both nodes"),
    rule("D05", Error, &[Says(&["not in configuration!"]), Check("impossible_node_names")],
        "no node line names this host, or one names what no host can be called", "write what `uname -n` says on each node"),
    rule("D06", Error, &[Look::Pair(pair::both_own)],
        "each node's own haresources makes it the owner of the same group", "use one file on both nodes"),
    rule("D07", Error, &[Look::Pair(pair::haresources_differ)],
        "haresources of the nodes differ in more than comments", "use one file on both nodes"),
    rule("D08", Error, &[Says(&["already is the first resource of a line"])],
        "two lines of haresources with the same first resource: the second is not used", "make one line of both"),
    rule("D09", Error, &[Says(&["the first word must be a configured node"]), Check("owned_by_a_ping_node")],
        "a line of haresources that begins with no node", "begin the line with a node of ha.cf"),
    rule("D10", Error, &[Check("missing_scripts"), Check("ocf_without_configuration")],
        "a resource whose script is not there, not executable, or misspelt", "install the script on both nodes"),
    rule("D11", Warn, &[Look::Pair(pair::scripts_differ)],
        "a resource script that differs between the nodes", "use one script on both nodes"),
    rule("D12", Error, &[Look::Node(network::firewall)],
        "a firewall rule of this host that drops heartbeats", "accept the port of the heartbeats in front of that rule"),
    rule("D13", Error, &[Look::Node(network::hearing)],
        "a node or a medium that is not received, as the running daemon reports", "check cable, firewall, and that both ha.cf have this medium alike"),
    rule("D14", Warn, &[Check("late_udpport")],
        "`udpport` behind the media that should use it", "move the line up"),
    rule("D15", Warn, &[Look::Node(network::one_medium), Check("ipfail_without_ping")],
        "ipfail that can never act: one medium only, or no ping node", "add a second medium, and a ping node on the service network"),
    rule("D16", Warn, &[Look::Node(network::blind_to_clients)],
        "heartbeats on other interfaces than the service addresses, and no ping node: a loss of the service network moves nothing", "add a ping node and ipfail"),
    rule("D17", Error, &[Check("ping_of_a_node"), Look::Pair(pair::ping_of_the_other)],
        "a ping node that is a node or a service address", "name a router or a switch"),
    rule("D18", Info, &[Look::Node(network::far_ping)],
        "a ping node outside the networks of this host: it may fall silent without a fault here", "name the nearest router or switch"),
    rule("D19", Warn, &[Look::Node(services::no_status)],
        "a resource script without `status`: each start begins what runs already", "add `status)`, which prints `running` or `stopped`"),
    rule("D20", Error, &[Check("started_at_boot"), Look::Node(services::enabled)],
        "a managed service that is started at boot as well, on the standby too", "disable it at boot"),
    rule("D21", Warn, &[Look::Node(services::restarts_itself)],
        "a managed service that its unit starts again by itself (`Restart=always`)", "Restart=no in a drop-in"),
    rule("D22", Error, &[Look::Node(services::mounted_at_boot)],
        "a managed file system that fstab mounts at boot", "noauto in fstab"),
    rule("D23", Error, &[Look::Node(network::networkd)],
        "systemd-networkd removes the service address when it restarts", "KeepConfiguration=yes"),
    rule("D24", Warn, &[Look::Node(host::needrestart)],
        "needrestart restarts heartbeat or the network by itself after an upgrade", "exclude both"),
    rule("D25", Error, &[Says(&["IP interface [", "mcast device [", "Nonexistent serial port", "No such device", "has no IPv4", "no such interface"]), Check("interface_down")],
        "a medium on an interface or device that is not there, or is down", "name an interface that is up"),
    rule("D26", Error, &[Check("own_addresses"), Check("addresses_in_doubt"), Look::Node(network::also_static)],
        "a service address that a host has on its own account", "take it out of the configuration of the host"),
    rule("D27", Warn, &[Look::Node(network::odd_prefix)],
        "a prefix or broadcast address that does not fit the network of the service address", "write the prefix of the network"),
    rule("D28", Error, &[Check("bad_addresses")],
        "a service address that is none, has no place on this host, or stands there twice", "name an interface and a prefix: ADDRESS/24/eth0"),
    rule("D29", Error, &[Look::Node(host::proxy_arp)],
        "this host answers for other hosts' addresses (proxy ARP) where service addresses are", "switch proxy_arp off"),
    rule("D30", Warn, &[Look::Pair(network::strange_answer)],
        "a service address for which neither node answers, but something else in the network: a third host, EVPN or OVN, port security", "find that hardware address in the table of the switch"),
    rule("D31", Warn, &[Look::Node(host::late_heartbeats)],
        "heartbeats came nearly as late as deadtime allows, as the log says", "write a longer deadtime on both nodes"),
    rule("D32", Warn, &[Check("warntime_too_long"), Look::Node(files::short_initdead), Look::Pair(pair::times_differ), Says(&["Initial dead time ["])],
        "times that do not fit each other, here or between the nodes", "write the same times on both nodes: warntime < deadtime, initdead twice deadtime"),
    rule("D34", Warn, &[Look::Node(files::carriage_returns), Says(&["byte order mark"])],
        "files with CR LF line ends, or with a byte order mark", "save them as plain text"),
    rule("D35", Error, &[Says(&["pacemaker client child"]), Look::Node(files::cluster_manager)],
        "`crm` or `pacemaker` is on: haresources is not used", "remove the line"),
    rule("D36", Warn, &[Check("failback_legacy"), Check("ipfail_with_legacy_failback"), Says(&["nice_failback"])],
        "auto_failback is missing, legacy, or nice_failback", "write auto_failback on or off"),
    rule("D37", Error, &[Look::Pair(pair::same_uuid)],
        "both nodes have the same hb_uuid, as after copying a machine", "remove it on one of them and restart that node"),
    rule("D38", Error, &[Look::Node(host::getty)],
        "a login prompt on the serial line of the heartbeats", "systemctl mask the getty"),
    rule("D39", Error, &[Says(&["specified for client child", "is not executable (", "not full pathname"])],
        "a respawn line with a program or a user that is not there", "name the program where it is, or remove the line"),
    rule("D40", Warn, &[Check("log_directory"), Look::Node(files::logd), Look::Node(host::no_room)],
        "log lines that go nowhere", "name a directory that is there and has room"),
    rule("D41", Warn, &[Look::Node(services::drbd)],
        "DRBD relies on dopd, which is not there: a takeover may be of outdated data", "remove the handler, and give DRBD and heartbeat separate networks"),
    rule("D42", Info, &[Look::Node(services::before_its_address)],
        "a service that is started before the address of its group", "put the address first, or set net.ipv4.ip_nonlocal_bind"),
    rule("D43", Warn, &[Look::Node(host::not_in_force)],
        "what runs is not what is on disk", "heartbeat -r"),
    rule("D44", Error, &[Look::OtherErrors],
        "any other line for which a start is refused", "correct the line"),
    rule("D45", Warn, &[Look::OtherWarnings],
        "any other line of which reading the files warns", "correct the line"),
    rule("D46", Error, &[Check("no_medium"), Check("only_itself")],
        "no medium leads to the other node", "add a bcast, ucast, mcast or serial line"),
    rule("D47", Error, &[Check("slow_serial"), Check("slow_serial_beside")],
        "a serial line that is too slow for the heartbeats", "write a higher baud or a longer keepalive"),
    rule("D48", Error, &[Check("more_than_two_nodes")],
        "resource groups and more than two nodes", "leave two nodes in the node lines"),
    rule("D49", Warn, &[Check("ttl_zero")],
        "multicast heartbeats that never leave this host", "write a ttl of 1"),
    rule("D50", Error, &[Check("ucast_to_itself")],
        "ucast lines that all name this host", "write the address of the other node"),
    rule("D51", Warn, &[Check("watchdog")],
        "a watchdog device that is not there", "load its driver, or remove the line"),
    rule("D52", Warn, &[Check("shut_out_by_apiauth")],
        "a respawned program that apiauth does not let in", "name its user in the apiauth line"),
    rule("D53", Warn, &[Check("no_groups")],
        "haresources without a group", "write a line: NODE ADDRESS SERVICE"),
    rule("D54", Warn, &[Check("blanks_behind_a_backslash"), Says(&["blanks behind the backslash"])],
        "a line of haresources that was meant to continue", "remove the blanks behind the backslash"),
    rule("D55", Error, &[Look::Pair(pair::media_differ)],
        "the nodes have no medium in common: ports, groups or kinds differ", "write the same media on both nodes"),
    rule("D56", Error, &[Check("unknown_hosts"), Check("not_reached")],
        "a fencing device that names no node, or the other node has none: its groups are taken over without a reset", "write the names of the node lines in hosts"),
    rule("D57", Error, &[Check("watchdog_alone")],
        "a watchdog that is counted on, and does not guard this node", "write a watchdog line, and isolation_release = \"on\""),
    rule("D58", Warn, &[Check("address_lease")],
        "a lease of service addresses that was asked for and is not given", "write address_lease = \"auto\" and a deadtime of five keepalive or more"),
];

/// Lines of reading the files that another rule tells better, or that only lead up to one.
const NO_NEWS: &[&str] = &[
    "lines end in CR LF",
    "haresources exists.",
    "Heartbeat not started",
    "heartbeat not started",
    "Authentication configuration error",
];

/// All findings, the worst first.
pub(super) fn findings(here: &Node<'_>, there: Option<&Node<'_>>) -> Vec<Finding> {
    let mut found = Vec::new();
    for rule in RULES {
        let mut of_node = |node: &Node<'_>, other: Option<&Node<'_>>| {
            for look in rule.looks {
                for raw in raws(rule, *look, node, other) {
                    found.push(finding(rule, raw, node, other));
                }
            }
        };
        of_node(here, there);
        if let Some(there) = there {
            of_node(there, None);
        }
    }
    found.sort_by_key(|finding: &Finding| std::cmp::Reverse(finding.severity));
    let mut kept: Vec<Finding> = Vec::new();
    for finding in found {
        // One cause may have several lines of the legacy program.
        let told = |it: &Finding| {
            (&it.id, &it.file, it.line) == (&finding.id, &finding.file, finding.line)
                && (finding.line.is_some() || it.text == finding.text)
        };
        if !kept.iter().any(told) {
            kept.push(finding);
        }
    }
    kept
}

fn finding(rule: &Rule, raw: Raw, node: &Node<'_>, other: Option<&Node<'_>>) -> Finding {
    let label = match other {
        Some(other) if raw.other => other.label(),
        _ => node.label(),
    };
    let file = raw.file.map(|file| format!("{label}{}", file.display()));
    let text = match &file {
        None => format!(
            "{label}{}{}",
            if label.is_empty() { "" } else { " " },
            raw.text
        ),
        Some(_) => raw.text,
    };
    Finding {
        id: rule.id.to_owned(),
        severity: raw.level.unwrap_or(rule.level),
        file,
        line: raw.line.and_then(|line| u32::try_from(line).ok()),
        text,
        fix: raw.fix.unwrap_or_else(|| rule.fix.to_owned()),
    }
}

/// The findings of one look. `other`: the second node, when `node` is the first.
fn raws(rule: &Rule, look: Look, node: &Node<'_>, other: Option<&Node<'_>>) -> Vec<Raw> {
    match look {
        Look::Node(look) => look(node),
        Look::Pair(look) => other.map_or_else(Vec::new, |other| look(node, other)),
        Look::Check(name) => {
            let checked = node.checked().iter();
            let checked = checked.filter(|(check, _)| check.name == name);
            let found = checked.map(|(_, finding)| {
                let raw = placed(&finding.place, finding.text.clone());
                match &finding.fix {
                    Some(fix) => raw.fix(fix),
                    None => files::fixed(rule.id, node, raw),
                }
            });
            found.collect()
        }
        Look::Says(texts) => {
            let lines = node.complaints().iter();
            let lines = lines.map(|line| (line.severity(), line.to_string()));
            lines
                .filter(|(_, line)| texts.iter().any(|text| line.contains(text)))
                .map(|(severity, line)| complaint(rule, node, severity, &line))
                .collect()
        }
        Look::OtherErrors => others(rule, node, |severity| severity >= Severity::Error),
        Look::OtherWarnings => others(rule, node, |severity| severity == Severity::Warn),
    }
}

/// Lines of reading the files that no rule names.
fn others(rule: &Rule, node: &Node<'_>, wanted: fn(Severity) -> bool) -> Vec<Raw> {
    let named = RULES.iter().flat_map(|rule| rule.looks);
    let named: Vec<&str> = named
        .filter_map(|look| match look {
            Look::Says(texts) => Some(texts.iter().copied()),
            _ => None,
        })
        .flatten()
        .collect();
    let lines = node.complaints().iter();
    let lines = lines.map(|line| (line.severity(), line.to_string()));
    let lines: Vec<(Severity, String)> = lines
        .filter(|(_, line)| !NO_NEWS.iter().any(|text| line.contains(text)))
        .collect();
    let place = |line: &str| {
        let raw = split(node, line);
        raw.file.map(|file| (file, raw.line))
    };
    let is_named = |line: &str| named.iter().any(|text| line.contains(text));
    // What an earlier line of the same place has told.
    let told = lines.iter().filter(|(_, line)| is_named(line));
    let told: Vec<_> = told.map(|(_, line)| place(line)).collect();
    // A line without a place follows one with a place.
    let leads = |(severity, line): &(Severity, String)| {
        wanted(*severity) && (is_named(line) || place(line).is_some())
    };
    let led = lines.iter().any(leads);
    let lines = lines.iter().filter(|(severity, line)| {
        let place = place(line);
        let new = place
            .as_ref()
            .map_or(!led, |it| !told.contains(&Some(it.clone())));
        wanted(*severity) && !is_named(line) && new
    });
    lines
        .map(|(severity, line)| complaint(rule, node, *severity, line))
        .collect()
}

fn complaint(rule: &Rule, node: &Node<'_>, severity: Severity, line: &str) -> Raw {
    let mut raw = split(node, line);
    raw.level = if severity < Severity::Error {
        Some(rule.level.min(Level::Warn))
    } else {
        // For such a line the start is refused.
        node.config().is_none().then_some(Level::Error)
    };
    files::fixed(rule.id, node, raw)
}

/// A line of reading the files: its place, and the rest. `PLACE: TEXT`, `TEXT (PLACE: REASON)` or only text.
fn split(node: &Node<'_>, line: &str) -> Raw {
    let home = format!("{}/", node.paths().ha_dir.display());
    let whole = |text: &str| Raw::new(text.trim_end_matches(')'));
    // Some legacy texts contain the path with two slashes.
    let at = line.match_indices(&home).map(|(at, _)| at).find(|at| {
        line.get(at + home.len()..)
            .is_some_and(|it| !it.starts_with('/'))
    });
    let Some(place) = at.and_then(|at| line.get(at..)) else {
        return Raw::new(line);
    };
    let end = place.find([' ', ')', ']']).unwrap_or(place.len());
    let (place, rest) = place.split_at(end);
    let place = place.trim_end_matches(':');
    let before = at.and_then(|at| line.get(..at)).unwrap_or_default();
    let (text, reason) = (before.trim_end_matches(['(', ' ', '[']), rest.trim());
    let text = match (text.is_empty(), reason.trim_matches([')', ']'])) {
        (true, _) => reason.to_owned(),
        (false, "") => text.to_owned(),
        (false, _) => format!("{text}: {reason}"),
    };
    let raw = whole(&text);
    match place.rsplit_once(':') {
        Some((file, number)) => match number.parse() {
            Ok(number) => raw.at(file).line(number),
            Err(_) => raw.at(place),
        },
        None => raw.at(place),
    }
}

/// A finding of a check at `FILE:LINE` or `FILE`.
fn placed(place: &str, text: String) -> Raw {
    let raw = Raw::new(text);
    let parts = place.rsplit_once(':');
    match parts.and_then(|(file, line)| Some((file, line.parse().ok()?))) {
        Some((file, line)) => raw.at(file).line(line),
        None => raw.at(Path::new(place)),
    }
}

/// The table of `docs/reference/doctor.md`.
#[must_use]
pub fn table() -> String {
    let mut out = String::from("| Rule | Level | Finds | What fixes it |\n|---|---|---|---|\n");
    for rule in RULES {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            rule.id, rule.level, rule.finds, rule.fix
        );
    }
    out
}
