//! An order for a group has ended. Groups that are tried again, left to their owner, or brought to where the
//! node's word says that they belong.

use crate::notice::Notice;
use crate::protocol::event::{Action, GroupOrder, GroupOutcome, OrderId};
use crate::protocol::group::GroupKey;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::run::Phase;
use crate::resources::parts::standby::{Standby, Wish};
use crate::resources::parts::trouble::{Failure, LONGEST_PAUSE, MOVE_AFTER, TAKEN_AGAIN, TRY_SOON};
use crate::resources::parts::work::Purpose;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Lets go of what another node is to run, when it can. `true`: there is something to stop.
    pub(in crate::resources) fn let_owners_take(&mut self) -> bool {
        self.forget_what_is_held();
        if !self.at_peace() {
            return false;
        }
        let mut keys = self.left_that_can_go();
        let cause = if keys.is_empty() {
            keys = self.twice_and_not_ours();
            "the other node runs it too, and keeps it"
        } else {
            "haresources gave it to the other node, which holds its resources and can start it"
        };
        if keys.is_empty() {
            return false;
        }
        let named = Self::named(&keys);
        self.info(format!("stopping {named}: {cause}"));
        self.decide(format!("stops {named}"), cause);
        for key in &keys {
            self.left.remove(key);
            let side = self.groups.side_of(key);
            if side.is_some_and(|side| self.mine.has(side)) {
                // Held by our file: started again when the other node lets go of it.
                self.start_when_settled(key.clone());
            }
        }
        self.groups
            .begin(Purpose::LeaveToOwner, keys, GroupOrder::Stop);
        true
    }

    /// A group's actor finished an order.
    pub(in crate::resources) fn group_done(
        &mut self,
        order: OrderId,
        group: &GroupKey,
        outcome: GroupOutcome,
    ) {
        if !self.groups.ended(order, group, &outcome) {
            self.debug(format!("unknown order of group {group} ended"));
            return;
        }
        match outcome {
            GroupOutcome::Started => {
                self.moved.remove(group);
                self.given_by_key.remove(group);
                self.confirmed(Some(group));
                let was_taken = self.failures.remove(group).is_some_and(|known| known.taken);
                if was_taken && self.nice() && self.run.phase() == Phase::Stable {
                    // What we weigh has changed for whoever hears us.
                    self.answer();
                }
            }
            GroupOutcome::Stopped => {
                self.failures.remove(group);
            }
            GroupOutcome::StartFailed { resource, code } => {
                self.decide(
                    format!("stops group {group} again"),
                    format!("{resource} did not start, exit code {code}"),
                );
                if self.failures.contains_key(group) {
                    self.info(format!(
                        "group {group} still does not start: {resource} failed"
                    ));
                } else {
                    self.notice(Notice::GivingUpDueToFailure { resource });
                }
                self.start_failed(group);
            }
            GroupOutcome::AddressTaken { claim } => {
                let text =
                    format!("group {group} is not started: another host has its address: {claim}");
                if self.failures.get(group).is_some_and(|known| known.taken) {
                    // Asked again every ten seconds: said once.
                    self.debug(text);
                } else {
                    self.notice(Notice::OtherCrit { text });
                    self.decide(
                        format!("does not start group {group}"),
                        format!("another host has its address: {claim}"),
                    );
                    self.say_who_may_run_it(group);
                }
                self.address_taken(group);
            }
            GroupOutcome::StopFailed { resource } => {
                self.notice(Notice::StopFailure {
                    resource: resource.clone(),
                });
                self.decide(
                    "reboots the machine",
                    format!("{resource} of group {group} cannot be stopped and must not run twice"),
                );
                self.act(Action::RebootMachine { resource });
            }
        }
    }

    pub(in crate::resources) fn start_failed(&mut self, group: &GroupKey) {
        if self.stopping() || self.run.phase() == Phase::Shutdown {
            return;
        }
        let pause = self
            .failures
            .get(group)
            .map_or(MOVE_AFTER, |known| known.pause);
        let moved = self.moved.contains_key(group);
        let returns = !moved && self.is_given_now(group);
        if moved && !self.failures.contains_key(group) {
            self.notice(Notice::OtherCrit {
                text: format!(
                    "group {group} starts on neither node: it stays down (hb_takeover tries at once)"
                ),
            });
        }
        let failure = Failure {
            at: self.after(pause),
            pause: pause.saturating_mul(2).min(LONGEST_PAUSE),
            moved,
            taken: false,
            returns,
        };
        self.failures.insert(group.clone(), failure);
    }

    /// Looked at again soon; never moved, because the other node would find the same.
    pub(in crate::resources) fn address_taken(&mut self, group: &GroupKey) {
        if self.stopping() || self.run.phase() == Phase::Shutdown {
            return;
        }
        let failure = Failure {
            at: self.after(TAKEN_AGAIN),
            pause: MOVE_AFTER,
            moved: true,
            taken: true,
            returns: false,
        };
        self.failures.insert(group.clone(), failure);
    }

    pub(in crate::resources) fn failures_overdue(&mut self) {
        // Who is not heard looks at each beat of the other node, see `parts/unheard.rs`.
        if self.freeze.is_on() || self.unheard_with_groups() {
            return;
        }
        let now = self.now;
        let due: Vec<(GroupKey, bool)> = self
            .failures
            .iter()
            .filter(|(_, failure)| failure.at <= now)
            .map(|(key, failure)| (key.clone(), failure.moved))
            .collect();
        // All of them one after the other, as of a takeover, and not one each second.
        let mut tried = Vec::new();
        for (key, moved) in due {
            if self.mend(&key, moved, !tried.is_empty()) {
                tried.push(key);
            }
        }
        if !tried.is_empty() {
            self.groups.begin(Purpose::Retry, tried, GroupOrder::Start);
        }
    }

    /// `true`: the group is to be tried here now. `busy`: so is another.
    pub(in crate::resources) fn mend(&mut self, key: &GroupKey, moved: bool, busy: bool) -> bool {
        let Some(side) = self.groups.side_of(key) else {
            self.failures.remove(key);
            return false;
        };
        if self.groups.runs(key) || (self.nice() && !self.mine.has(side)) {
            self.failures.remove(key);
            return false;
        }
        // What the other side may still run is not tried here.
        // Of two that claim it, name what they run and run none of it, the owner tries.
        let named = self.other().is_some_and(|(_, peer)| peer.tells_what_runs());
        let first = named && side == HoldingSet::LOCAL;
        let claimed = self.theirs_at_most().has(side.mirror()) && !self.counts_by_group() && !first;
        let theirs = self.nice()
            && (!self.all_living_reported()
                || self.somebody_is_leaving()
                || self.other_runs(key)
                || self.must_be_confirmed(key)
                || (self.is_pair() && !self.all_peers_gone() && claimed));
        let quiet = !self.groups.at_work()
            && self.standby == Standby::Not
            && self.run.phase() == Phase::Stable
            && !self.contested()
            && !theirs;
        if !quiet {
            let at = self.after(TRY_SOON);
            if let Some(failure) = self.failures.get_mut(key) {
                failure.at = at;
            }
            return false;
        }
        if !self.nice() && self.peer_active() {
            // Without reports only the owner may start it unasked, and it asks first.
            self.failures.remove(key);
            if side == HoldingSet::LOCAL {
                self.ask_for(key);
            }
            return false;
        }
        let movable = self.nice()
            && !moved
            && self.is_pair()
            && self.other_stable
            && self.run.phase() == Phase::Stable
            && self.hand_over_obstacle(side).is_none()
            && self.peer_active();
        if movable {
            // Forgotten when it is given up, not before: the other node may go or refuse.
            let at = self.after(if busy { TRY_SOON } else { MOVE_AFTER });
            if let Some(failure) = self.failures.get_mut(key) {
                failure.at = at;
            }
            if busy {
                return false;
            }
            let set = if side == HoldingSet::LOCAL {
                "local"
            } else {
                "foreign"
            };
            self.warn(format!(
                "group {key} does not start here: {set} resources move to the other node"
            ));
            let cause = format!("group {key} does not start here");
            self.begin_standby(side, Wish::NotStarted, &cause);
            return false;
        }
        self.info(format!("group {key} failed to start: trying again"));
        self.decide(
            format!("tries to start group {key} again"),
            "it is held and does not run",
        );
        let at = self.after(LONGEST_PAUSE);
        if let Some(failure) = self.failures.get_mut(key) {
            failure.at = at;
        }
        true
    }

    /// The same at run time, when the node has nothing to do: one look each time that it comes to rest.
    /// `true`: there is something to stop.
    ///
    /// With more than two nodes one bit stands for several owners, and says nothing of one group.
    pub(in crate::resources) fn bring_together(&mut self) -> bool {
        let at_rest = self.nice()
            && self.peers.len() <= 1
            && self.run.phase() == Phase::Stable
            && self.standby == Standby::Not
            && !self.groups.at_work()
            && !self.freeze.is_on()
            && !self.stopping();
        if !at_rest {
            self.looked_at = None;
            return false;
        }
        if self.looked_at.replace(self.mine) == Some(self.mine) {
            return false;
        }
        let mut stops = Vec::new();
        for (key, side) in self.groups.keys_and_sides() {
            let (held, runs) = (self.mine.has(side), self.groups.runs(&key));
            if runs && !held && !self.left.contains(&key) {
                stops.push(key);
            } else if held
                && !runs
                && !self.failures.contains_key(&key)
                && !self.given_by_key.contains(&key)
            {
                self.start_when_settled(key);
            }
        }
        let any = !stops.is_empty();
        self.release_rest(stops);
        any
    }
}
