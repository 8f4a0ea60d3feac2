//! `bcast`: IPv4 broadcast on one interface. Spec: docs/protocol/wire.md, 18.1.
//!
//! It receives through the interface's shared socket, [`super::ucast::receive_socket`]. The own
//! packets come back and are taken as duplicates.

use std::io;
use std::net::UdpSocket;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::Domain;

use super::udp::{AtStep, Step, StepResult, bind_to_device, udp};

/// A socket that may broadcast, past the routing table, on `device` alone.
pub(super) fn send_socket(device: &str) -> StepResult<UdpSocket> {
    let socket = udp(Domain::IPV4)?;
    socket
        .set_broadcast(true)
        .at(Step::Option("SO_BROADCAST"))?;
    setsockopt(&socket, sockopt::DontRoute, &true)
        .map_err(io::Error::from)
        .at(Step::Option("SO_DONTROUTE"))?;
    bind_to_device(&socket, device)?;
    Ok(socket.into())
}
