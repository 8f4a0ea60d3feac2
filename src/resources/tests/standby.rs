use super::*;

const ON: AutoFailback = AutoFailback::On;

#[test]
fn giver() {
    let mut core = Core::stable(ON);
    core.standby(HoldingSet::LOCAL);
    assert_eq!(core.said(), ["ask local me"]);
    assert_eq!(core.state.rscstatus(), "transition");
    core.hear("b", "ask local other");
    assert_eq!(core.said(), ["resource none 0 standby", "stop a"]);
    core.finish();
    assert_eq!(core.said(), ["ask local done"]);
    core.hear("b", "ask local done");
    assert_eq!(core.said(), ["resource none 1"]);
    core.hear("b", "resource all 1");
    assert_eq!(core.said(), ["resource none 1"]);
    assert_eq!(core.state.rscstatus(), "none");
}

#[test]
fn taker() {
    let mut core = Core::stable(ON);
    core.hear("b", "ask local me");
    assert_eq!(core.said(), ["ask local other"]);
    core.hear("b", "resource none 0 standby");
    core.hear("b", "ask local done");
    assert_eq!(core.said(), ["start b"]);
    core.finish();
    assert_eq!(core.said(), ["ask local done", "resource all 1"]);
    core.hear("b", "resource none 1");
    assert_eq!(core.said(), ["resource all 1"]);
    assert_eq!(core.state.rscstatus(), "all");
}

#[test]
fn the_legacy_order_of_report_and_done_is_understood() {
    let mut core = Core::stable(ON);
    core.standby(HoldingSet::ALL);
    core.hear("b", "ask all other");
    core.finish();
    core.said();
    core.hear("b", "resource all 1");
    core.hear("b", "ask all done");
    assert_eq!(core.said(), ["resource none 1", "resource none 1"]);
    assert_eq!(core.state.rscstatus(), "none");
}

#[test]
fn a_taker_says_done_even_when_the_start_failed() {
    let mut core = Core::stable(ON);
    core.hear("b", "ask local me");
    core.hear("b", "resource none 0 standby");
    core.hear("b", "ask local done");
    core.said();
    core.fail_start();
    assert_eq!(core.said(), ["ask local done", "resource all 1"]);
}

#[test]
fn nobody_answers() {
    let mut core = Core::stable(ON);
    core.standby(HoldingSet::ALL);
    core.said();
    core.wait(9_999);
    assert_eq!(core.state.rscstatus(), "transition");
    core.standby(HoldingSet::ALL);
    assert_eq!(core.said(), [""; 0], "one at a time");
    core.wait(1);
    assert_eq!(core.state.rscstatus(), "local");
    assert_eq!(core.complaints.len(), 3, "{:?}", core.complaints);
    core.hear("b", "ask all other");
    assert_eq!(core.said(), [""; 0], "too late: nothing is given up");
}

#[test]
fn both_ask_at_once_and_the_first_wins() {
    let mut core = Core::stable(ON);
    core.hear("b", "ask all me");
    assert_eq!(core.said(), ["ask all other"]);
    core.standby(HoldingSet::ALL);
    assert_eq!(core.said(), [""; 0]);
    let mut core = Core::stable(ON);
    core.standby(HoldingSet::ALL);
    core.said();
    core.hear("b", "ask all me");
    assert_eq!(core.said(), [""; 0]);
}

#[test]
fn refused_while_the_other_side_is_in_flux() {
    let mut core = Core::stable(ON);
    core.hear("b", "resource local 0");
    core.standby(HoldingSet::ALL);
    core.hear("b", "ask all me");
    assert_eq!(core.said(), [""; 0]);
    assert_eq!(core.complaints.len(), 2);
}

#[test]
fn refused_with_more_than_two_nodes() {
    let mut core = Core::with(&settings(&["a", "b", "c"], ON));
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.status("c", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource local 1");
    core.finish();
    core.said();
    core.standby(HoldingSet::LOCAL);
    core.hear("b", "ask local me");
    core.hear("b", "hb_takeover all");
    assert_eq!(core.said(), [""; 0]);
    assert_eq!(core.complaints.len(), 3, "{:?}", core.complaints);
}

/// Spec: docs/protocol/resources.md, 8.
#[test]
fn takeover_requests_are_standbys_of_the_mirrored_set() {
    for (word, set) in [
        ("all", "all"),
        ("local", "foreign"),
        ("foreign", "local"),
        ("failback", "foreign"),
    ] {
        let mut core = Core::stable(ON);
        core.hear("b", &format!("hb_takeover {word}"));
        assert_eq!(core.said(), [format!("ask {set} me")]);
    }
}

#[test]
fn a_giver_that_dies_while_it_releases_is_treated_as_holding() {
    let mut core = Core::stable(ON);
    core.hear("b", "ask all me");
    core.hear("b", "resource none 0 standby");
    core.said();
    core.dies("b");
    core.finish();
    let said = core.said();
    assert_eq!(said[..2], ["renumber", "stonith b n_stnth"]);
    assert!(said.contains(&"start b".to_owned()));
    assert_eq!(core.state.rscstatus(), "all");
}

#[test]
fn a_taker_that_dies_while_it_acquires_is_taken_over() {
    let mut core = Core::stable(ON);
    core.standby(HoldingSet::ALL);
    core.hear("b", "ask all other");
    core.finish();
    core.said();
    core.dies("b");
    core.finish();
    let said = core.said();
    assert_eq!(said[..2], ["renumber", "stonith b n_stnth"]);
    assert!(said.contains(&"start a".to_owned()));
    assert!(said.contains(&"start b".to_owned()));
    assert_eq!(core.state.rscstatus(), "all");
}

#[test]
fn a_taker_that_dies_before_we_have_released_gets_nothing_more() {
    let mut core = Core::stable(ON);
    core.standby(HoldingSet::ALL);
    core.hear("b", "ask all other");
    core.said();
    core.dies("b");
    let said = core.said();
    assert!(!said.contains(&"stop b".to_owned()));
    core.finish();
    assert_eq!(core.state.rscstatus(), "all");
    assert_eq!(core.state.held_groups().count(), 2);
}

#[test]
fn a_taker_that_restarts_leaves_nothing_without_an_owner() {
    let mut core = Core::stable(ON);
    core.standby(HoldingSet::LOCAL);
    core.hear("b", "ask local other");
    core.finish();
    core.said();
    core.returns("b");
    core.hear("b", "starting");
    core.hear("b", "resource none 0");
    core.hear("b", "resource local 1");
    core.said();
    core.wait(2_000);
    assert_eq!(core.said(), ["starting"], "asked first");
    core.hear("b", "resource local 1");
    core.finish();
    let said = core.said();
    assert!(said.contains(&"start a".to_owned()), "{said:?}");
    assert_eq!(core.state.rscstatus(), "local");
}

#[test]
fn an_offer_waits_for_our_own_scripts() {
    let mut core = Core::starting(ON);
    core.hear("b", "resource local 1");
    core.said();
    core.hear("b", "ask local me");
    assert_eq!(core.said(), [""; 0]);
    core.finish();
    let said = core.said();
    assert_eq!(said.last().unwrap(), "ask local other");
}

#[test]
fn an_offer_is_forgotten_when_the_giver_has_given_up() {
    let mut core = Core::starting(ON);
    core.hear("b", "resource local 1");
    core.hear("b", "ask local me");
    core.wait(9_000);
    core.said();
    core.finish();
    assert_eq!(core.said(), ["resource local 1 req_our_resources()"]);
}

/// The taker's script takes longer than an hour: the giver waits for a Systole node as long as it
/// lives.
#[test]
fn a_taker_of_ours_may_take_longer_than_the_giver_waits_for_a_legacy_one() {
    let given = |ours: bool| {
        let mut core = Core::stable(ON);
        core.is_ours("b", ours);
        core.standby(HoldingSet::LOCAL);
        core.hear("b", "ask local other");
        core.finish();
        core.said();
        core.wait(3_700_000);
        core
    };
    let mut core = given(true);
    assert_eq!(core.said(), [] as [&str; 0]);
    assert_eq!(core.state.rscstatus(), "transition");
    core.hear("b", "ask local done");
    assert_eq!(core.said(), ["resource none 1"]);
    core.hear("b", "resource all 1");
    assert_eq!(core.state.rscstatus(), "none");
    // A legacy taker ends its standby at the same time; it must not go on reading `standby` in our report.
    let mut core = given(false);
    assert_eq!(
        core.said().first().map(String::as_str),
        Some("resource none 1")
    );
    assert_eq!(core.state.rscstatus(), "none");
}

/// The taker reports that it is settled, and that it does not run them: the giver waits no longer.
#[test]
fn a_taker_of_ours_that_is_settled_without_them_is_not_waited_for() {
    let mut core = Core::stable(ON);
    core.is_ours("b", true);
    core.standby(HoldingSet::LOCAL);
    core.hear("b", "ask local other");
    core.finish();
    core.hear("b", "resource foreign 1");
    core.said();
    core.wait(3_700_000);
    assert_eq!(core.state.rscstatus(), "none");
}

/// Its question made it count as unsettled here, and its offer came before its next report. If the
/// offer were refused, the group would wait a minute for the next one. Simulator: single, seed
/// 7200380.
#[test]
fn an_offer_waits_for_the_report_that_is_on_its_way() {
    for ours in [true, false] {
        let mut core = Core::stable(ON);
        core.is_ours("b", ours);
        core.hear("b", "starting");
        core.said();
        core.hear("b", "ask local me");
        assert!(!core.said().contains(&"ask local other".to_owned()));
        core.hear("b", "resource local 1");
        let taken = core.said().contains(&"ask local other".to_owned());
        assert_eq!(taken, ours);
    }
    // The report does not come.
    let mut core = Core::stable(ON);
    core.is_ours("b", true);
    core.hear("b", "starting");
    core.hear("b", "ask local me");
    core.wait(10_000);
    core.hear("b", "resource local 1");
    assert!(!core.said().contains(&"ask local other".to_owned()));
}

/// A Systole taker that is asked during its start does not report that it is settled without the
/// groups: the giver would take them back.
#[test]
fn a_taker_says_that_it_is_at_work_to_a_giver_of_ours() {
    for ours in [true, false] {
        let mut core = Core::stable(ON);
        core.is_ours("b", ours);
        core.hear("b", "ask local me");
        core.hear("b", "resource none 0 standby");
        core.hear("b", "ask local done");
        core.said();
        core.hear("b", "starting");
        let stable = u8::from(!ours);
        assert_eq!(core.reports().0, [format!("resource local {stable}")]);
        core.finish();
        assert_eq!(core.reports().0, ["resource all 1"]);
    }
}

/// It is being stopped, and a script of what it was given is in hand when the giver dies: it runs
/// them until the stop, and must not report that it holds nothing. Simulator: isolation, seed
/// 12003927.
#[test]
fn a_stopping_taker_holds_what_it_takes_when_the_giver_dies() {
    let mut core = Core::stable(ON);
    core.hear("b", "ask local me");
    core.hear("b", "resource none 0 standby");
    core.hear("b", "ask local done");
    core.stop();
    core.dies("b");
    core.returns("b");
    core.said();
    core.hear("b", "starting");
    let (reports, _) = core.reports();
    assert!(
        reports.iter().all(|it| it.starts_with("resource all")),
        "{reports:?}"
    );
    assert!(!reports.is_empty());
}

/// A legacy taker is suspended during our release, declares us dead when it goes on, and takes the
/// groups: its standby has ended by that, and no message follows ours. Simulator: mixed, seed
/// 13300082.
#[test]
fn a_taker_that_held_the_giver_for_dead_is_not_waited_for() {
    let mut core = Core::stable(ON);
    core.standby(HoldingSet::LOCAL);
    core.hear("b", "ask local other");
    core.hear("b", "resource all 1 req_our_resources()");
    core.finish();
    core.said();
    core.wait(5_000);
    assert_eq!(core.state.rscstatus(), "none");
    // A taker that has not reported yet is waited for.
    let mut core = Core::stable(ON);
    core.standby(HoldingSet::LOCAL);
    core.hear("b", "ask local other");
    core.finish();
    core.wait(5_000);
    assert_eq!(core.state.rscstatus(), "transition");
}

/// The giver declares us dead while it gives, ends the standby by itself, and hears us again before
/// we have missed it: its `done` will not come, and an hour is no time to wait for it. A legacy
/// giver reports that it is settled while it gives too. Simulator: fencing, seed 240002516.
#[test]
fn a_giver_that_has_ended_the_standby_is_not_waited_for() {
    for ours in [true, false] {
        let mut core = Core::stable(ON);
        core.is_ours("b", ours);
        core.hear("b", "ask foreign me");
        core.hear("b", "resource local 1");
        assert_eq!(core.state.rscstatus(), "transition", "it has not begun");
        core.hear("b", "resource local 0 standby");
        core.hear("b", "resource local 0 standby");
        assert_eq!(core.state.rscstatus(), "transition", "it gives");
        core.said();
        core.hear("b", "resource local 1");
        let status = if ours { "local" } else { "transition" };
        assert_eq!(core.state.rscstatus(), status);
        let said = core.said();
        assert!(!said.iter().any(|it| it.starts_with("start")), "{said:?}");
    }
}

/// A giver that is asked in its release reports what it has not released yet. Its `done` is newer.
#[test]
fn what_the_giver_has_released_is_not_owned_by_both() {
    for ours in [true, false] {
        let mut core = Core::stable(ON);
        core.is_ours("b", ours);
        core.hear("b", "ask local me");
        core.hear("b", "resource none 0 standby");
        core.hear("b", "resource local 0 standby");
        core.hear("b", "ask local done");
        core.finish();
        assert!(core.state.duty.holds(HoldingSet::ALL));
        assert_eq!(core.complaints, [""; 0]);
    }
}
