//! Automatic failback: what came from a dead node goes back to it.
//! Spec: docs/protocol/resources.md, 6.
//!
//! | an offer of it | then |
//! |---|---|
//! | is answered | it is over, whatever the operators do with the groups later |
//! | is not answered | again after a minute, twice as long and so on, three times; then when the other side next turns stable |
//! | ends with a new run of the other side | again when that is settled |

use std::time::Duration;

/// Pause after an offer that was not answered; doubled each time.
pub(in crate::resources) const AGAIN: Duration = Duration::from_secs(60);

/// So often an offer is repeated before the other side has turned stable again.
pub(in crate::resources) const TRIES: u8 = 3;
