//! The client socket: opened, and opened again after an error.
//! Spec: docs/protocol/client-api.md, 1.

use std::io;
use std::path::Path;
use std::time::Duration;

use actix::prelude::*;
use tokio::net::{UnixListener, UnixStream};
use tracing::{error, warn};

use super::ClientsActor;
use crate::os::file_mode::{Made, set_mode};

/// Pause before the socket is opened again after an error.
const REOPEN_PAUSE: Duration = Duration::from_secs(5);

/// Pause after an accept that failed: most likely no descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection, or why there is none.
struct Accepted(io::Result<UnixStream>);

impl ClientsActor {
    /// Opens the socket, if it is to be open and is not.
    pub(super) fn open(&mut self, ctx: &mut Context<Self>) {
        if !self.wanted || self.listening {
            return;
        }
        match listen(&self.setup.path) {
            Ok(listener) => {
                let connections = futures_util::stream::unfold(listener, |listener| async {
                    let accepted = listener.accept().await.map(|(stream, _)| stream);
                    if accepted.is_err() {
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                    Some((Accepted(accepted), listener))
                });
                ctx.add_stream(connections);
                self.listening = true;
            }
            Err(error) => {
                let path = self.setup.path.display();
                error!(%path, %error, "cannot open the client socket");
                ctx.run_later(REOPEN_PAUSE, Self::open);
            }
        }
    }
}

impl StreamHandler<Accepted> for ClientsActor {
    fn handle(&mut self, accepted: Accepted, ctx: &mut Self::Context) {
        let refused = match accepted.0 {
            Ok(stream) => self.accept(stream, ctx),
            Err(error) => Err(format!("{}: {error}", self.setup.path.display())),
        };
        if let Err(why) = refused
            && self
                .limiter
                .pass("connections refused", self.clock.now().instant)
        {
            warn!("connection on the client socket refused: {why}");
        }
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        self.listening = false;
        ctx.run_later(REOPEN_PAUSE, Self::open);
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    // The directory and apiauth decide who may reach it.
    set_mode(path, Made::Socket, 0o777)?;
    Ok(listener)
}
