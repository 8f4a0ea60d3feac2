//! Programs that ha.cf starts, and their requirements.

use std::path::Path;

use super::{Finding, Subject};
use crate::config::types::{RespawnConfig, Written};
use crate::protocol::settings::AutoFailback;

/// The programs that ha.cf starts, each with its line and its name without directories.
fn children<'s>(
    subject: &'s Subject<'_>,
) -> impl Iterator<Item = (&'s Written, &'s RespawnConfig, &'s str)> {
    // Cluster-manager mode adds programs without a line of their own.
    let lines = subject.lines(&["respawn", "failfast"]);
    lines.filter_map(|line| {
        let child = subject.config.respawn.iter().find(|child| {
            let mut words = line.value.split_ascii_whitespace();
            words.next() == Some(child.user.as_str())
                && words.next() == child.command.split_ascii_whitespace().next()
        })?;
        let program = child.command.split_ascii_whitespace().next()?;
        let name = Path::new(program).file_name()?.to_str()?;
        Some((line, child, name))
    })
}

/// What decides by ping nodes, as `file:line: line`: a program, and our own ipfail.
fn ipfails(subject: &Subject<'_>) -> Vec<(String, &'static str)> {
    let mut found: Vec<(String, &'static str)> = children(subject)
        .filter(|(_, _, name)| *name == "ipfail")
        .map(|(line, ..)| (line.place.clone(), "ipfail"))
        .collect();
    let settings = &subject.config.settings;
    let file = subject.paths.settings.display().to_string();
    if settings.ipfail && subject.config.manage_resources {
        found.push((file, "ipfail = \"on\""));
    }
    found
}

pub(super) fn ipfail_without_ping(subject: &Subject<'_>) -> Vec<Finding> {
    if !subject.config.pings.is_empty() {
        return Vec::new();
    }
    let mut users = ipfails(subject);
    if subject.config.settings.isolation_release {
        let file = subject.paths.settings.display().to_string();
        users.push((file, "isolation_release = \"on\""));
    }
    users
        .into_iter()
        .map(|(place, what)| {
            let text = format!("{what}: ha.cf names no ping node: it has nothing to decide by");
            Finding::new(place, text)
        })
        .collect()
}

pub(super) fn ipfail_with_legacy_failback(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.config.auto_failback != AutoFailback::Legacy {
        return Vec::new();
    }
    ipfails(subject)
        .into_iter()
        .map(|(place, what)| {
            let text = format!(
                "{what}: ipfail does not work with auto_failback legacy: write auto_failback on or \
                 off"
            );
            Finding::new(place, text)
        })
        .collect()
}

/// A program signs on under its own name, and only users whom `apiauth` names may do that.
pub(super) fn shut_out_by_apiauth(subject: &Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (line, child, name) in children(subject) {
        let Some(rule) = subject.config.api_auth.get(name) else {
            continue;
        };
        let Some(user) = subject.host.user_id(&child.user) else {
            continue;
        };
        let group = subject.host.primary_group(&child.user);
        let allowed =
            rule.uids.contains(&user) || group.is_some_and(|group| rule.gids.contains(&group));
        if allowed {
            continue;
        }
        let written = subject
            .lines(&["apiauth"])
            .find(|line| line.value.split_ascii_whitespace().next() == Some(name));
        let by = written.map_or_else(
            || "without an apiauth line for it".to_owned(),
            |line| format!("by the apiauth line ({})", line.place),
        );
        let text = format!(
            "{}: {} may not sign on as {name} {by}: the program would be started again and again",
            line.directive, child.user
        );
        found.push(Finding::new(&line.place, text));
    }
    found
}
