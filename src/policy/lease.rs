//! The lease of service addresses: the kernel removes an address whose lifetime nobody renews, and only a node
//! whose heartbeats leave renews it. So a node that hangs or was stopped loses its addresses before the other
//! node takes them.
//!
//! Pure: what was put up, what left this host, what the kernel has and what came of a renewal in; what is to be
//! done out. No timer renews anything: a renewal follows a heartbeat that has just left, or there is none.
//!
//! The kernel adds an address that it is told to renew and does not have. So only what a look has just found is
//! renewed, and when this process may have stood still between the look and the end of the renewal, what was sent
//! is removed again: it may have come back long after the other node has taken it.
//!
//! | Comes | Then |
//! |---|---|
//! | an address is put up with a lifetime, or was found where it is to be | it is held, and renewed with the next heartbeat |
//! | a process begins, and an address that an earlier one has put up is not there | its lease ran out, for a dead time |
//! | it is about to be removed | it is no longer held; nothing renews it from then on |
//! | a heartbeat left at most [`FRESH`] ago, and the last renewal is a third of the lifetime (at most a second) ago | look at what the kernel has |
//! | a heartbeat left longer ago, nothing is held, or a renewal is not due | nothing |
//! | looked: it is there | renew it |
//! | looked: it is there, and the kernel would remove others with it that are not held | it gets no lifetime: endless, WARN once |
//! | looked: it is there, and its lifetime ended more than [`TOO_LATE`] ago: the machine was suspended | remove it: the lease ran out |
//! | looked: it is not there, and its lifetime has ended | the lease ran out: [`Lease::ran_out`] |
//! | looked: it is not there before that | nothing: somebody removed it, which the address guard is for |
//! | renewed before the earlier lifetime ended, or within half a lifetime of the look | it counts from the look |
//! | renewed later than both | remove it: the lease ran out |
//! | the kernel refuses a renewal | ERROR, once |
//! | the process is about to replace itself | a longer lifetime, or none; nothing is renewed until it stays |
//!
//! An address whose lease ran out is put back by the address guard, when the core holds its group still and no
//! other host has the address: at once if this node was silent for less than its dead time, else not before it
//! could hear for a dead time that the other node has taken over.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::notice::Severity;

/// So long a heartbeat that has left is proof enough for a renewal.
pub const FRESH: Duration = Duration::from_millis(100);

/// Longest pause between two renewals: each is an event for whoever watches addresses on this host.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// So long after its lifetime the kernel has surely removed an address, unless its clock stood still.
pub const TOO_LATE: Duration = Duration::from_secs(1);

/// One copy of an address, as the kernel tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressCopy {
    /// Number of the interface.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// Prefix length in bits.
    pub prefix: u8,
}

/// What a look found of one held address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct There {
    /// It.
    pub copy: AddressCopy,
    /// It has a lifetime that ends.
    pub ends: bool,
    /// What the kernel would remove together with it.
    pub takes_along: Vec<AddressCopy>,
}

/// What comes in. Times are on one clock, which counts while the machine is suspended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It is held from now on. `since`: read before it was put up with the lifetime; `None`: it was found.
    Holds {
        /// It.
        copy: AddressCopy,
        /// When its lifetime began, at the earliest.
        since: Option<Monotonic>,
    },
    /// It is to be here, put up by an earlier process, and is not.
    Missing(IpAddr),
    /// All copies of this address are about to be removed.
    Drops(IpAddr),
    /// An own heartbeat was handed to a medium then.
    Beat(Monotonic),
    /// A look that began then.
    Looked {
        /// When it began.
        began: Monotonic,
        /// What of the held addresses is there.
        there: Vec<There>,
    },
    /// What came of [`Action::Renew`].
    Renewed {
        /// Those for which the kernel has said yes.
        done: Vec<AddressCopy>,
        /// Why it refused another one.
        refused: Option<String>,
    },
    /// The process is about to replace itself. The others were told to wait so much longer; `None`: the successor
    /// may be an older program, which renews nothing.
    Part(Option<Duration>),
    /// It was not replaced.
    Stay,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Look which of the held addresses are there.
    Look,
    /// Renew these for so many seconds, all at once, and read the clock after it.
    Renew(Vec<AddressCopy>, u32),
    /// These have no lifetime any more.
    Endless(Vec<AddressCopy>),
    /// Remove these.
    Remove(Vec<AddressCopy>),
    /// The address guard is to look.
    Changed,
    /// A line for the log.
    Say(Severity, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is renewed.
    Renewed,
    /// It has no lifetime, because others would go with it.
    Endless,
    /// Somebody has removed it.
    Gone,
    /// Its lease ran out. It may be put back from then on.
    RanOut(Monotonic),
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    state: State,
    /// When its present lifetime began, at the earliest; `None`: not known.
    since: Option<Monotonic>,
}

/// What is shown of the lease.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// The addresses that are renewed.
    pub renewed: BTreeSet<IpAddr>,
    /// Those that are here without a lifetime.
    pub endless: BTreeSet<IpAddr>,
    /// Those whose lease ran out.
    pub ran_out: BTreeSet<IpAddr>,
}

/// The lease of one node.
#[derive(Debug)]
pub struct Lease {
    seconds: u32,
    deadtime: Duration,
    held: BTreeMap<AddressCopy, Entry>,
    /// When a renewal was begun last; `None`: one is due with the next heartbeat.
    renewed: Option<Monotonic>,
    /// When the look began that the present renewal follows.
    looked: Monotonic,
    /// The process is about to be replaced.
    parts: bool,
    refused: Option<String>,
}

impl Lease {
    /// Nothing is held. `seconds`: the lifetime; `deadtime`: how long the other node waits.
    #[must_use]
    pub const fn new(seconds: u32, deadtime: Duration) -> Self {
        Self {
            seconds,
            deadtime,
            held: BTreeMap::new(),
            renewed: None,
            looked: Monotonic::ZERO,
            parts: false,
            refused: None,
        }
    }

    fn length(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }

    /// From when on a heartbeat is wanted; `None`: none is.
    #[must_use]
    pub fn next_due(&self) -> Option<Monotonic> {
        if self.parts || self.held.is_empty() {
            return None;
        }
        let pause = self.length().checked_div(3).unwrap_or_default();
        let last = self.renewed.unwrap_or(Monotonic::ZERO);
        let pause = self
            .renewed
            .map_or(Duration::ZERO, |_| pause.min(LONGEST_PAUSE));
        Some(last + pause)
    }

    /// Takes one event in.
    pub fn handle(&mut self, event: Event, now: Monotonic) -> Vec<Action> {
        match event {
            Event::Holds { copy, since } => self.holds(copy, since),
            Event::Missing(address) => self.misses(address, now),
            Event::Drops(address) => self.held.retain(|copy, _| copy.address != address),
            Event::Beat(at) => {
                let due = self.next_due().is_some_and(|due| due <= now);
                if due && now.since(at) <= FRESH {
                    return vec![Action::Look];
                }
            }
            Event::Looked { began, there } => return self.looked(began, &there),
            Event::Renewed { done, refused } => return self.renewed(&done, refused, now),
            Event::Part(longer) => return self.part(longer),
            Event::Stay => {
                self.parts = false;
                self.renewed = None;
                // It was another lifetime meanwhile.
                self.held.values_mut().for_each(|entry| entry.since = None);
            }
        }
        Vec::new()
    }

    /// How long an address must be away still, because its lease ran out. `None`: it did not.
    #[must_use]
    pub fn ran_out(&self, address: IpAddr, now: Monotonic) -> Option<Duration> {
        let copies = self.held.iter().filter(|(copy, _)| copy.address == address);
        let waits = copies.filter_map(|(_, entry)| match entry.state {
            State::RanOut(from) => Some(from.since(now)),
            // No heartbeat has left since, so nothing is known of the other node.
            State::Renewed if self.has_ended(entry, now) => Some(self.deadtime),
            State::Renewed | State::Endless | State::Gone => None,
        });
        waits.max()
    }

    /// For whoever asks.
    #[must_use]
    pub fn view(&self) -> View {
        let mut view = View::default();
        for (copy, entry) in &self.held {
            let set = match entry.state {
                State::Renewed => &mut view.renewed,
                State::Endless => &mut view.endless,
                State::RanOut(_) => &mut view.ran_out,
                State::Gone => continue,
            };
            set.insert(copy.address);
        }
        view
    }

    /// The copies that are held.
    pub fn held(&self) -> impl Iterator<Item = AddressCopy> {
        self.held.keys().copied()
    }

    fn has_ended(&self, entry: &Entry, now: Monotonic) -> bool {
        let ended = |since: Monotonic| since + self.length() <= now;
        entry.since.is_some_and(ended)
    }

    fn holds(&mut self, copy: AddressCopy, since: Option<Monotonic>) {
        let state = State::Renewed;
        if since.is_none() && self.held.contains_key(&copy) {
            // What somebody saw may be older than what is known here.
            return;
        }
        // Where it was when its lease ran out is of no interest any more.
        self.held.retain(|other, entry| {
            other.address != copy.address || !matches!(entry.state, State::RanOut(_))
        });
        self.held.insert(copy, Entry { state, since });
        self.renewed = None;
    }

    fn misses(&mut self, address: IpAddr, now: Monotonic) {
        let state = State::RanOut(now + self.deadtime);
        let nowhere = AddressCopy {
            index: 0,
            address,
            prefix: 0,
        };
        self.held.insert(nowhere, Entry { state, since: None });
    }

    fn looked(&mut self, began: Monotonic, there: &[There]) -> Vec<Action> {
        let length = self.length();
        let (mut renew, mut endless, mut remove) = (Vec::new(), Vec::new(), Vec::new());
        let mut actions = Vec::new();
        let held: BTreeSet<AddressCopy> = self.held().collect();
        let mut gone = false;
        for (copy, entry) in &mut self.held {
            let ended = |more: Duration| {
                let end = entry.since.map(|since| since + length + more);
                entry.state == State::Renewed && end.is_some_and(|end| end <= began)
            };
            let Some(it) = there.iter().find(|it| it.copy == *copy) else {
                if ended(Duration::ZERO) {
                    entry.state = ran_out(entry.since, began, self.deadtime);
                    gone = true;
                } else if !matches!(entry.state, State::RanOut(_)) {
                    entry.state = State::Gone;
                }
                continue;
            };
            if it.ends && ended(TOO_LATE) {
                entry.state = ran_out(entry.since, began, self.deadtime);
                remove.push(*copy);
                continue;
            }
            let strange = it.takes_along.iter().find(|other| !held.contains(other));
            if let Some(other) = strange {
                if it.ends {
                    endless.push(*copy);
                }
                if entry.state != State::Endless {
                    actions.push(Action::Say(Severity::Warn, not_leased(copy, other)));
                }
                entry.state = State::Endless;
                continue;
            }
            if entry.state != State::Renewed {
                // Somebody else put it back, or it may have a lifetime again.
                entry.since = None;
                entry.state = State::Renewed;
            }
            renew.push(*copy);
        }
        self.looked = began;
        self.renewed = Some(began);
        gone |= !remove.is_empty();
        let lists = [
            (!renew.is_empty()).then_some(Action::Renew(renew, self.seconds)),
            (!endless.is_empty()).then_some(Action::Endless(endless)),
            (!remove.is_empty()).then_some(Action::Remove(remove)),
            gone.then_some(Action::Changed),
        ];
        actions.extend(lists.into_iter().flatten());
        actions
    }

    fn renewed(
        &mut self,
        done: &[AddressCopy],
        refused: Option<String>,
        now: Monotonic,
    ) -> Vec<Action> {
        let (length, began) = (self.length(), self.looked);
        let half = length.checked_div(2).unwrap_or_default();
        let quick = now.since(began) <= half;
        let mut remove = Vec::new();
        for copy in done {
            let Some(entry) = self.held.get_mut(copy) else {
                continue;
            };
            let in_time = entry.since.is_some_and(|since| now < since + length);
            if quick || in_time {
                entry.since = Some(began);
            } else {
                entry.state = ran_out(entry.since.or(Some(began)), now, self.deadtime);
                remove.push(*copy);
            }
        }
        let mut actions = Vec::new();
        if !remove.is_empty() {
            actions.push(Action::Remove(remove));
            actions.push(Action::Changed);
        }
        if let Some(why) = refused.as_ref().filter(|_| refused != self.refused) {
            let text = format!("the kernel does not renew the lease of a service address: {why}");
            actions.push(Action::Say(Severity::Error, text));
        }
        self.refused = refused;
        actions
    }

    fn part(&mut self, longer: Option<Duration>) -> Vec<Action> {
        self.parts = true;
        let renewed = self.held.iter();
        let renewed = renewed.filter(|(_, entry)| entry.state == State::Renewed);
        let copies: Vec<AddressCopy> = renewed.map(|(copy, _)| *copy).collect();
        if copies.is_empty() {
            return Vec::new();
        }
        vec![match longer {
            None => Action::Endless(copies),
            Some(longer) => {
                let more = longer
                    .saturating_sub(crate::protocol::lease::SLACK)
                    .as_secs();
                let more = u32::try_from(more).unwrap_or_default();
                Action::Renew(copies, self.seconds.saturating_add(more))
            }
        }]
    }
}

/// It may be put back at once when this node was silent for less than the other one waits.
fn ran_out(since: Option<Monotonic>, now: Monotonic, deadtime: Duration) -> State {
    let silent = since.map(|since| now.since(since));
    let taken = silent.is_none_or(|silent| silent >= deadtime);
    State::RanOut(if taken { now + deadtime } else { now })
}

fn not_leased(copy: &AddressCopy, other: &AddressCopy) -> String {
    let (address, prefix, other) = (copy.address, copy.prefix, other.address);
    format!(
        "address {address} gets no lease: it is the first of its network /{prefix}, and the kernel would remove {other} \
         together with it. Set the sysctl promote_secondaries of its interface to 1"
    )
}

#[cfg(test)]
mod tests;
