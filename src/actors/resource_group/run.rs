//! Carries out one order for one group: its scripts and addresses, one after another.
//! Spec: resources, sections 2, 9.2 to 9.4.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::actors::child::{self, ChildSpec, Ended, ExitReport, OutputTarget, record};
use crate::config::Config;
use crate::config::group_lines::{self, GroupLine};
use crate::config::settings::{NativeAddresses, StrayAddresses};
use crate::net::address_script;
use crate::net::service_address::Claim;
use crate::notice::Severity;
use crate::paths::Paths;
use crate::protocol::event::GroupOutcome;
use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::resources::address::{
    AddressResource, AddressWordError, Handling, handling, parse_word,
};
use crate::resources::script::{Environment, Operation, ScriptCall, StopRetries, says_running};

/// Pause before a failed stop is repeated. Spec: resources, section 9.4.
const STOP_PAUSE: Duration = Duration::from_secs(1);

/// A stop that had to be ended so often is not repeated: the time limit is long, nobody serves
/// meanwhile, and a third attempt shows nothing new.
const HANGING_STOPS: u32 = 2;

/// Exit code of the start of a script that does not exist.
const CODE_MISSING: i32 = 127;

/// The log tag of everything that `ResourceManager` logs in legacy.
const TAG: &str = "ResourceManager(default)";

/// What [`AddressHandler`] gives back. Runs on the thread of the group actors alone.
pub type AddressFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + 'a>>;

/// The outcome of several starts, with the place of the one that failed.
pub type StartAllFuture<'a> = Pin<Box<dyn Future<Output = Result<(), (usize, String)>> + 'a>>;

/// Addresses of a group that are started after one look at what is there: what others change
/// meanwhile is seen by the next ones.
const TOGETHER: usize = 32;

/// Handles service addresses in the process. Every call is idempotent and bounded in time.
pub trait AddressHandler: Send + Sync {
    /// Adds and announces the address.
    fn start<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, ()>;
    /// Starts those that do not run, in their order, and tells `each` of every one before. An error
    /// comes with the place of the one that failed.
    fn start_all<'a>(
        &'a self,
        addresses: &'a [AddressResource],
        each: &'a dyn Fn(usize),
    ) -> StartAllFuture<'a> {
        Box::pin(async move {
            for (place, address) in addresses.iter().enumerate() {
                if !self.status(address).await.unwrap_or(false) {
                    each(place);
                    let done = self.start(address).await;
                    done.map_err(|error| (place, error))?;
                }
            }
            Ok(())
        })
    }
    /// Removes the address.
    fn stop<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, ()>;
    /// Whether the address is there.
    fn status<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, bool>;
    /// Who else on the network has which of the addresses. May take a second.
    fn claims<'a>(&'a self, addresses: &'a [AddressResource]) -> AddressFuture<'a, Vec<Claim>>;
    /// Which of the addresses are here, on whatever interface.
    fn present<'a>(&'a self, addresses: &'a [AddressResource]) -> AddressFuture<'a, Vec<IpAddr>>;
    /// Removes an address that is not to be there; whether it was.
    fn remove_stray<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, bool>;
    /// Announces an address that is there, and goes on with it slowly.
    fn announce_again<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, ()>;
}

/// What all groups of a node share.
pub struct GroupContext {
    /// Where scripts and haresources are.
    pub paths: Paths,
    /// Of every resource script.
    pub environment: Arc<Environment>,
    /// Where the output of scripts goes.
    pub output: OutputTarget,
    /// Longest run of one script.
    pub limit: Duration,
    /// From TERM to KILL.
    pub kill_after: Duration,
    /// Who handles addresses.
    pub native_addresses: NativeAddresses,
    /// Handles them in the process.
    pub addresses: Arc<dyn AddressHandler>,
    /// What becomes of addresses that are not to be here.
    pub stray_addresses: StrayAddresses,
}

impl GroupContext {
    /// What the configuration says. `debug` is the present debug level. Looks at the disk.
    #[must_use]
    pub fn of(
        config: &Config,
        paths: &Paths,
        debug: u8,
        addresses: Arc<dyn AddressHandler>,
    ) -> Self {
        let helpers = paths.helper_dir.is_dir();
        let own_path = std::env::var("PATH").unwrap_or_default();
        let environment = Environment::of_daemon(config, paths, debug, helpers)
            .for_scripts(config)
            .for_resources(paths, &own_path);
        Self {
            paths: paths.clone(),
            environment: Arc::new(environment),
            output: OutputTarget::of(config, paths),
            limit: config.settings.script_time_limit,
            kill_after: config.settings.script_kill_after,
            native_addresses: config.settings.native_addresses,
            addresses,
            stray_addresses: config.settings.stray_addresses,
        }
    }

    /// How often a failing stop is repeated: the variable may come from `env` in ha.cf or from our
    /// own environment.
    fn stop_retries(&self) -> StopRetries {
        const NAME: &str = "HA_STOPRETRYMAX";
        let inherited = std::env::var(NAME).ok();
        StopRetries::from_variable(self.environment.get(NAME).or(inherited.as_deref()))
    }
}

/// Who carries out one resource word.
enum Worker {
    Script { path: PathBuf, call: ScriptCall },
    Native(AddressResource),
    Missing { name: String },
    BadAddress(AddressWordError),
}

impl Worker {
    fn missing(word: &str) -> Self {
        let name = ScriptCall::parse(word).name;
        Self::Missing { name }
    }
}

/// A resource that still runs after all attempts to stop it.
struct StillRuns(String);

/// One group at work.
pub(crate) struct GroupRun {
    pub(crate) context: Arc<GroupContext>,
    pub(crate) group: ResourceGroup,
    /// Held by every script of this group while it runs: two never overlap, not even across a
    /// restart of the actor.
    pub(crate) turn: Arc<Mutex<()>>,
}

impl GroupRun {
    /// Takes over what the file says now. An unknown key keeps the words that were loaded.
    pub(super) async fn refresh(&mut self) {
        let path = self.context.paths.haresources();
        let key = self.group.key.clone();
        let read = tokio::task::spawn_blocking(move || read_group(&path, &key)).await;
        match read {
            Ok(Ok(Some(line))) => self.group.resources = line.resources,
            Ok(Ok(None)) => {
                log(
                    Severity::Warn,
                    &format!(
                        "Group {} is not in {} any more: using the line that was loaded",
                        self.group.key,
                        self.context.paths.haresources().display()
                    ),
                );
            }
            Ok(Err(error)) => {
                log(
                    Severity::Warn,
                    &format!(
                        "Cannot read {}: {error}: using the line that was loaded",
                        self.context.paths.haresources().display()
                    ),
                );
            }
            Err(_) => {}
        }
    }

    /// Starts what does not run, left to right; the first failure stops the whole group.
    ///
    /// `report` gets the outcome. It comes before the end when a resource cannot be stopped: the
    /// rest is stopped after it.
    pub(crate) async fn start(&self, report: impl FnOnce(GroupOutcome)) {
        self.after_earlier_scripts().await;
        log(
            Severity::Info,
            &format!("Acquiring resource group: {}", self.shown()),
        );
        let words: Vec<&str> = self.group.resources.iter().map(String::as_str).collect();
        let mut ahead = VecDeque::new();
        let mut left = words.as_slice();
        while let Some(word) = left.first() {
            let worker = self.next_worker(left, &mut ahead).await;
            let (done, code) = match worker {
                Worker::Native(first) => {
                    let more = std::iter::from_fn(|| native(&mut ahead)).take(TOGETHER - 1);
                    let addresses: Vec<_> = std::iter::once(first).chain(more).collect();
                    self.start_addresses(left, &addresses).await
                }
                worker if self.runs(word, &worker).await => (1, 0),
                worker => match self.call(word, &worker, Operation::Start).await {
                    0 => (1, 0),
                    code => (0, code),
                },
            };
            left = left.get(done..).unwrap_or_default();
            let Some(word) = left.first().filter(|_| code != 0) else {
                continue;
            };
            log(
                Severity::Crit,
                &format!("Giving up resources due to failure of {word}"),
            );
            let failed = GroupOutcome::StartFailed {
                resource: (*word).to_owned(),
                code,
            };
            return self.release(failed, report).await;
        }
        report(GroupOutcome::Started);
    }

    /// Starts neighbouring addresses that stand at the beginning of `words`. How many are up, and
    /// the code of the one that is not.
    async fn start_addresses(&self, words: &[&str], addresses: &[AddressResource]) -> (usize, i32) {
        let word = |place: usize| words.get(place).copied().unwrap_or_default();
        let each = |place| {
            if let Some(address) = addresses.get(place) {
                log_native(word(place), address, Operation::Start);
            }
        };
        let started = self.context.addresses.start_all(addresses, &each).await;
        let Err((place, error)) = started else {
            return (addresses.len(), 0);
        };
        let script = addresses.get(place).map_or("", |it| it.style.script());
        log(Severity::Error, &error);
        log(Severity::Error, &format!("Return code 1 from {script}"));
        (place, 1)
    }

    /// Stops everything, right to left. `report` as for [`start`](Self::start).
    pub(crate) async fn stop(&self, report: impl FnOnce(GroupOutcome)) {
        self.after_earlier_scripts().await;
        self.release(GroupOutcome::Stopped, report).await;
    }

    async fn release(&self, outcome: GroupOutcome, report: impl FnOnce(GroupOutcome)) {
        log(
            Severity::Info,
            &format!("Releasing resource group: {}", self.shown()),
        );
        let mut report = Some(report);
        let words = self.group.resources.iter().rev().map(String::as_str);
        let words: Vec<&str> = words.collect();
        let mut ahead = VecDeque::new();
        for (place, word) in words.iter().enumerate() {
            let worker = self.next_worker(&words[place..], &mut ahead).await;
            if let Err(StillRuns(resource)) = self.stop_one(word, worker).await {
                log(Severity::Crit, "Resource STOP failure. Reboot required!");
                log(Severity::Crit, "Killing heartbeat ungracefully!");
                if let Some(report) = report.take() {
                    report(GroupOutcome::StopFailed { resource });
                }
            }
        }
        if let Some(report) = report {
            report(outcome);
        }
    }

    /// Takes the group's addresses away, whoever put them there; nothing else is stopped.
    pub(crate) async fn withdraw_addresses(&self) {
        for address in self.addresses() {
            match self.context.addresses.stop(&address).await {
                Ok(()) => log(
                    Severity::Info,
                    &format!("Address {} withdrawn", address.address),
                ),
                Err(error) => log(Severity::Error, &error),
            }
        }
    }

    /// Puts the group's addresses back.
    pub(crate) async fn restore_addresses(&self) {
        for address in self.addresses() {
            match self.context.addresses.start(&address).await {
                Ok(()) => log(
                    Severity::Info,
                    &format!("Address {} restored", address.address),
                ),
                Err(error) => log(Severity::Error, &error),
            }
        }
    }

    /// Whether one resource word runs; its script is asked for `status` and nothing else.
    pub(crate) async fn is_running(&self, word: &str) -> bool {
        let worker = self.worker(word).await;
        if matches!(worker, Worker::Missing { .. } | Worker::BadAddress(_)) {
            self.call(word, &worker, Operation::Status).await;
        }
        self.runs(word, &worker).await
    }

    /// Where it stands which script of this group runs.
    fn record(&self) -> PathBuf {
        record::place(&self.context.paths.scripts(), &self.group.key.to_string())
    }

    /// Waits until no script of an earlier, killed daemon runs for this group: start and stop never
    /// overlap.
    async fn after_earlier_scripts(&self) {
        let (limit, kill_after) = (self.context.limit, self.context.kill_after);
        record::wait_for_earlier(&self.record(), limit, kill_after).await;
    }

    /// The addresses of this group, whoever places them.
    pub(super) fn addresses(&self) -> Vec<AddressResource> {
        let words = self.group.resources.iter();
        words.filter_map(|word| parse_word(word).ok()?).collect()
    }

    /// The address of a word that is handled in the process.
    pub(super) async fn native_address(&self, word: &str) -> Option<AddressResource> {
        match self.worker(word).await {
            Worker::Native(address) => Some(address),
            Worker::Script { .. } | Worker::Missing { .. } | Worker::BadAddress(_) => None,
        }
    }

    async fn stop_one(&self, word: &str, mut worker: Worker) -> Result<(), StillRuns> {
        let retries = self.context.stop_retries();
        let mut repeated = 0;
        let mut hung = 0;
        loop {
            let (code, overdue) = self.attempt(word, &worker, Operation::Stop).await;
            if code == 0 {
                return Ok(());
            }
            hung += u32::from(overdue);
            if matches!(worker, Worker::Missing { .. } | Worker::BadAddress(_)) {
                // Nothing that could run, and nothing that another attempt could change.
                return Ok(());
            }
            if !retries.allow(repeated)
                || (hung >= HANGING_STOPS && retries != StopRetries::Forever)
            {
                return self.after_failed_stop(word, &worker).await;
            }
            repeated += 1;
            sleep(STOP_PAUSE).await;
            log(
                Severity::Info,
                &format!("Retrying failed stop operation [{word}]"),
            );
            worker = self.worker(word).await;
        }
    }

    async fn after_failed_stop(&self, word: &str, worker: &Worker) -> Result<(), StillRuns> {
        if self.status(word, worker).await.unwrap_or(true) {
            return Err(StillRuns(word.to_owned()));
        }
        log(
            Severity::Error,
            &format!("Resource script for {word} probably not LSB-compliant."),
        );
        log(
            Severity::Warn,
            &format!("it ({word}) MUST succeed on a stop when already stopped"),
        );
        log(Severity::Warn, "Machine reboot narrowly avoided!");
        Ok(())
    }

    /// Whether the resource runs. What cannot be told does not, which is right before a start.
    async fn runs(&self, word: &str, worker: &Worker) -> bool {
        self.status(word, worker).await.unwrap_or(false)
    }

    /// Whether the resource runs, as its script or the kernel says; `None` when the kernel says
    /// nothing. After a failed stop that must not pass for stopped: the other node would start it.
    async fn status(&self, word: &str, worker: &Worker) -> Option<bool> {
        match worker {
            Worker::Script { path, call } => {
                let report = self.execute(path, call, Operation::Status).await;
                complain(path, &report);
                Some(says_running(&report.stdout))
            }
            Worker::Native(address) => match self.context.addresses.status(address).await {
                Ok(runs) => Some(runs),
                Err(error) => {
                    log(
                        Severity::Error,
                        &format!("Status of {word} unknown: {error}"),
                    );
                    None
                }
            },
            Worker::Missing { .. } | Worker::BadAddress(_) => Some(false),
        }
    }

    /// Starts or stops one resource, with its log lines. The exit code, or what stands for it.
    async fn call(&self, word: &str, worker: &Worker, operation: Operation) -> i32 {
        self.attempt(word, worker, operation).await.0
    }

    /// The same, and whether the script had to be ended because it hung.
    async fn attempt(&self, word: &str, worker: &Worker, operation: Operation) -> (i32, bool) {
        let code = match worker {
            Worker::Script { path, call } => {
                let words = call.argv(operation).join(" ");
                log(
                    Severity::Info,
                    &format!("Running {} {words}", path.display()),
                );
                let report = self.execute(path, call, operation).await;
                complain(path, &report);
                let code = report.code();
                if code != 0 {
                    log(
                        Severity::Error,
                        &format!("Return code {code} from {}", path.display()),
                    );
                }
                return (code, report.overdue);
            }
            Worker::Native(address) => {
                let name = address.style.script();
                log_native(word, address, operation);
                let done = match operation {
                    Operation::Start => self.context.addresses.start(address).await,
                    Operation::Stop => self.context.addresses.stop(address).await,
                    Operation::Status => Ok(()),
                };
                let Err(error) = done else { return (0, false) };
                log(Severity::Error, &error);
                log(Severity::Error, &format!("Return code 1 from {name}"));
                1
            }
            Worker::Missing { name } => {
                log(
                    Severity::Error,
                    &format!("Cannot locate resource script {name}"),
                );
                CODE_MISSING
            }
            Worker::BadAddress(error) => {
                log(Severity::Error, &error.to_string());
                1
            }
        };
        (code, false)
    }

    async fn execute(&self, path: &Path, call: &ScriptCall, operation: Operation) -> ExitReport {
        let spec = ChildSpec {
            program: path.to_owned(),
            args: call.argv(operation),
            environment: Arc::clone(&self.context.environment),
            directory: self.context.paths.core_dir(),
            capture: operation == Operation::Status,
            output: self.context.output.clone(),
            limit: self.context.limit,
            kill_after: self.context.kill_after,
            record: (operation != Operation::Status).then(|| self.record()),
        };
        let turn = Arc::clone(&self.turn).lock_owned().await;
        child::run(spec, Some(turn)).await
    }

    /// Decides who carries out a word. Files are looked at anew every time.
    async fn worker(&self, word: &str) -> Worker {
        let alone = self.workers(&[word]).await.pop_front();
        alone.unwrap_or_else(|| Worker::missing(word))
    }

    /// Who carries out the first of `words`. What was found for those that follow is kept in
    /// `ahead` for as long as addresses are handled in the process: a script may change the files.
    async fn next_worker(&self, words: &[&str], ahead: &mut VecDeque<Worker>) -> Worker {
        if ahead.is_empty() {
            let address = |word: &&&str| parse_word(word).is_ok_and(|parsed| parsed.is_some());
            let addresses = words.iter().take_while(address).count();
            let together = words.get(..addresses.max(1)).unwrap_or(words);
            *ahead = self.workers(together).await;
        }
        let worker = ahead.pop_front();
        if !matches!(worker, Some(Worker::Native(_))) {
            ahead.clear();
        }
        worker.unwrap_or_else(|| Worker::missing(words.first().unwrap_or(&"")))
    }

    /// One worker for each of `words`, found in one go on a thread that may block: going there and
    /// back costs more than looking.
    async fn workers(&self, words: &[&str]) -> VecDeque<Worker> {
        let calls: Vec<_> = words
            .iter()
            .map(|word| (ScriptCall::parse(word), parse_word(word).transpose()))
            .collect();
        let (paths, native_addresses) = (self.context.paths.clone(), self.context.native_addresses);
        let looked = tokio::task::spawn_blocking(move || {
            let directories = [paths.resource_d(), paths.init_dir];
            let directories = directories.each_ref().map(PathBuf::as_path);
            // Most words of a long group name the same script.
            let mut seen: HashMap<(String, bool), _> = HashMap::new();
            let one = |(call, address): (ScriptCall, Option<_>)| {
                let is_address = address.is_some();
                let known = seen.entry((call.name.clone(), is_address));
                let (path, kind) = known.or_insert_with(|| {
                    let path = call.locate(&directories, child::is_program);
                    let kind =
                        is_address.then(|| address_script::examine(&call.name, path.as_deref()));
                    (path, kind)
                });
                let native = kind
                    .as_ref()
                    .is_some_and(|kind| handling(native_addresses, *kind) == Handling::Native);
                match (path, address) {
                    (_, Some(Ok(address))) if native => Worker::Native(address),
                    (_, Some(Err(error))) if native => Worker::BadAddress(error),
                    (Some(path), _) => Worker::Script {
                        path: path.clone(),
                        call,
                    },
                    (None, _) => Worker::Missing { name: call.name },
                }
            };
            calls.into_iter().map(one).collect()
        });
        match looked.await {
            Ok(workers) => workers,
            Err(_) => words.iter().map(|word| Worker::missing(word)).collect(),
        }
    }

    fn shown(&self) -> String {
        format!("{} {}", self.group.owner, self.group.resources.join(" "))
    }
}

/// The next of `ahead`, if it is an address handled in the process.
fn native(ahead: &mut VecDeque<Worker>) -> Option<AddressResource> {
    match ahead.pop_front()? {
        Worker::Native(address) => Some(address),
        other => {
            ahead.push_front(other);
            None
        }
    }
}

fn log_native(word: &str, address: &AddressResource, operation: Operation) {
    let name = address.style.script();
    let arguments = word.split_once("::").map_or(word, |(_, rest)| rest);
    log(
        Severity::Info,
        &format!("Running {name} {arguments} {} (built in)", operation.word()),
    );
}

fn read_group(path: &Path, key: &GroupKey) -> std::io::Result<Option<GroupLine>> {
    let too_long = std::fs::metadata(path)?.len() > group_lines::MAX_FILE_BYTES;
    if too_long {
        return Err(std::io::Error::other("the file is too long"));
    }
    let text = String::from_utf8_lossy(&std::fs::read(path)?).into_owned();
    Ok(group_lines::find(&group_lines::read(&text), key).cloned())
}

/// Logs what the exit code alone does not tell.
fn complain(path: &Path, report: &ExitReport) {
    let path = path.display();
    match &report.ended {
        Ended::NotStarted { reason, .. } => {
            log(Severity::Error, &format!("Cannot run {path}: {reason}"));
        }
        Ended::Stuck => log(Severity::Error, &format!("{path} does not end when killed")),
        Ended::Exited(_) | Ended::Signaled(_) if report.overdue => {
            log(
                Severity::Error,
                &format!("{path} ran too long and was ended"),
            );
        }
        Ended::Signaled(signal) => {
            log(
                Severity::Error,
                &format!("{path} killed by signal {signal}"),
            );
        }
        Ended::Exited(_) => {}
    }
}

/// One line in the form and under the name that suites look for. Spec: tools, section 6.4.
pub(super) fn log(severity: Severity, text: &str) {
    let word = severity.word();
    match severity {
        Severity::Debug => tracing::debug!(tag = TAG, ha_level = word, "{text}"),
        Severity::Info | Severity::Notice => {
            tracing::info!(tag = TAG, ha_level = word, "{text}");
        }
        Severity::Warn => tracing::warn!(tag = TAG, ha_level = word, "{text}"),
        Severity::Error | Severity::Crit | Severity::Emerg => {
            tracing::error!(tag = TAG, ha_level = word, "{text}");
        }
    }
}
