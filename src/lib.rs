//! Systole: a drop-in replacement for a Linux-HA Heartbeat 3.0.6 node.
//!
//! Two layers. The core ([`protocol`], [`resources`], [`node`]) is plain Rust that takes
//! `(event, now)` and returns actions; it opens nothing, reads no clock and awaits nothing. The
//! [`actors`] own sockets, timers and child processes and carry the actions out.
//! `docs/architecture.md` has the tree and the path of a datagram.

pub mod actors;
pub mod api_client;
pub mod ccm_client;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod daemonize;
pub mod guardian;
pub mod ha_log;
pub mod helper;
pub mod inspect;
pub mod net;
pub mod node;
pub mod notice;
pub mod os;
pub mod own_addresses;
pub mod pid_file;
pub mod policy;
pub mod protocol;
pub mod release;
pub mod reload;
pub mod resources;
pub mod run_file;
pub mod startup;
pub mod state_files;
pub mod version;
