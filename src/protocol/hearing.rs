//! What is known about whether another node receives us.
//!
//! A node whose messages do not arrive anywhere looks healthy to itself: it receives the others.
//! Heartbeats of a legacy node do not say which nodes it receives, but it answers and acknowledges
//! what it receives. A Systole node names in the field `systole_deaf` of its status the nodes that
//! it does not receive; while it receives all of them the field is left out. Likewise the field
//! `systole_deaf_on` names the links over which it does not receive a node that it receives: people
//! on that node are told of a link that works in one direction only.

use super::name::{MediumName, NodeName, Sequence};
use crate::clock::Monotonic;

/// Number of our messages that a node must leave unacknowledged before we conclude anything. It
/// acknowledges every tenth, and an acknowledgement can be lost.
const UNACKNOWLEDGED: u64 = 60;

/// Number of status messages of it that must have arrived meanwhile: while nothing passes in either
/// direction, missing acknowledgements do not show whether it receives us.
const STATUSES: u32 = 30;

/// Most names in the field: a few hundred bytes.
const MAX_NAMES: usize = 16;

/// Longest name of a medium that is kept of another node, in characters: a device path.
const MAX_MEDIUM: usize = 64;

/// The text of the field; `None`: left out.
#[must_use]
pub fn to_text<'a>(unheard: impl Iterator<Item = &'a NodeName>) -> Option<String> {
    let names: Vec<&str> = unheard.take(MAX_NAMES).map(NodeName::as_str).collect();
    (!names.is_empty()).then(|| names.join(" "))
}

/// Whether the text of the field names a node.
#[must_use]
pub fn names(text: &str, node: &NodeName) -> bool {
    text.split(' ').any(|name| name == node.as_str())
}

/// The text of the field for links; `None`: left out.
#[must_use]
pub fn links_to_text<'a>(
    dead: impl Iterator<Item = (&'a NodeName, &'a MediumName)>,
) -> Option<String> {
    let links = dead.take(MAX_NAMES);
    let links: Vec<String> = links.map(|(node, on)| format!("{node}/{on}")).collect();
    (!links.is_empty()).then(|| links.join(" "))
}

/// The media of its sender on which it does not receive `node`, by the text of that field.
fn media_of(text: &str, node: &NodeName) -> Vec<String> {
    let words = text.split(' ').take(MAX_NAMES);
    let ours = words.filter_map(|word| word.split_once('/'));
    let ours = ours.filter(|(name, _)| *name == node.as_str());
    let shown = |medium: &str| -> String {
        let shown = medium.chars().filter(|c| !c.is_control());
        shown.take(MAX_MEDIUM).collect()
    };
    ours.map(|(_, medium)| shown(medium)).collect()
}

/// Evidence whether one node receives us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ears {
    /// Since when its status messages say that it does not receive us.
    says_deaf: Option<Monotonic>,
    /// Its media on which it does not receive us, although it receives us on another one.
    deaf_on: Vec<String>,
    /// Our last number and the time, at its last new acknowledgement or at its first status.
    answered: Option<(Sequence, Monotonic)>,
    /// Number of its status messages since then.
    statuses: u32,
    /// When its first status of this run came.
    since: Option<Monotonic>,
    /// A log line about it was written.
    pub told: bool,
    /// Links of it that never came up were checked.
    pub links_judged: bool,
}

impl Ears {
    /// A status of it came, which says that it does not receive us, or does not say so. `last`: our
    /// own last number.
    pub fn status(&mut self, says_deaf: bool, last: Sequence, now: Monotonic) {
        self.says_deaf = says_deaf.then(|| self.says_deaf.unwrap_or(now));
        self.since.get_or_insert(now);
        self.answered.get_or_insert((last, now));
        self.statuses = self.statuses.saturating_add(1);
    }

    /// What its status says of the links from us.
    pub fn status_of_links(&mut self, text: Option<&str>, local: &NodeName) {
        let media = text.map(|text| media_of(text, local));
        self.deaf_on = media.unwrap_or_default();
    }

    /// Its media on which it does not receive us, although it receives us on another one.
    #[must_use]
    pub fn deaf_on(&self) -> &[String] {
        &self.deaf_on
    }

    /// It acknowledged something new.
    pub const fn acknowledged(&mut self, last: Sequence, now: Monotonic) {
        self.answered = Some((last, now));
        self.statuses = 0;
    }

    /// Our numbers restart at 1.
    pub const fn renumbered(&mut self) {
        self.answered = None;
        self.statuses = 0;
    }

    /// When its first status of this run came.
    #[must_use]
    pub const fn since(&self) -> Option<Monotonic> {
        self.since
    }

    /// Since when it seems not to receive us. `last`: our own last number, `None` where no node
    /// acknowledges.
    #[must_use]
    pub fn deaf_since(&self, last: Option<Sequence>) -> Option<Monotonic> {
        let silent = self.answered.zip(last).and_then(|((seq, at), last)| {
            let many = last.0.saturating_sub(seq.0) >= UNACKNOWLEDGED;
            (many && self.statuses >= STATUSES).then_some(at)
        });
        [self.says_deaf, silent].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_millis(ms)
    }

    #[test]
    fn its_own_report_counts_from_the_first_time() {
        let mut ears = Ears::default();
        ears.status(true, Sequence(1), at(5));
        ears.status(true, Sequence(2), at(9));
        assert_eq!(ears.deaf_since(None), Some(at(5)));
        ears.status(false, Sequence(3), at(12));
        assert_eq!(ears.deaf_since(None), None);
        ears.status(true, Sequence(4), at(20));
        assert_eq!(ears.deaf_since(None), Some(at(20)));
    }

    #[test]
    fn a_node_that_acknowledges_nothing_for_long_counts_as_deaf() {
        let mut ears = Ears::default();
        assert_eq!(ears.deaf_since(Some(Sequence(1_000))), None, "never heard");
        (0..40).for_each(|_| ears.status(false, Sequence(10), at(1)));
        assert_eq!(ears.deaf_since(Some(Sequence(69))), None);
        assert_eq!(ears.deaf_since(Some(Sequence(70))), Some(at(1)));
        assert_eq!(ears.deaf_since(None), None, "nobody acknowledges");
        ears.acknowledged(Sequence(70), at(7));
        assert_eq!(ears.deaf_since(Some(Sequence(130))), None, "nothing passes");
        (0..30).for_each(|_| ears.status(false, Sequence(130), at(9)));
        assert_eq!(ears.deaf_since(Some(Sequence(129))), None);
        assert_eq!(ears.deaf_since(Some(Sequence(130))), Some(at(7)));
        ears.renumbered();
        assert_eq!(ears.deaf_since(Some(Sequence(500))), None);
    }

    #[test]
    fn the_field_names_nodes() {
        let node = |text: &str| NodeName::new(text).unwrap();
        let all = [node("alpha"), node("beta")];
        let text = to_text(all.iter()).unwrap();
        assert!(names(&text, &all[0]) && names(&text, &all[1]));
        assert!(!names(&text, &node("alph")) && !names("", &node("alpha")));
        assert_eq!(to_text([].into_iter()), None);
    }

    #[test]
    fn the_field_for_links_names_media_of_one_node() {
        let node = |text: &str| NodeName::new(text).unwrap();
        let media = [MediumName::new("eth1"), MediumName::new("/dev/ttyS0")];
        let (alpha, beta) = (node("alpha"), node("beta"));
        let dead = [(&alpha, &media[0]), (&beta, &media[0]), (&alpha, &media[1])];
        let text = links_to_text(dead.into_iter()).unwrap();
        assert_eq!(text, "alpha/eth1 beta/eth1 alpha//dev/ttyS0");
        let mut ears = Ears::default();
        ears.status_of_links(Some(&text), &alpha);
        assert_eq!(ears.deaf_on(), ["eth1", "/dev/ttyS0"]);
        let odd = format!("alpha alpha/a\u{1b}[2J{} x/y / alph/eth2", "é".repeat(99));
        ears.status_of_links(Some(&odd), &alpha);
        assert_eq!(ears.deaf_on(), [format!("a[2J{}", "é".repeat(60))]);
        ears.status_of_links(None, &alpha);
        assert!(ears.deaf_on().is_empty());
        assert_eq!(links_to_text([].into_iter()), None);
    }
}
