//! The `heartbeat` program from the view of its caller, as far as it works without a network.
//! Recorded from Debian's heartbeat 3.0.6: cases `cmd-*` of the configuration vectors.
#![allow(
    clippy::disallowed_methods,
    reason = "a test runs the program it tests"
)]

use std::process::{Command, Output};

fn heartbeat(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_heartbeat"))
        .args(words)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const USAGE: &str = "
Usage: heartbeat [-dDkMrRsvWlVf] [-C Current-resource-state]
\t-C only valid with -R
\t-r is mutually exclusive with -R
";

#[test]
fn version_begins_with_the_legacy_one() {
    let output = heartbeat(&["-V"]);
    assert_eq!(output.status.code(), Some(0));
    let words = text(&output.stdout);
    assert_eq!(words.split_whitespace().next(), Some("3.0.6"));
    assert_eq!(words.lines().count(), 1);
}

#[test]
fn wrong_usage_ends_with_2_and_the_usage_text() {
    for words in [
        &["-C", "all"][..],
        &["-r", "-R"],
        &["-Z"],
        &["--help"],
        &["-R", "-C"],
    ] {
        let output = heartbeat(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(text(&output.stderr).contains(USAGE), "{words:?}");
        assert!(output.stdout.is_empty(), "{words:?}");
    }
    let program = env!("CARGO_BIN_EXE_heartbeat");
    let errors = text(&heartbeat(&["--help"]).stderr);
    let complaints: String = ['-', 'h', 'e', 'p']
        .iter()
        .map(|letter| format!("{program}: invalid option -- '{letter}'\n"))
        .collect();
    assert!(errors.starts_with(&complaints), "{errors}");
}

#[test]
fn a_bad_holding_set_is_refused() {
    let output = heartbeat(&["-R", "-C", "foo"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = text(&output.stderr);
    assert!(errors.contains("encode_resources: bad resource type [foo]"));
}

#[test]
fn defaults_are_the_recorded_tables() {
    let table = heartbeat(&["-D"]);
    let recorded = include_str!("vectors/cli/defaults.txt");
    assert_eq!(text(&table.stdout), recorded);
    let wiki = heartbeat(&["-DW"]);
    let recorded = include_str!("vectors/cli/defaults-wiki.txt");
    assert_eq!(text(&wiki.stdout), recorded);
    assert_eq!(
        (table.status.code(), wiki.status.code()),
        (Some(0), Some(0))
    );
}
