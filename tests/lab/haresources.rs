//! haresources is changed while the nodes run, and put in force in every possible way: one owner
//! all the time.

use std::fs;
use std::time::{Duration, Instant};

use super::death::pid;
use super::history::assert_never_two_owners;
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, LONG, NODES, Pair, PairConfig};
use super::{LEGACY_OWNER, OURS_OURS, SYSTOLE_OWNER, run};

/// How the change is put in force; the group goes from node1 to node2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `heartbeat -r` on both, the old owner first.
    ReloadBoth,
    /// The same, the new owner first, and ha.cf touched.
    TouchBoth,
    /// `heartbeat -r` on the new owner only.
    ReloadNew,
    /// On the old owner only.
    ReloadOld,
    /// A stop and start of the new owner.
    RestartNew,
    /// `kill -9` of its daemon.
    KillNew,
}

const WAYS: [Way; 6] = [
    Way::ReloadBoth,
    Way::TouchBoth,
    Way::ReloadNew,
    Way::ReloadOld,
    Way::RestartNew,
    Way::KillNew,
];

/// How long the consequences are watched.
const WATCHED: Duration = Duration::from_secs(25);

fn rewrite(pair: &Pair, nodes: &[&str], text: &str) {
    for node in nodes {
        let path = pair.lab.dir(node).join("ha.d/haresources");
        fs::write(path, text).expect("haresources");
    }
}

fn reload(pair: &Pair, node: &str) {
    if pair.kind(node) == Kind::Legacy {
        // It compares ha.cf only.
        pair.lab.sh(node, "touch -d '10 seconds' /etc/ha.d/ha.cf");
    }
    let output = pair.lab.exec(node, &["setsid", &pair.daemon(node), "-r"]);
    assert!(output.status.success(), "reload on {node}: {output:?}");
}

fn take_up(pair: &Pair, way: Way) {
    match way {
        Way::ReloadBoth => {
            reload(pair, "node1");
            std::thread::sleep(Duration::from_secs(6));
            reload(pair, "node2");
        }
        Way::TouchBoth => {
            for node in ["node2", "node1"] {
                pair.lab.sh(node, "touch -d '10 seconds' /etc/ha.d/ha.cf");
                reload(pair, node);
            }
        }
        Way::ReloadNew => reload(pair, "node2"),
        Way::ReloadOld => reload(pair, "node1"),
        Way::RestartNew => {
            pair.stop("node2");
            std::thread::sleep(Duration::from_secs(1));
            pair.start("node2");
        }
        Way::KillNew => {
            let daemon = pid(pair, "node2");
            pair.lab.sh("node2", &format!("kill -9 {daemon}"));
        }
    }
}

/// Which node serves in the end.
fn expected(kinds: [Kind; 2], way: Way, failback: &str) -> &'static str {
    let (on, both) = (
        failback == "on",
        matches!(way, Way::ReloadBoth | Way::TouchBoth),
    );
    let goes_home = match kinds {
        // A legacy giver reads its file again, and gives the groups that node2 owns by it.
        [Kind::Legacy, _] => way == Way::RestartNew,
        // A legacy taker does so too.
        [_, Kind::Legacy] => both || way == Way::ReloadOld,
        _ => both,
    };
    if on && goes_home { "node2" } else { "node1" }
}

/// The address and its script are on the same single node, or on none, as long as they are watched.
fn watch(pair: &Pair, what: &str) {
    let end = Instant::now() + WATCHED;
    while Instant::now() < end {
        let owners = pair.owners(ADDRESS_1);
        assert!(owners.len() <= 1, "{what}: {owners:?} have the address");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn cell(kinds: [Kind; 2], way: Way, failback: &'static str) {
    let what = format!("{kinds:?} {way:?} auto_failback {failback}");
    let pair = Pair::new(PairConfig::new(kinds).with_failback(failback));
    pair.start_settled();
    let line = format!("node2 {ADDRESS_1}/24/eth0 dummy::a\n");
    rewrite(&pair, &NODES, &line);
    take_up(&pair, way);
    watch(&pair, &what);
    let owner = expected(kinds, way, failback);
    wait_until(LONG, &format!("{what}: {owner} serves"), || {
        pair.owners(ADDRESS_1) == [owner] && pair.runs(owner, "a")
    });
    assert!(!pair.runs(Pair::peer(owner), "a"), "{what}");
    assert_never_two_owners(&pair.lab);
    for node in NODES {
        if kinds.contains(&Kind::Older) {
            // Its report covers only what is in force, not its changed file.
            continue;
        }
        let alarms = pair.log_count(node, " differ: ");
        assert_eq!(alarms, 0, "{what}: {}", pair.lab.log(node));
    }
    // When either node dies, the other takes over.
    let other = Pair::peer(owner);
    pair.lab.power_off(owner);
    wait_until(LONG, &format!("{what}: {other} takes over"), || {
        pair.has_address(other, ADDRESS_1) && pair.runs(other, "a")
    });
}

macro_rules! cells {
    ($($name:ident $kinds:ident $way:ident $failback:literal;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            run(concat!("haresources::", stringify!($name)), $kinds, |kinds| cell(kinds, Way::$way, $failback));
        }
    )* };
}

cells! {
    an_owner_is_changed_and_both_reload OURS_OURS ReloadBoth "on";
    an_owner_is_changed_and_the_new_one_reloads_beside_a_legacy_node LEGACY_OWNER ReloadNew "off";
    an_owner_is_changed_and_the_daemon_of_the_new_one_is_killed OURS_OURS KillNew "off";
}

/// Every way, one after the other.
fn every_way(kinds: [Kind; 2], failback: &'static str) {
    for way in WAYS {
        let [_, new] = kinds;
        // No guardian starts a legacy daemon again.
        if new != Kind::Legacy || way != Way::KillNew {
            cell(kinds, way, failback);
        }
    }
}

macro_rules! every_way {
    ($($name:ident $kinds:ident $failback:literal;)*) => { $(
        #[test]
        #[ignore = "lab: long tier"]
        fn $name() {
            run(concat!("haresources::", stringify!($name)), $kinds, |kinds| every_way(kinds, $failback));
        }
    )* };
}

every_way! {
    long_every_way_ours_ours_on OURS_OURS "on";
    long_every_way_ours_ours_off OURS_OURS "off";
    long_every_way_systole_owner_on SYSTOLE_OWNER "on";
    long_every_way_systole_owner_off SYSTOLE_OWNER "off";
    long_every_way_legacy_owner_on LEGACY_OWNER "on";
    long_every_way_legacy_owner_off LEGACY_OWNER "off";
}

/// The version before does not report what it runs, and uses its old file until it is reloaded.
#[test]
#[ignore = "lab: long tier, builds the version before"]
fn long_an_owner_is_changed_beside_the_version_before() {
    run(
        "haresources::beside_the_version_before",
        [Kind::Older, Kind::Systole],
        |kinds| {
            for (way, failback) in [
                (Way::ReloadNew, "off"),
                (Way::KillNew, "off"),
                (Way::RestartNew, "on"),
            ] {
                cell(kinds, way, failback);
            }
        },
    );
}

/// Each file assigns the group to its own node. The log of both says so; making the files alike
/// repairs it.
fn differing_owners_are_cured(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds).with_failback("on"));
    rewrite(
        &pair,
        &["node2"],
        &format!("node2 {ADDRESS_1}/24/eth0 dummy::a\n"),
    );
    pair.start_both();
    pair.wait_active();
    for node in NODES {
        pair.wait_log(node, "has another owner there");
    }
    pair.wait_owner("node1", ADDRESS_1, "a");
    rewrite(
        &pair,
        &["node1"],
        &format!("node2 {ADDRESS_1}/24/eth0 dummy::a\n"),
    );
    for node in NODES {
        reload(&pair, node);
    }
    pair.wait_owner("node2", ADDRESS_1, "a");
    for node in NODES {
        assert_eq!(pair.log_count(node, "has another owner there"), 1);
    }
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn long_files_that_differ_in_owners_are_cured_by_making_them_alike() {
    run(
        "haresources::differing_owners",
        OURS_OURS,
        differing_owners_are_cured,
    );
}

/// The same owner and address, but other scripts after it.
fn differing_resources(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds));
    rewrite(&pair, &["node2"], &format!("node1 {ADDRESS_1}/24/eth0\n"));
    pair.start_settled();
    for node in NODES {
        pair.wait_log(node, "has other resources there");
    }
    let standby = "/usr/libexec/systole/hb_standby";
    let ask = |words: &[&str]| {
        pair.lab
            .exec("node1", &[&[standby, "--wait"], words].concat())
    };
    assert!(!ask(&["local"]).status.success());
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    let forced = ask(&["--force", "local"]);
    assert!(forced.status.success(), "{forced:?}");
    assert_eq!(pair.owners(ADDRESS_1), ["node2"]);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn long_a_group_that_differs_is_not_handed_over_unless_forced() {
    run(
        "haresources::differing_resources",
        OURS_OURS,
        differing_resources,
    );
}

/// A legacy node runs groups that are ours now, with an address and without: nothing is started
/// beside it, and `hb_takeover local` brings them here.
fn brought_home(kinds: [Kind; 2]) {
    let lines = |owner: &str| format!("{owner} {ADDRESS_1}/24/eth0 dummy::a\n{owner} dummy::z\n");
    let mut config = PairConfig::new(kinds);
    config.resources = lines("node1");
    let pair = Pair::new(config);
    pair.start_settled();
    pair.wait_owner("node1", ADDRESS_1, "a");
    wait_until(LONG, "node1 runs both", || pair.runs("node1", "z"));
    rewrite(&pair, &NODES, &lines("node2"));
    reload(&pair, "node2");
    pair.wait_log("node1", "Heartbeat restart on node node2");
    std::thread::sleep(Duration::from_secs(15));
    pair.wait_owner("node1", ADDRESS_1, "a");
    assert!(pair.runs("node1", "z") && !pair.runs("node2", "z"));
    pair.operator("node2", "hb_takeover local");
    pair.wait_owner("node2", ADDRESS_1, "a");
    wait_until(LONG, "node2 runs both, node1 nothing", || {
        ["a", "z"]
            .iter()
            .all(|name| pair.runs("node2", name) && !pair.runs("node1", name))
    });
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_takeover_brings_home_what_a_legacy_node_runs() {
    run(
        "haresources::a_takeover_brings_home_what_a_legacy_node_runs",
        LEGACY_OWNER,
        brought_home,
    );
}

/// A change of `systole.toml` alone is in force after `heartbeat -r`: the process replaces itself, its group
/// runs on, and the new setting is obeyed.
fn changed_settings(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds));
    pair.start_settled();
    let settings = pair.lab.dir("node1").join("ha.d/systole.toml");
    fs::write(&settings, "address_guard = \"report\"\n").expect("settings");
    reload(&pair, "node1");
    pair.wait_log("node1", "Configuration changed: settings");
    pair.wait_log("node2", "Heartbeat restart on node node1");
    pair.wait_holds("node1", "local");
    assert!(pair.has_address("node1", ADDRESS_1));
    pair.lab
        .sh("node1", &format!("ip addr del {ADDRESS_1}/24 dev eth0"));
    pair.wait_log("node1", &format!("address {ADDRESS_1} of group"));
    assert!(!pair.has_address("node1", ADDRESS_1), "it is reported only");
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_change_of_the_settings_alone_is_taken_up() {
    run(
        "haresources::a_change_of_the_settings_alone_is_taken_up",
        OURS_OURS,
        changed_settings,
    );
}
