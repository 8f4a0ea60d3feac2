//! What is still open with a legacy node, and for how long.

use crate::clock::Monotonic;
use crate::protocol::name::NodeName;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::hands::STARTS;
use crate::resources::parts::standby::COMPLETION;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Messages of the node are lost: its offer may be one of them.
    pub(in crate::resources) fn lost_behind_scripts(&mut self, node: &NodeName) {
        if self.other.is_legacy(node) {
            self.loose.scripts_mut().words_lost();
        }
    }

    /// We hold what was asked for: through the standby that followed, or because we took it
    /// ourselves.
    pub(in crate::resources) const fn scripts_matter_no_more(&mut self) {
        if self.duty.holds(HoldingSet::FOREIGN) {
            self.loose.scripts_matter_no_more();
        }
    }

    /// A node is declared dead: records what it may be starting or running at that moment.
    pub(in crate::resources) fn note_hands_at_death(&mut self, node: &NodeName) {
        let set = self.standby.state().in_its_hands();
        let until = self.after(COMPLETION);
        let pair = self.other.is_pair();
        if let Some(peer) = self.other.peer_mut(node) {
            let left = (pair && !peer.is_systole()).then_some(set);
            peer.hands_mut().is_declared_dead(left, until);
        }
    }

    /// Messages of a node are lost for good: the one which says that its scripts are done may be
    /// among them.
    pub(in crate::resources) fn lost_with_full_hands(&mut self, node: &NodeName) {
        let soon = self.after(STARTS);
        if let Some(peer) = self.other.peer_mut(node) {
            peer.hands_mut().words_lost(soon);
        }
    }

    pub(in crate::resources) fn unreported_deadline(&self) -> Option<Monotonic> {
        let until = self.other.peers().filter_map(|peer| peer.hands().until());
        until.min()
    }

    pub(in crate::resources) fn unreported_overdue(&mut self) {
        for peer in self.other.peers_mut() {
            peer.hands_mut().overdue(self.now);
        }
    }
}
