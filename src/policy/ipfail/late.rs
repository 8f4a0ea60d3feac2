//! Two nodes that lose a ping node, or get it back, at the same moment: what they see of it is apart,
//! because a legacy daemon looks and acts at its ticks only. Ours beside a model of such a daemon.
//!
//! The model (docs/protocol/client-api.md, 15): a daemon pings at every keepalive. A legacy one acts on what
//! comes (replies, messages of the other node, what a client asks or sends) at its next tick, which
//! is the keepalive or 500 ms, whichever is shorter; a ping node is dead at the first tick after
//! deadping. Its `ipfail` is ours without any pause, with its recorded delays.

use std::collections::BTreeMap;

use super::tests::{identity, message};
use super::*;

/// Deadping of all runs.
const DEADPING: u64 = 4000;

/// By how much a link dies later than the ping node, where deadtime is longer than deadping.
const LINK: u64 = 2000;

/// When the ping node stops answering, or begins again.
const CHANGE: u64 = 5000;

/// Longest that a run lasts.
const END: u64 = CHANGE + 24_000;

/// What happens at a time.
#[derive(Debug, Clone)]
enum Step {
    /// A node sends a ping; the reply comes at once.
    Ping(usize),
    /// A daemon acts on a reply.
    Reply(usize),
    /// A daemon checks whether the ping node is dead.
    Look(usize),
    /// The same for its link.
    LookAtLink(usize),
    /// An ipfail receives a message of its daemon.
    Hear(usize, Message),
    /// A daemon acts on a request or message of its ipfail.
    Asked(usize, Message),
    /// An ipfail has a timer due.
    Wake(usize),
}

struct Side {
    legacy: bool,
    /// When in its keepalive it sends its heartbeat.
    phase: u64,
    ipfail: Ipfail,
    /// Last reply that it has acted on.
    heard: u64,
    alive: bool,
    link: bool,
    /// Whether its pings are answered, before and after the change.
    answered: [bool; 2],
    gave: Vec<u64>,
}

struct Run {
    keepalive: u64,
    steps: BTreeMap<(u64, u64), Step>,
    number: u64,
    now: u64,
    sides: [Side; 2],
    /// Adds to every delay: a busy machine.
    random: u64,
    busy: u64,
    /// When the last message of each direction is acted on.
    turns: [[u64; 2]; 2],
    /// See [`LINK`].
    link: u64,
    /// When the ping node changes once more, back to its first state.
    back: u64,
}

impl Run {
    /// `legacy`: which of the nodes are legacy; `answered`: whether pings of each are answered,
    /// before and after the change.
    fn new(
        keepalive: u64,
        legacy: [bool; 2],
        answered: [[bool; 2]; 2],
        busy: u64,
        seed: u64,
    ) -> Self {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut side = |place: usize| {
            let name = ["node1", "node2"][place];
            let who = identity(name, 7);
            Side {
                legacy: legacy[place],
                phase: next(&mut random) % keepalive,
                ipfail: if legacy[place] {
                    Ipfail::hasty(who)
                } else {
                    Ipfail::new(who)
                },
                heard: 0,
                alive: answered[place][0],
                link: answered[place][0],
                answered: answered[place],
                gave: Vec::new(),
            }
        };
        let sides = [side(0), side(1)];
        let mut run = Self {
            keepalive,
            steps: BTreeMap::new(),
            number: 0,
            now: 0,
            sides,
            random,
            busy,
            turns: [[0; 2]; 2],
            link: 0,
            back: END,
        };
        run.now = keepalive;
        for place in 0..2 {
            run.at(run.now + run.sides[place].phase, Step::Ping(place));
            let mut out = Vec::new();
            let now = ms(run.now);
            run.sides[place].ipfail.connected(now, &mut out);
            run.work(place, out);
        }
        run
    }

    fn at(&mut self, at: u64, step: Step) {
        self.number += 1;
        self.steps.insert((at, self.number), step);
    }

    /// When a daemon acts on a message that arrives now.
    fn acts(&mut self, place: usize) -> u64 {
        let late = if self.busy == 0 {
            0
        } else {
            next(&mut self.random) % self.busy
        };
        let side = &self.sides[place];
        // The answer to a message that a tick causes comes after the tick.
        let now = self.now + 1 + late;
        if !side.legacy {
            return now;
        }
        let tick = self.keepalive.min(500);
        let phase = side.phase % tick;
        let ticks = (now - phase).div_ceil(tick) * tick + phase;
        let woken = now + next(&mut self.random) % tick;
        ticks.min(woken)
    }

    /// The same for messages from the client (0) or from the other node (1): they keep their order.
    fn in_turn(&mut self, from: usize, place: usize) -> u64 {
        let acts = self.acts(place).max(self.turns[from][place]);
        self.turns[from][place] = acts;
        acts
    }

    fn run(mut self) -> [Vec<u64>; 2] {
        while let Some(((at, _), step)) = self.steps.pop_first() {
            if at > END {
                break;
            }
            self.now = at.max(self.now);
            match step {
                Step::Ping(place) => {
                    let after = usize::from((CHANGE..self.back).contains(&self.now));
                    if self.sides[place].answered[after] {
                        let acts = self.acts(place);
                        self.at(acts, Step::Reply(place));
                    }
                    self.at(self.now + self.keepalive, Step::Ping(place));
                }
                Step::Reply(place) => {
                    let side = &mut self.sides[place];
                    side.heard = self.now;
                    side.link = true;
                    if !std::mem::replace(&mut side.alive, true) {
                        self.hear(place, &[("t", "NS_st"), ("src", "gate"), ("st", "ping")]);
                    }
                    self.look(place, DEADPING, Step::Look(place));
                    if self.link > 0 {
                        self.look(place, DEADPING + self.link, Step::LookAtLink(place));
                    }
                }
                Step::Look(place) => {
                    let side = &mut self.sides[place];
                    if self.now - side.heard > DEADPING && std::mem::take(&mut side.alive) {
                        self.hear(place, &[("t", "status"), ("src", "gate"), ("st", "dead")]);
                        if self.link == 0 {
                            self.at(self.now, Step::LookAtLink(place));
                        }
                    }
                }
                Step::LookAtLink(place) => {
                    let side = &mut self.sides[place];
                    if self.now - side.heard > DEADPING + self.link
                        && std::mem::take(&mut side.link)
                    {
                        let link = [
                            ("t", "ifstat"),
                            ("node", "gate"),
                            ("ifname", "gate"),
                            ("st", "dead"),
                        ];
                        self.hear(place, &link);
                    }
                }
                Step::Hear(place, message) => {
                    let mut out = Vec::new();
                    let now = ms(self.now);
                    self.sides[place].ipfail.received(message, now, &mut out);
                    self.work(place, out);
                }
                Step::Asked(place, message) => self.asked(place, &message),
                Step::Wake(place) => {
                    let mut out = Vec::new();
                    self.sides[place].ipfail.tick(ms(self.now), &mut out);
                    self.work(place, out);
                }
            }
        }
        self.sides.map(|side| side.gave)
    }

    /// The first check of a daemon after so much silence.
    fn look(&mut self, place: usize, silence: u64, step: Step) {
        let now = self.now;
        self.now += silence;
        let acts = self.acts(place);
        self.now = now;
        self.at(acts, step);
    }

    fn hear(&mut self, place: usize, fields: &[(&str, &str)]) {
        self.at(self.now, Step::Hear(place, message(fields)));
    }

    fn work(&mut self, place: usize, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Send(message) => {
                    let acts = self.in_turn(0, place);
                    self.at(acts, Step::Asked(place, message));
                }
                Output::Log(Severity::Error, text) => panic!("{text}"),
                Output::Log(..) => {}
                Output::End(end) => panic!("{end:?}"),
            }
        }
        if let Some(due) = self.sides[place].ipfail.next_deadline() {
            let due = u64::try_from(due.since(Monotonic::ZERO).as_millis()).unwrap();
            self.at(due.max(self.now), Step::Wake(place));
        }
    }

    /// A daemon answers its ipfail, or passes its message on.
    fn asked(&mut self, place: usize, request: &Message) {
        if request.kind() == Some("ask_resources") {
            let now = self.now;
            self.sides[place].gave.push(now);
            return;
        }
        if request.kind() != Some("hbapi-req") {
            let other = 1 - place;
            let acts = self.in_turn(1, other);
            self.at(acts, Step::Hear(other, request.clone()));
            return;
        }
        let what = request.text("reqtype").unwrap().to_owned();
        let name = ["node1", "node2"][place];
        let keepalive = format!("{:x}", self.keepalive);
        let base = || message(&[("t", "hbapi-resp"), ("reqtype", &what)]);
        let answers = match what.as_str() {
            "signon" => vec![base().with("keepalive", &keepalive).with("node", name)],
            "getrsc" => vec![base().with("rsc_hold", "local")],
            "getparm" => vec![base().with("pvalue", "off")],
            "nodelist" => {
                let gate = if self.sides[place].alive {
                    "ping"
                } else {
                    "dead"
                };
                [
                    ("node1", "normal", "active"),
                    ("node2", "normal", "active"),
                    ("gate", "ping", gate),
                ]
                .map(|(name, kind, st)| {
                    base()
                        .with("node", name)
                        .with("nodetype", kind)
                        .with("st", st)
                })
                .to_vec()
            }
            _ => vec![base()],
        };
        let last = answers.len() - 1;
        for (number, answer) in answers.into_iter().enumerate() {
            let result = if number == last { "OK" } else { "ok/more" };
            self.at(self.now, Step::Hear(place, answer.with("result", result)));
        }
    }
}

fn ms(ms: u64) -> Monotonic {
    Monotonic::from_millis(ms)
}

fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random >> 11
}

/// Keepalives in ms.
const KEEPALIVES: [u64; 4] = [200, 500, 1000, 2000];

/// Runs of each kind.
const SEEDS: u64 = 50;

/// All pairs with at least one Systole node.
const PAIRS: [[bool; 2]; 3] = [[false, true], [true, false], [false, false]];

/// By how many milliseconds at most a busy machine delays each step.
const BUSY: u64 = 150;

/// Runs every keepalive and pair. Returns the runs in which `fails` is true, and how many there
/// were.
fn all_runs(
    answered: [[bool; 2]; 2],
    busy: u64,
    shape: impl Fn(u64, &mut Run),
    fails: impl Fn(u64, [Vec<u64>; 2]) -> Option<String>,
) -> Vec<String> {
    let mut failed = Vec::new();
    for keepalive in KEEPALIVES {
        for legacy in PAIRS {
            let mut times = 0;
            let mut first = String::new();
            for seed in 1..=SEEDS {
                let mut run = Run::new(keepalive, legacy, answered, busy, seed);
                shape(seed, &mut run);
                let gave = run.run();
                let after = |at: u64| at.saturating_sub(CHANGE);
                let gave = gave.map(|times| times.into_iter().map(after).collect());
                if let Some(why) = fails(keepalive, gave) {
                    times += 1;
                    first = format!("seed {seed}: {why}");
                }
            }
            if times > 0 {
                failed.push(format!(
                    "keepalive {keepalive} legacy {legacy:?} busy {busy}: {times} of {SEEDS}, {first}"
                ));
            }
        }
    }
    failed
}

fn nobody_gives(answered: [[bool; 2]; 2], flap: bool) {
    for busy in [0, BUSY] {
        let shape = |seed: u64, run: &mut Run| {
            run.link = if seed.is_multiple_of(2) { LINK } else { 0 };
            if flap {
                run.back = CHANGE + seed * 200;
            }
        };
        let failed = all_runs(answered, busy, shape, |_, gave| {
            let quiet = gave.iter().all(Vec::is_empty);
            (!quiet).then(|| format!("{gave:?}"))
        });
        assert!(failed.is_empty(), "{failed:#?}");
    }
}

#[test]
fn a_ping_node_that_both_lose_moves_nothing() {
    nobody_gives([[true, false]; 2], false);
}

#[test]
fn a_ping_node_that_both_get_back_moves_nothing() {
    nobody_gives([[false, true]; 2], false);
}

/// The ping node is lost for 0.2 to 10 seconds.
#[test]
fn a_ping_node_that_both_lose_for_a_while_moves_nothing() {
    nobody_gives([[true, false]; 2], true);
}

#[test]
fn a_ping_node_that_one_loses_moves_everything_in_time() {
    for loser in 0..2 {
        let mut answered = [[true, true]; 2];
        answered[loser] = [true, false];
        let failed = all_runs(
            answered,
            0,
            |_, _| {},
            |keepalive, gave| {
                // Beside a legacy daemon with a keepalive of 500 ms two legacy nodes already need
                // 2.5 s.
                let bound = DEADPING + 2000.max(8 * keepalive);
                let right =
                    gave[1 - loser].is_empty() && matches!(gave[loser][..], [at] if at <= bound);
                (!right).then(|| format!("loser {loser}: {gave:?} not within {bound}"))
            },
        );
        assert!(failed.is_empty(), "{failed:#?}");
    }
}
