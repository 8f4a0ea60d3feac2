//! Lines of ha.cf about nodes, media and ping nodes.

use std::net::IpAddr;
use std::path::Path;

use super::host::Network;
use super::{Finding, Subject};
use crate::config::environment::PathKind;
use crate::config::types::{MediumConfig, Written};
use crate::net::address;
use crate::protocol::serial::{self, Speed};
use crate::protocol::settings::Autojoin;

/// Longest host name of the kernel, in bytes.
const MAX_HOST_NAME_BYTES: usize = 64;

/// Directives of ping nodes.
const PINGS: [&str; 3] = ["ping", "ping6", "ping_group"];

/// Media on interfaces.
const ON_INTERFACES: [&str; 5] = ["bcast", "mcast", "mcast6", "ucast", "ucast6"];

/// Media whose port comes from `udpport`.
const WITH_UDPPORT: [&str; 3] = ["bcast", "ucast", "ucast6"];

/// Ping nodes are no medium: they only send back what this node says. A node without another needs none.
pub(super) fn no_medium(subject: &Subject<'_>) -> Vec<Finding> {
    if !subject.config.media.is_empty() || is_alone(subject) {
        return Vec::new();
    }
    let place = subject.lines(&PINGS).next();
    let place = place.map_or_else(|| subject.place_of("bcast"), |line| line.place.clone());
    let text = "no line names a medium between the nodes: this node would hold the other for dead \
                and take everything. Add a bcast, ucast, mcast or serial line";
    vec![Finding::new(place, text)]
}

/// A test suite of one host, as BasicSanityCheck writes it: the device `null` does nothing and says that it is done. No
/// pair has it.
fn is_of_a_test(subject: &Subject<'_>) -> bool {
    let devices = &subject.config.fence_devices;
    !devices.is_empty() && devices.iter().all(|device| device.kind == "null")
}

/// What a medium sends reaches this host alone. The other node is never received, as without a medium, or never receives this
/// one.
pub(super) fn only_itself(subject: &Subject<'_>) -> Vec<Finding> {
    if is_of_a_test(subject) {
        return Vec::new();
    }
    reaches_itself(subject)
}

/// The same in the file of a test suite.
pub(super) fn only_itself_in_a_test(subject: &Subject<'_>) -> Vec<Finding> {
    if is_of_a_test(subject) {
        reaches_itself(subject)
    } else {
        Vec::new()
    }
}

fn reaches_itself(subject: &Subject<'_>) -> Vec<Finding> {
    let network = subject.host.network(&[]).unwrap_or_default();
    let media = &subject.config.media;
    if media.is_empty() || is_alone(subject) {
        return Vec::new();
    }
    let ends: Option<Vec<End>> = media.iter().map(|it| End::of(it, &network)).collect();
    let Some(ends) = ends else {
        return Vec::new();
    };
    let place = subject.lines(&ON_INTERFACES).next();
    let place = place.map_or_else(|| subject.place_of("bcast"), |line| line.place.clone());
    let what = if ends.iter().all(|end| *end == End::Loopback) {
        "every medium is on the loop-back interface, where this node receives only itself: it \
         would hold the other for dead and take everything. Name an interface that leads to the other node"
    } else {
        "every medium reaches this host alone (an interface that loops back, a ttl of 0, an address \
         of this host): one node would hold the other for dead and take everything. Name an interface and \
         an address that lead to the other node"
    };
    vec![Finding::new(place, what)]
}

/// Why what is sent on a medium stays on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Loopback,
    NoHops,
    OwnAddress,
}

impl End {
    /// `None`: it may reach another host.
    fn of(medium: &MediumConfig, network: &Network) -> Option<Self> {
        let name = medium.link_name();
        let mut known = network.interfaces.iter();
        if known.any(|interface| interface.loopback && interface.name == name) {
            return Some(Self::Loopback);
        }
        match medium {
            MediumConfig::Mcast { ttl: 0, .. } | MediumConfig::Mcast6 { hops: 0, .. } => {
                Some(Self::NoHops)
            }
            _ if medium.peer().is_some_and(|peer| network.has(peer)) => Some(Self::OwnAddress),
            _ => None,
        }
    }
}

/// A node without another.
fn is_alone(subject: &Subject<'_>) -> bool {
    subject.config.nodes.len() == 1 && subject.config.autojoin == Autojoin::None
}

/// There are only serial lines, and one is too slow: nodes would be held for dead that live.
pub(super) fn slow_serial(subject: &Subject<'_>) -> Vec<Finding> {
    if only_serial(subject) {
        too_slow(subject)
    } else {
        Vec::new()
    }
}

/// Another medium carries every heartbeat. The line leaves out what is too old.
pub(super) fn slow_serial_beside(subject: &Subject<'_>) -> Vec<Finding> {
    if only_serial(subject) {
        Vec::new()
    } else {
        too_slow(subject)
    }
}

fn only_serial(subject: &Subject<'_>) -> bool {
    let mut media = subject.config.media.iter();
    media.all(|medium| matches!(medium, MediumConfig::Serial { .. }))
}

/// Each direction of a line carries the heartbeats of one node.
fn too_slow(subject: &Subject<'_>) -> Vec<Finding> {
    let keepalive = subject.config.timing.keepalive;
    let bytes = serial::status_bytes(subject.config.local.as_str());
    let slow = subject.config.media.iter().find_map(|medium| match medium {
        MediumConfig::Serial { baud, .. } => {
            let speed = Speed::new(*baud);
            (speed.time_for(bytes) > keepalive).then_some(speed)
        }
        _ => None,
    });
    let finding = |speed: Speed| {
        let takes = speed.time_for(bytes).as_millis();
        let text = format!(
            "serial: a heartbeat has {bytes} bytes of 10 bits and takes {takes} ms at {} baud, and \
             keepalive is {} ms: the line cannot carry each. Write a longer keepalive or a higher baud",
            speed.baud(),
            keepalive.as_millis()
        );
        Finding::new(subject.place_of("serial"), text)
    };
    slow.map(finding).into_iter().collect()
}

pub(super) fn impossible_node_names(subject: &Subject<'_>) -> Vec<Finding> {
    let lines = subject.lines(&["node"]);
    let words = lines.flat_map(|line| {
        let words = line.value.split([' ', '\t', ',']);
        words
            .filter(|word| !word.is_empty())
            .map(move |word| (line, word))
    });
    words
        .filter_map(|(line, word)| {
            let why = impossible(word)?;
            let text = format!("node {word}: {why}; a node's name is what `uname -n` says on it");
            Some(Finding::new(&line.place, text))
        })
        .collect()
}

/// Why no host can have this name.
fn impossible(name: &str) -> Option<&'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.len() > MAX_HOST_NAME_BYTES {
        Some("a host name has 64 bytes at most")
    } else if name.parse::<IpAddr>().is_ok() {
        Some("this is an address")
    } else if !name.chars().all(plain) || name.starts_with(['-', '.']) {
        Some("a host name has letters, digits, - and .")
    } else {
        None
    }
}

/// `udpport` applies to the lines after it. A line without such a medium after it has no effect,
/// unless the port is used anyway.
pub(super) fn late_udpport(subject: &Subject<'_>) -> Vec<Finding> {
    let lines = &subject.sources.ha_cf;
    let takes_port = |line: &&Written| WITH_UDPPORT.contains(&line.directive);
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let (before, after) = lines.split_at(index);
        if line.directive != "udpport" || after.iter().any(|line| takes_port(&line)) {
            continue;
        }
        let digits = line.value.split(|c: char| !c.is_ascii_digit()).next();
        let Some(port) = digits.and_then(|digits| digits.parse().ok()) else {
            continue;
        };
        let used: Vec<u16> = ports(subject).collect();
        if used.contains(&port) {
            continue;
        }
        let first = before.iter().find(takes_port);
        let text = match (before.iter().rfind(takes_port), used.first()) {
            (Some(medium), Some(used)) => format!(
                "udpport {port} comes after the {} line ({}), which uses port {used}: move it up",
                medium.directive, medium.place
            ),
            _ => format!("udpport {port}: no bcast, ucast or ucast6 line uses it"),
        };
        let finding = Finding::new(&line.place, text);
        found.push(match first.and_then(|first| moved_up(line, first)) {
            Some(fix) => finding.fixed_by(fix),
            None => finding,
        });
    }
    found
}

/// The command that moves `line` in front of `first`.
fn moved_up(line: &Written, first: &Written) -> Option<String> {
    let (file, number) = line.place.rsplit_once(':')?;
    let (_, before) = first.place.rsplit_once(':')?;
    let Written {
        directive, value, ..
    } = line;
    Some(format!(
        "sed -i -e '{number}d' -e '{before}i {directive} {value}' {file}"
    ))
}

fn ports(subject: &Subject<'_>) -> impl Iterator<Item = u16> {
    subject
        .config
        .media
        .iter()
        .filter_map(|medium| match medium {
            MediumConfig::Bcast { port, .. }
            | MediumConfig::Mcast { port, .. }
            | MediumConfig::Mcast6 { port, .. }
            | MediumConfig::Ucast { port, .. }
            | MediumConfig::Ucast6 { port, .. } => Some(*port),
            MediumConfig::Serial { .. } => None,
        })
}

pub(super) fn ttl_zero(subject: &Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for line in subject.lines(&["mcast", "mcast6"]) {
        let words: Vec<&str> = line.value.split_ascii_whitespace().collect();
        let zero = subject.config.media.iter().any(|medium| {
            let (interface, group) = match medium {
                MediumConfig::Mcast {
                    interface,
                    group,
                    ttl: 0,
                    ..
                } => (interface, IpAddr::from(*group)),
                MediumConfig::Mcast6 {
                    interface,
                    group,
                    hops: 0,
                    ..
                } => (interface, IpAddr::from(*group)),
                _ => return false,
            };
            words.first() == Some(&interface.as_str())
                && words.get(1).and_then(|word| word.parse().ok()) == Some(group)
        });
        if zero {
            let text = format!(
                "{}: a ttl of 0 never leaves this host: write 1",
                line.directive
            );
            let finding = Finding::new(&line.place, text);
            found.push(match line.place.rsplit_once(':') {
                Some((file, number)) => {
                    // The fourth word behind the directive.
                    let words = "[[:space:]]*\\([^[:space:]]\\+[[:space:]]\\+\\)\\{4\\}";
                    finding.fixed_by(format!("sed -i '{number}s/^\\({words}\\)0/\\11/' {file}"))
                }
                None => finding,
            });
        }
    }
    found
}

/// Files that list the addresses of both nodes are usual: it is a mistake only if every target in
/// the file is this host.
pub(super) fn ucast_to_itself(subject: &Subject<'_>) -> Vec<Finding> {
    let targets: Vec<(&str, IpAddr)> = subject.config.media.iter().filter_map(ucast).collect();
    let Some(network) = subject.host.network(&[]) else {
        return Vec::new();
    };
    if targets.is_empty() || !targets.iter().all(|(_, peer)| network.has(*peer)) {
        return Vec::new();
    }
    subject
        .lines(&["ucast", "ucast6"])
        .map(|line| {
            let text = format!(
                "{} {}: this address is on this host: ucast wants an address of the other node",
                line.directive, line.value
            );
            Finding::new(&line.place, text)
        })
        .collect()
}

fn ucast(medium: &MediumConfig) -> Option<(&str, IpAddr)> {
    match medium {
        MediumConfig::Ucast {
            interface, peer, ..
        } => Some((interface, IpAddr::from(*peer))),
        MediumConfig::Ucast6 {
            interface, peer, ..
        } => Some((interface, IpAddr::from(*peer))),
        _ => None,
    }
}

pub(super) fn interface_down(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(network) = subject.host.network(&[]) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for line in subject.lines(&ON_INTERFACES) {
        let words = line.value.split([' ', '\t', ',']);
        let words = words.filter(|word| !word.is_empty());
        // Every word of a bcast line is an interface; of the other lines only the first.
        let count = if line.directive == "bcast" {
            usize::MAX
        } else {
            1
        };
        for name in words.take(count) {
            let device = name.split(':').next().unwrap_or(name);
            let text = match network.interfaces.iter().find(|it| it.name == device) {
                Some(interface) if interface.up => continue,
                Some(_) => format!("{} {name}: the interface is down", line.directive),
                None => format!(
                    "{} {name}: no such interface (there are {})",
                    line.directive,
                    network.names()
                ),
            };
            found.push(Finding::new(&line.place, text));
        }
    }
    for line in subject.lines(&["serial"]) {
        let words = line.value.split([' ', '\t', ',']);
        let missing = |word: &&str| {
            word.starts_with('/') && subject.host.path_kind(Path::new(word)) == PathKind::Missing
        };
        for device in words.filter(missing) {
            let text = format!("serial {device}: no such device");
            found.push(Finding::new(&line.place, text));
        }
    }
    found
}

/// A ping node shows whether the network works: the other node, this host or a service address do
/// not show that.
pub(super) fn ping_of_a_node(subject: &Subject<'_>) -> Vec<Finding> {
    let network = subject.host.network(&[]).unwrap_or_default();
    let targets: Vec<IpAddr> = subject
        .config
        .media
        .iter()
        .filter_map(|medium| ucast(medium).map(|(_, peer)| peer))
        .collect();
    let words = subject.config.groups.iter().flat_map(|g| &g.resources);
    let services: Vec<IpAddr> = words
        .filter_map(|word| address::parse_word(word).ok().flatten())
        .map(|address| address.address)
        .collect();
    let mut found = Vec::new();
    for ping in &subject.config.pings {
        for host in &ping.hosts {
            let what = if services.contains(host) {
                "a service address of haresources"
            } else if network.has(*host) {
                "on this host"
            } else if targets.contains(host) {
                "an address of the other node"
            } else {
                continue;
            };
            let text = format!(
                "{} {}: {host} is {what}; it does not tell whether the network is there: take a \
                 router",
                ping.medium, ping.name
            );
            let place = ping_line(subject, ping.medium, ping.name.as_str());
            found.push(Finding::new(place, text));
        }
    }
    found
}

fn ping_line(subject: &Subject<'_>, directive: &str, name: &str) -> String {
    let directives = [directive];
    let mut lines = subject.lines(&directives);
    let line = lines.find(|line| {
        let mut words = line.value.split([' ', '\t', ',']);
        words.any(|word| word.eq_ignore_ascii_case(name))
    });
    line.map_or_else(|| subject.place_of(directive), |line| line.place.clone())
}
