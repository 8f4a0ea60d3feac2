//! Signals as messages to the root actor. Spec: docs/protocol/tools.md, 2.

use actix::prelude::*;
use futures_util::stream;
use nix::sys::signal::{SigSet, Signal as Number};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::error;

use super::RootActor;

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

/// From now on the signals come to the actor.
pub(super) fn listen(ctx: &mut Context<RootActor>) {
    for (number, meaning) in HEARD {
        match signal(SignalKind::from_raw(number)) {
            Ok(signal) => {
                let arrivals = stream::unfold(signal, move |mut signal: Signal| async move {
                    signal.recv().await.map(|()| (meaning, signal))
                });
                ctx.add_message_stream(arrivals);
            }
            Err(error) => error!(number, %error, "a signal cannot be heard"),
        }
    }
    let_through();
}

/// The signals whose default action would end a process that has no handler for them yet.
fn deadly() -> SigSet {
    let mut set = SigSet::empty();
    for number in [
        Number::SIGTERM,
        Number::SIGHUP,
        Number::SIGUSR1,
        Number::SIGUSR2,
        Number::SIGALRM,
    ] {
        set.add(number);
    }
    set
}

/// Holds signals back while the process begins or replaces itself: what was blocked stays so
/// through `exec`, and signals that come meanwhile wait until there is a root actor to handle them.
/// Children are started without any of it.
pub fn hold_back() {
    if let Err(error) = deadly().thread_block() {
        error!(%error, "signals cannot be held back");
    }
}

/// Reverses [`hold_back`].
pub(super) fn let_through() {
    if let Err(error) = deadly().thread_unblock() {
        error!(%error, "signals cannot be let through");
    }
}
