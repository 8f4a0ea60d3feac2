//! Groups that are left half started, step by step.

use systole::simulator::features::Features;
use systole::simulator::ids::{G0, NODE1, NODE2};
use systole::simulator::plan::Plan;
use systole::simulator::world::{SECOND, World};

use super::prints;

/// One group of three resources, each a second long.
fn plan() -> Plan {
    Plan {
        groups: vec![(NODE1, 3)],
        script_ms: 1_000,
        features: Features {
            steps: true,
            ..Features::default()
        },
        ..Plan::quiet()
    }
}

/// The first resource of the group runs on its owner, the others do not yet.
fn half_started() -> World {
    let mut world = prints::world(plan(), 3);
    world.start(NODE1);
    world.start(NODE2);
    while world.hosts[NODE1].groups[G0].up != [true, false, false] {
        let until = world.now + 1_000;
        world.run(until);
        assert!(world.now < 60 * SECOND, "it is never half started");
    }
    world
}

fn rests_whole(mut world: World) {
    let until = world.now + 120 * SECOND;
    world.run(until);
    world.settled();
    assert_eq!(world.judge.failure(), None);
    let owner = world.owners(G0)[0];
    assert!(world.hosts[owner].groups[G0].whole());
    assert!(world.hosts[owner].groups[G0].address);
}

#[test]
fn a_daemon_dies_between_two_scripts_of_a_start() {
    let mut world = half_started();
    world.kill_daemon(NODE1, 100_000);
    rests_whole(world);
}

#[test]
fn a_daemon_is_stopped_between_two_scripts_of_a_start() {
    let mut world = half_started();
    let until = world.now + 10 * SECOND;
    world.freeze(NODE1, until, false);
    world.run(until - SECOND);
    // The script in hand has ended; the next one is not begun.
    assert_eq!(world.hosts[NODE1].groups[G0].up, [true, true, false]);
    assert!(
        world.hosts[NODE2].groups[G0].whole(),
        "the other has taken it meanwhile"
    );
    rests_whole(world);
}

#[test]
fn a_script_fails_behind_the_first_one() {
    let mut world = half_started();
    world.hosts[NODE1].broken.insert(G0);
    let until = world.now + 60 * SECOND;
    world.run(until);
    assert!(
        !world.hosts[NODE1].groups[G0].runs() || world.hosts[NODE1].groups[G0].whole(),
        "{:?}",
        world.hosts[NODE1].groups[G0].up
    );
    rests_whole(world);
}
