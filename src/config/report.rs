//! The log lines of the check of the files, in the order of the checks.

use crate::notice::{Notice, Severity};

/// Longest piece of a file that a log line quotes, in characters: enough to recognise a line.
const MAX_QUOTE_CHARS: usize = 200;

/// Some editors write this in front of a file. It is invisible and no blank.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

/// The error text for it.
pub const MARK_IN_FRONT: &str =
    "the file begins with a UTF-8 byte order mark: remove its first three bytes";

/// Collects all errors of one run, so that they are reported together.
#[derive(Debug, Clone, Default)]
pub struct Report {
    lines: Vec<Notice>,
    failed: bool,
    /// A report of `-t`, whose lines name their place.
    checking: bool,
}

impl Report {
    /// A report of `-t`.
    #[must_use]
    pub fn of_check() -> Self {
        Self {
            checking: true,
            ..Self::default()
        }
    }

    /// A report that begins with lines that refuse nothing.
    #[must_use]
    pub const fn with(lines: Vec<Notice>) -> Self {
        Self {
            lines,
            failed: false,
            checking: false,
        }
    }

    /// Whether something was refused.
    #[must_use]
    pub const fn failed(&self) -> bool {
        self.failed
    }

    /// The lines so far, in order.
    #[must_use]
    pub fn lines(&self) -> &[Notice] {
        &self.lines
    }

    /// All lines, in order.
    #[must_use]
    pub fn into_lines(self) -> Vec<Notice> {
        self.lines
    }

    /// Adds a line that refuses nothing.
    pub fn say(&mut self, severity: Severity, text: impl Into<String>) {
        self.lines.push(line(severity, text.into()));
    }

    /// Adds information.
    pub fn info(&mut self, text: impl Into<String>) {
        self.say(Severity::Info, text);
    }

    /// Adds a warning.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.say(Severity::Warn, text);
    }

    /// Adds a legacy line that names no place and refuses nothing. A start logs it as legacy does.
    /// In `-t` it is information, and the table of checks reports the matter with its place where
    /// it is important.
    pub fn say_as_legacy(&mut self, severity: Severity, text: impl Into<String>) {
        let severity = if self.checking {
            Severity::Info
        } else {
            severity
        };
        self.say(severity, text);
    }

    /// Adds an error line and refuses the configuration.
    pub fn error(&mut self, text: impl Into<String>) {
        self.failed = true;
        self.say(Severity::Error, text);
    }

    /// Adds a refusal: the legacy lines first, with `place: reason` after the first error.
    pub fn refuse(&mut self, place: &str, refusal: Refusal) {
        self.failed = true;
        let mut told = false;
        for (severity, text) in refusal.legacy {
            if severity == Severity::Error && !told {
                told = true;
                self.say(severity, format!("{text} ({place}: {})", refusal.reason));
            } else {
                self.say(severity, text);
            }
        }
        if !told {
            self.say(Severity::Error, format!("{place}: {}", refusal.reason));
        }
    }
}

fn line(severity: Severity, text: String) -> Notice {
    match severity {
        Severity::Debug => Notice::OtherDebug { text },
        Severity::Info => Notice::OtherInfo { text },
        Severity::Notice => Notice::OtherNotice { text },
        Severity::Warn => Notice::OtherWarn { text },
        Severity::Error => Notice::OtherError { text },
        Severity::Crit | Severity::Emerg => Notice::OtherCrit { text },
    }
}

/// Why a value is refused: the lines that the legacy program prints, then our reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    legacy: Vec<(Severity, String)>,
    reason: String,
}

impl Refusal {
    /// A refusal for which the legacy program has no message of its own.
    pub fn silent(reason: impl Into<String>) -> Self {
        Self {
            legacy: Vec::new(),
            reason: reason.into(),
        }
    }

    /// A refusal with the legacy error line.
    pub fn legacy(text: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::silent(reason).and(Severity::Error, text)
    }

    /// Adds a legacy line.
    #[must_use]
    pub fn and(mut self, severity: Severity, text: impl Into<String>) -> Self {
        self.legacy.push((severity, text.into()));
        self
    }
}

/// A piece of a file for a log line: printable, and cut to the length needed.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(MAX_QUOTE_CHARS)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    let total = text.chars().count();
    if total > MAX_QUOTE_CHARS {
        shown.push_str(&format!("... ({total} characters)"));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_text_comes_first_and_the_place_follows() {
        let mut report = Report::default();
        report.refuse(
            "ha.cf:3: bcast eth7",
            Refusal::legacy("IP interface [eth7] does not exist", "no such interface")
                .and(Severity::Error, "Illegal bcast"),
        );
        report.refuse("ha.cf:4: realtime soft", Refusal::silent("not a boolean"));
        let shown: Vec<String> = report.lines().iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "IP interface [eth7] does not exist (ha.cf:3: bcast eth7: no such interface)",
                "Illegal bcast",
                "ha.cf:4: realtime soft: not a boolean",
            ]
        );
        assert!(report.failed());
    }
}
