//! Faults that were found once, one history each, step by step.

use systole::protocol::event::GroupOrder;
use systole::protocol::message::Message;
use systole::protocol::settings::AutoFailback;
use systole::simulator::ids::{G0, NODE1, NODE2};
use systole::simulator::plan::{Plan, Program};
use systole::simulator::world::{SECOND, World};

use super::prints;

/// A pair half a minute after its start.
fn up(plan: Plan) -> World {
    let mut world = prints::world(plan, 3);
    world.start(NODE1);
    world.start(NODE2);
    world.run(30 * SECOND);
    world
}

/// A pair with a short keepalive and a long dead time: more than 250 numbers are lost without a
/// death. Messages that the node sent in that time are never asked for.
fn long_gap(what: impl FnOnce(&mut World)) -> World {
    let plan = Plan {
        keepalives_ms: vec![100; 2],
        deadtimes_ms: vec![60_000; 2],
        initdead_ms: 60_000,
        script_ms: 4_000,
        ..Plan::quiet()
    };
    let mut world = prints::world(plan, 5);
    world.start(NODE1);
    world.start(NODE2);
    world.run(30 * SECOND);
    assert_eq!(world.all_owners(), [[NODE1], [NODE2]]);
    what(&mut world);
    world
}

/// The giver's `done` is lost in the gap: no node runs its group for an hour.
#[test]
fn a_done_lost_in_a_long_gap() {
    let mut world = long_gap(|world| {
        let message = Message::new("ask_resources")
            .with("rsc_hold", "local")
            .with("info", "me");
        world.inject(NODE1, message);
        // `me`, `other` and the report of the giver get through; its `done` does not.
        let until = world.now + 20_000;
        world.run(until);
        world.cut_all(true);
        let until = world.now + 30 * SECOND;
        world.run(until);
        world.cut_all(false);
    });
    for minute in 0..70 {
        let until = world.now + 60 * SECOND;
        world.run(until);
        let alone = world.all_owners().iter().all(|of| of.len() == 1);
        if alone {
            assert!(minute < 2, "nobody ran a group for {minute} minutes");
            return;
        }
    }
    panic!("{:?}", world.all_owners());
}

/// node2 is suspended for longer than twice node1's dead time but shorter than its own. node1
/// lives.
#[test]
fn a_suspended_node_grants_the_other_its_dead_time() {
    let plan = Plan {
        deadtimes_ms: vec![1_000, 4_000],
        ..Plan::quiet()
    };
    let mut world = up(plan);
    assert_eq!(world.all_owners(), [[NODE1], [NODE2]]);
    let until = world.now + 3_200_000;
    world.freeze(NODE2, until, true);
    world.run(until + 20 * SECOND);
    assert_eq!(world.judge.failure(), None);
    assert_eq!(world.all_owners(), [[NODE1], [NODE2]]);
    assert_eq!(world.judge.overlaps, 0);
}

/// `auto_failback legacy`: during a cut the owner's process begins a new generation (`heartbeat -r`
/// or its guardian), and the cut ends.
#[test]
fn legacy_model_the_owner_begins_anew_in_a_partition() {
    let plan = Plan {
        failback: AutoFailback::Legacy,
        ..Plan::quiet()
    };
    let mut world = up(plan);
    world.cut_all(true);
    world.run(35 * SECOND);
    world.kill_daemon(NODE1, 100_000);
    world.run(40 * SECOND);
    world.cut_all(false);
    world.run(400 * SECOND);
    assert!(
        world.all_owners().iter().all(|of| of.len() == 1),
        "{:?}",
        world.all_owners()
    );
}

/// A cut has ended, node2 yields: its daemon is killed while it stops the first of three groups.
#[test]
fn a_daemon_is_killed_while_it_yields() {
    let plan = Plan {
        groups: vec![(NODE1, 1), (NODE1, 1), (NODE1, 1), (NODE2, 1)],
        script_ms: 500,
        ..Plan::quiet()
    };
    let mut world = up(plan);
    world.cut_all(true);
    world.run(40 * SECOND);
    world.cut_all(false);
    let mut victim = None;
    while victim.is_none() {
        let until = world.now + 1_000;
        world.run(until);
        victim = world
            .orders
            .iter()
            .find(|(at, _, _, what)| *at > 40 * SECOND && *what == GroupOrder::Stop)
            .map(|order| order.1);
    }
    world.kill_daemon(victim.expect("one yields"), 100_000);
    world.run(400 * SECOND);
    assert!(
        world.all_owners().iter().all(|of| of.len() == 1),
        "{:?}",
        world.all_owners()
    );
}

/// node2 is deaf and cannot start node1's group. node1 releases the group all the same, because
/// node2 may be about to start it, and takes it again when it does not.
#[test]
fn a_deaf_standby_on_which_the_group_does_not_start() {
    let plan = Plan {
        groups: vec![(NODE1, 1)],
        ..Plan::quiet()
    };
    let mut world = up(plan);
    assert_eq!(world.owners(G0), [NODE1]);
    world.hosts[NODE2].broken.insert(G0);
    world.paths[NODE1][0].cut = true;
    for second in 31..300 {
        world.run(second * SECOND);
        if second > 90 {
            assert_eq!(world.owners(G0).len(), 1, "nobody at {second} s");
        }
    }
}

/// Beside a legacy node: everything is cut, both take everything. node1 (Systole) receives again
/// first and releases, then takes its own groups after ten seconds without a report of the deaf
/// node2, which runs them; then node2 receives as well.
#[test]
fn beside_a_legacy_node_that_stays_deaf_after_a_cut() {
    let plan = Plan {
        programs: vec![Program::Ours, Program::Legacy],
        ..Plan::quiet()
    };
    let mut world = prints::world(plan, 3);
    world.start(NODE1);
    world.start(NODE2);
    world.run(40 * SECOND);
    assert_eq!(world.all_owners(), [[NODE1], [NODE2]]);
    world.cut_all(true);
    world.run(50 * SECOND);
    world.paths[NODE2][0].cut = false;
    world.run(80 * SECOND);
    let deaf = world.all_owners();
    world.cut_all(false);
    world.judge.slow_path(NODE2, 600 * SECOND);
    world.run(600 * SECOND);
    assert!(
        world.all_owners().iter().all(|of| of.len() == 1),
        "while node2 is deaf {deaf:?}, nine minutes after {:?}",
        world.all_owners()
    );
}
