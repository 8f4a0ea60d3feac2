//! The documents agree with the tree. Here: links have a target (other sites are not checked), the
//! book lists every page, and pages that the tree names exist.

mod commands;
mod layers;
mod log_lines;
mod manual;
mod sections;
mod words;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Files below `place` with one of these endings, relative to the tree; without endings all files.
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

/// Empty for a file that is not text.
fn text(path: &Path) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_default()
}

fn pages() -> Vec<PathBuf> {
    let mut pages = files("docs", &["md"]);
    pages.push(PathBuf::from("README.md"));
    pages
}

/// Paragraphs of a page outside fenced blocks, and lines in blocks of shell commands.
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

/// The spans between backticks, and the rest without them.
fn spans(paragraph: &str) -> (Vec<String>, String) {
    let parts: Vec<&str> = paragraph.split('`').collect();
    let code = parts.iter().skip(1).step_by(2);
    let code = code.map(|span| span.replace('\n', " ")).collect();
    (code, parts.iter().step_by(2).copied().collect())
}

/// The anchor of a heading.
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

/// Lines that begin with `#`. In code they occur only in fenced blocks.
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

/// All files that may name documents.
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
    all.filter(|path| !path.starts_with("tests/docs")).collect()
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
