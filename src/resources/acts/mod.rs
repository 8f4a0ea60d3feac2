//! What the node can do. Each act changes several parts.

mod contest;
mod failback;
pub(in crate::resources) mod fence;
mod freeze;
mod give;
mod hands;
mod release;
mod settle;
mod standby;
mod start;
mod take;
