//! `hbstatus`: whether the daemon runs, and with `-v` its version and the members.
//! Spec: docs/protocol/client-api.md, 14.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::nodes::listnodes;
use super::options::Options;
use super::outcome::{EXIT_DOWN, Outcome};
use crate::clients::api_client::{ApiClient, ApiError};
use crate::clients::ccm_client::{self, Answer};
use crate::os::paths::Paths;
use crate::protocol::boolean;

/// How long ccm may take to report the members.
const CCM_PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn hbstatus(signed_on: Result<ApiClient, ApiError>, options: &Options) -> Outcome {
    let mut outcome = match signed_on {
        Ok(client) => running(client, options),
        Err(error @ ApiError::Refused(_)) => not_ours(
            0,
            "Heartbeat is apparently running on this machine, but refuses my connection",
            "refused",
            &error,
            options,
        ),
        Err(error) => not_ours(
            EXIT_DOWN,
            "Heartbeat is stopped on this machine.",
            "stopped",
            &error,
            options,
        ),
    };
    outcome.errors.extend(options.bad.clone());
    outcome
}

fn not_ours(code: u8, line: &str, word: &str, error: &ApiError, options: &Options) -> Outcome {
    let mut text = format!("{line}\n");
    if options.verbose {
        let _ = writeln!(text, "({error})");
    }
    Outcome::said(
        code,
        text,
        json!({ "status": word, "reason": error.to_string() }),
    )
}

fn running(mut client: ApiClient, options: &Options) -> Outcome {
    if !options.verbose {
        let text = "Heartbeat is running on this machine.\n";
        client.sign_off();
        return Outcome::said(0, text, json!({ "status": "running" }));
    }
    let hello = client.hello();
    let version = hello.text("hbversion").unwrap_or_default().to_owned();
    let pacemaker = hello.text("pacemaker").unwrap_or("false").to_owned();
    let by_us = boolean::is_false(&pacemaker);
    let mut text = match (options.for_people, by_us) {
        (false, true) => format!("version:\t{version}\nmanaged by:\t\"haresources\"\n"),
        (false, false) => format!("version:\t{version}\nmanaged by:\tpacemaker\t({pacemaker})\n"),
        (true, true) => {
            format!("Heartbeat version {version}\nResources controlled by \"haresources\"\n")
        }
        (true, false) => {
            format!("Heartbeat version {version}\nResources controlled by Pacemaker.\n")
        }
    };
    let ccm = ccm_client::ask(&Paths::default().ccm(), CCM_PATIENCE);
    let own = client.hello().text("node").unwrap_or_default().to_owned();
    text.push_str(&ccm_text(ccm.as_ref(), &own));
    let nodes = listnodes(&mut client, options);
    text.push_str(&nodes.text);
    client.sign_off();
    let managed = if by_us { "haresources" } else { "pacemaker" };
    let json = json!({
        "status": "running",
        "version": version,
        "managed_by": managed,
        "ccm": ccm_json(ccm.as_ref()),
        "nodes": nodes.json["nodes"],
    });
    Outcome::said(nodes.code, text, json)
}

/// The report of ccm, as `hbstatus -v` shows it; empty without ccm.
fn ccm_text(answer: Option<&Answer>, own: &str) -> String {
    let found = match answer {
        None => return String::new(),
        Some(Answer::Evicted) => return "\nccm membership evicted\n".to_owned(),
        Some(Answer::Members(found)) => found,
    };
    let quorum = if found.quorum { "with" } else { "WITHOUT" };
    let count = found.members.len();
    let mut text = format!(
        "\nccm membership {quorum} quorum\n\tinstance {}\n\tmembers {count}\n",
        found.instance
    );
    for member in found.members.iter().rev() {
        let (id, name, born) = (member.id, &member.name, member.born);
        let _ = writeln!(text, "\t\t{id} {name}\t(born: {born})");
    }
    let inside = found.members.iter().any(|member| member.name == own);
    text.push_str(if inside {
        "\tmember of partition\n"
    } else {
        "\tNOT member of partition\n"
    });
    text
}

fn ccm_json(answer: Option<&Answer>) -> Value {
    match answer {
        None => Value::Null,
        Some(Answer::Evicted) => json!({ "evicted": true }),
        Some(Answer::Members(found)) => {
            let members = found
                .members
                .iter()
                .map(|member| json!({ "id": member.id, "name": member.name, "born": member.born }));
            json!({
                "quorum": found.quorum,
                "instance": found.instance,
                "members": members.collect::<Vec<_>>(),
            })
        }
    }
}
