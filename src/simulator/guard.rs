//! The guard of a host's service addresses: the real decisions, with a model of the kernel and of the group actors.
//!
//! Somebody removes addresses, and interfaces go down. What the guard hears comes with a delay, as between actors;
//! before an address is put back the core is asked twice, and the network in between, as the daemon does.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::node::MayPutBack;
use crate::policy::address_guard::{self, Action, AddressGuard, Found, Held, Seen, Spot, Tried};
use crate::protocol::event::Event;
use crate::protocol::links::{Link, OwnLinks};

use super::daemon::Daemon;
use super::ids::{GroupId, HostId};
use super::queue::Happening;
use super::world::{Micros, SECOND, World};

/// Between two looks that no news calls for.
const TURN: Micros = 5 * SECOND;

/// How long the network is asked.
const PROBE: Micros = 50_000;

/// Between two looks while a group is at work.
const WORK: Micros = SECOND / 2;

/// After a try that nobody wanted.
const BUSY: Micros = 100_000;

/// Between the end of a look and the begin of the next.
const REST: Micros = 10_000;

/// The guard of one host.
#[derive(Debug)]
pub(crate) struct HostGuard {
    /// Of which process it is.
    process: Option<u32>,
    guard: AddressGuard,
    /// The interface of all addresses is down.
    down: bool,
    /// When a try is due, and a look with it.
    due: Option<Monotonic>,
    /// A look after [`WORK`] is due.
    after_work: bool,
    /// When the last look was.
    looked: Micros,
    /// A look after [`REST`] is due.
    again: bool,
}

impl Default for HostGuard {
    fn default() -> Self {
        Self {
            process: None,
            guard: AddressGuard::new(false),
            down: false,
            due: None,
            after_work: false,
            looked: 0,
            again: false,
        }
    }
}

/// What the guard of a host does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It looks. `regular`: and again after [`TURN`].
    Look { regular: bool },
    /// It looks, because a try is due.
    Due(Monotonic),
    /// It looks, because it was to while it rested.
    Again,
    /// It looks, because a group was at work.
    AfterWork,
    /// The network was asked.
    Asked(GroupId),
    /// The address is put up.
    Puts(GroupId),
}

const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

impl World {
    /// A daemon of ours begins, perhaps with another core.
    pub(crate) fn guard_begins(&mut self, host: HostId) {
        let process = self.hosts[host].life.process;
        let guard = &mut self.hosts[host].guard;
        if self.plan.features.guard == 0 || guard.process == Some(process) {
            return;
        }
        guard.process = Some(process);
        guard.guard = AddressGuard::new(false);
        guard.due = None;
        guard.after_work = false;
        guard.again = false;
        self.guard_turn(host, 0, Turn::Look { regular: true });
    }

    /// Somebody removes the addresses of a group.
    pub(crate) fn remove_address(&mut self, host: HostId, group: GroupId) {
        if self.plan.has_group(group) {
            self.goes_by_itself(host, group);
        }
    }

    /// The interface of all service addresses goes down or up; their addresses stay.
    pub(crate) fn set_link(&mut self, host: HostId, down: bool) {
        self.hosts[host].guard.down = down;
        self.guard_hears(host);
    }

    pub(crate) fn guard_hears(&mut self, host: HostId) {
        let delay = self.internal_delay(host);
        self.guard_turn(host, delay, Turn::Look { regular: false });
    }

    fn guard_turn(&mut self, host: HostId, after: Micros, turn: Turn) {
        let process = self.hosts[host].life.process;
        let what = Happening::Guard {
            host,
            process,
            turn,
        };
        self.at(self.now + after, what);
    }

    /// What the guard of a host does now.
    pub(crate) fn guard(&mut self, host: HostId, turn: Turn) {
        if !matches!(self.hosts[host].node, Some(Daemon::Ours(_))) || self.plan.features.guard == 0
        {
            return;
        }
        match turn {
            Turn::Look { regular } => {
                if regular {
                    self.guard_turn(host, TURN, turn);
                }
                self.guard_looks_once(host);
            }
            Turn::Due(at) => {
                // There is one timer: another time has taken its place.
                if self.hosts[host].guard.due == Some(at) {
                    self.hosts[host].guard.due = None;
                    self.guard_looks_once(host);
                }
            }
            Turn::Again => {
                self.hosts[host].guard.again = false;
                self.guard_looks_once(host);
            }
            Turn::AfterWork => {
                self.hosts[host].guard.after_work = false;
                self.guard_looks_once(host);
            }
            Turn::Asked(group) => {
                if self.is_answered(host, group) {
                    self.judge.seen_elsewhere(host, group, self.now);
                    return self.guard_tried(host, group, Tried::Taken("there".to_owned()));
                }
                if self.core_allows(host, group) {
                    let delay = self.internal_delay(host);
                    self.guard_turn(host, delay, Turn::Puts(group));
                }
            }
            Turn::Puts(group) => {
                let gone =
                    self.is_settled_here(host, group) && !self.hosts[host].groups[group].address;
                if gone {
                    self.address(host, group, true);
                    self.judge.put_back(host, group, self.now);
                    self.guard_tried(host, group, Tried::PutBack);
                } else {
                    self.guard_tried(host, group, Tried::NotNeeded);
                }
            }
        }
    }

    /// One look at a time; what comes meanwhile calls for one more.
    fn guard_looks_once(&mut self, host: HostId) {
        let guard = &mut self.hosts[host].guard;
        let rested = guard.looked + REST;
        if self.now >= rested {
            guard.looked = self.now;
            self.guard_looks(host);
        } else if !std::mem::replace(&mut guard.again, true) {
            self.guard_turn(host, rested - self.now, Turn::Again);
        }
    }

    fn guard_looks(&mut self, host: HostId) {
        let down = self.hosts[host].guard.down;
        let here = |address: bool, ran_out: Option<Duration>| match (address, ran_out) {
            (true, _) => Found::Here {
                spot: Spot {
                    interface: "eth0".to_owned(),
                    prefix: 24,
                },
                up: !down,
            },
            (false, Some(wait)) => Found::RanOut { wait },
            (false, None) => Found::Absent { down: None },
        };
        let groups: Vec<GroupId> = self.plan.group_ids().collect();
        let settled = groups
            .iter()
            .filter(|group| self.is_settled_here(host, **group));
        let settled: Vec<GroupId> = settled.copied().collect();
        let mut seen = Vec::with_capacity(settled.len());
        for group in settled {
            let address = self.hosts[host].groups[group].address;
            let ran_out = match address {
                true => None,
                false => self.lease_ran_out(host, group),
            };
            seen.push(Seen {
                held: self.held_address(group),
                native: true,
                found: here(address, ran_out),
            });
        }
        self.guard_event(host, address_guard::Event::Looked(seen));
        let link = if down { Link::Down } else { Link::Up };
        let links = groups
            .iter()
            .map(|group| (self.plan.group_key(*group), link));
        let links: OwnLinks = links.collect();
        let removed: BTreeSet<_> = self.hosts[host].guard.guard.removed_again();
        self.feed(host, Event::AddressesSeen { links, removed });
        let at_work = !self.hosts[host].kept.in_hand.is_empty();
        if at_work && !std::mem::replace(&mut self.hosts[host].guard.after_work, true) {
            self.guard_turn(host, WORK, Turn::AfterWork);
        }
    }

    fn guard_event(&mut self, host: HostId, event: address_guard::Event) {
        let now = self.guard_clock(host);
        let actions = self.hosts[host].guard.guard.handle(event, now);
        for action in actions {
            let Action::PutBack((key, _), _) = action else {
                continue;
            };
            let mut groups = self.plan.group_ids();
            if let Some(group) = groups.find(|group| self.plan.group_key(*group) == key)
                && self.core_allows(host, group)
            {
                self.guard_turn(host, PROBE, Turn::Asked(group));
            }
        }
        let due = self.hosts[host].guard.guard.next_try(now);
        let set = self.hosts[host].guard.due;
        // One that is due now rings in a moment.
        if set == due || set.is_some_and(|at| at <= now) {
            return;
        }
        if let Some(at) = due {
            let after = Micros::try_from(at.since(now).as_micros()).unwrap_or(Micros::MAX);
            self.guard_turn(host, after, Turn::Due(at));
        }
        self.hosts[host].guard.due = due;
    }

    fn guard_tried(&mut self, host: HostId, group: GroupId, tried: Tried) {
        let next = match tried {
            Tried::PutBack => Some(0),
            Tried::NotNeeded => Some(BUSY),
            Tried::Frozen | Tried::Taken(_) | Tried::Failed(_) => None,
        };
        let held = self.held_address(group);
        self.guard_event(host, address_guard::Event::Tried(held, tried));
        if let Some(next) = next {
            self.guard_turn(host, next, Turn::Look { regular: false });
        }
    }

    /// Asks the core. If it does not allow it, the try is over.
    fn core_allows(&mut self, host: HostId, group: GroupId) -> bool {
        self.feed(host, Event::Tick);
        let key = self.plan.group_key(group);
        let no = match &self.hosts[host].node {
            Some(Daemon::Ours(node)) => match node.may_put_back(&key) {
                MayPutBack::Yes => return true,
                MayPutBack::Frozen => Tried::Frozen,
                MayPutBack::No => Tried::NotNeeded,
            },
            Some(Daemon::Legacy(_)) | None => Tried::NotNeeded,
        };
        self.guard_tried(host, group, no);
        false
    }

    /// Whether a group runs, as was ordered last, and nothing else is ordered.
    fn is_settled_here(&self, host: HostId, group: GroupId) -> bool {
        let h = &self.hosts[host];
        let model = &h.groups[group];
        let settled = h.kept.may_run.contains(&group) && !h.kept.in_hand.contains_key(&group);
        // A service that died alone takes no address with it.
        let runs = model.whole() || self.plan.features.monitors && model.runs();
        settled && model.idle() && runs && !model.bare
    }

    fn held_address(&self, group: GroupId) -> Held {
        (self.plan.group_key(group), ADDRESS)
    }

    fn guard_clock(&self, host: HostId) -> Monotonic {
        self.clock(host).instant
    }
}
