//! `keepalived-NODE.conf`: the service addresses of a pair with VRRP.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use super::facts::{Facts, is_client, is_plain};
use super::ledger::{File, Ledger};
use super::links::{Link, links};
use super::{Document, ExportError};
use crate::net::address::{AddressResource, parse_word};
use crate::protocol::settings::AutoFailback;

/// The first router id; each further owner has the next.
const FIRST_ROUTER: usize = 51;

/// keepalived takes so many addresses in an advertisement.
const MOST_ADVERTISED: usize = 20;

/// A ping node that does not answer takes this from the priority of 150 or 100.
const PING_WEIGHT: i32 = -60;

/// The longest interval between advertisements, in hundredths of a second.
const LONGEST_CS: u128 = 4_095;

const NO_SCRIPTS: &str = "keepalived holds addresses only: its notify scripts have no result, and nothing waits for them";

/// Makes one for each node, and notes the lines that they were made from.
pub(super) fn conf(facts: &Facts<'_>, ledger: &mut Ledger) -> Result<Vec<Document>, ExportError> {
    let nodes = &facts.config.nodes;
    if nodes.len() != 2 {
        return Err(ExportError::NoPair(nodes.len()));
    }
    let owners = owners(facts, ledger);
    let link = link(facts, ledger);
    times(facts, ledger);
    let pings = pings(facts, ledger);
    let pair = Pair {
        facts,
        owners,
        link,
        pings,
    };
    let documents = nodes.iter().map(|node| Document {
        name: format!("keepalived-{node}.conf"),
        text: pair.conf(node.as_str()),
    });
    let documents = documents.collect();
    for (line, _) in facts.lines("node") {
        ledger.carried(
            (File::HaCf, line),
            "keepalived-NODE.conf, one for each node",
        );
    }
    Ok(documents)
}

struct Pair<'a, 'f> {
    facts: &'a Facts<'f>,
    /// The addresses of each owner.
    owners: BTreeMap<String, Vec<AddressResource>>,
    link: Option<Link>,
    /// Hosts that are asked, each with the name of its script.
    pings: Vec<(String, String)>,
}

/// The addresses of each owner.
fn owners(facts: &Facts<'_>, ledger: &mut Ledger) -> BTreeMap<String, Vec<AddressResource>> {
    let lines = facts.groups();
    for (line, why) in facts.idle_lines() {
        ledger.not_needed((File::Haresources, line), why);
    }
    let mut owners: BTreeMap<String, Vec<AddressResource>> = BTreeMap::new();
    for line in &lines {
        let place = (File::Haresources, line.number);
        let Some((owner, words)) = line.words.split_first() else {
            continue;
        };
        let owner = owner.to_ascii_lowercase();
        for word in words {
            let fits = |it: &AddressResource| {
                let nic = it.interface.as_deref().is_none_or(is_plain);
                nic && it.label.as_deref().is_none_or(is_plain)
            };
            match parse_word(word) {
                Ok(Some(address)) if fits(&address) => {
                    let text = format!("{word}: keepalived-NODE.conf vrrp_instance {owner}");
                    ledger.carried(place, text);
                    if address.prefix.is_none() && facts.network_of(&address).is_none() {
                        ledger.task(format!(
                            "give {} its prefix length in both files: no interface of this host has its network",
                            address.address
                        ));
                    }
                    owners.entry(owner.clone()).or_default().push(address);
                }
                Ok(Some(_)) => ledger.lost(
                    place,
                    format!("{word}: keepalived cannot hold this interface name"),
                ),
                Err(error) => ledger.lost(place, error.to_string()),
                Ok(None) => ledger.lost(place, format!("{word}: {NO_SCRIPTS}")),
            }
        }
    }
    owners
}

/// The one interface that VRRP speaks on.
fn link(facts: &Facts<'_>, ledger: &mut Ledger) -> Option<Link> {
    let found = links(facts);
    found.note_idle(ledger);
    for line in &found.serial {
        ledger.lost((File::HaCf, *line), "VRRP speaks over IP only");
    }
    let (first, others) = match found.links.split_first() {
        Some((first, others)) => (Some(first), others),
        None => (None, [].as_slice()),
    };
    for line in others.iter().flat_map(|link| &link.lines) {
        ledger.lost(
            (File::HaCf, *line),
            "VRRP speaks on one interface: when that fails, both nodes take the addresses",
        );
    }
    let first = first.filter(|link| is_plain(&link.interface))?;
    for line in &first.lines {
        let how = if first.to_one && first.both().is_some() {
            "unicast_peer"
        } else {
            "interface, with multicast"
        };
        let text = format!("keepalived-NODE.conf {how} on {}", first.interface);
        ledger.carried((File::HaCf, *line), text);
    }
    if first.to_one && first.both().is_none() {
        ledger.differs("VRRP is sent to a multicast group: this host's own address beside the ucast peer is not known.");
    }
    Some(first.clone())
}

fn times(facts: &Facts<'_>, ledger: &mut Ledger) {
    for (line, _) in facts.lines("deadtime") {
        ledger.carried(
            (File::HaCf, line),
            "keepalived-NODE.conf advert_int: the other node takes over after three of them and its skew, which is \
             this time",
        );
    }
    for (line, _) in facts.lines("initdead") {
        ledger.carried(
            (File::HaCf, line),
            "keepalived-NODE.conf vrrp_startup_delay",
        );
    }
    let deadtime = facts.config.timing.deadtime;
    if interval_cs(facts) == LONGEST_CS {
        ledger.differs(format!(
            "VRRP has no longer interval than 40.95 s: a node takes over after 148 s and not after {} s",
            deadtime.as_secs()
        ));
    }
}

/// The interval between advertisements, in hundredths of a second: the backup of priority 100 takes over after
/// `3 * interval + interval * (256 - 100) / 256`.
fn interval_cs(facts: &Facts<'_>) -> u128 {
    let deadtime = facts.config.timing.deadtime.as_millis();
    let interval = deadtime.saturating_mul(256) / (924 * 10);
    interval.clamp(1, LONGEST_CS)
}

/// The hosts that ipfail asks.
fn pings(facts: &Facts<'_>, ledger: &mut Ledger) -> Vec<(String, String)> {
    let mut hosts = Vec::new();
    let acts = facts.has_ipfail();
    let goes_back = facts.config.auto_failback != AutoFailback::Off;
    for written in facts.written {
        let place = (File::HaCf, Facts::line_of(written));
        let split = |c: char| c == ',' || c.is_whitespace();
        let words = written.value.split(split).filter(|word| !word.is_empty());
        match written.directive {
            "ping" | "ping6" | "ping_group" if !acts => {
                ledger.not_needed(place, "nothing acts on ping nodes without ipfail");
            }
            "ping" | "ping6" | "ping_group" if !goes_back => ledger.lost(
                place,
                "with nopreempt (auto_failback off) keepalived moves nothing when a priority falls",
            ),
            "ping_group" => {
                ledger.lost(
                    place,
                    "keepalived asks each host by itself, and not whether one of several answers",
                );
            }
            "ping" | "ping6" => {
                let (plain, bad): (Vec<&str>, Vec<&str>) = words.partition(|it| is_plain(it));
                for word in bad {
                    ledger.lost(place, format!("{word}: keepalived cannot hold this name"));
                }
                for word in plain {
                    let name = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
                    let name: String = word.chars().map(name).collect();
                    hosts.push((format!("ping_{name}"), word.to_owned()));
                    let text = format!("{word}: keepalived-NODE.conf vrrp_script ping_{name}");
                    ledger.carried(place, text);
                }
            }
            "respawn" => {
                let command = written.value.split_once(char::is_whitespace);
                let command = command.map_or("", |(_, command)| command);
                if is_client(command.trim_start(), "ipfail") {
                    if goes_back {
                        ledger.carried(place, "keepalived-NODE.conf vrrp_script with a weight");
                    } else {
                        ledger.lost(
                            place,
                            "with nopreempt (auto_failback off) keepalived moves nothing when a priority falls",
                        );
                    }
                }
            }
            _ => {}
        }
    }
    hosts
}

impl Pair<'_, '_> {
    fn conf(&self, node: &str) -> String {
        let timing = &self.facts.config.timing;
        let mut text = format!(
            "# Written by systole export, for {node}: /etc/keepalived/keepalived.conf\n\
             global_defs {{\n    router_id {node}\n    vrrp_version 3\n    vrrp_startup_delay {}\n    \
             enable_script_security\n    script_user root\n}}\n",
            timing.initdead.as_secs()
        );
        let asked = timing.deadping.as_secs().max(2) / 2;
        for (name, host) in &self.pings {
            let _ = write!(
                text,
                "vrrp_script {name} {{\n    script \"/usr/bin/ping -n -c 1 -W 1 {host}\"\n    interval 2\n    \
                 timeout 2\n    fall {asked}\n    rise 2\n    weight {PING_WEIGHT}\n}}\n"
            );
        }
        for (number, (owner, addresses)) in self.owners.iter().enumerate() {
            let router = FIRST_ROUTER.saturating_add(number);
            text.push_str(&self.instance(node, owner, router, addresses));
        }
        text
    }

    fn instance(
        &self,
        node: &str,
        owner: &str,
        router: usize,
        addresses: &[AddressResource],
    ) -> String {
        let interval = interval_cs(self.facts);
        let priority = if owner == node { 150 } else { 100 };
        // An advertisement has addresses of one family.
        let is_v4 = addresses.iter().any(|it| it.address.is_ipv4());
        let (mut first, mut more): (Vec<&AddressResource>, Vec<_>) = addresses
            .iter()
            .partition(|it| it.address.is_ipv4() == is_v4);
        more.splice(0..0, first.split_off(first.len().min(MOST_ADVERTISED)));
        let fallback = addresses.iter().find_map(|it| it.interface.clone());
        let link = self.link.as_ref();
        let interface = link.map(|it| it.interface.clone()).or(fallback);
        let interface = interface.unwrap_or_else(|| "eth0".to_owned());
        let mut text = format!(
            "vrrp_instance {owner} {{\n    state BACKUP\n    interface {interface}\n    virtual_router_id {router}\n    \
             priority {priority}\n    advert_int {}.{:02}\n",
            interval / 100,
            interval % 100
        );
        if self.facts.config.auto_failback == AutoFailback::Off {
            text.push_str("    nopreempt\n");
        }
        let one = link.filter(|it| it.to_one);
        let fits =
            |[own, _]: &[String; 2]| own.parse().is_ok_and(|it: IpAddr| it.is_ipv4() == is_v4);
        if let Some([own, peer]) = one.and_then(Link::both).filter(fits) {
            let here = self.facts.config.local.as_str() == node;
            let (own, peer) = if here { (own, peer) } else { (peer, own) };
            let _ = write!(
                text,
                "    unicast_src_ip {own}\n    unicast_peer {{\n        {peer}\n    }}\n"
            );
        }
        for (block, addresses) in [
            ("virtual_ipaddress", first),
            ("virtual_ipaddress_excluded", more),
        ] {
            if addresses.is_empty() {
                continue;
            }
            let _ = writeln!(text, "    {block} {{");
            for address in addresses {
                let _ = writeln!(text, "        {}", self.address(address));
            }
            text.push_str("    }\n");
        }
        if !self.pings.is_empty() {
            text.push_str("    track_script {\n");
            for (name, _) in &self.pings {
                let _ = writeln!(text, "        {name}");
            }
            text.push_str("    }\n");
        }
        text.push_str("}\n");
        text
    }

    /// `10.0.0.1/24 brd 10.0.0.255 dev eth0 label eth0:1`.
    fn address(&self, address: &AddressResource) -> String {
        let network = self.facts.network_of(address);
        let prefix = address.prefix.or(network.map(|(_, prefix)| prefix));
        let mut text = address.address.to_string();
        if let Some(prefix) = prefix {
            let _ = write!(text, "/{prefix}");
        }
        if let Some(broadcast) = address.broadcast {
            let _ = write!(text, " brd {broadcast}");
        }
        let found = network.map(|(name, _)| name).filter(|it| is_plain(it));
        if let Some(device) = address.interface.as_deref().or(found) {
            let _ = write!(text, " dev {device}");
        }
        if let Some(label) = &address.label {
            let _ = write!(text, " label {label}");
        }
        text
    }
}
