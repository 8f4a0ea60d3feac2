//! Any bytes as the state that a daemon left: read or refused, never a panic; what is read is written and
//! read back as the same.

use systole::process::handover::NodeState;
use systole::process::handover::words::{Lines, state_of, words};

/// Fails when a rule does not hold.
pub(crate) fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines = Lines::of(text.split('\n').map(str::to_owned));
    let json = lines.json.as_deref().map(NodeState::from_json);
    for state in json.into_iter().flatten().chain(state_of(&lines.words)) {
        let json = state.to_json().expect("a state can be said");
        assert_eq!(
            NodeState::from_json(&json).expect("what was written"),
            state
        );
        let _ = words(&state, Some(&json));
    }
}
