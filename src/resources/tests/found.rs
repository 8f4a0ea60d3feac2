//! Cases that simulated clusters found (`tests/sim`), each as small as possible.

use super::*;
use crate::protocol::partition::YIELD;

const ON: AutoFailback = AutoFailback::On;
const LEGACY: AutoFailback = AutoFailback::Legacy;

/// A pair of the legacy model; the other node is there and runs its own group.
fn legacy_pair() -> Core {
    let mut core = Core::with(&settings(&["a", "b"], LEGACY));
    core.status("b", NodeStatus::Up, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "ip-request-resp a no");
    core.finish();
    core.said();
    core
}

#[test]
fn a_mute_node_that_was_active_before_us_is_asked_on_and_on() {
    let mut core = Core::alone(ON);
    core.status("b", NodeStatus::Dead, NodeStatus::Active);
    assert_eq!(core.said(), ["starting"]);
    core.wait(2_000);
    // It may be a legacy node that waits for our report.
    let again = ["resource all 1", "starting"];
    assert_eq!(core.said(), [again, again].concat());
    core.wait(60_000);
    assert!(core.said().len() > 10, "it may hear again at any time");
    let mute = "node b is active but does not report its resources";
    let said = core.complaints.iter().filter(|line| *line == mute);
    assert_eq!(said.count(), 1, "{:?}", core.complaints);
}

#[test]
fn whoever_was_asked_hears_what_we_hold() {
    let mut core = Core::alone(ON);
    core.status("b", NodeStatus::Dead, NodeStatus::Active);
    core.said();
    core.hear("b", "resource none 1");
    assert!(core.said().contains(&"resource all 1".to_owned()));
}

/// The first status received of the new run is `active`, as was the last of the old run: there is
/// no change to report, and the node stayed `init` for us.
#[test]
fn a_restarted_node_whose_word_did_not_change_is_still_active() {
    let mut core = Core::stable(ON);
    core.event(ResourceEvent::NodeRestarted {
        node: name("b"),
        was_dead: false,
    });
    core.wait(1_000);
    assert_eq!(core.said(), ["starting"]);
    core.hear("b", "resource local 1");
    core.hear("b", "ask foreign me");
    assert!(core.said().contains(&"ask foreign other".to_owned()));
}

#[test]
fn a_request_without_answer_leaves_the_doubt() {
    let mut core = Core::stable(ON);
    core.standby(HoldingSet::LOCAL);
    core.hear("b", "resource none 0 shutdown");
    core.wait(60_000);
    assert!(!core.said().contains(&"start b".to_owned()));
    core.hear("b", "resource none 1");
    core.wait(15_000);
    assert_eq!(core.said().last().unwrap(), "starting", "asked once more");
    core.hear("b", "resource none 1");
    core.gives_its_own();
    assert!(core.said().contains(&"start b".to_owned()));
}

/// The report before it was overtaken.
#[test]
fn what_is_given_up_in_the_first_report_may_be_anything() {
    let mut core = Core::stable(ON);
    core.dies("b");
    core.fail_start();
    core.returns("b");
    core.hear("b", "resource none 0 shutdown");
    core.said();
    core.wait(31_000);
    assert!(!core.said().contains(&"start b".to_owned()));
}

#[test]
fn a_failed_group_is_offered_again_when_nobody_took_it() {
    let mut core = Core::starting(ON);
    core.hear("b", "resource local 1");
    core.fail_start();
    core.said();
    core.wait(30_000);
    assert_eq!(core.said(), ["ask local me"]);
    core.wait(30_000);
    assert_eq!(core.said(), ["ask local me"], "the first was not answered");
}

/// The start of a group fails on each node, at the same moment. Each ignored the other's offer, and
/// offered again in the same moment. Simulator: seed 1403544.
#[test]
fn of_two_offers_for_failed_groups_that_cross_one_gives_way() {
    for (peer, systole, gives_way) in [
        ("b", false, true),
        ("b", true, false),
        ("0", false, true),
        ("0", true, true),
    ] {
        let mut core = Core::with(&settings(&["a", peer], ON));
        let mut status = Message::new("status");
        if systole {
            status.set_text(field::SYSTOLE, "1");
        }
        core.event(ResourceEvent::NodeStatusChanged {
            node: name(peer),
            old: NodeStatus::Init,
            new: NodeStatus::Active,
            message: status,
        });
        core.input(ResourceInput::CommUp);
        core.hear(peer, "resource local 1");
        core.fail_start();
        core.wait(30_000);
        assert_eq!(core.said().last().unwrap(), "ask local me");
        core.hear(peer, "ask local me");
        if gives_way {
            assert_eq!(core.said(), ["ask local other"], "{peer} {systole}");
            core.hear(peer, "resource none 0 standby");
            core.hear(peer, "ask local done");
            core.finish();
            core.said();
            core.hear(peer, "resource none 1");
            core.wait(30_000);
            assert!(
                core.said().contains(&"ask local me".to_owned()),
                "ours in its turn"
            );
        } else {
            assert_eq!(core.said(), [""; 0]);
            core.hear(peer, "ask local other");
            assert_eq!(core.said(), ["resource none 0 standby", "stop a"]);
        }
    }
}

/// The pauses between our own attempts have become long when the other node comes.
#[test]
fn a_failed_group_is_offered_soon_after_the_other_node_came() {
    let mut core = Core::stable(ON);
    core.dies("b");
    core.fail_start();
    core.said();
    for _ in 0..5 {
        core.wait(600_000);
        core.fail_start();
    }
    core.said();
    core.returns("b");
    core.hear("b", "starting");
    core.hear("b", "resource none 0");
    core.hear("b", "resource none 1");
    core.said();
    core.state.failback.nothing_to_give();
    core.wait(31_000);
    assert!(core.said().contains(&"ask foreign me".to_owned()));
}

#[test]
fn the_last_of_three_nodes_runs_what_the_others_had_taken() {
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
    core.dies("b");
    assert!(!core.said().contains(&"start b".to_owned()), "left to c");
    core.dies("c");
    core.finish();
    let said = core.said();
    for start in ["start b", "start c"] {
        assert!(said.contains(&start.to_owned()), "{said:?}");
    }
}

#[test]
fn legacy_model_a_group_that_is_asked_for_is_not_tried_here_any_more() {
    let mut core = legacy_pair();
    core.dies("b");
    core.fail_start();
    core.said();
    core.returns("b");
    core.hear("b", "ip-request b");
    core.said();
    core.wait(700_000);
    assert!(!core.said().contains(&"start b".to_owned()));
}

#[test]
fn legacy_model_a_start_not_yet_begun_is_withdrawn() {
    let mut set = settings(&["a", "b"], LEGACY);
    set.groups.push(ResourceGroup {
        key: GroupKey::new("b2"),
        owner: name("b"),
        resources: vec!["b2".to_owned()],
    });
    let mut core = Core::with(&set);
    core.status("b", NodeStatus::Up, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.said();
    core.dies("b");
    assert!(core.said().contains(&"start b".to_owned()));
    core.returns("b");
    core.hear("b", "ip-request b2");
    let answer = "ip-request-resp b b2 no".to_owned();
    assert!(core.said().contains(&answer));
    core.finish();
    assert!(!core.said().contains(&"start b2".to_owned()));
}

#[test]
fn legacy_model_who_was_declared_dead_asks_for_its_own() {
    let mut core = legacy_pair();
    core.state
        .other
        .known(&name("b"))
        .understands_in_new_run(Some(YIELD));
    core.hear("b", "stonith a n_stnth");
    assert_eq!(core.said(), ["ip-request a"], "the rest its status tells");
    let mut core = legacy_pair();
    core.dies("b");
    core.finish();
    core.said();
    core.status("b", NodeStatus::Dead, NodeStatus::Active);
    assert_eq!(core.said(), ["ip-request a"], "it may have taken ours");
}

/// It took ours in its start, while it did not receive us, and we saw it start.
#[test]
fn legacy_model_whoever_starts_is_asked_for_what_runs_here() {
    let mut core = legacy_pair();
    core.status("b", NodeStatus::Active, NodeStatus::Up);
    core.said();
    core.status("b", NodeStatus::Up, NodeStatus::Active);
    assert_eq!(core.said(), ["ip-request a"]);
    core.hear("b", "ip-request-resp a no");
    core.finish();
    core.wait(60_000);
    assert!(!core.said().contains(&"ip-request a".to_owned()));
}

#[test]
fn legacy_model_a_stopping_node_hands_nothing_over_beside_its_release() {
    let mut core = legacy_pair();
    core.stop();
    core.said();
    core.hear("b", "ip-request a");
    core.finish();
    let said = core.said();
    assert!(said.contains(&"shutdone".to_owned()), "{said:?}");
    assert!(!said.contains(&"stop a".to_owned()), "once: {said:?}");
}

/// Another host has an address of the group: that is not a failure of this node, and the other node
/// could not repair it.
#[test]
fn a_group_whose_address_is_taken_is_tried_again_soon_and_never_moved() {
    let mut core = Core::stable(ON);
    core.dies("b");
    core.said();
    core.refuse();
    core.said();
    core.wait(9_000);
    assert!(core.said().is_empty());
    core.wait(2_000);
    let said = core.said();
    assert!(
        said.iter().any(|line| line.starts_with("start ")),
        "{said:?}"
    );
    for _ in 0..20 {
        core.refuse();
        core.wait(10_000);
    }
    let said = core.said();
    let starts = said
        .iter()
        .filter(|line| line.starts_with("start "))
        .count();
    assert!(starts >= 20, "{said:?}");
    assert!(
        !said.iter().any(|line| line.starts_with("ask ")),
        "{said:?}"
    );
}

/// A daemon was killed in the middle of a start or a stop: it is not known whether the group runs.
#[test]
fn what_was_in_hand_at_a_death_is_brought_to_where_it_belongs() {
    let unfinished = || {
        [
            GroupKey::new("a"),
            GroupKey::new("b"),
            GroupKey::new("gone"),
        ]
    };
    let mut core = Core::with(&settings(&["a", "b"], ON));
    core.state.resume(HoldingSet::LOCAL, [GroupKey::new("a")]);
    core.state.finish(unfinished());
    core.input(ResourceInput::Tick);
    // We own `a`; we have promised to give `b` up.
    assert_eq!(core.said(), ["drop addresses", "start a", "stop b"]);
    assert_eq!(core.state.rscstatus(), "transition");
    core.finish();
    let held: Vec<_> = core.state.held_groups().map(ToString::to_string).collect();
    assert_eq!(held, ["a"]);
    // Without reports there was no promise; a group that is not named among those that run was
    // being stopped.
    for (running, started) in [
        (&["a", "b"][..], &["start a", "start b"][..]),
        (&["a"], &["start a"]),
    ] {
        let mut core = Core::with(&settings(&["a", "b"], LEGACY));
        let running = running.iter().map(|word| GroupKey::new(word));
        core.state.resume(HoldingSet::NONE, running);
        core.state.finish(unfinished());
        core.input(ResourceInput::Tick);
        core.finish();
        assert_eq!(core.said(), started);
    }
}

/// If such a start fails, that counts as any other failed start.
#[test]
fn an_interrupted_start_may_fail() {
    let mut core = Core::with(&settings(&["a", "b"], ON));
    core.state.resume(HoldingSet::LOCAL, [GroupKey::new("a")]);
    core.state.finish([GroupKey::new("a")]);
    core.input(ResourceInput::Tick);
    core.fail_start();
    assert_eq!(core.state.held_groups().count(), 0);
}

/// A process that began anew holds a group that does not run, and waits for the report of the other
/// node, which dies instead. The group was checked again up to a second later; by then the other
/// node was back, and its messages were lost. Simulator: revived, seed 90006856.
#[test]
fn what_waits_for_the_report_of_a_node_that_dies_is_started_then() {
    let mut core = Core::with(&settings(&["a", "b"], ON));
    core.state.resume(HoldingSet::ALL, [GroupKey::new("a")]);
    core.state.finish([]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.wait(500);
    core.said();
    core.dies("b");
    // The next input of all, long before a second is over.
    core.wait(1);
    let said = core.said();
    assert!(said.contains(&"start b".to_owned()), "{said:?}");
}
