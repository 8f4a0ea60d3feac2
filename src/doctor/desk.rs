//! Answers the questions of the rules: from facts alone, or by looking, and then it remembers the answer.

use std::cell::Ref;
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::Shared;
use super::facts::{Content, Facts, Host, Kind, Line};
use super::source::Source;
use crate::config::Config;
use crate::config::environment::{
    Environment, FileText, InterfaceProblem, PathKind, udp_name_in, udp_port_in,
};
use crate::inspect::{self, AddressFacts, Finding, HostView, Network, starts_at_boot};
use crate::net::own_address::{Came, HostAddress, Mark, OwnAddresses};
use crate::net::placement::{Assigned, Interface, Route};
use crate::os::paths::Paths;

/// Directory of the OCF agents.
const OCF_AGENTS: &str = "/usr/lib/ocf";

/// Stands for a file of keys that may not be read: the rest of the files can be judged without it.
const SOME_KEYS: &[u8] = b"auth 1\n1 sha1 unknown\n";

/// Stands for the address of a name that only a name server knows. No host has it (RFC 5737).
const SOME_ADDRESS: [u8; 4] = [198, 51, 100, 254];

/// A number that no user and no group has; for those of whom nothing is known.
const SOMEBODY: u32 = u32::MAX;

/// A node to ask.
pub struct Desk<'s> {
    facts: Shared<Facts>,
    source: Option<&'s dyn Source>,
}

impl<'s> Desk<'s> {
    pub(super) fn looking(source: &'s dyn Source) -> Self {
        let facts = Facts {
            host: source.host(),
            ..Facts::default()
        };
        Self {
            facts: Shared::new(facts),
            source: Some(source),
        }
    }

    /// Nothing but `facts`.
    #[must_use]
    pub fn knowing(facts: &Facts) -> Self {
        Self {
            facts: Shared::new(facts.clone()),
            source: None,
        }
    }

    pub(super) fn into_facts(self) -> Facts {
        self.facts.into_inner()
    }

    pub(super) fn host(&self) -> Ref<'_, Host> {
        Ref::map(self.facts.borrow(), |facts| &facts.host)
    }

    pub(super) fn called(&self) -> Option<String> {
        self.facts.borrow().called.clone()
    }

    /// Takes a name from ha.cf where nothing else tells one: the first node that is not `other`.
    pub(super) fn name_itself(&self, other: Option<&str>) {
        if self.host().name.is_some() {
            return;
        }
        let nodes = self.text(&Paths::default().ha_cf());
        let nodes = nodes
            .as_deref()
            .map(super::node::nodes_in)
            .unwrap_or_default();
        let ours = nodes
            .into_iter()
            .find(|name| !other.is_some_and(|other| other.eq_ignore_ascii_case(name)));
        self.facts.borrow_mut().called = ours;
    }

    pub(super) fn kind(&self, path: &Path) -> Kind {
        if let Some(kind) = self.facts.borrow().kinds.get(path) {
            return *kind;
        }
        let Some(source) = self.source else {
            return Kind::Unknown;
        };
        let kind = source.kind(path);
        self.facts.borrow_mut().kinds.insert(path.to_owned(), kind);
        kind
    }

    pub(super) fn content(&self, path: &Path) -> Content {
        if let Some(content) = self.facts.borrow().contents.get(path) {
            return content.clone();
        }
        let Some(source) = self.source else {
            return Content::Unknown("was not asked for".to_owned());
        };
        let content = source.content(path);
        let kept = content.clone();
        self.facts
            .borrow_mut()
            .contents
            .insert(path.to_owned(), kept);
        content
    }

    /// The text of a file that is there and can be read.
    pub(super) fn text(&self, path: &Path) -> Option<String> {
        match self.content(path) {
            Content::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Content::Missing | Content::Unknown(_) => None,
        }
    }

    /// The names in a directory; empty where nothing is known of it.
    pub(super) fn names(&self, path: &Path) -> BTreeSet<String> {
        if let Some(names) = self.facts.borrow().directories.get(path) {
            return names.clone().unwrap_or_default();
        }
        let names = self.source.and_then(|source| source.names(path));
        let kept = names.clone();
        self.facts
            .borrow_mut()
            .directories
            .insert(path.to_owned(), kept);
        names.unwrap_or_default()
    }

    /// The paths of the files in a directory whose names end so.
    pub(super) fn files(&self, directory: &str, ending: &str) -> Vec<PathBuf> {
        let directory = Path::new(directory);
        let names = self.names(directory);
        let names = names.iter().filter(|name| name.ends_with(ending));
        names.map(|name| directory.join(name)).collect()
    }

    pub(super) fn free_bytes(&self, directory: &Path) -> Option<u64> {
        if let Some(free) = self.host().free_bytes.get(directory) {
            return Some(*free);
        }
        let free = self.source?.free_bytes(directory)?;
        let mut facts = self.facts.borrow_mut();
        facts.host.free_bytes.insert(directory.to_owned(), free);
        Some(free)
    }

    fn user(&self, name: &str) -> Option<(u32, u32)> {
        if let Some(user) = self.facts.borrow().users.get(name) {
            return *user;
        }
        let user = match self.source.and_then(|source| source.user(name)) {
            Some(known) => known,
            None => match self.text(Path::new("/etc/passwd")) {
                Some(text) => numbers_in(&text, name),
                None => Some((SOMEBODY, SOMEBODY)),
            },
        };
        self.facts.borrow_mut().users.insert(name.to_owned(), user);
        user
    }

    fn ask_for_routes(&self, towards: &[IpAddr]) {
        let Some(source) = self.source else { return };
        for to in towards {
            if !self.facts.borrow_mut().asked.insert(*to) {
                continue;
            }
            let lines = source.routes(*to);
            let mut facts = self.facts.borrow_mut();
            for line in lines {
                if !facts.host.routes.contains(&line) {
                    facts.host.routes.push(line);
                }
            }
        }
    }

    /// What could not be looked at: `FILE: reason`.
    pub(super) fn unseen(&self, label: &str) -> Vec<String> {
        let facts = self.facts.borrow();
        let mut unseen: Vec<String> = facts
            .contents
            .iter()
            .filter_map(|(path, content)| match content {
                Content::Unknown(why) => Some(format!("{label}{}: {why}", path.display())),
                Content::Bytes(_) | Content::Missing => None,
            })
            .collect();
        let host = &facts.host;
        let parts = [
            (host.cards.is_none(), "interfaces"),
            (host.processes.is_none(), "processes"),
            (host.firewall.is_none(), "firewall rules"),
        ];
        let missing = parts.into_iter().filter(|(missing, _)| *missing);
        let why = if self.source.is_none_or(Source::is_here) && label.is_empty() {
            "no permission, or no answer"
        } else {
            "host.json is not there, or does not tell (systole doctor --facts)"
        };
        unseen.extend(missing.map(|(_, what)| format!("{label}{what}: {why}")));
        unseen
    }

    /// Interfaces, addresses and routes; `None`: unknown.
    pub(super) fn net(&self) -> Option<Network> {
        let host = self.host();
        let cards = host.cards.as_ref()?;
        let mut network = Network::default();
        for (index, card) in (1_u32..).zip(cards) {
            network.interfaces.push(Interface {
                index,
                name: card.name.clone(),
                up: !card.down,
                carrier: !card.down,
                loopback: card.loopback,
                no_arp: false,
                mac: None,
            });
            for written in &card.addresses {
                let mut words = written.split(' ');
                let Some((address, prefix)) = words.next().and_then(address_and_prefix) else {
                    continue;
                };
                network.assigned.push(Assigned {
                    index,
                    address,
                    prefix,
                    label: words.next().map(str::to_owned),
                    secondary: false,
                    unusable: false,
                    message: Default::default(),
                });
                network.routes.push(Route {
                    destination: address,
                    prefix,
                    index,
                    metric: 0,
                    dead: card.down,
                });
            }
        }
        for Line { to, card } in &host.routes {
            let index = (1_u32..).zip(cards).find(|(_, it)| it.name == *card);
            if let (Some((destination, prefix)), Some((index, _))) = (address_and_prefix(to), index)
            {
                network.routes.push(Route {
                    destination,
                    prefix,
                    index,
                    metric: 1,
                    dead: false,
                });
            }
        }
        Some(network)
    }
}

/// `10.0.0.1/24`.
pub(super) fn address_and_prefix(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    Some((address.parse().ok()?, prefix.parse().ok()?))
}

/// User and group number of `name` in the text of a passwd file.
fn numbers_in(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut words = line.split(':');
        (words.next() == Some(name)).then_some(())?;
        let user = words.nth(1)?.parse().ok()?;
        Some((user, words.next()?.parse().ok()?))
    })
}

impl Environment for Desk<'_> {
    fn read_file(&self, path: &Path) -> io::Result<FileText> {
        let (mode, owner) = match self.kind(path) {
            Kind::File { mode, owner } => (mode, owner),
            Kind::Directory => return Err(io::ErrorKind::IsADirectory.into()),
            _ => (0o600, 0),
        };
        let keys = path == Paths::default().authkeys();
        match self.content(path) {
            Content::Bytes(bytes) => Ok(FileText { bytes, mode, owner }),
            Content::Unknown(_) if keys => Ok(FileText {
                bytes: SOME_KEYS.to_vec(),
                mode,
                owner,
            }),
            Content::Missing => Err(io::ErrorKind::NotFound.into()),
            Content::Unknown(_) => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    fn host_name(&self) -> String {
        let name = self.host().name.clone();
        name.or_else(|| self.called()).unwrap_or_default()
    }

    /// The daemon runs as root, whoever asks the doctor.
    fn effective_uid(&self) -> u32 {
        0
    }

    fn has_interface(&self, name: &str) -> bool {
        let device = name.split(':').next().unwrap_or(name);
        let host = self.host();
        let mut cards = host.cards.iter().flatten();
        host.cards.is_none() || cards.any(|card| card.name == device)
    }

    fn interface_ipv4(&self, name: &str) -> Result<(), InterfaceProblem> {
        if !self.has_interface(name) {
            return Err(InterfaceProblem::Missing);
        }
        let device = name.split(':').next().unwrap_or(name);
        let host = self.host();
        let Some(cards) = &host.cards else {
            return Ok(());
        };
        let mut addresses = cards
            .iter()
            .filter(|card| card.name == device)
            .flat_map(|card| &card.addresses);
        let has = addresses.any(|address| {
            address
                .split('/')
                .next()
                .is_some_and(|it| it.parse::<std::net::Ipv4Addr>().is_ok())
        });
        has.then_some(()).ok_or(InterfaceProblem::NoAddress)
    }

    /// Only `/etc/hosts` is asked: a name server would be sent a packet.
    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let hosts = self.text(Path::new("/etc/hosts")).unwrap_or_default();
        let mut found = Vec::new();
        for line in hosts.lines() {
            let mut words = line
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace();
            let address = words.next().and_then(|word| word.parse().ok());
            if let Some(address) = address
                && words.any(|name| name.eq_ignore_ascii_case(host))
            {
                found.push(address);
            }
        }
        if found.is_empty() {
            found.push(IpAddr::from(SOME_ADDRESS));
        }
        Ok(found)
    }

    fn user_id(&self, name: &str) -> Option<u32> {
        self.user(name).map(|(user, _)| user)
    }

    fn group_id(&self, name: &str) -> Option<u32> {
        if let Some(group) = self.facts.borrow().groups.get(name) {
            return *group;
        }
        let group = match self.source.and_then(|source| source.group(name)) {
            Some(known) => known,
            None => match self.text(Path::new("/etc/group")) {
                Some(text) => text.lines().find_map(|line| {
                    let mut words = line.split(':');
                    (words.next() == Some(name)).then_some(())?;
                    words.nth(1)?.parse().ok()
                }),
                None => Some(SOMEBODY),
            },
        };
        self.facts
            .borrow_mut()
            .groups
            .insert(name.to_owned(), group);
        group
    }

    fn real_path(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
    fn path_kind(&self, path: &Path) -> PathKind {
        match self.kind(path) {
            Kind::Missing => PathKind::Missing,
            Kind::Device => PathKind::CharDevice,
            Kind::Unknown if path.starts_with("/dev") => PathKind::CharDevice,
            Kind::Unknown | Kind::Directory | Kind::File { .. } => PathKind::Other,
        }
    }

    fn is_executable(&self, path: &Path) -> bool {
        match self.kind(path) {
            Kind::File { mode, .. } => mode & 0o111 != 0,
            // An OCF agent is looked for where a script is not there: without a copy of it, the script is missing.
            Kind::Unknown => !path.starts_with(OCF_AGENTS),
            Kind::Missing | Kind::Directory | Kind::Device => false,
        }
    }

    fn udp_service_port(&self, name: &str) -> Option<u16> {
        let services = self.text(Path::new("/etc/services"))?;
        udp_port_in(&services, name)
    }

    fn udp_service_name(&self, port: u16) -> Option<String> {
        let services = self.text(Path::new("/etc/services"))?;
        udp_name_in(&services, port)
    }

    fn has_stonith_type(&self, kind: &str) -> bool {
        if let Some(known) = self.facts.borrow().stonith.get(kind) {
            return *known;
        }
        let has = self.source.is_none_or(|source| source.has_stonith(kind));
        self.facts.borrow_mut().stonith.insert(kind.to_owned(), has);
        has
    }

    /// Only a line about it depends on this.
    fn has_logd(&self) -> bool {
        true
    }

    fn core_pattern(&self) -> String {
        let pattern = self.text(Path::new("/proc/sys/kernel/core_pattern"));
        pattern.map_or_else(|| "core".to_owned(), |it| it.trim().to_owned())
    }

    fn core_uses_pid(&self) -> bool {
        let uses = self.text(Path::new("/proc/sys/kernel/core_uses_pid"));
        uses.is_none_or(|it| it.trim() != "0")
    }
}

impl HostView for Desk<'_> {
    fn network(&self, towards: &[IpAddr]) -> Option<Network> {
        self.ask_for_routes(towards);
        self.net()
    }

    fn primary_group(&self, user: &str) -> Option<u32> {
        self.user(user).map(|(_, group)| group)
    }

    fn started_at_boot(&self, name: &str) -> Option<PathBuf> {
        const UNITS: &str = "/etc/systemd/system";
        let unit = format!("{name}.service");
        let targets = self.names(Path::new(UNITS));
        let targets = targets.iter().filter(|target| target.ends_with(".wants"));
        let wanted = targets
            .map(|target| Path::new(UNITS).join(target))
            .find(|target| self.names(target).contains(&unit));
        if let Some(target) = wanted {
            return Some(target.join(unit));
        }
        (2..=5).find_map(|level| {
            let directory = PathBuf::from(format!("/etc/rc{level}.d"));
            let names = self.names(&directory);
            let link = names.iter().find(|link| starts_at_boot(link, name))?;
            Some(directory.join(link))
        })
    }

    fn own_addresses(
        &self,
        paths: &Paths,
        config: &Config,
        text: &str,
    ) -> (Vec<Finding>, Vec<Finding>) {
        let Some(network) = self.net() else {
            return Default::default();
        };
        let addresses = network.assigned.iter().filter_map(|it| {
            let card = network.interfaces.iter().find(|c| c.index == it.index)?;
            Some(HostAddress {
                interface: card.name.clone(),
                label: it.label.clone(),
                address: it.address,
                prefix: it.prefix,
                answers: card.answers(),
            })
        });
        let own = OwnAddresses::new(addresses.collect(), &config.media);
        let host = self.host();
        let facts = AddressFacts {
            own: &own,
            mark: &|address| {
                let ours = host.service_addresses.contains(&address);
                ours.then_some(Mark::Ours)
            },
            came: if host.unrecorded {
                Came::OfRunning
            } else {
                Came::Before
            },
            media: &config.media,
        };
        inspect::of_hosts(&facts, &paths.haresources(), text)
    }
}
