//! Addresses that are moved without an order: removed at once, or put back. Such a move runs beside
//! an order in hand, so that a slow script does not delay it. A start that is in hand meanwhile
//! goes on without the addresses, because another node may take them in a moment. Only the next
//! order to start, or the move back, adds them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::prelude::*;
use tracing::{Instrument, error_span};

use super::log::log;
use super::{GroupRun, ResourceGroupActor, Work};
use crate::actors::messages::MoveAddresses;
use crate::net::address::parse_word;
use crate::notice::Severity;
use crate::protocol::event::GroupOutcome;

/// Whether the addresses of a group must stay away; shared by the actor and the order in hand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bare(Arc<AtomicBool>);

impl Bare {
    pub(super) fn set(&self, bare: bool) {
        self.0.store(bare, Ordering::SeqCst);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl GroupRun {
    /// Whether `word` is an address, and addresses must stay away.
    pub(super) fn goes_without(&self, word: &str) -> bool {
        let goes = self.bare.is_set() && matches!(parse_word(word), Ok(Some(_)));
        if goes {
            log(
                Severity::Warn,
                &format!("{word} is not started: the addresses of this group are withdrawn"),
            );
        }
        goes
    }

    /// Called after the start of an address: the addresses may have been withdrawn while it came
    /// up.
    pub(super) async fn after_address(&self, word: &str) {
        if self.bare.is_set() && matches!(parse_word(word), Ok(Some(_))) {
            self.withdraw_addresses().await;
        }
    }
}

impl ResourceGroupActor {
    /// Whether nothing of the group is to run here.
    fn is_down(&self) -> bool {
        let idle = self.work != Work::Order;
        self.stopped
            || (idle
                && self
                    .last_outcome()
                    .is_some_and(|it| it != GroupOutcome::Started))
    }
}

impl Handler<MoveAddresses> for ResourceGroupActor {
    type Result = ();

    /// Runs beside an order in hand.
    fn handle(&mut self, order: MoveAddresses, ctx: &mut Self::Context) {
        self.bare.set(order.withdraw);
        if !order.withdraw && self.is_down() {
            return;
        }
        let (run, moving) = (self.group_run(), Arc::clone(&self.moving));
        let span = error_span!("group", name = %order.group);
        let work = async move {
            let _alone = moving.lock().await;
            if order.withdraw {
                run.withdraw_addresses().await;
            } else {
                run.restore_addresses().await;
            }
        };
        ctx.spawn(work.instrument(span).into_actor(self));
    }
}
