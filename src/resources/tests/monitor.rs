//! What the monitors want: a restart, a move of the half, a stop for good; and what holds it back.

use std::collections::BTreeMap;

use super::*;
use crate::protocol::monitor::{Ailment, Then};

const MOVES: &str = "ask local me";

/// The window of both groups, in milliseconds.
const WINDOW: u64 = 3_600_000;

fn wants(core: &mut Core, restart: bool, gives_up: Option<Then>) {
    let wants = Ailment {
        resource: "nginx".to_owned(),
        restart,
        gives_up,
    };
    says(core, (restart || gives_up.is_some()).then_some(wants));
}

fn says(core: &mut Core, wants: Option<Ailment>) {
    let group = GroupKey::new("a");
    core.input(ResourceInput::MonitorsSay { group, wants });
}

/// A settled pair; `ours`: the other node is a Systole node.
fn pair_with(ours: bool, model: AutoFailback) -> Core {
    let window = Duration::from_millis(WINDOW);
    let keys = ["a", "b"].map(GroupKey::new);
    let settings = NodeSettings {
        monitors: keys
            .map(|key| (key, window))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        ..settings(&["a", "b"], model)
    };
    let mut core = Core::with(&settings);
    core.is_ours("b", ours);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource local 1");
    core.finish();
    core.said();
    core
}

fn pair() -> Core {
    pair_with(true, AutoFailback::On)
}

fn offers(core: &mut Core) -> usize {
    let said = core.said();
    said.iter().filter(|line| *line == MOVES).count()
}

/// The other node takes what was offered.
fn taken(core: &mut Core) {
    core.hear("b", "ask local other");
    assert!(core.said().contains(&"stop a".to_owned()));
    core.finish();
    assert!(core.said().contains(&"ask local done".to_owned()));
    core.hear("b", "resource all 1");
    core.hear("b", "ask local done");
    core.said();
    assert_eq!(core.state.rscstatus(), "none");
}

#[test]
fn a_restart_is_ordered_once_for_each_wish() {
    for ours in [true, false] {
        let mut core = pair_with(ours, AutoFailback::Off);
        wants(&mut core, true, None);
        assert_eq!(core.said(), ["restart a"]);
        wants(&mut core, true, None);
        core.wait(10_000);
        assert_eq!(core.said(), [""; 0], "it is in hand");
        says(&mut core, None);
        core.finish();
        core.wait(60_000);
        assert_eq!(core.said(), [""; 0]);
        assert_eq!(core.state.rscstatus(), "local");
    }
}

#[test]
fn a_restart_needs_no_other_node_and_works_under_the_legacy_model() {
    let mut core = Core::alone(AutoFailback::Off);
    wants(&mut core, true, None);
    assert_eq!(core.said(), ["restart a"]);
    let mut core = Core::with(&settings(&["a", "b"], AutoFailback::Legacy));
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.dies("b");
    core.finish();
    core.said();
    wants(&mut core, true, None);
    assert_eq!(core.said(), ["restart a"]);
}

#[test]
fn frozen_nothing_is_done_and_after_the_thaw_what_is_wanted_still_is() {
    let mut core = pair();
    core.input(ResourceInput::FreezeRequested);
    wants(&mut core, true, Some(Then::Move));
    core.wait(60_000);
    assert_eq!(core.said(), [""; 0]);
    let waits = core.state.waits().join("\n");
    assert!(
        waits.contains(
            "waits to restart a resource that its monitor found failed (a): this node is frozen"
        ),
        "{waits}"
    );
    // The monitors forget it at a freeze.
    says(&mut core, None);
    core.input(ResourceInput::ThawRequested);
    core.wait(60_000);
    assert_eq!(offers(&mut core), 0);
}

#[test]
fn it_moves_once_in_its_window_also_to_a_legacy_node() {
    for ours in [true, false] {
        let mut core = pair_with(ours, AutoFailback::Off);
        wants(&mut core, false, Some(Then::Move));
        assert_eq!(offers(&mut core), 1);
        taken(&mut core);
        assert!(
            core.complaints
                .iter()
                .any(|it| it.contains("restarts did not help nginx of group a")),
            "{:?}",
            core.complaints
        );
        says(&mut core, None);
        core.wait(60_000);
        // A person brings it back, and it fails again.
        core.hear("b", "ask foreign me");
        core.said();
        core.hear("b", "ask foreign done");
        core.finish();
        core.hear("b", "resource local 1");
        core.said();
        assert_eq!(core.state.rscstatus(), "local");
        wants(&mut core, false, Some(Then::Move));
        // A Systole node where it did not fail ran it well.
        assert_eq!(offers(&mut core), usize::from(ours));
        if !ours {
            let waits = core.state.waits().join("\n");
            assert!(waits.contains("within its restart_window_s"), "{waits}");
            core.wait(WINDOW - 120_000);
            assert_eq!(offers(&mut core), 0);
            core.wait(61_000);
            assert_eq!(offers(&mut core), 1);
        }
    }
}

#[test]
fn what_failed_there_is_not_moved_back_and_not_given_back_before_its_window_is_over() {
    let mut core = pair();
    core.hear("b", "ask local me");
    core.said();
    core.hear_failed("b", "local", "b", true);
    core.finish();
    core.hear("b", "resource none 1");
    core.said();
    assert_eq!(core.state.rscstatus(), "all");
    let group = GroupKey::new("b");
    let wants = Ailment {
        resource: "nginx".to_owned(),
        restart: false,
        gives_up: Some(Then::Move),
    };
    core.input(ResourceInput::MonitorsSay {
        group: group.clone(),
        wants: Some(wants.clone()),
    });
    core.wait(WINDOW - 1_000);
    let said = core.said();
    assert!(!said.iter().any(|it| it.starts_with("ask ")), "{said:?}");
    core.input(ResourceInput::FailuresCleared(group));
    core.wait(1);
    let said = core.said();
    assert!(said.contains(&"ask foreign me".to_owned()), "{said:?}");
}

/// Its start failed there, its interface was down or its address taken: that says nothing of the service.
#[test]
fn what_came_for_another_trouble_moves_when_its_service_fails() {
    let mut core = pair();
    core.hear("b", "ask local me");
    core.said();
    core.hear_failed("b", "local", "b", false);
    core.finish();
    core.hear("b", "resource none 1");
    core.said();
    assert_eq!(core.state.rscstatus(), "all");
    assert!(!core.state.waits().join("\n").contains("failed there"));
    core.input(ResourceInput::MonitorsSay {
        group: GroupKey::new("b"),
        wants: Some(Ailment {
            resource: "nginx".to_owned(),
            restart: false,
            gives_up: Some(Then::Move),
        }),
    });
    core.wait(60_000);
    let said = core.said();
    assert!(said.contains(&"ask foreign me".to_owned()), "{said:?}");
}

#[test]
fn the_giver_names_what_goes_because_of_a_monitor() {
    let mut core = pair();
    wants(&mut core, false, Some(Then::Move));
    core.hear("b", "ask local other");
    core.finish();
    let fields = |core: &Core| {
        let done = core.done.as_ref().unwrap();
        [field::FAILED, field::AILING].map(|it| done.text(it).map(str::to_owned))
    };
    assert_eq!(fields(&core), [Some("a".to_owned()), Some("a".to_owned())]);
}

#[test]
fn without_a_node_that_can_take_it_it_stays() {
    let mut core = Core::alone(AutoFailback::Off);
    wants(&mut core, false, Some(Then::Move));
    core.wait(WINDOW);
    assert_eq!(offers(&mut core), 0);
    let mut core = pair();
    wants(&mut core, false, Some(Then::Stay));
    core.wait(WINDOW);
    assert_eq!(offers(&mut core), 0);
}

#[test]
fn a_group_that_is_stopped_for_good_stays_down_until_a_person_says_otherwise() {
    let mut core = pair();
    wants(&mut core, false, Some(Then::Stop));
    assert_eq!(core.said(), ["stop a"]);
    core.finish();
    says(&mut core, None);
    core.wait(10 * WINDOW);
    let said = core.said();
    assert!(!said.contains(&"start a".to_owned()), "{said:?}");
    assert!(!said.iter().any(|it| it.starts_with("ask ")), "{said:?}");
    assert_eq!(core.state.rscstatus(), "local", "it is held");
    assert!(
        core.state
            .remarks()
            .join("\n")
            .contains("systole clear a starts it")
    );
    core.input(ResourceInput::FailuresCleared(GroupKey::new("a")));
    core.wait(1);
    assert!(core.said().contains(&"start a".to_owned()));
    core.finish();
    assert_eq!(core.state.remarks(), [""; 0]);
}

#[test]
fn what_a_person_clears_while_it_is_stopped_for_good_is_started_after_that() {
    let mut core = pair();
    wants(&mut core, false, Some(Then::Stop));
    assert_eq!(core.said(), ["stop a"]);
    core.input(ResourceInput::FailuresCleared(GroupKey::new("a")));
    core.wait(1);
    assert_eq!(core.said(), [""; 0], "the stop goes on");
    says(&mut core, None);
    core.finish();
    core.wait(1);
    assert!(core.said().contains(&"start a".to_owned()));
    core.finish();
    assert_eq!(core.state.remarks(), [""; 0]);
}

impl Core {
    /// As `hear`, of a giver that names a group that failed there; `ailing`: its service, by a monitor.
    fn hear_failed(&mut self, from: &str, set: &str, group: &str, ailing: bool) {
        let mut message = Message::new("ask_resources")
            .with(field::RSC_HOLD, set)
            .with(field::INFO, "done")
            .with(field::FAILED, group)
            .with(field::HG, "1")
            .with(field::SEQ, &format!("{:x}", self.next_seq()));
        if ailing {
            message.set_text(field::AILING, group);
        }
        self.event(ResourceEvent::Message {
            from: name(from),
            own: false,
            message,
        });
    }
}
