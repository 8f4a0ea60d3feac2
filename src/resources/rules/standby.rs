//! The messages of a standby, the ends of its work, and its time. Words of another node can be lost for good, and
//! nothing would ever say them again:
//!
//! | lost | found by |
//! |---|---|
//! | a report | a question, `starting`: every node answers it with a full report |
//! | the giver's `done` | the taker's question: the giver says `done` again while the taker does not report the set |
//! | the taker's `done` | the giver's question: the taker reports that it holds the set, and is settled |
//! | nothing: the taker held us for dead in our release | it has reported that it holds the set before we were done, and says no more |
//!
//! A `done` is said again to one of our nodes only. A legacy taker that has heard the first would count
//! the second as the other side's, and end without what it has taken.

use crate::notice::Notice;
use crate::protocol::field;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::resources::holding::HoldingSet;
use crate::resources::hooks;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::run::Phase;
use crate::resources::parts::standby::{COMPLETION, OFFER_WAITS, Request, Standby, Wish};
use crate::resources::parts::timers::Timer;
use crate::resources::state::ResourceState;

impl ResourceState {
    pub(in crate::resources) fn note_late_done(
        &mut self,
        from: &NodeName,
        set: HoldingSet,
        message: &Message,
    ) {
        self.decide(
            format!("asks {from} what it holds"),
            format!("it says that it has released or taken {set}, and nobody waited for that"),
        );
        self.loose.keep_late_done(from, set, message.clone());
        self.ask();
    }

    pub(in crate::resources) fn note_older_start(&mut self, from: &NodeName, set: HoldingSet) {
        let ours = set.mirror();
        self.warn(format!(
            "a script of an earlier standby has ended on node {from}, and may have started the {ours} \
             resources beside us: offering them to it"
        ));
        self.loose.note_older_start(ours);
    }

    /// A legacy giver was done while this process, or a new run of it, could not take anything yet. It does
    /// not say that again, and would wait for our own for an hour.
    pub(in crate::resources) fn keep_early_done(&mut self, from: &NodeName, message: &Message) {
        let goes_on = self.went_on && matches!(self.standby, Standby::Answered { .. });
        // See `leave_in_its_hands`.
        let left = self
            .other
            .peer(from)
            .is_some_and(|peer| peer.hands().is_at_work());
        if (goes_on || left) && message.text(field::INFO) == Some("done") {
            self.loose.keep_early_done(from, message.clone());
        }
    }

    /// Communication is up: what came too early counts now, in a standby that goes on. Else it is told when
    /// this run has come to rest.
    pub(in crate::resources) fn take_early_done(&mut self) {
        if self.went_on && self.standby != Standby::Not {
            self.hear_early_done();
        }
    }

    /// `true`: there was one.
    pub(in crate::resources) fn hear_early_done(&mut self) -> bool {
        let Some((from, message)) = self.loose.take_early_done() else {
            return false;
        };
        self.on_ask_resources(&from, &message);
        true
    }

    /// Its `done` has not come.
    pub(in crate::resources) fn taken_overdue(&mut self) {
        if self.timers.take_due(Timer::Taken, self.now) && self.standby == Standby::Given {
            self.decide(
                format!("ends the standby of {}", self.sb_set),
                "the other node reports that it holds what was given",
            );
            self.given_and_taken();
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
        let offered =
            info == "me" && active && !self.freeze.is_on() && self.standby == Standby::Not;
        let late = info == "me" && self.offers_what_it_took(from, set, offered);
        if late || (offered && self.refuses_offer(from, set, message)) {
            return;
        }
        if info == "done" && self.started_unreported(from, set, message) {
            return;
        }
        match (&self.standby, info) {
            // Right after a partition this can be the first word of a node that is still dead to
            // us. Its death could not be noticed again: nothing may depend on it.
            (_, "me" | "other") if !active => {
                let (info, node) = (info.to_owned(), from.to_string());
                self.notice(Notice::StandbyOtherFlux { info, node });
            }
            (_, "me") if self.freeze.is_on() => {
                self.warn(format!(
                    "standby message [me] from {from} ignored.  frozen."
                ));
                self.decide(format!("does not take {set} of {from}"), "frozen");
            }
            // A stop that waits lets a running standby end, but begins none.
            (Standby::Not, "me") if self.stopping() => {}
            (Standby::Not, "me") if self.groups.at_work() => {
                let until = self.after(OFFER_WAITS);
                // A legacy giver ignores its own second offer while the first is open.
                let first = self.offered.take().filter(|(_, first)| {
                    let ours = self.other.is_systole(from);
                    !ours && self.now < first.until
                });
                self.offered = first.or_else(|| {
                    let forced = hooks::is_forced(message);
                    Some((from.clone(), Request { set, until, forced }))
                });
            }
            // Its own question has made it unsettled to us, and its report follows.
            (Standby::Not, "me") if self.waits_for_report(from) => {
                let until = self.after(OFFER_WAITS);
                let forced = hooks::is_forced(message);
                self.offered = Some((from.clone(), Request { set, until, forced }));
            }
            (Standby::Not, "me") => self.offer(from, set),
            (Standby::Asked(Wish::NotStarted), "me") if self.gives_way_to(from) => {
                self.decide(
                    format!("offers {} later", self.sb_set),
                    format!("{from} offers {set} in the same moment"),
                );
                self.withdraw_offer();
                self.offer(from, set);
            }
            // The giver starts over: it has given its first request up.
            // Spec: docs/protocol/resources.md, 7.4, [D] (c).
            (Standby::Answered { giver, .. }, "me") if giver == from && self.starts_over() => {
                self.answer_giver(from, set);
            }
            (_, "me") => {
                let seconds = self.seconds_left().unwrap_or(0);
                self.notice(Notice::StandbyInProgress {
                    info: info.to_owned(),
                    node: from.to_string(),
                    seconds,
                });
            }
            (Standby::Asked(_), "other") | (Standby::Given, "done")
                if !self.answers_our_offer(from, message) =>
            {
                self.debug(format!("[{info}] of {from} is of an earlier standby"));
            }
            (Standby::Asked(_), "other") => self.give_up(from),
            (Standby::Given, "done") => {
                self.expects_its_report(from, Position::of(message));
                self.given_and_taken();
            }
            // Not: it took longer than we waited for it, and waits for us now.
            (Standby::Answered { .. } | Standby::Not, "done")
                if self.follows_answered_offer(from, set, message) =>
            {
                self.take(from, set, message);
            }
            // It says so again because we asked for something else, and we have heard it before.
            (Standby::Taking | Standby::Not, "done") if self.knows_that_it_is_done(from, set) => {
                self.debug(format!("[{info}] of {from} is known"));
            }
            (Standby::Not, "done") if self.is_late_done(from, set) => {
                self.note_late_done(from, set, message);
            }
            (Standby::Taking | Standby::Not, "done") if self.ends_an_older_start(from, set) => {
                self.note_older_start(from, set);
            }
            (Standby::Answered { giver, .. }, "done") if giver == from => {
                self.debug(format!("[{info}] of {from} is of an earlier standby"));
            }
            (
                Standby::Not
                | Standby::Asked(_)
                | Standby::Giving
                | Standby::Given
                | Standby::Answered { .. }
                | Standby::Taking,
                _,
            ) => {
                let state = self.standby.number().to_string();
                self.notice(Notice::StandbyUnexpected {
                    info: info.to_owned(),
                    node: from.to_string(),
                    state,
                });
            }
        }
    }

    /// Whether what is offered is not taken because the two files say different things of it.
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

    /// Everything of the set is stopped.
    pub(in crate::resources) fn released_for_standby(&mut self) {
        self.duty.released();
        if self.standby != Standby::Giving {
            // The taker went away meanwhile, or this is the rest of an earlier process's release; whoever
            // listens hears what is left. A node that runs the rest as well counts on that before it lets go.
            let open =
                self.run.comm_up() && !matches!(self.run.phase(), Phase::Init | Phase::Shutdown);
            if open && !self.run.settles_when_released() {
                self.answer();
            }
            return self.settle_after_release();
        }
        if self.not_heard_yet() {
            return;
        }
        let set = self.sb_set;
        self.notice(Notice::StandbyReleaseDone {
            set: set.to_string(),
        });
        // From here on the taker may run them, whatever it reports.
        self.other.may_start(set.mirror());
        self.given_at = self.other.newest_report();
        self.say_done();
        self.enter(Standby::Given, Some(COMPLETION));
        self.taken_before_we_were_done();
        self.settle_after_release();
    }

    /// Everything of the set is started, or was tried. `done` goes out in any case: without it
    /// the giver would wait for an hour.
    pub(in crate::resources) fn taken_in_standby(&mut self) {
        if self.standby != Standby::Taking || self.not_heard_yet() {
            return;
        }
        let set = self.sb_set;
        self.duty.take(set.mirror());
        self.notice(Notice::StandbyAcquireDone {
            set: set.to_string(),
        });
        self.enter(Standby::Not, None);
        self.answer_offer(set, "done");
        self.offer_answered = None;
        self.answer();
        self.run.local_done();
        self.run.foreign_done();
        self.acquisition_complete("auto_failback");
    }

    pub(in crate::resources) fn standby_overdue(&mut self) {
        if !self.timers.take_due(Timer::Standby, self.now) {
            return;
        }
        match self.standby {
            // Our own scripts take their time; the other waits or dies.
            Standby::Giving | Standby::Taking => {
                self.timers.set(Timer::Standby, self.after(COMPLETION));
            }
            Standby::Asked(wish) => {
                self.decide(
                    format!("keeps {}", self.sb_set),
                    "the other node does not answer the offer",
                );
                self.notice(Notice::NoStandbyReply {});
                self.say_who_hangs();
                self.withdraw_offer();
                self.failback_unanswered(wish);
            }
            Standby::Given if self.is_taking_still() => {
                self.timers.set(Timer::Standby, self.after(COMPLETION));
            }
            Standby::Not | Standby::Given | Standby::Answered { .. } => {
                let given = self.standby == Standby::Given;
                self.notice(Notice::NoStandbyReply {});
                self.say_who_hangs();
                self.other.is_believed();
                self.other.settles();
                self.enter(Standby::Not, None);
                // Our last report said that we were giving: the taker would wait for the next for good.
                if given {
                    self.answer();
                }
            }
        }
    }

    /// A legacy taker says that it is done: its report is waited for, and asked for when none comes.
    pub(in crate::resources) fn expects_its_report(&mut self, taker: &NodeName, done: Position) {
        let set = self.sb_set.mirror();
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

    /// A `done` that belongs to no standby: whether it tells the end of such a start.
    pub(in crate::resources) fn started_unreported(
        &mut self,
        node: &NodeName,
        set: HoldingSet,
        message: &Message,
    ) -> bool {
        let answered = matches!(&self.standby, Standby::Answered { giver, .. } if giver == node);
        if answered && self.follows_answered_offer(node, set, message) {
            // It gives: by an offer that its new run has made.
            return false;
        }
        let may_tell = match self.standby {
            Standby::Not | Standby::Asked(_) | Standby::Answered { .. } => true,
            Standby::Giving | Standby::Given | Standby::Taking => false,
        };
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
