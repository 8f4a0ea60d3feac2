//! `systole`: asks the running node, for people and for programs.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use systole::control::{GroupAnswer, GroupView, NodeReport, Reply, Request, View, ask};
use systole::paths::Paths;

/// The daemon answers at once; longer means that it does not work.
const PATIENCE: Duration = Duration::from_secs(5);

const USAGE: &str = "\
Usage: systole status    what this node holds and hears, for people
       systole view      the same as one JSON object
Exit code: 0 this node is active, 1 it is not (or not yet), 2 usage, 3 no daemon runs.
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let show: fn(&View) -> String = match words.as_slice() {
        ["status"] => for_people,
        ["view"] => as_json,
        ["-h" | "--help" | "help"] => {
            print(USAGE);
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match ask(&Paths::default().control(), &Request::View, PATIENCE) {
        Ok(Reply::View(view)) => {
            print(&show(&view));
            let active = view
                .node
                .as_ref()
                .is_some_and(|node| node.status == "active");
            ExitCode::from(u8::from(!active))
        }
        Ok(Reply::Refused { reason }) => fail(&reason, 1),
        Ok(Reply::Group(_)) => fail("the daemon answered another question", 1),
        Err(error @ systole::control::ControlError::NoDaemon { .. }) => fail(&error.to_string(), 3),
        Err(error) => fail(&error.to_string(), 1),
    }
}

/// A reader that closes its end early is no reason to panic.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn fail(text: &str, code: u8) -> ExitCode {
    eprintln!("systole: {text}");
    ExitCode::from(code)
}

fn as_json(view: &View) -> String {
    serde_json::to_string(view).map_or_else(|error| error.to_string(), |text| text + "\n")
}

fn for_people(view: &View) -> String {
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
        (Some(GroupAnswer::StopFailed { resource }), false) => {
            format!("FAILED: {resource} cannot be stopped")
        }
        (Some(other), false) => format!("{other:?}"),
    }
}
