//! The part of the configuration that the registry uses.
//! Spec: docs/protocol/client-api.md, 5; docs/protocol/config.md, 4.6 and 7.

use std::collections::BTreeMap;

/// An `apiauth` rule. Spec: docs/protocol/config.md, 4.6.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApiAuth {
    /// Users that may sign on, by number.
    pub uids: Vec<u32>,
    /// Groups that may sign on, by number.
    pub gids: Vec<u32>,
}

/// What does not change while the daemon runs.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// Own node name.
    pub local: String,
    /// `deadtime` in ms.
    pub deadtime_ms: u128,
    /// `keepalive` in ms.
    pub keepalive_ms: u128,
    /// Version as clients print it.
    pub version: String,
    /// Syslog facility as C programs know it, -1: none.
    pub facility: i32,
    /// Whether pacemaker manages resources.
    pub pacemaker: bool,
    /// The daemon's own user, who may set any filter beside root.
    pub own_uid: u32,
    /// The group of administrators beside root: `haclient`.
    pub admin_gid: Option<u32>,
    /// `apiauth` rules, built-in ones included.
    pub rules: BTreeMap<String, ApiAuth>,
    /// Parameters as clients read them.
    pub parameters: BTreeMap<String, String>,
}
