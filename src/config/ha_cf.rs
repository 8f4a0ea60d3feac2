//! Reads `ha.cf` in file order into a [`Draft`]: the values of the directives, before defaults and
//! semantic checks.
//!
//! Spec: docs/protocol/config.md, 2 and 4.

use super::directives;
use super::draft::{Draft, shown_path};
use super::fencing;
use super::lines::{self, Directive};
use super::report::{BYTE_ORDER_MARK, MARK_IN_FRONT, Refusal, quote};
use super::row::{Class, Effect};
use super::types::Written;

/// Names of media that other builds of the legacy program know.
const FOREIGN_MEDIA: [&str; 4] = ["hbaping", "hbaping_group", "rds", "tipc"];

impl Draft<'_> {
    /// Reads the whole file. Every error is in the report.
    pub fn read(&mut self, text: &[u8]) {
        for line in lines::directives(text) {
            let at = format!("{}:{}", self.paths.ha_cf().display(), line.number);
            match line.content {
                Ok(directive) => self.directive(&at, directive),
                Err(error) => self.report.refuse(&at, Refusal::silent(error.to_string())),
            }
        }
        self.place.clear();
    }

    fn directive(&mut self, at: &str, directive: Directive<'_>) {
        let Directive { mut name, value } = directive;
        self.place = format!("{at}: {}", quote(name));
        if name == "udp" {
            name = "bcast";
            self.report.warn(format!(
                "WARNING: directive 'udp' replaced by 'bcast' ({at})"
            ));
        }
        let Some(row) = directives::find(name) else {
            self.illegal(name);
            return;
        };
        let mut used = false;
        match row.class {
            Class::Words(handler) => {
                for word in lines::list_words(value) {
                    let verdict = handler(self, word);
                    used |= verdict.is_ok();
                    match verdict {
                        Ok(()) if row.is_recorded() => {
                            self.parameters.insert(name.to_owned(), word.to_owned());
                        }
                        Ok(()) => {}
                        Err(refusal) => self.refuse(word, refusal),
                    }
                }
            }
            Class::Line(handler) => match handler(self, value) {
                Ok(()) => used = true,
                Err(refusal) => self.refuse(fencing::quotable(name, value), refusal),
            },
        }
        if used {
            self.places.insert(row.name, self.place.clone());
            self.written.push(Written {
                directive: row.name,
                value: value.to_owned(),
                place: at.to_owned(),
            });
        }
        match row.effect {
            Effect::None if used => self.without_effect.push(format!("{name} ({at})")),
            Effect::Full | Effect::None => {}
        }
    }

    fn illegal(&mut self, name: &str) {
        let reason = if name.starts_with(BYTE_ORDER_MARK) {
            MARK_IN_FRONT.to_owned()
        } else if FOREIGN_MEDIA.contains(&name) {
            "medium not supported".to_owned()
        } else if let Some(meant) = directives::nearest(name) {
            format!("no such directive; {meant} is meant, perhaps")
        } else {
            "no such directive; names are case-sensitive".to_owned()
        };
        let legacy = format!(
            "Illegal directive [{}] in {}",
            quote(name),
            shown_path(self.paths, "ha.cf")
        );
        let place = self.place.clone();
        self.report.refuse(&place, Refusal::legacy(legacy, reason));
    }

    fn refuse(&mut self, value: &str, refusal: Refusal) {
        let place = if value.is_empty() {
            self.place.clone()
        } else {
            format!("{} {}", self.place, quote(value))
        };
        self.report.refuse(&place, refusal);
    }
}
