//! All groups of the node: hands orders to them and their outcomes back, and knows what was ordered
//! last, for requests over the control socket.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use actix::WeakRecipient;
use actix::prelude::*;
use actix_rt::Arbiter;
use tokio::sync::oneshot;
use tracing::error;

use crate::actors::messages::{GroupCommand, GroupDone, MayStart, MoveAddresses};
use crate::actors::resource_group::{
    Care, CarefulStart, GroupContext, Outcomes, ResourceGroupActor,
};
use crate::actors::supervise::{RestartPolicy, supervise};
use crate::clients::control::{GroupAnswer, GroupView};
use crate::protocol::event::{GroupOrder, GroupOutcome, OrderId};
use crate::protocol::group::{GroupKey, ResourceGroup};

mod kept;
mod unanswered;
pub use kept::AskAllKept;
pub use unanswered::{LookForOwners, Unanswered};

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
    /// The last order.
    wanted: Option<GroupOrder>,
    /// Orders handed on and not answered, and whether the network is to be probed first.
    in_hand: BTreeMap<OrderId, (GroupOrder, bool)>,
    /// The last outcomes: if an order is given twice, its outcome was lost.
    done: Outcomes,
    last: Option<GroupAnswer>,
    /// The end of the output of the script that failed.
    said: Option<String>,
    waiters: Vec<oneshot::Sender<GroupAnswer>>,
    /// Whether a host answered for its addresses, while another node holds it.
    looks: unanswered::Looks,
}

impl Entry {
    /// Whether it is held here, or an order for it is in hand.
    fn is_ours(&self) -> bool {
        self.wanted == Some(GroupOrder::Start) || !self.in_hand.is_empty()
    }

    /// The answer to a caller when nothing is in hand.
    fn answer(&self, wants: Option<GroupOrder>) -> GroupAnswer {
        let last = || self.last.clone().unwrap_or(GroupAnswer::Stopped);
        match (wants, self.wanted) {
            (Some(GroupOrder::Start), Some(GroupOrder::Stop) | None) => GroupAnswer::NotHeld,
            (Some(GroupOrder::Stop), Some(GroupOrder::Start)) => GroupAnswer::Held,
            (Some(GroupOrder::Stop), None) => GroupAnswer::Stopped,
            (Some(GroupOrder::Start), Some(GroupOrder::Start))
            | (Some(GroupOrder::Stop), Some(GroupOrder::Stop))
            | (None, _) => last(),
        }
    }
}

/// Owns the group actors.
pub struct GroupsActor {
    entries: Vec<Entry>,
    places: HashMap<GroupKey, usize>,
    done: Recipient<GroupDone>,
}

impl GroupsActor {
    /// Starts one supervised actor per group on the current arbiter. Outcomes go to `done`, the
    /// question whether a start still stands to `core`. `running`: groups that run on from an
    /// earlier run of the daemon.
    #[must_use]
    pub fn new(
        ctx: &mut Context<Self>,
        context: &Arc<GroupContext>,
        groups: &[ResourceGroup],
        running: &[GroupKey],
        done: Recipient<GroupDone>,
        core: &WeakRecipient<MayStart>,
    ) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let mut places = HashMap::new();
        for group in groups {
            if places.contains_key(&group.key) {
                error!(key = %group.key, "two lines of haresources have this key: the first counts");
                continue;
            }
            let (context, loaded) = (Arc::clone(context), group.clone());
            let (back, core) = (ctx.address().downgrade().recipient(), core.clone());
            let policy = RestartPolicy::new(format!("group {}", group.key));
            let runs = running.contains(&group.key);
            // What an earlier process had in hand gets an order first.
            let settled = runs && !context.unfinished.contains(&group.key);
            let actor = supervise(&Arbiter::current(), policy, move |_| {
                ResourceGroupActor::new(context, loaded, back, core).running(settled)
            });
            places.insert(group.key.clone(), entries.len());
            entries.push(Entry {
                group: group.clone(),
                actor,
                wanted: runs.then_some(GroupOrder::Start),
                in_hand: BTreeMap::new(),
                done: Outcomes::default(),
                last: runs.then_some(GroupAnswer::Started),
                said: None,
                waiters: Vec::new(),
                looks: unanswered::Looks::default(),
            });
        }
        Self {
            entries,
            places,
            done,
        }
    }

    fn entry(&mut self, key: &GroupKey) -> Option<&mut Entry> {
        let place = *self.places.get(key)?;
        self.entries.get_mut(place)
    }
}

impl Actor for GroupsActor {
    type Context = Context<Self>;
}

impl Supervised for GroupsActor {
    /// Messages on their way to or from the groups may be lost.
    fn restarting(&mut self, _: &mut Self::Context) {
        for entry in &self.entries {
            for (order, (what, careful)) in &entry.in_hand {
                let command = GroupCommand {
                    order: *order,
                    group: entry.group.key.clone(),
                    what: *what,
                    careful: *careful,
                };
                entry.hand_on(command, *careful);
            }
        }
    }
}

impl Entry {
    fn hand_on(&self, command: GroupCommand, careful: bool) {
        if careful {
            self.actor.do_send(CarefulStart(command));
        } else {
            self.actor.do_send(command);
        }
    }

    /// Whether this applies to the group in its present state.
    fn needs(&self, care: Care) -> bool {
        let idle = self.in_hand.is_empty();
        let held = self.wanted == Some(GroupOrder::Start);
        match care {
            Care::Look => idle && self.wanted.is_none(),
            // What could not be stopped still runs, and the administrator is responsible for it
            // now.
            Care::Tidy => {
                idle && !held && !matches!(self.last, Some(GroupAnswer::StopFailed { .. }))
            }
            Care::Check | Care::Announce => idle && held && self.last == Some(GroupAnswer::Started),
        }
    }
}

impl Handler<Care> for GroupsActor {
    type Result = ();

    fn handle(&mut self, care: Care, _: &mut Self::Context) {
        for entry in self.entries.iter().filter(|entry| entry.needs(care)) {
            entry.actor.do_send(care);
        }
    }
}

impl GroupsActor {
    fn order(&mut self, command: GroupCommand, careful: bool) {
        if let Some(entry) = self.entry(&command.group) {
            if let Some(done) = entry.done.of(command.order) {
                self.done.do_send(done);
                return;
            }
            // In hand already: the actor knows it, unless the order was lost on the way.
            let given = entry.in_hand.entry(command.order);
            let (_, careful) = *given.or_insert((command.what, careful));
            entry.wanted = Some(command.what);
            entry.hand_on(command, careful);
            return;
        }
        error!(key = %command.group, "order for a group that does not exist");
        let outcome = match command.what {
            GroupOrder::Start => GroupOutcome::StartFailed {
                resource: command.group.to_string(),
                code: 127,
            },
            GroupOrder::Stop => GroupOutcome::Stopped,
        };
        self.done.do_send(GroupDone {
            order: command.order,
            group: command.group,
            outcome,
            said: None,
        });
    }
}

impl Handler<GroupCommand> for GroupsActor {
    type Result = ();

    fn handle(&mut self, command: GroupCommand, _: &mut Self::Context) {
        self.order(command, false);
    }
}

impl Handler<CarefulStart> for GroupsActor {
    type Result = ();

    fn handle(&mut self, CarefulStart(command): CarefulStart, _: &mut Self::Context) {
        self.order(command, true);
    }
}

impl Handler<MoveAddresses> for GroupsActor {
    type Result = ();

    fn handle(&mut self, order: MoveAddresses, _: &mut Self::Context) {
        if let Some(entry) = self.entry(&order.group) {
            entry.actor.do_send(order);
        }
    }
}

impl Handler<GroupDone> for GroupsActor {
    type Result = ();

    fn handle(&mut self, done: GroupDone, _: &mut Self::Context) {
        if let Some(entry) = self.entry(&done.group) {
            if entry.in_hand.remove(&done.order).is_none() {
                // Carried out once more after a fault of its actor.
                return;
            }
            entry.done.keep(&done);
            let answer = GroupAnswer::from(&done.outcome);
            entry.last = Some(answer.clone());
            entry.said.clone_from(&done.said);
            if entry.in_hand.is_empty() {
                for waiter in entry.waiters.drain(..) {
                    // No receiver: the helper program has ended.
                    let _ = waiter.send(answer.clone());
                }
            }
        }
        self.done.do_send(done);
    }
}

impl Handler<AskGroup> for GroupsActor {
    type Result = ResponseFuture<GroupAnswer>;

    fn handle(&mut self, ask: AskGroup, _: &mut Self::Context) -> Self::Result {
        let Some(entry) = self.entry(&ask.key) else {
            return Box::pin(async { GroupAnswer::Unknown });
        };
        let now = entry.answer(ask.wants);
        let to_come = ask.wants.is_some() && entry.wanted == ask.wants;
        if entry.in_hand.is_empty() {
            return Box::pin(async { now });
        }
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
        let view = |entry: &Entry| GroupView {
            key: entry.group.key.to_string(),
            owner: entry.group.owner.to_string(),
            wanted: entry.wanted == Some(GroupOrder::Start),
            busy: !entry.in_hand.is_empty(),
            last: entry.last.clone(),
            said: entry.said.clone(),
            unanswered: entry.looks.told() && !entry.is_ours(),
            absent: Vec::new(),
        };
        self.entries.iter().map(view).collect()
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
