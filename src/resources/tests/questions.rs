//! Which reports are answers, between nodes whose reports name the question that they answer.

use super::*;
use crate::protocol::partition::YIELD;
use crate::protocol::question::ECHO;

/// `b` is active and echoes; we have just asked, with our first message.
fn asking() -> Core {
    let mut core = Core::with(&settings(&["a", "b"], AutoFailback::On));
    core.event(ResourceEvent::NodeStatusChanged {
        node: name("b"),
        old: NodeStatus::Init,
        new: NodeStatus::Active,
        message: Message::new("status").with(field::SYSTOLE, &format!("{ECHO}.{YIELD}")),
    });
    core.input(ResourceInput::CommUp);
    assert_eq!(core.said(), ["hook status", "starting"]);
    core
}

/// A full report of `b`, sent after it received our message `heard`.
fn report(core: &mut Core, holds: &str, stable: &str, heard: Option<&str>) {
    report_with(core, holds, stable, heard, None);
}

/// The same; `b` has not taken what was given by our offer `not_taken`.
fn report_with(
    core: &mut Core,
    holds: &str,
    stable: &str,
    heard: Option<&str>,
    not_taken: Option<&str>,
) {
    let mut message = Message::new("resource")
        .with(field::RSC_HOLD, holds)
        .with(field::RTYPE, "full")
        .with(field::IS_STABLE, stable)
        .with(field::HG, "1")
        .with(field::SEQ, &format!("{:x}", core.next_seq()));
    if let Some(heard) = heard {
        message.set_text(field::HEARD, heard);
    }
    if let Some(offer) = not_taken {
        message.set_text(field::NOT_TAKEN, offer);
    }
    core.event(ResourceEvent::Message {
        from: name("b"),
        own: false,
        message,
    });
}

fn newest(core: &Core) -> String {
    format!("1.{:x}", core.own_seq)
}

/// Settled, both hold their own.
fn settled() -> Core {
    let mut core = asking();
    let heard = newest(&core);
    report(&mut core, "local", "1", Some(&heard));
    core.finish();
    core.said();
    assert_eq!(core.state.rscstatus(), "local");
    core
}

/// `b` sent it in answer to an earlier run of ours, took our group since, and the report was lost
/// at first.
#[test]
fn a_report_from_before_our_run_agrees_to_nothing() {
    for heard in [None, Some("0.0"), Some("0.9"), Some("nonsense")] {
        let mut core = asking();
        report(&mut core, "local", "1", heard);
        assert_eq!(core.said(), [""; 0], "{heard:?}");
        report(&mut core, "all", "1", Some("1.1"));
        core.finish();
        assert!(!core.said().contains(&"start a".to_owned()), "{heard:?}");
        assert_eq!(core.phase(), Phase::Stable);
    }
}

#[test]
fn what_it_claims_counts_all_the_same() {
    let mut core = asking();
    report(&mut core, "all", "1", Some("0.0"));
    core.wait(60_000);
    assert!(!core.said().contains(&"start a".to_owned()));
}

/// It never receives us: the wait ends, but not as soon as beside a node that may answer nobody.
#[test]
fn it_is_asked_until_the_patience_ends() {
    let mut core = asking();
    report(&mut core, "local", "1", Some("0.0"));
    core.wait(9_900);
    assert_eq!(core.said(), vec!["starting"; 9]);
    core.wait(50_000);
    assert!(!core.said().contains(&"start a".to_owned()));
    core.wait(15_000);
    assert!(core.said().contains(&"start a".to_owned()));
}

#[test]
fn our_reports_name_its_newest_question() {
    let mut core = settled();
    core.hear("b", "starting");
    let asked = format!("1.{:x}", core.seq);
    core.hear("b", "resource local 1");
    assert_eq!(core.heard_last, Some(asked));
}

#[test]
fn nothing_is_taken_on_an_old_word() {
    let mut core = settled();
    let before = newest(&core);
    report(&mut core, "none", "1", Some(&before));
    core.said();
    core.wait(15_000);
    assert_eq!(core.said(), ["starting"]);
    report(&mut core, "none", "1", Some(&before));
    assert_eq!(core.said(), [""; 0]);
    let asked = newest(&core);
    report(&mut core, "none", "1", Some(&asked));
    core.finish();
    assert!(core.said().contains(&"start b".to_owned()));
}

/// `b` runs nothing, and is asked about it. Returns the question too.
fn unowned_asked() -> (Core, String) {
    let mut core = settled();
    let before = newest(&core);
    report(&mut core, "none", "1", Some(&before));
    core.wait(15_000);
    core.said();
    let asked = newest(&core);
    (core, asked)
}

#[test]
fn of_two_that_ask_at_once_neither_takes_anything() {
    let (mut core, asked) = unowned_asked();
    core.hear("b", "starting");
    assert_eq!(core.said(), ["resource local 1"]);
    report(&mut core, "none", "1", Some(&asked));
    core.finish();
    assert!(!core.said().contains(&"start b".to_owned()));
    // It takes nothing in the end: we ask again.
    core.wait(15_000);
    assert!(core.said().contains(&"starting".to_owned()));
}

/// A node that received the question waits for a report of ours.
#[test]
fn a_question_that_is_withdrawn_ends_with_a_report() {
    let (mut core, asked) = unowned_asked();
    report(&mut core, "local", "1", Some(&asked));
    assert_eq!(core.said(), ["resource local 1"]);
    core.wait(60_000);
    assert_eq!(core.said(), [""; 0]);
}

#[test]
fn a_question_without_answer_is_put_again() {
    let mut core = settled();
    let before = newest(&core);
    report(&mut core, "none", "1", Some(&before));
    core.said();
    core.wait(40_000);
    assert_eq!(core.said(), ["starting", "resource local 1", "starting"]);
}

/// A standby message of `b` that answers our message `heard`.
fn standby_word(core: &mut Core, info: &str, heard: Option<&str>) {
    let mut message = Message::new("ask_resources")
        .with(field::RSC_HOLD, "local")
        .with(field::INFO, info)
        .with(field::HG, "1")
        .with(field::SEQ, &format!("{:x}", core.next_seq()));
    if let Some(heard) = heard {
        message.set_text(field::HEARD, heard);
    }
    core.event(ResourceEvent::Message {
        from: name("b"),
        own: false,
        message,
    });
}

/// The answer to the first offer was lost at first; `b` does not take the second one.
#[test]
fn an_answer_to_an_earlier_offer_moves_nothing() {
    let mut core = settled();
    core.standby(HoldingSet::LOCAL);
    assert_eq!(core.said(), ["ask local me"]);
    let first = newest(&core);
    core.wait(10_000);
    core.standby(HoldingSet::LOCAL);
    assert_eq!(core.said(), ["ask local me"]);
    let second = newest(&core);
    for heard in [None, Some("nonsense"), Some(first.as_str())] {
        standby_word(&mut core, "other", heard);
        assert_eq!(core.said(), [""; 0], "{heard:?}");
    }
    standby_word(&mut core, "other", Some(&second));
    assert_eq!(core.said(), ["resource none 0 standby", "stop a"]);
    core.finish();
    assert_eq!(core.said(), ["ask local done"]);
    standby_word(&mut core, "done", Some(&first));
    assert_eq!(core.said(), [""; 0]);
    standby_word(&mut core, "done", Some(&second));
    assert_eq!(core.said(), ["resource none 1"]);
}

#[test]
fn a_taker_names_the_offer_that_it_answers() {
    let mut core = settled();
    core.hear("b", "ask local me");
    let offer = format!("1.{:x}", core.seq);
    assert_eq!(core.said(), ["ask local other"]);
    assert_eq!(core.heard_last.take(), Some(offer.clone()));
    core.hear("b", "resource none 0 standby");
    core.hear("b", "ask local done");
    core.heard_last = None;
    core.end(GroupOutcome::Started);
    assert_eq!(core.said()[..2], ["start b", "ask local done"]);
    assert_eq!(core.heard_last_of_standby.take(), Some(offer));
}

/// The messages of a standby with our earlier process are received once more: the groups may have
/// gone back since. Simulator: revived, seed 5000483.
#[test]
fn an_offer_from_before_our_run_is_not_taken() {
    let word = |core: &mut Core, info: &str, seq: &str| {
        let ask = Message::new("ask_resources").with(field::RSC_HOLD, "local");
        let message = ask.with(field::INFO, info).with(field::HG, "1");
        core.event(ResourceEvent::Message {
            from: name("b"),
            own: false,
            message: message.with(field::SEQ, seq),
        });
    };
    for (seqs, taken) in [(["5", "7"], false), (["25", "27"], true)] {
        let mut core = asking();
        core.seq = 0x20;
        let heard = newest(&core);
        report(&mut core, "local", "1", Some(&heard));
        core.finish();
        core.said();
        word(&mut core, "me", seqs[0]);
        word(&mut core, "done", seqs[1]);
        let said = core.said();
        assert_eq!(said.contains(&"start b".to_owned()), taken, "{said:?}");
    }
}

/// `b` has declared us dead in our release, and has heard us again before it had taken anything: its
/// device was to reset us first. It does not wait for our `done`. An hour without an owner is too
/// long. Simulator: fencing, seed 350012447.
#[test]
fn what_the_taker_does_not_take_is_not_given() {
    let mut core = settled();
    core.standby(HoldingSet::LOCAL);
    let offer = newest(&core);
    standby_word(&mut core, "other", Some(&offer));
    report_with(&mut core, "local", "1", None, Some(&offer));
    core.finish();
    core.said();
    for other in [None, Some("nonsense"), Some("1.1"), Some("0.0")] {
        report_with(&mut core, "local", "1", None, other);
        assert_eq!(core.state.rscstatus(), "transition", "{other:?}");
    }
    report_with(&mut core, "local", "1", None, Some(&offer));
    assert_eq!(core.state.rscstatus(), "none");
    assert_eq!(core.said(), ["resource none 1"]);
    core.wait(30_000);
    assert_eq!(core.said().first().unwrap(), "starting");
    let question = newest(&core);
    report(&mut core, "local", "1", Some(&question));
    assert_eq!(core.said().last().unwrap(), "start a");
}

/// The other side of the same. A legacy giver cannot be told.
#[test]
fn a_giver_is_told_when_its_done_is_not_waited_for() {
    for echoes in [true, false] {
        let mut core = if echoes {
            settled()
        } else {
            Core::stable(AutoFailback::On)
        };
        standby_word(&mut core, "me", None);
        let offer = format!("1.{:x}", core.seq);
        core.state.cancel_standby();
        assert!(!core.state.duty.holds(HoldingSet::FOREIGN));
        core.complaints.clear();
        core.said();
        standby_word(&mut core, "done", None);
        let unexpected = usize::from(echoes);
        assert_eq!(core.complaints.len(), unexpected, "{:?}", core.complaints);
        let told: &[String] = if echoes { &[offer] } else { &[] };
        assert_eq!(core.not_taken, told);
        assert!(!core.said().contains(&"start b".to_owned()));
    }
}
