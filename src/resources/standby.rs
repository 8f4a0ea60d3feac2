//! Standby: one node gives a set of groups to the other. Spec: docs/protocol/resources.md, 7.
//!
//! `me` (giver) - `other` (taker: ready) - giver releases - `done` (giver) - taker acquires -
//! `done` (taker). The set is named from the view of the giver.
//!
//! | state | from the other side | own work ends |
//! |---|---|---|
//! | Not | `me`: answer, to Answered | - |
//! | Asked | `other`: release, to Giving; `me`, when ours gives way: answer, to Answered | - |
//! | Giving | - | send `done`, to Given |
//! | Given | `done`: report, to Not | - |
//! | Answered | `done`: acquire, to Taking; `me` of the giver that has given its first up: answer again | - |
//! | Taking | - | send `done`, report, to Not |
//!
//! Of two requests that cross, legacy ignores both. So do we, but one that nobody asked for, because a
//! group does not start here, gives way: else two nodes with such a group each cross for ever.
//!
//! A legacy giver sends on what an operator asks while its first offer is open, and ignores it itself. A
//! second `other` would make it give up everything a second time, and its own second `done` would count
//! as the taker's: it would end holding `all` and running nothing. It has given its offer up when its
//! ten seconds are over, and only if it does not show that it gives.
//!
//! Which round a message belongs to: [`super::rounds`].

use std::time::Duration;

use super::handshake::report;
use super::holding::HoldingSet;
use super::hooks;
use super::jobs::Purpose;
use super::state::{Phase, ResourceState};
use crate::clock::Monotonic;
use crate::notice::Notice;
use crate::protocol::event::GroupOrder;
use crate::protocol::field::{self, kind};
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::protocol::status::NodeStatus;

/// Patience for the first answer.
pub(super) const FIRST_ANSWER: Duration = Duration::from_secs(10);
/// Patience for the completion.
pub(super) const COMPLETION: Duration = Duration::from_secs(3600);
/// Patience of the taker until the giver shows that it really gives.
/// Spec: docs/protocol/resources.md, 7.4, [D] (b).
const GIVER_SHOWS: Duration = Duration::from_secs(60);
/// The same of a legacy giver: twice as long as it waits itself. It can hang in a standby of its own
/// for an hour, in which it sends what an operator asks and ignores every answer.
pub(super) const LEGACY_GIVER_SHOWS: Duration = Duration::from_secs(20);
/// A request of the other node waits so long for our own scripts: then the other has given up.
const OFFER_WAITS: Duration = Duration::from_secs(9);
/// A request of our own waits so long for our own scripts.
const REQUEST_WAITS: Duration = Duration::from_secs(60);

/// Where the standby protocol stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standby {
    /// Nothing asked.
    Not,
    /// We said `me`.
    Asked(Wish),
    /// The other is ready, our groups are being stopped.
    Giving,
    /// We said `done`.
    Given,
    /// We said `other`.
    Answered {
        /// To whom.
        giver: NodeName,
        /// Before that it has not given its offer up.
        open_until: Monotonic,
        /// It has shown that it gives.
        gives: bool,
    },
    /// The giver is done, its groups are being started.
    Taking,
}

impl Standby {
    /// The number that logs carry: NOT, ME, OTHER, DONE.
    const fn number(&self) -> u8 {
        match self {
            Self::Not => 0,
            Self::Asked(_) | Self::Giving => 1,
            Self::Answered { .. } => 2,
            Self::Given | Self::Taking => 3,
        }
    }
}

/// Why a set is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Somebody wants it.
    Wanted,
    /// `auto_failback` wants it.
    GoesHome,
    /// The same, although haresources differ.
    Forced,
    /// A group of it does not start here.
    NotStarted,
}

/// A request that waits for our own scripts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    set: HoldingSet,
    until: Monotonic,
    forced: bool,
}

pub(super) fn ask(set: HoldingSet, info: &str) -> Message {
    Message::new(kind::ASK_RESOURCES)
        .with(field::RSC_HOLD, set.word())
        .with(field::INFO, info)
}

impl ResourceState {
    pub(super) fn enter(&mut self, standby: Standby, deadline: Option<Duration>) {
        self.went_on = false;
        self.standby = standby;
        self.sb_deadline = deadline.map(|delay| self.after(delay));
        self.info(format!("New standby state: {}", self.standby.number()));
    }

    /// A local program asks us to give `set` away. The gate stands before the message: a request
    /// that we refuse ourselves must not reach a node that would accept it.
    pub(super) fn standby_requested(&mut self, set: HoldingSet, forced: bool) {
        if !self.nice() {
            return self.notice(Notice::StandbyNeedsNice {});
        }
        if self.phase == Phase::Shutdown || self.stopping() {
            return;
        }
        if self.peers.len() > 1 {
            return self.error("standby refused: more than two nodes are configured");
        }
        if self.frozen {
            self.warn(format!("standby request for [{set}] refused: frozen"));
            return self.decide(format!("refuses to give {set} away"), "frozen");
        }
        if let Some(why) = self.hand_over_obstacle(set).filter(|_| !forced) {
            self.warn(format!(
                "standby request for [{set}] refused: {why}; --force hands over all the same"
            ));
            return self.decide(format!("refuses to give {set} away"), why);
        }
        let node = self.local.to_string();
        let info = "me".to_owned();
        if let Some(seconds) = self.seconds_left() {
            return self.notice(Notice::StandbyInProgress {
                info,
                node,
                seconds,
            });
        }
        if self.jobs.running() {
            self.debug("standby request waits until own resource activity finishes");
            let until = self.after(REQUEST_WAITS);
            self.wanted = Some(Request { set, until, forced });
            return;
        }
        if !self.other_stable || self.contested() {
            self.decide(
                format!("refuses to give {set} away"),
                "the other node is not settled, or not there",
            );
            return self.notice(Notice::StandbyOtherFlux { info, node });
        }
        if self.phase != Phase::Stable {
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

    /// Asks the other node to take `set`.
    pub(super) fn begin_standby(&mut self, set: HoldingSet, wish: Wish, cause: &str) {
        self.decide(format!("offers {set} to the other node"), cause);
        self.offer_answered = None;
        self.our_offer = None;
        let mut offer = ask(set, "me");
        if wish == Wish::Forced {
            offer.set_text(field::FORCE, "1");
        }
        self.send(offer);
        self.notice(Notice::WantsStandby {
            node: self.local.to_string(),
            set: set.to_string(),
        });
        self.sb_set = set;
        self.other_stable = false;
        self.enter(Standby::Asked(wish), Some(FIRST_ANSWER));
    }

    /// A standby message of another node. Our own take effect where they are sent.
    pub(super) fn on_ask_resources(&mut self, from: &NodeName, message: &Message) {
        if !self.nice() {
            return self.notice(Notice::StandbyNeedsNice {});
        }
        if !self.comm_up || self.phase == Phase::Shutdown {
            return self.keep_early_done(from, message);
        }
        let (Some(info), Some(set)) = (message.text(field::INFO), hooks::set_asked(message)) else {
            return self.error(format!("incomplete standby message from node {from}"));
        };
        if info == "me" && !self.note_offer(from, message) {
            return self.debug(format!(
                "[me] of {from} is older than its last one, or than this run of ours"
            ));
        }
        if self.peers.len() > 1 {
            return self.error(format!(
                "standby message [{info}] from {from} refused: more than two nodes are configured"
            ));
        }
        let active = self
            .peers
            .get(from)
            .is_some_and(|peer| peer.status == Some(NodeStatus::Active));
        let offered = info == "me" && active && !self.frozen && self.standby == Standby::Not;
        let late = info == "me" && self.offers_what_it_took(from, set, offered);
        if late || (offered && self.refuses_offer(from, set, message)) {
            return;
        }
        if info == "done" && self.started_unreported(from, set, message) {
            return;
        }
        match (&self.standby, info) {
            // Right after a partition this can be the first word of a node that is still dead to
            // us. Its death could not be noticed again: nothing may depend on it.
            (_, "me" | "other") if !active => {
                let (info, node) = (info.to_owned(), from.to_string());
                self.notice(Notice::StandbyOtherFlux { info, node });
            }
            (_, "me") if self.frozen => {
                self.warn(format!(
                    "standby message [me] from {from} ignored.  frozen."
                ));
                self.decide(format!("does not take {set} of {from}"), "frozen");
            }
            // A stop that waits lets a running standby end, but begins none.
            (Standby::Not, "me") if self.stopping() => {}
            (Standby::Not, "me") if self.jobs.running() => {
                let until = self.after(OFFER_WAITS);
                // A legacy giver ignores its own second offer while the first is open.
                let first = self.offered.take().filter(|(_, first)| {
                    let ours = self.peers.get(from).is_some_and(|peer| peer.systole);
                    !ours && self.now < first.until
                });
                self.offered = first.or_else(|| {
                    let forced = hooks::is_forced(message);
                    Some((from.clone(), Request { set, until, forced }))
                });
            }
            // Its own question has made it unsettled to us, and its report follows.
            (Standby::Not, "me") if self.waits_for_report(from) => {
                let until = self.after(OFFER_WAITS);
                let forced = hooks::is_forced(message);
                self.offered = Some((from.clone(), Request { set, until, forced }));
            }
            (Standby::Not, "me") => self.offer(from, set),
            (Standby::Asked(Wish::NotStarted), "me") if self.gives_way_to(from) => {
                self.decide(
                    format!("offers {} later", self.sb_set),
                    format!("{from} offers {set} in the same moment"),
                );
                self.withdraw_offer();
                self.offer(from, set);
            }
            // The giver starts over: it has given its first request up.
            // Spec: docs/protocol/resources.md, 7.4, [D] (c).
            (Standby::Answered { giver, .. }, "me") if giver == from && self.starts_over() => {
                self.answer_giver(from, set);
            }
            (_, "me") => {
                let seconds = self.seconds_left().unwrap_or(0);
                self.notice(Notice::StandbyInProgress {
                    info: info.to_owned(),
                    node: from.to_string(),
                    seconds,
                });
            }
            (Standby::Asked(_), "other") | (Standby::Given, "done")
                if !self.answers_our_offer(from, message) =>
            {
                self.debug(format!("[{info}] of {from} is of an earlier standby"));
            }
            (Standby::Asked(_), "other") => self.give_up(from),
            (Standby::Given, "done") => {
                self.expects_its_report(from, Position::of(message));
                self.given_and_taken();
            }
            // Not: it took longer than we waited for it, and waits for us now.
            (Standby::Answered { .. } | Standby::Not, "done")
                if self.follows_answered_offer(from, set, message) =>
            {
                self.take(from, set, message);
            }
            // It says so again because we asked for something else, and we have heard it before.
            (Standby::Taking | Standby::Not, "done") if self.knows_that_it_is_done(from, set) => {
                self.debug(format!("[{info}] of {from} is known"));
            }
            (Standby::Not, "done") if self.is_late_done(from, set) => {
                self.note_late_done(from, set, message);
            }
            (Standby::Taking | Standby::Not, "done") if self.ends_an_older_start(from, set) => {
                self.note_older_start(from, set);
            }
            (Standby::Answered { giver, .. }, "done") if giver == from => {
                self.debug(format!("[{info}] of {from} is of an earlier standby"));
            }
            (
                Standby::Not
                | Standby::Asked(_)
                | Standby::Giving
                | Standby::Given
                | Standby::Answered { .. }
                | Standby::Taking,
                _,
            ) => {
                let state = self.standby.number().to_string();
                self.notice(Notice::StandbyUnexpected {
                    info: info.to_owned(),
                    node: from.to_string(),
                    state,
                });
            }
        }
    }

    /// Whether what is offered is not taken because the two files say different things of it.
    fn refuses_offer(&mut self, from: &NodeName, set: HoldingSet, message: &Message) -> bool {
        let why = self.hand_over_obstacle(set.mirror());
        let Some(why) = why.filter(|_| !hooks::is_forced(message)) else {
            return false;
        };
        self.warn(format!("standby message [me] from {from} ignored: {why}"));
        self.decide(format!("does not take {set} of {from}"), why);
        true
    }

    /// Whether our offer ends for one of `from` that crosses it. It ignores ours in any case. A legacy
    /// node offers only what somebody wants.
    fn gives_way_to(&self, from: &NodeName) -> bool {
        let ours = self.peers.get(from).is_some_and(|peer| peer.systole);
        !ours || *from < self.local
    }

    /// Whether a second offer of the giver that we have answered is one: see the top.
    fn starts_over(&self) -> bool {
        let Standby::Answered {
            giver,
            open_until,
            gives,
        } = &self.standby
        else {
            return false;
        };
        let ours = self.peers.get(giver).is_some_and(|peer| peer.systole);
        ours || (!gives && *open_until <= self.now)
    }

    /// Whether one of our nodes says again that it is done.
    fn knows_that_it_is_done(&self, from: &NodeName, set: HoldingSet) -> bool {
        let ours = self.peers.get(from).is_some_and(|peer| peer.systole);
        let taken = self.standby == Standby::Taking && self.sb_set == set;
        ours && (taken || self.mine.has(set.mirror()))
    }

    /// Whether one of our nodes is unsettled to us for no other reason than that its report is on its way:
    /// its offer waits for that. Refused, it would come again after a minute.
    fn waits_for_report(&self, from: &NodeName) -> bool {
        let ours = self.peers.get(from).is_some_and(|peer| peer.systole);
        ours && !self.other_stable && !self.contested() && self.phase == Phase::Stable
    }

    fn offer(&mut self, from: &NodeName, set: HoldingSet) {
        let (info, node) = ("me".to_owned(), from.to_string());
        if !self.other_stable || self.contested() {
            self.notice(Notice::StandbyOtherFlux { info, node });
        } else if self.phase != Phase::Stable {
            self.notice(Notice::StandbyLocalFlux { info, node });
        } else {
            self.answer_giver(from, set);
        }
    }

    fn answer_giver(&mut self, from: &NodeName, set: HoldingSet) {
        self.notice(Notice::WantsStandby {
            node: from.to_string(),
            set: set.to_string(),
        });
        self.decide(
            format!("is ready to take {set} of {from}"),
            format!("{from} offers them"),
        );
        self.sb_set = set;
        self.other_stable = false;
        let giver = from.clone();
        self.note_answer(from, set);
        self.answer_offer(set, "other");
        let answered = Standby::Answered {
            giver,
            open_until: self.after(FIRST_ANSWER),
            gives: false,
        };
        let ours = self.peers.get(from).is_some_and(|peer| peer.systole);
        let patience = if ours {
            GIVER_SHOWS
        } else {
            LEGACY_GIVER_SHOWS
        };
        self.enter(answered, Some(patience));
    }

    /// The giver reports that it has begun.
    pub(super) fn giver_gives(&mut self, info: Option<&str>) {
        if info == Some("standby")
            && let Standby::Answered { gives, .. } = &mut self.standby
        {
            *gives = true;
            self.sb_deadline = Some(self.after(COMPLETION));
        }
    }

    fn give_up(&mut self, taker: &NodeName) {
        let set = self.sb_set;
        self.decide(
            format!("stops its {set} resources"),
            format!("{taker} can take them"),
        );
        self.notice(Notice::CanTake {
            node: taker.to_string(),
            set: set.to_string(),
        });
        self.other_stable = false;
        self.gives_since = self.peers.get(taker).map(|peer| peer.newest_report);
        if set.has(HoldingSet::FOREIGN) {
            self.failback_settled();
            self.offered_back();
        }
        self.mine = self.mine.without(set);
        self.releasing = set;
        self.send(report(self.mine, false, Some("standby")));
        self.notice(Notice::StandbyGiving {
            set: set.to_string(),
        });
        let keys = self.keys_of(set);
        for key in &keys {
            if self.failures.remove(key).is_some() {
                self.moved.insert(key.clone(), self.now);
            }
        }
        self.jobs.add(Purpose::Give, keys, GroupOrder::Stop);
        self.enter(Standby::Giving, Some(COMPLETION));
    }

    /// Everything of the set is stopped.
    pub(super) fn released_for_standby(&mut self) {
        self.releasing = HoldingSet::NONE;
        if self.standby != Standby::Giving {
            // The taker went away meanwhile, or this is the rest of an earlier process's release; whoever
            // listens hears what is left. A node that runs the rest as well counts on that before it lets go.
            let open = self.comm_up && !matches!(self.phase, Phase::Init | Phase::Shutdown);
            if open && !self.settles_when_released {
                self.answer();
            }
            return self.settle_after_release();
        }
        if self.not_heard_yet() {
            return;
        }
        let set = self.sb_set;
        self.notice(Notice::StandbyReleaseDone {
            set: set.to_string(),
        });
        // From here on the taker may run them, whatever it reports.
        self.doubt = self.doubt.with(set.mirror());
        let reports = self.peers.values().map(|peer| peer.newest_report);
        self.given_at = reports.max();
        self.say_done();
        self.enter(Standby::Given, Some(COMPLETION));
        self.taken_before_we_were_done();
        self.settle_after_release();
    }

    /// Everything of the set is stopped: the taker may start it.
    pub(super) fn say_done(&mut self) {
        let set = self.sb_set;
        let mut done = ask(set, "done");
        if let Some(failed) = self.failed_of(set) {
            done.set_text(field::FAILED, &failed);
        }
        self.send(done);
    }

    /// The taker is done.
    pub(super) fn given_and_taken(&mut self) {
        self.timers.taken = None;
        let set = self.sb_set;
        self.notice(Notice::OtherCompletedStandby {
            set: set.to_string(),
        });
        self.theirs = self.theirs.with(set.mirror());
        self.doubt = HoldingSet::NONE;
        self.enter(Standby::Not, None);
        self.answer();
    }

    pub(super) fn take(&mut self, from: &NodeName, set: HoldingSet, message: &Message) {
        self.sb_set = set;
        self.decide(
            format!("starts what was {set} of {from}"),
            format!("{from} has released it"),
        );
        let ours = set.mirror();
        if ours.has(HoldingSet::FOREIGN) {
            self.failback_settled();
        }
        self.note_failed_there(message, ours);
        self.doubt = HoldingSet::NONE;
        if let Some(peer) = self.peers.get_mut(from) {
            peer.hands.unreported = peer.hands.unreported.without(set);
        }
        self.info(format!("standby: acquire [{set}] resources from {from}"));
        self.notice(Notice::StandbyAcquiring {
            set: ours.to_string(),
        });
        let keys = self.keys_of(ours);
        for key in &keys {
            // Who has stopped it says so.
            self.confirmed(Some(key));
        }
        let keys = self.not_elsewhere(keys);
        self.jobs.add(Purpose::Take, keys, GroupOrder::Start);
        self.enter(Standby::Taking, Some(COMPLETION));
    }

    /// Everything of the set is started, or was tried. `done` goes out in any case: without it
    /// the giver would wait for an hour.
    pub(super) fn taken_in_standby(&mut self) {
        if self.standby != Standby::Taking || self.not_heard_yet() {
            return;
        }
        let set = self.sb_set;
        self.mine = self.mine.with(set.mirror());
        self.notice(Notice::StandbyAcquireDone {
            set: set.to_string(),
        });
        self.enter(Standby::Not, None);
        self.answer_offer(set, "done");
        self.offer_answered = None;
        self.answer();
        self.local_done = true;
        self.foreign_done = true;
        self.acquisition_complete("auto_failback");
    }

    /// What we give away and have not begun to stop stays, be it of a standby that was interrupted or of
    /// a release that an earlier process began: we take it, and no stop may come behind that. A node that is
    /// being stopped takes nothing: it goes on, and reports until the end what is not released yet.
    pub(super) fn withdraw_stops(&mut self) {
        let giving = |purpose: &Purpose| *purpose == Purpose::Give;
        if self.jobs.any(giving) && !self.stopping() {
            self.jobs.cancel(giving);
            self.releasing = HoldingSet::NONE;
        }
    }

    /// Requests that waited for our own scripts. Spec: docs/protocol/resources.md, 6, [D] (a).
    pub(super) fn try_waiting_requests(&mut self) {
        let now = self.now;
        self.wanted = self.wanted.take().filter(|request| request.until > now);
        self.offered = self
            .offered
            .take()
            .filter(|(_, request)| request.until > now);
        if self.jobs.running() || self.standby != Standby::Not {
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

    pub(super) fn waiting_requests_until(&self) -> Option<Monotonic> {
        let wanted = self.wanted.map(|request| request.until);
        let offered = self.offered.as_ref().map(|(_, request)| request.until);
        [wanted, offered].into_iter().flatten().min()
    }

    /// Another node asks for groups of its choice. Spec: docs/protocol/resources.md, 8.
    pub(super) fn on_hb_takeover(&mut self, from: &NodeName, message: &Message) {
        if !self.comm_up {
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
