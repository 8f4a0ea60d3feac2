//! What the resource core does when this node is isolated: it releases everything, starts nothing,
//! and begins again when it receives another node. [`policy::isolation`](crate::policy::isolation)
//! decides when the node is isolated.
//!
//! Meanwhile the phase is `Shutdown`: nothing is acquired, taken or given.

use crate::protocol::message::Message;
use crate::protocol::name::NodeName;

/// Whether this node is isolated, and how far its release has come.
#[derive(Debug, Default)]
pub(in crate::resources) struct Isolation {
    cut_off: Option<CutOff>,
}

/// The node receives neither the other node nor any ping node.
#[derive(Debug)]
struct CutOff {
    peer: NodeName,
    /// The message about the peer's death, for the hook.
    message: Message,
    /// Everything is stopped.
    released: bool,
    /// A ping node answers again; the release still goes on.
    regained: bool,
}

impl Isolation {
    /// Whether everything is released, or being released, because no node is received.
    pub(in crate::resources) const fn is_on(&self) -> bool {
        self.cut_off.is_some()
    }

    /// This node is isolated from `peer`. `message`: about the peer's death, for the hook.
    pub(in crate::resources) fn begins(&mut self, peer: &NodeName, message: Message) {
        self.cut_off = Some(CutOff {
            peer: peer.clone(),
            message,
            released: false,
            regained: false,
        });
    }

    /// Everything is stopped. Returns whether a ping node has answered meanwhile; `None`: this node
    /// is not isolated.
    pub(in crate::resources) fn released(&mut self) -> Option<bool> {
        let cut_off = self.cut_off.as_mut()?;
        cut_off.released = true;
        Some(cut_off.regained)
    }

    /// A ping node answers. If everything is stopped, the isolation ends: the other node is dead,
    /// and the result is its name and the message for the hook. Else the isolation ends with the
    /// release.
    pub(in crate::resources) fn regained(&mut self) -> Option<(NodeName, Message)> {
        let cut_off = self.cut_off.as_mut()?;
        cut_off.regained = true;
        let ended = self.cut_off.take_if(|cut_off| cut_off.released)?;
        Some((ended.peer, ended.message))
    }

    /// The isolation ends for another reason. Returns whether everything was stopped; `None`: this
    /// node was not isolated.
    pub(in crate::resources) fn ends(&mut self) -> Option<bool> {
        self.cut_off.take().map(|cut_off| cut_off.released)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_off() -> Isolation {
        let mut isolation = Isolation::default();
        isolation.begins(&NodeName::new("b").unwrap(), Message::new("status"));
        isolation
    }

    #[test]
    fn it_ends_when_a_ping_node_answers_and_everything_is_stopped() {
        let ended = Some((NodeName::new("b").unwrap(), Message::new("status")));
        let mut isolation = cut_off();
        assert_eq!(isolation.released(), Some(false));
        assert_eq!(isolation.regained(), ended);
        assert!(!isolation.is_on());
        let mut isolation = cut_off();
        assert_eq!(isolation.regained(), None);
        assert_eq!(isolation.released(), Some(true));
        assert_eq!(isolation.regained(), ended);
    }

    #[test]
    fn it_ends_at_any_time_when_the_other_node_is_heard() {
        let mut isolation = cut_off();
        assert_eq!(isolation.ends(), Some(false));
        assert_eq!(isolation.ends(), None);
        assert_eq!((isolation.released(), isolation.regained()), (None, None));
    }
}
