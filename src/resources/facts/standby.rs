//! Which round of the standby protocol a message belongs to.
//! Spec: docs/protocol/resources.md, 7.4, [D].
//!
//! The messages do not say that, and a message that was lost and sent again may arrive during the
//! next round. So the giver's `done` counts only if it was sent after its `me`, for the same set.
//! Between two Systole nodes the answers of the taker also name the `me` that they answer, see
//! [`crate::protocol::question`].

use crate::protocol::field;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::standby::Standby;
use crate::resources::parts::timers::Timer;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Whether a message of a standby that an earlier process began has to wait. Before the other
    /// node has reported to this process, it takes the message for one of the earlier process, or
    /// does not receive it.
    pub(in crate::resources) fn not_heard_yet(&self) -> bool {
        self.standby.is_continued() && !self.other.somebody_has_reported()
    }

    /// Whether a message of the taker answers our newest offer. A legacy node does not tell.
    pub(in crate::resources) fn answers_our_offer(
        &self,
        from: &NodeName,
        message: &Message,
    ) -> bool {
        if !self.other.echoes(from) {
            return true;
        }
        let heard = message.text(field::HEARD).and_then(Position::from_text);
        heard.is_some() && heard == self.standby.state().offer()
    }

    /// Whether our offer ends when an offer of `from` crosses it. `from` ignores ours in any case.
    /// A legacy node offers only what a person wants.
    pub(in crate::resources) fn gives_way_to(&self, from: &NodeName) -> bool {
        let ours = self.other.is_systole(from);
        !ours || *from < *self.setup.local()
    }

    /// Whether a second offer of the giver that we have answered begins a new standby: see
    /// `parts/standby.rs`.
    pub(in crate::resources) fn starts_over(&self, from: &NodeName) -> bool {
        let Standby::Accepted {
            giver,
            open_until,
            gives,
            ..
        } = self.standby.state()
        else {
            return false;
        };
        let ours = self.other.is_systole(giver);
        giver == from && (ours || (!gives && *open_until <= self.now))
    }

    /// Whether a Systole node repeats that it is done.
    pub(in crate::resources) fn knows_that_it_is_done(
        &self,
        from: &NodeName,
        set: HoldingSet,
    ) -> bool {
        let ours = self.other.is_systole(from);
        let taken = matches!(self.standby.state(), Standby::Taking { set: it, .. } if *it == set);
        ours && (taken || self.duty.holds(set.mirror()))
    }

    /// How long an open standby is still waited for, in seconds; `None`: none is open.
    pub(in crate::resources) fn seconds_left(&self) -> Option<u64> {
        let left = self.timers.at(Timer::Standby)?.since(self.now);
        (!left.is_zero()).then_some(left.as_secs())
    }

    /// Whether the taker is a Systole node that lives and has not reported since our `done` that it
    /// is settled. Its scripts may take longer than we wait for a legacy node: it reports when they
    /// have ended, and its death or new run ends the standby too.
    pub(in crate::resources) fn is_taking_still(&self) -> bool {
        let given = self.standby.state().given_at();
        let settled = self.other.is_settled() && self.other.newest_report() > given;
        let ours =
            |(name, peer): (&NodeName, &Peer)| peer.is_systole() && !self.other.is_dead(name);
        !settled && self.other.nodes().any(ours)
    }

    /// Whether a report of the taker shows that it holds the set and is settled: then it is done,
    /// and its `done` may be lost.
    pub(in crate::resources) fn holds_what_we_gave(
        &self,
        taker: &NodeName,
        report: Position,
    ) -> bool {
        let holds = self.other.peer(taker).map(Peer::holds);
        let state = self.standby.state();
        self.other.is_settled()
            && state.given_at().is_some_and(|given| report > given)
            && holds.is_some_and(|holds| holds.has(state.given()))
    }
}
