//! Messages of a standby that were lost at first and come during the next standby.

use super::*;

const ON: AutoFailback = AutoFailback::On;

/// We were suspended: everything is released and we begin anew, in the same process.
fn begins_anew(core: &mut Core, b_holds: &str) {
    core.event(ResourceEvent::OwnHeartbeatLost {
        silent: Duration::from_secs(5),
    });
    core.input(ResourceInput::CommUp);
    core.finish();
    core.hear("b", &format!("resource {b_holds} 1"));
    core.finish();
    core.said();
    assert_eq!(core.phase(), Phase::Stable);
}

/// Receives one number out of order: the message was lost at first.
fn hear_late(core: &mut Core, lost: u64, text: &str) {
    let seq = std::mem::replace(&mut core.seq, lost - 1);
    core.hear("b", text);
    core.seq = seq;
}

/// Our new generation ended the first; the giver of the second still runs the group.
#[test]
fn a_done_of_an_earlier_standby_takes_nothing() {
    let mut core = Core::stable(ON);
    core.hear("b", "ask local me");
    core.hear("b", "resource none 0 standby");
    let done = core.next_seq();
    begins_anew(&mut core, "local");
    assert_eq!(core.state.rscstatus(), "local");
    core.hear("b", "ask local me");
    assert_eq!(core.said(), ["ask local other"]);
    hear_late(&mut core, done, "ask local done");
    let said = core.said();
    assert!(
        !said.contains(&"start b".to_owned()),
        "b still runs it: {said:?}"
    );
}

/// We gave in the first and take in the second.
#[test]
fn the_done_of_a_taker_is_not_that_of_a_giver() {
    let mut core = Core::stable(ON);
    core.standby(HoldingSet::LOCAL);
    core.hear("b", "ask local other");
    core.finish();
    let done = core.next_seq();
    core.hear("b", "resource all 1");
    begins_anew(&mut core, "all");
    assert_eq!(core.state.rscstatus(), "none");
    // b gives our own group back; it never gives its own.
    core.hear("b", "ask foreign me");
    assert_eq!(core.said(), ["ask foreign other"]);
    hear_late(&mut core, done, "ask local done");
    let said = core.said();
    assert!(
        !said.contains(&"start b".to_owned()),
        "b runs it and keeps it: {said:?}"
    );
}

/// The giver, of which one report was lost, took longer to stop than we waited for it.
#[test]
fn a_done_that_comes_after_the_minute_is_taken() {
    let mut core = Core::stable(ON);
    core.hear("b", "ask local me");
    let standby = core.next_seq();
    core.wait(61_000);
    core.said();
    hear_late(&mut core, standby, "resource none 0 standby");
    core.hear("b", "ask local done");
    core.finish();
    let mut said = core.said();
    core.wait(3_000_000);
    core.finish();
    said.extend(core.said());
    assert!(
        said.contains(&"start b".to_owned()),
        "nobody runs b for an hour: {said:?}"
    );
}

/// Its offer is taken as any other: so it learns that it may release.
#[test]
fn what_runs_here_already_is_taken_all_the_same() {
    let mut core = Core::alone(ON);
    core.returns("b");
    core.hear("b", "resource none 1");
    core.state.failback.nothing_to_give();
    core.said();
    core.hear("b", "ask foreign me");
    assert_eq!(core.said(), ["ask foreign other"]);
    core.hear("b", "resource none 0 standby");
    core.hear("b", "ask foreign done");
    core.finish();
    assert!(core.said().contains(&"ask foreign done".to_owned()));
}

/// The message was lost at first; the offer that followed is answered already. Simulator: seed
/// 2304946.
#[test]
fn an_earlier_offer_does_not_begin_the_standby_anew() {
    let mut core = Core::stable(ON);
    let earlier = core.next_seq();
    core.hear("b", "ask local me");
    assert_eq!(core.said(), ["ask local other"]);
    hear_late(&mut core, earlier, "ask all me");
    assert_eq!(core.said(), [""; 0]);
    core.hear("b", "resource none 0 standby");
    core.hear("b", "ask local done");
    assert_eq!(core.said(), ["start b"]);
}

/// The first message was lost at first, and nothing else was received of its sender since.
#[test]
fn a_done_that_was_sent_before_the_offer_takes_nothing() {
    let mut core = Core::stable(ON);
    let done = core.next_seq();
    core.hear("b", "ask local me");
    assert_eq!(core.said(), ["ask local other"]);
    hear_late(&mut core, done, "ask local done");
    assert_eq!(core.said(), [""; 0]);
    core.hear("b", "ask local done");
    assert_eq!(core.said(), ["start b"]);
}

/// The giver has taken the set back, and reported that.
#[test]
fn a_done_that_a_report_has_overtaken_takes_nothing() {
    let mut core = Core::stable(ON);
    core.hear("b", "ask local me");
    core.said();
    let done = core.next_seq();
    core.hear("b", "resource local 1");
    core.said();
    hear_late(&mut core, done, "ask local done");
    assert_eq!(core.said(), [""; 0]);
}

#[test]
fn a_done_for_another_set_takes_nothing() {
    let mut core = Core::stable(ON);
    core.hear("b", "ask local me");
    core.said();
    core.hear("b", "ask all done");
    assert_eq!(core.said(), [""; 0]);
    core.hear("b", "ask local done");
    assert_eq!(core.said(), ["start b"]);
}

/// A legacy node sends first what it says last. Its scripts take long.
#[test]
fn a_legacy_giver_whose_report_comes_late_gives_all_the_same() {
    let mut core = Core::stable(ON);
    core.hear("b", "ask local me");
    let standby = core.next_seq();
    core.hear("b", "resource none 1");
    hear_late(&mut core, standby, "resource none 0 standby");
    core.said();
    core.wait(600_000);
    assert_eq!(core.said(), [""; 0], "its start may be running");
    assert_eq!(core.complaints, [""; 0]);
    core.hear("b", "ask local done");
    core.finish();
    assert_eq!(core.state.rscstatus(), "all");
    // A report of an earlier standby shows nothing.
    let mut core = Core::stable(ON);
    let standby = core.next_seq();
    core.hear("b", "ask local me");
    core.hear("b", "resource local 1");
    hear_late(&mut core, standby, "resource none 0 standby");
    core.wait(60_000);
    assert_eq!(core.state.rscstatus(), "local");
}

/// We began anew while a legacy node gave us our groups. It counts them as ours by now, and waits
/// for our `done` for an hour.
#[test]
fn what_a_legacy_node_has_released_for_an_earlier_run_of_ours_is_taken() {
    let settled = |b_holds: &str| {
        let mut core = Core::starting(ON);
        core.hear("b", &format!("resource {b_holds} 1"));
        core.finish();
        core.said();
        core
    };
    let mut core = settled("all");
    assert_eq!(core.state.rscstatus(), "none");
    core.hear("b", "ask foreign done");
    assert_eq!(
        core.said(),
        ["starting"],
        "what it holds tells which done it is"
    );
    core.hear("b", "resource local 1");
    assert!(core.said().contains(&"start a".to_owned()));
    core.finish();
    let said = core.said();
    assert!(said.contains(&"ask foreign done".to_owned()), "{said:?}");
    assert_eq!(core.state.rscstatus(), "local");
    // A late taker: it holds what it has taken.
    let mut core = settled("local");
    core.hear("b", "ask local done");
    core.hear("b", "resource local 1");
    assert!(!core.said().contains(&"start b".to_owned()));
    let mut core = settled("all");
    core.hear("b", "ask local done");
    core.hear("b", "resource all 1");
    core.wait(60_000);
    let said = core.said();
    assert!(!said.contains(&"start b".to_owned()), "{said:?}");
    assert_eq!(core.state.rscstatus(), "none");
}

/// We were suspended in the middle of a standby. The giver's `done` waited here, and behind it the
/// report that the giver has taken everything again, because it counts us as dead.
#[test]
fn a_done_that_waited_while_this_node_stood_still_is_believed_when_all_is_read() {
    let stands_still = || {
        let mut core = Core::stable(ON);
        core.hear("b", "ask local me");
        core.hear("b", "resource none 0 standby");
        core.said();
        core.event(ResourceEvent::StoodStill {
            read_until: core.now + Duration::from_millis(500),
        });
        core.hear("b", "ask local done");
        assert_eq!(core.said(), [""; 0], "more may wait");
        core
    };
    let mut core = stands_still();
    core.wait(499);
    assert_eq!(core.said(), [""; 0]);
    core.wait(1);
    assert_eq!(core.said(), ["start b"], "nothing takes it back");
    core.finish();
    assert_eq!(core.said(), ["ask local done", "resource all 1"]);

    let mut core = stands_still();
    core.event(ResourceEvent::GivenUp {
        node: name("b"),
        weight: Weight {
            before: 2,
            runs: 2,
            foreign: None,
        },
        mutual: false,
        earlier_run: false,
    });
    core.finish();
    core.said();
    core.wait(60_000);
    let said = core.said();
    assert!(!said.iter().any(|it| it.starts_with("start")), "{said:?}");
}

/// A legacy taker counts us as dead because our heartbeats come late. It has ended the standby, so
/// its `done` does not come.
#[test]
fn a_taker_that_has_declared_us_dead_is_asked_what_it_holds() {
    let mut core = Core::stable(ON);
    core.is_ours("b", false);
    core.standby(HoldingSet::LOCAL);
    core.hear("b", "ask local other");
    core.finish();
    core.said();
    core.hear("b", "stonith a unneeded");
    assert_eq!(core.said(), ["starting"]);
    core.hear("b", "resource all 1");
    core.wait(2_000);
    assert_eq!(core.state.rscstatus(), "none");
}

/// The message and the report that a legacy node sends right behind it come in the wrong order. It
/// does not receive us, so that nothing else would tell it that both run everything.
#[test]
fn a_node_declared_dead_yields_although_the_report_came_first() {
    let mut core = Core::stable(ON);
    core.is_ours("b", false);
    let verdict = core.next_seq();
    core.hear("b", "resource all 1");
    core.said();
    hear_late(&mut core, verdict, "stonith a n_stnth");
    let said = core.said();
    assert!(said.contains(&"drop addresses".to_owned()), "{said:?}");
    core.finish();
    assert_eq!(core.state.held_groups().count(), 0);
}

/// A legacy taker that stood still declared us dead while we released. Its three messages come in the wrong order: the
/// report that shows what it took is older than the last one, and it sends no `done`. Simulator: near mixed 13300082.
#[test]
fn a_legacy_taker_that_took_everything_during_our_release_is_asked() {
    let mut core = Core::alone(ON);
    core.returns("b");
    core.hear("b", "resource none 1");
    core.said();
    assert_eq!(core.phase(), Phase::Stable);
    core.standby(HoldingSet::FOREIGN);
    core.hear("b", "ask foreign other");
    let (verdict, report) = (core.next_seq(), core.next_seq());
    core.hear("b", "resource foreign mach_down");
    hear_late(&mut core, report, "resource all 1 req_our_resources()");
    hear_late(&mut core, verdict, "stonith a n_stnth");
    core.wait(1_000);
    assert!(core.said().contains(&"starting".to_owned()), "b is asked");
    core.hear("b", "resource all 1");
    core.finish();
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource all 1");
    core.wait(10_000);
    core.finish();
    assert_eq!(core.phase(), Phase::Stable);
    assert_eq!(core.state.rscstatus(), "none", "b runs everything");
}

/// The same, and its verdict comes in its order: it has taken nothing yet when it answers. What it says by itself later
/// is lost at first, and overtaken by its `mach_down`.
#[test]
fn a_legacy_taker_is_asked_again_when_it_has_taken_everything() {
    let mut core = Core::alone(ON);
    core.returns("b");
    core.hear("b", "resource none 1");
    core.standby(HoldingSet::ALL);
    core.hear("b", "ask all other");
    core.finish();
    core.hear("b", "stonith a n_stnth");
    core.wait(1_000);
    core.hear("b", "resource none 1");
    core.said();
    let report = core.next_seq();
    core.hear("b", "resource foreign mach_down");
    hear_late(&mut core, report, "resource all 1 req_our_resources()");
    core.wait(1_000);
    assert!(core.said().contains(&"starting".to_owned()), "b is asked");
    core.hear("b", "resource all 1");
    core.wait(10_000);
    assert!(core.state.standby.is_idle(), "b sends no done");
    assert_eq!(core.phase(), Phase::Stable);
    assert_eq!(core.state.rscstatus(), "none", "b runs everything");
}
