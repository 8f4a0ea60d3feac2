//! Route netlink: interfaces, addresses and routes from the kernel, each request with a time limit.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::stream::{Stream, StreamExt};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    LinkAttribute, LinkExtentMask, LinkFlags, LinkLayerType, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteType,
};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec};
use thiserror::Error;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::net::address::covers;
use crate::net::placement::{Assigned, Interface, Route};

/// How long the kernel may take for one request. It answers within microseconds; only a dump of a
/// very large table takes longer.
pub const REQUEST_TIME: Duration = Duration::from_secs(3);

/// Most entries read from one dump. A host with more interfaces or addresses does not run
/// haresources; the rest is ignored.
const MAX_ENTRIES: usize = 65_536;

/// Why a request to the kernel failed.
#[derive(Debug, Error)]
pub enum NetlinkError {
    /// No socket.
    #[error("cannot open a netlink socket: {0}")]
    Open(#[source] io::Error),
    /// No answer in time.
    #[error("no answer from the kernel within {} s", REQUEST_TIME.as_secs())]
    TimedOut,
    /// The connection was closed.
    #[error("the netlink connection is closed")]
    Closed,
    /// The kernel refused.
    #[error(transparent)]
    Refused(io::Error),
    /// An answer that does not fit the request.
    #[error("unexpected answer: {0}")]
    Unexpected(String),
}

impl NetlinkError {
    /// The kernel's error number, when it refused.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused(error) => error.raw_os_error(),
            _ => None,
        }
    }

    /// Whether the connection can no longer be used.
    #[must_use]
    pub const fn breaks_connection(&self) -> bool {
        matches!(self, Self::Open(_) | Self::TimedOut | Self::Closed)
    }
}

impl From<rtnetlink::Error> for NetlinkError {
    fn from(error: rtnetlink::Error) -> Self {
        match error {
            rtnetlink::Error::NetlinkError(refusal) => Self::Refused(refusal.to_io()),
            rtnetlink::Error::RequestFailed => Self::Closed,
            other => Self::Unexpected(other.to_string()),
        }
    }
}

/// One connection to the kernel. Closed when dropped.
#[derive(Debug)]
pub struct Netlink {
    handle: Handle,
    connection: AbortHandle,
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Netlink {
    /// Opens a connection in the network namespace of this thread. Needs a `tokio` runtime.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn open() -> Result<Self, NetlinkError> {
        // Strict checking lets the kernel filter dumps; kernels before 4.20 do not support it, so
        // every answer is filtered here as well.
        let (connection, handle, _unsolicited) = rtnetlink::new_connection_with_strict_check()
            .or_else(|_| rtnetlink::new_connection())
            .map_err(NetlinkError::Open)?;
        Ok(Self {
            handle,
            connection: tokio::spawn(connection).abort_handle(),
        })
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.connection.is_finished()
    }

    /// All interfaces.
    ///
    /// # Errors
    /// The kernel refuses or does not answer.
    pub async fn interfaces(&self) -> Result<Vec<Interface>, NetlinkError> {
        let request = self
            .handle
            .link()
            .get()
            .set_filter_mask(AddressFamily::Unspec, vec![LinkExtentMask::SkipStats]);
        collect(request.execute(), interface).await
    }

    /// All addresses of the family of `like`, in the kernel's order.
    ///
    /// # Errors
    /// The kernel refuses or does not answer.
    pub async fn addresses(&self, like: IpAddr) -> Result<Vec<Assigned>, NetlinkError> {
        let mut request = self.handle.address().get();
        request.message_mut().header.family = family(like);
        let of_family = |message: AddressMessage| {
            assigned(message).filter(|it| it.address.is_ipv4() == like.is_ipv4())
        };
        collect(request.execute(), of_family).await
    }

    /// Unicast routes of the main table that cover `address`.
    ///
    /// # Errors
    /// The kernel refuses or does not answer.
    pub async fn routes(&self, address: IpAddr) -> Result<Vec<Route>, NetlinkError> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(address);
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        let covering = |message: RouteMessage| {
            route(&message, address)
                .filter(|route| covers(route.destination, route.prefix, address))
        };
        match collect(self.handle.route().get(message).execute(), covering).await {
            // With this error the kernel says that the table is empty.
            Err(error) if error.errno() == Some(libc::ENOENT) => Ok(Vec::new()),
            result => result,
        }
    }

    /// Puts an address on an interface; refused with `EEXIST` when it is there.
    ///
    /// # Errors
    /// The kernel refuses or does not answer.
    pub async fn add(&self, message: AddressMessage) -> Result<(), NetlinkError> {
        // The message's own index, address and prefix replace these.
        let mut request = self.handle.address().add(0, IpAddr::from([0; 4]), 0);
        *request.message_mut() = message;
        within_time(request.execute()).await
    }

    /// Changes the lifetime and the flags of an address. The kernel adds it if it is not there.
    ///
    /// # Errors
    /// The kernel refuses or does not answer.
    pub async fn replace(&self, message: AddressMessage) -> Result<(), NetlinkError> {
        // The message's own index, address and prefix replace these.
        let request = self.handle.address().add(0, IpAddr::from([0; 4]), 0);
        let mut request = request.replace();
        *request.message_mut() = message;
        within_time(request.execute()).await
    }

    /// Removes an address; refused with `EADDRNOTAVAIL` when it is not there.
    ///
    /// # Errors
    /// The kernel refuses or does not answer.
    pub async fn delete(&self, message: AddressMessage) -> Result<(), NetlinkError> {
        let request = self.handle.address().del(message).execute();
        within_time(request).await
    }

    /// Sets an interface up.
    ///
    /// # Errors
    /// The kernel refuses or does not answer.
    pub async fn set_up(&self, index: u32) -> Result<(), NetlinkError> {
        let message = LinkMessageBuilder::<LinkUnspec>::default()
            .index(index)
            .up()
            .build();
        within_time(self.handle.link().set(message).execute()).await
    }
}

async fn within_time(
    request: impl Future<Output = Result<(), rtnetlink::Error>>,
) -> Result<(), NetlinkError> {
    match timeout(REQUEST_TIME, request).await {
        Ok(result) => result.map_err(NetlinkError::from),
        Err(_) => Err(NetlinkError::TimedOut),
    }
}

/// Reads a dump to its end.
async fn collect<M, T>(
    dump: impl Stream<Item = Result<M, rtnetlink::Error>>,
    translate: impl Fn(M) -> Option<T>,
) -> Result<Vec<T>, NetlinkError> {
    let reading = async {
        let mut dump = std::pin::pin!(dump);
        let mut entries = Vec::new();
        while let Some(message) = dump.next().await {
            if entries.len() < MAX_ENTRIES {
                entries.extend(translate(message?));
            }
        }
        Ok(entries)
    };
    timeout(REQUEST_TIME, reading)
        .await
        .unwrap_or(Err(NetlinkError::TimedOut))
}

const fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn interface(message: LinkMessage) -> Option<Interface> {
    let flags = message.header.flags;
    let ethernet = message.header.link_layer_type == LinkLayerType::Ether;
    let mut name = None;
    let mut mac = None;
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text),
            LinkAttribute::Address(bytes) if ethernet => mac = <[u8; 6]>::try_from(bytes).ok(),
            _ => {}
        }
    }
    Some(Interface {
        index: message.header.index,
        name: name?,
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        loopback: flags.contains(LinkFlags::Loopback),
        no_arp: flags.contains(LinkFlags::Noarp),
        mac,
    })
}

/// An address as the kernel describes it, or will describe one that was just added.
pub(super) fn assigned(message: AddressMessage) -> Option<Assigned> {
    let mut local = None;
    let mut peer = None;
    let mut label = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => peer = Some(*address),
            AddressAttribute::Label(text) => label = Some(text.clone()),
            _ => {}
        }
    }
    let flags = flags(&message);
    let address = local.or(peer)?;
    Some(Assigned {
        index: message.header.index,
        address,
        prefix: message.header.prefix_len,
        label,
        secondary: address.is_ipv4() && flags.contains(AddressFlags::Secondary),
        unusable: address.is_ipv6()
            && flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed)
            && !flags.contains(AddressFlags::Optimistic),
        message,
    })
}

/// Flags of an address: the long form if the kernel sends it.
fn flags(message: &AddressMessage) -> AddressFlags {
    let long = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            AddressAttribute::Flags(flags) => Some(*flags),
            _ => None,
        });
    long.unwrap_or_else(|| AddressFlags::from_bits_retain(u32::from(message.header.flags.bits())))
}

fn route(message: &RouteMessage, address: IpAddr) -> Option<Route> {
    let header = &message.header;
    let mut destination = match address {
        IpAddr::V4(_) => IpAddr::from([0; 4]),
        IpAddr::V6(_) => IpAddr::from([0; 16]),
    };
    let mut table = u32::from(header.table);
    let mut index = None;
    let mut metric = 0;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(to)) => destination = (*to).into(),
            RouteAttribute::Destination(RouteAddress::Inet6(to)) => destination = (*to).into(),
            RouteAttribute::Oif(number) => index = Some(*number),
            RouteAttribute::MultiPath(hops) => {
                index = index.or_else(|| hops.first().map(|hop| hop.interface_index));
            }
            RouteAttribute::Priority(value) => metric = *value,
            RouteAttribute::Table(value) => table = *value,
            _ => {}
        }
    }
    let usable =
        table == u32::from(RouteHeader::RT_TABLE_MAIN) && header.kind == RouteType::Unicast;
    Some(Route {
        destination,
        prefix: header.destination_prefix_length,
        index: index.filter(|_| usable)?,
        metric,
        dead: header
            .flags
            .intersects(RouteFlags::Dead | RouteFlags::Linkdown),
    })
}

#[cfg(test)]
mod tests;
