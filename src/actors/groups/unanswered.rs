//! Groups that a legacy node says it holds, and whose addresses nobody answers for: its start failed,
//! or its addresses were removed, and nothing in its protocol tells. They are not taken: it may run
//! the rest of the group.

use std::net::IpAddr;

use actix::prelude::*;
use futures_util::future::join_all;

use super::GroupsActor;
use crate::actors::resource_group::AskUnanswered;
use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;

/// So many looks in a row without an answer are told.
const IN_A_ROW: u32 = 2;

/// Look for the owners of these groups, each said to be held by that node. Answered with what is news.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Vec<Unanswered>")]
pub struct LookForOwners(pub Vec<(GroupKey, NodeName)>);

/// Nobody answers for addresses of a group, or somebody does again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// The group.
    pub key: GroupKey,
    /// Its owner by haresources.
    pub owner: NodeName,
    /// Who says that it holds it.
    pub node: NodeName,
    /// The addresses; none: they are answered for again.
    pub addresses: Vec<IpAddr>,
}

/// What the last looks for the owner of a group found.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Looks {
    without_answer: u32,
}

impl Looks {
    /// Whether people were told that nobody answers.
    pub(super) const fn told(self) -> bool {
        self.without_answer >= IN_A_ROW
    }

    /// Notes a look. Whether it is news.
    fn note(&mut self, answered: bool) -> bool {
        let told = self.told();
        self.without_answer = if answered {
            0
        } else {
            self.without_answer.saturating_add(1)
        };
        told != self.told()
    }
}

impl Handler<LookForOwners> for GroupsActor {
    type Result = ResponseActFuture<Self, Vec<Unanswered>>;

    fn handle(
        &mut self,
        LookForOwners(held): LookForOwners,
        _: &mut Self::Context,
    ) -> Self::Result {
        let mut asked = Vec::new();
        for entry in &mut self.entries {
            let holder = held.iter().find(|(key, _)| *key == entry.group.key);
            let Some((key, node)) = holder.filter(|_| !entry.is_ours()) else {
                // Whoever has it now is another matter.
                entry.looks = Looks::default();
                continue;
            };
            let answer = entry.actor.send(AskUnanswered);
            let (key, node) = (key.clone(), node.clone());
            asked.push(async move { (key, node, answer.await.ok().flatten()) });
        }
        let answers = join_all(asked).into_actor(self);
        Box::pin(answers.map(|answers, act, _| {
            let noted = answers
                .into_iter()
                .filter_map(|(key, node, answer)| act.looked(key, node, answer?));
            noted.collect()
        }))
    }
}

impl GroupsActor {
    fn looked(
        &mut self,
        key: GroupKey,
        node: NodeName,
        addresses: Vec<IpAddr>,
    ) -> Option<Unanswered> {
        let entry = self.entry(&key)?;
        let news = entry.looks.note(addresses.is_empty());
        news.then(|| Unanswered {
            owner: entry.group.owner.clone(),
            key,
            node,
            addresses,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_looks_in_a_row_are_news_and_so_is_an_answer_after_them() {
        let mut looks = Looks::default();
        let noted: Vec<bool> = [false, true, false, false, false, true, true]
            .map(|answered| looks.note(answered))
            .to_vec();
        assert_eq!(noted, [false, false, false, true, false, true, false]);
        assert!(!looks.told());
    }
}
