//! Where a service address goes: interface, prefix, label, broadcast. Pure.
//!
//! Spec: docs/protocol/resources.md, 15.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage,
};
use thiserror::Error;

use crate::net::address::{
    AddressResource, AddressStyle, MAX_INTERFACE_BYTES, broadcast_of, covers, is_link_local,
};

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Kernel's number.
    pub index: u32,
    /// Name without label.
    pub name: String,
    /// Administratively up.
    pub up: bool,
    /// The link has a carrier.
    pub carrier: bool,
    /// The loopback interface.
    pub loopback: bool,
    /// Never answers for its addresses: dummy, tunnels.
    pub no_arp: bool,
    /// Ethernet address, when it is one.
    pub mac: Option<[u8; 6]>,
}

impl Interface {
    /// Whether other hosts learn the place of an address on this interface. Addresses on other
    /// interfaces (real servers of a load balancer have them) are not ours.
    #[must_use]
    pub const fn answers(&self) -> bool {
        !self.loopback && !self.no_arp
    }
}

/// An address that an interface carries now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// Interface number.
    pub index: u32,
    /// The local address.
    pub address: IpAddr,
    /// Prefix length in bits.
    pub prefix: u8,
    /// IPv4 label; the interface name when it has no other.
    pub label: Option<String>,
    /// IPv4: removed together with the first address of its network.
    pub secondary: bool,
    /// IPv6: duplicate address detection runs or has failed.
    pub unusable: bool,
    /// The kernel's message, to remove or restore the address exactly.
    pub message: AddressMessage,
}

/// A unicast route of the main table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Network.
    pub destination: IpAddr,
    /// Prefix length; 0 is the default route.
    pub prefix: u8,
    /// Interface number.
    pub index: u32,
    /// Lower is preferred.
    pub metric: u32,
    /// The interface is down or has no carrier.
    pub dead: bool,
}

/// The place for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'i> {
    /// The interface.
    pub interface: &'i Interface,
    /// Prefix length in bits.
    pub prefix: u8,
}

/// Why no place was found.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlaceError {
    /// The interface named is not there.
    #[error("interface {interface} does not exist")]
    NoInterface {
        /// Its name.
        interface: String,
    },
    /// No route leads to the address.
    #[error("no route leads to it: name an interface")]
    NoRoute,
    /// No route tells the size of the network.
    #[error("no route but the default one leads to it: give its prefix length")]
    NoPrefix,
    /// fe80::/10 is on every interface.
    #[error("a link-local address needs an interface")]
    LinkLocal,
}

/// Completes interface and prefix of `resource`: from the most specific route that covers the
/// address; the default route gives an interface but never a prefix.
///
/// # Errors
/// The interface does not exist, or the routes do not tell.
pub fn place<'i>(
    resource: &AddressResource,
    interfaces: &'i [Interface],
    routes: &[Route],
) -> Result<Place<'i>, PlaceError> {
    let named = match &resource.interface {
        None => None,
        Some(name) => Some(
            interfaces
                .iter()
                .find(|it| it.name == *name)
                .ok_or_else(|| PlaceError::NoInterface {
                    interface: name.clone(),
                })?,
        ),
    };
    if let (Some(interface), Some(prefix)) = (named, resource.prefix) {
        return Ok(Place { interface, prefix });
    }
    if let (None, IpAddr::V6(address)) = (named, resource.address)
        && is_link_local(address)
    {
        return Err(PlaceError::LinkLocal);
    }
    let route = routes
        .iter()
        .filter(|route| covers(route.destination, route.prefix, resource.address))
        .filter(|route| named.is_none_or(|interface| interface.index == route.index))
        .filter_map(|route| {
            let interface = interfaces.iter().find(|it| it.index == route.index)?;
            (!interface.loopback).then_some((route, interface))
        })
        .min_by_key(|(route, interface)| {
            let parked = !interface.answers();
            (Reverse(route.prefix), route.dead, parked, route.metric)
        });
    match (route, resource.prefix) {
        (Some((_, interface)), Some(prefix)) => Ok(Place { interface, prefix }),
        (Some((route, interface)), None) if route.prefix > 0 => Ok(Place {
            interface,
            prefix: route.prefix,
        }),
        (Some(_), None) => Err(PlaceError::NoPrefix),
        (None, _) if named.is_some() => Err(PlaceError::NoPrefix),
        (None, _) => Err(PlaceError::NoRoute),
    }
}

/// `resource` with its interface named if the routes lead to one that never answers, for example a
/// tunnel: an address that was started there must be found there, and such interfaces are otherwise
/// ignored.
#[must_use]
pub fn settled(
    resource: &AddressResource,
    interfaces: &[Interface],
    routes: &[Route],
) -> AddressResource {
    let mut settled = resource.clone();
    if settled.interface.is_none() {
        settled.interface = place(resource, interfaces, routes)
            .ok()
            .filter(|place| !place.interface.answers())
            .map(|place| place.interface.name.clone());
    }
    settled
}

/// Whether routes are needed to place `resource`.
#[must_use]
pub const fn needs_routes(resource: &AddressResource) -> bool {
    resource.interface.is_none() || resource.prefix.is_none()
}

/// The address as it is now, if it is where `resource` wants it: on the interface and with the
/// prefix that the word names, or on any interface that answers for it if the word names none. An interface has an IPv6
/// address once, whatever the prefix: with another prefix it answers as well, and cannot be added.
#[must_use]
pub fn carried<'a>(
    resource: &AddressResource,
    interfaces: &[Interface],
    assigned: &'a [Assigned],
) -> Option<&'a Assigned> {
    assigned.iter().find(|it| {
        it.address == resource.address
            && !it.unusable
            && (it.address.is_ipv6() || resource.prefix.is_none_or(|prefix| prefix == it.prefix))
            && interfaces.iter().any(|interface| {
                interface.index == it.index
                    && resource
                        .interface
                        .as_ref()
                        .map_or(interface.answers(), |name| *name == interface.name)
            })
    })
}

/// Every copy of the address that a stop of `resource` removes: whatever put it there, with any
/// label and prefix, on each interface that answers for it and on the one that the word names.
#[must_use]
pub fn copies<'a>(
    resource: &AddressResource,
    interfaces: &[Interface],
    assigned: &'a [Assigned],
) -> Vec<&'a Assigned> {
    let ours = |it: &&Assigned| {
        it.address == resource.address
            && interfaces.iter().any(|interface| {
                interface.index == it.index
                    && (interface.answers() || resource.interface.as_ref() == Some(&interface.name))
            })
    };
    assigned.iter().filter(ours).collect()
}

/// Label of a new IPv4 address: `IPaddr` uses the lowest free number, `IPaddr2` the given label.
/// `None` if it has none or it would be too long for the kernel.
#[must_use]
pub fn label(resource: &AddressResource, interface: &str, assigned: &[Assigned]) -> Option<String> {
    if resource.address.is_ipv6() {
        return None;
    }
    if !resource.style.numbers_labels() {
        return resource.label.clone();
    }
    // Among n addresses one of the numbers 0..=n is free.
    (0..=assigned.len())
        .map(|number| format!("{interface}:{number}"))
        .find(|label| assigned.iter().all(|it| it.label.as_ref() != Some(label)))
        .filter(|label| label.len() <= MAX_INTERFACE_BYTES)
}

/// Broadcast address of a new IPv4 address. `IPaddr` always sets one, `IPaddr2` only if the network
/// is large enough.
#[must_use]
pub fn broadcast(resource: &AddressResource, address: Ipv4Addr, prefix: u8) -> Option<Ipv4Addr> {
    let computed = match resource.style {
        AddressStyle::Bare | AddressStyle::IPaddr => Some(broadcast_of(address, prefix)),
        AddressStyle::IPaddr2 | AddressStyle::IPv6addr => {
            (prefix < 31).then(|| broadcast_of(address, prefix))
        }
    };
    resource.broadcast.or(computed)
}

/// The request that puts `resource` at `place`. Without lifetimes the address stays for ever. IPv6
/// skips duplicate address detection: at a takeover the old owner may still answer.
#[must_use]
pub fn addition(
    resource: &AddressResource,
    place: Place<'_>,
    assigned: &[Assigned],
) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = place.interface.index;
    message.header.prefix_len = place.prefix;
    message
        .attributes
        .push(AddressAttribute::Address(resource.address));
    message
        .attributes
        .push(AddressAttribute::Local(resource.address));
    match resource.address {
        IpAddr::V4(address) => {
            message.header.family = AddressFamily::Inet;
            if let Some(broadcast) = broadcast(resource, address, place.prefix) {
                message
                    .attributes
                    .push(AddressAttribute::Broadcast(broadcast));
            }
            if let Some(label) = label(resource, &place.interface.name, assigned) {
                message.attributes.push(AddressAttribute::Label(label));
            }
        }
        IpAddr::V6(_) => {
            message.header.family = AddressFamily::Inet6;
            message.header.flags = AddressHeaderFlags::Nodad;
            message
                .attributes
                .push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
    }
    message
}

/// The request that removes `assigned` and nothing else.
#[must_use]
pub fn removal(assigned: &Assigned) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header = assigned.message.header.clone();
    message.attributes = assigned
        .message
        .attributes
        .iter()
        .filter(|it| {
            matches!(
                it,
                AddressAttribute::Address(_) | AddressAttribute::Local(_)
            )
        })
        .cloned()
        .collect();
    message
}

/// Addresses that the kernel may remove together with `removed`: the secondary ones of its network,
/// unless the interface promotes them.
#[must_use]
pub fn dependents<'a>(removed: &Assigned, assigned: &'a [Assigned]) -> Vec<&'a Assigned> {
    if removed.secondary || removed.address.is_ipv6() {
        return Vec::new();
    }
    assigned
        .iter()
        .filter(|it| {
            it.secondary
                && it.index == removed.index
                && it.prefix == removed.prefix
                && covers(removed.address, removed.prefix, it.address)
        })
        .collect()
}

/// The request that restores `lost`.
#[must_use]
pub fn restoration(lost: &Assigned) -> AddressMessage {
    let mut message = lost.message.clone();
    // The kernel decides which address is secondary.
    message.header.flags.remove(AddressHeaderFlags::Secondary);
    for attribute in &mut message.attributes {
        if let AddressAttribute::Flags(flags) = attribute {
            flags.remove(AddressFlags::Secondary);
        }
    }
    message
}

#[cfg(test)]
mod tests;
