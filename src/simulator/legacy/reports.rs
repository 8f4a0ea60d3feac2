//! Reports of the other node, and its death.

use std::time::Duration;

use crate::clock::Now;
use crate::protocol::event::GroupOrder;
use crate::protocol::message::Message;
use crate::protocol::settings::AutoFailback;
use crate::resources::holding::HoldingSet;

use super::{ALL, FOREIGN, LOCAL, LegacyNode, NONE, Phase, Standby, Work};

impl LegacyNode {
    pub(super) fn answer(&mut self, now: Now) {
        self.other_stable = false;
        let stable = self.rstate == Phase::Stable;
        self.report(self.mine, stable, None, now);
    }

    pub(super) fn starting(&mut self, now: Now) {
        match self.rstate {
            Phase::Init | Phase::BothStarting => {}
            Phase::Starting => {
                // Its own answer comes back first: its ten seconds begin, and then only the other
                // node's report advances it.
                self.answer(now);
                self.answers_come_round += 1;
                self.t_local
                    .get_or_insert(now.instant + Duration::from_secs(10));
                self.rstate = Phase::BothStarting;
            }
            Phase::Received | Phase::Stable | Phase::Shutdown => self.answer(now),
        }
    }

    pub(super) fn resource(&mut self, own: bool, message: &Message, now: Now) {
        if self.rstate == Phase::Init {
            return;
        }
        let set = message
            .text("rsc_hold")
            .and_then(HoldingSet::from_word)
            .unwrap_or(NONE);
        let full = message.text("rtype") == Some("full");
        let info = message.text("info");
        if own {
            self.mine = self.mine.updated(set, full);
            if info == Some("mach_down") {
                self.takeover = false;
                self.mine = self.mine.with(FOREIGN);
                self.failback_due = true;
                self.other_stable = true;
            }
            if info == Some("shutdown") {
                self.rstate = Phase::Shutdown;
            }
            if full && info.is_none() && self.answers_come_round > 0 {
                self.answers_come_round -= 1;
            } else if self.rstate < Phase::Received {
                self.rstate = Phase::Received;
            }
            return;
        }
        self.theirs = self.theirs.updated(set, full);
        match message.text("isstable") {
            Some("1") if !self.other_stable => {
                self.other_stable = true;
                let stable = self.rstate == Phase::Stable;
                self.report(self.mine, stable, None, now);
                self.try_failback(now);
            }
            Some("1") | None => {}
            Some(_) => self.other_stable = false,
        }
        if self.rstate < Phase::Received {
            self.rstate = Phase::Received;
        }
        if self.rstate == Phase::Received && self.other_stable {
            self.acquire_local(false);
            self.rstate = Phase::Stable;
            self.report(self.mine, true, None, now);
            self.try_failback(now);
        }
    }

    pub(super) fn acquire_local(&mut self, forced: bool) {
        if self.shutting {
            return;
        }
        let nothing = self.theirs.has(FOREIGN) || self.mine.has(LOCAL);
        if !forced && nothing && self.standby == Standby::Not {
            return;
        }
        self.mine = self.mine.with(LOCAL);
        // `req_resource` asks for the status of each group, and does nothing for those that run.
        // Spec: docs/protocol/resources.md, 5.3.
        let keys = self.keys(LOCAL).into_iter();
        let down: Vec<_> = keys.filter(|key| !self.runs.contains(key)).collect();
        for key in down {
            let script = Self::helper(Work::TakeGroup, vec![key], GroupOrder::Start);
            self.queue.push_back(script);
        }
        // A helper reports it, after the present message.
        self.acquired = true;
    }

    pub(super) fn take_over(&mut self) {
        if self.shutting {
            return;
        }
        let script = Self::helper(Work::MachDown, self.keys(FOREIGN), GroupOrder::Start);
        self.queue.push_back(script);
        self.mine = self.mine.with(FOREIGN);
        self.theirs = NONE;
        self.other_stable = true;
        self.takeover = true;
        self.acquire_local(true);
    }

    pub(super) fn node_dead(&mut self, heard: bool, now: Now) {
        if self.standby != Standby::Not {
            self.standby = Standby::Not;
            self.sb_deadline = None;
            if self.mine == ALL && !self.other_stable {
                self.other_stable = true;
            }
        }
        if self.shutting {
            self.other_stable = true;
            // Nobody is left to agree with. Spec: docs/protocol/resources.md, 10.1, step 5.
            return if matches!(self.rstate, Phase::Stable | Phase::Shutdown) {
                self.try_shutdown(now);
            } else {
                self.give_up_all(now);
            };
        }
        self.failback_due = true;
        let peer = self.peer.to_string();
        let stonith = |result: &str| {
            Message::new("stonith")
                .with("node", &peer)
                .with("result", result)
        };
        if heard && self.theirs.is_none() {
            self.send(stonith("unneeded"), now);
            if self.mine == ALL {
                self.other_stable = true;
                return;
            }
            if !self.mine.has(LOCAL) {
                self.acquire_local(true);
            }
            if !self.mine.has(FOREIGN) {
                self.take_over();
            }
        } else {
            self.send(stonith("n_stnth"), now);
            self.take_over();
        }
    }

    pub(super) fn other_left(&mut self) {
        if self.comm_up {
            self.other_stable = true;
            self.theirs = NONE;
            if self.mine != ALL && !self.shutting {
                let set = if self.mine == FOREIGN {
                    LOCAL
                } else if self.mine == LOCAL {
                    FOREIGN
                } else {
                    ALL
                };
                self.standby = Standby::Done;
                let keys = self.keys(set.mirror());
                self.helpers
                    .push(Self::helper(Work::Take, keys, GroupOrder::Start));
            }
        }
        self.other_stable = false;
        self.theirs = NONE;
        self.take_over();
    }

    pub(super) fn try_failback(&mut self, now: Now) {
        let on = self.settings.auto_failback == AutoFailback::On;
        if self.shutting || !self.mine.has(FOREIGN) || !self.failback_due || !on {
            self.failback_due = false;
            return self.try_shutdown(now);
        }
        if self.standby != Standby::Not || !self.other_stable || self.rstate != Phase::Stable {
            self.failback_at = Some(self.now + Duration::from_secs(1));
            return;
        }
        self.sb_set = FOREIGN;
        self.failback_due = false;
        self.ask(FOREIGN, "me", now);
    }
}
