//! What is going to happen, and when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::protocol::event::{GroupOrder, GroupOutcome, OrderId, Origin};
use crate::protocol::fencing::{FenceAnswer, FenceOrder};
use crate::protocol::message::Message;

use super::act::Act;
use super::guard::Turn;
use super::ids::{GroupId, HostId};
use super::network::Frame;
use super::world::Micros;

/// To which run of a host's process, and of its core, an event belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    /// Counts starts and deaths of the process.
    pub(crate) process: u32,
    /// Counts cores: a panic ends the core and not the process.
    pub(crate) core: u32,
}

/// An order on its way through a group's actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ordered {
    pub(crate) life: Life,
    pub(crate) order: OrderId,
    pub(crate) group: GroupId,
    pub(crate) what: GroupOrder,
    /// The network is asked first.
    pub(crate) careful: bool,
}

impl Ordered {
    /// Whether it is the same order, however it is carried out.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.life == other.life && self.order == other.order
    }
}

/// An event in the future.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    Timer {
        host: HostId,
        life: Life,
        arm: u64,
    },
    Datagram {
        host: HostId,
        from: HostId,
        medium: usize,
        frame: Frame,
    },
    Order {
        host: HostId,
        ordered: Ordered,
    },
    ScriptEnd {
        host: HostId,
        machine: u32,
        group: GroupId,
    },
    /// It is time for the next question to the network before a start.
    Asked {
        host: HostId,
        machine: u32,
        ordered: Ordered,
        round: u32,
        claimed: bool,
    },
    /// The core is asked whether a start still stands, and the group's actor has its answer.
    MayStart {
        host: HostId,
        group: GroupId,
    },
    Begin {
        host: HostId,
        machine: u32,
        ordered: Ordered,
        stands: bool,
    },
    /// The next part of a group.
    Step {
        host: HostId,
        ordered: Ordered,
    },
    Done {
        host: HostId,
        ordered: Ordered,
        outcome: GroupOutcome,
    },
    ClientsStopped {
        host: HostId,
        life: Life,
    },
    Thaw {
        host: HostId,
    },
    Boot {
        host: HostId,
    },
    /// The guardian, or the process itself, starts the daemon again.
    Revive {
        host: HostId,
        machine: u32,
    },
    /// Root has begun anew after a panic.
    TellAgain {
        host: HostId,
        life: Life,
    },
    /// Is the node ready for a restart in place?
    AskReload {
        host: HostId,
        process: u32,
        pause: Micros,
    },
    /// The ping node answers.
    Echo {
        host: HostId,
        life: Life,
    },
    /// What the FIFO or a client brings.
    Injected {
        host: HostId,
        process: u32,
        origin: Origin,
        message: Message,
    },
    StopAsked {
        host: HostId,
        process: u32,
    },
    /// The fencing device of a host acts.
    Fences {
        host: HostId,
        machine: u32,
        program: u32,
    },
    /// Its answer.
    FenceSays {
        host: HostId,
        life: Life,
        order: FenceOrder,
        answer: FenceAnswer,
    },
    /// The timer of an `ipfail`, or its start.
    Ipfail {
        host: HostId,
        process: u32,
    },
    /// The guard of the service addresses.
    Guard {
        host: HostId,
        process: u32,
        turn: Turn,
    },
    /// The kernel of a host looks whether the lifetime of an address has ended.
    Lease {
        host: HostId,
        machine: u32,
        group: GroupId,
    },
    /// The monitors of a host look at what is due.
    Monitors {
        host: HostId,
        process: u32,
    },
    Act(Act),
    /// The judge looks at what stands.
    Look,
}

#[derive(Debug)]
struct Queued(Reverse<(Micros, u64)>, Happening);

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

/// Events in the future, the earliest first; those of one moment in the order in which they came in.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    serial: u64,
    heap: BinaryHeap<Queued>,
}

impl Queue {
    pub(crate) fn push(&mut self, when: Micros, what: Happening) {
        self.serial += 1;
        self.heap.push(Queued(Reverse((when, self.serial)), what));
    }

    /// The next event, if it comes no later than this.
    pub(crate) fn pop_until(&mut self, until: Micros) -> Option<(Micros, Happening)> {
        let Queued(Reverse((when, _)), _) = self.heap.peek()?;
        if *when > until {
            return None;
        }
        let Queued(Reverse((when, _)), what) = self.heap.pop()?;
        Some((when, what))
    }
}
