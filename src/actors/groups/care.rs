//! Watches over the service addresses beside the orders: does another host have one, is one here
//! that must not be, has a conflict ended? The group actors do the work; this file decides when.
//!
//! | When | What |
//! |---|---|
//! | until the first other node is received, every [`LOOK`] | groups that were not ordered to start probe for their addresses |
//! | a start while no other node has ever been received | the group probes first: the order is careful |
//! | the next start after it was refused, unless a node died meanwhile | the same |
//! | settled, every [`TEND`] | groups that are not held remove what is left of their addresses |
//! | settled, every [`CHECK_EVERY`]th time | groups that are held probe for other hosts with their addresses |
//! | the same, for groups that a legacy node reports that it holds | does any host answer for their addresses? WARN, `status` and `why` when not, twice in a row |
//! | a node that was dead is received | groups that are held announce again, and those that are started within [`CONFLICT`] |

use std::collections::BTreeSet;
use std::time::Duration;

use actix::WeakRecipient;
use actix::prelude::*;

use super::GroupsActor;
use crate::actors::messages::{
    AskSettled, GroupCommand, GroupDone, NoteDecision, PeerStatus, TellAgain,
};
use crate::actors::resource_group::Care;
use crate::clock;
use crate::config::settings::StrayAddresses;
use crate::net::probe::Effort;
use crate::protocol::event::{GroupOrder, GroupOutcome};
use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;
use crate::protocol::status::NodeStatus;

/// Pause between two probes before the start.
const LOOK: Duration = Duration::from_secs(2);

/// Pause between two checks for addresses that must not be here.
const TEND: Duration = Duration::from_secs(5);

/// At every so many of these checks, held addresses are probed.
const CHECK_EVERY: u32 = 4;

/// How long after the return of a dead node a start counts as the end of a conflict.
const CONFLICT: Duration = Duration::from_secs(60);

/// What the checks begin with.
#[derive(Debug)]
pub struct CareSetup {
    /// Name of this node.
    pub local: NodeName,
    /// Whether the network may be asked at all.
    pub probe: bool,
    /// A group surely ran on from an earlier life of the daemon.
    pub ran_before: bool,
    /// Asked whether the node is settled.
    pub settled: WeakRecipient<AskSettled>,
    /// Told what was found, for `systole why`.
    pub decisions: WeakRecipient<NoteDecision>,
    /// Asked to tell again what may be lost.
    pub again: WeakRecipient<TellAgain>,
}

/// When addresses are checked.
#[derive(Debug)]
pub(super) struct Watch {
    setup: CareSetup,
    stray_addresses: StrayAddresses,
    known: Known,
}

impl Watch {
    pub(super) fn new(setup: CareSetup, stray_addresses: StrayAddresses) -> Self {
        Self {
            known: Known::new(setup.probe, setup.ran_before),
            setup,
            stray_addresses,
        }
    }

    /// Whether the network is to be probed before this order is carried out.
    pub(super) fn is_careful(&self, command: &GroupCommand) -> bool {
        self.known.is_careful(command)
    }

    /// Who knows whether the node is settled.
    pub(super) fn settled(&self) -> Option<Recipient<AskSettled>> {
        self.setup.settled.upgrade()
    }

    /// An order was carried out. `true`: a conflict has ended, which is to be announced.
    pub(super) fn done(&mut self, done: &GroupDone) -> bool {
        self.known.done(done)
    }

    pub(super) fn is_local(&self, node: &NodeName) -> bool {
        *node == self.setup.local
    }

    /// Tells membership what was found.
    pub(super) fn tell(&self, found: NoteDecision) {
        if let Some(membership) = self.setup.decisions.upgrade() {
            membership.do_send(found);
        }
    }

    /// After a panic of the groups the timers are gone, and a message may be lost.
    pub(super) fn begins_anew(&mut self) {
        self.known.timers_are_gone();
        if let Some(membership) = self.setup.again.upgrade() {
            membership.do_send(TellAgain::Groups);
        }
    }
}

/// What is known about other nodes and refused starts.
#[derive(Debug, Default)]
struct Known {
    /// Whether starts may be probed at all.
    probe: bool,
    /// Another node was received in this run, or resources ran on from an earlier one.
    heard: bool,
    dead: BTreeSet<NodeName>,
    /// How many nodes have returned from the dead within [`CONFLICT`].
    returned: usize,
    /// Groups whose last start was refused.
    refused: BTreeSet<GroupKey>,
}

impl Known {
    fn new(probe: bool, held_before: bool) -> Self {
        Self {
            probe,
            heard: held_before,
            ..Self::default()
        }
    }

    /// The status of another node. `true`: the node was dead and is back.
    fn status(&mut self, node: NodeName, status: NodeStatus) -> bool {
        if status == NodeStatus::Dead {
            // What it held must be taken without a delay.
            self.refused.clear();
            self.dead.insert(node);
            return false;
        }
        self.heard = true;
        self.dead.remove(&node)
    }

    /// After a panic of the groups the timers that end these conflicts are gone.
    fn timers_are_gone(&mut self) {
        self.returned = 0;
    }

    /// Whether the network is to be probed before this order is carried out.
    fn is_careful(&self, command: &GroupCommand) -> bool {
        self.probe
            && command.what == GroupOrder::Start
            && (command.careful || !self.heard || self.refused.contains(&command.group))
    }

    /// An order was carried out. `true`: a conflict has ended, which is to be announced.
    fn done(&mut self, done: &GroupDone) -> bool {
        if matches!(done.outcome, GroupOutcome::AddressTaken { .. }) {
            self.refused.insert(done.group.clone());
        } else {
            self.refused.remove(&done.group);
        }
        self.returned > 0 && done.outcome == GroupOutcome::Started
    }
}

impl GroupsActor {
    /// Hands a check on to the groups to whose state it applies.
    pub(super) fn look_after(&self, care: Care) {
        self.ledger.with(|ledger| {
            let needed = self.entries.iter().filter(|it| it.needs(ledger, care));
            needed.for_each(|entry| entry.actor.do_send(care));
        });
    }

    /// Before anything is held: probes which hosts have our addresses.
    pub(super) fn look_at_addresses(&mut self, ctx: &mut Context<Self>) {
        if self.care.known.probe && !self.care.known.heard {
            self.look_after(Care::Look);
            ctx.run_later(LOOK, Self::look_at_addresses);
        }
    }

    /// Checks the addresses when the node is settled; `turn` counts the checks. In transition it is
    /// not known what must be here; while frozen the administrator decides.
    pub(super) fn tend(&mut self, turn: u32, ctx: &mut Context<Self>) {
        if let Some(membership) = self.care.setup.settled.upgrade() {
            let asked = membership.send(AskSettled).into_actor(self);
            ctx.spawn(asked.map(move |answer, act, ctx| {
                if let Ok(Some(held_by_legacy)) = answer {
                    act.check(turn, &held_by_legacy, ctx);
                }
            }));
        }
        ctx.run_later(clock::until_common(TEND), move |act, ctx| {
            act.tend(turn.wrapping_add(1), ctx);
        });
    }

    fn check(
        &mut self,
        turn: u32,
        held_by_legacy: &[(GroupKey, NodeName)],
        ctx: &mut Context<Self>,
    ) {
        if self.care.stray_addresses != StrayAddresses::Ignore {
            self.look_after(Care::Tidy);
        }
        if self.care.known.probe && turn.is_multiple_of(CHECK_EVERY) {
            self.look_after(Care::Check(Effort::Routine));
            self.look_for_owners(held_by_legacy, ctx);
        }
    }
}

impl GroupsActor {
    /// The status of another node has changed.
    pub(super) fn peer_status(&mut self, status: PeerStatus, ctx: &mut Context<Self>) {
        let PeerStatus { node, status } = status;
        if self.care.known.status(node, status) {
            self.look_after(Care::Announce);
            let known = &mut self.care.known;
            known.returned = known.returned.saturating_add(1);
            ctx.run_later(CONFLICT, |act, _| {
                let known = &mut act.care.known;
                known.returned = known.returned.saturating_sub(1);
            });
        }
    }
}

impl Handler<Care> for GroupsActor {
    type Result = ();

    fn handle(&mut self, care: Care, _: &mut Self::Context) {
        self.look_after(care);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::event::OrderId;

    fn order(what: GroupOrder) -> GroupCommand {
        GroupCommand {
            order: OrderId(1),
            group: GroupKey::new("a"),
            what,
            careful: false,
        }
    }

    fn done(outcome: GroupOutcome) -> GroupDone {
        GroupDone {
            order: OrderId(1),
            group: GroupKey::new("a"),
            outcome,
            said: None,
        }
    }

    fn taken() -> GroupDone {
        done(GroupOutcome::AddressTaken {
            claim: String::new(),
        })
    }

    fn peer() -> NodeName {
        NodeName::new("node2").unwrap()
    }

    #[test]
    fn only_the_starts_of_a_lone_node_are_careful() {
        let mut known = Known::new(true, false);
        assert!(known.is_careful(&order(GroupOrder::Start)));
        assert!(!known.is_careful(&order(GroupOrder::Stop)));
        // That it is silent until initdead does not show that it lives.
        assert!(!known.status(peer(), NodeStatus::Dead));
        assert!(known.is_careful(&order(GroupOrder::Start)));
        assert!(known.status(peer(), NodeStatus::Up));
        assert!(!known.is_careful(&order(GroupOrder::Start)));
        // A takeover is never delayed.
        assert!(!known.status(peer(), NodeStatus::Dead));
        assert!(!known.is_careful(&order(GroupOrder::Start)));
        assert!(known.status(peer(), NodeStatus::Active));
        assert!(!known.status(peer(), NodeStatus::Up));
    }

    #[test]
    fn what_the_core_wants_asked_is_asked() {
        let careful = GroupCommand {
            careful: true,
            ..order(GroupOrder::Start)
        };
        let mut known = Known::new(true, true);
        known.status(peer(), NodeStatus::Active);
        assert!(known.is_careful(&careful));
        assert!(!Known::new(false, true).is_careful(&careful));
    }

    #[test]
    fn what_runs_on_from_an_earlier_life_is_not_asked_for() {
        assert!(!Known::new(true, true).is_careful(&order(GroupOrder::Start)));
        assert!(!Known::new(false, false).is_careful(&order(GroupOrder::Start)));
    }

    #[test]
    fn what_is_started_after_a_return_from_the_dead_is_announced_again() {
        let mut known = Known::new(true, false);
        known.returned = 1;
        assert!(!known.done(&done(GroupOutcome::Stopped)));
        assert!(known.done(&done(GroupOutcome::Started)));
    }

    #[test]
    fn a_refused_group_asks_again_until_it_runs_or_a_node_dies() {
        let mut known = Known::new(true, false);
        assert!(!known.done(&taken()));
        known.status(peer(), NodeStatus::Up);
        assert!(known.is_careful(&order(GroupOrder::Start)));
        assert!(!known.done(&done(GroupOutcome::Started)));
        assert!(!known.is_careful(&order(GroupOrder::Start)));
        assert!(!known.done(&taken()));
        known.status(peer(), NodeStatus::Dead);
        assert!(!known.is_careful(&order(GroupOrder::Start)));
    }
}
