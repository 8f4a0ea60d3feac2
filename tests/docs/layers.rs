//! The imports among the parts of `src`, read from the source and compared with the table "Folders"
//! of docs/architecture.md: a part imports what its row says, and no row says more. The remaining
//! circles are listed below the table, by name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::{files, text};

const PAGE: &str = "docs/architecture.md";

/// The parts of the core and its simulator, and names that their code never uses.
const CORE: [&str; 7] = [
    "clock",
    "node",
    "notice",
    "policy",
    "protocol",
    "resources",
    "simulator",
];
const NEVER_IN_THE_CORE: [&str; 11] = [
    "actix",
    "tokio",
    "nix::",
    "libc::",
    "std::fs",
    "std::process",
    "std::thread",
    "std::env",
    "UdpSocket",
    "TcpStream",
    "UnixStream",
];

/// What each part uses, with the first place where it does so.
type Edges = BTreeMap<String, BTreeMap<String, String>>;

/// The code of a file: without comments, and without the tests at its end.
fn code(text: &str) -> String {
    let mut kept = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let tests = line.trim() == "#[cfg(test)]"
            && lines
                .peek()
                .is_some_and(|next| next.contains("mod ") && next.trim_end().ends_with('{'));
        if tests {
            break;
        }
        let comment = line.trim_start().starts_with("//");
        kept.push(if comment { "" } else { line });
    }
    kept.join("\n")
}

/// The part to which a file of `src` belongs. A program belongs to none: it may use everything.
fn part(path: &Path) -> Option<String> {
    let first = path.strip_prefix("src").ok()?.components().next()?;
    let name = first.as_os_str().to_str()?.trim_end_matches(".rs");
    (!matches!(name, "main" | "lib" | "bin")).then(|| name.to_owned())
}

fn word(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
        .collect()
}

/// The names after `crate::`, each with its line; also those of `crate::{a, b::c}`.
fn used(code: &str) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for (at, found) in code.match_indices("crate::") {
        // `$crate::` of a macro counts, `some_crate::` does not.
        let before = code[..at].chars().next_back();
        if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_') {
            continue;
        }
        let line = 1 + code[..at].matches('\n').count();
        let rest = &code[at + found.len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                let end = closing(group);
                used.extend(
                    top_level(&group[..end])
                        .into_iter()
                        .map(|one| (line, word(one))),
                );
            }
            None => used.push((line, word(rest))),
        }
    }
    used
}

/// Where the brace that stands before `group` is closed.
fn closing(group: &str) -> usize {
    let mut depth = 1;
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    group.len()
}

/// `a, b::{c, d}` is `a` and `b::{c, d}`.
fn top_level(group: &str) -> Vec<&str> {
    let mut depth = 0;
    group
        .split(|letter| {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            letter == ',' && depth == 0
        })
        .collect()
}

fn sources() -> Vec<(String, std::path::PathBuf)> {
    let is_test = |path: &Path| {
        path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests")
    };
    files("src", &["rs"])
        .into_iter()
        .filter(|path| !is_test(path))
        .filter_map(|path| Some((part(&path)?, path)))
        .collect()
}

fn edges() -> Edges {
    let mut edges = Edges::new();
    for (from, path) in sources() {
        let to = edges.entry(from.clone()).or_default();
        for (line, name) in used(&code(&text(&path))) {
            if name != from && !name.is_empty() {
                let place = format!("{}:{line}", path.display());
                to.entry(name).or_insert(place);
            }
        }
    }
    edges
}

/// The rows of the table: a part in `code` first, the parts that it uses last.
fn rows() -> BTreeMap<String, BTreeSet<String>> {
    let page = text(Path::new(PAGE));
    let table = page
        .split("\n## Folders\n")
        .nth(1)
        .expect("the table of folders")
        .split("\n## ")
        .next()
        .expect("a section");
    let names = |cell: &str| -> Vec<String> {
        let spans = cell.split('`').skip(1).step_by(2);
        spans.map(str::to_owned).collect()
    };
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [part, _, uses] = cells[..] else {
            panic!("three columns: {row}");
        };
        let part = names(part).pop().expect("a part");
        (part, names(uses).into_iter().collect())
    })
    .collect()
}

#[test]
fn each_part_imports_what_its_row_says_and_no_row_says_more() {
    let rows = rows();
    let edges = edges();
    let mut wrong = Vec::new();
    for (from, to) in &edges {
        let Some(row) = rows.get(from) else {
            wrong.push(format!("src has `{from}`, the table has no row for it"));
            continue;
        };
        for (name, place) in to {
            if !row.contains(name) {
                wrong.push(format!("`{from}` must not use `{name}`: {place}"));
            }
        }
        for name in row.iter().filter(|name| !to.contains_key(*name)) {
            wrong.push(format!(
                "`{from}` does not use `{name}` any more: take it out of its row"
            ));
        }
    }
    let gone = rows.keys().filter(|part| !edges.contains_key(*part));
    wrong.extend(gone.map(|part| format!("the table has `{part}`, src has not")));
    assert!(
        wrong.is_empty() && rows.len() > 15,
        "{} rows of {PAGE}: {wrong:#?}",
        rows.len()
    );
}

/// Everything that a part needs, directly or indirectly.
fn needs(from: &str, edges: &Edges) -> BTreeSet<String> {
    let mut needs = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(name) = open.pop() {
        for next in edges.get(&name).into_iter().flat_map(BTreeMap::keys) {
            if needs.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    needs
}

#[test]
fn the_page_names_every_part_that_needs_itself() {
    let edges = edges();
    let found: BTreeSet<String> = edges
        .keys()
        .filter(|name| needs(name, &edges).contains(*name))
        .cloned()
        .collect();
    let page = text(Path::new(PAGE));
    let said = page
        .lines()
        .find_map(|line| line.strip_prefix("Circles: "))
        .expect("a line about circles");
    let said: BTreeSet<String> = said
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    assert_eq!(found, said, "{PAGE}");
}

#[test]
fn the_core_opens_nothing() {
    for (part, path) in sources() {
        if !CORE.contains(&&*part) {
            continue;
        }
        let code = code(&text(&path));
        for word in NEVER_IN_THE_CORE {
            // Only the clock may read the time.
            let exempt = path.ends_with("clock.rs");
            assert!(exempt || !code.contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn imports_are_read_as_they_are_written() {
    let names =
        |code: &str| -> Vec<String> { used(code).into_iter().map(|(_, name)| name).collect() };
    assert_eq!(names("use crate::net::x;\nuse my_crate::os;"), ["net"]);
    assert_eq!(names("use crate::{net::{a, b}, os};"), ["net", "os"]);
    assert_eq!(names("fn f() { $crate::node::g() }"), ["node"]);
    let tests_left_out = code("a\n// crate::os\n#[cfg(test)]\nmod tests {\n crate::cli");
    assert_eq!(names(&tests_left_out), Vec::<String>::new());
}
