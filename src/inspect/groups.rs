//! Lines of haresources: would this host find and start the resources that they name?

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use super::{Finding, Network, Subject};
use crate::agents::script::{Found, ScriptCall};
use crate::config::environment::PathKind;
use crate::config::group_lines;
use crate::config::monitors::Check;
use crate::net::address::{self, AddressResource, Handling, ScriptFile};
use crate::net::placement;
use crate::protocol::group::ResourceGroup;

/// Directory of the agents that `OCF::TYPE::INSTANCE` names.
const OCF_AGENTS: &str = "/usr/lib/ocf/resource.d";

/// A resource word and its place.
pub(super) struct Word {
    pub(super) place: String,
    pub(super) text: String,
}

fn file(subject: &Subject<'_>) -> String {
    subject.paths.haresources().display().to_string()
}

/// The words of all groups that are used, in file order.
pub(super) fn words(subject: &Subject<'_>) -> Vec<Word> {
    let file = file(subject);
    let lines = group_lines::logical(&subject.sources.haresources);
    let used = |words: &[String]| -> bool {
        let is_it = |group: &ResourceGroup| {
            words
                .split_first()
                .is_some_and(|(_, rest)| *rest == *group.resources)
        };
        subject.config.groups.iter().any(is_it)
    };
    lines
        .into_iter()
        .filter(|line| used(&line.words))
        .flat_map(|line| {
            let place = format!("{file}:{}", line.number);
            line.words
                .into_iter()
                .skip(1)
                .map(move |text| Word {
                    place: place.clone(),
                    text,
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// How a word is carried out.
pub(super) enum Runs {
    /// By this process.
    Address(AddressResource),
    /// By this process, but the address cannot be read.
    BadAddress(String),
    /// By a script.
    Script(ScriptCall),
}

pub(super) fn runs(subject: &Subject<'_>, word: &str) -> Runs {
    let call = ScriptCall::parse(word);
    let parsed = address::parse_word(word);
    if matches!(parsed, Ok(None)) {
        return Runs::Script(call);
    }
    let script = match locate(subject, &call) {
        None | Some(Found::Agent(_)) => ScriptFile::Absent,
        Some(Found::Script(path)) => match subject.host.read_file(&path) {
            Ok(file) => ScriptFile::classify(&call.name, Some(&file.bytes)),
            Err(_) => ScriptFile::Administrators,
        },
    };
    let setting = subject.config.settings.native_addresses;
    match (address::handling(setting, script), parsed) {
        (Handling::Script, _) | (_, Ok(None)) => Runs::Script(call),
        (Handling::Native, Ok(Some(address))) => Runs::Address(address),
        (Handling::Native, Err(error)) => Runs::BadAddress(error.to_string()),
    }
}

fn locate(subject: &Subject<'_>, call: &ScriptCall) -> Option<Found> {
    call.locate(subject.paths, |path| subject.host.is_executable(path))
}

/// The words that a script carries out, each with the script if it exists.
fn scripts(subject: &Subject<'_>) -> Vec<(Word, ScriptCall, Option<Found>)> {
    words(subject)
        .into_iter()
        .filter_map(|word| match runs(subject, &word.text) {
            Runs::Script(call) => {
                let found = locate(subject, &call);
                Some((word, call, found))
            }
            Runs::Address(_) | Runs::BadAddress(_) => None,
        })
        .collect()
}

/// What the author probably meant by a word that names no script.
fn meant(name: &str, word: &str) -> Option<String> {
    if let Some((script, rest)) = name.split_once(':') {
        if word.split('/').next().is_some_and(is_ipv6) {
            return Some(format!(
                "an IPv6 address is written IPv6addr::{word}: nothing is done for this word"
            ));
        }
        return Some(format!(
            "one colon: script and argument are separated by two: {script}::{rest}"
        ));
    }
    // A bare `fd00::1` is read as a script `fd00` with an argument.
    word.split('/').next().is_some_and(is_ipv6).then(|| {
        format!("an IPv6 address is written IPv6addr::{word}: nothing is done for this word")
    })
}

fn is_ipv6(text: &str) -> bool {
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

/// What is wrong with the parameters of an OCF agent without a script of its name.
fn bad_parameters(call: &ScriptCall, agent: &Path) -> Option<String> {
    let bad: Vec<_> = call.not_parameters().collect();
    (!bad.is_empty()).then(|| {
        format!(
            "{}: {} is an OCF agent, and its parameters are written name=value: {}",
            call.name,
            agent.display(),
            bad.join(" ")
        )
    })
}

pub(super) fn missing_scripts(subject: &Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (word, call, script) in scripts(subject) {
        let Word { place, text } = word;
        match script {
            Some(Found::Script(_)) => continue,
            Some(Found::Agent(agent)) => {
                found.extend(bad_parameters(&call, &agent).map(|bad| Finding::new(place, bad)));
                continue;
            }
            None => {}
        }
        // A line that was meant to continue: another check tells that.
        if text == "\\" {
            continue;
        }
        let directories = [subject.paths.resource_d(), subject.paths.init_dir.clone()];
        let there = directories.iter().map(|it| it.join(&call.name));
        let there = there
            .into_iter()
            .find(|path| subject.host.path_kind(path) != PathKind::Missing);
        let mut fix = None;
        let text = if let Some(meant) = meant(&call.name, &text) {
            format!("{text}: {meant}")
        } else if let Some(path) = there.filter(|_| !call.name.is_empty()) {
            let chmod = format!("chmod 755 {}", path.display());
            let text = format!("{text}: {} is not executable: {chmod}", path.display());
            fix = Some(chmod);
            text
        } else {
            let [first, second] = directories;
            format!(
                "{text}: no script {} in {} or {}, and no OCF agent of that name",
                call.name,
                first.display(),
                second.display()
            )
        };
        let finding = Finding::new(place, text);
        found.push(match fix {
            Some(fix) => finding.fixed_by(fix),
            None => finding,
        });
    }
    found
}

pub(super) fn bad_addresses(subject: &Subject<'_>) -> Vec<Finding> {
    let mut addresses = Vec::new();
    let mut found = Vec::new();
    for word in words(subject) {
        match runs(subject, &word.text) {
            Runs::Address(address) => addresses.push((word, address)),
            Runs::BadAddress(text) => found.push(Finding::new(word.place, text)),
            Runs::Script(_) => {}
        }
    }
    let asked: Vec<IpAddr> = addresses.iter().map(|(_, it)| it.address).collect();
    if asked.is_empty() {
        return found;
    }
    let Some(network) = subject.host.network(&asked) else {
        return found;
    };
    for (word, address) in &addresses {
        if let Some(text) = unplaceable(&network, address) {
            let text = format!("{}: {text}", word.text);
            found.push(Finding::new(word.place.clone(), text));
        }
    }
    for (index, (word, address)) in addresses.iter().enumerate() {
        let (before, _) = addresses.split_at(index);
        let first = before.iter().find(|(_, it)| it.address == address.address);
        if let Some((first, _)) = first {
            let text = format!(
                "{}: the address is in {} as well: it can be on one node only",
                word.text, first.place
            );
            found.push(Finding::new(word.place.clone(), text));
        }
    }
    found
}

fn unplaceable(network: &Network, address: &AddressResource) -> Option<String> {
    match placement::place(address, &network.interfaces, &network.routes) {
        Ok(_) => None,
        Err(error @ placement::PlaceError::NoInterface { .. }) => {
            Some(format!("{error} (there are {})", network.names()))
        }
        Err(error) => Some(error.to_string()),
    }
}

pub(super) fn own_addresses(subject: &Subject<'_>) -> Vec<Finding> {
    let text = &subject.sources.haresources;
    let host = subject.host;
    host.own_addresses(subject.paths, subject.config, text).0
}

pub(super) fn addresses_in_doubt(subject: &Subject<'_>) -> Vec<Finding> {
    let text = &subject.sources.haresources;
    let host = subject.host;
    host.own_addresses(subject.paths, subject.config, text).1
}

/// Like the legacy script of that name, ours refuses every operation without the file.
pub(super) fn ocf_without_configuration(subject: &Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (word, call, path) in scripts(subject) {
        if call.name != "OCF" || path.is_none() {
            continue;
        }
        let text = match call.args.as_slice() {
            [kind, instance] => {
                let file = subject
                    .paths
                    .ha_dir
                    .join("conf/OCF")
                    .join(kind)
                    .join(instance);
                if subject.host.read_file(&file).is_ok() {
                    continue;
                }
                format!(
                    "{} cannot be read: every operation on the resource fails; it may be empty",
                    file.display()
                )
            }
            _ => format!("the form is OCF::TYPE::INSTANCE; agents are in {OCF_AGENTS}/*"),
        };
        found.push(Finding::new(word.place, format!("{}: {text}", word.text)));
    }
    found
}

/// The service that a word starts, as `systemctl` names it: by its init script, or as a unit.
fn service<'c>(
    subject: &Subject<'_>,
    call: &'c ScriptCall,
    script: Option<&Found>,
) -> Option<&'c str> {
    let place = script?.path().parent()?;
    if place == subject.paths.init_dir {
        return Some(&call.name);
    }
    let unit = call.args.first().filter(|_| call.name == "systemd")?;
    let ours = place == subject.paths.resource_d();
    ours.then(|| unit.strip_suffix(".service").unwrap_or(unit))
}

/// A service that is started at boot as well runs on the standby node, too.
pub(super) fn started_at_boot(subject: &Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (word, call, script) in scripts(subject) {
        let Some(name) = service(subject, &call, script.as_ref()) else {
            continue;
        };
        if let Some(link) = subject.host.started_at_boot(name) {
            let text = format!(
                "{}: {} starts it at boot, on the standby as well: systemctl disable {name}",
                word.text,
                link.display(),
            );
            let fix = format!("systemctl disable {name}");
            found.push(Finding::new(word.place, text).fixed_by(fix));
        }
    }
    found
}

pub(super) fn no_groups(subject: &Subject<'_>) -> Vec<Finding> {
    let config = subject.config;
    if !config.manage_resources || !config.groups.is_empty() {
        return Vec::new();
    }
    let text = "no resource group: this node manages nothing";
    vec![Finding::new(file(subject), text)]
}

pub(super) fn owned_by_a_ping_node(subject: &Subject<'_>) -> Vec<Finding> {
    let config = subject.config;
    let file = file(subject);
    let lines = group_lines::logical(&subject.sources.haresources);
    lines
        .iter()
        .filter_map(|line| {
            let owner = line.words.first()?;
            let is_ping = |name: &str| name.eq_ignore_ascii_case(owner);
            let ping = config.pings.iter().any(|ping| is_ping(ping.name.as_str()));
            let text = format!("{owner} is a ping node: no node starts the group at first");
            ping.then(|| Finding::new(format!("{file}:{}", line.number), text))
        })
        .collect()
}

/// The line does not continue, and the backslash is one more resource.
pub(super) fn blanks_behind_a_backslash(subject: &Subject<'_>) -> Vec<Finding> {
    let file = file(subject);
    group_lines::physical(&subject.sources.haresources)
        .filter(|(_, line)| group_lines::backslash_and_blanks(line))
        .map(|(number, _)| {
            let text = "blanks behind the backslash: the line does not continue";
            // The next line is a group of its own, or the file would have been refused.
            let fix = format!("sed -i '{number}s/\\\\[[:space:]]*$//' {file}");
            Finding::new(format!("{file}:{number}"), text).fixed_by(fix)
        })
        .collect()
}
/// Programs of monitors that cannot be run.
pub(super) fn monitor_programs(subject: &Subject<'_>) -> Vec<Finding> {
    let file = subject.paths.settings.display();
    let monitors = subject.config.settings.monitors.iter();
    let cannot = monitors.filter_map(|monitor| {
        let Check::Run(program) = &monitor.check else {
            return None;
        };
        let shown = program.display();
        (!subject.host.is_executable(program)).then(|| {
            let text = format!(
                "{shown} is not there or not executable: the check of {} has no answer",
                monitor.resource
            );
            let line = monitor.line;
            Finding::new(format!("{file}:{line}"), text).fixed_by(format!("chmod +x {shown}"))
        })
    });
    cannot.collect()
}

/// Monitors that mean no resource, or one that another monitor means already.
pub(super) fn monitors(subject: &Subject<'_>) -> Vec<Finding> {
    let file = subject.paths.settings.display();
    let groups = &subject.config.groups;
    let mut found = Vec::new();
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for monitor in &subject.config.settings.monitors {
        let place = format!("{file}:{}", monitor.line);
        let text = match monitor.find(groups) {
            Err(text) => text,
            Ok((_, word)) => match known.insert(word, monitor.line) {
                None => continue,
                Some(line) => {
                    format!("{word} has a monitor already, in line {line}: one for each resource")
                }
            },
        };
        found.push(Finding::new(place, text));
    }
    found
}
