//! Groups that failed to start: moved to the other node once, else tried again.
//! Spec: docs/protocol/resources.md, 9.3, [D].
//!
//! | The group came here | Its start fails | Then |
//! |---|---|---|
//! | by a standby of a Systole node, which ran it | first failure | back at once, when both have reported that the standby is over |
//! | by a standby of a node that reports that it failed there, or to which it went for that a short time ago | first failure | it starts on neither node: tried here with growing pauses |
//! | in any other way | first failure | to the other node after 30 s, as legacy does |
//! | in any way | no node can take it, or a later failure | tried here with growing pauses |
//!
//! A failure counts against a node only for what it was given last: the next hand-over is a new
//! case.

use std::time::Duration;

use crate::clock::Monotonic;

/// Pause before a failed group is moved. Spec: docs/protocol/membership.md, 2, fixed times.
pub(in crate::resources) const MOVE_AFTER: Duration = Duration::from_secs(30);

/// Longest pause between two attempts to start it here.
pub(in crate::resources) const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Pause before an address that another host has is probed again.
const TAKEN_AGAIN: Duration = Duration::from_secs(10);

/// Longest list of failed groups in a message, in bytes. Groups that do not fit are listed after it
/// by their mark, as in the names of reports: a group that is left out would be given back at once,
/// again and again.
pub(in crate::resources) const LONGEST_LIST: usize = 512;

/// A legacy giver does not report what failed there, but gives foreign groups for a failure, and no
/// others. If it gives ours soon after they were given to it for a failure here, they may have
/// failed there; later they have run there.
pub(in crate::resources) const MAY_HAVE_FAILED_THERE: Duration = LONGEST_PAUSE;

/// Pause if the group cannot be tried or moved at this moment.
pub(in crate::resources) const TRY_SOON: Duration = Duration::from_secs(1);

/// Why a group that is held does not run here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Its start failed.
    NotStarted {
        /// The pause after the next failure.
        pause: Duration,
        /// It was given away for this once. It is not handed back for ever: every node gives a
        /// group away at most once between two successful starts.
        passed_on: bool,
        /// The node that gave it to us runs it again as soon as it can take it.
        returns: bool,
    },
    /// Another host has its address: the other node would find the same.
    AddressTaken,
    /// It may run on the other node, or the reason why it does not run is unknown.
    Unclear,
    /// Restarts did not help a resource of it, and it is to stay down until a person says otherwise.
    StaysDown,
}

/// A group that is held and does not run, and when something is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) struct Trouble {
    at: Monotonic,
    why: Why,
}

impl Trouble {
    /// The start failed, perhaps again.
    pub(in crate::resources) fn not_started(
        before: Option<Self>,
        passed_on: bool,
        returns: bool,
        now: Monotonic,
    ) -> Self {
        let pause = match before.map(|before| before.why) {
            Some(Why::NotStarted { pause, .. }) => pause,
            Some(Why::AddressTaken | Why::Unclear | Why::StaysDown) | None => MOVE_AFTER,
        };
        Self {
            at: now + pause,
            why: Why::NotStarted {
                pause: pause.saturating_mul(2).min(LONGEST_PAUSE),
                passed_on,
                returns,
            },
        }
    }

    /// Another host has its address: it is probed again soon.
    pub(in crate::resources) fn address_taken(now: Monotonic) -> Self {
        Self {
            at: now + TAKEN_AGAIN,
            why: Why::AddressTaken,
        }
    }

    /// It is held and does not run: tried as soon as possible.
    pub(in crate::resources) const fn unclear(now: Monotonic) -> Self {
        Self {
            at: now,
            why: Why::Unclear,
        }
    }

    /// It was stopped for good.
    pub(in crate::resources) const fn stays_down(now: Monotonic) -> Self {
        Self {
            at: now,
            why: Why::StaysDown,
        }
    }

    /// Whether nothing is done about it before a person says so.
    pub(in crate::resources) const fn is_for_good(&self) -> bool {
        matches!(self.why, Why::StaysDown)
    }

    /// When something is done about it.
    pub(in crate::resources) const fn at(&self) -> Monotonic {
        self.at
    }

    /// Whether the other node may be able to run it, and has not been asked to for this failure.
    pub(in crate::resources) const fn may_move(&self) -> bool {
        matches!(
            self.why,
            Why::NotStarted {
                passed_on: false,
                ..
            }
        )
    }

    /// Whether another host has its address.
    pub(in crate::resources) fn is_address_taken(&self) -> bool {
        self.why == Why::AddressTaken
    }

    /// Nothing is done before then.
    pub(in crate::resources) const fn waits_until(&mut self, at: Monotonic) {
        self.at = at;
    }

    /// The host that may have had its address is gone.
    pub(in crate::resources) fn address_is_free(&mut self, now: Monotonic) {
        if self.is_address_taken() {
            self.at = now;
        }
    }

    /// What prevented a retry here has ended: a retry that was due and waited for that waits no
    /// longer.
    pub(in crate::resources) fn moment_is_good(&mut self, now: Monotonic) {
        if !self.may_move() && self.at <= now + TRY_SOON {
            self.at = now;
        }
    }

    /// The other node can take it, however long the pause between our own attempts has become.
    pub(in crate::resources) fn somebody_can_take(&mut self, now: Monotonic) {
        if let Why::NotStarted {
            passed_on: false,
            returns,
            ..
        } = self.why
        {
            let due = if returns { now } else { now + MOVE_AFTER };
            self.at = self.at.min(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_millis(seconds * 1000)
    }

    fn failed(before: Option<Trouble>, now: Monotonic) -> Trouble {
        Trouble::not_started(before, false, false, now)
    }

    #[test]
    fn the_pause_doubles_up_to_ten_minutes() {
        let mut trouble = failed(None, at(0));
        let mut pauses = vec![trouble.at()];
        for _ in 0..5 {
            trouble = failed(Some(trouble), at(0));
            pauses.push(trouble.at());
        }
        assert_eq!(pauses, [30, 60, 120, 240, 480, 600].map(at));
    }

    #[test]
    fn another_reason_does_not_lengthen_the_pause() {
        for before in [Trouble::address_taken(at(0)), Trouble::unclear(at(0))] {
            assert_eq!(failed(Some(before), at(0)).at(), at(30));
        }
    }

    #[test]
    fn only_what_did_not_start_and_was_not_passed_on_moves() {
        let passed_on = Trouble::not_started(None, true, false, at(0));
        assert!(failed(None, at(0)).may_move());
        for stays in [
            passed_on,
            Trouble::address_taken(at(0)),
            Trouble::unclear(at(0)),
        ] {
            assert!(!stays.may_move(), "{stays:?}");
        }
    }

    #[test]
    fn what_was_given_back_and_forth_goes_back_at_once_when_the_other_can_take_it() {
        let mut returns = Trouble::not_started(None, false, true, at(0));
        let mut moves = failed(Some(failed(None, at(0))), at(0));
        let mut stays = Trouble::not_started(None, true, false, at(0));
        for trouble in [&mut returns, &mut moves, &mut stays] {
            trouble.somebody_can_take(at(5));
        }
        assert_eq!(
            [returns, moves, stays].map(|it| it.at()),
            [5, 35, 30].map(at)
        );
    }

    #[test]
    fn a_good_moment_is_for_what_is_due_and_stays_here() {
        let mut unclear = Trouble::unclear(at(0));
        unclear.waits_until(at(6));
        unclear.moment_is_good(at(5));
        assert_eq!(unclear.at(), at(5));
        let mut later = Trouble::not_started(None, true, false, at(0));
        later.moment_is_good(at(5));
        assert_eq!(later.at(), at(30));
        let mut moves = failed(None, at(0));
        moves.moment_is_good(at(29));
        assert_eq!(moves.at(), at(30));
    }

    #[test]
    fn a_free_address_is_asked_for_at_once() {
        let mut taken = Trouble::address_taken(at(0));
        taken.address_is_free(at(2));
        assert_eq!(taken.at(), at(2));
        let mut failed = failed(None, at(0));
        failed.address_is_free(at(2));
        assert_eq!(failed.at(), at(30));
    }
}
