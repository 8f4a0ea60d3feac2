//! The defects of the legacy program that endanger data, one test per row of the table in
//! `docs/defects.md`, each with what Systole does instead. Whole nodes in virtual time; rows that
//! need a real process are in `tests/lab/defects.rs`, the smallest cases in
//! `src/resources/tests/defects.rs`.

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use common::scenario::Cluster;
use systole::config::environment::Machine;
use systole::config::load::{LoadOptions, Purpose};
use systole::inspect::load;
use systole::os::paths::Paths;
use systole::protocol::settings::AutoFailback;

const ON: AutoFailback = AutoFailback::On;
const OFF: AutoFailback = AutoFailback::Off;

const HOME: [&str; 2] = ["node1 local: a", "node2 local: b"];

/// Messages of one node that begin with `begin`.
fn said(cluster: &Cluster, host: &str, begin: &str) -> Vec<String> {
    let mut said = cluster.said_by(host);
    said.retain(|message| message.starts_with(begin));
    said
}

/// Complaints of one node that contain `text`.
fn complaints(cluster: &Cluster, host: &str, text: &str) -> usize {
    cluster
        .complaints
        .iter()
        .filter(|line| line.starts_with(host) && line.contains(text))
        .count()
}

#[test]
fn defect_01_node_returns_while_its_takeover_is_running() {
    let mut cluster = Cluster::settled_pair(ON);
    cluster
        .script_time
        .insert("a".to_owned(), Duration::from_secs(20));
    cluster.kill("node1");
    cluster.run(6_000);
    cluster.boot("node1");
    cluster.run(90_000);
    assert_eq!(cluster.holdings(), HOME);
    assert_eq!(cluster.doubles, []);
    // The failback waited for the end of the takeover.
    assert_eq!(cluster.run_by("node2"), ["start a", "stop a"]);
}

#[test]
fn defect_02_node_dies_while_releasing() {
    let mut cluster = Cluster::settled_pair(OFF);
    cluster
        .script_time
        .insert("a".to_owned(), Duration::from_secs(5));
    cluster.standby("node1", "all");
    cluster.run(2_000);
    assert!(said(&cluster, "node1", "resource none 0 standby").len() == 1);
    cluster.kill("node1");
    cluster.run(30_000);
    assert_eq!(cluster.holdings(), ["node2 all: a b"]);
    // It may have died because a stop failed: fencing is requested, not reported as unneeded.
    assert_eq!(
        said(&cluster, "node2", "stonith"),
        ["stonith node1 n_stnth"]
    );
}

/// We use no fencing device: nothing is tried again that could hit a node that is back.
#[test]
fn defect_03_node_returns_while_fencing_is_retried() {
    let mut cluster = Cluster::settled_pair(ON);
    cluster.kill("node1");
    cluster.run(10_000);
    assert_eq!(said(&cluster, "node2", "stonith").len(), 1);
    cluster.boot("node1");
    cluster.run(60_000);
    assert_eq!(
        said(&cluster, "node2", "stonith").len(),
        1,
        "once, and never for a living node"
    );
    assert_eq!(cluster.holdings(), HOME);
    assert_eq!(cluster.doubles, []);
    assert_eq!(cluster.reboots, [""; 0]);
}

/// Groups of three nodes are refused: at a start, by `-r` and when the daemon reads the files
/// itself. As a messaging layer the same nodes are accepted.
#[test]
fn defect_04_three_or_more_nodes() {
    let dir = tempfile::tempdir().expect("a directory");
    let paths = Paths::under(dir.path());
    std::fs::create_dir_all(&paths.ha_dir).expect("a directory");
    let put = |name: &str, text: &str| {
        let path = paths.ha_dir.join(name);
        std::fs::write(&path, text).expect("written");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, mode).expect("mode set");
    };
    put("nodeinfo", "node1\n");
    put("authkeys", "auth 1\n1 crc\n");
    put("haresources", "node1 10.0.0.100\n");
    put(
        "ha.cf",
        "logfile /dev/null\ndeadtime 10\nserial /dev/null\nnode node1 node2\nnode node3\n",
    );
    for (purpose, exit_code) in [
        (Purpose::Start, 6),
        (Purpose::Check, 6),
        (Purpose::Reload, 1),
    ] {
        let options = LoadOptions {
            purpose,
            ..LoadOptions::default()
        };
        let failure = load(&paths, &Machine, &options).expect_err("refused");
        assert_eq!(failure.exit_code, exit_code, "{purpose:?}");
        let said = failure.lines.iter().any(|line| {
            let line = line.to_string();
            line.contains("ha.cf:5: node: 3 nodes") && line.contains("Pacemaker")
        });
        assert!(said, "{:#?}", failure.lines);
    }
    let layer = LoadOptions {
        manage_resources: false,
        ..LoadOptions::default()
    };
    let loaded = load(&paths, &Machine, &layer).expect("a messaging layer");
    assert_eq!(loaded.config.nodes.len(), 3);
}

#[test]
fn defect_05_own_group_fails_to_start() {
    let mut cluster = Cluster::new(&["node1", "node2"], ON);
    cluster.break_group("node1", "a");
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(60_000);
    assert_eq!(cluster.holdings(), ["node1 none:", "node2 all: a b"]);
    assert_eq!(
        said(&cluster, "node1", "ask_resources local me").len(),
        1,
        "the set that failed, not the other"
    );
    assert_eq!(cluster.run_by("node2"), ["start b", "start a"]);
}

/// Down on both: it stays with the second node, the other groups run on, each node reports the
/// failure once, and a takeover tries it again when it is repaired.
#[test]
fn defect_05_a_group_that_starts_nowhere_is_not_thrown_back_and_forth() {
    let mut cluster = Cluster::new(&["node1", "node2"], ON);
    cluster.break_group("node1", "a");
    cluster.break_group("node2", "a");
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(3 * 3_600_000);
    let moves = cluster
        .messages
        .iter()
        .filter(|(_, message)| message.starts_with("ask_resources") && message.ends_with(" me"));
    assert_eq!(moves.count(), 1);
    assert_eq!(cluster.holdings(), ["node1 none:", "node2 all: b"]);
    assert!(!cluster.run_by("node2").contains(&"stop b".to_owned()));
    for (host, text) in [
        ("node1", "Giving up resources due to failure of a"),
        ("node2", "Giving up resources due to failure of a"),
        ("node2", "group a starts on neither node"),
    ] {
        assert_eq!(complaints(&cluster, host, text), 1, "{host}: {text}");
    }
    let tries = cluster.run_by("node2");
    let tries = tries.iter().filter(|line| *line == "start a").count();
    assert!(tries <= 24, "{tries} attempts in three hours");
    cluster.repair_group("node1", "a");
    cluster.takeover("node1", "local");
    cluster.run(3_000);
    assert_eq!(cluster.holdings(), HOME);
}

/// It ran well on the giver: a group that the operator moved to a node that cannot run it comes
/// back, once.
#[test]
fn defect_05_what_fails_only_on_the_taker_comes_back() {
    let mut cluster = Cluster::settled_pair(OFF);
    cluster.break_group("node2", "a");
    cluster.standby("node1", "local");
    cluster.run(60_000);
    assert_eq!(cluster.holdings(), HOME);
    assert_eq!(complaints(&cluster, "node2", "starts on neither node"), 0);
    cluster.run(3_600_000);
    assert_eq!(cluster.holdings(), HOME);
}

/// Every hand-over counts separately: the group ran on the giver each time, and is back at once,
/// not after half a minute.
#[test]
fn defect_05_what_fails_on_the_taker_comes_back_at_once_and_every_time() {
    let mut cluster = Cluster::settled_pair(OFF);
    cluster.break_group("node2", "a");
    for round in 1..=3 {
        cluster.standby("node1", "local");
        cluster.run(2_000);
        assert_eq!(cluster.holdings(), HOME, "round {round}");
        cluster.run(60_000);
        assert_eq!(cluster.holdings(), HOME, "round {round}");
    }
    assert_eq!(complaints(&cluster, "node2", "starts on neither node"), 0);
    // It has failed on both nodes now, and stays where it was given last.
    cluster.break_group("node1", "a");
    cluster.standby("node1", "local");
    cluster.run(60_000);
    assert_eq!(cluster.owners("a"), [""; 0]);
    assert_eq!(complaints(&cluster, "node1", "starts on neither node"), 1);
    cluster.repair_group("node2", "a");
    cluster.standby("node1", "local");
    cluster.run(2_000);
    assert_eq!(cluster.owners("a"), ["node2"]);
}

#[test]
fn defect_06_late_standby_request() {
    let mut cluster = Cluster::settled_pair(OFF);
    cluster.cut();
    cluster.standby("node1", "all");
    cluster.run(2_000);
    cluster.heal();
    cluster.run(100_000);
    assert_eq!(cluster.doubles, []);
    let holdings = cluster.holdings();
    assert!(
        !holdings.iter().any(|line| line.contains("transition")),
        "{holdings:?}"
    );
    // And the node that was asked can stop.
    cluster.stop("node2");
    cluster.run(10_000);
    assert!(!cluster.is_up("node2"));
    assert_eq!(cluster.holdings(), ["node1 all: a b"]);
}

#[test]
fn defect_07_one_node_cluster() {
    let mut cluster = Cluster::new(&["node1"], ON);
    cluster.boot("node1");
    cluster.run(2_000);
    assert_eq!(cluster.holdings(), ["node1 all: a"]);
    cluster.stop("node1");
    cluster.run(5_000);
    assert!(!cluster.is_up("node1"));
    assert_eq!(cluster.run_by("node1"), ["start a", "stop a"]);
}

#[test]
fn defect_09_frozen_node_wakes_up() {
    for frozen in ["node1", "node2"] {
        let mut cluster = Cluster::settled_pair(ON);
        cluster.freeze(frozen);
        cluster.run(10_000);
        let woken = cluster.now;
        cluster.thaw(frozen);
        cluster.run(60_000);
        assert_eq!(cluster.holdings(), HOME, "after {frozen} was frozen");
        let foreign = if frozen == "node1" {
            "start b"
        } else {
            "start a"
        };
        assert!(
            !cluster.run_by(frozen).contains(&foreign.to_owned()),
            "{frozen} judged others by its own sleep"
        );
        assert!(
            cluster.doubles.iter().all(|(at, _)| *at < woken),
            "begun after it woke: {:?}",
            cluster.doubles
        );
    }
}

/// The heartbeat that feeds a watchdog goes round until everything is released, so a hang is
/// noticed until then.
#[test]
fn defect_11_watchdog_is_fed_until_all_is_released() {
    let mut cluster = Cluster::settled_pair(OFF);
    cluster
        .script_time
        .insert("a".to_owned(), Duration::from_secs(20));
    cluster.own_beats.clear();
    cluster.stop("node1");
    let begun = cluster.now;
    cluster.run(19_000);
    assert!(cluster.is_up("node1"));
    let beats = |host: &str, cluster: &Cluster| {
        let of = |(_, name): &&(_, String)| name == host;
        cluster.own_beats.iter().filter(of).count()
    };
    assert!(
        beats("node1", &cluster) >= 36,
        "{}",
        beats("node1", &cluster)
    );
    cluster.run(30_000);
    assert!(!cluster.is_up("node1"));
    let last = cluster.own_beats.iter().rfind(|(_, name)| name == "node1");
    let (last, _) = last.unwrap();
    assert!(last.since(begun) > Duration::from_secs(20));
}

#[test]
fn defect_12_silent_within_its_announced_dead_time() {
    let mut cluster = Cluster::settled_pair(ON);
    cluster.announce_silence("node1", Duration::from_secs(20));
    cluster.run(1_000);
    cluster.freeze("node1");
    // Longer than the dead time of node2, but not longer than announced.
    cluster.run(6_000);
    cluster.thaw("node1");
    cluster.run(60_000);
    assert!(complaints(&cluster, "node2", "Late heartbeat: Node node1") <= 1);
    assert_eq!(said(&cluster, "node2", "stonith"), [""; 0]);
    assert_eq!(cluster.run_by("node2"), [""; 0]);
    assert_eq!(cluster.holdings(), HOME);
    assert_eq!(cluster.doubles, []);
}

#[test]
fn defect_13_peer_alive_but_without_reports() {
    let mut cluster = Cluster::new(&["node1", "node2"], ON);
    cluster.mute("node2", "resource");
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(20_000);
    assert_eq!(
        complaints(&cluster, "node1", "does not report its resources"),
        1
    );
    // A Systole node answers each question, so it is the network that loses the answers.
    assert_eq!(cluster.run_by("node1"), [""; 0]);
    cluster.run(60_000);
    assert_eq!(cluster.run_by("node1"), ["start a"]);
    assert_eq!(cluster.run_by("node2"), ["start b"]);
    // Nor does it delay a stop for an hour.
    cluster.stop("node1");
    cluster.run(40_000);
    assert!(!cluster.is_up("node1"));
    assert_eq!(cluster.doubles, []);
}
