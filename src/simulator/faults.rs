//! Histories drawn from a seed.

use super::act::Act;
use super::chance::Draws;
use super::features::Features;
use super::history::{FAULTS_END, History};
use super::ids::{GroupId, HostId, Key, Table};
use super::plan::Plan;
use super::world::{Micros, SECOND};

/// The kinds of histories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A pair of Systole nodes; machines, cables and people.
    Pure,
    /// Beside the legacy model.
    Mixed,
    /// A ping node that is lost and found, and nodes that release when they are cut off.
    Isolation,
    /// People freeze and thaw the nodes.
    Maintenance,
    /// `auto_failback legacy`, and daemons that die.
    LegacyFailback,
    /// Daemons that die alone and are revived, restarts in place, panics; losses and delays in one
    /// direction of a path; different times on the nodes.
    Revived,
    /// One fault at a time, each followed by a rest.
    Single,
    /// As `Revived`, and each node has a fencing device.
    Fencing,
    /// As `Mixed`, and the daemon of the Systole node dies alone and is revived, restarts in place, or panics.
    MixedRevived,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Pure,
        Self::Mixed,
        Self::Isolation,
        Self::Maintenance,
        Self::LegacyFailback,
        Self::Revived,
        Self::Single,
        Self::Fencing,
        Self::MixedRevived,
    ];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Mixed => "mixed",
            Self::Isolation => "isolation",
            Self::Maintenance => "maintenance",
            Self::LegacyFailback => "legacy-failback",
            Self::Revived => "revived",
            Self::Single => "single",
            Self::Fencing => "fencing",
            Self::MixedRevived => "mixed-revived",
        }
    }

    /// The history of a seed.
    pub fn history(self, seed: u64) -> History {
        if self == Self::Single {
            return super::singles::history(seed);
        }
        let mut draws = Draws::new(seed.wrapping_mul(16) + self as u64);
        let mut plan = match self {
            Self::Pure | Self::Maintenance | Self::Isolation => Plan::pure(&mut draws),
            Self::Mixed | Self::MixedRevived => Plan::mixed(&mut draws),
            Self::LegacyFailback | Self::Revived | Self::Single | Self::Fencing => {
                Plan::wild(&mut draws)
            }
        };
        if self == Self::LegacyFailback {
            plan.failback = crate::protocol::settings::AutoFailback::Legacy;
        }
        plan.gate = self == Self::Isolation;
        plan.features = Features::draw(self, seed, &plan);
        let mut drawn = Drawn {
            kind: self,
            wild: matches!(
                self,
                Self::LegacyFailback | Self::Revived | Self::Fencing | Self::MixedRevived
            ),
            plan,
            acts: Vec::new(),
            broken: Table::filled(2, 0),
            now: SECOND,
            draws,
        };
        drawn.begin();
        drawn.people();
        drawn.now = 16 * SECOND;
        while drawn.now < FAULTS_END {
            drawn.fault();
            drawn.now += drawn.draws.range(SECOND / 5..8 * SECOND);
        }
        // Acts planned for later are dropped.
        drawn.acts.retain(|(when, _)| *when < FAULTS_END);
        let more = drawn.plan.features.acts(self, seed, &drawn.plan);
        drawn.acts.extend(more);
        let features = &drawn.plan.features;
        drawn.acts.retain(|(_, act)| !features.forbids(act));
        drawn.acts.push((FAULTS_END, Act::Peace));
        drawn.acts.sort_by_key(|(when, _)| *when);
        History {
            remark: format!("{} seed {seed}", self.word()),
            plan: drawn.plan,
            noise: drawn.draws.next(),
            acts: drawn.acts,
        }
    }
}

/// A history that is being drawn.
struct Drawn {
    kind: Kind,
    wild: bool,
    plan: Plan,
    draws: Draws,
    acts: Vec<(Micros, Act)>,
    /// A bit for each group that does not start on a host.
    broken: Table<HostId, u64>,
    now: Micros,
}

impl Drawn {
    fn act(&mut self, act: Act) {
        self.acts.push((self.now, act));
    }

    fn later(&mut self, after: Micros, act: Act) {
        self.acts.push((self.now + after, act));
    }

    /// Some hosts start late, or only when a person starts them.
    fn begin(&mut self) {
        for host in self.plan.hosts() {
            match self.draws.range(0..10) {
                0 => {}
                1..=3 => {
                    let after = self.draws.range(0..40 * SECOND);
                    self.later(after, Act::Start { host });
                }
                _ => self.act(Act::Start { host }),
            }
        }
    }

    /// Actions of people and of the ping node in some kinds.
    fn people(&mut self) {
        for host in self.plan.hosts() {
            let mut when = self.draws.range(16 * SECOND..60 * SECOND);
            while when < FAULTS_END - 5 * SECOND {
                let end = when + self.draws.range(SECOND..40 * SECOND);
                let end = end.min(FAULTS_END - SECOND);
                for (at, on) in [(when, 1), (end, 0)] {
                    match self.kind {
                        Kind::Maintenance => {
                            self.acts.push((at, Act::Maintenance { host, on }));
                        }
                        Kind::Isolation => self.acts.push((at, Act::Gate { host, cut: on })),
                        _ => return,
                    }
                }
                // Cut off from everything, or only the ping node is lost.
                if self.kind == Kind::Isolation && self.draws.percent(50) {
                    self.acts.push((when, Act::Cable { host, cut: 1 }));
                    self.acts.push((end, Act::Cable { host, cut: 0 }));
                }
                when = end + self.draws.range(SECOND..40 * SECOND);
            }
        }
    }

    fn fault(&mut self) {
        if self.wild && self.draws.percent(45) {
            return self.wild_fault();
        }
        if self.draws.percent(12) {
            return self.path_fault();
        }
        if self.draws.percent(8) {
            return self.script_fault();
        }
        let host = self.draws.index(2);
        let medium = self.draws.index(self.plan.media);
        let set = self.draws.index(3);
        let group: GroupId = self.draws.index(self.plan.groups.len());
        match self.draws.range(0..25) {
            0 => self.act(Act::Cut {
                from: host,
                medium,
                cut: 1,
            }),
            1 => self.act(Act::Cable { host, cut: 1 }),
            2..=5 => self.act(Act::Heal),
            6 => {
                let percent = self.draws.range(0..40);
                self.act(Act::LossAll { percent });
            }
            7 => {
                let ms = self.draws.range(50..2_000);
                self.act(Act::Burst {
                    from: host,
                    medium,
                    ms,
                });
            }
            8 => {
                let (percent, micros) = (self.draws.range(0..50), self.draws.range(201..50_000));
                self.act(Act::Noisy { percent, micros });
            }
            9 => self.act(Act::Crash { host }),
            10..=12 => self
                .plan
                .hosts()
                .for_each(|host| self.act(Act::Start { host })),
            13 => self.act(Act::Stop { host }),
            14 => {
                let deadtime_ms = self.plan.deadtime(host) / 1_000;
                let ms = self
                    .draws
                    .range(deadtime_ms / 10..(deadtime_ms * 5).min(60_000));
                let machine = u64::from(self.draws.percent(30));
                self.act(Act::Freeze { host, ms, machine });
            }
            15 => {
                let seconds = self.draws.pick(&[-3_600, 3_600]);
                self.act(Act::Clock { host, seconds });
            }
            16 | 17 => self.act(Act::Standby { host, set }),
            18 => self.act(Act::Takeover { host, set }),
            // A legacy node does not try again.
            19 if self.plan.has_legacy() => {}
            19 => {
                let bit = group.number();
                self.broken[host] ^= 1 << bit;
                let on = (self.broken[host] >> bit) & 1;
                self.act(Act::Broken { host, group, on });
            }
            20 => {
                self.act(Act::Crash { host });
                self.act(Act::Start { host });
            }
            21 if self.draws.percent(30) => self.act(Act::Unstoppable { host, group }),
            _ => self.act(Act::Mark { host }),
        }
    }

    /// One direction of one path.
    fn path_fault(&mut self) {
        let from = self.draws.index(2);
        let medium = self.draws.index(self.plan.media);
        match self.draws.range(0..if self.plan.wire { 9 } else { 6 }) {
            6 => {
                let percent = self.draws.range(0..101);
                self.act(Act::Corrupt {
                    from,
                    medium,
                    percent,
                });
            }
            7 => {
                let ms = self.draws.range(1_000..60_000);
                self.act(Act::Replay { from, medium, ms });
            }
            8 => self.act(Act::Rotate { host: from }),
            0 => {
                let percent = self.draws.range(0..101);
                self.act(Act::Loss {
                    from,
                    medium,
                    percent,
                });
            }
            1 => {
                let percent = self.draws.range(1..60);
                self.act(Act::Twice {
                    from,
                    medium,
                    percent,
                });
            }
            2 => {
                // Nine queued heartbeats still arrive before the dead time is over.
                let rate = self.draws.pick(&[960, 1_920, 11_520]);
                self.act(Act::Line { from, medium, rate });
            }
            3 => self.act(Act::Heal),
            _ => {
                let most = self.plan.deadtime(from) / self.draws.pick(&[4, 4, 4, 2]);
                let micros = self.draws.range(2_000..most.max(3_000));
                self.act(Act::Delay {
                    from,
                    medium,
                    micros,
                });
            }
        }
    }

    /// Scripts and timers; beside a legacy node only faults that a legacy node survives.
    fn script_fault(&mut self) {
        let host = self.draws.index(2);
        let group: GroupId = self.draws.index(self.plan.groups.len());
        match self.draws.range(0..4) {
            0 | 1 => {
                let ms = self.draws.pick(&[5_000, 10_000, 20_000, 70_000]);
                self.act(Act::Slow { host, group, ms });
            }
            2 if !self.plan.has_legacy() => {
                self.act(Act::Taken { host, group, on: 1 });
                let after = self.draws.range(SECOND..40 * SECOND);
                self.later(after, Act::Taken { host, group, on: 0 });
            }
            _ => {
                let micros = self.draws.range(1_000..self.plan.keepalive(host));
                self.act(Act::Late { host, micros });
                let after = self.draws.range(SECOND..20 * SECOND);
                self.later(after, Act::Late { host, micros: 0 });
            }
        }
    }

    fn wild_fault(&mut self) {
        let host = self.draws.index(2);
        let pause = self.revival(host);
        let set = self.draws.index(3);
        match self.draws.range(0..10) {
            0..=2 => self.act(Act::Kill { host, pause }),
            3 => self.act(Act::Panic { host }),
            4 => self.act(Act::Reload { host, pause }),
            5 => {
                self.act(Act::Kill { host, pause });
                let pause = self.revival(host.other());
                self.act(Act::Kill {
                    host: host.other(),
                    pause,
                });
            }
            6 | 7 => {
                // In the middle of a hand-over.
                self.act(Act::Standby { host, set });
                let victim = self.draws.index(2);
                let after = self.draws.range(0..2 * SECOND);
                let how = self.death(victim, pause);
                self.later(after, how);
            }
            _ => {
                // Around the end of a cut.
                self.act(Act::Cable { host, cut: 1 });
                let deadtime = self.plan.longest_deadtime();
                let healed = deadtime + self.draws.range(0..2 * deadtime);
                self.later(healed, Act::Cable { host, cut: 0 });
                let after = healed + self.draws.range(0..SECOND);
                let victim = self.draws.index(2);
                let how = self.death(victim, pause);
                self.later(after, how);
            }
        }
    }

    fn death(&mut self, host: HostId, pause: Micros) -> Act {
        if self.draws.percent(75) {
            Act::Kill { host, pause }
        } else {
            Act::Panic { host }
        }
    }

    /// How long the guardian and the new process take; sometimes a bad file or a missing interface
    /// delays them.
    fn revival(&mut self, host: HostId) -> Micros {
        if self.draws.percent(85) {
            self.draws.range(20_000..300_000)
        } else {
            let longest = 3 * self.plan.deadtime(host);
            self.draws
                .range(300_000..longest.clamp(400_000, 30 * SECOND))
        }
    }
}
