//! Devices that reset other nodes. Each is driven by a program: a plugin by the `stonith` command
//! of cluster-glue, an agent of the fence-agents family directly.
//!
//! Every call is a process group of its own with a time limit. No parameter is on a command line:
//! other users see those. A program reads its parameters from a file in memory, and what it prints
//! is cut and cleared of secrets before anybody sees it.
//!
//! Seen on cluster-glue 1.0.12: `stonith` exits with 0 when the plugin has done it, with 4 when
//! the plugin does not know the host, with 5 when a reset failed, and with 1, 3, 8 or 255
//! otherwise. It calls an `external/` plugin through a shell, with the name of the host unquoted,
//! and it does not compare that name with the list of hosts.
//!
//! Spec: docs/protocol/resources.md, 10.3.

mod call;
mod private;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout};

use super::child::record::{self, Recorded};
use super::child::{self, CallOff, ChildSpec, Ended, ExitReport, OutputTarget, Told, called_off};
use super::script::Environment;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::environment::FENCE_AGENTS;
use crate::config::fencing::{FenceDevice, FenceDriver, HostPlug};
use crate::os::paths::Paths;
use crate::protocol::name::NodeName;
use call::Call;
use private::Private;

/// Pause between TERM and KILL for a program that takes too long or is called off.
const KILL_AFTER: Duration = Duration::from_secs(5);

/// In the record of a program that resets a host.
const RESET: &str = "reset";

/// How long a reset counts that was ordered by a daemon that was killed meanwhile.
const EARLIER_COUNTS: Duration = Duration::from_secs(60);

/// How much longer than its program one call may take: it is loaded, and killed.
const GRACE: Duration = Duration::from_secs(10);

/// Exit code of `stonith` when the plugin does not know the host.
const CODE_BAD_HOST: i32 = 4;

/// Exit code of an agent whose device answers although its plug is off.
const CODE_OFF: i32 = 2;

/// What all devices of a node share.
#[derive(Debug)]
pub struct FenceContext {
    /// The `stonith` command.
    pub stonith: PathBuf,
    /// Directory of agents.
    pub agents: PathBuf,
    /// Of every program.
    pub environment: Arc<Environment>,
    /// Our output program. Without it the words of a device are lost.
    pub pump: Option<PathBuf>,
    /// Directory of the records of running programs.
    pub records: PathBuf,
    /// The program that stands beside one that resets a host, and records its end for a successor of
    /// this process. `None`: the end is not recorded.
    pub shim: Option<PathBuf>,
    /// Longest run of one program.
    pub limit: Duration,
    /// Pause between TERM and KILL.
    pub kill_after: Duration,
    /// Own name.
    pub local: NodeName,
    /// All nodes, this one included.
    pub nodes: Vec<NodeName>,
}

impl FenceContext {
    /// Made from the configuration. `debug` is the present debug level, `helpers` whether our helper
    /// programs are installed, `shim` the program that records how a reset ends.
    #[must_use]
    pub fn of(
        config: &Config,
        paths: &Paths,
        debug: u8,
        helpers: bool,
        shim: Option<PathBuf>,
    ) -> Self {
        let mut environment = Environment::of_daemon(config, paths, debug, helpers);
        environment.unset("LANG");
        environment.set("LC_ALL", "C");
        environment.set("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        Self {
            stonith: PathBuf::from("/usr/sbin/stonith"),
            agents: PathBuf::from(FENCE_AGENTS),
            environment: Arc::new(environment),
            pump: OutputTarget::of(config, paths).pump,
            records: paths.scripts(),
            shim,
            limit: config.settings.fence_time_limit,
            kill_after: KILL_AFTER,
            local: config.local.clone(),
            nodes: config.nodes.clone(),
        }
    }
}

/// What a device is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Whether it works.
    Status,
    /// Which hosts it can reset.
    List,
    /// To reset a host.
    Reset(HostPlug),
}

/// Why a device did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FenceFailure {
    /// A file with parameters cannot be used.
    #[error("{path}: {reason}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Its program cannot be started.
    #[error("cannot run {program}: {reason}", program = .program.display())]
    NotStarted {
        /// The program.
        program: PathBuf,
        /// Why.
        reason: String,
    },
    /// No answer in time: nobody knows what it did.
    #[error("no answer within {} s{}", .limit.as_secs(), words(.said))]
    Overdue {
        /// The limit.
        limit: Duration,
        /// Its last words.
        said: Option<String>,
    },
    /// The answer is not wanted any more.
    #[error("called off")]
    CalledOff,
    /// It failed.
    #[error("exit code {code}{}", words(.said))]
    Failed {
        /// The exit code; 128 and the signal when it was killed.
        code: i32,
        /// Its last words.
        said: Option<String>,
    },
    /// It says that it cannot reset this host.
    #[error("it cannot reset this host{}", words(.said))]
    BadHost {
        /// Its last words.
        said: Option<String>,
    },
    /// It answered, and named no host.
    #[error("it names no host")]
    NoHosts,
    /// An agent that does not say which hosts it resets.
    #[error("it does not say which host it resets: add hosts=HOST to its line ({0})")]
    Unnamed(Box<FenceFailure>),
    /// The line names a plug, and not the host that hangs on it.
    #[error("its line names a plug and no host: write hosts=HOST:PLUG instead")]
    PlugWithoutHost,
    /// A shell could take a part of the name for a command.
    #[error("the name of this host has characters that must not be on a command line")]
    Name,
}

fn words(said: &Option<String>) -> String {
    said.as_ref()
        .map_or_else(String::new, |said| format!(": {said}"))
}

/// The hosts that a device can reset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hosts {
    /// The device has not named them: its line can be meant for no other. It is asked again before it
    /// is used.
    pub assumed: bool,
    /// Those that are nodes of the cluster.
    pub nodes: Vec<HostPlug>,
    /// How many others it named.
    pub others: usize,
}

impl Hosts {
    /// How the device names this node, if it can reset it.
    #[must_use]
    pub fn plug_of(&self, node: &NodeName) -> Option<&HostPlug> {
        self.nodes.iter().find(|it| it.host == *node)
    }

    /// Takes in a later answer: it counts, unless it names no host at all, or is only assumed.
    pub fn renew(&mut self, later: Self) {
        let known = *self != Self::default() && !self.assumed;
        let empty = later.nodes.is_empty() && later.others == 0;
        if !(known && (later.assumed || empty)) {
            *self = later;
        }
    }
}

/// An answer, and how long it took.
#[derive(Debug)]
pub struct Timed<T> {
    /// The answer.
    pub answer: Result<T, FenceFailure>,
    /// From the question to the answer, the wait for an earlier question included.
    pub took: Duration,
}

/// A device.
#[derive(Debug, Clone)]
pub struct Device {
    config: Arc<FenceDevice>,
    context: Arc<FenceContext>,
    /// Many devices take one session at a time.
    turn: Arc<Mutex<()>>,
}

impl Device {
    /// The device of a line.
    #[must_use]
    pub fn new(config: FenceDevice, context: Arc<FenceContext>) -> Self {
        Self {
            config: Arc::new(config),
            context,
            turn: Arc::default(),
        }
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.config.kind
    }

    /// `file:line`.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.config.place
    }

    /// Asks whether it works.
    pub async fn status(&self, call_off: &CallOff) -> Timed<()> {
        let clock = Clock::start();
        let answer = self.ask(&Ask::Status, call_off).await.map(|_| ());
        Timed {
            answer,
            took: clock.now().instant.since_start(),
        }
    }

    /// Resets a host: done only if the device says so.
    pub async fn reset(&self, host: &HostPlug, call_off: &CallOff) -> Timed<()> {
        let clock = Clock::start();
        let ask = Ask::Reset(host.clone());
        let answer = self.ask(&ask, call_off).await.map(|_| ());
        Timed {
            answer,
            took: clock.now().instant.since_start(),
        }
    }

    /// The hosts that it can reset: as its line says, else as the device says.
    pub async fn hosts(&self, call_off: &CallOff) -> Timed<Hosts> {
        let clock = Clock::start();
        let answer = self.find_hosts(call_off).await;
        Timed {
            answer,
            took: clock.now().instant.since_start(),
        }
    }

    async fn find_hosts(&self, call_off: &CallOff) -> Result<Hosts, FenceFailure> {
        let is_node = |it: &HostPlug| self.context.nodes.contains(&it.host);
        let agent = match &self.config.driver {
            FenceDriver::Agent(words) if !words.hosts.is_empty() => {
                let nodes: Vec<HostPlug> = words
                    .hosts
                    .iter()
                    .filter(|it| is_node(it))
                    .cloned()
                    .collect();
                let others = words.hosts.len().saturating_sub(nodes.len());
                return Ok(Hosts {
                    assumed: false,
                    nodes,
                    others,
                });
            }
            FenceDriver::Agent(words) if words.names_plug() => {
                return self.only_other().ok_or(FenceFailure::PlugWithoutHost);
            }
            FenceDriver::Agent(_) => true,
            FenceDriver::PluginFile(_) | FenceDriver::PluginWords(_) => false,
        };
        let failure = match self.ask(&Ask::List, call_off).await {
            Ok(output) => {
                let hosts = call::hosts(&output, &self.config.driver, &self.context.nodes);
                if hosts != Hosts::default() {
                    return Ok(hosts);
                }
                FenceFailure::NoHosts
            }
            Err(failure) => failure,
        };
        match failure {
            failure if !agent => Err(failure),
            FenceFailure::CalledOff => Err(FenceFailure::CalledOff),
            failure => self
                .only_other()
                .ok_or(FenceFailure::Unnamed(Box::new(failure))),
        }
    }

    /// The other node of a pair, if the line is for this host alone: it can be meant for no other.
    fn only_other(&self) -> Option<Hosts> {
        let other = match self.context.nodes.as_slice() {
            [one, two] if *one == self.context.local => two,
            [one, two] if *two == self.context.local => one,
            _ => return None,
        };
        let host = HostPlug {
            host: other.clone(),
            plug: None,
        };
        self.config.only_here.then(|| Hosts {
            assumed: true,
            nodes: vec![host],
            others: 0,
        })
    }

    /// Lines for people: the command that resets a host, and its input, without secrets.
    pub async fn would_run(&self, host: &HostPlug) -> Result<Vec<String>, FenceFailure> {
        let private = Private::read(&self.config.driver).await?;
        let call = Call::of(
            &self.config,
            &self.context,
            &Ask::Reset(host.clone()),
            &private,
        )?;
        Ok(call.shown())
    }

    /// Waits until no program of an earlier daemon resets the host. Whether that has done it; `None`:
    /// there was none, or nobody knows. What was done long ago does not count: the host may be up
    /// again, and hang by now.
    pub async fn after_earlier(
        context: &FenceContext,
        host: &NodeName,
        call_off: &CallOff,
    ) -> Option<bool> {
        let place = record_of(context, host);
        let waits = record::wait_for_earlier(&place, context.limit, context.kill_after);
        let earlier = tokio::select! {
            earlier = waits => earlier,
            () = called_off(call_off) => {
                record::wait_for_earlier(&place, Duration::ZERO, context.kill_after).await
            }
        };
        let earlier = earlier.filter(|it| it.age() < EARLIER_COUNTS)?;
        earlier.code(RESET).map(|code| code == 0)
    }

    /// Standard output of a successful answer, at most [`child::MAX_CAPTURED_BYTES`]; only of a list.
    async fn ask(&self, ask: &Ask, call_off: &CallOff) -> Result<Vec<u8>, FenceFailure> {
        let private = Private::read(&self.config.driver).await?;
        let call = Call::of(&self.config, &self.context, ask, &private)?;
        let context = &self.context;
        let record = match ask {
            Ask::Reset(host) => Some(Recorded {
                place: record_of(context, &host.host),
                operation: RESET.to_owned(),
                word: self.config.kind.clone(),
                shim: context.shim.clone(),
            }),
            Ask::Status | Ask::List => None,
        };
        // A program that cannot be loaded, because a disk hangs, has no end that could be waited for.
        let patience = context
            .limit
            .saturating_add(context.kill_after)
            .saturating_add(GRACE);
        let overdue = FenceFailure::Overdue {
            limit: context.limit,
            said: None,
        };
        let turn = tokio::select! {
            turn = Arc::clone(&self.turn).lock_owned() => turn,
            () = called_off(call_off) => return Err(FenceFailure::CalledOff),
            () = sleep(patience) => return Err(overdue),
        };
        let (ends, end) = watch::channel(false);
        let spec = ChildSpec {
            program: call.program.clone(),
            args: call.args,
            environment: Arc::clone(&context.environment),
            directory: None,
            capture: *ask == Ask::List,
            output: OutputTarget {
                file: None,
                pump: context.pump.clone(),
            },
            limit: context.limit,
            kill_after: context.kill_after,
            record,
            last_words: !private.unread,
            told: Some(Told {
                input: call.input,
                hidden: call.hidden,
                call_off: end,
            }),
            alone: false,
        };
        let run = child::run(spec, turn);
        tokio::pin!(run);
        let ended = tokio::select! {
            report = &mut run => Some(report),
            () = called_off(call_off) => None,
            () = sleep(patience) => None,
        };
        let report = match ended {
            Some(report) => report,
            None => {
                // Also for one that is loaded only now.
                ends.send_replace(true);
                match timeout(context.kill_after.saturating_add(GRACE), run).await {
                    Ok(report) => report,
                    Err(_) if *call_off.borrow() => return Err(FenceFailure::CalledOff),
                    Err(_) => return Err(overdue),
                }
            }
        };
        if report.overdue && *call_off.borrow() {
            return Err(FenceFailure::CalledOff);
        }
        self.judge(ask, call.program, report)
    }

    fn judge(
        &self,
        ask: &Ask,
        program: PathBuf,
        report: ExitReport,
    ) -> Result<Vec<u8>, FenceFailure> {
        let said = report.said.clone();
        if report.overdue {
            let limit = self.context.limit;
            return Err(FenceFailure::Overdue { limit, said });
        }
        let agent = matches!(self.config.driver, FenceDriver::Agent(_));
        match (report.code(), ask, agent) {
            (_, _, _) if matches!(report.ended, Ended::NotStarted { .. }) => {
                let reason = match report.ended {
                    Ended::NotStarted { reason, .. } => reason,
                    Ended::Exited(_) | Ended::Signaled(_) | Ended::Stuck => String::new(),
                };
                Err(FenceFailure::NotStarted { program, reason })
            }
            (0, _, _) | (CODE_OFF, Ask::Status, true) => Ok(report.stdout),
            (CODE_BAD_HOST, Ask::Reset(_), false) => Err(FenceFailure::BadHost { said }),
            (code, _, _) => Err(FenceFailure::Failed { code, said }),
        }
    }
}

/// What the records of resets begin with.
const RECORD: &str = "fence ";

/// The file that records which program resets a host.
fn record_of(context: &FenceContext, host: &NodeName) -> PathBuf {
    record::place(&context.records, &format!("{RECORD}{host}"))
}

/// Ends the programs of earlier daemons that reset a host, except for those of these hosts: also of a host that ha.cf no longer
/// names, by a device that it no longer has. `records`: the directory of what runs.
pub async fn end_earlier_resets(records: &Path, but: &[NodeName]) {
    let kept: Vec<PathBuf> = but
        .iter()
        .map(|host| record::place(records, &format!("{RECORD}{host}")))
        .collect();
    let ended = record::of_kind(records, RECORD)
        .into_iter()
        .filter(|place| !kept.contains(place))
        .map(|place| async move {
            record::wait_for_earlier(&place, Duration::ZERO, KILL_AFTER).await;
        });
    futures_util::future::join_all(ended).await;
}
