//! What `systole` shows of a node: its view, for people or as one JSON object, and its decisions.

use serde::Serialize;

use super::fence;
use crate::clients::control::{
    DecisionReport, GroupAnswer, GroupView, MediumView, NodeReport, Receives, View, WatchdogReport,
};
use crate::os::sys;
use crate::protocol::message::Message;

/// One JSON object on one line.
#[must_use]
pub fn as_json(view: &impl Serialize) -> String {
    serde_json::to_string(view).map_or_else(|error| error.to_string(), |text| text + "\n")
}

/// Lines for people: the node, the others, the media, the fencing devices, the groups.
#[must_use]
pub fn for_people(view: &View) -> String {
    let mut text = String::new();
    match &view.node {
        Some(node) => describe_node(node, &mut text),
        None => text.push_str("membership does not answer\n"),
    }
    if !view.media.is_empty() {
        text.push_str("media\n");
    }
    for medium in &view.media {
        let name = format!("{} ({})", medium.name, medium.kinds.join(", "));
        text.push_str(&format!("  {name:<24} {}\n", state_of_medium(medium)));
    }
    if let Some(report) = &view.fencing {
        text.push_str(&fence::brief(report));
    }
    if let Some(watchdog) = &view.watchdog {
        text.push_str(&state_of_watchdog(watchdog));
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
        if let (Some(said), false) = (&group.said, group.busy) {
            text.push_str(&format!("    {said}\n"));
        }
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
    if let Some(waits_for) = &node.waits_for {
        text.push_str(&format!("  {waits_for}\n"));
    }
    for trouble in &node.troubles {
        text.push_str(&format!("WARNING: {trouble}\n"));
    }
    if node.frozen {
        text.push_str("FROZEN: no resource is started or stopped until systole thaw\n");
        if !node.waiting.is_empty() {
            let gone = node.waiting.join(", ");
            text.push_str(&format!(
                "  at the thaw the resources of {gone} are taken\n"
            ));
        }
    }
    for remark in &node.remarks {
        text.push_str(&format!("NOTE: {remark}\n"));
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

fn state_of_medium(medium: &MediumView) -> String {
    if !medium.open {
        let reason = medium.reason.as_deref().unwrap_or("not opened yet");
        return format!("NOT OPEN: {reason} (trying again)");
    }
    let receives = match medium.receives {
        None => "open",
        Some(Receives::Others) => "receives another node",
        Some(Receives::Itself) => "receives only this node's own messages",
        Some(Receives::Nothing) => "receives nothing",
    };
    match &medium.trouble {
        None => receives.to_owned(),
        Some(trouble) => format!("CANNOT SEND: {trouble}; {receives}"),
    }
}

fn state_of_watchdog(watchdog: &WatchdogReport) -> String {
    let device = &watchdog.device;
    match (&watchdog.trouble, watchdog.armed, watchdog.interval_s) {
        (Some(trouble), ..) => format!("CRIT: watchdog {device}: {trouble}\n"),
        (None, true, Some(seconds)) => format!(
            "watchdog {device}: armed, restarts this machine after {seconds} s without a heartbeat\n"
        ),
        (None, true, None) => format!("watchdog {device}: armed, its interval is not known\n"),
        (None, false, _) => format!("watchdog {device}: not armed\n"),
    }
}

fn state_of(group: &GroupView) -> String {
    let wanted = if group.wanted { "start" } else { "stop" };
    if group.unanswered {
        return "NOBODY ANSWERS for its addresses, although the other node holds it: systole why"
            .to_owned();
    }
    if !group.absent.is_empty() && !group.busy {
        let addresses = group.absent.join(", ");
        return format!("ADDRESS GONE: {addresses} is not on this host: systole why");
    }
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

/// What the node waits for, which node does not receive which, and what the node cannot begin yet:
/// printed after its decisions.
#[must_use]
pub fn present_state(node: &NodeReport) -> String {
    let lines = node.waits_for.iter().chain(&node.troubles);
    let lines = lines.chain(&node.waits);
    lines.map(|line| format!("now: {line}\n")).collect()
}

/// The line of one decision; `None` for the answer that ends the list, which has none.
#[must_use]
pub fn decision_line(answer: &Message) -> Option<String> {
    let (what, cause) = (answer.text_bytes("what")?, answer.text_bytes("cause")?);
    Some(line_of(
        answer.hex("ts")?,
        &String::from_utf8_lossy(what),
        &String::from_utf8_lossy(cause),
    ))
}

/// The same for a decision that came over the control socket.
#[must_use]
pub fn line_of_report(decision: &DecisionReport) -> String {
    line_of(decision.unix_s, &decision.what, &decision.cause)
}

fn line_of(unix_s: u64, what: &str, cause: &str) -> String {
    let time = sys::local_time(unix_s);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}  {what}: {cause}\n",
        time.year, time.month, time.day, time.hour, time.minute, time.second,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::control::PeerReport;

    #[test]
    fn a_node_that_waits_says_for_what_and_what_is_wrong() {
        let node = NodeReport {
            status: "up".to_owned(),
            rscstatus: Some("transition".to_owned()),
            waits_for: Some("waits for the node list of beta".to_owned()),
            waits: vec!["waits to stop: this node is frozen; systole thaw ends it".to_owned()],
            troubles: vec!["node beta does not hear this node".to_owned()],
            nodes: vec![PeerReport {
                name: "alpha".to_owned(),
                ping: false,
                status: "up".to_owned(),
                links: Vec::new(),
            }],
            ..NodeReport::example()
        };
        assert_eq!(
            present_state(&node),
            "now: waits for the node list of beta\nnow: node beta does not hear this node\n\
             now: waits to stop: this node is frozen; systole thaw ends it\n"
        );
        let mut view = View {
            node: Some(node),
            groups: Vec::new(),
            media: Vec::new(),
            fencing: None,
            watchdog: None,
        };
        assert_eq!(
            for_people(&view),
            "alpha is up, in transition (pid 7, generation 3)\n  \
             waits for the node list of beta\n\
             WARNING: node beta does not hear this node\nnodes\n  \
             alpha                    up       \n"
        );
        let shown = |view: &View| {
            let lines = for_people(view);
            lines.lines().last().unwrap_or_default().to_owned()
        };
        let mut watchdog = WatchdogReport {
            device: "/dev/watchdog".to_owned(),
            armed: true,
            interval_s: Some(31),
            trouble: None,
        };
        view.watchdog = Some(watchdog.clone());
        assert_eq!(
            shown(&view),
            "watchdog /dev/watchdog: armed, restarts this machine after 31 s without a heartbeat"
        );
        watchdog.interval_s = None;
        view.watchdog = Some(watchdog.clone());
        assert_eq!(
            shown(&view),
            "watchdog /dev/watchdog: armed, its interval is not known"
        );
        watchdog.armed = false;
        watchdog.trouble = Some("cannot be opened: no such file".to_owned());
        view.watchdog = Some(watchdog);
        assert_eq!(
            shown(&view),
            "CRIT: watchdog /dev/watchdog: cannot be opened: no such file"
        );
    }

    #[test]
    fn a_medium_that_does_not_work_says_why() {
        let medium = |name: &str, closed: Option<&str>, receives| MediumView {
            receives,
            ..MediumView::new(
                name.to_owned(),
                vec!["bcast".to_owned(), "ucast".to_owned()],
                closed.map(str::to_owned),
            )
        };
        let view = View {
            node: None,
            groups: Vec::new(),
            watchdog: None,
            media: vec![
                medium("eth0", None, Some(Receives::Others)),
                medium("eth1", None, Some(Receives::Itself)),
                medium("eth2", None, Some(Receives::Nothing)),
                medium("eth3", None, None),
                medium(
                    "eth7",
                    Some("interface eth7 does not exist"),
                    Some(Receives::Nothing),
                ),
                medium("eth8", Some(""), None),
                MediumView {
                    trouble: Some("bcast: Operation not permitted".to_owned()),
                    ..medium("eth9", None, Some(Receives::Others))
                },
            ],
            fencing: None,
        };
        let text = for_people(&view);
        let states: Vec<&str> = text
            .lines()
            .filter_map(|line| Some(line.split_once("(bcast, ucast)")?.1.trim()))
            .collect();
        assert_eq!(
            states,
            [
                "receives another node",
                "receives only this node's own messages",
                "receives nothing",
                "open",
                "NOT OPEN: interface eth7 does not exist (trying again)",
                "NOT OPEN: not opened yet (trying again)",
                "CANNOT SEND: bcast: Operation not permitted; receives another node",
            ]
        );
        assert!(text.contains("media\n  eth0 (bcast, ucast)"), "{text}");
    }

    #[test]
    fn a_group_without_its_address_does_not_run_here() {
        let group = GroupView {
            key: "10.0.0.1".to_owned(),
            owner: "alpha".to_owned(),
            wanted: true,
            busy: false,
            last: Some(GroupAnswer::Started),
            said: None,
            unanswered: false,
            absent: Vec::new(),
        };
        assert_eq!(state_of(&group), "runs here");
        let without = GroupView {
            absent: vec!["10.0.0.1".to_owned()],
            ..group
        };
        assert_eq!(
            state_of(&without),
            "ADDRESS GONE: 10.0.0.1 is not on this host: systole why"
        );
    }
}
