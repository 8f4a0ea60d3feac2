//! From the serial lines of ha.cf to ports.

use std::path::{Path, PathBuf};

use crate::config::types::{Config, MediumConfig};
use crate::protocol::name::MediumName;
use crate::protocol::serial::{LineSettings, Speed};

/// What a serial line of ha.cf asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialPlan {
    /// Name that its links carry.
    pub name: MediumName,
    /// Path of the port.
    pub device: PathBuf,
    /// Its speed, and the times of the node.
    pub line: LineSettings,
    /// Directory of the lock files.
    pub lock_dir: PathBuf,
}

/// The serial lines of a configuration, each port once.
#[must_use]
pub fn plans(config: &Config, lock_dir: &Path) -> Vec<SerialPlan> {
    let mut plans: Vec<SerialPlan> = Vec::new();
    for medium in &config.media {
        let MediumConfig::Serial { device, baud } = medium else {
            continue;
        };
        if plans.iter().any(|plan| plan.device == *device) {
            continue;
        }
        plans.push(SerialPlan {
            name: MediumName::new(&medium.link_name()),
            device: device.clone(),
            line: LineSettings {
                speed: Speed::new(*baud),
                deadtime: config.timing.deadtime,
            },
            lock_dir: lock_dir.to_owned(),
        });
    }
    plans
}
