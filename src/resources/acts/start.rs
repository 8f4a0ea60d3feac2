//! Starting groups: the own groups of this node, those of a dead node, those that no node runs, and those that
//! another node asked us to take.

use crate::notice::Notice;
use crate::protocol::event::{Action, GroupOrder};
use crate::protocol::group::GroupKey;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::resources::holding::HoldingSet;
use crate::resources::hooks;
use crate::resources::messages::report;
use crate::resources::parts::contest::{REPORT_BEFORE_TAKEOVER, is_takeover, may_run_there};
use crate::resources::parts::names::unconfirmed_text;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::run::Phase;
use crate::resources::parts::standby::Standby;
use crate::resources::parts::timers::Timer;
use crate::resources::parts::work::Purpose;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Starts groups that no node runs.
    pub(in crate::resources) fn take_unowned(&mut self, set: HoldingSet) {
        self.duty.take(set);
        let keys = self.not_elsewhere(self.groups.keys_of(set));
        self.groups.begin(Purpose::Reclaim, keys, GroupOrder::Start);
        self.send(report(self.duty.held(), false, None));
    }

    /// Whether a group that came to us may still run on the other node. That is so if the other node does not
    /// report it and the group has no address that could be probed: then a person has to confirm.
    pub(in crate::resources) fn must_be_confirmed(&mut self, key: &GroupKey) -> bool {
        let Some((node, peer)) = self.other.node() else {
            return false;
        };
        if peer.tells_what_runs() || !self.groups.came_without_address(key) {
            return false;
        }
        let text = unconfirmed_text(key, node);
        if self.groups.asks_to_confirm(key) {
            self.warn(text);
            self.decide(
                format!("does not start {key}"),
                "the other node ran it, does not say whether it still does, and it has no address",
            );
        }
        true
    }

    /// Leaves out the groups that the other node runs, or may run as far as can be found out. They are checked
    /// again until it does not.
    pub(in crate::resources) fn not_elsewhere(&mut self, keys: Vec<GroupKey>) -> Vec<GroupKey> {
        let there = |key: &GroupKey| self.other.runs(key) && !self.groups.runs(key);
        let (there, here): (Vec<_>, Vec<_>) = keys.into_iter().partition(there);
        if !there.is_empty() {
            self.decide(
                format!("does not start {}", Self::named(&there)),
                "the other node runs it",
            );
        }
        let (unclear, here): (Vec<_>, Vec<_>) = here
            .into_iter()
            .partition(|key| self.must_be_confirmed(key));
        for key in there.into_iter().chain(unclear) {
            self.groups.start_when_settled(&key, self.now);
        }
        here
    }

    /// Takes our own groups. `forced`: whatever the other side reports. Spec: docs/protocol/resources.md, 5.3.
    pub(in crate::resources) fn acquire_local(&mut self, forced: bool) {
        if self.stopping() || self.run.phase() == Phase::Shutdown {
            return;
        }
        let theirs = self.other.may_hold().has(HoldingSet::FOREIGN) && !self.counts_by_group();
        let theirs = theirs || self.all_run_there(HoldingSet::LOCAL);
        let moves = self.standby.state().in_other_hands().has(HoldingSet::LOCAL);
        if !forced && (theirs || moves || self.duty.holds(HoldingSet::LOCAL)) {
            self.notice(Notice::LocalAcquisitionNone {});
            return;
        }
        if self.freeze.is_on() {
            return self.leave_local_for_thaw();
        }
        if forced {
            self.withdraw_stops();
        }
        self.duty.take(HoldingSet::LOCAL);
        if self
            .groups
            .has_job(|purpose| *purpose == Purpose::AcquireLocal)
        {
            return;
        }
        let mut keys = self.groups.keys_of(HoldingSet::LOCAL);
        if !forced {
            keys = self.not_elsewhere(keys);
        }
        if keys.is_empty() {
            let node = self.setup.local().to_string();
            self.notice(Notice::NoLocalResources { node });
        } else {
            let cause = if forced {
                "no other node is there to run them"
            } else {
                "the nodes are agreed, or the wait for it is over: no other node holds them"
            };
            self.decide(
                format!("starts the local resources: {}", Self::named(&keys)),
                cause,
            );
        }
        self.groups
            .begin(Purpose::AcquireLocal, keys, GroupOrder::Start);
    }

    /// Starts these groups. The job is made even without groups, because its end must be reported.
    pub(in crate::resources) fn take_the_rest(&mut self, keys: Vec<GroupKey>) {
        if !matches!(self.standby.state(), Standby::Taking { .. }) {
            return;
        }
        for key in &keys {
            self.groups.forget_trouble(key);
        }
        self.groups.begin(Purpose::Take, keys, GroupOrder::Start);
    }

    /// Starts our own groups if this node is alone, else asks for each. A node of which no status has arrived yet
    /// may run them: that none has come yet is no proof of being alone.
    pub(in crate::resources) fn acquire_as_legacy(&mut self) {
        let keys: Vec<GroupKey> = self
            .groups
            .keys_owned_by(self.setup.local())
            .into_iter()
            .filter(|key| !self.groups.runs(key))
            .collect();
        if self.other.all_gone() {
            self.groups.forget_all_asked();
            return self.start_missing(Purpose::AcquireLocal, keys);
        }
        for key in keys {
            self.ask_for(&key);
        }
    }

    /// Starts those of the groups that neither run nor are about to be started. An earlier job may have lost some
    /// of its steps, because the node was received in between.
    fn start_missing(&mut self, purpose: Purpose, mut keys: Vec<GroupKey>) {
        keys.retain(|key| !self.groups.takes(key));
        if !keys.is_empty() {
            self.groups.begin(purpose, keys, GroupOrder::Start);
        }
    }

    /// Asks for our own groups, also those that run here: another node may have taken them, and releases them when
    /// asked.
    pub(in crate::resources) fn ask_for_own(&mut self) {
        if self.stopping() {
            return;
        }
        for key in self.groups.keys_owned_by(self.setup.local()) {
            if !self.groups.is_asked(&key) {
                self.ask_for(&key);
            }
        }
    }

    /// A node became active: it did not receive what it was asked before. It may also have taken our groups, when
    /// it was received and did not receive us, or when we did not run. Without reports, only a question tells.
    pub(in crate::resources) fn ask_again_as_legacy(&mut self) {
        let keys = self.groups.all_asked();
        if self.run.comm_up() && self.run.phase() == Phase::Stable {
            self.ask_for_own();
        }
        for key in keys {
            self.ask_for(&key);
        }
    }

    /// We settle after we released the foreign groups for their owner. An owner that runs nothing and is settled
    /// has received us all the time, and starts its own groups only with a new run. So what was left to it is ours
    /// again at once, like our own groups.
    pub(in crate::resources) fn take_what_was_released(&mut self) {
        if !self.contest.has_released_foreign() {
            return;
        }
        let settled = |peer: &Peer| {
            peer.has_reported() && !peer.is_fresh() && !peer.is_leaving() && peer.is_active()
        };
        let left_to_us = self.other.is_pair()
            && self.other.is_settled()
            && self.other.may_hold().is_none()
            && self.other.peers().all(settled);
        if left_to_us && !self.stopping() && !self.freeze.is_on() {
            self.decide(
                "takes the foreign resources again",
                "they were released for their owner, which runs nothing and is settled",
            );
            self.take_unowned(HoldingSet::FOREIGN);
        }
    }

    /// A node is received again whose groups are being taken over, or which ran ours. What is not yet started waits
    /// until that node reports, because it may still run it. Under the legacy model no node reports: we ask for our
    /// groups when the node is active, and it asks for its own.
    pub(in crate::resources) fn hold_takeovers(&mut self, node: &NodeName) {
        if !self.nice() && self.other.is_pair() {
            if self.groups.withdraw_steps(is_takeover) {
                self.decide(
                    "starts nothing more of what was taken over",
                    format!("node {node} is heard again, and may run it: the owner asks"),
                );
            }
        } else if self.groups.hold(may_run_there) {
            self.info(format!("takeover waits for the report of node {node}"));
            self.timers
                .set(Timer::HeldTakeover, self.after(REPORT_BEFORE_TAKEOVER));
        }
    }

    /// [`take_over`](Self::take_over), unless that was done since the node last started.
    pub(in crate::resources) fn take_over_once(&mut self, node: &NodeName, dead: Option<Message>) {
        if self.other.peer(node).is_some_and(Peer::was_taken_over) {
            return;
        }
        self.take_over(node, dead);
    }

    /// Takes the groups of `node` and our own. Spec: docs/protocol/resources.md, 10.2.
    pub(in crate::resources) fn take_over(&mut self, node: &NodeName, dead: Option<Message>) {
        if self.stopping() || self.run.phase() == Phase::Shutdown {
            self.info("Resource takeover cancelled - shutdown in progress.");
            return;
        }
        if !self.is_first_after(node) {
            self.decide(
                format!("does not take the resources of {node}"),
                "with more than two nodes another one does",
            );
            self.other.settles();
            return;
        }
        if self.freeze.is_on() {
            return self.leave_for_thaw(node, dead);
        }
        if self.standby.is_idle() {
            self.withdraw_stops();
        }
        let keys = self.groups.keys_owned_by(node);
        let cause = match self.other.peer(node) {
            Some(peer) if peer.has_left() => format!("{node} has released everything and left"),
            _ => format!("{node} is dead"),
        };
        self.decide(
            format!("takes the resources of {node}: {}", Self::named(&keys)),
            cause,
        );
        self.notice(Notice::AcquiringFrom {
            node: node.to_string(),
        });
        // They come to us for another reason than a failure there: each may be given away again.
        self.groups.forget_passed_on();
        let hook = dead.unwrap_or_else(|| hooks::dead_status(node));
        self.act(Action::RunHook(hook));
        if self.nice() {
            self.duty.take(HoldingSet::FOREIGN);
            self.other.holds_nothing();
            self.other.settles();
        }
        let peer = self.other.known(node);
        peer.is_taken_over();
        let purpose = Purpose::TakeOver(node.clone());
        if !self.groups.has_job(|known| *known == purpose) {
            self.groups.begin(purpose, keys, GroupOrder::Start);
        } else if !self.nice() {
            self.start_missing(purpose, keys);
        }
        if !self.other.is_pair() && self.other.all_gone() {
            self.take_what_it_had_taken(node);
        }
        if self.nice() {
            self.acquire_local(true);
        } else {
            self.acquire_as_legacy();
        }
        if matches!(self.run.phase(), Phase::Starting | Phase::Waiting) && self.other.all_gone() {
            self.run.enters(Phase::Stable);
            self.timers.clear(Timer::Own);
        }
    }

    /// The last of several nodes also takes the groups that others ran for nodes that died before them.
    pub(in crate::resources) fn take_what_it_had_taken(&mut self, node: &NodeName) {
        let gone: Vec<NodeName> = self
            .other
            .names()
            .filter(|name| *name != node)
            .cloned()
            .collect();
        for other in gone {
            let purpose = Purpose::TakeOver(other.clone());
            let keys: Vec<_> = self
                .groups
                .keys_owned_by(&other)
                .into_iter()
                .filter(|key| !self.groups.runs(key))
                .collect();
            if !keys.is_empty() && !self.groups.has_job(|known| *known == purpose) {
                self.groups.begin(purpose, keys, GroupOrder::Start);
            }
        }
    }

    /// Whether this node has to take the groups of `node`. Of more than two nodes it is the first that follows
    /// `node` in configuration order. Spec: docs/protocol/resources.md, 13, [D] (a).
    pub(in crate::resources) fn is_first_after(&mut self, node: &NodeName) -> bool {
        let alive = |name: &NodeName| {
            *name == *self.setup.local() || self.other.peer(name).is_some_and(Peer::lives)
        };
        if !self.other.is_many() {
            return true;
        }
        let others_alive = self
            .other
            .nodes()
            .any(|(name, _)| name != node && alive(name));
        if !others_alive {
            return true;
        }
        if !self.run.comm_up() && self.other.is_active() {
            // A node that was active before us has done it.
            self.info(format!("resources of {node} are left to the active nodes"));
            return false;
        }
        let legacy = self
            .other
            .nodes()
            .find(|(name, peer)| *name != node && alive(name) && !peer.is_systole())
            .map(|(name, _)| name.clone());
        if let Some(legacy) = legacy {
            self.warn(format!(
                "node {legacy} takes the resources of {node}: nothing can be agreed with it"
            ));
            return false;
        }
        let at = self
            .setup
            .nodes()
            .iter()
            .position(|name| name == node)
            .unwrap_or(0);
        let (before, after) = self.setup.nodes().split_at(at);
        let first = after
            .iter()
            .skip(1)
            .chain(before)
            .find(|name| alive(name))
            .cloned();
        let ours = first.as_ref() == Some(self.setup.local());
        if !ours && let Some(first) = first {
            self.info(format!("resources of {node} are left to {first}"));
        }
        ours
    }

    /// Tries again what is held and does not run: groups that were taken again, or held since an earlier run.
    pub(in crate::resources) fn try_unserved(&mut self, set: HoldingSet) {
        let mut keys = self.groups.keys_of(set);
        keys.retain(|key| self.groups.is_due(key, self.now));
        if keys.is_empty() {
            return;
        }
        self.decide(
            format!("tries to start {} again", Self::named(&keys)),
            "it is held and does not run, and the other node runs none of it",
        );
        self.groups.begin(Purpose::Retry, keys, GroupOrder::Start);
    }

    pub(in crate::resources) fn take_unserved(&mut self, node: &NodeName, set: HoldingSet) {
        self.warn(format!(
            "node {node} does not hear us, has declared us dead and does not run the {set} resources: \
             taking them again"
        ));
        self.decide(
            format!("takes the {set} resources again"),
            format!("{node} does not hear us, and has run none of them for ten seconds"),
        );
        self.duty.take(set);
        let keys = self.groups.keys_of(set);
        self.groups.begin(Purpose::Reclaim, keys, GroupOrder::Start);
    }
}
