//! What all media share: sending, re-opening, counters.
//!
//! One [`MediumActor`] owns one receive socket and the send sockets of the ha.cf lines that share
//! it. A frame is decoded and verified by the medium that heard it, so a bad frame can hurt only
//! that medium. Nothing here waits: a socket that would block drops the datagram, and
//! retransmission repairs the loss.

mod bcast;
mod counters;
mod interface;
mod ipv6;
mod mcast;
pub mod plan;
mod receive;
mod sockets;
mod ucast;
mod udp;
mod unpack;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use actix::prelude::SendError;
use actix::{
    Actor, ActorFuture, ActorFutureExt, Addr, ArbiterHandle, AsyncContext, Context, Handler,
    Message, MessageResult, Recipient, SpawnHandle, Supervised,
};
use tracing::{Span, debug, info_span};

use crate::actors::messages::{Messages, Received, Transmit, UpdateKeys};
use crate::actors::supervise::{RestartPolicy, supervise};
use crate::clock::{Clock, Monotonic};
use crate::notice::{self, Notice};
use crate::protocol::auth::KeyRing;
use crate::protocol::codec::verify_datagram;
use crate::protocol::compress;

pub use counters::Counters;
pub use plan::{Line, MediumPlan, Receive, plan};
pub use receive::BATCH;
pub(crate) use receive::is_passing;
pub use sockets::{MediumError, OpenMedium, Sender, open, open_all, open_each};
pub use udp::Step;

use counters::{Ledger, SendErrors};
pub use interface::InterfaceState;
use receive::{Heard, Receiver};
use unpack::{Packed, Unpacking};

/// Messages that a medium's mailbox holds; more are dropped. 64 beats are far beyond any use.
const MAILBOX: usize = 64;

/// Time between two looks at the interface.
const WATCH: Duration = Duration::from_secs(1);

/// Pause after the first failed opening; doubles up to [`MAX_RETRY`]. A change of the interface
/// ends it at once.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Longest pause between two tries to open.
const MAX_RETRY: Duration = Duration::from_secs(10);

/// Asks a medium for its totals.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Counters")]
pub struct GetCounters;

/// Everything a network medium needs to know.
#[derive(Debug)]
pub struct MediumSetup {
    /// Its work.
    pub plan: MediumPlan,
    /// Its sockets, opened at start so that the node can report success; `None`: it opens them when
    /// it can.
    pub opened: Option<OpenMedium>,
    /// It only sends: what is heard is not even read.
    pub deaf: bool,
    /// Keys to verify with.
    pub keys: Arc<KeyRing>,
    /// `log_badpack`.
    pub log_bad_packets: bool,
    /// Membership. Held, not upgraded for each message: a new sender of a mailbox is never told
    /// that it is full. Membership lets go of its media at the end of its life.
    pub to: Recipient<Received>,
}

/// Starts a medium on `arbiter`, supervised for ever.
#[must_use]
pub fn start(arbiter: &ArbiterHandle, setup: MediumSetup) -> Addr<MediumActor> {
    let policy = RestartPolicy::new(format!("medium {}", setup.plan.name)).mailbox(MAILBOX);
    supervise(arbiter, policy, move |_| MediumActor::new(setup))
}

/// One receive socket and the send sockets of the lines that share it.
///
/// | State | Event | Then |
/// |---|---|---|
/// | open | the interface went, came back or changed index, address or broadcast address | open again |
/// | open | a socket failed | closed |
/// | closed | the interface changed, or the pause is over | open; on failure closed, twice the pause |
#[derive(Debug)]
pub struct MediumActor {
    plan: MediumPlan,
    keys: Arc<KeyRing>,
    to: Recipient<Received>,
    /// Of the batch in hand.
    heard: Messages,
    /// Compressed messages.
    unpacking: Unpacking,
    clock: Clock,
    ledger: Ledger,
    /// Sockets opened by somebody else, until `started` takes them.
    opened: Option<OpenMedium>,
    deaf: bool,
    state: State,
    /// Entered where something is said, not for every datagram.
    span: Span,
}

#[derive(Debug)]
enum State {
    Open {
        /// As it was when the sockets were made.
        interface: InterfaceState,
        send: Vec<(Sender, SendErrors)>,
        reading: SpawnHandle,
    },
    Closed {
        /// As it was at the last try.
        interface: Option<InterfaceState>,
        retry_at: Monotonic,
        pause: Duration,
        /// Logged last, so that a lasting error is logged once.
        said: String,
    },
}

/// Reads until the socket fails.
struct Reading(Receiver);

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
        let failed = self.get_mut().0.poll(task, |heard| medium.hear(&heard));
        medium.unpack_next(ctx);
        failed
    }
}

impl State {
    fn closed(now: Monotonic) -> Self {
        Self::Closed {
            interface: None,
            retry_at: now,
            pause: FIRST_RETRY,
            said: String::new(),
        }
    }
}

impl MediumActor {
    fn new(setup: MediumSetup) -> Self {
        let clock = Clock::start();
        let name = setup.plan.name.clone();
        Self {
            span: info_span!("medium", %name),
            plan: setup.plan,
            keys: setup.keys,
            to: setup.to,
            heard: Messages::new(),
            unpacking: Unpacking::default(),
            ledger: Ledger::new(name, setup.log_bad_packets),
            opened: setup.opened,
            deaf: setup.deaf,
            state: State::closed(clock.now().instant),
            clock,
        }
    }

    /// Looks at the interface and opens or re-opens if need be; comes back after [`WATCH`].
    fn watch(&mut self, ctx: &mut Context<Self>) {
        let _entered = self.span.clone().entered();
        let now = self.clock.now().instant;
        self.ledger.report(now);
        match interface::read(&self.plan.interface) {
            Ok(found) => self.compare(found, now, ctx),
            Err(error) => debug!(%error, "interface cannot be looked up"),
        }
        ctx.run_later(WATCH, Self::watch);
    }

    /// Opens if what is `found` is another interface than the one the sockets are for, or if a
    /// pause is over.
    fn compare(&mut self, found: Option<InterfaceState>, now: Monotonic, ctx: &mut Context<Self>) {
        match &self.state {
            State::Open { interface, .. } if found == Some(*interface) => {}
            State::Open { interface, .. } => {
                debug!(before = ?interface, ?found, "interface changed");
                notice::log(&Notice::OtherWarn {
                    text: format!(
                        "interface {} changed, opening it again",
                        self.plan.interface
                    ),
                });
                self.close(now, ctx);
                self.try_open(found, now, ctx);
            }
            State::Closed {
                interface,
                retry_at,
                ..
            } => {
                if found != *interface || *retry_at <= now {
                    self.try_open(found, now, ctx);
                }
            }
        }
    }

    fn try_open(&mut self, found: Option<InterfaceState>, now: Monotonic, ctx: &mut Context<Self>) {
        let (pause, said) = match &mut self.state {
            State::Open { .. } => return,
            State::Closed { pause, said, .. } => (*pause, std::mem::take(said)),
        };
        let error = match open(&self.plan) {
            Ok(opened) => match self.take(opened, ctx) {
                Ok(()) => {
                    self.ledger.counters.reopened += 1;
                    return;
                }
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        if error != said {
            notice::log(&Notice::OtherError {
                text: format!("{error} (trying again)"),
            });
        }
        self.state = State::Closed {
            interface: found,
            retry_at: now + pause,
            pause: pause.saturating_mul(2).min(MAX_RETRY),
            said: error,
        };
    }

    /// Begins to use open sockets.
    fn take(&mut self, opened: OpenMedium, ctx: &mut Context<Self>) -> io::Result<()> {
        let reading = Reading(Receiver::new(opened.receive)?);
        let reading = ctx.spawn(reading.map(|error, medium, ctx| medium.lost(&error, ctx)));
        for line in &self.plan.send {
            notice::log(&Notice::OtherInfo {
                text: started_line(&self.plan.interface, line),
            });
        }
        self.state = State::Open {
            interface: opened.interface,
            send: opened
                .send
                .into_iter()
                .map(|sender| (sender, SendErrors::default()))
                .collect(),
            reading,
        };
        Ok(())
    }

    /// A socket failed.
    fn lost(&mut self, error: &io::Error, ctx: &mut Context<Self>) {
        let _entered = self.span.clone().entered();
        notice::log(&Notice::OtherError {
            text: format!("{}: socket failed: {error}", self.plan.name),
        });
        let now = self.clock.now().instant;
        self.close(now, ctx);
        // Not before the pause: the cause may be there still.
        if let State::Closed {
            interface,
            retry_at,
            ..
        } = &mut self.state
        {
            *interface = interface::read(&self.plan.interface).ok().flatten();
            *retry_at = now + FIRST_RETRY;
        }
    }

    fn close(&mut self, now: Monotonic, ctx: &mut Context<Self>) {
        if let State::Open { reading, .. } = &self.state {
            ctx.cancel_future(*reading);
        }
        self.state = State::closed(now);
    }

    /// Verifies and decodes; passes on at the end of the batch. What is compressed waits for its
    /// turn: [`unpack`].
    fn hear(&mut self, heard: &Heard<'_>) {
        let (datagram, from) = match *heard {
            Heard::Datagram(datagram, from) => (datagram, from),
            Heard::Dropped(more) => {
                let _entered = self.span.enter();
                let now = self.clock.now().instant;
                return self.ledger.kernel_drops(more, now);
            }
            Heard::End => return self.pass_on(),
        };
        match verify_datagram(datagram, &self.keys) {
            Ok(message) if compress::is_wrapped(&message) => {
                if !self.unpacking.add(Packed { message, from }) {
                    let _entered = self.span.enter();
                    let now = self.clock.now().instant;
                    self.ledger.too_many_packed(now);
                }
            }
            Ok(message) => self.heard.push(message),
            Err(error) => {
                let _entered = self.span.enter();
                let now = self.clock.now().instant;
                self.ledger.bad_packet(&error, from, now);
            }
        }
    }

    fn pass_on(&mut self) {
        if self.heard.is_empty() {
            return;
        }
        let messages = std::mem::take(&mut self.heard);
        let count = messages.len() as u64;
        let medium = self.plan.name.clone();
        match self.to.try_send(Received { medium, messages }) {
            Ok(()) => self.ledger.counters.received += count,
            // Closed: membership is gone, and this medium soon.
            Err(SendError::Closed(_)) => {}
            Err(SendError::Full(_)) => {
                let _entered = self.span.enter();
                let now = self.clock.now().instant;
                self.ledger.mailbox_full(count, now);
            }
        }
    }

    /// Sends on every line. Says with what error a socket failed for good.
    fn send(&mut self, datagram: &[u8]) -> Option<io::Error> {
        let State::Open { send, .. } = &mut self.state else {
            self.ledger.counters.closed += 1;
            return None;
        };
        let interface = &self.plan.interface;
        let counters = &mut self.ledger.counters;
        let mut fatal = None;
        for (sender, errors) in send {
            let outcome = sender.socket.send_to(datagram, sender.to);
            if matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                counters.would_block += 1;
                continue;
            }
            let what = || format!("{} {interface}", sender.line.kind());
            if let Some(line) = errors.note(outcome.as_ref().map(|_| ()), what) {
                let _entered = self.span.enter();
                notice::log(&line);
            }
            match outcome {
                Ok(_) => counters.sent += 1,
                Err(error) => {
                    counters.send_errors += 1;
                    if is_fatal(&error) {
                        fatal = Some(error);
                    }
                }
            }
        }
        fatal
    }
}

/// Whether the socket is of no use any more: its device or its address is gone. A device that is
/// down, a missing route or a full queue pass.
fn is_fatal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENODEV | libc::ENXIO | libc::EADDRNOTAVAIL | libc::EBADF | libc::ENOTSOCK)
    )
}

/// The legacy line for a medium that is open. Spec: tools, section 6.5.
fn started_line(interface: &str, line: &Line) -> String {
    match line {
        Line::Bcast { port } => format!(
            "glib: UDP Broadcast heartbeat started on port {port} ({port}) interface {interface}"
        ),
        Line::Mcast {
            group,
            port,
            ttl,
            loopback,
        } => format!(
            "glib: UDP multicast heartbeat started for group {group} port {port} \
             interface {interface} (ttl={ttl} loop={})",
            u8::from(*loopback)
        ),
        Line::Ucast { peer, port } => {
            format!("glib: ucast: started on port {port} interface {interface} to {peer}")
        }
        Line::Mcast6 {
            group,
            port,
            hops,
            loopback,
        } => format!(
            "glib: UDP multicast heartbeat started for group {group} port {port} \
             interface {interface} (ttl={hops} loop={})",
            u8::from(*loopback)
        ),
        Line::Ucast6 { peer, port } => {
            format!("glib: ucast6: started on port {port} interface {interface} to {peer}")
        }
    }
}

impl Actor for MediumActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let now = self.clock.now().instant;
        self.state = State::closed(now);
        // A panic may have left some.
        self.heard.clear();
        self.unpacking = Unpacking::default();
        if let Some(opened) = self.opened.take()
            && let Err(error) = self.take(opened, ctx)
        {
            self.lost(&error, ctx);
        }
        // Opens, if that was not done or the interface has changed since.
        self.watch(ctx);
    }
}

impl Supervised for MediumActor {}

impl Handler<Transmit> for MediumActor {
    type Result = ();

    fn handle(&mut self, Transmit(outgoing): Transmit, ctx: &mut Self::Context) {
        if let Some(error) = self.send(&outgoing.datagram) {
            self.lost(&error, ctx);
        }
    }
}

impl Handler<UpdateKeys> for MediumActor {
    type Result = ();

    fn handle(&mut self, UpdateKeys(keys): UpdateKeys, _: &mut Self::Context) {
        self.keys = keys;
    }
}

impl Handler<GetCounters> for MediumActor {
    type Result = MessageResult<GetCounters>;

    fn handle(&mut self, _: GetCounters, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.ledger.counters)
    }
}

#[cfg(test)]
mod tests;
