//! Groups whose addresses nobody reaches here: to which node they go, when, and how often.

use std::collections::BTreeSet;

use super::*;
use crate::protocol::fencing::{FenceSettings, Reach};
use crate::protocol::links::{Link, OwnLinks, TheirLinks, links_text};
use crate::protocol::settings::UnservedMove;

const DEAD_TIME: u64 = 4_000;
const MOVES: &str = "ask local me";

fn links(of_a: Link) -> OwnLinks {
    OwnLinks::from([(GroupKey::new("a"), of_a), (GroupKey::new("b"), Link::Up)])
}

/// The guard of this node has looked.
fn own(core: &mut Core, of_a: Link, removed: bool) {
    let removed: BTreeSet<GroupKey> = removed.then(|| GroupKey::new("a")).into_iter().collect();
    let links = links(of_a);
    core.input(ResourceInput::AddressesSeen { links, removed });
}

/// A heartbeat of the other node.
fn told(core: &mut Core, links: &OwnLinks) {
    core.event(ResourceEvent::LinksTold {
        node: name("b"),
        links: TheirLinks::from_text(&links_text(links)),
    });
}

/// A settled pair of Systole nodes.
fn pair(wish: UnservedMove) -> Core {
    settled(&NodeSettings {
        unserved: wish,
        ..settings(&["a", "b"], AutoFailback::On)
    })
}

fn settled(settings: &NodeSettings) -> Core {
    let mut core = Core::with(settings);
    core.is_ours("b", true);
    core.status("b", NodeStatus::Init, NodeStatus::Active);
    core.input(ResourceInput::CommUp);
    core.hear("b", "resource local 1");
    core.finish();
    core.said();
    core
}

fn capable() -> Core {
    pair(UnservedMove::ToOneThatTells)
}

fn offers(core: &mut Core) -> usize {
    let said = core.said();
    said.iter().filter(|line| *line == MOVES).count()
}

/// The other node takes what was offered.
fn taken(core: &mut Core) {
    core.hear("b", "ask local other");
    assert!(core.said().contains(&"stop a".to_owned()));
    assert_eq!(
        core.in_flight.len(),
        1,
        "nothing is given before it is stopped"
    );
    core.finish();
    assert!(core.said().contains(&"ask local done".to_owned()));
    core.hear("b", "resource all 1");
    core.hear("b", "ask local done");
    core.said();
    assert_eq!(core.state.rscstatus(), "none");
}

#[test]
fn it_moves_after_the_dead_time_when_the_other_node_has_told_meanwhile_that_it_can_serve() {
    let mut core = capable();
    told(&mut core, &links(Link::Up));
    core.wait(1_000);
    own(&mut core, Link::Down, false);
    core.wait(DEAD_TIME - 1);
    assert_eq!(offers(&mut core), 0);
    core.wait(1);
    assert_eq!(offers(&mut core), 0, "it has told nothing since");
    assert_eq!(
        core.state.waits(),
        [
            "waits to move a group to the other node whose addresses nobody reaches here (a): the other node does not \
          tell that its interfaces for the addresses of all these groups are up"
        ]
    );
    told(&mut core, &links(Link::Up));
    assert_eq!(offers(&mut core), 1);
    taken(&mut core);
    core.wait(3_600_000);
    assert_eq!(offers(&mut core), 0, "it is not here any more");
    assert_eq!(core.state.waits(), [""; 0]);
}

/// The cable that was pulled is plugged in again: the first heartbeat may be here before the guard tells that the interface is up.
#[test]
fn nothing_moves_at_the_heal_of_a_cut() {
    for stays_down in [false, true] {
        let settings = NodeSettings {
            unserved: UnservedMove::ToOneThatTells,
            fencing: FenceSettings {
                reach: Reach::Everybody,
                ..FenceSettings::default()
            },
            ..settings(&["a", "b"], AutoFailback::On)
        };
        let mut core = settled(&settings);
        own(&mut core, Link::Down, false);
        core.dies("b");
        core.wait(DEAD_TIME + 1_000);
        core.said();
        // Nothing of it was taken.
        core.event(ResourceEvent::ReturnedAfterPartition {
            node: name("b"),
            yields: false,
        });
        core.status("b", NodeStatus::Dead, NodeStatus::Active);
        core.hear("b", "resource local 1");
        told(&mut core, &links(Link::Up));
        assert_eq!(offers(&mut core), 0);
        core.wait(500);
        if !stays_down {
            own(&mut core, Link::Up, false);
        }
        core.wait(3_000);
        told(&mut core, &links(Link::Up));
        assert_eq!(offers(&mut core), usize::from(stays_down));
    }
}

#[test]
fn it_stays_when_the_interface_comes_up_in_time_or_nothing_is_better_there() {
    let mut core = capable();
    own(&mut core, Link::Down, false);
    core.wait(DEAD_TIME - 1);
    own(&mut core, Link::Up, false);
    told(&mut core, &links(Link::Up));
    core.wait(10 * DEAD_TIME);
    assert_eq!(offers(&mut core), 0);
    for worse in [Link::Down, Link::Unknown] {
        let mut core = capable();
        own(&mut core, Link::Down, false);
        core.wait(DEAD_TIME);
        told(&mut core, &links(worse));
        core.wait(10 * DEAD_TIME);
        assert_eq!(offers(&mut core), 0, "{worse:?}");
    }
    // That this node does not know where an address belongs is no failure.
    let mut core = capable();
    own(&mut core, Link::Unknown, false);
    core.wait(DEAD_TIME);
    told(&mut core, &links(Link::Up));
    assert_eq!(offers(&mut core), 0);
}

#[test]
fn a_node_that_tells_nothing_is_given_it_only_by_the_setting() {
    for (wish, ours, expected) in [
        (UnservedMove::Never, true, 0),
        (UnservedMove::ToOneThatTells, true, 0),
        (UnservedMove::ToOneThatTells, false, 0),
        (UnservedMove::Always, true, 1),
        (UnservedMove::Always, false, 1),
    ] {
        let mut core = pair(wish);
        core.is_ours("b", ours);
        own(&mut core, Link::Down, false);
        core.wait(2 * DEAD_TIME);
        assert_eq!(offers(&mut core), expected, "{wish:?} {ours}");
    }
    let mut core = pair(UnservedMove::Never);
    own(&mut core, Link::Down, true);
    core.wait(DEAD_TIME);
    told(&mut core, &links(Link::Up));
    assert_eq!(offers(&mut core), 0);
    let mut core = pair(UnservedMove::Always);
    told(&mut core, &links(Link::Down));
    own(&mut core, Link::Down, true);
    core.wait(2 * DEAD_TIME);
    assert_eq!(offers(&mut core), 0, "it tells that it is no better");
}

#[test]
fn a_group_whose_address_is_removed_again_and_again_moves_at_once() {
    let mut core = capable();
    told(&mut core, &links(Link::Up));
    own(&mut core, Link::Up, true);
    assert_eq!(offers(&mut core), 1);
    taken(&mut core);
}

#[test]
fn what_was_moved_and_comes_back_stays_for_ten_minutes() {
    let mut core = capable();
    told(&mut core, &links(Link::Up));
    own(&mut core, Link::Down, false);
    core.wait(DEAD_TIME);
    told(&mut core, &links(Link::Up));
    assert_eq!(offers(&mut core), 1);
    taken(&mut core);
    let given = core.now;
    // A person wants it here.
    core.hear("b", "ask foreign me");
    core.hear("b", "ask foreign done");
    core.finish();
    core.hear("b", "resource local 1");
    core.said();
    assert_eq!(core.state.rscstatus(), "local");
    while core.now < given + Duration::from_secs(599) {
        told(&mut core, &links(Link::Up));
        core.wait(1_000);
    }
    assert_eq!(offers(&mut core), 0);
    assert!(core.state.waits()[0].ends_with("it was moved for that within the last ten minutes"));
    core.wait(1_000);
    told(&mut core, &links(Link::Up));
    assert_eq!(offers(&mut core), 1);
}

#[test]
fn an_offer_that_is_not_answered_is_repeated_after_half_a_minute() {
    let mut core = capable();
    own(&mut core, Link::Down, false);
    core.wait(DEAD_TIME);
    told(&mut core, &links(Link::Up));
    assert_eq!(offers(&mut core), 1);
    core.wait(11_000);
    core.hear("b", "resource local 1");
    core.wait(18_000);
    assert_eq!(offers(&mut core), 0);
    core.wait(1_000);
    assert_eq!(offers(&mut core), 1);
}

#[test]
fn a_node_that_may_not_move_it_waits() {
    type Obstacle = fn(&mut Core);
    let obstacles: [(&str, Obstacle); 3] = [
        ("frozen", |core| core.input(ResourceInput::FreezeRequested)),
        ("unsettled", |core| core.hear("b", "resource local 0")),
        ("a stop", Core::stop),
    ];
    for (what, obstacle) in obstacles {
        let mut core = capable();
        own(&mut core, Link::Down, false);
        core.wait(DEAD_TIME - 1);
        obstacle(&mut core);
        told(&mut core, &links(Link::Up));
        core.wait(1);
        assert_eq!(offers(&mut core), 0, "{what}");
    }
    let mut core = capable();
    own(&mut core, Link::Down, false);
    core.dies("b");
    core.finish();
    core.wait(10 * DEAD_TIME);
    assert_eq!(offers(&mut core), 0, "nobody is there");
    assert_eq!(core.state.rscstatus(), "all");
}

#[test]
fn no_failback_to_a_node_whose_interface_is_down() {
    let back = |of_b: Link| {
        let mut core = Core::alone(AutoFailback::On);
        core.returns("b");
        core.is_ours("b", true);
        core.hear("b", "starting");
        let links = OwnLinks::from([(GroupKey::new("b"), of_b)]);
        told(&mut core, &links);
        core.hear("b", "resource none 1");
        let said = core.said();
        let offered = said.contains(&"ask foreign me".to_owned());
        (core, offered)
    };
    assert!(back(Link::Up).1);
    assert!(back(Link::Unknown).1, "it may start all the same");
    let (mut core, offered) = back(Link::Down);
    assert!(!offered);
    assert!(
        core.state.waits()[0].ends_with("an interface for the addresses is down on the other node")
    );
    told(&mut core, &OwnLinks::new());
    assert!(core.said().contains(&"ask foreign me".to_owned()));
}
