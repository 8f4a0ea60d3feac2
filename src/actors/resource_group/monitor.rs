//! The monitors of a group: its checks run between its orders, one at a time, and an order ends the one in
//! hand. What follows from an answer is decided in [`crate::policy::monitor`], and whether it may begin in the
//! core.

use std::sync::Arc;
use std::time::Duration;

use actix::WeakRecipient;
use actix::prelude::*;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::check::Checked;
use super::log::log;
use super::run::RestartFrom;
use super::{ResourceGroupActor, Work};
use crate::actors::messages::NoteAilment;
use crate::actors::own_beats::OwnBeats;
use crate::actors::shared::Shared;
use crate::clock::Monotonic;
use crate::config::monitors::Check;
use crate::notice::Severity;
use crate::os::pressure;
use crate::policy::monitor::{Answer, Lateness, Line, Monitors, late};
use crate::policy::standby::Standby;
use crate::protocol::event::GroupOutcome;
use crate::protocol::monitor::Ailment;

/// How long an order waits for the end of a check.
const CHECK_ENDS: Duration = Duration::from_millis(500);

/// How long checks may begin one after another: as long as it takes to be asked again.
const PERMIT: Duration = Duration::from_secs(1);

/// How long a look at the pressure may take. It needs a helper thread.
const LOOK_PATIENCE: Duration = Duration::from_secs(1);

/// How a resource word is checked.
#[derive(Debug, Clone)]
pub struct CheckOf {
    /// The word.
    pub word: String,
    /// How.
    pub check: Check,
    /// Longest run.
    pub limit: Duration,
}

/// The monitors of a group, and what their checks need.
#[derive(Clone)]
pub struct Watched {
    /// What is known, for whoever shows it.
    pub monitors: Shared<Monitors>,
    /// What is known of it while it does not run here.
    pub standby: Shared<Standby>,
    /// One for each of the monitors, in their order.
    pub checks: Arc<Vec<CheckOf>>,
    /// Told what the group wants.
    pub says: WeakRecipient<NoteAilment>,
    /// How late own heartbeats were.
    pub beats: OwnBeats,
    /// How late one may be before a check that hangs says nothing.
    pub late: Duration,
    /// The checks that were good in an earlier life of the daemon, by their places.
    pub proven: Vec<usize>,
}

/// The group is settled here: its checks may begin, one after another, for a second.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct MayCheck;

/// The node is frozen, or about to be replaced: the check in hand ends, and no restart is wanted before the next
/// answers. Answered when nothing of the check runs any more, after a short time at most.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct PauseChecks;

/// A person has repaired it: no failure counts.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct ForgetFailures;

/// Runs all checks once, for people. It ends a check in hand, and an order ends it. Each with its word and its
/// answer, or why there are none.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<Answers, String>")]
pub struct CheckNow;

/// The answers of all checks of a group: the word, the check and what it said.
pub(crate) type Answers = Vec<(String, String, Answer)>;

/// The monitors of the actor, and the check in hand.
pub(super) struct Watching {
    pub(super) setup: Watched,
    pub(super) in_hand: Option<InHand>,
    /// What the core was told last.
    told: Option<Ailment>,
    /// Checks may begin until then.
    may_until: Monotonic,
}

/// A check in hand.
pub(super) struct InHand {
    pub(super) task: SpawnHandle,
    pub(super) off: watch::Sender<bool>,
    /// Received when nothing of it runs.
    pub(super) ended: oneshot::Receiver<()>,
    /// All checks, for people.
    pub(super) for_people: bool,
}

impl Watching {
    pub(super) const fn new(setup: Watched) -> Self {
        Self {
            setup,
            in_hand: None,
            told: None,
            may_until: Monotonic::ZERO,
        }
    }
}

/// What an order waits for before its first script.
#[derive(Default)]
pub(super) struct CheckEnds(Option<oneshot::Receiver<()>>);

impl CheckEnds {
    /// Waits until nothing of the check runs any more, a short time at most.
    pub(super) async fn wait(self) {
        if let Some(ended) = self.0 {
            let _ = timeout(CHECK_ENDS, ended).await;
        }
    }
}

impl ResourceGroupActor {
    /// The resources from which a restart stops and starts.
    pub(super) fn restarts_from(&self) -> RestartFrom {
        let Some(watching) = &self.watching else {
            return RestartFrom::default();
        };
        watching.setup.monitors.with(|monitors| RestartFrom {
            stop: monitors.restarts_from().map(str::to_owned),
            start: monitors.starts_from().map(str::to_owned),
        })
    }

    /// Ends the check in hand, because an order begins or nobody may look.
    pub(super) fn end_check(&mut self, ctx: &mut Context<Self>) -> CheckEnds {
        let in_hand = self.watching.as_mut().and_then(|it| it.in_hand.take());
        CheckEnds(in_hand.map(|it| {
            // Its task only waits for the answer; whoever watches the program ends it.
            it.off.send_replace(true);
            ctx.cancel_future(it.task);
            it.ended
        }))
    }

    /// The group runs on from an earlier life.
    pub(super) fn checks_go_on(&mut self) {
        let proven = self.watching.as_ref().map(|it| it.setup.proven.clone());
        let now = self.clock.now().instant;
        self.with_monitors(|monitors| {
            monitors.goes_on(&proven.unwrap_or_default(), now);
            Vec::new()
        });
    }

    /// The actor begins anew: nobody waits for the check in hand.
    pub(super) fn forget_check(&mut self) {
        let in_hand = self.watching.as_mut().and_then(|it| it.in_hand.take());
        if let Some(in_hand) = in_hand {
            in_hand.off.send_replace(true);
        }
    }

    /// An order has ended.
    pub(super) fn checks_begin(&mut self) {
        let runs = self
            .last_outcome()
            .is_none_or(|it| it == GroupOutcome::Started);
        let now = self.clock.now().instant;
        self.with_monitors(|monitors| {
            if runs {
                monitors.began(now);
            } else {
                monitors.ended();
            }
            Vec::new()
        });
    }

    /// A restart has ended.
    pub(super) fn was_restarted(&mut self, failed: Option<&str>) {
        let now = self.clock.now().instant;
        self.with_monitors(|monitors| monitors.restarted(failed, now));
    }

    /// Changes what is known, logs what follows, and tells the core what the group wants now.
    fn with_monitors(&mut self, change: impl FnOnce(&mut Monitors) -> Vec<Line>) {
        let Some(watching) = &mut self.watching else {
            return;
        };
        let (lines, wants) = watching.setup.monitors.with(|monitors| {
            let lines = change(monitors);
            (lines, monitors.ailment())
        });
        for (severity, text) in lines {
            log(severity, &text);
        }
        // A core that has begun anew knows nothing of it.
        if watching.told != wants || wants.is_some() {
            watching.told.clone_from(&wants);
            if let Some(core) = watching.setup.says.upgrade() {
                let group = self.group.key.clone();
                core.do_send(NoteAilment { group, wants });
            }
        }
    }

    /// Whether checks may run.
    fn may_check(&self) -> bool {
        let runs = self.ran_before || self.last_outcome() == Some(GroupOutcome::Started);
        self.work == Work::None && self.is_idle() && runs && !self.stopped && !self.bare.is_set()
    }

    fn next_check(&mut self, ctx: &mut Context<Self>) {
        if !self.may_check() {
            return;
        }
        let now = self.clock.now().instant;
        let may = |it: &&Watching| it.in_hand.is_none() && now < it.may_until;
        let Some(watching) = self.watching.as_ref().filter(may) else {
            return;
        };
        let setup = watching.setup.clone();
        let due = setup.monitors.with(|monitors| monitors.begin_check(now));
        let Some((place, of)) = due.and_then(|at| Some((at, setup.checks.get(at)?.clone()))) else {
            return;
        };
        let run = self.group_run();
        let (off, call_off) = watch::channel(false);
        let (answer, answered) = oneshot::channel();
        let (ends, ended) = oneshot::channel();
        // It goes on to its end when an order comes: who ends a program has to wait for it.
        actix_rt::spawn(async move {
            let checked = run.check(&of.word, &of.check, of.limit, &call_off).await;
            let _ = ends.send(());
            let _ = answer.send(in_time(checked, of.limit, &setup).await);
        });
        let task = ctx.spawn(answered.into_actor(self).map(move |answer, act, ctx| {
            if let Some(watching) = &mut act.watching {
                watching.in_hand = None;
            }
            if let (Ok(answer), true) = (answer, act.may_check()) {
                let now = act.clock.now().instant;
                act.with_monitors(|monitors| monitors.answered(place, answer, now));
                act.next_check(ctx);
            }
        }));
        if let Some(watching) = &mut self.watching {
            watching.in_hand = Some(InHand {
                task,
                off,
                ended,
                for_people: false,
            });
        }
    }
}

/// The answer, if it did not come in time: by how late this node was itself since the check had its turn. `limit`: what
/// it took, but for the moment that it takes to end it.
async fn in_time(checked: Checked, limit: Duration, setup: &Watched) -> Answer {
    let words = match checked {
        Checked::Answered(answer) => return answer,
        Checked::Late(words) => words,
    };
    let looked = tokio::task::spawn_blocking(pressure::highest);
    let pressure = timeout(LOOK_PATIENCE, looked).await;
    let seen = Lateness {
        beat: setup.beats.latest_within(limit.saturating_add(CHECK_ENDS)),
        limit: setup.late,
        pressure: pressure.ok().and_then(Result::ok).flatten(),
    };
    late(&words, &seen)
}

impl Handler<MayCheck> for ResourceGroupActor {
    type Result = ();

    fn handle(&mut self, _: MayCheck, ctx: &mut Self::Context) {
        if let Some(watching) = &mut self.watching {
            watching.may_until = self.clock.now().instant + PERMIT;
        }
        self.next_check(ctx);
    }
}

impl Handler<PauseChecks> for ResourceGroupActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: PauseChecks, ctx: &mut Self::Context) -> Self::Result {
        let check = self.end_check(ctx);
        if let Some(watching) = &mut self.watching {
            watching.may_until = Monotonic::ZERO;
        }
        self.with_monitors(|monitors| {
            monitors.pauses();
            Vec::new()
        });
        Box::pin(check.wait())
    }
}

impl Handler<ForgetFailures> for ResourceGroupActor {
    type Result = ();

    fn handle(&mut self, _: ForgetFailures, _: &mut Self::Context) {
        self.with_monitors(|monitors| {
            monitors.clear();
            Vec::new()
        });
        let text = format!(
            "monitor: the failures of group {} are forgotten",
            self.group.key
        );
        log(Severity::Warn, &text);
    }
}

impl Handler<CheckNow> for ResourceGroupActor {
    type Result = ResponseFuture<Result<Answers, String>>;

    fn handle(&mut self, _: CheckNow, ctx: &mut Self::Context) -> Self::Result {
        let key = &self.group.key;
        if !self.is_idle() {
            let why = format!("group {key} is being started or stopped");
            return Box::pin(async move { Err(why) });
        }
        let Some(watching) = &self.watching else {
            return Box::pin(async { Ok(Vec::new()) });
        };
        if watching.in_hand.as_ref().is_some_and(|it| it.for_people) {
            let why = format!("the checks of group {key} are being run for somebody else");
            return Box::pin(async move { Err(why) });
        }
        let why_ended = format!("an order for group {key} has ended its checks");
        let setup = watching.setup.clone();
        let before = self.end_check(ctx);
        let run = self.group_run();
        let (off, call_off) = watch::channel(false);
        let (answer, answered) = oneshot::channel();
        let (ends, ended) = oneshot::channel();
        actix_rt::spawn(async move {
            before.wait().await;
            let mut answers = Vec::new();
            for of in setup.checks.iter() {
                if *call_off.borrow() {
                    break;
                }
                let checked = run.check(&of.word, &of.check, of.limit, &call_off).await;
                let answer = in_time(checked, of.limit, &setup).await;
                answers.push((of.word.clone(), of.check.to_string(), answer));
            }
            let _ = ends.send(());
            let _ = answer.send(answers);
        });
        let (tell, told) = oneshot::channel();
        // Ended with the check: then nobody tells.
        let task = ctx.spawn(answered.into_actor(self).map(|answers, act, _| {
            if let Some(watching) = &mut act.watching {
                watching.in_hand = None;
            }
            if let Ok(answers) = answers {
                let _ = tell.send(answers);
            }
        }));
        if let Some(watching) = &mut self.watching {
            watching.in_hand = Some(InHand {
                task,
                off,
                ended,
                for_people: true,
            });
        }
        Box::pin(async move { told.await.map_err(|_| why_ended) })
    }
}

#[cfg(test)]
mod tests;
