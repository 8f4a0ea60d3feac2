//! The command line of `systole`: help, errors, manual pages and shell completions, all made from one definition.
//!
//! After a change of the definition: `SYSTOLE_WRITE=1 cargo test --test systole` writes pages and completions again.
#![allow(
    clippy::disallowed_methods,
    reason = "a test runs the program it tests"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use systole::cli::systole::{self as command_line, parse};
use systole::cli::web;

const COMMANDS: [&str; 18] = [
    "status", "top", "check", "view", "why", "metrics", "doctor", "plan", "tune", "export",
    "standby", "takeover", "reload", "freeze", "thaw", "monitor", "clear", "fence",
];
const MONITOR: [&str; 1] = ["run"];
const FENCE: [&str; 4] = ["list", "status", "test", "confirm"];
const HEADINGS: [&str; 3] = ["Exit codes", "Example", "See also"];

/// Standard output, standard error and exit code.
fn run(words: &[&str]) -> (String, String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_systole"))
        .args(words)
        .output()
        .unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (stdout, stderr, output.status.code().unwrap())
}

#[test]
fn the_help_names_every_command_with_codes_and_an_example() {
    for words in [&["--help"][..], &["-h"], &["help"]] {
        let (help, errors, code) = run(words);
        assert_eq!((code, errors.as_str()), (0, ""), "{words:?}");
        for command in COMMANDS {
            let line = |line: &str| line.trim_start().starts_with(&format!("{command} "));
            assert!(help.lines().any(line), "{words:?}: {command}");
        }
        assert!(help.contains("Exit codes: ") || help.contains("\nExit codes:\n"));
    }
    let mut commands: Vec<Vec<&str>> = COMMANDS.iter().map(|command| vec![*command]).collect();
    commands.extend(FENCE.iter().map(|command| vec!["fence", command]));
    commands.extend(MONITOR.iter().map(|command| vec!["monitor", command]));
    for words in commands {
        let command = words.join(" ");
        let with = |last: &[&'static str]| [words.as_slice(), last].concat();
        let (brief, errors, code) = run(&with(&["-h"]));
        assert_eq!((code, errors.as_str()), (0, ""), "{command} -h");
        let usage = |line: &str| line.starts_with(&format!("Usage: systole {command}"));
        assert!(brief.lines().any(usage), "{brief}");
        let (long, errors, code) = run(&with(&["--help"]));
        assert_eq!((code, errors.as_str()), (0, ""), "{command} --help");
        let help = [&["help"], words.as_slice()].concat();
        assert_eq!(run(&help), (long.clone(), String::new(), 0));
        for heading in HEADINGS {
            assert!(long.contains(&format!("\n{heading}:\n")), "{command}");
        }
        for code in 0..4 {
            let line = |line: &str| line.starts_with(&format!("  {code}  "));
            assert_eq!(long.lines().filter(|it| line(it)).count(), 1, "{command}");
        }
        assert!(long.contains(&format!("  # systole {command}")));
        assert!(long.len() > brief.len());
        assert!(long.lines().all(|line| line.len() <= 90), "{long}");
    }
}

#[test]
fn without_a_command_the_help_is_an_error() {
    let (brief, _, _) = run(&["-h"]);
    for words in [&[][..], &["--"]] {
        let expected = (String::new(), brief.clone(), 2);
        assert_eq!(run(words), expected, "{words:?}");
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = format!("systole {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["--version"]), (version.clone(), String::new(), 0));
    assert_eq!(run(&["-V"]), (version, String::new(), 0));
}

#[test]
fn a_wrong_command_line_gets_one_line_and_code_2() {
    for (words, line) in [
        (
            &["stat"][..],
            "unknown command \"stat\"; did you mean \"status\"? (systole --help)",
        ),
        (
            &["frobnicate"],
            "unknown command \"frobnicate\" (systole --help)",
        ),
        (&[""], "unknown command \"\" (systole --help)"),
        (&["--json"], "unknown option \"--json\" (systole --help)"),
        (
            &["--view"],
            "unknown option \"--view\"; did you mean \"view\"? (systole --help)",
        ),
        (&["-x"], "unknown option \"-x\" (systole --help)"),
        (
            &["status", "all"],
            "status takes no \"all\" (systole status --help)",
        ),
        (
            &["freeze", "--wait"],
            "freeze takes no \"--wait\" (systole freeze --help)",
        ),
        (
            &["thaw", "--version"],
            "thaw takes no \"--version\" (systole thaw --help)",
        ),
        (
            &["view", "why"],
            "view takes no \"why\" (systole view --help)",
        ),
        (
            &["standby", "forein"],
            "standby takes no \"forein\"; did you mean \"foreign\"? (systole standby --help)",
        ),
        (
            &["help", "stat"],
            "unknown command \"stat\" (systole --help)",
        ),
        (
            &["fence", "confrm"],
            "fence takes no \"confrm\"; did you mean \"confirm\"? (systole fence --help)",
        ),
        (
            &["fence", "test"],
            "fence test needs <NODE> (systole fence test --help)",
        ),
        (
            &["fence", "confirm", "--yes"],
            "fence takes no \"--yes\" (systole fence --help)",
        ),
        (
            &["a\nb\u{1b}[31m"],
            "unknown command \"a\\nb\\u{1b}[31m\" (systole --help)",
        ),
    ] {
        let expected = (String::new(), format!("systole: {line}\n"), 2);
        assert_eq!(run(words), expected, "{words:?}");
    }
}

#[test]
fn every_command_of_the_definition_is_understood() {
    let definition = command_line::definition();
    let names: Vec<&str> = definition
        .get_subcommands()
        .map(clap::Command::get_name)
        .collect();
    assert_eq!(names, COMMANDS);
    for name in COMMANDS {
        let words = match name {
            "fence" => continue,
            "monitor" => vec![name, "run", "web"],
            "clear" => vec![name, "web"],
            "export" => vec![name, "pacemaker", "--out", "web"],
            _ => vec![name],
        };
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        let command = parse(&words).unwrap();
        let shown = format!("{command:?}").to_lowercase();
        assert_eq!(shown.split([' ', '(']).next(), Some(name));
    }
    for words in [
        &["list"][..],
        &["status", "--json"],
        &["test", "beta"],
        &["test", "--json", "beta"],
        &["confirm", "beta"],
    ] {
        let all = [&["fence"], words].concat();
        let all: Vec<String> = all.into_iter().map(str::to_owned).collect();
        let command = format!("{:?}", parse(&all).unwrap()).to_lowercase();
        assert!(command.starts_with(&format!("fence({}", words[0])));
        for word in &words[1..] {
            let word = word.trim_start_matches('-');
            assert!(command.contains(word), "{command}");
        }
    }
}

/// The output of a renderer, without the lines before every page.
fn rendered(render: impl Fn(&mut dyn Write) -> io::Result<()>) -> String {
    let mut text = Vec::new();
    render(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    text.strip_prefix(&before()).unwrap().to_owned()
}

/// Those lines.
fn before() -> String {
    let mut text = Vec::new();
    Roff::new().to_writer(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// The sections after the description, unchanged. Every line is a heading or begins with two
/// spaces.
fn sections(command: &clap::Command) -> Roff {
    let text = command.get_after_long_help().unwrap().to_string();
    let mut roff = Roff::new();
    for section in text.trim_end().split("\n\n") {
        let (heading, lines) = section.split_once(":\n").unwrap();
        roff.control("SH", [heading.to_uppercase().as_str()]);
        roff.control("nf", []);
        for line in lines.lines() {
            roff.text([roman(line.strip_prefix("  ").unwrap())]);
        }
        roff.control("fi", []);
    }
    roff
}

/// The manual page of a command. Not `Man::render`: its sections have no headings of ours, and it names the version, which
/// a package may replace.
fn page(command: &clap::Command) -> (String, String) {
    let name = command
        .get_display_name()
        .unwrap_or(command.get_name())
        .to_owned();
    let command = command.clone().subcommand_help_heading("COMMANDS");
    let man = Man::new(command.clone()).section("8");
    let source = if name == "systole-web" {
        "web"
    } else {
        "systole"
    };
    let mut text = format!(
        ".\\\" Made from src/cli/{source}.rs by tests/systole.rs.\n{}\
         .TH {} 8 \"\" Systole \"High availability\"\n",
        before(),
        name.to_uppercase()
    );
    text += &rendered(|to| man.render_name_section(to));
    text += &rendered(|to| man.render_synopsis_section(to));
    text += &rendered(|to| man.render_description_section(to));
    text += &rendered(|to| man.render_options_section(to));
    if command.has_subcommands() {
        text += &rendered(|to| man.render_subcommands_section(to));
    }
    text += &rendered(|to| sections(&command).to_writer(to));
    (format!("conf/man/{name}.8"), text)
}

/// Manual pages and completions, by their place in the tree.
fn made() -> BTreeMap<String, String> {
    let mut command = command_line::definition();
    let mut made = BTreeMap::new();
    let page_only = web::definition();
    for (shell, before, after) in COMPLETIONS {
        for (command, name) in [(&command, "systole"), (&page_only, "systole-web")] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut command.clone(), name, &mut text);
            let text = String::from_utf8(text).unwrap();
            made.insert(format!("conf/completions/{before}{name}{after}"), text);
        }
    }
    made.extend([page(&page_only)]);
    command = command.disable_help_subcommand(true);
    command.build();
    let commands = command.get_subcommands();
    let below = commands.flat_map(|command| iter::once(command).chain(command.get_subcommands()));
    made.extend(iter::once(&command).chain(below).map(page));
    made
}

/// Each shell, and what stands before and after a program's name in that of its file.
const COMPLETIONS: [(Shell, &str, &str); 3] = [
    (Shell::Bash, "", ".bash"),
    (Shell::Zsh, "_", ""),
    (Shell::Fish, "", ".fish"),
];

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn pages_and_completions_are_made_from_the_definition() {
    let made = made();
    assert_eq!(
        made.len(),
        COMMANDS.len() + FENCE.len() + MONITOR.len() + 2 + 2 * COMPLETIONS.len()
    );
    for (place, text) in &made {
        if std::env::var_os("SYSTOLE_WRITE").is_some() {
            fs::create_dir_all(root(place).parent().unwrap()).unwrap();
            fs::write(root(place), text).unwrap();
        }
        let there = fs::read_to_string(root(place)).unwrap_or_default();
        assert_eq!(&there, text, "{place}: the head of this file says how");
    }
    // None that no command has any more.
    for folder in ["conf/man", "conf/completions"] {
        for entry in fs::read_dir(root(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            // systole.toml(5) is made elsewhere: tests/docs/manual.rs.
            let of_a_command = !name.ends_with(".5");
            let ours = of_a_command && name.trim_start_matches('_').starts_with("systole");
            assert!(!ours || made.contains_key(&format!("{folder}/{name}")));
        }
    }
}

#[test]
fn the_manual_page_names_every_command() {
    let page = fs::read_to_string(root("conf/man/systole.8")).unwrap();
    let page = page.replace('\\', "");
    for command in COMMANDS {
        assert!(page.contains(&format!("systole-{command}(8)")), "{command}");
    }
    for heading in [
        "NAME",
        "SYNOPSIS",
        "COMMANDS",
        "EXIT CODES",
        "EXAMPLE",
        "SEE ALSO",
    ] {
        assert!(
            page.contains(&format!("\n.SH \"{heading}\"\n"))
                || page.contains(&format!("\n.SH {heading}\n"))
        );
    }
}

/// Runs a shell; `None` if it is not installed.
fn shell(program: &str, words: &[&str]) -> Option<(bool, String)> {
    let output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let said = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

#[test]
fn shells_can_read_the_completions() {
    let place = |name: &str| {
        root("conf/completions")
            .join(name)
            .into_os_string()
            .into_string()
            .unwrap()
    };
    for (program, name) in [
        ("bash", "systole.bash"),
        ("zsh", "_systole"),
        ("fish", "systole.fish"),
        ("bash", "systole-web.bash"),
        ("zsh", "_systole-web"),
        ("fish", "systole-web.fish"),
    ] {
        let read = shell(program, &["-n", &place(name)]);
        assert!(program != "bash" || read.is_some(), "bash is always there");
        if let Some(read) = read {
            assert_eq!(read, (true, String::new()), "{program}");
        }
    }
    let ask = |words: &str, at: u32| {
        let script = format!(
            ". {}; COMP_WORDS=({words}) COMP_CWORD={at}; _systole systole \"${{COMP_WORDS[{at}]}}\" \"\"; echo \"${{COMPREPLY[*]}}\"",
            place("systole.bash")
        );
        shell("bash", &["-c", &script]).unwrap()
    };
    assert_eq!(ask("systole fr", 1), (true, "freeze\n".to_owned()));
    assert_eq!(ask("systole freeze --h", 2), (true, "--help\n".to_owned()));
    let (_, all) = ask("systole ''", 1);
    for command in COMMANDS {
        assert!(all.split_whitespace().any(|it| it == command), "{all}");
    }
}
