//! Helper processes: each runs its scripts one after another, and says that it is done.

use std::time::Duration;

use crate::clock::Now;
use crate::protocol::event::{Action, GroupOrder, GroupOutcome, OrderId};
use crate::protocol::group::GroupKey;
use crate::protocol::message::Message;
use crate::resources::holding::HoldingSet;

use super::{ALL, FOREIGN, Helper, LOCAL, LegacyNode, NONE, Phase, Work};

impl LegacyNode {
    pub(super) fn keys(&self, set: HoldingSet) -> Vec<GroupKey> {
        self.settings
            .groups
            .iter()
            .filter(|group| {
                set.has(if group.owner == self.settings.local {
                    LOCAL
                } else {
                    FOREIGN
                })
            })
            .map(|group| group.key.clone())
            .collect()
    }

    pub(super) fn helper(work: Work, keys: Vec<GroupKey>, what: GroupOrder) -> Helper {
        Helper {
            work,
            steps: keys.into_iter().map(|key| (key, what)).collect(),
            in_flight: None,
        }
    }

    pub(super) fn try_shutdown(&mut self, now: Now) {
        if self.shutting && self.stable() {
            self.give_up_all(now);
        }
    }

    pub(super) fn give_up_all(&mut self, now: Now) {
        if self.releasing || !self.comm_up {
            return;
        }
        self.releasing = true;
        self.mine = NONE;
        self.rstate = Phase::Shutdown;
        self.queue.clear();
        self.report(NONE, false, Some("shutdown"), now);
        let keys = self.keys(ALL);
        self.helpers
            .push(Self::helper(Work::GiveUpAll, keys, GroupOrder::Stop));
    }

    pub(super) fn next_orders(&mut self, out: &mut Vec<Action>) {
        if self.helpers.is_empty()
            && let Some(script) = self.queue.pop_front()
        {
            self.helpers.push(script);
        }
        let busy: Vec<GroupKey> = self
            .helpers
            .iter()
            .filter_map(|helper| helper.in_flight.clone())
            .map(|(_, key)| key)
            .collect();
        let mut busy = busy;
        for helper in &mut self.helpers {
            if helper.in_flight.is_some() {
                continue;
            }
            let Some((key, what)) = helper.steps.front().cloned() else {
                continue;
            };
            if busy.contains(&key) {
                continue;
            }
            helper.steps.pop_front();
            if helper.work == Work::TakeGroup && !self.mine.has(LOCAL) {
                self.strays.insert(key.clone());
            } else if what == GroupOrder::Stop {
                self.strays.remove(&key);
            }
            self.order += 1;
            let order = OrderId(self.order);
            helper.in_flight = Some((order, key.clone()));
            busy.push(key.clone());
            out.push(Action::Group {
                order,
                group: key,
                what,
            });
        }
    }

    pub(super) fn anything_finished(&self) -> bool {
        let over = |helper: &Helper| helper.in_flight.is_none() && helper.steps.is_empty();
        self.helpers.iter().any(over) || (self.helpers.is_empty() && !self.queue.is_empty())
    }

    pub(super) fn finished(&mut self, now: Now) {
        let over = |helper: &Helper| helper.in_flight.is_none() && helper.steps.is_empty();
        while let Some(at) = self.helpers.iter().position(over) {
            let helper = self.helpers.remove(at);
            match helper.work {
                Work::Give | Work::Take => self.ask(self.sb_set, "done", now),
                Work::GiveUpAll => self.send(Message::new("shutdone").with("st", "dead"), now),
                Work::MachDown => {
                    let message = Message::new("resource")
                        .with("rsc_hold", "foreign")
                        .with("info", "mach_down");
                    self.send(message, now);
                }
                Work::Offer(set) => self.ask(set, "me", now),
                Work::TakeGroup => {}
            }
            self.try_shutdown(now);
        }
    }

    pub(super) fn group_done(
        &mut self,
        order: OrderId,
        group: &GroupKey,
        outcome: &GroupOutcome,
        _: Now,
        out: &mut Vec<Action>,
    ) {
        match outcome {
            GroupOutcome::StopFailed { resource } => {
                out.push(Action::RebootMachine {
                    resource: resource.clone(),
                });
                return;
            }
            GroupOutcome::Started => drop(self.runs.insert(group.clone())),
            GroupOutcome::Stopped => drop(self.runs.remove(group)),
            GroupOutcome::StartFailed { .. } => {
                self.runs.remove(group);
                self.failed_at = Some(self.now + Duration::from_secs(30));
            }
            GroupOutcome::AddressTaken { .. } => drop(self.runs.remove(group)),
        }
        for helper in &mut self.helpers {
            if helper
                .in_flight
                .as_ref()
                .is_some_and(|(it, _)| *it == order)
            {
                helper.in_flight = None;
            }
        }
    }
}
