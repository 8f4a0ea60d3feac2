//! What the kernel may let wait. A look at an interface is a dump over netlink, and joining or leaving a group
//! changes an interface: all need the lock that every change of any interface takes, and some drivers hold it
//! for seconds. So it is done on a thread of its own. A medium asks, and goes on with what it has. A socket
//! leaves its groups when it is closed, so that is done there too.
//!
//! The kernel tells this thread of each change of an interface, and it tells the media. So a medium that is
//! open need not look again and again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_rt::Arbiter;
use tracing::{debug, warn};

use super::interface::{self, InterfaceState};
use super::plan::MediumPlan;
use super::sockets::{MediumError, OpenMedium, open};
use crate::actors::supervise::{RestartPolicy, supervise};
use crate::actors::threads;
use crate::clock::Monotonic;
use crate::net::news::Subscription;

/// Looks at interfaces, opens sockets and closes them, one request after another.
#[derive(Debug, Default)]
pub struct Opener {
    /// Who has looked, and is told of changes.
    media: Vec<Recipient<Changed>>,
    /// The kernel's reports arrive.
    subscribed: bool,
    /// They will be told in a moment.
    about_to_tell: bool,
}

/// Changes come in crowds: a medium is told once for all that come within this time.
const CROWD: Duration = Duration::from_millis(100);

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
    supervise(&arbiter, RestartPolicy::new("opener"), |_| {
        Opener::default()
    })
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

/// Asks for the state of the interface of a plan, and to be told when any interface changes.
#[derive(Debug, Message)]
#[rtype(result = "Seen")]
pub(super) struct Look {
    pub(super) plan: Arc<MediumPlan>,
    pub(super) tell: Recipient<Changed>,
}

/// An interface, and whether the next change is told.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) found: io::Result<Option<InterfaceState>>,
    pub(super) told_of_changes: bool,
}

/// An interface has changed, or an address of one.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(super) struct Changed;

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

impl Supervised for Opener {
    /// What was to be done later is gone with the old life.
    fn restarting(&mut self, _: &mut Self::Context) {
        self.subscribed = false;
        self.about_to_tell = false;
    }
}

impl Opener {
    /// Before a look: what changes after it is told.
    fn subscribe(&mut self, ctx: &mut Context<Self>) {
        if self.subscribed {
            return;
        }
        let subscription = match Subscription::open() {
            Ok(subscription) => subscription,
            Err(error) => return debug!(%error, "changes of interfaces are not told"),
        };
        self.subscribed = true;
        let own = ctx.address();
        let read = async move {
            while subscription.next().await.is_ok() {
                own.do_send(Reported);
            }
        };
        ctx.spawn(read.into_actor(self).map(|(), opener, ctx| {
            opener.subscribed = false;
            // They look, so that there is another subscription.
            opener.tell(ctx);
        }));
    }

    fn tell(&mut self, _: &mut Context<Self>) {
        self.about_to_tell = false;
        self.media.retain(Recipient::connected);
        for medium in &self.media {
            // One whose mailbox is full looks by itself, later.
            let _ = medium.try_send(Changed);
        }
    }
}

/// The kernel has reported something.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Reported;

impl Handler<Reported> for Opener {
    type Result = ();

    fn handle(&mut self, Reported: Reported, ctx: &mut Self::Context) {
        if !std::mem::replace(&mut self.about_to_tell, true) {
            ctx.run_later(CROWD, Self::tell);
        }
    }
}

impl Handler<Look> for Opener {
    type Result = MessageResult<Look>;

    fn handle(&mut self, Look { plan, tell }: Look, ctx: &mut Self::Context) -> Self::Result {
        self.subscribe(ctx);
        if !self.media.contains(&tell) {
            self.media.push(tell);
        }
        let found = interface::read(&plan.interface);
        MessageResult(Seen {
            found: found.map(|it| it.map(|it| it.for_family(plan.receive.is_ipv6()))),
            told_of_changes: self.subscribed,
        })
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
