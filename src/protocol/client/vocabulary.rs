//! Inputs and outputs of the registry.

use super::super::event::Origin;
use super::super::message::Message;
use super::view::ClusterView;

/// Field names and words of the client socket. Spec: docs/protocol/client-api.md, 3 to 6.
pub(super) mod word {
    pub(in crate::protocol::client) const REQUEST: &str = "hbapi-req";
    pub(in crate::protocol::client) const RESPONSE: &str = "hbapi-resp";
    pub(in crate::protocol::client) const REQUEST_TYPE: &str = "reqtype";
    pub(in crate::protocol::client) const PID: &str = "pid";
    /// `reqtype` of the requests that only Systole answers.
    pub(in crate::protocol::client) const MAINTENANCE: &str = "systole";
    pub(in crate::protocol::client) const OK: &str = "OK";
    pub(in crate::protocol::client) const MORE: &str = "ok/more";
    pub(in crate::protocol::client) const BAD: &str = "badreq";
    pub(in crate::protocol::client) const INVALID: &str = "EINVAL";
    pub(in crate::protocol::client) const TOO_LARGE: &str = "EMSGSIZE";
}

/// Which treatments a client wants. Spec: docs/protocol/client-api.md, 8.1.
pub(super) mod mask {
    pub(in crate::protocol::client) const KEEP: u64 = 0x01;
    pub(in crate::protocol::client) const API_CALL: u64 = 0x10;
    pub(in crate::protocol::client) const ALL: u64 = 0x3f;
}

/// One connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// The identity of the process at the other end, according to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// Process; 0: the kernel does not say.
    pub pid: i32,
    /// Effective user.
    pub uid: u32,
    /// Effective primary group.
    pub gid: u32,
}

/// Facts from outside the registry at the moment of a call.
pub struct Surroundings<'a> {
    /// The cluster as membership knows it.
    pub view: &'a ClusterView,
    /// Whether a process exists.
    pub lives: &'a dyn Fn(i32) -> bool,
}

/// Something to do after a call, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientOutput {
    /// Write this to a client.
    Reply(ClientId, Message),
    /// Close a connection after all that was written to it has been sent. The registry has
    /// forgotten it.
    Close(ClientId),
    /// Send to the cluster.
    Inject(Origin, Message),
    /// The new limit of messages in a client's queue.
    QueueLimit(ClientId, usize),
    /// After every message written to it the client gets this signal; 0: none.
    Signal(ClientId, i32),
    /// Ask membership, and answer with [`Registry::maintained`].
    Maintain(ClientId, MaintenanceRequest),
    /// A warning for people; the first part names its kind, for the rate limit.
    Warn(&'static str, String),
}

/// Why a client is gone, as its notice says. Spec: docs/protocol/client-api.md, 9.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// It closed its end.
    Eof,
    /// Its process is gone.
    Died,
    /// The periodic check found that its process is gone.
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
    /// The word for the reason in the leave notice.
    pub(super) fn info(&self, pid: i32) -> String {
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

/// What an administrator asks of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaintenanceRequest {
    /// Start and stop nothing from now on.
    Freeze,
    /// Go on as usual.
    Thaw,
    /// The last decisions and their causes.
    Why,
}

impl MaintenanceRequest {
    /// The word of `subt`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Thaw => "thaw",
            Self::Why => "why",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Freeze, Self::Thaw, Self::Why]
            .into_iter()
            .find(|request| request.word() == word)
    }
}
