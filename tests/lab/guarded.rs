//! The guard of the service addresses: what it does about programs and people that remove addresses or take
//! interfaces away, and when a group goes to the other node for that.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::history::{assert_never_two_owners, count};
use super::host::{Kind, skip, wait_until};
use super::pair::{ADDRESS_1, LONG, NODES, Pair, PairConfig};
use super::{OURS_OURS, SYSTOLE_OWNER, run};

const SYSTOLE: &str = env!("CARGO_BIN_EXE_systole");

/// The log text for an address that was put back.
const PUT_BACK: &str = "was gone and is put back: removed by";

/// The log text of a move.
const MOVES: &str = "local resources move to the other node";

/// Longer than the dead time, with a good margin.
const STAYS: Duration = Duration::from_secs(5);

/// Heartbeats on both networks, the address on the first.
fn config(kinds: [Kind; 2]) -> PairConfig {
    let mut config = PairConfig::new(kinds).with_two_cables();
    config.times = "keepalive 200ms\nwarntime 1\ndeadtime 2\ninitdead 4\n".into();
    config
}

fn removed(pair: &Pair, node: &str) {
    let command = format!("ip addr del {ADDRESS_1}/24 dev eth0");
    assert_eq!(pair.lab.sh(node, &command), "", "{command} on {node}");
}

fn put_back(pair: &Pair) {
    wait_until(LONG, "the address is back", || {
        pair.has_address("node1", ADDRESS_1)
    });
}

fn settled(pair: &Pair) {
    wait_until(LONG, "both are settled", || {
        let mut nodes = NODES.iter();
        nodes.all(|node| !["transition", ""].contains(&pair.holds(node).as_str()))
    });
}

/// An interface of the owner stays without a carrier: its half goes to the node whose interface is up, once, and
/// not back to a node that gave it away a moment ago. When no node is better nothing moves.
fn unreached(kinds: [Kind; 2]) {
    let pair = Pair::new(config(kinds));
    pair.start_settled();
    for (node, plugged) in [("node2", false), ("node1", false)] {
        pair.lab.link(node, "eth0", plugged);
    }
    sleep(STAYS);
    assert_eq!(pair.owners(ADDRESS_1), ["node1"], "neither is better");
    assert_eq!(pair.log_count("node1", MOVES), 0);
    let why = pair.lab.sh("node1", &format!("{SYSTOLE} why"));
    assert!(
        why.contains("waits to move a group to the other node"),
        "{why}"
    );
    pair.lab.link("node2", "eth0", true);
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_eq!(pair.log_count("node1", MOVES), 1);
    settled(&pair);
    // Back to the first, which has not given it away to itself: the other way is open once.
    pair.lab.link("node1", "eth0", true);
    sleep(STAYS);
    assert_eq!(
        pair.owners(ADDRESS_1),
        ["node2"],
        "it does not go home by itself"
    );
    pair.lab.link("node2", "eth0", false);
    pair.wait_owner("node1", ADDRESS_1, "a");
    settled(&pair);
    pair.lab.link("node2", "eth0", true);
    pair.lab.link("node1", "eth0", false);
    sleep(STAYS);
    assert_eq!(pair.owners(ADDRESS_1), ["node1"], "the damper");
    let why = pair.lab.sh("node1", &format!("{SYSTOLE} why"));
    assert!(
        why.contains("it was moved for that within the last ten minutes"),
        "{why}"
    );
    assert_eq!(count(&pair.lab, "node1", "start", "a"), 2);
    assert_eq!(count(&pair.lab, "node2", "start", "a"), 1);
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_group_that_nobody_reaches_goes_where_it_is_reached() {
    run("guarded::unreached", OURS_OURS, unreached);
}

/// Beside a legacy node, which tells nothing: what is removed is put back, and what nobody reaches moves only by
/// the setting.
fn beside_legacy(kinds: [Kind; 2]) {
    let pair = Pair::new(config(kinds));
    pair.start_settled();
    removed(&pair, "node1");
    put_back(&pair);
    pair.wait_log_count("node1", PUT_BACK, 1);
    pair.lab.link("node1", "eth0", false);
    sleep(STAYS);
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    let settings = pair.lab.dir("node1").join("ha.d/systole.toml");
    fs::write(settings, "address_guard = \"move\"\n").expect("settings");
    let daemon = pair.daemon("node1");
    let script = format!("touch /etc/ha.d/ha.cf; setsid {daemon} -r");
    pair.lab.sh("node1", &script);
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_eq!(pair.log_count("node1", MOVES), 1);
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn the_guard_beside_a_legacy_node() {
    run("guarded::beside_legacy", SYSTOLE_OWNER, beside_legacy);
}

/// A frozen node only reports; a restart in place in the moment of the removal; a flush of the interface; and one
/// that gets another name, after which the address has no place here.
fn people(kinds: [Kind; 2]) {
    let pair = Pair::new(config(kinds));
    pair.start_settled();
    let systole = |words: &str| pair.lab.sh("node1", &format!("{SYSTOLE} {words}"));
    systole("freeze");
    removed(&pair, "node1");
    pair.wait_log("node1", "the node is frozen, so it is not put back");
    sleep(Duration::from_secs(1));
    assert!(!pair.has_address("node1", ADDRESS_1));
    systole("thaw");
    put_back(&pair);

    let daemon = pair.daemon("node1");
    let script = format!(
        "touch /etc/ha.d/ha.cf; setsid {daemon} -r & sleep 0.1; ip addr del {ADDRESS_1}/24 dev eth0; wait"
    );
    pair.lab.sh("node1", &script);
    pair.wait_log_count("node1", "info: Heartbeat generation:", 2);
    put_back(&pair);

    pair.wait_holds("node1", "local");
    pair.lab.sh("node1", "ip addr flush dev eth0");
    put_back(&pair);
    pair.lab
        .sh("node1", "ip addr add 10.77.0.1/24 brd + dev eth0");
    assert_eq!(count(&pair.lab, "node1", "start", "a"), 1);
    assert_eq!(pair.log_count("node1", MOVES), 0);

    let renamed = "ip link set eth0 down; ip link set eth0 name net0; ip link set net0 up";
    pair.lab.sh("node1", renamed);
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_eq!(pair.owners(ADDRESS_1), ["node2"]);
    let left = pair
        .lab
        .sh("node1", &format!("ip -o addr | grep -c {ADDRESS_1}/"));
    assert_eq!(left.trim(), "0", "nor under the other name");
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn what_people_do_to_a_held_address() {
    run("guarded::people", OURS_OURS, people);
}

/// A program removes the address as often as it is put back, as a network manager would: CRIT lines, and after
/// thirty times the half goes to the other node, where nobody does that.
fn removed_again_and_again(kinds: [Kind; 2]) {
    let pair = Pair::new(config(kinds));
    pair.start_settled();
    let script = format!(
        "(while [ ! -e /run/enough ]; do ip addr del {ADDRESS_1}/24 dev eth0; sleep 0.02; done) >/dev/null 2>&1 &"
    );
    pair.lab.sh("node1", &script);
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_log("node1", "was removed 31 times within a minute");
    pair.lab.sh("node1", "touch /run/enough");
    assert_eq!(pair.log_count("node1", MOVES), 1);
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 1);
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn an_address_that_is_removed_in_a_loop_moves() {
    run(
        "guarded::removed_again_and_again",
        OURS_OURS,
        removed_again_and_again,
    );
}

/// systemd-networkd as a unit of the lab's own: the host has none but those in /run/units.
const NETWORKD: &str = "
mount -o remount,bind,ro /sys
mkdir -p /run/systemd/network
printf '[Match]\\nName=eth0\\n[Network]\\nAddress=10.77.0.1/24\\nKeepConfiguration=no\\n' >/run/systemd/network/10-eth0.network
printf '[Unit]\\nDefaultDependencies=no\\n[Service]\\nType=notify\\nExecStart=/lib/systemd/systemd-networkd\\nRuntimeDirectory=systemd/netif\\nRuntimeDirectoryPreserve=yes\\n' >/run/units/networkd.service
systemctl daemon-reload
systemctl start networkd
systemctl is-active networkd
";

/// systemd-networkd is started, restarted and stopped on the host of the owner: the address is there afterwards, and
/// nothing has moved.
fn networkd(kinds: [Kind; 2]) {
    let name = "guarded::networkd";
    let pair = Pair::new(config(kinds));
    let needed = ["/lib/systemd/systemd", "/lib/systemd/systemd-networkd"];
    if let Some(missing) = needed.into_iter().find(|it| !Path::new(it).exists()) {
        return skip(name, &format!("{missing} is not there"));
    }
    pair.lab.private("node1");
    let started = pair.lab.attempt(&["systemd", pair.lab.name(), "node1"]);
    if let Err(reason) = started {
        return skip(name, &reason);
    }
    let said = pair.lab.sh("node1", NETWORKD);
    if said.trim() != "active" {
        return skip(name, &format!("systemd-networkd does not run here: {said}"));
    }
    pair.start_settled();
    for verb in ["restart", "restart", "stop"] {
        let said = pair.lab.sh("node1", &format!("systemctl {verb} networkd"));
        assert_eq!(said, "", "{verb}");
        sleep(Duration::from_secs(1));
        put_back(&pair);
    }
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    assert_eq!(count(&pair.lab, "node1", "start", "a"), 1);
    assert_eq!(pair.log_count("node1", MOVES), 0);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn networkd_restarts_beside_a_held_address() {
    run("guarded::networkd", OURS_OURS, networkd);
}
