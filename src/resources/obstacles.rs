//! When each obstacle of the table in [`gate`](crate::resources::gate) stands. Here is the one
//! definition of each, and none changes anything.

use std::time::Duration;

use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;
use crate::protocol::settings::AutoFailback;
use crate::resources::gate::{Act, Obstacle, Refusal, gate};
use crate::resources::holding::HoldingSet;
use crate::resources::parts::freeze::FreezeRefused;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::run::Phase;
use crate::resources::parts::stop::{OTHER_SETTLES, Stop};
use crate::resources::parts::timers::Timer;
use crate::resources::state::ResourceState;

/// What an act is about. An obstacle of a group or a node does not stand where none is named.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::resources) struct Scope<'a> {
    set: HoldingSet,
    key: Option<&'a GroupKey>,
    node: Option<&'a NodeName>,
    forced: bool,
}

impl<'a> Scope<'a> {
    /// A set, from our own view.
    pub(in crate::resources) fn of(set: HoldingSet) -> Self {
        Self {
            set,
            ..Self::default()
        }
    }

    /// Another node.
    pub(in crate::resources) fn node(node: &'a NodeName) -> Self {
        Self::default().with_node(node)
    }

    /// A group.
    pub(in crate::resources) fn group(key: &'a GroupKey) -> Self {
        Self {
            key: Some(key),
            ..Self::default()
        }
    }

    /// The same, and another node.
    pub(in crate::resources) const fn with_node(self, node: &'a NodeName) -> Self {
        Self {
            node: Some(node),
            ..self
        }
    }

    /// The same, and its half.
    pub(in crate::resources) const fn with_set(self, set: HoldingSet) -> Self {
        Self { set, ..self }
    }

    /// The same. `forced`: although haresources differ.
    pub(in crate::resources) const fn forced(self, forced: bool) -> Self {
        Self { forced, ..self }
    }
}

/// Whether a node runs, has reported, and is being neither started nor stopped.
fn rests(peer: &Peer) -> bool {
    peer.has_reported() && !peer.is_fresh() && !peer.is_leaving() && peer.is_active()
}

impl ResourceState {
    /// Whether an act may begin now.
    ///
    /// # Errors
    /// The first obstacle that stands, and what becomes of the act.
    pub(in crate::resources) fn gate(&self, act: Act, of: &Scope<'_>) -> Result<(), Refusal> {
        gate(act, |obstacle| self.stands(obstacle, of))
    }

    /// Whether an act may begin now that is about no certain set, group or node.
    pub(in crate::resources) fn may(&self, act: Act) -> bool {
        self.gate(act, &Scope::default()).is_ok()
    }

    /// What people are told of an obstacle that stands.
    pub(in crate::resources) fn cause(&self, obstacle: Obstacle, of: &Scope<'_>) -> String {
        let differs = (obstacle == Obstacle::FilesDiffer).then(|| self.hand_over_obstacle(of.set));
        differs.flatten().unwrap_or_else(|| obstacle.to_string())
    }

    /// Whether an obstacle stands now.
    fn stands(&self, obstacle: Obstacle, of: &Scope<'_>) -> bool {
        let (run, other, duty, groups) = (&self.run, &self.other, &self.duty, &self.groups);
        let (phase, standby, set) = (self.run.phase(), self.standby.state(), of.set);
        let (key, node) = (of.key, of.node);
        let peer = node.and_then(|node| other.peer(node));
        match obstacle {
            Obstacle::LegacyModel => !self.nice(),
            Obstacle::Stopping => self.stopping(),
            Obstacle::Releasing => phase == Phase::Shutdown,
            Obstacle::Frozen => self.freeze.is_on(),
            Obstacle::StandbyOpen => !self.standby.is_idle(),
            Obstacle::OwnWork => groups.at_work(),
            Obstacle::NotSettled => phase != Phase::Stable,
            Obstacle::OtherUnsettled => !other.is_settled(),
            Obstacle::Contested => self.contested(),
            Obstacle::OtherInactive => !other.is_active(),
            Obstacle::NotAPair => !other.is_pair(),
            Obstacle::NotManaged => !self.setup.manages(),
            Obstacle::NotAutomatic => self.setup.model() != AutoFailback::On,
            Obstacle::NotDue => !self.failback.is_due(),
            Obstacle::NoCommunication => !run.comm_up(),
            Obstacle::CommunicationUp => run.comm_up(),
            Obstacle::NotHeardYet => self.is_not_heard_yet(),
            Obstacle::ExchangeBegun => phase != Phase::Init,
            Obstacle::InExchange => matches!(phase, Phase::Starting | Phase::Waiting),
            Obstacle::ReleaseUnfinished => duty.is_releasing(),
            Obstacle::ReleasingForStop => self.stopping() && phase == Phase::Shutdown,
            Obstacle::Isolated => self.isolation.is_on(),
            Obstacle::StandbyMoves => standby.moves(),
            Obstacle::StoodStill => {
                self.timers.is_set(Timer::Read)
                    && node.is_some_and(|it| standby.waits_for_giver(it))
            }
            Obstacle::NotAllFenced => self.unfenced.holds_back(),
            Obstacle::AimedAt => self.timers.at(Timer::AimedAt) > Some(self.now),
            Obstacle::Unheard => self.unheard_with_groups(),
            Obstacle::ManyNodes => other.is_many(),
            Obstacle::NodeInactive => !peer.is_some_and(Peer::is_active),
            Obstacle::NodeDead => node.is_some_and(|it| other.is_dead(it)),
            Obstacle::NotFenced => node.is_some_and(|it| self.unfenced.waits_for(it)),
            Obstacle::Fenceable => node.is_some_and(|it| self.unfenced.guards(it)),
            Obstacle::OtherActive => other.is_active(),
            Obstacle::OtherAtWork => !other.peers().all(rests),
            Obstacle::OtherMayHold => !other.may_hold().is_none(),
            Obstacle::Unreported => !other.all_living_reported(),
            Obstacle::Leaving => other.somebody_is_leaving(),
            Obstacle::SilentClaimant => self.silent_claimant().is_some(),
            Obstacle::LegacyUnsettled => other.unsettled_legacy().is_some(),
            Obstacle::ReportComing => node.is_some_and(|it| self.waits_for_report(it)),
            Obstacle::NotNext => node.is_some_and(|it| self.who_takes_instead(it).is_some()),
            Obstacle::TakenAlready => peer.is_some_and(Peer::was_taken_over),
            Obstacle::NotHeld => !duty.holds(set),
            Obstacle::HeldAlready => duty.holds(set),
            Obstacle::OwnedByNow => self.unowned_of(set).is_none(),
            Obstacle::MayRunThere => other.may_hold().has(set.mirror()),
            Obstacle::Claimed => self.is_claimed(set),
            Obstacle::OwnerServes => self.is_claimed(set) && !self.failback.is_by_file(),
            Obstacle::AllRunThere => self.all_run_there(set),
            Obstacle::InOtherHands => standby.in_other_hands().has(set),
            Obstacle::FilesDiffer => !of.forced && self.hand_over_obstacle(set).is_some(),
            Obstacle::AddressTaken => self.failback_must_wait(),
            Obstacle::UnservedThere => !key.is_some_and(|it| self.is_served_there(it, set)),
            Obstacle::DownThere => self.is_down_there(set),
            Obstacle::MovedLately => {
                key.is_some_and(|it| groups.reach().moved_lately(it, self.now))
            }
            Obstacle::MovedForFailure => {
                key.is_some_and(|it| groups.ailing().moved_lately(it, self.now))
            }
            Obstacle::FailedThere => {
                let failed = |key: &GroupKey| groups.ailing().failed_there(key, self.now);
                groups.of(HoldingSet::FOREIGN).any(failed)
            }
            Obstacle::NoDuty => !key.is_some_and(|it| self.has_to_run(it)),
            Obstacle::RunsThere => key.is_some_and(|it| other.runs(it) && !groups.runs(it)),
            Obstacle::RunsTwice => key.is_some_and(|it| other.runs(it)),
            Obstacle::Unconfirmed => key.is_some_and(|it| self.is_unconfirmed(it)),
            Obstacle::ClaimedThere => self.is_claimed_by_the_living(set),
            Obstacle::LineDiffers => {
                node.is_some_and(|node| key.is_some_and(|it| other.line_differs(node, it)))
            }
            Obstacle::InWork => !key.is_some_and(|it| groups.runs_untouched(it)),
        }
    }

    /// A living node that may run our groups and does not answer.
    pub(in crate::resources) fn silent_claimant(&self) -> Option<&NodeName> {
        self.other.silent_claimant(self.run.has_waited_long())
    }

    /// Whether the other node holds the set or may hold it, and counts by halves as we do.
    fn is_claimed(&self, set: HoldingSet) -> bool {
        self.other.may_hold().has(set.mirror()) && !self.counts_by_group()
    }

    /// The same for a group of the set that does not run here, beside a node that lives. If both
    /// nodes claim it, report what they run and run nothing of it, the owner tries.
    fn is_claimed_by_the_living(&self, set: HoldingSet) -> bool {
        let named = self
            .other
            .node()
            .is_some_and(|(_, peer)| peer.tells_what_runs());
        let ours_to_try = named && set == HoldingSet::LOCAL;
        let lives = self.other.is_pair() && !self.other.all_gone();
        lives && !ours_to_try && self.is_claimed(set)
    }

    /// Which of these no node holds or may hold.
    pub(in crate::resources) fn unowned_of(&self, set: HoldingSet) -> HoldingSet {
        let owned = self.duty.held().with(self.other.may_hold().mirror());
        set.without(owned)
    }

    /// Whether the group is held and does not run here.
    fn has_to_run(&self, key: &GroupKey) -> bool {
        let held = |side: HoldingSet| !self.nice() || self.duty.holds(side);
        self.groups.side_of(key).is_some_and(held) && !self.groups.runs(key)
    }

    /// Whether a group that came to us may still run on the other node. That is so if the other
    /// node does not report it and the group has no address that could be probed: then a person has
    /// to confirm.
    fn is_unconfirmed(&self, key: &GroupKey) -> bool {
        let silent = |(_, peer): (&NodeName, &Peer)| !peer.tells_what_runs();
        self.other.node().is_some_and(silent) && self.groups.came_without_address(key)
    }

    /// Whether a requested stop still waits for communication: before that no node would receive
    /// the release.
    fn is_not_heard_yet(&self) -> bool {
        let Stop::Wanted { asked, .. } = self.stop.state() else {
            return false;
        };
        let unheard = self.run.phase() == Phase::Init && !self.run.comm_up();
        unheard && self.now < asked + self.comm_is_late()
    }

    /// Which stop is wanted now: one that waits for the other node, or one that does not. `None`:
    /// none, or it has begun.
    pub(in crate::resources) fn stop_wanted(&self) -> Option<Act> {
        let Stop::Wanted { since, .. } = self.stop.state() else {
            return None;
        };
        // After a restart in place the set is held before the start has ended.
        let nobody_to_wait_for = self.duty.held().is_none() || self.other.all_gone();
        let other_counts = match self.run.phase() {
            // Communication would be up by now if any node received us.
            Phase::Init => false,
            Phase::Starting => !nobody_to_wait_for,
            Phase::Waiting | Phase::Stable | Phase::Shutdown => true,
        };
        let patient = self.nice() && other_counts && self.now < since + OTHER_SETTLES;
        Some(if patient { Act::Stop } else { Act::StopAlone })
    }

    /// How a group is tried again that does not run, and its half.
    pub(in crate::resources) fn retry(&self, key: &GroupKey) -> (Act, HoldingSet) {
        let act = if self.nice() {
            Act::Retry
        } else {
            Act::RetryAsLegacy
        };
        let side = self.groups.side_of(key);
        (act, side.unwrap_or(HoldingSet::NONE))
    }

    /// Groups that run here and whose addresses nobody reaches, with their half and what holds their move back.
    pub(in crate::resources) fn unserved(
        &self,
    ) -> Vec<(GroupKey, HoldingSet, Result<(), Refusal>)> {
        let failed = self.groups.reach().all_failed(self.now).into_iter();
        let runs = failed.filter(|key| self.groups.runs(key));
        let with_gate = runs.filter_map(|key| {
            let side = self.groups.side_of(&key)?;
            let scope = Scope::group(&key).with_set(side);
            let gate = self.gate(Act::MoveUnserved, &scope);
            Some((key, side, gate))
        });
        with_gate.collect()
    }

    /// Whether nothing is in transition. Spec: docs/protocol/resources.md, 3.
    pub(in crate::resources) fn is_stable(&self) -> bool {
        let alone = !self.nice() || (self.stopping() && self.run.phase() == Phase::Init);
        if alone && self.may(Act::CountAsStableAlone) {
            return true;
        }
        self.nice() && self.may(Act::CountAsStable)
    }

    /// Whether the node may be frozen now.
    ///
    /// # Errors
    /// [`FreezeRefused`].
    pub fn may_freeze(&self) -> Result<(), FreezeRefused> {
        if self.freeze.is_on() {
            return Ok(());
        }
        let gate = self.gate(Act::Freeze, &Scope::default());
        gate.map_err(FreezeRefused::from)
    }

    /// How long after its request a stop waits for communication. Without a limit, a peer that we
    /// receive and that does not receive us would delay it for ever.
    pub(in crate::resources) fn comm_is_late(&self) -> Duration {
        self.setup.initdead().saturating_add(OTHER_SETTLES)
    }

    /// Whether a foreign group waits until another host releases its address, so that its failback
    /// waits too. Not beside a legacy owner: it may be that host, with an address left by an
    /// earlier run. A Systole owner removes such an address itself.
    pub(in crate::resources) fn failback_must_wait(&self) -> bool {
        let mut foreign = self.groups.of(HoldingSet::FOREIGN);
        self.other.all_systole() && foreign.any(|key| self.groups.has_address_taken(key))
    }
}
