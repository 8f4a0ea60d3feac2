//! Signals as messages to the root actor. Spec: docs/protocol/tools.md, 2.

use actix::prelude::*;
use futures_util::stream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::error;

use super::RootActor;
use crate::os::blocked_signals;

/// A signal that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub(super) enum Signalled {
    /// TERM: stop in order.
    Terminate,
    /// HUP: read the files again.
    Hangup,
    /// USR1: debug level up.
    User1,
    /// USR2: debug level down.
    User2,
    /// ALRM: not expected from any process.
    Alarm,
    /// INT, TTIN, TTOU. A handler rather than "ignore", which scripts would inherit.
    Ignored,
}

/// The signals that are handled. All others keep their default action.
const HEARD: [(libc::c_int, Signalled); 8] = [
    (libc::SIGTERM, Signalled::Terminate),
    (libc::SIGHUP, Signalled::Hangup),
    (libc::SIGUSR1, Signalled::User1),
    (libc::SIGUSR2, Signalled::User2),
    (libc::SIGALRM, Signalled::Alarm),
    (libc::SIGINT, Signalled::Ignored),
    (libc::SIGTTIN, Signalled::Ignored),
    (libc::SIGTTOU, Signalled::Ignored),
];

/// Handlers for all of [`HEARD`]. A signal that arrives before there is an actor to hear it waits here.
pub(super) struct Signals(Vec<(Signal, Signalled)>);

impl Signals {
    /// Begins to handle the signals, and lets those through that were held back. Call it inside a
    /// runtime, before any other thread starts: what was held back there would be so in children too.
    pub(super) fn handle() -> Self {
        let mut handled = Vec::with_capacity(HEARD.len());
        for (number, meaning) in HEARD {
            match signal(SignalKind::from_raw(number)) {
                Ok(signal) => handled.push((signal, meaning)),
                Err(error) => error!(number, %error, "a signal cannot be heard"),
            }
        }
        blocked_signals::let_through();
        Self(handled)
    }

    /// From now on the signals come to the actor.
    pub(super) fn report_to(self, ctx: &mut Context<RootActor>) {
        for (signal, meaning) in self.0 {
            let arrivals = stream::unfold(signal, move |mut signal: Signal| async move {
                signal.recv().await.map(|()| (meaning, signal))
            });
            ctx.add_message_stream(arrivals);
        }
    }
}
