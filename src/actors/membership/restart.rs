//! Before the process replaces itself in place: what its successor must know, and a longer dead
//! time for the others to use meanwhile. Spec: docs/protocol/membership.md, 9.3.

use std::collections::BTreeSet;

use actix::{Context, Handler, Message, MessageResult};

use super::MembershipActor;
use crate::node::resume::Duty;
use crate::protocol::group::GroupKey;
use crate::protocol::settings::RESTART_EXTRA;
use crate::protocol::status::NodeStatus;

/// Asks whether the process may be replaced now. When it may, the others have been told.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Readiness")]
pub struct PrepareRestart;

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// The others are told; go on with this, and with the groups that may run.
    Ready {
        /// What the node holds, and that it is settled.
        duty: Duty,
        /// Groups that run here and are left to their owner.
        left: BTreeSet<GroupKey>,
        /// Groups that are this node's by now and ran on the other node.
        came: BTreeSet<GroupKey>,
    },
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
        let whole = self.kept.ledger.withdrawn().next().is_none();
        let settled = whole && !self.node.in_transition();
        if self.node.status() != NodeStatus::Active || !settled {
            return MessageResult(Readiness::NotNow);
        }
        self.change_dead_time(ctx, true);
        MessageResult(Readiness::Ready {
            duty: Duty {
                // Else it is in transition.
                standby: None,
                releases: false,
                ..self.node.duty()
            },
            left: self.node.left_groups().cloned().collect(),
            came: self.node.came_groups().cloned().collect(),
        })
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
            self.node.announce_silence(RESTART_EXTRA, now, &mut actions);
        } else {
            self.node.call_off_silence(now, &mut actions);
        }
        self.perform_all(actions);
        self.rearm(ctx);
    }
}
