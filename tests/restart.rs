//! A daemon that begins a new generation in place, because it was told to or because its guardian
//! started it again, with whole nodes in virtual time. Spec: docs/protocol/membership.md, 9.3.

mod common;

use common::scenario::Cluster;
use systole::protocol::settings::AutoFailback;
use systole::simulator::ids::NODE1;

const ON: AutoFailback = AutoFailback::On;
const OFF: AutoFailback = AutoFailback::Off;

/// A group does not start; before it is moved or tried again the daemon restarts in place. The
/// cause of the failure is removed meanwhile.
#[test]
fn a_group_that_failed_is_tried_again_after_a_restart_in_place() {
    let mut cluster = Cluster::new(&["node1", "node2"], ON);
    cluster.break_group("node1", "a");
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(25_000);
    assert_eq!(cluster.owners("a"), [""; 0]);
    assert_eq!(cluster.node("node1").rscstatus(), Some("local"));
    cluster.repair_group("node1", "a");
    cluster.revive("node1");
    cluster.run(30_000);
    assert_eq!(cluster.owners("a"), ["node1"], "{:?}", cluster.complaints);
}

/// One that still does not start goes to the other node as it would have without the restart.
#[test]
fn a_group_that_fails_again_after_a_restart_in_place_is_moved() {
    let mut cluster = Cluster::new(&["node1", "node2"], OFF);
    cluster.break_group("node1", "a");
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(25_000);
    cluster.revive("node1");
    cluster.run(90_000);
    assert_eq!(cluster.owners("a"), ["node2"], "{:?}", cluster.complaints);
}

/// Runs for some seconds; the gateway answers these hosts.
fn run_with_gateway(cluster: &mut Cluster, seconds: u64, answered: &[&str]) {
    for _ in 0..seconds * 2 {
        for host in answered {
            cluster.answer_ping(host);
        }
        cluster.run(500);
    }
}

fn cut_off_pair() -> Cluster {
    let mut cluster = Cluster::new(&["node1", "node2"], OFF);
    cluster.with_gateway();
    cluster.boot("node1");
    cluster.boot("node2");
    run_with_gateway(&mut cluster, 20, &["node1", "node2"]);
    cluster.cut();
    run_with_gateway(&mut cluster, 30, &["node2"]);
    assert!(cluster.node("node1").is_cut_off());
    assert_eq!(cluster.holdings(), ["node1 none:", "node2 all: a b"]);
    cluster
}

/// A node has released everything because it is cut off. Its daemon restarts in place, or is
/// started again.
#[test]
fn a_node_that_is_cut_off_takes_nothing_after_a_restart_in_place() {
    let mut cluster = cut_off_pair();
    cluster.revive("node1");
    cluster.forget();
    run_with_gateway(&mut cluster, 60, &["node2"]);
    assert_eq!(cluster.doubles, []);
    assert_eq!(cluster.holdings(), ["node1 none:", "node2 all: a b"]);
    assert!(cluster.node("node1").is_cut_off());
    // It takes part again as it would have without the restart.
    cluster.heal();
    run_with_gateway(&mut cluster, 60, &["node1", "node2"]);
    assert_eq!(cluster.doubles, []);
    assert!(!cluster.node("node1").is_cut_off());
    assert_eq!(cluster.holdings(), ["node1 none:", "node2 all: a b"]);
    cluster.kill("node2");
    run_with_gateway(&mut cluster, 10, &["node1"]);
    assert_eq!(cluster.holdings(), ["node1 all: a b"]);
}

/// Its ping node answers again and the peer does not come back: it takes everything.
#[test]
fn a_node_that_was_cut_off_and_restarted_takes_everything_when_a_ping_node_answers() {
    let mut cluster = cut_off_pair();
    cluster.revive("node1");
    run_with_gateway(&mut cluster, 30, &["node2"]);
    cluster.kill("node2");
    run_with_gateway(&mut cluster, 10, &["node1"]);
    assert_eq!(cluster.holdings(), ["node1 all: a b"]);
}

/// A daemon begins a new generation during a cut, which ends after the other node has taken its
/// groups. No ping node answers it. Only the other node can report who holds the groups, so the
/// daemon waits for that node alone. Either of the two may be received first.
#[test]
fn a_node_that_goes_on_with_its_groups_asks_the_node_that_has_taken_them_and_waits_for_no_ping_node()
 {
    for later in 0..5 {
        let mut cluster = Cluster::new(&["node1", "node2"], OFF);
        cluster.with_gateway();
        cluster.boot("node1");
        cluster.boot("node2");
        run_with_gateway(&mut cluster, 20, &["node1", "node2"]);
        cluster.cut();
        cluster.run(250);
        cluster.revive("node2");
        run_with_gateway(&mut cluster, 5, &["node1"]);
        assert_eq!(cluster.owners("b"), ["node1", "node2"], "cut and not known");
        cluster.run(later * 100);
        cluster.heal();
        run_with_gateway(&mut cluster, 3, &["node1"]);
        assert_eq!(cluster.owners("b").len(), 1, "{:?}", cluster.holdings());
    }
}

/// A node that serves alone, its peer and its ping node dead for long, serves on.
#[test]
fn a_node_that_serves_alone_serves_on_after_a_restart_in_place() {
    let mut cluster = Cluster::new(&["node1", "node2"], OFF);
    cluster.with_gateway();
    cluster.boot("node1");
    cluster.boot("node2");
    run_with_gateway(&mut cluster, 20, &["node1", "node2"]);
    cluster.kill("node2");
    run_with_gateway(&mut cluster, 30, &["node1"]);
    cluster.run(30_000);
    assert_eq!(cluster.holdings(), ["node1 all: a b"]);
    cluster.forget();
    cluster.revive("node1");
    cluster.run(60_000);
    assert_eq!(cluster.holdings(), ["node1 all: a b"]);
    assert_eq!(cluster.run_by("node1"), [""; 0]);
}

/// One direction is cut, and the daemon that is not received is killed and started again by its
/// guardian, before the other takes over and long after.
#[test]
fn a_restarted_node_that_is_not_received_and_learns_that_it_was_declared_dead_releases() {
    for taken in [false, true] {
        let mut cluster = Cluster::settled_pair(OFF);
        if taken {
            cluster.cut();
            cluster.run(30_000);
            cluster.heal();
        }
        cluster.lose(|from, _, _| from == "node1");
        cluster.revive("node1");
        cluster.run(120_000);
        let seen = (cluster.holdings(), &cluster.complaints);
        assert_eq!(cluster.owners("a"), ["node2"], "taken {taken}: {seen:?}");
        assert_eq!(cluster.owners("b"), ["node2"], "taken {taken}: {seen:?}");
    }
}

/// Both run the three groups of node1, which was cut off; when they are connected again, one
/// yields: its first group is being stopped.
fn pair_that_yields(model: AutoFailback, panics: bool) -> (Cluster, &'static str) {
    let lines = ["a", "b", "c"].map(|group| (NODE1, group));
    let mut cluster = Cluster::with_groups(lines, model);
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(30_000);
    cluster.cut();
    cluster.run(20_000);
    assert_eq!(cluster.owners("c"), ["node1", "node2"]);
    for group in ["a", "b", "c"] {
        let slow = std::time::Duration::from_secs(3);
        cluster.script_time.insert(group.to_owned(), slow);
    }
    cluster.forget();
    if panics {
        cluster.panics = ["node1", "node2"].map(str::to_owned).into();
    }
    cluster.heal();
    cluster.run(2_000);
    cluster.panics.clear();
    let yields = ["node1", "node2"]
        .into_iter()
        .find(|host| cluster.run_by(host).contains(&"stop a".to_owned()));
    (cluster, yields.expect("one of them lets go"))
}

/// It dies there: its successor stops the remaining groups.
#[test]
fn a_daemon_that_is_killed_in_the_middle_of_a_release_releases_everything() {
    for model in [ON, OFF, AutoFailback::Legacy] {
        let (mut cluster, yields) = pair_that_yields(model, false);
        let before = cluster.withdrawn.len();
        cluster.revive(yields);
        let at_once = cluster.withdrawn.len() > before;
        assert!(at_once, "{model:?}: addresses are not withdrawn");
        cluster.run(120_000);
        let serves = if yields == "node1" { "node2" } else { "node1" };
        let serves = if model == OFF { serves } else { "node1" };
        for group in ["a", "b", "c"] {
            let seen = (cluster.holdings(), &cluster.complaints);
            assert_eq!(cluster.owners(group), [serves], "{model:?}: {seen:?}");
        }
    }
}

/// The core panics in the call that decides it: its orders are lost.
#[test]
fn a_core_that_panics_when_it_begins_a_release_releases_everything() {
    for model in [ON, OFF, AutoFailback::Legacy] {
        let (mut cluster, _) = pair_that_yields(model, true);
        cluster.run(120_000);
        for group in ["a", "b", "c"] {
            let seen = (cluster.holdings(), &cluster.complaints);
            assert_eq!(
                cluster.owners(group).len(),
                1,
                "{model:?} {group}: {seen:?}"
            );
        }
        let holdings = cluster.holdings();
        let settled = !holdings.iter().any(|line| line.contains("transition"));
        assert!(settled, "{model:?}: {holdings:?}");
    }
}
