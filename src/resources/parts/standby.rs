//! Standby: one node gives a set of groups to the other. Spec: docs/protocol/resources.md, 7.
//!
//! `me` (giver) - `other` (taker: ready) - giver releases - `done` (giver) - taker acquires -
//! `done` (taker). The set is named from the view of the giver.
//!
//! | state | we | it ends with |
//! |---|---|---|
//! | Idle | - | `me`, which is answered; an offer of ours |
//! | Offered | have sent `me` | `other`: released; its `me`, when ours is withdrawn for it |
//! | Giving | stop our groups | the end of that: `done` |
//! | Given | have sent `done` | its `done`; its report that it holds them |
//! | Accepted | have sent `other` | its `done`: started; its `me`, when it starts over; its report that it is settled and gives no more |
//! | Taking | start the groups | the end of that: `done`, and a report |
//!
//! Every state and everything that can happen in it: `standby/table.rs`.
//!
//! Of two requests that cross, legacy ignores both. So do we, with one exception: an offer that no
//! person asked for, because a group fails here, is withdrawn. Otherwise the offers
//! of two nodes with such a group each would cross for ever.
//!
//! A legacy giver sends on what an operator asks while its first offer is open, and ignores it
//! itself. A second `other` would make it give up everything a second time, and its own second
//! `done` would count as the taker's: it would end holding `all` and running nothing. It has given
//! its offer up when its ten seconds are over, and only if it does not show that it gives.
//!
//! `facts/standby.rs` decides to which round a message belongs.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::resources::holding::HoldingSet;

pub(in crate::resources) mod table;

/// How much later than the report that shows the same the taker's `done` may come: a legacy node
/// sends the report first.
pub(in crate::resources) const DONE_FOLLOWS: Duration = Duration::from_secs(1);

/// How long the giver waits for the first answer.
pub(in crate::resources) const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// How long this node waits for the completion.
pub(in crate::resources) const COMPLETION: Duration = Duration::from_secs(3600);

/// How long the taker waits until the giver shows that it gives.
/// Spec: docs/protocol/resources.md, 7.4, [D] (b).
pub(in crate::resources) const GIVER_SHOWS: Duration = Duration::from_secs(60);

/// The same for a legacy giver: twice as long as it waits itself. It can hang in a standby of its
/// own for an hour, in which it sends what an operator asks and ignores every answer.
pub(in crate::resources) const LEGACY_GIVER_SHOWS: Duration = Duration::from_secs(20);

/// How long a request of the other node waits for our own scripts: after that the other node has
/// given up.
pub(in crate::resources) const OFFER_WAITS: Duration = Duration::from_secs(9);

/// How long a request of our own waits for our own scripts.
pub(in crate::resources) const REQUEST_WAITS: Duration = Duration::from_secs(60);

/// Why a set is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Wish {
    /// A person or a client wants it.
    Wanted,
    /// `auto_failback` wants it.
    GoesHome,
    /// The same, although haresources differ.
    Forced,
    /// The start of a group of the set failed here, or nobody reaches its addresses here.
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
    /// The answer to an offer of `set` by `giver`.
    pub(in crate::resources) const fn new(
        giver: NodeName,
        set: HoldingSet,
        offer: Position,
    ) -> Self {
        Self { giver, set, offer }
    }

    /// The node that made the offer.
    pub(in crate::resources) const fn giver(&self) -> &NodeName {
        &self.giver
    }

    /// The position of the offer.
    pub(in crate::resources) const fn offer(&self) -> Position {
        self.offer
    }

    /// Whether a message of `from` for `set` was sent after that offer of its own.
    pub(in crate::resources) fn is_followed_by(
        &self,
        from: &NodeName,
        set: HoldingSet,
        word: Position,
    ) -> bool {
        self.giver == *from && self.set == set && self.offer < word
    }
}

/// The state of a standby. Each state has the data that belongs to it. Sets are named from the view
/// of the giver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::resources) enum Standby {
    /// None is open.
    Idle {
        /// The offer of the last standby. It decides whether a late `done` of its giver counts.
        answered: Option<Answer>,
    },
    /// We sent `me`.
    Offered {
        set: HoldingSet,
        wish: Wish,
        /// The position of our offer; `None`: it is being sent.
        sent: Option<Position>,
    },
    /// The other node is ready, our groups are being stopped.
    Giving {
        set: HoldingSet,
        sent: Option<Position>,
        /// Its newest report when that began; `None`: an earlier process began it.
        since: Option<Position>,
    },
    /// We sent `done`.
    Given {
        set: HoldingSet,
        sent: Option<Position>,
        /// Its newest report at that time.
        at: Option<Position>,
    },
    /// We sent `other`.
    Accepted {
        /// The receiver of that.
        giver: NodeName,
        set: HoldingSet,
        answered: Option<Answer>,
        /// Until then the giver keeps its offer open.
        open_until: Monotonic,
        /// The giver has shown that it gives.
        gives: bool,
    },
    /// The giver is done, its groups are being started.
    Taking {
        set: HoldingSet,
        answered: Option<Answer>,
    },
}

impl Standby {
    /// The number of the state in logs: NOT, ME, OTHER, DONE.
    pub(in crate::resources) const fn number(&self) -> u8 {
        match self {
            Self::Idle { .. } => 0,
            Self::Offered { .. } | Self::Giving { .. } => 1,
            Self::Accepted { .. } => 2,
            Self::Given { .. } | Self::Taking { .. } => 3,
        }
    }

    /// The set of the standby; none if no standby is open.
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

    /// What the other node may be starting since we have sent that it is released, from its view.
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

    /// The groups that another node may be stopping for us, or starting since we gave them up, from
    /// our own view.
    pub(in crate::resources) const fn in_other_hands(&self) -> HoldingSet {
        match self {
            Self::Giving { set, .. } | Self::Given { set, .. } => *set,
            Self::Accepted { set, .. } => set.mirror(),
            Self::Idle { .. } | Self::Offered { .. } | Self::Taking { .. } => HoldingSet::NONE,
        }
    }

    /// What a legacy node may start, stop or run when the standby ends here, from its view.
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

    /// Whether the standby is moving groups.
    pub(in crate::resources) const fn moves(&self) -> bool {
        match self {
            Self::Idle { .. } | Self::Offered { .. } | Self::Accepted { .. } => false,
            Self::Giving { .. } | Self::Given { .. } | Self::Taking { .. } => true,
        }
    }

    /// Whether we have answered an offer of this node, and it has not sent `done` yet.
    pub(in crate::resources) fn waits_for_giver(&self, node: &NodeName) -> bool {
        matches!(self, Self::Accepted { giver, .. } if giver == node)
    }

    /// Whether we have answered an offer of this node, and it has shown that it gives.
    pub(in crate::resources) fn has_shown(&self, node: &NodeName) -> bool {
        matches!(self, Self::Accepted { giver, gives: true, .. } if giver == node)
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

    /// The position of our offer.
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
