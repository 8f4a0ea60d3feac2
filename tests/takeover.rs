//! Start, takeover, failback and stop of two whole nodes.

mod common;

use common::scenario::Cluster;
use common::timeline::replay;
use systole::protocol::settings::AutoFailback;

const ON: AutoFailback = AutoFailback::On;

#[test]
fn as_recorded_cold_start_of_both() {
    replay("01-cold-start-both.tsv", ON, None);
}

#[test]
fn as_recorded_second_node_joins() {
    replay("02-cold-start-one-then-second-joins.tsv", ON, None);
}

#[test]
fn as_recorded_second_node_joins_without_failback() {
    replay(
        "03-second-joins-auto-failback-off.tsv",
        AutoFailback::Off,
        None,
    );
}

#[test]
fn as_recorded_death_and_return() {
    replay("05-kill9-and-return.tsv", ON, None);
}

#[test]
fn as_recorded_graceful_stop() {
    replay("06-graceful-stop.tsv", ON, None);
}

#[test]
fn cold_start_does_not_take_ten_seconds() {
    let mut cluster = Cluster::new(&["node1", "node2"], ON);
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(1_000);
    assert_eq!(cluster.holdings(), ["node1 local: a", "node2 local: b"]);
}

#[test]
fn split_brain_ends_with_one_owner() {
    let mut cluster = Cluster::settled_pair(ON);
    cluster.cut();
    cluster.run(10_000);
    assert_eq!(cluster.holdings(), ["node1 all: a b", "node2 all: a b"]);
    cluster.heal();
    cluster.run(20_000);
    assert_eq!(cluster.holdings(), ["node1 local: a", "node2 local: b"]);
}

#[test]
fn restart_within_deadtime_moves_nothing() {
    let mut cluster = Cluster::settled_pair(ON);
    cluster.kill("node1");
    cluster.run(1_000);
    cluster.boot("node1");
    cluster.run(5_000);
    assert_eq!(cluster.holdings(), ["node1 local: a", "node2 local: b"]);
    assert_eq!(cluster.run_by("node2"), [""; 0]);
}

#[test]
fn both_stop_at_once() {
    let mut cluster = Cluster::settled_pair(ON);
    cluster.stop("node1");
    cluster.stop("node2");
    cluster.run(5_000);
    assert!(!cluster.is_up("node1") && !cluster.is_up("node2"));
    for host in ["node1", "node2"] {
        assert_eq!(cluster.run_by(host), ["stop a", "stop b"]);
    }
}

#[test]
fn legacy_model_death_and_return() {
    let mut cluster = Cluster::new(&["node1", "node2"], AutoFailback::Legacy);
    cluster.boot("node1");
    cluster.run(15_000);
    assert_eq!(cluster.holdings(), ["node1 none: a b"]);
    cluster.boot("node2");
    cluster.run(5_000);
    assert_eq!(cluster.holdings(), ["node1 none: a", "node2 none: b"]);
    cluster.kill("node1");
    cluster.run(6_000);
    assert_eq!(cluster.holdings(), ["node2 none: a b"]);
    cluster.boot("node1");
    cluster.run(5_000);
    assert_eq!(cluster.holdings(), ["node1 none: a", "node2 none: b"]);
    assert_eq!(cluster.doubles, []);
}
