//! Rules that must hold at every moment of every run. A rule that fails is a finding: it is never
//! widened to make a run pass.

mod beats;
mod marks;
mod owners;
mod removals;
mod words;

use std::collections::BTreeMap;

use super::fencing::Device;
use super::ids::{GroupId, HostId, Table};
use super::plan::Plan;
use super::world::{Micros, SECOND};

use beats::Beats;
use marks::Marks;
use owners::Owners;
use removals::Removals;
pub(crate) use words::Word;
use words::Words;

/// Longest pause between two attempts to start a group that has failed.
pub(crate) const LONGEST_PAUSE: Micros = 600 * SECOND;

/// Watches a run. Hosts and groups are identified by their numbers.
#[derive(Debug)]
pub struct Judge {
    failure: Option<String>,
    /// Events of the present second.
    bustle: Bustle,
    /// Which node receives which.
    beats: Beats,
    /// Which host runs which group.
    owners: Owners,
    /// Which host has the addresses of which group.
    addresses: Owners,
    /// What somebody removes.
    removals: Removals,
    marks: Marks,
    words: Words,
    generations: Table<HostId, Generations>,
    /// When the cause why a group did not start was removed: the group must be tried again in the
    /// end.
    repaired: BTreeMap<GroupId, Micros>,
    /// With a device that does what it says there are never two owners.
    strict: bool,
    /// Longest time with two owners seen.
    pub(crate) longest_overlap: Micros,
    /// How often an overlap began.
    pub overlaps: u64,
}

/// Generations that a living process has begun, and their possible causes.
#[derive(Debug, Default, Clone)]
struct Generations {
    /// Declared deaths, and begun runs of the other node, for which no generation was begun yet.
    causes: u64,
    begun_without: u64,
}

/// Two nodes that answer each other without end keep the clock from going on.
#[derive(Debug, Default, Clone, Copy)]
struct Bustle {
    second: Micros,
    events: u64,
}

/// More than any history has in a second: both nodes thaw with full queues, and ask for all that they have missed.
const MOST_EVENTS: u64 = 200_000;

impl Bustle {
    fn step(&mut self, now: Micros) -> Option<String> {
        let second = now / SECOND;
        if second != self.second {
            *self = Self { second, events: 0 };
        }
        self.events += 1;
        (self.events > MOST_EVENTS)
            .then(|| format!("more than {MOST_EVENTS} events within a second"))
    }
}

/// Generations that may be begun without a new cause: a yield that is interrupted and begun again.
const SPARE_GENERATIONS: u64 = 2;

impl Judge {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            failure: None,
            bustle: Bustle::default(),
            beats: Beats::new(plan),
            owners: Owners::new(plan),
            addresses: Owners::of_addresses(plan),
            removals: Removals::new(plan),
            marks: Marks::new(plan.nodes()),
            words: Words::new(plan),
            generations: Table::filled(plan.nodes(), Generations::default()),
            repaired: BTreeMap::new(),
            strict: plan
                .features
                .device
                .is_some_and(|device| device != Device::Lying),
            longest_overlap: 0,
            overlaps: 0,
        }
    }

    /// Keeps the first finding.
    pub(crate) fn fail(&mut self, now: Micros, text: String) {
        if self.failure.is_none() {
            self.failure = Some(format!("at {:.6} s: {text}", now as f64 / 1e6));
        }
    }

    fn found(&mut self, now: Micros, finding: Option<String>) {
        if let Some(text) = finding {
            self.fail(now, text);
        }
    }

    pub(crate) fn failed(&self) -> bool {
        self.failure.is_some()
    }

    /// The first finding.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// A person or a fault did something.
    pub(crate) fn disturbed(&mut self, now: Micros) {
        self.owners.disturbed(now);
    }

    /// A cause for a node to begin a generation, once each: a death declared by either node, a new
    /// run of either, a link that works again.
    pub(crate) fn cause(&mut self) {
        for host in &mut self.generations {
            host.causes = (host.causes + 1).min(4);
        }
    }

    /// A daemon begins a run.
    pub(crate) fn started(&mut self, host: HostId, now: Micros) {
        self.beats.started(host, now);
        self.marks.started(host);
        self.words.forget(host);
        self.cause();
    }

    /// A dead time that an earlier core of the same process knew.
    pub(crate) fn knows_dead_time(&mut self, by: HostId, of: HostId, time: Micros) {
        self.beats.knows_dead_time(by, of, time);
    }

    /// A daemon has ended, or its machine: nothing runs there any more.
    pub(crate) fn ended(&mut self, host: HostId, now: Micros) {
        self.beats.ended(host, now);
        self.words.forget(host);
        for group in self.owners.of(host) {
            self.ends(host, group, now);
        }
        for group in self.addresses.of(host) {
            self.address_ends(host, group, now);
        }
    }

    /// The daemon alone has died: its resources run on.
    pub(crate) fn daemon_died(&mut self, host: HostId, now: Micros) {
        self.beats.ended(host, now);
        self.words.forget(host);
        self.owners.disturbed(now);
    }

    pub(crate) fn frozen(&mut self, host: HostId, now: Micros, until: Micros) {
        self.beats.frozen(host, now, until);
    }

    /// A freeze ends earlier than was said.
    pub(crate) fn thawed(&mut self, host: HostId, now: Micros) {
        self.beats.thawed(host, now);
    }

    /// One script takes this long, and so does the work that waits for it.
    pub(crate) fn slow_script(&mut self, lasts: Micros) {
        self.owners.slow_script(lasts);
        self.addresses.slow_script(lasts);
        self.words.slow_script(lasts);
    }

    /// Timers of a host come this much later than requested.
    pub(crate) fn late_timers(&mut self, host: HostId, late: Micros) {
        self.beats.late_timers(host, late);
    }

    /// A path may add this much to every exchange.
    pub fn slow_path(&mut self, from: HostId, delay: Micros) {
        self.beats.slow_path(from, delay);
    }

    pub(crate) fn beat_sent(&mut self, host: HostId, now: Micros) {
        let finding = self.beats.sent(host, now);
        self.found(now, finding);
    }

    /// A heartbeat, and the dead time in it.
    pub(crate) fn beat_heard(
        &mut self,
        by: HostId,
        of: HostId,
        number: (u64, u64),
        deadtime: Option<Micros>,
        now: Micros,
    ) {
        self.beats.heard(by, of, number, deadtime, now);
    }

    /// A node was received to leave in order.
    pub(crate) fn left_heard(&mut self, by: HostId, of: HostId, number: (u64, u64)) {
        self.beats.left(by, of, number);
    }

    pub(crate) fn declared_dead(&mut self, by: HostId, of: HostId, now: Micros) {
        let finding = self.beats.declared_dead(by, of, now);
        self.found(now, finding);
        self.marks.verdict(by, of);
        self.cause();
    }

    /// Whether a node has declared another dead, checked at intervals.
    pub(crate) fn look_at_death(&mut self, by: HostId, of: HostId, dead: bool, now: Micros) {
        let finding = self.beats.look(by, of, dead, now);
        self.found(now, finding);
    }

    /// A message was lost on every medium.
    pub(crate) fn lost(&mut self, from: HostId, to: HostId, now: Micros) {
        self.beats.lost(from, to, now);
    }

    /// A living process goes on under a new generation.
    pub(crate) fn generation_begun(&mut self, host: HostId, now: Micros) {
        self.marks.renumbered(host);
        let generations = &mut self.generations[host];
        if generations.causes > 0 {
            generations.causes -= 1;
            generations.begun_without = 0;
            return;
        }
        generations.begun_without += 1;
        if generations.begun_without > SPARE_GENERATIONS {
            let text = format!("{host} begins one generation after the other");
            self.fail(now, text);
        }
    }

    /// A message was sent that both must handle exactly once.
    pub(crate) fn mark_sent(&mut self, host: HostId, mark: u64, known: bool) {
        self.marks.sent(host, mark, known);
    }

    pub(crate) fn mark_heard(&mut self, host: HostId, mark: u64, now: Micros) {
        let finding = self.marks.heard(host, mark);
        self.found(now, finding);
    }

    /// A host has said that it has lost a lot of messages of another node.
    pub(crate) fn mark_given_up(&mut self, host: HostId, of: HostId) {
        self.marks.gives_up(host, of);
    }

    /// At the end, when all lost messages have been sent again.
    pub(crate) fn check_marks(&mut self, now: Micros) {
        let finding = self.marks.missed();
        self.found(now, finding);
    }

    /// How many hosts received a mark.
    pub fn hearers(&self, mark: u64) -> usize {
        self.marks.hearers(mark)
    }

    /// A group can be started again where it could not before.
    pub(crate) fn repaired(&mut self, group: GroupId, now: Micros) {
        self.repaired.insert(group, now);
        self.words.repaired(group, now);
    }

    /// An operator moves a group although one of the nodes cannot start it: his decision.
    pub(crate) fn excuse(&mut self, group: GroupId) {
        self.owners.excuse(group);
    }

    /// From now on a group may have two owners.
    pub(crate) fn expect_two_owners(&mut self, group: GroupId) {
        self.owners.expect_two(group);
        self.addresses.expect_two(group);
    }

    /// Whether a group is not up only because its next attempt is due later.
    pub(crate) fn waits_for_retry(&self) -> bool {
        !self.repaired.is_empty()
    }

    /// The core decided to start a group. `not_silent`: the order follows from no silence of the
    /// other node, so it does not matter for how long this node waited. Either the network has
    /// refused the start before, and is asked before this one as well, or a report of the other
    /// node on its groups has come at this moment. Whether the start runs beside the owner is
    /// judged all the same.
    pub(crate) fn ordered(&mut self, host: HostId, group: GroupId, not_silent: bool, now: Micros) {
        self.words.ordered(host, group, now);
        let owner = self.owners.other(host, group);
        if let Some(owner) = owner {
            let early = self.beats.judges_too_early(host, owner, now);
            let finding = early.filter(|_| !not_silent);
            self.found(now, finding.map(|text| format!("{text} {group}")));
            let good_for = self.beats.good_for(host, owner, now);
            self.owners.ordered(host, group, good_for);
        } else {
            self.owners.ordered(host, group, 0);
        }
        let owner = self.addresses.other(host, group);
        let good_for = owner.map_or(0, |owner| self.beats.good_for(host, owner, now));
        self.addresses.ordered(host, group, good_for);
    }

    /// The address of a group is up on a host.
    pub(crate) fn address_begins(&mut self, host: HostId, group: GroupId, now: Micros) {
        let patience = self.beats.exchange(host, host.other());
        let (_, finding) = self.addresses.begins(host, group, now, patience);
        self.found(now, finding);
    }

    /// The address is no longer there.
    pub(crate) fn address_ends(&mut self, host: HostId, group: GroupId, now: Micros) {
        self.addresses.ends(host, group, now);
    }

    /// Somebody removed the address of a group.
    pub(crate) fn removed(&mut self, host: HostId, group: GroupId, now: Micros) {
        self.removals.removed(host, group, now);
    }

    /// The guard of a host has put it back.
    pub(crate) fn put_back(&mut self, host: HostId, group: GroupId, now: Micros) {
        self.removals.put_back(host, group, now);
    }

    /// The address of a host's group ran out: it may be gone until then.
    pub(crate) fn waits(&mut self, host: HostId, group: GroupId, until: Micros) {
        self.removals.waits(host, group, until);
    }

    /// A host has asked the network for it, and the other host has answered.
    pub(crate) fn seen_elsewhere(&mut self, host: HostId, group: GroupId, now: Micros) {
        self.removals.seen_elsewhere(host, group, now);
    }

    /// Whether the address of a group that runs on a host may be gone for longer than a moment.
    pub(crate) fn may_be_gone(&self, host: HostId, group: GroupId, now: Micros) -> bool {
        let there = self.addresses.other(host, group).is_some();
        there || self.removals.may_be_gone(host, group, now)
    }

    /// The ping node has answered a host.
    pub(crate) fn gate_heard(&mut self, host: HostId, now: Micros) {
        self.beats.gate_heard(host, now);
    }

    /// Whether a host starts and stops groups: it is neither frozen by people nor about to end.
    pub(crate) fn acts(&mut self, host: HostId, acts: bool, now: Micros) {
        self.beats.acts(host, acts, now);
    }

    /// A start script begins: from here on the host may run the group.
    pub(crate) fn begins(&mut self, host: HostId, group: GroupId, now: Micros) {
        let patience = self.beats.exchange(host, host.other());
        let (overlaps, finding) = self.owners.begins(host, group, now, patience);
        self.overlaps += u64::from(overlaps);
        if overlaps && self.strict {
            let text = format!("{host} writes {group} beside the other node");
            self.fail(now, text);
        }
        self.found(now, finding);
    }

    /// The group's stop has ended there (or its start failed, or the host died).
    pub(crate) fn ends(&mut self, host: HostId, group: GroupId, now: Micros) {
        if let Some(lasted) = self.owners.ends(host, group, now) {
            self.longest_overlap = self.longest_overlap.max(lasted);
        }
    }

    /// Whether a host is stopping the group, or has reported that it does not hold it.
    pub(crate) fn yields(&mut self, host: HostId, group: GroupId, yields: [bool; 2], now: Micros) {
        let [group_goes, addresses_go] = yields;
        self.owners.yields(host, group, group_goes, now);
        self.addresses.yields(host, group, addresses_go, now);
    }

    /// Whether a legacy node runs a group that it has reported as given: no node can know that.
    pub(crate) fn strays(&mut self, group: GroupId, strays: bool) {
        self.owners.strays(group, strays);
        self.addresses.strays(group, strays);
    }

    /// Checked after every event.
    pub(crate) fn step(&mut self, now: Micros) {
        let finding = self.bustle.step(now);
        self.found(now, finding);
        let finding = self.beats.step(now);
        self.found(now, finding);
        let finding = self.owners.step(now, &self.beats);
        self.found(now, finding);
        let finding = self.addresses.step(now, &self.beats);
        self.found(now, finding);
    }

    /// After one fault everything has settled. If nothing should have moved, no group was down for
    /// a moment; else no group for longer than a death and the scripts take.
    pub(crate) fn rested(&mut self, moved: bool, now: Micros) {
        let finding = self.owners.rested(moved, now);
        self.found(now, finding);
    }

    /// The report of a node about a group, and the truth.
    pub(crate) fn look_at_word(&mut self, host: HostId, group: GroupId, word: Word, now: Micros) {
        let missed = self.words.has_missed(host, group, self.beats.verdict(host));
        let word = if self.beats.waits_for_word(host, now) && !missed {
            word.excused()
        } else {
            word
        };
        let finding = self.words.look(host, group, word, now);
        self.found(now, finding);
    }

    /// Whether a living, capable node should run a group: no group stays unowned for long.
    pub(crate) fn look_at_group(&mut self, group: GroupId, capable: bool, now: Micros) {
        // A start that began before the repair may still fail.
        if let Some(begun) = self.owners.newest_since(group) {
            let counts = |at: Micros| begun >= at || now > at + 60 * SECOND;
            self.repaired
                .retain(|key, at| *key != group || !counts(*at));
        }
        let retried = self.repaired.get(&group).map_or(0, |at| at + LONGEST_PAUSE);
        let finding = self.owners.unowned(group, capable, retried, now);
        self.found(now, finding);
    }

    /// Whether a capable node of ours, the only one left and with nothing in hand, runs the group. `idle`: there is such
    /// a node.
    pub(crate) fn look_at_lone_node(&mut self, group: GroupId, idle: bool, now: Micros) {
        let idle = idle && !self.repaired.contains_key(&group);
        let finding = self.owners.left_by_a_lone_node(group, idle, now);
        self.found(now, finding);
    }
}
