//! What this node holds, and what it gives up and is still stopping. Spec:
//! docs/protocol/resources.md, 1 and 3.
//!
//! To hold a set is a duty, not a measurement: a set is held before a group of it runs, and while
//! the start of every group fails. Which groups run is recorded in the group table.

use crate::resources::holding::HoldingSet;

/// What is held, and what is being released.
#[derive(Debug, Default)]
pub(in crate::resources) struct Duty {
    held: HoldingSet,
    releasing: HoldingSet,
    /// What of it was held, and is being stopped for the taker of a standby.
    handed_over: HoldingSet,
}

impl Duty {
    /// What we hold.
    pub(in crate::resources) const fn held(&self) -> HoldingSet {
        self.held
    }

    /// Whether we hold every bit of `set`.
    pub(in crate::resources) const fn holds(&self, set: HoldingSet) -> bool {
        self.held.has(set)
    }

    /// Whether something that we have given up is still being stopped.
    pub(in crate::resources) const fn is_releasing(&self) -> bool {
        !self.releasing.is_none()
    }

    /// What we held and is still being stopped for the taker of a standby, which was not told yet that
    /// it may start it.
    pub(in crate::resources) const fn handed_over(&self) -> HoldingSet {
        self.handed_over
    }

    /// What another node must not start: what we hold, and what is not released yet.
    pub(in crate::resources) const fn in_use(&self) -> HoldingSet {
        self.held.with(self.releasing)
    }

    /// Holds the set from now on.
    pub(in crate::resources) const fn take(&mut self, set: HoldingSet) {
        self.held = self.held.with(set);
    }

    /// Holds the set no longer; its groups are being stopped.
    pub(in crate::resources) const fn give(&mut self, set: HoldingSet) {
        self.held = self.held.without(set);
        self.releasing = self.releasing.with(set);
    }

    /// Gives the set to the taker of a standby.
    pub(in crate::resources) const fn hand_over(&mut self, set: HoldingSet) {
        self.handed_over = self.held.common(set);
        self.give(set);
    }

    /// Holds the set no longer; nothing of it is to be stopped, or that is done.
    pub(in crate::resources) const fn leave(&mut self, set: HoldingSet) {
        self.held = self.held.without(set);
    }

    /// Groups of the set run although it is not held: they are being stopped.
    pub(in crate::resources) const fn stop(&mut self, set: HoldingSet) {
        self.releasing = self.releasing.with(set);
    }

    /// Nothing is being stopped any more.
    pub(in crate::resources) const fn released(&mut self) {
        self.releasing = HoldingSet::NONE;
        self.handed_over = HoldingSet::NONE;
    }

    /// Everything is being stopped. `running`: halves of which a group runs, held or not.
    pub(in crate::resources) const fn give_everything(&mut self, running: HoldingSet) {
        self.stop(self.held.with(running));
        self.held = HoldingSet::NONE;
        self.handed_over = HoldingSet::NONE;
    }

    /// Goes on with what an earlier process or core held.
    pub(in crate::resources) const fn resume(&mut self, held: HoldingSet) {
        self.held = held;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: HoldingSet = HoldingSet::LOCAL;
    const FOREIGN: HoldingSet = HoldingSet::FOREIGN;
    const ALL: HoldingSet = HoldingSet::ALL;
    const NONE: HoldingSet = HoldingSet::NONE;

    /// Begins with `local` held and `foreign` being released.
    #[test]
    fn what_is_held_and_in_use_after_what() {
        type Verb = fn(&mut Duty);
        let table: [(&str, Verb, [HoldingSet; 2]); 8] = [
            ("nothing", |_| {}, [LOCAL, ALL]),
            ("take", |duty| duty.take(FOREIGN), [ALL, ALL]),
            ("give", |duty| duty.give(LOCAL), [NONE, ALL]),
            ("leave", |duty| duty.leave(LOCAL), [NONE, FOREIGN]),
            ("stop", |duty| duty.stop(LOCAL), [LOCAL, ALL]),
            ("released", Duty::released, [LOCAL, LOCAL]),
            ("everything", |duty| duty.give_everything(NONE), [NONE, ALL]),
            ("resume", |duty| duty.resume(NONE), [NONE, FOREIGN]),
        ];
        for (verb, act, expected) in table {
            let mut duty = Duty::default();
            duty.take(ALL);
            duty.give(FOREIGN);
            act(&mut duty);
            assert_eq!([duty.held(), duty.in_use()], expected, "{verb}");
        }
    }

    #[test]
    fn what_was_held_and_is_being_given_is_known_until_it_is_released() {
        let mut duty = Duty::default();
        duty.take(LOCAL);
        duty.stop(FOREIGN);
        duty.hand_over(ALL);
        assert_eq!((duty.handed_over(), duty.in_use()), (LOCAL, ALL));
        duty.released();
        assert_eq!(duty.handed_over(), NONE);
        duty.take(LOCAL);
        duty.give(LOCAL);
        assert_eq!(duty.handed_over(), NONE, "nobody was offered it");
    }

    #[test]
    fn what_runs_and_is_not_held_is_released_too() {
        let mut duty = Duty::default();
        duty.give_everything(FOREIGN);
        assert!(duty.is_releasing() && duty.in_use() == FOREIGN);
    }
}
