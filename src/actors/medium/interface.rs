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
    /// Where broadcasts are sent to; `None`: the interface has no address, or cannot broadcast.
    pub broadcast: Option<Ipv4Addr>,
    /// It has IPv6 addresses. Where it has lost all of them, with an MTU below 1280 for example, it has lost its groups too.
    pub ipv6: bool,
}

impl InterfaceState {
    /// What sockets of that family depend on: a service address of the other family concerns them not.
    #[must_use]
    pub(super) const fn for_family(mut self, ipv6: bool) -> Self {
        if ipv6 {
            (self.address, self.broadcast) = (None, None);
        } else {
            self.ipv6 = false;
        }
        self
    }
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
        let ipv6 = |address: SockaddrStorage| address.as_sockaddr_in6().is_some();
        state.ipv6 |= entry.address.is_some_and(ipv6);
        let Some(address) = entry
            .address
            .and_then(|found| Some(found.as_sockaddr_in()?.ip()))
        else {
            continue;
        };
        if state.address.is_none() {
            let ip = |found: SockaddrStorage| Some(found.as_sockaddr_in()?.ip());
            state.address = Some(address);
            state.broadcast = entry
                .flags
                .contains(InterfaceFlags::IFF_BROADCAST)
                .then(|| {
                    let told = entry.broadcast.and_then(ip);
                    broadcast_of(address, told, entry.netmask.and_then(ip))
                });
        }
    }
    Ok(Some(state))
}

/// Where broadcasts from `address` go. `told`: what the C library says. An address that was set without a broadcast
/// address (`ip address add 10.0.0.1/24` without `brd +`) has none, and then the C library names the address itself: a
/// heartbeat that is sent there reaches nobody. The kernel knows the broadcast address of the network all the same. A
/// network of one or two addresses has none: there every host hears 255.255.255.255.
fn broadcast_of(address: Ipv4Addr, told: Option<Ipv4Addr>, netmask: Option<Ipv4Addr>) -> Ipv4Addr {
    if let Some(told) = told.filter(|told| !told.is_unspecified() && *told != address) {
        return told;
    }
    let hosts = netmask.map_or(0, |mask| !u32::from(mask));
    if hosts <= 1 {
        return Ipv4Addr::BROADCAST;
    }
    Ipv4Addr::from(u32::from(address) | hosts)
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
    fn an_address_without_a_broadcast_address_has_that_of_its_network() {
        let ip = |text: &str| Some(text.parse::<Ipv4Addr>().expect("an address"));
        for (told, netmask, right) in [
            ("10.7.0.255", "255.255.255.0", "10.7.0.255"),
            ("10.7.255.255", "255.255.255.0", "10.7.255.255"),
            ("10.7.0.1", "255.255.255.0", "10.7.0.255"),
            ("0.0.0.0", "255.255.0.0", "10.7.255.255"),
            ("10.7.0.1", "255.255.255.252", "10.7.0.3"),
            ("10.7.0.1", "255.255.255.254", "255.255.255.255"),
            ("10.7.0.1", "255.255.255.255", "255.255.255.255"),
        ] {
            let address = Ipv4Addr::new(10, 7, 0, 1);
            let found = broadcast_of(address, ip(told), ip(netmask));
            assert_eq!(Some(found), ip(right), "{told} {netmask}");
        }
        let nothing = broadcast_of(Ipv4Addr::new(10, 7, 0, 1), None, None);
        assert_eq!(nothing, Ipv4Addr::BROADCAST);
    }

    #[test]
    fn a_medium_does_not_see_addresses_of_the_other_family() {
        let bare = InterfaceState {
            index: 2,
            up: true,
            ..InterfaceState::default()
        };
        let with_ipv4 = InterfaceState {
            address: Some(Ipv4Addr::new(10, 7, 0, 1)),
            broadcast: Some(Ipv4Addr::new(10, 7, 0, 255)),
            ..bare
        };
        let with_ipv6 = InterfaceState { ipv6: true, ..bare };
        assert_eq!(with_ipv4.for_family(true), bare.for_family(true));
        assert_ne!(with_ipv6.for_family(true), bare.for_family(true));
        assert_eq!(with_ipv6.for_family(false), bare.for_family(false));
        assert_ne!(with_ipv4.for_family(false), bare.for_family(false));
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
    fn an_interface_that_does_not_exist_is_none() {
        assert_eq!(read("nosuch0").expect("readable"), None);
        assert_eq!(read("much-too-long-for-a-name").expect("readable"), None);
    }
}
