//! What happens in a standby. The table (`parts/standby/table.rs`) decides what is done; it is done
//! here, in `give.rs` and in `take.rs`.

use crate::notice::Notice;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::resources::gate::Act;
use crate::resources::holding::HoldingSet;
use crate::resources::obstacles::Scope;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::standby::table::{Cell, Fact, Input, Word};
use crate::resources::parts::standby::{COMPLETION, Standby};
use crate::resources::parts::timers::Timer;
use crate::resources::parts::work::Purpose;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Applies one input to the state of the standby.
    pub(in crate::resources) fn standby_on(&mut self, input: Input<'_>) {
        let state = self.standby.state();
        match state.on(input, |fact| self.standby_fact(fact)) {
            Cell::Nothing => {}
            Cell::Unexpected(word) => self.is_unexpected(word),
            Cell::TakesNothing(word) => self.takes_nothing(word),
            Cell::Busy(word) => {
                let (info, node) = (word.info().to_owned(), word.from().to_string());
                let seconds = self.seconds_left().unwrap_or(0);
                self.notice(Notice::StandbyInProgress {
                    info,
                    node,
                    seconds,
                });
            }
            Cell::Earlier(word) => {
                let (info, from) = (word.info(), word.from());
                self.debug(format!("[{info}] of {from} is of an earlier standby"));
            }
            Cell::Known(word) => {
                let (info, from) = (word.info(), word.from());
                self.debug(format!("[{info}] of {from} is known"));
            }
            Cell::Consider(word) => self.consider(word),
            Cell::GiveWay(word) => self.give_way_to_offer(word.from(), word.set()),
            Cell::AnswerAgain(word) => self.answer_giver(word.from(), word.set()),
            Cell::GiveUp(word) => self.give_up(word.from()),
            Cell::Take(word) => self.take(word.from(), word.set(), word.message()),
            Cell::TakerIsDone(word) => {
                self.expects_its_report(word.from(), word.position());
                self.given_and_taken();
            }
            Cell::AskAfterDone(word) => {
                self.note_late_done(word.from(), word.set(), word.message())
            }
            Cell::NoteOlderStart(word) => self.note_older_start(word.from(), word.set()),
            Cell::GiverGives => self.giver_gives(),
            Cell::SayReleased => self.say_released(),
            Cell::RestIsStopped => self.rest_is_stopped(),
            Cell::SayTaken => self.say_taken(),
            Cell::ExpectDone => self.expect_done(),
            Cell::EndByReport => self.end_by_report(),
            Cell::WaitOn => self.timers.set(Timer::Standby, self.after(COMPLETION)),
            Cell::NoAnswer(wish) => self.keep_what_was_offered(wish),
            Cell::NoDone => self.nobody_is_done(),
            Cell::EndUngiven(giver) => self.nothing_was_given(giver),
            Cell::EndUntaken(taker) => self.nothing_was_taken(taker),
            Cell::SayReleasedAgain(taker) => self.say_released_again(taker),
            Cell::WaitShorter => self.giver_shows_again(),
            Cell::WaitForGiver => self.wait_for_giver(),
            Cell::End => self.end_before_its_time(),
            Cell::EndUnanswered(wish) => {
                self.failback_unanswered(wish);
                self.end_before_its_time();
            }
            Cell::EndInDoubt => {
                // The taker may have begun to start them.
                self.other.may_start(self.standby.state().given());
                self.end_before_its_time();
            }
            Cell::EndHolding => {
                // Also when we are to stop and take nothing more.
                self.duty.take(self.standby.state().taken());
                self.end_before_its_time();
            }
        }
    }

    fn standby_fact(&self, fact: Fact<'_>) -> bool {
        match fact {
            Fact::OursGivesWay(word) => self.gives_way_to(word.from()),
            Fact::StartsOver(word) => self.starts_over(word.from()),
            Fact::AnswersOurOffer(word) => self.answers_our_offer(word.from(), word.message()),
            Fact::FollowsItsOffer(word) => {
                self.follows_answered_offer(word.from(), word.set(), word.message())
            }
            Fact::IsKnown(word) => self.knows_that_it_is_done(word.from(), word.set()),
            Fact::MayBeLate(word) => self.is_late_done(word.from(), word.set()),
            Fact::EndsAnOlderStart(word) => self.ends_an_older_start(word.from(), word.set()),
            Fact::IsOfTheGiver(word) => self.standby.state().waits_for_giver(word.from()),
            Fact::IsContinued => self.standby.is_continued(),
            Fact::IsHeard => !self.not_heard_yet(),
            Fact::AllStopped => !self.groups.has_job(|purpose| *purpose == Purpose::Give),
            Fact::AllStarted => !self.groups.has_job(|purpose| *purpose == Purpose::Take),
            Fact::HoldsWhatWeGave(node, report) => self.holds_what_we_gave(node, report),
            Fact::TakesStill => self.is_taking_still(),
            Fact::IsOurOffer(offer) => self.standby.state().offer() == Some(offer),
            Fact::TellsApart(node) => self.other.echoes(node),
            Fact::GivesNoMore(node) => {
                let shown = self.standby.state().has_shown(node);
                shown && self.other.is_systole(node) && self.other.is_settled()
            }
        }
    }

    /// Whether a `done` comes from the giver whose offer we answered last: it was sent after the
    /// offer, for the same set. A late one is of use only while no node runs the set.
    pub(in crate::resources) fn follows_answered_offer(
        &self,
        from: &NodeName,
        set: HoldingSet,
        message: &Message,
    ) -> bool {
        let answered = self.standby.state().answered();
        let follows =
            answered.is_some_and(|answer| answer.is_followed_by(from, set, Position::of(message)));
        let reported = self.other.peer(from).map(Peer::newest_report);
        // The giver has been received since to run them.
        let taken_back = reported > Some(Position::of(message)) && self.other.may_hold().has(set);
        let late = Scope::of(set.mirror());
        let wanted = !self.standby.is_idle() || self.gate(Act::TakeAfterEnd, &late).is_ok();
        follows && !taken_back && wanted
    }

    /// Whether a `done` that belongs to no standby of ours may come from a giver.
    fn is_late_done(&self, from: &NodeName, set: HoldingSet) -> bool {
        let given = Scope::of(set.mirror());
        let may_give = self.gate(Act::TakeLateDone, &given).is_ok();
        let may_have_taken = !self.duty.held().common(set).is_none();
        self.other.is_legacy(from) && (may_give || may_have_taken)
    }

    /// Whether a `done` does not come from a giver, because we hold what it would give. Each script
    /// of a legacy node sends one: here a script has ended that a death has cut off from its
    /// standby. It has started what it was told to start, whatever was handed over meanwhile.
    fn ends_an_older_start(&self, from: &NodeName, set: HoldingSet) -> bool {
        let given = Scope::of(set.mirror());
        let holds = self.gate(Act::NoteOlderStart, &given).is_ok();
        let takes = matches!(self.standby.state(), Standby::Taking { set: it, .. } if it.has(set));
        self.other.is_legacy(from) && (holds || takes)
    }

    fn end_before_its_time(&mut self) {
        self.info("Cancelling pending standby operation");
        self.enter(Standby::Idle { answered: None }, None);
    }

    /// The giver ended the standby by itself, because it had declared us dead: its `done` will not
    /// come. One that is still under way counts as long as no node runs the set.
    fn nothing_was_given(&mut self, giver: &NodeName) {
        let answered = self.standby.state().answered().cloned();
        self.decide(
            "no longer waits to be given anything",
            format!("{giver} is settled, and gives nothing"),
        );
        self.info("Cancelling pending standby operation");
        self.enter(Standby::Idle { answered }, None);
        self.answer();
    }

    fn is_unexpected(&mut self, word: Word<'_>) {
        let (info, node) = (word.info().to_owned(), word.from().to_string());
        let state = self.standby.state().number().to_string();
        self.notice(Notice::StandbyUnexpected { info, node, state });
    }

    /// The giver is done, and we have ended the standby before: we had declared it dead. It would
    /// wait for us.
    fn takes_nothing(&mut self, word: Word<'_>) {
        self.is_unexpected(word);
        let offer = self.other.peer(word.from()).and_then(Peer::offer);
        if let Some(offer) = offer.filter(|offer| *offer < word.position()) {
            self.say_not_taken(offer);
        }
    }

    /// The taker has ended the standby before we were done: nobody runs what was given.
    fn nothing_was_taken(&mut self, taker: &NodeName) {
        self.decide(
            format!("ends the standby of {}", self.standby.state().set()),
            format!("{taker} has not taken it"),
        );
        self.info("Cancelling pending standby operation");
        // Its report, which says that, has said too what it holds and whether it is settled.
        self.enter(Standby::Idle { answered: None }, None);
        self.answer();
    }

    /// The node that has to send `done` does not.
    fn nobody_is_done(&mut self) {
        let given = matches!(self.standby.state(), Standby::Given { .. });
        let answered = self.standby.state().answered().cloned();
        self.notice(Notice::NoStandbyReply {});
        self.say_who_hangs();
        self.other.is_believed();
        self.other.settles();
        self.enter(Standby::Idle { answered }, None);
        // Our last report said that we were giving: without another, the taker would wait for ever.
        if given {
            self.answer();
        }
    }

    /// The other node died: the standby is over. Returns what was being stopped for it, if
    /// stops were withdrawn.
    pub(in crate::resources) fn cancel_standby(&mut self) -> Option<HoldingSet> {
        self.standby.forget_offered();
        self.standby.forget_answer();
        self.loose.forget_early_done();
        let withdrawn = self.withdraw_stops();
        let open = !self.standby.is_idle();
        self.standby_on(Input::Died);
        if open && self.duty.held() == HoldingSet::ALL {
            self.other.settles();
        }
        withdrawn
    }

    /// The other node began a new run: it knows nothing of the standby.
    pub(in crate::resources) fn interrupt_standby(&mut self) {
        self.standby.forget_offered();
        self.standby.forget_answer();
        self.loose.forget_early_done();
        self.standby_on(Input::BeganAnew);
    }
}
