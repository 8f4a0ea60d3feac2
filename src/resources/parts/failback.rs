//! Automatic failback: groups of a dead node go back to it when it has returned.
//! Spec: docs/protocol/resources.md, 6.
//!
//! | an offer of the groups | then |
//! |---|---|
//! | is answered | the failback is over, whatever the operators do with the groups later |
//! | is not answered | again after a minute, then after twice as long and so on, three times; then when the other side next turns stable |
//! | ends with a new run of the other side | again when that is settled |

use std::time::Duration;

/// Pause after an offer that was not answered; doubled each time.
const AGAIN: Duration = Duration::from_secs(60);

/// Number of repeated offers before the other side has to turn stable again.
const TRIES: u8 = 3;

/// Why the foreign groups are to go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Their owner was gone.
    OwnerGone,
    /// They were ours before haresources was changed.
    File,
}

/// Whether the foreign groups are to go back.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Home {
    /// They are not.
    #[default]
    Stay,
    /// They are.
    Due(Cause),
    /// They are offered. Due again if the offer is not answered.
    Offered(Cause),
}

/// Whether the foreign groups are to go back, and when that is tried.
#[derive(Debug, Default)]
pub(in crate::resources) struct Failback {
    home: Home,
    armed: bool,
    tries: u8,
}

impl Failback {
    /// Whether foreign groups are to go back, and are not offered at this moment.
    pub(in crate::resources) const fn is_due(&self) -> bool {
        matches!(self.home, Home::Due(_))
    }

    /// Whether foreign groups are to go back, offered or not: a successor must know that.
    pub(in crate::resources) const fn is_pending(&self) -> bool {
        !matches!(self.home, Home::Stay)
    }

    /// Whether they are to go back because haresources was changed.
    pub(in crate::resources) const fn is_by_file(&self) -> bool {
        matches!(
            self.home,
            Home::Due(Cause::File) | Home::Offered(Cause::File)
        )
    }

    /// Whether the other side has turned stable, so that a failback may be tried.
    pub(in crate::resources) const fn is_armed(&self) -> bool {
        self.armed
    }

    /// Foreign groups came here because their owner is gone, or may soon come.
    pub(in crate::resources) const fn owner_gone(&mut self) {
        self.home = Home::Due(Cause::OwnerGone);
    }

    /// The owner has left, so all foreign groups come here: a failback that is due is due for that
    /// reason.
    pub(in crate::resources) const fn owner_left(&mut self) {
        if self.is_pending() {
            self.owner_gone();
        }
        self.armed = false;
    }

    /// Used if they were to go back when the process or core before this one ended.
    pub(in crate::resources) const fn keep(&mut self) {
        if !self.is_pending() {
            self.owner_gone();
        }
    }

    /// A change of haresources made groups foreign that run here.
    pub(in crate::resources) const fn file_changed(&mut self, to_go_home: bool) {
        if to_go_home {
            self.home = Home::Due(Cause::File);
        }
    }

    /// This node has settled beside another side that is settled or not.
    pub(in crate::resources) const fn settled_beside(&mut self, other_settled: bool) {
        self.armed |= other_settled;
    }

    /// The other side has turned stable.
    pub(in crate::resources) const fn other_settled(&mut self) {
        self.armed = true;
        self.tries = 0;
    }

    /// No failback before the other side turns stable the next time.
    pub(in crate::resources) const fn disarm(&mut self) {
        self.armed = false;
    }

    /// Nothing can be given. A set that is offered may still be answered.
    pub(in crate::resources) const fn nothing_to_give(&mut self) {
        if self.is_due() {
            self.home = Home::Stay;
        }
        self.armed = false;
    }

    /// The foreign groups are being offered.
    pub(in crate::resources) const fn offered(&mut self) {
        if let Home::Due(cause) = self.home {
            self.home = Home::Offered(cause);
        }
        self.armed = false;
    }

    /// It is settled which node has the foreign groups.
    pub(in crate::resources) const fn settled(&mut self) {
        self.home = Home::Stay;
    }

    /// An offer was not answered. Returns the pause before it is repeated.
    pub(in crate::resources) fn unanswered(&mut self) -> Option<Duration> {
        self.home = match self.home {
            Home::Due(cause) | Home::Offered(cause) => Home::Due(cause),
            Home::Stay => Home::Due(Cause::OwnerGone),
        };
        let again = self.tries < TRIES;
        let pause = AGAIN.saturating_mul(2_u32.saturating_pow(u32::from(self.tries)));
        self.tries = self.tries.saturating_add(u8::from(again));
        again.then_some(pause)
    }

    /// That pause is over.
    pub(in crate::resources) const fn again(&mut self) {
        self.armed |= self.is_due();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_file() -> Failback {
        let mut failback = Failback::default();
        failback.file_changed(true);
        assert!(failback.is_due() && failback.is_by_file());
        failback
    }

    #[test]
    fn an_offer_is_repeated_more_rarely_and_then_not() {
        let mut failback = Failback::default();
        failback.owner_gone();
        let pauses = [(); 5].map(|()| failback.unanswered().map(|pause| pause.as_secs()));
        assert_eq!(pauses, [Some(60), Some(120), Some(240), None, None]);
        failback.again();
        assert!(failback.is_armed());
        failback.other_settled();
        assert_eq!(failback.unanswered(), Some(AGAIN));
    }

    #[test]
    fn what_is_settled_is_not_thought_of_again() {
        let mut failback = by_file();
        failback.settled();
        failback.again();
        assert!(!failback.is_pending() && !failback.is_by_file() && !failback.is_armed());
    }

    #[test]
    fn an_offer_that_is_not_answered_is_due_again_for_the_same_reason() {
        let mut failback = by_file();
        failback.offered();
        assert!(!failback.is_due() && failback.is_pending() && failback.is_by_file());
        // The other side turns stable meanwhile: nothing must be offered twice.
        failback.nothing_to_give();
        failback.unanswered();
        assert!(failback.is_due() && failback.is_by_file());
    }

    /// A reason that held once does not hold for the next groups.
    #[test]
    fn a_changed_file_is_no_reason_after_its_end() {
        type Event = fn(&mut Failback);
        let ends: [(&str, Event); 4] = [
            ("nothing to give", Failback::nothing_to_give),
            ("settled", Failback::settled),
            ("owner gone", Failback::owner_gone),
            ("owner left", Failback::owner_left),
        ];
        for (what, end) in ends {
            let mut failback = by_file();
            end(&mut failback);
            assert!(!failback.is_by_file(), "{what}");
            failback.keep();
            assert!(failback.is_due() && !failback.is_by_file(), "{what}");
        }
        let mut failback = by_file();
        failback.keep();
        assert!(failback.is_by_file(), "a successor keeps it");
    }

    #[test]
    fn nothing_becomes_due_because_the_owner_left() {
        let mut failback = Failback::default();
        failback.other_settled();
        failback.owner_left();
        assert!(!failback.is_pending() && !failback.is_armed());
    }
}
