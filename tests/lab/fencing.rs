//! A dead owner is reset before its groups are taken over: by the `stonith` command of cluster-glue
//! and a plugin that records what it is told.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::history::assert_never_two_owners;
use super::host::{Kind, skip, wait_until};
use super::pair::{ADDRESS_1, LONG, NODES, Pair, PairConfig};
use super::{LEGACY_OWNER, OURS_OURS, run};

const PASSWORD: &str = "Geheim-4711";

const PLUGIN: &str = r#"#!/bin/sh
case "$1" in
getconfignames) echo "hostlist password";;
getinfo-*) echo rec;;
gethosts) echo "$hostlist" | tr , '\n';;
reset)
    echo "$(hostname) resets $2" >>@SHARED@/resets
    [ ! -e @SHARED@/broken ] || { echo "the switch says no to $password" >&2; exit 1; };;
esac
exit 0
"#;

fn with_device(kinds: [Kind; 2]) -> Pair {
    let mut config = PairConfig::new(kinds);
    let line = format!("stonith_host * external/rec node1,node2 {PASSWORD}\n");
    config.times.push_str(&line);
    let pair = Pair::new(config);
    for node in NODES {
        pair.install_script(node, "rec", PLUGIN);
        let plugins = pair.lab.dir(node).join("plugins");
        let plugin = pair.lab.dir(node).join("ha.d/resource.d/rec");
        std::fs::create_dir_all(&plugins).expect("plugins");
        std::fs::rename(plugin, plugins.join("rec")).expect("moved");
        let mount = format!(
            "mount --bind {} /usr/lib/stonith/plugins/external",
            plugins.display()
        );
        pair.lab.sh(node, &mount);
    }
    pair
}

fn resets(pair: &Pair) -> Vec<String> {
    let text = std::fs::read_to_string(pair.lab.shared().join("resets")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn systole(pair: &Pair, words: &str) -> String {
    let program = pair.program(Kind::Systole, "systole");
    pair.lab
        .sh("node2", &format!("{} {words}", program.display()))
}

/// The device fails twice and more, then it obeys.
fn fails_then_obeys(kinds: [Kind; 2]) {
    let pair = with_device(kinds);
    let broken = pair.lab.shared().join("broken");
    std::fs::write(&broken, "").expect("the flag");
    pair.start_settled();
    let before = resets(&pair).len();
    let listed = systole(&pair, "fence list");
    assert!(
        listed.contains("external/rec (/etc/ha.d/ha.cf:"),
        "{listed}"
    );
    wait_until(LONG, "the device is known", || {
        systole(&pair, "fence list").contains("resets node1, node2")
    });
    pair.lab.power_off("node1");
    pair.wait_log("node2", "Resetting node node1 with [external/rec]");
    pair.wait_log_count("node2", "STONITH of node1 failed.  Retrying...", 2);
    assert_eq!(pair.owners(ADDRESS_1), [""; 0]);
    assert!(!pair.runs("node2", "a"));
    std::fs::remove_file(&broken).expect("the flag");
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_log("node2", "node node1 now reset.");
    let all = resets(&pair);
    assert!(all.len() >= before + 3, "{all:?}");
    assert!(all.iter().all(|it| it == "node2 resets node1"), "{all:?}");
    let log = pair.lab.log("node2");
    assert!(log.contains("the switch says no to ***"), "{log}");
    let debug = pair.lab.sh("node2", "cat /var/log/ha-debug");
    assert!(!log.contains(PASSWORD) && !debug.contains(PASSWORD));
    sleep(Duration::from_secs(6));
    assert_eq!(resets(&pair), all, "once it was reset, no more");
    assert_never_two_owners(&pair.lab);
}

/// A person says that the node is off.
fn confirmed(kinds: [Kind; 2]) {
    let pair = with_device(kinds);
    std::fs::write(pair.lab.shared().join("broken"), "").expect("the flag");
    pair.start_settled();
    pair.lab.power_off("node1");
    pair.wait_log("node2", "STONITH of node1 failed.  Retrying...");
    assert_eq!(pair.owners(ADDRESS_1), [""; 0]);
    assert_eq!(
        systole(&pair, "fence confirm node1"),
        "confirmed: node1 counts as reset\n"
    );
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_log("node2", "confirms that node1 is off: it counts as fenced");
}

fn run_with_glue(name: &str, kinds: [Kind; 2], scenario: fn([Kind; 2])) {
    if Path::new("/usr/lib/stonith/plugins/external").exists() {
        run(name, kinds, scenario);
    } else {
        skip(name, "cluster-glue is not installed");
    }
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn fails_then_obeys_ours_ours() {
    run_with_glue("fencing::fails_then_obeys", OURS_OURS, fails_then_obeys);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn fails_then_obeys_legacy_owner() {
    run_with_glue("fencing::fails_then_obeys", LEGACY_OWNER, fails_then_obeys);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn confirmed_ours_ours() {
    run_with_glue("fencing::confirmed", OURS_OURS, confirmed);
}
