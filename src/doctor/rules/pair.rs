//! What only the files of both nodes show.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use super::super::facts::Content;
use super::super::node::Node;
use super::Raw;
use super::files::keys;
use crate::config::group_lines::Logical;
use crate::config::types::{Config, MediumConfig};
use crate::net::address::AddressStyle;

const HA_CF: &str = "/etc/ha.d/ha.cf";
const HARESOURCES: &str = "/etc/ha.d/haresources";
const AUTHKEYS: &str = "/etc/ha.d/authkeys";

/// Copies a file of this node to the other one.
fn copied(there: &Node<'_>, file: &str) -> String {
    format!("scp -p {file} {}:{file}", there.name())
}

/// Each node must have the key with which the other signs.
pub(super) fn keys_differ(here: &Node<'_>, there: &Node<'_>) -> Vec<Raw> {
    let read = |node: &Node<'_>| node.text(Path::new(AUTHKEYS));
    let (Some(ours), Some(theirs)) = (read(here), read(there)) else {
        return Vec::new();
    };
    let [(auth, ours), (their_auth, theirs)] = [keys(&ours), keys(&theirs)];
    let find = |keys: &[super::files::KeyLine<'_>], index: &str| {
        let mut keys = keys.iter();
        keys.find(|key| key.1 == index)
            .map(|key| (key.0, key.2.to_owned(), key.3.to_owned()))
    };
    let signed_with = [auth, their_auth].into_iter().flatten();
    for (line, index) in signed_with {
        let (one, two) = (find(&ours, index), find(&theirs, index));
        let text = match (&one, &two) {
            (Some(one), Some(two)) if one.1 == two.1 && one.2 == two.2 => continue,
            (Some(one), Some(two)) if one.1 != two.1 => {
                format!(
                    "key {index} is {} here and {} on {}",
                    one.1,
                    two.1,
                    there.name()
                )
            }
            (Some(_), Some(_)) => {
                format!("key {index} is another one on {}", there.name())
            }
            _ => format!("only one of the nodes has key {index}, with which the other signs"),
        };
        let text = format!("{text}: neither node hears the other, and both take everything");
        let line = one.map_or(line, |one| one.0);
        let raw = Raw::new(text).at(AUTHKEYS).line(line);
        return vec![raw.fix(copied(there, AUTHKEYS))];
    }
    Vec::new()
}

/// Lines with the same first resource of which each node is the owner by its own file.
fn own_both(here: &Node<'_>, there: &Node<'_>) -> Vec<(usize, String)> {
    let (Some(ours), Some(theirs)) = (here.groups(), there.groups()) else {
        return Vec::new();
    };
    let owned = |line: &Logical, name: &str| {
        let owner = line.words.first();
        owner.is_some_and(|owner| owner.eq_ignore_ascii_case(name))
    };
    let ours = ours.iter().filter(|line| owned(line, here.name()));
    let both = ours.filter_map(|line| {
        let key = line.words.get(1)?;
        let same = |it: &&Logical| it.words.get(1) == Some(key) && owned(it, there.name());
        theirs.iter().find(same)?;
        Some((line.number, key.clone()))
    });
    both.collect()
}

pub(super) fn both_own(here: &Node<'_>, there: &Node<'_>) -> Vec<Raw> {
    let both = own_both(here, there).into_iter();
    both.map(|(line, key)| {
        let text = format!(
            "{key} is owned by {} here and by {} there: both would start it",
            here.name(),
            there.name()
        );
        Raw::new(text)
            .at(HARESOURCES)
            .line(line)
            .fix(copied(there, HARESOURCES))
    })
    .collect()
}

/// The first line that differs, comments and blanks aside.
pub(super) fn haresources_differ(here: &Node<'_>, there: &Node<'_>) -> Vec<Raw> {
    let (Some(ours), Some(theirs)) = (here.groups(), there.groups()) else {
        return Vec::new();
    };
    let owned_twice: BTreeSet<String> = own_both(here, there)
        .into_iter()
        .map(|(_, key)| key)
        .collect();
    let words = |lines: &[Logical]| -> Vec<(usize, Vec<String>)> {
        let lines = lines.iter().map(|line| {
            let mut words = line.words.clone();
            let twice = words.get(1).is_some_and(|key| owned_twice.contains(key));
            if let Some(owner) = words.first_mut() {
                // Another rule tells of this owner.
                *owner = if twice {
                    String::new()
                } else {
                    owner.to_ascii_lowercase()
                };
            }
            (line.number, words)
        });
        lines.collect()
    };
    let (ours, theirs) = (words(&ours), words(&theirs));
    let shown = |line: Option<&(usize, Vec<String>)>| {
        line.map_or_else(
            || "no such line".to_owned(),
            |(_, words)| format!("`{}`", words.join(" ").chars().take(80).collect::<String>()),
        )
    };
    let most = ours.len().max(theirs.len());
    let differs = (0..most).find(|index| {
        let (one, two) = (ours.get(*index), theirs.get(*index));
        one.map(|it| &it.1) != two.map(|it| &it.1)
    });
    let Some(index) = differs else {
        return Vec::new();
    };
    let (one, two) = (ours.get(index), theirs.get(index));
    let text = format!("here {}, on {} {}", shown(one), there.name(), shown(two));
    let raw = Raw::new(text)
        .fix(copied(there, HARESOURCES))
        .at(HARESOURCES);
    vec![match (one, two) {
        (Some((line, _)), _) => raw.line(*line),
        (None, Some((line, _))) => raw.line(*line).of_the_other(),
        (None, None) => raw,
    }]
}

/// Wrappers of the packages differ between them on purpose.
fn is_wrapper(content: &str) -> bool {
    const MARKS: [&str; 4] = ["# systole:", "ocf_resource", "ocf-shellfuncs", "hb_ocf"];
    MARKS.iter().any(|mark| content.contains(mark))
}

pub(super) fn scripts_differ(here: &Node<'_>, there: &Node<'_>) -> Vec<Raw> {
    let theirs = there.scripts();
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    for (word, call, path) in here.scripts() {
        let Some(path) = path else { continue };
        let address = [
            AddressStyle::IPaddr,
            AddressStyle::IPaddr2,
            AddressStyle::IPv6addr,
        ];
        if address.iter().any(|style| style.script() == call.name) || !told.insert(path.clone()) {
            continue;
        }
        let there_too = |it: &&(_, crate::agents::script::ScriptCall, Option<_>)| {
            it.1.name == call.name && it.2.as_ref() == Some(&path)
        };
        if theirs.iter().find(there_too).is_none() {
            continue;
        }
        let (Some(one), Some(two)) = (here.text(&path), there.text(&path)) else {
            continue;
        };
        if one == two || is_wrapper(&one) || is_wrapper(&two) {
            continue;
        }
        let shown = path.display().to_string();
        let text = format!("{}: {shown} differs on {}", word.text, there.name());
        let raw = Raw::new(text).at(HARESOURCES).line(word.line);
        found.push(raw.fix(copied(there, &shown)));
    }
    found
}

/// A ping node that is an address of an interface of the other node.
pub(super) fn ping_of_the_other(here: &Node<'_>, there: &Node<'_>) -> Vec<Raw> {
    let Some(config) = here.config() else {
        return Vec::new();
    };
    // Service addresses, and targets of ucast lines, have a check of their own.
    let services: Vec<IpAddr> = here
        .addresses()
        .into_iter()
        .map(|it| it.1.address)
        .collect();
    let targets: Vec<IpAddr> = config.media.iter().filter_map(MediumConfig::peer).collect();
    let own = there.own();
    let hosts = config.pings.iter().flat_map(|ping| {
        let hosts = ping.hosts.iter();
        hosts.map(move |host| (ping, *host))
    });
    let theirs = hosts.filter(|(_, host)| {
        own.contains(host) && !services.contains(host) && !targets.contains(host)
    });
    theirs
        .map(|(ping, host)| {
            let line = here.lines(ping.medium).into_iter();
            let line = line.map(|it| it.0).next().unwrap_or(1);
            let text = format!(
                "{host} is {} itself: it does not tell whether the network is there",
                there.name()
            );
            Raw::new(text).at(HA_CF).line(line)
        })
        .collect()
}

pub(super) fn times_differ(here: &Node<'_>, there: &Node<'_>) -> Vec<Raw> {
    let (Some(ours), Some(theirs)) = (here.config(), there.config()) else {
        return Vec::new();
    };
    let (one, two) = (&ours.timing, &theirs.timing);
    let all = [
        ("keepalive", one.keepalive, two.keepalive),
        ("deadtime", one.deadtime, two.deadtime),
        ("warntime", one.warntime, two.warntime),
        ("initdead", one.initdead, two.initdead),
    ];
    let mut changes = Vec::new();
    let mut words = Vec::new();
    let mut first = None;
    for (name, here_is, there_is) in all.into_iter().filter(|(_, one, two)| one != two) {
        words.push(format!(
            "{name} {} ms here and {} ms on {}",
            here_is.as_millis(),
            there_is.as_millis(),
            there.name()
        ));
        if let Some((line, _)) = here.lines(name).pop() {
            first = first.or(Some(line));
            changes.push(format!(
                "-e '{line}s/.*/{name} {}ms/'",
                there_is.as_millis()
            ));
        } else {
            changes.push(format!("-e '$a {name} {}ms'", there_is.as_millis()));
        }
    }
    if words.is_empty() {
        return Vec::new();
    }
    let raw = Raw::new(words.join(", "))
        .at(HA_CF)
        .fix(format!("sed -i {} {HA_CF}", changes.join(" ")));
    vec![match first {
        Some(line) => raw.line(line),
        None => raw,
    }]
}

pub(super) fn same_uuid(here: &Node<'_>, there: &Node<'_>) -> Vec<Raw> {
    let read = |node: &Node<'_>| match node.desk().content(&node.paths().uuid()) {
        Content::Bytes(bytes) if !bytes.is_empty() => Some(bytes),
        _ => None,
    };
    let (Some(ours), Some(theirs)) = (read(here), read(there)) else {
        return Vec::new();
    };
    if ours != theirs {
        return Vec::new();
    }
    let file = here.paths().uuid();
    let text = format!(
        "{} has the same uuid: a legacy node takes our messages for its own",
        there.name()
    );
    let fix = format!("rm {}", file.display());
    vec![Raw::new(text).at(file).fix(fix)]
}

/// Whether a message that one sends on `one` can arrive at the other on `two`.
fn meet(one: &MediumConfig, two: &MediumConfig) -> bool {
    use MediumConfig::{Bcast, Mcast, Mcast6, Serial, Ucast, Ucast6};
    match (one, two) {
        (Serial { baud: one, .. }, Serial { baud: two, .. }) => one == two,
        (
            Mcast {
                group: one,
                port: p,
                ..
            },
            Mcast {
                group: two,
                port: q,
                ..
            },
        ) => (one, p) == (two, q),
        (
            Mcast6 {
                group: one,
                port: p,
                ..
            },
            Mcast6 {
                group: two,
                port: q,
                ..
            },
        ) => (one, p) == (two, q),
        // A socket of either kind receives what is sent to the host's address.
        (
            Bcast { port: p, .. } | Ucast { port: p, .. },
            Bcast { port: q, .. } | Ucast { port: q, .. },
        )
        | (Ucast6 { port: p, .. }, Ucast6 { port: q, .. }) => p == q,
        _ => false,
    }
}

pub(super) fn media_differ(here: &Node<'_>, there: &Node<'_>) -> Vec<Raw> {
    let (Some(ours), Some(theirs)) = (here.config(), there.config()) else {
        return Vec::new();
    };
    let some = !ours.media.is_empty() && !theirs.media.is_empty();
    let common = ours
        .media
        .iter()
        .any(|one| theirs.media.iter().any(|two| meet(one, two)));
    if !some || common {
        return Vec::new();
    }
    let shown = |config: &Config| {
        let media = config.media.iter().map(ToString::to_string);
        media.collect::<Vec<_>>().join(", ")
    };
    let text = format!(
        "media here: {}; on {}: {}",
        shown(ours),
        there.name(),
        shown(theirs)
    );
    vec![Raw::new(text).at(HA_CF)]
}
