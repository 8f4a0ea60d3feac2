//! Questions to several parts of the state. Nothing here changes it.

mod by_group;
pub(in crate::resources) mod many;
mod questions;
mod standby;
mod state;
mod unserved;
