//! What a node starts has no signal blocked, whoever called the node and whichever of its processes starts it: a service keeps
//! what its script had for as long as it lives, and one that cannot receive TERM can only be killed.

use std::fs;

use super::death::{pid, wait_guardian};
use super::host::wait_until;
use super::pair::{ADDRESS_1, LONG, Pair, PairConfig};
use super::successor::kill_for_the_third_time;
use super::{OURS_OURS, run};

/// Writes down the signals that are blocked in it, as a bit each, after who it is.
const SHOWS: &str =
    "echo \"$0 $1 $(sed -n 's/^SigBlk:.//p' /proc/$$/status)\" >>@SHARED@/blocked\n";

fn lines_of<'a>(blocked: &'a str, of: &str) -> Vec<&'a str> {
    blocked.lines().filter(|line| line.contains(of)).collect()
}

/// Called by a program that blocks every signal, restarted in place, revived twice, released by a successor.
#[test]
#[ignore = "lab: run by scripts/test"]
fn nothing_that_a_node_starts_has_signals_blocked() {
    run("signals::blocked", OURS_OURS, |kinds| {
        let mut config = PairConfig::new(kinds);
        config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a shows\n");
        config
            .media
            .push_str("\nrespawn root /etc/ha.d/resource.d/client");
        let pair = Pair::new(config);
        let client = format!("#!/bin/sh\n{SHOWS}exec sleep 1000\n");
        for node in ["node1", "node2"] {
            pair.install_script(node, "shows", &format!("#!/bin/sh\n{SHOWS}exit 0\n"));
            pair.install_script(node, "client", &client);
        }
        let daemon = pair.daemon("node1");
        let begun = pair
            .lab
            .exec("node1", &["setsid", "env", "--block-signal", &daemon]);
        assert!(begun.status.success(), "{begun:?}");
        pair.start("node2");
        pair.wait_active();
        pair.wait_owner("node1", ADDRESS_1, "a");
        pair.wait_holds("node1", "local");
        wait_guardian(&pair, "node1", &[]);
        let before = pid(&pair, "node1");
        pair.lab.sh(
            "node1",
            &format!("touch -d '10 seconds' /etc/ha.d/ha.cf; {daemon} -r"),
        );
        pair.wait_log_count("node1", "Local status now set to: 'active'", 2);
        assert_eq!(pid(&pair, "node1"), before, "in place");
        let written = pair.lab.shared().join("blocked");
        let clients = || {
            let blocked = fs::read_to_string(&written).unwrap_or_default();
            lines_of(&blocked, "client").len()
        };
        wait_until(LONG, "three clients have written", || clients() >= 3);
        kill_for_the_third_time(&pair);
        pair.wait_owner("node2", ADDRESS_1, "a");
        // A stop that comes to a process which had everything blocked.
        pair.stop("node2");
        // By a helper that a person calls, beside no daemon.
        let helper = "/usr/libexec/systole/ResourceManager";
        let group = format!("{ADDRESS_1}/24/eth0");
        let called = format!("env --block-signal {helper} takegroup {group}");
        pair.lab.sh("node2", &called);
        let blocked = fs::read_to_string(&written).expect("written");
        let some: Vec<_> = blocked
            .lines()
            .filter(|line| !line.ends_with(" 0000000000000000"))
            .collect();
        assert!(some.is_empty(), "{some:#?}");
        // By the process that releases, and by node2.
        assert!(lines_of(&blocked, "shows start").len() >= 3, "{blocked}");
        assert!(lines_of(&blocked, "shows stop").len() >= 2, "{blocked}");
    });
}
