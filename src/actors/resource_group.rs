//! One resource group: carries out start and stop orders, one at a time.
//!
//! The actor never assumes: every start begins with the scripts' `status`, and after a panic the
//! order in hand begins anew, behind any script that is still running.
//! Spec: resources, section 9; order of words, section 2.

mod native;
mod run;

use std::collections::VecDeque;
use std::sync::Arc;

use actix::WeakRecipient;
use actix::prelude::*;
use tokio::sync::Mutex;
use tracing::{Instrument, error_span, warn};

pub use run::{AddressFuture, AddressHandler, GroupContext};

use crate::actors::messages::{GroupCommand, GroupDone};
use crate::protocol::event::GroupOrder;
use crate::resources::group::ResourceGroup;
pub(crate) use run::GroupRun;

/// Runs the scripts of one group.
pub struct ResourceGroupActor {
    context: Arc<GroupContext>,
    group: ResourceGroup,
    done: WeakRecipient<GroupDone>,
    /// Orders not begun. One in flight and one behind it is what the core gives.
    waiting: VecDeque<GroupCommand>,
    /// The order in hand; kept through a panic.
    current: Option<GroupCommand>,
    turn: Arc<Mutex<()>>,
    busy: bool,
}

impl ResourceGroupActor {
    /// An idle group. `group` is what was loaded at start; the file is read again at every order.
    #[must_use]
    pub fn new(
        context: Arc<GroupContext>,
        group: ResourceGroup,
        done: WeakRecipient<GroupDone>,
    ) -> Self {
        Self {
            context,
            group,
            done,
            waiting: VecDeque::new(),
            current: None,
            turn: Arc::new(Mutex::new(())),
            busy: false,
        }
    }

    /// Begins the next order when none is in hand.
    fn next(&mut self, ctx: &mut Context<Self>) {
        if self.busy {
            return;
        }
        if self.current.is_none() {
            self.current = self.waiting.pop_front();
        }
        let Some(command) = self.current.clone() else {
            return;
        };
        self.busy = true;
        let mut run = GroupRun {
            context: Arc::clone(&self.context),
            group: self.group.clone(),
            turn: Arc::clone(&self.turn),
        };
        let span = error_span!("group", name = %command.group);
        let done = self.done.clone();
        let work = async move {
            run.refresh().await;
            let report = |outcome| match done.upgrade() {
                Some(done) => done.do_send(GroupDone {
                    order: command.order,
                    group: command.group,
                    outcome,
                }),
                None => warn!("nobody waits for the outcome of this order"),
            };
            match command.what {
                GroupOrder::Start => run.start(report).await,
                GroupOrder::Stop => run.stop(report).await,
            }
            run.group
        };
        let work = work.instrument(span).into_actor(self);
        ctx.spawn(work.map(|group, act, ctx| {
            act.group = group;
            act.busy = false;
            act.current = None;
            act.next(ctx);
        }));
    }
}

impl Actor for ResourceGroupActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.next(ctx);
    }
}

impl Supervised for ResourceGroupActor {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.busy = false;
    }
}

impl Handler<GroupCommand> for ResourceGroupActor {
    type Result = ();

    fn handle(&mut self, command: GroupCommand, ctx: &mut Self::Context) {
        self.waiting.push_back(command);
        self.next(ctx);
    }
}

#[cfg(test)]
pub(crate) mod tests;
