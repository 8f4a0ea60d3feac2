//! The client socket from a program's side: blocking, with a limit on every wait. Works with any
//! daemon of the kind, legacy included. Spec: docs/protocol/client-api.md, 2 to 6.
//!
//! A [`Connection`] carries messages both ways; an [`ApiClient`] is a casual client that asks.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;

use crate::clock::{Clock, Monotonic};
use crate::protocol::client::frame::{self, MAX_BODY_BYTES};
use crate::protocol::message::Message;
use crate::protocol::wire::MessageFormat;

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

/// A connection that carries messages both ways. Nobody is signed on by it.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    input: BytesMut,
    clock: Clock,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// [`ApiError::NoDaemon`].
    pub fn open(path: &Path) -> Result<Self, ApiError> {
        let stream = UnixStream::connect(path).map_err(|_| ApiError::NoDaemon)?;
        Ok(Self::of(stream))
    }

    fn of(stream: UnixStream) -> Self {
        Self {
            stream,
            input: BytesMut::new(),
            clock: Clock::start(),
        }
    }

    /// The same connection for another thread: one shall write and the other read.
    ///
    /// # Errors
    /// [`ApiError::Lost`].
    pub fn another(&self) -> Result<Self, ApiError> {
        self.stream.try_clone().map(Self::of).map_err(lost)
    }

    fn now(&self) -> Monotonic {
        self.clock.now().instant
    }

    /// Writes one message.
    ///
    /// # Errors
    /// [`ApiError::Lost`].
    pub fn send(&mut self, message: &Message) -> Result<(), ApiError> {
        let frame = frame::encode(message, MessageFormat::Classic).map_err(lost)?;
        self.stream
            .set_write_timeout(Some(PATIENCE))
            .and_then(|()| self.stream.write_all(&frame))
            .map_err(lost)
    }

    /// Waits for the next message; `None`: without limit.
    ///
    /// # Errors
    /// [`ApiError::Late`] after `patience`, [`ApiError::Lost`] at the end of the connection.
    pub fn receive(&mut self, patience: Option<Duration>) -> Result<Message, ApiError> {
        let until = patience.map(|patience| self.now() + patience);
        loop {
            if let Some(body) = frame::take(&mut self.input, MAX_BODY_BYTES).map_err(lost)? {
                return frame::decode(&body).map_err(lost);
            }
            let left = until.map(|until| until.since(self.now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(ApiError::Late);
            }
            self.stream.set_read_timeout(left).map_err(lost)?;
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
                Err(error) => return Err(lost(error)),
            }
        }
    }
}

fn lost(error: impl std::fmt::Display) -> ApiError {
    ApiError::Lost(error.to_string())
}

/// A signed-on casual client.
#[derive(Debug)]
pub struct ApiClient {
    connection: Connection,
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
        let mut client = Self {
            connection: Connection::open(path)?,
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
        self.connection.now()
    }

    fn send(&mut self, message: &Message) -> Result<(), ApiError> {
        self.connection.send(message)
    }

    fn receive(&mut self, patience: Duration) -> Result<Message, ApiError> {
        self.connection.receive(Some(patience))
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
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    /// A daemon that reads one message per script entry and writes these bytes.
    fn daemon(script: Vec<Vec<Message>>) -> (tempfile::TempDir, std::path::PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("register");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            let mut peer = Connection::of(listener.accept().unwrap().0);
            for answers in script {
                peer.receive(Some(PATIENCE)).unwrap();
                for answer in answers {
                    peer.send(&answer).unwrap();
                }
            }
        });
        (place, path)
    }

    fn response(result: &str) -> Message {
        Message::new("hbapi-resp").with("result", result)
    }

    #[test]
    fn messages_pass_both_ways_and_an_end_is_told() {
        let (_place, path) = daemon(vec![vec![Message::new("a"), Message::new("b")]]);
        let mut writer = Connection::open(&path).unwrap();
        let mut reader = writer.another().unwrap();
        assert!(matches!(reader.receive(Some(SHORT)), Err(ApiError::Late)));
        writer.send(&Message::new("hello")).unwrap();
        assert_eq!(reader.receive(None).unwrap().kind(), Some("a"));
        assert_eq!(reader.receive(Some(PATIENCE)).unwrap().kind(), Some("b"));
        assert!(matches!(reader.receive(None), Err(ApiError::Lost(_))));
    }

    #[test]
    fn bytes_that_are_no_frame_end_it() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&[1, 0, 0, 0, 9, 9, 9, 9, 0]).unwrap();
        let mut connection = Connection::of(ours);
        assert!(matches!(connection.receive(None), Err(ApiError::Lost(_))));
    }

    #[test]
    fn a_casual_client_collects_every_answer() {
        let more = response("ok/more").with("node", "alpha");
        let last = response("OK").with("node", "beta");
        let between = Message::new("status");
        let (_place, path) = daemon(vec![vec![response("OK")], vec![more, between, last]]);
        let mut client = ApiClient::sign_on(&path).unwrap();
        let request = client.request("nodelist");
        let answers = client.ask(&request).unwrap();
        let nodes: Vec<_> = answers.iter().filter_map(|a| a.text("node")).collect();
        assert_eq!(nodes, ["alpha", "beta"]);
    }

    #[test]
    fn refusals_and_absence_differ() {
        let refusal = response("badreq").with("info", "client failed authorization");
        let (_place, path) = daemon(vec![vec![refusal]]);
        let refused = ApiClient::sign_on(&path).unwrap_err();
        assert_eq!(refused.to_string(), "client failed authorization");
        let absent = ApiClient::sign_on(&path.with_extension("none")).unwrap_err();
        assert!(matches!(absent, ApiError::NoDaemon));
    }
}
