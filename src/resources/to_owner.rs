//! What runs here and belongs to a legacy node since haresources was changed, when that node begins anew.
//!
//! | Its new run | It shows by | What is left to it |
//! |---|---|---|
//! | goes on with what it held (`heartbeat -r`) | a first report that says `local` | runs on here: it starts nothing |
//! | was started | a first report that does not | is stopped, and reported as still being released until then: it takes its own unless we say that we hold them |
//! | says nothing | three questions without an answer | the same |
//!
//! So its word comes before ours: its `starting` is answered with a question, and the report follows its
//! answer. A legacy node that has heard no report takes nothing.

use super::holding::HoldingSet;
use super::state::{Phase, ResourceState};
use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;

impl ResourceState {
    /// Whether a legacy owner of what is left to it was seen to begin anew, and has not reported yet.
    pub(super) fn owner_begins_anew(&self, node: &NodeName) -> bool {
        let manages = self.nice() && self.is_pair() && !self.stopping();
        let peer = self.peers.get(node);
        manages
            && self.phase != Phase::Shutdown
            && !self.left.is_empty()
            && peer.is_some_and(|peer| {
                !peer.systole && !peer.reported && peer.fresh && !peer.is_gone()
            })
    }

    /// Its `starting` is answered when it has said what it holds. `false`: at once.
    pub(super) fn ask_before_answer(&mut self, node: &NodeName) -> bool {
        if !self.owner_begins_anew(node) {
            return false;
        }
        if let Some(peer) = self.peers.get_mut(node) {
            peer.asked = 1;
        }
        self.ask();
        if self.timers.ask_again.is_none() {
            self.ask_soon();
        }
        true
    }

    /// What it holds; `None`: it does not say.
    pub(super) fn owner_began_anew(&mut self, node: &NodeName, holds: Option<HoldingSet>) {
        let goes_on = holds.is_some_and(|holds| holds.has(HoldingSet::LOCAL));
        let keys: Vec<GroupKey> = self.left.iter().cloned().collect();
        if goes_on || keys.is_empty() {
            return;
        }
        let named = Self::named(&keys);
        self.lift_freeze("a node begins anew that owns what runs here");
        self.left.clear();
        self.release_unheld(
            keys,
            &format!("stopping {named}: its owner {node} begins anew, and takes it"),
            "a legacy node takes its own when it is started, and asks nobody",
        );
    }
}
