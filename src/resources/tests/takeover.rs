use super::*;

const ON: AutoFailback = AutoFailback::On;

#[test]
fn death_of_a_holder() {
    let mut core = Core::stable(ON);
    core.dies("b");
    core.finish();
    assert_eq!(
        core.said(),
        [
            "renumber",
            "stonith b n_stnth",
            "hook status",
            "start b",
            "start a",
            "resource foreign mach_down",
            "resource all 1",
            "resource all 1 req_our_resources()",
        ]
    );
    assert_eq!(core.state.rscstatus(), "all");
}

#[test]
fn orderly_leave_then_silence() {
    let mut core = Core::stable(ON);
    core.hear("b", "resource none 0 shutdown");
    assert_eq!(core.said(), [""; 0]);
    core.hear("b", "shutdone");
    core.finish();
    let said = core.said();
    assert!(said.contains(&"start b".to_owned()), "{said:?}");
    assert!(said.contains(&"resource all 1".to_owned()));
    core.dies("b");
    assert_eq!(core.said(), ["stonith b unneeded"]);
}

#[test]
fn a_lone_start_takes_everything_before_it_says_starting() {
    let mut core = Core::with(&settings(&["a", "b"], ON));
    core.event(ResourceEvent::NodeDead {
        node: name("b"),
        heard: false,
        ping: false,
        yields: false,
        message: Message::new("status"),
    });
    core.input(ResourceInput::CommUp);
    assert_eq!(
        core.said(),
        [
            "stonith b n_stnth",
            "hook status",
            "start b",
            "start a",
            "starting"
        ]
    );
    core.finish();
    assert_eq!(core.state.rscstatus(), "all");
}

#[test]
fn a_peer_that_left_before_we_were_up_is_taken_over() {
    let mut core = Core::with(&settings(&["a", "b"], ON));
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.hear("b", "shutdone");
    core.input(ResourceInput::CommUp);
    core.finish();
    assert_eq!(core.state.rscstatus(), "all");
}

#[test]
fn a_ping_node_has_no_resources() {
    let mut core = Core::stable(ON);
    core.event(ResourceEvent::NodeDead {
        node: name("router"),
        heard: true,
        ping: true,
        yields: false,
        message: Message::new("status"),
    });
    assert_eq!(core.said(), ["hook status"]);
    assert_eq!(core.state.rscstatus(), "local");
}

#[test]
fn beside_a_node_without_the_rule_the_new_generation_comes_with_its_death() {
    let mut core = Core::alone(ON);
    core.event(ResourceEvent::ReturnedAfterPartition {
        node: name("b"),
        yields: false,
    });
    let said = ["drop addresses", "resource none 0 shutdown", "stop a"];
    assert_eq!(core.said(), said);
    core.hear("b", "starting");
    assert_eq!(core.said(), ["resource all 0 shutdown"]);
    core.status("b", NodeStatus::Dead, NodeStatus::Active);
    core.finish();
    assert_eq!(core.said(), ["stop b", "starting"]);
    core.hear("b", "resource all 1");
    assert_eq!(core.said(), ["resource none 0", "resource none 1"]);
}

#[test]
fn own_heartbeat_lost_takes_the_generation_first() {
    let mut core = Core::stable(ON);
    core.event(ResourceEvent::OwnHeartbeatLost {
        silent: Duration::from_secs(9),
    });
    assert_eq!(core.said(), ["drop addresses", "generation", "stop a"]);
    core.input(ResourceInput::CommUp);
    assert_eq!(core.said(), [""; 0], "not before everything is released");
    core.finish();
    assert_eq!(core.said(), ["stop b", "starting"]);
}

#[test]
fn own_heartbeat_lost_alone_changes_nothing() {
    let mut core = Core::alone(ON);
    core.event(ResourceEvent::OwnHeartbeatLost {
        silent: Duration::from_secs(9),
    });
    assert_eq!(core.said(), [""; 0]);
    assert_eq!(core.state.rscstatus(), "all");
}

#[test]
fn failed_start_moves_the_right_set_once_then_tries_again_here() {
    let mut core = Core::starting(ON);
    core.hear("b", "resource local 1");
    core.fail_start();
    core.hear("b", "resource local 1");
    core.said();
    core.wait(29_000);
    assert_eq!(core.said(), [""; 0]);
    core.wait(1_000);
    assert_eq!(core.said(), ["ask local me"]);
    core.hear("b", "ask local other");
    core.finish();
    core.hear("b", "ask local done");
    core.hear("b", "resource all 1");
    // Its start fails there as well and it comes back: now it stays and is tried again.
    core.hear("b", "ask foreign me");
    core.hear("b", "resource local 0 standby");
    core.hear("b", "ask foreign done");
    core.said();
    core.fail_start();
    core.hear("b", "resource local 1");
    core.said();
    core.wait(31_000);
    let said = core.said();
    assert!(said.contains(&"start a".to_owned()), "{said:?}");
    assert!(!said.iter().any(|line| line.starts_with("ask")), "{said:?}");
}

#[test]
fn failed_start_with_nobody_to_move_to_is_tried_again() {
    let mut core = Core::alone(ON);
    core.returns("b");
    core.dies("b");
    core.finish();
    core.said();
    let mut core = Core::stable(ON);
    core.dies("b");
    core.fail_start();
    core.finish();
    core.said();
    core.wait(30_000);
    assert_eq!(core.said(), ["start b"]);
    core.fail_start();
    core.wait(59_000);
    assert_eq!(core.said(), [""; 0]);
    core.wait(1_000);
    assert_eq!(core.said(), ["start b"]);
}

#[test]
fn failed_stop_reboots_and_is_never_called_released() {
    let mut core = Core::stable(ON);
    core.standby(HoldingSet::LOCAL);
    core.hear("b", "ask local other");
    core.said();
    core.end(GroupOutcome::StopFailed {
        resource: "x".to_owned(),
    });
    assert_eq!(core.said(), ["reboot"]);
    core.wait(7_200_000);
    let said = core.said();
    assert!(!said.iter().any(|line| line.contains("done")), "{said:?}");
}

#[test]
fn three_nodes_die_one_after_another() {
    let mut core = Core::with(&settings(&["a", "b", "c"], ON));
    for node in ["b", "c"] {
        core.status(node, NodeStatus::Up, NodeStatus::Active);
        core.is_ours(node, true);
    }
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource local 1");
    core.hear("c", "resource local 1");
    core.finish();
    core.dies("c");
    core.finish();
    core.dies("b");
    core.finish();
    assert_eq!(core.state.held_groups().count(), 3);
}

#[test]
fn with_three_nodes_every_report_counts() {
    let mut core = Core::with(&settings(&["a", "b", "c"], ON));
    for node in ["b", "c"] {
        core.status(node, NodeStatus::Up, NodeStatus::Active);
    }
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource all 1");
    assert_eq!(core.phase(), Phase::Waiting, "c has not spoken");
    core.hear("c", "resource local 1");
    assert_eq!(core.phase(), Phase::Stable);
    assert!(!core.said().contains(&"start a".to_owned()), "b runs it");
}

#[test]
fn what_ran_before_a_quick_restart_goes_on() {
    let mut core = Core::with(&settings(&["a", "b"], ON));
    core.state.resume(HoldingSet::LOCAL, [GroupKey::new("a")]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource local 1");
    assert_eq!(
        core.said(),
        ["starting", "resource local 0", "resource local 1"]
    );
    assert_eq!(core.state.rscstatus(), "local");
    assert_eq!(core.state.held_groups().count(), 1);
}

#[test]
fn what_was_taken_during_a_quick_restart_is_let_go() {
    let mut core = Core::with(&settings(&["a", "b"], ON));
    core.state.resume(HoldingSet::LOCAL, [GroupKey::new("a")]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource all 1");
    core.finish();
    let said = core.said();
    assert!(said.contains(&"stop a".to_owned()), "{said:?}");
    assert!(said.contains(&"generation".to_owned()), "{said:?}");
}

#[test]
fn two_nodes_that_started_alone_meet() {
    let mut core = Core::alone(ON);
    core.status("b", NodeStatus::Dead, NodeStatus::Active);
    assert_eq!(core.said(), ["starting"]);
    core.hear("b", "resource all 1");
    assert_eq!(
        core.said()[..2],
        ["drop addresses", "resource none 0 shutdown"]
    );
}

#[test]
fn the_first_word_of_a_dead_node_moves_nothing() {
    let mut core = Core::alone(ON);
    core.hear("b", "ask all me");
    assert_eq!(core.said(), [""; 0]);
    core.standby(HoldingSet::ALL);
    core.said();
    core.hear("b", "ask all other");
    assert_eq!(core.said(), [""; 0]);
}
