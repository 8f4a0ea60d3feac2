//! `systole status`: one screen of what this node does and knows. A healthy pair with three groups and
//! two media fits 80 columns and 24 lines.

use super::check::{self, State, name_of};
use super::screen::{Layout, Screen, Tone};
use super::{fence, monitor};
use crate::clients::control::{
    DecisionReport, GroupAnswer, GroupView, LeaseReport, MediumView, NodeReport, PeerReport, Place,
    Receives, View, WatchdogReport,
};
use crate::os::sys;

/// The screen for this view. `now_unix_s`: seconds since 1970.
#[must_use]
pub fn screen(view: &View, now_unix_s: u64) -> Screen {
    let shown = Shown { now_unix_s };
    let mut screen = Screen::default();
    let name = view.node.as_ref().map_or("", |node| node.name.as_str());
    let comma = if name.is_empty() { "" } else { ", " };
    screen.plain(format!("{name}{comma}{}", full_time(now_unix_s)));
    shown.verdict(view, &mut screen);
    if let Some(node) = &view.node {
        shown.in_doubt(node, &mut screen);
        shown.nodes(node, &view.groups, &mut screen);
        shown.links(node, &view.media, &mut screen);
    }
    guards(view, &mut screen);
    if let Some(node) = &view.node {
        shown.groups(node, &view.groups, &mut screen);
        shown.last_move(node, &mut screen);
    }
    screen
}

/// Adds what `systole why` says, the newest first; or why it says nothing.
pub fn add_decisions(
    decisions: &Result<Vec<DecisionReport>, String>,
    now_unix_s: u64,
    screen: &mut Screen,
) {
    let shown = Shown { now_unix_s };
    screen.head("DECISIONS");
    screen.add(Tone::Plain, "  the newest first");
    match decisions {
        Err(reason) => drop(screen.plain(format!("  not told: {reason}"))),
        Ok(decisions) if decisions.is_empty() => drop(screen.plain("  nothing was decided yet")),
        Ok(decisions) => {
            for it in decisions.iter().rev() {
                let at = shown.when(it.unix_s);
                screen.plain(format!("  {at}  {}: {}", it.what, it.cause));
            }
        }
    }
}

/// The same as text that is not broken and has no colours.
#[must_use]
pub fn text(view: &View, now_unix_s: u64) -> String {
    screen(view, now_unix_s).text(Layout::default())
}

const fn tone_of(state: State) -> Tone {
    match state {
        State::Ok => Tone::Good,
        State::Warning | State::Unknown => Tone::Warn,
        State::Critical => Tone::Bad,
    }
}

/// `beta` and nodes like it: other members.
fn peers(node: &NodeReport) -> impl Iterator<Item = &PeerReport> {
    let others = node.nodes.iter();
    others.filter(|peer| !peer.ping && peer.name != node.name)
}

/// With which keys the nodes sign, as far as that is known.
fn keys_of(node: &NodeReport) -> String {
    let known = node.nodes.iter();
    let mut known = known.filter_map(|it| Some((it.name.as_str(), it.key?)));
    let Some((first, number)) = known.next() else {
        return String::new();
    };
    let others: Vec<_> = known.collect();
    if !others.is_empty() && others.iter().all(|(_, other)| *other == number) {
        return format!("  all sign with key {number}");
    }
    let others = others
        .iter()
        .map(|(name, key)| format!(", {name} with key {key}"));
    format!(
        "  {first} signs with key {number}{}",
        others.collect::<String>()
    )
}

/// Width of a column of names.
fn width<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    let widest = names.map(|name| name.chars().count()).max();
    widest.unwrap_or_default().clamp(5, 24)
}

struct Shown {
    now_unix_s: u64,
}

impl Shown {
    /// A time of today without its date.
    fn when(&self, unix_s: u64) -> String {
        let (today, then) = (sys::local_time(self.now_unix_s), sys::local_time(unix_s));
        if (today.year, today.month, today.day) == (then.year, then.month, then.day) {
            format!("{:02}:{:02}:{:02}", then.hour, then.minute, then.second)
        } else {
            let time = full_time(unix_s);
            time.get(..16).unwrap_or(&time).to_owned()
        }
    }

    /// What `systole check` says, a line each.
    fn verdict(&self, view: &View, screen: &mut Screen) {
        for (state, text) in check::findings(view) {
            let word = format!("{}:", state.word());
            screen.line().add(tone_of(state), word);
            screen.add(Tone::Plain, format!(" {text}"));
        }
    }

    /// What is waited for, and what people have to know.
    fn in_doubt(&self, node: &NodeReport, screen: &mut Screen) {
        if node.frozen && !node.waiting.is_empty() {
            let gone = node.waiting.join(", ");
            screen.plain(format!("  at the thaw the resources of {gone} are taken"));
        }
        for remark in &node.remarks {
            screen.line().add(Tone::Warn, "NOTE:");
            screen.add(Tone::Plain, format!(" {remark}"));
        }
        for wait in node.waits.iter().take(MAX_WAITS) {
            screen.plain(format!("  {wait}"));
        }
    }

    fn nodes(&self, node: &NodeReport, groups: &[GroupView], screen: &mut Screen) {
        screen.head("NODES");
        screen.add(Tone::Plain, keys_of(node));
        let names = width(node.nodes.iter().map(|peer| peer.name.as_str()));
        for peer in &node.nodes {
            let own = peer.name == node.name;
            let (tone, word) = match peer.status.as_str() {
                _ if peer.left => (Tone::Warn, "left"),
                "active" => (Tone::Good, "active"),
                "ping" => (Tone::Good, "answers"),
                "dead" if peer.ping => (Tone::Bad, "silent"),
                "dead" => (Tone::Bad, "dead"),
                other => (Tone::Warn, other),
            };
            screen.plain(format!("  {:<names$}  ", peer.name));
            screen.add(tone, format!("{word:<7}"));
            let facts = if own {
                self.about_this_node(node, peer, groups)
            } else {
                self.about(peer, groups)
            };
            screen.add(Tone::Plain, format!(" {}", facts.join(", ")));
        }
    }

    fn about_this_node(
        &self,
        node: &NodeReport,
        own: &PeerReport,
        groups: &[GroupView],
    ) -> Vec<String> {
        let mut facts = vec!["this node".to_owned()];
        match node.rscstatus.as_deref() {
            None => facts.push("resources are not managed".to_owned()),
            Some("transition") => facts.push("in transition".to_owned()),
            Some(_) => {}
        }
        if !groups.is_empty() {
            let runs = groups.iter().filter(|group| group.place == Place::Here);
            facts.push(runs_groups(runs.count()));
        }
        facts.extend(self.since(own));
        facts.push(format!("pid {}", node.pid));
        facts
    }

    fn about(&self, peer: &PeerReport, groups: &[GroupView]) -> Vec<String> {
        let mut facts = Vec::new();
        match peer.program.as_deref() {
            Some("systole") => facts.push("Systole".to_owned()),
            Some("legacy") => facts.push("legacy Heartbeat".to_owned()),
            Some(_) | None => {}
        }
        if peer.ping {
            facts.push("ping node".to_owned());
        }
        if peer.left {
            facts.push("released everything in order".to_owned());
        }
        let there = groups.iter();
        let there = there.filter(|group| group.runs_on.as_deref() == Some(&peer.name));
        let count = there.count();
        let unknown = |group: &GroupView| group.place == Place::Unknown && !group.busy;
        let told = peer.status == "active" && !groups.iter().any(unknown);
        if count > 0 || (told && !peer.ping && !peer.left && !groups.is_empty()) {
            facts.push(runs_groups(count));
        }
        facts.extend(self.since(peer));
        if let Some(ms) = peer.heard_ms_ago.filter(|_| peer.status != "dead") {
            facts.push(format!("heard {}.{} s ago", ms / 1000, ms / 100 % 10));
        }
        facts
    }

    fn since(&self, peer: &PeerReport) -> Option<String> {
        let since = peer.since_unix_s?;
        Some(format!("since {}", self.when(since)))
    }

    /// Who hears whom: one table for the other node of a pair, a line a node where there are more.
    fn links(&self, node: &NodeReport, media: &[MediumView], screen: &mut Screen) {
        if media.is_empty() {
            return;
        }
        let mut others = peers(node);
        match (others.next(), others.next()) {
            (Some(peer), None) => self.both_ways(node, peer, media, screen),
            (None, _) => {
                screen.head("LINKS");
                for medium in media {
                    screen.plain(format!("  {}", name_of(medium)));
                    add_fault(medium, screen);
                }
            }
            (Some(_), Some(_)) => self.many(node, media, screen),
        }
    }

    fn both_ways(
        &self,
        node: &NodeReport,
        peer: &PeerReport,
        media: &[MediumView],
        screen: &mut Screen,
    ) {
        let names: Vec<String> = media.iter().map(name_of).collect();
        let first = width(names.iter().map(String::as_str));
        let here = format!("{} hears {}", node.name, peer.name);
        let there = format!("{} hears {}", peer.name, node.name);
        let cells: Vec<(Tone, String)> = media.iter().map(|it| self.hears(peer, it)).collect();
        let second = cells.iter().map(|(_, text)| text.chars().count());
        let second = second.fold(here.chars().count(), usize::max);
        screen.head(format!(
            "LINKS  {:<rest$}",
            "",
            rest = first.saturating_sub(5)
        ));
        screen.add(Tone::Head, format!("  {here:<second$}  {there}"));
        for ((medium, name), (tone, text)) in media.iter().zip(names).zip(cells) {
            screen.plain(format!("  {name:<first$}  "));
            if !medium.open {
                add_fault(medium, screen);
                continue;
            }
            screen.add(tone, &text);
            let gap = second
                .saturating_sub(text.chars().count())
                .saturating_add(2);
            screen.add(Tone::Plain, " ".repeat(gap));
            let (tone, text) = is_heard(peer, medium, media);
            screen.add(tone, text);
            add_fault(medium, screen);
        }
        let known = |name: &&String| !media.iter().any(|medium| medium.name == **name);
        let elsewhere: Vec<&str> = peer
            .deaf_on
            .iter()
            .filter(known)
            .map(String::as_str)
            .collect();
        if !elsewhere.is_empty() {
            screen.line().add(Tone::Bad, "  NOT");
            let names = elsewhere.join(", ");
            screen.add(Tone::Plain, format!(": {there} on its medium {names}"));
        }
    }

    /// Whether this node hears another one on a medium.
    fn hears(&self, peer: &PeerReport, medium: &MediumView) -> (Tone, String) {
        let link = peer.links.iter().find(|(name, _)| *name == medium.name);
        let Some((_, up)) = link else {
            return (Tone::Plain, "-".to_owned());
        };
        // Media of one interface share their link: this one may bring nothing while another works.
        if let Some(why) = check::is_deaf(medium, *up) {
            return (Tone::Bad, format!("NO ({why})"));
        }
        if *up {
            return (Tone::Good, "yes".to_owned());
        }
        // The node is gone, not the cable.
        let gone = peer.left || peer.status == "dead";
        let (tone, no) = if gone {
            (Tone::Plain, "no")
        } else {
            (Tone::Bad, "NO")
        };
        let since = match peer.links_changed_unix_s.get(&medium.name) {
            Some(at) => format!(", since {}", self.when(*at)),
            None if gone => String::new(),
            None => ", never".to_owned(),
        };
        let own = medium.receives == Some(Receives::Itself) && !gone;
        let own = if own { " (only own messages)" } else { "" };
        (tone, format!("{no}{since}{own}"))
    }

    fn many(&self, node: &NodeReport, media: &[MediumView], screen: &mut Screen) {
        screen.head("LINKS");
        screen.add(Tone::Head, format!("  {} hears", node.name));
        let names = width(peers(node).map(|peer| peer.name.as_str()));
        for peer in peers(node) {
            screen.plain(format!("  {:<names$}", peer.name));
            for medium in media {
                let (tone, text) = self.hears(peer, medium);
                screen.add(Tone::Plain, format!("  {} ", medium.name));
                screen.add(tone, text);
            }
            if peer.receives_this_node == Some(false) {
                screen.add(Tone::Bad, format!("  does NOT hear {}", node.name));
            }
        }
        for medium in media.iter().filter(|it| !it.open || it.trouble.is_some()) {
            screen.plain(format!("  {}", name_of(medium)));
            add_fault(medium, screen);
        }
    }

    fn groups(&self, node: &NodeReport, groups: &[GroupView], screen: &mut Screen) {
        if groups.is_empty() {
            return;
        }
        screen.head("GROUPS");
        let names = width(groups.iter().map(|group| group.key.as_str()));
        for group in groups {
            screen.plain(format!("  {:<names$}  ", group.key));
            let (tone, text) = state_of(node, group);
            screen.add(tone, text);
            screen.add(Tone::Plain, self.since_when(node, group));
            screen.add(Tone::Plain, monitor::all_checked(group).unwrap_or_default());
            if group.resources.len() > 1 {
                let more = group.resources.iter().skip(1);
                let more: Vec<&str> = more.map(String::as_str).collect();
                screen.plain(format!("    then {}", more.join(" ")));
            }
            for (state, text) in monitor::troubles(group) {
                let tone = tone_of(state.max(State::Warning));
                screen.line().add(tone, format!("    {text}"));
            }
            if let (Some(said), false) = (&group.said, group.busy) {
                screen.plain(format!("    {said}"));
            }
        }
    }

    /// Since when it is so, and its owner if it runs elsewhere.
    fn since_when(&self, node: &NodeReport, group: &GroupView) -> String {
        let runs = group.runs_on.as_deref();
        let mut text = match (group.place, group.changed_unix_s, &group.last) {
            (Place::Here, Some(at), Some(GroupAnswer::Started)) => {
                format!(" since {}", self.when(at))
            }
            (Place::Here, None, _) => match node.began_unix_s {
                0 => String::new(),
                began => format!(" since before {}", self.when(began)),
            },
            (Place::Other, Some(at), Some(GroupAnswer::Stopped)) => {
                format!(", stopped on {} at {}", node.name, self.when(at))
            }
            (_, Some(at), Some(last)) if is_failure(last) => format!(", at {}", self.when(at)),
            _ => String::new(),
        };
        if runs.is_some_and(|name| name != group.owner) {
            text.push_str(&format!("; its owner is {}", group.owner));
        }
        text
    }

    fn last_move(&self, node: &NodeReport, screen: &mut Screen) {
        if node.rscstatus.is_none() {
            return;
        }
        screen.head(format!("LAST MOVE of {}", node.name));
        screen.add(Tone::Plain, "  (all decisions: systole why)");
        match (&node.last_move, node.began_unix_s) {
            (Some(last), _) => {
                let at = self.when(last.unix_s);
                screen.plain(format!("  {at}  {}: {}", last.what, last.cause));
            }
            (None, 0) => drop(screen.plain("  none since the daemon began")),
            (None, began) => {
                let began = self.when(began);
                screen.plain(format!("  none since the daemon began at {began}"));
            }
        }
    }
}

/// Most lines about what is waited for.
const MAX_WAITS: usize = 3;

/// Local date and time.
pub(super) fn full_time(unix_s: u64) -> String {
    let time = sys::local_time(unix_s);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        time.year, time.month, time.day, time.hour, time.minute, time.second,
    )
}

fn runs_groups(count: usize) -> String {
    match count {
        0 => "runs no group".to_owned(),
        1 => "runs 1 group".to_owned(),
        more => format!("runs {more} groups"),
    }
}

/// Why a medium does not work.
fn add_fault(medium: &MediumView, screen: &mut Screen) {
    if !medium.open {
        let reason = medium.reason.as_deref().unwrap_or("not opened yet");
        screen.add(Tone::Bad, "NOT OPEN");
        screen.add(Tone::Plain, format!(": {reason} (trying again)"));
    } else if let Some(trouble) = &medium.trouble {
        screen.add(Tone::Bad, "  CANNOT SEND");
        screen.add(Tone::Plain, format!(": {trouble}"));
    }
}

/// Whether the other node hears this one on a medium, as far as it tells.
fn is_heard(peer: &PeerReport, medium: &MediumView, media: &[MediumView]) -> (Tone, String) {
    let systole = peer.program.as_deref() == Some("systole");
    let told = systole || media.len() == 1;
    match peer.receives_this_node {
        _ if peer.left || peer.status == "dead" => (Tone::Plain, "-".to_owned()),
        None => (Tone::Warn, "not known".to_owned()),
        Some(false) => (Tone::Bad, "NO".to_owned()),
        Some(true) if peer.deaf_on.contains(&medium.name) => (Tone::Bad, "NO".to_owned()),
        Some(true) if told => (Tone::Good, "yes".to_owned()),
        Some(true) => (Tone::Plain, "yes, here or on another".to_owned()),
    }
}

const fn is_failure(answer: &GroupAnswer) -> bool {
    matches!(
        answer,
        GroupAnswer::StartFailed { .. }
            | GroupAnswer::AddressTaken { .. }
            | GroupAnswer::StopFailed { .. }
    )
}

/// Where a group runs, or why it does not.
fn state_of(node: &NodeReport, group: &GroupView) -> (Tone, String) {
    if group.unanswered {
        let text =
            "NOBODY ANSWERS for its addresses, although the other node holds it: systole why";
        return (Tone::Bad, text.to_owned());
    }
    if group.busy {
        let word = if group.wanted { "started" } else { "stopped" };
        return (Tone::Warn, format!("is being {word} on {}", node.name));
    }
    if !group.absent.is_empty() {
        let addresses = group.absent.join(", ");
        let text = format!("ADDRESS GONE: {addresses} is not on this host: systole why");
        return (Tone::Bad, text);
    }
    let failed = group.last.as_ref().and_then(|last| match last {
        GroupAnswer::StartFailed { resource, code } => {
            Some(format!("FAILED: start of {resource} ended with {code}"))
        }
        GroupAnswer::AddressTaken { claim } => Some(format!(
            "NOT STARTED: another host has its address: {claim}"
        )),
        GroupAnswer::StopFailed { resource } => {
            Some(format!("FAILED: {resource} cannot be stopped"))
        }
        _ => None,
    });
    let moves = node.rscstatus.as_deref() == Some("transition");
    match (group.place, &group.runs_on, failed) {
        // A node that gives a group away says so when all of it is done.
        (Place::Other, Some(there), None) if moves => {
            (Tone::Warn, format!("runs on {there}, by its last report"))
        }
        (Place::Other, Some(there), None) => (Tone::Good, format!("runs on {there}")),
        (Place::Other, Some(there), Some(failed)) => {
            (Tone::Warn, format!("runs on {there}; here {failed}"))
        }
        (_, _, Some(failed)) => (Tone::Bad, failed),
        (Place::Here, ..) => (Tone::Good, format!("runs on {}", node.name)),
        (Place::Nowhere, ..) if check::is_settled(node) => {
            (Tone::Bad, "RUNS ON NO NODE".to_owned())
        }
        (Place::Nowhere, ..) => (Tone::Warn, "runs on no node yet".to_owned()),
        (Place::Other | Place::Unknown, ..) => {
            let text = "does not run here; not known whether it runs on the other node";
            (Tone::Warn, text.to_owned())
        }
    }
}

/// The fencing devices and the watchdog.
fn guards(view: &View, screen: &mut Screen) {
    let lines: Vec<String> = view.fencing.iter().flat_map(fence::brief).collect();
    if !lines.is_empty() {
        screen.head("FENCING");
    }
    for line in lines {
        screen.plain(format!("  {line}"));
    }
    if let Some(watchdog) = &view.watchdog {
        screen.line();
        state_of_watchdog(watchdog, screen);
    }
    if let Some(lease) = &view.lease {
        screen.line();
        state_of_lease(lease, screen);
    }
}

fn state_of_lease(lease: &LeaseReport, screen: &mut Screen) {
    screen.line().add(Tone::Head, "LEASE");
    let mut parts = vec![format!("{} s", lease.seconds)];
    for (those, words) in [
        (&lease.renewed, "renewed"),
        (&lease.ran_out, "RAN OUT"),
        (&lease.without, "NO LEASE: systole doctor"),
    ] {
        if !those.is_empty() {
            parts.push(format!("{}: {words}", those.join(", ")));
        }
    }
    screen.add(Tone::Plain, format!("  {}", parts.join("; ")));
}

fn state_of_watchdog(watchdog: &WatchdogReport, screen: &mut Screen) {
    let device = &watchdog.device;
    screen.line().add(Tone::Head, "WATCHDOG");
    let state = match (&watchdog.trouble, watchdog.armed, watchdog.interval_s) {
        (Some(trouble), ..) => format!("CRIT: {trouble}"),
        (None, true, Some(seconds)) => {
            format!("armed, restarts this machine after {seconds} s without a heartbeat")
        }
        (None, true, None) => "armed, its interval is not known".to_owned(),
        (None, false, _) => "not armed".to_owned(),
    };
    screen.add(Tone::Plain, format!("  {device}: {state}"));
}

#[cfg(test)]
mod tests;
