//! The FIFO through which scripts give messages to the cluster.
//!
//! Writers wait while this actor is behind: the kernel's pipe is the queue. The actor keeps the
//! pipe open for writing too, so that reading never ends.
//! Spec: docs/protocol/wire.md, 20; docs/protocol/tools.md, 4.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix::prelude::*;
use futures_util::StreamExt as _;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::net::unix::pipe;
use tokio_util::codec::FramedRead;
use tracing::{error, info, warn};

use crate::actors::codecs::{FifoCodec, STREAM_READ_BYTES};
use crate::actors::messages::Injected;
use crate::clock::Clock;
use crate::notice;
use crate::protocol::codec::DecodeError;
use crate::protocol::event::Origin;
use crate::protocol::limiter::Limiter;
use crate::protocol::message::Message;

/// Pause before the FIFO is opened again after an error.
const REOPEN_PAUSE: Duration = Duration::from_secs(5);

/// Reads the FIFO.
pub struct FifoActor {
    path: PathBuf,
    injected: Recipient<Injected>,
    clock: Clock,
}

impl FifoActor {
    /// A reader of `path`, which is made when the actor starts. Messages go to `injected`.
    #[must_use]
    pub fn new(path: PathBuf, injected: Recipient<Injected>, clock: Clock) -> Self {
        Self {
            path,
            injected,
            clock,
        }
    }

    fn open(&mut self, ctx: &mut Context<Self>) {
        let reader = Reader {
            path: self.path.clone(),
            limiter: Limiter::default(),
            clock: self.clock.clone(),
            injected: self.injected.clone(),
        };
        let path = self.path.clone();
        let work = async move {
            let shown = path.clone();
            let error = match prepare_and_open(path).await {
                Ok(pipe) => reader.run(pipe).await,
                Err(error) => error,
            };
            error!(path = %shown.display(), %error, "cannot read the FIFO: hb_standby and hb_takeover have no effect");
        };
        ctx.spawn(work.into_actor(self).map(|(), _, ctx| {
            ctx.run_later(REOPEN_PAUSE, Self::open);
        }));
    }
}

impl Actor for FifoActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.open(ctx);
    }
}

impl Supervised for FifoActor {}

struct Reader {
    path: PathBuf,
    limiter: Limiter,
    clock: Clock,
    injected: Recipient<Injected>,
}

impl Reader {
    async fn run(mut self, pipe: pipe::Receiver) -> io::Error {
        let mut read = FramedRead::with_capacity(pipe, FifoCodec::default(), STREAM_READ_BYTES);
        loop {
            match read.next().await {
                Some(Ok(decoded)) => self.pass_on(decoded).await,
                Some(Err(error)) => return error,
                None => return io::ErrorKind::UnexpectedEof.into(),
            }
        }
    }

    async fn pass_on(&mut self, decoded: Result<Message, DecodeError>) {
        let path = self.path.display();
        let now = self.clock.now().instant;
        for line in self.limiter.report(now) {
            notice::log(&line);
        }
        match decoded {
            Ok(message) => {
                let origin = Origin::Fifo;
                let kind = message.kind().map(str::to_owned);
                let injected = Injected { origin, message };
                if self.injected.send(injected).await.is_err() {
                    let kind = kind.as_deref();
                    warn!(%path, kind, "a message of a script was lost: the node is restarting");
                }
            }
            Err(error) => {
                if self.limiter.pass("broken messages in the FIFO", now) {
                    warn!(%path, %error, "broken message in the FIFO");
                }
                // One read may contain thousands of messages, and each costs a search: let other
                // actors run.
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn prepare_and_open(path: PathBuf) -> io::Result<pipe::Receiver> {
    let made = path.clone();
    tokio::task::spawn_blocking(move || prepare(&made))
        .await
        .map_err(io::Error::other)??;
    pipe::OpenOptions::new()
        .read_write(true)
        .open_receiver(path)
}

/// Makes the FIFO if it is absent, and replaces a regular file that a shell made by writing there
/// while no daemon ran.
fn prepare(path: &Path) -> io::Result<()> {
    let private = Mode::S_IRUSR | Mode::S_IWUSR;
    match fs::symlink_metadata(path) {
        Ok(data) if data.file_type().is_fifo() => {
            return fs::set_permissions(path, fs::Permissions::from_mode(0o600));
        }
        Ok(data) if data.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(_) => fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory)?;
            }
        }
        Err(error) => return Err(error),
    }
    info!("Creating FIFO {}.", path.display());
    mkfifo(path, private)?;
    // The umask may have removed permissions.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

#[cfg(test)]
mod tests;
