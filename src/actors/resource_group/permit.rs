//! Whether a start may begin its next script.
//!
//! An order can be old when it is carried out: the process was suspended between the order and its
//! script, or between two scripts, and another node runs the group by now. The core notices that as
//! soon as it runs again, so it is asked before every script of a start.

use std::time::Duration;

use actix::WeakRecipient;
use tokio::time::sleep;

use crate::actors::messages::MayStart;
use crate::protocol::event::OrderId;

/// Pause before the question is repeated, while membership is being restarted.
const AGAIN: Duration = Duration::from_millis(10);

/// How the permission for one order is obtained.
#[derive(Clone)]
pub(crate) enum Permit {
    /// No daemon runs: the caller of the helper program decides.
    Always,
    /// The core of this node decides.
    Ask {
        /// The order.
        order: OrderId,
        /// The actor to ask.
        core: WeakRecipient<MayStart>,
    },
}

impl Permit {
    /// Whether the order stands. Waits for a core that is being restarted. Without a core, and when
    /// it has given up, the order does not stand.
    pub(super) async fn stands(&self) -> bool {
        let Self::Ask { order, core } = self else {
            return true;
        };
        loop {
            let Some(core) = core.upgrade() else {
                return false;
            };
            match core.send(MayStart(*order)).await {
                Ok(answer) => return answer,
                Err(_) if !core.connected() => return false,
                Err(_) => sleep(AGAIN).await,
            }
        }
    }
}
