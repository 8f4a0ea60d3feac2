//! Thin supervised actors around the core.

pub mod address_guard;
pub mod backlog;
pub mod clients;
pub mod codecs;
pub mod control;
pub mod fencing;
pub mod fifo;
pub mod groups;
pub mod guardian;
pub mod hooks;
pub mod interest;
pub mod ipfail;
pub mod lease;
pub mod medium;
pub mod membership;
pub mod messages;
pub mod own_beats;
pub mod ping;
pub mod resource_group;
pub mod respawn;
pub mod root;
pub mod shared;
pub mod supervise;
pub mod threads;
pub mod watchdog;
