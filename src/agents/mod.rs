//! The programs that carry out resource words or reset other nodes, and their processes.

pub mod child;
pub mod fence;
pub mod respawn;
pub mod script;
