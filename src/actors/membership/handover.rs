//! Before the process replaces itself in place: what its successor must know, and a longer dead
//! time for the others to use meanwhile. Spec: docs/protocol/membership.md, 9.3.

use std::time::Duration;

use actix::{Context, Handler, Message, MessageResult};

use super::MembershipActor;
use crate::protocol::group::GroupKey;
use crate::protocol::status::NodeStatus;
use crate::resources::holding::HoldingSet;
use crate::resources::left_open::OpenStandby;

/// Added to the dead time that the others use for us: as legacy.
const EXTRA: Duration = Duration::from_secs(30);

/// What a successor goes on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// What the node holds by duty.
    pub holding: HoldingSet,
    /// Groups that run.
    pub running: Vec<GroupKey>,
    /// Groups with an order in hand when the daemon was killed: they may run or not.
    pub unfinished: Vec<GroupKey>,
    /// Groups that run here and are left to their owner, see `resources/owners.rs`.
    pub left: Vec<GroupKey>,
    /// Groups that are this node's by now and ran on the other node.
    pub came: Vec<GroupKey>,
    /// The other node's groups that are held were this node's before haresources was changed.
    pub to_go_home: bool,
    /// The standby that was open when the daemon was killed.
    pub standby: Option<OpenStandby>,
    /// Everything was being released when the daemon was killed.
    pub releases: bool,
    /// Nothing is started or stopped.
    pub frozen: bool,
}

impl Resume {
    /// Whether a group ran. One in the middle of a start may have been about to ask the network first
    /// who has its addresses, and proves nothing.
    #[must_use]
    pub fn surely_ran(&self) -> bool {
        let certain = |key: &GroupKey| !self.unfinished.contains(key);
        self.running.iter().any(certain)
    }
}

/// Asks whether the process may be replaced now. When it may, the others have been told.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Readiness")]
pub struct PrepareRestart;

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// The others are told; go on with this.
    Ready(Resume),
    /// Resources are in transition, addresses are taken away for a moment, or communication is not up: ask
    /// again.
    NotNow,
    /// The node is being stopped: never.
    Stopping,
}

/// The process is not replaced after all: the usual dead time again.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct CancelRestart;

impl Handler<PrepareRestart> for MembershipActor {
    type Result = MessageResult<PrepareRestart>;

    fn handle(&mut self, _: PrepareRestart, ctx: &mut Self::Context) -> Self::Result {
        if self.node.stopping() {
            return MessageResult(Readiness::Stopping);
        }
        // A successor would take groups without their addresses for whole.
        let may_run = |key| self.kept.may_run.contains(key);
        let whole = !self.last_told.withdrawn().any(may_run);
        let settled = whole && self.node.rscstatus() != Some("transition");
        if self.node.status() != NodeStatus::Active || !settled {
            return MessageResult(Readiness::NotNow);
        }
        self.change_dead_time(ctx, true);
        MessageResult(Readiness::Ready(Resume {
            holding: self.node.holding(),
            running: self.node.held_groups().cloned().collect(),
            // Else it is in transition.
            unfinished: Vec::new(),
            left: self.node.left_groups().cloned().collect(),
            came: self.node.came_groups().cloned().collect(),
            to_go_home: false,
            // Else it is in transition.
            standby: None,
            releases: false,
            frozen: self.node.frozen(),
        }))
    }
}

impl Handler<CancelRestart> for MembershipActor {
    type Result = ();

    fn handle(&mut self, _: CancelRestart, ctx: &mut Self::Context) {
        self.change_dead_time(ctx, false);
    }
}

impl MembershipActor {
    fn change_dead_time(&mut self, ctx: &mut Context<Self>, raise: bool) {
        let now = self.clock.now();
        let mut actions = std::mem::take(&mut self.actions);
        if raise {
            self.node.announce_silence(EXTRA, now, &mut actions);
        } else {
            self.node.call_off_silence(now, &mut actions);
        }
        self.perform_all(actions);
        self.rearm(ctx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_being_started_did_not_surely_run() {
        let keys = |words: &[&str]| words.iter().map(|word| GroupKey::new(word)).collect();
        let resume = |running, unfinished| Resume {
            holding: HoldingSet::ALL,
            running: keys(running),
            unfinished: keys(unfinished),
            left: Vec::new(),
            came: Vec::new(),
            to_go_home: false,
            standby: None,
            releases: false,
            frozen: false,
        };
        assert!(resume(&["a"], &[]).surely_ran());
        assert!(resume(&["a", "b"], &["b"]).surely_ran());
        assert!(!resume(&["a"], &["a"]).surely_ran());
        assert!(!resume(&[], &[]).surely_ran());
    }
}
