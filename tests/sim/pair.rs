//! One pair at a time, step by step.

use systole::simulator::act::Act;
use systole::simulator::ids::{G0, HostId, Key, NODE1, NODE2};
use systole::simulator::plan::Plan;
use systole::simulator::world::{SECOND, World};

use super::prints;

/// A pair that has come up.
pub fn started_pair(plan: Plan, noise: u64) -> World {
    let mut world = prints::world(plan, noise);
    world.start(NODE1);
    world.start(NODE2);
    world.run(20 * SECOND);
    world.settled();
    assert_eq!(world.judge.failure(), None);
    world
}

/// One node loses its peer and the ping node: it releases everything, the other takes everything,
/// and when they are connected again each has its own. Then both lose everything: no node runs
/// anything, until both are back.
#[test]
fn a_node_that_is_cut_off_releases() {
    for seed in 0..20 {
        let plan = Plan {
            gate: true,
            ..Plan::quiet()
        };
        let mut world = started_pair(plan, seed);
        let lost = HostId::of((seed % 2) as usize);
        let cut_off = |world: &World, host: HostId| {
            let node = world.hosts[host].node.as_ref();
            node.is_some_and(systole::simulator::daemon::Daemon::is_cut_off)
        };
        world.act(Act::Gate { host: lost, cut: 1 });
        world.cut_all(true);
        world.run(60 * SECOND);
        assert_eq!(world.all_owners(), [[lost.other()]; 2], "seed {seed}");
        assert!(cut_off(&world, lost) && !cut_off(&world, lost.other()));
        world.act(Act::Gate { host: lost, cut: 0 });
        world.cut_all(false);
        world.run(100 * SECOND);
        world.settled();
        for host in [NODE1, NODE2] {
            world.act(Act::Gate { host, cut: 1 });
        }
        world.cut_all(true);
        world.run(120 * SECOND);
        assert_eq!(world.all_owners(), [[NODE1; 0]; 2], "seed {seed}");
        for host in [NODE1, NODE2] {
            world.act(Act::Gate { host, cut: 0 });
        }
        world.cut_all(false);
        world.run(160 * SECOND);
        world.settled();
        assert_eq!(world.judge.failure(), None, "seed {seed}");
    }
}

/// 30 % of the heartbeats are lost for an hour, never five in a row: at deadtime = 5 x keepalive no
/// node is declared dead, no number is missing afterwards and every message was handled once.
#[test]
fn an_hour_of_loss_without_five_in_a_row() {
    let mut world = started_pair(Plan::quiet(), 7);
    for path in world.paths.iter_mut().flatten() {
        path.loss = 30;
        path.longest_run = 4;
        path.delay = 200;
    }
    for second in 0..3_600 {
        world.mark(HostId::of(second % 2));
        world.run(world.now + SECOND);
        assert_eq!(world.judge.failure(), None);
    }
    for path in world.paths.iter_mut().flatten() {
        path.loss = 0;
    }
    world.run(world.now + 10 * SECOND);
    for host in &world.hosts {
        let node = host.node.as_ref().expect("runs");
        assert!(node.nodes().all(|peer| peer.status.to_string() == "active"));
        assert!(
            node.nodes().all(|peer| peer.missing == 0),
            "a number is missing"
        );
    }
    for mark in 1..=world.marks {
        assert_eq!(world.judge.hearers(mark), 2, "mark {mark}");
    }
    assert_eq!(world.judge.overlaps, 0);
}

/// A lone start takes everything after initdead; a late peer changes nothing.
#[test]
fn a_lone_start_and_a_late_peer() {
    let mut world = prints::world(Plan::quiet(), 3);
    world.start(NODE1);
    world.run(9 * SECOND);
    assert_eq!(world.all_owners(), [[NODE1; 0]; 2], "before initdead");
    world.run(30 * SECOND);
    assert_eq!(world.all_owners(), [[NODE1], [NODE1]]);
    world.start(NODE2);
    world.run(60 * SECOND);
    world.settled();
    assert_eq!(world.judge.failure(), None);
    assert_eq!(world.all_owners(), [[NODE1], [NODE1]]);
}

/// The failover comes at deadtime, not a check interval later.
#[test]
fn a_power_cut_is_taken_over_at_deadtime() {
    let mut world = started_pair(Plan::quiet(), 5);
    world.crash(NODE1);
    let silent_from = world.now;
    while world.owners(G0) != [NODE2] {
        world.run(world.now + 1_000);
        assert!(world.now < silent_from + 2 * SECOND, "no takeover");
    }
    assert_eq!(world.judge.failure(), None);
    assert_eq!(world.judge.overlaps, 0);
}

/// Both nodes are frozen: cables are cut and connected again, a node dies and returns, and nothing
/// moves. Only one node is frozen: after the partition the other node releases what it took.
#[test]
fn frozen_nodes_move_nothing() {
    let mut world = started_pair(Plan::quiet(), 9);
    let settled_owners = world.all_owners();
    for host in [NODE1, NODE2] {
        world.act(Act::Maintenance { host, on: 1 });
    }
    world.cut_all(true);
    world.run(40 * SECOND);
    assert_eq!(world.all_owners(), settled_owners, "each side alone");
    world.heal();
    world.run(80 * SECOND);
    assert_eq!(world.all_owners(), settled_owners, "together again");
    assert_eq!(world.judge.overlaps, 0);
    world.act(Act::Maintenance { host: NODE2, on: 0 });
    world.cut_all(true);
    world.run(100 * SECOND);
    let took = world.all_owners();
    assert!(
        took.iter().all(|of| of.contains(&NODE2)),
        "not frozen: {took:?}"
    );
    world.heal();
    world.run(140 * SECOND);
    assert_eq!(
        world.all_owners(),
        settled_owners,
        "the frozen side kept its own"
    );
    assert!(world.hosts[NODE1].node.as_ref().expect("runs").frozen());
    // The other node dies and stays dead: taken over at the thaw.
    world.crash(NODE2);
    world.run(180 * SECOND);
    assert!(world.all_owners().iter().all(|of| *of != [NODE2]));
    world.act(Act::Maintenance { host: NODE1, on: 0 });
    world.run(190 * SECOND);
    assert_eq!(world.all_owners(), [[NODE1], [NODE1]], "taken at the thaw");
    assert_eq!(world.judge.failure(), None);
}
