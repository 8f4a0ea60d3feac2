//! What the kernel says of an interface, and whether that changed.

use std::io;
use std::net::Ipv4Addr;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::SockaddrStorage;

/// What a socket that is open on an interface depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InterfaceState {
    /// Kernel's number. Another one under the same name: removed and made anew.
    pub index: u32,
    /// Administratively up.
    pub up: bool,
    /// The loop-back interface: only this host itself is received there.
    pub loopback: bool,
    /// First IPv4 address without label.
    pub address: Option<Ipv4Addr>,
    /// Its broadcast address: the one that it was given, else the last of its network.
    pub broadcast: Option<Ipv4Addr>,
}

/// Reads the state of interface `name`; `None` when there is none of that name.
///
/// Takes as long as the kernel likes ([`opener`](super::opener)). A service address with a label (`eth0:0`) is another name and not looked at;
/// one without label comes after the interface's own address.
///
/// # Errors
/// What the system said.
pub(super) fn read(name: &str) -> io::Result<Option<InterfaceState>> {
    let Some(index) = number(if_nametoindex(name))? else {
        return Ok(None);
    };
    let mut state = InterfaceState {
        index,
        ..InterfaceState::default()
    };
    for entry in getifaddrs()?.filter(|entry| entry.interface_name == name) {
        state.up |= entry.flags.contains(InterfaceFlags::IFF_UP);
        state.loopback |= entry.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        let Some(address) = entry
            .address
            .and_then(|found| Some(found.as_sockaddr_in()?.ip()))
        else {
            continue;
        };
        if state.address.is_none() {
            state.address = Some(address);
            let ipv4 = |found: SockaddrStorage| Some(found.as_sockaddr_in()?.ip());
            state.broadcast = entry
                .flags
                .contains(InterfaceFlags::IFF_BROADCAST)
                .then(|| {
                    let named = entry.broadcast.and_then(ipv4);
                    broadcast_of(address, named, entry.netmask.and_then(ipv4))
                })
                .flatten();
        }
    }
    Ok(Some(state))
}

/// The address by which all hosts of the network of `address` are reached. `named` is what the C library
/// says. An address that was added without a broadcast address has none, and then it says the address
/// itself; the kernel has a route for the last address of the network all the same, unless the network is
/// a single host or a pair of them.
fn broadcast_of(
    address: Ipv4Addr,
    named: Option<Ipv4Addr>,
    netmask: Option<Ipv4Addr>,
) -> Option<Ipv4Addr> {
    let given = named.filter(|named| !named.is_unspecified() && *named != address);
    given.or_else(|| {
        let host_bits = !netmask?.to_bits();
        (host_bits.count_ones() >= 2).then(|| Ipv4Addr::from_bits(address.to_bits() | host_bits))
    })
}

/// The interface's number, by the kernel's answer; `None`: there is no such interface.
fn number(answer: nix::Result<u32>) -> io::Result<Option<u32>> {
    match answer {
        Ok(index) => Ok(Some(index)),
        Err(Errno::ENODEV | Errno::ENXIO) => Ok(None),
        // The question itself costs a descriptor: that there is none says nothing of the interface, whose
        // sockets are open.
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_cannot_be_asked_is_no_answer() {
        assert_eq!(number(Err(Errno::ENODEV)).expect("an answer"), None);
        // The C library says ENOENT where it finds no descriptor.
        for none in [Errno::EMFILE, Errno::ENOENT, Errno::ENOMEM, Errno::ENOBUFS] {
            assert!(number(Err(none)).is_err(), "{none}");
        }
    }

    #[test]
    fn the_loopback_interface_is_up_and_has_no_broadcast_address() {
        let state = read("lo").expect("readable").expect("there is one");
        assert!(state.up && state.loopback);
        assert_ne!(state.index, 0);
        assert_eq!(state.address, Some(Ipv4Addr::LOCALHOST));
        assert_eq!(state.broadcast, None);
    }

    #[test]
    fn an_address_without_a_broadcast_address_has_that_of_its_network() {
        let ip = |text: &str| Some(text.parse::<Ipv4Addr>().expect("an address"));
        let address = Ipv4Addr::new(10, 7, 0, 1);
        for (named, netmask, broadcast) in [
            ("10.7.0.255", "255.255.255.0", ip("10.7.0.255")),
            ("10.7.255.255", "255.255.255.0", ip("10.7.255.255")),
            // What the C library makes of an address without one, and what an ioctl says of it.
            ("10.7.0.1", "255.255.255.0", ip("10.7.0.255")),
            ("0.0.0.0", "255.255.255.240", ip("10.7.0.15")),
            ("10.7.0.1", "255.255.255.254", None),
            ("10.7.0.1", "255.255.255.255", None),
        ] {
            assert_eq!(
                broadcast_of(address, ip(named), ip(netmask)),
                broadcast,
                "{named} {netmask}"
            );
        }
        assert_eq!(
            broadcast_of(address, None, ip("255.255.0.0")),
            ip("10.7.255.255")
        );
        assert_eq!(broadcast_of(address, Some(address), None), None);
    }

    #[test]
    fn an_interface_that_does_not_exist_is_none() {
        assert_eq!(read("nosuch0").expect("readable"), None);
        assert_eq!(read("much-too-long-for-a-name").expect("readable"), None);
    }
}
