//! Our questions to other nodes, and how long a living node may leave them unanswered.
//! Spec: docs/protocol/resources.md, 5.2, note 3.

use std::time::Duration;

use crate::protocol::question::Position;

/// How long this node waits while no node is settled. Spec: docs/protocol/membership.md, 2, fixed
/// times.
pub(in crate::resources) const AGREEMENT: Duration = Duration::from_secs(10);

/// How long the message of another node that it resets us prevents us from acquiring.
/// Spec: docs/protocol/resources.md, 10.3.
pub(in crate::resources) const AIMED_AT: Duration = Duration::from_secs(10);

/// How long this node waits for the report of a peer that is active. Spec:
/// docs/protocol/resources.md, 5.2, note 3.
pub(in crate::resources) const REPORT: Duration = Duration::from_secs(1);

/// How often a settled node asks for the report, a second apart, before it logs that none comes.
/// The first `starting` may be lost for good when another message overtakes it: a receiver does not
/// ask for messages before the first number that it received.
pub(in crate::resources) const ASK_WHEN_STABLE: u8 = 3;

/// The same for a node whose report counts only when it has received the question: as long as the
/// wait.
pub(in crate::resources) const ASK_ONE_THAT_ECHOES: u8 = 9;

/// Pause between questions after that. They go on without end: the node may not receive us, and may
/// receive again at any time.
pub(in crate::resources) const ASK_ON: Duration = Duration::from_secs(5);

/// Our own questions, and which reports answer one. The newest question that the sender of a report
/// had received is `None` if it does not tell, as a legacy node: then its report counts. Spec:
/// docs/protocol/resources.md, 7.4, [D].
#[derive(Debug, Default)]
pub(in crate::resources) struct Questions {
    /// The first question of the present run.
    first: Option<Position>,
    newest: Position,
}

impl Questions {
    /// A question was sent, and has its number now.
    pub(in crate::resources) fn asked(&mut self, at: Position) {
        self.first.get_or_insert(at);
        self.newest = at;
    }

    /// A new run begins: answers to questions of the last run do not count.
    pub(in crate::resources) const fn forget(&mut self) {
        self.first = None;
    }

    /// Whether a report was sent after its sender had received our present run.
    pub(in crate::resources) fn first_was_heard(&self, heard: Option<Position>) -> bool {
        let Some(heard) = heard else {
            return true;
        };
        self.first.is_some_and(|first| heard >= first)
    }

    /// Whether it was sent after its sender had received our newest question.
    pub(in crate::resources) fn newest_was_heard(&self, heard: Option<Position>) -> bool {
        heard.is_none_or(|heard| heard >= self.newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<Position> {
        Some(Position::from_text(text).unwrap())
    }

    #[test]
    fn a_report_answers_what_its_sender_had_heard() {
        let mut questions = Questions::default();
        assert!(!questions.first_was_heard(at("1.9")), "nothing was asked");
        questions.asked(at("2.1").unwrap());
        questions.asked(at("2.5").unwrap());
        for (heard, first, newest) in [
            (at("1.9"), false, false),
            (at("2.1"), true, false),
            (at("2.4"), true, false),
            (at("2.5"), true, true),
            (None, true, true),
        ] {
            assert_eq!(questions.first_was_heard(heard), first, "{heard:?}");
            assert_eq!(questions.newest_was_heard(heard), newest, "{heard:?}");
        }
        questions.forget();
        assert!(!questions.first_was_heard(at("2.5")));
        assert!(questions.newest_was_heard(at("2.5")));
    }
}
