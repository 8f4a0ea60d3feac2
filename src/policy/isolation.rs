//! Isolation release: a node that receives neither its peer nor a ping node releases its resources
//! instead of taking over those of the peer, because it is most likely the one that is cut off.
//!
//! | state | event | then |
//! |---|---|---|
//! | Linked | shortly before the peer's dead time, isolated | withdraw addresses, to Withdrawn |
//! | Linked | the same, and the call comes late | to Doubting: unread messages may be from the peer |
//! | Doubting | half the margin is over, or the peer's dead time is, whichever comes first, but not before 25 ms are | withdraw addresses, to Withdrawn |
//! | Doubting | the peer or a ping node is received | to Linked |
//! | Withdrawn | the peer or a ping node is received | restore addresses, to Linked |
//! | Linked, Doubting | the peer's dead time is over, isolated | withdraw addresses, release, to Released |
//! | Withdrawn | the same | release, to Released |
//! | Withdrawn | the peer's dead time is over, not isolated | restore addresses, to Linked |
//! | Released | a ping node has answered for a dead time | take everything, to Linked |
//! | Released | the peer is received | to Linked; the start exchange decides |
//!
//! Only Doubting waits because we are late: the other node counts from the last message that it received,
//! whether we are late or not. There is one doubt for each silence, so that a machine that is late all the
//! time withdraws as well. A doubt does not last beyond the peer's dead time: the call that ends it may come
//! as late as the one before, and the peer takes the addresses then. A node that is called just before that or
//! later doubts for 25 ms all the same: it has stood still, and most likely messages are unread, which takes
//! a moment and not half the margin.
//!
//! A process that was restarted in place and holds nothing acts as if it had received all nodes at that
//! moment: the process before it may have released because it was cut off, which is not recorded.
//!
//! A node is isolated when it received a peer that had not left, and a ping node, whose silences began
//! within one dead time of each other, and it receives no ping node now. A peer that has just begun counts
//! as well: it takes everything as soon as it has declared us dead. So does a peer that releases
//! everything: it may be about to begin a new generation. For pairs only.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::protocol::membership::Silence;
use crate::protocol::name::NodeName;
use crate::protocol::status::NodeStatus;

/// Shortest time between withdrawing addresses and the end of the dead time. A doubt lasts half of it at least.
const MIN_MARGIN: Duration = Duration::from_millis(50);

/// How long before the end of its dead time a silent peer counts as silent here. The peer's clock
/// runs like ours.
#[must_use]
pub fn margin(keepalive: Duration) -> Duration {
    keepalive.max(MIN_MARGIN)
}

/// What must be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Withdraw the service addresses: the peer may take them in a moment.
    Withdraw,
    /// Restore the service addresses.
    Restore,
    /// A ping node answers again and the peer is still dead: take everything.
    Regain,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Linked,
    /// When the doubt ends.
    Doubting {
        until: Monotonic,
    },
    Withdrawn,
    /// Since when a ping node has answered without a break.
    Released {
        peer: NodeName,
        back: Option<Monotonic>,
    },
}

/// Watches the silences of the peer and of the ping nodes. Does no I/O and reads no clock.
#[derive(Debug)]
pub struct Isolation {
    keepalive: Duration,
    deadtime: Duration,
    state: State,
    now: Monotonic,
    seen: Vec<Silence>,
    /// The process was restarted in place and holds nothing.
    successor: bool,
    /// When that process began.
    began: Option<Monotonic>,
}

impl Isolation {
    /// Before anything was received.
    #[must_use]
    pub const fn new(keepalive: Duration, deadtime: Duration) -> Self {
        Self {
            keepalive,
            deadtime,
            state: State::Linked,
            now: Monotonic::ZERO,
            seen: Vec::new(),
            successor: false,
            began: None,
        }
    }

    /// Tells that the process was restarted in place and holds nothing.
    pub const fn go_on_with_nothing(&mut self) {
        self.successor = true;
    }

    /// Takes in since when each node is silent. `may_act`: the node is neither being stopped nor
    /// frozen. `left` tells whether a node has reported that it leaves.
    pub fn observe(
        &mut self,
        seen: Vec<Silence>,
        may_act: bool,
        left: impl Fn(&NodeName) -> bool,
        now: Monotonic,
    ) -> Option<Step> {
        self.seen = seen;
        self.now = now;
        if self.successor {
            self.began.get_or_insert(now);
        }
        match &self.state {
            State::Linked | State::Doubting { .. } | State::Withdrawn => {
                let since = self
                    .cut_off_since()
                    .filter(|_| may_act && self.peer().is_some_and(|peer| !left(&peer.node)));
                let (state, step) = self.before_the_end(since);
                self.state = state;
                step
            }
            State::Released { peer, back } => {
                let back = *back;
                let gone = self
                    .seen
                    .iter()
                    .any(|node| node.node == *peer && node.status == NodeStatus::Dead);
                if !gone || !may_act {
                    self.state = State::Linked;
                    return None;
                }
                let answers = self.pings().any(|ping| self.answers(ping));
                let back = answers.then(|| back.unwrap_or(now));
                if back.is_some_and(|back| now.since(back) >= self.deadtime) {
                    self.state = State::Linked;
                    return Some(Step::Regain);
                }
                let peer = peer.clone();
                self.state = State::Released { peer, back };
                None
            }
        }
    }

    /// State and step while the dead time of the peer is not over, by the time since which we may
    /// be cut off.
    fn before_the_end(&self, since: Option<Monotonic>) -> (State, Option<Step>) {
        let read = margin(self.keepalive) / 2;
        match (&self.state, since) {
            (State::Withdrawn, None) => (State::Linked, Some(Step::Restore)),
            (_, None) => (State::Linked, None),
            (State::Linked, Some(since)) if self.now.since(since) > read / 2 => {
                let soonest = self.now + MIN_MARGIN / 2;
                let end = self.end_of_dead_time().unwrap_or(soonest);
                let until = (self.now + read).min(soonest.max(end));
                (State::Doubting { until }, None)
            }
            (State::Doubting { until }, Some(_)) if self.now < *until => (self.state.clone(), None),
            (State::Withdrawn, Some(_)) => (State::Withdrawn, None),
            (_, Some(_)) => (State::Withdrawn, Some(Step::Withdraw)),
        }
    }

    /// The dead time of `peer` is over. `Ok`: release everything. `Err`: take over its groups as
    /// usual. Each with the step that comes first.
    ///
    /// # Errors
    /// The node is not isolated.
    pub fn judge(
        &mut self,
        peer: &NodeName,
        may_act: bool,
        left: bool,
        now: Monotonic,
    ) -> Result<Option<Step>, Option<Step>> {
        self.now = now;
        // The status from before it was declared dead.
        let isolated = may_act
            && !left
            && self
                .peer()
                .is_some_and(|known| known.node == *peer && self.is_isolated_from(known));
        let withdrawn = self.is_withdrawn();
        if isolated {
            let peer = peer.clone();
            self.state = State::Released { peer, back: None };
            return Ok((!withdrawn).then_some(Step::Withdraw));
        }
        self.state = State::Linked;
        Err(withdrawn.then_some(Step::Restore))
    }

    /// Whether the addresses are withdrawn.
    pub(crate) const fn is_withdrawn(&self) -> bool {
        matches!(self.state, State::Withdrawn)
    }

    /// Earliest instant at which [`observe`](Self::observe) could give another answer although
    /// nothing was received.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        match &self.state {
            State::Linked => {
                let peer = self.peer().filter(|peer| is_there(peer.status))?;
                let at = self.silent_from(peer)?;
                (at > self.now).then_some(at)
            }
            State::Doubting { until } => Some(*until),
            State::Withdrawn => None,
            State::Released { back, .. } => back.map(|back| back + self.deadtime),
        }
    }

    /// From when on the peer and every ping node that answered before have been silent for too
    /// long.
    fn silent_from(&self, peer: &Silence) -> Option<Monotonic> {
        let silent = self
            .pings()
            .filter_map(|ping| Some(ping.heard? + self.quiet()));
        let due = peer.due?;
        Some(silent.max().map_or(due, |silent| due.max(silent)))
    }

    /// From when on the peer, if it heard us as long as we heard it, holds us for dead.
    fn end_of_dead_time(&self) -> Option<Monotonic> {
        Some(self.peer()?.due? + margin(self.keepalive))
    }

    /// Since when this node may be cut off.
    fn cut_off_since(&self) -> Option<Monotonic> {
        let peer = self.peer().filter(|peer| self.is_isolated_from(peer))?;
        self.silent_from(peer).filter(|at| *at <= self.now)
    }

    /// The other node of a pair.
    fn peer(&self) -> Option<&Silence> {
        let mut peers = self.seen.iter().filter(|node| !node.ping);
        peers.next().filter(|_| peers.next().is_none())
    }

    fn pings(&self) -> impl Iterator<Item = &Silence> {
        self.seen.iter().filter(|node| node.ping)
    }

    /// From this silence on, a ping node that is asked once per keepalive counts as silent: one
    /// lost answer does not count.
    fn quiet(&self) -> Duration {
        let beats = self.keepalive.saturating_add(self.keepalive / 2);
        beats.max(self.deadtime / 2)
    }

    fn answers(&self, ping: &Silence) -> bool {
        ping.status == NodeStatus::Ping
            && ping
                .heard
                .is_some_and(|heard| self.now.since(heard) < self.quiet())
    }

    fn is_isolated_from(&self, peer: &Silence) -> bool {
        let last = match (peer.status, peer.heard) {
            (status, Some(last)) if is_there(status) => last,
            (_, None) if self.began.is_some() => self.began.unwrap_or(self.now),
            (_, _) => return false,
        };
        let together = |ping: &Silence| {
            ping.heard.or(self.began).is_some_and(|heard| {
                heard.since(last) <= self.deadtime && last.since(heard) <= self.deadtime
            })
        };
        !self.pings().any(|ping| self.answers(ping)) && self.pings().any(together)
    }
}

/// The peer is not declared dead, whether it is active yet or not.
const fn is_there(status: NodeStatus) -> bool {
    status.is_living() || matches!(status, NodeStatus::Init)
}

#[cfg(test)]
mod tests;
