//! The page of log lines has every line of WARN and above that the daemon writes, and each line of
//! the page has the level that the code gives it.

use std::path::Path;

use super::{files, spans, text};

/// How a line is logged in the code, and its level on the page. A line without a level is a
/// decision, not a log line.
const CALLS: &[(&str, Option<&str>)] = &[
    ("warn!(", Some("WARN")),
    ("error!(", Some("ERROR")),
    ("info!(", Some("info")),
    ("debug!(", Some("debug")),
    (".warn(", Some("WARN")),
    (".error(", Some("ERROR")),
    (".info(", Some("info")),
    (".debug(", Some("debug")),
    ("Severity::Info", Some("info")),
    ("Severity::Warn", Some("WARN")),
    ("Severity::Error", Some("ERROR")),
    ("Severity::Crit", Some("CRIT")),
    ("Severity::Emerg", Some("EMERG")),
    ("OtherInfo", Some("info")),
    ("OtherWarn", Some("WARN")),
    ("OtherError", Some("ERROR")),
    ("OtherCrit", Some("CRIT")),
    ("OtherDebug", Some("debug")),
    ("decide(", None),
];

/// The levels of the lines that the page must have.
const LOUD: [&str; 4] = ["WARN", "ERROR", "CRIT", "EMERG"];

/// Parts of `src` whose lines stand elsewhere: checks of the files (`checks.md`, `doctor.md`), programs that a
/// person calls, and what is no part of the daemon.
const ELSEWHERE: [&str; 7] = [
    "src/config/",
    "src/inspect/",
    "src/doctor/",
    "src/cli/",
    "src/helper/",
    "src/bin/",
    "src/simulator/",
];

/// One line that the code logs.
struct Logged {
    file: String,
    level: &'static str,
    text: String,
}

/// The code of a file without its tests and comments, with the lines of a long literal joined.
fn code(path: &Path) -> String {
    let whole = text(path);
    let own = whole
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let mut joined = String::new();
    let mut goes_on = false;
    for line in own.lines() {
        let trimmed = line.trim_start();
        if trimmed.starts_with("//") {
            continue;
        }
        joined.push_str(if goes_on { trimmed } else { line });
        goes_on = joined.ends_with('\\');
        if goes_on {
            joined.pop();
        } else {
            joined.push('\n');
        }
    }
    joined
}

/// Where string literals begin and end, without their quotes.
fn literals(code: &str) -> Vec<(usize, usize)> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = code[at..].find('"').map(|it| at + it + 1) {
        if code[..start - 1].ends_with('\'') {
            at = start;
            continue;
        }
        let mut end = start;
        while end < bytes.len() && bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let end = end.min(bytes.len());
        found.push((start, end));
        at = (end + 1).min(bytes.len());
    }
    found
}

/// The last call in `statement`, the part of a statement before a literal.
fn call_before(statement: &str) -> Option<Option<&'static str>> {
    let calls = CALLS.iter();
    let places = calls.filter_map(|(word, level)| Some((statement.rfind(word)?, *level)));
    places.max_by_key(|(at, _)| *at).map(|(_, level)| level)
}

/// The loudest call behind a literal that is named `text`.
fn call_behind(rest: &str) -> Option<&'static str> {
    let rest: String = rest.chars().take(500).collect();
    let levels = CALLS.iter().filter_map(|(word, level)| {
        let at = rest.find(word)?;
        let call = rest[at + word.len()..].split(';').next()?;
        let takes = call.split(|c: char| !c.is_alphanumeric() && c != '_');
        takes
            .into_iter()
            .any(|it| it == "text")
            .then_some((at, (*level)?))
    });
    let loud = levels.filter(|(_, level)| LOUD.contains(level));
    loud.min_by_key(|(at, _)| *at).map(|(_, level)| level)
}

fn logged() -> Vec<Logged> {
    let mut found = Vec::new();
    for path in files("src", &["rs"]) {
        let file = path.display().to_string();
        let is_test = file.contains("/tests/") || file.ends_with("tests.rs");
        if is_test || ELSEWHERE.iter().any(|part| file.starts_with(part)) {
            continue;
        }
        let code = code(&path);
        for (start, end) in literals(&code) {
            let near = (start.saturating_sub(800)..start).find(|at| code.is_char_boundary(*at));
            let before = &code[near.unwrap_or(0)..start - 1];
            let ends = [";\n", "{\n", "}\n", "=> "].iter();
            let begins = ends.filter_map(|end| Some(before.rfind(end)? + end.len()));
            let statement = &before[begins.max().unwrap_or(0)..];
            let level = if file == "src/notice.rs" {
                catalogue_level(statement)
            } else if statement.contains("let text =") {
                call_behind(&code[end..])
            } else {
                call_before(statement).flatten()
            };
            if let Some(level) = level {
                let text = code[start..end].replace("\\\"", "\"");
                found.push(Logged {
                    file: file.clone(),
                    level,
                    text,
                });
            }
        }
    }
    found
}

/// The level of a row of the catalogue, whose name stands before the text.
fn catalogue_level(row: &str) -> Option<&'static str> {
    let name = row.trim_end().rsplit(' ').next()?;
    let levels = [
        ("Info", "info"),
        ("Warn", "WARN"),
        ("Error", "ERROR"),
        ("Crit", "CRIT"),
        ("Emerg", "EMERG"),
        ("Notice", "notice"),
    ];
    let level = levels.iter().find(|(word, _)| *word == name);
    level.map(|(_, level)| *level)
}

/// The parts of a text of the code that do not change, without punctuation.
fn fixed_parts(text: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    let parts = text.split(move |c: char| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > 0 || "{}:;,(".contains(c)
    });
    let parts = parts.map(|part| part.trim_matches([' ', '.', '[', ']', ')']));
    parts.filter(|part| part.len() >= 10).collect()
}

/// The part by which a line is looked for: its first words, if they are long enough.
fn mark(text: &str) -> Option<&str> {
    let parts = fixed_parts(text);
    match parts.as_slice() {
        [] => None,
        [first, ..] if first.len() >= 18 => Some(first),
        parts => parts.iter().take(2).max_by_key(|part| part.len()).copied(),
    }
}

#[test]
fn every_loud_line_of_the_daemon_is_on_the_page() {
    let page = text(Path::new("docs/reference/log.md"));
    let logged = logged();
    let loud = logged.iter().filter(|line| LOUD.contains(&line.level));
    let marked: Vec<_> = loud
        .filter_map(|line| Some((line, mark(&line.text)?)))
        .collect();
    assert!(marked.len() > 200, "{}", marked.len());
    let missing: Vec<_> = marked
        .iter()
        .filter(|(_, mark)| !page.contains(mark))
        .map(|(line, _)| format!("{}: {}: {}", line.file, line.level, line.text))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The longest part of a line of the page that has no word in capitals. A short one is in other
/// lines as well.
fn longest_part(line: &str) -> Option<String> {
    let placeholder = |word: &str| {
        word.chars().all(|c| !c.is_lowercase()) && word.contains(|c: char| c.is_uppercase())
    };
    let words: Vec<&str> = line.split(' ').collect();
    let parts = words.split(|word| placeholder(word));
    let parts = parts.map(|part| part.join(" "));
    parts.max_by_key(String::len).filter(|part| part.len() > 16)
}

#[test]
fn each_line_of_the_page_has_the_level_of_the_code() {
    let page = text(Path::new("docs/reference/log.md"));
    let logged = logged();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for row in page.lines().filter(|line| line.starts_with('|')) {
        let columns: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let [levels, lines, ..] = columns.as_slice() else {
            continue;
        };
        let levels: Vec<&str> = levels.split(", ").collect();
        for line in spans(lines).0 {
            let Some(part) = longest_part(&line) else {
                continue;
            };
            let part = part.trim_end_matches([':', '.']);
            let found = logged.iter().filter(|it| it.text.contains(part));
            let found: Vec<_> = found.map(|it| (it.level, &it.file, &it.text)).collect();
            seen += usize::from(!found.is_empty());
            let right = found.iter().any(|(level, ..)| levels.contains(level));
            if !found.is_empty() && !right {
                wrong.push(format!("{row}: {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty() && seen > 150, "{seen}: {wrong:#?}");
}
