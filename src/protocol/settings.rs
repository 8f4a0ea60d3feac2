//! What the core is told of the configuration: every limit, time and choice that membership and the
//! resource handshake work by.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::group::{GroupKey, ResourceGroup};
use super::name::{MediumName, NodeName};

/// Whether and when foreign groups go back. Spec: docs/protocol/resources.md, 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoFailback {
    /// Foreign groups return to their owner.
    On,
    /// They stay.
    Off,
    /// The old model without holding reports.
    Legacy,
}

impl AutoFailback {
    /// Whether the "nice" model (holding reports, standby, takeover) is in force.
    #[must_use]
    pub const fn is_nice(self) -> bool {
        !matches!(self, Self::Legacy)
    }
}

/// Who may join without being configured. Spec: docs/protocol/membership.md, 8.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Autojoin {
    /// Nobody.
    None,
    /// Other nodes.
    Other,
    /// Other nodes and ourselves.
    Any,
}

/// Limits and times of the core. All from ha.cf. Spec: docs/protocol/membership.md, 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Interval of the status message.
    pub keepalive: Duration,
    /// Silence after which others shall hold us dead.
    pub deadtime: Duration,
    /// Silence worth a warning.
    pub warntime: Duration,
    /// Dead time of every node until communication is up.
    pub initdead: Duration,
    /// Dead time of ping nodes.
    pub deadping: Duration,
    /// Pause between two requests for one lost message.
    pub max_rexmit_delay: Duration,
}

/// Everything the core needs to know of the configuration.
#[derive(Debug, Clone)]
pub struct NodeSettings {
    /// Our own name.
    pub local: NodeName,
    /// All normal nodes in configuration order, our own included.
    pub nodes: Vec<NodeName>,
    /// Ping nodes and ping groups, in configuration order.
    pub ping_nodes: Vec<NodeName>,
    /// Distinct link names of the configured media, in configuration order.
    pub media: Vec<MediumName>,
    /// Whether a node hears on a medium what it sends there itself: on broadcast it does, on
    /// multicast with `loop`; on unicast it does not, unless a line has its own address. A medium
    /// that is left out: not known.
    pub returns: BTreeMap<MediumName, bool>,
    /// Times.
    pub timing: Timing,
    /// Added to the number of nodes to give `ttl`.
    pub hopfudge: u8,
    /// Who may join.
    pub autojoin: Autojoin,
    /// `false` with `-M` or in cluster-manager mode.
    pub manage_resources: bool,
    /// The model.
    pub auto_failback: AutoFailback,
    /// haresources, in file order.
    pub groups: Vec<ResourceGroup>,
    /// Groups with an address: of each the network can be asked, before a start, whether it runs elsewhere.
    pub with_address: BTreeSet<GroupKey>,
    /// Process id, for log lines.
    pub pid: u32,
    /// Let go of everything when neither the peer nor a ping node is heard.
    pub isolation_release: bool,
}

/// Why groups and a third node do not go together, and what to use.
pub const GROUPS_NEED_A_PAIR: &str = "groups of haresources move between two nodes only: for more \
    nodes use Pacemaker; without haresources (option -M) heartbeat carries messages between any number \
    of nodes";

impl NodeSettings {
    /// Whether so many nodes may be members: more than two only as a messaging layer.
    #[must_use]
    pub const fn allows_members(&self, count: usize) -> bool {
        count <= 2 || !self.manage_resources || self.groups.is_empty()
    }

    /// A plain cluster of `nodes` that manages resources: no media, ping nodes or groups yet, nobody
    /// may join, failback is off, the process is number 1. What a simulation begins with; the
    /// daemon's own come of [`Config::node_settings`](crate::config::Config::node_settings).
    #[must_use]
    pub fn new(local: NodeName, nodes: Vec<NodeName>, timing: Timing) -> Self {
        Self {
            local,
            nodes,
            ping_nodes: Vec::new(),
            media: Vec::new(),
            returns: BTreeMap::new(),
            timing,
            hopfudge: 1,
            autojoin: Autojoin::None,
            manage_resources: true,
            auto_failback: AutoFailback::Off,
            groups: Vec::new(),
            with_address: BTreeSet::new(),
            pid: 1,
            isolation_release: false,
        }
    }
}
