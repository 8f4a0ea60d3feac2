//! The rows of the defect table (`docs/defects.md`) that need real processes.

use super::history::{assert_never_two_owners, calls, count};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, ADDRESS_2, LONG, NODES, Pair, PairConfig};
use super::{LEGACY_OWNER, OURS_OURS, SYSTOLE_OWNER, death, run};

/// Legacy: the resources stay up unguarded while the peer takes over.
#[test]
#[ignore = "lab: run by scripts/test"]
fn defect_08_daemon_dies_alone_systole_owner() {
    row_8("defect_08::systole_owner", SYSTOLE_OWNER);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn defect_08_daemon_dies_alone_ours_ours() {
    row_8("defect_08::ours_ours", OURS_OURS);
}

fn row_8(name: &str, kinds: [Kind; 2]) {
    run(name, kinds, death::killed);
}

/// node1 loses its power and is back, a full member, while node2's slow takeover still runs.
fn back_within_the_takeover(kinds: [Kind; 2]) -> Pair {
    let mut config = PairConfig::new(kinds).with_failback("on");
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a::8\n");
    let pair = Pair::new(config);
    pair.start_settled();
    pair.lab.power_off("node1");
    wait_until(LONG, "the takeover is under way", || {
        count(&pair.lab, "node2", "start", "a") == 1
    });
    pair.lab.power_on("node1");
    pair.start("node1");
    pair.wait_log_count("node1", "Local status now set to: 'active'", 2);
    pair
}

/// A node that is back before its slow takeover has ended.
fn row_1(kinds: [Kind; 2]) {
    let pair = back_within_the_takeover(kinds);
    assert!(!pair.runs("node2", "a"), "it returned in time");
    pair.wait_owner("node1", ADDRESS_1, "a");
    for node in NODES {
        pair.wait_holds(node, "local");
        assert_eq!(pair.log_count(node, "Both machines own"), 0);
    }
    assert_never_two_owners(&pair.lab);
    assert_eq!(count(&pair.lab, "node2", "start", "a"), 1);
    assert_eq!(count(&pair.lab, "node2", "stop", "a"), 1);
}

/// The survivor is legacy and has the defect: both run the group when its slow start ends. Two
/// legacy nodes stay in this state; Systole notices it, releases and acquires its groups again.
fn row_1_legacy_survivor(kinds: [Kind; 2]) {
    let pair = back_within_the_takeover(kinds);
    wait_until(LONG, "the slow start has ended", || {
        let calls = calls(&pair.lab);
        calls
            .iter()
            .any(|call| call.host == "node2" && call.operation == "start" && call.edge == "end")
    });
    pair.wait_owner("node1", ADDRESS_1, "a");
    for node in NODES {
        pair.wait_holds(node, "local");
    }
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    assert!(!pair.runs("node2", "a"));
}

/// The giver of a standby dies while it releases: its announcement does not count as a release.
fn row_2(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a::0::9\n");
    let pair = Pair::new(config);
    pair.start_settled();
    pair.operator("node1", "hb_standby all");
    wait_until(LONG, "the release is under way", || {
        count(&pair.lab, "node1", "stop", "a") == 1
    });
    let unfenced = pair.log_count("node2", "No STONITH device configured.");
    pair.lab.power_off("node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_holds("node2", "all");
    assert_eq!(
        pair.log_count("node2", "No STONITH device configured."),
        unfenced + 1,
        "{}",
        pair.lab.log("node2")
    );
    assert_never_two_owners(&pair.lab);
}

/// An own group does not start: the other node gets it.
fn row_5(kinds: [Kind; 2]) {
    let pair = with_failing_group(kinds, &["node1"]);
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_holds("node2", "all");
    pair.wait_holds("node1", "none");
    undisturbed(&pair);
}

/// It starts nowhere: it stays down, and each node reports that once, until a takeover finds it
/// repaired.
fn row_5_nowhere(kinds: [Kind; 2]) {
    let pair = with_failing_group(kinds, &NODES);
    pair.wait_log("node2", "starts on neither node");
    pair.wait_holds("node2", "all");
    pair.wait_holds("node1", "none");
    undisturbed(&pair);
    for node in NODES {
        // In addition to the line that legacy logs for the run of the script.
        let log = pair.lab.log(node);
        let told = log
            .lines()
            .filter(|line| line.contains("heartbeat: ["))
            .filter(|line| line.contains("CRIT: Giving up resources due to failure of dummy::a"));
        assert_eq!(told.count(), 1, "{log}");
        assert_eq!(pair.owners(ADDRESS_1), [""; 0]);
        let flag = pair.lab.shared().join(format!("fail-a-{node}"));
        std::fs::remove_file(flag).expect("the flag");
    }
    pair.operator("node1", "hb_takeover local");
    pair.wait_owner("node1", ADDRESS_1, "a");
    for node in NODES {
        pair.wait_holds(node, "local");
    }
    undisturbed(&pair);
}

/// It ran on the giver and fails on the taker: it comes back each time, not only the first time.
fn row_5_back(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds));
    let flag = pair.lab.shared().join("fail-a-node2");
    std::fs::write(flag, "").expect("the flag");
    pair.start_settled();
    for round in 1..=2 {
        pair.operator("node1", "hb_standby local");
        wait_until(LONG, "node2 tries", || {
            count(&pair.lab, "node2", "start", "a") == round
        });
        pair.wait_owner("node1", ADDRESS_1, "a");
        for node in NODES {
            pair.wait_holds(node, "local");
        }
        assert_eq!(count(&pair.lab, "node1", "start", "a"), round + 1);
    }
    assert_eq!(pair.log_count("node2", "starts on neither node"), 0);
    assert_never_two_owners(&pair.lab);
}

fn with_failing_group(kinds: [Kind; 2], on: &[&str]) -> Pair {
    let pair = Pair::new(PairConfig::new(kinds).with_second_group());
    for node in on {
        let flag = pair.lab.shared().join(format!("fail-a-{node}"));
        std::fs::write(flag, "").expect("the flag");
    }
    pair.start_both();
    pair.wait_active();
    pair.wait_log("node1", "Giving up resources due to failure of dummy::a");
    pair
}

/// The other node's group ran all the time.
fn undisturbed(pair: &Pair) {
    assert_eq!(pair.owners(ADDRESS_2), ["node2"]);
    assert!(pair.runs("node2", "b"));
    assert_eq!(count(&pair.lab, "node2", "start", "b"), 1);
    assert_eq!(count(&pair.lab, "node2", "stop", "b"), 0);
    assert_never_two_owners(&pair.lab);
}

/// Legacy gives its own group away while it still takes ours over, and starts it again after that
/// without reporting it. We give it back.
fn starts_behind_a_takeover(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.resources =
        format!("node1 {ADDRESS_1}/24/eth0 dummy::a\nnode2 {ADDRESS_2}/24/eth0 dummy::b::30\n");
    let pair = Pair::new(config);
    pair.start("node1");
    wait_until(LONG, "node1 takes over", || {
        count(&pair.lab, "node1", "start", "b") == 1
    });
    pair.start("node2");
    pair.wait_holds("node2", "none");
    // An `hb_takeover` here would wait for the same scripts.
    pair.operator("node1", "hb_standby local");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert!(!pair.runs("node1", "b"), "the takeover goes on");
    assert_eq!(count(&pair.lab, "node1", "start", "a"), 0);
    wait_until(LONG, "node1 starts what it has given away", || {
        count(&pair.lab, "node1", "start", "a") > 0
    });
    pair.wait_log("node2", "the other node has ended a takeover");
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_holds("node2", "none");
    pair.wait_holds("node1", "all");
}

macro_rules! tests {
    ($($name:ident: $kinds:ident $row:ident;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            run(concat!("defects::", stringify!($name)), $kinds, $row)
        }
    )* };
}

tests! {
    defect_01_node_returns_during_its_takeover_legacy_owner: LEGACY_OWNER row_1;
    long_defect_01_node_returns_to_a_legacy_survivor: SYSTOLE_OWNER row_1_legacy_survivor;
    long_defect_01_node_returns_during_its_takeover_ours_ours: OURS_OURS row_1;
    long_legacy_starts_behind_a_takeover_what_it_has_given: LEGACY_OWNER starts_behind_a_takeover;
    defect_02_node_dies_while_releasing_legacy_owner: LEGACY_OWNER row_2;
    long_defect_02_node_dies_while_releasing_ours_ours: OURS_OURS row_2;
    defect_05_own_group_fails_to_start_systole_owner: SYSTOLE_OWNER row_5;
    defect_05_own_group_starts_nowhere_ours_ours: OURS_OURS row_5_nowhere;
    long_defect_05_own_group_fails_to_start_ours_ours: OURS_OURS row_5;
    defect_05_what_fails_on_the_taker_comes_back_ours_ours: OURS_OURS row_5_back;
    long_defect_05_what_fails_on_the_taker_comes_back_legacy_owner: LEGACY_OWNER row_5_back;
}
