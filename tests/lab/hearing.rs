//! One-way links are logged on both nodes, and a healthy pair logs no warning about its links.

use std::fs;

use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, ADDRESS_2, LONG, NODES, Pair, PairConfig};
use super::{LEGACY_OWNER, OURS_OURS, SYSTOLE_OWNER, run};

/// The output of `systole` on a node.
fn systole(pair: &Pair, node: &str, verb: &str) -> String {
    let program = env!("CARGO_BIN_EXE_systole");
    pair.lab.sh(node, &format!("{program} {verb} 2>&1; true"))
}

/// A scrape by a user who may not ask does not tell that the daemon is down, and writes no file.
fn who_may_not_ask_says_nothing(pair: &Pair) {
    let program = env!("CARGO_BIN_EXE_systole");
    let script = format!(
        "cp {program} /run/asks; mkdir -m 777 /run/scraped; cd /run
         for file in '' '--textfile /run/scraped/systole.prom'; do
             setpriv --reuid=65534 --regid=65534 --clear-groups /run/asks metrics $file 2>&1; echo \"ends with $?\"
         done; ls -A /run/scraped"
    );
    let said = pair.lab.sh("node1", &script);
    let once = "systole: only root and the members of the group systole-view may ask\n\
                ends with 3\n";
    assert_eq!(said, once.repeat(2));
}

/// node1 sends to itself, to no node, or is not configured on node2: the lines of both.
fn is_not_heard(pair: &Pair) {
    if pair.kind("node1") == Kind::Systole {
        pair.wait_log("node1", "node node2 does not receive this node");
        let status = systole(pair, "node1", "status");
        assert!(
            status.contains("WARNING: node1 is up: waits for the node list of node2"),
            "{status}"
        );
        let link = status.lines().find(|line| line.starts_with("  eth0 ("));
        let cells: Vec<&str> = link.unwrap_or_default().split_whitespace().collect();
        assert_eq!(cells.get(2..), Some(&["yes", "NO"][..]), "{status}");
        assert!(
            status.contains("WARNING: node node2 does not receive this node"),
            "{status}"
        );
        // The client socket is not open yet.
        let why = systole(pair, "node1", "why");
        assert!(
            why.contains("node2 is received here, but does not receive this node"),
            "{why}"
        );
        assert!(
            why.contains("now: waits for the node list of node2"),
            "{why}"
        );
    }
    if pair.kind("node2") == Kind::Systole {
        pair.wait_log(
            "node2",
            "nothing was received of node node1 since the start",
        );
        let status = systole(pair, "node2", "status");
        assert!(
            status.contains("WARNING: nothing was received of node node1"),
            "{status}"
        );
    }
}

/// A firewall on node2 drops all heartbeats, including its own that come back.
fn behind_a_firewall(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds));
    let block = |what| {
        pair.lab
            .command(&["block", pair.lab.name(), "node2", "eth0", what])
    };
    block("udp dport 694");
    pair.start_both();
    is_not_heard(&pair);
    if pair.kind("node2") == Kind::Systole {
        pair.wait_log("node2", "our own messages on eth0 do not come back");
    }
    block("");
    pair.wait_active();
    wait_until(LONG, "one owner", || pair.owners(ADDRESS_1).len() == 1);
    for node in NODES
        .into_iter()
        .filter(|node| pair.kind(node) == Kind::Systole)
    {
        wait_until(LONG, &format!("{node} warns no more"), || {
            !systole(&pair, node, "status").contains("WARNING")
        });
    }
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_firewall_in_one_direction_is_said_systole_owner() {
    run("hearing::firewall", SYSTOLE_OWNER, behind_a_firewall);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_firewall_in_one_direction_is_said_legacy_owner() {
    run("hearing::firewall", LEGACY_OWNER, behind_a_firewall);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_firewall_in_one_direction_is_said_ours_ours() {
    run("hearing::firewall", OURS_OURS, behind_a_firewall);
}

/// The same target on both nodes: it is right on one of them. The other one does not start with it alone, and says so beside a
/// medium that works.
#[test]
#[ignore = "lab: run by scripts/test"]
fn a_ucast_line_with_the_own_address_is_said() {
    run("hearing::own_address", OURS_OURS, |kinds| {
        let mut config = PairConfig::new(kinds).with_two_cables();
        config.media = "ucast eth0 10.77.0.1".into();
        let pair = Pair::new(config);
        let refused = pair.lab.exec("node1", &[&pair.daemon("node1")]);
        assert!(!refused.status.success(), "{refused:?}");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("reaches this host alone"), "{said}");
        for node in NODES {
            let place = pair.lab.dir(node).join("ha.d/ha.cf");
            let text = fs::read_to_string(&place).expect("ha.cf");
            let text = text.replace("ucast eth0", "bcast eth1\nucast eth0");
            fs::write(&place, text).expect("ha.cf");
        }
        pair.start_settled();
        pair.wait_log("node1", "our own messages come back on eth0");
    });
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_node_that_the_other_node_line_lacks_is_said() {
    run("hearing::node_line", OURS_OURS, |kinds| {
        let pair = Pair::new(PairConfig::new(kinds));
        let dir = pair.lab.dir("node2").join("ha.d");
        let ha_cf = fs::read_to_string(dir.join("ha.cf")).expect("ha.cf");
        let ha_cf = ha_cf.replace("node node1 node2", "node node2 node3");
        fs::write(dir.join("ha.cf"), ha_cf).expect("ha.cf");
        let group = format!("node2 {ADDRESS_2}/24/eth0 dummy::b\n");
        fs::write(dir.join("haresources"), group).expect("haresources");
        pair.start_both();
        pair.wait_log("node1", "node node2 does not receive this node");
        pair.wait_log(
            "node2",
            "node node1 is received on eth0, but no node line here names it",
        );
        let status = systole(&pair, "node2", "status");
        assert!(
            status.contains("WARNING: node node1 is received, but no node line"),
            "{status}"
        );
    });
}

/// One of two cables carries messages in one direction: both nodes say so, and nothing moves.
#[test]
#[ignore = "lab: run by scripts/test"]
fn a_cable_in_one_direction_is_said_on_both_nodes() {
    run("hearing::one_direction", OURS_OURS, |kinds| {
        let pair = Pair::new(PairConfig::new(kinds).with_two_cables());
        pair.start_settled();
        let block = |what| {
            pair.lab
                .command(&["block", pair.lab.name(), "node2", "eth1", what])
        };
        for node in NODES {
            let check = systole(&pair, node, "check");
            assert!(check.starts_with("SYSTOLE OK - "), "{check}");
        }
        block("udp dport 694");
        for (node, line) in [
            ("node1", "WARNING: node2 does not hear node1 on its eth1"),
            ("node2", "WARNING: node2 does not hear node1 on eth1"),
        ] {
            wait_until(LONG, line, || systole(&pair, node, "status").contains(line));
        }
        let status = systole(&pair, "node1", "status");
        let link = status
            .lines()
            .find(|line| line.starts_with("  eth1 (bcast)"));
        let cells: Vec<&str> = link.unwrap_or_default().split_whitespace().collect();
        assert_eq!(cells.get(2..), Some(&["yes", "NO"][..]), "{status}");
        let metrics = systole(&pair, "node2", "metrics");
        for line in [
            "systole_up 1",
            "systole_link_up{node=\"node1\",medium=\"eth0\"} 1",
            "systole_link_up{node=\"node1\",medium=\"eth1\"} 0",
            "systole_standby_ready 1",
        ] {
            assert!(metrics.lines().any(|it| it == line), "{line}: {metrics}");
        }
        who_may_not_ask_says_nothing(&pair);
        block("");
        for node in NODES {
            wait_until(LONG, "all is well again", || {
                systole(&pair, node, "check").starts_with("SYSTOLE OK - ")
            });
        }
        assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    });
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_healthy_pair_shows_no_dead_link() {
    run("hearing::healthy", OURS_OURS, |kinds| {
        for media in [
            "ucast eth0 @PEER0@",
            "mcast eth0 239.0.0.42 694 1 0",
            "bcast eth0",
        ] {
            let mut config = PairConfig::new(kinds);
            config.media = media.into();
            let pair = Pair::new(config);
            pair.start_settled();
            for node in NODES {
                let status = systole(&pair, node, "status");
                assert!(
                    !status.contains("dead") && !status.contains("WARNING"),
                    "{status}"
                );
                // As legacy: it prints the status that it received.
                let program = env!("CARGO_BIN_EXE_cl_status");
                let link = pair
                    .lab
                    .sh(node, &format!("{program} hblinkstatus {node} eth0; true"));
                let heard = if media.starts_with("bcast") {
                    "up"
                } else {
                    "dead"
                };
                assert_eq!(link.trim(), heard, "{media}");
                for text in ["does not receive", "nothing was received", "own messages"] {
                    assert_eq!(pair.log_count(node, text), 0, "{node}: {text}");
                }
            }
        }
    });
}

/// In one edit, a new log file and a line that has no effect.
#[test]
#[ignore = "lab: run by scripts/test"]
fn a_new_log_reaches_clients_and_scripts() {
    run("hearing::new_log", OURS_OURS, |kinds| {
        let mut config = PairConfig::new(kinds);
        config.media.push_str("\nrespawn root /etc/ha.d/client");
        let pair = Pair::new(config);
        for node in NODES {
            let client = "#!/bin/sh\necho $HA_LOGFILE >>/run/paths\nexec sleep 1000\n";
            pair.install_script(node, "../client", client);
        }
        pair.start_settled();
        let of_client = || pair.lab.sh("node1", "cat /run/paths");
        wait_until(LONG, "the client runs", || {
            of_client() == "/var/log/ha-log\n"
        });
        let path = pair.lab.dir("node1").join("ha.d/ha.cf");
        let ha_cf = fs::read_to_string(&path).expect("ha.cf");
        let ha_cf = ha_cf.replace("logfile /var/log/ha-log\n", "logfile /var/log/other\n");
        fs::write(&path, format!("compression bz2\n{ha_cf}")).expect("ha.cf");
        let daemon = pair.daemon("node1");
        pair.lab.sh("node1", &format!("{daemon} -r"));
        wait_until(LONG, "the client knows of the new log", || {
            of_client() == "/var/log/ha-log\n/var/log/other\n"
        });
        let log = || pair.lab.sh("node1", "cat /var/log/other");
        wait_until(LONG, "the daemon, too", || {
            log().contains("Performing heartbeat restart exec.")
        });
        let program = env!("CARGO_BIN_EXE_cl_status");
        let ask = |name| {
            let asked = format!("{program} hbparameter -p {name}; true");
            pair.lab.sh("node1", &asked).trim().to_owned()
        };
        wait_until(LONG, "clients are told", || {
            ask("logfile") == "/var/log/other"
        });
        assert_eq!(ask("compression"), "bz2");
        assert_eq!(pair.owners(ADDRESS_1), ["node1"], "nothing moved");
    });
}
