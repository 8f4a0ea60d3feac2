//! One fault at a time, each followed by a rest: then it is known for how long a group may run
//! nowhere, and where it must run afterwards.

use crate::protocol::settings::AutoFailback;

use super::act::Act;
use super::chance::Draws;
use super::faults::Kind;
use super::features::Features;
use super::history::History;
use super::ids::{HostId, NODE1, NODE2};
use super::plan::{Plan, Program};
use super::world::{Micros, SECOND};

/// Faults of a history.
const ROUNDS: u64 = 5;

/// The history of a seed.
pub(crate) fn history(seed: u64) -> History {
    let mut draws = Draws::new(seed ^ 0x7369_6e67_6c65);
    let mut plan = Plan::pure(&mut draws);
    plan.programs = vec![Program::Ours; 2];
    plan.features = Features::draw(Kind::Single, seed, &plan);
    if plan.failback == AutoFailback::Legacy {
        plan.failback = AutoFailback::On;
    }
    let scripts: u64 = plan.groups.iter().map(|group| group.1 as u64).sum();
    let scripts = scripts * plan.slow_script_ms * 1_000;
    let rest = 3 * plan.longest_deadtime() + plan.initdead_ms * 1_000 + 25 * SECOND + 2 * scripts;
    let mut acts = vec![
        (SECOND, Act::Start { host: NODE1 }),
        (SECOND, Act::Start { host: NODE2 }),
    ];
    let mut now = SECOND + rest;
    acts.push((now, Act::Rest { moved: 1 }));
    for _ in 0..ROUNDS {
        now += SECOND;
        let host = draws.index(2);
        acts.push((now, Act::Mark { host }));
        let moved = fault(&mut draws, &plan, now, &mut acts);
        now += rest;
        acts.push((now, Act::Rest { moved }));
    }
    acts.push((now, Act::Peace));
    acts.sort_by_key(|(when, _)| *when);
    History {
        remark: format!("single seed {seed}"),
        plan,
        noise: draws.next(),
        acts,
    }
}

/// What the faults of a history have in common.
struct Fault<'a> {
    plan: &'a Plan,
    now: Micros,
    host: HostId,
    medium: usize,
    /// Longer than a dead time.
    long: Micros,
    /// Shorter than a dead time.
    short: Micros,
    /// How long a daemon is away.
    pause: Micros,
    acts: &'a mut Vec<(Micros, Act)>,
}

/// One fault and its end. Whether groups may move because of it.
fn fault(draws: &mut Draws, plan: &Plan, now: Micros, acts: &mut Vec<(Micros, Act)>) -> u64 {
    let (host, medium) = (draws.index(2), draws.index(plan.media));
    let deadtime = plan.deadtime(host);
    let mut fault = Fault {
        plan,
        now,
        host,
        medium,
        long: deadtime * 2 + draws.range(0..2 * deadtime),
        short: draws.range(deadtime / 20..deadtime / 3),
        pause: draws.range(20_000..200_000),
        acts,
    };
    let which = draws.range(0..18);
    let moves = fault.moves_groups(which, draws);
    if !moves {
        fault.moves_nothing(which, draws);
    }
    u64::from(moves)
}

impl Fault<'_> {
    fn act(&mut self, after: Micros, act: Act) {
        self.acts.push((self.now + after, act));
    }

    /// One direction of a cable is cut for long.
    fn cut(&mut self, medium: usize) {
        let from = self.host;
        for (after, cut) in [(0, 1), (self.long, 0)] {
            self.act(after, Act::Cut { from, medium, cut });
        }
    }

    /// Groups may move because of it. `false`: it is none of these.
    fn moves_groups(&mut self, which: u64, draws: &mut Draws) -> bool {
        let (host, long) = (self.host, self.long);
        let stays = self.plan.failback == AutoFailback::Off;
        match which {
            0 | 1 => {
                self.act(0, Act::Crash { host });
                self.act(long, Act::Start { host });
            }
            2 => {
                self.act(0, Act::Stop { host });
                self.act(long + 20 * SECOND, Act::Start { host });
            }
            3 | 4 => {
                self.act(0, Act::Cable { host, cut: 1 });
                self.act(long, Act::Cable { host, cut: 0 });
            }
            5 => {
                let (ms, machine) = (long / 1_000, draws.range(0..2));
                self.act(0, Act::Freeze { host, ms, machine });
            }
            6 => self.act(0, Act::Kill { host, pause: long }),
            7 => (0..self.plan.media).for_each(|medium| self.cut(medium)),
            8 if stays => {
                let set = draws.index(3);
                self.act(0, Act::Standby { host, set });
            }
            9 if stays => {
                let set = draws.index(3);
                self.act(0, Act::Takeover { host, set });
            }
            14 | 15 if stays => {
                // Given to a node on which one of them does not start: it comes back, each time.
                let group = draws.index(self.plan.groups.len());
                let (giver, set) = (host.other(), draws.index(3));
                self.act(0, Act::Broken { host, group, on: 1 });
                self.act(1_000, Act::Standby { host: giver, set });
                self.act(long + 20 * SECOND, Act::Broken { host, group, on: 0 });
            }
            _ => return false,
        }
        true
    }

    /// No group may move because of it.
    fn moves_nothing(&mut self, which: u64, draws: &mut Draws) {
        let (host, medium, pause) = (self.host, self.medium, self.pause);
        let ms = self.short / 1_000;
        match which {
            8..=10 => self.act(0, Act::Kill { host, pause }),
            11 => self.act(0, Act::Reload { host, pause }),
            12 if self.plan.media > 1 => self.cut(medium),
            12 | 13 => {
                let from = host;
                self.act(0, Act::Burst { from, medium, ms });
            }
            16 => {
                let machine = draws.range(0..2);
                self.act(0, Act::Freeze { host, ms, machine });
            }
            _ => {
                let seconds = draws.pick(&[-3_600, 3_600]);
                self.act(0, Act::Clock { host, seconds });
            }
        }
    }
}
