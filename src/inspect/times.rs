//! Lines of ha.cf about times, failback, the watchdog and log files.

use std::path::Path;

use super::{Finding, Subject};
use crate::config::environment::PathKind;
use crate::protocol::settings::AutoFailback;

pub(super) fn warntime_too_long(subject: &Subject<'_>) -> Vec<Finding> {
    let timing = &subject.config.timing;
    if timing.warntime < timing.deadtime {
        return Vec::new();
    }
    let text = format!(
        "warntime: {} ms is not below deadtime ({} ms): a late heartbeat is never warned of",
        timing.warntime.as_millis(),
        timing.deadtime.as_millis()
    );
    vec![Finding::new(subject.place_of("warntime"), text)]
}

pub(super) fn failback_legacy(subject: &Subject<'_>) -> Vec<Finding> {
    let config = subject.config;
    if !config.manage_resources || config.auto_failback != AutoFailback::Legacy {
        return Vec::new();
    }
    // Its own line explains what it means.
    if subject.lines(&["nice_failback"]).next().is_some() {
        return Vec::new();
    }
    let text = if subject.lines(&["auto_failback"]).next().is_some() {
        "auto_failback legacy is obsolete: write on or off"
    } else {
        "auto_failback: no line; this means legacy, which is obsolete: write on or off"
    };
    vec![Finding::new(subject.place_of("auto_failback"), text)]
}

/// It is not opened here: that would arm it.
pub(super) fn watchdog(subject: &Subject<'_>) -> Vec<Finding> {
    let device = subject.config.watchdog.as_deref();
    let missing = device.filter(|path| subject.host.path_kind(path) == PathKind::Missing);
    let then = match subject.config.settings.watchdog_required {
        true => "the node does not start",
        false => "the node starts without it",
    };
    let finding = |path: &Path| {
        let text = format!(
            "watchdog: {} does not exist: unless a kernel module (softdog) makes it, {then}",
            path.display()
        );
        Finding::new(subject.place_of("watchdog"), text)
    };
    missing.into_iter().map(finding).collect()
}

/// A missing log file is created, a missing directory is not.
pub(super) fn log_directory(subject: &Subject<'_>) -> Vec<Finding> {
    let log = &subject.config.log;
    let files = [("logfile", &log.logfile), ("debugfile", &log.debugfile)];
    let mut found = Vec::new();
    for (directive, file) in files {
        let directory = file.as_deref().and_then(Path::parent);
        let Some(directory) = directory.filter(|directory| !directory.as_os_str().is_empty())
        else {
            continue;
        };
        if subject.host.path_kind(directory) == PathKind::Missing {
            let text = format!(
                "{directive}: the directory {} does not exist: nothing would be logged there",
                directory.display()
            );
            let fix = format!("mkdir -p {}", directory.display());
            found.push(Finding::new(subject.place_of(directive), text).fixed_by(fix));
        }
    }
    found
}
