//! The built-in `ipfail`: a client of the client registry without a socket, switched on by a
//! setting. [`policy::ipfail`](crate::policy::ipfail) makes its decisions.
//! Spec: docs/protocol/client-api.md, 15.6.
//!
//! An outside `ipfail` always has priority: the registry closes our connection when one signs on,
//! and gives the next when it has gone.

use std::time::Duration;

use actix::prelude::*;
use actix_rt::Arbiter;
use tracing::info;

use crate::actors::messages::{InsideHears, InsideSays};
use crate::actors::supervise::{RestartPolicy, supervise};
use crate::clock::Clock;
use crate::config::Config;
use crate::ha_log;
use crate::notice::{self, Severity, Speaker};
use crate::policy::ipfail::{End, Identity, Ipfail, NAME, Output};

/// Pause before the next try after the daemon refused us.
const RETRY: Duration = Duration::from_secs(5);

/// Messages its mailbox holds.
const MAILBOX: usize = 256;

/// The node stops: sign off, and do not sign on again.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct StopIpfail;

/// Drives one [`Ipfail`] after another.
pub struct IpfailActor {
    clients: Recipient<InsideSays>,
    clock: Clock,
    /// `None`: no connection.
    ipfail: Option<Ipfail>,
    timer: Option<SpawnHandle>,
    stopping: bool,
}

/// Whether the node is to have one: it is wanted, and ha.cf starts no program of that name.
#[must_use]
pub fn is_wanted(config: &Config) -> bool {
    let outside = config.respawn.iter().any(|client| {
        let program = client.command.split_whitespace().next().unwrap_or_default();
        program.rsplit('/').next() == Some(NAME)
    });
    config.settings.ipfail && !outside
}

/// Starts it on the current arbiter, supervised for ever.
#[must_use]
pub fn start(clients: Recipient<InsideSays>) -> Addr<IpfailActor> {
    let policy = RestartPolicy::new("ipfail").mailbox(MAILBOX);
    supervise(&Arbiter::current(), policy, move |_| {
        IpfailActor::new(clients)
    })
}

impl IpfailActor {
    /// An actor without a connection.
    #[must_use]
    pub fn new(clients: Recipient<InsideSays>) -> Self {
        Self {
            clients,
            clock: Clock::start(),
            ipfail: None,
            timer: None,
            stopping: false,
        }
    }

    fn connect(&mut self, ctx: &mut Context<Self>) {
        if !self.stopping {
            let to = ctx.address().recipient();
            self.clients.do_send(InsideSays::Connect(to));
        }
    }

    fn step(
        &mut self,
        ctx: &mut Context<Self>,
        begin: impl FnOnce(&mut Ipfail, crate::clock::Monotonic, &mut Vec<Output>),
    ) {
        let Some(ipfail) = &mut self.ipfail else {
            return;
        };
        let mut out = Vec::new();
        begin(ipfail, self.clock.now().instant, &mut out);
        let due = ipfail.next_deadline();
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        if let Some(due) = due {
            let left = due.since(self.clock.now().instant);
            self.timer = Some(ctx.run_later(left, |act, ctx| {
                act.timer = None;
                act.step(ctx, Ipfail::tick);
            }));
        }
        for output in out {
            match output {
                Output::Send(message) => self.clients.do_send(InsideSays::Message(message)),
                Output::Log(severity, text) => log(severity, &text),
                Output::End(end) => self.ended(end, ctx),
            }
        }
    }

    fn ended(&mut self, end: End, ctx: &mut Context<Self>) {
        self.ipfail = None;
        match end {
            End::Failed => {
                ctx.run_later(RETRY, Self::connect);
            }
            End::NotWanted => info!("the built-in ipfail has nothing to do here"),
        }
    }
}

/// One line in the form and under the name that suites look for.
fn log(severity: Severity, text: &str) {
    notice::say(Speaker::Program(NAME), severity, &text);
}

impl Actor for IpfailActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.connect(ctx);
    }
}

impl Supervised for IpfailActor {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.ipfail = None;
        self.timer = None;
    }
}

impl Handler<InsideHears> for IpfailActor {
    type Result = ();

    fn handle(&mut self, heard: InsideHears, ctx: &mut Self::Context) {
        match heard {
            InsideHears::Connected => {
                self.ipfail = Some(Ipfail::new(Identity {
                    host: ha_log::host_name().to_ascii_lowercase(),
                    pid: std::process::id(),
                    uid: nix::unistd::geteuid().as_raw(),
                    gid: nix::unistd::getegid().as_raw(),
                }));
                self.step(ctx, Ipfail::connected);
            }
            InsideHears::Message(message) => {
                self.step(ctx, |ipfail, now, out| ipfail.received(message, now, out));
            }
            InsideHears::Closed => {
                self.ipfail = None;
                self.connect(ctx);
            }
        }
    }
}

impl Handler<StopIpfail> for IpfailActor {
    type Result = ();

    fn handle(&mut self, _: StopIpfail, _: &mut Self::Context) {
        self.stopping = true;
        if let Some(ipfail) = self.ipfail.take() {
            self.clients.do_send(InsideSays::Message(ipfail.sign_off()));
        }
    }
}

#[cfg(test)]
mod tests;
