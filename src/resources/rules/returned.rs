//! Nodes that return, begin anew, or change their status.
//!
//! Groups that run here and belong to a legacy node since haresources was changed, when that node
//! begins anew:
//!
//! | Its new run | It shows by | What is left to it |
//! |---|---|---|
//! | goes on with what it held (`heartbeat -r`) | a first report that says `local` | runs on here: it starts nothing |
//! | was started | a first report that does not | is stopped, and reported as still being released until then: it takes its own unless we report that we hold them |
//! | reports nothing | three questions without an answer | the same |
//!
//! So its report must come before ours: its `starting` is answered with a question, and our report
//! follows its answer. A legacy node that has received no report takes nothing.

use crate::notice::Notice;
use crate::protocol::event::Action;
use crate::protocol::field;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::status::NodeStatus;
use crate::resources::gate::Act;
use crate::resources::holding::HoldingSet;
use crate::resources::hooks;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::run::Phase;
use crate::resources::parts::standby::table::Input;
use crate::resources::parts::timers::Timer;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// The status of a node changed.
    pub(in crate::resources) fn status_changed(
        &mut self,
        node: &NodeName,
        old: NodeStatus,
        new: NodeStatus,
        message: Message,
    ) {
        if *node == *self.setup.local() {
            return;
        }
        if new != NodeStatus::Ping && !hooks::is_ping(&message) {
            let peer = self.other.known(node);
            peer.understands(message.text(field::SYSTOLE));
            peer.counts_by(&message);
            self.peer_status(node, old, new);
            // Whatever its status was: for a process that began anew while its groups ran, the
            // other node has none yet; and the other node may be such a process, and run on what it
            // had taken.
            if old != NodeStatus::Active && new == NodeStatus::Active {
                self.may_run_ours(node);
                self.tell_what_legacy_has_not(node);
            }
            if new == NodeStatus::Active && !self.nice() {
                self.ask_again_as_legacy();
            }
        }
        self.act(Action::RunHook(message));
    }

    /// A legacy node is there, and haresources names scripts that its product does not have.
    fn tell_what_legacy_has_not(&mut self, node: &NodeName) {
        let words = self.setup.not_legacy().join(" ");
        if !words.is_empty() && self.other.is_legacy(node) {
            self.warn(format!(
                "node {node} is a legacy node: it can start {words} only if \
                 /etc/ha.d/resource.d/systemd was copied to it"
            ));
        }
    }

    /// The status of another node changed.
    pub(in crate::resources) fn peer_status(
        &mut self,
        node: &NodeName,
        old: NodeStatus,
        new: NodeStatus,
    ) {
        self.need_not_be_fenced(node);
        let peer = self.other.known(node);
        peer.status_changed(old, new);
        if old == NodeStatus::Dead {
            // A node that was never received before has no earlier run to come back from.
            if !self.stopping() && self.heard_when_cut_off(&format!("node {node} is heard")) {
                return;
            }
            self.interrupt_standby();
            self.hold_takeovers(node);
        }
        if new != NodeStatus::Active {
            return;
        }
        let reported = self.other.peer(node).is_some_and(Peer::has_reported);
        let mute = !reported && self.setup.model().is_nice();
        let missed = old != NodeStatus::Up;
        match self.run.phase() {
            Phase::Init | Phase::Shutdown => {}
            Phase::Starting | Phase::Waiting => {
                if mute && !self.timers.is_set(Timer::AskAgain) {
                    self.ask_soon();
                }
            }
            // A node whose start we saw reports by itself. A node that was active before we
            // received it, in a run that we do not know, may hold what we took: a partition healed
            // after one of us had started in it. It would never report that unasked.
            Phase::Stable => {
                if mute && missed {
                    self.ask_again();
                } else if mute {
                    self.ask_soon();
                }
            }
        }
    }

    /// Messages of a living node were lost for good.
    pub(in crate::resources) fn words_lost(&mut self, node: &NodeName) {
        self.standby_on(Input::WordsLost);
        self.lost_with_full_hands(node);
        self.lost_behind_scripts(node);
        let listens = matches!(
            self.run.phase(),
            Phase::Starting | Phase::Waiting | Phase::Stable
        );
        if !self.nice() || !self.run.comm_up() || !listens || self.other.is_dead(node) {
            return;
        }
        let known = self.other.peer_mut(node);
        if !known.is_some_and(Peer::words_lost) {
            return;
        }
        self.decide(
            format!("asks {node} what it holds"),
            "messages of it are lost, whatever they said",
        );
        self.ask();
        if !self.timers.is_set(Timer::AskAgain) {
            self.ask_soon();
        }
    }

    /// A node that we declared dead lives, in the run that we knew.
    pub(in crate::resources) fn returned(&mut self, node: &NodeName, resolves_split_brain: bool) {
        if let Some(peer) = self.other.peer_mut(node) {
            peer.may_claim(HoldingSet::ALL);
        }
        // A dead node counts as settled. This one says itself whether it is.
        self.other.moves();
        self.goes_on_after_its_death(node);
        let waited = self.need_not_be_fenced(node);
        if waited {
            // What waited for the reset may run there.
            self.hold_takeovers(node);
        }
        if !self.stopping()
            && self.heard_when_cut_off(&format!("node {node} is back after a partition"))
        {
            return;
        }
        if !self.may(Act::BeginAnew) {
            return self.others_may_run_them(&format!("node {node} is back after a partition"));
        }
        if waited {
            // The node may have taken ours; then it releases them.
            return self.decide(
                "releases nothing",
                format!("{node} is back before it was fenced: nothing of it was taken"),
            );
        }
        if self.freeze.is_on() && !self.duty.holds(HoldingSet::FOREIGN) {
            // The node may have taken ours; then it releases them.
            return self.decide(
                "releases nothing",
                format!("{node} is back, and frozen we have taken nothing of it"),
            );
        }
        if !resolves_split_brain || !self.other.is_pair() {
            let why = format!("node {node} was declared dead and lives");
            return self.release_after_split(&why);
        }
        if self.weight().runs == 0 {
            let why = format!("node {node} was declared dead and lives, and nothing runs here");
            return self.release_after_split(&why);
        }
        self.notice(Notice::OtherCrit {
            text: format!(
                "node {node} was declared dead and lives: one node has to release its groups"
            ),
        });
        self.decide(
            "keeps everything until it is clear who yields",
            format!("node {node} is back after a partition"),
        );
        self.hold_takeovers(node);
        self.expect_yield();
    }

    /// A node came with a higher generation. Spec: docs/protocol/membership.md, 6.1.
    pub(in crate::resources) fn node_restarted(&mut self, node: &NodeName, was_dead: bool) {
        let back = format!("node {node} is back");
        self.need_not_be_fenced(node);
        self.contest_is_over(node);
        if was_dead {
            self.hold_takeovers(node);
        }
        self.note_unreported(node, was_dead);
        // Its new run gets the same patience.
        self.run.waits_no_more();
        // Its status stays until a change is reported: when the first status of the new run is the
        // one that we knew, there is no change. Spec: docs/protocol/membership.md, 16.3.
        let active = self.other.peer(node).is_some_and(Peer::is_active);
        self.other.begins_run(node);
        if was_dead || active {
            self.may_run_ours(node);
        }
        self.take_back_given();
        // A group whose start failed there may start in its new run.
        self.groups.forget_passed_on();
        self.interrupt_standby();
        if self.heard_when_cut_off(&back) {
            return;
        }
        if active && self.nice() && !self.timers.is_set(Timer::AskAgain) {
            self.ask_soon();
        }
        if active && !self.nice() {
            self.ask_again_as_legacy();
        }
    }
}
