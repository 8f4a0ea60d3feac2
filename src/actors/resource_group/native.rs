//! Joins the groups to the addresses of `net`.

use super::run::{AddressFuture, AddressHandler};
use crate::net::service_address::AddressManager;
use crate::resources::address::AddressResource;

impl AddressHandler for AddressManager {
    fn start<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, ()> {
        Box::pin(async {
            let done = AddressManager::start(self, address).await;
            done.map(drop).map_err(|error| error.to_string())
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
}
