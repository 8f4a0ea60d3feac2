//! Opening what a plan asks for. A plain blocking function, used at start, where its error stops
//! the node, and for re-opening.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use super::interface::{self, InterfaceState};
use super::plan::{Line, MediumPlan, Receive};
use super::udp::Step;
use super::{bcast, ipv6, mcast, ucast};

/// Why a medium cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum MediumError {
    /// No interface of that name.
    #[error("interface {interface} does not exist")]
    NoInterface {
        /// Its name.
        interface: String,
    },
    /// `mcast` needs an address to send from.
    #[error("interface {interface} has no IPv4 address")]
    NoAddress {
        /// Its name.
        interface: String,
    },
    /// `bcast` needs a broadcast address to send to.
    #[error("interface {interface} has no IPv4 broadcast address")]
    NoBroadcast {
        /// Its name.
        interface: String,
    },
    /// The interfaces cannot be listed.
    #[error("interface {interface} cannot be looked up: {source}")]
    Lookup {
        /// Its name.
        interface: String,
        /// What the system said.
        source: io::Error,
    },
    /// A step of setting up a socket failed.
    #[error("{kind} {interface}: cannot {step}: {source}")]
    Socket {
        /// Directive in ha.cf.
        kind: &'static str,
        /// Interface.
        interface: String,
        /// What was tried.
        step: Step,
        /// What the system said.
        source: io::Error,
    },
}

impl MediumError {
    /// The directive that it concerns, if it is not the interface as a whole.
    pub(super) const fn kind(&self) -> Option<&'static str> {
        match self {
            Self::NoInterface { .. } | Self::Lookup { .. } => None,
            Self::NoAddress { .. } => Some("mcast"),
            Self::NoBroadcast { .. } => Some("bcast"),
            Self::Socket { kind, .. } => Some(kind),
        }
    }

    /// Whether the interface lacks an address. Other lines of the interface may not need it.
    const fn is_of_the_address(&self) -> bool {
        matches!(self, Self::NoAddress { .. } | Self::NoBroadcast { .. })
    }

    /// Whether it may be gone in a moment: another process holds the port, as the one that we
    /// replace may do for a second.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Socket { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
    }
}

/// A send socket and where it sends to.
#[derive(Debug)]
pub struct Sender {
    /// Not blocking.
    pub socket: UdpSocket,
    /// Destination.
    pub to: SocketAddr,
    /// The line it serves.
    pub line: Line,
}

/// Everything of one plan, open.
#[derive(Debug)]
pub struct OpenMedium {
    /// The interface as it was just before the sockets were made.
    pub interface: InterfaceState,
    /// Not blocking.
    pub receive: UdpSocket,
    /// One per line, but for those that are missing.
    pub send: Vec<Sender>,
    /// Why lines have no socket: the interface lacks an address that they need. Another one is noticed, and then everything
    /// is opened again.
    pub missing: Vec<MediumError>,
}

/// Opens what `plan` asks for. A line that needs an address which its interface does not have, as `bcast` on a tunnel,
/// takes the others with it no more than in legacy, unless it is the only one. An interface that is down will do: a node must be able
/// to start with one dead link of two.
///
/// # Errors
/// [`MediumError`] with the step that failed.
pub fn open(plan: &MediumPlan) -> Result<OpenMedium, MediumError> {
    let name = || plan.interface.clone();
    let interface = interface::read(&plan.interface)
        .map_err(|source| MediumError::Lookup {
            interface: name(),
            source,
        })?
        .ok_or_else(|| MediumError::NoInterface { interface: name() })?
        .for_family(plan.receive.is_ipv6());
    let at_line = |line: &Line| {
        let kind = line.kind();
        move |(step, source)| MediumError::Socket {
            kind,
            interface: name(),
            step,
            source,
        }
    };
    let device = plan.interface.as_str();
    let (mut send, mut missing) = (Vec::with_capacity(plan.send.len()), Vec::new());
    for line in &plan.send {
        match sender(line, device, &interface) {
            Ok(sender) => send.push(sender),
            Err(error) if error.is_of_the_address() => missing.push(error),
            Err(error) => return Err(error),
        }
    }
    if send.is_empty()
        && let Some(error) = missing.pop()
    {
        return Err(error);
    }
    let receive = match plan.receive {
        Receive::Device4 { port, share_port } => ucast::receive_socket(device, port, share_port),
        Receive::Device6 { port } => ipv6::receive_socket(device, port),
        Receive::Group4 { group, port } => mcast::receive_socket(group, port, interface.index),
        Receive::Group6 { group, port } => {
            ipv6::group_receive_socket(group, port, device, interface.index)
        }
    };
    let first = plan
        .send
        .first()
        .copied()
        .unwrap_or(Line::Bcast { port: 0 });
    let receive = receive.map_err(at_line(&first))?;
    Ok(OpenMedium {
        interface,
        receive,
        send,
        missing,
    })
}

/// The send socket of one line.
fn sender(line: &Line, device: &str, interface: &InterfaceState) -> Result<Sender, MediumError> {
    let name = || device.to_owned();
    let at = |(step, source)| MediumError::Socket {
        kind: line.kind(),
        interface: name(),
        step,
        source,
    };
    let (socket, to) = match *line {
        Line::Bcast { port } => {
            let none = || MediumError::NoBroadcast { interface: name() };
            let broadcast = interface.broadcast.ok_or_else(none)?;
            let to = SocketAddr::from((broadcast, port));
            (bcast::send_socket(device).map_err(at)?, to)
        }
        Line::Mcast {
            group,
            port,
            ttl,
            loopback,
        } => {
            let none = || MediumError::NoAddress { interface: name() };
            let address = interface.address.ok_or_else(none)?;
            let to = SocketAddr::from((group, port));
            (mcast::send_socket(address, ttl, loopback).map_err(at)?, to)
        }
        Line::Ucast { peer, port } => {
            let to = SocketAddr::from((peer, port));
            (ucast::send_socket(device).map_err(at)?, to)
        }
        Line::Mcast6 {
            group,
            port,
            hops,
            loopback,
        } => {
            let socket = ipv6::group_send_socket(interface.index, hops, loopback);
            let to = ipv6::destination(group, port, interface.index);
            (socket.map_err(at)?, to)
        }
        Line::Ucast6 { peer, port } => {
            let to = ipv6::destination(peer, port, interface.index);
            (ipv6::send_socket(device).map_err(at)?, to)
        }
    };
    Ok(Sender {
        socket,
        to,
        line: *line,
    })
}
