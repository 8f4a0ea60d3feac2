//! Ping nodes: the bridge of the lab answers, or is made not to answer. Both nodes of a mixed pair
//! are in the same situation at the same time, so the log of one is compared with that of the
//! other.

use std::fs;
use std::time::Duration;

use super::host::{Kind, wait_until};
use super::pair::{LONG, NODES, Pair, PairConfig};
use super::{LEGACY_OWNER, OURS_OURS, SYSTOLE_OWNER, run};

/// The bridge's address.
const BRIDGE: &str = "10.77.0.254";
/// The same in IPv6, as ha.cf spells it.
const BRIDGE_6: &str = "fd77:0::fe";
/// A group of the bridge and a host that is not there.
const GROUP: &str = "grp";
/// An address that no host has.
const NOBODY: &str = "10.77.0.98";

/// Records the calls of notification scripts.
const STATUS_HOOK: &str =
    "#!/bin/sh\necho \"$HA_src $HA_st $HA_info\" >>@SHARED@/$(uname -n).status\n";

fn let_pass(time: Duration) {
    std::thread::sleep(time);
}

/// A pair with further media lines and this `deadping`.
fn pair_with(kinds: [Kind; 2], media: &str, deadping: u32) -> Pair {
    let mut config = PairConfig::new(kinds);
    config.media = format!("bcast eth0\n{media}");
    config.times =
        format!("keepalive 200ms\nwarntime 1\ndeadtime 2\ndeadping {deadping}\ninitdead 10\n");
    let pair = Pair::new(config);
    for node in NODES {
        let place = pair.lab.dir(node).join("ha.d/rc.d");
        fs::create_dir_all(&place).expect("rc.d");
        pair.install_script(node, "../rc.d/status", STATUS_HOOK);
    }
    pair
}

/// Makes the bridge answer pings of a node, or not.
fn answers(pair: &Pair, node: &str, answer: bool) {
    let drop = "meta l4proto { icmp, icmpv6 } @th,0,8 { 0, 129 }";
    let rule = if answer { "" } else { drop };
    pair.lab
        .command(&["block", pair.lab.name(), node, "eth0", rule]);
}

/// Log lines about a ping node without time, host and process, and without those about lateness:
/// legacy treats the first answer after a silence as a late heartbeat and declares the node dead a
/// second time, see docs/reference/compatibility.md.
fn lines_about(pair: &Pair, node: &str, ping: &str) -> Vec<String> {
    let log = pair.lab.log(node);
    let about = |line: &&str| {
        let words = [format!("node {ping}:"), format!("Link {ping}:{ping} ")];
        words.iter().any(|word| line.contains(word.as_str())) && !line.contains("Late heartbeat")
    };
    let bare = |line: &str| line.split("]: ").last().unwrap_or(line).to_owned();
    let mut lines: Vec<String> = log.lines().filter(about).map(bare).collect();
    lines.dedup();
    lines
}

/// Up, dead, up: the same lines on both nodes, and the same calls of the status script.
fn up_dead_up(kinds: [Kind; 2]) {
    let media = format!("ping {BRIDGE}\nping_group {GROUP} {BRIDGE} 10.77.0.99\nping6 {BRIDGE_6}");
    let pair = pair_with(kinds, &media, 2);
    pair.start_settled();
    let pings = [BRIDGE, GROUP, BRIDGE_6];
    for node in NODES {
        for ping in pings {
            pair.wait_log(node, &format!("Link {ping}:{ping} up."));
            pair.wait_log(node, &format!("Status update for node {ping}: status ping"));
        }
    }
    // A group of which one host is missing stays up.
    let_pass(Duration::from_secs(5));
    for node in NODES {
        assert_eq!(pair.log_count(node, "is dead"), 0, "{}", pair.lab.log(node));
        answers(&pair, node, false);
    }
    for node in NODES {
        for ping in pings {
            pair.wait_log(node, &format!("node {ping}: is dead"));
            pair.wait_log(node, &format!("Link {ping}:{ping} dead."));
        }
        answers(&pair, node, true);
    }
    for node in NODES {
        for ping in pings {
            pair.wait_log_count(node, &format!("Link {ping}:{ping} up."), 2);
            let update = format!("Status update for node {ping}: status ping");
            pair.wait_log_count(node, &update, 2);
        }
    }
    for ping in pings {
        let mut expected = vec![
            format!("info: Link {ping}:{ping} up."),
            format!("info: Status update for node {ping}: status ping"),
            format!("WARN: node {ping}: is dead"),
            format!("info: Link {ping}:{ping} dead."),
            format!("info: Link {ping}:{ping} up."),
            format!("info: Status update for node {ping}: status ping"),
        ];
        expected.sort();
        for node in NODES {
            let mut lines = lines_about(&pair, node, ping);
            if pair.kind(node) == Kind::Legacy {
                let dead = format!("WARN: node {ping}: is dead");
                let last = lines.iter().rposition(|line| *line == dead);
                lines.remove(last.expect("legacy declares it dead twice"));
            }
            lines.sort();
            assert_eq!(lines, expected, "{node} about {ping}");
        }
    }
    wait_until(LONG, "the same calls of the status script", || {
        let calls = NODES.map(|node| {
            let file = pair.lab.shared().join(format!("{node}.status"));
            let text = fs::read_to_string(file).unwrap_or_default();
            let of_pings = |line: &&str| line.ends_with("ping") || line.ends_with("ping_group");
            let mut calls: Vec<String> = text.lines().filter(of_pings).map(str::to_owned).collect();
            calls.sort();
            // Legacy declares it dead a second time when it returns.
            calls.dedup();
            calls
        });
        !calls[0].is_empty() && calls[0] == calls[1]
    });
    for node in NODES {
        assert_eq!(pair.log_count(node, "panicked"), 0);
        let peer = Pair::peer(node);
        assert_eq!(pair.log_count(node, &format!("node {peer}: is dead")), 0);
    }
}

/// `deadping` longer than `deadtime`: a ping node may be silent for that long.
fn deadping_counts(kinds: [Kind; 2]) {
    let pair = pair_with(kinds, &format!("ping {BRIDGE}"), 6);
    pair.start_settled();
    let dead = format!("node {BRIDGE}: is dead");
    for node in NODES {
        answers(&pair, node, false);
    }
    let_pass(Duration::from_secs(4));
    for node in NODES {
        assert_eq!(pair.log_count(node, &dead), 0, "dead before deadping");
    }
    for node in NODES {
        pair.wait_log(node, &dead);
    }
}

/// A ping node that does not answer delays the start until `initdead`, on both nodes alike.
fn unreachable_at_start(kinds: [Kind; 2]) {
    let pair = pair_with(kinds, &format!("ping {NOBODY}"), 2);
    pair.start_both();
    pair.wait_active();
    for node in NODES {
        let log = pair.lab.log(node);
        let heard = log.find("eth0 up.").expect("the peer is heard");
        let dead = log.find(&format!("node {NOBODY}: is dead")).expect("dead");
        let up = log.find("Comm_now_up").expect("up");
        assert!(heard < dead && dead < up, "{log}");
        assert_eq!(pair.log_count(node, &format!("Link {NOBODY}")), 0);
    }
    pair.wait_owner("node1", super::pair::ADDRESS_1, "a");
}

macro_rules! tests {
    ($($name:ident: $scenario:ident $kinds:ident;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            run(concat!("ping::", stringify!($name)), $kinds, $scenario)
        }
    )* };
}

tests! {
    up_dead_up_systole_owner: up_dead_up SYSTOLE_OWNER;
    up_dead_up_ours_ours: up_dead_up OURS_OURS;
    deadping_counts_legacy_owner: deadping_counts LEGACY_OWNER;
    unreachable_at_start_systole_owner: unreachable_at_start SYSTOLE_OWNER;
}
