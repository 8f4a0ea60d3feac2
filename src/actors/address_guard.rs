//! Keeps the service addresses of this node where they are to be: hears from the kernel that one is gone, looks,
//! asks, and puts it back. What is to be done is decided in
//! [`policy::address_guard`](crate::policy::address_guard).
//!
//! It lives on the main thread, never on that of the heartbeats. Before an address is put back it asks, in this
//! order: the core, whether the group is held and nothing is to be done about it; the network, for a twentieth
//! of a second, whether another host has the address; the core once more; the group, whether it has an order in
//! hand. What the group is ordered from then on comes behind it and removes it again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use actix::WeakRecipient;
use actix::prelude::*;
use futures_util::stream;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::actors::groups::{AllKept, AskAllAddresses, AskAllKept, GroupsActor, LinkUp};
use crate::actors::lease::{LeaseChanged, LeaseThread};
use crate::actors::messages::{AskPutBack, NoteAbsent, NoteDecision, NoteLinks};
use crate::actors::resource_group::{Care, KeptAddress, PutBack};
use crate::clock::{self, Clock, Monotonic};
use crate::net::address::AddressResource;
use crate::net::news::{News, Subscription};
use crate::net::probe::Effort;
use crate::net::service_address::{AddressManager, Links, Presence};
use crate::node::MayPutBack;
use crate::notice::{self, Speaker};
use crate::policy::address_guard::links::{LinkWatch, Place};
use crate::policy::address_guard::{
    AGAIN, Action, AddressGuard, BUSY, Event, Found, Held, Remover, Seen, Spot, Tried,
};
use crate::protocol::group::GroupKey;
use crate::protocol::links::OwnLinks;

/// Pause between two looks that no news calls for.
const TURN: Duration = AGAIN;

/// The same while a group is being started or stopped.
const WORK: Duration = Duration::from_millis(500);

/// Shortest pause between two looks: a host may change many addresses at once.
const REST: Duration = Duration::from_millis(10);

/// Pause before a look after news that name no held address: a host with many containers has many of them.
const CALM: Duration = Duration::from_millis(50);

/// Pause before the subscription is renewed.
const REOPEN: Duration = Duration::from_secs(1);

/// How long the core may take to answer: one that does not answer allows nothing.
const CORE_LIMIT: Duration = Duration::from_secs(1);

/// Greater numbers name no process.
const MAX_PID: u32 = 4_194_304;

/// Programs that remove addresses they have not set, and what is there while they run.
const MANAGERS: [(&str, &str); 3] = [
    ("systemd-networkd", "/run/systemd/netif"),
    ("NetworkManager", "/run/NetworkManager"),
    ("ifupdown", "/run/network/ifstate"),
];

/// Asks which addresses of groups that run here are not on this host. Looks.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "BTreeMap<GroupKey, Vec<IpAddr>>")]
pub struct AskAbsent;

/// Whom the guard asks and tells.
#[derive(Clone)]
pub struct GuardTargets {
    /// The groups.
    pub groups: Addr<GroupsActor>,
    /// Whether an address may be put back.
    pub core: WeakRecipient<AskPutBack>,
    /// What was done, for whoever asks.
    pub decisions: Recipient<NoteDecision>,
    /// Of which groups addresses are gone.
    pub absent: Recipient<NoteAbsent>,
    /// Of which groups the interfaces are up.
    pub links: Recipient<NoteLinks>,
    /// The lease of addresses, if they have one.
    pub lease: Option<LeaseThread>,
}

/// Guards the addresses of one node.
pub struct AddressGuardActor {
    guard: AddressGuard,
    addresses: AddressManager,
    targets: GuardTargets,
    /// Whether the network may be asked.
    probes: bool,
    clock: Clock,
    looking: bool,
    again: bool,
    /// A look after [`CALM`] is due.
    calm: bool,
    /// What the core was told last.
    told: BTreeSet<GroupKey>,
    /// A look after [`WORK`] is due.
    after_work: bool,
    /// When a try is due, and a look with it.
    due: Option<(Monotonic, SpawnHandle)>,
    watch: LinkWatch,
    /// The same of the interfaces; `None`: nothing was seen yet.
    links: Option<NoteLinks>,
}

/// Each address with its interface, and whether each interface is up.
type Places = (Vec<(Held, Option<Place>)>, BTreeMap<String, bool>);

/// What the subscription gives.
struct Heard(Vec<News>);

impl AddressGuardActor {
    /// A guard that knows nothing yet. `reports`: it puts nothing back. `probes`: the network is asked first.
    #[must_use]
    pub fn new(
        addresses: AddressManager,
        targets: GuardTargets,
        reports: bool,
        probes: bool,
    ) -> Self {
        Self {
            guard: AddressGuard::new(reports),
            addresses,
            targets,
            probes,
            clock: Clock::start(),
            looking: false,
            again: false,
            calm: false,
            told: BTreeSet::new(),
            after_work: false,
            due: None,
            watch: LinkWatch::default(),
            links: None,
        }
    }

    fn subscribe(&mut self, ctx: &mut Context<Self>) {
        match Subscription::open() {
            Ok(subscription) => {
                ctx.add_stream(stream::unfold(subscription, |subscription| async {
                    match subscription.next().await {
                        Ok(news) => Some((Heard(news), subscription)),
                        Err(error) => {
                            warn!(%error, "no reports from the kernel: service addresses are looked at every 5 s");
                            None
                        }
                    }
                }));
                // What came before.
                self.event(Event::Changed, ctx);
            }
            Err(error) => {
                warn!(%error, "no reports from the kernel: service addresses are looked at every 5 s");
                ctx.run_later(TURN, Self::subscribe);
            }
        }
    }

    fn turn(&mut self, ctx: &mut Context<Self>) {
        if !self.told.is_empty() {
            // Membership may have begun anew.
            let told = self.told.clone();
            self.targets.absent.do_send(NoteAbsent(told));
        }
        if let Some(links) = self.links.clone() {
            self.targets.links.do_send(links);
        }
        self.event(Event::Changed, ctx);
        ctx.run_later(clock::until_common(TURN), Self::turn);
    }

    fn event(&mut self, event: Event, ctx: &mut Context<Self>) {
        let now = self.clock.now().instant;
        for action in self.guard.handle(event, now) {
            self.perform(action, ctx);
        }
        self.tell_absent();
        self.arm(self.guard.next_try(now), now, ctx);
    }

    /// There is one timer for the next try: each look may give it another time.
    fn arm(&mut self, due: Option<Monotonic>, now: Monotonic, ctx: &mut Context<Self>) {
        // One that is due now rings in a moment, and the look that follows arms anew.
        if self.due.map(|(at, _)| at) == due || self.due.is_some_and(|(at, _)| at <= now) {
            return;
        }
        if let Some((_, earlier)) = self.due.take() {
            ctx.cancel_future(earlier);
        }
        self.due = due.map(|at| {
            let timer = ctx.run_later(at.since(now), |act, ctx| {
                act.due = None;
                act.look(ctx);
            });
            (at, timer)
        });
    }

    fn perform(&mut self, action: Action, ctx: &mut Context<Self>) {
        match action {
            Action::Look => self.look(ctx),
            Action::PutBack(held, spot) => self.put_back(held, spot, ctx),
            Action::Announce(group) => self.targets.groups.do_send(LinkUp(group)),
            Action::Say(severity, text) => notice::say(Speaker::Daemon, severity, &text),
            Action::Note(what, cause) => {
                self.targets.decisions.do_send(NoteDecision { what, cause })
            }
        }
    }

    /// The core says of a group whose addresses are gone that it is not all there.
    fn tell_absent(&mut self) {
        let absent: BTreeSet<GroupKey> = self.guard.absent().map(|(key, _)| key.clone()).collect();
        if absent != self.told {
            self.told.clone_from(&absent);
            self.targets.absent.do_send(NoteAbsent(absent));
        }
    }

    /// One look at a time; what comes meanwhile calls for one more.
    fn look(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.looking, true) {
            self.again = true;
            return;
        }
        let (seen, links) = (self.seen(), self.places());
        let look = async move { (seen.await, links.await) };
        ctx.spawn(look.into_actor(self).map(|(seen, links), act, ctx| {
            if let Some((seen, at_work)) = seen {
                act.event(Event::Looked(seen), ctx);
                if at_work {
                    act.look_after_work(ctx);
                }
            }
            if let Some((places, interfaces)) = links {
                let links = act.watch.judge(places, &interfaces);
                act.tell_links(links);
            }
            ctx.run_later(REST, |act, ctx| {
                act.looking = false;
                if std::mem::take(&mut act.again) {
                    act.look(ctx);
                }
            });
        }));
    }

    /// One look for all news of a moment.
    fn look_soon(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.calm, true) {
            ctx.run_later(CALM, |act, ctx| {
                act.calm = false;
                act.event(Event::Changed, ctx);
            });
        }
    }

    /// What was removed in the middle of a start counts when the start has ended, and no news come then.
    fn look_after_work(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.after_work, true) {
            ctx.run_later(WORK, |act, ctx| {
                act.after_work = false;
                act.look(ctx);
            });
        }
    }

    /// What is held and what of it is there, and whether a group is at work. `None`: nothing is known.
    fn seen(&self) -> impl Future<Output = Option<(Vec<Seen>, bool)>> + 'static {
        let (groups, addresses) = (self.targets.groups.clone(), self.addresses.clone());
        let lease = self.targets.lease.clone();
        let spots: BTreeMap<Held, Spot> = self.guard.spots().collect();
        async move {
            let AllKept {
                addresses: mut kept,
                at_work,
            } = groups.send(AskAllKept).await.ok()?;
            let mut found = presence(&addresses, &kept, &spots).await?;
            if found.iter().any(|it| matches!(it, Found::Absent { .. })) {
                // A stop may have removed it while we looked.
                let still = groups.send(AskAllKept).await.ok()?.addresses;
                let both = kept.into_iter().zip(found);
                (kept, found) = both.filter(|(it, _)| still.contains(it)).unzip();
                if let Some(lease) = lease {
                    run_out(&lease, &kept, &mut found).await?;
                }
            }
            let seen = kept.into_iter().zip(found).map(|(kept, found)| Seen {
                held: (kept.group, kept.resource.address),
                native: kept.native,
                found,
            });
            Some((seen.collect(), at_work))
        }
    }

    /// Where the addresses of all groups are or would be, and which interfaces there are. `None`: not known.
    fn places(&self) -> impl Future<Output = Option<Places>> + 'static {
        let (groups, addresses) = (self.targets.groups.clone(), self.addresses.clone());
        async move {
            let all = groups.send(AskAllAddresses).await.ok()?;
            let resources: Vec<AddressResource> = all.iter().map(|(_, it)| it.clone()).collect();
            let found = addresses.links(&resources).await;
            let found =
                found.inspect_err(|error| debug!(%error, "the interfaces cannot be looked at"));
            let Links { places, interfaces } = found.ok()?;
            let held = all.into_iter().map(|(group, it)| (group, it.address));
            Some((held.zip(places).collect(), interfaces))
        }
    }

    /// The core tells the other node whether this one can serve, and gives away what it does not serve.
    fn tell_links(&mut self, links: OwnLinks) {
        let removed = self.guard.removed_again();
        let found = Some(NoteLinks { links, removed });
        if found != self.links {
            self.links = found;
            if let Some(links) = self.links.clone() {
                self.targets.links.do_send(links);
            }
        }
    }

    fn put_back(&mut self, held: Held, spot: Option<Spot>, ctx: &mut Context<Self>) {
        let (targets, addresses) = (self.targets.clone(), self.addresses.clone());
        let probes = self.probes;
        let work = async move {
            let tried = put_back(&targets, &addresses, probes, &held, spot).await;
            (held, tried)
        };
        ctx.spawn(work.into_actor(self).map(|(held, tried), act, ctx| {
            if tried == Tried::PutBack && act.probes {
                // A host that answers late.
                act.targets.groups.do_send(Care::Check(Effort::Full));
            }
            let next = match tried {
                Tried::PutBack => Some(Duration::ZERO),
                Tried::NotNeeded => Some(BUSY),
                // The guard says when, or news or the next regular look come.
                Tried::Frozen | Tried::Taken(_) | Tried::Failed(_) => None,
            };
            act.event(Event::Tried(held, tried), ctx);
            if let Some(next) = next {
                ctx.run_later(next, Self::look);
            }
        }));
    }
}

/// What is there of the addresses. `None`: the kernel does not answer.
async fn presence(
    addresses: &AddressManager,
    kept: &[KeptAddress],
    spots: &BTreeMap<Held, Spot>,
) -> Option<Vec<Found>> {
    let resources: Vec<AddressResource> = kept.iter().map(|it| it.resource.clone()).collect();
    let native: Vec<bool> = kept.iter().map(|it| it.native).collect();
    let looked = addresses.presence_of_held(&resources, &native).await;
    let looked = looked.inspect_err(|error| debug!(%error, "the addresses cannot be looked at"));
    let mut found = Vec::with_capacity(kept.len());
    for (kept, presence) in kept.iter().zip(looked.ok()?) {
        found.push(match presence {
            Presence::Here {
                interface,
                prefix,
                up,
            } => Found::Here {
                spot: Spot { interface, prefix },
                up,
            },
            Presence::Absent { down: Some(down) } => Found::Absent { down: Some(down) },
            // An interface that is down has no routes, which say where the address belongs.
            Presence::Absent { down: None } => {
                let spot = spots.get(&(kept.group.clone(), kept.resource.address));
                let down = match spot.filter(|_| kept.resource.interface.is_none()) {
                    Some(spot) => is_down(addresses, &kept.resource, spot).await,
                    None => None,
                };
                Found::Absent { down }
            }
        });
    }
    Some(found)
}

/// Tells those apart whose lease ran out. `None`: that is not known.
async fn run_out(lease: &LeaseThread, kept: &[KeptAddress], found: &mut [Found]) -> Option<()> {
    let both = || kept.iter().zip(found.iter());
    let absent = both().filter(|(it, found)| it.native && matches!(found, Found::Absent { .. }));
    let absent: Vec<_> = absent.map(|(it, _)| it.resource.address).collect();
    if absent.is_empty() {
        return Some(());
    }
    let ran_out = lease.ran_out(absent).await?;
    for (kept, found) in kept.iter().zip(found) {
        if let (Found::Absent { .. }, Some(wait)) = (&*found, ran_out.get(&kept.resource.address)) {
            *found = Found::RanOut { wait: *wait };
        }
    }
    Some(())
}

/// The interface where it was, if that is down.
async fn is_down(
    addresses: &AddressManager,
    resource: &AddressResource,
    spot: &Spot,
) -> Option<String> {
    let there = AddressResource {
        interface: Some(spot.interface.clone()),
        prefix: Some(spot.prefix),
        ..resource.clone()
    };
    let looked = addresses.presence(&[there]).await.ok()?;
    match looked.into_iter().next()? {
        Presence::Absent { down } => down,
        Presence::Here { .. } => None,
    }
}

/// Asks, and puts the address back when nothing speaks against it.
async fn put_back(
    targets: &GuardTargets,
    addresses: &AddressManager,
    probes: bool,
    held: &Held,
    spot: Option<Spot>,
) -> Tried {
    let (group, address) = held;
    if let Some(no) = core_forbids(targets, group).await {
        return no;
    }
    if probes {
        let kept = targets.groups.send(AskAllKept).await;
        let kept = kept.map_or_else(|_| Vec::new(), |all| all.addresses);
        let kept = kept
            .into_iter()
            .find(|it| it.group == *group && it.resource.address == *address);
        let Some(kept) = kept else {
            return Tried::NotNeeded;
        };
        match addresses
            .rival(&asked_from(kept.resource, spot.as_ref()))
            .await
        {
            Ok(Some(claim)) => return Tried::Taken(claim.to_string()),
            Ok(None) => {}
            Err(error) => debug!(%error, "the network is not asked"),
        }
        if let Some(no) = core_forbids(targets, group).await {
            return no;
        }
    }
    let order = PutBack {
        group: group.clone(),
        address: *address,
        spot,
    };
    let tried = targets.groups.send(order).await;
    tried.unwrap_or(Tried::NotNeeded)
}

/// The question goes out where the address was.
fn asked_from(resource: AddressResource, spot: Option<&Spot>) -> AddressResource {
    let Some(spot) = spot.filter(|_| resource.interface.is_none()) else {
        return resource;
    };
    AddressResource {
        interface: Some(spot.interface.clone()),
        prefix: resource.prefix.or(Some(spot.prefix)),
        ..resource
    }
}

/// Why the core does not want it back.
async fn core_forbids(targets: &GuardTargets, group: &GroupKey) -> Option<Tried> {
    let Some(core) = targets.core.upgrade() else {
        return Some(Tried::NotNeeded);
    };
    let answer = timeout(CORE_LIMIT, core.send(AskPutBack(group.clone()))).await;
    match answer.ok().and_then(Result::ok).flatten() {
        Some(MayPutBack::Yes) => None,
        Some(MayPutBack::Frozen) => Some(Tried::Frozen),
        Some(MayPutBack::No) | None => Some(Tried::NotNeeded),
    }
}

/// Who sent the request with which an address was removed.
fn remover(port: u32) -> Remover {
    if port == 0 {
        return Remover::Kernel;
    }
    if port > MAX_PID {
        let here = MANAGERS.iter().filter(|(_, path)| Path::new(path).exists());
        return Remover::Unknown {
            suspects: here.map(|(name, _)| *name).collect(),
        };
    }
    match fs::read_to_string(format!("/proc/{port}/comm")) {
        Ok(name) => Remover::Process {
            pid: port,
            name: name.trim().to_owned(),
        },
        Err(_) => Remover::Ended { pid: port },
    }
}

impl Actor for AddressGuardActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.subscribe(ctx);
        ctx.run_later(clock::until_common(TURN), Self::turn);
    }
}

impl Supervised for AddressGuardActor {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.looking = false;
        self.again = false;
        self.calm = false;
        self.after_work = false;
        self.due = None;
        self.guard.forget_tries();
    }
}

impl StreamHandler<Heard> for AddressGuardActor {
    fn handle(&mut self, Heard(news): Heard, ctx: &mut Self::Context) {
        for news in news {
            match news {
                News::Removed { address, port } if self.guard.holds(address) => {
                    self.event(Event::Removed(address, remover(port)), ctx);
                }
                News::Removed { .. } | News::Changed | News::Lost => self.look_soon(ctx),
            }
        }
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        ctx.run_later(REOPEN, Self::subscribe);
    }
}

impl Handler<LeaseChanged> for AddressGuardActor {
    type Result = ();

    fn handle(&mut self, LeaseChanged: LeaseChanged, ctx: &mut Self::Context) {
        self.event(Event::Changed, ctx);
    }
}

impl Handler<AskAbsent> for AddressGuardActor {
    type Result = ResponseActFuture<Self, BTreeMap<GroupKey, Vec<IpAddr>>>;

    fn handle(&mut self, _: AskAbsent, _: &mut Self::Context) -> Self::Result {
        Box::pin(self.seen().into_actor(self).map(|seen, act, ctx| {
            if let Some((seen, _)) = seen {
                act.event(Event::Looked(seen), ctx);
            }
            let mut absent: BTreeMap<GroupKey, Vec<IpAddr>> = BTreeMap::new();
            for (group, address) in act.guard.absent() {
                absent.entry(group.clone()).or_default().push(*address);
            }
            absent
        }))
    }
}
