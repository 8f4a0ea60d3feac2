//! What is known of the other nodes, each and all together.
//! Spec: docs/protocol/resources.md, 5 and 13.

use std::collections::BTreeSet;

use super::holding::HoldingSet;
use super::state::ResourceState;
use crate::clock::Monotonic;
use crate::protocol::field;
use crate::protocol::group::GroupKey;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::protocol::status::NodeStatus;

/// What a legacy node starts, stops or runs and does not report: see `unreported.rs`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hands {
    /// Which groups, from its view.
    pub(super) unreported: HoldingSet,
    /// It may be at it until then; `None`: it has said that it has started them.
    pub(super) until: Option<Monotonic>,
    /// It was given it, or gives it, in its present run, and says when that is done.
    pub(super) tells: bool,
}

impl Hands {
    /// This as well: it says when it is done, or it is not waited for longer than `until`.
    pub(super) fn and(self, set: HoldingSet, until: Monotonic) -> Self {
        Self {
            unreported: self.unreported.with(set),
            until: Some(until),
            tells: true,
        }
    }

    /// It has started this as well, by its own word.
    pub(super) fn started(self, set: HoldingSet) -> Self {
        Self {
            unreported: self.unreported.with(set),
            until: None,
            tells: false,
        }
    }
}

/// What is known of another node.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// Status as membership sees it; `None`: not heard of yet.
    pub(super) status: Option<NodeStatus>,
    /// It sent `shutdone` in its present generation: it holds nothing and goes.
    pub(super) left: bool,
    /// It said that it gives everything up to go.
    pub(super) leaving: bool,
    /// It said in its last report that it is not settled.
    pub(super) unsettled: bool,
    /// We saw it begin its present run: its `starting`, or `up` turn to `active`.
    pub(super) fresh: bool,
    /// A full report of its present generation came after our `starting`.
    pub(super) reported: bool,
    /// How often our `starting` was repeated for it.
    pub(super) asked: u8,
    /// Where its first report stands that was sent after it heard this run of ours; `None`: none has come,
    /// or it does not tell.
    pub(super) knows_us_since: Option<Position>,
    /// Messages of it were lost for good since its last full report.
    pub(super) lost: bool,
    /// It was said that it does not report.
    pub(super) called_mute: bool,
    /// What it may hold as long as it lives in its present generation, through all our own runs: what
    /// it said last, and everything when it was in a partition with us, for it may have taken ours.
    pub(super) claims: HoldingSet,
    /// It understands more than legacy: it said so in a status message or in `starting`.
    pub(super) systole: bool,
    /// It knows which of two nodes yields after a partition: it said so in the same way.
    pub(super) yields: bool,
    /// Its reports and answers say which question of ours they answer: it said so in the same way.
    pub(super) echoes: bool,
    /// What it has in its hands and does not report: a legacy node forgets what its scripts go on with.
    pub(super) hands: Hands,
    /// The same when we declared its present run dead: it may have lived, and have gone on.
    pub(super) hands_at_death: Hands,
    /// What it has said that it has started, and where it said so. Its next full report shows whether it
    /// knows that it holds it.
    pub(super) has_taken: Option<(HoldingSet, Position)>,
    /// Its newest question.
    pub(super) question: Option<Position>,
    /// Its newest offer in a standby.
    pub(super) offer: Option<Position>,
    /// Its newest request for a group.
    pub(super) request: Option<Position>,
    /// We declared its present run dead.
    pub(super) given_up: bool,
    /// A new generation of ours began when we did.
    pub(super) renumbered: bool,
    /// Its groups were taken over since it was last heard to start.
    pub(super) taken_over: bool,
    /// They were when its present run began, or when it was first heard after all: an active node that was
    /// deaf or not heard. It has not reported since that it is settled.
    pub(super) returns: bool,
    /// What it said last.
    pub(super) holds: HoldingSet,
    /// The groups that it says it runs; `None`: it does not tell, and may run everything.
    pub(super) names: Option<BTreeSet<String>>,
    /// By which owners it counts: its mark of haresources.
    pub(super) owners: Option<String>,
    /// Groups whose lines in its haresources differ from ours; `Some(None)`: it is not known which.
    pub(super) differing: Option<Option<BTreeSet<GroupKey>>>,
    /// Where the message stands that said so last.
    pub(super) named_at: Position,
    /// Where its newest report stands: an older one that arrives late is no news.
    pub(super) newest_report: Position,
}

/// What ends with what:
///
/// | | it is gone ([`ends`](Peer::ends)) | it begins a new run ([`begins_run`](Peer::begins_run)) | we begin one ([`forget`](Peer::forget)) |
/// |---|---|---|---|
/// | how far the exchange with it has come: `fresh`, `reported`, `unsettled`, `asked`, `lost`, `called_mute`, `knows_us_since` | ends | ends | ends |
/// | `taken_over` | - | ends | ends |
/// | `returns` | - | as `taken_over` was | ends |
/// | what it says that it runs, and by which file: `names`, `owners` | ends | ends | - |
/// | `claims` | ends | ends | - |
/// | what it has in its hands: `hands`, `hands_at_death`, `has_taken` | see `unreported.rs` | see `unreported.rs` | see `unreported.rs` |
/// | how its file differs: `differing` | stays: it may come back in the run that said so | ends | - |
/// | that it goes: `left`, `leaving` | stays, for the same reason | ends | - |
/// | what we said of its run: `given_up`, `renumbered` | - | ends | see `forget_verdicts` |
/// | what it can do: `systole`, `yields`, `echoes` | - | is told just before, with `Speaks` | - |
/// | what it may still run of an earlier run: `holds` | - | stays | - |
/// | the order of its words: `question`, `offer`, `request`, `named_at`, `newest_report` | - | - : a new run stands behind the last | - |
impl Peer {
    /// It is dead, cut off or has left.
    pub(super) fn ends(&mut self) {
        self.end_exchange();
        self.end_words();
        self.hands = Hands::default();
        self.has_taken = None;
    }

    /// It came with a higher generation.
    pub(super) fn begins_run(&mut self) {
        self.end_exchange();
        self.end_words();
        self.differing = None;
        self.left = false;
        self.leaving = false;
        self.returns = self.taken_over;
        self.taken_over = false;
        self.given_up = false;
        self.renumbered = false;
        self.hands_at_death = Hands::default();
    }

    /// We begin a new run.
    pub(super) fn forget(&mut self) {
        self.end_exchange();
        self.taken_over = false;
        self.returns = false;
    }

    fn end_exchange(&mut self) {
        self.fresh = false;
        self.reported = false;
        self.unsettled = false;
        self.knows_us_since = None;
        self.asked = 0;
        self.called_mute = false;
        self.lost = false;
    }

    fn end_words(&mut self) {
        self.names = None;
        self.owners = None;
        self.claims = HoldingSet::NONE;
    }

    /// Dead, or gone by its own word.
    pub(super) fn is_gone(&self) -> bool {
        self.left || self.status == Some(NodeStatus::Dead)
    }
}

impl ResourceState {
    /// Whether a node counts as dead. Its first word may be any message, before its status changes;
    /// what would wait for more of it must not begin.
    pub(super) fn is_dead(&self, node: &NodeName) -> bool {
        let peer = self.peers.get(node);
        peer.is_some_and(|peer| peer.status == Some(NodeStatus::Dead))
    }

    /// What the other side holds or may hold. With more than two nodes the words of all that
    /// live: the one record keeps only the last.
    pub(super) fn theirs_at_most(&self) -> HoldingSet {
        let unreported = self.peers.values().map(|peer| peer.hands.unreported);
        let known = unreported.fold(self.theirs.with(self.doubt), HoldingSet::with);
        if self.is_pair() {
            return known;
        }
        self.peers
            .values()
            .filter(|peer| !peer.is_gone())
            .fold(known, |sum, peer| sum.with(peer.holds))
    }

    /// Whether every full member has reported in its present generation.
    pub(super) fn all_active_reported(&self) -> bool {
        self.peers
            .values()
            .all(|peer| peer.reported || peer.left || peer.status != Some(NodeStatus::Active))
    }

    /// Whether everybody who lives has reported in its present generation: one that has not may run
    /// anything, whatever its status word.
    pub(super) fn all_living_reported(&self) -> bool {
        self.peers
            .values()
            .all(|peer| peer.reported || peer.is_gone())
    }

    /// A report that came behind a newer one of the same run: whether it says that the node goes. Its
    /// answers to questions do not.
    pub(super) fn leaves_by_an_older_report(&mut self, node: &NodeName, report: &Message) {
        let leaves = report.text(field::INFO) == Some("shutdown") && !self.other_stable;
        let Some(peer) = self.peers.get_mut(node).filter(|_| leaves) else {
            return;
        };
        if Position::of(report).generation() == peer.newest_report.generation() {
            peer.leaving = true;
            self.leaves_instead_of_yielding(node);
        }
    }

    /// Whether somebody who lives gives everything up to go: it says that it holds nothing, and may still
    /// run anything until it has left.
    pub(super) fn somebody_is_leaving(&self) -> bool {
        self.peers
            .values()
            .any(|peer| peer.leaving && !peer.is_gone())
    }

    /// A legacy node that ran before we began, as far as we saw, and is not settled. From its own start that
    /// lasts until it has heard our report, and ten seconds at most after that; then it says that it is.
    /// While it stops everything it is so until it has left, and what it answers then does not say why.
    pub(super) fn unsettled_legacy(&self) -> Option<&NodeName> {
        let mut peers = self.peers.iter();
        let found = peers.find(|(_, peer)| {
            let ran = !peer.fresh && peer.status == Some(NodeStatus::Active);
            ran && peer.unsettled && !peer.systole && !peer.left
        });
        found.map(|(name, _)| name)
    }

    /// Whether this is a cluster of exactly two normal nodes.
    pub(super) fn is_pair(&self) -> bool {
        self.peers.len() == 1
    }

    /// Whether no other normal node is left.
    pub(super) fn all_peers_gone(&self) -> bool {
        self.peers.values().all(Peer::is_gone)
    }

    /// A living node that may hold what is ours, and has not reported since our run began: it may be
    /// deaf. Whoever hears us answers a `starting`.
    pub(super) fn silent_claimant(&self) -> Option<&NodeName> {
        let mut peers = self.peers.iter();
        let found = peers.find(|(_, peer)| {
            let lives = !peer.left && peer.status.is_some_and(NodeStatus::is_living);
            lives && !peer.reported && peer.claims.has(HoldingSet::FOREIGN)
        });
        found.map(|(name, _)| name)
    }

    /// Whether some other normal node is a full member.
    pub(super) fn peer_active(&self) -> bool {
        self.peers
            .values()
            .any(|peer| !peer.left && peer.status == Some(NodeStatus::Active))
    }
}
