//! Signal settings that the daemon inherits from the program that starts it.

use super::history::count;
use super::host::Kind;
use super::pair::{ADDRESS_1, Pair, PairConfig};
use super::{OURS_OURS, run};

/// The caller ignores SIGCHLD. The daemon must not: else exit codes of scripts are lost, and every
/// start and stop counts as failed, until the machine is rebooted.
fn ignores_its_children(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds));
    let program = pair.daemon("node1");
    let caller = "$SIG{CHLD} = 'IGNORE'; exec @ARGV";
    let output = pair
        .lab
        .exec("node1", &["perl", "-e", caller, "setsid", &program]);
    assert!(output.status.success(), "{output:?}");
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_holds("node1", "all");
    pair.stop("node1");
    assert!(!pair.runs("node1", "a") && !pair.has_address("node1", ADDRESS_1));
    assert_eq!(count(&pair.lab, "node1", "start", "a"), 1);
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 1);
    let log = pair.lab.log("node1");
    assert!(!log.contains("ERROR"), "{log}");
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_caller_that_ignores_its_children_changes_nothing() {
    run(
        "caller::a_caller_that_ignores_its_children_changes_nothing",
        OURS_OURS,
        ignores_its_children,
    );
}
