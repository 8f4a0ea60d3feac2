//! One row of the table of directives: how a value is read, by which handler, and what is printed
//! of it.
//!
//! Spec: docs/protocol/config.md, 2.2 and 4.

use super::draft::{Draft, Verdict};

/// Whether the value part is split. Spec: docs/protocol/config.md, 2.2.
#[derive(Clone, Copy)]
pub(super) enum Class {
    /// Words separated by commas and white space; the handler runs once per word.
    Words(fn(&mut Draft<'_>, &str) -> Verdict),
    /// The rest of the line in one piece.
    Line(fn(&mut Draft<'_>, &str) -> Verdict),
}

/// Whether a directive has an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It has.
    Full,
    /// Only its value is checked; a log line at the start says so.
    None,
}

/// One row.
pub(super) struct Row {
    /// Name as written in the file.
    pub(super) name: &'static str,
    /// How its value is read, and by what.
    pub(super) class: Class,
    /// Default that clients and scripts read.
    pub(super) default: Option<&'static str>,
    /// Comment in the printed configuration; empty: not printed, not recorded.
    pub(super) about: &'static str,
    /// Whether it has an effect.
    pub(super) effect: Effect,
}

impl Row {
    /// Whether clients and scripts can read the value. Spec: docs/protocol/config.md, 7.
    pub(super) const fn is_recorded(&self) -> bool {
        !self.about.is_empty()
    }
}

/// A directive whose value is a list of words.
pub(super) const fn words(
    name: &'static str,
    handler: fn(&mut Draft<'_>, &str) -> Verdict,
    default: Option<&'static str>,
    about: &'static str,
    effect: Effect,
) -> Row {
    Row {
        name,
        class: Class::Words(handler),
        default,
        about,
        effect,
    }
}

/// A directive that takes the rest of its line.
pub(super) const fn line(
    name: &'static str,
    handler: fn(&mut Draft<'_>, &str) -> Verdict,
    effect: Effect,
) -> Row {
    Row {
        name,
        class: Class::Line(handler),
        default: None,
        about: "",
        effect,
    }
}

/// A medium: no default, and not printed among the parameters.
pub(super) const fn medium(name: &'static str, class: Class, effect: Effect) -> Row {
    Row {
        name,
        class,
        default: None,
        about: "",
        effect,
    }
}
