//! Every state of a standby, and everything that can happen in it: what is done then. Decides, and does nothing.
//!
//! What only the core knows it is asked as a [`Fact`], and only when the answer counts. Our own offer is not
//! here: it is made when none is open, see `rules/requests.rs`. A release of everything is not here either: it
//! ends every standby, in silence.

use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::resources::holding::HoldingSet;

use super::{Standby, Wish};

/// What a word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// `me`: it offers.
    Offer,
    /// `other`: it can take what we offered.
    Ready,
    /// `done`: it has released or started everything.
    Done,
    /// Nothing that belongs to a standby.
    Other,
}

/// A word of another node in a standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) struct Word<'a> {
    from: &'a NodeName,
    info: &'a str,
    set: HoldingSet,
    message: &'a Message,
}

impl<'a> Word<'a> {
    /// `info` is what it says: `me`, `other`, `done`, or anything. `set` is from the view of the giver.
    pub(in crate::resources) const fn new(
        from: &'a NodeName,
        info: &'a str,
        set: HoldingSet,
        message: &'a Message,
    ) -> Self {
        Self {
            from,
            info,
            set,
            message,
        }
    }

    /// Who says it.
    pub(in crate::resources) const fn from(&self) -> &'a NodeName {
        self.from
    }

    /// As it is said.
    pub(in crate::resources) const fn info(&self) -> &'a str {
        self.info
    }

    /// What it is about, from the view of the giver.
    pub(in crate::resources) const fn set(&self) -> HoldingSet {
        self.set
    }

    /// All of it.
    pub(in crate::resources) const fn message(&self) -> &'a Message {
        self.message
    }

    /// Where it stands among all words of its sender.
    pub(in crate::resources) fn position(&self) -> Position {
        Position::of(self.message)
    }

    fn says(&self) -> Says {
        match self.info {
            "me" => Says::Offer,
            "other" => Says::Ready,
            "done" => Says::Done,
            _ => Says::Other,
        }
    }
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Input<'a> {
    /// The other node says something.
    Word(Word<'a>),
    /// A report of the giver says that it gives.
    Gives,
    /// Our groups are stopped.
    Stopped,
    /// Its groups are started here.
    Started,
    /// It has reported in full: it hears this process.
    Heard,
    /// The same, and where that report stands.
    Reports(&'a NodeName, Position),
    /// It has reported a second ago that it holds what it was given.
    TakenDue,
    /// We have waited long enough.
    Due,
    /// It asks what we hold.
    Asks(&'a NodeName),
    /// Words of it are lost for good.
    WordsLost,
    /// It is dead, has left, or we are cut off from it.
    Died,
    /// It begins a new run.
    BeganAnew,
    /// Communication of this process is up.
    CommUp,
}

/// What the core is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Fact<'a> {
    /// Our offer ends for one that crosses it.
    OursGivesWay(Word<'a>),
    /// The giver that we have answered has given that offer up.
    StartsOver(Word<'a>),
    /// A word of the taker is for our newest offer.
    AnswersOurOffer(Word<'a>),
    /// A `done` is that of the giver that we answered last.
    FollowsItsOffer(Word<'a>),
    /// One of our nodes has said it before.
    IsKnown(Word<'a>),
    /// It may be that of a legacy giver that is not waited for.
    MayBeLate(Word<'a>),
    /// A script of an earlier standby has ended there.
    EndsAnOlderStart(Word<'a>),
    /// It comes from the giver that we have answered.
    IsOfTheGiver(Word<'a>),
    /// An earlier process began this standby, and nothing has come of it since.
    IsContinued,
    /// Our own words in it are heard: it is of this process, or somebody has reported to it.
    IsHeard,
    /// No job stops what we give.
    AllStopped,
    /// No job starts what we were given.
    AllStarted,
    /// A report shows that what we gave is held there.
    HoldsWhatWeGave(&'a NodeName, Position),
    /// The taker is at it, and says when that ends.
    TakesStill,
    /// It can tell a second `done` from the first.
    TellsApart(&'a NodeName),
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Cell<'a> {
    /// Nothing.
    Nothing,
    /// Nobody waits for it: logged.
    Unexpected(Word<'a>),
    /// Another standby is open: logged.
    Busy(Word<'a>),
    /// Of an earlier standby.
    Earlier(Word<'a>),
    /// Heard before.
    Known(Word<'a>),
    /// The offer is answered if nothing is in the way, or waits.
    Consider(Word<'a>),
    /// Our offer is withdrawn for this one.
    GiveWay(Word<'a>),
    /// The offer is answered once more.
    AnswerAgain(Word<'a>),
    /// Our groups are stopped.
    GiveUp(Word<'a>),
    /// Its groups are started.
    Take(Word<'a>),
    /// The taker has them: it is over.
    TakerIsDone(Word<'a>),
    /// It is asked what it holds.
    AskAfterDone(Word<'a>),
    /// What it may have started beside us is offered to it, when we are at rest.
    NoteOlderStart(Word<'a>),
    /// The giver has an hour for it.
    GiverGives,
    /// `done`: the taker may start them.
    SayReleased,
    /// The rest of an earlier release is stopped.
    RestIsStopped,
    /// `done`, and a report: they are ours.
    SayTaken,
    /// Its `done` has a second to come.
    ExpectDone,
    /// It is over without the word of the taker.
    EndByReport,
    /// We wait an hour more.
    WaitOn,
    /// Nobody answers our offer: it is withdrawn.
    NoAnswer(Wish),
    /// Nobody says `done`: it is over.
    NoDone,
    /// `done` once more.
    SayReleasedAgain(&'a NodeName),
    /// The giver has twenty seconds to show that it gives.
    WaitShorter,
    /// It has as long as if it were answered now.
    WaitForGiver,
    /// It is over.
    End,
    /// It is over, and what we offered is offered again.
    EndUnanswered(Wish),
    /// It is over; what was given may run there.
    EndInDoubt,
    /// It is over; what is being started is ours.
    EndHolding,
}

impl Standby {
    /// What is done when `input` comes in this state.
    pub(in crate::resources) fn on<'a>(
        &self,
        input: Input<'a>,
        mut is: impl FnMut(Fact<'a>) -> bool,
    ) -> Cell<'a> {
        use Standby::{Accepted, Given, Giving, Offered, Taking};
        match (self, input) {
            (_, Input::Word(word)) => self.hears(word, is),

            (Accepted { .. }, Input::Gives) => Cell::GiverGives,
            (Accepted { .. }, Input::WordsLost) if is(Fact::IsContinued) => Cell::WaitShorter,

            (Giving { .. }, Input::Stopped) if is(Fact::IsHeard) => Cell::SayReleased,
            (Giving { .. }, Input::Stopped) => Cell::Nothing,
            // The taker went away meanwhile, or an earlier process began to release it.
            (_, Input::Stopped) => Cell::RestIsStopped,
            (Taking { .. }, Input::Started) if is(Fact::IsHeard) => Cell::SayTaken,
            (Giving { .. }, Input::Heard)
                if is(Fact::IsContinued) && is(Fact::AllStopped) && is(Fact::IsHeard) =>
            {
                Cell::SayReleased
            }
            (Taking { .. }, Input::Heard)
                if is(Fact::IsContinued) && is(Fact::AllStarted) && is(Fact::IsHeard) =>
            {
                Cell::SayTaken
            }

            (Given { .. }, Input::Reports(from, at)) if is(Fact::HoldsWhatWeGave(from, at)) => {
                Cell::ExpectDone
            }
            (Given { .. }, Input::TakenDue) => Cell::EndByReport,
            (Given { .. }, Input::Asks(from)) if is(Fact::TellsApart(from)) => {
                Cell::SayReleasedAgain(from)
            }

            // Our own scripts take their time; the other waits or dies.
            (Giving { .. } | Taking { .. }, Input::Due) => Cell::WaitOn,
            (Given { .. }, Input::Due) if is(Fact::TakesStill) => Cell::WaitOn,
            (Given { .. } | Accepted { .. }, Input::Due) => Cell::NoDone,
            (Offered { wish, .. }, Input::Due) => Cell::NoAnswer(*wish),

            (Given { .. }, Input::Died) => Cell::EndInDoubt,
            // It has released them. When it begins anew, nobody else runs them.
            (Taking { .. }, Input::Died | Input::BeganAnew) => Cell::EndHolding,
            (Offered { wish, .. }, Input::BeganAnew) => Cell::EndUnanswered(*wish),
            (Offered { .. } | Giving { .. } | Accepted { .. }, Input::Died) => Cell::End,
            // The stops go on; the newcomer sees in our reports what is not released yet.
            (Giving { .. } | Given { .. } | Accepted { .. }, Input::BeganAnew) => Cell::End,

            (Accepted { .. }, Input::CommUp) if is(Fact::IsContinued) => Cell::WaitForGiver,
            (Giving { .. } | Given { .. } | Taking { .. }, Input::CommUp)
                if is(Fact::IsContinued) =>
            {
                Cell::WaitOn
            }
            (
                _,
                Input::Gives
                | Input::WordsLost
                | Input::Started
                | Input::Heard
                | Input::Reports(..)
                | Input::TakenDue
                | Input::Asks(_)
                | Input::Due
                | Input::Died
                | Input::BeganAnew
                | Input::CommUp,
            ) => Cell::Nothing,
        }
    }

    fn hears<'a>(&self, word: Word<'a>, mut is: impl FnMut(Fact<'a>) -> bool) -> Cell<'a> {
        use Standby::{Accepted, Given, Idle, Offered, Taking};
        match (self, word.says()) {
            (Idle { .. }, Says::Offer) => Cell::Consider(word),
            (Offered { wish, .. }, Says::Offer)
                if *wish == Wish::NotStarted && is(Fact::OursGivesWay(word)) =>
            {
                Cell::GiveWay(word)
            }
            // Spec: docs/protocol/resources.md, 7.4, [D] (c).
            (Accepted { .. }, Says::Offer) if is(Fact::StartsOver(word)) => Cell::AnswerAgain(word),
            (_, Says::Offer) => Cell::Busy(word),

            (Offered { .. }, Says::Ready) if is(Fact::AnswersOurOffer(word)) => Cell::GiveUp(word),
            (Offered { .. }, Says::Ready) => Cell::Earlier(word),

            (Given { .. }, Says::Done) if is(Fact::AnswersOurOffer(word)) => {
                Cell::TakerIsDone(word)
            }
            (Given { .. }, Says::Done) => Cell::Earlier(word),
            // Idle: it took longer than we waited for it, and waits for us now.
            (Accepted { .. } | Idle { .. }, Says::Done) if is(Fact::FollowsItsOffer(word)) => {
                Cell::Take(word)
            }
            // It says so again because we asked for something else.
            (Taking { .. } | Idle { .. }, Says::Done) if is(Fact::IsKnown(word)) => {
                Cell::Known(word)
            }
            (Idle { .. }, Says::Done) if is(Fact::MayBeLate(word)) => Cell::AskAfterDone(word),
            (Taking { .. } | Idle { .. }, Says::Done) if is(Fact::EndsAnOlderStart(word)) => {
                Cell::NoteOlderStart(word)
            }
            (Accepted { .. }, Says::Done) if is(Fact::IsOfTheGiver(word)) => Cell::Earlier(word),

            (_, Says::Ready | Says::Done | Says::Other) => Cell::Unexpected(word),
        }
    }
}

#[cfg(test)]
mod tests;
