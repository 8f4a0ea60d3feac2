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
//!
//! The same is open when we begin anew (we stood still, or let go of everything) in the middle of a standby
//! with a legacy node. It goes on with its scripts and answers our new run as if it were settled. It names
//! what it takes only when it has it, and no longer names what it gives and still stops.
//!
//! | after our own restart | we |
//! |---|---|
//! | neither of those below, for an hour | take it for not started |
//! | `done` | ask what it holds, and take what it has released |
//! | a report that names it | leave it there |

use std::time::Duration;

use super::holding::HoldingSet;
use super::peers::Peer;
use super::standby::{COMPLETION, Standby};
use super::state::ResourceState;
use crate::clock::Monotonic;
use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;
use crate::protocol::status::NodeStatus;

/// How long its scripts may take until its word counts.
const STARTS: Duration = Duration::from_secs(60);

impl ResourceState {
    /// We begin anew: what a legacy node has in its hands by the standby that ends here, it may start or
    /// still run.
    pub(super) fn leave_in_its_hands(&mut self) {
        let set = match self.standby {
            Standby::Given => self.sb_set.mirror(),
            Standby::Answered { .. } => self.sb_set,
            Standby::Not | Standby::Asked(_) | Standby::Giving | Standby::Taking => return,
        };
        let until = self.after(COMPLETION);
        let pair = self.is_pair();
        let Some((name, peer)) = self.peers.iter_mut().next() else {
            return;
        };
        if !pair || peer.systole || peer.is_gone() {
            return;
        }
        peer.unreported = peer.unreported.with(set);
        peer.starts_until = Some(until);
        peer.tells = true;
        let name = name.clone();
        self.decide(
            format!("leaves {set} in the hands of {name}"),
            "we begin anew in a standby, and its scripts go on: it says when they are done",
        );
    }

    /// A full report: whether it names what was left in its sender's hands.
    pub(super) fn names_what_it_took(&mut self, node: &NodeName, set: HoldingSet) {
        let Some(peer) = self.peers.get_mut(node).filter(|peer| peer.tells) else {
            return;
        };
        peer.unreported = peer.unreported.without(set);
        if peer.unreported.is_none() {
            peer.in_hands_no_longer();
        }
    }

    /// A node begins anew that may be starting what we gave it. One that was dead is no longer at it.
    pub(super) fn note_unreported(&mut self, node: &NodeName, was_dead: bool) {
        let given = self.standby == Standby::Given && !was_dead;
        let given = given.then(|| self.sb_set.mirror());
        let until = self.after(STARTS);
        let Some(peer) = self.peers.get_mut(node) else {
            return;
        };
        let tells = std::mem::take(&mut peer.tells) && !was_dead;
        let runs_there = !was_dead && !peer.systole && (tells || peer.starts_until.is_none());
        if !runs_there {
            peer.unreported = HoldingSet::NONE;
        }
        peer.starts_until = tells.then_some(until);
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
        if let Some(peer) = self.peers.get_mut(node).filter(|peer| peer.tells) {
            // In the run that began it: what it holds now, it also reports.
            peer.in_hands_no_longer();
            return false;
        }
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
                peer.in_hands_no_longer();
            }
        }
    }
}
