//! Which groups another node runs, group by group.
//!
//! Holding sets use `local` and `foreign` by the haresources of the node that sends them. While the
//! files of two nodes name different owners, and while a group goes to another owner, these words
//! mean different groups to each node. So reports between Systole nodes name the groups that run,
//! and by which owners they are counted.
//!
//! | What is seen | What we do |
//! |---|---|
//! | the other node runs a group that we were about to start | it stays there, and is checked again each second |
//! | we run a group that is no longer ours, both nodes use the same owners, the other holds its half | it is stopped here; the other starts it when our report no longer names it |
//! | the same, the other is a legacy node | it runs on: a legacy node starts nothing by itself. It goes with the next takeover, failback or standby, and when that node is started anew (`rules/returned.rs`) |
//! | lines or owners differ | no hand-over and no failback of these groups, unless a person forces it |
//! | both run a group, owners agree | the node that does not hold its half stops it |
//! | both run a group, owners differ | the first node by name keeps it |
//! | halves overlap by their words, owners differ, no group runs twice | nothing: the words mean different groups |

use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::run::Phase;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Whether the other node reports that it runs every group of a set.
    pub(in crate::resources) fn all_run_there(&self, set: HoldingSet) -> bool {
        let keys = self.groups.keys_of(set);
        !keys.is_empty() && keys.iter().all(|key| self.other.runs(key))
    }

    /// Whether the other node is known to use other owners.
    pub(in crate::resources) fn owners_differ(&self) -> bool {
        let owners = self.other.node().and_then(|(_, peer)| peer.owners());
        owners.is_some_and(|owners| owners != self.names.owners())
    }

    /// Whether the words for halves mean different groups to the two nodes, and the groups are
    /// known.
    pub(in crate::resources) fn counts_by_group(&self) -> bool {
        let named = self
            .other
            .node()
            .is_some_and(|(_, peer)| peer.tells_what_runs());
        named && self.owners_differ()
    }

    /// Whether any group runs on both nodes, as far as is known.
    pub(in crate::resources) fn some_run_twice(&self) -> bool {
        self.groups.taken().any(|key| self.other.runs(key))
    }

    /// Why no group of a set is to be handed over, in whichever direction.
    pub(in crate::resources) fn hand_over_obstacle(&self, set: HoldingSet) -> Option<String> {
        let (node, peer) = self.other.node()?;
        if self.owners_differ() {
            return Some(format!("haresources of {node} names other owners"));
        }
        if !peer.tells_what_runs() && self.names.pending() {
            // The scripts of a legacy node read its file anew.
            return Some("haresources was changed: heartbeat -r takes it up".to_owned());
        }
        match peer.differing()? {
            None => Some(format!("haresources of {node} differs")),
            Some(groups) => {
                let keys = self.groups.keys_of(set);
                let mut found = keys.iter().filter(|key| groups.contains(*key));
                let key = found.next()?;
                Some(format!(
                    "the line of {key} in haresources of {node} differs"
                ))
            }
        }
    }

    pub(in crate::resources) fn left_that_can_go(&self) -> Vec<GroupKey> {
        let Some((_, peer)) = self.other.node().filter(|(_, peer)| peer.has_reported()) else {
            return Vec::new();
        };
        let agreed = peer.owners() == Some(self.names.owners());
        if self.groups.left().next().is_none() || !agreed {
            return Vec::new();
        }
        let theirs = self.other.may_hold().mirror();
        let mut keys = self.groups.keys_of(theirs);
        keys.retain(|key| self.groups.is_left(key));
        keys
    }

    /// Groups that run on both nodes, and that the other node is to keep.
    pub(in crate::resources) fn twice_and_not_ours(&self) -> Vec<GroupKey> {
        let Some((name, _)) = self.other.node() else {
            return Vec::new();
        };
        let by_name = self.owners_differ().then(|| *name < *self.setup.local());
        let theirs = self.other.may_hold().mirror();
        let goes = |side: HoldingSet| {
            by_name.unwrap_or_else(|| theirs.has(side) && !self.duty.holds(side))
        };
        let twice = |key: &GroupKey| self.groups.runs(key) && self.other.runs(key);
        let groups = self.groups.sides();
        groups
            .filter(|(key, side)| twice(key) && goes(*side))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Whether a Systole node is giving us the group: then it has just stopped it.
    pub(in crate::resources) fn is_given_now(&self, key: &GroupKey) -> bool {
        let side = self.groups.side_of(key);
        self.other.all_systole() && side.is_some_and(|side| self.standby.state().taken().has(side))
    }

    /// The groups that are still to be started for an open standby, including those whose order is
    /// in hand.
    pub(in crate::resources) fn left_to_take(
        &self,
        in_hand: impl Fn(&GroupKey) -> bool,
    ) -> Vec<GroupKey> {
        let mut keys = self.groups.keys_of(self.standby.state().taken());
        keys.retain(|key| in_hand(key) || !self.groups.runs(key));
        keys
    }

    pub(in crate::resources) fn both_hold_foreign(&self) -> bool {
        self.duty.holds(HoldingSet::FOREIGN) && self.other.holds().has(HoldingSet::LOCAL)
    }

    /// Whether we hold groups for a legacy owner that was seen to begin anew and has not reported
    /// yet.
    pub(in crate::resources) fn owner_begins_anew(&self, node: &NodeName) -> bool {
        let manages = self.nice() && self.other.is_pair() && !self.stopping();
        let peer = self.other.peer(node);
        manages
            && self.run.phase() != Phase::Shutdown
            && self.groups.left().next().is_some()
            && peer.is_some_and(|peer| {
                !peer.is_systole() && !peer.has_reported() && peer.is_fresh() && !peer.is_gone()
            })
    }
}
