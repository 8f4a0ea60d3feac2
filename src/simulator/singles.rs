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

/// One fault and its end. Whether groups may move because of it.
fn fault(draws: &mut Draws, plan: &Plan, now: Micros, acts: &mut Vec<(Micros, Act)>) -> u64 {
    let host: HostId = draws.index(2);
    let medium = draws.index(plan.media);
    let deadtime = plan.deadtime(host);
    let long = deadtime * 2 + draws.range(0..2 * deadtime);
    let short = draws.range(deadtime / 20..deadtime / 3);
    let pause = draws.range(20_000..200_000);
    let mut act = |after: Micros, act: Act| acts.push((now + after, act));
    match draws.range(0..18) {
        0 | 1 => {
            act(0, Act::Crash { host });
            act(long, Act::Start { host });
            return 1;
        }
        2 => {
            act(0, Act::Stop { host });
            act(long + 20 * SECOND, Act::Start { host });
            return 1;
        }
        3 | 4 => {
            act(0, Act::Cable { host, cut: 1 });
            act(long, Act::Cable { host, cut: 0 });
            return 1;
        }
        5 => {
            let ms = long / 1_000;
            let machine = draws.range(0..2);
            act(0, Act::Freeze { host, ms, machine });
            return 1;
        }
        6 => {
            act(0, Act::Kill { host, pause: long });
            return 1;
        }
        7 => {
            for medium in 0..plan.media {
                let from = host;
                act(
                    0,
                    Act::Cut {
                        from,
                        medium,
                        cut: 1,
                    },
                );
                act(
                    long,
                    Act::Cut {
                        from,
                        medium,
                        cut: 0,
                    },
                );
            }
            return 1;
        }
        8 if plan.failback == AutoFailback::Off => {
            let set = draws.index(3);
            act(0, Act::Standby { host, set });
            return 1;
        }
        9 if plan.failback == AutoFailback::Off => {
            let set = draws.index(3);
            act(0, Act::Takeover { host, set });
            return 1;
        }
        8..=10 => act(0, Act::Kill { host, pause }),
        11 => act(0, Act::Reload { host, pause }),
        12 if plan.media > 1 => {
            let from = host;
            act(
                0,
                Act::Cut {
                    from,
                    medium,
                    cut: 1,
                },
            );
            act(
                long,
                Act::Cut {
                    from,
                    medium,
                    cut: 0,
                },
            );
        }
        12 | 13 => {
            let ms = short / 1_000;
            act(
                0,
                Act::Burst {
                    from: host,
                    medium,
                    ms,
                },
            );
        }
        16 => {
            let (ms, machine) = (short / 1_000, draws.range(0..2));
            act(0, Act::Freeze { host, ms, machine });
        }
        14 | 15 if plan.failback == AutoFailback::Off => {
            // Given to a node on which one of them does not start: it comes back, each time.
            let group = draws.index(plan.groups.len());
            let (giver, set) = (host.other(), draws.index(3));
            act(0, Act::Broken { host, group, on: 1 });
            act(1_000, Act::Standby { host: giver, set });
            act(long + 20 * SECOND, Act::Broken { host, group, on: 0 });
            return 1;
        }
        _ => {
            let seconds = draws.pick(&[-3_600, 3_600]);
            act(0, Act::Clock { host, seconds });
        }
    }
    0
}
