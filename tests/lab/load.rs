//! Much traffic and large groups: heartbeats must not be delayed.

use std::fs;
use std::time::Duration;

use super::OURS_OURS;
use super::history::assert_never_two_owners;
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, LONG, NODES, Pair, PairConfig};
use super::run;

/// Addresses of the large group: 10.9.9.0 to 10.9.9.255.
const ADDRESSES: usize = 256;

/// A program of `examples/`.
fn example(name: &str) -> String {
    let own = std::env::current_exe().expect("own path");
    let target = own.parent().and_then(|deps| deps.parent());
    let place = target.expect("target directory").join("examples");
    place.join(name).display().to_string()
}

/// Resident kB of the daemon.
fn resident_kb(pair: &Pair, node: &str) -> u64 {
    let status = pair.lab.sh(
        node,
        "set -- $(cat /run/heartbeat.pid); cat /proc/$1/status",
    );
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("the daemon lives")
}

/// Sends `count` hostile datagrams to node1 over the first network, `rate` a second (0: as fast as
/// possible). Returns how many were sent.
fn attack(pair: &Pair, count: u64, rate: u64) -> u64 {
    let (count, rate) = (count.to_string(), rate.to_string());
    let hostile = example("hostile");
    let words = [&hostile, "10.77.0.1", "694", &count, "7", "labkey", &rate];
    let output = pair.lab.exec("client", &words);
    assert!(output.status.success(), "{output:?}");
    let sent = String::from_utf8_lossy(&output.stdout);
    sent.trim().parse().expect("a number")
}

/// No node was late or dead, in either log, and node1 serves as before.
fn undisturbed(pair: &Pair) {
    for node in NODES {
        let log = pair.lab.log(node);
        for line in [
            "Late heartbeat",
            "is dead",
            "panicked",
            "local heartbeat was delayed",
        ] {
            assert_eq!(pair.log_count(node, line), 0, "{line} on {node}:\n{log}");
        }
    }
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    assert_never_two_owners(&pair.lab);
}

/// 100 000 hostile datagrams at 20 000 a second on the only medium of the peer: no heartbeat is
/// late on either side, and the daemon does not grow.
fn hostile_on_the_only_medium(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds));
    pair.start_settled();
    // The memory that a flood needs is allocated after the first part.
    assert!(attack(&pair, 10_000, 20_000) > 9_000);
    let before = resident_kb(&pair, "node1");
    assert!(attack(&pair, 100_000, 20_000) > 90_000);
    let after = resident_kb(&pair, "node1");
    assert!(after < before + 2048, "from {before} kB to {after} kB");
    undisturbed(&pair);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn hostile_on_the_only_medium_ours_ours() {
    run(
        "load::hostile_on_the_only_medium",
        OURS_OURS,
        hostile_on_the_only_medium,
    );
}

/// As many as the wire carries on one medium: a second one keeps both nodes alive.
fn full_speed_on_one_of_two_media(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds).with_two_cables());
    pair.start_settled();
    let before = resident_kb(&pair, "node1");
    assert!(attack(&pair, 400_000, 0) > 300_000);
    let after = resident_kb(&pair, "node1");
    assert!(after < before + 4096, "from {before} kB to {after} kB");
    undisturbed(&pair);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn full_speed_on_one_of_two_media_ours_ours() {
    run(
        "load::full_speed_on_one_of_two_media",
        OURS_OURS,
        full_speed_on_one_of_two_media,
    );
}

/// How many addresses of the large group a node has.
fn addresses(pair: &Pair, node: &str) -> usize {
    let text = pair.lab.sh(node, "ip -o -4 addr show");
    text.matches(" inet 10.9.9.").count()
}

fn wait_addresses(pair: &Pair, node: &str, count: usize) {
    let what = format!("{node} has {count} addresses");
    wait_until(LONG, &what, || addresses(pair, node) == count);
}

/// A group of 256 addresses is handed over and then taken over from a dead node: no heartbeat of
/// the taker or the giver is late.
fn large_group(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.times = "keepalive 200ms\nwarntime 600ms\ndeadtime 3\ninitdead 10\n".into();
    let all: Vec<String> = (0..ADDRESSES)
        .map(|number| format!("10.9.9.{number}/24/eth0"))
        .collect();
    config.resources = format!("node1 {}\n", all.join(" "));
    let pair = Pair::new(config);
    pair.start_both();
    pair.wait_active();
    wait_addresses(&pair, "node1", ADDRESSES);
    pair.wait_holds("node1", "local");
    pair.operator("node1", "hb_standby all");
    wait_addresses(&pair, "node2", ADDRESSES);
    wait_addresses(&pair, "node1", 0);
    pair.wait_holds("node2", "all");
    // Each has received the other all the time.
    for node in NODES {
        let log = pair.lab.log(node);
        assert_eq!(pair.log_count(node, "Late heartbeat"), 0, "{node}:\n{log}");
        assert_eq!(pair.log_count(node, "is dead"), 0, "{node}:\n{log}");
    }
    pair.lab.power_off("node2");
    wait_addresses(&pair, "node1", ADDRESSES);
    pair.wait_holds("node1", "all");
    let log = pair.lab.log("node1");
    assert_eq!(
        pair.log_count("node1", "local heartbeat was delayed"),
        0,
        "{log}"
    );
    // Announcements go on; the daemon is not busy with them.
    std::thread::sleep(Duration::from_millis(300));
    let record = pair.lab.shared().join("node1.addresses");
    let record = fs::read_to_string(record).expect("the record of addresses");
    let added = record.lines().filter(|line| line.contains(" inet 10.9.9."));
    let added = added.filter(|line| !line.contains("Deleted")).count();
    assert_eq!(added, 2 * ADDRESSES, "each was added once at a time");
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn large_group_ours_ours() {
    run("load::large_group", OURS_OURS, large_group);
}
