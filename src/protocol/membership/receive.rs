//! The receive pipeline from the required fields to the dispatch.
//! Spec: docs/protocol/wire.md, 12 and 13.

use super::super::field::{self, kind};
use super::super::message::Message;
use super::super::name::{Generation, MediumName, NodeName, Sequence};
use super::super::node_table::{Early, NodeIndex, NodeKind, Sender};
use super::super::output::{Output, ResourceEvent, Treatment};
use super::super::sequence::{MAX_GAP, RunVerdict, judge_run};
use super::send::uuid_field;
use super::{Membership, NodeUuid};
use crate::clock::Now;
use crate::notice::Notice;
use crate::protocol::settings::Autojoin;

/// What the pipeline does with a message after the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Dispatch it.
    Keep,
    /// Refresh the link only.
    Duplicate,
    /// It waits for the status that begins its run.
    Early,
    /// Nothing, not even the link.
    Drop,
}

/// The sender of a message.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    /// Its sender.
    pub(super) index: NodeIndex,
    /// Its sender's name.
    pub(super) name: NodeName,
    /// It is our own.
    pub(super) own: bool,
    /// Its number; 0 for `NS_` types.
    pub(super) seq: Sequence,
}

/// A legacy owner that counts nobody else as active answers itself instead of asking: it takes that
/// group now. Spec: docs/protocol/resources.md, 9.7.
fn note_answer_to_itself(heard: &Heard, message: &Message, out: &mut Vec<Output>) {
    let to_itself = message
        .text(field::DEST)
        .is_some_and(|dest| heard.name.as_str() == dest);
    if message.kind() == Some(kind::IP_REQUEST_RESP) && to_itself {
        out.push(Output::Resource(ResourceEvent::AnswersItself {
            node: heard.name.clone(),
            message: message.clone(),
        }));
    }
}

impl Membership {
    /// One verified message from a medium, from the required fields on.
    pub(super) fn take_message(
        &mut self,
        medium: &MediumName,
        message: Message,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let (Some(kind), Some(src), Some(_)) = (
            message.kind(),
            message.text(field::SRC),
            message.get(field::TS),
        ) else {
            self.missing("from/ts/type", medium, &message, now, out);
            return;
        };
        let sequenced = !kind.starts_with(kind::UNSEQUENCED_PREFIX);
        let seq = match message.hex(field::SEQ) {
            Some(seq) if seq > 0 => Sequence(seq),
            None if !sequenced && message.get(field::SEQ).is_none() => Sequence(0),
            Some(_) | None => {
                self.missing("seqno", medium, &message, now, out);
                return;
            }
        };
        if message.hex(field::TS).unwrap_or(0) == 0 {
            return;
        }
        let uuid = uuid_field(&message, field::SRC_UUID);
        let (index, holder) = match self.nodes.sender(src, uuid.as_ref()) {
            Sender::Known(index) => (index, None),
            Sender::Shares { index, holder } => (index, Some(holder)),
            Sender::Unknown => {
                let src = src.to_owned();
                self.unknown_sender(&src, uuid, medium, now, out);
                return;
            }
            Sender::Renamed(known) => {
                let claimed = printable(src);
                self.limited("uuid conflict", now, out, || Notice::UuidConflict {
                    uuid: uuid.map(|uuid| uuid.to_string()).unwrap_or_default(),
                    known: known.to_string(),
                    claimed,
                });
                return;
            }
        };
        let Some(node) = self.nodes.get_mut(index) else {
            return;
        };
        if node.kind == NodeKind::Own {
            self.own_echo(medium, index, &message, seq, now, out);
            return;
        }
        // Every message of a peer counts, also one that is refused below. A ping node is received
        // by its own medium only.
        node.heard |= node.kind == NodeKind::Peer;
        let heard = Heard {
            index,
            name: node.name.clone(),
            own: false,
            seq,
        };
        if let Some(uuid) = uuid {
            match holder {
                Some(holder) => self.note_shared_uuid(&heard, uuid, holder, now, out),
                None => self.learn_uuid(&heard, uuid, now, out),
            }
        }
        let verdict = if sequenced {
            self.judge_sequenced(&heard, &message, now, out)
        } else {
            self.judge_unsequenced(&heard, medium, &message, now, out)
        };
        let treatment = match verdict {
            Verdict::Keep => {
                if let Some(node) = self.nodes.get_mut(heard.index) {
                    node.heard = true;
                }
                self.refresh_link(heard.index, medium, now, out);
                self.release_notices_before(&heard, out);
                self.dispatch(&heard, message, now, out);
                return;
            }
            Verdict::Duplicate => {
                self.refresh_link(heard.index, medium, now, out);
                Treatment::Duplicate
            }
            Verdict::Early => {
                self.refresh_link(heard.index, medium, now, out);
                if let Some(node) = self.nodes.get_mut(heard.index) {
                    node.keep_early(Early {
                        generation: claimed_run(&message),
                        seq: heard.seq,
                        medium: medium.clone(),
                        message,
                    });
                }
                return;
            }
            Verdict::Drop => Treatment::Drop,
        };
        out.push(Output::Deliver { message, treatment });
    }

    fn missing(
        &mut self,
        what: &'static str,
        medium: &MediumName,
        message: &Message,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        self.limited("missing field", now, out, || Notice::MissingField {
            medium: medium.to_string(),
            node: printable(message.text(field::SRC).unwrap_or("?")),
            what: what.to_owned(),
        });
    }

    /// A sender that is not in the table. Spec: docs/protocol/membership.md, 8.1.
    fn unknown_sender(
        &mut self,
        src: &str,
        uuid: Option<NodeUuid>,
        medium: &MediumName,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let name = NodeName::new(src).ok().filter(|name| name.as_str() == src);
        let added = match (self.settings.autojoin, name) {
            (Autojoin::None, _) | (_, None) => None,
            _ if !self.has_room() => None,
            (Autojoin::Other | Autojoin::Any, Some(name)) => {
                self.add_node(&name, NodeKind::Peer, now.instant)
            }
        };
        let Some(node) = added.and_then(|index| self.nodes.get_mut(index)) else {
            let node = printable(src);
            let line = Notice::BadNode { node: node.clone() };
            self.limited("bad node", now, out, || line);
            self.note_stranger(&node, medium, out);
            return;
        };
        // This message is not processed; the first status after it is not reported.
        node.uuid = uuid;
        node.withheld = true;
        out.push(Output::Notice(Notice::NodeAdded {
            node: src.to_owned(),
        }));
        self.deleted.retain(|deleted| deleted.as_str() != src);
    }

    /// Our own packet came back over a medium, or another host uses our name.
    fn own_echo(
        &mut self,
        medium: &MediumName,
        index: NodeIndex,
        message: &Message,
        seq: Sequence,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let generation = claimed_run(message);
        let ours = uuid_field(message, field::SRC_UUID)
            .is_none_or(|uuid| uuid == self.uuid || Some(uuid) == self.former_uuid);
        if ours && generation == self.generation && seq <= self.last_seq {
            self.refresh_link(index, medium, now, out);
            self.note_return(medium, out);
        } else if !ours || generation >= self.generation {
            let text = format!(
                "message under our own name that we did not send, heard on {medium}: \
                 is another node configured as {}?",
                self.settings.local
            );
            self.limited("own name", now, out, || Notice::OtherError { text });
        }
    }

    /// Whether a message is for us. Spec: docs/protocol/wire.md, 12, addressing.
    pub(super) fn is_for_us(&self, message: &Message, sequenced: bool) -> bool {
        let dest = message.get(field::DEST).map(|_| message.text(field::DEST));
        let names_us = dest == Some(Some(self.settings.local.as_str()));
        if sequenced && let Some(uuid) = uuid_field(message, field::DEST_UUID) {
            // If two nodes have this uuid, the name tells which of them is meant.
            let names_another = || {
                let found = dest.flatten().and_then(|name| self.nodes.find(name));
                !names_us && found.is_some()
            };
            return (uuid == self.uuid && !names_another())
                || (names_us && Some(uuid) == self.former_uuid);
        }
        dest.is_none() || names_us
    }

    fn judge_unsequenced(
        &mut self,
        heard: &Heard,
        medium: &MediumName,
        message: &Message,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Verdict {
        let for_us = self.is_for_us(message, false);
        let from_member = self
            .nodes
            .get(heard.index)
            .is_some_and(super::Node::is_member);
        match message.kind() {
            Some(kind::NS_NAK_REXMIT) => {
                self.take_refusal(heard, message, for_us, now, out);
                Verdict::Drop
            }
            // Answers of a ping node come by its own medium only: no node may send them.
            Some(kind::NS_STATUS) => {
                let by_its_medium = self.nodes.get(heard.index).is_some_and(|node| {
                    node.kind == NodeKind::Ping && node.name.as_str() == medium.as_str()
                });
                if by_its_medium {
                    Verdict::Keep
                } else {
                    Verdict::Drop
                }
            }
            // A ping node sends nothing else.
            Some(_) | None if for_us && from_member => Verdict::Keep,
            Some(_) | None => Verdict::Drop,
        }
    }

    /// Spec: docs/protocol/wire.md, 13.2.
    fn judge_sequenced(
        &mut self,
        heard: &Heard,
        message: &Message,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Verdict {
        let Some(node) = self.nodes.get(heard.index) else {
            return Verdict::Drop;
        };
        if node.kind == NodeKind::Ping {
            return Verdict::Drop;
        }
        let known = node.known_run();
        let claimed = claimed_run(message);
        let is_status = message.kind() == Some(kind::STATUS);
        if claimed == known.generation && heard.seq <= node.heard_to {
            // Its number was used before we declared the node dead: a late copy.
            return Verdict::Drop;
        }
        match judge_run(known, claimed, is_status, heard.seq) {
            RunVerdict::Replay => {
                let node = heard.name.to_string();
                self.limited("replay", now, out, || Notice::ReplayAttack {
                    node,
                    generation: claimed.0,
                    current: known.generation.0,
                });
                return Verdict::Drop;
            }
            RunVerdict::Stale => return Verdict::Drop,
            RunVerdict::Same if claimed > known.generation && is_resource_word(message) => {
                return Verdict::Early;
            }
            RunVerdict::Same => {}
            RunVerdict::Returned => self.returned(heard, now, out),
            RunVerdict::Restarted { known: before } => {
                let words = message.text(field::SYSTOLE).map(str::to_owned);
                out.push(Output::Resource(ResourceEvent::Speaks {
                    node: heard.name.clone(),
                    words,
                }));
                self.restarted(heard, claimed, before, known.dead, now, out);
            }
        }
        // Another message may have overtaken it and may have been the first one received after a
        // partition: no status that was handled has so high a number.
        let newest_status =
            is_status && claimed == known.generation && heard.seq > known.status_seq;
        let verdict = match self.note_number(heard, now, out) {
            Verdict::Drop if newest_status => Verdict::Keep,
            verdict => verdict,
        };
        if self.note_key(heard.index, claimed, heard.seq, message.key()) {
            // Before anything is answered.
            self.choose_key(now, out);
        }
        let Some(node) = self.nodes.get_mut(heard.index) else {
            return Verdict::Drop;
        };
        if verdict == Verdict::Keep {
            // Only a status changes the generation. A message that comes before it is handled at
            // once, and must not be handled again when its number seems to be missing in the new
            // run.
            if node.was_ahead(claimed, heard.seq) {
                return Verdict::Duplicate;
            }
            if claimed > node.generation && !node.note_ahead(claimed, heard.seq) {
                return Verdict::Drop;
            }
        }
        match verdict {
            Verdict::Keep if self.is_for_us(message, true) => Verdict::Keep,
            Verdict::Keep => {
                note_answer_to_itself(heard, message, out);
                Verdict::Drop
            }
            Verdict::Drop => Verdict::Drop,
            other @ (Verdict::Duplicate | Verdict::Early) => other,
        }
    }

    /// A node that we had declared dead lives in the run that we knew: a healed partition.
    fn returned(&mut self, heard: &Heard, now: Now, out: &mut Vec<Output>) {
        for notice in [
            Notice::ReturningAfterPartition {
                node: heard.name.to_string(),
            },
            Notice::PartitionInfo {
                url: "http://linux-ha.org/wiki/Split_Brain".to_owned(),
            },
            Notice::DeadtimeTooSmall {},
            Notice::TuneDeadtime {},
        ] {
            out.push(Output::Notice(notice));
        }
        self.ask_for_all_missing(heard.index, now);
        out.push(Output::Resource(ResourceEvent::ReturnedAfterPartition {
            node: heard.name.clone(),
            yields: self
                .yielding_peer()
                .is_some_and(|peer| peer.name == heard.name),
        }));
        if self.settings.manage_resources {
            // It may not have received yet that we declared it dead.
            self.emit_status(now, out);
        }
    }

    fn restarted(
        &mut self,
        heard: &Heard,
        generation: Generation,
        before: bool,
        was_dead: bool,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let (mut too_far, mut began_anew) = (false, before);
        if let Some(node) = self.nodes.get_mut(heard.index) {
            let mut early = std::mem::take(&mut node.early);
            early.retain(|early| early.generation == generation);
            early.sort_by_key(|early| early.seq);
            super::dispatch::deliver(node.take_notices(), out);
            node.take_generation(generation);
            // Numbers before the first one received are not asked for; the first one may have been
            // early. Numbers missing from there on are asked for.
            let known = node.heard_before.take();
            began_anew |= known.is_some_and(|(run, _)| run != generation);
            let number = known.and_then(|(run, number)| number.filter(|_| run == generation));
            let before = number.map(|number| Sequence(number.0.saturating_add(1)));
            let earliest = early.first().map(|early| early.seq);
            let near = |first: &Sequence| {
                *first < heard.seq && heard.seq.0.saturating_sub(first.0) <= MAX_GAP
            };
            let firsts = before.into_iter().chain(earliest);
            if let Some(first) = firsts.filter(near).min() {
                node.window.begin_at(first);
            }
            too_far = before.is_some_and(|first| first < heard.seq && !near(&first));
            let messages = early.into_iter().map(|early| (early.medium, early.message));
            self.early.extend(messages);
        }
        if too_far {
            self.words_lost(heard.index, now, out);
        }
        if began_anew {
            out.push(Output::Notice(Notice::HeartbeatRestart {
                node: heard.name.to_string(),
            }));
            out.push(Output::Resource(ResourceEvent::NodeRestarted {
                node: heard.name.clone(),
                was_dead,
            }));
        }
    }
}

/// The run that a message names; if absent, 0.
fn claimed_run(message: &Message) -> Generation {
    Generation(message.hex(field::HG).unwrap_or(0))
}

/// Types that have a meaning only within their run. Legacy applies them to the run it knows, and
/// forgets them when the status of their own run comes; a `starting` lost in this way leaves its
/// sender waiting.
fn is_resource_word(message: &Message) -> bool {
    matches!(
        message.kind(),
        Some(
            kind::STARTING
                | kind::RESOURCE
                | kind::ASK_RESOURCES
                | kind::HB_TAKEOVER
                | kind::IP_REQUEST
                | kind::IP_REQUEST_RESP
                | kind::SHUTDONE
        )
    )
}

/// A name from the wire, fit for one log line.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .take(super::super::name::MAX_NODE_NAME_BYTES)
        .flat_map(char::escape_default)
        .collect()
}
