use super::*;

const ON: AutoFailback = AutoFailback::On;
const OFF: AutoFailback = AutoFailback::Off;

/// Brings a core into a phase; afterwards it has sent nothing and no work is under way.
fn in_phase(phase: Phase) -> Core {
    let mut core = match phase {
        Phase::Init => Core::with(&settings(&["a", "b"], OFF)),
        Phase::Starting => Core::starting(OFF),
        Phase::Waiting => {
            let mut core = Core::starting(OFF);
            core.hear("b", "resource foreign 0");
            core
        }
        Phase::Stable => Core::stable(OFF),
        Phase::Shutdown => {
            let mut core = Core::stable(OFF);
            core.stop();
            core.finish();
            core
        }
    };
    core.said();
    assert_eq!(core.phase(), phase);
    core
}

/// Spec: docs/protocol/resources.md, 5.2.
#[test]
fn transition_table() {
    use Phase::{Init, Shutdown, Stable, Starting, Waiting};
    let table: &[(Phase, &str, Phase, &[&str])] = &[
        (Init, "starting", Init, &[]),
        (Init, "resource local 1", Init, &[]),
        (Init, "resource none 0", Init, &[]),
        (
            Starting,
            "starting",
            Waiting,
            &["resource none 0", "starting"],
        ),
        (
            Starting,
            "resource local 1",
            Stable,
            &["resource none 0", "resource local 1", "start a"],
        ),
        (
            Starting,
            "resource all 1",
            Stable,
            &["resource none 0", "resource none 1"],
        ),
        // A legacy node that has received nothing but our question waits for this report.
        (Starting, "resource none 0", Waiting, &["resource none 0"]),
        (Starting, "resource foreign mach_down", Waiting, &[]),
        (Waiting, "starting", Waiting, &["resource none 0"]),
        (
            Waiting,
            "resource none 1",
            Stable,
            &["resource none 0", "resource local 1", "start a"],
        ),
        (Waiting, "resource foreign 0", Waiting, &[]),
        (Stable, "starting", Stable, &["resource local 1"]),
        (Stable, "resource local 1", Stable, &[]),
        (Stable, "resource local 0", Stable, &[]),
        (Stable, "resource none 0 standby", Stable, &[]),
        (
            Shutdown,
            "starting",
            Shutdown,
            &["resource none 0 shutdown"],
        ),
        (Shutdown, "resource local 1", Shutdown, &[]),
    ];
    for (phase, message, next, said) in table {
        let mut core = in_phase(*phase);
        core.hear("b", message);
        assert_eq!(core.phase(), *next, "{phase:?} on {message}");
        assert_eq!(core.said(), *said, "{phase:?} on {message}");
    }
}

#[test]
fn nobody_settled_for_ten_seconds() {
    let mut core = Core::starting(ON);
    // A Systole node reports that it is being stopped.
    core.event(ResourceEvent::NodeStatusChanged {
        node: name("b"),
        old: NodeStatus::Active,
        new: NodeStatus::Active,
        message: Message::new("status").with(field::SYSTOLE, "1"),
    });
    core.said();
    core.hear("b", "resource none 0");
    core.wait(9_999);
    assert_eq!(core.said(), [""; 0]);
    core.wait(1);
    assert_eq!(core.said(), ["resource local 1", "start a"]);
    core.finish();
    assert_eq!(core.said(), ["resource local 1 req_our_resources()"]);
}

#[test]
fn the_ten_seconds_are_skipped_beside_a_peer_that_just_started() {
    let mut core = Core::starting(ON);
    core.hear("b", "starting");
    core.said();
    core.hear("b", "resource none 0");
    assert_eq!(core.said(), ["resource local 1", "start a"]);
}

#[test]
fn the_ten_seconds_are_kept_while_the_peer_releases() {
    let mut core = Core::starting(ON);
    core.hear("b", "starting");
    core.said();
    core.hear("b", "resource none 0 shutdown");
    assert_eq!(core.said(), [""; 0]);
}

#[test]
fn the_ten_seconds_are_kept_when_the_peer_holds_ours() {
    let mut core = Core::starting(ON);
    core.hear("b", "starting");
    core.said();
    core.hear("b", "resource all 0");
    core.wait(10_000);
    assert_eq!(core.said(), ["resource none 1"]);
}

#[test]
fn every_starting_is_answered() {
    let mut core = Core::starting(ON);
    for _ in 0..3 {
        core.hear("b", "starting");
        assert_eq!(core.said()[0], "resource none 0");
    }
}

#[test]
fn a_peer_turning_stable_is_answered_once() {
    let mut core = Core::stable(ON);
    core.hear("b", "resource local 0");
    assert_eq!(core.said(), [""; 0]);
    core.hear("b", "resource local 1");
    assert_eq!(core.said(), ["resource local 1"]);
    core.hear("b", "resource local 1");
    assert_eq!(core.said(), [""; 0]);
}

#[test]
fn one_node_cluster_runs_everything_and_can_be_stopped() {
    let mut core = Core::with(&settings(&["a"], ON));
    core.input(ResourceInput::CommUp);
    core.finish();
    assert_eq!(
        core.said(),
        ["starting", "start a", "resource all 1 req_our_resources()"]
    );
    assert_eq!(core.state.rscstatus(), "all");
    core.stop();
    core.finish();
    assert_eq!(
        core.said(),
        ["resource none 0 shutdown", "stop a", "shutdone"]
    );
}

#[test]
fn a_report_that_comes_late_is_no_news() {
    let mut core = Core::stable(ON);
    core.seq = 100;
    core.hear("b", "resource local 1");
    core.seq = 50;
    core.hear("b", "resource all 1");
    assert_eq!(core.said(), [""; 0]);
    assert_eq!(core.state.other.holds(), HoldingSet::LOCAL);
}

#[test]
fn unknown_holding_word_counts_as_none() {
    let mut core = Core::stable(ON);
    core.hear("b", "resource bogus 1");
    assert_eq!(core.state.other.holds(), HoldingSet::NONE);
    assert!(!core.complaints.is_empty());
}

#[test]
fn failback_waits_for_on() {
    for (model, asked) in [(ON, true), (OFF, false)] {
        let mut core = Core::alone(model);
        core.returns("b");
        core.hear("b", "starting");
        core.hear("b", "resource none 0");
        core.said();
        core.hear("b", "resource none 1");
        let said = core.said();
        assert_eq!(
            said.contains(&"ask foreign me".to_owned()),
            asked,
            "{said:?}"
        );
    }
}

#[test]
fn a_starting_that_comes_late_is_answered_and_changes_nothing() {
    let mut core = Core::stable(ON);
    core.seq = 100;
    core.hear("b", "resource local 1");
    core.seq = 50;
    core.hear("b", "starting");
    assert_eq!(core.said(), ["resource local 1"]);
    assert_eq!(core.state.rscstatus(), "local");
}

/// Its stops take long. A legacy node that is asked meanwhile answers without reporting that it
/// leaves.
#[test]
fn beside_a_node_that_is_being_stopped_nothing_is_started() {
    let goes = |core: &mut Core, late: bool| {
        let late = late.then(|| core.next_seq());
        if late.is_none() {
            core.hear("b", "resource none 0 shutdown");
        }
        core.hear("b", "resource none 0");
        if let Some(seq) = late {
            let report = Message::new("resource")
                .with(field::RSC_HOLD, "none")
                .with(field::RTYPE, "full")
                .with(field::IS_STABLE, "0")
                .with(field::INFO, "shutdown")
                .with(field::HG, "1")
                .with(field::SEQ, &format!("{seq:x}"));
            core.event(ResourceEvent::Message {
                from: name("b"),
                own: false,
                message: report,
            });
        }
    };
    for late in [false, true] {
        let mut core = Core::starting(ON);
        goes(&mut core, late);
        core.wait(60_000);
        let said = core.said();
        assert!(!said.contains(&"start a".to_owned()), "{late}: {said:?}");
        // A release after a partition ends this way.
        let mut again = Core::starting(ON);
        goes(&mut again, late);
        again.hear("b", "starting");
        again.hear("b", "resource none 0");
        again.wait(30_000);
        let said = again.said();
        let settles = |line: &String| line == "resource none 1" || line == "start a";
        assert!(said.iter().any(settles), "{late}: {said:?}");
        core.dies("b");
        core.finish();
        let said = core.said();
        assert!(said.contains(&"start a".to_owned()), "{late}: {said:?}");
    }
}

/// A Systole node answers each question that it receives: if the network loses all of them, it may still run our
/// groups. Not without end: it may be configured to answer nobody.
#[test]
fn a_living_systole_node_that_does_not_answer_is_waited_for() {
    for ours in [true, false] {
        let mut core = Core::starting(ON);
        core.is_ours("b", ours);
        core.wait(50_000);
        let started = core.said().contains(&"start a".to_owned());
        assert_eq!(started, !ours);
        if ours {
            core.wait(30_000);
            assert!(core.said().contains(&"start a".to_owned()));
        }
    }
    // Its answer ends the wait, and so does its death.
    let mut core = Core::starting(ON);
    core.is_ours("b", true);
    core.wait(30_000);
    core.said();
    core.hear("b", "resource local 1");
    assert!(core.said().contains(&"start a".to_owned()));
    let mut core = Core::starting(ON);
    core.is_ours("b", true);
    core.wait(30_000);
    core.said();
    core.dies("b");
    assert!(core.said().contains(&"start b".to_owned()));
}
