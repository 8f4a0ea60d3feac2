//! The log lines of a group, in the form of the legacy `ResourceManager`.

use crate::notice::Severity;

/// The log tag of everything that `ResourceManager` logs in legacy.
const TAG: &str = "ResourceManager(default)";

/// One line in the form and under the name that suites look for. Spec: tools, section 6.4.
pub(super) fn log(severity: Severity, text: &str) {
    let word = severity.word();
    match severity {
        Severity::Debug => tracing::debug!(tag = TAG, ha_level = word, "{text}"),
        Severity::Info | Severity::Notice => {
            tracing::info!(tag = TAG, ha_level = word, "{text}");
        }
        Severity::Warn => tracing::warn!(tag = TAG, ha_level = word, "{text}"),
        Severity::Error | Severity::Crit | Severity::Emerg => {
            tracing::error!(tag = TAG, ha_level = word, "{text}");
        }
    }
}
