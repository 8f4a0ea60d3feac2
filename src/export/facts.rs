//! What an export rests on.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::config::Config;
use crate::config::group_lines::{Logical, logical};
use crate::config::types::Written;
use crate::net::address::{AddressResource, parse_word};
use crate::net::placement::Assigned;

/// Where the script of a resource word was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// In `/etc/ha.d/resource.d`.
    ResourceD,
    /// In `/etc/init.d`.
    InitD,
    /// An OCF agent of that name, and no script.
    Agent,
}

/// A line of authkeys without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLine {
    /// Its number, from 1.
    pub line: usize,
    /// `auth 1`, or `1 sha1 ***`.
    pub text: String,
}

/// The files of one node, and what has to be known of its host.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The checked content of the files.
    pub config: &'a Config,
    /// The accepted lines of ha.cf.
    pub written: &'a [Written],
    /// The text of ha.cf.
    pub ha_cf: &'a str,
    /// The text of haresources.
    pub haresources: &'a str,
    /// The lines of authkeys, or why they could not be read.
    pub keys: Result<Vec<KeyLine>, String>,
    /// The text of `systole.toml`; empty where there is none.
    pub settings: &'a str,
    /// Where the script of a name is.
    pub scripts: BTreeMap<String, Script>,
    /// The text of `conf/OCF/TYPE/INSTANCE`.
    pub ocf: BTreeMap<(String, String), String>,
    /// Of an OCF type the directory that has it, if not `heartbeat`.
    pub providers: BTreeMap<String, String>,
    /// The text of the files of `stonith` lines.
    pub devices: BTreeMap<PathBuf, String>,
    /// The addresses of this host, each with the name of its interface.
    pub assigned: Vec<(String, Assigned)>,
}

impl Facts<'_> {
    /// The number of an accepted line of ha.cf.
    pub(super) fn line_of(written: &Written) -> usize {
        let number = written.place.rsplit_once(':');
        number
            .and_then(|(_, number)| number.parse().ok())
            .unwrap_or(0)
    }

    /// The accepted lines of a directive, each with its number.
    pub(super) fn lines<'s>(
        &'s self,
        directive: &'s str,
    ) -> impl Iterator<Item = (usize, &'s str)> + 's {
        let lines = self.written.iter();
        let lines = lines.filter(move |it| it.directive == directive);
        lines.map(|it| (Self::line_of(it), it.value.as_str()))
    }

    /// The lines of haresources that make a group.
    pub(super) fn groups(&self) -> Vec<Logical> {
        if !self.config.manage_resources {
            return Vec::new();
        }
        let mut seen = Vec::new();
        let mut groups = logical(self.haresources);
        groups.retain(|line| {
            let key = line.words.get(1).cloned();
            let new = key.is_some() && !seen.contains(&key);
            seen.push(key);
            new
        });
        groups
    }

    /// The lines of haresources that make none, and why.
    pub(super) fn idle_lines(&self) -> Vec<(usize, &'static str)> {
        let groups = self.groups();
        let lines = logical(self.haresources).into_iter();
        let idle = lines.filter(|line| !groups.contains(line)).map(|line| {
            let why = if !self.config.manage_resources {
                "not read: crm is on"
            } else if line.words.len() < 2 {
                "no resource follows the node"
            } else {
                "not used: an earlier line begins with the same resource"
            };
            (line.number, why)
        });
        idle.collect()
    }

    /// The service addresses.
    pub(super) fn service_addresses(&self) -> Vec<IpAddr> {
        let lines = self.groups().into_iter();
        let words = lines.flat_map(|line| line.words.into_iter().skip(1));
        let parsed = words.filter_map(|word| parse_word(&word).ok().flatten());
        parsed.map(|it| it.address).collect()
    }

    /// An address of this host on `interface`, in the network of `towards` if that is known.
    pub(super) fn own_address(
        &self,
        interface: &str,
        v4: bool,
        towards: Option<IpAddr>,
    ) -> Option<IpAddr> {
        let service = self.service_addresses();
        let mut fit = self.assigned.iter().filter(|(name, it)| {
            name == interface
                && it.address.is_ipv4() == v4
                && !is_link_local(it.address)
                && !service.contains(&it.address)
        });
        let found = match towards {
            Some(towards) => fit.find(|(_, it)| in_network(towards, it.address, it.prefix)),
            None => fit.next(),
        };
        found.map(|(_, it)| it.address)
    }

    /// Interface and prefix length of the network that a service address belongs to.
    pub(super) fn network_of(&self, address: &AddressResource) -> Option<(&str, u8)> {
        let mut fit = self.assigned.iter().filter(|(name, it)| {
            it.address != address.address
                && in_network(address.address, it.address, it.prefix)
                && address.interface.as_ref().is_none_or(|nic| nic == name)
        });
        fit.next().map(|(name, it)| (name.as_str(), it.prefix))
    }

    /// Whether something moves groups by what ping nodes say.
    pub(super) fn has_ipfail(&self) -> bool {
        let runs = |command: &str| is_client(command, "ipfail");
        self.config.settings.ipfail || self.config.respawn.iter().any(|it| runs(&it.command))
    }
}

/// Whether a command line runs a program of this name.
pub(super) fn is_client(command: &str, name: &str) -> bool {
    let program = command.split_ascii_whitespace().next().unwrap_or_default();
    program.rsplit('/').next() == Some(name)
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(it) if it.segments().first().is_some_and(|it| it & 0xffc0 == 0xfe80))
}

/// Whether `address` is in the network of another.
fn in_network(address: IpAddr, other: IpAddr, prefix: u8) -> bool {
    let (one, two, bits) = match (address, other) {
        (IpAddr::V4(one), IpAddr::V4(two)) => {
            (u128::from(one.to_bits()), u128::from(two.to_bits()), 32)
        }
        (IpAddr::V6(one), IpAddr::V6(two)) => (one.to_bits(), two.to_bits(), 128),
        _ => return false,
    };
    let host = u32::saturating_sub(bits, u32::from(prefix));
    one.checked_shr(host) == two.checked_shr(host)
}

/// The lines of an authkeys file with their secrets left out.
#[must_use]
pub fn redacted_keys(text: &str) -> Vec<KeyLine> {
    let lines = (1..).zip(text.lines());
    let lines = lines.filter_map(|(line, text)| {
        let text = text.split('\r').next().unwrap_or_default();
        let mut words = text.split_whitespace();
        let first = words.next().filter(|it| !it.starts_with('#'))?;
        let second = words.next().unwrap_or_default();
        let hidden = if first != "auth" && words.next().is_some() {
            " ***"
        } else {
            ""
        };
        let text = format!("{first} {second}{hidden}").trim_end().to_owned();
        Some(KeyLine { line, text })
    });
    lines.collect()
}

/// Whether a word can stand in the files of corosync and keepalived as it is.
pub(super) fn is_plain(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:/@%+-".contains(c);
    !word.is_empty() && word.chars().all(plain)
}
