//! Resource groups and the handshake that decides who runs them. Pure state machines.

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

pub mod address;
mod audit;
mod behind_scripts;
mod beside_legacy;
mod by_group;
mod events;
mod failback;
mod failures;
pub mod freeze;
mod handshake;
pub mod holding;
pub(crate) mod hooks;
pub mod input;
mod isolation;
mod jobs;
pub mod left_open;
mod legacy_model;
mod lost;
mod mute;
pub mod output;
pub mod own_address;
pub mod owners;
mod partition;
mod peers;
mod questions;
pub mod respawn;
mod rounds;
pub mod script;
mod shutdown;
mod standby;
mod standby_end;
pub mod state;
mod takeover;
mod to_owner;
mod unfinished;
mod unheard;
mod unreported;

#[cfg(test)]
mod tests;
