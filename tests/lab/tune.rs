//! `systole tune` on a running pair: what it samples, and that a few seconds are too few.

use std::time::Instant;

use serde_json::Value;

use super::host::{Kind, wait_until};
use super::pair::{LONG, Pair, PairConfig};
use super::{OURS_OURS, SYSTOLE_OWNER, run};

const SYSTOLE: &str = env!("CARGO_BIN_EXE_systole");

fn report(pair: &Pair, node: &str) -> Value {
    let said = pair.lab.sh(node, &format!("{SYSTOLE} tune --json || :"));
    serde_json::from_str(&said).expect("JSON")
}

fn a_few_seconds_are_too_few(kinds: [Kind; 2]) {
    let began = Instant::now();
    let pair = Pair::new(PairConfig::new(kinds));
    pair.start_settled();
    let first = report(&pair, "node1");
    let covered = |report: &Value| report["covered_ms"].as_u64().expect("milliseconds");
    let mut then = Value::Null;
    wait_until(LONG, "a second more is covered", || {
        then = report(&pair, "node1");
        covered(&first) + 1_000 <= covered(&then)
    });
    let most = u64::try_from(began.elapsed().as_millis()).expect("milliseconds");
    assert!(covered(&then) <= most, "{most}: {then}");
    assert_eq!(then["needed_ms"], 86_400_000, "{then}");
    assert_eq!(then["proposal"], Value::Null, "{then}");
    let samples = then["samples"].as_array().expect("a list");
    let names: Vec<&Value> = samples.iter().map(|it| &it["node"]).collect();
    assert_eq!(names, ["node2", "node1"]);
    let said = pair
        .lab
        .sh("node1", &format!("{SYSTOLE} tune 2>&1; echo \"code $?\""));
    assert!(
        said.ends_with("not enough samples: 0 h of 24 h\ncode 1\n"),
        "{said}"
    );
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn systole_owner() {
    run(
        "tune::systole_owner",
        SYSTOLE_OWNER,
        a_few_seconds_are_too_few,
    );
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn ours_ours() {
    run("tune::ours_ours", OURS_OURS, a_few_seconds_are_too_few);
}
