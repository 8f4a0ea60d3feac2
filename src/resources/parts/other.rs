//! The other side: what is known of each other node, and what is believed of all of them together.
//! With more than two nodes there is still one record of what they hold, because the protocol has
//! no more.
//! Spec: docs/protocol/resources.md, 4, 10.1 and 13.
//!
//! | What is believed | its report | its `done`: it took S | our `done`: it may start S | it gave us S | it is taken over | it leaves | it begins anew | we begin anew |
//! |---|---|---|---|---|---|---|---|---|
//! | what it holds by its own reports: `theirs` | as it says | with S | - | without S | nothing | nothing | with the doubt | nothing |
//! | what it may hold beyond that: `doubt` | settled: nothing; it gives something up: what it may have held | nothing | with S | nothing | nothing | nothing | nothing | nothing |
//! | whether it is settled | as it says | - | - | - | yes | no | stays | no |
//!
//! It also counts as unsettled from each offer and each answer in a standby until its next report,
//! from its return after a partition until then, and while it has to yield. It also counts as
//! settled when there is no other node, or none is waited for.

use std::collections::BTreeMap;

use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::peer::Peer;

/// What is known of the other nodes.
#[derive(Debug)]
pub(in crate::resources) struct OtherSide {
    peers: BTreeMap<NodeName, Peer>,
    theirs: HoldingSet,
    doubt: HoldingSet,
    settled: bool,
}

/// The nodes.
impl OtherSide {
    /// `names`: all nodes but this one.
    pub(in crate::resources) fn new(names: impl Iterator<Item = NodeName>) -> Self {
        Self {
            peers: names.map(|name| (name, Peer::default())).collect(),
            theirs: HoldingSet::NONE,
            doubt: HoldingSet::NONE,
            settled: false,
        }
    }

    /// What is known of a node.
    pub(in crate::resources) fn peer(&self, node: &NodeName) -> Option<&Peer> {
        self.peers.get(node)
    }

    /// The same, to change it.
    pub(in crate::resources) fn peer_mut(&mut self, node: &NodeName) -> Option<&mut Peer> {
        self.peers.get_mut(node)
    }

    /// The same; a node that was not known is added.
    pub(in crate::resources) fn known(&mut self, node: &NodeName) -> &mut Peer {
        self.peers.entry(node.clone()).or_default()
    }

    /// The node was added at run time and never ran anything.
    pub(in crate::resources) fn is_no_member(&mut self, node: &NodeName) {
        self.peers.remove(node);
    }

    pub(in crate::resources) fn names(&self) -> impl Iterator<Item = &NodeName> {
        self.peers.keys()
    }

    pub(in crate::resources) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    pub(in crate::resources) fn peers_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.peers.values_mut()
    }

    /// All nodes, by their names.
    pub(in crate::resources) fn nodes(&self) -> impl Iterator<Item = (&NodeName, &Peer)> {
        self.peers.iter()
    }

    /// The same, to change them.
    pub(in crate::resources) fn nodes_mut(
        &mut self,
    ) -> impl Iterator<Item = (&NodeName, &mut Peer)> {
        self.peers.iter_mut()
    }

    /// Whether no other node is known.
    pub(in crate::resources) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Whether this is a cluster of exactly two normal nodes.
    pub(in crate::resources) fn is_pair(&self) -> bool {
        self.peers.len() == 1
    }

    /// Whether this is a cluster of more than two normal nodes.
    pub(in crate::resources) fn is_many(&self) -> bool {
        self.peers.len() > 1
    }

    /// The other node of a pair, if it is there.
    pub(in crate::resources) fn node(&self) -> Option<(&NodeName, &Peer)> {
        let only = self.peers.iter().next().filter(|_| self.is_pair());
        only.filter(|(_, peer)| !peer.is_gone())
    }

    /// Whether no other normal node is left.
    pub(in crate::resources) fn all_gone(&self) -> bool {
        self.peers.values().all(Peer::is_gone)
    }

    /// Whether some other normal node is a full member.
    pub(in crate::resources) fn is_active(&self) -> bool {
        let active = |peer: &Peer| !peer.has_left() && peer.is_active();
        self.peers.values().any(active)
    }

    /// Whether a node counts as dead. The first message received of it may be any, before its
    /// status changes; nothing that waits for more messages of it must begin.
    pub(in crate::resources) fn is_dead(&self, node: &NodeName) -> bool {
        self.peer(node).is_some_and(Peer::is_dead)
    }

    /// Whether another node has announced that it releases everything and leaves.
    pub(in crate::resources) fn leaves(&self) -> bool {
        let leaves = |peer: &Peer| peer.is_leaving() || peer.has_left();
        self.peers.values().any(leaves)
    }

    /// Whether a living node releases everything and leaves: it reports that it holds nothing, and
    /// may still run anything until it has left.
    pub(in crate::resources) fn somebody_is_leaving(&self) -> bool {
        let leaving = |peer: &Peer| peer.is_leaving() && !peer.is_gone();
        self.peers.values().any(leaving)
    }

    /// Whether a node is the legacy node of a pair.
    pub(in crate::resources) fn is_legacy(&self, node: &NodeName) -> bool {
        self.is_pair() && self.peer(node).is_some_and(|peer| !peer.is_systole())
    }

    /// Whether a node is a Systole node.
    pub(in crate::resources) fn is_systole(&self, node: &NodeName) -> bool {
        self.peer(node).is_some_and(Peer::is_systole)
    }

    /// Whether all other nodes are Systole nodes.
    pub(in crate::resources) fn all_systole(&self) -> bool {
        self.peers.values().all(Peer::is_systole)
    }

    /// Whether the reports and answers of a node name the question of ours that they answer.
    pub(in crate::resources) fn echoes(&self, node: &NodeName) -> bool {
        self.peer(node).is_some_and(Peer::echoes)
    }
}

/// What the nodes have reported. Spec: docs/protocol/resources.md, 4, 5.2 and 10.1.
impl OtherSide {
    /// What the other side holds by its own reports, from its view.
    pub(in crate::resources) const fn holds(&self) -> HoldingSet {
        self.theirs
    }

    /// What the other side holds or may hold. With more than two nodes it includes the reports of
    /// all that live: the one record keeps only the last.
    pub(in crate::resources) fn may_hold(&self) -> HoldingSet {
        let unreported = self.peers.values().map(|peer| peer.hands().set());
        let known = unreported.fold(self.theirs.with(self.doubt), HoldingSet::with);
        if self.is_pair() {
            return known;
        }
        let living = self.peers.values().filter(|peer| !peer.is_gone());
        living.fold(known, |sum, peer| sum.with(peer.holds()))
    }

    /// Whether the other side counts as settled.
    pub(in crate::resources) const fn is_settled(&self) -> bool {
        self.settled
    }

    /// The position of the newest report of all nodes.
    pub(in crate::resources) fn newest_report(
        &self,
    ) -> Option<crate::protocol::question::Position> {
        self.peers.values().map(Peer::newest_report).max()
    }

    /// Whether a node has reported in its present run.
    pub(in crate::resources) fn somebody_has_reported(&self) -> bool {
        self.peers.values().any(Peer::has_reported)
    }

    /// Whether every full member has reported.
    pub(in crate::resources) fn all_active_reported(&self) -> bool {
        let told = |peer: &Peer| peer.has_reported() || peer.has_left() || !peer.is_active();
        self.peers.values().all(told)
    }

    /// Whether every living node has reported: one that has not may run anything, whatever its
    /// status.
    pub(in crate::resources) fn all_living_reported(&self) -> bool {
        let told = |peer: &Peer| peer.has_reported() || peer.is_gone();
        self.peers.values().all(told)
    }

    /// A legacy node that ran before we began, as far as we saw, and is not settled. After its own
    /// start that lasts until it has received our report, and ten seconds at most after that; then
    /// it reports that it is settled. While it stops everything it is unsettled until it has left,
    /// and its answers then do not tell the reason.
    pub(in crate::resources) fn unsettled_legacy(&self) -> Option<&NodeName> {
        let found = self.peers.iter().find(|(_, peer)| {
            let ran = !peer.is_fresh() && peer.is_active();
            ran && peer.is_unsettled() && !peer.is_systole() && !peer.has_left()
        });
        found.map(|(name, _)| name)
    }

    /// A living node that may hold our groups, and has not reported since our run began: it may not
    /// receive us. A node that receives a `starting` answers it. So a Systole node that is silent may hold
    /// anything, unless it `answers_nobody`.
    pub(in crate::resources) fn silent_claimant(&self, answers_nobody: bool) -> Option<&NodeName> {
        let may_hold = |peer: &Peer| {
            let answers = peer.is_systole() && self.is_pair() && !answers_nobody;
            peer.claims().has(HoldingSet::FOREIGN) || answers
        };
        let silent = |peer: &Peer| peer.lives() && !peer.has_reported();
        let found = self
            .peers
            .iter()
            .find(|(_, peer)| silent(peer) && may_hold(peer));
        found.map(|(name, _)| name)
    }

    /// What our report tells about the questions of the other node of a pair.
    pub(in crate::resources) fn heard_text(&self) -> Option<String> {
        let only = self.peers.values().next().filter(|_| self.is_pair())?;
        only.echoes().then(|| only.question().to_text())
    }

    /// Whether the other node of a pair reports that it runs this group, or is about to.
    pub(in crate::resources) fn runs(&self, key: &GroupKey) -> bool {
        self.node().is_some_and(|(_, peer)| peer.says_it_runs(key))
    }

    /// Whether another node's haresources has a different line for a group.
    pub(in crate::resources) fn line_differs(&self, node: &NodeName, key: &GroupKey) -> bool {
        let differing = self.peer(node).and_then(Peer::differing);
        differing.is_some_and(|keys| keys.is_none_or(|keys| keys.contains(key)))
    }
}

/// What changes the belief: see the table at the top.
impl OtherSide {
    /// A node reports that it holds `set`. `stale`: the node had not received this run of ours, so
    /// the report may be as old as the run before.
    pub(in crate::resources) fn reports(
        &mut self,
        from: &NodeName,
        set: HoldingSet,
        full: bool,
        stale: bool,
    ) {
        if let Some(peer) = self.peers.get_mut(from) {
            peer.holds_now(set, full, stale);
        }
        self.theirs = if stale {
            self.theirs.with(set)
        } else {
            self.theirs.updated(set, full)
        };
    }

    /// It reports that it is settled, or counts as settled.
    pub(in crate::resources) const fn settles(&mut self) {
        self.settled = true;
    }

    /// It begins, gives, takes or has to yield: it is not settled before its next report.
    pub(in crate::resources) const fn moves(&mut self) {
        self.settled = false;
    }

    /// It may hold just these sets, whatever it reports: it gives them up, or is in the middle of a
    /// standby. It has only announced that, not done it.
    pub(in crate::resources) const fn may_still_hold(&mut self, set: HoldingSet) {
        self.doubt = set;
    }

    /// We have sent that these are released: it may start them from now on. From its view.
    pub(in crate::resources) const fn may_start(&mut self, set: HoldingSet) {
        self.doubt = self.doubt.with(set);
    }

    /// Its own reports count, and nothing beyond them.
    pub(in crate::resources) const fn is_believed(&mut self) {
        self.doubt = HoldingSet::NONE;
    }

    /// Its `done` says that it has released this. Its last report may be older, and say that it still
    /// holds it. From its view.
    pub(in crate::resources) const fn has_given(&mut self, set: HoldingSet) {
        self.theirs = self.theirs.without(set);
        self.is_believed();
    }

    /// It has started what it was given. From its view.
    pub(in crate::resources) const fn has_taken(&mut self, set: HoldingSet) {
        self.theirs = self.theirs.with(set);
        self.doubt = HoldingSet::NONE;
    }

    /// It has released everything, or its groups are taken over.
    pub(in crate::resources) const fn holds_nothing(&mut self) {
        self.theirs = HoldingSet::NONE;
        self.doubt = HoldingSet::NONE;
    }

    /// What we offered stays here. A node that does not answer may be releasing for another reason:
    /// then its next report says what is left.
    pub(in crate::resources) fn offer_is_withdrawn(&mut self) {
        self.settled = self.doubt.is_none();
    }

    /// A node came with a higher generation: it may hold everything that it may have held before.
    pub(in crate::resources) fn begins_run(&mut self, node: &NodeName) {
        self.theirs = self.theirs.with(self.doubt);
        self.doubt = HoldingSet::NONE;
        self.known(node).begins_run();
    }

    /// We begin a new run.
    pub(in crate::resources) fn forget(&mut self) {
        self.holds_nothing();
        self.settled = false;
        for peer in self.peers.values_mut() {
            peer.forget();
        }
    }

    /// The verdicts about the run of ours that ends do not count in the next.
    pub(in crate::resources) fn forget_verdicts(&mut self) {
        for peer in self.peers.values_mut() {
            peer.forget_verdicts();
        }
    }
}

#[cfg(test)]
impl OtherSide {
    /// Treats the set as if the node had reported it.
    pub(in crate::resources) const fn claims(&mut self, set: HoldingSet) {
        self.theirs = set;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::status::NodeStatus;

    const LOCAL: HoldingSet = HoldingSet::LOCAL;
    const FOREIGN: HoldingSet = HoldingSet::FOREIGN;
    const ALL: HoldingSet = HoldingSet::ALL;
    const NONE: HoldingSet = HoldingSet::NONE;

    fn node(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    fn pair() -> OtherSide {
        OtherSide::new([node("b")].into_iter())
    }

    /// The table at the top: the other node holds `local` by its reports, and may hold `foreign`.
    #[test]
    fn what_is_believed_after_what() {
        type Event = fn(&mut OtherSide);
        let table: [(&str, Event, [HoldingSet; 2], bool); 11] = [
            ("nothing", |_| {}, [LOCAL, ALL], true),
            (
                "full report",
                |o| o.reports(&node("b"), NONE, true, false),
                [NONE, FOREIGN],
                true,
            ),
            (
                "stale report",
                |o| o.reports(&node("b"), NONE, true, true),
                [LOCAL, ALL],
                true,
            ),
            ("settled", OtherSide::is_believed, [LOCAL, LOCAL], true),
            (
                "gives up",
                |o| o.may_still_hold(LOCAL),
                [LOCAL, LOCAL],
                true,
            ),
            ("took", |o| o.has_taken(FOREIGN), [ALL, ALL], true),
            ("may start", |o| o.may_start(FOREIGN), [LOCAL, ALL], true),
            ("gone", OtherSide::holds_nothing, [NONE, NONE], true),
            (
                "offer withdrawn",
                OtherSide::offer_is_withdrawn,
                [LOCAL, ALL],
                false,
            ),
            (
                "begins anew",
                |o| o.begins_run(&node("b")),
                [ALL, ALL],
                true,
            ),
            ("we begin anew", OtherSide::forget, [NONE, NONE], false),
        ];
        for (what, event, [holds, may_hold], settled) in table {
            let mut other = pair();
            other.reports(&node("b"), LOCAL, true, false);
            other.may_start(FOREIGN);
            other.settles();
            event(&mut other);
            assert_eq!(
                [other.holds(), other.may_hold()],
                [holds, may_hold],
                "{what}"
            );
            assert_eq!(other.is_settled(), settled, "{what}");
        }
    }

    #[test]
    fn of_several_nodes_all_that_live_count() {
        let mut other = OtherSide::new([node("b"), node("c")].into_iter());
        other.reports(&node("b"), LOCAL, true, false);
        other.reports(&node("c"), NONE, true, false);
        assert_eq!([other.holds(), other.may_hold()], [NONE, LOCAL]);
        other.known(&node("b")).dies();
        assert_eq!(other.may_hold(), NONE);
        assert!(other.is_many() && !other.is_pair() && other.node().is_none());
    }

    #[test]
    fn a_node_that_is_silent_may_run_what_it_claimed() {
        let mut other = pair();
        other.known(&node("b")).may_claim(ALL);
        assert_eq!(other.silent_claimant(false), None, "it is not heard");
        other
            .known(&node("b"))
            .status_changed(NodeStatus::Init, NodeStatus::Active);
        assert_eq!(other.silent_claimant(false), Some(&node("b")));
        assert!(!other.all_living_reported() && !other.all_active_reported());
        other.known(&node("b")).leaves();
        assert_eq!(other.silent_claimant(false), None);
        assert!(other.all_gone() && other.leaves() && !other.somebody_is_leaving());
    }
}
