//! Compressed messages are unpacked on a helper thread: two hundred bytes can hold two megabytes,
//! which take longer than a batch of datagrams may, and the wrapper hides whose message it is and of
//! which run, so that even a datagram recorded weeks ago must be opened to be refused.
//!
//! One at a time, in the order they came. Messages that came behind one overtake it; the numbers of
//! its sender put that right, as when a datagram is lost and sent again. Nothing waits for it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use tracing::debug;

use super::MediumActor;
use super::heard::Way;
use crate::actors::threads::Aside;
use crate::protocol::codec::DecodeError;
use crate::protocol::compress;
use crate::protocol::message::Message;

/// Compressed messages of one medium that wait, at most: 64 KiB each. More are dropped, as datagrams
/// that a full socket cannot take: their senders are asked for them again.
const MAX_WAITING: usize = 16;

/// The helper thread rests this many times as long as the last message took it, so that a flood of
/// them costs a third of a processor at most.
const REST: u32 = 2;

/// Longest rest: a message that took long may have waited for a processor itself.
const MAX_REST: Duration = Duration::from_millis(40);

/// A verified message in its compression wrapper.
#[derive(Debug)]
pub(super) struct Packed {
    /// The wrapper.
    pub(super) message: Message,
    /// Who sent it, for the log.
    pub(super) from: Option<SocketAddr>,
    /// To whom it was sent.
    pub(super) way: Way,
}

/// What waits to be unpacked.
#[derive(Debug, Default)]
pub(super) struct Unpacking {
    waiting: VecDeque<Packed>,
    /// One is being unpacked, or its rest lasts.
    busy: bool,
    /// Where that is done.
    aside: Aside,
}

impl Unpacking {
    /// Takes one more; `false`: too many wait.
    pub(super) fn add(&mut self, packed: Packed) -> bool {
        let room = self.waiting.len() < MAX_WAITING;
        if room {
            self.waiting.push_back(packed);
        }
        room
    }

    /// The next one, unless the thread is busy.
    fn begin(&mut self) -> Option<Packed> {
        if self.busy {
            return None;
        }
        let next = self.waiting.pop_front();
        self.busy = next.is_some();
        next
    }
}

impl MediumActor {
    /// Unpacks the next message, if one waits and the helper thread is free.
    pub(super) fn unpack_next(&mut self, ctx: &mut Context<Self>) {
        let Some(Packed { message, from, way }) = self.unpacking.begin() else {
            return;
        };
        let begun = self.clock.now().instant;
        let work = self.unpacking.aside.run(move || compress::unwrap(message));
        ctx.spawn(work.into_actor(self).map(move |done, medium, ctx| {
            let now = medium.clock.now().instant;
            match done {
                Ok(Ok(message)) => {
                    medium.inlet.push(message, way, now);
                    medium.inlet.hand_over(|| now);
                }
                Ok(Err(reason)) => medium.inlet.refuse(&DecodeError::from(reason), from, now),
                Err(error) => debug!(%error, "a message was not unpacked"),
            }
            let rest = now.since(begun).saturating_mul(REST).min(MAX_REST);
            ctx.run_later(rest, |medium, ctx| {
                medium.unpacking.busy = false;
                medium.unpack_next(ctx);
            });
        }));
    }
}
