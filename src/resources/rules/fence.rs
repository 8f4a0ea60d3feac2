//! The takeover of a dead node that had to be fenced. What waits for it: `acts/fence.rs`.
//! Spec: docs/protocol/resources.md, 10.1 and 10.3.

use crate::protocol::name::NodeName;
use crate::resources::hooks;
use crate::resources::output::ResourceOutput;
use crate::resources::parts::peer::Peer;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// A dead node is fenced, or a person says that it is off: its takeover begins.
    pub(in crate::resources) fn node_fenced(&mut self, node: &NodeName) {
        let Some(message) = self.unfenced.remove(node) else {
            return;
        };
        self.starts_may_go_on();
        self.groups.addresses_are_free(self.now);
        let message = message.unwrap_or_else(|| hooks::dead_status(node));
        self.take_over(node, Some(message));
        // A group that was to be tried again has waited for the same.
        self.groups.start_once();
        self.alone_at_last();
        if self
            .other
            .peer(node)
            .is_some_and(Peer::resolves_split_brain)
        {
            // The device may have lied: the node may receive us, and must know at once.
            self.tell_weight();
            self.out.push(ResourceOutput::SendStatus);
        }
    }
}
