//! A standby with a legacy node is open when our process ends: its successor goes on with it.

use super::*;
use crate::resources::left_open::{OpenStandby, Part};

const OFF: AutoFailback = AutoFailback::Off;

fn key(word: &str) -> GroupKey {
    GroupKey::new(word)
}

/// Whether `text` was sent.
fn told(core: &mut Core, text: &str) -> bool {
    core.said().iter().any(|line| line == text)
}

/// The start of a successor of `before`: `running` and `unfinished` are in the same file.
fn successor(before: &Core, running: &[&str], unfinished: &[&str]) -> Core {
    let mut core = Core::with(&settings(&["a", "b"], OFF));
    core.seq = before.seq;
    let keys = |words: &[&str]| words.iter().map(|word| key(word)).collect::<Vec<_>>();
    core.state.resume(before.state.holding(), keys(running));
    if let Some(open) = before.state.open_standby() {
        core.state.keep_standby(open);
    }
    core.state.finish(keys(unfinished));
    core
}

/// The successor receives the other node, which reports in a standby too that it is settled.
fn heard(core: &mut Core, holds: &str) {
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    assert!(told(core, "starting"));
    core.hear("b", &format!("resource {holds} 1"));
}

fn part(core: &Core) -> Option<Part> {
    core.state.open_standby().map(|open| open.part)
}

/// We have offered our `local`, and the other node has sent `other`.
fn giving() -> Core {
    let mut core = Core::stable(OFF);
    core.standby(HoldingSet::LOCAL);
    core.hear("b", "ask local other");
    assert_eq!(part(&core), Some(Part::Gives));
    core
}

/// `b` has offered its own, and we have sent that we can take it.
fn ready() -> Core {
    let mut core = Core::stable(OFF);
    core.hear("b", "ask local me");
    assert_eq!(part(&core), Some(Part::Ready));
    core
}

/// The same, and it gives.
fn awaiting() -> Core {
    let mut core = ready();
    core.hear("b", "resource none 0 standby");
    assert_eq!(part(&core), Some(Part::Awaits));
    core
}

#[test]
fn a_taker_that_began_anew_in_its_start_says_that_it_is_done() {
    let mut before = ready();
    before.hear("b", "ask local done");
    assert_eq!(part(&before), Some(Part::Takes));
    // Killed during the start, or before its first order.
    for (running, unfinished) in [(&["a", "b"][..], &["b"][..]), (&["a"], &[])] {
        let mut core = successor(&before, running, unfinished);
        core.input(ResourceInput::Tick);
        assert_eq!(core.said(), ["start b"]);
        // Done before any node receives it.
        core.finish();
        assert_eq!(core.said(), [""; 0]);
        heard(&mut core, "none");
        let said = core.said();
        assert!(said.contains(&"ask local done".to_owned()), "{said:?}");
        core.hear("b", "resource none 1");
        assert_eq!(core.state.rscstatus(), "all");
        core.wait(60_000);
        assert!(!told(&mut core, "ask local done"), "once");
    }
}

#[test]
fn a_start_that_is_slow_or_fails_is_told_at_its_end() {
    let mut before = ready();
    before.hear("b", "ask local done");
    for fails in [false, true] {
        let mut core = successor(&before, &["a", "b"], &["b"]);
        heard(&mut core, "none");
        core.wait(60_000);
        assert!(!told(&mut core, "ask local done"));
        if fails {
            core.fail_start();
        } else {
            core.finish();
        }
        assert!(told(&mut core, "ask local done"));
    }
}

#[test]
fn a_taker_that_began_anew_before_the_release_takes_what_is_released() {
    for (before, wait) in [(ready(), 15_000), (awaiting(), 600_000)] {
        let mut core = successor(&before, &["a"], &[]);
        heard(&mut core, "none");
        core.wait(wait);
        let said = core.said();
        assert!(
            !said.iter().any(|line| line.starts_with("start")),
            "{said:?}"
        );
        core.hear("b", "ask local done");
        assert_eq!(core.said(), ["start b"]);
        core.finish();
        assert!(told(&mut core, "ask local done"));
        assert_eq!(core.state.holding(), HoldingSet::ALL);
    }
}

/// `b` gives back what is ours, and stops it for longer than nodes wait for an agreement.
#[test]
fn what_the_giver_still_stops_is_not_started_at_the_end_of_the_start() {
    let mut core = Core::stable(OFF);
    core.standby(HoldingSet::LOCAL);
    core.hear("b", "ask local other");
    core.finish();
    core.hear("b", "ask local done");
    core.hear("b", "resource all 1");
    core.hear("b", "ask foreign me");
    core.hear("b", "resource local 0 standby");
    let mut core = successor(&core, &[], &[]);
    heard(&mut core, "local");
    core.wait(60_000);
    let said = core.said();
    assert!(
        !said.iter().any(|line| line.starts_with("start")),
        "{said:?}"
    );
    core.hear("b", "ask foreign done");
    assert_eq!(core.said(), ["start a"]);
}

#[test]
fn a_giver_that_began_anew_stops_the_rest_and_says_so() {
    for (running, unfinished) in [(&["a"][..], &["a"][..]), (&["a"], &[]), (&[], &[])] {
        let mut core = successor(&giving(), running, unfinished);
        core.input(ResourceInput::Tick);
        core.finish();
        assert!(!told(&mut core, "ask local done"), "nobody hears it yet");
        heard(&mut core, "local");
        assert!(told(&mut core, "ask local done"));
        // It starts them for longer than nodes wait for an agreement.
        core.wait(60_000);
        let said = core.said();
        assert!(
            !said
                .iter()
                .any(|line| line.starts_with("start a") || line == "ask local done"),
            "{said:?}"
        );
        core.hear("b", "ask local done");
        core.hear("b", "resource all 1");
        assert_eq!(core.state.rscstatus(), "none");
    }
}

#[test]
fn a_giver_that_has_said_that_it_is_done_waits_and_does_not_say_it_again() {
    let mut before = giving();
    before.finish();
    assert_eq!(part(&before), Some(Part::Given));
    for done_is_heard in [true, false] {
        let mut core = successor(&before, &[], &[]);
        heard(&mut core, "local");
        core.wait(60_000);
        let said = core.said();
        assert!(
            !said
                .iter()
                .any(|line| line.starts_with("start a") || line == "ask local done"),
            "{said:?}"
        );
        if done_is_heard {
            core.hear("b", "ask local done");
        }
        core.hear("b", "resource all 1");
        core.wait(2_000);
        assert_eq!(core.state.rscstatus(), "none");
    }
}

/// The other side's half is over: it has begun anew, or is dead.
#[test]
fn a_standby_that_is_over_on_the_other_side_ends() {
    for before in [giving(), ready(), awaiting()] {
        let mut core = successor(&before, &["a"], &[]);
        core.event(ResourceEvent::NodeRestarted {
            node: name("b"),
            was_dead: false,
        });
        heard(&mut core, "local");
        core.finish();
        core.wait(60_000);
        core.finish();
        assert!(!told(&mut core, "ask local done"));
        assert_eq!(core.state.rscstatus(), "local");
        assert_eq!(part(&core), None);
        let mut core = successor(&before, &["a"], &[]);
        heard(&mut core, "local");
        core.dies("b");
        core.finish();
        core.wait(60_000);
        core.finish();
        assert_eq!(core.state.rscstatus(), "all", "{:?}", core.said());
    }
}

/// What the giver sent while no process received is lost for good: the log must tell that soon.
#[test]
fn a_giver_whose_word_is_lost_is_not_waited_for_long() {
    for comm_up in [false, true] {
        let mut core = successor(&awaiting(), &["a"], &[]);
        let lost = ResourceEvent::WordsLost { node: name("b") };
        if !comm_up {
            core.event(lost.clone());
        }
        heard(&mut core, "none");
        if comm_up {
            core.event(lost);
        }
        core.wait(25_000);
        let stuck = |line: &String| line.contains("stuck in an earlier one");
        assert!(core.complaints.iter().any(stuck), "{:?}", core.complaints);
    }
}

/// A Systole node ends its half when it sees the new run: nothing is left to go on with.
#[test]
fn nothing_is_kept_beside_one_of_ours() {
    let mut core = giving();
    core.is_ours("b", true);
    assert_eq!(core.state.open_standby(), None);
    let strange = OpenStandby::from_text("gives local c 1.1");
    core.state.keep_standby(strange.unwrap());
    assert!(!core.state.standby.is_continued());
}

/// No node receives the successor yet, and the giver is done meanwhile. Lab: random trouble, seed
/// 1795926816732.
#[test]
fn what_the_giver_says_before_communication_is_up_counts() {
    for before in [ready(), awaiting()] {
        let mut core = successor(&before, &["a"], &[]);
        core.status("b", NodeStatus::Init, NodeStatus::Active);
        core.hear("b", "ask local done");
        core.input(ResourceInput::CommUp);
        let said = core.said();
        assert!(said.contains(&"start b".to_owned()), "{said:?}");
        core.finish();
        core.hear("b", "resource none 1");
        assert!(told(&mut core, "ask local done"));
        assert_eq!(core.state.rscstatus(), "all");
    }
    // Not that of a giver that has died or begun anew since.
    let mut core = successor(&awaiting(), &["a"], &[]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.hear("b", "ask local done");
    core.dies("b");
    core.returns("b");
    core.said();
    core.input(ResourceInput::CommUp);
    assert!(!told(&mut core, "start b"));
}

/// A successor that yields in the standby releases everything, and the standby ends with it: its
/// new run has none to wait for.
#[test]
fn a_new_run_does_not_wait_for_a_standby_that_a_release_has_ended() {
    for before in [ready(), awaiting()] {
        let mut core = successor(&before, &["a"], &[]);
        heard(&mut core, "local");
        core.hear("b", "resource foreign mach_down");
        core.finish();
        let said = core.said();
        assert!(said.contains(&"generation".to_owned()), "{said:?}");
        core.input(ResourceInput::CommUp);
        core.hear("b", "resource all 1");
        core.finish();
        assert_eq!(core.state.rscstatus(), "none");
    }
}
