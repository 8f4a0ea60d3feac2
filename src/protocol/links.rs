//! Whether the interfaces of the service addresses are up, as a Systole node says it in each of its heartbeats
//! to a node that advertises [`LINKS`]: the other node gives a group away only to one that can serve it.
//!
//! The field `systole_links` is `up`, or the marks of the groups of which that is not so, separated by dots:
//! `d` and the mark where an interface is down, `u` and the mark where it is not known. `none`: nothing is known.

use std::collections::{BTreeMap, BTreeSet};

use super::group::GroupKey;
use super::haresources_mark::key_mark;

/// Capability word of a node that tells and understands this.
pub const LINKS: &str = "links";

/// Most groups that a heartbeat names.
const MOST: usize = 64;

/// Whether the interfaces of a group's addresses are up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// All of them are, with a carrier.
    Up,
    /// It is not known of one.
    Unknown,
    /// One is not.
    Down,
}

/// What a node finds out of all its groups with an address.
pub type OwnLinks = BTreeMap<GroupKey, Link>;

/// The text for a heartbeat.
#[must_use]
pub fn links_text(links: &OwnLinks) -> String {
    let letter = |link| match link {
        Link::Up => None,
        Link::Unknown => Some('u'),
        Link::Down => Some('d'),
    };
    let words = links.iter().filter_map(|(key, link)| {
        let letter = letter(*link)?;
        Some(format!("{letter}{}", key_mark(key)))
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() {
        "up".to_owned()
    } else if words.len() > MOST {
        "none".to_owned()
    } else {
        words.join(".")
    }
}

/// What another node says of its interfaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TheirLinks {
    down: BTreeSet<String>,
    unknown: BTreeSet<String>,
}

impl TheirLinks {
    /// Reads the text. `None`: nothing is known.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut links = Self::default();
        if text == "up" {
            return Some(links);
        }
        for (place, word) in text.split('.').enumerate() {
            let set = match word.get(..1)? {
                "d" => &mut links.down,
                "u" => &mut links.unknown,
                _ => return None,
            };
            let mark = word.get(1..)?;
            let good = mark.len() == 8 && mark.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !good || place >= MOST {
                return None;
            }
            set.insert(mark.to_owned());
        }
        Some(links)
    }

    /// The interfaces of a group there.
    #[must_use]
    pub fn of(&self, key: &GroupKey) -> Link {
        let mark = key_mark(key);
        if self.down.contains(&mark) {
            Link::Down
        } else if self.unknown.contains(&mark) {
            Link::Unknown
        } else {
            Link::Up
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_back_and_what_is_no_list_is_no_news() {
        let keys = ["a", "b", "c"].map(GroupKey::new);
        let all = [Link::Up, Link::Unknown, Link::Down];
        let own: OwnLinks = keys.iter().cloned().zip(all).collect();
        let read = TheirLinks::from_text(&links_text(&own)).unwrap();
        assert_eq!(keys.each_ref().map(|key| read.of(key)), all);
        let read = TheirLinks::from_text(&links_text(&OwnLinks::new())).unwrap();
        assert_eq!(read.of(&keys[0]), Link::Up);
        for bad in [
            "",
            "none",
            "d",
            "x00000000",
            "d0000000g",
            "up.d00000000",
            "d00000000.",
        ] {
            assert_eq!(TheirLinks::from_text(bad), None, "{bad}");
        }
        let many: OwnLinks = (0..=MOST)
            .map(|number| (GroupKey::new(&number.to_string()), Link::Down))
            .collect();
        assert_eq!(links_text(&many), "none");
        let text: Vec<String> = (0..=MOST).map(|number| format!("d{number:08x}")).collect();
        assert_eq!(TheirLinks::from_text(&text.join(".")), None);
    }
}
