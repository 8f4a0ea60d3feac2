//! What a freeze stops and leaves for the thaw, and how another rule lifts it.

use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::resources::gate::{Act, Obstacle};
use crate::resources::holding::HoldingSet;
use crate::resources::parts::run::Phase;
use crate::resources::parts::timers::Timer;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Freezes the node, or logs why not.
    pub(in crate::resources) fn freeze(&mut self) {
        if self.freeze.is_on() {
            return;
        }
        if let Err(why) = self.may_freeze() {
            return self.warn(format!("freeze refused: {why}"));
        }
        self.freeze.begins();
        self.unowned.forget();
        self.warn("frozen: no resource is started or stopped until the thaw");
        self.decide(
            format!("freezes, holding {}", self.duty.held()),
            "systole freeze was called",
        );
    }

    /// Used when the node was frozen before its process or core began anew. Without effect if
    /// something is left to be released: a release ends the freeze. Call after
    /// [`finish`](Self::finish).
    pub fn keep_frozen(&mut self) {
        if self.may(Act::KeepFrozen) {
            self.freeze.begins();
        }
    }

    /// Ends the freeze, because another rule has priority.
    pub(in crate::resources) fn lift_freeze(&mut self, cause: &str) {
        if self.freeze.is_on() {
            self.freeze.ends();
            self.warn(format!("no longer frozen: {cause}"));
            self.decide("is no longer frozen", cause);
        }
    }

    /// A node is gone. Its groups are not taken over before the thaw.
    pub(in crate::resources) fn leave_for_thaw(&mut self, node: &NodeName, dead: Option<Message>) {
        self.other.settles();
        self.freeze.leave_node(node, dead);
        self.warn(format!(
            "frozen: the resources of {node} are not taken until the thaw"
        ));
        self.decide(
            format!("does not take the resources of {node}"),
            Obstacle::Frozen.text(),
        );
        if matches!(self.run.phase(), Phase::Starting | Phase::Waiting) && self.other.all_gone() {
            self.run.enters(Phase::Stable);
            self.timers.clear(Timer::Own);
        }
    }

    /// Leaves own groups stopped until the thaw.
    pub(in crate::resources) fn leave_local_for_thaw(&mut self) {
        if self.duty.holds(HoldingSet::LOCAL) || !self.freeze.leave_local() {
            return;
        }
        self.warn("frozen: the local resources are not started until the thaw");
        self.decide(
            "does not start the local resources",
            Obstacle::Frozen.text(),
        );
    }
}
