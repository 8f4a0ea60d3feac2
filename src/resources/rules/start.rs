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
//! The ten seconds begin again beside a node that is being stopped, and beside a legacy node that ran before
//! us and is still not settled then: it may be the same.

use crate::notice::Notice;
use crate::protocol::field::{self, kind};
use crate::protocol::group::GroupKey;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
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
    /// Orphaned groups are ours now.
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
        // The clock of this process counts from here.
        self.standby_on(Input::CommUp);
        // A new generation may be active before the old one's groups are released.
        if self.run.phase() == Phase::Init {
            self.begin_handshake();
        }
        self.take_early_done();
    }

    /// Says that we are here, or finds that nobody listens. Spec: docs/protocol/resources.md, 5.1.
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
            // Nobody to agree with. Spec: docs/protocol/membership.md, 4.
            self.run.enters(Phase::Stable);
            self.other.settles();
            // What a process that began anew holds, it keeps.
            self.duty.take(HoldingSet::FOREIGN);
            self.acquire_local(true);
        } else if self.other.all_gone() {
            // Whoever died before communication was up has been taken over already.
            let gone: Vec<NodeName> = self.other.names().cloned().collect();
            for node in gone {
                self.take_over_once(&node, None);
            }
            self.run.enters(Phase::Stable);
        } else {
            self.ask_soon();
        }
    }

    /// Our groups have been worked through.
    pub(in crate::resources) fn local_acquired(&mut self) {
        self.notice(Notice::LocalAcquisitionDone {});
        if self.run.phase() == Phase::Shutdown {
            return;
        }
        self.run.local_done();
        // The end of a takeover reports for both.
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

    /// Another node says `starting`. Every one is answered. Spec: docs/protocol/resources.md, 5.2.
    pub(in crate::resources) fn on_starting(&mut self, from: &NodeName, message: &Message) {
        self.other.known(from).asks(Position::of(message));
        if !self.run.comm_up() || !self.nice() {
            return;
        }
        if self.other.is_dead(from) {
            // A single message got through. Should it be its last, its death is not noticed again.
            return self.answer();
        }
        // Two that ask each other at once about what nobody runs shall not both take it.
        self.question_is_over();
        let peer = self.other.known(from);
        if peer.has_said_more_than(Position::of(message)) {
            // A copy that comes late: it has gone on since.
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
        // Ours was lost if it went out before the other was active.
        // Spec: docs/protocol/membership.md, 16.2.
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

    /// Communication is up.
    pub(in crate::resources) fn begin_legacy(&mut self) {
        self.run.enters(Phase::Stable);
        if self.stopping() {
            // Asked for now nothing can be: what an earlier process started may run there as well.
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
            // What runs on from an earlier process the other node may have taken while we were not heard.
            self.ask_for_own();
        }
    }

    /// A peer is active but silent about its resources.
    /// Spec: docs/protocol/resources.md, 5.2, note 3.
    pub(in crate::resources) fn ask_again(&mut self) {
        let mut repeat = false;
        let mut may_wait_for_us = false;
        let mut mute = Vec::new();
        let mut pause = ASK_ON;
        for (name, peer) in self.other.nodes_mut() {
            if !peer.owes_a_report() {
                continue;
            }
            let most = match self.run.phase() {
                // Whatever it says before it has heard us does not count.
                _ if peer.echoes() => ASK_ONE_THAT_ECHOES,
                Phase::Stable => ASK_WHEN_STABLE,
                Phase::Init | Phase::Starting | Phase::Waiting | Phase::Shutdown => 1,
            };
            may_wait_for_us |= !peer.is_systole() && peer.was_asked();
            match peer.asked_again(most) {
                Patience::Waits => pause = REPORT,
                Patience::Ended => mute.push(name.clone()),
                Patience::Over => {}
            }
            repeat = true;
        }
        if may_wait_for_us {
            // A legacy node that starts and has heard no more of us than our question waits for our report,
            // and answers no other question. Spec: docs/protocol/membership.md, 16.2.
            self.answer();
        }
        if repeat {
            self.ask();
            self.timers.set(Timer::AskAgain, self.after(pause));
        }
        for name in mute {
            self.error(format!(
                "node {name} is active but does not report its resources"
            ));
            if self.owner_begins_anew(&name) {
                self.owner_began_anew(&name, None);
                self.answer();
            }
        }
        // Waiting for ever would leave our groups down.
        // Spec: docs/protocol/resources.md, 18, row 13.
        if self.run.phase() == Phase::Starting
            && self.other.is_active()
            && !self.timers.is_set(Timer::Own)
        {
            self.timers.set(Timer::Own, self.after(AGREEMENT));
        }
    }

    /// The dead node's groups have been worked through (legacy: `mach_down` ends).
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
        // Who asked meanwhile was told that we are not settled. Where nobody is heard, nobody asked:
        // before anything runs here, whoever hears us all the same waits for what our own groups do.
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

    /// Its `starting` is answered when it has said what it holds. `false`: at once.
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

    /// What it holds; `None`: it does not say.
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
            "a legacy node takes its own when it is started, and asks nobody",
        );
    }
}
