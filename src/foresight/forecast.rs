//! The run of one incident, and what people want to know of it.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use serde::Serialize;

use crate::protocol::event::{Action, GroupOrder};
use crate::simulator::act::Act;
use crate::simulator::ids::{GroupId, HostId, Key};
use crate::simulator::observer::Observer;
use crate::simulator::scenario::Scripted;
use crate::simulator::world::{Micros, SECOND, World};

use super::{Incident, Pair};

/// How exactly times are known.
const LOOK: Micros = 10_000;
/// Longer runs are looked at less often.
const MOST_LOOKS: u64 = 40_000;
/// The seed of the few delays that are random. The same question has the same answer.
const NOISE: u64 = 7;
/// How many steps are kept: more is a loop, and its first steps tell as much.
const MOST_STEPS: usize = 400;

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Milliseconds since the incident.
    pub at_ms: u64,
    /// The node.
    pub node: String,
    /// What it does.
    pub what: String,
    /// Why, if it decides.
    pub why: Option<String>,
}

/// What becomes of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Its key.
    pub group: String,
    /// Where it ran before.
    pub before: Vec<String>,
    /// Where it runs in the end.
    pub after: Vec<String>,
    /// Milliseconds in which it ran nowhere.
    pub silent_ms: u64,
    /// Milliseconds in which two nodes ran it.
    pub double_ms: u64,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// The incident, as people write it.
    pub incident: String,
    /// What happens, in the order of time.
    pub steps: Vec<Step>,
    /// Of each group.
    pub groups: Vec<Outcome>,
    /// How long the pair was watched after the incident.
    pub watched_ms: u64,
}

impl Forecast {
    /// Whether a group has two owners at some time.
    #[must_use]
    pub fn has_two_owners(&self) -> bool {
        self.groups.iter().any(|group| group.double_ms > 0)
    }

    /// How often a device resets a node.
    #[must_use]
    pub fn resets(&self) -> usize {
        let resets = |step: &&Step| step.what.starts_with("resets ");
        self.steps.iter().filter(resets).count()
    }

    /// Whether a group runs nowhere in the end.
    #[must_use]
    pub fn leaves_one_down(&self) -> bool {
        self.groups.iter().any(|group| group.after.is_empty())
    }
}

/// What is seen since the incident.
struct Watch<'p> {
    pair: &'p Pair,
    since: Micros,
    steps: RefCell<Vec<Step>>,
}

impl Watch<'_> {
    fn add(&self, now: Micros, node: &str, what: String, why: Option<String>) {
        let mut steps = self.steps.borrow_mut();
        if now >= self.since && steps.len() < MOST_STEPS {
            steps.push(Step {
                at_ms: (now - self.since) / 1_000,
                node: node.to_owned(),
                what,
                why,
            });
        }
    }
}

/// The observer of a world lives as long as the world.
struct Notes {
    /// Keys of the groups.
    groups: Vec<String>,
    new: RefCell<Vec<(Micros, Option<HostId>, String)>>,
}

impl Notes {
    fn add(&self, now: Micros, host: Option<HostId>, text: String) {
        self.new.borrow_mut().push((now, host, text));
    }
}

impl Observer for Notes {
    fn note(&self, now: Micros, text: fmt::Arguments<'_>) {
        let text = text.to_string();
        if text.contains(" resets ") || text.contains(" loses power") {
            self.add(now, None, text);
        }
    }

    fn action(&self, now: Micros, host: HostId, action: &Action) {
        match action {
            Action::Notice(notice) => {
                let text = notice.to_string();
                if text.starts_with(DECISION) {
                    self.add(now, Some(host), text);
                }
            }
            Action::RebootMachine { .. } => {
                self.add(now, Some(host), "restarts its machine".to_owned());
            }
            _ => {}
        }
    }

    fn script(&self, now: Micros, host: HostId, group: GroupId, what: GroupOrder) {
        let word = match what {
            GroupOrder::Start | GroupOrder::Restart => "begins to start",
            GroupOrder::Stop => "begins to stop",
        };
        let key = self.groups.get(group.number()).map_or("", String::as_str);
        self.add(now, Some(host), format!("{word} {key}"));
    }
}

const DECISION: &str = "decision: ";

/// How a healthy pair of these files goes through an incident.
#[must_use]
pub fn foresee(pair: &Pair, incident: Incident) -> Forecast {
    let plan = &pair.plan;
    let script = Micros::try_from(pair.script.as_micros()).unwrap_or(SECOND);
    let groups = plan.groups.len() as u64;
    let dead = plan.deadtimes_ms.iter().max().copied().unwrap_or(0) * 1_000;
    let busy = 4 * groups.saturating_mul(script);
    let mut world = World::new(plan.clone(), NOISE);
    world.scripted = Some(Scripted::taking(script));
    for group in plan.group_ids() {
        // The judge ends a run in which rules are broken; here that is the answer.
        world.judge.expect_two_owners(group);
    }
    let notes = Rc::new(Notes {
        groups: plan.names.clone(),
        new: RefCell::default(),
    });
    world.observe(notes.clone());
    for host in plan.hosts() {
        world.plan_act(SECOND, Act::Start { host });
    }
    let since = SECOND + plan.initdead_ms * 1_000 + busy + 60 * SECOND;
    world.run(since);
    notes.new.take();

    let watch = Watch {
        pair,
        since,
        steps: RefCell::default(),
    };
    let before = world.all_owners();
    let mut tallies: Vec<[u64; 2]> = before.iter().map(|_| [0, 0]).collect();
    for act in incident.acts(plan.media) {
        world.act(act);
    }
    let mut last = before.clone();
    let until = since + 3 * dead + busy + 90 * SECOND;
    let pause = LOOK.max(((until - since) / MOST_LOOKS / 1_000) * 1_000);
    loop {
        for (now, host, text) in notes.new.take() {
            tell(&watch, now, host, &text);
        }
        let mut owners = world.all_owners();
        for hosts in &mut owners {
            hosts.retain(|host| incident.hung() != Some(*host));
        }
        for (number, ((now, earlier), tally)) in
            owners.iter().zip(&last).zip(&mut tallies).enumerate()
        {
            let group = pair.groups.get(number).map_or("", String::as_str);
            for host in plan.hosts() {
                let (runs, ran) = (now.contains(&host), earlier.contains(&host));
                let what = match (runs, ran) {
                    (true, false) => format!("runs {group}"),
                    (false, true) => format!("no longer runs {group}"),
                    _ => continue,
                };
                watch.add(world.now, pair.name(host), what, None);
            }
            let [silent, double] = tally;
            match now.len() {
                0 => *silent += pause / 1_000,
                1 => {}
                _ => *double += pause / 1_000,
            }
        }
        last = owners;
        if world.now >= until {
            break;
        }
        world.run(world.now + pause);
    }
    let names = |hosts: &[HostId]| hosts.iter().map(|it| pair.name(*it).to_owned()).collect();
    let outcomes = plan.group_ids().zip(before.iter().zip(&last).zip(&tallies));
    let groups = outcomes.map(|(group, ((before, after), [silent, double]))| Outcome {
        group: pair.group(group).to_owned(),
        before: names(before),
        after: names(after),
        silent_ms: *silent,
        double_ms: *double,
    });
    Forecast {
        incident: incident.on(pair),
        groups: groups.collect(),
        steps: watch.steps.take(),
        watched_ms: (until - since) / 1_000,
    }
}

/// Adds a line of the simulator, in the names of the pair.
fn tell(watch: &Watch<'_>, now: Micros, host: Option<HostId>, text: &str) {
    let pair = watch.pair;
    let text = pair.with_names(text);
    let Some(host) = host else {
        let (node, what) = text.split_once(' ').unwrap_or(("", &text));
        return watch.add(now, node, what.to_owned(), None);
    };
    let node = pair.name(host);
    match text.strip_prefix(DECISION) {
        Some(decision) => {
            let (what, why) = decision.split_once(" (").unwrap_or((decision, ""));
            let why = why.strip_suffix(')').unwrap_or(why);
            watch.add(now, node, what.to_owned(), Some(why.to_owned()));
        }
        None => watch.add(now, node, text, None),
    }
}
