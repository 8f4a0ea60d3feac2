//! The receivers of the clients' messages, and the settings that clients see.

use std::path::PathBuf;

use actix::Recipient;

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
    /// The longest message that a serial line carries, in bytes, where there are no other media.
    pub longest_on_lines: Option<usize>,
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
            longest_on_lines: longest_on_lines(config),
            cluster,
            injected,
            maintenance,
            interest,
        }
    }
}

/// The longest message that one of the serial lines carries; `None`: there are other media, or none.
fn longest_on_lines(config: &Config) -> Option<usize> {
    let longest = |medium: &MediumConfig| match medium {
        MediumConfig::Serial { baud, .. } => {
            let line = LineSettings {
                speed: Speed::new(*baud),
                deadtime: config.timing.deadtime,
            };
            Some(line.longest())
        }
        _ => None,
    };
    let lines: Option<Vec<usize>> = config.media.iter().map(longest).collect();
    lines?.into_iter().max()
}
