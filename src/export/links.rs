//! The media of ha.cf as links between two nodes.

use std::net::IpAddr;

use super::facts::{Facts, is_plain};
use super::ledger::File;

/// One link: an interface, and which address each node has on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// The interface on this node.
    pub(super) interface: String,
    /// This node's address, if it is known.
    pub(super) own: Option<IpAddr>,
    /// The other node's address or name, if a `ucast` line tells it.
    pub(super) peer: Option<String>,
    /// Whether messages go to one host only.
    pub(super) to_one: bool,
    /// The lines of ha.cf that it was made from.
    pub(super) lines: Vec<usize>,
}

/// The links, and what is said of lines that make none: place, and why.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) links: Vec<Link>,
    /// Serial lines.
    pub(super) serial: Vec<usize>,
    /// Lines that no link needs, and why.
    pub(super) idle: Vec<(usize, &'static str)>,
}

impl Link {
    /// The addresses of both nodes, where both are known; this node's first.
    pub(super) fn both(&self) -> Option<[String; 2]> {
        Some([self.own?.to_string(), self.peer.clone()?])
    }
}

/// The links of the media, in the order of ha.cf; several media on one interface are one link.
pub(super) fn links(facts: &Facts<'_>) -> Links {
    let mut found = Links::default();
    for written in facts.written {
        let line = Facts::line_of(written);
        let words = || {
            let split = |c: char| c == ',' || c.is_whitespace();
            written.value.split(split).filter(|word| !word.is_empty())
        };
        match written.directive {
            "serial" => found.serial.push(line),
            "bcast" => {
                for interface in words() {
                    found.add(facts, line, interface, true, None);
                }
            }
            "mcast" | "mcast6" => {
                let v4 = written.directive == "mcast";
                if let Some(interface) = words().next() {
                    found.add(facts, line, interface, v4, None);
                }
            }
            "ucast" | "ucast6" => {
                let v4 = written.directive == "ucast";
                let mut words = words();
                if let (Some(interface), Some(peer)) = (words.next(), words.next()) {
                    found.add(facts, line, interface, v4, Some(peer));
                }
            }
            _ => {}
        }
    }
    found
}

impl Links {
    fn add(
        &mut self,
        facts: &Facts<'_>,
        line: usize,
        interface: &str,
        v4: bool,
        peer: Option<&str>,
    ) {
        let device = interface.split(':').next().unwrap_or(interface);
        if device == "lo" {
            let why = "the loop-back interface reaches no other node";
            self.idle.push((line, why));
            return;
        }
        let towards: Option<IpAddr> = peer.and_then(|it| it.parse().ok());
        let own = facts.own_address(device, v4, towards);
        if towards.is_some_and(|peer| facts.assigned.iter().any(|(_, it)| it.address == peer)) {
            let why = "it sends to this node itself";
            self.idle.push((line, why));
            return;
        }
        let peer = peer.filter(|it| is_plain(it)).map(str::to_owned);
        let to_one = peer.is_some();
        let Some(known) = self.links.iter_mut().find(|it| it.interface == device) else {
            self.links.push(Link {
                interface: device.to_owned(),
                own,
                peer,
                to_one,
                lines: vec![line],
            });
            return;
        };
        if !known.lines.contains(&line) {
            known.lines.push(line);
        }
        if known.peer.is_none() && peer.is_some() {
            (known.own, known.peer) = (own, peer);
        }
    }

    /// Notes what has become of the lines that make no link.
    pub(super) fn note_idle(&self, ledger: &mut super::Ledger) {
        for (line, why) in &self.idle {
            ledger.not_needed((File::HaCf, *line), *why);
        }
    }
}
