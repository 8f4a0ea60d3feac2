//! The daemon that releases three groups is killed in the middle: none of them runs on beside the
//! node that keeps them.

use std::time::{Duration, Instant};

use super::death::{pid, wait_guardian};
use super::history::{Call, assert_never_two_owners, calls};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, ADDRESS_2, LONG, NODES, Pair, PairConfig};
use super::successor::kill_for_the_third_time;
use super::{OURS_OURS, run};

/// Each of the groups: its address and its script.
const GROUPS: [(&str, &str); 3] = [(ADDRESS_1, "a"), (ADDRESS_2, "b"), ("10.77.0.102", "c")];

/// Milliseconds between the first stop script and the kill, in turn; a script takes a second.
const AFTER_MS: [u64; 6] = [200, 1300, 700, 1900, 400, 1600];

/// Pause between two deaths: a third within a minute would be another case.
const APART: Duration = Duration::from_secs(32);

/// How long the state must last.
const STAYS: Duration = Duration::from_secs(3);

/// Three rounds.
pub fn killed(kinds: [Kind; 2]) {
    rounds(kinds, 3);
}

/// The same, thirty times.
pub fn killed_often(kinds: [Kind; 2]) {
    rounds(kinds, 30);
}

fn rounds(kinds: [Kind; 2], count: usize) {
    let mut config = PairConfig::new(kinds);
    let line =
        |(address, name): &(&str, &str)| format!("node1 {address}/24/eth0 dummy::{name}::0::1\n");
    config.resources = GROUPS.iter().map(line).collect();
    let pair = Pair::new(config);
    pair.start_settled();
    settle(&pair, "at the start");
    for node in NODES.into_iter().filter(|node| pair.kind(node).is_ours()) {
        wait_guardian(&pair, node, &[]);
    }
    let mut killed = 0;
    let mut last: Option<Instant> = None;
    let mut tries = 0;
    while killed < count {
        tries += 1;
        assert!(
            tries <= 2 * count + 2,
            "nobody of ours lets go: {killed} of {tries}"
        );
        let delay = AFTER_MS[killed % AFTER_MS.len()];
        if let Some(last) = last.filter(|last| last.elapsed() < APART) {
            std::thread::sleep(APART.saturating_sub(last.elapsed()));
        }
        if round(&pair, delay) {
            killed += 1;
            last = Some(Instant::now());
        }
        settle(&pair, &format!("round {tries}, killed after {delay} ms"));
    }
    println!("{kinds:?}: {killed} kills in {tries} rounds");
}

/// Cut, both run everything, connected again: the first daemon that releases dies. `false`: it was
/// a legacy one, which restarts itself.
fn round(pair: &Pair, delay: u64) -> bool {
    pair.lab.link("node1", "eth0", false);
    wait_until(LONG, "both run everything", || {
        GROUPS.iter().all(|(address, name)| {
            pair.owners(address).len() == 2 && NODES.iter().all(|node| pair.runs(node, name))
        })
    });
    let before = calls(&pair.lab).len();
    pair.lab.link("node1", "eth0", true);
    let mut yields = String::new();
    wait_until(LONG, "one of the two lets go", || {
        let all = calls(&pair.lab);
        let stop = |call: &&Call| call.operation == "stop" && call.edge == "begin";
        let first = all.iter().skip(before).find(stop);
        yields = first.map(|call| call.host.clone()).unwrap_or_default();
        !yields.is_empty()
    });
    if !pair.kind(&yields).is_ours() {
        return false;
    }
    std::thread::sleep(Duration::from_millis(delay));
    let daemon = pid(pair, &yields);
    pair.lab.sh(&yields, &format!("kill -9 {daemon}"));
    wait_until(LONG, "another daemon", || {
        let now = pid(pair, &yields);
        !now.is_empty() && now != daemon
    });
    true
}

/// The node that runs everything, if exactly one does: addresses, marker files, and no running
/// script.
fn owner(pair: &Pair) -> Option<&'static str> {
    let owners = pair.owners(GROUPS[0].0);
    let &[owner] = owners.as_slice() else {
        return None;
    };
    let of = |node: &str, name: &str| pair.runs(node, name) == (node == owner);
    let alone = GROUPS.iter().all(|(address, name)| {
        pair.owners(address) == [owner] && NODES.iter().all(|node| of(node, name))
    });
    let at_work = |node: &&str| !pair.lab.sh(node, "pgrep -f resource.d/dummy").is_empty();
    (alone && !NODES.iter().any(at_work)).then_some(owner)
}

/// Waits until one node has everything and no Systole node is in transition, and checks that this
/// lasts.
fn settle(pair: &Pair, when: &str) {
    let ours = |node: &&&str| pair.kind(node).is_ours();
    let at_rest = || {
        let moving = |node: &&str| matches!(&*pair.holds(node), "transition" | "unknown" | "");
        owner(pair).is_some() && !NODES.iter().filter(ours).any(moving)
    };
    let mut since = Instant::now();
    wait_until(LONG, &format!("one owner of everything, {when}"), || {
        if !at_rest() {
            since = Instant::now();
        }
        since.elapsed() >= STAYS
    });
}

/// The program that releases everything is asked to end, as by a machine that shuts down: it goes
/// on.
fn release_is_asked_to_end(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.times = "keepalive 200ms\nwarntime 4\ndeadtime 12\ninitdead 12\n".into();
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a::0::4\n");
    let pair = Pair::new(config);
    pair.start_settled();
    let releasing = kill_for_the_third_time(&pair);
    pair.lab.sh("node1", &format!("kill -9 {releasing}"));
    let title = "pgrep -f '^heartbeat: releasin[g]'";
    wait_until(LONG, "the program that releases", || {
        !pair.lab.sh("node1", title).is_empty()
    });
    pair.wait_log("node1", "the daemon died again");
    let said = pair.lab.sh("node1", &format!("kill -TERM $({title})"));
    assert_eq!(said, "");
    pair.wait_log("node1", "guardian: all resources are released");
    assert!(!pair.runs("node1", "a") && !pair.has_address("node1", ADDRESS_1));
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_release_that_is_asked_to_end_goes_on() {
    run(
        "release::a_release_that_is_asked_to_end_goes_on",
        OURS_OURS,
        release_is_asked_to_end,
    );
}
