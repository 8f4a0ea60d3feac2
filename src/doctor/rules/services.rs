//! Services that a group manages and that somebody else starts, stops or mounts as well.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::node::{Node, Word, numbered};
use super::Raw;
use super::files::is_plain;
use crate::agents::script::ScriptCall;
use crate::inspect::HostView;

const HARESOURCES: &str = "/etc/ha.d/haresources";
const FSTAB: &str = "/etc/fstab";

/// The words that an init script of this name carries out, each name once.
fn init_scripts(node: &Node<'_>) -> Vec<(Word, ScriptCall, PathBuf)> {
    let mut seen = BTreeSet::new();
    let scripts = node.scripts().into_iter();
    scripts
        .filter_map(|(word, call, path)| {
            let path = path?;
            let init = path.parent() == Some(&node.paths().init_dir);
            (init && seen.insert(call.name.clone())).then_some((word, call, path))
        })
        .collect()
}

/// A script that never names the operation cannot carry it out. One that gives its arguments to another program can.
pub(super) fn no_status(node: &Node<'_>) -> Vec<Raw> {
    const GIVES_ON: [&str; 6] = [
        "\"$@\"",
        "$*",
        "init-d-script",
        "exec ",
        "systemctl",
        "rc-service",
    ];
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (word, _, path) in node.scripts() {
        let Some(path) = path.filter(|path| seen.insert(path.clone())) else {
            continue;
        };
        let Some(text) = node.text(&path).filter(|text| text.starts_with("#!")) else {
            continue;
        };
        let code = |line: &&str| !line.trim_start().starts_with('#');
        let body: Vec<&str> = text.lines().filter(code).collect();
        let has = |word: &str| body.iter().any(|line| line.contains(word));
        // Debian's generic script is named in the first line.
        if has("status") || text.lines().take(1).any(|it| it.contains("init-d-script")) {
            continue;
        }
        if GIVES_ON.iter().any(|it| has(it)) {
            continue;
        }
        let shown = path.display();
        let text = format!(
            "{}: {shown} knows no `status`: every takeover starts what may run already",
            word.text
        );
        found.push(Raw::new(text).at(HARESOURCES).line(word.line));
    }
    found
}

/// A service whose unit is started at boot, and whose script in resource.d has its name.
pub(super) fn enabled(node: &Node<'_>) -> Vec<Raw> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (word, call, path) in node.scripts() {
        let in_resource_d =
            path.as_deref().and_then(Path::parent) == Some(&node.paths().resource_d());
        if !in_resource_d || !seen.insert(call.name.clone()) {
            continue;
        }
        if node.unit(&call.name).is_none() {
            continue;
        }
        if let Some(link) = node.desk().started_at_boot(&call.name) {
            let text = format!(
                "{}: {} starts it at boot, on the standby as well",
                word.text,
                link.display()
            );
            let raw = Raw::new(text).at(HARESOURCES).line(word.line);
            found.push(raw.fix(format!("systemctl disable {}", call.name)));
        }
    }
    found
}

/// The value of the last line `key=` of a unit with its drop-ins.
fn setting<'t>(unit: &'t str, key: &str) -> Option<&'t str> {
    let mut lines = unit.lines().filter_map(|line| {
        let (name, value) = line.trim().split_once('=')?;
        (name.trim() == key).then_some(value.trim())
    });
    lines.next_back()
}

pub(super) fn restarts_itself(node: &Node<'_>) -> Vec<Raw> {
    let mut found = Vec::new();
    for (word, call, _) in init_scripts(node) {
        let Some((unit, text)) = node.unit(&call.name) else {
            continue;
        };
        if setting(&text, "Restart") != Some("always") || !is_plain(&call.name) {
            continue;
        }
        let directory = format!("/etc/systemd/system/{}.service.d", call.name);
        let text = format!(
            "{}: {} has Restart=always: it runs on when the group has moved, where somebody kills it",
            word.text,
            unit.display()
        );
        let fix = format!(
            "mkdir -p {directory} && printf '[Service]\\nRestart=no\\n' >{directory}/heartbeat.conf && systemctl daemon-reload"
        );
        found.push(Raw::new(text).at(HARESOURCES).line(word.line).fix(fix));
    }
    found
}

pub(super) fn mounted_at_boot(node: &Node<'_>) -> Vec<Raw> {
    let Some(fstab) = node.text(Path::new(FSTAB)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (word, call, _) in node.scripts() {
        let (Some(device), Some(place)) = (call.args.first(), call.args.get(1)) else {
            continue;
        };
        if call.name != "Filesystem" {
            continue;
        }
        for (number, line) in numbered(&fstab) {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let [source, target, kind, options, ..] = fields.as_slice() else {
                continue;
            };
            let comment = line.trim_start().starts_with('#');
            let same =
                source == device || target.trim_end_matches('/') == place.trim_end_matches('/');
            let by_hand = options.split(',').any(|option| option == "noauto");
            if comment || !same || by_hand {
                continue;
            }
            let text = format!(
                "{}: {source} is mounted at boot, on the standby as well: both nodes may write to it",
                word.text
            );
            let raw = Raw::new(text).at(FSTAB).line(number);
            let plain = is_plain(kind) && is_plain(options);
            found.push(match plain {
                true => raw.fix(format!(
                    "sed -i '{number}s#\\({kind}[[:space:]]\\+\\){options}#\\1noauto,{options}#' {FSTAB}"
                )),
                false => raw,
            });
        }
    }
    found
}

pub(super) fn drbd(node: &Node<'_>) -> Vec<Raw> {
    if !node
        .scripts()
        .iter()
        .any(|(_, call, _)| call.name == "drbddisk")
    {
        return Vec::new();
    }
    let mut files = vec![PathBuf::from("/etc/drbd.conf")];
    files.extend(node.desk().files("/etc/drbd.d", ".res"));
    files.extend(node.desk().files("/etc/drbd.d", ".conf"));
    let mut found = Vec::new();
    for file in files {
        let text = node.text(&file).unwrap_or_default();
        let handler = numbered(&text).find(|(_, line)| {
            let code = line.split('#').next().unwrap_or_default();
            code.contains("drbd-peer-outdater")
        });
        if let Some((line, _)) = handler {
            let text = "drbd-peer-outdater asks dopd, which Systole does not have: the peer is never marked as outdated";
            let fix = format!("sed -i '{line}s/^/#/' {}", file.display());
            found.push(Raw::new(text).at(file).line(line).fix(fix));
        }
    }
    found
}

/// A service of an address that is started before the address cannot listen on it.
pub(super) fn before_its_address(node: &Node<'_>) -> Vec<Raw> {
    let nonlocal = node.text(Path::new("/proc/sys/net/ipv4/ip_nonlocal_bind"));
    if nonlocal.is_some_and(|value| value.trim() == "1") {
        return Vec::new();
    }
    // What must be there before the address is no service of it.
    const STORAGE: [&str; 8] = [
        "drbddisk",
        "Filesystem",
        "LVM",
        "Raid1",
        "LinuxSCSI",
        "ServeRAID",
        "portblock",
        "Delay",
    ];
    let addresses = node.addresses();
    let mut found = Vec::new();
    for (word, call, _) in node.scripts() {
        if STORAGE.contains(&call.name.as_str()) || node.config().is_none() {
            continue;
        }
        let groups = node.groups().unwrap_or_default();
        let Some(line) = groups.iter().find(|line| line.number == word.line) else {
            continue;
        };
        let at = |text: &str| line.words.iter().position(|it| it == text);
        let later = addresses
            .iter()
            .find(|(it, _)| it.line == word.line && at(&it.text) > at(&word.text));
        let first = addresses
            .iter()
            .any(|(it, _)| it.line == word.line && at(&it.text) < at(&word.text));
        if let Some((address, _)) = later.filter(|_| !first) {
            let text = format!(
                "{} is started before {}: it cannot listen on that address yet",
                word.text, address.text
            );
            let raw = Raw::new(text).at(HARESOURCES).line(word.line);
            let (script, address) = (&word.text, &address.text);
            let adjacent = at(script).map(|it| it.saturating_add(1)) == at(address);
            let plain = is_plain(script) && is_plain(address) && adjacent;
            found.push(match plain {
                true => raw.fix(format!(
                    "sed -i '{}s#{script}[[:space:]]\\+{address}#{address} {script}#' {HARESOURCES}",
                    word.line
                )),
                false => raw,
            });
        }
    }
    found.truncate(1);
    found
}
