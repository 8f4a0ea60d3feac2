//! Questions about links. Spec: docs/protocol/client-api.md, 14.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::options::Options;
use super::outcome::{EXIT_DOWN, EXIT_PARAMETER, EXIT_UNKNOWN, Outcome, TOO_FEW};
use crate::clients::api_client::{ApiClient, ApiError};

/// The links of a node as (name, status), the last first, each name once.
pub(super) fn links(client: &mut ApiClient, node: &str) -> Result<Vec<(String, String)>, ApiError> {
    let request = client.request("iflist").with("node", node);
    let mut links: Vec<(String, String)> = Vec::new();
    for answer in client.ask(&request)? {
        let text = |name| answer.text(name).unwrap_or_default().to_owned();
        let (name, status) = (text("ifname"), text("st"));
        // Legacy counts two lines of one interface as two links; the first is kept up to date.
        if links.iter().all(|(known, _)| *known != name) {
            links.push((name, status));
        }
    }
    links.reverse();
    Ok(links)
}

/// Lists them as legacy does.
pub(super) fn push_links(
    text: &mut String,
    links: &[(String, String)],
    verbose: bool,
    for_people: bool,
) {
    if for_people {
        text.push_str("\tthis node has the following heartbeat links:\n");
    }
    for (name, status) in links {
        let _ = if verbose {
            writeln!(text, "\t{name}\t{status}")
        } else {
            writeln!(text, "\t{name}")
        };
    }
}

/// The same for programs.
pub(super) fn links_as_json(links: &[(String, String)]) -> Value {
    links
        .iter()
        .map(|(name, status)| json!({ "name": name, "status": status }))
        .collect()
}

/// `listhblinks`.
pub(super) fn listhblinks(client: &mut ApiClient, options: &Options) -> Outcome {
    let Some(node) = options.words.first() else {
        return Outcome::complaint(EXIT_PARAMETER, TOO_FEW);
    };
    match links(client, node) {
        Err(error) => Outcome::cannot(
            EXIT_UNKNOWN,
            "Cannot start heartbeat link interface walk.",
            &error,
        ),
        Ok(links) => {
            let mut text = String::new();
            push_links(&mut text, &links, options.verbose, options.for_people);
            let json = json!({ "node": node, "links": links_as_json(&links) });
            Outcome::said(0, text, json)
        }
    }
}

/// `hblinkstatus`.
pub(super) fn hblinkstatus(client: &mut ApiClient, options: &Options) -> Outcome {
    let [node, link, ..] = options.words.as_slice() else {
        return Outcome::complaint(EXIT_PARAMETER, TOO_FEW);
    };
    let request = client
        .request("ifstatus")
        .with("node", node)
        .with("ifname", link);
    let Ok(answer) = client.ask_one(&request) else {
        // Without the daemon's reason, as in legacy.
        return Outcome::logged(
            EXIT_UNKNOWN,
            [
                "Cannot get heartbeat link status".to_owned(),
                "REASON: ".to_owned(),
            ],
        );
    };
    let status = answer.text("st").unwrap_or_default();
    let text = if options.for_people {
        format!("The node {node}'s heartbeat link {link} is {status}\n")
    } else {
        format!("{status}\n")
    };
    let code = if status == "up" { 0 } else { EXIT_DOWN };
    Outcome::said(
        code,
        text,
        json!({ "node": node, "link": link, "status": status }),
    )
}
