//! The addresses of all groups that run here, for whoever guards them.

use actix::prelude::*;
use futures_util::future::join_all;

use super::{Entry, GroupsActor};
use crate::actors::resource_group::{AskKept, Care, KeptAddress, PutBack};
use crate::clients::control::GroupAnswer;
use crate::net::address::{AddressResource, parse_word};
use crate::node::ledger::Ledger;
use crate::policy::address_guard::Tried;
use crate::protocol::event::GroupOrder;
use crate::protocol::group::GroupKey;

/// Asks for the addresses of all groups that run here and have no order in hand.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "AllKept")]
pub struct AskAllKept;

/// The answer.
#[derive(Debug)]
pub struct AllKept {
    /// The addresses.
    pub addresses: Vec<KeptAddress>,
    /// A group has an order in hand: its addresses may count in a moment.
    pub at_work: bool,
}

/// Asks for the addresses of all groups, whether they run here or not.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Vec<(GroupKey, AddressResource)>")]
pub struct AskAllAddresses;

/// The interface of this group's addresses is up again: they are announced, if it runs here.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct LinkUp(pub GroupKey);

impl Entry {
    /// Whether it runs, as was ordered last, and nothing else is ordered.
    pub(super) fn is_settled_here(&self, ledger: &Ledger) -> bool {
        let key = &self.group.key;
        !ledger.is_busy(key)
            && ledger.wanted(key) == Some(GroupOrder::Start)
            && self.last(ledger) == Some(GroupAnswer::Started)
    }
}

impl Handler<AskAllKept> for GroupsActor {
    type Result = ResponseFuture<AllKept>;

    fn handle(&mut self, _: AskAllKept, _: &mut Self::Context) -> Self::Result {
        let (asked, at_work) = self.ledger.with(|ledger| {
            let entries = self.entries.iter();
            let settled = entries.filter(|entry| entry.is_settled_here(ledger));
            let asked: Vec<_> = settled.map(|entry| entry.actor.send(AskKept)).collect();
            let mut entries = self.entries.iter();
            (asked, entries.any(|entry| ledger.is_busy(&entry.group.key)))
        });
        Box::pin(async move {
            let kept = join_all(asked).await.into_iter();
            let addresses = kept.flat_map(Result::unwrap_or_default).collect();
            AllKept { addresses, at_work }
        })
    }
}

impl Handler<PutBack> for GroupsActor {
    type Result = ResponseFuture<Tried>;

    fn handle(&mut self, order: PutBack, _: &mut Self::Context) -> Self::Result {
        let ledger = self.ledger.clone();
        let entry = self.entry(&order.group);
        let settled = |entry: &&mut Entry| ledger.with(|ledger| entry.is_settled_here(ledger));
        let Some(entry) = entry.filter(settled) else {
            return Box::pin(async { Tried::NotNeeded });
        };
        let tried = entry.actor.send(order);
        Box::pin(async { tried.await.unwrap_or(Tried::NotNeeded) })
    }
}

impl Handler<LinkUp> for GroupsActor {
    type Result = ();

    fn handle(&mut self, LinkUp(group): LinkUp, _: &mut Self::Context) {
        let ledger = self.ledger.clone();
        let entry = self.entry(&group);
        let needs = |entry: &&mut Entry| ledger.with(|it| entry.needs(it, Care::LinkUp));
        if let Some(entry) = entry.filter(needs) {
            entry.actor.do_send(Care::LinkUp);
        }
    }
}

impl Handler<AskAllAddresses> for GroupsActor {
    type Result = MessageResult<AskAllAddresses>;

    fn handle(&mut self, _: AskAllAddresses, _: &mut Self::Context) -> Self::Result {
        let of = |entry: &Entry| {
            let words = entry.group.resources.iter();
            let found = words.filter_map(|word| parse_word(word).ok().flatten());
            let found = found.map(|it| (entry.group.key.clone(), it));
            found.collect::<Vec<_>>()
        };
        MessageResult(self.entries.iter().flat_map(of).collect())
    }
}
