//! Features that this program does not support, and words that are not needed any more.

use super::{Finding, Subject};
use crate::config::types::Written;
use crate::protocol::settings::GROUPS_NEED_A_PAIR;

pub(super) fn more_than_two_nodes(subject: &Subject<'_>) -> Vec<Finding> {
    let nodes = &subject.config.nodes;
    if subject.config.groups.is_empty() || nodes.len() <= 2 {
        return Vec::new();
    }
    let names: Vec<&str> = nodes.iter().map(|node| node.as_str()).collect();
    let third = names.get(2).copied().unwrap_or_default();
    let names_third = |line: &&Written| {
        let mut words = line.value.split([' ', '\t', ',']);
        words.any(|word| word.eq_ignore_ascii_case(third))
    };
    let line = subject.lines(&["node"]).find(names_third);
    let place = line.map_or_else(|| subject.place_of("node"), |line| line.place.clone());
    // A hundred names are too many for a line.
    let shown = names.get(..names.len().min(8)).unwrap_or(&names).join(", ");
    let text = format!(
        "node: {} nodes ({shown}): {GROUPS_NEED_A_PAIR}",
        names.len()
    );
    vec![Finding::new(place, text)]
}

/// Everything that a word accepts the loss of is supported.
pub(super) fn accepted_in_vain(subject: &Subject<'_>) -> Vec<Finding> {
    let losses = subject.config.settings.accept_without.iter();
    losses
        .map(|loss| {
            let text = format!("accept_without = [\"{}\"] is not needed", loss.word());
            Finding::new(subject.paths.settings.display().to_string(), text)
        })
        .collect()
}
