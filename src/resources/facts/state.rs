//! The state of this node: whether it is settled or stopped, its weight, and what it serves.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::protocol::name::NodeName;
use crate::protocol::partition::Weight;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::run::Phase;
use crate::resources::parts::standby::Standby;
use crate::resources::parts::timers::Timer;
use crate::resources::parts::work::Purpose;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// What `isstable` says in our reports. It takes work into account that changes what we hold,
    /// so that no node fails back during a takeover. Spec: docs/protocol/resources.md, 6, [D] (b).
    ///
    /// A taker that starts what it was given tells a legacy giver that it is settled, as legacy
    /// does. A Systole giver waits for the end of that work, and must not read too early that it
    /// has ended.
    pub(in crate::resources) fn announced_stable(&self) -> bool {
        let ours = self.other.all_systole();
        let takes = ours && matches!(self.standby.state(), Standby::Taking { .. });
        self.run.phase() == Phase::Stable && self.settled_here() && !takes
    }

    /// Whether no work of ours changes what we hold.
    pub(in crate::resources) fn settled_here(&self) -> bool {
        !self.duty.is_releasing()
            && !self
                .groups
                .has_job(|purpose| matches!(purpose, Purpose::TakeOver(_) | Purpose::Reclaim))
    }

    /// Our weight in a split brain, as it is now.
    pub(in crate::resources) fn weight(&self) -> Weight {
        // A frozen node has taken nothing over, and must not be made to stop anything.
        let keeps = self.freeze.is_on() && !self.duty.holds(HoldingSet::FOREIGN);
        let number = |set: HoldingSet| {
            let keys = self.groups.keys_of(set);
            let taken = keys.iter().filter(|key| self.groups.takes(key)).count();
            u32::try_from(taken).unwrap_or(u32::MAX)
        };
        let (own, foreign) = (number(HoldingSet::LOCAL), number(HoldingSet::FOREIGN));
        Weight {
            before: if keeps {
                u32::MAX
            } else {
                self.contest.ran_before()
            },
            runs: own.saturating_add(foreign),
            foreign: Some(foreign),
        }
    }

    /// Whether a Systole node counts as unsettled here only because its report is on its way: its
    /// offer waits for the report. If it were refused, it would come again only after a minute.
    pub(in crate::resources) fn waits_for_report(&self, from: &NodeName) -> bool {
        let ours = self.other.is_systole(from);
        ours && !self.other.is_settled() && !self.contested() && self.run.phase() == Phase::Stable
    }

    /// Whether groups that an earlier run held run on here, and no node has shown yet that it
    /// receives us.
    pub(in crate::resources) fn unheard_with_groups(&self) -> bool {
        self.other.is_pair()
            && !self.run.comm_up()
            && self.run.phase() == Phase::Init
            && !self.served_here().is_none()
    }

    /// The halves that we run now. Under the legacy model no node holds a half: what runs counts.
    pub(in crate::resources) fn served_here(&self) -> HoldingSet {
        if self.nice() {
            self.duty.held()
        } else {
            self.groups.running_halves()
        }
    }

    /// Whether a stop was requested.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.stop.requested()
    }

    /// Whether holding reports, standby and takeover are in force.
    pub(in crate::resources) const fn nice(&self) -> bool {
        self.setup.model().is_nice()
    }

    /// `delay` from now.
    pub(in crate::resources) fn after(&self, delay: Duration) -> Monotonic {
        self.now + delay
    }

    /// Whether it is undecided which node keeps the groups.
    pub(in crate::resources) fn contested(&self) -> bool {
        self.timers.is_set(Timer::OtherYields)
    }
}
