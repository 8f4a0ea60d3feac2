//! What becomes of the lines of `systole.toml`.

use super::Target;
use super::agent::{Meaning, meaning};
use super::facts::Facts;
use super::ledger::{Fate, File, Ledger};
use crate::config::monitors::{Check, MonitorSettings};
use crate::protocol::monitor::Then;

use Fate::{Carried, Lost, NotNeeded};

/// A line with the key that it belongs to.
struct Line {
    number: usize,
    key: String,
    value: String,
    /// Of which `[[monitor]]` block, from 0.
    block: Option<usize>,
    /// The line that it continues.
    continues: Option<usize>,
}

/// Says of each line what has become of it.
pub(super) fn account(target: Target, facts: &Facts<'_>, ledger: &mut Ledger) {
    let monitors = &facts.config.settings.monitors;
    for line in lines(facts.settings) {
        let place = (File::Settings, line.number);
        if let Some(first) = line.continues {
            ledger.carried(place, format!("continues line {first}"));
            continue;
        }
        match line.block {
            Some(block) => match monitors.get(block) {
                Some(monitor) => of_monitor(target, facts, monitor, &line, ledger),
                None => ledger.lost(place, "it cannot be understood here"),
            },
            None if line.key == "monitor" => {
                // An array of tables in one line.
                for monitor in monitors {
                    for key in ["resource", "check", "failures", "then"] {
                        let line = Line {
                            key: key.to_owned(),
                            value: String::new(),
                            block: Some(0),
                            ..line
                        };
                        of_monitor(target, facts, monitor, &line, ledger);
                    }
                }
            }
            None => {
                let (fate, text) = of_key(target, facts, &line);
                ledger.note(place, fate, text);
            }
        }
    }
}

/// The lines that are no comment.
fn lines(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut block: Option<usize> = None;
    let mut open = 0_i64;
    let mut first = 0;
    for (number, text) in (1..).zip(text.lines()) {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let mut line = Line {
            number,
            key: String::new(),
            value: String::new(),
            block,
            continues: None,
        };
        if open > 0 {
            line.continues = Some(first);
            open = open.saturating_add(depth(text));
        } else if text.starts_with('[') {
            block = Some(block.map_or(0, |it| it.saturating_add(1)));
            line.block = block;
            line.key = "resource".to_owned();
            first = number;
        } else if let Some((key, value)) = text.split_once('=') {
            line.key = key.trim().trim_matches(['"', '\'']).to_owned();
            value.trim().clone_into(&mut line.value);
            open = depth(value).max(0);
            first = number;
        }
        lines.push(line);
    }
    lines
}

/// How many brackets a text opens and does not close, outside of strings and comments.
fn depth(text: &str) -> i64 {
    let mut depth = 0_i64;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') => break,
            (None, '[' | '{') => depth = depth.saturating_add(1),
            (None, ']' | '}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
    }
    depth
}

/// A setting that is no monitor.
fn of_key(target: Target, facts: &Facts<'_>, line: &Line) -> (Fate, &'static str) {
    let is = |word: &str| line.value.contains(word);
    let off = is("\"off\"") || is("'off'");
    let pacemaker = target == Target::Pacemaker;
    match line.key.as_str() {
        "script_time_limit_s" if pacemaker => {
            (Carried, "cib.xml: timeout of start and stop of each script")
        }
        "script_time_limit_s" | "script_kill_after_s" => {
            (NotNeeded, "the target ends agents in its own way")
        }
        "native_addresses" => (NotNeeded, "the target has its own agent for addresses"),
        "guardian" => (NotNeeded, "systemd starts the target again"),
        "ipfail" if off => (NotNeeded, "it is off"),
        "ipfail" if target == Target::Corosync => (Lost, "corosync moves no resources"),
        "ipfail" if pacemaker => (
            Carried,
            "cib.xml: rules by which groups go where more ping nodes answer",
        ),
        "ipfail" if facts.config.auto_failback == crate::protocol::settings::AutoFailback::Off => (
            Lost,
            "with nopreempt (auto_failback off) keepalived moves nothing when a priority falls",
        ),
        "ipfail" => (Carried, "keepalived-NODE.conf vrrp_script with a weight"),
        "address_probe" if off => (NotNeeded, "it is off, and the target asks nobody"),
        "address_probe" => (
            Lost,
            "the target does not ask the network for an address before it takes it",
        ),
        "stray_addresses" if is("ignore") => (NotNeeded, "it is off"),
        "stray_addresses" => (
            Lost,
            "the target does not look for addresses that it does not hold",
        ),
        "address_guard" if off => (NotNeeded, "it is off"),
        "address_guard" if pacemaker => {
            (Carried, "cib.xml: the monitor of each address, every 10 s")
        }
        "address_guard" if target == Target::Keepalived => {
            (Carried, "keepalived watches its addresses")
        }
        "address_guard" => (Lost, "corosync runs no resources"),
        "address_lease" if off => (NotNeeded, "it is off"),
        "address_lease" => (
            Lost,
            "addresses of the target have no lifetime: they stay when it hangs",
        ),
        "isolation_release" if off => (NotNeeded, "it is off"),
        "isolation_release" => (
            Lost,
            "the target does not release because no ping node answers; it fences, or has quorum",
        ),
        "fence_delay" if pacemaker => (Carried, "cib.xml priority-fencing-delay"),
        "fence_time_limit_s" if pacemaker => (Carried, "cib.xml stonith-timeout"),
        "fence_by_watchdog" if line.value == "0" => (NotNeeded, "it is off"),
        "fence_by_watchdog" => (Lost, "sbd is the counterpart, and has to be set up by hand"),
        "fence_delay" | "fence_time_limit_s" => (Lost, "the target cannot fence"),
        "media_required" => (
            NotNeeded,
            "the target starts with the interfaces that are there",
        ),
        "watchdog_required" if is("true") => (Lost, "nothing feeds the watchdog"),
        "watchdog_required" | "accept_without" => (NotNeeded, "it is off, or has no effect"),
        _ => (Lost, "nothing in the target corresponds to it"),
    }
}

/// A line of a `[[monitor]]` block.
fn of_monitor(
    target: Target,
    facts: &Facts<'_>,
    monitor: &MonitorSettings,
    line: &Line,
    ledger: &mut Ledger,
) {
    let place = (File::Settings, line.number);
    if target != Target::Pacemaker {
        ledger.lost(place, "the target does not run what is checked");
        return;
    }
    let word = monitor
        .find(&facts.config.groups)
        .map(|(_, word)| word.to_owned());
    let word = word.unwrap_or_else(|_| monitor.resource.clone());
    if !matches!(meaning(&word, facts), Meaning::Agent(_)) {
        ledger.lost(place, "cib.xml does not have what is checked");
        return;
    }
    // Values that are not written stand on the line of the resource.
    let of_block = line.key == "resource";
    let written = |key: &str| {
        let mut lines = lines(facts.settings).into_iter();
        lines.any(|it| it.block == line.block && it.key == key && it.continues.is_none())
    };
    for key in [
        "check",
        "interval_s",
        "timeout_s",
        "failures",
        "restarts",
        "restart_window_s",
        "then",
    ] {
        if line.key == key || (of_block && !written(key)) {
            let (fate, text) = of_monitor_key(monitor, key);
            if line.key == key || fate == Lost {
                ledger.note(place, fate, text);
            }
        }
    }
    if of_block {
        ledger.carried(place, format!("cib.xml: op monitor of {word}"));
    }
}

fn of_monitor_key(monitor: &MonitorSettings, key: &str) -> (Fate, &'static str) {
    let rules = &monitor.rules;
    let moves = rules.then == Then::Move;
    match key {
        "check" if monitor.check == Check::Status => (Carried, "cib.xml: the monitor of the agent"),
        "check" => (
            Lost,
            "Pacemaker asks the agent only, and the exit code counts",
        ),
        "interval_s" | "timeout_s" => (Carried, "cib.xml op monitor"),
        "failures" if rules.failures == 1 => (Carried, "Pacemaker acts on the first bad check"),
        "failures" => (
            Lost,
            "Pacemaker acts on the first bad check, and not on several in a row",
        ),
        "restarts" | "restart_window_s" if moves => {
            (Carried, "cib.xml migration-threshold and failure-timeout")
        }
        "then" if moves => (Carried, "cib.xml migration-threshold"),
        "then" if rules.then == Then::Stop => (Carried, "cib.xml op monitor on-fail=stop"),
        "then" => (
            Carried,
            "Pacemaker restarts it in place without a migration-threshold",
        ),
        "restarts" if rules.then == Then::Stop && rules.restarts > 0 => (
            Lost,
            "Pacemaker stops it at the first failure (on-fail=stop), without a restart before",
        ),
        _ => (NotNeeded, "nothing is counted"),
    }
}
