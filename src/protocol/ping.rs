//! ICMP echo for ping nodes: the requests, and which answers count.
//! Spec: docs/protocol/wire.md, 19.
//!
//! The request contains the very message that we want to receive back. A reply counts only if it
//! answers a request of the last `deadping`, byte for byte as it was sent, and only once. So a
//! recorded reply cannot keep a ping node alive, and a group lives by the first host that answers.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use pnet_packet::Packet;
use pnet_packet::icmp::echo_reply::EchoReplyPacket;
use pnet_packet::icmp::echo_request::MutableEchoRequestPacket;
use pnet_packet::icmp::{IcmpPacket, IcmpTypes, checksum};
use pnet_packet::icmpv6::{Icmpv6Type, Icmpv6Types, MutableIcmpv6Packet};
use pnet_packet::ipv4::Ipv4Packet;

use super::auth::KeyRing;
use super::codec::encode_datagram;
use super::field::{self, kind};
use super::message::Message;
use super::name::NodeName;
use super::status::NodeStatus;
use super::wire::EncodeError;
use crate::clock::Monotonic;
use crate::protocol::wire::MessageFormat;

/// Requests remembered per ping node, as many as in legacy. At a keepalive of 20 ms the oldest is
/// two and a half seconds old: no usable network takes longer.
pub const MAX_OUTSTANDING: usize = 128;

/// The directive of a group, and its name in messages.
pub const PING_GROUP: &str = "ping_group";

/// Bytes before the payload of an echo request or reply.
const ECHO_HEADER_BYTES: usize = 8;

/// The length of an IPv4 header is counted in units of four bytes.
const IPV4_HEADER_UNIT_BYTES: usize = 4;

/// The ICMP version by which a host is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// ICMP over IPv4.
    V4,
    /// ICMPv6.
    V6,
}

impl Family {
    /// The version for an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// Distinguishes our requests from those of other programs on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identifier(pub u16);

impl Identifier {
    /// The low 16 bits of the process id. Legacy stores them in host byte order.
    #[must_use]
    pub const fn of_process(pid: u32) -> Self {
        let [.., high, low] = pid.to_be_bytes();
        Self(u16::from_be_bytes(
            u16::from_be_bytes([high, low]).to_ne_bytes(),
        ))
    }
}

/// One echo reply, its payload not interpreted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The identifier of the request that it answers.
    pub identifier: Identifier,
    /// The sequence number of that request.
    pub sequence: u16,
    /// The payload of that request, if the network did not change it.
    pub payload: &'a [u8],
}

/// An echo request, checksum included; ICMPv6 gets its checksum from the kernel, which knows the
/// addresses. `None` when the payload does not fit a packet.
#[must_use]
pub fn request(
    family: Family,
    identifier: Identifier,
    sequence: u16,
    payload: &[u8],
) -> Option<Vec<u8>> {
    let length = ECHO_HEADER_BYTES.checked_add(payload.len())?;
    if length > usize::from(u16::MAX) {
        return None;
    }
    let mut bytes = vec![0; length];
    let mut echo = MutableEchoRequestPacket::new(&mut bytes)?;
    echo.set_icmp_type(IcmpTypes::EchoRequest);
    echo.set_identifier(identifier.0);
    echo.set_sequence_number(sequence);
    echo.set_payload(payload);
    match family {
        Family::V4 => {
            let sum = checksum(&IcmpPacket::new(echo.packet())?);
            echo.set_checksum(sum);
        }
        // The two echo requests differ only in their type.
        Family::V6 => {
            MutableIcmpv6Packet::new(&mut bytes)?.set_icmpv6_type(Icmpv6Types::EchoRequest)
        }
    }
    Some(bytes)
}

/// Reads what a raw socket received: IPv4 with its IP header, ICMPv6 without. `None` for everything
/// that is not an echo reply.
#[must_use]
pub fn reply(family: Family, heard: &[u8]) -> Option<Reply<'_>> {
    let icmp = match family {
        Family::V4 => {
            let units = usize::from(Ipv4Packet::new(heard)?.get_header_length());
            heard.get(units.checked_mul(IPV4_HEADER_UNIT_BYTES)?..)?
        }
        Family::V6 => heard,
    };
    let echo = EchoReplyPacket::new(icmp)?;
    let is_reply = match family {
        Family::V4 => echo.get_icmp_type() == IcmpTypes::EchoReply,
        Family::V6 => Icmpv6Type(echo.get_icmp_type().0) == Icmpv6Types::EchoReply,
    };
    is_reply.then_some(Reply {
        identifier: Identifier(echo.get_identifier()),
        sequence: echo.get_sequence_number(),
        payload: icmp.get(ECHO_HEADER_BYTES..)?,
    })
}

/// One request without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sent {
    sequence: u16,
    at: Monotonic,
    payload: Bytes,
    message: Message,
}

/// Asks one ping node or ping group and judges the answers. Does no I/O and reads no clock.
#[derive(Debug, Clone)]
pub struct Pinger {
    name: NodeName,
    /// `ping`, `ping6` or `ping_group`.
    medium: &'static str,
    hosts: Vec<IpAddr>,
    identifier: Identifier,
    deadping: Duration,
    next: u16,
    /// Unanswered requests, oldest first.
    sent: VecDeque<Sent>,
}

/// A request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Number of the request; the same for all hosts of a group.
    pub sequence: u16,
    /// Its payload.
    pub payload: Bytes,
}

impl Pinger {
    /// `deadping`: replies to older requests do not count.
    #[must_use]
    pub const fn new(
        name: NodeName,
        medium: &'static str,
        hosts: Vec<IpAddr>,
        identifier: Identifier,
        deadping: Duration,
    ) -> Self {
        Self {
            name,
            medium,
            hosts,
            identifier,
            deadping,
            next: 0,
            sent: VecDeque::new(),
        }
    }

    /// The hosts to ask: the last host of a group first, as in legacy.
    pub fn hosts(&self) -> impl Iterator<Item = IpAddr> {
        self.hosts.iter().rev().copied()
    }

    /// The identifier of all requests.
    #[must_use]
    pub const fn identifier(&self) -> Identifier {
        self.identifier
    }

    /// The request to send when `message` leaves this node: there is one for a status, and none for
    /// other messages.
    ///
    /// The message in it is signed twice in both message formats, field and trailer, as in legacy.
    ///
    /// # Errors
    /// [`EncodeError`] when the message cannot be written.
    pub fn ask(
        &mut self,
        message: &Message,
        keys: &KeyRing,
        now: Monotonic,
    ) -> Result<Option<Question>, EncodeError> {
        if message.kind() != Some(kind::STATUS) {
            return Ok(None);
        }
        let Some(ts) = message.text(field::TS) else {
            return Ok(None);
        };
        let message = Message::new(kind::NS_STATUS)
            .with(field::ST, NodeStatus::Ping.as_str())
            .with(field::INFO, self.medium)
            .with(field::SRC, self.name.as_str())
            .with(field::TS, ts);
        let payload = encode_datagram(&message, keys, MessageFormat::Classic)?;
        let sequence = self.next;
        self.next = self.next.wrapping_add(1);
        self.forget_old(now);
        if self.sent.len() >= MAX_OUTSTANDING {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent {
            sequence,
            at: now,
            payload: payload.clone(),
            message,
        });
        Ok(Some(Question { sequence, payload }))
    }

    /// The message in a reply, if the reply counts. `from` is, for a group, one of its hosts.
    pub fn answer(
        &mut self,
        reply: &Reply<'_>,
        from: Option<IpAddr>,
        now: Monotonic,
    ) -> Option<Message> {
        if reply.identifier != self.identifier {
            return None;
        }
        let of_a_group = self.medium == PING_GROUP;
        if of_a_group && !from.is_some_and(|from| self.hosts.contains(&from)) {
            return None;
        }
        self.forget_old(now);
        let place = self.sent.iter().position(|sent| {
            sent.sequence == reply.sequence && sent.payload.as_ref() == reply.payload
        })?;
        self.sent.remove(place).map(|sent| sent.message)
    }

    fn forget_old(&mut self, now: Monotonic) {
        let is_old = |sent: &Sent| now.since(sent.at) > self.deadping;
        while self.sent.front().is_some_and(is_old) {
            self.sent.pop_front();
        }
    }
}

#[cfg(test)]
#[path = "ping/tests.rs"]
mod tests;
