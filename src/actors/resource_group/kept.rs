//! The addresses of a group that runs, for whoever guards them: which they are, and one put back.
//!
//! Who handles an address is found out when the group has started, not when the address is gone: the scripts
//! lie on a disk that may hang.

use std::net::IpAddr;
use std::sync::Arc;

use actix::prelude::*;
use tracing::{Instrument, error_span};

use super::{GroupRun, ResourceGroupActor};
use crate::net::address::{AddressResource, parse_word};
use crate::policy::address_guard::{Spot, Tried};
use crate::protocol::group::GroupKey;

/// A held address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAddress {
    /// Its group.
    pub group: GroupKey,
    /// What haresources says of it.
    pub resource: AddressResource,
    /// The daemon handles it; else a script does.
    pub native: bool,
}

/// Asks for the addresses that are to be here. None while an order is in hand, while addresses are moved or
/// withdrawn, and when the group does not run.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Vec<KeptAddress>")]
pub struct AskKept;

/// Put this address back, if it is to be here and is not. Nothing is asked any more.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Tried")]
pub struct PutBack {
    /// Its group.
    pub group: GroupKey,
    /// The address.
    pub address: IpAddr,
    /// Where it was, should nothing else tell where it belongs.
    pub spot: Option<Spot>,
}

/// The addresses of the group since its last start.
#[derive(Debug, Default)]
pub(super) struct Kept {
    addresses: Vec<KeptAddress>,
    /// Counts the orders: what was found out for an earlier one is of no use.
    turn: u64,
}

impl Kept {
    /// An order comes: nothing counts as held until it has ended.
    pub(super) fn ends(&mut self) {
        self.addresses.clear();
        self.turn = self.turn.wrapping_add(1);
    }
}

impl ResourceGroupActor {
    /// The group runs: finds out what its addresses are. An order does not wait for it.
    pub(super) fn begin_to_keep(&self, ctx: &mut Context<Self>) {
        let (run, turn, ran_before) = (self.group_run(), self.kept.turn, self.ran_before);
        let work = async move { run.kept_addresses(ran_before).await }.into_actor(self);
        ctx.spawn(work.map(move |addresses, act, _| {
            if act.kept.turn == turn {
                act.kept.addresses = addresses;
            }
        }));
    }

    /// Whether the addresses are to be here, and nobody is at work on them.
    fn keeps(&self) -> bool {
        self.is_idle() && !self.stopped && !self.bare.is_set() && self.moving.try_lock().is_ok()
    }
}

impl Handler<AskKept> for ResourceGroupActor {
    type Result = MessageResult<AskKept>;

    fn handle(&mut self, _: AskKept, _: &mut Self::Context) -> Self::Result {
        let kept = self.keeps().then(|| self.kept.addresses.clone());
        MessageResult(kept.unwrap_or_default())
    }
}

impl Handler<PutBack> for ResourceGroupActor {
    type Result = ResponseFuture<Tried>;

    fn handle(&mut self, order: PutBack, _: &mut Self::Context) -> Self::Result {
        let mut kept = self.kept.addresses.iter();
        let kept = kept.find(|it| it.native && it.resource.address == order.address);
        let resource = kept.map(|it| it.resource.clone());
        // Whatever comes from now on waits for the lock, and removes what is put here.
        let alone = Arc::clone(&self.moving).try_lock_owned();
        let idle = self.is_idle() && !self.stopped && !self.bare.is_set();
        let (Some(resource), Ok(alone), true) = (resource, alone, idle) else {
            return Box::pin(async { Tried::NotNeeded });
        };
        let run = self.group_run();
        let span = error_span!("group", name = %self.group.key);
        let work = async move {
            let tried = run.put_back(resource, order.spot).await;
            drop(alone);
            tried
        };
        Box::pin(work.instrument(span))
    }
}

impl GroupRun {
    /// `ran_before`: only those that are on record as put up here. The line may have got more since, which no
    /// start of ours has ever put up.
    async fn kept_addresses(&self, ran_before: bool) -> Vec<KeptAddress> {
        let handler = &self.context.addresses;
        let never_here =
            |resource: &AddressResource| ran_before && !handler.is_ours(resource.address);
        let mut kept = Vec::new();
        for word in &self.group.resources {
            if let Ok(Some(resource)) = parse_word(word)
                && !never_here(&resource)
            {
                kept.push(KeptAddress {
                    group: self.group.key.clone(),
                    resource,
                    native: self.context.native_address(word).await.is_some(),
                });
            }
        }
        kept
    }

    async fn put_back(&self, resource: AddressResource, spot: Option<Spot>) -> Tried {
        let handler = &self.context.addresses;
        if handler.status(&resource).await == Ok(true) {
            return Tried::NotNeeded;
        }
        // With the last address of a network its route may be gone, which alone said where this one belongs.
        let there = match spot.filter(|_| resource.interface.is_none()) {
            Some(spot) => AddressResource {
                interface: Some(spot.interface),
                prefix: resource.prefix.or(Some(spot.prefix)),
                ..resource
            },
            None => resource,
        };
        if handler.is_down(&there).await {
            // Somebody sets the interface down, and has begun with its addresses.
            return Tried::NotNeeded;
        }
        match handler.start(&there).await {
            Ok(()) => Tried::PutBack,
            Err(why) => Tried::Failed(why),
        }
    }
}

#[cfg(test)]
mod tests;
