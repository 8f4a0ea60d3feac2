//! Two nodes that declared each other dead and receive each other again: which one keeps the
//! groups, which one yields, and what waits meanwhile. The rule is in
//! [`crate::protocol::partition`].
//! Spec: docs/protocol/membership.md, 2, 6.2 and 16.3.
//!
//! | what shows it | what we do |
//! |---|---|
//! | we declared it dead, it is back in the run that we knew, and it resolves a split brain | keep, wait for it to yield; yield at once when nothing runs here |
//! | the same, and it does not resolve a split brain (legacy) | yield |
//! | it reports that it declared our present run dead | the rule |
//! | it claims our groups and we hold them | the rule if it follows it, else yield |
//! | the same, and it reports that it runs nothing | keep |
//! | we began anew with groups, and it declared the run before dead, or claims them, and has not received us | yield |
//! | a legacy node claims its own groups and we hold them: it began anew in the partition | release those |
//! | our own silence was longer than it waits for us, and it was there | yield |
//! | we wait for it to yield, and by its newest report it keeps everything | yield |
//! | we wait for it to yield, and it does not | yield |
//! | we yielded to a node that does not receive us, and it has run nothing of a half of the groups for 10 s | take that half again, and yield again when it runs it |
//!
//! A node yields in this order: addresses removed, then a new generation, then every group stopped,
//! then a start as any other. The node that keeps its groups does nothing at all to them.

use std::time::Duration;

use crate::protocol::field;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::partition::{Half, Weight, yields};
use crate::protocol::question::Position;
use crate::resources::gate::Act;
use crate::resources::holding::HoldingSet;
use crate::resources::obstacles::Scope;
use crate::resources::parts::contest::REPORT_BEFORE_TAKEOVER;
use crate::resources::parts::questions::AIMED_AT;
use crate::resources::parts::run::Phase;
use crate::resources::parts::standby::Standby;
use crate::resources::parts::timers::Timer;
use crate::resources::parts::unheard::served_by;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Another node reports the result of its attempt to reset a node: it has declared that node
    /// dead.
    pub(in crate::resources) fn on_stonith(&mut self, from: &NodeName, message: &Message) {
        let ours = message
            .text(field::NODE)
            .is_some_and(|node| node.eq_ignore_ascii_case(self.setup.local().as_str()));
        let result = message.text(field::RESULT);
        let over = matches!(result, Some("n_stnth" | "unneeded" | "OK"));
        if ours && over {
            self.may_run_ours(from);
        }
        if ours && matches!(result, Some("bad" | "badhost")) {
            self.timers.set(Timer::AimedAt, self.after(AIMED_AT));
        }
        if ours && over {
            self.the_taker_counts_us_dead(from);
        }
        // A node that resolves a split brain reports it in its status, with its weight.
        // An older one counts while both claim a group: the report that was sent right behind it may
        // have come before it.
        let both = self
            .groups
            .running_halves()
            .common(self.other.holds().mirror());
        let current = self.other.peer(from).is_some_and(|peer| {
            !peer.resolves_split_brain()
                && peer.is_active()
                && (Position::of(message) > peer.newest_report() || !both.is_none())
        });
        if ours && over && current && self.other.is_pair() && self.weight().runs > 0 {
            // The node takes them. It may not receive our next run for a while, nor a request.
            if let Some(peer) = self.other.peer_mut(from) {
                peer.may_claim(HoldingSet::FOREIGN);
            }
            self.release_after_split(&format!("node {from} has declared us dead"));
        } else if ours && !self.nice() && self.run.phase() == Phase::Stable {
            // That node takes our groups, and without reports no node would notice.
            self.ask_for_own();
        }
    }

    /// To a legacy taker we are late, and so dead: it has taken everything, and has ended the standby without its `done`.
    /// Its report tells. The one that it sends by itself may be overtaken by its `mach_down`, and is older than the last one
    /// then.
    pub(in crate::resources) fn the_taker_counts_us_dead(&mut self, taker: &NodeName) {
        let gives = matches!(
            self.standby.state(),
            Standby::Giving { .. } | Standby::Given { .. }
        );
        if gives && !self.other.is_systole(taker) {
            self.ask();
        }
    }

    /// A living node declared our present run dead.
    pub(in crate::resources) fn given_up(&mut self, node: &NodeName, theirs: Weight, mutual: bool) {
        if !self.may(Act::BeginAnew) {
            return self.others_may_run_them(&format!("node {node} has declared us dead"));
        }
        let ours = self.weight();
        let we_yield = if mutual {
            yields(self.setup.local(), ours, node, theirs)
        } else {
            ours.runs == 0 || theirs.runs > 0
        };
        if we_yield {
            // The node takes them, and may not receive our next run for a while.
            if let Some(peer) = self.other.peer_mut(node) {
                peer.may_claim(HoldingSet::FOREIGN);
            }
            let why = format!("node {node} has declared us dead");
            self.release_after_split(&why);
        } else {
            if mutual && let Some(peer) = self.other.peer_mut(node) {
                // While frozen we have not sent that yet.
                peer.is_declared_dead(true);
            }
            self.decide(
                "keeps everything",
                format!("node {node} declared us dead, and has to yield by the rule"),
            );
            self.hold_takeovers(node);
            self.expect_yield();
        }
    }

    /// We sent nothing for longer than our dead time, so any node that was alive has declared us
    /// dead.
    pub(in crate::resources) fn was_silent(&mut self, silent: Duration) {
        if self.other.all_gone() {
            // No node was there to take anything.
            return;
        }
        let why = format!(
            "nothing was sent for {} ms, longer than others wait for us",
            silent.as_millis()
        );
        self.release_after_split(&why);
    }

    pub(in crate::resources) fn partition_overdue(&mut self) {
        if self.timers.take_due(Timer::OtherYields, self.now) {
            self.release_after_split("the other node does not give up what both run");
        }
        if self.timers.take_due(Timer::HeldTakeover, self.now) {
            if self
                .other
                .peers()
                .any(|peer| peer.is_leaving() && !peer.has_left())
            {
                // The node reports when it has released them, or dies.
                self.timers
                    .set(Timer::HeldTakeover, self.after(REPORT_BEFORE_TAKEOVER));
                return;
            }
            self.warn("the node that came back does not report its resources: taking them");
            self.go_on_with_takeovers();
        }
    }

    /// A living peer reports that it runs our groups while we run them and never gave them up: it
    /// had declared us dead. `theirs` is its weight, if it resolves a split brain; then the weights
    /// decide if each node holds the groups of the other. Spec: docs/protocol/membership.md, 2, [D]
    /// (c).
    ///
    /// `stale`: a newer report came before it.
    pub(in crate::resources) fn conflicts(
        &mut self,
        node: &NodeName,
        theirs: Option<Weight>,
        stale: bool,
    ) -> bool {
        let ours_taken =
            self.other.holds().has(HoldingSet::FOREIGN) && self.duty.holds(HoldingSet::LOCAL);
        // A legacy giver that has declared us dead meanwhile runs again what an earlier process of ours was taking from it.
        let taken = self.standby.state().taken();
        let taken_back = self.standby.is_continued()
            && !taken.is_none()
            && !stale
            && !self.other.is_systole(node)
            && self.other.holds().mirror().has(taken);
        let conflict = self.other.is_pair()
            && (taken_back || ours_taken && !self.standby.state().moves())
            && self.run.phase() != Phase::Shutdown;
        if !conflict {
            return false;
        }
        if self.counts_by_group() && !self.some_run_twice() {
            // The halves are not the same groups to both.
            return false;
        }
        let both =
            self.other.holds().has(HoldingSet::LOCAL) && self.duty.holds(HoldingSet::FOREIGN);
        if self.contested() {
            // Decided by what both have reported of each other: the other node has to yield. But the report
            // that decided may be older than its verdict on us, and have come late: then each of the two
            // has decided by another weight, and waits for the other.
            let newer = theirs.filter(|theirs| both && !stale && theirs.runs > 0);
            if newer.is_some_and(|theirs| yields(self.setup.local(), self.weight(), node, theirs)) {
                self.release_after_split("by its newest report the other node keeps what both run");
            }
            return true;
        }
        let runs_nothing =
            theirs.is_some_and(|theirs| theirs.runs == 0 || (!both && !theirs.serves(Half::Ours)));
        if runs_nothing && self.weight().runs > 0 {
            // The other node found the addresses with us, and probes for them before each further
            // attempt.
            self.decide(
                "keeps everything",
                format!("node {node} claims what runs here, and runs none of it"),
            );
            return true;
        }
        if let Some(theirs) = theirs.filter(|_| both)
            && !yields(self.setup.local(), self.weight(), node, theirs)
        {
            self.expect_yield();
            return true;
        }
        self.release_after_split("the other node has taken our resources while we held them");
        true
    }

    /// A living node declared an earlier run of ours dead, and has not received this one. Each of
    /// its heartbeats brings this event.
    pub(in crate::resources) fn predecessor_given_up(&mut self, node: &NodeName, theirs: Weight) {
        let served = served_by(theirs);
        if self.unheard_with_groups() && !self.served_here().common(served).is_none() {
            let why =
                format!("node {node} declared our earlier run dead and does not hear this one");
            return self.release_after_split(&why);
        }
        self.look_for_unserved(node, served);
    }

    pub(in crate::resources) fn look_for_unserved(&mut self, node: &NodeName, served: HoldingSet) {
        let free = [HoldingSet::LOCAL, HoldingSet::FOREIGN]
            .into_iter()
            .filter(|half| !self.groups.keys_of(*half).is_empty())
            .fold(HoldingSet::NONE, HoldingSet::with)
            .without(served);
        if free.is_none() || self.gate(Act::TakeUnheard, &Scope::node(node)).is_err() {
            self.unheard.forget();
            return;
        }
        if !self.unheard.unserved(free, self.now) {
            return;
        }
        let new = free.without(self.duty.held());
        if new.is_none() {
            self.try_unserved(free);
        } else {
            self.take_unserved(node, new);
        }
    }
}
