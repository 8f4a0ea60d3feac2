//! The client registry: which clients are signed on, what each may ask and which messages it
//! receives. Does no I/O and reads no clock. Spec: docs/protocol/client-api.md.
//!
//! Frames go in with [`Registry::message`], cluster messages with [`Registry::deliver`]. Outputs
//! come out in the order in which they must be done. A client is identified by its connection.

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

/// Longest client name in bytes, as legacy stores it. Spec: docs/protocol/client-api.md, 4.
pub const MAX_NAME_BYTES: usize = 31;

/// Clients at the same time: far more than a node has programs, far fewer than it has descriptors.
pub const MAX_CLIENTS: usize = 512;

/// Connections that have not signed on, in total. Spec: docs/protocol/client-api.md, 17.
pub const MAX_STRANGERS: usize = 256;

/// The same per user.
pub const MAX_STRANGERS_PER_USER: usize = 64;

/// Frames in a row that are no message, after which a client is disconnected.
const MAX_BAD_FRAMES: u8 = 10;

/// Largest queue a client may ask for. Spec: docs/protocol/client-api.md, 6.
const MAX_SEND_QUEUE: u64 = 16_384;

/// State of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Not signed on.
    Stranger,
    /// Its join notice is on its way through the cluster; this answer is sent after it.
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
    /// Part of the daemon: an outside client of the same name replaces it.
    inside: bool,
    /// Fixed by the first message. Spec: docs/protocol/client-api.md, 4.
    number: Option<u64>,
    mask: u64,
    bad_frames: u8,
    /// Nodes of which messages were missing at its sign-on, each with the run and the highest
    /// number received. Messages up to that number were sent before the client signed on. Spec:
    /// docs/protocol/client-api.md, 4.
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

    /// Whether a message was sent before the client signed on and came late.
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
    /// Number for the next client that delivers a first message.
    next_number: u64,
}

impl Registry {
    /// A registry without clients.
    #[must_use]
    pub fn new(settings: RegistrySettings) -> Self {
        Self {
            settings,
            clients: BTreeMap::new(),
            next_number: 0,
        }
    }

    /// Adds a new connection.
    ///
    /// # Errors
    /// Why there is no room for it; the caller must close it.
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

    /// Adds a client that is part of the daemon: no rule of ha.cf applies to it, and an outside
    /// client that signs on with the same name replaces it.
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

    /// Processes of all signed-on clients, for the periodic check that they live.
    pub fn processes(&self) -> impl Iterator<Item = (ClientId, i32)> + '_ {
        self.clients
            .iter()
            .filter(|(_, client)| client.is_member() && client.credentials.pid > 0)
            .map(|(id, client)| (*id, client.credentials.pid))
    }

    /// Handles one message of a client. Spec: docs/protocol/client-api.md, 4, 6 and 7.
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

    /// A frame was well formed, but its body was no message.
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

    /// A connection ended or must be closed. Tells the clients of the same name on other nodes.
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

    /// Messages for the clients were lost on their way here. A client that does not know this might
    /// wait for ever, or act on an old state. So the clients are disconnected, as after an overflow
    /// of their own queue; a client that signs on again asks for the present state.
    pub fn missed(&mut self, out: &mut Vec<ClientOutput>) {
        let members = self.clients.iter().filter(|(_, client)| client.is_member());
        let members: Vec<_> = members.map(|(id, _)| *id).collect();
        for id in members {
            out.push(ClientOutput::Close(id));
            let why = "too many messages at once, some were dropped".to_owned();
            self.gone(id, &Gone::Failed(why), out);
        }
    }

    /// Sends the answer to a client whose join notice never came back because the core was
    /// restarted meanwhile.
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
