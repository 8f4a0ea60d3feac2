//! Whether the scripts of a legacy node are done. It names what a script starts for a standby only when that
//! has ended, and what one stops no longer. A node that has lost its memory meanwhile (it lost power, and is
//! back within its dead time) reads in that word that nobody runs the groups, and would start them beside the
//! script.
//!
//! So the groups of a legacy node that nobody claims are not simply taken: it is asked to give them. It works
//! such a request off behind every script of its own. Spec: docs/protocol/resources.md, 8 and 9.6.
//!
//! | after our request | we |
//! |---|---|
//! | its offer, and all that follows | take the groups as in any standby |
//! | its offer, and nothing follows: it hangs in a standby of its own | take them: no script of it runs |
//! | its report names them | leave them there, and do not answer the offer that follows |
//! | its offer at a moment when we can take nothing, or words of it are lost | ask again |
//! | nothing for a minute | say so: a script runs or hangs there |
//! | nothing for an hour | take them, and ask the network before each start |
//!
//! Only an offer of just its own groups counts: what a person or a client asks of it there does not wait behind
//! its scripts.

use std::time::Duration;

use crate::clock::Monotonic;

/// When people are told that it has not answered.
pub(in crate::resources) const SAID: Duration = Duration::from_secs(60);

/// What is known of the scripts of the legacy node beside us.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Scripts {
    /// Nothing.
    #[default]
    Unknown,
    /// It was asked for its own groups.
    Asked {
        /// When.
        at: Monotonic,
        /// People were told that it has not answered.
        said: bool,
    },
    /// It has answered: none ran then.
    Done,
    /// It has reported its groups, and its answer is still to come: it is not wanted any more.
    Late {
        /// So long.
        until: Monotonic,
    },
}
