//! The end after membership gave up. This process can send no heartbeat any more. With a guardian
//! it ends at once, and another process, which sends heartbeats, releases everything. Without a
//! guardian every group is stopped here, addresses first, then the process ends.
//!
//! | Comes | Then |
//! |---|---|
//! | the others are about to take over | the machine is restarted, unless stops are to be tried without end |
//! | `Stopped` in answer to an order given here | that group is released; with the last one the process ends with 1 |
//! | the outcome of an order that membership had given | nothing: the stop is still to come |
//! | a resource of any group does not stop | [`last_resort`], as at any other time |
//! | nothing more, for [`RELEASE_LIMIT`] | the groups are named; the process ends |

use std::collections::BTreeMap;
use std::time::Duration;

use actix::prelude::*;

use super::last_resort::{self, Reason};
use super::run::Ended;
use super::{EXIT_FAULT, RootActor};
use crate::actors::messages::{CallOffAll, GroupCommand, GroupDone, MoveAddresses, OutcomesTo};
use crate::notice::{self, Notice, Severity};
use crate::process::guardian::restart_due;
use crate::protocol::event::{GroupOrder, GroupOutcome, OrderId};
use crate::protocol::group::GroupKey;

/// How long groups may take to be released after membership gave up: as legacy's emergency timer.
const RELEASE_LIMIT: Duration = Duration::from_secs(3600);

/// Membership panicked too often.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(super) struct MembershipGaveUp;

/// Groups that are not yet known to be stopped, by the order to stop them.
#[derive(Debug, Default)]
pub(super) struct Releasing(BTreeMap<OrderId, GroupKey>);

/// What an outcome means for the release.
#[derive(Debug, PartialEq, Eq)]
enum Release {
    /// Something is still to come.
    GoesOn,
    /// All groups are stopped.
    Complete,
    /// This resource word cannot be stopped.
    StillRuns(String),
}

impl Releasing {
    fn new(keys: impl IntoIterator<Item = GroupKey>) -> Self {
        // Of its own range: membership's numbers begin at zero.
        let numbers = (0..).map(|number| OrderId(u64::MAX - number));
        Self(numbers.zip(keys).collect())
    }

    fn orders(&self) -> Vec<GroupCommand> {
        let order = |(order, group): (&OrderId, &GroupKey)| GroupCommand {
            order: *order,
            group: group.clone(),
            what: GroupOrder::Stop,
            careful: false,
        };
        self.0.iter().map(order).collect()
    }

    fn done(&mut self, done: &GroupDone) -> Release {
        match &done.outcome {
            // Whichever actor ordered it: membership would have the machine restarted, and is gone.
            GroupOutcome::StopFailed { resource } => Release::StillRuns(resource.clone()),
            GroupOutcome::Stopped => {
                let was_ours = self.0.remove(&done.order).is_some();
                if was_ours && self.0.is_empty() {
                    Release::Complete
                } else {
                    Release::GoesOn
                }
            }
            GroupOutcome::Started
            | GroupOutcome::StartFailed { .. }
            | GroupOutcome::AddressTaken { .. } => Release::GoesOn,
        }
    }

    /// The keys of the groups that may still run.
    fn left(&self) -> String {
        let keys: Vec<String> = self.0.values().map(ToString::to_string).collect();
        keys.join(" ")
    }
}

impl Handler<GroupDone> for RootActor {
    type Result = ();

    /// A group has answered while all are being released.
    fn handle(&mut self, done: GroupDone, ctx: &mut Self::Context) {
        let Some(releasing) = &mut self.releasing else {
            return;
        };
        match releasing.done(&done) {
            Release::GoesOn => {}
            Release::Complete => self.end(EXIT_FAULT),
            Release::StillRuns(resource) => {
                last_resort::reboot(self, &Reason::Resource(resource), ctx);
            }
        }
    }
}

impl RootActor {
    /// Gives the orders, also once more after a fault of this actor: what it had in hand is lost.
    pub(super) fn release_again(&mut self, ctx: &mut Context<Self>) {
        let outcomes = ctx.address().downgrade().recipient();
        self.groups.do_send(OutcomesTo(outcomes));
        let orders = self.releasing.as_ref().map(Releasing::orders);
        for order in orders.unwrap_or_default() {
            self.groups.do_send(order);
        }
        let patience = self.config.timing.others_wait();
        ctx.run_later(restart_due(patience), Self::too_late);
        self.limit_release(ctx);
    }

    /// Ends the release after a limit, whatever happens.
    fn limit_release(&self, ctx: &mut Context<Self>) {
        ctx.run_later(RELEASE_LIMIT, |root, _| {
            let Some(releasing) = &root.releasing else {
                return;
            };
            let text = format!(
                "groups that may still run after {} s of releasing: {}: the daemon ends without \
                 them, stop them by hand",
                RELEASE_LIMIT.as_secs(),
                releasing.left()
            );
            root.log.line(Severity::Crit, text);
            root.release_elsewhere();
        });
    }

    /// The others take over soon, and a group still runs.
    fn too_late(&mut self, ctx: &mut Context<Self>) {
        let Some(releasing) = &self.releasing else {
            return;
        };
        let left = releasing.left();
        if self.stops_for_ever {
            let text = format!("{}: {left}", last_resort::LATE_AND_FORBIDDEN);
            self.log.line(Severity::Crit, text);
        } else {
            last_resort::reboot(self, &Reason::Late(left), ctx);
        }
    }

    /// Leaves the release to the guardian, which uses nothing of what may have failed here.
    pub(super) fn release_elsewhere(&mut self) {
        // A guardian of an earlier version does not know the word and starts another daemon: it
        // must hold nothing and stop what runs.
        self.held.with(|held| held.give_all_up());
        self.guardian.unreleased();
        self.end_as(Ended::Unreleased(EXIT_FAULT));
    }
}

impl Handler<MembershipGaveUp> for RootActor {
    type Result = ();

    /// This node sends no heartbeats any more: it must not hold anything when the others take over.
    fn handle(&mut self, _: MembershipGaveUp, ctx: &mut Self::Context) {
        notice::log(&Notice::OtherCrit {
            text: "membership failed too often: releasing all resources and ending".to_owned(),
        });
        // A node that releases everything fences nobody.
        if let Some(fencing) = &self.fencing {
            fencing.do_send(CallOffAll);
        }
        if self.guardian.is_there() {
            self.release_elsewhere();
            return;
        }
        let keys = self.config.groups.iter().map(|group| group.key.clone());
        let releasing = Releasing::new(keys);
        let orders = releasing.orders();
        self.releasing = Some(releasing);
        if orders.is_empty() {
            self.end(EXIT_FAULT);
            return;
        }
        for order in &orders {
            self.groups.do_send(MoveAddresses {
                group: order.group.clone(),
                withdraw: true,
            });
        }
        self.release_again(ctx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(order: u64, key: &str, outcome: GroupOutcome) -> GroupDone {
        GroupDone {
            order: OrderId(order),
            group: GroupKey::new(key),
            outcome,
            said: None,
        }
    }

    fn two() -> Releasing {
        Releasing::new(["a", "b"].map(GroupKey::new))
    }

    #[test]
    fn every_group_is_ordered_to_stop_under_a_number_of_its_own() {
        let orders = two().orders();
        assert!(orders.iter().all(|order| order.what == GroupOrder::Stop));
        let mut keys: Vec<_> = orders.iter().map(|order| order.group.to_string()).collect();
        keys.sort();
        assert_eq!(keys, ["a", "b"]);
        assert_ne!(orders[0].order, orders[1].order);
    }

    /// The start's own outcome came first, and the process ended before the stop that followed it.
    #[test]
    fn an_order_that_was_in_hand_releases_nothing() {
        let mut releasing = two();
        for outcome in [
            GroupOutcome::Started,
            GroupOutcome::Stopped,
            GroupOutcome::StartFailed {
                resource: "a".to_owned(),
                code: 1,
            },
        ] {
            assert_eq!(releasing.done(&done(7, "a", outcome)), Release::GoesOn);
        }
        assert_eq!(releasing.left(), "b a");
        let stopped = |order, key| done(order, key, GroupOutcome::Stopped);
        assert_eq!(
            releasing.done(&stopped(u64::MAX, "a")),
            Release::GoesOn,
            "b is not stopped"
        );
        assert_eq!(releasing.left(), "b");
        assert_eq!(releasing.done(&stopped(8, "b")), Release::GoesOn);
        assert_eq!(
            releasing.done(&stopped(u64::MAX - 1, "b")),
            Release::Complete
        );
    }

    #[test]
    fn what_does_not_stop_is_never_released() {
        let mut releasing = two();
        let failed = || GroupOutcome::StopFailed {
            resource: "x".to_owned(),
        };
        let still = || Release::StillRuns("x".to_owned());
        assert_eq!(releasing.done(&done(3, "a", failed())), still());
        assert_eq!(releasing.done(&done(u64::MAX, "a", failed())), still());
        let stopped = done(u64::MAX - 1, "b", GroupOutcome::Stopped);
        assert_eq!(releasing.done(&stopped), Release::GoesOn);
        assert_eq!(releasing.left(), "a");
    }
}
