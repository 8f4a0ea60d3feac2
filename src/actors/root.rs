//! The root actor: starts everything in order, owns all addresses of actors, handles the signals,
//! and ends the process. It lives on the main thread. Spec: docs/protocol/membership.md, 4 and 10.
//!
//! | Comes | From | Then |
//! |---|---|---|
//! | TERM | outside | membership is told to stop; its [`RootEvent::Exit`] ends the process |
//! | HUP | outside | the files are checked, see [`crate::process::reload`]; the process may replace itself |
//! | USR1, USR2 | outside | debug level up, down |
//! | INT, ALRM | outside | nothing; ALRM is logged |
//! | the status of another node | membership | the guardian is told who waits |
//! | a generation taken | membership | the file on disk is put ahead of it |
//! | communication is up, clients to stop | membership | the client socket is opened, then respawned clients are started, stopped last first |
//! | a `failfast` client died | its actor | [`last_resort`] |
//! | a resource that cannot be stopped | membership | [`last_resort`] |
//! | no own heartbeat for a dead time | membership | [`heartbeat_watch`]: the process ends, its guardian starts another |
//! | membership gave up | its supervisor | [`release`]: all groups are released, the process ends with 1 |

mod doctor;
mod earlier_children;
mod heartbeat_watch;
mod last_resort;
mod lease;
mod media;
mod peers;
mod release;
mod renew;
mod restart;
mod run;
mod signals;
mod start;
mod successor;
mod unread;
mod watch;
mod watchdog;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use actix_rt::Arbiter;
use tokio::sync::oneshot;
use tracing::error;

use crate::actors::clients::ClientsActor;
use crate::actors::control::ControlActor;
use crate::actors::fencing::FencingActor;
use crate::actors::fifo::FifoActor;
use crate::actors::groups::{GroupsActor, HeldFile, Unseal, Written};
use crate::actors::guardian::GuardianActor;
use crate::actors::hooks::HooksActor;
use crate::actors::ipfail::{IpfailActor, StopIpfail};
use crate::actors::lease::LeaseThread;
use crate::actors::medium::MediumActor;
use crate::actors::medium::serial::{DRAIN, Drain, SerialActor};
use crate::actors::membership::MembershipActor;
use crate::actors::messages::{
    AskPutBack, ClientsStopped, LoadAverage, RootEvent, StopRequested, TellAgain, ToClients,
    UpdateKeys,
};
use crate::actors::ping::PingActor;
use crate::actors::respawn::{Clients, FailfastDied};
use crate::actors::shared::Shared;
use crate::actors::watchdog::WatchdogActor;
use crate::clock;
use crate::config::Config;
use crate::config::load::LoadOptions;
use crate::ha_log::HaLog;
use crate::node::MayPutBack;
use crate::notice::Severity;
use crate::os::paths::Paths;
use crate::os::sd_notify;
use crate::process::guardian::Link;
use crate::process::reload::{Requests, Stamps};
use crate::process::startup;
use crate::process::state_files::GenerationFile;
use crate::protocol::auth::KeyRing;
use crate::protocol::event::StopReason;
use crate::protocol::name::Generation;

use last_resort::Reason;
pub use last_resort::{Deadline, restart_machine, restart_machine_now};
use restart::Restart;
use run::Ended;
pub use run::{RESUME_PAUSE, RESUME_TRIES, Setup, run};
use signals::{Signalled, Signals};

/// Generations beyond the present one that are safe on disk: membership may begin so many in place
/// before the disk must have followed.
pub const GENERATIONS_AHEAD: u64 = 3;

/// Pause between two reads of the load average, unless the keepalive is longer. The kernel computes it every five seconds.
const LOAD_PAUSE: Duration = Duration::from_secs(5);

/// Pause between two looks at the files.
const TEND: Duration = Duration::from_secs(5);

/// How long a serial medium may take to report that it has sent everything: its thread may hang.
const DRAINED: Duration = DRAIN.saturating_add(Duration::from_millis(500));

/// Exit code after a fault of our own.
const EXIT_FAULT: u8 = 1;

/// Owns the node's actors.
pub struct RootActor {
    paths: Paths,
    /// As last read and taken over.
    config: Arc<Config>,
    stamps: Stamps,
    unread: unread::Watch,
    /// New keys that the media are being told of, and membership not yet.
    keys_untold: Option<Arc<KeyRing>>,
    load_options: LoadOptions,
    /// The daemon only releases everything and sends heartbeats meanwhile.
    only_releases: bool,
    /// For a restart in place.
    program: PathBuf,
    restart: Restart,
    /// Handled since the process began, until the actor first starts.
    signals: Option<Signals>,
    earlier_children: earlier_children::EarlierChildren,
    /// What is held, on disk for the guardian. The groups write to it.
    held: Shared<HeldFile>,
    /// Whether the cluster thread works.
    heartbeat_watch: heartbeat_watch::HeartbeatWatch,
    peers: peers::Peers,
    guardian: Link,
    log: HaLog,
    /// Kept for its thread.
    cluster: Arbiter,
    membership: Addr<MembershipActor>,
    media: Vec<Addr<MediumActor>>,
    serials: Vec<Addr<SerialActor>>,
    pings: Vec<Addr<PingActor>>,
    watchdog: Option<Addr<WatchdogActor>>,
    lease: Option<LeaseThread>,
    /// Respawned clients.
    clients: Clients,
    /// What membership last wanted of them.
    clients_asked: ClientsAsked,
    /// The node is to stop: no client is started any more.
    stopping: bool,
    groups: Addr<GroupsActor>,
    /// Kept alive.
    _hooks: Addr<HooksActor>,
    _fifo: Addr<FifoActor>,
    _control: [Addr<ControlActor>; 2],
    _guardian: Option<Addr<GuardianActor>>,
    client_socket: Addr<ClientsActor>,
    ipfail: Option<Addr<IpfailActor>>,
    /// With a device.
    fencing: Option<Addr<FencingActor>>,
    generation_file: Arc<Mutex<GenerationFile>>,
    /// What a successor would begin with.
    successor: successor::Successor,
    /// Stops are tried without end, and nothing restarts the machine.
    stops_for_ever: bool,
    /// Something may run that is not in haresources: only its first resource is known, or nothing.
    unknown: bool,
    exit: Option<oneshot::Sender<Ended>>,
    /// The last check of haresources.
    haresources: watch::Watched,
    /// Whether the files are being read for a reload.
    reloads: Requests,
    /// What is still to be released after membership gave up; `None` in any other case.
    releasing: Option<release::Releasing>,
}

/// What membership last wanted of the respawned clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum ClientsAsked {
    /// Nothing yet.
    #[default]
    Nothing,
    /// To run, as long as the node does not stop.
    Run,
    /// To end; membership is told when they have.
    Stop,
}

impl RootActor {
    /// Ends the process with `code`, in order.
    fn end(&mut self, code: u8) {
        self.end_as(Ended::Meant(code));
    }

    /// Ends the process; only the first call counts.
    fn end_as(&mut self, ended: Ended) {
        let Some(exit) = self.exit.take() else {
            return;
        };
        // What the media have in hand is still sent: their thread empties its queues first.
        self.cluster.stop();
        // The guardian begins to release, and beats, when this process has ended. The watchdog stays armed.
        let at_once = self.serials.is_empty() && self.watchdog.is_none();
        if at_once || matches!(ended, Ended::Unreleased(_)) {
            let _ = exit.send(ended);
            return;
        }
        let (drained, stopped) = (self.drain_serial_lines(true), self.stop_watchdog());
        actix_rt::spawn(async move {
            tokio::join!(drained, stopped);
            let _ = exit.send(ended);
        });
    }

    /// Waits until the serial lines have sent everything, or cannot send.
    fn drain_serial_lines(&self, close: bool) -> impl Future<Output = ()> + 'static {
        let asked: Vec<_> = self
            .serials
            .iter()
            .map(|port| port.send(Drain { close }))
            .collect();
        async move {
            let all = futures_util::future::join_all(asked);
            let _ = tokio::time::timeout(DRAINED, all).await;
        }
    }

    fn sample_load(&mut self, ctx: &mut Context<Self>) {
        // Dropped when membership is busy: the next value will do.
        let _ = self
            .membership
            .try_send(LoadAverage(startup::load_average()));
        let pause = self.config.timing.keepalive.max(LOAD_PAUSE);
        ctx.run_later(clock::until_common(pause), Self::sample_load);
    }

    /// Writes what could not be written, looks whether haresources was changed, and takes ended children from the process list.
    fn tend(&mut self, ctx: &mut Context<Self>) {
        self.earlier_children.reap();
        self.held.with(|held| held.try_again());
        self.look_at_haresources(ctx);
        self.look_for_unread(ctx);
        ctx.run_later(clock::until_common(TEND), Self::tend);
    }

    /// Tells the service manager every second that the daemon works.
    fn show_life(&mut self, ctx: &mut Context<Self>) {
        sd_notify::alive();
        ctx.run_later(sd_notify::ALIVE_PAUSE, Self::show_life);
    }

    /// Writes the generation file ahead of `taken`, without blocking this thread.
    fn keep_generation(&mut self, taken: Generation, ctx: &mut Context<Self>) {
        self.successor.uses(taken);
        let file = Arc::clone(&self.generation_file);
        let work = tokio::task::spawn_blocking(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.reserve(taken, GENERATIONS_AHEAD)
                .map(|()| file.reserved())
        });
        ctx.spawn(work.into_actor(self).map(|done, root, _| match done {
            Ok(Ok(reserved)) => root.successor.on_disk(reserved),
            Ok(Err(error)) => error!(%error, "the generation file is not ahead any more"),
            Err(error) => error!(%error, "the generation file could not be written"),
        }));
    }

    /// Speaks to the fencing devices when a successor would know the reason. What comes first is said first.
    fn when_written(
        &self,
        ctx: &mut Context<Self>,
        say: impl FnOnce(&Addr<FencingActor>) + 'static,
    ) {
        let written = self.groups.send(Written).into_actor(self);
        ctx.spawn(written.map(|_, root, _| {
            // A node that releases everything fences nobody.
            if let (Some(fencing), None) = (&root.fencing, &root.releasing) {
                say(fencing);
            }
        }));
    }

    /// Tells membership when they have ended, or cannot be waited for.
    fn stop_clients(&self, ctx: &mut Context<Self>) {
        let stopped = self.clients.stop().into_actor(self);
        ctx.spawn(stopped.map(|stopped, root, _| {
            if let Err(error) = stopped {
                error!(%error, "going on without the end of the clients");
            }
            root.membership.do_send(ClientsStopped);
        }));
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.guardian.stopping();
        sd_notify::stopping();
        self.membership.do_send(StopRequested {
            reason: StopReason::Requested,
        });
    }
}

impl Actor for RootActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let signals = self.signals.take().unwrap_or_else(Signals::handle);
        signals.report_to(ctx);
        self.sample_load(ctx);
        self.tend(ctx);
        self.watch_cluster(ctx);
        self.call_the_doctor(ctx);
        if self.only_releases {
            // A reload starts no clients either.
            self.stopping = true;
            self.membership.do_send(StopRequested {
                reason: StopReason::Release,
            });
        }
        if sd_notify::wants_signs_of_life() {
            self.show_life(ctx);
        }
    }
}

impl Supervised for RootActor {
    /// Asks once more for what the context that is gone was waiting for.
    fn restarting(&mut self, ctx: &mut Self::Context) {
        self.reloads = Requests::default();
        self.haresources.is_lost();
        self.unread.is_lost();
        if self.releasing.is_some() {
            self.release_again(ctx);
        }
        if let Some(keys) = self.keys_untold.take() {
            self.membership.do_send(UpdateKeys(keys));
        }
        // The message in hand is lost, whatever it was.
        self.membership.do_send(TellAgain::Root);
        self.groups.do_send(Unseal);
        // A release is asked for again by `started`.
        if self.stopping && !self.only_releases {
            self.membership.do_send(StopRequested {
                reason: StopReason::Requested,
            });
        }
        match self.clients_asked {
            ClientsAsked::Nothing => {}
            ClientsAsked::Run => self.give_restart_up(),
            ClientsAsked::Stop => self.stop_clients(ctx),
        }
    }
}

impl Handler<Signalled> for RootActor {
    type Result = ();

    fn handle(&mut self, signal: Signalled, ctx: &mut Self::Context) {
        match signal {
            Signalled::Terminate => self.stop(),
            Signalled::Hangup => self.reload(ctx),
            Signalled::User1 => self.log.step_debug(true),
            Signalled::User2 => self.log.step_debug(false),
            Signalled::Alarm => {
                let text = format!("Unexpected alarm in process {}", std::process::id());
                self.log.line(Severity::Error, text);
            }
            Signalled::Ignored => {}
        }
    }
}

impl Handler<AskPutBack> for RootActor {
    type Result = ResponseFuture<Option<MayPutBack>>;

    fn handle(&mut self, asked: AskPutBack, _: &mut Self::Context) -> Self::Result {
        if self.releasing.is_some() || self.stopping {
            return Box::pin(async { Some(MayPutBack::No) });
        }
        let answer = self.membership.send(asked);
        Box::pin(async { answer.await.ok().flatten() })
    }
}

impl Handler<RootEvent> for RootActor {
    type Result = ();

    fn handle(&mut self, event: RootEvent, ctx: &mut Self::Context) {
        match event {
            RootEvent::GenerationTaken(generation) => self.keep_generation(generation, ctx),
            RootEvent::CommUp => {
                self.clients_asked = ClientsAsked::Run;
                // They connect as soon as they run.
                let opened = self.client_socket.send(ToClients::Open).into_actor(self);
                ctx.spawn(opened.map(|_, root, _| {
                    // A successor starts them itself.
                    if !root.stopping && root.restart == Restart::No {
                        root.clients.start();
                    }
                }));
            }
            RootEvent::StopClients => {
                if let Some(ipfail) = &self.ipfail {
                    ipfail.do_send(StopIpfail);
                }
                self.clients_asked = ClientsAsked::Stop;
                self.stop_clients(ctx);
            }
            RootEvent::RebootMachine { resource } => {
                last_resort::reboot(self, &Reason::Resource(resource), ctx);
            }
            RootEvent::Exit => {
                // Clients must not take a stopped node for one that does not answer.
                let _ = std::fs::remove_file(self.paths.register());
                if self.only_releases && self.unknown {
                    self.release_elsewhere();
                } else {
                    self.end(0);
                }
            }
            RootEvent::PeerStatus(status) => self.peer_status(&status, ctx),
            RootEvent::Fence(order) => {
                self.when_written(ctx, move |fencing| fencing.do_send(order));
            }
            RootEvent::CallOffFence(order) => {
                self.when_written(ctx, move |fencing| fencing.do_send(order));
            }
            RootEvent::FirstHeartbeat => self.guardian.beats(),
        }
    }
}

impl Handler<FailfastDied> for RootActor {
    type Result = ();

    fn handle(&mut self, died: FailfastDied, ctx: &mut Self::Context) {
        last_resort::reboot(self, &Reason::Client(died.command), ctx);
    }
}
