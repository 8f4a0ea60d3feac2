//! What is believed of the other nodes, each and all together.

use crate::protocol::group::GroupKey;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::timers::Timer;
use crate::resources::state::ResourceState;

impl ResourceState {
    pub(in crate::resources) fn is_legacy(&self, node: &NodeName) -> bool {
        self.is_pair() && self.peers.get(node).is_some_and(|peer| !peer.is_systole())
    }

    /// What a message of another node says of that.
    pub(in crate::resources) fn note_names(&mut self, from: &NodeName, message: &Message) {
        let Some(peer) = self.peers.get_mut(from) else {
            return;
        };
        peer.names_groups(message);
    }

    /// The other node of a pair, when it is there.
    pub(in crate::resources) fn other(&self) -> Option<(&NodeName, &Peer)> {
        let only = self.peers.iter().next().filter(|_| self.is_pair());
        only.filter(|(_, peer)| !peer.is_gone())
    }

    /// Whether the other node says that it runs this group, or is about to.
    pub(in crate::resources) fn other_runs(&self, key: &GroupKey) -> bool {
        self.other().is_some_and(|(_, peer)| peer.says_it_runs(key))
    }

    /// Whether another node's file says something else of a group.
    pub(in crate::resources) fn line_differs(&self, node: &NodeName, key: &GroupKey) -> bool {
        let peer = self.peers.get(node);
        let differing = peer.and_then(Peer::differing);
        differing.is_some_and(|keys| keys.is_none_or(|keys| keys.contains(key)))
    }

    /// A node begins a new run, and says what it can do.
    pub(in crate::resources) fn speaks(&mut self, node: &NodeName, words: Option<&str>) {
        if let Some(peer) = self.peers.get_mut(node) {
            peer.understands_in_new_run(words);
        }
    }

    /// Whether a node has said that it goes: its silence is no surprise. One that still releases
    /// everything has not: after a partition it goes on when that is done.
    #[must_use]
    pub fn has_left(&self, node: &NodeName) -> bool {
        self.peers.get(node).is_some_and(|peer| peer.has_left())
    }

    /// The verdicts of the run that ends mean nothing in the next.
    pub(in crate::resources) fn forget_verdicts(&mut self) {
        self.contest.forget();
        for peer in self.peers.values_mut() {
            peer.forget_verdicts();
        }
    }

    /// Whether another node has said that it gives everything up to go.
    pub(in crate::resources) fn other_leaves(&self) -> bool {
        self.peers
            .values()
            .any(|peer| peer.is_leaving() || peer.has_left())
    }

    /// The other side begins a new run or is gone: nothing is contested any more.
    pub(in crate::resources) fn way_given(&mut self, node: &NodeName) {
        self.timers.clear(Timer::OtherYields);
        if let Some(peer) = self.peers.get_mut(node) {
            peer.has_given_way();
        }
    }

    /// Whether a node counts as dead. Its first word may be any message, before its status changes;
    /// what would wait for more of it must not begin.
    pub(in crate::resources) fn is_dead(&self, node: &NodeName) -> bool {
        let peer = self.peers.get(node);
        peer.is_some_and(Peer::is_dead)
    }

    /// What the other side holds or may hold. With more than two nodes the words of all that
    /// live: the one record keeps only the last.
    pub(in crate::resources) fn theirs_at_most(&self) -> HoldingSet {
        let unreported = self.peers.values().map(|peer| peer.hands.unreported);
        let known = unreported.fold(self.theirs.with(self.doubt), HoldingSet::with);
        if self.is_pair() {
            return known;
        }
        self.peers
            .values()
            .filter(|peer| !peer.is_gone())
            .fold(known, |sum, peer| sum.with(peer.holds()))
    }

    /// Whether every full member has reported in its present generation.
    pub(in crate::resources) fn all_active_reported(&self) -> bool {
        self.peers
            .values()
            .all(|peer| peer.has_reported() || peer.has_left() || !peer.is_active())
    }

    /// Whether everybody who lives has reported in its present generation: one that has not may run
    /// anything, whatever its status word.
    pub(in crate::resources) fn all_living_reported(&self) -> bool {
        self.peers
            .values()
            .all(|peer| peer.has_reported() || peer.is_gone())
    }

    /// Whether somebody who lives gives everything up to go: it says that it holds nothing, and may still
    /// run anything until it has left.
    pub(in crate::resources) fn somebody_is_leaving(&self) -> bool {
        self.peers
            .values()
            .any(|peer| peer.is_leaving() && !peer.is_gone())
    }

    /// A legacy node that ran before we began, as far as we saw, and is not settled. From its own start that
    /// lasts until it has heard our report, and ten seconds at most after that; then it says that it is.
    /// While it stops everything it is so until it has left, and what it answers then does not say why.
    pub(in crate::resources) fn unsettled_legacy(&self) -> Option<&NodeName> {
        let mut peers = self.peers.iter();
        let found = peers.find(|(_, peer)| {
            let ran = !peer.is_fresh() && peer.is_active();
            ran && peer.is_unsettled() && !peer.is_systole() && !peer.has_left()
        });
        found.map(|(name, _)| name)
    }

    /// Whether this is a cluster of exactly two normal nodes.
    pub(in crate::resources) fn is_pair(&self) -> bool {
        self.peers.len() == 1
    }

    /// Whether no other normal node is left.
    pub(in crate::resources) fn all_peers_gone(&self) -> bool {
        self.peers.values().all(Peer::is_gone)
    }

    /// A living node that may hold what is ours, and has not reported since our run began: it may be
    /// deaf. Whoever hears us answers a `starting`.
    pub(in crate::resources) fn silent_claimant(&self) -> Option<&NodeName> {
        let mut peers = self.peers.iter();
        let found = peers.find(|(_, peer)| {
            peer.lives() && !peer.has_reported() && peer.claims().has(HoldingSet::FOREIGN)
        });
        found.map(|(name, _)| name)
    }

    /// Whether some other normal node is a full member.
    pub(in crate::resources) fn peer_active(&self) -> bool {
        self.peers
            .values()
            .any(|peer| !peer.has_left() && peer.is_active())
    }

    /// The other node asks.
    pub(in crate::resources) fn note_question(&mut self, from: &NodeName, message: &Message) {
        let peer = self.peers.entry(from.clone()).or_default();
        peer.asks(Position::of(message));
    }

    /// What a report of ours says of the questions of the other node of a pair.
    pub(in crate::resources) fn heard_text(&self) -> Option<String> {
        let mut peers = self.peers.values();
        let only = peers.next().filter(|_| peers.next().is_none())?;
        only.echoes().then(|| only.question().to_text())
    }

    /// Another node offers something. `false`: it has offered something else since, or we began anew since
    /// and it knows that: its offer has ended with our earlier run, whose words may still be on their way.
    pub(in crate::resources) fn note_offer(&mut self, from: &NodeName, message: &Message) -> bool {
        let peer = self.peers.entry(from.clone()).or_default();
        peer.offers(Position::of(message))
    }
}
