//! Of which groups an address that somebody has removed may be put back, and what is said of those without.

use std::collections::BTreeSet;

use super::*;

fn keeps(core: &Core) -> [bool; 2] {
    ["a", "b"].map(|key| core.state.keeps(&GroupKey::new(key)))
}

#[test]
fn a_group_is_kept_from_the_end_of_its_start_until_something_is_to_be_done_about_it() {
    let mut core = Core::stable(AutoFailback::On);
    assert_eq!(keeps(&core), [true, false]);
    core.dies("b");
    assert!(!keeps(&core)[1], "its start has not ended");
    core.finish();
    assert_eq!(keeps(&core), [true, true]);
    core.input(ResourceInput::StopRequested(StopReason::Requested));
    assert_eq!(keeps(&core), [false, false]);
    core.finish();
    assert_eq!(keeps(&core), [false, false]);
}

#[test]
fn a_group_that_is_given_away_is_not_kept() {
    let mut core = Core::stable(AutoFailback::On);
    core.standby(HoldingSet::LOCAL);
    core.hear("b", "ask local other");
    assert_eq!(keeps(&core), [false, false], "its stop has not ended");
    core.finish();
    assert_eq!(keeps(&core), [false, false]);
}

#[test]
fn clients_are_told_of_no_half_that_runs_without_its_addresses() {
    let mut core = Core::alone(AutoFailback::On);
    let mut note = |keys: &[&str]| {
        let keys: BTreeSet<GroupKey> = keys.iter().copied().map(GroupKey::new).collect();
        core.state.note_absent(&keys);
        core.state.rscstatus()
    };
    assert_eq!(note(&["b"]), "local");
    assert_eq!(note(&["a", "b"]), "none");
    assert_eq!(note(&[]), "all");
}
