//! Points in time at which something is due, in one table. Not in it are times that belong to a row
//! (a group that is tried again, a request for a group, the wait for a legacy node's scripts) or to
//! the state of the stop.

use std::collections::BTreeMap;

use crate::clock::Monotonic;

/// What is due then, in the order in which it is handled. That is not the order of the times: a
/// tick that comes late finds several due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::resources) enum Timer {
    /// The other side of a standby does not continue.
    Standby,
    /// The taker of a standby reports what it was given, and its `done` has not come.
    Taken,
    /// What waited while this node stood still has been read.
    Read,
    /// Checks for peers that are active without a report.
    AskAgain,
    /// Takes our own groups without agreement.
    Own,
    /// Tries a failback again that was not answered.
    Failback,
    /// The other node does not answer whether it runs groups that seem unowned.
    Unowned,
    /// The other side has to yield; if it has not by then, we do.
    OtherYields,
    /// A takeover that waits for a report continues.
    HeldTakeover,
    /// A stop that has not ended is logged.
    StopSlow,
    /// Another node tries to reset this node until then. Nothing happens at its end.
    AimedAt,
}

/// The timers that run, and their times.
#[derive(Debug, Default)]
pub(in crate::resources) struct TimerTable(BTreeMap<Timer, Monotonic>);

impl TimerTable {
    pub(in crate::resources) fn set(&mut self, timer: Timer, at: Monotonic) {
        self.0.insert(timer, at);
    }

    pub(in crate::resources) fn clear(&mut self, timer: Timer) {
        self.0.remove(&timer);
    }

    /// Clears the timer. Returns whether it ran.
    pub(in crate::resources) fn take(&mut self, timer: Timer) -> bool {
        self.0.remove(&timer).is_some()
    }

    pub(in crate::resources) fn is_set(&self, timer: Timer) -> bool {
        self.0.contains_key(&timer)
    }

    pub(in crate::resources) fn at(&self, timer: Timer) -> Option<Monotonic> {
        self.0.get(&timer).copied()
    }

    /// Whether the timer is due; if so it is cleared.
    pub(in crate::resources) fn take_due(&mut self, timer: Timer, now: Monotonic) -> bool {
        self.at(timer).is_some_and(|at| at <= now) && self.take(timer)
    }

    /// The earliest time at which there is something to do.
    pub(in crate::resources) fn next(&self) -> Option<Monotonic> {
        let wakes = self.0.iter().filter(|(timer, _)| **timer != Timer::AimedAt);
        wakes.map(|(_, at)| *at).min()
    }

    /// Everything is released: only the timers of the requested stop go on.
    pub(in crate::resources) fn release(&mut self) {
        self.0.retain(|timer, _| *timer == Timer::StopSlow);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_millis(ms)
    }

    #[test]
    fn what_is_due_is_taken_once() {
        let mut timers = TimerTable::default();
        timers.set(Timer::Own, at(2));
        assert!(!timers.take_due(Timer::Own, at(1)));
        assert!(!timers.take_due(Timer::Standby, at(2)));
        assert!(timers.take_due(Timer::Own, at(2)));
        assert!(!timers.take_due(Timer::Own, at(2)));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn nothing_wakes_for_a_reset_that_somebody_tries() {
        let mut timers = TimerTable::default();
        timers.set(Timer::AimedAt, at(1));
        assert_eq!(timers.next(), None);
        timers.set(Timer::Failback, at(3));
        timers.set(Timer::AskAgain, at(2));
        assert_eq!(timers.next(), Some(at(2)));
    }

    #[test]
    fn a_release_leaves_the_time_of_the_stop() {
        let mut timers = TimerTable::default();
        timers.set(Timer::Standby, at(1));
        timers.set(Timer::StopSlow, at(2));
        timers.release();
        assert!(!timers.is_set(Timer::Standby));
        assert_eq!(timers.next(), Some(at(2)));
    }
}
