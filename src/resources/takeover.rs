//! Death, orderly leave and return of other nodes. Spec: docs/protocol/resources.md, 10.

use super::holding::HoldingSet;
use super::hooks;
use super::jobs::Purpose;
use super::output::ResourceOutput;
use super::peers::Hands;
use super::standby::Standby;
use super::state::{Phase, ResourceState};
use crate::notice::Notice;
use crate::protocol::event::{Action, GroupOrder};
use crate::protocol::field::{self, kind};
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::status::NodeStatus;

fn stonith(node: &NodeName, result: &str) -> Message {
    Message::new(kind::STONITH)
        .with(field::NODE, node.as_str())
        .with(field::RESULT, result)
}

impl ResourceState {
    /// A node was silent for its dead time. Spec: docs/protocol/resources.md, 10.1.
    pub(super) fn node_dead(
        &mut self,
        node: &NodeName,
        heard: bool,
        ping: bool,
        yields: bool,
        message: Message,
    ) {
        if ping {
            return self.act(Action::RunHook(message));
        }
        self.way_given(node);
        self.go_on_with_takeovers();
        self.note_hands_at_death(node);
        let peer = self.peers.entry(node.clone()).or_default();
        peer.status = Some(NodeStatus::Dead);
        peer.ends();
        self.confirmed(None);
        self.take_back_given();
        self.failback_armed = false;
        // It does not start what is stopped for it: we do.
        let for_it =
            |purpose: &Purpose| matches!(purpose, Purpose::HandOver { to, .. } if to == node);
        self.jobs.cancel(for_it);
        self.decide(
            format!("holds {node} for dead"),
            "nothing was heard of it for its dead time",
        );
        self.cancel_standby();
        if self.stopping() || self.phase == Phase::Shutdown {
            self.other_stable = true;
            return;
        }
        if !self.nodes.contains(node) && self.keys_owned_by(node).is_empty() {
            // Added at run time, never ran anything. Spec: docs/protocol/resources.md, 13, [D].
            self.peers.remove(node);
            self.info(format!("node {node} owns no resources: nothing to take"));
            return;
        }
        self.failback_due = true;
        self.goes_home_by_file = false;
        self.addresses_are_free();
        self.give_up_on(node, heard, yields);
        self.take_from_dead(node, heard, message);
        if self.all_peers_gone() && matches!(self.phase, Phase::Starting | Phase::Waiting) {
            // Nobody is left to agree with, whatever there was to take.
            self.phase = Phase::Stable;
            self.timers.local = None;
            self.settles_when_released = false;
        }
        if yields {
            // It may hear us, and shall know at once.
            self.tell_weight();
            self.out.push(ResourceOutput::SendStatus);
        }
    }

    /// Takes what a node that died held or may have held.
    fn take_from_dead(&mut self, node: &NodeName, heard: bool, message: Message) {
        // One record for several nodes says nothing about this one.
        let empty = if self.nice() && self.is_pair() {
            self.theirs_at_most().is_none()
        } else {
            self.peers.get(node).is_some_and(|peer| peer.left)
        };
        if !(heard && empty) {
            self.send(stonith(node, "n_stnth"));
            self.notice(Notice::NoStonith {});
            self.notice(Notice::SharedDisks {});
            self.take_over(node, Some(message));
            return;
        }
        self.send(stonith(node, "unneeded"));
        if !self.nice() || !self.is_pair() {
            return self.take_over_once(node, Some(message));
        }
        if self.mine == HoldingSet::ALL {
            self.other_stable = true;
            return;
        }
        if self.mine.has(HoldingSet::FOREIGN) {
            self.other_stable = true;
            self.acquire_local(true);
        } else {
            self.take_over(node, Some(message));
        }
    }

    /// [`take_over`](Self::take_over), unless that was done since the node last started.
    pub(super) fn take_over_once(&mut self, node: &NodeName, dead: Option<Message>) {
        if self.peers.get(node).is_some_and(|peer| peer.taken_over) {
            return;
        }
        self.take_over(node, dead);
    }

    /// Takes the groups of `node` and our own. Spec: docs/protocol/resources.md, 10.2.
    pub(super) fn take_over(&mut self, node: &NodeName, dead: Option<Message>) {
        if self.stopping() || self.phase == Phase::Shutdown {
            self.info("Resource takeover cancelled - shutdown in progress.");
            return;
        }
        if !self.is_first_after(node) {
            self.decide(
                format!("does not take the resources of {node}"),
                "with more than two nodes another one does",
            );
            self.other_stable = true;
            return;
        }
        if self.frozen {
            return self.leave_for_thaw(node, dead);
        }
        if self.standby == Standby::Not {
            self.withdraw_stops();
        }
        let keys = self.keys_owned_by(node);
        let cause = match self.peers.get(node) {
            Some(peer) if peer.left => format!("{node} has released everything and left"),
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
        self.moved.clear();
        let hook = dead.unwrap_or_else(|| hooks::dead_status(node));
        self.act(Action::RunHook(hook));
        if self.nice() {
            self.mine = self.mine.with(HoldingSet::FOREIGN);
            self.theirs = HoldingSet::NONE;
            self.doubt = HoldingSet::NONE;
            self.other_stable = true;
        }
        let peer = self.peers.entry(node.clone()).or_default();
        peer.taken_over = true;
        peer.given_up |= peer.status == Some(NodeStatus::Dead);
        peer.holds = HoldingSet::NONE;
        let purpose = Purpose::TakeOver(node.clone());
        if !self.jobs.any(|known| *known == purpose) {
            self.jobs.add(purpose, keys, GroupOrder::Start);
        }
        if !self.is_pair() && self.all_peers_gone() {
            self.take_what_it_had_taken(node);
        }
        if self.nice() {
            self.acquire_local(true);
        } else {
            self.acquire_as_legacy();
        }
        if matches!(self.phase, Phase::Starting | Phase::Waiting) && self.all_peers_gone() {
            self.phase = Phase::Stable;
            self.timers.local = None;
        }
    }

    /// The last of several nodes is left to run what others ran for nodes that died before them.
    fn take_what_it_had_taken(&mut self, node: &NodeName) {
        let gone: Vec<NodeName> = self
            .peers
            .keys()
            .filter(|name| *name != node)
            .cloned()
            .collect();
        for other in gone {
            let purpose = Purpose::TakeOver(other.clone());
            let keys: Vec<_> = self
                .keys_owned_by(&other)
                .into_iter()
                .filter(|key| !self.jobs.runs(key))
                .collect();
            if !keys.is_empty() && !self.jobs.any(|known| *known == purpose) {
                self.jobs.add(purpose, keys, GroupOrder::Start);
            }
        }
    }

    /// Whether it is for us to take the groups of `node`: of more than two nodes the first that
    /// follows it in configuration order. Spec: docs/protocol/resources.md, 13, [D] (a).
    fn is_first_after(&mut self, node: &NodeName) -> bool {
        let alive = |name: &NodeName| {
            *name == self.local
                || self.peers.get(name).is_some_and(|peer| {
                    !peer.left && peer.status.is_some_and(NodeStatus::is_living)
                })
        };
        if self.peers.len() <= 1 {
            return true;
        }
        let others_alive = self
            .peers
            .iter()
            .any(|(name, _)| name != node && alive(name));
        if !others_alive {
            return true;
        }
        if !self.comm_up && self.peer_active() {
            // Whoever was active before us has done it.
            self.info(format!("resources of {node} are left to the active nodes"));
            return false;
        }
        let legacy = self
            .peers
            .iter()
            .find(|(name, peer)| *name != node && alive(name) && !peer.systole)
            .map(|(name, _)| name.clone());
        if let Some(legacy) = legacy {
            self.warn(format!(
                "node {legacy} takes the resources of {node}: nothing can be agreed with it"
            ));
            return false;
        }
        let at = self.nodes.iter().position(|name| name == node).unwrap_or(0);
        let (before, after) = self.nodes.split_at(at);
        let first = after
            .iter()
            .skip(1)
            .chain(before)
            .find(|name| alive(name))
            .cloned();
        let ours = first.as_ref() == Some(&self.local);
        if !ours && let Some(first) = first {
            self.info(format!("resources of {node} are left to {first}"));
        }
        ours
    }

    /// The dead node's groups have been worked through (legacy: `mach_down` ends).
    pub(super) fn taken_over(&mut self, node: &NodeName) {
        self.info(format!("mach_down takeover complete for node {node}."));
        if !self.nice() || self.phase == Phase::Shutdown {
            return;
        }
        self.notice(Notice::MachDownComplete {});
        self.send(
            Message::new(kind::RESOURCE)
                .with(field::RSC_HOLD, HoldingSet::FOREIGN.word())
                .with(field::INFO, "mach_down"),
        );
        self.mine = self.mine.with(HoldingSet::FOREIGN);
        self.failback_due = true;
        self.foreign_done = true;
        self.acquisition_complete("mach_down");
        // Who asked meanwhile was told that we are not settled. Where nobody is heard, nobody asked:
        // before anything runs here, whoever hears us all the same waits for what our own groups do.
        let early = self.all_peers_gone()
            && self.jobs.any(|job| *job == Purpose::AcquireLocal)
            && self.jobs.held().next().is_none();
        if self.announced_stable() && !early {
            self.send(super::handshake::report(self.mine, true, None));
        }
    }

    /// Another node has released everything and leaves. Spec: docs/protocol/resources.md, 10.4.
    pub(super) fn on_shutdone(&mut self, from: &NodeName) {
        self.notice(Notice::ShutdownNotice {
            node: from.to_string(),
        });
        let peer = self.peers.entry(from.clone()).or_default();
        peer.left = true;
        peer.hands_at_death = Hands::default();
        peer.ends();
        peer.holds = HoldingSet::NONE;
        self.confirmed(None);
        self.take_back_given();
        if !self.comm_up {
            return;
        }
        self.cancel_standby();
        self.way_given(from);
        self.go_on_with_takeovers();
        self.failback_armed = false;
        self.theirs = HoldingSet::NONE;
        self.doubt = HoldingSet::NONE;
        if self.stopping() || self.phase == Phase::Shutdown {
            self.other_stable = true;
            self.info("Resource takeover cancelled - shutdown in progress.");
            return;
        }
        self.other_stable = false;
        self.addresses_are_free();
        self.take_over(from, None);
    }

    /// A node came with a higher generation. Spec: docs/protocol/membership.md, 6.1.
    pub(super) fn node_restarted(&mut self, node: &NodeName, was_dead: bool) {
        let back = format!("node {node} is back");
        self.way_given(node);
        if was_dead {
            self.hold_takeovers(node);
            self.has_run_unheard(node);
        }
        self.note_unreported(node, was_dead);
        let unclear = self.theirs.with(self.doubt);
        let peer = self.peers.entry(node.clone()).or_default();
        // Its status stays until a change is told: when the first word heard of the new run is
        // the one we knew, there is none. Spec: docs/protocol/membership.md, 16.3.
        let active = peer.status == Some(NodeStatus::Active);
        peer.begins_run();
        self.take_back_given();
        self.theirs = unclear;
        self.doubt = HoldingSet::NONE;
        // What failed there may start in its new run.
        self.moved.clear();
        self.interrupt_standby();
        if self.heard_when_cut_off(&back) {
            return;
        }
        if active && self.nice() && self.timers.ask_again.is_none() {
            self.ask_soon();
        }
        if active && !self.nice() {
            self.ask_again_as_legacy();
        }
    }
}
