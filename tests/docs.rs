//! The documents are true to the tree: links, places that comments name, command lines, words of the reference.
//!
//! Not checked: links to other sites, commands of other programs, what follows `lab sh`, words in capitals or brackets
//! (placeholders), and everything in `docs/protocol`, which is about the legacy programs, but its links.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Files below `place` with one of these endings, relative to the tree; none for all.
fn files(place: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut places = vec![PathBuf::from(place)];
    while let Some(place) = places.pop() {
        let full = Path::new(ROOT).join(&place);
        if full.is_dir() {
            if place.ends_with("target") {
                continue;
            }
            let inside = fs::read_dir(full).expect("a directory");
            places.extend(inside.map(|entry| place.join(entry.expect("an entry").file_name())));
        } else if endings.is_empty()
            || endings
                .iter()
                .any(|end| place.extension().is_some_and(|it| it == *end))
        {
            found.push(place);
        }
    }
    found.sort();
    found
}

/// Empty for a file that is no text.
fn text(path: &Path) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_default()
}

fn pages() -> Vec<PathBuf> {
    let mut pages = files("docs", &["md"]);
    pages.push(PathBuf::from("README.md"));
    pages
}

/// Paragraphs of a page outside fenced blocks, and lines inside blocks of shell commands.
fn parts(page: &str) -> (Vec<String>, Vec<&str>) {
    let (mut prose, mut shell) = (String::new(), Vec::new());
    let mut fence: Option<&str> = None;
    for line in page.lines() {
        match (line.trim_start().strip_prefix("```"), fence) {
            (Some(language), None) => fence = Some(language.trim()),
            (Some(_), Some(_)) => fence = None,
            (None, None) => prose = prose + line + "\n",
            (None, Some("sh")) => shell.push(line),
            (None, Some(_)) => {}
        }
    }
    (prose.split("\n\n").map(str::to_owned).collect(), shell)
}

/// The spans between backticks, and what is left without them.
fn spans(paragraph: &str) -> (Vec<String>, String) {
    let parts: Vec<&str> = paragraph.split('`').collect();
    let code = parts.iter().skip(1).step_by(2);
    let code = code.map(|span| span.replace('\n', " ")).collect();
    (code, parts.iter().step_by(2).copied().collect())
}

/// The name of a heading in a link.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    let plain = heading.trim_start_matches('#').trim();
    plain
        .to_lowercase()
        .chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}

/// Lines that begin with `#`, which no code of ours in a page does outside a block.
fn heading_lines(page: &Path) -> Vec<String> {
    let page = text(page);
    let (prose, _) = parts(&page);
    let lines = prose.iter().flat_map(|paragraph| paragraph.lines());
    let headings = lines.filter(|line| line.starts_with('#'));
    headings.map(str::to_owned).collect()
}

fn headings(page: &Path) -> BTreeSet<String> {
    heading_lines(page)
        .iter()
        .map(|line| anchor(line))
        .collect()
}

/// The relative links of a page: the file, and the heading in it.
fn links(page: &Path) -> Vec<(PathBuf, Option<String>)> {
    let content = text(page);
    let (prose, _) = parts(&content);
    let prose: String = prose.iter().map(|paragraph| spans(paragraph).1).collect();
    let targets = prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let relative = targets.filter(|target| !target.contains("://"));
    let whole = |target: &str| {
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        let mut whole = page.to_path_buf();
        if !file.is_empty() {
            whole.pop();
        }
        for part in Path::new(file).components() {
            match part {
                Component::ParentDir => drop(whole.pop()),
                part => whole.push(part),
            }
        }
        (whole, (!heading.is_empty()).then(|| heading.to_owned()))
    };
    relative.map(whole).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for (target, heading) in links(&page) {
            seen += 1;
            let there = Path::new(ROOT).join(&target).exists();
            if !there
                || heading
                    .as_ref()
                    .is_some_and(|it| !headings(&target).contains(it))
            {
                wrong.push(format!(
                    "{}: {} {heading:?}",
                    page.display(),
                    target.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty() && seen > 200, "{seen}: {wrong:#?}");
}

#[test]
fn the_summary_lists_every_page_once() {
    let summary = PathBuf::from("docs/SUMMARY.md");
    let mut listed: Vec<PathBuf> = links(&summary).into_iter().map(|(page, _)| page).collect();
    listed.sort();
    let pages: Vec<PathBuf> = files("docs", &["md"])
        .into_iter()
        .filter(|page| *page != summary)
        .collect();
    assert_eq!(listed, pages);
}

/// Everything that names documents.
fn sources() -> Vec<PathBuf> {
    let places = [
        "src",
        "tests",
        "benches",
        "examples",
        "conf",
        "scripts",
        "Cargo.toml",
    ];
    let all = places.iter().flat_map(|place| files(place, &[]));
    all.filter(|path| !path.ends_with("docs.rs")).collect()
}

#[test]
fn every_page_that_the_tree_names_is_there() {
    let mut wrong = Vec::new();
    for path in sources() {
        let content = text(&path);
        for rest in content.split("docs/").skip(1) {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "/_-.".contains(c)));
            let name = rest
                .get(..end.unwrap_or(rest.len()))
                .expect("within the text");
            let name = name.trim_end_matches(['.', '/']);
            if name.ends_with(".md") && !Path::new(ROOT).join("docs").join(name).exists() {
                wrong.push(format!("{}: docs/{name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Numbers of the sections of each page of `docs/protocol`, by its name.
fn sections() -> BTreeMap<String, BTreeSet<String>> {
    let number = |line: &str| {
        let number = line.trim_start_matches('#').split_whitespace().next()?;
        let number = number.trim_end_matches('.');
        number
            .starts_with(|c: char| c.is_ascii_digit())
            .then(|| number.to_owned())
    };
    let of = |page: PathBuf| {
        let headings = heading_lines(&page);
        let numbers = headings.iter().filter_map(|line| number(line));
        (
            page.file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned(),
            numbers.collect(),
        )
    };
    files("docs/protocol", &["md"])
        .into_iter()
        .map(of)
        .collect()
}

#[test]
fn every_section_that_a_comment_names_is_there() {
    let sections = sections();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in sources() {
        let content = text(&path);
        let strip = |line: &str| {
            line.trim()
                .trim_start_matches(['/', '!', '#'])
                .trim()
                .to_owned()
        };
        let joined = content.lines().map(strip).collect::<Vec<_>>().join(" ");
        for rest in joined.split("docs/protocol/").skip(1) {
            // "wire.md, 4.2 and 4.4; ..." or "wire.md, 4.2. ..."
            let Some((page, rest)) = rest.split_once(", ") else {
                continue;
            };
            let Some(known) = sections.get(page) else {
                continue;
            };
            let words = rest.split([';', ')']).next().unwrap_or_default();
            let words = words.split(". ").next().unwrap_or_default();
            let clean = |word: &str| word.trim_matches([',', '.', ':']).to_owned();
            let numbers = words.split(' ').take(12).map(clean).enumerate();
            let section = |(place, word): &(usize, String)| {
                word.starts_with(|c: char| c.is_ascii_digit())
                    && (*place == 0 || word.contains('.'))
            };
            for (_, number) in numbers.filter(section) {
                seen += 1;
                if !known.contains(&number) {
                    wrong.push(format!("{}: {page}, {number}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty() && seen > 300, "{seen}: {wrong:#?}");
    let old = sources()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let old: Vec<PathBuf> = old
        .filter(|path| {
            let content = text(path);
            let mut after = content.split("Spec:").skip(1);
            after.any(|rest| {
                !rest
                    .trim_start_matches(['/', '!', ' ', '\n'])
                    .starts_with("docs/")
            })
        })
        .collect();
    assert!(
        old.is_empty(),
        "a comment says `Spec: docs/protocol/PAGE.md, SECTION`: {old:#?}"
    );
}

/// What our programs say of themselves: to what they print when they are asked for help or called wrongly comes the manual
/// page. None of these calls needs a daemon or changes anything.
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
            said(env!("CARGO_BIN_EXE_systole"), &["--help"], "-") + " help",
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

/// Whether a word stands in a text, and not as a part of another one.
fn has(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    text.split(|c| !part(c)).any(|it| it == word)
}

/// Why a command line is not true; `None` for one that is, or is no command of ours.
fn lie(line: &str, knows: &BTreeMap<&str, String>) -> Option<String> {
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
        return lie(&words.join(" "), knows);
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
                lie(&command.join(" "), knows)
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
            if let Some(why) = lie(&line, &knows) {
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
        assert!(lie(line, &knows).is_some(), "{line}");
    }
}

#[test]
fn every_directive_is_in_the_reference() {
    let table = text(Path::new("src/config/directives.rs"));
    let page = text(Path::new("docs/reference/directives.md"));
    let rows = ["words(", "line(", "medium("]
        .iter()
        .flat_map(|kind| table.split(kind).skip(1));
    let names = rows.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
    let names: BTreeSet<&str> = names.collect();
    assert!(names.len() > 50, "{names:?}");
    let missing: Vec<_> = names
        .iter()
        .filter(|it| !page.contains(&format!("`{it}`")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The lines that are legacy's are held to their words by `tests/ha_log.rs`.
#[test]
fn log_lines_of_our_own_read_as_the_reference_says() {
    let code = files("src", &["rs"])
        .iter()
        .map(|path| text(path))
        .collect::<String>();
    let mut words = String::new();
    for line in code.lines() {
        let line = line.trim_start();
        words.push_str(line.strip_suffix('\\').unwrap_or(line));
    }
    let page = text(Path::new("docs/reference/log.md"));
    let (_, ours) = page
        .split_once("## Lines of Systole's own")
        .expect("the part");
    let mut wrong = Vec::new();
    for row in ours.lines().filter(|line| line.starts_with('|')) {
        let Some(column) = row.split(" | ").nth(1) else {
            continue;
        };
        for line in spans(column).0 {
            let placeholder = |word: &&str| {
                word.chars().all(|c| !c.is_lowercase()) && word.contains(|c: char| c.is_uppercase())
            };
            let parts: Vec<&str> = line.split(' ').collect();
            let parts = parts.split(|word| placeholder(&word));
            let longest = parts.map(|part| part.join(" ")).max_by_key(String::len);
            let longest = longest.expect("a part");
            if !words.contains(longest.trim_end_matches(':')) {
                wrong.push(line.to_owned());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Each row of the defects names a test: a function or a module of tests.
#[test]
fn the_tests_that_the_defects_name_are_there() {
    let paths: Vec<PathBuf> = ["src", "tests"]
        .iter()
        .flat_map(|place| files(place, &["rs"]))
        .collect();
    let code: String = paths.iter().map(|path| text(path)).collect();
    let page = text(Path::new("docs/defects.md"));
    let rows = page
        .lines()
        .filter(|line| line.starts_with('|') && !line.contains("---"));
    let mut wrong = Vec::new();
    for row in rows {
        let column = row
            .trim_end_matches([' ', '|'])
            .rsplit(" | ")
            .next()
            .expect("a column");
        for name in spans(column).0 {
            let last = name
                .rsplit("::")
                .next()
                .unwrap_or_default()
                .trim_end_matches('*');
            // Some are made by a macro, so that no `fn` stands before them.
            let function = last.contains('_') && code.contains(&format!(" {last}"));
            let file = paths.iter().any(|path| {
                path.ends_with(&name) || path.file_stem().is_some_and(|stem| stem == last)
            });
            let folder = Path::new(ROOT).join(&name).is_dir();
            if !(function || file || folder || last.is_empty()) {
                wrong.push(name);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
