//! Whether a monitored resource runs, and what follows when it does not. Pure: the answers of its checks and the
//! ends of orders in, lines for the log out; what the group wants of the core is asked for after each event
//! ([`Monitors::ailment`]).
//!
//! | Comes | Then |
//! |---|---|
//! | the group was started | the first check after `interval`; an answer that is not good acts on nothing before one was good |
//! | it runs on from an earlier life of the daemon | the same; what was good in that life counts |
//! | an order for the group | no check; at its end nothing is wanted any more |
//! | a freeze | no check, and no restart is wanted; what was given up stays given up |
//! | good | all is well: what was wanted is wanted no more |
//! | unknown | nothing; WARN when it is so `failures` times in a row |
//! | bad, and never good since the start | WARN, once |
//! | bad | WARN; the `failures`th time in a row is a failure |
//! | bad, and a resource left of it fails | nothing: that one comes first |
//! | a failure | a restart of the resource and of what stands right of it |
//! | a failure, and more than `restarts` failures count; or the restart fails | given up: what `then` says |
//! | bad, and given up; or good, and something right of it did not start in the restart | a restart again, after [`FIRST_PAUSE`], then after twice that and so on, [`LONGEST_PAUSE`] at most |
//! | a failure becomes older than `window` | it alone counts no more |
//! | cleared by a person | no failure counts, and nothing is given up |
//!
//! An answer that takes too long is bad, unless this node was late itself ([`late`]). Pressure alone excuses three
//! times `failures` answers in a row at most.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::notice::Severity;
use crate::protocol::monitor::{Ailment, MonitorRules, Then};

/// Pause before the first restart after it was given up.
pub const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// Longest such pause.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Most failures that are kept of a resource.
const MAX_FAILURES: usize = 64;

/// How many times `failures` answers in a row pressure alone excuses. A service that hangs and loads the machine is
/// found after that.
const PRESSED: u32 = 3;

/// Processor or disk pressure, in per cent, above which this node is late itself.
pub const HIGH_PRESSURE: f32 = 50.0;

/// The answer of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It runs.
    Good,
    /// It does not: why.
    Bad(String),
    /// Nobody knows: why.
    Unknown(String),
    /// It did not answer in time, and processors or disks were under pressure: unknown, for a while.
    Pressed(String),
}

/// What was seen of this node while a check took too long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lateness {
    /// How much later than `keepalive` the latest own heartbeat was.
    pub beat: Duration,
    /// Half of `warntime`.
    pub limit: Duration,
    /// The highest pressure, in per cent; `None`: the kernel does not tell.
    pub pressure: Option<f32>,
}

/// The answer of a check that took too long.
#[must_use]
pub fn late(words: &str, seen: &Lateness) -> Answer {
    let pressure = seen.pressure.filter(|it| *it > HIGH_PRESSURE);
    if seen.beat > seen.limit {
        let ms = seen.beat.as_millis();
        Answer::Unknown(format!(
            "{words}, and own heartbeats were {ms} ms late meanwhile"
        ))
    } else if let Some(pressure) = pressure {
        Answer::Pressed(format!(
            "{words}, and processors or disks are under pressure ({pressure:.0} %)"
        ))
    } else {
        Answer::Bad(words.to_owned())
    }
}

/// Restarts did not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct GivenUp {
    next: Monotonic,
    pause: Duration,
}

/// What is known of one monitored resource.
#[derive(Debug, Clone)]
pub struct Monitor {
    word: String,
    rules: MonitorRules,
    /// When the next check is due; `None`: none is.
    due: Option<Monotonic>,
    /// A check was good since the start.
    proven: bool,
    told_unproven: bool,
    bad: u32,
    unknown: u32,
    /// Answers in a row that only pressure excused.
    pressed: u32,
    failures: VecDeque<Monotonic>,
    wants_restart: bool,
    /// A restart has failed: something right of it may be down as well.
    incomplete: bool,
    given_up: Option<GivenUp>,
    last: Option<(Monotonic, Answer)>,
}

/// What people are shown of a monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was not checked since the start, or the group does not run here.
    Unchecked,
    /// The last check was good.
    Good,
    /// The last check was bad.
    Failing,
    /// The last check has no answer.
    Unknown,
    /// No check was good since the start: nothing is done.
    NeverGood,
    /// Restarts did not help.
    GivenUp,
}

impl Monitor {
    /// Nothing is known yet.
    #[must_use]
    pub const fn new(word: String, rules: MonitorRules) -> Self {
        Self {
            word,
            rules,
            due: None,
            proven: false,
            told_unproven: false,
            bad: 0,
            unknown: 0,
            pressed: 0,
            failures: VecDeque::new(),
            wants_restart: false,
            incomplete: false,
            given_up: None,
            last: None,
        }
    }

    /// The resource word.
    #[must_use]
    pub fn word(&self) -> &str {
        &self.word
    }

    /// The rules.
    #[must_use]
    pub const fn rules(&self) -> &MonitorRules {
        &self.rules
    }

    /// The last answer since the start, and when it came.
    #[must_use]
    pub const fn last(&self) -> Option<&(Monotonic, Answer)> {
        self.last.as_ref()
    }

    /// Bad answers in a row that count.
    #[must_use]
    pub const fn bad_in_a_row(&self) -> u32 {
        self.bad
    }

    /// Failures that count now.
    #[must_use]
    pub fn failures(&self, now: Monotonic) -> usize {
        let counts = |at: &&Monotonic| now.since(**at) < self.rules.window;
        self.failures.iter().filter(counts).count()
    }

    /// What people are shown.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match &self.last {
            _ if self.given_up.is_some() => Standing::GivenUp,
            None => Standing::Unchecked,
            Some((_, Answer::Good)) => Standing::Good,
            Some(_) if !self.proven => Standing::NeverGood,
            Some((_, Answer::Bad(_))) => Standing::Failing,
            Some((_, Answer::Unknown(_) | Answer::Pressed(_))) => Standing::Unknown,
        }
    }

    const fn is_bad(&self) -> bool {
        matches!(&self.last, Some((_, Answer::Bad(_))))
    }

    /// Whether what stands right of it may be down because of it.
    const fn comes_first(&self) -> bool {
        self.wants_restart || self.given_up.is_some()
    }

    fn rests(&mut self) {
        self.bad = 0;
        self.unknown = 0;
        self.wants_restart = false;
    }

    /// Pressure alone excuses so many answers and no more.
    fn judge(&mut self, answer: Answer) -> Answer {
        let Answer::Pressed(words) = answer else {
            self.pressed = 0;
            return answer;
        };
        self.pressed = self.pressed.saturating_add(1);
        if self.pressed > self.rules.failures.saturating_mul(PRESSED) {
            Answer::Bad(words)
        } else {
            Answer::Unknown(words)
        }
    }

    fn good(&mut self, group: &str, now: Monotonic, out: &mut Vec<Line>) {
        if self.incomplete {
            // What stands right of it may have been stopped by the restart that failed.
            self.bad = 0;
            self.unknown = 0;
            self.proven = true;
            self.told_unproven = false;
            return self.tries_again(now);
        }
        let word = &self.word;
        let shown = self.bad > 0 || self.given_up.is_some() || self.told_unproven;
        if shown {
            out.push((
                Severity::Warn,
                format!("monitor: {word} of group {group} runs again"),
            ));
        }
        self.rests();
        self.proven = true;
        self.told_unproven = false;
        self.given_up = None;
    }

    /// Restarts did not help, or not yet: the next one, when it is due.
    fn tries_again(&mut self, now: Monotonic) {
        let Some(given_up) = &mut self.given_up else {
            // A person has cleared it.
            self.wants_restart = true;
            return;
        };
        if now >= given_up.next && self.rules.then != Then::Stop {
            given_up.next = now + given_up.pause;
            given_up.pause = given_up.pause.saturating_mul(2).min(LONGEST_PAUSE);
            self.wants_restart = true;
        }
    }

    fn unknown(&mut self, group: &str, words: &str, out: &mut Vec<Line>) {
        self.unknown = self.unknown.saturating_add(1);
        if self.unknown == self.rules.failures {
            let text = format!(
                "monitor: it is not known whether {} of group {group} runs, {} times in a row: {words}: nothing is done",
                self.word, self.unknown
            );
            out.push((Severity::Warn, text));
        }
    }

    fn bad(&mut self, group: &str, words: &str, now: Monotonic, out: &mut Vec<Line>) {
        self.unknown = 0;
        let word = self.word.clone();
        if !self.proven {
            if !self.told_unproven {
                self.told_unproven = true;
                let text = format!(
                    "monitor: no check of {word} of group {group} was good since the start: {words}: nothing is done before one is"
                );
                out.push((Severity::Warn, text));
            }
            return;
        }
        if self.given_up.is_some() {
            return self.tries_again(now);
        }
        if self.wants_restart {
            // The core cannot begin it yet.
            return;
        }
        self.bad = self.bad.saturating_add(1);
        let most = self.rules.failures;
        let text = format!(
            "monitor: {word} of group {group} does not run ({}/{most}): {words}",
            self.bad
        );
        out.push((Severity::Warn, text));
        if self.bad >= most {
            self.fails(group, now, out);
        }
    }

    fn fails(&mut self, group: &str, now: Monotonic, out: &mut Vec<Line>) {
        self.rests();
        let window = self.rules.window;
        self.failures.retain(|at| now.since(*at) < window);
        if self.failures.len() >= MAX_FAILURES {
            self.failures.pop_front();
        }
        self.failures.push_back(now);
        let (count, most) = (self.failures.len(), self.rules.restarts);
        let seconds = window.as_secs();
        let word = self.word.clone();
        if u32::try_from(count).unwrap_or(u32::MAX) > most {
            let why = format!("failure {count} within {seconds} s");
            return self.gives_up(group, &why, now, out);
        }
        self.wants_restart = true;
        let text = format!(
            "monitor: {word} of group {group} has failed: it is restarted with what stands right of it (restart {count} of {most} within {seconds} s)"
        );
        out.push((Severity::Error, text));
    }

    fn gives_up(&mut self, group: &str, why: &str, now: Monotonic, out: &mut Vec<Line>) {
        self.given_up = Some(GivenUp {
            next: now + FIRST_PAUSE,
            pause: FIRST_PAUSE.saturating_mul(2),
        });
        let what = match self.rules.then {
            Then::Move => "the group is to move to the other node",
            Then::Stay => "it stays here, and is tried again ever more rarely",
            Then::Stop => "the group is to be stopped",
        };
        let text = format!(
            "monitor: restarts do not help {} of group {group} ({why}): {what}",
            self.word
        );
        out.push((Severity::Error, text));
    }
}

/// A line for the log.
pub type Line = (Severity, String);

/// The monitors of one group.
#[derive(Debug, Clone)]
pub struct Monitors {
    group: String,
    list: Vec<Monitor>,
}

impl Monitors {
    /// `list`: in the order of the resources, from left to right.
    #[must_use]
    pub const fn new(group: String, list: Vec<Monitor>) -> Self {
        Self { group, list }
    }

    /// All of them.
    #[must_use]
    pub fn list(&self) -> &[Monitor] {
        &self.list
    }

    /// The group was started.
    pub fn began(&mut self, now: Monotonic) {
        for it in &mut self.list {
            it.rests();
            it.pressed = 0;
            it.due = Some(now + it.rules.interval);
            it.proven = false;
            it.told_unproven = false;
            it.incomplete = false;
            it.given_up = None;
            it.last = None;
        }
    }

    /// It runs on from an earlier life of the daemon. `proven`: the places of the checks that were good since its
    /// start.
    pub fn goes_on(&mut self, proven: &[usize], now: Monotonic) {
        self.began(now);
        for place in proven {
            if let Some(it) = self.list.get_mut(*place) {
                it.proven = true;
            }
        }
    }

    /// The places of the checks that were good since the start of the group.
    #[must_use]
    pub fn proven(&self) -> Vec<usize> {
        let list = self.list.iter().enumerate();
        let proven = list.filter(|(_, it)| it.proven && it.due.is_some());
        proven.map(|(place, _)| place).collect()
    }

    /// Nobody may look for now: no restart is wanted before the next answers. What was given up stays given up.
    pub fn pauses(&mut self) {
        for it in &mut self.list {
            it.rests();
        }
    }

    /// The group does not run here any more.
    pub fn ended(&mut self) {
        for it in &mut self.list {
            it.rests();
            it.due = None;
            it.given_up = None;
            it.last = None;
        }
    }

    /// The check that is due, the longest first. It counts as begun.
    pub fn begin_check(&mut self, now: Monotonic) -> Option<usize> {
        let due = self.list.iter().enumerate();
        let due = due.filter_map(|(place, it)| Some((it.due.filter(|at| *at <= now)?, place)));
        let (_, place) = due.min()?;
        let it = self.list.get_mut(place)?;
        it.due = Some(now + it.rules.interval);
        Some(place)
    }

    /// The answer of a check.
    pub fn answered(&mut self, place: usize, answer: Answer, now: Monotonic) -> Vec<Line> {
        let mut out = Vec::new();
        let before = self.list.get(..place).unwrap_or_default();
        let behind = before.iter().any(Monitor::comes_first);
        let group = self.group.clone();
        let Some(it) = self.list.get_mut(place) else {
            return out;
        };
        let answer = it.judge(answer);
        it.last = Some((now, answer.clone()));
        match answer {
            Answer::Good => it.good(&group, now, &mut out),
            Answer::Unknown(words) | Answer::Pressed(words) => it.unknown(&group, &words, &mut out),
            Answer::Bad(_) if behind => it.rests(),
            Answer::Bad(words) => it.bad(&group, &words, now, &mut out),
        }
        out
    }

    /// The resource word from which a restart stops; `None`: it only starts what does not run.
    #[must_use]
    pub fn restarts_from(&self) -> Option<&str> {
        let mut wants = self.list.iter().filter(|it| it.wants_restart);
        wants.find(|it| it.is_bad()).map(Monitor::word)
    }

    /// The resource word from which a restart starts: what stands left of it runs. `None`: nothing is known of it.
    #[must_use]
    pub fn starts_from(&self) -> Option<&str> {
        let first = self.list.iter().find(|it| it.wants_restart);
        first.map(Monitor::word)
    }

    /// A restart has ended. `failed`: why, if it did.
    pub fn restarted(&mut self, failed: Option<&str>, now: Monotonic) -> Vec<Line> {
        let mut out = Vec::new();
        let group = self.group.clone();
        for it in &mut self.list {
            let wanted = it.wants_restart;
            it.rests();
            it.pressed = 0;
            it.due = Some(now + it.rules.interval);
            if wanted {
                it.incomplete = failed.is_some();
                if let (Some(why), None) = (failed, it.given_up) {
                    it.gives_up(&group, why, now, &mut out);
                }
            }
        }
        out
    }

    /// A person has repaired it: no failure counts.
    pub fn clear(&mut self) {
        for it in &mut self.list {
            it.rests();
            it.failures.clear();
            it.given_up = None;
        }
    }

    /// What the group wants of the core; `None`: nothing.
    #[must_use]
    pub fn ailment(&self) -> Option<Ailment> {
        let wants = |it: &&Monitor| it.wants_restart || it.given_up.is_some();
        let first = self.list.iter().find(wants)?;
        Some(Ailment {
            resource: first.word.clone(),
            restart: self.list.iter().any(|it| it.wants_restart),
            gives_up: first.given_up.map(|_| first.rules.then),
        })
    }
}

#[cfg(test)]
mod tests;
