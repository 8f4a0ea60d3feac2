//! Addresses with a lifetime: what the kernel is asked for, over a socket that waits for its answers.
//!
//! The requests are pure. [`LeaseSocket`] is for a thread that may wait: the kernel's lock on addresses may be held
//! for seconds. What was found out about the kernel: docs/addresses.md, *The lease*.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::pin::Pin;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, CacheInfo,
};
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, send,
    setsockopt, socket,
};
use nix::sys::time::TimeVal;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};

use crate::net::address::covers;
use crate::net::netlink::assigned;
use crate::net::placement::{Assigned, dependents, removal, restoration};

/// A lifetime without end.
const FOREVER: u32 = u32::MAX;

/// Requests in one system call. Their answers have to fit the receive buffer.
const MAX_AT_ONCE: usize = 64;

/// Longest datagram of a dump. The kernel's are shorter.
const MAX_BYTES: usize = 64 * 1024;

/// A datagram that is not there after so many seconds was lost. The answer is there when the request has returned.
const ANSWER_S: i64 = 3;

/// Most addresses read from one dump, as elsewhere.
const MAX_ENTRIES: usize = 65_536;

/// Who renews the lifetimes of addresses that are put up.
pub trait Lessor: fmt::Debug + Send + Sync {
    /// The lifetime in seconds with which an address is put up.
    fn seconds(&self) -> u32;
    /// Whether this address has a lease of ours.
    fn has(&self, address: IpAddr) -> bool;
    /// The time, read before an address is put up.
    fn clock(&self) -> std::time::Duration;
    /// It is there, and is renewed from now on. `since`: see [`clock`](Self::clock); `None`: it was found.
    fn holds(&self, found: &Assigned, since: Option<std::time::Duration>);
    /// It is to be here, put up by an earlier process, and is not.
    fn misses(&self, address: IpAddr);
    /// It is about to be removed. Ready when nothing renews it any more.
    ///
    /// # Errors
    /// A renewal is under way and does not end.
    fn drops(&self, address: IpAddr) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + '_>>;
}

/// Whether an address of a network has to leave the route of that network to another address. The kernel gives
/// the one route of an IPv6 network the lifetime of the address that was set last, also when another address
/// without a lifetime uses it. `leased`: those with a lease of ours, which all end together.
#[must_use]
pub fn leaves_route(
    (index, address, prefix): (u32, IpAddr, u8),
    assigned: &[Assigned],
    leased: &dyn Fn(IpAddr) -> bool,
) -> bool {
    let mut others = assigned.iter();
    address.is_ipv6()
        && others.any(|it| {
            it.index == index
                && it.address != address
                && it.prefix == prefix
                && covers(address, prefix, it.address)
                && !leased(it.address)
        })
}

/// Gives an address that is about to be put up a lifetime.
pub fn limit(message: &mut AddressMessage, seconds: u32, leaves_route: bool) {
    set_lifetime(message, seconds);
    if leaves_route {
        let more = AddressFlags::Nodad | AddressFlags::Noprefixroute;
        set_flags(message, more);
    }
}

/// The request that gives an address that is there another lifetime, and changes nothing else; `None`: for ever.
#[must_use]
pub fn renewal(there: &Assigned, seconds: Option<u32>, leaves_route: bool) -> AddressMessage {
    let mut message = restoration(there);
    set_lifetime(&mut message, seconds.unwrap_or(FOREVER));
    // The kernel takes the flags of an IPv6 address as they are here. It keeps those of an IPv4 address.
    let mut flags = AddressFlags::empty();
    if there.address.is_ipv6() {
        flags |= AddressFlags::Nodad;
        if leaves_route && seconds.is_some() {
            flags |= AddressFlags::Noprefixroute;
        }
    }
    set_flags(&mut message, flags);
    message
}

fn set_lifetime(message: &mut AddressMessage, seconds: u32) {
    let mut lifetime = CacheInfo::default();
    lifetime.ifa_valid = seconds;
    lifetime.ifa_preferred = seconds;
    let others = message.attributes.iter();
    let others = others.filter(|it| !matches!(it, AddressAttribute::CacheInfo(_)));
    message.attributes = others.cloned().collect();
    message
        .attributes
        .push(AddressAttribute::CacheInfo(lifetime));
}

fn set_flags(message: &mut AddressMessage, flags: AddressFlags) {
    let low = u8::try_from(flags.bits() & 0xff).unwrap_or_default();
    message.header.flags = AddressHeaderFlags::from_bits_retain(low);
    message
        .attributes
        .retain(|it| !matches!(it, AddressAttribute::Flags(_)));
    message.attributes.push(AddressAttribute::Flags(flags));
}

/// Whether it has a lifetime that ends.
#[must_use]
pub fn ends(assigned: &Assigned) -> bool {
    let mut attributes = assigned.message.attributes.iter();
    attributes
        .any(|it| matches!(it, AddressAttribute::CacheInfo(life) if life.ifa_valid != FOREVER))
}

/// The addresses that the kernel removes together with this one when its lifetime ends. `read`: reads a file of the
/// kernel.
#[must_use]
pub fn takes_along<'a>(
    there: &Assigned,
    assigned: &'a [Assigned],
    read: &dyn Fn(&Path) -> Option<Vec<u8>>,
) -> Vec<&'a Assigned> {
    let others = dependents(there, assigned);
    if others.is_empty() || promotes(there, read) {
        return Vec::new();
    }
    others
}

/// Whether the interface of an IPv4 address promotes the second address of a network when the first one goes.
fn promotes(there: &Assigned, read: &dyn Fn(&Path) -> Option<Vec<u8>>) -> bool {
    let label = there.label.as_deref().unwrap_or_default();
    let interface = label.split(':').next().unwrap_or_default();
    let of = |name: &str| {
        let path = Path::new("/proc/sys/net/ipv4/conf").join(name);
        let value = read(&path.join("promote_secondaries"));
        value.is_some_and(|value| value.first() == Some(&b'1'))
    };
    of("all") || !interface.is_empty() && of(interface)
}

/// A connection to the kernel for a thread that may wait.
#[derive(Debug)]
pub struct LeaseSocket {
    socket: OwnedFd,
    sequence: u32,
    buffer: Box<[u8]>,
}

impl LeaseSocket {
    /// Opens it in the network namespace of this thread.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn open() -> io::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::new(ANSWER_S, 0))?;
        Ok(Self {
            socket,
            sequence: 0,
            buffer: vec![0; MAX_BYTES].into_boxed_slice(),
        })
    }

    /// All addresses of this host. Waits for the kernel.
    ///
    /// # Errors
    /// The kernel refuses or does not answer.
    pub fn addresses(&mut self) -> io::Result<Vec<Assigned>> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let first = self.send(vec![(request, NLM_F_REQUEST | NLM_F_DUMP)])?;
        let mut found = Vec::new();
        let mut over = false;
        while !over {
            for (header, payload) in self.receive()? {
                match payload {
                    _ if header.sequence_number != first => {}
                    NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message))
                        if found.len() < MAX_ENTRIES =>
                    {
                        found.extend(assigned(message));
                    }
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(error.to_io());
                    }
                    NetlinkPayload::Done(_) | NetlinkPayload::Error(_) => over = true,
                    _ => {}
                }
            }
        }
        Ok(found)
    }

    /// Changes addresses, all with as few system calls as possible, in their order. Waits for the kernel.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn change(&mut self, messages: Vec<AddressMessage>) -> io::Result<Vec<io::Result<()>>> {
        let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_REPLACE;
        let request = |message| (RouteNetlinkMessage::NewAddress(message), flags);
        self.ask(messages.into_iter().map(request).collect())
    }

    /// Removes addresses. Waits for the kernel.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn remove(&mut self, those: &[Assigned]) -> io::Result<Vec<io::Result<()>>> {
        let flags = NLM_F_REQUEST | NLM_F_ACK;
        let request = |it: &Assigned| (RouteNetlinkMessage::DelAddress(removal(it)), flags);
        self.ask(those.iter().map(request).collect())
    }

    fn ask(
        &mut self,
        mut requests: Vec<(RouteNetlinkMessage, u16)>,
    ) -> io::Result<Vec<io::Result<()>>> {
        let mut answers = Vec::with_capacity(requests.len());
        while !requests.is_empty() {
            let rest = requests.split_off(requests.len().min(MAX_AT_ONCE));
            let count = requests.len();
            let first = self.send(requests)?;
            answers.extend(self.answers(first, count)?);
            requests = rest;
        }
        Ok(answers)
    }

    fn answers(&mut self, first: u32, count: usize) -> io::Result<Vec<io::Result<()>>> {
        let mut answers = Vec::with_capacity(count);
        while answers.len() < count {
            for (header, payload) in self.receive()? {
                let place = header.sequence_number.wrapping_sub(first);
                if usize::try_from(place).is_ok_and(|place| place == answers.len())
                    && let NetlinkPayload::Error(error) = payload
                {
                    answers.push(match error.code {
                        None => Ok(()),
                        Some(_) => Err(error.to_io()),
                    });
                }
            }
        }
        Ok(answers)
    }

    /// Sends all at once. Returns the number of the first; the others follow it.
    fn send(&mut self, requests: Vec<(RouteNetlinkMessage, u16)>) -> io::Result<u32> {
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        for (request, flags) in requests {
            self.sequence = self.sequence.wrapping_add(1);
            let mut message = NetlinkMessage::from(request);
            message.header.flags = flags;
            message.header.sequence_number = self.sequence;
            message.finalize();
            let at = bytes.len();
            bytes.resize(
                at.saturating_add(message.buffer_len().next_multiple_of(4)),
                0,
            );
            if let Some(room) = bytes.get_mut(at..) {
                message.serialize(room);
            }
        }
        loop {
            match send(self.socket.as_raw_fd(), &bytes, MsgFlags::empty()) {
                Ok(_) => return Ok(first),
                Err(nix::Error::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The messages of the next datagram of the kernel.
    fn receive(&mut self) -> io::Result<Vec<(NetlinkHeader, NetlinkPayload<RouteNetlinkMessage>)>> {
        let count = loop {
            match recvfrom::<NetlinkAddr>(self.socket.as_raw_fd(), &mut self.buffer) {
                // Only the kernel is believed.
                Ok((_, Some(sender))) if sender.pid() != 0 => {}
                Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((count, _)) => break count,
                Err(nix::Error::EINTR) => {}
                Err(nix::Error::EAGAIN) => return Err(io::ErrorKind::TimedOut.into()),
                Err(error) => return Err(error.into()),
            }
        };
        let mut rest = self.buffer.get(..count).unwrap_or_default();
        let mut messages = Vec::new();
        while !rest.is_empty() {
            let message = NetlinkMessage::deserialize(rest).map_err(io::Error::other)?;
            let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
            let next = length.max(16).checked_next_multiple_of(4);
            rest = rest.get(next.unwrap_or(usize::MAX)..).unwrap_or_default();
            messages.push(message.into_parts());
        }
        Ok(messages)
    }
}

#[cfg(test)]
mod tests;
