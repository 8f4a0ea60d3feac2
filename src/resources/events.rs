//! Sorts messages, status changes and finished jobs to the rules that they concern.

use super::hooks;
use super::jobs::Purpose;
use super::state::ResourceState;
use crate::protocol::event::Action;
use crate::protocol::field::{self, kind};
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::partition::YIELD;
use crate::protocol::question::ECHO;
use crate::protocol::status::NodeStatus;

/// Whether a list of capability words has one of them.
fn has_word(words: &str, wanted: &str) -> bool {
    words.split('.').any(|word| word == wanted)
}

impl ResourceState {
    /// A cluster message, our own included. What we send ourselves takes effect where it is sent;
    /// local programs cannot send any of these (`hooks::admit`).
    pub(super) fn message(&mut self, from: &NodeName, own: bool, message: Message) {
        let Some(kind) = message.kind() else {
            return;
        };
        if !own && let Some(words) = message.text(field::SYSTOLE) {
            let peer = self.peers.entry(from.clone()).or_default();
            peer.systole = true;
            peer.yields = has_word(words, YIELD);
            peer.echoes = has_word(words, ECHO);
        }
        if !own {
            self.note_names(from, &message);
        }
        match (kind, own) {
            (kind::STARTING, true) => self.asked(&message),
            (kind::IP_REQUEST, true) => self.requested(&message),
            (kind::ASK_RESOURCES, true) => self.offered_by_us(&message),
            (kind::RESOURCE | kind::SHUTDONE | kind::STONITH | kind::HB_TAKEOVER, true) => {}
            (kind::STARTING, false) => self.on_starting(from, &message),
            (kind::RESOURCE, false) => self.on_report(from, &message),
            (kind::ASK_RESOURCES, false) => self.on_ask_resources(from, &message),
            (kind::SHUTDONE, false) => self.on_shutdone(from),
            (kind::STONITH, false) => self.on_stonith(from, &message),
            // Carried out here, so its script does not run as well.
            // Spec: docs/protocol/resources.md, 8.
            (kind::HB_TAKEOVER, false) => self.on_hb_takeover(from, &message),
            (kind::IP_REQUEST, false) => {
                self.on_ip_request(from, &message);
                self.act(Action::RunHook(message));
            }
            (kind::IP_REQUEST_RESP, _) => {
                if !own {
                    self.on_ip_request_resp(from, &message);
                }
                if !self.stopping() {
                    self.act(Action::RunHook(message));
                }
            }
            (_, _) => self.act(Action::RunHook(message)),
        }
    }

    /// A node begins a new run, and says what it can do.
    pub(super) fn speaks(&mut self, node: &NodeName, words: Option<&str>) {
        if let Some(peer) = self.peers.get_mut(node) {
            peer.systole = words.is_some();
            peer.yields = words.is_some_and(|words| has_word(words, YIELD));
            peer.echoes = words.is_some_and(|words| has_word(words, ECHO));
        }
    }

    /// `auto_failback legacy`: nobody reports, and a node that is being stopped asks for nothing. What it
    /// has not released yet, a node that was not heard may have taken.
    pub(super) fn has_run_unheard(&mut self, node: &NodeName) {
        if !self.nice() && self.stopping() {
            self.others_may_run_them(&format!("node {node} may have run all along"));
        }
    }

    /// A status word changed.
    pub(super) fn status_changed(
        &mut self,
        node: &NodeName,
        old: NodeStatus,
        new: NodeStatus,
        message: Message,
    ) {
        if *node == self.local {
            return;
        }
        if new != NodeStatus::Ping && !hooks::is_ping(&message) {
            let words = message.text(field::SYSTOLE);
            let peer = self.peers.entry(node.clone()).or_default();
            peer.systole |= words.is_some();
            peer.yields = words.is_some_and(|words| has_word(words, YIELD));
            peer.echoes = words.is_some_and(|words| has_word(words, ECHO));
            if old == NodeStatus::Dead && new == NodeStatus::Active {
                // It ran all along, and was not heard. With a new run this is known by that.
                peer.returns |= peer.taken_over;
            }
            if let Some(mark) = message.text(field::HARESOURCES) {
                peer.owners = Some(mark.to_owned());
            }
            self.peer_status(node, old, new);
            // To a process that was begun anew while its groups ran, the other node has no status yet.
            if matches!(old, NodeStatus::Dead | NodeStatus::Init) && new == NodeStatus::Active {
                self.has_run_unheard(node);
            }
            if new == NodeStatus::Active && !self.nice() {
                self.ask_again_as_legacy();
            }
        }
        self.act(Action::RunHook(message));
    }

    /// What follows when a job is done.
    pub(super) fn job_finished(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::AcquireLocal if self.nice() => self.local_acquired(),
            Purpose::TakeOver(node) => self.taken_over(&node),
            Purpose::Reclaim => self.reclaimed(),
            Purpose::Give => self.released_for_standby(),
            Purpose::Take => self.taken_in_standby(),
            Purpose::ReleaseAll => self.all_released(),
            Purpose::HandOver { to, key } => self.handed_over(&to, &key),
            Purpose::Retry | Purpose::LeaveToOwner => self.tell_what_runs(),
            Purpose::AcquireLocal | Purpose::Granted | Purpose::Cancelled => {}
        }
    }
}
