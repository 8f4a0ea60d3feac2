//! Reading a serial port, in turns with everything else on its thread.

use std::io;
use std::pin::Pin;
use std::task::{self, Poll};

use actix::{ActorFuture, Context};
use futures_util::Stream as _;

use super::{SerialActor, State};

/// Messages read before others have their turn.
const BATCH: usize = 64;

/// Reads until the port fails.
pub(super) struct Reading;

impl ActorFuture<SerialActor> for Reading {
    type Output = io::Error;

    fn poll(
        self: Pin<&mut Self>,
        medium: &mut SerialActor,
        _: &mut Context<SerialActor>,
        cx: &mut task::Context<'_>,
    ) -> Poll<io::Error> {
        let mut taken = 0;
        let failed = loop {
            let State::Open { reader, .. } = &mut medium.state else {
                return Poll::Pending;
            };
            if taken == BATCH {
                cx.waker().wake_by_ref();
                break None;
            }
            let read = Pin::new(&mut *reader).poll_next(cx);
            let noise = reader.decoder_mut().take_noise();
            medium.inlet.ledger.counters.not_messages += noise;
            match read {
                Poll::Pending => break None,
                Poll::Ready(Some(Ok(item))) => medium.hear(item),
                Poll::Ready(Some(Err(error))) => break Some(error),
                Poll::Ready(None) => break Some(io::ErrorKind::UnexpectedEof.into()),
            }
            taken += 1;
        };
        let SerialActor { inlet, clock, .. } = medium;
        inlet.hand_over(|| clock.now().instant);
        failed.map_or(Poll::Pending, Poll::Ready)
    }
}
