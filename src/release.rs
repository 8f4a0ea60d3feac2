//! What a dead daemon left running is stopped: by the guardian's program after the third death within
//! a minute, or by a service manager's call after the end of both.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use crate::config::group_lines;
use crate::config::load::Loaded;
use crate::guardian::{EXIT_GENERIC, take_lock};
use crate::ha_log::HaLog;
use crate::helper;
use crate::notice::Severity;
use crate::paths::Paths;

/// The guardian's lock, if what a daemon held is left to nobody: neither a daemon nor a guardian
/// lives, and no orderly end has taken the file of what is held away.
#[must_use]
pub fn take_orphans(paths: &Paths) -> Option<File> {
    if !paths.held().exists() {
        return None;
    }
    let guardian = take_lock(&paths.guardian_lock()).ok().flatten()?;
    // A daemon that has just lost its guardian and has not yet started another.
    let _daemon = take_lock(&paths.daemon_lock()).ok().flatten()?;
    paths.held().exists().then_some(guardian)
}

/// Releases every group in haresources by the code of `ResourceManager givegroup`, unless a daemon
/// runs. Never a success: the node is down.
#[must_use]
pub fn release(paths: &Paths, loaded: Option<&Loaded>, log: &HaLog) -> u8 {
    let Ok(Some(_lock)) = take_lock(&paths.daemon_lock()) else {
        let text = "guardian: a daemon runs: its resources are not touched";
        log.line(Severity::Warn, text);
        return EXIT_GENERIC;
    };
    let text = "guardian: the daemon is gone: releasing all resources, this node is down";
    log.line(Severity::Crit, text);
    let variable = |name: &str| {
        let targets = loaded.map(|loaded| &loaded.config.log);
        let path = |file: Option<&PathBuf>| file.map(|file| file.display().to_string());
        match name {
            "HA_LOGFILE" => targets.and_then(|log| path(log.logfile.as_ref())),
            "HA_DEBUGLOG" => targets.and_then(|log| path(log.debugfile.as_ref())),
            "HA_CURHOST" => loaded.map(|loaded| loaded.config.local.to_string()),
            _ => std::env::var(name).ok(),
        }
    };
    let haresources = fs::read(paths.haresources()).unwrap_or_default();
    for line in group_lines::read(&String::from_utf8_lossy(&haresources)) {
        let Some(key) = line.key() else {
            continue;
        };
        log.line(Severity::Info, format!("guardian: releasing {key}"));
        let mut call = helper::Call {
            program: "ResourceManager".to_owned(),
            args: vec!["givegroup".to_owned(), key.to_owned()],
            paths: paths.clone(),
            variable: &variable,
            out: &mut io::sink(),
            err: &mut io::sink(),
        };
        if helper::run("ResourceManager", &mut call) != 0 {
            let text = format!("guardian: {key} could not be released: it may still run here");
            log.line(Severity::Crit, text);
        }
    }
    let _ = fs::remove_file(paths.held());
    log.line(Severity::Crit, "guardian: all resources are released");
    EXIT_GENERIC
}
