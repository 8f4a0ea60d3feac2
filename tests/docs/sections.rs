//! A comment that names a section of `docs/protocol` names one that exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{files, heading_lines, sources, text};

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
