//! Whether held addresses are where they are to be, found with one look for all of them.

use super::{AddressError, AddressManager, connected, keep};
use crate::net::address::AddressResource;
use crate::net::netlink::Netlink;
use crate::net::placement::{Assigned, Interface, carried, needs_routes, place, settled};

/// What a look found of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It is where it is to be.
    Here {
        /// Name of the interface.
        interface: String,
        /// Prefix length in bits.
        prefix: u8,
        /// Whether the interface is up and has a carrier.
        up: bool,
    },
    /// It is not.
    Absent {
        /// The interface where it belongs, if that is down.
        down: Option<String>,
    },
}

impl AddressManager {
    /// What is known of the addresses, in step with them.
    ///
    /// # Errors
    /// The kernel does not answer: nothing is known.
    pub async fn presence(
        &self,
        resources: &[AddressResource],
    ) -> Result<Vec<Presence>, AddressError> {
        let Some(first) = resources.first() else {
            return Ok(Vec::new());
        };
        let mut held = self.shared.netlink.lock().await;
        let netlink = connected(held.take(), first.address)?;
        let result = look(&netlink, resources).await;
        keep(&mut held, netlink, &result);
        result
    }
}

async fn look(
    netlink: &Netlink,
    resources: &[AddressResource],
) -> Result<Vec<Presence>, AddressError> {
    let assigned = super::conflict::assigned_like(netlink, resources).await?;
    let mut interfaces: Option<Vec<Interface>> = None;
    let mut found = Vec::with_capacity(resources.len());
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
            interfaces = Some(netlink.interfaces().await.map_err(failed("interfaces"))?);
        }
        let interfaces: &[Interface] = interfaces.as_deref().unwrap_or_default();
        let here = |it: &Assigned| {
            let interface = interfaces.iter().find(|known| known.index == it.index)?;
            Some(Presence::Here {
                interface: interface.name.clone(),
                prefix: it.prefix,
                up: interface.up && interface.carrier,
            })
        };
        if let Some(here) = carried(resource, interfaces, &assigned).and_then(here) {
            found.push(here);
            continue;
        }
        let routes = if needs_routes(resource) {
            netlink.routes(address).await.map_err(failed("routes"))?
        } else {
            Vec::new()
        };
        let settled = settled(resource, interfaces, &routes);
        let here = carried(&settled, interfaces, &assigned).and_then(here);
        found.push(here.unwrap_or_else(|| {
            Presence::Absent {
                down: place(resource, interfaces, &routes)
                    .ok()
                    .filter(|place| !place.interface.up)
                    .map(|place| place.interface.name.clone()),
            }
        }));
    }
    Ok(found)
}
