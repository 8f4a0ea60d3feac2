//! The basic sanity check of the legacy package, with our daemon in the place of its own: no line fails
//! that does not fail with the legacy daemon too, and our log has no ERROR and no CRIT.

use std::fs;
use std::path::{Path, PathBuf};

use super::host::{Kind, LEGACY_DAEMON, Lab, legacy_obstacle, skip};
use super::pair::{install_helpers, program_of};

const SUITE: &str = "/usr/share/heartbeat/BasicSanityCheck";

/// Failures of programs that are no part of heartbeat. They race, or need what a container has not.
const OF_OTHERS: [&str; 13] = [
    "Filesystem RA failed",
    "Looks like monitor operation failed",
    "NULL reset failed.",
    "apphb",
    "'failtest'",
    "WARN:.*hangup",
    "type=setint",
    "ERROR: Found ",
    "OOPS! Looks like we had some errors come up.",
    "errors. Log file is stored in",
    "logd is not running",
    "ipctest",
    "GLib-CRITICAL",
];

/// The lines of the suite that say that something failed.
fn failures(output: &str) -> Vec<String> {
    let words = [
        "error",
        "crit",
        "fail",
        "not ",
        "oops",
        "timeout",
        "timed out",
    ];
    let fails = |line: &&str| {
        let line = line.to_lowercase();
        words.iter().any(|word| line.contains(word))
    };
    let of_others = |line: &str| OF_OTHERS.iter().any(|known| line.contains(known));
    let lines = output.lines().filter(fails);
    lines
        .filter(|line| !of_others(line) && !line.contains("DeprecationWarning"))
        .map(str::to_owned)
        .collect()
}

/// Runs the suite on a host of its own; returns what it printed.
fn suite(kind: Kind) -> String {
    let lab = Lab::up(&["node1"], 1);
    if kind.is_ours() {
        install_helpers(&lab, "node1", &program_of(kind, "ha_helper"));
        let daemon: PathBuf = program_of(kind, "heartbeat");
        let replace = format!("mount --bind {} {LEGACY_DAEMON}", daemon.display());
        assert_eq!(lab.sh("node1", &replace), "");
    }
    // Its programs are elsewhere in Debian's package, and a setting of the kernel belongs to the whole machine.
    let prepare = "set -e
        mkdir -p /run/lib; cp -a /usr/lib/heartbeat/. /run/lib/
        for f in /usr/libexec/heartbeat/*; do ln -sf $f /run/lib/; done
        mount --bind /run/lib /usr/lib/heartbeat
        touch /run/core_uses_pid; mount --bind /run/core_uses_pid /proc/sys/kernel/core_uses_pid
        ip route replace default via 10.77.0.254";
    let said = lab.sh("node1", prepare);
    assert_eq!(said, "", "the host");
    let output = lab.sh("node1", &format!("timeout 600 {SUITE} 2>&1"));
    // The one file that the suite leaves outside.
    let log = fs::read_to_string("/tmp/linux-ha.testlog").unwrap_or_default();
    let _ = fs::remove_file("/tmp/linux-ha.testlog");
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sanity");
    let _ = fs::create_dir_all(&place);
    let _ = fs::write(place.join(format!("{kind:?}.out")), &output);
    let _ = fs::write(place.join(format!("{kind:?}.log")), log);
    output
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn long_as_good_as_legacy() {
    let name = "sanity::long_as_good_as_legacy";
    if let Some(reason) = legacy_obstacle() {
        return skip(name, &reason);
    }
    if !Path::new(SUITE).exists() {
        return skip(name, "the legacy package has no BasicSanityCheck here");
    }
    let output = suite(Kind::Systole);
    assert!(output.contains("Stopping heartbeat"), "{output}");
    assert_eq!(failures(&output), [""; 0], "{output}");
}
