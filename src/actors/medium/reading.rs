//! The task that reads a medium's receive socket, and the end of that socket.

use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::task::{self, Poll};

use actix::{ActorFuture, Addr, Context};

use super::MediumActor;
use super::opener::{Close, Opener};
use super::receive::Receiver;

/// Reads until the socket fails.
///
/// A socket that is in a group leaves it when it is closed, which takes the kernel's lock on interfaces. So the
/// [`Opener`] closes it, whatever the reason for its end. Any other one is closed at once: as long as it is open it
/// may get the datagrams that are for the next one on its port.
pub(super) struct Reading {
    /// There until the drop.
    receiver: Option<Receiver>,
    /// Who closes it.
    closer: Option<Addr<Opener>>,
}

impl Reading {
    /// # Errors
    /// The socket cannot be registered with the runtime.
    pub(super) fn new(socket: UdpSocket, closer: Option<Addr<Opener>>) -> io::Result<Self> {
        // One that cannot be registered is lost: the kernel closes it with its last descriptor.
        let kept = match &closer {
            None => None,
            Some(opener) => match socket.try_clone() {
                Ok(kept) => Some((opener, kept)),
                Err(error) => {
                    opener.do_send(Close(socket));
                    return Err(error);
                }
            },
        };
        match Receiver::new(socket) {
            Ok(receiver) => Ok(Self {
                receiver: Some(receiver),
                closer,
            }),
            Err(error) => {
                if let Some((opener, kept)) = kept {
                    opener.do_send(Close(kept));
                }
                Err(error)
            }
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some((receiver, opener)) = self.receiver.take().zip(self.closer.take()) {
            // Taken even by a full mailbox. It is one for each medium and answer: for other sockets a medium needs
            // an answer of the opener.
            opener.do_send(Close(receiver.into_socket()));
        }
    }
}

impl ActorFuture<MediumActor> for Reading {
    type Output = io::Error;

    fn poll(
        self: Pin<&mut Self>,
        medium: &mut MediumActor,
        ctx: &mut Context<MediumActor>,
        task: &mut task::Context<'_>,
    ) -> Poll<io::Error> {
        if medium.deaf {
            // The socket stays: a closed one would be an error for whoever sends to it.
            return Poll::Pending;
        }
        let Some(receiver) = &mut self.get_mut().receiver else {
            return Poll::Pending;
        };
        let failed = receiver.poll(task, |heard| medium.hear(&heard));
        medium.unpack_next(ctx);
        failed
    }
}
