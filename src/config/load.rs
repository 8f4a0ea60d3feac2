//! Reads and checks all configuration files in the legacy order.
//!
//! Spec: docs/protocol/config.md, 3 and 10.

use std::io;

use super::authkeys;
use super::checks;
use super::draft::{Draft, shown_path};
use super::environment::Environment;
use super::haresources;
use super::media;
use super::report::{Refusal, Report};
use super::settings::Settings;
use super::types::{Config, LogConfig, Sources};
use crate::notice::Notice;
use crate::os::paths::Paths;
use crate::protocol::auth::KeyRing;
use crate::protocol::fencing::FenceSettings;
use crate::protocol::name::NodeName;
use crate::version::LEGACY_VERSION;

/// Exit code of a refused configuration.
const EXIT_REFUSED: u8 = 6;
/// Exit code when the reason is a missing permission.
const EXIT_NO_PERMISSION: u8 = 4;
/// Exit code of a refused reload.
const EXIT_NOT_RELOADED: u8 = 1;

/// Longest line of `nodeinfo` in bytes. Spec: docs/protocol/config.md, 2.5.
const MAX_NODEINFO_BYTES: usize = 255;

/// The purpose for which the files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// To start.
    #[default]
    Start,
    /// To continue with running groups: after a restart in place, or after the death of a daemon.
    Resume,
    /// To check whether a running daemon may read them again (`-r`).
    Reload,
    /// To check them only (`-t`).
    Check,
}

/// The options of the command line that concern the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
    /// The purpose.
    pub purpose: Purpose,
    /// `false` with `-M`.
    pub manage_resources: bool,
    /// `false` with `-l`.
    pub realtime: bool,
    /// How often `-d` was given.
    pub debug: u8,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            purpose: Purpose::Start,
            manage_resources: true,
            realtime: true,
            debug: 0,
        }
    }
}

/// A configuration that may be started.
#[derive(Debug)]
pub struct Loaded {
    /// The content of the files. Its `remarks` are the log lines of the check, in order.
    pub config: Config,
    /// Keys.
    pub keys: KeyRing,
    /// The lines that it was made from.
    pub sources: Sources,
}

/// A configuration that may not be started.
#[derive(Debug)]
pub struct ConfigFailure {
    /// Exit code for `main`.
    pub exit_code: u8,
    /// All errors, in order.
    pub lines: Vec<Notice>,
    /// Log targets that `ha.cf` names, so that the errors are logged there too.
    pub log: LogConfig,
}

/// Reads the files below `paths.ha_dir` and our own settings, and checks them.
///
/// # Errors
/// [`ConfigFailure`] with every error of the run and the exit code.
pub fn load(
    paths: &Paths,
    env: &dyn Environment,
    options: &LoadOptions,
) -> Result<Loaded, Box<ConfigFailure>> {
    let local = local_name(paths, env);
    let mut run = Run {
        paths,
        env,
        options,
        denied: false,
    };
    let mut draft = Draft::new(env, paths, &local, options.debug);
    if options.purpose == Purpose::Check {
        draft.report = Report::of_check();
    }
    let Some(ha_cf) = run.read_ha_cf(&mut draft.report) else {
        return Err(run.refuse(draft, "Heartbeat not started: configuration error."));
    };
    draft.read(&ha_cf);
    let settings = run.read_settings(&mut draft.report);
    media::judge_absent(&mut draft, settings.media_required);
    if draft.report.failed() {
        return Err(run.refuse(draft, "Heartbeat not started: configuration error."));
    }
    let Some(keys) = run.read_authkeys(&mut draft.report) else {
        return Err(run.refuse(draft, "Authentication configuration error."));
    };
    let (timing, local) = checks::finish(&mut draft, options.manage_resources);
    if !draft.report.failed() {
        run.say_validated(&mut draft.report);
    }
    let manage_resources = options.manage_resources && draft.pacemaker != Some(true);
    let (groups, haresources) = if manage_resources {
        run.read_haresources(&mut draft)
    } else {
        Default::default()
    };
    let (false, Some(local)) = (draft.report.failed(), local) else {
        return Err(run.fail(draft));
    };
    let least = FenceSettings::least_by_watchdog(&timing);
    if settings.fence_by_watchdog.is_some_and(|time| time < least) {
        let least = least.as_millis().div_ceil(1000);
        draft.report.warn(format!(
            "fence_by_watchdog is shorter than the other node's watchdog may take: {least} s"
        ));
    }
    for line in &draft.without_effect {
        draft
            .report
            .warn(format!("{line}: accepted, but without effect"));
    }
    let sources = Sources {
        ha_cf: draft.written,
        haresources,
    };
    let config = Config {
        local,
        nodes: draft.nodes,
        node_table: draft.node_table,
        media: draft.media,
        channels: draft.channels,
        pings: draft.pings,
        timing,
        hopfudge: draft.hopfudge,
        autojoin: draft.autojoin,
        manage_resources,
        auto_failback: draft.auto_failback,
        groups,
        message_format: draft.message_format,
        compression: draft.compression,
        generation_method: draft.generation_method,
        uuid_from: draft.uuid_from,
        log: draft.log,
        log_bad_packets: draft.log_bad_packets,
        respawn: draft.respawn,
        fence_devices: draft.fence_devices,
        api_auth: draft.api_auth,
        env: draft.env,
        parameters: draft.parameters,
        realtime: draft.realtime && options.realtime,
        realtime_priority: draft.realtime_priority,
        memreserve_kb: draft.memreserve_kb,
        watchdog: draft.watchdog,
        core_root: draft.core_root,
        without_effect: draft.without_effect,
        remarks: draft.report.into_lines(),
        settings,
    };
    Ok(Loaded {
        config,
        keys,
        sources,
    })
}

/// Reads only the keys, for a running daemon that gets new ones; returns them with the warnings.
///
/// # Errors
/// The errors, in order. The running daemon then keeps its old keys.
/// Spec: docs/protocol/config.md, 5.3.
pub fn load_keys(
    paths: &Paths,
    env: &dyn Environment,
) -> Result<(KeyRing, Vec<Notice>), Vec<Notice>> {
    let options = LoadOptions::default();
    let mut run = Run {
        paths,
        env,
        options: &options,
        denied: false,
    };
    let mut report = Report::default();
    match run.read_authkeys(&mut report) {
        Some(keys) => Ok((keys, report.into_lines())),
        None => Err(report.into_lines()),
    }
}

/// The first line of `nodeinfo` if a newline ends it, else the kernel's host name, unchanged.
///
/// Spec: docs/protocol/config.md, 2.5.
pub fn local_name(paths: &Paths, env: &dyn Environment) -> String {
    let nodeinfo = env
        .read_file(&paths.ha_dir.join("nodeinfo"))
        .ok()
        .and_then(|file| {
            let end = file.bytes.iter().position(|byte| *byte == b'\n')?;
            let line = file.bytes.get(..end.min(MAX_NODEINFO_BYTES))?;
            let name = std::str::from_utf8(line).ok()?.trim_end_matches('\r');
            Some(name.to_owned())
        });
    nodeinfo.unwrap_or_else(|| env.host_name())
}

struct Run<'a> {
    paths: &'a Paths,
    env: &'a dyn Environment,
    options: &'a LoadOptions,
    /// A file could not be read for want of permission.
    denied: bool,
}

impl ConfigFailure {
    /// Refuses because of the errors in `report`. `denied`: a file could not be read for want of
    /// permission.
    #[must_use]
    pub fn of(mut report: Report, purpose: Purpose, denied: bool, log: LogConfig) -> Self {
        let exit_code = match purpose {
            _ if denied => EXIT_NO_PERMISSION,
            Purpose::Reload => EXIT_NOT_RELOADED,
            Purpose::Start | Purpose::Resume | Purpose::Check => EXIT_REFUSED,
        };
        if purpose != Purpose::Reload {
            report.error("Configuration error, heartbeat not started.");
        }
        Self {
            exit_code,
            lines: report.into_lines(),
            log,
        }
    }
}

impl Run<'_> {
    fn fail(&self, draft: Draft<'_>) -> Box<ConfigFailure> {
        let purpose = self.options.purpose;
        let failure = ConfigFailure::of(draft.report, purpose, self.denied, draft.log);
        Box::new(failure)
    }

    /// As [`fail`](Self::fail), after a last line.
    fn refuse(&self, mut draft: Draft<'_>, last: &str) -> Box<ConfigFailure> {
        draft.report.error(last);
        self.fail(draft)
    }

    fn say_validated(&self, report: &mut Report) {
        match self.options.purpose {
            Purpose::Start | Purpose::Resume => {
                report.info("**************************");
                report.info(format!(
                    "Configuration validated. Starting heartbeat {LEGACY_VERSION}"
                ));
            }
            Purpose::Reload | Purpose::Check => {}
        }
    }

    fn note_error(&mut self, error: &io::Error) {
        self.denied |= error.kind() == io::ErrorKind::PermissionDenied;
    }

    /// `None`: the file cannot be opened. A file that opens but cannot be read (a directory) counts
    /// as empty, as in the legacy program.
    fn read_ha_cf(&mut self, report: &mut Report) -> Option<Vec<u8>> {
        let path = self.paths.ha_cf();
        let shown = shown_path(self.paths, "ha.cf");
        match self.env.read_file(&path) {
            Ok(file) => Some(file.bytes),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                report.warn(format!("{}: {error}; read as empty", path.display()));
                Some(Vec::new())
            }
            Err(error) => {
                self.note_error(&error);
                let refusal = Refusal::legacy(
                    format!("Cannot open config file [{shown}]"),
                    error.to_string(),
                );
                report.refuse(&path.display().to_string(), refusal);
                tell_of_sample(report, &shown);
                None
            }
        }
    }

    fn read_authkeys(&mut self, report: &mut Report) -> Option<KeyRing> {
        let path = self.paths.authkeys();
        let place = path.display().to_string();
        let shown = shown_path(self.paths, "authkeys");
        let text = match self.env.read_file(&path) {
            Ok(file) => {
                let own = self.env.effective_uid();
                if !authkeys::check_permissions(report, &shown, file.mode, file.owner, own) {
                    return None;
                }
                zeroize::Zeroizing::new(file.bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                report.warn(format!("{place}: {error}; read as empty"));
                zeroize::Zeroizing::default()
            }
            Err(error) => {
                self.note_error(&error);
                let refusal = Refusal::legacy(
                    format!("Cannot open keyfile [{shown}].  Stop."),
                    error.to_string(),
                );
                report.refuse(&place, refusal);
                return None;
            }
        };
        authkeys::read(report, &shown, &place, &text)
    }

    fn read_settings(&mut self, report: &mut Report) -> Settings {
        let path = &self.paths.settings;
        match self.env.read_file(path) {
            Ok(file) => match Settings::read(path, &file.bytes) {
                Ok(settings) => return settings,
                Err(error) => report.error(error.to_string()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                self.note_error(&error);
                report.error(format!("{}: {error}", path.display()));
            }
        }
        Settings::default()
    }

    fn read_haresources(
        &mut self,
        draft: &mut Draft<'_>,
    ) -> (Vec<crate::protocol::group::ResourceGroup>, String) {
        let path = self.paths.haresources();
        let place = path.display().to_string();
        let shown = shown_path(self.paths, "haresources");
        let file = match self.env.read_file(&path) {
            Ok(file) => file,
            Err(error) => {
                self.note_error(&error);
                let refusal = Refusal::legacy(
                    format!("Cannot open resources file [{shown}]"),
                    error.to_string(),
                );
                draft.report.refuse(&place, refusal);
                tell_of_sample(&mut draft.report, &shown);
                return Default::default();
            }
        };
        let text = String::from_utf8_lossy(&file.bytes).into_owned();
        let is_node =
            |name: &str| NodeName::new(name).is_ok_and(|name| draft.node_table.contains(&name));
        if let Err((line, refusal)) = haresources::check_nodes(&text, &shown, is_node) {
            draft.report.refuse(&format!("{place}:{line}"), refusal);
            return Default::default();
        }
        let groups = haresources::groups(&mut draft.report, &place, &text);
        (groups, text)
    }
}

fn tell_of_sample(report: &mut Report, shown: &str) {
    report.info(format!(
        "An annotated sample {shown} file is provided in the documentation."
    ));
    report.info(format!(
        "Please copy it to {shown}, read it, customize it, and try again."
    ));
}
