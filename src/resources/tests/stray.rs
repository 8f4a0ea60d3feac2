//! Single messages of nodes that count as dead, and what remains of a node that was dead before.

use super::*;

const ON: AutoFailback = AutoFailback::On;

/// Membership reports no restart of a node that was never received before.
#[test]
fn a_node_that_came_after_its_groups_were_taken_is_taken_over_again() {
    let mut core = Core::with(&settings(&["a", "b"], ON));
    core.event(ResourceEvent::NodeDead {
        node: name("b"),
        heard: false,
        ping: false,
        yields: false,
        message: Message::new("status"),
    });
    core.input(ResourceInput::CommUp);
    core.finish();
    // Never received before: membership reports no restart, only the change of its status.
    core.status("b", NodeStatus::Dead, NodeStatus::Up);
    core.status("b", NodeStatus::Up, NodeStatus::Active);
    core.hear("b", "starting");
    core.hear("b", "resource none 0");
    core.hear("b", "resource none 1");
    assert!(core.said().contains(&"ask foreign me".to_owned()));
    core.hear("b", "ask foreign other");
    core.finish();
    core.hear("b", "ask foreign done");
    core.hear("b", "resource local 1");
    assert_eq!(core.state.rscstatus(), "local");
    core.input(ResourceInput::FreezeRequested);
    assert!(core.state.frozen());
    core.dies("b");
    core.said();
    core.input(ResourceInput::ThawRequested);
    core.finish();
    core.wait(1_000_000);
    core.finish();
    let said = core.said();
    assert!(
        said.contains(&"start b".to_owned()),
        "nobody runs b: {said:?}"
    );
}

#[test]
fn a_question_of_a_dead_node_unsettles_nothing() {
    let mut core = Core::alone(ON);
    core.hear("b", "starting");
    core.wait(3_600_000);
    assert_eq!(core.state.rscstatus(), "all");
}

#[test]
fn a_report_of_a_dead_node_keeps_no_group_down() {
    let mut core = Core::stable(ON);
    core.dies("b");
    core.fail_start();
    core.finish();
    core.hear("b", "resource local 1");
    core.said();
    core.wait(3_600_000);
    let said = core.said();
    assert!(
        said.contains(&"start b".to_owned()),
        "never tried again: {said:?}"
    );
}

#[test]
fn legacy_model_a_request_of_a_dead_node_gets_nothing() {
    let mut core = Core::with(&settings(&["a", "b"], AutoFailback::Legacy));
    core.dies("b");
    core.input(ResourceInput::CommUp);
    core.finish();
    core.said();
    core.hear("b", "ip-request b");
    core.finish();
    let mut said = core.said();
    core.wait(3_600_000);
    core.finish();
    said.extend(core.said());
    assert!(
        !said.contains(&"stop b".to_owned()) || said.contains(&"start b".to_owned()),
        "{said:?}"
    );
}

#[test]
fn legacy_model_who_dies_before_its_group_is_stopped_gets_nothing() {
    let mut core = Core::with(&settings(&["a", "b"], AutoFailback::Legacy));
    core.dies("b");
    core.input(ResourceInput::CommUp);
    core.finish();
    core.returns("b");
    core.hear("b", "ip-request b");
    core.said();
    core.dies("b");
    core.finish();
    let said = core.said();
    assert!(
        !(said.contains(&"ip-request-resp b b yes".to_owned())
            && said.contains(&"start b".to_owned())),
        "granted and started here: {said:?}"
    );
}
