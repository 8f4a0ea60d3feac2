//! Marks (hashes) of haresources, so that two nodes notice when their files differ.
//!
//! Legacy compares nothing. Between Systole nodes the status carries two marks of eight hex digits.
//! One is of the owners that are in force in the daemon. The other is of whole lines in the file as
//! it is now, because a group's own line is read again at every order. While the second mark
//! differs, each line is named by its own marks. Beside a legacy node nothing is sent.

use std::collections::{BTreeMap, BTreeSet};

use crc::{CRC_32_CKSUM, Crc, Table};

use super::group::{GroupKey, ResourceGroup};

const CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_CKSUM);

/// Most lines that are named one by one: as many as fit a status message.
const MOST_LINES: usize = 64;

/// Most differing lines that a log line quotes.
const MOST_QUOTED: usize = 3;

/// Longest quote of a line, in characters.
const LONGEST_QUOTE: usize = 80;

/// Eight hex digits made of each group's owner and key. The order of the lines does not count, nor
/// does anything after the key: nodes may differ there.
#[must_use]
pub fn mark(groups: &[ResourceGroup]) -> String {
    let mut owners: Vec<_> = groups
        .iter()
        .map(|group| (group.owner.as_str(), group.key.as_str()))
        .collect();
    owners.sort_unstable();
    let mut digest = CRC.digest();
    for (owner, key) in owners {
        digest.update(owner.as_bytes());
        digest.update(b" ");
        digest.update(key.as_bytes());
        digest.update(b"\n");
    }
    format!("{:08x}", digest.finalize())
}

/// Eight hex digits that stand for a key.
#[must_use]
pub fn key_mark(key: &GroupKey) -> String {
    text_mark(key.as_str())
}

/// Eight hex digits that stand for a text.
#[must_use]
pub fn text_mark(text: &str) -> String {
    format!("{:08x}", CRC.checksum(text.as_bytes()))
}

/// One line, as marks and as text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    key: GroupKey,
    owner: String,
    resources: String,
    shown: String,
}

/// The marks of a whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMarks {
    /// As [`mark`].
    pub owners: String,
    /// Mark of owners and all resources; the order of the lines does not count.
    pub lines: String,
    /// Each line by the mark of its key.
    each: BTreeMap<String, Line>,
}

/// How two files differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Groups of ours that the other file describes differently, or not at all; `None`: it is not
    /// known which.
    pub groups: Option<BTreeSet<GroupKey>>,
    /// The same for people.
    pub text: String,
}

impl FileMarks {
    /// The marks of these groups.
    #[must_use]
    pub fn of(groups: &[ResourceGroup]) -> Self {
        let line = |group: &ResourceGroup| {
            let words = group.resources.join(" ");
            let shown = format!("{} {words}", group.owner);
            let line = Line {
                key: group.key.clone(),
                owner: text_mark(group.owner.as_str()),
                resources: text_mark(&words),
                shown: shown.chars().take(LONGEST_QUOTE).collect(),
            };
            (key_mark(&group.key), line)
        };
        let each: BTreeMap<String, Line> = groups.iter().map(line).collect();
        let mut digest = CRC.digest();
        for (key, line) in &each {
            digest.update(key.as_bytes());
            digest.update(line.owner.as_bytes());
            digest.update(line.resources.as_bytes());
        }
        Self {
            owners: mark(groups),
            lines: format!("{:08x}", digest.finalize()),
            each,
        }
    }

    /// The marks of each line, for a node whose file differs; `None`: there are too many lines.
    #[must_use]
    pub fn each_text(&self) -> Option<String> {
        let word = |(key, line): (&String, &Line)| format!("{key}{}{}", line.owner, line.resources);
        let words: Vec<String> = self.each.iter().map(word).collect();
        (words.len() <= MOST_LINES).then(|| words.join("."))
    }

    /// How a file with the line marks `theirs` differs from this one.
    #[must_use]
    pub fn difference(&self, theirs: Option<&str>) -> Difference {
        let Some(theirs) = theirs.and_then(read_each) else {
            return Difference {
                groups: None,
                text: "in lines that are too many to be named".to_owned(),
            };
        };
        let mut groups = BTreeSet::new();
        let mut texts = Vec::new();
        for (key, line) in &self.each {
            let how = match theirs.get(key) {
                None => "is only here",
                Some((owner, _)) if *owner != line.owner => "has another owner there",
                Some((_, words)) if *words != line.resources => "has other resources there",
                Some(_) => continue,
            };
            groups.insert(line.key.clone());
            texts.push(format!("\"{}\" {how}", line.shown));
        }
        let only_there = theirs.keys().filter(|key| !self.each.contains_key(*key));
        let only_there = only_there.count();
        let more = texts.len().saturating_sub(MOST_QUOTED);
        texts.truncate(MOST_QUOTED);
        if more > 0 {
            texts.push(format!("{more} more lines differ"));
        }
        if only_there > 0 {
            texts.push(format!("{only_there} of its groups not here"));
        }
        Difference {
            groups: Some(groups),
            text: texts.join(", "),
        }
    }
}

/// Key to owner and resources. `None`: the text is no such list.
fn read_each(text: &str) -> Option<BTreeMap<String, (String, String)>> {
    let mut each = BTreeMap::new();
    for word in text.split('.').filter(|word| !word.is_empty()) {
        let hex = word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hex || word.len() != 24 || each.len() >= MOST_LINES {
            return None;
        }
        let (key, rest) = word.split_at_checked(8)?;
        let (owner, resources) = rest.split_at_checked(8)?;
        each.insert(key.to_owned(), (owner.to_owned(), resources.to_owned()));
    }
    Some(each)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::name::NodeName;

    fn groups(lines: &[(&str, &str)]) -> Vec<ResourceGroup> {
        lines
            .iter()
            .map(|(owner, words)| {
                let resources: Vec<String> = words.split(' ').map(str::to_owned).collect();
                ResourceGroup {
                    key: GroupKey::new(&resources[0]),
                    owner: NodeName::new(owner).unwrap(),
                    resources,
                }
            })
            .collect()
    }

    #[test]
    fn owners_and_keys_count_and_their_order_does_not() {
        let one = mark(&groups(&[("node1", "a"), ("node2", "b")]));
        assert_eq!(one.len(), 8);
        assert_eq!(one, mark(&groups(&[("node2", "b"), ("node1", "a")])));
        for other in [
            &[("node1", "a")][..],
            &[("node2", "a"), ("node2", "b")],
            &[("node1", "b"), ("node2", "a")],
            &[("node1", "a"), ("node2", "c")],
            &[],
        ] {
            assert_ne!(one, mark(&groups(other)), "{other:?}");
        }
        // The version before sends this mark, and compares it.
        let file = groups(&[("node1", "a svc"), ("node2", "b")]);
        assert_eq!(one, mark(&file));
    }

    #[test]
    fn whole_lines_count_and_their_order_does_not() {
        let here = FileMarks::of(&groups(&[("node1", "a svc"), ("node2", "b")]));
        let same = FileMarks::of(&groups(&[("node2", "b"), ("node1", "a svc")]));
        assert_eq!(here.lines, same.lines);
        for other in [
            &[("node1", "a"), ("node2", "b")][..],
            &[("node1", "a svc other"), ("node2", "b")],
            &[("node2", "a svc"), ("node2", "b")],
            &[("node1", "a svc")],
        ] {
            assert_ne!(here.lines, FileMarks::of(&groups(other)).lines, "{other:?}");
        }
    }

    #[test]
    fn each_line_that_differs_is_named() {
        let here = FileMarks::of(&groups(&[
            ("node1", "a svc"),
            ("node2", "b"),
            ("node1", "c"),
            ("node1", "d"),
        ]));
        let there = FileMarks::of(&groups(&[
            ("node1", "a"),
            ("node1", "b"),
            ("node1", "c"),
            ("node1", "e"),
        ]));
        let text = there.each_text().unwrap();
        let found = here.difference(Some(&text));
        let keys: Vec<String> = found
            .groups
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(keys, ["a", "b", "d"]);
        for part in [
            "\"node1 a svc\" has other resources there",
            "\"node2 b\" has another owner there",
            "\"node1 d\" is only here",
            "1 of its groups not here",
        ] {
            assert!(found.text.contains(part), "{}", found.text);
        }
        let same = here.difference(here.each_text().as_deref());
        assert_eq!(same.groups, Some(BTreeSet::new()));
    }

    #[test]
    fn a_text_that_is_no_list_names_no_single_groups() {
        let here = FileMarks::of(&groups(&[("node1", "a")]));
        for bad in [
            None,
            Some("x"),
            Some("0011"),
            Some("é00000000000000000000000"),
        ] {
            assert_eq!(here.difference(bad).groups, None, "{bad:?}");
        }
        let keys: Vec<String> = (0..=MOST_LINES).map(|n| format!("k{n}")).collect();
        let many: Vec<(&str, &str)> = keys.iter().map(|key| ("node1", key.as_str())).collect();
        let many = FileMarks::of(&groups(&many));
        assert_eq!(many.each_text(), None);
        assert_eq!(here.difference(None).groups, None);
    }
}
