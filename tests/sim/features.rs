//! What some plans have beyond the rest. Each feature is drawn from a stream of its own, so that a
//! new one changes nothing about the seeds that do not have it.

use std::fmt;

use super::draws::{Draws, stir};
use super::faults::Kind;

/// What a plan has of them; the default is nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Features {
    /// The resources of a group are started and stopped one by one, the first is its address.
    pub steps: bool,
}

/// Random numbers for one feature of one history.
pub fn stream(kind: Kind, seed: u64, feature: &str) -> Draws {
    let name = feature
        .bytes()
        .fold(kind as u64, |sum, byte| stir(sum ^ u64::from(byte)));
    Draws::new(stir(seed) ^ name)
}

impl Features {
    /// Those of a history.
    pub fn draw(kind: Kind, seed: u64) -> Self {
        let has = |feature: &str, share: u64| stream(kind, seed, feature).percent(share);
        Self {
            steps: has("steps", 30),
        }
    }

    /// Takes one word of a plan; `None`: it is none of these.
    pub fn parse(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "steps" => self.steps = value == "yes",
            _ => return None,
        }
        Some(())
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps {
            write!(f, " steps=yes")?;
        }
        Ok(())
    }
}
