//! The giver of a standby: it offers, stops its groups, reports that, and receives that they were
//! started.

use std::time::Duration;

use crate::notice::Notice;
use crate::protocol::event::GroupOrder;
use crate::protocol::field;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::resources::holding::HoldingSet;
use crate::resources::messages::{ask, report};
use crate::resources::parts::peer::Peer;
use crate::resources::parts::run::Phase;
use crate::resources::parts::standby::{COMPLETION, DONE_FOLLOWS, FIRST_ANSWER, Standby, Wish};
use crate::resources::parts::timers::Timer;
use crate::resources::parts::work::Purpose;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Enters a state of the standby, with a limit for the time in it.
    pub(in crate::resources) fn enter(&mut self, standby: Standby, deadline: Option<Duration>) {
        self.standby.enters(standby);
        self.timers.clear(Timer::Standby);
        if let Some(delay) = deadline {
            self.timers.set(Timer::Standby, self.after(delay));
        }
        self.info(format!(
            "New standby state: {}",
            self.standby.state().number()
        ));
    }

    /// Asks the other node to take `set`.
    pub(in crate::resources) fn begin_standby(&mut self, set: HoldingSet, wish: Wish, cause: &str) {
        self.decide(format!("offers {set} to the other node"), cause);
        let mut offer = ask(set, "me");
        if wish == Wish::Forced {
            offer.set_text(field::FORCE, "1");
        }
        self.send(offer);
        self.notice(Notice::WantsStandby {
            node: self.setup.local().to_string(),
            set: set.to_string(),
        });
        self.other.moves();
        let offered = Standby::Offered {
            set,
            wish,
            sent: None,
        };
        self.enter(offered, Some(FIRST_ANSWER));
    }

    /// What we offered stays here. A node that does not answer may be releasing for another reason;
    /// then its next report says what is left.
    pub(in crate::resources) fn withdraw_offer(&mut self) {
        self.other.offer_is_withdrawn();
        self.enter(Standby::Idle { answered: None }, None);
    }

    /// The other node does not answer our offer.
    pub(in crate::resources) fn keep_what_was_offered(&mut self, wish: Wish) {
        self.decide(
            format!("keeps {}", self.standby.state().set()),
            "the other node does not answer the offer",
        );
        self.notice(Notice::NoStandbyReply {});
        self.say_who_hangs();
        self.withdraw_offer();
        self.failback_unanswered(wish);
    }

    /// The taker is ready: stops the groups that we offered.
    pub(in crate::resources) fn give_up(&mut self, taker: &NodeName) {
        let (set, sent) = (self.standby.state().set(), self.standby.state().offer());
        self.decide(
            format!("stops its {set} resources"),
            format!("{taker} can take them"),
        );
        self.notice(Notice::CanTake {
            node: taker.to_string(),
            set: set.to_string(),
        });
        self.other.moves();
        let since = self.other.peer(taker).map(Peer::newest_report);
        if set.has(HoldingSet::FOREIGN) {
            self.failback_settled();
            self.loose.offered_back();
        }
        // Only these, whatever was being stopped before: the taker waits for nothing else.
        self.duty.released();
        self.duty.hand_over(set);
        self.send(report(self.duty.held(), false, Some("standby")));
        self.notice(Notice::StandbyGiving {
            set: set.to_string(),
        });
        let keys = self.groups.keys_of(set);
        for key in &keys {
            self.groups.given_up(key, self.now);
            let failed = self.groups.ailing_mut().given(key, self.now);
            if self.groups.reach_mut().given(key, self.now) || failed {
                // It is not to come back because it does not start there either.
                self.groups.pass_on(key, self.now);
            }
        }
        self.groups.begin(Purpose::Give, keys, GroupOrder::Stop);
        self.enter(Standby::Giving { set, sent, since }, Some(COMPLETION));
    }

    /// Every group of the set is stopped: tells the taker that it may start them.
    pub(in crate::resources) fn say_released(&mut self) {
        let Standby::Giving { set, sent, since } = *self.standby.state() else {
            return;
        };
        self.notice(Notice::StandbyReleaseDone {
            set: set.to_string(),
        });
        // From now on the taker may run them, whatever it reports.
        self.other.may_start(set.mirror());
        let at = self.other.newest_report();
        self.say_done(set);
        self.enter(Standby::Given { set, sent, at }, Some(COMPLETION));
        self.taken_before_we_were_done(set.mirror(), since);
        self.settle_after_release();
    }

    /// If the taker has reported since we began to release that it holds the set, it has declared
    /// us dead meanwhile and does not wait for our `done`: the standby ends soon.
    fn taken_before_we_were_done(&mut self, set: HoldingSet, since: Option<Position>) {
        let holds = |peer: &Peer| {
            since.is_some_and(|since| peer.newest_report() > since) && peer.holds().has(set)
        };
        if self.other.peers().any(holds) {
            self.timers.set(Timer::Taken, self.after(DONE_FOLLOWS));
        }
    }

    /// Repeats that the set is released, because the taker may have missed it.
    pub(in crate::resources) fn say_released_again(&mut self, taker: &NodeName) {
        self.info(format!(
            "node {taker} asks: saying again that the set is released"
        ));
        self.say_done(self.standby.state().set());
    }

    /// The rest of a release without a taker is stopped: reports what is left. A node that also
    /// runs the rest needs that report before it releases its own.
    pub(in crate::resources) fn rest_is_stopped(&mut self) {
        let open = self.run.comm_up() && !matches!(self.run.phase(), Phase::Init | Phase::Shutdown);
        if open && !self.run.settles_when_released() {
            self.answer();
        }
        self.settle_after_release();
    }

    /// A legacy taker reports that it is done. Its report of what it holds must follow, and is
    /// asked for when none comes.
    pub(in crate::resources) fn expects_its_report(&mut self, taker: &NodeName, done: Position) {
        let set = self.standby.state().set().mirror();
        let pair = self.other.is_pair();
        let Some(peer) = self.other.peer_mut(taker).filter(|peer| !peer.is_systole()) else {
            return;
        };
        let named = peer.newest_report() > done && peer.holds().has(set);
        if !pair || named {
            return;
        }
        peer.has_started(set, done);
        if !self.timers.is_set(Timer::AskAgain) {
            self.ask_soon();
        }
    }

    /// The taker is done: ends the standby.
    pub(in crate::resources) fn given_and_taken(&mut self) {
        self.timers.clear(Timer::Taken);
        let set = self.standby.state().set();
        self.notice(Notice::OtherCompletedStandby {
            set: set.to_string(),
        });
        self.other.has_taken(set.mirror());
        self.enter(Standby::Idle { answered: None }, None);
        self.answer();
    }

    /// The taker's `done` follows, or is lost.
    pub(in crate::resources) fn expect_done(&mut self) {
        if !self.timers.is_set(Timer::Taken) {
            self.timers.set(Timer::Taken, self.after(DONE_FOLLOWS));
        }
    }

    /// The taker reports that it holds the groups, but sends no `done`.
    pub(in crate::resources) fn end_by_report(&mut self) {
        self.decide(
            format!("ends the standby of {}", self.standby.state().set()),
            "the other node reports that it holds what was given",
        );
        self.given_and_taken();
    }
}
