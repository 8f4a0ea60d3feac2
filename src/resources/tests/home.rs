//! Failbacks, and retries beside a node that has not finished yet.

use super::*;
use crate::resources::parts::timers::Timer;

const ON: AutoFailback = AutoFailback::On;
const OFFER: &str = "ask foreign me";

/// We run everything, and `b` is back, settled and without resources: we have offered it its own.
fn offered() -> Core {
    let mut core = Core::alone(ON);
    core.returns("b");
    core.hear("b", "starting");
    core.hear("b", "resource none 1");
    assert!(core.said().contains(&OFFER.to_owned()));
    core
}

fn offers(core: &mut Core) -> usize {
    core.said().iter().filter(|line| *line == OFFER).count()
}

/// Both nodes went on alone. A node does not answer an offer of what it already runs.
#[test]
fn a_failback_waits_while_the_other_node_still_runs_its_own() {
    let mut core = Core::alone(ON);
    core.state.failback.settled_beside(true);
    core.state.other.settles();
    core.state.other.claims(HoldingSet::LOCAL);
    core.status("b", NodeStatus::Dead, NodeStatus::Active);
    core.hear("b", "resource local 0");
    core.state.timers.clear(Timer::OtherYields);
    core.state.other.settles();
    core.state.failback.settled_beside(true);
    core.said();
    core.input(ResourceInput::Tick);
    assert_eq!(offers(&mut core), 0);
    assert!(core.state.failback_due(), "it is still due");
}

#[test]
fn a_failback_that_is_not_answered_is_tried_again_a_few_times() {
    let mut core = offered();
    core.wait(11_000);
    assert_eq!(offers(&mut core), 0, "not at once");
    core.wait(3_600_000);
    let again = offers(&mut core);
    assert!((1..=5).contains(&again), "{again} more offers");
    core.wait(3_600_000);
    assert_eq!(offers(&mut core), 0, "not for ever");
    // The next moment at which a failback is possible.
    core.hear("b", "resource none 0");
    core.hear("b", "resource none 1");
    assert_eq!(offers(&mut core), 1);
    core.hear("b", "ask foreign other");
    core.finish();
    assert_eq!(core.state.rscstatus(), "transition");
    core.hear("b", "ask foreign done");
    core.hear("b", "resource local 1");
    assert_eq!(core.state.rscstatus(), "local");
    core.wait(3_600_000);
    assert_eq!(offers(&mut core), 0);
}

/// Haresources was changed beside a legacy node, which reports with the same word that it holds its
/// own groups. It did not answer our first offer.
#[test]
fn what_goes_home_by_the_file_is_offered_again_beside_a_node_that_holds_its_own() {
    let mut core = Core::with(&settings(&["a", "b"], ON));
    core.state.resume(HoldingSet::FOREIGN, [GroupKey::new("b")]);
    core.state.note_changed_owners([], [], true);
    core.state.finish([]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource local 1");
    core.finish();
    assert_eq!(offers(&mut core), 1);
    assert!(core.state.failback_due() && core.state.goes_home_by_file());
    core.wait(11_000);
    assert_eq!(offers(&mut core), 0);
    core.wait(120_000);
    assert_eq!(offers(&mut core), 1);
    assert!(core.state.goes_home_by_file());
    core.hear("b", "ask foreign other");
    core.finish();
    core.hear("b", "ask foreign done");
    core.hear("b", "resource local 1");
    assert!(!core.state.failback_due() && !core.state.goes_home_by_file());
}

/// The failback was due by the file, until the owner of all foreign groups left. The owner comes
/// back with what it took meanwhile.
#[test]
fn an_owner_that_has_left_ends_the_reason_of_a_changed_file() {
    let mut core = Core::with(&settings(&["a", "b"], ON));
    core.state.resume(HoldingSet::FOREIGN, [GroupKey::new("b")]);
    core.state.note_changed_owners([], [], true);
    core.state.finish([]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    assert!(core.state.goes_home_by_file());
    core.hear("b", "shutdone");
    for _ in ["its groups are being taken", "they are here"] {
        assert!(core.state.failback_due() && !core.state.goes_home_by_file());
        core.finish();
    }
}

#[test]
fn what_is_given_to_us_meanwhile_stays() {
    let mut core = offered();
    core.wait(11_000);
    core.said();
    // A person moves it there and back.
    core.standby(HoldingSet::FOREIGN);
    core.hear("b", "ask foreign other");
    core.finish();
    core.hear("b", "ask foreign done");
    core.hear("b", "resource local 1");
    core.hear("b", "ask local me");
    core.hear("b", "resource none 0 standby");
    core.hear("b", "ask local done");
    core.finish();
    core.hear("b", "resource none 1");
    core.said();
    core.wait(3_600_000);
    assert_eq!(offers(&mut core), 0);
    assert_eq!(core.state.rscstatus(), "all");
}

#[test]
fn a_failback_that_the_other_nodes_new_run_ends_is_tried_again_when_that_is_settled() {
    let mut core = offered();
    core.event(ResourceEvent::NodeRestarted {
        node: name("b"),
        was_dead: false,
    });
    core.hear("b", "starting");
    core.hear("b", "resource none 0");
    assert_eq!(offers(&mut core), 0);
    core.hear("b", "resource none 1");
    assert_eq!(offers(&mut core), 1);
}

/// Its start of the same group may still be under way, and it no longer reports that it holds it.
#[test]
fn a_group_is_not_tried_again_beside_a_node_that_is_stopping() {
    let mut core = Core::starting(ON);
    core.hear("b", "resource none 1");
    core.fail_start();
    core.said();
    core.hear("b", "resource none 0 shutdown");
    core.wait(300_000);
    let said = core.said();
    assert!(!said.contains(&"start a".to_owned()), "{said:?}");
    core.hear("b", "shutdone");
    core.finish();
    core.wait(300_000);
    let said = core.said();
    assert!(said.contains(&"start a".to_owned()), "{said:?}");
}
