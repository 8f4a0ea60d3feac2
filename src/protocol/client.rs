//! The client registry: who is signed on, what each client may ask and which messages it gets.
//! Does no I/O and reads no clock. Spec: client API.
//!
//! Frames go in with [`Registry::message`], cluster messages with [`Registry::deliver`]; outputs
//! come out in the order in which they must be done. A client is known by its connection.

use std::collections::BTreeMap;

use super::event::Origin;
use super::field::{self, kind};
use super::message::Message;
use super::name::{Generation, NodeName, Sequence};
use super::output::Treatment;

pub mod frame;
mod maintenance;
mod requests;
mod sign_on;
#[cfg(test)]
mod tests;
mod view;

pub use maintenance::MaintenanceRequest;
pub use view::{ClusterNode, ClusterView};

/// Longest client name in bytes: what legacy stores. Spec: client API, section 4.
pub const MAX_NAME_BYTES: usize = 31;

/// Clients at once: far more than a node has programs, far fewer than it has descriptors.
pub const MAX_CLIENTS: usize = 512;

/// Connections that have not signed on, in all. Spec: client API, section 17.
pub const MAX_STRANGERS: usize = 256;

/// The same per user.
pub const MAX_STRANGERS_PER_USER: usize = 64;

/// Frames in a row that are no message, after which a client is cut off.
const MAX_BAD_FRAMES: u8 = 10;

/// Largest queue a client may ask for. Spec: client API, section 6.
const MAX_SEND_QUEUE: u64 = 16_384;

/// Field names and words of the client socket.
mod word {
    pub(super) const REQUEST: &str = "hbapi-req";
    pub(super) const RESPONSE: &str = "hbapi-resp";
    pub(super) const REQUEST_TYPE: &str = "reqtype";
    pub(super) const PID: &str = "pid";
    pub(super) const OK: &str = "OK";
    pub(super) const MORE: &str = "ok/more";
    pub(super) const BAD: &str = "badreq";
    pub(super) const INVALID: &str = "EINVAL";
}

/// Which treatments a client wants. Spec: client API, section 8.1.
mod mask {
    pub(super) const KEEP: u64 = 0x01;
    pub(super) const API_CALL: u64 = 0x10;
    pub(super) const ALL: u64 = 0x3f;
}

/// One connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// Who the kernel says is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// Process; 0: the kernel does not say.
    pub pid: i32,
    /// Effective user.
    pub uid: u32,
    /// Effective primary group.
    pub gid: u32,
}

/// An `apiauth` rule. Spec: configuration, section 4.6.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApiAuth {
    /// Users that may sign on, by number.
    pub uids: Vec<u32>,
    /// Groups that may sign on, by number.
    pub gids: Vec<u32>,
}

/// What does not change while the daemon runs.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// Own node name.
    pub local: String,
    /// `deadtime` in ms.
    pub deadtime_ms: u128,
    /// `keepalive` in ms.
    pub keepalive_ms: u128,
    /// Version as clients print it.
    pub version: String,
    /// Syslog facility as C programs know it, -1: none.
    pub facility: i32,
    /// Whether pacemaker manages resources.
    pub pacemaker: bool,
    /// The daemon's own user, who may set any filter beside root.
    pub own_uid: u32,
    /// The group of administrators beside root: `haclient`.
    pub admin_gid: Option<u32>,
    /// `apiauth` rules, built-in ones included.
    pub rules: BTreeMap<String, ApiAuth>,
    /// Parameters as clients read them.
    pub parameters: BTreeMap<String, String>,
}

/// What the registry needs to know from outside at the moment of a call.
pub struct Surroundings<'a> {
    /// The cluster as membership knows it.
    pub view: &'a ClusterView,
    /// Whether a process exists.
    pub lives: &'a dyn Fn(i32) -> bool,
}

/// Something that follows from a call. In order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientOutput {
    /// Write this to a client.
    Reply(ClientId, Message),
    /// Close a connection once what was written is out. The registry has forgotten it.
    Close(ClientId),
    /// Send to the cluster.
    Inject(Origin, Message),
    /// A client's queue may hold so many messages from now on.
    QueueLimit(ClientId, usize),
    /// After every message written to it the client gets this signal; 0: none.
    Signal(ClientId, i32),
    /// Ask membership, and answer with [`Registry::maintained`].
    Maintain(ClientId, MaintenanceRequest),
    /// A warning for people; the first part names its kind, for the rate limit.
    Warn(&'static str, String),
}

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
    /// Fixed with the first message. Spec: client API, section 4.
    number: Option<u64>,
    mask: u64,
    bad_frames: u8,
    /// Nodes of which messages were missing at its sign-on, each with the run and the highest
    /// number heard: what comes late was said before it was there. Spec: client API, section 4.
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

/// Why a client is gone, as the others are told. Spec: client API, section 9.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// It closed its end.
    Eof,
    /// Its process is gone.
    Died,
    /// The audit found its process gone.
    DiedAudit,
    /// It did not read.
    Overflow {
        /// Messages waiting.
        waiting: usize,
        /// Its limit.
        limit: usize,
    },
    /// It sent what is no frame.
    BadFrame(String),
    /// Ten frames in a row were no messages.
    NoInput,
    /// Anything else.
    Failed(String),
}

impl Gone {
    fn info(&self, pid: i32) -> String {
        match self {
            Self::Eof => "EOF".to_owned(),
            Self::Died => "died".to_owned(),
            Self::DiedAudit => "died-audit".to_owned(),
            Self::Overflow { waiting, limit } => {
                format!("send failed,farside_pid={pid}, sendq length={waiting}(max is {limit})")
            }
            Self::BadFrame(_) | Self::NoInput => "noinput".to_owned(),
            Self::Failed(_) => "sendfail".to_owned(),
        }
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

    /// Takes one message of a client. Spec: client API, sections 4, 6 and 7.
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

    /// The answer of a client whose join notice never came back: the core began anew meanwhile.
    pub fn answer_overdue(&mut self, id: ClientId, out: &mut Vec<ClientOutput>) {
        if let Some(client) = self.clients.get_mut(&id)
            && let Phase::Joining(answer) = &client.phase
        {
            out.push(ClientOutput::Reply(id, answer.clone()));
            client.phase = Phase::Member;
        }
    }

    /// Offers a message of the cluster to every client it concerns. Spec: client API, section 8.
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

    /// Bits of the messages that [`deliver`](Self::deliver) would do something with.
    #[must_use]
    pub fn interest(&self) -> u64 {
        // A client that signs on waits for an ordinary message, its own join notice.
        let wanted = self.clients.values().map(|client| client.mask | mask::KEEP);
        wanted.fold(0, |sum, bits| sum | bits)
    }

    fn offer(&self, message: &Message, bit: u64, out: &mut Vec<ClientOutput>) {
        let to = message.text_bytes(field::TO_ID);
        for (id, client) in &self.clients {
            let addressed = to.is_none_or(|to| to == client.id.as_bytes());
            let late = bit == mask::KEEP && client.missed(message);
            if client.is_member() && client.mask & bit != 0 && addressed && !late {
                out.push(ClientOutput::Reply(*id, message.clone()));
            }
        }
    }

    /// `query-cstatus` of any node: what we know of our own client. Spec: client API, section 6.2.
    fn answer_query(&self, message: &Message, out: &mut Vec<ClientOutput>) {
        let fields = (
            message.text(field::SRC),
            message.text(field::CLIENT_NAME),
            message.text(field::FROM_ID),
        );
        // Without an asker it would be shown to every client there.
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

    fn status_of(&self, name: &str) -> &'static str {
        if self.is_taken(name) {
            "online"
        } else {
            "offline"
        }
    }

    /// A message for the namesakes on other nodes. Spec: client API, section 7.
    fn pass_on(&mut self, id: ClientId, mut message: Message, out: &mut Vec<ClientOutput>) {
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
        // Receivers would take the inner message for one of the daemon's own.
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

/// Types that only daemons send. Spec: client API, section 7.
fn is_forged(kind: &str) -> bool {
    kind.starts_with(kind::UNSEQUENCED_PREFIX)
        || matches!(
            kind,
            word::RESPONSE
                | kind::STATUS
                | kind::STARTING
                | kind::RESOURCE
                | kind::SHUTDONE
                | kind::IP_REQUEST
                | kind::IP_REQUEST_RESP
                | kind::STONITH
                | kind::ADD_NODE
                | kind::DEL_NODE
                | kind::SET_WEIGHT
                | kind::SET_SITE
                | kind::REQ_NODES
                | kind::REP_NODES
                | kind::CLIENT_STATUS
                | kind::RESPOND_CLIENT_STATUS
        )
}
