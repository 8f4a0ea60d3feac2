//! What `systole` shows of a node as one JSON object, and its decisions. The keys of all objects:
//! `docs/reference/json.md`.

use serde::Serialize;

use crate::clients::control::{DecisionReport, NodeReport};
use crate::os::sys;
use crate::protocol::message::Message;

/// The version of the objects that are printed. It rises when a key is taken away or changes its
/// meaning; a new key does not change it.
pub const SCHEMA: u32 = 1;

/// An object with its version.
#[derive(Serialize)]
struct Versioned<'a, T: Serialize> {
    schema: u32,
    #[serde(flatten)]
    object: &'a T,
}

/// What `systole why --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WhyReport {
    /// The oldest first.
    pub decisions: Vec<DecisionReport>,
    /// What is so now.
    pub now: Vec<String>,
}

/// One JSON object on one line, with its version as the first key.
#[must_use]
pub fn as_json(object: &impl Serialize) -> String {
    let schema = SCHEMA;
    json_line(&Versioned { schema, object })
}

/// One JSON object on one line, which has its version already.
#[must_use]
pub fn json_line(object: &impl Serialize) -> String {
    serde_json::to_string(object).map_or_else(|error| error.to_string(), |text| text + "\n")
}

/// What the node waits for, which node does not receive which, and what the node cannot begin yet:
/// printed after its decisions.
#[must_use]
pub fn present_state(node: &NodeReport) -> Vec<String> {
    let lines = node.waits_for.iter().chain(&node.troubles);
    lines.chain(&node.waits).cloned().collect()
}

/// One decision as a client gets it; `None` for the answer that ends the list, which has none.
#[must_use]
pub fn decision_of(answer: &Message) -> Option<DecisionReport> {
    let text = |name| {
        let bytes = answer.text_bytes(name)?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    };
    Some(DecisionReport {
        unix_s: answer.hex("ts")?,
        what: text("what")?,
        cause: text("cause")?,
    })
}

/// Lines for people.
#[must_use]
pub fn why_for_people(report: &WhyReport) -> String {
    let mut text = String::new();
    for decision in &report.decisions {
        text.push_str(&line_of(decision.unix_s, &decision.what, &decision.cause));
    }
    if report.decisions.is_empty() {
        text.push_str("nothing was decided yet\n");
    }
    for line in &report.now {
        text.push_str(&format!("now: {line}\n"));
    }
    text
}

fn line_of(unix_s: u64, what: &str, cause: &str) -> String {
    let time = sys::local_time(unix_s);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}  {what}: {cause}\n",
        time.year, time.month, time.day, time.hour, time.minute, time.second,
    )
}

#[cfg(test)]
mod tests;
