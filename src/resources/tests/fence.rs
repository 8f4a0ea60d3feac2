//! A device is configured: a dead node is fenced before anything of it is taken over.

use super::*;
use crate::protocol::fencing::{FenceSettings, Reach, Serves};

fn with_device(model: AutoFailback) -> NodeSettings {
    NodeSettings {
        fencing: FenceSettings {
            reach: Reach::Everybody,
            ..FenceSettings::default()
        },
        ..settings(&["a", "b"], model)
    }
}

/// Settled: we hold ours, `b` its own.
fn stable() -> Core {
    let mut core = starting();
    core.hear("b", "resource local 1");
    core.finish();
    core.said();
    core
}

fn starting() -> Core {
    let mut core = Core::with(&with_device(AutoFailback::On));
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.said();
    core
}

/// `b` has died, and has to be fenced.
fn waits() -> Core {
    let mut core = stable();
    core.dies("b");
    assert_eq!(core.said(), ["renumber", "fence b"]);
    core
}

/// `b` was not received when we started.
fn alone(model: AutoFailback) -> Core {
    let mut core = Core::with(&with_device(model));
    unheard(&mut core);
    core.input(ResourceInput::CommUp);
    core
}

fn unheard(core: &mut Core) {
    core.event(ResourceEvent::NodeDead {
        node: name("b"),
        heard: false,
        ping: false,
        yields: false,
        message: Message::new("status"),
    });
}

fn fenced(core: &mut Core) {
    core.input(ResourceInput::Fenced(name("b")));
    core.finish();
}

fn moves(core: &mut Core) -> Vec<String> {
    let mut said = core.said();
    said.retain(|line| line.starts_with("start ") || line.starts_with("stop "));
    said
}

#[test]
fn the_takeover_begins_when_the_node_is_fenced() {
    let mut core = waits();
    core.wait(100_000);
    assert_eq!(core.said(), [""; 0]);
    assert_eq!(core.state.rscstatus(), "local", "as legacy says meanwhile");
    assert_eq!(core.complaints, [""; 0]);
    let standing = Standing {
        serves: true,
        other: Serves::Something,
        first: true,
        settled: true,
        hasty: true,
    };
    assert_eq!(core.standing, Some(standing));
    fenced(&mut core);
    let said = [
        "hook status",
        "start b",
        "start a",
        "resource foreign mach_down",
        "resource all 1",
        "resource all 1 req_our_resources()",
    ];
    assert_eq!(core.said(), said);
    assert_eq!(core.state.rscstatus(), "all");
    // Once.
    fenced(&mut core);
    assert_eq!(core.said(), [""; 0]);
}

#[test]
fn a_lone_start_takes_nothing_before_the_other_node_is_fenced() {
    let mut core = alone(AutoFailback::On);
    assert_eq!(core.said(), ["fence b", "starting"]);
    core.wait(100_000);
    assert_eq!(moves(&mut core), [""; 0]);
    assert_eq!(
        core.state.rscstatus(),
        "transition",
        "as legacy says meanwhile"
    );
    assert_eq!(core.complaints, [""; 0]);
    let standing = core.standing.unwrap();
    assert_eq!(
        (standing.serves, standing.other, standing.settled),
        (false, Serves::Unknown, true)
    );
    fenced(&mut core);
    assert_eq!(moves(&mut core), ["start b", "start a"]);
    assert_eq!(core.state.rscstatus(), "all");
}

#[test]
fn in_the_legacy_model_a_lone_start_waits_too() {
    let mut core = alone(AutoFailback::Legacy);
    core.wait(100_000);
    assert_eq!(moves(&mut core), [""; 0]);
    fenced(&mut core);
    let mut moved = moves(&mut core);
    moved.sort();
    assert_eq!(moved, ["start a", "start b"]);
}

/// What has to be fenced, and what the cluster is told of what has not.
#[test]
fn nothing_is_fenced_without_need() {
    let unneeded = "stonith b unneeded";
    // It held nothing.
    let mut core = starting();
    core.hear("b", "resource none 1");
    core.finish();
    core.said();
    core.dies("b");
    let said = core.said();
    assert!(said.contains(&unneeded.to_owned()), "{said:?}");
    assert!(said.contains(&"start b".to_owned()), "{said:?}");
    // It left in order.
    let mut core = stable();
    core.hear("b", "resource none 0 shutdown");
    core.hear("b", "shutdone");
    core.finish();
    assert_eq!(core.state.rscstatus(), "all");
    core.said();
    core.dies("b");
    assert_eq!(core.said(), [unneeded]);
    // No device is configured for it.
    let mut other = with_device(AutoFailback::On);
    other.fencing.reach = Reach::These([name("c")].into());
    let mut core = Core::with(&other);
    unheard(&mut core);
    assert!(core.said().contains(&"stonith b n_stnth".to_owned()));
    // It has only announced that it releases everything.
    let mut core = stable();
    core.hear("b", "resource none 0 shutdown");
    core.said();
    core.dies("b");
    let said = core.said();
    assert!(said.contains(&"fence b".to_owned()), "{said:?}");
}

/// A Systole node takes what no node owns by itself, and its report of that may be lost. Simulator:
/// fencing, seed 310000748.
#[test]
fn a_node_that_may_have_taken_what_nobody_owned_is_fenced() {
    for (ours, fate) in [(true, "fence b"), (false, "stonith b unneeded")] {
        let mut core = starting();
        core.is_ours("b", ours);
        core.hear("b", "resource none 1");
        core.finish();
        core.said();
        core.dies("b");
        let said = core.said();
        assert!(said.contains(&fate.to_owned()), "{said:?}");
        assert_eq!(said.contains(&"start b".to_owned()), !ours, "{said:?}");
    }
}

/// It serves, and we start: nothing of it but its heartbeats was received before it is lost. Legacy takes
/// it for a node that holds nothing.
#[test]
fn a_node_that_has_not_reported_yet_is_fenced() {
    let mut core = starting();
    core.dies("b");
    let said = core.said();
    assert!(said.contains(&"fence b".to_owned()), "{said:?}");
    assert_eq!(moves(&mut core), [""; 0]);
    let standing = core.standing.unwrap();
    assert_eq!((standing.other, standing.settled), (Serves::Unknown, false));
}

/// It begins with its own groups a moment after it has reported that it holds nothing.
#[test]
fn a_node_that_still_starts_is_fenced() {
    let mut core = starting();
    core.hear("b", "resource none 0");
    core.finish();
    core.said();
    core.dies("b");
    let said = core.said();
    assert!(said.contains(&"fence b".to_owned()), "{said:?}");
    assert!(!said.contains(&"start b".to_owned()), "{said:?}");
    assert_eq!(core.standing.unwrap().other, Serves::Unknown);
}

/// It may run there what waits here for its reset.
#[test]
fn what_waits_for_a_reset_is_not_started_when_the_node_is_back() {
    let mut core = alone(AutoFailback::Legacy);
    core.wait(100_000);
    core.said();
    core.event(ResourceEvent::ReturnedAfterPartition {
        node: name("b"),
        yields: false,
    });
    assert_eq!(moves(&mut core), [""; 0]);
}

#[test]
fn a_node_that_comes_back_in_a_new_run_is_not_fenced_and_keeps_its_groups() {
    let mut core = waits();
    core.returns("b");
    assert_eq!(core.said(), ["do not fence b"]);
    core.hear("b", "starting");
    assert_eq!(core.said(), ["resource local 1"]);
    core.hear("b", "resource local 1");
    core.wait(100_000);
    assert_eq!(moves(&mut core), [""; 0]);
    assert_eq!(core.state.rscstatus(), "local");
    // An answer that comes too late moves nothing.
    fenced(&mut core);
    assert_eq!(moves(&mut core), [""; 0]);
    // It dies again: again it is fenced.
    core.dies("b");
    assert!(core.said().contains(&"fence b".to_owned()));
}

/// Nothing of it was taken, so neither has a reason to release anything.
#[test]
fn a_node_that_comes_back_in_its_run_is_not_fenced_and_nobody_yields() {
    for yields in [true, false] {
        let mut core = waits();
        core.event(ResourceEvent::ReturnedAfterPartition {
            node: name("b"),
            yields,
        });
        core.status("b", NodeStatus::Dead, NodeStatus::Active);
        core.hear("b", "resource local 1");
        core.wait(100_000);
        let said = core.said();
        assert!(said.contains(&"do not fence b".to_owned()), "{said:?}");
        let moved = |line: &&String| line.starts_with("start ") || line.starts_with("stop ");
        assert_eq!(said.iter().filter(moved).count(), 0, "{said:?}");
        assert_eq!(core.state.rscstatus(), "local");
    }
}

#[test]
fn a_node_that_comes_during_a_lone_start_is_agreed_with() {
    let mut core = alone(AutoFailback::On);
    core.said();
    core.returns("b");
    core.hear("b", "starting");
    core.wait(100_000);
    core.hear("b", "resource none 1");
    core.finish();
    let moved = moves(&mut core);
    assert_eq!(moved, ["start a"]);
    core.hear("b", "resource local 1");
    assert_eq!(core.state.rscstatus(), "local");
}

#[test]
fn what_was_fenced_while_frozen_waits_for_the_thaw() {
    let mut core = waits();
    core.input(ResourceInput::FreezeRequested);
    assert!(core.state.frozen());
    fenced(&mut core);
    assert_eq!(moves(&mut core), [""; 0]);
    core.input(ResourceInput::ThawRequested);
    core.finish();
    assert_eq!(moves(&mut core), ["start b", "start a"]);
}

/// The machine gives no order while the node is frozen; what waits is not taken at the thaw either.
#[test]
fn a_thaw_takes_nothing_that_is_not_fenced() {
    let mut core = stable();
    core.input(ResourceInput::FreezeRequested);
    core.dies("b");
    assert!(core.said().contains(&"fence b".to_owned()));
    core.input(ResourceInput::ThawRequested);
    core.wait(100_000);
    assert_eq!(moves(&mut core), [""; 0]);
    fenced(&mut core);
    assert_eq!(moves(&mut core), ["start b", "start a"]);
}

#[test]
fn a_stop_does_not_wait_for_a_fence() {
    for mut core in [waits(), alone(AutoFailback::On)] {
        core.said();
        core.stop();
        core.finish();
        let said = core.said();
        assert_eq!(said.first().map(String::as_str), Some("do not fence b"));
        assert!(said.contains(&"shutdone".to_owned()), "{said:?}");
        fenced(&mut core);
        assert_eq!(moves(&mut core), [""; 0]);
    }
}

/// It held nothing and may live: then it resets us in a moment, and takes everything.
#[test]
fn a_node_that_serves_goes_before_an_idle_one() {
    for (ours, fences) in [(true, true), (false, false)] {
        let mut core = stable();
        core.dies("b");
        fenced(&mut core);
        core.returns("b");
        core.is_ours("b", ours);
        core.hear("b", "starting");
        core.hear("b", "resource none 1");
        core.wait(100);
        core.said();
        core.dies("b");
        let said = core.said();
        assert!(said.contains(&"stonith b unneeded".to_owned()), "{said:?}");
        assert_eq!(said.contains(&"fence b".to_owned()), fences, "{said:?}");
        assert!(!core.state.unfenced.holds_back());
        if fences {
            assert_eq!(core.standing.unwrap().other, Serves::Nothing);
        }
    }
}

/// It dies while we release everything to begin anew: the new run does not take it over either.
#[test]
fn a_node_that_dies_during_a_release_is_fenced_before_the_new_run_takes_it() {
    let mut core = stable();
    core.event(ResourceEvent::OwnHeartbeatLost {
        silent: Duration::from_secs(9),
    });
    core.input(ResourceInput::CommUp);
    core.said();
    core.dies("b");
    assert_eq!(core.said(), ["fence b"]);
    assert!(!core.standing.unwrap().settled);
    core.finish();
    core.wait(100_000);
    let said = core.said();
    assert!(said.contains(&"starting".to_owned()), "{said:?}");
    assert!(
        !said.iter().any(|line| line.starts_with("start ")),
        "{said:?}"
    );
    fenced(&mut core);
    assert_eq!(moves(&mut core), ["start b", "start a"]);
    assert_eq!(core.state.rscstatus(), "all");
}

/// The other node may have taken it meanwhile.
#[test]
fn a_group_that_failed_here_is_not_tried_again_before_the_node_is_fenced() {
    let mut core = starting();
    core.hear("b", "resource local 1");
    core.fail_start();
    core.hear("b", "resource local 1");
    core.said();
    core.dies("b");
    core.wait(100_000);
    assert_eq!(moves(&mut core), [""; 0]);
    fenced(&mut core);
    assert!(moves(&mut core).contains(&"start a".to_owned()));
}

#[test]
fn a_start_in_hand_at_the_death_goes_on() {
    let mut core = starting();
    core.hear("b", "resource local 1");
    assert!(core.said().contains(&"start a".to_owned()));
    core.dies("b");
    core.finish();
    assert_eq!(moves(&mut core), [""; 0]);
    assert_eq!(core.state.held_groups().count(), 1);
    fenced(&mut core);
    assert_eq!(moves(&mut core), ["start b", "start a"]);
}

/// What `systole why` says of it.
#[test]
fn people_are_told_what_waits_for_a_fence() {
    let takes = "waits to take the resources of a node that is gone (b): the node is dead, may run \
                 groups, and is not fenced yet";
    let mut core = waits();
    assert_eq!(core.state.waits(), [takes]);
    fenced(&mut core);
    assert_eq!(core.state.waits(), [""; 0]);
    let core = alone(AutoFailback::On);
    let settles = "waits to end the exchange at start: a dead node that may run groups is not \
                   fenced yet";
    assert_eq!(core.state.waits(), [settles, takes]);
}

/// A successor starts nothing of a node that was to be fenced, and declares it dead anew before it
/// is.
#[test]
fn a_successor_goes_on_waiting() {
    let mut core = Core::with(&with_device(AutoFailback::On));
    core.state
        .resume(HoldingSet::LOCAL, vec![GroupKey::new("a")]);
    core.state.keep_unfenced(&[name("b"), name("gone")]);
    core.input(ResourceInput::Tick);
    assert_eq!(core.said(), [""; 0]);
    assert_eq!(core.state.unfenced().collect::<Vec<_>>(), [&name("b")]);
    unheard(&mut core);
    assert_eq!(core.said(), ["fence b"]);
    core.input(ResourceInput::CommUp);
    core.wait(100_000);
    assert_eq!(moves(&mut core), [""; 0]);
    fenced(&mut core);
    assert!(moves(&mut core).contains(&"start b".to_owned()));
}

/// The wait was begun although everything is held here: a node that is received for a moment before
/// its report. The successor fences it too, and does not wait for ever for what nobody ordered.
#[test]
fn a_successor_that_runs_everything_and_waits_fences() {
    let mut core = Core::with(&with_device(AutoFailback::On));
    let both = ["a", "b"].map(GroupKey::new).to_vec();
    core.state.resume(HoldingSet::ALL, both);
    core.state.keep_unfenced(&[name("b")]);
    unheard(&mut core);
    assert_eq!(core.said(), ["fence b"]);
    core.input(ResourceInput::CommUp);
    core.said();
    fenced(&mut core);
    core.finish();
    assert_eq!(core.state.rscstatus(), "all");
    assert_eq!(core.state.unfenced().count(), 0);
}

/// Its takeover is held for its report when it is back. It dies again without one: what is left of the
/// takeover waits for its reset as well.
#[test]
fn a_takeover_that_was_held_waits_when_the_node_dies_again() {
    let mut settings = with_device(AutoFailback::On);
    settings.groups.push(ResourceGroup {
        key: GroupKey::new("b2"),
        owner: name("b"),
        resources: vec!["b2".to_owned()],
    });
    let mut core = Core::with(&settings);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource local 1");
    core.finish();
    core.dies("b");
    core.said();
    core.input(ResourceInput::Fenced(name("b")));
    assert_eq!(
        moves(&mut core),
        ["start b", "start a"],
        "and b2 is to follow"
    );
    core.event(ResourceEvent::NodeRestarted {
        node: name("b"),
        was_dead: true,
    });
    core.finish();
    core.said();
    core.dies("b");
    core.finish();
    assert_eq!(moves(&mut core), [""; 0]);
    fenced(&mut core);
    core.finish();
    assert!(moves(&mut core).contains(&"start b2".to_owned()));
}

/// A dead node counts as settled, and this one lives: only its next report says that it is. Then its
/// groups go back to it.
#[test]
fn a_node_that_is_back_before_its_reset_gets_its_groups_when_it_reports() {
    let mut core = waits();
    fenced(&mut core);
    assert_eq!(core.state.rscstatus(), "all");
    core.returns("b");
    core.hear("b", "starting");
    core.hear("b", "resource none 0");
    core.wait(1_000);
    core.said();
    core.dies("b");
    assert!(core.said().contains(&"fence b".to_owned()));
    core.event(ResourceEvent::ReturnedAfterPartition {
        node: name("b"),
        yields: true,
    });
    core.status("b", NodeStatus::Dead, NodeStatus::Active);
    core.said();
    core.hear("b", "resource none 1");
    assert!(core.said().contains(&"ask foreign me".to_owned()));
}

/// The process before it took the node over, so it was fenced, or held nothing.
#[test]
fn a_successor_that_runs_everything_fences_nobody() {
    let mut core = Core::with(&with_device(AutoFailback::On));
    let both = ["a", "b"].map(GroupKey::new).to_vec();
    core.state.resume(HoldingSet::ALL, both);
    unheard(&mut core);
    assert_eq!(core.said(), ["stonith b unneeded"]);
}

/// The taker dies during our release. It may have declared us dead and taken what is stopped by now: nothing of that is
/// started before it is fenced. What runs untouched runs on, and is ours.
#[test]
fn what_was_not_given_to_a_taker_that_has_to_be_fenced_stays_ours() {
    let mut core = stable();
    core.is_ours("b", true);
    core.standby(HoldingSet::LOCAL);
    core.hear("b", "ask local other");
    assert!(core.said().contains(&"stop a".to_owned()));
    core.dies("b");
    core.finish();
    core.wait(30_000);
    let said = core.said();
    assert!(said.contains(&"fence b".to_owned()), "{said:?}");
    assert!(
        !said.iter().any(|line| line.starts_with("start ")),
        "{said:?}"
    );
    assert!(core.state.duty.holds(HoldingSet::LOCAL), "it is still ours");
    fenced(&mut core);
    let mut moved = moves(&mut core);
    moved.sort();
    assert_eq!(moved, ["start a", "start b"]);
}

/// The other node has had an earlier run of ours reset, does not receive this one, and runs none of
/// its groups. It may start them at any time: it counts on our reset. Simulator: fencing, seed
/// 240001917.
#[test]
fn a_node_that_is_not_received_takes_nothing_back_beside_a_device() {
    for (settings, starts) in [
        (with_device(AutoFailback::On), 0),
        (settings(&["a", "b"], AutoFailback::On), 1),
    ] {
        let mut core = Core::with(&settings);
        core.status("b", NodeStatus::Init, NodeStatus::Active);
        for _ in 0..30 {
            core.wait(1_000);
            core.event(ResourceEvent::GivenUp {
                node: name("b"),
                weight: Weight {
                    before: 0,
                    runs: 0,
                    foreign: Some(0),
                },
                mutual: false,
                earlier_run: true,
            });
        }
        let said = core.said();
        let started = said.iter().filter(|line| *line == "start a").count();
        assert_eq!(started, starts, "{said:?}");
    }
}
