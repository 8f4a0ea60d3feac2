//! Monitors of resources: a service that dies alone is restarted and, when that does not help, its group goes
//! to the other node; what is not sure acts on nothing.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use super::history::{assert_never_two_owners, count};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, LONG, NODES, Pair, PairConfig};
use super::{OURS_OURS, SYSTOLE_OWNER, run};

const SYSTOLE: &str = env!("CARGO_BIN_EXE_systole");

/// A service with a process of its own: `service NAME start|stop|status`. Its words say nothing, only its exit
/// code does.
const SERVICE: &str = r#"#!/bin/sh
name=$1 op=$2 pid=/run/service-$name.pid
note() { echo "$(date +%s.%3N) $(uname -n) $op $name $1" >>@SHARED@/calls; }
runs() { [ -s $pid ] && kill -0 "$(cat $pid)" 2>/dev/null; }
case $op in
  start) note begin
    [ -e @SHARED@/fail-$name-$(uname -n) ] && { note failed; exit 1; }
    runs || { setsid sleep 100000 </dev/null >/dev/null 2>&1 & echo $! >$pid; }
    note end ;;
  stop) note begin; runs && kill "$(cat $pid)"; rm -f $pid; note end ;;
  status) runs && { echo "Uptime: 3 s"; exit 0; }; echo "service $name is gone"; exit 3 ;;
esac
exit 0
"#;

/// What a unit of systemd looks like, by a file.
const UNIT: &str = r#"#!/bin/sh
unit=$1 op=$2 state=/run/unit-$unit
note() { echo "$(date +%s.%3N) $(uname -n) $op $unit $1" >>@SHARED@/calls; }
case $op in
  start) note begin; echo active >$state; note end ;;
  stop) note begin; echo inactive >$state; note end ;;
  status) case $(cat $state) in
      inactive|failed) echo "stopped ($(cat $state))"; exit 3 ;;
      '') exit 4 ;;
      *) echo "running ($(cat $state))" ;;
    esac ;;
esac
exit 0
"#;

fn pair(kinds: [Kind; 2], resources: &str, settings: &str) -> Pair {
    let mut config = PairConfig::new(kinds);
    config.times = "keepalive 200ms\nwarntime 1\ndeadtime 2\ninitdead 4\n".into();
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 {resources}\n");
    let pair = Pair::new(config);
    for node in NODES {
        pair.install_script(node, "service", SERVICE);
        pair.install_script(node, "systemd", UNIT);
        if pair.kind(node).is_ours() {
            let file = pair.lab.dir(node).join("ha.d/systole.toml");
            fs::write(file, settings).expect("settings");
        }
    }
    pair
}

fn systole(pair: &Pair, node: &str, words: &str) -> String {
    pair.lab.sh(node, &format!("{SYSTOLE} {words}"))
}

/// The state of the first monitor of the group.
fn state(pair: &Pair, node: &str) -> String {
    let view = pair.view(node);
    let state = &view["groups"][0]["monitors"][0]["state"];
    state.as_str().unwrap_or_default().to_owned()
}

fn wait_state(pair: &Pair, node: &str, wanted: &str) {
    wait_until(LONG, wanted, || state(pair, node) == wanted);
}

fn dies(pair: &Pair, node: &str) {
    pair.lab.sh(node, "kill -9 $(cat /run/service-web.pid)");
}

const GROUP: &str = "10.77.0.100/24/eth0";

/// Killed once it is restarted with what stands right of it; killed twice its group moves, and not back.
fn killed(kinds: [Kind; 2]) {
    let settings =
        "[[monitor]]\nresource = \"service\"\ninterval_s = 1\nfailures = 2\nrestarts = 1\n";
    let pair = pair(kinds, "dummy::a service::web dummy::z", settings);
    pair.start_settled();
    wait_state(&pair, "node1", "good");
    let status = systole(&pair, "node1", "status");
    assert!(status.contains("(checked "), "{status}");

    let standby_says = |words: &str| {
        let says = || systole(&pair, "node2", "status; true").contains(words);
        kinds[1].is_ours().then(|| wait_until(LONG, words, says));
    };
    standby_says("(READY here, checked ");
    let script = "/etc/ha.d/resource.d/service";
    pair.lab.sh("node2", &format!("chmod -x {script}"));

    dies(&pair, "node1");
    pair.wait_log_count(
        "node1",
        "service::web of group 10.77.0.100/24/eth0 has failed",
        1,
    );
    wait_until(LONG, "it runs again", || {
        count(&pair.lab, "node1", "start", "web") == 2 && state(&pair, "node1") == "good"
    });
    let of = |node: &str, what: &str, name: &str| count(&pair.lab, node, what, name);
    assert_eq!(of("node1", "start", "z"), 2, "what stands right of it");
    assert_eq!(of("node1", "start", "a"), 1, "what stands left of it");
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    let why = systole(&pair, "node1", "why");
    assert!(
        why.contains("restarts service::web and what stands right of it"),
        "{why}"
    );

    standby_says("this node is NOT READY to run it: there is no script service");
    pair.lab.sh("node2", &format!("chmod +x {script}"));
    dies(&pair, "node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_log_count(
        "node1",
        "CRIT: Giving up resources due to failure of service::web",
        1,
    );
    assert_eq!(of("node1", "stop", "a"), 1);
    if kinds == OURS_OURS {
        for _ in 0..2 {
            wait_state(&pair, "node2", "good");
            dies(&pair, "node2");
            wait_until(LONG, "it is found", || state(&pair, "node2") != "good");
        }
        wait_state(&pair, "node2", "given_up");
        let status = systole(&pair, "node2", "status; true");
        assert!(
            status.contains("service::web FAILED, restarts did not help"),
            "{status}"
        );
        assert!(status.contains("within its restart_window_s"), "{status}");
        sleep(Duration::from_secs(1));
        assert_eq!(pair.owners(ADDRESS_1), ["node2"]);
        let checks = systole(&pair, "node2", &format!("monitor run {GROUP}; true"));
        assert!(
            checks.contains("bad      service::web  status: exit code 3: service web is gone"),
            "{checks}"
        );
        systole(&pair, "node2", &format!("clear {GROUP}"));
        // No failure counts any more: it is restarted here, or moved again.
        wait_until(LONG, "it is served again", || {
            NODES.iter().any(|node| state(&pair, node) == "good")
        });
    }
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_killed_service_is_restarted_and_then_moved() {
    run("monitored::killed", OURS_OURS, killed);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_killed_service_beside_a_legacy_node() {
    run("monitored::killed_beside_legacy", SYSTOLE_OWNER, killed);
}

/// A unit that reloads is no failure; a check that was never good acts on nothing; a freeze and a killed daemon
/// restart nothing; an order ends a check that hangs.
fn in_doubt(kinds: [Kind; 2]) {
    let settings = "[[monitor]]\nresource = \"systemd\"\ninterval_s = 1\nfailures = 2\nthen = \"stay\"\n\n\
                    [[monitor]]\nresource = \"dummy::never\"\ncheck = \"run:/bin/false\"\ninterval_s = 1\n\n\
                    [[monitor]]\nresource = \"dummy::a\"\ncheck = \"/run/hangs\"\ninterval_s = 1\ntimeout_s = 600\n";
    let pair = pair(kinds, "systemd::unit dummy::never dummy::a", settings);
    for node in NODES {
        pair.lab.sh(node, "printf '#!/bin/sh\\n[ ! -e /run/hang ] || exec sleep 4711\\n' >/run/hangs; chmod +x /run/hangs");
    }
    pair.start_settled();
    let starts = || count(&pair.lab, "node1", "start", "unit");
    let unit = |state: &str| {
        pair.lab
            .sh("node1", &format!("echo {state} >/run/unit-unit"))
    };
    wait_state(&pair, "node1", "good");
    pair.wait_log("node1", "no check of dummy::never of group 10.77.0.100/24/eth0 was good since the start: exit code 1");
    unit("reloading");
    pair.wait_log(
        "node1",
        "it is not known whether systemd::unit of group 10.77.0.100/24/eth0 runs",
    );
    assert_eq!(state(&pair, "node1"), "unknown");

    systole(&pair, "node1", "freeze");
    unit("failed");
    sleep(Duration::from_secs(4));
    assert_eq!(starts(), 1, "frozen");
    unit("active");
    systole(&pair, "node1", "thaw");
    wait_state(&pair, "node1", "good");

    pair.lab.sh("node1", "kill -9 $(cat /run/heartbeat.pid)");
    pair.wait_log_count("node1", "info: Heartbeat generation:", 2);
    wait_state(&pair, "node1", "good");
    assert_eq!(starts(), 1, "a killed daemon restarts nothing");
    assert_eq!(count(&pair.lab, "node1", "start", "never"), 1);

    // What it knew of the checks counts for the next one: the unit dies in the moment of the daemon. Its check in hand
    // is ended.
    let hangs = || pair.lab.sh("node1", "pgrep -f '^sleep 4711$'; true");
    pair.lab.sh("node1", "touch /run/hang");
    wait_until(LONG, "a check hangs", || !hangs().is_empty());
    unit("failed");
    pair.lab
        .sh("node1", "rm /run/hang; kill -9 $(cat /run/heartbeat.pid)");
    wait_until(LONG, "it was ended", || hangs().is_empty());
    wait_until(
        LONG,
        "it is restarted, with what stands right of it",
        || starts() == 2 && count(&pair.lab, "node1", "start", "a") == 2,
    );
    wait_state(&pair, "node1", "good");
    pair.lab.sh("node1", "touch /run/hang");
    wait_until(LONG, "the check hangs", || !hangs().is_empty());
    systole(&pair, "node1", "standby --wait");
    pair.wait_owner("node2", ADDRESS_1, "never");
    assert!(hangs().is_empty(), "the check was ended");
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn what_is_in_doubt_acts_on_nothing() {
    run("monitored::in_doubt", OURS_OURS, in_doubt);
}

/// With `then = "stop"` the group is stopped and stays down, on both nodes, until a person says that it is repaired.
fn stopped(kinds: [Kind; 2]) {
    let settings = "[[monitor]]\nresource = \"service\"\ninterval_s = 1\nfailures = 1\nrestarts = 0\nthen = \"stop\"\n";
    let pair = pair(kinds, "dummy::a service::web", settings);
    pair.start_settled();
    wait_state(&pair, "node1", "good");
    dies(&pair, "node1");
    pair.wait_log_count(
        "node1",
        "is stopped and stays down, because restarts did not help service::web",
        1,
    );
    wait_until(LONG, "it is stopped", || {
        count(&pair.lab, "node1", "stop", "a") == 1
    });
    sleep(Duration::from_secs(3));
    assert!(pair.owners(ADDRESS_1).is_empty());
    let status = systole(&pair, "node1", "status; true");
    assert!(
        status.contains(&format!("systole clear {GROUP} starts it")),
        "{status}"
    );
    systole(&pair, "node1", &format!("clear {GROUP}"));
    pair.wait_owner("node1", ADDRESS_1, "a");
    wait_state(&pair, "node1", "good");
    assert_eq!(count(&pair.lab, "node2", "start", "a"), 0);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_group_is_stopped_until_a_person_clears_it() {
    run("monitored::stopped", OURS_OURS, stopped);
}
