use super::*;

const START: Given = Given {
    what: GroupOrder::Start,
    careful: false,
};
const STOP: Given = Given {
    what: GroupOrder::Stop,
    careful: false,
};

fn key() -> GroupKey {
    GroupKey::new("10.0.0.1")
}

fn ended(order: u64, outcome: GroupOutcome) -> Ended {
    Ended {
        order: OrderId(order),
        outcome,
        said: None,
    }
}

/// Whether a successor has to find out what runs after this outcome.
fn in_doubt(outcome: &GroupOutcome) -> bool {
    matches!(outcome, GroupOutcome::StopFailed { .. })
}

/// Every outcome, and whether something of the group may run after it.
fn outcomes() -> [(GroupOutcome, bool); 5] {
    let resource = || "10.0.0.1".to_owned();
    [
        (GroupOutcome::Started, true),
        (
            GroupOutcome::StopFailed {
                resource: resource(),
            },
            true,
        ),
        (GroupOutcome::Stopped, false),
        (
            GroupOutcome::StartFailed {
                resource: resource(),
                code: 1,
            },
            false,
        ),
        (GroupOutcome::AddressTaken { claim: resource() }, false),
    ]
}

fn may_run(ledger: &Ledger) -> bool {
    ledger.may_run().next().is_some()
}

fn unfinished(ledger: &Ledger) -> bool {
    ledger.unfinished().next().is_some()
}

/// The core began anew while a stop was in hand, and ordered a start: the end of the stop is not the last word on the group.
#[test]
fn a_stop_of_an_earlier_core_does_not_hide_the_start_that_follows() {
    for (outcome, runs) in outcomes() {
        let mut ledger = Ledger::going_on(&[key()], &[]);
        ledger.ordered(&key(), OrderId(6), STOP);
        ledger.ordered(&key(), OrderId(1), START);
        ledger.done(&key(), &ended(6, GroupOutcome::Stopped));
        assert!(
            may_run(&ledger) && unfinished(&ledger),
            "its script may run"
        );
        ledger.done(&key(), &ended(1, outcome.clone()));
        assert_eq!(may_run(&ledger), runs);
        assert_eq!(unfinished(&ledger), in_doubt(&outcome));
    }
}

/// Order × what ran before × outcome: each of them told twice.
#[test]
fn an_order_is_in_hand_until_its_first_outcome_and_nothing_is_noted_twice() {
    for given in [START, STOP] {
        for ran in [false, true] {
            for (outcome, runs) in outcomes() {
                let row = format!("{given:?} {ran} {outcome:?}");
                let running = if ran { vec![key()] } else { Vec::new() };
                let mut ledger = Ledger::going_on(&running, &[key()]);
                assert!(unfinished(&ledger), "owed: {row}");
                let order = OrderId(1);
                assert_eq!(ledger.ordered(&key(), order, given), Order::New, "{row}");
                let other = Given {
                    careful: true,
                    ..given
                };
                // Its first form counts.
                let again = ledger.ordered(&key(), order, other);
                assert_eq!(again, Order::InHand(given), "{row}");
                assert_eq!(ledger.in_hand(), [(order, &key(), given)], "{row}");
                assert_eq!(ledger.wanted(&key()), Some(given.what), "{row}");
                assert_eq!(may_run(&ledger), ran || given == START, "{row}");
                assert!(unfinished(&ledger) && ledger.is_busy(&key()), "{row}");

                let doubt = in_doubt(&outcome);
                let end = ended(1, outcome);
                assert!(ledger.done(&key(), &end), "{row}");
                assert_eq!(may_run(&ledger), runs, "{row}");
                assert_eq!(unfinished(&ledger), doubt, "{row}");
                assert!(!ledger.is_busy(&key()), "{row}");
                assert_eq!(ledger.last(&key()), Some(&end), "{row}");
                assert!(!ledger.ran_before(&key()), "{row}");
                // Told again, and also with another result: it is done.
                for (second, _) in outcomes() {
                    assert!(!ledger.done(&key(), &ended(1, second)), "{row}");
                    assert_eq!(may_run(&ledger), runs, "{row}");
                    assert_eq!(ledger.last(&key()), Some(&end), "{row}");
                }
                let again = ledger.ordered(&key(), order, given);
                assert_eq!(again, Order::Ended(end), "{row}");
                assert!(!ledger.is_busy(&key()), "{row}");
                assert_eq!(may_run(&ledger), runs, "{row}");
            }
        }
    }
}

#[test]
fn an_outcome_that_nobody_has_heard_of_yet_leaves_the_order_in_hand() {
    let mut ledger = Ledger::default();
    ledger.ordered(&key(), OrderId(1), START);
    let failed = ended(
        1,
        GroupOutcome::StartFailed {
            resource: "a".to_owned(),
            code: 7,
        },
    );
    ledger.ended(&key(), failed.clone());
    assert!(ledger.is_busy(&key()) && may_run(&ledger));
    assert_eq!(ledger.ended_as(&key(), OrderId(1)), Some(&failed));
    let again = ledger.ordered(&key(), OrderId(1), START);
    assert_eq!(again, Order::InHand(START));
    assert!(ledger.done(&key(), &failed));
    assert!(!ledger.is_busy(&key()) && !may_run(&ledger));
}

#[test]
fn an_outcome_of_an_order_that_was_never_given_changes_nothing() {
    for (outcome, _) in outcomes() {
        let mut ledger = Ledger::going_on(&[key()], &[]);
        assert!(!ledger.done(&key(), &ended(9, outcome)));
        assert!(may_run(&ledger) && ledger.ran_before(&key()));
        assert_eq!(ledger.last(&key()), None);
    }
}

#[test]
fn orders_in_hand_come_in_the_order_in_which_they_were_given() {
    let mut ledger = Ledger::default();
    let (a, b) = (GroupKey::new("a"), GroupKey::new("b"));
    ledger.ordered(&b, OrderId(1), START);
    ledger.ordered(&a, OrderId(2), START);
    ledger.ordered(&b, OrderId(3), STOP);
    let orders: Vec<_> = ledger.in_hand().iter().map(|(order, ..)| order.0).collect();
    assert_eq!(orders, [1, 2, 3]);
    // The first of two ends: the group is busy with the second.
    ledger.done(&b, &ended(1, GroupOutcome::Started));
    assert!(ledger.is_busy(&b));
    assert_eq!(ledger.wanted(&b), Some(GroupOrder::Stop));
}

/// The core that had received the outcome of a failed stop panicked before it ordered what becomes of the group: its
/// addresses were gone, and its script ran.
#[test]
fn a_group_whose_stop_failed_is_unfinished_until_the_next_order() {
    let mut ledger = Ledger::going_on(&[key()], &[]);
    ledger.ordered(&key(), OrderId(1), STOP);
    let resource = "script".to_owned();
    ledger.done(&key(), &ended(1, GroupOutcome::StopFailed { resource }));
    assert!(may_run(&ledger) && unfinished(&ledger) && !ledger.is_busy(&key()));
    for given in [START, STOP] {
        let mut ledger = ledger.clone();
        ledger.ordered(&key(), OrderId(2), given);
        ledger.done(&key(), &ended(2, GroupOutcome::Started));
        assert!(!unfinished(&ledger));
    }
}

/// All is owed before the process ends. The outcome of an order that comes in that moment changes nothing of it: addresses
/// may have been withdrawn beside the order.
#[test]
fn what_is_owed_stays_so_when_an_order_ends() {
    let mut ledger = Ledger::default();
    ledger.ordered(&key(), OrderId(1), START);
    ledger.owe_all();
    ledger.done(&key(), &ended(1, GroupOutcome::Started));
    assert!(unfinished(&ledger));
    ledger.ordered(&key(), OrderId(2), START);
    ledger.done(&key(), &ended(2, GroupOutcome::Started));
    assert!(!unfinished(&ledger));
}

/// Otherwise nobody would put the addresses of a held group back, and a release that is cut short
/// would not be completed.
#[test]
fn what_may_run_without_its_addresses_is_unfinished_until_the_next_order() {
    let (runs, idle) = (GroupKey::new("runs"), GroupKey::new("idle"));
    let both = [idle.clone(), runs.clone()];
    let mut ledger = Ledger::going_on(std::slice::from_ref(&runs), &[]);
    ledger.addresses(&both, true);
    assert_eq!(ledger.unfinished().collect::<Vec<_>>(), [&runs]);
    assert_eq!(ledger.withdrawn().collect::<Vec<_>>(), [&runs]);
    ledger.addresses(&both, false);
    assert!(!unfinished(&ledger));
    let moved: Vec<_> = ledger.moved().collect();
    assert_eq!(moved, [(&idle, false), (&runs, false)]);
    ledger.addresses(&both, true);
    for given in [START, STOP] {
        let mut ledger = ledger.clone();
        ledger.ordered(&runs, OrderId(1), given);
        ledger.done(&runs, &ended(1, GroupOutcome::Started));
        assert!(!unfinished(&ledger), "the order says where they belong");
        assert_eq!(ledger.moved().collect::<Vec<_>>(), [(&idle, true)]);
    }
}

#[test]
fn a_successor_is_owed_everything_that_may_run_and_what_was_owed_before() {
    let (runs, owed) = (GroupKey::new("a"), GroupKey::new("b"));
    let mut ledger = Ledger::going_on(std::slice::from_ref(&runs), std::slice::from_ref(&owed));
    assert_eq!(ledger.unfinished().collect::<Vec<_>>(), [&owed]);
    ledger.owe_all();
    assert_eq!(ledger.unfinished().collect::<Vec<_>>(), [&runs, &owed]);
    assert_eq!(ledger.may_run().collect::<Vec<_>>(), [&runs]);
}

#[test]
fn only_the_last_outcomes_are_kept() {
    let mut ledger = Ledger::default();
    for order in 0..=OUTCOMES as u64 {
        ledger.ordered(&key(), OrderId(order), STOP);
        ledger.done(&key(), &ended(order, GroupOutcome::Stopped));
    }
    assert_eq!(ledger.ended_as(&key(), OrderId(0)), None);
    assert!(ledger.ended_as(&key(), OrderId(1)).is_some());
    assert_eq!(ledger.last(&key()).map(|end| end.order), Some(OrderId(8)));
}

/// A part of a group is restarted: it is still to run, and its addresses stay where they were moved to.
#[test]
fn a_restart_of_a_part_changes_neither_what_is_wanted_nor_where_the_addresses_are() {
    let mut ledger = Ledger::default();
    let restart = Given {
        what: GroupOrder::Restart,
        careful: false,
    };
    ledger.ordered(&key(), OrderId(1), START);
    ledger.done(&key(), &ended(1, GroupOutcome::Started));
    ledger.addresses(&[key()], true);
    assert_eq!(ledger.ordered(&key(), OrderId(2), restart), Order::New);
    assert_eq!(ledger.wanted(&key()), Some(GroupOrder::Start));
    assert!(ledger.is_busy(&key()) && may_run(&ledger) && unfinished(&ledger));
    assert_eq!(ledger.withdrawn().count(), 1);
    ledger.done(&key(), &ended(2, GroupOutcome::Started));
    assert!(may_run(&ledger) && !ledger.is_busy(&key()));
    assert_eq!(ledger.withdrawn().count(), 1);
}
