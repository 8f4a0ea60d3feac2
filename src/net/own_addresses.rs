//! Protects the host's own addresses: the addresses that the host has now, those that our runs have
//! put there, and whether an order may touch an address. [`crate::net::own_address`] makes the
//! verdict.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use tracing::warn;

use crate::config::types::MediumConfig;
use crate::net::address::AddressResource;
use crate::net::address_record::AddressRecord;
use crate::net::own_address::{Came, HostAddress, Mark, OwnAddresses, Standing, Why};

/// All addresses of this host, in the kernel's order. One request to the kernel.
///
/// # Errors
/// The kernel does not answer.
pub fn host_addresses() -> io::Result<Vec<HostAddress>> {
    Ok(getifaddrs()?.filter_map(host_address).collect())
}

fn host_address(entry: InterfaceAddress) -> Option<HostAddress> {
    let ip = |storage: nix::sys::socket::SockaddrStorage| -> Option<IpAddr> {
        let v4 = storage.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip())))
    };
    let address = ip(entry.address?)?;
    let prefix = match ip(entry.netmask?)? {
        IpAddr::V4(mask) => mask.to_bits().leading_ones(),
        IpAddr::V6(mask) => mask.to_bits().leading_ones(),
    };
    // The kernel lists an IPv4 address under its label.
    let name = entry.interface_name;
    let interface = name.split(':').next().unwrap_or_default().to_owned();
    let silent = InterfaceFlags::IFF_LOOPBACK | InterfaceFlags::IFF_NOARP;
    Some(HostAddress {
        label: (name != interface).then_some(name),
        interface,
        address,
        prefix: u8::try_from(prefix).ok()?,
        answers: !entry.flags.intersects(silent),
    })
}

/// What may be done with a service address that should not be here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stray {
    /// It may be removed.
    Removable,
    /// It stays. The reason is given once for each address.
    Kept(Option<String>),
}

/// Decides, for a running daemon or one of its programs, which addresses may be touched.
#[derive(Debug)]
pub struct Guard {
    record: Arc<AddressRecord>,
    media: Vec<MediumConfig>,
    /// The addresses of the host at our start; `None`: they could not be read.
    at_start: Option<BTreeSet<IpAddr>>,
    /// How they may have come there.
    came: Came,
    /// See [`OwnAddresses::lenient`].
    lenient: bool,
    /// Addresses for which the log says why they stay.
    told: Mutex<BTreeSet<IpAddr>>,
}

impl Guard {
    /// Begins now: the present addresses of the host came as `came` says. Blocks.
    #[must_use]
    pub fn begin(record: Arc<AddressRecord>, media: &[MediumConfig], came: Came) -> Self {
        let here = host_addresses()
            .inspect_err(|error| warn!(%error, "the addresses of this host cannot be read"));
        let here = here.ok();
        Self {
            record,
            media: media.to_vec(),
            at_start: here.map(|here| here.iter().map(|it| it.address).collect()),
            came,
            lenient: false,
            told: Mutex::default(),
        }
    }

    /// An address that a start accepts must not block its group either. See
    /// [`OwnAddresses::lenient`].
    #[must_use]
    pub fn lenient(mut self, lenient: bool) -> Self {
        self.lenient = lenient;
        self
    }

    /// Whether a daemon of ours has put the address up here, and has not removed it since.
    #[must_use]
    pub fn is_ours(&self, address: IpAddr) -> bool {
        self.record.mark(address) == Some(Mark::Ours)
    }

    /// For a daemon that begins as process `pid`: records addresses that an earlier run left here,
    /// and those in doubt, so that the next start knows them too. `resources`: all addresses in
    /// haresources, and whether the group runs on from an earlier process. Blocks.
    pub fn take_over(&self, pid: i32, resources: &[(AddressResource, bool)]) {
        if let Some(here) = &self.at_start {
            // What runs on was put up here, also when somebody has removed it since.
            let runs_on = |address: IpAddr| {
                let mut resources = resources.iter();
                resources.any(|(it, runs)| *runs && it.address == address)
            };
            self.record
                .retain(|address| here.contains(&address) || runs_on(address));
        }
        let own = self.own_addresses();
        for (resource, runs) in resources {
            let address = resource.address;
            let mark = self.record.mark(address);
            let new = match own.standing(resource, mark, self.came) {
                Standing::Service => Mark::Ours,
                Standing::Doubt(_) if *runs => Mark::Ours,
                Standing::Doubt(_) => Mark::Unknown,
                Standing::Own(..) | Standing::Absent => continue,
            };
            if new == Mark::Unknown {
                // The process that started us has logged it.
                self.told().insert(address);
            }
            if mark != Some(new) {
                self.record.set([address], new);
            }
        }
        // Last: until then the run before counts.
        self.record.keep(pid);
    }

    /// Called before addresses are put up, or served where they are: from now on they are the
    /// service's.
    ///
    /// # Errors
    /// The place of the first that is the host's own, and why. Those before it are admitted.
    pub async fn admit(&self, resources: &[AddressResource]) -> Result<(), (usize, String)> {
        let unknown = |it: &AddressResource| self.record.mark(it.address) != Some(Mark::Ours);
        let mut admitted = resources.len();
        let mut refused = None;
        if resources.iter().any(unknown) {
            let own = self.own_addresses_soon().await;
            refused = resources.iter().enumerate().find_map(|(place, resource)| {
                match self.standing_in(&own, resource) {
                    Standing::Own(copy, why) => Some((place, own_text(&copy, &why))),
                    Standing::Absent | Standing::Service | Standing::Doubt(_) => None,
                }
            });
            if let Some((place, _)) = &refused {
                admitted = *place;
            }
        }
        let addresses = resources.iter().take(admitted).map(|it| it.address);
        self.record.add(addresses.collect()).await;
        refused.map_or(Ok(()), Err)
    }

    /// Whether a stop may remove the address; if not, why.
    ///
    /// # Errors
    /// It is the host's own.
    pub async fn may_stop(&self, resource: &AddressResource) -> Result<(), String> {
        if self.record.mark(resource.address) == Some(Mark::Ours) {
            return Ok(());
        }
        match self.standing_in(&self.own_addresses_soon().await, resource) {
            Standing::Own(copy, why) => Err(own_text(&copy, &why)),
            Standing::Absent | Standing::Service | Standing::Doubt(_) => Ok(()),
        }
    }

    /// Whether an address that should not be here may be removed.
    pub async fn stray(&self, resource: &AddressResource) -> Stray {
        if self.record.mark(resource.address) == Some(Mark::Ours) {
            return Stray::Removable;
        }
        let reason = match self.standing_in(&self.own_addresses_soon().await, resource) {
            Standing::Absent | Standing::Service => return Stray::Removable,
            Standing::Own(copy, why) => own_text(&copy, &why),
            Standing::Doubt(copy) => doubt_text(&copy),
        };
        let new = self.told().insert(resource.address);
        Stray::Kept(new.then_some(reason))
    }

    /// The address is gone.
    pub fn gone(&self, address: IpAddr) {
        self.record.forget(address);
        self.told().remove(&address);
    }

    fn standing_in(&self, own: &OwnAddresses, resource: &AddressResource) -> Standing {
        let address = &resource.address;
        let before = (self.at_start.as_ref()).is_some_and(|here| here.contains(address));
        let came = if before { self.came } else { Came::Since };
        own.standing(resource, self.record.mark(resource.address), came)
    }

    /// If the host's addresses cannot be read, none counts as its own: an order is carried out.
    fn own_addresses(&self) -> OwnAddresses {
        self.own_of(host_addresses().unwrap_or_default())
    }

    async fn own_addresses_soon(&self) -> OwnAddresses {
        let here = tokio::task::spawn_blocking(host_addresses).await;
        let here = here.ok().and_then(Result::ok).unwrap_or_default();
        self.own_of(here)
    }

    fn own_of(&self, here: Vec<HostAddress>) -> OwnAddresses {
        OwnAddresses::new(here, &self.media).lenient(self.lenient)
    }

    fn told(&self) -> std::sync::MutexGuard<'_, BTreeSet<IpAddr>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an address is not a service's.
#[must_use]
pub fn own_text(copy: &HostAddress, why: &Why) -> String {
    format!("{copy} is this host's own address ({why}) and no service address")
}

/// What to do about an address of unknown origin.
#[must_use]
pub fn doubt_text(copy: &HostAddress) -> String {
    let HostAddress {
        interface,
        address,
        prefix,
        ..
    } = copy;
    format!(
        "{copy} is on this host and its origin is unknown: it stays while this node does not serve it. If it was left \
         behind, remove it by hand: ip addr del {address}/{prefix} dev {interface}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::address::parse_word;

    /// An address with which the daemon may start must not block the start and stop of its group.
    #[tokio::test]
    async fn an_address_that_the_administrator_looks_after_may_be_served() {
        let word = parse_word("IPaddr2::127.0.0.1/8/lo");
        let resource = word.expect("an address").expect("an address");
        for lenient in [false, true] {
            let root = tempfile::tempdir().expect("tempdir");
            let record = Arc::new(AddressRecord::read(root.path()));
            let guard = Guard::begin(record, &[], Came::Before).lenient(lenient);
            guard.take_over(1, &[(resource.clone(), false)]);
            let allowed = [
                guard.may_stop(&resource).await.is_ok(),
                guard.admit(std::slice::from_ref(&resource)).await.is_ok(),
            ];
            assert_eq!(allowed, [lenient; 2]);
        }
    }

    /// Somebody removed it while no daemon of ours ran: it is put back by the next one.
    #[tokio::test]
    async fn what_runs_on_is_ours_although_its_address_is_gone() {
        let word = parse_word("192.0.2.77/24/lo");
        let resource = word.expect("an address").expect("an address");
        for runs in [false, true] {
            let root = tempfile::tempdir().expect("tempdir");
            let record = Arc::new(AddressRecord::read(root.path()));
            record.set([resource.address], Mark::Ours);
            let guard = Guard::begin(record, &[], Came::Before);
            guard.take_over(1, &[(resource.clone(), runs)]);
            assert_eq!(guard.is_ours(resource.address), runs);
        }
    }
}
