//! `mcast`: IPv4 multicast on one interface. Spec: docs/protocol/wire.md, 18.2.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use socket2::{Domain, InterfaceIndexOrAddress};

use super::udp::{AtStep, Step, StepResult, bind, count_drops, udp};

/// A socket whose multicasts leave by the interface that has `address`.
pub(super) fn send_socket(address: Ipv4Addr, ttl: u8, loopback: bool) -> StepResult<UdpSocket> {
    let socket = udp(Domain::IPV4)?;
    socket
        .set_multicast_if_v4(&address)
        .at(Step::Option("IP_MULTICAST_IF"))?;
    socket
        .set_multicast_ttl_v4(u32::from(ttl))
        .at(Step::Option("IP_MULTICAST_TTL"))?;
    socket
        .set_multicast_loop_v4(loopback)
        .at(Step::Option("IP_MULTICAST_LOOP"))?;
    Ok(socket.into())
}

/// A socket that hears `group` on the interface numbered `index`.
///
/// `IP_MULTICAST_ALL` is off: with one group on two interfaces legacy hears each datagram by both
/// media, so that a dead cable looks alive.
pub(super) fn receive_socket(group: Ipv4Addr, port: u16, index: u32) -> StepResult<UdpSocket> {
    let socket = udp(Domain::IPV4)?;
    socket
        .set_multicast_all_v4(false)
        .at(Step::Option("IP_MULTICAST_ALL"))?;
    count_drops(&socket)?;
    bind(&socket, SocketAddr::from((group, port)))?;
    socket
        .join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index))
        .at(Step::Join(IpAddr::V4(group)))?;
    Ok(socket.into())
}
