//! What would happen: the pair that the files describe, in virtual time, with one incident. The cores are the real ones;
//! network, scripts and a legacy node are the models of [`simulator`](crate::simulator). Opens nothing, reads no clock.

mod forecast;
mod incident;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::config::Config;
use crate::config::fencing::{FenceDevice, named_hosts};
use crate::config::types::MediumConfig;
use crate::net::address::parse_word;
use crate::simulator::features::Features;
use crate::simulator::fencing::Device;
use crate::simulator::ids::{GroupId, HostId, Key, NODE1, NODE2};
use crate::simulator::plan::{Plan, PlanError, Program};

pub use forecast::{Forecast, Outcome, Step, foresee};
pub use incident::{Incident, NotAnIncident};

/// Longest run of a script that is accepted.
const MOST_SCRIPT: Duration = Duration::from_secs(600);

/// Why nothing can be said about these files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotForeseen {
    /// Groups move between two nodes.
    #[error("{0} node lines: groups move between two nodes")]
    Nodes(usize),
    /// Nothing could move.
    #[error("haresources has no group")]
    NoGroup,
    /// `-M`, or `pacemaker` in ha.cf.
    #[error("this node manages no resources")]
    NotManaged,
    /// `--legacy` with another name.
    #[error("{0} is none of the nodes")]
    NoSuchNode(String),
    /// `--script`.
    #[error("a script takes from 1 ms to ten minutes")]
    ScriptTime,
    /// Larger than the simulator.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// The pair of the files.
#[derive(Debug, Clone)]
pub struct Pair {
    names: [String; 2],
    /// Their keys, in the order of the file.
    groups: Vec<String>,
    /// The names of the media in log lines.
    media: Vec<String>,
    plan: Plan,
    script: Duration,
    assumes: Vec<String>,
}

impl Pair {
    /// The pair of these files, with the same files on both nodes. `legacy`: the node with the legacy program. `script`: the
    /// time that each script takes.
    ///
    /// # Errors
    /// [`NotForeseen`].
    pub fn of(
        config: &Config,
        legacy: Option<&str>,
        script: Duration,
    ) -> Result<Self, NotForeseen> {
        let [first, second] = config.nodes.as_slice() else {
            return Err(NotForeseen::Nodes(config.nodes.len()));
        };
        let names = [first.to_string(), second.to_string()];
        if !config.manage_resources {
            return Err(NotForeseen::NotManaged);
        }
        if config.groups.is_empty() {
            return Err(NotForeseen::NoGroup);
        }
        if script.is_zero() || script > MOST_SCRIPT {
            return Err(NotForeseen::ScriptTime);
        }
        let mut programs = vec![Program::Ours; 2];
        if let Some(name) = legacy {
            let at = names.iter().position(|it| it.eq_ignore_ascii_case(name));
            let program = at.and_then(|at| programs.get_mut(at));
            *program.ok_or_else(|| NotForeseen::NoSuchNode(name.to_owned()))? = Program::Legacy;
        }
        // Several lines for one interface share its fate.
        let mut media: Vec<String> = Vec::new();
        for name in config.media.iter().map(MediumConfig::link_name) {
            if !media.contains(&name) {
                media.push(name);
            }
        }
        let timing = &config.timing;
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let owner = |name: &str| {
            if second.as_str() == name {
                NODE2
            } else {
                NODE1
            }
        };
        let plan = Plan {
            programs,
            keepalives_ms: vec![ms(timing.keepalive); 2],
            deadtimes_ms: vec![ms(timing.deadtime); 2],
            initdead_ms: ms(timing.initdead),
            failback: config.auto_failback,
            groups: config
                .groups
                .iter()
                .map(|group| (owner(group.owner.as_str()), group.resources.len().max(1)))
                .collect(),
            media: media.len(),
            internal_ms: 0,
            gate: releases_when_isolated(config),
            features: Features {
                device: fences_both(config).then_some(Device::Honest),
                ..Features::default()
            },
            names: called_apart(config),
            ..Plan::quiet()
        };
        Ok(Self {
            groups: config
                .groups
                .iter()
                .map(|group| group.key.to_string())
                .collect(),
            assumes: assumptions(config, legacy, script),
            plan: plan.checked()?,
            names,
            media,
            script,
        })
    }

    /// What is not in the files, or not in the model: a line each.
    #[must_use]
    pub fn assumes(&self) -> &[String] {
        &self.assumes
    }

    fn name(&self, host: HostId) -> &str {
        self.names.get(host.number()).map_or("", String::as_str)
    }

    fn group(&self, group: GroupId) -> &str {
        self.groups.get(group.number()).map_or("", String::as_str)
    }

    /// The text of a core of the simulator, with the names of this pair.
    fn with_names(&self, text: &str) -> String {
        let hosts = ["node1", "node2"].into_iter().zip(&self.names);
        let groups = self.plan.names.iter().map(String::as_str).zip(&self.groups);
        let mut names: Vec<(&str, &String)> = hosts.chain(groups).collect();
        // Of two names of which one begins the other, the longer one is meant where it fits.
        names.sort_by_key(|(called, _)| std::cmp::Reverse(called.len()));
        let mut named = String::new();
        let mut rest = text;
        // One pass: a node may be called node2, and a group may be named like a node.
        while let Some(next) = rest.chars().next() {
            let fits = names.iter().find(|(called, _)| rest.starts_with(called));
            let taken = match fits {
                Some((called, name)) => {
                    named.push_str(name);
                    called.len()
                }
                None => {
                    named.push(next);
                    next.len_utf8()
                }
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        named
    }
}

/// What the simulator calls the groups. Two lines may have the same address.
fn called_apart(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for group in &config.groups {
        let key = group.key.as_str();
        let name = Some(called(key)).filter(|it| !names.contains(it));
        names.push(name.unwrap_or_else(|| key.to_owned()));
    }
    names
}

/// What the simulator calls a group: its address, which a node can ask the network for.
fn called(key: &str) -> String {
    let address = parse_word(key).ok().flatten();
    address.map_or_else(|| key.to_owned(), |it| it.address.to_string())
}

/// Whether each node can reset the other, as far as this node's lines tell. The other node's own may be others.
fn fences_both(config: &Config) -> bool {
    let devices = &config.fence_devices;
    let everywhere = |device: &FenceDevice| !device.only_here && device.kind != "null";
    let reaches =
        named_hosts(devices).is_none_or(|hosts| config.nodes.iter().all(|it| hosts.contains(it)));
    !devices.is_empty() && devices.iter().all(everywhere) && reaches
}

/// A node that is cut off knows that by a ping node.
fn releases_when_isolated(config: &Config) -> bool {
    config.settings.isolation_release && !config.pings.is_empty()
}

fn assumptions(config: &Config, legacy: Option<&str>, script: Duration) -> Vec<String> {
    let mut lines = vec![
        "both nodes have the same files, and start at the same time".to_owned(),
        format!(
            "each start and stop of a group takes {:.1} s",
            script.as_secs_f64()
        ),
    ];
    match legacy {
        Some(name) => lines.push(format!("{name} runs the legacy program, as a model")),
        None => lines.push("both nodes run Systole".to_owned()),
    }
    if !config.fence_devices.is_empty() && !fences_both(config) {
        lines.push(
            "nothing is fenced: the devices are not for both nodes on both, or are of the type null"
                .to_owned(),
        );
    } else if !config.fence_devices.is_empty() {
        lines.push("the fencing devices do what they are asked, within seconds; fence_delay is not in the model".to_owned());
    }
    if releases_when_isolated(config) {
        lines.push("the ping node answers both nodes".to_owned());
    } else if !config.pings.is_empty() {
        lines.push("ping nodes and ipfail move nothing here: all of them answer".to_owned());
    }
    if config.settings.fence_by_watchdog.is_some() {
        lines.push("fence_by_watchdog is not in the model: takeovers may come later".to_owned());
    }
    lines
}
