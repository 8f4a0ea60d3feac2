//! A casual client of the client socket, for programs: blocking, with a limit on every wait.
//! Works with any daemon of the kind, legacy included. Spec: client API, sections 2 to 6.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;

use crate::clock::{Clock, Monotonic};
use crate::config::types::MessageFormat;
use crate::protocol::client::frame::{self, MAX_BODY_BYTES};
use crate::protocol::message::Message;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nobody listens.
    #[error("hb_api_signon: Can't initiate connection to heartbeat")]
    NoDaemon,
    /// The daemon does not want us.
    #[error("{0}")]
    Refused(String),
    /// The request was refused, with a reason or without.
    #[error("{0}")]
    BadRequest(String),
    /// Nothing came in time.
    #[error("No timely response.")]
    Late,
    /// The connection is of no use any more.
    #[error("connection to heartbeat lost: {0}")]
    Lost(String),
}

/// A signed-on connection.
#[derive(Debug)]
pub struct ApiClient {
    stream: UnixStream,
    input: BytesMut,
    clock: Clock,
    /// What the daemon said of itself.
    hello: Message,
}

/// What a daemon must answer within.
const PATIENCE: Duration = Duration::from_secs(30);

impl ApiClient {
    /// Connects and signs on without a name.
    ///
    /// # Errors
    /// [`ApiError::NoDaemon`], [`ApiError::Refused`] and what can happen on the way.
    pub fn sign_on(path: &Path) -> Result<Self, ApiError> {
        let stream = UnixStream::connect(path).map_err(|_| ApiError::NoDaemon)?;
        let mut client = Self {
            stream,
            input: BytesMut::new(),
            clock: Clock::start(),
            hello: Message::empty(),
        };
        let request = client
            .request("signon")
            .with("uid", &nix::unistd::geteuid().to_string())
            .with("gid", &nix::unistd::getegid().to_string());
        client.send(&request)?;
        let answer = client.response(PATIENCE)?;
        if answer.text("result") != Some("OK") {
            let reason = answer.text("info").unwrap_or("sign-on refused");
            return Err(ApiError::Refused(reason.to_owned()));
        }
        client.hello = answer;
        Ok(client)
    }

    /// The answer to our sign-on: `deadtime`, `keepalive`, `node`, `hbversion`, `pacemaker`.
    #[must_use]
    pub const fn hello(&self) -> &Message {
        &self.hello
    }

    /// A request of this client, to which fields may be added.
    #[must_use]
    pub fn request(&self, kind: &str) -> Message {
        let node = nix::unistd::gethostname().unwrap_or_default();
        let pid = std::process::id().to_string();
        Message::new("hbapi-req")
            .with("reqtype", kind)
            .with("dest", &node.to_string_lossy().to_ascii_lowercase())
            .with("pid", &pid)
            .with("from_id", &pid)
    }

    /// Asks and collects every answer up to the last.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`] with the daemon's reason; what can happen on the way.
    pub fn ask(&mut self, request: &Message) -> Result<Vec<Message>, ApiError> {
        self.send(request)?;
        let mut answers = Vec::new();
        loop {
            let answer = self.response(PATIENCE)?;
            match answer.text("result") {
                Some("OK") => {
                    answers.push(answer);
                    return Ok(answers);
                }
                Some("ok/more") => answers.push(answer),
                _ => {
                    let reason = answer.text("info").unwrap_or_default();
                    return Err(ApiError::BadRequest(reason.to_owned()));
                }
            }
        }
    }

    /// Asks for one answer.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn ask_one(&mut self, request: &Message) -> Result<Message, ApiError> {
        let mut answers = self.ask(request)?;
        answers
            .pop()
            .ok_or_else(|| ApiError::Lost("no answer".to_owned()))
    }

    /// Whether a client is signed on at a node: `online`, `offline`, `join`, `leave`.
    ///
    /// # Errors
    /// [`ApiError::Late`] when the other node does not say within `patience`.
    pub fn client_status(
        &mut self,
        node: &str,
        client: &str,
        patience: Duration,
    ) -> Result<String, ApiError> {
        let request = self
            .request("clientstatus")
            .with("node", node)
            .with("cn", client);
        self.send(&request)?;
        let until = self.now() + patience;
        loop {
            let message = self.receive(until.since(self.now()))?;
            let kind = message.kind().unwrap_or_default();
            if kind == "hbapi-resp" && message.text("result") == Some("badreq") {
                // Legacy programs know no refusal here either.
                return Err(ApiError::Late);
            }
            if (kind == "hbapi-resp" || kind == "respond-cstatus")
                && let Some(status) = message.text("cs")
            {
                return Ok(status.to_owned());
            }
        }
    }

    /// Says good-bye.
    pub fn sign_off(mut self) {
        let request = self.request("signoff");
        let _ = self.send(&request);
    }

    fn now(&self) -> Monotonic {
        self.clock.now().instant
    }

    fn send(&mut self, message: &Message) -> Result<(), ApiError> {
        let lost = |error: &dyn std::fmt::Display| ApiError::Lost(error.to_string());
        let frame = frame::encode(message, MessageFormat::Classic).map_err(|e| lost(&e))?;
        self.stream
            .set_write_timeout(Some(PATIENCE))
            .and_then(|()| self.stream.write_all(&frame))
            .map_err(|e| lost(&e))
    }

    /// The next `hbapi-resp`; anything else is not for us.
    fn response(&mut self, patience: Duration) -> Result<Message, ApiError> {
        let until = self.now() + patience;
        loop {
            let message = self.receive(until.since(self.now()))?;
            if message.kind() == Some("hbapi-resp") {
                return Ok(message);
            }
        }
    }

    fn receive(&mut self, patience: Duration) -> Result<Message, ApiError> {
        let until = self.now() + patience;
        let lost = |error: &dyn std::fmt::Display| ApiError::Lost(error.to_string());
        loop {
            if let Some(body) =
                frame::take(&mut self.input, MAX_BODY_BYTES).map_err(|e| lost(&e))?
            {
                return frame::decode(&body).map_err(|e| lost(&e));
            }
            let left = until.since(self.now());
            if left.is_zero() {
                return Err(ApiError::Late);
            }
            self.stream
                .set_read_timeout(Some(left))
                .map_err(|e| lost(&e))?;
            let mut part = [0; 16 * 1024];
            match self.stream.read(&mut part) {
                Ok(0) => return Err(ApiError::Lost("closed by the daemon".to_owned())),
                Ok(read) => self
                    .input
                    .extend_from_slice(part.get(..read).unwrap_or_default()),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    return Err(ApiError::Late);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(lost(&error)),
            }
        }
    }
}
