//! Automatic failback: what came from a dead node goes back to it.
//! Spec: docs/protocol/resources.md, 6.
//!
//! | an offer of it | then |
//! |---|---|
//! | is answered | it is over, whatever the operators do with the groups later |
//! | is not answered | again after a minute, twice as long and so on, three times; then when the other side next turns stable |
//! | ends with a new run of the other side | again when that is settled |

use std::time::Duration;

/// Pause after an offer that was not answered; doubled each time.
const AGAIN: Duration = Duration::from_secs(60);

/// So often an offer is repeated before the other side has turned stable again.
const TRIES: u8 = 3;

/// Whether the foreign groups are to go home, and when that is thought of.
#[derive(Debug, Default)]
pub(in crate::resources) struct Failback {
    due: bool,
    by_file: bool,
    armed: bool,
    tries: u8,
}

impl Failback {
    /// Foreign groups came from a dead node and shall go back.
    pub(in crate::resources) const fn is_due(&self) -> bool {
        self.due
    }

    /// They are due because haresources was changed.
    pub(in crate::resources) const fn is_by_file(&self) -> bool {
        self.by_file
    }

    /// The other side has turned stable: time to think of it.
    pub(in crate::resources) const fn is_armed(&self) -> bool {
        self.armed
    }

    /// Foreign groups came here.
    pub(in crate::resources) const fn came(&mut self) {
        self.due = true;
    }

    /// Their owner is gone.
    pub(in crate::resources) const fn owner_gone(&mut self) {
        self.due = true;
        self.by_file = false;
    }

    /// A change of haresources made foreign what runs here.
    pub(in crate::resources) const fn file_changed(&mut self, to_go_home: bool) {
        self.due |= to_go_home;
        self.by_file = to_go_home;
    }

    /// We have settled beside another side that is settled or is not.
    pub(in crate::resources) const fn settled_beside(&mut self, other_settled: bool) {
        self.armed |= other_settled;
    }

    /// The other side has turned stable.
    pub(in crate::resources) const fn other_settled(&mut self) {
        self.armed = true;
        self.tries = 0;
    }

    /// Not before the other side turns stable the next time.
    pub(in crate::resources) const fn disarm(&mut self) {
        self.armed = false;
    }

    /// Nothing of it can be given.
    pub(in crate::resources) const fn nothing_to_give(&mut self) {
        self.due = false;
        self.armed = false;
    }

    /// Somebody has settled where the foreign groups are.
    pub(in crate::resources) const fn settled(&mut self) {
        self.due = false;
        self.by_file = false;
    }

    /// An offer was not answered: after how long it is made again.
    pub(in crate::resources) fn unanswered(&mut self) -> Option<Duration> {
        self.due = true;
        let again = self.tries < TRIES;
        let pause = AGAIN.saturating_mul(2_u32.saturating_pow(u32::from(self.tries)));
        self.tries = self.tries.saturating_add(u8::from(again));
        again.then_some(pause)
    }

    /// That time has come.
    pub(in crate::resources) const fn again(&mut self) {
        self.armed |= self.due;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_repeated_more_rarely_and_then_not() {
        let mut failback = Failback::default();
        failback.came();
        let pauses = [(); 5].map(|()| failback.unanswered().map(|pause| pause.as_secs()));
        assert_eq!(pauses, [Some(60), Some(120), Some(240), None, None]);
        failback.again();
        assert!(failback.is_armed());
        failback.other_settled();
        assert_eq!(failback.unanswered(), Some(AGAIN));
    }

    #[test]
    fn what_is_settled_is_not_thought_of_again() {
        let mut failback = Failback::default();
        failback.file_changed(true);
        failback.settled();
        failback.again();
        assert!(!failback.is_due() && !failback.is_by_file() && !failback.is_armed());
    }
}
