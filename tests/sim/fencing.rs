//! Scenes with fencing devices.

use systole::protocol::event::Event;
use systole::simulator::act::Act;
use systole::simulator::fencing::Device;
use systole::simulator::ids::{HostId, NODE1, NODE2};
use systole::simulator::plan::Plan;
use systole::simulator::world::{SECOND, World};

use super::pair::started_pair;

fn pair(device: Device, groups: Vec<(HostId, usize)>, noise: u64) -> World {
    let mut plan = Plan::quiet();
    plan.features.device = Some(device);
    plan.groups = groups;
    let mut world = started_pair(plan, noise);
    world.calm = false;
    world
}

fn owned_once(world: &World) -> bool {
    world.all_owners().iter().all(|of| of.len() == 1)
}

/// Both live and lose each other, and each can reset the other: exactly one is reset, and what
/// served serves on.
#[test]
fn of_two_that_lose_each_other_one_is_reset() {
    for device in [Device::Honest, Device::Slow] {
        for seed in 0..20 {
            let both = seed % 2 == 0;
            let groups = if both {
                vec![(NODE1, 2), (NODE2, 1)]
            } else {
                vec![(NODE1, 2), (NODE1, 1)]
            };
            let mut world = pair(device, groups, seed);
            let cut_at = world.now;
            world.cut_all(true);
            // Before the machine that was reset is up, and shoots as one that starts alone.
            world.run(cut_at + 20 * SECOND);
            let words = format!("{device:?} {seed}: {:?}", world.resets);
            assert_eq!(world.resets.len(), 1, "{words}");
            assert_eq!(world.resets[0].1, NODE2, "the second waits: {words}");
            assert_eq!(world.all_owners(), [[NODE1], [NODE1]], "{words}");
            world.cut_all(false);
            world.run(world.now + 120 * SECOND);
            world.settled();
            assert_eq!(world.judge.failure(), None, "{words}");
            assert_eq!(world.resets.len(), 1, "{words}");
        }
    }
}

/// It is back before the device has answered: the order is called off.
#[test]
fn a_node_that_is_back_in_time_is_not_reset() {
    for seed in 0..20 {
        let mut world = pair(Device::Slow, vec![(NODE1, 2), (NODE2, 1)], seed);
        let at = world.now;
        world.act(Act::Crash { host: NODE2 });
        world.act(Act::Start { host: NODE2 });
        world.cut_all(true);
        // A second and some after the verdict.
        world.run(at + 1_300_000 + seed * 10_000);
        world.cut_all(false);
        world.run(world.now + 120 * SECOND);
        world.settled();
        assert_eq!(world.judge.failure(), None, "seed {seed}");
        assert_eq!(world.all_owners(), [[NODE1], [NODE2]], "seed {seed}");
    }
}

/// A machine that is suspended for longer than its dead time wakes up too late: it is reset.
#[test]
fn a_suspended_owner_is_reset_before_its_groups_are_taken() {
    for seed in 0..20 {
        let mut world = pair(Device::Honest, vec![(NODE1, 2), (NODE2, 1)], seed);
        world.act(Act::Freeze {
            host: NODE2,
            ms: 30_000,
            machine: 1,
        });
        world.run(world.now + 15 * SECOND);
        assert_eq!(world.resets.len(), 1, "seed {seed}");
        assert_eq!(world.all_owners()[1], [NODE1], "seed {seed}");
        world.run(world.now + 120 * SECOND);
        world.settled();
        assert_eq!(world.judge.failure(), None, "seed {seed}");
    }
}

/// A person's word counts as a reset.
#[test]
fn a_confirmed_node_is_taken_over() {
    let mut world = pair(Device::Slow, vec![(NODE1, 2), (NODE2, 1)], 1);
    world.act(Act::Crash { host: NODE2 });
    world.run(world.now + 1_500_000);
    assert_eq!(world.all_owners()[1], [NODE1; 0]);
    let node = world.hosts[NODE2].name.clone();
    let by = "root".to_owned();
    world.feed(NODE1, Event::FenceConfirmed { node, by });
    world.run(world.now + SECOND);
    assert_eq!(world.all_owners(), [[NODE1], [NODE1]]);
    assert_eq!(world.resets, []);
}

/// The daemon of the node that fences is killed, panics, or replaces itself meanwhile: the node
/// is fenced all the same, and taken over after it.
#[test]
fn a_fence_outlives_the_process_that_ordered_it() {
    for seed in 0..20 {
        let mut world = pair(Device::Slow, vec![(NODE1, 2), (NODE2, 1)], seed);
        let host = NODE1;
        let pause = 100_000;
        world.act(Act::Crash { host: NODE2 });
        world.run(world.now + 1_200_000);
        world.act(match seed % 3 {
            0 => Act::Kill { host, pause },
            1 => Act::Panic { host },
            _ => Act::Reload { host, pause },
        });
        world.run(world.now + 60 * SECOND);
        assert!(!world.resets.is_empty(), "seed {seed}");
        world.run(world.now + 60 * SECOND);
        world.settled();
        assert_eq!(world.judge.failure(), None, "seed {seed}");
        assert!(owned_once(&world), "seed {seed}");
    }
}
