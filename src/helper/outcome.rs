//! `--wait` of `hb_standby` and `hb_takeover`: the result of the request. Legacy reports only that
//! the request was written.

use std::time::Duration;

use super::{Call, wait};
use crate::clients::control::{NodeReport, Request};
use crate::clock::Clock;
use crate::resources::holding::HoldingSet;

/// Pause between two queries.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Longest wait in total: above the longest run of all scripts of both nodes.
const PATIENCE: Duration = Duration::from_secs(2 * 3600);

/// Our own daemon acts at once or refuses.
const STANDBY_BEGINS: Duration = Duration::from_secs(5);

/// The other node lets a request wait this long for its own scripts, and a little longer.
const TAKEOVER_BEGINS: Duration = Duration::from_secs(65);

/// After a transition with another result: the request may have waited for its end.
const SETTLED: Duration = Duration::from_secs(3);

/// The requested state, from the view of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// This node holds nothing of the set any more.
    Given(HoldingSet),
    /// This node holds all of the set.
    Taken(HoldingSet),
}

/// The result of one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The goal is reached.
    Reached,
    /// The goal may still be reached.
    Open,
    /// The goal is not reached and will not be.
    Failed,
}

/// The queries so far.
#[derive(Debug)]
pub(super) struct Watch {
    goal: Goal,
    /// The node was in transition.
    moved: bool,
    /// Since when the node has been settled without the goal.
    settled_since: Option<Duration>,
}

impl Goal {
    pub(super) fn reached(self, holding: HoldingSet) -> bool {
        match self {
            Self::Given(set) => holding.without(set) == holding,
            Self::Taken(set) => holding.with(set) == holding,
        }
    }

    const fn begins(self) -> Duration {
        match self {
            Self::Given(_) => STANDBY_BEGINS,
            Self::Taken(_) => TAKEOVER_BEGINS,
        }
    }
}

impl Watch {
    pub(super) const fn new(goal: Goal) -> Self {
        Self {
            goal,
            moved: false,
            settled_since: None,
        }
    }

    /// Judges the set that the node holds (`transition`: on its way) at time `now` since the
    /// request.
    pub(super) fn look(&mut self, rscstatus: &str, now: Duration) -> Verdict {
        let Some(holding) = HoldingSet::from_word(rscstatus) else {
            self.moved = true;
            self.settled_since = None;
            return if now < PATIENCE {
                Verdict::Open
            } else {
                Verdict::Failed
            };
        };
        if self.goal.reached(holding) {
            return Verdict::Reached;
        }
        let since = *self.settled_since.get_or_insert(now);
        let patience = if self.moved {
            SETTLED
        } else {
            self.goal.begins()
        };
        if now.saturating_sub(since) < patience {
            Verdict::Open
        } else {
            Verdict::Failed
        }
    }
}

/// Told when no daemon runs.
pub(super) const NOT_RUNNING: &str = "heartbeat is not running.";

/// The node as the daemon knows it.
pub(super) fn node(call: &Call<'_>) -> Result<NodeReport, String> {
    let reply = call.ask(&Request::View, Duration::from_secs(10))?;
    let view = reply.ok_or_else(|| NOT_RUNNING.to_owned())?.view()?;
    view.node
        .ok_or_else(|| "the daemon does not answer".to_owned())
}

/// Why the request cannot succeed, before it is made.
pub(super) fn obstacle(call: &Call<'_>) -> Option<String> {
    match node(call) {
        Err(reason) => Some(reason),
        Ok(node) if node.rscstatus.is_none() => {
            Some("this node does not manage resources".to_owned())
        }
        Ok(node) => {
            let other =
                |peer: &&crate::clients::control::PeerReport| !peer.ping && peer.name != node.name;
            let active = node
                .nodes
                .iter()
                .filter(other)
                .any(|peer| peer.status == "active");
            (!active).then(|| "no other node is active".to_owned())
        }
    }
}

/// Waits for the end of a request. 0: it was carried out; 1: it was not, and the reason is printed.
pub(super) fn outcome(call: &mut Call<'_>, goal: Goal) -> u8 {
    let clock = Clock::start();
    let mut watch = Watch::new(goal);
    loop {
        let seen = node(call).map(|node| node.rscstatus.unwrap_or_default());
        let verdict = match &seen {
            Ok(word) => watch.look(word, clock.now().instant.since_start()),
            Err(_) => Verdict::Failed,
        };
        match verdict {
            Verdict::Reached => return 0,
            Verdict::Open => wait(LOOK_PAUSE),
            Verdict::Failed => {
                let reason = match seen {
                    Ok(word) => format!(
                        "the request was refused or failed: this node holds {word} (the log says \
                         why)"
                    ),
                    Err(reason) => reason,
                };
                let text = format!("{}: {reason}", call.program);
                call.complain(&text);
                return 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(goal: Goal, seen: &[(&str, u64)]) -> Verdict {
        let mut watch = Watch::new(goal);
        let mut verdict = Verdict::Open;
        for (word, seconds) in seen {
            assert_eq!(verdict, Verdict::Open, "before {word} at {seconds}");
            verdict = watch.look(word, Duration::from_secs(*seconds));
        }
        verdict
    }

    #[test]
    fn a_standby_is_over_when_the_set_is_gone() {
        let all = Goal::Given(HoldingSet::ALL);
        let done = [
            ("local", 0),
            ("transition", 1),
            ("transition", 900),
            ("none", 901),
        ];
        assert_eq!(looks(all, &done), Verdict::Reached);
        let foreign = Goal::Given(HoldingSet::FOREIGN);
        assert_eq!(
            looks(foreign, &[("all", 0), ("local", 2)]),
            Verdict::Reached
        );
        assert_eq!(looks(foreign, &[("local", 0)]), Verdict::Reached);
    }

    #[test]
    fn a_request_that_never_begins_or_ends_differently_has_failed() {
        let all = Goal::Given(HoldingSet::ALL);
        assert_eq!(looks(all, &[("local", 0), ("local", 4)]), Verdict::Open);
        assert_eq!(looks(all, &[("local", 0), ("local", 5)]), Verdict::Failed);
        // The request waited for another transition, which may be over before it begins.
        let seen = [("transition", 0), ("local", 20), ("local", 22)];
        assert_eq!(looks(all, &seen), Verdict::Open);
        let seen = [("transition", 0), ("local", 20), ("local", 23)];
        assert_eq!(looks(all, &seen), Verdict::Failed);
        let taken = Goal::Taken(HoldingSet::LOCAL);
        assert_eq!(looks(taken, &[("none", 0), ("none", 64)]), Verdict::Open);
        assert_eq!(looks(taken, &[("none", 0), ("none", 65)]), Verdict::Failed);
        assert_eq!(looks(taken, &[("none", 0), ("all", 3)]), Verdict::Reached);
        let for_ever = [("transition", 0), ("transition", 7200)];
        assert_eq!(looks(taken, &for_ever), Verdict::Failed);
    }
}
