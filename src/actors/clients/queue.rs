//! What waits for membership: clients' messages, administrators' requests and frames. One of them
//! at a time is with membership.

use std::time::Duration;

use actix::prelude::*;
use tracing::{debug, warn};

use super::{ClientsActor, process_lives};
use crate::actors::messages::{AskCluster, AskMaintenance, Injected};
use crate::protocol::client::{Gone, MaintenanceRequest, Surroundings};
use crate::protocol::event::Origin;
use crate::protocol::message;

/// Pause between two checks of paused clients. Spec: docs/protocol/client-api.md, 10.
const PAUSED_LOOK: Duration = Duration::from_millis(50);

/// Most messages on their way to membership. Clients have one each; all others are answers to
/// questions of other nodes, which ask again.
const MAX_INJECTIONS: usize = 2048;

impl From<MaintenanceRequest> for AskMaintenance {
    fn from(request: MaintenanceRequest) -> Self {
        match request {
            MaintenanceRequest::Freeze => Self::Freeze,
            MaintenanceRequest::Thaw => Self::Thaw,
            MaintenanceRequest::Why => Self::Why,
        }
    }
}

/// Handle what waits.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Pump;

impl ClientsActor {
    /// Handles what waits, one item at a time.
    pub(super) fn pump(&mut self, ctx: &mut Context<Self>) {
        if self.busy {
            return;
        }
        if let Some(injected) = self.injections.pop_front() {
            self.busy = true;
            let work = self.setup.injected.send(injected).into_actor(self);
            ctx.spawn(work.map(|sent, act, ctx| {
                if let Err(error) = sent {
                    debug!(%error, "membership did not take a client's message");
                }
                act.busy = false;
                act.pump(ctx);
            }));
        } else if let Some((id, request)) = self.orders.pop_front() {
            self.busy = true;
            let asked = AskMaintenance::from(request);
            let work = self.setup.maintenance.send(asked).into_actor(self);
            ctx.spawn(work.map(move |answer, act, ctx| {
                act.busy = false;
                let answer = match answer {
                    Ok(answer) => answer.map_err(|refused| refused.to_string()),
                    Err(error) => Err(format!("membership does not answer: {error}")),
                };
                let mut out = Vec::new();
                act.registry.maintained(id, request, answer, &mut out);
                act.perform(out, ctx);
                act.pump(ctx);
            }));
        } else if let Some(heard) = self.frames.pop_front() {
            self.busy = true;
            let work = self.setup.cluster.send(AskCluster).into_actor(self);
            ctx.spawn(work.map(|view, act, ctx| {
                act.busy = false;
                match view {
                    Ok(view)
                        if view.paused && act.registry.is_signed_on(heard.id) == Some(true) =>
                    {
                        if act.held.is_empty() {
                            ctx.run_later(PAUSED_LOOK, |act, ctx| {
                                act.frames.append(&mut act.held);
                                act.pump(ctx);
                            });
                        }
                        act.held.push_back(heard);
                    }
                    Ok(view) => {
                        let around = Surroundings {
                            view: &view,
                            lives: &process_lives,
                        };
                        act.take(heard, &around, ctx);
                    }
                    Err(error) => {
                        let why = Gone::Failed(format!("membership does not answer: {error}"));
                        act.cut_off(heard.id, &why, ctx);
                    }
                }
                act.pump(ctx);
            }));
        }
    }

    /// Queues a message for the cluster, if there is room for it.
    pub(super) fn inject(
        &mut self,
        origin: Origin,
        message: message::Message,
        ctx: &mut Context<Self>,
    ) {
        if self.injections.len() >= MAX_INJECTIONS {
            if self
                .limiter
                .pass("messages dropped", self.clock.now().instant)
            {
                warn!("too many messages of clients at once: dropped one");
            }
            return;
        }
        self.injections.push_back(Injected { origin, message });
        // Not at once: outputs that come after this one must reach their client first.
        ctx.notify(Pump);
    }
}

impl Handler<Pump> for ClientsActor {
    type Result = ();

    fn handle(&mut self, _: Pump, ctx: &mut Self::Context) {
        self.pump(ctx);
    }
}
