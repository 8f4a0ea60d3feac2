//! Reads a socket in batches, so that a flood costs few system calls and cannot keep anything else
//! from running.

use std::future::Future;
use std::io;
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::clock::{Clock, Monotonic};
use crate::os::sys::datagrams::{Datagram, DatagramBuffer, SLOTS};

/// Datagrams taken per wake-up. After that many sockets and timers have their turn first. At 6 µs
/// each a batch costs a third of a millisecond.
pub const BATCH: usize = 4 * SLOTS;

/// A batch ends after this time, however few datagrams it had: the largest take twenty times as
/// long as usual ones.
const BATCH_TIME: Duration = Duration::from_millis(1);

/// A receive socket with its buffer.
pub(super) struct Receiver {
    socket: UdpSocket,
    buffer: DatagramBuffer,
    /// Datagrams in the buffer, and how many of them were handed over.
    taken: usize,
    handed: usize,
    clock: Clock,
    /// The kernel's count of dropped datagrams at the last receive.
    drops: u32,
    /// Set after a full batch.
    pause: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

/// What a batch hands over.
pub(super) enum Heard<'a> {
    /// One datagram.
    Datagram(Datagram<'a>),
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
            taken: 0,
            handed: 0,
            clock: Clock::start(),
            drops: 0,
            pause: None,
        })
    }

    /// The socket; what is in the buffer is lost.
    pub(super) fn into_socket(self) -> UdpSocket {
        self.socket
    }

    /// Hands over what there is, and is ready only with an error that the socket will not survive.
    ///
    /// After [`BATCH`] datagrams or [`BATCH_TIME`] it gives way by `yield_now`, which lets the runtime look at
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
            // What is in the buffer waits for no socket.
            if self.handed >= self.taken
                && let Err(error) = ready!(self.socket.poll_recv_ready(cx))
            {
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
        let begun = self.clock.now().instant;
        let mut emptied = Ok(());
        for _ in 0..BATCH / SLOTS {
            if self.handed >= self.taken {
                emptied = self.fill();
            }
            if !self.hand_over(begun, hear) {
                // The rest of the buffer comes first in the next batch.
                return Ok(());
            }
            match &emptied {
                Err(error) if !is_passing(error) => return emptied,
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Takes what waits in the socket into the buffer, which is empty.
    fn fill(&mut self) -> io::Result<()> {
        (self.taken, self.handed) = (0, 0);
        let (socket, buffer, taken) = (&self.socket, &mut self.buffer, &mut self.taken);
        socket.try_io(Interest::READABLE, || {
            *taken = buffer.receive(socket.as_fd())?;
            // Less than there was room for: nothing more waits, which need not be asked. What
            // comes from now on wakes us.
            if *taken < SLOTS {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        })
    }

    /// Hands over what is in the buffer. `false`: the time of the batch is over.
    fn hand_over(&mut self, begun: Monotonic, hear: &mut impl FnMut(Heard<'_>)) -> bool {
        for datagram in self.buffer.iter(self.taken).skip(self.handed) {
            if let Some(drops) = datagram.drops.filter(|drops| *drops != self.drops) {
                hear(Heard::Dropped(drops.wrapping_sub(self.drops)));
                self.drops = drops;
            }
            hear(Heard::Datagram(datagram));
            self.handed += 1;
            if self.clock.now().instant.since(begun) >= BATCH_TIME {
                return false;
            }
        }
        true
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
    use std::cell::{Cell, RefCell};
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

    /// What 200 datagrams come in: the sizes of the batches, if each datagram takes `busy`.
    async fn batches(busy: Duration) -> Vec<usize> {
        let (mut receiver, sender) = pair();
        for number in 0..200_u8 {
            sender.send(&[number]).expect("sent");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let heard = Rc::new(RefCell::new(vec![0_usize]));
        let reading = {
            let heard = Rc::clone(&heard);
            let clock = crate::clock::Clock::start();
            actix_rt::spawn(async move {
                std::future::poll_fn(|cx| {
                    receiver.poll(cx, |event| {
                        let mut heard = heard.borrow_mut();
                        match event {
                            Heard::Datagram(Datagram {
                                bytes: datagram,
                                from,
                                ..
                            }) => {
                                assert_eq!(usize::from(datagram[0]), heard.iter().sum::<usize>());
                                assert!(from.is_some_and(|from| from.ip().is_loopback()));
                                *heard.last_mut().expect("one") += 1;
                                let begun = clock.now().instant;
                                while clock.now().instant.since(begun) < busy {}
                            }
                            Heard::Dropped(_) => {}
                            Heard::End => heard.push(0),
                        }
                    })
                })
                .await
            })
        };
        while heard.borrow().iter().sum::<usize>() < 200 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        reading.abort();
        let sizes = heard.borrow().clone();
        sizes.into_iter().filter(|size| *size > 0).collect()
    }

    #[actix::test]
    async fn a_batch_is_bounded_in_number() {
        let sizes = batches(Duration::ZERO).await;
        assert!(sizes.iter().all(|size| *size <= BATCH), "{sizes:?}");
        assert!(sizes.len() >= 4, "{sizes:?}");
    }

    #[actix::test]
    async fn a_batch_is_bounded_in_time() {
        let sizes = batches(BATCH_TIME).await;
        assert!(sizes.iter().all(|size| *size == 1), "{sizes:?}");
    }

    #[actix::test]
    async fn counts_what_the_kernel_dropped() {
        let (mut receiver, sender) = pair();
        let big = [7_u8; 8192];
        let mut sent = 200_u32;
        for _ in 0..sent {
            sender.send(&big).expect("sent");
        }
        let heard = Rc::new(Cell::new((0_u32, 0_u32)));
        let seen = Rc::clone(&heard);
        let reading = actix_rt::spawn(async move {
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
        // The count comes with the next datagram that is queued after the drops.
        let all_are_counted = async {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let (datagrams, drops) = heard.get();
                if drops > 0 && datagrams + drops == sent {
                    break;
                }
                sender.send(&big).expect("sent");
                sent += 1;
            }
        };
        let patience = Duration::from_secs(30);
        let counted = tokio::time::timeout(patience, all_are_counted).await;
        assert!(counted.is_ok(), "{:?} of {sent}", heard.get());
        reading.abort();
    }
}
