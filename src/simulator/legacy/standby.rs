//! Giving groups away and taking them, on request. Spec: docs/protocol/resources.md, 7.

use std::time::Duration;

use crate::clock::Now;
use crate::protocol::event::GroupOrder;
use crate::protocol::message::Message;
use crate::resources::holding::HoldingSet;

use super::{ALL, LegacyNode, Phase, Standby, Work};

impl LegacyNode {
    pub(super) fn until(&mut self, seconds: u64) {
        self.sb_deadline = Some(self.now + Duration::from_secs(seconds));
    }

    pub(super) fn ask_resources(&mut self, own: bool, message: &Message, now: Now) {
        if self.rstate == Phase::Shutdown {
            return;
        }
        let (Some(info), Some(set)) = (
            message.text("info"),
            message
                .text("rsc_hold")
                .map_or(Some(ALL), HoldingSet::from_word),
        ) else {
            return;
        };
        if self.sb_deadline.is_some() && info == "me" {
            return;
        }
        match (self.standby, info, own) {
            (Standby::Not, _, _) if !self.other_stable || self.rstate != Phase::Stable => {}
            (Standby::Not, "me", true) => {
                self.sb_set = set;
                self.other_stable = false;
                self.until(10);
                self.standby = Standby::Me;
            }
            (Standby::Not, "me", false) => {
                self.sb_set = set;
                self.other_stable = false;
                self.standby = Standby::Other;
                self.until(3600);
                self.ask(set, "other", now);
            }
            (Standby::Not, _, _) => self.sb_set = set,
            (Standby::Me, "other", false) => {
                self.sb_set = set;
                self.until(3600);
                self.other_stable = false;
                self.mine = self.mine.without(set);
                self.report(self.mine, false, Some("standby"), now);
                let keys = self.keys(set);
                self.helpers
                    .push(Self::helper(Work::Give, keys, GroupOrder::Stop));
            }
            (Standby::Me, "done", true) => {
                self.mine = self.mine.without(self.sb_set);
                self.until(3600);
                self.standby = Standby::Done;
            }
            (Standby::Me, _, false) => {
                self.until(3600);
                self.sb_set = set;
            }
            (Standby::Other, "done", false) => {
                self.sb_set = set;
                self.until(3600);
                self.standby = Standby::Done;
                let keys = self.keys(set.mirror());
                self.helpers
                    .push(Self::helper(Work::Take, keys, GroupOrder::Start));
            }
            (Standby::Other, "done", true) => self.until(3600),
            (Standby::Done, "done", true) => {
                self.mine = self.mine.with(set.mirror());
                self.sb_deadline = None;
                self.standby = Standby::Not;
                self.report(self.mine, true, None, now);
            }
            (Standby::Done, "done", false) => {
                self.sb_deadline = None;
                self.standby = Standby::Not;
                self.report(self.mine, true, None, now);
            }
            (_, _, false) => self.sb_set = set,
            (_, _, true) => {}
        }
    }
}
