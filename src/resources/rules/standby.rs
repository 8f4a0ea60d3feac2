//! The messages of a standby, the end of its work, and its time limits. Messages of another node
//! can be lost for good, and are not sent again by themselves:
//!
//! | lost | found by |
//! |---|---|
//! | a report | a question, `starting`: every node answers it with a full report |
//! | the giver's `done` | the taker's question: the giver sends `done` again while the taker does not report the set |
//! | the taker's `done` | the giver's question: the taker reports that it holds the set, and is settled |
//! | nothing: the taker declared us dead during our release, and has taken nothing | it answers our `done` with a report that says so |
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
use crate::resources::gate::{Act, Obstacle, Outcome};
use crate::resources::holding::HoldingSet;
use crate::resources::hooks;
use crate::resources::obstacles::Scope;
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

    /// Keeps a `done` of this giver that is among messages which waited while this node stood still.
    fn keeps_done(&mut self, giver: &NodeName, done: &Message) -> bool {
        let kept = self.gate(Act::HearDone, &Scope::node(giver)).is_err();
        if kept {
            self.loose.keep_early_done(giver, done.clone());
        }
        kept
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
        match self.gate(Act::Converse, &Scope::default()) {
            Err(refusal) if refusal.obstacle == Obstacle::LegacyModel => {
                return self.notice(Notice::StandbyNeedsNice {});
            }
            Err(refusal) if refusal.outcome == Outcome::Queue => {
                return self.keep_early_done(from, message);
            }
            Ok(()) | Err(_) => {}
        }
        let (Some(info), Some(set)) = (message.text(field::INFO), hooks::set_asked(message)) else {
            return self.error(format!("incomplete standby message from node {from}"));
        };
        if info == "me" && !self.other.known(from).offers(Position::of(message)) {
            return self.debug(format!(
                "[me] of {from} is older than its last one, or than this run of ours"
            ));
        }
        if let Err(refusal) = self.gate(Act::Converse, &Scope::default()) {
            return self.error(format!(
                "standby message [{info}] from {from} refused: {}",
                refusal.obstacle
            ));
        }
        let declined = match info {
            "me" => self.declines_offer(from, set, message),
            "other" => self.taker_is_inactive(from),
            "done" => self.keeps_done(from, message) || self.started_unreported(from, set, message),
            _ => false,
        };
        if !declined {
            self.standby_on(Input::Word(Word::new(from, info, set, message)));
        }
    }

    /// An offer of ours was sent.
    pub(in crate::resources) fn offered_by_us(&mut self, message: &Message) {
        if message.text(field::INFO) == Some("me") {
            self.standby.offer_sent(Position::of(message));
        }
    }

    /// Whether an offer is refused before the open standby, or its absence, decides.
    fn declines_offer(&mut self, from: &NodeName, set: HoldingSet, message: &Message) -> bool {
        let forced = hooks::is_forced(message);
        let offered = Scope::of(set.mirror()).with_node(from).forced(forced);
        let refusal = self.gate(Act::HearOffer, &offered).err();
        let possible = refusal.is_none_or(|refusal| refusal.obstacle == Obstacle::FilesDiffer);
        if self.offers_what_it_took(from, set, possible) {
            return true;
        }
        let refused = refusal.filter(|refusal| refusal.outcome == Outcome::Refuse);
        if let Some(refusal) = refused {
            self.refuse_offer(from, set, refusal.obstacle);
        }
        refused.is_some()
    }

    /// Whether a node that is ready to take what we offer is not active here.
    fn taker_is_inactive(&mut self, taker: &NodeName) -> bool {
        let refused = self.gate(Act::GiveUp, &Scope::node(taker)).is_err();
        if refused {
            let (info, node) = ("other".to_owned(), taker.to_string());
            self.notice(Notice::StandbyOtherFlux { info, node });
        }
        refused
    }

    /// A report may say that what we gave is not taken.
    pub(in crate::resources) fn not_taken(&mut self, from: &NodeName, report: &Message) {
        let offer = report.text(field::NOT_TAKEN).and_then(Position::from_text);
        if let Some(offer) = offer {
            self.standby_on(Input::NotTaken(from, offer));
        }
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
