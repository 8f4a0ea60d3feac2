//! The way from a medium to membership: what was received in one wake-up goes there in one message, and
//! what cannot be used is counted.

use std::net::SocketAddr;

use actix::Recipient;
use actix::prelude::SendError;
use tracing::{Span, trace};

use super::counters::Ledger;
use super::heard::{LastHeard, Way};
use crate::actors::messages::{Messages, Received};
use crate::clients::control::Receives;
use crate::clock::Monotonic;
use crate::ha_log::target;
use crate::protocol::codec::DecodeError;
use crate::protocol::field;
use crate::protocol::message::Message;
use crate::protocol::name::MediumName;

/// The received messages of one medium, and its counters.
#[derive(Debug)]
pub(super) struct Inlet {
    medium: MediumName,
    /// Membership. Held, not upgraded for each message: a new sender of a mailbox is never told that it is full.
    to: Recipient<Received>,
    /// Of the batch in hand.
    batch: Messages,
    heard: LastHeard,
    pub(super) ledger: Ledger,
    /// Entered where something is logged, not for every message.
    span: Span,
}

impl Inlet {
    pub(super) fn new(
        medium: MediumName,
        to: Recipient<Received>,
        heard: LastHeard,
        log_bad_packets: bool,
        span: Span,
    ) -> Self {
        Self {
            ledger: Ledger::new(medium.clone(), log_bad_packets),
            medium,
            to,
            batch: Messages::new(),
            heard,
            span,
        }
    }

    /// A verified message that came by `way`.
    pub(super) fn push(&mut self, message: Message, way: Way, now: Monotonic) {
        let (medium, kind) = (&self.medium, message.kind());
        let (src, seq) = (message.text(field::SRC), message.text(field::SEQ));
        trace!(target: target::KEYS, key = message.key(), kind, src, seq, "verified");
        trace!(target: target::PACKETS, %medium, kind, src, seq, "received");
        trace!(target: target::CONTENTS, %medium, fields = %message, "received");
        self.heard.note(&message, way, now);
        self.batch.push(message);
    }

    /// Whose messages came by `way` lately, or by any.
    pub(super) fn receives(&self, way: Option<Way>, now: Monotonic) -> Receives {
        self.heard.receives(way, now)
    }

    /// Something else, from `from` if that is known.
    pub(super) fn refuse(&mut self, error: &DecodeError, from: Option<SocketAddr>, now: Monotonic) {
        let _entered = self.span.enter();
        self.ledger.bad_packet(error, from, now);
    }

    /// The end of a batch: hands it to membership.
    pub(super) fn hand_over(&mut self, now: impl FnOnce() -> Monotonic) {
        if self.batch.is_empty() {
            return;
        }
        let messages = std::mem::take(&mut self.batch);
        let count = messages.len() as u64;
        let medium = self.medium.clone();
        match self.to.try_send(Received { medium, messages }) {
            Ok(()) => self.ledger.counters.received += count,
            // Closed: membership is gone, and this medium soon.
            Err(SendError::Closed(_)) => {}
            Err(SendError::Full(_)) => {
                let _entered = self.span.enter();
                self.ledger.mailbox_full(count, now());
            }
        }
    }

    /// Forgets the batch in hand: a panic may have left some.
    pub(super) fn clear(&mut self) {
        self.batch.clear();
    }
}
