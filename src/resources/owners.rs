//! Groups whose owner was changed in haresources while a daemon ran. The two bits of what a node
//! holds mean other groups from then on, so a process that goes on with the new file must interpret
//! them anew.
//!
//! | The groups of a half (ours, the other's) | The half is held when |
//! |---|---|
//! | some were in it before | it was held before: these groups decide |
//! | all came from the other half | that half was held: they keep their duty |
//! | none, or only new ones | it was held before |
//!
//! A group that runs here, was held and is not covered by that is left to its new owner
//! ([`Whose::Left`]): it runs on until the other node can take it (`facts/by_group.rs`).

use std::collections::{BTreeMap, BTreeSet};

use super::holding::HoldingSet;
use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::protocol::name::NodeName;

/// Which node owned a group by the haresources that a daemon used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This node.
    Own,
    /// Another node.
    Other,
    /// Another node, by a change of haresources. This node ran the group before that, and runs it
    /// on until the other node can take it.
    Left,
    /// This node, by a change of haresources. The other node ran the group before that.
    Came,
}

impl Whose {
    /// The word for it in the text for a successor.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Other => "other",
            Self::Left => "left",
            Self::Came => "came",
        }
    }

    /// Reads [`word`](Self::word).
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Own, Self::Other, Self::Left, Self::Came]
            .into_iter()
            .find(|known| known.word() == word)
    }

    /// The half that a group of this kind is in.
    #[must_use]
    pub const fn side(self) -> HoldingSet {
        match self {
            Self::Own | Self::Came => HoldingSet::LOCAL,
            Self::Other | Self::Left => HoldingSet::FOREIGN,
        }
    }
}

/// What the predecessor of this process held, and by which owners.
#[derive(Debug, Clone, Default)]
pub struct Before {
    /// The owner of each group. Empty: not known, so nothing counts as changed.
    pub owners: BTreeMap<GroupKey, Whose>,
    /// What was held, by these owners.
    pub holding: HoldingSet,
    /// Groups that may run.
    pub running: BTreeSet<GroupKey>,
    /// Groups that had an order in hand.
    pub unfinished: BTreeSet<GroupKey>,
}

/// What that means by the present file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Now {
    /// What is held.
    pub holding: HoldingSet,
    /// Groups that run here and are left to their owner.
    pub left: BTreeSet<GroupKey>,
    /// Groups that are ours now, do not run here, and ran on the other node.
    pub came: BTreeSet<GroupKey>,
    /// The other node's groups are held because they were ours before: they are to go to it.
    pub to_go_home: bool,
}

impl Before {
    /// Interprets what was held by the groups as they are now.
    #[must_use]
    pub fn by(&self, local: &NodeName, groups: &[ResourceGroup]) -> Now {
        let side_now = |group: &ResourceGroup| {
            if group.owner == *local {
                HoldingSet::LOCAL
            } else {
                HoldingSet::FOREIGN
            }
        };
        let mut now = Now::default();
        for side in [HoldingSet::LOCAL, HoldingSet::FOREIGN] {
            let mut stayed = false;
            let mut came = false;
            for group in groups.iter().filter(|group| side_now(group) == side) {
                match self.owners.get(&group.key).map(|whose| whose.side()) {
                    Some(before) if before == side => stayed = true,
                    Some(_) => came = true,
                    None => {}
                }
            }
            let by = if came && !stayed { side.mirror() } else { side };
            if self.holding.has(by) {
                now.holding = now.holding.with(side);
                now.to_go_home |= by != side && side == HoldingSet::FOREIGN;
            }
        }
        let left = groups.iter().filter(|group| {
            let before = self.owners.get(&group.key);
            let (side, key) = (side_now(group), &group.key);
            let moved = before.is_some_and(|whose| whose.side() != side);
            let held = before.is_some_and(|whose| self.holding.has(whose.side()));
            self.running.contains(key)
                && !self.unfinished.contains(key)
                && !now.holding.has(side)
                && (before == Some(&Whose::Left) || (moved && held))
        });
        now.left = left.map(|group| group.key.clone()).collect();
        let came = groups.iter().filter(|group| {
            let own = group.owner == *local && !self.running.contains(&group.key);
            let before = self.owners.get(&group.key);
            own && matches!(before, Some(Whose::Other | Whose::Left | Whose::Came))
        });
        now.came = came.map(|group| group.key.clone()).collect();
        now
    }

    /// The same after a death: a half of which no group may have run is not held any more. The last
    /// report before the death may have been that it is released.
    #[must_use]
    pub fn after_death(mut self, local: &NodeName, groups: &[ResourceGroup]) -> Self {
        for side in [HoldingSet::LOCAL, HoldingSet::FOREIGN] {
            let known = !self.owners.is_empty();
            let mut keys: Vec<&GroupKey> = Vec::new();
            if known {
                let was = self.owners.iter().filter(|(_, it)| it.side() == side);
                keys.extend(was.map(|(key, _)| key));
            } else {
                let own = side == HoldingSet::LOCAL;
                let is = groups.iter().filter(|it| (it.owner == *local) == own);
                keys.extend(is.map(|group| &group.key));
            }
            let none_runs = !keys.iter().any(|key| self.running.contains(*key));
            if !keys.is_empty() && none_runs {
                self.holding = self.holding.without(side);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(lines: &[(&str, &str)]) -> Vec<ResourceGroup> {
        let group = |(owner, key): &(&str, &str)| ResourceGroup {
            key: GroupKey::new(key),
            owner: NodeName::new(owner).unwrap(),
            resources: vec![(*key).to_owned()],
        };
        lines.iter().map(group).collect()
    }

    fn keys(keys: &[&str]) -> BTreeSet<GroupKey> {
        keys.iter().map(|key| GroupKey::new(key)).collect()
    }

    fn before(owners: &[(&str, Whose)], holding: &str, running: &[&str]) -> Before {
        let owners = owners
            .iter()
            .map(|(key, whose)| (GroupKey::new(key), *whose));
        Before {
            owners: owners.collect(),
            holding: HoldingSet::from_word(holding).unwrap(),
            running: keys(running),
            unfinished: BTreeSet::new(),
        }
    }

    fn by(before: &Before, lines: &[(&str, &str)]) -> (String, Vec<String>, bool) {
        let now = before.by(&NodeName::new("alpha").unwrap(), &groups(lines));
        let left = now.left.iter().map(ToString::to_string);
        (now.holding.to_string(), left.collect(), now.to_go_home)
    }

    use Whose::{Left, Other, Own};

    #[test]
    fn an_unchanged_file_changes_nothing() {
        let lines = [("alpha", "a"), ("beta", "b")];
        for holding in ["none", "local", "foreign", "all"] {
            let known = before(&[("a", Own), ("b", Other)], holding, &["a", "b"]);
            assert_eq!(by(&known, &lines), (holding.to_owned(), vec![], false));
            let unknown = before(&[], holding, &["a", "b"]);
            assert_eq!(by(&unknown, &lines), (holding.to_owned(), vec![], false));
        }
    }

    /// The only group changes its owner: it is foreign from then on, and the other way round.
    #[test]
    fn a_half_that_changes_as_a_whole_takes_its_duty_along() {
        let ran = before(&[("a", Own)], "local", &["a"]);
        assert_eq!(by(&ran, &[("beta", "a")]), ("all".to_owned(), vec![], true));
        let ran_not = before(&[("a", Other)], "local", &[]);
        assert_eq!(
            by(&ran_not, &[("alpha", "a")]),
            ("none".to_owned(), vec![], false)
        );
        let took_over = before(&[("a", Other)], "all", &["a"]);
        assert_eq!(
            by(&took_over, &[("alpha", "a")]),
            ("all".to_owned(), vec![], false)
        );
        let swapped = before(&[("a", Own), ("b", Other)], "local", &["a"]);
        assert_eq!(
            by(&swapped, &[("beta", "a"), ("alpha", "b")]),
            ("foreign".to_owned(), vec![], true)
        );
    }

    /// The other node goes on with the rest of its half: no node may claim that half as a whole.
    #[test]
    fn one_group_of_several_is_left_to_its_owner() {
        let known = before(
            &[("a", Own), ("c", Own), ("b", Other)],
            "local",
            &["a", "c"],
        );
        let lines = [("beta", "a"), ("alpha", "c"), ("beta", "b")];
        assert_eq!(
            by(&known, &lines),
            ("local".to_owned(), vec!["a".to_owned()], false)
        );
        // The successor reads it as left.
        let again = before(
            &[("a", Left), ("c", Own), ("b", Other)],
            "local",
            &["a", "c"],
        );
        assert_eq!(
            by(&again, &lines),
            ("local".to_owned(), vec!["a".to_owned()], false)
        );
        // And the node that it goes to holds its own half as before.
        let there = before(&[("a", Other), ("c", Other), ("b", Own)], "local", &["b"]);
        let lines = [("alpha", "a"), ("beta", "c"), ("alpha", "b")];
        assert_eq!(by(&there, &lines), ("local".to_owned(), vec![], false));
    }

    /// A group that is not held and runs is the rest of a release: it must not be kept.
    #[test]
    fn what_was_being_released_is_left_to_nobody() {
        let known = before(&[("a", Own), ("b", Other)], "none", &["a"]);
        let lines = [("beta", "a"), ("beta", "b")];
        assert_eq!(by(&known, &lines), ("none".to_owned(), vec![], false));
        let mut in_hand = before(
            &[("a", Own), ("c", Own), ("b", Other)],
            "local",
            &["a", "c"],
        );
        in_hand.unfinished = keys(&["a"]);
        let lines = [("beta", "a"), ("alpha", "c"), ("beta", "b")];
        assert_eq!(by(&in_hand, &lines), ("local".to_owned(), vec![], false));
    }

    #[test]
    fn what_comes_to_us_and_ran_elsewhere_is_known_until_it_runs_here() {
        let known = before(&[("a", Other), ("b", Own)], "local", &["b"]);
        let alpha = NodeName::new("alpha").unwrap();
        let lines = groups(&[("alpha", "a"), ("alpha", "b")]);
        assert_eq!(known.by(&alpha, &lines).came, keys(&["a"]));
        let again = before(&[("a", Whose::Came), ("b", Own)], "local", &["b"]);
        assert_eq!(again.by(&alpha, &lines).came, keys(&["a"]));
        let runs = before(&[("a", Other), ("b", Own)], "all", &["a", "b"]);
        assert_eq!(runs.by(&alpha, &lines).came, keys(&[]));
    }

    #[test]
    fn new_groups_follow_the_half_that_they_are_in() {
        let known = before(&[("a", Own)], "local", &["a"]);
        let lines = [("alpha", "a"), ("alpha", "new"), ("beta", "newer")];
        assert_eq!(by(&known, &lines), ("local".to_owned(), vec![], false));
    }

    /// After a death the halves are those of the file at that time.
    #[test]
    fn after_a_death_only_what_may_have_run_is_held() {
        let alpha = NodeName::new("alpha").unwrap();
        let lines = groups(&[("beta", "a")]);
        let ran = before(&[("a", Own)], "local", &["a"]).after_death(&alpha, &lines);
        assert_eq!(ran.holding, HoldingSet::LOCAL);
        let released = before(&[("a", Own)], "local", &[]).after_death(&alpha, &lines);
        assert_eq!(released.holding, HoldingSet::NONE);
        // A half without groups stays as it was reported.
        let empty = before(&[("b", Other)], "local", &[]).after_death(&alpha, &lines);
        assert_eq!(empty.holding, HoldingSet::LOCAL);
        let unknown = before(&[], "all", &["a"]).after_death(&alpha, &lines);
        assert_eq!(unknown.holding, HoldingSet::ALL);
        let unknown = before(&[], "all", &[]).after_death(&alpha, &lines);
        assert_eq!(unknown.holding, HoldingSet::LOCAL);
    }
}
