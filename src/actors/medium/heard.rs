//! Whose messages a medium received lately.
//!
//! Membership knows links by name, as legacy does: media of one interface have one link, which is up while another node is
//! received on any of them. For `systole status` they are told apart here. Spec: docs/protocol/wire.md, 16.4.

use std::time::Duration;

use crate::clients::control::Receives;
use crate::clock::Monotonic;
use crate::protocol::field;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;

/// To whom a datagram was sent: one socket serves a `bcast` line and `ucast` lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To all hosts of the network.
    ToAll,
    /// To this host, or to the group of the socket.
    Direct,
}

/// When messages were received, of others and of this node.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    others: Option<Monotonic>,
    itself: Option<Monotonic>,
}

/// Whose messages came, and when last.
#[derive(Debug, Clone)]
pub struct LastHeard {
    local: NodeName,
    /// What is older counts no more.
    deadtime: Duration,
    to_all: Times,
    direct: Times,
}

impl LastHeard {
    /// For a medium of node `local` that has received nothing.
    #[must_use]
    pub fn new(local: NodeName, deadtime: Duration) -> Self {
        Self {
            local,
            deadtime,
            to_all: Times::default(),
            direct: Times::default(),
        }
    }

    /// A verified message came by `way`.
    pub(super) fn note(&mut self, message: &Message, way: Way, now: Monotonic) {
        let own = |source: &str| source.eq_ignore_ascii_case(self.local.as_str());
        let own = message.text(field::SRC).is_some_and(own);
        let times = match way {
            Way::ToAll => &mut self.to_all,
            Way::Direct => &mut self.direct,
        };
        if own {
            times.itself = Some(now);
        } else {
            times.others = Some(now);
        }
    }

    /// Whose messages came by `way` within the dead time before `now`; `None`: by any way.
    pub(super) fn receives(&self, way: Option<Way>, now: Monotonic) -> Receives {
        let all = [(Way::ToAll, self.to_all), (Way::Direct, self.direct)];
        let wanted = || {
            let all = all
                .iter()
                .filter(|(of, _)| way.is_none_or(|way| way == *of));
            all.map(|(_, times)| times)
        };
        let lately = |at: Option<Monotonic>| at.is_some_and(|at| now.since(at) < self.deadtime);
        if wanted().any(|times| lately(times.others)) {
            Receives::Others
        } else if wanted().any(|times| lately(times.itself)) {
            Receives::Itself
        } else {
            Receives::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_millis(ms)
    }

    #[test]
    fn what_came_by_one_way_says_nothing_of_the_other() {
        let local = NodeName::new("alpha").expect("a name");
        let mut heard = LastHeard::new(local, Duration::from_secs(3));
        let all = |heard: &LastHeard, ms| {
            [Some(Way::ToAll), Some(Way::Direct), None].map(|way| heard.receives(way, at(ms)))
        };
        let of = |node: &str| Message::new("status").with("src", node);
        assert_eq!(all(&heard, 1), [Receives::Nothing; 3]);
        heard.note(&of("ALPHA"), Way::ToAll, at(1));
        let own = [Receives::Itself, Receives::Nothing, Receives::Itself];
        assert_eq!(all(&heard, 1), own);
        heard.note(&of("beta"), Way::Direct, at(2));
        let both = [Receives::Itself, Receives::Others, Receives::Others];
        assert_eq!(all(&heard, 3_000), both);
        let late = [Receives::Nothing, Receives::Others, Receives::Others];
        assert_eq!(all(&heard, 3_001), late);
        assert_eq!(all(&heard, 3_002), [Receives::Nothing; 3]);
    }
}
