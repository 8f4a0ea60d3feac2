//! A legacy node `b` goes on with its scripts after a death or a restart, and does not report what
//! they do.

use super::*;

const ON: AutoFailback = AutoFailback::On;
const OFF: AutoFailback = AutoFailback::Off;

/// Lets time pass; `b` answers every question with `report`.
fn passes(core: &mut Core, report: &str, seconds: u64) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..seconds {
        core.wait(1_000);
        let said = core.said();
        if said.iter().any(|line| line == "starting") {
            core.hear("b", report);
        }
        all.extend(said);
    }
    all
}

/// The same, and our scripts end then.
fn answers(core: &mut Core, report: &str, seconds: u64) -> Vec<String> {
    let mut all = passes(core, report, seconds);
    core.finish();
    all.extend(core.said());
    all
}

fn starts_a(said: &[String]) -> bool {
    said.iter().any(|line| line == "start a")
}

fn complains(core: &Core, word: &str) -> usize {
    let lines = core.complaints.iter();
    lines.filter(|line| line.contains(word)).count()
}

/// It declared us dead meanwhile, which we did not notice: its standby is cancelled, and its script
/// is not.
#[test]
fn a_taker_that_is_done_and_does_not_report_it_is_asked_and_keeps_it() {
    let mut core = Core::stable(ON);
    core.standby(HoldingSet::LOCAL);
    core.hear("b", "ask local other");
    core.finish();
    core.hear("b", "resource foreign mach_down");
    core.hear("b", "ask local done");
    core.said();
    let said = answers(&mut core, "resource local 1", 300);
    assert!(said.contains(&"starting".to_owned()), "{said:?}");
    assert!(!starts_a(&said), "it runs there: {said:?}");
    assert_eq!(core.state.rscstatus(), "none");
    assert_eq!(complains(&core, "hb_takeover"), 1, "{:?}", core.complaints);
    // `heartbeat -r` frees it, and stops nothing.
    core.event(ResourceEvent::NodeRestarted {
        node: name("b"),
        was_dead: false,
    });
    core.status("b", NodeStatus::Active, NodeStatus::Up);
    core.status("b", NodeStatus::Up, NodeStatus::Active);
    core.hear("b", "starting");
    core.hear("b", "resource local 1");
    let said = answers(&mut core, "resource local 1", 300);
    assert!(!starts_a(&said), "{said:?}");
    core.hear("b", "ask foreign me");
    core.hear("b", "ask foreign done");
    core.finish();
    assert!(starts_a(&core.said()), "it gives it back");
}

/// Its `done` comes, and then at once its report: nothing is asked, and the report is believed.
#[test]
fn a_taker_that_reports_is_not_asked() {
    let mut core = Core::stable(OFF);
    core.standby(HoldingSet::LOCAL);
    core.hear("b", "ask local other");
    core.finish();
    core.hear("b", "ask local done");
    core.hear("b", "resource all 1");
    let said = answers(&mut core, "resource all 1", 60);
    assert!(!said.contains(&"starting".to_owned()), "{said:?}");
    assert!(core.complaints.is_empty(), "{:?}", core.complaints);
    // It no longer holds it, and reports that: no node does.
    core.hear("b", "resource local 1");
    assert!(starts_a(&answers(&mut core, "resource local 1", 30)));
}

/// `b` gives us our groups back; we declare it dead, and it lives.
fn cut_off_while_it_gives() -> Core {
    let mut core = Core::starting(ON);
    core.hear("b", "resource all 1");
    core.hear("b", "ask foreign me");
    core.hear("b", "resource local 0 standby");
    core.dies("b");
    core.finish();
    core.event(ResourceEvent::ReturnedAfterPartition {
        node: name("b"),
        yields: false,
    });
    core.status("b", NodeStatus::Dead, NodeStatus::Active);
    core.finish();
    core.input(ResourceInput::CommUp);
    core.said();
    core.hear("b", "resource local 1");
    core
}

#[test]
fn a_giver_that_was_declared_dead_and_lives_may_still_stop_what_it_gives() {
    let mut core = cut_off_while_it_gives();
    let said = answers(&mut core, "resource local 1", 50);
    assert!(!starts_a(&said), "{said:?}");
    core.hear("b", "ask foreign done");
    let said = answers(&mut core, "resource local 1", 2);
    assert!(starts_a(&said), "{said:?}");
    assert_eq!(core.state.rscstatus(), "local");
}

#[test]
fn the_done_of_a_giver_that_was_not_heard_is_not_waited_for_longer_than_a_minute() {
    let mut core = cut_off_while_it_gives();
    let said = answers(&mut core, "resource local 1", 75);
    assert!(starts_a(&said), "{said:?}");
}

/// It began anew by a power loss and not by `heartbeat -r`, and offers what it found: that `done`
/// does not end the start of what it was given before.
#[test]
fn a_new_run_of_a_taker_gives_by_its_own_offer() {
    let mut core = Core::stable(ON);
    core.standby(HoldingSet::ALL);
    core.hear("b", "ask all other");
    core.finish();
    core.event(ResourceEvent::NodeRestarted {
        node: name("b"),
        was_dead: false,
    });
    core.status("b", NodeStatus::Active, NodeStatus::Up);
    core.status("b", NodeStatus::Up, NodeStatus::Active);
    core.hear("b", "starting");
    core.hear("b", "resource local 1");
    core.hear("b", "ask foreign me");
    core.hear("b", "resource local 0 standby");
    core.said();
    core.hear("b", "ask foreign done");
    core.finish();
    assert!(starts_a(&core.said()));
}

/// We lost power after we had given it everything. It reports what it held, starts its own groups
/// for longer than an hour, and never yields.
#[test]
fn what_a_taker_started_for_an_earlier_run_of_ours_is_left_to_it() {
    for starts_still in [false, true] {
        let mut core = Core::starting(OFF);
        core.hear("b", "resource foreign 1");
        let said = passes(&mut core, "resource foreign 1", 3_630);
        assert!(said.contains(&"start b".to_owned()), "{said:?}");
        if !starts_still {
            core.finish();
        }
        core.hear("b", "ask all done");
        core.hear("b", "resource all 1");
        let said = answers(&mut core, "resource all 1", 5);
        assert!(said.contains(&"stop b".to_owned()), "{said:?}");
        assert_eq!(core.state.rscstatus(), "none");
    }
}

/// A takeover of it waited for the script that gave us ours, and is done after its own report.
#[test]
fn what_it_takes_behind_its_own_done_is_let_go() {
    let mut core = Core::starting(OFF);
    core.hear("b", "resource all 1");
    core.hear("b", "ask foreign me");
    core.hear("b", "resource local 0 standby");
    core.hear("b", "ask foreign done");
    assert!(starts_a(&core.said()));
    core.hear("b", "resource foreign mach_down");
    let said = core.said();
    assert!(said.contains(&"generation".to_owned()), "{said:?}");
    core.finish();
    let said = core.said();
    assert!(said.contains(&"stop a".to_owned()), "{said:?}");
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource all 1");
    assert!(!starts_a(&core.said()));
    assert_eq!(core.state.rscstatus(), "none");
}

/// It gave us ours while a script of an earlier standby still had to start them.
#[test]
fn what_an_older_script_started_beside_us_is_offered_once() {
    for takes_still in [false, true] {
        let mut core = Core::starting(OFF);
        core.hear("b", "resource all 1");
        core.hear("b", "ask foreign me");
        core.hear("b", "resource local 0 standby");
        core.hear("b", "ask foreign done");
        if takes_still {
            core.hear("b", "ask foreign done");
        }
        core.finish();
        core.hear("b", "resource local 1");
        if !takes_still {
            assert_eq!(core.state.rscstatus(), "local");
            core.hear("b", "ask foreign done");
        }
        assert!(core.said().contains(&"ask local me".to_owned()));
        core.hear("b", "ask local other");
        core.finish();
        core.hear("b", "ask local done");
        core.hear("b", "resource all 1");
        let said = answers(&mut core, "resource all 1", 60);
        assert!(!said.contains(&"ask local me".to_owned()), "{said:?}");
        assert_eq!(core.state.rscstatus(), "none");
    }
}

/// Its script ends while we release everything to begin anew.
#[test]
fn a_done_in_the_middle_of_our_release_is_heard() {
    let mut core = Core::stable(OFF);
    core.hear("b", "ask foreign me");
    core.hear("b", "resource all 1");
    assert!(core.said().contains(&"generation".to_owned()));
    core.hear("b", "ask foreign done");
    core.finish();
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource local 1");
    let said = answers(&mut core, "resource local 1", 15);
    assert!(starts_a(&said), "{said:?}");
}

/// It hangs in a standby of its own for an hour: meanwhile we are not in transition.
#[test]
fn what_is_offered_back_to_a_node_that_hangs_is_offered_ever_more_rarely() {
    let mut core = Core::starting(OFF);
    core.hear("b", "resource all 1");
    core.hear("b", "ask local me");
    core.hear("b", "resource foreign 0 standby");
    core.hear("b", "ask local done");
    core.finish();
    core.hear("b", "resource foreign 1");
    core.hear("b", "resource foreign mach_down");
    let said = answers(&mut core, "resource foreign 1", 3_600);
    let offers = said.iter().filter(|line| *line == "ask foreign me").count();
    assert!((5..15).contains(&offers), "{offers} offers");
    assert!(complains(&core, "heartbeat -r") >= 1);
}

/// It runs what it does not claim. The log has to tell which command stops it there.
#[test]
fn who_may_run_a_refused_group_and_what_frees_it_is_said_once() {
    let mut core = Core::starting(OFF);
    core.hear("b", "resource local 1");
    core.refuse();
    assert_eq!(complains(&core, "ResourceManager givegroup a"), 1);
    core.wait(60_000);
    core.refuse();
    assert_eq!(complains(&core, "ResourceManager givegroup a"), 1);
}
