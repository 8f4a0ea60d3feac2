//! Requests for a standby: those of another node, and those that waited for our own scripts.

use crate::notice::Notice;
use crate::protocol::field;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::resources::gate::{Act, Obstacle, Outcome, Refusal};
use crate::resources::holding::HoldingSet;
use crate::resources::hooks;
use crate::resources::obstacles::Scope;
use crate::resources::parts::conversation::Request;
use crate::resources::parts::standby::{REQUEST_WAITS, Wish};
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Gives a legacy node back what it may have started beside us. `true`: that has begun.
    pub(in crate::resources) fn offer_back(&mut self) -> bool {
        if !self.loose.offers_back(self.now) {
            return false;
        }
        if let Err(refusal) = self.gate(Act::OfferBack, &Scope::of(HoldingSet::FOREIGN)) {
            if refusal.outcome == Outcome::Drop {
                self.loose.offered_back();
            }
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
            "the other node may have started them: it carries out what waited behind its takeover",
        );
        true
    }

    /// Offers a legacy node what a script of an earlier standby may have started there, so that it
    /// keeps it: the node stops nothing by itself, and reports nothing of it. Offered once: a node
    /// that does not answer hangs. `true`: that has begun.
    pub(in crate::resources) fn offer_what_it_started(&mut self) -> bool {
        if !self.loose.has_older_start() || !self.may(Act::OfferStarted) {
            return false;
        }
        let set = self.loose.take_older_start().common(self.duty.held());
        if set.is_none() {
            return false;
        }
        self.begin_standby(
            set,
            Wish::Forced,
            "the other node may have started them: it has reported the end of a standby in which it gave nothing",
        );
        true
    }

    /// A local program asks us to give `set` away. The check comes before the message: a request
    /// that we refuse ourselves must not reach a node that would accept it.
    pub(in crate::resources) fn standby_requested(&mut self, set: HoldingSet, forced: bool) {
        let scope = Scope::of(set).forced(forced);
        if let Err(refusal) = self.gate(Act::Offer, &scope) {
            return self.refuse_request(set, forced, refusal);
        }
        let wish = if forced { Wish::Forced } else { Wish::Wanted };
        self.begin_standby(
            set,
            wish,
            "hb_standby, a client or the other node's hb_takeover asked",
        );
    }

    /// A request to give `set` away is refused, or waits.
    fn refuse_request(&mut self, set: HoldingSet, forced: bool, refusal: Refusal) {
        match refusal.outcome {
            Outcome::Refuse => {}
            Outcome::Queue => {
                self.debug("standby request waits until own resource activity finishes");
                let until = self.after(REQUEST_WAITS);
                return self.standby.ask_later(Request::new(set, until, forced));
            }
            Outcome::Ignore | Outcome::Drop | Outcome::Wait | Outcome::Instead => return,
        }
        let cause = self.cause(refusal.obstacle, &Scope::of(set));
        let (info, node) = ("me".to_owned(), self.setup.local().to_string());
        match refusal.obstacle {
            Obstacle::LegacyModel => self.notice(Notice::StandbyNeedsNice {}),
            Obstacle::ManyNodes => self.error(format!("standby refused: {cause}")),
            Obstacle::FilesDiffer => self.warn(format!(
                "standby request for [{set}] refused: {cause}; --force hands over all the same"
            )),
            Obstacle::StandbyOpen => {
                let seconds = self.seconds_left().unwrap_or(0);
                self.notice(Notice::StandbyInProgress {
                    info,
                    node,
                    seconds,
                });
            }
            Obstacle::NotSettled => self.notice(Notice::StandbyLocalFlux { info, node }),
            Obstacle::OtherUnsettled | Obstacle::Contested => {
                self.notice(Notice::StandbyOtherFlux { info, node });
            }
            _ => self.warn(format!("standby request for [{set}] refused: {cause}")),
        }
        self.decide(format!("refuses to give {set} away"), cause);
    }

    /// Handles requests that waited for our own scripts. Spec: docs/protocol/resources.md, 6, [D]
    /// (a).
    pub(in crate::resources) fn try_waiting_requests(&mut self) {
        self.standby.forget_late_requests(self.now);
        let giver = self.standby.offered_by();
        let scope = giver.map_or_else(Scope::default, Scope::node);
        if self.gate(Act::HandleQueued, &scope).is_err() {
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
