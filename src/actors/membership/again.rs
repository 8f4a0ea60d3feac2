//! What root and the groups have to know, kept to be told again: each may begin anew after a fault,
//! and lose what it had in hand. Everything here is safe to be told twice.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::{Context, Handler};

use super::MembershipActor;
use crate::actors::messages::{
    CallOffFence, FenceNode, GroupCommand, PeerStatus, RootEvent, TellAgain, ToGroups,
};
use crate::clock::Monotonic;
use crate::policy::fencing::FenceOrder;
use crate::protocol::name::NodeName;
use crate::protocol::status::NodeStatus;

/// How long a restart of the machine is asked for again.
const REBOOT_STANDS: Duration = Duration::from_secs(5);

/// What was told last, of each kind that has an effect.
#[derive(Debug, Default)]
pub(super) struct LastTold {
    /// Communication came up, or the clients were to be stopped.
    clients: Option<RootEvent>,
    statuses: BTreeMap<NodeName, NodeStatus>,
    /// Orders to reset a node that were not answered: the node, or nothing if it was called off.
    fences: BTreeMap<FenceOrder, Option<FenceNode>>,
    /// The machine is to be restarted, or the process is to end; and when that was told.
    end: Option<(RootEvent, Monotonic)>,
}

impl LastTold {
    /// Notes an event for root.
    pub(super) fn note(&mut self, event: &RootEvent, now: Monotonic) {
        match event {
            RootEvent::CommUp | RootEvent::StopClients => self.clients = Some(event.clone()),
            RootEvent::PeerStatus(PeerStatus { node, status }) => {
                self.statuses.insert(node.clone(), *status);
            }
            RootEvent::Fence(told) => {
                // What was called off before and told again meanwhile is over.
                self.fences.retain(|_, told| told.is_some());
                self.fences.insert(told.order, Some(told.clone()));
            }
            RootEvent::CallOffFence(CallOffFence { order }) => {
                self.fences.insert(*order, None);
            }
            RootEvent::Exit | RootEvent::RebootMachine { .. } => {
                self.end = Some((event.clone(), now));
            }
            // Told from what is known anyhow, or nothing follows from it.
            RootEvent::GenerationTaken(_) | RootEvent::FirstHeartbeat => {}
        }
    }

    /// The order was answered.
    pub(super) fn fenced(&mut self, order: FenceOrder) {
        self.fences.remove(&order);
    }

    /// The core that gave the orders is gone. Those for nodes that the next one does not wait for are
    /// to be called off; it asks for the others itself.
    pub(super) fn another_core(&mut self, waits_for: &[NodeName]) -> Vec<FenceOrder> {
        let fences = std::mem::take(&mut self.fences);
        let idle = |told: &FenceNode| !waits_for.contains(&told.node);
        let orders = fences
            .into_iter()
            .filter(|(_, told)| told.as_ref().is_some_and(idle));
        orders.map(|(order, _)| order).collect()
    }

    /// What ends everything. A restart of the machine that was refused is for a person: an old one is
    /// not asked for again.
    fn end(&self, now: Monotonic) -> Option<RootEvent> {
        let (event, told) = self.end.as_ref()?;
        let stands = *event == RootEvent::Exit || now.since(*told) < REBOOT_STANDS;
        stands.then(|| event.clone())
    }

    fn statuses(&self) -> impl Iterator<Item = PeerStatus> {
        self.statuses.iter().map(|(node, status)| PeerStatus {
            node: node.clone(),
            status: *status,
        })
    }

    fn fences(&self) -> impl Iterator<Item = RootEvent> {
        self.fences.iter().map(|(order, told)| match told.clone() {
            Some(told) => RootEvent::Fence(told),
            None => RootEvent::CallOffFence(CallOffFence { order: *order }),
        })
    }
}

impl Handler<TellAgain> for MembershipActor {
    type Result = ();

    fn handle(&mut self, whom: TellAgain, _: &mut Context<Self>) {
        match whom {
            TellAgain::Root => self.tell_root_again(),
            TellAgain::Groups => self.tell_groups_again(),
        }
    }
}

impl MembershipActor {
    /// The end comes last.
    fn tell_root_again(&self) {
        self.send_to_root(RootEvent::GenerationTaken(self.setup.identity.generation));
        let statuses = self.last_told.statuses().map(RootEvent::PeerStatus);
        let end = self.last_told.end(self.clock.now().instant);
        let clients = self.last_told.clients.clone();
        let fences = self.last_told.fences();
        let events = statuses.chain(clients).chain(fences).chain(end);
        events.for_each(|event| self.send_to_root(event));
    }

    fn tell_groups_again(&self) {
        self.tell_groups(ToGroups::Duty(self.told.clone()));
        for status in self.last_told.statuses() {
            self.tell_groups(ToGroups::Peer(status));
        }
        for (group, withdraw) in self.kept.ledger.moved() {
            let groups = vec![group.clone()];
            self.tell_groups(ToGroups::Addresses { groups, withdraw });
        }
        for command in GroupCommand::in_hand(&self.kept.ledger) {
            self.tell_groups(ToGroups::Order(command));
        }
    }
}
