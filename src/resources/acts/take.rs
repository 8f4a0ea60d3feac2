//! The taker of a standby: it answers an offer, waits for the giver, starts the groups and reports
//! that.

use std::collections::BTreeSet;

use crate::notice::Notice;
use crate::protocol::event::GroupOrder;
use crate::protocol::field;
use crate::protocol::group::GroupKey;
use crate::protocol::haresources_mark::key_mark;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::resources::gate::{Act, Obstacle, Outcome};
use crate::resources::holding::HoldingSet;
use crate::resources::hooks;
use crate::resources::obstacles::Scope;
use crate::resources::parts::conversation::Request;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::standby::table::Word;
use crate::resources::parts::standby::{
    Answer, COMPLETION, FIRST_ANSWER, GIVER_SHOWS, LEGACY_GIVER_SHOWS, OFFER_WAITS, Standby,
};
use crate::resources::parts::timers::Timer;
use crate::resources::parts::work::Purpose;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Another node offers a set, and no standby is under way.
    pub(in crate::resources) fn consider(&mut self, word: Word<'_>) {
        let (from, set) = (word.from(), word.set());
        match self.gate(Act::ConsiderOffer, &Scope::node(from)) {
            Ok(()) => self.answer_or_refuse(from, set),
            Err(refusal) if refusal.outcome == Outcome::Queue => {
                let forced = hooks::is_forced(word.message());
                let request = Request::new(set, self.after(OFFER_WAITS), forced);
                if self.other.is_systole(from) {
                    self.standby.answer_later(from, request);
                } else {
                    self.standby.answer_first_later(from, request, self.now);
                }
            }
            Err(_) => {}
        }
    }

    /// Logs that an offer is not taken.
    pub(in crate::resources) fn refuse_offer(
        &mut self,
        from: &NodeName,
        set: HoldingSet,
        obstacle: Obstacle,
    ) {
        let cause = self.cause(obstacle, &Scope::of(set.mirror()));
        let (info, node) = ("me".to_owned(), from.to_string());
        match obstacle {
            Obstacle::NotSettled => self.notice(Notice::StandbyLocalFlux { info, node }),
            Obstacle::Frozen => self.warn(format!(
                "standby message [me] from {from} ignored.  {cause}."
            )),
            Obstacle::FilesDiffer => {
                self.warn(format!("standby message [me] from {from} ignored: {cause}"));
            }
            _ => self.notice(Notice::StandbyOtherFlux { info, node }),
        }
        self.decide(format!("does not take {set} of {from}"), cause);
    }

    /// Withdraws our offer, which no person asked for, in favour of an offer that crosses it.
    pub(in crate::resources) fn give_way_to_offer(&mut self, from: &NodeName, set: HoldingSet) {
        self.decide(
            format!("offers {} later", self.standby.state().set()),
            format!("{from} offers {set} in the same moment"),
        );
        self.withdraw_offer();
        self.answer_or_refuse(from, set);
    }

    /// Answers an offer at the right time, if both nodes are settled.
    pub(in crate::resources) fn answer_or_refuse(&mut self, from: &NodeName, set: HoldingSet) {
        match self.gate(Act::AnswerOffer, &Scope::node(from)) {
            Ok(()) => self.answer_giver(from, set),
            Err(refusal) => self.refuse_offer(from, set, refusal.obstacle),
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
        self.other.moves();
        let giver = from.clone();
        let offer = self.other.peer(from).and_then(Peer::offer);
        let answered = offer.map(|offer| Answer::new(from.clone(), set, offer));
        self.answer_offer(set, "other", answered.as_ref());
        let accepted = Standby::Accepted {
            giver,
            set,
            answered,
            open_until: self.after(FIRST_ANSWER),
            gives: false,
        };
        let ours = self.other.is_systole(from);
        let patience = if ours {
            GIVER_SHOWS
        } else {
            LEGACY_GIVER_SHOWS
        };
        self.enter(accepted, Some(patience));
    }

    /// The giver shows that it stops its groups.
    pub(in crate::resources) fn giver_gives(&mut self) {
        self.standby.shows(true);
        self.timers.set(Timer::Standby, self.after(COMPLETION));
    }

    /// What the giver sent while no process received here is lost for good, perhaps its `done` too.
    /// So the wait for it is shorter.
    pub(in crate::resources) fn giver_shows_again(&mut self) {
        self.standby.shows(false);
        self.timers.clear(Timer::Standby);
        if self.run.comm_up() {
            self.timers
                .set(Timer::Standby, self.after(LEGACY_GIVER_SHOWS));
        }
    }

    /// This process receives from now on. The giver gets as long as if its offer were answered now.
    pub(in crate::resources) fn wait_for_giver(&mut self) {
        self.standby.offer_is_open(self.after(FIRST_ANSWER));
        let shown = matches!(self.standby.state(), Standby::Accepted { gives: true, .. });
        let patience = if shown {
            COMPLETION
        } else {
            LEGACY_GIVER_SHOWS
        };
        self.timers.set(Timer::Standby, self.after(patience));
    }

    /// The giver is done: what it gave is started.
    pub(in crate::resources) fn take(
        &mut self,
        from: &NodeName,
        set: HoldingSet,
        message: &Message,
    ) {
        self.decide(
            format!("starts what was {set} of {from}"),
            format!("{from} has released it"),
        );
        let ours = set.mirror();
        if ours.has(HoldingSet::FOREIGN) {
            self.failback_settled();
        }
        self.note_failed_there(message, ours);
        self.other.has_given(set);
        if let Some(peer) = self.other.peer_mut(from) {
            peer.hands_mut().gives(set);
        }
        self.info(format!("standby: acquire [{set}] resources from {from}"));
        self.notice(Notice::StandbyAcquiring {
            set: ours.to_string(),
        });
        let keys = self.groups.keys_of(ours);
        for key in &keys {
            // The node that has stopped it says so.
            self.groups.confirmed(key);
        }
        let keys = self.not_elsewhere(keys);
        self.groups.begin(Purpose::Take, keys, GroupOrder::Start);
        let answered = self.standby.state().answered().cloned();
        self.enter(Standby::Taking { set, answered }, Some(COMPLETION));
    }

    /// Every group of the set is started, or was tried. `done` is sent in any case: without it the
    /// giver would wait for an hour.
    pub(in crate::resources) fn say_taken(&mut self) {
        let set = self.standby.state().set();
        let answered = self.standby.state().answered().cloned();
        self.duty.take(set.mirror());
        self.notice(Notice::StandbyAcquireDone {
            set: set.to_string(),
        });
        self.enter(Standby::Idle { answered: None }, None);
        self.answer_offer(set, "done", answered.as_ref());
        self.answer();
        self.run.local_done();
        self.run.foreign_done();
        self.acquisition_complete("auto_failback");
    }

    /// A legacy node sends `done`, and no standby here waits for it.
    pub(in crate::resources) fn note_late_done(
        &mut self,
        from: &NodeName,
        set: HoldingSet,
        message: &Message,
    ) {
        self.decide(
            format!("asks {from} what it holds"),
            format!("it says that it has released or taken {set}, and no standby waited for that"),
        );
        self.loose.keep_late_done(from, set, message.clone());
        self.ask();
    }

    /// A script of an earlier standby has ended on that node.
    pub(in crate::resources) fn note_older_start(&mut self, from: &NodeName, set: HoldingSet) {
        let ours = set.mirror();
        self.warn(format!(
            "a script of an earlier standby has ended on node {from}, and may have started the {ours} \
             resources beside us: offering them to it"
        ));
        self.loose.note_older_start(ours);
    }

    /// The giver of a standby is done, and reports which groups of `set` failed there.
    pub(in crate::resources) fn note_failed_there(&mut self, message: &Message, set: HoldingSet) {
        // A legacy node gives what it holds of ours because of any failure there.
        let legacy = !self.other.all_systole();
        let for_a_failure = legacy && set == HoldingSet::LOCAL;
        let (failed, ailing) = (named(message, field::FAILED), named(message, field::AILING));
        for key in self.groups.keys_of(set) {
            if ailing(&key) {
                self.groups.ailing_mut().came(&key, self.now);
            } else if !for_a_failure && !failed(&key) {
                // It may have come for an interface or an address: then its service was not looked at.
                self.groups.ailing_mut().is_well(&key);
            }
        }
        self.groups
            .given_to_us(set, failed, for_a_failure, self.now);
    }
}

/// Whether a group is in this list of a message.
fn named<'a>(message: &'a Message, list: &str) -> impl Fn(&GroupKey) -> bool + use<'a> {
    let list = message.text(list).unwrap_or_default();
    let words: BTreeSet<&str> = list.split(' ').collect();
    move |key| words.contains(key.as_str()) || words.contains(key_mark(key).as_str())
}
