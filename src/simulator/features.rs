//! Features that only some plans have. Each feature is drawn from its own stream, so that a new one
//! changes nothing for the seeds that do not have it.

use std::fmt;

use crate::protocol::message::Message;
use crate::protocol::settings::AutoFailback;

use super::act::Act;
use super::chance::{Draws, stir};
use super::faults::Kind;
use super::fencing::Device;
use super::history::FAULTS_END;
use super::ids::{HostId, Key};
use super::plan::{Plan, Program};
use super::world::{Micros, SECOND};

/// Fields between Systole nodes that the version before did not have: it does not send them and
/// ignores them.
pub(crate) const NEW_FIELDS: [&str; 8] = [
    "systole_deaf",
    "systole_runs_foreign",
    "systole_lines",
    "systole_each_line",
    "systole_force",
    "systole_names",
    "systole_dt",
    "systole_links",
];

/// The features of a plan; by default none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Features {
    /// The resources of a group are started and stopped one by one; the first is its address.
    pub steps: bool,
    /// A bit for each of `NEW_FIELDS` that a host does not know.
    pub lacks: [u64; 2],
    /// Commands in quick succession, on both nodes.
    pub operators: bool,
    /// Generation files that are late, lost or rolled back, and frames of earlier runs that are
    /// received again.
    pub generations: bool,
    /// By this many millionths the monotonic clock of each host runs too fast.
    pub drift: [i64; 2],
    /// The root actor panics.
    pub root: bool,
    /// A script takes most of an hour.
    pub hour: bool,
    /// Each node has an `ipfail`.
    pub ipfail: bool,
    /// No group has an address that the network could be asked for.
    pub mute: bool,
    /// Somebody removes addresses, and interfaces go down. 1: a group goes to a node that tells that it can serve
    /// it; 2: to any. 0: nothing of this.
    pub guard: u64,
    /// Addresses have a lifetime that only a node whose heartbeats leave renews. Only with `guard`.
    pub lease: bool,
    /// Services die alone, and their checks lie; each of our nodes has the real monitors.
    pub monitors: bool,
    /// How the fencing devices behave.
    pub device: Option<Device>,
}

/// Random numbers for one feature of one history.
pub(crate) fn stream(kind: Kind, seed: u64, feature: &str) -> Draws {
    let name = feature
        .bytes()
        .fold(kind as u64, |sum, byte| stir(sum ^ u64::from(byte)));
    Draws::new(stir(seed) ^ name)
}

impl Features {
    /// Those of a history.
    pub(crate) fn draw(kind: Kind, seed: u64, plan: &Plan) -> Self {
        let has = |feature: &str, share: u64| stream(kind, seed, feature).percent(share);
        let pure = !plan.programs.contains(&Program::Legacy);
        Self {
            steps: has("steps", 30),
            lacks: lacks(&mut stream(kind, seed, "lacks"), pure),
            operators: kind != Kind::Single && has("operators", 15),
            generations: kind != Kind::Single && pure && has("generations", 15),
            drift: drift(&mut stream(kind, seed, "drift")),
            root: kind != Kind::Single && pure && has("root", 12),
            hour: kind != Kind::Single && pure && has("hour", 2),
            ipfail: plan.gate && has("ipfail", 50),
            mute: pure && has("mute", 25),
            guard: guard(&mut stream(kind, seed, "guard"), kind),
            lease: guard(&mut stream(kind, seed, "guard"), kind) > 0 && has("lease", 60),
            monitors: kind != Kind::Single
                && plan.failback != AutoFailback::Legacy
                && has("steps", 30)
                && has("monitors", 40),
            device: (kind == Kind::Fencing)
                .then(|| stream(kind, seed, "device").pick(&Device::ALL)),
        }
    }

    /// The additional acts.
    pub(crate) fn acts(&self, kind: Kind, seed: u64, plan: &Plan) -> Vec<(Micros, Act)> {
        let mut acts = Vec::new();
        if self.operators {
            operators(&mut stream(kind, seed, "commands"), plan, &mut acts);
        }
        if self.generations {
            files(&mut stream(kind, seed, "files"), plan, &mut acts);
        }
        if self.root {
            roots(&mut stream(kind, seed, "roots"), &mut acts);
        }
        if self.hour {
            let mut draws = stream(kind, seed, "which");
            let (host, group) = (draws.index(2), draws.index(plan.groups.len()));
            let when = draws.range(10 * SECOND..FAULTS_END);
            // A node waits for a hand-over for as long as an hour.
            let ms = 2_400_000;
            acts.push((when, Act::Slow { host, group, ms }));
        }
        if self.guard > 0 {
            interfaces(&mut stream(kind, seed, "interfaces"), plan, &mut acts);
        }
        if self.monitors {
            services(&mut stream(kind, seed, "services"), plan, &mut acts);
        }
        acts.retain(|(when, _)| *when < FAULTS_END);
        acts
    }

    /// Acts that are excluded with it: without its file and with a clock that was set back no node
    /// could know which number is new.
    pub(crate) fn forbids(&self, act: &Act) -> bool {
        self.generations && matches!(act, Act::Clock { seconds, .. } if *seconds < 0)
    }

    /// Reads one word of a plan; `None`: it is none of these.
    pub(crate) fn parse(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "steps" => self.steps = value == "yes",
            "operators" => self.operators = value == "yes",
            "generations" => self.generations = value == "yes",
            "root" => self.root = value == "yes",
            "hour" => self.hour = value == "yes",
            "ipfail" => self.ipfail = value == "yes",
            "mute" => self.mute = value == "yes",
            "guard" => self.guard = value.parse().ok().filter(|it| *it <= 2)?,
            "lease" => self.lease = value == "yes",
            "monitors" => self.monitors = value == "yes",
            "device" => self.device = Some(Device::parse(value)?),
            "drift" => {
                let (a, b) = value.split_once(',')?;
                self.drift = [a.parse().ok()?, b.parse().ok()?];
            }
            "lacks" => {
                let (a, b) = value.split_once(',')?;
                self.lacks = [a.parse().ok()?, b.parse().ok()?];
            }
            _ => return None,
        }
        Some(())
    }

    /// Removes the fields that a host does not know.
    pub(crate) fn strip(&self, host: HostId, message: &mut Message) {
        let lacks = self.lacks.get(host.number()).copied().unwrap_or(0);
        for (bit, field) in NEW_FIELDS.iter().enumerate() {
            if lacks >> bit & 1 == 1 {
                message.remove(field);
            }
        }
    }
}

/// Root panics at the next message; often this is a hand-over, and sometimes the daemon dies after
/// it.
fn roots(draws: &mut Draws, acts: &mut Vec<(Micros, Act)>) {
    let mut when = draws.range(2 * SECOND..30 * SECOND);
    while when < FAULTS_END {
        let (host, set): (HostId, usize) = (draws.index(2), draws.index(3));
        acts.push((when, Act::Root { host }));
        let mut at = when + draws.range(0..200_000);
        if draws.percent(50) {
            let host = draws.index(2);
            acts.push((at, Act::Standby { host, set }));
        }
        if draws.percent(20) {
            at += draws.range(0..SECOND);
            let pause = draws.range(20_000..300_000);
            acts.push((at, Act::Kill { host, pause }));
        }
        when = at + draws.range(SECOND..20 * SECOND);
    }
}

fn guard(draws: &mut Draws, kind: Kind) -> u64 {
    if kind == Kind::Single || !draws.percent(25) {
        return 0;
    }
    draws.range(1..3)
}

/// Addresses that somebody removes, once or again and again, and interfaces that are down for less or more than a
/// dead time. A legacy node does nothing about it.
fn interfaces(draws: &mut Draws, plan: &Plan, acts: &mut Vec<(Micros, Act)>) {
    let mut when = draws.range(10 * SECOND..30 * SECOND);
    while when < FAULTS_END {
        let (host, group): (HostId, _) = (draws.index(2), draws.index(plan.groups.len()));
        let times = match draws.range(0..4) {
            0 => 0,
            1 => 40,
            _ => draws.range(1..4),
        };
        let mut at = when;
        if !plan.is_legacy(host) {
            for _ in 0..times {
                acts.push((at, Act::Remove { host, group }));
                at += draws.range(10_000..500_000);
            }
        }
        if times == 0 {
            acts.push((at, Act::Link { host, down: 1 }));
            at += draws.range(SECOND / 10..4 * plan.longest_deadtime());
            acts.push((at, Act::Link { host, down: 0 }));
        }
        when = at + draws.range(SECOND..25 * SECOND);
    }
}

/// Services that die, once or again after each start, and checks that lie or hang, for a while.
fn services(draws: &mut Draws, plan: &Plan, acts: &mut Vec<(Micros, Act)>) {
    let mut when = draws.range(10 * SECOND..30 * SECOND);
    while when < FAULTS_END {
        let (host, group): (HostId, _) = (draws.index(2), draws.index(plan.groups.len()));
        let mut at = when;
        if draws.percent(60) {
            for _ in 0..draws.range(1..4) {
                acts.push((at, Act::Dies { host, group }));
                at += draws.range(SECOND..15 * SECOND);
            }
        } else {
            let how = draws.range(1..4);
            acts.push((at, Act::Lies { host, group, how }));
            if draws.percent(40) {
                let host = host.other();
                acts.push((at, Act::Lies { host, group, how }));
                let end = at + draws.range(5 * SECOND..120 * SECOND);
                acts.push((
                    end,
                    Act::Lies {
                        host,
                        group,
                        how: 0,
                    },
                ));
            }
            at += draws.range(5 * SECOND..90 * SECOND);
            acts.push((
                at,
                Act::Lies {
                    host,
                    group,
                    how: 0,
                },
            ));
        }
        when = at + draws.range(SECOND..20 * SECOND);
    }
}

/// The two clocks differ by at most one percent.
fn drift(draws: &mut Draws) -> [i64; 2] {
    if !draws.percent(10) {
        return [0; 2];
    }
    [0, 1].map(|_| draws.range(0..10_001) as i64 - 5_000)
}

/// Events of the generation files, and frames that are received again.
fn files(draws: &mut Draws, plan: &Plan, acts: &mut Vec<(Micros, Act)>) {
    let mut when = draws.range(10 * SECOND..40 * SECOND);
    while when < FAULTS_END {
        let (host, how) = (draws.index(2), draws.index(3));
        acts.push((when, Act::Disk { host, how }));
        let mut at = when + draws.range(0..5 * SECOND);
        if draws.percent(60) {
            acts.push((at, Act::Crash { host }));
            acts.push((at + draws.range(0..10 * SECOND), Act::Start { host }));
            at += 12 * SECOND;
        }
        for _ in 0..draws.range(0..4) {
            let (from, medium) = (draws.index(2), draws.index(plan.media));
            let ms = draws.range(1_000..120_000);
            acts.push((at, Act::Replay { from, medium, ms }));
            at += draws.range(SECOND / 10..3 * SECOND);
        }
        acts.push((at, Act::Disk { host, how: 3 }));
        when = at + draws.range(5 * SECOND..40 * SECOND);
    }
}

/// One host, or sometimes both, knows none of the new fields, or not all of them.
fn lacks(draws: &mut Draws, pure: bool) -> [u64; 2] {
    let mut lacks = [0; 2];
    if !pure || !draws.percent(20) {
        return lacks;
    }
    let all = (1 << NEW_FIELDS.len()) - 1;
    let which = if draws.percent(60) {
        all
    } else {
        draws.range(1..all + 1)
    };
    if let Some(lack) = lacks.get_mut(draws.index::<usize>(2)) {
        *lack = which;
    }
    if draws.percent(15) {
        lacks = [which; 2];
    }
    lacks
}

/// Operators in a hurry, on one node or on both.
fn operators(draws: &mut Draws, plan: &Plan, acts: &mut Vec<(Micros, Act)>) {
    let mut when = draws.range(20 * SECOND..60 * SECOND);
    while when < FAULTS_END {
        let mut at = when;
        for _ in 0..draws.range(2..7) {
            let (host, set): (HostId, usize) = (draws.index(2), draws.index(3));
            let command = match draws.range(0..12) {
                0..=5 => Act::Standby { host, set },
                6..=9 => Act::Takeover { host, set },
                _ if plan.is_legacy(host) => Act::Takeover { host, set },
                10 => {
                    let after = at + draws.range(SECOND / 10..10 * SECOND);
                    acts.push((after, Act::Maintenance { host, on: 0 }));
                    Act::Maintenance { host, on: 1 }
                }
                _ => Act::Maintenance { host, on: 0 },
            };
            acts.push((at, command));
            if draws.percent(30) {
                let host = host.other();
                let both = match command {
                    Act::Standby { .. } => Act::Standby { host, set },
                    _ => Act::Takeover { host, set },
                };
                acts.push((at + draws.range(0..20_000), both));
            }
            let longest = draws.pick(&[100_000, SECOND, 3 * SECOND]);
            at += draws.range(1_000..longest);
        }
        when = at + draws.range(10 * SECOND..60 * SECOND);
    }
    for host in plan.hosts() {
        acts.push((FAULTS_END - 1, Act::Maintenance { host, on: 0 }));
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps {
            write!(f, " steps=yes")?;
        }
        if self.lacks != [0; 2] {
            write!(f, " lacks={},{}", self.lacks[0], self.lacks[1])?;
        }
        if self.operators {
            write!(f, " operators=yes")?;
        }
        if self.generations {
            write!(f, " generations=yes")?;
        }
        if self.drift != [0; 2] {
            write!(f, " drift={},{}", self.drift[0], self.drift[1])?;
        }
        if self.root {
            write!(f, " root=yes")?;
        }
        if self.hour {
            write!(f, " hour=yes")?;
        }
        if self.ipfail {
            write!(f, " ipfail=yes")?;
        }
        if self.mute {
            write!(f, " mute=yes")?;
        }
        if self.guard > 0 {
            write!(f, " guard={}", self.guard)?;
        }
        if self.lease {
            write!(f, " lease=yes")?;
        }
        if self.monitors {
            write!(f, " monitors=yes")?;
        }
        if let Some(device) = self.device {
            write!(f, " device={}", device.word())?;
        }
        Ok(())
    }
}
