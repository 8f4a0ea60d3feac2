//! The lease of service addresses: a node that is stopped or hangs loses its address before the other node has it,
//! and no address is away for it while the node lives.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use super::death::{guardians, pid, wait_guardian};
use super::hang::hang;
use super::history::{address_changes, assert_never_two_owners};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, LONG, NODES, Pair, PairConfig};
use super::{OURS_OURS, SYSTOLE_OWNER, run};

const SYSTOLE: &str = env!("CARGO_BIN_EXE_systole");

/// From the last heartbeat to the end of a lease of a second: the lease, a tenth of a second to the renewal, a third
/// that the kernel takes, and what the records are late.
const GONE_WITHIN: f64 = 1.5;

/// A lease of a second: the longest for these times.
fn leased(kinds: [Kind; 2]) -> Pair {
    let mut config = PairConfig::new(kinds);
    config.times = "keepalive 200ms\nwarntime 1\ndeadtime 2\ninitdead 4\n".into();
    let pair = Pair::new(config);
    for node in NODES.iter().filter(|node| pair.kind(node).is_ours()) {
        set(&pair, node, "\"auto\"");
    }
    pair
}

fn set(pair: &Pair, node: &str, lease: &str) {
    let settings = pair.lab.dir(node).join("ha.d/systole.toml");
    fs::write(settings, format!("address_lease = {lease}\n")).expect("settings");
}

/// When a host had the address by the records of its kernel: from, to.
fn spans(pair: &Pair, node: &str) -> Vec<(f64, f64)> {
    let mut spans: Vec<(f64, f64)> = Vec::new();
    let mut has = false;
    for (at, added) in address_changes(&pair.lab, node, ADDRESS_1) {
        match (has, added) {
            (false, true) => spans.push((at, f64::INFINITY)),
            (true, false) => spans.last_mut().expect("begun").1 = at,
            _ => {}
        }
        has = added;
    }
    spans
}

/// Seconds during which both had it.
fn both(pair: &Pair) -> f64 {
    let [one, two] = NODES.map(|node| spans(pair, node));
    let pairs = one
        .iter()
        .flat_map(|a| two.iter().map(move |b| a.1.min(b.1) - a.0.max(b.0)));
    pairs.filter(|seconds| *seconds > 0.0).sum()
}

fn losses(pair: &Pair) -> usize {
    let changes = address_changes(&pair.lab, "node1", ADDRESS_1);
    changes.iter().filter(|(_, added)| !added).count()
}

fn signal(pair: &Pair, signal: &str, pids: &[String]) {
    let script = format!(
        "date +%Y-%m-%dT%H:%M:%S.%N; kill -{signal} {}",
        pids.join(" ")
    );
    pair.lab.sh("node1", &script);
}

fn wait_lease(pair: &Pair) {
    wait_until(LONG, "the address has a lease", || {
        let shown = pair.lab.sh("node1", "ip -o addr show dev eth0");
        let mut lines = shown.lines().filter(|line| line.contains(ADDRESS_1));
        lines.any(|line| line.contains("valid_lft 1sec") || line.contains("valid_lft 0sec"))
    });
}

/// Daemon and guardian are stopped. The other node takes over what nobody has any more. When they go on the node
/// yields, and the address does not come back there.
fn stopped(kinds: [Kind; 2]) {
    stopped_times(kinds, 1);
}

fn stopped_often(kinds: [Kind; 2]) {
    stopped_times(kinds, rounds());
}

fn stopped_times(kinds: [Kind; 2], times: usize) {
    let pair = leased(kinds);
    pair.start_settled();
    wait_guardian(&pair, "node1", &[]);
    wait_lease(&pair);
    for _ in 0..times {
        let had = spans(&pair, "node1").len();
        let mut all = guardians(&pair, "node1");
        all.push(pid(&pair, "node1"));
        signal(&pair, "STOP", &all);
        wait_until(LONG, "node2 alone has it", || {
            pair.owners(ADDRESS_1) == ["node2"] && pair.runs("node2", "a")
        });
        let lost = spans(&pair, "node1").last().expect("it had it").1;
        let taken = spans(&pair, "node2").last().expect("it has it").0;
        println!(
            "free for {:.3} s before the other node took it",
            taken - lost
        );
        assert!(lost < taken, "{:?} {:?}", lost, taken);
        signal(&pair, "CONT", &all);
        wait_until(LONG, "node1 yields", || !pair.runs("node1", "a"));
        sleep(Duration::from_secs(2));
        assert_eq!(
            spans(&pair, "node1").len(),
            had,
            "it came back for a moment"
        );
        assert_eq!(pair.owners(ADDRESS_1), ["node2"]);
        assert!(both(&pair) < f64::EPSILON, "{} s", both(&pair));
        if times > 1 {
            wait_until(LONG, "both are settled", || {
                let mut nodes = NODES.iter();
                nodes.all(|node| !["transition", ""].contains(&pair.holds(node).as_str()))
            });
            pair.obeys("hb_takeover", ADDRESS_1, "node1");
            wait_lease(&pair);
        }
    }
}

/// How often in the long tier: `LEASE_ROUNDS`, else 25.
fn rounds() -> usize {
    let rounds = std::env::var("LEASE_ROUNDS").ok();
    rounds.and_then(|it| it.parse().ok()).unwrap_or(25)
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_node_that_is_stopped_loses_its_address_first_ours_ours() {
    run("lease::stopped_ours_ours", OURS_OURS, stopped);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_node_that_is_stopped_loses_its_address_first_beside_legacy() {
    run("lease::stopped_systole_owner", SYSTOLE_OWNER, stopped);
}

/// The thread of the heartbeats hangs.
fn hangs(kinds: [Kind; 2]) {
    let pair = leased(kinds);
    pair.start_settled();
    wait_lease(&pair);
    hang(&pair, "membership");
    pair.wait_owner("node2", ADDRESS_1, "a");
    let taken = spans(&pair, "node2").last().expect("it has it").0;
    let lost = spans(&pair, "node1").last().expect("it had it").1;
    assert!(lost < taken);
    assert!(both(&pair) < f64::EPSILON, "{} s", both(&pair));
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_cluster_thread_that_hangs_renews_nothing() {
    run("lease::hangs", OURS_OURS, hangs);
}

/// While heartbeats leave the address is there: over restarts in place, the sudden death of the daemon, a freeze;
/// and it stays for ever when the setting is turned off.
fn goes_on(kinds: [Kind; 2]) {
    let pair = leased(kinds);
    pair.start_settled();
    wait_guardian(&pair, "node1", &[]);
    wait_lease(&pair);
    let status = || pair.lab.sh("node1", &format!("{SYSTOLE} status"));
    assert!(
        status().contains(&format!("LEASE  1 s; {ADDRESS_1}: renewed")),
        "{}",
        status()
    );
    let daemon = pair.daemon("node1");
    let again = |text: &str| {
        let before = pair.log_count("node1", "info: Heartbeat generation:");
        pair.lab.sh("node1", text);
        pair.wait_log_count("node1", "info: Heartbeat generation:", before + 1);
        pair.wait_holds("node1", "local");
    };
    again(&format!("touch /etc/ha.d/ha.cf; setsid {daemon} -r"));
    wait_lease(&pair);
    again("kill -9 $(cat /run/heartbeat.pid)");
    wait_lease(&pair);
    pair.lab.sh("node1", &format!("{SYSTOLE} freeze"));
    sleep(Duration::from_secs(3));
    pair.lab.sh("node1", &format!("{SYSTOLE} thaw"));
    set(&pair, "node1", "\"off\"");
    again(&format!("setsid {daemon} -r"));
    wait_until(LONG, "it stays for ever", || {
        let shown = pair.lab.sh("node1", "ip -o addr show dev eth0");
        let mut lines = shown.lines().filter(|line| line.contains(ADDRESS_1));
        lines.any(|line| line.contains("valid_lft forever"))
    });
    // One that does not fit.
    set(&pair, "node1", "2");
    again(&format!("setsid {daemon} -r"));
    pair.wait_log(
        "node1",
        "service addresses get no lease: a lease of 2 s does not fit",
    );
    let tested = pair.lab.exec("node1", &[&daemon, "-t"]);
    let tested = String::from_utf8_lossy(&tested.stderr).into_owned();
    assert!(
        tested.contains("none fits, with a longer deadtime one would")
            || tested.contains("1 s would fit"),
        "{tested}"
    );
    set(&pair, "node1", "1");
    again(&format!("setsid {daemon} -r"));
    wait_lease(&pair);
    assert_eq!(losses(&pair), 0, "it was away");
    assert!(!status().contains("RAN OUT"));
    pair.stop("node1");
    assert!(!pair.has_address("node1", ADDRESS_1));
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn an_address_with_a_lease_is_never_away_while_its_node_lives() {
    run("lease::goes_on", OURS_OURS, goes_on);
}

/// A node whose other node is not there gets its address back when it goes on, after a dead time in which it could
/// hear the other one; and at once if it was stopped for less than the dead time.
fn alone(kinds: [Kind; 2]) {
    let pair = leased(kinds);
    pair.start_settled();
    wait_lease(&pair);
    pair.stop("node2");
    let daemon = [pid(&pair, "node1")];
    signal(&pair, "STOP", &daemon);
    wait_until(LONG, "its lease runs out", || {
        !pair.has_address("node1", ADDRESS_1)
    });
    sleep(Duration::from_secs(2));
    signal(&pair, "CONT", &daemon);
    pair.wait_log("node1", "is gone: its lease ran out");
    pair.wait_log("node1", "was gone and is put back: its lease ran out");
    wait_lease(&pair);
    let ended: Vec<f64> = spans(&pair, "node1").iter().map(|(_, to)| *to).collect();
    let begun: Vec<f64> = spans(&pair, "node1")
        .iter()
        .map(|(from, _)| *from)
        .collect();
    assert!(
        begun[1] - ended[0] > 3.5,
        "not before a dead time: {begun:?} {ended:?}"
    );
    let why = pair.lab.sh("node1", &format!("{SYSTOLE} why"));
    assert!(why.contains("its lease ran out"), "{why}");
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_node_that_is_alone_gets_its_address_back() {
    run("lease::alone", OURS_OURS, alone);
}

/// From the last heartbeat to the end, as often as `LEASE_ROUNDS` says, ours and beside legacy.
fn often(kinds: [Kind; 2]) {
    let pair = leased(kinds);
    pair.start_settled();
    for _ in 0..rounds() {
        wait_lease(&pair);
        let all = [pid(&pair, "node1")];
        let stamp = pair.lab.sh(
            "node1",
            &format!("kill -STOP {}; date +%Y-%m-%dT%H:%M:%S.%N", all[0]),
        );
        let stopped = super::history::seconds_of_day(stamp.trim()).expect("a time");
        wait_until(LONG, "its lease runs out", || {
            !pair.has_address("node1", ADDRESS_1)
        });
        signal(&pair, "CONT", &all);
        let lost = spans(&pair, "node1").last().expect("it had it").1;
        println!("gone {:.3} s after the stop", lost - stopped);
        assert!(lost - stopped < GONE_WITHIN);
        wait_until(LONG, "it is back", || pair.has_address("node1", ADDRESS_1));
        sleep(Duration::from_millis(700));
    }
}

#[test]
#[ignore = "lab: long tier"]
fn long_leases_that_run_out_again_and_again() {
    run("lease::long_often", OURS_OURS, often);
}

#[test]
#[ignore = "lab: long tier"]
fn long_nodes_that_are_stopped_again_and_again_ours_ours() {
    run("lease::long_stopped_ours_ours", OURS_OURS, stopped_often);
}

#[test]
#[ignore = "lab: long tier"]
fn long_nodes_that_are_stopped_again_and_again_beside_legacy() {
    run(
        "lease::long_stopped_systole_owner",
        SYSTOLE_OWNER,
        stopped_often,
    );
}
