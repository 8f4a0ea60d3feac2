//! The file of the node's state: written by the daemon, read by the process that goes on in its
//! place. See [the table](super).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tracing::{error, info};

use super::state::{BadState, NodeState};
use super::words::{self, Lines, NotOurs};
use crate::process::files::{empty, overwrite, read_ours, replace};

/// Longest file, in bytes. The words become a command line, for which the kernel has a quarter of
/// the limit of a stack: 2 MiB as a rule, including the environment. There is room for some ten
/// thousand groups. A longer text is not written either, because it could not be read. Guardians of
/// earlier versions have the same limit.
pub const MAX_BYTES: usize = 1024 * 1024;

/// What a daemon has left.
#[derive(Debug)]
pub struct Kept {
    words: Vec<String>,
    /// Not parsed before the state is wanted. A guardian only passes the words on and must stay
    /// small.
    json: Option<String>,
}

impl Kept {
    fn of(lines: Lines) -> Self {
        let Lines { words, json } = lines;
        Self { words, json }
    }

    /// The state in the JSON, if there is one.
    fn state(&self) -> Option<Result<NodeState, BadState>> {
        self.json.as_deref().map(NodeState::from_json)
    }

    /// Why the state in the file cannot be used, if only the words are left.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let why = self.state()?.err()?;
        Some(format!(
            "the state in it cannot be used: {why}: only what its other words say is known"
        ))
    }

    /// The words for the program that is started, of whatever version.
    #[must_use]
    pub fn into_words(self) -> Vec<String> {
        self.words
    }

    /// The state: from the JSON, else from the words.
    ///
    /// # Errors
    /// [`NotOurs`]: the state is not known.
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
    // A later version may write this form, when no guardian needs words any more.
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

/// The state with which a daemon goes on that was started with the words `told`, and a complaint
/// about it, if any. `None`: the state in the words. JSON among the words counts first, then the
/// file at `path` if its words are the same; see [the module](super).
#[must_use]
pub fn handed_over(path: &Path, told: Vec<String>) -> (Option<NodeState>, Option<String>) {
    let told = Kept::of(Lines::of(told).without_release());
    // Only two senders put JSON among the words: a process that could not write it to the file or
    // has no file, and a guardian that has read it there. So the file is not newer.
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

/// The file, and its content.
#[derive(Debug)]
pub struct StateFile {
    /// `None`: there is no guardian, and no process reads the file.
    path: Option<PathBuf>,
    state: NodeState,
    /// The last write failed: the file cannot be read.
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

    /// The state in the file.
    #[must_use]
    pub const fn state(&self) -> &NodeState {
        &self.state
    }

    /// Changes the state and writes it to the file.
    pub fn change(&mut self, change: impl FnOnce(&mut NodeState)) {
        change(&mut self.state);
        self.write();
    }

    /// Whether the last write failed: then the file cannot be read.
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

    /// The words with which the process replaces itself. They contain the whole state if the file
    /// does not.
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
                // The old content would be wrong, and no reader could know that. An empty file
                // means that everything may run; a missing file may mean an orderly end.
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

/// The words, one per line, and the JSON among them if there is room for it.
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
