//! Every state of a row with every input, and the rules who fences when.

use std::time::Duration;

use super::row::WORDS;
use super::*;
use crate::protocol::fencing::Serves;

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn timing() -> Timing {
    Timing {
        keepalive: Duration::from_millis(500),
        deadtime: Duration::from_secs(4),
        warntime: Duration::from_secs(2),
        initdead: Duration::from_secs(12),
        deadping: Duration::from_secs(4),
        max_rexmit_delay: Duration::from_millis(250),
    }
}

/// A device for every node.
fn devices() -> FenceSettings {
    FenceSettings {
        reach: Reach::Everybody,
        ..FenceSettings::default()
    }
}

const SERVES: Standing = Standing {
    serves: true,
    other: Serves::Something,
    first: true,
    settled: true,
    hasty: false,
};

const RUN: Generation = Generation(7);

/// A machine that is called every half second, and what it wants done.
struct Bench {
    machine: Fencing,
    now_ms: u64,
    out: Vec<Output>,
    obstacle: Option<Obstacle>,
}

impl Bench {
    fn new() -> Self {
        Self::with(devices())
    }

    fn with(settings: FenceSettings) -> Self {
        let mut bench = Self {
            machine: Fencing::new(&timing(), settings),
            now_ms: 1_000,
            out: Vec::new(),
            obstacle: None,
        };
        bench.pass(1_000);
        bench
    }

    fn give(&mut self, input: Input) {
        let now = Monotonic::from_millis(self.now_ms);
        self.machine.handle(input, now, &mut self.out);
    }

    fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 500 {
            self.now_ms += 500;
            self.give(Input::Tick(self.obstacle));
        }
    }

    fn dies(&mut self, standing: Standing) {
        self.give(Input::Dead {
            node: name("b"),
            run: RUN,
            standing,
        });
        self.give(Input::Tick(self.obstacle));
    }

    fn answer(&mut self, order: u64, answer: FenceAnswer) {
        let order = FenceOrder(order);
        self.give(Input::Answered { order, answer });
    }

    fn confirm(&mut self) {
        let by = "root".to_owned();
        let node = name("b");
        self.give(Input::Confirmed { node, by });
    }

    fn heard(&mut self, run: u64) {
        let run = Generation(run);
        let node = name("b");
        self.give(Input::Heard { node, run });
    }

    /// What was done since the last call, in short words.
    fn did(&mut self) -> Vec<String> {
        let out = std::mem::take(&mut self.out);
        out.into_iter()
            .filter_map(|output| match output {
                Output::Fence { order, node, task } => Some(match task {
                    FenceTask::Reset => format!("fence {node} {}", order.0),
                    FenceTask::LearnEarlier => format!("learn {node} {}", order.0),
                }),
                Output::CallOff(order) => Some(format!("call off {}", order.0)),
                Output::Report { node, result } => Some(format!("{node} {result}")),
                Output::Cleared(node) => Some(format!("cleared {node}")),
                Output::Notice(notice) => Some(notice.severity().word().to_owned()),
                Output::Decided { .. } => None,
            })
            .collect()
    }

    fn state(&self) -> &'static str {
        self.machine.view().next().map_or("none", |row| row.state)
    }
}

fn failed() -> FenceAnswer {
    FenceAnswer::Failed("no route\nto the PDU".to_owned())
}

/// A bench whose only row is in this state. Order 1 is the last one given.
fn in_state(state: &str) -> Bench {
    let mut bench = Bench::new();
    if state == "waits" {
        bench.obstacle = Some(Obstacle::Frozen);
    }
    if state.starts_with("earlier") {
        bench.machine.go_on([name("b")]);
        bench.give(Input::Tick(None));
        assert_eq!(bench.did(), ["learn b 1"]);
    }
    if !["none", "earlier", "earlier, done", "earlier, lost"].contains(&state) {
        bench.dies(SERVES);
    }
    match state {
        "earlier, done" => bench.answer(1, FenceAnswer::Done),
        "earlier, lost" => bench.answer(1, failed()),
        "failed" => bench.answer(1, failed()),
        "fenced" => bench.answer(1, FenceAnswer::Done),
        _ => {}
    }
    assert!(state.starts_with(bench.state()), "{state}");
    bench.did();
    bench
}

/// A state, and for each input the state after it and what is done.
type Line<'a> = (&'a str, [(&'a str, &'a [&'a str]); 8]);

#[test]
fn every_state_with_every_input() {
    let nothing: &[&str] = &[];
    let crit: &[&str] = &["CRIT"];
    let warned: &[&str] = &["WARN"];
    let done: &[&str] = &["info", "b OK", "cleared b"];
    let fails: &[&str] = &["ERROR", "b bad", "ERROR", "ERROR"];
    let called_off: &[&str] = &["call off 1"];
    let confirmed: &[&str] = &["WARN", "b OK", "cleared b"];
    let confirmed_busy: &[&str] = &["call off 1", "WARN", "b OK", "cleared b"];
    let confirmed_early: &[&str] = &["call off 1", "WARN"];
    let table: [Line<'_>; 9] = [
        // dead, heard anew, heard in the same run, dropped, done, failed, confirmed, 5 s
        (
            "none",
            [
                ("fencing", &["fence b 1"]),
                ("none", nothing),
                ("none", nothing),
                ("none", nothing),
                ("none", nothing),
                ("none", nothing),
                ("none", warned),
                ("none", nothing),
            ],
        ),
        (
            "waits",
            [
                ("waits", nothing),
                ("none", nothing),
                ("none", nothing),
                ("none", nothing),
                ("waits", nothing),
                ("waits", nothing),
                ("fenced", confirmed),
                ("waits", nothing),
            ],
        ),
        (
            "fencing",
            [
                ("fencing", nothing),
                ("none", called_off),
                ("none", called_off),
                ("none", called_off),
                ("fenced", done),
                ("failed", fails),
                ("fenced", confirmed_busy),
                ("fencing", nothing),
            ],
        ),
        (
            "failed",
            [
                ("failed", nothing),
                ("none", nothing),
                ("none", nothing),
                ("none", nothing),
                ("failed", nothing),
                ("failed", nothing),
                ("fenced", confirmed),
                ("fencing", &["fence b 2"]),
            ],
        ),
        (
            "fenced",
            [
                ("fencing", &["fence b 2"]),
                ("none", nothing),
                ("none", crit),
                ("none", nothing),
                ("fenced", nothing),
                ("fenced", nothing),
                ("fenced", warned),
                ("fenced", nothing),
            ],
        ),
        (
            "earlier",
            [
                ("earlier", nothing),
                ("none", called_off),
                ("none", called_off),
                ("none", called_off),
                ("earlier, done", nothing),
                ("earlier, lost", nothing),
                ("earlier, done", confirmed_early),
                ("earlier", nothing),
            ],
        ),
        (
            "earlier, dead",
            [
                ("earlier", nothing),
                ("none", called_off),
                ("none", called_off),
                ("none", called_off),
                ("fenced", done),
                ("waits", nothing),
                ("fenced", confirmed_busy),
                ("earlier", nothing),
            ],
        ),
        (
            "earlier, done",
            [
                ("fenced", done),
                ("none", nothing),
                ("none", nothing),
                ("none", nothing),
                ("earlier, done", nothing),
                ("earlier, done", nothing),
                ("earlier, done", warned),
                ("earlier, done", nothing),
            ],
        ),
        (
            "earlier, lost",
            [
                ("fencing", &["fence b 2"]),
                ("none", nothing),
                ("none", nothing),
                ("none", nothing),
                ("earlier, lost", nothing),
                ("earlier, lost", nothing),
                ("earlier, done", warned),
                ("earlier, lost", nothing),
            ],
        ),
    ];
    let inputs: [fn(&mut Bench); 8] = [
        |bench| bench.dies(SERVES),
        |bench| bench.heard(8),
        |bench| bench.heard(7),
        |bench| bench.give(Input::Dropped(name("b"))),
        |bench| bench.answer(1, FenceAnswer::Done),
        |bench| bench.answer(1, failed()),
        Bench::confirm,
        |bench| bench.pass(5_000),
    ];
    for (state, row) in table {
        for (at, (input, (after, does))) in inputs.iter().zip(row).enumerate() {
            let mut bench = in_state(state);
            input(&mut bench);
            let words = format!("{state}, input {at}");
            assert_eq!(
                (bench.state(), bench.did()),
                (after, does.iter().map(|word| (*word).to_owned()).collect()),
                "{words}"
            );
        }
    }
}

#[test]
fn an_answer_counts_for_the_order_in_hand_only() {
    let mut bench = in_state("failed");
    bench.pass(5_000);
    assert_eq!(bench.did(), ["fence b 2"]);
    bench.answer(1, FenceAnswer::Done);
    assert_eq!((bench.state(), bench.did()), ("fencing", Vec::new()));
    bench.answer(2, FenceAnswer::Done);
    assert_eq!(bench.state(), "fenced");
}

#[test]
fn a_failed_attempt_is_repeated_every_five_seconds_without_end() {
    let mut bench = in_state("failed");
    for order in 2..20 {
        bench.pass(4_500);
        assert_eq!(bench.state(), "failed");
        bench.pass(500);
        assert_eq!(bench.did(), [format!("fence b {order}")]);
        bench.answer(order, failed());
        bench.did();
    }
    let row = bench.machine.view().next().unwrap();
    assert_eq!((row.attempts, row.words), (19, Some("no route to the PDU")));
}

/// The time from the verdict to the order. The machine is told each half second.
fn wait(standing: Standing) -> Duration {
    let mut bench = Bench::new();
    let begun = bench.now_ms;
    bench.dies(standing);
    while bench.did().is_empty() {
        bench.pass(500);
    }
    Duration::from_millis(bench.now_ms - begun)
}

#[test]
fn of_two_that_lose_each_other_one_waits() {
    let standing = |serves, other, first| Standing {
        serves,
        other,
        first,
        settled: true,
        hasty: false,
    };
    let secs = Duration::from_secs;
    use Serves::{Nothing, Something, Unknown};
    for (serves, other, first, waits) in [
        (true, Something, true, 0),
        (true, Unknown, true, 0),
        (true, Nothing, true, 0),
        (true, Nothing, false, 0),
        (true, Something, false, 5),
        (true, Unknown, false, 5),
        (false, Something, true, 10),
        (false, Something, false, 5),
        (false, Unknown, true, 10),
        (false, Unknown, false, 5),
        (false, Nothing, true, 10),
        (false, Nothing, false, 5),
    ] {
        let words = format!("{serves} {other:?} {first}");
        assert_eq!(wait(standing(serves, other, first)), secs(waits), "{words}");
    }
    // Whatever each believes of the other (a node may claim what it does not run, and without reports
    // it always does): the two never wait equally long, and one that serves goes before one that does
    // not.
    let beliefs = [Something, Nothing, Unknown];
    for (one, two) in [(true, true), (true, false), (false, true), (false, false)] {
        for (of_two, of_one) in beliefs
            .into_iter()
            .flat_map(|it| beliefs.map(|other| (it, other)))
        {
            if one && two && of_one == Nothing {
                // It would have to run what it has reported as not held.
                continue;
            }
            let first = wait(standing(one, of_two, true));
            let second = wait(standing(two, of_one, false));
            let words = format!("{one} {of_two:?} {two} {of_one:?}");
            assert!(first.abs_diff(second) >= secs(5), "{words}");
            assert!(one == two || (first < second) == one, "{words}");
        }
    }
}

/// A legacy node shoots at once: beside one that may live, both would.
#[test]
fn beside_a_legacy_node_this_one_always_waits() {
    for serves in [true, false] {
        for other in [Serves::Something, Serves::Unknown] {
            for first in [true, false] {
                let standing = Standing {
                    serves,
                    other,
                    first,
                    settled: true,
                    hasty: true,
                };
                assert!(wait(standing) >= Duration::from_secs(5), "{standing:?}");
            }
        }
    }
}

#[test]
fn a_node_that_has_not_settled_waits_as_one_that_starts_alone() {
    let standing = Standing {
        settled: false,
        ..SERVES
    };
    assert_eq!(wait(standing), timing().initdead);
}

#[test]
fn the_delay_is_longer_than_the_slowest_answer() {
    let mut bench = Bench::new();
    assert_eq!(bench.machine.delay(), MIN_DELAY);
    bench.give(Input::AnswerTook(Duration::from_secs(9)));
    bench.give(Input::AnswerTook(Duration::from_secs(1)));
    assert_eq!(bench.machine.delay(), Duration::from_secs(11));
    let settings = FenceSettings {
        delay: Some(Duration::from_secs(3)),
        ..devices()
    };
    let set = Fencing::new(&timing(), settings);
    assert_eq!(set.delay(), Duration::from_secs(3));
}

/// A node that stood still may be the one that the other has declared dead.
#[test]
fn a_node_that_was_stopped_or_starved_waits_a_dead_time() {
    let mut bench = Bench::new();
    bench.now_ms += 1_500;
    bench.dies(SERVES);
    bench.pass(3_500);
    assert_eq!((bench.state(), bench.did()), ("waits", Vec::new()));
    bench.pass(500);
    assert_eq!(bench.did(), ["fence b 1"]);
}

#[test]
fn nothing_is_fenced_while_something_is_in_the_way() {
    for obstacle in [Obstacle::Frozen, Obstacle::Releases, Obstacle::CutOff] {
        let mut bench = Bench::new();
        bench.obstacle = Some(obstacle);
        bench.dies(SERVES);
        bench.pass(60_000);
        assert_eq!((bench.state(), bench.did()), ("waits", Vec::new()));
        assert_eq!(bench.machine.next_deadline(), None);
        bench.obstacle = None;
        bench.pass(500);
        assert_eq!(bench.did(), ["fence b 1"]);
    }
}

/// Nothing is reset by a node that is frozen, cut off or releases everything, also when the order was
/// given before.
#[test]
fn what_gets_in_the_way_calls_an_order_off() {
    for obstacle in [Obstacle::Frozen, Obstacle::Releases, Obstacle::CutOff] {
        let mut bench = in_state("fencing");
        bench.obstacle = Some(obstacle);
        bench.pass(10_000);
        assert_eq!(
            (bench.state(), bench.did()),
            ("waits", vec!["call off 1".to_owned()])
        );
        bench.answer(1, FenceAnswer::Done);
        assert_eq!((bench.state(), bench.did()), ("waits", Vec::new()));
        bench.obstacle = None;
        bench.pass(500);
        assert_eq!(bench.did(), ["fence b 2"]);
        for (state, then) in [("earlier", "earlier, lost"), ("earlier, dead", "waits")] {
            let mut bench = in_state(state);
            bench.obstacle = Some(obstacle);
            bench.pass(500);
            let did = vec!["call off 1".to_owned()];
            assert_eq!((bench.state(), bench.did()), (then, did), "{state}");
        }
    }
}

/// A timer that follows the deadlines alone gives every order in time, and never runs in a circle.
#[test]
fn the_deadline_is_when_the_next_order_is_given() {
    let mut bench = Bench::new();
    let first = Standing {
        serves: false,
        first: false,
        ..SERVES
    };
    bench.dies(first);
    let at = bench.machine.next_deadline().unwrap();
    assert_eq!(at, Monotonic::from_millis(bench.now_ms + 5_000));
    bench.pass(5_000);
    assert_eq!(bench.did(), ["fence b 1"]);
    assert_eq!(bench.machine.next_deadline(), None);
    bench.answer(1, failed());
    let at = bench.machine.next_deadline().unwrap();
    assert_eq!(at, Monotonic::from_millis(bench.now_ms + 5_000));
}

/// A person's word is no answer of a device: nothing is said about the device later.
#[test]
fn a_node_that_was_confirmed_and_lives_is_no_fault_of_the_device() {
    let mut bench = in_state("failed");
    bench.confirm();
    bench.did();
    bench.heard(7);
    assert_eq!((bench.state(), bench.did()), ("none", Vec::new()));
}

/// A node that held nothing, while groups run here: nothing waits for it, and it is tried once.
#[test]
fn a_precaution_is_tried_once() {
    let idle = Standing {
        other: Serves::Nothing,
        ..SERVES
    };
    let mut bench = Bench::new();
    bench.dies(idle);
    assert_eq!(bench.did(), ["fence b 1"]);
    assert!(!bench.machine.is_waited_for(&name("b")));
    bench.answer(1, failed());
    assert_eq!(bench.did(), ["ERROR", "b bad"]);
    bench.pass(60_000);
    assert_eq!((bench.state(), bench.did()), ("none", Vec::new()));
    // What could not be ordered soon is dropped: people may work on it by now.
    for (frozen_ms, does) in [(4_500, &["fence b 1"][..]), (6_000, &[])] {
        let mut bench = Bench::new();
        bench.obstacle = Some(Obstacle::Frozen);
        bench.dies(idle);
        bench.pass(frozen_ms);
        bench.obstacle = None;
        bench.pass(500);
        assert_eq!(bench.did(), does, "{frozen_ms}");
    }
    let mut bench = Bench::new();
    bench.dies(idle);
    bench.heard(8);
    assert_eq!(bench.did(), ["fence b 1", "call off 1"]);
}

/// The process that ordered the reset is gone, and its program lives on. The other process declares
/// the node dead anew, and does not reset it a second time.
#[test]
fn a_reset_that_an_earlier_process_ordered_counts_once() {
    // Done before the new verdict, after it, and heard in the meantime.
    let mut bench = in_state("earlier");
    bench.answer(1, FenceAnswer::Done);
    assert_eq!(bench.machine.nodes().count(), 0, "not declared dead yet");
    bench.pass(4_000);
    bench.dies(SERVES);
    assert_eq!(bench.did(), ["info", "b OK", "cleared b"]);
    let mut bench = in_state("earlier, dead");
    assert!(bench.machine.is_waited_for(&name("b")));
    bench.pass(60_000);
    bench.answer(1, FenceAnswer::Done);
    assert_eq!(bench.did(), ["info", "b OK", "cleared b"]);
    bench.heard(7);
    assert_eq!(bench.did(), ["CRIT"], "its verdict was of that run");
    // Nobody knows what became of it: a new order, after a new wait.
    let mut bench = in_state("earlier, dead");
    bench.answer(1, failed());
    bench.pass(500);
    assert_eq!(bench.did(), ["fence b 2"]);
    let mut bench = in_state("earlier");
    bench.answer(1, failed());
    bench.dies(SERVES);
    assert_eq!(bench.did(), ["fence b 2"]);
}

/// What an earlier process has ordered is asked for whatever stands in the way of a new order.
#[test]
fn an_earlier_reset_is_asked_for_at_once() {
    let mut bench = Bench::new();
    bench.obstacle = Some(Obstacle::Frozen);
    bench.now_ms += 5_000;
    bench.machine.go_on([name("b")]);
    bench.give(Input::Tick(bench.obstacle));
    assert_eq!(bench.did(), ["learn b 1"]);
}

fn by_watchdog(reach: Reach) -> FenceSettings {
    FenceSettings {
        reach,
        by_watchdog: Some(Duration::from_secs(20)),
        ..FenceSettings::default()
    }
}

/// Without a device nothing is ordered: the node counts as reset when the time is over, whatever
/// this node may not do meanwhile.
#[test]
fn a_node_counts_as_reset_when_its_watchdog_must_have_fired() {
    for obstacle in [None, Some(Obstacle::Frozen)] {
        let mut bench = Bench::with(by_watchdog(Reach::Nobody));
        bench.obstacle = obstacle;
        let begun = bench.now_ms;
        bench.dies(SERVES);
        let over = Monotonic::from_millis(begun + 20_000);
        assert_eq!(bench.machine.next_deadline(), Some(over));
        bench.pass(19_500);
        assert_eq!((bench.state(), bench.did()), ("waits", Vec::new()));
        assert!(bench.machine.is_waited_for(&name("b")));
        let row = bench.machine.view().next().unwrap();
        assert_eq!((row.next, row.counts), (None, Some(over)));
        bench.pass(500);
        assert_eq!(bench.did(), ["WARN", "b OK", "cleared b"]);
        assert_eq!(bench.machine.next_deadline(), None);
        bench.heard(7);
        assert_eq!(bench.did(), ["CRIT"], "its watchdog has not fired");
    }
    let mut bench = Bench::with(by_watchdog(Reach::Nobody));
    bench.dies(SERVES);
    bench.pass(19_500);
    bench.heard(7);
    bench.pass(10_000);
    assert_eq!((bench.state(), bench.did()), ("none", Vec::new()));
}

/// Beside a device whichever comes first counts.
#[test]
fn the_time_of_the_watchdog_counts_beside_a_device() {
    for (state, does) in [
        ("fencing", &["call off 1", "WARN", "b OK", "cleared b"][..]),
        ("failed", &["WARN", "b OK", "cleared b"][..]),
    ] {
        let mut bench = Bench::with(by_watchdog(Reach::Everybody));
        bench.dies(SERVES);
        assert_eq!(bench.did(), ["fence b 1"]);
        bench.pass(15_500);
        if state == "failed" {
            bench.answer(1, failed());
            bench.did();
        }
        bench.pass(4_000);
        assert_eq!((bench.state(), bench.did()), (state, Vec::new()));
        bench.pass(500);
        assert_eq!(bench.did(), does);
    }
    let mut bench = Bench::with(by_watchdog(Reach::Everybody));
    bench.dies(SERVES);
    bench.answer(1, FenceAnswer::Done);
    bench.did();
    bench.pass(60_000);
    assert_eq!((bench.state(), bench.did()), ("fenced", Vec::new()));
    // It counts from the verdict of this process.
    let mut bench = Bench::with(by_watchdog(Reach::Nobody));
    bench.machine.go_on([name("b")]);
    bench.pass(60_000);
    bench.dies(SERVES);
    bench.pass(19_500);
    assert_eq!(bench.did(), ["learn b 1"]);
    bench.pass(500);
    assert_eq!(bench.did(), ["call off 1", "WARN", "b OK", "cleared b"]);
}

#[test]
fn two_nodes_have_rows_of_their_own() {
    let mut bench = Bench::new();
    for node in ["b", "c"] {
        bench.give(Input::Dead {
            node: name(node),
            run: RUN,
            standing: SERVES,
        });
    }
    bench.give(Input::Tick(None));
    assert_eq!(bench.did(), ["fence b 1", "fence c 2"]);
    bench.answer(2, FenceAnswer::Done);
    assert_eq!(bench.did(), ["info", "c OK", "cleared c"]);
    assert!(bench.machine.is_waited_for(&name("b")) && !bench.machine.is_waited_for(&name("c")));
}

#[test]
fn the_words_of_a_device_are_one_short_line() {
    let line = one_line(&format!("a\u{1b}[31m\r\n{}", "x".repeat(10_000)));
    assert!(!line.chars().any(char::is_control) && line.len() <= WORDS);
    assert_eq!(one_line(" \n"), "no words");
}
