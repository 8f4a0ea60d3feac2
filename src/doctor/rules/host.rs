//! What the machine does that a pair must know of.

use std::path::{Path, PathBuf};

use super::super::finding::Level;
use super::super::node::{Node, numbered};
use super::Raw;
use crate::config::types::MediumConfig;
use crate::net::placement;

/// How much of the end of a log is read, in bytes.
const MAX_LOG: usize = 512 * 1024;

/// Less free space than this, in bytes, is none.
const ROOM: u64 = 1024 * 1024;

/// `restart = 'a'` restarts every program whose libraries were upgraded.
pub(super) fn needrestart(node: &Node<'_>) -> Vec<Raw> {
    let mut files = vec![PathBuf::from("/etc/needrestart/needrestart.conf")];
    files.extend(node.desk().files("/etc/needrestart/conf.d", ".conf"));
    let mut restarts = None;
    let mut excluded = false;
    for file in files {
        let text = node.text(&file).unwrap_or_default();
        for (number, line) in numbered(&text) {
            let line: String = line
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .collect();
            if line.starts_with("$nrconf{restart}=") {
                let by_itself = line.contains("'a'") || line.contains("\"a\"");
                restarts = by_itself.then(|| (file.clone(), number));
            }
            excluded |= line.contains("override_rc") && line.contains("heartbeat");
        }
    }
    let Some((file, line)) = restarts.filter(|_| !excluded) else {
        return Vec::new();
    };
    let text = "needrestart restarts heartbeat and the network without asking: an upgrade of a library moves the groups";
    let fix = "printf '%s\\n' '$nrconf{override_rc}{qr(^(heartbeat|systemd-networkd))} = 0;' >/etc/needrestart/conf.d/heartbeat.conf";
    vec![Raw::new(text).at(file).line(line).fix(fix)]
}

/// The interfaces of the service addresses.
pub(super) fn service_cards(node: &Node<'_>) -> Vec<String> {
    let addresses = node.addresses();
    let asked: Vec<_> = addresses.iter().map(|it| it.1.address).collect();
    let Some(network) = node.network(&asked) else {
        return Vec::new();
    };
    let mut cards: Vec<String> = addresses
        .iter()
        .filter_map(|(_, address)| {
            let place = placement::place(address, &network.interfaces, &network.routes).ok()?;
            Some(place.interface.name.clone())
        })
        .collect();
    cards.sort_unstable();
    cards.dedup();
    cards
}

pub(super) fn proxy_arp(node: &Node<'_>) -> Vec<Raw> {
    let cards = service_cards(node);
    if cards.is_empty() {
        return Vec::new();
    }
    // The kernel answers where `all` or the interface says so.
    let all = ["all".to_owned()];
    let on = all.iter().chain(&cards).filter(|card| {
        let file = format!("/proc/sys/net/ipv4/conf/{card}/proxy_arp");
        node.text(Path::new(&file))
            .is_some_and(|value| value.trim() == "1")
    });
    on.map(|card| {
        let text = format!(
            "proxy_arp is on for {card}: as the standby this host answers for the service address beside its owner"
        );
        Raw::new(text)
            .at(format!("/proc/sys/net/ipv4/conf/{card}/proxy_arp"))
            .fix(format!("sysctl -w net.ipv4.conf.{card}.proxy_arp=0"))
    })
    .collect()
}

/// The longest interval between two heartbeats that the log tells of.
pub(super) fn late_heartbeats(node: &Node<'_>) -> Vec<Raw> {
    let Some(config) = node.config() else {
        return Vec::new();
    };
    let Some(log) = &config.log.logfile else {
        return Vec::new();
    };
    let text = node.text(log).unwrap_or_default();
    let mut start = text.len().saturating_sub(MAX_LOG);
    while !text.is_char_boundary(start) {
        start = start.saturating_add(1);
    }
    let lines = text.get(start..).unwrap_or_default().lines();
    // Ping nodes are not waited for.
    let nodes: Vec<String> = config
        .nodes
        .iter()
        .map(|it| format!("Node {it}: interval "))
        .collect();
    let longest = lines
        .filter(|line| line.contains("Late heartbeat: "))
        .filter_map(|line| {
            let node = nodes.iter().find(|node| line.contains(node.as_str()))?;
            let (_, rest) = line.split_once(node.as_str())?;
            rest.split(' ').next()?.parse::<u128>().ok()
        })
        .max();
    let deadtime = config.timing.deadtime.as_millis();
    let Some(longest) = longest.filter(|it| it.saturating_mul(5) >= deadtime.saturating_mul(4))
    else {
        return Vec::new();
    };
    let needed = longest.saturating_mul(2).div_ceil(1000);
    let text = format!(
        "the longest interval between heartbeats in {} is {longest} ms, of a deadtime of {deadtime} ms",
        log.display()
    );
    let line = node.lines("deadtime").pop().map(|(line, _)| line);
    let raw = Raw::new(text).at(node.paths().ha_cf());
    vec![match line {
        Some(line) => raw.line(line).fix(format!(
            "sed -i '{line}s/.*/deadtime {needed}/' {}",
            node.paths().ha_cf().display()
        )),
        None => raw,
    }]
}

pub(super) fn getty(node: &Node<'_>) -> Vec<Raw> {
    let Some(config) = node.config() else {
        return Vec::new();
    };
    let processes = node.desk().host().processes.clone().unwrap_or_default();
    let wanted = node
        .desk()
        .names(Path::new("/etc/systemd/system/getty.target.wants"));
    let mut found = Vec::new();
    for medium in &config.media {
        let MediumConfig::Serial { device, .. } = medium else {
            continue;
        };
        let Some(name) = device.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let held = |line: &&String| {
            line.contains("getty")
                && line
                    .split([' ', ','])
                    .any(|word| word == name || Path::new(word) == device)
        };
        let unit = format!("serial-getty@{name}.service");
        let by = match processes.iter().find(held) {
            Some(line) => format!("`{}` runs on it", line.chars().take(60).collect::<String>()),
            None if wanted.contains(&unit) => format!("{unit} is started at boot"),
            None => continue,
        };
        let line = node.lines("serial").into_iter().map(|it| it.0).next();
        let text = format!("serial {}: {by}", device.display());
        let raw = Raw::new(text)
            .at(node.paths().ha_cf())
            .fix(format!("systemctl mask --now serial-getty@{name}.service"));
        found.push(match line {
            Some(line) => raw.line(line),
            None => raw,
        });
    }
    found
}

pub(super) fn no_room(node: &Node<'_>) -> Vec<Raw> {
    let Some(config) = node.config() else {
        return Vec::new();
    };
    let logs = [&config.log.logfile, &config.log.debugfile];
    let mut directories: Vec<&Path> = logs
        .into_iter()
        .flatten()
        .filter_map(|it| it.parent())
        .collect();
    let state = node.paths().var_lib.clone();
    directories.push(&state);
    directories.sort_unstable();
    directories.dedup();
    let full = directories.into_iter().filter_map(|directory| {
        let free = node.desk().free_bytes(directory)?;
        (free < ROOM).then(|| {
            let text = format!(
                "{free} bytes are free here: log lines and the generation cannot be written"
            );
            Raw::new(text)
                .at(directory)
                .level(Level::Error)
                .fix(format!(
                    "make room: du -xh {} | sort -h | tail",
                    directory.display()
                ))
        })
    });
    full.collect()
}

pub(super) fn not_in_force(node: &Node<'_>) -> Vec<Raw> {
    const RELOAD: &str = "/usr/libexec/heartbeat/heartbeat -r";
    let host = node.desk().host();
    let Some(running) = &host.running else {
        return Vec::new();
    };
    let mut found: Vec<Raw> = running
        .changed
        .iter()
        .map(|file| {
            let text = format!(
                "was changed since the daemon (process {}) read it",
                running.pid
            );
            Raw::new(text).at(file).fix(RELOAD)
        })
        .collect();
    if running.replaced {
        let text = format!(
            "process {} runs a program that an upgrade has replaced since",
            running.pid
        );
        found.push(
            Raw::new(text)
                .at("/usr/libexec/heartbeat/heartbeat")
                .fix(RELOAD),
        );
    }
    found
}
