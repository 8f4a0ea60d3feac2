//! Events from outside a pair: faults, and actions of people.

use std::fmt;

use super::ids::{GroupId, HostId, Key};
use super::plan::{MOST_GROUPS, MOST_MEDIA};

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
    /// Somebody removes the addresses of a group.
    Remove { host: HostId, group: GroupId },
    /// The interface of all service addresses; 1: is down.
    Link { host: HostId, down: u64 },
    /// The monitored part of a group that runs dies alone.
    Dies { host: HostId, group: GroupId },
    /// The check of a group; 0: is right, 1: always says dead, 2: has no answer, 3: is right, and the service dies
    /// again after each start.
    Lies {
        host: HostId,
        group: GroupId,
        how: u64,
    },
    /// Everything that is broken is repaired, and random losses and delays end.
    Peace,
}

impl Act {
    /// Whether a group may leave its owner for it, and is not to return by itself.
    pub(crate) const fn may_move(self) -> bool {
        matches!(
            self,
            Self::Standby { .. }
                | Self::Takeover { .. }
                | Self::Broken { .. }
                | Self::Taken { .. }
                | Self::Unstoppable { .. }
                | Self::Maintenance { .. }
                | Self::Gate { .. }
                | Self::Remove { .. }
                | Self::Link { .. }
                | Self::Dies { .. }
                | Self::Lies { .. }
        )
    }
}

/// The largest number in an act that is read: a time in microseconds or milliseconds that a run can count with.
const MOST: u64 = 10_000_000_000;

/// The words of the second parameter of [`Act::Standby`] and [`Act::Takeover`].
pub const SETS: [&str; 3] = ["all", "local", "foreign"];

/// The word of a set; all of them for a number that has none.
pub(crate) fn set_word(set: usize) -> &'static str {
    SETS.get(set).copied().unwrap_or("all")
}

/// The text form of acts: the word, then the numbers in this order, each read as what it is.
macro_rules! text_form {
    ($($word:literal $act:ident { $($field:ident: $what:ident),* })*) => {
        impl Act {
            fn words(self) -> (&'static str, Vec<i64>) {
                match self {
                    $(Self::$act { $($field),* } => ($word, vec![$($field.numeral()),*]),)*
                }
            }

            fn read(word: &str, numbers: &mut Numbers<'_>) -> Option<Self> {
                Some(match word {
                    $($word => Self::$act { $($field: numbers.$what()?),* },)*
                    _ => return None,
                })
            }
        }
    };
}

text_form! {
    "start" Start { host: host }
    "crash" Crash { host: host }
    "stop" Stop { host: host }
    "kill" Kill { host: host, pause: amount }
    "reload" Reload { host: host, pause: amount }
    "panic" Panic { host: host }
    "freeze" Freeze { host: host, ms: amount, machine: amount }
    "cut" Cut { from: host, medium: medium, cut: amount }
    "cable" Cable { host: host, cut: amount }
    "heal" Heal {}
    "loss" Loss { from: host, medium: medium, percent: amount }
    "loss-all" LossAll { percent: amount }
    "burst" Burst { from: host, medium: medium, ms: amount }
    "delay" Delay { from: host, medium: medium, micros: amount }
    "twice" Twice { from: host, medium: medium, percent: amount }
    "noisy" Noisy { percent: amount, micros: amount }
    "line" Line { from: host, medium: medium, rate: amount }
    "clock" Clock { host: host, seconds: step }
    "standby" Standby { host: host, set: set }
    "takeover" Takeover { host: host, set: set }
    "broken" Broken { host: host, group: group, on: amount }
    "taken" Taken { host: host, group: group, on: amount }
    "slow" Slow { host: host, group: group, ms: amount }
    "late" Late { host: host, micros: amount }
    "corrupt" Corrupt { from: host, medium: medium, percent: amount }
    "replay" Replay { from: host, medium: medium, ms: amount }
    "root" Root { host: host }
    "disk" Disk { host: host, how: how }
    "rotate" Rotate { host: host }
    "rest" Rest { moved: amount }
    "unstoppable" Unstoppable { host: host, group: group }
    "mark" Mark { host: host }
    "maintenance" Maintenance { host: host, on: amount }
    "gate" Gate { host: host, cut: amount }
    "remove" Remove { host: host, group: group }
    "link" Link { host: host, down: amount }
    "dies" Dies { host: host, group: group }
    "lies" Lies { host: host, group: group, how: amount }
    "peace" Peace {}
}

/// A parameter of an act as a number.
trait Numeral {
    fn numeral(self) -> i64;
}

impl Numeral for i64 {
    fn numeral(self) -> i64 {
        self
    }
}

impl Numeral for u64 {
    fn numeral(self) -> i64 {
        i64::try_from(self).unwrap_or(i64::MAX)
    }
}

impl Numeral for usize {
    fn numeral(self) -> i64 {
        i64::try_from(self).unwrap_or(i64::MAX)
    }
}

impl Numeral for HostId {
    fn numeral(self) -> i64 {
        self.number().numeral()
    }
}

impl Numeral for GroupId {
    fn numeral(self) -> i64 {
        self.number().numeral()
    }
}

/// The numbers of an act that is being read, each within the bounds of what it stands for.
struct Numbers<'a>(std::slice::Iter<'a, i64>);

impl Numbers<'_> {
    fn below(&mut self, end: usize) -> Option<usize> {
        let number = usize::try_from(*self.0.next()?).ok()?;
        (number < end).then_some(number)
    }

    fn host(&mut self) -> Option<HostId> {
        self.below(2).map(HostId::of)
    }

    fn medium(&mut self) -> Option<usize> {
        self.below(MOST_MEDIA)
    }

    fn group(&mut self) -> Option<GroupId> {
        self.below(MOST_GROUPS).map(GroupId::of)
    }

    fn set(&mut self) -> Option<usize> {
        self.below(SETS.len())
    }

    /// What happens to a generation file.
    fn how(&mut self) -> Option<usize> {
        self.below(4)
    }

    fn amount(&mut self) -> Option<u64> {
        let number = u64::try_from(*self.0.next()?).ok()?;
        (number <= MOST).then_some(number)
    }

    /// The step of a clock.
    fn step(&mut self) -> Option<i64> {
        let number = *self.0.next()?;
        (number.unsigned_abs() <= MOST).then_some(number)
    }
}

impl Act {
    /// The act that [`fmt::Display`] has written.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let word = words.next()?;
        let numbers: Vec<i64> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
        Self::read(word, &mut Numbers(numbers.iter()))
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, numbers) = self.words();
        f.write_str(name)?;
        numbers.iter().try_for_each(|number| write!(f, " {number}"))
    }
}
