//! A run of ours that the other node has not heard yet, although we hear it: one direction is cut, and
//! it declared an earlier run of ours dead. It says with each beat what it runs of what it took.
//!
//! | Half of the groups | The other node | We |
//! |---|---|---|
//! | runs here, an earlier process left it | runs it, or is about to start it | let go and begin anew |
//! | does not run here | runs nothing of it for ten seconds | take it again: nobody serves |
//! | a group of it does not start | the same | try it again, ever more rarely |
//! | we took it so | runs it, or is about to start it | let go again |
//!
//! What the other is only about to start counts as well: it may mount the disks that we use. So we let go
//! before it is known whether the start succeeds.

use std::time::Duration;

use super::handshake::weight_in;
use super::holding::HoldingSet;
use super::jobs::Purpose;
use super::state::{Phase, ResourceState};
use crate::protocol::event::GroupOrder;
use crate::protocol::field;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::partition::{Half, Weight};

/// How long the other node has to run nothing of a half.
const UNSERVED: Duration = Duration::from_secs(10);

/// What the other node of a pair serves, from our view.
fn served_by(theirs: Weight) -> HoldingSet {
    [
        (Half::Ours, HoldingSet::LOCAL),
        (Half::Theirs, HoldingSet::FOREIGN),
    ]
    .into_iter()
    .filter(|(half, _)| theirs.serves(*half))
    .fold(HoldingSet::NONE, |sum, (_, set)| sum.with(set))
}

impl ResourceState {
    /// A living node declared an earlier run of ours dead, and has not heard this one. Comes with each
    /// of its beats.
    pub(super) fn predecessor_given_up(&mut self, node: &NodeName, theirs: Weight) {
        let served = served_by(theirs);
        if self.unheard_with_groups() && !self.mine.common(served).is_none() {
            let why =
                format!("node {node} declared our earlier run dead and does not hear this one");
            return self.give_way(&why);
        }
        self.look_for_unserved(node, served);
    }

    /// Whether what an earlier run held runs on here, and nobody has shown yet that it hears us.
    pub(super) fn unheard_with_groups(&self) -> bool {
        self.is_pair() && !self.comm_up && self.phase == Phase::Init && !self.mine.is_none()
    }

    /// A node that may not hear us claims what an earlier run of ours held and runs on here.
    pub(super) fn claimed_before_comm_is_up(&mut self, message: &Message) {
        let word = message.text(field::RSC_HOLD).unwrap_or("");
        let claims = HoldingSet::from_word(word).unwrap_or(HoldingSet::NONE);
        let releases = matches!(message.text(field::INFO), Some("standby" | "shutdown"));
        let conflict = claims.has(HoldingSet::FOREIGN)
            && self.mine.has(HoldingSet::LOCAL)
            && weight_in(message).is_none_or(|theirs| theirs.serves(Half::Ours));
        if conflict && !releases && self.nice() && self.unheard_with_groups() {
            self.give_way("the other node has taken our resources while we held them");
        }
    }

    fn look_for_unserved(&mut self, node: &NodeName, served: HoldingSet) {
        let idle = self.nice()
            && self.is_pair()
            && self.manage
            && !self.comm_up
            && self.phase == Phase::Init
            && !self.frozen
            && !self.stopping()
            && !self.jobs.running();
        let free = [HoldingSet::LOCAL, HoldingSet::FOREIGN]
            .into_iter()
            .filter(|half| !self.keys_of(*half).is_empty())
            .fold(HoldingSet::NONE, HoldingSet::with)
            .without(served);
        if !idle || free.is_none() {
            self.unserved = None;
            return;
        }
        let since = match self.unserved {
            Some((set, since)) if set == free => since,
            Some(_) | None => self.now,
        };
        self.unserved = Some((free, since));
        if self.now.since(since) < UNSERVED {
            return;
        }
        let new = free.without(self.mine);
        if new.is_none() {
            self.try_unserved(free);
        } else {
            self.take_unserved(node, new);
        }
    }

    /// What was taken so, or runs on from an earlier run, and does not start.
    fn try_unserved(&mut self, set: HoldingSet) {
        let mut keys = self.keys_of(set);
        keys.retain(|key| self.is_due(key));
        if keys.is_empty() {
            return;
        }
        self.decide(
            format!("tries to start {} again", Self::named(&keys)),
            "it is held and does not run, and the other node runs none of it",
        );
        self.jobs.add(Purpose::Retry, keys, GroupOrder::Start);
    }

    fn take_unserved(&mut self, node: &NodeName, set: HoldingSet) {
        self.warn(format!(
            "node {node} does not hear us, has declared us dead and does not run the {set} resources: \
             taking them again"
        ));
        self.decide(
            format!("takes the {set} resources again"),
            format!("{node} does not hear us, and has run none of them for ten seconds"),
        );
        self.mine = self.mine.with(set);
        let keys = self.keys_of(set);
        self.jobs.add(Purpose::Reclaim, keys, GroupOrder::Start);
    }

    /// The other node claims its own groups and we do too, although none of them runs here or is about
    /// to: they did not start. It serves, and we have nothing to stop.
    pub(super) fn leave_what_the_owner_runs(&mut self, node: &NodeName, theirs: Option<Weight>) {
        let foreign = HoldingSet::FOREIGN;
        let both = self.mine.has(foreign) && self.theirs.has(HoldingSet::LOCAL);
        let quiet = self.is_pair()
            && self.phase == Phase::Stable
            && !self.frozen
            && !self.jobs.running()
            && !self.contested();
        let served =
            theirs.is_some_and(|theirs| theirs.foreign.is_some() && theirs.serves(Half::Theirs));
        let keys = self.keys_of(foreign);
        if !both || !quiet || !served || keys.iter().any(|key| self.jobs.takes(key)) {
            return;
        }
        self.decide(
            "no longer holds the foreign resources",
            format!("{node} runs them, and they do not start here"),
        );
        self.mine = self.mine.without(foreign);
        self.failback_settled();
        for key in &keys {
            self.failures.remove(key);
        }
        self.answer();
    }
}
