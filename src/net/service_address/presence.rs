//! Whether held addresses are where they are to be, found with one look for all of them.

use std::collections::BTreeMap;

use super::{AddressError, AddressManager, connected, keep};
use crate::net::address::AddressResource;
use crate::net::netlink::Netlink;
use crate::net::placement::{Assigned, Interface, Route, carried, needs_routes, place, settled};

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

/// Where addresses are or would be, and which interfaces there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// The interface of each address, and whether the address is on it, in step with them; `None`: nothing but a
    /// default route tells.
    pub places: Vec<Option<(String, bool)>>,
    /// Whether each interface is up and has a carrier.
    pub interfaces: BTreeMap<String, bool>,
}

impl AddressManager {
    /// Which interfaces the addresses need, whether they are here or not.
    ///
    /// # Errors
    /// The kernel does not answer: nothing is known.
    pub async fn links(&self, resources: &[AddressResource]) -> Result<Links, AddressError> {
        let Some(first) = resources.first() else {
            return Ok(Links::default());
        };
        let mut held = self.shared.netlink.lock().await;
        let netlink = connected(held.take(), first.address)?;
        let result = links_of(&netlink, first, resources).await;
        keep(&mut held, netlink, &result);
        result
    }

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
        let found = result?.into_iter();
        Ok(found.map(|(presence, _)| presence).collect())
    }

    /// The same for addresses of groups that run here. Those that the daemon handles get a lease, where addresses
    /// have one. `native`: which these are, in step with them.
    ///
    /// # Errors
    /// The kernel does not answer: nothing is known.
    pub async fn presence_of_held(
        &self,
        resources: &[AddressResource],
        native: &[bool],
    ) -> Result<Vec<Presence>, AddressError> {
        let Some(first) = resources.first() else {
            return Ok(Vec::new());
        };
        let mut held = self.shared.netlink.lock().await;
        let netlink = connected(held.take(), first.address)?;
        let result = look(&netlink, resources).await;
        keep(&mut held, netlink, &result);
        let found = result?;
        // With the connection in hand: whoever removes an address waits for it, and ends the lease then.
        if let Some(lessor) = &self.lessor {
            for ((_, copy), native) in found.iter().zip(native) {
                if let Some(copy) = copy
                    .as_ref()
                    .filter(|it| *native && !lessor.has(it.address))
                {
                    lessor.holds(copy, None);
                }
            }
        }
        drop(held);
        Ok(found.into_iter().map(|(presence, _)| presence).collect())
    }
}

async fn look(
    netlink: &Netlink,
    resources: &[AddressResource],
) -> Result<Vec<(Presence, Option<Assigned>)>, AddressError> {
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
            let here = Presence::Here {
                interface: interface.name.clone(),
                prefix: it.prefix,
                up: interface.up && interface.carrier,
            };
            Some((here, Some(it.clone())))
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
            let absent = Presence::Absent {
                down: place(resource, interfaces, &routes)
                    .ok()
                    .filter(|place| !place.interface.up)
                    .map(|place| place.interface.name.clone()),
            };
            (absent, None)
        }));
    }
    Ok(found)
}

async fn links_of(
    netlink: &Netlink,
    first: &AddressResource,
    resources: &[AddressResource],
) -> Result<Links, AddressError> {
    let failed = |address, what| {
        move |source| AddressError::Read {
            address,
            what,
            source,
        }
    };
    let assigned = super::conflict::assigned_like(netlink, resources).await?;
    let interfaces = netlink.interfaces().await;
    let interfaces = interfaces.map_err(failed(first.address, "interfaces"))?;
    // One look at the routes of each family.
    let mut routes: BTreeMap<bool, Vec<Route>> = BTreeMap::new();
    let mut places = Vec::with_capacity(resources.len());
    for resource in resources {
        let here = |it: &Assigned| {
            let interface = interfaces.iter().find(|known| known.index == it.index)?;
            Some(interface.name.clone())
        };
        if let Some(name) = carried(resource, &interfaces, &assigned).and_then(here) {
            places.push(Some((name, true)));
            continue;
        }
        let family = resource.address.is_ipv4();
        if needs_routes(resource) && !routes.contains_key(&family) {
            let mut found = netlink
                .routes(resource.address)
                .await
                .map_err(failed(resource.address, "routes"))?;
            // The default route leads somewhere when the interface of the address is down.
            found.retain(|route| route.prefix > 0);
            routes.insert(family, found);
        }
        let routes = routes.get(&family).map_or(&[][..], Vec::as_slice);
        let place = place(resource, &interfaces, routes).ok();
        places.push(place.map(|place| (place.interface.name.clone(), false)));
    }
    let interfaces = interfaces.into_iter();
    Ok(Links {
        places,
        interfaces: interfaces
            .map(|it| (it.name, it.up && it.carrier))
            .collect(),
    })
}
