//! Keeps an actor running after a panic or a stop, at the same address and with its queue.
//!
//! The stock `actix` supervisor restarts an actor that *stops*, but not one that panics: its
//! address closes and the queue is lost. Here the public [`ContextFut`] is polled inside
//! `catch_unwind`, so that only the message in hand is lost.
//!
//! | It ended by | Called, in this order |
//! |---|---|
//! | a panic | `restarting`, `started` |
//! | `ctx.stop()` | `stopping`, `stopped`, `restarting`, `started` |
//! | the last address dropped | `stopping`, `stopped`; the end |
//!
//! Timers, streams and futures of the old life are gone, the struct stays: `restarting` rebuilds
//! state, `started` opens sockets and arms timers, `stopped` must not panic. To end a supervised
//! actor for good, drop every address to it.

#[cfg(debug_assertions)]
pub mod fault;

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use actix::dev::ContextFut;
use actix::dev::channel::{AddressReceiver, channel};
use actix::{Actor, Addr, Context, Supervised};
use actix_rt::ArbiterHandle;
use tracing::{debug, error, warn};

use crate::clock::{Clock, Monotonic};

/// Shortest pause before a restart. Never zero: an actor that dies in `started` must let the others
/// of its thread run each time.
const MIN_DELAY: Duration = Duration::from_millis(1);

/// How an actor comes back.
pub struct RestartPolicy {
    name: String,
    mailbox: usize,
    first_delay: Duration,
    max_delay: Duration,
    quiet: Duration,
    limit: Option<usize>,
    give_up: Option<Box<dyn FnOnce() + Send>>,
}

impl RestartPolicy {
    /// Restarts for ever: after 100 ms, then twice as long each time up to 10 s; from 100 ms again
    /// after a minute without a restart. The mailbox holds 64 messages.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            mailbox: 64,
            first_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(10),
            quiet: Duration::from_secs(60),
            limit: None,
            give_up: None,
        }
    }

    /// Sets how many messages `try_send` queues.
    #[must_use]
    pub fn mailbox(mut self, messages: usize) -> Self {
        self.mailbox = messages;
        self
    }

    /// Sets the first pause before a restart and the longest that doubling leads to. A pause is
    /// never shorter than a millisecond.
    #[must_use]
    pub fn delay(mut self, first: Duration, max: Duration) -> Self {
        self.first_delay = first.max(MIN_DELAY);
        self.max_delay = max.max(self.first_delay);
        self
    }

    /// Sets how long an actor must live for its next restart to count as the first; also the
    /// window of [`give_up_at`](Self::give_up_at). A minute unless said.
    #[must_use]
    pub fn quiet(mut self, quiet: Duration) -> Self {
        self.quiet = quiet;
        self
    }

    /// The `ends`-th end within the quiet time is the last: `give_up` is called on the actor's
    /// thread and the address closes.
    #[must_use]
    pub fn give_up_at(mut self, ends: usize, give_up: impl FnOnce() + Send + 'static) -> Self {
        self.limit = Some(ends);
        self.give_up = Some(Box::new(give_up));
        self
    }
}

impl fmt::Debug for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestartPolicy")
            .field("name", &self.name)
            .field("mailbox", &self.mailbox)
            .field("first_delay", &self.first_delay)
            .field("max_delay", &self.max_delay)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// The ends of an actor that still count.
#[derive(Debug, Default)]
struct Ends {
    /// Within the quiet time; never more than the limit.
    recent: VecDeque<Monotonic>,
    last: Option<Monotonic>,
    next_delay: Duration,
}

impl Ends {
    /// Records an end at `at`. Returns the pause before the restart, or `None` to give up.
    fn note(&mut self, at: Monotonic, policy: &RestartPolicy) -> Option<Duration> {
        if let Some(limit) = policy.limit {
            self.recent
                .retain(|end| at.since(*end) < policy.quiet && *end <= at);
            self.recent.push_back(at);
            if self.recent.len() >= limit {
                return None;
            }
        }
        let was_quiet = self.last.is_none_or(|last| at.since(last) >= policy.quiet);
        if was_quiet {
            self.next_delay = policy.first_delay;
        }
        self.last = Some(at);
        let delay = self.next_delay;
        self.next_delay = delay.saturating_mul(2).min(policy.max_delay);
        Some(delay)
    }
}

/// The task that runs one supervised actor.
struct Supervise<A: Actor<Context = Context<A>> + Supervised> {
    actor: Pin<Box<ContextFut<A, Context<A>>>>,
    policy: RestartPolicy,
    clock: Clock,
    ends: Ends,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl<A: Actor<Context = Context<A>> + Supervised> Future for Supervise<A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            if let Some(pause) = &mut this.pause {
                ready!(pause.as_mut().poll(cx));
                this.pause = None;
                let restarted = catch_unwind(AssertUnwindSafe(|| this.actor.restart()));
                match restarted {
                    Ok(true) => {}
                    Ok(false) => return Poll::Ready(()), // nobody holds an address any more
                    Err(panic) => {
                        this.report("restarting", panic.as_ref());
                        if !this.plan_restart() {
                            return Poll::Ready(());
                        }
                        continue;
                    }
                }
            }
            #[cfg(debug_assertions)]
            this.fail_if_asked(cx);
            match catch_unwind(AssertUnwindSafe(|| this.actor.as_mut().poll(cx))) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(())) => {
                    if !this.actor.ctx().connected() {
                        debug!(actor = %this.policy.name, "actor ended, nobody holds its address");
                        return Poll::Ready(());
                    }
                    warn!(actor = %this.policy.name, "actor stopped itself");
                }
                Err(panic) => this.report("running", panic.as_ref()),
            }
            if !this.plan_restart() {
                return Poll::Ready(());
            }
        }
    }
}

impl<A: Actor<Context = Context<A>> + Supervised> Supervise<A> {
    /// The panic comes out of the actor's own context, like that of a handler.
    #[cfg(debug_assertions)]
    #[expect(clippy::panic, reason = "that is what is asked for")]
    fn fail_if_asked(&mut self, cx: &std::task::Context<'_>) {
        match fault::due(&self.policy.name, cx.waker()) {
            None => {}
            Some(fault::Fault::Panic) => {
                let fault = actix::fut::wrap_future::<_, A>(async { panic!("injected") });
                actix::AsyncContext::spawn(self.actor.ctx(), fault);
            }
            Some(fault::Fault::Hang) => loop {
                std::thread::park();
            },
        }
    }

    fn report(&self, when: &'static str, panic: &(dyn Any + Send)) {
        error!(actor = %self.policy.name, when, reason = panic_text(panic), "actor panicked");
    }

    /// Arms the pause, or gives up and returns `false`.
    fn plan_restart(&mut self) -> bool {
        match self.ends.note(self.clock.now().instant, &self.policy) {
            Some(delay) => {
                self.pause = Some(Box::pin(tokio::time::sleep(delay)));
                true
            }
            None => {
                error!(actor = %self.policy.name, "actor ended too often, giving up");
                if let Some(give_up) = self.policy.give_up.take() {
                    give_up();
                }
                false
            }
        }
    }
}

/// The text of a panic's payload.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

/// An actor that does not run yet. Its address is valid, and what is sent waits in its queue: so two
/// actors that are started one after the other can know each other.
pub struct NotStarted<A: Actor<Context = Context<A>> + Supervised> {
    policy: RestartPolicy,
    receiver: AddressReceiver<A>,
    addr: Addr<A>,
}

impl<A: Actor<Context = Context<A>> + Supervised> NotStarted<A> {
    /// It is to be kept running by `policy`.
    #[must_use]
    pub fn new(policy: RestartPolicy) -> Self {
        let (sender, receiver) = channel(policy.mailbox);
        let addr = Addr::new(sender);
        Self {
            policy,
            receiver,
            addr,
        }
    }

    /// Its address.
    #[must_use]
    pub fn addr(&self) -> Addr<A> {
        self.addr.clone()
    }

    /// Starts it on `arbiter`. `create` runs on that thread. When it panics, that is logged, the
    /// policy's give-up callback runs and the address is closed.
    pub fn start(
        self,
        arbiter: &ArbiterHandle,
        create: impl FnOnce(&mut Context<A>) -> A + Send + 'static,
    ) -> Addr<A> {
        let Self {
            mut policy,
            receiver,
            addr,
        } = self;
        let name = policy.name.clone();
        let accepted = arbiter.spawn_fn(move || {
            let mut context = Context::with_receiver(receiver);
            match catch_unwind(AssertUnwindSafe(|| create(&mut context))) {
                Ok(actor) => {
                    actix_rt::spawn(Supervise {
                        actor: Box::pin(context.into_future(actor)),
                        policy,
                        clock: Clock::start(),
                        ends: Ends::default(),
                        pause: None,
                    });
                }
                Err(panic) => {
                    error!(actor = %policy.name, reason = panic_text(panic.as_ref()), "actor could not be created");
                    if let Some(give_up) = policy.give_up.take() {
                        give_up();
                    }
                }
            }
        });
        if !accepted {
            error!(actor = %name, "an actor was started on a thread that has ended");
        }
        addr
    }
}

/// Starts an actor on `arbiter` and keeps it running by `policy`: [`NotStarted::start`] at once.
pub fn supervise<A, F>(arbiter: &ArbiterHandle, policy: RestartPolicy, create: F) -> Addr<A>
where
    A: Actor<Context = Context<A>> + Supervised,
    F: FnOnce(&mut Context<A>) -> A + Send + 'static,
{
    NotStarted::new(policy).start(arbiter, create)
}

#[cfg(test)]
mod tests;
