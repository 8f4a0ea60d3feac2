//! A resource cannot be stopped, or a `failfast` client died: the machine must restart, so that
//! another node may take over.
//! Spec: docs/protocol/resources.md, 9.4; docs/protocol/membership.md, 12.
//!
//! Legacy kills itself and calls `/sbin/reboot -nf`, then `/sbin/init 6`. We call them first, and
//! never end by ourselves, because our silence would start the resource a second time on another
//! node. If a program succeeds, that only means that the machine will restart: `init 6` is an
//! orderly shutdown, and so is `reboot -f` under systemd. Both wait for processes, among them those
//! of the resource that does not stop. So the node sends heartbeats until the machine restarts, and
//! the kernel is asked if that takes longer than [`ACCEPTED`].
//!
//! The disk with these programs may be the reason why the resource does not stop, and then even the
//! attempt to run one never returns. So a thread of its own ([`Force`]), which waits for no other,
//! asks the kernel without them: for a resource when the programs failed or had [`PATIENCE`], for a
//! `failfast` client at once, as legacy does.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;
use tracing::error;

use super::RootActor;
use crate::actors::threads;
use crate::agents::child::{self, ChildSpec, OutputTarget};
use crate::agents::script::Environment;
use crate::clock::{Clock, Monotonic};
use crate::notice::Severity;
use crate::os::sys::alarm;

/// Tried in this order.
const COMMANDS: [(&str, &[&str]); 2] = [("/sbin/reboot", &["-nf"]), ("/sbin/init", &["6"])];

/// Longest run of one of them.
const LIMIT: Duration = Duration::from_secs(30);

/// How long the programs may take, together, before the kernel is asked.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the machine may take to restart when a program has accepted. An orderly shutdown under
/// systemd kills after 90 s what does not end, this process too.
const ACCEPTED: Duration = Duration::from_secs(30);

/// How long the kernel may take to refuse.
const REFUSAL: Duration = Duration::from_secs(5);

/// How long the log may take to reach the disk before that.
const FLUSH: Duration = Duration::from_millis(500);

/// Logged where a stop is to be tried without end, which forbids a restart of the machine.
pub(super) const LATE_AND_FORBIDDEN: &str = "not stopped before the other node takes over, and \
    HA_STOPRETRYMAX=0 forbids a reboot: it may run on both nodes. Stop it by hand";

/// How long writing everything to the disks may take before that.
const SYNC: Duration = Duration::from_secs(5);

/// Why the machine must restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reason {
    /// This resource word still runs.
    Resource(String),
    /// This `failfast` command died.
    Client(String),
    /// These groups are not stopped, and the other node is about to take them.
    Late(String),
}

impl Reason {
    /// How fast the machine must restart for this reason.
    const fn haste(&self) -> Haste {
        match self {
            Self::Resource(_) => Haste::None,
            Self::Client(_) => Haste::Synced,
            Self::Late(_) => Haste::Utmost,
        }
    }
}

/// How fast the machine must restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Haste {
    /// The programs are called first.
    None,
    /// The kernel is asked first, when the disks are written or take too long.
    Synced,
    /// The kernel is asked at once.
    Utmost,
}

/// Restarts the machine at a given time, whatever its owner does or waits for, unless it is called
/// off.
#[derive(Debug)]
pub struct Deadline {
    forbidden: Arc<AtomicBool>,
    kept_by: Keeper,
}

/// What keeps a deadline.
#[derive(Debug)]
enum Keeper {
    Thread(mpsc::Sender<Word>, JoinHandle<()>),
    /// A timer of the kernel, until then.
    Alarm(Clock, Monotonic),
    /// Neither is available: the caller of [`wait`](Deadline::wait) restarts the machine.
    Nobody(Clock, Monotonic),
}

impl Deadline {
    /// `say` writes a line into the log; `restart` returns only with the reason why the machine
    /// still runs. If no thread can be made, a timer of the kernel keeps the deadline.
    pub fn arm(
        left: Duration,
        say: impl Fn(Severity, String) + Send + Sync + 'static,
        restart: impl FnOnce() -> String + Send + 'static,
    ) -> Self {
        let say = Arc::new(say);
        let (word, words) = mpsc::channel();
        let forbidden = Arc::new(AtomicBool::new(false));
        let (forbids, says) = (Arc::clone(&forbidden), Arc::clone(&say));
        let thread = std::thread::Builder::new()
            .name("deadline".to_owned())
            .spawn(move || {
                let say = says;
                if words.recv_timeout(left) != Err(mpsc::RecvTimeoutError::Timeout) {
                    return;
                }
                if forbids.load(Ordering::Relaxed) {
                    say(Severity::Crit, LATE_AND_FORBIDDEN.to_owned());
                    return;
                }
                let text = "Rebooting the machine: not everything is stopped, and the other node is \
                            about to take it.";
                say(Severity::Emerg, text.to_owned());
                let why = restart();
                let text =
                    format!("The machine cannot be rebooted: stop the resources by hand. ({why})");
                say(Severity::Crit, text);
            });
        match thread {
            Ok(thread) => Self {
                forbidden,
                kept_by: Keeper::Thread(word, thread),
            },
            Err(error) => {
                let text = format!("no thread for the restart of the machine in time: {error}");
                say(Severity::Warn, text);
                Self::by_timer(left, forbidden)
            }
        }
    }

    fn by_timer(left: Duration, forbidden: Arc<AtomicBool>) -> Self {
        let clock = Clock::start();
        let due = clock.now().instant + left;
        MAY_RESTART.store(restarts_machines(), Ordering::Relaxed);
        let kept_by = match alarm::set(left, restart_in_handler) {
            Ok(()) => Keeper::Alarm(clock, due),
            Err(_) => Keeper::Nobody(clock, due),
        };
        Self { forbidden, kept_by }
    }

    /// At the deadline only a log line is written.
    pub fn forbid(&self) {
        self.forbidden.store(true, Ordering::Relaxed);
        if matches!(self.kept_by, Keeper::Alarm(..)) {
            alarm::clear();
        }
    }

    /// Nothing runs any more.
    pub fn call_off(&self) {
        match &self.kept_by {
            Keeper::Thread(word, _) => {
                let _ = word.send(Word::CallOff);
            }
            Keeper::Alarm(..) | Keeper::Nobody(..) => self.forbid(),
        }
    }

    /// Returns when the deadline is called off, when it is forbidden and its time has come, or when
    /// the machine refuses to restart.
    #[expect(
        clippy::disallowed_methods,
        reason = "for a program that does nothing else any more"
    )]
    pub fn wait(self) {
        let forbidden = self.forbidden.load(Ordering::Relaxed);
        match self.kept_by {
            Keeper::Thread(_word, thread) => {
                let _ = thread.join();
            }
            Keeper::Alarm(..) | Keeper::Nobody(..) if forbidden => {}
            Keeper::Alarm(clock, due) => {
                // The alarm interrupts a sleep.
                while clock.now().instant < due {
                    std::thread::sleep(due.since(clock.now().instant));
                }
            }
            Keeper::Nobody(clock, due) => {
                std::thread::sleep(due.since(clock.now().instant));
                let _ = restart_by_kernel();
            }
        }
    }
}

/// Whether [`restart_in_handler`] does anything.
static MAY_RESTART: AtomicBool = AtomicBool::new(false);

/// Only asks the kernel: a signal handler can run no program and write no line.
extern "C" fn restart_in_handler(_: libc::c_int) {
    if MAY_RESTART.load(Ordering::Relaxed) {
        let Err(_) = nix::sys::reboot::reboot(nix::sys::reboot::RebootMode::RB_AUTOBOOT);
    }
}

/// A thread that restarts the machine by itself when its time comes.
struct Force {
    /// If it is dropped, the time has come.
    word: mpsc::Sender<Hurry>,
    refused: oneshot::Receiver<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Hurry {
    /// There is nothing to wait for.
    Now,
    /// The machine may restart by itself: do nothing before this time has passed.
    After(Duration),
}

/// A message to the keeper of a deadline.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    CallOff,
}

impl Force {
    /// `sync` is called first if a program has accepted: the shutdown that it has begun may still
    /// have much to write. `restart` returns only with the reason why the machine still runs.
    fn arm(
        patience: Duration,
        sync: impl FnOnce() + Send + 'static,
        restart: impl FnOnce() -> String + Send + 'static,
    ) -> std::io::Result<Self> {
        let (word, words) = mpsc::channel();
        let (refuse, refused) = oneshot::channel();
        std::thread::Builder::new()
            .name("last resort".to_owned())
            .spawn(move || {
                let (mut left, mut accepted) = (patience, false);
                while let Ok(Hurry::After(more)) = words.recv_timeout(left) {
                    (left, accepted) = (more, true);
                }
                if accepted {
                    sync();
                }
                let _ = refuse.send(restart());
            })?;
        Ok(Self { word, refused })
    }

    /// Restarts now. Returns why the machine still runs.
    async fn now(self) -> String {
        self.after(Hurry::Now, Duration::ZERO).await
    }

    /// A program has accepted. Returns why the machine still runs after that.
    async fn accepted(self, patience: Duration) -> String {
        let limit = patience.saturating_add(SYNC);
        self.after(Hurry::After(patience), limit).await
    }

    async fn after(self, hurry: Hurry, patience: Duration) -> String {
        let _ = self.word.send(hurry);
        let limit = patience.saturating_add(REFUSAL);
        match tokio::time::timeout(limit, self.refused).await {
            Ok(Ok(why)) => why,
            Ok(Err(_)) | Err(_) => "the kernel does not answer".to_owned(),
        }
    }
}

/// Does `work` on a thread of its own, and waits at most `limit` for it: a disk may hang.
fn at_most(limit: Duration, work: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("sync".to_owned())
        .spawn(move || {
            work();
            let _ = done.send(());
        });
    if thread.is_ok() {
        let _ = ended.recv_timeout(limit);
    }
}

/// Asks the kernel to restart the machine, and returns only with the reason why it does not.
///
/// In a PID namespace of its own (a container) the system call ends that namespace. The key of the
/// console would restart the machine below, and is not used there.
fn restart_by_kernel() -> String {
    let whole_machine = owns_the_machine();
    if !restarts_machines() {
        return "a program built for tests never restarts a machine".to_owned();
    }
    let Err(refused) = nix::sys::reboot::reboot(nix::sys::reboot::RebootMode::RB_AUTOBOOT);
    if !whole_machine {
        return format!("the system call is refused: {refused}");
    }
    match std::fs::write("/proc/sysrq-trigger", "b") {
        Ok(()) => format!("the system call is refused: {refused}; sysrq has no effect"),
        Err(error) => format!("the system call is refused: {refused}; sysrq: {error}"),
    }
}

/// A program built for tests only restarts its own containers.
fn restarts_machines() -> bool {
    !(cfg!(debug_assertions) && owns_the_machine())
}

/// Whether this process is in the first PID namespace; `true` if that is not known.
fn owns_the_machine() -> bool {
    // The number of that namespace is fixed in the kernel.
    std::fs::read_link("/proc/self/ns/pid")
        .map_or(true, |name| name.as_os_str() == "pid:[4026531836]")
}

/// Restarts the machine.
pub(super) fn reboot(root: &mut RootActor, reason: &Reason, ctx: &mut Context<RootActor>) {
    let (text, refused) = match reason {
        Reason::Resource(resource) => (
            format!("Rebooting the machine: {resource} cannot be stopped."),
            "The machine cannot be rebooted: stop the resource by hand, then heartbeat.",
        ),
        Reason::Client(command) => (
            format!("Rebooting system.  Reason: {command}"),
            "The machine cannot be rebooted: the node goes on without the client.",
        ),
        Reason::Late(groups) => (
            format!(
                "Rebooting the machine: not stopped before the other node takes over: {groups}."
            ),
            "The machine cannot be rebooted: stop the resources by hand.",
        ),
    };
    root.log.line(Severity::Emerg, text);
    root.log.flush(FLUSH);
    let work = restart(reason.haste());
    ctx.spawn(work.into_actor(root).map(move |why, root, _| {
        root.log.line(Severity::Crit, format!("{refused} ({why})"));
    }));
}

/// Restarts the machine because a resource cannot be stopped, for a program that is no daemon.
/// Returns only with the reason why the machine still runs.
#[must_use]
pub fn restart_machine() -> String {
    alone(Haste::None)
}

/// The same because the other node is about to take what still runs: the kernel is asked first.
#[must_use]
pub fn restart_machine_now() -> String {
    alone(Haste::Utmost)
}

fn alone(haste: Haste) -> String {
    threads::block_on(restart(haste)).unwrap_or_else(|error| format!("no runtime: {error}"))
}

/// Calls the programs, and asks the kernel, in the order that the haste requires. Returns why the
/// machine still runs.
async fn restart(haste: Haste) -> String {
    let sync = || at_most(SYNC, nix::unistd::sync);
    let arm = |patience| Force::arm(patience, sync, restart_by_kernel);
    restart_by(haste, &COMMANDS, ACCEPTED, arm, restart_by_kernel).await
}

async fn restart_by(
    haste: Haste,
    commands: &[(&str, &[&str])],
    accepted: Duration,
    arm: impl FnOnce(Duration) -> std::io::Result<Force>,
    kernel: impl FnOnce() -> String,
) -> String {
    let environment = Arc::new(Environment::default());
    let patience = match haste {
        Haste::None => PATIENCE,
        Haste::Synced => SYNC,
        Haste::Utmost => Duration::ZERO,
    };
    let force = match arm(patience) {
        Ok(force) => force,
        Err(error) => {
            error!(%error, "no thread for the last resort");
            // A program that hangs would go unnoticed: no time for one.
            return kernel();
        }
    };
    let mut force = Some(force);
    let mut why = String::new();
    if haste == Haste::Synced {
        // The reboot does not wait for the disks. A disk that hangs must not stop it.
        let synced = tokio::task::spawn_blocking(nix::unistd::sync);
        let _ = tokio::time::timeout(SYNC, synced).await;
    }
    if haste != Haste::None
        && let Some(force) = force.take()
    {
        why = force.now().await;
    }
    for &(program, args) in commands {
        let spec = ChildSpec {
            program: PathBuf::from(program),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            environment: Arc::clone(&environment),
            directory: Some(PathBuf::from("/")),
            capture: false,
            output: OutputTarget::default(),
            limit: LIMIT,
            kill_after: LIMIT,
            record: None,
            last_words: false,
            told: None,
            alone: false,
        };
        if child::run(spec, ()).await.success() {
            let why = match force {
                Some(force) => force.accepted(accepted).await,
                // It has refused already.
                None => {
                    tokio::time::sleep(accepted).await;
                    why
                }
            };
            return format!("{program} has accepted, and the machine still runs; {why}");
        }
    }
    match force {
        Some(force) => force.now().await,
        None => why,
    }
}

#[cfg(test)]
mod tests;
