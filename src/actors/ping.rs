//! One ping node or ping group: sends an ICMP echo request whenever our own status is sent.
//! Spec: docs/protocol/wire.md, 19.
//!
//! For membership it is one of the media: it takes [`Transmit`] and gives [`Received`]. [`Pinger`]
//! decides which replies count. Nothing here blocks: a request that the socket does not accept is
//! lost, as one on the network may be, and the next status brings the next.

mod socket;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Duration;

use actix::prelude::SendError;
use actix::{
    Actor, ActorFuture, ActorFutureExt, Addr, AsyncContext, Context, Handler, Recipient,
    SpawnHandle, Supervised,
};
use actix_rt::ArbiterHandle;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tracing::{Span, debug, info_span};

use crate::actors::messages::{Messages, Received, Transmit, UpdateKeys};
use crate::actors::supervise::{RestartPolicy, supervise};
use crate::clock::{Clock, Monotonic};
use crate::config::types::PingConfig;
use crate::notice::{self, Notice};
use crate::protocol::auth::KeyRing;
use crate::protocol::limiter::Limiter;
use crate::protocol::name::MediumName;
use crate::protocol::ping::{self, Family, Pinger, Question};

pub use socket::{OpenPing, PingError, open};
use socket::{destination, family, is_passing, open_socket, own_identifier, receive};

/// Messages that the mailbox holds; more are dropped. As for a medium.
const MAILBOX: usize = 64;

/// Most ICMP packets read per wake-up. A raw socket receives all ICMP of the host: a flood of it
/// must not delay heartbeats.
const BATCH: usize = 32;

/// Larger than any answer to a request of ours; longer packets are cut, and then do not count.
const BUFFER_BYTES: usize = 4096;

/// Pause after the first failed opening; doubles up to [`MAX_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Longest pause between two tries to open.
const MAX_RETRY: Duration = Duration::from_secs(10);

/// Everything that a ping node needs.
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
    /// Membership. Held, not upgraded for each message, as in a medium.
    pub to: Recipient<Received>,
}

/// Starts a ping node on `arbiter`, supervised for ever.
#[must_use]
pub fn start(arbiter: &ArbiterHandle, setup: PingSetup) -> Addr<PingActor> {
    let policy = RestartPolicy::new(format!("ping {}", setup.config.name)).mailbox(MAILBOX);
    supervise(arbiter, policy, move |_| PingActor::new(setup))
}

/// Sends requests to one ping node or ping group.
pub struct PingActor {
    name: MediumName,
    medium: &'static str,
    family: Family,
    /// Where a link-local address is.
    interface: Option<String>,
    pinger: Pinger,
    keys: Arc<KeyRing>,
    to: Recipient<Received>,
    clock: Clock,
    limiter: Limiter,
    /// Opened by the start of the daemon, until `started` takes it.
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
        /// The error logged last, so that a lasting error is logged once.
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
            family: family(&config),
            medium: config.medium,
            interface: config.interface,
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

    /// The socket failed: opens another after a pause, because the cause may still be there.
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
        let messages = Messages::from([message]);
        match self.to.try_send(Received { medium, messages }) {
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
            let to = destination(host, self.interface.as_deref());
            if let Err(error) = SockRef::from(&**socket).send_to(&packet, &to.into()) {
                // There is no route when the cable is unplugged: the silence shows that.
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
