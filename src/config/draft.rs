//! The content of `ha.cf` while it is read: the defaults of the legacy program, overwritten by one
//! directive after the other, before the checks that concern several lines.
//!
//! Spec: docs/protocol/config.md, 4.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::environment::Environment;
use super::fencing::FenceDevice;
use super::report::{Refusal, Report};
use super::types::{
    GenerationMethod, LogConfig, MediumConfig, PingConfig, RespawnConfig, UuidFrom, Written,
};
use crate::notice::Severity;
use crate::os::paths::Paths;
use crate::protocol::client::ApiAuth;
use crate::protocol::name::{NodeName, NodeNameError};
use crate::protocol::node_table::MAX_NODES;
use crate::protocol::pack::Compression;
use crate::protocol::settings::{AutoFailback, Autojoin};
use crate::protocol::wire::MessageFormat;

/// The result of a handler for one word or one whole value.
pub(super) type Verdict = Result<(), Refusal>;

/// `udpport` applies to the media after it, and each kind keeps the port of its first line.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ports {
    /// Last `udpport` line.
    pub(super) current: Option<u16>,
    pub(super) bcast: Option<u16>,
    pub(super) ucast: Option<u16>,
    pub(super) ucast6: Option<u16>,
}

/// A medium that cannot be opened now. Beside one that can be, it is opened later.
#[derive(Debug)]
pub(super) struct Absent {
    /// `file:line: directive value`.
    pub(super) place: String,
    /// What legacy says.
    pub(super) refusal: Refusal,
}

/// The content of `ha.cf` read so far. Handlers of directives write into it.
pub struct Draft<'a> {
    pub(super) env_of: &'a dyn Environment,
    pub(super) paths: &'a Paths,
    pub(super) report: Report,
    /// `file:line: directive` of the present line.
    pub(super) place: String,
    /// The same for the last good line of each directive, for the checks that concern several
    /// lines.
    pub(super) places: BTreeMap<&'static str, String>,
    /// Every accepted line.
    pub(super) written: Vec<Written>,
    pub(super) local: String,
    pub(super) nodes: Vec<NodeName>,
    pub(super) node_table: Vec<NodeName>,
    pub(super) media: Vec<MediumConfig>,
    /// Those of them whose interface or device is not there now.
    pub(super) absent: Vec<Absent>,
    pub(super) pings: Vec<PingConfig>,
    /// Where each ping node was declared, in the same order as `pings`.
    pub(super) ping_places: Vec<String>,
    pub(super) channels: Vec<(&'static str, String)>,
    pub(super) ports: Ports,
    pub(super) keepalive: Duration,
    pub(super) deadtime: Duration,
    pub(super) warntime: Option<Duration>,
    pub(super) initdead: Option<Duration>,
    pub(super) deadping: Option<Duration>,
    pub(super) max_rexmit_delay: Duration,
    pub(super) hopfudge: u8,
    pub(super) autojoin: Autojoin,
    pub(super) auto_failback: AutoFailback,
    pub(super) message_format: MessageFormat,
    pub(super) compression: Compression,
    pub(super) generation_method: GenerationMethod,
    pub(super) uuid_from: UuidFrom,
    pub(super) log: LogConfig,
    pub(super) use_logd: Option<bool>,
    pub(super) log_bad_packets: bool,
    pub(super) respawn: Vec<RespawnConfig>,
    pub(super) fence_devices: Vec<FenceDevice>,
    pub(super) api_auth: BTreeMap<String, ApiAuth>,
    pub(super) env: Vec<(String, String)>,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) realtime: bool,
    pub(super) realtime_priority: Option<u8>,
    pub(super) memreserve_kb: u64,
    pub(super) watchdog: Option<PathBuf>,
    pub(super) core_root: Option<PathBuf>,
    /// Value of `pacemaker` or `crm`: whether cluster-manager mode is on.
    pub(super) pacemaker: Option<bool>,
    pub(super) baud: Option<u32>,
    pub(super) without_effect: Vec<String>,
}

impl<'a> Draft<'a> {
    /// A draft with every default of the legacy program.
    #[must_use]
    pub fn new(env_of: &'a dyn Environment, paths: &'a Paths, local: &str, debug: u8) -> Self {
        Self {
            env_of,
            paths,
            report: Report::default(),
            place: String::new(),
            places: BTreeMap::new(),
            written: Vec::new(),
            local: local.to_owned(),
            nodes: Vec::new(),
            node_table: Vec::new(),
            media: Vec::new(),
            absent: Vec::new(),
            pings: Vec::new(),
            ping_places: Vec::new(),
            channels: Vec::new(),
            ports: Ports::default(),
            keepalive: Duration::from_secs(1),
            deadtime: Duration::from_secs(30),
            warntime: None,
            initdead: None,
            deadping: None,
            max_rexmit_delay: Duration::from_millis(250),
            hopfudge: 1,
            autojoin: Autojoin::None,
            auto_failback: AutoFailback::Legacy,
            message_format: MessageFormat::Classic,
            compression: Compression::default(),
            generation_method: GenerationMethod::File,
            uuid_from: UuidFrom::File,
            log: LogConfig {
                syslog_format: true,
                conn_logd_time: Duration::from_secs(60),
                debug,
                ..LogConfig::default()
            },
            use_logd: None,
            log_bad_packets: true,
            respawn: Vec::new(),
            fence_devices: Vec::new(),
            api_auth: BTreeMap::new(),
            env: Vec::new(),
            parameters: BTreeMap::new(),
            realtime: true,
            realtime_priority: None,
            memreserve_kb: 6500,
            watchdog: None,
            core_root: None,
            pacemaker: None,
            baud: None,
            without_effect: Vec::new(),
        }
    }

    /// Place of the present line.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Refuses a combination of lines, at the first of `directives` that exists; else at the file.
    pub(super) fn refuse_whole(&mut self, directives: &[&str], refusal: Refusal) {
        let lines = directives.iter().find_map(|name| self.places.get(name));
        let place = lines.cloned();
        let place = place.unwrap_or_else(|| self.paths.ha_cf().display().to_string());
        self.report.refuse(&place, refusal);
    }

    /// Place of the last line of a directive; without one the file.
    pub(super) fn place_of(&self, directive: &str) -> String {
        let place = self.places.get(directive).cloned();
        place.unwrap_or_else(|| self.paths.ha_cf().display().to_string())
    }

    /// A warning of ours about the present line.
    pub(super) fn warn_here(&mut self, text: &str) {
        let text = format!("{}: {text}", self.place);
        self.report.warn(text);
    }

    /// The `node` directive. Spec: docs/protocol/config.md, 2.5.
    pub(super) fn add_node(&mut self, word: &str) -> Result<(), Refusal> {
        let name = self.node_name(word)?;
        if self.nodes.contains(&name) {
            self.warn_here(&format!("node {name} is listed twice; one entry counts"));
            return Ok(());
        }
        self.enter_node_table(&name)?;
        self.nodes.push(name);
        Ok(())
    }

    /// A name for the node table.
    pub(super) fn node_name(&self, word: &str) -> Result<NodeName, Refusal> {
        NodeName::new(word).map_err(|error: NodeNameError| Refusal::silent(error.to_string()))
    }

    /// Uses one place in the node table, which ping nodes share.
    pub(super) fn enter_node_table(&mut self, name: &NodeName) -> Result<(), Refusal> {
        if self.node_table.contains(name) {
            return Ok(());
        }
        if self.node_table.len() >= MAX_NODES {
            return Err(Refusal::silent(format!(
                "more than {MAX_NODES} nodes, ping nodes included"
            )));
        }
        self.node_table.push(name.clone());
        Ok(())
    }

    /// The log lines about the logging daemon.
    pub(super) fn connect_to_logd(&mut self) {
        self.warn_without_logd();
        self.report.info("Enabling logging daemon ");
        self.report.info(
            "logfile and debug file are those specified in logd config file (default /etc/logd.cf)",
        );
    }

    /// Logs that the logging daemon does not run.
    pub(super) fn warn_without_logd(&mut self) {
        if !self.env_of.has_logd() {
            self.report.say_as_legacy(
                Severity::Warn,
                "Initializing connection to logging daemon failed. \
                 Logging daemon may not be running",
            );
        }
    }

    /// Logs that one core file would overwrite another: a warning for administrators who want core
    /// files.
    /// Spec: docs/protocol/config.md, 4.4.
    pub(super) fn tell_of_core_settings(&mut self, severity: Severity) {
        let pattern = self.env_of.core_pattern();
        let uses_pid = self.env_of.core_uses_pid();
        if uses_pid || pattern.contains("%p") || pattern.starts_with('|') {
            return;
        }
        self.report.say(
            severity,
            "Core dumps could be lost if multiple dumps occur.",
        );
        if pattern == "core" {
            self.report.say(
                severity,
                "Consider setting non-default value in /proc/sys/kernel/core_pattern \
                 (or equivalent) for maximum supportability",
            );
        }
        self.report.say(
            severity,
            "Consider setting /proc/sys/kernel/core_uses_pid (or equivalent) to 1 for maximum \
             supportability",
        );
    }
}

/// A file of the configuration directory as legacy log lines spell it: with two slashes.
#[must_use]
pub fn shown_path(paths: &Paths, name: &str) -> String {
    format!("{}//{name}", paths.ha_dir.display())
}
