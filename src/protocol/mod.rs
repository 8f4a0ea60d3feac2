//! The core of the node-to-node protocol: pure state machines, no I/O.
//!
//! A vocabulary ([`message`], [`field`], [`event`], [`name`]), the two encodings, authentication,
//! and the state machines that membership ties together.

// What peers, clients, files and scripts supply must not be able to stop the node.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod auth;
pub mod base64;
pub mod boolean;
pub mod client;
pub mod codec;
pub mod compress;
pub mod decisions;
pub mod event;
pub mod fencing;
pub mod field;
pub mod flow;
pub mod frame;
pub mod gaps;
pub mod group;
pub mod haresources_mark;
pub mod hearing;
pub mod history;
pub mod identity;
pub mod keys;
pub mod lease;
pub mod limiter;
pub mod link;
pub mod links;
pub mod membership;
pub mod message;
pub mod monitor;
pub mod name;
pub mod netstring;
pub mod node_table;
pub mod output;
pub mod pack;
pub mod partition;
pub mod ping;
pub mod question;
pub mod retransmit;
pub mod sequence;
pub mod serial;
pub mod settings;
pub mod status;
pub mod text;
pub mod wire;
