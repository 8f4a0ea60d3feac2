//! Maintenance: while the node is frozen, heartbeats, reports and the exchange at start go on, but
//! nothing is started or stopped, neither by this node itself nor because another node asks.
//!
//! | While frozen | What happens |
//! |---|---|
//! | a node dies or leaves | its groups are not taken; at thaw they are, if it is still gone |
//! | another node offers or asks for groups | refused, it keeps what it has |
//! | `hb_standby` and clients here | refused |
//! | failback, a failed group's next attempt, groups that no node runs | wait for the thaw |
//! | a node returns from a partition, nothing of it was taken | nothing: no node has to release anything here |
//! | both may hold the same groups | the freeze is lifted: one of two owners has to release them |
//! | a requested stop | ends the freeze: a person wants it, and what ran on would get a second owner |
//!
//! The freeze outlives a restart in place and a killed daemon, not a stop.

use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::resources::gate::{Outcome, Refusal};

/// Whether nothing is started or stopped, and what waits for the thaw.
#[derive(Debug, Default)]
pub(in crate::resources) struct Freeze {
    on: bool,
    waiting: Waiting,
}

/// What waits for the thaw.
#[derive(Debug, Default)]
struct Waiting {
    gone: Vec<(NodeName, Option<Message>)>,
    local: bool,
}

impl Freeze {
    pub(in crate::resources) const fn is_on(&self) -> bool {
        self.on
    }

    pub(in crate::resources) const fn begins(&mut self) {
        self.on = true;
    }

    /// Ends the freeze. Returns what has waited: the nodes that are gone, in the order in which
    /// they went, with the message for the hook; and whether own groups wait that the exchange at
    /// start gave us.
    pub(in crate::resources) fn ends(&mut self) -> (Vec<(NodeName, Option<Message>)>, bool) {
        let Self { waiting, .. } = std::mem::take(self);
        (waiting.gone, waiting.local)
    }

    /// A node is gone. Its groups are not taken over before the thaw.
    pub(in crate::resources) fn leave_node(&mut self, node: &NodeName, dead: Option<Message>) {
        self.waiting.gone.retain(|(name, _)| name != node);
        self.waiting.gone.push((node.clone(), dead));
    }

    pub(in crate::resources) fn nodes_left(&self) -> impl Iterator<Item = &NodeName> {
        self.waiting.gone.iter().map(|(name, _)| name)
    }

    /// Own groups are not to be started before the thaw. Returns whether that is new.
    pub(in crate::resources) const fn leave_local(&mut self) -> bool {
        !std::mem::replace(&mut self.waiting.local, true)
    }
}

/// Why the node cannot be frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FreezeRefused {
    /// A transition is under way. A freeze may be possible in a moment.
    #[error("not now: {0}")]
    NotNow(&'static str),
    /// No freeze is possible on this node, as it is configured or because it is being stopped.
    #[error("{0}")]
    Never(&'static str),
}

impl From<Refusal> for FreezeRefused {
    fn from(Refusal { obstacle, outcome }: Refusal) -> Self {
        match outcome {
            Outcome::Wait => Self::NotNow(obstacle.text()),
            Outcome::Refuse
            | Outcome::Ignore
            | Outcome::Drop
            | Outcome::Queue
            | Outcome::Instead => Self::Never(obstacle.text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thaw_is_told_what_has_waited_once() {
        let [a, b] = ["a", "b"].map(|name| NodeName::new(name).unwrap());
        let mut freeze = Freeze::default();
        freeze.begins();
        freeze.leave_node(&a, None);
        freeze.leave_node(&b, None);
        freeze.leave_node(&a, Some(Message::new("status")));
        assert!(freeze.leave_local() && !freeze.leave_local());
        let (gone, local) = freeze.ends();
        assert_eq!(gone, [(b, None), (a, Some(Message::new("status")))]);
        assert!(local && !freeze.is_on());
        assert_eq!(freeze.ends(), (Vec::new(), false));
    }
}
