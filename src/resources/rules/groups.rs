//! An order for a group has ended. Groups that are tried again, left to their owner, or brought to
//! where they belong by what this node holds.

use crate::clock::Monotonic;
use crate::notice::Notice;
use crate::protocol::event::{Action, GroupOrder, GroupOutcome, OrderId};
use crate::protocol::group::GroupKey;
use crate::resources::gate::{Act, Obstacle, Outcome, Refusal};
use crate::resources::holding::HoldingSet;
use crate::resources::obstacles::Scope;
use crate::resources::parts::run::Phase;
use crate::resources::parts::standby::Wish;
use crate::resources::parts::trouble::{LONGEST_PAUSE, MOVE_AFTER, TRY_SOON};
use crate::resources::parts::work::Purpose;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Stops groups that another node is to run, when it can take them. `true`: there is something
    /// to stop.
    pub(in crate::resources) fn let_owners_take(&mut self) -> bool {
        self.groups.forget_what_is_held(self.duty.held());
        if !self.may(Act::LeaveToOwner) {
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
            self.groups.no_longer_left(key);
            let side = self.groups.side_of(key);
            if side.is_some_and(|side| self.duty.holds(side)) {
                // Held by our file: started again when the other node releases it.
                self.groups.start_when_settled(key, self.now);
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
        let for_good = self.groups.purpose_of(order) == Some(&Purpose::StopFailed);
        if !self.groups.ended(order, group, &outcome) {
            self.debug(format!("unknown order of group {group} ended"));
            return;
        }
        match outcome {
            GroupOutcome::Started => {
                let was_taken = self.groups.started(group);
                if was_taken && self.nice() && self.run.phase() == Phase::Stable {
                    // Our weight has changed for a node that receives us.
                    self.answer();
                }
            }
            GroupOutcome::Stopped if for_good => {
                if self.groups.ailing_mut().stays_down(group) {
                    self.groups.stopped_for_good(group, self.now);
                } else {
                    self.groups.start_when_settled(group, self.now);
                }
            }
            GroupOutcome::Stopped => {
                self.groups.forget_trouble(group);
            }
            GroupOutcome::StartFailed { resource, code } => {
                self.decide(
                    format!("stops group {group} again"),
                    format!("{resource} did not start, exit code {code}"),
                );
                if self.groups.trouble(group).is_some() {
                    self.error(format!(
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
                if self.groups.has_address_taken(group) {
                    // Probed again every ten seconds, logged once.
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
        let passed_on = self.groups.is_passed_on(group);
        if passed_on && self.groups.trouble(group).is_none() {
            self.notice(Notice::OtherCrit {
                text: format!(
                    "group {group} starts on neither node: it stays down (hb_takeover tries at once)"
                ),
            });
        }
        let returns = !passed_on && self.is_given_now(group);
        self.groups.did_not_start(group, returns, self.now);
    }

    /// The group is tried again soon. It is never moved, because the other node would find the
    /// same.
    pub(in crate::resources) fn address_taken(&mut self, group: &GroupKey) {
        if !self.stopping() && self.run.phase() != Phase::Shutdown {
            self.groups.address_is_taken(group, self.now);
        }
    }

    pub(in crate::resources) fn failures_overdue(&mut self) {
        if !self.may(Act::LookAtFailed) {
            return;
        }
        // All groups in one job, one after the other, as in a takeover, and not one each second.
        let mut tried = Vec::new();
        for (key, may_move) in self.groups.in_trouble(self.now) {
            if self.retry_or_move(&key, may_move, !tried.is_empty()) {
                tried.push(key);
            }
        }
        if !tried.is_empty() {
            self.groups.begin(Purpose::Retry, tried, GroupOrder::Start);
        }
    }

    /// Decides what is done about a group that is held and does not run. `true`: the group is to be
    /// tried here now. `busy`: so is another.
    pub(in crate::resources) fn retry_or_move(
        &mut self,
        key: &GroupKey,
        may_move: bool,
        busy: bool,
    ) -> bool {
        let (act, side) = self.retry(key);
        let scope = Scope::group(key).with_set(side);
        if let Err(refusal) = self.gate(act, &scope) {
            self.not_tried(key, side, refusal);
            return false;
        }
        if may_move && self.gate(Act::Move, &scope).is_ok() {
            self.offer_what_does_not_start(key, side, busy);
            return false;
        }
        self.info(format!("group {key} failed to start: trying again"));
        self.decide(
            format!("tries to start group {key} again"),
            "it is held and does not run",
        );
        self.groups.waits_until(key, self.after(LONGEST_PAUSE));
        true
    }

    /// A group that does not run is not tried here now.
    fn not_tried(&mut self, key: &GroupKey, side: HoldingSet, refusal: Refusal) {
        if refusal.outcome == Outcome::Wait {
            if refusal.obstacle == Obstacle::Unconfirmed {
                self.ask_to_confirm(key);
            }
            return self.groups.waits_until(key, self.after(TRY_SOON));
        }
        self.groups.forget_trouble(key);
        // Without reports only the owner may start it unasked, and the owner asks first.
        if refusal.outcome == Outcome::Instead && side == HoldingSet::LOCAL {
            self.ask_for(key);
        }
    }

    pub(in crate::resources) fn failures_deadline(&self) -> Option<Monotonic> {
        let due = self.groups.trouble_deadline();
        due.filter(|_| self.may(Act::LookAtFailed))
    }

    /// Offers the group to the other node, with the rest of its half. `busy`: another group is
    /// about to be tried here.
    fn offer_what_does_not_start(&mut self, key: &GroupKey, side: HoldingSet, busy: bool) {
        // The trouble is forgotten when the group is given up, not before: the other node may go or
        // refuse.
        let pause = if busy { TRY_SOON } else { MOVE_AFTER };
        self.groups.waits_until(key, self.after(pause));
        if busy {
            return;
        }
        self.warn(format!(
            "group {key} does not start here: {side} resources move to the other node"
        ));
        let cause = format!("group {key} does not start here");
        self.begin_standby(side, Wish::NotStarted, &cause);
    }

    /// Brings each group to where it belongs at run time, as [`resume`](Self::resume) does: one
    /// check each time that the node comes to rest. `true`: there is something to stop.
    ///
    /// With more than two nodes one bit stands for several owners, and tells nothing about one
    /// group.
    pub(in crate::resources) fn bring_together(&mut self) -> bool {
        if !self.may(Act::BringTogether) {
            self.looked_at = None;
            return false;
        }
        if self.looked_at.replace(self.duty.held()) == Some(self.duty.held()) {
            return false;
        }
        let mut stops = Vec::new();
        for (key, side) in self.groups.keys_and_sides() {
            let (held, runs) = (self.duty.holds(side), self.groups.runs(&key));
            if runs && !held && !self.groups.is_left(&key) {
                stops.push(key);
            } else if held
                && !runs
                && self.groups.trouble(&key).is_none()
                && !self.groups.is_given_by_key(&key)
            {
                self.groups.start_when_settled(&key, self.now);
            }
        }
        let any = !stops.is_empty();
        self.release_rest(stops);
        any
    }
}
