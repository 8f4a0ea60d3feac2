//! `systole monitor run`, and what `status` and `check` say of monitored resources.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::check::State;
use crate::clients::control::{
    CheckReport, GroupView, MonitorState, MonitorView, Place, StandbyView, View,
};

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub struct Checks<'a> {
    checks: &'a [CheckReport],
}

impl<'a> Checks<'a> {
    /// These.
    #[must_use]
    pub const fn new(checks: &'a [CheckReport]) -> Self {
        Self { checks }
    }
}

/// How long the checks of a group may take.
#[must_use]
pub fn patience(view: &View, group: &str) -> Duration {
    let group = view.groups.iter().find(|it| it.key == group);
    let monitors = group.into_iter().flat_map(|it| &it.monitors);
    // What it takes to end one that hangs.
    let seconds = monitors.map(|it| it.timeout_s.saturating_add(15));
    Duration::from_secs(seconds.fold(0, u64::saturating_add))
}

/// A line for each check.
#[must_use]
pub fn lines(checks: &[CheckReport]) -> String {
    let mut text = String::new();
    for CheckReport {
        resource,
        check,
        answer,
        words,
    } in checks
    {
        let words = words
            .as_ref()
            .map_or_else(String::new, |it| format!(": {it}"));
        let _ = writeln!(text, "{answer:<8} {resource}  {check}{words}");
    }
    text
}

/// Whether every check was good.
#[must_use]
pub fn all_good(checks: &[CheckReport]) -> bool {
    checks.iter().all(|it| it.answer == "good")
}

/// The monitors of a group that count: it runs here.
fn monitors(group: &GroupView) -> &[MonitorView] {
    match group.place {
        Place::Here if !group.busy => &group.monitors,
        _ => &[],
    }
}

fn ago(ms: u64) -> String {
    format!("checked {} s ago", ms / 1000)
}

/// What is known of a group that does not run here.
fn standby(group: &GroupView) -> Option<&StandbyView> {
    let elsewhere = group.place != Place::Here && !group.busy;
    group.standby.as_ref().filter(|_| elsewhere)
}

/// What stands behind a group of which every check is good, or which this node could run.
pub(super) fn all_checked(group: &GroupView) -> Option<String> {
    if let Some(standby) = standby(group) {
        let ago = ago(standby.checked_ms_ago);
        return standby.ready.then(|| format!(" (READY here, {ago})"));
    }
    let monitors = monitors(group);
    let good = |it: &MonitorView| it.state == MonitorState::Good;
    let oldest = monitors.iter().filter_map(|it| it.checked_ms_ago).max()?;
    let all = monitors.iter().all(good);
    all.then(|| format!(" ({})", ago(oldest)))
}

/// What is wrong with the monitored resources of a group, a line each.
pub(super) fn troubles(group: &GroupView) -> Vec<(State, String)> {
    let not_ready = standby(group).filter(|it| !it.ready);
    let not_ready = not_ready.map(|it| {
        let (wrong, ago) = (it.wrong.join("; "), ago(it.checked_ms_ago));
        let text = format!("this node is NOT READY to run it: {wrong} ({ago})");
        (State::Warning, text)
    });
    let troubles = monitors(group).iter().filter_map(trouble);
    troubles.chain(not_ready).collect()
}

fn trouble(monitor: &MonitorView) -> Option<(State, String)> {
    let resource = &monitor.resource;
    let words = monitor.words.as_deref().unwrap_or("no answer");
    let (bad, most) = (monitor.bad_in_a_row, monitor.failures_at);
    let (state, text) = match monitor.state {
        MonitorState::Unchecked | MonitorState::Good => return None,
        MonitorState::Failing => (
            State::Warning,
            format!("{resource} FAILING {bad}/{most}: {words}"),
        ),
        MonitorState::Unknown => (
            State::Ok,
            format!("{resource} not known whether it runs: {words}"),
        ),
        MonitorState::NeverGood => (
            State::Warning,
            format!("{resource} no check was good since the start, so nothing is done: {words}"),
        ),
        MonitorState::GivenUp => (
            State::Critical,
            format!("{resource} FAILED, restarts did not help: {words}"),
        ),
    };
    let ago = monitor.checked_ms_ago.map(ago);
    let ago = ago.map_or_else(String::new, |ago| format!(" ({ago})"));
    Some((state, text + &ago))
}

#[cfg(test)]
pub(super) fn example(state: MonitorState, words: Option<&str>) -> MonitorView {
    MonitorView {
        resource: "nginx".to_owned(),
        check: "status".to_owned(),
        timeout_s: 20,
        state,
        checked_ms_ago: Some(4200),
        words: words.map(str::to_owned),
        bad_in_a_row: 2,
        failures_at: 3,
        failed: 0,
        restarts: 2,
        restart_window_s: 3600,
        then: "move".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(state: MonitorState, words: Option<&str>) -> GroupView {
        GroupView {
            place: Place::Here,
            monitors: vec![example(state, words)],
            ..GroupView::default()
        }
    }

    #[test]
    fn a_good_group_says_when_it_was_checked_and_a_bad_one_why() {
        let good = group(MonitorState::Good, None);
        assert_eq!(all_checked(&good).as_deref(), Some(" (checked 4 s ago)"));
        assert_eq!(troubles(&good), []);
        let failing = group(MonitorState::Failing, Some("exit code 3"));
        assert_eq!(all_checked(&failing), None);
        let says = "nginx FAILING 2/3: exit code 3 (checked 4 s ago)".to_owned();
        assert_eq!(troubles(&failing), [(State::Warning, says)]);
        for (state, level) in [
            (MonitorState::GivenUp, State::Critical),
            (MonitorState::NeverGood, State::Warning),
            (MonitorState::Unknown, State::Ok),
        ] {
            assert_eq!(troubles(&group(state, None))[0].0, level);
        }
        let elsewhere = GroupView {
            place: Place::Other,
            ..failing
        };
        assert_eq!(troubles(&elsewhere), []);
        assert_eq!(all_checked(&GroupView::default()), None, "not watched");
    }

    #[test]
    fn where_it_does_not_run_it_says_whether_it_could() {
        let standby = |wrong: &[&str]| GroupView {
            place: Place::Other,
            standby: Some(StandbyView {
                ready: wrong.is_empty(),
                wrong: wrong.iter().map(|&it| it.to_owned()).collect(),
                checked_ms_ago: 7100,
            }),
            ..GroupView::default()
        };
        let ready = standby(&[]);
        let says = " (READY here, checked 7 s ago)";
        assert_eq!(all_checked(&ready).as_deref(), Some(says));
        assert_eq!(troubles(&ready), []);
        let not = standby(&["there is no script nginx", "db runs here"]);
        assert_eq!(all_checked(&not), None);
        let says = "this node is NOT READY to run it: there is no script nginx; db runs here (checked 7 s ago)";
        assert_eq!(troubles(&not), [(State::Warning, says.to_owned())]);
        let here = GroupView {
            place: Place::Here,
            ..not
        };
        assert_eq!(troubles(&here), []);
    }

    #[test]
    fn each_check_is_a_line() {
        let check = |answer: &str, words: Option<&str>| CheckReport {
            resource: "nginx".to_owned(),
            check: "status".to_owned(),
            answer: answer.to_owned(),
            words: words.map(str::to_owned),
        };
        let checks = [check("good", None), check("bad", Some("exit code 3"))];
        let text = "good     nginx  status\nbad      nginx  status: exit code 3\n";
        assert_eq!(lines(&checks), text);
        assert!(!all_good(&checks) && all_good(&checks[..1]));
    }
}
