use super::*;

const fn seq(number: u64) -> Sequence {
    Sequence(number)
}

#[test]
fn every_row_of_the_run_table() {
    use RunVerdict::{Replay, Restarted, Returned, Same, Stale};
    // (generation known, claimed, status?, dead?, seq against last status 10, verdict)
    let table = [
        (5, 4, true, false, 11, Replay),
        (5, 4, false, false, 11, Replay),
        (5, 4, true, true, 11, Replay),
        (5, 0, true, false, 11, Replay),
        (5, 5, true, false, 9, Same),
        (5, 5, true, false, 11, Same),
        (5, 5, false, false, 11, Same),
        (5, 5, false, true, 11, Same),
        (5, 5, false, true, 9, Same),
        (5, 5, true, true, 9, Stale),
        (5, 5, true, true, 10, Stale),
        (5, 5, true, true, 11, Returned),
        (5, 6, false, false, 1, Same),
        (5, 6, false, true, 1, Same),
        (5, 6, true, false, 1, Restarted { known: true }),
        (5, 6, true, true, 1, Restarted { known: true }),
        (0, 6, true, false, 1, Restarted { known: false }),
        (0, 6, true, true, 1, Restarted { known: false }),
        (0, 0, true, true, 11, Same),
        (0, 0, true, false, 11, Same),
    ];
    for (generation, claimed, is_status, dead, number, expected) in table {
        let known = KnownRun {
            generation: Generation(generation),
            status_seq: seq(10),
            dead,
        };
        assert_eq!(
            judge_run(known, Generation(claimed), is_status, seq(number)),
            expected,
            "known {generation}, claimed {claimed}, status {is_status}, dead {dead}, seq {number}"
        );
    }
}

#[test]
fn every_row_of_the_window_table() {
    let mut window = Window::default();
    assert_eq!(
        window.judge(seq(700)),
        Arrival::InOrder,
        "first heard at all"
    );
    window.arrive(seq(10));
    window.arrive(seq(14)); // 11, 12, 13 missing
    let table = [
        (1, Arrival::Old),
        (10, Arrival::Old),
        (11, Arrival::Fills),
        (13, Arrival::Fills),
        (14, Arrival::Duplicate),
        (15, Arrival::InOrder),
        (
            16,
            Arrival::Gap {
                first: seq(15),
                last: seq(15),
            },
        ),
        (
            265,
            Arrival::Gap {
                first: seq(15),
                last: seq(264),
            },
        ),
        (266, Arrival::TooFar { count: 251 }),
        (
            u64::MAX,
            Arrival::TooFar {
                count: u64::MAX - 15,
            },
        ),
    ];
    for (number, expected) in table {
        assert_eq!(window.judge(seq(number)), expected, "seq {number}");
    }
}

#[test]
fn a_gap_is_filled_from_either_end() {
    let mut window = Window::default();
    window.arrive(seq(1));
    window.arrive(seq(5));
    assert_eq!(
        window.fill(seq(3)),
        Some(Filled {
            was_lowest: false,
            complete_to: seq(1),
            closed: false
        })
    );
    assert_eq!(
        window.fill(seq(2)),
        Some(Filled {
            was_lowest: true,
            complete_to: seq(3),
            closed: false
        })
    );
    assert_eq!(
        window.fill(seq(4)),
        Some(Filled {
            was_lowest: true,
            complete_to: seq(5),
            closed: true
        })
    );
    assert_eq!(window.fill(seq(4)), None);
    assert_eq!(window.judge(seq(4)), Arrival::Old);
}

#[test]
fn too_far_forgets_what_was_missing() {
    let mut window = Window::default();
    window.arrive(seq(1));
    window.arrive(seq(3));
    let (arrival, given_up) = window.arrive(seq(300));
    assert_eq!(arrival, Arrival::TooFar { count: 296 });
    assert_eq!(given_up, [seq(2)]);
    assert_eq!(window.missing_len(), 0);
    assert_eq!(window.judge(seq(301)), Arrival::InOrder);
}

#[test]
fn a_full_table_gives_up_the_lowest() {
    let mut window = Window::default();
    window.arrive(seq(1));
    window.arrive(seq(252)); // 250 missing
    let (_, given_up) = window.arrive(seq(502)); // 249 more: 499
    assert!(given_up.is_empty());
    assert_eq!(window.missing_len(), MAX_MISSING);
    let (_, given_up) = window.arrive(seq(505)); // 503, 504
    assert_eq!(given_up, [seq(2), seq(3)]);
    assert_eq!(window.missing_len(), MAX_MISSING);
    assert_eq!(window.judge(seq(2)), Arrival::Old);
}

#[test]
fn numbers_do_not_wrap() {
    let mut window = Window::default();
    window.arrive(seq(u64::MAX - 1));
    assert_eq!(window.arrive(seq(u64::MAX)).0, Arrival::InOrder);
    assert_eq!(window.judge(seq(0)), Arrival::Old);
}
