//! Resource groups and the handshake that decides who runs them. Pure state machines.

// Input of peers, clients, files and scripts must not be able to stop the node.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod acts;
mod facts;
mod gate;
mod handle;
pub mod holding;
pub(crate) mod hooks;
pub mod input;
pub mod left_open;
mod messages;
mod obstacles;
pub mod output;
pub mod owners;
mod parts;
mod rules;
pub mod state;
mod tell;
mod view;
mod waits;

pub use parts::freeze::FreezeRefused;
pub use view::Elsewhere;

#[cfg(test)]
mod tests;
