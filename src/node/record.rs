//! What the node notes for people: since when each node has its status, how often it died, and the last
//! move. Nothing is decided by it.

use std::collections::BTreeMap;

use crate::protocol::decisions::Decision;
use crate::protocol::name::NodeName;
use crate::protocol::status::NodeStatus;

/// What is noted of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NodeRecord {
    /// Since when it has its status, in seconds since 1970.
    pub since_unix_s: u64,
    /// How often it was declared dead. A node that leaves in order does not die.
    pub deaths: u64,
}

/// The notes.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// When this core began, in seconds since 1970.
    pub began_unix_s: u64,
    /// The last decision after which groups were ordered to start or stop.
    pub last_move: Option<Decision>,
    /// Files that were changed and are not in force.
    pub not_in_force: Vec<String>,
    nodes: BTreeMap<NodeName, NodeRecord>,
}

impl Record {
    /// A node changes its status. `left`: it has left in order.
    pub fn status(&mut self, node: &NodeName, status: NodeStatus, left: bool, unix_s: u64) {
        let record = self.nodes.entry(node.clone()).or_default();
        record.since_unix_s = unix_s;
        if status == NodeStatus::Dead && !left {
            record.deaths = record.deaths.saturating_add(1);
        }
    }

    /// What is noted of a node; `None`: its status has not changed since the beginning.
    #[must_use]
    pub fn node(&self, node: &NodeName) -> Option<NodeRecord> {
        self.nodes.get(node).copied()
    }
}
