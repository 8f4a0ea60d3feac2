use super::*;
use crate::protocol::partition::Weight;
use crate::protocol::question::ECHO;

const LEGACY: AutoFailback = AutoFailback::Legacy;

#[test]
fn alone_it_starts_its_groups() {
    let mut core = Core::with(&settings(&["a", "b"], LEGACY));
    core.dies("b");
    core.input(ResourceInput::CommUp);
    core.finish();
    let said = core.said();
    assert!(said.contains(&"start a".to_owned()), "{said:?}");
    assert!(said.contains(&"start b".to_owned()), "{said:?}");
    assert!(!said.iter().any(|line| line.starts_with("resource")));
    assert_eq!(core.state.rscstatus(), "none", "the legacy answer");
    assert_eq!(core.state.held_groups().count(), 2);
}

#[test]
fn with_another_up_it_asks() {
    let mut core = Core::with(&settings(&["a", "b"], LEGACY));
    core.status("b", NodeStatus::Up, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    assert_eq!(core.said(), ["ip-request a"]);
    core.wait(10_000);
    assert_eq!(core.said(), ["ip-request a"], "nobody answered");
    core.hear("b", "ip-request-resp a no");
    assert_eq!(core.said(), ["hook ip-request-resp", "start a"]);
}

/// This node starts fast and was active before the other's first status came: the other ran the
/// group, and so did we.
#[test]
fn a_peer_without_a_status_word_yet_is_asked() {
    let mut core = Core::with(&settings(&["a", "b"], LEGACY));
    core.input(ResourceInput::CommUp);
    assert_eq!(core.said(), ["ip-request a"]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    assert_eq!(
        core.said(),
        ["ip-request a"],
        "it may not have heard the first one"
    );
    core.hear("b", "ip-request-resp a yes");
    assert_eq!(core.said(), ["hook ip-request-resp", "start a"]);
    core.finish();
    core.dies("b");
    assert!(core.said().contains(&"start b".to_owned()));
}

#[test]
fn a_group_is_handed_over_only_when_it_is_stopped() {
    let mut core = Core::with(&settings(&["a", "b"], LEGACY));
    core.dies("b");
    core.input(ResourceInput::CommUp);
    core.finish();
    core.returns("b");
    core.said();
    core.hear("b", "ip-request b");
    assert_eq!(core.said(), ["hook ip-request", "stop b"]);
    core.finish();
    assert_eq!(
        core.said(),
        ["ip-request-resp b b yes", "hook ip-request-resp"]
    );
    core.hear("b", "ip-request b");
    let said = core.said();
    assert!(
        said.contains(&"ip-request-resp b b no".to_owned()),
        "{said:?}"
    );
}

/// A legacy owner that counted us as not active when it came back asks no node: it answers itself,
/// as it does when it is alone. In the lab this made two owners.
#[test]
fn an_owner_that_answers_itself_gets_its_group() {
    let mut core = Core::with(&settings(&["a", "b"], LEGACY));
    core.dies("b");
    core.input(ResourceInput::CommUp);
    core.finish();
    core.returns("b");
    core.said();
    core.hear_answer_to_itself("b", "b", "yes");
    let said = core.said();
    assert!(said.contains(&"stop b".to_owned()), "{said:?}");
    core.finish();
    let said = core.said();
    assert!(!said.contains(&"start b".to_owned()), "{said:?}");
    assert!(
        !core
            .state
            .held_groups()
            .any(|key| *key == GroupKey::new("b"))
    );
}

/// A message of a node about a group that is ours by haresources, or that does not run here, stops
/// nothing; nor does any message of a node that counts as dead.
#[test]
fn an_answer_to_itself_stops_only_the_group_of_that_owner() {
    let mut core = Core::with(&settings(&["a", "b"], LEGACY));
    core.dies("b");
    core.input(ResourceInput::CommUp);
    core.finish();
    core.said();
    core.hear_answer_to_itself("b", "b", "yes");
    core.returns("b");
    core.said();
    core.hear_answer_to_itself("b", "a", "yes");
    core.hear_answer_to_itself("b", "b", "no");
    let said = core.said();
    assert!(
        !said.iter().any(|line| line.starts_with("stop")),
        "{said:?}"
    );
}

/// Where nodes report what runs where, the same messages are sent at each start: they mean nothing.
#[test]
fn an_answer_to_itself_means_nothing_beside_reports() {
    let mut core = Core::with(&settings(&["a", "b"], AutoFailback::Off));
    core.dies("b");
    core.input(ResourceInput::CommUp);
    core.finish();
    core.returns("b");
    core.said();
    core.hear_answer_to_itself("b", "b", "yes");
    let said = core.said();
    assert!(
        !said.iter().any(|line| line.starts_with("stop")),
        "{said:?}"
    );
}

/// The addresses are removed at once, and a start that is under way begins no further script: the
/// owner starts the group now.
#[test]
fn an_owner_that_answers_itself_stops_a_start_under_way() {
    let mut core = Core::with(&settings(&["a", "b"], LEGACY));
    core.input(ResourceInput::CommUp);
    core.said();
    core.dies("b");
    let start = core.in_hand();
    assert!(core.state.groups.stands(start));
    core.returns("b");
    core.said();
    core.hear_answer_to_itself("b", "b", "yes");
    assert!(!core.state.groups.stands(start), "begins another script");
    let said = core.said();
    assert!(said.contains(&"drop addresses".to_owned()), "{said:?}");
    core.finish();
    assert!(
        !core
            .state
            .held_groups()
            .any(|key| *key == GroupKey::new("b"))
    );
}

/// Two groups of each node, of which the first of `b` is being started when `b` lives again and
/// then is gone for good.
#[test]
fn a_takeover_that_was_cut_short_is_begun_again() {
    let mut settings = settings(&["a", "b"], LEGACY);
    for (key, owner) in [("a2", "a"), ("b2", "b")] {
        settings.groups.push(ResourceGroup {
            key: GroupKey::new(key),
            owner: name(owner),
            resources: vec![key.to_owned()],
        });
    }
    for leaves in [false, true] {
        let mut core = Core::with(&settings);
        core.dies("b");
        core.input(ResourceInput::CommUp);
        core.returns("b");
        if leaves {
            core.hear("b", "shutdone");
        } else {
            core.dies("b");
        }
        core.finish();
        let held = core.state.held_groups().count();
        assert_eq!(held, 4, "{leaves}: {:?}", core.said());
    }
}

/// It does not receive us, so no request reaches it, and it serves our groups.
#[test]
fn whoever_is_declared_dead_yields() {
    let mut core = Core::with(&settings(&["a", "b"], LEGACY));
    core.is_ours("b", false);
    core.status("b", NodeStatus::Up, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "ip-request-resp a yes");
    core.finish();
    core.said();
    core.hear("b", "stonith a n_stnth");
    let said = core.said();
    assert_eq!(said[..2], ["drop addresses", "generation"], "{said:?}");
    core.finish();
    assert_eq!(core.state.held_groups().count(), 0);
}

/// Nothing of us was received since the successor began, and the other node serves our group.
#[test]
fn a_successor_whose_predecessor_was_declared_dead_yields() {
    let mut core = Core::with(&settings(&["a", "b"], LEGACY));
    core.state.resume(HoldingSet::NONE, [GroupKey::new("a")]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.said();
    core.event(ResourceEvent::GivenUp {
        node: name("b"),
        weight: Weight {
            before: 0,
            runs: 1,
            foreign: Some(1),
        },
        mutual: false,
        earlier_run: true,
    });
    let said = core.said();
    assert!(said.contains(&"drop addresses".to_owned()), "{said:?}");
    core.finish();
    assert_eq!(core.state.held_groups().count(), 0);
}

/// A legacy owner asks once. What we release beside it is offered to it, because it does not ask
/// again.
#[test]
fn a_release_of_everything_gives_a_legacy_owner_its_groups() {
    for ours in [false, true] {
        let mut core = Core::with(&settings(&["a", "b"], LEGACY));
        core.dies("b");
        core.input(ResourceInput::CommUp);
        core.finish();
        core.is_ours("b", ours);
        core.event(ResourceEvent::ReturnedAfterPartition {
            node: name("b"),
            yields: false,
        });
        core.status("b", NodeStatus::Dead, NodeStatus::Active);
        core.finish();
        core.input(ResourceInput::CommUp);
        let said = core.said();
        let offered = said.contains(&"ip-request-resp b b yes".to_owned());
        assert_eq!(offered, !ours, "{said:?}");
    }
}

/// The owner's only request, or its answer to itself, came while no process received anything.
#[test]
fn a_successor_gives_a_legacy_owner_what_runs_on_here() {
    for ours in [false, true] {
        let mut core = Core::with(&settings(&["a", "b"], LEGACY));
        let both = [GroupKey::new("a"), GroupKey::new("b")];
        core.state.resume(HoldingSet::NONE, both);
        core.is_ours("b", ours);
        core.status("b", NodeStatus::Init, NodeStatus::Active);
        core.input(ResourceInput::CommUp);
        core.finish();
        let given = core.said().contains(&"ip-request-resp b b yes".to_owned());
        assert_eq!(given, !ours, "one of ours asks again");
    }
}

/// The node that is being taken over comes back in the middle. No report will ever tell what it
/// runs, so no pause ends in a start: the owner asks. Simulator: seed 218 with isolation.
#[test]
fn what_is_not_yet_taken_when_the_node_returns_is_asked_for() {
    let mut settings = settings(&["a", "b"], LEGACY);
    for (key, owner) in [("a2", "a"), ("b2", "b")] {
        settings.groups.push(ResourceGroup {
            key: GroupKey::new(key),
            owner: name(owner),
            resources: vec![key.to_owned()],
        });
    }
    let mut core = Core::with(&settings);
    core.dies("b");
    core.input(ResourceInput::CommUp);
    core.said();
    core.returns("b");
    let asked = core.said();
    assert!(asked.contains(&"ip-request a2".to_owned()), "{asked:?}");
    core.finish();
    core.wait(60_000);
    core.finish();
    let said = core.said();
    assert!(
        !said.iter().any(|line| line.starts_with("start")),
        "{said:?}"
    );
    core.hear("b", "ip-request-resp a2 yes");
    assert_eq!(core.said(), ["hook ip-request-resp", "start a2"]);
    // It dies after all: everything is taken.
    core.finish();
    core.dies("b");
    core.finish();
    assert_eq!(core.state.held_groups().count(), 4);
}

/// The daemon was killed while it stopped once more what it had given to the owner. Simulator: seed 921128
/// with legacy failback.
#[test]
fn a_successor_starts_nothing_that_was_being_stopped_and_did_not_run() {
    let mut core = Core::with(&settings(&["a", "b"], LEGACY));
    core.state.resume(HoldingSet::NONE, [GroupKey::new("a")]);
    core.state.finish([GroupKey::new("b")]);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.finish();
    let said = core.said();
    assert!(
        !said.iter().any(|line| line.starts_with("start")),
        "{said:?}"
    );
}

#[test]
fn with_more_nodes_it_waits_for_the_one_that_ran_it() {
    let mut core = Core::with(&settings(&["a", "b", "c"], LEGACY));
    core.status("b", NodeStatus::Up, NodeStatus::Active);
    core.status("c", NodeStatus::Up, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.said();
    core.hear("b", "ip-request-resp a no");
    assert_eq!(core.said(), ["hook ip-request-resp"]);
    core.hear("c", "ip-request-resp a yes");
    assert_eq!(core.said(), ["hook ip-request-resp", "start a"]);
}

/// The group was asked for while everything was released to begin anew, and is stopped twice. Simulator:
/// seed 2204053 with maintenance.
#[test]
fn the_process_ends_after_the_last_script() {
    let mut core = Core::with(&settings(&["a", "b"], LEGACY));
    core.dies("b");
    core.input(ResourceInput::CommUp);
    core.finish();
    core.returns("b");
    core.event(ResourceEvent::OwnHeartbeatLost {
        silent: Duration::from_secs(9),
    });
    core.input(ResourceInput::CommUp);
    core.hear("b", "ip-request a");
    core.end(GroupOutcome::Stopped);
    core.stop();
    let again = core.said();
    assert_eq!(again.iter().filter(|line| *line == "stop a").count(), 2);
    // That of `b`; the second one of `a` takes longer.
    core.end(GroupOutcome::Stopped);
    core.wait(10_000);
    core.input(ResourceInput::ClientsStopped);
    core.wait(10_000);
    assert!(!core.said().contains(&"exit".to_owned()));
    core.finish();
    core.wait(1_000);
    assert!(core.said().contains(&"exit".to_owned()));
}

#[test]
fn standby_is_refused() {
    let mut core = Core::with(&settings(&["a", "b"], LEGACY));
    core.status("b", NodeStatus::Up, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.said();
    core.standby(HoldingSet::ALL);
    core.hear("b", "ask all me");
    assert_eq!(core.said(), [""; 0]);
}

/// `b` is active and echoes; we have asked for our group.
fn asking() -> Core {
    let mut core = Core::with(&settings(&["a", "b"], LEGACY));
    core.event(ResourceEvent::NodeStatusChanged {
        node: name("b"),
        old: NodeStatus::Up,
        new: NodeStatus::Active,
        message: Message::new("status").with(field::SYSTOLE, ECHO),
    });
    core.input(ResourceInput::CommUp);
    core.said.retain(|line| line != "hook status");
    assert_eq!(core.said(), ["ip-request a"]);
    core
}

/// An answer of `b`, sent after it received our request `heard`.
fn answer(core: &mut Core, weown: &str, heard: Option<&str>) {
    let mut message = Message::new("ip-request-resp")
        .with(field::DEST, "a")
        .with(field::IPADDR, "a")
        .with(field::WEOWN, weown)
        .with(field::OK, "OK");
    if let Some(heard) = heard {
        message.set_text(field::HEARD, heard);
    }
    core.event(ResourceEvent::Message {
        from: name("b"),
        own: false,
        message,
    });
}

/// `b` declined a request of an earlier run of ours, which released the group. Then it took the
/// group, and its answer, lost at first, came when the next run of ours had asked. Simulator: seed
/// 1400418.
#[test]
fn an_answer_to_an_earlier_request_grants_nothing() {
    for heard in [None, Some("0.0"), Some("0.9"), Some("nonsense")] {
        for weown in ["yes", "no"] {
            let mut core = asking();
            answer(&mut core, weown, heard);
            assert_eq!(core.said(), ["hook ip-request-resp"], "{heard:?} {weown}");
            answer(&mut core, "yes", Some("1.1"));
            assert_eq!(core.said(), ["hook ip-request-resp", "start a"]);
        }
    }
}

#[test]
fn only_the_answer_to_the_newest_request_counts() {
    let mut core = asking();
    core.wait(10_000);
    assert_eq!(core.said(), ["ip-request a"]);
    answer(&mut core, "no", Some("1.1"));
    assert_eq!(core.said(), ["hook ip-request-resp"]);
    answer(&mut core, "no", Some("1.2"));
    assert_eq!(core.said(), ["hook ip-request-resp", "start a"]);
}

#[test]
fn our_answers_name_the_newest_request() {
    let mut core = asking();
    answer(&mut core, "no", Some("1.1"));
    core.finish();
    core.hear("b", "ip-request b");
    assert_eq!(
        core.heard_last.as_deref(),
        Some("1.1"),
        "not run here: at once"
    );
    core.hear("b", "ip-request a");
    // It has begun anew and asks again while our scripts run.
    core.hear("b", "ip-request a");
    core.finish();
    assert!(core.said().contains(&"ip-request-resp b a yes".to_owned()));
    assert_eq!(core.heard_last.as_deref(), Some("1.3"));
}

#[test]
fn a_legacy_node_is_told_nothing_it_does_not_know() {
    let mut core = Core::with(&settings(&["a", "b"], LEGACY));
    core.status("b", NodeStatus::Up, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "ip-request b");
    assert!(core.said().contains(&"ip-request-resp b b no".to_owned()));
    assert_eq!(core.heard_last, None);
}

/// A node that is being stopped waits for a script in hand, and asks for nothing. A node that was
/// not received may run the rest as well: the addresses are removed at once. Simulator:
/// legacy-failback, seed 3000040.
#[test]
fn a_stop_does_not_wait_beside_a_node_that_was_not_heard() {
    let mut core = Core::with(&settings(&["a", "b"], LEGACY));
    core.dies("b");
    core.input(ResourceInput::CommUp);
    // The script of `a` has ended, that of `b` is in hand.
    core.end(GroupOutcome::Started);
    core.stop();
    let said = core.said();
    assert!(
        !said.iter().any(|line| line.starts_with("stop")),
        "{said:?}"
    );
    core.returns("b");
    core.finish();
    let said = core.said();
    assert!(said.contains(&"stop a".to_owned()), "{said:?}");
    assert!(said.contains(&"stop b".to_owned()), "{said:?}");
    assert!(
        said.iter().any(|line| *line == "drop addresses"),
        "{said:?}"
    );
}

/// `a` restarted in place with both groups running; the script of `b` carries out an order of the
/// earlier process. `a` is being stopped, and asks for nothing any more.
fn successor_with_a_script_in_hand() -> Core {
    let mut core = Core::with(&settings(&["a", "b"], LEGACY));
    core.state
        .resume(HoldingSet::NONE, ["a", "b"].map(GroupKey::new));
    core.state.finish([GroupKey::new("b")]);
    core.wait(1);
    assert!(core.said().contains(&"start b".to_owned()));
    core
}

fn releases_at_once(core: &mut Core) {
    let said = core.said();
    for line in ["drop addresses", "stop a"] {
        assert!(said.iter().any(|it| it == line), "{line}: {said:?}");
    }
}

/// The other node took our groups while we did not run, and restarted in place as well: it comes by
/// `init` and `up`, and we never declared it dead. It asks only for its own groups. Simulator:
/// legacy-failback, seed 90001209.
#[test]
fn a_stop_does_not_wait_beside_a_node_that_goes_on_with_what_it_took() {
    let mut core = successor_with_a_script_in_hand();
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "ip-request-resp a no");
    // That of `a` comes to its end at once.
    core.in_flight.rotate_left(1);
    core.end(GroupOutcome::Started);
    core.stop();
    assert!(!core.said().contains(&"stop a".to_owned()));
    core.event(ResourceEvent::NodeRestarted {
        node: name("b"),
        was_dead: false,
    });
    core.status("b", NodeStatus::Up, NodeStatus::Active);
    releases_at_once(&mut core);
}

/// It answered every request and is active all along, and does not receive us any more: it declares
/// us dead.
#[test]
fn a_stop_does_not_wait_beside_a_node_that_takes_ours() {
    let mut core = successor_with_a_script_in_hand();
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "ip-request-resp a no");
    core.in_flight.rotate_left(1);
    core.end(GroupOutcome::Started);
    core.stop();
    assert!(!core.said().contains(&"stop a".to_owned()));
    core.hear("b", "stonith a n_stnth");
    releases_at_once(&mut core);
}

/// The release goes on for as long as the script of `b2` takes, and the other node is back
/// meanwhile: it serves what is stopped here already.
#[test]
fn a_release_lets_the_other_node_have_what_is_stopped() {
    let mut settings = settings(&["a", "b"], LEGACY);
    let b2 = ResourceGroup {
        key: GroupKey::new("b2"),
        owner: name("b"),
        resources: vec!["b2".to_owned()],
    };
    settings.groups.push(b2);
    let mut core = Core::with(&settings);
    core.dies("b");
    core.input(ResourceInput::CommUp);
    // `b2` is the last, and its script hangs.
    core.end(GroupOutcome::Started);
    core.end(GroupOutcome::Started);
    core.returns("b");
    core.stop();
    let said = core.said();
    assert!(said.contains(&"stop a".to_owned()), "{said:?}");
    core.hear("b", "ip-request b");
    assert!(
        !core
            .said()
            .iter()
            .any(|it| it.starts_with("ip-request-resp")),
        "not stopped yet"
    );
    core.in_flight.rotate_left(1);
    core.end(GroupOutcome::Stopped);
    core.in_flight.rotate_left(1);
    core.end(GroupOutcome::Stopped);
    core.said();
    core.hear("b", "ip-request b");
    core.hear("b", "ip-request b2");
    let said = core.said();
    let answers: Vec<_> = said
        .iter()
        .filter(|it| it.starts_with("ip-request-resp"))
        .collect();
    assert_eq!(answers, ["ip-request-resp b b no"], "{said:?}");
    core.finish();
    assert!(core.said().contains(&"shutdone".to_owned()));
}

/// The same, and the other node was active before we could ask it.
#[test]
fn a_stop_before_communication_is_up_does_not_wait_after_that() {
    let mut core = successor_with_a_script_in_hand();
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.stop();
    core.said();
    core.input(ResourceInput::CommUp);
    releases_at_once(&mut core);
}

/// The same, and our request is not answered when the stop is requested: it would not be repeated.
#[test]
fn a_stop_does_not_wait_behind_a_request_without_an_answer() {
    let mut core = successor_with_a_script_in_hand();
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    assert!(core.said().contains(&"ip-request a".to_owned()));
    core.stop();
    releases_at_once(&mut core);
}

/// With an answer the stop waits for the script in hand, as legacy does.
#[test]
fn a_stop_waits_for_scripts_when_the_other_node_runs_nothing_of_ours() {
    let mut core = successor_with_a_script_in_hand();
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "ip-request-resp a no");
    core.in_flight.rotate_left(1);
    core.end(GroupOutcome::Started);
    core.said();
    core.stop();
    let said = core.said();
    assert!(
        !said.iter().any(|line| line.starts_with("stop ")),
        "{said:?}"
    );
}
