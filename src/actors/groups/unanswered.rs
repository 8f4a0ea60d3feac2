//! Groups that a legacy node reports that it holds, and for whose addresses no host answers: its
//! start failed, or its addresses were removed, and nothing in its protocol tells that. They are
//! not taken: the node may run the rest of the group.

use std::net::IpAddr;

use actix::prelude::*;
use futures_util::future::join_all;
use tracing::warn;

use super::GroupsActor;
use crate::actors::messages::NoteDecision;
use crate::actors::resource_group::AskUnanswered;
use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;

/// After so many checks in a row without an answer a warning is logged.
const IN_A_ROW: u32 = 2;

/// No host answers for addresses of a group, or one does again.
struct Unanswered {
    /// The group.
    key: GroupKey,
    /// Its owner by haresources.
    owner: NodeName,
    /// The node that reports that it holds the group.
    node: NodeName,
    /// The addresses; empty: they are answered for again.
    addresses: Vec<IpAddr>,
}

/// The results of the last checks of a group.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Looks {
    without_answer: u32,
}

impl Looks {
    /// Whether it was logged that no host answers.
    pub(super) const fn told(self) -> bool {
        self.without_answer >= IN_A_ROW
    }

    /// Records a check. Returns whether the result has changed.
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

impl GroupsActor {
    /// Checks whether any host answers for the addresses of these groups; the name is the node that
    /// reports that it holds the group.
    pub(super) fn look_for_owners(
        &mut self,
        held: &[(GroupKey, NodeName)],
        ctx: &mut Context<Self>,
    ) {
        let mut asked = Vec::new();
        for entry in &mut self.entries {
            let holder = held.iter().find(|(key, _)| *key == entry.group.key);
            let ours = self.ledger.with(|ledger| entry.is_ours(ledger));
            let Some((key, node)) = holder.filter(|_| !ours) else {
                // Which host has the addresses now is not part of this check.
                entry.looks = Looks::default();
                continue;
            };
            let answer = entry.actor.send(AskUnanswered);
            let (key, node) = (key.clone(), node.clone());
            asked.push(async move { (key, node, answer.await.ok().flatten()) });
        }
        let answers = join_all(asked).into_actor(self);
        ctx.spawn(answers.map(|answers, act, _| {
            for (key, node, answer) in answers {
                if let Some(news) = answer.and_then(|found| act.looked(key, node, found)) {
                    act.tell_unanswered(&news);
                }
            }
        }));
    }

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

    fn tell_unanswered(&self, news: &Unanswered) {
        let (key, node) = (&news.key, &news.node);
        if news.addresses.is_empty() {
            warn!("somebody answers for the addresses of group {key} again");
            return;
        }
        let addresses: Vec<String> = news.addresses.iter().map(ToString::to_string).collect();
        let addresses = addresses.join(", ");
        let word = if self.care.is_local(&news.owner) {
            "local"
        } else {
            "foreign"
        };
        let cause = format!(
            "nobody answers for {addresses} of group {key}, although node {node} says that it holds it"
        );
        let what = format!(
            "leaves group {key} to {node}; to bring it here: hb_takeover {word} on this node"
        );
        warn!("{cause}: it may not run there. To bring it here: hb_takeover {word} on this node");
        self.care.tell(NoteDecision { what, cause });
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
