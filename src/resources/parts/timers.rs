//! Points in time at which something is due, in one table. Not here: what has its time in the row that it belongs
//! to (a group that is tried again, a question for a group, what a legacy node has in its hands), or in the state
//! of the stop.

use std::collections::BTreeMap;

use crate::clock::Monotonic;

/// What is due then, in the order in which it is looked at. That is not the order of the times: a tick that comes
/// late finds several due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::resources) enum Timer {
    /// The other side of a standby does not go on.
    Standby,
    /// The taker of a standby reports what it was given, and its `done` has not come.
    Taken,
    /// Look for peers that are active without a report.
    AskAgain,
    /// Take our own groups without agreement.
    Own,
    /// A failback that was not answered is tried again.
    Failback,
    /// The other node does not say whether it runs what nobody seems to own.
    Unowned,
    /// The other side has to yield; when it has not by then, we do.
    OtherYields,
    /// A takeover that waits for a report goes on.
    HeldTakeover,
    /// A stop that has not come to its end says so.
    StopSlow,
    /// Somebody tries to shoot us until then. Nothing happens at its end.
    AimedAt,
}

/// Which of them run, and until when.
#[derive(Debug, Default)]
pub(in crate::resources) struct TimerTable(BTreeMap<Timer, Monotonic>);

impl TimerTable {
    pub(in crate::resources) fn set(&mut self, timer: Timer, at: Monotonic) {
        self.0.insert(timer, at);
    }

    pub(in crate::resources) fn clear(&mut self, timer: Timer) {
        self.0.remove(&timer);
    }

    /// Clears it. Whether it ran.
    pub(in crate::resources) fn take(&mut self, timer: Timer) -> bool {
        self.0.remove(&timer).is_some()
    }

    pub(in crate::resources) fn is_set(&self, timer: Timer) -> bool {
        self.0.contains_key(&timer)
    }

    pub(in crate::resources) fn at(&self, timer: Timer) -> Option<Monotonic> {
        self.0.get(&timer).copied()
    }

    /// Whether its time has come; clears it then.
    pub(in crate::resources) fn take_due(&mut self, timer: Timer, now: Monotonic) -> bool {
        self.at(timer).is_some_and(|at| at <= now) && self.take(timer)
    }

    /// The earliest at which there is something to do.
    pub(in crate::resources) fn next(&self) -> Option<Monotonic> {
        let wakes = self.0.iter().filter(|(timer, _)| **timer != Timer::AimedAt);
        wakes.map(|(_, at)| *at).min()
    }

    /// Everything is released: only the stop that wants it goes on.
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
