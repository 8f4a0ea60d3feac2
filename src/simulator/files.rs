//! haresources of each host: what a test has fixed for one of them, else what the plan has for both. A process
//! uses the file that it has read at its start.

use std::collections::BTreeMap;

use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::resources::holding::HoldingSet;
use crate::resources::owners::{Before, Now, Whose};

use super::daemon::Daemon;
use super::ids::{GroupId, HostId};
use super::world::World;

impl World {
    /// The file on the disk of a host.
    pub(crate) fn file(&self, host: HostId) -> Vec<ResourceGroup> {
        let fixed = self.scripted.as_ref().and_then(|it| it.file(host));
        let lines = fixed.unwrap_or_else(|| {
            let groups = self.plan.group_ids();
            groups
                .map(|group| (self.plan.owner(group), group))
                .collect()
        });
        let more = self.scripted.as_ref().and_then(|it| it.more(host));
        let line = |(owner, group): (HostId, GroupId)| ResourceGroup {
            key: self.plan.group_key(group),
            owner: self.hosts[owner].name.clone(),
            resources: {
                let names = self.plan.resource_names(group);
                names.into_iter().chain(more.clone()).collect()
            },
        };
        lines.into_iter().map(line).collect()
    }

    /// The daemon of a host reads its file.
    pub(crate) fn read_file(&mut self, host: HostId) {
        let file = self.file(host);
        let h = &self.hosts[host];
        let half = |group| {
            let key = self.plan.group_key(group);
            let line = file.iter().find(|line| line.key == key)?;
            Some(match line.owner == h.name {
                true => (group, HoldingSet::LOCAL),
                false => (group, HoldingSet::FOREIGN),
            })
        };
        let halves = self.plan.group_ids().filter_map(half).collect();
        let h = &mut self.hosts[host];
        h.halves = halves;
        h.in_force = file;
    }

    /// The half of a group by what a host has read; `None`: it is not in its file.
    pub(crate) fn side(&self, host: HostId, group: GroupId) -> Option<HoldingSet> {
        self.hosts[host].halves.get(&group).copied()
    }

    /// Whether a node cannot say by its two halves whether it is responsible for a group: the owner was changed and
    /// the group has not gone to the new one yet, or the nodes have read different files.
    pub(crate) fn is_between_owners(&self, host: HostId, group: GroupId) -> bool {
        let key = self.plan.group_key(group);
        let here = self.side(host, group);
        let there = self.side(host.other(), group).map(HoldingSet::mirror);
        let moves = |node: &Daemon| match node {
            Daemon::Ours(node) => {
                let mut of = node.left_groups().chain(node.came_groups());
                of.any(|it| *it == key)
            }
            Daemon::Legacy(_) => false,
        };
        let reads = !self.hosts[host.other()].in_force.is_empty();
        here.is_none()
            || (reads && here != there)
            || self.hosts[host].node.as_ref().is_some_and(moves)
    }

    /// Whose each group is, as the process of a host knows it.
    pub(crate) fn whose(&self, host: HostId) -> BTreeMap<GroupKey, Whose> {
        let h = &self.hosts[host];
        let Some(Daemon::Ours(node)) = &h.node else {
            return BTreeMap::new();
        };
        let whose = |line: &ResourceGroup| match line.owner == h.name {
            true if node.came_groups().any(|it| *it == line.key) => Whose::Came,
            true => Whose::Own,
            false if node.left_groups().any(|it| *it == line.key) => Whose::Left,
            false => Whose::Other,
        };
        let lines = h.in_force.iter();
        lines.map(|line| (line.key.clone(), whose(line))).collect()
    }

    /// What a predecessor held, by the file that is in force now. `owners`: those by which it held it.
    pub(crate) fn held_now(&self, host: HostId, owners: BTreeMap<GroupKey, Whose>) -> Now {
        let h = &self.hosts[host];
        let keys = |groups: Vec<GroupId>| {
            let groups = groups.into_iter();
            groups.map(|group| self.plan.group_key(group)).collect()
        };
        let before = Before {
            owners,
            holding: h.kept.holding,
            running: keys(h.kept.may_run.iter().copied().collect()),
            unfinished: keys(h.kept.unfinished().into_iter().collect()),
        };
        before
            .after_death(&h.name, &h.in_force)
            .by(&h.name, &h.in_force)
    }
}
