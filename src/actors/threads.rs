//! The threads on which arbiters run, so that a busy script never delays a heartbeat.
//!
//! | Thread | Lives there |
//! |---|---|
//! | cluster | membership, media, ping nodes: realtime class, memory touched in advance |
//! | serial | one serial port, a thread for each: realtime class; the driver may let it wait |
//! | watchdog | the watchdog device: realtime class; its driver may let it wait |
//! | media | checks interfaces, opens sockets, closes those in a group: the kernel may let it wait |
//! | clients | respawned clients: the disk with a client's program may hang |
//! | aside | compresses and unpacks for the cluster thread ([`Aside`]) |
//! | local (main) | all others, see `docs/architecture.md` |

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use actix_rt::{Arbiter, System};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::os::sys;

/// Stack of the helper threads that `spawn_blocking` starts. The zlib compressor is built on it, before it is put
/// elsewhere: without optimisation that takes more than 256 KiB. What is not touched is not resident.
pub(super) const BLOCKING_STACK_BYTES: usize = 2 * 1024 * 1024;

/// Most helper threads per runtime; idle ones end. Some may hang for ever in a failed disk, and the
/// others go on.
const BLOCKING_THREADS: usize = 32;

/// The path where the kernel lists the threads of this process.
const OWN: &str = "/proc/self/task";

/// Checks of the threads before one of them counts as hanging.
const LOOKS: u32 = 10;

/// Pause between two of these checks. A thread that writes to a busy disk waits in the kernel at
/// many checks, but not at every one.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// How the threads of the heartbeat path are set up. All values are from ha.cf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Realtime {
    /// `realtime`; off also with `-l`.
    pub enabled: bool,
    /// `rtprio`.
    pub priority: Option<u8>,
    /// `memreserve`, in kB.
    pub memreserve_kb: u64,
}

/// Prepares the whole process. Call it once, before the first thread is started.
///
/// Limits malloc's arenas and, with `realtime`, locks memory. A failure of that is logged; the node
/// runs on.
pub fn prepare_process(realtime: Realtime) {
    sys::limit_arenas();
    if !realtime.enabled {
        return;
    }
    match sys::lock_memory() {
        Ok(()) => info!("memory is locked"),
        Err(error) => warn!(%error, "cannot lock memory"),
    }
}

/// A runtime for one thread: the local one, or a test's.
///
/// # Errors
/// The error of the system when the runtime could not be made.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_stack_size(BLOCKING_STACK_BYTES)
        .build()
}

/// Runs `work` to its end on this thread, for a program that is no daemon.
///
/// # Errors
/// The error of the system when the runtime could not be made; nothing was done then.
pub fn block_on<W: Future>(work: W) -> io::Result<W::Output> {
    let runtime = runtime()?;
    Ok(System::with_tokio_rt(move || runtime).block_on(work))
}

/// Starts the cluster thread: membership, the media and ping nodes live there.
///
/// # Errors
/// The error of the system when the thread or its runtime could not be made.
pub fn cluster(realtime: Realtime) -> io::Result<Arbiter> {
    prompt(c"cluster", realtime, realtime.memreserve_kb)
}

/// Starts the thread of one serial port: it sends and receives heartbeats there.
///
/// # Errors
/// The error of the system when the thread or its runtime could not be made.
pub fn serial(realtime: Realtime) -> io::Result<Arbiter> {
    prompt(c"serial", realtime, 0)
}

/// Starts the thread of the watchdog device, whose driver may let it wait. It has to be as prompt as the
/// heartbeat that feeds the device.
///
/// # Errors
/// The error of the system when the thread or its runtime could not be made.
pub fn watchdog(realtime: Realtime) -> io::Result<Arbiter> {
    prompt(c"watchdog", realtime, 0)
}

/// A thread on the heartbeat path.
fn prompt(name: &'static CStr, realtime: Realtime, reserve_kb: u64) -> io::Result<Arbiter> {
    Arbiter::try_with_tokio_rt(move || {
        // The closure runs on the new thread. A name that cannot be set does no harm.
        let _ = nix::sys::prctl::set_name(name);
        let thread = name.to_string_lossy();
        // The runtime first: if it starts a thread, that one is of the normal class.
        let runtime = runtime()?;
        if realtime.enabled {
            sys::touch_stack();
            sys::reserve_heap(reserve_kb);
            match sys::set_realtime(realtime.priority) {
                Ok(priority) => info!(%thread, priority, "thread runs in the realtime class"),
                Err(error) => warn!(%thread, %error, "thread cannot run in the realtime class"),
            }
        }
        Ok(runtime)
    })
}

/// Starts the thread that checks interfaces and opens sockets for the media.
///
/// # Errors
/// The error of the system when the thread or its runtime could not be made.
pub fn media() -> io::Result<Arbiter> {
    side(c"media")
}

/// Starts the thread of the respawned clients. The kernel ends their processes with the thread that
/// has started them, so it has to live as long as the daemon: a helper thread would not.
///
/// # Errors
/// The error of the system when the thread or its runtime could not be made.
pub fn respawn() -> io::Result<Arbiter> {
    side(c"respawn")
}

/// A thread whose work may hang without blocking anything else. It ends with the program.
fn side(name: &'static CStr) -> io::Result<Arbiter> {
    Arbiter::try_with_tokio_rt(move || {
        let _ = nix::sys::prctl::set_name(name);
        runtime()
    })
}

/// Something to do on another thread.
type Work = Box<dyn FnOnce() + Send>;

/// A thread of the normal class that does the slow work of one of the realtime class, one piece after the other.
///
/// It is not one of those that `spawn_blocking` starts. Who gives work to one of them hands it the lock of all of them too, and it
/// keeps the lock until it gets a processor. Until then everybody waits who gives more work: on a busy machine some ten
/// milliseconds. Nobody waits at this queue.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// `None` before the first piece of work.
    queue: Option<mpsc::Sender<Work>>,
}

impl Aside {
    /// Does `work`. The receiver fails if that panicked, or if the thread could not be started.
    pub(super) fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (done, outcome) = oneshot::channel();
        let work: Work = Box::new(move || {
            // Nobody waits for it if its actor has been started anew.
            let _ = done.send(work());
        });
        let left = match &self.queue {
            Some(queue) => queue.send(work).err().map(|mpsc::SendError(work)| work),
            None => Some(work),
        };
        if let Some(work) = left {
            self.queue = aside()
                .inspect_err(|error| warn!(%error, "cannot start a helper thread"))
                .ok();
            if let Some(queue) = &self.queue {
                let _ = queue.send(work);
            }
        }
        outcome
    }
}

/// Starts the thread. It ends with its queue, or with work that panics.
fn aside() -> io::Result<mpsc::Sender<Work>> {
    let (queue, work) = mpsc::channel::<Work>();
    std::thread::Builder::new()
        .name("aside".to_owned())
        .stack_size(BLOCKING_STACK_BYTES)
        .spawn(move || work.into_iter().for_each(|work| work()))?;
    Ok(queue)
}

/// What a thread is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// It runs, or would run if it got a processor.
    pub ready: bool,
    /// Processor time it has used, in ticks of the kernel (mostly 10 ms).
    pub busy_ticks: u64,
}

/// What the thread of that name is doing; `None`: there is none, or the kernel does not tell.
#[must_use]
pub fn activity(name: &CStr) -> Option<Activity> {
    stats(Path::new(OWN)).find_map(|stat| {
        let (_, found, fields) = parts(&stat)?;
        (found.as_bytes() == name.to_bytes()).then_some(())?;
        let fields: Vec<&str> = fields.split(' ').collect();
        // Fields 14 and 15 of the whole line: user and system time.
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Activity {
            ready: fields.first() == Some(&"R"),
            busy_ticks: ticks(11)?.saturating_add(ticks(12)?),
        })
    })
}

/// Whether a thread of this process waits in the kernel at this moment so that no signal ends it.
#[must_use]
pub fn waits_in_kernel() -> bool {
    !waiting(Path::new(OWN)).is_empty()
}

/// The name of a thread that waits so at every one of some checks in a second; `None`: there is
/// none, or the kernel does not tell. Returns at once if none waits.
pub async fn hanging() -> Option<String> {
    hanging_in(Path::new(OWN)).await
}

async fn hanging_in(tasks: &Path) -> Option<String> {
    let mut hanging = waiting(tasks);
    for _ in 0..LOOKS {
        if hanging.is_empty() {
            return None;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let now = waiting(tasks);
        hanging.retain(|thread, _| now.contains_key(thread));
    }
    hanging.into_values().next()
}

/// The threads that wait so, by number, with their names.
fn waiting(tasks: &Path) -> BTreeMap<String, String> {
    let waiting = |stat: String| {
        let (thread, name, fields) = parts(&stat)?;
        fields
            .starts_with("D ")
            .then(|| (thread.to_owned(), name.to_owned()))
    };
    stats(tasks).filter_map(waiting).collect()
}

/// The kernel's line about each thread.
fn stats(tasks: &Path) -> impl Iterator<Item = String> {
    let tasks = std::fs::read_dir(tasks).into_iter().flatten().flatten();
    tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok())
}

/// Number, name and the rest of `TID (NAME) STATE ...`; the name may hold anything.
fn parts(stat: &str) -> Option<(&str, &str, &str)> {
    let (thread, rest) = stat.split_once(" (")?;
    let (name, fields) = rest.rsplit_once(") ")?;
    Some((thread, name, fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds a thread in that state to the stand-in for `/proc/self/task`.
    fn thread(tasks: &Path, number: u32, name: &str, state: char) {
        let place = tasks.join(number.to_string());
        std::fs::create_dir_all(&place).expect("a directory");
        let stat = format!("{number} ({name}) {state} 1 2 3\n");
        std::fs::write(place.join("stat"), stat).expect("written");
    }

    #[tokio::test]
    async fn work_goes_on_behind_work_that_panics() {
        let mut aside = Aside::default();
        let here = std::thread::current().id();
        let name = || {
            let thread = std::thread::current();
            (thread.id(), thread.name().map(str::to_owned))
        };
        let (first, second) = (aside.run(name), aside.run(name));
        let (first, second) = (first.await.expect("done"), second.await.expect("done"));
        assert_eq!(first, second);
        assert_ne!(first.0, here);
        assert_eq!(first.1.as_deref(), Some("aside"));
        assert!(aside.run(|| panic!("as expected")).await.is_err());
        // The thread of before may still be ending, with its queue.
        let mut later = aside.run(name).await;
        for _ in 0..100 {
            if later.is_ok() {
                break;
            }
            later = aside.run(name).await;
        }
        assert_ne!(later.expect("done").0, first.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_thread_hangs_if_it_waits_at_every_look() {
        let root = tempfile::tempdir().expect("a directory");
        let tasks = root.path();
        thread(tasks, 1, "heartbeat", 'S');
        thread(tasks, 2, "D (a) D ", 'R');
        assert_eq!(hanging_in(tasks).await, None);
        assert_eq!(hanging_in(&tasks.join("nothing")).await, None);
        // Some wait, each for a moment.
        thread(tasks, 3, "log writer", 'D');
        let later = async {
            tokio::time::sleep(BETWEEN_LOOKS * (LOOKS - 1) - Duration::from_millis(1)).await;
            thread(tasks, 3, "log writer", 'S');
            thread(tasks, 4, "respawn", 'D');
        };
        assert_eq!(tokio::join!(hanging_in(tasks), later).0, None);
        assert_eq!(hanging_in(tasks).await.as_deref(), Some("respawn"));
    }

    #[actix::test]
    async fn a_cluster_thread_runs_what_it_is_given() {
        let realtime = Realtime {
            enabled: true,
            priority: None,
            memreserve_kb: 100,
        };
        let arbiter = cluster(realtime).expect("the thread starts");
        let (tell, told) = tokio::sync::oneshot::channel();
        arbiter.spawn_fn(move || {
            let name = nix::sys::prctl::get_name();
            let _ = tell.send((name, sys::scheduling_class()));
        });
        let (name, class) = told.await.expect("the thread answers");
        assert_eq!(name.as_deref(), Ok(c"cluster"));
        // Without the privilege the thread runs on as it is.
        assert!(
            class == libc::SCHED_RR | libc::SCHED_RESET_ON_FORK || class == libc::SCHED_OTHER,
            "class {class}"
        );
        arbiter.stop();
        arbiter.join().expect("the thread ends");
    }
}
