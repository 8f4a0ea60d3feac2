//! `corosync.conf`.

use std::fmt::Write as _;
use std::time::Duration;

use super::Document;
use super::facts::{Facts, is_plain};
use super::ledger::{File, Ledger};
use super::links::{Link, links};

/// The most links of knet.
const MOST_LINKS: usize = 8;

/// The least token timeout that is written, in milliseconds.
const LEAST_TOKEN_MS: u128 = 300;

/// Facilities that corosync knows.
const FACILITIES: [&str; 9] = [
    "daemon", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// Makes it, and notes the lines that it was made from.
pub(super) fn conf(facts: &Facts<'_>, ledger: &mut Ledger) -> Document {
    let mut text = String::from(
        "# Written by systole export. Make a key with corosync-keygen, and copy it and this file to all nodes.\n",
    );
    text.push_str(&totem(facts, ledger));
    text.push_str(&nodelist(facts, ledger));
    text.push_str("quorum {\n    provider: corosync_votequorum\n");
    if facts.config.nodes.len() == 2 {
        text.push_str("    two_node: 1\n    wait_for_all: 1\n");
        ledger.differs(
            "A node that starts alone waits for the other one for ever (corosync.conf quorum.wait_for_all): heartbeat \
             starts its groups after initdead. wait_for_all: 0 has it start alone; without fencing both nodes may run \
             the groups then.",
        );
    }
    text.push_str("}\n");
    text.push_str(&logging(facts, ledger));
    Document {
        name: "corosync.conf".to_owned(),
        text,
    }
}

fn totem(facts: &Facts<'_>, ledger: &mut Ledger) -> String {
    let timing = &facts.config.timing;
    let mut text = String::from("totem {\n    version: 2\n");
    let mut cluster = "linux-ha".to_owned();
    for (line, value) in facts.lines("cluster") {
        if is_plain(value) {
            value.clone_into(&mut cluster);
            ledger.carried((File::HaCf, line), "corosync.conf totem.cluster_name");
        } else {
            ledger.lost(
                (File::HaCf, line),
                "corosync.conf cannot hold this name; it gets linux-ha",
            );
        }
    }
    let (token, consensus) = token_ms(timing.deadtime);
    let _ = write!(
        text,
        "    cluster_name: {cluster}\n    transport: knet\n    crypto_cipher: aes256\n    crypto_hash: sha256\n    \
         token: {token}\n    consensus: {consensus}\n"
    );
    for (line, _) in facts.lines("deadtime") {
        ledger.carried(
            (File::HaCf, line),
            "corosync.conf totem.token and totem.consensus, which are this time together",
        );
    }
    if u128::from(token.saturating_add(consensus)) > timing.deadtime.as_millis() {
        ledger.differs(format!(
            "corosync declares a node dead after {} ms: it needs more than this deadtime",
            token.saturating_add(consensus)
        ));
    }
    let percent = timing.warntime.as_millis().saturating_mul(100);
    let percent = percent.checked_div(u128::from(token)).unwrap_or(100);
    for (line, _) in facts.lines("warntime") {
        let place = (File::HaCf, line);
        if percent < 100 {
            let _ = writeln!(text, "    token_warning: {percent}");
            ledger.carried(
                place,
                "corosync.conf totem.token_warning, in percent of the token",
            );
        } else {
            ledger.not_needed(
                place,
                "corosync has lost the token before that, and says so",
            );
        }
    }
    let nodes = facts.config.nodes.iter();
    let names: Vec<&str> = nodes.map(|it| it.as_str()).collect();
    for key in facts.keys.iter().flatten() {
        ledger.carried(
            (File::Authkeys, key.line),
            format!(
                "corosync.conf totem.crypto_hash and crypto_cipher. The secret is not taken over: corosync-keygen makes \
                 /etc/corosync/authkey, which is copied to {}",
                names.join(" and ")
            ),
        );
    }
    text.push_str("}\n");
    text
}

/// Token and consensus timeout, in milliseconds: together the dead time, and the second at least 1.2 of the first.
fn token_ms(deadtime: Duration) -> (u64, u64) {
    let deadtime = deadtime.as_millis();
    let token = (deadtime.saturating_mul(5) / 11).max(LEAST_TOKEN_MS);
    let least = token.saturating_mul(6).div_ceil(5);
    let consensus = deadtime.saturating_sub(token).max(least);
    let ms = |time: u128| u64::try_from(time).unwrap_or(u64::MAX);
    (ms(token), ms(consensus))
}

fn nodelist(facts: &Facts<'_>, ledger: &mut Ledger) -> String {
    let found = links(facts);
    found.note_idle(ledger);
    for line in &found.serial {
        let why =
            "corosync speaks over IP only; a second network is the counterpart of a serial line";
        ledger.lost((File::HaCf, *line), why);
    }
    let (links, more) = match found.links.split_at_checked(MOST_LINKS) {
        Some((links, more)) => (links, more),
        None => (found.links.as_slice(), [].as_slice()),
    };
    for (number, link) in links.iter().enumerate() {
        for line in &link.lines {
            let text = format!(
                "corosync.conf nodelist: link {number}, on {}",
                link.interface
            );
            ledger.carried((File::HaCf, *line), text);
        }
    }
    for line in more.iter().flat_map(|link| &link.lines) {
        let why = format!("corosync has {MOST_LINKS} links at most");
        ledger.lost((File::HaCf, *line), why);
    }
    for (line, _) in facts.lines("node") {
        ledger.carried((File::HaCf, line), "corosync.conf nodelist");
    }
    let mut text = String::from("nodelist {\n");
    for (number, node) in (1_usize..).zip(&facts.config.nodes) {
        let name = node.as_str();
        let _ = write!(
            text,
            "    node {{\n        nodeid: {number}\n        name: {name}\n"
        );
        if links.is_empty() {
            let _ = writeln!(text, "        ring0_addr: {name}");
            ledger.task(format!("have {name} in /etc/hosts of all nodes"));
        }
        for (number, link) in links.iter().enumerate() {
            let address = address(facts, link, name, ledger);
            let _ = writeln!(text, "        ring{number}_addr: {address}");
        }
        text.push_str("    }\n");
    }
    text.push_str("}\n");
    text
}

/// The address of a node on a link. Where one of the two is not known, both are names, so that the files made on both
/// nodes are the same.
fn address(facts: &Facts<'_>, link: &Link, node: &str, ledger: &mut Ledger) -> String {
    let is_own = facts.config.local.as_str() == node;
    let pair = facts.config.nodes.len() == 2;
    if let Some([own, peer]) = link.both().filter(|_| pair) {
        return if is_own { own } else { peer };
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let interface: String = link.interface.chars().map(plain).collect();
    let name = format!("{node}-{interface}");
    let known = link.own.filter(|_| is_own);
    let known = known.map_or_else(String::new, |it| format!(", {it} when this was written"));
    ledger.task(format!(
        "put {name} into /etc/hosts of all nodes: the address of {node} on {}{known}",
        link.interface
    ));
    name
}

fn logging(facts: &Facts<'_>, ledger: &mut Ledger) -> String {
    let log = &facts.config.log;
    let mut text = String::from("logging {\n    to_stderr: no\n    timestamp: on\n");
    let facility = log.facility.as_deref();
    let known = facility.filter(|it| FACILITIES.contains(it));
    for (line, _) in facts.lines("logfacility") {
        let place = (File::HaCf, line);
        match (facility, known) {
            (None, _) => ledger.carried(place, "corosync.conf logging.to_syslog: no"),
            (_, Some(_)) => ledger.carried(place, "corosync.conf logging.syslog_facility"),
            (Some(_), None) => ledger.lost(
                place,
                "corosync does not know this facility; it gets daemon",
            ),
        }
    }
    if facility.is_none() && facts.lines("logfacility").next().is_some() {
        text.push_str("    to_syslog: no\n");
    } else {
        let facility = known.unwrap_or("daemon");
        let _ = write!(
            text,
            "    to_syslog: yes\n    syslog_facility: {facility}\n"
        );
    }
    let file = log.logfile.as_ref().map(|it| it.display().to_string());
    let plain = file.as_deref().filter(|it| is_plain(it));
    for (line, _) in facts.lines("logfile") {
        let place = (File::HaCf, line);
        match plain {
            Some(_) => ledger.carried(place, "corosync.conf logging.logfile"),
            None => ledger.lost(place, "corosync.conf cannot hold this path"),
        }
    }
    if let Some(file) = plain {
        let _ = write!(text, "    to_logfile: yes\n    logfile: {file}\n");
    }
    for (line, _) in facts.lines("debug") {
        ledger.carried((File::HaCf, line), "corosync.conf logging.debug");
    }
    let debug = if log.debug > 0 { "on" } else { "off" };
    let _ = writeln!(text, "    debug: {debug}\n}}");
    text
}
