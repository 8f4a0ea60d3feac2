//! The obstacles, with what people are told of each. `obstacles.rs` tells when each stands.

use std::fmt;

macro_rules! obstacles {
    ($($obstacle:ident $text:literal,)+) => {
        /// A reason why something may not begin.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(in crate::resources) enum Obstacle {
            $(#[doc = $text] $obstacle,)+
        }

        impl Obstacle {
            /// All obstacles.
            #[cfg(test)]
            pub(in crate::resources) const ALL: &'static [Self] = &[$(Self::$obstacle),+];

            /// What people are told: a cause, as it follows a colon.
            pub(in crate::resources) const fn text(self) -> &'static str {
                match self {
                    $(Self::$obstacle => $text,)+
                }
            }
        }
    };
}

obstacles! {
    // This node.
    LegacyModel "auto_failback legacy: the other node would take groups unasked; set it to on or off",
    Stopping "the node is being stopped",
    Releasing "everything is being released",
    Frozen "this node is frozen; systole thaw ends it",
    StandbyOpen "a standby is under way",
    OwnWork "groups are being started or stopped here",
    NotSettled "this node is not settled yet",

    // The other node.
    OtherUnsettled "the other node is in transition, or absent",
    Contested "it is not decided yet which node keeps the resources",
    OtherInactive "the other node is not active",
    NotAPair "these are not exactly two nodes",

    // The rest, of this node.
    NotManaged "resources are not managed here",
    NotAutomatic "auto_failback is not on",
    NotDue "no failback is due",
    NoCommunication "no other node is known to receive this node yet",
    CommunicationUp "the other node receives this node",
    NotHeardYet "no other node receives this node yet, and none would know of the release",
    ExchangeBegun "the exchange at start has begun",
    InExchange "the exchange at start has not ended",
    ReleaseUnfinished "what was given up is still being stopped",
    ReleasingForStop "everything is being released for a stop",
    Isolated "this node is isolated",
    StandbyMoves "a standby is moving groups",
    StoodStill "messages that waited while this node stood still are being read",
    AimedAt "another node tries to reset this node",
    NotAllFenced "a dead node that may run groups is not fenced yet",
    Unheard "what runs here was started by an earlier run, and no node receives this one yet",

    // Of other nodes.
    ManyNodes "more than two nodes are configured",
    NodeInactive "the node is not active",
    NodeDead "the node counts as dead",
    NotFenced "the node is dead, may run groups, and is not fenced yet",
    Fenceable "with a fencing device a node counts on the reset of the other, and may start them at any time",
    OtherActive "the other node is active, and the owner asks it",
    OtherAtWork "the other node has not reported, or is being started or stopped",
    OtherMayHold "the other node may hold something",
    Unreported "a node that lives has not reported what it holds",
    Leaving "the other node is being stopped, and may still run them",
    SilentClaimant "a node that may run them does not answer",
    LegacyUnsettled "a legacy node ran before this one and is not settled: it may be stopping",
    ReportComing "the report of the other node is on its way",
    NotNext "with more than two nodes, another node takes them",
    TakenAlready "the groups of that node were already taken over",

    UnservedThere "the other node does not tell that its interfaces for the addresses of all these groups are up",
    DownThere "an interface for the addresses is down on the other node",

    // Of a set.
    NotHeld "this node does not hold them",
    HeldAlready "this node holds them already",
    OwnedByNow "a node holds them by now",
    MayRunThere "the other node may hold them",
    Claimed "the other node holds them, or may",
    OwnerServes "their owner holds its own resources already",
    AllRunThere "the other node runs all of them",
    InOtherHands "the other node is being given them, or gives them",
    FilesDiffer "the haresources of the nodes differ",
    AddressTaken "another host has the address of one of the groups",
    FailedThere "a group of them failed there a short time ago; systole clear GROUP ends that",

    // Of a group.
    NoDuty "the group runs, or this node no longer holds it",
    RunsThere "the other node runs it",
    RunsTwice "the other node runs it too",
    Unconfirmed "the other node ran it, does not say whether it still does, and it has no address",
    ClaimedThere "the other node claims it",
    LineDiffers "its line in haresources differs there",
    MovedLately "it was moved for that within the last ten minutes",
    MovedForFailure "it was moved for a failure within its restart_window_s",
    InWork "it does not run, or something is being done about it",
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
