//! Other hosts that have our addresses: asks for them, and announces our addresses again after a
//! conflict.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use tracing::{debug, info};

use super::{AddressError, AddressManager, Outcome, connected, keep, read};
use crate::net::address::AddressResource;
use crate::net::announce::Again;
use crate::net::frames::Mac;
use crate::net::netlink::Netlink;
use crate::net::own_addresses::Stray;
use crate::net::placement::{Assigned, Interface, carried, needs_routes, place, settled};
use crate::net::probe::{self, Effort, Question};

/// Another host that answers for a service address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The address.
    pub address: IpAddr,
    /// Hardware address of the other host.
    pub mac: Mac,
}

/// The result for an address that should not be here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// It was removed.
    Yes,
    /// It was not there.
    WasNotThere,
    /// It may be the host's own; with the reason, if it is to be logged.
    Kept(Option<String>),
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is at {}", self.address, probe::written(self.mac))
    }
}

impl AddressManager {
    /// Asks the network for the addresses, each from the interface where it is or would be. An
    /// address without a place, or without an Ethernet interface, cannot be asked for and is not
    /// claimed.
    ///
    /// # Errors
    /// The kernel does not answer, or no question could be sent: nothing is known.
    pub async fn claims(
        &self,
        resources: &[AddressResource],
        effort: Effort,
    ) -> Result<Vec<Claim>, AddressError> {
        let Some(first) = resources.first() else {
            return Ok(Vec::new());
        };
        let (questions, own) = self.questions(resources).await?;
        let failed = |source| AddressError::Probe {
            address: first.address,
            source,
        };
        let claims = probe::ask(&questions, &own, effort).await.map_err(failed)?;
        Ok(claims
            .into_iter()
            .map(|(address, mac)| Claim { address, mac })
            .collect())
    }

    /// Another host that has an address which is to go up again in a moment: asks for a twentieth of a second.
    ///
    /// # Errors
    /// The kernel does not answer, or no question could be sent: nothing is known.
    pub async fn rival(&self, resource: &AddressResource) -> Result<Option<Claim>, AddressError> {
        let address = resource.address;
        let (questions, own) = self.questions(std::slice::from_ref(resource)).await?;
        let claims = probe::ask_quickly(&questions, &own).await;
        let claims = claims.map_err(|source| AddressError::Probe { address, source })?;
        let mac = claims.into_values().next();
        Ok(mac.map(|mac| Claim { address, mac }))
    }

    /// The addresses for which no host answers. An address that cannot be asked for, or only on an
    /// interface without carrier, is not among them.
    ///
    /// # Errors
    /// The kernel does not answer, or no question could be sent: nothing is known.
    pub async fn unanswered(
        &self,
        resources: &[AddressResource],
    ) -> Result<Vec<IpAddr>, AddressError> {
        let Some(first) = resources.first() else {
            return Ok(Vec::new());
        };
        let (mut questions, own) = self.questions(resources).await?;
        questions.retain(|question| question.carrier);
        let failed = |source| AddressError::Probe {
            address: first.address,
            source,
        };
        let claims = probe::ask(&questions, &own, Effort::Full)
            .await
            .map_err(failed)?;
        let asked = questions.iter().map(|question| question.address);
        Ok(asked.filter(|it| !claims.contains_key(it)).collect())
    }

    /// From which interface to ask for which address, and our own hardware addresses. The
    /// connection is free again when the network is asked.
    async fn questions(
        &self,
        resources: &[AddressResource],
    ) -> Result<(Vec<Question>, Vec<Mac>), AddressError> {
        let Some(first) = resources.first() else {
            return Ok((Vec::new(), Vec::new()));
        };
        let mut held = self.shared.netlink.lock().await;
        let netlink = connected(held.take(), first.address)?;
        let result = questions_of(&netlink, resources).await;
        keep(&mut held, netlink, &result);
        result
    }

    /// The addresses that are on any interface, found with one look for all of them.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn present(
        &self,
        resources: &[AddressResource],
    ) -> Result<Vec<IpAddr>, AddressError> {
        let Some(first) = resources.first() else {
            return Ok(Vec::new());
        };
        let mut held = self.shared.netlink.lock().await;
        let netlink = connected(held.take(), first.address)?;
        let result = assigned_like(&netlink, resources).await;
        keep(&mut held, netlink, &result);
        let assigned = result?;
        let wanted = resources.iter().map(|resource| resource.address);
        let is_there = |address: &IpAddr| assigned.iter().any(|it| it.address == *address);
        Ok(wanted.filter(is_there).collect())
    }

    /// Removes an address that should not be here, unless it may be the host's own.
    ///
    /// # Errors
    /// The kernel refuses.
    pub async fn remove_stray(&self, resource: &AddressResource) -> Result<Removed, AddressError> {
        if let Some(guard) = self.guard()
            && let Stray::Kept(reason) = guard.stray(resource).await
        {
            return Ok(Removed::Kept(reason));
        }
        let stopped = self.stop(resource).await?;
        Ok(if stopped == Outcome::Stopped {
            Removed::Yes
        } else {
            Removed::WasNotThere
        })
    }

    /// Announces an address that was here before: after a conflict at once and then at growing intervals,
    /// until it is stopped; else as after a start, or as it is announced now if that follows a conflict.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn announce_again(
        &self,
        resource: &AddressResource,
        why: Again,
    ) -> Result<(), AddressError> {
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
            self.announce(address, interface, Some(why));
        }
        Ok(())
    }
}

/// All addresses of the host, of the families in `resources`.
pub(super) async fn assigned_like(
    netlink: &Netlink,
    resources: &[AddressResource],
) -> Result<Vec<Assigned>, AddressError> {
    let mut assigned = Vec::new();
    for v4 in [true, false] {
        let mut addresses = resources.iter().map(|resource| resource.address);
        let Some(address) = addresses.find(|address| address.is_ipv4() == v4) else {
            continue;
        };
        let found = netlink.addresses(address).await;
        assigned.extend(found.map_err(|source| AddressError::Read {
            address,
            what: "addresses",
            source,
        })?);
    }
    Ok(assigned)
}

/// From which interface to ask for which address, and our own hardware addresses.
async fn questions_of(
    netlink: &Netlink,
    resources: &[AddressResource],
) -> Result<(Vec<Question>, Vec<Mac>), AddressError> {
    let assigned = assigned_like(netlink, resources).await?;
    let (mut questions, mut own, mut interfaces) = (Vec::new(), Vec::new(), None);
    for resource in resources {
        let address = resource.address;
        let failed = |what| {
            move |source| AddressError::Read {
                address,
                what,
                source,
            }
        };
        if interfaces.is_none() {
            let found = netlink.interfaces().await.map_err(failed("interfaces"))?;
            own = found.iter().filter_map(|it| it.mac).collect();
            interfaces = Some(found);
        }
        let interfaces: &[Interface] = interfaces.as_deref().unwrap_or_default();
        let there = carried(resource, interfaces, &assigned)
            .and_then(|it| interfaces.iter().find(|known| known.index == it.index));
        let interface = if let Some(interface) = there {
            Some(interface)
        } else {
            let routes = if needs_routes(resource) {
                netlink.routes(address).await.map_err(failed("routes"))?
            } else {
                Vec::new()
            };
            let place = place(resource, interfaces, &routes);
            place.ok().map(|place| place.interface)
        };
        let asking = interface.filter(|it| it.up && it.answers());
        if let Some((it, mac)) = asking.and_then(|it| Some((it, it.mac?))) {
            questions.push(Question {
                address,
                index: it.index,
                mac,
                source: source(&assigned, it.index),
                carrier: it.carrier,
            });
        } else {
            debug!(%address, "cannot be asked for: no Ethernet interface");
        }
    }
    Ok((questions, own))
}

/// The link-local address from which an interface asks; `::` if it has none that works.
fn source(assigned: &[Assigned], index: u32) -> Ipv6Addr {
    let found = assigned.iter().find_map(|it| match it.address {
        IpAddr::V6(address) if it.index == index && !it.unusable => {
            address.is_unicast_link_local().then_some(address)
        }
        IpAddr::V6(_) | IpAddr::V4(_) => None,
    });
    found.unwrap_or(Ipv6Addr::UNSPECIFIED)
}
