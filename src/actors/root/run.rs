//! From checked files to a running node, and to its end. Spec: docs/protocol/membership.md, 4.
//!
//! What blocks comes first, before there is a thread that must not wait: directories, generation
//! and uuid, core files. Then the sockets are opened, and only then does the node begin.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::{Arbiter, System};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tracing::warn;

use super::earlier_children::EarlierChildren;
use super::lease;
use super::media::Media;
use super::signals::Signals;
use super::start::Parts;
use super::watchdog;
use super::{EXIT_FAULT, GENERATIONS_AHEAD, RootActor};
use crate::actors::ping;
use crate::actors::supervise::{RestartPolicy, supervise};
use crate::actors::threads::{self, Realtime};
use crate::clock;
use crate::config::Config;
use crate::config::load::{LoadOptions, Loaded};
use crate::config::remembered::Answers;
use crate::config::settings::MediaRequired;
use crate::config::types::{GenerationMethod, UuidFrom};
use crate::ha_log::{HaLog, Targets};
use crate::net::address_record::AddressRecord;
use crate::net::own_address::Came;
use crate::net::own_addresses::Guard;
use crate::net::service_address::AddressManager;
use crate::node::CAPABILITIES;
use crate::node::resume::Resume;
use crate::notice::{self, Notice, Severity};
use crate::os::accounts::Accounts;
use crate::os::paths::Paths;
use crate::os::sd_notify;
use crate::process::daemonize::Starting;
use crate::process::files;
use crate::process::guardian::Link;
use crate::process::handover::Called;
use crate::process::host_addresses;
use crate::process::reload::Stamps;
use crate::process::startup;
use crate::process::state_files::{self, GenerationFile, RunningIdentity};
use crate::protocol::identity::uuid_of_node_name;
use crate::protocol::membership::Identity;
use crate::protocol::name::Generation;

/// How long the last lines for standard error may take before the starter is released.
const FLUSH: Duration = Duration::from_secs(2);

/// How often files and media are tried again after a restart in place: as long as the others wait
/// for us.
pub const RESUME_TRIES: u32 = 25;

/// Pause between two tries.
pub const RESUME_PAUSE: Duration = Duration::from_secs(1);

/// The same for media after a sudden death: the others wait no longer than usual, and the guardian
/// kills a daemon that sends no heartbeat in time.
const DIED_PAUSE: Duration = Duration::from_millis(100);

/// What the daemon is started with.
#[derive(Debug)]
pub struct Setup {
    /// The paths of all files.
    pub paths: Paths,
    /// The checked files.
    pub loaded: Loaded,
    /// Modification times of the files, taken before they were read.
    pub stamps: Stamps,
    /// The answers of the files and of the machine.
    pub answers: Answers,
    /// The users of respawned clients.
    pub accounts: Accounts,
    /// How a reload is to read them.
    pub load_options: LoadOptions,
    /// How this process was called.
    pub called: Called,
    /// It only releases everything and sends heartbeats meanwhile.
    pub only_releases: bool,
    /// Its program, for a restart in place.
    pub program: PathBuf,
    /// After a restart in place, or started by the guardian: the state that goes on.
    pub resume: Option<Resume>,
    /// The daemon before was killed or crashed: the others were not asked to wait.
    pub died: bool,
    /// The connection to the guardian, if there was one before us.
    pub guardian: Link,
    /// The log.
    pub log: HaLog,
    /// The watchdog device that a predecessor has armed.
    pub armed: Option<PathBuf>,
    /// To be told when the media are open.
    pub starting: Starting,
    /// How the addresses that are on this host may have come there.
    pub came: Came,
}

/// How a node that had begun ended, with its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// In order: nothing runs, or the machine restarts.
    Meant(u8),
    /// Groups may still run: the guardian is to release them.
    Unreleased(u8),
}

/// Runs the daemon to its end and returns its exit code. Every failure is logged.
#[must_use]
pub fn run(setup: Setup) -> u8 {
    let (log, resumed) = (setup.log.clone(), setup.resume.is_some());
    let (guardian, paths) = (setup.guardian.clone(), setup.paths.clone());
    let only_releases = setup.only_releases;
    match begin(setup) {
        Ok(code) => {
            // This end is intended: the guardian must not start the daemon again.
            guardian.dismiss();
            paths
                .left_behind()
                .iter()
                .for_each(|file| files::forget(file));
            if only_releases && code == 0 {
                log.line(Severity::Crit, "guardian: all resources are released");
                return EXIT_FAULT;
            }
            code
        }
        Err(code) => {
            // A guardian counts this as a death: it tries again and releases in the end.
            if resumed && !guardian.is_there() {
                let text = "No restart in place: resources still run here, unmanaged.";
                log.line(Severity::Crit, text);
            }
            code
        }
    }
}

/// `Err`: the node never began.
fn begin(setup: Setup) -> Result<u8, u8> {
    let log = setup.log.clone();
    let realtime = Realtime {
        enabled: setup.loaded.config.realtime,
        priority: setup.loaded.config.realtime_priority,
        memreserve_kb: setup.loaded.config.memreserve_kb,
    };
    let prepared = prepare(
        &setup.paths,
        &setup.loaded.config,
        setup.resume.is_some(),
        setup.died,
    );
    let identity = match prepared {
        Ok(identity) => identity,
        Err(error) => return Err(fail(&log, &*error)),
    };
    let addresses = AddressManager::guarded(guard_addresses(&setup));
    threads::prepare_process(realtime);
    let runtime = match threads::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return Err(fail(&log, &error)),
    };
    let signals = {
        let _inside = runtime.enter();
        Signals::handle()
    };
    // A process that the guardian has started has none.
    let earlier_children = if setup.resume.is_some() && !setup.died {
        EarlierChildren::find()
    } else {
        EarlierChildren::default()
    };
    let began = (signals, earlier_children);
    live(runtime, began, setup, identity, addresses, realtime)
}

fn fail(log: &HaLog, error: &dyn Display) -> u8 {
    log.line(Severity::Error, error.to_string());
    EXIT_FAULT
}

/// The identity of this node in this run.
struct Prepared {
    identity: Identity,
    generation_file: GenerationFile,
    running: RunningIdentity,
    seed: u64,
}

fn prepare(
    paths: &Paths,
    config: &Config,
    resumed: bool,
    died: bool,
) -> Result<Prepared, Box<dyn std::error::Error>> {
    // The disk is not read then: it may hang, and the others were not asked to wait.
    let before = died.then(|| files::recall::<RunningIdentity>(&paths.identity()));
    let before = before.and_then(Result::ok);
    let (generation_file, generation) = if let Some(before) = &before {
        GenerationFile::take_after(&paths.var_lib, before, GENERATIONS_AHEAD)
    } else {
        startup::make_directories(paths)?;
        let (file, generation, remark) =
            GenerationFile::take(&paths.var_lib, clock::wall_unix_s(), GENERATIONS_AHEAD)?;
        remark.iter().for_each(notice::log);
        (file, generation)
    };
    let generation = match config.generation_method {
        GenerationMethod::File => generation,
        // The file still counts, so that a clock set back cannot produce an old number again.
        GenerationMethod::Time => Generation(clock::wall_unix_s().max(generation.0)),
    };
    notice::log(&Notice::GenerationNow {
        generation: generation.0,
    });
    let uuid = match config.uuid_from {
        UuidFrom::NodeName => uuid_of_node_name(&config.local),
        UuidFrom::File => match &before {
            Some(before) => before.uuid(),
            None => {
                let (uuid, remark) = state_files::load_or_create_uuid(&paths.var_lib)?;
                remark.iter().for_each(notice::log);
                uuid
            }
        },
    };
    startup::limit_core_files(config);
    // A successor has what its predecessor prepared.
    if before.is_none() {
        prepare_places(paths, resumed);
    }
    startup::enter_core_directory(paths, config.core_root.as_deref());
    let running = RunningIdentity::new(generation, generation_file.reserved(), uuid);
    let mut random = [0; 8];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random)
        .map_err(|_| "the system gives no random bytes")?;
    Ok(Prepared {
        identity: Identity {
            generation,
            uuid,
            capabilities: CAPABILITIES.iter().map(|&word| word.to_owned()).collect(),
        },
        generation_file,
        running,
        seed: u64::from_le_bytes(random),
    })
}

/// Prepares what is on the disk and not needed to begin.
fn prepare_places(paths: &Paths, resumed: bool) {
    if let Err(error) = state_files::write_empty_delhostcache(&paths.var_lib) {
        // No program reads it in this mode: no reason to stay down, least of all on a full disk.
        warn!(%error, "the list of deleted nodes is not written");
    }
    if !resumed {
        startup::renew_rsctmp(paths);
    }
}

/// Checks which addresses are on the host before any is added.
fn guard_addresses(setup: &Setup) -> Arc<Guard> {
    let (config, resume) = (&setup.loaded.config, setup.resume.as_ref());
    let record = Arc::new(AddressRecord::read(&setup.paths.addresses()));
    let guard = Guard::begin(record, &config.media, setup.came)
        .lenient(host_addresses::is_lenient(config.settings.stray_addresses));
    guard.take_over(
        nix::unistd::getpid().as_raw(),
        &host_addresses::resources(config, resume),
    );
    Arc::new(guard)
}

/// Opens the media, starts the actors and waits for the end.
fn live(
    runtime: Runtime,
    (signals, earlier_children): (Signals, EarlierChildren),
    setup: Setup,
    prepared: Prepared,
    addresses: AddressManager,
    realtime: Realtime,
) -> Result<u8, u8> {
    let system = System::with_tokio_rt(move || runtime);
    system.block_on(async move {
        let Setup {
            paths,
            loaded: Loaded { config, keys, .. },
            stamps,
            answers,
            accounts,
            load_options,
            called,
            only_releases,
            program,
            resume,
            died,
            guardian,
            log,
            armed,
            starting,
            came: _,
        } = setup;
        let tries = if resume.is_some() { RESUME_TRIES } else { 0 };
        let (tries, pause) = if died {
            // As long.
            (tries.saturating_mul(10), DIED_PAUSE)
        } else {
            (tries, RESUME_PAUSE)
        };
        let need = if died || config.settings.media_required == MediaRequired::Any {
            MediaRequired::Any
        } else {
            MediaRequired::All
        };
        let mut media = Media::of(&config, &paths);
        if let Err(error) = media.open(need, !died, tries, pause).await {
            return Err(fail(&log, &error));
        }
        // Nothing is received during a release.
        let asked = config.pings.iter().filter(|_| !only_releases);
        let pings = asked.map(ping::open);
        let pings = match pings.collect::<Result<Vec<_>, _>>() {
            Ok(pings) => pings,
            Err(error) => return Err(fail(&log, &error)),
        };
        let cluster = match threads::cluster(realtime) {
            Ok(cluster) => cluster,
            Err(error) => return Err(fail(&log, &error)),
        };
        let serials = match media.serials_on_threads(realtime) {
            Ok(serials) => serials,
            Err(error) => return Err(fail(&log, &error)),
        };
        let lease = (!only_releases)
            .then(|| lease::start(&config, realtime))
            .flatten();
        let addresses = lease::leased(addresses, lease.as_ref());
        // Last: from here on the node begins, and feeds it.
        let begins = resume.is_none();
        let watchdog = match watchdog::prepare(&config, armed, begins, realtime).await {
            Ok(watchdog) => watchdog,
            Err(error) => return Err(fail(&log, &error)),
        };
        let (exit, ended) = oneshot::channel();
        let quiet = Targets::from_config(&config.log, false);
        let parts = Parts {
            paths,
            config: Arc::new(config),
            keys: Arc::new(keys),
            stamps,
            answers,
            accounts,
            load_options,
            called,
            only_releases,
            program,
            resume,
            guardian,
            log: log.clone(),
            cluster,
            media: media.network,
            serials,
            pings,
            watchdog,
            identity: prepared.identity,
            seed: prepared.seed,
            generation_file: prepared.generation_file,
            addresses,
            lease,
            running: prepared.running,
            signals,
            earlier_children,
            exit,
        };
        let policy = RestartPolicy::new("root");
        let root = supervise(&Arbiter::current(), policy, move |ctx| {
            RootActor::new(ctx, parts)
        });
        log.aim(quiet);
        // No other process reads our standard error: a log whose disk hangs is no reason to wait.
        if starting.is_awaited() {
            log.flush(FLUSH);
        }
        if let Err(error) = starting.ready() {
            warn!(%error, "cannot give up the standard descriptors");
        }
        sd_notify::ready();
        // Root has ended without a message: no actor is responsible for what runs.
        match ended.await.unwrap_or(Ended::Unreleased(EXIT_FAULT)) {
            Ended::Meant(code) => {
                drop(root);
                Ok(code)
            }
            Ended::Unreleased(code) => {
                log.flush(FLUSH);
                // Nothing is cleaned up: scripts that run stay on record, so that the process that
                // releases waits for them, and the pid file shows that this was no orderly end.
                std::process::exit(i32::from(code));
            }
        }
    })
}
