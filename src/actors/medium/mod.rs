//! What all media share: sending, re-opening, counters.
//!
//! One [`MediumActor`] owns one receive socket and the send sockets of the ha.cf lines that share
//! it. A frame is decoded and verified by the medium that heard it, so a bad frame can hurt only
//! that medium. Nothing here waits: a socket that would block drops the datagram, and
//! retransmission repairs the loss.

mod bcast;
mod counters;
mod heard;
mod inlet;
mod interface;
mod ipv6;
mod looks;
mod mcast;
mod opener;
pub mod plan;
mod reading;
mod receive;
pub mod serial;
mod sockets;
mod ucast;
mod udp;
mod unpack;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, MessageResult, Recipient,
    SpawnHandle, Supervised, WrapFuture,
};
use actix_rt::ArbiterHandle;
use tracing::{Span, debug, info_span};

use crate::actors::messages::{Outgoing, Received, Transmit, UpdateKeys};
use crate::actors::supervise::{RestartPolicy, supervise};
use crate::actors::watchdog::Leaving;
use crate::clients::control::MediumView;
use crate::clock::{Clock, Monotonic};
use crate::notice::{self, Notice};
use crate::protocol::auth::KeyRing;
use crate::protocol::codec::verify_datagram;
use crate::protocol::compress;

pub use counters::Counters;
pub use heard::LastHeard;
pub use opener::{Opener, opener};
pub use plan::{Line, MediumPlan, Receive, plan};
pub use receive::BATCH;
pub(crate) use receive::is_passing;
pub use sockets::{MediumError, OpenMedium, Sender, open};
pub use udp::Step;
use udp::is_fatal;

use counters::{Failures, SendErrors};
use heard::Way;
use inlet::Inlet;
pub use interface::InterfaceState;
use looks::Looks;
use opener::{Asked, Open};
use plan::started_line;
use reading::Reading;
use receive::Heard;
use unpack::{Packed, Unpacking};

/// Messages that a medium's mailbox holds; more are dropped. 64 beats are far beyond any use.
const MAILBOX: usize = 64;

/// Pause after the first failed opening; doubles up to [`MAX_RETRY`]. A change of the interface
/// ends it at once.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Longest pause between two tries to open.
const MAX_RETRY: Duration = Duration::from_secs(10);

/// Asks a medium for its totals.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Counters")]
pub struct GetCounters;

/// Asks a medium whether it is open, and whose messages arrive on it: a view for each directive that it serves.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Vec<MediumView>")]
pub struct AskMedium;

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
    /// Whose messages it receives: nothing yet.
    pub heard: LastHeard,
    /// `log_badpack`.
    pub log_bad_packets: bool,
    /// Told of each datagram that leaves.
    pub leaving: Leaving,
    /// Looks at its interface and opens its sockets.
    pub opener: Addr<Opener>,
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
/// | open | the interface went, came back or changed index, address or broadcast address | asks for other sockets, and goes on with these until they are there |
/// | open | a socket failed | closed |
/// | closed | the interface changed, or the pause is over | asks for sockets |
/// | any | they are there | open |
/// | any | they cannot be had | closed, twice the pause |
#[derive(Debug)]
pub struct MediumActor {
    plan: Arc<MediumPlan>,
    keys: Arc<KeyRing>,
    inlet: Inlet,
    /// Compressed messages.
    unpacking: Unpacking,
    clock: Clock,
    leaving: Leaving,
    /// Sockets opened by somebody else, until `started` takes them.
    opened: Option<OpenMedium>,
    deaf: bool,
    state: State,
    failures: Failures,
    opener: Addr<Opener>,
    /// It has not yet answered: the kernel may take its time.
    asked: Asked,
    looks: Looks,
    /// Entered where something is said, not for every datagram.
    span: Span,
}

#[derive(Debug)]
enum State {
    Open {
        /// As it was when the sockets were made.
        interface: InterfaceState,
        send: Vec<(Sender, SendErrors)>,
        /// Why lines of ha.cf have no socket.
        missing: Vec<MediumError>,
        reading: SpawnHandle,
    },
    Closed {
        /// As it was at the last try.
        interface: Option<InterfaceState>,
        retry_at: Monotonic,
        pause: Duration,
        /// Why, as it was logged last, so that a lasting error is logged once.
        said: String,
    },
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
        let span = info_span!("medium", %name);
        Self {
            inlet: Inlet::new(
                name,
                setup.to,
                setup.heard,
                setup.log_bad_packets,
                span.clone(),
            ),
            span,
            plan: Arc::new(setup.plan),
            keys: setup.keys,
            unpacking: Unpacking::default(),
            leaving: setup.leaving,
            opened: setup.opened,
            deaf: setup.deaf,
            state: State::closed(clock.now().instant),
            failures: Failures::default(),
            opener: setup.opener,
            asked: Asked::default(),
            looks: Looks::default(),
            clock,
        }
    }

    /// Asks for sockets if what was `seen` is another interface than the one that they are for, or if a
    /// pause is over.
    fn seen(&mut self, seen: io::Result<Option<InterfaceState>>, ctx: &mut Context<Self>) {
        let _entered = self.span.clone().entered();
        let found = match seen {
            Ok(found) => found,
            // Says nothing of the sockets that are open.
            Err(error) => return debug!(%error, "interface cannot be looked up"),
        };
        match &self.state {
            _ if self.asked.open.is_some() => return,
            State::Open { interface, .. } if found == Some(*interface) => return,
            State::Open { interface, .. } => {
                debug!(before = ?interface, ?found, "interface changed");
                notice::log(&Notice::OtherWarn {
                    text: format!(
                        "interface {} changed, opening it again",
                        self.plan.interface
                    ),
                });
            }
            State::Closed {
                interface,
                retry_at,
                ..
            } => {
                if found == *interface && *retry_at > self.clock.now().instant {
                    return;
                }
            }
        }
        self.asked.open = Some(self.clock.now().instant);
        self.look_later(ctx);
        let open = self.opener.send(Open(Arc::clone(&self.plan)));
        ctx.spawn(open.into_actor(self).map(move |answer, medium, ctx| {
            medium.asked.open = None;
            let opened = answer.map_err(|gone| gone.to_string());
            let opened = opened.and_then(|done| done.map_err(|error| error.to_string()));
            medium.opened(opened, found, ctx);
        }));
    }

    /// There are other sockets, or none. `found`: the interface just before.
    fn opened(
        &mut self,
        opened: Result<OpenMedium, String>,
        found: Option<InterfaceState>,
        ctx: &mut Context<Self>,
    ) {
        let _entered = self.span.clone().entered();
        let taken =
            opened.and_then(|opened| self.take(opened, ctx).map_err(|error| error.to_string()));
        let Err(error) = taken else {
            self.inlet.ledger.counters.reopened += 1;
            return;
        };
        let (pause, said) = match &mut self.state {
            State::Open { .. } => (FIRST_RETRY, String::new()),
            State::Closed { pause, said, .. } => (*pause, std::mem::take(said)),
        };
        if error != said {
            notice::log(&Notice::OtherError {
                text: format!("{error} (trying again)"),
            });
        }
        self.enter(
            State::Closed {
                interface: found,
                retry_at: self.clock.now().instant + pause,
                pause: pause.saturating_mul(2).min(MAX_RETRY),
                said: error,
            },
            ctx,
        );
    }

    /// Sockets of before are closed: [`Reading`].
    fn enter(&mut self, state: State, ctx: &mut Context<Self>) {
        if let State::Open { reading, .. } = std::mem::replace(&mut self.state, state) {
            ctx.cancel_future(reading);
        }
        self.look_later(ctx);
    }

    /// Begins to use open sockets.
    fn take(&mut self, opened: OpenMedium, ctx: &mut Context<Self>) -> io::Result<()> {
        let closer = self.plan.receive.is_group().then(|| self.opener.clone());
        let reading = Reading::new(opened.receive, closer)?;
        let reading = ctx.spawn(reading.map(|error, medium, ctx| medium.lost(&error, ctx)));
        for error in &opened.missing {
            notice::log(&Notice::OtherError {
                text: format!("{error} (trying again)"),
            });
        }
        let new = |sender| (sender, SendErrors::default());
        let open = State::Open {
            interface: opened.interface,
            send: opened.send.into_iter().map(new).collect(),
            missing: opened.missing,
            reading,
        };
        self.enter(open, ctx);
        if self.failures.opens(self.clock.now().instant) {
            self.say_open();
        }
        Ok(())
    }

    fn say_open(&self) {
        let State::Open { send, .. } = &self.state else {
            return;
        };
        for (sender, _) in send {
            notice::log(&Notice::OtherInfo {
                text: started_line(&self.plan.interface, &sender.line),
            });
        }
    }

    /// A socket failed.
    fn lost(&mut self, error: &io::Error, ctx: &mut Context<Self>) {
        let _entered = self.span.clone().entered();
        let said = format!("{}: socket failed: {error}", self.plan.name);
        let now = self.clock.now().instant;
        if self.failures.fails(&said, now) {
            notice::log(&Notice::OtherError { text: said.clone() });
        }
        let interface = match &self.state {
            State::Open { interface, .. } => Some(*interface),
            State::Closed { interface, .. } => *interface,
        };
        // Not before the pause, unless the interface has changed: the cause may be there still.
        self.enter(
            State::Closed {
                interface,
                retry_at: now + FIRST_RETRY,
                pause: FIRST_RETRY,
                said,
            },
            ctx,
        );
    }

    /// Verifies and decodes. What is compressed waits for its turn: [`unpack`].
    fn hear(&mut self, heard: &Heard<'_>) {
        let now = || self.clock.now().instant;
        let datagram = match *heard {
            Heard::Datagram(datagram) => datagram,
            Heard::Dropped(more) => {
                let _entered = self.span.enter();
                return self.inlet.ledger.kernel_drops(more, now());
            }
            Heard::End => return self.inlet.hand_over(now),
        };
        let from = datagram.from;
        let way = match datagram.to_all {
            Some(true) => Way::ToAll,
            Some(false) | None => Way::Direct,
        };
        match verify_datagram(datagram.bytes, &self.keys) {
            Ok(message) if compress::is_wrapped(&message) => {
                if !self.unpacking.add(Packed { message, from, way }) {
                    let _entered = self.span.enter();
                    self.inlet.ledger.too_many_packed(now());
                }
            }
            Ok(message) => self.inlet.push(message, way, now()),
            Err(error) => self.inlet.refuse(&error, from, now()),
        }
    }

    /// Sends on every line. Says with what error a socket failed for good.
    fn send(&mut self, outgoing: &Outgoing) -> Option<io::Error> {
        let State::Open { send, .. } = &mut self.state else {
            self.inlet.ledger.counters.closed += 1;
            return None;
        };
        let interface = &self.plan.interface;
        let counters = &mut self.inlet.ledger.counters;
        let mut fatal = None;
        for (sender, errors) in send {
            let outcome = sender.socket.send_to(&outgoing.datagram, sender.to);
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
                Ok(_) => {
                    counters.sent += 1;
                    self.leaving.note(outgoing.is_heartbeat());
                }
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

/// Why nothing leaves on lines of that `kind`: the first of them without a socket, or that cannot send.
fn trouble(kind: &str, missing: &[MediumError], send: &[(Sender, SendErrors)]) -> Option<String> {
    let of_kind = |error: &&MediumError| error.kind() == Some(kind);
    let missing = missing.iter().find(of_kind).map(ToString::to_string);
    missing.or_else(|| {
        let mut lines = send.iter().filter(|(sender, _)| sender.line.kind() == kind);
        let error = lines.find_map(|(_, errors)| errors.trouble())?;
        Some(format!("{kind}: {error}"))
    })
}

impl Actor for MediumActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let now = self.clock.now().instant;
        self.state = State::closed(now);
        // A panic may have left some.
        self.inlet.clear();
        self.unpacking = Unpacking::default();
        self.asked = Asked::default();
        self.looks = Looks::default();
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
        if let Some(error) = self.send(&outgoing) {
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
        MessageResult(self.inlet.ledger.counters)
    }
}

impl Handler<AskMedium> for MediumActor {
    type Result = MessageResult<AskMedium>;

    fn handle(&mut self, _: AskMedium, _: &mut Self::Context) -> Self::Result {
        let now = self.clock.now().instant;
        let kinds = self.plan.kinds();
        let alone = kinds.len() == 1;
        let view = |kind: String| {
            let (closed, trouble) = match &self.state {
                State::Open { send, missing, .. } => (None, trouble(&kind, missing, send)),
                State::Closed { said, .. } => (Some(said.clone()), None),
            };
            // Another node may use another directive: alone, a line is told by whatever arrives.
            let way = match kind.as_str() {
                _ if alone => None,
                "bcast" => Some(Way::ToAll),
                _ => Some(Way::Direct),
            };
            let mut view = MediumView::new(self.plan.name.to_string(), vec![kind], closed);
            view.trouble = trouble;
            view.receives = Some(self.inlet.receives(way, now));
            view
        };
        let mut views: Vec<MediumView> = kinds.into_iter().map(view).collect();
        // They share a socket: what it counts is shown once.
        if let Some(first) = views.first_mut() {
            first.counts = Some((&self.inlet.ledger.counters).into());
        }
        MessageResult(views)
    }
}

#[cfg(test)]
mod tests;
