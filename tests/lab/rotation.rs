//! The logs of a running node, rotated by logrotate with the file that the package ships, and with
//! `copytruncate` in it.

use std::fs;
use std::path::Path;

use super::host::{Kind, skip, wait_until};
use super::pair::{LONG, Pair, PairConfig};
use super::{OURS_OURS, run};

const UNCHANGED: &str = "Configuration unchanged.";

/// A service that never stops writing to the debug log.
const TALKER: &str = r#"#!/bin/sh
case $1 in
  start)
    : >/run/talks
    (n=0; while [ -e /run/talks ]; do n=$((n + 1)); echo "talks $n"; sleep 0.05; done) &
    ;;
  stop) rm -f /run/talks ;;
  status) if [ -e /run/talks ]; then echo running; else echo stopped; fi ;;
esac
"#;

struct Rotated {
    pair: Pair,
    rules: String,
}

impl Rotated {
    /// A pair whose owner logs and whose service writes, and the shipped rules with one more word.
    fn begin(kinds: [Kind; 2], word: &str) -> Self {
        let mut config = PairConfig::new(kinds);
        config.resources.push_str("node1 talker\n");
        let pair = Pair::new(config);
        pair.install_script("node1", "talker", TALKER);
        pair.start_settled();
        let shipped = include_str!("../../conf/heartbeat.logrotate");
        let place = pair.lab.shared().join("rules");
        fs::write(
            &place,
            shipped.replace("\tweekly", &format!("\tweekly\n{word}")),
        )
        .expect("rules");
        let rules = place.display().to_string();
        Self { pair, rules }
    }

    fn rotate(&self) {
        let script = format!(
            "chmod 644 {0}; logrotate --force --state /run/rotated {0} 2>&1 || echo failed",
            self.rules
        );
        assert_eq!(self.pair.lab.sh("node1", &script), "");
    }

    fn text(&self, name: &str) -> String {
        let bytes = fs::read(self.pair.lab.dir("node1").join("log").join(name));
        String::from_utf8(bytes.unwrap_or_default()).expect("text")
    }

    fn count(&self, name: &str, text: &str) -> usize {
        let text = |line: &&str| line.contains(text);
        self.text(name).lines().filter(text).count()
    }

    /// Has the daemon write one line.
    fn reload(&self) {
        let daemon = self.pair.daemon("node1");
        let output = self.pair.lab.exec("node1", &["setsid", &daemon, "-r"]);
        assert!(output.status.success(), "{output:?}");
    }

    /// The numbers that the service wrote, in the order of the two files.
    fn talks(&self) -> Vec<u64> {
        let both = self.text("ha-debug.1") + &self.text("ha-debug");
        let talks = both.lines().filter_map(|line| line.strip_prefix("talks "));
        talks.map(|number| number.parse().expect("whole")).collect()
    }

    fn end(self) {
        for name in ["ha-log", "ha-log.1", "ha-debug", "ha-debug.1"] {
            assert!(!self.text(name).contains('\0'), "{name}");
        }
    }
}

/// Daemon and service go on at the beginning of the file, at once.
fn copied_and_truncated(kinds: [Kind; 2]) {
    let rotated = Rotated::begin(kinds, "\tcopytruncate");
    rotated.reload();
    rotated.pair.wait_log("node1", UNCHANGED);
    rotated.rotate();
    assert_eq!(rotated.count("ha-log.1", UNCHANGED), 1);
    rotated.reload();
    rotated.pair.wait_log("node1", UNCHANGED);
    assert_eq!(rotated.count("ha-log", UNCHANGED), 1);
    assert_eq!(rotated.count("ha-log", "Local status now set to"), 0);
    wait_until(LONG, "the service writes on", || {
        rotated.count("ha-debug", "talks ") > 2
    });
    rotated.end();
}

/// No line is lost, whichever of the two files it is in. The service goes on in the new file at
/// once, the daemon after at most a minute.
fn renamed(kinds: [Kind; 2]) {
    let rotated = Rotated::begin(kinds, "");
    rotated.rotate();
    let mut lines = 0;
    wait_until(LONG * 4, "the daemon has the new file", || {
        rotated.reload();
        lines += 1;
        std::thread::sleep(std::time::Duration::from_secs(2));
        rotated.count("ha-log", UNCHANGED) > 0
    });
    let both = ["ha-log.1", "ha-log"].map(|name| rotated.count(name, UNCHANGED));
    assert_eq!(both[0] + both[1], lines, "{both:?}");
    assert!(rotated.count("ha-debug", "talks ") > 0);
    let talks = rotated.talks();
    let all: Vec<u64> = (1..=talks.len() as u64).collect();
    assert_eq!(talks, all);
    rotated.end();
}

fn with_logrotate(name: &str, test: fn([Kind; 2])) {
    if !Path::new("/usr/sbin/logrotate").exists() {
        return skip(name, "logrotate is not installed");
    }
    run(name, OURS_OURS, test);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn logs_are_copied_and_truncated() {
    with_logrotate("logs_are_copied_and_truncated", copied_and_truncated);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn long_logs_are_renamed() {
    with_logrotate("long_logs_are_renamed", renamed);
}
