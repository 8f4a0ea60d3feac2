//! Dead nodes that have to be fenced before their groups are taken over. [`policy/fencing.rs`]
//! decides when that is done; here is what waits for it.
//!
//! [`policy/fencing.rs`]: ../../../policy/fencing.rs

use crate::protocol::fencing::FenceSettings;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;

/// The dead nodes whose takeover waits.
#[derive(Debug, Default)]
pub(in crate::resources) struct Unfenced {
    settings: FenceSettings,
    nodes: Vec<(NodeName, Option<Message>)>,
}

impl Unfenced {
    /// No node is dead.
    pub(in crate::resources) const fn new(settings: FenceSettings) -> Self {
        let nodes = Vec::new();
        Self { settings, nodes }
    }

    /// Whether a device is configured for this node.
    pub(in crate::resources) fn reaches(&self, node: &NodeName) -> bool {
        self.settings.reach.has(node)
    }

    /// Whether the takeover of this node waits: for a device, or for its watchdog.
    pub(in crate::resources) fn guards(&self, node: &NodeName) -> bool {
        self.settings.guards(node)
    }

    /// The takeover of `node` waits. `dead`: the message about its death, for the hook.
    pub(in crate::resources) fn wait_for(&mut self, node: &NodeName, dead: Option<Message>) {
        let known = self.nodes.iter_mut().find(|(name, _)| name == node);
        match known {
            Some((_, message)) => *message = dead.or(message.take()),
            None => self.nodes.push((node.clone(), dead)),
        }
    }

    /// Whether the takeover of `node` waits.
    pub(in crate::resources) fn waits_for(&self, node: &NodeName) -> bool {
        self.nodes.iter().any(|(name, _)| name == node)
    }

    /// A peer is not fenced yet: nothing is started that a dead node may run.
    pub(in crate::resources) const fn holds_back(&self) -> bool {
        !self.nodes.is_empty()
    }

    /// It waits no longer. The message about the death; `None`: it did not wait.
    pub(in crate::resources) fn remove(&mut self, node: &NodeName) -> Option<Option<Message>> {
        let at = self.nodes.iter().position(|(name, _)| name == node)?;
        let (_, message) = self.nodes.remove(at);
        Some(message)
    }

    /// The nodes whose takeover waits, for a successor.
    pub(in crate::resources) fn nodes(&self) -> impl Iterator<Item = &NodeName> {
        self.nodes.iter().map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::fencing::Reach;

    #[test]
    fn a_node_waits_once_and_keeps_its_message() {
        let node = NodeName::new("b").unwrap();
        let mut unfenced = Unfenced::new(FenceSettings {
            reach: Reach::Everybody,
            ..FenceSettings::default()
        });
        assert!(unfenced.reaches(&node) && !unfenced.holds_back());
        unfenced.wait_for(&node, Some(Message::new("status")));
        unfenced.wait_for(&node, None);
        assert!(unfenced.holds_back() && unfenced.waits_for(&node));
        assert_eq!(unfenced.remove(&node), Some(Some(Message::new("status"))));
        assert_eq!(unfenced.remove(&node), None);
        assert!(!unfenced.holds_back());
    }
}
