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

/// The legacy node stands second in ha.cf: both learn better and settle.
#[test]
#[ignore = "lab: run by scripts/test"]
fn one_uuid_on_both_hosts_legacy_second() {
    run(
        "identity::one_uuid_on_both_hosts_legacy_second",
        SYSTOLE_OWNER,
        |kinds| {
            let pair = copied(kinds);
            pair.start_both();
            pair.wait_log("node1", "was hb_uuid copied to another machine?");
            pair.wait_active();
            pair.wait_owner("node1", ADDRESS_1, "a");
            pair.wait_owner("node2", ADDRESS_2, "b");
            assert_never_two_owners(&pair.lab);
        },
    );
}

/// It stands first: it may stay confused, and takes nothing that somebody else has.
#[test]
#[ignore = "lab: long tier"]
fn long_one_uuid_on_both_hosts_legacy_first() {
    run(
        "identity::long_one_uuid_on_both_hosts_legacy_first",
        LEGACY_OWNER,
        |kinds| {
            let pair = copied(kinds);
            pair.start_both();
            pair.wait_log("node2", "was hb_uuid copied to another machine?");
            // Beyond initdead, and several dead times.
            std::thread::sleep(Duration::from_secs(40));
            assert_never_two_owners(&pair.lab);
        },
    );
}

/// What two legacy nodes do of it.
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
