//! Compares the monitors with those of the other nodes, by the mark in their status.
//!
//! | Monitors | Log |
//! |---|---|
//! | the same, or the other node sends no mark | nothing, or that they agree again |
//! | different for a minute | WARN, once |
//!
//! A group is watched by the rules of the node on which it runs: where they differ, a service that dies is found on
//! one node only.

use std::time::Duration;

use super::super::field;
use super::super::message::Message;
use super::super::output::Output;
use super::Membership;
use super::receive::Heard;
use crate::clock::{Monotonic, Now};
use crate::notice::Notice;

/// How long they may differ before a log line: an administrator changes one node first, and a change counts after a
/// reload only.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the monitors of another node compare with ours.
#[derive(Debug, Clone, Copy, Default)]
pub struct MonitorsCompared {
    /// Since when they differ.
    since: Option<Monotonic>,
    /// That was logged.
    said: bool,
}

impl Membership {
    /// Takes this mark for that of our monitors.
    #[cfg(test)]
    pub(super) fn has_monitors(&mut self, mark: &str) {
        mark.clone_into(&mut self.settings.monitors_mark);
    }

    /// Adds to our status the mark that other nodes compare. Beside legacy nodes nothing is added.
    pub(super) fn add_monitors(&self, message: &mut Message) {
        let mark = &self.settings.monitors_mark;
        let heard = self.nodes.iter().any(|node| node.is_systole_peer());
        if self.settings.manage_resources && !mark.is_empty() && heard {
            message.set_text(field::MONITORS, mark);
        }
    }

    pub(super) fn compare_monitors(
        &mut self,
        heard: &Heard,
        message: &Message,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let ours = &self.settings.monitors_mark;
        // An older version sends none.
        let theirs = message.text(field::MONITORS);
        let managed = self.settings.manage_resources && !ours.is_empty();
        let differ = managed && theirs.is_some_and(|theirs| theirs != ours);
        let Some(node) = self.nodes.get_mut(heard.index) else {
            return;
        };
        let known = &mut node.monitors;
        if !differ {
            known.since = None;
            if theirs.is_some() && std::mem::take(&mut known.said) {
                let node = heard.name.to_string();
                out.push(Output::Notice(Notice::MonitorsAgree { node }));
            }
            return;
        }
        let since = *known.since.get_or_insert(now.instant);
        if !known.said && now.instant.since(since) >= PATIENCE {
            known.said = true;
            let node = heard.name.to_string();
            out.push(Output::Notice(Notice::MonitorsDiffer { node }));
        }
    }
}
