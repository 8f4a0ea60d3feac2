//! Restart in place: the process executes itself anew under the same process id while the groups
//! run on. The others see a longer dead time, a silence of some hundredths of a second, and a new
//! generation. Spec: docs/protocol/membership.md, 9.3; docs/protocol/config.md, 9.
//!
//! | Step | Done by |
//! |---|---|
//! | the new files are checked; a bad one ends it here | root |
//! | so does a state directory that cannot be written to | root |
//! | the respawned clients are stopped, last first; if their thread hangs, it ends here | root |
//! | a thread that hangs in the kernel ends it here: `exec` would wait for it, and no heartbeat would be sent | root |
//! | wait until no resource is in transition | root asks membership, once a second |
//! | the longer dead time is sent, the set held is reported | membership |
//! | the watchdog gets a longer interval, or is closed for good for another program ([`super::watchdog`]) | its actor |
//! | what was sent leaves | root |
//! | orders are written down from now on, and not begun; if anything has changed since, everything is called off | groups |
//! | the file of what is held says what the successor goes on with; `exec` with the words of it, signals held back | root |
//! | the new image resumes with that set | membership |

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use tracing::{error, info};

use super::{ClientsAsked, RootActor};
use crate::actors::groups::{Seal, Unseal};
use crate::actors::membership::restart::{CancelRestart, PrepareRestart, Readiness};
use crate::actors::threads;
use crate::notice::{self, Notice, Severity};
use crate::os::blocked_signals;
use crate::os::execute::execute;
use crate::process::daemonize;

/// Pause before a restart that had to wait is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Pause in which the announcement leaves.
const LEAVE: Duration = Duration::from_millis(50);

/// How long the log may take for what is in its queue.
const FLUSH: Duration = Duration::from_secs(1);

/// The state of a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restart {
    /// No restart is wanted.
    No,
    /// Wanted; membership was asked, or will be.
    Wanted,
    /// The others have been told.
    Announced,
}

impl RootActor {
    /// Replaces the process as soon as that may be.
    pub(super) fn restart(&mut self, ctx: &mut Context<Self>) {
        if self.restart != Restart::No {
            return;
        }
        self.restart = Restart::Wanted;
        notice::log(&Notice::RestartTriggered {});
        // A successor that cannot write its generation must not begin, and the old process would be
        // gone then.
        let file = Arc::clone(&self.generation_file);
        let work = tokio::task::spawn_blocking(move || {
            let file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.rewrite()
        });
        ctx.spawn(work.into_actor(self).map(|done, root, ctx| match done {
            Ok(Ok(())) => root.stop_clients_and_restart(ctx),
            Ok(Err(error)) => root.cannot_restart(&error),
            Err(error) => root.cannot_restart(&error),
        }));
    }

    fn cannot_restart(&mut self, error: &dyn std::fmt::Display) {
        self.restart = Restart::No;
        error!(%error, "a successor could not begin: no restart, the old process goes on");
    }

    fn stop_clients_and_restart(&mut self, ctx: &mut Context<Self>) {
        // A client that ran on would run twice under the successor.
        let stopped = self.clients.stop().into_actor(self);
        ctx.spawn(stopped.map(|stopped, root, ctx| match stopped {
            Ok(()) => root.try_restart(ctx, true),
            Err(error) => {
                root.cannot_restart(&error);
                root.no_restart();
            }
        }));
    }

    /// The context that was to go on with a restart is gone: no restart is wanted any more, and the
    /// clients run.
    pub(super) fn give_restart_up(&mut self) {
        if self.restart == Restart::Announced {
            self.membership.do_send(CancelRestart);
            self.keep_watchdog();
            self.keep_lease();
        }
        if self.restart != Restart::No {
            error!("the restart is given up after a fault of our own: ask for it again");
        }
        self.no_restart();
    }

    /// There will be no restart: the clients are needed again.
    fn no_restart(&mut self) {
        self.restart = Restart::No;
        if !self.stopping && self.clients_asked == ClientsAsked::Run {
            self.clients.start();
        }
    }

    /// Goes on only if no thread hangs in the kernel: `exec` ends all others at once, also that of
    /// the heartbeats, and begins the successor only when each has ended.
    fn try_restart(&mut self, ctx: &mut Context<Self>, first: bool) {
        let look = threads::hanging().into_actor(self);
        ctx.spawn(look.map(move |hanging, root, ctx| match hanging {
            None => root.ask_for_restart(ctx, first),
            Some(name) => {
                root.cannot_restart(&format!("the thread {name:?} hangs in the kernel"));
                root.no_restart();
            }
        }));
    }

    fn ask_for_restart(&mut self, ctx: &mut Context<Self>, first: bool) {
        let asked = self.membership.send(PrepareRestart).into_actor(self);
        ctx.spawn(asked.map(move |answer, root, ctx| match answer {
            Ok(Readiness::Ready { duty, left, came }) => {
                root.restart = Restart::Announced;
                root.held.with(|held| held.settled(&duty, &left, &came));
                let drained = root.drain_serial_lines(false);
                let handed_on = root.hand_watchdog_on();
                let parted = root.part_from_lease();
                let left = async move {
                    tokio::join!(tokio::time::sleep(LEAVE), drained, handed_on, parted);
                };
                ctx.spawn(left.into_actor(root).map(|(), root, ctx| root.seal(ctx)));
            }
            Ok(Readiness::NotNow) => {
                if first {
                    info!("the restart waits until the resources are settled");
                }
                ctx.run_later(AGAIN, |root, ctx| root.try_restart(ctx, false));
            }
            Ok(Readiness::Stopping) => root.no_restart(),
            Err(error) => {
                root.no_restart();
                error!(%error, "membership does not answer: no restart");
            }
        }));
    }

    /// Goes on unless anything has changed since membership was asked: an order for a group, for
    /// example. What is ordered from now on is in the file, and begun by the successor or after
    /// [`Unseal`].
    fn seal(&mut self, ctx: &mut Context<Self>) {
        let sealed = self.groups.send(Seal).into_actor(self);
        ctx.spawn(sealed.map(|settled, root, ctx| {
            if root.restart != Restart::Announced {
                root.groups.do_send(Unseal);
            } else if matches!(settled, Ok(true)) && root.held.with(|held| held.is_settled()) {
                root.replace(ctx);
            } else {
                root.call_off_restart(ctx);
            }
        }));
    }

    /// What the successor would read is not what it has to know: this is tried again soon.
    fn call_off_restart(&mut self, ctx: &mut Context<Self>) {
        self.restart = Restart::Wanted;
        self.groups.do_send(Unseal);
        self.membership.do_send(CancelRestart);
        self.keep_watchdog();
        self.keep_lease();
        ctx.run_later(AGAIN, |root, ctx| root.try_restart(ctx, false));
    }

    fn replace(&mut self, ctx: &mut Context<Self>) {
        let words = self.held.with(|held| held.successor_words());
        notice::log(&Notice::Restarting {});
        let holding = self.held.with(|held| held.holding());
        let text = format!("Current resources: -R -C {holding}");
        self.log.line(Severity::Info, text);
        self.log
            .line(Severity::Info, "Performing heartbeat restart exec.");
        self.log.flush(FLUSH);
        // Perhaps for a moment only.
        if threads::waits_in_kernel() {
            return self.call_off_restart(ctx);
        }
        blocked_signals::hold_back();
        self.guardian.offer();
        let failed = execute(&self.program, daemonize::TITLE, words);
        // Still here.
        self.guardian.keep();
        blocked_signals::let_through();
        let program = self.program.display().to_string();
        error!(program, error = %failed, "cannot execute ourselves: the old process goes on");
        self.groups.do_send(Unseal);
        self.membership.do_send(CancelRestart);
        self.keep_watchdog();
        self.keep_lease();
        self.no_restart();
    }
}
