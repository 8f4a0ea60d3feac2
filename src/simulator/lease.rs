//! The lease of a host's service addresses: the real decisions, with a model of the kernel, which removes an address
//! whose lifetime nobody renews.
//!
//! The daemon looks and renews in the moment in which its heartbeat leaves. The kernel takes its time to remove an
//! address, as a real one does. A suspended machine counts no lifetime.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::policy::lease::{Action, AddressCopy, Event, Lease, There};
use crate::protocol::lease::{AddressLease, SLACK};

use super::ids::{GroupId, HostId, Key};
use super::plan::Program;
use super::queue::Happening;
use super::revival::SILENCE;
use super::world::{Micros, SECOND, World};

/// So long after its lifetime an address may be there still.
const KERNEL: Micros = 330_000;

/// The lease of one host.
#[derive(Debug, Default)]
pub(crate) struct HostLease {
    /// Of which process it is.
    process: Option<u32>,
    lease: Option<Lease>,
    /// When the lifetime of the address of a group ends.
    ends: BTreeMap<GroupId, Micros>,
    /// Addresses that the kernel is about to look at.
    watched: BTreeSet<GroupId>,
    /// When a heartbeat has left last.
    left: Micros,
    /// Until when a process that replaces itself has renewed.
    bridged: Micros,
    /// When the machine was suspended.
    suspended: Option<Micros>,
}

impl World {
    /// The lifetime in seconds on a host; `None`: addresses have none there.
    fn lease_seconds(&self, host: HostId) -> Option<u32> {
        let ours = self.plan.programs.get(host.number()) == Some(&Program::Ours);
        if !self.plan.features.lease || !ours {
            return None;
        }
        let micros = Duration::from_micros;
        let (keepalive, deadtime) = (self.plan.keepalive(host), self.plan.deadtime(host));
        let seconds = AddressLease::Auto.seconds(micros(keepalive), micros(deadtime));
        seconds.ok().flatten()
    }

    /// A daemon of ours begins, perhaps with another core.
    pub(crate) fn lease_begins(&mut self, host: HostId) {
        let process = self.hosts[host].life.process;
        let known = self.hosts[host].lease.process.replace(process);
        let Some(seconds) = self.lease_seconds(host).filter(|_| known != Some(process)) else {
            return;
        };
        let deadtime = Duration::from_micros(self.plan.deadtime(host));
        self.hosts[host].lease.lease = Some(Lease::new(seconds, deadtime));
        for group in self.hosts[host].kept.may_run.clone() {
            let copy = copy_of(group);
            let event = match self.hosts[host].groups[group].address {
                true => Event::Holds { copy, since: None },
                false => Event::Missing(copy.address),
            };
            self.lease_event(host, event);
        }
    }

    /// An address was put up on a host, by its daemon.
    pub(crate) fn lease_holds(&mut self, host: HostId, group: GroupId) {
        let Some(seconds) = self.lease_seconds(host) else {
            return;
        };
        let (copy, since) = (copy_of(group), Some(self.clock(host).instant));
        self.lease_event(host, Event::Holds { copy, since });
        self.lives_on(host, group, seconds.into());
    }

    /// An address was removed from a host, by its daemon.
    pub(crate) fn lease_drops(&mut self, host: HostId, group: GroupId) {
        self.hosts[host].lease.ends.remove(&group);
        self.lease_event(host, Event::Drops(copy_of(group).address));
    }

    /// A heartbeat of a host has left.
    pub(crate) fn lease_beats(&mut self, host: HostId) {
        self.hosts[host].lease.left = self.now;
        let now = self.clock(host).instant;
        self.lease_event(host, Event::Beat(now));
    }

    fn lease_event(&mut self, host: HostId, event: Event) {
        let now = self.clock(host).instant;
        let Some(lease) = &mut self.hosts[host].lease.lease else {
            return;
        };
        for action in lease.handle(event, now) {
            self.lease_acts(host, action);
        }
    }

    fn lease_acts(&mut self, host: HostId, action: Action) {
        match action {
            Action::Look => {
                let began = self.clock(host).instant;
                let groups = self.plan.group_ids();
                let here = groups.filter(|group| self.hosts[host].groups[*group].address);
                let there = here.map(|group| There {
                    copy: copy_of(group),
                    ends: self.hosts[host].lease.ends.contains_key(&group),
                    takes_along: Vec::new(),
                });
                let there = there.collect();
                self.lease_event(host, Event::Looked { began, there });
            }
            Action::Renew(done, seconds) => {
                for group in self.groups_of(&done) {
                    self.lives_on(host, group, seconds.into());
                }
                let refused = None;
                self.lease_event(host, Event::Renewed { done, refused });
            }
            Action::Remove(copies) => {
                for group in self.groups_of(&copies) {
                    self.lease_ends(host, group);
                }
            }
            Action::Changed => self.guard_hears(host),
            Action::Endless(_) | Action::Say(..) => {}
        }
    }

    fn groups_of(&self, copies: &[AddressCopy]) -> Vec<GroupId> {
        let groups = self.plan.group_ids();
        let among = groups.filter(|group| copies.contains(&copy_of(*group)));
        among.collect()
    }

    /// The kernel has a new lifetime for an address.
    fn lives_on(&mut self, host: HostId, group: GroupId, seconds: Micros) {
        let end = self.now + seconds * SECOND + KERNEL;
        let lease = &mut self.hosts[host].lease;
        lease.ends.insert(group, end);
        if lease.watched.insert(group) {
            self.lease_looks_at(host, group, end);
        }
    }

    fn lease_looks_at(&mut self, host: HostId, group: GroupId, when: Micros) {
        let machine = self.hosts[host].machine;
        let what = Happening::Lease {
            host,
            machine,
            group,
        };
        self.at(when, what);
    }

    /// The kernel of a host looks whether the lifetime of an address has ended.
    pub(crate) fn lease(&mut self, host: HostId, group: GroupId) {
        let now = self.now;
        let lease = &mut self.hosts[host].lease;
        match lease.ends.get(&group).copied() {
            Some(end) if end > now => return self.lease_looks_at(host, group, end),
            Some(_) => self.lease_ends(host, group),
            None => {}
        }
        self.hosts[host].lease.watched.remove(&group);
    }

    fn lease_ends(&mut self, host: HostId, group: GroupId) {
        self.hosts[host].lease.ends.remove(&group);
        self.note(format_args!("{host}: the lease of {group} has ended"));
        self.goes_by_itself(host, group);
    }

    /// How long an address must be away still, because its lease ran out.
    pub(crate) fn lease_ran_out(&mut self, host: HostId, group: GroupId) -> Option<Duration> {
        let now = self.clock(host).instant;
        let lease = self.hosts[host].lease.lease.as_ref()?;
        let wait = lease.ran_out(copy_of(group).address, now)?;
        let until = self.now + Micros::try_from(wait.as_micros()).unwrap_or(Micros::MAX) / 99 * 100;
        self.judge.waits(host, group, until + SECOND);
        Some(wait)
    }

    /// The process of a host is about to replace itself.
    pub(crate) fn lease_parts(&mut self, host: HostId) {
        let Some(seconds) = self.lease_seconds(host) else {
            return;
        };
        let more = SILENCE.saturating_sub(SLACK).as_secs() + u64::from(seconds);
        let groups: Vec<GroupId> = self.hosts[host].lease.ends.keys().copied().collect();
        for group in groups {
            self.lives_on(host, group, more);
        }
        self.hosts[host].lease.bridged = self.now + more * SECOND + KERNEL;
    }

    /// The whole machine is suspended, or goes on: its kernel has counted nothing meanwhile.
    pub(crate) fn lease_suspended(&mut self, host: HostId, suspended: bool) {
        let now = self.now;
        let lease = &mut self.hosts[host].lease;
        if suspended {
            lease.suspended = Some(now);
        } else if let Some(since) = lease.suspended.take() {
            lease.ends.values_mut().for_each(|end| *end += now - since);
        }
    }

    /// The machine has lost its power.
    pub(crate) fn lease_forgets(&mut self, host: HostId) {
        self.hosts[host].lease = HostLease::default();
    }

    /// A host takes an address: another one from which no heartbeat has left for longer than its lease has it no more.
    pub(crate) fn judge_leases(&mut self, taker: HostId, group: GroupId) {
        let others = self.plan.hosts().filter(|host| *host != taker);
        for host in others.collect::<Vec<_>>() {
            let h = &self.hosts[host];
            let Some(seconds) = self.lease_seconds(host).filter(|_| h.groups[group].address) else {
                continue;
            };
            // A machine that was suspended learns it with its first heartbeat.
            let suspended = h.machine_frozen || self.now < h.thawed_at + SECOND;
            let end = h.lease.left + Micros::from(seconds) * SECOND + SECOND / 2;
            if self.now > end.max(h.lease.bridged) && !suspended {
                let silent = (self.now - h.lease.left) as f64 / 1e6;
                let text = format!(
                    "{taker} takes the address of {group}, and {host} has it, of which no heartbeat has left for {silent:.3} s"
                );
                self.judge.fail(self.now, text);
            }
        }
    }
}

fn copy_of(group: GroupId) -> AddressCopy {
    let number = u8::try_from(group.number()).unwrap_or(u8::MAX);
    AddressCopy {
        index: 1,
        address: IpAddr::from([10, 0, 0, number]),
        prefix: 24,
    }
}
