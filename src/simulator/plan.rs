//! The settings of a history, apart from its acts.

use std::fmt;

use crate::protocol::group::GroupKey;
use crate::protocol::settings::AutoFailback;

use super::chance::Draws;
use super::features::Features;
use super::ids::{GroupId, HostId, Ids, Key, NODE1, NODE2, ids};

/// What runs on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// This program.
    Ours,
    /// This program without the capability by which one of two nodes yields after a partition, as
    /// in an earlier release.
    Ignorant,
    /// The model of the legacy program.
    Legacy,
}

/// Why a plan is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A run has a pair.
    #[error("{0} programs: a run has two hosts")]
    Hosts(usize),
    /// One keepalive and one dead time for each host.
    #[error("{0} has not one value for each host")]
    Values(&'static str),
    /// A time that is nothing, or longer than a day.
    #[error("{name}: {ms} ms is not between 1 ms and a day")]
    Time {
        /// The word of the plan.
        name: &'static str,
        /// What it says.
        ms: u64,
    },
    /// Too few or too many groups, cables or resources.
    #[error("{name}: {count} is not between 1 and {most}")]
    Count {
        /// The word of the plan.
        name: &'static str,
        /// What it says.
        count: usize,
        /// The most that a run takes.
        most: usize,
    },
    /// A group whose owner is none of the hosts.
    #[error("group {0} belongs to none of the hosts")]
    Owner(usize),
    /// A clock that is wrong by more than a tenth.
    #[error("drift {0}: not between -100000 and 100000")]
    Drift(i64),
}

/// The most groups of a plan.
pub(crate) const MOST_GROUPS: usize = 64;
/// The most resources of a group.
const MOST_RESOURCES: usize = 64;
/// The most cables of a plan.
pub(crate) const MOST_MEDIA: usize = 4;
/// The longest time of a plan, in milliseconds.
const LONGEST_MS: u64 = 86_400_000;
/// By how many millionths a clock may be wrong.
const MOST_DRIFT: i64 = 100_000;

/// Times, groups and programs of a run. The times are those of each host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What runs on each host.
    pub programs: Vec<Program>,
    /// `keepalive` of each host, in milliseconds.
    pub keepalives_ms: Vec<u64>,
    /// `deadtime` of each host, in milliseconds.
    pub deadtimes_ms: Vec<u64>,
    /// `initdead` of both, in milliseconds.
    pub initdead_ms: u64,
    /// `auto_failback` of both.
    pub failback: AutoFailback,
    /// `(owner's index, number of resources)` of each group.
    pub groups: Vec<(HostId, usize)>,
    /// How many cables there are.
    pub media: usize,
    /// Longest run of an ordinary script.
    pub script_ms: u64,
    /// Longest run of a slow script.
    pub slow_script_ms: u64,
    /// Longest delay of a message between our own actors.
    pub internal_ms: u64,
    /// There is a ping node, and nodes that are cut off release everything.
    pub gate: bool,
    /// Messages go through the codec, signed.
    pub wire: bool,
    /// What only some plans have.
    pub features: Features,
    /// What scripted runs call their groups; a group without a name is called by its number. Not in the text form.
    pub names: Vec<String>,
}

impl Plan {
    /// A pair of Systole nodes with round times.
    pub fn quiet() -> Self {
        Self {
            programs: vec![Program::Ours; 2],
            keepalives_ms: vec![200; 2],
            deadtimes_ms: vec![1_000; 2],
            initdead_ms: 10_000,
            failback: AutoFailback::Off,
            groups: vec![(NODE1, 2), (NODE2, 1)],
            media: 1,
            script_ms: 50,
            slow_script_ms: 1_000,
            internal_ms: 5,
            gate: false,
            wire: false,
            features: Features::default(),
            names: Vec::new(),
        }
    }

    /// A pair of ours.
    pub fn pure(draws: &mut Draws) -> Self {
        let keepalive_ms = draws.pick(&[100, 200, 300, 400, 500, 600, 800, 1_000]);
        let deadtime_ms = keepalive_ms * draws.range(4..13);
        let mut groups = vec![(NODE1, draws.range(1..4) as usize)];
        if draws.percent(60) {
            groups.push((NODE2, draws.range(1..4) as usize));
        }
        if draws.percent(30) {
            groups.push((NODE1, 1));
        }
        Self {
            programs: match draws.range(0..8) {
                0 => vec![Program::Ignorant, Program::Ours],
                1 => vec![Program::Ours, Program::Ignorant],
                2 => vec![Program::Ignorant; 2],
                _ => vec![Program::Ours; 2],
            },
            keepalives_ms: vec![keepalive_ms; 2],
            deadtimes_ms: vec![deadtime_ms; 2],
            initdead_ms: deadtime_ms.max(10_000) + 2_000,
            failback: match draws.range(0..10) {
                0..=3 => AutoFailback::On,
                4..=7 => AutoFailback::Off,
                _ => AutoFailback::Legacy,
            },
            groups,
            media: draws.range(1..3) as usize,
            script_ms: 60,
            slow_script_ms: 3_000,
            internal_ms: draws.pick(&[1, 5, 20]),
            gate: false,
            wire: draws.percent(5),
            features: Features::default(),
            names: Vec::new(),
        }
    }

    /// A pair of ours with more groups, and with times that differ.
    pub(crate) fn wild(draws: &mut Draws) -> Self {
        let mut plan = Self::pure(draws);
        plan.programs = vec![Program::Ours; 2];
        if draws.percent(50) {
            plan.groups = (0..draws.range(2..6))
                .map(|_| (draws.index(2), draws.range(1..4) as usize))
                .collect();
        }
        match draws.range(0..10) {
            0..=2 => {
                let keepalive_ms = plan.keepalive_ms(NODE1);
                for deadtime_ms in &mut plan.deadtimes_ms {
                    *deadtime_ms = keepalive_ms * draws.range(4..13);
                }
            }
            3 => {
                plan.keepalives_ms = (0..2).map(|_| draws.pick(&[200, 500, 1_000])).collect();
                plan.deadtimes_ms = vec![draws.range(4..10) * 1_000; 2];
            }
            4 if plan.keepalive_ms(NODE1) <= 200 => {
                // More numbers fit into one dead time than are asked for again.
                plan.deadtimes_ms = vec![plan.keepalive_ms(NODE1) * 300; 2];
            }
            _ => {}
        }
        let most = plan.deadtimes_ms.iter().copied().max().unwrap_or(0);
        plan.initdead_ms = most.max(10_000) + 2_000;
        plan
    }

    /// One of ours beside a legacy node.
    pub(crate) fn mixed(draws: &mut Draws) -> Self {
        let mut plan = Self::pure(draws);
        plan.programs = vec![Program::Ours; 2];
        if let Some(program) = plan.programs.get_mut(draws.index::<usize>(2)) {
            *program = Program::Legacy;
        }
        if plan.failback == AutoFailback::Legacy {
            plan.failback = AutoFailback::On;
        }
        // The recommended value beside a legacy node.
        let keepalive_ms = draws.pick(&[100, 200, 500, 1_000]);
        let deadtime_ms = (keepalive_ms * draws.range(4..13)).max(1_000);
        plan.keepalives_ms = vec![keepalive_ms; 2];
        plan.deadtimes_ms = vec![deadtime_ms; 2];
        plan.initdead_ms = deadtime_ms.max(10_000) + 2_000;
        plan
    }

    /// How many parts of a group are started and stopped one by one.
    pub(crate) fn parts(&self, group: GroupId) -> usize {
        if self.features.steps {
            self.resources(group)
        } else {
            1
        }
    }

    /// Which part of a group is its address: the first, or the last.
    pub(crate) fn address_part(&self, group: GroupId) -> usize {
        if group.number() % 2 == 1 {
            self.parts(group) - 1
        } else {
            0
        }
    }

    /// How many hosts there are.
    pub(crate) fn nodes(&self) -> usize {
        self.programs.len()
    }

    /// All hosts.
    pub fn hosts(&self) -> Ids<HostId> {
        ids(self.nodes())
    }

    /// All groups.
    pub fn group_ids(&self) -> Ids<GroupId> {
        ids(self.groups.len())
    }

    pub(crate) fn has_group(&self, group: GroupId) -> bool {
        group.number() < self.groups.len()
    }

    /// The host that haresources names for a group.
    pub(crate) fn owner(&self, group: GroupId) -> HostId {
        self.groups
            .get(group.number())
            .map_or(NODE1, |group| group.0)
    }

    /// How many resources a group has.
    pub(crate) fn resources(&self, group: GroupId) -> usize {
        self.groups.get(group.number()).map_or(1, |group| group.1)
    }

    /// The key of a group: its first resource.
    pub(crate) fn group_key(&self, group: GroupId) -> GroupKey {
        match self.names.get(group.number()) {
            Some(name) => GroupKey::new(name),
            None => GroupKey::new(&format!("dummy::{group}")),
        }
    }

    /// What haresources names for a group.
    pub(crate) fn resource_names(&self, group: GroupId) -> Vec<String> {
        if let Some(name) = self.names.get(group.number()) {
            return vec![name.clone()];
        }
        (0..self.resources(group))
            .map(|resource| format!("dummy::{group}::{resource}"))
            .collect()
    }

    pub(crate) fn program(&self, host: HostId) -> Program {
        let program = self.programs.get(host.number());
        program.copied().unwrap_or(Program::Ours)
    }

    pub(crate) fn is_legacy(&self, host: HostId) -> bool {
        self.program(host) == Program::Legacy
    }

    /// Whether one of the hosts runs the legacy program.
    pub(crate) fn has_legacy(&self) -> bool {
        self.programs.contains(&Program::Legacy)
    }

    /// Microseconds.
    pub(crate) fn keepalive(&self, host: HostId) -> u64 {
        self.keepalive_ms(host) * 1_000
    }

    fn keepalive_ms(&self, host: HostId) -> u64 {
        let time = self.keepalives_ms.get(host.number());
        time.copied().unwrap_or(200)
    }

    /// Microseconds: the dead time that a host announces.
    pub fn deadtime(&self, host: HostId) -> u64 {
        self.deadtimes_ms
            .get(host.number())
            .copied()
            .unwrap_or(1_000)
            * 1_000
    }

    /// Microseconds: the longer of both.
    pub fn longest_deadtime(&self) -> u64 {
        self.deadtimes_ms.iter().copied().max().unwrap_or(0) * 1_000
    }

    /// Microseconds: the longer of both.
    pub fn longest_keepalive(&self) -> u64 {
        self.keepalives_ms.iter().copied().max().unwrap_or(0) * 1_000
    }

    /// The plan, if a run takes it: every number is one that it can count with.
    ///
    /// # Errors
    /// The first value that is out of its bounds.
    pub fn checked(self) -> Result<Self, PlanError> {
        let nodes = self.nodes();
        if nodes != 2 {
            return Err(PlanError::Hosts(nodes));
        }
        for (name, values) in [
            ("keepalive", &self.keepalives_ms),
            ("deadtime", &self.deadtimes_ms),
        ] {
            if values.len() != nodes {
                return Err(PlanError::Values(name));
            }
            values.iter().try_for_each(|ms| time(name, *ms))?;
        }
        time("initdead", self.initdead_ms)?;
        time("script", self.script_ms)?;
        time("slow", self.slow_script_ms)?;
        // No delay at all is possible.
        time("internal", self.internal_ms.max(1))?;
        count("groups", self.groups.len(), MOST_GROUPS)?;
        count("media", self.media, MOST_MEDIA)?;
        for (at, (owner, resources)) in self.groups.iter().enumerate() {
            if owner.number() >= nodes {
                return Err(PlanError::Owner(at));
            }
            count("resources", *resources, MOST_RESOURCES)?;
        }
        let drift = self.features.drift.iter();
        match drift
            .copied()
            .find(|it| !(-MOST_DRIFT..=MOST_DRIFT).contains(it))
        {
            Some(drift) => Err(PlanError::Drift(drift)),
            None => Ok(self),
        }
    }

    /// The plan that [`fmt::Display`] has written.
    pub fn parse(text: &str) -> Option<Self> {
        let mut plan = Self::quiet();
        for word in text.split_whitespace() {
            let (name, value) = word.split_once('=')?;
            let numbers: Option<Vec<u64>> = value.split(',').map(|n| n.parse().ok()).collect();
            match name {
                "programs" => {
                    plan.programs = value.split(',').map(program).collect::<Option<_>>()?;
                }
                "keepalive" => plan.keepalives_ms = numbers?,
                "deadtime" => plan.deadtimes_ms = numbers?,
                "initdead" => plan.initdead_ms = value.parse().ok()?,
                "failback" => {
                    plan.failback = match value {
                        "on" => AutoFailback::On,
                        "off" => AutoFailback::Off,
                        _ => AutoFailback::Legacy,
                    };
                }
                "groups" => plan.groups = value.split(',').map(group).collect::<Option<_>>()?,
                "media" => plan.media = value.parse().ok()?,
                "script" => plan.script_ms = value.parse().ok()?,
                "slow" => plan.slow_script_ms = value.parse().ok()?,
                "internal" => plan.internal_ms = value.parse().ok()?,
                "gate" => plan.gate = value == "yes",
                "wire" => plan.wire = value == "yes",
                _ => plan.features.parse(name, value)?,
            }
        }
        Some(plan)
    }
}

fn time(name: &'static str, ms: u64) -> Result<(), PlanError> {
    let fits = (1..=LONGEST_MS).contains(&ms);
    fits.then_some(()).ok_or(PlanError::Time { name, ms })
}

fn count(name: &'static str, count: usize, most: usize) -> Result<(), PlanError> {
    let fits = (1..=most).contains(&count);
    fits.then_some(())
        .ok_or(PlanError::Count { name, count, most })
}

fn program(word: &str) -> Option<Program> {
    match word {
        "ours" => Some(Program::Ours),
        "ignorant" => Some(Program::Ignorant),
        "legacy" => Some(Program::Legacy),
        _ => None,
    }
}

fn group(word: &str) -> Option<(HostId, usize)> {
    let (owner, resources) = word.split_once(':')?;
    Some((HostId::of(owner.parse().ok()?), resources.parse().ok()?))
}

fn joined<T>(items: &[T], word: impl Fn(&T) -> String) -> String {
    items.iter().map(word).collect::<Vec<_>>().join(",")
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |program: &Program| match program {
            Program::Ours => "ours".to_owned(),
            Program::Ignorant => "ignorant".to_owned(),
            Program::Legacy => "legacy".to_owned(),
        };
        let failback = match self.failback {
            AutoFailback::On => "on",
            AutoFailback::Off => "off",
            AutoFailback::Legacy => "legacy",
        };
        let yes = |is| if is { "yes" } else { "no" };
        write!(
            f,
            "programs={} keepalive={} deadtime={} initdead={} failback={failback} groups={} \
             media={} script={} slow={} internal={} gate={} wire={}{}",
            joined(&self.programs, word),
            joined(&self.keepalives_ms, u64::to_string),
            joined(&self.deadtimes_ms, u64::to_string),
            self.initdead_ms,
            joined(&self.groups, |(owner, size)| format!(
                "{}:{size}",
                owner.number()
            )),
            self.media,
            self.script_ms,
            self.slow_script_ms,
            self.internal_ms,
            yes(self.gate),
            yes(self.wire),
            self.features,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_out_of_its_bounds_is_refused() {
        let refused = |words: &str| Plan::parse(words).expect("a plan").checked().err();
        assert_eq!(refused(""), None);
        for (words, error) in [
            ("programs=ours", PlanError::Hosts(1)),
            ("keepalive=200", PlanError::Values("keepalive")),
            (
                "deadtime=0,1000",
                PlanError::Time {
                    name: "deadtime",
                    ms: 0,
                },
            ),
            ("groups=2:1", PlanError::Owner(0)),
            ("drift=0,-1000000", PlanError::Drift(-1_000_000)),
            (
                "media=5",
                PlanError::Count {
                    name: "media",
                    count: 5,
                    most: 4,
                },
            ),
        ] {
            assert_eq!(refused(words), Some(error), "{words}");
        }
    }
}
