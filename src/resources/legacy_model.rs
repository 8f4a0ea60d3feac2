//! `auto_failback legacy`: no reports, the owner asks for each of its groups.
//! Spec: docs/protocol/resources.md, 5.3 and 9.7.

use std::collections::BTreeSet;
use std::time::Duration;

use super::jobs::Purpose;
use super::state::{Phase, ResourceState};
use crate::clock::Monotonic;
use crate::protocol::event::GroupOrder;
use crate::protocol::field::{self, kind};
use crate::protocol::group::GroupKey;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;

/// Pause before an unanswered request is repeated. Legacy asks once and then never again.
const REPEAT: Duration = Duration::from_secs(10);

/// A group that we have asked for.
#[derive(Debug)]
pub(super) struct Asked {
    /// When it is asked for again.
    at: Monotonic,
    /// Our newest request for it; `None`: it is on its way out.
    position: Option<Position>,
    /// Who has said that it does not run it.
    declined: BTreeSet<NodeName>,
}

impl ResourceState {
    /// Communication is up.
    pub(super) fn begin_legacy(&mut self) {
        self.phase = Phase::Stable;
        if self.stopping() {
            return;
        }
        let left: Vec<NodeName> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.is_gone())
            .map(|(name, _)| name.clone())
            .collect();
        for node in left {
            self.take_over_once(&node, None);
        }
        self.acquire_as_legacy();
        if !self.all_peers_gone() {
            // What runs on from an earlier process the other node may have taken while we were not heard.
            self.ask_for_own();
        }
    }

    /// Starts our own groups when alone, else asks for each. A node that is there but of which no
    /// status word has come yet may run them: being quick at the start is no proof of being alone.
    pub(super) fn acquire_as_legacy(&mut self) {
        let keys: Vec<GroupKey> = self
            .keys_owned_by(&self.local.clone())
            .into_iter()
            .filter(|key| !self.jobs.runs(key))
            .collect();
        if self.all_peers_gone() {
            self.asked.clear();
            if !self.jobs.any(|purpose| *purpose == Purpose::AcquireLocal) {
                self.jobs
                    .add(Purpose::AcquireLocal, keys, GroupOrder::Start);
            }
            return;
        }
        for key in keys {
            self.ask_for(&key);
        }
    }

    /// Asks for our own groups, those that run as well: another node may have taken them for itself,
    /// and lets go when asked.
    pub(super) fn ask_for_own(&mut self) {
        if self.stopping() {
            return;
        }
        for key in self.keys_owned_by(&self.local.clone()) {
            if !self.asked.contains_key(&key) {
                self.ask_for(&key);
            }
        }
    }

    pub(super) fn ask_for(&mut self, key: &GroupKey) {
        let asked = Asked {
            at: self.after(REPEAT),
            position: None,
            declined: BTreeSet::new(),
        };
        self.asked.insert(key.clone(), asked);
        self.send(Message::new(kind::IP_REQUEST).with(field::IPADDR, key.as_str()));
    }

    /// A request of ours was sent.
    pub(super) fn requested(&mut self, message: &Message) {
        let word = message.text(field::IPADDR).unwrap_or_default();
        if let Some(asked) = self.asked.get_mut(&GroupKey::new(word)) {
            asked.position = Some(Position::of(message));
        }
    }

    /// Between our nodes it says which request of `to` was heard last.
    fn answer_request(&mut self, to: &NodeName, key: &str, weown: bool) {
        let mut message = Message::new(kind::IP_REQUEST_RESP)
            .with(field::DEST, to.as_str())
            .with(field::IPADDR, key)
            .with(field::WEOWN, if weown { "yes" } else { "no" })
            .with(field::OK, "OK");
        if let Some(peer) = self.peers.get(to).filter(|peer| peer.echoes) {
            let heard = peer.request.unwrap_or_default();
            message.set_text(field::HEARD, &heard.to_text());
        }
        self.send(message);
    }

    /// Another node asks for a group. Obeyed in either model.
    pub(super) fn on_ip_request(&mut self, from: &NodeName, message: &Message) {
        if !self.comm_up {
            return;
        }
        let Some(word) = message.text(field::IPADDR) else {
            return self.error(format!("request without a group from node {from}"));
        };
        let key = GroupKey::new(word);
        let peer = self.peers.entry(from.clone()).or_default();
        peer.request = peer.request.max(Some(Position::of(message)));
        if self.is_dead(from) {
            // A single message got through. If it lives, it asks again.
            return self.debug(format!("request of {from} ignored: it counts as dead"));
        }
        if self.stopping() && self.phase == Phase::Shutdown {
            // Everything is being stopped: `shutdone` says when, and no order may outlive us.
            return;
        }
        if self.frozen && self.jobs.runs(&key) {
            self.warn(format!("request of {from} for group {key} ignored: frozen"));
            return self.decide(format!("does not give group {key} to {from}"), "frozen");
        }
        if self.jobs.runs(&key) && self.line_differs(from, &key) {
            let why = "its line in haresources differs there";
            self.warn(format!("request of {from} for group {key} ignored: {why}"));
            return self.decide(format!("does not give group {key} to {from}"), why);
        }
        // It is the other node's now: no further attempt here.
        self.failures.remove(&key);
        self.jobs.withdraw_starts(&key);
        if !self.jobs.runs(&key) {
            self.note_given(&key);
            self.answer_request(from, word, false);
        } else if self.jobs.admits_hand_over(from, &key) {
            let purpose = Purpose::HandOver {
                to: from.clone(),
                key: key.clone(),
            };
            self.decide(format!("stops group {key}"), format!("{from} asks for it"));
            self.jobs.add(purpose, [key], GroupOrder::Stop);
        }
    }

    /// The group is stopped: the other node may start it.
    pub(super) fn handed_over(&mut self, to: &NodeName, key: &GroupKey) {
        self.note_given(key);
        self.answer_request(to, key.as_str(), true);
    }

    /// It may be started there from now on: not by us, although we hold its half.
    fn note_given(&mut self, key: &GroupKey) {
        if self.nice() && self.keys_of(self.mine).contains(key) {
            self.given_by_key.insert(key.clone());
        }
    }

    /// Who asked for groups by their keys is gone or begins anew: they are ours to run again, as far as
    /// we hold them. A node that begins anew and does not report asks again; before it reports, nothing is
    /// started beside it.
    pub(super) fn take_back_given(&mut self) {
        if !self.given_by_key.is_empty() {
            self.given_by_key.clear();
            self.looked_at = None;
        }
    }

    /// Another node lets us have a group. With more than two nodes only the word of the one that
    /// ran it counts, or that of all. One that was sent before its sender heard our newest request is
    /// older than what it may have taken since. Spec: docs/protocol/resources.md, 9.7, [D].
    pub(super) fn on_ip_request_resp(&mut self, from: &NodeName, message: &Message) {
        let for_us = message
            .text(field::DEST)
            .is_some_and(|dest| dest.eq_ignore_ascii_case(self.local.as_str()));
        let granted = message.text(field::OK) == Some("OK");
        let Some(word) = message.text(field::IPADDR) else {
            return;
        };
        if !for_us || !granted || self.stopping() || self.phase == Phase::Shutdown {
            return;
        }
        let key = GroupKey::new(word);
        let echoes = self.peers.get(from).is_some_and(|peer| peer.echoes);
        let Some(asked) = self.asked.get_mut(&key) else {
            return;
        };
        if echoes {
            let text = message.text(field::HEARD).unwrap_or_default();
            let heard = Position::from_text(text).unwrap_or_default();
            if asked.position.is_none_or(|newest| heard < newest) {
                let text = format!("answer of {from} for group {key} is of an earlier request");
                return self.debug(text);
            }
        }
        asked.declined.insert(from.clone());
        let by_owner = message.text(field::WEOWN) == Some("yes");
        let by_all = self
            .peers
            .iter()
            .filter(|(_, peer)| !peer.is_gone())
            .all(|(name, _)| asked.declined.contains(name));
        if by_owner || by_all {
            self.asked.remove(&key);
            self.decide(
                format!("starts group {key}"),
                format!("{from} lets us have it"),
            );
            self.jobs.add(Purpose::Granted, [key], GroupOrder::Start);
        }
    }

    /// A node became active: what it was asked before then, it did not hear. And it may have taken
    /// ours for itself, when it was heard and did not hear us, or we did not run: without reports only
    /// a question tells.
    pub(super) fn ask_again_as_legacy(&mut self) {
        let keys: Vec<GroupKey> = self.asked.keys().cloned().collect();
        if self.comm_up && self.phase == Phase::Stable {
            self.ask_for_own();
        }
        for key in keys {
            self.ask_for(&key);
        }
    }

    pub(super) fn legacy_deadline(&self) -> Option<Monotonic> {
        self.asked.values().map(|asked| asked.at).min()
    }

    pub(super) fn legacy_overdue(&mut self) {
        let now = self.now;
        let due: Vec<GroupKey> = self
            .asked
            .iter()
            .filter(|(_, asked)| asked.at <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            self.ask_for(&key);
        }
    }
}
