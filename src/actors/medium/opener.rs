//! What the kernel may let wait. A look at an interface is a dump over netlink, and joining or leaving a group
//! changes an interface: all need the lock that every change of any interface takes, and some drivers hold it
//! for seconds. So it is done on a thread of its own. A medium asks, and goes on with what it has. A socket
//! leaves its groups when it is closed, so that is done there too.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, Message, MessageResult, Supervised};
use actix_rt::Arbiter;
use tracing::warn;

use super::interface::{self, InterfaceState};
use super::plan::MediumPlan;
use super::sockets::{MediumError, OpenMedium, open};
use crate::actors::supervise::{RestartPolicy, supervise};
use crate::actors::threads;
use crate::clock::Monotonic;

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

/// How long an answer may take before that is said. An operation in the kernel that takes longer is a fault of a
/// driver.
const ANSWERS_AFTER: Duration = Duration::from_secs(10);

/// What a medium has asked for and has no answer to, with the time of the question.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) look: Option<Monotonic>,
    pub(super) open: Option<Monotonic>,
    said: bool,
}

impl Asked {
    /// Whether it is to be said now that an answer is missing: once for each time that one is late.
    pub(super) fn is_to_be_said(&mut self, now: Monotonic) -> bool {
        let oldest = self.look.into_iter().chain(self.open).min();
        let late = oldest.is_some_and(|asked| now.since(asked) >= ANSWERS_AFTER);
        let said = std::mem::replace(&mut self.said, late);
        late && !said
    }
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
        let found = interface::read(&plan.interface);
        MessageResult(found.map(|it| it.map(|it| it.for_family(plan.receive.is_ipv6()))))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_does_not_come_is_said_once() {
        let at = |seconds| Monotonic::from_duration(Duration::from_secs(seconds));
        let mut asked = Asked::default();
        let mut said = |look: Option<u64>, open: Option<u64>, now| {
            (asked.look, asked.open) = (look.map(at), open.map(at));
            asked.is_to_be_said(at(now))
        };
        assert!(!said(None, None, 100), "nothing is asked");
        assert!(!said(Some(100), None, 109));
        assert!(said(Some(100), None, 110));
        assert!(!said(Some(100), None, 111), "once");
        assert!(!said(Some(112), None, 112), "there was an answer");
        assert!(said(Some(122), Some(112), 122), "the older one counts");
        assert!(!said(Some(123), Some(112), 123));
    }
}
