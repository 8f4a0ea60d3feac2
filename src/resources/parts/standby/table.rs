//! The table of every state of a standby and every input: it says what is done then. It decides,
//! and changes nothing.
//!
//! Conditions that only the core can check are asked for as a [`Fact`], and only when the answer
//! counts. Our own offer is not in the table: it is made when no standby is open, see
//! `rules/requests.rs`. A release of everything is not in it either: it ends every standby without
//! a message.

use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::resources::holding::HoldingSet;

use super::{Standby, Wish};

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// `me`: the sender offers the set.
    Offer,
    /// `other`: the sender can take what we offered.
    Ready,
    /// `done`: the sender has released or started everything.
    Done,
    /// Nothing that belongs to a standby.
    Other,
}

/// A message of another node in a standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) struct Word<'a> {
    from: &'a NodeName,
    info: &'a str,
    set: HoldingSet,
    message: &'a Message,
}

impl<'a> Word<'a> {
    /// `info` is its content: `me`, `other`, `done`, or anything. `set` is from the view of the
    /// giver.
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

    /// The sender.
    pub(in crate::resources) const fn from(&self) -> &'a NodeName {
        self.from
    }

    /// The content as it was received.
    pub(in crate::resources) const fn info(&self) -> &'a str {
        self.info
    }

    /// The set, from the view of the giver.
    pub(in crate::resources) const fn set(&self) -> HoldingSet {
        self.set
    }

    /// The whole message.
    pub(in crate::resources) const fn message(&self) -> &'a Message {
        self.message
    }

    /// The position of the message among all messages of its sender.
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

/// An input of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Input<'a> {
    /// A message of the other node.
    Word(Word<'a>),
    /// A report of the giver says that it gives.
    Gives,
    /// Our groups are stopped.
    Stopped,
    /// The groups that we take are started.
    Started,
    /// The other node has reported in full: it receives this process.
    Heard,
    /// The same, and the position of that report.
    Reports(&'a NodeName, Position),
    /// A report says that the `done` which followed this offer of ours was not waited for.
    NotTaken(&'a NodeName, Position),
    /// The other node reported a second ago that it holds what it was given.
    TakenDue,
    /// The wait is over.
    Due,
    /// The other node asks what we hold.
    Asks(&'a NodeName),
    /// Messages of the other node are lost for good.
    WordsLost,
    /// The other node is dead, has left, or we are isolated from it.
    Died,
    /// The other node begins a new run.
    BeganAnew,
    /// Communication of this process is up.
    CommUp,
}

/// A condition that the core is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Fact<'a> {
    /// Our offer is withdrawn for an offer that crosses it.
    OursGivesWay(Word<'a>),
    /// The giver that we have answered has given that offer up.
    StartsOver(Word<'a>),
    /// The message of the taker answers our newest offer.
    AnswersOurOffer(Word<'a>),
    /// The `done` comes from the giver that we answered last.
    FollowsItsOffer(Word<'a>),
    /// A Systole node has sent it before.
    IsKnown(Word<'a>),
    /// It may come from a legacy giver for which no standby waits.
    MayBeLate(Word<'a>),
    /// A script of an earlier standby has ended on that node.
    EndsAnOlderStart(Word<'a>),
    /// It comes from the giver that we have answered.
    IsOfTheGiver(Word<'a>),
    /// An earlier process began this standby, and its state has not changed since.
    IsContinued,
    /// Our own messages in it are received: this process began it, or a node has reported to this
    /// process.
    IsHeard,
    /// No job stops what we give.
    AllStopped,
    /// No job starts what we were given.
    AllStarted,
    /// The report shows that the node holds what we gave.
    HoldsWhatWeGave(&'a NodeName, Position),
    /// The taker is still starting the groups, and reports when that ends.
    TakesStill,
    /// The offer is the one that we gave by.
    IsOurOffer(Position),
    /// The node can tell a second `done` from the first, and knows by which offer it was given.
    TellsApart(&'a NodeName),
    /// The giver has shown that it gives, and reports since that it is settled. A legacy giver
    /// reports that while it gives too.
    GivesNoMore(&'a NodeName),
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Cell<'a> {
    /// Nothing.
    Nothing,
    /// Logs that no standby waits for the message.
    Unexpected(Word<'a>),
    /// The same; the giver is told, because it would wait for us.
    TakesNothing(Word<'a>),
    /// Logs that another standby is open.
    Busy(Word<'a>),
    /// Ignores a message of an earlier standby.
    Earlier(Word<'a>),
    /// Ignores a message that was received before.
    Known(Word<'a>),
    /// Answers the offer if nothing is in the way, or keeps it.
    Consider(Word<'a>),
    /// Withdraws our offer for this one.
    GiveWay(Word<'a>),
    /// Answers the offer once more.
    AnswerAgain(Word<'a>),
    /// Stops our groups.
    GiveUp(Word<'a>),
    /// Starts the groups that we take.
    Take(Word<'a>),
    /// The taker has the groups: the standby is over.
    TakerIsDone(Word<'a>),
    /// Asks the node what it holds.
    AskAfterDone(Word<'a>),
    /// Offers the node what it may have started beside us, when we are at rest.
    NoteOlderStart(Word<'a>),
    /// Waits an hour for the giver.
    GiverGives,
    /// Sends `done`: the taker may start the groups.
    SayReleased,
    /// The rest of an earlier release is stopped.
    RestIsStopped,
    /// Sends `done` and a report: we hold the groups.
    SayTaken,
    /// Waits a second for the taker's `done`.
    ExpectDone,
    /// Ends the standby without the `done` of the taker.
    EndByReport,
    /// Waits an hour more.
    WaitOn,
    /// Our offer is not answered: withdraws it.
    NoAnswer(Wish),
    /// The other node does not send `done`: ends the standby.
    NoDone,
    /// The giver has ended the standby without us: ends it.
    EndUngiven(&'a NodeName),
    /// The other node has not taken what we gave, and will not: ends the standby.
    EndUntaken(&'a NodeName),
    /// Sends `done` once more.
    SayReleasedAgain(&'a NodeName),
    /// Waits twenty seconds for the giver to show that it gives.
    WaitShorter,
    /// Gives the giver as long as if it were answered now.
    WaitForGiver,
    /// Ends the standby.
    End,
    /// Ends the standby; what we offered is offered again.
    EndUnanswered(Wish),
    /// Ends the standby; what was given may run on the other node.
    EndInDoubt,
    /// Ends the standby; we hold what is being started.
    EndHolding,
}

impl Standby {
    /// What is done for `input` in this state.
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
            // The taker has gone meanwhile, or an earlier process began to release it.
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
            (Given { .. }, Input::NotTaken(from, offer)) if is(Fact::IsOurOffer(offer)) => {
                Cell::EndUntaken(from)
            }
            (Accepted { .. }, Input::Reports(from, _)) if is(Fact::GivesNoMore(from)) => {
                Cell::EndUngiven(from)
            }
            (Given { .. }, Input::TakenDue) => Cell::EndByReport,
            (Given { .. }, Input::Asks(from)) if is(Fact::TellsApart(from)) => {
                Cell::SayReleasedAgain(from)
            }

            // Our own scripts may take as long as they need; the other node waits or dies.
            (Giving { .. } | Taking { .. }, Input::Due) => Cell::WaitOn,
            (Given { .. }, Input::Due) if is(Fact::TakesStill) => Cell::WaitOn,
            (Given { .. } | Accepted { .. }, Input::Due) => Cell::NoDone,
            (Offered { wish, .. }, Input::Due) => Cell::NoAnswer(*wish),

            (Given { .. }, Input::Died) => Cell::EndInDoubt,
            // The giver has released them. When it begins anew, no other node runs them.
            (Taking { .. }, Input::Died | Input::BeganAnew) => Cell::EndHolding,
            (Offered { wish, .. }, Input::BeganAnew) => Cell::EndUnanswered(*wish),
            (Offered { .. } | Giving { .. } | Accepted { .. }, Input::Died) => Cell::End,
            // The stops go on; our reports tell the new run what is not released yet.
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
                | Input::NotTaken(..)
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
            // Idle: the giver took longer than we waited for it, and waits for us now.
            (Accepted { .. } | Idle { .. }, Says::Done) if is(Fact::FollowsItsOffer(word)) => {
                Cell::Take(word)
            }
            // The node repeats it because we asked for something else.
            (Taking { .. } | Idle { .. }, Says::Done) if is(Fact::IsKnown(word)) => {
                Cell::Known(word)
            }
            (Idle { .. }, Says::Done) if is(Fact::MayBeLate(word)) => Cell::AskAfterDone(word),
            (Taking { .. } | Idle { .. }, Says::Done) if is(Fact::EndsAnOlderStart(word)) => {
                Cell::NoteOlderStart(word)
            }
            (Accepted { .. }, Says::Done) if is(Fact::IsOfTheGiver(word)) => Cell::Earlier(word),
            // A verdict on the giver has ended the standby here, and not there.
            (Idle { .. } | Offered { .. }, Says::Done) if is(Fact::TellsApart(word.from())) => {
                Cell::TakesNothing(word)
            }

            (_, Says::Ready | Says::Done | Says::Other) => Cell::Unexpected(word),
        }
    }
}

#[cfg(test)]
mod tests;
