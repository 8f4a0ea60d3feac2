//! A legacy node no longer reports what its scripts stop, and does not yet report what they start.

use super::*;

/// We have lost power and are back at once. `b` runs a script of the standby before, and reports
/// nothing.
fn asked() -> Core {
    let mut core = Core::starting(AutoFailback::On);
    core.hear("b", "resource none 1");
    core.finish();
    core.wait(15_000);
    assert!(core.said().contains(&"starting".to_owned()));
    core.hear("b", "resource none 1");
    core
}

fn starts_b(core: &mut Core) -> bool {
    core.said().contains(&"start b".to_owned())
}

#[test]
fn what_its_scripts_may_start_is_asked_for_and_not_taken() {
    let mut core = asked();
    let said = core.said();
    assert!(said.contains(&"hb_takeover foreign".to_owned()), "{said:?}");
    assert!(!said.contains(&"start b".to_owned()), "{said:?}");
    core.wait(50_000);
    core.hear("b", "ask local me");
    let said = core.said();
    assert!(said.contains(&"ask local other".to_owned()), "{said:?}");
    assert!(
        !said.contains(&"hb_takeover foreign".to_owned()),
        "once: {said:?}"
    );
    core.hear("b", "resource none 0 standby");
    assert!(!starts_b(&mut core));
    core.hear("b", "ask local done");
    assert!(starts_b(&mut core));
    core.finish();
    core.hear("b", "resource none 1");
    assert_eq!(core.state.rscstatus(), "all");
    assert!(core.complaints.iter().all(|line| !line.contains("script")));
}

/// Its scripts have ended, and it ignores every answer.
#[test]
fn what_hangs_in_a_standby_and_offers_is_no_reason_to_wait() {
    let mut core = asked();
    core.hear("b", "ask local me");
    core.said();
    core.wait(20_000);
    assert!(!starts_b(&mut core));
    core.wait(16_000);
    core.hear("b", "resource none 1");
    assert!(starts_b(&mut core));
    assert!(core.state.start_asks_network(core.in_hand()));
}

#[test]
fn what_its_scripts_have_started_stays_there() {
    let mut core = asked();
    core.hear("b", "resource local 1");
    core.hear("b", "ask local me");
    core.wait(120_000);
    let said = core.said();
    assert!(!said.contains(&"ask local other".to_owned()), "{said:?}");
    assert!(!said.contains(&"start b".to_owned()), "{said:?}");
    // If it gives them later, that counts.
    core.hear("b", "ask local me");
    assert!(core.said().contains(&"ask local other".to_owned()));
}

#[test]
fn a_script_that_hangs_is_said_once_and_waited_for_for_an_hour() {
    let mut core = asked();
    let about = |core: &Core| {
        let lines = core.complaints.iter();
        lines
            .filter(|line| line.contains("a script runs there or hangs"))
            .count()
    };
    core.wait(59_000);
    assert_eq!(about(&core), 0);
    core.wait(3_500_000);
    assert_eq!(about(&core), 1, "{:?}", core.complaints);
    assert!(!starts_b(&mut core));
    core.wait(42_000);
    core.hear("b", "resource none 1");
    assert!(starts_b(&mut core));
    assert!(core.state.start_asks_network(core.in_hand()));
}

/// A node that begins anew has no scripts of an earlier run.
#[test]
fn a_new_run_is_asked_again() {
    let mut core = asked();
    core.returns("b");
    core.hear("b", "starting");
    core.hear("b", "resource none 1");
    core.said();
    core.wait(16_000);
    core.hear("b", "resource none 1");
    assert!(core.said().contains(&"hb_takeover foreign".to_owned()));
}

/// A request of a person there does not wait for its scripts, and it ignores our answer.
#[test]
fn what_a_person_asks_there_is_no_answer() {
    for set in ["all", "foreign"] {
        let mut core = asked();
        core.hear("b", &format!("ask {set} me"));
        core.wait(120_000);
        core.hear("b", "resource none 1");
        core.wait(30_000);
        core.hear("b", "resource none 1");
        let said = core.said();
        assert!(!said.contains(&"start b".to_owned()), "{set}: {said:?}");
    }
}

/// The offer comes while we can take nothing, or is lost.
#[test]
fn it_is_asked_again_when_its_offer_is_missed() {
    for lost in [false, true] {
        let mut core = asked();
        core.said();
        if lost {
            core.event(ResourceEvent::WordsLost { node: name("b") });
            core.hear("b", "resource none 1");
        } else {
            core.input(ResourceInput::FreezeRequested);
            core.hear("b", "ask local me");
            core.input(ResourceInput::ThawRequested);
        }
        core.wait(16_000);
        core.hear("b", "resource none 1");
        let said = core.said();
        assert!(
            said.contains(&"hb_takeover foreign".to_owned()),
            "{lost}: {said:?}"
        );
    }
}

/// Days later it releases them without a report: the earlier answer tells nothing about that.
#[test]
fn an_answer_does_not_outlive_its_report() {
    let mut core = asked();
    core.hear("b", "ask local me");
    core.wait(20_000);
    core.hear("b", "resource local 1");
    core.wait(86_400_000);
    core.hear("b", "resource none 1");
    core.said();
    core.wait(16_000);
    core.hear("b", "resource none 1");
    let said = core.said();
    assert!(said.contains(&"hb_takeover foreign".to_owned()), "{said:?}");
    assert!(!said.contains(&"start b".to_owned()), "{said:?}");
    // What was not answered is not asked for again after an hour.
    let mut core = asked();
    core.hear("b", "resource local 1");
    core.wait(86_400_000);
    core.hear("b", "resource none 1");
    core.said();
    core.wait(16_000);
    core.hear("b", "resource none 1");
    let said = core.said();
    assert!(said.contains(&"hb_takeover foreign".to_owned()), "{said:?}");
    assert!(!said.contains(&"start b".to_owned()), "{said:?}");
}
