//! Releases: of everything, of one half, or of a group that must not run here.

use crate::notice::Notice;
use crate::protocol::event::{Action, GroupOrder};
use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;
use crate::protocol::partition::{Half, Weight};
use crate::resources::gate::Act;
use crate::resources::holding::HoldingSet;
use crate::resources::messages::report;
use crate::resources::output::ResourceOutput;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::run::Phase;
use crate::resources::parts::stop::Stop;
use crate::resources::parts::unowned::Unowned;
use crate::resources::parts::work::Purpose;
use crate::resources::state::{Audit, ResourceState};

impl ResourceState {
    pub(in crate::resources) fn leave_to_legacy(&mut self, node: &NodeName, set: HoldingSet) {
        self.decide(
            format!("no longer holds the {set} resources"),
            format!("{node} says that it holds them, and another host has their addresses"),
        );
        self.duty.leave(set);
        if set.has(HoldingSet::FOREIGN) {
            self.failback_settled();
        }
        for key in self.groups.keys_of(set) {
            self.groups.forget_trouble(&key);
        }
        self.answer();
    }

    /// The peer is received again: nothing runs here, so both nodes begin anew. `false`: this node
    /// was not isolated.
    pub(in crate::resources) fn heard_when_cut_off(&mut self, cause: &str) -> bool {
        let Some(released) = self.isolation.ends() else {
            return false;
        };
        self.warn(format!("no longer isolated: {cause}"));
        self.decide("begins anew", cause);
        self.run.communication_down();
        self.forget_verdicts();
        self.out.push(ResourceOutput::BeginNewGeneration);
        if released {
            self.forget();
        }
        true
    }

    /// A stop is requested while the node is isolated: nothing is left to wait for.
    pub(in crate::resources) fn stop_when_cut_off(&mut self) {
        if self.isolation.ends() == Some(true) {
            self.run.enters(Phase::Stable);
        }
    }

    /// Another node may have taken what we are releasing. Addresses that still answer are removed
    /// at once, however long the scripts of their groups take, and the release waits for nothing.
    /// The other node is told once more that the release is under way, because it may have missed
    /// that.
    pub(in crate::resources) fn others_may_run_them(&mut self, why: &str) {
        if !self.setup.manages() || self.groups.number_running() == 0 {
            return;
        }
        if !self.stop.tell_of_release() {
            // Sent with each of its heartbeats that says so. Otherwise it would wait for a new run
            // of ours in vain, and then release groups that no other node runs.
            return self.say_that_we_leave();
        }
        self.notice(Notice::OtherCrit {
            text: format!("addresses go before their groups are stopped: {why}"),
        });
        self.decide("takes all addresses away", why);
        let keys = self.groups.keys_of(HoldingSet::ALL);
        self.act(Action::WithdrawAddresses(keys));
        self.stop_without_waiting();
        self.say_that_we_leave();
    }

    /// Only under `auto_failback legacy`: no node reports there, and a node that is being stopped
    /// asks for nothing. Another node may have taken what this node has not released yet: a node
    /// that was not received, or one that goes on with what an earlier process of it took.
    pub(in crate::resources) fn may_run_ours(&mut self, node: &NodeName) {
        if !self.nice() && self.stopping() {
            self.others_may_run_them(&format!("node {node} may run them as well"));
        }
    }

    /// The same when a stop is requested, or when communication comes up after that: `unknown`
    /// groups run here, and no node has reported whether it runs them too.
    pub(in crate::resources) fn others_may_run(&mut self, unknown: &[GroupKey]) {
        let any = unknown.iter().any(|key| self.groups.runs(key));
        if any && !self.nice() && !self.other.all_gone() {
            let why = "the other node has not said that it does not run them";
            self.others_may_run_them(why);
        }
    }

    /// Releases everything and begins again under a new generation. The generation changes before
    /// the release: other nodes may have declared us dead and must receive nothing of the old run
    /// any more.
    pub(in crate::resources) fn release_after_split(&mut self, why: &str) {
        if !self.may(Act::BeginAnew) {
            return self.others_may_run_them(why);
        }
        self.lift_freeze(why);
        self.notice(Notice::OtherCrit {
            text: format!("giving up everything: {why}"),
        });
        self.decide(
            format!("releases {} and begins anew", self.duty.held()),
            why,
        );
        let keys = self.groups.keys_of(HoldingSet::ALL);
        self.act(Action::WithdrawAddresses(keys));
        self.notice(Notice::RestartTriggered {});
        // Beside a node that does not resolve a split brain, the new run began when that node was
        // declared dead.
        let begun = self.other.peers().any(Peer::has_renumbered_us) && self.run.comm_up();
        if !begun {
            self.run.communication_down();
            self.out.push(ResourceOutput::BeginNewGeneration);
        }
        let none_resolves = self.other.peers().all(|peer| !peer.resolves_split_brain());
        let released_foreign = self.nice() && none_resolves && self.duty.holds(HoldingSet::FOREIGN);
        self.begin_anew();
        self.contest.releases_foreign(released_foreign);
    }

    /// Releases the groups of a legacy node that runs them itself.
    pub(in crate::resources) fn leave_foreign_to(&mut self, node: &NodeName, why: &str) {
        let foreign = HoldingSet::FOREIGN;
        if !self.both_hold_foreign() || !self.may(Act::LeaveForeign) {
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
        self.groups.cancel(taken_over);
        self.failback_settled();
        let keys = self.groups.keys_of(foreign);
        for key in &keys {
            self.groups.forget_trouble(key);
        }
        self.duty.give(foreign);
        self.act(Action::WithdrawAddresses(keys.clone()));
        self.answer();
        self.groups.begin(Purpose::Give, keys, GroupOrder::Stop);
    }

    /// A requested stop waits for nothing any more: other nodes may run what runs here.
    pub(in crate::resources) fn stop_without_waiting(&mut self) {
        if matches!(self.stop.state(), Stop::Wanted { .. }) {
            self.begin_stop();
        }
    }

    pub(in crate::resources) fn begin_stop(&mut self) {
        self.stop.goes_on(Stop::Releasing);
        self.notice(Notice::ShutdownInProgress {
            pid: self.setup.pid(),
        });
        self.decide(
            format!("releases {} and stops", self.duty.held()),
            "a stop was requested",
        );
        if self.run.phase() != Phase::Shutdown {
            self.release_all("shutdown");
        }
    }

    /// Releases everything, and cancels running work. `info`: the reason in the report to the other
    /// nodes.
    pub(in crate::resources) fn release_all(&mut self, info: &str) {
        self.notice(Notice::GivingUpAll {});
        // Everything that runs, held or not: a release may be under way, or a hand-over to us.
        self.duty.give_everything(self.groups.running_halves());
        self.contest.releases_foreign(false);
        self.run.releases();
        self.standby.release();
        self.failback_settled();
        self.failback.disarm();
        self.groups.forget_all_trouble();
        self.groups.forget_all_asked();
        self.timers.release();
        self.unowned = Unowned::default();
        self.groups.cancel(|_| true);
        if self.nice() && self.run.comm_up() {
            self.send(report(HoldingSet::NONE, false, Some(info)));
        }
        let keys = self.groups.keys_of(HoldingSet::ALL);
        self.groups
            .begin(Purpose::ReleaseAll, keys, GroupOrder::Stop);
    }

    /// Releases everything; afterwards a new run begins.
    pub(in crate::resources) fn begin_anew(&mut self) {
        self.forget_verdicts();
        self.leave_in_its_hands();
        self.release_all("shutdown");
    }

    /// Resets the state to the first moment of a run. Only what membership reported stays.
    pub(in crate::resources) fn forget(&mut self) {
        self.run.forget();
        self.duty.leave(HoldingSet::ALL);
        self.stop.forget();
        self.audit = Audit::default();
        self.groups.take_back_given();
        self.questions.forget();
        self.other.forget();
    }

    /// Keeps what we give away and have not begun to stop, whether a standby was interrupted or an
    /// earlier process began a release: we take it, and no stop may follow that. A node that is
    /// being stopped takes nothing: it goes on with the release, and reports to the end what is not
    /// released yet. Returns what was being stopped for a taker; `None`: no stop was withdrawn.
    pub(in crate::resources) fn withdraw_stops(&mut self) -> Option<HoldingSet> {
        let giving = |purpose: &Purpose| *purpose == Purpose::Give;
        if !self.groups.has_job(giving) || self.stopping() {
            return None;
        }
        self.groups.cancel(giving);
        let kept = self.duty.handed_over();
        self.duty.released();
        Some(kept)
    }

    pub(in crate::resources) fn release_rest(&mut self, keys: Vec<GroupKey>) {
        let named = Self::named(&keys);
        self.release_unheld(
            keys,
            &format!("stopping what runs here and is not held, the rest of a release: {named}"),
            "it runs and is not held: a release of it was cut short, and another node may run it",
        );
    }

    /// Stops what runs and is not held. A node that asks meanwhile receives that it is not released
    /// yet.
    pub(in crate::resources) fn release_unheld(
        &mut self,
        keys: Vec<GroupKey>,
        text: &str,
        cause: &str,
    ) {
        if keys.is_empty() {
            return;
        }
        self.warn(text);
        self.decide(format!("stops {}", Self::named(&keys)), cause);
        for key in &keys {
            self.groups.forget_trouble(key);
            let side = self.groups.side_of(key).unwrap_or(HoldingSet::NONE);
            self.duty.stop(side);
        }
        self.act(Action::WithdrawAddresses(keys.clone()));
        self.groups.begin(Purpose::Give, keys, GroupOrder::Stop);
    }

    /// The other node claims its own groups and so do we, although none of them runs here or is
    /// about to start: their start failed. The other node serves, and we have nothing to stop.
    pub(in crate::resources) fn leave_what_the_owner_runs(
        &mut self,
        node: &NodeName,
        theirs: Option<Weight>,
    ) {
        let foreign = HoldingSet::FOREIGN;
        let both = self.both_hold_foreign() && self.may(Act::LeaveServed);
        let served =
            theirs.is_some_and(|theirs| theirs.foreign.is_some() && theirs.serves(Half::Theirs));
        let keys = self.groups.keys_of(foreign);
        if !both || !served || keys.iter().any(|key| self.groups.takes(key)) {
            return;
        }
        self.decide(
            "no longer holds the foreign resources",
            format!("{node} runs them, and they do not start here"),
        );
        self.duty.leave(foreign);
        self.failback_settled();
        for key in &keys {
            self.groups.forget_trouble(key);
        }
        self.answer();
    }
}
