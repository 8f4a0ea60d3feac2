//! A node that lives and says nothing of its resources.
//! Spec: docs/protocol/resources.md, 5.2, note 3.

use std::time::Duration;

use super::handshake::AGREEMENT;
use super::state::{Phase, ResourceState};
use crate::notice::Notice;
use crate::protocol::status::NodeStatus;

/// Patience for the report of a peer that is active. Spec: docs/protocol/resources.md, 5.2, note 3.
const REPORT: Duration = Duration::from_secs(1);
/// How often a settled node asks for it, a second apart, before it says that none comes. The first
/// `starting` may be lost for good when another message overtakes it: what was sent before the first
/// number heard is not asked for.
const ASK_WHEN_STABLE: u8 = 3;
/// The same, of one whose report counts only when it has heard the question: as long as the patience.
const ASK_ONE_THAT_ECHOES: u8 = 9;
/// After that it is asked on and on: it may be deaf, and hear again at any time.
const ASK_ON: Duration = Duration::from_secs(5);

impl ResourceState {
    /// A peer is active but silent about its resources.
    /// Spec: docs/protocol/resources.md, 5.2, note 3.
    pub(super) fn ask_again(&mut self) {
        let mut repeat = false;
        let mut may_wait_for_us = false;
        let mut mute = Vec::new();
        let mut pause = ASK_ON;
        for (name, peer) in &mut self.peers {
            let told = peer.reported && !peer.lost && peer.has_taken.is_none();
            if told || peer.left || peer.status != Some(NodeStatus::Active) {
                continue;
            }
            let most = match self.phase {
                // Whatever it says before it has heard us does not count.
                _ if peer.echoes => ASK_ONE_THAT_ECHOES,
                Phase::Stable => ASK_WHEN_STABLE,
                Phase::Init | Phase::Starting | Phase::Waiting | Phase::Shutdown => 1,
            };
            if peer.asked < most {
                pause = REPORT;
            } else if !std::mem::replace(&mut peer.called_mute, true) {
                mute.push(name.clone());
            }
            may_wait_for_us |= !peer.systole && peer.asked > 0;
            peer.asked = peer.asked.saturating_add(1);
            repeat = true;
        }
        if may_wait_for_us {
            // A legacy node that starts and has heard no more of us than our question waits for our report,
            // and answers no other question. Spec: docs/protocol/membership.md, 16.2.
            self.answer();
        }
        if repeat {
            self.ask();
            self.timers.ask_again = Some(self.after(pause));
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
        if self.phase == Phase::Starting && self.peer_active() && self.timers.local.is_none() {
            self.timers.local = Some(self.after(AGREEMENT));
        }
    }

    /// Looks a little later for peers that are active without a report.
    pub(super) fn ask_soon(&mut self) {
        self.timers.ask_again = Some(self.after(REPORT));
    }

    /// A node that gives everything up says that it holds nothing, and its scripts take their time. It
    /// leaves, dies or begins anew. `true`: nothing is taken before.
    pub(super) fn wait_for_a_leaver(&mut self) -> bool {
        let why = if self.somebody_is_leaving() {
            "the other node is being stopped, and may still run them".to_owned()
        } else if let Some(node) = self.unsettled_legacy().cloned() {
            // Should it have missed that: see `on_report`.
            self.answer();
            self.ask();
            format!(
                "{node} ran before us and is not settled: if it is being stopped, it may still run them"
            )
        } else {
            return false;
        };
        self.decide("does not start the local resources", why);
        self.timers.local = Some(self.after(AGREEMENT));
        true
    }

    /// The ten seconds are over. They are patience with a node that does not report; one that has
    /// said that it holds ours, or may have taken them in a partition, is asked on and on instead: it
    /// serves, and does not hear us. `true`: nothing is taken.
    pub(super) fn wait_for_claimant(&mut self) -> bool {
        let Some(node) = self.silent_claimant().cloned() else {
            return false;
        };
        let said = std::mem::replace(&mut self.waits_for_claimant, true);
        if !said {
            self.notice(Notice::OtherCrit {
                text: format!(
                    "node {node} lives, may run our resources and does not answer: they are not \
                     started before it does, or is dead. Does it hear this node?"
                ),
            });
            self.decide(
                "does not start the local resources",
                format!("{node} may run them, and does not answer"),
            );
        }
        self.timers.local = Some(self.after(AGREEMENT));
        true
    }
}
