//! Which reports answer a question of ours.
//! Spec: docs/protocol/resources.md, 5.2 and 7.4, [D]; the fields
//! are described in [`crate::protocol::question`].

use super::state::ResourceState;
use crate::protocol::field::{self, kind};
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;

/// Our own questions.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Asking {
    /// First one of the present run.
    first: Option<Position>,
    /// Newest one.
    newest: Position,
}

impl ResourceState {
    /// Asks every other node what it holds.
    pub(super) fn ask(&mut self) {
        self.send(Message::new(kind::STARTING));
    }

    /// A question of ours was sent.
    pub(super) fn asked(&mut self, message: &Message) {
        let position = Position::of(message);
        self.asking.first.get_or_insert(position);
        self.asking.newest = position;
    }

    /// A new run begins: what was asked in the last is answered in vain.
    pub(super) fn forget_questions(&mut self) {
        self.asking.first = None;
    }

    /// The other node asks.
    pub(super) fn note_question(&mut self, from: &NodeName, message: &Message) {
        let peer = self.peers.entry(from.clone()).or_default();
        peer.question = peer.question.max(Some(Position::of(message)));
    }

    /// What a report of ours says of the questions of the other node of a pair.
    pub(super) fn heard_text(&self) -> Option<String> {
        let mut peers = self.peers.values();
        let only = peers.next().filter(|_| peers.next().is_none())?;
        only.echoes
            .then(|| only.question.unwrap_or_default().to_text())
    }

    /// The newest question of ours that its sender had heard when it sent `report`. `None`: it does
    /// not tell.
    fn heard_in(&self, from: &NodeName, report: &Message) -> Option<Position> {
        let echoes = self.peers.get(from).is_some_and(|peer| peer.echoes);
        if !echoes || !self.is_pair() {
            return None;
        }
        let text = report.text(field::HEARD).unwrap_or_default();
        Some(Position::from_text(text).unwrap_or_default())
    }

    /// Whether a report was sent after its sender heard our present run. A legacy node does not
    /// tell: what it says counts.
    pub(super) fn knows_our_run(&self, from: &NodeName, report: &Message) -> bool {
        match (self.heard_in(from, report), self.asking.first) {
            (Some(heard), Some(first)) => heard >= first,
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    /// Whether a report was sent after its sender heard our newest question, as far as can be told.
    pub(super) fn answers_newest(&self, from: &NodeName, report: &Message) -> bool {
        self.heard_in(from, report)
            .is_none_or(|heard| heard >= self.asking.newest)
    }
}
