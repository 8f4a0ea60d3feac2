//! Questions about nodes: their list, status, type, weight and site.
//! Spec: docs/protocol/client-api.md, 14.

use std::fmt::Write as _;

use serde_json::json;

use super::links::{links, links_as_json, push_links};
use super::options::Options;
use super::outcome::{EXIT_DOWN, EXIT_PARAMETER, EXIT_UNKNOWN, Outcome, TOO_FEW};
use crate::clients::api_client::ApiClient;
use crate::protocol::message::Message;

const WRONG_NODE: &str = "Error. May be due to incorrect node name";

/// A question about one node with one answer.
fn of_node(
    client: &mut ApiClient,
    options: &Options,
    request: &str,
    field: &str,
    wrong: &str,
    too_few: &str,
    for_people: impl Fn(&str, &str) -> String,
) -> Outcome {
    let Some(node) = options.words.first() else {
        return Outcome::complaint(EXIT_PARAMETER, too_few);
    };
    let request = client.request(request).with("node", node);
    let Ok(answer) = client.ask_one(&request) else {
        return Outcome::complaint(EXIT_PARAMETER, wrong);
    };
    let value = answer.text(field).unwrap_or_default();
    let text = if options.for_people {
        for_people(node, value)
    } else {
        value.to_owned()
    };
    Outcome::said(
        0,
        format!("{text}\n"),
        json!({ "node": node, field: value }),
    )
}

/// `nodestatus`.
pub(super) fn nodestatus(client: &mut ApiClient, options: &Options) -> Outcome {
    let mut outcome = of_node(
        client,
        options,
        "nodestatus",
        "st",
        WRONG_NODE,
        "Not enough parameters.",
        |n, v| format!("The cluster node {n} is {v}"),
    );
    if outcome.code == 0 {
        let status = outcome.json["st"].take();
        let up = matches!(status.as_str(), Some("active" | "up" | "ping"));
        outcome.code = if up { 0 } else { EXIT_DOWN };
        outcome.json = json!({ "node": outcome.json["node"], "status": status });
    }
    outcome
}

/// `nodeweight`.
pub(super) fn nodeweight(client: &mut ApiClient, options: &Options) -> Outcome {
    let wrong = "Error. Maybe due to incorrect node name.";
    of_node(
        client,
        options,
        "nodeweight",
        "weight",
        wrong,
        "Not enough parameters.",
        |n, v| format!("The weight of the cluster node {n} is {v}"),
    )
}

/// `nodesite`.
pub(super) fn nodesite(client: &mut ApiClient, options: &Options) -> Outcome {
    of_node(
        client,
        options,
        "nodesite",
        "site",
        WRONG_NODE,
        "Not enough parameters.",
        |n, v| format!("The site of the cluster node {n} is {v}"),
    )
}

/// `nodetype`.
pub(super) fn nodetype(client: &mut ApiClient, options: &Options) -> Outcome {
    of_node(
        client,
        options,
        "nodetype",
        "nodetype",
        WRONG_NODE,
        TOO_FEW,
        |n, v| format!("The node {n}'s type: {v}"),
    )
}

/// `listnodes`.
pub(super) fn listnodes(client: &mut ApiClient, options: &Options) -> Outcome {
    let request = client.request("nodelist");
    let mut nodes = match client.ask(&request) {
        Ok(nodes) => nodes,
        Err(error) => return Outcome::cannot(EXIT_UNKNOWN, "Cannot start node walk.", &error),
    };
    nodes.reverse();
    let mut text = String::new();
    if options.for_people {
        text.push_str("The nodes are as follow:\n");
    }
    let mut list = Vec::new();
    for node in nodes {
        let name = node.text("node").unwrap_or_default();
        let kind = told(client, &node, name, "nodetype", "nodetype");
        let wanted = match (options.normal, options.ping) {
            (true, false) => kind == "normal",
            (false, true) => kind == "ping",
            _ => true,
        };
        if !wanted {
            continue;
        }
        let status = told(client, &node, name, "st", "nodestatus");
        let mut entry = json!({ "name": name, "type": kind, "status": status });
        if options.verbose {
            let _ = writeln!(text, "\n{name}\t{status}\t(nodetype: {kind})");
            let links = links(client, name).unwrap_or_default();
            push_links(&mut text, &links, true, options.for_people);
            entry["links"] = links_as_json(&links);
        } else {
            let _ = writeln!(text, "{name}");
        }
        list.push(entry);
    }
    Outcome::said(0, text, json!({ "nodes": list }))
}

/// A field of the node list. It is asked for singly if an older daemon does not list it.
fn told(client: &mut ApiClient, node: &Message, name: &str, field: &str, request: &str) -> String {
    if let Some(text) = node.text(field) {
        return text.to_owned();
    }
    let request = client.request(request).with("node", name);
    let answer = client.ask_one(&request).ok();
    let text = answer.as_ref().and_then(|answer| answer.text(field));
    text.unwrap_or("unknown").to_owned()
}
