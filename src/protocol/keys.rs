//! Which key signs while the keys are being changed. Spec: docs/protocol/wire.md, 4.3; docs/protocol/config.md, 5.2.
//!
//! A Systole node takes every key of its file. A legacy node takes over UDP only the key with which it signs itself,
//! so beside one this node signs with the same.
//!
//! | Legacy nodes that were received and are not dead | Signs |
//! |---|---|
//! | none | the key that the file names |
//! | one signs with the key that the file names | that one |
//! | all sign with others | the one with the lowest number |

use std::time::Duration;

use super::auth::{KeyRing, MAX_KEY_INDEX};
use super::name::NodeName;
use crate::clock::Monotonic;
use crate::notice::Notice;

/// How often a line says that the file and a legacy node differ.
const REMIND: Duration = Duration::from_secs(3600);

/// The numbers of a keys file, without the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyNumbers {
    sign_with: u8,
    /// A bit for each number.
    held: u16,
}

impl KeyNumbers {
    /// Those of a ring.
    #[must_use]
    pub fn of(keys: &KeyRing) -> Self {
        let bits = keys.methods().filter_map(|(number, _)| bit(number));
        Self {
            sign_with: keys.sign_index(),
            held: bits.fold(0, |held, bit| held | bit),
        }
    }

    /// Whether the file has that key.
    #[must_use]
    pub fn has(self, number: u8) -> bool {
        bit(number).is_some_and(|bit| self.held & bit != 0)
    }
}

fn bit(number: u8) -> Option<u16> {
    (number <= MAX_KEY_INDEX).then(|| 1_u16.checked_shl(u32::from(number)))?
}

/// Another node and the number of the key with which it signs.
pub type Signs<'a> = (&'a NodeName, u8);

/// Which key signs, and what was said of it.
#[derive(Debug, Clone, Default)]
pub struct SigningKey {
    /// `None`: never told, so the owner of the core signs as it likes.
    file: Option<KeyNumbers>,
    /// The number in use, if it is not the one that the file names.
    follows: Option<Followed>,
}

/// A legacy node whose key is used instead of the own one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Followed {
    number: u8,
    node: NodeName,
    /// When that was logged last.
    said: Monotonic,
}

/// What a change leads to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// Sign with this from now on.
    pub sign_with: Option<u8>,
    /// A line about it.
    pub line: Option<Notice>,
}

impl SigningKey {
    /// The file was read: choose anew next.
    pub const fn read(&mut self, file: KeyNumbers) {
        self.file = Some(file);
    }

    /// The number of the key that signs; `None`: the file was never told.
    #[must_use]
    pub fn number(&self) -> Option<u8> {
        let file = self.file?;
        Some(self.follows.as_ref().map_or(file.sign_with, |it| it.number))
    }

    /// What people have to know while it is not the key that the file names.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        let (file, follows) = (self.file?, self.follows.as_ref()?);
        Some(differ(follows.number, &follows.node, file.sign_with))
    }

    /// Chooses anew. `legacy`: the legacy nodes that were received and are not dead.
    pub fn choose<'a>(&mut self, legacy: impl Iterator<Item = Signs<'a>>, now: Monotonic) -> Step {
        let Some(file) = self.file else {
            return Step::default();
        };
        let wanted = followed(file, legacy);
        match (&mut self.follows, wanted) {
            (None, None) => Step::default(),
            (Some(_), None) => {
                self.follows = None;
                let number = file.sign_with;
                let text = format!("signs with key {number} again, which authkeys names");
                Step {
                    sign_with: Some(number),
                    line: Some(Notice::OtherInfo { text }),
                }
            }
            (Some(old), Some((node, number))) if old.number == number => {
                let due = now >= old.said + REMIND;
                if due {
                    old.said = now;
                }
                Step {
                    sign_with: None,
                    line: due.then(|| warning(number, node, file.sign_with)),
                }
            }
            (follows, Some((node, number))) => {
                *follows = Some(Followed {
                    number,
                    node: node.clone(),
                    said: now,
                });
                Step {
                    sign_with: Some(number),
                    line: Some(warning(number, node, file.sign_with)),
                }
            }
        }
    }
}

/// The legacy node whose key has to be used; `None`: the file counts.
fn followed<'a>(file: KeyNumbers, legacy: impl Iterator<Item = Signs<'a>>) -> Option<Signs<'a>> {
    let mut lowest: Option<Signs<'a>> = None;
    for (node, number) in legacy.filter(|(_, number)| file.has(*number)) {
        if number == file.sign_with {
            return None;
        }
        if lowest.is_none_or(|(_, other)| number < other) {
            lowest = Some((node, number));
        }
    }
    lowest
}

fn differ(number: u8, node: &NodeName, named: u8) -> String {
    format!(
        "signs with key {number} as {node} does, and not with key {named}, which authkeys names: {node} is a legacy \
         node and takes no other. Change `auth` on {node}, or here back to {number}"
    )
}

fn warning(number: u8, node: &NodeName, named: u8) -> Notice {
    Notice::OtherWarn {
        text: differ(number, node, named),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(sign_with: u8, held: &[u8]) -> KeyNumbers {
        let held = held.iter().filter_map(|number| bit(*number));
        KeyNumbers {
            sign_with,
            held: held.fold(0, |held, bit| held | bit),
        }
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_duration(Duration::from_secs(seconds))
    }

    struct Pair {
        key: SigningKey,
        beta: NodeName,
    }

    impl Pair {
        fn new(sign_with: u8, held: &[u8]) -> Self {
            let mut key = SigningKey::default();
            key.read(file(sign_with, held));
            let beta = NodeName::new("beta").unwrap();
            Self { key, beta }
        }

        /// What follows from the number with which a legacy node signs.
        fn beside(&mut self, number: Option<u8>, seconds: u64) -> (Option<u8>, &'static str) {
            let legacy = number.map(|number| (&self.beta, number));
            let step = self.key.choose(legacy.into_iter(), at(seconds));
            let said = match step.line {
                None => "",
                Some(Notice::OtherWarn { .. }) => "WARN",
                Some(_) => "info",
            };
            (step.sign_with, said)
        }
    }

    #[test]
    fn without_a_legacy_node_the_file_counts() {
        let mut pair = Pair::new(2, &[1, 2]);
        assert_eq!(pair.beside(None, 0), (None, ""));
        assert_eq!(pair.key.number(), Some(2));
        assert_eq!(pair.key.remark(), None);
    }

    #[test]
    fn a_legacy_node_changed_first_is_followed_until_the_file_agrees() {
        let mut pair = Pair::new(1, &[1, 2]);
        assert_eq!(pair.beside(Some(1), 0), (None, ""));
        assert_eq!(pair.beside(Some(2), 1), (Some(2), "WARN"));
        assert_eq!(pair.key.number(), Some(2));
        assert!(pair.key.remark().unwrap().contains("beta"));
        pair.key.read(file(2, &[1, 2]));
        assert_eq!(pair.beside(Some(2), 2), (Some(2), "info"));
        assert_eq!(pair.key.remark(), None);
        pair.key.read(file(2, &[2]));
        assert_eq!(pair.beside(Some(2), 3), (None, ""));
    }

    #[test]
    fn a_file_changed_first_waits_for_the_legacy_node() {
        let mut pair = Pair::new(1, &[1, 2]);
        assert_eq!(pair.beside(Some(1), 0), (None, ""));
        pair.key.read(file(2, &[1, 2]));
        assert_eq!(pair.beside(Some(1), 1), (Some(1), "WARN"));
        assert_eq!(pair.beside(Some(1), 2), (None, ""));
        assert_eq!(pair.beside(Some(2), 3), (Some(2), "info"));
    }

    #[test]
    fn a_line_comes_every_hour_while_they_differ() {
        let mut pair = Pair::new(1, &[1, 2]);
        assert_eq!(pair.beside(Some(2), 5), (Some(2), "WARN"));
        assert_eq!(pair.beside(Some(2), 3604), (None, ""));
        assert_eq!(pair.beside(Some(2), 3605), (None, "WARN"));
        assert_eq!(pair.beside(Some(2), 7204), (None, ""));
        assert_eq!(pair.beside(Some(2), 7205), (None, "WARN"));
    }

    #[test]
    fn when_the_legacy_node_dies_the_file_counts() {
        let mut pair = Pair::new(1, &[1, 2]);
        assert_eq!(pair.beside(Some(2), 0), (Some(2), "WARN"));
        assert_eq!(pair.beside(None, 1), (Some(1), "info"));
        assert_eq!(pair.beside(Some(2), 2), (Some(2), "WARN"));
    }

    #[test]
    fn a_key_that_left_the_file_is_not_signed_with() {
        let mut pair = Pair::new(1, &[1, 2]);
        assert_eq!(pair.beside(Some(2), 0), (Some(2), "WARN"));
        pair.key.read(file(1, &[1]));
        assert_eq!(pair.beside(Some(2), 1), (Some(1), "info"));
        for number in [3, 15, 16, 255] {
            assert_eq!(pair.beside(Some(number), 2), (None, ""), "{number}");
        }
    }

    #[test]
    fn among_several_the_one_that_agrees_with_the_file_wins_and_then_the_lowest() {
        let mut pair = Pair::new(1, &[1, 2, 3]);
        let (beta, gamma) = (pair.beta.clone(), NodeName::new("gamma").unwrap());
        let both = [(&gamma, 3), (&beta, 2)];
        assert_eq!(pair.key.choose(both.into_iter(), at(0)).sign_with, Some(2));
        let one = [(&gamma, 3), (&beta, 1)];
        assert_eq!(pair.key.choose(one.into_iter(), at(1)).sign_with, Some(1));
    }

    #[test]
    fn without_a_file_nothing_is_chosen() {
        let mut key = SigningKey::default();
        let beta = NodeName::new("beta").unwrap();
        assert_eq!(key.choose([(&beta, 2)].into_iter(), at(0)), Step::default());
        assert_eq!(key.number(), None);
    }
}
