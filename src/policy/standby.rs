//! Whether this node could run a group that it does not run, and whether nothing of it runs here. Only of groups with
//! a monitor. Pure: what was seen in, lines for the log out. It decides nothing.
//!
//! | Comes | Then |
//! |---|---|
//! | the group does not run here, and the node is settled | a look after the shortest interval of its monitors, then every [`SLOWER`]th |
//! | another thing is wrong than before | WARN |
//! | nothing is wrong any more | INFO |
//! | an order for the group | what was seen is forgotten |

use std::time::Duration;

use super::monitor::Line;
use crate::clock::Monotonic;
use crate::notice::Severity;

/// By so much rarer than where the group runs.
pub const SLOWER: u32 = 10;

/// What is known of one group.
#[derive(Debug, Clone)]
pub struct Standby {
    interval: Duration,
    /// The next look; `None`: the group ran here a moment ago, or nobody looked yet.
    due: Option<Monotonic>,
    /// The last look, and what was wrong.
    last: Option<(Monotonic, Vec<String>)>,
    /// What was logged.
    said: Vec<String>,
}

impl Standby {
    /// `interval`: the shortest of its monitors.
    #[must_use]
    pub const fn new(interval: Duration) -> Self {
        Self {
            interval,
            due: None,
            last: None,
            said: Vec::new(),
        }
    }

    /// Whether to look now. The look counts as begun.
    pub fn begin(&mut self, now: Monotonic) -> bool {
        let (begins, pause) = match self.due {
            None => (false, self.interval),
            Some(at) if now >= at => (true, self.interval.saturating_mul(SLOWER)),
            Some(_) => return false,
        };
        self.due = Some(now + pause);
        begins
    }

    /// A look has ended. `wrong`: for people; empty: this node could run the group, and nothing of it runs here.
    pub fn looked(&mut self, group: &str, wrong: Vec<String>, now: Monotonic) -> Option<Line> {
        let line = match wrong.as_slice() {
            same if *same == *self.said => None,
            [] => Some((
                Severity::Info,
                format!("monitor: this node is ready to run group {group} again"),
            )),
            wrong => Some((
                Severity::Warn,
                format!(
                    "monitor: this node is not ready to run group {group}: {}",
                    wrong.join("; ")
                ),
            )),
        };
        self.said.clone_from(&wrong);
        self.last = Some((now, wrong));
        line
    }

    /// An order for the group has come.
    pub fn ended(&mut self) {
        self.due = None;
        self.last = None;
    }

    /// The last look since the last order, and what was wrong.
    #[must_use]
    pub const fn last(&self) -> Option<&(Monotonic, Vec<String>)> {
        self.last.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::default() + Duration::from_secs(seconds)
    }

    #[test]
    fn it_looks_ever_again_at_a_slower_pace_and_says_only_what_is_new() {
        let mut standby = Standby::new(Duration::from_secs(5));
        let looks = |standby: &mut Standby, from: u64| {
            let seconds = from..from + 110;
            let looks = seconds.filter(|it| standby.begin(at(*it)));
            looks.collect::<Vec<_>>()
        };
        assert_eq!(looks(&mut standby, 0), [5, 55, 105]);
        let wrong = || vec!["there is no script nginx".to_owned()];
        assert_eq!(standby.looked("g", Vec::new(), at(5)), None);
        let (severity, text) = standby.looked("g", wrong(), at(55)).unwrap();
        assert_eq!(severity, Severity::Warn);
        assert!(
            text.ends_with("group g: there is no script nginx"),
            "{text}"
        );
        assert_eq!(standby.looked("g", wrong(), at(105)), None);
        standby.ended();
        assert_eq!(standby.last(), None);
        assert_eq!(looks(&mut standby, 200), [205, 255, 305]);
        let (severity, _) = standby.looked("g", Vec::new(), at(205)).unwrap();
        assert_eq!(severity, Severity::Info);
        assert_eq!(standby.last(), Some(&(at(205), Vec::new())));
    }
}
