//! Systole: a drop-in replacement for a Linux-HA Heartbeat 3.0.6 node.
//!
//! Two layers. The core ([`protocol`], [`resources`], [`policy`], [`node`]) is plain Rust that takes
//! `(event, now)` and returns actions; it opens nothing, reads no clock and awaits nothing. The
//! [`actors`] own sockets, timers and child processes and carry the actions out.
//! `docs/architecture.md` has the tree and the path of a datagram.

pub mod actors;
pub mod agents;
pub mod cli;
pub mod clients;
pub mod clock;
pub mod config;
pub mod doctor;
pub mod export;
pub mod foresight;
pub mod ha_log;
pub mod helper;
pub mod inspect;
pub mod net;
pub mod node;
pub mod notice;
pub mod os;
pub mod policy;
pub mod process;
pub mod protocol;
pub mod release;
pub mod resources;
pub mod simulator;
pub mod tune;
pub mod version;
