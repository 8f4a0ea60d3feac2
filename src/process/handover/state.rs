//! The node's state as it is handed over, and what it means for a successor. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::node::resume::{Duty, Resume};
use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::protocol::name::NodeName;
use crate::resources::holding::HoldingSet;
use crate::resources::left_open::OpenStandby;
use crate::resources::owners::{Before, Whose};

/// The version of the format that is written. Raise it when a field is added.
const VERSION: u32 = 6;

/// The lowest version whose reader understands what is written. Raise it when the meaning of an
/// existing field changes.
const READABLE_BY: u32 = 1;

/// How the daemon was called. Its successor is called the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Called {
    /// Not `-M`.
    pub manage_resources: bool,
    /// Not `-l`.
    pub realtime: bool,
    /// `-f`.
    pub foreground: bool,
    /// How often `-d` was given.
    pub debug: u8,
}

impl Default for Called {
    /// The options of a call without any letter.
    fn default() -> Self {
        Self {
            manage_resources: true,
            realtime: true,
            foreground: false,
            debug: 0,
        }
    }
}

/// Everything that a successor has to know about a node. A missing field has its default; an
/// unknown field is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeState {
    /// How the daemon was called.
    pub called: Called,
    /// What the node holds by duty.
    #[serde(with = "holding_word")]
    pub holding: HoldingSet,
    /// All groups of haresources, and other groups that may run.
    #[serde(with = "by_key")]
    pub groups: BTreeMap<GroupKey, GroupState>,
    /// The standby that is open with a legacy node.
    #[serde(with = "standby_text")]
    pub standby: Option<OpenStandby>,
    /// Everything is being released.
    pub releases: bool,
    /// Nothing is started or stopped.
    pub frozen: bool,
    /// The foreign groups that are held were this node's before haresources was changed, and are to
    /// go to their owner. `groups` no longer shows that.
    pub to_go_home: bool,
    /// The foreign groups that are held are to go back to their owner, for whatever reason. Since
    /// version 2.
    pub failback_due: bool,
    /// Unknown groups may run: what an earlier daemon had written could not be read. Since version
    /// 3.
    #[serde(skip_serializing_if = "is_false")]
    pub unknown: bool,
    /// The process that is about to replace itself with everything settled; 0: none. `None`: an
    /// older program does not tell. Since version 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces_itself: Option<u32>,
    /// The watchdog device that the daemon arms. Since version 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<PathBuf>,
    /// Dead nodes that are to be fenced before their groups are taken over. Since version 5.
    #[serde(with = "node_names", skip_serializing_if = "Vec::is_empty")]
    pub unfenced: Vec<NodeName>,
    /// The checks of each group that were good since its last start. Since version 6.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub proven: BTreeMap<String, Vec<String>>,
}

/// What a successor has to know about one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupState {
    /// Which node owned it in the haresources that the daemon used; `None`: it is not in there, or
    /// an older program wrote this.
    #[serde(with = "whose_word", skip_serializing_if = "Option::is_none")]
    pub whose: Option<Whose>,
    /// It was ordered to start, and has not been reported as stopped since.
    #[serde(skip_serializing_if = "is_false")]
    pub may_run: bool,
    /// An order for it is in hand, or was not yet given to its actor: a successor has to find out
    /// what runs.
    #[serde(skip_serializing_if = "is_false")]
    pub unfinished: bool,
}

const fn is_false(value: &bool) -> bool {
    !*value
}

/// How a successor came to its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Road {
    /// The process replaced itself: everything was settled, and the others were asked to wait.
    InPlace,
    /// The daemon was killed or crashed.
    Death,
    /// The same, and the successor is only to release everything.
    Release,
}

impl NodeState {
    /// The state of a node that begins, or goes on with `resume`.
    #[must_use]
    pub fn begin(
        called: Called,
        local: &NodeName,
        groups: &[ResourceGroup],
        resume: Option<&Resume>,
    ) -> Self {
        let none = Resume::default();
        let resume = resume.unwrap_or(&none);
        let mut state = Self {
            called,
            holding: resume.holding,
            standby: resume.standby.clone(),
            releases: resume.releases,
            frozen: resume.frozen,
            to_go_home: resume.to_go_home,
            failback_due: resume.failback_due,
            unknown: resume.unknown,
            replaces_itself: Some(0),
            watchdog: None,
            unfenced: resume.unfenced.clone(),
            groups: BTreeMap::new(),
            proven: BTreeMap::new(),
        };
        state.set_proven(&resume.proven);
        for group in groups {
            let whose = match group.owner == *local {
                true if resume.came.contains(&group.key) => Whose::Came,
                true => Whose::Own,
                false if resume.left.contains(&group.key) => Whose::Left,
                false => Whose::Other,
            };
            state.group(&group.key).whose = Some(whose);
        }
        for key in &resume.running {
            state.group(key).may_run = true;
        }
        for key in &resume.unfinished {
            state.group(key).unfinished = true;
        }
        state
    }

    /// The entry of a group.
    pub fn group(&mut self, key: &GroupKey) -> &mut GroupState {
        self.groups.entry(key.clone()).or_default()
    }

    /// Records what the node reports about itself.
    pub fn set_duty(&mut self, duty: Duty) {
        let Duty {
            holding,
            standby,
            releases,
            frozen,
            to_go_home,
            failback_due,
            unfenced,
        } = duty;
        self.holding = holding;
        self.standby = standby;
        self.releases = releases;
        self.frozen = frozen;
        self.to_go_home = to_go_home;
        self.failback_due = failback_due;
        self.unfenced = unfenced;
    }

    /// Exactly these checks were good since the last start of their group.
    pub fn set_proven(&mut self, proven: &BTreeMap<GroupKey, Vec<String>>) {
        let named = proven
            .iter()
            .map(|(key, checks)| (key.to_string(), checks.clone()));
        self.proven = named.collect();
    }

    /// Exactly these groups are left to their owner, or ran on the other node.
    pub fn set_moved(&mut self, left: &BTreeSet<GroupKey>, came: &BTreeSet<GroupKey>) {
        for (key, group) in &mut self.groups {
            group.whose = group.whose.map(|whose| match whose {
                Whose::Own | Whose::Came if came.contains(key) => Whose::Came,
                Whose::Own | Whose::Came => Whose::Own,
                Whose::Other | Whose::Left if left.contains(key) => Whose::Left,
                Whose::Other | Whose::Left => Whose::Other,
            });
        }
    }

    /// Exactly these groups may run, and exactly these are unfinished. A group without any
    /// information is removed.
    pub fn set_work(&mut self, may_run: &BTreeSet<&GroupKey>, unfinished: &BTreeSet<&GroupKey>) {
        for key in may_run.union(unfinished) {
            self.group(key);
        }
        for (key, group) in &mut self.groups {
            group.may_run = may_run.contains(key);
            group.unfinished = unfinished.contains(key);
        }
        self.groups
            .retain(|_, group| *group != GroupState::default());
    }

    /// Whether the process `own` goes on in place of itself. `None`: an older program does not
    /// tell.
    #[must_use]
    pub fn goes_on_in_place(&self, own: u32) -> Option<bool> {
        self.replaces_itself.map(|process| process == own)
    }

    /// Groups that may run.
    pub fn may_run(&self) -> impl Iterator<Item = &GroupKey> {
        let groups = self.groups.iter();
        groups
            .filter(|(_, group)| group.may_run)
            .map(|(key, _)| key)
    }

    /// Groups of which a successor has to find out what runs.
    pub fn unfinished(&self) -> impl Iterator<Item = &GroupKey> {
        let groups = self.groups.iter();
        groups
            .filter(|(_, group)| group.unfinished)
            .map(|(key, _)| key)
    }

    /// Groups that were removed from haresources while they ran, and are in it again. No order was
    /// given for them meanwhile, so only their scripts can tell whether they run.
    fn back_again<'a>(&'a self, now: &'a [ResourceGroup]) -> impl Iterator<Item = &'a GroupKey> {
        // An older program does not tell the owner of any group.
        let is_known = self.groups.values().any(|group| group.whose.is_some());
        let groups = self.groups.iter();
        groups
            .filter(move |(key, group)| {
                let is_back = group.whose.is_none() && now.iter().any(|it| it.key == **key);
                is_known && group.may_run && is_back
            })
            .map(|(key, _)| key)
    }

    /// The state with which a successor goes on, by the present haresources.
    #[must_use]
    pub fn resume(&self, local: &NodeName, groups: &[ResourceGroup], road: Road) -> Resume {
        let owners = self.groups.iter();
        let mut before = Before {
            owners: owners
                .filter_map(|(key, group)| Some((key.clone(), group.whose?)))
                .collect(),
            holding: self.holding,
            running: self.may_run().cloned().collect(),
            unfinished: self
                .unfinished()
                .chain(self.back_again(groups))
                .cloned()
                .collect(),
        };
        if road != Road::InPlace {
            before = before.after_death(local, groups);
        }
        let now = before.by(local, groups);
        let as_before = groups.iter().any(|group| {
            let was = before.owners.get(&group.key);
            group.owner != *local && was.is_some_and(|was| was.side() == HoldingSet::FOREIGN)
        });
        let theirs = as_before && now.holding.has(HoldingSet::FOREIGN);
        let resume = Resume {
            holding: now.holding,
            running: before.running.iter().cloned().collect(),
            unfinished: before.unfinished.iter().cloned().collect(),
            left: now.left.into_iter().collect(),
            came: now.came.into_iter().collect(),
            to_go_home: now.to_go_home || (self.to_go_home && theirs),
            failback_due: self.failback_due && theirs,
            standby: self.standby.clone(),
            releases: self.releases,
            frozen: self.frozen,
            unknown: self.unknown,
            unfenced: self.unfenced.clone(),
            proven: self
                .proven
                .iter()
                .map(|(key, checks)| (GroupKey::new(key), checks.clone()))
                .collect(),
        };
        match road {
            Road::InPlace | Road::Death => resume,
            // Whatever was in hand, everything is stopped.
            Road::Release => Resume {
                running: before.running.union(&before.unfinished).cloned().collect(),
                unfinished: Vec::new(),
                standby: None,
                releases: false,
                frozen: false,
                unfenced: Vec::new(),
                proven: BTreeMap::new(),
                ..resume
            },
        }
    }

    /// The state as JSON, with the version that wrote it.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&Written {
            version: VERSION,
            readable_by: READABLE_BY,
            state: self,
        })
    }

    /// Reads the text of [`to_json`](Self::to_json).
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn from_json(text: &str) -> Result<Self, BadState> {
        // Read first: the text of a version that this one cannot understand may have any form.
        let Head { readable_by } = serde_json::from_str(text)?;
        if readable_by > VERSION {
            return Err(BadState::Newer(readable_by));
        }
        let Read { state } = serde_json::from_str(text)?;
        Ok(state)
    }
}

/// Why a state in JSON cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadState {
    /// It is not valid.
    #[error("{0}")]
    Broken(
        /// What is wrong, and where.
        #[from]
        serde_json::Error,
    ),
    /// A later version wrote it, and this one would misunderstand it.
    #[error("only version {0} of it and later ones understand it")]
    Newer(
        /// The lowest version that understands it.
        u32,
    ),
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    readable_by: u32,
    state: &'a NodeState,
}

#[derive(Deserialize)]
struct Head {
    readable_by: u32,
}

#[derive(Deserialize)]
struct Read {
    state: NodeState,
}

/// A set as its usual word.
mod holding_word {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::resources::holding::HoldingSet;

    pub(super) fn serialize<S: Serializer>(set: &HoldingSet, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(set.word())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<HoldingSet, D::Error> {
        let word = String::deserialize(from)?;
        HoldingSet::from_word(&word).ok_or_else(|| D::Error::custom(format!("no set: {word:?}")))
    }
}

/// Groups by the text of their keys.
mod by_key {
    use std::collections::BTreeMap;

    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::GroupState;
    use crate::protocol::group::GroupKey;

    type Groups = BTreeMap<GroupKey, GroupState>;

    pub(super) fn serialize<S: Serializer>(groups: &Groups, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(groups.iter().map(|(key, group)| (key.as_str(), group)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Groups, D::Error> {
        let groups = BTreeMap::<String, GroupState>::deserialize(from)?;
        let groups = groups.into_iter();
        Ok(groups
            .map(|(key, group)| (GroupKey::new(&key), group))
            .collect())
    }
}

/// Nodes by their names; what is no name is left out.
mod node_names {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::protocol::name::NodeName;

    pub(super) fn serialize<S: Serializer>(nodes: &[NodeName], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(nodes.iter().map(NodeName::as_str))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<NodeName>, D::Error> {
        let names = Vec::<String>::deserialize(from)?;
        Ok(names
            .iter()
            .filter_map(|name| NodeName::new(name).ok())
            .collect())
    }
}

/// An owner as a word; a word of a later version counts as unknown.
mod whose_word {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::resources::owners::Whose;

    pub(super) fn serialize<S: Serializer>(
        whose: &Option<Whose>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        whose.map(Whose::word).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Whose>, D::Error> {
        let word = Option::<String>::deserialize(from)?;
        Ok(word.and_then(|word| Whose::from_word(&word)))
    }
}

/// A standby as its text; a text of a later version counts as none.
mod standby_text {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::resources::left_open::OpenStandby;

    pub(super) fn serialize<S: Serializer>(
        open: &Option<OpenStandby>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        open.as_ref().map(OpenStandby::to_text).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<OpenStandby>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        Ok(text.and_then(|text| OpenStandby::from_text(&text)))
    }
}

#[cfg(test)]
mod tests;
