//! What the core, the actors and the configuration say to each other about fencing: the reset of a
//! node that was declared dead, before its groups are taken over. The rules are in
//! `policy/fencing.rs`. Spec: docs/protocol/resources.md, 10.3.

use std::collections::BTreeSet;
use std::time::Duration;

use super::name::NodeName;
use super::settings::Timing;

/// Number of one order to reset a node. Each order in the life of a core has its own number; a new
/// attempt is a new order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FenceOrder(pub u64);

/// What an order asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FenceTask {
    /// To reset the node.
    Reset,
    /// To learn how a reset ends that an earlier process or core of this node ordered. It is given
    /// before anything else. Failed: none is known any more, or nobody knows what it did.
    LearnEarlier,
}

/// What became of an order. Every order is answered once, unless it is called off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FenceAnswer {
    /// The device says that it has reset the node. Nothing else lets the takeover begin.
    Done,
    /// It was not reset, or nobody knows: the device failed, no device answered, the time limit
    /// was over, the program could not be started. Carries the device's own words, for people.
    Failed(String),
}

/// The nodes that this node can reset. Follows from the configuration alone: a device that is
/// broken or does not answer is still configured, and a takeover waits for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reach {
    /// No device is configured for this node.
    #[default]
    Nobody,
    /// A device that is asked for any node. As in legacy, one that does not know the node fails,
    /// and is asked again.
    Everybody,
    /// Devices that are configured for these nodes only.
    These(BTreeSet<NodeName>),
}

impl Reach {
    /// Whether a device is configured for `node`.
    #[must_use]
    pub fn has(&self, node: &NodeName) -> bool {
        match self {
            Self::Nobody => false,
            Self::Everybody => true,
            Self::These(nodes) => nodes.contains(node),
        }
    }
}

/// What the configuration says about fencing. The default is no device: nothing is fenced and
/// nothing waits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FenceSettings {
    /// The nodes that this node can reset.
    pub reach: Reach,
    /// `fence_delay`: how much longer the node waits that serves nothing. `None`: as long as the
    /// devices take, see `policy/fencing.rs`.
    pub delay: Option<Duration>,
    /// `fence_by_watchdog`: so long after the verdict a dead node was reset by its own watchdog.
    /// `None`: nobody says so.
    pub by_watchdog: Option<Duration>,
}

impl FenceSettings {
    /// The shortest sensible `fence_by_watchdog`: from the verdict here to the restart of a machine
    /// that was to let go and did not, see `docs/watchdog.md`.
    #[must_use]
    pub fn least_by_watchdog(timing: &Timing) -> Duration {
        let beats = timing.keepalive.saturating_mul(3);
        let dead = timing.deadtime.saturating_mul(2);
        dead.saturating_add(beats)
            .saturating_add(Duration::from_secs(2))
    }

    /// Whether the takeover of `node` waits until it was reset.
    #[must_use]
    pub fn guards(&self, node: &NodeName) -> bool {
        self.by_watchdog.is_some() || self.reach.has(node)
    }
}

/// What a dead node may run, as far as is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serves {
    /// It reported groups, or may hold some.
    Something,
    /// It reported that it holds nothing.
    Nothing,
    /// It was not received in this run.
    Unknown,
}

/// How this node stands to a node that it has just declared dead and has to fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Groups run here.
    pub serves: bool,
    /// What the dead node may run.
    pub other: Serves,
    /// This node stands before the dead one in the `node` lines.
    pub first: bool,
    /// This node is settled, or starts alone.
    pub settled: bool,
    /// The dead node is a legacy one: if it lives, it shoots at once.
    pub hasty: bool,
}
