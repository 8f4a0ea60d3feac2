//! One serial port: reads and sends on a thread of its own. Spec: docs/protocol/wire.md, 18.4.
//!
//! It stands among the media as membership sees them: takes [`Transmit`], gives [`Received`]. What is sent, when and what is
//! dropped is decided by [`Outbox`]. A port whose driver makes its thread wait holds up no other medium.
//!
//! | State | Event | Then |
//! |---|---|---|
//! | open | the port fails, or its device is gone | closed |
//! | open | it takes no byte for half a second | what it holds is thrown away; open |
//! | closed | a second has passed | it is opened again |

mod lock;
mod plan;
mod port;
mod reading;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, MessageResult,
    Recipient, ResponseFuture, SpawnHandle, Supervised,
};
use actix_rt::ArbiterHandle;
use bytes::BytesMut;
use tokio::sync::oneshot;
use tokio_util::codec::{Encoder as _, FramedRead};
use tracing::{Span, info_span};

use super::counters::Failures;
use super::heard::Way;
use super::inlet::Inlet;
use super::{AskMedium, GetCounters, LastHeard};
use crate::actors::codecs::{SerialCodec, WriteError};
use crate::actors::messages::{CannotGo, Received, Transmit, UpdateKeys};
use crate::actors::supervise::{RestartPolicy, supervise};
use crate::actors::watchdog::Leaving;
use crate::clients::control::MediumView;
use crate::clock::{Clock, Monotonic};
use crate::notice::{self, Notice};
use crate::protocol::auth::KeyRing;
use crate::protocol::codec::DecodeError;
use crate::protocol::history::numbered;
use crate::protocol::message;
use crate::protocol::serial::{Outbox, Queued, Refused, Step};

pub use plan::{SerialPlan, plans};
pub use port::{OpenPort, PortError, open, open_in_time};

use port::{Port, PortReader};
use reading::Reading;

/// Messages that the mailbox holds; more are dropped. It is emptied at once unless the driver makes the thread wait.
const MAILBOX: usize = 64;

/// Pause between two tries to open a port. A device that comes back is used that soon.
const RETRY: Duration = Duration::from_secs(1);

/// Pause between two reports of lines that were held back.
const WATCH: Duration = Duration::from_secs(1);

/// Pause between two warnings that a port takes nothing. Spec: docs/protocol/wire.md, 18.4.
const STUCK_SAID: Duration = Duration::from_secs(3600);

/// How long the last messages of a process that ends may take: some hundred bytes at the speed of the line.
pub const DRAIN: Duration = Duration::from_millis(1500);

/// Shortest pause of a timer.
const TICK: Duration = Duration::from_millis(1);

/// Asks to be told when everything has left that was given for sending, or cannot leave.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// The port is closed then: this process ends.
    pub close: bool,
}

/// Everything that a serial medium needs to know.
#[derive(Debug)]
pub struct SerialSetup {
    /// Its work.
    pub plan: SerialPlan,
    /// The port, opened at start so that the node can report success; `None`: it opens it when it can.
    pub opened: Option<OpenPort>,
    /// It only sends: what is read counts for nothing.
    pub deaf: bool,
    /// Keys to sign and to verify with.
    pub keys: Arc<KeyRing>,
    /// Whose messages it receives: nothing yet.
    pub heard: LastHeard,
    /// `log_badpack`.
    pub log_bad_packets: bool,
    /// Told when something has left the port.
    pub leaving: Leaving,
    /// Membership. Held, not upgraded for each message, as by other media.
    pub to: Recipient<Received>,
    /// The same, told of what the line cannot carry.
    pub refused: Recipient<CannotGo>,
}

/// Starts a serial medium on `arbiter`, supervised for ever.
#[must_use]
pub fn start(arbiter: &ArbiterHandle, setup: SerialSetup) -> Addr<SerialActor> {
    let policy = RestartPolicy::new(format!("medium {}", setup.plan.name)).mailbox(MAILBOX);
    supervise(arbiter, policy, move |_| SerialActor::new(setup))
}

/// One serial port.
pub struct SerialActor {
    plan: SerialPlan,
    keys: Arc<KeyRing>,
    inlet: Inlet,
    clock: Clock,
    outbox: Outbox,
    refused: Recipient<CannotGo>,
    leaving: Leaving,
    /// A heartbeat was taken since something has left.
    heartbeat: bool,
    /// Opened by somebody else, until `started` takes it.
    opened: Option<OpenPort>,
    deaf: bool,
    state: State,
    failures: Failures,
    /// When the next bytes are to be written.
    timer: Option<SpawnHandle>,
    /// When it was last said that the port takes nothing.
    stuck_said: Option<Monotonic>,
    /// Who waits for everything to have left.
    draining: Vec<(Drain, oneshot::Sender<()>)>,
    /// Entered where something is said.
    span: Span,
}

enum State {
    Open {
        port: Arc<Port>,
        reader: FramedRead<PortReader, SerialCodec>,
        reading: SpawnHandle,
    },
    Closed {
        /// Why, as it was logged last, so that a lasting error is logged once.
        said: String,
    },
    /// For good: the process ends.
    Ended,
}

impl SerialActor {
    fn new(setup: SerialSetup) -> Self {
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
            outbox: Outbox::new(setup.plan.line),
            refused: setup.refused,
            leaving: setup.leaving,
            heartbeat: false,
            plan: setup.plan,
            keys: setup.keys,
            clock: Clock::start(),
            opened: setup.opened,
            deaf: setup.deaf,
            state: State::Closed {
                said: String::new(),
            },
            failures: Failures::default(),
            timer: None,
            stuck_said: None,
            draining: Vec::new(),
        }
    }

    fn now(&self) -> Monotonic {
        self.clock.now().instant
    }

    fn watch(&mut self, ctx: &mut Context<Self>) {
        let _entered = self.span.clone().entered();
        let now = self.now();
        self.inlet.ledger.report(now);
        self.inlet.ledger.too_slow(now);
        if self.failures.stays_open(now) {
            self.say_open();
        }
        ctx.run_later(WATCH, Self::watch);
    }

    /// Opens the port, or tries again in a moment.
    fn open(&mut self, ctx: &mut Context<Self>) {
        let State::Closed { said } = &self.state else {
            return;
        };
        let said = said.clone();
        let _entered = self.span.clone().entered();
        let opened = match self.opened.take() {
            Some(opened) => Ok(opened),
            None => open(&self.plan).map_err(|error| error.to_string()),
        };
        let taken = opened.and_then(|port| Port::new(port).map_err(|error| error.to_string()));
        match taken {
            Ok(port) => self.take(port, ctx),
            Err(error) => {
                if error != said {
                    notice::log(&Notice::OtherError {
                        text: format!("{error} (trying again)"),
                    });
                }
                self.state = State::Closed { said: error };
                ctx.run_later(RETRY, Self::open);
            }
        }
    }

    fn take(&mut self, port: Port, ctx: &mut Context<Self>) {
        let port = Arc::new(port);
        let codec = SerialCodec::new(Arc::clone(&self.keys));
        let reader = FramedRead::new(PortReader(Arc::clone(&port)), codec);
        let reading = ctx.spawn(Reading.map(|error, medium, ctx| medium.lost(&error, ctx)));
        if self.failures.opens(self.now()) {
            self.say_open();
        }
        self.state = State::Open {
            port,
            reader,
            reading,
        };
        self.outbox.begin_anew();
        self.inlet.ledger.counters.reopened += 1;
        self.send_on(ctx);
    }

    fn say_open(&self) {
        let (device, baud) = (self.plan.device.display(), self.plan.line.speed.baud());
        notice::log(&Notice::OtherInfo {
            text: format!("glib: Starting serial heartbeat on tty {device} ({baud} baud)"),
        });
    }

    /// The port failed.
    fn lost(&mut self, error: &io::Error, ctx: &mut Context<Self>) {
        let _entered = self.span.clone().entered();
        let said = format!(
            "serial {}: port failed: {error}",
            self.plan.device.display()
        );
        if self.failures.fails(&said, self.now()) {
            notice::log(&Notice::OtherError { text: said.clone() });
        }
        self.leave(State::Closed { said }, ctx);
        ctx.run_later(RETRY, Self::open);
        // Nothing leaves before it is open again.
        self.drained();
    }

    /// What was begun is lost; what waits is sent when the port is open again, if it is young enough then.
    fn leave(&mut self, state: State, ctx: &mut Context<Self>) {
        if let State::Open { reading, .. } = std::mem::replace(&mut self.state, state) {
            ctx.cancel_future(reading);
        }
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
    }

    /// Writes what may be written now, and comes back when more may be.
    fn send_on(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let again = loop {
            let now = self.now();
            let State::Open { port, .. } = &self.state else {
                break None;
            };
            let piece = match self.outbox.next(now) {
                Step::Idle => break None,
                Step::Wait(then) => break Some(then),
                Step::Write(piece) => piece,
            };
            let held = port.holds();
            // It need not be empty: with much to send it never is.
            if self.outbox.has_left(held) {
                self.leaving.note(std::mem::take(&mut self.heartbeat));
            }
            let written = if held > self.outbox.may_hold() {
                Ok(0)
            } else {
                port.write(&piece)
            };
            match written {
                Ok(0) => {}
                Ok(bytes) => {
                    self.outbox.wrote(bytes, now);
                    continue;
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => return self.lost(&error, ctx),
            }
            match self.outbox.refused(now) {
                Refused::Again(then) => break Some(then),
                Refused::Flush => {
                    port.discard();
                    self.stuck(now);
                }
            }
        };
        self.inlet.ledger.counters.too_slow += self.outbox.take_outdated();
        let now = self.now();
        if self.outbox.is_drained(now) {
            self.drained();
        }
        let again = match again {
            None if !self.draining.is_empty() => Some(now),
            again => again,
        };
        if let Some(then) = again {
            let pause = then.since(now).max(TICK);
            self.timer = Some(ctx.run_later(pause, Self::send_on));
        }
    }

    fn drained(&mut self) {
        let mut close = false;
        for (asked, answer) in self.draining.drain(..) {
            close |= asked.close;
            let _ = answer.send(());
        }
        if close {
            // The reading task ends with the port.
            self.state = State::Ended;
        }
    }

    fn stuck(&mut self, now: Monotonic) {
        self.inlet.ledger.counters.would_block += 1;
        let said = self.stuck_said;
        if said.is_none_or(|said| now.since(said) >= STUCK_SAID) {
            self.stuck_said = Some(now);
            let _entered = self.span.enter();
            notice::log(&Notice::OtherWarn {
                text: format!(
                    "glib: TTY write timeout on [{}] (no connection or bad cable?)",
                    self.plan.device.display()
                ),
            });
        }
    }

    /// The node that asks for it again and again shall not wait for it.
    fn cannot_go(&self, message: &message::Message) {
        if let Some((generation, seq)) = numbered(message) {
            // Full: told again when it is asked for again.
            let _ = self.refused.try_send(CannotGo {
                medium: self.plan.name.clone(),
                generation,
                seq,
            });
        }
    }

    fn hear(&mut self, item: Result<message::Message, DecodeError>) {
        match item {
            _ if self.deaf => {}
            Ok(message) => {
                let now = self.now();
                self.inlet.push(message, Way::Direct, now);
            }
            Err(error) => {
                let now = self.now();
                self.inlet.refuse(&error, None, now);
            }
        }
    }
}

impl Actor for SerialActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // A panic may have left some.
        self.inlet.clear();
        self.timer = None;
        self.state = State::Closed {
            said: String::new(),
        };
        self.open(ctx);
        self.watch(ctx);
    }
}

impl Supervised for SerialActor {}

impl Handler<Transmit> for SerialActor {
    type Result = ();

    fn handle(&mut self, Transmit(outgoing): Transmit, ctx: &mut Self::Context) {
        let State::Open { reader, .. } = &mut self.state else {
            self.inlet.ledger.counters.closed += 1;
            return;
        };
        let mut text = BytesMut::new();
        let encoded = reader.decoder_mut().encode(&*outgoing, &mut text);
        let now = self.clock.now().instant;
        if let Err(WriteError::Message(error)) = encoded {
            self.cannot_go(&outgoing.message);
            let _entered = self.span.enter();
            return self.inlet.ledger.has_no_text(&error, now);
        }
        match self.outbox.push(&outgoing.message, text.freeze(), now) {
            Queued::Waits => {
                self.inlet.ledger.counters.sent += 1;
                self.heartbeat |= outgoing.is_heartbeat();
            }
            Queued::Twice | Queued::AskedAgain => {}
            Queued::NoRoom => self.inlet.ledger.counters.too_slow += 1,
            Queued::TooLong => {
                self.inlet.ledger.counters.too_slow += 1;
                self.cannot_go(&outgoing.message);
            }
        }
        self.send_on(ctx);
    }
}

impl Handler<UpdateKeys> for SerialActor {
    type Result = ();

    fn handle(&mut self, UpdateKeys(keys): UpdateKeys, _: &mut Self::Context) {
        if let State::Open { reader, .. } = &mut self.state {
            reader.decoder_mut().set_keys(Arc::clone(&keys));
        }
        self.keys = keys;
    }
}

impl Handler<Drain> for SerialActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, asked: Drain, ctx: &mut Self::Context) -> Self::Result {
        let (answer, done) = oneshot::channel();
        self.draining.push((asked, answer));
        if asked.close {
            self.outbox.keep_last_words();
            // What the kernel holds of a line that takes nothing would hold up the end of the process.
            ctx.run_later(DRAIN, |medium, _| medium.drained());
        }
        if matches!(self.state, State::Open { .. }) {
            self.send_on(ctx);
        } else {
            self.drained();
        }
        Box::pin(async {
            // Dropped with this actor's life: nothing more leaves either.
            let _ = done.await;
        })
    }
}

impl Handler<GetCounters> for SerialActor {
    type Result = MessageResult<GetCounters>;

    fn handle(&mut self, _: GetCounters, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.inlet.ledger.counters)
    }
}

impl Handler<AskMedium> for SerialActor {
    type Result = MessageResult<AskMedium>;

    fn handle(&mut self, _: AskMedium, _: &mut Self::Context) -> Self::Result {
        let closed = match &self.state {
            State::Open { .. } => None,
            State::Closed { said } => Some(said.clone()),
            State::Ended => Some("this node stops".to_owned()),
        };
        let kinds = vec!["serial".to_owned()];
        let mut view = MediumView::new(self.plan.name.to_string(), kinds, closed);
        let stuck = view.open && self.outbox.is_stuck();
        view.trouble =
            stuck.then(|| "the port takes nothing (no connection or bad cable?)".to_owned());
        view.receives = Some(self.inlet.receives(None, self.now()));
        view.counts = Some((&self.inlet.ledger.counters).into());
        MessageResult(vec![view])
    }
}
