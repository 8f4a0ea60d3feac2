//! Whose is an address of this host that haresources names: the service's, or the host's own?
//!
//! Pure: the addresses of the host and what is known of earlier runs in, a verdict out. The host's own
//! addresses are never removed: without them heartbeats and the administrator are cut off.
//!
//! | | recorded | label of a script | source of heartbeats | first of its network | any other |
//! |---|---|---|---|---|---|
//! | no earlier run, or one with a record | service | service | own | own | doubt |
//! | an earlier run without a record has ended | service | service | own | doubt | service |
//! | a daemon without a record runs | service | service | own | service | service |
//! | it came after our start | service | service | own | doubt | service |
//!
//! The first column that applies counts. With `stray_addresses = "ignore"` the first address of a network
//! is in doubt at most. A source address of heartbeats with a label is in doubt, and so is an address that
//! was in doubt before in the same boot.

use std::fmt;
use std::net::IpAddr;

use crate::config::types::MediumConfig;
use crate::net::address::{AddressResource, AddressStyle, covers, is_link_local};

/// An address of this host, in the kernel's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAddress {
    /// Interface without label.
    pub interface: String,
    /// IPv4 label, if it is not the name of the interface.
    pub label: Option<String>,
    /// The address.
    pub address: IpAddr,
    /// Prefix length in bits.
    pub prefix: u8,
    /// Whether the interface answers for its addresses: `lo` and tunnels do not.
    pub answers: bool,
}

/// The mark of an address in this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Put on an interface by a daemon of ours, or started by one.
    Ours,
    /// It was there before, and it is not known what put it there.
    Unknown,
}

/// How the address may have come to this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// It was there at our start, and the run before has left nothing or has kept a record.
    Before,
    /// The same, and the run before kept no record: a legacy run, or one of our first version.
    AfterCrash,
    /// A daemon that keeps no record runs now.
    OfRunning,
    /// It was not there when this daemon started.
    Since,
}

/// Why an address is the host's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Heartbeats on this medium use it as their source.
    Source(String),
    /// It is the first of its network on an interface, and no run has put it there.
    First,
}

/// Whose address it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is not on this host.
    Absent,
    /// One of our runs or a legacy run has put it there: it may be removed.
    Service,
    /// The host's own: it must never be removed.
    Own(HostAddress, Why),
    /// It is not known: the start is not refused, and the address is removed only when its group is
    /// stopped here.
    Doubt(HostAddress),
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} on {}", self.address, self.prefix, self.interface)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(medium) => write!(f, "heartbeats go out with it, {medium}"),
            Self::First => {
                f.write_str("it is the first of its network there, and no run has put it there")
            }
        }
    }
}

/// What is known of this host.
#[derive(Debug, Clone, Default)]
pub struct OwnAddresses {
    addresses: Vec<HostAddress>,
    /// Source addresses of heartbeats, with their media.
    sources: Vec<(HostAddress, String)>,
    /// The administrator is responsible for addresses of unknown origin.
    lenient: bool,
}

impl OwnAddresses {
    /// From the addresses of the host, in the kernel's order, and the configured media.
    #[must_use]
    pub fn new(addresses: Vec<HostAddress>, media: &[MediumConfig]) -> Self {
        let sources = media
            .iter()
            .filter_map(|medium| Some((source(&addresses, medium)?.clone(), medium.to_string())))
            .collect();
        Self {
            addresses,
            sources,
            lenient: false,
        }
    }

    /// With `stray_addresses = "ignore"`: the first address of a network is in doubt, not the
    /// host's own.
    #[must_use]
    pub fn lenient(mut self, lenient: bool) -> Self {
        self.lenient = lenient;
        self
    }

    /// Whether the host has the address, on any interface.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|it| it.address == address)
    }

    /// Whose the address of `resource` is. Of several copies the one that needs most care counts.
    #[must_use]
    pub fn standing(&self, resource: &AddressResource, mark: Option<Mark>, came: Came) -> Standing {
        let mut standing = Standing::Absent;
        let copies = self.addresses.iter().filter(|it| {
            it.address == resource.address
                && (it.answers || resource.interface.as_ref() == Some(&it.interface))
        });
        for copy in copies {
            let one = self.of_copy(copy, resource, mark, came);
            if care(&one) > care(&standing) {
                standing = one;
            }
        }
        standing
    }

    fn of_copy(
        &self,
        copy: &HostAddress,
        resource: &AddressResource,
        mark: Option<Mark>,
        came: Came,
    ) -> Standing {
        let source = self.sources.iter().find(|(source, _)| source == copy);
        let labelled = is_script_label(copy, resource);
        let doubt = || Standing::Doubt(copy.clone());
        match (mark, labelled, source) {
            (Some(Mark::Ours), _, _) | (_, true, None) => Standing::Service,
            (_, true, Some(_)) => doubt(),
            (_, false, Some((_, medium))) => {
                Standing::Own(copy.clone(), Why::Source(medium.clone()))
            }
            (Some(Mark::Unknown), false, None) => doubt(),
            (None, false, None) => match (came, is_first(&self.addresses, copy)) {
                (Came::Before, true) if !self.lenient => Standing::Own(copy.clone(), Why::First),
                (Came::AfterCrash | Came::Since, true) | (Came::Before, _) => doubt(),
                (Came::OfRunning, _) | (Came::AfterCrash | Came::Since, false) => Standing::Service,
            },
        }
    }
}

const fn care(standing: &Standing) -> u8 {
    match standing {
        Standing::Absent => 0,
        Standing::Service => 1,
        Standing::Doubt(_) => 2,
        Standing::Own(..) => 3,
    }
}

/// Whether the label is the one that the resource script, or this program instead of it, would have
/// set.
fn is_script_label(copy: &HostAddress, resource: &AddressResource) -> bool {
    let Some(label) = &copy.label else {
        return false;
    };
    match resource.style {
        AddressStyle::Bare | AddressStyle::IPaddr => label
            .strip_prefix(&copy.interface)
            .and_then(|rest| rest.strip_prefix(':'))
            .is_some_and(|number| {
                !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
            }),
        AddressStyle::IPaddr2 => resource.label.as_ref() == Some(label),
        AddressStyle::IPv6addr => false,
    }
}

/// IPv4: the kernel's primary address of its network on its interface. IPv6 has no primary address:
/// the only one.
fn is_first(addresses: &[HostAddress], copy: &HostAddress) -> bool {
    let of_network = |it: &&HostAddress| {
        it.interface == copy.interface
            && it.prefix == copy.prefix
            && covers(copy.address, copy.prefix, it.address)
    };
    let mut network = addresses.iter().filter(of_network);
    let first = network.next() == Some(copy);
    first && (copy.address.is_ipv4() || network.next().is_none())
}

/// The source address of heartbeats on `medium`, as the kernel chooses it; for IPv6 only if there
/// is no choice.
fn source<'a>(addresses: &'a [HostAddress], medium: &MediumConfig) -> Option<&'a HostAddress> {
    let (interface, peer, v4): (&str, Option<IpAddr>, bool) = match medium {
        MediumConfig::Bcast { interface, .. } | MediumConfig::Mcast { interface, .. } => {
            (interface, None, true)
        }
        MediumConfig::Ucast {
            interface, peer, ..
        } => (interface, Some(IpAddr::V4(*peer)), true),
        MediumConfig::Mcast6 { interface, .. } => (interface, None, false),
        MediumConfig::Ucast6 {
            interface, peer, ..
        } => (interface, Some(IpAddr::V6(*peer)), false),
        MediumConfig::Serial { .. } => return None,
    };
    let there: Vec<&HostAddress> = addresses
        .iter()
        .filter(|it| it.interface == interface && it.address.is_ipv4() == v4)
        .collect();
    if v4 {
        let mut primary = there.iter().filter(|it| is_first(addresses, it));
        let near = peer.and_then(|peer| {
            primary
                .clone()
                .find(|it| covers(it.address, it.prefix, peer))
        });
        return near.or_else(|| primary.next()).copied();
    }
    let local = |address: IpAddr| matches!(address, IpAddr::V6(it) if is_link_local(it));
    let wanted_local = peer.is_none_or(local);
    let mut fitting = there
        .into_iter()
        .filter(|it| local(it.address) == wanted_local);
    let only = fitting.next()?;
    fitting.next().is_none().then_some(only)
}

#[cfg(test)]
mod tests;
