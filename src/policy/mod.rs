//! Policies beside the resource handshake: pure state machines, as the rest of the core.

// What peers, clients and daemons supply must not be able to stop the node.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod address_guard;
pub mod fencing;
pub mod ipfail;
pub mod isolation;
pub mod lease;
pub mod monitor;
pub mod standby;
pub mod watchdog;
