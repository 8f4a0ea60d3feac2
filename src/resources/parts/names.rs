//! The names of groups in a report: how they are written and read.

use std::collections::BTreeSet;

use crate::protocol::group::GroupKey;
use crate::protocol::haresources_mark::key_mark;
use crate::protocol::name::NodeName;

/// Most groups that a report names: more than haresources may have.
pub(in crate::resources) const MOST_NAMED: usize = 1024;

pub(in crate::resources) fn unconfirmed_text(key: &GroupKey, node: &NodeName) -> String {
    format!(
        "{key} is not started here: node {node} ran it before haresources was changed, and does not say \
         whether it still does. If it does not, hb_takeover local starts it here; so does a stop and \
         start of heartbeat on {node}"
    )
}

/// The text in a report for the groups that run at its sender.
pub(in crate::resources) fn names_text(keys: &[&GroupKey]) -> Option<String> {
    if keys.len() > MOST_NAMED {
        return None;
    }
    if keys.is_empty() {
        return Some("none".to_owned());
    }
    let marks: Vec<String> = keys.iter().map(|key| key_mark(key)).collect();
    Some(marks.join("."))
}

/// Reads that text. `None`: nothing is known.
pub(in crate::resources) fn read_names(text: &str) -> Option<BTreeSet<String>> {
    if text == "none" {
        return Some(BTreeSet::new());
    }
    let mut names = BTreeSet::new();
    for word in text.split('.') {
        let good = word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !good || names.len() >= MOST_NAMED {
            return None;
        }
        names.insert(word.to_owned());
    }
    Some(names)
}

/// The owners by which this node counts, and what it has reported about the groups that run here.
#[derive(Debug)]
pub(in crate::resources) struct Names {
    owners: String,
    pending: bool,
    said: Option<String>,
}

impl Names {
    /// `owners`: the mark of our haresources.
    pub(in crate::resources) const fn new(owners: String) -> Self {
        Self {
            owners,
            pending: false,
            said: None,
        }
    }

    /// The mark of the haresources that we use.
    pub(in crate::resources) fn owners(&self) -> &str {
        &self.owners
    }

    /// Notes the owners that our haresources names now.
    pub(in crate::resources) fn file_on_disk(&mut self, owners: &str) {
        self.pending = owners != self.owners;
    }

    /// Whether our file now names other owners than those that we use.
    pub(in crate::resources) const fn pending(&self) -> bool {
        self.pending
    }

    /// Records what is reported now.
    pub(in crate::resources) fn say(&mut self, names: Option<String>) {
        self.said = names;
    }

    /// Whether the last report said something else.
    pub(in crate::resources) fn said_otherwise(&self, names: Option<&str>) -> bool {
        self.said.as_deref() != names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_what_is_no_list_is_no_news() {
        let (a, b) = (GroupKey::new("10.0.0.1"), GroupKey::new("b"));
        let text = names_text(&[&a, &b]).unwrap();
        let names = read_names(&text).unwrap();
        assert!(names.contains(&key_mark(&a)) && names.contains(&key_mark(&b)));
        assert_eq!(names.len(), 2);
        assert_eq!(read_names(&names_text(&[]).unwrap()), Some(BTreeSet::new()));
        for bad in ["", "x", "1234567", "123456789", "0000000g", "00000000."] {
            assert_eq!(read_names(bad), None, "{bad}");
        }
        let many = vec![&a; MOST_NAMED + 1];
        assert_eq!(names_text(&many), None);
        let distinct: Vec<String> = (0..=MOST_NAMED).map(|n| format!("{n:08x}")).collect();
        assert_eq!(read_names(&distinct.join(".")), None);
    }
}
