//! A resource that cannot be stopped, or a `failfast` client that died: the machine must go, so that another node may take over.
//! Spec: docs/protocol/resources.md, 9.4; docs/protocol/membership.md, 12.
//!
//! Legacy kills itself and calls `/sbin/reboot -nf`, then `/sbin/init 6`. We call them first and
//! end only when one of them accepts: a node that can neither stop a resource nor reboot keeps
//! beating, because its silence would start the resource a second time elsewhere.
//!
//! The disk that holds these programs may be what keeps the resource from stopping, and then even
//! the attempt to run one never returns. So the kernel is asked without them by a thread of its own
//! ([`Force`]), which waits for nobody: for a resource when the programs failed or had
//! [`PATIENCE`], for a `failfast` client at once, as legacy does.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;
use tracing::error;

use super::RootActor;
use crate::actors::child::{self, ChildSpec, OutputTarget};
use crate::clock::{Clock, Monotonic};
use crate::notice::Severity;
use crate::resources::script::Environment;
use crate::sys::alarm;

/// Tried in this order.
const COMMANDS: [(&str, &[&str]); 2] = [("/sbin/reboot", &["-nf"]), ("/sbin/init", &["6"])];

/// Longest run of one of them.
const LIMIT: Duration = Duration::from_secs(30);

/// How long the programs may take, together, before the kernel is asked.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the kernel may take to refuse.
const REFUSAL: Duration = Duration::from_secs(5);

/// How long the log may take to reach the disk before.
const FLUSH: Duration = Duration::from_millis(500);

/// Said where a stop is to be tried for ever, which forbids a restart of the machine.
pub(super) const LATE_AND_FORBIDDEN: &str = "not stopped before the other node takes over, and \
    HA_STOPRETRYMAX=0 forbids a reboot: it may run on both nodes. Stop it by hand";

/// How long writing everything to the disks may take before.
const SYNC: Duration = Duration::from_secs(5);

/// Exit code when the machine was told to restart.
const EXIT_REBOOTING: u8 = 100;

/// Why the machine must go.
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
    /// What it may cost.
    const fn haste(&self) -> Haste {
        match self {
            Self::Resource(_) => Haste::None,
            Self::Client(_) => Haste::Synced,
            Self::Late(_) => Haste::Utmost,
        }
    }
}

/// How soon the machine must go.
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

/// Who keeps a deadline.
#[derive(Debug)]
enum Keeper {
    Thread(mpsc::Sender<Word>, JoinHandle<()>),
    /// A timer of the kernel, until then.
    Alarm(Clock, Monotonic),
    /// Neither is to be had: whoever waits for it restarts the machine.
    Nobody(Clock, Monotonic),
}

impl Deadline {
    /// `say` writes a line into the log. Where no thread is to be had a timer of the kernel keeps it.
    pub fn arm(
        left: Duration,
        say: impl Fn(Severity, String) + Send + Sync + 'static,
        restart: impl FnOnce() -> Result<(), String> + Send + 'static,
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
                if let Err(why) = restart() {
                    let text = format!(
                        "The machine cannot be rebooted: stop the resources by hand. ({why})"
                    );
                    say(Severity::Crit, text);
                }
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

    /// It only says that the time has come.
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

    /// Returns when it is called off, when it is forbidden and its time has come, or when the machine
    /// refuses to restart.
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

/// Asks the kernel only: a signal handler can run no program and write no line.
extern "C" fn restart_in_handler(_: libc::c_int) {
    if MAY_RESTART.load(Ordering::Relaxed) {
        let Err(_) = nix::sys::reboot::reboot(nix::sys::reboot::RebootMode::RB_AUTOBOOT);
    }
}

/// A thread that restarts the machine by itself when its time comes.
struct Force {
    /// Dropped: now.
    word: mpsc::Sender<Word>,
    refused: oneshot::Receiver<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Word {
    Now,
    CallOff,
}

impl Force {
    /// `restart` comes back only with the reason why the machine still runs.
    fn arm(
        patience: Duration,
        restart: impl FnOnce() -> String + Send + 'static,
    ) -> std::io::Result<Self> {
        let (word, words) = mpsc::channel();
        let (refuse, refused) = oneshot::channel();
        std::thread::Builder::new()
            .name("last resort".to_owned())
            .spawn(move || match words.recv_timeout(patience) {
                Ok(Word::CallOff) => {}
                Ok(Word::Now) | Err(_) => {
                    let _ = refuse.send(restart());
                }
            })?;
        Ok(Self { word, refused })
    }

    fn call_off(&self) {
        let _ = self.word.send(Word::CallOff);
    }

    /// Why the machine still runs.
    async fn now(self) -> String {
        let _ = self.word.send(Word::Now);
        match tokio::time::timeout(REFUSAL, self.refused).await {
            Ok(Ok(why)) => why,
            Ok(Err(_)) | Err(_) => "the kernel does not answer".to_owned(),
        }
    }
}

/// Asks the kernel to restart the machine, and comes back only with the reason why it does not.
///
/// In a PID namespace of its own (a container) the system call ends that namespace; the key of the
/// console would restart the machine below, and is left alone there.
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

/// A program built for tests restarts its own containers only.
fn restarts_machines() -> bool {
    !(cfg!(debug_assertions) && owns_the_machine())
}

/// Whether this process is in the first PID namespace; `true` when nobody knows.
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
    ctx.spawn(work.into_actor(root).map(move |done, root, _| match done {
        Ok(()) => root.end(EXIT_REBOOTING),
        Err(why) => root.log.line(Severity::Crit, format!("{refused} ({why})")),
    }));
}

/// Restarts the machine because a resource cannot be stopped, for a program that is no daemon. Comes
/// back when something has accepted that.
///
/// # Errors
/// Why the machine still runs.
pub fn restart_machine() -> Result<(), String> {
    System::new().block_on(restart(Haste::None))
}

/// The same because the other node is about to take what still runs: the kernel is asked first.
///
/// # Errors
/// Why the machine still runs.
pub fn restart_machine_now() -> Result<(), String> {
    System::new().block_on(restart(Haste::Utmost))
}

/// Calls the programs, and asks the kernel, in the order that the haste demands.
async fn restart(haste: Haste) -> Result<(), String> {
    let arm = |patience| Force::arm(patience, restart_by_kernel);
    restart_by(haste, &COMMANDS, arm, restart_by_kernel).await
}

async fn restart_by(
    haste: Haste,
    commands: &[(&str, &[&str])],
    arm: impl FnOnce(Duration) -> std::io::Result<Force>,
    kernel: impl FnOnce() -> String,
) -> Result<(), String> {
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
            // Nobody would notice that a program hangs: no time for any.
            return Err(kernel());
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
            directory: PathBuf::from("/"),
            capture: false,
            output: OutputTarget::default(),
            limit: LIMIT,
            kill_after: LIMIT,
            record: None,
            last_words: false,
        };
        if child::run(spec, None).await.success() {
            if let Some(force) = force {
                force.call_off();
            }
            return Ok(());
        }
    }
    if let Some(force) = force {
        why = force.now().await;
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stand-in for the restart: it says that it was called.
    fn told() -> (impl FnOnce() -> String + Send, mpsc::Receiver<()>) {
        let (tell, told) = mpsc::channel();
        let restart = move || {
            let _ = tell.send(());
            "refused".to_owned()
        };
        (restart, told)
    }

    /// As when the attempt to run a program from a dead disk never returns.
    #[test]
    fn the_kernel_is_asked_though_this_thread_hangs() {
        let (restart, told) = told();
        let _force = Force::arm(Duration::from_millis(20), restart).unwrap();
        // Nothing on this thread says another word.
        told.recv_timeout(Duration::from_secs(60)).unwrap();
    }

    #[test]
    fn the_kernel_is_asked_when_whoever_armed_it_is_gone() {
        let (restart, told) = told();
        drop(Force::arm(Duration::from_secs(3600), restart).unwrap());
        told.recv_timeout(Duration::from_secs(60)).unwrap();
    }

    #[actix::test]
    async fn the_kernel_is_asked_at_once_when_the_programs_failed() {
        let (restart, told) = told();
        let force = Force::arm(Duration::from_secs(3600), restart).unwrap();
        assert_eq!(force.now().await, "refused");
        told.try_recv().unwrap();
    }

    #[test]
    fn a_program_that_accepts_calls_it_off() {
        let (restart, told) = told();
        let force = Force::arm(Duration::from_secs(3600), restart).unwrap();
        force.call_off();
        // The thread ends without a word.
        assert_eq!(told.recv(), Err(mpsc::RecvError));
    }

    #[test]
    fn a_deadline_restarts_unless_it_is_called_off_or_forbidden() {
        let armed = |left| {
            let (tell, told) = mpsc::channel();
            let (said, restarted) = (tell.clone(), tell);
            let say = move |severity: Severity, _| {
                let _ = said.send(severity.word());
            };
            let restart = move || {
                let _ = restarted.send("restart");
                Err("refused".to_owned())
            };
            (Deadline::arm(left, say, restart), told)
        };
        let (late, told) = armed(Duration::from_millis(20));
        let seen: Vec<_> = told.iter().collect();
        assert_eq!(seen, ["EMERG", "restart", "CRIT"]);
        late.wait();
        let (stopped, told) = armed(Duration::from_secs(3600));
        stopped.call_off();
        assert_eq!(told.recv(), Err(mpsc::RecvError));
        let (forbidden, told) = armed(Duration::from_millis(300));
        forbidden.forbid();
        assert_eq!(told.iter().collect::<Vec<_>>(), ["CRIT"]);
        for ended in [stopped, forbidden] {
            ended.wait();
        }
    }

    /// No memory, or no number for another process.
    #[actix::test]
    async fn without_a_thread_the_kernel_is_asked_at_once() {
        let no_thread = || Err(std::io::Error::from_raw_os_error(libc::EAGAIN));
        for haste in [Haste::None, Haste::Synced, Haste::Utmost] {
            let (restart, told) = told();
            let done = restart_by(haste, &[], |_| no_thread(), restart).await;
            assert_eq!(done, Err("refused".to_owned()));
            told.try_recv().unwrap();
        }
    }

    /// The test of the timer itself is where it is; there is one in a process.
    #[test]
    fn a_deadline_without_a_thread_and_a_timer_is_waited_for() {
        let long = Monotonic::from_duration(Duration::from_secs(3600));
        let deadline = |due| Deadline {
            forbidden: Arc::default(),
            kept_by: Keeper::Nobody(Clock::start(), due),
        };
        let called_off = deadline(long);
        called_off.call_off();
        called_off.wait();
        let forbidden = deadline(long);
        forbidden.forbid();
        forbidden.wait();
    }

    /// The tests run in the first PID namespace of some machine, or in that of a container. There is
    /// no call of `restart_by_kernel` here: it is for hosts of the lab, which have their own.
    #[test]
    fn a_program_built_for_tests_knows_where_it_runs() {
        let name = std::fs::read_link("/proc/self/ns/pid").unwrap();
        let name = name.to_string_lossy();
        assert!(name.starts_with("pid:["), "{name}");
        assert_eq!(owns_the_machine(), name == "pid:[4026531836]");
    }
}
