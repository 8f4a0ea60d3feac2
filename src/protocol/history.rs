//! Messages that were sent, and the answers to requests to send them again.
//! Spec: docs/protocol/wire.md, 14.2 and 14.3.

use std::collections::VecDeque;
use std::time::Duration;

use super::field::{self, kind};
use super::message::{Message, Value};
use super::name::{Generation, MediumName, Sequence};
use crate::clock::Monotonic;

/// Messages kept, as in legacy.
pub const MAX_HISTORY: usize = 500;
/// Bytes of field values kept. A full history of ordinary messages is 0.2 MB. The bound keeps
/// clients that send large messages from growing the daemon, whose memory is locked.
pub const MAX_HISTORY_BYTES: usize = 4 * 1024 * 1024;
/// Answers to one request, resends and refusals together, as in legacy. The rest is left to the
/// next request.
const MAX_ANSWERS: usize = 50;
/// Most numbers of one request that are looked up: the history cannot contain more.
const MAX_RANGE: u64 = MAX_HISTORY as u64;
/// Acknowledged messages are kept this long, for requests that are on their way.
const KEEP_ACKNOWLEDGED: Duration = Duration::from_millis(2500);
/// A number is sent again at most once in `max_rexmit_delay` less this.
const RESEND_SLACK: Duration = Duration::from_millis(10);

/// Why a message cannot be sent again, as peers read it in `info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is older than the history.
    TooLow,
    /// The history does not contain it.
    NotFound,
    /// No medium on which the asking node is received can carry it.
    NotCarried,
}

impl Refusal {
    /// The text of the field `info`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLow => "seqno too low",
            // To the asking node it is the same.
            Self::NotFound | Self::NotCarried => "seqno not found",
        }
    }

    /// The same for our log.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotCarried => "too long for every medium on which the node is received",
            Self::TooLow | Self::NotFound => self.as_str(),
        }
    }
}

/// A request of a node.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// First number that it misses.
    pub first: Sequence,
    /// Last one.
    pub last: Sequence,
    /// The number that it has acknowledged.
    pub acknowledged: Sequence,
    /// The media on which it is received.
    pub by: &'a [&'a MediumName],
}

/// One answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Send this message again unchanged.
    Resend(Message),
    /// Send a refusal.
    Refuse(Sequence, Refusal),
    /// The request names a number that we never used.
    Future(Sequence),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Sent {
    seq: Sequence,
    message: Message,
    bytes: usize,
    sent_at: Monotonic,
    resent_at: Option<Monotonic>,
    carried: Carried,
}

/// Which media can carry a message.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Carried {
    /// All but these, as far as is known.
    NotBy(Vec<MediumName>),
    /// None.
    Nowhere,
}

impl Carried {
    /// Whether one of these media can.
    fn by(&self, media: &[&MediumName]) -> bool {
        match self {
            Self::Nowhere => false,
            Self::NotBy(none) if none.is_empty() || media.is_empty() => true,
            Self::NotBy(none) => media.iter().any(|medium| !none.contains(medium)),
        }
    }
}

/// The last messages of our run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    sent: VecDeque<Sent>,
    bytes: usize,
    /// Number of the last message that was dropped.
    low: Sequence,
}

impl History {
    /// Keeps a message; the oldest are dropped when there is no room.
    pub fn push(&mut self, seq: Sequence, message: Message, now: Monotonic) {
        let bytes = weight(&message);
        self.bytes = self.bytes.saturating_add(bytes);
        self.sent.push_back(Sent {
            seq,
            message,
            bytes,
            sent_at: now,
            resent_at: None,
            carried: Carried::NotBy(Vec::new()),
        });
        while self.sent.len() > MAX_HISTORY
            || (self.bytes > MAX_HISTORY_BYTES && self.sent.len() > 1)
        {
            self.drop_oldest();
        }
    }

    /// Drops messages that every living node has acknowledged, once they are old enough.
    pub fn release(&mut self, acknowledged: Sequence, now: Monotonic) {
        while self.sent.front().is_some_and(|oldest| {
            oldest.seq <= acknowledged && now.since(oldest.sent_at) > KEEP_ACKNOWLEDGED
        }) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.sent.pop_front() {
            self.bytes = self.bytes.saturating_sub(oldest.bytes);
            self.low = oldest.seq;
        }
    }

    /// Number of the last message that was dropped; 0: none was.
    #[must_use]
    pub const fn low(&self) -> Sequence {
        self.low
    }

    /// A message cannot go out on `medium`, or on none: a node that is received on no other one is refused it, and asks
    /// for it no more. Spec: docs/protocol/wire.md, 14.2.
    pub fn cannot_go(&mut self, seq: Sequence, medium: Option<&MediumName>) {
        let Some(sent) = self.find(seq) else {
            return;
        };
        match (&mut sent.carried, medium) {
            (Carried::NotBy(none), Some(medium)) if !none.contains(medium) => {
                none.push(medium.clone());
            }
            (Carried::NotBy(_) | Carried::Nowhere, Some(_)) => {}
            (carried, None) => *carried = Carried::Nowhere,
        }
    }

    fn find(&mut self, seq: Sequence) -> Option<&mut Sent> {
        let found = self.sent.partition_point(|sent| sent.seq < seq);
        self.sent.get_mut(found).filter(|sent| sent.seq == seq)
    }

    /// Answers a request. `highest` is our last number.
    pub fn answer(
        &mut self,
        request: Request<'_>,
        highest: Sequence,
        max_delay: Duration,
        now: Monotonic,
    ) -> Vec<Answer> {
        let Request {
            first,
            last,
            acknowledged,
            by,
        } = request;
        let quiet = max_delay.saturating_sub(RESEND_SLACK);
        let last = last
            .0
            .min(first.0.saturating_add(MAX_RANGE.saturating_sub(1)));
        let mut answers = Vec::new();
        for number in first.0..=last {
            if answers.len() >= MAX_ANSWERS {
                break;
            }
            let seq = Sequence(number);
            if seq <= acknowledged {
                continue;
            }
            if seq > highest {
                // One log line for the whole rest of the range.
                answers.push(Answer::Future(seq));
                break;
            }
            if seq <= self.low {
                answers.push(Answer::Refuse(seq, Refusal::TooLow));
                continue;
            }
            match self.find(seq) {
                Some(sent) if !sent.carried.by(by) => {
                    answers.push(Answer::Refuse(seq, Refusal::NotCarried));
                }
                Some(sent) => {
                    if sent.resent_at.is_some_and(|at| now.since(at) < quiet) {
                        continue;
                    }
                    sent.resent_at = Some(now);
                    answers.push(Answer::Resend(sent.message.clone()));
                }
                None => answers.push(Answer::Refuse(seq, Refusal::NotFound)),
            }
        }
        answers
    }

    /// Forgets everything: a new generation numbers from 1.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Run and number of a message; `None`: it has none, and is never asked for.
#[must_use]
pub fn numbered(message: &Message) -> Option<(Generation, Sequence)> {
    if message.kind()?.starts_with(kind::UNSEQUENCED_PREFIX) {
        return None;
    }
    let generation = message.hex(field::HG)?;
    Some((Generation(generation), Sequence(message.hex(field::SEQ)?)))
}

/// Bytes of names and values, nested ones included.
fn weight(message: &Message) -> usize {
    message.fields().iter().fold(0, |sum: usize, field| {
        let value = match &field.value {
            Value::Text(text) => text.len(),
            Value::Binary(bytes) | Value::Compressed(bytes) => bytes.len(),
            Value::Struct(inner) | Value::Uncompressed(inner) => weight(inner),
            Value::List(items) => items
                .iter()
                .fold(0, |sum: usize, item| sum.saturating_add(item.len())),
        };
        sum.saturating_add(field.name.len()).saturating_add(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::field::SEQ;

    const DELAY: Duration = Duration::from_millis(250);

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_millis(ms)
    }

    fn message(number: u64) -> Message {
        Message::new("status").with(SEQ, &format!("{number:x}"))
    }

    fn filled(count: u64) -> History {
        let mut history = History::default();
        for number in 1..=count {
            history.push(Sequence(number), message(number), at(0));
        }
        history
    }

    fn ask(history: &mut History, first: u64, last: u64, acked: u64, ms: u64) -> Vec<Answer> {
        asked_on(history, (first, last), acked, ms, &[])
    }

    fn asked_on(
        history: &mut History,
        (first, last): (u64, u64),
        acked: u64,
        ms: u64,
        by: &[&MediumName],
    ) -> Vec<Answer> {
        let request = Request {
            first: Sequence(first),
            last: Sequence(last),
            acknowledged: Sequence(acked),
            by,
        };
        history.answer(request, Sequence(742), DELAY, at(ms))
    }

    #[test]
    fn as_the_legacy_node_after_742_messages() {
        let mut history = filled(742);
        assert_eq!(history.low(), Sequence(242));
        let refused: Vec<_> = (1..=3)
            .map(|seq| Answer::Refuse(Sequence(seq), Refusal::TooLow))
            .collect();
        assert_eq!(ask(&mut history, 1, 3, 0, 0), refused);
        let answers = ask(&mut history, 641, 740, 0, 0);
        assert_eq!(answers.len(), 50, "a batch");
        assert_eq!(answers[0], Answer::Resend(message(641)));
        assert_eq!(
            ask(&mut history, 641, 740, 0, 1)[0],
            Answer::Resend(message(691)),
            "what was just sent again is skipped"
        );
    }

    #[test]
    fn boundaries_of_one_request() {
        let mut history = filled(742);
        assert_eq!(
            ask(&mut history, 242, 243, 0, 0),
            [
                Answer::Refuse(Sequence(242), Refusal::TooLow),
                Answer::Resend(message(243))
            ]
        );
        assert_eq!(ask(&mut history, 700, 700, 700, 0), [], "acknowledged");
        assert_eq!(
            ask(&mut history, 742, u64::MAX, 741, 0),
            [Answer::Resend(message(742)), Answer::Future(Sequence(743))]
        );
        assert_eq!(
            ask(&mut history, u64::MAX, u64::MAX, 0, 0),
            [Answer::Future(Sequence(u64::MAX))]
        );
        assert_eq!(ask(&mut history, 9, 8, 0, 0), [], "an empty range");
    }

    #[test]
    fn a_number_is_sent_again_at_most_once_per_delay() {
        let mut history = filled(742);
        assert_eq!(ask(&mut history, 500, 500, 0, 1000).len(), 1);
        assert_eq!(ask(&mut history, 500, 500, 0, 1239).len(), 0);
        assert_eq!(ask(&mut history, 500, 500, 0, 1240).len(), 1);
    }

    #[test]
    fn acknowledged_messages_stay_for_a_while() {
        let mut history = filled(10);
        history.release(Sequence(5), at(2500));
        assert_eq!(history.low(), Sequence(0));
        history.release(Sequence(5), at(2501));
        assert_eq!(history.low(), Sequence(5));
        history.release(Sequence(5), at(60_000));
        assert_eq!(history.low(), Sequence(5), "the rest is not acknowledged");
    }

    #[test]
    fn large_messages_push_out_old_ones() {
        let mut history = filled(1);
        let big = message(2).with("x", &"y".repeat(MAX_HISTORY_BYTES));
        history.push(Sequence(2), big.clone(), at(0));
        assert_eq!(history.low(), Sequence(1));
        assert_eq!(ask(&mut history, 2, 2, 0, 0), [Answer::Resend(big)]);
    }

    #[test]
    fn what_no_medium_to_the_asking_node_carries_is_refused() {
        let mut history = filled(10);
        let [line, other, net] = ["/dev/ttyS0", "/dev/ttyS1", "eth0"].map(MediumName::new);
        let ask = |history: &mut History, ms, by: &[&MediumName]| {
            let mut answers = asked_on(history, (4, 4), 0, ms, by);
            answers.pop().expect("an answer")
        };
        let again = Answer::Resend(message(4));
        let refused = Answer::Refuse(Sequence(4), Refusal::NotCarried);
        assert_eq!(ask(&mut history, 0, &[&line]), again);
        history.cannot_go(Sequence(4), Some(&line));
        history.cannot_go(Sequence(4), Some(&line));
        assert_eq!(ask(&mut history, 1000, &[&line]), refused);
        assert_eq!(ask(&mut history, 2000, &[&line, &net]), again);
        assert_eq!(ask(&mut history, 3000, &[&line, &other]), again);
        assert_eq!(ask(&mut history, 4000, &[]), again, "no link is known");
        history.cannot_go(Sequence(4), Some(&other));
        assert_eq!(ask(&mut history, 5000, &[&line, &other]), refused);
        assert_eq!(ask(&mut history, 6000, &[&net]), again);
        history.cannot_go(Sequence(4), None);
        assert_eq!(ask(&mut history, 7000, &[&net]), refused);
        assert_eq!(ask(&mut history, 8000, &[]), refused);
        // One that is not kept.
        history.cannot_go(Sequence(11), None);
        let found = asked_on(&mut history, (5, 5), 0, 9000, &[&line]);
        assert_eq!(found, [Answer::Resend(message(5))]);
    }
}
