//! Every line of the source, and what has become of it.

use std::collections::BTreeMap;
use std::fmt;

use super::facts::Facts;
use crate::config::group_lines;

/// A file of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum File {
    /// `ha.cf`.
    HaCf,
    /// `haresources`.
    Haresources,
    /// `authkeys`.
    Authkeys,
    /// `systole.toml`.
    Settings,
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HaCf => "ha.cf",
            Self::Haresources => "haresources",
            Self::Authkeys => "authkeys",
            Self::Settings => "systole.toml",
        })
    }
}

/// What has become of a line, or of a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// The target has it.
    Carried,
    /// The target needs nothing for it.
    NotNeeded,
    /// The target does not do it.
    Lost,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Carried => "carried",
            Self::NotNeeded => "not needed",
            Self::Lost => "LOST",
        })
    }
}

/// One line of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line, without comment and secrets.
    pub text: String,
    /// What has become of its parts.
    pub notes: Vec<(Fate, String)>,
}

/// A place in the source.
pub(super) type Place = (File, usize);

/// All lines.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<Place, Entry>,
    /// What a person has to do before the start, in order.
    pub(super) todo: Vec<String>,
    /// What is carried, and differs in a way that a person should know.
    pub(super) differs: Vec<String>,
}

impl Ledger {
    /// The lines of the source, of which nothing is said yet.
    pub(super) fn of(facts: &Facts<'_>) -> Self {
        let mut ledger = Self::default();
        for (number, line) in (1..).zip(facts.ha_cf.split('\n')) {
            let text = line.split(['#', '\r', '\0']).next().unwrap_or_default();
            ledger.enter(File::HaCf, number, &without_secrets(text.trim()));
        }
        let mut goes_on = None;
        for (number, line) in group_lines::physical(facts.haresources) {
            let own = line.split('#').next().unwrap_or_default();
            let text = if goes_on.is_some() { line } else { own };
            ledger.enter(File::Haresources, number, text.trim());
            if let Some(first) = goes_on {
                let text = format!("continues line {first}");
                ledger.note((File::Haresources, number), Fate::Carried, text);
            }
            let first = goes_on.unwrap_or(number);
            goes_on = text.ends_with('\\').then_some(first);
        }
        for key in facts.keys.iter().flatten() {
            ledger.enter(File::Authkeys, key.line, &key.text);
        }
        for (number, line) in (1..).zip(facts.settings.lines()) {
            let text = line.trim();
            if !text.starts_with('#') {
                ledger.enter(File::Settings, number, text);
            }
        }
        ledger
    }

    /// A line of the source. An empty one is none.
    pub(super) fn enter(&mut self, file: File, line: usize, text: &str) {
        if text.is_empty() {
            return;
        }
        let text = text.chars().map(shown).collect();
        let notes = Vec::new();
        self.entries.insert((file, line), Entry { text, notes });
    }

    /// Says what has become of a line. A line that is not there is ignored.
    pub(super) fn note(&mut self, place: Place, fate: Fate, text: impl Into<String>) {
        let text: String = text.into();
        let note = (fate, text.chars().map(shown).collect());
        if let Some(entry) = self.entries.get_mut(&place)
            && !entry.notes.contains(&note)
        {
            entry.notes.push(note);
        }
    }

    pub(super) fn carried(&mut self, place: Place, text: impl Into<String>) {
        self.note(place, Fate::Carried, text);
    }

    pub(super) fn not_needed(&mut self, place: Place, text: impl Into<String>) {
        self.note(place, Fate::NotNeeded, text);
    }

    pub(super) fn lost(&mut self, place: Place, text: impl Into<String>) {
        self.note(place, Fate::Lost, text);
    }

    /// Notes something to do, once.
    pub(super) fn task(&mut self, text: impl Into<String>) {
        push_once(&mut self.todo, text.into());
    }

    /// Notes a difference, once.
    pub(super) fn differs(&mut self, text: impl Into<String>) {
        push_once(&mut self.differs, text.into());
    }

    /// A line of which nothing was said is lost.
    pub(super) fn close(&mut self) {
        for entry in self.entries.values_mut() {
            if entry.notes.is_empty() {
                let why = "nothing in the target corresponds to it".to_owned();
                entry.notes.push((Fate::Lost, why));
            }
        }
    }

    /// All lines, in their order.
    pub fn entries(&self) -> impl Iterator<Item = (File, usize, &Entry)> {
        let entries = self.entries.iter();
        entries.map(|((file, line), entry)| (*file, *line, entry))
    }

    /// What is lost: `FILE:LINE  text: why`.
    #[must_use]
    pub fn losses(&self) -> Vec<String> {
        let lost = self.entries().flat_map(|(file, line, entry)| {
            let notes = entry.notes.iter().filter(|(fate, _)| *fate == Fate::Lost);
            notes.map(move |(_, why)| format!("{file}:{line}  {}: {why}", entry.text))
        });
        lost.collect()
    }
}

/// A character of a line, in a text of lines.
fn shown(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

fn push_once(list: &mut Vec<String>, text: String) {
    if !list.contains(&text) {
        list.push(text);
    }
}

/// A line of ha.cf without the parameters of a fencing device.
fn without_secrets(line: &str) -> String {
    let keep = match line.split_whitespace().next() {
        Some("stonith_host") => 3,
        // A `stonith_host` line under the wrong name is refused; its third word might be a secret.
        Some("stonith") => 3,
        _ => return line.to_owned(),
    };
    let mut words = line.split_whitespace();
    let kept: Vec<&str> = words.by_ref().take(keep).collect();
    let more = if words.next().is_some() { " ***" } else { "" };
    kept.join(" ") + more
}
