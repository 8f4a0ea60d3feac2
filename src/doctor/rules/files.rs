//! The files of `/etc/ha.d` by themselves, and the commands that fix lines of them.

use std::path::{Path, PathBuf};

use super::super::finding::Level;
use super::super::node::{Node, nodes_in, numbered};
use super::Raw;

const HA_CF: &str = "/etc/ha.d/ha.cf";
const HARESOURCES: &str = "/etc/ha.d/haresources";
const AUTHKEYS: &str = "/etc/ha.d/authkeys";

/// Where our programs are.
const PROGRAMS: &str = "/usr/libexec/heartbeat";

/// Whether a word may stand in a command unquoted.
pub(super) fn is_plain(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@+,%=".contains(c);
    !word.is_empty() && !word.starts_with('-') && word.chars().all(plain)
}

/// A `sed` that changes the first word `old` of a line to `new`.
pub(super) fn exchange(file: &Path, line: usize, old: &str, new: &str) -> Option<String> {
    (is_plain(old) && is_plain(new)).then(|| {
        let old = old.replace('.', "\\.");
        format!("sed -i '{line}s#{old}#{new}#' {}", file.display())
    })
}

/// Completes a finding of rule `id` with the command that fixes it, where one is known.
pub(super) fn fixed(id: &str, node: &Node<'_>, raw: Raw) -> Raw {
    let fix = match id {
        "D05" => host_name(node, &raw),
        "D08" => joined(node, &raw),
        "D09" => owner(node, &raw),
        "D25" => interface(node, &raw),
        "D32" => raw.line.and_then(|_| times(node)),
        "D34" => raw.file.as_ref().map(|file| {
            let file = file.display();
            format!("sed -i '1s/^\\xef\\xbb\\xbf//' {file}")
        }),
        "D35" => Some(no_cluster_manager()),
        "D36" => failback(node, &raw),
        "D39" => program(node, &raw),
        "D54" => raw
            .line
            .map(|line| format!("sed -i '{line}s/[[:space:]]*$//' {HARESOURCES}")),
        _ => None,
    };
    match fix {
        Some(fix) => raw.fix(fix),
        None => raw,
    }
}

fn host_name(node: &Node<'_>, _: &Raw) -> Option<String> {
    let ha_cf = node.text(Path::new(HA_CF))?;
    let short = |name: &str| name.split('.').next().map(str::to_ascii_lowercase);
    let own = short(node.name());
    let same = nodes_in(&ha_cf)
        .into_iter()
        .find(|name| short(name) == own)?;
    is_plain(&same).then(|| format!("hostnamectl set-hostname {same}"))
}

/// The resources of the second line go behind those of the first.
fn joined(node: &Node<'_>, raw: &Raw) -> Option<String> {
    let second = raw.line?;
    let groups = node.groups()?;
    let line = groups.iter().find(|line| line.number == second)?;
    let key = line.words.get(1)?;
    let first = groups
        .iter()
        .find(|it| it.number < second && it.words.get(1) == Some(key))?;
    let more = line.words.get(2..)?;
    if !more.iter().all(|word| is_plain(word)) {
        return None;
    }
    let more: String = more.iter().map(|word| format!(" {word}")).collect();
    let to = first.number;
    Some(format!(
        "sed -i -e '{second}d' -e '{to}s#$#{more}#' {HARESOURCES}"
    ))
}

/// The node that was meant by a word that no node line has.
fn owner(node: &Node<'_>, raw: &Raw) -> Option<String> {
    let line = raw.line?;
    let groups = node.groups()?;
    let written = groups.iter().find(|it| it.number == line)?.words.first()?;
    let ha_cf = node.text(Path::new(HA_CF))?;
    let short = |name: &str| {
        name.split('.')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase()
    };
    let alike = |name: &&String| {
        let (one, two) = (short(name), short(written));
        one.starts_with(&two) || two.starts_with(&one)
    };
    let nodes = nodes_in(&ha_cf);
    let meant = nodes.iter().find(alike)?;
    exchange(Path::new(HARESOURCES), line, written, meant)
}

/// The one interface with an address that no medium uses.
fn interface(node: &Node<'_>, raw: &Raw) -> Option<String> {
    let line = raw.line?;
    let network = node.network(&[])?;
    let text = node.text(Path::new(HA_CF))?;
    let (_, written) = numbered(&text).find(|(number, _)| *number == line)?;
    let words: Vec<&str> = written
        .split('#')
        .next()?
        .split_ascii_whitespace()
        .collect();
    let known = |name: &str| network.interfaces.iter().any(|it| it.name == name);
    let missing = words.iter().skip(1).find(|word| !known(word))?;
    let used = |name: &str| {
        numbered(&text).any(|(_, line)| line.split_ascii_whitespace().any(|word| word == name))
    };
    let mut free = network.interfaces.iter().filter(|it| {
        let addressed = network.assigned.iter().any(|a| a.index == it.index);
        it.up && !it.loopback && addressed && !used(&it.name)
    });
    let (Some(free), None) = (free.next(), free.next()) else {
        return None;
    };
    exchange(Path::new(HA_CF), line, missing, &free.name)
}

fn no_cluster_manager() -> String {
    format!("sed -i '/^[[:space:]]*\\(crm\\|pacemaker\\)[[:space:]]/d' {HA_CF}")
}

fn failback(node: &Node<'_>, raw: &Raw) -> Option<String> {
    let text = node.text(Path::new(HA_CF))?;
    let about = |line: &str| {
        let word = line.split_ascii_whitespace().next();
        matches!(word, Some("auto_failback" | "nice_failback"))
    };
    let line = raw
        .line
        .filter(|number| numbered(&text).any(|(at, line)| at == *number && about(line)));
    let line = line.or_else(|| numbered(&text).find(|(_, line)| about(line)).map(|it| it.0));
    Some(match line {
        Some(line) => format!("sed -i '{line}s/.*/auto_failback off/' {HA_CF}"),
        None => format!("printf 'auto_failback off\\n' >>{HA_CF}"),
    })
}

/// The program of the same name where our package has it; else the line goes.
fn program(node: &Node<'_>, raw: &Raw) -> Option<String> {
    let line = raw.line?;
    let text = node.text(Path::new(HA_CF))?;
    let (_, written) = numbered(&text).find(|(number, _)| *number == line)?;
    let path = written
        .split_ascii_whitespace()
        .find(|it| it.starts_with('/'))?;
    let name = Path::new(path).file_name()?.to_str()?;
    let ours = PathBuf::from(PROGRAMS).join(name);
    let there = node.desk().kind(&ours) != super::super::facts::Kind::Missing;
    if there && Path::new(path) != ours && raw.text.contains("executable") {
        return exchange(Path::new(HA_CF), line, path, ours.to_str()?);
    }
    Some(format!("sed -i '{line}s/^/#/' {HA_CF}"))
}

/// The times as they should be.
fn times(node: &Node<'_>) -> Option<String> {
    let timing = &node.config()?.timing;
    let (deadtime, warntime) = (timing.deadtime.as_millis(), timing.warntime.as_millis());
    let mut commands = Vec::new();
    if let (Some((line, _)), true) = (node.lines("warntime").pop(), warntime >= deadtime) {
        commands.push(format!("-e '{line}s/.*/warntime {}ms/'", deadtime / 2));
    }
    let enough = deadtime.saturating_mul(2).max(10_000);
    if let (Some((line, _)), true) = (
        node.lines("initdead").pop(),
        timing.initdead.as_millis() < enough,
    ) {
        commands.push(format!("-e '{line}s/.*/initdead {enough}ms/'"));
    }
    (!commands.is_empty()).then(|| format!("sed -i {} {HA_CF}", commands.join(" ")))
}

/// A line of authkeys: number, method, key.
pub(super) type KeyLine<'t> = (usize, &'t str, &'t str, &'t str);

/// The number that `auth` names, with its line, and the keys. Only for comparing: nothing of it is printed.
pub(super) fn keys(text: &str) -> (Option<(usize, &str)>, Vec<KeyLine<'_>>) {
    let (mut auth, mut keys) = (None, Vec::new());
    for (number, line) in numbered(text) {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            None => {}
            Some(word) if word.starts_with('#') => {}
            Some("auth") => auth = words.next().map(|index| (number, index)),
            Some(index) => {
                let method = words.next().unwrap_or_default();
                keys.push((number, index, method, words.next().unwrap_or_default()));
            }
        }
    }
    (auth, keys)
}

pub(super) fn no_secret(node: &Node<'_>) -> Vec<Raw> {
    let Some(config) = node.config() else {
        return Vec::new();
    };
    // Nobody else can write to a serial line.
    if config
        .media
        .iter()
        .all(|medium| medium.link_name().starts_with('/'))
    {
        return Vec::new();
    }
    let text = node.text(Path::new(AUTHKEYS)).unwrap_or_default();
    let (auth, keys) = keys(&text);
    let signer = keys
        .iter()
        .find(|(_, index, method, _)| auth.is_some_and(|(_, it)| it == *index) && *method == "crc");
    let finding = signer.map(|(line, index, ..)| {
        let text = "crc is no signature: every host on the network can send messages in this node's name";
        let fix = format!(
            "sed -i \"{line}s/.*/{index} sha1 $(od -An -N16 -tx1 /dev/urandom | tr -d ' ')/\" {AUTHKEYS}"
        );
        Raw::new(text).at(AUTHKEYS).line(*line).fix(fix)
    });
    finding.into_iter().collect()
}

pub(super) fn carriage_returns(node: &Node<'_>) -> Vec<Raw> {
    let files = [HA_CF, HARESOURCES, AUTHKEYS].into_iter();
    let found = files.filter_map(|file| {
        let text = node.text(Path::new(file))?;
        let mut lines = (1..).zip(text.split('\n'));
        let (line, _) = lines.find(|(_, line)| line.ends_with('\r'))?;
        let text = "the line ends in CR LF: a legacy node takes the CR for a part of the last word";
        let fix = format!("sed -i 's/\\r$//' {file}");
        Some(Raw::new(text).at(file).line(line).fix(fix))
    });
    found.collect()
}

pub(super) fn short_initdead(node: &Node<'_>) -> Vec<Raw> {
    let (Some(config), Some((line, _))) = (node.config(), node.lines("initdead").pop()) else {
        return Vec::new();
    };
    let (initdead, deadtime) = (config.timing.initdead, config.timing.deadtime);
    if initdead >= deadtime.saturating_mul(2) {
        return Vec::new();
    }
    let text = format!(
        "initdead is {} ms, less than twice deadtime ({} ms): after a reboot of both the first node may take everything",
        initdead.as_millis(),
        deadtime.as_millis()
    );
    let raw = Raw::new(text).at(HA_CF).line(line);
    vec![fixed("D32", node, raw)]
}

pub(super) fn cluster_manager(node: &Node<'_>) -> Vec<Raw> {
    let manages = node.config().is_none_or(|config| config.manage_resources);
    let groups = node.groups().unwrap_or_default().len();
    if manages || groups == 0 {
        return Vec::new();
    }
    let directives = ["crm", "pacemaker"].into_iter();
    let line = directives.flat_map(|it| node.lines(it)).last();
    let text = format!("a cluster manager is on: the {groups} lines of haresources are not used");
    let raw = Raw::new(text).at(HA_CF).fix(no_cluster_manager());
    vec![match line {
        Some((line, _)) => raw.line(line),
        None => raw,
    }]
}

pub(super) fn logd(node: &Node<'_>) -> Vec<Raw> {
    let Some(config) = node.config().filter(|config| config.log.use_logd) else {
        return Vec::new();
    };
    if config.log.logfile.is_none() && config.log.debugfile.is_none() {
        return Vec::new();
    }
    let Some((line, _)) = node.lines("use_logd").pop() else {
        return Vec::new();
    };
    let text = "use_logd beside logfile or debugfile: the lines go to ha_logd, and to these files only while it is gone";
    let fix = format!("sed -i '{line}d' {HA_CF}");
    vec![
        Raw::new(text)
            .at(HA_CF)
            .line(line)
            .fix(fix)
            .level(Level::Warn),
    ]
}
