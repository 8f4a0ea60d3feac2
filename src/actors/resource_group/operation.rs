//! Carries out one operation on one resource: its script or the address, with the log lines of the
//! legacy `ResourceManager`. Spec: docs/protocol/resources.md, 2 and 9.4.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::bare::Bare;
use super::check::ChecksOfGroup;
use super::context::GroupContext;
use super::log::log;
use super::worker::Worker;
use crate::agents::child::record::{self, Earlier, Recorded};
use crate::agents::child::{self, CODE_DEADLINE, ChildSpec, Ended, ExitReport};
use crate::agents::script::{Operation, ScriptCall, StopRetries, last_words, says_running};
use crate::net::address::{AddressResource, parse_word};
use crate::notice::Severity;
use crate::protocol::group::ResourceGroup;

/// Pause before a failed stop is repeated. Spec: docs/protocol/resources.md, 9.4.
const STOP_PAUSE: Duration = Duration::from_secs(1);

/// A stop that had to be ended by force so often is not repeated: the time limit is long, no node
/// serves meanwhile, and a third attempt shows nothing new.
const HANGING_STOPS: u32 = 2;

/// Exit code of the start of a script that does not exist.
const CODE_MISSING: i32 = 127;

/// A resource that still runs after all attempts to stop it.
pub(super) struct StillRuns(pub(super) String);

/// The result of one call of a script, or of what replaces one.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// Exit code.
    pub(super) code: i32,
    /// It was ended because it hung.
    overdue: bool,
    /// The end of its output if it failed.
    pub(super) said: Option<String>,
}

impl Attempt {
    /// The result of a script that an earlier daemon has left running.
    pub(super) fn ended_with(code: i32) -> Self {
        Self {
            code,
            ..Self::default()
        }
    }

    /// The result of a script whose program could not be loaded in time.
    const fn hung() -> Self {
        Self {
            code: CODE_DEADLINE,
            overdue: true,
            said: None,
        }
    }

    /// The result of an address that is handled in this process.
    pub(super) fn failed_with(error: &str) -> Self {
        Self {
            code: 1,
            overdue: false,
            said: last_words(error.as_bytes()),
        }
    }
}

/// The work of one group.
#[derive(Clone)]
pub(crate) struct GroupRun {
    pub(crate) context: Arc<GroupContext>,
    pub(crate) group: ResourceGroup,
    /// Held by every script of this group while it runs: two never overlap, not even across a
    /// restart of the actor.
    pub(crate) turn: Arc<Mutex<()>>,
    /// The same for its checks.
    pub(crate) checks: ChecksOfGroup,
    /// Whether addresses must stay away.
    pub(crate) bare: Bare,
}

impl GroupRun {
    /// Whether one resource word runs; its script is only called with `status`.
    pub(crate) async fn is_running(&self, word: &str) -> bool {
        let worker = self.context.worker(word).await;
        if matches!(worker, Worker::Missing { .. } | Worker::BadAddress(_)) {
            self.attempt(word, &worker, Operation::Status).await;
        }
        self.runs(word, &worker).await
    }

    /// Stops one resource. `said` keeps the end of the output of a failure.
    pub(super) async fn stop_one(
        &self,
        word: &str,
        mut worker: Worker,
        said: &mut Option<String>,
    ) -> Result<(), StillRuns> {
        let retries = self.context.stop_retries();
        let mut repeated: u32 = 0;
        let mut hung = 0;
        loop {
            let attempt = self
                .in_time(word, self.attempt(word, &worker, Operation::Stop))
                .await
                .unwrap_or_else(Attempt::hung);
            if attempt.code == 0 {
                return Ok(());
            }
            hung += u32::from(attempt.overdue);
            if let Some(words) = attempt.said {
                *said = Some(format!("{word} said: {words}"));
            }
            if matches!(worker, Worker::Missing { .. } | Worker::BadAddress(_)) {
                // There is nothing that could run, and nothing that another attempt could change.
                return Ok(());
            }
            let remark = retries.remark(repeated.saturating_add(1), hung, HANGING_STOPS);
            log(Severity::Warn, &format!("stop of {word} failed: {remark}"));
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
            worker = self.context.worker(word).await;
        }
    }

    /// The result of a call within the longest time that a script may take, including a forced end.
    /// `None`: its program is not even loaded, because a disk hangs. It may begin at any time, and
    /// keeps its turn.
    async fn in_time<T>(&self, word: &str, call: impl Future<Output = T>) -> Option<T> {
        let done = timeout(self.context.hangs_after(), call).await;
        if done.is_err() {
            let text = format!("the script for {word} cannot be begun: its disk hangs");
            log(Severity::Error, &text);
        }
        done.ok()
    }

    async fn after_failed_stop(&self, word: &str, worker: &Worker) -> Result<(), StillRuns> {
        let status = self.in_time(word, self.status(word, worker)).await;
        if status.flatten().unwrap_or(true) {
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

    /// Whether the resource runs. An unknown state counts as not running, which is right before a
    /// start.
    pub(super) async fn runs(&self, word: &str, worker: &Worker) -> bool {
        self.status(word, worker).await.unwrap_or(false)
    }

    /// Whether the resource runs, by its script or the kernel. `None` if the kernel does not tell,
    /// or if the script hangs, dies or cannot be run at present. After a failed stop that must not
    /// count as stopped: the other node would start it.
    async fn status(&self, word: &str, worker: &Worker) -> Option<bool> {
        match worker {
            Worker::Script { path, call } => {
                let report = self.execute(word, path, call, Operation::Status).await;
                complain(path, &report);
                let answered = match report.ended {
                    Ended::Exited(_) => !report.overdue,
                    Ended::NotStarted { no_program, .. } => no_program,
                    Ended::Signaled(_) | Ended::Stuck => false,
                };
                let runs = says_running(&report.stdout);
                if !runs && !answered {
                    log(Severity::Error, &format!("Status of {word} unknown"));
                }
                (runs || answered).then_some(runs)
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

    /// Starts or stops one resource, with its log lines. Returns the exit code, or the code that
    /// replaces it.
    pub(super) async fn attempt(
        &self,
        word: &str,
        worker: &Worker,
        operation: Operation,
    ) -> Attempt {
        let code = match worker {
            Worker::Script { path, call } => {
                if let Some(code) = self.before_script(word, operation).await {
                    return Attempt {
                        code,
                        ..Attempt::default()
                    };
                }
                let words = call.argv(operation).join(" ");
                log(
                    Severity::Info,
                    &format!("Running {} {words}", path.display()),
                );
                let report = self.execute(word, path, call, operation).await;
                complain(path, &report);
                let code = report.code();
                if code != 0 {
                    log(
                        Severity::Error,
                        &format!("Return code {code} from {}", path.display()),
                    );
                    if let Some(said) = &report.said {
                        log(Severity::Error, &format!("{} said: {said}", path.display()));
                    }
                } else if operation == Operation::Stop
                    && let Ok(Some(address)) = parse_word(word)
                {
                    self.context.addresses.gone(&address);
                }
                return Attempt {
                    code,
                    overdue: report.overdue,
                    said: report.said,
                };
            }
            Worker::Native(address) => {
                let name = address.style.script();
                log_native(word, address, operation);
                let done = match operation {
                    Operation::Start => self.context.addresses.start(address).await,
                    Operation::Stop => self.context.addresses.stop(address).await,
                    Operation::Status => Ok(()),
                };
                let Err(error) = done else {
                    return Attempt::default();
                };
                log(Severity::Error, &error);
                log(Severity::Error, &format!("Return code 1 from {name}"));
                return Attempt::failed_with(&error);
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
        Attempt {
            code,
            ..Attempt::default()
        }
    }

    /// Called before a script changes an address: checks whether it may. If not, returns the code
    /// that replaces the script's.
    async fn before_script(&self, word: &str, operation: Operation) -> Option<i32> {
        let Ok(Some(address)) = parse_word(word) else {
            return None;
        };
        let (allowed, code) = match operation {
            Operation::Start => (self.context.addresses.admit(&address).await, 1),
            Operation::Stop => (self.context.addresses.may_stop(&address).await, 0),
            Operation::Status => (Ok(()), 0),
        };
        let text = allowed.err()?;
        log(Severity::Error, &format!("{text}: it stays"));
        Some(code)
    }

    async fn execute(
        &self,
        word: &str,
        path: &Path,
        call: &ScriptCall,
        operation: Operation,
    ) -> ExitReport {
        let spec = ChildSpec {
            program: path.to_owned(),
            args: call.argv(operation),
            environment: Arc::clone(&self.context.environment),
            directory: self.context.directory.clone(),
            capture: operation == Operation::Status,
            output: self.context.output.clone(),
            limit: self.context.limit,
            kill_after: self.context.kill_after,
            record: (operation != Operation::Status).then(|| Recorded {
                place: self.record(),
                operation: operation.word().to_owned(),
                word: word.to_owned(),
                shim: self.context.shim.clone(),
            }),
            last_words: operation != Operation::Status,
            told: None,
            alone: false,
        };
        let turn = Arc::clone(&self.turn).lock_owned().await;
        child::run(spec, turn).await
    }

    /// The file that records which script of this group runs.
    fn record(&self) -> PathBuf {
        record::place(&self.context.paths.scripts(), &self.group.key.to_string())
    }

    /// Waits until no script of an earlier, killed daemon runs for this group: start and stop never
    /// overlap. Returns the result of that script, if it was recorded and this process goes on with
    /// its order.
    pub(super) async fn after_earlier_scripts(&self) -> Option<Earlier> {
        self.end_earlier_check().await;
        let (limit, kill_after) = (self.context.limit, self.context.kill_after);
        let earlier = record::wait_for_earlier(&self.record(), limit, kill_after).await;
        earlier.filter(|_| self.context.unfinished.contains(&self.group.key))
    }
}

pub(super) fn log_native(word: &str, address: &AddressResource, operation: Operation) {
    let name = address.style.script();
    let arguments = word.split_once("::").map_or(word, |(_, rest)| rest);
    log(
        Severity::Info,
        &format!("Running {name} {arguments} {} (built in)", operation.word()),
    );
}

/// Logs what the exit code alone does not show.
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
