//! Features that this program does not support (yet), and files that rely on them.

use super::{Finding, Subject};
use crate::config::settings::Loss;
use crate::config::types::Written;
use crate::protocol::settings::GROUPS_NEED_A_PAIR;

fn accepted(subject: &Subject<'_>, loss: Loss) -> bool {
    subject.config.settings.accept_without.contains(&loss)
}

fn or_accept(subject: &Subject<'_>, loss: Loss) -> String {
    format!(
        "or write accept_without = [\"{}\"] in {} to start without",
        loss.word(),
        subject.paths.settings.display()
    )
}

/// The lines by which this node would fence. A `stonith_host` line counts on the host that it
/// names; without haresources the daemon never fences, and legacy does not either.
fn fencing_lines<'s>(subject: &'s Subject<'_>) -> Vec<&'s Written> {
    if !subject.config.manage_resources {
        return Vec::new();
    }
    let local = subject.config.local.as_str();
    subject
        .lines(&["stonith", "stonith_host"])
        .filter(|line| {
            let host = line.value.split_ascii_whitespace().next().unwrap_or("");
            line.directive == "stonith" || host == "*" || host.eq_ignore_ascii_case(local)
        })
        .collect()
}

pub(super) fn fencing(subject: &Subject<'_>) -> Vec<Finding> {
    if accepted(subject, Loss::Stonith) {
        return Vec::new();
    }
    let or = or_accept(subject, Loss::Stonith);
    let finding = |line: &Written| {
        let text = format!(
            "{}: this program does not fence yet: a node that hangs could go on writing beside the \
             other. Take the line out {or}",
            line.directive
        );
        Finding::new(&line.place, text)
    };
    fencing_lines(subject).into_iter().map(finding).collect()
}

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

pub(super) fn accepted_in_vain(subject: &Subject<'_>) -> Vec<Finding> {
    let needed = |loss: &Loss| match loss {
        Loss::Stonith => !fencing_lines(subject).is_empty(),
        // Serial lines are used.
        Loss::Serial => false,
    };
    let losses = subject.config.settings.accept_without.iter();
    losses
        .filter(|loss| !needed(loss))
        .map(|loss| {
            let text = format!("accept_without = [\"{}\"] is not needed", loss.word());
            Finding::new(subject.paths.settings.display().to_string(), text)
        })
        .collect()
}
