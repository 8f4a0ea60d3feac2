//! Questions of the checks to the host, in addition to those of reading the files.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use nix::unistd::User;

use super::Finding;
use crate::config::Config;
use crate::config::environment::{Environment, Machine};
use crate::config::remembered::Recorder;
use crate::inspect::addresses;
use crate::net::netlink::Netlink;
use crate::net::placement::{Assigned, Interface, Route};
use crate::os::paths::Paths;

/// Interfaces, addresses and routes, from the kernel.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// All interfaces.
    pub interfaces: Vec<Interface>,
    /// All addresses.
    pub assigned: Vec<Assigned>,
    /// Routes that lead to one of the addresses that were asked about.
    pub routes: Vec<Route>,
}

impl Network {
    /// Whether an interface carries the address.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.assigned.iter().any(|it| it.address == address)
    }

    /// Names of all interfaces but loopback ones, for people.
    #[must_use]
    pub fn names(&self) -> String {
        let names = self.interfaces.iter().filter(|it| !it.loopback);
        names
            .map(|it| it.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// The parts of the host that a check looks at.
pub trait HostView: Environment {
    /// The network, with the routes to each of `towards`. `None`: the kernel does not answer.
    /// Blocks.
    fn network(&self, towards: &[IpAddr]) -> Option<Network>;
    /// Number of the group that programs of a user run as.
    fn primary_group(&self, user: &str) -> Option<u32>;
    /// The link by which the init script `name` is started at boot, besides by heartbeat.
    fn started_at_boot(&self, name: &str) -> Option<PathBuf>;
    /// Addresses of haresources, `text`, that are a node's own and not service addresses; then
    /// those that may be. Blocks.
    fn own_addresses(
        &self,
        paths: &Paths,
        config: &Config,
        text: &str,
    ) -> (Vec<Finding>, Vec<Finding>);
}

/// Only answers that a successor needs are recorded; these are not.
impl HostView for Recorder {
    fn network(&self, towards: &[IpAddr]) -> Option<Network> {
        Machine.network(towards)
    }

    fn primary_group(&self, user: &str) -> Option<u32> {
        Machine.primary_group(user)
    }

    fn started_at_boot(&self, name: &str) -> Option<PathBuf> {
        Machine.started_at_boot(name)
    }

    fn own_addresses(
        &self,
        paths: &Paths,
        config: &Config,
        text: &str,
    ) -> (Vec<Finding>, Vec<Finding>) {
        Machine.own_addresses(paths, config, text)
    }
}

impl HostView for Machine {
    fn own_addresses(
        &self,
        paths: &Paths,
        config: &Config,
        text: &str,
    ) -> (Vec<Finding>, Vec<Finding>) {
        addresses::look(paths, config, text)
    }

    fn network(&self, towards: &[IpAddr]) -> Option<Network> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .ok()?;
        runtime.block_on(ask(towards))
    }

    fn primary_group(&self, user: &str) -> Option<u32> {
        let user = User::from_name(user).ok().flatten()?;
        Some(user.gid.as_raw())
    }

    fn started_at_boot(&self, name: &str) -> Option<PathBuf> {
        let unit = Path::new("/etc/systemd/system/multi-user.target.wants")
            .join(format!("{name}.service"));
        if unit.symlink_metadata().is_ok() {
            return Some(unit);
        }
        (2..=5).find_map(|level| {
            let directory = std::fs::read_dir(format!("/etc/rc{level}.d")).ok()?;
            let links = directory.flatten().map(|entry| entry.path());
            links.into_iter().find(|link| {
                let link = link.file_name().and_then(|link| link.to_str());
                link.is_some_and(|link| starts_at_boot(link, name))
            })
        })
    }
}

/// Whether `link` is a link of `/etc/rc?.d` that starts `name`: `S`, two digits, the name.
#[must_use]
pub fn starts_at_boot(link: &str, name: &str) -> bool {
    link.strip_prefix('S')
        .and_then(|rest| rest.strip_prefix(|c: char| c.is_ascii_digit()))
        .and_then(|rest| rest.strip_prefix(|c: char| c.is_ascii_digit()))
        == Some(name)
}

async fn ask(towards: &[IpAddr]) -> Option<Network> {
    let netlink = Netlink::open().ok()?;
    let mut network = Network {
        interfaces: netlink.interfaces().await.ok()?,
        ..Network::default()
    };
    for family in [IpAddr::from([0; 4]), IpAddr::from([0_u16; 8])] {
        // A kernel without IPv6 has no IPv6 addresses.
        network
            .assigned
            .extend(netlink.addresses(family).await.unwrap_or_default());
    }
    for address in towards {
        network.routes.extend(netlink.routes(*address).await.ok()?);
    }
    Some(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_loopback_interface_with_its_address() {
        let localhost = IpAddr::from([127, 0, 0, 1]);
        let network = Machine.network(&[localhost]).expect("the kernel tells");
        assert!(network.has(localhost));
        assert!(!network.names().split(", ").any(|name| name == "lo"));
        assert_eq!(Machine.primary_group("root"), Some(0));
        assert_eq!(Machine.primary_group("no such user"), None);
    }

    #[test]
    fn a_link_that_starts_a_script_ends_in_its_whole_name() {
        assert!(starts_at_boot("S01apache2", "apache2"));
        assert!(!starts_at_boot("K01apache2", "apache2"));
        assert!(!starts_at_boot("S01my-apache2", "apache2"));
        assert!(!starts_at_boot("S1apache2", "apache2"));
        assert_eq!(Machine.started_at_boot("no-such-service"), None);
    }
}
