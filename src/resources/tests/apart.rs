//! What runs and what is held must match, whatever is interrupted.

use super::*;
use crate::protocol::question::Position;
use crate::resources::left_open::{OpenStandby, Part};

const OFF: AutoFailback = AutoFailback::Off;

fn key(word: &str) -> GroupKey {
    GroupKey::new(word)
}

fn running(core: &Core) -> Vec<String> {
    core.state.held_groups().map(ToString::to_string).collect()
}

/// A successor of a process that held `holding`, ran both groups and had `unfinished` in hand.
fn successor(holding: HoldingSet, unfinished: &[&str]) -> Core {
    let mut core = Core::with(&settings(&["a", "b"], OFF));
    core.state.resume(holding, [key("a"), key("b")]);
    core.state.finish(unfinished.iter().map(|word| key(word)));
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core
}

/// The daemon was killed during a release of everything: `a` was being stopped, `b` was next. The
/// other node has everything by now.
#[test]
fn what_was_to_be_stopped_next_is_stopped_by_the_successor() {
    for unfinished in [&["a"][..], &[]] {
        let mut core = successor(HoldingSet::NONE, unfinished);
        // At once, before communication is up.
        assert_eq!(core.said(), ["drop addresses", "stop a"]);
        core.input(ResourceInput::CommUp);
        core.hear("b", "starting");
        let told = core.said().contains(&"resource all 0 standby".to_owned());
        assert!(told, "it is reported as still being released");
        core.finish();
        assert_eq!(running(&core), [""; 0]);
        core.hear("b", "resource all 1");
        core.wait(60_000);
        core.finish();
        assert_eq!(core.state.holding(), HoldingSet::NONE);
        assert_eq!(running(&core), [""; 0], "{:?}", core.said());
    }
}

/// The same, and the other node dies meanwhile: what is taken is not stopped after that.
#[test]
fn what_a_successor_has_still_to_stop_it_keeps_when_the_other_node_dies() {
    for comm_up in [false, true] {
        let mut core = successor(HoldingSet::NONE, &["a"]);
        if comm_up {
            core.input(ResourceInput::CommUp);
        }
        core.dies("b");
        if !comm_up {
            core.input(ResourceInput::CommUp);
        }
        core.finish();
        core.wait(3_600_000);
        core.finish();
        assert_eq!(running(&core), ["a", "b"], "{:?}", core.said());
        assert_eq!(core.state.holding(), HoldingSet::ALL);
    }
}

/// The other node left in order before communication was up.
#[test]
fn what_a_successor_has_still_to_stop_it_keeps_when_the_other_node_has_left() {
    let mut core = successor(HoldingSet::NONE, &["a"]);
    core.hear("b", "shutdone");
    core.input(ResourceInput::CommUp);
    core.finish();
    core.wait(3_600_000);
    assert_eq!(running(&core), ["a", "b"], "{:?}", core.said());
}

/// A plain report would count as "no objection", and the other node would start what still runs
/// here.
#[test]
fn nobody_settles_beside_a_release() {
    let mut core = successor(HoldingSet::LOCAL, &["b"]);
    core.input(ResourceInput::CommUp);
    core.hear("b", "starting");
    core.hear("b", "resource none 0");
    core.hear("b", "resource none 1");
    core.wait(20_000);
    let (reports, _) = core.reports();
    let all = |report: &String| report == "resource all 0 standby";
    assert!(
        !reports.is_empty() && reports.iter().all(all),
        "{reports:?}"
    );
    core.finish();
    assert_eq!(core.reports().0, ["resource local 1"]);
    assert_eq!(core.state.rscstatus(), "local");
}

/// What is still to be stopped is not taken again at the end of the start: the stops would follow.
#[test]
fn a_successor_takes_its_own_again_when_they_are_stopped() {
    let mut set = settings(&["a", "b"], OFF);
    set.groups.push(ResourceGroup {
        key: key("a2"),
        owner: name("a"),
        resources: vec!["a2".to_owned()],
    });
    let mut core = Core::with(&set);
    core.state
        .resume(HoldingSet::NONE, [key("a"), key("b"), key("a2")]);
    core.state.finish([key("b")]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "starting");
    core.hear("b", "resource none 1");
    core.wait(20_000);
    // `a` is stopped; the stop of `b` is slow, and that of `a2` waits behind it.
    core.end(GroupOutcome::Stopped);
    let said = core.said();
    assert!(
        !said.iter().any(|line| line.starts_with("start a")),
        "{said:?}"
    );
    core.finish();
    assert_eq!(running(&core), ["a", "a2"], "{:?}", core.said());
    assert_eq!(core.state.holding(), HoldingSet::LOCAL);
    core.wait(60_000);
    assert_eq!(running(&core), ["a", "a2"], "{:?}", core.said());
}

/// A giver stops `a` and has `b` still to stop; the taker begins a new run, so the standby is over
/// and the stops go on; then the taker dies. What is taken from it is not stopped after that.
#[test]
fn a_stop_left_of_an_interrupted_standby_does_not_follow_the_takeover() {
    for leaves in [false, true] {
        let mut core = Core::alone(OFF);
        core.returns("b");
        core.hear("b", "starting");
        core.hear("b", "resource none 1");
        core.standby(HoldingSet::ALL);
        core.hear("b", "ask all other");
        assert_eq!(core.said().last().unwrap(), "stop a");
        core.event(ResourceEvent::NodeRestarted {
            node: name("b"),
            was_dead: false,
        });
        if leaves {
            core.hear("b", "shutdone");
        } else {
            core.dies("b");
        }
        core.finish();
        let said = core.said();
        assert!(!said.contains(&"stop b".to_owned()), "{said:?}");
        assert_eq!(core.state.holding(), HoldingSet::ALL);
        assert_eq!(running(&core), ["a", "b"]);
        core.wait(3_600_000);
        assert_eq!(running(&core), ["a", "b"], "an hour later");
    }
}

/// The giver has released it and the taker reports that it goes on with it: it is started, or runs.
#[test]
fn a_taker_that_dies_in_the_middle_of_a_start_keeps_what_it_was_given() {
    let mut core = Core::stable(OFF);
    core.hear("b", "ask local me");
    core.hear("b", "resource none 0 standby");
    assert_eq!(core.state.holding(), HoldingSet::LOCAL);
    core.hear("b", "ask local done");
    assert_eq!(
        core.state.holding(),
        HoldingSet::ALL,
        "from the first start"
    );
    let mut core = successor(core.state.holding(), &["b"]);
    assert_eq!(core.said(), ["start b"]);
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource none 1");
    core.finish();
    core.wait(60_000);
    let said = core.said();
    assert!(
        !said.iter().any(|line| line.starts_with("stop")),
        "{said:?}"
    );
    assert_eq!(running(&core), ["a", "b"]);
    assert_eq!(core.state.rscstatus(), "all");
}

/// The daemon died in the middle of a takeover. The work may have waited for the report of a node
/// that is back: groups that it had not reached start when all is settled, and then all of them.
#[test]
fn the_rest_of_a_takeover_that_was_cut_short_starts_when_all_is_settled() {
    let mut set = settings(&["a", "b"], OFF);
    for word in ["b2", "b3"] {
        set.groups.push(ResourceGroup {
            key: key(word),
            owner: name("b"),
            resources: vec![word.to_owned()],
        });
    }
    let mut core = Core::with(&set);
    core.state.resume(HoldingSet::ALL, [key("a"), key("b")]);
    core.state.finish([key("b")]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.finish();
    assert_eq!(core.said(), ["start b", "starting"]);
    core.hear("b", "resource none 1");
    core.wait(1_000);
    core.finish();
    assert_eq!(running(&core), ["a", "b", "b2", "b3"], "{:?}", core.said());
    // If the other node runs them, it reports that, and they are left there.
    let mut core = Core::with(&set);
    core.state.resume(HoldingSet::ALL, [key("a")]);
    core.state.finish([]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource local 1");
    core.wait(60_000);
    core.finish();
    assert_eq!(running(&core), ["a"], "{:?}", core.said());
}

/// The daemon had taken everything of a legacy node that it did not receive for a dead time, and died when that ended. The
/// legacy node has noticed neither, and yields to nobody: its answer decides.
#[test]
fn a_successor_leaves_to_a_legacy_owner_what_that_runs() {
    for (answer, runs) in [
        ("resource local 1", &["a"][..]),
        ("resource none 1", &["a", "b"]),
    ] {
        let mut core = successor(HoldingSet::ALL, &[]);
        core.input(ResourceInput::CommUp);
        core.hear("b", "resource local 1");
        core.wait(1_000);
        assert!(core.said().contains(&"starting".to_owned()), "b is asked");
        core.hear("b", "resource local 1");
        assert!(core.said().contains(&"starting".to_owned()), "once more");
        assert_eq!(
            running(&core),
            ["a", "b"],
            "what was sent before may be old"
        );
        core.hear("b", answer);
        core.finish();
        core.hear("b", answer);
        core.wait(60_000);
        core.finish();
        assert_eq!(running(&core), runs, "{answer}: {:?}", core.said());
    }
}

/// The daemon died while it took a group from a legacy giver, for longer than the giver's dead time. The script of that start
/// runs on for a minute: the group is let go before it has ended.
#[test]
fn what_a_legacy_giver_has_taken_back_is_not_started_by_a_successor() {
    for (set, held, taken) in [
        (HoldingSet::FOREIGN, HoldingSet::NONE, "a"),
        (HoldingSet::LOCAL, HoldingSet::LOCAL, "b"),
    ] {
        let mut core = Core::with(&settings(&["a", "b"], OFF));
        core.state.resume(held, [key("a"), key("b")]);
        core.state.keep_standby(OpenStandby {
            part: Part::Takes,
            set,
            with: name("b"),
            heard: Position::default(),
        });
        core.state.finish([key(taken)]);
        core.status("b", NodeStatus::Init, NodeStatus::Active);
        core.input(ResourceInput::CommUp);
        assert!(core.said().contains(&format!("start {taken}")), "{set}");
        core.hear("b", "resource all 1");
        let said = core.said();
        assert!(
            said.contains(&"drop addresses".to_owned()),
            "{set}: {said:?}"
        );
        core.finish();
        core.input(ResourceInput::CommUp);
        core.hear("b", "resource all 1");
        core.wait(60_000);
        core.finish();
        assert_eq!(running(&core), [""; 0], "{set}: b runs everything");
        assert_eq!(core.state.holding(), HoldingSet::NONE, "{set}");
    }
}

/// A node that asks in the middle of a release receives all that is still being stopped, also what
/// was given up before the rest, and what was being taken.
#[test]
fn a_release_of_everything_reports_what_was_on_its_way() {
    let mut giving = Core::alone(OFF);
    giving.returns("b");
    giving.hear("b", "starting");
    giving.hear("b", "resource none 1");
    giving.standby(HoldingSet::FOREIGN);
    giving.hear("b", "ask foreign other");
    let mut taking = Core::stable(OFF);
    taking.hear("b", "ask local me");
    taking.hear("b", "resource none 0 standby");
    taking.hear("b", "ask local done");
    for mut core in [giving, taking] {
        core.event(ResourceEvent::OwnHeartbeatLost {
            silent: Duration::from_secs(9),
        });
        core.input(ResourceInput::CommUp);
        core.said();
        core.hear("b", "starting");
        assert_eq!(core.said(), ["resource all 0 shutdown"]);
    }
}

/// A release ends the freeze; a death between the two writes left both in the file.
#[test]
fn what_is_to_be_released_is_not_frozen() {
    let mut core = successor(HoldingSet::NONE, &[]);
    core.state.keep_frozen();
    assert!(!core.state.frozen());
    let mut core = successor(HoldingSet::ALL, &[]);
    core.state.keep_frozen();
    assert!(core.state.frozen());
}

/// At rest exactly what is held runs, whatever led there.
#[test]
fn at_rest_just_what_is_held_runs() {
    let mut core = Core::alone(OFF);
    core.state.duty.resume(HoldingSet::LOCAL);
    core.input(ResourceInput::Tick);
    assert_eq!(core.said(), ["drop addresses", "stop b"]);
    core.finish();
    core.state.duty.resume(HoldingSet::ALL);
    core.input(ResourceInput::Tick);
    core.wait(10);
    assert_eq!(core.said(), ["resource local 1", "start b"]);
}

/// `auto_failback legacy`: the process was killed during a release of everything. No report tells
/// that, and another node runs everything by now.
#[test]
fn a_release_of_everything_is_gone_on_with_in_the_legacy_model() {
    let mut set = settings(&["a", "b"], AutoFailback::Legacy);
    set.groups.push(ResourceGroup {
        key: key("b2"),
        owner: name("b"),
        resources: vec!["b2".to_owned()],
    });
    let mut core = Core::with(&set);
    core.state
        .resume(HoldingSet::NONE, [key("a"), key("b"), key("b2")]);
    core.state.keep_release();
    core.state.finish([key("b")]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    assert!(core.state.gives_everything_up(), "so does its successor");
    core.input(ResourceInput::CommUp);
    // No node is asked during a release.
    assert_eq!(core.said(), ["drop addresses", "stop a"]);
    core.finish();
    let said = core.said();
    let of_work = |line: &&String| !line.starts_with("hook");
    assert_eq!(
        said.iter().filter(of_work).collect::<Vec<_>>(),
        [
            "stop b",
            "stop b2",
            "ip-request-resp b b yes",
            "ip-request-resp b b2 yes",
            "ip-request a"
        ],
        "its owner does not ask again"
    );
    core.hear("b", "ip-request-resp a yes");
    core.finish();
    assert_eq!(running(&core), ["a"]);
    // The other node dies meanwhile.
    let mut core = Core::with(&set);
    core.state.resume(HoldingSet::NONE, [key("a")]);
    core.state.keep_release();
    core.state.finish([key("b")]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.dies("b");
    core.finish();
    core.wait(60_000);
    core.finish();
    assert_eq!(running(&core), ["a", "b", "b2"]);
}

/// What is left to its owner is given up with everything.
#[test]
fn a_release_of_everything_spares_nothing() {
    let mut core = Core::with(&settings(&["a", "b"], OFF));
    core.state.resume(HoldingSet::NONE, [key("a"), key("b")]);
    core.state.note_changed_owners([key("b")], [], false);
    core.state.keep_release();
    core.state.finish([]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.finish();
    assert_eq!(running(&core), [""; 0]);
}

/// `auto_failback legacy`: the process began anew in a partition (`heartbeat -r`, or its guardian)
/// with its group running, and the other node has taken that meanwhile. Without a question no node
/// notices.
#[test]
fn a_successor_asks_for_what_runs_on_in_the_legacy_model() {
    let mut core = Core::with(&settings(&["a", "b"], AutoFailback::Legacy));
    core.state.resume(HoldingSet::NONE, [key("a")]);
    core.state.finish([]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "ip-request-resp a yes");
    core.finish();
    assert_eq!(
        core.said(),
        ["ip-request a", "hook ip-request-resp", "start a"]
    );
    core.wait(60_000);
    assert!(!core.said().contains(&"ip-request a".to_owned()));
}

/// A core that took what the other node had released was lost before it gave the order. The next
/// core knows that it holds it, and starts it in the moment in which the nodes are agreed: a second
/// later the other node may be gone, and its report with it. Simulator: seed 195 with revived
/// daemons.
#[test]
fn what_is_held_and_does_not_run_is_started_as_soon_as_the_nodes_are_agreed() {
    let mut core = Core::with(&settings(&["a", "b"], OFF));
    core.state.resume(HoldingSet::ALL, []);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    assert_eq!(core.said(), ["starting"]);
    core.hear("b", "resource none 1");
    core.wait(0);
    let said = core.said();
    assert!(said.contains(&"start a".to_owned()), "{said:?}");
    core.finish();
    assert_eq!(running(&core), ["a", "b"]);
}

/// Both have begun anew after a partition, and the other node needs our report before it releases
/// what runs on both. Simulator: revived, seed 5000369.
#[test]
fn the_end_of_a_release_is_told_before_the_start_is_settled() {
    let mut core = successor(HoldingSet::FOREIGN, &["a"]);
    core.input(ResourceInput::CommUp);
    core.hear("b", "starting");
    core.hear("b", "resource all 0");
    let (reports, _) = core.reports();
    assert_eq!(reports, ["resource all 0 standby"]);
    core.finish();
    assert_eq!(core.reports().0, ["resource foreign 0"]);
}

/// A node that is being stopped takes nothing when the other node dies: it goes on stopping, and
/// reports that until the end. Simulator: revived, seed 5001283.
#[test]
fn a_stopping_successor_goes_on_with_its_release_when_the_other_node_dies() {
    let mut core = successor(HoldingSet::NONE, &["a"]);
    core.stop();
    core.input(ResourceInput::CommUp);
    core.dies("b");
    core.returns("b");
    core.said();
    core.hear("b", "starting");
    assert_eq!(core.reports().0, ["resource all 0 standby"]);
    core.finish();
    assert_eq!(running(&core), [""; 0]);
}
