use super::*;

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

/// Quick at the start, we were active before the other's first status came: it ran the group, and
/// so did we.
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
