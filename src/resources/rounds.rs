//! Which round of the standby protocol a message belongs to.
//! Spec: docs/protocol/resources.md, 7.4, [D].
//!
//! Nothing in the messages says so, and one that was lost at first comes when the next round has begun.
//! So the giver's `done` counts only when it was sent after its `me`, for the same set; and between two
//! of our nodes the answers of the taker name the `me` that they answer, see
//! [`crate::protocol::question`].

use super::holding::HoldingSet;
use super::standby::{Standby, ask};
use super::state::ResourceState;
use crate::protocol::field;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;

/// The last offer that we answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    giver: NodeName,
    set: HoldingSet,
    /// Its `me`.
    offer: Position,
}

impl Answer {
    /// The offer that was answered.
    pub(super) const fn offer(&self) -> Position {
        self.offer
    }
}

impl ResourceState {
    /// An earlier process has answered an offer of `giver`.
    pub(super) fn remember_answer(&mut self, giver: &NodeName, set: HoldingSet, offer: Position) {
        let giver = giver.clone();
        self.offer_answered = Some(Answer { giver, set, offer });
    }

    /// Another node offers something. `false`: it has offered something else since, or we began anew since
    /// and it knows that: its offer has ended with our earlier run, whose words may still be on their way.
    pub(super) fn note_offer(&mut self, from: &NodeName, message: &Message) -> bool {
        let position = Some(Position::of(message));
        let peer = self.peers.entry(from.clone()).or_default();
        if position < peer.knows_us_since {
            return false;
        }
        let newest = position >= peer.offer;
        peer.offer = peer.offer.max(position);
        newest
    }

    /// We answer the newest offer of `giver`.
    pub(super) fn note_answer(&mut self, giver: &NodeName, set: HoldingSet) {
        let offer = self.peers.get(giver).and_then(|peer| peer.offer);
        self.offer_answered = offer.map(|offer| Answer {
            giver: giver.clone(),
            set,
            offer,
        });
    }

    /// Whether a message was sent after the offer that we answered last.
    pub(super) fn is_of_answered_offer(&self, position: Position) -> bool {
        let answer = self.offer_answered.as_ref();
        answer.is_some_and(|answer| answer.offer < position)
    }

    /// An offer of ours was sent.
    pub(super) fn offered_by_us(&mut self, message: &Message) {
        if message.text(field::INFO) == Some("me") {
            self.our_offer = Some(Position::of(message));
        }
    }

    /// Whether a word of the taker answers our newest offer. A legacy node does not tell.
    pub(super) fn answers_our_offer(&self, from: &NodeName, message: &Message) -> bool {
        if !self.peers.get(from).is_some_and(|peer| peer.echoes) {
            return true;
        }
        let heard = message.text(field::HEARD).and_then(Position::from_text);
        heard.is_some() && heard == self.our_offer
    }

    /// Whether a `done` is that of the giver whose offer we answered last: sent after the offer, for
    /// the same set. One that is late is of use only while nobody runs the set.
    pub(super) fn follows_answered_offer(
        &self,
        from: &NodeName,
        set: HoldingSet,
        message: &Message,
    ) -> bool {
        let follows = self.offer_answered.as_ref().is_some_and(|answer| {
            answer.giver == *from && answer.set == set && answer.offer < Position::of(message)
        });
        let reported = self.peers.get(from).map(|peer| peer.newest_report);
        // It has been heard to run them since.
        let taken_back = reported > Some(Position::of(message)) && self.theirs_at_most().has(set);
        let wanted = self.standby != Standby::Not
            || !(self.mine.has(set.mirror()) || self.stopping() || self.frozen);
        follows && !taken_back && wanted
    }

    /// A word of the taker: between our nodes it names the offer.
    pub(super) fn answer_offer(&mut self, set: HoldingSet, info: &str) {
        let mut message = ask(set, info);
        let giver = self.offer_answered.as_ref().map(|answer| &answer.giver);
        let peer = giver.and_then(|giver| self.peers.get(giver));
        if let (Some(answer), Some(true)) = (&self.offer_answered, peer.map(|peer| peer.echoes)) {
            message.set_text(field::HEARD, &answer.offer.to_text());
        }
        self.send(message);
    }
}
