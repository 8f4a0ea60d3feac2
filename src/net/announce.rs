//! Announces the place of a service address to the neighbours: gratuitous ARP for IPv4, unsolicited
//! neighbour advertisements for IPv6.
//!
//! Frames and schedule are pure; [`Announcer`] sends. Spec: docs/protocol/resources.md, 15.

use std::io;
use std::iter::once;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use pnet_packet::arp::{ArpOperation, ArpOperations};
use pnet_packet::icmpv6::Icmpv6Types;
use pnet_packet::icmpv6::ndp::{
    Icmpv6Codes, MutableNeighborAdvertPacket, NdpOption, NdpOptionTypes, NeighborAdvertFlags,
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::net::frames::{self, Mac};
use crate::os::sys;

/// Neighbour advertisement with one option, the link-layer address.
const ADVERTISEMENT_BYTES: usize = 32;

/// ff02::1, every node on the link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// The Ethernet group of [`ALL_NODES`].
const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];

/// Rounds sent at once, as by `IPaddr2`.
const ROUNDS: u32 = 5;
/// Pause between two rounds.
const ROUND_INTERVAL: Duration = Duration::from_millis(200);
/// Pause between the request and the reply of an ARP round.
const REPLY_DELAY: Duration = Duration::from_millis(100);
/// Later rounds: a switch may still have been learning, a neighbour rebooting.
const LATE_ROUNDS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// Rounds after a conflict, in seconds: the other host may take some time to release the address.
const AFTER_CONFLICT_S: [u64; 7] = [0, 1, 2, 5, 10, 20, 30];
/// Pause between two rounds from then on.
const SLOWLY: Duration = Duration::from_secs(60);

/// The content of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ARP request from the address for itself: refreshes entries that exist.
    ArpRequest,
    /// ARP reply without a request: some hosts learn only from these.
    ArpReply,
    /// Neighbour advertisement without a solicitation.
    NeighbourAdvertisement,
}

/// Why an address that is here is announced once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Another host has, or had, the address: it is not known which hosts have learnt which place.
    Conflict,
    /// Its interface was down and is up: other hosts may have forgotten it.
    LinkUp,
}

/// One frame of an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Time after the address was configured.
    pub at: Duration,
    /// Which frame.
    pub kind: Kind,
}

/// The frames that announce `address`, in order of time.
pub fn schedule(address: IpAddr) -> impl Iterator<Item = Step> + Send {
    let rounds = (0..ROUNDS)
        .map(|round| ROUND_INTERVAL.saturating_mul(round))
        .chain(LATE_ROUNDS);
    frames_of(address, rounds)
}

/// The frames that announce `address` after a conflict: seven rounds within half a minute, then one
/// a minute, without end.
pub fn after_conflict(address: IpAddr) -> impl Iterator<Item = Step> + Send {
    let slowly = (1..).map(|minute| SLOWLY.saturating_mul(minute));
    let rounds = AFTER_CONFLICT_S.map(Duration::from_secs);
    frames_of(address, rounds.into_iter().chain(slowly))
}

fn frames_of(
    address: IpAddr,
    rounds: impl Iterator<Item = Duration> + Send,
) -> impl Iterator<Item = Step> + Send {
    rounds.flat_map(move |at| {
        let (first, second) = match address {
            IpAddr::V4(_) => (Kind::ArpRequest, Some(Kind::ArpReply)),
            IpAddr::V6(_) => (Kind::NeighbourAdvertisement, None),
        };
        let reply = second.map(|kind| Step {
            at: at.saturating_add(REPLY_DELAY),
            kind,
        });
        once(Step { at, kind: first }).chain(reply)
    })
}

/// The frame of `kind` that says that `address` is at `mac`. Empty if kind and family do not fit.
/// `router`: whether this host forwards IPv6; neighbours drop a router that no longer announces
/// that.
#[must_use]
pub fn frame(kind: Kind, mac: Mac, address: IpAddr, router: bool) -> Vec<u8> {
    let built = match (kind, address) {
        (Kind::ArpRequest, IpAddr::V4(ip)) => arp_frame(ArpOperations::Request, mac, ip),
        (Kind::ArpReply, IpAddr::V4(ip)) => arp_frame(ArpOperations::Reply, mac, ip),
        (Kind::NeighbourAdvertisement, IpAddr::V6(ip)) => advertisement_frame(mac, ip, router),
        _ => None,
    };
    built.unwrap_or_default()
}

/// Gratuitous ARP: sender and target are both the address.
fn arp_frame(operation: ArpOperation, mac: Mac, address: Ipv4Addr) -> Option<Vec<u8>> {
    // A request asks for the hardware address, so the field is zero; a reply to all hosts repeats
    // its own, as the legacy tool does.
    let target = if operation == ArpOperations::Reply {
        mac
    } else {
        [0; 6]
    };
    frames::arp(operation, (mac, address), (target, address))
}

/// Unsolicited neighbour advertisement from the address itself, overriding what is cached.
fn advertisement_frame(mac: Mac, address: Ipv6Addr, router: bool) -> Option<Vec<u8>> {
    let to = (ALL_NODES_MAC, ALL_NODES);
    frames::neighbour_discovery((mac, address), to, ADVERTISEMENT_BYTES, |body| {
        let mut advertisement = MutableNeighborAdvertPacket::new(body)?;
        advertisement.set_icmpv6_type(Icmpv6Types::NeighborAdvert);
        advertisement.set_icmpv6_code(Icmpv6Codes::NoCode);
        let role = if router {
            NeighborAdvertFlags::Router
        } else {
            0
        };
        advertisement.set_flags(NeighborAdvertFlags::Override | role);
        advertisement.set_target_addr(address);
        advertisement.set_options(&[NdpOption {
            option_type: NdpOptionTypes::TargetLLAddr,
            // In units of eight bytes.
            length: 1,
            data: mac.to_vec(),
        }]);
        Some(())
    })
}

/// Sends frames unchanged on any interface. Receives nothing.
#[derive(Debug)]
pub struct Announcer {
    socket: Socket,
}

impl Announcer {
    /// Opens a packet socket in the network namespace of this thread.
    ///
    /// # Errors
    /// The capability `CAP_NET_RAW` is missing or the socket cannot be made.
    pub fn open() -> io::Result<Self> {
        // With protocol 0 the kernel delivers no frame to the socket.
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    /// Sends `frame` by the interface with number `index`; never waits.
    ///
    /// # Errors
    /// The interface is down or gone, or its queue is full.
    pub fn send(&self, index: u32, frame: &[u8]) -> io::Result<()> {
        self.socket
            .send_to(frame, &sys::packet_address(index))
            .map(drop)
    }
}

#[cfg(test)]
mod tests;
