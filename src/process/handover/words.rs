//! The node's state as words of a command line: the only place where such a word is made or read.
//! Pure.
//!
//! | Word | Position | Meaning |
//! |---|---|---|
//! | `-R` | first | go on where another ended; `heartbeat -k` knows a successor by it |
//! | `-C SET` | then | what is held |
//! | `-M`, `-l`, `-f`, `-d` | then | as the daemon was called |
//! | `systole: own KEY`, `other`, `left`, `came` | before `--` | the owner of a group |
//! | `systole: standby TEXT` | before `--` | the open standby |
//! | `systole: releases` | before `--` | everything is being released |
//! | `systole: unknown` | before `--` | unknown groups may run |
//! | `systole: state PIECE` | before `--` | a piece of the whole state in JSON |
//! | `KEY` | after `--` | a group that may run |
//! | `systole: unfinished KEY` | after `--` | a group with an order in hand |
//! | `systole: frozen` | after `--` | the node is frozen |
//! | `systole: release WHY` | last | the daemon is only to release everything; the guardian adds it |
//!
//! Every program, legacy too, ignores words before `--` that are no options. After it, a program
//! that does not know a word of ours would take it for a group: nothing new is put there. A group's
//! key contains no blank.

use super::state::{Called, GroupState, NodeState};
use crate::protocol::group::GroupKey;
use crate::resources::holding::HoldingSet;
use crate::resources::left_open::OpenStandby;
use crate::resources::owners::Whose;

const END_OF_OPTIONS: &str = "--";
const OURS: &str = "systole: ";
const STANDBY: &str = "systole: standby ";
const RELEASES: &str = "systole: releases";
const UNKNOWN: &str = "systole: unknown";
const STATE: &str = "systole: state ";
const UNFINISHED: &str = "systole: unfinished ";
const FROZEN: &str = "systole: frozen";
const RELEASE: &str = "systole: release ";

/// Longest piece of JSON. The kernel takes 128 KiB in one word.
const PIECE_BYTES: usize = 60_000;

/// The words for a daemon when it is not known what its predecessor held.
#[must_use]
pub fn of_nothing_known() -> Vec<String> {
    ["-R", "-C", "none", UNKNOWN, END_OF_OPTIONS]
        .map(str::to_owned)
        .to_vec()
}

/// The words with which a successor is started. With `json` they contain the whole state, in
/// pieces.
#[must_use]
pub fn words(state: &NodeState, json: Option<&str>) -> Vec<String> {
    let mut words = vec!["-R".into(), "-C".into(), state.holding.word().to_owned()];
    let Called {
        manage_resources,
        realtime,
        foreground,
        debug,
    } = state.called;
    let letters = [
        ("-M", !manage_resources),
        ("-l", !realtime),
        ("-f", foreground),
    ];
    let given = letters.iter().filter(|(_, given)| *given);
    words.extend(given.map(|(letter, _)| (*letter).to_owned()));
    words.extend((0..debug).map(|_| "-d".to_owned()));
    let owners = state.groups.iter();
    let owners = owners.filter_map(|(key, group)| Some((group.whose?.word(), key)));
    words.extend(owners.map(|(whose, key)| format!("{OURS}{whose} {key}")));
    let standby = state.standby.iter();
    words.extend(standby.map(|open| format!("{STANDBY}{}", open.to_text())));
    words.extend(state.releases.then(|| RELEASES.to_owned()));
    words.extend(state.unknown.then(|| UNKNOWN.to_owned()));
    words.extend(pieces(json.unwrap_or_default()).map(|piece| format!("{STATE}{piece}")));
    words.push(END_OF_OPTIONS.to_owned());
    words.extend(state.may_run().map(ToString::to_string));
    words.extend(state.unfinished().map(|key| format!("{UNFINISHED}{key}")));
    words.extend(state.frozen.then(|| FROZEN.to_owned()));
    words
}

/// The text in pieces that are short enough, none inside a character.
fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let mut end = PIECE_BYTES.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, rest) = text.split_at(end);
        text = rest;
        Some(piece).filter(|piece| !piece.is_empty())
    })
}

/// The word that tells a daemon to release everything and end, after the words with which it is
/// started.
#[must_use]
pub fn release(why: &str) -> String {
    format!("{RELEASE}{why}")
}

/// Reads [`release`].
#[must_use]
pub fn release_reason(word: &str) -> Option<&str> {
    word.strip_prefix(RELEASE)
}

/// Reads a word that stands before `--` and is no option. An unknown word is ignored.
pub fn read_before_separator(state: &mut NodeState, word: &str) {
    if word == RELEASES {
        state.releases = true;
    } else if word == UNKNOWN {
        state.unknown = true;
    } else if let Some(text) = word.strip_prefix(STANDBY) {
        state.standby = OpenStandby::from_text(text);
    } else if let Some((whose, key)) = word
        .strip_prefix(OURS)
        .and_then(|word| word.split_once(' '))
        && let Some(whose) = Whose::from_word(whose)
    {
        state.group(&GroupKey::new(key)).whose = Some(whose);
    }
}

/// Reads a word that stands after `--`.
pub fn read_behind_separator(state: &mut NodeState, word: &str) {
    let group = |key: &str| GroupKey::new(key);
    if word == FROZEN {
        state.frozen = true;
    } else if let Some(key) = word.strip_prefix(UNFINISHED) {
        state.group(&group(key)).unfinished = true;
    } else if release_reason(word).is_none() {
        state.group(&group(word)).may_run = true;
    }
}

/// Why words are not those of a daemon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOurs {
    /// They do not begin as ours do.
    #[error("these are not the words of a daemon that went on")]
    NoSuccessor,
    /// There is no such set.
    #[error("bad resource type [{0}]")]
    BadSet(
        /// Its word.
        String,
    ),
    /// There is no such option.
    #[error("unknown option {0}")]
    UnknownOption(
        /// Its word.
        String,
    ),
}

/// Reads the words that [`words`] makes, or that an earlier version made. `cli/options.rs` reads
/// what a person may type.
///
/// # Errors
/// [`NotOurs`]: then it is not known what runs.
pub fn state_of(words: &[String]) -> Result<NodeState, NotOurs> {
    let mut words = words.iter().map(String::as_str);
    if words.next() != Some("-R") {
        return Err(NotOurs::NoSuccessor);
    }
    let mut state = NodeState::default();
    let called = &mut state.called;
    let mut early = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "-C" => {
                let word = words.next().unwrap_or_default();
                let set = HoldingSet::from_word(word);
                state.holding = set.ok_or_else(|| NotOurs::BadSet(word.to_owned()))?;
            }
            "-M" => called.manage_resources = false,
            "-l" => called.realtime = false,
            "-f" => called.foreground = true,
            "-d" => called.debug = called.debug.saturating_add(1),
            END_OF_OPTIONS => break,
            option if option.starts_with('-') => {
                return Err(NotOurs::UnknownOption(option.to_owned()));
            }
            word => early.push(word),
        }
    }
    for word in early {
        read_before_separator(&mut state, word);
    }
    for word in words {
        read_behind_separator(&mut state, word);
    }
    let nothing = GroupState::default();
    state.groups.retain(|_, group| *group != nothing);
    Ok(state)
}

/// Words from a file or a command line, separated from the pieces of JSON among them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lines {
    /// The words that every program understands.
    pub words: Vec<String>,
    /// The JSON.
    pub json: Option<String>,
}

impl Lines {
    /// Separates them.
    #[must_use]
    pub fn of(all: impl IntoIterator<Item = String>) -> Self {
        let mut lines = Self::default();
        let mut early = true;
        for word in all {
            early &= word != END_OF_OPTIONS;
            match word.strip_prefix(STATE).filter(|_| early) {
                Some(piece) => lines.json.get_or_insert_default().push_str(piece),
                None => lines.words.push(word),
            }
        }
        lines
    }

    /// The same as it was before a guardian added the word for a release.
    #[must_use]
    pub fn without_release(mut self) -> Self {
        self.words.retain(|word| release_reason(word).is_none());
        self
    }
}

#[cfg(test)]
mod tests;
