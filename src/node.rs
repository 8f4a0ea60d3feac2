//! One node's whole core: membership and resources, stepped together in one call, so that their
//! order can never differ.

// What peers, clients and daemons supply must not be able to stop the node.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod ledger;
pub mod record;
pub mod resume;
mod turn;

use std::collections::BTreeSet;
use std::time::Duration;

use record::Record;
use turn::Scratch;

use crate::clock::{Monotonic, Now};
use crate::policy::fencing::{self, Fencing, Reach};
use crate::policy::isolation::Isolation;
use crate::protocol::client::{ClusterNode, ClusterView};
use crate::protocol::decisions::{Decision, Decisions, bounded};
use crate::protocol::event::{Action, Event, OrderId};
use crate::protocol::group::GroupKey;
use crate::protocol::haresources_mark::FileMarks;
use crate::protocol::keys::KeyNumbers;
use crate::protocol::links::LINKS;
use crate::protocol::membership::{Identity, Membership, NodeView};
use crate::protocol::message::Message;
use crate::protocol::name::{Generation, MediumName, NodeName, Sequence};
use crate::protocol::partition::YIELD;
use crate::protocol::question::ECHO;
use crate::protocol::settings::NodeSettings;
use crate::protocol::status::NodeStatus;
pub use crate::resources::Elsewhere;
use crate::resources::FreezeRefused;
use crate::resources::holding::HoldingSet;
use crate::resources::state::ResourceState;

/// The capabilities of a Systole node beyond legacy, as it advertises them in the field `systole`
/// of `status` and `starting`. A rule that differs from legacy on the wire is used only towards a
/// node that advertises its word.
pub const CAPABILITIES: &[&str] = &["v1", YIELD, ECHO, LINKS];

/// Whether an address that somebody has removed may be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayPutBack {
    /// Its group does not run here, or is about to change, or addresses are withdrawn.
    No,
    /// Its group runs here, and the node is frozen.
    Frozen,
    /// Its group runs here.
    Yes,
}

/// A node's whole core. Does no I/O and reads no clock.
#[derive(Debug)]
pub struct Node {
    membership: Membership,
    resources: ResourceState,
    decisions: Decisions,
    manage_resources: bool,
    isolation: Option<Isolation>,
    fencing: Option<Fencing>,
    record: Record,
    scratch: Scratch,
}

impl Node {
    /// A node before its start: it sends nothing before [`start`](Self::start).
    ///
    /// `seed` feeds every random choice, so that equal inputs give equal runs.
    #[must_use]
    pub fn new(settings: NodeSettings, identity: Identity, seed: u64) -> Self {
        let fencing = &settings.fencing;
        let guards = fencing.reach != Reach::Nobody || fencing.by_watchdog.is_some();
        let fences = guards && settings.manage_resources;
        Self {
            membership: Membership::new(&settings, identity, seed),
            resources: ResourceState::new(&settings),
            decisions: Decisions::default(),
            manage_resources: settings.manage_resources,
            isolation: (settings.isolation_release && settings.manage_resources)
                .then(|| Isolation::new(settings.timing.keepalive, settings.timing.deadtime)),
            fencing: fences.then(|| Fencing::new(&settings.timing, settings.fencing.clone())),
            record: Record::default(),
            scratch: Scratch::default(),
        }
    }

    /// Groups that are ours by a change of haresources and ran on the other node.
    pub fn came_groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.resources.came_groups()
    }

    /// Whether the network must be asked, before this order is carried out, whether another host
    /// has the addresses of its group.
    #[must_use]
    pub fn start_asks_network(&self, order: OrderId) -> bool {
        self.resources.start_asks_network(order)
    }

    /// Whether the group was stopped for good because restarts did not help it.
    #[must_use]
    pub fn is_down_for_good(&self, key: &GroupKey) -> bool {
        self.resources.is_down_for_good(key)
    }

    /// Lines for people about groups that do not run on the node that should run them, and about the
    /// key that signs.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = self.resources.remarks();
        remarks.extend(self.membership.key_remark());
        remarks
    }

    /// What this node wants to begin and what holds it back, a line each.
    #[must_use]
    pub fn waits(&self) -> Vec<String> {
        self.resources.waits()
    }

    /// Groups that run here and are left to their owner.
    pub fn left_groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.resources.left_groups()
    }

    /// How long each peer may be silent, as the peer announced it.
    pub fn dead_times(&self) -> impl Iterator<Item = (&NodeName, Duration)> {
        self.membership.dead_times()
    }

    /// Dead times that an earlier core of this process knew. Call before [`start`](Self::start).
    pub fn keep_dead_times(&mut self, known: impl IntoIterator<Item = (NodeName, Duration)>) {
        self.membership.keep_dead_times(known);
    }

    /// Whether the foreign groups are to go back to their owner.
    #[must_use]
    pub const fn failback_due(&self) -> bool {
        self.resources.failback_due()
    }

    /// Whether that is so because haresources was changed.
    #[must_use]
    pub const fn goes_home_by_file(&self) -> bool {
        self.resources.goes_home_by_file()
    }

    /// The keys of the keys file. Call before [`start`](Self::start); later there is [`Event::KeysRead`].
    pub const fn keys_are(&mut self, file: KeyNumbers) {
        self.membership.keys_are(file);
    }

    /// The own haresources as it is now, whether it is in force or not.
    pub fn haresources_on_disk(&mut self, marks: FileMarks) {
        self.resources.file_on_disk(&marks.owners);
        self.membership.haresources_on_disk(marks);
    }

    /// Begins the run: sends the first status message, `init`. The next step is
    /// [`Event::MediaOpened`].
    pub fn start(&mut self, now: Now, out: &mut Vec<Action>) {
        self.record.began_unix_s = now.unix_s;
        let generation = self.membership.generation();
        out.push(Action::GenerationTaken(generation));
        self.turn(now, out, |turn| turn.begin());
    }

    /// Applies everything due by `now`, then `event`. Actions come out in the order they must be
    /// done.
    pub fn handle(&mut self, event: Event, now: Now, out: &mut Vec<Action>) {
        self.turn(now, out, |turn| turn.event(event));
    }

    /// Applies everything due by `now`, then messages that were all received on `medium` by then.
    /// The result is that of [`handle`](Self::handle) with [`Event::Received`] for each message,
    /// except that each sender gets one acknowledgement, at the end.
    pub fn hear(
        &mut self,
        medium: &MediumName,
        messages: impl IntoIterator<Item = Message>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        self.turn(now, out, |turn| turn.hear(medium, messages));
    }

    /// Announces a dead time that is `extra` longer than usual: before a planned silence. Spec:
    /// docs/protocol/membership.md, 9.3 and 15 (7).
    pub fn announce_silence(&mut self, extra: Duration, now: Now, out: &mut Vec<Action>) {
        self.turn(now, out, |turn| turn.announce_silence(extra));
    }

    /// Takes back one [`announce_silence`](Self::announce_silence).
    pub fn call_off_silence(&mut self, now: Now, out: &mut Vec<Action>) {
        self.turn(now, out, |turn| turn.call_off_silence());
    }

    /// Earliest instant at which `handle(Event::Tick, ..)` would have something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let membership = self.membership.next_deadline();
        let resources = self.resources.next_deadline();
        let isolation = self.isolation.as_ref().and_then(Isolation::next_deadline);
        let fencing = self.fencing.as_ref().and_then(Fencing::next_deadline);
        [membership, resources, isolation, fencing]
            .into_iter()
            .flatten()
            .min()
    }

    /// What `cl_status rscstatus` answers: `none`, `local`, `foreign`, `all` or `transition`;
    /// `None` where resources are not managed. Spec: docs/protocol/resources.md, 3 and 14.
    #[must_use]
    pub fn rscstatus(&self) -> Option<&'static str> {
        self.manage_resources.then(|| self.resources.rscstatus())
    }

    /// Whether something is being given, taken, started or stopped.
    #[must_use]
    pub fn in_transition(&self) -> bool {
        self.manage_resources && self.resources.in_transition()
    }

    /// Whether it is known which groups must run here, and nothing but their orders may change that:
    /// the node is active, not in transition, neither frozen nor being stopped.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.manage_resources
            && self.status() == NodeStatus::Active
            && !self.in_transition()
            && !self.stopping()
            && !self.frozen()
    }

    /// Our own status word.
    #[must_use]
    pub fn status(&self) -> NodeStatus {
        self.membership.status()
    }

    /// The generation we run under.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.membership.generation()
    }

    /// Our own name.
    #[must_use]
    pub fn local(&self) -> &NodeName {
        self.membership.local()
    }

    /// Groups that a legacy node reports it holds, with that node. The legacy protocol does not
    /// confirm that they run.
    pub fn held_by_legacy(&self) -> impl Iterator<Item = (&GroupKey, &NodeName)> {
        self.resources.held_by_legacy()
    }

    /// All nodes in table order, ourselves and ping nodes included.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView<'_>> {
        self.membership.nodes()
    }

    /// The present state of everything that clients may ask about. Spec:
    /// docs/protocol/client-api.md, 6.
    #[must_use]
    pub fn cluster_view(&self) -> ClusterView {
        let nodes = self.nodes().map(|peer| ClusterNode {
            name: peer.name.clone(),
            ping: peer.ping,
            own: peer.own,
            status: peer.status,
            uuid: peer.uuid,
            weight: peer.weight,
            site: peer.site.to_owned(),
            gap_to: peer.gap_to.map(|last| (peer.generation, last)),
            links: peer
                .links
                .iter()
                .map(|(medium, up)| (medium.to_string(), *up))
                .collect(),
        });
        ClusterView {
            nodes: nodes.collect(),
            rscstatus: self.rscstatus(),
            paused: self.membership.clients_paused(),
        }
    }

    /// What this node holds by duty, whatever is in transition; [`go_on`](Self::go_on) wants it.
    #[must_use]
    pub const fn holding(&self) -> HoldingSet {
        self.resources.holding()
    }

    /// Keys of the groups that run here, according to the reports of their actors.
    pub fn held_groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.resources.held_groups()
    }

    /// Whether an order to start a group is still valid. `None` is an order from before the process
    /// or its central actor was restarted. Call after [`handle`](Self::handle) with
    /// [`Event::Tick`], so that everything due has been applied.
    #[must_use]
    pub fn start_stands(&self, order: Option<OrderId>) -> bool {
        self.resources.start_stands(order)
    }

    /// Groups that run here and of which an address is gone. It matters for
    /// [`rscstatus`](Self::rscstatus) alone.
    pub fn note_absent(&mut self, groups: &BTreeSet<GroupKey>) {
        self.resources.note_absent(groups);
    }

    /// Whether an address of a group that runs here, and is gone, may be put back. Call after
    /// [`handle`](Self::handle) with [`Event::Tick`], so that everything due has been applied.
    #[must_use]
    pub fn may_put_back(&self, group: &GroupKey) -> MayPutBack {
        let withdrawn = self.isolation.as_ref().is_some_and(Isolation::is_withdrawn);
        if withdrawn || !self.resources.keeps(group) {
            MayPutBack::No
        } else if self.resources.frozen() {
            MayPutBack::Frozen
        } else {
            MayPutBack::Yes
        }
    }

    /// Whether the node is frozen for maintenance: it starts and stops nothing.
    #[must_use]
    pub const fn frozen(&self) -> bool {
        self.resources.frozen()
    }

    /// Whether this node has released everything because it receives no other node.
    #[must_use]
    pub const fn is_cut_off(&self) -> bool {
        self.resources.is_cut_off()
    }

    /// Whether this node must have stopped its groups because it is cut off, and has not yet. Only
    /// with `isolation_release`.
    #[must_use]
    pub fn owes_release(&self) -> bool {
        self.isolation.is_some() && self.resources.owes_release()
    }

    /// Whether no group may run here.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.resources.is_idle()
    }

    /// Dead nodes that are fenced or wait for it, and those that were fenced and have not been
    /// received since.
    pub fn fences(&self) -> impl Iterator<Item = fencing::View<'_>> {
        self.fencing.iter().flat_map(Fencing::view)
    }

    /// Dead nodes whose takeover waits until they are fenced, for a successor.
    #[must_use]
    pub fn unfenced(&self) -> Vec<NodeName> {
        self.resources.unfenced().cloned().collect()
    }

    /// How long after its verdict a dead node counts as reset by its watchdog, if that is configured.
    #[must_use]
    pub fn fence_by_watchdog(&self) -> Option<Duration> {
        self.fencing.as_ref()?.by_watchdog()
    }

    /// Whether the takeover of this node waits: it is neither fenced nor confirmed.
    #[must_use]
    pub fn waits_to_be_fenced(&self, node: &NodeName) -> bool {
        let fencing = self.fencing.as_ref();
        fencing.is_some_and(|fencing| fencing.is_waited_for(node))
    }

    /// How much longer than another one this node waits before it fences when it serves nothing;
    /// `None`: no device is configured.
    #[must_use]
    pub fn fence_delay(&self) -> Option<Duration> {
        self.fencing.as_ref().map(Fencing::delay)
    }

    /// Dead nodes whose groups are taken over at the thaw, unless the nodes return.
    pub fn waits_for_thaw(&self) -> impl Iterator<Item = &NodeName> {
        self.resources.waits_for_thaw()
    }

    /// Whether [`Event::FreezeRequested`] would be accepted now.
    ///
    /// # Errors
    /// [`FreezeRefused`] with the reason.
    pub fn may_freeze(&self) -> Result<(), FreezeRefused> {
        self.resources.may_freeze()
    }

    /// Whether everything is being released; a successor has to go on with that.
    #[must_use]
    pub fn releases_everything(&self) -> bool {
        self.resources.gives_everything_up()
    }

    /// Keeps what people who ask for decisions should know beside them.
    pub fn note_decision(&mut self, unix_s: u64, what: String, cause: String) {
        self.decisions.note(Decision {
            unix_s,
            what: bounded(what),
            cause: bounded(cause),
        });
    }

    /// The last decisions, the oldest first.
    pub fn decisions(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter()
    }

    /// Keeps the names of files that were changed and are not in force, for people.
    pub fn note_not_in_force(&mut self, names: Vec<String>) {
        self.record.not_in_force = names;
    }

    /// What the node notes for people.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// Where a group runs that does not run here, as far as the other node tells.
    #[must_use]
    pub fn elsewhere(&self, key: &GroupKey) -> Elsewhere<'_> {
        self.resources.elsewhere(key)
    }

    /// Whether a node has announced that it leaves, and has left.
    #[must_use]
    pub fn has_left(&self, node: &NodeName) -> bool {
        self.resources.has_left(node)
    }

    /// Keys of all groups, in the order of haresources.
    pub fn groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.resources.all_groups()
    }

    /// Whether a stop was requested and is not yet complete.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.resources.stopping()
    }

    /// The membership core, which has a view of its own.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// A message that was sent under `generation` cannot go out on `medium`, or on none.
    pub fn cannot_go(
        &mut self,
        generation: Generation,
        seq: Sequence,
        medium: Option<&MediumName>,
    ) {
        self.membership.cannot_go(generation, seq, medium);
    }

    /// First line of `/proc/loadavg`, for the `ld` field.
    pub fn set_load(&mut self, line: &str) {
        self.membership.set_load(line);
    }
}

#[cfg(test)]
mod tests;
