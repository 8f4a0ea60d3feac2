//! This machine, as far as the user who runs the doctor may look.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use nix::unistd::{Group, User};

use super::facts::{Card, Content, Host, Kind, Line, Running};
use super::source::{Source, kind_of, names_of, read};
use crate::clients::control::{self, Look};
use crate::config::environment::{Environment, Machine};
use crate::inspect::{HostView, Network};
use crate::net::address_record::AddressRecord;
use crate::net::own_address::{Came, Mark};
use crate::os::paths::Paths;
use crate::process::files;
use crate::process::host_addresses;
use crate::process::pid_file::{self, PidFile};
use crate::process::reload::{LastGood, Stamps};

/// How long the daemon may take for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most processes that are looked at.
const MAX_PROCESSES: usize = 20_000;

/// Longest list of firewall rules that is kept, in characters.
const MAX_RULES: usize = 1024 * 1024;

/// Words of command lines that a rule looks for.
const PROCESSES: [&str; 2] = ["getty", "systemd-networkd"];

/// This machine.
#[derive(Debug, Clone, Default)]
pub struct ThisHost {
    paths: Paths,
}

impl Source for ThisHost {
    fn kind(&self, path: &Path) -> Kind {
        match fs::metadata(path) {
            Ok(metadata) => kind_of(&metadata),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Kind::Unknown,
            Err(_) => Kind::Missing,
        }
    }

    fn content(&self, path: &Path) -> Content {
        read(path)
    }

    fn names(&self, path: &Path) -> Option<BTreeSet<String>> {
        match fs::read_dir(path) {
            Ok(entries) => Some(names_of(entries)),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => None,
            Err(_) => Some(BTreeSet::new()),
        }
    }

    fn user(&self, name: &str) -> Option<Option<(u32, u32)>> {
        let user = User::from_name(name).ok()?;
        Some(user.map(|user| (user.uid.as_raw(), user.gid.as_raw())))
    }

    fn group(&self, name: &str) -> Option<Option<u32>> {
        let group = Group::from_name(name).ok()?;
        Some(group.map(|group| group.gid.as_raw()))
    }

    fn has_stonith(&self, kind: &str) -> bool {
        Machine.has_stonith_type(kind)
    }

    fn routes(&self, to: IpAddr) -> Vec<Line> {
        let network = Machine.network(&[to]).unwrap_or_default();
        let name = |index: u32| {
            let mut cards = network.interfaces.iter();
            cards.find(|it| it.index == index).map(|it| it.name.clone())
        };
        let routes = network.routes.iter().filter(|route| !route.dead);
        routes
            .filter_map(|route| {
                Some(Line {
                    to: format!("{}/{}", route.destination, route.prefix),
                    card: name(route.index)?,
                })
            })
            .collect()
    }

    fn free_bytes(&self, directory: &Path) -> Option<u64> {
        let room = statvfs(directory).ok()?;
        let block = room.fragment_size();
        let free = room.blocks_available();
        // Of a file system that counts no blocks nothing is known.
        (room.blocks() > 0).then(|| free.saturating_mul(block))
    }

    fn host(&self) -> Host {
        let network = Machine.network(&[]);
        let record = AddressRecord::read(&self.paths.addresses());
        let assigned = network.iter().flat_map(|network| &network.assigned);
        let ours = assigned
            .map(|it| it.address)
            .filter(|address| record.mark(*address) == Some(Mark::Ours));
        let service_addresses = ours.collect();
        let came = host_addresses::came(&self.paths, &record);
        Host {
            name: Some(Machine.host_name()),
            cards: network.as_ref().map(cards),
            routes: Vec::new(),
            processes: Some(processes()),
            firewall: firewall(),
            view: view(&self.paths),
            running: running(&self.paths),
            service_addresses,
            unrecorded: came != Came::Before,
            free_bytes: BTreeMap::new(),
            devices: Vec::new(),
        }
    }

    fn is_here(&self) -> bool {
        true
    }
}

fn cards(network: &Network) -> Vec<Card> {
    let of_card = |index: u32, name: &str| {
        let assigned = network.assigned.iter().filter(|it| it.index == index);
        assigned
            .map(|it| {
                let label = it.label.as_deref().filter(|label| *label != name);
                let label = label.map_or_else(String::new, |label| format!(" {label}"));
                format!("{}/{}{label}", it.address, it.prefix)
            })
            .collect()
    };
    let cards = network.interfaces.iter();
    cards
        .map(|it| Card {
            name: it.name.clone(),
            down: !it.up,
            loopback: it.loopback,
            addresses: of_card(it.index, &it.name),
            mac: mac(&it.name),
        })
        .collect()
}

fn mac(card: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/sys/class/net/{card}/address")).ok()?;
    let text = text.trim().to_ascii_lowercase();
    (text.len() == 17).then_some(text)
}

fn processes() -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter(|entry| {
        let name = entry.file_name();
        name.to_str()
            .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    });
    let lines = ids.take(MAX_PROCESSES).filter_map(|entry| {
        let words = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&words).replace('\0', " ");
        let line = line.trim().to_owned();
        let wanted = PROCESSES.iter().any(|word| line.contains(word));
        wanted.then_some(line)
    });
    lines.collect()
}

/// The rules of the firewall, where one is at work and may be read. The programs only list. Where the kernel has no
/// firewall loaded they are not called: listing would load it.
fn firewall() -> Option<String> {
    let mut rules = String::new();
    if Path::new("/sys/module/nf_tables").exists() {
        rules.push_str(&said("nft", &["list", "ruleset"])?);
    }
    let legacy = fs::read_to_string("/proc/net/ip_tables_names").unwrap_or_default();
    if legacy.lines().any(|table| table == "filter") {
        rules.push_str(&said("iptables-legacy-save", &["-t", "filter"]).unwrap_or_default());
    }
    Some(rules.chars().take(MAX_RULES).collect())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a short-lived program that asks another one, and is no daemon"
)]
fn said(program: &str, words: &[&str]) -> Option<String> {
    let place = ["/usr/sbin", "/sbin", "/usr/bin"]
        .iter()
        .map(|directory| Path::new(directory).join(program))
        .find(|path| path.is_file())?;
    let output = Command::new(place).args(words).output().ok()?;
    let good = output.status.success();
    good.then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn view(paths: &Paths) -> Option<control::View> {
    let reply = control::look(&paths.control(), &paths.views(), Look::View, PATIENCE);
    reply.ok()?.view().ok()
}

fn running(paths: &Paths) -> Option<Running> {
    let PidFile::Running(pid) = pid_file::look(&paths.pid_file) else {
        return None;
    };
    let program = fs::read_link(PathBuf::from(format!("/proc/{pid}/exe"))).ok();
    let program = program.map(|program| program.to_string_lossy().into_owned());
    let changed = files::recall::<LastGood>(&paths.last_good())
        .map(|good| good.stamps.changes(&Stamps::take(paths)));
    let changed = changed.map_or_else(
        |_| Vec::new(),
        |changes| {
            let all = [
                (changes.ha_cf, paths.ha_cf()),
                (changes.settings, paths.settings.clone()),
                (changes.authkeys, paths.authkeys()),
                (changes.haresources, paths.haresources()),
            ];
            let changed = all.into_iter().filter(|(changed, _)| *changed);
            changed
                .map(|(_, path)| path.display().to_string())
                .collect()
        },
    );
    Some(Running {
        pid,
        replaced: program.is_some_and(|program| program.ends_with(" (deleted)")),
        changed,
    })
}
