//! Two nodes that declared each other dead and receive each other again.

use super::*;
use crate::protocol::partition::YIELD;

const ON: AutoFailback = AutoFailback::On;

/// Settled beside a node that resolves a split brain.
fn pair() -> Core {
    let mut core = Core::with(&settings(&["a", "b"], ON));
    core.event(ResourceEvent::NodeStatusChanged {
        node: name("b"),
        old: NodeStatus::Up,
        new: NodeStatus::Active,
        message: Message::new("status").with(field::SYSTOLE, YIELD),
    });
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource local 1");
    core.finish();
    core.said();
    core
}

fn dies(core: &mut Core) {
    core.event(ResourceEvent::NodeDead {
        node: name("b"),
        heard: true,
        ping: false,
        yields: true,
        message: Message::new("status"),
    });
}

/// We run everything, `b` is dead to us.
fn alone() -> Core {
    let mut core = pair();
    dies(&mut core);
    core.finish();
    core.said();
    assert_eq!(core.state.rscstatus(), "all");
    core
}

fn returns(core: &mut Core) {
    core.event(ResourceEvent::ReturnedAfterPartition {
        node: name("b"),
        yields: true,
    });
    lives(core);
}

/// A legacy node restarts in place while it is cut off: it goes on holding its own, and never
/// yields.
#[test]
fn what_a_legacy_owner_kept_through_its_restart_is_released() {
    let mut core = Core::alone(ON);
    core.returns("b");
    core.said();
    core.hear("b", "resource local 1");
    let said = core.said();
    assert!(said.contains(&"drop addresses".to_owned()), "{said:?}");
    assert!(said.contains(&"stop b".to_owned()), "{said:?}");
    assert!(!said.contains(&"stop a".to_owned()), "{said:?}");
    core.finish();
    core.wait(60_000);
    assert_eq!(core.state.rscstatus(), "local");
    // With another haresources there the same word may mean other groups: no node was dead.
    let mut core = Core::alone(ON);
    core.returns("b");
    core.hear("b", "resource none 1");
    core.said();
    core.hear("b", "resource local 1");
    assert!(!core.said().contains(&"stop b".to_owned()));
    // A node that begins with nothing gets its own groups without a conflict.
    let mut core = Core::alone(ON);
    core.returns("b");
    core.hear("b", "starting");
    core.said();
    core.hear("b", "resource none 1");
    let said = core.said();
    assert!(!said.contains(&"drop addresses".to_owned()), "{said:?}");
}

/// A legacy owner is received again in the middle of a standby that gives us our own: it reports
/// its own only when that is over.
#[test]
fn what_a_legacy_owner_kept_is_released_behind_a_standby() {
    let mut core = Core::alone(ON);
    core.hear("b", "ask foreign me");
    core.status("b", NodeStatus::Dead, NodeStatus::Active);
    core.hear("b", "ask foreign me");
    core.hear("b", "resource local 0 standby");
    core.hear("b", "ask foreign done");
    core.hear("b", "resource local 1");
    core.finish();
    core.said();
    core.hear("b", "resource local 1");
    core.finish();
    let said = core.said();
    assert!(said.contains(&"stop b".to_owned()), "{said:?}");
    assert_eq!(core.state.rscstatus(), "local");
}

/// Its first status since its death.
fn lives(core: &mut Core) {
    core.event(ResourceEvent::NodeStatusChanged {
        node: name("b"),
        old: NodeStatus::Dead,
        new: NodeStatus::Active,
        message: Message::new("status").with(field::SYSTOLE, YIELD),
    });
}

fn says_we_are_dead(core: &mut Core, before: u32, runs: u32, mutual: bool) {
    core.event(ResourceEvent::GivenUp {
        node: name("b"),
        weight: Weight {
            before,
            runs,
            foreign: None,
        },
        mutual,
        earlier_run: false,
    });
}

/// `b` begins a new run and has released everything.
fn yields(core: &mut Core) {
    core.event(ResourceEvent::NodeRestarted {
        node: name("b"),
        was_dead: false,
    });
    core.hear("b", "starting");
    core.hear("b", "resource none 0");
}

fn touched_nothing(said: &[String]) {
    let touched = |line: &&String| {
        ["stop", "start ", "drop", "generation"]
            .iter()
            .any(|word| line.starts_with(word))
    };
    assert_eq!(said.iter().find(touched), None, "{said:?}");
}

fn weight(before: u32, runs: u32, foreign: u32) -> Weight {
    Weight {
        before,
        runs,
        foreign: Some(foreign),
    }
}

#[test]
fn what_we_weigh_is_told_when_the_other_dies() {
    let mut core = pair();
    dies(&mut core);
    assert_eq!(core.weight, weight(1, 2, 1));
    core.fail_start();
    assert_eq!(core.weight, weight(1, 1, 0));
}

#[test]
fn the_one_that_keeps_does_nothing_to_its_groups() {
    let mut core = alone();
    returns(&mut core);
    says_we_are_dead(&mut core, 0, 2, true);
    assert_eq!(core.state.rscstatus(), "transition");
    yields(&mut core);
    core.wait(20_000);
    touched_nothing(&core.said());
    assert_eq!(core.state.held_groups().count(), 2);
}

#[test]
fn the_one_that_yields_lets_its_addresses_go_first_then_begins_a_new_run() {
    let mut core = alone();
    returns(&mut core);
    core.said();
    says_we_are_dead(&mut core, 2, 2, true);
    assert_eq!(core.said(), ["drop addresses", "generation", "stop a"]);
    core.input(ResourceInput::CommUp);
    core.finish();
    assert_eq!(core.said(), ["stop b", "starting"]);
}

#[test]
fn who_was_given_up_and_gave_nobody_up_yields() {
    let mut core = pair();
    says_we_are_dead(&mut core, 0, 2, false);
    assert_eq!(core.said(), ["drop addresses", "generation", "stop a"]);
}

#[test]
fn who_was_given_up_by_a_node_that_runs_nothing_keeps() {
    let mut core = pair();
    says_we_are_dead(&mut core, 0, 0, false);
    touched_nothing(&core.said());
}

#[test]
fn one_that_does_not_yield_is_not_waited_for_for_ever() {
    let mut core = alone();
    returns(&mut core);
    says_we_are_dead(&mut core, 0, 2, true);
    core.said();
    core.wait(1_999);
    touched_nothing(&core.said());
    core.wait(1);
    assert!(core.said().contains(&"generation".to_owned()));
}

#[test]
fn nothing_is_moved_while_it_is_open_who_keeps() {
    let mut core = alone();
    returns(&mut core);
    says_we_are_dead(&mut core, 0, 2, true);
    core.hear("b", "resource none 1");
    core.said();
    core.standby(HoldingSet::ALL);
    core.hear("b", "ask all me");
    let said = core.said();
    assert!(!said.iter().any(|line| line.starts_with("ask")), "{said:?}");
}

/// It started alone, because it does not receive us, and found that another host has our addresses:
/// this node.
#[test]
fn one_that_claims_everything_and_runs_nothing_changes_nothing() {
    let mut core = alone();
    core.event(ResourceEvent::NodeRestarted {
        node: name("b"),
        was_dead: true,
    });
    core.said();
    let message = Message::new("resource")
        .with(field::RSC_HOLD, "all")
        .with(field::RTYPE, "full")
        .with(field::IS_STABLE, "1")
        .with(field::RUNS, "0.0")
        .with(field::HG, "2")
        .with(field::SEQ, "9");
    core.event(ResourceEvent::Message {
        from: name("b"),
        own: false,
        message,
    });
    core.wait(60_000);
    touched_nothing(&core.said());
    assert_eq!(core.state.held_groups().count(), 2);
}

/// It was asked what it holds, because messages of it were lost, and takes us for unsettled until
/// we report. We keep everything; the report is sent all the same, else it would be in transition
/// for ever.
#[test]
fn one_that_was_asked_and_claims_what_it_does_not_run_gets_a_report() {
    for (runs, keeps) in [("0.0", true), ("0.1", false)] {
        let mut core = pair();
        core.event(ResourceEvent::WordsLost { node: name("b") });
        let said = core.said();
        assert!(said.iter().any(|it| it.starts_with("starting")), "{said:?}");
        let message = Message::new("resource")
            .with(field::RSC_HOLD, "all")
            .with(field::RTYPE, "full")
            .with(field::IS_STABLE, "1")
            .with(field::RUNS, runs)
            .with(field::RUNS_FOREIGN, if keeps { "0" } else { "1" })
            .with(field::HG, "1")
            .with(field::SEQ, "9");
        core.event(ResourceEvent::Message {
            from: name("b"),
            own: false,
            message,
        });
        let said = core.said();
        let reports = said.iter().filter(|it| it.starts_with("resource"));
        assert_eq!(reports.count(), usize::from(keeps), "{said:?}");
    }
}

/// Alone from the start, and another host has the addresses of `count` of our two groups.
fn refused(count: usize) -> Core {
    let mut core = Core::with(&settings(&["a", "b"], ON));
    core.event(ResourceEvent::NodeDead {
        node: name("b"),
        heard: false,
        ping: false,
        yields: false,
        message: Message::new("status"),
    });
    core.input(ResourceInput::CommUp);
    for _ in 0..count {
        core.end(GroupOutcome::AddressTaken {
            claim: "elsewhere".to_owned(),
        });
    }
    core.finish();
    core
}

/// They are held as a duty, so that no other node that starts takes what another host has; the
/// weight tells what really runs.
#[test]
fn a_node_whose_starts_were_all_refused_claims_them_and_says_that_it_runs_none() {
    let mut core = refused(2);
    assert_eq!(core.state.rscstatus(), "none");
    let (mut reports, weights) = core.reports();
    assert!(
        reports
            .pop()
            .is_some_and(|last| last.starts_with("resource all 1"))
    );
    assert_eq!(
        weights.last().map(String::as_str),
        Some("0.0"),
        "{weights:?}"
    );
    // No host has it any more.
    core.wait(11_000);
    core.finish();
    core.wait(10_000);
    core.finish();
    let (_, weights) = core.reports();
    assert_eq!(
        weights.last().map(String::as_str),
        Some("0.2"),
        "{weights:?}"
    );
    assert_eq!(core.state.rscstatus(), "all");
}

/// `b` is up again after our starts were refused, and settled. Returns whether we ask it to take
/// its groups.
fn fails_back_what_was_refused(words: &str) -> (Core, bool) {
    let mut core = refused(2);
    core.event(ResourceEvent::NodeRestarted {
        node: name("b"),
        was_dead: true,
    });
    core.event(ResourceEvent::NodeStatusChanged {
        node: name("b"),
        old: NodeStatus::Up,
        new: NodeStatus::Active,
        message: match words {
            "" => Message::new("status"),
            words => Message::new("status").with(field::SYSTOLE, words),
        },
    });
    core.hear("b", "starting");
    core.hear("b", "resource none 1");
    core.wait(5_000);
    let asked = asks(core.said());
    (core, asked)
}

fn asks(said: Vec<String>) -> bool {
    said.contains(&"ask foreign me".to_owned())
}

/// The owner is back, and would start its group unasked.
#[test]
fn what_was_refused_is_not_failed_back_before_it_runs() {
    let (mut core, asked) = fails_back_what_was_refused(YIELD);
    assert!(!asked);
    // No other host has the addresses any more.
    core.wait(10_000);
    core.finish();
    core.wait(10_000);
    core.finish();
    core.wait(10_000);
    assert!(asks(core.said()));
}

/// The owner may be the other host, with an address that it left behind and never removes by
/// itself.
#[test]
fn what_was_refused_goes_back_to_a_legacy_owner() {
    assert!(fails_back_what_was_refused("").1);
}

#[test]
fn what_was_not_refused_is_held() {
    let core = refused(1);
    assert!(["local", "foreign"].contains(&core.state.rscstatus()));
}

/// Both hold everything, and neither knew the other's run.
fn both_hold_everything() -> Core {
    let mut core = alone();
    core.event(ResourceEvent::NodeRestarted {
        node: name("b"),
        was_dead: true,
    });
    lives(&mut core);
    core.said();
    core
}

/// `b` reports everything, with this weight and in this position. Returns whether we yield for it.
fn yields_for(core: &mut Core, weight: &str, position: &str) -> bool {
    let message = Message::new("resource")
        .with(field::RSC_HOLD, "all")
        .with(field::RTYPE, "full")
        .with(field::IS_STABLE, "1")
        .with(field::RUNS, weight)
        .with(field::HG, "2")
        .with(field::SEQ, position);
    core.event(ResourceEvent::Message {
        from: name("b"),
        own: false,
        message,
    });
    core.said().contains(&"generation".to_owned())
}

/// Neither node knew the other's run: only the reports show it.
#[test]
fn two_that_both_report_everything_use_the_same_rule() {
    for (weight, we_yield) in [("0.2", false), ("5.2", true), ("1.0", false)] {
        let mut core = both_hold_everything();
        assert_eq!(yields_for(&mut core, weight, "9"), we_yield, "{weight}");
    }
}

/// A report from before the other node declared us dead came late, and by it the other one yields. By its newest report it keeps
/// everything: if each waited for the other, both would run everything meanwhile.
#[test]
fn the_newest_weight_decides() {
    let mut core = both_hold_everything();
    assert!(!yields_for(&mut core, "0.2", "9"));
    assert!(
        !yields_for(&mut core, "5.2", "8"),
        "an older one decides nothing"
    );
    assert!(yields_for(&mut core, "5.2", "a"));
}

#[test]
fn a_takeover_waits_when_the_dead_node_is_heard_again() {
    let mut set = settings(&["a", "b"], ON);
    set.groups.push(ResourceGroup {
        key: GroupKey::new("b2"),
        owner: name("b"),
        resources: vec!["b2".to_owned()],
    });
    let mut core = Core::with(&set);
    core.status("b", NodeStatus::Up, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource local 1");
    core.finish();
    core.said();
    dies(&mut core);
    assert!(core.said().contains(&"start b".to_owned()));
    core.event(ResourceEvent::NodeRestarted {
        node: name("b"),
        was_dead: true,
    });
    lives(&mut core);
    core.finish();
    assert!(!core.said().contains(&"start b2".to_owned()));
    core.hear("b", "starting");
    core.hear("b", "resource none 0");
    assert!(core.said().contains(&"start b2".to_owned()));
}

/// `b` was giving us two groups and died while the script of the first one ran.
fn died_in_a_standby() -> Core {
    let mut set = settings(&["a", "b"], ON);
    set.groups.push(ResourceGroup {
        key: GroupKey::new("b2"),
        owner: name("b"),
        resources: vec!["b2".to_owned()],
    });
    let mut core = Core::with(&set);
    core.status("b", NodeStatus::Up, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource local 1");
    core.finish();
    core.hear("b", "ask local me");
    core.hear("b", "resource none 0 standby");
    core.said();
    core.hear("b", "ask local done");
    assert_eq!(core.said(), ["start b"]);
    dies(&mut core);
    core.event(ResourceEvent::NodeRestarted {
        node: name("b"),
        was_dead: true,
    });
    lives(&mut core);
    core.said();
    core
}

#[test]
fn what_is_left_of_a_standby_waits_as_a_takeover_does() {
    let mut core = died_in_a_standby();
    core.finish();
    assert!(!core.said().contains(&"start b2".to_owned()));
    core.hear("b", "starting");
    core.hear("b", "resource none 1");
    assert!(core.said().contains(&"start b2".to_owned()));
}

/// It has begun anew, and reports that it runs nothing a moment before it reports that it is
/// settled.
#[test]
fn who_has_let_go_is_not_expected_to_yield() {
    let mut core = died_in_a_standby();
    core.hear("b", "resource all 0 shutdown");
    core.finish();
    core.hear("b", "starting");
    core.hear("b", "resource none 0");
    assert!(!core.said().contains(&"start b2".to_owned()));
    core.hear("b", "resource none 1");
    let said = core.said();
    assert!(said.contains(&"start b2".to_owned()), "{said:?}");
    core.wait(20_000);
    assert!(!core.said().contains(&"generation".to_owned()));
}

#[test]
fn a_takeover_goes_on_when_the_node_that_came_back_says_nothing() {
    let mut set = settings(&["a", "b"], ON);
    set.groups.push(ResourceGroup {
        key: GroupKey::new("b2"),
        owner: name("b"),
        resources: vec!["b2".to_owned()],
    });
    let mut core = Core::with(&set);
    core.status("b", NodeStatus::Up, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource local 1");
    core.finish();
    dies(&mut core);
    core.event(ResourceEvent::NodeRestarted {
        node: name("b"),
        was_dead: true,
    });
    core.finish();
    core.said();
    core.wait(10_000);
    assert!(core.said().contains(&"start b2".to_owned()));
}

#[test]
fn a_node_without_the_rule_that_says_it_fenced_us_is_believed() {
    let mut core = Core::stable(ON);
    core.hear("b", "stonith a n_stnth");
    assert_eq!(core.said(), ["drop addresses", "generation", "stop a"]);
    let mut core = Core::stable(ON);
    core.hear("b", "stonith a bad");
    assert_eq!(core.said(), [""; 0], "it did not succeed");
}

/// We ran everything, the groups of `b` too, released because `b` was received again, and have
/// stopped.
fn let_go_for_nothing() -> Core {
    let mut core = Core::alone(AutoFailback::Off);
    core.event(ResourceEvent::ReturnedAfterPartition {
        node: name("b"),
        yields: false,
    });
    core.status("b", NodeStatus::Dead, NodeStatus::Active);
    core.finish();
    assert_eq!(core.said().last().map(String::as_str), Some("starting"));
    core
}

/// It was not received, but received us and took nothing: its groups, which ran here, must not stay
/// down.
#[test]
fn what_was_let_go_for_a_node_that_runs_nothing_is_taken_again_at_once() {
    let mut core = let_go_for_nothing();
    core.hear("b", "resource none 1");
    core.finish();
    let said = core.said();
    for start in ["start a", "start b"] {
        assert!(said.contains(&start.to_owned()), "{said:?}");
    }
    assert_eq!(said.last().map(String::as_str), Some("resource all 1"));
    assert_eq!(core.state.rscstatus(), "all");
}

#[test]
fn what_was_let_go_for_a_node_that_runs_it_or_is_not_settled_is_left_to_it() {
    for report in ["resource local 1", "resource all 1", "resource none 0"] {
        let mut core = let_go_for_nothing();
        core.hear("b", report);
        core.finish();
        core.wait(12_000);
        core.finish();
        let said = core.said();
        assert!(!said.contains(&"start b".to_owned()), "{report}: {said:?}");
    }
    // It has just started, and takes its own groups by itself.
    let mut core = let_go_for_nothing();
    core.returns("b");
    core.hear("b", "starting");
    core.hear("b", "resource none 0");
    core.finish();
    core.hear("b", "resource none 1");
    core.finish();
    assert!(!core.said().contains(&"start b".to_owned()));
}

/// The process was stopped between an order and its script, and the other node has taken the group.
/// Simulator: seeds 1600135 and 1601398 with isolation.
#[test]
fn a_start_in_hand_stands_only_until_everything_is_given_up() {
    let mut core = Core::starting(ON);
    core.hear("b", "resource local 1");
    let order = core.in_hand();
    assert!(core.state.start_stands(Some(order)));
    assert!(core.state.start_stands(None), "of an earlier core");
    core.event(ResourceEvent::OwnHeartbeatLost {
        silent: Duration::from_secs(20),
    });
    assert!(!core.state.start_stands(Some(order)));
    assert!(!core.state.start_stands(None));
    core.said();
    core.end(GroupOutcome::Stopped);
    core.finish();
    assert!(core.said().contains(&"stop a".to_owned()), "as every group");
}

/// The stop waits for its end, as legacy does.
#[test]
fn a_start_in_hand_outlives_the_wish_to_stop() {
    let mut core = Core::starting(ON);
    core.hear("b", "resource local 1");
    let order = core.in_hand();
    core.stop();
    assert!(core.state.start_stands(Some(order)));
    core.finish();
    assert!(!core.state.start_stands(Some(order)), "it is done");
}

/// Our own run began while nothing of the other node arrived: we never declared it dead.
#[test]
fn what_a_legacy_owner_ran_all_along_is_released() {
    let mut core = Core::alone(ON);
    core.status("b", NodeStatus::Dead, NodeStatus::Active);
    core.said();
    core.hear("b", "resource local 1");
    let said = core.said();
    assert!(said.contains(&"drop addresses".to_owned()), "{said:?}");
    assert!(said.contains(&"stop b".to_owned()), "{said:?}");
    assert!(!said.contains(&"stop a".to_owned()), "{said:?}");
    core.finish();
    core.wait(60_000);
    assert_eq!(core.state.rscstatus(), "local");
}

/// It has taken ours, and does not receive that we began anew.
#[test]
fn a_legacy_node_that_declared_us_dead_is_waited_for() {
    let mut core = Core::stable(ON);
    core.hear("b", "stonith a n_stnth");
    core.finish();
    core.input(ResourceInput::CommUp);
    core.said();
    core.wait(60_000);
    let said = core.said();
    assert!(!said.contains(&"start a".to_owned()), "{said:?}");
    core.hear("b", "resource local 1");
    core.finish();
    assert!(
        core.said().contains(&"start a".to_owned()),
        "it has released them"
    );
}
