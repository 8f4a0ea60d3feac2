//! `systole standby` and `systole takeover`: the same requests as `hb_standby` and `hb_takeover`, refused with the
//! reason where the legacy programs say nothing, and with a line about what came of it.

use super::outcome::{self, Goal};
use super::{Call, handover};
use crate::resources::holding::HoldingSet;

/// Exit code when no daemon runs.
const NO_DAEMON: u8 = 3;

/// Which way groups move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// This node gives them to the other.
    Away,
    /// This node takes them from the other.
    Here,
}

/// What is to move, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// The direction.
    pub way: Way,
    /// Which groups, as this node sees them.
    pub set: &'static str,
    /// Wait for the outcome.
    pub wait: bool,
    /// Although haresources of the nodes differ.
    pub force: bool,
}

impl Move {
    /// Asks the daemon. 0: asked, or with `wait` done; 1: refused or failed; 3: no daemon runs.
    pub fn carry_out(self, call: &mut Call<'_>) -> u8 {
        let before = match outcome::node(call) {
            Ok(node) => node,
            Err(reason) => {
                let text = format!("{}: {reason}", call.program);
                call.complain(&text);
                return match reason.as_str() {
                    outcome::NOT_RUNNING => NO_DAEMON,
                    _ => 1,
                };
            }
        };
        let obstacle = if before.frozen {
            Some("this node is frozen (systole thaw)".to_owned())
        } else {
            outcome::obstacle(call)
        };
        if let Some(reason) = obstacle {
            let text = format!("{}: refused: {reason}", call.program);
            call.complain(&text);
            return 1;
        }
        let set = HoldingSet::from_word(self.set).unwrap_or(HoldingSet::ALL);
        let (what, goal) = match self.way {
            Way::Away => ("give", Goal::Given(set)),
            Way::Here => ("take", Goal::Taken(set)),
        };
        let held = before.rscstatus.as_deref().and_then(HoldingSet::from_word);
        if held.is_some_and(|held| goal.reached(held)) {
            call.print(&format!(
                "nothing to {what}: {} holds {} already",
                before.name,
                before.rscstatus.unwrap_or_default()
            ));
            return 0;
        }
        let sent = match self.way {
            Way::Away => handover::ask_for_standby(call, self.set, self.force),
            Way::Here => handover::ask_for_takeover(call, self.set, self.force),
        };
        if sent != 0 {
            return sent;
        }
        if !self.wait {
            call.print(&format!(
                "asked to {what} {}: systole status shows what comes of it, --wait waits for it",
                self.set
            ));
            return 0;
        }
        let code = outcome::outcome(call, goal);
        if let (0, Ok(node)) = (code, outcome::node(call)) {
            let holds = node.rscstatus.unwrap_or_default();
            call.print(&format!("done: {} holds {holds} now", node.name));
        }
        code
    }
}
