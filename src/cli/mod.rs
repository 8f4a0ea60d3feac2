//! The command line: option letters, what is printed, status and stop. Spec: tools, section 1.

pub mod options;
pub mod talk;

pub use crate::config::print;
pub use options::{Command, Held, OptionError, Options};

/// What `-V` prints. The first word is the legacy version that this program stands in for: the
/// init script and others read it.
#[must_use]
pub fn version() -> String {
    format!("{LEGACY_VERSION} (systole {})", env!("CARGO_PKG_VERSION"))
}

/// The version of Heartbeat whose behaviour this program has.
pub const LEGACY_VERSION: &str = "3.0.6";
