//! Requests for a standby: of another node, and those that waited for our own scripts.

use crate::protocol::field;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::resources::holding::HoldingSet;
use crate::resources::hooks;
use crate::resources::parts::standby::{Request, Standby};
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Requests that waited for our own scripts. Spec: docs/protocol/resources.md, 6, [D] (a).
    pub(in crate::resources) fn try_waiting_requests(&mut self) {
        let now = self.now;
        self.wanted = self.wanted.take().filter(|request| request.until > now);
        self.offered = self
            .offered
            .take()
            .filter(|(_, request)| request.until > now);
        if self.groups.at_work() || self.standby != Standby::Not {
            return;
        }
        let waits = |(from, _): &(NodeName, Request)| self.waits_for_report(from);
        if self.offered.as_ref().is_some_and(waits) {
            return;
        }
        if let Some((from, request)) = self.offered.take() {
            self.offer(&from, request.set);
        } else if let Some(request) = self.wanted.take() {
            self.standby_requested(request.set, request.forced);
        }
    }

    /// Another node asks for groups of its choice. Spec: docs/protocol/resources.md, 8.
    pub(in crate::resources) fn on_hb_takeover(&mut self, from: &NodeName, message: &Message) {
        if !self.run.comm_up() {
            return;
        }
        // `failback` means "give me my own", which a legacy receiver takes for everything.
        let set = match message.text(field::RSC_HOLD) {
            Some("failback") => Some(HoldingSet::FOREIGN),
            Some(word) => HoldingSet::from_word(word).map(HoldingSet::mirror),
            None => Some(HoldingSet::ALL),
        };
        match set {
            Some(set) if !set.is_none() => {
                self.info(format!("node {from} takes over: going standby [{set}]"));
                self.standby_requested(set, hooks::is_forced(message));
            }
            _ => self.error(format!("unknown set in a takeover request of node {from}")),
        }
    }
}
