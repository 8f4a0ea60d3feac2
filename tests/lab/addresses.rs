//! Addresses of other hosts: what a node does when another host has its service address, when an
//! address is where it must not be, and after such a conflict.

use std::fs;
use std::time::Duration;

use super::death::pid;
use super::history::{address_changes, count};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, ADDRESS_2, LONG, Pair, PairConfig};
use super::partition::mute;
use super::{OURS_OURS, SYSTOLE_OWNER, run};

/// Service address of a third group, on IPv6.
const ADDRESS_6: &str = "fd77::64";

/// The log text for a group that is not started.
const REFUSED: &str = "is not started: another host has its address";

/// The log text for every further attempt.
const ASKED_AGAIN: &str = "failed to start: trying again";

fn quick(kinds: [Kind; 2]) -> PairConfig {
    let mut config = PairConfig::new(kinds);
    config.times = "keepalive 200ms\nwarntime 1\ndeadtime 2\ninitdead 4\n".into();
    config
}

/// An `ip address` command, as an administrator or another host would run it.
fn address(pair: &Pair, host: &str, verb: &str, address: &str) {
    let nodad = if address.contains(':') { "nodad" } else { "" };
    let length = if address.contains(':') { 64 } else { 24 };
    let command = format!("ip addr {verb} {address}/{length} dev eth0 {nodad}");
    assert_eq!(pair.lab.sh(host, &command), "", "{command} on {host}");
}

/// Hardware address of a host.
fn mac(pair: &Pair, host: &str) -> String {
    pair.lab
        .sh(host, "cat /sys/class/net/eth0/address")
        .trim()
        .to_owned()
}

/// The third host records which hosts announce the address.
struct Ears {
    file: std::path::PathBuf,
}

impl Ears {
    fn listen(pair: &Pair) -> Self {
        let file = pair.lab.shared().join("arp");
        let script = format!(
            "tcpdump -lnettt -i eth0 arp and host {ADDRESS_1} >{} 2>/dev/null & sleep 0.5",
            file.display()
        );
        pair.lab.sh("client", &script);
        Self { file }
    }

    /// How often the host with that hardware address has announced the address as its own.
    fn heard(&self, mac: &str) -> usize {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        let own = format!("Request who-has {ADDRESS_1} ");
        let lines = text.lines().filter(|line| line.contains(mac));
        lines
            .filter(|line| line.contains(&own) && line.contains(&format!("tell {ADDRESS_1},")))
            .count()
    }
}

/// A lone node asks before it takes: a group whose address another host has is not started, the
/// others are.
fn lone_start(kinds: [Kind; 2]) {
    let mut config = quick(kinds).with_second_group();
    let line = format!("node1 IPv6addr::{ADDRESS_6}/64/eth0 dummy::c\n");
    config.resources.push_str(&line);
    let pair = Pair::new(config);
    for taken in [ADDRESS_1, ADDRESS_6] {
        address(&pair, "client", "add", taken);
    }
    pair.start("node1");
    let line = format!("{REFUSED}: {ADDRESS_1} is at {}", mac(&pair, "client"));
    pair.wait_log("node1", &line);
    let line = format!("{REFUSED}: {ADDRESS_6} is at {}", mac(&pair, "client"));
    pair.wait_log("node1", &line);
    pair.wait_owner("node1", ADDRESS_2, "b");
    let status = format!("{} status", env!("CARGO_BIN_EXE_systole"));
    let status = pair.lab.sh("node1", &status);
    assert_eq!(status.matches("NOT STARTED").count(), 2, "{status}");
    // It goes on asking, and takes nothing while there is an answer.
    pair.wait_log_count("node1", ASKED_AGAIN, 4);
    assert_eq!(pair.log_count("node1", REFUSED), 2, "each is said once");
    assert!(address_changes(&pair.lab, "node1", ADDRESS_1).is_empty());
    assert!(address_changes(&pair.lab, "node1", ADDRESS_6).is_empty());
    for group in ["a", "c"] {
        assert_eq!(count(&pair.lab, "node1", "start", group), 0);
    }
    for taken in [ADDRESS_1, ADDRESS_6] {
        address(&pair, "client", "del", taken);
    }
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_owner("node1", ADDRESS_6, "c");
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_lone_start_takes_no_address_of_another_host() {
    run("addresses::lone_start", OURS_OURS, lone_start);
}

/// A node that receives nothing finds the address at the other node, which receives it. The node
/// that runs nothing reports so, and the node that serves goes on, also when both receive each
/// other.
fn deaf_start(kinds: [Kind; 2]) {
    let pair = Pair::new(quick(kinds));
    pair.start_settled();
    pair.stop("node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_holds("node2", "all");
    let before = address_changes(&pair.lab, "node2", ADDRESS_1);
    mute(&pair, "node2", true);
    wait_until(LONG, "the end of the process", || {
        pair.lab
            .sh("node1", "ls /run/heartbeat.pid 2>/dev/null")
            .is_empty()
    });
    pair.start("node1");
    pair.wait_log("node1", REFUSED);
    pair.wait_log("node1", ASKED_AGAIN);
    let cl_status = |node: &str| {
        pair.lab.sh(
            node,
            &format!("{} rscstatus", env!("CARGO_BIN_EXE_cl_status")),
        )
    };
    // While it asks again it is in transition.
    wait_until(LONG, "cl_status says none", || {
        cl_status("node1").trim() == "none"
    });
    pair.wait_log("node2", "Status update for node node1: status active");
    mute(&pair, "node2", false);
    pair.wait_log("node1", "Status update for node node2: status active");
    pair.wait_holds("node2", "all");
    pair.wait_holds("node1", "none");
    pair.wait_owner("node2", ADDRESS_1, "a");
    let log = pair.lab.log("node2");
    let now = address_changes(&pair.lab, "node2", ADDRESS_1);
    assert_eq!(now, before, "the address was away: {log}");
    assert_eq!(count(&pair.lab, "node2", "stop", "a"), 0, "{log}");
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_deaf_start_takes_no_address_of_another_host() {
    run("addresses::deaf_start", OURS_OURS, deaf_start);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn long_a_deaf_start_beside_legacy() {
    run(
        "addresses::deaf_start_beside_legacy",
        SYSTOLE_OWNER,
        deaf_start,
    );
}

/// If the administrator has set it so, the network is not asked.
fn lone_start_unasked(kinds: [Kind; 2]) {
    let pair = Pair::new(quick(kinds));
    let settings = pair.lab.dir("node1").join("ha.d/systole.toml");
    fs::write(settings, "address_probe = \"off\"\n").expect("settings");
    address(&pair, "client", "add", ADDRESS_1);
    pair.start("node1");
    pair.wait_owner("node1", ADDRESS_1, "a");
    assert_eq!(pair.log_count("node1", REFUSED), 0);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_lone_start_that_must_not_ask() {
    run(
        "addresses::lone_start_unasked",
        OURS_OURS,
        lone_start_unasked,
    );
}

/// Another host takes the address that is served: the node notices it, and announces the address
/// when the conflict is over. A takeover does not ask, whichever host has the address.
fn rival(kinds: [Kind; 2]) {
    let pair = Pair::new(quick(kinds));
    pair.start_settled();
    let ears = Ears::listen(&pair);
    let owner = mac(&pair, "node1");
    let stranger = format!("{ADDRESS_1} is at {}", mac(&pair, "client"));
    address(&pair, "client", "add", ADDRESS_1);
    pair.wait_log(
        "node1",
        &format!("two hosts have an address of group {ADDRESS_1}/24/eth0: {stranger}"),
    );
    let defended = ears.heard(&owner);
    address(&pair, "client", "del", ADDRESS_1);
    pair.wait_log("node1", "is the only owner of its addresses again");
    // At once, and again at growing intervals.
    wait_until(LONG, "the owner announces again", || {
        ears.heard(&owner) >= defended + 4
    });
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    address(&pair, "client", "add", ADDRESS_1);
    pair.lab.power_off("node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_eq!(pair.log_count("node2", REFUSED), 0);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_rival_is_noticed_and_answered() {
    run("addresses::rival", OURS_OURS, rival);
}

/// An address that was added by hand on a node that does not hold the group is removed; addresses
/// of held groups stay.
fn added_by_hand(kinds: [Kind; 2]) {
    let pair = Pair::new(quick(kinds).with_second_group());
    pair.start_both();
    pair.wait_active();
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_owner("node2", ADDRESS_2, "b");
    let ours = "node1";
    pair.wait_holds(ours, "local");
    address(&pair, ours, "add", ADDRESS_2);
    wait_until(LONG, "the address goes", || {
        !pair.has_address(ours, ADDRESS_2)
    });
    pair.wait_log(
        ours,
        &format!("{ADDRESS_2} is here although this node does not hold group"),
    );
    let changes = address_changes(&pair.lab, ours, ADDRESS_1);
    assert_eq!(changes.len(), 1, "{changes:?}");
    // If the administrator only wants a report.
    pair.stop(ours);
    wait_until(LONG, "the end of the process", || {
        pair.lab
            .sh(ours, "ls /run/heartbeat.pid 2>/dev/null")
            .is_empty()
    });
    let settings = pair.lab.dir(ours).join("ha.d/systole.toml");
    fs::write(settings, "stray_addresses = \"report\"\n").expect("settings");
    pair.start(ours);
    pair.wait_log_count(ours, "Local status now set to: 'active'", 2);
    let line =
        format!("{ADDRESS_2} is here although this node does not hold group {ADDRESS_2}/24/eth0");
    let before = pair.log_count(ours, &line);
    address(&pair, ours, "add", ADDRESS_2);
    pair.wait_log_count(ours, &line, before + 1);
    // Three more checks.
    std::thread::sleep(Duration::from_secs(15));
    assert_eq!(pair.log_count(ours, &line), before + 1);
    assert!(pair.has_address(ours, ADDRESS_2));
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn an_address_added_by_hand_goes() {
    run("addresses::added_by_hand", SYSTOLE_OWNER, added_by_hand);
}

/// Daemon and guardian are killed at once and the other node takes over: the address that is left
/// is removed when the node is started again, and stays on the other.
fn left_behind(kinds: [Kind; 2]) {
    let pair = Pair::new(quick(kinds));
    pair.start_settled();
    let name = pair.lab.name();
    pair.lab.command(&["crash", name, "node1"]);
    wait_until(LONG, "two owners", || {
        pair.owners(ADDRESS_1) == ["node1", "node2"]
    });
    pair.lab.remark("node1", "poweroff");
    pair.lab
        .sh("node1", "rm -f /run/dummy-a /run/heartbeat.pid");
    pair.start("node1");
    wait_until(LONG, "one owner", || pair.owners(ADDRESS_1) == ["node2"]);
    let line = format!("{ADDRESS_1} is here although this node does not hold group");
    pair.wait_log("node1", &line);
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_eq!(count(&pair.lab, "node2", "stop", "a"), 0);
    let changes = address_changes(&pair.lab, "node2", ADDRESS_1);
    assert_eq!(changes.len(), 1, "{changes:?}");
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn an_address_left_behind_goes() {
    run("addresses::left_behind", OURS_OURS, left_behind);
}

/// The same where no node took over: the address that is left serves on until the node holds it
/// again.
fn left_behind_alone(kinds: [Kind; 2]) {
    let pair = Pair::new(quick(kinds));
    pair.start("node1");
    pair.wait_owner("node1", ADDRESS_1, "a");
    let name = pair.lab.name();
    pair.lab.command(&["crash", name, "node1"]);
    pair.lab.sh("node1", "rm -f /run/heartbeat.pid");
    let before = address_changes(&pair.lab, "node1", ADDRESS_1);
    let started = pair.log_count("node1", "Local Resource acquisition completed");
    pair.start("node1");
    pair.wait_log_count("node1", "Local Resource acquisition completed", started + 1);
    assert_eq!(address_changes(&pair.lab, "node1", ADDRESS_1), before);
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn an_address_left_behind_alone_serves_on() {
    run("addresses::left_behind_alone", OURS_OURS, left_behind_alone);
}

/// Heartbeats are lost for longer than the dead time while the network works, so both serve. When
/// they receive each other again one of them remains, and announces the address.
fn split_brain(kinds: [Kind; 2]) {
    let pair = Pair::new(quick(kinds));
    pair.start_settled();
    let ears = Ears::listen(&pair);
    let name = pair.lab.name().to_owned();
    let block = |rule: &str| {
        for node in ["node1", "node2"] {
            pair.lab.command(&["block", &name, node, "eth0", rule]);
        }
    };
    block("udp dport 694");
    wait_until(LONG, "two owners", || pair.owners(ADDRESS_1).len() == 2);
    let heard = |node: &str| ears.heard(&mac(&pair, node));
    let before = [heard("node1"), heard("node2")];
    block("");
    wait_until(LONG, "they hear each other", || {
        let returns = |node| pair.log_count(node, "returning after partition.");
        returns("node1") + returns("node2") > 0
    });
    let mut owner = "";
    wait_until(LONG, "one owner", || {
        let owners = pair.owners(ADDRESS_1);
        let settled = ["node1", "node2"]
            .iter()
            .all(|node| pair.holds(node) != "transition");
        if let [only] = owners[..] {
            owner = only;
        }
        owners.len() == 1 && settled
    });
    let before = before[usize::from(owner == "node2")];
    wait_until(LONG, "the owner announces", || heard(owner) >= before + 5);
    let again = ["node1", "node2"].map(|node| pair.log_count(node, "announcing again"));
    assert!(again.iter().sum::<usize>() > 0, "{again:?}");
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn the_survivor_of_a_split_brain_announces() {
    run("addresses::split_brain", OURS_OURS, split_brain);
}

/// The log text for an address that was put back.
const PUT_BACK: &str = "was gone and is put back: removed by";

/// Somebody removes an address of the owner: it answers again at once, nothing moves, and the rest of the
/// group goes on. What the node removes itself is not put back.
fn removed_by_hand(kinds: [Kind; 2]) {
    let mut config = quick(kinds);
    let line = format!("node1 IPv6addr::{ADDRESS_6}/64/eth0 dummy::c\n");
    config.resources.push_str(&line);
    let pair = Pair::new(config);
    pair.start_settled();
    pair.wait_owner("node1", ADDRESS_6, "c");
    for (address_of_group, group) in [(ADDRESS_1, "24"), (ADDRESS_6, "64")] {
        address(&pair, "node1", "del", address_of_group);
        wait_until(LONG, "the address is back", || {
            pair.has_address("node1", address_of_group)
        });
        let line = format!("address {address_of_group} of group");
        pair.wait_log("node1", &line);
        let said = pair.lab.log("node1");
        let mut lines = said.lines();
        assert!(
            lines.any(|it| it.contains(&line) && it.contains(PUT_BACK)),
            "{group}: {said}"
        );
    }
    pair.wait_log_count("node1", PUT_BACK, 2);
    let why = format!("{} why", env!("CARGO_BIN_EXE_systole"));
    let why = pair.lab.sh("node1", &why);
    assert!(
        why.contains(&format!("puts address {ADDRESS_1} of")),
        "{why}"
    );
    // An interface that is down for a moment loses its IPv6 addresses.
    pair.lab.sh(
        "node1",
        "ip link set eth0 down; sleep 1; ip link set eth0 up",
    );
    wait_until(LONG, "the addresses are back", || {
        pair.has_address("node1", ADDRESS_1) && pair.has_address("node1", ADDRESS_6)
    });
    for group in ["a", "c"] {
        assert_eq!(count(&pair.lab, "node1", "stop", group), 0);
        assert_eq!(count(&pair.lab, "node2", "start", group), 0);
    }
    // A standby removes them here, and nobody puts them back.
    pair.wait_log_count("node1", PUT_BACK, 3);
    let before = pair.log_count("node1", PUT_BACK);
    pair.operator("node1", "hb_standby all");
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_owner("node2", ADDRESS_6, "c");
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(pair.owners(ADDRESS_1), ["node2"]);
    assert_eq!(pair.log_count("node1", PUT_BACK), before);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn an_address_that_somebody_removes_is_put_back() {
    run("addresses::removed_by_hand", OURS_OURS, removed_by_hand);
}

/// Another host has taken the address in the moment in which it is removed here: it is not put back before it
/// is free. And a node that is told to leave it alone does.
fn removed_and_taken(kinds: [Kind; 2]) {
    let pair = Pair::new(quick(kinds).with_second_group());
    let settings = pair.lab.dir("node2").join("ha.d/systole.toml");
    fs::write(settings, "address_guard = \"off\"\n").expect("settings");
    pair.start_both();
    pair.wait_active();
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_owner("node2", ADDRESS_2, "b");
    pair.wait_holds("node1", "local");
    address(&pair, "client", "add", ADDRESS_1);
    address(&pair, "node1", "del", ADDRESS_1);
    let claim = format!("{ADDRESS_1} is at {}", mac(&pair, "client"));
    let line = format!("another host has it, so it is not put back: {claim}");
    pair.wait_log("node1", &line);
    assert!(!pair.has_address("node1", ADDRESS_1));
    let status = format!("{} status", env!("CARGO_BIN_EXE_systole"));
    let status = pair.lab.sh("node1", &status);
    assert!(
        status.contains(&format!("ADDRESS GONE: {ADDRESS_1}")),
        "{status}"
    );
    pair.wait_holds("node1", "none");
    // It is asked for again, and nothing is said twice.
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(pair.log_count("node1", &line), 1);
    address(&pair, "client", "del", ADDRESS_1);
    wait_until(LONG, "the address is back", || {
        pair.has_address("node1", ADDRESS_1)
    });
    pair.wait_holds("node1", "local");
    address(&pair, "node2", "del", ADDRESS_2);
    std::thread::sleep(Duration::from_secs(6));
    assert!(!pair.has_address("node2", ADDRESS_2));
    assert_eq!(pair.log_count("node2", PUT_BACK), 0);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_removed_address_that_another_host_has_is_not_put_back() {
    run("addresses::removed_and_taken", OURS_OURS, removed_and_taken);
}

/// The address of a group that runs on from an earlier process is guarded by the next one: after a restart in
/// place, and when the guardian has started a daemon that was killed.
fn removed_from_what_runs_on(kinds: [Kind; 2]) {
    let pair = Pair::new(quick(kinds));
    pair.start_settled();
    let generations = "info: Heartbeat generation:";
    let removed = |times: usize| {
        // The new process takes over first.
        pair.wait_log_count("node1", generations, times);
        pair.wait_holds("node1", "local");
        address(&pair, "node1", "del", ADDRESS_1);
        wait_until(LONG, "the address is back", || {
            pair.has_address("node1", ADDRESS_1)
        });
        pair.wait_log_count("node1", PUT_BACK, times - 1);
    };
    let daemon = pair.daemon("node1");
    let script = format!("touch /etc/ha.d/ha.cf; setsid {daemon} -r");
    pair.lab.sh("node1", &script);
    removed(2);
    let before = pid(&pair, "node1");
    pair.lab.sh("node1", &format!("kill -9 {before}"));
    removed(3);
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 0);
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn an_address_of_what_runs_on_is_put_back() {
    run(
        "addresses::removed_from_what_runs_on",
        OURS_OURS,
        removed_from_what_runs_on,
    );
}
