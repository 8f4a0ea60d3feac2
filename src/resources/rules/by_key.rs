//! `auto_failback legacy`: no reports, the owner asks for each of its groups.
//! Spec: docs/protocol/resources.md, 5.3 and 9.7.

use crate::clock::Monotonic;
use crate::protocol::event::{Action, GroupOrder};
use crate::protocol::field;
use crate::protocol::group::GroupKey;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::resources::gate::{Act, Obstacle};
use crate::resources::obstacles::Scope;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::run::Phase;
use crate::resources::parts::work::Purpose;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Another node asks for a group. The request is obeyed in either model.
    pub(in crate::resources) fn on_ip_request(&mut self, from: &NodeName, message: &Message) {
        let held_back = self.gate(Act::HearRequest, &Scope::node(from)).err();
        let held_back = held_back.map(|refusal| refusal.obstacle);
        if held_back == Some(Obstacle::NoCommunication) {
            return;
        }
        let Some(word) = message.text(field::IPADDR) else {
            return self.error(format!("request without a group from node {from}"));
        };
        let key = GroupKey::new(word);
        let peer = self.other.known(from);
        peer.requests(Position::of(message));
        if held_back == Some(Obstacle::NodeDead) {
            // A single message was received. If the node lives, it asks again.
            return self.debug(format!("request of {from} ignored: it counts as dead"));
        }
        if held_back == Some(Obstacle::ReleasingForStop) {
            // Everything is being stopped: `shutdone` tells when that is done, and no order may
            // outlive this process. The other node meanwhile serves what is stopped already: a
            // script of another group can take an hour.
            if !self.nice() && self.groups.is_done_with(&key) {
                self.answer_request(from, word, false);
            }
            return;
        }
        if self.groups.runs(&key) {
            let scope = Scope::group(&key).with_node(from);
            if let Err(refusal) = self.gate(Act::GiveByKey, &scope) {
                let why = refusal.obstacle.text();
                self.warn(format!("request of {from} for group {key} ignored: {why}"));
                return self.decide(format!("does not give group {key} to {from}"), why);
            }
            return self.let_have(from, key, format!("{from} asks for it"));
        }
        self.groups.forget_trouble(&key);
        self.groups.withdraw_starts(&key);
        self.note_given(&key);
        self.answer_request(from, word, false);
    }

    /// The other node may start the group from now on: we do not, although we hold its half.
    fn note_given(&mut self, key: &GroupKey) {
        let side = self.groups.side_of(key);
        if self.nice() && side.is_some_and(|side| self.duty.holds(side)) {
            self.groups.give_by_key(key);
        }
    }

    /// A legacy owner that is back takes its group without asking, because it counted us as not
    /// active. It starts the group now, so the group is stopped here. Where nodes report what runs
    /// where, the same message is sent at each start and means nothing. Spec:
    /// docs/protocol/resources.md, 9.7, [D].
    pub(in crate::resources) fn on_answer_to_itself(&mut self, from: &NodeName, message: &Message) {
        let granted = message.text(field::OK) == Some("OK");
        let takes = granted && message.text(field::WEOWN) == Some("yes");
        let Some(key) = message.text(field::IPADDR).map(GroupKey::new) else {
            return;
        };
        let its_own = self.groups.keys_owned_by(from).contains(&key);
        if self.nice() || !takes || !its_own || self.other.is_dead(from) {
            return;
        }
        let nothing_left = self.stopping() && self.run.phase() == Phase::Shutdown;
        if nothing_left {
            return;
        }
        if !self.groups.runs(&key) {
            self.groups.forget_trouble(&key);
            return self.groups.withdraw_starts(&key);
        }
        self.warn(format!(
            "{from} takes its group {key} without asking: it is stopped here"
        ));
        // A start under way begins no further script beside the owner's.
        self.groups
            .cancel(|purpose| *purpose == Purpose::TakeOver(from.clone()));
        self.act(Action::WithdrawAddresses(vec![key.clone()]));
        self.let_have(from, key, format!("{from} takes it"));
    }

    /// Offers groups to active legacy owners. Such an owner asks for its groups once. It may have
    /// asked, or have granted them to itself, while no process here received anything: what runs on
    /// here is given to it. When everything was released because another node may run it, all
    /// groups of the owner are offered, because it does not ask again. An owner that runs them
    /// already does nothing.
    pub(in crate::resources) fn offer_to_legacy_owners(&mut self) {
        let released = self.run.takes_offers();
        let legacy = |peer: &Peer| peer.is_active() && !peer.is_systole();
        let owners = self.other.nodes().filter(|(_, peer)| legacy(peer));
        let owners: Vec<NodeName> = owners.map(|(name, _)| name.clone()).collect();
        for owner in owners {
            for key in self.groups.keys_owned_by(&owner) {
                if self.groups.runs(&key) {
                    self.let_have(
                        &owner,
                        key,
                        format!("{owner} owns it and does not ask twice"),
                    );
                } else if released {
                    self.answer_request(&owner, key.as_str(), true);
                }
            }
        }
    }

    /// Stops a group for another node, which is told when that is done.
    fn let_have(&mut self, to: &NodeName, key: GroupKey, why: String) {
        // The group belongs to the other node now: no further attempt here.
        self.groups.forget_trouble(&key);
        self.groups.withdraw_starts(&key);
        if self.groups.admits_hand_over(to, &key) {
            let purpose = Purpose::HandOver {
                to: to.clone(),
                key: key.clone(),
            };
            self.decide(format!("stops group {key}"), why);
            self.groups.begin(purpose, [key], GroupOrder::Stop);
        }
    }

    /// The group is stopped: the other node may start it.
    pub(in crate::resources) fn handed_over(&mut self, to: &NodeName, key: &GroupKey) {
        self.note_given(key);
        self.answer_request(to, key.as_str(), true);
    }

    /// Another node grants us a group. With more than two nodes only the grant of the node that ran
    /// it counts, or that of all nodes. A grant that was sent before its sender received our newest
    /// request is older than what the sender may have taken since. Spec:
    /// docs/protocol/resources.md, 9.7, [D].
    pub(in crate::resources) fn on_ip_request_resp(&mut self, from: &NodeName, message: &Message) {
        let for_us = message
            .text(field::DEST)
            .is_some_and(|dest| dest.eq_ignore_ascii_case(self.setup.local().as_str()));
        let granted = message.text(field::OK) == Some("OK");
        let Some(word) = message.text(field::IPADDR) else {
            return;
        };
        if !for_us || !granted || !self.may(Act::TakeByKey) {
            return;
        }
        let key = GroupKey::new(word);
        let echoes = self.other.echoes(from);
        if !self.groups.is_asked(&key) {
            return;
        }
        if echoes {
            let text = message.text(field::HEARD).unwrap_or_default();
            let heard = Position::from_text(text).unwrap_or_default();
            if !self.groups.answers_request(&key, heard) {
                let text = format!("answer of {from} for group {key} is of an earlier request");
                return self.debug(text);
            }
        }
        let by_owner = message.text(field::WEOWN) == Some("yes");
        let there = self.other.nodes().filter(|(_, peer)| !peer.is_gone());
        let by_all = self
            .groups
            .declined(&key, from, there.map(|(name, _)| name));
        if by_owner || by_all {
            self.groups.forget_asked(&key);
            self.decide(format!("starts group {key}"), format!("{from} grants it"));
            self.groups
                .begin(Purpose::Granted, [key], GroupOrder::Start);
        }
    }

    pub(in crate::resources) fn legacy_overdue(&mut self) {
        for key in self.groups.to_be_asked(self.now) {
            self.ask_for(&key);
        }
    }

    /// A request of ours was sent.
    pub(in crate::resources) fn requested(&mut self, message: &Message) {
        let word = message.text(field::IPADDR).unwrap_or_default();
        self.groups
            .request_sent(&GroupKey::new(word), Position::of(message));
    }

    pub(in crate::resources) fn legacy_deadline(&self) -> Option<Monotonic> {
        self.groups.asked_deadline()
    }
}
