//! What is known of one node: its files, and what only its kernel and its daemon tell. Plain data; the rules
//! ask nothing else.
//!
//! Of a copied directory the second part is unknown, unless it has a file `host.json`, which
//! `systole doctor --facts` prints on the node itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::clients::control::View;

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Missing,
    /// It was not copied, or its directory may not be entered.
    Unknown,
    /// A directory.
    Directory,
    /// A character device.
    Device,
    /// A file, or something else that is no directory.
    File {
        /// Permission bits.
        mode: u32,
        /// User number of the owner.
        owner: u32,
    },
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// There is no such file.
    Missing,
    /// It could not be read, and why.
    Unknown(String),
}

/// A network interface with its addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Its name.
    pub name: String,
    /// Administratively down.
    #[serde(default)]
    pub down: bool,
    /// The loop-back interface.
    #[serde(default)]
    pub loopback: bool,
    /// `ADDRESS/PREFIX`, in the kernel's order; a label may follow behind a blank.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Its hardware address, lower case with colons; absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

/// A route of the main table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// `NETWORK/PREFIX`.
    pub to: String,
    /// Interface.
    pub card: String,
}

/// The daemon that runs on the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Running {
    /// Its process.
    pub pid: i32,
    /// Another program has taken the place of the one that it runs.
    #[serde(default)]
    pub replaced: bool,
    /// Files that have changed since it read them.
    #[serde(default)]
    pub changed: Vec<String>,
}

/// What no file of the node tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// The kernel's host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// All interfaces; absent: the kernel was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cards: Option<Vec<Card>>,
    /// Routes that lead to service addresses or ping nodes, without those of the interfaces' own networks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Line>,
    /// Command lines of processes that can be in the way: gettys, systemd-networkd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<Vec<String>>,
    /// The rules of the firewall, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firewall: Option<String>,
    /// What the running daemon reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<View>,
    /// The running daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<Running>,
    /// Addresses here of which this boot's record says that they are the service's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub service_addresses: Vec<IpAddr>,
    /// Nothing is known of where the other addresses came from: a daemon of another kind runs or has run.
    pub unrecorded: bool,
    /// Free space in bytes, by directory.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub free_bytes: BTreeMap<PathBuf, u64>,
    /// Device files that are there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<PathBuf>,
}

/// Everything that is known of one node.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Its name where no file of it tells one.
    pub called: Option<String>,
    /// What paths lead to.
    pub kinds: BTreeMap<PathBuf, Kind>,
    /// What files contain.
    pub contents: BTreeMap<PathBuf, Content>,
    /// Names in directories; `None`: unknown.
    pub directories: BTreeMap<PathBuf, Option<BTreeSet<String>>>,
    /// Users with their user and group numbers; `None`: there is none.
    pub users: BTreeMap<String, Option<(u32, u32)>>,
    /// Groups.
    pub groups: BTreeMap<String, Option<u32>>,
    /// Whether fencing devices of these types are installed.
    pub stonith: BTreeMap<String, bool>,
    /// Destinations about which the routing table was asked.
    pub asked: BTreeSet<IpAddr>,
    /// The rest.
    pub host: Host,
}
