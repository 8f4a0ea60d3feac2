//! Starting groups: own groups, those of a dead node, those that no node runs, and those that we are asked to take.

use crate::notice::Notice;
use crate::protocol::event::{Action, GroupOrder};
use crate::protocol::group::GroupKey;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::resources::facts::many::Taker;
use crate::resources::gate::{Act, Obstacle, Outcome};
use crate::resources::holding::HoldingSet;
use crate::resources::hooks;
use crate::resources::messages::report;
use crate::resources::obstacles::Scope;
use crate::resources::parts::contest::{REPORT_BEFORE_TAKEOVER, is_takeover, may_run_there};
use crate::resources::parts::names::unconfirmed_text;
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

    /// A group that came to us may still run on the other node: asks a person, once, to confirm that it does not.
    pub(in crate::resources) fn ask_to_confirm(&mut self, key: &GroupKey) {
        let Some((node, _)) = self.other.node() else {
            return;
        };
        let text = unconfirmed_text(key, node);
        if self.groups.asks_to_confirm(key) {
            self.warn(text);
            self.decide(
                format!("does not start {key}"),
                Obstacle::Unconfirmed.text(),
            );
        }
    }

    /// What forbids to start a group of a set that is taken by agreement.
    fn not_to_be_started(&self, key: &GroupKey) -> Option<Obstacle> {
        let refused = self.gate(Act::StartAgreed, &Scope::group(key)).err();
        refused.map(|refusal| refusal.obstacle)
    }

    /// Leaves out the groups that the other node runs, or may run as far as can be found out. They are checked
    /// again until it does not.
    pub(in crate::resources) fn not_elsewhere(&mut self, keys: Vec<GroupKey>) -> Vec<GroupKey> {
        let (here, left_out): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .partition(|key| self.not_to_be_started(key).is_none());
        let (there, unclear): (Vec<_>, Vec<_>) = left_out
            .into_iter()
            .partition(|key| self.not_to_be_started(key) == Some(Obstacle::RunsThere));
        if !there.is_empty() {
            self.decide(
                format!("does not start {}", Self::named(&there)),
                Obstacle::RunsThere.text(),
            );
        }
        for key in &unclear {
            self.ask_to_confirm(key);
        }
        for key in there.into_iter().chain(unclear) {
            self.groups.start_when_settled(&key, self.now);
        }
        here
    }

    /// Takes our own groups. `forced`: whatever the other side reports. Spec: docs/protocol/resources.md, 5.3.
    pub(in crate::resources) fn acquire_local(&mut self, forced: bool) {
        let act = if forced {
            Act::TakeOwnAlone
        } else {
            Act::TakeOwn
        };
        match self.gate(act, &Scope::of(HoldingSet::LOCAL)) {
            Ok(()) => {}
            Err(refusal) if refusal.obstacle == Obstacle::Frozen => {
                return self.leave_local_for_thaw();
            }
            Err(refusal) if refusal.outcome == Outcome::Drop => {
                if !self.duty.holds(HoldingSet::LOCAL) {
                    self.notice(Notice::LocalAcquisitionNone {});
                }
                return;
            }
            Err(_) => return,
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

    /// Starts our own groups if this node is alone, else asks for each. One without a status yet may run them.
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
        if !self.may(Act::AskForOwn) {
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
        if self.may(Act::TakeReleased) {
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
        if self.gate(Act::TakeOverOnce, &Scope::node(node)).is_ok() {
            self.take_over(node, dead);
        }
    }

    /// Takes the groups of `node` and our own. Spec: docs/protocol/resources.md, 10.2.
    pub(in crate::resources) fn take_over(&mut self, node: &NodeName, dead: Option<Message>) {
        if let Err(refusal) = self.gate(Act::TakeOver, &Scope::node(node)) {
            return self.take_over_not_now(node, dead, refusal.obstacle);
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

    /// The groups of `node` are not taken, or not yet.
    fn take_over_not_now(&mut self, node: &NodeName, dead: Option<Message>, obstacle: Obstacle) {
        match obstacle {
            Obstacle::NotNext => {
                self.say_who_takes(node);
                self.decide(
                    format!("does not take the resources of {node}"),
                    obstacle.text(),
                );
                self.other.settles();
            }
            Obstacle::NotFenced => self.unfenced.wait_for(node, dead),
            Obstacle::Frozen => self.leave_for_thaw(node, dead),
            _ => self.info("Resource takeover cancelled - shutdown in progress."),
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

    /// Logs which of more than two nodes takes the groups of `node`.
    fn say_who_takes(&mut self, node: &NodeName) {
        match self.who_takes_instead(node) {
            Some(Taker::ActiveNodes) => {
                self.info(format!("resources of {node} are left to the active nodes"));
            }
            Some(Taker::Legacy(legacy)) => self.warn(format!(
                "node {legacy} takes the resources of {node}: nothing can be agreed with it"
            )),
            Some(Taker::Next(next)) => {
                self.info(format!("resources of {node} are left to {next}"));
            }
            Some(Taker::Nobody) | None => {}
        }
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
            "node {node} does not receive this node, has declared it dead and does not run the {set} \
             resources: taking them again"
        ));
        self.decide(
            format!("takes the {set} resources again"),
            format!("{node} does not receive this node, and has run none of them for ten seconds"),
        );
        self.duty.take(set);
        let keys = self.groups.keys_of(set);
        self.groups.begin(Purpose::Reclaim, keys, GroupOrder::Start);
    }
}
