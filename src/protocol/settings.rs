//! The part of the configuration that the core uses: every limit, time and choice for membership
//! and the resource handshake.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::fencing::FenceSettings;
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

/// Which nodes may join without being configured. Spec: docs/protocol/membership.md, 8.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Autojoin {
    /// None.
    None,
    /// Other nodes.
    Other,
    /// Other nodes and ourselves.
    Any,
}

/// How much longer than usual the other nodes wait for a process that replaces itself in place,
/// because it has asked for that: as legacy. Spec: docs/protocol/membership.md, 9.3.
pub const RESTART_EXTRA: Duration = Duration::from_secs(30);

/// Limits and times of the core. All from ha.cf. Spec: docs/protocol/membership.md, 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Interval of the status message.
    pub keepalive: Duration,
    /// Silence after which other nodes shall declare this node dead.
    pub deadtime: Duration,
    /// Silence after which a late heartbeat is logged.
    pub warntime: Duration,
    /// Dead time of every node until communication is up.
    pub initdead: Duration,
    /// Dead time of ping nodes.
    pub deadping: Duration,
    /// Pause between two requests for one lost message.
    pub max_rexmit_delay: Duration,
}

impl Timing {
    /// How long the other nodes wait for this node's next heartbeat, at least: the last one may have
    /// been sent a `keepalive` before this moment.
    #[must_use]
    pub const fn others_wait(&self) -> Duration {
        self.deadtime.saturating_sub(self.keepalive)
    }
}

/// Where a group goes whose addresses nobody reaches on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnservedMove {
    /// It stays.
    #[default]
    Never,
    /// To a node that tells that its own interfaces for them are up.
    ToOneThatTells,
    /// Also to a node that tells nothing: a legacy node, or an older version.
    Always,
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
    /// Whether a node receives on a medium its own messages: on broadcast it does, on multicast
    /// with `loop` too; on unicast it does not, unless a line has its own address. A medium that is
    /// missing here: not known.
    pub returns: BTreeMap<MediumName, bool>,
    /// Times.
    pub timing: Timing,
    /// Added to the number of nodes to make `ttl`.
    pub hopfudge: u8,
    /// Which nodes may join.
    pub autojoin: Autojoin,
    /// `false` with `-M` or in cluster-manager mode.
    pub manage_resources: bool,
    /// The resource model.
    pub auto_failback: AutoFailback,
    /// haresources, in file order.
    pub groups: Vec<ResourceGroup>,
    /// Groups with an address: of each the network can be asked, before a start, whether it runs elsewhere.
    pub with_address: BTreeSet<GroupKey>,
    /// Process id, for log lines.
    pub pid: u32,
    /// Release everything when neither the peer nor a ping node is received.
    pub isolation_release: bool,
    /// With what this node fences.
    pub fencing: FenceSettings,
    /// Where a group goes whose addresses nobody reaches here.
    pub unserved: UnservedMove,
    /// Groups with a monitor, and how long a move counts that it caused.
    pub monitors: BTreeMap<GroupKey, Duration>,
    /// Mark of all monitors, which the other node compares with its own; empty: none is sent.
    pub monitors_mark: String,
}

/// Why a third node is refused when there are groups, and what to use instead.
pub const GROUPS_NEED_A_PAIR: &str = "groups of haresources move between two nodes only: for more \
    nodes use Pacemaker; without haresources (option -M) heartbeat carries messages between any number \
    of nodes";

impl NodeSettings {
    /// Whether this number of nodes may be members: more than two only without groups.
    #[must_use]
    pub const fn allows_members(&self, count: usize) -> bool {
        count <= 2 || !self.manage_resources || self.groups.is_empty()
    }

    /// A plain cluster of `nodes` that manages resources: no media, ping nodes or groups yet, no
    /// node may join, failback is off, the process is number 1. Simulations begin with it; the
    /// daemon's settings come from [`Config::node_settings`](crate::config::Config::node_settings).
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
            fencing: FenceSettings::default(),
            unserved: UnservedMove::default(),
            monitors: BTreeMap::new(),
            monitors_mark: String::new(),
        }
    }
}
