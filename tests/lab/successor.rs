//! Everything is released because the daemon cannot go on: the other node waits for it, or the
//! machine is rebooted first. And a successor after a sudden death sends heartbeats in time,
//! whatever has happened to the files.

use std::fs;
use std::path::Path;

use super::death::{guardians, pid, wait_guardian, watched};
use super::hang::machine_goes_with;
use super::history::{DUMMY, assert_never_two_owners, count};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, LONG, NODES, Pair, PairConfig};
use super::{OURS_OURS, SYSTOLE_OWNER, run};

/// Kills the daemon of node1 and waits for another one that is active.
fn kill(pair: &Pair) {
    let before = pid(pair, "node1");
    let active = pair.log_count("node1", "Local status now set to: 'active'");
    pair.lab.sh("node1", &format!("kill -9 {before}"));
    pair.wait_log_count("node1", "Local status now set to: 'active'", active + 1);
}

/// Kills it for the third time within a minute; waits for the daemon that only releases.
pub(super) fn kill_for_the_third_time(pair: &Pair) -> String {
    kill(pair);
    kill(pair);
    let last = pid(pair, "node1");
    pair.lab.sh("node1", &format!("kill -9 {last}"));
    pair.wait_log(
        "node1",
        "the daemon died for the third time within a minute",
    );
    wait_until(LONG, "the stop script runs", || {
        count(&pair.lab, "node1", "stop", "a") > 0
    });
    pid(pair, "node1")
}

/// The stop script takes three dead times: the other node waits for its end.
fn slow_stop(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a::0::6\n");
    config.media.push_str("\nrespawn root /bin/sleep 1000");
    let pair = Pair::new(config);
    pair.start_settled();
    wait_guardian(&pair, "node1", &[]);
    let releasing = kill_for_the_third_time(&pair);
    // A reload now changes nothing, and starts no client.
    let clients = pair.log_count("node1", "Starting child client");
    let reload = format!("touch -d '10 seconds' /etc/ha.d/ha.cf; kill -HUP {releasing}");
    pair.lab.sh("node1", &reload);
    assert!(pair.runs("node1", "a"), "it is still being stopped");
    pair.wait_log("node1", "guardian: all resources are released");
    assert_eq!(pair.log_count("node1", "Starting child client"), clients);
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_never_two_owners(&pair.lab);
    assert_eq!(pair.log_count("node2", "node node1: is dead"), 0);
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 1);
    wait_until(LONG, "no guardian", || guardians(&pair, "node1").is_empty());
    assert_eq!(
        pair.lab.sh(
            "node1",
            "ls /run/heartbeat.* 2>/dev/null | grep -E 'held|good|identity'"
        ),
        ""
    );
    // And it can be started again.
    pair.start("node1");
    pair.wait_holds("node2", "all");
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn three_deaths_and_a_slow_stop_ours_ours() {
    run(
        "successor::three_deaths_and_a_slow_stop_ours_ours",
        OURS_OURS,
        slow_stop,
    );
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn three_deaths_and_a_slow_stop_beside_legacy() {
    run(
        "successor::three_deaths_and_a_slow_stop_beside_legacy",
        SYSTOLE_OWNER,
        slow_stop,
    );
}

/// The daemon that releases dies as well, and the stop script takes longer than the dead time: the
/// machine is rebooted before the other node takes over.
fn nothing_can_beat(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.times = "keepalive 200ms\nwarntime 3\ndeadtime 8\ninitdead 12\n".into();
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a::0::60\n");
    machine_goes_with(config, |pair, machine| {
        let releasing = kill_for_the_third_time(pair);
        pair.lab.sh("node1", &format!("kill -9 {releasing}"));
        pair.wait_log(
            "node1",
            "the daemon died again, in the middle of the release",
        );
        wait_until(LONG, "the address is gone at once", || {
            !machine.exists() || !pair.has_address("node1", ADDRESS_1)
        });
        wait_until(LONG, "the host of node1 is gone", || !machine.exists());
        assert_eq!(count(&pair.lab, "node2", "start", "a"), 0);
    });
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_resource_that_does_not_stop_in_time_reboots_the_machine() {
    run(
        "successor::a_resource_that_does_not_stop_in_time_reboots_the_machine",
        OURS_OURS,
        nothing_can_beat,
    );
}

/// The files on disk are unusable when the daemon dies: broken, missing, or on a disk that hangs.
fn worthless_files(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.media = "ucast eth0 peer.example\nbcast eth0".into();
    let place = |pair: &Pair, node: &str| pair.lab.dir(node).join("ha.d");
    let before = |pair: &Pair| {
        for node in NODES {
            let peer = if node == "node1" { 2 } else { 1 };
            let hosts = format!("127.0.0.1 localhost\n10.77.0.{peer} peer.example\n");
            fs::write(place(pair, node).join("hosts"), hosts).expect("hosts");
            let mount = pair
                .lab
                .exec(node, &["mount", "--bind", "/etc/ha.d/hosts", "/etc/hosts"]);
            assert!(mount.status.success(), "{mount:?}");
        }
    };
    let mut watched = super::death::watched_with(config, before);
    let files = place(&watched.pair, "node1");
    let kept = ["ha.cf", "haresources", "authkeys", "hosts"].map(|name| {
        let path = files.join(name);
        let text = fs::read(&path).expect("a file");
        (path, text)
    });
    // Opening a pipe without a writer blocks; the name cannot be resolved any more.
    watched.pair.lab.sh(
        "node1",
        "cd /etc/ha.d && rm ha.cf haresources && mkfifo ha.cf && echo nonsense >authkeys && : >hosts",
    );
    watched.kill_daemon("KILL");
    watched.nothing_moved();
    fs::remove_file(files.join("ha.cf")).expect("the pipe");
    for (path, text) in kept {
        fs::write(path, text).expect("the file");
    }
    watched.stops_in_order();
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_successor_needs_no_file_ours_ours() {
    run(
        "successor::a_successor_needs_no_file_ours_ours",
        OURS_OURS,
        worthless_files,
    );
}

/// From now on not a byte can be written to /run of node1.
fn fill_run(pair: &Pair) {
    let fill = "mount -o remount,size=1m /run && head -c 2m /dev/zero >/run/fill; echo x >/run/more || echo full";
    let said = pair.lab.sh("node1", fill);
    assert!(said.contains("full"), "{said}");
}

/// Not a byte can be written to /run when the daemon dies.
fn full_run(kinds: [Kind; 2]) {
    let mut watched = super::death::watched_with(PairConfig::new(kinds), |_| {});
    fill_run(&watched.pair);
    watched.kill_daemon("KILL");
    watched.nothing_moved();
    watched.kill_daemon("KILL");
    watched.nothing_moved();
    watched.stops_in_order();
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_successor_needs_no_room_in_run() {
    run(
        "successor::a_successor_needs_no_room_in_run",
        OURS_OURS,
        full_run,
    );
}

/// The same, and it dies three times within a minute: everything is released all the same.
fn full_run_and_three_deaths(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds));
    pair.start_settled();
    wait_guardian(&pair, "node1", &[]);
    fill_run(&pair);
    kill_for_the_third_time(&pair);
    pair.wait_log("node1", "guardian: all resources are released");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert!(!pair.runs("node1", "a") && !pair.has_address("node1", ADDRESS_1));
    assert_eq!(count(&pair.lab, "node1", "start", "a"), 1);
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 1);
    assert_never_two_owners(&pair.lab);
    wait_until(LONG, "no guardian", || guardians(&pair, "node1").is_empty());
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn three_deaths_with_no_room_in_run() {
    run(
        "successor::three_deaths_with_no_room_in_run",
        OURS_OURS,
        full_run_and_three_deaths,
    );
}

/// The file of the program is replaced under a running daemon, without a reload. The new file is a
/// program that knows none of our arguments and ends with 0 whatever it is told: it must run no
/// script, and no successor.
fn another_program(kinds: [Kind; 2]) {
    const PROGRAM: &str = "/run/program/heartbeat";
    let pair = Pair::new(PairConfig::new(kinds));
    let lay = |program: &str| {
        let script = format!(
            "mkdir -p /run/program && cp {program} /run/program/new && mv /run/program/new {PROGRAM}"
        );
        let output = pair.lab.exec("node1", &["bash", "-c", &script]);
        assert!(output.status.success(), "{output:?}");
    };
    let ours = pair.program(Kind::Systole, "heartbeat");
    lay(&ours.display().to_string());
    let output = pair.lab.exec("node1", &["setsid", PROGRAM]);
    assert!(output.status.success(), "{output:?}");
    pair.start("node2");
    pair.wait_active();
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_holds("node1", "local");
    // The guardian of another program file is another guardian.
    let first = wait_guardian(&pair, "node1", &[]);
    lay(&ours.display().to_string());
    pair.lab
        .sh("node1", "touch -d '10 seconds' /etc/ha.d/ha.cf");
    let output = pair.lab.exec("node1", &["setsid", PROGRAM, "-r"]);
    assert!(output.status.success(), "{output:?}");
    let guardian = wait_guardian(&pair, "node1", &[first]);
    lay("/bin/true");
    kill(&pair);
    pair.lab.sh("node1", &format!("kill -9 {guardian}"));
    wait_guardian(&pair, "node1", &[guardian]);
    kill(&pair);
    pair.wait_holds("node1", "local");
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 0);
    pair.operator("node1", "hb_standby");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 1);
    assert!(!pair.runs("node1", "a"));
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn an_exchanged_file_runs_nothing() {
    run(
        "successor::an_exchanged_file_runs_nothing",
        OURS_OURS,
        another_program,
    );
}

/// A successor is stopped at the first moment when it can be found: this must not kill it.
fn stopped_at_once(kinds: [Kind; 2]) {
    let watched = watched(PairConfig::new(kinds));
    let pair = &watched.pair;
    let old = pid(pair, "node1");
    let script = format!(
        "kill -9 {old}; until read -r new </run/heartbeat.pid && [ \"$new\" != {old} ]; do :; done; \
         kill -TERM $new"
    );
    let output = pair.lab.exec("node1", &["bash", "-c", &script]);
    assert!(output.status.success(), "{output:?}");
    pair.wait_stopped("node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    let died = "The daemon was killed or crashed";
    assert_eq!(pair.log_count("node1", died), 1);
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 1);
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_successor_that_is_stopped_at_once_stops() {
    run(
        "successor::a_successor_that_is_stopped_at_once_stops",
        OURS_OURS,
        stopped_at_once,
    );
}

/// The content of the files is not recorded, and their disk hangs: the daemon that was started
/// again never sends a heartbeat. This is noticed before the other node takes over.
fn sends_no_heartbeat(kinds: [Kind; 2]) {
    sends_no_heartbeat_after(kinds, 0);
}

/// The last daemon hung for this many seconds before it died.
fn sends_no_heartbeat_after(kinds: [Kind; 2], hung: u32) {
    let mut config = PairConfig::new(kinds);
    config.times = "keepalive 200ms\nwarntime 3\ndeadtime 8\ninitdead 12\n".into();
    let watched = watched(config);
    let pair = &watched.pair;
    let last = pid(pair, "node1");
    let script = format!(
        "rm /run/heartbeat.good; cd /etc/ha.d && rm ha.cf && mkfifo ha.cf
         kill -STOP {last}; sleep {hung}; kill -9 {last}"
    );
    pair.lab.sh("node1", &script);
    wait_until(LONG, "node1 runs nothing", || {
        !pair.runs("node1", "a") && !pair.has_address("node1", ADDRESS_1)
    });
    assert_eq!(count(&pair.lab, "node2", "start", "a"), 0);
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_never_two_owners(&pair.lab);
    wait_until(LONG, "no guardian", || guardians(pair, "node1").is_empty());
    assert!(Path::new(&pair.lab.dir("node1")).exists());
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_successor_that_sends_no_heartbeat_is_noticed() {
    run(
        "successor::a_successor_that_sends_no_heartbeat_is_noticed",
        SYSTOLE_OWNER,
        sends_no_heartbeat,
    );
}

/// The other node waits from the last heartbeat, not from the death.
#[test]
#[ignore = "lab: run by scripts/test"]
fn a_successor_of_one_that_hung_is_noticed_in_time() {
    run(
        "successor::a_successor_of_one_that_hung_is_noticed_in_time",
        OURS_OURS,
        |kinds| sends_no_heartbeat_after(kinds, 5),
    );
}

/// The same on a node that is alone: no node takes over from it, so it has the time that it needs.
fn alone(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.times = "keepalive 200ms\nwarntime 1\ndeadtime 2\ninitdead 3\n".into();
    let pair = Pair::new(config);
    pair.start("node1");
    pair.wait_owner("node1", ADDRESS_1, "a");
    wait_guardian(&pair, "node1", &[]);
    let active = "Local status now set to: 'active'";
    let before = pair.log_count("node1", active);
    let last = pid(&pair, "node1");
    let script = format!(
        "rm /run/heartbeat.good; cd /etc/ha.d && mv ha.cf kept && mkfifo ha.cf; kill -9 {last}; sleep 4"
    );
    pair.lab.sh("node1", &script);
    assert!(pair.runs("node1", "a") && pair.has_address("node1", ADDRESS_1));
    // A reader of the pipe gets the file.
    pair.lab.sh(
        "node1",
        "cd /etc/ha.d && timeout 60 cp kept ha.cf; mv kept ha.cf",
    );
    pair.wait_log_count("node1", active, before + 1);
    pair.wait_owner("node1", ADDRESS_1, "a");
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 0);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_node_that_is_alone_waits_for_a_slow_successor() {
    run(
        "successor::a_node_that_is_alone_waits_for_a_slow_successor",
        OURS_OURS,
        alone,
    );
}

/// Kills the daemon of node1 in the middle of the start script of `a`.
fn killed_in_a_start(pair: &Pair) {
    pair.start_both();
    wait_until(LONG, "the start script runs", || {
        count(&pair.lab, "node1", "start", "a") == 1
    });
    wait_guardian(pair, "node1", &[]);
    let before = pid(pair, "node1");
    pair.lab.sh("node1", &format!("kill -9 {before}"));
    pair.wait_log("node1", "a script of an earlier daemon still runs");
}

/// The script's status gives no answer: only the exit code tells the result of the start that
/// outlived the daemon.
fn start_succeeds_after_the_death(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a::4 dummy::z\n");
    let pair = Pair::new(config);
    for node in NODES {
        let mute = DUMMY.replace("then echo running; else echo stopped; fi", "then :; fi");
        assert_ne!(mute, DUMMY);
        pair.install_script(node, "dummy", &mute);
    }
    killed_in_a_start(&pair);
    pair.wait_owner("node1", ADDRESS_1, "z");
    assert!(pair.runs("node1", "a"));
    for node in NODES {
        pair.wait_holds(node, "local");
    }
    assert_eq!(count(&pair.lab, "node1", "start", "a"), 1);
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 0);
    assert_eq!(pair.lab.sh("node1", "ls /run/heartbeat.scripts"), "");
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_start_that_outlives_the_daemon_is_not_called_again() {
    run(
        "successor::a_start_that_outlives_the_daemon_is_not_called_again",
        OURS_OURS,
        start_succeeds_after_the_death,
    );
}

/// It fails: that counts as during the daemon's life, and it is not called a second time.
fn start_fails_after_the_death(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a::4\n");
    let pair = Pair::new(config);
    fs::write(pair.lab.shared().join("fail-a-node1"), "").expect("the flag");
    killed_in_a_start(&pair);
    pair.wait_log("node1", "Giving up resources due to failure of dummy::a");
    assert_eq!(count(&pair.lab, "node1", "start", "a"), 1);
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_start_that_fails_after_the_death_has_failed() {
    run(
        "successor::a_start_that_fails_after_the_death_has_failed",
        OURS_OURS,
        start_fails_after_the_death,
    );
}

/// Daemon, guardian and the process beside the script die at once, as when an administrator kills
/// all of them. The next start finds the running script: no other one is begun beside it.
fn all_die_in_a_start(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.times = "keepalive 200ms\nwarntime 1\ndeadtime 2\ninitdead 3\n".into();
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a::8\n");
    let pair = Pair::new(config);
    pair.start("node1");
    wait_until(LONG, "the start script runs", || {
        count(&pair.lab, "node1", "start", "a") == 1
    });
    let (daemon, guardian) = (pid(&pair, "node1"), wait_guardian(&pair, "node1", &[]));
    let kill = format!("kill -9 {daemon} {guardian} $(pgrep -x hb-script); echo $?");
    assert_eq!(pair.lab.sh("node1", &kill).trim(), "0");
    pair.start("node1");
    pair.wait_log(
        "node1",
        "the process beside a script of an earlier daemon was killed: waiting for the script",
    );
    assert!(!pair.runs("node1", "a"), "the script was not waited for");
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_holds("node1", "all");
    assert_eq!(count(&pair.lab, "node1", "start", "a"), 1);
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 0);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_start_that_outlives_everything_of_ours_is_not_called_again() {
    run(
        "successor::a_start_that_outlives_everything_of_ours_is_not_called_again",
        OURS_OURS,
        all_die_in_a_start,
    );
}
