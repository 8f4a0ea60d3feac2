//! `systole check`: one line for a monitoring system of the Nagios kind, with performance data.

use serde::Serialize;

use super::{fence, monitor};
use crate::clients::control::{
    GroupAnswer, GroupView, MediumView, NodeReport, PeerReport, Place, Receives, View,
};

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

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
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
    let found = findings(view);
    let state = found.first().map_or(State::Ok, |(state, _)| *state);
    let performance = view.node.as_ref().map(|node| performance(node, view));
    Verdict {
        schema: 1,
        state,
        text: found.into_iter().map(|(_, text)| text).collect(),
        performance: performance.unwrap_or_default(),
    }
}

/// What is wrong, the worst first; one line about the node when nothing is.
#[must_use]
pub fn findings(view: &View) -> Vec<(State, String)> {
    let Some(node) = &view.node else {
        return vec![(State::Unknown, "membership does not answer".to_owned())];
    };
    let mut found: Vec<(State, String)> = Vec::new();
    let groups = view.groups.iter();
    found.extend(groups.filter_map(|group| trouble_of(node, group)));
    for group in &view.groups {
        let troubles = monitor::troubles(group).into_iter();
        let troubles = troubles.filter(|(state, _)| *state != State::Ok);
        found.extend(troubles.map(|(state, text)| (state, format!("{}: {text}", group.key))));
    }
    of_this_node(node, &mut found);
    for peer in others(node) {
        of_another(node, peer, &mut found);
    }
    let mut say = |state, text: String| found.push((state, text));
    for medium in &view.media {
        let name = &medium.name;
        if !medium.open {
            say(State::Warning, format!("medium {name} is not open"));
        } else if let Some(trouble) = &medium.trouble {
            say(
                State::Warning,
                format!("medium {name} cannot send: {trouble}"),
            );
        }
        let up = others(node).any(|peer| link_is_up(peer, name));
        if let Some(why) = is_deaf(medium, up) {
            let name = name_of(medium);
            let text = format!("{} hears nobody on {name}: {why}", node.name);
            say(State::Warning, text);
        }
    }
    for (urgent, text) in view.fencing.iter().flat_map(fence::troubles) {
        let state = if urgent {
            State::Critical
        } else {
            State::Warning
        };
        say(state, text);
    }
    if let Some(trouble) = view.watchdog.as_ref().and_then(|it| it.trouble.as_ref()) {
        say(State::Critical, format!("watchdog: {trouble}"));
    }
    for address in view.lease.iter().flat_map(|lease| &lease.without) {
        say(
            State::Warning,
            format!("{address} has no lease: systole doctor"),
        );
    }
    if found.is_empty() {
        found.push((State::Ok, summary(node, &view.groups)));
    }
    found.sort_by_key(|(state, _)| std::cmp::Reverse(*state));
    found
}

/// Why a medium brings nothing of a node whose link is `up`. Media of one interface share their link, which
/// is up while one of them works: `systole status`, `check` and `metrics` judge each medium by this.
#[must_use]
pub fn is_deaf(medium: &MediumView, up: bool) -> Option<&'static str> {
    match medium.receives.filter(|_| up && medium.open)? {
        Receives::Itself => Some("only own messages"),
        Receives::Nothing => Some("nothing arrives"),
        Receives::Others => None,
    }
}

/// Whether the link of that name to a member is up.
pub(super) fn link_is_up(peer: &PeerReport, name: &str) -> bool {
    let mut links = peer.links.iter();
    !peer.ping && links.any(|(link, up)| *up && link == name)
}

/// The name of a medium and its kinds, as `eth0 (bcast)`: several may have one name.
#[must_use]
pub fn name_of(medium: &MediumView) -> String {
    format!("{} ({})", medium.name, medium.kinds.join(", "))
}

fn of_this_node(node: &NodeReport, found: &mut Vec<(State, String)>) {
    let mut say = |text: String| found.push((State::Warning, text));
    let name = &node.name;
    if node.stopping {
        say(format!("{name} is being stopped"));
    } else if node.status != "active" {
        let waits = node.waits_for.as_deref().unwrap_or("not active yet");
        say(format!("{name} is {}: {waits}", node.status));
    }
    if node.frozen {
        say("FROZEN: no resource is started or stopped until systole thaw".to_owned());
    }
    if !node.not_in_force.is_empty() {
        let names = node.not_in_force.join(", ");
        say(format!(
            "changed, and not in force before systole reload: {names}"
        ));
    }
    node.troubles.iter().cloned().for_each(say);
}

/// A node that has left in order has not failed. But nobody takes the groups if this node fails.
fn of_another(node: &NodeReport, peer: &PeerReport, found: &mut Vec<(State, String)>) {
    let mut say = |text: String| found.push((State::Warning, text));
    let name = &peer.name;
    match peer.status.as_str() {
        _ if peer.left => return say(format!("no standby: {name} has left in order")),
        "dead" if peer.ping => return say(format!("ping node {name} does not answer")),
        "dead" => return say(format!("no standby: {name} is dead")),
        // Not received since the start: nothing is known yet.
        "init" => return,
        "active" | "ping" => {}
        status => say(format!("no standby yet: {name} is {status}")),
    }
    for (medium, up) in &peer.links {
        if !up {
            say(format!("{} does not hear {name} on {medium}", node.name));
        }
    }
    for medium in &peer.deaf_on {
        say(format!(
            "{name} does not hear {} on its {medium}",
            node.name
        ));
    }
}

fn others(node: &NodeReport) -> impl Iterator<Item = &PeerReport> {
    node.nodes.iter().filter(|peer| peer.name != node.name)
}

/// Whether it is known which groups must run here.
#[must_use]
pub fn is_settled(node: &NodeReport) -> bool {
    let moves = node.rscstatus.as_deref() == Some("transition");
    node.status == "active" && !moves && !node.stopping
}

/// Whether all of a group runs on this node, as far as that is known.
#[must_use]
pub fn runs(group: &GroupView) -> bool {
    group.place == Place::Here
        && group.last == Some(GroupAnswer::Started)
        && group.absent.is_empty()
}

fn trouble_of(node: &NodeReport, group: &GroupView) -> Option<(State, String)> {
    let key = &group.key;
    let critical = |text: String| Some((State::Critical, text));
    if group.unanswered {
        return critical(format!("nobody answers for {key}"));
    }
    if group.busy {
        return None;
    }
    if !group.absent.is_empty() {
        return critical(format!("{} is not on this host", group.absent.join(", ")));
    }
    let failed = match &group.last {
        Some(GroupAnswer::StartFailed { resource, code }) => {
            Some(format!("start of {resource} ended with {code}"))
        }
        Some(GroupAnswer::AddressTaken { claim }) => {
            Some(format!("another host has its address: {claim}"))
        }
        Some(GroupAnswer::StopFailed { resource }) => {
            return critical(format!("{key}: {resource} cannot be stopped"));
        }
        _ => None,
    };
    match (group.place, &group.runs_on, failed) {
        (Place::Other, Some(there), Some(failed)) => Some((
            State::Warning,
            format!("{key} runs on {there}, and cannot run here: {failed}"),
        )),
        (Place::Other, ..) => None,
        (_, _, Some(failed)) => critical(format!("{key} does not run: {failed}")),
        (Place::Nowhere, ..) if is_settled(node) => critical(format!("{key} runs on no node")),
        (Place::Nowhere | Place::Here | Place::Unknown, ..) => None,
    }
}

fn summary(node: &NodeReport, groups: &[GroupView]) -> String {
    let here = groups.iter().filter(|group| runs(group)).count();
    let mut text = format!("{} is {}", node.name, node.status);
    if node.rscstatus.as_deref() == Some("transition") {
        text.push_str(", in transition");
    }
    if node.rscstatus.is_some() {
        text.push_str(&format!(", runs {here} of {} groups", groups.len()));
    }
    for peer in others(node) {
        let there = groups.iter();
        let there = there.filter(|group| group.runs_on.as_ref() == Some(&peer.name));
        let (name, status) = (&peer.name, &peer.status);
        text.push_str(&match (status.as_str(), there.count()) {
            ("ping", _) => format!("; {name} answers"),
            (status, 0) => format!("; {name} is {status}"),
            (status, count) => format!("; {name} is {status}, runs {count}"),
        });
    }
    text
}

fn performance(node: &NodeReport, view: &View) -> Vec<(&'static str, u64)> {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let failed = view.groups.iter();
    let failed = failed.filter(|it| matches!(trouble_of(node, it), Some((State::Critical, _))));
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
    use crate::clients::control::WatchdogReport;

    /// A group that runs here, or whose start or stop here ended so and that runs nowhere.
    fn group(last: GroupAnswer) -> GroupView {
        let mut group = GroupView {
            key: "10.0.0.1".to_owned(),
            owner: "alpha".to_owned(),
            wanted: last != GroupAnswer::Stopped,
            last: Some(last),
            ..GroupView::default()
        };
        let mut node = NodeReport::example();
        let nowhere = (Place::Nowhere, None);
        node.elsewhere.insert("10.0.0.1".to_owned(), nowhere);
        group.find(&node);
        group
    }

    fn failed() -> GroupAnswer {
        GroupAnswer::StartFailed {
            resource: "a|b".to_owned(),
            code: 1,
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
            ..PeerReport::default()
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
            lease: None,
        }
    }

    fn node(view: &mut View) -> &mut NodeReport {
        view.node.as_mut().unwrap()
    }

    /// Both share the link, which is up.
    #[test]
    fn a_medium_beside_one_that_works_is_judged_by_itself() {
        let mut view = view();
        let medium = |receives| MediumView {
            receives: Some(receives),
            ..MediumView::new("eth0".to_owned(), vec!["ucast".to_owned()], None)
        };
        for (receives, why) in [
            (Receives::Itself, "only own messages"),
            (Receives::Nothing, "nothing arrives"),
        ] {
            view.media.truncate(1);
            view.media.push(medium(receives));
            let verdict = judge(&view);
            assert_eq!(verdict.state, State::Warning);
            let text = format!("alpha hears nobody on eth0 (ucast): {why}");
            assert_eq!(verdict.text, [text]);
        }
        // The link is down: that is said of the link.
        node(&mut view).nodes[1].links[0].1 = false;
        assert_eq!(judge(&view).text, ["alpha does not hear beta on eth0"]);
        // Nothing is known of a medium that is not open.
        node(&mut view).nodes[1].links[0].1 = true;
        view.media[1].open = false;
        assert_eq!(judge(&view).text, ["medium eth0 is not open"]);
    }

    #[test]
    fn a_healthy_node_is_ok() {
        let verdict = judge(&view());
        assert_eq!(verdict.state.code(), 0);
        assert_eq!(
            verdict.line(),
            "SYSTOLE OK - alpha is active, runs 1 of 1 groups; beta is active; gw answers | \
             groups=1 groups_running=1 groups_failed=0 peers=1 peers_active=1 links_down=0 media_receiving=1 \
             generation=3\n"
        );
    }

    #[test]
    fn the_worst_counts_and_stands_first() {
        let mut view = view();
        node(&mut view).nodes[1].status = "dead".to_owned();
        let verdict = judge(&view);
        assert_eq!(verdict.state, State::Warning);
        let line = verdict.line();
        assert!(line.starts_with("SYSTOLE WARNING - no standby: beta is dead | "));
        view.groups = vec![group(failed())];
        let verdict = judge(&view);
        assert_eq!((verdict.state, verdict.state.code()), (State::Critical, 2));
        let line = verdict.line();
        assert!(
            line.starts_with(
                "SYSTOLE CRITICAL - 10.0.0.1 does not run: start of a/b ended with 1; no standby: beta is dead | "
            ),
            "{line}"
        );
        assert!(line.contains(" groups_failed=1 "));
    }

    /// It has not failed, and nobody takes over: from its last message on, not from its dead time on.
    #[test]
    fn a_node_that_left_in_order_leaves_no_standby() {
        let mut view = view();
        node(&mut view).nodes[1].left = true;
        for status in ["active", "dead"] {
            node(&mut view).nodes[1].status = status.to_owned();
            node(&mut view).nodes[1].links[0].1 = status == "active";
            let verdict = judge(&view);
            assert_eq!(verdict.state.code(), 1);
            assert_eq!(verdict.text, ["no standby: beta has left in order"]);
        }
        node(&mut view).nodes[1].left = false;
        node(&mut view).nodes[1].status = "up".to_owned();
        assert_eq!(judge(&view).text[0], "no standby yet: beta is up");
    }

    #[test]
    fn a_group_that_fails_here_and_runs_there_is_served() {
        let mut view = view();
        view.groups = vec![group(failed())];
        view.groups[0].place = Place::Other;
        view.groups[0].runs_on = Some("beta".to_owned());
        let verdict = judge(&view);
        assert_eq!(verdict.state, State::Warning);
        assert_eq!(
            verdict.text,
            ["10.0.0.1 runs on beta, and cannot run here: start of a|b ended with 1"]
        );
        view.groups[0].last = Some(GroupAnswer::Stopped);
        assert_eq!(judge(&view).state, State::Ok);
        assert!(judge(&view).text[0].ends_with("; beta is active, runs 1; gw answers"));
    }

    #[test]
    fn a_group_that_runs_nowhere_is_critical_once_the_node_is_settled() {
        let mut view = view();
        view.groups = vec![group(GroupAnswer::Stopped)];
        assert_eq!(judge(&view).text, ["10.0.0.1 runs on no node"]);
        node(&mut view).rscstatus = Some("transition".to_owned());
        assert_eq!(judge(&view).state, State::Ok);
        node(&mut view).rscstatus = Some("local".to_owned());
        view.groups[0].place = Place::Unknown;
        assert_eq!(
            judge(&view).state,
            State::Ok,
            "no alarm for what is not known"
        );
    }

    #[test]
    fn each_trouble_is_at_least_a_warning() {
        let changes: [fn(&mut View); 9] = [
            |view| node(view).frozen = true,
            |view| node(view).status = "up".to_owned(),
            |view| node(view).stopping = true,
            |view| node(view).troubles.push("one way".to_owned()),
            |view| node(view).nodes[1].links[0].1 = false,
            |view| node(view).nodes[1].deaf_on.push("eth0".to_owned()),
            |view| node(view).nodes[2].status = "dead".to_owned(),
            |view| view.media[0].open = false,
            |view| view.media[0].trouble = Some("blocked".to_owned()),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut view = view();
            change(&mut view);
            assert_eq!(judge(&view).state, State::Warning, "{number}");
        }
        let mut view = view();
        view.groups[0].absent = vec!["10.0.0.1".to_owned()];
        assert_eq!(judge(&view).state, State::Critical);
        view.groups[0].absent.clear();
        view.watchdog = Some(WatchdogReport {
            device: "/dev/watchdog".to_owned(),
            armed: false,
            interval_s: None,
            trouble: Some("no such file".to_owned()),
        });
        assert_eq!(judge(&view).state, State::Critical);
        view.node = None;
        assert_eq!(judge(&view).state.code(), 3);
    }
}
