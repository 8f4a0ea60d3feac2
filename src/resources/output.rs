//! What follows from a step of the resource core, and how its parts say it.

use super::peers::Peer;
use super::state::ResourceState;
use crate::notice::Notice;
use crate::protocol::decisions;
use crate::protocol::event::Action;
use crate::protocol::field::{self, kind};
use crate::protocol::message::Message;
use crate::protocol::partition::Weight;

/// Something that follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceOutput {
    /// Send to all nodes; it comes back as our own.
    Send(Message),
    /// Send the own status at once.
    SendStatus,
    /// Do this.
    Act(Action),
    /// Peers may think that everything is released: begin a new run.
    BeginNewGeneration,
    /// A decision, for people.
    Decided {
        /// What is done, or is not.
        what: String,
        /// Why.
        cause: String,
    },
    /// Nobody is left who hears us: whoever comes back shall find us in a new run.
    ContinueUnderNewGeneration,
    /// What we put on the scales when we tell a node that it was given up; `None`: not to be told.
    Weight(Option<Weight>),
}

impl ResourceState {
    pub(super) fn send(&mut self, mut message: Message) {
        let full_report = message.text(field::RTYPE) == Some("full");
        // One that we do not hear may hear us.
        let understood = |peer: &Peer| peer.yields || peer.status.is_none() || peer.is_gone();
        if full_report && self.is_pair() && self.peers.values().all(understood) {
            let weight = self.weight();
            message.set_text(field::RUNS, &weight.to_text());
            if let Some(foreign) = weight.foreign {
                message.set_text(field::RUNS_FOREIGN, &foreign.to_string());
            }
        }
        let gives = message.text(field::INFO) == Some("done");
        if full_report || gives || message.kind() == Some(kind::STARTING) {
            self.name_groups(&mut message);
        }
        if full_report && let Some(heard) = self.heard_text() {
            message.set_text(field::HEARD, &heard);
        }
        self.out.push(ResourceOutput::Send(message));
    }

    pub(super) fn act(&mut self, action: Action) {
        self.out.push(ResourceOutput::Act(action));
    }

    /// Notes a decision where it is taken.
    pub(super) fn decide(&mut self, what: impl Into<String>, cause: impl Into<String>) {
        self.out.push(ResourceOutput::Decided {
            what: decisions::bounded(what.into()),
            cause: decisions::bounded(cause.into()),
        });
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.act(Action::Notice(notice));
    }

    pub(super) fn info(&mut self, text: impl Into<String>) {
        self.notice(Notice::OtherInfo { text: text.into() });
    }

    pub(super) fn warn(&mut self, text: impl Into<String>) {
        self.notice(Notice::OtherWarn { text: text.into() });
    }

    pub(super) fn error(&mut self, text: impl Into<String>) {
        self.notice(Notice::OtherError { text: text.into() });
    }

    pub(super) fn debug(&mut self, text: impl Into<String>) {
        self.notice(Notice::OtherDebug { text: text.into() });
    }
}
