//! One resource group: carries out start and stop orders, one at a time.
//!
//! The actor never assumes a state: every start begins with the scripts' `status`, and after a
//! panic the order in hand begins anew, after any script that is still running.
//! Spec: docs/protocol/resources.md, 9; order of words, 2.

mod bare;
mod care;
mod check;
mod context;
mod kept;
mod log;
mod monitor;
mod native;
mod operation;
mod permit;
mod run;
mod standby;
mod worker;

use std::collections::VecDeque;
use std::sync::Arc;

use actix::WeakRecipient;
use actix::prelude::*;
use tokio::sync::Mutex;
use tracing::{Instrument, error_span, warn};

pub use care::{AskUnanswered, Care};
pub(crate) use check::ChecksOfGroup;
pub use check::{CheckTurns, end_earlier_checks};
pub use context::{GroupContext, stops_for_ever};
pub use kept::{AskKept, KeptAddress, PutBack};
pub use monitor::{CheckNow, CheckOf, ForgetFailures, MayCheck, PauseChecks, Watched};
pub use native::{AddressFuture, AddressHandler, StartAllFuture};
pub use standby::MayLook;

use crate::actors::messages::{GroupCommand, GroupDone, MayStart};
use crate::actors::shared::SharedLedger;
use crate::clock::Clock;
use crate::node::ledger::{Ended, Ledger};
use crate::protocol::event::{GroupOrder, GroupOutcome};
use crate::protocol::group::ResourceGroup;
pub(crate) use bare::Bare;
pub(crate) use operation::GroupRun;
pub(crate) use permit::Permit;

/// What the group is doing now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    None,
    /// An order is being carried out.
    Order,
    /// Addresses that must not be here are being removed. An order that comes meanwhile waits for
    /// the end of that, some milliseconds.
    Tidying,
}

/// Runs the scripts of one group.
pub struct ResourceGroupActor {
    context: Arc<GroupContext>,
    group: ResourceGroup,
    done: WeakRecipient<GroupDone>,
    core: WeakRecipient<MayStart>,
    /// Orders not begun. The core gives one more order at most while one is in flight.
    waiting: VecDeque<GroupCommand>,
    /// The last order given was a stop.
    stopped: bool,
    /// Held while the addresses are moved without an order: such moves never overlap.
    moving: Arc<Mutex<()>>,
    bare: Bare,
    /// An outcome is noted here before it is sent: an order that is given again after its outcome
    /// was lost is not carried out again.
    ledger: SharedLedger,
    /// The order in hand; kept through a panic.
    current: Option<GroupCommand>,
    turn: Arc<Mutex<()>>,
    checks: ChecksOfGroup,
    work: Work,
    cared: care::Cared,
    kept: kept::Kept,
    watching: Option<monitor::Watching>,
    /// It runs on from an earlier life, and has had no order since.
    ran_before: bool,
    clock: Clock,
}

impl ResourceGroupActor {
    /// An idle group. `group` is what was loaded at start; the file is read again at every order.
    /// `core` is asked before every script of a start.
    #[must_use]
    pub fn new(
        context: Arc<GroupContext>,
        group: ResourceGroup,
        ledger: SharedLedger,
        done: WeakRecipient<GroupDone>,
        core: WeakRecipient<MayStart>,
    ) -> Self {
        Self {
            context,
            group,
            done,
            core,
            waiting: VecDeque::new(),
            stopped: false,
            moving: Arc::new(Mutex::new(())),
            bare: Bare::default(),
            ledger,
            current: None,
            turn: Arc::new(Mutex::new(())),
            checks: ChecksOfGroup::default(),
            work: Work::None,
            cared: care::Cared::default(),
            kept: kept::Kept::default(),
            watching: None,
            ran_before: false,
            clock: Clock::start(),
        }
    }

    /// The group runs on from an earlier life. Call before it is started.
    #[must_use]
    pub fn running(mut self, runs: bool) -> Self {
        self.ran_before = runs;
        self
    }

    /// With these monitors. Call before it is started.
    #[must_use]
    pub fn watched(mut self, watched: Option<Watched>) -> Self {
        self.watching = watched.map(monitor::Watching::new);
        self
    }

    fn group_run(&self) -> GroupRun {
        GroupRun {
            context: Arc::clone(&self.context),
            group: self.group.clone(),
            turn: Arc::clone(&self.turn),
            checks: self.checks.clone(),
            bare: self.bare.clone(),
        }
    }

    /// The outcome of the last order.
    fn last_outcome(&self) -> Option<GroupOutcome> {
        self.ledger.with(|ledger| {
            let last = ledger.last(&self.group.key);
            last.map(|ended| ended.outcome.clone())
        })
    }

    /// Whether there is neither work nor an order.
    fn is_idle(&self) -> bool {
        self.work == Work::None && self.current.is_none() && self.waiting.is_empty()
    }

    fn take(&mut self, command: GroupCommand, ctx: &mut Context<Self>) {
        let mut given = self.current.iter().chain(&self.waiting);
        if given.any(|known| known.order == command.order) {
            return;
        }
        let (key, order) = (&command.group, command.order);
        let ended = |ledger: &mut Ledger| ledger.ended_as(key, order).cloned();
        if let Some(ended) = self.ledger.with(ended) {
            if let Some(to) = self.done.upgrade() {
                to.do_send(GroupDone::of(command.group, ended));
            }
            return;
        }
        self.drop_question(ctx);
        self.forget_standby();
        self.ran_before = false;
        self.kept.ends();
        self.stopped = command.what == GroupOrder::Stop;
        if command.what == GroupOrder::Start {
            self.bare.set(false);
        }
        self.waiting.push_back(command);
        self.next(ctx);
    }

    /// Begins the next order when none is in hand.
    fn next(&mut self, ctx: &mut Context<Self>) {
        if self.work != Work::None {
            return;
        }
        if self.current.is_none() {
            self.current = self.waiting.pop_front();
        }
        let Some(command) = self.current.clone() else {
            return;
        };
        self.work = Work::Order;
        let check = self.end_check(ctx);
        let from = self.restarts_from();
        let mut run = self.group_run();
        let known = self.cared.fresh(self.clock.now().instant);
        let moving = Arc::clone(&self.moving);
        let span = error_span!("group", name = %command.group);
        let (done, ledger) = (self.done.clone(), self.ledger.clone());
        // Probed again every ten seconds: its scripts were checked the first time.
        let again = matches!(self.last_outcome(), Some(GroupOutcome::AddressTaken { .. }));
        let permit = Permit::Ask {
            order: command.order,
            core: self.core.clone(),
        };
        let work = async move {
            // A move that was begun before must not end after this order.
            drop(moving.lock().await);
            check.wait().await;
            run.refresh().await;
            let report = |outcome, said| {
                let (group, order) = (command.group, command.order);
                let ended = Ended {
                    order,
                    outcome,
                    said,
                };
                ledger.with(|ledger| ledger.ended(&group, ended.clone()));
                match done.upgrade() {
                    Some(done) => done.do_send(GroupDone::of(group, ended)),
                    None => warn!("nobody waits for the outcome of this order"),
                }
            };
            if command.careful
                && let Some(claim) = run.foreign_claim(known).await
            {
                let claim = claim.to_string();
                let taken = GroupOutcome::AddressTaken { claim };
                if again {
                    report(taken, None);
                } else {
                    run.refuse(taken, report).await;
                }
                return (run.group, None);
            }
            let restarted = match command.what {
                GroupOrder::Start => {
                    run.start(&permit, report).await;
                    None
                }
                GroupOrder::Stop => {
                    run.stop(report).await;
                    None
                }
                GroupOrder::Restart => Some(run.restart(&from, &permit, report).await),
            };
            (run.group, restarted)
        };
        let work = work.instrument(span).into_actor(self);
        ctx.spawn(work.map(|(group, restarted), act, ctx| {
            act.group = group;
            act.work = Work::None;
            act.current = None;
            match restarted {
                Some(ended) => act.was_restarted(ended.err().as_deref()),
                None => act.checks_begin(),
            }
            act.next(ctx);
            if act.is_idle() && act.last_outcome() == Some(GroupOutcome::Started) {
                act.begin_to_keep(ctx);
            }
        }));
    }
}

impl Actor for ResourceGroupActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.next(ctx);
        if self.ran_before || self.last_outcome() == Some(GroupOutcome::Started) && self.is_idle() {
            self.begin_to_keep(ctx);
        }
        if self.ran_before {
            self.checks_go_on();
        }
    }
}

impl Supervised for ResourceGroupActor {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.work = Work::None;
        self.cared = care::Cared::default();
        self.forget_check();
    }
}

impl Handler<GroupCommand> for ResourceGroupActor {
    type Result = ();

    fn handle(&mut self, command: GroupCommand, ctx: &mut Self::Context) {
        self.take(command, ctx);
    }
}

#[cfg(test)]
pub(crate) mod tests;
