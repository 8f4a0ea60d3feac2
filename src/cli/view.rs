//! What `systole` shows of a node: its view, for people or as one JSON object, and its decisions.

use crate::control::{GroupAnswer, GroupView, NodeReport, View};
use crate::protocol::message::Message;
use crate::sys;

/// One JSON object on one line.
#[must_use]
pub fn as_json(view: &View) -> String {
    serde_json::to_string(view).map_or_else(|error| error.to_string(), |text| text + "\n")
}

/// Lines for people: the node, the others, the groups.
#[must_use]
pub fn for_people(view: &View) -> String {
    let mut text = String::new();
    match &view.node {
        Some(node) => describe_node(node, &mut text),
        None => text.push_str("membership does not answer\n"),
    }
    if !view.groups.is_empty() {
        text.push_str("groups\n");
    }
    for group in &view.groups {
        let owner = &group.owner;
        text.push_str(&format!(
            "  {:<32} of {owner}: {}\n",
            group.key,
            state_of(group)
        ));
    }
    text
}

fn describe_node(node: &NodeReport, text: &mut String) {
    let holds = match node.rscstatus.as_deref() {
        None => "resources are not managed".to_owned(),
        Some("transition") => "in transition".to_owned(),
        Some(set) => format!("holds {set}"),
    };
    let stopping = if node.stopping { ", stopping" } else { "" };
    text.push_str(&format!(
        "{} is {}{stopping}, {holds} (pid {}, generation {})\n",
        node.name, node.status, node.pid, node.generation
    ));
    if node.frozen {
        text.push_str("FROZEN: no resource is started or stopped until systole thaw\n");
        if !node.waiting.is_empty() {
            let gone = node.waiting.join(", ");
            text.push_str(&format!(
                "  at the thaw the resources of {gone} are taken\n"
            ));
        }
    }
    text.push_str("nodes\n");
    for peer in &node.nodes {
        let kind = if peer.ping { " (ping)" } else { "" };
        let links: Vec<String> = peer
            .links
            .iter()
            .map(|(medium, up)| format!("{medium} {}", if *up { "up" } else { "dead" }))
            .collect();
        let name = format!("{}{kind}", peer.name);
        text.push_str(&format!(
            "  {name:<24} {:<8} {}\n",
            peer.status,
            links.join(", ")
        ));
    }
}

fn state_of(group: &GroupView) -> String {
    let wanted = if group.wanted { "start" } else { "stop" };
    match (&group.last, group.busy) {
        (_, true) => format!("{wanted} under way"),
        (None, false) => "not ours".to_owned(),
        (Some(GroupAnswer::Started), false) => "runs here".to_owned(),
        (Some(GroupAnswer::Stopped), false) => "stopped here".to_owned(),
        (Some(GroupAnswer::StartFailed { resource, code }), false) => {
            format!("FAILED: start of {resource} ended with {code}")
        }
        (Some(GroupAnswer::AddressTaken { claim }), false) => {
            format!("NOT STARTED: another host has its address: {claim}")
        }
        (Some(GroupAnswer::StopFailed { resource }), false) => {
            format!("FAILED: {resource} cannot be stopped")
        }
        (Some(other), false) => format!("{other:?}"),
    }
}

/// The line of one decision; `None` for the answer that closes their list, which has none.
#[must_use]
pub fn decision_line(answer: &Message) -> Option<String> {
    let (what, cause) = (answer.text_bytes("what")?, answer.text_bytes("cause")?);
    let time = sys::local_time(answer.hex("ts")?);
    Some(format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}  {}: {}\n",
        time.year,
        time.month,
        time.day,
        time.hour,
        time.minute,
        time.second,
        String::from_utf8_lossy(what),
        String::from_utf8_lossy(cause)
    ))
}
