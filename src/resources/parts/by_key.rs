//! `auto_failback legacy`: a group that was asked for by its key.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;

/// Pause before an unanswered request is repeated. Legacy asks once and then never again.
pub(in crate::resources) const REPEAT: Duration = Duration::from_secs(10);

/// A group that we have asked for.
#[derive(Debug)]
pub(in crate::resources) struct Asked {
    /// When it is asked for again.
    pub(in crate::resources) at: Monotonic,
    /// Our newest request for it; `None`: it is on its way out.
    pub(in crate::resources) position: Option<Position>,
    /// Who has said that it does not run it.
    pub(in crate::resources) declined: BTreeSet<NodeName>,
}
