//! Two nodes receive each other again while one of them is being stopped, with whole nodes in
//! virtual time. Spec: docs/protocol/membership.md, 16.3; docs/protocol/resources.md, 11.

mod common;

use std::time::Duration;

use common::scenario::Cluster;
use systole::protocol::settings::AutoFailback;
use systole::simulator::ids::NODE1;

const OFF: AutoFailback = AutoFailback::Off;

/// A node that is being stopped was frozen for longer than its dead time, or learns in another way
/// that it was declared dead: it removes its addresses at once, however long its scripts take.
#[test]
fn a_stopping_node_that_was_suspended_removes_its_addresses_at_once() {
    for stops in [false, true] {
        let mut cluster = Cluster::settled_pair(OFF);
        let slow = Duration::from_secs(600);
        cluster.script_time.insert("b".to_owned(), slow);
        if stops {
            cluster.stop("node2");
            cluster.run(1_000);
        }
        cluster.freeze("node2");
        cluster.run(8_000);
        assert_eq!(cluster.owners("b"), ["node2"]);
        cluster.thaw("node2");
        cluster.run(1_000);
        let by = cluster.withdrawn.iter().map(|(_, host)| host.as_str());
        let by: Vec<_> = by.collect();
        assert_eq!(
            by,
            ["node2"],
            "stops {stops}: b is on {:?}",
            cluster.owners("b")
        );
    }
}

#[test]
fn a_stopping_node_that_learns_that_it_was_declared_dead_removes_its_addresses_at_once() {
    let mut cluster = Cluster::settled_pair(OFF);
    let slow = Duration::from_secs(600);
    cluster.script_time.insert("b".to_owned(), slow);
    cluster.stop("node2");
    cluster.run(1_000);
    cluster.lose(|from, _, _| from == "node2");
    cluster.run(10_000);
    assert_eq!(cluster.withdrawn.len(), 1);
    assert_eq!(cluster.withdrawn[0].1, "node2");
}

/// The node that must yield after a cut is just being stopped: it cannot begin a new run, and its
/// messages about the stop were lost. The other node serves on.
#[test]
fn the_node_that_keeps_after_a_cut_waits_for_the_stop_of_the_other() {
    let mut cluster = Cluster::settled_pair(OFF);
    let slow = Duration::from_secs(20);
    cluster.script_time.insert("b".to_owned(), slow);
    cluster.cut();
    cluster.run(40_000);
    cluster.stop("node2");
    cluster.run(1_000);
    cluster.heal();
    cluster.forget();
    cluster.run(120_000);
    assert_eq!(cluster.run_by("node1"), [""; 0], "{:?}", cluster.complaints);
    assert_eq!(cluster.holdings(), ["node1 all: a b"]);
}

/// The same where the node that is being stopped served, and would keep its groups by the rule.
#[test]
fn a_node_that_is_being_stopped_keeps_nothing_after_a_cut() {
    let mut cluster = Cluster::settled_pair(OFF);
    cluster.standby("node2", "all");
    cluster.run(10_000);
    assert_eq!(cluster.holdings(), ["node1 all: a b", "node2 none:"]);
    let slow = Duration::from_secs(20);
    cluster.cut();
    cluster.run(40_000);
    cluster.script_time.insert("b".to_owned(), slow);
    cluster.stop("node1");
    cluster.run(1_000);
    cluster.heal();
    cluster.forget();
    cluster.run(120_000);
    assert_eq!(cluster.run_by("node2"), [""; 0], "{:?}", cluster.complaints);
    assert_eq!(cluster.holdings(), ["node2 all: a b"]);
}

/// It sends `shutdone` right after the heal: then nothing is contested any more.
#[test]
fn the_node_that_keeps_after_a_cut_goes_on_when_the_other_has_left() {
    let mut cluster = Cluster::settled_pair(OFF);
    let slow = Duration::from_millis(700);
    cluster.script_time.insert("b".to_owned(), slow);
    cluster.cut();
    cluster.run(40_000);
    cluster.stop("node2");
    cluster.run(300);
    cluster.heal();
    cluster.forget();
    cluster.run(120_000);
    assert!(cluster.said_by("node2").contains(&"shutdone".to_owned()));
    assert_eq!(cluster.run_by("node1"), [""; 0], "{:?}", cluster.complaints);
    assert_eq!(cluster.holdings(), ["node1 all: a b"]);
}

/// One group of `node1`, `auto_failback on`; the heartbeats of the nodes are `apart` ms apart.
fn pair_of_one_group(apart: u64) -> Cluster {
    let mut cluster = Cluster::with_groups([(NODE1, "a")], AutoFailback::On);
    cluster.boot("node1");
    cluster.run(apart);
    cluster.boot("node2");
    cluster.run(20_000);
    cluster.forget();
    cluster
}

/// Both are cut off for about the dead time, so that perhaps only one has declared the other dead,
/// and receive each other again at every moment of the takeover. A new generation needs a cause:
/// one heal is one cause.
#[test]
fn a_heal_costs_each_node_at_most_one_generation() {
    let mut many = Vec::new();
    for lost in [4_000, 4_020, 4_040, 4_260, 4_280, 4_300] {
        for deaf in [None, Some("node1"), Some("node2")] {
            for script in [20, 300] {
                let mut cluster = pair_of_one_group(250);
                let time = Duration::from_millis(script);
                cluster.script_time.insert("a".to_owned(), time);
                let generations =
                    |cluster: &Cluster| ["node1", "node2"].map(|host| cluster.generation(host));
                let before = generations(&cluster);
                cluster.lose(move |_, to, _| deaf.is_none_or(|deaf| deaf == to));
                cluster.run(lost);
                cluster.lose(|_, _, _| false);
                cluster.run(20_000);
                let begun = generations(&cluster);
                let begun = [begun[0] - before[0], begun[1] - before[1]];
                if begun[0] > 1 || begun[1] > 1 {
                    many.push(format!(
                        "lost {lost} deaf {deaf:?} script {script}: {begun:?}"
                    ));
                }
                assert_eq!(cluster.owners("a").len(), 1, "lost {lost} deaf {deaf:?}");
            }
        }
    }
    assert_eq!(many, [""; 0]);
}

/// The standby node does not receive the owner, takes over, and the group does not start there. The
/// owner released the group when it learned that it was declared dead; no node serves, and each
/// heartbeat tells the owner so.
#[test]
fn an_owner_that_is_not_received_takes_again_groups_that_do_not_start_at_the_deaf_node() {
    for heals_early in [false, true] {
        let mut cluster = Cluster::settled_pair(OFF);
        cluster.break_group("node2", "a");
        cluster.lose(|from, _, _| from == "node1");
        cluster.run(25_000);
        let seen = |cluster: &Cluster| {
            let owners = ["a", "b"].map(|group| cluster.owners(group));
            (
                owners,
                format!("{:?} {:#?}", cluster.holdings(), cluster.complaints),
            )
        };
        let (owners, why) = seen(&cluster);
        assert_eq!(owners, [["node1"], ["node2"]], "{why}");
        if !heals_early {
            // The next attempt of the deaf node succeeds: one owner again, the node that does not
            // receive.
            cluster.repair_group("node2", "a");
            cluster.run(60_000);
            let (owners, why) = seen(&cluster);
            assert_eq!(owners, [["node2"], ["node2"]], "{why}");
        }
        cluster.lose(|_, _, _| false);
        cluster.run(60_000);
        let (owners, why) = seen(&cluster);
        if heals_early {
            assert_eq!(owners, [["node1"], ["node2"]], "{why}");
            assert_eq!(cluster.holdings(), ["node1 local: a", "node2 local: b"]);
        } else {
            assert_eq!(owners, [["node2"], ["node2"]], "{why}");
            assert_eq!(cluster.holdings(), ["node1 none:", "node2 all: a b"]);
        }
    }
}

/// The same, and the owner ran everything: nothing of either half starts at the deaf node.
#[test]
fn an_owner_of_everything_that_is_not_received_takes_everything_again() {
    let mut cluster = Cluster::settled_pair(OFF);
    cluster.standby("node2", "all");
    cluster.run(5_000);
    for group in ["a", "b"] {
        cluster.break_group("node2", group);
    }
    cluster.lose(|from, _, _| from == "node1");
    cluster.run(25_000);
    for group in ["a", "b"] {
        assert_eq!(
            cluster.owners(group),
            ["node1"],
            "{:#?}",
            cluster.complaints
        );
    }
    cluster.lose(|_, _, _| false);
    cluster.run(120_000);
    for group in ["a", "b"] {
        assert_eq!(
            cluster.owners(group),
            ["node1"],
            "{:#?}",
            cluster.complaints
        );
    }
    let holdings = cluster.holdings();
    let settled = !holdings.iter().any(|line| line.contains("transition"));
    assert!(settled, "{holdings:?}");
}
