//! What a load balancer asks: whether this node serves or could serve, and whether a group runs here.

use systole::cli::check::{self, State};
use systole::clients::control::{GroupAnswer, GroupView, NodeReport, Place, View};

/// The answer to `/healthz`: what it does, or why it is not good.
pub(crate) fn health(view: &View) -> Result<String, String> {
    let Some(node) = &view.node else {
        return Err("UNKNOWN: membership does not answer".to_owned());
    };
    let name = &node.name;
    if node.stopping {
        return Err(format!("{name} is being stopped"));
    }
    if node.status != "active" {
        let waits = node.waits_for.as_deref().unwrap_or("not active yet");
        return Err(format!("{name} is {}: {waits}", node.status));
    }
    if node.rscstatus.is_none() {
        return Err(format!("{name} does not manage resources"));
    }
    // What it serves it serves, whatever else is wrong: it may be the only one that does.
    let here = view
        .groups
        .iter()
        .filter(|group| check::runs(group))
        .count();
    if here > 0 {
        let all = view.groups.len();
        return Ok(format!("OK: {name} serves {here} of {all} groups"));
    }
    let found = check::findings(view);
    if let Some((state, text)) = found.iter().find(|(state, _)| *state >= State::Critical) {
        return Err(format!("{}: {text}", state.word()));
    }
    let mut groups = view.groups.iter();
    if let Some(group) = groups.find(|it| it.place == Place::Unknown && !it.busy) {
        return Err(format!("in doubt: not known where {} runs", group.key));
    }
    could_serve(node, &view.groups)?;
    Ok(format!("OK: {name} could serve"))
}

/// Why this node, which serves nothing, could not begin to.
fn could_serve(node: &NodeReport, groups: &[GroupView]) -> Result<(), String> {
    let name = &node.name;
    if node.frozen {
        return Err(format!(
            "{name} is frozen: it starts nothing until systole thaw"
        ));
    }
    if !check::is_settled(node) {
        return Err(format!("{name} is in transition"));
    }
    let whole = |group: &GroupView| why_not_ready(group).is_none();
    if groups.is_empty() || groups.iter().any(whole) {
        return Ok(());
    }
    let first = groups.iter().find_map(|it| Some((it, why_not_ready(it)?)));
    first.map_or(Ok(()), |(group, why)| {
        Err(format!("{name} cannot run {}: {why}", group.key))
    })
}

/// Why this node could not run a group that it does not run.
fn why_not_ready(group: &GroupView) -> Option<String> {
    let failed = match &group.last {
        Some(GroupAnswer::StartFailed { resource, .. }) => {
            Some(format!("the last start of {resource} failed"))
        }
        Some(GroupAnswer::StopFailed { resource }) => Some(format!("{resource} cannot be stopped")),
        Some(GroupAnswer::AddressTaken { .. }) => Some("another host has its address".to_owned()),
        _ => None,
    };
    let standby = group.standby.as_ref().filter(|it| !it.ready);
    failed.or_else(|| standby.map(|it| it.wrong.join("; ")))
}

/// The answer to `/owner/GROUP`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// It runs here.
    Here(String),
    /// It does not, as far as that is known.
    NotHere(String),
    /// No group has this key.
    Unknown,
}

/// Where the group with this key runs.
pub(crate) fn owner(view: &View, key: &str) -> Owner {
    let Some(group) = view.groups.iter().find(|group| group.key == key) else {
        return Owner::Unknown;
    };
    let node = view
        .node
        .as_ref()
        .map_or("this node", |node| node.name.as_str());
    if view.node.is_some() && check::runs(group) {
        return Owner::Here(format!("{key} runs on {node}"));
    }
    Owner::NotHere(match &group.runs_on {
        Some(there) if group.place == Place::Other => format!("{key} runs on {there}"),
        _ if group.busy => format!("{key} is being started or stopped on {node}"),
        _ if group.place == Place::Here => format!("only a part of {key} runs on {node}"),
        _ => format!("{key} does not run on {node}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A recorded view, changed.
    fn view(change: impl FnOnce(&mut Value)) -> View {
        let text = include_str!("../../../tests/top/views/healthy.json");
        let mut value: Value = serde_json::from_str(text).unwrap();
        change(&mut value["view"]);
        serde_json::from_value(value["view"].take()).unwrap()
    }

    /// All groups run on the other node.
    fn idle(value: &mut Value) {
        for group in value["groups"].as_array_mut().unwrap() {
            group["place"] = json!("other");
            group["runs_on"] = json!("beta");
            group["last"] = json!({"group": "stopped"});
        }
    }

    #[test]
    fn a_node_that_serves_or_could_serve_is_healthy() {
        let health = |change: fn(&mut Value)| super::health(&view(change));
        assert_eq!(health(|_| ()).unwrap(), "OK: alpha serves 1 of 2 groups");
        assert_eq!(health(idle).unwrap(), "OK: alpha could serve");
        // What it serves it serves, whatever is not as it should be.
        let others: [fn(&mut Value); 3] = [
            |view| view["groups"][1]["place"] = json!("unknown"),
            |view| view["groups"][1]["unanswered"] = json!(true),
            |view| {
                view["watchdog"] = json!({"device": "/dev/watchdog", "armed": false,
                    "interval_s": null, "trouble": "no such file"});
            },
        ];
        for other in others {
            assert_eq!(health(other).unwrap(), "OK: alpha serves 1 of 2 groups");
        }
        let frozen = |view: &mut Value| view["node"]["frozen"] = json!(true);
        assert!(health(frozen).is_ok());
        let transition = |view: &mut Value| view["node"]["rscstatus"] = json!("transition");
        assert!(health(transition).is_ok());
        let none = |view: &mut Value| view["groups"] = json!([]);
        assert_eq!(health(none).unwrap(), "OK: alpha could serve");
    }

    #[test]
    fn a_node_in_doubt_says_why() {
        type Change = fn(&mut Value);
        let cases: [(Change, &str); 11] = [
            (
                |it| it["node"] = Value::Null,
                "UNKNOWN: membership does not answer",
            ),
            (
                |it| it["node"]["stopping"] = json!(true),
                "alpha is being stopped",
            ),
            (
                |it| it["node"]["status"] = json!("up"),
                "alpha is up: not active yet",
            ),
            (
                |it| it["node"]["rscstatus"] = Value::Null,
                "alpha does not manage resources",
            ),
            (
                |it| {
                    idle(it);
                    it["groups"][0]["unanswered"] = json!(true);
                },
                "CRITICAL: nobody answers for 10.77.0.100/24/eth0",
            ),
            (
                |it| it["groups"][0]["absent"] = json!(["10.77.0.100"]),
                "CRITICAL: 10.77.0.100 is not on this host",
            ),
            (
                |it| {
                    idle(it);
                    it["groups"][1]["place"] = json!("unknown");
                },
                "in doubt: not known where 10.77.0.101/24/eth0 runs",
            ),
            (
                |it| {
                    idle(it);
                    it["node"]["frozen"] = json!(true);
                },
                "alpha is frozen: it starts nothing until systole thaw",
            ),
            (
                |it| {
                    idle(it);
                    it["node"]["rscstatus"] = json!("transition");
                },
                "alpha is in transition",
            ),
            (
                |it| {
                    idle(it);
                    for group in it["groups"].as_array_mut().unwrap() {
                        group["last"] =
                            json!({"group": "start_failed", "resource": "web", "code": 1});
                    }
                },
                "alpha cannot run 10.77.0.100/24/eth0: the last start of web failed",
            ),
            (
                |it| {
                    idle(it);
                    for group in it["groups"].as_array_mut().unwrap() {
                        group["standby"] =
                            json!({"ready": false, "wrong": ["no disk"], "checked_ms_ago": 1});
                    }
                },
                "alpha cannot run 10.77.0.100/24/eth0: no disk",
            ),
        ];
        for (change, why) in cases {
            assert_eq!(health(&view(change)).unwrap_err(), why);
        }
    }

    #[test]
    fn a_group_is_owned_where_it_runs() {
        let key = "10.77.0.100/24/eth0";
        let there = "10.77.0.101/24/eth0";
        let healthy = view(|_| ());
        assert_eq!(
            owner(&healthy, key),
            Owner::Here(format!("{key} runs on alpha"))
        );
        assert_eq!(
            owner(&healthy, there),
            Owner::NotHere(format!("{there} runs on beta"))
        );
        for unknown in ["", "10.77.0.100", "web", "10.77.0.100/24/eth0/"] {
            assert_eq!(owner(&healthy, unknown), Owner::Unknown, "{unknown}");
        }
        let busy = view(|it| {
            it["groups"][0]["busy"] = json!(true);
            it["groups"][0]["place"] = json!("unknown");
        });
        let text = format!("{key} is being started or stopped on alpha");
        assert_eq!(owner(&busy, key), Owner::NotHere(text));
        let gone = view(|it| it["groups"][0]["absent"] = json!(["10.77.0.100"]));
        assert!(matches!(owner(&gone, key), Owner::NotHere(_)));
        // Nobody knows then.
        let silent = view(|it| it["node"] = Value::Null);
        assert!(matches!(owner(&silent, key), Owner::NotHere(_)));
    }
}
