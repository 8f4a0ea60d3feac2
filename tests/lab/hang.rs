//! Processes that hang without dying: the thread that sends heartbeats, and the disk with the
//! programs that reboot.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::death::pid;
use super::history::{DUMMY, address_changes, count};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, LONG, NODES, Pair, PairConfig};
use super::{OURS_OURS, SYSTOLE_OWNER, run};

/// This actor of node1 never returns, and its thread with it.
pub fn hang(pair: &Pair, actor: &str) {
    let path = pair.lab.dir("node1").join("run/systole.ctl");
    let mut control = UnixStream::connect(path).expect("the control socket");
    let request = serde_json::json!({"request": "hang", "actor": actor});
    control
        .write_all(format!("{request}\n").as_bytes())
        .expect("the request");
    // A request may be dropped if its sender does not wait for the answer.
    let _ = control.set_read_timeout(Some(Duration::from_secs(5)));
    let _ = control.read(&mut [0; 1]);
}

fn cluster_thread_hangs(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds));
    pair.start_settled();
    let before = pid(&pair, "node1");
    hang(&pair, "membership");
    pair.wait_log("node1", "the cluster thread has done nothing for");
    wait_until(LONG, "another daemon on node1", || {
        let now = pid(&pair, "node1");
        !now.is_empty() && now != before
    });
    // The other node took over while node1 was silent, and keeps the group: the new daemon only
    // stops.
    let added = || {
        let changes = address_changes(&pair.lab, "node1", ADDRESS_1);
        changes.iter().filter(|(_, added)| *added).count()
    };
    let starts = added();
    let mut since = std::time::Instant::now();
    let mut owner = Vec::new();
    wait_until(LONG, "one owner for eight seconds", || {
        let owners = pair.owners(ADDRESS_1);
        let runs = NODES.iter().filter(|node| pair.runs(node, "a")).count();
        if owners.len() != 1 || runs != 1 || owners != owner {
            since = std::time::Instant::now();
            owner = owners;
        }
        since.elapsed() > Duration::from_secs(8)
    });
    assert_eq!(owner, ["node2"]);
    assert_eq!(added(), starts, "node1 took the address again");
    let hung = pair.log_count("node1", "the cluster thread has done nothing for");
    assert_eq!(hung, 1, "the successor works");
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_cluster_thread_that_hangs_is_replaced_ours_ours() {
    run(
        "hang::a_cluster_thread_that_hangs_is_replaced_ours_ours",
        OURS_OURS,
        cluster_thread_hangs,
    );
}

#[test]
#[ignore = "lab: long tier"]
fn long_a_cluster_thread_that_hangs_is_replaced_beside_legacy() {
    run(
        "hang::long_a_cluster_thread_that_hangs_is_replaced_beside_legacy",
        SYSTOLE_OWNER,
        cluster_thread_hangs,
    );
}

/// The daemon is stopped while the first of two scripts of a start runs, and goes on when the other
/// node has taken over: the second script is not begun.
fn daemon_stopped_in_a_start(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.resources = "node1 dummy::a::3 dummy::b\n".into();
    let pair = Pair::new(config);
    pair.start_both();
    let begun = |node: &str, name: &str| count(&pair.lab, node, "start", name);
    wait_until(LONG, "node1 starts a", || begun("node1", "a") > 0);
    let daemon = pid(&pair, "node1");
    pair.lab.sh("node1", &format!("kill -STOP {daemon}"));
    pair.wait_log("node2", "node node1: is dead");
    wait_until(LONG, "node2 runs both", || {
        pair.runs("node2", "a") && pair.runs("node2", "b")
    });
    pair.lab.sh("node1", &format!("kill -CONT {daemon}"));
    pair.wait_log(
        "node1",
        "dummy::b is not started: the order for it is withdrawn",
    );
    wait_until(LONG, "node1 runs nothing", || !pair.runs("node1", "a"));
    assert_eq!(begun("node1", "b"), 0);
    assert!(pair.runs("node2", "a") && pair.runs("node2", "b"));
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_daemon_stopped_in_a_start_begins_no_other_script_ours_ours() {
    run(
        "hang::a_daemon_stopped_in_a_start_begins_no_other_script_ours_ours",
        OURS_OURS,
        daemon_stopped_in_a_start,
    );
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_daemon_stopped_in_a_start_begins_no_other_script_beside_legacy() {
    run(
        "hang::a_daemon_stopped_in_a_start_begins_no_other_script_beside_legacy",
        SYSTOLE_OWNER,
        daemon_stopped_in_a_start,
    );
}

/// `exec` ends the thread of the heartbeats and waits for the one that hangs.
fn restart_beside_a_client_that_hangs(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.media.push_str("\nrespawn root /bin/sleep 1000");
    let pair = Pair::new(config);
    pair.start_settled();
    pair.wait_log("node1", "Starting \"/bin/sleep 1000\" as uid 0");
    let before = pid(&pair, "node1");
    hang(&pair, "client /bin/sleep 1000");
    pair.lab
        .sh("node1", "touch -d '10 seconds' /etc/ha.d/ha.cf");
    let asked = pair
        .lab
        .exec("node1", &["setsid", &pair.daemon("node1"), "-r"]);
    assert!(asked.status.success());
    pair.wait_log("node1", "no restart, the old process goes on");
    assert_eq!(pid(&pair, "node1"), before);
    assert_eq!(
        pair.log_count("node1", "Performing heartbeat restart exec"),
        0
    );
    assert_eq!(pair.log_count("node2", "node node1: is dead"), 0);
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn long_no_restart_beside_a_client_that_hangs() {
    run(
        "hang::long_no_restart_beside_a_client_that_hangs",
        OURS_OURS,
        restart_beside_a_client_that_hangs,
    );
}

/// The name of the PID namespace in which a process lives.
fn pid_namespace(pair: &Pair, node: &str) -> String {
    let name = pair.lab.sh(node, "readlink /proc/self/ns/pid");
    name.trim().to_owned()
}

/// Hosts whose programs that reboot never return, as on a dead disk, and whose dummy resources do
/// not stop while the shared directory contains `stuck-NAME-NODE`.
pub(super) fn stuck_without_programs(config: PairConfig) -> Pair {
    stuck_with_programs(config, "exec sleep 1000")
}

/// The same with programs that reboot by a shell command.
fn stuck_with_programs(config: PairConfig, does: &str) -> Pair {
    let pair = Pair::new(config);
    // The system call ends a PID namespace: it must not be that of the machine.
    let outside = std::fs::read_link("/proc/self/ns/pid").expect("a name");
    for node in NODES {
        let inside = pid_namespace(&pair, node);
        assert!(inside.starts_with("pid:["), "{inside}");
        assert_ne!(
            Path::new(&inside),
            outside,
            "{node} has no namespace of its own"
        );
        let stuck = "stop) [ -e @SHARED@/stuck-$name-$(uname -n) ] && exit 1; sleep $halt;";
        pair.install_script(node, "dummy", &DUMMY.replace("stop) sleep $halt;", stuck));
    }
    let hang = format!(
        "printf '#!/bin/sh\\n{does}\\n' >/run/hang && chmod 755 /run/hang
        for p in /sbin/reboot /sbin/init; do [ ! -e $p ] || mount --bind /run/hang $p || exit 1; done"
    );
    let masked = pair.lab.exec("node1", &["bash", "-c", &hang]);
    assert!(masked.status.success(), "{masked:?}");
    pair
}

/// The first process of node1, which exists as long as the host lives.
fn machine_of_node1(pair: &Pair) -> PathBuf {
    let first = std::fs::read_to_string(pair.lab.dir("node1").join("holder.pid"));
    let first = first.expect("the host's first process").trim().to_owned();
    let machine = Path::new("/proc").join(first);
    assert!(machine.exists());
    machine
}

/// A settled pair, and a fault after which the host of node1 must end; its path exists as long as
/// it lives. The other node serves in the end.
pub(super) fn machine_goes_with(config: PairConfig, trouble: impl FnOnce(&Pair, &Path)) {
    let pair = stuck_without_programs(config);
    pair.start_settled();
    let machine = machine_of_node1(&pair);
    trouble(&pair, &machine);
    pair.wait_owner("node2", ADDRESS_1, "a");
}

/// Lets `begin` try to stop the resource of node1 that does not stop: the machine is rebooted.
pub(super) fn machine_goes(pair: &Pair, begin: impl FnOnce()) {
    std::fs::write(pair.lab.shared().join("stuck-a-node1"), "").expect("the flag");
    let machine = machine_of_node1(pair);
    begin();
    for text in [
        "Resource STOP failure. Reboot required!",
        "Rebooting the machine: ",
    ] {
        pair.wait_log("node1", text);
    }
    wait_until(LONG, "the host of node1 is gone", || !machine.exists());
    pair.wait_owner("node2", ADDRESS_1, "a");
}

/// A resource cannot be stopped.
fn reboot_without_programs(kinds: [Kind; 2]) {
    let pair = stuck_without_programs(PairConfig::new(kinds));
    pair.start_settled();
    machine_goes(&pair, || pair.begin_stop("node1"));
}

/// A program accepts the reboot, and the shutdown that it begins waits for the resource that does not stop.
fn accepted(kinds: [Kind; 2]) {
    let pair = stuck_with_programs(PairConfig::new(kinds), "touch /run/accepted");
    pair.start_settled();
    std::fs::write(pair.lab.shared().join("stuck-a-node1"), "").expect("the flag");
    pair.begin_stop("node1");
    pair.wait_log("node1", "Rebooting the machine: ");
    let accepted = || pair.lab.exec("node1", &["test", "-e", "/run/accepted"]);
    if !Path::new("/sbin/reboot").exists() && !Path::new("/sbin/init").exists() {
        return eprintln!("neither program is there: nothing accepts");
    }
    wait_until(LONG, "the reboot is accepted", || {
        accepted().status.success()
    });
    // Three dead times, which is only a part of the machine's time limit.
    std::thread::sleep(Duration::from_secs(6));
    assert!(pair.runs("node1", "a"));
    assert_eq!(count(&pair.lab, "node2", "start", "a"), 0);
    assert_eq!(pair.log_count("node2", "node node1: is dead"), 0);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_node_sends_heartbeats_until_an_accepted_reboot_comes() {
    run(
        "hang::a_node_sends_heartbeats_until_an_accepted_reboot_comes",
        OURS_OURS,
        accepted,
    );
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_failed_stop_reboots_without_a_disk() {
    run(
        "hang::a_failed_stop_reboots_without_a_disk",
        SYSTOLE_OWNER,
        reboot_without_programs,
    );
}
