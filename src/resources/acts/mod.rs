//! What the node can do: each changes several parts.

mod freeze;
mod give;
mod hands;
mod release;
mod settle;
mod standby;
mod start;
mod take;
