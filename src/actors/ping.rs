//! One ping node or ping group: asks by ICMP echo whenever our own status goes out.
//! Spec: wire, section 19.
//!
//! It stands among the media as membership sees them: takes [`Transmit`], gives [`Received`]. Which
//! replies count is decided by [`Pinger`]. Nothing here waits: a request that the socket does not
//! take is lost, as one on the network may be, and the next status brings the next.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Duration;

use actix::prelude::SendError;
use actix::{
    Actor, ActorFuture, ActorFutureExt, Addr, ArbiterHandle, AsyncContext, Context, Handler,
    Recipient, SpawnHandle, Supervised,
};
use nix::sys::socket::{SockaddrStorage, recvfrom};
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tracing::{Span, debug, info_span};

use crate::actors::medium;
use crate::actors::messages::{Received, Transmit, UpdateKeys};
use crate::actors::supervise::{RestartPolicy, supervise};
use crate::clock::{Clock, Monotonic};
use crate::config::types::PingConfig;
use crate::notice::{self, Notice};
use crate::protocol::auth::KeyRing;
use crate::protocol::limiter::Limiter;
use crate::protocol::name::MediumName;
use crate::protocol::ping::{self, Family, Identifier, Pinger, Question};

/// Messages that the mailbox holds; more are dropped. As for a medium.
const MAILBOX: usize = 64;

/// ICMP packets taken per wake-up. A raw socket hears all ICMP of the host: a flood of it must not
/// keep heartbeats from their turn.
const BATCH: usize = 32;

/// Larger than any answer to a request of ours; longer packets are cut, and then do not count.
const BUFFER_BYTES: usize = 4096;

/// Pause after the first failed opening; doubles up to [`MAX_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Longest pause between two tries to open.
const MAX_RETRY: Duration = Duration::from_secs(10);

/// Why a ping node cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("{medium} {name}: cannot open a raw ICMP socket: {source}")]
pub struct PingError {
    /// Directive in ha.cf.
    medium: &'static str,
    /// Ping node.
    name: String,
    /// What the system said.
    source: io::Error,
}

/// A raw socket that does not block. The runtime knows datagram sockets, and to it a raw socket is
/// one.
#[derive(Debug)]
pub struct OpenPing(std::net::UdpSocket);

/// Everything a ping node needs to know.
#[derive(Debug)]
pub struct PingSetup {
    /// Its line of ha.cf.
    pub config: PingConfig,
    /// Its socket, opened at start so that the node can report success.
    pub opened: OpenPing,
    /// Keys to sign with.
    pub keys: Arc<KeyRing>,
    /// `deadping`: older requests cannot be answered any more.
    pub deadping: Duration,
    /// Membership. Held, not upgraded for each message, as by a medium.
    pub to: Recipient<Received>,
}

/// Which ICMP a ping node is asked by. A group has IPv4 hosts only; one whose hosts could all not
/// be resolved is asked by nobody and is dead.
fn family(config: &PingConfig) -> Family {
    config
        .hosts
        .first()
        .map_or(Family::V4, |host| Family::of(*host))
}

/// The identifier of all requests of this process.
fn own_identifier() -> Identifier {
    Identifier::of_process(std::process::id())
}

/// Lets the kernel drop whatever is no echo reply to us. Otherwise a ping flood at this host would
/// wake the thread that beats, and push the replies out of the socket's buffer.
fn filter(family: Family, Identifier(identifier): Identifier) -> Vec<SockFilter> {
    // Classic BPF: opcodes of linux/bpf_common.h.
    const LOAD_HEADER_LENGTH: u16 = 0xb1;
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const BEHIND_HEADER: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let step = |code, k| SockFilter::new(code, 0, 0, k);
    // IPv4 comes with its header, whose length differs; ICMPv6 without. An indexed load is the
    // plain one with another addressing mode: 0x40 instead of 0x20.
    let (first, mode, reply) = match family {
        Family::V4 => (Some(step(LOAD_HEADER_LENGTH, 0)), BEHIND_HEADER, 0),
        Family::V6 => (None, 0, 129),
    };
    let rest = [
        step(LOAD_BYTE + mode, 0),
        SockFilter::new(JUMP_IF_EQUAL, 0, 3, reply),
        step(LOAD_HALF + mode, 4),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, u32::from(identifier)),
        step(RETURN, u32::MAX),
        step(RETURN, 0),
    ];
    first.into_iter().chain(rest).collect()
}

fn open_socket(family: Family) -> io::Result<OpenPing> {
    let (domain, protocol) = match family {
        Family::V4 => (Domain::IPV4, Protocol::ICMPV4),
        Family::V6 => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if let Err(error) = socket.attach_filter(&filter(family, own_identifier())) {
        // Works without: replies are judged here as well.
        debug!(%error, "no filter for ICMP");
    }
    Ok(OpenPing(socket.into()))
}

/// Opens the socket of one ping node.
///
/// # Errors
/// [`PingError`]: usually that the privilege `CAP_NET_RAW` is missing.
pub fn open(config: &PingConfig) -> Result<OpenPing, PingError> {
    open_socket(family(config)).map_err(|source| PingError {
        medium: config.medium,
        name: config.name.to_string(),
        source,
    })
}

/// Starts a ping node on `arbiter`, supervised for ever.
#[must_use]
pub fn start(arbiter: &ArbiterHandle, setup: PingSetup) -> Addr<PingActor> {
    let policy = RestartPolicy::new(format!("ping {}", setup.config.name)).mailbox(MAILBOX);
    supervise(arbiter, policy, move |_| PingActor::new(setup))
}

/// Asks one ping node or ping group.
pub struct PingActor {
    name: MediumName,
    medium: &'static str,
    family: Family,
    pinger: Pinger,
    keys: Arc<KeyRing>,
    to: Recipient<Received>,
    clock: Clock,
    limiter: Limiter,
    /// Opened by somebody else, until `started` takes it.
    opened: Option<OpenPing>,
    state: State,
    span: Span,
}

enum State {
    Open {
        socket: Arc<UdpSocket>,
        reading: SpawnHandle,
    },
    Closed {
        pause: Duration,
        /// Logged last, so that a lasting error is logged once.
        said: String,
    },
}

impl State {
    const fn closed() -> Self {
        Self::Closed {
            pause: FIRST_RETRY,
            said: String::new(),
        }
    }
}

/// Reads until the socket fails.
struct Reading {
    socket: Arc<UdpSocket>,
    buffer: Box<[u8]>,
    /// Set after a full batch.
    pause: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl ActorFuture<PingActor> for Reading {
    type Output = io::Error;

    fn poll(
        self: Pin<&mut Self>,
        ping: &mut PingActor,
        _: &mut Context<PingActor>,
        cx: &mut task::Context<'_>,
    ) -> Poll<io::Error> {
        let this = self.get_mut();
        let _entered = ping.span.clone().entered();
        loop {
            if let Some(pause) = &mut this.pause {
                ready!(pause.as_mut().poll(cx));
                this.pause = None;
            }
            if let Err(error) = ready!(this.socket.poll_recv_ready(cx)) {
                return Poll::Ready(error);
            }
            let mut taken = 0;
            while taken < BATCH {
                let (socket, buffer) = (&this.socket, &mut this.buffer);
                match socket.try_io(Interest::READABLE, || receive(socket, buffer)) {
                    Ok((length, from)) => {
                        ping.hear(this.buffer.get(..length).unwrap_or_default(), from);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if is_passing(&error) => {}
                    Err(error) => return Poll::Ready(error),
                }
                taken += 1;
            }
            if taken == BATCH {
                this.pause = Some(Box::pin(tokio::task::yield_now()));
            }
        }
    }
}

/// As for any medium, and the report that an earlier request did not fit the path.
fn is_passing(error: &io::Error) -> bool {
    medium::is_passing(error) || error.raw_os_error() == Some(nix::libc::EMSGSIZE)
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, Option<IpAddr>)> {
    let (length, from) = recvfrom::<SockaddrStorage>(socket.as_raw_fd(), buffer)?;
    let from = from.and_then(|from| {
        let v4 = from.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| from.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    Ok((length, from))
}

impl PingActor {
    fn new(setup: PingSetup) -> Self {
        let PingSetup {
            config,
            opened,
            keys,
            deadping,
            to,
        } = setup;
        let identifier = own_identifier();
        Self {
            span: info_span!("ping", name = %config.name),
            name: MediumName::new(config.name.as_str()),
            medium: config.medium,
            family: family(&config),
            pinger: Pinger::new(
                config.name,
                config.medium,
                config.hosts,
                identifier,
                deadping,
            ),
            keys,
            to,
            clock: Clock::start(),
            limiter: Limiter::default(),
            opened: Some(opened),
            state: State::closed(),
        }
    }

    fn try_open(&mut self, ctx: &mut Context<Self>) {
        let (pause, said) = match &mut self.state {
            State::Open { .. } => return,
            State::Closed { pause, said } => (*pause, std::mem::take(said)),
        };
        let opened = match self.opened.take() {
            Some(opened) => Ok(opened),
            None => open_socket(self.family),
        };
        let error = match opened.and_then(|opened| self.take(opened, ctx)) {
            Ok(()) => return,
            Err(error) => error.to_string(),
        };
        if error != said {
            notice::log(&Notice::OtherError {
                text: format!(
                    "{} {}: cannot open: {error} (trying again)",
                    self.medium, self.name
                ),
            });
        }
        self.state = State::Closed {
            pause: pause.saturating_mul(2).min(MAX_RETRY),
            said: error,
        };
        ctx.run_later(pause, Self::try_open);
    }

    /// Begins to use an open socket.
    fn take(&mut self, OpenPing(socket): OpenPing, ctx: &mut Context<Self>) -> io::Result<()> {
        let socket = Arc::new(UdpSocket::from_std(socket)?);
        let reading = Reading {
            socket: Arc::clone(&socket),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            pause: None,
        };
        let reading = ctx.spawn(reading.map(|error, ping, ctx| ping.lost(&error, ctx)));
        let kind = if self.medium == ping::PING_GROUP {
            "ping group"
        } else {
            "ping"
        };
        notice::log(&Notice::OtherInfo {
            text: format!("glib: {kind} heartbeat started."),
        });
        self.state = State::Open { socket, reading };
        Ok(())
    }

    /// The socket failed: opens another after a pause, because the cause may be there still.
    fn lost(&mut self, error: &io::Error, ctx: &mut Context<Self>) {
        notice::log(&Notice::OtherError {
            text: format!("{} {}: socket failed: {error}", self.medium, self.name),
        });
        if let State::Open { reading, .. } = &self.state {
            ctx.cancel_future(*reading);
        }
        self.state = State::closed();
        ctx.run_later(FIRST_RETRY, Self::try_open);
    }

    /// Judges one ICMP packet of the host.
    fn hear(&mut self, packet: &[u8], from: Option<IpAddr>) {
        let now = self.clock.now().instant;
        let Some(message) = ping::reply(self.family, packet)
            .and_then(|reply| self.pinger.answer(&reply, from, now))
        else {
            return;
        };
        let medium = self.name.clone();
        match self.to.try_send(Received { medium, message }) {
            Ok(()) => {}
            Err(SendError::Full(_)) => self.complain("membership is busy, a reply is lost", now),
            Err(SendError::Closed(_)) => debug!("membership is gone"),
        }
    }

    fn send(&mut self, question: &Question, now: Monotonic) {
        let State::Open { socket, .. } = &self.state else {
            return;
        };
        let identifier = self.pinger.identifier();
        let packet = ping::request(
            self.family,
            identifier,
            question.sequence,
            &question.payload,
        );
        let Some(packet) = packet else {
            return self.complain("request is too large", now);
        };
        let mut failed = None;
        for host in self.pinger.hosts() {
            let to = SocketAddr::new(host, 0);
            if let Err(error) = SockRef::from(&**socket).send_to(&packet, &to.into()) {
                // No route is what a pulled cable looks like: the silence says it.
                debug!(%host, %error, "echo request not sent");
                failed = failed.or((!is_passing(&error)).then_some((host, error)));
            }
        }
        if let Some((host, error)) = failed {
            let text = format!("echo request to {host} not sent: {error}");
            self.complain(&text, now);
        }
    }

    fn complain(&mut self, text: &str, now: Monotonic) {
        for line in self.limiter.report(now) {
            notice::log(&line);
        }
        if self.limiter.pass("ping trouble", now) {
            notice::log(&Notice::OtherWarn {
                text: format!("{} {}: {text}", self.medium, self.name),
            });
        }
    }
}

impl Actor for PingActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let _entered = self.span.clone().entered();
        self.state = State::closed();
        self.try_open(ctx);
    }
}

impl Supervised for PingActor {}

impl Handler<Transmit> for PingActor {
    type Result = ();

    fn handle(&mut self, Transmit(outgoing): Transmit, _: &mut Self::Context) {
        let _entered = self.span.clone().entered();
        let now = self.clock.now().instant;
        match self.pinger.ask(&outgoing.message, &self.keys, now) {
            Ok(None) => {}
            Ok(Some(question)) => self.send(&question, now),
            Err(error) => self.complain(&error.to_string(), now),
        }
    }
}

impl Handler<UpdateKeys> for PingActor {
    type Result = ();

    fn handle(&mut self, UpdateKeys(keys): UpdateKeys, _: &mut Self::Context) {
        self.keys = keys;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::actors::messages::Outgoing;
    use crate::protocol::auth::Method;
    use crate::protocol::message::Message;
    use crate::protocol::name::NodeName;

    /// Passes on what it is sent.
    struct Probe(tokio::sync::mpsc::UnboundedSender<Received>);

    impl Actor for Probe {
        type Context = Context<Self>;
    }

    impl Handler<Received> for Probe {
        type Result = ();
        fn handle(&mut self, heard: Received, _: &mut Self::Context) {
            let _ = self.0.send(heard);
        }
    }

    fn config(medium: &'static str, host: &str) -> PingConfig {
        PingConfig {
            name: NodeName::new(host).expect("a name"),
            hosts: vec![host.parse().expect("an address")],
            medium,
        }
    }

    /// Asks the loopback address once and gives what membership would hear.
    async fn asks(config: PingConfig) -> Option<Received> {
        let keys = KeyRing::new(1, vec![(1, Method::Sha1, b"secret".to_vec())]);
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let opened = open(&config).ok()?;
        let setup = PingSetup {
            config,
            opened,
            keys: Arc::new(keys.expect("a key ring")),
            deadping: Duration::from_secs(5),
            to: Probe(tell).start().recipient(),
        };
        let ping = start(&actix::Arbiter::current(), setup);
        for kind in ["NS_ackmsg", "status"] {
            let message = Message::new(kind).with("ts", "6b00c544");
            let datagram = Bytes::new();
            ping.do_send(Transmit(Arc::new(Outgoing { message, datagram })));
        }
        let heard = tokio::time::timeout(Duration::from_secs(5), told.recv()).await;
        let heard = heard.expect("an answer in time").expect("an answer");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(told.try_recv().is_err(), "a reply counts once");
        Some(heard)
    }

    /// Sends one echo request to the loopback address; says whether anything is heard of it.
    fn hears(family: Family, identifier: Identifier) -> Option<bool> {
        let OpenPing(socket) = open_socket(family).ok()?;
        let to: IpAddr = match family {
            Family::V4 => "127.0.0.1".parse().expect("an address"),
            Family::V6 => "::1".parse().expect("an address"),
        };
        let payload: &[u8] = b"the filter's test";
        let packet = ping::request(family, identifier, 1, payload).expect("fits");
        let to = SocketAddr::new(to, 0);
        SockRef::from(&socket)
            .send_to(&packet, &to.into())
            .expect("sent");
        socket.set_nonblocking(false).expect("an option");
        let limit = Some(Duration::from_millis(200));
        socket.set_read_timeout(limit).expect("an option");
        let mut heard = false;
        let mut buffer = [0; 200];
        while let Ok((length, _)) = socket.recv_from(&mut buffer) {
            let reply = ping::reply(family, &buffer[..length]).expect("a reply, nothing else");
            assert_eq!(reply.identifier, own_identifier());
            // Another test of this process may ask at the same time.
            heard |= reply.payload == payload;
        }
        Some(heard)
    }

    #[test]
    fn the_kernel_drops_what_is_not_for_us() {
        for family in [Family::V4, Family::V6] {
            let Identifier(own) = own_identifier();
            if let Some(heard) = hears(family, Identifier(own ^ 1)) {
                assert!(!heard, "{family:?}: a reply to somebody else");
                assert_eq!(hears(family, Identifier(own)), Some(true), "{family:?}");
            }
        }
    }

    #[actix::test]
    #[ignore = "needs root: run by scripts/test"]
    async fn the_loopback_answers_with_what_we_sent() {
        for (medium, host) in [
            ("ping", "127.0.0.1"),
            ("ping_group", "127.0.0.1"),
            ("ping6", "::1"),
        ] {
            let heard = asks(config(medium, host)).await.expect("a raw socket");
            assert_eq!(heard.medium.as_str(), host);
            assert_eq!(heard.message.kind(), Some("NS_st"));
            assert_eq!(heard.message.text("src"), Some(host));
            assert_eq!(heard.message.text("info"), Some(medium));
        }
    }
}
