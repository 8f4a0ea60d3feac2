//! Which program this is, as it says itself.

/// The version of Heartbeat whose behaviour this program has.
pub const LEGACY_VERSION: &str = "3.0.6";

/// What `-V` prints. The first word is the legacy version that this program stands in for: the
/// init script and others read it. Spec: docs/protocol/tools.md, 1.
#[must_use]
pub fn version() -> String {
    format!("{LEGACY_VERSION} (systole {})", env!("CARGO_PKG_VERSION"))
}
