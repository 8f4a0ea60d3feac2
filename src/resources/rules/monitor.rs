//! What the monitors of the groups want: a resource restarted, the group moved or stopped. When each is wanted:
//! `policy/monitor.rs`.

use crate::notice::Notice;
use crate::protocol::event::GroupOrder;
use crate::protocol::group::GroupKey;
use crate::protocol::monitor::{Ailment, Then};
use crate::resources::gate::{Act, Refusal};
use crate::resources::holding::HoldingSet;
use crate::resources::obstacles::Scope;
use crate::resources::parts::standby::Wish;
use crate::resources::parts::work::Purpose;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// What the monitors of a group want now.
    pub(in crate::resources) fn monitors_say(&mut self, key: GroupKey, wants: Option<Ailment>) {
        self.groups.ailing_mut().says(key, wants);
        self.monitors_overdue();
    }

    /// A person says that what failed in a group is repaired.
    pub(in crate::resources) fn failures_cleared(&mut self, key: &GroupKey) {
        self.decide(
            format!("forgets the failures of group {key}"),
            "systole clear was called",
        );
        self.groups.ailing_mut().is_well(key);
        if self.groups.stays_down(key) {
            self.groups.start_when_settled(key, self.now);
        }
    }

    /// Begins what is wanted and may begin.
    pub(in crate::resources) fn monitors_overdue(&mut self) {
        if self.groups.ailing().is_none() {
            return;
        }
        for (key, resource) in self.groups.ailing().given_up(Then::Stop) {
            self.stop_what_failed(key, &resource);
        }
        self.move_what_failed();
        for (key, resource) in self.groups.ailing().to_restart() {
            self.restart_what_failed(key, &resource);
        }
    }

    fn restart_what_failed(&mut self, key: GroupKey, resource: &str) {
        if self.gate(Act::RestartFailed, &Scope::group(&key)).is_err() {
            return;
        }
        self.groups.ailing_mut().restarts(&key);
        self.decide(
            format!("restarts {resource} and what stands right of it in group {key}"),
            "its monitor found that it does not run",
        );
        self.groups
            .begin(Purpose::Restart, [key], GroupOrder::Restart);
    }

    fn stop_what_failed(&mut self, key: GroupKey, resource: &str) {
        if self.gate(Act::StopFailed, &Scope::group(&key)).is_err() {
            return;
        }
        self.groups.ailing_mut().stops(&key);
        self.notice(Notice::GivingUpDueToFailure {
            resource: resource.to_owned(),
        });
        let cause = format!("restarts did not help {resource}");
        self.warn(format!(
            "group {key} is stopped and stays down, because {cause}: systole clear {key} starts it again"
        ));
        self.decide(format!("stops group {key} for good"), cause);
        self.groups
            .begin(Purpose::StopFailed, [key], GroupOrder::Stop);
    }

    fn move_what_failed(&mut self) {
        if !self.groups.ailing().may_offer(self.now) {
            return;
        }
        let mut failed = self.failed_to_move().into_iter();
        let Some((key, resource, side, _)) = failed.find(|(.., gate)| gate.is_ok()) else {
            return;
        };
        if self.groups.ailing_mut().offers(self.now) {
            self.notice(Notice::GivingUpDueToFailure {
                resource: resource.clone(),
            });
        }
        let cause = format!("restarts did not help {resource} of group {key}");
        self.warn(format!("{cause}: {side} resources move to the other node"));
        self.begin_standby(side, Wish::NotStarted, &cause);
    }

    /// Groups of which restarts did not help a resource and that are to move, with their half and what holds
    /// that back.
    pub(in crate::resources) fn failed_to_move(
        &self,
    ) -> Vec<(GroupKey, String, HoldingSet, Result<(), Refusal>)> {
        let failed = self.groups.ailing().given_up(Then::Move).into_iter();
        let with_gate = failed.filter_map(|(key, resource)| {
            let side = self.groups.side_of(&key)?;
            let scope = Scope::group(&key).with_set(side);
            let gate = self.gate(Act::MoveFailed, &scope);
            Some((key, resource, side, gate))
        });
        with_gate.collect()
    }
}
