//! Service addresses. Before some starts the network is asked whether another host answers for
//! them, as root and the groups of the program do it. Every group has an address, unless the plan
//! says that none does, and the other host is asked for it on the cables over which the nodes
//! receive each other.

use std::collections::BTreeMap;

use crate::protocol::event::{GroupOrder, GroupOutcome};

use super::chance::{Chance, Place, within};
use super::ids::{GroupId, HostId};
use super::queue::{Happening, Ordered};
use super::world::{Micros, SECOND, World};

/// How often the network is asked, with a pause between.
const ROUNDS: u32 = 7;
const ROUND_PAUSE: Micros = 100_000;
/// How long to wait for answers in total.
const WINDOW: Micros = 800_000;
/// A refused start is tried again after ten seconds; the question and the order in hand take time.
const TRIED_AGAIN: Micros = 15 * SECOND;

/// What a process knows of other nodes and of refused starts.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    /// Another node was received during its life, or groups ran on from an earlier process.
    heard: bool,
    /// Groups whose last start was refused, and when.
    refused: BTreeMap<GroupId, Micros>,
}

impl Asks {
    /// A process that begins; `ran`: groups ran on from an earlier one.
    pub(crate) fn new(ran: bool) -> Self {
        Self {
            heard: ran,
            refused: BTreeMap::new(),
        }
    }

    /// The status of the other node.
    pub(crate) fn status(&mut self, dead: bool) {
        if dead {
            // Groups that it held are taken without a delay.
            self.refused.clear();
        } else {
            self.heard = true;
        }
    }

    /// The outcome of an order.
    pub(crate) fn done(&mut self, group: GroupId, outcome: &GroupOutcome, now: Micros) {
        if matches!(outcome, GroupOutcome::AddressTaken { .. }) {
            self.refused.insert(group, now);
        } else {
            self.refused.remove(&group);
        }
    }

    /// Whether a start was refused a moment ago.
    pub(crate) fn waits(&self, group: GroupId, now: Micros) -> bool {
        let at = self.refused.get(&group);
        at.is_some_and(|at| now < at + TRIED_AGAIN)
    }

    /// Whether the network has refused the last start, and is asked before the next.
    pub(crate) fn was_refused(&self, group: GroupId) -> bool {
        self.refused.contains_key(&group)
    }

    /// Whether the network is asked before a start although the core did not request it.
    pub(crate) fn is_careful(&self, group: GroupId) -> bool {
        !self.heard || self.refused.contains_key(&group)
    }
}

impl World {
    /// The next question to the network, or the end of the wait for its answers.
    pub(crate) fn ask_network(
        &mut self,
        host: HostId,
        ordered: Ordered,
        round: u32,
        mut claimed: bool,
    ) {
        claimed |= round < ROUNDS && self.is_answered(host, ordered.group);
        if round > ROUNDS {
            return self.network_answered(host, ordered, claimed);
        }
        let pause = if round < ROUNDS {
            ROUND_PAUSE
        } else {
            WINDOW - ROUND_PAUSE * Micros::from(ROUNDS)
        };
        let machine = self.hosts[host].machine;
        let asked = Happening::Asked {
            host,
            machine,
            ordered,
            round: round + 1,
            claimed,
        };
        self.at(self.now + pause, asked);
    }

    /// Whether the other host answers for a group's address now. Its kernel answers, not its
    /// daemon.
    pub(crate) fn is_answered(&mut self, host: HostId, group: GroupId) -> bool {
        let other = &self.hosts[host.other()];
        if self.plan.features.mute || !other.groups[group].address || other.machine_frozen {
            return false;
        }
        (0..self.plan.media).any(|medium| {
            [host, host.other()].into_iter().all(|from| {
                let drawn = self
                    .noise
                    .draw(Chance::Asked, Place::medium(from, medium), self.now);
                self.paths[from][medium].carries(within(drawn, 0..100), self.now)
            })
        })
    }

    fn network_answered(&mut self, host: HostId, ordered: Ordered, claimed: bool) {
        if !claimed {
            return self.next_start(host, ordered.group);
        }
        let group = ordered.group;
        // The rest of it here is removed: two hosts have it.
        self.address(host, group, false);
        self.note(format_args!("{host} {group}: another host has its address"));
        let claim = self.plan.group_key(group).to_string();
        self.undo(host, group, GroupOutcome::AddressTaken { claim });
    }

    /// Whether the network must be asked before this order, as far as the process knows.
    pub(crate) fn asks_first(&self, host: HostId, ordered: &Ordered) -> bool {
        let careful = ordered.careful || self.hosts[host].asks.is_careful(ordered.group);
        let has_address = match &self.scripted {
            Some(scripted) => scripted.has_address(&self.plan, ordered.group),
            None => true,
        };
        let asks = has_address && !self.plan.is_legacy(host);
        ordered.what == GroupOrder::Start && careful && asks
    }
}
