//! What the daemon tells of itself: the parts of a [`Reply`](super::Reply).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Monotonic, Now};
use crate::node::{Elsewhere, Node};
use crate::protocol::decisions::Decision;
use crate::protocol::gaps::Sampled;
use crate::protocol::link;
use crate::protocol::membership::NodeView;
use crate::protocol::settings::Timing;

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionReport {
    /// When, in seconds since 1970.
    pub unix_s: u64,
    /// What the node does, or does not do.
    pub what: String,
    /// Why.
    pub cause: String,
}

impl From<Decision> for DecisionReport {
    fn from(decision: Decision) -> Self {
        let Decision {
            unix_s,
            what,
            cause,
        } = decision;
        Self {
            unix_s,
            what,
            cause,
        }
    }
}

/// What comes of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "group", rename_all = "snake_case")]
pub enum GroupAnswer {
    /// Every resource was started or found running.
    Started,
    /// A start failed; the group was stopped again.
    StartFailed {
        /// The resource word that failed.
        resource: String,
        /// Its exit code.
        code: i32,
    },
    /// Another host has one of its addresses: it was not started.
    AddressTaken {
        /// Which address, and where it is.
        claim: String,
    },
    /// Nothing of it runs, or this node was never told to run it.
    Stopped,
    /// A resource could not be stopped.
    StopFailed {
        /// The resource word that still runs.
        resource: String,
    },
    /// Work on it is under way; only as an answer about its status.
    Busy,
    /// A start was asked for, but this node is not to run the group.
    NotHeld,
    /// A stop was asked for, but this node is to run the group.
    Held,
    /// No such key was in haresources when the daemon read it.
    Unknown,
}

/// The state of the node and its groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// From membership; absent while it does not answer.
    pub node: Option<NodeReport>,
    /// In the order of haresources.
    pub groups: Vec<GroupView>,
    /// The media between nodes that ha.cf names: networks, then serial lines.
    #[serde(default)]
    pub media: Vec<MediumView>,
    /// The fencing devices; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing: Option<FenceReport>,
    /// Absent where ha.cf names no watchdog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<WatchdogReport>,
    /// Absent where addresses have no lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseReport>,
}

/// One medium between nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediumView {
    /// Name that its links carry: the interface or the device path. Media of one interface share it.
    pub name: String,
    /// Its directive in ha.cf; of a medium that does not answer all that it serves.
    pub kinds: Vec<String>,
    /// Whether it is open.
    pub open: bool,
    /// Why it is not open, as far as that is known. It is tried again.
    #[serde(default)]
    pub reason: Option<String>,
    /// Why nothing leaves on it although it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Whose messages arrive on it; absent while membership does not answer.
    #[serde(default)]
    pub receives: Option<Receives>,
    /// What it has counted since the daemon began; absent while it does not answer.
    #[serde(default)]
    pub counts: Option<MediumCounts>,
}

/// What a medium has counted since the daemon began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MediumCounts {
    /// Messages that were received and are authentic, own ones included.
    pub received: u64,
    /// Received and not signed with our keys.
    pub not_authentic: u64,
    /// Received and not readable.
    pub not_readable: u64,
    /// Received and dropped because there was no room.
    pub queue_full: u64,
    /// Sent, to each destination.
    pub sent: u64,
    /// Not sent: refused, no room, the medium closed, or a serial line too slow.
    pub not_sent: u64,
}

impl MediumCounts {
    /// Adds what another medium of the same interface has counted.
    pub fn add(&mut self, more: Self) {
        for (here, more) in [
            (&mut self.received, more.received),
            (&mut self.not_authentic, more.not_authentic),
            (&mut self.not_readable, more.not_readable),
            (&mut self.queue_full, more.queue_full),
            (&mut self.sent, more.sent),
            (&mut self.not_sent, more.not_sent),
        ] {
            *here = here.saturating_add(more);
        }
    }
}

/// Whose messages arrive on a medium: the later, the more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receives {
    /// None.
    Nothing,
    /// Only our own. That shows nothing about the way to another node, so it does not count as working.
    Itself,
    /// Those of another node: it works.
    Others,
}

impl From<link::Receives> for Receives {
    fn from(receives: link::Receives) -> Self {
        match receives {
            link::Receives::Others => Self::Others,
            link::Receives::Itself => Self::Itself,
            link::Receives::Nothing => Self::Nothing,
        }
    }
}

impl MediumView {
    /// `closed`: why it is not open; may be empty.
    #[must_use]
    pub fn new(name: String, kinds: Vec<String>, closed: Option<String>) -> Self {
        Self {
            name,
            kinds,
            open: closed.is_none(),
            reason: closed.filter(|reason| !reason.is_empty()),
            trouble: None,
            receives: None,
            counts: None,
        }
    }
}

/// The fencing devices of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FenceReport {
    /// In the order in which they are tried.
    pub devices: Vec<FenceDeviceReport>,
    /// Longest run of one call, in seconds.
    pub time_limit_s: u64,
    /// The longest time that a device took for a good answer, in milliseconds.
    pub longest_answer_ms: u64,
    /// Nodes that are being reset now.
    #[serde(default)]
    pub resetting: Vec<String>,
    /// The dead nodes; absent: membership did not answer.
    #[serde(default)]
    pub waiting: Option<FencesReport>,
}

/// The dead nodes that are to be fenced.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FencesReport {
    /// How much longer than another one this node waits before it fences when it serves nothing, in
    /// milliseconds.
    pub delay_ms: u64,
    /// `fence_by_watchdog` in seconds, if it is on.
    #[serde(default)]
    pub by_watchdog_s: Option<u64>,
    /// One after the other.
    pub nodes: Vec<FenceWait>,
}

/// A dead node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceWait {
    /// The node.
    pub node: String,
    /// `waits`, `fencing`, `failed`, `fenced`; `earlier`, `earlier, done` and `earlier, lost` while an
    /// earlier process has left it, and it was not declared dead anew.
    pub state: String,
    /// In how many milliseconds the next order is given, if nothing is in the way.
    #[serde(default)]
    pub next_ms: Option<u64>,
    /// In how many milliseconds it counts as reset by its watchdog.
    #[serde(default)]
    pub counts_ms: Option<u64>,
    /// Orders so far.
    pub attempts: u32,
    /// The device's words at the last failure.
    #[serde(default)]
    pub words: Option<String>,
}

impl FencesReport {
    /// What `node` waits for now.
    #[must_use]
    pub fn of(node: &Node, now: Monotonic) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let nodes = node.fences().map(|it| FenceWait {
            node: it.node.to_string(),
            state: it.state.to_owned(),
            next_ms: it.next.map(|at| millis(at.since(now))),
            counts_ms: it.counts.map(|at| millis(at.since(now))),
            attempts: it.attempts,
            words: it.words.map(str::to_owned),
        });
        Self {
            delay_ms: millis(node.fence_delay().unwrap_or_default()),
            by_watchdog_s: node.fence_by_watchdog().map(|time| time.as_secs()),
            nodes: nodes.collect(),
        }
    }
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FenceDeviceReport {
    /// Its type.
    pub kind: String,
    /// The line that names it: `file:line`.
    pub place: String,
    /// Nodes that it can reset; absent: it has not said so.
    pub hosts: Option<Vec<String>>,
    /// Whether it works; absent: it was not asked yet.
    pub works: Option<bool>,
    /// When it was asked last, in seconds since 1970.
    pub asked_unix_s: Option<u64>,
    /// How long it took then, in milliseconds.
    pub answer_ms: Option<u64>,
    /// What is wrong, in its own words.
    pub trouble: Option<String>,
    /// Of a test: the command that would reset the node, and its input in lines with a `<`. Secrets
    /// are hidden.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub would_run: Vec<String>,
}

/// The state of the watchdog device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchdogReport {
    /// The device.
    pub device: String,
    /// It is open, and restarts the machine when it is not fed.
    pub armed: bool,
    /// After so many seconds; absent where the device knows none.
    #[serde(default)]
    pub interval_s: Option<u64>,
    /// Why it does not watch over this node, or is about to restart the machine.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// The lifetimes of service addresses, which only a node whose heartbeats leave renews.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeaseReport {
    /// The lifetime.
    pub seconds: u32,
    /// The addresses that are renewed.
    pub renewed: Vec<String>,
    /// Addresses that are here and have no lifetime, because the kernel would remove others together with them.
    #[serde(default)]
    pub without: Vec<String>,
    /// Addresses that are gone because their lifetime ended.
    #[serde(default)]
    pub ran_out: Vec<String>,
}

/// What membership knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Own name.
    pub name: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// Own status word.
    pub status: String,
    /// `none`, `local`, `foreign`, `all` or `transition`; absent where resources are not managed.
    pub rscstatus: Option<String>,
    /// Generation we run under.
    pub generation: u64,
    /// Whether a stop is under way.
    pub stopping: bool,
    /// Whether nothing is started or stopped, for maintenance.
    #[serde(default)]
    pub frozen: bool,
    /// While frozen: nodes that are gone and whose groups are taken at the thaw.
    #[serde(default)]
    pub waiting: Vec<String>,
    /// What it waits for before it is active.
    #[serde(default)]
    pub waits_for: Option<String>,
    /// What it wants to begin, and what holds that back.
    #[serde(default)]
    pub waits: Vec<String>,
    /// What is wrong with who hears whom.
    #[serde(default)]
    pub troubles: Vec<String>,
    /// What people have to know of groups that are not where they belong.
    #[serde(default)]
    pub remarks: Vec<String>,
    /// Files that were changed and are not in force: a reload takes them up.
    #[serde(default)]
    pub not_in_force: Vec<String>,
    /// Groups that a legacy node says it holds, and that node.
    #[serde(default)]
    pub held_by_legacy: Vec<(String, String)>,
    /// All nodes in table order.
    pub nodes: Vec<PeerReport>,
    /// When its core began, in seconds since 1970; 0: not told.
    #[serde(default)]
    pub began_unix_s: u64,
    /// The times in force; absent: an older program does not tell.
    #[serde(default)]
    pub times: Option<TimesReport>,
    /// The last decision after which groups were started or stopped here.
    #[serde(default)]
    pub last_move: Option<DecisionReport>,
    /// Where groups run that do not run here; shown with the groups.
    #[serde(skip)]
    pub elsewhere: BTreeMap<String, (Place, Option<String>)>,
    /// Whose messages arrive on each medium; shown with the media.
    #[serde(skip)]
    pub receives: BTreeMap<String, Receives>,
}

/// One node as seen from here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PeerReport {
    /// Name.
    pub name: String,
    /// Whether it is a ping node or ping group.
    pub ping: bool,
    /// Status word.
    pub status: String,
    /// Media and whether each is up. Of the own node only those that bring back what it sends.
    pub links: Vec<(String, bool)>,
    /// When a link came up or died last, by its medium, in seconds since 1970.
    #[serde(default)]
    pub links_changed_unix_s: BTreeMap<String, u64>,
    /// `systole` or `legacy`; absent of this node and of ping nodes, and before anything was received.
    #[serde(default)]
    pub program: Option<String>,
    /// Whether it has left in order, and released everything before.
    #[serde(default)]
    pub left: bool,
    /// Since when it has its status, in seconds since 1970.
    #[serde(default)]
    pub since_unix_s: Option<u64>,
    /// How long ago its last status message came, in milliseconds.
    #[serde(default)]
    pub heard_ms_ago: Option<u64>,
    /// Whether it receives this node; absent: not known.
    #[serde(default)]
    pub receives_this_node: Option<bool>,
    /// Media on which it does not receive this node although it does on another one, by its own
    /// words and names. Only a Systole node tells.
    #[serde(default)]
    pub deaf_on: Vec<String>,
    /// How often it was declared dead since the core began.
    #[serde(default)]
    pub deaths: u64,
    /// Number of the key with which it signs; of another node by its newest message. Absent: nothing was
    /// received since its last death, and of ping nodes.
    #[serde(default)]
    pub key: Option<u8>,
    /// How far apart its heartbeats were, of this node as they left; absent: nothing was sampled, or it is a ping
    /// node.
    #[serde(default)]
    pub gaps: Option<GapsReport>,
}

/// How far apart the heartbeats of a node were, over all media, in the last month.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GapsReport {
    /// Since when, in seconds since 1970.
    pub since_unix_s: u64,
    /// The gaps together, in milliseconds.
    pub covered_ms: u64,
    /// The longest one, in milliseconds.
    pub longest_ms: u64,
    /// When that ended, in seconds since 1970.
    pub longest_unix_s: u64,
    /// In rising order: from so many milliseconds, below so many, and how many.
    pub counts: Vec<(u64, u64, u64)>,
}

impl From<Sampled> for GapsReport {
    fn from(it: Sampled) -> Self {
        let counts = it.counts.into_iter();
        Self {
            since_unix_s: it.since_unix_s,
            covered_ms: it.covered_ms,
            longest_ms: it.longest_ms.into(),
            longest_unix_s: it.longest_unix_s,
            counts: counts
                .map(|(from, below, count)| (from.into(), below.into(), count))
                .collect(),
        }
    }
}

/// The times of ha.cf that are in force, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TimesReport {
    /// `keepalive`.
    pub keepalive_ms: u64,
    /// `warntime`.
    pub warntime_ms: u64,
    /// `deadtime`.
    pub deadtime_ms: u64,
    /// `initdead`.
    pub initdead_ms: u64,
}

impl From<&Timing> for TimesReport {
    fn from(timing: &Timing) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            keepalive_ms: millis(timing.keepalive),
            warntime_ms: millis(timing.warntime),
            deadtime_ms: millis(timing.deadtime),
            initdead_ms: millis(timing.initdead),
        }
    }
}

/// Where a group runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// On this node, or a part of it that cannot be stopped.
    Here,
    /// On another node, by its own words.
    Other,
    /// On no node.
    Nowhere,
    /// That is not known, or it is being started or stopped here.
    #[default]
    Unknown,
}

/// How orders for a group have ended since the daemon began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GroupCounts {
    /// Starts that went well.
    pub started: u64,
    /// Starts that failed.
    pub start_failed: u64,
    /// Starts that were not begun because another host has an address of it.
    pub address_taken: u64,
    /// Stops that went well.
    pub stopped: u64,
    /// Stops that failed.
    pub stop_failed: u64,
}

impl GroupCounts {
    /// Counts one outcome.
    pub const fn count(&mut self, outcome: &GroupAnswer) {
        let counter = match outcome {
            GroupAnswer::Started => &mut self.started,
            GroupAnswer::StartFailed { .. } => &mut self.start_failed,
            GroupAnswer::AddressTaken { .. } => &mut self.address_taken,
            GroupAnswer::Stopped => &mut self.stopped,
            GroupAnswer::StopFailed { .. } => &mut self.stop_failed,
            GroupAnswer::Busy | GroupAnswer::NotHeld | GroupAnswer::Held | GroupAnswer::Unknown => {
                return;
            }
        };
        *counter = counter.saturating_add(1);
    }
}

/// One group as its actor reports it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GroupView {
    /// Key.
    pub key: String,
    /// Preferred node.
    pub owner: String,
    /// Whether the last order was to start it.
    pub wanted: bool,
    /// Whether an order is being carried out or waits.
    pub busy: bool,
    /// Outcome of the last finished order.
    pub last: Option<GroupAnswer>,
    /// The last words of a script that failed in it, and which.
    #[serde(default)]
    pub said: Option<String>,
    /// A legacy node says that it holds it, and nobody on the network answers for its addresses.
    #[serde(default)]
    pub unanswered: bool,
    /// Its addresses that are not on this host although it runs here.
    #[serde(default)]
    pub absent: Vec<String>,
    /// Its resources, as in haresources.
    #[serde(default)]
    pub resources: Vec<String>,
    /// Where it runs.
    #[serde(default)]
    pub place: Place,
    /// The node on which it runs, if that is known.
    #[serde(default)]
    pub runs_on: Option<String>,
    /// When its last start or stop here ended, in seconds since 1970; absent: none did since the
    /// daemon began.
    #[serde(default)]
    pub changed_unix_s: Option<u64>,
    /// How starts and stops here have ended since the daemon began.
    #[serde(default)]
    pub counts: GroupCounts,
    /// Its monitors, from left to right.
    #[serde(default)]
    pub monitors: Vec<MonitorView>,
    /// Whether this node could run it; absent where it has no monitor, or runs here, or nobody has looked yet.
    #[serde(default)]
    pub standby: Option<StandbyView>,
}

/// Whether this node could run a group that it does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandbyView {
    /// It could, and nothing of it runs here.
    pub ready: bool,
    /// What is wrong, for people.
    pub wrong: Vec<String>,
    /// How long ago that was looked at, in milliseconds.
    pub checked_ms_ago: u64,
}

/// What is known of a monitored resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MonitorState {
    /// It was not checked since the start, or the group does not run here.
    Unchecked,
    /// The last check was good.
    Good,
    /// The last check was bad.
    Failing,
    /// The last check has no answer.
    Unknown,
    /// No check was good since the start: nothing is done.
    NeverGood,
    /// Restarts did not help.
    GivenUp,
}

/// A monitored resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitorView {
    /// Its word in haresources.
    pub resource: String,
    /// How it is checked.
    pub check: String,
    /// Longest run of a check, in seconds.
    pub timeout_s: u64,
    /// What is known.
    pub state: MonitorState,
    /// How long ago the last check since the start ended, in milliseconds.
    pub checked_ms_ago: Option<u64>,
    /// Why that one was not good.
    pub words: Option<String>,
    /// Bad checks in a row that count.
    pub bad_in_a_row: u32,
    /// So many of them are a failure.
    pub failures_at: u32,
    /// Failures that count.
    pub failed: u64,
    /// So many restarts are tried.
    pub restarts: u32,
    /// So long a failure counts, in seconds.
    pub restart_window_s: u64,
    /// What follows: `move`, `stay` or `stop`.
    pub then: String,
}

/// One check that a person asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// The word in haresources.
    pub resource: String,
    /// How it was checked.
    pub check: String,
    /// `good`, `bad` or `unknown`.
    pub answer: String,
    /// Why it was not good.
    pub words: Option<String>,
}

impl GroupView {
    /// Fills in where it runs, by what the node knows of the other one.
    pub fn find(&mut self, node: &NodeReport) {
        let part = matches!(self.last, Some(GroupAnswer::StopFailed { .. }));
        let runs = self.wanted && self.last == Some(GroupAnswer::Started);
        (self.place, self.runs_on) = if self.busy {
            (Place::Unknown, None)
        } else if part || runs {
            (Place::Here, Some(node.name.clone()))
        } else {
            let known = node.elsewhere.get(&self.key);
            known.cloned().unwrap_or_default()
        };
    }
}

#[cfg(test)]
impl NodeReport {
    /// A node that is alone and active, for tests.
    pub(crate) fn example() -> Self {
        Self {
            name: "alpha".to_owned(),
            pid: 7,
            status: "active".to_owned(),
            rscstatus: Some("local".to_owned()),
            generation: 3,
            stopping: false,
            frozen: false,
            waiting: Vec::new(),
            waits_for: None,
            waits: Vec::new(),
            troubles: Vec::new(),
            remarks: Vec::new(),
            not_in_force: Vec::new(),
            held_by_legacy: Vec::new(),
            nodes: Vec::new(),
            began_unix_s: 0,
            times: None,
            last_move: None,
            elsewhere: BTreeMap::new(),
            receives: BTreeMap::new(),
        }
    }
}

impl PeerReport {
    /// What `node` knows of another one now.
    fn of(node: &Node, peer: &NodeView<'_>, now: Now) -> Self {
        let membership = node.membership();
        let record = node.record().node(peer.name);
        let known = membership.reception(peer.name);
        let known = known.as_ref();
        let ago = |at: Monotonic| now.instant.since(at);
        let changed = known.iter().flat_map(|it| &it.changed);
        Self {
            name: peer.name.to_string(),
            ping: peer.ping,
            status: peer.status.to_string(),
            links: peer
                .links
                .iter()
                .filter(|(medium, up)| {
                    *up || !peer.own || membership.returns(medium) != Some(false)
                })
                .map(|(medium, up)| (medium.to_string(), *up))
                .collect(),
            links_changed_unix_s: changed
                .map(|(medium, at)| {
                    (
                        medium.to_string(),
                        now.unix_s.saturating_sub(ago(*at).as_secs()),
                    )
                })
                .collect(),
            program: known
                .and_then(|it| it.systole)
                .map(|systole| if systole { "systole" } else { "legacy" }.to_owned()),
            left: node.has_left(peer.name),
            since_unix_s: record.map(|it| it.since_unix_s),
            heard_ms_ago: known
                .filter(|_| !peer.own)
                .and_then(|it| it.heard)
                .map(|at| u64::try_from(ago(at).as_millis()).unwrap_or(u64::MAX)),
            receives_this_node: known.and_then(|it| it.receives_us),
            deaf_on: known.map(|it| it.deaf_on.to_vec()).unwrap_or_default(),
            deaths: record.map(|it| it.deaths).unwrap_or_default(),
            key: membership.key_of(peer.name),
            gaps: membership.gaps(peer.name, now.instant).map(Into::into),
        }
    }
}

impl NodeReport {
    /// What `node` knows now.
    #[must_use]
    pub fn of(node: &Node, now: Now) -> Self {
        let membership = node.membership();
        let peers = node.nodes().map(|peer| PeerReport::of(node, &peer, now));
        let elsewhere = node.groups().map(|key| {
            let place = match node.elsewhere(key) {
                Elsewhere::On(node) => (Place::Other, Some(node.to_string())),
                Elsewhere::Nowhere => (Place::Nowhere, None),
                Elsewhere::NotKnown => (Place::Unknown, None),
            };
            (key.to_string(), place)
        });
        Self {
            name: node.local().to_string(),
            pid: std::process::id(),
            status: node.status().to_string(),
            rscstatus: node.rscstatus().map(str::to_owned),
            generation: node.generation().0,
            stopping: node.stopping(),
            frozen: node.frozen(),
            waiting: node.waits_for_thaw().map(ToString::to_string).collect(),
            waits_for: membership.waits_for(now.instant),
            waits: node.waits(),
            troubles: membership.hearing_troubles(),
            remarks: node.remarks(),
            not_in_force: node.record().not_in_force.clone(),
            held_by_legacy: node
                .held_by_legacy()
                .map(|(key, node)| (key.to_string(), node.to_string()))
                .collect(),
            nodes: peers.collect(),
            began_unix_s: node.record().began_unix_s,
            times: Some(membership.timing().into()),
            last_move: node.record().last_move.clone().map(Into::into),
            elsewhere: elsewhere.collect(),
            receives: membership
                .receives(now.instant)
                .map(|(medium, receives)| (medium.to_string(), receives.into()))
                .collect(),
        }
    }
}
