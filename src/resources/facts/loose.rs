//! What is still open with a legacy node, and how long.

use crate::clock::Monotonic;
use crate::protocol::name::NodeName;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::behind_scripts::{SAID, Scripts};
use crate::resources::parts::hands::STARTS;
use crate::resources::parts::standby::COMPLETION;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Until when its groups are not taken although nobody claims them.
    pub(in crate::resources) fn scripts_until(&self) -> Option<Monotonic> {
        match self.beside_legacy.scripts {
            Scripts::Asked { at, .. } => Some(at + COMPLETION),
            Scripts::Unknown | Scripts::Done | Scripts::Late { .. } => None,
        }
    }

    /// Words of it are lost: its offer may be among them.
    pub(in crate::resources) fn lost_behind_scripts(&mut self, node: &NodeName) {
        let asked = matches!(self.beside_legacy.scripts, Scripts::Asked { .. });
        if asked && self.other.is_legacy(node) {
            self.beside_legacy.scripts = Scripts::Unknown;
        }
    }

    /// What was asked for is ours: by the standby that has followed, or by our own hand.
    pub(in crate::resources) fn scripts_matter_no_more(&mut self) {
        let served = self.duty.holds(HoldingSet::FOREIGN);
        if served {
            self.beside_legacy.scripts = Scripts::Unknown;
        }
    }

    pub(in crate::resources) fn scripts_deadline(&self) -> Option<Monotonic> {
        match self.beside_legacy.scripts {
            Scripts::Asked { at, said: false } => Some(at + SAID),
            Scripts::Asked { .. } | Scripts::Unknown | Scripts::Done | Scripts::Late { .. } => None,
        }
    }

    /// It takes them: what a person brings here later is not offered once more.
    pub(in crate::resources) const fn offered_back(&mut self) {
        self.beside_legacy.offer_back_at = None;
        self.beside_legacy.offer_pause = None;
    }

    pub(in crate::resources) fn offer_back_deadline(&self) -> Option<Monotonic> {
        self.beside_legacy.offer_back_at.filter(|at| *at > self.now)
    }

    /// A node is declared dead: what it has in its hands then.
    pub(in crate::resources) fn note_hands_at_death(&mut self, node: &NodeName) {
        let set = self.in_its_hands();
        let until = self.after(COMPLETION);
        let pair = self.other.is_pair();
        if let Some(peer) = self.other.peer_mut(node) {
            let left = (pair && !peer.is_systole()).then_some(set);
            peer.hands_mut().is_declared_dead(left, until);
        }
    }

    /// Words of a node are lost for good: the word that its scripts are done may be among them.
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
