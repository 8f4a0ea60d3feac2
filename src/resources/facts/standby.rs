//! Which round of the standby protocol a message belongs to.
//! Spec: docs/protocol/resources.md, 7.4, [D].
//!
//! Nothing in the messages says so, and one that was lost at first comes when the next round has begun.
//! So the giver's `done` counts only when it was sent after its `me`, for the same set; and between two
//! of our nodes the answers of the taker name the `me` that they answer, see
//! [`crate::protocol::question`].

use crate::clock::Monotonic;
use crate::protocol::field;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::standby::{
    Answer, COMPLETION, FIRST_ANSWER, LEGACY_GIVER_SHOWS, Standby,
};
use crate::resources::parts::timers::Timer;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Communication is up: the clock of this process counts from here.
    pub(in crate::resources) fn standby_goes_on(&mut self) {
        if !self.went_on {
            return;
        }
        let patience = match &mut self.standby {
            Standby::Answered {
                gives, open_until, ..
            } => {
                *open_until = self.now + FIRST_ANSWER;
                if *gives {
                    COMPLETION
                } else {
                    LEGACY_GIVER_SHOWS
                }
            }
            Standby::Not
            | Standby::Asked(_)
            | Standby::Giving
            | Standby::Given
            | Standby::Taking => COMPLETION,
        };
        self.timers.set(Timer::Standby, self.after(patience));
    }

    /// Whether a word of a standby that an earlier process began has to wait: the other node takes it for
    /// one of the earlier process, or does not hear it, before it has reported to this one.
    pub(in crate::resources) fn not_heard_yet(&self) -> bool {
        self.went_on && !self.other.somebody_has_reported()
    }

    /// The groups that another node may be stopping for us, or starting since we gave them up.
    pub(in crate::resources) fn in_other_hands(&self) -> HoldingSet {
        match self.standby {
            Standby::Giving | Standby::Given => self.sb_set,
            Standby::Answered { .. } => self.sb_set.mirror(),
            Standby::Not | Standby::Asked(_) | Standby::Taking => HoldingSet::NONE,
        }
    }

    /// What the giver said while nobody listened here is lost for good, its `done` perhaps among it: it is
    /// not waited for as long.
    pub(in crate::resources) fn lost_in_a_standby(&mut self) {
        if self.went_on
            && let Standby::Answered { gives, .. } = &mut self.standby
        {
            *gives = false;
            self.timers.clear(Timer::Standby);
            if self.run.comm_up() {
                self.timers
                    .set(Timer::Standby, self.after(LEGACY_GIVER_SHOWS));
            }
        }
    }

    /// Whether no standby has come as far as moving groups.
    pub(in crate::resources) const fn nothing_moves(&self) -> bool {
        match self.standby {
            Standby::Not | Standby::Asked(_) | Standby::Answered { .. } => true,
            Standby::Giving | Standby::Given | Standby::Taking => false,
        }
    }

    /// An earlier process has answered an offer of `giver`.
    pub(in crate::resources) fn remember_answer(
        &mut self,
        giver: &NodeName,
        set: HoldingSet,
        offer: Position,
    ) {
        let giver = giver.clone();
        self.offer_answered = Some(Answer { giver, set, offer });
    }

    /// We answer the newest offer of `giver`.
    pub(in crate::resources) fn note_answer(&mut self, giver: &NodeName, set: HoldingSet) {
        let offer = self.other.peer(giver).and_then(Peer::offer);
        self.offer_answered = offer.map(|offer| Answer {
            giver: giver.clone(),
            set,
            offer,
        });
    }

    /// Whether a message was sent after the offer that we answered last.
    pub(in crate::resources) fn is_of_answered_offer(&self, position: Position) -> bool {
        let answer = self.offer_answered.as_ref();
        answer.is_some_and(|answer| answer.offer < position)
    }

    /// An offer of ours was sent.
    pub(in crate::resources) fn offered_by_us(&mut self, message: &Message) {
        if message.text(field::INFO) == Some("me") {
            self.our_offer = Some(Position::of(message));
        }
    }

    /// Whether a word of the taker answers our newest offer. A legacy node does not tell.
    pub(in crate::resources) fn answers_our_offer(
        &self,
        from: &NodeName,
        message: &Message,
    ) -> bool {
        if !self.other.echoes(from) {
            return true;
        }
        let heard = message.text(field::HEARD).and_then(Position::from_text);
        heard.is_some() && heard == self.our_offer
    }

    /// Whether our offer ends for one of `from` that crosses it. It ignores ours in any case. A legacy
    /// node offers only what somebody wants.
    pub(in crate::resources) fn gives_way_to(&self, from: &NodeName) -> bool {
        let ours = self.other.is_systole(from);
        !ours || *from < *self.setup.local()
    }

    /// Whether a second offer of the giver that we have answered is one: see the top.
    pub(in crate::resources) fn starts_over(&self) -> bool {
        let Standby::Answered {
            giver,
            open_until,
            gives,
        } = &self.standby
        else {
            return false;
        };
        let ours = self.other.is_systole(giver);
        ours || (!gives && *open_until <= self.now)
    }

    /// Whether one of our nodes says again that it is done.
    pub(in crate::resources) fn knows_that_it_is_done(
        &self,
        from: &NodeName,
        set: HoldingSet,
    ) -> bool {
        let ours = self.other.is_systole(from);
        let taken = self.standby == Standby::Taking && self.sb_set == set;
        ours && (taken || self.duty.holds(set.mirror()))
    }

    pub(in crate::resources) fn waiting_requests_until(&self) -> Option<Monotonic> {
        let wanted = self.wanted.map(|request| request.until);
        let offered = self.offered.as_ref().map(|(_, request)| request.until);
        [wanted, offered].into_iter().flatten().min()
    }

    /// How long an open standby is still waited for; `None`: none is open.
    pub(in crate::resources) fn seconds_left(&self) -> Option<u64> {
        let left = self.timers.at(Timer::Standby)?.since(self.now);
        (!left.is_zero()).then_some(left.as_secs())
    }

    /// Whether the taker is one of our nodes that lives and has not said since our `done` that it is
    /// settled. Its scripts may take longer than we wait for a legacy one: it says when they have ended,
    /// and its death or new run ends the standby too.
    pub(in crate::resources) fn is_taking_still(&self) -> bool {
        let settled = self.other.is_settled() && { self.other.newest_report() > self.given_at };
        let ours =
            |(name, peer): (&NodeName, &Peer)| peer.is_systole() && !self.other.is_dead(name);
        !settled && self.other.nodes().any(ours)
    }

    /// What a legacy node has in its hands by the standby that ends here.
    pub(in crate::resources) fn in_its_hands(&self) -> HoldingSet {
        match self.standby {
            Standby::Given => self.sb_set.mirror(),
            Standby::Answered { .. } => self.sb_set,
            Standby::Not | Standby::Asked(_) | Standby::Giving | Standby::Taking => {
                HoldingSet::NONE
            }
        }
    }
}
