//! Before the process replaces itself: what is ordered from now on is for the successor.

use actix::prelude::*;

use super::GroupsActor;

/// From root: from now on orders are written down, so that a successor knows them, and not begun.
/// Answered with whether nothing has changed since everything was settled.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "bool")]
pub struct Seal;

/// From root: the process goes on. What was ordered meanwhile is begun.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Unseal;

/// From root: answered when everything is written down that membership has told before.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Written;

impl Handler<Written> for GroupsActor {
    type Result = ();

    /// What was told before was handled before.
    fn handle(&mut self, _: Written, _: &mut Self::Context) {}
}

impl Handler<Seal> for GroupsActor {
    type Result = ResponseFuture<bool>;

    fn handle(&mut self, _: Seal, _: &mut Self::Context) -> Self::Result {
        self.sealed = true;
        let held = self.held.clone();
        let checks = self.checks_ended();
        Box::pin(async move {
            // A program of a check would run on beside the checks of the successor.
            checks.await;
            held.with(|held| held.is_settled())
        })
    }
}

impl Handler<Unseal> for GroupsActor {
    type Result = ();

    fn handle(&mut self, _: Unseal, _: &mut Self::Context) {
        if std::mem::take(&mut self.sealed) {
            self.hand_on_again();
        }
    }
}
