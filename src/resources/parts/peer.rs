//! What is known of one other node. Spec: docs/protocol/resources.md, 4, 5 and 13.

use std::collections::BTreeSet;

use crate::clock::Monotonic;
use crate::protocol::group::GroupKey;
use crate::protocol::haresources_mark::key_mark;
use crate::protocol::links::TheirLinks;
use crate::protocol::partition::YIELD;
use crate::protocol::question::{ECHO, Position};
use crate::protocol::status::NodeStatus;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::hands::InItsHands;

pub(in crate::resources) mod reports;

/// What ends with what:
///
/// | | it is gone ([`ends`](Self::ends)) | it begins a new run ([`begins_run`](Self::begins_run)) | we begin one ([`forget`](Self::forget)) |
/// |---|---|---|---|
/// | how far the exchange with it has come: `exchange` | ends | ends | ends |
/// | what it reports that it holds and runs, and by which file: `says` | ends | ends | - |
/// | the same, what it may still run of an earlier run: `says.holds` | - | stays | - |
/// | what was seen and reported of its present run: `run` | stays: it may come back in that run | ends | its verdicts, see `forget_verdicts` |
/// | that its groups were taken: `taken.over` | - | ends | ends |
/// | that they were when its run began: `taken.returns` | - | as `taken.over` was | ends |
/// | what it may start, stop or run without a report: `hands` | ends; a death keeps a copy | see `hands.rs`; the copy ends | see `hands.rs` |
/// | what it can do: `can` | - | is set just before, with `Speaks` | - |
/// | the order of its messages: `newest` | - | - : a new run comes after the last | - |
#[derive(Debug, Default)]
pub(in crate::resources) struct Peer {
    /// Its status by membership; `None`: not received yet.
    status: Option<NodeStatus>,
    exchange: Exchange,
    says: Says,
    run: ItsRun,
    taken: Taken,
    can: Abilities,
    newest: Newest,
    hands: InItsHands,
}

/// How far the exchange of reports has come, in its present run and in ours.
#[derive(Debug, Default)]
struct Exchange {
    /// We saw it begin its present run: its `starting`, or `up` turn to `active`.
    fresh: bool,
    /// A full report of its present run came after our `starting`.
    reported: bool,
    /// Its last report said that it is not settled.
    unsettled: bool,
    /// How often our `starting` was repeated for it.
    asked: u8,
    /// It was logged that it does not report.
    called_mute: bool,
    /// Messages of it were lost for good since its last full report.
    lost: bool,
    /// The position of its first report after it received this run of ours; `None`: none, or it does not tell.
    knows_us_since: Option<Position>,
}

/// What it has reported of its groups. Spec: docs/protocol/resources.md, 4.
#[derive(Debug, Default)]
struct Says {
    /// What its last report says that it holds.
    holds: HoldingSet,
    /// What it may hold as long as it lives in its present run, through all our own runs: what it reported last,
    /// and everything if it was in a partition with us, because it may have taken ours.
    claims: HoldingSet,
    /// Marks of the groups that it reports to run; `None`: it does not tell, and may run everything.
    names: Option<BTreeSet<String>>,
    /// The owners by which it counts: its mark of haresources.
    owners: Option<String>,
    /// What it says of its interfaces, and when that came; `None`: it does not tell.
    links: Option<(Monotonic, TheirLinks)>,
}

/// What was seen and reported of its present run: kept as long as that lasts, for the node may be silent.
#[derive(Debug, Default)]
struct ItsRun {
    /// It sent `shutdone`: it holds nothing and leaves.
    left: bool,
    /// It announced that it releases everything and leaves.
    leaving: bool,
    /// Groups whose lines in its haresources differ from ours; `Some(None)`: it is not known which.
    differing: Option<Option<BTreeSet<GroupKey>>>,
    /// We declared it dead.
    given_up: bool,
    /// Our generation was raised when we declared this node dead.
    renumbered: bool,
}

/// Whether its groups were taken over.
#[derive(Debug, Default)]
struct Taken {
    /// They were, since it last started as far as we received.
    over: bool,
    /// They were when its present run began, or when it was first received after all: an active node that did not
    /// receive us or was not received. It has not reported since that it is settled.
    returns: bool,
}

/// What it understands beyond legacy. It tells that in a status message or in `starting`.
#[derive(Debug, Default)]
struct Abilities {
    /// It is a Systole node.
    systole: bool,
    /// It resolves a split brain: one of two nodes yields.
    yields: bool,
    /// Its reports and answers name the question of ours that they answer.
    echoes: bool,
}

/// Positions of its newest messages: an older one that arrives late is ignored.
#[derive(Debug, Default)]
struct Newest {
    question: Option<Position>,
    /// The newest offer of a standby.
    offer: Option<Position>,
    /// The newest request for a group.
    request: Option<Position>,
    report: Position,
    /// The newest message that says which groups it runs.
    names: Position,
}

fn has_word(words: &str, wanted: &str) -> bool {
    words.split('.').any(|word| word == wanted)
}

/// How it begins, leaves and comes back.
impl Peer {
    /// Its status has changed.
    pub(in crate::resources) fn status_changed(&mut self, old: NodeStatus, new: NodeStatus) {
        self.status = Some(new);
        if old == NodeStatus::Dead {
            // If it is active, it ran all along and was not received. A new run is known by its generation.
            self.taken.returns |= self.taken.over && new == NodeStatus::Active;
            // If it dies later, its groups are taken again.
            self.taken.over = false;
        }
        self.exchange.fresh |= old == NodeStatus::Up && new == NodeStatus::Active;
    }

    /// It sends `starting`. A node that begins again after a release does not leave.
    pub(in crate::resources) const fn starts(&mut self) {
        self.exchange.fresh = true;
        self.run.leaving = false;
    }

    /// It came with a higher generation.
    pub(in crate::resources) fn begins_run(&mut self) {
        self.exchange = Exchange::default();
        self.end_words();
        self.run = ItsRun::default();
        self.taken = Taken {
            over: false,
            returns: self.taken.over,
        };
        self.hands.forget_death();
    }

    /// We begin a new run.
    pub(in crate::resources) fn forget(&mut self) {
        self.exchange = Exchange::default();
        self.taken = Taken::default();
    }

    /// Nothing was received of it for its dead time.
    pub(in crate::resources) fn dies(&mut self) {
        self.status = Some(NodeStatus::Dead);
        self.ends();
    }

    /// It has released everything and leaves. Spec: docs/protocol/resources.md, 10.4.
    pub(in crate::resources) fn leaves(&mut self) {
        self.run.left = true;
        self.says.holds = HoldingSet::NONE;
        self.hands.forget_death();
        self.ends();
    }

    fn ends(&mut self) {
        self.exchange = Exchange::default();
        self.end_words();
        self.hands.ends();
    }

    fn end_words(&mut self) {
        self.says = Says {
            holds: self.says.holds,
            ..Says::default()
        };
    }

    /// It announces that it releases everything and leaves.
    pub(in crate::resources) const fn is_going(&mut self) {
        self.run.leaving = true;
    }

    /// What it may start, stop or run without a report: a legacy node does not report what its scripts go on with.
    pub(in crate::resources) const fn hands(&self) -> &InItsHands {
        &self.hands
    }

    /// The same, to change it.
    pub(in crate::resources) const fn hands_mut(&mut self) -> &mut InItsHands {
        &mut self.hands
    }

    /// Whether it was not received yet, or is gone: it may receive us all the same.
    pub(in crate::resources) fn is_not_heard(&self) -> bool {
        self.status.is_none() || self.is_gone()
    }

    /// Whether it is dead, or has left by its own message.
    pub(in crate::resources) fn is_gone(&self) -> bool {
        self.run.left || self.is_dead()
    }

    pub(in crate::resources) fn is_dead(&self) -> bool {
        self.status == Some(NodeStatus::Dead)
    }

    /// Whether it sent `shutdone` in its present run.
    pub(in crate::resources) const fn has_left(&self) -> bool {
        self.run.left
    }

    /// Whether a message of it came that counts, and it has not left.
    pub(in crate::resources) fn lives(&self) -> bool {
        !self.run.left && self.status.is_some_and(NodeStatus::is_living)
    }

    /// Whether it is a full member. It may have announced that it leaves.
    pub(in crate::resources) fn is_active(&self) -> bool {
        self.status == Some(NodeStatus::Active)
    }

    /// Whether it announced that it releases everything and leaves.
    pub(in crate::resources) const fn is_leaving(&self) -> bool {
        self.run.leaving
    }

    /// Whether we saw it begin its present run.
    pub(in crate::resources) const fn is_fresh(&self) -> bool {
        self.exchange.fresh
    }
}

/// The groups that it runs, and the haresources by which it counts.
impl Peer {
    /// Whether it reports which groups it runs. A node that does not may run everything.
    pub(in crate::resources) const fn tells_what_runs(&self) -> bool {
        self.says.names.is_some()
    }

    /// Whether it reports that it runs this group, or is about to.
    pub(in crate::resources) fn says_it_runs(&self, key: &GroupKey) -> bool {
        let names = self.says.names.as_ref();
        names.is_some_and(|names| names.contains(&key_mark(key)))
    }

    /// Its mark of haresources; `None`: it does not tell.
    pub(in crate::resources) fn owners(&self) -> Option<&str> {
        self.says.owners.as_deref()
    }

    /// Its haresources was compared with ours.
    pub(in crate::resources) fn file_compared(
        &mut self,
        differing: Option<Option<BTreeSet<GroupKey>>>,
    ) {
        self.run.differing = differing;
    }

    /// Groups whose lines differ there; `Some(None)`: it is not known which.
    pub(in crate::resources) fn differing(&self) -> Option<Option<&BTreeSet<GroupKey>>> {
        self.run.differing.as_ref().map(Option::as_ref)
    }
}

/// What it can do.
impl Peer {
    /// Records which words it understands; `None`: a message that carries none.
    pub(in crate::resources) fn understands(&mut self, words: Option<&str>) {
        self.can = Abilities {
            systole: self.can.systole || words.is_some(),
            yields: words.is_some_and(|words| has_word(words, YIELD)),
            echoes: words.is_some_and(|words| has_word(words, ECHO)),
        };
    }

    /// The same with the first message of a new run: what an earlier run understood does not count.
    pub(in crate::resources) fn understands_in_new_run(&mut self, words: Option<&str>) {
        self.can = Abilities::default();
        self.understands(words);
    }

    /// Whether it is a Systole node.
    pub(in crate::resources) const fn is_systole(&self) -> bool {
        self.can.systole
    }

    /// Whether it resolves a split brain: one of two nodes yields.
    pub(in crate::resources) const fn resolves_split_brain(&self) -> bool {
        self.can.yields
    }

    /// Whether its reports and answers name the question of ours that they answer.
    pub(in crate::resources) const fn echoes(&self) -> bool {
        self.can.echoes
    }
}

/// Decisions about its run. Spec: docs/protocol/resources.md, 10; docs/protocol/membership.md, 16.3.
impl Peer {
    /// We declare its run dead. `counts` is false while we are frozen: then we take nothing, and it has no reason
    /// to release anything.
    pub(in crate::resources) const fn is_declared_dead(&mut self, counts: bool) {
        self.run.given_up = counts;
    }

    /// It yields, or is gone: nothing is contested any more.
    pub(in crate::resources) const fn has_yielded(&mut self) {
        self.run.given_up = false;
    }

    /// A new generation of ours begins because we declared it dead. `false`: it has left, so none is needed. It
    /// comes back in a new run of its own.
    pub(in crate::resources) const fn renumbers_us(&mut self) -> bool {
        self.run.renumbered |= !self.run.left;
        !self.run.left
    }

    /// The verdicts about a run of ours do not count in the next.
    pub(in crate::resources) const fn forget_verdicts(&mut self) {
        self.run.given_up = false;
        self.run.renumbered = false;
    }

    /// Whether we declared its present run dead.
    pub(in crate::resources) const fn was_declared_dead(&self) -> bool {
        self.run.given_up
    }

    /// Whether our generation was raised when we declared it dead.
    pub(in crate::resources) const fn has_renumbered_us(&self) -> bool {
        self.run.renumbered
    }

    /// Its groups are taken over.
    pub(in crate::resources) fn is_taken_over(&mut self) {
        self.taken.over = true;
        self.run.given_up |= self.is_dead();
        self.says.holds = HoldingSet::NONE;
    }

    /// Whether they were, since it last started as far as we received.
    pub(in crate::resources) const fn was_taken_over(&self) -> bool {
        self.taken.over
    }

    /// Whether they were when its present run began, and it has not reported since that it is settled.
    pub(in crate::resources) const fn returns(&self) -> bool {
        self.taken.returns
    }

    /// It has reported that it is settled.
    pub(in crate::resources) const fn has_returned(&mut self) {
        self.taken.returns = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::field;
    use crate::protocol::message::Message;

    fn report(at: &str, stable: &str) -> Message {
        let (generation, seq) = at.split_once('.').unwrap();
        Message::new("resource")
            .with(field::HG, generation)
            .with(field::SEQ, seq)
            .with(field::RTYPE, "full")
            .with(field::IS_STABLE, stable)
    }

    #[test]
    fn a_node_that_returns_is_known_until_it_has_settled() {
        let mut peer = Peer::default();
        peer.dies();
        peer.is_taken_over();
        assert!(peer.was_declared_dead() && !peer.returns());
        peer.begins_run();
        assert!(peer.returns() && !peer.was_taken_over() && !peer.was_declared_dead());
        peer.has_returned();
        peer.begins_run();
        assert!(!peer.returns());
    }

    #[test]
    fn one_that_was_not_heard_returns_without_a_new_run() {
        let mut peer = Peer::default();
        peer.is_taken_over();
        peer.status_changed(NodeStatus::Dead, NodeStatus::Up);
        assert!(!peer.returns() && !peer.was_taken_over());
        peer.is_taken_over();
        peer.status_changed(NodeStatus::Dead, NodeStatus::Active);
        assert!(peer.returns() && peer.is_active() && !peer.is_fresh());
    }

    #[test]
    fn what_ends_with_what() {
        let told = || {
            let mut peer = Peer::default();
            peer.understands(Some("a.echo"));
            peer.status_changed(NodeStatus::Up, NodeStatus::Active);
            peer.reports(&report("1.2", "1"), true, false);
            peer.holds_now(HoldingSet::LOCAL, true, false);
            peer.names_groups(&report("1.2", "1").with(field::NAMES, "none"));
            peer.file_compared(Some(None));
            peer.is_going();
            peer
        };
        let mut dead = told();
        dead.dies();
        let mut anew = told();
        anew.begins_run();
        let mut forgotten = told();
        forgotten.forget();
        let of = |peer: &Peer| {
            [
                peer.has_reported(),
                peer.is_fresh(),
                peer.claims() == HoldingSet::LOCAL,
                peer.tells_what_runs(),
                peer.differing().is_some(),
                peer.is_leaving(),
                peer.holds() == HoldingSet::LOCAL,
                peer.has_said_more_than(Position::from_text("1.1").unwrap()),
            ]
        };
        assert_eq!(of(&told()), [true; 8]);
        let (no, yes) = (false, true);
        assert_eq!(of(&dead), [no, no, no, no, yes, yes, yes, yes]);
        assert_eq!(of(&anew), [no, no, no, no, no, no, yes, yes]);
        assert_eq!(of(&forgotten), [no, no, yes, yes, yes, yes, yes, yes]);
    }
}
