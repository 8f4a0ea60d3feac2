//! Starts, stops and checks service addresses: the work of the address scripts, in the process.
//!
//! Every operation is idempotent and has a time limit. One [`AddressManager`] serves all groups of
//! a node; operations run one after another, each with a few netlink requests.
//! Spec: docs/protocol/resources.md, 15.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use netlink_packet_route::address::AddressMessage;
use thiserror::Error;
use tokio::task::AbortHandle;
use tracing::{debug, error, info, warn};

use crate::net::address::AddressResource;
use crate::net::announce::{self, Again, Announcer, Step, frame, schedule};
use crate::net::lease::{self, Lessor};
use crate::net::netlink::{self, Netlink, NetlinkError};
use crate::net::own_addresses::Guard;
use crate::net::placement::{
    Assigned, Interface, Place, PlaceError, Route, addition, carried, needs_routes, place, settled,
};

mod adoption;
mod conflict;
mod presence;
mod removal;

pub use conflict::{Claim, Removed};
pub use presence::{Links, Presence};
use removal::{remove, stop_with};

/// From here on an announcement is repeated only while the address is still there: it may have been
/// removed by hand, and may answer on another node now.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The result of a start or stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The address was added.
    Started,
    /// It was already there.
    AlreadyRunning,
    /// It was removed.
    Stopped,
    /// It was not there.
    AlreadyStopped,
}

/// Why an operation on an address failed.
#[derive(Debug, Error)]
pub enum AddressError {
    /// There is no place for it.
    #[error("{address}: {source}")]
    Place {
        /// The address.
        address: IpAddr,
        /// Why.
        source: PlaceError,
    },
    /// The present state cannot be read.
    #[error("{address}: cannot read {what}: {source}")]
    Read {
        /// The address.
        address: IpAddr,
        /// interfaces, addresses or routes.
        what: &'static str,
        /// Why.
        source: NetlinkError,
    },
    /// The network cannot be asked.
    #[error("{address}: cannot ask the network for it: {source}")]
    Probe {
        /// The first of the addresses.
        address: IpAddr,
        /// Why.
        source: io::Error,
    },
    /// It is the host's own, and must stay as it is.
    #[error("{0}")]
    Own(String),
    /// A change was refused.
    #[error("{address} on {interface}: cannot {operation}: {source}")]
    Change {
        /// The address.
        address: IpAddr,
        /// Name of the interface.
        interface: String,
        /// What was tried.
        operation: &'static str,
        /// Why.
        source: NetlinkError,
    },
}

impl AddressError {
    const fn netlink(&self) -> Option<&NetlinkError> {
        match self {
            Self::Place { .. } | Self::Probe { .. } | Self::Own(_) => None,
            Self::Read { source, .. } | Self::Change { source, .. } => Some(source),
        }
    }
}

/// Service addresses of this node. Clones share connection and announcements.
#[derive(Debug, Clone, Default)]
pub struct AddressManager {
    shared: Arc<Shared>,
    /// Protects the host's own addresses; without it every address is a service's.
    guard: Option<Arc<Guard>>,
    /// Renews the lifetimes of addresses; without it they have none.
    lessor: Option<Arc<dyn Lessor>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// One connection, opened at first use; locked for a whole operation, so that two groups never
    /// choose the same label.
    netlink: tokio::sync::Mutex<Option<Netlink>>,
    announcer: OnceLock<Announcer>,
    /// Announcements under way: at most one for each address that runs.
    announcements: Mutex<HashMap<IpAddr, Announcement>>,
}

/// An announcement that goes on.
#[derive(Debug)]
struct Announcement {
    task: AbortHandle,
    /// It follows a conflict, and lasts.
    after_conflict: bool,
}

impl AddressManager {
    /// A manager that has no connection yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, but it leaves this host's own addresses unchanged and records the addresses that
    /// it puts up.
    #[must_use]
    pub fn guarded(guard: Arc<Guard>) -> Self {
        Self {
            guard: Some(guard),
            ..Self::default()
        }
    }

    /// The same, but addresses are put up with a lifetime that `lessor` renews.
    #[must_use]
    pub fn leased(mut self, lessor: Option<Arc<dyn Lessor>>) -> Self {
        self.lessor = lessor;
        self
    }

    /// The guard of the host's own addresses.
    #[must_use]
    pub const fn guard(&self) -> Option<&Arc<Guard>> {
        self.guard.as_ref()
    }

    /// Records addresses before they go up. `Err`: the place of one that is the host's own.
    async fn admit(&self, resources: &[AddressResource]) -> Result<(), (usize, AddressError)> {
        match &self.guard {
            None => Ok(()),
            Some(guard) => {
                let admitted = guard.admit(resources).await;
                admitted.map_err(|(place, text)| (place, AddressError::Own(text)))
            }
        }
    }

    /// Puts the address on its interface and announces it; returns once the address answers,
    /// while the announcement goes on by itself.
    ///
    /// # Errors
    /// No place for it, the host's own, or the kernel refuses.
    pub async fn start(&self, resource: &AddressResource) -> Result<Outcome, AddressError> {
        let admitted = self.admit(std::slice::from_ref(resource)).await;
        admitted.map_err(|(_, error)| error)?;
        let mut held = self.shared.netlink.lock().await;
        let netlink = connected(held.take(), resource.address)?;
        let result = self.start_with(&netlink, resource).await;
        keep(&mut held, netlink, &result);
        result
    }

    /// Removes the address on every interface that answers for it, whatever put it there; other
    /// addresses stay, and so does one that is the host's own.
    ///
    /// # Errors
    /// The kernel refuses.
    pub async fn stop(&self, resource: &AddressResource) -> Result<Outcome, AddressError> {
        if let Some(guard) = &self.guard
            && let Err(text) = guard.may_stop(resource).await
        {
            self.shared.silence(resource.address);
            error!("{text}: it stays");
            return Ok(Outcome::AlreadyStopped);
        }
        // No further announcement, even if the removal fails: the other node may serve next.
        self.shared.silence(resource.address);
        let mut held = self.shared.netlink.lock().await;
        // A start that was still under way has begun one meanwhile.
        self.shared.silence(resource.address);
        // From here on nothing renews it: the kernel would add again what it is told to renew.
        if let Some(lessor) = &self.lessor {
            let dropped = lessor.drops(resource.address).await;
            dropped.map_err(|_| lease_goes_on(resource.address))?;
        }
        let netlink = connected(held.take(), resource.address)?;
        let result = stop_with(&netlink, resource).await;
        keep(&mut held, netlink, &result);
        if let (Some(guard), Ok(_)) = (&self.guard, &result) {
            guard.gone(resource.address);
        }
        result
    }

    /// Whether the address runs here.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn status(&self, resource: &AddressResource) -> Result<bool, AddressError> {
        let mut held = self.shared.netlink.lock().await;
        let netlink = connected(held.take(), resource.address)?;
        let result = read(&netlink, resource).await.map(|found| {
            let (interfaces, assigned) = (&found.interfaces, &found.assigned);
            let settled = settled(resource, interfaces, &found.routes);
            carried(resource, interfaces, assigned)
                .or_else(|| carried(&settled, interfaces, assigned))
                .is_some()
        });
        keep(&mut held, netlink, &result);
        result
    }

    /// Starts those that do not run, in their order, after one look at the present state. `each` is
    /// called for every one that is to be added, with its place.
    ///
    /// # Errors
    /// As [`start`](Self::start), with the place of the one that failed; those after it are not
    /// tried.
    pub async fn start_all(
        &self,
        resources: &[AddressResource],
        each: &(dyn Fn(usize) + '_),
    ) -> Result<(), (usize, AddressError)> {
        let Some(first) = resources.first() else {
            return Ok(());
        };
        let admitted = self.admit(resources).await;
        let own = admitted.err();
        let resources = match &own {
            Some((place, _)) => resources.get(..*place).unwrap_or_default(),
            None => resources,
        };
        let mut held = self.shared.netlink.lock().await;
        let netlink = connected(held.take(), first.address).map_err(|error| (0, error))?;
        let mut result = Ok(());
        let mut seen: Option<Found> = None;
        for (place, resource) in resources.iter().enumerate() {
            let this = || each(place);
            let done = self.start_seen(&netlink, resource, &mut seen, &this);
            if let Err(error) = done.await {
                result = Err((place, error));
                break;
            }
        }
        match result {
            Ok(()) => {
                *held = Some(netlink);
                own.map_or(Ok(()), Err)
            }
            Err((place, error)) => {
                let failed: Result<(), AddressError> = Err(error);
                keep(&mut held, netlink, &failed);
                failed.map_err(|error| (place, error))
            }
        }
    }

    /// One of [`start_all`](Self::start_all). `seen` is the state that an earlier one of the same
    /// family and without need of routes has read, our own additions included.
    async fn start_seen(
        &self,
        netlink: &Netlink,
        resource: &AddressResource,
        seen: &mut Option<Found>,
        each: &(dyn Fn() + '_),
    ) -> Result<(), AddressError> {
        let fits = |found: &Found| found.v4 == resource.address.is_ipv4();
        let mut found = match seen.take().filter(fits) {
            Some(mut found) if !needs_routes(resource) => {
                found.routes.clear();
                found
            }
            Some(_) | None => read(netlink, resource).await?,
        };
        let settled = settled(resource, &found.interfaces, &found.routes);
        let runs = carried(resource, &found.interfaces, &found.assigned)
            .or_else(|| carried(&settled, &found.interfaces, &found.assigned))
            .is_some();
        if !runs {
            each();
            self.start_found(netlink, resource, &mut found).await?;
        }
        *seen = Some(found);
        Ok(())
    }

    /// Whether there is an interface for the address. Changes nothing.
    ///
    /// # Errors
    /// There is none, or the kernel does not tell.
    pub async fn placeable(&self, resource: &AddressResource) -> Result<(), AddressError> {
        let address = resource.address;
        let mut held = self.shared.netlink.lock().await;
        let netlink = connected(held.take(), address)?;
        let result = read(&netlink, resource).await.and_then(|found| {
            let place = place(resource, &found.interfaces, &found.routes);
            let place = place.map(drop);
            place.map_err(|source| AddressError::Place { address, source })
        });
        keep(&mut held, netlink, &result);
        result
    }

    async fn start_with(
        &self,
        netlink: &Netlink,
        resource: &AddressResource,
    ) -> Result<Outcome, AddressError> {
        let mut found = read(netlink, resource).await?;
        self.start_found(netlink, resource, &mut found).await
    }

    async fn start_found(
        &self,
        netlink: &Netlink,
        resource: &AddressResource,
        found: &mut Found,
    ) -> Result<Outcome, AddressError> {
        let address = resource.address;
        let Found {
            interfaces,
            assigned,
            routes,
            ..
        } = found;
        let (interfaces, routes): (&[Interface], &[Route]) = (interfaces, routes);
        let settled = settled(resource, interfaces, routes);
        let there = carried(resource, interfaces, assigned)
            .or_else(|| carried(&settled, interfaces, assigned))
            .and_then(|it| {
                interfaces
                    .iter()
                    .find(|interface| interface.index == it.index)
            });
        let (interface, outcome) = if let Some(interface) = there {
            (interface, Outcome::AlreadyRunning)
        } else {
            let place = place(resource, interfaces, routes)
                .map_err(|source| AddressError::Place { address, source })?;
            // A copy that failed duplicate address detection does not answer: it is replaced.
            let on_place =
                |it: &Assigned| it.address == address && it.index == place.interface.index;
            for failed in assigned.iter().filter(|it| on_place(it) && it.unusable) {
                remove(netlink, failed, place.interface, &[]).await?;
            }
            assigned.retain(|it| !(on_place(it) && it.unusable));
            let mut message = addition(resource, place, assigned);
            let since = self.limit(&mut message, place, address, assigned);
            let added = netlink::assigned(message.clone());
            match netlink.add(message).await {
                Ok(()) => {
                    if let (Some(lessor), Some(added)) = (&self.lessor, &added) {
                        lessor.holds(added, since);
                    }
                    assigned.extend(added);
                    let (interface, prefix) = (&place.interface.name, place.prefix);
                    info!(%address, prefix, %interface, "address added");
                    (place.interface, Outcome::Started)
                }
                Err(error) if error.errno() == Some(libc::EEXIST) => {
                    (place.interface, Outcome::AlreadyRunning)
                }
                Err(source) => return Err(change(address, place.interface, "add it", source)),
            }
        };
        if !interface.up {
            netlink
                .set_up(interface.index)
                .await
                .map_err(|source| change(address, interface, "set the interface up", source))?;
        }
        let how = match address {
            IpAddr::V4(_) => "gratuitous ARP",
            IpAddr::V6(_) => "neighbour advertisements",
        };
        info!(%address, interface = %interface.name, how, "address announced");
        self.announce(address, interface, None);
        Ok(outcome)
    }

    /// Gives an address that is about to be put up its lifetime. Returns when that begins, at the earliest.
    fn limit(
        &self,
        message: &mut AddressMessage,
        place: Place<'_>,
        address: IpAddr,
        assigned: &[Assigned],
    ) -> Option<Duration> {
        let lessor = self.lessor.as_ref()?;
        let copy = (place.interface.index, address, place.prefix);
        let leaves = lease::leaves_route(copy, assigned, &|other| lessor.has(other));
        lease::limit(message, lessor.seconds(), leaves);
        Some(lessor.clock())
    }

    /// Sends the first frame at once and leaves the others to a task. An address that cannot be
    /// announced still serves: neighbours without an old entry ask anyway. `again`: why, if it was here
    /// before.
    fn announce(&self, address: IpAddr, interface: &Interface, again: Option<Again>) {
        let Some(mac) = interface.mac.filter(|_| interface.answers()) else {
            debug!(%address, interface = %interface.name, "not announced: no Ethernet address");
            return;
        };
        let Some(announcer) = self.shared.announcer() else {
            return;
        };
        let voice = Voice {
            address,
            index: interface.index,
            mac,
            router: address.is_ipv6() && forwards_ipv6(&interface.name),
        };
        let after_conflict = match again {
            None => false,
            Some(Again::Conflict) => true,
            Some(Again::LinkUp) => self.shared.announces_after_conflict(address),
        };
        let steps: Box<dyn Iterator<Item = Step> + Send> = if after_conflict {
            Box::new(announce::after_conflict(address))
        } else {
            Box::new(schedule(address))
        };
        let mut steps = steps.peekable();
        while let Some(step) = steps.next_if(|step| step.at.is_zero()) {
            voice.say(announcer, step);
        }
        let shared = Arc::clone(&self.shared);
        let task = tokio::spawn(async move { shared.go_on(voice, steps).await });
        let mut announcements = self.shared.announcements();
        announcements.retain(|_, it| !it.task.is_finished());
        let this = Announcement {
            task: task.abort_handle(),
            after_conflict,
        };
        if let Some(earlier) = announcements.insert(address, this) {
            earlier.task.abort();
        }
    }
}

impl Shared {
    fn announcer(&self) -> Option<&Announcer> {
        if self.announcer.get().is_none() {
            match Announcer::open() {
                Ok(announcer) => {
                    // If this fails, another thread has set one, which works as well.
                    let _ = self.announcer.set(announcer);
                }
                Err(error) => warn!(%error, "addresses are not announced: no packet socket"),
            }
        }
        self.announcer.get()
    }

    fn announcements(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, Announcement>> {
        self.announcements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn silence(&self, address: IpAddr) {
        if let Some(announcement) = self.announcements().remove(&address) {
            announcement.task.abort();
        }
    }

    /// Whether an announcement goes on that follows a conflict.
    fn announces_after_conflict(&self, address: IpAddr) -> bool {
        let announcements = self.announcements();
        let this = announcements.get(&address);
        this.is_some_and(|it| it.after_conflict && !it.task.is_finished())
    }

    async fn go_on(&self, voice: Voice, steps: impl Iterator<Item = Step>) {
        let mut elapsed = Duration::ZERO;
        for step in steps {
            tokio::time::sleep(step.at.saturating_sub(elapsed)).await;
            elapsed = step.at;
            if step.at >= LOOK_AGAIN_AFTER && !self.still_there(&voice).await {
                debug!(address = %voice.address, "announcement ends: the address is gone");
                return;
            }
            if let Some(announcer) = self.announcer() {
                voice.say(announcer, step);
            }
        }
    }

    async fn still_there(&self, voice: &Voice) -> bool {
        let mut held = self.netlink.lock().await;
        let Ok(netlink) = connected(held.take(), voice.address) else {
            return false;
        };
        let read = netlink.addresses(voice.address).await;
        let read = read.map_err(|source| AddressError::Read {
            address: voice.address,
            what: "addresses",
            source,
        });
        keep(&mut held, netlink, &read);
        read.is_ok_and(|assigned| {
            assigned
                .iter()
                .any(|it| it.index == voice.index && it.address == voice.address)
        })
    }
}

/// The frames of an announcement, and the interface for them.
#[derive(Debug, Clone, Copy)]
struct Voice {
    address: IpAddr,
    index: u32,
    mac: [u8; 6],
    router: bool,
}

impl Voice {
    fn say(&self, announcer: &Announcer, step: Step) {
        let frame = frame(step.kind, self.mac, self.address, self.router);
        if let Err(error) = announcer.send(self.index, &frame) {
            debug!(address = %self.address, %error, "announcement not sent");
        }
    }
}

/// The open connection if it works, else a new one.
fn connected(held: Option<Netlink>, address: IpAddr) -> Result<Netlink, AddressError> {
    match held.filter(|netlink| !netlink.is_closed()) {
        Some(netlink) => Ok(netlink),
        None => Netlink::open().map_err(|source| AddressError::Read {
            address,
            what: "interfaces",
            source,
        }),
    }
}

/// Keeps the connection for the next operation unless it failed.
fn keep<T>(held: &mut Option<Netlink>, netlink: Netlink, result: &Result<T, AddressError>) {
    let broken = match result {
        Ok(_) => false,
        Err(error) => error.netlink().is_some_and(NetlinkError::breaks_connection),
    };
    *held = (!broken).then_some(netlink);
}

/// The kernel lets the renewals wait.
const fn lease_goes_on(address: IpAddr) -> AddressError {
    AddressError::Read {
        address,
        what: "addresses",
        source: NetlinkError::TimedOut,
    }
}

fn change(
    address: IpAddr,
    interface: &Interface,
    operation: &'static str,
    source: NetlinkError,
) -> AddressError {
    AddressError::Change {
        address,
        interface: interface.name.clone(),
        operation,
        source,
    }
}

/// The state in the kernel before anything is done.
struct Found {
    /// The family of the addresses.
    v4: bool,
    interfaces: Vec<Interface>,
    assigned: Vec<Assigned>,
    /// Empty if the word leaves nothing open.
    routes: Vec<Route>,
}

async fn read(netlink: &Netlink, resource: &AddressResource) -> Result<Found, AddressError> {
    let address = resource.address;
    let failed = |what| {
        move |source| AddressError::Read {
            address,
            what,
            source,
        }
    };
    let interfaces = netlink.interfaces().await.map_err(failed("interfaces"))?;
    let assigned = netlink
        .addresses(address)
        .await
        .map_err(failed("addresses"))?;
    let routes = if needs_routes(resource) {
        netlink.routes(address).await.map_err(failed("routes"))?
    } else {
        Vec::new()
    };
    Ok(Found {
        v4: address.is_ipv4(),
        interfaces,
        assigned,
        routes,
    })
}

/// Whether this host is an IPv6 router on `interface`.
fn forwards_ipv6(interface: &str) -> bool {
    let path = Path::new("/proc/sys/net/ipv6/conf")
        .join(interface)
        .join("forwarding");
    std::fs::read(path).is_ok_and(|value| value.first() == Some(&b'1'))
}

#[cfg(test)]
mod tests;
