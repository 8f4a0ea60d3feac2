//! Child processes: the only place that starts them.
//!
//! A child gets its own process group, null as standard input, none of our descriptors and a
//! deadline: TERM to the group, then KILL. The caller gets one [`ExitReport`]. The task that
//! watches the child is separate, so an actor that waits for it may panic without losing the child.
//!
//! Output goes to a file, as `ResourceManager` sends it to the debug log, never to a pipe of ours:
//! a background process that a script has started may write there for years, and SIGPIPE would kill
//! it when this process ends or executes a new image. If our output program is installed, it stands
//! between the child and the file: it outlives us, limits the rate and follows log rotation.

pub mod client;
pub mod record;
pub mod shim;

use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use nix::errno::Errno;
use nix::sys::memfd::MFdFlags;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, warn};

use crate::agents::script::{Environment, MAX_LAST_BYTES, last_words, without};
use crate::config::Config;
use crate::os::paths::Paths;

use crate::os::sd_notify;
use crate::os::sys::{self, shared::memory_file};
use record::{Record, Recorded};

/// Most standard output kept of a `status` run; the words that count stand at the beginning.
pub const MAX_CAPTURED_BYTES: usize = 64 * 1024;

/// How long the pipe of a script that has ended is read for the rest of its output. A background
/// process may hold the other end open for ever.
const DRAIN_GRACE: Duration = Duration::from_millis(100);

/// How long a killed process may take to end; longer means that it hangs in the kernel.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// How long a look at the processes of the host may take. It needs a helper thread.
const LOOK_PATIENCE: Duration = Duration::from_secs(1);

/// How often the rest of a process group is checked after its leader ended.
const GROUP_POLL: Duration = Duration::from_millis(50);

/// How often it is looked whether what outlived KILL has ended.
const LEFT_POLL: Duration = Duration::from_secs(1);

/// Attempts when the program file is open for writing elsewhere, 10 ms apart.
const BUSY_ATTEMPTS: u32 = 20;

/// Exit code in the report of a child that exceeded its deadline, whatever its real code was.
pub const CODE_DEADLINE: i32 = 124;

/// Where a child's output goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputTarget {
    /// Appended to; `None`: thrown away.
    pub file: Option<PathBuf>,
    /// Our output program; used when it is there, else the child writes to the file itself.
    pub pump: Option<PathBuf>,
}

impl OutputTarget {
    /// The debug log, through our output program.
    #[must_use]
    pub fn of(config: &Config, paths: &Paths) -> Self {
        Self {
            file: config.log.debugfile.clone(),
            pump: Some(paths.helper_dir.join("script_output")),
        }
    }
}

/// One run of one program.
#[derive(Debug, Clone)]
pub struct ChildSpec {
    /// Path of the program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Set on top of our own environment.
    pub environment: Arc<Environment>,
    /// Working directory; `None`: our own, which no disk that hangs can delay.
    pub directory: Option<PathBuf>,
    /// Whether standard output is wanted in the report instead of in the file.
    pub capture: bool,
    /// Standard error, and standard output unless captured.
    pub output: OutputTarget,
    /// Longest run; then TERM to the process group.
    pub limit: Duration,
    /// Pause between TERM and KILL.
    pub kill_after: Duration,
    /// What a successor of this process must know of the child while it runs.
    pub record: Option<Recorded>,
    /// Whether the report shall contain the end of its output if it fails.
    pub last_words: bool,
    /// Input and secrets of a program that is told some.
    pub told: Option<Told>,
    /// Whether whatever it has started in its process group ends with it.
    pub alone: bool,
}

/// Becomes true when the end of a program is asked for.
pub type CallOff = watch::Receiver<bool>;

/// Waits until the end of a program is asked for.
pub async fn called_off(call_off: &CallOff) {
    let mut call_off = call_off.clone();
    if call_off.wait_for(|off| *off).await.is_err() {
        // Nobody can ask any more.
        std::future::pending().await
    }
}

/// What a program is told, and how its end is asked for.
#[derive(Clone)]
pub struct Told {
    /// Its standard input: a file in memory, so that it never waits for us, and may live longer than
    /// this process.
    pub input: Vec<u8>,
    /// Texts that are hidden in the end of its output.
    pub hidden: Vec<String>,
    /// Ends it as if its time were over.
    pub call_off: CallOff,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told")
    }
}

/// How a child ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// With this code.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
    /// It was killed and did not end within some seconds.
    Stuck,
    /// It could not be started.
    NotStarted {
        /// 126: not executable; 127: anything else.
        code: i32,
        /// The reason.
        reason: String,
        /// There is no such program, or the file is not a program, so nothing of it can run. Other
        /// errors (no memory, a disk that fails) leave that open.
        no_program: bool,
    },
}

/// The result of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitReport {
    /// How it ended.
    pub ended: Ended,
    /// Whether the deadline passed, or its end was asked for.
    pub overdue: bool,
    /// Captured standard output, at most [`MAX_CAPTURED_BYTES`].
    pub stdout: Vec<u8>,
    /// The end of its output, for people; only if it failed and `last_words` was set.
    pub said: Option<String>,
}

impl ExitReport {
    fn not_started(code: i32, reason: String, no_program: bool) -> Self {
        Self {
            ended: Ended::NotStarted {
                code,
                reason,
                no_program,
            },
            overdue: false,
            stdout: Vec::new(),
            said: None,
        }
    }

    /// The code as a shell has it: 128 + signal, 126 or 127 when not started, 124 when overdue.
    #[must_use]
    pub fn code(&self) -> i32 {
        if self.overdue {
            return CODE_DEADLINE;
        }
        match &self.ended {
            Ended::Exited(code) | Ended::NotStarted { code, .. } => *code,
            Ended::Signaled(signal) => signal.saturating_add(128),
            Ended::Stuck => 137,
        }
    }

    /// Whether it ran and exited with 0 in time.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code() == 0
    }
}

/// Whether this error means that the file is not a program.
fn is_no_program(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw);
    matches!(
        number,
        Some(
            Errno::ENOENT
                | Errno::EACCES
                | Errno::ENOEXEC
                | Errno::ENOTDIR
                | Errno::ELOOP
                | Errno::ENAMETOOLONG
        )
    )
}

/// Whether `path` is a regular file that root can execute. A file that cannot be looked at, on a
/// disk that fails, counts as one: running it fails, while a missing script needs no stop.
#[must_use]
pub fn is_program(path: &Path) -> bool {
    is_program_by(&std::fs::metadata(path).map(|data| (data.is_file(), data.mode())))
}

fn is_program_by(looked: &io::Result<(bool, u32)>) -> bool {
    match looked {
        Ok((is_file, mode)) => *is_file && mode & 0o111 != 0,
        Err(error) => !is_no_program(error),
    }
}

/// Runs a program to its end.
///
/// `turn` is held until the child has ended, even when the caller is dropped before: runs that must
/// not overlap share one lock. Of a child that is to leave nothing behind it is held until all of it has
/// ended: what waits for a disk in the kernel outlives KILL. Call on an arbiter.
pub async fn run<T: 'static>(spec: ChildSpec, turn: T) -> ExitReport {
    let (report, result) = oneshot::channel();
    actix_rt::spawn(async move {
        let (ended, left) = watch(spec).await;
        if left.groups.is_empty() {
            drop((turn, left));
            let _ = report.send(ended);
        } else {
            let _ = report.send(ended);
            let mut groups = left.groups.clone();
            while !groups.is_empty() {
                sleep(LEFT_POLL).await;
                groups = alive_in(groups).await;
            }
        }
    });
    let lost =
        || ExitReport::not_started(127, "the task that watched it is gone".to_owned(), false);
    result.await.unwrap_or_else(|_| lost())
}

/// What has not ended although it was killed, and the record of it.
#[derive(Default)]
struct Left {
    groups: Vec<Pid>,
    _record: Option<Record>,
}

async fn watch(spec: ChildSpec) -> (ExitReport, Left) {
    let Started {
        mut child,
        last,
        record,
        beside,
    } = match start(&spec).await {
        Ok(started) => started,
        Err(error) => {
            let denied = error.kind() == io::ErrorKind::PermissionDenied;
            let code = if denied { 126 } else { 127 };
            let report = ExitReport::not_started(code, error.to_string(), is_no_program(&error));
            return (report, Left::default());
        }
    };
    let pid = child.id();
    let leader = pid.filter(|_| beside);
    let mut stdout = child.stdout.take();
    let mut captured = Vec::new();
    let (ended, overdue, mut groups) = {
        let end = wait_within(&mut child, beside, &spec);
        tokio::pin!(end);
        loop {
            tokio::select! {
                end = &mut end => break end,
                more = read_some(&mut stdout, &mut captured) => if !more { stdout = None },
            }
        }
    };
    // What was ended by force has none any more.
    let left = pid.filter(|_| spec.alone && !overdue);
    if let Some(group) = left.and_then(group_left_by) {
        debug!(program = %spec.program.display(), "it has left processes: ending them");
        end_group(group, spec.kill_after).await;
        groups = vec![group];
    }
    if spec.alone && !groups.is_empty() {
        groups = alive_in(groups).await;
    } else {
        groups.clear();
    }
    if stdout.is_some() {
        // The content of the pipe is available at once. The grace is for all of it together: a
        // background process may go on writing for ever.
        let drain = async {
            while captured.len() < MAX_CAPTURED_BYTES && read_some(&mut stdout, &mut captured).await
            {
            }
        };
        if timeout(DRAIN_GRACE, drain).await.is_err() {
            debug!(program = %spec.program.display(), "a background process holds the output open");
        }
    }
    let known = record.as_ref().is_some_and(Record::knows_the_end);
    if let (false, Ended::Signaled(_), Some(pid)) = (overdue || known, &ended, leader) {
        end_script_without_shim(pid, &spec).await;
    }
    let left = Left {
        _record: record.filter(|_| !groups.is_empty()),
        groups,
    };
    if ended == Ended::Stuck {
        // The runtime reaps the process if it ever ends.
        error!(program = %spec.program.display(), "child process does not end after SIGKILL");
    }
    let mut report = ExitReport {
        ended,
        overdue,
        stdout: captured,
        said: None,
    };
    if let (false, Some(last)) = (report.success(), last) {
        let hidden = spec.told.as_ref().map(|told| told.hidden.as_slice());
        report.said = last.read(hidden.unwrap_or_default()).await;
    }
    (report, left)
}

/// Reads once and keeps what fits; the rest is dropped, so that a child that floods its output
/// never waits for us. `false`: nothing will follow. Never returns without a pipe.
async fn read_some(stdout: &mut Option<ChildStdout>, captured: &mut Vec<u8>) -> bool {
    let Some(pipe) = stdout else {
        return std::future::pending().await;
    };
    let mut buffer = [0; 4096];
    match pipe.read(&mut buffer).await {
        Ok(0) | Err(_) => false,
        Ok(count) => {
            let room = MAX_CAPTURED_BYTES.saturating_sub(captured.len());
            captured.extend(buffer.iter().take(count.min(room)));
            true
        }
    }
}

/// A child that runs.
struct Started {
    child: Child,
    last: Option<LastWords>,
    /// Removed when the script has ended.
    record: Option<Record>,
    /// The child is the process beside the script.
    beside: bool,
}

async fn start(spec: &ChildSpec) -> io::Result<Started> {
    let (output, last) = Output::open(&spec.output, spec.last_words).await;
    if let Some(recorded) = &spec.record
        && let Some(shim) = &recorded.shim
    {
        record::forget_code(&recorded.place);
        let words = shim::words(recorded, &spec.program, &spec.args);
        let mut command = command(spec, &output, shim)?;
        command.arg0(shim::TITLE).args(words);
        match spawn(command, spec.directory.clone()).await {
            Ok(child) => {
                return Ok(Started {
                    child,
                    last,
                    record: Some(Record::of(&recorded.place)),
                    beside: true,
                });
            }
            // For example without /proc: then the script runs alone.
            Err(error) => debug!(program = %shim.display(), %error, "a script runs by itself"),
        }
    }
    let mut attempt = 0;
    loop {
        let mut command = command(spec, &output, &spec.program)?;
        command.args(&spec.args);
        if spec.record.is_some() {
            // As the process beside a script does.
            sys::ignore_broken_pipes(command.as_std_mut());
        }
        match spawn(command, spec.directory.clone()).await {
            Ok(child) => {
                let pid = spec.record.as_ref().zip(child.id());
                let record = pid.and_then(|(what, pid)| Record::write(what, pid));
                return Ok(Started {
                    child,
                    last,
                    record,
                    beside: false,
                });
            }
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy && attempt < BUSY_ATTEMPTS =>
            {
                attempt += 1;
                sleep(Duration::from_millis(10)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Starts the command in `directory`, or in our own, on a helper thread. The call returns when the
/// program is loaded, which a disk that hangs delays for ever. The wait has no limit, because the
/// program may begin at any time; only the caller waits.
async fn spawn(mut command: Command, directory: Option<PathBuf>) -> io::Result<Child> {
    let work = move || {
        // What stood there before names the directory of whoever started us. A shell compares what is
        // told with where it is, and asks the disk for that; untold it asks the kernel alone.
        match directory {
            Some(directory) => command.env("PWD", &directory).current_dir(directory),
            None => command.env_remove("PWD"),
        };
        command.spawn()
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

fn command(spec: &ChildSpec, output: &Output, program: &Path) -> io::Result<Command> {
    let mut command = Command::new(program);
    let input = match &spec.told {
        Some(told) => input_of(&told.input)?,
        None => Stdio::null(),
    };
    command
        .process_group(0)
        .stdin(input)
        .stderr(output.stdio()?);
    command.stdout(if spec.capture {
        Stdio::piped()
    } else {
        output.stdio()?
    });
    for name in sd_notify::VARIABLES {
        command.env_remove(name);
    }
    for (name, value) in spec.environment.iter() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Ok(command)
}

/// A file in memory with this content, to be read from its begin.
fn input_of(content: &[u8]) -> io::Result<Stdio> {
    let file = memory_file(c"input", MFdFlags::MFD_CLOEXEC)?;
    file.write_all_at(content, 0)?;
    Ok(file.into())
}

/// The open end that children write to.
enum Output {
    Null,
    File(std::fs::File),
    Pump(io::PipeWriter),
}

impl Output {
    /// Falls back step by step: a missing log is no reason not to run a script. `last`: the end of
    /// the output is wanted.
    async fn open(target: &OutputTarget, last: bool) -> (Self, Option<LastWords>) {
        if target.file.is_none() && !last {
            return (Self::Null, None);
        }
        let path = target.file.clone().unwrap_or_default();
        if let Some(pump) = &target.pump {
            match start_pump(pump, &path, last).await {
                Ok((writer, last)) => return (Self::Pump(writer), last),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    warn!(program = %pump.display(), %error, "output program does not start");
                }
            }
        }
        if target.file.is_none() {
            return (Self::Null, None);
        }
        let open = move || {
            std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o644)
                // A pipe in the log's place must not block us.
                .custom_flags(nix::libc::O_NONBLOCK)
                .open(&path)
        };
        let output = match tokio::task::spawn_blocking(open).await {
            Ok(Ok(file)) => Self::File(file),
            Ok(Err(error)) => {
                debug!(%error, "script output has nowhere to go");
                Self::Null
            }
            Err(_) => Self::Null,
        };
        (output, None)
    }

    fn stdio(&self) -> io::Result<Stdio> {
        Ok(match self {
            Self::Null => Stdio::null(),
            Self::File(file) => file.try_clone()?.into(),
            Self::Pump(writer) => writer.try_clone()?.into(),
        })
    }
}

/// The end of a child's output, which our output program keeps in memory.
struct LastWords {
    memory: std::fs::File,
    /// Received when the output program has ended: then all output has been read.
    ended: oneshot::Receiver<()>,
}

impl LastWords {
    /// Reads it after the child has ended. A background process may hold the output open for ever.
    async fn read(self, hidden: &[String]) -> Option<String> {
        let _ = timeout(DRAIN_GRACE, self.ended).await;
        let mut end = vec![0; MAX_LAST_BYTES];
        let count = self.memory.read_at(&mut end, 0).ok()?;
        let end = end.get(..count)?;
        if hidden.is_empty() {
            return last_words(end);
        }
        last_words(without(end, hidden).as_bytes())
    }
}

/// Starts our output program; it ends when the last process that holds the pipe has ended.
async fn start_pump(
    program: &Path,
    file: &Path,
    last: bool,
) -> io::Result<(io::PipeWriter, Option<LastWords>)> {
    let (reader, writer) = io::pipe()?;
    let memory = if last {
        memory_file(c"last words", MFdFlags::MFD_CLOEXEC).ok()
    } else {
        None
    };
    let mut pump = Command::new(program);
    pump.arg(file)
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(reader)
        .stderr(Stdio::null());
    match &memory {
        Some(memory) => pump.arg("last").stdout(memory.try_clone()?),
        None => pump.stdout(Stdio::null()),
    };
    let mut pump = spawn(pump, None).await?;
    let (end, ended) = oneshot::channel();
    actix_rt::spawn(async move {
        if let Err(error) = pump.wait().await {
            warn!(%error, "output program cannot be waited for");
        }
        // After a success no task waits for it.
        let _ = end.send(());
    });
    Ok((writer, memory.map(|memory| LastWords { memory, ended })))
}

/// Waits for the end, and uses force after the limit. The second value says whether force was
/// needed, the third to which groups. `beside`: the child is the process beside the script.
async fn wait_within(child: &mut Child, beside: bool, spec: &ChildSpec) -> (Ended, bool, Vec<Pid>) {
    let asked = async {
        match &spec.told {
            Some(told) => called_off(&told.call_off).await,
            None => std::future::pending().await,
        }
    };
    let called_off = tokio::select! {
        end = timeout(spec.limit, child.wait()) => match end {
            Ok(end) => return (ended(end), false, Vec::new()),
            Err(_) => false,
        },
        () = asked => true,
    };
    let Some(group) = child.id().and_then(|pid| i32::try_from(pid).ok()) else {
        return (Ended::Stuck, true, Vec::new());
    };
    let group = Pid::from_raw(group);
    if called_off {
        debug!(program = %spec.program.display(), "it is not needed any more: terminating it");
    } else {
        warn!(
            program = %spec.program.display(),
            limit_s = spec.limit.as_secs(),
            "script runs too long: terminating it"
        );
    }
    // At once: all helper threads, of which the look needs one, may hang.
    signal(group, Signal::SIGTERM);
    let mut groups = vec![group];
    if beside {
        let others = groups_of_children(group).await;
        others.iter().for_each(|it| signal(*it, Signal::SIGTERM));
        groups.extend(others);
    }
    let all = |number| groups.iter().for_each(|group| signal(*group, number));
    let after_term = timeout(spec.kill_after, async {
        let end = child.wait().await;
        // The leader may have ended while a process that it started ignores the signal.
        join_all(groups.iter().map(|group| group_gone(*group))).await;
        end
    })
    .await;
    if let Ok(end) = after_term {
        return (ended(end), true, Vec::new());
    }
    warn!(program = %spec.program.display(), "script ignores SIGTERM: killing it");
    all(Signal::SIGKILL);
    let end = timeout(KILL_PATIENCE, child.wait()).await;
    if spec.alone {
        // A moment, but for what hangs in the kernel.
        let gone = join_all(groups.iter().map(|group| group_gone(*group)));
        let _ = timeout(spec.kill_after, gone).await;
    }
    (end.map_or(Ended::Stuck, ended), true, groups)
}

/// The other process groups of the children of this process. A script may have begun a session of its
/// own (`exec setsid ...`): a signal to the group of the process beside it does not reach it.
async fn groups_of_children(parent: Pid) -> Vec<Pid> {
    let look = move || {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let stats = entries.filter_map(|it| std::fs::read_to_string(it.path().join("stat")).ok());
        stats
            .filter_map(|stat| group_of_child(parent, &stat))
            .collect()
    };
    let found = timeout(LOOK_PATIENCE, tokio::task::spawn_blocking(look)).await;
    found.ok().and_then(Result::ok).unwrap_or_default()
}

/// The process group in the text of `/proc/PID/stat`, if that is a child of `parent` and the group
/// another one.
fn group_of_child(parent: Pid, stat: &str) -> Option<Pid> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest
        .split(' ')
        .skip(1)
        .map(|word| Some(Pid::from_raw(word.parse().ok()?)));
    let (of, group) = (words.next()??, words.next()??);
    (of == parent && group != parent && group.as_raw() > 1).then_some(group)
}

/// Those of the groups in which a process lives. One that has ended and that nobody has reaped does not. Where the
/// processes cannot be looked at, none is known to live.
async fn alive_in(groups: Vec<Pid>) -> Vec<Pid> {
    let look = move || {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let stats = entries.filter_map(|it| std::fs::read_to_string(it.path().join("stat")).ok());
        let alive: Vec<Pid> = stats.filter_map(|stat| group_of_living(&stat)).collect();
        groups
            .into_iter()
            .filter(|group| alive.contains(group))
            .collect()
    };
    let found = timeout(LOOK_PATIENCE, tokio::task::spawn_blocking(look)).await;
    found.ok().and_then(Result::ok).unwrap_or_default()
}

/// The process group in the text of `/proc/PID/stat`, if the process has not ended.
fn group_of_living(stat: &str) -> Option<Pid> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    let state = words.next()?;
    let group = words.nth(1)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(Pid::from_raw(group))
}

/// The process beside the script was killed, and may have left the script running: a stop here, or
/// a start on the other node, would run beside it.
async fn end_script_without_shim(pid: u32, spec: &ChildSpec) {
    let Some(group) = group_left_by(pid) else {
        return;
    };
    error!(
        program = %spec.program.display(),
        "the process beside a script was killed: ending the script"
    );
    end_group(group, spec.kill_after).await;
}

/// The process group that this leader, which has ended, left behind.
fn group_left_by(pid: u32) -> Option<Pid> {
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 1)?;
    let group = Pid::from_raw(pid);
    (killpg(group, None) != Err(Errno::ESRCH)).then_some(group)
}

/// Waits until the group has no process any more.
async fn group_gone(group: Pid) {
    while killpg(group, None) != Err(Errno::ESRCH) {
        sleep(GROUP_POLL).await;
    }
}

/// Sends TERM, and after `kill_after` KILL.
async fn end_group(group: Pid, kill_after: Duration) {
    signal(group, Signal::SIGTERM);
    if timeout(kill_after, group_gone(group)).await.is_err() {
        signal(group, Signal::SIGKILL);
        let _ = timeout(KILL_PATIENCE, group_gone(group)).await;
    }
}

fn signal(group: Pid, signal: Signal) {
    match killpg(group, signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => error!(%error, %signal, %group, "cannot signal a process group"),
    }
}

fn ended(end: io::Result<ExitStatus>) -> Ended {
    match end {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Ended::Exited(code),
            (None, Some(signal)) => Ended::Signaled(signal),
            (None, None) => Ended::Stuck,
        },
        Err(error) => Ended::NotStarted {
            code: 127,
            reason: error.to_string(),
            no_program: false,
        },
    }
}

#[cfg(test)]
mod tests;
