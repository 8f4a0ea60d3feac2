//! Standby and takeover on request, two whole nodes.

mod common;

use std::time::Duration;

use common::scenario::Cluster;
use common::timeline::replay;
use systole::protocol::settings::AutoFailback;

const OFF: AutoFailback = AutoFailback::Off;

#[test]
fn as_recorded_standby_in_all_variants() {
    replay("07-standby.tsv", OFF, Some("bogus"));
}

/// Up to `failback`, which legacy takes for everything. Spec: docs/protocol/resources.md, 8.
#[test]
fn as_recorded_takeover_in_all_variants() {
    replay("08-takeover.tsv", OFF, Some("failback"));
}

#[test]
fn takeover_failback_brings_back_only_what_is_ours() {
    let mut cluster = Cluster::settled_pair(OFF);
    cluster.takeover("node1", "all");
    cluster.run(2_000);
    assert_eq!(cluster.holdings(), ["node1 all: a b", "node2 none:"]);
    cluster.takeover("node2", "failback");
    cluster.run(2_000);
    assert_eq!(cluster.holdings(), ["node1 local: a", "node2 local: b"]);
}

#[test]
fn both_ask_at_the_same_moment() {
    let mut cluster = Cluster::settled_pair(OFF);
    cluster.standby("node1", "all");
    cluster.standby("node2", "all");
    cluster.run(30_000);
    assert_eq!(cluster.doubles, []);
    let holdings = cluster.holdings();
    let running: Vec<&str> = holdings
        .iter()
        .flat_map(|line| line.split_once(':').unwrap().1.split_whitespace())
        .collect();
    assert_eq!(running.len(), 2, "{holdings:?}");
    assert!(!holdings.iter().any(|line| line.contains("transition")));
}

#[test]
fn the_taker_dies_while_it_acquires() {
    let mut cluster = Cluster::settled_pair(OFF);
    cluster.standby("node1", "all");
    cluster.run(30);
    cluster
        .script_time
        .insert("a".to_owned(), Duration::from_secs(5));
    cluster.run(2_000);
    cluster.kill("node2");
    cluster.run(30_000);
    assert_eq!(cluster.holdings(), ["node1 all: a b"]);
}

#[test]
fn a_stop_waits_for_the_start_in_progress() {
    let mut cluster = Cluster::new(&["node1", "node2"], OFF);
    cluster
        .script_time
        .insert("a".to_owned(), Duration::from_secs(5));
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(2_000);
    cluster.stop("node1");
    cluster.run(1_000);
    assert_eq!(cluster.run_by("node1"), ["start a"]);
    cluster.run(30_000);
    assert_eq!(cluster.run_by("node1"), ["start a", "stop a", "stop b"]);
    assert_eq!(cluster.holdings(), ["node2 all: a b"]);
}

/// Whatever happens to a pair, in the end every group runs on exactly one node.
#[test]
fn random_histories_end_with_one_owner() {
    let seeds: u64 = std::env::var("PAIR_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(60);
    let first: u64 = std::env::var("PAIR_FIRST")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    for seed in first..first + seeds {
        random_history(seed);
    }
}

fn random_history(seed: u64) {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    let mut pick = move |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % n
    };
    let model = [AutoFailback::On, AutoFailback::Off][usize::try_from(pick(2)).unwrap()];
    let mut cluster = Cluster::new(&["node1", "node2"], model);
    let mut history = vec![format!("seed {seed}, {model:?}")];
    for host in ["node1", "node2"] {
        cluster.boot(host);
    }
    let mut cut = false;
    let mut heard_since = cluster.now;
    for _ in 0..12 {
        let host = ["node1", "node2"][usize::try_from(pick(2)).unwrap()];
        let set = ["all", "local", "foreign"][usize::try_from(pick(3)).unwrap()];
        let group = ["a", "b"][usize::try_from(pick(2)).unwrap()];
        let what = match pick(9) {
            0 if cluster.is_up(host) => {
                cluster.kill(host);
                format!("kill {host}")
            }
            1 if cluster.is_up(host) => {
                cluster.stop(host);
                format!("stop {host}")
            }
            2 => {
                cut = !cut;
                if cut {
                    cluster.cut();
                } else {
                    cluster.heal();
                }
                heard_since = cluster.now;
                format!("cut: {cut}")
            }
            3 | 4 if cluster.is_up(host) => {
                cluster.standby(host, set);
                format!("standby {host} {set}")
            }
            5 if cluster.is_up(host) => {
                cluster.takeover(host, set);
                format!("takeover {host} {set}")
            }
            6 => {
                let ms = [20, 500, 3_000, 15_000][usize::try_from(pick(4)).unwrap()];
                cluster
                    .script_time
                    .insert(group.to_owned(), Duration::from_millis(ms));
                format!("scripts of {group} take {ms} ms")
            }
            _ if !cluster.is_up(host) => {
                cluster.boot(host);
                format!("boot {host}")
            }
            _ => "nothing".to_owned(),
        };
        let ms = [1, 30, 700, 5_000, 20_000][usize::try_from(pick(5)).unwrap()];
        history.push(format!("{:?} {what}, then {ms} ms", cluster.now));
        let known = cluster.doubles.len();
        cluster.run(ms);
        for (at, group) in cluster.doubles.iter().skip(known) {
            // An overlap may begin only while the two did not receive each other, or had not yet
            // noticed that they do; scripts that were running then come to their end.
            let excused = cut || at.since(heard_since) < Duration::from_secs(25);
            assert!(excused, "{group} twice at {at:?}\n{}", history.join("\n"));
        }
    }
    cluster.heal();
    history.push(format!("{:?} heal and boot", cluster.now));
    cluster.run(60_000);
    for host in ["node1", "node2"] {
        if !cluster.is_up(host) {
            cluster.boot(host);
        }
    }
    cluster.run(180_000);
    let holdings = cluster.holdings();
    let mut running: Vec<&str> = holdings
        .iter()
        .flat_map(|line| line.split_once(':').unwrap().1.split_whitespace())
        .collect();
    running.sort_unstable();
    let settled = !holdings.iter().any(|line| line.contains("transition"));
    assert!(
        running == ["a", "b"] && settled,
        "{holdings:?}\n{}\n{}",
        history.join("\n"),
        cluster.complaints.join("\n")
    );
}
