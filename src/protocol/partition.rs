//! After a partition: what two Systole nodes tell each other, and which of them yields.
//!
//! While a node has declared a run of the other dead, its status messages name that run in the field
//! `systole_gone`: `GENERATION.BEFORE.RUNS`, the generation in hex. A node that reads its own present
//! generation there was declared dead by a peer that lives. Full `resource` reports carry
//! `BEFORE.RUNS` in `systole_runs`. Both fields are sent only to a peer that advertises
//! [`YIELD`]; the second also while the peer is not received, because the peer may receive us. With either
//! field `systole_runs_foreign` says how many of the running groups are not the sender's own, so that a node
//! that is not received knows which half has no owner.
//!
//! | Have we declared the sender dead? | what the sender runs | what we run | which node yields |
//! |---|---|---|---|
//! | no | something | - | we |
//! | no | nothing | something | the sender |
//! | no | nothing | nothing | we |
//! | yes | - | - | [`yields`] |
//!
//! The node that yields begins a new generation in the same instant: by this the other node notices it.

use super::name::{Generation, NodeName};

/// Capability word of a node that knows these rules.
pub const YIELD: &str = "yield";

/// A node's strength in a split: the numbers by which one of two nodes yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weight {
    /// Number of groups that it ran when it last declared the other node dead: groups that it took
    /// over after that do not count.
    pub before: u32,
    /// Number of groups that it runs now or is about to start.
    pub runs: u32,
    /// How many of these have another owner; `None`: the node does not report it.
    pub foreign: Option<u32>,
}

/// One half of the groups, from the view of the node that reads a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// The reader's own groups.
    Ours,
    /// The groups of the node that sent the weight.
    Theirs,
}

impl Weight {
    /// The text in a message.
    #[must_use]
    pub fn to_text(self) -> String {
        format!("{}.{}", self.before, self.runs)
    }

    /// Reads a text made by [`to_text`](Self::to_text).
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let (before, runs) = text.split_once('.')?;
        Some(Self {
            before: before.parse().ok()?,
            runs: runs.parse().ok()?,
            foreign: None,
        })
    }

    /// Adds the value of `systole_runs_foreign`.
    #[must_use]
    pub fn with_foreign(self, text: Option<&str>) -> Self {
        let foreign = text.and_then(|text| text.parse().ok());
        Self { foreign, ..self }
    }

    /// Whether the node that sent this weight runs any group of a half or is about to start one, as
    /// far as it reports. For a pair.
    #[must_use]
    pub fn serves(self, half: Half) -> bool {
        match (half, self.foreign) {
            (_, None) => self.runs > 0,
            (Half::Ours, Some(foreign)) => foreign > 0,
            (Half::Theirs, Some(foreign)) => self.runs > foreign,
        }
    }
}

/// A sender's statement that it declared a run of the receiver dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The run.
    pub generation: Generation,
    /// The sender's weight.
    pub weight: Weight,
}

impl Verdict {
    /// The text in a message.
    #[must_use]
    pub fn to_text(self) -> String {
        format!("{:x}.{}", self.generation.0, self.weight.to_text())
    }

    /// Reads a text made by [`to_text`](Self::to_text).
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let (generation, weight) = text.split_once('.')?;
        Some(Self {
            generation: Generation(u64::from_str_radix(generation, 16).ok()?),
            weight: Weight::from_text(weight)?,
        })
    }
}

/// Whether this node yields when both nodes had declared each other dead: the node that runs
/// nothing yields; else the node that ran fewer groups before; else the node whose name comes later
/// in the alphabet. For the same weights exactly one of the two nodes yields.
#[must_use]
pub fn yields(own: &NodeName, ours: Weight, other: &NodeName, theirs: Weight) -> bool {
    match (ours.runs == 0, theirs.runs == 0) {
        (true, false) => true,
        (false, true) => false,
        (true, true) | (false, false) => {
            (theirs.before, own.as_str()) > (ours.before, other.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    #[test]
    fn exactly_one_of_two_yields() {
        let weights = (0..3).flat_map(|before| {
            (0..3).map(move |runs| Weight {
                before,
                runs,
                foreign: None,
            })
        });
        let (a, b) = (name("a"), name("b"));
        for ours in weights.clone() {
            for theirs in weights.clone() {
                let (we, they) = (yields(&a, ours, &b, theirs), yields(&b, theirs, &a, ours));
                assert_ne!(we, they, "{ours:?} {theirs:?}");
            }
        }
    }

    #[test]
    fn the_one_that_serves_then_the_one_that_served_then_the_first_by_name() {
        let (a, b) = (name("a"), name("b"));
        let weight = |before, runs| Weight {
            before,
            runs,
            foreign: None,
        };
        assert!(yields(&a, weight(2, 0), &b, weight(0, 1)));
        assert!(yields(&a, weight(0, 2), &b, weight(1, 2)));
        assert!(!yields(&a, weight(1, 2), &b, weight(1, 1)));
        assert!(yields(&b, weight(1, 2), &a, weight(1, 1)));
    }

    #[test]
    fn a_weight_tells_which_half_is_served() {
        let weight = |foreign| {
            let weight = Weight::from_text("0.2").unwrap();
            let weight = weight.with_foreign(foreign);
            (weight.serves(Half::Ours), weight.serves(Half::Theirs))
        };
        assert_eq!(weight(Some("0")), (false, true));
        assert_eq!(weight(Some("1")), (true, true));
        assert_eq!(weight(Some("2")), (true, false));
        // An older version does not report it, and nonsense counts as no report.
        assert_eq!(weight(None), (true, true));
        assert_eq!(weight(Some("-1")), (true, true));
        let nothing = Weight::default().with_foreign(Some("0"));
        assert!(!nothing.serves(Half::Ours) && !nothing.serves(Half::Theirs));
    }

    #[test]
    fn texts_are_read_back_and_nonsense_is_not() {
        let verdict = Verdict {
            generation: Generation(0x6b00_c61e),
            weight: Weight {
                before: 1,
                runs: 2,
                foreign: None,
            },
        };
        assert_eq!(verdict.to_text(), "6b00c61e.1.2");
        assert_eq!(Verdict::from_text("6b00c61e.1.2"), Some(verdict));
        for nonsense in [
            "", ".", "1", "1.2", "x.1.2", "1.2.", "1.-2.3", "1.2.3.4", "1..3",
        ] {
            assert_eq!(Verdict::from_text(nonsense), None, "{nonsense}");
        }
    }
}
