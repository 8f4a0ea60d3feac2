//! What may begin when. One table: for each act the obstacles that hold it back, in the order in
//! which they are asked. The first that stands is what people are told, in the log and by
//! `systole why`. The table in docs/reference/gate.md is printed from this one by a test.
//!
//! What is wanted is not in the table, only whether it may begin: a failback that is not armed, or
//! an address that nobody has removed, is asked about nowhere.
//!
//! A new obstacle is a line of [`obstacle`] with its text, a line of `obstacles.rs` that tells
//! when it stands, and one word in the row of each act that it holds back. The place where the act
//! begins decides what follows from an answer that the act did not have before.

mod obstacle;

pub(in crate::resources) use obstacle::Obstacle;

/// What becomes of an act that an obstacle holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Outcome {
    /// It is refused, and people are told so.
    Refuse,
    /// It is refused in silence, or with a line that says no more than that.
    Ignore,
    /// Nobody wants it any more: the wish is forgotten.
    Drop,
    /// It is looked at again later; nothing has to be repeated.
    Wait,
    /// The request is kept, and handled when the obstacle is gone, within a time.
    Queue,
    /// Something else is done instead.
    Instead,
}

/// An act may not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) struct Refusal {
    /// The first obstacle that stands.
    pub(in crate::resources) obstacle: Obstacle,
    /// What becomes of the act.
    pub(in crate::resources) outcome: Outcome,
}

/// Whether an act may begin. `stands`: whether an obstacle stands now; asked in the order of the
/// table, and not beyond the first that does.
///
/// # Errors
/// The first obstacle that stands, and what becomes of the act.
pub(in crate::resources) fn gate(
    act: Act,
    mut stands: impl FnMut(Obstacle) -> bool,
) -> Result<(), Refusal> {
    let refusal = act.row().iter().find(|one| stands(one.obstacle));
    refusal.map_or(Ok(()), |refusal| Err(*refusal))
}

macro_rules! acts {
    ($($act:ident $text:literal $($outcome:ident [$($obstacle:ident),+])+;)+) => {
        /// Something that the node wants to begin, or that it is asked for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(in crate::resources) enum Act {
            $(#[doc = $text] $act,)+
        }

        impl Act {
            /// All acts, in the order of the table.
            #[cfg(test)]
            pub(in crate::resources) const ALL: &'static [Self] = &[$(Self::$act),+];

            /// What is done, as it follows "waits to".
            pub(in crate::resources) const fn text(self) -> &'static str {
                match self {
                    $(Self::$act => $text,)+
                }
            }

            /// What holds it back, in the order in which that is asked.
            pub(in crate::resources) const fn row(self) -> &'static [Refusal] {
                match self {
                    $(Self::$act => &[$($(Refusal {
                        obstacle: Obstacle::$obstacle,
                        outcome: Outcome::$outcome,
                    },)+)+],)+
                }
            }
        }
    };
}

acts! {
    // Standby. Spec: docs/protocol/resources.md, 7.

    Offer "give a set away that a person or a client asks to give"
        Refuse [LegacyModel]
        Ignore [Releasing, Stopping]
        Refuse [ManyNodes, Frozen, FilesDiffer, StandbyOpen]
        Queue [OwnWork]
        Refuse [OtherUnsettled, Contested, NotSettled];
    Converse "handle a message of a standby"
        Refuse [LegacyModel]
        Queue [NoCommunication, Releasing]
        Refuse [ManyNodes];
    // An open standby decides itself what an offer means: `parts/standby/table.rs`.
    HearOffer "look at an offer of another node"
        Refuse [NodeInactive, Frozen]
        Instead [StandbyOpen]
        Refuse [FilesDiffer];
    // A stop that waits lets a running standby end, but begins none.
    ConsiderOffer "answer an offer at once"
        Ignore [Stopping]
        Queue [OwnWork, ReportComing];
    AnswerOffer "answer an offer, at once or after a wait"
        Refuse [OtherUnsettled, Contested, NotSettled];
    HandleQueued "handle a request that came during other work"
        Wait [OwnWork, StandbyOpen, ReportComing];
    // Right after a partition this can be the first message of a node that still counts as dead
    // here. Its death could not be noticed again: nothing may depend on it.
    GiveUp "stop what was offered, because the other node can take it"
        Refuse [NodeInactive];
    HearDone "handle the `done` of a giver"
        Queue [StoodStill];
    TakeAfterEnd "start what the giver has released after its standby ended here"
        Drop [HeldAlready, Stopping, Frozen];

    // Failback. Spec: docs/protocol/resources.md, 6.

    Failback "give the foreign resources back to their owner"
        Wait [LegacyModel]
        Drop [NotDue, NotHeld, NotAutomatic, Stopping]
        Refuse [NotAPair]
        Wait [Frozen, StandbyOpen, OtherUnsettled, Contested, OwnerServes, NotSettled, OwnWork]
        Wait [AddressTaken, Unreported, FilesDiffer, OtherInactive, DownThere, FailedThere];

    // Groups that are held and do not run, and groups that run in the wrong place.

    // Nothing is tried before the thaw. A node that is not received checks at each heartbeat of the
    // other node instead: `parts/unheard.rs`.
    LookAtFailed "look at groups that are held and do not run"
        Wait [Frozen, Unheard];
    Retry "start a group again that is held and does not run"
        Drop [NoDuty]
        Wait [Unreported, Leaving, RunsThere, Unconfirmed, ClaimedThere]
        Wait [OwnWork, StandbyOpen, NotSettled, Contested];
    RetryAsLegacy "start a group again that does not run (auto_failback legacy)"
        Drop [NoDuty]
        Wait [OwnWork, StandbyOpen, NotSettled, Contested]
        Instead [OtherActive];
    Move "offer a group to the other node that does not start here"
        Instead [LegacyModel, NotAPair, OtherUnsettled, NotSettled, FilesDiffer, OtherInactive];
    MoveUnserved "move a group to the other node whose addresses nobody reaches here"
        Wait [NotManaged, LegacyModel, NotAPair, InWork, NotHeld, Frozen, Stopping, Releasing]
        Wait [Isolated, StandbyOpen, OwnWork, NotSettled, OtherUnsettled, Contested, OtherInactive]
        Wait [FilesDiffer, MovedLately, UnservedThere];
    RestartFailed "restart a resource that its monitor found failed"
        Wait [NotManaged, InWork, Frozen, Stopping, Releasing, Isolated, StandbyOpen, OwnWork]
        Wait [NotSettled, Contested, RunsTwice];
    MoveFailed "move a group to the other node of which restarts did not help a resource"
        Wait [NotManaged, LegacyModel, NotAPair, InWork, NotHeld, Frozen, Stopping, Releasing]
        Wait [Isolated, StandbyOpen, OwnWork, NotSettled, OtherUnsettled, Contested, OtherInactive]
        Wait [FilesDiffer, MovedForFailure, DownThere];
    StopFailed "stop a group of which restarts did not help a resource"
        Wait [NotManaged, InWork, Frozen, Stopping, Releasing, Isolated, StandbyOpen, OwnWork]
        Wait [NotSettled, Contested];
    StartAgreed "start a group of a set that is taken by agreement"
        Wait [RunsThere, Unconfirmed];
    LeaveToOwner "stop a group that the other node is to run"
        Wait [LegacyModel, NotSettled, StandbyOpen, OtherUnsettled, OwnWork, Contested, Frozen]
        Wait [Stopping];
    BringTogether "start what is held and stop what is not"
        Wait [LegacyModel, ManyNodes, NotSettled, StandbyOpen, OwnWork, Frozen, Stopping];
    TellNames "report which groups run, because that has changed"
        Wait [LegacyModel, NotSettled, StandbyOpen, OtherUnsettled, OwnWork, Contested, Frozen]
        Wait [Stopping];
    PutBack "put an address back that somebody has removed"
        Refuse [NotManaged, InWork, Releasing, Isolated, Stopping, Contested, RunsTwice];

    // Groups that no node owns. Spec: docs/protocol/resources.md, 7.4 and 12.

    Audit "log that no node owns a half"
        Wait [LegacyModel, NotSettled, StandbyOpen, OtherUnsettled, OwnWork, Contested, Frozen]
        Wait [Stopping];
    NoticeUnowned "notice that no node owns a half"
        Wait [LegacyModel, NotAPair, Stopping, Frozen, NotSettled, OtherUnsettled, Contested]
        Wait [StandbyOpen, OwnWork, OtherInactive, HeldAlready, MayRunThere, AllRunThere];
    TakeUnowned "take a half that no node owns"
        Drop [OwnedByNow, OtherUnsettled, Contested, StandbyOpen, OwnWork, NotSettled, Frozen];

    // A legacy node whose messages no longer match its groups: `parts/loose.rs`.

    OfferBack "give a legacy node back what it may have started beside us"
        Wait [NotAPair, LegacyModel, NotSettled, StandbyOpen, OwnWork, Contested, Frozen, Stopping]
        Wait [OtherInactive]
        Drop [NotHeld];
    OfferStarted "give a legacy node what a script of an earlier standby may have started there"
        Wait [NotAPair, LegacyModel, NotSettled, StandbyOpen, OwnWork, Contested, Frozen, Stopping]
        Wait [OtherUnsettled, OtherInactive];
    HearEarlyDone "handle a `done` that came before communication was up"
        Wait [LegacyModel, NotSettled, StandbyOpen, OwnWork, Contested, Frozen, Stopping];
    TakeLateDone "start what a legacy node has released for an earlier run"
        Drop [LegacyModel, NotSettled, StandbyOpen, OwnWork, Contested, Frozen, Stopping]
        Drop [HeldAlready];
    NoteOlderStart "note that a legacy script has started what is held here"
        Drop [LegacyModel, NotSettled, StandbyOpen, OwnWork, Contested, Frozen, Stopping]
        Drop [NotHeld];
    SettleClaims "settle what a legacy node and this node both claim"
        Wait [NotAPair, LegacyModel, NotSettled, StandbyOpen, OwnWork, Contested, Frozen, Stopping];

    // Start and takeover. Spec: docs/protocol/resources.md, 5 and 10.

    Settle "end the exchange at start"
        Wait [NotAllFenced, ReleaseUnfinished, AimedAt, SilentClaimant, Leaving, LegacyUnsettled];
    // With the takeover of the node that is not fenced yet.
    SettleAlone "settle because no other node is left"
        Wait [NotAllFenced];
    StartHeld "begin the starts that wait until a node is fenced"
        Wait [NotAllFenced];
    TakeOwn "start the local resources after the exchange at start"
        Ignore [NotAllFenced, Stopping, Releasing]
        Drop [Claimed, AllRunThere, InOtherHands, HeldAlready]
        Wait [Frozen];
    TakeOwnAlone "start the local resources because no other node is there"
        Ignore [NotAllFenced, Stopping, Releasing]
        Wait [Frozen];
    TakeOver "take the resources of a node that is gone"
        Ignore [Stopping, Releasing]
        Wait [NotFenced]
        Refuse [NotNext]
        Wait [Frozen];
    TakeOverOnce "take them, unless that was done since the node last started"
        Ignore [TakenAlready];
    TakeReleased "take again what was released for its owner after a split"
        Drop [NotAPair, OtherUnsettled, OtherMayHold, OtherAtWork, Stopping, Frozen];
    TakeUnheard "take again what the other node declared dead and does not run"
        Wait [LegacyModel, NotAPair, NotManaged, Fenceable]
        Wait [CommunicationUp, ExchangeBegun, Frozen, Stopping, OwnWork];

    // Split brain and isolation. Spec: docs/protocol/membership.md, 2, 6.2 and 16.3.

    // Instead: addresses are taken away at once, and the release goes on.
    BeginAnew "release everything and begin a new generation"
        Instead [NotManaged, Releasing, Stopping];
    LeaveForeign "release the foreign resources for a legacy owner that runs them"
        Wait [NotAPair, NotSettled, StandbyMoves, Stopping, Contested];
    LeaveServed "no longer hold what the owner runs and does not start here"
        Wait [NotAPair, NotSettled, Frozen, OwnWork, Contested];
    CutOff "release everything because no node is received"
        Refuse [NotManaged, Frozen, Stopping, NotAPair];

    // Maintenance and stop. Spec: docs/protocol/resources.md, 11.

    Freeze "freeze"
        Refuse [NotManaged, LegacyModel, Stopping]
        Wait [NotSettled, OtherUnsettled, Contested, StandbyOpen, OwnWork];
    KeepFrozen "stay frozen in a new process"
        Drop [NotManaged, LegacyModel, ReleaseUnfinished];
    Stop "stop, when the other node has settled too (30 seconds at most)"
        Wait [OwnWork, OtherUnsettled, Contested, StandbyOpen, InExchange];
    StopAlone "stop"
        Wait [NotHeardYet, OwnWork];
    // A restart in place waits for this, and clients are told `transition` until then.
    CountAsStable "count as settled"
        Wait [OtherUnsettled, Contested, StandbyOpen, OwnWork, InExchange];
    CountAsStableAlone "count as settled without regard to other nodes"
        Wait [OwnWork];

    // Requests for one group. Spec: docs/protocol/resources.md, 5.3 and 9.7.

    AskForOwn "ask for the local groups (auto_failback legacy)"
        Ignore [Stopping];
    HearRequest "look at a request for a group"
        Ignore [NoCommunication, NodeDead]
        Instead [ReleasingForStop];
    GiveByKey "stop a group for a node that asks for it"
        Refuse [Frozen, LineDiffers];
    TakeByKey "start a group that another node grants"
        Ignore [Stopping, Releasing];
}

#[cfg(test)]
mod tests;
