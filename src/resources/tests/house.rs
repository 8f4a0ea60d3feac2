//! How the core is built, read from its source: sizes that may fall and must not rise, and how many
//! of its files need each other in a circle. A change that lowers a figure lowers it here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Fields of the core.
const FIELDS_OF_THE_CORE: usize = 22;
/// Fields of the record of one other node.
const FIELDS_OF_A_PEER: usize = 8;
/// Fields of parts that others may access.
const OPEN_FIELDS_OF_PARTS: usize = 6;
/// Files that need each other, by a `use` or by a call of a method of the core.
const LARGEST_CIRCLE: usize = 0;
/// Lines of a file, without tests.
const LONGEST_FILE: usize = 395;
/// The core.
const CORE: &str = "ResourceState";

/// Files by their path without the ending, without tests, comments and texts in quotes.
struct Source(BTreeMap<String, Vec<String>>);

/// Comments and strings made empty.
fn bare(line: &str) -> String {
    let mut out = String::new();
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if quoted => drop(letters.next()),
            '"' => quoted = !quoted,
            '/' if !quoted && letters.peek() == Some(&'/') => break,
            _ if !quoted => out.push(letter),
            _ => {}
        }
    }
    out.trim_end().to_owned()
}

/// Words, and every other character by itself.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let end = if word(first) {
            rest.find(|letter| !word(letter)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    tokens
}

impl Source {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/resources");
        let mut files = BTreeMap::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(&root).unwrap().with_extension("");
                let name = name.to_str().unwrap().to_owned();
                if path.is_dir() {
                    folders.extend((name != "tests").then_some(path));
                } else if !name.ends_with("mod") && !name.ends_with("tests") {
                    let text = fs::read_to_string(path).unwrap();
                    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]");
                    files.insert(name, lines.map(bare).collect());
                }
            }
        }
        assert!(files.len() > 30, "{:?}", files.keys());
        Self(files)
    }

    /// Lines of the blocks that begin with this line.
    fn blocks<'a>(lines: &'a [String], begins: &str) -> Vec<&'a str> {
        let mut inside = false;
        let mut found = Vec::new();
        for line in lines {
            inside = (inside || line == begins) && line != "}";
            if inside && line != begins {
                found.push(line.as_str());
            }
        }
        found
    }

    /// Fields of a structure, in whichever file.
    fn fields(&self, name: &str) -> usize {
        let begins = [
            "pub struct",
            "pub(super) struct",
            "pub(in crate::resources) struct",
        ]
        .map(|word| format!("{word} {name} {{"));
        let count = |lines: &Vec<String>| -> usize {
            let of = |begins: &String| {
                Self::blocks(lines, begins)
                    .into_iter()
                    .filter(|l| is_field(l))
                    .count()
            };
            begins.iter().map(of).sum()
        };
        self.0.values().map(count).sum()
    }

    /// The file of each method of the core.
    fn methods(&self) -> BTreeMap<&str, &str> {
        let mut methods = BTreeMap::new();
        for (file, lines) in &self.0 {
            for line in Self::blocks(lines, &format!("impl {CORE} {{")) {
                let is_of_the_core = line.starts_with("    ") && !line.starts_with("     ");
                let name = tokens(line)
                    .windows(2)
                    .find(|two| two[0] == "fn")
                    .map(|two| two[1]);
                if let Some(name) = name.filter(|_| is_of_the_core) {
                    let before = methods.insert(name, file.as_str());
                    assert_eq!(before, None, "{name} twice");
                }
            }
        }
        methods
    }

    /// The file that a path leads to.
    fn file(&self, path: &[&str]) -> Option<&str> {
        let known = |end| self.0.get_key_value(&path[..end].join("/"));
        (1..=path.len())
            .rev()
            .find_map(known)
            .map(|(name, _)| name.as_str())
    }

    /// The files that a file needs.
    fn needs<'a>(&'a self, file: &str, methods: &BTreeMap<&str, &'a str>) -> BTreeSet<&'a str> {
        let lines = &self.0[file];
        let mut needs = BTreeSet::new();
        let core = Self::blocks(lines, &format!("impl {CORE} {{")).join(" ");
        let core = tokens(&core);
        for four in core.windows(4) {
            let name = match four {
                ["self", ".", name, "("] | ["Self", ":", ":", name] => name,
                _ => continue,
            };
            needs.extend(methods.get(name));
        }
        let all = lines.join(" ");
        let all = tokens(&all);
        let parents: Vec<&str> = file.split('/').collect();
        for at in 0..all.len() {
            let mut path = match &all[at..] {
                ["super", ":", ..] if at == 0 || all[at - 1] != ":" => {
                    parents[..parents.len() - 1].to_vec()
                }
                ["crate", ":", ":", "resources", ":", ..] => Vec::new(),
                _ => continue,
            };
            let mut rest = if all[at] == "crate" {
                &all[at + 6..]
            } else {
                &all[at + 3..]
            };
            while let ["super", ":", ":", after @ ..] = rest {
                path.pop();
                rest = after;
            }
            while let [word, after @ ..] = rest {
                path.push(word);
                rest = match after {
                    [":", ":", after @ ..] => after,
                    _ => break,
                };
            }
            let found = self.file(&path);
            assert!(
                found.is_some() || path.last() != Some(&"{"),
                "{file}: modules in braces"
            );
            needs.extend(found);
        }
        needs.remove(file);
        needs
    }

    /// The largest set of files that all need each other.
    fn largest_circle(&self) -> Vec<&str> {
        let methods = self.methods();
        let needs: BTreeMap<&str, BTreeSet<&str>> = self
            .0
            .keys()
            .map(|file| (file.as_str(), self.needs(file, &methods)))
            .collect();
        let reached: BTreeMap<&str, BTreeSet<&str>> = needs
            .keys()
            .map(|file| (*file, reached(&needs, file)))
            .collect();
        let circle = |file: &str| -> Vec<&str> {
            let back = |other: &&str| reached[*other].contains(file);
            reached[file].iter().copied().filter(back).collect()
        };
        needs
            .keys()
            .map(|file| circle(file))
            .max_by_key(Vec::len)
            .unwrap_or_default()
    }
}

/// All files that one needs, and those that they need.
fn reached<'a>(needs: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        next.extend(needs[file].iter().filter(|file| reached.insert(**file)));
    }
    reached
}

fn is_field(line: &str) -> bool {
    let field = |line: &str| line.starts_with(char::is_alphabetic) && line.contains(": ");
    line.strip_prefix("    ").is_some_and(field)
}

#[test]
fn the_core_becomes_no_larger() {
    let source = Source::read();
    assert_eq!(source.fields(CORE), FIELDS_OF_THE_CORE);
    assert_eq!(source.fields("Peer"), FIELDS_OF_A_PEER);
    let parts = source
        .0
        .iter()
        .filter(|(file, _)| file.starts_with("parts/"));
    let open =
        |line: &&String| line.starts_with("    pub") && is_field(line) && !line.contains(" fn ");
    let open: usize = parts
        .map(|(_, lines)| lines.iter().filter(open).count())
        .sum();
    assert_eq!(open, OPEN_FIELDS_OF_PARTS);
    let longest = source.0.iter().max_by_key(|(_, lines)| lines.len());
    let longest = longest.map_or(0, |(_, lines)| lines.len());
    assert!(longest <= LONGEST_FILE, "{longest} lines");
}

#[test]
fn no_more_files_need_each_other_in_a_circle() {
    let source = Source::read();
    let circle = source.largest_circle();
    assert_eq!(circle.len(), LARGEST_CIRCLE, "{circle:?}");
}

/// Questions are asked in any order and as often as one likes.
#[test]
fn questions_change_nothing() {
    let source = Source::read();
    let asks =
        |file: &str| file.starts_with("facts/") || ["gate", "obstacles", "waits"].contains(&file);
    let files: Vec<_> = source.0.iter().filter(|(file, _)| asks(file)).collect();
    assert!(files.len() > 6, "{files:?}");
    for (file, lines) in files {
        let changes = lines.iter().find(|line| line.contains("&mut self"));
        assert_eq!(changes, None, "{file}");
    }
}
