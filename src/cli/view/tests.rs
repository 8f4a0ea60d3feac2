use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::cli::{check, tune};
use crate::clients::control::{
    FenceDeviceReport, FenceReport, FenceWait, FencesReport, GapsReport, GroupAnswer, GroupView,
    LeaseReport, MediumCounts, MediumView, MonitorState, PeerReport, Receives, StandbyView,
    TimesReport, View, WatchdogReport,
};
use crate::doctor::{Finding, Level, Report};
use crate::foresight::{Forecast, Outcome, Step};

#[test]
fn why_tells_what_was_decided_and_what_is_so_now() {
    let node = NodeReport {
        waits_for: Some("waits for the node list of beta".to_owned()),
        waits: vec!["waits to stop: this node is frozen; systole thaw ends it".to_owned()],
        troubles: vec!["node beta does not hear this node".to_owned()],
        ..NodeReport::example()
    };
    let mut report = WhyReport {
        decisions: Vec::new(),
        now: present_state(&node),
    };
    assert_eq!(
        why_for_people(&report),
        "nothing was decided yet\n\
         now: waits for the node list of beta\nnow: node beta does not hear this node\n\
         now: waits to stop: this node is frozen; systole thaw ends it\n"
    );
    let decision = DecisionReport {
        unix_s: 0,
        what: "takes all".to_owned(),
        cause: "beta is dead".to_owned(),
    };
    report.decisions.push(decision);
    let text = why_for_people(&report);
    assert!(text.contains("  takes all: beta is dead\nnow: "), "{text}");
    assert!(
        as_json(&report).starts_with(r#"{"schema":1,"decisions":[{"unix_s":0,"#),
        "{}",
        as_json(&report)
    );
}

const PAGE: &str = include_str!("../../../docs/reference/json.md");

/// Keys of the tables below a heading.
fn documented(heading: &str) -> BTreeSet<String> {
    let (_, rest) = PAGE
        .split_once(&format!("\n## {heading}\n"))
        .expect(heading);
    let section = rest.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let keys = rows.filter_map(|row| row.split('`').next());
    keys.map(str::to_owned).collect()
}

/// Keys whose values have other keys by data, or lie elsewhere on the page.
const ENDS: [&str; 3] = [
    "node.nodes[].links_changed_unix_s",
    "performance",
    "fencing",
];

/// The keys of an object and of everything in it.
fn keys(prefix: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let path = if prefix.is_empty() {
                    key.clone()
                } else {
                    format!("{prefix}.{key}")
                };
                if !ENDS.contains(&path.as_str()) {
                    keys(&path, value, found);
                }
                found.insert(path);
            }
        }
        Value::Array(list) => list
            .iter()
            .filter(|it| it.is_object())
            .for_each(|it| keys(&format!("{prefix}[]"), it, found)),
        _ => {}
    }
}

fn printed(lines: &[String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in lines {
        let value: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(value["schema"], 1, "{line}");
        assert_eq!(line.matches('\n').count(), 1, "one line");
        keys("", &value, &mut found);
    }
    found
}

/// An example in which nothing is left out.
fn fences() -> FenceReport {
    FenceReport {
        devices: vec![FenceDeviceReport {
            would_run: vec!["stonith".to_owned()],
            ..FenceDeviceReport::default()
        }],
        waiting: Some(FencesReport {
            nodes: vec![FenceWait {
                node: "beta".to_owned(),
                state: "waits".to_owned(),
                next_ms: None,
                counts_ms: None,
                attempts: 0,
                words: None,
            }],
            ..FencesReport::default()
        }),
        ..FenceReport::default()
    }
}

/// Likewise.
fn view() -> View {
    let answers = [
        GroupAnswer::StartFailed {
            resource: "web".to_owned(),
            code: 1,
        },
        GroupAnswer::AddressTaken {
            claim: "10.0.0.1".to_owned(),
        },
    ];
    let group = |last| GroupView {
        last: Some(last),
        monitors: vec![crate::cli::monitor::example(MonitorState::Good, None)],
        standby: Some(StandbyView {
            ready: true,
            wrong: Vec::new(),
            checked_ms_ago: 1,
        }),
        ..GroupView::default()
    };
    View {
        node: Some(NodeReport {
            nodes: vec![PeerReport {
                links_changed_unix_s: BTreeMap::from([("eth0".to_owned(), 1)]),
                gaps: Some(GapsReport::default()),
                ..PeerReport::default()
            }],
            last_move: Some(DecisionReport {
                unix_s: 0,
                what: String::new(),
                cause: String::new(),
            }),
            times: Some(TimesReport::default()),
            ..NodeReport::example()
        }),
        groups: answers.into_iter().map(group).collect(),
        media: vec![MediumView {
            trouble: Some("blocked".to_owned()),
            receives: Some(Receives::Others),
            counts: Some(MediumCounts::default()),
            ..MediumView::new("eth0".to_owned(), vec!["bcast".to_owned()], None)
        }],
        fencing: Some(fences()),
        watchdog: Some(WatchdogReport {
            device: "/dev/watchdog".to_owned(),
            armed: true,
            interval_s: None,
            trouble: None,
        }),
        lease: Some(LeaseReport::default()),
    }
}

/// Every key that is printed stands on the page, and every key of the page is printed.
#[test]
fn the_page_has_every_key() {
    let decision = DecisionReport {
        unix_s: 0,
        what: String::new(),
        cause: String::new(),
    };
    let why = WhyReport {
        decisions: vec![decision],
        now: Vec::new(),
    };
    let doctor = Report {
        schema: 1,
        findings: vec![Finding {
            id: "D01".to_owned(),
            severity: Level::Warn,
            file: None,
            line: None,
            text: String::new(),
            fix: String::new(),
        }],
        unseen: Vec::new(),
        blind: false,
    };
    let forecast = Forecast {
        incident: String::new(),
        steps: vec![Step {
            at_ms: 0,
            node: String::new(),
            what: String::new(),
            why: None,
        }],
        groups: vec![Outcome {
            group: String::new(),
            before: Vec::new(),
            after: Vec::new(),
            silent_ms: 0,
            double_ms: 0,
        }],
        watched_ms: 0,
    };
    let plan = super::super::plan::Report {
        schema: 1,
        assumes: &[],
        forecasts: &[forecast],
    };
    let sample = tune::Sample {
        node: String::new(),
        own: false,
        since_unix_s: 0,
        covered_ms: 0,
        gaps: 0,
        usual_ms: 0,
        longest_ms: 0,
        longest_unix_s: 0,
    };
    let times = tune::Times {
        keepalive_ms: 0,
        warntime_ms: 0,
        deadtime_ms: 0,
    };
    let row = tune::Row {
        deadtime_ms: 0,
        detected_from_ms: 0,
        mistakes_per_month: 0.0,
        reasons: Vec::new(),
        in_force: false,
    };
    let tuned = tune::Report {
        mistakes_per_month: 1.0,
        samples: vec![sample],
        covered_ms: 0,
        needed_ms: 0,
        proposal: Some(times),
        rows: vec![row],
        remarks: Vec::new(),
    };
    let all = [
        ("systole status --json, systole view", as_json(&view())),
        ("systole why --json", as_json(&why)),
        ("systole fence status --json", as_json(&fences())),
        ("systole check --json", json_line(&check::judge(&view()))),
        ("systole doctor --json", json_line(&doctor)),
        ("systole plan --json", json_line(&plan)),
        ("systole tune --json", as_json(&tuned)),
    ];
    for (heading, line) in all {
        assert_eq!(printed(&[line]), documented(heading), "{heading}");
    }
}
