//! Maintenance: while the node is frozen heartbeats, reports and the exchange at start go on, but
//! nothing is started or stopped, by itself or because another node asks.
//!
//! | While frozen | What happens |
//! |---|---|
//! | a node dies or leaves | its groups are not taken; at thaw they are, if it is still gone |
//! | another node offers or asks for groups | refused, it keeps what it has |
//! | `hb_standby` and clients here | refused |
//! | failback, a failed group's next attempt, groups that nobody runs | wait for the thaw |
//! | a node returns from a partition, nothing of it was taken | nothing: no side has to let go here |
//! | both may hold the same groups | the freeze is lifted: one of two owners has to let go |
//! | an ordered stop | ends the freeze: a person wants it, and what ran on would get a second owner |
//!
//! The freeze outlives a restart in place and a killed daemon, not a stop.

use super::holding::HoldingSet;
use super::state::{Phase, ResourceState};
use crate::protocol::group::GroupKey;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;

/// What waits for the thaw.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Nodes that are gone, in the order of their going; with the message for the hook.
    gone: Vec<(NodeName, Option<Message>)>,
    /// Own groups that the start exchange gave us.
    local: bool,
}

/// Why the node cannot be frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FreezeRefused {
    /// It may be possible in a moment.
    #[error("not now: resources are in transition")]
    InTransition,
    /// A stop is under way.
    #[error("the node is being stopped")]
    Stopping,
    /// There is nothing to freeze.
    #[error("resources are not managed here")]
    NotManaged,
    /// The other node asks for its groups and takes them without an answer.
    #[error("auto_failback legacy: the other node would take groups unasked; set it to on or off")]
    LegacyModel,
}

impl ResourceState {
    /// Whether nothing is started or stopped.
    #[must_use]
    pub const fn frozen(&self) -> bool {
        self.frozen
    }

    /// Nodes whose groups are taken at the thaw unless they return.
    pub fn waits_for_thaw(&self) -> impl Iterator<Item = &NodeName> {
        let gone = |name: &NodeName| {
            self.peers
                .get(name)
                .is_some_and(super::peers::Peer::is_gone)
        };
        self.waiting
            .gone
            .iter()
            .map(|(name, _)| name)
            .filter(move |name| gone(name))
    }

    /// Whether the node may be frozen now.
    ///
    /// # Errors
    /// [`FreezeRefused`].
    pub fn may_freeze(&self) -> Result<(), FreezeRefused> {
        if self.frozen {
            Ok(())
        } else if !self.manage {
            Err(FreezeRefused::NotManaged)
        } else if !self.nice() {
            Err(FreezeRefused::LegacyModel)
        } else if self.stopping() {
            Err(FreezeRefused::Stopping)
        } else if self.phase != Phase::Stable || !self.is_stable() {
            Err(FreezeRefused::InTransition)
        } else {
            Ok(())
        }
    }

    /// Freezes, or says why not.
    pub(super) fn freeze(&mut self) {
        if self.frozen {
            return;
        }
        if let Err(why) = self.may_freeze() {
            return self.warn(format!("freeze refused: {why}"));
        }
        self.frozen = true;
        self.timers.local_orphaned = None;
        self.timers.foreign_orphaned = None;
        self.warn("frozen: no resource is started or stopped until the thaw");
        self.decide(
            format!("freezes, holding {}", self.mine),
            "systole freeze was called",
        );
    }

    /// Goes on with what has waited.
    pub(super) fn thaw(&mut self) {
        if !self.frozen {
            return;
        }
        self.frozen = false;
        let waiting = std::mem::take(&mut self.waiting);
        self.warn("thawed: resources are managed again");
        self.decide("thaws", "systole thaw was called");
        for (node, message) in waiting.gone {
            let still = self
                .peers
                .get(&node)
                .is_some_and(super::peers::Peer::is_gone);
            if still {
                self.take_over_once(&node, message);
            }
        }
        if waiting.local && !self.mine.has(HoldingSet::LOCAL) {
            self.acquire_local(false);
        }
    }

    /// The node was frozen when its process began anew. Not if something is left to be released: a
    /// release ends the freeze. Call after [`finish`](Self::finish).
    pub fn keep_frozen(&mut self) {
        if self.manage && self.nice() && self.releasing.is_none() {
            self.frozen = true;
        }
    }

    /// Ends the freeze for a reason that is stronger.
    pub(super) fn lift_freeze(&mut self, cause: &str) {
        if self.frozen {
            self.frozen = false;
            self.waiting = Waiting::default();
            self.warn(format!("no longer frozen: {cause}"));
            self.decide("is no longer frozen", cause);
        }
    }

    /// A node is gone and stays unattended until the thaw.
    pub(super) fn leave_for_thaw(&mut self, node: &NodeName, dead: Option<Message>) {
        self.other_stable = true;
        self.waiting.gone.retain(|(name, _)| name != node);
        self.waiting.gone.push((node.clone(), dead));
        self.warn(format!(
            "frozen: the resources of {node} are not taken until the thaw"
        ));
        self.decide(format!("does not take the resources of {node}"), "frozen");
        if matches!(self.phase, Phase::Starting | Phase::Waiting) && self.all_peers_gone() {
            self.phase = Phase::Stable;
            self.timers.local = None;
        }
    }

    /// Own groups that are not to be started before the thaw.
    pub(super) fn leave_local_for_thaw(&mut self) {
        if self.mine.has(HoldingSet::LOCAL) || self.waiting.local {
            return;
        }
        self.waiting.local = true;
        self.warn("frozen: the local resources are not started until the thaw");
        self.decide("does not start the local resources", "frozen");
    }

    /// Groups as a decision names them.
    pub(super) fn named(keys: &[GroupKey]) -> String {
        let names: Vec<String> = keys.iter().map(ToString::to_string).collect();
        names.join(" ")
    }
}
