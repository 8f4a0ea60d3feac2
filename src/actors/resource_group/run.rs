//! Carries out one order for one group: its scripts and addresses, one after another.
//! Spec: docs/protocol/resources.md, 2, 9.2 to 9.4.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::log::log;
use super::operation::{Attempt, GroupRun, StillRuns, log_native};
use super::permit::Permit;
use super::worker::{Worker, next_native};
use crate::agents::child::record::Earlier;
use crate::agents::script::Operation;
use crate::config::group_lines::{self, GroupLine};
use crate::net::address::{AddressResource, parse_word};
use crate::notice::Severity;
use crate::protocol::event::GroupOutcome;
use crate::protocol::group::GroupKey;

/// Most addresses of a group that are started after one check of what is there: a change by others
/// meanwhile is seen by the next check.
const TOGETHER: usize = 32;

/// How long a disk may take to show haresources before an order is carried out without it.
const READ_PATIENCE: Duration = Duration::from_secs(1);

/// Why not all of a group was started.
enum NotStarted {
    /// The order does not stand any more.
    Withdrawn,
    /// A resource does not start.
    Failed { resource: String, attempt: Attempt },
}

/// From which resource words a restart stops and starts.
#[derive(Debug, Default)]
pub(super) struct RestartFrom {
    /// This and what stands right of it is stopped; `None`: nothing is.
    pub(super) stop: Option<String>,
    /// What does not run of this and what stands right of it is started; `None`: of the whole group.
    pub(super) start: Option<String>,
}

impl GroupRun {
    /// Takes over the present line of the file. For an unknown key the words that were loaded stay.
    pub(super) async fn refresh(&mut self) {
        let path = self.context.paths.haresources();
        let key = self.group.key.clone();
        let read = tokio::task::spawn_blocking(move || read_group(&path, &key));
        let Ok(read) = timeout(READ_PATIENCE, read).await else {
            log(
                Severity::Warn,
                &format!(
                    "{} cannot be read in time: using the line that was loaded",
                    self.context.paths.haresources().display()
                ),
            );
            return;
        };
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

    /// Starts what does not run, left to right; the first failure stops the whole group, and so
    /// does the end of `permit`: then the outcome is [`GroupOutcome::Stopped`].
    ///
    /// `report` receives the outcome, and the end of the output of a script that failed. It is
    /// called before the end if a resource cannot be stopped: the rest is stopped after that. A
    /// script that an earlier daemon has left running counts as its own call: it is not called
    /// again, and its recorded code is its result.
    pub(crate) async fn start(
        &self,
        permit: &Permit,
        report: impl FnOnce(GroupOutcome, Option<String>),
    ) {
        let earlier = self.after_earlier_scripts().await;
        log(
            Severity::Info,
            &format!("Acquiring resource group: {}", self.shown()),
        );
        let words: Vec<&str> = self.group.resources.iter().map(String::as_str).collect();
        match self.start_words(&words, permit, earlier.as_ref()).await {
            Ok(()) => report(GroupOutcome::Started, None),
            Err(NotStarted::Withdrawn) => self.release(GroupOutcome::Stopped, None, report).await,
            Err(NotStarted::Failed { resource, attempt }) => {
                log(
                    Severity::Crit,
                    &format!("Giving up resources due to failure of {resource}"),
                );
                let said = attempt
                    .said
                    .map(|words| format!("{resource} said: {words}"));
                let code = attempt.code;
                let outcome = GroupOutcome::StartFailed { resource, code };
                self.release(outcome, said, report).await;
            }
        }
    }

    /// Stops what is to be stopped, right to left, then starts what does not run, left to right. What does not start
    /// is left as it is, and so is the rest. What cannot be stopped is left as well: nothing is handed over, so that
    /// it runs on here is no reason to restart the machine. `report` as for [`start`](Self::start).
    ///
    /// # Errors
    /// What was not started again, for people. The group is held as before.
    pub(super) async fn restart(
        &self,
        from: &RestartFrom,
        permit: &Permit,
        report: impl FnOnce(GroupOutcome, Option<String>),
    ) -> Result<(), String> {
        let earlier = self.after_earlier_scripts().await;
        let words: Vec<&str> = self.group.resources.iter().map(String::as_str).collect();
        let place = |from: &str| words.iter().position(|word| *word == from);
        let stop = from.stop.as_deref().and_then(place);
        let start = from.start.as_deref().and_then(place).or(stop);
        let right = words.get(stop.unwrap_or(words.len())..);
        let right = right.unwrap_or_default();
        log(
            Severity::Info,
            &format!(
                "Restarting resources: {} {}",
                self.group.owner,
                right.join(" ")
            ),
        );
        for word in right.iter().rev() {
            let worker = self.context.worker(word).await;
            let mut said = None;
            if let Err(StillRuns(resource)) = self.stop_one(word, worker, &mut said).await {
                report(GroupOutcome::Started, said);
                return Err(format!("{resource} cannot be stopped"));
            }
        }
        // What stands left of it runs: its script is not called, whatever its `status` prints.
        let words = words.get(start.unwrap_or_default()..).unwrap_or_default();
        match self.start_words(words, permit, earlier.as_ref()).await {
            Ok(()) => {
                report(GroupOutcome::Started, None);
                Ok(())
            }
            Err(NotStarted::Withdrawn) => {
                self.release(GroupOutcome::Stopped, None, report).await;
                Err("the order for it was withdrawn".to_owned())
            }
            Err(NotStarted::Failed { resource, attempt }) => {
                let said = attempt
                    .said
                    .map(|words| format!("{resource} said: {words}"));
                report(GroupOutcome::Started, said);
                Err(format!(
                    "{resource} does not start, exit code {}",
                    attempt.code
                ))
            }
        }
    }

    /// Starts what does not run of `words`, left to right, up to the first failure.
    async fn start_words(
        &self,
        words: &[&str],
        permit: &Permit,
        earlier: Option<&Earlier>,
    ) -> Result<(), NotStarted> {
        let mut ahead = VecDeque::new();
        let mut left = words;
        while let Some(word) = left.first() {
            let worker = self.context.next_worker(left, &mut ahead).await;
            let native = matches!(worker, Worker::Native(_));
            let ended = earlier.and_then(|it| it.code_of(Operation::Start.word(), word));
            let runs = match ended {
                Some(code) => code == 0,
                None => !native && self.runs(word, &worker).await,
            };
            if !runs && ended.is_none() && !permit.stands().await {
                log(
                    Severity::Warn,
                    &format!("{word} is not started: the order for it is withdrawn"),
                );
                return Err(NotStarted::Withdrawn);
            }
            let (done, failed) = match worker {
                _ if self.goes_without(word) => (1, None),
                Worker::Native(first) => {
                    let more = std::iter::from_fn(|| next_native(&mut ahead)).take(TOGETHER - 1);
                    let addresses: Vec<_> = std::iter::once(first).chain(more).collect();
                    self.start_addresses(left, &addresses).await
                }
                _ if runs => (1, None),
                worker => {
                    let attempt = match ended {
                        Some(code) => Attempt::ended_with(code),
                        None => self.attempt(word, &worker, Operation::Start).await,
                    };
                    let failed = (attempt.code != 0).then_some(attempt);
                    (usize::from(failed.is_none()), failed)
                }
            };
            self.after_address(word).await;
            left = left.get(done..).unwrap_or_default();
            if let (Some(word), Some(attempt)) = (left.first(), failed) {
                let resource = (*word).to_owned();
                return Err(NotStarted::Failed { resource, attempt });
            }
        }
        Ok(())
    }

    /// Starts the addresses at the beginning of `words` together. Returns how many are up, and the
    /// result of the one that failed.
    async fn start_addresses(
        &self,
        words: &[&str],
        addresses: &[AddressResource],
    ) -> (usize, Option<Attempt>) {
        let word = |place: usize| words.get(place).copied().unwrap_or_default();
        let each = |place| {
            if let Some(address) = addresses.get(place) {
                log_native(word(place), address, Operation::Start);
            }
        };
        let started = self.context.addresses.start_all(addresses, &each).await;
        let Err((place, error)) = started else {
            return (addresses.len(), None);
        };
        let script = addresses.get(place).map_or("", |it| it.style.script());
        log(Severity::Error, &error);
        log(Severity::Error, &format!("Return code 1 from {script}"));
        let failed = Attempt::failed_with(&error);
        (place, Some(failed))
    }

    /// Stops everything, right to left. `report` as for [`start`](Self::start).
    pub(crate) async fn stop(&self, report: impl FnOnce(GroupOutcome, Option<String>)) {
        self.after_earlier_scripts().await;
        self.release(GroupOutcome::Stopped, None, report).await;
    }

    /// A start is refused because another host has an address. An earlier process may have started
    /// a part of the group, or a script of it may still run: that is stopped first, because the
    /// other host may use its disks.
    pub(crate) async fn refuse(
        &self,
        outcome: GroupOutcome,
        report: impl FnOnce(GroupOutcome, Option<String>),
    ) {
        self.after_earlier_scripts().await;
        for word in &self.group.resources {
            let worker = self.context.worker(word).await;
            let script = matches!(worker, Worker::Script { .. });
            if script && self.runs(word, &worker).await {
                return self.release(outcome, None, report).await;
            }
        }
        report(outcome, None);
    }

    /// Stops everything. `said`: the end of the output of the start that failed before.
    async fn release(
        &self,
        outcome: GroupOutcome,
        mut said: Option<String>,
        report: impl FnOnce(GroupOutcome, Option<String>),
    ) {
        log(
            Severity::Info,
            &format!("Releasing resource group: {}", self.shown()),
        );
        let mut report = Some(report);
        let words = self.group.resources.iter().rev().map(String::as_str);
        let words: Vec<&str> = words.collect();
        let mut ahead = VecDeque::new();
        for (place, word) in words.iter().enumerate() {
            let worker = self.context.next_worker(&words[place..], &mut ahead).await;
            let mut words = None;
            let stopped = self.stop_one(word, worker, &mut words).await;
            if said.is_none() || stopped.is_err() {
                said = words.or(said);
            }
            if let Err(StillRuns(resource)) = stopped {
                log(Severity::Crit, "Resource STOP failure. Reboot required!");
                log(Severity::Crit, "Killing heartbeat ungracefully!");
                if let Some(report) = report.take() {
                    report(GroupOutcome::StopFailed { resource }, said.clone());
                }
            }
        }
        if let Some(report) = report {
            report(outcome, said);
        }
    }

    /// Removes the group's addresses, whichever program added them; nothing else is stopped.
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

    /// The addresses of this group, whichever program adds them.
    pub(super) fn addresses(&self) -> Vec<AddressResource> {
        let words = self.group.resources.iter();
        words.filter_map(|word| parse_word(word).ok()?).collect()
    }

    fn shown(&self) -> String {
        format!("{} {}", self.group.owner, self.group.resources.join(" "))
    }
}

fn read_group(path: &Path, key: &GroupKey) -> std::io::Result<Option<GroupLine>> {
    Ok(group_lines::find(&group_lines::load(path)?, key).cloned())
}
