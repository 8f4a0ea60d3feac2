//! Requests for a standby: those of another node, and those that waited for our own scripts.

use crate::notice::Notice;
use crate::protocol::field;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::resources::holding::HoldingSet;
use crate::resources::hooks;
use crate::resources::parts::conversation::Request;
use crate::resources::parts::run::Phase;
use crate::resources::parts::standby::{REQUEST_WAITS, Wish};
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Gives a legacy node back what it may have started beside us. `true`: that has begun.
    pub(in crate::resources) fn offer_back(&mut self) -> bool {
        let due = self.loose.offers_back(self.now);
        if !due || !self.other.is_pair() || !self.at_rest() || !self.other.is_active() {
            return false;
        }
        if !self.duty.holds(HoldingSet::FOREIGN) {
            self.loose.offered_back();
            return false;
        }
        self.loose.offer_back(self.now);
        self.warn(
            "the other node has ended a takeover that began before it gave us its resources: it may be \
             starting them again, and get them back",
        );
        self.begin_standby(
            HoldingSet::FOREIGN,
            Wish::Forced,
            "the other node may have started them: it works off what waited behind its takeover",
        );
        true
    }

    /// Offers a legacy node what a script of an earlier standby may have started there, so that it
    /// keeps it: the node stops nothing by itself, and reports nothing of it. Offered once: a node
    /// that does not answer hangs. `true`: that has begun.
    pub(in crate::resources) fn offer_what_it_started(&mut self) -> bool {
        let possible = self.other.is_pair()
            && self.at_rest()
            && self.other.is_settled()
            && self.other.is_active();
        if !self.loose.has_older_start() || !possible {
            return false;
        }
        let set = self.loose.take_older_start().common(self.duty.held());
        if set.is_none() {
            return false;
        }
        self.begin_standby(
            set,
            Wish::Forced,
            "the other node may have started them: it says that it is done, and gives nothing",
        );
        true
    }

    /// A local program asks us to give `set` away. The check comes before the message: a request
    /// that we refuse ourselves must not reach a node that would accept it.
    pub(in crate::resources) fn standby_requested(&mut self, set: HoldingSet, forced: bool) {
        if !self.nice() {
            return self.notice(Notice::StandbyNeedsNice {});
        }
        if self.run.phase() == Phase::Shutdown || self.stopping() {
            return;
        }
        if self.other.is_many() {
            return self.error("standby refused: more than two nodes are configured");
        }
        if self.freeze.is_on() {
            self.warn(format!("standby request for [{set}] refused: frozen"));
            return self.decide(format!("refuses to give {set} away"), "frozen");
        }
        if let Some(why) = self.hand_over_obstacle(set).filter(|_| !forced) {
            self.warn(format!(
                "standby request for [{set}] refused: {why}; --force hands over all the same"
            ));
            return self.decide(format!("refuses to give {set} away"), why);
        }
        let node = self.setup.local().to_string();
        let info = "me".to_owned();
        if let Some(seconds) = self.seconds_left() {
            return self.notice(Notice::StandbyInProgress {
                info,
                node,
                seconds,
            });
        }
        if self.groups.at_work() {
            self.debug("standby request waits until own resource activity finishes");
            let until = self.after(REQUEST_WAITS);
            self.standby.ask_later(Request::new(set, until, forced));
            return;
        }
        if !self.other.is_settled() || self.contested() {
            self.decide(
                format!("refuses to give {set} away"),
                "the other node is not settled, or not there",
            );
            return self.notice(Notice::StandbyOtherFlux { info, node });
        }
        if self.run.phase() != Phase::Stable {
            self.decide(format!("refuses to give {set} away"), "not settled");
            return self.notice(Notice::StandbyLocalFlux { info, node });
        }
        let wish = if forced { Wish::Forced } else { Wish::Wanted };
        self.begin_standby(
            set,
            wish,
            "hb_standby, a client or the other node's hb_takeover asked",
        );
    }

    /// Handles requests that waited for our own scripts. Spec: docs/protocol/resources.md, 6, [D]
    /// (a).
    pub(in crate::resources) fn try_waiting_requests(&mut self) {
        self.standby.forget_late_requests(self.now);
        if self.groups.at_work() || !self.standby.is_idle() {
            return;
        }
        let giver = self.standby.offered_by();
        if giver.is_some_and(|giver| self.waits_for_report(giver)) {
            return;
        }
        if let Some((from, request)) = self.standby.take_offered() {
            self.answer_or_refuse(&from, request.set());
        } else if let Some(request) = self.standby.take_wanted() {
            self.standby_requested(request.set(), request.forced());
        }
    }

    /// Another node asks for groups of its choice. Spec: docs/protocol/resources.md, 8.
    pub(in crate::resources) fn on_hb_takeover(&mut self, from: &NodeName, message: &Message) {
        if !self.run.comm_up() {
            return;
        }
        // `failback` means "give me my own", which a legacy receiver reads as everything.
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
