//! Fencing: a node that was declared dead and may run groups is reset before its groups are taken
//! over. One row per dead node, from the verdict to the takeover.
//! Spec: docs/protocol/resources.md, 10.3.
//!
//! | state | dead | heard, dropped | done | failed | confirmed | time |
//! |---|---|---|---|---|---|---|
//! | no row | Waits | - | - | - | log | - |
//! | Waits | - | no row | - | - | cleared, Fenced | Fencing, when nothing is in the way |
//! | Fencing | - | call off, no row | cleared, Fenced | Failed | call off, cleared, Fenced | - |
//! | Failed | - | no row | - | - | cleared, Fenced | Fencing, when nothing is in the way |
//! | Fenced | Waits | no row | - | - | log | - |
//!
//! "Done" and "failed" count with the number of the order in hand only: an order that was called
//! off is answered to nobody.
//!
//! **When nothing has to be fenced**, and the takeover begins at once. The core of the resources
//! decides it (`resources/acts/fence.rs`), as legacy does:
//!
//! | condition | `stonith` message |
//! |---|---|
//! | no device is configured here for the node | `n_stnth` |
//! | the node has reported, in its run and ours, that it holds nothing (`auto_failback on`, `off`) | `unneeded` |
//! | it was received, and left in order by its `shutdone` (`auto_failback legacy`, or more than two nodes) | `unneeded` |
//! | it was not received by this process, which went on in place of another and holds everything already | `unneeded` |
//!
//! The last row is not legacy's: nothing is left to be taken over. And in legacy a node that has not
//! reported anything yet holds nothing: a node that starts and loses the other before its first
//! report takes its groups unfenced.
//!
//! A Systole node that held nothing is reset all the same, once, while groups run here: if it lives,
//! it takes everything over in a moment, and resets this node for it. Nothing waits for that.
//!
//! **Who fences, and when.** Two nodes that lose each other must not both shoot in one moment. So
//! one of them waits, and is reset before its wait is over, if the other lives:
//!
//! | this node serves | the other may serve | this node is first | waits |
//! |---|---|---|---|
//! | yes | - | yes | - |
//! | yes | no | no | - |
//! | yes | yes, or not known | no | one delay |
//! | no | yes | - | one delay |
//! | no | no, or not known | yes | one delay |
//! | no | no, or not known | no | two delays |
//!
//! "First" means in the `node` lines, which are alike on both. The delay is `fence_delay`, or 2 s
//! more than the slowest answer of a device, at least 5 s. A node that loses the other while it
//! has not settled at start waits `initdead` more, as if it had started alone.
//!
//! Nothing is fenced by a node that is frozen, is cut off, releases everything, or was itself
//! stopped or starved within the last dead time: its row waits until that is over.
//!
//! A node that is heard again in the run that was declared dead is not fenced either: nothing of it
//! was taken over, and it serves. Legacy goes on, and shoots it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::notice::Notice;
use crate::protocol::name::{Generation, NodeName};
use crate::protocol::settings::Timing;

pub use crate::protocol::fencing::{FenceAnswer, FenceOrder, FenceSettings, Reach};
use crate::protocol::fencing::{Serves, Standing};

/// Pause after a failed attempt, as in legacy.
pub const RETRY: Duration = Duration::from_secs(5);

/// Shortest delay without `fence_delay`.
pub const MIN_DELAY: Duration = Duration::from_secs(5);

/// How much longer than the slowest answer of a device the delay is.
const BEHIND_ANSWER: Duration = Duration::from_secs(2);

/// Most characters of a device's words that are kept.
const WORDS: usize = 400;

/// Why this node fences nobody at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// It is frozen.
    Frozen,
    /// It releases everything, or has.
    Releases,
    /// It may be the one that is cut off.
    CutOff,
}

impl Obstacle {
    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Frozen => "this node is frozen",
            Self::Releases => "this node releases everything",
            Self::CutOff => "this node may be the one that is cut off",
        }
    }
}

/// What the machine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A node was declared dead and has to be fenced.
    Dead {
        /// The node.
        node: NodeName,
        /// The run that was declared dead.
        run: Generation,
        /// How this node stands to it.
        standing: Standing,
    },
    /// The node is received again.
    Heard {
        /// The node.
        node: NodeName,
        /// The run in which it is received.
        run: Generation,
    },
    /// Nothing of the node is to be taken over any more.
    Dropped(NodeName),
    /// The answer of a device.
    Answered {
        /// The order.
        order: FenceOrder,
        /// The answer.
        answer: FenceAnswer,
    },
    /// A person says that the node is off.
    Confirmed {
        /// The node.
        node: NodeName,
        /// The person.
        by: String,
    },
    /// An answer of a device took that long.
    AnswerTook(Duration),
    /// Time has passed. With what is in the way of an order.
    Tick(Option<Obstacle>),
}

/// What the machine wants done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Reset the node.
    Fence {
        /// Number to answer with.
        order: FenceOrder,
        /// The node.
        node: NodeName,
    },
    /// End what carries out the order.
    CallOff(FenceOrder),
    /// Tell the cluster with a message `stonith`.
    Report {
        /// The node.
        node: NodeName,
        /// `OK` or `bad`.
        result: &'static str,
    },
    /// The takeover of the node may begin.
    Cleared(NodeName),
    /// A log line.
    Notice(Notice),
    /// A decision, for people.
    Decided {
        /// What.
        what: String,
        /// Why.
        cause: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// The order is given then.
    Waits { until: Monotonic },
    /// The order is in hand.
    Fencing { order: FenceOrder },
    /// The last attempt has failed; the next one begins then.
    Failed { again: Monotonic },
    /// Done, and the node is not received since.
    Fenced,
}

/// One dead node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    run: Generation,
    state: State,
    /// It held nothing: nothing waits for it, and it is tried once.
    precaution: bool,
    attempts: u32,
    words: Option<String>,
    /// The obstacle that was told.
    told: Option<Obstacle>,
}

/// What people may see of one dead node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View<'a> {
    /// The node.
    pub node: &'a NodeName,
    /// `waits`, `fencing`, `failed` or `fenced`.
    pub state: &'static str,
    /// When the next order is given, if nothing is in the way.
    pub next: Option<Monotonic>,
    /// Orders so far.
    pub attempts: u32,
    /// The device's words at the last failure.
    pub words: Option<&'a str>,
}

/// Fences dead nodes, one row each. Does no I/O and reads no clock.
#[derive(Debug)]
pub struct Fencing {
    keepalive: Duration,
    deadtime: Duration,
    initdead: Duration,
    delay: Option<Duration>,
    slowest: Duration,
    rows: BTreeMap<NodeName, Row>,
    next_order: u64,
    obstacle: Option<Obstacle>,
    called: Option<Monotonic>,
    starved_until: Option<Monotonic>,
    now: Monotonic,
}

impl Fencing {
    /// No node is dead yet. `delay`: `fence_delay`.
    #[must_use]
    pub const fn new(timing: &Timing, delay: Option<Duration>) -> Self {
        Self {
            keepalive: timing.keepalive,
            deadtime: timing.deadtime,
            initdead: timing.initdead,
            delay,
            slowest: Duration::ZERO,
            rows: BTreeMap::new(),
            next_order: 1,
            obstacle: None,
            called: None,
            starved_until: None,
            now: Monotonic::ZERO,
        }
    }

    /// Takes in one input. Must be called with a tick at each call of the node: the time between
    /// two calls shows whether this node was stopped or starved.
    pub fn handle(&mut self, input: Input, now: Monotonic, out: &mut Vec<Output>) {
        self.is_called(now);
        match input {
            Input::Dead {
                node,
                run,
                standing,
            } => self.dead(node, run, standing, out),
            Input::Heard { node, run } => self.heard(&node, run, out),
            Input::Dropped(node) => {
                self.drop_row(&node, out);
            }
            Input::Answered { order, answer } => self.answered(order, answer, out),
            Input::Confirmed { node, by } => self.confirmed(node, &by, out),
            Input::AnswerTook(time) => self.slowest = self.slowest.max(time),
            Input::Tick(obstacle) => self.tick(obstacle, out),
        }
    }

    /// How long the node waits that serves nothing.
    #[must_use]
    pub fn delay(&self) -> Duration {
        let behind = self.slowest.saturating_add(BEHIND_ANSWER);
        self.delay.unwrap_or(behind.max(MIN_DELAY))
    }

    /// Nodes with a row.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeName> {
        self.rows.keys()
    }

    /// Whether the takeover of this node waits: it is neither fenced nor confirmed.
    #[must_use]
    pub fn is_waited_for(&self, node: &NodeName) -> bool {
        let row = self.rows.get(node);
        row.is_some_and(Row::is_waited_for)
    }

    /// The rows, for people.
    pub fn view(&self) -> impl Iterator<Item = View<'_>> {
        self.rows.iter().map(|(node, row)| View {
            node,
            state: match row.state {
                State::Waits { .. } => "waits",
                State::Fencing { .. } => "fencing",
                State::Failed { .. } => "failed",
                State::Fenced => "fenced",
            },
            next: row.due().map(|at| self.not_before(at)),
            attempts: row.attempts,
            words: row.words.as_deref(),
        })
    }

    /// Earliest instant at which a tick would give an order, if nothing is in the way by then.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let due = self.rows.values().filter_map(Row::due).min()?;
        let at = self.not_before(due);
        (self.obstacle.is_none() && at > self.now).then_some(at)
    }

    fn not_before(&self, at: Monotonic) -> Monotonic {
        self.starved_until.map_or(at, |until| at.max(until))
    }

    /// A call that comes late shows that the process stood still: what the other nodes sent
    /// meanwhile may not have been read yet, and they may have declared this node dead.
    fn is_called(&mut self, now: Monotonic) {
        self.now = now;
        let late = self.keepalive.saturating_mul(2).max(self.deadtime / 4);
        let last = self.called.replace(now);
        if last.is_some_and(|last| now.since(last) > late) {
            self.starved_until = Some(now + self.deadtime);
        }
        self.starved_until = self.starved_until.filter(|until| now < *until);
    }

    fn dead(&mut self, node: NodeName, run: Generation, standing: Standing, out: &mut Vec<Output>) {
        let known = self.rows.get(&node);
        if known.is_some_and(|row| row.state != State::Fenced) {
            return;
        }
        let wait = self.wait(standing);
        out.push(Output::Decided {
            what: format!("fences {node} in {} ms", wait.as_millis()),
            cause: cause(standing).to_owned(),
        });
        let until = self.now + wait;
        let row = Row {
            run,
            state: State::Waits { until },
            precaution: standing.serves && standing.other == Serves::Nothing,
            attempts: 0,
            words: None,
            told: None,
        };
        self.rows.insert(node, row);
    }

    fn wait(&self, standing: Standing) -> Duration {
        let delay = self.delay();
        let wait = match (standing.serves, standing.other, standing.first) {
            (true, _, true) | (true, Serves::Nothing, false) => Duration::ZERO,
            (true, Serves::Something | Serves::Unknown, false)
            | (false, Serves::Something, _)
            | (false, Serves::Nothing | Serves::Unknown, true) => delay,
            (false, Serves::Nothing | Serves::Unknown, false) => delay.saturating_mul(2),
        };
        if standing.settled {
            wait
        } else {
            wait.saturating_add(self.initdead)
        }
    }

    fn heard(&mut self, node: &NodeName, run: Generation, out: &mut Vec<Output>) {
        let Some(row) = self.drop_row(node, out) else {
            return;
        };
        if row.is_waited_for() {
            out.push(Output::Decided {
                what: format!("does not fence {node}"),
                cause: "it is received again".to_owned(),
            });
        } else if row.state == State::Fenced && row.run == run && row.attempts > 0 {
            let text = format!(
                "node {node} was reported as reset by its fencing device, and is still running: the device \
                 has not reset it. Both nodes may run its resources: test the device"
            );
            out.push(Output::Notice(Notice::OtherCrit { text }));
        }
    }

    /// The reason of a row is gone.
    fn drop_row(&mut self, node: &NodeName, out: &mut Vec<Output>) -> Option<Row> {
        let row = self.rows.remove(node)?;
        if let State::Fencing { order } = row.state {
            out.push(Output::CallOff(order));
        }
        Some(row)
    }

    fn answered(&mut self, order: FenceOrder, answer: FenceAnswer, out: &mut Vec<Output>) {
        let given = |row: &Row| row.state == State::Fencing { order };
        let Some((node, row)) = self.rows.iter_mut().find(|(_, row)| given(row)) else {
            return;
        };
        let node = node.clone();
        let name = node.to_string();
        match answer {
            FenceAnswer::Done => {
                row.state = State::Fenced;
                row.words = None;
                out.push(Output::Notice(Notice::NodeReset { node: name }));
                cleared(node, out);
            }
            FenceAnswer::Failed(words) => {
                let words = one_line(&words);
                let again = self.now + RETRY;
                row.state = State::Failed { again };
                let text = format!(
                    "fencing of {node} failed: {words}. Its resources are not taken over before it is reset. \
                     If it is switched off for certain: systole fence confirm {node}"
                );
                row.words = Some(words);
                out.push(Output::Notice(Notice::HostNotReset { node: name.clone() }));
                let result = "bad";
                let report = node.clone();
                out.push(Output::Report {
                    node: report,
                    result,
                });
                if row.precaution {
                    self.rows.remove(&node);
                    return;
                }
                out.push(Output::Notice(Notice::OtherError { text }));
                out.push(Output::Notice(Notice::StonithRetrying { node: name }));
            }
        }
    }

    fn confirmed(&mut self, node: NodeName, by: &str, out: &mut Vec<Output>) {
        let by = one_line(by);
        let row = self.rows.get_mut(&node);
        let Some(row) = row.filter(|row| row.is_waited_for()) else {
            let text =
                format!("{by} confirms that {node} is off, but it does not wait to be fenced");
            return out.push(Output::Notice(Notice::OtherWarn { text }));
        };
        if let State::Fencing { order } = row.state {
            out.push(Output::CallOff(order));
        }
        row.state = State::Fenced;
        // No device has said anything.
        row.attempts = 0;
        let text = format!(
            "{by} confirms that {node} is off: it counts as fenced, and its resources are taken over"
        );
        out.push(Output::Notice(Notice::OtherWarn { text }));
        out.push(Output::Decided {
            what: format!("takes {node} for fenced"),
            cause: format!("{by} confirms that it is off"),
        });
        cleared(node, out);
    }

    fn tick(&mut self, obstacle: Option<Obstacle>, out: &mut Vec<Output>) {
        self.obstacle = obstacle;
        let starved = self.starved_until.is_some();
        for (node, row) in &mut self.rows {
            if row.due().is_none_or(|at| self.now < at) {
                continue;
            }
            if let Some(obstacle) = obstacle {
                if row.told.replace(obstacle) != Some(obstacle) {
                    out.push(Output::Decided {
                        what: format!("does not fence {node} yet"),
                        cause: obstacle.as_str().to_owned(),
                    });
                }
                continue;
            }
            if starved {
                continue;
            }
            let order = FenceOrder(self.next_order);
            self.next_order = self.next_order.saturating_add(1);
            row.attempts = row.attempts.saturating_add(1);
            row.told = None;
            row.state = State::Fencing { order };
            let node = node.clone();
            out.push(Output::Fence { order, node });
        }
    }
}

impl Row {
    fn is_waited_for(&self) -> bool {
        self.state != State::Fenced && !self.precaution
    }

    /// When the next order is due.
    const fn due(&self) -> Option<Monotonic> {
        match self.state {
            State::Waits { until: at } | State::Failed { again: at } => Some(at),
            State::Fencing { .. } | State::Fenced => None,
        }
    }
}

/// The node counts as reset.
fn cleared(node: NodeName, out: &mut Vec<Output>) {
    out.push(Output::Report {
        node: node.clone(),
        result: "OK",
    });
    out.push(Output::Cleared(node));
}

/// Why the wait is as long as it is.
const fn cause(standing: Standing) -> &'static str {
    match standing {
        Standing {
            serves: true,
            other: Serves::Nothing,
            ..
        } => "it is dead and held nothing: if it lives, it takes everything over",
        Standing { settled: false, .. } => {
            "this node has not settled, and may be the one that is cut off"
        }
        Standing { serves: true, .. } => "it is dead and may run groups, this node serves",
        Standing { .. } => {
            "it is dead and may run groups, this node serves nothing: if it lives, it may go first"
        }
    }
}

/// Words of a device or a person as part of one log line.
fn one_line(words: &str) -> String {
    let line: String = words
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(WORDS)
        .collect();
    let line = line.trim();
    if line.is_empty() {
        "no words".to_owned()
    } else {
        line.to_owned()
    }
}

#[cfg(test)]
mod tests;
