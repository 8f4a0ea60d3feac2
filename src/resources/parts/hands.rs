//! What a legacy node starts, stops or runs and does not report. Its process can begin anew
//! (`heartbeat -r`) while a script of its own starts what it was given: the new process reports
//! what it held before, and does not report what the script starts. Only the taker's `done` tells
//! the end of the script.
//!
//! | after its restart | we |
//! |---|---|
//! | no `done` for a minute | take it for not started, and probe the network before we take anything |
//! | `done` | leave the groups there until it gives them back or dies |
//!
//! What it has told stays true when it begins anew a second time: no node can see whether that was
//! `heartbeat -r` again, which stops nothing.
//!
//! The same is open when we begin anew (we were suspended, or released everything) during a standby
//! with a legacy node. It goes on with its scripts and answers our new run as if it were settled.
//! It reports what it takes only when it has it, and no longer reports what it gives and still
//! stops. It is also open when we declared it dead during a standby, and it lives; then its `done`
//! may be lost.
//!
//! | after our own restart, or its return in the same run | we |
//! |---|---|
//! | neither of those below, for an hour | take it for not started |
//! | the same, and its `done` may be lost | wait no longer than a minute, and probe the network before we take anything |
//! | `done` | ask what it holds, and take what it has released |
//! | a report that names the groups | leave them there |
//!
//! A legacy node ends a standby when it declares us dead, which we may not notice, and its script
//! goes on. `done` tells that it has started what we gave; only its report tells whether it knows
//! that it holds the groups. A report may not come unasked.
//!
//! | after its `done` | we |
//! |---|---|
//! | no report | ask for one |
//! | a report that names the groups | leave them there, and believe each further report |
//! | a report that does not | leave them there until it gives them back or dies |
//!
//! The tests contain the table of all states and events.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::protocol::question::Position;
use crate::resources::holding::HoldingSet;

/// How long its scripts may take before its report counts.
pub(in crate::resources) const STARTS: Duration = Duration::from_secs(60);

/// What a legacy node may start, stop or run without a report, from its view.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Hands {
    /// Nothing that it does not report.
    #[default]
    Empty,
    /// It was given this set, or gives it, in its present run, and sends `done` at the end.
    AtWork {
        set: HoldingSet,
        /// The wait ends then.
        until: Monotonic,
    },
    /// It began anew meanwhile. Its `done` tells that this set runs there.
    Restarted {
        set: HoldingSet,
        /// The wait ends then.
        until: Monotonic,
    },
    /// It has started this set and does not report it.
    Keeps { set: HoldingSet },
}

/// An event that changes this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// We begin anew, or declare it dead, in a standby; it may be starting or stopping this set.
    StandbyEnds { set: HoldingSet, until: Monotonic },
    /// It was declared dead and lives in the same run. We have not received what it sent meanwhile.
    LivesOn { until: Monotonic },
    /// It begins anew. We had given it this set.
    BeginsAnew { given: HoldingSet, until: Monotonic },
    /// It sends `done` about this set. `may_tell`: no standby is open to which the message could
    /// belong.
    Done { set: HoldingSet, may_tell: bool },
    /// It reports that it holds this set.
    Reports { set: HoldingSet },
    /// It has sent that it started this set, and does not report it.
    KeepsSilent { set: HoldingSet },
    /// It gives us this set.
    Gives { set: HoldingSet },
    /// Messages of it are lost for good.
    WordsLost { until: Monotonic },
    /// Time has passed.
    Now { now: Monotonic },
}

impl Hands {
    const fn set(self) -> HoldingSet {
        match self {
            Self::Empty => HoldingSet::NONE,
            Self::AtWork { set, .. } | Self::Restarted { set, .. } | Self::Keeps { set } => set,
        }
    }

    const fn until(self) -> Option<Monotonic> {
        match self {
            Self::AtWork { until, .. } | Self::Restarted { until, .. } => Some(until),
            Self::Empty | Self::Keeps { .. } => None,
        }
    }

    const fn with_set(self, set: HoldingSet) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::AtWork { until, .. } => Self::AtWork { set, until },
            Self::Restarted { until, .. } => Self::Restarted { set, until },
            Self::Keeps { .. } => Self::Keeps { set },
        }
    }

    const fn with_until(self, until: Monotonic) -> Self {
        match self {
            Self::AtWork { set, .. } => Self::AtWork { set, until },
            Self::Restarted { set, .. } => Self::Restarted { set, until },
            Self::Empty | Self::Keeps { .. } => self,
        }
    }

    fn after(self, event: Event) -> Self {
        match event {
            Event::StandbyEnds { set, until } => {
                let set = self.set().with(set);
                Self::AtWork { set, until }
            }
            Event::LivesOn { until } => self.with_until(until),
            Event::BeginsAnew { given, until } => {
                let left = match self {
                    Self::AtWork { set, .. } => Self::Restarted { set, until },
                    Self::Empty | Self::Restarted { .. } => Self::Empty,
                    Self::Keeps { .. } => self,
                };
                if given.is_none() {
                    return left;
                }
                let set = left.set().with(given);
                Self::Restarted { set, until }
            }
            Event::Done { set, may_tell } => match self {
                // In the run that began the work, it also reports what it holds now.
                Self::AtWork { .. } => Self::Empty,
                Self::Restarted { set: known, .. } if may_tell && !known.common(set).is_none() => {
                    Self::Keeps { set: known }
                }
                Self::Empty | Self::Restarted { .. } | Self::Keeps { .. } => self,
            },
            Event::Reports { set } => {
                let left = self.set().without(set);
                if left.is_none() && !self.set().is_none() {
                    return Self::Empty;
                }
                self.with_set(left)
            }
            Event::Gives { set } => self.with_set(self.set().without(set)),
            Event::KeepsSilent { set } => Self::Keeps {
                set: self.set().with(set),
            },
            Event::WordsLost { until } => {
                let known = self.until().unwrap_or(until);
                self.with_until(known.min(until))
            }
            Event::Now { now } if self.until().is_some_and(|until| until <= now) => Self::Empty,
            Event::Now { .. } => self,
        }
    }
}

/// What a legacy node may start, stop or run without a report, also across its deaths, and what it
/// has sent that it started.
#[derive(Debug, Default)]
pub(in crate::resources) struct InItsHands {
    now: Hands,
    /// The value when we declared its present run dead: it may have lived and gone on.
    at_death: Hands,
    /// What it has sent that it started, and the position of that message. Its next full report
    /// shows whether it knows that it holds the set.
    has_started: Option<(HoldingSet, Position)>,
}

impl InItsHands {
    /// The sets that it may start, stop or run beside what it reports.
    pub(in crate::resources) const fn set(&self) -> HoldingSet {
        self.now.set()
    }

    /// Until when that is waited for.
    pub(in crate::resources) const fn until(&self) -> Option<Monotonic> {
        self.now.until()
    }

    /// Whether it is at work in its present run, and will send `done` at the end.
    pub(in crate::resources) const fn is_at_work(&self) -> bool {
        matches!(self.now, Hands::AtWork { .. })
    }

    /// Whether its next report has to show that it knows what it has started.
    pub(in crate::resources) const fn must_report(&self) -> bool {
        self.has_started.is_some()
    }

    /// What runs there for good, as far as any node can see, and is in none of its reports.
    pub(in crate::resources) const fn kept(&self) -> HoldingSet {
        match self.now {
            Hands::Keeps { set } => set,
            Hands::Empty | Hands::AtWork { .. } | Hands::Restarted { .. } => HoldingSet::NONE,
        }
    }

    /// It has sent that it started `set`.
    pub(in crate::resources) const fn started(&mut self, set: HoldingSet, done: Position) {
        self.has_started = Some((set, done));
    }

    /// We begin anew in a standby with it.
    pub(in crate::resources) fn we_begin_anew(&mut self, set: HoldingSet, until: Monotonic) {
        self.now = self.now.after(Event::StandbyEnds { set, until });
    }

    /// It is declared dead. `left`: the part of an open standby that it may be starting or stopping
    /// then; `None`: it is not the legacy node of a pair.
    pub(in crate::resources) fn is_declared_dead(
        &mut self,
        left: Option<HoldingSet>,
        until: Monotonic,
    ) {
        self.at_death = match left {
            None => Hands::Empty,
            Some(set) if set.is_none() => self.now,
            Some(set) => self.now.after(Event::StandbyEnds { set, until }),
        };
    }

    /// It lives, in the run that we knew. Returns what it may start, stop or run.
    pub(in crate::resources) fn lives_on(&mut self, until: Monotonic) -> HoldingSet {
        let left = std::mem::take(&mut self.at_death);
        if !left.set().is_none() {
            self.now = left.after(Event::LivesOn { until });
        }
        left.set()
    }

    /// It is gone.
    pub(in crate::resources) const fn ends(&mut self) {
        self.now = Hands::Empty;
        self.has_started = None;
    }

    /// Forgets the value of its death: it left in order, or came with a new run.
    pub(in crate::resources) const fn forget_death(&mut self) {
        self.at_death = Hands::Empty;
    }

    /// It begins anew. `runs_on`: a legacy node that was not dead, whose scripts run on. `given`:
    /// what we gave it before.
    pub(in crate::resources) fn begins_anew(
        &mut self,
        runs_on: bool,
        given: HoldingSet,
        until: Monotonic,
    ) {
        if !runs_on {
            self.ends();
            return;
        }
        // Whether its new process knows of that, its report shows, and people are told.
        if let Some((set, _)) = self.has_started {
            self.now = self.now.after(Event::KeepsSilent { set });
        }
        self.now = self.now.after(Event::BeginsAnew { given, until });
    }

    /// It sends `done` about `set`. Returns what it has thereby started and may never report.
    pub(in crate::resources) fn done(
        &mut self,
        set: HoldingSet,
        may_tell: bool,
    ) -> Option<HoldingSet> {
        let was = self.now;
        self.now = was.after(Event::Done { set, may_tell });
        let tells = matches!(was, Hands::Restarted { .. }) && self.now != was;
        tells.then(|| was.set().common(set))
    }

    /// A full report says that it holds `set`. Returns what it has sent that it started and does
    /// not report.
    pub(in crate::resources) fn reports(
        &mut self,
        set: HoldingSet,
        at: Position,
    ) -> Option<HoldingSet> {
        self.now = self.now.after(Event::Reports { set });
        let (started, _) = self.has_started.take_if(|(_, done)| *done < at)?;
        let set = started.without(set);
        if set.is_none() {
            return None;
        }
        self.now = self.now.after(Event::KeepsSilent { set });
        Some(set)
    }

    /// It gives us this set.
    pub(in crate::resources) fn gives(&mut self, set: HoldingSet) {
        self.now = self.now.after(Event::Gives { set });
    }

    /// Messages of it are lost for good: its `done` may be one of them.
    pub(in crate::resources) fn words_lost(&mut self, until: Monotonic) {
        self.now = self.now.after(Event::WordsLost { until });
    }

    /// Sets whose wait is over are taken for not started.
    pub(in crate::resources) fn overdue(&mut self, now: Monotonic) {
        self.now = self.now.after(Event::Now { now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const L: HoldingSet = HoldingSet::LOCAL;
    const F: HoldingSet = HoldingSet::FOREIGN;
    const ALL: HoldingSet = HoldingSet::ALL;
    const NONE: HoldingSet = HoldingSet::NONE;

    fn t(seconds: u64) -> Monotonic {
        Monotonic::from_millis(seconds * 1000)
    }

    fn work(set: HoldingSet, until: u64) -> Hands {
        Hands::AtWork {
            set,
            until: t(until),
        }
    }

    fn anew(set: HoldingSet, until: u64) -> Hands {
        Hands::Restarted {
            set,
            until: t(until),
        }
    }

    const fn keeps(set: HoldingSet) -> Hands {
        Hands::Keeps { set }
    }

    /// Every state and every event. The states hold `local`, until 50 where they have an end.
    #[test]
    fn every_state_and_every_event() {
        let none = Hands::Empty;
        let states = [none, work(L, 50), anew(L, 50), keeps(L)];
        let table = [
            (
                Event::StandbyEnds {
                    set: F,
                    until: t(9),
                },
                [work(F, 9), work(ALL, 9), work(ALL, 9), work(ALL, 9)],
            ),
            (
                Event::LivesOn { until: t(9) },
                [none, work(L, 9), anew(L, 9), keeps(L)],
            ),
            (
                Event::BeginsAnew {
                    given: NONE,
                    until: t(9),
                },
                [none, anew(L, 9), none, keeps(L)],
            ),
            (
                Event::BeginsAnew {
                    given: F,
                    until: t(9),
                },
                [anew(F, 9), anew(ALL, 9), anew(F, 9), anew(ALL, 9)],
            ),
            (
                Event::Done {
                    set: L,
                    may_tell: true,
                },
                [none, none, keeps(L), keeps(L)],
            ),
            (
                Event::Done {
                    set: L,
                    may_tell: false,
                },
                [none, none, anew(L, 50), keeps(L)],
            ),
            (
                Event::Done {
                    set: F,
                    may_tell: true,
                },
                [none, none, anew(L, 50), keeps(L)],
            ),
            (Event::Reports { set: L }, [none, none, none, none]),
            (
                Event::Reports { set: F },
                [none, work(L, 50), anew(L, 50), keeps(L)],
            ),
            (
                Event::KeepsSilent { set: F },
                [keeps(F), keeps(ALL), keeps(ALL), keeps(ALL)],
            ),
            (
                Event::Gives { set: L },
                [none, work(NONE, 50), anew(NONE, 50), keeps(NONE)],
            ),
            (
                Event::WordsLost { until: t(9) },
                [none, work(L, 9), anew(L, 9), keeps(L)],
            ),
            (
                Event::WordsLost { until: t(60) },
                [none, work(L, 50), anew(L, 50), keeps(L)],
            ),
            (
                Event::Now { now: t(49) },
                [none, work(L, 50), anew(L, 50), keeps(L)],
            ),
            (Event::Now { now: t(50) }, [none, none, none, keeps(L)]),
        ];
        for (event, expected) in table {
            let after = states.map(|state| state.after(event));
            assert_eq!(after, expected, "{event:?}");
        }
    }

    #[test]
    fn a_node_that_was_dead_and_lives_goes_on_with_its_work() {
        let mut hands = InItsHands::default();
        hands.is_declared_dead(Some(F), t(3600));
        hands.ends();
        assert_eq!(hands.set(), NONE);
        assert_eq!(hands.lives_on(t(60)), F);
        assert_eq!((hands.set(), hands.until()), (F, Some(t(60))));
        assert_eq!(hands.lives_on(t(90)), NONE);
        assert_eq!(hands.until(), Some(t(60)));
    }

    #[test]
    fn its_report_shows_whether_it_knows_what_it_started() {
        let at = |text| Position::from_text(text).unwrap();
        let mut hands = InItsHands::default();
        hands.started(L, at("1.5"));
        assert_eq!(hands.reports(NONE, at("1.4")), None, "an older one");
        assert!(hands.must_report());
        assert_eq!(hands.reports(NONE, at("1.6")), Some(L));
        assert!(!hands.must_report());
        assert_eq!((hands.set(), hands.until()), (L, None));
        assert_eq!(hands.reports(L, at("1.7")), None);
        assert_eq!(hands.set(), NONE);
    }

    /// It is back before it has reported what it said that it started: on a new run's first report people are
    /// told, as on a report of the same run.
    #[test]
    fn a_new_run_shows_as_well_whether_it_knows_what_it_started() {
        let at = |text| Position::from_text(text).unwrap();
        let mut hands = InItsHands::default();
        hands.started(ALL, at("1.5"));
        hands.begins_anew(true, NONE, t(60));
        assert_eq!((hands.set(), hands.kept()), (ALL, ALL));
        assert_eq!(hands.reports(L, at("2.6")), Some(F));
        assert_eq!(hands.kept(), F);
        let mut hands = InItsHands::default();
        hands.started(L, at("1.5"));
        hands.begins_anew(false, NONE, t(60));
        assert_eq!(hands.reports(NONE, at("2.6")), None, "it had died");
        assert_eq!(hands.kept(), NONE);
    }

    #[test]
    fn a_done_behind_a_new_run_tells_what_runs_there() {
        let mut hands = InItsHands::default();
        hands.begins_anew(true, L, t(60));
        assert_eq!(hands.done(L, false), None, "of a standby that is open");
        assert_eq!(hands.done(L, true), Some(L));
        assert_eq!(hands.done(L, true), None);
        hands.begins_anew(false, L, t(60));
        assert_eq!(hands.set(), NONE);
    }
}
