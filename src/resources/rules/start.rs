//! Start-up and reports. Spec: docs/protocol/resources.md, 5.
//!
//! | phase | `starting` of another | its report, stable | its report, not stable | 10 s over |
//! |---|---|---|---|---|
//! | Init | ignore | ignore | ignore | - |
//! | Starting | answer; to Waiting | note; take local; to Stable | note; to Waiting | take local; to Stable |
//! | Waiting | answer | note; take local; to Stable | note | take local; to Stable |
//! | Stable | answer | note | note | - |
//! | Shutdown | answer | note | note | - |
//!
//! The ten seconds begin again beside a node that is being stopped, and beside a legacy node that
//! ran before us and is still not settled then: that node may be stopping too.

use crate::notice::Notice;
use crate::protocol::field::{self, kind};
use crate::protocol::group::GroupKey;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::resources::gate::Act;
use crate::resources::holding::HoldingSet;
use crate::resources::messages::report;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::peer::reports::Patience;
use crate::resources::parts::questions::{
    AGREEMENT, ASK_ON, ASK_ONE_THAT_ECHOES, ASK_WHEN_STABLE, REPORT,
};
use crate::resources::parts::run::Phase;
use crate::resources::parts::standby::table::Input;
use crate::resources::parts::timers::Timer;
use crate::resources::parts::work::Purpose;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// We hold the unowned groups now.
    pub(in crate::resources) fn reclaimed(&mut self) {
        if self.run.phase() == Phase::Stable {
            self.answer();
        }
    }

    /// Communication is up.
    pub(in crate::resources) fn comm_is_up(&mut self) {
        self.run.communication_up();
        if !self.setup.manages() {
            return;
        }
        // The limits of this process count from here.
        self.standby_on(Input::CommUp);
        // A new generation may be active before the old one's groups are released.
        if self.run.phase() == Phase::Init {
            self.begin_handshake();
        }
        self.take_early_done();
    }

    /// Sends `starting`, or finds that no node receives it. Spec: docs/protocol/resources.md, 5.1.
    pub(in crate::resources) fn begin_handshake(&mut self) {
        if !self.nice() {
            return self.begin_legacy();
        }
        let some_dead = self.other.peers().any(Peer::is_dead);
        if !some_dead {
            self.run.foreign_done();
        }
        self.run.enters(Phase::Starting);
        self.ask();
        if self.stopping() {
            return;
        }
        if self.other.is_empty() {
            // There is no node to agree with. Spec: docs/protocol/membership.md, 4.
            self.run.enters(Phase::Stable);
            self.other.settles();
            // A process that began anew keeps what it holds.
            self.duty.take(HoldingSet::FOREIGN);
            self.acquire_local(true);
        } else if self.other.all_gone() {
            // A node that died before communication was up has been taken over already.
            let gone: Vec<NodeName> = self.other.names().cloned().collect();
            for node in gone {
                self.take_over_once(&node, None);
            }
            if self.may(Act::SettleAlone) {
                self.run.enters(Phase::Stable);
            }
        } else {
            self.ask_soon();
        }
    }

    /// The start of our own groups has ended.
    pub(in crate::resources) fn local_acquired(&mut self) {
        self.notice(Notice::LocalAcquisitionDone {});
        if self.run.phase() == Phase::Shutdown {
            return;
        }
        self.run.local_done();
        // At the end of a takeover one report is sent for both.
        if self.settled_here() {
            let stable = self.announced_stable();
            self.send(report(
                self.duty.held(),
                stable,
                Some("req_our_resources()"),
            ));
        }
        self.acquisition_complete("T_RESOURCES(us)");
    }

    /// Another node sends `starting`. Every one is answered. Spec: docs/protocol/resources.md, 5.2.
    pub(in crate::resources) fn on_starting(&mut self, from: &NodeName, message: &Message) {
        self.other.known(from).asks(Position::of(message));
        if !self.run.comm_up() || !self.nice() {
            return;
        }
        if self.other.is_dead(from) {
            // A single message was received. If it was the node's last, its death is not noticed
            // again.
            return self.answer();
        }
        // Two nodes that ask each other at once about groups that no node runs must not both take
        // them.
        self.question_is_over();
        let peer = self.other.known(from);
        if peer.has_said_more_than(Position::of(message)) {
            // A copy that comes late: the node has gone on since.
            return self.answer();
        }
        peer.starts();
        self.other.moves();
        self.run.foreign_done();
        if self.run.phase() == Phase::Starting {
            self.begin_waiting();
        }
        if !self.ask_before_answer(from) {
            self.answer();
        }
        self.standby_on(Input::Asks(from));
        let open = matches!(self.run.phase(), Phase::Starting | Phase::Waiting);
        // Ours was lost if it was sent before the other node was active. Spec:
        // docs/protocol/membership.md, 16.2.
        let waits = open || self.takeover_held();
        let peer = self.other.known(from);
        if waits && peer.is_asked_first() {
            self.ask();
        }
    }

    /// Handles what is due: the agreement and the missing report.
    pub(in crate::resources) fn handshake_overdue(&mut self) {
        let open = matches!(self.run.phase(), Phase::Starting | Phase::Waiting);
        if self.timers.take_due(Timer::AskAgain, self.now)
            && (open || self.run.phase() == Phase::Stable)
        {
            self.ask_again();
        }
        if self.timers.take_due(Timer::Own, self.now) && open {
            self.settle_start();
        }
    }

    /// Communication is up, under the legacy model.
    pub(in crate::resources) fn begin_legacy(&mut self) {
        self.run.enters(Phase::Stable);
        if self.stopping() {
            // A node that is being stopped can ask for nothing: another node may also run what an
            // earlier process started.
            return self.others_may_run(&self.groups.keys_of(HoldingSet::ALL));
        }
        let left: Vec<NodeName> = self
            .other
            .nodes()
            .filter(|(_, peer)| peer.is_gone())
            .map(|(name, _)| name.clone())
            .collect();
        for node in left {
            self.take_over_once(&node, None);
        }
        self.offer_to_legacy_owners();
        self.acquire_as_legacy();
        if !self.other.all_gone() {
            // What runs on from an earlier process, the other node may have taken while we were not
            // received.
            self.ask_for_own();
        }
    }

    /// Asks peers again that are active and do not report their resources.
    /// Spec: docs/protocol/resources.md, 5.2, note 3.
    pub(in crate::resources) fn ask_again(&mut self) {
        let mut repeat = false;
        let mut may_wait_for_us = false;
        let (mut mute, mut silent) = (Vec::new(), Vec::new());
        let mut pause = ASK_ON;
        for (name, peer) in self.other.nodes_mut() {
            if !peer.owes_a_report() {
                continue;
            }
            let most = match self.run.phase() {
                // Reports of the node do not count before it has received us.
                _ if peer.echoes() => ASK_ONE_THAT_ECHOES,
                Phase::Stable => ASK_WHEN_STABLE,
                Phase::Init | Phase::Starting | Phase::Waiting | Phase::Shutdown => 1,
            };
            may_wait_for_us |= !peer.is_systole() && peer.was_asked();
            match peer.asked_again(most) {
                Patience::Waits => pause = REPORT,
                Patience::Ended => mute.push((name.clone(), peer.echoes())),
                Patience::Mute if !peer.echoes() => silent.push(name.clone()),
                Patience::Mute | Patience::Over => {}
            }
            repeat = true;
        }
        if may_wait_for_us {
            // A legacy node that starts and has received no more of us than our question waits for
            // our report, and answers no other question. Spec: docs/protocol/membership.md, 16.2.
            self.answer();
        }
        if repeat {
            self.ask();
            self.timers.set(Timer::AskAgain, self.after(pause));
        }
        let answers_at_once = mute.iter().filter(|(_, echoes)| *echoes);
        silent.extend(answers_at_once.map(|(name, _)| name.clone()));
        for name in silent {
            self.error(format!(
                "node {name} is active but does not report its resources"
            ));
        }
        for (name, _) in mute {
            if self.owner_begins_anew(&name) {
                self.owner_began_anew(&name, None);
                self.answer();
            }
        }
        // An endless wait would leave our groups down. Spec: docs/protocol/resources.md, 18, row
        // 13.
        if self.run.phase() == Phase::Starting
            && self.other.is_active()
            && !self.timers.is_set(Timer::Own)
        {
            self.timers.set(Timer::Own, self.after(AGREEMENT));
        }
    }

    /// The start of the dead node's groups has ended (legacy: `mach_down` ends).
    pub(in crate::resources) fn taken_over(&mut self, node: &NodeName) {
        self.info(format!("mach_down takeover complete for node {node}."));
        if !self.nice() || self.run.phase() == Phase::Shutdown {
            return;
        }
        self.notice(Notice::MachDownComplete {});
        self.send(
            Message::new(kind::RESOURCE)
                .with(field::RSC_HOLD, HoldingSet::FOREIGN.word())
                .with(field::INFO, "mach_down"),
        );
        self.duty.take(HoldingSet::FOREIGN);
        self.failback.owner_gone();
        self.run.foreign_done();
        self.acquisition_complete("mach_down");
        // A node that asked meanwhile received that we are not settled. If no node is received,
        // none asked. Until one of our groups runs, a node that still receives us must wait for the
        // result of our own start.
        let early = self.other.all_gone()
            && self.groups.has_job(|job| *job == Purpose::AcquireLocal)
            && self.groups.that_run().next().is_none();
        if self.announced_stable() && !early {
            self.send(crate::resources::messages::report(
                self.duty.held(),
                true,
                None,
            ));
        }
    }

    /// Asks a legacy owner first, so that its `starting` is answered after its report. `false`: it
    /// is to be answered at once.
    pub(in crate::resources) fn ask_before_answer(&mut self, node: &NodeName) -> bool {
        if !self.owner_begins_anew(node) {
            return false;
        }
        if let Some(peer) = self.other.peer_mut(node) {
            peer.is_asked();
        }
        self.ask();
        if !self.timers.is_set(Timer::AskAgain) {
            self.ask_soon();
        }
        true
    }

    /// A legacy owner began anew, and holds this set; `None`: it does not report. Stops what was
    /// left to it, unless it goes on with its groups.
    pub(in crate::resources) fn owner_began_anew(
        &mut self,
        node: &NodeName,
        holds: Option<HoldingSet>,
    ) {
        let goes_on = holds.is_some_and(|holds| holds.has(HoldingSet::LOCAL));
        let keys: Vec<GroupKey> = self.groups.left().cloned().collect();
        if goes_on || keys.is_empty() {
            return;
        }
        let named = Self::named(&keys);
        self.lift_freeze("a node begins anew that owns what runs here");
        self.groups.none_left();
        self.release_unheld(
            keys,
            &format!("stopping {named}: its owner {node} begins anew, and takes it"),
            "a legacy node takes its own when it is started, and asks no other node",
        );
    }
}
