//! Starts that are refused because another host answers for an address of the group.

use super::*;

const ON: AutoFailback = AutoFailback::On;

/// A legacy node gives a set, and starts it again without a report. Both claim it, and only one
/// node runs it: we drop the claim, so that nothing is contested.
#[test]
fn what_a_legacy_node_claims_and_the_network_shows_with_it_is_left_to_it() {
    let mut core = Core::starting(ON);
    core.hear("b", "resource all 1");
    core.hear("b", "ask foreign me");
    core.hear("b", "resource local 0 standby");
    core.hear("b", "ask foreign done");
    core.hear("b", "resource all 1");
    core.said();
    core.refuse();
    let said = core.said();
    assert!(said.contains(&"ask foreign done".to_owned()), "{said:?}");
    assert_eq!(said.last().map(String::as_str), Some("resource none 1"));
    assert_eq!(core.state.rscstatus(), "none");
    core.hear("b", "resource all 1");
    core.wait(60_000);
    let said = core.said();
    assert!(!said.contains(&"start a".to_owned()), "{said:?}");
    // It gives it back for good.
    core.hear("b", "ask foreign me");
    core.hear("b", "resource local 0 standby");
    core.hear("b", "ask foreign done");
    core.finish();
    core.hear("b", "resource local 1");
    assert_eq!(core.state.rscstatus(), "local");
    assert_eq!(core.state.held_groups().count(), 1);
}

/// The node that had the address dies: no node runs the group until we do.
#[test]
fn a_refused_group_is_started_when_the_other_node_dies() {
    let mut core = Core::stable(ON);
    core.dies("b");
    core.refuse();
    core.returns("b");
    core.hear("b", "starting");
    core.hear("b", "resource none 1");
    core.said();
    core.dies("b");
    core.wait(10);
    let said = core.said();
    assert!(said.contains(&"start a".to_owned()), "{said:?}");
}
