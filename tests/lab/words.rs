//! The last output lines of a script that fails, where people look for them.

use super::host::{Kind, wait_until};
use super::pair::{LONG, Pair, PairConfig};
use super::{OURS_OURS, run};

/// Fails to start on node1, and fails its first two stops there.
const BROKEN: &str = r#"#!/bin/sh
case $2 in
status) echo stopped;;
start)
  command -v cl_status >/dev/null || echo "no programs in PATH" >&2
  echo "$PATH" >/run/script-path
  [ "$(uname -n)" = node2 ] || { printf 'opening\n\033[31mcannot open /dev/drbd0\033[0m\n' >&2; exit 3; };;
stop)
  echo x >>/run/stops
  [ "$(uname -n)" = node2 ] || [ "$(wc -l </run/stops)" -gt 2 ] || { echo "still busy" >&2; exit 1; };;
esac
"#;

fn last_words(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.resources = "node1 broken::a\n".into();
    config.times = "keepalive 200ms\nwarntime 1\ndeadtime 2\ninitdead 4\n".into();
    let pair = Pair::new(config);
    for node in ["node1", "node2"] {
        pair.install_script(node, "broken", BROKEN);
    }
    pair.start("node1");
    let said = "said: opening | cannot open /dev/drbd0";
    pair.wait_log("node1", &format!("/broken {said}"));
    for attempt in 1..=2 {
        let line = format!(
            "stop of broken::a failed: attempt {attempt} of 11, then the machine is rebooted"
        );
        pair.wait_log("node1", &line);
    }
    let systole = |word: &str| {
        let program = env!("CARGO_BIN_EXE_systole");
        pair.lab.sh("node1", &format!("{program} {word}"))
    };
    wait_until(LONG, "the status shows it", || {
        let status = systole("status");
        status.contains("FAILED: start of broken::a ended with 3")
            && status.contains(&format!("broken::a {said}"))
    });
    let why = systole("why");
    assert!(
        why.contains(&format!(
            "a script of group broken::a failed: broken::a {said}"
        )),
        "{why}"
    );
    let path = pair.lab.sh("node1", "cat /run/script-path");
    assert!(path.starts_with("/usr/libexec/heartbeat:"), "{path}");
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn the_last_words_of_a_failed_start_are_shown() {
    run("words::last_words", OURS_OURS, last_words);
}
