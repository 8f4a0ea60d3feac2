//! Ethernet frames of ARP and of IPv6 neighbour discovery, as bytes. Pure.
//!
//! Both functions return `None` only if a buffer does not have the size of its packet, which never
//! happens.

use std::net::{Ipv4Addr, Ipv6Addr};

use pnet_packet::arp::{ArpHardwareTypes, ArpOperation, MutableArpPacket};
use pnet_packet::ethernet::{EtherType, EtherTypes, MutableEthernetPacket};
use pnet_packet::icmpv6::{Icmpv6Packet, MutableIcmpv6Packet, checksum};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv6::MutableIpv6Packet;

/// A hardware address.
pub type Mac = [u8; 6];

pub(super) const ETHERNET_BYTES: usize = 14;
pub(super) const IPV6_BYTES: usize = 40;
/// ARP for IPv4 over Ethernet.
pub(super) const ARP_BYTES: usize = 28;

/// The only hop limit of neighbour discovery: a router lowers it, so nothing else comes from the link itself.
pub(super) const HOP_LIMIT: u8 = 255;

const EVERYBODY: Mac = [0xff; 6];

/// A frame with room for `body_bytes` after its header.
fn ethernet(from: Mac, to: Mac, kind: EtherType, body_bytes: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; ETHERNET_BYTES.checked_add(body_bytes)?];
    let mut ethernet = MutableEthernetPacket::new(&mut bytes)?;
    ethernet.set_destination(to.into());
    ethernet.set_source(from.into());
    ethernet.set_ethertype(kind);
    Some(bytes)
}

/// An ARP message to all hosts.
pub(super) fn arp(
    operation: ArpOperation,
    (sender_mac, sender): (Mac, Ipv4Addr),
    (target_mac, target): (Mac, Ipv4Addr),
) -> Option<Vec<u8>> {
    let mut bytes = ethernet(sender_mac, EVERYBODY, EtherTypes::Arp, ARP_BYTES)?;
    let mut arp = MutableArpPacket::new(bytes.get_mut(ETHERNET_BYTES..)?)?;
    arp.set_hardware_type(ArpHardwareTypes::Ethernet);
    arp.set_protocol_type(EtherTypes::Ipv4);
    arp.set_hw_addr_len(6);
    arp.set_proto_addr_len(4);
    arp.set_operation(operation);
    arp.set_sender_hw_addr(sender_mac.into());
    arp.set_sender_proto_addr(sender);
    arp.set_target_hw_addr(target_mac.into());
    arp.set_target_proto_addr(target);
    Some(bytes)
}

/// A message of IPv6 neighbour discovery, `body_bytes` long. `fill` writes it except for its
/// checksum.
pub(super) fn neighbour_discovery(
    (source_mac, source): (Mac, Ipv6Addr),
    (destination_mac, destination): (Mac, Ipv6Addr),
    body_bytes: usize,
    fill: impl FnOnce(&mut [u8]) -> Option<()>,
) -> Option<Vec<u8>> {
    let packet_bytes = IPV6_BYTES.checked_add(body_bytes)?;
    let mut bytes = ethernet(source_mac, destination_mac, EtherTypes::Ipv6, packet_bytes)?;
    let packet = bytes.get_mut(ETHERNET_BYTES..)?;
    let (header, body) = packet.split_at_mut_checked(IPV6_BYTES)?;
    let mut ipv6 = MutableIpv6Packet::new(header)?;
    ipv6.set_version(6);
    ipv6.set_payload_length(u16::try_from(body.len()).ok()?);
    ipv6.set_next_header(IpNextHeaderProtocols::Icmpv6);
    // Receivers drop neighbour discovery that a router may have forwarded.
    ipv6.set_hop_limit(HOP_LIMIT);
    ipv6.set_source(source);
    ipv6.set_destination(destination);
    fill(body)?;
    let sum = checksum(&Icmpv6Packet::new(body)?, &source, &destination);
    MutableIcmpv6Packet::new(body)?.set_checksum(sum);
    Some(bytes)
}
