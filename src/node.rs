//! One node's whole core: membership and resource handshake stepped in one call, so that their
//! order can never differ.

mod turn;

use std::time::Duration;

use crate::clock::{Monotonic, Now};
use crate::policy::isolation::Isolation;
use crate::protocol::event::{Action, Event};
use crate::protocol::membership::{Identity, Membership, NodeView};
use crate::protocol::name::{Generation, MediumName, NodeName};
use crate::protocol::partition::YIELD;
use crate::protocol::status::NodeStatus;
use crate::resources::decisions::{Decision, Decisions};
use crate::resources::freeze::FreezeRefused;
use crate::resources::group::{GroupKey, ResourceGroup};
use crate::resources::holding::HoldingSet;
use crate::resources::state::ResourceState;

/// What a Systole node can do beyond legacy, as it advertises it in the field `systole` of `status`
/// and `starting`. A rule that differs from legacy on the wire is used only while every living node
/// advertises its word.
pub const CAPABILITIES: &[&str] = &["v1", YIELD];

/// Whether and when foreign groups go back. Spec: resources, section 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoFailback {
    /// Foreign groups return to their owner.
    On,
    /// They stay.
    Off,
    /// The old model without holding reports.
    Legacy,
}

impl AutoFailback {
    /// Whether the "nice" model (holding reports, standby, takeover) is in force.
    #[must_use]
    pub const fn is_nice(self) -> bool {
        !matches!(self, Self::Legacy)
    }
}

/// Who may join without being configured. Spec: membership, section 8.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Autojoin {
    /// Nobody.
    None,
    /// Other nodes.
    Other,
    /// Other nodes and ourselves.
    Any,
}

/// Limits and times of the core. All from ha.cf. Spec: membership, section 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Interval of the status message.
    pub keepalive: Duration,
    /// Silence after which others shall hold us dead.
    pub deadtime: Duration,
    /// Silence worth a warning.
    pub warntime: Duration,
    /// Dead time of every node until communication is up.
    pub initdead: Duration,
    /// Dead time of ping nodes.
    pub deadping: Duration,
    /// Pause between two requests for one lost message.
    pub max_rexmit_delay: Duration,
}

/// Everything the core needs to know of the configuration.
#[derive(Debug, Clone)]
pub struct NodeSettings {
    /// Our own name.
    pub local: NodeName,
    /// All normal nodes in configuration order, our own included.
    pub nodes: Vec<NodeName>,
    /// Ping nodes and ping groups, in configuration order.
    pub ping_nodes: Vec<NodeName>,
    /// Distinct link names of the configured media, in configuration order.
    pub media: Vec<MediumName>,
    /// Times.
    pub timing: Timing,
    /// Added to the number of nodes to give `ttl`.
    pub hopfudge: u8,
    /// Who may join.
    pub autojoin: Autojoin,
    /// `false` with `-M` or in cluster-manager mode.
    pub manage_resources: bool,
    /// The model.
    pub auto_failback: AutoFailback,
    /// haresources, in file order.
    pub groups: Vec<ResourceGroup>,
    /// Process id, for log lines.
    pub pid: u32,
    /// Let go of everything when neither the peer nor a ping node is heard.
    pub isolation_release: bool,
}

/// A node's whole core. Does no I/O and reads no clock.
#[derive(Debug)]
pub struct Node {
    membership: Membership,
    resources: ResourceState,
    decisions: Decisions,
    manage_resources: bool,
    isolation: Option<Isolation>,
}

impl Node {
    /// A node that has not begun: nothing is sent before [`start`](Self::start).
    ///
    /// `seed` feeds every random choice, so that equal inputs give equal runs.
    #[must_use]
    pub fn new(settings: NodeSettings, identity: Identity, seed: u64) -> Self {
        Self {
            membership: Membership::new(&settings, identity, seed),
            resources: ResourceState::new(&settings),
            decisions: Decisions::default(),
            manage_resources: settings.manage_resources,
            isolation: (settings.isolation_release && settings.manage_resources)
                .then(|| Isolation::new(settings.timing.keepalive, settings.timing.deadtime)),
        }
    }

    /// A node whose groups went on running while its process or its central actor began anew.
    /// `identity` carries a new generation; peers see a quick restart and nothing moves.
    /// Spec: membership, section 9.3.
    #[must_use]
    pub fn resume(
        settings: NodeSettings,
        identity: Identity,
        seed: u64,
        holding: HoldingSet,
        running: impl IntoIterator<Item = GroupKey>,
    ) -> Self {
        let mut node = Self::new(settings, identity, seed);
        node.resources.resume(holding, running);
        node
    }

    /// Begins the run: the first status message, `init`. [`Event::MediaOpened`] goes on from there.
    pub fn start(&mut self, now: Now, out: &mut Vec<Action>) {
        let generation = self.membership.generation();
        out.push(Action::GenerationTaken(generation));
        self.turn(now, out, |turn| turn.begin());
    }

    /// Applies everything due by `now`, then `event`. Actions come out in the order they must be
    /// done.
    pub fn handle(&mut self, event: Event, now: Now, out: &mut Vec<Action>) {
        self.turn(now, out, |turn| turn.event(event));
    }

    /// Tells the others to hold us dead only `extra` later than usual: before a planned silence.
    /// Spec: membership, sections 9.3 and 15 (7).
    pub fn announce_silence(&mut self, extra: Duration, now: Now, out: &mut Vec<Action>) {
        self.turn(now, out, |turn| turn.announce_silence(extra));
    }

    /// Takes one [`announce_silence`](Self::announce_silence) back.
    pub fn call_off_silence(&mut self, now: Now, out: &mut Vec<Action>) {
        self.turn(now, out, |turn| turn.call_off_silence());
    }

    /// Earliest instant at which `handle(Event::Tick, ..)` would have something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let membership = self.membership.next_deadline();
        let resources = self.resources.next_deadline();
        let isolation = self.isolation.as_ref().and_then(Isolation::next_deadline);
        [membership, resources, isolation]
            .into_iter()
            .flatten()
            .min()
    }

    /// What `cl_status rscstatus` answers: `none`, `local`, `foreign`, `all` or `transition`;
    /// `None` where resources are not managed. Spec: resources, sections 3 and 14.
    #[must_use]
    pub fn rscstatus(&self) -> Option<&'static str> {
        self.manage_resources.then(|| self.resources.rscstatus())
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

    /// All nodes in table order, ourselves and ping nodes included.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView<'_>> {
        self.membership.nodes()
    }

    /// What this node holds by duty, whatever is in transition; [`resume`](Self::resume) wants it.
    #[must_use]
    pub const fn holding(&self) -> HoldingSet {
        self.resources.holding()
    }

    /// Keys of the groups that run here, as far as their actors have told.
    pub fn held_groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.resources.held_groups()
    }

    /// Whether nothing is started or stopped, for maintenance.
    #[must_use]
    pub const fn frozen(&self) -> bool {
        self.resources.frozen()
    }

    /// Whether this node has let go of everything because it hears nobody.
    #[must_use]
    pub const fn is_cut_off(&self) -> bool {
        self.resources.is_cut_off()
    }

    /// Nodes whose groups are taken at the thaw unless they return.
    pub fn waits_for_thaw(&self) -> impl Iterator<Item = &NodeName> {
        self.resources.waits_for_thaw()
    }

    /// Whether [`Event::FreezeRequested`] would be obeyed now.
    ///
    /// # Errors
    /// [`FreezeRefused`].
    pub fn may_freeze(&self) -> Result<(), FreezeRefused> {
        self.resources.may_freeze()
    }

    /// Groups that had an order in hand when the process or its central actor began anew: what is
    /// held is started again, the rest is stopped. Call before [`start`](Self::start).
    pub fn finish(&mut self, unfinished: impl IntoIterator<Item = GroupKey>) {
        self.resources.finish(unfinished);
    }

    /// The node was frozen when its process or its central actor began anew. Call before
    /// [`start`](Self::start).
    pub fn keep_frozen(&mut self) {
        self.resources.keep_frozen();
    }

    /// The last decisions, the oldest first.
    pub fn decisions(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter()
    }

    /// Whether a stop was requested and is not yet complete.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.resources.stopping()
    }

    /// Everything below the node core that has a view of its own.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// First line of `/proc/loadavg`, for the `ld` field.
    pub fn set_load(&mut self, line: &str) {
        self.membership.set_load(line);
    }
}
