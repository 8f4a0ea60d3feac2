//! The command lines in the documents that use our programs are valid.
//!
//! Not checked: commands of other programs, the rest of a line after `lab sh`, words in capitals or
//! brackets (placeholders), and `docs/protocol`, which is about the legacy programs.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::{ROOT, pages, parts, spans, text};

/// The options and words that our programs know: their output when they are asked for help or
/// called wrongly, and the manual page. None of these calls needs a daemon or changes anything.
#[expect(clippy::disallowed_methods, reason = "a test runs the programs")]
fn knows() -> BTreeMap<&'static str, String> {
    let said = |program: &str, words: &[&str], manual: &str| {
        let output = Command::new(program).args(words).output().expect("it runs");
        let said =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        said.concat() + &text(&Path::new("conf/man").join(manual)).replace('\\', "")
    };
    let helper = env!("CARGO_BIN_EXE_ha_helper");
    let mut knows = BTreeMap::from([
        (
            "heartbeat",
            said(env!("CARGO_BIN_EXE_heartbeat"), &["-Z"], "-"),
        ),
        (
            "systole",
            said(env!("CARGO_BIN_EXE_systole"), &["--help"], "-")
                + " help"
                + &[
                    "status", "top", "metrics", "doctor", "plan", "tune", "export", "standby",
                    "takeover", "reload",
                ]
                .map(|it| said(env!("CARGO_BIN_EXE_systole"), &[it, "--help"], "-"))
                .concat(),
        ),
        (
            "systole-web",
            said(env!("CARGO_BIN_EXE_systole-web"), &["--help"], "-"),
        ),
        (
            "cl_status",
            said(env!("CARGO_BIN_EXE_cl_status"), &["-h"], "cl_status.1") + " -h test",
        ),
        ("ResourceManager", text(Path::new("src/helper/manager.rs"))),
        (
            "cl_respawn",
            said(helper, &["cl_respawn", "-h"], "cl_respawn.1"),
        ),
        ("heartbeat.init", text(Path::new("conf/heartbeat.init"))),
        ("lab", text(Path::new("tests/lab/lab"))),
    ]);
    for name in ["hb_standby", "hb_takeover"] {
        knows.insert(name, said(helper, &[name, "--help"], "hb_standby.1"));
    }
    for name in ["hb_addnode", "hb_delnode", "hb_setweight", "hb_setsite"] {
        knows.insert(name, said(helper, &[name, "--help"], "hb_addnode.1"));
    }
    knows
}

/// Whether a word occurs in a text, and not as a part of another word.
fn has(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    text.split(|c| !part(c)).any(|it| it == word)
}

/// Why a command line is not valid; `None` for a valid one, or for a command of another program.
fn fault_of(line: &str, knows: &BTreeMap<&str, String>) -> Option<String> {
    let line = line.split(" #").next().unwrap_or_default();
    let line = line.split(" | ").next().unwrap_or_default();
    let mut words = line.split_whitespace().peekable();
    words.next_if_eq(&"sudo");
    let place = words.next()?;
    let words: Vec<&str> = words.collect();
    let plain =
        |word: &&&str| !word.contains(|c: char| "[]|<>$'\".*".contains(c) || c.is_uppercase());
    if place.starts_with("scripts/") || place.starts_with("tests/") {
        if place.contains(['*', '{']) {
            return None;
        }
        let path = Path::new(place.trim_end_matches(':'));
        if !Path::new(ROOT).join(path).exists() {
            return Some("no such script".to_owned());
        }
        let options = words
            .iter()
            .filter(|word| word.starts_with("--"))
            .filter(plain);
        let script = text(path);
        return options
            .filter(|it| !has(&script, it))
            .map(|it| format!("no {it}"))
            .next();
    }
    let name = match place {
        "/etc/init.d/heartbeat" => "heartbeat.init",
        place => place.rsplit('/').next()?,
    };
    if name == "ha_helper" {
        return fault_of(&words.join(" "), knows);
    }
    let known = knows.get(name)?;
    let missing = |word: &str| (!has(known, word)).then(|| format!("{name} knows no {word}"));
    match name {
        "heartbeat" => {
            let letters = words.iter().filter_map(|word| word.strip_prefix('-'));
            let unknown = |c: &char| {
                let usage = known.split("Usage").nth(1).unwrap_or_default();
                !usage
                    .split_whitespace()
                    .any(|it| it.trim_start_matches('[').starts_with('-') && it.contains(*c))
            };
            let wrong = letters.flat_map(str::chars).find(unknown);
            wrong.map(|letter| format!("no -{letter}"))
        }
        "lab" => match words.as_slice() {
            ["exec", _, _, command @ ..] => {
                let command = command.strip_prefix(&["setsid"]).unwrap_or(command);
                fault_of(&command.join(" "), knows)
            }
            [verb, ..] => missing(verb),
            [] => None,
        },
        // Node names and the like may follow.
        "cl_status" | "ResourceManager" | "cl_respawn" | "systole" | "heartbeat.init" => {
            let first = words
                .first()
                .filter(|it| plain(it))
                .and_then(|verb| missing(verb));
            let options = words.iter().filter(|it| it.starts_with('-')).filter(plain);
            first.or_else(|| options.filter_map(|it| missing(it)).next())
        }
        _ => words
            .iter()
            .filter(plain)
            .filter_map(|it| missing(it))
            .next(),
    }
}

#[test]
fn every_command_line_of_ours_can_be_given() {
    let knows = knows();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        if page.starts_with("docs/protocol") {
            continue;
        }
        let content = text(&page);
        let (prose, shell) = parts(&content);
        let inline = prose.iter().flat_map(|paragraph| spans(paragraph).0);
        for line in shell.into_iter().map(str::to_owned).chain(inline) {
            seen += 1;
            if let Some(why) = fault_of(&line, &knows) {
                wrong.push(format!("{}: {line}: {why}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty() && seen > 500, "{seen}: {wrong:#?}");
}

#[test]
fn a_command_line_that_is_not_true_is_noticed() {
    let knows = knows();
    for line in [
        "scripts/demonstrate",
        "sudo scripts/demo --kep",
        "heartbeat -x",
        "/usr/libexec/heartbeat/heartbeat -rZ",
        "systole stat",
        "cl_status rscstate",
        "/usr/share/heartbeat/hb_standby --wiat all",
        "hb_takeover everything",
        "/etc/init.d/heartbeat begin",
        "lab exec demo node1 systole frezze",
        "tests/lab/laboratory up",
    ] {
        assert!(fault_of(line, &knows).is_some(), "{line}");
    }
}
