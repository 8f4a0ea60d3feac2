use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;
use crate::process::guardian::{Beats, Link};

fn at(seconds: u64) -> Monotonic {
    Monotonic::from_duration(Duration::from_secs(seconds))
}

#[test]
fn three_deaths_within_a_minute_are_too_many() {
    let mut deaths = Deaths::default();
    assert!(!deaths.note(at(0)));
    assert!(!deaths.note(at(40)));
    assert!(!deaths.note(at(60)), "the first is a minute old");
    assert!(deaths.note(at(99)));
}

/// A daemon that can still send heartbeats sends them while everything is released; otherwise the
/// guardian releases.
#[test]
fn a_release_beats_as_long_as_anything_can() {
    use Stage::{Releasing, Serving};
    assert_eq!(next(Serving, End::Died, false), Next::Revive);
    for (end, often, why) in [
        (End::Died, true, Why::DiedOften),
        (End::Unreleased, false, Why::Unreleased),
    ] {
        assert_eq!(next(Serving, end, often), Next::ReleaseBeating(why));
    }
    for (end, why) in [
        (End::Died, Why::ReleaseDied),
        (End::Unreleased, Why::Unreleased),
        (End::Silent, Why::Silent),
    ] {
        for often in [false, true] {
            assert_eq!(next(Releasing, end, often), Next::ReleaseNow(why));
        }
    }
    for stage in [Serving, Releasing] {
        assert_eq!(
            next(stage, End::Silent, false),
            Next::ReleaseNow(Why::Silent)
        );
        assert_eq!(next(stage, End::Dismissed, true), Next::Go);
    }
}

fn hear(told: &mut Told, words: &str, now: Monotonic) {
    let mut numbers = NumberReader::default();
    for byte in words.bytes() {
        told.hear(&numbers.take(byte), now);
    }
}

#[test]
fn the_time_counts_from_the_last_daemon_that_beat() {
    let mut told = Told::new(at(0));
    hear(&mut told, "=10000;b", at(0));
    assert_eq!(told.must_beat_by(Stage::Serving), None, "it beats");
    told.ended(at(100), None);
    assert_eq!(told.must_beat_by(Stage::Serving), Some(at(106)));
    assert_eq!(told.must_beat_by(Stage::Releasing), Some(at(108)));
    // The next daemon dies before its first heartbeat: that gives no successor more time.
    hear(&mut told, "=10000;", at(103));
    told.ended(at(104), None);
    assert_eq!(told.must_beat_by(Stage::Serving), Some(at(106)));
    assert_eq!(told.left(at(104)), Some(Duration::from_secs(5)));
    assert_eq!(told.left(at(200)), Some(Duration::ZERO));
    hear(&mut told, "b", at(105));
    told.ended(at(300), None);
    assert_eq!(told.must_beat_by(Stage::Serving), Some(at(306)));
}

#[test]
fn a_process_that_replaces_itself_has_asked_for_more() {
    let mut told = Told::new(at(0));
    hear(&mut told, "=10000;br", at(50));
    assert_eq!(told.must_beat_by(Stage::Serving), Some(at(86)));
    hear(&mut told, "b", at(51));
    assert_eq!(told.must_beat_by(Stage::Serving), None);
    told.ended(at(60), None);
    assert_eq!(told.must_beat_by(Stage::Serving), Some(at(66)));
}

#[test]
fn a_daemon_of_an_earlier_version_is_waited_for_without_a_limit() {
    let mut told = Told::new(at(0));
    told.ended(at(1), None);
    assert_eq!(told.must_beat_by(Stage::Serving), None);
    assert_eq!(told.left(at(2)), None);
}

/// No node takes over from it: it has the time that it needs.
#[test]
fn a_node_that_is_alone_is_waited_for_without_a_limit() {
    let mut told = Told::new(at(0));
    hear(&mut told, "=10000;b", at(0));
    hear(&mut told, "=0;", at(50));
    told.ended(at(60), None);
    assert_eq!(told.must_beat_by(Stage::Serving), None);
    assert_eq!(told.left(at(61)), None);
    // Another node is back, and the successor receives it.
    hear(&mut told, "=10000;", at(61));
    assert_eq!(told.must_beat_by(Stage::Serving), Some(at(66)));
}

/// The others wait from its last heartbeat, not from its death.
#[test]
fn a_daemon_that_hung_before_it_died_has_been_silent_for_longer() {
    let after = |ago| {
        let mut told = Told::new(at(0));
        hear(&mut told, "=10000;b", at(0));
        told.ended(at(100), Some(Duration::from_secs(ago)));
        told
    };
    let told = after(2);
    // Six tenths of what is left.
    let limit = at(100) + Duration::from_millis(4200);
    assert_eq!(told.must_beat_by(Stage::Serving), Some(limit));
    assert_eq!(told.left(at(100)), Some(Duration::from_secs(7)));
    let told = after(7);
    let limit = at(100) + Duration::from_millis(1200);
    assert_eq!(told.must_beat_by(Stage::Serving), Some(limit));
    assert_eq!(told.left(at(100)), Some(Duration::from_secs(2)));
    // No time is left before a restart of the machine, and the others still wait.
    let limit = at(100) + Duration::from_millis(500);
    assert_eq!(after(9).must_beat_by(Stage::Serving), Some(limit));
    // They have taken over already.
    assert_eq!(after(10).must_beat_by(Stage::Serving), Some(at(106)));
}

/// It is in no file: `/run` may be full, or on a disk that delays a heartbeat.
#[test]
fn the_last_heartbeat_is_known_after_the_death() {
    let own = i32::try_from(std::process::id()).unwrap();
    let beats = Beats::begin().unwrap();
    beats.note();
    // The connection to a guardian exists before its daemon records anything, or comes later.
    for late in [false, true] {
        let (mut ward, daemon) = sleeper();
        let link = Link::default();
        if late {
            link.noted_in(beats.clone());
            link.set(daemon);
            link.introduce();
        } else {
            link.set(daemon);
            link.noted_in(beats.clone());
        }
        link.beats();
        link.dismiss();
        let (mut told, clock) = told();
        assert_eq!(ward.watch(&mut told, &clock).unwrap(), End::Dismissed);
        ward.end();
        let ago = told.last_heartbeat(own);
        assert!(ago.is_some_and(|ago| ago < Duration::from_secs(60)));
        assert_eq!(told.last_heartbeat(ward.pid), None, "of another process");
    }
}

/// A process that waits for its standard input to end.
fn sleeper() -> (Ward, UnixStream) {
    let (own, theirs) = UnixStream::pair().unwrap();
    #[expect(clippy::disallowed_methods, reason = "stands for the daemon")]
    let child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let ward = Ward {
        pid: i32::try_from(child.id()).unwrap(),
        socket: own,
        child: Some(child),
        stage: Stage::Serving,
    };
    (ward, theirs)
}

fn told() -> (Told, Clock) {
    let clock = Clock::start();
    (Told::new(clock.now().instant), clock)
}

#[test]
fn last_words_count_before_the_death() {
    for (words, expected) in [
        (&b"b"[..], End::Died),
        (&b"bsd"[..], End::Dismissed),
        (&b"bu"[..], End::Unreleased),
    ] {
        let (mut ward, mut daemon) = sleeper();
        daemon.write_all(words).unwrap();
        let child = ward.child.as_mut().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let (mut told, clock) = told();
        assert_eq!(ward.watch(&mut told, &clock).unwrap(), expected);
        assert_eq!(told.stopping, words.contains(&word::STOPPING));
    }
}

/// A file that was exchanged without a restart in place counts only for the next daemon.
#[test]
fn a_successor_runs_what_the_last_daemon_ran() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("daemon");
    std::fs::copy("/bin/cat", &program).unwrap();
    #[expect(clippy::disallowed_methods, reason = "stands for the daemon")]
    let mut child = Command::new(&program)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let (own, mut daemon) = UnixStream::pair().unwrap();
    let mut ward = Ward {
        pid: i32::try_from(child.id()).unwrap(),
        socket: own,
        child: None,
        stage: Stage::Serving,
    };
    let (mut told, clock) = told();
    assert_eq!(told.image(), None);
    std::fs::remove_file(&program).unwrap();
    std::fs::copy("/bin/true", &program).unwrap();
    daemon.write_all(b"bd").unwrap();
    assert_eq!(ward.watch(&mut told, &clock).unwrap(), End::Dismissed);
    drop(child.stdin.take());
    child.wait().unwrap();
    #[expect(clippy::disallowed_methods, reason = "stands for the successor")]
    let next = Command::new(told.image().unwrap())
        .arg("/dev/null")
        .output();
    assert!(next.unwrap().status.success());
    // `true` would have succeeded with any word.
    #[expect(clippy::disallowed_methods, reason = "stands for the successor")]
    let next = Command::new(told.image().unwrap()).arg("/no/such").output();
    assert!(!next.unwrap().status.success());
}

#[test]
fn a_successor_of_a_stopping_daemon_is_told_to_stop() {
    let (mut ward, mut daemon) = sleeper();
    daemon.write_all(b"b").unwrap();
    let (mut told, clock) = told();
    told.stopping = true;
    // The signal ends it: without it this would wait for ever.
    assert_eq!(ward.watch(&mut told, &clock).unwrap(), End::Died);
}

#[test]
fn a_daemon_that_does_not_beat_in_time_is_noticed() {
    let (mut ward, mut daemon) = sleeper();
    let (mut told, clock) = told();
    told.ended(clock.now().instant, None);
    daemon.write_all(b"=200;").unwrap();
    assert_eq!(ward.watch(&mut told, &clock).unwrap(), End::Silent);
    assert!(ward.lives());
    ward.end();
    while ward.lives() {
        std::thread::yield_now();
    }
    // A daemon that sends heartbeats is watched until it ends.
    let (mut ward, mut daemon) = sleeper();
    daemon.write_all(b"=200;bd").unwrap();
    assert_eq!(ward.watch(&mut told, &clock).unwrap(), End::Dismissed);
    ward.end();
}
