//! Fencing and the watchdog: what guards a shared disk, and would not.

use super::{Finding, Subject};
use crate::config::fencing::{FenceDriver, named_hosts};
use crate::config::types::Config;
use crate::protocol::name::NodeName;

fn other_nodes(config: &Config) -> impl Iterator<Item = &NodeName> {
    config.nodes.iter().filter(|node| **node != config.local)
}

/// A name that is wrong by a letter would leave the node that it means without a device.
pub(super) fn unknown_hosts(subject: &Subject<'_>) -> Vec<Finding> {
    let config = subject.config;
    let mut found = Vec::new();
    for device in &config.fence_devices {
        let FenceDriver::Agent(words) = &device.driver else {
            continue;
        };
        for host in words.hosts.iter().map(|it| &it.host) {
            if !config.nodes.contains(host) {
                let text = format!(
                    "{}: hosts names {host}, and no node line does: the device resets no such node",
                    device.kind
                );
                found.push(Finding::new(device.place.clone(), text));
            }
        }
    }
    found
}

/// There are devices, and none resets the other node.
pub(super) fn not_reached(subject: &Subject<'_>) -> Vec<Finding> {
    let config = subject.config;
    let Some(last) = config.fence_devices.last() else {
        return Vec::new();
    };
    let Some(named) = named_hosts(&config.fence_devices) else {
        return Vec::new();
    };
    let left_out = other_nodes(config).filter(|node| !named.contains(*node));
    left_out
        .map(|node| {
            let text = format!(
                "stonith_host: no device resets {node}: hosts names only other nodes. When it dies, its \
                 groups are taken over without a reset"
            );
            Finding::new(last.place.clone(), text)
        })
        .collect()
}

/// The other node takes over after that time, and nothing resets this one.
pub(super) fn watchdog_alone(subject: &Subject<'_>) -> Vec<Finding> {
    let config = subject.config;
    let settings = &config.settings;
    let place = subject.paths.settings.display().to_string();
    let mut found = Vec::new();
    if config.watchdog.is_none() {
        if settings.fence_by_watchdog.is_some() {
            let text = "fence_by_watchdog: ha.cf has no watchdog line, so no watchdog resets this node before the other \
                        one takes over";
            found.push(Finding::new(place.clone(), text));
        }
        if settings.watchdog_required {
            let text =
                "watchdog_required: ha.cf has no watchdog line, so this node runs without one";
            found.push(Finding::new(place.clone(), text));
        }
    }
    if settings.fence_by_watchdog.is_some() && !settings.isolation_release {
        let text = "fence_by_watchdog: isolation_release is off, so a node that is cut off goes on feeding its \
                    watchdog, and is not reset before the other one takes over";
        found.push(Finding::new(place, text));
    }
    found
}
