//! Messages that every node must handle exactly once: never twice, and not lost while the two know
//! each other.

use std::collections::{BTreeMap, BTreeSet};

use super::super::ids::{HostId, Table};

/// The messages sent and received.
#[derive(Debug)]
pub(crate) struct Marks {
    /// Lives of each host so far.
    lives: Table<HostId, u64>,
    /// `verdicts[by][of]`: how often a node has called another dead.
    verdicts: Table<HostId, Table<HostId, u64>>,
    heard: BTreeSet<(HostId, u64)>,
    /// What a host has given up, and said so.
    given_up: BTreeSet<(HostId, u64)>,
    /// Mark, sender, and the situation when it was sent.
    owed: BTreeMap<u64, Owed>,
}

#[derive(Debug)]
struct Owed {
    from: HostId,
    lives: Table<HostId, u64>,
    verdicts: Table<HostId, Table<HostId, u64>>,
}

impl Marks {
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            lives: Table::filled(nodes, 0),
            verdicts: Table::filled(nodes, Table::filled(nodes, 0)),
            heard: BTreeSet::new(),
            given_up: BTreeSet::new(),
            owed: BTreeMap::new(),
        }
    }

    pub(crate) fn started(&mut self, host: HostId) {
        self.lives[host] += 1;
        self.heard.retain(|(by, _)| *by != host);
        self.given_up.retain(|(by, _)| *by != host);
    }

    /// Messages of the run before that the other node misses can no longer be asked for.
    pub(crate) fn renumbered(&mut self, host: HostId) {
        self.lives[host] += 1;
    }

    pub(crate) fn verdict(&mut self, by: HostId, of: HostId) {
        self.verdicts[by][of] += 1;
    }

    /// `known`: both are active for each other.
    pub(crate) fn sent(&mut self, from: HostId, mark: u64, known: bool) {
        if known {
            let (lives, verdicts) = (self.lives.clone(), self.verdicts.clone());
            self.owed.insert(
                mark,
                Owed {
                    from,
                    lives,
                    verdicts,
                },
            );
        }
    }

    pub(crate) fn heard(&mut self, host: HostId, mark: u64) -> Option<String> {
        let first = self.heard.insert((host, mark));
        (!first).then(|| format!("{host} heard mark {mark} twice"))
    }

    /// More is missing there of another node than can be asked for: it gives all of that up, as legacy does.
    pub(crate) fn gives_up(&mut self, host: HostId, of: HostId) {
        let open = self.owed.iter().filter(|(_, owed)| owed.from == of);
        self.given_up.extend(open.map(|(mark, _)| (host, *mark)));
    }

    /// A mark whose sender and receiver have known each other ever since.
    pub(crate) fn missed(&self) -> Option<String> {
        self.owed.iter().find_map(|(mark, owed)| {
            let known = owed.lives == self.lives && owed.verdicts == self.verdicts;
            let there = |it: &(HostId, u64)| self.heard.contains(it) || self.given_up.contains(it);
            let missing = self.lives.keys().find(|host| !there(&(*host, *mark)))?;
            known.then(|| {
                let from = owed.from;
                format!("{missing} never heard mark {mark} of {from}")
            })
        })
    }

    pub(crate) fn hearers(&self, mark: u64) -> usize {
        self.heard
            .iter()
            .filter(|(_, heard)| *heard == mark)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::ids::{Key, NODE1, NODE2};
    use super::*;

    #[test]
    fn what_is_given_up_of_one_node_is_owed_by_another() {
        let mut marks = Marks::new(3);
        let node3 = HostId::of(2);
        for (from, mark) in [(NODE2, 1), (node3, 2)] {
            marks.sent(from, mark, true);
        }
        for (host, mark) in [(NODE2, 1), (node3, 1), (NODE2, 2), (node3, 2)] {
            assert_eq!(marks.heard(host, mark), None);
        }
        marks.gives_up(NODE1, NODE2);
        let missed = marks.missed();
        assert_eq!(missed.as_deref(), Some("node1 never heard mark 2 of node3"));
        marks.gives_up(NODE1, node3);
        assert_eq!(marks.missed(), None);
    }
}
