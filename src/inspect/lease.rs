//! The lease of service addresses: does each get the one that the settings ask for?

use std::net::IpAddr;
use std::path::Path;

use super::groups::{Runs, Word, runs, words};
use super::{Finding, Network, Subject};
use crate::net::lease::takes_along;
use crate::net::placement::Assigned;
use crate::protocol::lease::AddressLease;

/// None at all, or none for one address.
pub(super) fn address_lease(subject: &Subject<'_>) -> Vec<Finding> {
    let file = subject.paths.settings.display();
    match subject.config.address_lease() {
        Ok(None) => Vec::new(),
        Err(why) => {
            let text = format!("address_lease: service addresses get no lease: {why}");
            let finding = Finding::new(file.to_string(), text);
            let timing = &subject.config.timing;
            let guarded = subject.config.settings.address_guard.puts_back();
            let auto = AddressLease::Auto.seconds(timing.keepalive, timing.deadtime);
            vec![if guarded && auto.is_ok() {
                let line = "s/^address_lease.*/address_lease = \"auto\"/";
                finding.fixed_by(format!("sed -i '{line}' {file}"))
            } else {
                finding
            }]
        }
        Ok(Some(_)) => of_addresses(subject),
    }
}

fn of_addresses(subject: &Subject<'_>) -> Vec<Finding> {
    let (mut found, mut native) = (Vec::new(), Vec::new());
    for word in words(subject) {
        match runs(subject, &word.text) {
            Runs::Address(address) => native.push((word, address.address)),
            Runs::Script(_) if crate::net::address::names_address(&word.text) => {
                let text = format!("{}: its script handles it, so it gets no lease", word.text);
                found.push(Finding::new(word.place, text));
            }
            Runs::Script(_) | Runs::BadAddress(_) => {}
        }
    }
    if native.is_empty() {
        return found;
    }
    if let Some(network) = subject.host.network(&[]) {
        let alone = native
            .iter()
            .filter_map(|it| takes_others(subject, &network, it, &native));
        found.extend(alone);
    }
    found
}

/// An address that is here, with which the kernel would remove others that are no service addresses.
fn takes_others(
    subject: &Subject<'_>,
    network: &Network,
    (word, address): &(Word, IpAddr),
    native: &[(Word, IpAddr)],
) -> Option<Finding> {
    let read = |path: &Path| Some(subject.host.read_file(path).ok()?.bytes);
    let service = |it: &Assigned| native.iter().any(|(_, address)| *address == it.address);
    let mut copies = network.assigned.iter().filter(|it| it.address == *address);
    let other = copies.find_map(|it| {
        let others = takes_along(it, &network.assigned, &read);
        others.into_iter().find(|other| !service(other))
    })?;
    let (name, prefix, other) = (&word.text, other.prefix, other.address);
    let text = format!(
        "{name}: the address is the first of its network /{prefix} on this host, and the kernel would remove {other} \
         together with it: it gets no lease. Set the sysctl promote_secondaries to 1"
    );
    let fix = "sysctl -w net.ipv4.conf.all.promote_secondaries=1".to_owned();
    Some(Finding::new(word.place.clone(), text).fixed_by(fix))
}
