//! Maintenance: a frozen Systole node beside a legacy node moves nothing, whatever is requested.

use super::SYSTOLE_OWNER;
use super::history::assert_never_two_owners;
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, ADDRESS_2, LONG, Pair, PairConfig};

const SYSTOLE: &str = env!("CARGO_BIN_EXE_systole");

const MEMBER: &str = "setpriv --reuid hacluster --regid haclient --clear-groups";
const NOBODY: &str = "setpriv --reuid nobody --regid nogroup --clear-groups";

/// Output, standard error and exit code of `systole` on node1.
fn systole(pair: &Pair, who: &str, words: &str) -> String {
    let call = format!("{who} {SYSTOLE} {words} 2>&1; echo \"code $?\"");
    pair.lab.sh("node1", &call)
}

fn is_frozen(pair: &Pair) -> bool {
    systole(pair, "", "status").contains("FROZEN")
}

fn settled_frozen(pair: &Pair, what: &str) {
    pair.wait_holds("node1", "local");
    assert!(is_frozen(pair), "{what}");
    assert_eq!(pair.owners(ADDRESS_1), ["node1"], "{what}");
    assert_eq!(pair.log_count("node1", "Resources being acquired"), 0);
}

/// Freeze, thaw and why; over a kill, a restart in place, requests of people on both nodes, and the
/// death of the other node.
fn maintenance(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds).with_second_group());
    pair.start_settled();
    assert!(!is_frozen(&pair));
    let refused = systole(&pair, NOBODY, "freeze");
    assert!(refused.ends_with("code 1\n"), "{refused}");
    assert!(!is_frozen(&pair));
    for who in [MEMBER, ""] {
        let said = systole(&pair, who, "freeze");
        assert!(
            said.starts_with("frozen") && said.ends_with("code 0\n"),
            "{said}"
        );
    }
    settled_frozen(&pair, "frozen");
    assert_eq!(pair.log_count("node1", "frozen: no resource is started"), 1);

    let active = "Local status now set to: 'active'";
    pair.lab.sh("node1", "kill -9 $(cat /run/heartbeat.pid)");
    pair.wait_log_count("node1", active, 2);
    settled_frozen(&pair, "after a kill");
    pair.lab.sh(
        "node1",
        "sleep 1; touch /etc/ha.d/ha.cf; kill -HUP $(cat /run/heartbeat.pid)",
    );
    pair.wait_log("node1", "Performing heartbeat restart exec.");
    pair.wait_log_count("node1", active, 3);
    settled_frozen(&pair, "after a restart in place");

    pair.operator("node1", "hb_standby all");
    pair.wait_log(
        "node1",
        "standby request for [all] refused: this node is frozen; systole thaw ends it",
    );
    pair.operator("node2", "hb_standby all");
    pair.wait_log(
        "node1",
        "standby message [me] from node2 ignored.  this node is frozen; systole thaw ends it.",
    );
    pair.wait_log(
        "node2",
        "No reply to standby request.  Standby request cancelled.",
    );
    pair.operator("node2", "hb_takeover all");
    pair.wait_log_count(
        "node1",
        "standby request for [all] refused: this node is frozen; systole thaw ends it",
        2,
    );
    settled_frozen(&pair, "after requests");
    assert_eq!(pair.owners(ADDRESS_2), ["node2"]);

    pair.lab.power_off("node2");
    pair.wait_log(
        "node1",
        "the resources of node2 are not taken until the thaw",
    );
    settled_frozen(&pair, "beside a dead node");
    let status = systole(&pair, "", "status");
    assert!(
        status.contains("at the thaw the resources of node2 are taken"),
        "{status}"
    );
    assert!(pair.owners(ADDRESS_2).is_empty());
    let said = systole(&pair, MEMBER, "thaw");
    assert!(
        said.starts_with("thawed") && said.ends_with("code 0\n"),
        "{said}"
    );
    wait_until(LONG, "node1 has both", || {
        pair.has_address("node1", ADDRESS_2) && pair.runs("node1", "b")
    });
    assert_never_two_owners(&pair.lab);

    pair.wait_holds("node1", "all");
    let why = systole(&pair, MEMBER, "why");
    let mut from = 0;
    for line in [
        "goes on holding local: the process or its core began anew",
        "refuses to give all away: this node is frozen; systole thaw ends it",
        "does not take all of node2: this node is frozen; systole thaw ends it",
        "declares node2 dead: nothing was received of it for its dead time",
        "does not take the resources of node2: this node is frozen; systole thaw ends it",
        "thaws: systole thaw was called",
        "takes the resources of node2:",
    ] {
        let at = why[from..].find(line);
        from += at.unwrap_or_else(|| panic!("{line:?} is not there in order: {why}"));
    }
    assert!(systole(&pair, NOBODY, "why").ends_with("code 1\n"));

    // An order to stop ends the freeze.
    systole(&pair, "", "freeze");
    pair.stop("node1");
    assert!(pair.owners(ADDRESS_1).is_empty());
    assert!(systole(&pair, "", "thaw").ends_with("code 3\n"));
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn freeze_beside_legacy() {
    super::run("freeze::beside_legacy", SYSTOLE_OWNER, maintenance);
}
