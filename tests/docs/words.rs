//! The reference contains every directive and every line of the catalogue, log lines are worded as
//! it says, and the tests named in the list of defects exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{ROOT, files, spans, text};

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

/// `tests/ha_log.rs` checks the texts of the legacy lines.
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
            let parts = parts.split(|word| placeholder(word));
            let longest = parts.map(|part| part.join(" ")).max_by_key(String::len);
            let longest = longest.expect("a part");
            if !words.contains(longest.trim_end_matches(':')) {
                wrong.push(line.to_owned());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_line_of_the_catalogue_is_in_the_reference() {
    let catalogue = text(Path::new("src/notice.rs"));
    let page = text(Path::new("docs/reference/log.md"));
    let rows = catalogue.lines().filter(|line| line.ends_with("\";"));
    let texts = rows.filter_map(|row| row.split_once('"')?.1.strip_suffix("\";"));
    // Long texts are shortened on the page; numbers and names are replaced by words in capitals.
    let described = |text: &&str| {
        let mut fixed = text
            .split(['{', '}'])
            .step_by(2)
            .filter(|part| part.len() > 4);
        let start = |part: &str| part.chars().take(18).collect::<String>();
        *text == "{text}" || fixed.any(|part| page.contains(start(part).trim()))
    };
    let texts: Vec<&str> = texts.collect();
    assert!(texts.len() > 80, "{texts:?}");
    let missing: Vec<_> = texts.iter().filter(|text| !described(text)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
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

/// `a/{b,c}.rs` as `a/b.rs` and `a/c.rs`.
fn expanded(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else {
        return vec![name.to_owned()];
    };
    let (inner, after) = rest.split_once('}').unwrap_or((rest, ""));
    inner
        .split(',')
        .map(|one| format!("{before}{one}{after}"))
        .collect()
}

/// Files and types that the pages about the code name.
#[test]
fn the_files_and_types_that_the_pages_about_the_code_name_are_there() {
    let paths: Vec<PathBuf> = ["src", "tests", "benches", "examples"]
        .iter()
        .flat_map(|place| files(place, &["rs"]))
        .collect();
    let code: String = paths.iter().map(|path| text(path)).collect();
    let mut wrong = Vec::new();
    let mut seen = 0;
    let about_code = files("docs/decisions", &["md"])
        .into_iter()
        .chain([PathBuf::from("docs/architecture.md")]);
    for page in about_code {
        for name in spans(&text(&page)).0 {
            let camel = name.chars().all(char::is_alphanumeric)
                && name.starts_with(char::is_uppercase)
                && name.contains(char::is_lowercase);
            let there = match name.strip_suffix(".rs") {
                Some(_) => expanded(&name)
                    .iter()
                    .all(|name| paths.iter().any(|path| path.ends_with(name))),
                None if camel => code.contains(&name),
                None => continue,
            };
            seen += 1;
            if !there {
                wrong.push(format!("{}: {name}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty() && seen > 100, "{seen}: {wrong:#?}");
}
