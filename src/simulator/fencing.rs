//! A fencing device for each host, which resets the other one: it cuts the power and boots the
//! machine.

use std::time::Duration;

use crate::protocol::event::Event;
use crate::protocol::fencing::{FenceAnswer, FenceOrder, FenceTask};
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

/// The program that drives the device for a host. It outlives the daemon, and ends with the machine.
#[derive(Debug, Clone)]
pub(crate) struct FenceProgram {
    pub(crate) number: u32,
    /// The order that it answers; `None`: that of a core that is gone.
    pub(crate) order: Option<FenceOrder>,
    /// What became of it, while nobody asked.
    ended: Option<FenceAnswer>,
}

impl World {
    /// The node is told how slow its device was at the start.
    pub(crate) fn measure_device(&mut self, host: HostId) {
        if let Some(device) = self.plan.features.device {
            let slowest = Duration::from_micros(device.slowest());
            self.feed(host, Event::FenceAnswerTook(slowest));
        }
    }

    /// The core of a host orders a reset, or asks for an earlier one.
    pub(crate) fn fence(
        &mut self,
        host: HostId,
        order: FenceOrder,
        node: &NodeName,
        task: FenceTask,
    ) {
        let now = self.now;
        let Some(device) = self.plan.features.device else {
            return self
                .judge
                .fail(now, format!("{node} is fenced without a device"));
        };
        if task == FenceTask::LearnEarlier {
            return self.learn_earlier(host, order);
        }
        let drawn = self.noise.draw(Chance::Device, Place::host(host), now);
        let when = now + within(drawn, SECOND / 5..device.slowest());
        let h = &mut self.hosts[host];
        h.programs += 1;
        let number = h.programs;
        h.fences.push(FenceProgram {
            number,
            order: Some(order),
            ended: None,
        });
        let machine = h.machine;
        self.at(
            when,
            Happening::Fences {
                host,
                machine,
                program: number,
            },
        );
    }

    fn learn_earlier(&mut self, host: HostId, order: FenceOrder) {
        let fences = &mut self.hosts[host].fences;
        let left = fences.iter().position(|it| it.order.is_none());
        let ended = match left.and_then(|at| fences.get_mut(at)) {
            Some(FenceProgram {
                order: answers,
                ended: None,
                ..
            }) => {
                *answers = Some(order);
                return;
            }
            Some(program) => program.ended.take(),
            None => None,
        };
        if let Some(at) = left {
            fences.remove(at);
        }
        let unknown = || FenceAnswer::Failed("nothing is known of it".to_owned());
        self.answer_fence(host, order, ended.unwrap_or_else(unknown));
    }

    /// A core begins: the programs of the one before have nobody to answer.
    pub(crate) fn fences_are_left(&mut self, host: HostId) {
        for program in &mut self.hosts[host].fences {
            program.order = None;
        }
    }

    /// What no core asks for is ended.
    pub(crate) fn end_left_fences(&mut self, host: HostId) {
        self.hosts[host].fences.retain(|it| it.order.is_some());
    }

    /// The device of a host is about to act, unless the order was called off.
    pub(crate) fn fences(&mut self, host: HostId, machine: u32, program: u32) {
        let h = &mut self.hosts[host];
        let at = h.fences.iter().position(|it| it.number == program);
        let Some(at) = at.filter(|_| h.machine == machine) else {
            return;
        };
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
        let known = self.hosts[host].fences.get_mut(at);
        match known.map(|it| (it.order, &mut it.ended)) {
            Some((Some(order), _)) => {
                self.hosts[host].fences.remove(at);
                self.answer_fence(host, order, answer);
            }
            Some((None, ended)) => *ended = Some(answer),
            None => {}
        }
    }

    fn answer_fence(&mut self, host: HostId, order: FenceOrder, answer: FenceAnswer) {
        let life = self.hosts[host].life;
        let when = self.now + self.internal_delay(host);
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
            // A successor that has received nothing yet does not know that it is dead.
            nodes.any(|node| *node.name == name && node.heard && node.status != NodeStatus::Dead)
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
