//! Messages beside the handshake: those for notification scripts, and those of local programs that
//! the handshake answers itself. Spec: docs/protocol/resources.md, 9.6 and 16.

use super::holding::HoldingSet;
use crate::protocol::event::Origin;
use crate::protocol::field::{self, kind};
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::status::NodeStatus;

/// What is done with a message that a local program wants to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Injected {
    /// It is sent.
    Send(Message),
    /// It asks this node to give groups away: checked first, and sent when accepted.
    Standby {
        /// The groups, from our view.
        set: HoldingSet,
        /// Whether differing haresources are no reason to refuse.
        forced: bool,
    },
    /// It is not sent, and this is why: often the daemon does that work itself.
    NotSent(String),
}

/// Sorts the messages of scripts and clients.
///
/// `mach_down` and `req_resource` of an unmodified rc.d still report what the daemon has done by
/// itself, so their messages end here. Spec: docs/protocol/resources.md, 5.3 and 9.8.
pub(crate) fn admit(origin: Origin, mut message: Message) -> Injected {
    let Some(kind) = message.kind() else {
        return Injected::Send(message);
    };
    match kind {
        kind::RESOURCE
        | kind::IP_REQUEST_RESP
        | kind::IP_REQUEST
        | kind::SHUTDONE
        | kind::STARTING
            if origin != Origin::Daemon =>
        {
            Injected::NotSent(format!(
                "message [{kind}] of a local program not sent: the daemon does that itself"
            ))
        }
        kind::ASK_RESOURCES => match message.text(field::INFO) {
            Some("me") => match set_asked(&message) {
                Some(set) => Injected::Standby {
                    set,
                    forced: is_forced(&message),
                },
                None => Injected::NotSent("standby request for an unknown set".to_owned()),
            },
            _ => Injected::NotSent("standby message of a local program not sent".to_owned()),
        },
        kind::HB_TAKEOVER => {
            // A legacy receiver does not know `failback` and would give up everything.
            if message.text(field::RSC_HOLD) == Some("failback") {
                message.set_text(field::RSC_HOLD, HoldingSet::LOCAL.word());
            }
            Injected::Send(message)
        }
        _ => Injected::Send(message),
    }
}

/// Whether a person forces the hand-over that a message asks for.
pub(super) fn is_forced(message: &Message) -> bool {
    message.text(field::FORCE) == Some("1")
}

/// The message that the `status` script gets for a node that left.
/// Spec: docs/protocol/resources.md, 10.1.
pub(super) fn dead_status(node: &NodeName) -> Message {
    Message::new(kind::STATUS)
        .with(field::ST, NodeStatus::Dead.as_str())
        .with(field::SRC, node.as_str())
        .with(field::SEQ, "1")
}

/// Whether a status message comes from a ping node.
pub(super) fn is_ping(message: &Message) -> bool {
    message.kind() == Some(kind::NS_STATUS) || message.text(field::INFO) == Some("ping")
}

/// The set of a standby message; `all` when it names none. Spec: docs/protocol/resources.md, 7.3.
pub(super) fn set_asked(message: &Message) -> Option<HoldingSet> {
    match message.text(field::RSC_HOLD) {
        None => Some(HoldingSet::ALL),
        Some("failback") => Some(HoldingSet::FOREIGN),
        Some(word) => HoldingSet::from_word(word),
    }
}
