//! Reads a socket in batches, so that a flood cannot keep anything else from running.

use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Datagrams taken per wake-up. After that many sockets and timers have their turn first. At 10 µs
/// each a batch costs a third of a millisecond.
pub const BATCH: usize = 32;

/// More than any UDP datagram holds.
const BUFFER_BYTES: usize = 65_536;

/// A receive socket with its buffer.
pub(super) struct Receiver {
    socket: UdpSocket,
    buffer: Box<[u8]>,
    control: Vec<u8>,
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
}

impl Receiver {
    /// Registers `socket` with the runtime of this thread.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        Ok(Self {
            socket: UdpSocket::from_std(socket)?,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            control: nix::cmsg_space!(u32),
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
            let mut taken = 0;
            while taken < BATCH {
                let (socket, buffer, control) = (&self.socket, &mut self.buffer, &mut self.control);
                let received =
                    socket.try_io(Interest::READABLE, || receive(socket, buffer, control));
                match received {
                    Ok((length, from, drops)) => {
                        if let Some(drops) = drops.filter(|drops| *drops != self.drops) {
                            hear(Heard::Dropped(drops.wrapping_sub(self.drops)));
                            self.drops = drops;
                        }
                        let datagram = self.buffer.get(..length).unwrap_or_default();
                        hear(Heard::Datagram(datagram, from));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if is_passing(&error) => {}
                    Err(error) => return Poll::Ready(error),
                }
                taken += 1;
            }
            if taken == BATCH {
                self.pause = Some(Box::pin(tokio::task::yield_now()));
            }
        }
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

/// One datagram: its length, its sender, and the kernel's count of drops if there were any.
fn receive(
    socket: &UdpSocket,
    buffer: &mut [u8],
    control: &mut [u8],
) -> io::Result<(usize, Option<SocketAddr>, Option<u32>)> {
    let mut slices = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut slices,
        Some(control),
        MsgFlags::MSG_DONTWAIT,
    )?;
    let drops = message.cmsgs().ok().and_then(|mut found| {
        found.find_map(|item| match item {
            ControlMessageOwned::RxqOvfl(drops) => Some(drops),
            _ => None,
        })
    });
    let from = message.address.and_then(|address| {
        let v4 = address
            .as_sockaddr_in()
            .map(|v4| SocketAddr::from((v4.ip(), v4.port())));
        v4.or_else(|| {
            address
                .as_sockaddr_in6()
                .map(|v6| SocketAddr::from((v6.ip(), v6.port())))
        })
    });
    Ok((message.bytes, from, drops))
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
        for number in 0..100_u8 {
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
                            // A batch takes three ticks of the timer.
                            let begun = clock.now().instant;
                            while clock.now().instant.since(begun) < Duration::from_micros(100) {}
                        }
                    })
                })
                .await
            })
        };
        let mut steps = Vec::new();
        while heard.get() < 100 && steps.len() < 20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            steps.push(heard.get());
        }
        assert!(
            steps.iter().all(|seen| seen % BATCH == 0 || *seen == 100),
            "{steps:?}"
        );
        assert!(steps.len() >= 3, "{steps:?}");
        assert_eq!(heard.get(), 100);
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
