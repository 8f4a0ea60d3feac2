//! The end after membership gave up: every group is stopped, then the process ends.

use std::time::Duration;

use actix::prelude::*;
use tracing::warn;

use super::{EXIT_FAULT, RootActor};
use crate::actors::messages::GroupCommand;
use crate::notice::{self, Notice};
use crate::protocol::event::{GroupOrder, OrderId};

/// How long groups may take to be released after membership gave up: as legacy's emergency timer.
const RELEASE_LIMIT: Duration = Duration::from_secs(3600);

/// Membership panicked too often.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(super) struct MembershipGaveUp;

impl Handler<MembershipGaveUp> for RootActor {
    type Result = ();

    /// Nobody speaks for this node any more: it must not hold anything when the others take over.
    fn handle(&mut self, _: MembershipGaveUp, ctx: &mut Self::Context) {
        notice::log(&Notice::OtherCrit {
            text: "membership failed too often: releasing all resources and ending".to_owned(),
        });
        let keys: Vec<_> = self.config.groups.iter().map(|g| g.key.clone()).collect();
        if keys.is_empty() {
            self.end(EXIT_FAULT);
            return;
        }
        for (number, group) in (0..).zip(keys.clone()) {
            self.groups.do_send(GroupCommand {
                // Of its own range: membership's numbers begin at zero.
                order: OrderId(u64::MAX - number),
                group,
                what: GroupOrder::Stop,
            });
        }
        self.releasing = Some(keys);
        ctx.run_later(RELEASE_LIMIT, |root, _| {
            warn!("not all resources could be released");
            root.end(EXIT_FAULT);
        });
    }
}
