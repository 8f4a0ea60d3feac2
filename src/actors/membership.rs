//! The central actor: owns the [`Node`] core and turns its actions into messages.
//!
//! It lives on the cluster thread. A handler translates and calls `step`; `step` asks the core,
//! carries the actions out in their order and re-arms the one timer (`alarm.rs`). Nothing on this path waits.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, MessageResult, Recipient, Supervised, WeakRecipient};
use actix_rt::ArbiterHandle;
use tracing::{debug, error, trace, warn};

use crate::actors::backlog::{Admission, Backlog};
use crate::actors::interest::Interest;
use crate::actors::messages::{
    AskCluster, AskFences, AskMaintenance, AskNode, AskPutBack, AskSettled, CallOffFence, CannotGo,
    ClearFailures, ClientsStopped, ConfirmFence, Confirmed, FenceDevicesKnown, FenceNode,
    FilesNotInForce, GroupCommand, GroupDone, HaresourcesOnDisk, Injected, LoadAverage, MayStart,
    MediaOpened, NodeFenced, NoteAbsent, NoteAilment, NoteDecision, NoteLinks, Outgoing,
    PeerStatus, Received, RootEvent, RunHook, StopRequested, ToClients, ToGroups, Transmit,
    UpdateKeys,
};
use crate::actors::own_beats::OwnBeats;
use crate::actors::supervise::{NotStarted, RestartPolicy};
use crate::actors::watchdog::OwnBeat;
use crate::clients::control::{FencesReport, NodeReport};
use crate::clock::{Clock, Evidence};
use crate::ha_log::target;
use crate::node::Node;
use crate::node::ledger::{Given, Ledger};
use crate::node::resume::{Duty, Resume};
use crate::notice::{self, Notice};
use crate::policy::fencing::FenceOrder;
use crate::process::guardian::Beats;
use crate::protocol::auth::KeyRing;
use crate::protocol::event::{Action, Event, OrderId, StopReason};
use crate::protocol::group::GroupKey;
use crate::protocol::haresources_mark::FileMarks;
use crate::protocol::history::numbered;
use crate::protocol::keys::KeyNumbers;
use crate::protocol::limiter::Limiter;
use crate::protocol::membership::Identity;
use crate::protocol::name::Generation;
use crate::protocol::output::Treatment;
use crate::protocol::pack::{self, Compression};
use crate::protocol::settings::NodeSettings;
use crate::protocol::status::NodeStatus;
use crate::protocol::wire::{EncodeError, MessageFormat};
use crate::protocol::{field, message};
use crate::resources::owners::Before;
use alarm::Alarm;
use packing::Packing;

/// Batches of messages that wait for membership at most. One of every medium fits several times; a
/// drop looks to the protocol like lost datagrams.
const MAILBOX: usize = 64;

/// Size of the messages for clients that their registry has not dealt with, at most:
/// twice what may wait for a single client. Some ten thousand of the usual length.
const CLIENTS_BACKLOG_BYTES: usize = 8 * 1024 * 1024;

/// The same of the messages whose notification script was not looked for yet. Of those that the
/// hooks keep waiting there are 256 at most.
const HOOKS_BACKLOG_BYTES: usize = 4 * 1024 * 1024;

/// Panics within a minute after which membership is not restarted again.
const ENDS: usize = 3;

/// Pause before a restart: far below any keepalive.
const RESTART_DELAY: Duration = Duration::from_millis(1);

/// Where the core's actions go.
#[derive(Debug, Clone)]
pub struct Outlets {
    /// Carries out group orders and answers each with [`GroupDone`]; keeps what a successor has to
    /// know.
    pub groups: Recipient<ToGroups>,
    /// Runs notification scripts; `None`: none is run.
    pub hooks: Option<Recipient<RunHook>>,
    /// Hands messages to clients. Weak: it knows this actor.
    pub clients: WeakRecipient<ToClients>,
    /// Root: the generation, the clients' processes, the end of the process. Weak: it owns this actor.
    pub root: WeakRecipient<RootEvent>,
    /// What clients want to see of what is heard; the rest is not sent to them.
    pub interest: Interest,
    /// Own heartbeats, for the guardian.
    pub beats: Beats,
    /// How late they were, for the monitors.
    pub own_beats: OwnBeats,
    /// The same for the watchdog device, if there is one. Held, not upgraded for each heartbeat.
    pub watchdog: Option<Recipient<OwnBeat>>,
}

/// Everything that membership needs to know.
#[derive(Debug)]
pub struct MembershipSetup {
    /// For the core.
    pub settings: NodeSettings,
    /// Who we are in this run. The generation and the two after it are safe on disk, so that a
    /// restart in place needs no disk.
    pub identity: Identity,
    /// Feeds the core's random choices.
    pub seed: u64,
    /// Keys to sign with.
    pub keys: Arc<KeyRing>,
    /// `msgfmt`.
    pub format: MessageFormat,
    /// What goes out compressed.
    pub compression: Compression,
    /// After a restart of the process in place: what goes on.
    pub resume: Option<Resume>,
    /// Whether the deadlines of the core are timers of the kernel. Tests with a clock of their own do without.
    pub kernel_timer: bool,
    /// Where the actions go.
    pub outlets: Outlets,
}

/// Counters of the cluster thread.
#[derive(Debug, Clone, Copy, Default)]
struct Health {
    /// Times that the timer fired later than warntime.
    late_ticks: u64,
    /// Messages that a medium could not take.
    media_full: u64,
    /// Messages that could not be encoded.
    not_encoded: u64,
    /// Messages for clients and for notification scripts that the main thread could not take.
    main_thread_full: u64,
}

/// Membership, not started: those that it is to know can know it first.
///
/// A panic restarts it in place under the next generation; at the third within a minute its address
/// is closed, and `give_up` is called on its thread.
#[must_use]
pub fn not_started(give_up: impl FnOnce() + Send + 'static) -> NotStarted<MembershipActor> {
    let policy = RestartPolicy::new("membership")
        .mailbox(MAILBOX)
        .delay(RESTART_DELAY, RESTART_DELAY)
        .give_up_at(ENDS, give_up);
    NotStarted::new(policy)
}

/// Starts it on `arbiter`. It begins to send when it is told [`MediaOpened`].
pub fn start(
    membership: NotStarted<MembershipActor>,
    arbiter: &ArbiterHandle,
    setup: MembershipSetup,
) -> Addr<MembershipActor> {
    membership.start(arbiter, move |_| MembershipActor::new(setup))
}

/// Owns the core of this node.
pub struct MembershipActor {
    node: Node,
    setup: MembershipSetup,
    clock: Clock,
    /// The keys of the setup, of which the one signs that the core has chosen.
    signing: Arc<KeyRing>,
    /// As of the last own beat: what explains a late one.
    at_beat: Evidence,
    /// From their opening to the end of the shutdown.
    media: Option<Vec<Recipient<Transmit>>>,
    alarm: Alarm,
    /// The own status word as of the last action carried out.
    own_status: NodeStatus,
    /// What the groups keep for a successor.
    told: Duty,
    /// Known without the core, and handed to the next one after a panic.
    kept: Kept,
    /// What root was told last; told again after a panic of root.
    last_told: again::LastTold,
    health: Health,
    limiter: Limiter,
    /// What the main thread has not dealt with of what the network paces.
    to_clients: Backlog,
    to_hooks: Backlog,
    packing: Packing,
    /// Kept for its capacity.
    actions: Vec<Action>,
}

/// What is known without the core, and handed to the next one when it panics.
#[derive(Debug, Default)]
struct Kept {
    /// What was ordered, by the numbers that group actors see.
    ledger: Ledger,
    /// Added to the order numbers of the core that runs now. Each core begins at the same number;
    /// a report on an order of an earlier one must not be taken for its own.
    first_order: u64,
    /// A stop was requested.
    stop: Option<StopReason>,
    /// What haresources says now, if it was looked at.
    on_disk: Option<FileMarks>,
}

/// More orders than one core ever gives.
const ORDERS_PER_CORE: u64 = 1 << 32;

impl Kept {
    /// Notes an order of the core. Returns it as the group actors see it.
    fn ordered(&mut self, order: OrderId, group: GroupKey, given: Given) -> GroupCommand {
        let order = OrderId(self.first_order.saturating_add(order.0));
        self.ledger.ordered(&group, order, given);
        let Given { what, careful } = given;
        GroupCommand {
            order,
            group,
            what,
            careful,
        }
    }

    /// The core's own number; `None` for an order of an earlier core, and for what was heard before.
    fn done(&mut self, done: &GroupDone) -> Option<OrderId> {
        let news = self.ledger.done(&done.group, &done.ended());
        news.then(|| self.own_number(done.order)).flatten()
    }

    /// The number of an order to reset a node, as the devices' actor sees it.
    fn fence_number(&self, order: FenceOrder) -> FenceOrder {
        FenceOrder(self.first_order.saturating_add(order.0))
    }

    /// The number that the core gave; `None` for an order of an earlier core.
    fn own_number(&self, order: OrderId) -> Option<OrderId> {
        order.0.checked_sub(self.first_order).map(OrderId)
    }
}

impl MembershipActor {
    fn new(setup: MembershipSetup) -> Self {
        let (settings, identity) = (setup.settings.clone(), setup.identity.clone());
        let mut kept = Kept::default();
        let node = match &setup.resume {
            None => Node::new(settings, identity, setup.seed),
            Some(resume) => {
                kept.ledger = Ledger::going_on(&resume.running, &resume.unfinished);
                resumed(settings, identity, setup.seed, resume)
            }
        };
        Self {
            own_status: node.status(),
            told: setup.resume.as_ref().map(Duty::from).unwrap_or_default(),
            node,
            signing: Arc::clone(&setup.keys),
            setup,
            clock: Clock::start(),
            at_beat: Evidence::default(),
            media: None,
            alarm: Alarm::default(),
            kept,
            last_told: again::LastTold::default(),
            health: Health::default(),
            limiter: Limiter::default(),
            to_clients: Backlog::new(CLIENTS_BACKLOG_BYTES),
            to_hooks: Backlog::new(HOOKS_BACKLOG_BYTES),
            packing: Packing::default(),
            actions: Vec::new(),
        }
    }

    /// Sends the first status message and goes on to `up`. Does nothing before the media are open.
    fn begin(&mut self, ctx: &mut Context<Self>) {
        if self.media.is_none() {
            return;
        }
        if self.setup.kernel_timer {
            self.wait_for_kernel(ctx);
        }
        self.signing = Arc::clone(&self.setup.keys);
        self.node.keys_are(KeyNumbers::of(&self.setup.keys));
        let mut actions = std::mem::take(&mut self.actions);
        self.node.start(self.clock.now(), &mut actions);
        self.perform_all(actions);
        self.step(Event::MediaOpened, ctx);
        if let Some(reason) = self.kept.stop {
            self.step(Event::StopRequested { reason }, ctx);
        }
    }

    /// One event for the core, and everything that follows from it.
    fn step(&mut self, event: Event, ctx: &mut Context<Self>) {
        if self.media.is_none() {
            debug!(?event, "not running, event ignored");
            return;
        }
        if !matches!(event, Event::Tick) {
            trace!(?event, "event");
        }
        let mut actions = std::mem::take(&mut self.actions);
        self.node.handle(event, self.clock.now(), &mut actions);
        self.perform_all(actions);
        self.rearm(ctx);
    }

    fn perform_all(&mut self, mut actions: Vec<Action>) {
        let duty = self.node.duty();
        if duty != self.told {
            self.told.clone_from(&duty);
            self.tell_groups(ToGroups::Duty(duty));
        }
        for action in actions.drain(..) {
            self.perform(action);
        }
        self.actions = actions;
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Transmit(message) => self.transmit(message),
            Action::SignWith(number) => {
                trace!(target: target::KEYS, key = number, "signs with it from now on");
                self.sign_with(number);
            }
            Action::Notice(notice) => {
                notice::log(&notice);
                if let Notice::OwnDelay { late_ms } = notice {
                    let late = Duration::from_millis(late_ms);
                    let cause = self.at_beat.cause(&self.clock.evidence(), late);
                    warn!(late_ms, "cause of the delay: {cause}");
                }
            }
            Action::NodeStatusChanged { node, status } => {
                if node == *self.node.local() {
                    self.own_status = status;
                } else if !self.setup.settings.ping_nodes.contains(&node) {
                    let status = PeerStatus { node, status };
                    self.tell_groups(ToGroups::Peer(status.clone()));
                    self.tell_root(RootEvent::PeerStatus(status));
                }
            }
            Action::Deliver { message, treatment } => {
                if self.setup.outlets.interest.wants(treatment) {
                    self.deliver(message, treatment);
                }
            }
            Action::Group { order, group, what } => {
                let careful = self.node.start_asks_network(order);
                let given = Given { what, careful };
                let command = self.kept.ordered(order, group, given);
                self.tell_groups(ToGroups::Order(command));
            }
            Action::WithdrawAddresses(groups) => self.move_addresses(groups, true),
            Action::RestoreAddresses(groups) => self.move_addresses(groups, false),
            Action::RunHook(message) => self.run_hook(message),
            Action::CommUp => self.tell_root(RootEvent::CommUp),
            Action::StopClients => self.tell_root(RootEvent::StopClients),
            Action::OwnHeartbeat => {
                self.at_beat = self.clock.evidence();
                let is_first = self.setup.outlets.beats.note();
                self.setup.outlets.own_beats.beat();
                if let Some(watchdog) = &self.setup.outlets.watchdog {
                    // While its driver lets it wait, earlier ones are there already.
                    let owes_release = self.node.owes_release();
                    let idle = self.node.is_idle();
                    let _ = watchdog.try_send(OwnBeat { owes_release, idle });
                }
                if is_first {
                    self.tell_root(RootEvent::FirstHeartbeat);
                }
            }
            Action::GenerationTaken(generation) => {
                self.setup.identity.generation = generation;
                self.tell_root(RootEvent::GenerationTaken(generation));
            }
            Action::Fence { order, node, task } => {
                let order = self.kept.fence_number(order);
                self.tell_root(RootEvent::Fence(FenceNode { order, node, task }));
            }
            Action::CallOffFence { order } => {
                let order = self.kept.fence_number(order);
                self.tell_root(RootEvent::CallOffFence(CallOffFence { order }));
            }
            Action::Exit => {
                // The media hold our address and we hold theirs.
                self.media = None;
                self.tell_root(RootEvent::Exit);
            }
            Action::RebootMachine { resource } => {
                self.tell_root(RootEvent::RebootMachine { resource });
            }
        }
    }

    fn move_addresses(&mut self, groups: Vec<GroupKey>, withdraw: bool) {
        self.kept.ledger.addresses(&groups, withdraw);
        self.tell_groups(ToGroups::Addresses { groups, withdraw });
    }

    /// To the clients, unless too much waits for them already. They are told of a gap by their end.
    fn deliver(&mut self, message: message::Message, treatment: Treatment) {
        match self.to_clients.admit(&message) {
            Admission::Go(slot) => self.tell_clients(ToClients::Deliver {
                message,
                treatment,
                slot,
            }),
            full => {
                if full == Admission::Full {
                    self.tell_clients(ToClients::Missed);
                }
                self.note_main_thread_full(
                    "messages for clients dropped, the main thread is busy",
                    &message,
                );
            }
        }
    }

    fn tell_clients(&self, news: ToClients) {
        match self.setup.outlets.clients.upgrade() {
            Some(clients) => clients.do_send(news),
            None => debug!(?news, "the registry of clients is gone"),
        }
    }

    fn run_hook(&mut self, message: message::Message) {
        let Some(hooks) = &self.setup.outlets.hooks else {
            return;
        };
        match self.to_hooks.admit(&message) {
            Admission::Go(slot) => hooks.do_send(RunHook {
                message,
                own_status: self.own_status,
                slot,
            }),
            Admission::Full | Admission::StillFull => {
                self.note_main_thread_full("notification scripts not run, too many wait", &message);
            }
        }
    }

    fn note_main_thread_full(&mut self, what: &'static str, message: &message::Message) {
        self.health.main_thread_full = self.health.main_thread_full.saturating_add(1);
        if self.may_log(what) {
            warn!(kind = message.kind(), "{what}");
        }
    }

    fn tell_groups(&self, news: ToGroups) {
        self.setup.outlets.groups.do_send(news);
    }

    fn tell_root(&mut self, event: RootEvent) {
        self.last_told.note(&event, self.clock.now().instant);
        self.send_to_root(event);
    }

    fn send_to_root(&self, event: RootEvent) {
        match self.setup.outlets.root.upgrade() {
            Some(root) => root.do_send(event),
            None => debug!(?event, "root is gone"),
        }
    }

    fn sign_with(&mut self, number: u8) {
        let file = &self.setup.keys;
        let another = (number != file.sign_index()).then(|| file.signing_with(number));
        self.signing = another.flatten().map_or_else(|| Arc::clone(file), Arc::new);
    }

    /// Signs once and hands it to every medium. What may have to be compressed follows when that is done.
    fn transmit(&mut self, message: message::Message) {
        let (kind, seq) = (message.kind(), message.text(field::SEQ));
        trace!(target: target::PACKETS, kind, seq, "sent on all media");
        trace!(target: target::CONTENTS, fields = %message, "sent on all media");
        if self.setup.compression.may_take_long(&message) {
            if !self.packing.add(message) && self.may_log("large messages dropped") {
                warn!("a large message is dropped, too many wait to be compressed");
            }
            return;
        }
        let (keys, format) = (&self.signing, self.setup.format);
        let datagram = self.setup.compression.encode(&message, keys, format);
        self.send_out(message, datagram);
    }

    /// Hands it to every medium. A medium whose mailbox is full misses it.
    fn send_out(&mut self, message: message::Message, datagram: Result<bytes::Bytes, EncodeError>) {
        let datagram = match datagram {
            Ok(datagram) => datagram,
            Err(error) => {
                self.health.not_encoded = self.health.not_encoded.saturating_add(1);
                if let Some((generation, seq)) = numbered(&message) {
                    self.node.cannot_go(generation, seq, None);
                }
                if self.may_log("messages that cannot be sent") {
                    error!(%error, kind = message.kind(), "message cannot be sent");
                }
                return;
            }
        };
        let message = pack::unmarked(message);
        let keys = Arc::clone(&self.signing);
        let outgoing = Arc::new(Outgoing {
            message,
            datagram,
            keys,
        });
        let mut full = 0_u64;
        for medium in self.media.iter().flatten() {
            if medium.try_send(Transmit(Arc::clone(&outgoing))).is_err() {
                full = full.saturating_add(1);
            }
        }
        if full > 0 {
            self.health.media_full = self.health.media_full.saturating_add(full);
            if self.may_log("messages dropped, a medium is busy") {
                warn!(media = full, "message dropped, a medium is busy");
            }
        }
    }

    fn may_log(&mut self, kind: &'static str) -> bool {
        self.limiter.pass(kind, self.clock.now().instant)
    }

    fn rearm(&mut self, ctx: &mut Context<Self>) {
        self.pack_next(ctx);
        if self.media.is_some()
            && let Some(next) = self.node.next_deadline()
        {
            self.arm(next, ctx);
        }
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        let now = self.clock.now().instant;
        if let Some(due) = self.alarm.rings() {
            self.note_lateness(now.since(due));
        }
        for line in self.limiter.report(now) {
            notice::log(&line);
        }
        self.step(Event::Tick, ctx);
    }

    fn note_lateness(&mut self, late: Duration) {
        if late > self.setup.settings.timing.warntime {
            self.health.late_ticks = self.health.late_ticks.saturating_add(1);
            let late_ms = late.as_millis();
            warn!(late_ms, "the timer of the cluster thread was late");
        }
    }
}

/// A core that goes on where another one ended.
fn resumed(settings: NodeSettings, identity: Identity, seed: u64, resume: &Resume) -> Node {
    let known = |key: &GroupKey| settings.groups.iter().any(|group| group.key == *key);
    for key in resume.running.iter().filter(|key| !known(key)) {
        warn!(%key, "this group runs here and is not in haresources any more: nobody stops it");
    }
    Node::go_on(settings, identity, seed, resume)
}

impl Actor for MembershipActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.begin(ctx);
    }
}

impl Supervised for MembershipActor {
    /// A new core under the next generation: the others take it for a quick restart, and the
    /// groups run on. Spec: docs/protocol/membership.md, 9.3.
    fn restarting(&mut self, _: &mut Self::Context) {
        self.packing = Packing::default();
        let Generation(last) = self.setup.identity.generation;
        self.setup.identity.generation = Generation(last.saturating_add(1));
        self.setup.seed = self.setup.seed.wrapping_add(1);
        self.kept.first_order = self.kept.first_order.saturating_add(ORDERS_PER_CORE);
        let settings = &self.setup.settings;
        let running: Vec<GroupKey> = self.kept.ledger.may_run().cloned().collect();
        // The call that failed may have taken a half of which it started nothing.
        let before = Before {
            holding: self.node.holding(),
            running: running.iter().cloned().collect(),
            ..Before::default()
        };
        let before = before.after_death(&settings.local, &settings.groups);
        let resume = Resume {
            holding: before.holding,
            running,
            unfinished: self.kept.ledger.unfinished().cloned().collect(),
            left: self.node.left_groups().cloned().collect(),
            came: self.node.came_groups().cloned().collect(),
            to_go_home: self.node.goes_home_by_file(),
            failback_due: self.node.failback_due(),
            // Of before the call that failed: its words were not sent.
            standby: self.told.standby.clone(),
            releases: self.node.releases_everything(),
            frozen: self.node.frozen(),
            unknown: false,
            unfenced: self.node.unfenced(),
            // The groups know it themselves.
            proven: std::collections::BTreeMap::new(),
        };
        for order in self.last_told.another_core(&resume.unfenced) {
            self.tell_root(RootEvent::CallOffFence(CallOffFence { order }));
        }
        let known = self.node.dead_times();
        let dead_times: Vec<_> = known.map(|(node, time)| (node.clone(), time)).collect();
        self.node = resumed(
            self.setup.settings.clone(),
            self.setup.identity.clone(),
            self.setup.seed,
            &resume,
        );
        self.node.keep_dead_times(dead_times);
        if let Some(marks) = &self.kept.on_disk {
            self.node.haresources_on_disk(marks.clone());
        }
        self.own_status = self.node.status();
        self.alarm.forget();
        self.actions = Vec::new();
        notice::log(&Notice::OtherCrit {
            text: "membership was restarted after a fault of our own".to_owned(),
        });
    }
}

impl Handler<MediaOpened> for MembershipActor {
    type Result = ();

    fn handle(&mut self, MediaOpened(media): MediaOpened, ctx: &mut Self::Context) {
        let first = self.media.is_none();
        self.media = Some(media);
        if first {
            self.begin(ctx);
        }
    }
}

impl Handler<Received> for MembershipActor {
    type Result = ();

    fn handle(&mut self, heard: Received, ctx: &mut Self::Context) {
        let Received { medium, messages } = heard;
        if self.media.is_none() {
            debug!(%medium, "not running, messages ignored");
            return;
        }
        let mut actions = std::mem::take(&mut self.actions);
        let now = self.clock.now();
        self.node.hear(&medium, messages, now, &mut actions);
        self.perform_all(actions);
        self.rearm(ctx);
    }
}

impl Handler<Injected> for MembershipActor {
    type Result = ();

    fn handle(&mut self, injected: Injected, ctx: &mut Self::Context) {
        let Injected { origin, message } = injected;
        self.step(Event::Injected { origin, message }, ctx);
    }
}

impl Handler<GroupDone> for MembershipActor {
    type Result = ();

    fn handle(&mut self, done: GroupDone, ctx: &mut Self::Context) {
        let Some(order) = self.kept.done(&done) else {
            debug!(?done, "an order of before the restart");
            return;
        };
        let GroupDone {
            group,
            outcome,
            said,
            ..
        } = done;
        if let Some(said) = said {
            let unix_s = self.clock.now().unix_s;
            let what = format!("a script of group {group} failed");
            self.node.note_decision(unix_s, what, said);
        }
        self.step(
            Event::GroupDone {
                order,
                group,
                outcome,
            },
            ctx,
        );
    }
}

impl Handler<MayStart> for MembershipActor {
    type Result = MessageResult<MayStart>;

    fn handle(&mut self, MayStart(order): MayStart, ctx: &mut Self::Context) -> Self::Result {
        // Who was stopped or starved learns it here, before another script begins.
        self.step(Event::Tick, ctx);
        let order = self.kept.own_number(order);
        MessageResult(self.node.start_stands(order))
    }
}

impl Handler<AskPutBack> for MembershipActor {
    type Result = MessageResult<AskPutBack>;

    fn handle(&mut self, AskPutBack(group): AskPutBack, ctx: &mut Self::Context) -> Self::Result {
        // Who was stopped or starved learns it here, before the address is up.
        self.step(Event::Tick, ctx);
        MessageResult(Some(self.node.may_put_back(&group)))
    }
}

impl Handler<NoteAbsent> for MembershipActor {
    type Result = ();

    fn handle(&mut self, NoteAbsent(groups): NoteAbsent, _: &mut Self::Context) {
        self.node.note_absent(&groups);
    }
}

impl Handler<NoteLinks> for MembershipActor {
    type Result = ();

    fn handle(&mut self, NoteLinks { links, removed }: NoteLinks, ctx: &mut Self::Context) {
        self.step(Event::AddressesSeen { links, removed }, ctx);
    }
}

impl Handler<NoteAilment> for MembershipActor {
    type Result = ();

    fn handle(&mut self, NoteAilment { group, wants }: NoteAilment, ctx: &mut Self::Context) {
        self.step(Event::MonitorsSay { group, wants }, ctx);
    }
}

impl Handler<ClearFailures> for MembershipActor {
    type Result = bool;

    fn handle(&mut self, clear: ClearFailures, ctx: &mut Self::Context) -> bool {
        let known = clear.watched || self.node.is_down_for_good(&clear.group);
        if known {
            self.step(Event::FailuresCleared(clear.group), ctx);
        }
        known
    }
}

impl Handler<NodeFenced> for MembershipActor {
    type Result = ();

    fn handle(&mut self, fenced: NodeFenced, ctx: &mut Self::Context) {
        let NodeFenced {
            order,
            node,
            answer,
        } = fenced;
        self.last_told.fenced(order);
        let Some(own) = order.0.checked_sub(self.kept.first_order) else {
            debug!(%node, ?answer, "an order of before the restart");
            return;
        };
        let order = FenceOrder(own);
        self.step(Event::FenceAnswered { order, answer }, ctx);
    }
}

impl Handler<FenceDevicesKnown> for MembershipActor {
    type Result = ();

    /// Which nodes a device can reset follows from the configuration: one that is broken is waited
    /// for.
    fn handle(&mut self, known: FenceDevicesKnown, ctx: &mut Self::Context) {
        if known.longest_answer > Duration::ZERO {
            self.step(Event::FenceAnswerTook(known.longest_answer), ctx);
        }
    }
}

impl Handler<AskFences> for MembershipActor {
    type Result = MessageResult<AskFences>;

    fn handle(&mut self, _: AskFences, _: &mut Self::Context) -> Self::Result {
        MessageResult(FencesReport::of(&self.node, self.clock.now().instant))
    }
}

impl Handler<ConfirmFence> for MembershipActor {
    type Result = MessageResult<ConfirmFence>;

    fn handle(&mut self, confirm: ConfirmFence, ctx: &mut Self::Context) -> Self::Result {
        let ConfirmFence { node, by } = confirm;
        let waits = self.node.waits_to_be_fenced(&node);
        let known = self.node.nodes().any(|it| *it.name == node);
        self.step(Event::FenceConfirmed { node, by }, ctx);
        MessageResult(match (known, waits) {
            (_, true) => Confirmed::Counts,
            (true, false) => Confirmed::NotAwaited,
            (false, false) => Confirmed::Unknown,
        })
    }
}

impl Handler<StopRequested> for MembershipActor {
    type Result = ();

    fn handle(&mut self, stop: StopRequested, ctx: &mut Self::Context) {
        if self.media.is_none() {
            // Nothing was sent and nothing started: there is nothing to give up.
            self.perform(Action::Exit);
            return;
        }
        let reason = stop.reason;
        self.kept.stop = Some(reason);
        self.step(Event::StopRequested { reason }, ctx);
    }
}

impl Handler<ClientsStopped> for MembershipActor {
    type Result = ();

    fn handle(&mut self, _: ClientsStopped, ctx: &mut Self::Context) {
        self.step(Event::ClientsStopped, ctx);
    }
}

impl Handler<UpdateKeys> for MembershipActor {
    type Result = ();

    fn handle(&mut self, UpdateKeys(keys): UpdateKeys, ctx: &mut Self::Context) {
        self.setup.keys = keys;
        self.step(Event::KeysRead(KeyNumbers::of(&self.setup.keys)), ctx);
    }
}

impl Handler<CannotGo> for MembershipActor {
    type Result = ();

    fn handle(&mut self, told: CannotGo, _: &mut Self::Context) {
        self.node
            .cannot_go(told.generation, told.seq, Some(&told.medium));
    }
}

impl Handler<LoadAverage> for MembershipActor {
    type Result = ();

    fn handle(&mut self, LoadAverage(line): LoadAverage, _: &mut Self::Context) {
        self.node.set_load(&line);
    }
}

impl Handler<HaresourcesOnDisk> for MembershipActor {
    type Result = ();

    fn handle(&mut self, HaresourcesOnDisk(marks): HaresourcesOnDisk, _: &mut Self::Context) {
        self.kept.on_disk = Some(marks.clone());
        self.node.haresources_on_disk(marks);
    }
}

impl Handler<FilesNotInForce> for MembershipActor {
    type Result = ();

    fn handle(&mut self, FilesNotInForce(names): FilesNotInForce, _: &mut Self::Context) {
        self.node.note_not_in_force(names);
    }
}

impl Handler<AskNode> for MembershipActor {
    type Result = MessageResult<AskNode>;

    fn handle(&mut self, _: AskNode, _: &mut Self::Context) -> Self::Result {
        MessageResult(NodeReport::of(&self.node, self.clock.now()))
    }
}

impl Handler<AskSettled> for MembershipActor {
    type Result = MessageResult<AskSettled>;

    fn handle(&mut self, _: AskSettled, _: &mut Self::Context) -> Self::Result {
        let held = || {
            let held = self.node.held_by_legacy();
            held.map(|(key, node)| (key.clone(), node.clone()))
                .collect()
        };
        MessageResult(self.node.is_settled().then(held))
    }
}

impl Handler<NoteDecision> for MembershipActor {
    type Result = ();

    fn handle(&mut self, noted: NoteDecision, _: &mut Self::Context) {
        let unix_s = self.clock.now().unix_s;
        self.node.note_decision(unix_s, noted.what, noted.cause);
    }
}

impl Handler<AskCluster> for MembershipActor {
    type Result = MessageResult<AskCluster>;

    fn handle(&mut self, _: AskCluster, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.node.cluster_view())
    }
}

impl Handler<AskMaintenance> for MembershipActor {
    type Result = MessageResult<AskMaintenance>;

    fn handle(&mut self, asked: AskMaintenance, ctx: &mut Self::Context) -> Self::Result {
        let answer = match asked {
            AskMaintenance::Why => Ok(self.node.decisions().cloned().collect()),
            AskMaintenance::Thaw => {
                self.step(Event::ThawRequested, ctx);
                Ok(Vec::new())
            }
            AskMaintenance::Freeze => self.node.may_freeze().map(|()| {
                self.step(Event::FreezeRequested, ctx);
                Vec::new()
            }),
        };
        MessageResult(answer)
    }
}

mod again;
mod alarm;
mod packing;
pub mod restart;
#[cfg(test)]
mod tests;
