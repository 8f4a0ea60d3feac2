//! The parts of the state. Types only: each decides for itself and does not use the core.

pub(in crate::resources) mod ailing;
pub(in crate::resources) mod behind_scripts;
pub(in crate::resources) mod contest;
pub(in crate::resources) mod conversation;
pub(in crate::resources) mod duty;
pub(in crate::resources) mod failback;
pub(in crate::resources) mod fence;
pub(in crate::resources) mod freeze;
pub(in crate::resources) mod groups;
pub(in crate::resources) mod hands;
pub(in crate::resources) mod isolation;
pub(in crate::resources) mod loose;
pub(in crate::resources) mod names;
pub(in crate::resources) mod other;
pub(in crate::resources) mod peer;
pub(in crate::resources) mod questions;
pub(in crate::resources) mod run;
pub(in crate::resources) mod setup;
pub(in crate::resources) mod standby;
pub(in crate::resources) mod stop;
pub(in crate::resources) mod timers;
pub(in crate::resources) mod trouble;
pub(in crate::resources) mod unheard;
pub(in crate::resources) mod unowned;
pub(in crate::resources) mod unserved;
pub(in crate::resources) mod work;
