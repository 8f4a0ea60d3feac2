//! The legacy files (`ha.cf`, `authkeys`, `haresources`) and our own settings.
//!
//! [`load::load`] reads them all, in the legacy order, and returns either a checked [`Config`] or
//! all errors at once.

pub mod authkeys;
mod checks;
mod clients;
mod directives;
pub mod draft;
pub mod environment;
pub mod fencing;
pub mod group_lines;
mod ha_cf;
mod handlers;
pub mod haresources;
mod lines;
pub mod load;
mod media;
pub mod monitors;
mod pings;
pub mod print;
pub mod remembered;
pub mod report;
mod row;
pub mod settings;
pub mod types;
mod values;

pub use types::Config;
