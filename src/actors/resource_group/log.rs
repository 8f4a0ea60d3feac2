//! The log lines of a group, in the form of the legacy `ResourceManager`.

use crate::notice::{self, Severity, Speaker};

/// The log tag of everything that `ResourceManager` logs in legacy.
const TAG: &str = "ResourceManager(default)";

/// One line in the form and under the name that suites look for. Spec: docs/protocol/tools.md, 6.4.
pub(super) fn log(severity: Severity, text: &str) {
    notice::say(Speaker::Script(TAG), severity, &text);
}
