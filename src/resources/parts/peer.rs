//! What is known of the other nodes, each and all together.
//! Spec: docs/protocol/resources.md, 5 and 13.

use std::collections::BTreeSet;

use crate::protocol::group::GroupKey;
use crate::protocol::question::Position;
use crate::protocol::status::NodeStatus;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::loose::Hands;

/// Whether a list of capability words has one of them.
pub(in crate::resources) fn has_word(words: &str, wanted: &str) -> bool {
    words.split('.').any(|word| word == wanted)
}

/// What is known of another node.
#[derive(Debug, Default)]
pub(in crate::resources) struct Peer {
    /// Status as membership sees it; `None`: not heard of yet.
    pub(in crate::resources) status: Option<NodeStatus>,
    /// It sent `shutdone` in its present generation: it holds nothing and goes.
    pub(in crate::resources) left: bool,
    /// It said that it gives everything up to go.
    pub(in crate::resources) leaving: bool,
    /// It said in its last report that it is not settled.
    pub(in crate::resources) unsettled: bool,
    /// We saw it begin its present run: its `starting`, or `up` turn to `active`.
    pub(in crate::resources) fresh: bool,
    /// A full report of its present generation came after our `starting`.
    pub(in crate::resources) reported: bool,
    /// How often our `starting` was repeated for it.
    pub(in crate::resources) asked: u8,
    /// Where its first report stands that was sent after it heard this run of ours; `None`: none has come,
    /// or it does not tell.
    pub(in crate::resources) knows_us_since: Option<Position>,
    /// Messages of it were lost for good since its last full report.
    pub(in crate::resources) lost: bool,
    /// It was said that it does not report.
    pub(in crate::resources) called_mute: bool,
    /// What it may hold as long as it lives in its present generation, through all our own runs: what
    /// it said last, and everything when it was in a partition with us, for it may have taken ours.
    pub(in crate::resources) claims: HoldingSet,
    /// It understands more than legacy: it said so in a status message or in `starting`.
    pub(in crate::resources) systole: bool,
    /// It knows which of two nodes yields after a partition: it said so in the same way.
    pub(in crate::resources) yields: bool,
    /// Its reports and answers say which question of ours they answer: it said so in the same way.
    pub(in crate::resources) echoes: bool,
    /// What it has in its hands and does not report: a legacy node forgets what its scripts go on with.
    pub(in crate::resources) hands: Hands,
    /// The same when we declared its present run dead: it may have lived, and have gone on.
    pub(in crate::resources) hands_at_death: Hands,
    /// What it has said that it has started, and where it said so. Its next full report shows whether it
    /// knows that it holds it.
    pub(in crate::resources) has_taken: Option<(HoldingSet, Position)>,
    /// Its newest question.
    pub(in crate::resources) question: Option<Position>,
    /// Its newest offer in a standby.
    pub(in crate::resources) offer: Option<Position>,
    /// Its newest request for a group.
    pub(in crate::resources) request: Option<Position>,
    /// We declared its present run dead.
    pub(in crate::resources) given_up: bool,
    /// A new generation of ours began when we did.
    pub(in crate::resources) renumbered: bool,
    /// Its groups were taken over since it was last heard to start.
    pub(in crate::resources) taken_over: bool,
    /// They were when its present run began, or when it was first heard after all: an active node that was
    /// deaf or not heard. It has not reported since that it is settled.
    pub(in crate::resources) returns: bool,
    /// What it said last.
    pub(in crate::resources) holds: HoldingSet,
    /// The groups that it says it runs; `None`: it does not tell, and may run everything.
    pub(in crate::resources) names: Option<BTreeSet<String>>,
    /// By which owners it counts: its mark of haresources.
    pub(in crate::resources) owners: Option<String>,
    /// Groups whose lines in its haresources differ from ours; `Some(None)`: it is not known which.
    pub(in crate::resources) differing: Option<Option<BTreeSet<GroupKey>>>,
    /// Where the message stands that said so last.
    pub(in crate::resources) named_at: Position,
    /// Where its newest report stands: an older one that arrives late is no news.
    pub(in crate::resources) newest_report: Position,
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
/// | what it has in its hands: `hands`, `hands_at_death`, `has_taken` | see `acts/hands.rs` | see `acts/hands.rs` | see `acts/hands.rs` |
/// | how its file differs: `differing` | stays: it may come back in the run that said so | ends | - |
/// | that it goes: `left`, `leaving` | stays, for the same reason | ends | - |
/// | what we said of its run: `given_up`, `renumbered` | - | ends | see `forget_verdicts` |
/// | what it can do: `systole`, `yields`, `echoes` | - | is told just before, with `Speaks` | - |
/// | what it may still run of an earlier run: `holds` | - | stays | - |
/// | the order of its words: `question`, `offer`, `request`, `named_at`, `newest_report` | - | - : a new run stands behind the last | - |
impl Peer {
    /// It is dead, cut off or has left.
    pub(in crate::resources) fn ends(&mut self) {
        self.end_exchange();
        self.end_words();
        self.hands = Hands::default();
        self.has_taken = None;
    }

    /// It came with a higher generation.
    pub(in crate::resources) fn begins_run(&mut self) {
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
    pub(in crate::resources) fn forget(&mut self) {
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
    pub(in crate::resources) fn is_gone(&self) -> bool {
        self.left || self.status == Some(NodeStatus::Dead)
    }
}
