//! Other hosts that have our addresses: asks for them, and announces again after a conflict.

use std::fmt;
use std::net::IpAddr;

use tracing::{debug, info};

use super::{AddressError, AddressManager, Outcome, connected, keep, read};
use crate::net::announce::after_conflict;
use crate::net::placement::{carried, place, settled};
use crate::net::probe::{self, Mac, Question};
use crate::resources::address::AddressResource;

/// Another host that answers for a service address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The address.
    pub address: IpAddr,
    /// Where it is, for the other host.
    pub mac: Mac,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is at {}", self.address, probe::written(self.mac))
    }
}

impl AddressManager {
    /// Asks the network for the addresses, each by the interface where it is or would be. What has
    /// no place, or no Ethernet interface, cannot be asked for and is not claimed.
    ///
    /// # Errors
    /// The kernel does not answer, or no question could be sent: nothing is known.
    pub async fn claims(&self, resources: &[AddressResource]) -> Result<Vec<Claim>, AddressError> {
        let Some(first) = resources.first() else {
            return Ok(Vec::new());
        };
        let (questions, own) = self.questions(resources).await?;
        let failed = |source| AddressError::Probe {
            address: first.address,
            source,
        };
        let claims = probe::ask(&questions, &own).await.map_err(failed)?;
        Ok(claims
            .into_iter()
            .map(|(address, mac)| Claim { address, mac })
            .collect())
    }

    /// Where to ask for what, and our own hardware addresses. The connection is free again when
    /// the network is asked.
    async fn questions(
        &self,
        resources: &[AddressResource],
    ) -> Result<(Vec<Question>, Vec<Mac>), AddressError> {
        let mut held = self.shared.netlink.lock().await;
        let (mut questions, mut own) = (Vec::new(), Vec::new());
        for resource in resources {
            let netlink = connected(held.take(), resource.address)?;
            let result = read(&netlink, resource).await;
            keep(&mut held, netlink, &result);
            let found = result?;
            own = found.interfaces.iter().filter_map(|it| it.mac).collect();
            let there = carried(resource, &found.interfaces, &found.assigned).and_then(|it| {
                found
                    .interfaces
                    .iter()
                    .find(|known| known.index == it.index)
            });
            let interface = match there {
                Some(interface) => Some(interface),
                None => place(resource, &found.interfaces, &found.routes)
                    .ok()
                    .map(|place| place.interface),
            };
            let asking = interface.filter(|it| it.up && it.answers());
            if let Some((index, mac)) = asking.and_then(|it| Some((it.index, it.mac?))) {
                questions.push(Question {
                    address: resource.address,
                    index,
                    mac,
                });
            } else {
                debug!(address = %resource.address, "cannot be asked for: no Ethernet interface");
            }
        }
        Ok((questions, own))
    }

    /// Takes away an address that is not to be here. Whether there was one.
    ///
    /// # Errors
    /// The kernel refuses.
    pub async fn remove_stray(&self, resource: &AddressResource) -> Result<bool, AddressError> {
        self.stop(resource).await.map(|it| it == Outcome::Stopped)
    }

    /// Announces an address that runs here, at once and then again and again, ever more slowly,
    /// until it is stopped: after a conflict nobody knows who has learnt what.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn announce_again(&self, resource: &AddressResource) -> Result<(), AddressError> {
        let mut held = self.shared.netlink.lock().await;
        let netlink = connected(held.take(), resource.address)?;
        let result = read(&netlink, resource).await;
        keep(&mut held, netlink, &result);
        let found = result?;
        let resource = settled(resource, &found.interfaces, &found.routes);
        let there = carried(&resource, &found.interfaces, &found.assigned).and_then(|it| {
            found
                .interfaces
                .iter()
                .find(|known| known.index == it.index)
        });
        if let Some(interface) = there {
            let (address, interface_name) = (resource.address, &interface.name);
            info!(%address, interface = %interface_name, "announcing again");
            self.announce(address, interface, after_conflict(address));
        }
        Ok(())
    }
}
