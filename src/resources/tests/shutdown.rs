use super::*;

const ON: AutoFailback = AutoFailback::On;

#[test]
fn everything_is_released_then_said_then_ended() {
    let mut core = Core::stable(ON);
    core.stop();
    assert_eq!(core.said(), ["resource none 0 shutdown", "stop a"]);
    core.finish();
    assert_eq!(core.said(), ["stop b", "shutdone"]);
    core.wait(999);
    assert_eq!(core.said(), [""; 0]);
    core.wait(1);
    assert_eq!(core.said(), ["stop clients"]);
    core.wait(60_000);
    assert_eq!(core.said(), [""; 0], "it waits for the clients");
    core.input(ResourceInput::ClientsStopped);
    core.wait(999);
    assert_eq!(core.said(), [""; 0]);
    core.wait(1);
    assert_eq!(core.said(), ["exit"]);
}

#[test]
fn a_stop_goes_on_when_every_living_node_has_the_last_words() {
    let mut core = Core::stable(ON);
    core.event(ResourceEvent::LastWordsReceived);
    core.stop();
    core.finish();
    core.said();
    core.finish();
    core.wait(20);
    core.event(ResourceEvent::LastWordsReceived);
    core.wait(0);
    assert_eq!(core.said(), ["stop clients"]);
    core.event(ResourceEvent::LastWordsReceived);
    core.wait(60_000);
    assert_eq!(core.said(), [""; 0], "it waits for the clients");
    core.input(ResourceInput::ClientsStopped);
    core.wait(20);
    assert_eq!(core.said(), [""; 0], "they have had words of their own");
    core.event(ResourceEvent::LastWordsReceived);
    core.wait(0);
    assert_eq!(core.said(), ["exit"]);
}

#[test]
fn a_stop_waits_for_own_scripts_without_a_bound() {
    let mut core = Core::starting(ON);
    core.hear("b", "resource local 1");
    core.said();
    core.stop();
    core.wait(600_000);
    assert_eq!(core.said(), [""; 0]);
    core.finish();
    let said = core.said();
    assert_eq!(said[said.len() - 3..], ["stop a", "stop b", "shutdone"]);
}

#[test]
fn a_stop_waits_for_the_other_side_for_thirty_seconds() {
    let mut core = Core::stable(ON);
    core.hear("b", "resource local 0");
    core.stop();
    core.wait(29_999);
    assert_eq!(core.said(), [""; 0]);
    core.wait(1);
    assert_eq!(core.said()[0], "resource none 0 shutdown");
}

#[test]
fn both_stop_at_once() {
    let mut core = Core::stable(ON);
    core.stop();
    core.hear("b", "resource none 0 shutdown");
    core.hear("b", "shutdone");
    core.said();
    core.finish();
    assert_eq!(core.said(), ["stop b", "shutdone"]);
    core.dies("b");
    assert_eq!(core.said(), [""; 0]);
}

#[test]
fn a_stop_before_communication_is_up_waits_for_it() {
    let mut core = Core::with(&settings(&["a", "b"], ON));
    core.stop();
    core.wait(5_000);
    assert_eq!(core.said(), [""; 0]);
    core.dies("b");
    assert_eq!(core.said(), [""; 0]);
    core.input(ResourceInput::CommUp);
    core.finish();
    assert_eq!(
        core.said(),
        [
            "starting",
            "resource none 0 shutdown",
            "stop a",
            "stop b",
            "shutdone"
        ]
    );
}

#[test]
fn a_stop_asked_in_a_quick_restart_waits_for_nobody_when_all_others_are_dead() {
    let mut core = Core::with(&settings(&["a", "b"], ON));
    let running = [GroupKey::new("a"), GroupKey::new("b")];
    core.state.resume(HoldingSet::ALL, running);
    core.stop();
    core.dies("b");
    core.input(ResourceInput::CommUp);
    core.finish();
    let said = core.said();
    assert_eq!(
        said,
        [
            "starting",
            "resource none 0 shutdown",
            "stop a",
            "stop b",
            "shutdone"
        ]
    );
}

#[test]
fn the_giver_stops_in_the_middle() {
    let mut core = Core::stable(ON);
    core.standby(HoldingSet::LOCAL);
    core.hear("b", "ask local other");
    core.stop();
    core.said();
    core.finish();
    assert_eq!(core.said(), ["ask local done"], "its own work goes on");
    core.hear("b", "ask local done");
    core.hear("b", "resource all 1");
    core.finish();
    let said = core.said();
    assert_eq!(said.last().unwrap(), "shutdone", "{said:?}");
}

#[test]
fn without_resource_management_only_the_clients_are_stopped() {
    let mut settings = settings(&["a", "b"], ON);
    settings.manage_resources = false;
    let mut core = Core::with(&settings);
    core.input(ResourceInput::CommUp);
    core.stop();
    assert_eq!(core.said(), ["stop clients"]);
    core.input(ResourceInput::ClientsStopped);
    core.wait(1_000);
    assert_eq!(core.said(), ["exit"]);
}

/// Legacy ends after an hour, whatever still runs.
#[test]
fn a_stop_that_hangs_is_never_cut_off() {
    let mut core = Core::stable(ON);
    core.stop();
    core.said();
    core.wait(24 * 3_600_000);
    assert_eq!(core.said(), [""; 0]);
    let said = |line: &&String| line.contains("groups that may run: a. ");
    assert_eq!(core.complaints.iter().filter(said).count(), 24);
    core.finish();
    assert_eq!(core.said(), ["stop b", "shutdone"]);
}

/// Without reports a node that is being stopped asks for nothing that the other has taken
/// meanwhile.
#[test]
fn a_stop_does_not_wait_beside_a_node_that_was_not_heard() {
    let mut core = Core::with(&settings(&["a", "b"], AutoFailback::Legacy));
    core.dies("b");
    core.input(ResourceInput::CommUp);
    // The first of two starts in hand.
    core.end(GroupOutcome::Started);
    core.stop();
    core.said();
    core.wait(60_000);
    assert_eq!(core.said(), [""; 0], "it waits for the script");
    core.status("b", NodeStatus::Dead, NodeStatus::Active);
    let said = core.said();
    assert!(said.contains(&"drop addresses".to_owned()), "{said:?}");
}
