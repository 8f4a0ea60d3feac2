//! The settings of the core. They do not change after the start.

use std::time::Duration;

use crate::protocol::name::NodeName;
use crate::protocol::settings::{AutoFailback, NodeSettings};

/// What a word with a systemd unit begins with. Spec: docs/reference/scripts.md.
const UNIT: &str = "systemd::";

/// The settings that the core uses.
#[derive(Debug)]
pub(in crate::resources) struct Setup {
    local: NodeName,
    nodes: Vec<NodeName>,
    model: AutoFailback,
    manages: bool,
    pid: u32,
    keepalive: Duration,
    initdead: Duration,
    /// Resource words whose script the legacy product does not have.
    not_legacy: Vec<String>,
}

impl Setup {
    pub(in crate::resources) fn new(settings: &NodeSettings) -> Self {
        let words = settings.groups.iter().flat_map(|it| &it.resources);
        Self {
            local: settings.local.clone(),
            nodes: settings.nodes.clone(),
            model: settings.auto_failback,
            manages: settings.manage_resources,
            pid: settings.pid,
            keepalive: settings.timing.keepalive,
            initdead: settings.timing.initdead,
            not_legacy: words.filter(|it| it.starts_with(UNIT)).cloned().collect(),
        }
    }

    /// This node.
    pub(in crate::resources) const fn local(&self) -> &NodeName {
        &self.local
    }

    /// All nodes, in the order of the configuration.
    pub(in crate::resources) fn nodes(&self) -> &[NodeName] {
        &self.nodes
    }

    pub(in crate::resources) const fn model(&self) -> AutoFailback {
        self.model
    }

    /// Whether resources are managed here.
    pub(in crate::resources) const fn manages(&self) -> bool {
        self.manages
    }

    /// The process id, for a log line.
    pub(in crate::resources) const fn pid(&self) -> u32 {
        self.pid
    }

    pub(in crate::resources) const fn keepalive(&self) -> Duration {
        self.keepalive
    }

    /// Resource words that a legacy node can carry out only if our script was copied to it.
    pub(in crate::resources) fn not_legacy(&self) -> &[String] {
        &self.not_legacy
    }

    pub(in crate::resources) const fn initdead(&self) -> Duration {
        self.initdead
    }
}
