//! Several datagrams with one system call: `recvmmsg`. The existing safe wrapper sets the lengths
//! in its headers only once, so that a second call with them finds no room for control data.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr;

/// Datagrams that one call reads at most.
pub const SLOTS: usize = 16;

/// More than any UDP datagram holds.
const SLOT_BYTES: usize = 65_536;

/// Bytes of control data: a count of drops needs 24 on every 64-bit machine, an address 32.
const CONTROL_BYTES: usize = 64;

/// Room for [`SLOTS`] datagrams of any size. Memory that no datagram has reached is not touched.
pub struct DatagramBuffer {
    bytes: Box<[u8]>,
    filled: [Filled; SLOTS],
}

/// The result of a call for one slot.
#[derive(Clone, Copy, Default)]
struct Filled {
    length: usize,
    from: Option<SocketAddr>,
    drops: Option<u32>,
    to_all: Option<bool>,
}

/// Where the kernel writes an address or control data, aligned for both.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// One datagram of the last call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Its content.
    pub bytes: &'a [u8],
    /// Its sender; `None`: neither IPv4 nor IPv6.
    pub from: Option<SocketAddr>,
    /// The socket's count of datagrams dropped so far, if there were any and `SO_RXQ_OVFL` is set.
    pub drops: Option<u32>,
    /// Whether it was sent to all hosts of a network or group rather than to this one; `None` unless `IP_PKTINFO` is set.
    pub to_all: Option<bool>,
}

impl Default for DatagramBuffer {
    fn default() -> Self {
        Self {
            bytes: vec![0; SLOTS * SLOT_BYTES].into_boxed_slice(),
            filled: [Filled::default(); SLOTS],
        }
    }
}

impl DatagramBuffer {
    /// Reads the datagrams that wait in `socket`, at most [`SLOTS`], without waiting. A smaller
    /// number means that no more waited.
    ///
    /// # Errors
    /// The error of the kernel; `WouldBlock` when nothing waits.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        // SAFETY: plain data, for which all bytes zero is a valid value.
        let (mut headers, mut names): ([libc::mmsghdr; SLOTS], [libc::sockaddr_storage; SLOTS]) =
            unsafe { mem::zeroed() };
        let mut controls = [Control([0; CONTROL_BYTES]); SLOTS];
        let mut pieces = [libc::iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        }; SLOTS];
        let slots = self.bytes.chunks_exact_mut(SLOT_BYTES);
        let parts = slots.zip(&mut pieces).zip(&mut names).zip(&mut controls);
        for (header, (((slot, piece), name), control)) in headers.iter_mut().zip(parts) {
            piece.iov_base = slot.as_mut_ptr().cast();
            piece.iov_len = slot.len();
            let header = &mut header.msg_hdr;
            header.msg_iov = piece;
            header.msg_iovlen = 1;
            header.msg_name = ptr::from_mut(name).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_BYTES as _;
        }
        // SAFETY: each header points to a piece, a name and control data that live until after the
        // call, with their true sizes; no two of them overlap.
        let taken = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                SLOTS as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let taken = usize::try_from(taken).map_err(|_| io::Error::last_os_error())?;
        let taken = taken.min(SLOTS);
        for ((filled, header), name) in self.filled.iter_mut().zip(&headers).zip(&names).take(taken)
        {
            let (drops, to_all) = told(&header.msg_hdr);
            *filled = Filled {
                length: (header.msg_len as usize).min(SLOT_BYTES),
                from: address(name),
                drops,
                to_all,
            };
        }
        Ok(taken)
    }

    /// The datagrams of the last [`receive`](Self::receive), which took `taken`.
    pub fn iter(&self, taken: usize) -> impl Iterator<Item = Datagram<'_>> {
        let slots = self.bytes.chunks_exact(SLOT_BYTES).zip(&self.filled);
        slots.take(taken).map(|(slot, filled)| Datagram {
            bytes: slot.get(..filled.length).unwrap_or_default(),
            from: filled.from,
            drops: filled.drops,
            to_all: filled.to_all,
        })
    }
}

/// The address that the kernel wrote into `name`, which was zero before.
fn address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the storage is larger than any address, aligned for all of them, and its
            // family says that this one is there. Every bit pattern is one of this type.
            let v4 = unsafe { ptr::from_ref(name).cast::<libc::sockaddr_in>().read() };
            let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddr::from((ip, u16::from_be(v4.sin_port))))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { ptr::from_ref(name).cast::<libc::sockaddr_in6>().read() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddr::from((ip, u16::from_be(v6.sin6_port))))
        }
        _ => None,
    }
}

/// The count of drops, and whether the datagram was for all hosts, among the control data of a header that the kernel
/// has filled in.
fn told(header: &libc::msghdr) -> (Option<u32>, Option<bool>) {
    let (mut drops, mut to_all) = (None, None);
    if header.msg_controllen == 0 {
        return (drops, to_all);
    }
    // SAFETY: the kernel has set the control length to what it wrote, and the data lives as long
    // as the header. These functions stay within that length; data of these types holds four bytes
    // and three times four, and is read without a claim to alignment.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        while let Some(found) = control.as_ref() {
            let data = libc::CMSG_DATA(control);
            match (found.cmsg_level, found.cmsg_type) {
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    drops = Some(data.cast::<u32>().read_unaligned());
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    // The destination in its header, and the address of this host that it concerns.
                    to_all = Some(info.ipi_addr.s_addr != info.ipi_spec_dst.s_addr);
                }
                _ => {}
            }
            control = libc::CMSG_NXTHDR(header, control);
        }
    }
    (drops, to_all)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd as _;

    use super::*;

    fn pair(address: &str) -> Option<(UdpSocket, UdpSocket)> {
        let receiver = UdpSocket::bind(address).ok()?;
        let sender = UdpSocket::bind(address).ok()?;
        sender.connect(receiver.local_addr().ok()?).ok()?;
        Some((receiver, sender))
    }

    #[test]
    fn takes_what_waits_with_sizes_and_senders() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Some((receiver, sender)) = pair(address) else {
                assert!(address.starts_with('['), "only IPv6 may be missing");
                continue;
            };
            let mut buffer = DatagramBuffer::default();
            let from = sender.local_addr().ok();
            let contents: [&[u8]; 4] = [b"one", b"", &[7; 60_000], b"two"];
            for content in contents {
                sender.send(content).expect("sent");
            }
            let taken = buffer.receive(receiver.as_fd()).expect("four wait");
            let found: Vec<Datagram<'_>> = buffer.iter(taken).collect();
            let wanted = contents.map(|bytes| Datagram {
                bytes,
                from,
                drops: None,
                to_all: None,
            });
            assert_eq!(found, wanted);
            let nothing = buffer.receive(receiver.as_fd()).expect_err("nothing waits");
            assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        }
    }

    #[test]
    fn takes_no_more_than_there_is_room_for_and_counts_drops_again_and_again() {
        let (receiver, sender) = pair("127.0.0.1:0").expect("two ports");
        nix::sys::socket::setsockopt(&receiver, nix::sys::socket::sockopt::RxqOvfl, &1)
            .expect("an option");
        let mut buffer = DatagramBuffer::default();
        let mut last = 0;
        for round in 0..3_u8 {
            for _ in 0..1000 {
                sender.send(&[round; 2000]).expect("sent");
            }
            assert_eq!(buffer.receive(receiver.as_fd()).ok(), Some(SLOTS));
            while buffer.receive(receiver.as_fd()).is_ok() {}
            sender.send(&[round]).expect("sent");
            assert_eq!(buffer.receive(receiver.as_fd()).ok(), Some(1));
            let drops = buffer.iter(1).find_map(|datagram| datagram.drops);
            assert!(drops > Some(last), "{drops:?} after {last}");
            last = drops.unwrap_or_default();
        }
    }

    #[test]
    fn tells_what_was_sent_to_this_host_alone() {
        let (receiver, sender) = pair("127.0.0.1:0").expect("two ports");
        nix::sys::socket::setsockopt(&receiver, nix::sys::socket::sockopt::Ipv4PacketInfo, &true)
            .expect("an option");
        nix::sys::socket::setsockopt(&receiver, nix::sys::socket::sockopt::RxqOvfl, &1)
            .expect("an option");
        let mut buffer = DatagramBuffer::default();
        sender.send(b"one").expect("sent");
        assert_eq!(buffer.receive(receiver.as_fd()).ok(), Some(1));
        let to_all = buffer.iter(1).find_map(|datagram| datagram.to_all);
        assert_eq!(to_all, Some(false));
    }
}
