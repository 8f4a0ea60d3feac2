//! A fencing device for each host, which resets the other one: it cuts the power and boots the
//! machine.

use std::time::Duration;

use crate::protocol::event::Event;
use crate::protocol::fencing::{FenceAnswer, FenceOrder};
use crate::protocol::name::NodeName;
use crate::protocol::status::NodeStatus;

use super::chance::{Chance, Place, within};
use super::ids::HostId;
use super::queue::Happening;
use super::world::{Micros, SECOND, World};

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
    pub(crate) const ALL: [Self; 4] = [Self::Honest, Self::Slow, Self::Failing, Self::Lying];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Honest => "honest",
            Self::Slow => "slow",
            Self::Failing => "failing",
            Self::Lying => "lying",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|device| device.word() == word)
    }

    /// The slowest answer.
    pub(crate) fn slowest(self) -> Micros {
        match self {
            Self::Slow => 12 * SECOND,
            Self::Honest | Self::Failing | Self::Lying => 3 * SECOND,
        }
    }

    /// How much longer a group may be down than without a device: the wait of the second node, and
    /// a dozen attempts.
    pub(crate) fn patience(self) -> Micros {
        match self {
            Self::Honest | Self::Lying => 60 * SECOND,
            Self::Slow => 100 * SECOND,
            Self::Failing => 200 * SECOND,
        }
    }
}

impl World {
    /// The node is told how slow its device was at the start.
    pub(crate) fn measure_device(&mut self, host: HostId) {
        if let Some(device) = self.plan.features.device {
            let slowest = Duration::from_micros(device.slowest());
            self.feed(host, Event::FenceAnswerTook(slowest));
        }
    }

    /// The core of a host orders a reset.
    pub(crate) fn fence(&mut self, host: HostId, order: FenceOrder, node: &NodeName) {
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
    pub(crate) fn fences(&mut self, host: HostId, machine: u32, order: FenceOrder) {
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
    pub(crate) fn fence_says(&mut self, host: HostId, order: FenceOrder, answer: FenceAnswer) {
        self.feed(host, Event::FenceAnswered { order, answer });
    }
}
