//! Stops with obstacles, with whole nodes in virtual time.
//! Spec: docs/protocol/resources.md, 11.

mod common;

use std::time::Duration;

use common::scenario::Cluster;
use systole::protocol::settings::AutoFailback;
use systole::simulator::ids::{NODE1, NODE2};

const OFF: AutoFailback = AutoFailback::Off;
const HOUR: u64 = 3_600_000;

/// The script is ended after `script_time_limit_s`, an hour by default; at that time legacy cuts a
/// stop off. The next attempt succeeds. If the node ended at the limit, it would leave the group
/// running and the peer would start it as well.
#[test]
fn a_stop_script_that_hangs_for_an_hour_is_waited_for() {
    let mut cluster = Cluster::settled_pair(OFF);
    let hour = Duration::from_millis(HOUR);
    cluster.script_time.insert("b".to_owned(), hour);
    cluster.stop("node2");
    cluster.run(5_000);
    cluster.script_time.clear();
    cluster.run(HOUR - 10_000);
    assert!(cluster.is_up("node2"));
    cluster.run(HOUR);
    assert_eq!(cluster.doubles, [], "{:?}", cluster.complaints);
    assert!(!cluster.is_up("node2"));
    assert_eq!(cluster.holdings(), ["node1 all: a b"]);
}

/// No other node may take what a node still runs: it logs that every hour, and goes on sending
/// heartbeats.
#[test]
fn a_node_that_cannot_stop_its_groups_never_falls_silent() {
    let mut cluster = Cluster::settled_pair(OFF);
    let day = Duration::from_millis(24 * HOUR);
    cluster.script_time.insert("b".to_owned(), day);
    cluster.stop("node2");
    cluster.run(HOUR + 60_000);
    assert!(cluster.is_up("node2"));
    assert_eq!(cluster.owners("b"), ["node2"]);
    assert_eq!(cluster.run_by("node1"), [""; 0]);
    let said = |line: &&String| line.contains("groups that may run: b. ");
    let lines = cluster.complaints.iter().filter(said).count();
    assert_eq!(lines, 1, "{:?}", cluster.complaints);
    let late = cluster.own_beats.iter().rev().map(|(at, _)| *at);
    assert!(
        late.take(1)
            .all(|at| cluster.now.since(at) < Duration::from_secs(1))
    );
}

/// A stop is requested while a takeover of slow groups runs: the start in hand comes to its end,
/// those after it are not begun, and nothing is left running.
#[test]
fn a_stop_during_a_slow_takeover_starts_nothing_more_and_leaves_nothing() {
    let lines = [(NODE1, "a"), (NODE1, "c"), (NODE1, "d"), (NODE2, "b")];
    let mut cluster = Cluster::with_groups(lines, OFF);
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(20_000);
    for group in ["a", "c", "d"] {
        let slow = Duration::from_secs(1500);
        cluster.script_time.insert(group.to_owned(), slow);
    }
    cluster.kill("node1");
    cluster.run(10_000);
    assert_eq!(cluster.run_by("node2").last().unwrap(), "start a");
    cluster.forget();
    cluster.stop("node2");
    cluster.run(2 * HOUR);
    assert!(!cluster.is_up("node2"), "{:?}", cluster.complaints);
    assert_eq!(
        cluster.run_by("node2"),
        ["stop a", "stop c", "stop d", "stop b"]
    );
    assert!(
        ["a", "b", "c", "d"]
            .iter()
            .all(|group| cluster.owners(group).is_empty())
    );
}

/// The node receives its peer and is not received: communication does not come up, and the stop
/// ends all the same, after initdead and half a minute.
#[test]
fn a_stop_of_a_node_that_hears_and_is_not_heard_comes_to_its_end() {
    let mut cluster = Cluster::settled_pair(OFF);
    cluster.kill("node2");
    cluster.run(60_000);
    cluster.lose(|from, _, _| from == "node2");
    cluster.boot("node2");
    cluster.run(60_000);
    cluster.stop("node2");
    cluster.run(41_000);
    assert!(cluster.is_up("node2"));
    cluster.run(5_000);
    assert!(!cluster.is_up("node2"));
    assert_eq!(cluster.holdings(), ["node1 all: a b"]);
}
