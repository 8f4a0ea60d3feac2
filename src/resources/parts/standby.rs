//! Standby: one node gives a set of groups to the other. Spec: docs/protocol/resources.md, 7.
//!
//! `me` (giver) - `other` (taker: ready) - giver releases - `done` (giver) - taker acquires -
//! `done` (taker). The set is named from the view of the giver.
//!
//! | state | we | it ends with |
//! |---|---|---|
//! | Idle | - | `me`, which is answered; an offer of ours |
//! | Offered | have said `me` | `other`: released; its `me`, when ours gives way to it |
//! | Giving | stop our groups | the end of that: `done` |
//! | Given | have said `done` | its `done`; its report that it holds them |
//! | Accepted | have said `other` | its `done`: started; its `me`, when it starts over |
//! | Taking | start the groups | the end of that: `done`, and a report |
//!
//! Every state and everything that can happen in it: `standby/table.rs`.
//!
//! Of two requests that cross, legacy ignores both. So do we, but one that nobody asked for, because a
//! group does not start here, gives way: else two nodes with such a group each cross for ever.
//!
//! A legacy giver sends on what an operator asks while its first offer is open, and ignores it itself. A
//! second `other` would make it give up everything a second time, and its own second `done` would count
//! as the taker's: it would end holding `all` and running nothing. It has given its offer up when its
//! ten seconds are over, and only if it does not show that it gives.
//!
//! Which round a message belongs to: `facts/standby.rs`.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::resources::holding::HoldingSet;

pub(in crate::resources) mod table;

/// How long the taker's `done` may be later than the report that shows the same: a legacy node sends
/// the report first.
pub(in crate::resources) const DONE_FOLLOWS: Duration = Duration::from_secs(1);

/// Patience for the first answer.
pub(in crate::resources) const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// Patience for the completion.
pub(in crate::resources) const COMPLETION: Duration = Duration::from_secs(3600);

/// Patience of the taker until the giver shows that it really gives.
/// Spec: docs/protocol/resources.md, 7.4, [D] (b).
pub(in crate::resources) const GIVER_SHOWS: Duration = Duration::from_secs(60);

/// The same of a legacy giver: twice as long as it waits itself. It can hang in a standby of its own
/// for an hour, in which it sends what an operator asks and ignores every answer.
pub(in crate::resources) const LEGACY_GIVER_SHOWS: Duration = Duration::from_secs(20);

/// A request of the other node waits so long for our own scripts: then the other has given up.
pub(in crate::resources) const OFFER_WAITS: Duration = Duration::from_secs(9);

/// A request of our own waits so long for our own scripts.
pub(in crate::resources) const REQUEST_WAITS: Duration = Duration::from_secs(60);

/// Why a set is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Wish {
    /// Somebody wants it.
    Wanted,
    /// `auto_failback` wants it.
    GoesHome,
    /// The same, although haresources differ.
    Forced,
    /// A group of it does not start here.
    NotStarted,
}

/// An offer that we answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::resources) struct Answer {
    giver: NodeName,
    set: HoldingSet,
    offer: Position,
}

impl Answer {
    /// Of `set`, which `giver` offers there.
    pub(in crate::resources) const fn new(
        giver: NodeName,
        set: HoldingSet,
        offer: Position,
    ) -> Self {
        Self { giver, set, offer }
    }

    /// Whose offer it was.
    pub(in crate::resources) const fn giver(&self) -> &NodeName {
        &self.giver
    }

    /// Where the offer stands.
    pub(in crate::resources) const fn offer(&self) -> Position {
        self.offer
    }

    /// Whether a word of `from` for `set` was sent after that offer of its own.
    pub(in crate::resources) fn is_followed_by(
        &self,
        from: &NodeName,
        set: HoldingSet,
        word: Position,
    ) -> bool {
        self.giver == *from && self.set == set && self.offer < word
    }
}

/// Where a standby stands. Each state has what belongs to it. Sets are named from the view of the giver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::resources) enum Standby {
    /// None is open.
    Idle {
        /// The offer of the last one: a `done` of its giver that comes late is judged by it.
        answered: Option<Answer>,
    },
    /// We said `me`.
    Offered {
        set: HoldingSet,
        wish: Wish,
        /// Where that stands; `None`: it is on its way out.
        sent: Option<Position>,
    },
    /// The other is ready, our groups are being stopped.
    Giving {
        set: HoldingSet,
        sent: Option<Position>,
        /// Its newest report when that began; `None`: an earlier process began.
        since: Option<Position>,
    },
    /// We said `done`.
    Given {
        set: HoldingSet,
        sent: Option<Position>,
        /// Its newest report then.
        at: Option<Position>,
    },
    /// We said `other`.
    Accepted {
        /// To whom.
        giver: NodeName,
        set: HoldingSet,
        answered: Option<Answer>,
        /// Before that it has not given its offer up.
        open_until: Monotonic,
        /// It has shown that it gives.
        gives: bool,
    },
    /// The giver is done, its groups are being started.
    Taking {
        set: HoldingSet,
        answered: Option<Answer>,
    },
}

impl Standby {
    /// The number that logs carry: NOT, ME, OTHER, DONE.
    pub(in crate::resources) const fn number(&self) -> u8 {
        match self {
            Self::Idle { .. } => 0,
            Self::Offered { .. } | Self::Giving { .. } => 1,
            Self::Accepted { .. } => 2,
            Self::Given { .. } | Self::Taking { .. } => 3,
        }
    }

    /// What it is about; nothing when none is open.
    pub(in crate::resources) const fn set(&self) -> HoldingSet {
        match self {
            Self::Idle { .. } => HoldingSet::NONE,
            Self::Offered { set, .. }
            | Self::Giving { set, .. }
            | Self::Given { set, .. }
            | Self::Accepted { set, .. }
            | Self::Taking { set, .. } => *set,
        }
    }

    /// What is being started here, from our own view.
    pub(in crate::resources) const fn taken(&self) -> HoldingSet {
        match self {
            Self::Taking { set, .. } => set.mirror(),
            Self::Idle { .. }
            | Self::Offered { .. }
            | Self::Giving { .. }
            | Self::Given { .. }
            | Self::Accepted { .. } => HoldingSet::NONE,
        }
    }

    /// What the other node may be starting since we have said that it is released, from its view.
    pub(in crate::resources) const fn given(&self) -> HoldingSet {
        match self {
            Self::Given { set, .. } => set.mirror(),
            Self::Idle { .. }
            | Self::Offered { .. }
            | Self::Giving { .. }
            | Self::Accepted { .. }
            | Self::Taking { .. } => HoldingSet::NONE,
        }
    }

    /// The groups that another node may be stopping for us, or starting since we gave them up, from our own
    /// view.
    pub(in crate::resources) const fn in_other_hands(&self) -> HoldingSet {
        match self {
            Self::Giving { set, .. } | Self::Given { set, .. } => *set,
            Self::Accepted { set, .. } => set.mirror(),
            Self::Idle { .. } | Self::Offered { .. } | Self::Taking { .. } => HoldingSet::NONE,
        }
    }

    /// What a legacy node has in its hands when it ends here, from its view.
    pub(in crate::resources) const fn in_its_hands(&self) -> HoldingSet {
        match self {
            Self::Accepted { set, .. } => *set,
            Self::Idle { .. }
            | Self::Offered { .. }
            | Self::Giving { .. }
            | Self::Given { .. }
            | Self::Taking { .. } => self.given(),
        }
    }

    /// Whether it has come as far as moving groups.
    pub(in crate::resources) const fn moves(&self) -> bool {
        match self {
            Self::Idle { .. } | Self::Offered { .. } | Self::Accepted { .. } => false,
            Self::Giving { .. } | Self::Given { .. } | Self::Taking { .. } => true,
        }
    }

    /// Whether we have answered an offer of this node, and it has not said yet that it is done.
    pub(in crate::resources) fn waits_for_giver(&self, node: &NodeName) -> bool {
        matches!(self, Self::Accepted { giver, .. } if giver == node)
    }

    /// The offer that we answered last.
    pub(in crate::resources) const fn answered(&self) -> Option<&Answer> {
        match self {
            Self::Idle { answered }
            | Self::Accepted { answered, .. }
            | Self::Taking { answered, .. } => answered.as_ref(),
            Self::Offered { .. } | Self::Giving { .. } | Self::Given { .. } => None,
        }
    }

    /// Where our offer stands.
    pub(in crate::resources) const fn offer(&self) -> Option<Position> {
        match self {
            Self::Offered { sent, .. } | Self::Giving { sent, .. } | Self::Given { sent, .. } => {
                *sent
            }
            Self::Idle { .. } | Self::Accepted { .. } | Self::Taking { .. } => None,
        }
    }

    /// The report of the taker that came last before our `done`.
    pub(in crate::resources) const fn given_at(&self) -> Option<Position> {
        match self {
            Self::Given { at, .. } => *at,
            Self::Idle { .. }
            | Self::Offered { .. }
            | Self::Giving { .. }
            | Self::Accepted { .. }
            | Self::Taking { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
