//! Respawned clients: programs that the daemon keeps running because of ha.cf.
//! Spec: docs/protocol/membership.md, 9.
//!
//! Each is a supervised actor; [`Clients`] starts and stops all of them in their order. They have a
//! thread of their own, because it checks a program and makes its process, and both wait for a disk
//! that hangs. Then their stop may hang as well, so the wait for it has a limit.
//!
//! | State | Event | Then |
//! |---|---|---|
//! | idle | start | running; over when the program may not be executed |
//! | running | it ended | waiting or running again, or over, by [`Lives`] |
//! | waiting | the pause is over | running |
//! | running | stop | TERM to its group, KILL after [`KILL_AFTER`]; idle at its end, not waited for longer than [`GIVE_UP_AFTER`] |
//! | over | any | over: for the rest of the daemon's life |

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix::{WeakAddr, WeakRecipient};
use actix_rt::Arbiter;
use futures_util::future::join_all;
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{AccessFlags, Pid, access};
use tokio::process::Child;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{error, warn};

use crate::actors::supervise::{RestartPolicy, supervise};
use crate::actors::threads;
use crate::agents::child::client;
use crate::agents::respawn::{How, Lives, Next, program};
use crate::agents::script::Environment;
use crate::clock::{Clock, Monotonic};
use crate::config::Config;
use crate::config::types::RespawnConfig;
use crate::notice::{self, Notice};
use crate::os::accounts::{Account, Accounts};
use crate::os::paths::Paths;

/// How long a client may take to end when it is told to. Legacy waits without limit, and so does
/// its shutdown; resources are released by then, so only the exit waits for it.
const KILL_AFTER: Duration = Duration::from_secs(60);

/// How long it may take to end after that. A process that waits for a failed disk or server cannot
/// be killed until that answers; a stop or restart goes on without it.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);

/// How long their thread may take to answer when a stop begins: the start of a client may be slow.
/// No client is started after that, so nothing more can hang.
const ANSWERS_AFTER: Duration = Duration::from_secs(30);

/// Their thread hangs, and no signal ends that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the disk with the program of a respawned client hangs, and a thread of ours with it")]
pub struct ThreadHangs;

/// A client died whose death must reboot the machine.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct FailfastDied {
    /// Its command line.
    pub command: String,
}

/// Start it, unless it runs or is over.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
struct Start;

/// Do not start it again: a stop has begun. Answered when no start is in hand any more.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
struct Hold;

/// Stop it; answered when it has ended.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
struct Stop;

/// Its process ended.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
struct ProcessEnded {
    process: Pid,
    how: How,
}

/// All respawned clients, in the order of ha.cf.
#[derive(Debug, Default)]
pub struct Clients(Vec<(Arc<str>, Addr<ClientActor>)>);

impl Clients {
    /// Makes the actors on a thread of their own; starts no program. The users of all clients have
    /// been looked up.
    #[must_use]
    pub fn new(
        config: &Config,
        paths: &Paths,
        debug: u8,
        accounts: &Accounts,
        failfast: &WeakRecipient<FailfastDied>,
    ) -> Self {
        if config.respawn.is_empty() {
            return Self::default();
        }
        let thread = match threads::respawn() {
            Ok(thread) => thread.handle(),
            Err(error) => {
                warn!(%error, "no thread for respawned programs");
                Arbiter::current()
            }
        };
        let environment = Arc::new(environment(config, paths, debug));
        let start = |line: &RespawnConfig| {
            let Some(account) = accounts.of(&line.user).cloned() else {
                error!(user = %line.user, command = %line.command, "no such user");
                return None;
            };
            let client = ClientActor::new(
                line.clone(),
                account,
                Arc::clone(&environment),
                failfast.clone(),
            );
            let policy = RestartPolicy::new(format!("client {}", line.command));
            let client = supervise(&thread, policy, move |_| client);
            Some((line.command.as_str().into(), client))
        };
        Self(config.respawn.iter().filter_map(start).collect())
    }

    /// Starts all that do not run, in their order.
    pub fn start(&self) {
        for (_, client) in &self.0 {
            client.do_send(Start);
        }
    }

    /// Stops all, the last first, each when the one before has ended. From now on a client that
    /// ends is not started again.
    ///
    /// # Errors
    /// None is stopped: see [`ThreadHangs`].
    pub fn stop(&self) -> impl Future<Output = Result<(), ThreadHangs>> + 'static {
        for (_, client) in &self.0 {
            client.do_send(Hold);
        }
        let clients: Vec<_> = self.0.iter().rev().cloned().collect();
        async move {
            // All are on one thread. If a client is gone, that shows when it is stopped.
            let held = join_all(clients.iter().map(|(_, client)| client.send(Hold)));
            timeout(ANSWERS_AFTER, held)
                .await
                .map_err(|_| ThreadHangs)?;
            for (command, client) in clients {
                // A client that cannot be stopped gives up by itself.
                if let Err(error) = client.send(Stop).await {
                    error!(%command, %error, "a client cannot be stopped");
                }
            }
            Ok(())
        }
    }
}

/// The environment of clients in addition to our own. Spec: docs/protocol/membership.md, 9.1.
fn environment(config: &Config, paths: &Paths, debug: u8) -> Environment {
    let own_path = std::env::var("PATH").unwrap_or_default();
    let mut environment =
        Environment::of_daemon(config, paths, debug, false).with_shell_library(paths, &own_path);
    environment.set("HA_debug", &debug.to_string());
    if let Some(name) = config.parameters.get("compression") {
        environment.set("HA_COMPRESSION", name);
    }
    if let Some(name) = config.parameters.get("logfacility") {
        // Also `none`, which scripts do not get.
        environment.set("HA_LOGFACILITY", name);
    }
    environment
}

/// Keeps one client running.
pub struct ClientActor {
    line: RespawnConfig,
    account: Account,
    environment: Arc<Environment>,
    failfast: WeakRecipient<FailfastDied>,
    clock: Clock,
    lives: Lives,
    state: State,
    /// A stop has begun: an end does not count as a death.
    held: bool,
    /// Callers that wait for its end.
    waiting: Vec<oneshot::Sender<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Waiting,
    Running { process: Pid, since: Monotonic },
    Over,
}

impl ClientActor {
    fn new(
        line: RespawnConfig,
        account: Account,
        environment: Arc<Environment>,
        failfast: WeakRecipient<FailfastDied>,
    ) -> Self {
        Self {
            line,
            account,
            environment,
            failfast,
            clock: Clock::start(),
            lives: Lives::default(),
            state: State::Idle,
            held: false,
            waiting: Vec::new(),
        }
    }

    /// Starts it after `pause`. Logs that at once, as legacy does, where the child waits.
    fn start_after(&mut self, pause: Duration, ctx: &mut Context<Self>) {
        let command = &self.line.command;
        let (uid, gid) = (self.account.uid, self.account.gid);
        notice::log(&Notice::OtherInfo {
            text: format!("Starting child client \"{command}\" ({uid},{gid})"),
        });
        let program = program(command);
        if let Err(errno) = access(program, AccessFlags::X_OK) {
            notice::log(&Notice::OtherError {
                text: format!("Cannot exec {program}: {}", errno.desc()),
            });
            self.state = State::Over;
            return;
        }
        self.state = State::Waiting;
        if pause.is_zero() {
            self.launch(ctx);
        } else {
            ctx.run_later(pause, Self::launch);
        }
    }

    fn launch(&mut self, ctx: &mut Context<Self>) {
        if self.state != State::Waiting {
            return;
        }
        let command = &self.line.command;
        let started = client::start(command, &self.environment, &self.account)
            .and_then(|child| Ok((process_of(&child)?, child)));
        let (process, child) = match started {
            Ok(started) => started,
            Err(error) => {
                notice::log(&Notice::OtherError {
                    text: format!("Client {command} cannot be started: {error}"),
                });
                self.state = State::Over;
                return;
            }
        };
        let Account { uid, gid, .. } = self.account;
        notice::log(&Notice::OtherInfo {
            text: format!("Starting \"{command}\" as uid {uid}  gid {gid} (pid {process})"),
        });
        self.state = State::Running {
            process,
            since: self.clock.now().instant,
        };
        // A task of its own: it must notice the end even if the actor panics meanwhile.
        let command = self.line.command.clone();
        actix_rt::spawn(watch(child, process, command, ctx.address().downgrade()));
    }

    fn ended(&mut self, how: How, lived: Duration, ctx: &mut Context<Self>) {
        self.state = State::Idle;
        for waiting in self.waiting.drain(..) {
            // No receiver: the stop was given up.
            let _ = waiting.send(());
        }
        if self.held {
            return;
        }
        let command = self.line.command.clone();
        match self.lives.ended(how, lived, self.line.failfast) {
            Next::Start(pause) => {
                notice::log(&Notice::OtherError {
                    text: format!("Respawning client \"{command}\":"),
                });
                self.start_after(pause, ctx);
            }
            Next::Never => self.state = State::Over,
            Next::TooFast => {
                notice::log(&Notice::OtherError {
                    text: format!("Client {command} \"respawning too fast\""),
                });
                self.state = State::Over;
            }
            Next::Reboot => {
                self.state = State::Over;
                if let Some(root) = self.failfast.upgrade() {
                    root.do_send(FailfastDied { command });
                }
            }
        }
    }

    /// Logs a death in two lines, as legacy does: one about the process, one about the client.
    fn say_ended(&self, process: Pid, how: How) {
        let command = &self.line.command;
        let managed = format!("Managed {command} process {process}");
        match how {
            How::Exited(0) => notice::log(&Notice::OtherInfo {
                text: format!("{managed} exited with return code 0."),
            }),
            How::Exited(code) => {
                notice::log(&Notice::OtherWarn {
                    text: format!("{managed} exited with return code {code}."),
                });
                notice::log(&Notice::OtherError {
                    text: format!("Client {command} exited with return code {code}."),
                });
            }
            How::Signaled(number) => {
                let name = signal_name(number);
                notice::log(&Notice::OtherWarn {
                    text: format!("{managed} killed by signal {number} [{name}]."),
                });
                notice::log(&Notice::OtherError {
                    text: format!("Client {command} (pid={process}) killed by signal {number}."),
                });
            }
        }
    }

    fn terminate(&self, process: Pid, ctx: &mut Context<Self>) {
        notice::log(&Notice::OtherInfo {
            text: format!(
                "killing {} process group {process} with signal {}",
                self.line.command,
                Signal::SIGTERM as i32
            ),
        });
        signal(process, Signal::SIGTERM);
        ctx.run_later(KILL_AFTER, move |client, ctx| {
            let hangs =
                matches!(client.state, State::Running { process: now, .. } if now == process);
            if hangs && client.held {
                notice::log(&Notice::OtherWarn {
                    text: format!("Client {} ignores SIGTERM: killing it", client.line.command),
                });
                signal(process, Signal::SIGKILL);
                ctx.run_later(GIVE_UP_AFTER, move |client, _| client.give_up(process));
            }
        });
    }

    /// Ends the wait for a process that cannot be killed.
    fn give_up(&mut self, process: Pid) {
        let there = matches!(self.state, State::Running { process: now, .. } if now == process);
        if there && !self.waiting.is_empty() {
            notice::log(&Notice::OtherError {
                text: format!(
                    "Client {} (pid={process}) does not even end by SIGKILL: going on without its \
                     end",
                    self.line.command
                ),
            });
            for waiting in self.waiting.drain(..) {
                let _ = waiting.send(());
            }
        }
    }
}

fn process_of(child: &Child) -> io::Result<Pid> {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    pid.map(Pid::from_raw)
        .ok_or_else(|| io::Error::other("it has no process id"))
}

/// Name and meaning of a signal, as in the legacy line.
fn signal_name(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(Signal::SIGKILL) => "SIGKILL - Kill, unblockable".to_owned(),
        Ok(signal) => signal.to_string(),
        Err(_) => format!("signal {number}"),
    }
}

fn signal(group: Pid, signal: Signal) {
    match killpg(group, signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => error!(%error, %signal, %group, "cannot signal a client"),
    }
}

async fn watch(mut child: Child, process: Pid, command: String, client: WeakAddr<ClientActor>) {
    let how = match child.wait().await {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => How::Exited(code),
            (None, signal) => How::Signaled(signal.unwrap_or_default()),
        },
        Err(error) => {
            error!(%command, %process, %error, "a client cannot be waited for");
            return;
        }
    };
    if let Some(client) = client.upgrade() {
        client.do_send(ProcessEnded { process, how });
    }
}

impl Actor for ClientActor {
    type Context = Context<Self>;

    /// After a panic the timers are gone: a client that waited begins to wait anew.
    fn started(&mut self, ctx: &mut Self::Context) {
        match self.state {
            State::Waiting => {
                ctx.run_later(crate::agents::respawn::PAUSE, Self::launch);
            }
            State::Running { process, .. } if !self.waiting.is_empty() => {
                self.terminate(process, ctx);
            }
            State::Idle | State::Running { .. } | State::Over => {}
        }
    }
}

impl Supervised for ClientActor {}

impl Handler<Start> for ClientActor {
    type Result = ();

    fn handle(&mut self, _: Start, ctx: &mut Self::Context) {
        self.held = false;
        if self.state == State::Idle {
            self.start_after(Duration::ZERO, ctx);
        }
    }
}

impl Handler<Hold> for ClientActor {
    type Result = ();

    fn handle(&mut self, _: Hold, _: &mut Self::Context) {
        self.held = true;
        if self.state == State::Waiting {
            self.state = State::Idle;
        }
    }
}

impl Handler<Stop> for ClientActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) -> Self::Result {
        self.held = true;
        let State::Running { process, .. } = self.state else {
            return Box::pin(async {});
        };
        let (sender, ended) = oneshot::channel();
        self.waiting.push(sender);
        self.terminate(process, ctx);
        Box::pin(async {
            // An error: the actor is gone, and there is no other source.
            let _ = ended.await;
        })
    }
}

impl Handler<ProcessEnded> for ClientActor {
    type Result = ();

    fn handle(&mut self, ended: ProcessEnded, ctx: &mut Self::Context) {
        let ProcessEnded { process, how } = ended;
        let State::Running {
            process: now,
            since,
        } = self.state
        else {
            return;
        };
        if now != process {
            return;
        }
        if !self.held {
            self.say_ended(process, how);
        }
        let lived = self.clock.now().instant.since(since);
        self.ended(how, lived, ctx);
    }
}

#[cfg(test)]
mod tests;
