//! Standby: one node gives a set of groups to the other. Spec: docs/protocol/resources.md, 7.
//!
//! `me` (giver) - `other` (taker: ready) - giver releases - `done` (giver) - taker acquires -
//! `done` (taker). The set is named from the view of the giver.
//!
//! | state | from the other side | own work ends |
//! |---|---|---|
//! | Not | `me`: answer, to Answered | - |
//! | Asked | `other`: release, to Giving; `me`, when ours gives way: answer, to Answered | - |
//! | Giving | - | send `done`, to Given |
//! | Given | `done`: report, to Not | - |
//! | Answered | `done`: acquire, to Taking; `me` of the giver that has given its first up: answer again | - |
//! | Taking | - | send `done`, report, to Not |
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

/// How long the taker's `done` may be later than the report that shows the same: a legacy node sends
/// the report first.
pub(in crate::resources) const DONE_FOLLOWS: Duration = Duration::from_secs(1);

/// The last offer that we answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::resources) struct Answer {
    pub(in crate::resources) giver: NodeName,
    pub(in crate::resources) set: HoldingSet,
    /// Its `me`.
    pub(in crate::resources) offer: Position,
}

impl Answer {
    /// The offer that was answered.
    pub(in crate::resources) const fn offer(&self) -> Position {
        self.offer
    }
}

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

/// Where the standby protocol stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::resources) enum Standby {
    /// Nothing asked.
    Not,
    /// We said `me`.
    Asked(Wish),
    /// The other is ready, our groups are being stopped.
    Giving,
    /// We said `done`.
    Given,
    /// We said `other`.
    Answered {
        /// To whom.
        giver: NodeName,
        /// Before that it has not given its offer up.
        open_until: Monotonic,
        /// It has shown that it gives.
        gives: bool,
    },
    /// The giver is done, its groups are being started.
    Taking,
}

impl Standby {
    /// The number that logs carry: NOT, ME, OTHER, DONE.
    pub(in crate::resources) const fn number(&self) -> u8 {
        match self {
            Self::Not => 0,
            Self::Asked(_) | Self::Giving => 1,
            Self::Answered { .. } => 2,
            Self::Given | Self::Taking => 3,
        }
    }
}

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

/// A request that waits for our own scripts.
#[derive(Debug, Clone, Copy)]
pub(in crate::resources) struct Request {
    pub(in crate::resources) set: HoldingSet,
    pub(in crate::resources) until: Monotonic,
    pub(in crate::resources) forced: bool,
}
