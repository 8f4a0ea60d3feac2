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

use std::time::Duration;

use super::holding::HoldingSet;
use super::jobs::Purpose;
use super::standby::Standby;
use super::state::{Phase, ResourceState};
use crate::notice::Notice;
use crate::protocol::event::GroupOrder;
use crate::protocol::field::{self, kind};
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::partition::Weight;
use crate::protocol::question::Position;
use crate::protocol::settings::AutoFailback;
use crate::protocol::status::NodeStatus;

/// Patience while nobody is settled. Spec: docs/protocol/membership.md, 2, fixed times.
pub(super) const AGREEMENT: Duration = Duration::from_secs(10);
/// How long a message of another node that it shoots us keeps us from acquiring.
/// Spec: docs/protocol/resources.md, 10.3.
const AIMED_AT: Duration = Duration::from_secs(10);

/// A full report.
pub(super) fn report(set: HoldingSet, stable: bool, info: Option<&str>) -> Message {
    let message = Message::new(kind::RESOURCE)
        .with(field::RSC_HOLD, set.word())
        .with(field::RTYPE, "full")
        .with(field::IS_STABLE, if stable { "1" } else { "0" });
    match info {
        Some(info) => message.with(field::INFO, info),
        None => message,
    }
}

/// What the sender of a report weighs, when it tells.
pub(super) fn weight_in(report: &Message) -> Option<Weight> {
    let weight = report.text(field::RUNS).and_then(Weight::from_text)?;
    Some(weight.with_foreign(report.text(field::RUNS_FOREIGN)))
}

impl ResourceState {
    /// Communication is up.
    pub(super) fn comm_is_up(&mut self) {
        self.comm_up = true;
        if !self.manage {
            return;
        }
        self.standby_goes_on();
        // A new generation may be active before the old one's groups are released.
        if self.phase == Phase::Init {
            self.begin_handshake();
        }
        self.take_early_done();
    }

    /// Says that we are here, or finds that nobody listens. Spec: docs/protocol/resources.md, 5.1.
    pub(super) fn begin_handshake(&mut self) {
        if !self.nice() {
            return self.begin_legacy();
        }
        let some_dead = self
            .peers
            .values()
            .any(|peer| peer.status == Some(NodeStatus::Dead));
        if !some_dead {
            self.foreign_done = true;
        }
        self.phase = Phase::Starting;
        self.ask();
        if self.stopping() {
            return;
        }
        if self.peers.is_empty() {
            // Nobody to agree with. Spec: docs/protocol/membership.md, 4.
            self.phase = Phase::Stable;
            self.other_stable = true;
            // What a process that began anew holds, it keeps.
            self.mine = self.mine.with(HoldingSet::FOREIGN);
            self.acquire_local(true);
        } else if self.all_peers_gone() {
            // Whoever died before communication was up has been taken over already.
            let gone: Vec<NodeName> = self.peers.keys().cloned().collect();
            for node in gone {
                self.take_over_once(&node, None);
            }
            self.phase = Phase::Stable;
        } else {
            self.ask_soon();
        }
    }

    /// Takes our own groups. `forced`: whatever the other side says.
    /// Spec: docs/protocol/resources.md, 5.3.
    pub(super) fn acquire_local(&mut self, forced: bool) {
        if self.stopping() || self.phase == Phase::Shutdown {
            return;
        }
        let theirs = self.theirs_at_most().has(HoldingSet::FOREIGN) && !self.counts_by_group();
        let theirs = theirs || self.all_run_there(HoldingSet::LOCAL);
        let moves = self.in_other_hands().has(HoldingSet::LOCAL);
        if !forced && (theirs || moves || self.mine.has(HoldingSet::LOCAL)) {
            self.notice(Notice::LocalAcquisitionNone {});
            return;
        }
        if self.frozen {
            return self.leave_local_for_thaw();
        }
        if forced {
            self.withdraw_stops();
        }
        self.mine = self.mine.with(HoldingSet::LOCAL);
        if self.jobs.any(|purpose| *purpose == Purpose::AcquireLocal) {
            return;
        }
        let mut keys = self.keys_of(HoldingSet::LOCAL);
        if !forced {
            keys = self.not_elsewhere(keys);
        }
        if keys.is_empty() {
            let node = self.local.to_string();
            self.notice(Notice::NoLocalResources { node });
        } else {
            let cause = if forced {
                "no other node is there to run them"
            } else {
                "the nodes are agreed, or the wait for it is over: nobody else holds them"
            };
            self.decide(
                format!("starts the local resources: {}", Self::named(&keys)),
                cause,
            );
        }
        self.jobs
            .add(Purpose::AcquireLocal, keys, GroupOrder::Start);
    }

    /// Our groups have been worked through.
    pub(super) fn local_acquired(&mut self) {
        self.notice(Notice::LocalAcquisitionDone {});
        if self.phase == Phase::Shutdown {
            return;
        }
        self.local_done = true;
        // The end of a takeover reports for both.
        if self.settled_here() {
            let stable = self.announced_stable();
            self.send(report(self.mine, stable, Some("req_our_resources()")));
        }
        self.acquisition_complete("T_RESOURCES(us)");
    }

    /// What `isstable` says in our reports: honest about work that changes what we hold, so that
    /// nobody fails back into a takeover. Spec: docs/protocol/resources.md, 6, [D] (b).
    ///
    /// A taker that starts what it was given says to a legacy giver that it is settled, as legacy does; one
    /// of ours waits for its end, and must not read that it has ended without it.
    pub(super) fn announced_stable(&self) -> bool {
        let ours = self.peers.values().all(|peer| peer.systole);
        let takes = ours && self.standby == Standby::Taking;
        self.phase == Phase::Stable && self.settled_here() && !takes
    }

    /// Whether no work of ours changes what we hold.
    fn settled_here(&self) -> bool {
        self.releasing.is_none()
            && !self
                .jobs
                .any(|purpose| matches!(purpose, Purpose::TakeOver(_) | Purpose::Reclaim))
    }

    /// Sends a report of what we hold now; while we release, of what is not released yet, so that
    /// a newcomer does not start what we still stop.
    pub(super) fn answer(&mut self) {
        let info = match self.phase {
            Phase::Shutdown => Some("shutdown"),
            _ if !self.releasing.is_none() => Some("standby"),
            _ => None,
        };
        let set = self.mine.with(self.releasing);
        let stable = self.announced_stable();
        self.send(report(set, stable, info));
    }

    /// Another node says `starting`. Every one is answered. Spec: docs/protocol/resources.md, 5.2.
    pub(super) fn on_starting(&mut self, from: &NodeName, message: &Message) {
        self.note_question(from, message);
        if !self.comm_up || !self.nice() {
            return;
        }
        if self.is_dead(from) {
            // A single message got through. Should it be its last, its death is not noticed again.
            return self.answer();
        }
        // Two that ask each other at once about what nobody runs shall not both take it.
        self.timers.orphans_asked = None;
        let peer = self.peers.entry(from.clone()).or_default();
        if Position::of(message) < peer.newest_report {
            // A copy that comes late: it has gone on since.
            return self.answer();
        }
        peer.fresh = true;
        // Who begins again after a release goes nowhere.
        peer.leaving = false;
        self.other_stable = false;
        self.foreign_done = true;
        if self.phase == Phase::Starting {
            self.begin_waiting();
        }
        if !self.ask_before_answer(from) {
            self.answer();
        }
        self.say_done_again(from);
        let open = matches!(self.phase, Phase::Starting | Phase::Waiting);
        // Ours was lost if it went out before the other was active.
        // Spec: docs/protocol/membership.md, 16.2.
        let waits = open || self.takeover_held();
        let peer = self.peers.entry(from.clone()).or_default();
        if waits && !peer.reported && peer.asked == 0 {
            peer.asked = 1;
            self.ask();
        }
    }

    fn begin_waiting(&mut self) {
        self.phase = Phase::Waiting;
        self.timers.local = Some(self.after(AGREEMENT));
    }

    /// A report of another node. Spec: docs/protocol/resources.md, 4 and 5.2, rows B and C.
    pub(super) fn on_report(&mut self, from: &NodeName, message: &Message) {
        if !self.comm_up || !self.nice() || self.phase == Phase::Init {
            return self.claimed_before_comm_is_up(message);
        }
        if self.is_dead(from) {
            // Its next status, a keepalive from now, says that it lives and in which run, and then
            // the rules for that are followed. Letting go for a node that counts as dead would be
            // followed by taking everything over from it at once, and that by its next word.
            let text =
                format!("report of node {from}, which counts as dead: its status is waited for");
            return self.debug(text);
        }
        let position = Position::of(message);
        let full = message.text(field::RTYPE) == Some("full");
        let peer = self.peers.entry(from.clone()).or_default();
        if position < peer.newest_report {
            self.debug(format!("report of node {from} is older than the last one"));
            self.leaves_by_an_older_report(from, message);
            return self.gives_by_an_older_report(from, message);
        }
        peer.newest_report = position;
        let is_unsettled = message.text(field::IS_STABLE) == Some("0");
        peer.unsettled = full && is_unsettled && message.text(field::INFO).is_none();
        // A legacy node that is asked while it stops everything answers without the word.
        let settled = message.text(field::IS_STABLE) == Some("1");
        let leaves = message.text(field::INFO) == Some("shutdown");
        peer.leaving = leaves || (peer.leaving && !settled);
        if leaves {
            self.leaves_instead_of_yielding(from);
        }
        let peer = self.peers.entry(from.clone()).or_default();
        // Whoever heard our `starting` holds us for unsettled until we report.
        let lost = full && std::mem::take(&mut peer.lost);
        let waits = !peer.reported && peer.asked > 0;
        let owner = full && self.owner_begins_anew(from);
        let peer = self.peers.entry(from.clone()).or_default();
        let asked = self.phase == Phase::Stable && full && (waits || lost);
        let first = !peer.reported;
        // One that was sent before its sender heard this run of ours may be as old as the run before.
        let open = matches!(self.phase, Phase::Starting | Phase::Waiting);
        let knows_us = self.knows_our_run(from, message);
        let stale = open && !knows_us;
        let peer = self.peers.entry(from.clone()).or_default();
        if knows_us && full && peer.echoes {
            peer.knows_us_since.get_or_insert(position);
        }
        peer.reported |= full && !stale;
        let fresh = peer.fresh && peer.status == Some(NodeStatus::Active);

        let word = message.text(field::RSC_HOLD).unwrap_or("");
        let set = HoldingSet::from_word(word).unwrap_or_else(|| {
            self.error(format!("unknown holding set [{word}] from node {from}"));
            HoldingSet::NONE
        });
        let info = message.text(field::INFO);
        let weight = weight_in(message);
        // What a node gives up with its first word of a run may be anything.
        let before = if first {
            HoldingSet::ALL
        } else {
            self.theirs_at_most()
        };
        if let Some(peer) = self.peers.get_mut(from) {
            peer.holds = peer.holds.updated(set, full);
            peer.claims = if stale {
                peer.claims.with(set)
            } else {
                peer.claims.updated(set, full)
            };
        }
        self.theirs = if stale {
            self.theirs.with(set)
        } else {
            self.theirs.updated(set, full)
        };
        match message.text(field::IS_STABLE) {
            Some("1") => {
                if !stale {
                    self.doubt = HoldingSet::NONE;
                    self.other_turned_stable();
                }
                if self.conflicts(from, weight) {
                    return;
                }
                self.leave_what_the_owner_runs(from, weight);
                self.leave_what_a_legacy_owner_kept(from);
            }
            Some(_) => {
                self.other_stable = false;
                if matches!(info, Some("standby" | "shutdown")) {
                    // Announced, not done. Spec: docs/protocol/resources.md, 10.1, [D].
                    self.doubt = before;
                    self.giver_gives(info);
                } else if self.conflicts(from, weight) {
                    return;
                }
            }
            None if self.took_ours_by_its_word(from, message) => return,
            None => {}
        }
        if full {
            self.names_its_own(from);
            self.names_what_it_took(from, set, position);
            self.heard_in_a_standby();
            self.look_at_held_takeovers();
        }
        if owner {
            self.owner_began_anew(from, Some(set));
        }
        if asked || owner {
            self.answer();
        }
        if full && first && self.phase == Phase::Stable {
            self.the_moment_is_good();
        }
        if full {
            self.orphans_answered(from, message);
            self.taken_by_report(from, position);
            self.released_before_our_run(from, message);
        }
        if self.phase == Phase::Starting {
            if self.model == AutoFailback::Off {
                self.foreign_done = true;
            }
            self.begin_waiting();
        }
        if self.phase == Phase::Waiting {
            // The ten seconds are only patience: a peer that has just started, holds nothing of
            // ours and says so plainly has no objection. Spec: docs/protocol/membership.md, 16.2.
            let plain = full && !stale && info.is_none() && !set.has(HoldingSet::FOREIGN);
            let agreed = self.other_stable && self.all_active_reported();
            if agreed || (plain && fresh && self.is_pair()) {
                self.settle_start();
            } else if first && self.unsettled_legacy() == Some(from) {
                // If it starts as we do and has heard no more of us than our question, it waits for our
                // report, and answers no other question. Spec: docs/protocol/membership.md, 16.2.
                self.answer();
            }
        }
    }

    fn other_turned_stable(&mut self) {
        if self.other_stable {
            return;
        }
        self.other_stable = true;
        self.notice(Notice::RemoteTransitionDone {});
        self.answer();
        self.failback_armed = true;
        self.failback_tries = 0;
        self.somebody_can_take();
    }

    /// Own groups first, then the word that we are settled. Not beside a release that is under way: our
    /// word would hide what still runs, and nothing may be started that is still to be stopped.
    fn settle_start(&mut self) {
        if !self.releasing.is_none() {
            self.settles_when_released = true;
            return;
        }
        if let Some(until) = self.timers.aimed_at.filter(|until| *until > self.now) {
            self.error("another node tries to reset this node: local resources wait");
            self.timers.local = Some(until);
            return;
        }
        if self.wait_for_claimant() || self.wait_for_a_leaver() {
            return;
        }
        self.timers.local = None;
        self.timers.ask_again = None;
        self.waits_for_claimant = false;
        self.acquire_local(false);
        self.take_what_was_let_go();
        self.phase = Phase::Stable;
        self.the_moment_is_good();
        self.notice(Notice::LocalTransitionDone {});
        self.foreign_done = true;
        if self.theirs.has(HoldingSet::FOREIGN) {
            self.local_done = true;
        }
        self.answer();
        self.failback_armed |= self.other_stable;
        self.acquisition_complete("T_RESOURCES(them)");
    }

    /// Nothing is being stopped any more.
    pub(super) fn settle_after_release(&mut self) {
        let open = matches!(self.phase, Phase::Starting | Phase::Waiting);
        if std::mem::take(&mut self.settles_when_released) && open {
            self.settle_start();
        }
    }

    /// Handles what is due: the agreement and the missing report.
    pub(super) fn handshake_overdue(&mut self) {
        let open = matches!(self.phase, Phase::Starting | Phase::Waiting);
        if Self::take_due(&mut self.timers.ask_again, self.now)
            && (open || self.phase == Phase::Stable)
        {
            self.ask_again();
        }
        if Self::take_due(&mut self.timers.local, self.now) && open {
            self.settle_start();
        }
    }

    /// Another node's status word changed.
    pub(super) fn peer_status(&mut self, node: &NodeName, old: NodeStatus, new: NodeStatus) {
        let peer = self.peers.entry(node.clone()).or_default();
        peer.status = Some(new);
        if old == NodeStatus::Dead {
            // What dies later is taken again.
            peer.taken_over = false;
            // One that was never heard before has no earlier run to come back from.
            if !self.stopping() && self.heard_when_cut_off(&format!("node {node} is heard")) {
                return;
            }
            self.interrupt_standby();
            self.hold_takeovers(node);
        }
        if new != NodeStatus::Active {
            return;
        }
        let peer = self.peers.entry(node.clone()).or_default();
        peer.fresh |= old == NodeStatus::Up;
        let mute = !peer.reported && self.model.is_nice();
        let missed = old != NodeStatus::Up;
        match self.phase {
            Phase::Init | Phase::Shutdown => {}
            Phase::Starting | Phase::Waiting => {
                if mute && self.timers.ask_again.is_none() {
                    self.ask_soon();
                }
            }
            // One whose start we saw reports by itself. One that was active before we heard it,
            // in a run that we do not know, may hold what we took: a partition that healed after
            // one of us had started in it. Nobody would ever say so unasked.
            Phase::Stable => {
                if mute && missed {
                    self.ask_again();
                } else if mute {
                    self.ask_soon();
                }
            }
        }
    }

    /// Another node reports what came of its attempt to reset a node: it holds that one for dead.
    pub(super) fn on_stonith(&mut self, from: &NodeName, message: &Message) {
        let ours = message
            .text(field::NODE)
            .is_some_and(|node| node.eq_ignore_ascii_case(self.local.as_str()));
        if ours && !self.nice() && self.phase == Phase::Stable {
            // Who says so takes our groups, and without reports nobody would notice.
            self.ask_for_own();
        }
        let result = message.text(field::RESULT);
        if ours && matches!(result, Some("bad" | "badhost")) {
            self.timers.aimed_at = Some(self.after(AIMED_AT));
        }
        // One that knows the rule says it in its status, with its weight.
        let current = self.peers.get(from).is_some_and(|peer| {
            !peer.yields
                && peer.status == Some(NodeStatus::Active)
                && Position::of(message) > peer.newest_report
        });
        let over = matches!(result, Some("n_stnth" | "unneeded" | "OK"));
        if ours && over && current && self.nice() && self.is_pair() && self.weight().runs > 0 {
            // It takes them, and may not hear our next run for a while.
            if let Some(peer) = self.peers.get_mut(from) {
                peer.claims = peer.claims.with(HoldingSet::FOREIGN);
            }
            self.give_way(&format!("node {from} has declared us dead"));
        }
    }

    /// Logs once when both halves of the first acquisition are known.
    pub(super) fn acquisition_complete(&mut self, reason: &str) {
        if self.local_done && self.foreign_done && !self.acquisition_logged {
            self.acquisition_logged = true;
            self.notice(Notice::InitialAcquisitionComplete {
                reason: reason.to_owned(),
            });
        }
    }
}
