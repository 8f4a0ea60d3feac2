//! Deaths of other nodes, and nodes that leave in order. Spec: docs/protocol/resources.md, 10.

use crate::notice::Notice;
use crate::protocol::event::Action;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::resources::acts::fence::Fate;
use crate::resources::gate::{Act, Outcome};
use crate::resources::holding::HoldingSet;
use crate::resources::messages::{report, stonith};
use crate::resources::obstacles::Scope;
use crate::resources::output::ResourceOutput;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::run::Phase;
use crate::resources::parts::timers::Timer;
use crate::resources::parts::work::Purpose;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// The dead time of `node` is over, and this node is the isolated one.
    pub(in crate::resources) fn cut_off_from(&mut self, node: &NodeName, message: Message) {
        // If a release of everything is under way, this node starts nothing after it either.
        let releases = self.run.phase() == Phase::Shutdown;
        if releases && self.isolation.is_on() {
            let yields = self
                .other
                .peer(node)
                .is_some_and(Peer::resolves_split_brain);
            return self.node_dead(node, true, false, yields, message);
        }
        self.other.known(node).dies();
        self.take_back_given();
        self.cancel_standby();
        self.other.settles();
        let cause = format!("neither {node} nor a ping node is heard: this node is cut off");
        self.warn(format!("isolated: {cause}; resources are released"));
        self.decide(
            format!("releases {} and takes nothing", self.duty.held()),
            cause,
        );
        self.isolation.begins(node, message);
        if !releases {
            self.release_all("standby");
        }
    }

    /// A ping node has answered for a dead time, the peer was not received.
    pub(in crate::resources) fn regained(&mut self) {
        let Some((peer, message)) = self.isolation.regained() else {
            return;
        };
        self.run.enters(Phase::Stable);
        self.warn(format!(
            "no longer isolated: a ping node answers, {peer} is still dead"
        ));
        self.decide(
            "takes everything",
            format!("a ping node answers again and {peer} is still dead"),
        );
        let yields = self
            .other
            .peer(&peer)
            .is_some_and(Peer::resolves_split_brain);
        self.node_dead(&peer, true, false, yields, message);
    }

    /// Everything is released. `true`: because this node is isolated, nothing else follows.
    pub(in crate::resources) fn released_when_cut_off(&mut self) -> bool {
        let Some(regained) = self.isolation.released() else {
            return false;
        };
        // A node that receives us all the same may take the groups.
        if self.nice() && self.run.comm_up() {
            self.send(report(HoldingSet::NONE, true, None));
        }
        if regained {
            self.regained();
        }
        true
    }

    /// A node is declared dead. A legacy node restarts when it receives us again in the run that it
    /// knew, unless the first message that it receives is of a new run. `counts`: nothing delays the
    /// takeover; else the node has no reason to release anything when it returns.
    /// Spec: docs/protocol/membership.md, 16.3.
    pub(in crate::resources) fn give_up_on(
        &mut self,
        node: &NodeName,
        heard: bool,
        resolves_split_brain: bool,
        counts: bool,
    ) {
        self.contest.declared_dead(self.groups.number_running());
        let renumber = heard && !resolves_split_brain && self.other.is_pair() && self.run.comm_up();
        let peer = self.other.known(node);
        peer.is_declared_dead(counts);
        if renumber && peer.renumbers_us() {
            self.out.push(ResourceOutput::ContinueUnderNewGeneration);
        }
    }

    /// A node was silent for its dead time. Spec: docs/protocol/resources.md, 10.1.
    pub(in crate::resources) fn node_dead(
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
        self.contest_is_over(node);
        self.note_hands_at_death(node);
        let told = heard && self.has_told_everything(node);
        self.other.known(node).dies();
        self.groups.all_confirmed();
        self.take_back_given();
        self.failback.disarm();
        // The node does not start what is stopped for it: we do.
        let for_it =
            |purpose: &Purpose| matches!(purpose, Purpose::HandOver { to, .. } if to == node);
        self.groups.cancel(for_it);
        self.decide(
            format!("declares {node} dead"),
            "nothing was received of it for its dead time",
        );
        let withdrawn = self.cancel_standby();
        self.run.waits_no_more();
        let fate = self.fate_of(node, heard, told);
        if fate == Fate::Fenced {
            // Of an earlier run of the node: it may run them by now.
            self.groups.held_starts_wait();
            if let Some(given) = withdrawn {
                self.keep_what_was_not_given(given);
            }
        }
        self.go_on_with_takeovers();
        if self.takes_nothing_over(node) {
            self.other.settles();
            if fate == Fate::Fenced && !self.stopping() {
                // It is taken over when this node begins anew.
                self.wait_for_fence(node, [heard, told], message);
            }
            return;
        }
        if !self.setup.nodes().contains(node) && self.groups.keys_owned_by(node).is_empty() {
            // The node was added at run time and never ran anything. Spec:
            // docs/protocol/resources.md, 13, [D].
            self.other.is_no_member(node);
            self.info(format!("node {node} owns no resources: nothing to take"));
            return;
        }
        self.failback.owner_gone();
        let fenced = fate == Fate::Fenced;
        let counts = !self.freeze.is_on() && !fenced;
        self.give_up_on(node, heard, yields, counts);
        if fenced {
            return self.wait_for_fence(node, [heard, told], message);
        }
        self.groups.addresses_are_free(self.now);
        self.take_from_dead(node, heard, fate, message);
        self.alone_at_last();
        if yields {
            // The node may receive us, and must know at once.
            self.tell_weight();
            self.out.push(ResourceOutput::SendStatus);
        }
    }

    /// If no node is left to agree with, whatever there was to take: settles, and tries what waited
    /// for a report.
    pub(in crate::resources) fn alone_at_last(&mut self) {
        if !self.other.all_gone() || !self.may(Act::SettleAlone) {
            return;
        }
        if matches!(self.run.phase(), Phase::Starting | Phase::Waiting) {
            self.run.enters(Phase::Stable);
            self.timers.clear(Timer::Own);
            self.run.takes_settling();
        }
        // Groups that are held and do not run here waited for its report. It may be back in a
        // moment, and silent.
        self.groups.the_moment_is_good(self.now);
    }

    /// Takes what a dead node held or may have held.
    pub(in crate::resources) fn take_from_dead(
        &mut self,
        node: &NodeName,
        heard: bool,
        fate: Fate,
        message: Message,
    ) {
        if fate != Fate::Unneeded {
            self.send(stonith(node, "n_stnth"));
            self.notice(Notice::NoStonith {});
            self.notice(Notice::SharedDisks {});
            return self.take_over(node, Some(message));
        }
        self.send(stonith(node, "unneeded"));
        self.guard_against(node, heard);
        if !self.nice() || !self.other.is_pair() {
            return self.take_over_once(node, Some(message));
        }
        if self.duty.held() == HoldingSet::ALL {
            self.other.settles();
            return;
        }
        if self.duty.holds(HoldingSet::FOREIGN) {
            self.other.settles();
            self.acquire_local(true);
        } else {
            self.take_over(node, Some(message));
        }
    }

    /// Whether this node gives everything up itself, whichever node is gone.
    fn takes_nothing_over(&self, node: &NodeName) -> bool {
        let refused = self.gate(Act::TakeOver, &Scope::node(node)).err();
        refused.is_some_and(|refusal| refusal.outcome == Outcome::Ignore)
    }

    /// Another node has released everything and leaves. Spec: docs/protocol/resources.md, 10.4.
    pub(in crate::resources) fn on_shutdone(&mut self, from: &NodeName) {
        self.notice(Notice::ShutdownNotice {
            node: from.to_string(),
        });
        self.other.known(from).leaves();
        self.need_not_be_fenced(from);
        self.groups.all_confirmed();
        self.take_back_given();
        if !self.run.comm_up() {
            return;
        }
        self.cancel_standby();
        self.contest_is_over(from);
        self.go_on_with_takeovers();
        self.failback.owner_left();
        self.other.holds_nothing();
        if self.takes_nothing_over(from) {
            self.other.settles();
            self.info("Resource takeover cancelled - shutdown in progress.");
            return;
        }
        self.other.moves();
        self.groups.addresses_are_free(self.now);
        self.take_over(from, None);
    }
}
