//! Messages that may have to be compressed are encoded on a helper thread: bzip2 needs some ten
//! milliseconds for a large one, and the next heartbeat does not wait for it.
//!
//! One at a time, in the order they were sent. What is sent behind one overtakes it; the numbers put
//! that right, as when a datagram is lost and sent again. A node that asks for one meanwhile gets the one
//! that is in work: else such requests would fill the queue.

use std::collections::VecDeque;
use std::sync::Arc;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use tracing::debug;

use super::MembershipActor;
use crate::actors::threads::Aside;
use crate::protocol::field;
use crate::protocol::message::Message;

/// Bytes of messages that wait, at most. More are dropped, as datagrams that a full socket cannot
/// take: the other nodes ask for them again.
const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;

/// What waits to be encoded.
#[derive(Debug, Default)]
pub(super) struct Packing {
    waiting: VecDeque<Message>,
    bytes: usize,
    busy: bool,
    /// The one in work.
    now: Option<Number>,
    /// Where that is done.
    aside: Aside,
}

/// Generation and number of a message.
type Number = (Vec<u8>, Vec<u8>);

fn number_of(message: &Message) -> Option<Number> {
    let text = |name| message.text_bytes(name).map(<[u8]>::to_vec);
    Some((text(field::HG)?, text(field::SEQ)?))
}

impl Packing {
    /// Takes one more; `false`: too many wait.
    pub(super) fn add(&mut self, message: Message) -> bool {
        let number = number_of(&message);
        let waits = || self.waiting.iter().any(|other| number_of(other) == number);
        if number.is_some() && (self.now == number || waits()) {
            return true;
        }
        let bytes = self.bytes.saturating_add(message.memory_bytes());
        let room = bytes <= MAX_WAITING_BYTES;
        if room {
            self.bytes = bytes;
            self.waiting.push_back(message);
        }
        room
    }

    /// Puts one back, before all others.
    fn again(&mut self, message: Message) {
        self.bytes = self.bytes.saturating_add(message.memory_bytes());
        self.waiting.push_front(message);
    }

    /// The next one, unless the thread is busy.
    fn begin(&mut self) -> Option<Message> {
        if self.busy {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(next.memory_bytes());
        self.busy = true;
        self.now = number_of(&next);
        Some(next)
    }
}

impl MembershipActor {
    /// Encodes the next message, if one waits and the helper thread is free.
    pub(super) fn pack_next(&mut self, ctx: &mut Context<Self>) {
        let Some(message) = self.packing.begin() else {
            return;
        };
        let (keys, format) = (Arc::clone(&self.signing), self.setup.format);
        let compression = self.setup.compression;
        let signed_with = Arc::clone(&keys);
        let work = self.packing.aside.run(move || {
            // A serial line carries the packed fields too.
            let message = compression.packed(message);
            let datagram = compression.encode(&message, &keys, format);
            (message, datagram)
        });
        ctx.spawn(work.into_actor(self).map(move |done, membership, ctx| {
            membership.packing.busy = false;
            membership.packing.now = None;
            match done {
                // The key was changed meanwhile: it is encoded once more.
                Ok((message, _)) if !Arc::ptr_eq(&signed_with, &membership.signing) => {
                    membership.packing.again(message);
                }
                Ok((message, datagram)) => membership.send_out(message, datagram),
                Err(error) => debug!(%error, "a message was not compressed"),
            }
            membership.pack_next(ctx);
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::threads::BLOCKING_STACK_BYTES;
    use crate::protocol::auth::{KeyRing, Method};
    use crate::protocol::compress::Algorithm;
    use crate::protocol::pack::Compression;
    use crate::protocol::wire::MessageFormat;

    #[test]
    fn a_message_that_is_asked_for_again_is_in_work_once() {
        let numbered = |run, seq| Message::new("hello").with("hg", run).with("seq", seq);
        let mut packing = Packing::default();
        assert!(packing.add(numbered("7", "1")));
        assert!(packing.begin().is_some());
        for (run, seq, waiting) in [
            ("7", "1", 0),
            ("7", "2", 1),
            ("7", "2", 1),
            ("8", "1", 2),
            ("8", "2", 3),
        ] {
            assert!(packing.add(numbered(run, seq)));
            assert_eq!(packing.waiting.len(), waiting, "{run} {seq}");
        }
    }

    /// An overflow would end the daemon.
    #[test]
    fn the_stack_of_a_helper_thread_is_large_enough() {
        for algorithm in [Algorithm::Zlib, Algorithm::Bz2] {
            let thread = std::thread::Builder::new().stack_size(BLOCKING_STACK_BYTES / 2);
            let work = move || {
                let keys = KeyRing::new(1, vec![(1, Method::Sha1, b"key".to_vec())]).unwrap();
                let compression = Compression {
                    algorithm,
                    traditional: true,
                    ..Compression::default()
                };
                let message = Message::new("hello").with("load", &"load ".repeat(50_000));
                compression.encode(&message, &keys, MessageFormat::Classic)
            };
            assert!(thread.spawn(work).unwrap().join().unwrap().is_ok());
        }
    }
}
