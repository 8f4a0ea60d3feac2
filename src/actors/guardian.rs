//! The daemon's watch over its guardian: starts it, hears the end of its socket, starts another.
//! The other side is [`crate::guardian`].

use std::io;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use actix::prelude::*;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tracing::{error, info, warn};

use crate::clock::{Clock, Monotonic};
use crate::guardian::Link;

/// Pause before a guardian that is gone is replaced, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(10));

/// A guardian that lived so long counts as well: the next pause is the first again.
const LIVED: Duration = Duration::from_secs(20);

/// Keeps a guardian alive.
pub struct GuardianActor {
    program: PathBuf,
    link: Link,
    clock: Clock,
    began: Monotonic,
    pause: Duration,
    /// Guardians that we started and that are not yet reaped.
    children: Vec<Child>,
}

impl GuardianActor {
    /// `link` may have a guardian already; else one is started from `program`.
    #[must_use]
    pub fn new(program: PathBuf, link: Link) -> Self {
        let clock = Clock::start();
        Self {
            program,
            link,
            began: clock.now().instant,
            clock,
            pause: PAUSES.0,
            children: Vec::new(),
        }
    }

    /// Starts one unless there is one, and listens.
    fn begin(&mut self, ctx: &mut Context<Self>) {
        self.began = self.clock.now().instant;
        self.children
            .retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        if !self.link.is_there()
            && let Err(error) = self.start()
        {
            let program = self.program.display();
            error!(%program, %error, "no guardian can be started: a killed daemon would stay dead");
            self.again(ctx);
            return;
        }
        match self.listener() {
            Ok(mut socket) => {
                self.link.introduce();
                let end = async move {
                    let mut word = [0; 1];
                    // It never speaks.
                    while socket.read(&mut word).await.is_ok_and(|count| count > 0) {}
                };
                ctx.spawn(end.into_actor(self).map(|(), act, ctx| {
                    warn!("the guardian is gone: starting another");
                    act.link.forget();
                    act.again(ctx);
                }));
            }
            Err(error) => {
                error!(%error, "the guardian cannot be heard");
                self.link.dismiss();
                self.again(ctx);
            }
        }
    }

    fn start(&mut self) -> io::Result<()> {
        let child = self.link.start_guardian(&self.program)?;
        info!(pid = child.id(), "guardian started");
        self.children.push(child);
        Ok(())
    }

    fn listener(&self) -> io::Result<UnixStream> {
        let socket = self.link.listener().ok_or(io::ErrorKind::NotConnected)?;
        socket.set_nonblocking(true)?;
        UnixStream::from_std(socket)
    }

    fn again(&mut self, ctx: &mut Context<Self>) {
        if self.clock.now().instant.since(self.began) >= LIVED {
            self.pause = PAUSES.0;
        }
        ctx.run_later(self.pause, Self::begin);
        self.pause = self.pause.saturating_mul(2).min(PAUSES.1);
    }
}

impl Actor for GuardianActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.begin(ctx);
    }
}

impl Supervised for GuardianActor {}
