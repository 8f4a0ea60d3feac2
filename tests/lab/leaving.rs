//! The first and the last seconds of a run.

use std::time::{Duration, Instant};

use super::history::{assert_never_two_owners, count};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, LONG, Pair, PairConfig};
use super::{OURS_OURS, SYSTOLE_OWNER, run};

/// `heartbeat -k` on the owner; how long it took. The other node serves, and never took the leaver for dead.
fn leaves(pair: &Pair) -> Duration {
    let daemon = pair.daemon("node1");
    let begin = Instant::now();
    let output = pair.lab.exec("node1", &[&daemon, "-k"]);
    let took = begin.elapsed();
    assert!(output.status.success(), "{output:?}");
    pair.wait_log("node2", "Received shutdown notice from 'node1'.");
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_holds("node2", "all");
    let log = pair.lab.log("node2");
    let notice = log.find("Received shutdown notice from 'node1'.");
    let dead = log.find("node node1: is dead");
    assert!(dead.is_none_or(|dead| Some(dead) > notice), "{log}");
    assert_never_two_owners(&pair.lab);
    took
}

/// A stop of ours used to wait twice for a second in any case, as a legacy one does.
fn quickly(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds).with_failback("on"));
    pair.start_settled();
    let took = leaves(&pair);
    assert!(took < Duration::from_secs(2), "{took:?}");
    // Nothing of it lasts: the node comes back at once.
    pair.start("node1");
    pair.wait_log_count("node1", "Local status now set to: 'active'", 2);
    pair.wait_holds("node1", "local");
    pair.wait_holds("node2", "local");
    assert_eq!(count(&pair.lab, "node1", "start", "a"), 2);
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_stop_ends_with_its_last_word_ours_ours() {
    run("leaving::quickly_ours_ours", OURS_OURS, quickly);
}

/// The other node has the last words although a third of everything is lost in both directions.
fn over_a_lossy_network(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds).with_failback("on");
    config.times = "keepalive 200ms\nwarntime 2\ndeadtime 4\ninitdead 10\n".into();
    let pair = Pair::new(config);
    pair.start_settled();
    for node in ["node1", "node2"] {
        pair.lab.loss(node, "eth0", 30);
    }
    leaves(&pair);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn the_last_words_arrive_over_a_lossy_network_ours_ours() {
    run("leaving::lossy_ours_ours", OURS_OURS, over_a_lossy_network);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn the_last_words_arrive_over_a_lossy_network_systole_owner() {
    run(
        "leaving::lossy_systole_owner",
        SYSTOLE_OWNER,
        over_a_lossy_network,
    );
}

/// Nobody acknowledges: the stop ends all the same.
#[test]
#[ignore = "lab: run by scripts/test"]
fn a_stop_waits_for_no_node_that_is_silent() {
    run("leaving::silent", OURS_OURS, |kinds| {
        let mut config = PairConfig::new(kinds);
        config.times = "keepalive 1\nwarntime 10\ndeadtime 30\ninitdead 60\n".into();
        let pair = Pair::new(config);
        pair.start_settled();
        pair.lab.link("node2", "eth0", false);
        let daemon = pair.daemon("node1");
        let output = pair.lab.exec("node1", &[&daemon, "-k"]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(pair.log_count("node1", "is dead"), 0);
    });
}

/// A stop that comes as soon as the pid file names the daemon: it is an orderly end, not a death by signal.
#[test]
#[ignore = "lab: run by scripts/test"]
fn a_stop_in_the_first_moment_of_a_start_is_heard() {
    run("leaving::first_moment", OURS_OURS, |kinds| {
        let pair = Pair::new(PairConfig::new(kinds));
        let script = format!(
            "for n in 1 2 3 4 5; do\n\
             {} -f >/dev/null 2>&1 &\n\
             until grep -qw $! /run/heartbeat.pid 2>/dev/null; do kill -0 $! || exit 9; done\n\
             kill -TERM $!; wait $!; echo $?\n\
             test -e /run/heartbeat.pid && echo left\n\
             done; exit 0",
            pair.daemon("node1")
        );
        let output = pair.lab.exec("node1", &["bash", "-c", &script]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said, "0\n".repeat(5), "{output:?}");
    });
}

/// Power loss of the owner as soon as it holds its group: its dead time is that of the pair, not the longer one that
/// legacy nodes are told soon after a start.
#[test]
#[ignore = "lab: run by scripts/test"]
fn an_owner_that_dies_in_its_first_seconds_is_dead_after_the_dead_time() {
    run("leaving::first_seconds", OURS_OURS, |kinds| {
        let pair = Pair::new(PairConfig::new(kinds).with_failback("on"));
        pair.start("node2");
        pair.wait_owner("node2", ADDRESS_1, "a");
        pair.wait_holds("node2", "all");
        let deaths = pair.log_count("node2", "node node1: is dead");
        pair.start("node1");
        wait_until(LONG, "node1 has its group", || pair.runs("node1", "a"));
        let dies = Instant::now();
        pair.lab.power_off("node1");
        pair.wait_log_count("node2", "node node1: is dead", deaths + 1);
        // Two seconds more would end later than this.
        assert!(
            dies.elapsed() < Duration::from_millis(3_600),
            "{:?}",
            dies.elapsed()
        );
        pair.wait_owner("node2", ADDRESS_1, "a");
        assert_never_two_owners(&pair.lab);
    });
}
