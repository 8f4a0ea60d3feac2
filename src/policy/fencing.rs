//! Fencing: a node that was declared dead and may run groups is reset before its groups are taken
//! over. One row per dead node, from the verdict to the takeover.
//! Spec: docs/protocol/resources.md, 10.3.
//!
//! | state | dead | heard, dropped | done | failed | confirmed | time | watchdog's time |
//! |---|---|---|---|---|---|---|---|
//! | no row | Waits | - | - | - | log | - | - |
//! | Waits | - | no row | - | - | cleared, Fenced | Fencing, when nothing is in the way | cleared, Fenced |
//! | Fencing | - | call off, no row | cleared, Fenced | Failed | call off, cleared, Fenced | call off, Waits, when something gets in the way | call off, cleared, Fenced |
//! | Failed | - | no row | - | - | cleared, Fenced | Fencing, when nothing is in the way | cleared, Fenced |
//! | Fenced | Waits | no row | - | - | log | - | - |
//! | Earlier | EarlierDead | call off, no row | EarlierDone | EarlierLost | call off, EarlierDone | call off, EarlierLost, when something gets in the way | - |
//! | EarlierDead | - | call off, no row | cleared, Fenced | Waits | call off, cleared, Fenced | call off, Waits, when something gets in the way | call off, cleared, Fenced |
//! | EarlierLost | Waits | no row | - | - | EarlierDone | - | - |
//! | EarlierDone | cleared, Fenced | no row | - | - | log | - | - |
//!
//! "Done" and "failed" count with the number of the order in hand only: an order that was called
//! off is answered to nobody.
//!
//! **Earlier**: a process that goes on for another one, or a core for another core, whose order was
//! out. The program that carries it out lives on. It is not ordered again: its outcome is asked for,
//! and the node is declared dead anew meanwhile. "Failed" there means that no program is left, or
//! nobody knows what it did.
//!
//! **The watchdog's time** is over `fence_by_watchdog` after the verdict. It is off by default. With
//! it a node without a device waits as well, and gives no order.
//!
//! **When nothing has to be fenced**, and the takeover begins at once. The core of the resources
//! decides it (`resources/acts/fence.rs`), as legacy does:
//!
//! | condition | `stonith` message |
//! |---|---|
//! | no device is configured here for the node, and no `fence_by_watchdog` | `n_stnth` |
//! | the node has reported, in its run and ours, that it holds nothing (`auto_failback on`, `off`) | `unneeded` |
//! | it was received, and left in order by its `shutdone` (`auto_failback legacy`, or more than two nodes) | `unneeded` |
//! | it was not received by this process, which went on in place of another, holds everything already, and has not inherited the wait for its reset | `unneeded` |
//!
//! The last row is not legacy's: nothing is left to be taken over. And in legacy a node that has not
//! reported anything yet holds nothing: a node that starts and loses the other before its first
//! report takes its groups unfenced.
//!
//! A Systole node that held nothing is reset all the same, once, while groups run here: if it lives,
//! it takes everything over in a moment, and resets this node for it. Nothing waits for that. What
//! could not be ordered within one delay is dropped: that moment is over.
//!
//! **Who fences, and when.** Two nodes that lose each other must not both shoot in one moment. So
//! one of them waits, and is reset before its wait is over, if the other lives:
//!
//! | this node serves | the other may serve | this node is first | waits |
//! |---|---|---|---|
//! | yes | - | yes | -; one delay if the other is a legacy node that may serve |
//! | yes | no | no | - |
//! | yes | yes, or not known | no | one delay |
//! | no | - | no | one delay |
//! | no | - | yes | two delays |
//!
//! A legacy node never waits, so beside one the other always does: if both shot in one moment, nobody
//! would serve. The price is one delay when a legacy node that serves is really dead.
//!
//! So the two never wait equally long, whatever each of them believes of the other: of one that
//! serves and one that does not, the first is earlier; else the two differ by their places.
//!
//! "First" means in the `node` lines, which are alike on both. The delay is `fence_delay`, or 2 s
//! more than the slowest answer of a device, at least 5 s. A node that loses the other while it
//! has not settled at start waits `initdead` more, as if it had started alone.
//!
//! Nothing is fenced by a node that is frozen, is cut off, releases everything, or was itself
//! stopped or starved within the last dead time: its row waits until that is over. An order in hand
//! is called off when the node is frozen, cut off or releases everything.
//!
//! A node that is heard again in the run that was declared dead is not fenced either: nothing of it
//! was taken over, and it serves. Legacy goes on, and shoots it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::notice::Notice;
use crate::protocol::name::{Generation, NodeName};
use crate::protocol::settings::Timing;

use crate::protocol::fencing::Standing;
pub use crate::protocol::fencing::{FenceAnswer, FenceOrder, FenceSettings, FenceTask, Reach};
use row::{Dead, Proof, Row, State, cause, one_line};

pub use row::View;

mod row;

/// Pause after a failed attempt, as in legacy.
pub const RETRY: Duration = Duration::from_secs(5);

/// Shortest delay without `fence_delay`.
pub const MIN_DELAY: Duration = Duration::from_secs(5);

/// How much longer than the slowest answer of a device the delay is.
const BEHIND_ANSWER: Duration = Duration::from_secs(2);

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
    /// Reset the node, or learn how an earlier reset of it ends.
    Fence {
        /// Number to answer with.
        order: FenceOrder,
        /// The node.
        node: NodeName,
        /// Which of the two.
        task: FenceTask,
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

/// Fences dead nodes, one row each. Does no I/O and reads no clock.
#[derive(Debug)]
pub struct Fencing {
    keepalive: Duration,
    deadtime: Duration,
    initdead: Duration,
    settings: FenceSettings,
    slowest: Duration,
    rows: BTreeMap<NodeName, Row>,
    next_order: u64,
    obstacle: Option<Obstacle>,
    called: Option<Monotonic>,
    starved_until: Option<Monotonic>,
    now: Monotonic,
}

impl Fencing {
    /// No node is dead yet.
    #[must_use]
    pub const fn new(timing: &Timing, settings: FenceSettings) -> Self {
        Self {
            keepalive: timing.keepalive,
            deadtime: timing.deadtime,
            initdead: timing.initdead,
            settings,
            slowest: Duration::ZERO,
            rows: BTreeMap::new(),
            next_order: 1,
            obstacle: None,
            called: None,
            starved_until: None,
            now: Monotonic::ZERO,
        }
    }

    /// What an earlier process or core of this node waited for: its order may be out.
    pub fn go_on(&mut self, nodes: impl IntoIterator<Item = NodeName>) {
        for node in nodes {
            let state = State::Earlier {
                order: None,
                dead: None,
            };
            self.rows.insert(node, Row::new(state));
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
        self.settings.delay.unwrap_or(behind.max(MIN_DELAY))
    }

    /// How long after its verdict a dead node was reset by its own watchdog, if that is configured.
    #[must_use]
    pub const fn by_watchdog(&self) -> Option<Duration> {
        self.settings.by_watchdog
    }

    /// Nodes with a row that were declared dead.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeName> {
        let dead = self.rows.iter().filter(|(_, row)| row.is_dead());
        dead.map(|(node, _)| node)
    }

    /// Whether the takeover of this node waits: it is neither fenced nor confirmed.
    #[must_use]
    pub fn is_waited_for(&self, node: &NodeName) -> bool {
        let row = self.rows.get(node);
        row.is_some_and(Row::is_waited_for)
    }

    /// Nodes that an earlier process has left, and that were not declared dead anew.
    pub fn left(&self) -> impl Iterator<Item = &NodeName> {
        let left = self.rows.iter().filter(|(_, row)| !row.is_dead());
        left.map(|(node, _)| node)
    }

    /// The rows, for people.
    pub fn view(&self) -> impl Iterator<Item = View<'_>> {
        self.rows.iter().map(|(node, row)| View {
            node,
            state: row.state.word(),
            next: row.due().map(|at| self.not_before(at)),
            counts: row.counts_at(),
            attempts: row.attempts,
            words: row.words.as_deref(),
        })
    }

    /// Earliest instant at which a tick would give an order, if nothing is in the way by then.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let due = self.rows.values().filter_map(Row::due).min();
        let due = due.filter(|_| self.obstacle.is_none());
        let due = due.map(|due| self.not_before(due));
        let counts = self.rows.values().filter_map(Row::counts_at).min();
        due.into_iter()
            .chain(counts)
            .filter(|at| *at > self.now)
            .min()
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
        let dead = Dead {
            run,
            standing,
            counts_at: self.settings.by_watchdog.map(|time| self.now + time),
        };
        match self.rows.get_mut(&node) {
            None => {}
            Some(row) => match &mut row.state {
                State::Fenced { .. } | State::EarlierLost => {}
                State::Earlier { dead: known, .. } => {
                    known.get_or_insert(dead);
                    return;
                }
                State::EarlierDone { proof } => {
                    let proof = *proof;
                    row.run = run;
                    row.is_fenced(proof);
                    if proof == Proof::Device {
                        out.push(Output::Notice(Notice::NodeReset {
                            node: node.to_string(),
                        }));
                    }
                    out.push(Output::Decided {
                        what: format!("takes {node} for fenced"),
                        cause: "it was reset before this process declared it dead".to_owned(),
                    });
                    return cleared(node, out);
                }
                State::Waits { .. } | State::Fencing { .. } | State::Failed { .. } => return,
            },
        }
        let row = self.begin(&node, &dead, out);
        self.rows.insert(node, row);
    }

    /// The row of a node that is to be fenced.
    fn begin(&self, node: &NodeName, dead: &Dead, out: &mut Vec<Output>) -> Row {
        let standing = dead.standing;
        let device = self.settings.reach.has(node);
        let wait = self.wait(standing);
        let (what, cause) = match self.settings.by_watchdog {
            Some(time) if !device => (
                format!("takes {node} for reset in {} s", time.as_secs()),
                "it is dead and may run groups, and its watchdog resets it until then",
            ),
            Some(_) | None => (
                format!("fences {node} in {} ms", wait.as_millis()),
                cause(standing),
            ),
        };
        let cause = cause.to_owned();
        out.push(Output::Decided { what, cause });
        let until = self.now + wait;
        Row {
            run: dead.run,
            precaution: standing.is_precaution(),
            counts_at: dead.counts_at,
            too_late: self.now + self.delay(),
            device,
            ..Row::new(State::Waits { until })
        }
    }

    fn wait(&self, standing: Standing) -> Duration {
        let wait = self.delay().saturating_mul(standing.delays());
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
        } else if let State::Fenced { proof } = row.state
            && row.run == run
        {
            let text = match proof {
                Proof::Device => format!(
                    "node {node} was reported as reset by its fencing device, and is still running: the device \
                     has not reset it. Both nodes may run its resources: test the device"
                ),
                Proof::Watchdog => format!(
                    "node {node} was to be reset by its watchdog, and is still running: both nodes may run its \
                     resources. Test the watchdog there, and see whether fence_by_watchdog is long enough"
                ),
                // No device has said anything.
                Proof::Person => return,
            };
            out.push(Output::Notice(Notice::OtherCrit { text }));
        }
    }

    /// The reason of a row is gone.
    fn drop_row(&mut self, node: &NodeName, out: &mut Vec<Output>) -> Option<Row> {
        let row = self.rows.remove(node)?;
        out.extend(row.order().map(Output::CallOff));
        Some(row)
    }

    fn answered(&mut self, order: FenceOrder, answer: FenceAnswer, out: &mut Vec<Output>) {
        let given = |row: &Row| row.order() == Some(order);
        let Some((node, row)) = self.rows.iter_mut().find(|(_, row)| given(row)) else {
            return;
        };
        let node = node.clone();
        let dead = match &row.state {
            State::Earlier { dead, .. } => Some(dead.clone()),
            _ => None,
        };
        match (answer, dead) {
            (FenceAnswer::Done, Some(None)) => {
                row.state = State::EarlierDone {
                    proof: Proof::Device,
                };
            }
            (FenceAnswer::Failed(_), Some(None)) => row.state = State::EarlierLost,
            (FenceAnswer::Failed(_), Some(Some(dead))) => {
                let row = self.begin(&node, &dead, out);
                self.rows.insert(node, row);
            }
            (FenceAnswer::Done, _) => {
                row.is_fenced(Proof::Device);
                let name = node.to_string();
                out.push(Output::Notice(Notice::NodeReset { node: name }));
                cleared(node, out);
            }
            (FenceAnswer::Failed(words), None) => {
                row.state = State::Failed {
                    again: self.now + RETRY,
                };
                let words = one_line(&words);
                failed(&node, &words, row.precaution, out);
                row.words = Some(words);
                if row.precaution {
                    self.rows.remove(&node);
                }
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
        out.extend(row.order().map(Output::CallOff));
        let dead = row.is_dead();
        if dead {
            row.is_fenced(Proof::Person);
        } else {
            row.state = State::EarlierDone {
                proof: Proof::Person,
            };
        }
        let text = format!(
            "{by} confirms that {node} is off: it counts as fenced, and its resources are taken over"
        );
        out.push(Output::Notice(Notice::OtherWarn { text }));
        out.push(Output::Decided {
            what: format!("takes {node} for fenced"),
            cause: format!("{by} confirms that it is off"),
        });
        if dead {
            cleared(node, out);
        }
    }

    fn tick(&mut self, obstacle: Option<Obstacle>, out: &mut Vec<Output>) {
        let begins = self.obstacle.is_none() && obstacle.is_some();
        self.obstacle = obstacle;
        let starved = self.starved_until.is_some();
        self.watchdogs_have_fired(out);
        if begins {
            self.call_off(out);
        }
        let now = self.now;
        self.rows.retain(|_, row| !row.is_pointless(now));
        for (node, row) in &mut self.rows {
            if let State::Earlier {
                order: order @ None,
                ..
            } = &mut row.state
            {
                let number = next(&mut self.next_order);
                *order = Some(number);
                out.push(Output::Fence {
                    order: number,
                    node: node.clone(),
                    task: FenceTask::LearnEarlier,
                });
            }
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
            let order = next(&mut self.next_order);
            row.attempts = row.attempts.saturating_add(1);
            row.told = None;
            row.state = State::Fencing { order };
            let node = node.clone();
            let task = FenceTask::Reset;
            out.push(Output::Fence { order, node, task });
        }
    }

    /// Something has got in the way: the orders in hand are called off, and given again when it is gone.
    fn call_off(&mut self, out: &mut Vec<Output>) {
        let until = self.now;
        let rows = self.rows.iter_mut();
        for (row, order) in rows.filter_map(|(_, row)| row.order().map(|order| (row, order))) {
            out.push(Output::CallOff(order));
            match &row.state {
                State::Earlier { dead: None, .. } => row.state = State::EarlierLost,
                State::Earlier {
                    dead: Some(dead), ..
                } => {
                    (row.run, row.counts_at) = (dead.run, dead.counts_at);
                    row.state = State::Waits { until };
                }
                _ => row.state = State::Waits { until },
            }
        }
    }

    /// Nodes whose watchdog has reset them by now.
    fn watchdogs_have_fired(&mut self, out: &mut Vec<Output>) {
        for (node, row) in &mut self.rows {
            if row.counts_at().is_none_or(|at| self.now < at) {
                continue;
            }
            out.extend(row.order().map(Output::CallOff));
            row.is_fenced(Proof::Watchdog);
            let text = format!(
                "{node} counts as reset by its watchdog: the time of fence_by_watchdog is over"
            );
            out.push(Output::Notice(Notice::OtherWarn { text }));
            out.push(Output::Decided {
                what: format!("takes {node} for reset by its watchdog"),
                cause: "it was declared dead so long ago as fence_by_watchdog says".to_owned(),
            });
            cleared(node.clone(), out);
        }
    }
}

/// The next number of an order.
const fn next(number: &mut u64) -> FenceOrder {
    let order = FenceOrder(*number);
    *number = number.saturating_add(1);
    order
}

/// No device has reset the node.
fn failed(node: &NodeName, words: &str, precaution: bool, out: &mut Vec<Output>) {
    let name = node.to_string();
    out.push(Output::Notice(Notice::HostNotReset { node: name.clone() }));
    out.push(Output::Report {
        node: node.clone(),
        result: "bad",
    });
    if precaution {
        return;
    }
    let text = format!(
        "fencing of {node} failed: {words}. Its resources are not taken over before it is reset. \
         If it is switched off for certain: systole fence confirm {node}"
    );
    out.push(Output::Notice(Notice::OtherError { text }));
    out.push(Output::Notice(Notice::StonithRetrying { node: name }));
}

/// The node counts as reset.
fn cleared(node: NodeName, out: &mut Vec<Output>) {
    out.push(Output::Report {
        node: node.clone(),
        result: "OK",
    });
    out.push(Output::Cleared(node));
}

#[cfg(test)]
mod tests;
