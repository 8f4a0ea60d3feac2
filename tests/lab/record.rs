//! The record of what a daemon holds: where it cannot be read or written, and where an old one lies about.

use super::death::{guardians, pid, wait_guardian};
use super::history::{assert_never_two_owners, count};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, LONG, Pair, PairConfig};
use super::{OURS_OURS, run};

/// The last line of a release that knew everything.
const ALL: &str = "guardian: all resources are released";

/// A successor was started after a death.
const DIED: &str = "The daemon was killed or crashed";

fn begin(config: PairConfig) -> Pair {
    let pair = Pair::new(config);
    pair.start_settled();
    wait_guardian(&pair, "node1", &[]);
    pair
}

/// The file is cut short when the daemon dies: everything in haresources is stopped, and nobody says that
/// nothing else may run.
fn cut_short(kinds: [Kind; 2]) {
    let pair = begin(PairConfig::new(kinds));
    let last = pid(&pair, "node1");
    let cut = format!("printf cut >/run/heartbeat.held; kill -9 {last}");
    pair.lab.sh("node1", &cut);
    pair.wait_log("node1", "what it held cannot be read");
    pair.wait_log(
        "node1",
        "not released, and may still run here: what /run/heartbeat.held named",
    );
    assert_eq!(pair.log_count("node1", ALL), 0);
    assert!(!pair.runs("node1", "a") && !pair.has_address("node1", ADDRESS_1));
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_never_two_owners(&pair.lab);
    wait_until(LONG, "no guardian", || guardians(&pair, "node1").is_empty());
    assert!(!pair.lab.sh("node1", "ls /run/heartbeat.held").is_empty());
    // And it can be started again.
    pair.start("node1");
    pair.wait_holds("node2", "all");
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_record_that_is_cut_short_means_that_everything_may_run() {
    run(
        "record::a_record_that_is_cut_short_means_that_everything_may_run",
        OURS_OURS,
        cut_short,
    );
}

/// Each byte that becomes free in /run is taken at once, and groups move: a daemon that dies then is started
/// again with what it holds by now.
fn full_run_and_a_standby(kinds: [Kind; 2]) {
    let pair = begin(PairConfig::new(kinds));
    let fill = "mount -o remount,size=1m /run
        timeout 120 bash -c 'exec 3<> <(:)
            while :; do printf %4096s x; read -t 0.002 -u 3; done' >/run/fill 2>/dev/null &
        sleep 1; echo x >/run/more || echo full";
    let said = pair.lab.sh("node1", fill);
    assert!(said.contains("full"), "{said}");
    pair.operator("node1", "hb_standby");
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_holds("node1", "none");
    // In no moment was there none.
    assert_eq!(pair.log_count("node1", "what is held cannot be written"), 0);
    let last = pid(&pair, "node1");
    pair.lab.sh("node1", &format!("kill -9 {last}"));
    pair.wait_log(
        "node1",
        &format!("{DIED}: started again by its guardian, holding none"),
    );
    pair.wait_holds("node2", "all");
    assert_eq!(pair.log_count("node1", "releasing all resources"), 0);
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 1);
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn what_moves_while_run_is_full_is_on_record() {
    run(
        "record::what_moves_while_run_is_full_is_on_record",
        OURS_OURS,
        full_run_and_a_standby,
    );
}

/// The pid file is gone, or names another: a restart in place is one all the same, and reads the new files.
fn without_a_pid_file(kinds: [Kind; 2]) {
    let pair = begin(PairConfig::new(kinds));
    let own = pid(&pair, "node1");
    let reload = format!(
        "echo 2147483647 >/run/heartbeat.pid
        echo 'respawn root /bin/sleep 777' >>/etc/ha.d/ha.cf; touch -d '10 seconds' /etc/ha.d/ha.cf; kill -HUP {own}"
    );
    let active = pair.log_count("node1", "Local status now set to: 'active'");
    pair.lab.sh("node1", &reload);
    pair.wait_log_count("node1", "Local status now set to: 'active'", active + 1);
    pair.wait_holds("node1", "local");
    assert_eq!(pid(&pair, "node1"), own);
    assert_eq!(pair.log_count("node1", DIED), 0);
    // It does not go by the files of before.
    wait_until(LONG, "the new client", || {
        !pair.lab.sh("node1", "pgrep -f 'slee[p] 777'").is_empty()
    });
    // And a death is one, although the number in the pid file is that of the successor by then.
    pair.lab.sh("node1", &format!("kill -9 {own}"));
    pair.wait_log("node1", DIED);
    pair.wait_holds("node1", "local");
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 0);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_restart_in_place_needs_no_pid_file() {
    run(
        "record::a_restart_in_place_needs_no_pid_file",
        OURS_OURS,
        without_a_pid_file,
    );
}

/// From a reload on there is no guardian: nothing of before lies about, and nobody goes by it.
fn guardian_switched_off(kinds: [Kind; 2]) {
    let pair = begin(PairConfig::new(kinds));
    let left = "ls /run/heartbeat.* 2>/dev/null | grep -E 'held|good|identity'";
    assert_eq!(pair.lab.sh("node1", left).lines().count(), 3);
    let own = pid(&pair, "node1");
    let off = format!(
        "echo 'guardian = \"off\"' >>/etc/ha.d/systole.toml
        touch -d '10 seconds' /etc/ha.d/ha.cf; kill -HUP {own}"
    );
    pair.lab.sh("node1", &off);
    wait_until(LONG, "no guardian", || guardians(&pair, "node1").is_empty());
    wait_until(LONG, "no files", || pair.lab.sh("node1", left).is_empty());
    // It goes on with what it is told, not with a file.
    let again = format!("touch -d '20 seconds' /etc/ha.d/ha.cf; kill -HUP {own}");
    let active = pair.log_count("node1", "Local status now set to: 'active'");
    pair.lab.sh("node1", &again);
    pair.wait_log_count("node1", "Local status now set to: 'active'", active + 1);
    pair.wait_holds("node1", "local");
    assert_eq!(pair.log_count("node1", DIED), 0);
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 0);
    // Killed, it leaves nothing that a service manager would release.
    pair.lab.sh("node1", &format!("kill -9 {own}"));
    let daemon = pair.daemon("node1");
    let release = format!("(exec -a 'heartbeat: releasing resources' {daemon} orphaned); echo $?");
    assert_eq!(pair.lab.sh("node1", &release).trim(), "0");
    assert!(pair.runs("node1", "a"));
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn without_a_guardian_no_record_is_left() {
    run(
        "record::without_a_guardian_no_record_is_left",
        OURS_OURS,
        guardian_switched_off,
    );
}
