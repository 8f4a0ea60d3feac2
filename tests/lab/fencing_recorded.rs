//! The recorded runs of legacy pairs with a fencing device (`tests/vectors/timelines`), done again with ours on one node or both: the same
//! resets, scripts and log lines in the same order where legacy is right, and what we do instead where it is not.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::fence_device::{Fenced, Way, run_with_glue};
use super::history::{assert_never_two_owners, calls, count};
use super::host::{Kind, wait_until};
use super::pair::{LONG, NODES, Pair, PairConfig};
use super::{LEGACY_LEGACY, LEGACY_OWNER, OURS_OURS, SYSTOLE_OWNER};

/// What the log says about a death and a fence, as people and suites match it.
const SAID: [&str; 8] = [
    "node NODE: is dead",
    "Host NODE not reset!",
    "STONITH of NODE failed.  Retrying...",
    "node NODE now reset.",
    "Resources being acquired from NODE.",
    "mach_down takeover complete.",
    "Both machines own our resources!",
    "Cancelling pending standby operation",
];

/// What each node did, in its order: `did` are resets and scripts, `said` lines of its log.
#[derive(Debug, Default, PartialEq, Eq)]
struct Deeds {
    did: Vec<String>,
    said: Vec<String>,
}

/// A failing reset is tried again as often as the device fails, which is a matter of time.
fn add(to: &mut Vec<String>, what: String) {
    let tries_again = what.contains("reset") || what.contains("STONITH");
    if !(tries_again && to.contains(&what)) {
        to.push(what);
    }
}

/// The text that `line` has, with the node's name in it.
fn said(line: &str) -> Option<String> {
    let mut texts = SAID
        .iter()
        .flat_map(|text| NODES.map(|node| text.replace("NODE", node)));
    texts.find(|text| line.ends_with(text.as_str()))
}

/// The recorded deeds of each node, from the first action that contains `from` on.
fn recorded(file: &str, from: &str) -> BTreeMap<String, Deeds> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors/timelines")
        .join(file);
    let text = fs::read_to_string(path).expect("the recording");
    let mut deeds: BTreeMap<String, Deeds> = BTreeMap::new();
    let lines = text
        .lines()
        .map(|line| line.splitn(4, '\t').collect::<Vec<_>>());
    for columns in lines.skip_while(|columns| !columns.get(3).is_some_and(|it| it.contains(from))) {
        let [_, node, kind, text] = columns[..] else {
            continue;
        };
        let of = deeds.entry(node.to_owned()).or_default();
        let words: Vec<&str> = text.split(' ').collect();
        match (kind, &words[..]) {
            ("script", ["STONITH-PLUGIN", "reset", whom]) => {
                add(&mut of.did, format!("reset {whom}"))
            }
            ("script", [resource, operation @ ("start" | "stop"), ..]) => {
                of.did.push(format!("{operation} {resource}"));
            }
            ("log", _) => {
                if let Some(text) = said(text) {
                    add(&mut of.said, text);
                }
            }
            _ => {}
        }
    }
    deeds.retain(|node, _| NODES.contains(&node.as_str()));
    deeds
}

/// What the nodes of a pair have done since it began.
fn seen(fenced: &Fenced) -> BTreeMap<String, Deeds> {
    let mut timed: Vec<(f64, String, String)> = fenced.resets_in_time();
    for call in calls(&fenced.pair.lab) {
        if call.edge == "begin" && matches!(call.operation.as_str(), "start" | "stop") {
            timed.push((
                call.at,
                call.host,
                format!("{} {}", call.operation, call.resource),
            ));
        }
    }
    timed.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut deeds: BTreeMap<String, Deeds> = BTreeMap::new();
    for (_, node, what) in timed {
        add(&mut deeds.entry(node).or_default().did, what);
    }
    for node in NODES {
        let of = deeds.entry(node.to_owned()).or_default();
        for text in fenced.pair.lab.log(node).lines().filter_map(said) {
            add(&mut of.said, text);
        }
    }
    deeds
}

/// The two groups of the recordings.
fn pair_of(kinds: [Kind; 2]) -> Fenced {
    let mut config = PairConfig::new(kinds).with_failback("on");
    config.resources = "node1 dummy::a1 dummy::a2\nnode2 dummy::b1 dummy::b2\n".to_owned();
    Fenced::new(config, Way::HostLine)
}

fn wait_run(pair: &Pair, node: &str, resources: &[&str]) {
    wait_until(LONG, &format!("{resources:?} run on {node}"), || {
        resources.iter().all(|resource| pair.runs(node, resource))
    });
}

fn settled(kinds: [Kind; 2]) -> Fenced {
    let fenced = pair_of(kinds);
    let pair = &fenced.pair;
    pair.start_both();
    pair.wait_active();
    wait_run(pair, "node1", &["a1", "a2"]);
    wait_run(pair, "node2", &["b1", "b2"]);
    for node in NODES {
        pair.wait_holds(node, "local");
    }
    fenced
}

/// Timeline 23: the owner dies, the device fails, and then it obeys.
fn fails_then_obeys(kinds: [Kind; 2]) {
    let fenced = settled(kinds);
    let pair = &fenced.pair;
    fenced.mode("rec", "fails");
    pair.lab.power_off("node1");
    pair.wait_log_count("node2", "STONITH of node1 failed.  Retrying...", 2);
    pair.wait_holds("node2", "local");
    fenced.mode("rec", "");
    pair.wait_holds("node2", "all");
    wait_run(pair, "node2", &["a1", "a2", "b1", "b2"]);
    pair.wait_log("node2", "mach_down takeover complete.");
    let recorded = recorded("23-stonith.tsv", "start daemon on node1");
    assert_eq!(seen(&fenced)["node2"], recorded["node2"]);
    assert_never_two_owners(&pair.lab);
}

/// Timeline 35: a node that starts alone resets the other one, which it has never heard; then that one starts.
fn starts_alone(kinds: [Kind; 2]) {
    let fenced = pair_of(kinds);
    let pair = &fenced.pair;
    pair.start("node1");
    wait_run(pair, "node1", &["a1", "a2", "b1", "b2"]);
    wait_until(LONG, "the power is off", || !fenced.done().is_empty());
    pair.lab.power_on("node2");
    pair.start("node2");
    wait_run(pair, "node2", &["b1", "b2"]);
    for node in NODES {
        pair.wait_holds(node, "local");
    }
    let (mut seen, mut recorded) = (
        seen(&fenced),
        recorded("35-stonith-lone-start.tsv", "start daemon"),
    );
    // Which of the two groups a lone node starts first differs from run to run of legacy too.
    for deeds in [&mut seen, &mut recorded] {
        let did = &mut deeds.get_mut("node1").expect("node1").did;
        let starts = did
            .iter()
            .position(|it| it.starts_with("stop"))
            .unwrap_or(did.len());
        did[..starts].sort_by_key(|it| (!it.starts_with("reset"), it.clone()));
    }
    assert_eq!(seen, recorded);
    assert_never_two_owners(&pair.lab);
}

/// Timeline 36: the device fails while the owner is dead, and works when the owner is back. Legacy resets it then.
fn works_when_the_owner_is_back(kinds: [Kind; 2]) {
    let fenced = settled(kinds);
    let pair = &fenced.pair;
    fenced.mode("rec", "fails");
    pair.lab.power_off("node1");
    pair.wait_log("node2", "STONITH of node1 failed.  Retrying...");
    pair.lab.power_on("node1");
    pair.start("node1");
    if pair.kind("node2") == Kind::Legacy {
        // Nobody has told it that it is shot at when it starts.
        pair.wait_log_count("node2", "STONITH of node1 failed.  Retrying...", 2);
        fenced.mode("rec", "");
        wait_run(pair, "node2", &["a1", "a2", "b1", "b2"]);
        assert_eq!(fenced.done(), ["node2 rec node1"]);
    } else {
        pair.wait_log("node2", "Heartbeat restart on node node1");
        fenced.mode("rec", "");
        let tried = fenced.resets();
        wait_run(pair, "node1", &["a1", "a2"]);
        pair.wait_holds("node1", "local");
        // Longer than the pause before another try.
        sleep(Duration::from_secs(7));
        assert_eq!(fenced.resets(), tried);
        assert_eq!(fenced.done(), [""; 0]);
        assert_eq!(count(&pair.lab, "node2", "start", "a1"), 0);
    }
    assert_never_two_owners(&pair.lab);
}

/// Timeline 37: two that lose each other. Legacy nodes reset each other, and both go on with everything when the device
/// only says so. Beside legacy, which never waits, ours waits: one of them is reset.
fn lose_each_other(kinds: [Kind; 2]) {
    let fenced = settled(kinds);
    let pair = &fenced.pair;
    fenced.mode("rec", "late3");
    pair.lab.link("node1", "eth0", false);
    wait_until(LONG, "a reset is done", || !fenced.done().is_empty());
    let survivor = NODES
        .into_iter()
        .find(|node| pair.kind(node) == Kind::Legacy);
    let survivor = survivor.expect("a legacy node");
    wait_run(pair, survivor, &["a1", "a2", "b1", "b2"]);
    sleep(Duration::from_secs(8));
    let reset = format!("{survivor} rec {}", Pair::peer(survivor));
    assert_eq!(fenced.done(), [reset]);
    assert_never_two_owners(&pair.lab);
}

/// Timelines 12 and 40: the giver dies while it releases. Its groups count as held until it has said that they are
/// released, so it is reset first; legacy takes over at once.
fn giver_dies(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds).with_failback("on");
    config.resources = "node1 dummy::a1::0::30 dummy::a2\nnode2 dummy::b1 dummy::b2\n".to_owned();
    let fenced = Fenced::new(config, Way::HostLine);
    let pair = &fenced.pair;
    pair.start_both();
    pair.wait_active();
    wait_run(pair, "node1", &["a1", "a2"]);
    pair.wait_holds("node1", "local");
    pair.wait_holds("node2", "local");
    fenced.mode("rec", "late1");
    pair.operator("node1", "hb_standby all");
    wait_until(LONG, "the release has begun", || {
        count(&pair.lab, "node1", "stop", "a1") > 0
    });
    pair.lab.power_off("node1");
    wait_run(pair, "node2", &["a1", "a2"]);
    let of_node2: Vec<_> = seen(&fenced)["node2"]
        .did
        .iter()
        .rev()
        .take(3)
        .rev()
        .cloned()
        .collect();
    assert_eq!(of_node2, ["reset node1", "start a1", "start a2"]);
    assert_eq!(fenced.done(), ["node2 rec node1"]);
    assert_never_two_owners(&pair.lab);
}

macro_rules! recorded {
    ($($name:ident: $scenario:expr, $kinds:ident;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            run_with_glue(concat!("fencing_recorded::", stringify!($name)), $kinds, $scenario);
        }
    )* };
}

recorded! {
    t23_fails_then_obeys_ours_ours: fails_then_obeys, OURS_OURS;
    t23_fails_then_obeys_legacy_owner: fails_then_obeys, LEGACY_OWNER;
    long_t23_fails_then_obeys_systole_owner: fails_then_obeys, SYSTOLE_OWNER;
    long_t23_fails_then_obeys_legacy_legacy: fails_then_obeys, LEGACY_LEGACY;
    long_t35_starts_alone_ours_ours: starts_alone, OURS_OURS;
    t35_starts_alone_systole_owner: starts_alone, SYSTOLE_OWNER;
    long_t35_starts_alone_legacy_owner: starts_alone, LEGACY_OWNER;
    long_t35_starts_alone_legacy_legacy: starts_alone, LEGACY_LEGACY;
    long_t36_owner_is_back_ours_ours: works_when_the_owner_is_back, OURS_OURS;
    t36_owner_is_back_legacy_owner: works_when_the_owner_is_back, LEGACY_OWNER;
    t36_owner_is_back_systole_owner: works_when_the_owner_is_back, SYSTOLE_OWNER;
    t37_lose_each_other_systole_owner: lose_each_other, SYSTOLE_OWNER;
    long_t37_lose_each_other_legacy_owner: lose_each_other, LEGACY_OWNER;
    long_t40_giver_dies_ours_ours: giver_dies, OURS_OURS;
    t40_giver_dies_legacy_owner: giver_dies, LEGACY_OWNER;
}
