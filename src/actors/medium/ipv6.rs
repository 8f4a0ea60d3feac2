//! `ucast6` and `mcast6`. Spec: docs/protocol/wire.md, 18.5.
//!
//! All sockets are for IPv6 alone, so that the IPv4 media may use the same port. Link-local
//! destinations carry the interface as their scope.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

use nix::libc::ENOPROTOOPT;
use socket2::{Domain, Socket};

use super::udp::{AtStep, Step, StepResult, bind, bind_to_device, count_drops, udp};

/// Both buffers of `ucast6`, as legacy sets them. The kernel may grant less.
const BUFFER_BYTES: usize = 1024 * 1024;

/// `to` with its scope, if it needs one.
pub(super) fn destination(to: Ipv6Addr, port: u16, index: u32) -> SocketAddr {
    let scoped = to.is_unicast_link_local() || to.is_multicast();
    SocketAddrV6::new(to, port, 0, if scoped { index } else { 0 }).into()
}

fn udp6() -> StepResult<Socket> {
    let socket = udp(Domain::IPV6)?;
    socket.set_only_v6(true).at(Step::Option("IPV6_V6ONLY"))?;
    Ok(socket)
}

fn udp6_with_buffers() -> StepResult<Socket> {
    let socket = udp6()?;
    socket
        .set_recv_buffer_size(BUFFER_BYTES)
        .at(Step::Option("SO_RCVBUF"))?;
    socket
        .set_send_buffer_size(BUFFER_BYTES)
        .at(Step::Option("SO_SNDBUF"))?;
    Ok(socket)
}

/// Groups that other programs have joined are none of the socket's. A kernel before 4.20 has no such
/// option, and a medium can do without it.
fn joined_groups_alone(socket: &Socket) -> StepResult<()> {
    match socket.set_multicast_all_v6(false) {
        Err(error) if error.raw_os_error() == Some(ENOPROTOOPT) => Ok(()),
        answer => answer.at(Step::Option("IPV6_MULTICAST_ALL")),
    }
}

/// A socket that sends on `device` alone.
pub(super) fn send_socket(device: &str) -> StepResult<UdpSocket> {
    let socket = udp6_with_buffers()?;
    bind_to_device(&socket, device)?;
    Ok(socket.into())
}

/// A socket that hears everything for `port` on `device`, whoever sends it.
pub(super) fn receive_socket(device: &str, port: u16) -> StepResult<UdpSocket> {
    let socket = udp6_with_buffers()?;
    socket
        .set_reuse_port(true)
        .at(Step::Option("SO_REUSEPORT"))?;
    joined_groups_alone(&socket)?;
    bind_to_device(&socket, device)?;
    count_drops(&socket)?;
    bind(&socket, SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))?;
    Ok(socket.into())
}

/// A socket whose multicasts leave by the interface numbered `index`.
pub(super) fn group_send_socket(index: u32, hops: u8, loopback: bool) -> StepResult<UdpSocket> {
    let socket = udp6()?;
    socket
        .set_multicast_if_v6(index)
        .at(Step::Option("IPV6_MULTICAST_IF"))?;
    socket
        .set_multicast_hops_v6(u32::from(hops))
        .at(Step::Option("IPV6_MULTICAST_HOPS"))?;
    socket
        .set_multicast_loop_v6(loopback)
        .at(Step::Option("IPV6_MULTICAST_LOOP"))?;
    Ok(socket.into())
}

/// A socket that hears `group` on `device`, whose number is `index`.
///
/// It is bound to the device: for IPv6 the kernel compares only the group, whichever interface it was
/// joined on. With one group on two interfaces each datagram would be heard by both media, and a dead
/// cable would look alive.
pub(super) fn group_receive_socket(
    group: Ipv6Addr,
    port: u16,
    device: &str,
    index: u32,
) -> StepResult<UdpSocket> {
    let socket = udp6()?;
    joined_groups_alone(&socket)?;
    bind_to_device(&socket, device)?;
    count_drops(&socket)?;
    bind(&socket, SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))?;
    socket
        .join_multicast_v6(&group, index)
        .at(Step::Join(IpAddr::V6(group)))?;
    Ok(socket.into())
}
