//! The watchdog device: when it is fed, when it is not, and when it is closed for good. A device that
//! is not fed for its interval restarts the machine, whatever hangs here.
//!
//! It is fed by the own heartbeat that came back to membership, and by nothing else: no timer and no
//! other thread stands in for membership.
//!
//! | state | event | then |
//! |---|---|---|
//! | Shut | the node begins; a heartbeat, when the pause is over | open it |
//! | Shut | it is open | Armed; fed at once if a heartbeat asked for it |
//! | Shut | it is open, and its interval is too short for the heartbeats | close it for good, to Useless |
//! | Shut | it cannot be opened | a pause |
//! | Armed, Bridged | a heartbeat in time, and heartbeats leave this host | feed it |
//! | Armed, Bridged | a heartbeat later than deadtime after the last | not fed: the next one counts again |
//! | Armed, Bridged | a heartbeat, but none has left this host lately, and a group may run here | not fed |
//! | Armed, Bridged | a heartbeat, but for longer than deadtime groups may run here that a node that is cut off must have stopped | not fed |
//! | Armed | it takes nothing | close it without a word, to Shut: it stays armed |
//! | Armed | the same program is about to replace this process | the longer interval, fed, to Bridged |
//! | Armed, Bridged | another program is about to replace this process | close it for good, to Parted |
//! | Bridged | the process was not replaced | the usual interval, to Armed |
//! | Bridged | it takes nothing | close it without a word, to Parted |
//! | Shut | the process is about to be replaced | to Parted; by another program: what this node has left armed is closed for good first |
//! | Parted | the process was not replaced | open it, to Shut |
//! | Armed, Bridged | every group is stopped and the process ends | close it for good, to Ended |
//! | Shut, Parted | the same, and this node has left it armed | open it and close it for good, to Ended |
//! | Shut, Parted, Useless | the same, and it is not armed by this node | to Ended |
//! | Useless, Ended | anything else | nothing |
//!
//! "Closed for good" is the magic close: the last byte is a `V`, and the device stops. A device that is
//! closed in any other way, as by the death of the process, stays armed: the kernel counts on, and only
//! a successor that opens it again and feeds it prevents the restart of the machine.
//!
//! A node that runs nothing endangers nobody, whatever leaves this host: its network may not be up yet, after a boot.
//!
//! Another program may be an older one that knows nothing of the device: it would never feed it. So
//! only the same program inherits an armed device.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::protocol::settings::RESTART_EXTRA;

/// Added to deadtime before it is rounded up to seconds, as in legacy.
const MORE: Duration = Duration::from_millis(10);

/// Pause before a device that cannot be opened is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// For how many heartbeats nothing may leave this host before the device is not fed any more. A
/// single one may wait for a slow line.
const UNSENT: u32 = 3;

/// The times that decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// `keepalive`.
    pub keepalive: Duration,
    /// `deadtime`.
    pub deadtime: Duration,
}

impl Times {
    /// The interval that the device is asked for: deadtime and ten milliseconds, rounded up to
    /// seconds.
    #[must_use]
    pub fn interval(&self) -> Duration {
        whole_seconds(self.deadtime)
    }

    /// The interval while the process replaces itself: as long as the other nodes wait then.
    #[must_use]
    pub fn longer_interval(&self) -> Duration {
        whole_seconds(self.deadtime.saturating_add(RESTART_EXTRA))
    }

    /// The shortest interval with which a healthy node is not restarted: two heartbeats.
    #[must_use]
    pub fn shortest(&self) -> Duration {
        self.keepalive.saturating_mul(2)
    }

    /// How long nothing may leave this host.
    fn unsent(&self) -> Duration {
        self.keepalive.saturating_mul(UNSENT).min(self.deadtime)
    }
}

fn whole_seconds(time: Duration) -> Duration {
    let time = time.saturating_add(MORE);
    let more = u64::from(time.subsec_nanos() > 0);
    Duration::from_secs(time.as_secs().saturating_add(more))
}

/// What happens to the device or to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The node begins.
    Begin,
    /// The device is open, with this interval; `None`: it knows none.
    Opened(Option<Duration>),
    /// The device cannot be opened.
    Refused,
    /// The own heartbeat came back to membership.
    Beat {
        /// How many datagrams have left this host by now.
        left: u64,
        /// This node is cut off, and something may still run here that it must have stopped.
        owes_release: bool,
        /// No group may run here.
        idle: bool,
    },
    /// The device did not take a byte.
    Failed,
    /// The process is about to replace itself.
    Replace {
        /// By another program than the one that runs.
        other: bool,
    },
    /// The process was not replaced.
    Stay,
    /// Every group is stopped, and the process ends.
    End,
}

/// What is to be done with the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Open it and set this interval. Answered by [`Event::Opened`] or [`Event::Refused`], unless the
    /// process ends.
    Open(Duration),
    /// Write a byte.
    Feed,
    /// Set another interval, if the device knows any.
    Interval(Duration),
    /// Close it as it is: it stays armed.
    Drop,
    /// Write a `V` and close it: it stops.
    Disarm,
    /// What people have to know changed.
    Say(Trouble),
}

/// Why the device does not do its work, or is about to restart a node that still acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// None any more: it is fed.
    None,
    /// No heartbeat leaves this host.
    NothingLeaves,
    /// A heartbeat came so long after the last.
    Late(Duration),
    /// This interval is too short for the heartbeats.
    TooShort(Duration),
    /// What a node that is cut off must stop was not stopped in time.
    HoldsOn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Shut {
        retry_at: Monotonic,
        /// A heartbeat asked for the opening.
        hungry: bool,
    },
    Armed,
    Bridged,
    Parted,
    Useless,
    Ended,
}

/// Watches over the device. Does no I/O and reads no clock.
#[derive(Debug)]
pub struct Watchdog {
    times: Times,
    state: State,
    /// This node has armed it, and nobody has stopped it since.
    armed: bool,
    last_beat: Option<Monotonic>,
    /// How many datagrams had left, and when that number last changed.
    left: (u64, Monotonic),
    /// Since when it owes the release of what runs here.
    owes_since: Option<Monotonic>,
    trouble: Trouble,
}

impl Watchdog {
    /// `armed`: a predecessor may have left the device armed.
    #[must_use]
    pub const fn new(times: Times, armed: bool) -> Self {
        Self {
            times,
            state: State::Shut {
                retry_at: Monotonic::ZERO,
                hungry: false,
            },
            armed,
            last_beat: None,
            left: (0, Monotonic::ZERO),
            owes_since: None,
            trouble: Trouble::None,
        }
    }

    /// Whether the device is open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Armed | State::Bridged)
    }

    /// What is wrong, as far as it is decided here.
    #[must_use]
    pub const fn trouble(&self) -> Trouble {
        self.trouble
    }

    /// One event; what is to be done, in that order.
    pub fn handle(&mut self, event: Event, now: Monotonic, out: &mut Vec<Act>) {
        match (self.state, event) {
            (State::Shut { .. }, Event::Begin) => self.open(false, now, out),
            (State::Shut { hungry, .. }, Event::Opened(interval)) => {
                self.opened(interval, hungry, out);
            }
            (State::Shut { .. }, Event::Refused) => {
                self.state = State::Shut {
                    retry_at: now + AGAIN,
                    hungry: false,
                };
            }
            (
                State::Shut { retry_at, .. },
                Event::Beat {
                    left,
                    owes_release,
                    idle,
                },
            ) => {
                let good = self.beat(left, owes_release, idle, now, out);
                if good && retry_at <= now {
                    self.open(true, now, out);
                }
            }
            (
                State::Armed | State::Bridged,
                Event::Beat {
                    left,
                    owes_release,
                    idle,
                },
            ) => {
                if self.beat(left, owes_release, idle, now, out) {
                    out.push(Act::Feed);
                }
            }
            (
                State::Parted,
                Event::Beat {
                    left,
                    owes_release,
                    idle,
                },
            ) => {
                // Counted, so that none seems late when it is fed again.
                self.beat(left, owes_release, idle, now, &mut Vec::new());
            }
            (State::Armed, Event::Failed) => {
                out.push(Act::Drop);
                self.state = State::Shut {
                    retry_at: now,
                    hungry: false,
                };
            }
            (State::Bridged, Event::Failed) => {
                out.push(Act::Drop);
                self.state = State::Parted;
            }
            (State::Armed | State::Bridged, Event::Replace { other: true }) => {
                self.disarm(out);
                self.state = State::Parted;
            }
            (State::Armed, Event::Replace { other: false }) => {
                // What does not leave now does not leave during the restart either.
                if self.trouble == Trouble::None {
                    out.push(Act::Interval(self.times.longer_interval()));
                    out.push(Act::Feed);
                }
                self.state = State::Bridged;
            }
            (State::Shut { .. }, Event::Replace { other }) => {
                if other && self.armed {
                    out.push(Act::Open(self.times.interval()));
                    self.disarm(out);
                }
                self.state = State::Parted;
            }
            (State::Bridged, Event::Stay) => {
                out.push(Act::Interval(self.times.interval()));
                self.state = State::Armed;
            }
            (State::Parted, Event::Stay) => self.open(false, now, out),
            (State::Armed | State::Bridged, Event::End) => {
                self.disarm(out);
                self.state = State::Ended;
            }
            (State::Shut { .. } | State::Parted | State::Useless, Event::End) => {
                if self.armed {
                    out.push(Act::Open(self.times.interval()));
                    self.disarm(out);
                }
                self.state = State::Ended;
            }
            (State::Armed | State::Bridged, Event::Begin | Event::Opened(_) | Event::Refused)
            | (State::Armed | State::Shut { .. }, Event::Stay)
            | (State::Shut { .. }, Event::Failed)
            | (State::Bridged, Event::Replace { other: false })
            | (
                State::Parted,
                Event::Begin
                | Event::Opened(_)
                | Event::Refused
                | Event::Failed
                | Event::Replace { .. },
            )
            | (
                State::Useless,
                Event::Begin
                | Event::Opened(_)
                | Event::Refused
                | Event::Beat { .. }
                | Event::Failed
                | Event::Replace { .. }
                | Event::Stay,
            )
            | (State::Ended, _) => {}
        }
    }

    fn open(&mut self, hungry: bool, now: Monotonic, out: &mut Vec<Act>) {
        self.state = State::Shut {
            retry_at: now + AGAIN,
            hungry,
        };
        out.push(Act::Open(self.times.interval()));
    }

    fn opened(&mut self, interval: Option<Duration>, hungry: bool, out: &mut Vec<Act>) {
        self.armed = true;
        match interval.filter(|interval| *interval < self.times.shortest()) {
            Some(short) => {
                self.disarm(out);
                self.state = State::Useless;
                self.say(Trouble::TooShort(short), out);
            }
            None => {
                self.state = State::Armed;
                if hungry {
                    out.push(Act::Feed);
                }
            }
        }
    }

    fn disarm(&mut self, out: &mut Vec<Act>) {
        out.push(Act::Disarm);
        self.armed = false;
    }

    /// Whether this heartbeat shows that the node is alive for others.
    fn beat(
        &mut self,
        left: u64,
        owes_release: bool,
        idle: bool,
        now: Monotonic,
        out: &mut Vec<Act>,
    ) -> bool {
        let before = self.last_beat.replace(now);
        if before.is_none() || idle || left != self.left.0 {
            self.left = (left, now);
        }
        self.owes_since = owes_release.then(|| self.owes_since.unwrap_or(now));
        let owes = self.owes_since.map(|since| now.since(since));
        let pause = before.map_or(Duration::ZERO, |before| now.since(before));
        let trouble = if pause > self.times.deadtime {
            // What left during the pause is not known: it may have been before.
            Trouble::Late(pause)
        } else if now.since(self.left.1) > self.times.unsent() {
            Trouble::NothingLeaves
        } else if owes.is_some_and(|owes| owes > self.times.deadtime) {
            Trouble::HoldsOn
        } else {
            Trouble::None
        };
        self.say(trouble, out);
        trouble == Trouble::None
    }

    fn say(&mut self, trouble: Trouble, out: &mut Vec<Act>) {
        if std::mem::replace(&mut self.trouble, trouble) != trouble {
            out.push(Act::Say(trouble));
        }
    }
}

#[cfg(test)]
mod tests;
