//! A dead owner is reset before its groups are taken over: by the `stonith` command of cluster-glue
//! and a plugin that records what it is told, and by an agent that does.

use std::thread::sleep;
use std::time::Duration;

use super::fence_device::{Fenced, Way, run_with_glue};
use super::history::assert_never_two_owners;
use super::host::Kind;
use super::pair::{ADDRESS_1, ADDRESS_2, PairConfig};
use super::{LEGACY_OWNER, OURS_OURS, SYSTOLE_OWNER};

/// The owner dies, the device obeys: one reset of the right node, then the takeover.
fn obeys(kinds: [Kind; 2], way: Way) {
    let fenced = Fenced::settled(kinds, way);
    let pair = &fenced.pair;
    let device = name_of(way);
    fenced.mode(device, "late1");
    pair.lab.power_off("node1");
    fenced.wait_resets(1);
    fenced.tells_no_secret("node2");
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_log("node2", "node node1 now reset.");
    fenced.logged_in_order(
        "node2",
        &[
            "node node1: is dead",
            "Resetting node node1 with [",
            "node node1 now reset.",
            "Resources being acquired from node1.",
        ],
    );
    sleep(Duration::from_secs(6));
    let reset = format!("node2 {device} node1");
    assert_eq!(fenced.resets(), [reset.as_str()]);
    assert_eq!(fenced.done(), [reset.as_str()]);
    fenced.tells_no_secret("node2");
    assert_never_two_owners(&pair.lab);
}

/// The device fails twice and more, then it obeys.
fn fails_then_obeys(kinds: [Kind; 2]) {
    let fenced = Fenced::new(PairConfig::new(kinds), Way::HostLine);
    let pair = &fenced.pair;
    fenced.mode("rec", "fails");
    pair.start_settled();
    let listed = fenced.systole("node2", "fence list");
    assert!(
        listed.contains("external/rec (/etc/ha.d/ha.cf:"),
        "{listed}"
    );
    super::host::wait_until(super::pair::LONG, "the device is known", || {
        fenced
            .systole("node2", "fence list")
            .contains("resets node1, node2")
    });
    pair.lab.power_off("node1");
    pair.wait_log("node2", "Resetting node node1 with [external/rec]");
    pair.wait_log_count("node2", "STONITH of node1 failed.  Retrying...", 2);
    let status = fenced.systole("node2", "fence status");
    assert!(status.contains("now: node1 is dead: "), "{status}");
    assert!(status.contains("delay 5.0 s: "), "{status}");
    assert_eq!(pair.owners(ADDRESS_1), [""; 0]);
    assert!(!pair.runs("node2", "a"));
    fenced.mode("rec", "");
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_log("node2", "node node1 now reset.");
    let all = fenced.resets();
    assert!(all.len() >= 3, "{all:?}");
    assert!(all.iter().all(|it| it == "node2 rec node1"), "{all:?}");
    let log = pair.lab.log("node2");
    assert!(log.contains("the switch says no to ***"), "{log}");
    fenced.tells_no_secret("node2");
    sleep(Duration::from_secs(6));
    assert_eq!(fenced.resets(), all, "once it was reset, no more");
    assert_never_two_owners(&pair.lab);
}

/// A person says that the node is off.
fn confirmed(kinds: [Kind; 2]) {
    let fenced = Fenced::new(PairConfig::new(kinds), Way::HostLine);
    let pair = &fenced.pair;
    fenced.mode("rec", "fails");
    pair.start_settled();
    let early = fenced.systole("node2", "fence confirm node1");
    assert!(
        early.contains("nothing waits until node1 is fenced"),
        "{early}"
    );
    let unknown = fenced.systole("node2", "fence confirm node7");
    assert!(unknown.contains("ha.cf names no node node7"), "{unknown}");
    pair.lab.power_off("node1");
    pair.wait_log("node2", "STONITH of node1 failed.  Retrying...");
    assert_eq!(pair.owners(ADDRESS_1), [""; 0]);
    assert_eq!(
        fenced.systole("node2", "fence confirm node1"),
        "confirmed: node1 counts as reset\n"
    );
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_log("node2", "confirms that node1 is off: it counts as fenced");
}

/// The first device that is tried hangs, and ignores TERM: the next one does it.
fn hangs(kinds: [Kind; 2]) {
    let fenced = Fenced::new(PairConfig::new(kinds), Way::TwoLines);
    let pair = &fenced.pair;
    fenced.settings("fence_time_limit_s = 3\n");
    fenced.mode("last", "hangs");
    pair.start_settled();
    pair.lab.power_off("node1");
    pair.wait_log("node2", "no answer within 3 s");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_eq!(
        fenced.resets(),
        ["node2 last node1", "node2 rec node1"],
        "from the last line to the first"
    );
    let left = pair.lab.sh("node2", "pgrep -x sleep -a | grep 600");
    assert_eq!(left, "", "its processes are ended");
    fenced.logged_in_order(
        "node2",
        &[
            "did not reset node1: no answer within 3 s",
            "node node1 now reset.",
            "Resources being acquired from node1.",
        ],
    );
    assert_never_two_owners(&pair.lab);
}

/// The device says that it is done and does nothing: the owner, which was only cut off, is back in the same
/// run. That is said, and one owner is left.
fn lies(kinds: [Kind; 2], way: Way) {
    let fenced = Fenced::settled(kinds, way);
    let pair = &fenced.pair;
    let device = name_of(way);
    fenced.mode(&format!("{device}-node1"), "fails");
    fenced.mode(&format!("{device}-node2"), "lies");
    pair.lab.link("node1", "eth0", false);
    pair.wait_log("node2", "node node1 now reset.");
    super::host::wait_until(super::pair::LONG, "node2 serves", || {
        pair.has_address("node2", ADDRESS_1)
    });
    assert_eq!(fenced.done(), [""; 0]);
    pair.lab.link("node1", "eth0", true);
    pair.wait_log(
        "node2",
        "node node1 was reported as reset by its fencing device, and is still running",
    );
    super::host::wait_until(super::pair::LONG, "one owner is left", || {
        pair.owners(ADDRESS_1).len() == 1
    });
}

/// The only device fails, then it hangs, then it obeys: nothing is taken until it has.
fn fails_hangs_obeys(kinds: [Kind; 2], way: Way) {
    let fenced = Fenced::new(PairConfig::new(kinds), way);
    let pair = &fenced.pair;
    let device = name_of(way);
    fenced.settings("fence_time_limit_s = 3\n");
    fenced.mode(device, "fails");
    pair.start_settled();
    pair.lab.power_off("node1");
    pair.wait_log("node2", "STONITH of node1 failed.  Retrying...");
    fenced.mode(device, "hangs");
    pair.wait_log("node2", "no answer within 3 s");
    pair.wait_log_count("node2", "STONITH of node1 failed.  Retrying...", 2);
    assert_eq!(pair.owners(ADDRESS_1), [""; 0]);
    assert!(!pair.runs("node2", "a"));
    fenced.mode(device, "");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_eq!(fenced.done(), [format!("node2 {device} node1")]);
    let left = pair.lab.sh("node2", "pgrep -x sleep -a | grep 600");
    assert_eq!(left, "", "its processes are ended");
    fenced.tells_no_secret("node2");
    assert_never_two_owners(&pair.lab);
}

fn name_of(way: Way) -> &'static str {
    match way {
        Way::Agent => "agent",
        Way::HostLine | Way::File | Way::TwoLines => "rec",
    }
}

/// Nothing is taken before the device has answered.
fn late(kinds: [Kind; 2]) {
    let fenced = Fenced::settled(kinds, Way::HostLine);
    let pair = &fenced.pair;
    fenced.mode("rec", "late6");
    pair.lab.power_off("node1");
    fenced.wait_resets(1);
    fenced.nothing_is_taken_before_it_is_done();
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_eq!(fenced.resets(), ["node2 rec node1"]);
    assert_never_two_owners(&pair.lab);
}

/// Each node dies once, each is reset by the other, and gets its group back.
fn both_directions(kinds: [Kind; 2]) {
    let config = PairConfig::new(kinds)
        .with_second_group()
        .with_failback("on");
    let fenced = Fenced::new(config, Way::HostLine);
    let pair = &fenced.pair;
    pair.start_settled();
    pair.wait_owner("node2", ADDRESS_2, "b");
    for (dies, lives, address, dummy) in [
        ("node1", "node2", ADDRESS_1, "a"),
        ("node2", "node1", ADDRESS_2, "b"),
    ] {
        let before = fenced.resets();
        pair.lab.power_off(dies);
        pair.wait_owner(lives, address, dummy);
        let after = fenced.resets();
        assert_eq!(
            after.get(before.len()..),
            Some(&[format!("{lives} rec {dies}")][..])
        );
        pair.lab.power_on(dies);
        pair.start(dies);
        pair.wait_owner(dies, address, dummy);
        pair.wait_holds("node1", "local");
        pair.wait_holds("node2", "local");
        assert_eq!(fenced.resets(), after);
    }
    assert_never_two_owners(&pair.lab);
}

macro_rules! fenced {
    ($($name:ident: $scenario:expr, $kinds:ident;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            run_with_glue(concat!("fencing::", stringify!($name)), $kinds, $scenario);
        }
    )* };
}

fenced! {
    fails_then_obeys_ours_ours: fails_then_obeys, OURS_OURS;
    fails_then_obeys_legacy_owner: fails_then_obeys, LEGACY_OWNER;
    confirmed_ours_ours: confirmed, OURS_OURS;
    obeys_ours_ours: |kinds| obeys(kinds, Way::HostLine), OURS_OURS;
    obeys_beside_a_legacy_survivor: |kinds| obeys(kinds, Way::HostLine), SYSTOLE_OWNER;
    obeys_legacy_owner: |kinds| obeys(kinds, Way::HostLine), LEGACY_OWNER;
    obeys_as_a_file: |kinds| obeys(kinds, Way::File), OURS_OURS;
    obeys_as_a_file_beside_a_legacy_survivor: |kinds| obeys(kinds, Way::File), SYSTOLE_OWNER;
    obeys_as_an_agent: |kinds| obeys(kinds, Way::Agent), OURS_OURS;
    hangs_and_the_next_device_does_it: hangs, OURS_OURS;
    hangs_legacy_owner: hangs, LEGACY_OWNER;
    lies_and_is_found_out: |kinds| lies(kinds, Way::HostLine), OURS_OURS;
    long_lies_and_is_found_out_as_a_file: |kinds| lies(kinds, Way::File), OURS_OURS;
    long_lies_and_is_found_out_as_an_agent: |kinds| lies(kinds, Way::Agent), OURS_OURS;
    fails_hangs_obeys_as_an_agent: |kinds| fails_hangs_obeys(kinds, Way::Agent), OURS_OURS;
    long_fails_hangs_obeys_as_a_file: |kinds| fails_hangs_obeys(kinds, Way::File), OURS_OURS;
    long_fails_hangs_obeys_as_a_file_legacy_owner: |kinds| fails_hangs_obeys(kinds, Way::File), LEGACY_OWNER;
    answers_late_ours_ours: late, OURS_OURS;
    answers_late_legacy_owner: late, LEGACY_OWNER;
    both_directions_ours_ours: both_directions, OURS_OURS;
    both_directions_systole_owner: both_directions, SYSTOLE_OWNER;
    both_directions_legacy_owner: both_directions, LEGACY_OWNER;
}
