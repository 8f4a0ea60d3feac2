//! What the kernel may let wait. A look at an interface is a dump over netlink, and joining or leaving a group
//! changes an interface: all need the lock that every change of any interface takes, and some drivers hold it
//! for seconds. So it is done on a thread of its own. A medium asks, and goes on with what it has. A socket
//! leaves its groups when it is closed, so that is done there too.

use std::io;
use std::sync::Arc;

use actix::{Actor, Addr, Arbiter, Context, Handler, Message, MessageResult, Supervised};
use tracing::warn;

use super::interface::{self, InterfaceState};
use super::plan::MediumPlan;
use super::sockets::{MediumError, OpenMedium, open};
use crate::actors::supervise::{RestartPolicy, supervise};
use crate::actors::threads;

/// Looks at interfaces, opens sockets and closes them, one request after another.
#[derive(Debug)]
pub struct Opener(());

/// Starts it on a thread of its own, which ends with the program; all media share it.
#[must_use]
pub fn opener() -> Addr<Opener> {
    let arbiter = match threads::media() {
        Ok(thread) => thread.handle(),
        // A node must start where no thread is to be had. Any thread but that of the heartbeats will do.
        Err(error) => {
            warn!(%error, "no thread for looking at interfaces");
            Arbiter::current()
        }
    };
    supervise(&arbiter, RestartPolicy::new("opener"), |_| Opener(()))
}

/// Asks for the state of the interface of a plan.
#[derive(Debug, Message)]
#[rtype(result = "io::Result<Option<InterfaceState>>")]
pub(super) struct Look(pub(super) Arc<MediumPlan>);

/// Asks for the sockets of a plan.
#[derive(Debug, Message)]
#[rtype(result = "Result<OpenMedium, MediumError>")]
pub(super) struct Open(pub(super) Arc<MediumPlan>);

/// A socket that is not needed any more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Close<S>(pub(super) S);

impl Actor for Opener {
    type Context = Context<Self>;
}

impl Supervised for Opener {}

impl Handler<Look> for Opener {
    type Result = MessageResult<Look>;

    fn handle(&mut self, Look(plan): Look, _: &mut Self::Context) -> Self::Result {
        MessageResult(interface::read(&plan.interface))
    }
}

impl Handler<Open> for Opener {
    type Result = MessageResult<Open>;

    fn handle(&mut self, Open(plan): Open, _: &mut Self::Context) -> Self::Result {
        MessageResult(open(&plan))
    }
}

impl<S: Send + 'static> Handler<Close<S>> for Opener {
    type Result = ();

    fn handle(&mut self, Close(socket): Close<S>, _: &mut Self::Context) {
        drop(socket);
    }
}
