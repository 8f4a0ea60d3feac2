//! A legacy node whose words and groups have come apart. It serialises neither its takeovers nor its
//! failbacks with the scripts that run: what waited behind them is worked off later, whatever was handed
//! over meanwhile, and its words of a hand-over come in the wrong order.
//!
//! | What is seen | What we do |
//! |---|---|
//! | its `info=standby` comes behind a newer report | it gives all the same: its `done` is waited for |
//! | its `mach_down`, while we hold our groups | it has started them, and lets go of nothing: we give way |
//! | the same, while we take our groups from it | the same, and it gives them anew: we begin anew |
//! | the same, while we hold its groups or take those | it works off now what waited behind, its own groups' starts among it, and never says so: we offer them back |
//! | it claims what we have taken meanwhile | it is asked once, when our work is done; its report decides |
//! | the same, and the network has refused every group of that half to us | it serves: we claim it no longer |
//! | a `done` that nobody waits for | it is asked: when it does not hold the set, it has released it for an earlier run of ours, and waits for our `done` for an hour. We take the set. When it holds its own groups by it, it has just started them for an earlier run of ours: we let go of those |
//! | the same, and we hold what it would have released | a script of an earlier standby has ended, and may have started that: we offer it, once |

use std::time::Duration;

use crate::clock::Monotonic;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::behind_scripts::Scripts;

/// How long an offer that was not answered is not repeated at first; twice as long each time, because a
/// node that hangs in a standby of its own does so for an hour, and an open offer holds everything else up.
pub(in crate::resources) const OFFER_AGAIN: Duration = Duration::from_secs(15);

/// The longest pause between two offers.
pub(in crate::resources) const OFFER_RARELY: Duration = Duration::from_secs(600);

/// What is open beside a legacy node.
#[derive(Debug, Default)]
pub(in crate::resources) struct BesideLegacy {
    /// It was asked about what both of us claim.
    pub(in crate::resources) asked: bool,
    /// A `done` that nobody waited for: whose, and the message.
    pub(in crate::resources) late_done: Option<(NodeName, HoldingSet, Message)>,
    /// It may have started its own groups, which we hold: they are offered to it then.
    pub(in crate::resources) offer_back_at: Option<Monotonic>,
    /// The pause after the next offer; `None`: it is the first.
    pub(in crate::resources) offer_pause: Option<Duration>,
    /// What a script of an earlier standby may have started beside us.
    pub(in crate::resources) older_start: HoldingSet,
    /// Whether its scripts are done.
    pub(in crate::resources) scripts: Scripts,
}
