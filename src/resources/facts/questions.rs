//! Which reports answer a question of ours.
//! Spec: docs/protocol/resources.md, 5.2 and 7.4, [D]; the fields
//! are described in [`crate::protocol::question`].

use crate::protocol::field;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// The newest question of ours that the sender had received when it sent `report`. `None`: it
    /// does not tell.
    pub(in crate::resources) fn heard_in(
        &self,
        from: &NodeName,
        report: &Message,
    ) -> Option<Position> {
        if !self.other.echoes(from) || !self.other.is_pair() {
            return None;
        }
        let text = report.text(field::HEARD).unwrap_or_default();
        Some(Position::from_text(text).unwrap_or_default())
    }

    /// Whether the sender had received our present run when it sent the report. A legacy node does
    /// not tell: its report counts.
    pub(in crate::resources) fn knows_our_run(&self, from: &NodeName, report: &Message) -> bool {
        self.questions.first_was_heard(self.heard_in(from, report))
    }

    /// Whether the sender had received our newest question when it sent the report, as far as can
    /// be told.
    pub(in crate::resources) fn answers_newest(&self, from: &NodeName, report: &Message) -> bool {
        self.questions.newest_was_heard(self.heard_in(from, report))
    }
}
