//! A history: the plan, and the acts with their times. It is drawn from a seed or read from a file,
//! and both run in the same way, so that a kept history stays the same when the generator changes.
//! The random fate of single messages and scripts comes from the plan's own noise.

use std::fmt::{self, Write as _};
use std::rc::Rc;

use super::act::Act;
use super::chance::Draws;
use super::judge::LONGEST_PAUSE;
use super::observer::{Nobody, Observer};
use super::plan::{Plan, PlanError};
use super::world::{Micros, SECOND, World};

/// Why a text is no history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// A line that is neither a remark, nor a plan, nor an act with its time.
    #[error("cannot be read: {0}")]
    Line(String),
    /// The plan cannot be run.
    #[error("the plan: {0}")]
    Plan(#[from] PlanError),
    /// It has more acts than this.
    #[error("more than {MOST_ACTS} acts")]
    TooManyActs,
}

/// The most acts of a history that is read.
const MOST_ACTS: usize = 100_000;
/// The latest act of a history that is read.
const LATEST: Micros = 10_000_000 * SECOND;

/// A plan, the seed of the noise, and the acts in the order of their times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// A remark for people.
    pub remark: String,
    /// What is the same in the whole run.
    pub plan: Plan,
    /// The seed of what happens to single messages and scripts.
    pub noise: u64,
    /// Each with its time, in microseconds from the begin.
    pub acts: Vec<(Micros, Act)>,
}

/// When faults end in a drawn history.
pub(crate) const FAULTS_END: Micros = 200 * SECOND;

impl History {
    /// Runs it to its end, long after the last act: everything must be right by then.
    pub fn run(&self) -> World {
        self.observed(Rc::new(Nobody))
    }

    /// [`run`](Self::run), and somebody watches.
    pub fn observed(&self, observer: Rc<dyn Observer>) -> World {
        let mut world = World::new(self.plan.clone(), self.noise);
        world.observe(observer);
        for (when, act) in &self.acts {
            world.plan_act(*when, *act);
        }
        let last = self.acts.last().map_or(0, |(when, _)| *when);
        world.run(last);
        // Stops that are under way come to their end; after that both nodes run.
        world.run(last + 60 * SECOND);
        let ends = |host: &super::host::Host| host.stopping && host.node.is_some();
        while world.hosts.iter().any(ends) && world.now < last + 300 * SECOND {
            world.run(world.now + 10 * SECOND);
        }
        // A script that takes most of an hour.
        let busy = |host: &super::host::Host| host.groups.iter().any(|group| !group.idle());
        while self.plan.features.hour
            && world.hosts.iter().any(busy)
            && world.now < last + 2 * 3_600 * SECOND
            && !world.judge.failed()
        {
            world.run(world.now + 60 * SECOND);
        }
        for host in self.plan.hosts() {
            world.start(host);
        }
        let scripts = self.plan.slow_script_ms * 1_000;
        let quiet = 60 * SECOND + self.plan.initdead_ms * 1_000 + 8 * scripts;
        world.run(world.now + quiet);
        // Groups that failed for long are tried again late.
        let latest = world.now + LONGEST_PAUSE + 60 * SECOND;
        while world.judge.waits_for_retry() && world.now < latest && !world.judge.failed() {
            world.run(world.now + 20 * SECOND);
        }
        // The scripts of the last attempt take their time.
        world.run(world.now + 20 * SECOND);
        // A question to the network about a refused address does so too: it comes every ten seconds
        // as long as another host answers, and a node is in transition while it waits for the
        // answer.
        let rest = world.now + 10 * SECOND;
        while world.only_asks_again() && world.now < rest && !world.judge.failed() {
            world.run(world.now + SECOND / 4);
        }
        // The next offer of a failback comes late.
        let latest = world.now + LONGEST_PAUSE;
        while world.fails_back() && world.now < latest && !world.judge.failed() {
            world.run(world.now + 20 * SECOND);
        }
        if !world.judge.failed() {
            world.settled();
            world.returned();
        }
        world
    }

    /// Runs it and judges it.
    ///
    /// # Errors
    /// The judge's first finding.
    pub fn verdict(&self) -> Result<(), String> {
        match self.run().judge.failure() {
            Some(failure) => Err(failure.to_owned()),
            None => Ok(()),
        }
    }

    /// The same with as few acts as still fail in the same way: at most `tries` runs.
    pub fn shrunk(&self, mut tries: usize) -> Self {
        let mut best = self.clone();
        let Err(failure) = self.verdict() else {
            return best;
        };
        let mut chunk = best.acts.len().div_ceil(2);
        while chunk > 0 && tries > 0 {
            let mut from = 0;
            while from < best.acts.len() && tries > 0 {
                let mut fewer = best.clone();
                let until = (from + chunk).min(fewer.acts.len());
                fewer.acts.drain(from..until);
                // The quiet time begins after the last act.
                let keeps_peace = fewer.acts.last().is_some_and(|(_, act)| *act == Act::Peace);
                tries -= 1;
                if keeps_peace && fewer.fails_as(&failure) {
                    best = fewer;
                } else {
                    from = until;
                }
            }
            chunk /= 2;
        }
        best
    }

    /// Another history near this one: the same acts in the same order, some or half of them a little earlier or later,
    /// and with other noise in every second seed. A fault that one history reached by a rare coincidence is reached
    /// again by some of its neighbours. The acts of the end, when everything is repaired and judged, keep their times.
    pub fn near(&self, seed: u64) -> Self {
        let mut draws = Draws::new(seed);
        let mut near = self.clone();
        if draws.percent(50) {
            near.noise = draws.next();
        }
        // A coincidence of several acts is kept only where few of them move.
        let share = draws.pick(&[10, 50]);
        let deadtime = self.plan.longest_deadtime();
        let ends = |act: &Act| matches!(act, Act::Rest { .. } | Act::Peace);
        let mut before = 0;
        for at in 0..near.acts.len() {
            let after = near.acts.get(at + 1).map_or(0, |(when, _)| *when);
            let Some((when, act)) = near.acts.get_mut(at) else {
                break;
            };
            if !ends(act) && draws.percent(share) {
                let most = draws.pick(&[SECOND / 1_000, SECOND / 50, SECOND / 4, deadtime]);
                let moved = (*when + draws.range(0..2 * most + 1)).saturating_sub(most);
                *when = moved.clamp(before, after.max(before));
            }
            before = *when;
        }
        near
    }

    /// Whether it fails in this way, perhaps at another time or with another group.
    fn fails_as(&self, failure: &str) -> bool {
        let way = |text: &str| text.replace(|letter: char| letter.is_ascii_digit(), "");
        self.verdict()
            .is_err_and(|other| way(&other) == way(failure))
    }

    /// Reads a history that [`fmt::Display`] has written.
    ///
    /// # Errors
    /// The first line that cannot be read, or what is wrong with the plan.
    pub fn parse(text: &str) -> Result<Self, HistoryError> {
        let mut history = Self {
            remark: String::new(),
            plan: Plan::quiet(),
            noise: 0,
            acts: Vec::new(),
        };
        for line in text.lines() {
            let bad = || HistoryError::Line(line.to_owned());
            match line.split_once(' ') {
                _ if line.is_empty() => {}
                Some(("#", remark)) => {
                    let _ = writeln!(history.remark, "{remark}");
                }
                Some(("plan", words)) => {
                    history.plan = Plan::parse(words).ok_or_else(bad)?.checked()?;
                }
                Some(("noise", seed)) => history.noise = seed.parse().map_err(|_| bad())?,
                Some((when, act)) => {
                    let when = micros(when).ok_or_else(bad)?;
                    history.acts.push((when, Act::parse(act).ok_or_else(bad)?));
                }
                None => return Err(bad()),
            }
            if history.acts.len() > MOST_ACTS {
                return Err(HistoryError::TooManyActs);
            }
        }
        Ok(history)
    }
}

/// Reads seconds with up to six decimals.
fn micros(text: &str) -> Option<Micros> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let part = format!("{part:0<6}");
    let part: Micros = part.get(..6)?.parse().ok()?;
    let time = whole.parse::<Micros>().ok()?.checked_mul(SECOND)?;
    Some(time.checked_add(part)?).filter(|time| *time <= LATEST)
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.remark.lines() {
            writeln!(f, "# {line}")?;
        }
        writeln!(f, "plan {}\nnoise {}", self.plan, self.noise)?;
        for (when, act) in &self.acts {
            writeln!(f, "{}.{:06} {act}", when / SECOND, when % SECOND)?;
        }
        Ok(())
    }
}
