//! Questions to the state, and changes that concern one part of it.

mod basic;
mod by_group;
mod contest;
mod loose;
pub(in crate::resources) mod many;
mod questions;
mod small;
mod standby;
mod state;
mod trouble;
