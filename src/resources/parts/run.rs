//! The run of this node: how far its start has come, and what the log has reported of it.

/// Phase of this node. Spec: docs/protocol/resources.md, 5.2, note 1: the simplified machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Phase {
    /// Communication is not up.
    Init,
    /// `starting` is sent, nothing is received yet.
    Starting,
    /// The exchange has begun, no node is settled. Legacy states 2 and 3.
    Waiting,
    /// Settled.
    Stable,
    /// Everything is being released, or is released.
    Shutdown,
}

/// Waits for a report, of ten seconds each.
const LONG_WAIT: u8 = 6;

/// One run, from its first moment to its release.
#[derive(Debug)]
pub(in crate::resources) struct Run {
    comm_up: bool,
    phase: Phase,
    local_done: bool,
    foreign_done: bool,
    acquisition_logged: bool,
    /// How often the wait for the report of a node was over.
    waits: u8,
    settles_when_released: bool,
    owes_offers: bool,
}

impl Run {
    pub(in crate::resources) const fn new() -> Self {
        Self {
            comm_up: false,
            phase: Phase::Init,
            local_done: false,
            foreign_done: false,
            acquisition_logged: false,
            waits: 0,
            settles_when_released: false,
            owes_offers: false,
        }
    }

    /// Whether communication is up.
    pub(in crate::resources) const fn comm_up(&self) -> bool {
        self.comm_up
    }

    pub(in crate::resources) const fn communication_up(&mut self) {
        self.comm_up = true;
    }

    /// A new run begins, or no node is received any more.
    pub(in crate::resources) const fn communication_down(&mut self) {
        self.comm_up = false;
    }

    pub(in crate::resources) const fn phase(&self) -> Phase {
        self.phase
    }

    pub(in crate::resources) const fn enters(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// The start of the own groups has ended, or they run elsewhere.
    pub(in crate::resources) const fn local_done(&mut self) {
        self.local_done = true;
    }

    /// It is known where the foreign groups are.
    pub(in crate::resources) const fn foreign_done(&mut self) {
        self.foreign_done = true;
    }

    /// Whether both are done. `true` only once in a run.
    pub(in crate::resources) const fn acquisition_complete(&mut self) -> bool {
        let complete = self.local_done && self.foreign_done && !self.acquisition_logged;
        self.acquisition_logged |= complete;
        complete
    }

    /// Own groups wait for the report of a node that may run them. Returns whether that was logged
    /// before.
    pub(in crate::resources) const fn waits_for_claimant(&mut self) -> bool {
        let before = self.waits > 0;
        self.waits = self.waits.saturating_add(1);
        before
    }

    /// Whether they have waited for a minute.
    pub(in crate::resources) const fn has_waited_long(&self) -> bool {
        self.waits >= LONG_WAIT
    }

    /// Own groups wait no longer.
    pub(in crate::resources) const fn waits_no_more(&mut self) {
        self.waits = 0;
    }

    /// The nodes are agreed; this node settles when everything that is being stopped is stopped.
    pub(in crate::resources) const fn settles_behind_release(&mut self) {
        self.settles_when_released = true;
    }

    /// Whether this node settles when the release has ended.
    pub(in crate::resources) const fn settles_when_released(&self) -> bool {
        self.settles_when_released
    }

    /// Clears that. Returns whether it was set.
    pub(in crate::resources) const fn takes_settling(&mut self) -> bool {
        std::mem::replace(&mut self.settles_when_released, false)
    }

    /// Everything is released because another node may run it, and that node has not asked for it
    /// or does not ask again: its groups are to be offered to it.
    pub(in crate::resources) const fn owes_offers(&mut self) {
        self.owes_offers = true;
    }

    /// Whether groups are to be offered for that reason. `true` only once.
    pub(in crate::resources) const fn takes_offers(&mut self) -> bool {
        std::mem::replace(&mut self.owes_offers, false)
    }

    /// Everything is being released.
    pub(in crate::resources) const fn releases(&mut self) {
        self.settles_when_released = false;
        self.phase = Phase::Shutdown;
    }

    /// Resets the run to its first moment. Whether communication is up stays.
    pub(in crate::resources) const fn forget(&mut self) {
        *self = Self {
            comm_up: self.comm_up,
            settles_when_released: self.settles_when_released,
            owes_offers: self.owes_offers,
            ..Self::new()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acquisition_is_complete_once_in_a_run() {
        let mut run = Run::new();
        run.local_done();
        assert!(!run.acquisition_complete());
        run.foreign_done();
        assert!(run.acquisition_complete() && !run.acquisition_complete());
        run.forget();
        assert!(!run.acquisition_complete());
    }

    #[test]
    fn a_release_settles_nothing_behind_itself() {
        let mut run = Run::new();
        run.communication_up();
        run.settles_behind_release();
        run.releases();
        assert!(!run.takes_settling());
        run.forget();
        assert_eq!((run.phase(), run.comm_up()), (Phase::Init, true));
    }
}
