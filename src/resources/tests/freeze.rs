//! Frozen: the handshake goes on, nothing is started or stopped.

use super::*;
use crate::resources::FreezeRefused;

fn freeze(core: &mut Core) {
    core.input(ResourceInput::FreezeRequested);
    assert!(core.state.frozen(), "{:?}", core.complaints);
    core.said();
}

fn frozen() -> Core {
    let mut core = Core::stable(AutoFailback::On);
    freeze(&mut core);
    core
}

fn moves(said: &[String]) -> Vec<&String> {
    said.iter()
        .filter(|line| line.starts_with("start ") || line.starts_with("stop "))
        .collect()
}

#[test]
fn a_dead_node_is_taken_over_at_the_thaw() {
    let mut core = frozen();
    core.dies("b");
    core.wait(100_000);
    let said = core.said();
    assert!(moves(&said).is_empty(), "{said:?}");
    assert!(
        !said.contains(&"hook status".to_owned()),
        "mach_down would take it"
    );
    assert_eq!(
        core.state.rscstatus(),
        "local",
        "what we hold, not in transition"
    );
    assert_eq!(core.state.waits_for_thaw().count(), 1);
    core.input(ResourceInput::ThawRequested);
    core.finish();
    let said = core.said();
    assert!(said.contains(&"start b".to_owned()), "{said:?}");
    assert!(said.contains(&"hook status".to_owned()), "{said:?}");
    assert_eq!(core.state.rscstatus(), "all");
    assert_eq!(core.state.waits_for_thaw().count(), 0);
}

#[test]
fn a_node_that_left_in_order_is_taken_over_at_the_thaw() {
    let mut core = frozen();
    core.hear("b", "resource none 0 shutdown");
    core.hear("b", "shutdone");
    core.wait(100_000);
    let said = core.said();
    assert!(moves(&said).is_empty(), "{said:?}");
    assert_eq!(core.state.rscstatus(), "local");
    let known: Vec<_> = core
        .complaints
        .iter()
        .filter(|l| l.contains("No one owns"))
        .collect();
    assert!(known.is_empty(), "known and wanted: {known:?}");
    core.input(ResourceInput::ThawRequested);
    core.finish();
    assert!(core.said().contains(&"start b".to_owned()));
    assert_eq!(core.state.rscstatus(), "all");
}

#[test]
fn a_node_that_came_back_meanwhile_keeps_its_groups() {
    let mut core = frozen();
    core.dies("b");
    core.returns("b");
    core.hear("b", "starting");
    let said = core.said();
    assert!(
        said.contains(&"resource local 1".to_owned()),
        "answered: {said:?}"
    );
    core.hear("b", "resource local 1");
    assert_eq!(core.state.waits_for_thaw().count(), 0);
    core.input(ResourceInput::ThawRequested);
    core.wait(100_000);
    let said = core.said();
    assert!(moves(&said).is_empty(), "{said:?}");
    assert_eq!(core.state.rscstatus(), "local");
}

#[test]
fn requests_are_refused() {
    let mut core = frozen();
    core.hear("b", "ask all me");
    core.hear("b", "hb_takeover all");
    core.hear("b", "ip-request a");
    core.standby(HoldingSet::ALL);
    core.wait(100_000);
    assert_eq!(core.said(), ["hook ip-request"]);
    assert_eq!(core.state.rscstatus(), "local");
    assert_eq!(core.complaints.len(), 5, "{:?}", core.complaints);
    assert!(core.complaints.iter().all(|line| line.contains("frozen")));
    // And after the thaw the same requests count.
    core.input(ResourceInput::ThawRequested);
    core.standby(HoldingSet::ALL);
    assert_eq!(core.said(), ["ask all me"]);
}

#[test]
fn failback_waits_for_the_thaw() {
    let mut core = Core::alone(AutoFailback::On);
    freeze(&mut core);
    core.returns("b");
    core.hear("b", "starting");
    core.hear("b", "resource none 1");
    core.wait(100_000);
    let said = core.said();
    assert!(!said.iter().any(|line| line.starts_with("ask")), "{said:?}");
    assert_eq!(core.state.rscstatus(), "all");
    core.input(ResourceInput::ThawRequested);
    let said = core.said();
    assert_eq!(said, ["ask foreign me"]);
}

#[test]
fn a_failed_group_waits_for_the_thaw() {
    let mut core = Core::starting(AutoFailback::On);
    core.hear("b", "resource local 1");
    core.fail_start();
    freeze(&mut core);
    core.wait(2_000_000);
    assert_eq!(core.said(), Vec::<String>::new());
    core.input(ResourceInput::ThawRequested);
    core.wait(1);
    assert_eq!(
        core.said(),
        ["ask local me"],
        "moved, as it would have been"
    );
}

#[test]
fn orphans_wait_for_the_thaw() {
    let mut core = frozen();
    core.hear("b", "resource none 1");
    core.wait(100_000);
    assert!(moves(&core.said()).is_empty());
    core.input(ResourceInput::ThawRequested);
    core.wait(15_000);
    assert_eq!(core.said(), ["starting"]);
    core.hear("b", "resource none 1");
    core.gives_its_own();
    assert!(core.said().contains(&"start b".to_owned()));
}

#[test]
fn a_stop_ends_it_and_releases() {
    let mut core = frozen();
    core.stop();
    core.finish();
    core.wait(1_000);
    assert!(!core.state.frozen());
    let said = core.said();
    assert!(said.contains(&"stop a".to_owned()), "{said:?}");
    assert!(said.contains(&"shutdone".to_owned()), "{said:?}");
}

#[test]
fn two_owners_end_it() {
    // The other node declared us dead and took ours.
    let mut core = frozen();
    core.hear("b", "resource all 1");
    assert!(!core.state.frozen());
    assert!(core.said().contains(&"stop a".to_owned()));
    // We ran everything when the other came back in the run that we knew.
    let mut core = Core::alone(AutoFailback::On);
    freeze(&mut core);
    core.event(ResourceEvent::ReturnedAfterPartition {
        node: name("b"),
        yields: false,
    });
    assert!(!core.state.frozen());
    assert!(core.said().contains(&"stop a".to_owned()));
    // We may have been silent for too long.
    let mut core = frozen();
    core.event(ResourceEvent::OwnHeartbeatLost {
        silent: Duration::from_secs(9),
    });
    assert!(!core.state.frozen());
}

#[test]
fn a_partition_in_which_nothing_was_taken_moves_nothing() {
    let mut core = frozen();
    core.dies("b");
    core.event(ResourceEvent::ReturnedAfterPartition {
        node: name("b"),
        yields: false,
    });
    core.status("b", NodeStatus::Dead, NodeStatus::Active);
    core.hear("b", "resource local 1");
    core.wait(100_000);
    assert!(core.state.frozen());
    assert!(moves(&core.said()).is_empty());
    core.input(ResourceInput::ThawRequested);
    core.wait(100_000);
    assert!(moves(&core.said()).is_empty());
    assert_eq!(core.state.rscstatus(), "local");
}

#[test]
fn a_process_that_begins_anew_starts_nothing() {
    // It held nothing, and there is no other node.
    let mut core = Core::with(&settings(&["a", "b"], AutoFailback::On));
    core.state.resume(HoldingSet::NONE, []);
    core.state.keep_frozen();
    core.dies("b");
    core.input(ResourceInput::CommUp);
    core.wait(100_000);
    let said = core.said();
    assert!(moves(&said).is_empty(), "{said:?}");
    assert_eq!(core.state.rscstatus(), "none");
    core.input(ResourceInput::ThawRequested);
    core.finish();
    assert_eq!(core.state.rscstatus(), "all");
    // It held its own, and the other answers.
    let mut core = Core::with(&settings(&["a", "b"], AutoFailback::On));
    core.state.resume(HoldingSet::LOCAL, [GroupKey::new("a")]);
    core.state.keep_frozen();
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource local 1");
    core.wait(100_000);
    assert!(moves(&core.said()).is_empty());
    assert_eq!(core.state.rscstatus(), "local");
    // It held nothing and no node holds ours: at the thaw they are taken.
    let mut core = Core::with(&settings(&["a", "b"], AutoFailback::On));
    core.state.resume(HoldingSet::NONE, []);
    core.state.keep_frozen();
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource local 1");
    core.wait(100_000);
    assert!(moves(&core.said()).is_empty());
    core.input(ResourceInput::ThawRequested);
    core.finish();
    assert_eq!(core.state.rscstatus(), "local");
}

fn never(why: &'static str) -> Result<(), FreezeRefused> {
    Err(FreezeRefused::Never(why))
}

#[test]
fn it_is_refused_where_it_could_not_hold() {
    let mut core = Core::starting(AutoFailback::On);
    let not_now = FreezeRefused::NotNow("this node is not settled yet");
    assert_eq!(core.state.may_freeze(), Err(not_now));
    core.input(ResourceInput::FreezeRequested);
    assert!(!core.state.frozen());
    assert!(core.complaints[0].contains("freeze refused: not now"));
    let core = Core::with(&settings(&["a", "b"], AutoFailback::Legacy));
    assert_eq!(
        core.state.may_freeze(),
        never(
            "auto_failback legacy: the other node would take groups unasked; set it to on or off"
        )
    );
    let mut core = Core::stable(AutoFailback::On);
    core.stop();
    assert_eq!(core.state.may_freeze(), never("the node is being stopped"));
    let unmanaged = NodeSettings {
        manage_resources: false,
        ..settings(&["a", "b"], AutoFailback::On)
    };
    let core = Core::with(&unmanaged);
    assert_eq!(
        core.state.may_freeze(),
        never("resources are not managed here")
    );
}

#[test]
fn every_decision_comes_with_its_cause() {
    let mut core = Core::stable(AutoFailback::On);
    freeze(&mut core);
    core.dies("b");
    core.input(ResourceInput::ThawRequested);
    core.finish();
    core.stop();
    core.finish();
    assert_eq!(
        core.decided,
        [
            "starts the local resources: a: the nodes are agreed, or the wait for it is over: no other \
             node holds them",
            "freezes, holding local: systole freeze was called",
            "declares b dead: nothing was received of it for its dead time",
            "does not take the resources of b: this node is frozen; systole thaw ends it",
            "thaws: systole thaw was called",
            "takes the resources of b: b: b is dead",
            "starts the local resources: a: no other node is there to run them",
            "releases all and stops: a stop was requested",
        ]
    );
}
