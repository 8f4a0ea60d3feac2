//! A report of another node: what it changes in our belief, and what follows.

use crate::notice::Notice;
use crate::protocol::field;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::partition::Half;
use crate::protocol::question::Position;
use crate::protocol::settings::AutoFailback;
use crate::resources::gate::Act;
use crate::resources::holding::HoldingSet;
use crate::resources::messages::weight_in;
use crate::resources::obstacles::Scope;
use crate::resources::parts::run::Phase;
use crate::resources::parts::standby::Answer;
use crate::resources::parts::standby::table::Input;
use crate::resources::parts::timers::Timer;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Handles a report that is older than one that was received: it may tell that the giver gives.
    pub(in crate::resources) fn gives_by_an_older_report(
        &mut self,
        from: &NodeName,
        report: &Message,
    ) {
        let state = self.standby.state();
        let offer = state.answered().map(Answer::offer);
        let after = offer.is_some_and(|offer| offer < Position::of(report));
        let gives = report.text(field::INFO) == Some("standby");
        if gives && after && state.waits_for_giver(from) && self.other.is_legacy(from) {
            self.standby_on(Input::Gives);
        }
    }

    /// Handles a report that does not tell whether its sender is settled. `true`: it was a reason
    /// to release.
    pub(in crate::resources) fn took_ours_by_its_word(
        &mut self,
        from: &NodeName,
        report: &Message,
    ) -> bool {
        if report.text(field::INFO) != Some("mach_down") || !self.other.is_legacy(from) {
            return false;
        }
        if self.conflicts(from, None, false) {
            return true;
        }
        let taken = self.standby.state().taken();
        if self.other.is_pair() && taken.has(HoldingSet::LOCAL) {
            self.release_after_split(
                "the other node has started what it gave us, although it had reported that it gave it",
            );
            return true;
        }
        let takes = self.other.is_pair() && taken.has(HoldingSet::FOREIGN);
        if self.duty.holds(HoldingSet::FOREIGN) || takes {
            self.loose.may_have_started_its_own(self.now);
        }
        self.the_taker_counts_us_dead(from);
        false
    }

    /// Handles a full report for a late `done` of its sender: the sender may have released the set.
    pub(in crate::resources) fn released_before_our_run(
        &mut self,
        from: &NodeName,
        report: &Message,
    ) {
        let late = self.loose.late_done_of(from, Position::of(report));
        let Some((set, done)) = late else {
            return;
        };
        let holds = self.other.may_hold();
        let released = holds.common(set).is_none() && report.text(field::INFO).is_none();
        let given = Scope::of(set.mirror());
        if released && self.gate(Act::TakeLateDone, &given).is_ok() {
            self.take(from, set, &done);
        } else if set.has(HoldingSet::FOREIGN) && self.other.holds().has(HoldingSet::LOCAL) {
            self.leave_foreign_to(
                from,
                "has started its own resources, which were taken here meanwhile",
            );
        }
    }

    /// A report of another node. Spec: docs/protocol/resources.md, 4 and 5.2, rows B and C.
    pub(in crate::resources) fn on_report(&mut self, from: &NodeName, message: &Message) {
        if !self.run.comm_up() || !self.nice() || self.run.phase() == Phase::Init {
            return self.claimed_before_comm_is_up(message);
        }
        if self.is_no_news(from, message) {
            return;
        }
        let position = Position::of(message);
        let full = message.text(field::RTYPE) == Some("full");
        let owner = full && self.owner_begins_anew(from);
        // A report that was sent before its sender received this run of ours may be as old as the
        // run before.
        let open = matches!(self.run.phase(), Phase::Starting | Phase::Waiting);
        let knows_us = self.knows_our_run(from, message);
        let stale = open && !knows_us;
        let heard = self.other.known(from).reports(message, knows_us, stale);
        let asked = heard.asked && self.run.phase() == Phase::Stable;
        if message.text(field::INFO) == Some("shutdown") {
            self.leaves_instead_of_yielding(from);
        }
        let set = self.set_reported(from, message);
        let info = message.text(field::INFO);
        let weight = weight_in(message);
        // What a node gives up in the first report of its run may be anything.
        let before = if heard.first {
            HoldingSet::ALL
        } else {
            self.other.may_hold()
        };
        self.other.reports(from, set, full, stale);
        match message.text(field::IS_STABLE) {
            Some("1") => {
                if !stale {
                    self.other.is_believed();
                    self.other_turned_stable();
                }
                if self.conflicts(from, weight, stale) {
                    return self.answer_beside_a_conflict(asked || owner);
                }
                self.leave_what_the_owner_runs(from, weight);
                self.leave_what_a_legacy_owner_kept(from);
            }
            Some(_) => {
                self.other.moves();
                if matches!(info, Some("standby" | "shutdown")) {
                    // Announced, not done. Spec: docs/protocol/resources.md, 10.1, [D].
                    self.other.may_still_hold(before);
                    if info == Some("standby") {
                        self.standby_on(Input::Gives);
                    }
                } else if self.conflicts(from, weight, stale) {
                    return self.answer_beside_a_conflict(asked || owner);
                }
            }
            None if self.took_ours_by_its_word(from, message) => return,
            None => {}
        }
        if full {
            self.names_its_own(from);
            self.names_what_it_took(from, set, position);
            self.standby_on(Input::Heard);
            self.look_at_held_takeovers();
        }
        if owner {
            self.owner_began_anew(from, Some(set));
        }
        if asked || owner {
            self.answer();
        }
        if full && heard.first && self.run.phase() == Phase::Stable {
            self.groups.the_moment_is_good(self.now);
        }
        if full {
            self.unowned_answered(from, message);
            self.standby_on(Input::Reports(from, position));
            self.not_taken(from, message);
            self.released_before_our_run(from, message);
        }
        // The ten seconds are only a wait: a peer that has just started, holds nothing of ours and
        // clearly reports that does not object. Spec: docs/protocol/membership.md, 16.2.
        let plain = full && !stale && info.is_none() && !set.has(HoldingSet::FOREIGN);
        self.start_goes_on(from, heard.first, plain && heard.fresh);
    }

    /// Whether a report changes nothing of what is known.
    fn is_no_news(&mut self, from: &NodeName, report: &Message) -> bool {
        if self.other.is_dead(from) {
            // Its next status, a keepalive from now, tells that it lives and in which run, and then
            // the rules for that apply. If we released for a node that counts as dead, we would
            // take everything over from it at once, and its next message would cause that.
            self.debug(format!(
                "report of node {from}, which counts as dead: its status is waited for"
            ));
            return true;
        }
        let known = self.other.known(from);
        let older = known.has_said_more_than(Position::of(report));
        if older {
            self.debug(format!("report of node {from} is older than the last one"));
            self.leaves_by_an_older_report(from, report);
            self.gives_by_an_older_report(from, report);
        }
        older
    }

    /// What a report says that its sender holds.
    fn set_reported(&mut self, from: &NodeName, report: &Message) -> HoldingSet {
        let word = report.text(field::RSC_HOLD).unwrap_or("");
        HoldingSet::from_word(word).unwrap_or_else(|| {
            self.error(format!("unknown holding set [{word}] from node {from}"));
            HoldingSet::NONE
        })
    }

    /// The exchange at start, after a report. `first`: it is the first report of its sender's run.
    /// `no_objection`: its sender has just started, and clearly reports that it holds nothing of
    /// ours.
    fn start_goes_on(&mut self, from: &NodeName, first: bool, no_objection: bool) {
        if self.run.phase() == Phase::Starting {
            if self.setup.model() == AutoFailback::Off {
                self.run.foreign_done();
            }
            self.begin_waiting();
        }
        if self.run.phase() != Phase::Waiting {
            return;
        }
        let agreed = self.other.is_settled() && self.other.all_active_reported();
        if agreed || (no_objection && self.other.is_pair()) {
            self.settle_start();
        } else if first && self.other.unsettled_legacy() == Some(from) {
            // If the node starts as we do and has received no more of us than our question, it
            // waits for our report, and answers no other question. Spec:
            // docs/protocol/membership.md, 16.2.
            self.answer();
        }
    }

    /// The other node was asked what it holds, and takes us for unsettled until we report, whether
    /// its claim is true or not. A node that yields reports by its new generation instead.
    fn answer_beside_a_conflict(&mut self, was_asked: bool) {
        if was_asked && self.run.comm_up() {
            self.answer();
        }
    }

    pub(in crate::resources) fn other_turned_stable(&mut self) {
        if self.other.is_settled() {
            return;
        }
        self.other.settles();
        self.notice(Notice::RemoteTransitionDone {});
        self.answer();
        self.failback.other_settled();
        self.groups.somebody_can_take(self.now);
    }

    /// A node reports that it is being stopped: it will not yield in another way.
    pub(in crate::resources) fn leaves_instead_of_yielding(&mut self, node: &NodeName) {
        if self.timers.take(Timer::OtherYields) {
            self.decide(
                "keeps everything, and waits until the other node has gone",
                format!("node {node} is being stopped"),
            );
        }
    }

    /// A node that came back during a takeover has reported.
    ///
    /// | what we take or hold is | then |
    /// |---|---|
    /// | claimed by it | it sees the same in our report, and yields |
    /// | in doubt: it no longer reports that it holds it, and does not yet report that it is settled | wait |
    /// | neither | taken |
    pub(in crate::resources) fn look_at_held_takeovers(&mut self) {
        if !self.takeover_held() || self.contested() {
            return;
        }
        let wanted = self.duty.held();
        let ours_in = |theirs: HoldingSet| {
            let halves = [HoldingSet::LOCAL, HoldingSet::FOREIGN];
            let both = |half| theirs.mirror().has(half) && wanted.has(half);
            halves.into_iter().any(both)
        };
        if ours_in(self.other.holds()) {
            self.expect_yield();
        } else if !ours_in(self.other.may_hold()) {
            self.go_on_with_takeovers();
        }
    }

    /// A legacy node claims its own groups while we hold them: we took them when it was not
    /// received. Its process began anew meanwhile (`heartbeat -r`) and holds what it held, or it
    /// has run since before our own start. It does not yield, and takes nothing back by itself. A
    /// node that begins with nothing reports that in its first stable report. Later it may count
    /// other groups as its own than we do, because its haresources was changed.
    ///
    /// An earlier process or core of ours may have taken them, which is all that this one knows: then the node is
    /// asked, and its answer decides.
    pub(in crate::resources) fn leave_what_a_legacy_owner_kept(&mut self, node: &NodeName) {
        let Some(peer) = self.other.peer(node) else {
            return;
        };
        let (legacy, returns) = (!peer.is_systole(), peer.returns());
        if self.both_hold_foreign() && !self.may(Act::LeaveForeign) {
            // A standby or other work is under way: the report that we ask for after it decides.
            self.loose.asks_anew();
            return;
        }
        if let Some(peer) = self.other.peer_mut(node) {
            peer.has_returned();
        }
        if legacy && returns {
            self.leave_foreign_to(
                node,
                "has kept its own resources, which were taken over here",
            );
        } else if legacy && self.both_hold_foreign() {
            match self.loose.claims_still() {
                None => {}
                Some(false) => self.ask(),
                Some(true) => self.leave_foreign_to(
                    node,
                    "was asked, and holds its own resources, which are held here too",
                ),
            }
        }
    }

    /// Handles a report that came after a newer one of the same run: it may tell that the node
    /// leaves. Its answers to questions do not.
    pub(in crate::resources) fn leaves_by_an_older_report(
        &mut self,
        node: &NodeName,
        report: &Message,
    ) {
        let leaves = report.text(field::INFO) == Some("shutdown") && !self.other.is_settled();
        let Some(peer) = self.other.peer_mut(node).filter(|_| leaves) else {
            return;
        };
        if Position::of(report).generation() == peer.newest_report().generation() {
            peer.is_going();
            self.leaves_instead_of_yielding(node);
        }
    }

    /// A node that may not receive us claims what an earlier run of ours held and runs on here.
    pub(in crate::resources) fn claimed_before_comm_is_up(&mut self, message: &Message) {
        let word = message.text(field::RSC_HOLD).unwrap_or("");
        let claims = HoldingSet::from_word(word).unwrap_or(HoldingSet::NONE);
        let releases = matches!(message.text(field::INFO), Some("standby" | "shutdown"));
        let conflict = claims.has(HoldingSet::FOREIGN)
            && self.duty.holds(HoldingSet::LOCAL)
            && weight_in(message).is_none_or(|theirs| theirs.serves(Half::Ours));
        if conflict && !releases && self.nice() && self.unheard_with_groups() {
            self.release_after_split("the other node has taken our resources while we held them");
        }
    }

    /// A full report: checks whether it names what its sender may start without a report, or has
    /// sent that it started.
    pub(in crate::resources) fn names_what_it_took(
        &mut self,
        node: &NodeName,
        set: HoldingSet,
        at: Position,
    ) {
        let known = self.other.peer_mut(node);
        let Some(missing) = known.and_then(|peer| peer.hands_mut().reports(set, at)) else {
            return;
        };
        self.say_that_it_stays(
            node,
            missing,
            "it says that it has started it, and does not report it",
        );
    }
}
