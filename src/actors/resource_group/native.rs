//! Joins the groups to the addresses of `net`.

use std::net::IpAddr;

use super::run::{AddressFuture, AddressHandler, StartAllFuture};
use crate::net::service_address::{AddressManager, Claim};
use crate::resources::address::AddressResource;

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

    fn claims<'a>(&'a self, addresses: &'a [AddressResource]) -> AddressFuture<'a, Vec<Claim>> {
        Box::pin(async {
            let claims = AddressManager::claims(self, addresses).await;
            claims.map_err(|error| error.to_string())
        })
    }

    fn present<'a>(&'a self, addresses: &'a [AddressResource]) -> AddressFuture<'a, Vec<IpAddr>> {
        Box::pin(async {
            let present = AddressManager::present(self, addresses).await;
            present.map_err(|error| error.to_string())
        })
    }

    fn remove_stray<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, bool> {
        Box::pin(async {
            let was_there = AddressManager::remove_stray(self, address).await;
            was_there.map_err(|error| error.to_string())
        })
    }

    fn announce_again<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, ()> {
        Box::pin(async {
            let done = AddressManager::announce_again(self, address).await;
            done.map_err(|error| error.to_string())
        })
    }
}
