//! The host's own addresses: a service address that is one is refused, addresses left by a run are
//! distinguished from it, and addresses in doubt stay.

use super::history::{address_changes, count};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, LONG, Pair, PairConfig, daemon_of};
use super::{LEGACY_LEGACY, LEGACY_OWNER, OURS_OURS, run};

/// A service address that is alone in its network.
const ALONE: &str = "10.99.0.1";

/// One with a label, alone in its network as well.
const LABELLED: &str = "10.98.0.1";

/// The log text for a service address that is a host's own.
const OWN: &str = "is this host's own address";

/// The log text for an address of unknown origin.
const DOUBT: &str = "is on this host and its origin is unknown";

fn quick(kinds: [Kind; 2], resources: &str) -> PairConfig {
    let mut config = PairConfig::new(kinds);
    config.times = "keepalive 200ms\nwarntime 1\ndeadtime 2\ninitdead 4\n".into();
    config.resources = resources.into();
    config
}

/// Kills every process of a host, guardian included; addresses and files stay.
fn crash(pair: &Pair, node: &str) {
    pair.lab.command(&["crash", pair.lab.name(), node]);
    pair.lab.sh(node, "rm -f /run/dummy-*");
}

/// Starts our daemon on a host, whatever ran there before; returns its exit code and output.
fn start_ours(pair: &Pair, node: &str, option: &str) -> (Option<i32>, String) {
    let daemon = daemon_of(Kind::Systole);
    let mut words = vec!["setsid", "-w", &daemon];
    words.extend((!option.is_empty()).then_some(option));
    let output = pair.lab.exec(node, &words);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), text)
}

/// The typo: a group of node1 has the fixed address of node2.
fn fixed_address(kinds: [Kind; 2]) {
    let pair = Pair::new(quick(kinds, "\nnode1 10.77.0.2/24/eth0 dummy::a\n"));
    for (option, place) in [("-t", "check"), ("", "start")] {
        let (code, text) = start_ours(&pair, "node2", option);
        assert_eq!(code, Some(6), "{place}: {text}");
        let line = format!("haresources:2: 10.77.0.2/24/eth0: 10.77.0.2/24 on eth0 {OWN}");
        assert!(text.contains(&line), "{place}: {text}");
    }
    // The same in a running pair: the line of a group is edited on the node that does not run it.
    let good = format!("node1 {ADDRESS_1}/24/eth0 dummy::a\n");
    let haresources = |node: &str, text: &str| {
        std::fs::write(pair.lab.dir(node).join("ha.d/haresources"), text).expect("haresources");
    };
    haresources("node1", &good);
    haresources("node2", &good);
    pair.start_settled();
    haresources(
        "node2",
        &format!("node1 {ADDRESS_1}/24/eth0 IPaddr2::10.77.0.2/24/eth0 dummy::a\n"),
    );
    let (code, text) = start_ours(&pair, "node2", "-r");
    assert_eq!(code, Some(1), "reload: {text}");
    pair.operator("node1", "hb_standby");
    pair.wait_log(
        "node2",
        "Giving up resources due to failure of IPaddr2::10.77.0.2/24/eth0",
    );
    pair.wait_owner("node1", ADDRESS_1, "a");
    assert_eq!(address_changes(&pair.lab, "node2", "10.77.0.2").len(), 0);
    assert!(pair.has_address("node2", "10.77.0.2"));
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_fixed_address_of_a_node_is_refused() {
    run("own_addresses::fixed_address", OURS_OURS, fixed_address);
}

/// Daemon and guardian are killed at once; the address is the only one of its network. The node is
/// started again, and removes it because the other has taken over.
fn left_behind(kinds: [Kind; 2]) {
    let resources = format!("node1 IPaddr2::{ALONE}/24/eth0 dummy::a\n");
    let pair = Pair::new(quick(kinds, &resources));
    pair.start("node1");
    pair.wait_owner("node1", ALONE, "a");
    // Alone: the address that is left serves on, and the start is not refused.
    crash(&pair, "node1");
    let started = pair.log_count("node1", "Local Resource acquisition completed");
    pair.start("node1");
    pair.wait_log_count("node1", "Local Resource acquisition completed", started + 1);
    pair.wait_owner("node1", ALONE, "a");
    pair.start("node2");
    pair.wait_holds("node2", "none");
    crash(&pair, "node1");
    pair.lab.sh("node1", "rm -f /run/heartbeat.pid");
    wait_until(LONG, "two owners", || {
        pair.owners(ALONE) == ["node1", "node2"]
    });
    pair.start("node1");
    wait_until(LONG, "one owner", || pair.owners(ALONE) == ["node2"]);
    let line = format!("{ALONE} is here although this node does not hold group");
    pair.wait_log("node1", &line);
    assert_eq!(pair.log_count("node1", OWN), 0);
    assert_eq!(pair.log_count("node1", DOUBT), 0);
    assert_eq!(count(&pair.lab, "node2", "stop", "a"), 0);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn an_address_left_alone_in_its_network_by_a_killed_daemon_is_removed() {
    run("own_addresses::left_behind", OURS_OURS, left_behind);
}

/// A legacy node is killed with three addresses up, and ours takes its place: addresses that only a
/// run can have put there are removed, the one that may be the host's own stays, and no start is
/// refused.
fn left_by_legacy(kinds: [Kind; 2]) {
    let resources = format!(
        "node1 {LABELLED}/24/eth0 IPaddr2::{ADDRESS_1}/24/eth0 IPaddr2::{ALONE}/24/eth0 dummy::a\n"
    );
    let pair = Pair::new(quick(kinds, &resources));
    pair.start_both();
    pair.wait_active();
    for address in [LABELLED, ADDRESS_1, ALONE] {
        pair.wait_owner("node1", address, "a");
    }
    // A check beside the legacy node that serves them reports nothing about them.
    let (code, text) = start_ours(&pair, "node1", "-t");
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains(DOUBT), "{text}");
    crash(&pair, "node1");
    wait_until(LONG, "node2 has taken over", || pair.runs("node2", "a"));
    pair.install_helpers("node1");
    let (code, text) = start_ours(&pair, "node1", "");
    assert_eq!(code, Some(0), "{text}");
    for address in [LABELLED, ADDRESS_1] {
        wait_until(LONG, &format!("{address} goes"), || {
            pair.owners(address) == ["node2"]
        });
    }
    let line = format!("haresources:1: IPaddr2::{ALONE}/24/eth0: {ALONE}/24 on eth0 {DOUBT}");
    pair.wait_log("node1", &line);
    // Two more checks.
    std::thread::sleep(std::time::Duration::from_secs(11));
    assert_eq!(pair.owners(ALONE), ["node1", "node2"]);
    assert_eq!(pair.log_count("node1", DOUBT), 1);
    // An address in doubt is in doubt again at the next start, after an orderly end too.
    pair.begin_stop("node1");
    wait_until(LONG, "the end of the process", || {
        pair.lab
            .sh("node1", "ls /run/heartbeat.pid 2>/dev/null")
            .is_empty()
    });
    if pair.has_address("node1", ALONE) {
        let (code, text) = start_ours(&pair, "node1", "-t");
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains(DOUBT), "{text}");
    }
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn addresses_left_by_a_killed_legacy_node_are_not_refused() {
    run(
        "own_addresses::left_by_legacy",
        LEGACY_OWNER,
        left_by_legacy,
    );
}

/// The same beside a legacy node.
#[test]
#[ignore = "lab: long tier"]
fn long_what_a_killed_legacy_node_left_beside_legacy() {
    run(
        "own_addresses::left_by_legacy_beside_legacy",
        LEGACY_LEGACY,
        left_by_legacy,
    );
}

/// Added by hand before the start, in the network of the node: it stays while the node does not
/// serve it, and is removed when the node has served it and gives it away.
fn added_before(kinds: [Kind; 2]) {
    let pair = Pair::new(quick(
        kinds,
        &format!("node1 IPaddr2::{ADDRESS_1}/24/eth0 dummy::a\n"),
    ));
    let add = format!("ip addr add {ADDRESS_1}/24 dev eth0");
    pair.lab.sh("node2", &add);
    pair.start("node2");
    let line =
        format!("haresources:1: IPaddr2::{ADDRESS_1}/24/eth0: {ADDRESS_1}/24 on eth0 {DOUBT}");
    pair.wait_log("node2", &line);
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.start("node1");
    pair.wait_active();
    pair.operator("node2", "hb_standby");
    pair.wait_owner("node1", ADDRESS_1, "a");
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn an_address_added_before_is_removed_when_the_group_is_given_away() {
    run("own_addresses::added_before", OURS_OURS, added_before);
}

/// A version without a record ran here before: its addresses are not refused, whether it is
/// replaced in place or killed together with its guardian.
fn before_the_record(kinds: [Kind; 2]) {
    let resources = format!("node1 IPaddr2::{ALONE}/24/eth0 dummy::a\n");
    let pair = Pair::new(quick(kinds, &resources));
    pair.start("node1");
    pair.wait_owner("node1", ALONE, "a");
    let record = "/run/heartbeat.addresses";
    let recorded = || pair.lab.sh("node1", &format!("cat {record}/{ALONE}"));
    assert!(recorded().ends_with(" ours\n"), "{}", recorded());
    pair.lab
        .sh("node1", &format!("rm -r {record}; touch /etc/ha.d/ha.cf"));
    let (code, text) = start_ours(&pair, "node1", "-r");
    assert_eq!(code, Some(0), "{text}");
    wait_until(LONG, "it is on record again", || {
        recorded().ends_with(" ours\n")
    });
    pair.wait_owner("node1", ALONE, "a");
    pair.lab.sh("node1", &format!("rm -r {record}"));
    crash(&pair, "node1");
    let (code, text) = start_ours(&pair, "node1", "");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(DOUBT), "{text}");
    // The node serves it again, so it is the service's.
    pair.wait_owner("node1", ALONE, "a");
    wait_until(LONG, "it is on record", || recorded().ends_with(" ours\n"));
    assert_eq!(address_changes(&pair.lab, "node1", ALONE).len(), 1);
    pair.stop("node1");
    assert_eq!(pair.owners(ALONE), [""; 0]);
    wait_until(LONG, "it is off the record", || {
        pair.lab.sh("node1", &format!("ls {record}")).trim() == "kept_by"
    });
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn addresses_left_by_a_version_without_a_record_are_not_refused() {
    run(
        "own_addresses::before_the_record",
        OURS_OURS,
        before_the_record,
    );
}
