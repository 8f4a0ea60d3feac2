//! The root actor: starts everything in order, owns all addresses, takes the signals, and ends the
//! process. It lives on the main thread. Spec: membership, sections 4 and 10.
//!
//! | Comes | From | Then |
//! |---|---|---|
//! | TERM | outside | membership is told to stop; its [`RootEvent::Exit`] ends the process |
//! | HUP | outside | the files are looked at, see [`crate::reload`]; the process may replace itself |
//! | USR1, USR2 | outside | debug level up, down |
//! | INT, ALRM | outside | nothing; ALRM is logged |
//! | group orders, hooks | membership | handed on: root exists before the two that know each other |
//! | a generation taken | membership | the file on disk is put ahead of it |
//! | communication is up, clients to stop | membership | the client socket is opened, then respawned clients are started, stopped last first |
//! | a `failfast` client died | its actor | [`last_resort`] |
//! | a message that clients may want | membership | to the client socket |
//! | a resource that cannot be stopped | membership | [`last_resort`] |
//! | the set held changed, a group is ordered or done | membership, groups | the file for the guardian is written first |
//! | no own heartbeat for a dead time | membership | [`pulse`]: the process ends, its guardian starts another |
//! | membership gave up | its supervisor | all groups are released, the process ends with 1 |

mod care;
mod held;
mod last_resort;
mod pulse;
mod renew;
mod restart;
mod run;
mod signals;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;
use tracing::{error, warn};

use crate::actors::client_listener::{ClientsActor, ClientsSetup};
use crate::actors::control::{ControlActor, ControlTargets};
use crate::actors::fifo::FifoActor;
use crate::actors::groups::GroupsActor;
use crate::actors::guardian::GuardianActor;
use crate::actors::hooks::{HookContext, HooksActor};
use crate::actors::interest::Interest;
use crate::actors::ipfail::{self, IpfailActor, StopIpfail};
use crate::actors::medium::{self, MediumActor, MediumPlan, MediumSetup, OpenMedium};
use crate::actors::membership::handover::Resume;
use crate::actors::membership::{self, MembershipActor, MembershipSetup, Outlets};
use crate::actors::messages::{
    ClientsStopped, GroupCommand, GroupDone, LoadAverage, MediaOpened, MoveAddresses, RootEvent,
    RunHook, StopRequested,
};
use crate::actors::ping::{self, OpenPing, PingActor, PingSetup};
use crate::actors::resource_group::GroupContext;
use crate::actors::respawn::{Clients, FailfastDied};
use crate::actors::supervise::{RestartPolicy, supervise};
use crate::cli::Options;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::load::LoadOptions;
use crate::guardian::Link;
use crate::ha_log::HaLog;
use crate::net::service_address::AddressManager;
use crate::notice::{self, Notice, Severity};
use crate::paths::Paths;
use crate::protocol::auth::KeyRing;
use crate::protocol::event::{GroupOrder, OrderId, StopReason};
use crate::protocol::group::GroupKey;
use crate::protocol::membership::Identity;
use crate::protocol::name::Generation;
use crate::reload::Stamps;
use crate::service_manager;
use crate::startup;
use crate::state_files::GenerationFile;

use last_resort::Reason;
use restart::Restart;
pub use run::{Setup, run};
use signals::Signalled;

/// Generations that are safe on disk beyond the present one: membership may begin so many in place
/// before the disk must have followed.
pub const GENERATIONS_AHEAD: u64 = 3;

/// Pause between two looks at the load average, unless the keepalive is longer.
const LOAD_PAUSE: Duration = Duration::from_secs(1);

/// How long groups may take to be released after membership gave up: as legacy's emergency timer.
const RELEASE_LIMIT: Duration = Duration::from_secs(3600);

/// Exit code after a fault of our own.
const EXIT_FAULT: u8 = 1;

/// Everything that root begins with.
struct Parts {
    paths: Paths,
    config: Arc<Config>,
    keys: Arc<KeyRing>,
    stamps: Stamps,
    load_options: LoadOptions,
    options: Options,
    program: PathBuf,
    resume: Option<Resume>,
    guardian: Link,
    log: HaLog,
    cluster: Arbiter,
    media: Vec<(MediumPlan, OpenMedium)>,
    /// In step with the configuration's ping nodes.
    pings: Vec<OpenPing>,
    identity: Identity,
    seed: u64,
    generation_file: GenerationFile,
    exit: oneshot::Sender<u8>,
}

/// Membership panicked too often.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
struct MembershipGaveUp;

/// Owns the node's actors.
pub struct RootActor {
    paths: Paths,
    /// As last read and taken over.
    config: Arc<Config>,
    stamps: Stamps,
    load_options: LoadOptions,
    /// For a restart in place: how this process was called, and its program.
    options: Options,
    program: PathBuf,
    restart: Restart,
    /// What is held, on disk for the guardian.
    held: held::HeldFile,
    /// Whether the cluster thread works.
    pulse: pulse::Pulse,
    /// Other nodes and refused starts, for the care of addresses.
    known: care::Known,
    guardian: Link,
    log: HaLog,
    /// Kept for its thread.
    cluster: Arbiter,
    membership: Addr<MembershipActor>,
    media: Vec<Addr<MediumActor>>,
    pings: Vec<Addr<PingActor>>,
    /// Respawned clients.
    clients: Clients,
    /// The node is to stop: no client is started any more.
    stopping: bool,
    groups: Addr<GroupsActor>,
    hooks: Addr<HooksActor>,
    /// Kept alive.
    _fifo: Addr<FifoActor>,
    _control: Addr<ControlActor>,
    _guardian: Option<Addr<GuardianActor>>,
    client_socket: Addr<ClientsActor>,
    ipfail: Option<Addr<IpfailActor>>,
    generation_file: Arc<Mutex<GenerationFile>>,
    exit: Option<oneshot::Sender<u8>>,
    /// A reload is being read.
    reloading: bool,
    /// Groups still to be released after membership gave up; `None` in any other case.
    releasing: Option<Vec<GroupKey>>,
}

impl RootActor {
    /// Starts every other actor; the media are open already, so the node begins at once.
    fn new(ctx: &mut Context<Self>, parts: Parts) -> Self {
        let Parts {
            paths,
            config,
            keys,
            stamps,
            load_options,
            options,
            program,
            resume,
            log,
            cluster,
            media,
            pings,
            identity,
            seed,
            generation_file,
            exit,
            guardian,
        } = parts;
        // On disk before anything can be started.
        let guarded = config.settings.guardian;
        let held = held::HeldFile::new(guarded.then(|| paths.held()), &options, resume.as_ref());
        let pulse = pulse::Pulse::new(&config.timing);
        let running = resume.as_ref().map(|resume| resume.running.clone());
        let running = running.unwrap_or_default();
        let known = care::Known::new(config.settings.address_probe, !running.is_empty());
        let here = Arbiter::current();
        let own = ctx.address();
        let gave_up = own.downgrade();
        let interest = Interest::default();
        let setup = MembershipSetup {
            settings: config.node_settings(std::process::id()),
            identity,
            seed,
            resume,
            keys: Arc::clone(&keys),
            format: config.message_format,
            outlets: Outlets {
                groups: own.clone().recipient(),
                hooks: own.clone().recipient(),
                root: own.downgrade().recipient(),
                interest: interest.clone(),
            },
        };
        let membership = membership::start(&cluster.handle(), setup, move || {
            if let Some(root) = gave_up.upgrade() {
                root.do_send(MembershipGaveUp);
            }
        });
        let media: Vec<_> = media
            .into_iter()
            .map(|(plan, opened)| {
                let setup = MediumSetup {
                    plan,
                    opened,
                    keys: Arc::clone(&keys),
                    log_bad_packets: config.log_bad_packets,
                    to: membership.clone().recipient(),
                };
                medium::start(&cluster.handle(), setup)
            })
            .collect();
        let pings: Vec<_> = config
            .pings
            .iter()
            .zip(pings)
            .map(|(ping, opened)| {
                let setup = PingSetup {
                    config: ping.clone(),
                    opened,
                    keys: Arc::clone(&keys),
                    deadping: config.timing.deadping,
                    to: membership.clone().recipient(),
                };
                ping::start(&cluster.handle(), setup)
            })
            .collect();
        let addresses = Arc::new(AddressManager::new());
        let context = GroupContext::of(&config, &paths, log.debug(), addresses);
        let (loaded, done) = (config.groups.clone(), own.clone().recipient());
        let groups = supervise(&here, RestartPolicy::new("groups"), move |ctx| {
            GroupsActor::new(ctx, &Arc::new(context), &loaded, &running, done)
        });
        let died = own.downgrade().recipient();
        let clients = Clients::new(&config, &paths, log.debug(), &died);
        let context = HookContext::of(&config, &paths, log.debug());
        let hooks = supervise(&here, RestartPolicy::new("hooks"), move |_| {
            HooksActor::new(context)
        });
        let (path, injected) = (paths.fifo(), membership.clone().recipient());
        let fifo = supervise(&here, RestartPolicy::new("fifo"), move |_| {
            FifoActor::new(path, injected, Clock::start())
        });
        let targets = ControlTargets {
            group: groups.clone().recipient(),
            groups: groups.clone().recipient(),
            node: membership.clone().recipient(),
        };
        let path = paths.control();
        let control = supervise(&here, RestartPolicy::new("control"), move |_| {
            ControlActor::new(path, targets)
        });
        let watcher = guarded.then(|| {
            let (program, link) = (program.clone(), guardian.clone());
            supervise(&here, RestartPolicy::new("guardian"), move |_| {
                GuardianActor::new(program, link)
            })
        });
        if !guarded {
            guardian.dismiss();
        }
        let client_socket = ClientsSetup::of(
            &config,
            paths.register(),
            membership.clone().recipient(),
            membership.clone().recipient(),
            membership.clone().recipient(),
            interest,
        );
        let client_socket = supervise(&here, RestartPolicy::new("client socket"), move |_| {
            ClientsActor::new(client_socket)
        });
        let ipfail =
            ipfail::is_wanted(&config).then(|| ipfail::start(client_socket.clone().recipient()));
        let senders = media.iter().map(|medium| medium.clone().recipient());
        let senders = senders.chain(pings.iter().map(|ping| ping.clone().recipient()));
        membership.do_send(MediaOpened(senders.collect()));
        Self {
            paths,
            config,
            stamps,
            load_options,
            options,
            program,
            restart: Restart::No,
            held,
            pulse,
            known,
            guardian,
            log,
            cluster,
            membership,
            media,
            pings,
            clients,
            stopping: false,
            groups,
            hooks,
            _fifo: fifo,
            _control: control,
            _guardian: watcher,
            client_socket,
            ipfail,
            generation_file: Arc::new(Mutex::new(generation_file)),
            exit: Some(exit),
            reloading: false,
            releasing: None,
        }
    }

    /// Ends the process with `code`; only the first call counts.
    fn end(&mut self, code: u8) {
        if let Some(exit) = self.exit.take() {
            // What the media have in hand still goes out: their thread works off its queues first.
            self.cluster.stop();
            let _ = exit.send(code);
        }
    }

    fn sample_load(&mut self, ctx: &mut Context<Self>) {
        // Dropped when membership is busy: the next one is as good.
        let _ = self
            .membership
            .try_send(LoadAverage(startup::load_average()));
        let pause = self.config.timing.keepalive.max(LOAD_PAUSE);
        ctx.run_later(pause, Self::sample_load);
    }

    /// Tells the service manager every second that the daemon works.
    fn show_life(&mut self, ctx: &mut Context<Self>) {
        service_manager::alive();
        ctx.run_later(service_manager::ALIVE_PAUSE, Self::show_life);
    }

    /// Writes the generation file ahead of `taken`, without holding up this thread.
    fn keep_generation(&self, taken: Generation, ctx: &mut Context<Self>) {
        let file = Arc::clone(&self.generation_file);
        let work = tokio::task::spawn_blocking(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.reserve(taken, GENERATIONS_AHEAD)
        });
        ctx.spawn(work.into_actor(self).map(|done, _, _| match done {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(%error, "the generation file is not ahead any more"),
            Err(error) => error!(%error, "the generation file could not be written"),
        }));
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.guardian.stopping();
        service_manager::stopping();
        self.membership.do_send(StopRequested {
            reason: StopReason::Requested,
        });
    }
}

impl Actor for RootActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        signals::listen(ctx);
        self.sample_load(ctx);
        self.look_at_addresses(ctx);
        self.tend(1, ctx);
        self.watch_cluster(ctx);
        if service_manager::wants_signs_of_life() {
            self.show_life(ctx);
        }
    }
}

impl Supervised for RootActor {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.reloading = false;
        self.known.timers_are_gone();
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

impl Handler<GroupCommand> for RootActor {
    type Result = ();

    fn handle(&mut self, command: GroupCommand, ctx: &mut Self::Context) {
        self.call_off_restart(ctx);
        self.held.ordered(&command);
        self.order(command);
    }
}

impl Handler<RunHook> for RootActor {
    type Result = ();

    fn handle(&mut self, hook: RunHook, _: &mut Self::Context) {
        self.hooks.do_send(hook);
    }
}

impl Handler<GroupDone> for RootActor {
    type Result = ();

    fn handle(&mut self, done: GroupDone, _: &mut Self::Context) {
        self.held.done(&done);
        self.order_done(&done);
        let Some(waiting) = &mut self.releasing else {
            self.membership.do_send(done);
            return;
        };
        waiting.retain(|key| *key != done.group);
        if waiting.is_empty() {
            self.end(EXIT_FAULT);
        }
    }
}

impl Handler<RootEvent> for RootActor {
    type Result = ();

    fn handle(&mut self, event: RootEvent, ctx: &mut Self::Context) {
        match event {
            RootEvent::GenerationTaken(generation) => self.keep_generation(generation, ctx),
            RootEvent::CommUp => {
                // They connect as soon as they run.
                let opened = self.client_socket.send(event).into_actor(self);
                ctx.spawn(opened.map(|_, root, _| {
                    if !root.stopping {
                        root.clients.start();
                    }
                }));
            }
            RootEvent::StopClients => {
                if let Some(ipfail) = &self.ipfail {
                    ipfail.do_send(StopIpfail);
                }
                let stopped = self.clients.stop().into_actor(self);
                ctx.spawn(stopped.map(|(), root, _| root.membership.do_send(ClientsStopped)));
            }
            RootEvent::RebootMachine { resource } => {
                last_resort::reboot(self, &Reason::Resource(resource), ctx);
            }
            RootEvent::HoldingChanged(holding) => self.held.holding(holding),
            RootEvent::FrozenChanged(frozen) => self.held.frozen(frozen),
            RootEvent::Exit => {
                // Clients must not take a stopped node for one that does not answer.
                let _ = std::fs::remove_file(self.paths.register());
                self.end(0);
            }
            RootEvent::Addresses { groups, withdraw } => {
                for group in groups {
                    self.groups.do_send(MoveAddresses { group, withdraw });
                }
            }
            RootEvent::Deliver { .. } => self.client_socket.do_send(event),
            RootEvent::NodeStatusChanged { node, status } => {
                self.node_status(node, &status, ctx);
            }
            RootEvent::OwnHeartbeat => self.pulse.beat(),
            // For the host cache.
            RootEvent::LinkChanged { .. } | RootEvent::NodeListChanged => {}
        }
    }
}

impl Handler<FailfastDied> for RootActor {
    type Result = ();

    fn handle(&mut self, died: FailfastDied, ctx: &mut Self::Context) {
        last_resort::reboot(self, &Reason::Client(died.command), ctx);
    }
}

impl Handler<MembershipGaveUp> for RootActor {
    type Result = ();

    /// Nobody speaks for this node any more: it must not hold anything when the others take over.
    fn handle(&mut self, _: MembershipGaveUp, ctx: &mut Self::Context) {
        notice::log(&Notice::OtherCrit {
            text: "membership failed too often: releasing all resources and ending".to_owned(),
        });
        let keys: Vec<_> = self.config.groups.iter().map(|g| g.key.clone()).collect();
        if keys.is_empty() {
            self.end(EXIT_FAULT);
            return;
        }
        for (number, group) in (0..).zip(keys.clone()) {
            self.groups.do_send(GroupCommand {
                // Of its own range: membership's numbers begin at zero.
                order: OrderId(u64::MAX - number),
                group,
                what: GroupOrder::Stop,
            });
        }
        self.releasing = Some(keys);
        ctx.run_later(RELEASE_LIMIT, |root, _| {
            warn!("not all resources could be released");
            root.end(EXIT_FAULT);
        });
    }
}
