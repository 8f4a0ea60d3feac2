//! What others read from the core: clients, an operator, and a successor process.

use std::collections::BTreeSet;

use crate::protocol::event::OrderId;
use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;
use crate::resources::gate::Act;
use crate::resources::holding::HoldingSet;
use crate::resources::left_open::{OpenStandby, Part};
use crate::resources::obstacles::Scope;
use crate::resources::parts::names::unconfirmed_text;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::run::Phase;
use crate::resources::parts::standby::{Answer, Standby};
use crate::resources::parts::work::Purpose;
use crate::resources::state::ResourceState;

/// Where a group runs that does not run here, as far as the other node of a pair tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere<'a> {
    /// On this node, by its own words.
    On(&'a NodeName),
    /// Nowhere: the other node says that it does not run it, has left in order, or there is none.
    Nowhere,
    /// That is not known.
    NotKnown,
}

impl ResourceState {
    /// Where a group runs that does not run here.
    #[must_use]
    pub fn elsewhere(&self, key: &GroupKey) -> Elsewhere<'_> {
        if let Some((_, node)) = self.held_by_legacy().find(|(held, _)| *held == key) {
            return Elsewhere::On(node);
        }
        let mut nodes = self.other.nodes();
        match (nodes.next(), self.other.is_many()) {
            (None, _) => Elsewhere::Nowhere,
            (Some((_, peer)), false) if peer.has_left() => Elsewhere::Nowhere,
            (Some((name, peer)), false) if !peer.is_gone() && peer.tells_what_runs() => {
                if peer.says_it_runs(key) {
                    Elsewhere::On(name)
                } else {
                    Elsewhere::Nowhere
                }
            }
            (Some(_), _) => Elsewhere::NotKnown,
        }
    }

    /// Keys of all groups, in the order of the file.
    pub fn all_groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.groups.sides().map(|(key, _)| key)
    }

    /// Whether the group was stopped for good because restarts did not help it.
    #[must_use]
    pub fn is_down_for_good(&self, key: &GroupKey) -> bool {
        self.groups.stays_down(key)
    }

    /// Remarks for people about groups that are not where they belong.
    pub fn remarks(&self) -> Vec<String> {
        let down = self.groups.down_for_good();
        let down = down.map(|key| {
            format!(
                "{key} is stopped because restarts did not help it: systole clear {key} starts it"
            )
        });
        let Some((node, _)) = self.other.node() else {
            return down.collect();
        };
        let left = self.groups.left();
        let left = left.map(|key| format!("{key} runs here until its owner {node} can take it"));
        let unconfirmed = self.groups.unconfirmed();
        let unconfirmed = unconfirmed.map(|key| unconfirmed_text(key, node));
        let held = self.groups.keys_of(self.duty.held()).into_iter();
        let there = held
            .filter(|key| self.other.runs(key) && !self.groups.runs(key))
            .map(|key| format!("{key} is not started here: {node} runs it"));
        left.chain(unconfirmed).chain(there).chain(down).collect()
    }

    /// Keys of the groups that run here, as far as their actors have reported.
    pub fn held_groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.groups.that_run()
    }

    /// The same, and those with an order in hand.
    pub fn moving_groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.groups.that_may_run()
    }

    /// Groups that run here and are left to their owner.
    pub fn left_groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.groups.left()
    }

    /// Groups that are ours by a change of haresources, and that the other node ran before.
    pub fn came_groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.groups.came()
    }

    /// Whether the network must be probed for another host with the group's addresses before this
    /// order is carried out: if the other node lives and does not report what it runs, and the
    /// group is started because it seems to run nowhere.
    #[must_use]
    pub fn start_asks_network(&self, order: OrderId) -> bool {
        let silent = self
            .other
            .node()
            .is_some_and(|(_, peer)| !peer.tells_what_runs());
        silent
            && matches!(
                self.groups.purpose_of(order),
                Some(Purpose::AcquireLocal | Purpose::Reclaim | Purpose::Retry | Purpose::Take)
            )
    }

    /// Whether a node has announced that it leaves: then its silence does not count as a death. A
    /// node that still releases everything has not left: after a partition it goes on when the
    /// release is done.
    #[must_use]
    pub fn has_left(&self, node: &NodeName) -> bool {
        self.other.peer(node).is_some_and(Peer::has_left)
    }

    /// Whether this node may release its resources because it is isolated.
    #[must_use]
    pub fn may_be_cut_off(&self) -> bool {
        self.may(Act::CutOff)
    }

    /// Groups that run here and of which an address is gone, as far as is known: all of them.
    pub fn note_absent(&mut self, groups: &BTreeSet<GroupKey>) {
        self.groups.note_absent(groups);
    }

    /// Whether a group runs here, and nothing is being done or still to be done about it: what is missing of
    /// it was taken away by somebody else.
    #[must_use]
    pub fn keeps(&self, key: &GroupKey) -> bool {
        self.gate(Act::PutBack, &Scope::group(key)).is_ok()
    }

    /// Whether everything is being released, for whatever reason: no address comes back.
    #[must_use]
    pub fn gives_everything_up(&self) -> bool {
        self.run.phase() == Phase::Shutdown
    }

    /// Whether everything is released, or being released, because no node is received.
    #[must_use]
    pub const fn is_cut_off(&self) -> bool {
        self.isolation.is_on()
    }

    /// Whether something may still run here that the other node may take over: everything is to be
    /// released, and no other node is received that could be told of the release. A stop alone does
    /// not count.
    #[must_use]
    pub fn owes_release(&self) -> bool {
        let stops = self.stopping() && !self.isolation.is_on();
        let must = self.gives_everything_up() && !stops && self.other.all_gone();
        must && self.groups.that_may_run().next().is_some()
    }

    /// Whether no group may run here. Where another program manages the resources, nobody knows.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.setup.manages() && self.groups.that_may_run().next().is_none()
    }

    /// The open standby of this node, for a successor.
    #[must_use]
    pub fn open_standby(&self) -> Option<OpenStandby> {
        let state = self.standby.state();
        let part = match state {
            Standby::Idle { .. } | Standby::Offered { .. } => return None,
            Standby::Giving { .. } => Part::Gives,
            Standby::Given { .. } => Part::Given,
            Standby::Accepted { gives: false, .. } => Part::Ready,
            Standby::Accepted { .. } => Part::Awaits,
            Standby::Taking { .. } => Part::Takes,
        };
        let mut peers = self.other.nodes();
        let (with, peer) = peers.next().filter(|_| peers.next().is_none())?;
        let answer = state.answered();
        (!peer.is_systole()).then(|| OpenStandby {
            part,
            set: state.set(),
            with: with.clone(),
            heard: answer.map_or(peer.newest_report(), Answer::offer),
        })
    }

    /// What `cl_status rscstatus` answers. Groups that do not start are held, as in legacy; not so
    /// those that are left alone because another host has their addresses, and those that run without an
    /// address that somebody has removed.
    #[must_use]
    pub fn rscstatus(&self) -> &'static str {
        if self.in_transition() {
            return "transition";
        }
        let held = self.duty.held();
        held.without(self.groups.not_served_here()).word()
    }

    /// Whether something is being given, taken, started or stopped.
    #[must_use]
    pub fn in_transition(&self) -> bool {
        !self.is_stable()
    }

    /// What we hold, and what another node has released for us and is being started: a successor
    /// goes on with that.
    #[must_use]
    pub const fn holding(&self) -> HoldingSet {
        self.duty.held().with(self.standby.state().taken())
    }

    /// Whether an order to start a group is still wanted. `None`: an order of an earlier core,
    /// which this core repeats unless it releases everything.
    #[must_use]
    pub fn start_stands(&self, order: Option<OrderId>) -> bool {
        match order {
            Some(order) => self.groups.stands(order),
            None => self.run.phase() != Phase::Shutdown,
        }
    }

    /// Groups that a legacy node reports that it holds, or has sent that it started, when nothing is
    /// in transition.
    pub fn held_by_legacy(&self) -> impl Iterator<Item = (&GroupKey, &NodeName)> {
        let quiet = self.nice() && self.other.is_pair() && self.run.comm_up() && self.is_stable();
        let legacy = |peer: &Peer| {
            !peer.is_systole() && !peer.is_leaving() && peer.has_reported() && peer.is_active()
        };
        let peers = self
            .other
            .nodes()
            .filter(move |(_, peer)| quiet && legacy(peer));
        let kept = self.other.peers().map(|peer| peer.hands().kept());
        let claims = kept.fold(self.other.holds(), HoldingSet::with);
        let set = claims.mirror().without(self.duty.held());
        peers.flat_map(move |(name, _)| {
            let held = self.groups.of(set);
            held.map(move |key| (key, name))
        })
    }

    /// Notes the owners that our haresources names now.
    pub fn file_on_disk(&mut self, owners: &str) {
        self.names.file_on_disk(owners);
    }

    /// Whether the node is frozen: nothing is started or stopped.
    #[must_use]
    pub const fn frozen(&self) -> bool {
        self.freeze.is_on()
    }

    /// Nodes whose groups are taken at the thaw unless they return.
    pub fn waits_for_thaw(&self) -> impl Iterator<Item = &NodeName> {
        let gone = |name: &NodeName| {
            self.other
                .peer(name)
                .is_some_and(crate::resources::parts::peer::Peer::is_gone)
        };
        self.freeze.nodes_left().filter(move |name| gone(name))
    }

    /// Whether the foreign groups are to go back to their owner, offered already or not.
    #[must_use]
    pub const fn failback_due(&self) -> bool {
        self.failback.is_pending()
    }

    /// Whether they are to go back because haresources was changed.
    #[must_use]
    pub const fn goes_home_by_file(&self) -> bool {
        self.failback.is_by_file()
    }
}
