//! The receivers of the clients' messages, and the settings that clients see.

use std::path::PathBuf;
use std::sync::Arc;

use actix::Recipient;

use super::session::Lines;
use crate::actors::interest::Interest;
use crate::actors::messages::{AskCluster, AskMaintenance, Injected};
use crate::config::Config;
use crate::config::types::MediumConfig;
use crate::ha_log;
use crate::os::accounts;
use crate::protocol::client::RegistrySettings;
use crate::protocol::pack::Compression;
use crate::protocol::serial::{LineSettings, Speed};
use crate::protocol::wire::MessageFormat;

/// The receivers of the clients' messages, and the settings that clients see.
#[derive(Clone)]
pub struct ClientsSetup {
    /// `/run/heartbeat/register`.
    pub path: PathBuf,
    /// For the registry.
    pub settings: RegistrySettings,
    /// `msgfmt`.
    pub format: MessageFormat,
    /// What goes out compressed.
    pub compression: Compression,
    /// The serial lines, if there are any.
    pub lines: Option<Arc<Lines>>,
    /// Membership, for what clients ask.
    pub cluster: Recipient<AskCluster>,
    /// Membership, for messages of clients.
    pub injected: Recipient<Injected>,
    /// Membership, for a freeze and a thaw.
    pub maintenance: Recipient<AskMaintenance>,
    /// The messages that membership is to deliver.
    pub interest: Interest,
}

impl ClientsSetup {
    /// Made from the checked files.
    #[must_use]
    pub fn of(
        config: &Config,
        path: PathBuf,
        cluster: Recipient<AskCluster>,
        injected: Recipient<Injected>,
        maintenance: Recipient<AskMaintenance>,
        interest: Interest,
    ) -> Self {
        let facility = config.log.facility.as_deref();
        let pacemaker = config.parameters.get("pacemaker");
        let settings = RegistrySettings {
            local: config.local.to_string(),
            deadtime_ms: config.timing.deadtime.as_millis(),
            keepalive_ms: config.timing.keepalive.as_millis(),
            version: crate::version::version(),
            facility: facility
                .and_then(ha_log::line::facility_number)
                .map_or(-1, |number| i32::from(number) << 3),
            pacemaker: !config.manage_resources
                && pacemaker.is_some_and(|word| !crate::protocol::boolean::is_false(word)),
            own_uid: nix::unistd::geteuid().as_raw(),
            admin_gid: accounts::hacluster().map(|(_, gid)| gid),
            rules: config.api_auth.clone(),
            parameters: config.parameters.clone(),
        };
        Self {
            path,
            settings,
            format: config.message_format,
            compression: config.compression,
            lines: lines(config, &cluster),
            cluster,
            injected,
            maintenance,
            interest,
        }
    }
}

/// The serial lines of a configuration; `None`: there are none.
fn lines(config: &Config, cluster: &Recipient<AskCluster>) -> Option<Arc<Lines>> {
    let line = |medium: &MediumConfig| match medium {
        MediumConfig::Serial { baud, .. } => {
            let settings = LineSettings {
                speed: Speed::new(*baud),
                deadtime: config.timing.deadtime,
            };
            Some((settings.longest(), medium.link_name()))
        }
        _ => None,
    };
    let lines: Vec<_> = config.media.iter().filter_map(line).collect();
    let longest = lines.iter().map(|(longest, _)| *longest).max()?;
    let others = lines.len() < config.media.len();
    Some(Arc::new(Lines {
        longest,
        names: lines.into_iter().map(|(_, name)| name).collect(),
        beside_others: others.then(|| cluster.clone()),
    }))
}
