//! The monitors of all groups: when their checks may run, and what is shown of them.
//!
//! | When | What |
//! |---|---|
//! | each second, while the node is settled | groups that run here and have no order in hand may begin a check that is due |
//! | the same | of groups that do not run here it is looked whether they could, at a slower pace |
//! | the node is frozen | checks in hand are ended, and no restart is wanted |
//! | the process is about to be replaced | checks in hand are ended, and none begins |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::WeakRecipient;
use actix::prelude::*;
use tokio::time::timeout;

use super::GroupsActor;
use crate::actors::messages::{AskSettled, ClearFailures, NoteAilment};
use crate::actors::own_beats::OwnBeats;
use crate::actors::resource_group::{
    Care, CheckNow, CheckOf, ForgetFailures, MayCheck, MayLook, PauseChecks, Watched,
};
use crate::actors::shared::Shared;
use crate::clients::control::{CheckReport, MonitorState, MonitorView, StandbyView};
use crate::clock::Monotonic;
use crate::config::Config;
use crate::config::monitors::{self, MonitorSettings};
use crate::policy::monitor::{Answer, Monitor, Monitors, Standing};
use crate::policy::standby::Standby;
use crate::protocol::group::GroupKey;

/// Pause between two looks at what is due.
const EACH: Duration = Duration::from_secs(1);

/// How long the end of checks is waited for before the process is replaced.
const CHECKS_END: Duration = Duration::from_secs(1);

/// The monitors of all groups.
pub struct MonitorSetup {
    /// Of each group that has some.
    pub watched: BTreeMap<GroupKey, Watched>,
    /// Told what a person says.
    pub clears: Option<WeakRecipient<ClearFailures>>,
}

impl MonitorSetup {
    /// By the settings. `proven`: the checks of each group that were good in an earlier life of the daemon.
    #[must_use]
    pub fn of(
        config: &Config,
        proven: &BTreeMap<GroupKey, Vec<String>>,
        beats: &OwnBeats,
        says: &WeakRecipient<NoteAilment>,
        clears: WeakRecipient<ClearFailures>,
    ) -> Self {
        let late = config.timing.warntime / 2;
        let watched = |(key, list): (GroupKey, Vec<(String, MonitorSettings)>)| {
            let monitor =
                |(word, it): &(String, MonitorSettings)| Monitor::new(word.clone(), it.rules);
            let check = |(word, it): &(String, MonitorSettings)| CheckOf {
                word: word.clone(),
                check: it.check.clone(),
                limit: it.timeout,
            };
            let checks: Vec<CheckOf> = list.iter().map(check).collect();
            let earlier = proven.get(&key).map_or(&[][..], Vec::as_slice);
            let all = checks.iter().enumerate();
            let known = all.filter(|(_, of)| earlier.contains(&name_of(of)));
            let known = known.map(|(place, _)| place).collect();
            let shortest = list.iter().map(|(_, it)| it.rules.interval).min();
            let monitors = Monitors::new(key.to_string(), list.iter().map(monitor).collect());
            let watched = Watched {
                monitors: Shared::new(monitors),
                standby: Shared::new(Standby::new(shortest.unwrap_or_default())),
                checks: Arc::new(checks),
                says: says.clone(),
                beats: beats.clone(),
                late,
                proven: known,
            };
            (key, watched)
        };
        let all = monitors::by_group(&config.settings.monitors, &config.groups);
        Self {
            watched: all.into_iter().map(watched).collect(),
            clears: Some(clears),
        }
    }

    /// None.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            watched: BTreeMap::new(),
            clears: None,
        }
    }

    /// What is shown of the monitors of a group.
    pub(super) fn view(&self, key: &GroupKey, now: Monotonic) -> Vec<MonitorView> {
        let Some(watched) = self.watched.get(key) else {
            return Vec::new();
        };
        watched.monitors.with(|monitors| {
            let list = monitors.list().iter().zip(watched.checks.iter());
            list.map(|(it, of)| view(it, of, now)).collect()
        })
    }

    /// What is shown of a group that does not run here.
    pub(super) fn standby(&self, key: &GroupKey, now: Monotonic) -> Option<StandbyView> {
        self.watched.get(key)?.standby.with(|standby| {
            let (at, wrong) = standby.last()?;
            Some(StandbyView {
                ready: wrong.is_empty(),
                wrong: wrong.clone(),
                checked_ms_ago: millis(now.since(*at)),
            })
        })
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// By which a check is known to the next process: another check of the same resource is another one.
fn name_of(of: &CheckOf) -> String {
    format!("{} {}", of.word, of.check)
}

fn view(monitor: &Monitor, of: &CheckOf, now: Monotonic) -> MonitorView {
    let rules = monitor.rules();
    // An answer that is older says nothing: other checks hang and keep this one waiting, or nothing is checked now.
    let fresh = rules.interval.saturating_add(of.limit).saturating_mul(3);
    let stale = |at: &Monotonic| now.since(*at) > fresh;
    let standing = match (monitor.standing(), monitor.last()) {
        (Standing::Good, Some((at, _))) if stale(at) => Standing::Unknown,
        (standing, _) => standing,
    };
    let (at, words) = match monitor.last() {
        Some((at, Answer::Good)) if stale(at) => {
            (Some(*at), Some("no check has ended since".to_owned()))
        }
        Some((at, Answer::Good)) => (Some(*at), None),
        Some((at, Answer::Bad(words) | Answer::Unknown(words) | Answer::Pressed(words))) => {
            (Some(*at), Some(words.clone()))
        }
        None => (None, None),
    };
    let ago = at.map(|at| millis(now.since(at)));
    MonitorView {
        resource: monitor.word().to_owned(),
        check: of.check.to_string(),
        timeout_s: of.limit.as_secs(),
        state: match standing {
            Standing::Unchecked => MonitorState::Unchecked,
            Standing::Good => MonitorState::Good,
            Standing::Failing => MonitorState::Failing,
            Standing::Unknown => MonitorState::Unknown,
            Standing::NeverGood => MonitorState::NeverGood,
            Standing::GivenUp => MonitorState::GivenUp,
        },
        checked_ms_ago: ago,
        words,
        bad_in_a_row: monitor.bad_in_a_row(),
        failures_at: rules.failures,
        failed: u64::try_from(monitor.failures(now)).unwrap_or(u64::MAX),
        restarts: rules.restarts,
        restart_window_s: rules.window.as_secs(),
        then: rules.then.word().to_owned(),
    }
}

/// Runs the checks of a group once, for people.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Vec<CheckReport>, String>")]
pub struct RunChecks(pub GroupKey);

/// A person says that what failed in a group is repaired.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<(), String>")]
pub struct ClearGroup(pub GroupKey);

impl GroupsActor {
    /// Lets checks begin, again and again.
    pub(super) fn watch_resources(&mut self, ctx: &mut Context<Self>) {
        if self.monitors.watched.is_empty() {
            return;
        }
        if let Some(membership) = self.care.settled() {
            let asked = membership.send(AskSettled).into_actor(self);
            ctx.spawn(asked.map(|answer, act, _| {
                if matches!(answer, Ok(Some(_))) {
                    act.let_check();
                }
                act.keep_proven();
            }));
        }
        ctx.run_later(EACH, Self::watch_resources);
    }

    fn let_check(&self) {
        if self.sealed {
            return;
        }
        self.ledger.with(|ledger| {
            let watched = self.entries.iter().filter(|it| self.is_watched(it));
            let settled = watched.filter(|it| it.is_settled_here(ledger));
            settled.for_each(|entry| entry.actor.do_send(MayCheck));
            let elsewhere = self.entries.iter().filter(|it| self.is_watched(it));
            let elsewhere = elsewhere.filter(|it| it.needs(ledger, Care::Tidy));
            elsewhere.for_each(|entry| entry.actor.do_send(MayLook));
        });
    }

    /// Has written down for a successor which checks were good since the start of their group.
    fn keep_proven(&self) {
        let of = |(key, watched): (&GroupKey, &Watched)| {
            let proven = watched.monitors.with(|monitors| monitors.proven());
            let named = proven.into_iter();
            let named = named.filter_map(|place| watched.checks.get(place).map(name_of));
            let named: Vec<String> = named.collect();
            (!named.is_empty()).then(|| (key.clone(), named))
        };
        let proven = self.monitors.watched.iter().filter_map(of).collect();
        self.held.with(|held| held.proven(&proven));
    }

    /// The node is frozen.
    pub(super) fn pause_checks(&self) {
        let watched = self.entries.iter().filter(|it| self.is_watched(it));
        watched.for_each(|entry| entry.actor.do_send(PauseChecks));
    }

    /// This process is about to be replaced: waits until no check runs, a short time at most.
    pub(super) fn checks_ended(&self) -> impl Future<Output = ()> + use<> {
        let watched = self.entries.iter().filter(|it| self.is_watched(it));
        let ended: Vec<_> = watched.map(|it| it.actor.send(PauseChecks)).collect();
        let all = futures_util::future::join_all(ended);
        async move { drop(timeout(CHECKS_END, all).await) }
    }

    fn is_watched(&self, entry: &super::Entry) -> bool {
        self.monitors.watched.contains_key(&entry.group.key)
    }

    fn no_group(key: &GroupKey) -> String {
        format!("haresources has no group {key}")
    }
}

fn report((resource, check, answer): (String, String, Answer)) -> CheckReport {
    let (answer, words) = match answer {
        Answer::Good => ("good", None),
        Answer::Bad(words) => ("bad", Some(words)),
        Answer::Unknown(words) | Answer::Pressed(words) => ("unknown", Some(words)),
    };
    CheckReport {
        resource,
        check,
        answer: answer.to_owned(),
        words,
    }
}

impl Handler<RunChecks> for GroupsActor {
    type Result = ResponseFuture<Result<Vec<CheckReport>, String>>;

    fn handle(&mut self, RunChecks(key): RunChecks, _: &mut Self::Context) -> Self::Result {
        let watched = self.monitors.watched.contains_key(&key);
        if self.sealed {
            let why = "the daemon is about to be replaced: try again".to_owned();
            return Box::pin(async move { Err(why) });
        }
        let Some(entry) = self.entry(&key) else {
            return Box::pin(async move { Err(Self::no_group(&key)) });
        };
        let answer = entry.actor.send(CheckNow);
        Box::pin(async move {
            if !watched {
                return Err(no_monitor(&key));
            }
            match answer.await {
                Ok(answers) => Ok(answers?.into_iter().map(report).collect()),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}

impl Handler<ClearGroup> for GroupsActor {
    type Result = ResponseFuture<Result<(), String>>;

    fn handle(&mut self, ClearGroup(key): ClearGroup, _: &mut Self::Context) -> Self::Result {
        let watched = self.monitors.watched.contains_key(&key);
        let Some(entry) = self.entry(&key) else {
            return Box::pin(async move { Err(Self::no_group(&key)) });
        };
        if watched {
            entry.actor.do_send(ForgetFailures);
        }
        let core = self.monitors.clears.as_ref();
        let core = core.and_then(WeakRecipient::upgrade);
        Box::pin(async move {
            let silent = || "membership does not answer".to_owned();
            let group = key.clone();
            let told = core.ok_or_else(silent)?;
            let told = told.send(ClearFailures { group, watched }).await;
            if told.map_err(|_| silent())? {
                Ok(())
            } else {
                Err(no_monitor(&key))
            }
        })
    }
}

fn no_monitor(key: &GroupKey) -> String {
    format!("group {key} has no [[monitor]] in systole.toml")
}
