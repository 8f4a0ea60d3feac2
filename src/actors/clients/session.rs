//! One client's connection: frames in, frames out. Spec: docs/protocol/client-api.md, 2 and 10.
//!
//! Reading goes on only when the last frame was handled, so a client that floods waits in its own
//! socket. Writing never blocks: what the kernel does not accept is queued within bounds.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Message, Recipient};
use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt::SndBuf};
use nix::unistd::Pid;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;
use tokio_util::codec::FramedRead;

use crate::actors::codecs::{CLIENT_READ_BYTES, ClientDecoder};
use crate::actors::messages::AskCluster;
use crate::protocol::client::{ClientId, ClusterNode, Gone, frame};
use crate::protocol::codec::Form;
use crate::protocol::field;
use crate::protocol::message;
use crate::protocol::pack::Compression;
use crate::protocol::wire::{EncodeError, MessageFormat};

/// Messages beyond what the kernel accepts, unless the client asks for more.
const QUEUE_LIMIT: usize = 64;

/// Most bytes queued for one client. Spec: docs/protocol/client-api.md, 17.
const MAX_QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// A frame of this length fits into a datagram with everything that is added.
const SURELY_FITS: usize = 60 * 1024;

/// More than the control fields of a message take on a serial line.
const SURELY_CONTROL: usize = 512;

/// What stands before the name of a list, in both forms.
const LIST: &[u8] = b"(3)";

/// The name of a compression wrapper stands within so many bytes of a frame.
const WRAPPER_WITHIN: usize = 1024;

/// How long the last messages to a client may take.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// A frame of a client. `done` is dropped when the frame was handled.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Heard {
    pub(super) id: ClientId,
    pub(super) body: Bytes,
    /// No medium can carry the message: why.
    pub(super) too_large: Option<CannotGo>,
    pub(super) done: oneshot::Sender<()>,
}

/// Why a message of a client does not go out.
#[derive(Debug, thiserror::Error)]
pub(super) enum CannotGo {
    /// It has no form, or is too large for every form.
    #[error(transparent)]
    NoForm(#[from] EncodeError),
    /// The line that is the only way to the other nodes would be busy with it for too long.
    #[error(
        "{bytes} bytes are too many for a serial line, and no other medium reaches the other node (at most {longest})"
    )]
    HoldsTheLine {
        /// Its length on the line.
        bytes: usize,
        /// The longest that goes.
        longest: usize,
    },
}

/// The serial lines, and whether there is another way.
#[derive(Debug, Clone)]
pub struct Lines {
    /// The longest message that one of them carries, in bytes.
    pub longest: usize,
    /// The names of their links.
    pub names: Vec<String>,
    /// Says which links are up, where there are other media.
    pub beside_others: Option<Recipient<AskCluster>>,
}

impl Lines {
    /// Whether they alone lead to a node that lives.
    async fn are_all(&self) -> bool {
        let Some(cluster) = &self.beside_others else {
            return true;
        };
        let view = cluster.send(AskCluster).await;
        view.is_ok_and(|view| view.nodes.iter().any(|node| self.lead_alone_to(node)))
    }

    fn lead_alone_to(&self, node: &ClusterNode) -> bool {
        let mut up = node.links.iter().filter(|(_, up)| *up).peekable();
        let other = !node.own && !node.ping && up.peek().is_some();
        other && up.all(|(name, _)| self.names.contains(name))
    }
}

/// Why a message does not go, and where: nowhere, or on no serial line.
#[derive(Debug)]
enum Refused {
    Everywhere(CannotGo),
    OnLines(CannotGo),
}

/// How messages go out, so that one that cannot is refused to its client at once: later nobody could
/// be told.
#[derive(Debug, Clone)]
pub(super) struct GoingOut {
    /// `msgfmt`.
    pub(super) format: MessageFormat,
    /// What goes out compressed.
    pub(super) compression: Compression,
    /// The serial lines, if there are any.
    pub(super) lines: Option<Arc<Lines>>,
}

impl GoingOut {
    /// Compresses a large message on a helper thread to see whether it gets small enough. Only this
    /// client waits for that.
    async fn check(&self, body: &Bytes) -> Option<CannotGo> {
        if self.surely_goes(body) {
            return None;
        }
        let (body, format, compression) = (body.clone(), self.format, self.compression);
        let longest = self.lines.as_ref().map(|lines| lines.longest);
        let check = tokio::task::spawn_blocking(move || {
            let message = frame::decode(&body).ok()?;
            judge(message, format, compression, longest).err()
        });
        match check.await.ok().flatten()? {
            Refused::Everywhere(why) => Some(why),
            Refused::OnLines(why) => {
                let refused = self.lines.as_ref()?.are_all().await;
                refused.then_some(why)
            }
        }
    }

    /// Whether that is plain without reading the message.
    fn surely_goes(&self, body: &[u8]) -> bool {
        let short = |lines: &Arc<Lines>| {
            Form::of(body) == Some(Form::Classic)
                && body.len().saturating_add(SURELY_CONTROL) <= lines.longest
        };
        body.len() <= SURELY_FITS
            && self.lines.as_ref().is_none_or(short)
            && !is_packed(body)
            && !has_list(body)
    }
}

/// `longest`: how much a serial line carries, if there is one.
fn judge(
    message: message::Message,
    format: MessageFormat,
    compression: Compression,
    longest: Option<usize>,
) -> Result<(), Refused> {
    let everywhere = |error: EncodeError| Refused::Everywhere(error.into());
    compression.check(&message, format).map_err(everywhere)?;
    let Some(longest) = longest else {
        return Ok(());
    };
    let on_lines = |error: EncodeError| Refused::OnLines(error.into());
    let bytes = compression.line_bytes(message).map_err(on_lines)?;
    if bytes > longest {
        return Err(Refused::OnLines(CannotGo::HoldsTheLine { bytes, longest }));
    }
    Ok(())
}

/// Whether a frame may hold a list: a long one has no form, and a short frame can hold one.
fn has_list(body: &[u8]) -> bool {
    body.windows(LIST.len()).any(|part| part == LIST)
}

/// Whether a frame may unpack to more than it is. The wrapper is the first field.
fn is_packed(body: &[u8]) -> bool {
    let name = field::COMPRESSED_PAYLOAD.as_bytes();
    let start = body.get(..WRAPPER_WITHIN).unwrap_or(body);
    start.windows(name.len()).any(|part| part == name)
}

/// A connection ended by itself.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Ended {
    pub(super) id: ClientId,
    pub(super) why: Gone,
}

/// What waits to be written.
struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    limit: usize,
}

/// A connection, shared by its task and the actor that owns it. Only the task reads.
pub(super) struct Session {
    stream: OwnedWriteHalf,
    pid: i32,
    signal: Cell<i32>,
    queue: RefCell<Queue>,
    /// Something waits to be written.
    queued: Notify,
    signed_on: Cell<bool>,
    closed: Notify,
}

impl Session {
    /// A session for the connection, and the half of it that [`serve`] reads.
    pub(super) fn new(stream: UnixStream, pid: i32) -> (Rc<Self>, OwnedReadHalf) {
        let (read, stream) = stream.into_split();
        let session = Self {
            stream,
            pid,
            signal: Cell::new(0),
            queue: RefCell::new(Queue {
                frames: VecDeque::new(),
                bytes: 0,
                limit: QUEUE_LIMIT,
            }),
            queued: Notify::new(),
            signed_on: Cell::new(false),
            closed: Notify::new(),
        };
        (Rc::new(session), read)
    }

    /// Larger frames may come from now on. `true`: this is the first call.
    pub(super) fn set_signed_on(&self) -> bool {
        !self.signed_on.replace(true)
    }

    /// `setsignal`.
    pub(super) fn set_signal(&self, signal: i32) {
        self.signal.set(signal);
    }

    /// `set_sendqlen`: queue and kernel buffer. Spec: docs/protocol/client-api.md, 10.
    pub(super) fn set_queue_limit(&self, limit: usize) {
        self.queue.borrow_mut().limit = limit;
        let kib = if limit < 512 {
            limit.saturating_add(32)
        } else {
            limit
        };
        // As much as the machine allows.
        let _ = setsockopt(self.stream.as_ref(), SndBuf, &kib.saturating_mul(1024));
    }

    /// Writes a frame or queues it.
    ///
    /// # Errors
    /// Why the client has to be disconnected.
    pub(super) fn send(&self, frame: Bytes) -> Result<(), Gone> {
        {
            let mut queue = self.queue.borrow_mut();
            queue.bytes = queue.bytes.saturating_add(frame.len());
            queue.frames.push_back(frame);
        }
        self.flush()?;
        let queue = self.queue.borrow();
        if queue.frames.len() > queue.limit || queue.bytes > MAX_QUEUE_BYTES {
            return Err(Gone::Overflow {
                waiting: queue.frames.len().saturating_sub(1),
                limit: queue.limit,
            });
        }
        if !queue.frames.is_empty() {
            self.queued.notify_one();
        }
        Ok(())
    }

    /// Writes what the kernel accepts.
    fn flush(&self) -> Result<(), Gone> {
        let mut queue = self.queue.borrow_mut();
        while let Some(front) = queue.frames.front_mut() {
            let written = match self.stream.try_write(front) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Gone::Eof),
            };
            front.advance(written);
            if front.is_empty() {
                queue.frames.pop_front();
                self.wake_client()?;
            }
            queue.bytes = queue.bytes.saturating_sub(written);
        }
        Ok(())
    }

    /// Signals the client after each message written; signal 0 only checks whether the process
    /// exists.
    fn wake_client(&self) -> Result<(), Gone> {
        let signal = Signal::try_from(self.signal.get()).ok();
        if self.pid > 0 && kill(Pid::from_raw(self.pid), signal) == Err(Errno::ESRCH) {
            return Err(Gone::Died);
        }
        Ok(())
    }

    /// Ends the connection when everything queued is written.
    pub(super) fn close(&self) {
        self.closed.notify_one();
    }

    async fn write_on(&self) -> Gone {
        loop {
            if self.queue.borrow().frames.is_empty() {
                self.queued.notified().await;
                continue;
            }
            let flushed = match self.stream.writable().await {
                Ok(()) => self.flush(),
                Err(_) => Err(Gone::Eof),
            };
            if let Err(gone) = flushed {
                return gone;
            }
        }
    }

    async fn write_rest(&self) {
        while !self.queue.borrow().frames.is_empty() {
            if self.stream.writable().await.is_err() || self.flush().is_err() {
                return;
            }
        }
    }

    async fn read_on(
        &self,
        read: OwnedReadHalf,
        id: ClientId,
        going_out: GoingOut,
        to: &Recipient<Heard>,
    ) -> Gone {
        let decoder = ClientDecoder::default();
        let mut read = FramedRead::with_capacity(read, decoder, CLIENT_READ_BYTES);
        loop {
            read.decoder_mut().set_signed_on(self.signed_on.get());
            let body = match read.next().await {
                Some(Ok(Ok(body))) => body,
                Some(Ok(Err(bad))) => return Gone::BadFrame(bad.to_string()),
                Some(Err(_)) | None => return Gone::Eof,
            };
            let too_large = going_out.check(&body).await;
            let (done, dealt_with) = oneshot::channel();
            let heard = Heard {
                id,
                body,
                too_large,
                done,
            };
            if to.send(heard).await.is_err() {
                return Gone::Failed("the registry is gone".to_owned());
            }
            // An error only means that the frame was dropped: then this session ends too.
            let _ = dealt_with.await;
        }
    }
}

/// Serves a connection to its end: `to` receives the frames that it reads, `ended` is told when it
/// ends by itself.
pub(super) async fn serve(
    session: Rc<Session>,
    read: OwnedReadHalf,
    id: ClientId,
    going_out: GoingOut,
    to: Recipient<Heard>,
    ended: Recipient<Ended>,
) {
    let why = tokio::select! {
        () = session.closed.notified() => None,
        gone = session.read_on(read, id, going_out, &to) => Some(gone),
        gone = session.write_on() => Some(gone),
    };
    match why {
        Some(why) => ended.do_send(Ended { id, why }),
        None => {
            let _ = timeout(FLUSH_LIMIT, session.write_rest()).await;
        }
    }
}

#[cfg(test)]
mod tests;
