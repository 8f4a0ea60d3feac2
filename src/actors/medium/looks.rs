//! When a medium looks at its interface.
//!
//! | The sockets are | Next look |
//! |---|---|
//! | open, and the opener tells of changes | when it tells of one, and in any case after [`WATCH_OPEN`] |
//! | closed, or the opener owes an answer, or it cannot tell of changes | after [`WATCH`], or when it tells of a change |
//!
//! So a medium of a healthy pair wakes nobody.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::opener::{Changed, Look, Seen};
use super::{MediumActor, State};
use crate::notice::{self, Notice};

/// Time between two looks at the interface while there is something to wait for.
const WATCH: Duration = Duration::from_secs(1);

/// The same while the sockets are open and changes are told. In case that a report is lost.
const WATCH_OPEN: Duration = Duration::from_secs(10);

/// The next look.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// The opener tells of changes.
    told_of_changes: bool,
    /// A change was told while an answer was on its way: it may be older.
    again: bool,
    next: Option<SpawnHandle>,
}

impl MediumActor {
    /// Has the interface looked at, again and again.
    pub(super) fn watch(&mut self, ctx: &mut Context<Self>) {
        let _entered = self.span.clone().entered();
        let now = self.clock.now().instant;
        self.inlet.ledger.report(now);
        if self.failures.stays_open(now) {
            self.say_open();
        }
        if self.asked.is_to_be_said(now) {
            notice::log(&Notice::OtherWarn {
                text: format!(
                    "interface {}: the kernel does not answer: no change of it is seen, and it is not opened",
                    self.plan.interface
                ),
            });
        }
        if self.asked.look.is_none() {
            self.asked.look = Some(now);
            let look = self.opener.send(Look {
                plan: Arc::clone(&self.plan),
                tell: ctx.address().recipient(),
            });
            ctx.spawn(look.into_actor(self).map(|answer, medium, ctx| {
                medium.asked.look = None;
                let seen = answer.unwrap_or_else(|gone| Seen {
                    found: Err(io::Error::other(gone)),
                    told_of_changes: false,
                });
                medium.looks.told_of_changes = seen.told_of_changes;
                medium.seen(seen.found, ctx);
                match std::mem::take(&mut medium.looks.again) {
                    true => medium.watch(ctx),
                    false => medium.look_later(ctx),
                }
            }));
        }
        self.look_later(ctx);
    }

    /// Puts the next look where it has to be now.
    pub(super) fn look_later(&mut self, ctx: &mut Context<Self>) {
        let is_open = matches!(self.state, State::Open { .. });
        let waits = self.asked.look.is_some() || self.asked.open.is_some();
        let pause = match is_open && !waits && self.looks.told_of_changes {
            true => WATCH_OPEN,
            false => WATCH,
        };
        let next = ctx.run_later(pause, Self::watch);
        if let Some(before) = self.looks.next.replace(next) {
            ctx.cancel_future(before);
        }
    }
}

impl Handler<Changed> for MediumActor {
    type Result = ();

    fn handle(&mut self, Changed: Changed, ctx: &mut Self::Context) {
        if self.asked.look.is_some() {
            self.looks.again = true;
        } else {
            self.watch(ctx);
        }
    }
}
