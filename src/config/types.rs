//! The checked configuration: typed, no strings left to interpret.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use super::fencing::{FenceDevice, named_hosts};
use crate::protocol::client::ApiAuth;
use crate::protocol::fencing::{FenceSettings, Reach};
use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::protocol::lease::AddressLease;
use crate::protocol::name::NodeName;
use crate::protocol::pack::Compression;
use crate::protocol::settings::{AutoFailback, Autojoin, NodeSettings, Timing};
use crate::protocol::wire::MessageFormat;

/// One configured medium. Spec: docs/protocol/wire.md, 18; docs/protocol/config.md, 4.3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediumConfig {
    /// IPv4 broadcast on an interface.
    Bcast {
        /// Interface name.
        interface: String,
        /// UDP port.
        port: u16,
    },
    /// IPv4 multicast.
    Mcast {
        /// Interface name.
        interface: String,
        /// Group in 224.0.0.0/4.
        group: Ipv4Addr,
        /// UDP port, of its own.
        port: u16,
        /// 0..=4.
        ttl: u8,
        /// Whether own packets come back.
        loopback: bool,
    },
    /// IPv4 unicast to one peer.
    Ucast {
        /// Interface name.
        interface: String,
        /// Peer's address, resolved at start.
        peer: Ipv4Addr,
        /// UDP port.
        port: u16,
    },
    /// IPv6 multicast.
    Mcast6 {
        /// Interface name.
        interface: String,
        /// Group.
        group: Ipv6Addr,
        /// UDP port, of its own.
        port: u16,
        /// 0..=4.
        hops: u8,
        /// Whether own packets come back.
        loopback: bool,
    },
    /// IPv6 unicast to one peer.
    Ucast6 {
        /// Interface name.
        interface: String,
        /// Peer's address.
        peer: Ipv6Addr,
        /// UDP port.
        port: u16,
    },
    /// Serial line.
    Serial {
        /// Device path.
        device: PathBuf,
        /// Bits per second.
        baud: u32,
    },
}

impl MediumConfig {
    /// Whether this host receives its own messages on this medium.
    #[must_use]
    pub const fn returns(&self) -> bool {
        match self {
            Self::Bcast { .. } => true,
            Self::Mcast { loopback, .. } | Self::Mcast6 { loopback, .. } => *loopback,
            Self::Ucast { .. } | Self::Ucast6 { .. } | Self::Serial { .. } => false,
        }
    }

    /// The name its links carry: the interface or the device path.
    #[must_use]
    pub fn link_name(&self) -> String {
        match self {
            Self::Bcast { interface, .. }
            | Self::Mcast { interface, .. }
            | Self::Ucast { interface, .. }
            | Self::Mcast6 { interface, .. }
            | Self::Ucast6 { interface, .. } => interface.clone(),
            Self::Serial { device, .. } => device.display().to_string(),
        }
    }

    /// The one host to which it sends, if there is only one.
    #[must_use]
    pub const fn peer(&self) -> Option<IpAddr> {
        match self {
            Self::Ucast { peer, .. } => Some(IpAddr::V4(*peer)),
            Self::Ucast6 { peer, .. } => Some(IpAddr::V6(*peer)),
            Self::Bcast { .. } | Self::Mcast { .. } | Self::Mcast6 { .. } | Self::Serial { .. } => {
                None
            }
        }
    }
}

impl fmt::Display for MediumConfig {
    /// The directive and the words that identify its line, for log lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bcast { interface, .. } => write!(f, "bcast {interface}"),
            Self::Mcast {
                interface, group, ..
            } => write!(f, "mcast {interface} {group}"),
            Self::Ucast {
                interface, peer, ..
            } => write!(f, "ucast {interface} {peer}"),
            Self::Mcast6 {
                interface, group, ..
            } => write!(f, "mcast6 {interface} {group}"),
            Self::Ucast6 {
                interface, peer, ..
            } => write!(f, "ucast6 {interface} {peer}"),
            Self::Serial { device, .. } => write!(f, "serial {}", device.display()),
        }
    }
}

/// One ping node or ping group. Spec: docs/protocol/wire.md, 19.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PingConfig {
    /// Name of the pseudo node.
    pub name: NodeName,
    /// Addresses asked; one for `ping` and `ping6`, several for `ping_group`.
    pub hosts: Vec<IpAddr>,
    /// `ping6 fe80::1%eth1`: the interface, by name or number, on which that address is. The same address may be on every
    /// interface.
    pub interface: Option<String>,
    /// `ping`, `ping6` or `ping_group`: the medium's name in the packets.
    pub medium: &'static str,
}

/// A `respawn` or `failfast` line. Spec: docs/protocol/membership.md, 9.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RespawnConfig {
    /// User name.
    pub user: String,
    /// Command line, passed to a shell with `exec`.
    pub command: String,
    /// Its death reboots the node.
    pub failfast: bool,
}

/// Where log lines go. Spec: docs/protocol/tools.md, 6.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogConfig {
    /// `logfile`: everything but debug.
    pub logfile: Option<PathBuf>,
    /// `debugfile`: everything.
    pub debugfile: Option<PathBuf>,
    /// `logfacility`, lower case; `None`: no syslog.
    pub facility: Option<String>,
    /// `syslogmsgfmt`: file lines in syslog style (the default).
    pub syslog_format: bool,
    /// `debug` level.
    pub debug: u8,
    /// `use_logd`.
    pub use_logd: bool,
    /// `conn_logd_time`: the pause before the logging daemon is tried again.
    pub conn_logd_time: Duration,
}

/// Where the generation comes from. Spec: docs/protocol/wire.md, 11.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenerationMethod {
    /// The file, counted up.
    File,
    /// The clock at start.
    Time,
}

/// Where the uuid comes from. Spec: docs/protocol/wire.md, 11.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UuidFrom {
    /// The file.
    File,
    /// Computed from the node name.
    NodeName,
}

/// An accepted directive of ha.cf, as in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its name in the table of directives.
    pub directive: &'static str,
    /// The rest of its line, without a comment.
    pub value: String,
    /// `file:line`.
    pub place: String,
}

/// The text of the files, for log lines that name a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Directives of ha.cf in file order.
    pub ha_cf: Vec<Written>,
    /// Text of haresources; empty when it is not read.
    pub haresources: String,
}

/// The content of ha.cf, haresources and the command line.
#[derive(Debug, Clone)]
pub struct Config {
    /// Own node name.
    pub local: NodeName,
    /// Configured nodes in file order, ourselves included.
    pub nodes: Vec<NodeName>,
    /// Nodes and ping nodes in the order of their declaration, as clients list them.
    pub node_table: Vec<NodeName>,
    /// Media in file order.
    pub media: Vec<MediumConfig>,
    /// Directive and name of every medium and ping node in file order, for the printed
    /// configuration.
    pub channels: Vec<(&'static str, String)>,
    /// Ping nodes in file order.
    pub pings: Vec<PingConfig>,
    /// Times.
    pub timing: Timing,
    /// Added to the number of nodes to make `ttl`.
    pub hopfudge: u8,
    /// Which nodes may join.
    pub autojoin: Autojoin,
    /// haresources mode.
    pub manage_resources: bool,
    /// Failback model.
    pub auto_failback: AutoFailback,
    /// haresources in file order.
    pub groups: Vec<ResourceGroup>,
    /// `msgfmt`.
    pub message_format: MessageFormat,
    /// `compression` and its two companions.
    pub compression: Compression,
    /// Generation source.
    pub generation_method: GenerationMethod,
    /// Uuid source.
    pub uuid_from: UuidFrom,
    /// Log targets.
    pub log: LogConfig,
    /// `log_badpack`.
    pub log_bad_packets: bool,
    /// Respawned clients in file order.
    pub respawn: Vec<RespawnConfig>,
    /// `stonith` and `stonith_host` lines that count on this host, in file order.
    pub fence_devices: Vec<FenceDevice>,
    /// Client authorisation by client name, built-in entries included.
    pub api_auth: BTreeMap<String, ApiAuth>,
    /// `env` lines: name (without `HA_`) and value.
    pub env: Vec<(String, String)>,
    /// Parameters as clients and scripts read them (`HA_<name>`), spelt as in the file, defaults
    /// included. Spec: docs/protocol/config.md, 7.
    pub parameters: BTreeMap<String, String>,
    /// `realtime`.
    pub realtime: bool,
    /// `rtprio`.
    pub realtime_priority: Option<u8>,
    /// `memreserve`, in kB.
    pub memreserve_kb: u64,
    /// `watchdog` device.
    pub watchdog: Option<PathBuf>,
    /// `coreroot` directory.
    pub core_root: Option<PathBuf>,
    /// Lines that have no effect, each as `directive (file:line)`; named in the log at start.
    pub without_effect: Vec<String>,
    /// Warnings and information found on the way, in the order of the checks.
    pub remarks: Vec<crate::notice::Notice>,
    /// Our own settings.
    pub settings: super::settings::Settings,
}

impl Config {
    /// What the core needs of it. `names_address`: whether a resource word names an address.
    #[must_use]
    pub fn node_settings(&self, pid: u32, names_address: impl Fn(&str) -> bool) -> NodeSettings {
        let mut media: Vec<crate::protocol::name::MediumName> = Vec::new();
        let mut returns = BTreeMap::new();
        for medium in &self.media {
            let name = crate::protocol::name::MediumName::new(&medium.link_name());
            *returns.entry(name.clone()).or_insert(false) |= medium.returns();
            if !media.contains(&name) {
                media.push(name);
            }
        }
        let has_address =
            |group: &&ResourceGroup| group.resources.iter().any(|word| names_address(word));
        let with_address = self.groups.iter().filter(has_address);
        NodeSettings {
            local: self.local.clone(),
            nodes: self.nodes.clone(),
            ping_nodes: self.pings.iter().map(|ping| ping.name.clone()).collect(),
            media,
            returns,
            timing: self.timing.clone(),
            hopfudge: self.hopfudge,
            autojoin: self.autojoin,
            manage_resources: self.manage_resources,
            auto_failback: self.auto_failback,
            with_address: with_address.map(|group| group.key.clone()).collect(),
            groups: self.groups.clone(),
            pid,
            isolation_release: self.settings.isolation_release,
            fencing: self.fence_settings(),
            unserved: self.settings.address_guard.moves(),
            monitors: self.move_windows(),
            monitors_mark: super::monitors::mark(&self.settings.monitors, &self.groups),
        }
    }

    /// The lifetime in seconds that service addresses get; `None`: none.
    ///
    /// # Errors
    /// The settings ask for one that addresses do not get: why.
    pub fn address_lease(&self) -> Result<Option<u32>, String> {
        let settings = &self.settings;
        let Timing {
            keepalive,
            deadtime,
            ..
        } = self.timing;
        match (settings.address_lease, settings.address_guard.puts_back()) {
            (AddressLease::Off, _) => Ok(None),
            (_, false) => Err(
                "address_guard is neither \"on\" nor \"move\": nobody would put an address back whose lease ran out"
                    .to_owned(),
            ),
            (wanted, true) => {
                let seconds = wanted.seconds(keepalive, deadtime);
                seconds.map_err(|misfit| misfit.to_string())
            }
        }
    }

    /// Of each group with a monitor, how long a move counts that it caused.
    fn move_windows(&self) -> BTreeMap<GroupKey, std::time::Duration> {
        let groups = super::monitors::by_group(&self.settings.monitors, &self.groups);
        let window = |(key, list): (GroupKey, Vec<(String, super::monitors::MonitorSettings)>)| {
            let windows = list.iter().map(|(_, monitor)| monitor.rules.window);
            Some((key, windows.max()?))
        };
        groups.into_iter().filter_map(window).collect()
    }

    /// Which nodes this one can reset, and its delay.
    fn fence_settings(&self) -> FenceSettings {
        let reach = match named_hosts(&self.fence_devices) {
            _ if self.fence_devices.is_empty() => Reach::Nobody,
            Some(hosts) => Reach::These(hosts),
            None => Reach::Everybody,
        };
        FenceSettings {
            reach,
            delay: self.settings.fence_delay,
            by_watchdog: self.settings.fence_by_watchdog,
        }
    }
}

#[cfg(test)]
impl Config {
    /// A one-node configuration without media, for the tests of any module.
    pub(crate) fn for_tests(local: &str) -> Self {
        use std::time::Duration;
        let local = NodeName::new(local).expect("a test names a proper node");
        Self {
            nodes: vec![local.clone()],
            node_table: vec![local.clone()],
            local,
            media: Vec::new(),
            channels: Vec::new(),
            pings: Vec::new(),
            timing: Timing {
                keepalive: Duration::from_secs(1),
                deadtime: Duration::from_secs(10),
                warntime: Duration::from_secs(5),
                initdead: Duration::from_secs(20),
                deadping: Duration::from_secs(10),
                max_rexmit_delay: Duration::from_millis(250),
            },
            hopfudge: 1,
            autojoin: Autojoin::None,
            manage_resources: true,
            auto_failback: AutoFailback::On,
            groups: Vec::new(),
            message_format: MessageFormat::Netstring,
            compression: Compression::default(),
            generation_method: GenerationMethod::File,
            uuid_from: UuidFrom::File,
            log: LogConfig::default(),
            log_bad_packets: true,
            respawn: Vec::new(),
            fence_devices: Vec::new(),
            api_auth: BTreeMap::new(),
            env: Vec::new(),
            parameters: BTreeMap::new(),
            realtime: false,
            realtime_priority: None,
            memreserve_kb: 0,
            watchdog: None,
            core_root: None,
            without_effect: Vec::new(),
            remarks: Vec::new(),
            settings: super::settings::Settings::default(),
        }
    }
}
