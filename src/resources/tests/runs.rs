//! What ends with the run of another node, and what does not.

use super::*;
use crate::protocol::partition::YIELD;

const ON: AutoFailback = AutoFailback::On;
const OFF: AutoFailback = AutoFailback::Off;

fn key(word: &str) -> GroupKey {
    GroupKey::new(word)
}

fn running(core: &Core) -> Vec<String> {
    core.state.held_groups().map(ToString::to_string).collect()
}

/// `b` begins anew within its dead time.
fn restarts(core: &mut Core) {
    core.event(ResourceEvent::NodeRestarted {
        node: name("b"),
        was_dead: false,
    });
    core.status("b", NodeStatus::Active, NodeStatus::Up);
    core.status("b", NodeStatus::Up, NodeStatus::Active);
}

/// `a` is ours by a change of haresources; a legacy node ran it and has just stopped it for us.
#[test]
fn what_a_legacy_node_gives_us_needs_no_person_who_confirms_it() {
    let mut core = Core::with(&settings(&["a", "b"], OFF));
    core.state.resume(HoldingSet::NONE, []);
    core.state.note_changed_owners([], [key("a")], false);
    core.state.finish([]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource all 1");
    core.wait(60_000);
    assert!(!core.said().contains(&"start a".to_owned()));
    core.hear("b", "ask foreign me");
    core.hear("b", "resource local 0 standby");
    core.hear("b", "ask foreign done");
    core.finish();
    assert_eq!(running(&core), ["a"], "{:?}", core.said());
}

/// Haresources was changed beside a legacy node, which reports with the same word that it holds its
/// own groups; the foreign group is to go back.
#[test]
fn what_is_a_legacy_nodes_by_now_is_offered_although_it_holds_its_own() {
    let mut core = Core::with(&settings(&["a", "b"], ON));
    core.state.resume(HoldingSet::FOREIGN, [key("b")]);
    core.state.note_changed_owners([], [], true);
    core.state.finish([]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource local 1");
    core.finish();
    core.wait(60_000);
    let said = core.said();
    assert!(said.contains(&"ask foreign me".to_owned()), "{said:?}");
}

/// A Systole node whose file differed is followed by a legacy one, which tells nothing about its
/// file.
#[test]
fn how_the_files_differ_is_forgotten_with_the_run_that_said_so() {
    let mut core = Core::stable(OFF);
    core.event(ResourceEvent::HaresourcesCompared {
        node: name("b"),
        differing: Some(None),
    });
    core.standby(HoldingSet::LOCAL);
    assert_eq!(core.said(), [""; 0], "refused");
    restarts(&mut core);
    core.hear("b", "starting");
    core.hear("b", "resource local 1");
    core.said();
    core.standby(HoldingSet::LOCAL);
    assert_eq!(core.said(), ["ask local me"]);
}

/// What it can do is told with each new run.
#[test]
fn a_legacy_node_in_the_place_of_one_of_ours_is_treated_as_such() {
    let mut core = Core::stable(OFF);
    for words in [Some("v1.yield.echo"), None] {
        core.event(ResourceEvent::Speaks {
            node: name("b"),
            words: words.map(str::to_owned),
        });
        let peer = core.state.other.peer(&name("b")).unwrap();
        let known = [peer.is_systole(), peer.resolves_split_brain()];
        assert_eq!(known, [words.is_some(); 2]);
    }
}

/// `b` uses `auto_failback legacy`, has asked for its group, and dies before it has started it.
#[test]
fn what_was_given_by_its_key_is_ours_again_when_the_node_is_gone() {
    for leaves in [false, true] {
        let mut core = Core::alone(ON);
        core.returns("b");
        core.hear("b", "ip-request b");
        core.finish();
        assert!(core.said().contains(&"ip-request-resp b b yes".to_owned()));
        if leaves {
            core.hear("b", "shutdone");
        } else {
            core.dies("b");
        }
        core.wait(2_000);
        core.finish();
        assert_eq!(running(&core), ["a", "b"], "leaves: {leaves}");
    }
}

/// Its next run may start the group with or without a question: as long as it does not report,
/// nothing is started beside it. When it reports, the group is our duty as before.
#[test]
fn what_was_given_by_its_key_waits_for_the_word_of_the_nodes_next_run() {
    let given = || {
        let mut core = Core::alone(OFF);
        core.returns("b");
        core.hear("b", "ip-request b");
        core.finish();
        restarts(&mut core);
        core.wait(60_000);
        assert!(!core.said().contains(&"start b".to_owned()));
        core
    };
    let mut core = given();
    core.hear("b", "ip-request b");
    assert!(core.said().contains(&"ip-request-resp b b no".to_owned()));
    core.wait(60_000);
    assert!(!core.said().contains(&"start b".to_owned()));
    core.dies("b");
    core.wait(2_000);
    core.finish();
    assert_eq!(running(&core), ["a", "b"]);
    // It uses another model now.
    let mut core = given();
    core.hear("b", "starting");
    core.hear("b", "resource none 1");
    core.wait(2_000);
    core.finish();
    assert_eq!(running(&core), ["a", "b"]);
}

/// We began anew and the other node was not active yet, or did not report: no node is left to agree
/// with.
#[test]
fn a_start_in_which_the_other_node_dies_comes_to_its_end() {
    // Everything runs here already.
    let mut core = Core::with(&settings(&["a", "b"], OFF));
    core.state.resume(HoldingSet::ALL, [key("a"), key("b")]);
    core.state.finish([]);
    core.status("b", NodeStatus::Init, NodeStatus::Up);
    core.input(ResourceInput::CommUp);
    core.wait(60_000);
    core.dies("b");
    core.finish();
    assert_eq!(core.state.rscstatus(), "all");
    // The rest of a release is still being stopped.
    let mut core = Core::with(&settings(&["a", "b"], OFF));
    core.state.resume(HoldingSet::FOREIGN, [key("a"), key("b")]);
    core.state.finish([]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "starting");
    core.hear("b", "resource none 0");
    core.wait(20_000);
    core.dies("b");
    core.finish();
    assert_eq!(core.state.rscstatus(), "all");
    assert_eq!(running(&core), ["a", "b"]);
}

/// Our message that we are being stopped was lost in one direction: the other node waits for us to
/// begin anew.
#[test]
fn a_node_that_is_being_stopped_says_so_each_time_that_it_is_given_up() {
    let mut core = Core::with(&settings(&["a", "b"], OFF));
    core.event(ResourceEvent::NodeStatusChanged {
        node: name("b"),
        old: NodeStatus::Up,
        new: NodeStatus::Active,
        message: Message::new("status").with(field::SYSTOLE, YIELD),
    });
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource local 1");
    core.finish();
    core.stop();
    core.said();
    let gives_up = |core: &mut Core| {
        core.event(ResourceEvent::GivenUp {
            node: name("b"),
            weight: Weight::default(),
            mutual: false,
            earlier_run: false,
        });
        core.said()
    };
    let shutdown = "resource local 0 shutdown";
    assert_eq!(gives_up(&mut core), ["drop addresses", shutdown]);
    assert_eq!(gives_up(&mut core), [shutdown]);
    assert_eq!(gives_up(&mut core), [shutdown]);
    core.finish();
    core.said();
    assert_eq!(gives_up(&mut core), [""; 0], "it has said `shutdone`");
}

/// We are not received; the start of what we have taken again, because no node serves it, fails at
/// first.
#[test]
fn what_nobody_serves_is_tried_again() {
    let mut core = Core::with(&settings(&["a", "b"], OFF));
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    let beats = |core: &mut Core, seconds: u64, runs: u32| {
        for _ in 0..seconds {
            core.wait(1_000);
            core.event(ResourceEvent::GivenUp {
                node: name("b"),
                weight: Weight {
                    before: 0,
                    runs,
                    foreign: Some(runs),
                },
                mutual: false,
                earlier_run: true,
            });
        }
        core.said()
    };
    let starts = |said: &[String]| said.iter().filter(|line| *line == "start a").count();
    assert_eq!(starts(&beats(&mut core, 12, 0)), 1);
    core.fail_start();
    core.finish();
    assert_eq!(starts(&beats(&mut core, 20, 0)), 0, "not at once");
    // The other node is about to start it.
    assert_eq!(starts(&beats(&mut core, 20, 1)), 0);
    assert_eq!(starts(&beats(&mut core, 5, 0)), 0);
    let mut core = Core::with(&settings(&["a", "b"], OFF));
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    assert_eq!(starts(&beats(&mut core, 12, 0)), 1);
    core.fail_start();
    core.finish();
    assert_eq!(starts(&beats(&mut core, 60, 0)), 1, "ever more rarely");
    core.fail_start();
    assert_eq!(starts(&beats(&mut core, 55, 0)), 0);
    assert_eq!(starts(&beats(&mut core, 20, 0)), 1);
    core.finish();
    assert_eq!(running(&core), ["a", "b"]);
    assert_eq!(starts(&beats(&mut core, 300, 0)), 0);
}

/// `b`, which `a` runs for it since haresources was changed, has a legacy owner.
fn runs_what_belongs_to_a_legacy_node() -> Core {
    let mut core = Core::with(&settings(&["a", "b"], OFF));
    core.state.resume(HoldingSet::LOCAL, [key("a"), key("b")]);
    core.state.note_changed_owners([key("b")], [], false);
    core.state.finish([]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource local 1");
    core.wait(60_000);
    assert_eq!(running(&core), ["a", "b"], "it starts nothing by itself");
    core.said();
    restarts(&mut core);
    core.said();
    core.hear("b", "starting");
    core
}

/// It takes its own at its start unless a node reports that it holds them.
#[test]
fn what_is_left_to_a_legacy_owner_is_let_go_when_that_starts() {
    let mut core = runs_what_belongs_to_a_legacy_node();
    assert_eq!(core.said(), ["starting"], "its word comes before ours");
    core.hear("b", "resource none 0");
    let said = core.said();
    assert_eq!(said, ["drop addresses", "resource all 0 standby", "stop b"]);
    core.finish();
    assert_eq!(core.said(), ["resource local 1"]);
    assert_eq!(running(&core), ["a"]);
}

/// `heartbeat -r` there: it goes on with what it held, and starts nothing.
#[test]
fn what_is_left_to_a_legacy_owner_that_goes_on_runs_on() {
    let mut core = runs_what_belongs_to_a_legacy_node();
    assert_eq!(core.said(), ["starting"]);
    core.hear("b", "resource local 1");
    assert!(core.said().contains(&"resource local 1".to_owned()));
    core.wait(60_000);
    assert_eq!(running(&core), ["a", "b"]);
}

/// It answers nothing: its start goes on when it receives what we hold.
#[test]
fn a_legacy_owner_that_does_not_answer_is_answered_in_the_end() {
    let mut core = runs_what_belongs_to_a_legacy_node();
    core.wait(5_000);
    let said = core.said();
    assert!(said.contains(&"drop addresses".to_owned()), "{said:?}");
    assert!(
        said.contains(&"resource all 0 standby".to_owned()),
        "{said:?}"
    );
    core.finish();
    assert_eq!(running(&core), ["a"]);
}

/// A legacy node has no script for systemd units of its own.
#[test]
fn beside_a_legacy_node_units_are_told() {
    let mut settings = settings(&["a", "b"], AutoFailback::On);
    settings.groups[0]
        .resources
        .push("systemd::web.service".to_owned());
    let told = |settings: &NodeSettings, ours: bool| {
        let mut core = Core::with(settings);
        let message = Message::new("status");
        let message = if ours {
            message.with(field::SYSTOLE, "1")
        } else {
            message
        };
        core.event(ResourceEvent::NodeStatusChanged {
            node: name("b"),
            old: NodeStatus::Up,
            new: NodeStatus::Active,
            message,
        });
        core.complaints
            .iter()
            .any(|it| it.contains("it can start systemd::web.service only"))
    };
    assert!(told(&settings, false));
    assert!(!told(&settings, true));
    settings.groups[0].resources.pop();
    assert!(!told(&settings, false));
}
