//! `systole check`: one line for a monitoring system of the Nagios kind, with performance data.

use serde::Serialize;

use crate::clients::control::{GroupAnswer, GroupView, NodeReport, Receives, View};

/// What a monitoring system makes of the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Nothing is wrong.
    Ok,
    /// Something is not as it should be; the service runs.
    Warning,
    /// A group does not run that should, or may run twice.
    Critical,
    /// The daemon does not answer.
    Unknown,
}

impl State {
    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// The verdict about a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Version of this form. A later version may add keys.
    pub schema: u32,
    /// The worst of all.
    pub state: State,
    /// What is wrong, the worst first; one line about the node when nothing is.
    pub text: Vec<String>,
    /// Names and numbers.
    pub performance: Vec<(&'static str, u64)>,
}

impl Verdict {
    /// Nothing is known, and why.
    #[must_use]
    pub fn unknown(why: impl Into<String>) -> Self {
        Self {
            schema: 1,
            state: State::Unknown,
            text: vec![why.into()],
            performance: Vec::new(),
        }
    }

    /// The line: `SYSTOLE STATE - TEXT | NAME=NUMBER ...`.
    #[must_use]
    pub fn line(&self) -> String {
        // A bar would begin the performance data.
        let text = self.text.join("; ").replace('|', "/").replace('\n', " ");
        let numbers = self.performance.iter();
        let numbers: Vec<String> = numbers.map(|(name, it)| format!("{name}={it}")).collect();
        let bar = if numbers.is_empty() { "" } else { " | " };
        let word = self.state.word();
        format!("SYSTOLE {word} - {text}{bar}{}\n", numbers.join(" "))
    }
}

/// Judges what the daemon reports.
#[must_use]
pub fn judge(view: &View) -> Verdict {
    let Some(node) = &view.node else {
        return Verdict::unknown("membership does not answer");
    };
    let mut found: Vec<(State, String)> = Vec::new();
    let mut say = |state, text: String| found.push((state, text));
    for group in &view.groups {
        if let Some(text) = trouble_of(group) {
            say(State::Critical, text);
        }
    }
    if node.status != "active" {
        let waits = node.waits_for.as_deref().unwrap_or("not active yet");
        say(
            State::Warning,
            format!("{} is {}: {waits}", node.name, node.status),
        );
    }
    if node.stopping {
        say(State::Warning, format!("{} is being stopped", node.name));
    }
    if node.frozen {
        say(
            State::Warning,
            "frozen: no resource is started or stopped".to_owned(),
        );
    }
    for trouble in &node.troubles {
        say(State::Warning, trouble.clone());
    }
    for peer in others(node) {
        if peer.status == "dead" {
            say(State::Warning, format!("{} is dead", peer.name));
            continue;
        }
        for (medium, up) in &peer.links {
            if !up {
                say(
                    State::Warning,
                    format!("link {}:{medium} is dead", peer.name),
                );
            }
        }
    }
    for medium in &view.media {
        if !medium.open {
            say(
                State::Warning,
                format!("medium {} is not open", medium.name),
            );
        }
    }
    let devices = view.fencing.iter().flat_map(|it| &it.devices);
    for device in devices.filter(|device| device.works == Some(false)) {
        say(
            State::Warning,
            format!("fencing device {} does not work", device.kind),
        );
    }
    if let Some(trouble) = view.watchdog.as_ref().and_then(|it| it.trouble.as_ref()) {
        say(State::Critical, format!("watchdog: {trouble}"));
    }
    found.sort_by_key(|(state, _)| std::cmp::Reverse(*state));
    let state = found.first().map_or(State::Ok, |(state, _)| *state);
    let mut text: Vec<String> = found.into_iter().map(|(_, text)| text).collect();
    if text.is_empty() {
        text.push(summary(node, &view.groups));
    }
    Verdict {
        schema: 1,
        state,
        text,
        performance: performance(node, view),
    }
}

fn others(node: &NodeReport) -> impl Iterator<Item = &crate::clients::control::PeerReport> {
    node.nodes.iter().filter(|peer| peer.name != node.name)
}

fn runs(group: &GroupView) -> bool {
    group.last == Some(GroupAnswer::Started) && !group.busy && group.absent.is_empty()
}

fn trouble_of(group: &GroupView) -> Option<String> {
    let key = &group.key;
    if group.unanswered {
        return Some(format!("nobody answers for {key}"));
    }
    if group.busy {
        return None;
    }
    if !group.absent.is_empty() {
        return Some(format!("{} is not on this host", group.absent.join(", ")));
    }
    match &group.last {
        Some(GroupAnswer::StartFailed { resource, code }) => Some(format!(
            "{key} does not run: start of {resource} ended with {code}"
        )),
        Some(GroupAnswer::AddressTaken { claim }) => Some(format!(
            "{key} does not run: another host has its address: {claim}"
        )),
        Some(GroupAnswer::StopFailed { resource }) => {
            Some(format!("{key}: {resource} cannot be stopped"))
        }
        _ => None,
    }
}

fn summary(node: &NodeReport, groups: &[GroupView]) -> String {
    let here = groups.iter().filter(|group| runs(group)).count();
    let holds = node.rscstatus.as_deref().unwrap_or("no resources");
    let mut text = format!(
        "{} is {}, holds {holds}, runs {here} of {} groups",
        node.name,
        node.status,
        groups.len()
    );
    for peer in others(node) {
        text.push_str(&format!("; {} is {}", peer.name, peer.status));
    }
    text
}

fn performance(node: &NodeReport, view: &View) -> Vec<(&'static str, u64)> {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let failed = view.groups.iter().filter(|it| trouble_of(it).is_some());
    let peers = || others(node).filter(|peer| !peer.ping);
    let links = others(node).flat_map(|peer| &peer.links);
    let receiving = view.media.iter();
    let receiving = receiving.filter(|medium| medium.receives == Some(Receives::Others));
    vec![
        ("groups", count(view.groups.len())),
        (
            "groups_running",
            count(view.groups.iter().filter(|it| runs(it)).count()),
        ),
        ("groups_failed", count(failed.count())),
        ("peers", count(peers().count())),
        (
            "peers_active",
            count(peers().filter(|it| it.status == "active").count()),
        ),
        ("links_down", count(links.filter(|(_, up)| !up).count())),
        ("media_receiving", count(receiving.count())),
        ("generation", node.generation),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::control::{MediumView, PeerReport};

    fn group(last: GroupAnswer) -> GroupView {
        GroupView {
            key: "10.0.0.1".to_owned(),
            owner: "alpha".to_owned(),
            wanted: true,
            busy: false,
            last: Some(last),
            said: None,
            unanswered: false,
            absent: Vec::new(),
        }
    }

    fn view() -> View {
        let peer = |name: &str, ping, links: &[(&str, bool)]| PeerReport {
            name: name.to_owned(),
            ping,
            status: if ping { "ping" } else { "active" }.to_owned(),
            links: links
                .iter()
                .map(|(name, up)| ((*name).to_owned(), *up))
                .collect(),
        };
        let node = NodeReport {
            nodes: vec![
                peer("alpha", false, &[("eth0", true)]),
                peer("beta", false, &[("eth0", true)]),
                peer("gw", true, &[("gw", true)]),
            ],
            ..NodeReport::example()
        };
        View {
            node: Some(node),
            groups: vec![group(GroupAnswer::Started)],
            media: vec![MediumView {
                receives: Some(Receives::Others),
                ..MediumView::new("eth0".to_owned(), vec!["bcast".to_owned()], None)
            }],
            fencing: None,
            watchdog: None,
        }
    }

    #[test]
    fn a_healthy_node_is_ok() {
        let verdict = judge(&view());
        assert_eq!(verdict.state.code(), 0);
        assert_eq!(
            verdict.line(),
            "SYSTOLE OK - alpha is active, holds local, runs 1 of 1 groups; beta is active; gw is ping | \
             groups=1 groups_running=1 groups_failed=0 peers=1 peers_active=1 links_down=0 media_receiving=1 \
             generation=3\n"
        );
    }

    #[test]
    fn the_worst_counts_and_stands_first() {
        let mut view = view();
        let node = view.node.as_mut().unwrap();
        node.nodes[1].status = "dead".to_owned();
        let verdict = judge(&view);
        assert_eq!(verdict.state, State::Warning);
        assert!(
            verdict
                .line()
                .starts_with("SYSTOLE WARNING - beta is dead | ")
        );
        view.groups = vec![group(GroupAnswer::StartFailed {
            resource: "a|b".to_owned(),
            code: 1,
        })];
        let verdict = judge(&view);
        assert_eq!((verdict.state, verdict.state.code()), (State::Critical, 2));
        let line = verdict.line();
        assert!(
            line.starts_with(
                "SYSTOLE CRITICAL - 10.0.0.1 does not run: start of a/b ended with 1; beta is dead | "
            ),
            "{line}"
        );
        assert!(line.contains(" groups_failed=1 "));
    }

    #[test]
    fn each_trouble_is_at_least_a_warning() {
        let changes: [fn(&mut View); 6] = [
            |view| view.node.as_mut().unwrap().frozen = true,
            |view| view.node.as_mut().unwrap().status = "up".to_owned(),
            |view| {
                view.node
                    .as_mut()
                    .unwrap()
                    .troubles
                    .push("one way".to_owned())
            },
            |view| view.node.as_mut().unwrap().nodes[1].links[0].1 = false,
            |view| view.node.as_mut().unwrap().nodes[2].status = "dead".to_owned(),
            |view| view.media[0].open = false,
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut view = view();
            change(&mut view);
            assert_eq!(judge(&view).state, State::Warning, "{number}");
        }
        let mut view = view();
        view.groups[0].absent = vec!["10.0.0.1".to_owned()];
        assert_eq!(judge(&view).state, State::Critical);
        view.node = None;
        assert_eq!(judge(&view).state.code(), 3);
    }
}
