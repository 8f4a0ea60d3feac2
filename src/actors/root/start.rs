//! Starts every other actor and connects them. Spec: docs/protocol/membership.md, 4.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use actix::prelude::*;
use actix_rt::Arbiter;
use tokio::sync::oneshot;
use tracing::info;

use super::earlier_children::EarlierChildren;
use super::release::MembershipGaveUp;
use super::restart::Restart;
use super::run::Ended;
use super::signals::Signals;
use super::successor::Successor;
use super::{ClientsAsked, RootActor, heartbeat_watch, lease, unread, watchdog};
use crate::actors::address_guard::{AddressGuardActor, GuardTargets};
use crate::actors::clients::{ClientsActor, ClientsSetup};
use crate::actors::control::{ControlActor, ControlTargets, FencingAsked, MediumTarget};
use crate::actors::fencing::{self, FencingTargets};
use crate::actors::fifo::FifoActor;
use crate::actors::groups::{CareSetup, GroupsActor, GroupsSetup, HeldFile, MonitorSetup};
use crate::actors::guardian::{GuardianActor, go_without};
use crate::actors::hooks::{HookContext, HooksActor};
use crate::actors::interest::Interest;
use crate::actors::ipfail;
use crate::actors::lease::LeaseThread;
use crate::actors::medium::serial::{self, OpenPort, SerialActor, SerialPlan, SerialSetup};
use crate::actors::medium::{self, LastHeard, MediumActor, MediumPlan, MediumSetup, OpenMedium};
use crate::actors::membership::{self, MembershipSetup, Outlets};
use crate::actors::messages::MediaOpened;
use crate::actors::own_beats::OwnBeats;
use crate::actors::ping::{self, OpenPing, PingSetup};
use crate::actors::resource_group::GroupContext;
use crate::actors::respawn::Clients;
use crate::actors::shared::Shared;
use crate::actors::supervise::{RestartPolicy, supervise};
use crate::actors::watchdog::Leaving;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::load::LoadOptions;
use crate::config::remembered::Answers;
use crate::config::settings::AddressGuard;
use crate::ha_log::HaLog;
use crate::net::address::names_address;
use crate::net::service_address::AddressManager;
use crate::node::resume::Resume;
use crate::os::accounts::Accounts;
use crate::os::paths::Paths;
use crate::process::daemonize::OWN_IMAGE;
use crate::process::files;
use crate::process::guardian::{Beats, Link};
use crate::process::handover::Called;
use crate::process::reload::{LastGood, Requests, Stamps};
use crate::process::state_files::{GenerationFile, RunningIdentity};
use crate::process::unread::Marks;
use crate::protocol::auth::KeyRing;
use crate::protocol::group::GroupKey;
use crate::protocol::membership::Identity;
use crate::protocol::name::MediumName;

/// Everything that root begins with.
pub(super) struct Parts {
    pub(super) paths: Paths,
    pub(super) config: Arc<Config>,
    pub(super) keys: Arc<KeyRing>,
    pub(super) stamps: Stamps,
    pub(super) answers: Answers,
    pub(super) accounts: Accounts,
    pub(super) load_options: LoadOptions,
    pub(super) called: Called,
    pub(super) only_releases: bool,
    pub(super) program: PathBuf,
    pub(super) resume: Option<Resume>,
    pub(super) guardian: Link,
    pub(super) log: HaLog,
    pub(super) cluster: Arbiter,
    pub(super) media: Vec<(MediumPlan, Option<OpenMedium>)>,
    /// Each with the thread on which it lives.
    pub(super) serials: Vec<(SerialPlan, Option<OpenPort>, Arbiter)>,
    /// In the order of the configuration's ping nodes.
    pub(super) pings: Vec<OpenPing>,
    pub(super) watchdog: Option<watchdog::Prepared>,
    pub(super) identity: Identity,
    pub(super) seed: u64,
    pub(super) generation_file: GenerationFile,
    pub(super) addresses: AddressManager,
    pub(super) lease: Option<LeaseThread>,
    pub(super) running: RunningIdentity,
    pub(super) signals: Signals,
    pub(super) earlier_children: EarlierChildren,
    pub(super) exit: oneshot::Sender<Ended>,
}

impl RootActor {
    /// Starts every other actor; the media are open already, so the node begins at once.
    pub(super) fn new(ctx: &mut Context<Self>, parts: Parts) -> Self {
        let Parts {
            paths,
            config,
            keys,
            stamps,
            answers,
            accounts,
            load_options,
            called,
            only_releases,
            program,
            resume,
            log,
            cluster,
            media,
            serials,
            pings,
            watchdog,
            identity,
            seed,
            generation_file,
            addresses,
            lease,
            running: identity_now,
            signals,
            earlier_children,
            exit,
            guardian,
        } = parts;
        // On disk before anything can be started.
        let guarded = config.settings.guardian;
        let path = guarded.then(|| paths.held());
        let (local, groups) = (&config.local, &config.groups);
        let mut held = HeldFile::new(path, called, local, groups, resume.as_ref());
        held.watchdog(config.watchdog.as_deref());
        let held = Shared::new(held);
        let successor = Successor {
            paths: guarded.then(|| (paths.last_good(), paths.identity())),
            files: LastGood {
                answers,
                stamps,
                accounts: accounts.clone(),
            },
            identity: identity_now,
        };
        successor.keep_files();
        successor.keep_identity();
        let in_force = Marks::in_force(&successor.files.answers, &paths);
        let timing = &config.timing;
        let unknown = resume.as_ref().is_some_and(|resume| {
            let known = |key: &GroupKey| config.groups.iter().any(|group| group.key == *key);
            resume.unknown || !resume.running.iter().all(known)
        });
        let own_beats = OwnBeats::new(timing.keepalive);
        let unfinished = resume.as_ref().map(|resume| resume.unfinished.clone());
        let unfinished = unfinished.unwrap_or_default();
        let here = Arbiter::current();
        let own = ctx.address();
        let gave_up = own.downgrade();
        let interest = Interest::default();
        let beats = if guarded {
            noted_beats(&guardian)
        } else {
            Beats::default()
        };
        let heartbeat_watch = heartbeat_watch::HeartbeatWatch::new(timing, beats.clone());
        let not_started = membership::not_started(move || {
            if let Some(root) = gave_up.upgrade() {
                root.do_send(MembershipGaveUp);
            }
        });
        let membership = not_started.addr();
        let manager = addresses.clone();
        if !only_releases {
            lease::adopt(&manager, &config, resume.as_ref(), ctx);
        }
        let mut context = GroupContext::of(&config, &paths, log.debug(), Arc::new(addresses));
        context.unfinished = unfinished;
        context.shim = guarded.then(|| PathBuf::from(OWN_IMAGE));
        let stops_for_ever = context.stops_for_ever();
        let setup = GroupsSetup {
            context: Arc::new(context),
            groups: config.groups.clone(),
            held: held.clone(),
            done: membership.downgrade().recipient(),
            core: membership.downgrade().recipient(),
            care: CareSetup {
                local: config.local.clone(),
                probe: config.settings.address_probe,
                ran_before: resume.as_ref().is_some_and(Resume::surely_ran),
                settled: membership.downgrade().recipient(),
                decisions: membership.downgrade().recipient(),
                again: membership.downgrade().recipient(),
            },
            monitors: MonitorSetup::of(
                &config,
                &resume
                    .as_ref()
                    .map(|it| it.proven.clone())
                    .unwrap_or_default(),
                &own_beats,
                &membership.downgrade().recipient(),
                membership.downgrade().recipient(),
            ),
        };
        let groups = supervise(&here, RestartPolicy::new("groups"), move |ctx| {
            GroupsActor::new(ctx, setup)
        });
        let context = HookContext::of(&config, &paths, log.debug());
        let hooks = supervise(&here, RestartPolicy::new("hooks"), move |_| {
            HooksActor::new(context)
        });
        let client_socket = ClientsSetup::of(
            &config,
            paths.register(),
            membership.clone().recipient(),
            membership.clone().recipient(),
            membership.clone().recipient(),
            interest.clone(),
        );
        let client_socket = supervise(&here, RestartPolicy::new("client socket"), move |_| {
            ClientsActor::new(client_socket)
        });
        let bell = lease.as_ref().map(LeaseThread::bell);
        let leaving = Leaving::ringing(bell);
        let watchdog = watchdog.map(|prepared| watchdog::start(prepared, &config, &leaving));
        let (device, watchdog) = watchdog.unzip();
        let setup = MembershipSetup {
            settings: config.node_settings(std::process::id(), names_address),
            identity,
            seed,
            resume,
            keys: Arc::clone(&keys),
            format: config.message_format,
            compression: config.compression,
            kernel_timer: true,
            outlets: Outlets {
                groups: groups.clone().recipient(),
                hooks: (!only_releases).then(|| hooks.clone().recipient()),
                clients: client_socket.downgrade().recipient(),
                root: own.downgrade().recipient(),
                interest,
                beats,
                own_beats,
                watchdog: watchdog.clone().map(Addr::recipient),
            },
        };
        membership::start(not_started, &cluster.handle(), setup);
        let opener = medium::opener();
        let heard = LastHeard::new(config.local.clone(), config.timing.deadtime);
        let kinds = media
            .iter()
            .map(|(plan, _)| (plan.name.clone(), plan.kinds()));
        let ports = serials
            .iter()
            .map(|(plan, ..)| (plan.name.clone(), vec!["serial".to_owned()]));
        let shown: Vec<_> = kinds.chain(ports).collect();
        let media: Vec<_> = media
            .into_iter()
            .map(|(plan, opened)| {
                let setup = MediumSetup {
                    plan,
                    opened,
                    deaf: only_releases,
                    keys: Arc::clone(&keys),
                    heard: heard.clone(),
                    log_bad_packets: config.log_bad_packets,
                    leaving: leaving.clone(),
                    opener: opener.clone(),
                    to: membership.clone().recipient(),
                };
                medium::start(&cluster.handle(), setup)
            })
            .collect();
        let serials: Vec<_> = serials
            .into_iter()
            .map(|(plan, opened, thread)| {
                let setup = SerialSetup {
                    plan,
                    opened,
                    deaf: only_releases,
                    keys: Arc::clone(&keys),
                    heard: heard.clone(),
                    log_bad_packets: config.log_bad_packets,
                    leaving: leaving.clone(),
                    to: membership.clone().recipient(),
                    refused: membership.clone().recipient(),
                };
                serial::start(&thread.handle(), setup)
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
        let guard = (!only_releases && address_guard_is_wanted(&config)).then(|| {
            let targets = GuardTargets {
                groups: groups.clone(),
                core: own.downgrade().recipient(),
                decisions: membership.clone().recipient(),
                absent: membership.clone().recipient(),
                links: membership.clone().recipient(),
                lease: lease.clone(),
            };
            let reports = config.settings.address_guard == AddressGuard::Report;
            let probes = config.settings.address_probe;
            supervise(&here, RestartPolicy::new("address guard"), move |_| {
                AddressGuardActor::new(manager, targets, reports, probes)
            })
        });
        if let (Some(lease), Some(guard)) = (&lease, &guard) {
            lease.tells(guard.clone().recipient());
        }
        let died = own.downgrade().recipient();
        let clients = Clients::new(&config, &paths, log.debug(), &accounts, &died);
        let (path, injected) = (paths.fifo(), membership.clone().recipient());
        let fifo = supervise(&here, RestartPolicy::new("fifo"), move |_| {
            FifoActor::new(path, injected, Clock::start())
        });
        let fencing = (!only_releases && config.manage_resources).then(|| {
            let targets = FencingTargets {
                answers: membership.clone().recipient(),
                devices: membership.clone().recipient(),
            };
            let shim = Some(PathBuf::from(OWN_IMAGE));
            fencing::start(&config, &paths, log.debug(), shim, targets)
        });
        if fencing.is_none() {
            fencing::fences_nobody(&paths);
        }
        let fencing = fencing.flatten();
        let targets = ControlTargets {
            group: groups.clone().recipient(),
            groups: groups.clone().recipient(),
            checks: groups.clone().recipient(),
            clear: groups.clone().recipient(),
            node: membership.clone().recipient(),
            decisions: membership.clone().recipient(),
            absent: guard.map(Addr::recipient),
            media: asked_media(shown, &media, &serials),
            fencing: fencing.clone().map(|devices| FencingAsked {
                state: devices.clone().recipient(),
                test: devices.recipient(),
                confirm: membership.clone().recipient(),
                waiting: membership.clone().recipient(),
            }),
            watchdog: device.zip(watchdog.clone().map(Addr::recipient)),
            lease: lease.clone(),
        };
        let (path, looked_at) = (paths.views(), targets.clone());
        let views = supervise(&here, RestartPolicy::new("views"), move |_| {
            ControlActor::views(path, looked_at)
        });
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
            go_without(&guardian, ctx);
            // Left by a run with a guardian: it is not updated any more.
            paths
                .left_behind()
                .iter()
                .for_each(|file| files::forget(file));
        }
        let ipfail = (ipfail::is_wanted(&config) && !only_releases)
            .then(|| ipfail::start(client_socket.clone().recipient()));
        let senders = media.iter().map(|medium| medium.clone().recipient());
        let senders = senders.chain(serials.iter().map(|port| port.clone().recipient()));
        let senders = senders.chain(pings.iter().map(|ping| ping.clone().recipient()));
        membership.do_send(MediaOpened(senders.collect()));
        Self {
            paths,
            config,
            stamps,
            unread: unread::Watch::new(in_force),
            keys_untold: None,
            load_options,
            only_releases,
            program,
            restart: Restart::No,
            signals: Some(signals),
            earlier_children,
            held,
            heartbeat_watch,
            peers: super::peers::Peers::default(),
            guardian,
            log,
            cluster,
            membership,
            media,
            serials,
            pings,
            watchdog,
            lease,
            clients,
            clients_asked: ClientsAsked::default(),
            stopping: false,
            groups,
            _hooks: hooks,
            _fifo: fifo,
            _control: [control, views],
            _guardian: watcher,
            client_socket,
            ipfail,
            fencing,
            generation_file: Arc::new(Mutex::new(generation_file)),
            successor,
            stops_for_ever,
            unknown,
            exit: Some(exit),
            haresources: super::watch::Watched::default(),
            reloads: Requests::default(),
            releasing: None,
        }
    }
}

/// The media that are asked for a view. `shown`: their names and directives, in the same order.
fn asked_media(
    shown: Vec<(MediumName, Vec<String>)>,
    media: &[Addr<MediumActor>],
    serials: &[Addr<SerialActor>],
) -> Vec<MediumTarget> {
    let media = media.iter().map(|medium| medium.clone().recipient());
    let ports = serials.iter().map(|port| port.clone().recipient());
    let asked = shown.into_iter().zip(media.chain(ports));
    asked
        .map(|((name, kinds), ask)| MediumTarget {
            name: name.to_string(),
            kinds,
            ask,
        })
        .collect()
}

/// Whether there is an address to be guarded.
fn address_guard_is_wanted(config: &Config) -> bool {
    let mut words = config.groups.iter().flat_map(|group| &group.resources);
    config.manage_resources
        && config.settings.address_guard != AddressGuard::Off
        && words.any(|word| names_address(word))
}

/// Where heartbeats are noted for the guardian. Without it, that counts from the daemon's death.
fn noted_beats(guardian: &Link) -> Beats {
    let beats = Beats::begin().unwrap_or_else(|error| {
        info!(%error, "the guardian is not told when heartbeats leave");
        Beats::default()
    });
    guardian.noted_in(beats.clone());
    beats
}
