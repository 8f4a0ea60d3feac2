//! `systole status`: one screen of what this node does and knows. A healthy pair with three groups and
//! two media fits 80 columns and 24 lines. What is said, and in which words: [`parts`].

use super::check::State;
use super::fence;
use super::screen::{Layout, Screen, Tone};
use crate::clients::control::{DecisionReport, LeaseReport, View, WatchdogReport};
use crate::os::sys;

pub mod parts;

use parts::{Fault, GroupRow, Links, ManyLinks, NodeRow, PairLinks, Parts};

/// The screen for this view. `now_unix_s`: seconds since 1970.
#[must_use]
pub fn screen(view: &View, now_unix_s: u64) -> Screen {
    let said = Parts::of(view, now_unix_s);
    let mut screen = Screen::default();
    let name = view.node.as_ref().map_or("", |node| node.name.as_str());
    let comma = if name.is_empty() { "" } else { ", " };
    screen.plain(format!("{name}{comma}{}", full_time(now_unix_s)));
    verdict(&said, &mut screen);
    if view.node.is_some() {
        nodes(&said.keys, &said.nodes, &mut screen);
        links(&said.links, &mut screen);
    }
    guards(view, &mut screen);
    groups(&said.groups, &mut screen);
    if let Some(last) = &said.last_move {
        screen.head(format!("LAST MOVE of {name}"));
        screen.add(Tone::Plain, "  (all decisions: systole why)");
        screen.plain(format!("  {last}"));
    }
    screen
}

/// Adds what `systole why` says, the newest first; or why it says nothing.
pub fn add_decisions(
    decisions: &Result<Vec<DecisionReport>, String>,
    now_unix_s: u64,
    screen: &mut Screen,
) {
    screen.head("DECISIONS");
    screen.add(Tone::Plain, "  the newest first");
    match decisions {
        Err(reason) => drop(screen.plain(format!("  not told: {reason}"))),
        Ok(decisions) if decisions.is_empty() => drop(screen.plain("  nothing was decided yet")),
        Ok(decisions) => {
            for it in decisions.iter().rev() {
                screen.plain(format!("  {}", parts::decision(it, now_unix_s)));
            }
        }
    }
}

/// The same as text that is not broken and has no colours.
#[must_use]
pub fn text(view: &View, now_unix_s: u64) -> String {
    screen(view, now_unix_s).text(Layout::default())
}

/// How a verdict is to be taken.
#[must_use]
pub const fn tone_of(state: State) -> Tone {
    match state {
        State::Ok => Tone::Good,
        State::Warning | State::Unknown => Tone::Warn,
        State::Critical => Tone::Bad,
    }
}

/// Width of a column of names.
fn width<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    let widest = names.map(|name| name.chars().count()).max();
    widest.unwrap_or_default().clamp(5, 24)
}

/// What `systole check` says, a line each; what is waited for, and what people have to know.
fn verdict(said: &Parts, screen: &mut Screen) {
    for (state, text) in &said.verdict {
        let word = format!("{}:", state.word());
        screen.line().add(tone_of(*state), word);
        screen.add(Tone::Plain, format!(" {text}"));
    }
    if let Some(thaw) = &said.thaw {
        screen.plain(format!("  {thaw}"));
    }
    for remark in &said.remarks {
        screen.line().add(Tone::Warn, "NOTE:");
        screen.add(Tone::Plain, format!(" {remark}"));
    }
    for wait in &said.waits {
        screen.plain(format!("  {wait}"));
    }
}

fn nodes(keys: &str, nodes: &[NodeRow], screen: &mut Screen) {
    screen.head("NODES");
    screen.add(Tone::Plain, keys);
    let names = width(nodes.iter().map(|node| node.name.as_str()));
    for node in nodes {
        screen.plain(format!("  {:<names$}  ", node.name));
        let (tone, word) = &node.state;
        screen.add(*tone, format!("{word:<7}"));
        screen.add(Tone::Plain, format!(" {}", node.facts.join(", ")));
    }
}

/// Who hears whom: one table for the other node of a pair, a line a node where there are more.
fn links(links: &Links, screen: &mut Screen) {
    match links {
        Links::None => {}
        Links::Alone(media) => {
            screen.head("LINKS");
            for (name, fault) in media {
                screen.plain(format!("  {name}  "));
                add_fault(fault.as_ref(), screen);
            }
        }
        Links::Pair(pair) => both_ways(pair, screen),
        Links::Many(links) => many(links, screen),
    }
}

fn both_ways(pair: &PairLinks, screen: &mut Screen) {
    let PairLinks { here, there, .. } = pair;
    let first = width(pair.rows.iter().map(|row| row.name.as_str()));
    let second = pair.rows.iter().flat_map(|row| &row.both);
    let second = second.map(|((_, text), _)| text.chars().count());
    let second = second.fold(here.chars().count(), usize::max);
    screen.head(format!(
        "LINKS  {:<rest$}",
        "",
        rest = first.saturating_sub(5)
    ));
    screen.add(Tone::Head, format!("  {here:<second$}  {there}"));
    for row in &pair.rows {
        screen.plain(format!("  {:<first$}  ", row.name));
        if let Some(((hears, text), (heard, other))) = &row.both {
            screen.add(*hears, text);
            let gap = second
                .saturating_sub(text.chars().count())
                .saturating_add(2);
            screen.add(Tone::Plain, " ".repeat(gap));
            screen.add(*heard, other);
        }
        if row.both.is_some() && row.fault.is_some() {
            screen.add(Tone::Plain, "  ");
        }
        add_fault(row.fault.as_ref(), screen);
    }
    if !pair.elsewhere.is_empty() {
        screen.line().add(Tone::Bad, "  NOT");
        let names = pair.elsewhere.join(", ");
        screen.add(Tone::Plain, format!(": {there} on its medium {names}"));
    }
}

fn many(links: &ManyLinks, screen: &mut Screen) {
    screen.head("LINKS");
    screen.add(Tone::Head, format!("  {}", links.here));
    let names = width(links.rows.iter().map(|row| row.name.as_str()));
    for row in &links.rows {
        screen.plain(format!("  {:<names$}", row.name));
        for (medium, (tone, text)) in &row.media {
            screen.add(Tone::Plain, format!("  {medium} "));
            screen.add(*tone, text);
        }
        if let Some(deaf) = &row.deaf {
            screen.add(Tone::Bad, format!("  {deaf}"));
        }
    }
    for (name, fault) in &links.faults {
        screen.plain(format!("  {name}  "));
        add_fault(Some(fault), screen);
    }
}

fn groups(groups: &[GroupRow], screen: &mut Screen) {
    if groups.is_empty() {
        return;
    }
    screen.head("GROUPS");
    let names = width(groups.iter().map(|group| group.key.as_str()));
    for group in groups {
        screen.plain(format!("  {:<names$}  ", group.key));
        let (tone, text) = &group.state;
        screen.add(*tone, text);
        screen.add(Tone::Plain, &group.since);
        if !group.then.is_empty() {
            screen.plain(format!("    then {}", group.then.join(" ")));
        }
        for (tone, text) in &group.troubles {
            screen.line().add(*tone, format!("    {text}"));
        }
        if let Some(said) = &group.said {
            screen.plain(format!("    {said}"));
        }
    }
}

/// Why a medium does not work.
fn add_fault(fault: Option<&Fault>, screen: &mut Screen) {
    if let Some((word, reason)) = fault {
        screen.add(Tone::Bad, word);
        screen.add(Tone::Plain, format!(": {reason}"));
    }
}

/// Local date and time.
#[must_use]
pub fn full_time(unix_s: u64) -> String {
    let time = sys::local_time(unix_s);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        time.year, time.month, time.day, time.hour, time.minute, time.second,
    )
}

/// The fencing devices, the watchdog and the lease.
pub fn guards(view: &View, screen: &mut Screen) {
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
