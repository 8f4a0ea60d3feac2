use super::*;

const TIMES: Times = Times {
    keepalive: Duration::from_millis(200),
    deadtime: Duration::from_secs(2),
};

const USUAL: Duration = Duration::from_secs(3);
const LONGER: Duration = Duration::from_secs(33);
const SHORT: Duration = Duration::from_millis(399);

fn at(ms: u64) -> Monotonic {
    Monotonic::from_millis(ms)
}

/// A heartbeat of a node that owes nothing.
fn beat(left: u64) -> Event {
    Event::Beat {
        left,
        owes_release: false,
        idle: false,
    }
}

fn step(watchdog: &mut Watchdog, event: Event, ms: u64) -> Vec<Act> {
    let mut acts = Vec::new();
    watchdog.handle(event, at(ms), &mut acts);
    acts
}

/// A watchdog in the state of that name, at second one hundred, with a heartbeat each 200 ms until then.
fn watchdog_in(state: &str) -> Watchdog {
    let mut watchdog = Watchdog::new(TIMES, false);
    let mut feed = |event, ms| drop(step(&mut watchdog, event, ms));
    feed(Event::Begin, 99_000);
    match state {
        "Shut" => {}
        "Useless" => feed(Event::Opened(Some(SHORT)), 99_000),
        _ => feed(Event::Opened(Some(USUAL)), 99_000),
    }
    for number in 0..6 {
        feed(beat(number), 99_000 + number * 200);
    }
    match state {
        // Its pause is over.
        "Shut" => feed(Event::Refused, 80_000),
        "Bridged" => feed(Event::Replace { other: false }, 100_000),
        "Parted" => feed(Event::Replace { other: true }, 100_000),
        "Ended" => feed(Event::End, 100_000),
        _ => {}
    }
    assert_eq!(name(&watchdog), state);
    watchdog
}

fn name(watchdog: &Watchdog) -> &'static str {
    match watchdog.state {
        State::Shut { .. } => "Shut",
        State::Armed => "Armed",
        State::Bridged => "Bridged",
        State::Parted => "Parted",
        State::Useless => "Useless",
        State::Ended => "Ended",
    }
}

/// Every state with every event: what is done, and the state after it.
#[test]
fn every_state_and_every_event() {
    let once = beat(6);
    let usual = Event::Opened(Some(USUAL));
    let unknown = Event::Opened(None);
    let short = Event::Opened(Some(SHORT));
    let same = Event::Replace { other: false };
    let other = Event::Replace { other: true };
    let open = Act::Open(USUAL);
    let too_short = Act::Say(Trouble::TooShort(SHORT));
    let nothing: &[Act] = &[];
    let rows: &[(&str, Event, &[Act], &str)] = &[
        ("Shut", Event::Begin, &[open], "Shut"),
        ("Shut", usual, nothing, "Armed"),
        ("Shut", unknown, nothing, "Armed"),
        ("Shut", short, &[Act::Disarm, too_short], "Useless"),
        ("Shut", Event::Refused, nothing, "Shut"),
        ("Shut", once, &[open], "Shut"),
        ("Shut", Event::Failed, nothing, "Shut"),
        ("Shut", same, nothing, "Parted"),
        ("Shut", other, nothing, "Parted"),
        ("Shut", Event::Stay, nothing, "Shut"),
        ("Shut", Event::End, nothing, "Ended"),
        ("Armed", Event::Begin, nothing, "Armed"),
        ("Armed", usual, nothing, "Armed"),
        ("Armed", unknown, nothing, "Armed"),
        ("Armed", short, nothing, "Armed"),
        ("Armed", Event::Refused, nothing, "Armed"),
        ("Armed", once, &[Act::Feed], "Armed"),
        ("Armed", Event::Failed, &[Act::Drop], "Shut"),
        (
            "Armed",
            same,
            &[Act::Interval(LONGER), Act::Feed],
            "Bridged",
        ),
        ("Armed", other, &[Act::Disarm], "Parted"),
        ("Armed", Event::Stay, nothing, "Armed"),
        ("Armed", Event::End, &[Act::Disarm], "Ended"),
        ("Bridged", Event::Begin, nothing, "Bridged"),
        ("Bridged", usual, nothing, "Bridged"),
        ("Bridged", unknown, nothing, "Bridged"),
        ("Bridged", short, nothing, "Bridged"),
        ("Bridged", Event::Refused, nothing, "Bridged"),
        ("Bridged", once, &[Act::Feed], "Bridged"),
        ("Bridged", Event::Failed, &[Act::Drop], "Parted"),
        ("Bridged", same, nothing, "Bridged"),
        ("Bridged", other, &[Act::Disarm], "Parted"),
        ("Bridged", Event::Stay, &[Act::Interval(USUAL)], "Armed"),
        ("Bridged", Event::End, &[Act::Disarm], "Ended"),
        ("Parted", Event::Begin, nothing, "Parted"),
        ("Parted", usual, nothing, "Parted"),
        ("Parted", unknown, nothing, "Parted"),
        ("Parted", short, nothing, "Parted"),
        ("Parted", Event::Refused, nothing, "Parted"),
        ("Parted", once, nothing, "Parted"),
        ("Parted", Event::Failed, nothing, "Parted"),
        ("Parted", same, nothing, "Parted"),
        ("Parted", other, nothing, "Parted"),
        ("Parted", Event::Stay, &[open], "Shut"),
        ("Parted", Event::End, nothing, "Ended"),
        ("Useless", Event::Begin, nothing, "Useless"),
        ("Useless", usual, nothing, "Useless"),
        ("Useless", unknown, nothing, "Useless"),
        ("Useless", short, nothing, "Useless"),
        ("Useless", Event::Refused, nothing, "Useless"),
        ("Useless", once, nothing, "Useless"),
        ("Useless", Event::Failed, nothing, "Useless"),
        ("Useless", same, nothing, "Useless"),
        ("Useless", other, nothing, "Useless"),
        ("Useless", Event::Stay, nothing, "Useless"),
        ("Useless", Event::End, nothing, "Ended"),
        ("Ended", Event::Begin, nothing, "Ended"),
        ("Ended", usual, nothing, "Ended"),
        ("Ended", unknown, nothing, "Ended"),
        ("Ended", short, nothing, "Ended"),
        ("Ended", Event::Refused, nothing, "Ended"),
        ("Ended", once, nothing, "Ended"),
        ("Ended", Event::Failed, nothing, "Ended"),
        ("Ended", same, nothing, "Ended"),
        ("Ended", other, nothing, "Ended"),
        ("Ended", Event::Stay, nothing, "Ended"),
        ("Ended", Event::End, nothing, "Ended"),
    ];
    assert_eq!(rows.len(), 6 * 11);
    for (before, event, acts, after) in rows {
        let mut watchdog = watchdog_in(before);
        let done = step(&mut watchdog, *event, 100_200);
        assert_eq!(done, *acts, "{before} {event:?}");
        assert_eq!(name(&watchdog), *after, "{before} {event:?}");
    }
}

/// In every state: a heartbeat that is late, or of which nothing leaves, feeds nothing and opens nothing.
#[test]
fn no_state_feeds_by_a_late_heartbeat_or_one_that_does_not_leave() {
    for state in ["Shut", "Armed", "Bridged", "Parted", "Useless", "Ended"] {
        let works = |act: &Act| !matches!(act, Act::Say(_));
        let mut watchdog = watchdog_in(state);
        let late = step(&mut watchdog, beat(6), 102_001);
        assert!(!late.iter().any(works), "{state} {late:?}");
        let mut watchdog = watchdog_in(state);
        for number in 1..=20 {
            let acts = step(&mut watchdog, beat(5), 100_000 + number * 200);
            assert!(number <= 3 || !acts.iter().any(works), "{state} {acts:?}");
        }
    }
}

#[test]
fn a_late_heartbeat_does_not_feed_and_the_next_one_in_time_does() {
    let mut watchdog = watchdog_in("Armed");
    let on_time = step(&mut watchdog, beat(6), 102_000);
    assert_eq!(on_time, [Act::Feed], "just within the dead time");
    let late = step(&mut watchdog, beat(7), 104_001);
    let pause = Trouble::Late(Duration::from_millis(2_001));
    assert_eq!(late, [Act::Say(pause)]);
    let next = step(&mut watchdog, beat(8), 104_201);
    assert_eq!(next, [Act::Say(Trouble::None), Act::Feed]);
}

#[test]
fn it_is_fed_again_when_heartbeats_leave_again() {
    let mut watchdog = watchdog_in("Armed");
    let mut beats = |left, ms| step(&mut watchdog, beat(left), ms);
    // The third that is not seen to leave is the last that feeds.
    for number in 1..=3 {
        assert_eq!(beats(5, 100_000 + number * 200), [Act::Feed]);
    }
    let said = [Act::Say(Trouble::NothingLeaves)];
    assert_eq!(beats(5, 100_800), said);
    assert_eq!(beats(5, 101_000), []);
    assert_eq!(beats(6, 101_200), [Act::Say(Trouble::None), Act::Feed]);
}

/// After a boot whose network is not up yet: a restart of the machine would not bring it up.
#[test]
fn a_node_that_runs_nothing_is_fed_whatever_leaves() {
    let mut watchdog = watchdog_in("Armed");
    let mut beats = |number: u64, idle| {
        let event = Event::Beat {
            left: 5,
            owes_release: false,
            idle,
        };
        step(&mut watchdog, event, 100_000 + number * 200)
    };
    for number in 1..=40 {
        assert_eq!(beats(number, true), [Act::Feed]);
    }
    // A group is started, and still nothing leaves.
    for number in 41..=43 {
        assert_eq!(beats(number, false), [Act::Feed]);
    }
    assert_eq!(beats(44, false), [Act::Say(Trouble::NothingLeaves)]);
    assert_eq!(beats(45, true), [Act::Say(Trouble::None), Act::Feed]);
}

/// A stop script hangs on a node that is cut off: the other one takes its groups over.
#[test]
fn a_node_that_is_cut_off_and_does_not_let_go_is_not_fed() {
    for state in ["Armed", "Bridged"] {
        let mut watchdog = watchdog_in(state);
        let mut beats = |number: u64, owes_release| {
            let left = 5 + number;
            let event = Event::Beat {
                left,
                owes_release,
                idle: false,
            };
            step(&mut watchdog, event, 100_000 + number * 200)
        };
        // A release in time, and what is owed later, are two debts.
        assert_eq!(beats(1, true), [Act::Feed], "{state}");
        assert_eq!(beats(2, false), [Act::Feed], "{state}");
        for number in 3..=13 {
            assert_eq!(beats(number, true), [Act::Feed], "{state} {number}");
        }
        assert_eq!(beats(14, true), [Act::Say(Trouble::HoldsOn)], "{state}");
        assert_eq!(beats(15, true), [], "{state}");
        let again = [Act::Say(Trouble::None), Act::Feed];
        assert_eq!(beats(16, false), again, "{state}");
    }
}

#[test]
fn what_did_not_leave_before_a_restart_gets_no_longer_interval() {
    let mut watchdog = watchdog_in("Armed");
    for number in 1..=4 {
        step(&mut watchdog, beat(5), 100_000 + number * 200);
    }
    let acts = step(&mut watchdog, Event::Replace { other: false }, 100_900);
    assert_eq!(acts, []);
    assert_eq!(name(&watchdog), "Bridged");
}

#[test]
fn a_device_that_cannot_be_opened_is_tried_again_after_a_pause() {
    let mut watchdog = Watchdog::new(TIMES, false);
    let mut step = |event, ms| step(&mut watchdog, event, ms);
    assert_eq!(step(Event::Begin, 0), [Act::Open(USUAL)]);
    assert_eq!(step(Event::Refused, 0), []);
    let mut opened_at = None;
    for number in 1..100 {
        let acts = step(beat(number), number * 200);
        if !acts.is_empty() {
            assert_eq!(acts, [Act::Open(USUAL)]);
            opened_at = Some(number * 200);
            break;
        }
    }
    assert_eq!(opened_at, Some(10_000));
    // The heartbeat that asked for it feeds.
    assert_eq!(step(Event::Opened(Some(USUAL)), 10_010), [Act::Feed]);
}

/// A device of which a byte was refused, or that a predecessor has left, still counts.
#[test]
fn what_was_left_armed_is_stopped_at_the_end() {
    let stopped = [Act::Open(USUAL), Act::Disarm];
    let mut failed = watchdog_in("Armed");
    step(&mut failed, Event::Failed, 100_100);
    assert_eq!(step(&mut failed, Event::End, 100_200), stopped);
    let mut successor = Watchdog::new(TIMES, true);
    step(&mut successor, Event::Begin, 0);
    step(&mut successor, Event::Refused, 0);
    assert_eq!(step(&mut successor, Event::End, 100), stopped);
    let mut successor = Watchdog::new(TIMES, true);
    let other = Event::Replace { other: true };
    assert_eq!(step(&mut successor, other, 100), stopped);
    let mut bridged = watchdog_in("Bridged");
    step(&mut bridged, Event::Failed, 100_100);
    assert_eq!(step(&mut bridged, Event::End, 100_200), stopped);
}

#[test]
fn the_interval_is_that_of_legacy() {
    let of = |deadtime_ms| {
        let times = Times {
            keepalive: Duration::from_millis(100),
            deadtime: Duration::from_millis(deadtime_ms),
        };
        times.interval().as_secs()
    };
    assert_eq!([500, 990, 991, 1_000].map(of), [1, 1, 2, 2]);
    assert_eq!([2_000, 29_990, 30_000].map(of), [3, 30, 31]);
    let endless = Times {
        keepalive: Duration::MAX,
        deadtime: Duration::MAX,
    };
    assert_eq!(endless.interval().as_secs(), u64::MAX);
    assert_eq!(endless.shortest(), Duration::MAX);
}
