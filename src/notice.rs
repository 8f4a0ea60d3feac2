//! The lines that administrators and test suites match on, as a typed catalogue.
//!
//! The core emits a [`Notice`]; the actors log it. The texts are interface: they keep the legacy
//! wording. Spec: docs/protocol/tools.md, 6.5.

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

use std::fmt;

/// Severity words as legacy prints them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Details.
    Debug,
    /// A change of state.
    Info,
    /// Between info and warning.
    Notice,
    /// Degraded.
    Warn,
    /// A person must act.
    Error,
    /// A person must act at once.
    Crit,
    /// The machine goes down.
    Emerg,
}

impl Severity {
    /// The word in a log line. Mind the case: suites match on it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Crit => "CRIT",
            Self::Emerg => "EMERG",
        }
    }

    /// The severity of a level word; `None` for any other word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [
            Self::Debug,
            Self::Info,
            Self::Notice,
            Self::Warn,
            Self::Error,
            Self::Crit,
            Self::Emerg,
        ]
        .into_iter()
        .find(|severity| severity.word() == word)
    }
}

/// The name under which a log line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker<'a> {
    /// The daemon's.
    Daemon,
    /// A script's or helper's, as its tag in the daemon's log.
    Script(&'a str),
    /// Another program's, in the daemon's place.
    Program(&'a str),
}

/// Logs one line. The field `ha_level` makes the log keep text and level word as they are.
pub fn say(speaker: Speaker<'_>, severity: Severity, text: &dyn fmt::Display) {
    let (tag, entity) = match speaker {
        Speaker::Daemon => (None, None),
        Speaker::Script(name) => (Some(name), None),
        Speaker::Program(name) => (None, Some(name)),
    };
    let ha_level = severity.word();
    match severity {
        Severity::Debug => tracing::debug!(tag, entity, ha_level, "{text}"),
        Severity::Info | Severity::Notice => tracing::info!(tag, entity, ha_level, "{text}"),
        Severity::Warn => tracing::warn!(tag, entity, ha_level, "{text}"),
        Severity::Error | Severity::Crit | Severity::Emerg => {
            tracing::error!(tag, entity, ha_level, "{text}");
        }
    }
}

/// Logs `notice` as the line it stands for.
pub fn log(notice: &Notice) {
    say(Speaker::Daemon, notice.severity(), notice);
}

macro_rules! notices {
    ($($(#[$doc:meta])* $name:ident { $($field:ident : $type:ty),* } $severity:ident $text:literal;)*) => {
        /// One line for people.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the fields are named in the text beside them")]
        pub enum Notice { $($(#[$doc])* $name { $($field: $type),* },)* }

        impl Notice {
            /// How serious it is.
            #[must_use]
            pub const fn severity(&self) -> Severity {
                match self { $(Self::$name { .. } => Severity::$severity,)* }
            }
        }

        impl fmt::Display for Notice {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(Self::$name { $($field),* } => write!(f, $text),)* }
            }
        }
    };
}

notices! {
    /// Own status word changed.
    LocalStatus { status: String } Info "Local status now set to: '{status}'";
    /// A link came up.
    LinkUp { node: String, medium: String } Info "Link {node}:{medium} up.";
    /// A link died.
    LinkDead { node: String, medium: String } Info "Link {node}:{medium} dead.";
    /// Another node's status word changed.
    StatusUpdate { node: String, status: String } Info "Status update for node {node}: status {status}";
    /// Silence for longer than the dead time.
    NodeDead { node: String } Warn "node {node}: is dead";
    /// Gap over warntime.
    LateHeartbeat { node: String, interval_ms: u64 } Warn "Late heartbeat: Node {node}: interval {interval_ms} ms";
    /// Gap over deadtime.
    VeryLateHeartbeat { node: String, interval_ms: u64 } Crit "Late heartbeat: Node {node}: interval {interval_ms} ms (> deadtime)";
    /// A dead node is received again with its old generation.
    ReturningAfterPartition { node: String } Crit "Cluster node {node} returning after partition.";
    /// Follows it.
    PartitionInfo { url: String } Info "For information on cluster partitions, See URL: {url}";
    /// Follows it.
    DeadtimeTooSmall { } Warn "Deadtime value may be too small.";
    /// Follows it.
    TuneDeadtime { } Info "See FAQ for information on tuning deadtime.";
    /// A peer came with a new generation.
    HeartbeatRestart { node: String } Info "Heartbeat restart on node {node}";
    /// All nodes were received or are dead.
    CommNowUp { } Info "Comm_now_up(): updating status to active";
    /// A gap in a peer's numbers; text as legacy: `last:seq`.
    LostPackets { count: u64, node: String, last: u64, seq: u64 } Warn "{count} lost packet(s) for [{node}] [{last}:{seq}]";
    /// The gap is closed.
    NoPacketsMissing { node: String } Info "No pkts missing from {node}!";
    /// The gap is too large to close.
    LostALot { node: String } Error "lost a lot of packets! (node {node})";
    /// A peer cannot send a number again.
    IrretrievablyLost { node: String, seq: u64 } Error "Irretrievably lost packet: node {node} seq {seq}";
    /// A message of an old run.
    ReplayAttack { node: String, generation: u64, current: u64 } Error "should_drop_message: attempted replay attack [{node}]? [gen = {generation}, curgen = {current}]";
    /// A sender that is not configured.
    BadNode { node: String } Error "process_status_message: bad node [{node}] in message";
    /// Explains it, once for each name.
    StrangerHeard { node: String, medium: String } Error "node {node} is received on {medium}, but no node line here names it: it may wait for us. Make the node lines alike; another cluster needs another port or multicast group, and another key";
    /// Another node's list or an operator names a node beside the two that groups run on.
    ThirdNode { node: String, by: String } Error "node {node} is named by node {by}, but no node line here names it: not added, and not waited for. haresources has groups, and they run on two nodes: make the node lines alike (more nodes: heartbeat -M and a cluster manager)";
    /// A peer that is received does not receive us.
    NotHeard { node: String } Warn "node {node} does not receive this node, which receives it: check that no firewall there drops our messages, that a node line there names us, that our ucast line has its address, and that udpport, multicast group and ttl are alike";
    /// It receives us again.
    HeardAgain { node: String } Info "node {node} receives this node again";
    /// A peer from which nothing was received is declared dead.
    NeverHeard { node: String } Warn "nothing was received of node {node} since the start: it is down, or its messages do not arrive. Check that no firewall here drops them, that its ucast line has our address, and that udpport and multicast group are alike";
    /// A medium that never carried a message of a node that is received over another one.
    LinkNeverUp { node: String, medium: String } Warn "node {node} was never received on {medium}, only on another medium: redundancy is lost. Check cable, interface and firewall on both nodes, and that both have that line";
    /// Own messages are lost on a medium that should bring them back.
    OwnNotHeard { medium: String } Warn "our own messages on {medium} do not come back: it is down, or a firewall of this host drops what arrives there (nft list ruleset)";
    /// Own messages come back on a medium that should not bring them.
    SendsToItself { medium: String } Warn "our own messages come back on {medium}: does a ucast line have an address of this host? It wants the other node's. Is a serial cable looped?";
    /// A required field is absent.
    MissingField { medium: String, node: String, what: String } Error "process_clustermsg: missing {what}: iface {medium}, from {node}";
    /// A status without its word.
    StatusWithoutSt { node: String } Error "HBDoMsg_T_STATUS: status update without st field (node {node})";
    /// A node was found under another uuid.
    UuidChanged { node: String, uuid: String } Warn "node {node} changed its uuid to {uuid}";
    /// The files of two nodes differ.
    HaresourcesDiffer { node: String, lines: String } Crit "haresources here and on node {node} differ: {lines}. A group may run on none of the nodes, or without some of its resources: these are not handed over unless forced (hb_standby --force). Make the files alike, then heartbeat -r on both";
    /// They are alike, but a change of them is not in force on both.
    HaresourcesPending { node: String } Info "haresources here and on node {node} are alike, but not in force on both yet: heartbeat -r puts the change in force";
    /// The files no longer differ.
    HaresourcesAgree { node: String } Info "haresources here and on node {node} agree";
    /// The monitors of two nodes differ.
    MonitorsDiffer { node: String } Warn "the [[monitor]] blocks of systole.toml here and on node {node} differ: a group is watched by those of the node on which it runs. Make them alike, then systole reload on both";
    /// They no longer differ.
    MonitorsAgree { node: String } Info "the [[monitor]] blocks of systole.toml here and on node {node} agree";
    /// Two configured nodes have one uuid.
    UuidShared { uuid: String, known: String, node: String } Error "node {node} has the uuid {uuid} of node {known}: going by names (was hb_uuid copied to another machine? remove it on one of them and restart that node)";
    /// Our uuid is another node's as well: we use another.
    UuidReplaced { uuid: String } Warn "using uuid {uuid}, made of our node name, until the next start";
    /// A known uuid under a name that is not configured: refused.
    UuidConflict { uuid: String, known: String, claimed: String } Error "uuid {uuid} belongs to node {known} but node {claimed} uses it: message dropped (was hb_uuid copied to another machine?)";
    /// Asked for what was never sent.
    RexmitOfFuture { node: String, seq: u64, max: u64 } Warn "Rexmit of seq {seq} requested by {node}. {max} is max.";
    /// Nonsense in a resend request.
    InvalidRexmit { node: String, first: String, last: String } Error "Invalid rexmit seqnos from {node}: {first}..{last}";
    /// A message is gone from the history.
    CannotRexmit { seq: u64, node: String, reason: String } Error "Cannot rexmit pkt {seq} for {node}: {reason}";
    /// Acknowledges what was never sent.
    CorruptedAck { node: String, seq: u64, max: u64 } Error "corrupted ackseq from {node}: {seq} acknowledged, {max} is max";
    /// Many messages without acknowledgement.
    HistoryFilling { count: u64 } Error "Message hist queue is filling up ({count} messages in queue)";
    /// Client traffic is held back.
    ClientsPaused { } Info "all clients are now paused";
    /// Client traffic goes on.
    ClientsResumed { } Info "all clients are now resumed";
    /// An old peer.
    FlowControlOff { } Info "flow control disabled due to different version heartbeat";
    /// Wall clock.
    ClockBackwards { } Info "Clock jumped backwards. Compensating.";
    /// This process was delayed.
    OwnDelay { late_ms: u64 } Warn "local heartbeat was delayed by {late_ms} ms";
    /// A peer's node list names a node.
    NodeAdded { node: String } Info "hb_add_one_node: Adding new node[{node}] to configuration.";
    /// A node left the list.
    NodeRemoved { node: String } Info "Node [{node}] removed from configuration.";
    /// A living node is not removed.
    CannotRemoveAlive { node: String } Error "remove_node: node {node} is active. Cannot remove alive node";
    /// Refused deletion.
    DeleteNotDead { node: String } Warn "deletion failed: node {node} is not dead";
    /// Refused deletion.
    DeleteOthersMissing { node: String } Error "HBDoMsg_T_DELNODE: deletion failed. We don't have all required nodes alive ({node} is dead)";
    /// Fencing begins.
    Resetting { node: String, device: String } Info "Resetting node {node} with [{device}]";
    /// A device does not know the node.
    DeviceCannotReset { device: String, node: String } Error "Device {device} cannot reset host {node}.";
    /// A device does not work.
    DeviceNotOperational { device: String } Error "STONITH device {device} not operational!";
    /// At the start, and every hour.
    CheckingDevice { device: String } Info "Checking status of STONITH device [{device}]";
    /// Fencing has succeeded.
    NodeReset { node: String } Info "node {node} now reset.";
    /// Fencing has failed.
    HostNotReset { node: String } Error "Host {node} not reset!";
    /// Follows it.
    StonithRetrying { node: String } Error "STONITH of {node} failed.  Retrying...";
    /// Fencing is not configured.
    NoStonith { } Warn "No STONITH device configured.";
    /// Follows it.
    SharedDisks { } Warn "Shared disks are not protected.";
    /// A takeover starts.
    AcquiringFrom { node: String } Info "Resources being acquired from {node}.";
    /// The takeover is complete.
    MachDownComplete { } Info "mach_down takeover complete.";
    /// Nothing of ours.
    NoLocalResources { node: String } Info "No local resources [/usr/share/heartbeat/ResourceManager listkeys {node}] to acquire.";
    /// Own groups are up.
    LocalAcquisitionDone { } Info "Local Resource acquisition completed.";
    /// Own groups need nothing.
    LocalAcquisitionNone { } Info "Local Resource acquisition completed. (none)";
    /// Both halves settled.
    InitialAcquisitionComplete { reason: String } Info "Initial resource acquisition complete ({reason})";
    /// The other side is settled.
    RemoteTransitionDone { } Info "remote resource transition completed.";
    /// We are settled.
    LocalTransitionDone { } Info "local resource transition completed.";
    /// Standby asked.
    WantsStandby { node: String, set: String } Info "{node} wants to go standby [{set}]";
    /// Standby accepted.
    CanTake { node: String, set: String } Info "standby: {node} can take our {set} resources";
    /// Giver is done.
    StandbyReleaseDone { set: String } Info "Local standby process completed [{set}].";
    /// Taker begins.
    StandbyAcquiring { set: String } Info "acquire {set} resources (standby)";
    /// Giver begins.
    StandbyGiving { set: String } Info "give up {set} HA resources (standby).";
    /// Taker is done.
    StandbyAcquireDone { set: String } Info "Standby resource acquisition done [{set}].";
    /// Giver receives the taker's `done`.
    OtherCompletedStandby { set: String } Info "Other node completed standby takeover of {set} resources.";
    /// The offer was not answered.
    NoStandbyReply { } Warn "No reply to standby request.  Standby request cancelled.";
    /// Wrong moment.
    StandbyLocalFlux { info: String, node: String } Warn "standby message [{info}] from {node} ignored.  local resources in flux.";
    /// Wrong moment.
    StandbyOtherFlux { info: String, node: String } Warn "standby message [{info}] from {node} ignored.  Other side is in flux.";
    /// Wrong moment.
    StandbyInProgress { info: String, node: String, seconds: u64 } Warn "Standby in progress- new request [{info}] from {node} ignored [{seconds} seconds left]";
    /// Unexpected word.
    StandbyUnexpected { info: String, node: String, state: String } Error "standby message [{info}] from {node} ignored in state {state}";
    /// Refused in the legacy model.
    StandbyNeedsNice { } Info "Standby mode only implemented when auto_failback on or off.";
    /// Both sides claim.
    BothOwnOurs { } Error "Both machines own our resources!";
    /// Both sides claim.
    BothOwnForeign { } Error "Both machines own foreign resources!";
    /// No node claims the set.
    NobodyOwnsLocal { } Error "No one owns our local resources!";
    /// No node claims the set.
    NobodyOwnsForeign { } Error "No one owns foreign resources!";
    /// Stop begins.
    ShutdownInProgress { pid: u32 } Info "Heartbeat shutdown in progress. ({pid})";
    /// Stop begins to release.
    GivingUpAll { } Info "Giving up all HA resources.";
    /// Stop has released.
    AllRelinquished { } Info "All HA resources relinquished.";
    /// A peer stops in order.
    ShutdownNotice { node: String } Info "Received shutdown notice from '{node}'.";
    /// Stop is complete.
    ShutdownComplete { node: String } Info "{node} Heartbeat shutdown complete.";
    /// Stop waits.
    ShutdownDelayedComm { } Warn "Shutdown delayed until Communication is up.";
    /// Stop waits.
    ShutdownDelayedResources { } Warn "Shutdown delayed until current resource activity finishes.";
    /// In-place restart.
    RestartTriggered { } Info "Heartbeat restart triggered.";
    /// In-place restart.
    Restarting { } Info "Restarting heartbeat.";
    /// A group failed to start.
    GivingUpDueToFailure { resource: String } Crit "Giving up resources due to failure of {resource}";
    /// A resource cannot be stopped.
    StopFailure { resource: String } Crit "Resource STOP failure. Reboot required! ({resource})";
    /// The watchdog device is open.
    UsingWatchdog { device: String } Notice "Using watchdog device: {device}";
    /// It is not.
    NoWatchdog { device: String, error: String } Error "Cannot open watchdog device: {device} ({error})";
    /// First start: no generation file.
    NoPreviousGeneration { generation: u64 } Warn "No Previous generation - starting at {generation}";
    /// The generation file holds no number.
    BrokenGeneration { generation: u64 } Warn "BROKEN previous generation - starting at {generation}";
    /// First start: no uuid file.
    NoUuid { } Info "No uuid found for current node - generating a new uuid.";
    /// The uuid file holds no uuid.
    BrokenUuid { path: String } Warn "{path} does not hold a uuid - generating a new one.";
    /// New generation.
    GenerationNow { generation: u64 } Info "Heartbeat generation: {generation}";
    /// Error that the catalogue has no row for.
    OtherError { text: String } Error "{text}";
    /// Critical state that the catalogue has no row for.
    OtherCrit { text: String } Crit "{text}";
    /// Warning that the catalogue has no row for.
    OtherWarn { text: String } Warn "{text}";
    /// Line between information and warning that the catalogue has no row for.
    OtherNotice { text: String } Notice "{text}";
    /// Information that the catalogue has no row for.
    OtherInfo { text: String } Info "{text}";
    /// Detail.
    OtherDebug { text: String } Debug "{text}";
}
