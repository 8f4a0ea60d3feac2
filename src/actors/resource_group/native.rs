//! Service addresses handled in this process: the operations that a group needs, and their
//! implementation by `net`.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use crate::net::address::AddressResource;
use crate::net::announce::Again;
use crate::net::probe::Effort;
use crate::net::service_address::{AddressManager, Claim, Presence, Removed};

/// The result of [`AddressHandler`]. Used only on the thread of the group actors.
pub type AddressFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + 'a>>;

/// The result of several starts, with the index of the one that failed.
pub type StartAllFuture<'a> = Pin<Box<dyn Future<Output = Result<(), (usize, String)>> + 'a>>;

/// Handles service addresses in the process. Every call is idempotent and bounded in time.
pub trait AddressHandler: Send + Sync {
    /// Adds and announces the address.
    fn start<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, ()>;
    /// Starts those that do not run, in their order, and reports each one to `each` before. An
    /// error comes with the index of the one that failed.
    fn start_all<'a>(
        &'a self,
        addresses: &'a [AddressResource],
        each: &'a dyn Fn(usize),
    ) -> StartAllFuture<'a> {
        Box::pin(async move {
            for (place, address) in addresses.iter().enumerate() {
                if !self.status(address).await.unwrap_or(false) {
                    each(place);
                    let done = self.start(address).await;
                    done.map_err(|error| (place, error))?;
                }
            }
            Ok(())
        })
    }
    /// Removes the address.
    fn stop<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, ()>;
    /// Whether the address is there.
    fn status<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, bool>;
    /// Whether a daemon of ours has put it up here, as far as there is a record.
    fn is_ours(&self, _: IpAddr) -> bool {
        true
    }
    /// Whether the interface where it belongs is down. `false` as well when nobody knows.
    fn is_down<'a>(&'a self, _: &'a AddressResource) -> Pin<Box<dyn Future<Output = bool> + 'a>> {
        Box::pin(async { false })
    }
    /// Which other hosts on the network have which of the addresses. May take a second.
    fn claims<'a>(
        &'a self,
        addresses: &'a [AddressResource],
        effort: Effort,
    ) -> AddressFuture<'a, Vec<Claim>>;
    /// The addresses for which no host on the network answers; addresses that cannot be probed are
    /// left out. May take a second.
    fn unanswered<'a>(&'a self, addresses: &'a [AddressResource])
    -> AddressFuture<'a, Vec<IpAddr>>;
    /// Whether there is a place for it. The error says why not.
    fn placeable<'a>(&'a self, _: &'a AddressResource) -> AddressFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }
    /// Which of the addresses are here, on whatever interface.
    fn present<'a>(&'a self, addresses: &'a [AddressResource]) -> AddressFuture<'a, Vec<IpAddr>>;
    /// Removes an address that must not be here.
    fn remove_stray<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, Removed>;
    /// Called before a script adds the address: records it. An error if it is the host's own.
    fn admit<'a>(&'a self, _: &'a AddressResource) -> AddressFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }
    /// Called before a script removes the address. An error if it is the host's own.
    fn may_stop<'a>(&'a self, _: &'a AddressResource) -> AddressFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }
    /// A script has removed the address.
    fn gone(&self, _: &AddressResource) {}
    /// Announces an address that was here before.
    fn announce_again<'a>(
        &'a self,
        address: &'a AddressResource,
        why: Again,
    ) -> AddressFuture<'a, ()>;
}

impl AddressHandler for AddressManager {
    fn start<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, ()> {
        Box::pin(async {
            let done = AddressManager::start(self, address).await;
            done.map(drop).map_err(|error| error.to_string())
        })
    }

    fn start_all<'a>(
        &'a self,
        addresses: &'a [AddressResource],
        each: &'a dyn Fn(usize),
    ) -> StartAllFuture<'a> {
        Box::pin(async move {
            let done = AddressManager::start_all(self, addresses, each).await;
            done.map_err(|(place, error)| (place, error.to_string()))
        })
    }

    fn stop<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, ()> {
        Box::pin(async {
            let done = AddressManager::stop(self, address).await;
            done.map(drop).map_err(|error| error.to_string())
        })
    }

    fn status<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, bool> {
        Box::pin(async {
            let runs = AddressManager::status(self, address).await;
            runs.map_err(|error| error.to_string())
        })
    }

    fn is_ours(&self, address: IpAddr) -> bool {
        self.guard().is_none_or(|guard| guard.is_ours(address))
    }

    fn is_down<'a>(
        &'a self,
        address: &'a AddressResource,
    ) -> Pin<Box<dyn Future<Output = bool> + 'a>> {
        Box::pin(async {
            let looked = self.presence(std::slice::from_ref(address)).await;
            let looked = looked.unwrap_or_default().into_iter().next();
            matches!(looked, Some(Presence::Absent { down: Some(_) }))
        })
    }

    fn claims<'a>(
        &'a self,
        addresses: &'a [AddressResource],
        effort: Effort,
    ) -> AddressFuture<'a, Vec<Claim>> {
        Box::pin(async move {
            let claims = AddressManager::claims(self, addresses, effort).await;
            claims.map_err(|error| error.to_string())
        })
    }

    fn unanswered<'a>(
        &'a self,
        addresses: &'a [AddressResource],
    ) -> AddressFuture<'a, Vec<IpAddr>> {
        Box::pin(async {
            let silent = AddressManager::unanswered(self, addresses).await;
            silent.map_err(|error| error.to_string())
        })
    }

    fn placeable<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, ()> {
        Box::pin(async {
            let placed = AddressManager::placeable(self, address).await;
            placed.map_err(|error| error.to_string())
        })
    }

    fn present<'a>(&'a self, addresses: &'a [AddressResource]) -> AddressFuture<'a, Vec<IpAddr>> {
        Box::pin(async {
            let present = AddressManager::present(self, addresses).await;
            present.map_err(|error| error.to_string())
        })
    }

    fn remove_stray<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, Removed> {
        Box::pin(async {
            let removed = AddressManager::remove_stray(self, address).await;
            removed.map_err(|error| error.to_string())
        })
    }

    fn admit<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, ()> {
        Box::pin(async {
            let Some(guard) = self.guard() else {
                return Ok(());
            };
            let admitted = guard.admit(std::slice::from_ref(address)).await;
            admitted.map_err(|(_, text)| text)
        })
    }

    fn may_stop<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, ()> {
        Box::pin(async {
            match self.guard() {
                Some(guard) => guard.may_stop(address).await,
                None => Ok(()),
            }
        })
    }

    fn gone(&self, address: &AddressResource) {
        if let Some(guard) = self.guard() {
            guard.gone(address.address);
        }
    }

    fn announce_again<'a>(
        &'a self,
        address: &'a AddressResource,
        why: Again,
    ) -> AddressFuture<'a, ()> {
        Box::pin(async move {
            let done = AddressManager::announce_again(self, address, why).await;
            done.map_err(|error| error.to_string())
        })
    }
}
