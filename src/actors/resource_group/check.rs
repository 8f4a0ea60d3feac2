//! One check of a monitored resource. It starts and stops nothing, and ends when an order comes, with whatever it
//! has started. A daemon that is killed leaves it running: its successor ends it, as the first order does.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{
    AcquireError, Mutex as AsyncMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore,
};
use tokio::time::timeout;

use super::operation::GroupRun;
use super::worker::Worker;
use crate::agents::child::record::{self, Recorded};
use crate::agents::child::{self, CallOff, ChildSpec, Ended, ExitReport, OutputTarget, Told};
use crate::agents::script::{Operation, says_running};
use crate::config::monitors::Check;
use crate::net::service;
use crate::policy::monitor::Answer;

/// Most bytes of a check's output that are looked at: the last ones.
const MAX_OUTPUT_BYTES: usize = 400;

/// From TERM to KILL of a check that hangs, or that an order ends.
const KILL_AFTER: Duration = Duration::from_millis(200);

/// Most programs that check something at once on this node.
pub(super) const AT_ONCE: usize = 8;

/// How long a check waits for its turn before it is not known what it would say: only checks that hang in the kernel
/// keep theirs so long.
const TURN_PATIENCE: Duration = Duration::from_secs(300);

/// Begin of the names of their records.
const RECORD: &str = "check ";

/// The script that judges a unit of systemd.
const SYSTEMD: &str = "systemd";

/// Both streams of a program are wanted.
const BOTH: &str = "exec \"$0\" \"$@\" 2>&1";

/// The turns of all checks of a node: [`AT_ONCE`] programs run at once, the others wait in the order in which they
/// came. A group has one of them at most, so that no group keeps the others waiting.
#[derive(Debug, Clone)]
pub struct CheckTurns(Arc<Semaphore>);

impl Default for CheckTurns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// The checks of one group: one runs at a time.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChecksOfGroup {
    one: Arc<AsyncMutex<()>>,
    /// Of what the last one was.
    word: Arc<Mutex<String>>,
}

impl ChecksOfGroup {
    async fn lock(&self, word: &str) -> OwnedMutexGuard<()> {
        let turn = Arc::clone(&self.one).lock_owned().await;
        self.is_of(word);
        turn
    }

    pub(super) fn try_lock(&self, word: &str) -> Option<OwnedMutexGuard<()>> {
        let turn = Arc::clone(&self.one).try_lock_owned().ok()?;
        self.is_of(word);
        Some(turn)
    }

    fn is_of(&self, word: &str) {
        word.clone_into(&mut self.word.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn last(&self) -> String {
        let word = self.word.lock().unwrap_or_else(PoisonError::into_inner);
        word.clone()
    }
}

/// Held until a check has ended, also by one that nobody waits for any more.
struct Turn {
    _group: OwnedMutexGuard<()>,
    _node: Result<OwnedSemaphorePermit, AcquireError>,
}

/// Ends the checks of an earlier daemon, also of groups that haresources no longer names. `records`: the directory of
/// what runs.
pub async fn end_earlier_checks(records: &Path) {
    let ended = record::of_kind(records, RECORD)
        .into_iter()
        .map(|place| async move {
            record::wait_for_earlier(&place, Duration::ZERO, KILL_AFTER).await;
        });
    join_all(ended).await;
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Checked {
    /// It answered.
    Answered(Answer),
    /// It did not end in time: for people.
    Late(String),
}

fn unknown(why: impl ToString) -> Checked {
    Checked::Answered(Answer::Unknown(why.to_string()))
}

fn bad(why: impl ToString) -> Checked {
    Checked::Answered(Answer::Bad(why.to_string()))
}

impl GroupRun {
    /// Checks one resource word, once. Becomes `off` true, the check is ended.
    pub(crate) async fn check(
        &self,
        word: &str,
        check: &Check,
        limit: Duration,
        off: &CallOff,
    ) -> Checked {
        match check {
            Check::Tcp { host, port } => self.by_network((host, *port), None, limit, off).await,
            Check::Http { host, port, path } => {
                let page = Some(path.as_str());
                self.by_network((host, *port), page, limit, off).await
            }
            Check::Status | Check::StatusWords | Check::Run(_) => {
                self.by_program(word, check, limit, off).await
            }
        }
    }

    async fn by_network(
        &self,
        (host, port): (&str, u16),
        page: Option<&str>,
        limit: Duration,
        off: &CallOff,
    ) -> Checked {
        let named = Cell::new(false);
        let asked = async {
            let addresses = match self.context.names.addresses(host).await {
                Ok(addresses) => addresses,
                Err(why) => return unknown(format!("{host} has no address: {why}")),
            };
            named.set(true);
            let stream = match service::connect(&addresses, port).await {
                Ok(stream) => stream,
                Err(error) => return bad(format!("no connection to port {port}: {error}")),
            };
            let Some(page) = page else {
                return Checked::Answered(Answer::Good);
            };
            match service::get(stream, host, port, page).await {
                Ok((200..=399, _)) => Checked::Answered(Answer::Good),
                Ok((_, line)) => bad(first_line(line.as_bytes())),
                Err(error) => bad(format!("no answer from port {port}: {error}")),
            }
        };
        tokio::select! {
            done = timeout(limit, asked) => done.unwrap_or_else(|_| match named.get() {
                true => Checked::Late(no_answer(limit)),
                false => unknown(format!("{host} has no address: {}", no_answer(limit))),
            }),
            () = child::called_off(off) => ended_by_order(),
        }
    }

    async fn by_program(
        &self,
        word: &str,
        check: &Check,
        limit: Duration,
        off: &CallOff,
    ) -> Checked {
        let turn = tokio::select! {
            turn = self.check_turn(word, limit) => turn,
            () = child::called_off(off) => return ended_by_order(),
        };
        let turn = match turn {
            Ok(turn) => turn,
            Err(none) => return none,
        };
        // Whoever watches the program ends it, also when an order comes; only a disk that hangs lets it take longer.
        let longest = limit.saturating_add(Duration::from_secs(10));
        let (run, word, check, off) = (self.clone(), word.to_owned(), check.clone(), off.clone());
        // Its turn ends when it does: a disk that hangs takes a helper thread, and no second one.
        let asked = actix_rt::spawn(async move {
            match check {
                Check::StatusWords => run.check_words(&word, limit, &off, turn).await,
                Check::Run(program) => {
                    let spec = run.program(&word, &program, Vec::new(), limit, &off);
                    judge(&child::run(spec, turn).await, limit)
                }
                _ => run.check_status(&word, limit, &off, turn).await,
            }
        });
        match timeout(longest, asked).await {
            Ok(Ok(checked)) => checked,
            Ok(Err(_)) | Err(_) => Checked::Late(no_answer(limit)),
        }
    }

    /// Held until nothing more of a check of this group runs; `None`: an earlier one hangs.
    pub(super) fn alone(&self) -> Option<OwnedMutexGuard<()>> {
        self.checks.try_lock("")
    }

    /// The turn of one check of this group. No check of an earlier daemon runs then.
    ///
    /// # Errors
    /// What is known without it.
    async fn check_turn(&self, word: &str, limit: Duration) -> Result<Turn, Checked> {
        let Ok(group) = timeout(limit, self.checks.lock(word)).await else {
            let hangs = self.checks.last();
            // What hangs is not this one: nothing is known of it.
            return Err(if hangs == word {
                Checked::Late(format!("its last check does not end: {}", no_answer(limit)))
            } else {
                unknown(format!("the check of {hangs} does not end"))
            });
        };
        self.end_earlier_check().await;
        let node = Arc::clone(&self.context.checks.0).acquire_owned();
        match timeout(TURN_PATIENCE, node).await {
            Ok(node) => Ok(Turn {
                _group: group,
                _node: node,
            }),
            Err(_) => Err(unknown(format!("{AT_ONCE} other checks do not end"))),
        }
    }

    /// Ends a check of this group that an earlier daemon has left running.
    pub(super) async fn end_earlier_check(&self) {
        record::wait_for_earlier(&self.check_record(), Duration::ZERO, KILL_AFTER).await;
    }

    /// The file that records which check of this group runs.
    fn check_record(&self) -> PathBuf {
        let key = format!("{RECORD}{}", self.group.key);
        record::place(&self.context.paths.scripts(), &key)
    }

    async fn check_status(
        &self,
        word: &str,
        limit: Duration,
        off: &CallOff,
        turn: Turn,
    ) -> Checked {
        let (path, call) = match self.context.worker(word).await {
            Worker::Script { path, call } => (path, call),
            Worker::Missing { name } => return unknown(format!("there is no script {name}")),
            Worker::Native(_) | Worker::BadAddress(_) => return unknown("it is an address"),
        };
        let spec = self.program(word, &path, call.argv(Operation::Status), limit, off);
        let report = child::run(spec, turn).await;
        if call.name == SYSTEMD && !report.overdue {
            return judge_unit(&report);
        }
        judge(&report, limit)
    }

    async fn check_words(&self, word: &str, limit: Duration, off: &CallOff, turn: Turn) -> Checked {
        let Worker::Script { path, call } = self.context.worker(word).await else {
            return unknown("there is no script for it");
        };
        let mut spec = self.program(word, &path, Vec::new(), limit, off);
        spec.program = path;
        spec.args = call.argv(Operation::Status);
        let report = child::run(spec, turn).await;
        match report.ended {
            _ if report.overdue => Checked::Late(no_answer(limit)),
            Ended::Exited(_) if says_running(&report.stdout) => Checked::Answered(Answer::Good),
            Ended::Exited(_) => bad(format!(
                "its status does not say running: {}",
                first_line(&report.stdout)
            )),
            _ => judge(&report, limit),
        }
    }

    fn program(
        &self,
        word: &str,
        program: &Path,
        args: Vec<String>,
        limit: Duration,
        off: &CallOff,
    ) -> ChildSpec {
        let begin = [
            "-c".to_owned(),
            BOTH.to_owned(),
            program.display().to_string(),
        ];
        ChildSpec {
            program: PathBuf::from("/bin/sh"),
            args: begin.into_iter().chain(args).collect(),
            environment: Arc::clone(&self.context.environment),
            directory: self.context.directory.clone(),
            capture: true,
            output: OutputTarget::default(),
            limit,
            kill_after: KILL_AFTER,
            record: Some(Recorded {
                place: self.check_record(),
                operation: "check".to_owned(),
                word: word.to_owned(),
                shim: self.context.shim.clone(),
            }),
            last_words: false,
            told: Some(Told {
                input: Vec::new(),
                hidden: Vec::new(),
                call_off: off.clone(),
            }),
            alone: true,
        }
    }
}

fn ended_by_order() -> Checked {
    unknown("an order has ended the check")
}

fn no_answer(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs())
}

/// By the exit code.
fn judge(report: &ExitReport, limit: Duration) -> Checked {
    let words = first_line(&report.stdout);
    let with = |text: String| match words.as_str() {
        "" => text,
        words => format!("{text}: {words}"),
    };
    match &report.ended {
        _ if report.overdue => Checked::Late(no_answer(limit)),
        Ended::Exited(0) => Checked::Answered(Answer::Good),
        // The shell could not run it.
        Ended::Exited(code @ (126 | 127)) => {
            unknown(with(format!("the check cannot be run, exit code {code}")))
        }
        Ended::Exited(code) => bad(with(format!("exit code {code}"))),
        Ended::Signaled(signal) => {
            unknown(with(format!("the check was killed by signal {signal}")))
        }
        Ended::Stuck => Checked::Late("the check does not end when it is killed".to_owned()),
        Ended::NotStarted { reason, .. } => unknown(format!("the check cannot be run: {reason}")),
    }
}

/// By the state of the unit, which our script prints in brackets.
fn judge_unit(report: &ExitReport) -> Checked {
    let words = first_line(&report.stdout);
    let state = words.split_once('(').and_then(|(_, it)| it.split_once(')'));
    let state = state.map(|(state, _)| state);
    match (&report.ended, state) {
        (Ended::Exited(0), Some("active")) => Checked::Answered(Answer::Good),
        (Ended::Exited(3), Some("inactive" | "failed")) => bad(words),
        (Ended::Exited(_), Some(_)) => unknown(words),
        (Ended::Exited(code), None) => unknown(format!("exit code {code}: {words}")),
        _ => judge(report, Duration::ZERO),
    }
}

/// The first line of the end of an output, without control characters.
fn first_line(output: &[u8]) -> String {
    let from = output.len().saturating_sub(MAX_OUTPUT_BYTES);
    let end = output.get(from..).unwrap_or_default();
    let text = String::from_utf8_lossy(end);
    let mut lines = text.split(['\n', '\r']).map(str::trim);
    let line = lines.find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ended: Ended, stdout: &str) -> ExitReport {
        ExitReport {
            ended,
            overdue: false,
            stdout: stdout.as_bytes().to_vec(),
            said: None,
        }
    }

    const LIMIT: Duration = Duration::from_secs(5);

    #[test]
    fn the_exit_code_counts_and_not_the_words() {
        let good = Checked::Answered(Answer::Good);
        let uptime = report(Ended::Exited(0), "mariadb-admin Ver 9.1\nUptime: 3\n");
        assert_eq!(judge(&uptime, LIMIT), good);
        for code in [1, 2, 3, 4, 7, 150] {
            let running = report(Ended::Exited(code), "\nrunning, OK\nmore");
            let says = format!("exit code {code}: running, OK");
            assert_eq!(judge(&running, LIMIT), bad(says));
        }
        for code in [126, 127] {
            let answer = judge(&report(Ended::Exited(code), ""), LIMIT);
            assert!(matches!(answer, Checked::Answered(Answer::Unknown(_))));
        }
        let killed = judge(&report(Ended::Signaled(9), ""), LIMIT);
        assert!(matches!(killed, Checked::Answered(Answer::Unknown(_))));
        let overdue = ExitReport {
            overdue: true,
            ..report(Ended::Exited(0), "")
        };
        assert_eq!(
            judge(&overdue, LIMIT),
            Checked::Late("no answer within 5 s".to_owned())
        );
    }

    #[test]
    fn a_unit_is_judged_by_its_state() {
        let unit = |code, words| judge_unit(&report(Ended::Exited(code), words));
        assert_eq!(
            unit(0, "running (active)\n"),
            Checked::Answered(Answer::Good)
        );
        assert_eq!(unit(3, "stopped (failed)\n"), bad("stopped (failed)"));
        assert_eq!(unit(3, "stopped (inactive)\n"), bad("stopped (inactive)"));
        for state in ["activating", "deactivating", "reloading", "refreshing"] {
            let words = format!("running ({state})");
            let answer = judge_unit(&report(Ended::Exited(0), &words));
            assert_eq!(answer, unknown(&words));
        }
        let none = unit(
            4,
            "ERROR: systemd does not tell the state of nginx.service\n",
        );
        assert!(matches!(none, Checked::Answered(Answer::Unknown(_))));
    }

    #[test]
    fn the_end_of_a_flood_is_looked_at() {
        let flood = format!("{}\nlast \u{1b}[1mwords\n", "x".repeat(100_000));
        assert_eq!(first_line(flood.as_bytes()).chars().count(), 200);
        assert_eq!(first_line(b"\n\r\n  a\tb \nc"), "ab");
    }
}
