use super::*;

const INTERFACE: &str = "eth0";

fn held() -> Held {
    (GroupKey::new("a"), IpAddr::from([10, 0, 0, 1]))
}

fn at(ms: u64) -> Monotonic {
    Monotonic::from_millis(ms)
}

fn seen(found: Found) -> Seen {
    Seen {
        held: held(),
        native: true,
        found,
    }
}

fn here() -> Found {
    Found::Here {
        spot: spot(),
        up: true,
    }
}

fn spot() -> Spot {
    Spot {
        interface: INTERFACE.into(),
        prefix: 24,
    }
}

const fn absent() -> Found {
    Found::Absent { down: None }
}

/// A guard that has seen the address where it is to be.
fn settled(reports: bool) -> AddressGuard {
    let mut guard = AddressGuard::new(reports);
    assert_eq!(look(&mut guard, here(), 0), []);
    guard
}

fn look(guard: &mut AddressGuard, found: Found, ms: u64) -> Vec<Action> {
    guard.handle(Event::Looked(vec![seen(found)]), at(ms))
}

fn tried(guard: &mut AddressGuard, tried: Tried, ms: u64) -> Vec<Action> {
    guard.handle(Event::Tried(held(), tried), at(ms))
}

fn try_it() -> Vec<Action> {
    vec![Action::PutBack(held(), Some(spot()))]
}

/// The lines for the log.
fn said(actions: &[Action]) -> Vec<(Severity, &str)> {
    let say = |action| match action {
        &Action::Say(severity, ref text) => Some((severity, text.as_str())),
        _ => None,
    };
    actions.iter().filter_map(say).collect()
}

fn severities(actions: &[Action]) -> Vec<Severity> {
    said(actions)
        .iter()
        .map(|(severity, _)| *severity)
        .collect()
}

#[test]
fn news_call_for_a_look_and_a_healthy_address_for_nothing() {
    let mut guard = settled(false);
    assert_eq!(guard.handle(Event::Changed, at(1)), [Action::Look]);
    let removed = Event::Removed(held().1, Remover::Kernel);
    assert_eq!(guard.handle(removed, at(1)), [Action::Look]);
    assert_eq!(look(&mut guard, here(), 2), []);
    assert_eq!(guard.absent().count(), 0);
}

#[test]
fn what_is_gone_is_put_back_once_and_told_once_with_who_removed_it() {
    let mut guard = settled(false);
    let remover = Remover::Process {
        pid: 7,
        name: "systemd-network".into(),
    };
    guard.handle(Event::Removed(held().1, remover), at(1));
    assert_eq!(look(&mut guard, absent(), 2), try_it());
    assert_eq!(guard.absent().count(), 1);
    assert_eq!(look(&mut guard, absent(), 3), [], "a try is under way");
    let actions = tried(&mut guard, Tried::PutBack, 60);
    assert_eq!(
        said(&actions),
        [(
            Severity::Warn,
            "address 10.0.0.1 of group a was gone and is put back: removed by systemd-network (process 7)"
        )]
    );
    assert!(actions.contains(&Action::Note(
        "puts address 10.0.0.1 of group a back".into(),
        "removed by systemd-network (process 7)".into()
    )));
    assert_eq!(look(&mut guard, here(), 61), []);
    assert_eq!(guard.absent().count(), 0);
}

const fn ran_out(wait_ms: u64) -> Found {
    Found::RanOut {
        wait: Duration::from_millis(wait_ms),
    }
}

#[test]
fn what_ran_out_is_told_once_and_not_tried_before_its_time() {
    let mut guard = settled(false);
    guard.handle(Event::Removed(held().1, Remover::Kernel), at(1));
    let actions = look(&mut guard, ran_out(3000), 2);
    let text = "address 10.0.0.1 of group a is gone: its lease ran out: this node was stopped or hung, and no heartbeat \
                left it; it is put back in 3.0 s or earlier, if its group is held and no other host has it then";
    assert_eq!(said(&actions), [(Severity::Warn, text)]);
    assert_eq!(guard.next_try(at(2)), Some(at(3002)));
    // More is known once a heartbeat has left.
    assert_eq!(look(&mut guard, ran_out(2000), 10), []);
    assert_eq!(guard.next_try(at(10)), Some(at(2010)));
    assert_eq!(look(&mut guard, ran_out(10), 2000), []);
    assert_eq!(look(&mut guard, ran_out(0), 2010), try_it());
    let actions = tried(&mut guard, Tried::Taken("there".into()), 2060);
    assert_eq!(severities(&actions), [Severity::Crit]);
    assert_eq!(
        look(&mut guard, ran_out(0), 2100),
        [],
        "another host has it"
    );
    assert_eq!(look(&mut guard, ran_out(0), 7060), try_it());
    let actions = tried(&mut guard, Tried::PutBack, 7100);
    let text = "address 10.0.0.1 of group a was gone and is put back: its lease ran out: this node was stopped or hung, and \
                no heartbeat left it";
    assert_eq!(said(&actions), [(Severity::Warn, text)]);
    // Before anybody could take it.
    let mut guard = settled(false);
    let actions = look(&mut guard, ran_out(0), 1);
    assert_eq!(said(&actions).len(), 1);
    assert_eq!(actions.last(), try_it().first());
    tried(&mut guard, Tried::NotNeeded, 2);
    assert_eq!(
        guard.handle(Event::Looked(Vec::new()), at(2000)),
        [],
        "not held"
    );
    assert_eq!(guard.absent().count(), 0);
}

/// A guard whose address was put back 31 times, once a second.
fn failed() -> AddressGuard {
    let mut guard = settled(false);
    for time in 1..=31_u64 {
        let ms = time * 1000;
        assert_eq!(guard.removed_again(), [].into(), "{time}");
        assert_eq!(look(&mut guard, absent(), ms), try_it(), "{time}");
        let actions = tried(&mut guard, Tried::PutBack, ms);
        let expected = match time {
            1 | 2 => vec![Severity::Warn],
            _ => vec![Severity::Warn, Severity::Crit],
        };
        assert_eq!(severities(&actions), expected, "{time}");
        let failed = said(&actions).iter().any(|(_, it)| {
            it.contains(": the group counts as failed, and next time it is put back after 5 s: ")
        });
        assert_eq!(failed, time > 30, "{time}");
    }
    assert_eq!(guard.removed_again(), [held().0].into());
    guard
}

#[test]
fn the_third_time_in_a_minute_is_critical_and_from_the_thirty_first_on_the_pause_grows() {
    let mut guard = failed();
    let mut ms = 31_000;
    for seconds in [5, 10, 20, 40, 60, 60, 60_u64] {
        // Removed as soon as it is there.
        assert_eq!(look(&mut guard, absent(), ms + 1), []);
        let due = ms + seconds * 1000;
        assert_eq!(guard.next_try(at(ms + 1)), Some(at(due)));
        assert_eq!(look(&mut guard, absent(), due - 1), []);
        assert_eq!(look(&mut guard, absent(), due), try_it());
        assert_eq!(guard.next_try(at(due)), None, "a try is under way");
        let actions = tried(&mut guard, Tried::PutBack, due);
        assert_eq!(severities(&actions), [Severity::Warn, Severity::Crit]);
        assert_eq!(guard.removed_again(), [held().0].into());
        ms = due;
    }
}

#[test]
fn what_stays_for_a_minute_counts_no_more() {
    let mut guard = failed();
    assert_eq!(look(&mut guard, here(), 90_999), []);
    assert_eq!(guard.removed_again(), [held().0].into());
    let actions = look(&mut guard, here(), 91_000);
    assert_eq!(severities(&actions), [Severity::Warn]);
    assert_eq!(guard.removed_again(), [].into());
    assert_eq!(look(&mut guard, here(), 91_001), []);
    assert_eq!(look(&mut guard, absent(), 91_002), try_it());
    let actions = tried(&mut guard, Tried::PutBack, 91_003);
    assert_eq!(severities(&actions), [Severity::Warn]);
    assert_eq!(look(&mut guard, absent(), 91_004), try_it());
    // The same when no look came in between.
    let mut guard = failed();
    assert_eq!(look(&mut guard, absent(), 91_000), try_it());
    assert_eq!(guard.removed_again(), [].into());
}

#[test]
fn what_another_host_has_is_not_put_back_until_it_is_free() {
    let mut guard = settled(false);
    assert_eq!(look(&mut guard, absent(), 0), try_it());
    let claim = || Tried::Taken("10.0.0.1 is at 02:00:00:00:00:09".into());
    let actions = tried(&mut guard, claim(), 10);
    assert_eq!(severities(&actions), [Severity::Crit]);
    assert!(said(&actions)[0].1.ends_with("is at 02:00:00:00:00:09"));
    assert_eq!(look(&mut guard, absent(), 2000), []);
    assert_eq!(guard.next_try(at(2000)), Some(at(5010)));
    assert_eq!(guard.absent().count(), 1);
    // It asks again, and says nothing new.
    assert_eq!(look(&mut guard, absent(), 6000), try_it());
    assert_eq!(tried(&mut guard, claim(), 6010), []);
    assert_eq!(look(&mut guard, absent(), 12_000), try_it());
    let actions = tried(&mut guard, Tried::PutBack, 12_010);
    assert_eq!(severities(&actions), [Severity::Warn]);
}

#[test]
fn a_frozen_node_and_one_that_only_reports_put_nothing_back() {
    let mut guard = settled(false);
    assert_eq!(look(&mut guard, absent(), 0), try_it());
    assert_eq!(
        severities(&tried(&mut guard, Tried::Frozen, 1)),
        [Severity::Warn]
    );
    assert_eq!(guard.next_try(at(1)), Some(at(1001)), "after the thaw");
    assert_eq!(look(&mut guard, absent(), 1000), []);
    assert_eq!(guard.next_try(at(1000)), Some(at(1001)));
    assert_eq!(look(&mut guard, absent(), 1001), try_it());
    assert_eq!(tried(&mut guard, Tried::Frozen, 1002), []);
    // A person puts it back.
    assert_eq!(
        severities(&look(&mut guard, here(), 7000)),
        [Severity::Warn]
    );

    let mut guard = settled(true);
    assert_eq!(severities(&look(&mut guard, absent(), 1)), [Severity::Warn]);
    assert_eq!(look(&mut guard, absent(), 6000), []);
    assert_eq!(guard.absent().count(), 1);
    assert_eq!(
        severities(&look(&mut guard, here(), 6001)),
        [Severity::Warn]
    );
}

#[test]
fn what_the_kernel_refuses_is_told_once_and_tried_a_second_later() {
    let mut guard = settled(false);
    for (ms, lines) in [(0_u64, 1), (1_000, 0), (2_000, 0)] {
        assert_eq!(look(&mut guard, absent(), ms), try_it());
        let failed = Tried::Failed("no interface".into());
        assert_eq!(said(&tried(&mut guard, failed, ms)).len(), lines);
        assert_eq!(look(&mut guard, absent(), ms + 999), []);
    }
}

/// Its group is at work on another address of it: no look names it for that moment. Where it was stays known.
#[test]
fn what_its_group_does_not_want_at_this_moment_is_tried_again_soon() {
    let mut guard = settled(false);
    assert_eq!(look(&mut guard, absent(), 0), try_it());
    assert_eq!(tried(&mut guard, Tried::NotNeeded, 60), []);
    assert_eq!(look(&mut guard, absent(), 61), []);
    assert_eq!(guard.handle(Event::Looked(Vec::new()), at(100)), []);
    assert_eq!(guard.absent().count(), 0, "nothing is said of it meanwhile");
    assert!(guard.holds(held().1));
    assert_eq!(look(&mut guard, absent(), 160), try_it());
}

#[test]
fn an_address_on_an_interface_that_is_down_waits_for_it_and_is_announced_then() {
    let mut guard = settled(false);
    let down = || Found::Absent {
        down: Some(INTERFACE.into()),
    };
    assert_eq!(severities(&look(&mut guard, down(), 1)), [Severity::Warn]);
    assert_eq!(look(&mut guard, down(), 6000), []);
    assert_eq!(look(&mut guard, absent(), 6001), try_it());
    tried(&mut guard, Tried::PutBack, 6002);

    let lies_down = || Found::Here {
        spot: spot(),
        up: false,
    };
    assert_eq!(
        severities(&look(&mut guard, lies_down(), 7000)),
        [Severity::Warn]
    );
    assert_eq!(look(&mut guard, lies_down(), 7001), []);
    let actions = look(&mut guard, here(), 7002);
    assert!(actions.contains(&Action::Announce(GroupKey::new("a"))));
    assert_eq!(severities(&actions), [Severity::Warn]);
}

#[test]
fn what_is_not_held_any_more_is_nobodys_business() {
    let mut guard = settled(false);
    assert_eq!(look(&mut guard, absent(), 0), try_it());
    // A stop has come between.
    assert_eq!(tried(&mut guard, Tried::NotNeeded, 1), []);
    assert_eq!(guard.handle(Event::Looked(Vec::new()), at(2)), []);
    assert_eq!(guard.absent().count(), 0);
    assert_eq!(guard.handle(Event::Looked(Vec::new()), at(1_001)), []);
    assert!(!guard.holds(held().1));
    assert_eq!(
        tried(&mut guard, Tried::PutBack, 1_002),
        [],
        "nothing is known of it"
    );
}

#[test]
fn a_try_that_was_lost_is_made_again() {
    let mut guard = settled(false);
    assert_eq!(look(&mut guard, absent(), 0), try_it());
    assert_eq!(look(&mut guard, absent(), 29_000), []);
    assert_eq!(look(&mut guard, absent(), 31_000), try_it());
    guard.forget_tries();
    assert_eq!(look(&mut guard, absent(), 31_001), try_it());
}

#[test]
fn what_a_script_handles_is_reported_when_it_was_here() {
    let script = |found| {
        Event::Looked(vec![Seen {
            native: false,
            ..seen(found)
        }])
    };
    let mut guard = AddressGuard::new(false);
    // The script may put it somewhere else.
    assert_eq!(guard.handle(script(absent()), at(0)), []);
    assert_eq!(guard.absent().count(), 0);
    assert_eq!(guard.handle(script(here()), at(1)), []);
    let actions = guard.handle(script(absent()), at(2));
    assert_eq!(severities(&actions), [Severity::Warn]);
    assert_eq!(guard.absent().count(), 1);
    assert_eq!(guard.handle(script(absent()), at(3)), []);
}
