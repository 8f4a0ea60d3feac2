//! Isolation release: a node that is cut off from its peer and from the ping node releases
//! everything.

use std::fs;
use std::time::{Duration, Instant};

use super::history::{Span, address_changes, assert_never_two_owners, calls, spans};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, ADDRESS_2, LONG, NODES, Pair, PairConfig};
use super::{LEGACY_OWNER, OURS_OURS, SYSTOLE_OWNER, run};

/// The ping node: the lab's bridge.
const GATE: &str = "10.77.0.254";
/// Seconds: the margin before the dead time.
const KEEPALIVE: f64 = 0.5;

/// A settled pair that pings the gate and, where it is Systole, releases when it is cut off.
fn settled(kinds: [Kind; 2], resources: &str) -> Pair {
    let mut config = PairConfig::new(kinds);
    config.media = format!("bcast eth0\nping {GATE}");
    config.times = "keepalive 500ms\nwarntime 1\ndeadtime 3\ninitdead 10\n".into();
    config.resources = resources.into();
    let pair = Pair::new(config);
    for node in NODES {
        let settings = pair.lab.dir(node).join("ha.d/systole.toml");
        fs::write(settings, "isolation_release = \"on\"\n").expect("settings");
    }
    pair.start_both();
    pair.wait_active();
    wait_address(&pair, &["node1"]);
    for node in NODES {
        pair.wait_holds(node, "local");
        pair.wait_log(node, &format!("Link {GATE}:{GATE} up."));
    }
    pair
}

fn addresses_only() -> String {
    format!("node1 {ADDRESS_1}/24/eth0\nnode2 {ADDRESS_2}/24/eth0\n")
}

/// Waits until exactly these nodes have the address of node1's group.
fn wait_address(pair: &Pair, nodes: &[&str]) {
    wait_until(LONG, &format!("{ADDRESS_1} on {nodes:?}"), || {
        pair.owners(ADDRESS_1) == nodes
    });
}

fn let_pass(time: Duration) {
    std::thread::sleep(time);
}

fn switch(pair: &Pair, up: bool) {
    let state = if up { "up" } else { "down" };
    let lab = pair.lab.name();
    pair.lab
        .command(&["switch", lab, "ip", "link", "set", "br0", state]);
}

/// Longest time in which both had the address, in seconds.
fn overlap(pair: &Pair) -> f64 {
    let spans_of = |node| -> Vec<(f64, f64)> {
        let mut spans: Vec<(f64, f64)> = Vec::new();
        for (at, added) in address_changes(&pair.lab, node, ADDRESS_1) {
            match (added, spans.last_mut()) {
                (true, Some(last)) if last.1.is_infinite() => {}
                (true, _) => spans.push((at, f64::INFINITY)),
                (false, Some(last)) => last.1 = at,
                (false, None) => {}
            }
        }
        spans
    };
    let (one, other) = (spans_of("node1"), spans_of("node2"));
    let both = |a: &(f64, f64), b: &(f64, f64)| a.1.min(b.1) - a.0.max(b.0);
    let pairs = one
        .iter()
        .flat_map(|a| other.iter().map(move |b| both(a, b)));
    pairs.fold(0.0, f64::max)
}

fn assert_short_overlap(pair: &Pair) {
    let seconds = overlap(pair);
    println!("two owners for {seconds:.3} s");
    assert!(seconds <= KEEPALIVE + 0.1, "two owners for {seconds} s");
}

/// One owner of each address and no node in transition, for some keepalives. A legacy node that
/// returns stops and starts itself once more meanwhile.
fn assert_one_owner(pair: &Pair) {
    let mut since = None;
    wait_until(LONG, "one owner of each address, for good", || {
        let addresses = [ADDRESS_1, ADDRESS_2];
        let one = addresses.into_iter().all(|it| pair.owners(it).len() == 1);
        let settled = |node| !["transition", "unknown"].contains(&pair.holds(node).as_str());
        if !one || !NODES.into_iter().all(settled) {
            since = None;
            return false;
        }
        since.get_or_insert_with(Instant::now).elapsed() >= Duration::from_secs(3)
    });
    for node in NODES {
        assert_eq!(pair.log_count(node, "panicked"), 0);
    }
}

/// The cable of the owner is unplugged: it releases in time, the other acquires; the cable is
/// connected again: one owner without a person.
fn owner_cut_off(kinds: [Kind; 2]) {
    let pair = settled(kinds, &addresses_only());
    pair.lab.link("node1", "eth0", false);
    pair.wait_log("node1", "isolated: ");
    wait_address(&pair, &["node2"]);
    pair.wait_holds("node1", "none");
    assert_short_overlap(&pair);
    let_pass(Duration::from_secs(3));
    assert_eq!(pair.owners(ADDRESS_1), ["node2"]);
    assert_eq!(pair.owners(ADDRESS_2), ["node2"], "nothing was taken");
    pair.lab.link("node1", "eth0", true);
    pair.wait_log("node1", "no longer isolated");
    assert_one_owner(&pair);
    // At its return a legacy node treats the groups that it served as its own and releases them
    // later.
    if pair.config.kinds == OURS_OURS {
        assert_short_overlap(&pair);
    }
}

/// The switch dies: no node serves. It works again: one owner. It dies again, and meanwhile the
/// other node too: the remaining node takes everything once the ping node has answered for a while.
fn all_lost_and_back(kinds: [Kind; 2]) {
    let pair = settled(kinds, &addresses_only());
    switch(&pair, false);
    for node in NODES {
        pair.wait_log(node, "isolated: ");
    }
    wait_address(&pair, &[]);
    for node in NODES {
        pair.wait_holds(node, "none");
    }
    switch(&pair, true);
    assert_one_owner(&pair);
    assert_short_overlap(&pair);
    for node in NODES {
        pair.wait_holds(node, "local");
    }
    switch(&pair, false);
    for node in NODES {
        pair.wait_holds(node, "none");
    }
    pair.lab.power_off("node2");
    switch(&pair, true);
    wait_address(&pair, &["node1"]);
    pair.wait_holds("node1", "all");
    assert_eq!(pair.owners(ADDRESS_2), ["node1"]);
    pair.wait_log("node1", "a ping node answers, node2 is still dead");
    // The ping node is lost while the peer is already dead: nothing is released.
    let seen = pair.log_count("node1", "isolated: ");
    switch(&pair, false);
    pair.wait_log_count("node1", &format!("node {GATE}: is dead"), 3);
    let_pass(Duration::from_secs(4));
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    assert_eq!(pair.log_count("node1", "isolated: "), seen);
}

/// Only the path between the two is cut: both still reach the ping node, so the situation looks
/// like a death. Both take everything, as documented; when they are connected again, one releases.
fn only_the_peer_lost(kinds: [Kind; 2]) {
    let pair = settled(kinds, &addresses_only());
    for node in NODES {
        pair.lab
            .command(&["block", pair.lab.name(), node, "eth0", "udp dport 694"]);
    }
    wait_address(&pair, &NODES);
    for node in NODES {
        pair.wait_holds(node, "all");
        assert_eq!(pair.log_count(node, "isolated"), 0);
    }
    for node in NODES {
        pair.lab
            .command(&["block", pair.lab.name(), node, "eth0", ""]);
    }
    assert_one_owner(&pair);
}

/// A group whose script takes 10 s to stop: its address is removed in time, the script overlaps.
fn slow_stop(kinds: [Kind; 2]) {
    let resources =
        format!("node1 {ADDRESS_1}/24/eth0 dummy::a::0::10\nnode2 {ADDRESS_2}/24/eth0\n");
    let pair = settled(kinds, &resources);
    pair.lab.link("node1", "eth0", false);
    wait_address(&pair, &["node2"]);
    pair.wait_holds("node1", "none");
    assert_short_overlap(&pair);
    let spans = spans(&calls(&pair.lab));
    let of = |node: &str| -> &Span {
        let mine = spans["a"].iter().find(|span| span.host == node);
        mine.expect("it ran there")
    };
    let seconds = of("node1").to - of("node2").from;
    println!("the script ran on both for {seconds:.1} s");
    assert!((5.0..15.0).contains(&seconds), "{seconds}");
}

/// The owner receives no node, but the other receives it: it releases and reports that, and the
/// other takes over although it has declared no node dead.
fn deaf_owner(kinds: [Kind; 2]) {
    let pair = settled(kinds, &addresses_only());
    let rule = "ip saddr 10.77.0.0/24";
    pair.lab
        .command(&["block", pair.lab.name(), "node1", "eth0", rule]);
    pair.wait_log("node1", "isolated: ");
    wait_address(&pair, &["node2"]);
    assert_eq!(pair.log_count("node2", "node node1: is dead"), 0);
    assert_short_overlap(&pair);
    pair.lab
        .command(&["block", pair.lab.name(), "node1", "eth0", ""]);
    assert_one_owner(&pair);
}

/// The setting is off: as in legacy.
fn off_by_default(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.media = format!("bcast eth0\nping {GATE}");
    let pair = Pair::new(config);
    pair.start_settled();
    pair.lab.link("node1", "eth0", false);
    pair.wait_log("node1", "node node2: is dead");
    pair.wait_holds("node1", "all");
    assert_eq!(pair.log_count("node1", "isolated"), 0);
    assert_eq!(pair.log_count("node1", "withdrawn"), 0);
    drop(pair);
}

/// One cable of two is lost, and the ping node: the peer is received, nothing is withdrawn.
fn peer_still_heard(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds).with_two_cables();
    config.media = format!("bcast eth0 eth1\nping {GATE}");
    let pair = Pair::new(config);
    for node in NODES {
        let settings = pair.lab.dir(node).join("ha.d/systole.toml");
        fs::write(settings, "isolation_release = \"on\"\n").expect("settings");
    }
    pair.start_settled();
    pair.lab.link("node1", "eth0", false);
    pair.wait_log("node1", &format!("node {GATE}: is dead"));
    let_pass(Duration::from_secs(3));
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    assert_eq!(pair.log_count("node1", "withdrawn"), 0);
    assert_never_two_owners(&pair.lab);
}

macro_rules! tests {
    ($($name:ident: $scenario:ident $kinds:ident;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            run(concat!("isolation::", stringify!($name)), $kinds, $scenario)
        }
    )* };
}

tests! {
    owner_cut_off_beside_legacy: owner_cut_off SYSTOLE_OWNER;
    all_lost_and_back_ours_ours: all_lost_and_back OURS_OURS;
    only_the_peer_lost_ours_ours: only_the_peer_lost OURS_OURS;
    long_owner_cut_off_ours_ours: owner_cut_off OURS_OURS;
    long_only_the_peer_lost_beside_legacy: only_the_peer_lost SYSTOLE_OWNER;
    long_only_the_peer_lost_legacy_owner: only_the_peer_lost LEGACY_OWNER;
    long_slow_stop_ours_ours: slow_stop OURS_OURS;
    long_slow_stop_beside_legacy: slow_stop SYSTOLE_OWNER;
    long_deaf_owner_ours_ours: deaf_owner OURS_OURS;
    long_off_by_default: off_by_default SYSTOLE_OWNER;
    long_peer_still_heard: peer_still_heard OURS_OURS;
}
