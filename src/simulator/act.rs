//! Events from outside a pair: faults, and actions of people.

use std::fmt;

use super::ids::{GroupId, HostId, Key};

/// One fault or one action of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the text above each act names its numbers")]
pub enum Act {
    /// The daemon is started, unless it runs.
    Start { host: HostId },
    /// Power is cut.
    Crash { host: HostId },
    /// The daemon is asked to stop.
    Stop { host: HostId },
    /// The daemon alone is killed; its guardian starts it again after this many microseconds.
    Kill { host: HostId, pause: u64 },
    /// `heartbeat -r`: restart in place, as soon as the node is ready; the new process needs this
    /// long.
    Reload { host: HostId, pause: u64 },
    /// The core panics in the next call that has something to do: its actions are lost.
    Panic { host: HostId },
    /// The daemon gets no processor for this many milliseconds; with 1 the whole machine does not.
    Freeze { host: HostId, ms: u64, machine: u64 },
    /// One direction of one cable; 1: is cut.
    Cut {
        from: HostId,
        medium: usize,
        cut: u64,
    },
    /// All cables of a host.
    Cable { host: HostId, cut: u64 },
    /// All faults of the network end.
    Heal,
    /// Share of datagrams lost in one direction on one medium.
    Loss {
        from: HostId,
        medium: usize,
        percent: u64,
    },
    /// The same in all directions and on all media.
    LossAll { percent: u64 },
    /// All datagrams of one direction on one medium are lost for this long.
    Burst {
        from: HostId,
        medium: usize,
        ms: u64,
    },
    /// Longest delay in one direction on one medium.
    Delay {
        from: HostId,
        medium: usize,
        micros: u64,
    },
    /// Share of datagrams that come twice, in one direction on one medium.
    Twice {
        from: HostId,
        medium: usize,
        percent: u64,
    },
    /// Both of these, everywhere.
    Noisy { percent: u64, micros: u64 },
    /// A direction with this rate in bytes per second, which queues the rest, as a serial line.
    Line {
        from: HostId,
        medium: usize,
        rate: u64,
    },
    /// The wall clock is stepped.
    Clock { host: HostId, seconds: i64 },
    /// `hb_standby`; which: all, local, foreign.
    Standby { host: HostId, set: usize },
    /// `hb_takeover`.
    Takeover { host: HostId, set: usize },
    /// 1: starts of the group fail on this host.
    Broken {
        host: HostId,
        group: GroupId,
        on: u64,
    },
    /// 1: another machine has an address of the group: it is not started on this host.
    Taken {
        host: HostId,
        group: GroupId,
        on: u64,
    },
    /// The next script of the group takes this long.
    Slow {
        host: HostId,
        group: GroupId,
        ms: u64,
    },
    /// Timers come this much later than requested.
    Late { host: HostId, micros: u64 },
    /// Share of datagrams with a bit that has changed, in one direction on one medium.
    Corrupt {
        from: HostId,
        medium: usize,
        percent: u64,
    },
    /// Messages that the host sent this long ago are received once more.
    Replay {
        from: HostId,
        medium: usize,
        ms: u64,
    },
    /// The root actor panics at its next message.
    Root { host: HostId },
    /// An event of the generation file, see `disk.rs`.
    Disk { host: HostId, how: usize },
    /// The host signs with its other key.
    Rotate { host: HostId },
    /// Everything must have settled; 0: in the same place as at the last rest.
    Rest { moved: u64 },
    /// The next stop of the group on this host fails for good.
    Unstoppable { host: HostId, group: GroupId },
    /// A message that the other node must handle exactly once.
    Mark { host: HostId },
    /// Maintenance: 1: the node is frozen.
    Maintenance { host: HostId, on: u64 },
    /// The path to the ping node; 1: is cut.
    Gate { host: HostId, cut: u64 },
    /// Everything that is broken is repaired, and random losses and delays end.
    Peace,
}

/// The largest number in an act that is read: a time in microseconds or milliseconds that a run can count with.
const MOST: u64 = 10_000_000_000;

/// The words of the second parameter of [`Act::Standby`] and [`Act::Takeover`].
pub const SETS: [&str; 3] = ["all", "local", "foreign"];

/// The word of a set; all of them for a number that has none.
pub(crate) fn set_word(set: usize) -> &'static str {
    SETS.get(set).copied().unwrap_or("all")
}

impl Act {
    fn words(self) -> (&'static str, Vec<i64>) {
        let n = |number: usize| number as i64;
        let h = |host: HostId| n(host.number());
        let g = |group: GroupId| n(group.number());
        let u = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        match self {
            Self::Start { host } => ("start", vec![h(host)]),
            Self::Crash { host } => ("crash", vec![h(host)]),
            Self::Stop { host } => ("stop", vec![h(host)]),
            Self::Kill { host, pause } => ("kill", vec![h(host), u(pause)]),
            Self::Reload { host, pause } => ("reload", vec![h(host), u(pause)]),
            Self::Panic { host } => ("panic", vec![h(host)]),
            Self::Freeze { host, ms, machine } => ("freeze", vec![h(host), u(ms), u(machine)]),
            Self::Cut { from, medium, cut } => ("cut", vec![h(from), n(medium), u(cut)]),
            Self::Cable { host, cut } => ("cable", vec![h(host), u(cut)]),
            Self::Heal => ("heal", vec![]),
            Self::Loss {
                from,
                medium,
                percent,
            } => ("loss", vec![h(from), n(medium), u(percent)]),
            Self::LossAll { percent } => ("loss-all", vec![u(percent)]),
            Self::Burst { from, medium, ms } => ("burst", vec![h(from), n(medium), u(ms)]),
            Self::Delay {
                from,
                medium,
                micros,
            } => ("delay", vec![h(from), n(medium), u(micros)]),
            Self::Twice {
                from,
                medium,
                percent,
            } => ("twice", vec![h(from), n(medium), u(percent)]),
            Self::Noisy { percent, micros } => ("noisy", vec![u(percent), u(micros)]),
            Self::Line { from, medium, rate } => ("line", vec![h(from), n(medium), u(rate)]),
            Self::Clock { host, seconds } => ("clock", vec![h(host), seconds]),
            Self::Standby { host, set } => ("standby", vec![h(host), n(set)]),
            Self::Takeover { host, set } => ("takeover", vec![h(host), n(set)]),
            Self::Broken { host, group, on } => ("broken", vec![h(host), g(group), u(on)]),
            Self::Taken { host, group, on } => ("taken", vec![h(host), g(group), u(on)]),
            Self::Slow { host, group, ms } => ("slow", vec![h(host), g(group), u(ms)]),
            Self::Late { host, micros } => ("late", vec![h(host), u(micros)]),
            Self::Corrupt {
                from,
                medium,
                percent,
            } => ("corrupt", vec![h(from), n(medium), u(percent)]),
            Self::Replay { from, medium, ms } => ("replay", vec![h(from), n(medium), u(ms)]),
            Self::Root { host } => ("root", vec![h(host)]),
            Self::Disk { host, how } => ("disk", vec![h(host), n(how)]),
            Self::Rotate { host } => ("rotate", vec![h(host)]),
            Self::Rest { moved } => ("rest", vec![u(moved)]),
            Self::Unstoppable { host, group } => ("unstoppable", vec![h(host), g(group)]),
            Self::Mark { host } => ("mark", vec![h(host)]),
            Self::Maintenance { host, on } => ("maintenance", vec![h(host), u(on)]),
            Self::Gate { host, cut } => ("gate", vec![h(host), u(cut)]),
            Self::Peace => ("peace", vec![]),
        }
    }

    /// The act that [`fmt::Display`] has written; hosts are below 2, media below 4, groups below 64.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let name = words.next()?;
        let numbers: Vec<i64> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
        let u = |at: usize| {
            let number = numbers.get(at).and_then(|n| u64::try_from(*n).ok());
            number.filter(|number| *number <= MOST)
        };
        let below = |at: usize, end: usize| {
            let number = usize::try_from(*numbers.get(at)?).ok()?;
            (number < end).then_some(number)
        };
        let h = || below(0, 2).map(HostId::of);
        let m = || below(1, 4);
        let g = || below(1, 64).map(GroupId::of);
        Some(match name {
            "start" => Self::Start { host: h()? },
            "crash" => Self::Crash { host: h()? },
            "stop" => Self::Stop { host: h()? },
            "kill" => Self::Kill {
                host: h()?,
                pause: u(1)?,
            },
            "reload" => Self::Reload {
                host: h()?,
                pause: u(1)?,
            },
            "panic" => Self::Panic { host: h()? },
            "freeze" => Self::Freeze {
                host: h()?,
                ms: u(1)?,
                machine: u(2)?,
            },
            "cut" => Self::Cut {
                from: h()?,
                medium: m()?,
                cut: u(2)?,
            },
            "cable" => Self::Cable {
                host: h()?,
                cut: u(1)?,
            },
            "heal" => Self::Heal,
            "loss" => Self::Loss {
                from: h()?,
                medium: m()?,
                percent: u(2)?,
            },
            "loss-all" => Self::LossAll { percent: u(0)? },
            "burst" => Self::Burst {
                from: h()?,
                medium: m()?,
                ms: u(2)?,
            },
            "delay" => Self::Delay {
                from: h()?,
                medium: m()?,
                micros: u(2)?,
            },
            "twice" => Self::Twice {
                from: h()?,
                medium: m()?,
                percent: u(2)?,
            },
            "noisy" => Self::Noisy {
                percent: u(0)?,
                micros: u(1)?,
            },
            "line" => Self::Line {
                from: h()?,
                medium: m()?,
                rate: u(2)?,
            },
            "clock" => Self::Clock {
                host: h()?,
                seconds: *numbers.get(1).filter(|n| n.unsigned_abs() <= MOST)?,
            },
            "standby" => Self::Standby {
                host: h()?,
                set: below(1, 3)?,
            },
            "takeover" => Self::Takeover {
                host: h()?,
                set: below(1, 3)?,
            },
            "broken" => Self::Broken {
                host: h()?,
                group: g()?,
                on: u(2)?,
            },
            "taken" => Self::Taken {
                host: h()?,
                group: g()?,
                on: u(2)?,
            },
            "slow" => Self::Slow {
                host: h()?,
                group: g()?,
                ms: u(2)?,
            },
            "late" => Self::Late {
                host: h()?,
                micros: u(1)?,
            },
            "corrupt" => Self::Corrupt {
                from: h()?,
                medium: m()?,
                percent: u(2)?,
            },
            "replay" => Self::Replay {
                from: h()?,
                medium: m()?,
                ms: u(2)?,
            },
            "root" => Self::Root { host: h()? },
            "disk" => Self::Disk {
                host: h()?,
                how: below(1, 4)?,
            },
            "rotate" => Self::Rotate { host: h()? },
            "rest" => Self::Rest { moved: u(0)? },
            "unstoppable" => Self::Unstoppable {
                host: h()?,
                group: g()?,
            },
            "mark" => Self::Mark { host: h()? },
            "maintenance" => Self::Maintenance {
                host: h()?,
                on: u(1)?,
            },
            "gate" => Self::Gate {
                host: h()?,
                cut: u(1)?,
            },
            "peace" => Self::Peace,
            _ => return None,
        })
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, numbers) = self.words();
        f.write_str(name)?;
        numbers.iter().try_for_each(|number| write!(f, " {number}"))
    }
}
