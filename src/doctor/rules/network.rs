//! Media, ping nodes and service addresses in the networks of the host.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::super::desk::address_and_prefix;
use super::super::finding::Level;
use super::super::node::{Node, numbered};
use super::Raw;
use super::files::{exchange, is_plain};
use super::host::service_cards;
use crate::clients::control::{GroupAnswer, Receives};
use crate::config::types::MediumConfig;
use crate::net::address::covers;

const HA_CF: &str = "/etc/ha.d/ha.cf";
const HARESOURCES: &str = "/etc/ha.d/haresources";

/// UDP ports of the media.
fn ports(node: &Node<'_>) -> Vec<u16> {
    let media = node.config().map(|config| config.media.as_slice());
    let mut ports: Vec<u16> = media
        .unwrap_or_default()
        .iter()
        .filter_map(|medium| match medium {
            MediumConfig::Bcast { port, .. }
            | MediumConfig::Mcast { port, .. }
            | MediumConfig::Ucast { port, .. }
            | MediumConfig::Mcast6 { port, .. }
            | MediumConfig::Ucast6 { port, .. } => Some(*port),
            MediumConfig::Serial { .. } => None,
        })
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// A rule that drops the port whoever sends, and behind no rule that accepts it. Where the daemon receives the
/// other node, no rule is in the way.
pub(super) fn firewall(node: &Node<'_>) -> Vec<Raw> {
    let host = node.desk().host();
    let rules = host.firewall.as_deref().unwrap_or_default();
    let received = host.view.as_ref().is_some_and(|view| {
        let others = view.media.iter();
        others
            .filter_map(|medium| medium.receives)
            .any(|it| it == Receives::Others)
    });
    if received {
        return Vec::new();
    }
    let mut found = Vec::new();
    for port in ports(node) {
        let port = port.to_string();
        for line in rules.lines().map(str::trim) {
            let words: Vec<&str> = line
                .split([' ', '\t', '"'])
                .filter(|word| !word.is_empty())
                .collect();
            let of_port = words.windows(2).any(|pair| {
                matches!(pair, [name, value] if matches!(*name, "dport" | "--dport") && *value == port)
            });
            let udp = words.contains(&"udp");
            let outgoing = words
                .iter()
                .any(|word| matches!(*word, "OUTPUT" | "FORWARD" | "oif" | "oifname"));
            let some_hosts = words.iter().any(|word| {
                matches!(
                    *word,
                    "saddr" | "daddr" | "-s" | "-d" | "--source" | "iif" | "iifname" | "-i"
                )
            });
            if !(of_port && udp) || outgoing || some_hosts {
                continue;
            }
            if words
                .iter()
                .any(|word| matches!(*word, "accept" | "ACCEPT"))
            {
                break;
            }
            if words
                .iter()
                .any(|word| matches!(*word, "drop" | "DROP" | "reject" | "REJECT"))
            {
                let shown: String = line.chars().take(100).collect();
                let text = format!("this host drops the heartbeats of the other node: `{shown}`");
                let fix = if line.contains("--dport") {
                    format!("iptables -I INPUT -p udp --dport {port} -j ACCEPT")
                } else {
                    format!("nft insert rule inet filter input udp dport {port} accept")
                };
                found.push(Raw::new(text).fix(fix));
                break;
            }
        }
    }
    found
}

/// What the running daemon reports of who receives whom.
pub(super) fn hearing(node: &Node<'_>) -> Vec<Raw> {
    let host = node.desk().host();
    let Some(view) = &host.view else {
        return Vec::new();
    };
    let troubles = view.node.iter().flat_map(|it| &it.troubles);
    let mut found: Vec<Raw> = troubles
        .map(|trouble| {
            let (text, fix) = trouble
                .split_once(": ")
                .map_or((trouble.as_str(), None), |(text, fix)| (text, Some(fix)));
            let raw = Raw::new(text);
            match fix {
                Some(fix) => raw.fix(fix),
                None => raw,
            }
        })
        .collect();
    let closed = view.media.iter().filter(|medium| !medium.open);
    found.extend(closed.map(|medium| {
        let why = medium.reason.as_deref().unwrap_or("not opened yet");
        Raw::new(format!("medium {} is not open: {why}", medium.name)).at(HA_CF)
    }));
    found
}

/// Fewer messages with other keys are those of a change of keys, or of a scan.
const STRANGERS: u64 = 10;

/// And so is a smaller part of what is received: a pair sends all the time.
const STRANGERS_PART: u64 = 20;

/// Messages that are not signed with our keys, on a medium on which the other node is received: the keys of the pair
/// are alike, so somebody else sends them.
pub(super) fn strangers(node: &Node<'_>) -> Vec<Raw> {
    let host = node.desk().host();
    let media = host.view.iter().flat_map(|view| &view.media);
    let hears = media.filter(|it| it.receives == Some(Receives::Others));
    let counted = hears.filter_map(|it| Some((it, it.counts?)));
    let many = counted.filter(|(_, counts)| {
        let strange = counts.not_authentic;
        strange >= STRANGERS && strange.saturating_mul(STRANGERS_PART) >= counts.received
    });
    many.map(|(medium, counts)| {
        Raw::new(format!(
            "{} messages on {} are not signed with the keys of this pair, {} are: another pair uses its port or group",
            counts.not_authentic, medium.name, counts.received
        ))
        .at(HA_CF)
    })
    .collect()
}

/// Hardware addresses of a node; `None`: not all are known.
fn macs(node: &Node<'_>) -> Option<Vec<String>> {
    let host = node.desk().host();
    let cards = host.cards.as_ref()?.iter().filter(|card| !card.loopback);
    cards.map(|card| card.mac.clone()).collect()
}

/// A service address that a daemon did not take because a host answered that is neither of the two.
pub(super) fn strange_answer(here: &Node<'_>, there: &Node<'_>) -> Vec<Raw> {
    let (Some(mut known), Some(others)) = (macs(here), macs(there)) else {
        return Vec::new();
    };
    known.extend(others);
    let hosts = [here.desk().host(), there.desk().host()];
    let views = hosts.iter().filter_map(|host| host.view.as_ref());
    let groups = views.flat_map(|view| &view.groups);
    let claims = groups.filter_map(|group| match &group.last {
        Some(GroupAnswer::AddressTaken { claim }) => claim.split_once(" is at "),
        _ => None,
    });
    let strange = claims.filter(|(_, mac)| !known.contains(&mac.to_ascii_lowercase()));
    strange
        .map(|(address, mac)| {
            let text = format!(
                "{mac} answers for {address}, and is no interface of either node: a third host, or a device of the \
                 network that answers for others"
            );
            let fix = format!(
                "find {mac} in the table of the switch; take {address} off that host, or switch ARP suppression or proxy \
                 ARP off for it there and allow it on the ports of both nodes"
            );
            Raw::new(text).at(HARESOURCES).fix(fix)
        })
        .collect()
}

/// ipfail moves groups to the node that reaches more ping nodes: it needs a medium that goes on when the ping node
/// is lost. A node that releases when it is cut off from everything needs none.
pub(super) fn one_medium(node: &Node<'_>) -> Vec<Raw> {
    let media = node.media();
    let Some(config) = node.config() else {
        return Vec::new();
    };
    if media.len() != 1 || config.settings.isolation_release || config.pings.is_empty() {
        return Vec::new();
    }
    if !node.has_ipfail() {
        return Vec::new();
    }
    let medium = media.first().map(String::as_str).unwrap_or_default();
    let line = ["ping", "ping_group", "ping6"].into_iter();
    let line = line.flat_map(|it| node.lines(it)).map(|it| it.0).next();
    let text = format!(
        "{medium} is the only medium: when it is lost, ipfail cannot ask the other node, and both take everything"
    );
    vec![Raw::new(text).at(HA_CF).line(line.unwrap_or(1))]
}

pub(super) fn blind_to_clients(node: &Node<'_>) -> Vec<Raw> {
    let Some(config) = node.config() else {
        return Vec::new();
    };
    let media = node.media();
    let cards = service_cards(node);
    if !config.pings.is_empty()
        || media.is_empty()
        || cards.is_empty()
        || node.desk().net().is_none()
    {
        return Vec::new();
    }
    let apart = cards.iter().all(|card| !media.contains(card));
    // Media that lead nowhere have a check of their own.
    let nowhere = node
        .checked()
        .iter()
        .any(|(check, _)| check.name == "only_itself");
    if !apart || nowhere {
        return Vec::new();
    }
    let text = format!(
        "heartbeats go over {}, service addresses are on {}: when that network is lost, nothing moves",
        media.join(", "),
        cards.join(", ")
    );
    let fix = format!(
        "printf 'ping ROUTER\\nrespawn hacluster /usr/libexec/heartbeat/ipfail\\n' >>{HA_CF}"
    );
    vec![Raw::new(text).at(HA_CF).fix(fix)]
}

pub(super) fn far_ping(node: &Node<'_>) -> Vec<Raw> {
    let (Some(config), Some(network)) = (node.config(), node.desk().net()) else {
        return Vec::new();
    };
    let near = |host: &IpAddr| {
        let mut own = network.assigned.iter();
        own.any(|it| covers(it.address, it.prefix, *host))
    };
    let mut found = Vec::new();
    for ping in &config.pings {
        if ping.hosts.iter().any(near) {
            continue;
        }
        let Some(host) = ping.hosts.first() else {
            continue;
        };
        let lines = node.lines(ping.medium).into_iter();
        let line = lines.map(|it| it.0).next();
        let text = format!(
            "ping node {} ({host}) is outside the networks of this host",
            ping.name
        );
        found.push(Raw::new(text).at(HA_CF).line(line.unwrap_or(1)));
    }
    found
}

/// The settings of systemd-networkd for one interface.
pub(super) fn networkd(node: &Node<'_>) -> Vec<Raw> {
    let processes = node.desk().host().processes.clone().unwrap_or_default();
    if !processes
        .iter()
        .any(|line| line.contains("systemd-networkd"))
    {
        return Vec::new();
    }
    let mut found = Vec::new();
    for card in service_cards(node) {
        let Some((file, text)) = network_file(node, &card) else {
            continue;
        };
        let keeps = numbered(&text).any(|(_, line)| {
            let line: String = line.split_whitespace().collect();
            line.strip_prefix("KeepConfiguration=")
                .is_some_and(|value| matches!(value, "yes" | "static" | "true" | "on" | "1"))
        });
        let managed = !numbered(&text).any(|(_, line)| line.trim() == "Unmanaged=yes");
        if keeps || !managed {
            continue;
        }
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let directory = format!("/etc/systemd/network/{name}.d");
        let text =
            format!("systemd-networkd removes service addresses from {card} when it restarts");
        let raw = Raw::new(text).at(&file);
        found.push(match is_plain(name) {
            true => raw.fix(format!(
                "mkdir -p {directory} && printf '[Network]\\nKeepConfiguration=yes\\n' >{directory}/heartbeat.conf && networkctl reload"
            )),
            false => raw,
        });
    }
    found
}

/// The first file that matches the interface, and its text with drop-ins.
fn network_file(node: &Node<'_>, card: &str) -> Option<(PathBuf, String)> {
    const PLACES: [&str; 3] = [
        "/etc/systemd/network",
        "/run/systemd/network",
        "/usr/lib/systemd/network",
    ];
    let mut files: Vec<PathBuf> = PLACES
        .iter()
        .flat_map(|place| node.desk().files(place, ".network"))
        .collect();
    files.sort_by(|one, two| one.file_name().cmp(&two.file_name()));
    let matches = |text: &str| {
        let mut section = "";
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
            }
            let names = line.split_once('=').filter(|(key, _)| key.trim() == "Name");
            if let (Some((_, names)), "[Match]") = (names, section) {
                return names.split_whitespace().any(|name| fits(name, card));
            }
        }
        false
    };
    let (file, mut text) = files.into_iter().find_map(|file| {
        let text = node.text(&file)?;
        matches(&text).then_some((file, text))
    })?;
    let name = file.file_name()?.to_str()?.to_owned();
    for place in PLACES {
        for drop_in in node.desk().files(&format!("{place}/{name}.d"), ".conf") {
            text.push('\n');
            text.push_str(&node.text(&drop_in).unwrap_or_default());
        }
    }
    Some((file, text))
}

/// `en*` fits `eno1`.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((front, back)) => {
            name.len() >= front.len().saturating_add(back.len())
                && name.starts_with(front)
                && name.ends_with(back)
        }
        None => pattern == name,
    }
}

/// Files in which a host gives itself addresses.
fn host_files(node: &Node<'_>) -> Vec<PathBuf> {
    let desk = node.desk();
    let mut files = vec![PathBuf::from("/etc/network/interfaces")];
    for (directory, ending) in [
        ("/etc/network/interfaces.d", ""),
        ("/etc/netplan", ".yaml"),
        ("/etc/systemd/network", ".network"),
        ("/etc/NetworkManager/system-connections", ".nmconnection"),
    ] {
        files.extend(desk.files(directory, ending));
    }
    let scripts = desk.files("/etc/sysconfig/network-scripts", "").into_iter();
    files.extend(scripts.filter(|file| {
        let name = file.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("ifcfg-"))
    }));
    files
}

/// Whether a line of such a file gives the host this address. A gateway or a name server is none of its own.
fn gives(line: &str, address: IpAddr) -> bool {
    const OTHERS: [&str; 9] = [
        "gateway",
        "dns",
        "nameserver",
        "route",
        "via",
        "ntp",
        "to:",
        "from",
        "network",
    ];
    let line = line
        .split('#')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let key = line.split(['=', ':']).next().unwrap_or_default();
    if OTHERS.iter().any(|word| key.contains(word)) || line.trim_start().starts_with(';') {
        return false;
    }
    let words = line.split([' ', '\t', '=', ',', '"', '\'', '[', ']', ';']);
    words
        .filter(|word| !word.is_empty())
        .any(|word| match address_and_prefix(word) {
            Some((it, _)) => it == address,
            None => word.parse() == Ok(address),
        })
}

pub(super) fn also_static(node: &Node<'_>) -> Vec<Raw> {
    let addresses = node.addresses();
    if addresses.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for file in host_files(node) {
        let Some(text) = node.text(&file) else {
            continue;
        };
        for (number, line) in numbered(&text) {
            let given = addresses.iter().find(|(_, it)| gives(line, it.address));
            let Some((word, address)) = given else {
                continue;
            };
            let text = format!(
                "{} of haresources:{} is an address of this host at every boot: both hosts answer for it",
                address.address, word.line
            );
            let raw = Raw::new(text).at(&file).line(number);
            let plain = file.to_str().is_some_and(is_plain);
            found.push(match plain {
                true => raw.fix(format!("sed -i '{number}s/^/#/' {}", file.display())),
                false => raw,
            });
        }
    }
    found
}

pub(super) fn odd_prefix(node: &Node<'_>) -> Vec<Raw> {
    let Some(network) = node.desk().net() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (word, address) in node.addresses() {
        let raw = |text: String| Raw::new(text).at(HARESOURCES).line(word.line);
        if address.broadcast.map(IpAddr::from) == Some(address.address) {
            found.push(raw(format!(
                "{}: the broadcast address is the address itself",
                word.text
            )));
            continue;
        }
        let Some(prefix) = address.prefix else {
            continue;
        };
        let of_card = |index: u32| {
            let card = network.interfaces.iter().find(|it| it.index == index);
            card.is_some_and(|card| {
                !card.loopback
                    && address
                        .interface
                        .as_ref()
                        .is_none_or(|name| *name == card.name)
            })
        };
        let connected: Vec<u8> = network
            .assigned
            .iter()
            .filter(|it| it.address != address.address && of_card(it.index))
            .filter(|it| it.address.is_ipv4() == address.address.is_ipv4())
            .filter(|it| covers(it.address, it.prefix, address.address))
            .map(|it| it.prefix)
            .collect();
        let Some(right) = connected.first().filter(|_| !connected.contains(&prefix)) else {
            continue;
        };
        let text = format!("{}: the network there has the prefix /{right}", word.text);
        let at = address.address;
        let old = format!("{at}/{prefix}");
        let fix = word.text.contains(&old).then(|| {
            exchange(
                Path::new(HARESOURCES),
                word.line,
                &old,
                &format!("{at}/{right}"),
            )
        });
        let raw = raw(text).level(Level::Warn);
        found.push(match fix.flatten() {
            Some(fix) => raw.fix(fix),
            None => raw,
        });
    }
    found
}
