//! The defects of the legacy program that concern the core. Spec: docs/protocol/resources.md, 18.

use super::*;

const ON: AutoFailback = AutoFailback::On;

#[test]
fn defect_01_node_returns_while_its_takeover_is_running() {
    let mut core = Core::stable(ON);
    core.dies("b");
    core.said();
    core.returns("b");
    core.hear("b", "starting");
    assert_eq!(core.said(), ["resource all 0"]);
    core.hear("b", "resource none 0");
    core.hear("b", "resource none 1");
    let said = core.said();
    assert!(!said.iter().any(|line| line.starts_with("ask")), "{said:?}");
    core.finish();
    let said = core.said();
    let settled = said.iter().position(|line| line == "resource all 1");
    let failback = said.iter().position(|line| line == "ask foreign me");
    assert!(settled.unwrap() < failback.unwrap(), "{said:?}");
}

#[test]
fn defect_02_node_dies_while_releasing() {
    let mut core = Core::stable(ON);
    core.hear("b", "resource none 0 shutdown");
    core.dies("b");
    assert!(core.said().contains(&"stonith b n_stnth".to_owned()));
}

#[test]
fn defect_03_a_node_that_is_being_shot_takes_nothing() {
    let mut core = Core::starting(ON);
    core.hear("b", "stonith a bad");
    core.said();
    core.hear("b", "resource local 1");
    assert!(!core.said().contains(&"start a".to_owned()));
    core.wait(10_000);
    assert!(core.said().contains(&"start a".to_owned()));
}

#[test]
fn defect_04_only_the_first_of_three_nodes_takes_over() {
    for (dead, ours) in [("c", true), ("b", false)] {
        let mut core = Core::with(&settings(&["a", "b", "c"], ON));
        for node in ["b", "c"] {
            core.event(ResourceEvent::NodeStatusChanged {
                node: name(node),
                old: NodeStatus::Up,
                new: NodeStatus::Active,
                message: Message::new("status").with(field::SYSTOLE, "1"),
            });
        }
        core.input(ResourceInput::CommUp);
        core.hear("b", "resource local 1");
        core.hear("c", "resource local 1");
        core.finish();
        core.said();
        core.dies(dead);
        let took = core.said().contains(&format!("start {dead}"));
        assert_eq!(took, ours, "death of {dead}");
    }
}

#[test]
fn defect_04_nothing_is_agreed_with_a_legacy_survivor() {
    let mut core = Core::with(&settings(&["a", "b", "c"], ON));
    core.status("b", NodeStatus::Up, NodeStatus::Active);
    core.status("c", NodeStatus::Up, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource local 1");
    core.finish();
    core.said();
    core.dies("c");
    assert!(!core.said().contains(&"start c".to_owned()));
}

#[test]
fn defect_05_own_group_fails_to_start() {
    let mut core = Core::starting(ON);
    core.hear("b", "resource local 1");
    core.fail_start();
    assert_eq!(
        core.state.duty.held(),
        HoldingSet::LOCAL,
        "as legacy reports it"
    );
    core.said();
    core.wait(30_000);
    assert_eq!(core.said(), ["ask local me"], "not foreign");
}

/// A legacy giver does not report what failed there. For a failure it gives only groups that are
/// not its own: its own groups ran there when it gives them, and go back after 30 s each time. Our
/// groups may have failed there, if it gives them soon after they failed here.
#[test]
fn defect_05_a_legacy_giver_gets_back_what_fails_here() {
    const NOWHERE: &str = "starts on neither node: it stays down";
    let give = |core: &mut Core, set: &str, left: &str, back: &str| {
        core.hear("b", &format!("ask {set} me"));
        core.hear("b", &format!("resource {left} 0 standby"));
        core.hear("b", &format!("ask {set} done"));
        core.fail_start();
        core.hear("b", &format!("resource {left} 1"));
        core.said();
        core.wait(29_000);
        let offer = format!("ask {back} me");
        assert!(!core.said().contains(&offer));
        core.wait(2_000);
        if !core.said().contains(&offer) {
            return false;
        }
        core.hear("b", &format!("ask {back} other"));
        core.finish();
        core.hear("b", &format!("ask {back} done"));
        true
    };
    let mut core = Core::stable(AutoFailback::Off);
    for _ in 0..3 {
        assert!(give(&mut core, "local", "none", "foreign"));
        core.hear("b", "resource local 1");
        core.wait(5_000);
    }
    let mut core = Core::stable(AutoFailback::Off);
    core.standby(HoldingSet::LOCAL);
    core.hear("b", "ask local other");
    core.finish();
    core.hear("b", "ask local done");
    core.hear("b", "resource all 1");
    assert!(give(&mut core, "foreign", "local", "local"));
    core.hear("b", "resource all 1");
    core.wait(700_000);
    assert!(give(&mut core, "foreign", "local", "local"), "it ran there");
    core.hear("b", "resource all 1");
    core.wait(5_000);
    assert!(!core.complaints.iter().any(|line| line.contains(NOWHERE)));
    assert!(!give(&mut core, "foreign", "local", "local"));
    assert!(core.complaints.iter().any(|line| line.contains(NOWHERE)));
}

#[test]
fn defect_06_late_standby_request_does_not_block_for_an_hour() {
    let mut core = Core::stable(ON);
    core.hear("b", "ask all me");
    assert_eq!(core.said(), ["ask all other"]);
    core.wait(10_000);
    core.hear("b", "ask local me");
    assert_eq!(core.said(), ["ask local other"], "the giver starts over");
    core.wait(60_000);
    assert_eq!(core.state.rscstatus(), "local");
}

#[test]
fn defect_06_a_giver_that_gives_is_waited_for() {
    let mut core = Core::stable(ON);
    core.hear("b", "ask all me");
    core.hear("b", "resource none 0 standby");
    core.wait(3_000_000);
    assert_eq!(core.state.rscstatus(), "transition");
    core.hear("b", "ask all done");
    core.finish();
    assert!(core.said().contains(&"resource all 1".to_owned()));
}

#[test]
fn defect_12_a_peer_that_took_ours_while_we_lived_makes_us_let_go() {
    let mut core = Core::stable(ON);
    core.hear("b", "resource all 1 req_our_resources()");
    assert_eq!(core.said(), ["drop addresses", "generation", "stop a"]);
    core.input(ResourceInput::CommUp);
    core.finish();
    assert_eq!(core.said(), ["stop b", "starting"]);
}

#[test]
fn defect_13_a_peer_without_reports() {
    let mut core = Core::starting(ON);
    core.wait(1_000);
    assert_eq!(core.said(), ["starting"]);
    assert!(core.complaints.is_empty());
    core.wait(1_000);
    assert!(core.complaints.is_empty(), "it may be busy with its start");
    core.wait(5_000);
    assert_eq!(core.complaints.len(), 1);
    core.wait(5_000);
    assert_eq!(core.complaints.len(), 1);
    assert!(core.said().contains(&"start a".to_owned()));
}

#[test]
fn a_node_that_never_ran_is_not_taken_over() {
    let mut core = Core::stable(ON);
    core.event(ResourceEvent::NodeDead {
        node: name("added"),
        heard: false,
        ping: false,
        yields: false,
        message: Message::new("status"),
    });
    assert_eq!(core.said(), [""; 0]);
    assert_eq!(core.state.rscstatus(), "local");
}
