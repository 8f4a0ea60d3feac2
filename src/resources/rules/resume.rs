//! What runs here and what is held no longer match. A process or a core that began anew finds this
//! when its predecessor was in the middle of its work. Each group is brought to where it belongs by
//! what this node has reported.
//!
//! | The group's side | The group | Order | Because |
//! |---|---|---|---|
//! | is held | had an order in hand | start | the others count on us, whether it was being started or stopped: the new generation ends every hand-over |
//! | is held | runs | - | nothing is to be done |
//! | is held | does not run | start, when all is settled | it failed before, or is new in haresources; or it was next to be started, but may have waited for the report of a node that is back |
//! | is not held | runs, or had an order in hand | stop | we have reported that we give it up; the other node may run it |
//! | was given to us in a standby that is still open | had an order in hand, or does not run | start | the standby goes on, see `left_open.rs` |
//! | is not held | is left to its owner by a change of haresources | -, or stop when everything was being released | no node has given it up, see `facts/by_group.rs` |
//! | `auto_failback legacy`, everything was being released | runs, or had an order in hand | stop | another node may run it, and no report of ours ever told that |
//! | `auto_failback legacy`, else | runs, and had an order in hand | start | no node has given it up; a node that asked for it asks again |
//! | `auto_failback legacy`, else | does not run, and had an order in hand | - | it was being stopped; its owner may run it, or asks |
//!
//! Both orders are safe to give twice: a start asks the scripts first, and a stop of a group that
//! does not run succeeds. The actors wait for scripts of the earlier daemon first.
//!
//! A release of several groups stops one after the other, and is reported before the first stop. So
//! what runs and is not held is the rest of a release that was cut short: its addresses are removed
//! at once, and it is reported as still being released until it is stopped.

use std::collections::BTreeSet;

use crate::protocol::event::{Action, GroupOrder};
use crate::protocol::group::GroupKey;
use crate::protocol::question::Position;
use crate::resources::holding::HoldingSet;
use crate::resources::left_open::{OpenStandby, Part};
use crate::resources::parts::standby::{Answer, Standby};
use crate::resources::parts::work::Purpose;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Call after [`resume`](Self::resume), before [`finish`](Self::finish), with the effect of a
    /// change of haresources on what runs, see [`crate::resources::owners::Now`].
    pub fn note_changed_owners(
        &mut self,
        left: impl IntoIterator<Item = GroupKey>,
        came: impl IntoIterator<Item = GroupKey>,
        to_go_home: bool,
    ) {
        let (left, came) = (left.into_iter().collect(), came.into_iter().collect());
        self.groups.owners_changed(&left, &came);
        self.failback.file_changed(to_go_home);
        let named = |keys: BTreeSet<GroupKey>| {
            let keys: Vec<GroupKey> = keys.into_iter().collect();
            Self::named(&keys)
        };
        let mut decided = Vec::new();
        if to_go_home {
            decided.push("holds the foreign resources for their owner".to_owned());
        }
        if !left.is_empty() {
            decided.push(format!(
                "runs {} on until its owner can take it",
                named(left)
            ));
        }
        if !came.is_empty() {
            decided.push(format!(
                "starts {} only when no other node runs it",
                named(came)
            ));
        }
        for what in decided {
            self.decide(what, "haresources was changed: another node owns it now");
        }
    }

    /// Goes on with a standby that an earlier process or core began. Call between
    /// [`resume`](Self::resume) and [`finish`](Self::finish).
    pub fn keep_standby(&mut self, open: OpenStandby) {
        let known = self.other.is_pair() && self.other.peer(&open.with).is_some();
        if !known || !self.nice() {
            return;
        }
        let OpenStandby {
            part,
            set,
            with,
            heard,
        } = open;
        self.decide(
            format!("goes on with the standby of {set} with {with}"),
            "it was open when the process or its core began anew",
        );
        let answered = Some(Answer::new(with.clone(), set, heard));
        self.standby.continues(match part {
            Part::Gives => Standby::Giving {
                set,
                sent: None,
                since: None,
            },
            Part::Given => Standby::Given {
                set,
                sent: None,
                at: Some(Position::default()),
            },
            Part::Ready | Part::Awaits => Standby::Accepted {
                giver: with,
                set,
                answered,
                open_until: self.now,
                gives: part == Part::Awaits,
            },
            Part::Takes => Standby::Taking { set, answered },
        });
        // What the other node may run.
        self.other.may_still_hold(match part {
            Part::Gives | Part::Given => set.mirror(),
            Part::Ready | Part::Awaits => set,
            Part::Takes => HoldingSet::NONE,
        });
        match part {
            Part::Gives | Part::Given => self.duty.leave(set),
            Part::Ready | Part::Awaits => {}
            Part::Takes => self.duty.take(set.mirror()),
        }
    }

    /// The groups went on running while the process began anew. Nothing is stopped for that. Only
    /// what is held and does not run is started, when all is settled: it failed before, or is new
    /// in haresources. Spec: docs/protocol/membership.md, 9.3.
    pub fn resume(&mut self, holding: HoldingSet, running: impl IntoIterator<Item = GroupKey>) {
        self.duty.resume(holding);
        self.decide(
            format!("goes on holding {holding}"),
            "the process or its core began anew while the resources ran",
        );
        for key in running {
            self.groups.note_running(&key);
        }
        for key in self.groups.keys_of(holding) {
            if !self.groups.runs(&key) {
                self.groups.start_when_settled(&key, self.now);
            }
        }
    }

    /// Call after [`resume`](Self::resume), with the groups that had an order in hand. Keys that
    /// are not ours are left out.
    pub fn finish(&mut self, unfinished: impl IntoIterator<Item = GroupKey>) {
        let unfinished: BTreeSet<GroupKey> = unfinished.into_iter().collect();
        if self.stop.released_before() && !self.nice() {
            return self.go_on_releasing(unfinished);
        }
        let (mut starts, mut stops) = (Vec::new(), Vec::new());
        let taken = self.left_to_take(|key| unfinished.contains(key));
        for (key, side) in self.groups.keys_and_sides() {
            let in_hand = unfinished.contains(&key);
            if !self.groups.runs(&key) && (!in_hand || !self.nice()) {
                // A group that is being started is named among those that run, so this was a stop.
                // Under the legacy model, where no node reports what it holds, its owner may run it
                // by now.
                continue;
            }
            self.groups.note_running(&key);
            let held = !self.nice() || self.duty.holds(side);
            if held && in_hand {
                self.groups.forget_trouble(&key);
                self.decide(
                    format!("orders group {key} to start"),
                    "an order for it was in hand when the process or its core began anew",
                );
                if !taken.contains(&key) {
                    starts.push(key);
                }
            } else if !held && (self.stop.released_before() || !self.groups.is_left(&key)) {
                self.groups.no_longer_left(&key);
                stops.push(key);
            }
        }
        if !starts.is_empty() {
            self.groups.begin(Purpose::Retry, starts, GroupOrder::Start);
        }
        self.take_the_rest(taken);
        self.release_rest(stops);
    }

    /// Without reports nothing else tells the other nodes that we have given everything up.
    pub(in crate::resources) fn go_on_releasing(&mut self, unfinished: BTreeSet<GroupKey>) {
        for key in unfinished {
            self.groups.note_running(&key);
        }
        if self.groups.that_run().next().is_none() {
            return;
        }
        let cause = "everything was being released when the process or its core began anew";
        self.warn("stopping everything, the rest of a release");
        self.decide("releases everything", cause);
        self.groups.none_left();
        self.act(Action::WithdrawAddresses(
            self.groups.keys_of(HoldingSet::ALL),
        ));
        self.release_all("shutdown");
    }

    /// Used if they were to go back when the process or core before this one ended.
    pub const fn keep_failback(&mut self) {
        self.failback.keep();
    }

    /// Used if everything was being released when the process or its core began anew. Call before
    /// [`finish`](Self::finish).
    pub const fn keep_release(&mut self) {
        self.stop.keep_release();
    }
}
