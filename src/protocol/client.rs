//! The client registry: who is signed on, what each client may ask and which messages it gets.
//! Does no I/O and reads no clock. Spec: docs/protocol/client-api.md.
//!
//! Frames go in with [`Registry::message`], cluster messages with [`Registry::deliver`]; outputs
//! come out in the order in which they must be done. A client is known by its connection.

use std::collections::BTreeMap;

use super::event::Origin;
use super::field::{self, kind};
use super::message::Message;
use super::name::{Generation, NodeName, Sequence};

pub mod frame;
mod maintenance;
mod requests;
mod settings;
mod sign_on;
#[cfg(test)]
mod tests;
mod traffic;
mod view;
mod vocabulary;

pub use settings::{ApiAuth, RegistrySettings};
pub use view::{ClusterNode, ClusterView};
pub use vocabulary::{ClientId, ClientOutput, Credentials, Gone, MaintenanceRequest, Surroundings};
use vocabulary::{mask, word};

/// Longest client name in bytes: what legacy stores. Spec: docs/protocol/client-api.md, 4.
pub const MAX_NAME_BYTES: usize = 31;

/// Clients at once: far more than a node has programs, far fewer than it has descriptors.
pub const MAX_CLIENTS: usize = 512;

/// Connections that have not signed on, in all. Spec: docs/protocol/client-api.md, 17.
pub const MAX_STRANGERS: usize = 256;

/// The same per user.
pub const MAX_STRANGERS_PER_USER: usize = 64;

/// Frames in a row that are no message, after which a client is cut off.
const MAX_BAD_FRAMES: u8 = 10;

/// Largest queue a client may ask for. Spec: docs/protocol/client-api.md, 6.
const MAX_SEND_QUEUE: u64 = 16_384;

/// How far a connection has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Not signed on.
    Stranger,
    /// Its join notice is on its way round; this answer follows it.
    Joining(Message),
    /// Signed on.
    Member,
}

/// One client.
#[derive(Debug)]
struct Client {
    credentials: Credentials,
    phase: Phase,
    /// Name, or the process id of a casual client. Empty: stranger.
    id: String,
    named: bool,
    /// Part of the daemon: an outside client of its name takes its place.
    inside: bool,
    /// Fixed with the first message. Spec: docs/protocol/client-api.md, 4.
    number: Option<u64>,
    mask: u64,
    bad_frames: u8,
    /// Nodes of which messages were missing at its sign-on, each with the run and the highest
    /// number heard: what comes late was said before it was there.
    /// Spec: docs/protocol/client-api.md, 4.
    signed_on_after: Vec<(NodeName, Generation, Sequence)>,
}

impl Client {
    const fn stranger(credentials: Credentials, inside: bool) -> Self {
        Self {
            credentials,
            phase: Phase::Stranger,
            id: String::new(),
            named: false,
            inside,
            number: None,
            mask: mask::KEEP,
            bad_frames: 0,
            signed_on_after: Vec::new(),
        }
    }

    fn is_member(&self) -> bool {
        self.phase != Phase::Stranger
    }

    /// Whether a message was said before the client signed on and came late.
    fn missed(&self, message: &Message) -> bool {
        let number = (message.hex(field::HG), message.hex(field::SEQ));
        let ((Some(hg), Some(seq)), false) = (number, self.signed_on_after.is_empty()) else {
            return false;
        };
        self.signed_on_after.iter().any(|(node, run, last)| {
            message.text(field::SRC) == Some(node.as_str()) && run.0 == hg && seq <= last.0
        })
    }
}

/// All clients of this node.
#[derive(Debug)]
pub struct Registry {
    settings: RegistrySettings,
    clients: BTreeMap<ClientId, Client>,
    /// Number of the next client that delivers a first message.
    next_number: u64,
}

impl Registry {
    /// Nobody is signed on.
    #[must_use]
    pub fn new(settings: RegistrySettings) -> Self {
        Self {
            settings,
            clients: BTreeMap::new(),
            next_number: 0,
        }
    }

    /// Takes a new connection in.
    ///
    /// # Errors
    /// Why there is no room for it; close it.
    pub fn connected(&mut self, id: ClientId, credentials: Credentials) -> Result<(), String> {
        let strangers = || self.clients.values().filter(|c| !c.is_member());
        if self.clients.len() >= MAX_CLIENTS {
            return Err(format!("{MAX_CLIENTS} clients are connected"));
        }
        if strangers().count() >= MAX_STRANGERS {
            return Err(format!("{MAX_STRANGERS} connections have not signed on"));
        }
        let uid = credentials.uid;
        if strangers().filter(|c| c.credentials.uid == uid).count() >= MAX_STRANGERS_PER_USER {
            return Err(format!(
                "{MAX_STRANGERS_PER_USER} connections of user {uid} have not signed on"
            ));
        }
        self.clients
            .insert(id, Client::stranger(credentials, false));
        Ok(())
    }

    /// Takes a client in that is part of the daemon: no rule of ha.cf concerns it, and it gives
    /// way to an outside client that signs on with its name.
    pub fn connected_inside(&mut self, id: ClientId, credentials: Credentials) {
        self.clients.insert(id, Client::stranger(credentials, true));
    }

    /// Whether a client of this name is signed on.
    #[must_use]
    pub fn is_taken(&self, name: &str) -> bool {
        self.clients.values().any(|c| c.is_member() && c.id == name)
    }

    /// Whether a client is signed on; `None`: not known (any more).
    #[must_use]
    pub fn is_signed_on(&self, id: ClientId) -> Option<bool> {
        self.clients.get(&id).map(Client::is_member)
    }

    /// Processes of all signed-on clients, for the audit.
    pub fn processes(&self) -> impl Iterator<Item = (ClientId, i32)> + '_ {
        self.clients
            .iter()
            .filter(|(_, client)| client.is_member() && client.credentials.pid > 0)
            .map(|(id, client)| (*id, client.credentials.pid))
    }

    /// Takes one message of a client. Spec: docs/protocol/client-api.md, 4, 6 and 7.
    pub fn message(
        &mut self,
        id: ClientId,
        message: Message,
        around: &Surroundings<'_>,
        out: &mut Vec<ClientOutput>,
    ) {
        let number = self.next_number;
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.bad_frames = 0;
        if client.number.is_none() {
            client.number = Some(number);
            self.next_number = number.saturating_add(1);
        }
        if !client.is_member() {
            self.sign_on(id, &message, around, out);
        } else if message.kind() == Some(word::REQUEST) {
            self.request(id, &message, around.view, out);
        } else {
            self.pass_on(id, message, out);
        }
    }

    /// A well-framed body was no message.
    pub fn no_message(&mut self, id: ClientId, why: &str, out: &mut Vec<ClientOutput>) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.bad_frames = client.bad_frames.saturating_add(1);
        let pid = client.credentials.pid;
        out.push(ClientOutput::Warn(
            "no message from a client",
            format!("No message from pid {pid}: {why}"),
        ));
        if client.bad_frames >= MAX_BAD_FRAMES {
            out.push(ClientOutput::Close(id));
            self.gone(id, &Gone::NoInput, out);
        }
    }

    /// A connection ended, or has to. Tells the namesakes.
    pub fn gone(&mut self, id: ClientId, why: &Gone, out: &mut Vec<ClientOutput>) {
        let Some(client) = self.clients.remove(&id) else {
            return;
        };
        let (pid, uid) = (client.credentials.pid, client.credentials.uid);
        let what = match why {
            Gone::BadFrame(what) | Gone::Failed(what) => Some(what.clone()),
            Gone::Overflow { .. } | Gone::NoInput => Some(why.info(pid)),
            Gone::Eof | Gone::Died | Gone::DiedAudit => None,
        };
        if let Some(what) = what {
            let text = format!(
                "client {:?} (pid {pid}, uid {uid}) cut off: {what}",
                client.id
            );
            out.push(ClientOutput::Warn("clients cut off", text));
        }
        if client.is_member() && client.named {
            let leave = self.notice("leave", &client, &why.info(pid));
            out.push(ClientOutput::Inject(Origin::Daemon, leave));
        }
    }

    /// Messages for the clients were lost on their way here. One that went on without knowing that
    /// might wait for ever, or act on what is no longer so; one that begins anew asks how things
    /// stand. As after an overflow of its own queue it has to.
    pub fn missed(&mut self, out: &mut Vec<ClientOutput>) {
        let members = self.clients.iter().filter(|(_, client)| client.is_member());
        let members: Vec<_> = members.map(|(id, _)| *id).collect();
        for id in members {
            out.push(ClientOutput::Close(id));
            let why = "too many messages at once, some were dropped".to_owned();
            self.gone(id, &Gone::Failed(why), out);
        }
    }

    /// The answer of a client whose join notice never came back: the core began anew meanwhile.
    pub fn answer_overdue(&mut self, id: ClientId, out: &mut Vec<ClientOutput>) {
        if let Some(client) = self.clients.get_mut(&id)
            && let Phase::Joining(answer) = &client.phase
        {
            out.push(ClientOutput::Reply(id, answer.clone()));
            client.phase = Phase::Member;
        }
    }

    /// A join or leave notice, without control fields.
    fn notice(&self, what: &str, client: &Client, info: &str) -> Message {
        Message::new(kind::CLIENT_STATUS)
            .with(field::ST, what)
            .with(field::FROM_ID, &client.id)
            .with(field::TO_ID, &client.id)
            .with(field::SRC, &self.settings.local)
            .with(field::INFO, info)
            .with(
                field::CLIENT_GEN,
                &client.number.unwrap_or_default().to_string(),
            )
    }
}
