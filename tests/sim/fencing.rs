//! A fencing device for each host, which resets the other one: it cuts the power and boots the
//! machine. And scenes with it.

use std::time::Duration;

use systole::protocol::event::Event;
use systole::protocol::fencing::{FenceAnswer, FenceOrder};
use systole::protocol::name::NodeName;
use systole::protocol::status::NodeStatus;

use super::draws::{Chance, Place, within};
use super::ids::HostId;
use super::world::{Happening, Micros, SECOND, World};

/// How the devices behave until there is peace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    #[default]
    /// It resets the machine within three seconds, and then says so.
    Honest,
    /// The same, within twelve seconds.
    Slow,
    /// Every second time it fails.
    Failing,
    /// Every third time it says that it is done, and has done nothing.
    Lying,
}

impl Device {
    pub const ALL: [Self; 4] = [Self::Honest, Self::Slow, Self::Failing, Self::Lying];

    pub fn word(self) -> &'static str {
        match self {
            Self::Honest => "honest",
            Self::Slow => "slow",
            Self::Failing => "failing",
            Self::Lying => "lying",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|device| device.word() == word)
    }

    /// The slowest answer.
    pub fn slowest(self) -> Micros {
        match self {
            Self::Slow => 12 * SECOND,
            Self::Honest | Self::Failing | Self::Lying => 3 * SECOND,
        }
    }

    /// How much longer a group may be down than without a device: the wait of the second node, and
    /// a dozen attempts.
    pub fn patience(self) -> Micros {
        match self {
            Self::Honest | Self::Lying => 60 * SECOND,
            Self::Slow => 100 * SECOND,
            Self::Failing => 200 * SECOND,
        }
    }
}

impl World {
    /// The node is told how slow its device was at the start.
    pub fn measure_device(&mut self, host: HostId) {
        if let Some(device) = self.plan.features.device {
            let slowest = Duration::from_micros(device.slowest());
            self.feed(host, Event::FenceAnswerTook(slowest));
        }
    }

    /// The core of a host orders a reset.
    pub fn fence(&mut self, host: HostId, order: FenceOrder, node: &NodeName) {
        let now = self.now;
        let Some(device) = self.plan.features.device else {
            return self
                .judge
                .fail(now, format!("{node} is fenced without a device"));
        };
        let drawn = self.noise.draw(Chance::Device, Place::host(host), now);
        let when = now + within(drawn, SECOND / 5..device.slowest());
        self.hosts[host].fences.insert(order);
        let machine = self.hosts[host].machine;
        self.at(
            when,
            Happening::Fences {
                host,
                machine,
                order,
            },
        );
    }

    /// The device of a host is about to act, unless the order was called off or the process that gave
    /// it is gone.
    pub fn fences(&mut self, host: HostId, machine: u32, order: FenceOrder) {
        let h = &mut self.hosts[host];
        if h.machine != machine || !h.fences.remove(&order) {
            return;
        }
        let life = h.life;
        let target = host.other();
        let now = self.now;
        let drawn = self.noise.draw(Chance::Device, Place::step(host, 1), now);
        let device = if self.calm {
            Device::Honest
        } else {
            self.plan.features.device.unwrap_or(Device::Honest)
        };
        let fails = device == Device::Failing && drawn.is_multiple_of(2);
        let lies = device == Device::Lying && drawn.is_multiple_of(3);
        if !fails && !lies {
            self.reset(host, target);
        }
        let answer = if fails {
            FenceAnswer::Failed("no answer".to_owned())
        } else {
            FenceAnswer::Done
        };
        let when = now + self.internal_delay(host);
        self.at(
            when,
            Happening::FenceSays {
                host,
                life,
                order,
                answer,
            },
        );
    }

    fn reset(&mut self, by: HostId, target: HostId) {
        let name = self.hosts[target].name.clone();
        let hears = self.hosts[by].node.as_ref().is_some_and(|node| {
            let mut nodes = node.nodes();
            nodes.any(|node| *node.name == name && node.status != NodeStatus::Dead)
        });
        if hears {
            let text = format!("{by} resets a node that it receives");
            self.judge.fail(self.now, text);
        }
        self.note(format_args!("{by} resets {target}"));
        self.resets.push((self.now, target));
        self.crash(target);
        self.judge.disturbed(self.now);
        let drawn = self
            .noise
            .draw(Chance::Device, Place::step(by, 2), self.now);
        let when = self.now + within(drawn, 2 * SECOND..8 * SECOND);
        self.at(when, Happening::Boot { host: target });
    }

    /// The answer reaches the core.
    pub fn fence_says(&mut self, host: HostId, order: FenceOrder, answer: FenceAnswer) {
        self.feed(host, Event::FenceAnswered { order, answer });
    }
}

mod scenes {
    use super::super::act::Act;
    use super::super::ids::{NODE1, NODE2};
    use super::super::pair::started_pair;
    use super::super::plan::Plan;
    use super::*;

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
    #[ignore = "not run since its findings were mended"]
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
    #[ignore = "not run since its findings were mended"]
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
}
