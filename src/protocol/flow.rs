//! Acknowledgement and flow control: which nodes have which of our messages, when we acknowledge,
//! when clients must wait. Spec: docs/protocol/wire.md, 15.

use super::name::Sequence;

/// Unacknowledged messages above which client traffic is paused.
pub const PAUSE_ABOVE: u64 = 250;
/// Number of kept messages above which the filling history is logged as an error.
pub const HISTORY_FILLING: u64 = 450;
/// A node is acknowledged once for this many messages.
const ACK_EVERY: u64 = 10;

/// What to acknowledge when `seq` arrived in order: every tenth message, at the node's own trigger,
/// unless something before it is missing.
#[must_use]
pub fn ack_in_order(
    trigger: u64,
    seq: Sequence,
    first_missing: Option<Sequence>,
) -> Option<Sequence> {
    let due = seq.0.checked_rem(ACK_EVERY) == Some(trigger);
    let complete = first_missing.is_none_or(|missing| seq <= missing);
    (due && complete).then_some(seq)
}

/// What to acknowledge when `filled`, the lowest missing number, arrived (or was given up) and
/// everything up to `complete_to` is complete. Legacy sends nothing when the last gap closes.
/// Acknowledging then is harmless, and the sender learns it sooner.
#[must_use]
pub fn ack_filled(trigger: u64, filled: Sequence, complete_to: Sequence) -> Option<Sequence> {
    let above = complete_to.0.checked_sub(trigger)?.checked_rem(ACK_EVERY)?;
    let candidate = Sequence(complete_to.0.saturating_sub(above));
    (candidate >= filled && candidate.0 > 0).then_some(candidate)
}

/// Whether an acknowledgement is new. Spec: docs/protocol/wire.md, 15.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckVerdict {
    /// Store it.
    News,
    /// Known already.
    Old,
    /// Beyond what we sent.
    Corrupted,
}

/// Judges an acknowledgement `acked` of a node that had acknowledged `known`.
#[must_use]
pub fn judge_ack(acked: Sequence, known: Sequence, highest: Sequence) -> AckVerdict {
    if acked > highest {
        AckVerdict::Corrupted
    } else if acked <= known {
        AckVerdict::Old
    } else {
        AckVerdict::News
    }
}

/// Whether clients must wait, with the hysteresis of one message.
#[must_use]
pub fn pause_clients(
    paused: bool,
    highest: Sequence,
    acknowledged: Sequence,
    living: usize,
) -> bool {
    let open = highest.0.saturating_sub(acknowledged.0);
    if living < 2 {
        return false;
    }
    if paused {
        open >= PAUSE_ABOVE
    } else {
        open > PAUSE_ABOVE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(number: u64) -> Sequence {
        Sequence(number)
    }

    #[test]
    fn every_tenth_message_is_acknowledged() {
        // As observed: a peer acknowledges 7, 0x11, 0x1b.
        let acked: Vec<u64> = (1..=30)
            .filter_map(|number| ack_in_order(7, s(number), None))
            .map(|seq| seq.0)
            .collect();
        assert_eq!(acked, [7, 0x11, 0x1b]);
        assert_eq!(ack_in_order(7, s(17), Some(s(17))), Some(s(17)));
        assert_eq!(ack_in_order(7, s(17), Some(s(16))), None);
        assert_eq!(ack_in_order(0, s(20), None), Some(s(20)));
    }

    #[test]
    fn a_filled_gap_is_acknowledged_up_to_the_next_hole() {
        // As observed: with holes 0x4d and 0x64 and trigger 2, filling 0x4d causes 0x5c at once.
        assert_eq!(ack_filled(2, s(0x4d), s(0x63)), Some(s(0x5c)));
        assert_eq!(
            ack_filled(2, s(0x4d), s(0x51)),
            None,
            "below the filled one"
        );
        assert_eq!(ack_filled(2, s(0x4d), s(0x52)), Some(s(0x52)));
        assert_eq!(ack_filled(9, s(1), s(3)), None, "nothing at all yet");
        assert_eq!(ack_filled(0, s(1), s(9)), None, "number 0 does not exist");
    }

    #[test]
    fn acknowledgements_are_judged() {
        assert_eq!(judge_ack(s(5), s(4), s(10)), AckVerdict::News);
        assert_eq!(judge_ack(s(4), s(4), s(10)), AckVerdict::Old);
        assert_eq!(judge_ack(s(3), s(4), s(10)), AckVerdict::Old);
        assert_eq!(judge_ack(s(10), s(4), s(10)), AckVerdict::News);
        assert_eq!(judge_ack(s(11), s(4), s(10)), AckVerdict::Corrupted);
    }

    #[test]
    fn clients_pause_above_250_open_messages() {
        assert!(!pause_clients(false, s(250), s(0), 2));
        assert!(pause_clients(false, s(251), s(0), 2));
        assert!(pause_clients(true, s(250), s(0), 2));
        assert!(!pause_clients(true, s(249), s(0), 2));
        assert!(!pause_clients(true, s(900), s(0), 1), "nobody to wait for");
    }
}
