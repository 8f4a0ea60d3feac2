//! The file of the node's state: written by the daemon, read by whoever goes on. See [the table](super).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tracing::{error, info};

use super::state::{BadState, NodeState};
use super::words::{self, Lines, NotOurs};
use crate::process::files::{empty, overwrite, read_ours, replace};

/// Longest file. The words become a command line, for which the kernel has a quarter of the limit of a
/// stack: 2 MiB as a rule, the environment included. Room for some ten thousand groups. What is longer
/// is not written either: nobody would read it. Guardians of earlier versions have the same limit.
pub const MAX_BYTES: usize = 1024 * 1024;

/// What a daemon has left.
#[derive(Debug)]
pub struct Kept {
    words: Vec<String>,
    /// Not read before somebody wants the state. A guardian passes the words on and wants to stay small.
    json: Option<String>,
}

impl Kept {
    fn of(lines: Lines) -> Self {
        let Lines { words, json } = lines;
        Self { words, json }
    }

    /// As JSON says it, where there is some.
    fn state(&self) -> Option<Result<NodeState, BadState>> {
        self.json.as_deref().map(NodeState::from_json)
    }

    /// Why the state in the file cannot be used, where only the words are left.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let why = self.state()?.err()?;
        Some(format!(
            "the state in it cannot be used: {why}: only what its other words say is known"
        ))
    }

    /// The words for whoever is started, of whatever version.
    #[must_use]
    pub fn into_words(self) -> Vec<String> {
        self.words
    }

    /// The state: as JSON says it, else as the words do.
    ///
    /// # Errors
    /// [`NotOurs`]: nobody knows it.
    pub fn into_state(self) -> Result<NodeState, NotOurs> {
        match self.state() {
            Some(Ok(state)) => Ok(state),
            _ => words::state_of(&self.words),
        }
    }
}

/// Reads the file that a daemon has left.
///
/// # Errors
/// No such file, not one that we can have written, or one in JSON alone that cannot be used. Then
/// everything may run.
pub fn read(path: &Path) -> io::Result<Kept> {
    let text = String::from_utf8(read_ours(path, MAX_BYTES)?).map_err(io::Error::other)?;
    // So a later version may write it, when no guardian needs words any more.
    if text.starts_with('{') {
        let state = NodeState::from_json(&text).map_err(io::Error::other)?;
        return Ok(Kept {
            words: words::words(&state, None),
            json: Some(text),
        });
    }
    let Some(lines) = text.strip_suffix('\n') else {
        return Err(io::Error::other("not whole"));
    };
    Ok(Kept::of(Lines::of(lines.split('\n').map(str::to_owned))))
}

/// What a daemon goes on with that was started with the words `told`, and what it has to say about
/// that. `None`: with what the words say. JSON among the words counts, and the file at `path` when the words
/// in it are the same; see [the module](super).
#[must_use]
pub fn handed_over(path: &Path, told: Vec<String>) -> (Option<NodeState>, Option<String>) {
    let told = Kept::of(Lines::of(told).without_release());
    // Nobody tells the JSON but a process that could not write it down or that has no file, and a guardian
    // that has read it there: what lies there is not newer.
    if let Some(Ok(state)) = told.state() {
        return (Some(state), None);
    }
    let kept = read(path).ok();
    let kept = kept.filter(|kept| kept.words == told.words && kept.json.is_some());
    let counts = kept.unwrap_or(told);
    let complaint = counts.complaint();
    let complaint = complaint.map(|text| format!("{}: {text}", path.display()));
    (counts.state().and_then(Result::ok), complaint)
}

/// The file, and what stands in it.
#[derive(Debug)]
pub struct StateFile {
    /// `None`: there is no guardian, and nobody reads it.
    path: Option<PathBuf>,
    state: NodeState,
    /// The last write failed: nobody can read the file.
    is_unwritten: bool,
}

impl StateFile {
    /// Writes the file.
    #[must_use]
    pub fn begin(path: Option<PathBuf>, state: NodeState) -> Self {
        let mut file = Self {
            path,
            state,
            is_unwritten: false,
        };
        file.write();
        file
    }

    /// What stands in it.
    #[must_use]
    pub const fn state(&self) -> &NodeState {
        &self.state
    }

    /// Changes the state and writes it down.
    pub fn change(&mut self, change: impl FnOnce(&mut NodeState)) {
        change(&mut self.state);
        self.write();
    }

    /// Whether the last write failed: nobody can read the file then.
    #[must_use]
    pub const fn is_unwritten(&self) -> bool {
        self.is_unwritten
    }

    /// Writes what could not be written before.
    pub fn try_again(&mut self) {
        if self.is_unwritten {
            self.write();
        }
    }

    /// The words with which the process replaces itself: the whole state where the file does not say
    /// it.
    #[must_use]
    pub fn successor_words(&self) -> Vec<String> {
        let in_file = self.path.is_some() && !self.is_unwritten;
        let json = self.state.to_json().ok().filter(|_| !in_file);
        words::words(&self.state, json.as_deref())
    }

    fn write(&mut self) {
        let Some(path) = &self.path else {
            return;
        };
        let written = text_of(&self.state).and_then(|text| {
            let text = text.as_bytes();
            // A full disk has no room for another file, but for this one.
            replace(path, text).or_else(|error| overwrite(path, text).map_err(|_| error))
        });
        match written {
            Ok(()) => {
                if std::mem::take(&mut self.is_unwritten) {
                    info!(path = %path.display(), "what is held is written down again");
                }
            }
            Err(error) => {
                // What was held before would be wrong, and nobody would know. Of an empty file everybody
                // knows that everything may run; no file may be the sign of an orderly end.
                if empty(path).is_err() {
                    let _ = fs::remove_file(path);
                }
                if !std::mem::replace(&mut self.is_unwritten, true) {
                    error!(path = %path.display(), %error, "what is held cannot be written down: if the daemon were killed now, its guardian would release everything");
                }
            }
        }
    }
}

/// The words one a line, and the JSON among them if there is room for it.
fn text_of(state: &NodeState) -> io::Result<String> {
    let text = |json: Option<&str>| {
        let mut text = words::words(state, json).join("\n");
        text.push('\n');
        Some(text).filter(|text| text.len() <= MAX_BYTES)
    };
    let json = state.to_json().ok();
    text(json.as_deref())
        .or_else(|| text(None))
        .ok_or_else(|| io::Error::other("more groups than a guardian takes"))
}

#[cfg(test)]
mod tests;
