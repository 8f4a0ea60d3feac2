//! Memberships wired back to back in virtual time.

mod farewell;
mod gaps;
mod harness;
mod hearing;
mod hostile;
mod keys;
mod liveness;
mod node_list;
mod numbers;
mod start;
mod table;
