//! Compares haresources with that of the other nodes, by the marks in their status.
//!
//! | Owners in force | Files as they are now | Log |
//! |---|---|---|
//! | the same | the same | nothing, or that they agree again |
//! | different | the same | INFO: a reload is needed |
//! | any | different for ten seconds | CRIT, with the lines that differ |
//!
//! An older version sends only the mark of the owners in force. Beside it the files count as the same when
//! these owners are those of our own file.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::field;
use super::super::group::GroupKey;
use super::super::haresources_mark::{Difference, FileMarks};
use super::super::message::Message;
use super::super::output::{Output, ResourceEvent};
use super::Membership;
use super::receive::Heard;
use crate::clock::{Monotonic, Now};
use crate::notice::Notice;

/// How long two files may differ before a log line: an administrator who changes both changes one
/// first.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was last logged of another node's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Alike,
    /// The files are alike, but not in force on both nodes.
    Pending,
    Differs,
}

/// How another node's file compares with ours.
#[derive(Debug, Clone, Default)]
pub struct Compared {
    said: State,
    /// Since when they differ.
    since: Option<Monotonic>,
    /// Its mark of whole lines.
    lines: Option<String>,
    /// What the resource core was told: the groups that differ; `Some(None)`: it is not known
    /// which.
    told: Option<Option<BTreeSet<GroupKey>>>,
}

impl Compared {
    /// The node begins a new run: the resource core has forgotten the reports of the last run.
    pub fn begins_run(&mut self) {
        *self = Self {
            said: self.said,
            ..Self::default()
        };
    }
}

impl Membership {
    /// Marks of our file as it is now, whether it is in force or not.
    pub fn haresources_on_disk(&mut self, marks: FileMarks) {
        self.on_disk = marks;
    }

    /// Adds to our status the marks that other nodes compare. Beside legacy nodes nothing is added.
    pub(super) fn add_haresources(&self, message: &mut Message) {
        if !self.settings.manage_resources || !self.nodes.iter().any(|node| node.is_systole_peer())
        {
            return;
        }
        message.set_text(field::HARESOURCES, &self.haresources);
        message.set_text(field::LINES, &self.on_disk.lines);
        let mut lines = self
            .nodes
            .iter()
            .filter_map(|it| it.haresources.lines.as_ref());
        if lines.any(|lines| *lines != self.on_disk.lines)
            && let Some(each) = self.on_disk.each_text()
        {
            message.set_text(field::EACH_LINE, &each);
        }
    }

    pub(super) fn compare_haresources(
        &mut self,
        heard: &Heard,
        message: &Message,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let Some(owners) = message.text(field::HARESOURCES) else {
            return;
        };
        if !self.settings.manage_resources {
            return;
        }
        let lines = message.text(field::LINES);
        let others = lines.is_some_and(|lines| lines != self.on_disk.lines);
        let in_force = owners == self.haresources;
        let (state, difference) = if others {
            let difference = self.on_disk.difference(message.text(field::EACH_LINE));
            (State::Differs, difference)
        } else if in_force {
            (State::Alike, Difference::default())
        } else if lines.is_some() || owners == self.on_disk.owners {
            (State::Pending, Difference::default())
        } else {
            let text = "in groups or their owners".to_owned();
            (State::Differs, Difference { groups: None, text })
        };
        let Some(node) = self.nodes.get_mut(heard.index) else {
            return;
        };
        let known = &mut node.haresources;
        known.lines = lines.map(str::to_owned);
        let differing = others.then_some(difference.groups);
        if known.told != differing {
            known.told.clone_from(&differing);
            out.push(Output::Resource(ResourceEvent::HaresourcesCompared {
                node: heard.name.clone(),
                differing,
            }));
        }
        let node = heard.name.to_string();
        if state == State::Differs {
            let since = *known.since.get_or_insert(now.instant);
            if known.said == state || now.instant.since(since) < PATIENCE {
                return;
            }
        } else {
            known.since = None;
        }
        if std::mem::replace(&mut known.said, state) == state {
            return;
        }
        out.push(Output::Notice(match state {
            State::Differs => Notice::HaresourcesDiffer {
                node,
                lines: difference.text,
            },
            State::Pending => Notice::HaresourcesPending { node },
            State::Alike => Notice::HaresourcesAgree { node },
        }));
    }
}
