//! Messages of the cluster to the clients, and of clients to clients of the same name on other
//! nodes.
//! Spec: docs/protocol/client-api.md, 7 and 8.

use super::super::event::Origin;
use super::super::field::{self, kind};
use super::super::message::Message;
use super::super::output::Treatment;
use super::{ClientId, ClientOutput, Registry, mask, word};

impl Registry {
    /// Offers a message of the cluster to every client it concerns.
    /// Spec: docs/protocol/client-api.md, 8.
    pub fn deliver(
        &mut self,
        message: &Message,
        treatment: Treatment,
        out: &mut Vec<ClientOutput>,
    ) {
        let Some(bit) = treatment.mask_bit() else {
            return self.answer_query(message, out);
        };
        self.offer(message, bit, out);
        if message.kind() == Some(kind::CLIENT_STATUS)
            && message.text(field::ST) == Some("join")
            && message.text(field::SRC) == Some(self.settings.local.as_str())
        {
            let (name, number) = (message.text(field::FROM_ID), message.dec(field::CLIENT_GEN));
            let joined = self
                .clients
                .iter()
                .find(|(_, c)| c.named && Some(c.id.as_str()) == name && c.number == number)
                .map(|(id, _)| *id);
            if let Some(id) = joined {
                self.answer_overdue(id, out);
            }
        }
    }

    /// Bits of the messages that [`deliver`](Self::deliver) would pass to a client.
    #[must_use]
    pub fn interest(&self) -> u64 {
        // A client that signs on waits for an ordinary message, its own join notice.
        let wanted = self.clients.values().map(|client| client.mask | mask::KEEP);
        wanted.fold(0, |sum, bits| sum | bits)
    }

    pub(super) fn offer(&self, message: &Message, bit: u64, out: &mut Vec<ClientOutput>) {
        let to = message.text_bytes(field::TO_ID);
        for (id, client) in &self.clients {
            let addressed = to.is_none_or(|to| to == client.id.as_bytes());
            let late = bit == mask::KEEP && client.missed(message);
            if client.is_member() && client.mask & bit != 0 && addressed && !late {
                out.push(ClientOutput::Reply(*id, message.clone()));
            }
        }
    }

    /// Answers `query-cstatus` of any node with what we know of our own client.
    /// Spec: docs/protocol/client-api.md, 6.2.
    fn answer_query(&self, message: &Message, out: &mut Vec<ClientOutput>) {
        let fields = (
            message.text(field::SRC),
            message.text(field::CLIENT_NAME),
            message.text(field::FROM_ID),
        );
        // Without the asking client's name it would be delivered to every client there.
        let (Some(src), Some(name), Some(asker)) = fields else {
            return;
        };
        let answer = Message::new(kind::RESPOND_CLIENT_STATUS)
            .with(field::DEST, src)
            .with(field::RESULT, word::OK)
            .with(field::CLIENT_NAME, name)
            .with(field::TO_ID, asker)
            .with(field::CLIENT_STATUS, self.status_of(name));
        out.push(ClientOutput::Inject(Origin::Daemon, answer));
    }

    pub(super) fn status_of(&self, name: &str) -> &'static str {
        if self.is_taken(name) {
            "online"
        } else {
            "offline"
        }
    }

    /// Tells a client that its message cannot be sent. `false`: it was not for other nodes.
    /// Spec: docs/protocol/client-api.md, 7.
    pub fn refuse(
        &self,
        id: ClientId,
        message: &Message,
        why: &str,
        out: &mut Vec<ClientOutput>,
    ) -> bool {
        let sender = self.clients.get(&id).filter(|client| client.is_member());
        let Some(client) = sender.filter(|_| message.kind() != Some(word::REQUEST)) else {
            return false;
        };
        let kind: String = message
            .kind()
            .unwrap_or_default()
            .chars()
            .take(64)
            .collect();
        let text = format!(
            "message of type {kind:?} from client {} refused: {why}",
            client.id
        );
        out.push(ClientOutput::Warn(
            "messages of clients that are too large",
            text,
        ));
        // No request has such a type, so it is nobody's answer.
        let answer = Message::new(word::RESPONSE)
            .with(word::REQUEST_TYPE, &kind)
            .with(field::INFO, word::TOO_LARGE)
            .with(field::RESULT, word::BAD);
        out.push(ClientOutput::Reply(id, answer));
        true
    }

    /// A message for the clients of the same name on other nodes. Spec:
    /// docs/protocol/client-api.md, 7.
    pub(super) fn pass_on(
        &mut self,
        id: ClientId,
        mut message: Message,
        out: &mut Vec<ClientOutput>,
    ) {
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        let name = client.id.clone();
        if !client.named {
            self.clients.remove(&id);
            out.push(ClientOutput::Close(id));
            let text = format!("casual client {name} sent a message: closed (badclient)");
            out.push(ClientOutput::Warn("casual clients that send", text));
            return;
        }
        let Some(kind) = message.kind().filter(|kind| !kind.is_empty()) else {
            let text = format!("message without a type from client {name}");
            out.push(ClientOutput::Warn("messages without a type", text));
            return;
        };
        // Receivers would treat the inner message as one of the daemon's own.
        if is_forged(kind) || message.get(field::COMPRESSED_PAYLOAD).is_some() {
            let kind: String = kind.chars().take(64).collect();
            let text = format!("message type {kind:?} of client {name} refused");
            out.push(ClientOutput::Warn(
                "messages that clients may not send",
                text,
            ));
            return;
        }
        message.remove(field::AUTH);
        message.set_text(field::FROM_ID, &name);
        message.set_text(field::TO_ID, &name);
        let number = client.number.unwrap_or_default();
        message.set_text(field::CLIENT_GEN, &number.to_string());
        out.push(ClientOutput::Inject(Origin::Client, message));
    }
}

/// Types that a client may not send: those of daemons, and those that the registry itself sends.
/// Spec: docs/protocol/client-api.md, 7.
pub(super) fn is_forged(kind: &str) -> bool {
    kind::is_of_daemons(kind)
        || matches!(
            kind,
            word::RESPONSE | kind::CLIENT_STATUS | kind::RESPOND_CLIENT_STATUS
        )
}
