//! Cuts and freezes one at a time, over many seeds: which node has what during and after them.

use systole::protocol::event::GroupOrder;
use systole::protocol::settings::AutoFailback;
use systole::simulator::chance::Draws;
use systole::simulator::ids::{G0, HostId, NODE1, NODE2};
use systole::simulator::plan::{Plan, Program};
use systole::simulator::world::{Micros, SECOND, World};

use super::number;
use super::pair::started_pair;
use super::prints;

/// The trouble of a run.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// No message gets through in either direction.
    Cut,
    /// No message of this host gets through.
    Mute(HostId),
    /// This host is suspended for this many tenths of the dead time.
    Frozen(HostId, u64),
}

/// How many runs of each; more with `SIM_SEEDS`.
fn seeds() -> std::ops::Range<u64> {
    1..1 + (number("SIM_SEEDS", 60) / 5).max(3)
}

fn cut(world: &mut World, from: HostId, is_cut: bool) {
    for path in &mut world.paths[from] {
        path.cut = is_cut;
    }
}

/// A settled pair that is drawn from the seed.
fn pair(seed: u64, ignorant: &[HostId]) -> World {
    let program = |host| {
        if ignorant.contains(host) {
            Program::Ignorant
        } else {
            Program::Ours
        }
    };
    let plan = Plan {
        failback: AutoFailback::Off,
        programs: [NODE1, NODE2].iter().map(program).collect(),
        ..Plan::pure(&mut Draws::new(seed))
    };
    let mut world = prints::world(plan.clone(), seed);
    world.start(NODE1);
    world.start(NODE2);
    world.run(plan.initdead_ms * 1_000 + 15 * SECOND);
    world.settled();
    assert_eq!(world.judge.failure(), None, "seed {seed}: at the start");
    world
}

/// Long enough for every verdict, release and start that may follow from one event.
fn patience(world: &World) -> Micros {
    world.plan.longest_deadtime() * 2 + world.plan.longest_keepalive() * 5 + 10 * SECOND
}

/// The groups that have two owners now, or none.
fn misplaced(world: &World) -> Vec<String> {
    let owners = world.plan.group_ids().zip(world.all_owners());
    owners
        .filter(|(_, owners)| owners.len() != 1)
        .map(|(group, owners)| format!("{group} on {owners:?}"))
        .collect()
}

/// Runs it through: the trouble, its end, and the state that must follow. Returns the hosts that
/// stopped a group since the end of the trouble.
fn run(seed: u64, trouble: Trouble, ignorant: &[HostId]) -> (World, Vec<HostId>) {
    let what = format!("seed {seed} {trouble:?} ignorant {ignorant:?}");
    let mut world = pair(seed, ignorant);
    let until = world.now + patience(&world);
    let healed = match trouble {
        Trouble::Cut | Trouble::Mute(_) => {
            let mutes: &[HostId] = match trouble {
                Trouble::Cut => &[NODE1, NODE2],
                Trouble::Mute(NODE1) => &[NODE1],
                Trouble::Mute(_) | Trouble::Frozen(..) => &[NODE2],
            };
            for host in mutes {
                cut(&mut world, *host, true);
            }
            world.run(until);
            if matches!(trouble, Trouble::Mute(_)) {
                // A node that receives the other learns its view, and one of them releases.
                assert_eq!(misplaced(&world), [""; 0], "{what}: while it lasts");
            }
            for host in mutes {
                cut(&mut world, *host, false);
            }
            world.now
        }
        Trouble::Frozen(host, tenths) => {
            let until = world.now + world.plan.deadtime(host) / 10 * tenths;
            world.freeze(host, until, true);
            world.run(until);
            until
        }
    };
    let until = world.now + patience(&world) + 10 * SECOND;
    world.run(until);
    world.settled();
    assert_eq!(world.judge.failure(), None, "{what}");
    let mut stopped: Vec<HostId> = world
        .orders
        .iter()
        .filter(|(at, _, _, order)| *at >= healed && *order == GroupOrder::Stop)
        .map(|(_, host, _, _)| *host)
        .collect();
    stopped.sort_unstable();
    stopped.dedup();
    (world, stopped)
}

/// Two nodes that know the rule: one yields, the other does not touch its groups.
#[test]
fn after_a_cut_exactly_one_yields() {
    for seed in seeds() {
        let (world, stopped) = run(seed, Trouble::Cut, &[]);
        assert!(world.judge.overlaps > 0, "seed {seed}: both took over");
        assert_eq!(stopped.len(), 1, "seed {seed}: {stopped:?} let go");
    }
}

/// The node that had the groups before the cut has them after it, whatever its name is.
#[test]
fn the_one_that_served_before_keeps() {
    for (seed, owner) in (1..4).flat_map(|seed| [(seed, NODE1), (seed, NODE2)]) {
        let plan = Plan {
            groups: vec![(owner, 2)],
            ..Plan::quiet()
        };
        let mut world = started_pair(plan, seed);
        assert_eq!(world.owners(G0), [owner]);
        world.cut_all(true);
        world.run(world.now + 10 * SECOND);
        assert_eq!(world.owners(G0), [NODE1, NODE2]);
        world.cut_all(false);
        let healed = world.now;
        // One heartbeat and one stop, each through our actors.
        world.run(healed + SECOND);
        assert_eq!(world.owners(G0), [owner], "seed {seed}");
        world.run(healed + 20 * SECOND);
        world.settled();
        assert_eq!(world.judge.failure(), None);
        let touched = world
            .orders
            .iter()
            .filter(|o| o.0 >= healed && o.1 == owner);
        assert_eq!(touched.count(), 0, "seed {seed}: the owner did something");
    }
}

#[test]
fn after_a_cut_beside_a_node_without_the_rule_one_owner_is_left() {
    for seed in seeds() {
        for ignorant in [&[NODE1][..], &[NODE2], &[NODE1, NODE2]] {
            run(seed, Trouble::Cut, ignorant);
        }
    }
}

/// One direction only: one owner as soon as the node that receives has received, and after the cut.
#[test]
fn a_mute_owner_and_a_mute_standby() {
    for seed in seeds() {
        for host in [NODE1, NODE2] {
            for ignorant in [&[][..], &[NODE1], &[NODE2]] {
                run(seed, Trouble::Mute(host), ignorant);
            }
        }
    }
}

#[test]
fn a_frozen_owner_and_a_frozen_standby() {
    for seed in seeds() {
        for host in [NODE1, NODE2] {
            for tenths in [5, 10, 20, 50] {
                run(seed, Trouble::Frozen(host, tenths), &[]);
            }
        }
    }
}

/// An hour in either direction, with and without a cut that follows: no order results from it.
#[test]
fn a_stepped_clock_moves_nothing() {
    for (seed, step) in (1..4).flat_map(|seed| [(seed, 3_600), (seed, -3_600)]) {
        let mut world = pair(seed, &[]);
        let orders = world.orders.len();
        for host in [NODE1, NODE2] {
            world.hosts[host].wall_offset += step;
            world.run(world.now + 20 * SECOND);
            assert_eq!(world.orders.len(), orders, "seed {seed} step {step}");
        }
        world.settled();
        assert_eq!(world.judge.failure(), None);
        assert_eq!(world.judge.overlaps, 0);
    }
}
