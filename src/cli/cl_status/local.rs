//! Questions about the daemon of this machine: resources, clients, parameters. Spec:
//! docs/protocol/client-api.md, 14.

use std::time::Duration;

use serde_json::json;

use super::options::Options;
use super::outcome::{EXIT_DOWN, EXIT_PARAMETER, EXIT_UNKNOWN, Outcome, TOO_FEW};
use crate::clients::api_client::ApiClient;
use crate::protocol::boolean;

/// `clientstatus`.
pub(super) fn clientstatus(client: &mut ApiClient, options: &Options) -> Outcome {
    let [node, name, rest @ ..] = options.words.as_slice() else {
        return Outcome::complaint(EXIT_PARAMETER, TOO_FEW);
    };
    let patience = rest.first().and_then(|ms| ms.parse().ok()).unwrap_or(500);
    match client.client_status(node, name, Duration::from_millis(patience)) {
        Err(_) => Outcome::logged(
            EXIT_UNKNOWN,
            [
                format!("Cannot get heartbeat client {name}'s status"),
                "REASON: No timely response.".to_owned(),
            ],
        ),
        Ok(status) => {
            let code = match status.as_str() {
                "online" => 0,
                "offline" => 1,
                "join" => 2,
                "leave" => 3,
                _ => EXIT_UNKNOWN,
            };
            let json = json!({ "node": node, "client": name, "status": status });
            Outcome::said(code, format!("{status}\n"), json)
        }
    }
}

/// `rscstatus`.
pub(super) fn rscstatus(client: &mut ApiClient, options: &Options) -> Outcome {
    let pacemaker = client.hello().text("pacemaker").unwrap_or("false");
    if !boolean::is_false(pacemaker) {
        let line = "Cannot get cluster resource status of a pacemaker cluster; try crm_mon";
        return Outcome::logged(EXIT_DOWN, [line.to_owned()]);
    }
    let request = client.request("getrsc");
    let answer = match client.ask_one(&request) {
        Ok(answer) => answer,
        Err(error) => {
            return Outcome::cannot(EXIT_DOWN, "Cannot get cluster resource status", &error);
        }
    };
    let held = answer.text("rsc_hold").unwrap_or_default();
    let text = if options.for_people {
        format!("This node is holding {held} resources.\n")
    } else {
        format!("{held}\n")
    };
    Outcome::said(0, text, json!({ "resources": held }))
}

/// `hbparameter`.
pub(super) fn hbparameter(client: &mut ApiClient, options: &Options) -> Outcome {
    let Some(name) = &options.parameter else {
        return Outcome::logged(EXIT_PARAMETER, ["parameter name required".to_owned()]);
    };
    // As the version, legacy's program prints the long form that it received at its sign-on.
    let (answer, field) = if name == "hbversion" {
        (Some(client.hello().clone()), "hbversion")
    } else {
        let request = client.request("getparm").with("pname", name);
        (client.ask_one(&request).ok(), "pvalue")
    };
    let Some(value) = answer.as_ref().and_then(|answer| answer.text(field)) else {
        return Outcome::logged(
            EXIT_DOWN,
            [
                format!("Cannot get parameter {name}'s value"),
                "REASON: ".to_owned(),
            ],
        );
    };
    let text = if options.for_people {
        format!("Heartbeat parameter {name}'s value: {value}\n")
    } else {
        format!("{value}\n")
    };
    Outcome::said(0, text, json!({ "parameter": name, "value": value }))
}

/// `test`, undocumented in legacy too.
pub(super) fn test(client: &mut ApiClient) -> Outcome {
    let request = client.request("getrsc");
    let answer = client.ask_one(&request).ok();
    let held = answer.as_ref().and_then(|answer| answer.text("rsc_hold"));
    let hello = client.hello();
    let (dead, keep) = (
        hello.hex("deadtime").unwrap_or(0),
        hello.hex("keepalive").unwrap_or(0),
    );
    let (node, held) = (
        hello.text("node").unwrap_or_default(),
        held.unwrap_or_default(),
    );
    let text =
        format!("Dead time: {dead}\n keeplive time: {keep}\n mynodeid: {node}\n rsc: {held}\n");
    let json = json!({
        "deadtime_ms": dead,
        "keepalive_ms": keep,
        "node": node,
        "resources": held,
    });
    Outcome::said(0, text, json)
}
