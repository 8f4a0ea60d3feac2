//! The actors of a host to which the core speaks: the groups, for orders, their outcomes and moves of addresses, and
//! root for the rest. After a panic of one of them its present message is lost; it restarts and the important messages
//! are sent again. A receiver recognises a message that it gets twice.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::event::OrderId;

use super::chance::{Chance, Place, within};
use super::ids::{GroupId, HostId};
use super::queue::{Happening, Ordered};
use super::world::{Micros, World};

/// It restarts within this time.
const RESTART: Micros = 50_000;

/// The messages that are sent again.
#[derive(Debug, Default)]
pub(crate) struct Root {
    /// It panics at the next message.
    pub(crate) panics: bool,
    /// Orders whose outcome the core has not received, and those of them that were lost.
    orders: BTreeMap<GroupId, Ordered>,
    lost: BTreeSet<OrderId>,
    /// Addresses that were moved without an order since: `true`: restored.
    moved: BTreeMap<GroupId, bool>,
    clients_stop: bool,
    end: Option<End>,
}

/// Events that end everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Exit,
    Reboot,
}

impl Root {
    /// Another core, or another process.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn answered(&mut self, group: GroupId) {
        self.orders.remove(&group);
    }

    /// Whether the core waits for the outcome of this order.
    pub(crate) fn awaits(&self, ordered: &Ordered) -> bool {
        let order = self.orders.get(&ordered.group);
        order.is_some_and(|order| order.is(ordered))
    }

    pub(crate) fn ordered(&mut self, ordered: Ordered) {
        self.moved.remove(&ordered.group);
        self.orders.insert(ordered.group, ordered);
    }

    pub(crate) fn moves(&mut self, group: GroupId, there: bool) {
        self.moved.insert(group, there);
    }

    pub(crate) fn stops_clients(&mut self) {
        self.clients_stop = true;
    }

    pub(crate) fn ends(&mut self, end: End) {
        self.end = Some(end);
    }

    pub(crate) fn loses(&mut self, order: OrderId) {
        self.lost.insert(order);
    }
}

impl World {
    /// Whether root panics at this message, which is then lost.
    pub(crate) fn root_loses_it(&mut self, host: HostId) -> bool {
        if !std::mem::take(&mut self.hosts[host].root.panics) {
            return false;
        }
        self.note(format_args!("{host}: root panics"));
        let drawn = self.noise.draw(Chance::Root, Place::host(host), self.now);
        let life = self.hosts[host].life;
        let when = self.now + within(drawn, 0..RESTART);
        self.at(when, Happening::TellAgain { host, life });
        true
    }

    /// Root runs again.
    pub(crate) fn tell_again(&mut self, host: HostId) {
        let root = &mut self.hosts[host].root;
        let (moved, lost) = (root.moved.clone(), std::mem::take(&mut root.lost));
        let orders: Vec<Ordered> = root.orders.values().copied().collect();
        let (clients_stop, end) = (root.clients_stop, root.end);
        if clients_stop {
            let life = self.hosts[host].life;
            let when = self.now + self.internal_delay(host);
            self.at(when, Happening::ClientsStopped { host, life });
        }
        for (group, there) in moved {
            self.move_addresses(host, group, there);
        }
        for ordered in orders {
            if lost.contains(&ordered.order) {
                self.write_order_down(host, ordered);
            }
            let when = self.now + self.internal_delay(host);
            self.at(when, Happening::Order { host, ordered });
        }
        match end {
            Some(End::Exit) => self.exit(host),
            Some(End::Reboot) => self.crash(host),
            None => {}
        }
    }
}
