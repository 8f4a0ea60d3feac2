//! What a legacy node runs and does not report. Its process can begin anew (`heartbeat -r`) while a
//! script of its own starts what it was given: the new process reports what it held before, and what
//! the script starts runs unreported. The script's end is told all the same, by the taker's `done`.
//!
//! | after its restart | we |
//! |---|---|
//! | no `done` for a minute | take it for not started, and ask the network before we take anything |
//! | `done` | leave it there until it gives it back or dies |
//!
//! What it has told stays told when it begins anew a second time: nobody can see whether that was
//! `heartbeat -r` again, which stops nothing.

use std::time::Duration;

use super::holding::HoldingSet;
use super::peers::Peer;
use super::standby::Standby;
use super::state::ResourceState;
use crate::clock::Monotonic;
use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;
use crate::protocol::status::NodeStatus;

/// How long its scripts may take until its word counts.
const STARTS: Duration = Duration::from_secs(60);

impl ResourceState {
    /// A node begins anew that may be starting what we gave it. One that was dead is no longer at it.
    pub(super) fn note_unreported(&mut self, node: &NodeName, was_dead: bool) {
        let given = self.standby == Standby::Given && !was_dead;
        let given = given.then(|| self.sb_set.mirror());
        let until = self.after(STARTS);
        let Some(peer) = self.peers.get_mut(node) else {
            return;
        };
        let runs_there = !was_dead && !peer.systole && peer.starts_until.is_none();
        if !runs_there {
            peer.unreported = HoldingSet::NONE;
        }
        peer.starts_until = None;
        if let Some(given) = given.filter(|_| !peer.systole) {
            peer.unreported = peer.unreported.with(given);
            peer.starts_until = Some(until);
            self.decide(
                format!("waits with what {node} was given"),
                format!("{node} began anew, and its scripts may be starting it"),
            );
        }
    }

    /// A `done` that belongs to no standby: whether it tells the end of such a start.
    pub(super) fn started_unreported(&mut self, node: &NodeName, set: HoldingSet) -> bool {
        let given = match self.standby {
            Standby::Not | Standby::Asked(_) | Standby::Answered { .. } => false,
            Standby::Giving | Standby::Given | Standby::Taking => true,
        };
        let Some(peer) = self.peers.get_mut(node).filter(|_| !given) else {
            return false;
        };
        let is_it = peer.starts_until.is_some() && peer.unreported.has(set.mirror());
        if is_it {
            peer.starts_until = None;
            let keys = self.keys_of(set);
            self.warn(format!(
                "node {node} began anew while it started what we gave it, and may not report it: {} \
                 stays there. hb_takeover on this node brings it back",
                Self::named(&keys)
            ));
            self.decide(
                format!("leaves {set} to {node}"),
                "it has started it, and began anew meanwhile",
            );
        }
        is_it
    }

    /// Groups that a legacy node says it holds, when nothing is in transition.
    pub fn held_by_legacy(&self) -> impl Iterator<Item = (&GroupKey, &NodeName)> {
        let quiet = self.nice() && self.is_pair() && self.comm_up && self.is_stable();
        let legacy = |peer: &Peer| {
            !peer.systole
                && !peer.leaving
                && peer.reported
                && peer.status == Some(NodeStatus::Active)
        };
        let peers = self
            .peers
            .iter()
            .filter(move |(_, peer)| quiet && legacy(peer));
        let set = self.theirs.mirror().without(self.mine);
        peers.flat_map(move |(name, _)| {
            let groups = self.groups.iter();
            let held = groups.filter(move |group| set.has(self.side_of(group)));
            held.map(move |group| (&group.key, name))
        })
    }

    pub(super) fn unreported_deadline(&self) -> Option<Monotonic> {
        let until = self.peers.values().filter_map(|peer| peer.starts_until);
        until.min()
    }

    pub(super) fn unreported_overdue(&mut self) {
        for peer in self.peers.values_mut() {
            if Self::take_due(&mut peer.starts_until, self.now) {
                peer.unreported = HoldingSet::NONE;
            }
        }
    }
}
