//! haresources as `ResourceManager` reads it: at every order, without checking node names.
//!
//! [`super::haresources`] checks the same lines when the daemon starts.
//! Spec: docs/protocol/resources.md, 2.

use std::path::Path;
use std::{fs, io};

pub use super::environment::MAX_FILE_BYTES;
use crate::protocol::group::GroupKey;

/// What is wrong with a line whose words no program can be given: neither a script nor a successor of the
/// daemon, which is told the group.
pub const NUL: &str = "a NUL byte outside a comment";

/// One group, as in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLine {
    /// First word, in lower case.
    pub owner: String,
    /// The other words, left to right; may be none.
    pub resources: Vec<String>,
}

impl GroupLine {
    /// The first resource.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.resources.first().map(String::as_str)
    }

    /// The resources, as the manager logs and prints them.
    #[must_use]
    pub fn words(&self) -> String {
        self.resources.join(" ")
    }
}

/// One line of the file with its continuations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logical {
    /// Number of its first physical line, from 1.
    pub number: usize,
    /// Node name and resources; never empty.
    pub words: Vec<String>,
    /// A continuation line contained a `#`, which does not begin a comment there.
    pub kept_hash: bool,
    /// The file ended after its last backslash.
    pub open_end: bool,
}

impl Logical {
    /// Whether [`NUL`] is wrong with it.
    #[must_use]
    pub fn holds_nul(&self) -> bool {
        self.words.iter().any(|word| word.contains('\0'))
    }
}

/// Physical lines and their numbers, without the empty one after the last newline.
pub fn physical(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    (1..).zip(text.split('\n'))
}

/// Whether a line ends in a backslash that continues nothing, because blanks (or a CR) follow it.
#[must_use]
pub fn backslash_and_blanks(line: &str) -> bool {
    let words = line.split('#').next().unwrap_or_default();
    let trimmed = words.trim_end_matches([' ', '\t', '\r', '\x0c', '\x0b']);
    trimmed.len() < words.len() && trimmed.ends_with('\\')
}

/// Joins the physical lines; those without a word are left out.
///
/// Quirk: comments are removed before lines are joined, so a `#` in a continuation line stays, and
/// a comment that ends in a backslash continues nothing. A CR before the newline counts as a blank,
/// so a backslash before it continues nothing either. Both nodes read unmodified files.
#[must_use]
pub fn logical(text: &str) -> Vec<Logical> {
    let mut lines = Vec::new();
    let mut physical = physical(text);
    while let Some((number, line)) = physical.next() {
        let mut joined = line.split('#').next().unwrap_or_default().to_owned();
        let mut kept_hash = false;
        let mut open_end = false;
        while joined.ends_with('\\') {
            joined.pop();
            let Some((_, next)) = physical.next() else {
                open_end = true;
                break;
            };
            kept_hash |= next.contains('#');
            joined.push_str(next);
        }
        let words: Vec<String> = joined
            .split([' ', '\t', '\r'])
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        if !words.is_empty() {
            lines.push(Logical {
                number,
                words,
                kept_hash,
                open_end,
            });
        }
    }
    lines
}

/// Reads the whole file.
#[must_use]
pub fn read(text: &str) -> Vec<GroupLine> {
    groups_of(logical(text))
}

fn groups_of(lines: Vec<Logical>) -> Vec<GroupLine> {
    lines
        .into_iter()
        .filter_map(|line| {
            let mut words = line.words.into_iter();
            Some(GroupLine {
                owner: words.next()?.to_ascii_lowercase(),
                resources: words.collect(),
            })
        })
        .collect()
}

/// Reads the whole file at `path`.
///
/// # Errors
/// It cannot be read, is longer than [`MAX_FILE_BYTES`], or a line holds a NUL byte outside a comment: the
/// file is no text then, and nothing of it counts.
pub fn load(path: &Path) -> io::Result<Vec<GroupLine>> {
    let lines = logical(&load_text(path)?);
    match lines.iter().find(|line| line.holds_nul()) {
        Some(line) => Err(io::Error::other(format!("line {}: {NUL}", line.number))),
        None => Ok(groups_of(lines)),
    }
}

/// The text of the whole file at `path`.
///
/// # Errors
/// It cannot be read, or is longer than [`MAX_FILE_BYTES`].
pub fn load_text(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > MAX_FILE_BYTES {
        return Err(io::Error::other("the file is too long"));
    }
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

/// The group with this key: the first, when several lines have it.
#[must_use]
pub fn find<'a>(groups: &'a [GroupLine], key: &GroupKey) -> Option<&'a GroupLine> {
    groups
        .iter()
        .find(|group| group.key() == Some(key.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        read(text)
            .iter()
            .map(|group| format!("{}: {}", group.owner, group.resources.join("|")))
            .collect()
    }

    #[test]
    fn reads_as_the_manager_of_3_0_6_does() {
        let text = "# comment\n\
            node1 good::a   good::b bad::1\n\
            Node2 good::x::y \\\n   good::z\n\
            \tnode1 \t nostop::q good::w # trailing\n\
            \n   \n\
            node1 missing::z";
        assert_eq!(
            shown(text),
            [
                "node1: good::a|good::b|bad::1",
                "node2: good::x::y|good::z",
                "node1: nostop::q|good::w",
                "node1: missing::z",
            ]
        );
    }

    #[test]
    fn keeps_the_quirks_of_comments_and_continuations() {
        assert_eq!(shown("a x \\\ny # z\nb c"), ["a: x|y|#|z", "b: c"]);
        assert_eq!(shown("a x # end\\\nb y"), ["a: x", "b: y"]);
        assert_eq!(shown("a x\\\ny"), ["a: xy"]);
        assert_eq!(shown("a x \\"), ["a: x"]);
        assert_eq!(shown("a"), ["a: "]);
        // The backslash stands before the CR, not before the newline.
        assert_eq!(shown("a x \\\r\nb y\r\n"), ["a: x|\\", "b: y"]);
    }

    #[test]
    fn a_file_with_a_nul_byte_outside_a_comment_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("haresources");
        fs::write(&path, "a x # \0\n").unwrap();
        assert_eq!(load(&path).unwrap().len(), 1);
        fs::write(&path, "a x\nb y\0\n").unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert_eq!(error, "line 2: a NUL byte outside a comment");
    }

    #[test]
    fn the_first_of_two_lines_with_one_key_counts() {
        let groups = read("a k 1\nb k 2\nc 1");
        let found = |key: &str| find(&groups, &GroupKey::new(key)).map(|g| g.owner.as_str());
        assert_eq!(found("k"), Some("a"));
        assert_eq!(found("1"), Some("c"));
        assert_eq!(found("2"), None);
    }
}
