//! A legacy node whose words and groups have come apart. It serialises neither its takeovers nor its
//! failbacks with the scripts that run: what waited behind them is worked off later, whatever was handed
//! over meanwhile, and its words of a hand-over come in the wrong order.
//!
//! | What is seen | What we do |
//! |---|---|
//! | its `info=standby` comes behind a newer report | it gives all the same: its `done` is waited for |
//! | its `mach_down`, while we hold our groups | it has started them, and lets go of nothing: we give way |
//! | the same, while we take our groups from it | the same, and it gives them anew: we begin anew |
//! | the same, while we hold its groups or take those | it works off now what waited behind, its own groups' starts among it, and never says so: we offer them back |
//! | it claims what we have taken meanwhile | it is asked once, when our work is done; its report decides |
//! | the same, and the network has refused every group of that half to us | it serves: we claim it no longer |
//! | a `done` that nobody waits for | it is asked: when it does not hold the set, it has released it for an earlier run of ours, and waits for our `done` for an hour. We take the set. When it holds its own groups by it, it has just started them for an earlier run of ours: we let go of those |
//! | the same, and we hold what it would have released | a script of an earlier standby has ended, and may have started that: we offer it, once |

use std::time::Duration;

use super::behind_scripts::Scripts;
use super::holding::HoldingSet;
use super::standby::{Standby, Wish};
use super::state::{Phase, ResourceState};
use crate::clock::Monotonic;
use crate::protocol::field;
use crate::protocol::group::GroupKey;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::protocol::status::NodeStatus;

/// How long an offer that was not answered is not repeated at first; twice as long each time, because a
/// node that hangs in a standby of its own does so for an hour, and an open offer holds everything else up.
const OFFER_AGAIN: Duration = Duration::from_secs(15);
/// The longest pause between two offers.
const OFFER_RARELY: Duration = Duration::from_secs(600);

/// What is open beside a legacy node.
#[derive(Debug, Default)]
pub(super) struct BesideLegacy {
    /// It was asked about what both of us claim.
    asked: bool,
    /// A `done` that nobody waited for: whose, and the message.
    late_done: Option<(NodeName, HoldingSet, Message)>,
    /// It may have started its own groups, which we hold: they are offered to it then.
    offer_back_at: Option<Monotonic>,
    /// The pause after the next offer; `None`: it is the first.
    offer_pause: Option<Duration>,
    /// What a script of an earlier standby may have started beside us.
    older_start: HoldingSet,
    /// Whether its scripts are done.
    pub(super) scripts: Scripts,
}

impl ResourceState {
    pub(super) fn is_legacy(&self, node: &NodeName) -> bool {
        self.is_pair() && self.peers.get(node).is_some_and(|peer| !peer.systole)
    }

    /// Whether nothing moves here, and nothing keeps us from taking or leaving something.
    fn at_rest(&self) -> bool {
        self.nice()
            && self.phase == Phase::Stable
            && self.standby == Standby::Not
            && !self.jobs.running()
            && !self.contested()
            && !self.frozen
            && !self.stopping()
    }

    /// A report that is older than one that we have heard: whether it is the giver's word that it gives.
    pub(super) fn gives_by_an_older_report(&mut self, from: &NodeName, report: &Message) {
        let giving = matches!(&self.standby, Standby::Answered { giver, .. } if giver == from);
        if giving && self.is_legacy(from) && self.is_of_answered_offer(Position::of(report)) {
            self.giver_gives(report.text(field::INFO));
        }
    }

    /// A report that says nothing of being settled. `true`: it was a reason to let go.
    pub(super) fn took_ours_by_its_word(&mut self, from: &NodeName, report: &Message) -> bool {
        if report.text(field::INFO) != Some("mach_down") || !self.is_legacy(from) {
            return false;
        }
        if self.conflicts(from, None) {
            return true;
        }
        let taking = self.standby == Standby::Taking && self.is_pair();
        if taking && self.sb_set.has(HoldingSet::FOREIGN) {
            self.give_way("the other node has started what it gave us, behind its own word");
            return true;
        }
        let takes = taking && self.sb_set.has(HoldingSet::LOCAL);
        if self.mine.has(HoldingSet::FOREIGN) || takes {
            self.beside_legacy.offer_back_at = Some(self.now);
        }
        false
    }

    /// Gives a legacy node back what it may have started beside us. `true`: that has begun.
    fn offer_back(&mut self) -> bool {
        let due = self
            .beside_legacy
            .offer_back_at
            .is_some_and(|at| at <= self.now);
        if !due || !self.is_pair() || !self.at_rest() || !self.peer_active() {
            return false;
        }
        if !self.mine.has(HoldingSet::FOREIGN) {
            self.offered_back();
            return false;
        }
        let pause = self.beside_legacy.offer_pause.unwrap_or(OFFER_AGAIN);
        self.beside_legacy.offer_back_at = Some(self.after(pause));
        self.beside_legacy.offer_pause = Some(pause.saturating_mul(2).min(OFFER_RARELY));
        self.warn(
            "the other node has ended a takeover that began before it gave us its resources: it may be \
             starting them again, and get them back",
        );
        self.begin_standby(
            HoldingSet::FOREIGN,
            Wish::Forced,
            "the other node may have started them: it works off what waited behind its takeover",
        );
        true
    }

    /// It takes them: what a person brings here later is not offered once more.
    pub(super) const fn offered_back(&mut self) {
        self.beside_legacy.offer_back_at = None;
        self.beside_legacy.offer_pause = None;
    }

    pub(super) fn offer_back_deadline(&self) -> Option<Monotonic> {
        self.beside_legacy.offer_back_at.filter(|at| *at > self.now)
    }

    /// Whether a `done` that belongs to no standby of ours may be that of a giver.
    pub(super) fn is_late_done(&self, from: &NodeName, set: HoldingSet) -> bool {
        let may_give = self.at_rest() && !self.mine.has(set.mirror());
        let may_have_taken = !self.mine.common(set).is_none();
        self.is_legacy(from) && (may_give || may_have_taken)
    }

    pub(super) fn note_late_done(&mut self, from: &NodeName, set: HoldingSet, message: &Message) {
        self.decide(
            format!("asks {from} what it holds"),
            format!("it says that it has released or taken {set}, and nobody waited for that"),
        );
        self.beside_legacy.late_done = Some((from.clone(), set, message.clone()));
        self.ask();
    }

    /// Whether a `done` is that of no giver, because we hold what it would give. Each script of a legacy node
    /// says it once: one has ended that a death has cut off from its standby, and what that was told to start it
    /// has started, whatever was handed over meanwhile.
    pub(super) fn ends_an_older_start(&self, from: &NodeName, set: HoldingSet) -> bool {
        let holds = self.at_rest() && self.mine.has(set.mirror());
        let takes = self.standby == Standby::Taking && self.sb_set.has(set);
        self.is_legacy(from) && (holds || takes)
    }

    pub(super) fn note_older_start(&mut self, from: &NodeName, set: HoldingSet) {
        let ours = set.mirror();
        self.warn(format!(
            "a script of an earlier standby has ended on node {from}, and may have started the {ours} \
             resources beside us: offering them to it"
        ));
        self.beside_legacy.older_start = ours;
    }

    /// Lets it have them for good: it stops nothing by itself, and names nothing of it. Once: when it does not
    /// answer, it hangs. `true`: that has begun.
    fn offer_what_it_started(&mut self) -> bool {
        let noted = self.beside_legacy.older_start;
        let possible = self.is_pair() && self.at_rest() && self.other_stable && self.peer_active();
        if noted.is_none() || !possible {
            return false;
        }
        self.beside_legacy.older_start = HoldingSet::NONE;
        let set = noted.common(self.mine);
        if set.is_none() {
            return false;
        }
        self.begin_standby(
            set,
            Wish::Forced,
            "the other node may have started them: it says that it is done, and gives nothing",
        );
        true
    }

    /// A full report: whether its sender has released what its late `done` names.
    pub(super) fn released_before_our_run(&mut self, from: &NodeName, report: &Message) {
        let late = self.beside_legacy.late_done.take();
        let Some((giver, set, done)) = late.filter(|(giver, ..)| giver == from) else {
            return;
        };
        if Position::of(report) < Position::of(&done) {
            self.beside_legacy.late_done = Some((giver, set, done));
            return;
        }
        let holds = self.theirs_at_most();
        let released = holds.common(set).is_none() && report.text(field::INFO).is_none();
        if released && self.at_rest() && !self.mine.has(set.mirror()) {
            self.take(from, set, &done);
        } else if set.has(HoldingSet::FOREIGN) && self.theirs.has(HoldingSet::LOCAL) {
            self.leave_foreign_to(
                from,
                "has started its own resources, which were taken here meanwhile",
            );
        }
    }

    /// Looks at what a legacy node claims and we do too, when nothing moves.
    pub(super) fn settle_beside_legacy(&mut self) {
        let mut peers = self.peers.iter();
        let legacy = peers.find(|(_, peer)| {
            !peer.systole
                && peer.reported
                && !peer.leaving
                && !peer.left
                && peer.status == Some(NodeStatus::Active)
        });
        let both = self.mine.common(self.theirs.mirror());
        let Some(node) = legacy.map(|(name, _)| name.clone()) else {
            self.beside_legacy = BesideLegacy::default();
            return;
        };
        if self.offer_back() || self.offer_what_it_started() {
            return;
        }
        if self.at_rest() && self.hear_early_done() {
            return;
        }
        if both.is_none() {
            self.beside_legacy.asked = false;
        }
        if both.is_none() || !self.is_pair() || !self.at_rest() {
            return;
        }
        let refused = both.common(self.done_by_others());
        if !refused.is_none() {
            return self.leave_to_legacy(&node, refused);
        }
        if !std::mem::replace(&mut self.beside_legacy.asked, true) {
            self.decide(
                format!("asks {node} what it holds"),
                format!("both claim the {both} resources"),
            );
            self.ask();
        }
    }

    /// Another host has the address of a group that a legacy node does not claim. It may run it all the
    /// same: it forgets what its scripts go on with when a death cancels its standby. What frees the group.
    pub(super) fn say_who_may_run_it(&mut self, key: &GroupKey) {
        let group = self.groups.iter().find(|group| group.key == *key);
        let Some(side) = group.map(|group| self.side_of(group)) else {
            return;
        };
        let claimed = self.theirs.mirror().has(side);
        let mut peers = self.peers.iter();
        let legacy = peers.find(|(_, peer)| {
            !peer.systole && peer.reported && peer.status == Some(NodeStatus::Active)
        });
        let Some(node) = legacy.map(|(name, _)| name.clone()) else {
            return;
        };
        if !claimed && self.is_pair() {
            self.warn(format!(
                "node {node} does not report group {key}, and may run it all the same. What frees the group \
                 then, on {node}: /usr/share/heartbeat/ResourceManager givegroup {key}"
            ));
        }
    }

    fn leave_to_legacy(&mut self, node: &NodeName, set: HoldingSet) {
        self.decide(
            format!("no longer holds the {set} resources"),
            format!("{node} says that it holds them, and another host has their addresses"),
        );
        self.mine = self.mine.without(set);
        if set.has(HoldingSet::FOREIGN) {
            self.failback_settled();
        }
        for key in self.keys_of(set) {
            self.failures.remove(&key);
        }
        self.answer();
    }
}
