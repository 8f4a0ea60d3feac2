//! `ucast`: IPv4 unicast to one peer, and the receive socket that all lines of an interface and
//! port share. Spec: docs/protocol/wire.md, 18.3.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::Domain;

use super::udp::{ANY4, AtStep, Step, StepResult, bind, bind_to_device, count_drops, udp};

/// `IPTOS_LOWDELAY`.
const LOW_DELAY: u32 = 0x10;

/// A socket that sends on `device` alone.
pub(super) fn send_socket(device: &str) -> StepResult<UdpSocket> {
    let socket = udp(Domain::IPV4)?;
    socket.set_tos_v4(LOW_DELAY).at(Step::Option("IP_TOS"))?;
    bind_to_device(&socket, device)?;
    Ok(socket.into())
}

/// A socket that hears everything for `port` on `device`, whoever sends it.
///
/// `IP_MULTICAST_ALL` is off, or it would also hear the groups that `mcast` media have joined.
pub(super) fn receive_socket(device: &str, port: u16, share_port: bool) -> StepResult<UdpSocket> {
    let socket = udp(Domain::IPV4)?;
    if share_port {
        socket
            .set_reuse_port(true)
            .at(Step::Option("SO_REUSEPORT"))?;
    }
    socket
        .set_multicast_all_v4(false)
        .at(Step::Option("IP_MULTICAST_ALL"))?;
    bind_to_device(&socket, device)?;
    count_drops(&socket)?;
    // A `bcast` line and `ucast` lines are told apart by it.
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)
        .map_err(io::Error::from)
        .at(Step::Option("IP_PKTINFO"))?;
    bind(&socket, SocketAddr::new(ANY4, port))?;
    Ok(socket.into())
}
