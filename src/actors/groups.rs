//! All groups of the node: hands orders to them and their outcomes back, writes both down for a
//! successor first, and answers requests over the control socket from the
//! [ledger of orders](crate::node::ledger).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use actix::WeakRecipient;
use actix::prelude::*;
use actix_rt::Arbiter;
use tokio::sync::oneshot;
use tracing::{debug, error};

use crate::actors::messages::{
    GroupCommand, GroupDone, MayStart, MoveAddresses, OutcomesTo, ToGroups,
};
use crate::actors::resource_group::{Care, GroupContext, ResourceGroupActor, end_earlier_checks};
use crate::actors::shared::{Shared, SharedLedger};
use crate::actors::supervise::{RestartPolicy, supervise};
use crate::clients::control::{GroupAnswer, GroupCounts, GroupView, Place};
use crate::clock::Clock;
use crate::node::ledger::{Ended, Given, Ledger, Order};
use crate::protocol::event::{GroupOrder, GroupOutcome};
use crate::protocol::group::{GroupKey, ResourceGroup};

mod care;
mod held;
mod kept;
mod monitors;
mod seal;
mod unanswered;
pub use care::CareSetup;
pub use held::HeldFile;
pub use kept::{AllKept, AskAllAddresses, AskAllKept, LinkUp};
pub use monitors::{ClearGroup, MonitorSetup, RunChecks};
pub use seal::{Seal, Unseal, Written};

/// Most waiting helper programs per group; the control socket admits hardly more connections.
const MAX_WAITERS: usize = 32;

/// Asks about one group. A caller that wants what was ordered last is answered when that is done;
/// every other caller at once.
#[derive(Debug, Clone, Message)]
#[rtype(result = "GroupAnswer")]
pub struct AskGroup {
    /// Key of the group.
    pub key: GroupKey,
    /// What the caller wants to have happened; `None`: only the state.
    pub wants: Option<GroupOrder>,
}

/// Asks for the state of all groups, in the order of haresources.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Vec<GroupView>")]
pub struct AskGroups;

struct Entry {
    group: ResourceGroup,
    actor: Addr<ResourceGroupActor>,
    waiters: Vec<oneshot::Sender<GroupAnswer>>,
    /// Whether a host answered for its addresses, while another node holds it.
    looks: unanswered::Looks,
    /// When its last order ended, in seconds since 1970.
    changed_unix_s: Option<u64>,
    /// How orders have ended.
    counts: GroupCounts,
}

impl Entry {
    /// Whether it is held here, or an order for it is in hand.
    fn is_ours(&self, ledger: &Ledger) -> bool {
        let key = &self.group.key;
        ledger.is_busy(key) || ledger.wanted(key) == Some(GroupOrder::Start)
    }

    /// How its last order ended.
    fn last(&self, ledger: &Ledger) -> Option<GroupAnswer> {
        let key = &self.group.key;
        let last = ledger.last(key).map(|ended| (&ended.outcome).into());
        last.or_else(|| ledger.ran_before(key).then_some(GroupAnswer::Started))
    }

    /// The answer to a caller when nothing is in hand.
    fn answer(&self, ledger: &Ledger, wants: Option<GroupOrder>) -> GroupAnswer {
        let last = || self.last(ledger).unwrap_or(GroupAnswer::Stopped);
        match (wants, ledger.wanted(&self.group.key)) {
            (Some(wants), Some(GroupOrder::Stop) | None) if wants.starts() => GroupAnswer::NotHeld,
            (Some(GroupOrder::Stop), Some(wanted)) if wanted.starts() => GroupAnswer::Held,
            (Some(GroupOrder::Stop), None) => GroupAnswer::Stopped,
            _ => last(),
        }
    }

    /// Whether this applies to the group in its present state.
    fn needs(&self, ledger: &Ledger, care: Care) -> bool {
        let (key, last) = (&self.group.key, self.last(ledger));
        let (idle, wanted) = (!ledger.is_busy(key), ledger.wanted(key));
        let held = wanted == Some(GroupOrder::Start);
        match care {
            Care::Look => idle && wanted.is_none(),
            // What could not be stopped still runs, and the administrator is responsible for it
            // now.
            Care::Tidy => idle && !held && !matches!(last, Some(GroupAnswer::StopFailed { .. })),
            Care::Check(_) | Care::Announce | Care::LinkUp => {
                idle && held && last == Some(GroupAnswer::Started)
            }
        }
    }
}

/// Owns the group actors.
pub struct GroupsActor {
    entries: Vec<Entry>,
    places: HashMap<GroupKey, usize>,
    done: WeakRecipient<GroupDone>,
    held: Shared<HeldFile>,
    /// That of `held`.
    ledger: SharedLedger,
    care: care::Watch,
    monitors: MonitorSetup,
    /// Where the checks of an earlier daemon are recorded; `None`: they have been ended.
    earlier_checks: Option<PathBuf>,
    /// The node is frozen.
    frozen: bool,
    /// The process is about to replace itself: orders are written down and not begun.
    sealed: bool,
    clock: Clock,
}

/// What the groups begin with.
pub struct GroupsSetup {
    /// Of every group.
    pub context: Arc<GroupContext>,
    /// The groups, in the order of haresources.
    pub groups: Vec<ResourceGroup>,
    /// What is held, on disk for a successor. Its ledger says which groups run on from an earlier run
    /// of the daemon.
    pub held: Shared<HeldFile>,
    /// The outcomes go there.
    pub done: WeakRecipient<GroupDone>,
    /// Asked whether a start still stands.
    pub core: WeakRecipient<MayStart>,
    /// For the checks of addresses.
    pub care: CareSetup,
    /// For the checks of resources.
    pub monitors: MonitorSetup,
}

impl GroupsActor {
    /// Starts one supervised actor per group on the current arbiter.
    #[must_use]
    pub fn new(ctx: &mut Context<Self>, setup: GroupsSetup) -> Self {
        let GroupsSetup {
            context,
            groups,
            held,
            done,
            core,
            care,
            monitors,
        } = setup;
        let ledger = held.with(|held| held.ledger());
        let care = care::Watch::new(care, context.stray_addresses);
        let earlier_checks = Some(context.paths.scripts());
        let mut entries: Vec<Entry> = Vec::new();
        let mut places = HashMap::new();
        for group in &groups {
            if places.contains_key(&group.key) {
                error!(key = %group.key, "two lines of haresources have this key: the first counts");
                continue;
            }
            let (context, loaded) = (Arc::clone(&context), group.clone());
            let (back, core) = (ctx.address().downgrade().recipient(), core.clone());
            let policy = RestartPolicy::new(format!("group {}", group.key));
            let runs = ledger.with(|ledger| ledger.ran_before(&group.key));
            // What an earlier process had in hand gets an order first.
            let settled = runs && !context.unfinished.contains(&group.key);
            let shared = ledger.clone();
            let watched = monitors.watched.get(&group.key).cloned();
            let actor = supervise(&Arbiter::current(), policy, move |_| {
                let actor = ResourceGroupActor::new(context, loaded, shared, back, core);
                actor.watched(watched).running(settled)
            });
            places.insert(group.key.clone(), entries.len());
            entries.push(Entry {
                group: group.clone(),
                actor,
                waiters: Vec::new(),
                looks: unanswered::Looks::default(),
                changed_unix_s: None,
                counts: GroupCounts::default(),
            });
        }
        Self {
            entries,
            places,
            done,
            held,
            ledger,
            care,
            monitors,
            earlier_checks,
            frozen: false,
            sealed: false,
            clock: Clock::start(),
        }
    }

    fn entry(&mut self, key: &GroupKey) -> Option<&mut Entry> {
        let place = *self.places.get(key)?;
        self.entries.get_mut(place)
    }

    /// Notes an order and hands it on, unless it has been carried out.
    fn order(&mut self, mut command: GroupCommand) {
        command.careful = self.care.is_careful(&command);
        match self.held.with(|held| held.ordered(&command)) {
            Order::Ended(ended) => self.tell(GroupDone::of(command.group, ended)),
            // The actor knows it, unless the order was lost on the way.
            Order::InHand(Given { careful, .. }) => {
                self.hand_on(GroupCommand { careful, ..command });
            }
            Order::New => self.hand_on(command),
        }
    }

    /// Gives all orders in hand to their actors once more.
    fn hand_on_again(&mut self) {
        let commands = self.ledger.with(|ledger| GroupCommand::in_hand(ledger));
        for command in commands {
            self.hand_on(command);
        }
    }

    fn hand_on(&mut self, command: GroupCommand) {
        if self.sealed {
            return;
        }
        if let Some(entry) = self.entry(&command.group) {
            entry.actor.do_send(command);
            return;
        }
        error!(key = %command.group, "order for a group that does not exist");
        let outcome = match command.what {
            GroupOrder::Start | GroupOrder::Restart => GroupOutcome::StartFailed {
                resource: command.group.to_string(),
                code: 127,
            },
            GroupOrder::Stop => GroupOutcome::Stopped,
        };
        let ended = Ended {
            order: command.order,
            outcome,
            said: None,
        };
        self.is_done(GroupDone::of(command.group, ended));
    }

    /// Hands an outcome on that nobody has heard yet.
    fn is_done(&mut self, done: GroupDone) {
        if !self.held.with(|held| held.done(&done)) {
            // Carried out once more after a fault of its actor.
            return;
        }
        let key = &done.group;
        let busy = self.ledger.with(|ledger| ledger.is_busy(key));
        let unix_s = self.clock.now().unix_s;
        if let Some(entry) = self.entry(key) {
            entry.changed_unix_s = Some(unix_s);
            entry.counts.count(&GroupAnswer::from(&done.outcome));
        }
        if !busy && let Some(entry) = self.entry(key) {
            for waiter in entry.waiters.drain(..) {
                // No receiver: the helper program has ended.
                let _ = waiter.send(GroupAnswer::from(&done.outcome));
            }
        }
        if self.care.done(&done) {
            self.look_after(Care::Announce);
        }
        self.tell(done);
    }

    fn tell(&self, done: GroupDone) {
        match self.done.upgrade() {
            Some(to) => to.do_send(done),
            None => debug!(?done, "nobody waits for this outcome"),
        }
    }

    fn move_addresses(&mut self, order: MoveAddresses) {
        if let Some(entry) = self.entry(&order.group) {
            entry.actor.do_send(order);
        }
    }
}

impl Actor for GroupsActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.look_at_addresses(ctx);
        self.tend(1, ctx);
        let records = self.earlier_checks.take();
        let ended = async move {
            if let Some(records) = records {
                end_earlier_checks(&records).await;
            }
        };
        let ended = ended.into_actor(self);
        ctx.spawn(ended.map(|(), act, ctx| act.watch_resources(ctx)));
    }
}

impl Supervised for GroupsActor {
    /// Messages on their way to or from the groups may be lost.
    fn restarting(&mut self, _: &mut Self::Context) {
        self.care.begins_anew();
        self.hand_on_again();
    }
}

impl Handler<GroupCommand> for GroupsActor {
    type Result = ();

    fn handle(&mut self, command: GroupCommand, _: &mut Self::Context) {
        self.order(command);
    }
}

impl Handler<MoveAddresses> for GroupsActor {
    type Result = ();

    fn handle(&mut self, order: MoveAddresses, _: &mut Self::Context) {
        self.move_addresses(order);
    }
}

impl Handler<ToGroups> for GroupsActor {
    type Result = ();

    fn handle(&mut self, news: ToGroups, ctx: &mut Self::Context) {
        match news {
            ToGroups::Duty(duty) => {
                if duty.frozen && !self.frozen {
                    self.pause_checks();
                }
                self.frozen = duty.frozen;
                self.held.with(|held| held.duty(duty));
            }
            ToGroups::Peer(status) => self.peer_status(status, ctx),
            ToGroups::Addresses { groups, withdraw } => {
                self.held.with(|held| held.addresses(&groups, withdraw));
                for group in groups {
                    self.move_addresses(MoveAddresses { group, withdraw });
                }
            }
            ToGroups::Order(command) => self.order(command),
        }
    }
}

impl Handler<OutcomesTo> for GroupsActor {
    type Result = ();

    fn handle(&mut self, OutcomesTo(done): OutcomesTo, _: &mut Self::Context) {
        self.done = done;
    }
}

impl Handler<GroupDone> for GroupsActor {
    type Result = ();

    fn handle(&mut self, done: GroupDone, _: &mut Self::Context) {
        self.is_done(done);
    }
}

impl Handler<AskGroup> for GroupsActor {
    type Result = ResponseFuture<GroupAnswer>;

    fn handle(&mut self, ask: AskGroup, _: &mut Self::Context) -> Self::Result {
        let ledger = self.ledger.clone();
        let Some(entry) = self.entry(&ask.key) else {
            return Box::pin(async { GroupAnswer::Unknown });
        };
        let (now, wanted, busy) = ledger.with(|ledger| {
            let now = entry.answer(ledger, ask.wants);
            (now, ledger.wanted(&ask.key), ledger.is_busy(&ask.key))
        });
        if !busy {
            return Box::pin(async { now });
        }
        let to_come = ask.wants.is_some() && wanted == ask.wants;
        entry.waiters.retain(|waiter| !waiter.is_closed());
        if !to_come || entry.waiters.len() >= MAX_WAITERS {
            let busy = ask.wants.is_none() || to_come;
            return Box::pin(async move { if busy { GroupAnswer::Busy } else { now } });
        }
        let (sender, outcome) = oneshot::channel();
        entry.waiters.push(sender);
        Box::pin(async { outcome.await.unwrap_or(GroupAnswer::Busy) })
    }
}

impl Handler<AskGroups> for GroupsActor {
    type Result = Vec<GroupView>;

    fn handle(&mut self, _: AskGroups, _: &mut Self::Context) -> Self::Result {
        let now = self.clock.now().instant;
        let view = |ledger: &Ledger, entry: &Entry| GroupView {
            key: entry.group.key.to_string(),
            owner: entry.group.owner.to_string(),
            wanted: ledger.wanted(&entry.group.key) == Some(GroupOrder::Start),
            busy: ledger.is_busy(&entry.group.key),
            last: entry.last(ledger),
            said: ledger
                .last(&entry.group.key)
                .and_then(|ended| ended.said.clone()),
            unanswered: entry.looks.told() && !entry.is_ours(ledger),
            absent: Vec::new(),
            resources: entry.group.resources.clone(),
            place: Place::Unknown,
            runs_on: None,
            changed_unix_s: entry.changed_unix_s,
            counts: entry.counts,
            monitors: self.monitors.view(&entry.group.key, now),
            standby: self.monitors.standby(&entry.group.key, now),
        };
        self.ledger.with(|ledger| {
            let entries = self.entries.iter();
            entries.map(|entry| view(ledger, entry)).collect()
        })
    }
}

impl From<&GroupOutcome> for GroupAnswer {
    fn from(outcome: &GroupOutcome) -> Self {
        match outcome {
            GroupOutcome::Started => Self::Started,
            GroupOutcome::StartFailed { resource, code } => Self::StartFailed {
                resource: resource.clone(),
                code: *code,
            },
            GroupOutcome::AddressTaken { claim } => Self::AddressTaken {
                claim: claim.clone(),
            },
            GroupOutcome::Stopped => Self::Stopped,
            GroupOutcome::StopFailed { resource } => Self::StopFailed {
                resource: resource.clone(),
            },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
