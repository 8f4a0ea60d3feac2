//! The rules: what the node does when it receives something, when something is done, and when
//! something is due.

mod by_key;
mod death;
mod fence;
mod groups;
mod monitor;
mod partition;
mod quiet;
mod report;
mod requests;
mod resume;
mod returned;
mod standby;
mod start;
mod stop;
mod unserved;
