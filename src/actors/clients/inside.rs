//! The client that is part of the daemon, the built-in `ipfail`: a connection without a socket.

use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;
use tracing::warn;

use super::ClientsActor;
use super::session::Heard;
use crate::actors::messages::{InsideHears, InsideSays};
use crate::policy::ipfail::NAME;
use crate::protocol::client::{ClientId, Credentials, Gone, frame};
use crate::protocol::message::Message;
use crate::protocol::wire::MessageFormat;

/// Pause from the end of an outside client of that name to our own sign-on, because that client may
/// be started again.
const FREE_PAUSE: Duration = Duration::from_secs(5);

/// The built-in client, or what is left of it.
#[derive(Default)]
pub(super) struct Inside {
    to: Option<Recipient<InsideHears>>,
    id: Option<ClientId>,
    /// A check whether the name is free is planned.
    looking: bool,
}

impl Inside {
    /// Whether `id` is the connection of the built-in client.
    pub(super) fn is(&self, id: ClientId) -> bool {
        self.id == Some(id)
    }

    /// Hands it a message.
    pub(super) fn hear(&self, message: Message) {
        if let Some(to) = &self.to {
            to.do_send(InsideHears::Message(message));
        }
    }

    /// Its connection is gone. The client asks for another.
    pub(super) fn close(&mut self) {
        self.id = None;
        if let Some(to) = self.to.take() {
            to.do_send(InsideHears::Closed);
        }
    }
}

impl ClientsActor {
    /// Gives it a connection when the socket is open and no client has its name.
    pub(super) fn admit_inside(&mut self) {
        if !self.wanted || self.inside.id.is_some() || self.registry.is_taken(NAME) {
            return;
        }
        let Some(to) = self.inside.to.clone() else {
            return;
        };
        let id = self.new_id();
        let credentials = Credentials {
            pid: i32::try_from(std::process::id()).unwrap_or(0),
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
        };
        self.registry.connected_inside(id, credentials);
        self.setup.interest.set(self.registry.interest());
        self.inside.id = Some(id);
        to.do_send(InsideHears::Connected);
    }

    /// The same a little later, when it waits for its name.
    pub(super) fn admit_inside_soon(&mut self, ctx: &mut Context<Self>) {
        let waits = self.wanted && self.inside.to.is_some() && self.inside.id.is_none();
        if waits && !self.inside.looking && !self.registry.is_taken(NAME) {
            self.inside.looking = true;
            ctx.run_later(FREE_PAUSE, |act, _| {
                act.inside.looking = false;
                act.admit_inside();
            });
        }
    }
}

impl Handler<InsideSays> for ClientsActor {
    type Result = ();

    fn handle(&mut self, said: InsideSays, ctx: &mut Self::Context) {
        match said {
            InsideSays::Connect(to) => {
                if let Some(id) = self.inside.id.take() {
                    self.inside.to = None;
                    self.cut_off(id, &Gone::Eof, ctx);
                }
                self.inside.to = Some(to);
                self.admit_inside();
            }
            InsideSays::Message(message) => {
                let Some(id) = self.inside.id else { return };
                match frame::encode(&message, MessageFormat::Classic) {
                    Ok(frame) => {
                        let body = frame.slice(frame::HEADER_BYTES..);
                        // It does not wait for this frame: its next question follows from the
                        // answer.
                        let (done, _) = oneshot::channel();
                        self.frames.push_back(Heard {
                            id,
                            body,
                            too_large: None,
                            done,
                        });
                        self.pump(ctx);
                    }
                    Err(error) => warn!(%error, "a message of the built-in ipfail is lost"),
                }
            }
        }
    }
}
