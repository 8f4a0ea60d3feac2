//! Questions to another node, and how long one that lives may say nothing of its resources.
//! Spec: docs/protocol/resources.md, 5.2, note 3.

use std::time::Duration;

use crate::protocol::question::Position;

/// Patience while nobody is settled. Spec: docs/protocol/membership.md, 2, fixed times.
pub(in crate::resources) const AGREEMENT: Duration = Duration::from_secs(10);

/// How long a message of another node that it shoots us keeps us from acquiring.
/// Spec: docs/protocol/resources.md, 10.3.
pub(in crate::resources) const AIMED_AT: Duration = Duration::from_secs(10);

/// Patience for the report of a peer that is active. Spec: docs/protocol/resources.md, 5.2, note 3.
pub(in crate::resources) const REPORT: Duration = Duration::from_secs(1);

/// How often a settled node asks for it, a second apart, before it says that none comes. The first
/// `starting` may be lost for good when another message overtakes it: what was sent before the first
/// number heard is not asked for.
pub(in crate::resources) const ASK_WHEN_STABLE: u8 = 3;

/// The same, of one whose report counts only when it has heard the question: as long as the patience.
pub(in crate::resources) const ASK_ONE_THAT_ECHOES: u8 = 9;

/// After that it is asked on and on: it may be deaf, and hear again at any time.
pub(in crate::resources) const ASK_ON: Duration = Duration::from_secs(5);

/// Our own questions.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::resources) struct Asking {
    /// First one of the present run.
    pub(in crate::resources) first: Option<Position>,
    /// Newest one.
    pub(in crate::resources) newest: Position,
}
