//! Questions to one small part of the state, and changes of it.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::protocol::field;
use crate::protocol::group::GroupKey;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::resources::output::ResourceOutput;
use crate::resources::parts::run::Phase;
use crate::resources::parts::standby::Wish;
use crate::resources::parts::stop::{OTHER_SETTLES, PAUSE, Stop};
use crate::resources::parts::timers::Timer;
use crate::resources::parts::unowned::SECOND_LATER;
use crate::resources::state::ResourceState;

impl ResourceState {
    pub(in crate::resources) fn unowned_deadline(&self) -> Option<Monotonic> {
        if self.unowned.asked().is_some() {
            return None;
        }
        let later = self.later_than_the_other();
        let local = self.unowned.local_due();
        let foreign = self.foreign_due();
        let [local, foreign] = [local, foreign].map(|due| due.map(|due| due + later));
        [local, foreign].into_iter().flatten().min()
    }

    /// The question which node runs the groups that seem unowned is answered, or no longer matters.
    /// Returns whether it was open.
    pub(in crate::resources) fn question_is_over(&mut self) -> bool {
        self.timers.clear(Timer::Unowned);
        self.unowned.question_is_over()
    }

    pub(in crate::resources) fn foreign_due(&self) -> Option<Monotonic> {
        let due = self.unowned.foreign_due()?;
        Some(
            self.loose
                .scripts()
                .until()
                .map_or(due, |until| due.max(until)),
        )
    }

    pub(in crate::resources) fn later_than_the_other(&self) -> Duration {
        let second = self.other.names().any(|peer| *peer < *self.setup.local());
        if second { SECOND_LATER } else { Duration::ZERO }
    }

    /// Notes the owners that our haresources names now.
    pub fn file_on_disk(&mut self, owners: &str) {
        self.names.file_on_disk(owners);
    }

    /// The other node did not answer our offer.
    pub(in crate::resources) fn failback_unanswered(&mut self, wish: Wish) {
        if wish != Wish::GoesHome {
            return;
        }
        if let Some(pause) = self.failback.unanswered() {
            self.timers.set(Timer::Failback, self.after(pause));
        }
    }

    /// The foreign groups are being offered to their owner.
    pub(in crate::resources) fn failback_offered(&mut self) {
        self.failback.offered();
        self.timers.clear(Timer::Failback);
    }

    /// It is settled which node has the foreign groups.
    pub(in crate::resources) fn failback_settled(&mut self) {
        self.failback.settled();
        self.timers.clear(Timer::Failback);
    }

    pub(in crate::resources) fn failback_overdue(&mut self) {
        if self.timers.take_due(Timer::Failback, self.now) {
            self.failback.again();
        }
    }

    /// Whether the node is frozen: nothing is started or stopped.
    #[must_use]
    pub const fn frozen(&self) -> bool {
        self.freeze.is_on()
    }

    /// Nodes whose groups are taken at the thaw unless they return.
    pub fn waits_for_thaw(&self) -> impl Iterator<Item = &NodeName> {
        let gone = |name: &NodeName| {
            self.other
                .peer(name)
                .is_some_and(crate::resources::parts::peer::Peer::is_gone)
        };
        self.freeze.nodes_left().filter(move |name| gone(name))
    }

    /// A request of ours was sent.
    pub(in crate::resources) fn requested(&mut self, message: &Message) {
        let word = message.text(field::IPADDR).unwrap_or_default();
        self.groups
            .request_sent(&GroupKey::new(word), Position::of(message));
    }

    pub(in crate::resources) fn legacy_deadline(&self) -> Option<Monotonic> {
        self.groups.asked_deadline()
    }

    /// How long after its request a stop waits for communication. Without a limit, a peer that we
    /// receive and that does not receive us would delay it for ever.
    pub(in crate::resources) fn comm_is_late(&self) -> Duration {
        self.setup.initdead().saturating_add(OTHER_SETTLES)
    }

    /// The clients have ended.
    pub(in crate::resources) fn clients_stopped(&mut self) {
        self.stop.clients_stopped(self.after(PAUSE));
        self.out.push(ResourceOutput::BidFarewell);
    }

    pub(in crate::resources) fn stop_deadline(&self) -> Option<Monotonic> {
        match self.stop.state() {
            Stop::Wanted { asked, .. }
                if self.run.phase() == Phase::Init && !self.run.comm_up() =>
            {
                Some(asked + self.comm_is_late()).filter(|until| self.now < *until)
            }
            Stop::Wanted { since, .. } => {
                Some(since + OTHER_SETTLES).filter(|until| self.now < *until)
            }
            Stop::Released { at } => Some(at),
            Stop::Ending { at } => Some(at).filter(|_| !self.groups.at_work()),
            Stop::No | Stop::Releasing | Stop::Clients | Stop::Ended => None,
        }
    }

    /// Whether the foreign groups are to go back to their owner, offered already or not.
    #[must_use]
    pub const fn failback_due(&self) -> bool {
        self.failback.is_pending()
    }

    /// Whether they are to go back because haresources was changed.
    #[must_use]
    pub const fn goes_home_by_file(&self) -> bool {
        self.failback.is_by_file()
    }

    /// Used if they were to go back when the process or core before this one ended.
    pub const fn keep_failback(&mut self) {
        self.failback.keep();
    }

    /// Used if everything was being released when the process or its core began anew. Call before
    /// [`finish`](Self::finish).
    pub const fn keep_release(&mut self) {
        self.stop.keep_release();
    }
}
