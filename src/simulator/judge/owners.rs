//! Never two owners while the nodes can talk, never no owner for longer than necessary.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::settings::AutoFailback;

use super::super::fencing::Device;
use super::super::ids::{GroupId, HostId, Table};
use super::super::plan::Plan;
use super::beats::Beats;
use super::{Micros, SECOND};

/// Which hosts run which groups, or have their addresses, and since when.
#[derive(Debug)]
pub(crate) struct Owners {
    /// Only addresses are judged.
    of_addresses: bool,
    owned: Table<GroupId, BTreeMap<HostId, Micros>>,
    overlap_since: Table<GroupId, Option<Micros>>,
    /// Hosts that release a group, and since when neither of two owners did.
    yielding: Table<HostId, Table<GroupId, bool>>,
    nobody_yields_since: Table<GroupId, Micros>,
    unowned_since: Table<GroupId, Option<Micros>>,
    left_since: Table<GroupId, Option<Micros>>,
    /// Since when a group that has run runs nowhere, and the longest such time since the last rest.
    gap_since: Table<GroupId, Option<Micros>>,
    longest_gap: Micros,
    longest_gap_allowed: Micros,
    /// For how long both had received each other when a start was ordered.
    ordered: BTreeMap<(HostId, GroupId), Micros>,
    /// Groups that an operator moved although one node could not start them.
    excused: BTreeSet<GroupId>,
    /// Groups that a legacy node runs although it has reported them as given.
    strays: BTreeSet<GroupId>,
    /// Groups that may have two owners, because a test is about something else.
    of_two: BTreeSet<GroupId>,
    /// The longest time for releasing everything: the start in hand, then every stop one after
    /// another, and the delays between our actors.
    longest_release: Micros,
    /// Without reports a lost request is the only evidence: it is repeated.
    repeat: Micros,
    disturbed_at: Micros,
    patience: Micros,
}

/// How long the only node that is left may have nothing in hand while a group runs nowhere: what was asked of the network
/// is answered in seconds.
const LONE_PATIENCE: Micros = 15 * SECOND;

impl Owners {
    pub(crate) fn new(plan: &Plan) -> Self {
        let groups = plan.groups.len();
        let most = plan.groups.iter().map(|g| g.1 as u64).max().unwrap_or(1);
        let all: u64 = plan.groups.iter().map(|g| g.1 as u64).sum();
        let script = plan.slow_script_ms * 1_000;
        let steps = if plan.features.steps { 2 * all } else { 0 };
        let hops = plan.internal_ms * 2_000 * (groups as u64 + 2 + steps);
        let with_reports = plan.failback != AutoFailback::Legacy;
        Self {
            of_addresses: false,
            owned: Table::filled(groups, BTreeMap::new()),
            overlap_since: Table::filled(groups, None),
            yielding: Table::filled(plan.nodes(), Table::filled(groups, false)),
            nobody_yields_since: Table::filled(groups, 0),
            unowned_since: Table::filled(groups, None),
            left_since: Table::filled(groups, None),
            gap_since: Table::filled(groups, None),
            longest_gap: 0,
            // The death, then the stops that run there, and a second until it is noticed.
            longest_gap_allowed: plan.longest_deadtime()
                + 3 * plan.longest_keepalive()
                + 2 * script * all
                + hops
                + 2 * SECOND,
            ordered: BTreeMap::new(),
            excused: BTreeSet::new(),
            strays: BTreeSet::new(),
            of_two: BTreeSet::new(),
            longest_release: script * (most + all) + hops,
            repeat: if with_reports { 0 } else { 10 * SECOND },
            disturbed_at: 0,
            // initdead, the ten seconds, a failed start's 30 s, a stop bound of 30 s, the scripts
            // of every group once each way.
            patience: plan.initdead_ms * 1_000
                + 75 * SECOND
                + script * 2 * all
                + if plan.has_legacy() { 60 * SECOND } else { 0 }
                + plan.features.device.map_or(0, Device::patience),
        }
    }

    /// The same for addresses: a node that releases removes them before any script of a stop, but a
    /// script that brings one up comes to its end first. A legacy node does not do this.
    pub(crate) fn of_addresses(plan: &Plan) -> Self {
        let mut owners = Self::new(plan);
        owners.of_addresses = true;
        if !plan.has_legacy() {
            let hops = plan.internal_ms * 2_000 * 4;
            owners.longest_release = plan.slow_script_ms * 2_000 + hops;
        }
        owners
    }

    fn name(&self, group: GroupId) -> String {
        if self.of_addresses {
            format!("the addresses of {group}")
        } else {
            group.to_string()
        }
    }

    pub(crate) fn disturbed(&mut self, now: Micros) {
        self.disturbed_at = now;
    }

    pub(crate) fn slow_script(&mut self, lasts: Micros) {
        self.longest_release += lasts;
        self.patience += lasts;
    }

    pub(crate) fn excuse(&mut self, group: GroupId) {
        self.excused.insert(group);
    }

    pub(crate) fn strays(&mut self, group: GroupId, strays: bool) {
        if strays {
            self.strays.insert(group);
        } else {
            self.strays.remove(&group);
        }
    }

    pub(crate) fn expect_two(&mut self, group: GroupId) {
        self.of_two.insert(group);
    }

    pub(crate) fn any(&self, group: GroupId) -> bool {
        !self.owned[group].is_empty()
    }

    /// When the newest of its owners began to start it.
    pub(crate) fn newest_since(&self, group: GroupId) -> Option<Micros> {
        self.owned[group].values().max().copied()
    }

    /// The groups of a host.
    pub(crate) fn of(&self, host: HostId) -> Vec<GroupId> {
        self.owned
            .keys()
            .filter(|group| self.owned[*group].contains_key(&host))
            .collect()
    }

    /// The other host that has a group.
    pub(crate) fn other(&self, host: HostId, group: GroupId) -> Option<HostId> {
        self.owned[group]
            .keys()
            .find(|owner| **owner != host)
            .copied()
    }

    pub(crate) fn ordered(&mut self, host: HostId, group: GroupId, good_for: Micros) {
        self.ordered.insert((host, group), good_for);
    }

    pub(crate) fn yields(&mut self, host: HostId, group: GroupId, yields: bool, now: Micros) {
        self.yielding[host][group] = yields;
        if yields {
            self.nobody_yields_since[group] = now;
        }
    }

    /// Whether an overlap begins, and whether it was forbidden: one exchange after the two receive
    /// each other, both know the state. `exchange`: the length of that exchange, if it is judged.
    pub(crate) fn begins(
        &mut self,
        host: HostId,
        group: GroupId,
        now: Micros,
        exchange: Option<Micros>,
    ) -> (bool, Option<String>) {
        let other = self.other(host, group);
        self.owned[group].insert(host, now);
        if let Some(since) = self.gap_since[group].take() {
            self.longest_gap = self.longest_gap.max(now - since);
        }
        let Some(other) = other else {
            return (false, None);
        };
        self.overlap_since[group].get_or_insert(now);
        self.nobody_yields_since[group] = now;
        let good_for = self.ordered.get(&(host, group)).copied().unwrap_or(0);
        let excused = self.strays.contains(&group) || self.of_two.contains(&group);
        let judged = exchange.filter(|longest| good_for > *longest && !excused);
        let finding =
            judged.map(|_| format!("{host} starts {} while {other} has it", self.name(group)));
        (true, finding)
    }

    /// How long two had it, when that ends.
    pub(crate) fn ends(&mut self, host: HostId, group: GroupId, now: Micros) -> Option<Micros> {
        let owners = &mut self.owned[group];
        if owners.remove(&host).is_some() && owners.is_empty() {
            self.gap_since[group] = Some(now);
        }
        if owners.len() > 1 {
            return None;
        }
        self.overlap_since[group].take().map(|since| now - since)
    }

    /// Checked after every event: an overlap ends soon after both receive each other, and while it
    /// lasts one of them releases.
    pub(crate) fn step(&mut self, now: Micros, beats: &Beats) -> Option<String> {
        let bad = beats.bad_until();
        for group in self.owned.keys() {
            let Some(since) = self.overlap_since[group] else {
                continue;
            };
            if self.of_two.contains(&group) {
                continue;
            }
            if self.strays.contains(&group) {
                // It counts from the moment at which the node knows of it.
                self.overlap_since[group] = Some(now);
                continue;
            }
            if self.owned[group]
                .keys()
                .any(|host| self.yielding[*host][group])
            {
                self.nobody_yields_since[group] = now;
            }
            if self.of_addresses
                && let Some(host) = self.owned[group].keys().find(|it| beats.cut_off(**it, now))
            {
                return Some(format!(
                    "{host} is cut off from everything and keeps the addresses of {group}, which \
                     the other has"
                ));
            }
            let notice = beats.notice_time() + self.repeat;
            let begun = since.max(bad);
            let seconds = since as f64 / 1e6;
            if now - begun.max(self.nobody_yields_since[group]) > notice + SECOND {
                return Some(format!(
                    "two owners of {} since {seconds:.6} s, none yields",
                    self.name(group)
                ));
            }
            if now - begun > self.longest_release + notice {
                return Some(format!(
                    "two owners of {} since {seconds:.6} s",
                    self.name(group)
                ));
            }
        }
        None
    }

    /// How long a group ran nowhere since the last rest.
    pub(crate) fn rested(&mut self, moved: bool, now: Micros) -> Option<String> {
        let open = self.gap_since.iter().flatten().map(|since| now - since);
        let longest = open.max().unwrap_or(0).max(self.longest_gap);
        self.longest_gap = 0;
        let allowed = if moved { self.longest_gap_allowed } else { 0 };
        (longest > allowed).then(|| format!("a group ran nowhere for {longest} us"))
    }

    /// A group that no node runs although one could.
    pub(crate) fn unowned(
        &mut self,
        group: GroupId,
        capable: bool,
        retried: Micros,
        now: Micros,
    ) -> Option<String> {
        let owned = self.any(group);
        if owned {
            self.excused.remove(&group);
        }
        if owned || !capable || self.excused.contains(&group) {
            self.unowned_since[group] = None;
            return None;
        }
        let since = *self.unowned_since[group].get_or_insert(now);
        let from = since.max(self.disturbed_at).max(retried);
        (now.saturating_sub(from) > self.patience)
            .then(|| format!("nobody runs {group} since {:.6} s", since as f64 / 1e6))
    }

    /// A group that no node runs while the only node that is left has nothing else to do.
    pub(crate) fn left_by_a_lone_node(
        &mut self,
        group: GroupId,
        idle: bool,
        now: Micros,
    ) -> Option<String> {
        if !idle || self.any(group) || self.excused.contains(&group) {
            self.left_since[group] = None;
            return None;
        }
        let since = *self.left_since[group].get_or_insert(now);
        (now.saturating_sub(since) > LONE_PATIENCE).then(|| {
            let since = since as f64 / 1e6;
            format!("a lone node does not start {group} since {since:.6} s")
        })
    }
}
