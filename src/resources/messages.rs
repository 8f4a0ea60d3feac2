//! The messages that the core sends.

use crate::protocol::field::{self, kind};
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::partition::Weight;
use crate::resources::holding::HoldingSet;

/// A full report.
pub(in crate::resources) fn report(set: HoldingSet, stable: bool, info: Option<&str>) -> Message {
    let message = Message::new(kind::RESOURCE)
        .with(field::RSC_HOLD, set.word())
        .with(field::RTYPE, "full")
        .with(field::IS_STABLE, if stable { "1" } else { "0" });
    match info {
        Some(info) => message.with(field::INFO, info),
        None => message,
    }
}

/// The sender's weight in a report; `None` if it does not tell.
pub(in crate::resources) fn weight_in(report: &Message) -> Option<Weight> {
    let weight = report.text(field::RUNS).and_then(Weight::from_text)?;
    Some(weight.with_foreign(report.text(field::RUNS_FOREIGN)))
}

pub(in crate::resources) fn ask(set: HoldingSet, info: &str) -> Message {
    Message::new(kind::ASK_RESOURCES)
        .with(field::RSC_HOLD, set.word())
        .with(field::INFO, info)
}

pub(in crate::resources) fn stonith(node: &NodeName, result: &str) -> Message {
    Message::new(kind::STONITH)
        .with(field::NODE, node.as_str())
        .with(field::RESULT, result)
}
