//! A UDP socket, set up step by step: what the sockets of every transport have in common.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// A step of setting up a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make it.
    Create,
    /// An option of it.
    Option(&'static str),
    /// `SO_BINDTODEVICE`.
    BindToDevice,
    /// The local address.
    Bind(SocketAddr),
    /// Joining the group.
    Join(IpAddr),
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Create => f.write_str("create socket"),
            Self::Option(name) => write!(f, "set {name}"),
            Self::BindToDevice => f.write_str("bind socket to the interface"),
            Self::Bind(address) => write!(f, "bind socket to {address}"),
            Self::Join(group) => write!(f, "join group {group}"),
        }
    }
}

/// Says which step failed; the rest of a [`MediumError::Socket`](super::MediumError::Socket) is added by [`open`](super::open).
pub(super) type StepResult<T> = Result<T, (Step, io::Error)>;

/// Adds the step to an `io::Result`.
pub(super) trait AtStep<T> {
    fn at(self, step: Step) -> StepResult<T>;
}

impl<T> AtStep<T> for io::Result<T> {
    fn at(self, step: Step) -> StepResult<T> {
        self.map_err(|error| (step, error))
    }
}

/// A UDP socket that does not block and is not inherited by children.
pub(super) fn udp(domain: Domain) -> StepResult<Socket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).at(Step::Create)?;
    socket
        .set_nonblocking(true)
        .at(Step::Option("O_NONBLOCK"))?;
    Ok(socket)
}

/// Asks the kernel to count what it drops because this socket's buffer is full.
pub(super) fn count_drops(socket: &Socket) -> StepResult<()> {
    let step = Step::Option("SO_RXQ_OVFL");
    setsockopt(socket, sockopt::RxqOvfl, &1)
        .map_err(io::Error::from)
        .at(step)
}

/// Binds to `address` with `SO_REUSEADDR`.
pub(super) fn bind(socket: &Socket, address: SocketAddr) -> StepResult<()> {
    socket
        .set_reuse_address(true)
        .at(Step::Option("SO_REUSEADDR"))?;
    socket.bind(&address.into()).at(Step::Bind(address))
}

/// Ties a socket to one interface.
pub(super) fn bind_to_device(socket: &Socket, device: &str) -> StepResult<()> {
    socket
        .bind_device(Some(device.as_bytes()))
        .at(Step::BindToDevice)
}

/// Every IPv4 address of this machine.
pub(super) const ANY4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Whether the socket is of no use any more: its device is gone. A device that is down, a missing route, a full queue
/// pass, and so does an interface without an IPv6 address that may send: a new one is checked for a second or two, and
/// what the others send is received meanwhile.
pub(super) fn is_fatal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENODEV | libc::ENXIO | libc::EBADF | libc::ENOTSOCK)
    )
}
