//! The blocked signals of a process. A child inherits those of the thread that starts it, and a service
//! those of the script that starts it, for as long as it lives: a database that cannot receive TERM can
//! only be killed. So every program of ours that starts others begins with none blocked, whatever its caller
//! had, and blocks some only where it starts nothing.

use std::process::Command;

use nix::sys::signal::{SigSet, Signal};
use tracing::error;

use super::sys;

/// The signals that are handled, and whose default action would end a process that has no handler for them yet.
const DEADLY: [Signal; 5] = [
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
];

/// Holds signals back while the process begins or replaces itself: what was blocked stays so
/// through `exec`, and signals that come meanwhile wait until there is a handler. Call it before there is another thread,
/// which would take the signal, and [`let_through`] before anything is started.
pub fn hold_back() {
    if let Err(error) = SigSet::from_iter(DEADLY).thread_set_mask() {
        error!(%error, "signals cannot be held back");
    }
}

/// From now on this thread blocks no signal, and neither do the threads and programs that it starts.
pub fn let_through() {
    if let Err(error) = SigSet::empty().thread_set_mask() {
        error!(%error, "signals cannot be let through");
    }
}

/// Makes `command` begin without blocked signals, for a program that blocks some itself meanwhile.
pub fn begin_without(command: &mut Command) {
    sys::before_exec(command, || {
        SigSet::empty().thread_set_mask().map_err(Into::into)
    });
}
