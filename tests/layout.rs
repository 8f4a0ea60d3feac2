//! Which file `scripts/layout.sh` installs where.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// Source of each file, by its place.
#[expect(clippy::disallowed_methods, reason = "a test runs the script")]
fn files() -> BTreeMap<PathBuf, PathBuf> {
    let print = r#". scripts/layout.sh; for entry in "${FILES[@]}"; do echo "${entry#* }"; done"#;
    let output = Command::new("bash")
        .args(["-eu", "-c", print])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("bash runs");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    let pair = |line: &str| {
        let (source, place) = line.split_once(' ').expect("a source and a place");
        (PathBuf::from(place), PathBuf::from(source))
    };
    text.lines().map(pair).collect()
}

/// `a/b/../c` without the dots.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[test]
fn links_between_the_installed_documents_lead_somewhere() {
    let files = files();
    let mut links = 0;
    for (place, source) in &files {
        if place.extension().is_none_or(|end| end != "md") {
            continue;
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
        let text = std::fs::read_to_string(&source).expect("it is there");
        for link in text.split("](").skip(1) {
            let target = link.split(['#', ')']).next().expect("a part");
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let target = plain(&place.parent().expect("a directory").join(target));
            assert!(files.contains_key(&target), "{place:?} leads to {target:?}");
            links += 1;
        }
    }
    assert!(links > 10, "{links}");
}

#[test]
fn the_package_has_the_version_of_the_program() {
    for name in ["changelog", "NEWS"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("conf/debian")
            .join(name);
        let text = std::fs::read_to_string(file).expect("it is there");
        let first = concat!("systole (", env!("CARGO_PKG_VERSION"), ") ");
        assert!(text.contains(first), "{name}");
        assert!(name == "NEWS" || text.starts_with(first), "{name}");
    }
}

/// The purpose of each setting of the unit.
const UNIT: [(&str, &str, &str); 11] = [
    ("Type", "notify", "ready means that the media are open"),
    ("NotifyAccess", "all", "a successor says its own number"),
    ("ExitType", "cgroup", "the guardian outlives the daemon"),
    (
        "OOMPolicy",
        "continue",
        "a resource without memory is not the node's end",
    ),
    ("KillMode", "process", "resources live in the unit's group"),
    (
        "SendSIGKILL",
        "no",
        "neither they nor a stop in work are killed",
    ),
    ("TimeoutStopSec", "infinity", "a stop script may take long"),
    ("Restart", "no", "who starts a daemon again is its guardian"),
    (
        "TasksMax",
        "infinity",
        "resources have as many as they want",
    ),
    (
        "WatchdogSec",
        "60s",
        "daemon and guardian are gone, and a resource lives",
    ),
    (
        "ExecStop",
        "/usr/libexec/heartbeat/heartbeat -k",
        "an orderly stop",
    ),
];

#[test]
fn the_unit_says_what_a_node_needs_of_systemd() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/heartbeat.service");
    let text = std::fs::read_to_string(unit).expect("it is there");
    let service = text.split("\n[").find(|part| part.starts_with("Service]"));
    let service = service.expect("a section");
    for (setting, value, why) in UNIT {
        let values: Vec<&str> = service
            .lines()
            .filter_map(|line| line.strip_prefix(setting)?.strip_prefix('='))
            .collect();
        assert_eq!(values, [value], "{setting}: {why}");
    }
    // The guardian handles death by a signal.
    let signals = service
        .lines()
        .find_map(|line| line.strip_prefix("SuccessExitStatus="));
    let signals: Vec<&str> = signals.expect("some").split(' ').collect();
    for signal in [
        "SIGKILL", "SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGQUIT",
    ] {
        assert!(signals.contains(&signal), "{signal}");
    }
    // After both are gone, what they held is released.
    assert!(service.contains(
        "ExecStopPost=@/usr/libexec/heartbeat/heartbeat \"heartbeat: releasing resources\" orphaned"
    ));
}
