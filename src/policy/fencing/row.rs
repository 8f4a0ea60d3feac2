//! The row of one dead node.

use super::FenceOrder;
use crate::clock::Monotonic;
use crate::protocol::fencing::{Serves, Standing};
use crate::protocol::name::{Generation, NodeName};

/// Most characters of a device's words that are kept.
pub(super) const WORDS: usize = 400;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// The order is given then.
    Waits { until: Monotonic },
    /// The order is in hand.
    Fencing { order: FenceOrder },
    /// The last attempt has failed; the next one begins then.
    Failed { again: Monotonic },
    /// It counts as reset, and is not received since.
    Fenced { proof: Proof },
    /// An earlier process ordered it. The outcome is asked for with this number.
    Earlier {
        order: Option<FenceOrder>,
        /// Known when the node was declared dead anew.
        dead: Option<Dead>,
    },
    /// An earlier process ordered it, and it is done. The node was not declared dead anew yet.
    EarlierDone { proof: Proof },
    /// An earlier process waited for it, and no order is out. It was not declared dead anew yet.
    EarlierLost,
}

impl State {
    /// For people.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Waits { .. } => "waits",
            Self::Fencing { .. } => "fencing",
            Self::Failed { .. } => "failed",
            Self::Fenced { .. } => "fenced",
            Self::Earlier { .. } => "earlier",
            Self::EarlierDone { .. } => "earlier, done",
            Self::EarlierLost => "earlier, lost",
        }
    }
}

/// A verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dead {
    pub(super) run: Generation,
    pub(super) standing: Standing,
    /// When its watchdog has reset it for certain.
    pub(super) counts_at: Option<Monotonic>,
}

/// Why a node counts as reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The device says so.
    Device,
    /// A person says so.
    Person,
    /// The time of its watchdog is over.
    Watchdog,
}

/// One dead node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) run: Generation,
    pub(super) state: State,
    /// It held nothing: nothing waits for it, and it is tried once.
    pub(super) precaution: bool,
    /// From then on a precaution has no point any more.
    pub(super) too_late: Monotonic,
    /// A device is configured for it.
    pub(super) device: bool,
    pub(super) attempts: u32,
    pub(super) words: Option<String>,
    /// The obstacle that was told.
    pub(super) told: Option<super::Obstacle>,
    /// When its watchdog has reset it for certain.
    pub(super) counts_at: Option<Monotonic>,
}

impl Row {
    pub(super) const fn new(state: State) -> Self {
        Self {
            run: Generation(0),
            state,
            precaution: false,
            too_late: Monotonic::ZERO,
            device: true,
            attempts: 0,
            words: None,
            told: None,
            counts_at: None,
        }
    }

    /// Whether it was declared dead by this process.
    pub(super) const fn is_dead(&self) -> bool {
        !matches!(
            self.state,
            State::Earlier { dead: None, .. } | State::EarlierDone { .. } | State::EarlierLost
        )
    }

    /// Whether its takeover waits for it.
    pub(super) const fn is_waited_for(&self) -> bool {
        let done = matches!(self.state, State::Fenced { .. } | State::EarlierDone { .. });
        !done && !self.precaution
    }

    /// Whether it was a precaution that came too late: the node would have acted by now.
    pub(super) fn is_pointless(&self, now: Monotonic) -> bool {
        self.precaution && self.due().is_some() && now > self.too_late
    }

    /// When the next order is due.
    pub(super) const fn due(&self) -> Option<Monotonic> {
        match self.state {
            State::Waits { until: at } | State::Failed { again: at } if self.device => Some(at),
            _ => None,
        }
    }

    /// When it counts as reset by its watchdog.
    pub(super) fn counts_at(&self) -> Option<Monotonic> {
        let at = match &self.state {
            State::Earlier { dead, .. } => dead.as_ref()?.counts_at,
            _ => self.counts_at,
        };
        at.filter(|_| self.is_waited_for())
    }

    /// The order in hand.
    pub(super) const fn order(&self) -> Option<FenceOrder> {
        match self.state {
            State::Fencing { order } => Some(order),
            State::Earlier { order, .. } => order,
            _ => None,
        }
    }

    /// It counts as reset.
    pub(super) fn is_fenced(&mut self, proof: Proof) {
        if let State::Earlier {
            dead: Some(dead), ..
        } = &self.state
        {
            self.run = dead.run;
        }
        self.state = State::Fenced { proof };
        self.words = None;
    }
}

/// What people may see of one dead node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View<'a> {
    /// The node.
    pub node: &'a NodeName,
    /// `waits`, `fencing`, `failed`, `fenced`; and `earlier`, `earlier, done`, `earlier, lost` while
    /// an earlier process has left it, and it was not declared dead anew.
    pub state: &'static str,
    /// When the next order is given, if nothing is in the way.
    pub next: Option<Monotonic>,
    /// When it counts as reset by its watchdog.
    pub counts: Option<Monotonic>,
    /// Orders so far.
    pub attempts: u32,
    /// The device's words at the last failure.
    pub words: Option<&'a str>,
}

/// Why the wait is as long as it is.
pub(super) const fn cause(standing: Standing) -> &'static str {
    match standing {
        Standing {
            serves: true,
            other: Serves::Nothing,
            ..
        } => "it is dead and held nothing: if it lives, it takes everything over",
        Standing { settled: false, .. } => {
            "this node has not settled, and may be the one that is cut off"
        }
        Standing {
            serves: true,
            hasty: true,
            ..
        } => {
            "it is dead and may run groups, this node serves; it is a legacy node: if it lives, it \
             resets this one without waiting"
        }
        Standing { serves: true, .. } => "it is dead and may run groups, this node serves",
        Standing { .. } => {
            "it is dead and may run groups, this node serves nothing: if it lives, it may go first"
        }
    }
}

impl Standing {
    /// How many delays this node waits.
    pub(super) const fn delays(self) -> u32 {
        match (self.serves, self.other, self.first) {
            (true, Serves::Something | Serves::Unknown, true) if self.hasty => 1,
            (true, _, true) | (true, Serves::Nothing, false) => 0,
            (true, Serves::Something | Serves::Unknown, false) | (false, _, false) => 1,
            (false, _, true) => 2,
        }
    }

    /// The other node held nothing: if it lives, it resets this one.
    pub(super) const fn is_precaution(self) -> bool {
        self.serves && matches!(self.other, Serves::Nothing)
    }
}

/// Words of a device or a person as part of one log line.
pub(super) fn one_line(words: &str) -> String {
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
