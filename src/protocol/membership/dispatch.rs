//! Dispatch by type; requests to send again, refusals and acknowledgements.
//! Spec: docs/protocol/wire.md, 12, 14 and 15.

use smallvec::SmallVec;

use super::super::field::{self, kind};
use super::super::flow::{self, AckVerdict};
use super::super::history::{Answer, Request};
use super::super::link::Link;
use super::super::message::{Message, Value};
use super::super::name::Sequence;
use super::super::output::{Output, ResourceEvent, Treatment};
use super::Membership;
use super::receive::{Heard, printable};
use crate::clock::Now;
use crate::notice::Notice;

impl Membership {
    /// An own message loops back: no window, no link, the same handlers.
    pub(super) fn take_own(&mut self, message: Message, now: Now, out: &mut Vec<Output>) {
        let Some(index) = self.nodes.find(self.settings.local.as_str()) else {
            return;
        };
        if let Some(node) = self.nodes.get_mut(index) {
            node.heard = true;
        }
        let heard = Heard {
            index,
            name: self.settings.local.clone(),
            own: true,
            seq: Sequence(message.hex(field::SEQ).unwrap_or(0)),
        };
        self.dispatch(&heard, message, now, out);
    }

    /// Passes an accepted message to the handler of its type.
    pub(super) fn dispatch(
        &mut self,
        heard: &Heard,
        message: Message,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        match message.kind().unwrap_or_default() {
            kind::STATUS | kind::NS_STATUS => self.take_status(heard, message, now, out),
            kind::NS_REXMIT => {
                self.take_request(heard, &message, now, out);
                out.push(Output::Deliver {
                    message,
                    treatment: Treatment::Protocol,
                });
            }
            kind::NS_ACKMSG => self.take_acknowledgement(heard, &message, now, out),
            kind::REQ_NODES => self.take_list_request(heard, now, out),
            kind::REP_NODES => self.take_list(heard, &message, now, out),
            kind::ADD_NODE => self.take_add(heard, &message, now, out),
            kind::DEL_NODE => self.take_delete(&message, now, out),
            kind::SET_WEIGHT => self.take_weight(&message),
            kind::SET_SITE => self.take_site(&message),
            kind::QUERY_CLIENT_STATUS => out.push(Output::Deliver {
                message,
                treatment: Treatment::Registry,
            }),
            kind::CLIENT_STATUS if !heard.own => self.take_notice(heard, message, out),
            kind::CLIENT_STATUS | kind::RESPOND_CLIENT_STATUS => out.push(Output::Deliver {
                message,
                treatment: Treatment::Keep,
            }),
            // No handler here: it is for the resource core, a hook or a client.
            _ => {
                out.push(Output::Resource(ResourceEvent::Message {
                    from: heard.name.clone(),
                    own: heard.own,
                    message: message.clone(),
                }));
                out.push(Output::Deliver {
                    message,
                    treatment: Treatment::Keep,
                });
            }
        }
    }

    /// A client on another node joined or left. A node that receives this has received everything
    /// that the client sent before. Spec: docs/protocol/client-api.md, 9, barrier.
    fn take_notice(&mut self, heard: &Heard, message: Message, out: &mut Vec<Output>) {
        let Some(node) = self.nodes.get_mut(heard.index) else {
            return;
        };
        let now = if node.misses_before(heard.seq) {
            node.hold_notice(heard.seq, message)
        } else {
            vec![message]
        };
        deliver(now, out);
    }

    /// Delivers notices of one node below a number that no missing message holds back any more.
    pub(super) fn release_notices_before(&mut self, heard: &Heard, out: &mut Vec<Output>) {
        if let Some(node) = self.nodes.get_mut(heard.index) {
            deliver(std::iter::from_fn(|| node.next_notice(heard.seq)), out);
        }
    }

    /// The same for all nodes.
    pub(super) fn release_notices(&mut self, out: &mut Vec<Output>) {
        for node in self.nodes.iter_mut() {
            deliver(
                std::iter::from_fn(|| node.next_notice(Sequence(u64::MAX))),
                out,
            );
        }
    }

    /// `NS_rexmit`. Spec: docs/protocol/wire.md, 14.2.
    fn take_request(&mut self, heard: &Heard, message: &Message, now: Now, out: &mut Vec<Output>) {
        let first = message.dec(field::FIRST_SEQ).unwrap_or(0);
        let last = message.dec(field::LAST_SEQ).unwrap_or(0);
        if first == 0 || last < first {
            let text = |name| printable(message.text(name).unwrap_or("none"));
            let (node, first, last) = (
                heard.name.to_string(),
                text(field::FIRST_SEQ),
                text(field::LAST_SEQ),
            );
            self.limited("invalid request", now, out, || Notice::InvalidRexmit {
                node,
                first,
                last,
            });
            return;
        }
        let answers = {
            let node = self.nodes.get(heard.index);
            let links = node.into_iter().flat_map(|node| &node.links);
            let up = links.filter(|link| link.is_up());
            let by: SmallVec<[_; 4]> = up.map(Link::medium).collect();
            let request = Request {
                first: Sequence(first),
                last: Sequence(last),
                acknowledged: node.map_or(Sequence(0), |node| node.acked),
                by: &by,
            };
            let max_delay = self.settings.timing.max_rexmit_delay;
            self.history
                .answer(request, self.last_seq, max_delay, now.instant)
        };
        for answer in answers {
            match answer {
                Answer::Resend(mut message) => {
                    if self.former_uuid.is_some() {
                        // With a uuid that another node has too, the message would be taken for
                        // that node's.
                        let uuid = Value::Binary(self.uuid.0.to_vec());
                        message.set(field::SRC_UUID, uuid);
                    }
                    out.push(Output::Transmit(message));
                }
                Answer::Refuse(seq, reason) => {
                    let refusal = Message::new(kind::NS_NAK_REXMIT)
                        .with(field::FIRST_SEQ, &format!("{:x}", seq.0))
                        .with(field::DEST, heard.name.as_str())
                        .with(field::INFO, reason.as_str());
                    self.emit(refusal, now, out);
                    let node = heard.name.to_string();
                    self.limited("cannot send again", now, out, || Notice::CannotRexmit {
                        seq: seq.0,
                        node,
                        reason: reason.reason().to_owned(),
                    });
                }
                Answer::Future(seq) => {
                    let (node, max) = (heard.name.to_string(), self.last_seq.0);
                    self.limited("request of future", now, out, || Notice::RexmitOfFuture {
                        node,
                        seq: seq.0,
                        max,
                    });
                }
            }
        }
    }

    /// `NS_nak_rexmit`: whichever node it is for, its sender cannot send that number again.
    /// Spec: docs/protocol/wire.md, 13.1.
    pub(super) fn take_refusal(
        &mut self,
        heard: &Heard,
        message: &Message,
        for_us: bool,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let Some(seq) = message.hex(field::FIRST_SEQ).filter(|seq| *seq > 0) else {
            let node = heard.name.to_string();
            self.limited("bad refusal", now, out, || Notice::OtherError {
                text: format!("refusal without a sequence number from {node}"),
            });
            return;
        };
        let was_missing = self.fill(heard, Sequence(seq), now, out);
        if was_missing {
            self.words_lost(heard.index, now, out);
        }
        if for_us && was_missing {
            let node = heard.name.to_string();
            self.limited("irretrievably lost", now, out, || {
                Notice::IrretrievablyLost { node, seq }
            });
        }
    }

    /// `NS_ackmsg`. Spec: docs/protocol/wire.md, 15.3.
    fn take_acknowledgement(
        &mut self,
        heard: &Heard,
        message: &Message,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let (Some(acked), Some(node)) =
            (message.hex(field::ACK_SEQ), self.nodes.get_mut(heard.index))
        else {
            return;
        };
        match flow::judge_ack(Sequence(acked), node.acked, self.last_seq) {
            // Flow control is updated when the call settles.
            AckVerdict::News => {
                node.acked = Sequence(acked);
                node.ears.acknowledged(self.last_seq, now.instant);
            }
            AckVerdict::Old => {}
            AckVerdict::Corrupted => {
                let (node, max) = (heard.name.to_string(), self.last_seq.0);
                self.limited("corrupted acknowledgement", now, out, || {
                    Notice::CorruptedAck {
                        node,
                        seq: acked,
                        max,
                    }
                });
            }
        }
    }

    /// Computes what all nodes have, what may be dropped from the history, and whether clients
    /// wait. Spec: docs/protocol/wire.md, 15.4.
    pub(super) fn update_flow(&mut self, now: Now, out: &mut Vec<Output>) {
        let living = self.nodes.living();
        let acknowledged = match (self.flow_control, living) {
            // No node acknowledges: only the bounds of the history limit it.
            (false, _) => Sequence(0),
            (true, 0..=1) => self.last_seq,
            (true, _) => self.nodes.acknowledged_by_all(self.last_seq),
        };
        // It never goes back: a node that restarts begins at 0.
        self.acknowledged = self.acknowledged.max(acknowledged).min(self.last_seq);
        self.history.release(self.acknowledged, now.instant);
        let pause = self.flow_control
            && flow::pause_clients(
                self.clients_paused,
                self.last_seq,
                self.acknowledged,
                living,
            );
        if pause != self.clients_paused {
            self.clients_paused = pause;
            out.push(Output::Notice(if pause {
                Notice::ClientsPaused {}
            } else {
                Notice::ClientsResumed {}
            }));
        }
    }

    /// There is a peer of an old release: no acknowledgements and no node lists from now on.
    pub(super) fn switch_flow_control_off(&mut self, out: &mut Vec<Output>) {
        if self.flow_control {
            self.flow_control = false;
            out.push(Output::Notice(Notice::FlowControlOff {}));
        }
    }
}

/// Notices for the clients.
pub(super) fn deliver(notices: impl IntoIterator<Item = Message>, out: &mut Vec<Output>) {
    out.extend(notices.into_iter().map(|message| Output::Deliver {
        message,
        treatment: Treatment::Keep,
    }));
}
