//! What this node wants to begin and what holds it back now, from the table in
//! [`gate`](crate::resources::gate): for `systole why`.

use std::collections::BTreeMap;

use crate::protocol::decisions::bounded;
use crate::protocol::group::GroupKey;
use crate::resources::gate::{Act, Obstacle, Outcome, Refusal};
use crate::resources::holding::HoldingSet;
use crate::resources::obstacles::Scope;
use crate::resources::parts::run::Phase;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// A line for each act that is wanted and waits, with the first obstacle in its way. What is
    /// refused is not among them: that was decided once.
    #[must_use]
    pub fn waits(&self) -> Vec<String> {
        if !self.setup.manages() {
            return Vec::new();
        }
        let none = Scope::default();
        let mut wanted: Vec<(Act, Scope<'_>, String)> = Vec::new();
        wanted.extend(self.stop_wanted().map(|act| (act, none, String::new())));
        if matches!(self.run.phase(), Phase::Starting | Phase::Waiting) && !self.stopping() {
            wanted.push((Act::Settle, none, String::new()));
        }
        if let Some(giver) = self.standby.offered_by() {
            let of = format!(" ({giver})");
            wanted.push((Act::HandleQueued, Scope::node(giver), of));
        } else if self.standby.is_wanted() {
            wanted.push((Act::HandleQueued, none, String::new()));
        }
        if self.failback.is_armed() {
            let foreign = Scope::of(HoldingSet::FOREIGN);
            wanted.push((Act::Failback, foreign, String::new()));
        }
        for node in self.unfenced().chain(self.waits_for_thaw()) {
            wanted.push((Act::TakeOver, Scope::node(node), format!(" ({node})")));
        }
        let mut lines = Vec::new();
        for (act, scope, of) in wanted {
            if let Some(obstacle) = waiting(self.gate(act, &scope)) {
                let cause = self.cause(obstacle, &scope);
                lines.push(line(act, &of, &cause));
            }
        }
        for (key, side, gate) in self.unserved() {
            if let Some(obstacle) = waiting(gate) {
                let scope = Scope::group(&key).with_set(side);
                let cause = self.cause(obstacle, &scope);
                lines.push(line(Act::MoveUnserved, &format!(" ({key})"), &cause));
            }
        }
        for (key, _, side, gate) in self.failed_to_move() {
            if let Some(obstacle) = waiting(gate) {
                let scope = Scope::group(&key).with_set(side);
                let cause = self.cause(obstacle, &scope);
                lines.push(line(Act::MoveFailed, &format!(" ({key})"), &cause));
            }
        }
        for (key, _) in self.groups.ailing().to_restart() {
            let scope = Scope::group(&key);
            if let Some(obstacle) = waiting(self.gate(Act::RestartFailed, &scope)) {
                let cause = self.cause(obstacle, &scope);
                lines.push(line(Act::RestartFailed, &format!(" ({key})"), &cause));
            }
        }
        for (obstacle, keys) in self.groups_that_wait() {
            let of = format!(" ({})", Self::named(&keys));
            lines.push(line(Act::Retry, &of, obstacle.text()));
        }
        lines
    }

    /// The groups that are held, do not run and cannot be tried now.
    fn groups_that_wait(&self) -> BTreeMap<Obstacle, Vec<GroupKey>> {
        let mut waiting_for: BTreeMap<Obstacle, Vec<GroupKey>> = BTreeMap::new();
        let sides = self.groups.sides();
        for (key, _) in sides.filter(|(key, _)| self.groups.trouble(key).is_some()) {
            let (act, side) = self.retry(key);
            let scope = Scope::group(key).with_set(side);
            let all = self.gate(Act::LookAtFailed, &scope);
            let gate = all.and_then(|()| self.gate(act, &scope));
            if let Some(obstacle) = waiting(gate) {
                waiting_for.entry(obstacle).or_default().push(key.clone());
            }
        }
        waiting_for
    }
}

/// The obstacle, if the act is still wanted.
fn waiting(gate: Result<(), Refusal>) -> Option<Obstacle> {
    let refusal = gate.err()?;
    matches!(refusal.outcome, Outcome::Wait | Outcome::Queue).then_some(refusal.obstacle)
}

fn line(act: Act, of: &str, cause: &str) -> String {
    bounded(format!("waits to {}{of}: {cause}", act.text()))
}
