//! Reads a socket in batches, so that a flood costs few system calls and cannot keep anything else
//! from running.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::sys::datagrams::{DatagramBuffer, SLOTS};

/// Datagrams taken per wake-up. After that many sockets and timers have their turn first. At 6 µs
/// each a batch costs a third of a millisecond.
pub const BATCH: usize = 4 * SLOTS;

/// A receive socket with its buffer.
pub(super) struct Receiver {
    socket: UdpSocket,
    buffer: DatagramBuffer,
    /// The kernel's count of dropped datagrams at the last receive.
    drops: u32,
    /// Set after a full batch.
    pause: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

/// What a batch hands over.
pub(super) enum Heard<'a> {
    /// One datagram and its sender.
    Datagram(&'a [u8], Option<SocketAddr>),
    /// The kernel dropped that many since the last one: the socket's buffer was full.
    Dropped(u32),
    /// That was all for now.
    End,
}

impl Receiver {
    /// Registers `socket` with the runtime of this thread.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        Ok(Self {
            socket: UdpSocket::from_std(socket)?,
            buffer: DatagramBuffer::default(),
            drops: 0,
            pause: None,
        })
    }

    /// Hands over what there is, and is ready only with an error that the socket will not survive.
    ///
    /// After [`BATCH`] datagrams it gives way by `yield_now`, which lets the runtime look at
    /// sockets and timers before this task runs again; waking itself would not.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut hear: impl FnMut(Heard<'_>),
    ) -> Poll<io::Error> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            if let Err(error) = ready!(self.socket.poll_recv_ready(cx)) {
                return Poll::Ready(error);
            }
            let outcome = self.batch(&mut hear);
            hear(Heard::End);
            match outcome {
                Ok(()) => self.pause = Some(Box::pin(tokio::task::yield_now())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(error),
            }
        }
    }

    /// One batch. `WouldBlock`: the socket is empty, and the runtime knows.
    fn batch(&mut self, hear: &mut impl FnMut(Heard<'_>)) -> io::Result<()> {
        for _ in 0..BATCH / SLOTS {
            let (socket, buffer) = (&self.socket, &mut self.buffer);
            let mut taken = 0;
            let emptied = socket.try_io(Interest::READABLE, || {
                taken = buffer.receive(socket.as_fd())?;
                // Less than there was room for: nothing more waits, which need not be asked. What
                // comes from now on wakes us.
                if taken < SLOTS {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(())
            });
            for datagram in buffer.iter(taken) {
                if let Some(drops) = datagram.drops.filter(|drops| *drops != self.drops) {
                    hear(Heard::Dropped(drops.wrapping_sub(self.drops)));
                    self.drops = drops;
                }
                hear(Heard::Datagram(datagram.bytes, datagram.from));
            }
            match emptied {
                Err(error) if !is_passing(&error) => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// A signal, or the report of an earlier datagram's fate: the socket is well.
pub(crate) fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;

    fn pair() -> (Receiver, std::net::UdpSocket) {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_nonblocking(true).expect("an option");
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RxqOvfl, &1)
            .expect("an option");
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        sender
            .connect(socket.local_addr().expect("bound"))
            .expect("an address");
        (Receiver::new(socket).expect("registered"), sender)
    }

    #[actix::test]
    async fn takes_one_batch_and_lets_timers_run_before_the_next() {
        let (mut receiver, sender) = pair();
        for number in 0..200_u8 {
            sender.send(&[number]).expect("sent");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let heard = Rc::new(Cell::new(0_usize));
        let reading = {
            let heard = Rc::clone(&heard);
            let clock = crate::clock::Clock::start();
            actix::spawn(async move {
                std::future::poll_fn(|cx| {
                    receiver.poll(cx, |event| {
                        if let Heard::Datagram(datagram, from) = event {
                            assert_eq!(usize::from(datagram[0]), heard.get());
                            assert!(from.is_some_and(|from| from.ip().is_loopback()));
                            heard.set(heard.get() + 1);
                            // A batch takes six ticks of the timer.
                            let begun = clock.now().instant;
                            while clock.now().instant.since(begun) < Duration::from_micros(100) {}
                        }
                    })
                })
                .await
            })
        };
        let mut steps = Vec::new();
        while heard.get() < 200 && steps.len() < 40 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            steps.push(heard.get());
        }
        assert!(
            steps.iter().all(|seen| seen % BATCH == 0 || *seen == 200),
            "{steps:?}"
        );
        assert!(steps.len() >= 3, "{steps:?}");
        assert_eq!(heard.get(), 200);
        reading.abort();
    }

    #[actix::test]
    async fn counts_what_the_kernel_dropped() {
        let (mut receiver, sender) = pair();
        let big = [7_u8; 8192];
        let sent = 200_u32;
        for _ in 0..sent {
            sender.send(&big).expect("sent");
        }
        let heard = Rc::new(Cell::new((0_u32, 0_u32)));
        let seen = Rc::clone(&heard);
        let reading = actix::spawn(async move {
            std::future::poll_fn(|cx| {
                receiver.poll(cx, |event| {
                    let (datagrams, drops) = seen.get();
                    match event {
                        Heard::Datagram(..) => seen.set((datagrams + 1, drops)),
                        Heard::Dropped(more) => seen.set((datagrams, drops + more)),
                        Heard::End => {}
                    }
                })
            })
            .await
        });
        tokio::time::sleep(Duration::from_millis(30)).await;
        // The count comes with the next datagram that is queued after the drops.
        sender.send(&big).expect("sent");
        tokio::time::sleep(Duration::from_millis(30)).await;
        let (datagrams, drops) = heard.get();
        assert!(drops > 0, "{datagrams} datagrams taken");
        assert_eq!(datagrams + drops, sent + 1);
        reading.abort();
    }
}
