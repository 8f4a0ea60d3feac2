//! The raw ICMP socket of a ping node: what the kernel lets through, and reading it.
//! Spec: docs/protocol/wire.md, 19.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{SockaddrStorage, recvfrom};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::net::UdpSocket;
use tracing::debug;

use crate::actors::medium;
use crate::config::types::PingConfig;
use crate::protocol::ping::{Family, Identifier};

/// Why a ping node cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("{medium} {name}: cannot open a raw ICMP socket: {source}")]
pub struct PingError {
    /// Directive in ha.cf.
    medium: &'static str,
    /// Ping node.
    name: String,
    /// The error of the system.
    source: io::Error,
}

/// A raw socket that does not block. The runtime knows datagram sockets, and to it a raw socket is
/// one.
#[derive(Debug)]
pub struct OpenPing(pub(super) std::net::UdpSocket);

/// The ICMP protocol for a ping node. A group has only IPv4 hosts; a group without a host that
/// could be resolved gets no request and is dead.
pub(super) fn family(config: &PingConfig) -> Family {
    config
        .hosts
        .first()
        .map_or(Family::V4, |host| Family::of(*host))
}

/// The identifier of all requests of this process.
pub(super) fn own_identifier() -> Identifier {
    Identifier::of_process(std::process::id())
}

/// Lets the kernel drop everything that is no echo reply to us. Otherwise a ping flood at this host
/// would wake the thread that sends heartbeats, and push the replies out of the socket's buffer.
fn filter(family: Family, Identifier(identifier): Identifier) -> Vec<SockFilter> {
    // Classic BPF: opcodes of linux/bpf_common.h.
    const LOAD_HEADER_LENGTH: u16 = 0xb1;
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const BEHIND_HEADER: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let step = |code, k| SockFilter::new(code, 0, 0, k);
    // IPv4 comes with its header, whose length differs; ICMPv6 without. An indexed load is the
    // plain one with another addressing mode: 0x40 instead of 0x20.
    let (first, mode, reply) = match family {
        Family::V4 => (Some(step(LOAD_HEADER_LENGTH, 0)), BEHIND_HEADER, 0),
        Family::V6 => (None, 0, 129),
    };
    let rest = [
        step(LOAD_BYTE + mode, 0),
        SockFilter::new(JUMP_IF_EQUAL, 0, 3, reply),
        step(LOAD_HALF + mode, 4),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, u32::from(identifier)),
        step(RETURN, u32::MAX),
        step(RETURN, 0),
    ];
    first.into_iter().chain(rest).collect()
}

/// A raw socket that receives only the replies to this process, where the kernel can tell.
pub(super) fn open_socket(family: Family) -> io::Result<OpenPing> {
    let (domain, protocol) = match family {
        Family::V4 => (Domain::IPV4, Protocol::ICMPV4),
        Family::V6 => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if let Err(error) = socket.attach_filter(&filter(family, own_identifier())) {
        // It works without a filter: replies are checked here as well.
        debug!(%error, "no filter for ICMP");
    }
    Ok(OpenPing(socket.into()))
}

/// Opens the socket of one ping node.
///
/// # Errors
/// [`PingError`]: usually that the privilege `CAP_NET_RAW` is missing.
pub fn open(config: &PingConfig) -> Result<OpenPing, PingError> {
    open_socket(family(config)).map_err(|source| PingError {
        medium: config.medium,
        name: config.name.to_string(),
        source,
    })
}

/// Where a request to `host` goes. `interface` is looked up each time: another one may have come under its name.
pub(super) fn destination(host: IpAddr, interface: Option<&str>) -> SocketAddr {
    match (host, interface) {
        (IpAddr::V6(host), Some(name)) => {
            let number = if_nametoindex(name).ok().or_else(|| name.parse().ok());
            SocketAddrV6::new(host, 0, 0, number.unwrap_or(0)).into()
        }
        (host, _) => SocketAddr::new(host, 0),
    }
}

/// As for any medium, and also the error that an earlier request did not fit the path.
pub(super) fn is_passing(error: &io::Error) -> bool {
    medium::is_passing(error) || error.raw_os_error() == Some(nix::libc::EMSGSIZE)
}

/// The next packet, cut to `buffer`, and its sender.
pub(super) fn receive(
    socket: &UdpSocket,
    buffer: &mut [u8],
) -> io::Result<(usize, Option<IpAddr>)> {
    let (length, from) = recvfrom::<SockaddrStorage>(socket.as_raw_fd(), buffer)?;
    let from = from.and_then(|from| {
        let v4 = from.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| from.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    Ok((length, from))
}
