//! Groups that failed to start: moved to the other node once, else tried again.
//! Spec: docs/protocol/resources.md, 9.3, [D].
//!
//! | The group came here | It does not start | Then |
//! |---|---|---|
//! | by a standby of a Systole node, which ran it | first failure | back at once, when both have said that the standby is over |
//! | by a standby of a node that says it failed there, or to which it went for that a short time ago | first failure | it starts on neither node: tried here ever more rarely |
//! | in any other way | first failure | to the other node after 30 s, as legacy does |
//! | in any way | nobody to take it, or a later failure | tried here ever more rarely |
//!
//! A failure counts against a node for what it was given last only: the next hand-over is a new case.

use std::time::Duration;

use crate::clock::Monotonic;

/// Pause before a failed group is moved. Spec: docs/protocol/membership.md, 2, fixed times.
pub(in crate::resources) const MOVE_AFTER: Duration = Duration::from_secs(30);

/// Longest pause between two attempts to start it here.
pub(in crate::resources) const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Pause before an address that another host has is asked for again.
pub(in crate::resources) const TAKEN_AGAIN: Duration = Duration::from_secs(10);

/// Longest list of failed groups in a message, in bytes. What does not fit stands behind it by its mark,
/// as in the names of reports: one that is left out would be thrown back at once, and again and again.
pub(in crate::resources) const LONGEST_LIST: usize = 512;

/// A legacy giver does not say what failed there, but gives foreign groups for that, and no others. Ours
/// that it gives so soon after they were given to it for a failure here may have failed there; later they
/// have run there.
pub(in crate::resources) const MAY_HAVE_FAILED_THERE: Duration = LONGEST_PAUSE;

/// Pause when the moment is not good.
pub(in crate::resources) const TRY_SOON: Duration = Duration::from_secs(1);

/// A group that does not start here.
#[derive(Debug, Clone)]
pub(in crate::resources) struct Failure {
    /// When something is done about it.
    pub(in crate::resources) at: Monotonic,
    /// Pause after the next failure.
    pub(in crate::resources) pause: Duration,
    /// It was given to the other node for this once. It is not thrown back for ever: every node
    /// gives a group away at most once between two successful starts.
    pub(in crate::resources) moved: bool,
    /// Another host has its address.
    pub(in crate::resources) taken: bool,
    /// The node that gave it to us runs it again as soon as it can take it.
    pub(in crate::resources) returns: bool,
}
