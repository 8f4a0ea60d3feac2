//! The messages of a standby, the end of its work, and its time limits. Messages of another node
//! can be lost for good, and are not sent again by themselves:
//!
//! | lost | found by |
//! |---|---|
//! | a report | a question, `starting`: every node answers it with a full report |
//! | the giver's `done` | the taker's question: the giver sends `done` again while the taker does not report the set |
//! | the taker's `done` | the giver's question: the taker reports that it holds the set, and is settled |
//! | nothing: the taker declared us dead during our release | it has reported that it holds the set before we were done, and sends no more |
//!
//! A `done` is sent again only to a Systole node. A legacy taker that has received the first would
//! count the second as the other side's, and end without what it has taken.

use crate::clock::Monotonic;
use crate::notice::Notice;
use crate::protocol::field;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::resources::holding::HoldingSet;
use crate::resources::hooks;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::run::Phase;
use crate::resources::parts::standby::Standby;
use crate::resources::parts::standby::table::{Input, Word};
use crate::resources::parts::timers::Timer;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// A legacy giver was done while this process, or a new run of it, could not take anything yet.
    /// The giver does not send that again, and would wait for our `done` for an hour.
    pub(in crate::resources) fn keep_early_done(&mut self, from: &NodeName, message: &Message) {
        let goes_on =
            self.standby.is_continued() && matches!(self.standby.state(), Standby::Accepted { .. });
        // See `leave_in_its_hands`.
        let left = self
            .other
            .peer(from)
            .is_some_and(|peer| peer.hands().is_at_work());
        if (goes_on || left) && message.text(field::INFO) == Some("done") {
            self.loose.keep_early_done(from, message.clone());
        }
    }

    /// Communication is up: in a standby that goes on, a `done` that came too early counts now.
    /// Otherwise it is handled when this run is at rest.
    pub(in crate::resources) fn take_early_done(&mut self) {
        if self.standby.is_continued() && !self.standby.is_idle() {
            self.hear_early_done();
        }
    }

    /// This node stood still. A `done` that waits may be older than the verdict that the giver has
    /// passed on us since, which waits behind it.
    pub(in crate::resources) fn stood_still(&mut self, read_until: Monotonic) {
        self.timers.set(Timer::Read, read_until);
    }

    /// Whether a `done` of this giver is among messages that waited while this node stood still.
    fn is_stale(&self, giver: &NodeName) -> bool {
        self.timers.is_set(Timer::Read) && self.standby.state().waits_for_giver(giver)
    }

    /// What waited has been read. The standby still stands if it waits for the same giver: a death,
    /// a new run and a verdict have ended it.
    pub(in crate::resources) fn early_done_overdue(&mut self) {
        if self.timers.take_due(Timer::Read, self.now) {
            self.hear_early_done();
        }
    }

    /// Handles an early `done`. `true`: there was one.
    pub(in crate::resources) fn hear_early_done(&mut self) -> bool {
        if self.timers.is_set(Timer::Read) {
            return false;
        }
        let Some((from, message)) = self.loose.take_early_done() else {
            return false;
        };
        self.on_ask_resources(&from, &message);
        true
    }

    /// The taker's `done` has not come.
    pub(in crate::resources) fn taken_overdue(&mut self) {
        if self.timers.take_due(Timer::Taken, self.now) {
            self.standby_on(Input::TakenDue);
        }
    }

    /// A standby message of another node. Our own take effect where they are sent.
    pub(in crate::resources) fn on_ask_resources(&mut self, from: &NodeName, message: &Message) {
        if !self.nice() {
            return self.notice(Notice::StandbyNeedsNice {});
        }
        if !self.run.comm_up() || self.run.phase() == Phase::Shutdown {
            return self.keep_early_done(from, message);
        }
        let (Some(info), Some(set)) = (message.text(field::INFO), hooks::set_asked(message)) else {
            return self.error(format!("incomplete standby message from node {from}"));
        };
        if info == "me" && !self.other.known(from).offers(Position::of(message)) {
            return self.debug(format!(
                "[me] of {from} is older than its last one, or than this run of ours"
            ));
        }
        if self.other.is_many() {
            return self.error(format!(
                "standby message [{info}] from {from} refused: more than two nodes are configured"
            ));
        }
        let active = self.other.peer(from).is_some_and(Peer::is_active);
        let offered = info == "me" && active && !self.freeze.is_on() && self.standby.is_idle();
        let late = info == "me" && self.offers_what_it_took(from, set, offered);
        if late || (offered && self.refuses_offer(from, set, message)) {
            return;
        }
        if info == "done" && self.is_stale(from) {
            return self.loose.keep_early_done(from, message.clone());
        }
        if info == "done" && self.started_unreported(from, set, message) {
            return;
        }
        match info {
            // Right after a partition this can be the first message of a node that still counts as
            // dead here. Its death could not be noticed again: nothing may depend on it.
            "me" | "other" if !active => {
                let (info, node) = (info.to_owned(), from.to_string());
                self.notice(Notice::StandbyOtherFlux { info, node });
            }
            "me" if self.freeze.is_on() => {
                self.warn(format!(
                    "standby message [me] from {from} ignored.  frozen."
                ));
                self.decide(format!("does not take {set} of {from}"), "frozen");
            }
            _ => self.standby_on(Input::Word(Word::new(from, info, set, message))),
        }
    }

    /// Whether an offer is not taken because the haresources of the nodes differ.
    pub(in crate::resources) fn refuses_offer(
        &mut self,
        from: &NodeName,
        set: HoldingSet,
        message: &Message,
    ) -> bool {
        let why = self.hand_over_obstacle(set.mirror());
        let Some(why) = why.filter(|_| !hooks::is_forced(message)) else {
            return false;
        };
        self.warn(format!("standby message [me] from {from} ignored: {why}"));
        self.decide(format!("does not take {set} of {from}"), why);
        true
    }

    /// Every group of a set is stopped.
    pub(in crate::resources) fn all_stopped(&mut self) {
        self.duty.released();
        self.standby_on(Input::Stopped);
    }

    /// The other side has not continued the standby.
    pub(in crate::resources) fn standby_overdue(&mut self) {
        if self.timers.take_due(Timer::Standby, self.now) {
            self.standby_on(Input::Due);
        }
    }

    /// Handles a `done` that may belong to no standby. `true`: it tells the end of a start that the
    /// node began before its present run.
    pub(in crate::resources) fn started_unreported(
        &mut self,
        node: &NodeName,
        set: HoldingSet,
        message: &Message,
    ) -> bool {
        let answered = self.standby.state().waits_for_giver(node);
        if answered && self.follows_answered_offer(node, set, message) {
            // The node gives, by an offer of its new run.
            return false;
        }
        let may_tell = !self.standby.state().moves();
        let known = self.other.peer_mut(node);
        let tells = known.and_then(|peer| peer.hands_mut().done(set.mirror(), may_tell));
        let Some(started) = tells else {
            return false;
        };
        self.say_that_it_stays(
            node,
            started,
            "it began anew while it started it, and may not report it",
        );
        true
    }
}
