//! What the kernel reports of its own accord: addresses that come and go, interfaces that change.
//!
//! Reading a datagram is pure. [`Subscription`] owns the socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, socket,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Multicast groups: interfaces, IPv4 addresses, IPv6 addresses.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

/// Longest datagram that is read. The kernel's are shorter, but for interfaces with very many virtual ones.
const MAX_BYTES: usize = 32 * 1024;

/// Datagrams that are read at once.
const MAX_AT_ONCE: usize = 256;

const HEADER_BYTES: usize = 16;
const ADDRESS_BYTES: usize = 8;
const NEW_LINK: u16 = 16;
const DELETED_LINK: u16 = 17;
const NEW_ADDRESS: u16 = 20;
const DELETED_ADDRESS: u16 = 21;
const ATTRIBUTE_ADDRESS: u16 = 1;
const ATTRIBUTE_LOCAL: u16 = 2;

/// One report of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// An address was removed.
    Removed {
        /// It.
        address: IpAddr,
        /// The port of the request: the process id of who asked for it, or a number that is none. 0: nobody.
        port: u32,
    },
    /// An address came or changed, or an interface.
    Changed,
    /// Reports were lost.
    Lost,
}

/// The reports in one datagram. What cannot be read counts as lost.
#[must_use]
pub fn read(datagram: &[u8]) -> Vec<News> {
    let mut found = Vec::new();
    let mut rest = datagram;
    while !rest.is_empty() {
        let length = word(rest, 0).and_then(|length| usize::try_from(length).ok());
        let message = length
            .filter(|length| *length >= HEADER_BYTES)
            .and_then(|length| rest.get(..length));
        let Some(message) = message else {
            found.push(News::Lost);
            return found;
        };
        match half(message, 4) {
            Some(NEW_LINK | DELETED_LINK | NEW_ADDRESS) => found.push(News::Changed),
            Some(DELETED_ADDRESS) => found.push(removed(message)),
            _ => {}
        }
        let next = message.len().div_ceil(4).saturating_mul(4);
        rest = rest.get(next..).unwrap_or_default();
    }
    found
}

fn removed(message: &[u8]) -> News {
    let (mut local, mut peer) = (None, None);
    let mut rest = message
        .get(HEADER_BYTES.saturating_add(ADDRESS_BYTES)..)
        .unwrap_or_default();
    while let Some(length) = half(rest, 0).map(usize::from).filter(|it| *it >= 4) {
        let value = rest.get(4..length).unwrap_or_default();
        match half(rest, 2) {
            Some(ATTRIBUTE_LOCAL) => local = ip(value),
            Some(ATTRIBUTE_ADDRESS) => peer = ip(value),
            _ => {}
        }
        let next = length.div_ceil(4).saturating_mul(4);
        rest = rest.get(next..).unwrap_or_default();
    }
    match (local.or(peer), word(message, 12)) {
        (Some(address), Some(port)) => News::Removed { address, port },
        _ => News::Changed,
    }
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::V4(Ipv4Addr::from(four)));
    }
    let sixteen = <[u8; 16]>::try_from(bytes).ok()?;
    Some(IpAddr::V6(Ipv6Addr::from(sixteen)))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(four.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_ne_bytes(two.try_into().ok()?))
}

/// A socket that receives the kernel's reports. The runtime knows datagram sockets, and to it a netlink socket is
/// one.
#[derive(Debug)]
pub struct Subscription {
    socket: UdpSocket,
}

impl Subscription {
    /// Subscribes in the network namespace of this thread. Needs a `tokio` runtime.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn open() -> io::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkRoute,
        )?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
        Ok(Self {
            socket: UdpSocket::from_std(socket.into())?,
        })
    }

    /// Waits for reports; gives all that are there, up to a limit.
    ///
    /// # Errors
    /// The socket can no longer be read.
    pub async fn next(&self) -> io::Result<Vec<News>> {
        let mut buffer = vec![0; MAX_BYTES];
        loop {
            self.socket.readable().await?;
            let mut news = Vec::new();
            for _ in 0..MAX_AT_ONCE {
                let received = self.socket.try_io(Interest::READABLE, || {
                    let descriptor = self.socket.as_raw_fd();
                    recvfrom::<NetlinkAddr>(descriptor, &mut buffer).map_err(io::Error::from)
                });
                match received {
                    Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    // Only the kernel is believed: other programs can send to this socket.
                    Ok((_, Some(sender))) if sender.pid() != 0 => {}
                    // Cut off.
                    Ok((count, _)) if count >= MAX_BYTES => news.push(News::Lost),
                    Ok((count, _)) => news.extend(read(buffer.get(..count).unwrap_or_default())),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                        news.push(News::Lost);
                    }
                    Err(error) => return Err(error),
                }
            }
            if !news.is_empty() {
                return Ok(news);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, port: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER_BYTES + body.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 6]);
        bytes.extend(port.to_ne_bytes());
        bytes.extend(body);
        bytes
    }

    fn deletion(port: u32, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![0; ADDRESS_BYTES];
        for (kind, value) in attributes {
            body.extend(u16::try_from(4 + value.len()).unwrap().to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend(*value);
        }
        message(DELETED_ADDRESS, port, &body)
    }

    #[test]
    fn a_removal_has_its_address_and_who_asked_for_it() {
        let four = deletion(77, &[(1, &[10, 0, 0, 9]), (2, &[10, 0, 0, 1])]);
        let six = deletion(0, &[(1, &[0xfd; 16])]);
        let datagram = [four, message(NEW_LINK, 0, &[0; 16]), six].concat();
        assert_eq!(
            read(&datagram),
            [
                News::Removed {
                    address: IpAddr::from([10, 0, 0, 1]),
                    port: 77
                },
                News::Changed,
                News::Removed {
                    address: IpAddr::from([0xfd; 16]),
                    port: 0
                },
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_lost_or_a_change_and_never_a_panic() {
        assert_eq!(read(&[]), []);
        assert_eq!(read(&[1, 2, 3]), [News::Lost]);
        assert_eq!(read(&message(3, 0, &[])), []);
        assert_eq!(read(&deletion(1, &[(2, &[10, 0])])), [News::Changed]);
        let whole = deletion(77, &[(2, &[10, 0, 0, 1]), (3, b"eth0:0\0")]);
        for length in 0..whole.len() {
            let _ = read(&whole[..length]);
        }
        for place in 0..whole.len() {
            for value in [0, 1, 3, 4, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[place] = value;
                let _ = read(&bytes);
            }
        }
    }

    #[tokio::test]
    async fn the_kernel_can_be_subscribed_to() {
        let _ = Subscription::open().expect("a socket");
    }
}
