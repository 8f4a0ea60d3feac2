//! Respawned clients. Both nodes of a mixed pair have the same lines, so the log of the legacy node is the reference for ours.
//! What clients inherit: `surroundings`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::host::{Kind, wait_until};
use super::pair::{LONG, NODES, Pair, PairConfig};
use super::{OURS_OURS, SYSTOLE_OWNER, run};

/// Runs on.
const RUNS: &str = "#!/bin/sh\nexec sleep 1000\n";

/// Ends with its argument as the code.
const EXITS: &str = "#!/bin/sh\nexit $1\n";

/// Ends by a signal.
const KILLED: &str = "#!/bin/sh\nkill -9 $$\n";

/// Takes a moment to end.
const SLOW: &str = "#!/bin/sh\ntrap 'sleep 0.5; echo \"$1 ends\" >>/var/log/ends; exit 0' TERM\n\
                    while :; do sleep 0.05; done\n";

fn pair_with(kinds: [Kind; 2], lines: &str) -> Pair {
    let mut config = PairConfig::new(kinds);
    config.media = format!("bcast eth0\nenv FOO=bar\n{lines}");
    let pair = Pair::new(config);
    for node in NODES {
        let place = pair.lab.dir(node).join("ha.d");
        for (name, text) in [
            ("runs", RUNS),
            ("exits", EXITS),
            ("killed", KILLED),
            ("slow", SLOW),
        ] {
            fs::write(place.join(name), text).expect("script");
            fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o755)).expect("mode");
        }
        pair.lab.sh(
            node,
            "chmod 777 /var/log; : >/var/log/ends; chmod 666 /var/log/ends",
        );
    }
    pair
}

/// Log lines about clients, by client: without time, host and process numbers.
fn lines_about(pair: &Pair, node: &str, client: &str) -> Vec<String> {
    let log = pair.lab.log(node);
    let of_client = |line: &&str| line.contains(client) && !line.contains("without effect");
    log.lines()
        .filter(of_client)
        .map(|line| {
            let text = line.split("]: ").last().unwrap_or(line);
            let blank = |word: &str| {
                let digits = |c: char| c.is_ascii_digit();
                let number = word.starts_with("(pid=")
                    || word.ends_with(')') && word.trim_end_matches(')').chars().all(digits);
                if number {
                    "N".to_owned()
                } else {
                    word.to_owned()
                }
            };
            let mut words: Vec<String> = text.split(' ').map(blank).collect();
            for place in 1..words.len() {
                if matches!(words[place - 1].as_str(), "process" | "group") {
                    words[place] = "N".to_owned();
                }
            }
            words.join(" ")
        })
        .collect()
}

/// Every way to end: the same lines in the same order on both nodes, the crash loops to their end.
fn ends(kinds: [Kind; 2]) {
    let lines = "respawn root /etc/ha.d/exits 0\nrespawn hacluster /etc/ha.d/exits 1\n\
                 respawn root /etc/ha.d/exits 100\nrespawn root /etc/ha.d/killed\n\
                 respawn hacluster /etc/ha.d/plain";
    let pair = pair_with(kinds, lines);
    for node in NODES {
        // Executable when the files are checked, but no longer when it is started.
        let plain = pair.lab.dir(node).join("ha.d/plain");
        fs::write(&plain, EXITS).expect("script");
        fs::set_permissions(&plain, fs::Permissions::from_mode(0o755)).expect("mode");
        pair.start(node);
        fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).expect("mode");
    }
    for node in NODES {
        for client in ["exits 0", "exits 1", "killed"] {
            let last = format!("Client /etc/ha.d/{client} \"respawning too fast\"");
            pair.wait_log(node, &last);
            let starts = format!("Starting \"/etc/ha.d/{client}\" as uid");
            assert_eq!(pair.log_count(node, &starts), 11, "{node}: {client}");
        }
    }
    for client in ["exits 0", "exits 1", "exits 100", "killed", "plain"] {
        let client = format!("/etc/ha.d/{client}");
        let [one, two] = NODES.map(|node| {
            let mut lines = lines_about(&pair, node, &client);
            // Legacy logs the line of the client's death, in addition to the one of its process,
            // only with `debug 1`.
            lines.retain(|line| {
                !line.contains("respawn ") && !line.starts_with("ERROR: Client ")
                    || line.contains("too fast")
            });
            // `exits 1` also stands in the lines of `exits 100`.
            lines.retain(|line| client.ends_with("100") || !line.contains("exits 100"));
            // In legacy a line of the child may overtake one of its parent.
            lines.sort();
            lines
        });
        assert_eq!(one, two, "{client}");
        assert!(!one.is_empty(), "{client}");
    }
    for node in NODES {
        let zombies = pair.lab.sh(node, "ps axo stat=,args= | grep '^Z' || true");
        assert_eq!(zombies.trim(), "", "{node}");
        assert_eq!(
            pair.log_count(node, "Cannot exec /etc/ha.d/plain: Permission denied"),
            1
        );
        let ours = pair.kind(node) == Kind::Systole;
        let died = "ERROR: Client /etc/ha.d/exits 1 exited with return code 1.";
        assert!(!ours || pair.log_count(node, died) == 11);
    }
}

/// The last client first, waiting for each; after the resources; and all have ended.
fn stop_order(kinds: [Kind; 2]) {
    let lines = "respawn root /etc/ha.d/slow a\nrespawn hacluster /etc/ha.d/slow b\n\
                 respawn root /etc/ha.d/slow c";
    let pair = pair_with(kinds, lines);
    pair.start_settled();
    for node in NODES {
        pair.stop(node);
        let ends = pair.lab.sh(node, "cat /var/log/ends");
        assert_eq!(ends, "c ends\nb ends\na ends\n", "{node}");
        let log = pair.lab.log(node);
        let mut from = log
            .find("All HA resources relinquished.")
            .expect("released");
        for client in ["c", "b", "a"] {
            let line = format!("killing /etc/ha.d/slow {client} process group");
            from += log[from..].find(&line).expect("in this order");
        }
        assert_eq!(pair.log_count(node, "Respawning client"), 0);
        assert_eq!(
            pair.lab.sh(node, "pgrep -f '[h]a.d/slow' || true").trim(),
            ""
        );
    }
}

/// A restart in place stops the clients and starts them again, once; a killed daemon leaves none.
fn no_twin_and_no_orphan(kinds: [Kind; 2]) {
    let pair = pair_with(kinds, "respawn root /etc/ha.d/runs one");
    pair.start_settled();
    let running = |node: &str| {
        let text = pair.lab.sh(node, "pgrep -f 'sleep 100[0]$' || true");
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    // The lab's own sleeping process has the same name.
    let clients = |node: &str| {
        let text = pair.lab.sh(
            node,
            "ps axo ppid=,pid=,args= | grep '[s]leep 1000' || true",
        );
        let of_daemon = |line: &&str| !line.trim_start().starts_with("1 ");
        text.lines().filter(of_daemon).count()
    };
    wait_until(LONG, "the client sleeps", || clients("node1") == 1);
    assert!(!running("node1").is_empty());
    pair.lab.sh(
        "node1",
        "sleep 1; touch /etc/ha.d/ha.cf; kill -HUP $(cat /run/heartbeat.pid)",
    );
    pair.wait_log("node1", "Performing heartbeat restart exec.");
    pair.wait_log_count("node1", "Starting \"/etc/ha.d/runs one\" as uid", 2);
    wait_until(LONG, "one client", || clients("node1") == 1);
    let all = running("node1").len();
    pair.lab.sh("node1", "kill -9 $(cat /run/heartbeat.pid)");
    wait_until(LONG, "no client", || running("node1").len() == all - 1);
}

macro_rules! tests {
    ($($name:ident: $scenario:ident $kinds:ident;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            run(concat!("respawn::", stringify!($name)), $kinds, $scenario)
        }
    )* };
}

tests! {
    ends_systole_owner: ends SYSTOLE_OWNER;
    stop_order_systole_owner: stop_order SYSTOLE_OWNER;
    no_twin_and_no_orphan_ours_ours: no_twin_and_no_orphan OURS_OURS;
}
