//! The programs that carry out resource words, and their processes.

pub mod child;
pub mod respawn;
pub mod script;
