use super::*;

const DISK: &str = "Filesystem::/dev/sdb::/srv::ext4";

fn at(seconds: u64) -> Monotonic {
    Monotonic::from_millis(seconds * 1000)
}

fn rules(then: Then) -> MonitorRules {
    MonitorRules {
        interval: Duration::from_secs(10),
        failures: 3,
        restarts: 2,
        window: Duration::from_secs(3600),
        then,
    }
}

fn monitors(then: Then) -> Monitors {
    let list = [DISK, "nginx"].map(|word| Monitor::new(word.to_owned(), rules(then)));
    let mut monitors = Monitors::new("g".to_owned(), list.to_vec());
    monitors.began(at(0));
    monitors
}

fn bad() -> Answer {
    Answer::Bad("exit code 3".to_owned())
}

/// Bad answers in a row, one each ten seconds from `from`.
fn fails(monitors: &mut Monitors, place: usize, from: u64) -> Vec<Line> {
    let checks = (0..3).flat_map(|turn| monitors.answered(place, bad(), at(from + turn * 10)));
    checks.collect()
}

/// A failure and a restart that helps.
fn fails_and_is_restarted(monitors: &mut Monitors, from: u64) {
    fails(monitors, 1, from);
    assert!(monitors.ailment().unwrap().restart);
    assert_eq!(monitors.restarted(None, at(from + 30)), []);
    assert_eq!(monitors.answered(1, Answer::Good, at(from + 40)), []);
    assert_eq!(monitors.ailment(), None);
}

#[test]
fn the_first_check_is_an_interval_after_the_start_and_each_is_due_once() {
    let mut monitors = monitors(Then::Move);
    assert_eq!(monitors.begin_check(at(9)), None);
    assert_eq!(monitors.begin_check(at(10)), Some(0));
    assert_eq!(monitors.begin_check(at(10)), Some(1));
    assert_eq!(monitors.begin_check(at(10)), None);
    monitors.ended();
    assert_eq!(monitors.begin_check(at(99)), None);
}

#[test]
fn a_check_that_was_never_good_acts_on_nothing_and_is_told_once() {
    let mut monitors = monitors(Then::Move);
    let told = fails(&mut monitors, 1, 10);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].1.contains("was good since the start"));
    assert_eq!(monitors.ailment(), None);
    assert_eq!(monitors.list()[1].standing(), Standing::NeverGood);
    assert_eq!(monitors.answered(1, Answer::Good, at(50)).len(), 1);
    assert_eq!(fails(&mut monitors, 1, 60).len(), 4);
    // Also after the next start.
    monitors.began(at(100));
    fails(&mut monitors, 1, 110);
    assert_eq!(monitors.ailment(), None);
}

#[test]
fn the_third_bad_answer_in_a_row_asks_for_a_restart_from_there() {
    let mut monitors = monitors(Then::Move);
    monitors.answered(1, Answer::Good, at(10));
    monitors.answered(1, bad(), at(20));
    monitors.answered(1, bad(), at(30));
    monitors.answered(1, Answer::Good, at(40));
    assert_eq!(monitors.ailment(), None, "not in a row");
    let told = fails(&mut monitors, 1, 50);
    let levels: Vec<Severity> = told.iter().map(|(level, _)| *level).collect();
    let warn = Severity::Warn;
    assert_eq!(levels, [warn, warn, warn, Severity::Error]);
    let wanted = Ailment {
        resource: "nginx".to_owned(),
        restart: true,
        gives_up: None,
    };
    assert_eq!(monitors.ailment(), Some(wanted));
    assert_eq!(monitors.restarts_from(), Some("nginx"));
    // It waits: bad answers count no more, and a good one ends it.
    assert_eq!(fails(&mut monitors, 1, 80), []);
    monitors.answered(1, Answer::Good, at(110));
    assert_eq!(monitors.ailment(), None);
}

#[test]
fn unknown_counts_for_nothing_and_is_told_when_it_lasts() {
    let mut monitors = monitors(Then::Move);
    monitors.answered(1, Answer::Good, at(10));
    monitors.answered(1, bad(), at(20));
    monitors.answered(1, bad(), at(30));
    let unknown = || Answer::Unknown("no answer".to_owned());
    let told: Vec<Line> = (4..10)
        .flat_map(|turn| monitors.answered(1, unknown(), at(turn * 10)))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(monitors.ailment(), None);
    assert_eq!(monitors.list()[1].standing(), Standing::Unknown);
}

#[test]
fn the_third_failure_within_the_window_gives_up_and_each_ages_out_alone() {
    for then in [Then::Move, Then::Stay, Then::Stop] {
        let mut monitors = monitors(then);
        monitors.answered(1, Answer::Good, at(10));
        fails_and_is_restarted(&mut monitors, 100);
        fails_and_is_restarted(&mut monitors, 2000);
        assert_eq!(monitors.list()[1].failures(at(3000)), 2);
        // The first is too old by now.
        fails_and_is_restarted(&mut monitors, 3800);
        assert_eq!(monitors.list()[1].failures(at(3900)), 2);
        fails(&mut monitors, 1, 4000);
        let ailment = monitors.ailment().unwrap();
        assert_eq!((ailment.restart, ailment.gives_up), (false, Some(then)));
    }
}

#[test]
fn a_restart_that_fails_gives_up_and_the_pauses_double() {
    let mut monitors = monitors(Then::Move);
    monitors.answered(1, Answer::Good, at(10));
    fails(&mut monitors, 1, 20);
    assert_eq!(monitors.restarted(Some("nginx: code 1"), at(50)).len(), 1);
    let mut tried = Vec::new();
    for turn in 6..200 {
        monitors.answered(1, bad(), at(turn * 10));
        if monitors.ailment().unwrap().restart {
            tried.push(turn * 10 - 50);
            assert_eq!(monitors.restarted(Some("nginx: code 1"), at(turn * 10)), []);
        }
    }
    assert_eq!(tried, [30, 90, 210, 450, 930, 1530]);
    assert_eq!(monitors.ailment().unwrap().gives_up, Some(Then::Move));
    // It runs again by itself: what stands right of it may not, and is started.
    assert_eq!(monitors.answered(1, Answer::Good, at(3000)), []);
    let ailment = monitors.ailment().unwrap();
    assert_eq!(
        (ailment.restart, ailment.gives_up),
        (true, Some(Then::Move))
    );
    assert_eq!(monitors.restarts_from(), None);
    assert_eq!(monitors.starts_from(), Some("nginx"));
    monitors.restarted(None, at(3010));
    assert_eq!(monitors.answered(1, Answer::Good, at(3020)).len(), 1);
    assert_eq!(monitors.ailment(), None);
}

/// The resource itself is well after its restart, and what stands right of it does not start.
#[test]
fn good_answers_do_not_shorten_the_pauses_while_the_rest_does_not_start() {
    let mut monitors = monitors(Then::Stay);
    monitors.answered(1, Answer::Good, at(10));
    fails(&mut monitors, 1, 20);
    let failed = Some("php: code 1");
    assert_eq!(monitors.restarted(failed, at(50)).len(), 1);
    let mut tried = Vec::new();
    for turn in 6..200 {
        assert_eq!(monitors.answered(1, Answer::Good, at(turn * 10)), []);
        assert_eq!(monitors.list()[1].standing(), Standing::GivenUp);
        if monitors.ailment().unwrap().restart {
            tried.push(turn * 10 - 50);
            assert_eq!(monitors.restarted(failed, at(turn * 10)), []);
        }
    }
    assert_eq!(tried, [30, 90, 210, 450, 930, 1530]);
    // A person does not wait for the pause.
    monitors.clear();
    monitors.answered(1, Answer::Good, at(2010));
    assert!(monitors.ailment().unwrap().restart);
    assert_eq!(monitors.restarted(failed, at(2011)).len(), 1);
    assert!(!monitors.ailment().unwrap().restart);
}

#[test]
fn a_group_that_was_stopped_for_it_is_not_started_again() {
    let mut monitors = monitors(Then::Stop);
    monitors.answered(1, Answer::Good, at(10));
    fails(&mut monitors, 1, 20);
    monitors.restarted(Some("nginx: code 1"), at(50));
    for turn in 6..100 {
        monitors.answered(1, bad(), at(turn * 10));
        assert!(!monitors.ailment().unwrap().restart);
    }
}

#[test]
fn what_stands_right_of_a_failing_resource_waits_for_it() {
    let mut monitors = monitors(Then::Move);
    for place in 0..2 {
        monitors.answered(place, Answer::Good, at(10));
    }
    fails(&mut monitors, 0, 20);
    assert_eq!(fails(&mut monitors, 1, 20), []);
    assert_eq!(monitors.restarts_from(), Some(DISK));
    monitors.restarted(None, at(60));
    assert_eq!(monitors.list()[1].failures(at(60)), 0);
}

#[test]
fn an_order_a_freeze_and_a_person_end_what_is_wanted() {
    let mut monitors = monitors(Then::Move);
    monitors.answered(1, Answer::Good, at(10));
    fails(&mut monitors, 1, 20);
    monitors.pauses();
    assert_eq!(monitors.ailment(), None);
    fails(&mut monitors, 1, 60);
    fails_after_restart(&mut monitors);
    monitors.clear();
    assert_eq!(monitors.ailment(), None);
    assert_eq!(monitors.list()[1].failures(at(100)), 0);
}

fn fails_after_restart(monitors: &mut Monitors) {
    monitors.restarted(Some("nginx: code 1"), at(90));
    assert_eq!(monitors.ailment().unwrap().gives_up, Some(Then::Move));
}

#[test]
fn a_check_that_hangs_is_bad_only_where_this_node_was_not_late_itself() {
    let seen = Lateness {
        beat: Duration::ZERO,
        limit: Duration::from_millis(2500),
        pressure: Some(10.0),
    };
    assert_eq!(late("hangs", &seen), Answer::Bad("hangs".to_owned()));
    let none = Lateness {
        pressure: None,
        ..seen
    };
    assert_eq!(late("hangs", &none), Answer::Bad("hangs".to_owned()));
    let beat = Duration::from_millis(2501);
    for late_itself in [
        Lateness { beat, ..seen },
        Lateness {
            pressure: Some(50.5),
            ..seen
        },
    ] {
        assert!(!matches!(late("hangs", &late_itself), Answer::Bad(_)));
    }
}

#[test]
fn pressure_alone_excuses_three_times_failures_answers_in_a_row() {
    let pressed = || Answer::Pressed("no answer within 5 s".to_owned());
    let mut monitors = monitors(Then::Move);
    monitors.answered(1, Answer::Good, at(10));
    let asks = |monitors: &mut Monitors, turns: std::ops::Range<u64>| {
        turns
            .filter(|turn| {
                monitors.answered(1, pressed(), at(turn * 10));
                monitors.ailment().is_some()
            })
            .min()
    };
    assert_eq!(asks(&mut monitors, 2..11), None);
    assert_eq!(monitors.list()[1].standing(), Standing::Unknown);
    // Another answer in between, and it counts anew.
    monitors.answered(1, Answer::Unknown("activating".to_owned()), at(110));
    assert_eq!(asks(&mut monitors, 12..100), Some(23), "nine, and three");
}

#[test]
fn what_was_good_in_an_earlier_life_of_the_daemon_acts_and_nothing_else() {
    let mut before = monitors(Then::Move);
    before.answered(1, Answer::Good, at(10));
    assert_eq!(before.proven(), [1]);
    let mut after = monitors(Then::Move);
    after.goes_on(&before.proven(), at(100));
    assert_eq!(fails(&mut after, 0, 110).len(), 1);
    assert_eq!(after.ailment(), None);
    fails(&mut after, 1, 110);
    assert!(after.ailment().unwrap().restart);
    after.ended();
    assert_eq!(after.proven(), [0; 0]);
}
