//! What the core says of acts that an obstacle holds back. The table itself: `gate/tests.rs`.

use super::*;
use crate::resources::parts::timers::Timer;

const ON: AutoFailback = AutoFailback::On;
const OTHER: &str = "the other node is in transition, or absent";

#[test]
fn a_node_with_nothing_to_do_waits_for_nothing() {
    for core in [Core::stable(ON), Core::alone(ON)] {
        assert_eq!(core.state.waits(), [""; 0]);
    }
}

#[test]
fn a_stop_names_what_it_waits_for() {
    let mut core = Core::stable(ON);
    core.hear("b", "resource local 0");
    core.stop();
    let first = "stop, when the other node has settled too (30 seconds at most)";
    assert_eq!(core.state.waits(), [format!("waits to {first}: {OTHER}")]);
    let mut core = Core::starting(ON);
    core.hear("b", "resource local 1");
    core.stop();
    core.wait(30_000);
    let work = "waits to stop: groups are being started or stopped here";
    assert_eq!(core.state.waits(), [work]);
    core.finish();
    assert_eq!(core.state.waits(), [""; 0]);
}

#[test]
fn a_frozen_node_names_the_nodes_it_has_not_taken_over() {
    let mut core = Core::stable(ON);
    core.input(ResourceInput::FreezeRequested);
    core.dies("b");
    let line = "waits to take the resources of a node that is gone (b): this node is frozen; systole thaw ends it";
    assert_eq!(core.state.waits(), [line]);
}

#[test]
fn groups_that_do_not_run_are_named_with_the_first_obstacle() {
    let mut core = Core::starting(ON);
    core.hear("b", "resource local 1");
    core.fail_start();
    core.finish();
    assert_eq!(core.state.waits(), [""; 0], "only its pause");
    core.input(ResourceInput::FreezeRequested);
    let line = "waits to start a group again that is held and does not run (a): this node is frozen; systole thaw ends it";
    assert_eq!(core.state.waits(), [line]);
    core.input(ResourceInput::ThawRequested);
    core.hear("b", "resource none 0 shutdown");
    let waits = core.state.waits();
    assert!(waits[0].ends_with("(a): the other node is being stopped, and may still run them"));
}

#[test]
fn a_failback_names_what_it_waits_for() {
    let mut core = Core::alone(ON);
    core.state.other.claims(HoldingSet::LOCAL);
    core.status("b", NodeStatus::Dead, NodeStatus::Active);
    core.hear("b", "resource local 0");
    core.state.timers.clear(Timer::OtherYields);
    core.state.failback.settled_beside(true);
    let failback = "waits to give the foreign resources back to their owner";
    assert_eq!(core.state.waits(), [format!("{failback}: {OTHER}")]);
    core.state.other.settles();
    let claimed = "their owner holds its own resources already";
    assert_eq!(core.state.waits(), [format!("{failback}: {claimed}")]);
}

#[test]
fn a_request_that_waits_is_named() {
    let mut core = Core::starting(ON);
    core.hear("b", "resource local 1");
    core.standby(HoldingSet::ALL);
    let request = "waits to handle a request that came during other work";
    let work = "groups are being started or stopped here";
    assert_eq!(core.state.waits(), [format!("{request}: {work}")]);
}

/// Whatever the log says in the words of legacy, `systole why` has the cause.
#[test]
fn every_refusal_of_a_request_is_a_decision() {
    let refused = |mut core: Core| {
        core.standby(HoldingSet::ALL);
        core.decided.pop().unwrap_or_default()
    };
    let refuses = "refuses to give all away";
    let unsettled = Core::starting(ON);
    assert_eq!(refused(unsettled), format!("{refuses}: {OTHER}"));
    let mut frozen = Core::stable(ON);
    frozen.input(ResourceInput::FreezeRequested);
    assert_eq!(
        refused(frozen),
        format!("{refuses}: this node is frozen; systole thaw ends it")
    );
    let mut open = Core::stable(ON);
    open.standby(HoldingSet::LOCAL);
    assert_eq!(refused(open), format!("{refuses}: a standby is under way"));
    let many = Core::with(&settings(&["a", "b", "c"], ON));
    let more = "more than two nodes are configured";
    assert_eq!(refused(many), format!("{refuses}: {more}"));
    let legacy = refused(Core::with(&settings(&["a", "b"], AutoFailback::Legacy)));
    assert!(legacy.starts_with("refuses to give all away: auto_failback legacy"));
}

#[test]
fn every_refusal_of_an_offer_is_a_decision() {
    let refused = |mut core: Core| {
        core.hear("b", "ask local me");
        core.decided.pop().unwrap_or_default()
    };
    let refuses = "does not take local of b";
    let mut frozen = Core::stable(ON);
    frozen.input(ResourceInput::FreezeRequested);
    assert_eq!(
        refused(frozen),
        format!("{refuses}: this node is frozen; systole thaw ends it")
    );
    let mut unsettled = Core::stable(ON);
    unsettled.hear("b", "resource local 0");
    assert_eq!(refused(unsettled), format!("{refuses}: {OTHER}"));
    let mut dead = Core::stable(ON);
    dead.dies("b");
    let inactive = "the node is not active";
    assert_eq!(refused(dead), format!("{refuses}: {inactive}"));
}
