//! Two hosts copied from one disk: the same `hb_uuid`.

use std::fs;
use std::time::Duration;

use super::history::assert_never_two_owners;
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, ADDRESS_2, LONG, NODES, Pair, PairConfig};
use super::{LEGACY_LEGACY, LEGACY_OWNER, SYSTOLE_OWNER, run};

fn copied(kinds: [Kind; 2]) -> Pair {
    let pair = Pair::new(PairConfig::new(kinds).with_second_group());
    for node in NODES {
        let path = pair.lab.dir(node).join("lib/hb_uuid");
        fs::write(path, b"0123456789abcdef").expect("hb_uuid");
    }
    pair
}

/// A legacy node may stay confused, and then holds too little. The log says so, and no group has
/// two owners.
fn beside_legacy(kinds: [Kind; 2], seconds: u64) {
    let pair = copied(kinds);
    pair.start_both();
    let ours = if kinds == SYSTOLE_OWNER { 0 } else { 1 };
    pair.wait_log(NODES[ours], "was hb_uuid copied to another machine?");
    // Beyond initdead, and some dead times more. A confused legacy node does not answer, so ours
    // may not even become active.
    std::thread::sleep(Duration::from_secs(seconds));
    assert_never_two_owners(&pair.lab);
    for address in [ADDRESS_1, ADDRESS_2] {
        assert!(pair.owners(address).len() < 2, "{address}");
    }
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn one_uuid_on_both_hosts_systole_first() {
    run(
        "identity::one_uuid_on_both_hosts_systole_first",
        SYSTOLE_OWNER,
        |kinds| beside_legacy(kinds, 18),
    );
}

#[test]
#[ignore = "lab: long tier"]
fn long_one_uuid_on_both_hosts_legacy_first() {
    run(
        "identity::long_one_uuid_on_both_hosts_legacy_first",
        LEGACY_OWNER,
        |kinds| beside_legacy(kinds, 40),
    );
}

/// The same with two legacy nodes.
#[test]
#[ignore = "lab: long tier, records what legacy does"]
fn long_one_uuid_on_both_hosts_legacy_legacy() {
    run(
        "identity::long_one_uuid_on_both_hosts_legacy_legacy",
        LEGACY_LEGACY,
        |kinds| {
            let pair = copied(kinds);
            pair.start_both();
            wait_until(LONG, "a group has two owners", || {
                [ADDRESS_1, ADDRESS_2]
                    .iter()
                    .any(|address| pair.owners(address).len() == 2)
            });
        },
    );
}

/// The generation file comes from a backup: to a node that knew a higher number, messages with the
/// old one are a replay.
fn generation_from_a_backup(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds));
    pair.start_settled();
    pair.stop("node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    let path = pair.lab.dir("node1").join("lib/hb_generation");
    fs::write(path, format!("{:>15}\n", 1_700_000_000)).expect("hb_generation");
    pair.start("node1");
    pair.wait_log_count("node1", "Local status now set to: 'active'", 2);
    pair.wait_holds("node1", "none");
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_generation_from_a_backup_beside_legacy() {
    run(
        "identity::a_generation_from_a_backup_beside_legacy",
        SYSTOLE_OWNER,
        generation_from_a_backup,
    );
}
