//! What `systole fence` shows.

use std::fmt::Write as _;

use crate::clients::control::{FenceDeviceReport, FenceReport, FenceWait};

/// Printed without a device.
pub const NO_DEVICE: &str =
    "no fencing device: ha.cf has no stonith or stonith_host line for this node\n";

/// Which nodes each device can reset.
#[must_use]
pub fn list(report: &FenceReport) -> String {
    lines(report, |device, text| {
        let _ = writeln!(text, "{}: {}", name(device), resets(device));
    })
}

/// Whether each device works, and what goes on.
#[must_use]
pub fn status(report: &FenceReport) -> String {
    let mut text = lines(report, |device, text| {
        let _ = writeln!(text, "{}: {}", name(device), state(device));
    });
    let waiting = report.waiting.clone().unwrap_or_default();
    if !report.devices.is_empty() {
        let _ = writeln!(
            text,
            "time limit {} s, longest answer {}",
            report.time_limit_s,
            seconds(report.longest_answer_ms)
        );
        let delay = match &report.waiting {
            Some(waiting) => seconds(waiting.delay_ms),
            None => "not known".to_owned(),
        };
        let _ = writeln!(
            text,
            "delay {delay}: so long the node waits that serves nothing, or stands second"
        );
    }
    if let Some(time) = waiting.by_watchdog_s {
        let _ = writeln!(
            text,
            "fence_by_watchdog {time} s: a dead node counts as reset so long after its verdict"
        );
    }
    for node in &report.resetting {
        let _ = writeln!(text, "now: {node} is being reset");
    }
    for node in &waiting.nodes {
        let _ = writeln!(text, "now: {} is dead: {}", node.node, wait(node));
    }
    text
}

/// What becomes of a dead node.
fn wait(node: &FenceWait) -> String {
    let next = |what: &str| match node.next_ms {
        Some(0) => format!(", {what} when nothing is in the way"),
        Some(ms) => format!(", {what} in {}", seconds(ms)),
        None => String::new(),
    };
    let mut text = match node.state.as_str() {
        "waits" => format!("waits{}", next("is reset")),
        "fencing" => "is being reset".to_owned(),
        "failed" => {
            let words = node.words.as_deref().unwrap_or("no words");
            let tried = node.attempts;
            format!("not reset ({tried} tried): {words}{}", next("tried again"))
        }
        "fenced" => "counts as reset".to_owned(),
        "earlier" => "an earlier process of this node ordered its reset".to_owned(),
        "earlier, done" => "was reset for an earlier process of this node".to_owned(),
        "earlier, lost" => "an earlier process of this node waited for its reset".to_owned(),
        other => other.to_owned(),
    };
    if let Some(ms) = node.counts_ms {
        let _ = write!(text, ", counts as reset in {}", seconds(ms));
    }
    text
}

/// What each device answered now, and what a reset of `node` would run.
#[must_use]
pub fn test(report: &FenceReport, node: &str) -> String {
    let mut text = lines(report, |device, text| {
        let _ = writeln!(text, "{}: {}", name(device), state(device));
        match device.would_run.as_slice() {
            [] => {
                let _ = writeln!(text, "  cannot reset {node}");
            }
            [command, input @ ..] => {
                let _ = writeln!(text, "  would run {command}");
                for line in input {
                    let _ = writeln!(text, "  {line}");
                }
            }
        }
    });
    if !report.devices.is_empty() {
        text.push_str("nothing was reset\n");
    }
    text
}

/// Whether every device has said which nodes it can reset.
#[must_use]
pub fn all_known(report: &FenceReport) -> bool {
    !report.devices.is_empty() && report.devices.iter().all(|it| it.hosts.is_some())
}

/// Whether every device works.
#[must_use]
pub fn all_work(report: &FenceReport) -> bool {
    !report.devices.is_empty() && report.devices.iter().all(|it| it.works == Some(true))
}

/// Whether every device works, and one of them could reset the node of the test.
#[must_use]
pub fn can_reset(report: &FenceReport) -> bool {
    all_work(report) && report.devices.iter().any(|it| !it.would_run.is_empty())
}

/// Of `systole status`: a line for each device, and for each node that is dead.
#[must_use]
pub fn brief(report: &FenceReport) -> Vec<String> {
    let devices = report.devices.iter();
    let mut lines: Vec<String> = devices
        .map(|device| format!("{}: {}", device.kind, resets(device)))
        .collect();
    let waiting = || report.waiting.iter().flat_map(|it| &it.nodes);
    let resetting = report.resetting.iter();
    let resetting = resetting.filter(|name| waiting().all(|it| it.node != **name));
    lines.extend(resetting.map(|node| format!("{node} is being reset")));
    let waiting = waiting();
    lines.extend(waiting.map(|node| format!("{} is dead: {}", node.node, wait(node))));
    lines
}

/// What a monitoring system is told of the devices and of dead nodes: whether somebody must act at
/// once, and what is wrong.
#[must_use]
pub fn troubles(report: &FenceReport) -> Vec<(bool, String)> {
    let broken = report.devices.iter().filter(|it| it.works == Some(false));
    let mut troubles: Vec<(bool, String)> = broken
        .map(|device| {
            let trouble = device.trouble.as_deref().unwrap_or_default();
            let text = format!("fencing device {} does not work: {trouble}", name(device));
            (false, text)
        })
        .collect();
    let waiting = report.waiting.iter().flat_map(|it| &it.nodes);
    troubles.extend(waiting.filter_map(|node| {
        let text = || format!("groups of {} wait: {} {}", node.node, node.node, wait(node));
        match node.state.as_str() {
            "failed" => Some((true, text())),
            "waits" | "fencing" => Some((false, text())),
            _ => None,
        }
    }));
    troubles
}

fn lines(report: &FenceReport, mut show: impl FnMut(&FenceDeviceReport, &mut String)) -> String {
    if report.devices.is_empty() {
        return NO_DEVICE.to_owned();
    }
    let mut text = String::new();
    for device in &report.devices {
        show(device, &mut text);
    }
    text
}

fn name(device: &FenceDeviceReport) -> String {
    format!("{} ({})", device.kind, device.place)
}

fn resets(device: &FenceDeviceReport) -> String {
    match device.hosts.as_deref() {
        None => "has not said which nodes it can reset".to_owned(),
        Some([]) => "can reset no node of this cluster".to_owned(),
        Some(hosts) => format!("resets {}", hosts.join(", ")),
    }
}

fn state(device: &FenceDeviceReport) -> String {
    let took = device
        .answer_ms
        .map_or_else(String::new, |ms| format!(", answered in {}", seconds(ms)));
    match (device.works, device.trouble.as_deref()) {
        (None, _) => "was not asked yet".to_owned(),
        (Some(true), _) => format!("works{took}"),
        (Some(false), trouble) => format!("DOES NOT WORK: {}", trouble.unwrap_or_default()),
    }
}

/// With one decimal.
fn seconds(ms: u64) -> String {
    let tenths = ms.saturating_add(50) / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::control::FencesReport;

    fn report() -> FenceReport {
        let works = FenceDeviceReport {
            kind: "external/ipmi".to_owned(),
            place: "ha.cf:12".to_owned(),
            hosts: Some(vec!["beta".to_owned()]),
            works: Some(true),
            asked_unix_s: Some(9),
            answer_ms: Some(849),
            trouble: None,
            would_run: vec![
                "/usr/sbin/stonith -T reset beta".to_owned(),
                "< ***".to_owned(),
            ],
        };
        let broken = FenceDeviceReport {
            kind: "fence_apc".to_owned(),
            place: "ha.cf:13".to_owned(),
            works: Some(false),
            trouble: Some("exit code 1: no route".to_owned()),
            ..FenceDeviceReport::default()
        };
        FenceReport {
            devices: vec![works, broken],
            time_limit_s: 60,
            longest_answer_ms: 849,
            resetting: vec!["beta".to_owned()],
            waiting: Some(FencesReport {
                delay_ms: 5_000,
                by_watchdog_s: None,
                nodes: vec![FenceWait {
                    node: "beta".to_owned(),
                    state: "fencing".to_owned(),
                    next_ms: None,
                    counts_ms: None,
                    attempts: 1,
                    words: None,
                }],
            }),
        }
    }

    #[test]
    fn people_see_what_works_and_what_does_not() {
        let report = report();
        assert_eq!(
            list(&report),
            "external/ipmi (ha.cf:12): resets beta\n\
             fence_apc (ha.cf:13): has not said which nodes it can reset\n"
        );
        assert_eq!(
            status(&report),
            "external/ipmi (ha.cf:12): works, answered in 0.8 s\n\
             fence_apc (ha.cf:13): DOES NOT WORK: exit code 1: no route\n\
             time limit 60 s, longest answer 0.8 s\n\
             delay 5.0 s: so long the node waits that serves nothing, or stands second\n\
             now: beta is being reset\n\
             now: beta is dead: is being reset\n"
        );
        assert_eq!(
            test(&report, "beta"),
            "external/ipmi (ha.cf:12): works, answered in 0.8 s\n  \
             would run /usr/sbin/stonith -T reset beta\n  < ***\n\
             fence_apc (ha.cf:13): DOES NOT WORK: exit code 1: no route\n  cannot reset beta\n\
             nothing was reset\n"
        );
        assert_eq!(
            brief(&report),
            [
                "external/ipmi: resets beta",
                "fence_apc: has not said which nodes it can reset",
                "beta is dead: is being reset"
            ]
        );
        let broken = "fencing device fence_apc (ha.cf:13) does not work: exit code 1: no route";
        let waits = "groups of beta wait: beta is being reset";
        assert_eq!(
            troubles(&report),
            [(false, broken.to_owned()), (false, waits.to_owned())]
        );
        assert!(!all_work(&report) && !all_known(&report) && !can_reset(&report));
    }

    #[test]
    fn a_dead_node_is_shown_with_what_it_waits_for() {
        let mut node = FenceWait {
            node: "beta".to_owned(),
            state: "waits".to_owned(),
            next_ms: Some(4_200),
            counts_ms: None,
            attempts: 0,
            words: None,
        };
        assert_eq!(wait(&node), "waits, is reset in 4.2 s");
        node.next_ms = Some(0);
        assert_eq!(wait(&node), "waits, is reset when nothing is in the way");
        node.state = "failed".to_owned();
        (node.next_ms, node.attempts) = (Some(1_000), 3);
        node.words = Some("no route".to_owned());
        assert_eq!(
            wait(&node),
            "not reset (3 tried): no route, tried again in 1.0 s"
        );
        node.state = "waits".to_owned();
        (node.next_ms, node.counts_ms) = (None, Some(20_000));
        assert_eq!(wait(&node), "waits, counts as reset in 20.0 s");
        let none = FenceReport {
            waiting: Some(FencesReport {
                delay_ms: 5_000,
                by_watchdog_s: Some(25),
                nodes: vec![node],
            }),
            ..FenceReport::default()
        };
        assert_eq!(
            status(&none),
            format!(
                "{NO_DEVICE}fence_by_watchdog 25 s: a dead node counts as reset so long after its \
                 verdict\nnow: beta is dead: waits, counts as reset in 20.0 s\n"
            )
        );
    }

    #[test]
    fn no_device_is_no_success() {
        let none = FenceReport::default();
        assert_eq!(list(&none), NO_DEVICE);
        assert_eq!(status(&none), NO_DEVICE);
        assert_eq!(test(&none, "beta"), NO_DEVICE);
        assert!(brief(&none).is_empty() && troubles(&none).is_empty());
        assert!(!all_work(&none) && !all_known(&none) && !can_reset(&none));
        let mut one = report();
        one.devices.truncate(1);
        assert!(all_work(&one) && all_known(&one) && can_reset(&one));
    }
}
