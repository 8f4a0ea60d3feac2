//! Two nodes that gave each other up and hear each other again: who keeps, who yields, and what
//! waits meanwhile. The rule is in [`crate::protocol::partition`].
//! Spec: docs/protocol/membership.md, 2,
//! 6.2 and 16.3.
//!
//! | what shows it | what we do |
//! |---|---|
//! | we declared it dead, it is back in the run that we knew, and it knows the rule | keep, wait for it to yield; yield at once when nothing runs here |
//! | the same, and it does not know the rule | yield |
//! | it says that it declared our present run dead | the rule |
//! | it claims our groups and we hold them | the rule if it holds to it, else yield |
//! | the same, and it says that it runs nothing | keep |
//! | we began anew with groups, and it gave up the run before, or claims them, and has not heard us | yield |
//! | a legacy node claims its own groups and we hold them: it began anew in the partition | release those |
//! | our own silence was longer than it waits for us, and it was there | yield |
//! | we wait for it to yield, and it does not | yield |
//! | we yielded to one that does not hear us, and it has run a half of the groups not at all for 10 s | take that half again, and yield again when it runs it |
//!
//! Yielding is: addresses away, then a new generation, then every group stopped, then a start as
//! any other. Whoever keeps does nothing at all to its groups.

use std::time::Duration;

use super::holding::HoldingSet;
use super::jobs::Purpose;
use super::output::ResourceOutput;
use super::peers::Peer;
use super::standby::Standby;
use super::state::{Phase, ResourceState};
use crate::clock::Monotonic;
use crate::notice::Notice;
use crate::protocol::event::{Action, GroupOrder};
use crate::protocol::group::ResourceGroup;
use crate::protocol::name::NodeName;
use crate::protocol::partition::{Half, Weight, yields};
use crate::protocol::status::NodeStatus;

/// Keepalives that a node that has to yield may take to show its new generation: one until it
/// hears us, and some that are lost.
const KEEPALIVES_TO_YIELD: u32 = 4;
/// The same, at least: delays between actors and nodes do not shrink with the keepalive.
const LEAST_TO_YIELD: Duration = Duration::from_secs(1);
/// How long a takeover waits for the report of a node that came back meanwhile.
const REPORT_BEFORE_TAKEOVER: Duration = Duration::from_secs(10);

impl ResourceState {
    /// What we put on the scales now.
    pub(super) fn weight(&self) -> Weight {
        // Frozen we have taken nothing over, and are not to be touched.
        let keeps = self.frozen && !self.mine.has(HoldingSet::FOREIGN);
        let number = |set: HoldingSet| {
            let keys = self.keys_of(set);
            let taken = keys.iter().filter(|key| self.jobs.takes(key)).count();
            u32::try_from(taken).unwrap_or(u32::MAX)
        };
        let (own, foreign) = (number(HoldingSet::LOCAL), number(HoldingSet::FOREIGN));
        Weight {
            before: if keeps { u32::MAX } else { self.ran_before },
            runs: own.saturating_add(foreign),
            foreign: Some(foreign),
        }
    }

    /// Tells membership what we weigh while it has to say so.
    pub(super) fn tell_weight(&mut self) {
        // Who stops cannot keep anything, and does not ask others to yield.
        let given_up = !self.stopping() && self.peers.values().any(|peer| peer.given_up);
        let weight = given_up.then(|| self.weight());
        if self.told_weight != weight {
            self.told_weight = weight;
            self.out.push(ResourceOutput::Weight(weight));
        }
    }

    /// A node is declared dead. One that does not know the rule restarts when it hears us again in
    /// the run that it knew, unless the first that it hears is a new one.
    /// Spec: docs/protocol/membership.md, 16.3.
    pub(super) fn give_up_on(&mut self, node: &NodeName, heard: bool, knows_the_rule: bool) {
        self.ran_before = self.jobs.groups_running();
        let renumber = heard && !knows_the_rule && self.is_pair() && self.comm_up;
        let peer = self.peers.entry(node.clone()).or_default();
        // Frozen we take nothing: no reason for it to let go of anything.
        peer.given_up = !self.frozen;
        // One that has left comes back in a new run of its own.
        if renumber && !peer.left {
            peer.renumbered = true;
            self.out.push(ResourceOutput::ContinueUnderNewGeneration);
        }
    }

    /// A node that we declared dead lives, in the run that we knew.
    pub(super) fn returned(&mut self, node: &NodeName, knows_the_rule: bool) {
        if let Some(peer) = self.peers.get_mut(node) {
            peer.claims = HoldingSet::ALL;
        }
        self.goes_on_after_its_death(node);
        if !self.stopping()
            && self.heard_when_cut_off(&format!("node {node} is back after a partition"))
        {
            return;
        }
        if !self.may_begin_anew() {
            return self.others_may_run_them(&format!("node {node} is back after a partition"));
        }
        if self.frozen && !self.mine.has(HoldingSet::FOREIGN) {
            // It took ours perhaps, and lets go of them then.
            return self.decide(
                "releases nothing",
                format!("{node} is back, and frozen we have taken nothing of it"),
            );
        }
        if !knows_the_rule || !self.is_pair() {
            let why = format!("node {node} was declared dead and lives");
            return self.give_way(&why);
        }
        if self.weight().runs == 0 {
            let why = format!("node {node} was declared dead and lives, and nothing runs here");
            return self.give_way(&why);
        }
        self.notice(Notice::OtherCrit {
            text: format!("node {node} was declared dead and lives: one of us has to give up"),
        });
        self.decide(
            "keeps everything until it is clear who yields",
            format!("node {node} is back after a partition"),
        );
        self.hold_takeovers(node);
        self.expect_way();
    }

    /// A living node declared our present run dead.
    pub(super) fn given_up(&mut self, node: &NodeName, theirs: Weight, mutual: bool) {
        if !self.may_begin_anew() {
            return self.others_may_run_them(&format!("node {node} has declared us dead"));
        }
        let ours = self.weight();
        let we_yield = if mutual {
            yields(&self.local, ours, node, theirs)
        } else {
            ours.runs == 0 || theirs.runs > 0
        };
        if we_yield {
            // It takes them, and may not hear our next run for a while.
            if let Some(peer) = self.peers.get_mut(node) {
                peer.claims = peer.claims.with(HoldingSet::FOREIGN);
            }
            let why = format!("node {node} has declared us dead");
            self.give_way(&why);
        } else {
            if mutual && let Some(peer) = self.peers.get_mut(node) {
                // Frozen we have not said so yet.
                peer.given_up = true;
            }
            self.decide(
                "keeps everything",
                format!("node {node} gave us up, and has to yield by the rule"),
            );
            self.hold_takeovers(node);
            self.expect_way();
        }
    }

    /// Nothing of ours was sent for our own dead time: who was there has given us up.
    pub(super) fn was_silent(&mut self, silent: Duration) {
        if self.all_peers_gone() {
            // Nobody was there to take anything.
            return;
        }
        let why = format!(
            "nothing was sent for {} ms, longer than others wait for us",
            silent.as_millis()
        );
        self.give_way(&why);
    }

    /// Another node may have taken what we are releasing: addresses that still answer go at once,
    /// whatever their groups' scripts take, and nothing is waited for before the release. The
    /// other node hears, once more, that it is under way, for it may have missed that.
    pub(super) fn others_may_run_them(&mut self, why: &str) {
        let runs = |group: &ResourceGroup| self.jobs.runs(&group.key);
        if !self.manage || !self.groups.iter().any(runs) {
            return;
        }
        if std::mem::replace(&mut self.told_of_release, true) {
            // With each of its beats that says so: it would wait for a new run of ours in vain, and
            // then let go of what nobody else runs.
            return self.say_that_we_leave();
        }
        self.notice(Notice::OtherCrit {
            text: format!("addresses go before their groups are stopped: {why}"),
        });
        self.decide("takes all addresses away", why);
        let keys = self.keys_of(HoldingSet::ALL);
        self.act(Action::WithdrawAddresses(keys));
        self.stop_without_waiting();
        self.say_that_we_leave();
    }

    fn say_that_we_leave(&mut self) {
        if self.stopping() && self.comm_up && self.nice() {
            self.answer();
        }
    }

    /// Whether a release of everything is not under way already.
    fn may_begin_anew(&self) -> bool {
        self.manage && self.phase != Phase::Shutdown && !self.stopping()
    }

    /// Lets go of everything and begins again under a new generation, which comes before the
    /// release: others may hold us for dead and shall hear nothing of the old run any more.
    pub(super) fn give_way(&mut self, why: &str) {
        if !self.may_begin_anew() {
            return self.others_may_run_them(why);
        }
        self.lift_freeze(why);
        self.notice(Notice::OtherCrit {
            text: format!("giving up everything: {why}"),
        });
        self.decide(format!("releases {} and begins anew", self.mine), why);
        let keys = self.keys_of(HoldingSet::ALL);
        self.act(Action::WithdrawAddresses(keys));
        self.notice(Notice::RestartTriggered {});
        // Beside a node that does not know the rule the new run began when that was declared dead.
        let begun = self.peers.values().any(|peer| peer.renumbered) && self.comm_up;
        if !begun {
            self.comm_up = false;
            self.out.push(ResourceOutput::BeginNewGeneration);
        }
        let ignorant = self.peers.values().all(|peer| !peer.yields);
        let let_go = self.nice() && ignorant && self.mine.has(HoldingSet::FOREIGN);
        self.begin_anew();
        self.let_go = let_go;
    }

    /// We settle after we let go for a node. When that runs nothing and is settled, it has heard us
    /// all the while, and starts its own groups only with a new run: what it left to us is ours
    /// again at once, as our own groups are.
    pub(super) fn take_what_was_let_go(&mut self) {
        if !std::mem::take(&mut self.let_go) {
            return;
        }
        let settled = |peer: &Peer| {
            peer.reported && !peer.fresh && !peer.leaving && peer.status == Some(NodeStatus::Active)
        };
        let left_to_us = self.is_pair()
            && self.other_stable
            && self.theirs_at_most().is_none()
            && self.peers.values().all(settled);
        if left_to_us && !self.stopping() && !self.frozen {
            self.decide(
                "takes the foreign resources again",
                "they were let go for their owner, which runs nothing and is settled",
            );
            self.take_orphans(HoldingSet::FOREIGN);
        }
    }

    /// The verdicts of the run that ends mean nothing in the next.
    pub(super) fn forget_verdicts(&mut self) {
        self.ran_before = 0;
        for peer in self.peers.values_mut() {
            peer.given_up = false;
            peer.renumbered = false;
        }
    }

    /// Waits for the other side to yield; no longer than that takes. It may not hear us. One that
    /// is being stopped cannot begin a new run: its scripts take their time, then it leaves.
    fn expect_way(&mut self) {
        if self.timers.other_yields.is_none() && !self.other_leaves() {
            let wait = self
                .keepalive
                .saturating_mul(KEEPALIVES_TO_YIELD)
                .max(LEAST_TO_YIELD);
            self.timers.other_yields = Some(self.after(wait));
        }
        self.other_stable = false;
    }

    /// Whether another node has said that it gives everything up to go.
    fn other_leaves(&self) -> bool {
        self.peers.values().any(|peer| peer.leaving || peer.left)
    }

    /// A node says that it is being stopped: no other yielding is to be expected of it.
    pub(super) fn leaves_instead_of_yielding(&mut self, node: &NodeName) {
        if self.timers.other_yields.take().is_some() {
            self.decide(
                "keeps everything, and waits until the other node has gone",
                format!("node {node} is being stopped"),
            );
        }
    }

    /// Whether it is open who keeps.
    pub(super) const fn contested(&self) -> bool {
        self.timers.other_yields.is_some()
    }

    pub(super) fn partition_deadline(&self) -> Option<Monotonic> {
        [self.timers.other_yields, self.timers.takeover_goes_on]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn partition_overdue(&mut self) {
        if Self::take_due(&mut self.timers.other_yields, self.now) {
            self.give_way("the other node does not give up what both run");
        }
        if Self::take_due(&mut self.timers.takeover_goes_on, self.now) {
            if self.peers.values().any(|peer| peer.leaving && !peer.left) {
                // It says when it has released them, or dies.
                self.timers.takeover_goes_on = Some(self.after(REPORT_BEFORE_TAKEOVER));
                return;
            }
            self.warn("the node that came back does not report its resources: taking them");
            self.go_on_with_takeovers();
        }
    }

    /// The other side begins a new run or is gone: nothing is contested any more.
    pub(super) fn way_given(&mut self, node: &NodeName) {
        self.timers.other_yields = None;
        if let Some(peer) = self.peers.get_mut(node) {
            peer.given_up = false;
        }
    }

    /// A node is heard again whose groups are being taken over, or which ran ours: what is not yet
    /// started waits until it reports, because it may still run it. Where nobody reports, ours are asked
    /// for when it is active, and its own it asks for.
    pub(super) fn hold_takeovers(&mut self, node: &NodeName) {
        if !self.nice() && self.is_pair() {
            if self.jobs.withdraw_steps(is_takeover) {
                self.decide(
                    "starts nothing more of what was taken over",
                    format!("node {node} is heard again, and may run it: the owner asks"),
                );
            }
        } else if self.jobs.hold(may_run_there) {
            self.info(format!("takeover waits for the report of node {node}"));
            self.timers.takeover_goes_on = Some(self.after(REPORT_BEFORE_TAKEOVER));
        }
    }

    /// Whether a takeover waits.
    pub(super) const fn takeover_held(&self) -> bool {
        self.timers.takeover_goes_on.is_some()
    }

    pub(super) fn go_on_with_takeovers(&mut self) {
        self.timers.takeover_goes_on = None;
        self.jobs.go_on();
    }

    /// A node that came back during a takeover has reported.
    ///
    /// | what we take or hold is | then |
    /// |---|---|
    /// | claimed by it | it sees the same in our report, and yields |
    /// | in doubt: it says no longer that it holds it, and not yet that it is settled | wait |
    /// | neither | taken |
    pub(super) fn look_at_held_takeovers(&mut self) {
        if !self.takeover_held() || self.contested() {
            return;
        }
        let wanted = self.mine;
        let ours_in = |theirs: HoldingSet| {
            let halves = [HoldingSet::LOCAL, HoldingSet::FOREIGN];
            let both = |half| theirs.mirror().has(half) && wanted.has(half);
            halves.into_iter().any(both)
        };
        if ours_in(self.theirs) {
            self.expect_way();
        } else if !ours_in(self.theirs_at_most()) {
            self.go_on_with_takeovers();
        }
    }

    /// Whether no standby has come as far as moving groups.
    const fn nothing_moves(&self) -> bool {
        match self.standby {
            Standby::Not | Standby::Asked(_) | Standby::Answered { .. } => true,
            Standby::Giving | Standby::Given | Standby::Taking => false,
        }
    }

    /// A living peer says that it runs our groups while we do and never gave them up: it took us
    /// for dead. `theirs` is what it weighs, when it knows the rule; then that decides if each
    /// holds what is the other's. Spec: docs/protocol/membership.md, 2, [D] (c).
    pub(super) fn conflicts(&mut self, node: &NodeName, theirs: Option<Weight>) -> bool {
        let ours_taken = self.theirs.has(HoldingSet::FOREIGN) && self.mine.has(HoldingSet::LOCAL);
        let conflict =
            self.is_pair() && ours_taken && self.nothing_moves() && self.phase != Phase::Shutdown;
        if !conflict {
            return false;
        }
        if self.counts_by_group() && !self.some_run_twice() {
            // The halves are not the same groups to both.
            return false;
        }
        if self.contested() {
            // Decided by what both have said of each other; it has to yield.
            return true;
        }
        let both = self.theirs.has(HoldingSet::LOCAL) && self.mine.has(HoldingSet::FOREIGN);
        let runs_nothing =
            theirs.is_some_and(|theirs| theirs.runs == 0 || (!both && !theirs.serves(Half::Ours)));
        if runs_nothing && self.weight().runs > 0 {
            // It found the addresses with us, and asks for them before each further attempt.
            self.decide(
                "keeps everything",
                format!("node {node} claims what runs here, and runs none of it"),
            );
            return true;
        }
        if let Some(theirs) = theirs.filter(|_| both)
            && !yields(&self.local, self.weight(), node, theirs)
        {
            self.expect_way();
            return true;
        }
        self.give_way("the other node has taken our resources while we held them");
        true
    }

    /// A legacy node claims its own groups while we hold them: we took them when it was not heard, and
    /// its process began anew meanwhile (`heartbeat -r`), holding what it held, or has run since before our
    /// own start. It does not yield, and takes nothing back by itself. A node that begins with nothing says so in its first stable report, and
    /// later it may call other groups its own than we do (its haresources was changed).
    pub(super) fn leave_what_a_legacy_owner_kept(&mut self, node: &NodeName) {
        let Some(peer) = self.peers.get(node) else {
            return;
        };
        let legacy = peer.returns && !peer.systole;
        if self.both_hold_foreign() && !self.may_let_go() {
            // A standby moves, or something else: the report that we ask for behind it decides.
            return;
        }
        if let Some(peer) = self.peers.get_mut(node) {
            peer.returns = false;
        }
        if legacy {
            self.leave_foreign_to(
                node,
                "has kept its own resources, which were taken over here",
            );
        }
    }

    fn both_hold_foreign(&self) -> bool {
        self.mine.has(HoldingSet::FOREIGN) && self.theirs.has(HoldingSet::LOCAL)
    }

    /// Whether nothing keeps us from releasing the groups of the other node.
    fn may_let_go(&self) -> bool {
        self.is_pair()
            && self.phase == Phase::Stable
            && self.nothing_moves()
            && !self.stopping()
            && !self.contested()
    }

    /// Releases the groups of a legacy node that runs them itself.
    pub(super) fn leave_foreign_to(&mut self, node: &NodeName, why: &str) {
        let foreign = HoldingSet::FOREIGN;
        if !self.both_hold_foreign() || !self.may_let_go() {
            return;
        }
        let why = format!("node {node} {why}");
        self.lift_freeze(&why);
        self.notice(Notice::OtherCrit {
            text: format!("giving up the foreign resources: {why}"),
        });
        self.decide("releases the foreign resources", why);
        self.go_on_with_takeovers();
        let taken_over = |purpose: &Purpose| matches!(purpose, Purpose::TakeOver(_));
        self.jobs.cancel(taken_over);
        self.failback_settled();
        let keys = self.keys_of(foreign);
        for key in &keys {
            self.failures.remove(key);
        }
        self.mine = self.mine.without(foreign);
        self.releasing = self.releasing.with(foreign);
        self.act(Action::WithdrawAddresses(keys.clone()));
        self.answer();
        self.jobs.add(Purpose::Give, keys, GroupOrder::Stop);
    }
}

fn is_takeover(purpose: &Purpose) -> bool {
    matches!(purpose, Purpose::TakeOver(_) | Purpose::AcquireLocal)
}

/// Whether a job starts what a node that was held for dead may run as well. What it was to be given by
/// that node is ours since the death, and the node may have taken it back.
const fn may_run_there(purpose: &Purpose) -> bool {
    match purpose {
        Purpose::AcquireLocal
        | Purpose::TakeOver(_)
        | Purpose::Take
        | Purpose::Reclaim
        | Purpose::Retry => true,
        Purpose::Give
        | Purpose::ReleaseAll
        | Purpose::HandOver { .. }
        | Purpose::Granted
        | Purpose::LeaveToOwner
        | Purpose::Cancelled => false,
    }
}
