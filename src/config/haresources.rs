//! Reads `haresources` twice, as the legacy programs do: the daemon checks the first word of every
//! line, the scripts read the groups.
//!
//! Spec: docs/protocol/resources.md, 2; docs/protocol/config.md, 6.

use super::group_lines;
use super::report::{BYTE_ORDER_MARK, MARK_IN_FRONT, Refusal, Report, quote};
use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::protocol::name::NodeName;

/// Most groups: one supervised actor each; far more than any cluster has.
pub const MAX_GROUPS: usize = 1024;

/// Replaces bytes that are not UTF-8 when text is read leniently: harmless in a comment, where
/// Latin-1 is common, but never passed to a script.
const NOT_UTF8: char = char::REPLACEMENT_CHARACTER;

/// The check of the daemon: the first word of every line that is not a continuation must be a node
/// or ping node. It stops at the first error.
///
/// # Errors
/// The refusal and the number of its line.
pub fn check_nodes(
    text: &str,
    shown: &str,
    is_node: impl Fn(&str) -> bool,
) -> Result<(), (usize, Refusal)> {
    let mut continued = false;
    // The line before, if it was meant to continue and does not.
    let mut broken = None;
    for (number, line) in group_lines::physical(text) {
        if continued {
            continued = line.ends_with('\\');
            broken = group_lines::backslash_and_blanks(line).then_some(number);
            continue;
        }
        let first = line
            .split([' ', '\t', '\r', '\x0c', '\x0b'])
            .find(|word| !word.is_empty());
        let Some(first) = first.filter(|first| !first.starts_with('#')) else {
            continue;
        };
        if !is_node(first) {
            let (number, reason) = match broken {
                _ if number == 1 && first.starts_with(BYTE_ORDER_MARK) => (number, MARK_IN_FRONT),
                Some(before) => (
                    before,
                    "blanks behind the backslash: the line does not continue",
                ),
                None => (number, "the first word must be a configured node"),
            };
            let text = format!("Bad nodename in {shown} [{}]", quote(first));
            return Err((number, Refusal::legacy(text, reason)));
        }
        broken = group_lines::backslash_and_blanks(line).then_some(number);
        continued = line.ends_with('\\');
    }
    Ok(())
}

/// The groups in file order, with a warning for everything that the legacy scripts would misread.
pub fn groups(report: &mut Report, file: &str, text: &str) -> Vec<ResourceGroup> {
    if text.contains('\r') {
        report.warn(format!(
            "{file}: lines end in CR LF; the legacy scripts take the CR for a part of the last \
             resource"
        ));
    }
    let mut groups: Vec<ResourceGroup> = Vec::new();
    let lines = group_lines::logical(text);
    for line in &lines {
        let place = format!("{file}:{}", line.number);
        if line.kept_hash {
            report.warn(format!(
                "{place}: a # on a continuation line does not begin a comment"
            ));
        }
        if line.open_end {
            report.warn(format!("{place}: the file ends after a backslash"));
        }
        let Some((node, resources)) = line.words.split_first() else {
            continue;
        };
        if line.words.iter().any(|word| word.contains(NOT_UTF8)) {
            report.refuse(&place, Refusal::silent("not UTF-8 outside a comment"));
            continue;
        }
        if line.holds_nul() {
            report.refuse(&place, Refusal::silent(group_lines::NUL));
            continue;
        }
        let owner = match NodeName::new(node) {
            Ok(owner) => owner,
            Err(error) => {
                report.error(format!("{place}: {error}"));
                continue;
            }
        };
        let Some(key) = resources.first() else {
            report.warn(format!("{place}: no resource behind node {owner}"));
            continue;
        };
        let key = GroupKey::new(key);
        if let Some(first) = groups.iter().find(|group| group.key == key) {
            let text = format!(
                "{place}: {key} already is the first resource of a line of {}; this line is not \
                 used",
                first.owner
            );
            report.warn(text);
            continue;
        }
        if groups.len() >= MAX_GROUPS {
            report.error(format!("{place}: more than {MAX_GROUPS} resource groups"));
            break;
        }
        groups.push(ResourceGroup {
            key,
            owner,
            resources: resources.to_vec(),
        });
    }
    warn_of_confusable(report, file, &groups);
    groups
}

/// Whether the legacy scripts, which use `pattern` as a regular expression, would find it in
/// `text`: a dot matches any character.
fn confusable(pattern: &str, text: &str) -> bool {
    pattern.chars().count() == text.chars().count()
        && pattern
            .chars()
            .zip(text.chars())
            .all(|(wanted, found)| wanted == '.' || wanted == found)
}

/// Systole compares exactly; a legacy peer would confuse the two.
fn warn_of_confusable(report: &mut Report, file: &str, groups: &[ResourceGroup]) {
    for group in groups {
        for other in groups.iter().filter(|other| other.key != group.key) {
            if let Some(word) = other
                .resources
                .iter()
                .find(|word| confusable(group.key.as_str(), word))
            {
                report.warn(format!(
                    "{file}: a legacy node takes {word} in the line of {} for the group {}: \
                     it searches by regular expression",
                    other.key, group.key
                ));
            }
        }
    }
    let mut owners: Vec<&NodeName> = groups.iter().map(|group| &group.owner).collect();
    owners.sort();
    owners.dedup();
    for owner in &owners {
        for other in &owners {
            if owner != other && confusable(owner.as_str(), other.as_str()) {
                report.warn(format!(
                    "{file}: a legacy node takes the lines of {other} for lines of {owner}: it \
                     searches by regular expression"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let mut report = Report::default();
        let groups = groups(&mut report, "haresources", text)
            .into_iter()
            .map(|group| format!("{} {}", group.owner, group.resources.join(" ")))
            .collect();
        (
            groups,
            report.lines().iter().map(ToString::to_string).collect(),
        )
    }

    fn check(text: &str) -> Option<usize> {
        check_nodes(text, "/etc/ha.d//haresources", |name| {
            name.eq_ignore_ascii_case("node1") || name == "node2"
        })
        .err()
        .map(|(line, _)| line)
    }

    #[test]
    fn continuation_lines_belong_to_the_line_before() {
        let text = "# c\n NODE1  10.9.0.100 \\\n\tapache::a::b # note\nnode2 x";
        assert_eq!(check(text), None);
        let (groups, lines) = read(text);
        assert_eq!(groups, ["node1 10.9.0.100 apache::a::b # note", "node2 x"]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("haresources:2: a # on a continuation line"));
    }

    #[test]
    fn only_comments_may_hold_other_bytes_than_utf_8() {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let comment = lossy(b"# caf\xe9\nnode1 a # Stra\xdfe\n");
        assert_eq!(read(&comment), (vec!["node1 a".to_owned()], vec![]));
        let (groups, lines) = read(&lossy(b"node1 a\nnode2 b::caf\xe9\n"));
        assert_eq!(groups, ["node1 a"]);
        assert_eq!(lines, ["haresources:2: not UTF-8 outside a comment"]);
    }

    /// No program can be started with such a word: no script, and no successor that is told the group.
    #[test]
    fn a_nul_byte_is_refused_with_its_line() {
        let (groups, lines) = read("# a\0b\nnode1 a # \0\nnode2 b \\\nc::\0 d\nnode2 e\n");
        assert_eq!(groups, ["node1 a", "node2 e"]);
        assert_eq!(lines, ["haresources:3: a NUL byte outside a comment"]);
    }

    #[test]
    fn nothing_is_inserted_between_joined_lines_and_comments_do_not_continue() {
        assert_eq!(read("node1 a\\\nb\n").0, ["node1 ab"]);
        assert_eq!(
            read("node1 a # note \\\nnode2 b\n").0,
            ["node1 a", "node2 b"]
        );
        assert_eq!(read("node1 a \\").0, ["node1 a"]);
        assert_eq!(check("# foo \\\nnode3 x\n"), Some(2));
        assert_eq!(check("node1 a \\\nnode3 x\n"), None);
        assert_eq!(check("node1 a\nnode3 x\n"), Some(2));
        assert_eq!(check("\\\nnode3 x\n"), Some(1));
        assert_eq!(check("  # x\n\r\n\x0c node1 x\n"), None);
        // The error is in the line whose backslash continues nothing because of the CR.
        assert_eq!(check("node1 a \\\r\nnode3 x\r\n"), Some(1));
        assert_eq!(check("node1 a \\ \nnode3 x\n"), Some(1));
        assert_eq!(check("node1 a # b \\ \nnode3 x\n"), Some(2));
    }

    #[test]
    fn a_key_counts_once_and_a_line_without_resource_makes_no_group() {
        let (groups, lines) = read("node1\nnode1 a b\nnode2 a c\n");
        assert_eq!(groups, ["node1 a b"]);
        assert!(lines[0].contains("haresources:1: no resource"));
        assert!(lines[1].contains("haresources:3: a already is"));
    }

    #[test]
    fn lines_that_a_regular_expression_confuses_are_warned_of() {
        let (_, lines) = read("node.1 10.0.0.1\nnodex1 10x0.0.1\n");
        assert_eq!(lines.len(), 2, "{lines:?}");
        let (_, lines) = read("node1 apache\nnode2 10.0.0.2 apache\n");
        assert!(lines[0].contains("for the group apache"));
        let (_, lines) = read("node1 10.0.0.1\nnode2 10.0.0.2\n");
        assert!(lines.is_empty(), "{lines:?}");
    }
}
