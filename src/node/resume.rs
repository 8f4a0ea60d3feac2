//! How a node goes on where another process, or another core of this one, ended: what that left
//! ([`Resume`]), and what a node has to leave all the time ([`Duty`]).

use std::collections::BTreeMap;

use super::Node;
use crate::protocol::group::GroupKey;
use crate::protocol::membership::Identity;
use crate::protocol::name::{Generation, NodeName, Sequence};
use crate::protocol::settings::{AutoFailback, NodeSettings};
use crate::resources::holding::HoldingSet;
use crate::resources::left_open::OpenStandby;

/// What a successor goes on with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resume {
    /// What the node holds by duty.
    pub holding: HoldingSet,
    /// Groups that run.
    pub running: Vec<GroupKey>,
    /// Groups with an order in hand at the end of the one before: they may run or not.
    pub unfinished: Vec<GroupKey>,
    /// Groups that run here and are left to their owner, see `resources/owners.rs`.
    pub left: Vec<GroupKey>,
    /// Groups that are this node's by now and ran on the other node.
    pub came: Vec<GroupKey>,
    /// The other node's groups that are held were this node's before haresources was changed.
    pub to_go_home: bool,
    /// The other node's groups that are held were to go back to it, whatever the reason.
    pub failback_due: bool,
    /// The standby that was open at that end.
    pub standby: Option<OpenStandby>,
    /// Everything was being released at that end.
    pub releases: bool,
    /// Nothing is started or stopped.
    pub frozen: bool,
    /// Something else may run here, and nobody knows what.
    pub unknown: bool,
    /// Dead nodes that were to be fenced before their groups are taken over.
    pub unfenced: Vec<NodeName>,
    /// The checks of each group that were good since its last start: only those may act.
    pub proven: BTreeMap<GroupKey, Vec<String>>,
}

impl Resume {
    /// Whether a group ran. One in the middle of a start may have been about to ask the network first
    /// who has its addresses, and proves nothing.
    #[must_use]
    pub fn surely_ran(&self) -> bool {
        let certain = |key: &GroupKey| !self.unfinished.contains(key);
        self.running.iter().any(certain)
    }
}

/// What a node tells at each change, so that it is written down for a successor. The rest of
/// [`Resume`] follows from its orders and their outcomes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Duty {
    /// What the node holds by duty.
    pub holding: HoldingSet,
    /// The standby in which it is.
    pub standby: Option<OpenStandby>,
    /// Everything is being released.
    pub releases: bool,
    /// Nothing is started or stopped.
    pub frozen: bool,
    /// The other node's groups that are held were this node's before haresources was changed.
    pub to_go_home: bool,
    /// The other node's groups that are held are to go back to it, whatever the reason.
    pub failback_due: bool,
    /// Dead nodes that are to be fenced before their groups are taken over.
    pub unfenced: Vec<NodeName>,
}

impl From<&Resume> for Duty {
    /// What is written down for the successor of a successor, before it has said anything.
    fn from(resume: &Resume) -> Self {
        Self {
            holding: resume.holding,
            standby: resume.standby.clone(),
            releases: resume.releases,
            frozen: resume.frozen,
            to_go_home: resume.to_go_home,
            failback_due: resume.failback_due,
            unfenced: resume.unfenced.clone(),
        }
    }
}

impl Node {
    /// A node whose groups went on running while its process or its central actor began anew.
    /// `identity` carries a new generation; peers see a quick restart and nothing moves. As with
    /// [`new`](Self::new) nothing is sent before [`start`](Self::start).
    /// Spec: docs/protocol/membership.md, 9.3.
    #[must_use]
    pub fn go_on(settings: NodeSettings, identity: Identity, seed: u64, resume: &Resume) -> Self {
        let Resume {
            holding,
            running,
            unfinished,
            left,
            came,
            to_go_home,
            failback_due,
            standby,
            releases,
            frozen,
            unknown: _,
            unfenced,
            proven: _,
        } = resume.clone();
        // Without reports no half is held, and groups run all the same.
        let by_key = settings.auto_failback == AutoFailback::Legacy;
        let serves = !holding.is_none() || (by_key && !running.is_empty());
        let mut node = Self::new(settings, identity, seed);
        node.membership.go_on();
        node.resources.resume(holding, running);
        if !serves && let Some(isolation) = &mut node.isolation {
            isolation.go_on_with_nothing();
        }
        // All of this says what the unfinished groups are for: it comes before they are ordered.
        node.resources.note_changed_owners(left, came, to_go_home);
        if failback_due {
            node.resources.keep_failback();
        }
        if let Some(open) = standby {
            node.keep_standby(open);
        }
        if releases {
            node.resources.keep_release();
        }
        node.resources.finish(unfinished);
        node.resources.keep_unfenced(&unfenced);
        if let Some(fencing) = &mut node.fencing {
            fencing.go_on(node.resources.unfenced().cloned());
        }
        if frozen {
            node.resources.keep_frozen();
        }
        node
    }

    fn keep_standby(&mut self, open: OpenStandby) {
        let run = Generation(open.heard.generation());
        let number = Sequence(open.heard.sequence());
        let wanted = open.asks_for_the_rest().then_some(number);
        self.membership.goes_on_behind(&open.with, run, wanted);
        self.resources.keep_standby(open);
    }

    /// What a successor has to know, beside the groups that run.
    #[must_use]
    pub fn duty(&self) -> Duty {
        Duty {
            holding: self.resources.holding(),
            standby: self.resources.open_standby(),
            releases: self.resources.gives_everything_up(),
            frozen: self.resources.frozen(),
            to_go_home: self.resources.goes_home_by_file(),
            failback_due: self.resources.failback_due(),
            unfenced: self.unfenced(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_being_started_did_not_surely_run() {
        let keys = |words: &[&str]| words.iter().map(|word| GroupKey::new(word)).collect();
        let resume = |running, unfinished| Resume {
            holding: HoldingSet::ALL,
            running: keys(running),
            unfinished: keys(unfinished),
            ..Resume::default()
        };
        assert!(resume(&["a"], &[]).surely_ran());
        assert!(resume(&["a", "b"], &["b"]).surely_ran());
        assert!(!resume(&["a"], &["a"]).surely_ran());
        assert!(!resume(&[], &[]).surely_ran());
    }
}
