//! What we do beside a node that does not receive us, is in an inconsistent state, or whose
//! messages were lost.

use super::*;

const ON: AutoFailback = AutoFailback::On;
const OFF: AutoFailback = AutoFailback::Off;

/// A legacy node that we declared dead is received again in the run that we knew.
fn returns_after_partition(core: &mut Core) {
    core.event(ResourceEvent::ReturnedAfterPartition {
        node: name("b"),
        yields: false,
    });
    core.status("b", NodeStatus::Dead, NodeStatus::Active);
}

/// All links were cut and both nodes have taken everything; then we receive the legacy node, which
/// does not receive us.
fn beside_a_deaf_one() -> Core {
    let mut core = Core::alone(OFF);
    returns_after_partition(&mut core);
    core.finish();
    assert!(core.said().contains(&"starting".to_owned()));
    core
}

#[test]
fn a_node_that_may_have_taken_ours_and_does_not_answer_keeps_them() {
    let mut core = beside_a_deaf_one();
    core.wait(300_000);
    let said = core.said();
    assert!(
        !said.iter().any(|line| line.starts_with("start ")),
        "{said:?}"
    );
    assert!(
        said.iter().filter(|line| *line == "starting").count() > 20,
        "asked on and on: {said:?}"
    );
    let complaints: Vec<_> = core
        .complaints
        .iter()
        .filter(|line| line.contains("does not answer"))
        .collect();
    assert_eq!(complaints.len(), 1, "{:?}", core.complaints);
    core.hear("b", "resource all 1");
    core.finish();
    core.wait(60_000);
    let said = core.said();
    assert!(
        !said.iter().any(|line| line.starts_with("start ")),
        "{said:?}"
    );
    assert_eq!(core.state.rscstatus(), "none");
}

#[test]
fn a_node_that_may_have_taken_ours_answers_that_it_has_not() {
    let mut core = beside_a_deaf_one();
    core.wait(60_000);
    core.hear("b", "resource local 1");
    core.finish();
    assert!(core.said().contains(&"start a".to_owned()));
    assert_eq!(core.state.rscstatus(), "local");
}

#[test]
fn a_node_that_may_have_taken_ours_and_never_answered_dies() {
    let mut core = beside_a_deaf_one();
    core.wait(60_000);
    core.dies("b");
    core.finish();
    assert_eq!(core.state.rscstatus(), "all");
    assert_eq!(core.state.held_groups().count(), 2);
}

/// It begins anew and holds nothing any more: a claim of its earlier run no longer counts.
#[test]
fn a_claim_ends_with_the_run_that_made_it() {
    let mut core = beside_a_deaf_one();
    core.wait(30_000);
    core.event(ResourceEvent::NodeRestarted {
        node: name("b"),
        was_dead: false,
    });
    core.status("b", NodeStatus::Active, NodeStatus::Up);
    core.status("b", NodeStatus::Up, NodeStatus::Active);
    core.wait(30_000);
    core.finish();
    assert!(core.said().contains(&"start a".to_owned()));
}

/// We released because it reported that it has ours, and it does not answer our new run.
#[test]
fn what_a_node_said_to_an_earlier_run_of_ours_is_a_claim() {
    let mut core = Core::stable(OFF);
    core.hear("b", "resource all 1 req_our_resources()");
    core.input(ResourceInput::CommUp);
    core.finish();
    core.said();
    core.wait(120_000);
    let said = core.said();
    assert!(
        !said.iter().any(|line| line.starts_with("start ")),
        "{said:?}"
    );
}

/// `hb_standby all` of a legacy giver comes while its own offer is open: it sends it, and ignores
/// it itself.
#[test]
fn a_second_offer_of_a_legacy_giver_is_not_answered_while_its_first_is_open() {
    let mut core = Core::stable(ON);
    core.hear("b", "ask foreign me");
    assert_eq!(core.said(), ["ask foreign other"]);
    core.hear("b", "ask all me");
    assert_eq!(core.said(), [""; 0]);
    core.wait(10_000);
    core.hear("b", "ask all me");
    assert_eq!(core.said(), ["ask all other"], "it has given the first up");
}

#[test]
fn an_offer_of_a_legacy_giver_that_gives_is_not_answered_again() {
    let mut core = Core::stable(ON);
    core.hear("b", "ask local me");
    core.hear("b", "resource none 0 standby");
    core.said();
    core.wait(30_000);
    core.hear("b", "ask all me");
    assert_eq!(core.said(), [""; 0]);
    core.hear("b", "ask local done");
    core.finish();
    core.hear("b", "resource none 1");
    let said = core.said();
    assert!(said.contains(&"start b".to_owned()), "{said:?}");
    assert_eq!(core.state.rscstatus(), "all");
}

/// The same while we are busy: what is answered afterwards is the offer that is open.
#[test]
fn of_two_offers_of_a_legacy_giver_that_wait_the_first_is_answered() {
    let mut core = Core::starting(ON);
    core.hear("b", "resource local 1");
    core.said();
    core.hear("b", "ask local me");
    core.wait(2_000);
    core.hear("b", "ask all me");
    assert_eq!(core.said(), [""; 0]);
    core.finish();
    let said = core.said();
    assert!(said.contains(&"ask local other".to_owned()), "{said:?}");
}

/// Its interface was down for a moment: its reports answer our new run before its next status
/// comes.
#[test]
fn what_a_node_reports_that_counts_as_dead_is_no_reason_to_let_go() {
    let mut core = Core::alone(ON);
    for _ in 0..5 {
        core.hear("b", "resource local 1");
        core.hear("b", "resource all 1");
    }
    assert_eq!(core.said(), [""; 0]);
    assert_eq!(core.state.rscstatus(), "all");
}

/// More was lost than can be asked for: for example a report that it is settled again.
#[test]
fn what_is_lost_for_good_is_asked_for() {
    let mut core = Core::stable(ON);
    core.hear("b", "resource local 0");
    core.next_seq();
    assert_eq!(core.state.rscstatus(), "transition");
    core.event(ResourceEvent::WordsLost { node: name("b") });
    assert_eq!(core.said(), ["starting"]);
    core.wait(1_000);
    assert_eq!(core.said(), ["starting"], "the answer is lost as well");
    core.hear("b", "resource local 1");
    assert_eq!(core.state.rscstatus(), "local");
    let said = core.said();
    assert!(said.contains(&"resource local 1".to_owned()), "{said:?}");
    core.wait(60_000);
    assert_eq!(core.said(), [""; 0]);
}

/// It would count the second as the other side's.
#[test]
fn a_legacy_taker_is_not_told_twice_that_we_are_done() {
    let mut core = Core::stable(ON);
    core.standby(HoldingSet::LOCAL);
    core.hear("b", "ask local other");
    core.finish();
    assert!(core.said().contains(&"ask local done".to_owned()));
    core.hear("b", "starting");
    core.event(ResourceEvent::WordsLost { node: name("b") });
    let said = core.said();
    assert!(!said.contains(&"ask local done".to_owned()), "{said:?}");
    core.hear("b", "resource all 1");
    core.wait(1_000);
    assert_eq!(core.state.rscstatus(), "none", "its own was lost");
}

/// `b`, a legacy node, takes all of ours and restarts in place while its script starts it.
fn gives_to_one_that_begins_anew() -> Core {
    let mut core = Core::stable(ON);
    core.standby(HoldingSet::ALL);
    core.hear("b", "ask all other");
    core.finish();
    assert!(core.said().contains(&"ask all done".to_owned()));
    core.event(ResourceEvent::NodeRestarted {
        node: name("b"),
        was_dead: false,
    });
    core.status("b", NodeStatus::Active, NodeStatus::Up);
    core
}

/// It is a full member again, and reports what it held before.
fn reports_local(core: &mut Core) {
    core.status("b", NodeStatus::Up, NodeStatus::Active);
    core.hear("b", "starting");
    core.hear("b", "resource local 1");
}

fn waits(core: &mut Core, seconds: u64) -> Vec<String> {
    for _ in 0..seconds {
        core.wait(1_000);
        if core.said.iter().any(|line| line == "starting") {
            core.hear("b", "resource local 1");
        }
    }
    core.finish();
    core.said()
}

#[test]
fn what_a_node_was_given_and_starts_unreported_is_left_to_it() {
    let mut core = gives_to_one_that_begins_anew();
    reports_local(&mut core);
    let said = waits(&mut core, 30);
    assert!(!said.contains(&"start a".to_owned()), "{said:?}");
    core.hear("b", "ask all done");
    let told = core
        .complaints
        .iter()
        .filter(|line| line.contains("hb_takeover"));
    assert_eq!(told.count(), 1, "{:?}", core.complaints);
    let said = waits(&mut core, 300);
    assert!(!said.contains(&"start a".to_owned()), "{said:?}");
    // It restarts in place once more: its groups run on.
    core.event(ResourceEvent::NodeRestarted {
        node: name("b"),
        was_dead: false,
    });
    reports_local(&mut core);
    let said = waits(&mut core, 300);
    assert!(!said.contains(&"start a".to_owned()), "{said:?}");
    core.hear("b", "ask foreign me");
    core.hear("b", "ask foreign done");
    core.finish();
    assert!(
        core.said().contains(&"start a".to_owned()),
        "it gives it back"
    );
    core.dies("b");
    core.finish();
    assert_eq!(core.state.held_groups().count(), 2);
}

#[test]
fn what_a_node_was_given_and_does_not_start_is_taken_after_a_minute() {
    let mut core = gives_to_one_that_begins_anew();
    reports_local(&mut core);
    let said = waits(&mut core, 70);
    assert!(said.contains(&"start a".to_owned()), "{said:?}");
}

/// It hangs in a standby of its own for an hour, and ignores every answer.
#[test]
fn a_legacy_node_that_offers_and_does_not_give_is_named_within_a_minute() {
    let mut core = Core::stable(ON);
    core.hear("b", "ask all me");
    core.wait(20_000);
    assert_eq!(core.state.rscstatus(), "local");
    let named = core
        .complaints
        .iter()
        .filter(|line| line.contains("heartbeat -r"));
    assert_eq!(named.count(), 1, "{:?}", core.complaints);
    assert!(
        core.decided
            .iter()
            .any(|line| line.contains("heartbeat -r"))
    );
    core.hear("b", "ask all done");
    core.finish();
    assert!(
        core.said().contains(&"start b".to_owned()),
        "it was only slow"
    );
}

/// Its start may have failed: the log says what it claims to hold.
#[test]
fn what_a_legacy_node_says_it_holds_is_told_while_nothing_is_in_transition() {
    fn held(core: &Core) -> Vec<String> {
        let held = core.state.held_by_legacy();
        held.map(|(key, node)| format!("{key} {node}")).collect()
    }
    let mut core = Core::stable(ON);
    assert_eq!(held(&core), ["b b"]);
    core.hear("b", "resource local 0");
    assert_eq!(held(&core), [""; 0]);
    core.hear("b", "resource none 1");
    assert_eq!(held(&core), [""; 0]);
}

/// A legacy node was suspended, gives us ours back, and then finishes a takeover that waited for
/// its scripts all the time. No report follows.
#[test]
fn a_legacy_node_that_ends_a_takeover_of_ours_runs_them() {
    let mut core = Core::stable(ON);
    core.hear("b", "resource foreign mach_down");
    let said = core.said();
    assert!(said.contains(&"stop a".to_owned()), "{said:?}");
    core.finish();
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource all 1");
    core.wait(60_000);
    assert_eq!(core.state.held_groups().count(), 0);
}

/// A claim that it makes while we take what it gives does not count when we are done.
#[test]
fn a_legacy_node_that_claims_what_we_are_taking_is_asked_when_that_is_done() {
    for answer in ["all", "local"] {
        let mut core = Core::starting(ON);
        core.hear("b", "resource all 1");
        core.hear("b", "ask foreign me");
        core.hear("b", "resource local 0 standby");
        core.hear("b", "ask foreign done");
        core.hear("b", "resource all 1");
        core.said();
        core.finish();
        let said = core.said();
        assert!(said.contains(&"starting".to_owned()), "{said:?}");
        core.hear("b", &format!("resource {answer} 1"));
        let yields = core.said().contains(&"stop a".to_owned());
        assert_eq!(yields, answer == "all");
        core.wait(60_000);
        assert!(!core.said().contains(&"starting".to_owned()), "once");
    }
}

/// We are suspended in a standby and release everything. The legacy node goes on with its scripts,
/// and reports meanwhile that it is settled.
fn begins_anew(core: &mut Core, holds: &str) {
    core.event(ResourceEvent::OwnHeartbeatLost {
        silent: Duration::from_secs(20),
    });
    core.finish();
    core.input(ResourceInput::CommUp);
    core.hear("b", &format!("resource {holds} 1"));
    core.wait(120_000);
    let said = core.said();
    assert!(!said.contains(&"start a".to_owned()), "{said:?}");
}

#[test]
fn what_a_node_is_taking_when_we_begin_anew_is_left_to_it() {
    let mut core = Core::stable(OFF);
    core.standby(HoldingSet::ALL);
    core.hear("b", "ask all other");
    core.finish();
    assert!(core.said().contains(&"ask all done".to_owned()));
    begins_anew(&mut core, "local");
    core.hear("b", "ask all done");
    core.hear("b", "resource all 1");
    core.wait(120_000);
    let said = core.said();
    assert!(!said.contains(&"start a".to_owned()), "{said:?}");
    core.dies("b");
    core.finish();
    assert_eq!(core.state.held_groups().count(), 2);
}

#[test]
fn what_a_node_is_giving_when_we_begin_anew_is_taken_when_it_says_that_it_is_done() {
    let mut core = Core::starting(ON);
    core.hear("b", "resource all 1");
    core.hear("b", "ask foreign me");
    core.hear("b", "resource local 0 standby");
    begins_anew(&mut core, "local");
    core.hear("b", "ask foreign done");
    core.hear("b", "resource local 1");
    core.finish();
    assert!(core.said().contains(&"start a".to_owned()));
    assert_eq!(core.state.rscstatus(), "local");
}

/// Its `done` comes before any node receives our new run, or before that is at rest.
#[test]
fn what_a_node_has_given_while_we_begin_anew_is_taken() {
    for early in [true, false] {
        let mut core = Core::starting(ON);
        core.hear("b", "resource all 1");
        core.hear("b", "ask foreign me");
        core.hear("b", "resource local 0 standby");
        core.event(ResourceEvent::OwnHeartbeatLost {
            silent: Duration::from_secs(9),
        });
        core.finish();
        if early {
            core.hear("b", "ask foreign done");
        }
        core.input(ResourceInput::CommUp);
        if !early {
            core.hear("b", "ask foreign done");
        }
        // It answers each question; nothing else comes of it.
        for _ in 0..4 {
            core.hear("b", "resource local 1");
            core.finish();
            core.wait(2_000);
        }
        let said = core.said();
        assert!(said.contains(&"start a".to_owned()), "{early}: {said:?}");
        assert_eq!(core.state.rscstatus(), "local", "{early}");
    }
}

/// The node may die instead, or begin anew: then no node sends a `done` for us.
#[test]
fn what_a_node_is_giving_when_we_begin_anew_is_ours_when_it_dies() {
    let mut core = Core::starting(ON);
    core.hear("b", "resource all 1");
    core.hear("b", "ask foreign me");
    begins_anew(&mut core, "local");
    core.dies("b");
    core.finish();
    assert_eq!(core.state.held_groups().count(), 2);
}

/// It was told to stop before we began, and does not tell that when it is asked: its scripts take
/// long.
#[test]
fn beside_a_legacy_node_that_is_not_settled_after_ten_seconds_nothing_is_started() {
    let mut core = Core::starting(ON);
    core.hear("b", "resource none 0");
    for _ in 0..12 {
        core.wait(10_000);
        core.hear("b", "resource none 0");
    }
    let said = core.said();
    assert!(!said.contains(&"start a".to_owned()), "{said:?}");
    assert!(said.contains(&"starting".to_owned()), "it is asked again");
    core.hear("b", "resource none 1");
    core.finish();
    assert!(core.said().contains(&"start a".to_owned()), "it stays");
}

/// It began before us, and its `starting` came before we could receive it. By our own question it
/// knows that both start, and then it waits for our report and answers nothing else: ten seconds
/// later it takes its own groups.
#[test]
fn a_legacy_node_that_starts_with_us_is_told_what_we_hold() {
    let mut core = Core::starting(ON);
    core.hear("b", "resource none 0");
    assert_eq!(core.said(), ["resource none 0"]);
    // It was lost.
    core.wait(10_000);
    assert_eq!(core.said(), ["resource none 0", "starting"]);
    core.hear("b", "resource local 1");
    core.finish();
    assert_eq!(core.state.rscstatus(), "local");
}

/// It took our groups in a takeover whose scripts have lasted until now, and gave us its own
/// meanwhile. The starts of those waited for that, and no message of it tells when they are done.
#[test]
fn what_a_legacy_node_may_start_again_after_a_takeover_is_offered_back() {
    for late in [false, true] {
        let mut core = Core::starting(OFF);
        core.hear("b", "resource all 1");
        core.hear("b", "ask local me");
        core.hear("b", "resource foreign 0 standby");
        core.hear("b", "ask local done");
        if late {
            core.hear("b", "resource foreign mach_down");
        }
        core.finish();
        core.hear("b", "resource foreign 1");
        if !late {
            assert_eq!(core.state.rscstatus(), "foreign");
            core.said();
            core.hear("b", "resource foreign mach_down");
        }
        let offered = core.said();
        assert!(
            offered.contains(&"ask foreign me".to_owned()),
            "{offered:?}"
        );
        // It is busy, and is asked once more.
        core.wait(20_000);
        assert!(core.said().contains(&"ask foreign me".to_owned()));
        core.hear("b", "ask foreign other");
        assert!(core.said().contains(&"stop b".to_owned()));
        core.finish();
        core.hear("b", "ask foreign done");
        core.hear("b", "resource all 1");
        assert_eq!(core.state.rscstatus(), "none");
        // A person brings them here again: they are offered only once.
        core.hear("b", "ask local me");
        core.hear("b", "resource foreign 0 standby");
        core.hear("b", "ask local done");
        core.finish();
        core.hear("b", "resource foreign 1");
        core.wait(60_000);
        assert_eq!(core.state.rscstatus(), "foreign");
        assert!(!core.said().contains(&"ask foreign me".to_owned()));
    }
}

/// It starts and has received our question in an earlier run of ours: it waits for a report and
/// answers no question, and we wait for it because it may have taken ours.
#[test]
fn a_legacy_node_that_answers_no_question_is_told_what_we_hold() {
    let mut core = Core::starting(ON);
    core.wait(1_000);
    core.said();
    core.wait(5_000);
    let said = core.said();
    let told = said.iter().position(|line| line == "resource none 0");
    let asked = said.iter().rposition(|line| line == "starting");
    assert!(told.is_some() && told < asked, "{said:?}");
}

/// It hears us again only after the wait for its report is over and our groups run. Nobody else would ask
/// what it holds.
#[test]
fn a_node_that_does_not_report_is_asked_on_and_on() {
    let mut core = Core::starting(OFF);
    core.wait(60_000);
    core.finish();
    assert_eq!(core.state.rscstatus(), "transition", "its word is missing");
    core.said();
    core.wait(60_000);
    let asked = core
        .said()
        .iter()
        .filter(|line| *line == "starting")
        .count();
    assert!(asked >= 10, "{asked}");
    core.hear("b", "resource local 1");
    core.finish();
    core.said();
    core.wait(60_000);
    assert!(!core.said().contains(&"starting".to_owned()));
}
