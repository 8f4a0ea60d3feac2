//! The steps of a standby: offer, answer, release and takeover, and its ends before its time: nobody answers, or the
//! other node dies or begins anew.

use std::time::Duration;

use crate::notice::Notice;
use crate::protocol::event::GroupOrder;
use crate::protocol::field;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::resources::holding::HoldingSet;
use crate::resources::messages::{ask, report};
use crate::resources::parts::peer::Peer;
use crate::resources::parts::run::Phase;
use crate::resources::parts::standby::{
    COMPLETION, DONE_FOLLOWS, FIRST_ANSWER, GIVER_SHOWS, LEGACY_GIVER_SHOWS, REQUEST_WAITS,
    Request, Standby, Wish,
};
use crate::resources::parts::timers::Timer;
use crate::resources::parts::work::Purpose;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Gives a legacy node back what it may have started beside us. `true`: that has begun.
    pub(in crate::resources) fn offer_back(&mut self) -> bool {
        let due = self.loose.offers_back(self.now);
        if !due || !self.other.is_pair() || !self.at_rest() || !self.other.is_active() {
            return false;
        }
        if !self.duty.holds(HoldingSet::FOREIGN) {
            self.loose.offered_back();
            return false;
        }
        self.loose.offer_back(self.now);
        self.warn(
            "the other node has ended a takeover that began before it gave us its resources: it may be \
             starting them again, and get them back",
        );
        self.begin_standby(
            HoldingSet::FOREIGN,
            Wish::Forced,
            "the other node may have started them: it works off what waited behind its takeover",
        );
        true
    }

    /// Lets it have them for good: it stops nothing by itself, and names nothing of it. Once: when it does not
    /// answer, it hangs. `true`: that has begun.
    pub(in crate::resources) fn offer_what_it_started(&mut self) -> bool {
        let possible = self.other.is_pair()
            && self.at_rest()
            && self.other.is_settled()
            && self.other.is_active();
        if !self.loose.has_older_start() || !possible {
            return false;
        }
        let set = self.loose.take_older_start().common(self.duty.held());
        if set.is_none() {
            return false;
        }
        self.begin_standby(
            set,
            Wish::Forced,
            "the other node may have started them: it says that it is done, and gives nothing",
        );
        true
    }

    /// It has reported since we began to release that it holds the set: it has held us for dead meanwhile,
    /// and waits for no word of ours.
    pub(in crate::resources) fn taken_before_we_were_done(&mut self) {
        let set = self.sb_set.mirror();
        let since = self.gives_since.take();
        let holds = |peer: &Peer| {
            since.is_some_and(|since| peer.newest_report() > since) && peer.holds().has(set)
        };
        if self.other.peers().any(holds) {
            self.timers.set(Timer::Taken, self.after(DONE_FOLLOWS));
        }
    }

    pub(in crate::resources) fn enter(&mut self, standby: Standby, deadline: Option<Duration>) {
        self.went_on = false;
        self.standby = standby;
        self.timers.clear(Timer::Standby);
        if let Some(delay) = deadline {
            self.timers.set(Timer::Standby, self.after(delay));
        }
        self.info(format!("New standby state: {}", self.standby.number()));
    }

    /// A local program asks us to give `set` away. The gate stands before the message: a request
    /// that we refuse ourselves must not reach a node that would accept it.
    pub(in crate::resources) fn standby_requested(&mut self, set: HoldingSet, forced: bool) {
        if !self.nice() {
            return self.notice(Notice::StandbyNeedsNice {});
        }
        if self.run.phase() == Phase::Shutdown || self.stopping() {
            return;
        }
        if self.other.is_many() {
            return self.error("standby refused: more than two nodes are configured");
        }
        if self.freeze.is_on() {
            self.warn(format!("standby request for [{set}] refused: frozen"));
            return self.decide(format!("refuses to give {set} away"), "frozen");
        }
        if let Some(why) = self.hand_over_obstacle(set).filter(|_| !forced) {
            self.warn(format!(
                "standby request for [{set}] refused: {why}; --force hands over all the same"
            ));
            return self.decide(format!("refuses to give {set} away"), why);
        }
        let node = self.setup.local().to_string();
        let info = "me".to_owned();
        if let Some(seconds) = self.seconds_left() {
            return self.notice(Notice::StandbyInProgress {
                info,
                node,
                seconds,
            });
        }
        if self.groups.at_work() {
            self.debug("standby request waits until own resource activity finishes");
            let until = self.after(REQUEST_WAITS);
            self.wanted = Some(Request { set, until, forced });
            return;
        }
        if !self.other.is_settled() || self.contested() {
            self.decide(
                format!("refuses to give {set} away"),
                "the other node is not settled, or not there",
            );
            return self.notice(Notice::StandbyOtherFlux { info, node });
        }
        if self.run.phase() != Phase::Stable {
            self.decide(format!("refuses to give {set} away"), "not settled");
            return self.notice(Notice::StandbyLocalFlux { info, node });
        }
        let wish = if forced { Wish::Forced } else { Wish::Wanted };
        self.begin_standby(
            set,
            wish,
            "hb_standby, a client or the other node's hb_takeover asked",
        );
    }

    /// Asks the other node to take `set`.
    pub(in crate::resources) fn begin_standby(&mut self, set: HoldingSet, wish: Wish, cause: &str) {
        self.decide(format!("offers {set} to the other node"), cause);
        self.offer_answered = None;
        self.our_offer = None;
        let mut offer = ask(set, "me");
        if wish == Wish::Forced {
            offer.set_text(field::FORCE, "1");
        }
        self.send(offer);
        self.notice(Notice::WantsStandby {
            node: self.setup.local().to_string(),
            set: set.to_string(),
        });
        self.sb_set = set;
        self.other.moves();
        self.enter(Standby::Asked(wish), Some(FIRST_ANSWER));
    }

    pub(in crate::resources) fn offer(&mut self, from: &NodeName, set: HoldingSet) {
        let (info, node) = ("me".to_owned(), from.to_string());
        if !self.other.is_settled() || self.contested() {
            self.notice(Notice::StandbyOtherFlux { info, node });
        } else if self.run.phase() != Phase::Stable {
            self.notice(Notice::StandbyLocalFlux { info, node });
        } else {
            self.answer_giver(from, set);
        }
    }

    pub(in crate::resources) fn answer_giver(&mut self, from: &NodeName, set: HoldingSet) {
        self.notice(Notice::WantsStandby {
            node: from.to_string(),
            set: set.to_string(),
        });
        self.decide(
            format!("is ready to take {set} of {from}"),
            format!("{from} offers them"),
        );
        self.sb_set = set;
        self.other.moves();
        let giver = from.clone();
        self.note_answer(from, set);
        self.answer_offer(set, "other");
        let answered = Standby::Answered {
            giver,
            open_until: self.after(FIRST_ANSWER),
            gives: false,
        };
        let ours = self.other.is_systole(from);
        let patience = if ours {
            GIVER_SHOWS
        } else {
            LEGACY_GIVER_SHOWS
        };
        self.enter(answered, Some(patience));
    }

    /// The giver reports that it has begun.
    pub(in crate::resources) fn giver_gives(&mut self, info: Option<&str>) {
        if info == Some("standby")
            && let Standby::Answered { gives, .. } = &mut self.standby
        {
            *gives = true;
            self.timers.set(Timer::Standby, self.after(COMPLETION));
        }
    }

    pub(in crate::resources) fn give_up(&mut self, taker: &NodeName) {
        let set = self.sb_set;
        self.decide(
            format!("stops its {set} resources"),
            format!("{taker} can take them"),
        );
        self.notice(Notice::CanTake {
            node: taker.to_string(),
            set: set.to_string(),
        });
        self.other.moves();
        self.gives_since = self.other.peer(taker).map(Peer::newest_report);
        if set.has(HoldingSet::FOREIGN) {
            self.failback_settled();
            self.loose.offered_back();
        }
        // Just these, whatever was being stopped before: the taker waits for nothing else.
        self.duty.released();
        self.duty.give(set);
        self.send(report(self.duty.held(), false, Some("standby")));
        self.notice(Notice::StandbyGiving {
            set: set.to_string(),
        });
        let keys = self.groups.keys_of(set);
        for key in &keys {
            self.groups.given_up(key, self.now);
        }
        self.groups.begin(Purpose::Give, keys, GroupOrder::Stop);
        self.enter(Standby::Giving, Some(COMPLETION));
    }

    /// The taker is done.
    pub(in crate::resources) fn given_and_taken(&mut self) {
        self.timers.clear(Timer::Taken);
        let set = self.sb_set;
        self.notice(Notice::OtherCompletedStandby {
            set: set.to_string(),
        });
        self.other.has_taken(set.mirror());
        self.enter(Standby::Not, None);
        self.answer();
    }

    pub(in crate::resources) fn take(
        &mut self,
        from: &NodeName,
        set: HoldingSet,
        message: &Message,
    ) {
        self.sb_set = set;
        self.decide(
            format!("starts what was {set} of {from}"),
            format!("{from} has released it"),
        );
        let ours = set.mirror();
        if ours.has(HoldingSet::FOREIGN) {
            self.failback_settled();
        }
        self.note_failed_there(message, ours);
        self.other.is_believed();
        if let Some(peer) = self.other.peer_mut(from) {
            peer.hands_mut().gives(set);
        }
        self.info(format!("standby: acquire [{set}] resources from {from}"));
        self.notice(Notice::StandbyAcquiring {
            set: ours.to_string(),
        });
        let keys = self.groups.keys_of(ours);
        for key in &keys {
            // Who has stopped it says so.
            self.groups.confirmed(key);
        }
        let keys = self.not_elsewhere(keys);
        self.groups.begin(Purpose::Take, keys, GroupOrder::Start);
        self.enter(Standby::Taking, Some(COMPLETION));
    }

    /// What we offered stays here. Whoever does not answer may be releasing for a reason of its own:
    /// then its next report says what is left.
    pub(in crate::resources) fn withdraw_offer(&mut self) {
        self.other.offer_is_withdrawn();
        self.enter(Standby::Not, None);
    }

    /// The other side died: the standby is over.
    pub(in crate::resources) fn cancel_standby(&mut self) {
        self.offered = None;
        self.offer_answered = None;
        self.loose.forget_early_done();
        self.withdraw_stops();
        if self.standby == Standby::Not {
            return;
        }
        self.info("Cancelling pending standby operation");
        if self.standby == Standby::Given {
            // It may have begun to start them.
            self.other.may_start(self.sb_set.mirror());
        }
        if self.standby == Standby::Taking {
            // It has released them: what is started is ours, also when we are to stop and take nothing more.
            self.duty.take(self.sb_set.mirror());
        }
        self.enter(Standby::Not, None);
        if self.duty.held() == HoldingSet::ALL {
            self.other.settles();
        }
    }

    /// The other side began a new run: it remembers nothing of the standby.
    pub(in crate::resources) fn interrupt_standby(&mut self) {
        self.offered = None;
        self.offer_answered = None;
        self.loose.forget_early_done();
        if let Standby::Asked(wish) = self.standby {
            self.failback_unanswered(wish);
        }
        match self.standby {
            Standby::Not => {}
            // The stops go on; the newcomer sees in our reports what is not released yet.
            Standby::Asked(_) | Standby::Giving | Standby::Given | Standby::Answered { .. } => {
                self.info("Cancelling pending standby operation");
                self.enter(Standby::Not, None);
            }
            // Nobody else runs them: they are ours now.
            Standby::Taking => {
                self.info("Cancelling pending standby operation");
                self.duty.take(self.sb_set.mirror());
                self.enter(Standby::Not, None);
            }
        }
    }
}
