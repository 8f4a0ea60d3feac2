//! Every line of every configuration in the repository is in MIGRATION.txt, once.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use systole::export::{Fate, Target};

use super::{CASES, case, document, laid, lay, made, root};

/// The lines of a file that say something, as `FILE:LINE`.
fn meaningful(place: &Path) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let directory = place.join("etc/ha.d");
    for name in ["ha.cf", "haresources", "authkeys", "systole.toml"] {
        let bytes = fs::read(directory.join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut continued = false;
        for (number, line) in (1..).zip(text.split('\n')) {
            let hidden = if name == "systole.toml" {
                line.trim().starts_with('#')
            } else {
                false
            };
            let end: &[char] = match name {
                "ha.cf" => &['#', '\r', '\0'],
                "haresources" if !continued => &['#'],
                "authkeys" => &['#', '\r'],
                _ => &[],
            };
            let said = match end {
                [] => line,
                end if name != "authkeys" => line.split(end).next().unwrap(),
                end => {
                    let line = line.trim_start();
                    if line.starts_with(end) { "" } else { line }
                }
            };
            if !hidden && !said.trim().is_empty() {
                lines.insert(format!("{name}:{number}"));
            }
            continued = name == "haresources" && said.ends_with('\\');
        }
    }
    lines
}

/// The lines that MIGRATION.txt has an entry for; each must be followed by what became of it.
fn accounted(text: &str) -> Vec<String> {
    let part = text.split("\nEVERY LINE OF THE SOURCE\n").nth(1).unwrap();
    let part = part.split("\nLOST\n").next().unwrap();
    let mut found = Vec::new();
    let mut lines = part.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((place, _)) = line.split_once("  ").filter(|it| !it.0.is_empty()) else {
            continue;
        };
        found.push(place.to_owned());
        let next = lines.peek().copied().unwrap_or_default();
        let fates = ["    carried: ", "    not needed: ", "    LOST: "];
        assert!(
            fates.iter().any(|fate| next.starts_with(fate)),
            "{line}\n{next}"
        );
    }
    found
}

/// Whether every line is accounted for; `false`: a node would not start with these files.
fn check(place: &Path, name: &str) -> bool {
    for target in Target::ALL {
        let exported = match made(target, place) {
            Ok(exported) => exported,
            Err(text) => {
                assert!(text.starts_with("systole: "), "{name}: {text}");
                return false;
            }
        };
        let text = document(&exported, "MIGRATION.txt");
        let found = accounted(text);
        let unique: BTreeSet<String> = found.iter().cloned().collect();
        assert_eq!(found.len(), unique.len(), "{name}");
        assert_eq!(unique, meaningful(place), "{name} {target:?}");
        let lost = exported.ledger.entries();
        let lost = lost.filter(|(.., it)| it.notes.iter().any(|(fate, _)| *fate == Fate::Lost));
        let losses = exported.ledger.losses().join("\n");
        for (file, line, _) in lost {
            assert!(
                losses.contains(&format!("{file}:{line}  ")),
                "{name} {losses}"
            );
        }
    }
    true
}

/// A good host for files that have none.
fn host(place: &Path, name: &str) {
    let base = fs::read_to_string(case("web").join("host.json")).unwrap();
    let base = base.replace("\"name\": \"alpha\"", &format!("\"name\": \"{name}\""));
    fs::write(place.join("host.json"), base).unwrap();
}

/// A root directory with these files of `/etc/ha.d`.
fn of_files(from: &Path, name: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("etc/ha.d");
    lay(from, &directory);
    host(place.path(), name);
    place
}

#[test]
fn the_pairs_of_the_repository() {
    let mut good = 0;
    for name in CASES {
        assert!(check(laid(&case(name)).path(), name), "{name}");
    }
    let example = of_files(&root("conf/examples"), "alpha");
    assert!(check(example.path(), "conf/examples"));
    for (name, node) in [
        ("bcast-ipfail-mysql", "node1"),
        ("mcast-compression", "web1.chinasoft.com"),
        ("mcast-httpd", "master-db"),
        ("serial-bcast-ccm", "linuxha1.linux-ha.org"),
        ("subsecond-drbd", "prmdbrw01"),
    ] {
        let place = of_files(&root("tests/vectors/field").join(name), node);
        let text = fs::read_to_string(place.path().join("etc/ha.d/ha.cf")).unwrap();
        let interfaces = text.replace("eth2", "eth0").replace("eth3", "eth1");
        fs::write(place.path().join("etc/ha.d/ha.cf"), interfaces).unwrap();
        assert!(
            check(place.path(), name),
            "{name}: {:?}",
            made(Target::Pacemaker, place.path()).err()
        );
    }
    let cases = root("tests/doctor/cases");
    for rule in fs::read_dir(&cases).unwrap() {
        let rule: PathBuf = rule.unwrap().path();
        for kind in ["bad", "fine"] {
            let place = laid(&cases.join("base"));
            if rule.join(kind).is_dir() {
                lay(&rule.join(kind), place.path());
            }
            for node in ["alpha", "beta"] {
                let name = format!("{} {kind} {node}", rule.display());
                good += usize::from(check(&place.path().join(node), &name));
            }
        }
    }
    assert!(good > 50, "{good} cases of the doctor were exported");
}

/// The recorded configurations: those that a node starts with are whole, the others are refused with a line.
#[test]
fn the_recorded_configurations() {
    let text = fs::read_to_string(root("tests/vectors/config/cases.jsonl")).unwrap();
    let (mut good, mut refused) = (0, 0);
    for line in text.lines() {
        let recorded: Value = serde_json::from_str(line).unwrap();
        let Some(ha_cf) = recorded["ha.cf"].as_str() else {
            continue;
        };
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("etc/ha.d");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("ha.cf"), ha_cf).unwrap();
        let haresources = recorded["haresources"].as_str();
        fs::write(
            directory.join("haresources"),
            haresources.unwrap_or("node1 10.0.0.100\n"),
        )
        .unwrap();
        let keys = recorded["authkeys"]
            .as_str()
            .unwrap_or("auth 1\n1 sha1 secret\n");
        let file = directory.join("authkeys");
        fs::write(&file, keys).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        host(place.path(), "node1");
        let name = recorded["name"].as_str().unwrap();
        if check(place.path(), name) {
            good += 1;
        } else {
            refused += 1;
        }
    }
    assert!(good > 50 && refused > 20, "{good} good, {refused} refused");
}
