//! The directives that define ping nodes: pseudo-nodes that show whether the network works.
//!
//! Spec: docs/protocol/config.md, 4.3; docs/protocol/wire.md, 19.

use std::net::IpAddr;

use super::draft::{Draft, Verdict};
use super::lines;
use super::media::{add, first_ipv4, illegal};
use super::report::Refusal;
use super::types::PingConfig;
use crate::notice::Severity;

fn unknown_host(host: &str, reason: &str) -> String {
    format!("glib: unknown host: {host}: {reason}")
}

pub(super) fn ping(draft: &mut Draft<'_>, host: &str) -> Verdict {
    let address = first_ipv4(draft, host).map_err(|reason| {
        let refusal = Refusal::legacy(unknown_host(host, &reason), "must resolve at start");
        illegal(refusal, "ping", host)
    })?;
    add_ping(draft, "ping", host, vec![address.into()], None)
}

pub(super) fn ping6(draft: &mut Draft<'_>, host: &str) -> Verdict {
    let address = draft
        .env_of
        .resolve(host)
        .ok()
        .and_then(|addresses| addresses.into_iter().find(IpAddr::is_ipv6))
        .ok_or_else(|| illegal(Refusal::silent("no IPv6 address"), "ping6", host))?;
    let link_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    let interface = host.rsplit_once('%').filter(|_| link_local);
    let interface = interface.map(|(_, interface)| interface.to_owned());
    if link_local && interface.is_none() {
        draft.warn_here(&format!(
            "{host} is a link-local address: with several interfaces it is asked on any of them; name one ({address}%eth0)"
        ));
    }
    add_ping(draft, "ping6", host, vec![address], interface)
}

pub(super) fn ping_group(draft: &mut Draft<'_>, value: &str) -> Verdict {
    let mut words = lines::line_words(value);
    let name = words
        .next()
        .ok_or_else(|| Refusal::silent("the name of the group and its hosts are missing"))?;
    let hosts: Vec<&str> = words.collect();
    if hosts.is_empty() {
        return Err(Refusal::silent("a ping group needs at least one host"));
    }
    let mut addresses = Vec::new();
    for host in hosts {
        match first_ipv4(draft, host) {
            Ok(address) => addresses.push(address.into()),
            // Quirk: legacy continues without the host.
            Err(reason) => {
                let text = unknown_host(host, &reason);
                draft.report.say_as_legacy(Severity::Error, text);
                draft.warn_here(&format!("{host} does not resolve; left out"));
            }
        }
    }
    add_ping(draft, "ping_group", name, addresses, None)
}

fn add_ping(
    draft: &mut Draft<'_>,
    medium: &'static str,
    name: &str,
    hosts: Vec<IpAddr>,
    interface: Option<String>,
) -> Verdict {
    let node = draft.node_name(name)?;
    if draft.pings.iter().any(|ping| ping.name == node) {
        draft.warn_here(&format!("{node} is listed twice; one entry counts"));
        return Ok(());
    }
    add(draft, medium, name)?;
    draft.enter_node_table(&node)?;
    draft.pings.push(PingConfig {
        name: node,
        hosts,
        interface,
        medium,
    });
    draft.ping_places.push(draft.place().to_owned());
    Ok(())
}
