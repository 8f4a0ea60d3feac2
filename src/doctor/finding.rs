//! What the doctor says: findings, and what it could not look at.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

/// Version of the form of [`Report`] as JSON. A later version of this form may add keys.
pub const SCHEMA: u32 = 1;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// Good to know.
    Info,
    /// Works, but not as well as it should, or not for ever.
    Warn,
    /// Does not start, does not fail over, or ends with two owners.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        })
    }
}

/// One thing that a rule has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule: `D` and two digits.
    pub id: String,
    /// How much it matters.
    pub severity: Level,
    /// The file; one of the other node begins with its name and a colon, as `scp` writes it.
    pub file: Option<String>,
    /// Line in it, from 1.
    pub line: Option<u32>,
    /// What is wrong.
    pub text: String,
    /// The command, or the change, that fixes it.
    pub fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.severity, self.id)?;
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, " {file}:{line}")?,
            (Some(file), None) => write!(f, " {file}")?,
            (None, _) => {}
        }
        write!(f, " {}", self.text)
    }
}

/// The answer of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The worst first; findings of one level in the order of the rules.
    pub findings: Vec<Finding>,
    /// What could not be looked at, and why.
    #[serde(skip)]
    pub unseen: Vec<String>,
    /// A file without which nothing can be said could not be read.
    #[serde(skip)]
    pub blind: bool,
}

impl Report {
    /// How many findings have this level.
    #[must_use]
    pub fn count(&self, level: Level) -> usize {
        let of_level = |finding: &&Finding| finding.severity == level;
        self.findings.iter().filter(of_level).count()
    }

    /// 2: an ERROR. 1: a WARN. 3: nothing wrong was seen, but ha.cf or haresources could not be read. 0: else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let worst = self.findings.iter().map(|finding| finding.severity).max();
        match worst {
            Some(Level::Error) => 2,
            Some(Level::Warn) => 1,
            _ if self.blind => 3,
            Some(Level::Info) | None => 0,
        }
    }

    /// Only the findings of this rule.
    pub fn keep_only(&mut self, id: &str) {
        self.findings
            .retain(|finding| finding.id.eq_ignore_ascii_case(id));
    }

    /// Lines for people: two for each finding, one for each thing that could not be looked at, and the counts.
    #[must_use]
    pub fn for_people(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let _ = writeln!(text, "{finding}\n  fix: {}", finding.fix);
        }
        // The same reason once, with all that it concerns.
        let mut unseen: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in &self.unseen {
            let (what, why) = line.split_once(": ").unwrap_or((line, ""));
            unseen.entry(why).or_default().push(what);
        }
        for (why, what) in unseen {
            let shown = what.get(..what.len().min(6)).unwrap_or(&what);
            let more = what.len().saturating_sub(shown.len());
            let more = if more == 0 {
                String::new()
            } else {
                format!(" and {more} more")
            };
            let _ = writeln!(text, "could not look at {}{more}: {why}", shown.join(", "));
        }
        let _ = writeln!(text, "{}", self.counts());
        text
    }

    /// `2 errors, 1 warning, 0 remarks`.
    #[must_use]
    pub fn counts(&self) -> String {
        let count = |level, word: &str| {
            let count = self.count(level);
            format!("{count} {word}{}", if count == 1 { "" } else { "s" })
        };
        [
            count(Level::Error, "error"),
            count(Level::Warn, "warning"),
            count(Level::Info, "remark"),
        ]
        .join(", ")
    }
}
