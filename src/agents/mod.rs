//! The programs that carry out resource words, and the processes that they run in.

pub mod child;
pub mod respawn;
pub mod script;
